//! Information systems that are not who they say, or say it wrongly (wire 1.3, 2.2).

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{World, cases, fresh, is_refused, is_served};
use crate::wire::http::{self, Answer, PATIENCE};
use crate::wire::tls::{self, Identity};

cases! {
    quick CLIENT_MISSING => missing;
    quick CLIENT_MALFORMED => malformed;
    quick CLIENT_UNKNOWN => unknown;
    quick CLIENT_TLS_REQUIRED => tls_required;
    quick CLIENT_TLS => over_tls;
    quick CLIENT_CERTIFICATE => certificate;
    quick CLIENT_CERTIFICATE_FOREIGN => certificate_foreign;
    quick CLIENT_TARGET_MALFORMED => target_malformed;
    quick CLIENT_HEADERS_BOUNDED => headers_bounded;
    quick CLIENT_SOAP => soap;
    quick CLIENT_CLOSES_EARLY => closes_early;
    slow CLIENT_STALLS => stalls;
    quick CLIENT_BUSY => busy;
    quick CLIENT_ERROR_XML => error_xml;
}

async fn with_client(world: &World, id: &str, client: Option<&str>) -> Result<Answer> {
    let mut request = world
        .alpha()
        .request("GET", &world.at_beta("intake", "/x"), "antrag", id)
        .body(Full::default())?;
    request.headers_mut().remove("x-road-client");
    if let Some(client) = client {
        request.headers_mut().insert("x-road-client", client.parse()?);
    }
    world.alpha().call(request).await
}

async fn missing(world: &World) -> Result<()> {
    let id = fresh("no-client");
    is_refused(
        &with_client(world, &id, None).await?,
        &["invalid_client_identifier"],
    )?;
    world.never_called(&id)
}

async fn malformed(world: &World) -> Result<()> {
    for client in [
        "TEST",
        "TEST/GOV",
        "TEST/GOV/1001/antrag/x",
        "TEST/GOV/10%zz/antrag",
        "TEST//1001/antrag",
        "",
        "/TEST/GOV/1001/antrag",
    ] {
        let id = fresh("bad-client");
        is_refused(
            &with_client(world, &id, Some(client)).await?,
            &["invalid_client_identifier", "unknown_member", "internal_error"],
        )
        .with_context(|| format!("client {client:?}"))?;
        world.never_called(&id)?;
    }
    Ok(())
}

async fn unknown(world: &World) -> Result<()> {
    for client in [
        "TEST/GOV/1001/nirgends",
        "TEST/GOV/1001",
        "TEST/GOV/1002/antrag",
        "test/GOV/1001/antrag",
    ] {
        let id = fresh("unknown-client");
        is_refused(&with_client(world, &id, Some(client)).await?, &["unknown_member"])
            .with_context(|| format!("client {client:?}"))?;
        world.never_called(&id)?;
    }
    Ok(())
}

async fn over(
    world: &World,
    target: SocketAddr,
    identity: Option<Option<&Identity>>,
    client: &str,
    id: &str,
) -> Result<Answer> {
    let tls = match identity {
        Some(identity) => Some(tls::client(identity, &[&rustls::version::TLS13])?),
        None => None,
    };
    let request = world
        .alpha()
        .request("GET", &world.at_beta("intake", "/x"), client, id)
        .body(Full::default())?;
    http::once(target, tls, request).await
}

async fn tls_required(world: &World) -> Result<()> {
    let id = fresh("plain");
    let answer = over(world, world.alpha().is_http(), None, "tls", &id).await?;
    is_refused(&answer, &["ssl_authentication_failed"])?;
    world.never_called(&id)
}

async fn over_tls(world: &World) -> Result<()> {
    let id = fresh("tls");
    is_served(&over(world, world.alpha().is_https(), Some(None), "tls", &id).await?)
}

async fn certificate(world: &World) -> Result<()> {
    let id = fresh("mtls");
    is_served(
        &over(
            world,
            world.alpha().is_https(),
            Some(Some(&world.known_is)),
            "mtls",
            &id,
        )
        .await?,
    )
}

async fn certificate_foreign(world: &World) -> Result<()> {
    let doors = [
        (
            "a foreign certificate",
            world.alpha().is_https(),
            Some(Some(&world.foreign_is)),
        ),
        ("no certificate", world.alpha().is_https(), Some(None)),
        ("plain HTTP", world.alpha().is_http(), None),
    ];
    for (what, target, identity) in doors {
        let id = fresh("mtls-foreign");
        let answer = over(world, target, identity, "mtls", &id)
            .await
            .with_context(|| what.to_owned())?;
        is_refused(&answer, &["ssl_authentication_failed"]).with_context(|| what.to_owned())?;
        world.never_called(&id)?;
    }
    Ok(())
}

async fn target_malformed(world: &World) -> Result<()> {
    for path in [
        "/r1/TEST/GOV/1002/antrag",
        "/r1/TEST/GOV",
        "/r1//GOV/1002/antrag/intake/x",
        "/r2/TEST/GOV/1002/antrag/intake/x",
        "/r1/TEST/GOV/1002/an%zztrag/intake",
    ] {
        let id = fresh("bad-target");
        let answer = world.send("GET", path, &id).await?;
        ensure!(
            answer.status.is_client_error() || answer.status.is_server_error(),
            "{path}: status {}",
            answer.status
        );
        world.never_called(&id)?;
    }
    Ok(())
}

async fn headers_bounded(world: &World) -> Result<()> {
    let path = world.at_beta("intake", "/x");
    let client = world.alpha().client_id("antrag");
    let one_long = format!("X-Long: {}\r\n", "x".repeat(2 << 20));
    let many: String = (0..20_000).map(|index| format!("X-{index}: y\r\n")).collect();
    // Long enough that it does not fit into a line of the multipart (wire 3.6), short enough for HTTP.
    let line = format!("X-Line: {}\r\n", "x".repeat(40 << 10));
    for (what, headers) in [
        ("one header of 2 MiB", one_long),
        ("20,000 headers", many),
        ("a line of 40 KiB", line),
    ] {
        let id = fresh("headers");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: x\r\nX-Road-Client: {client}\r\nX-Road-Id: {id}\r\n{headers}\r\n"
        );
        let status = raw(world.alpha().is_http(), head.as_bytes())
            .await
            .with_context(|| what.to_owned())?;
        // A node may close, or say why; a message of such size is only good if it arrived whole.
        if let Some(status) = status {
            let arrived = world.service.calls(&id).len() == 1;
            ensure!(
                status >= 400 || arrived,
                "{what}: status {status} but the service was not called"
            );
        } else {
            world.never_called(&id)?;
        }
    }
    is_served(&world.send("GET", &path, &fresh("after")).await?).context("after the long headers")
}

/// Sends bytes and gives the status of the answer, or nothing if the connection was closed without one.
async fn raw(target: SocketAddr, bytes: &[u8]) -> Result<Option<u16>> {
    let mut stream = TcpStream::connect(target).await?;
    // The node may close before all is written.
    let _ = stream.write_all(bytes).await;
    let mut start = [0; 12];
    let read = timeout(PATIENCE, stream.read_exact(&mut start))
        .await
        .context("no answer and no end")?;
    Ok(match read {
        Ok(_) => Some(std::str::from_utf8(&start[9..12])?.parse()?),
        Err(_) => None,
    })
}

/// The start of a request that promises more of a body than it sends.
fn unfinished(world: &World, id: &str) -> Vec<u8> {
    let mut bytes = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nX-Road-Client: {}\r\nX-Road-Id: {id}\r\nContent-Length: 100000\r\n\r\n",
        world.at_beta("intake", "/echo"),
        world.alpha().client_id("antrag"),
    )
    .into_bytes();
    bytes.extend_from_slice(&[b'x'; 50_000]);
    bytes
}

async fn closes_early(world: &World) -> Result<()> {
    let id = fresh("is-closes");
    let bytes = unfinished(world, &id);
    for end in [10, 100, bytes.len() - 49_999, bytes.len()] {
        let mut stream = TcpStream::connect(world.alpha().is_http()).await?;
        stream.write_all(&bytes[..end]).await?;
        drop(stream);
    }
    is_served(
        &world
            .send("GET", &world.at_beta("intake", "/x"), &fresh("after-close"))
            .await?,
    )?;
    world.never_called(&id)
}

async fn stalls(world: &World) -> Result<()> {
    let id = fresh("is-stalls");
    let mut stream = TcpStream::connect(world.alpha().is_http()).await?;
    stream.write_all(&unfinished(world, &id)).await?;
    let mut answer = Vec::new();
    let read = timeout(
        std::time::Duration::from_secs(50),
        stream.read_to_end(&mut answer),
    )
    .await;
    ensure!(read.is_ok(), "the node still waits after 50 s");
    let said = String::from_utf8_lossy(&answer);
    ensure!(
        !said.starts_with("HTTP/1.1 200"),
        "half a request was served: {said}"
    );
    world.never_called(&id)
}

async fn error_xml(world: &World) -> Result<()> {
    for (accept, expected) in [
        ("text/xml", "text/xml"),
        ("application/xml", "application/xml"),
        ("text/*", "text/xml"),
    ] {
        let id = fresh("error-xml");
        let request = world
            .alpha()
            .request("GET", &world.at_beta("closed", "/x"), "antrag", &id)
            .header("Accept", accept)
            .body(Full::default())?;
        let answer = world.alpha().call(request).await?;
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        let content_type = answer.header("content-type").unwrap_or_default();
        ensure!(
            content_type.starts_with(expected),
            "Accept {accept}: content type {content_type}"
        );
        let code = answer.header("x-road-error").unwrap_or_default();
        ensure!(
            said.contains(&format!("<type>{code}</type>")) && said.contains("<error>"),
            "Accept {accept}: {said}"
        );
    }
    Ok(())
}

async fn soap(world: &World) -> Result<()> {
    let envelope = "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body/></e:Envelope>";
    let request = hyper::Request::post("/")
        .header("Host", "x")
        .header("Content-Type", "text/xml; charset=utf-8")
        .header("SOAPAction", "")
        .body(Full::from(envelope))?;
    let answer = world.alpha().call(request).await?;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(
        said.contains("Fault") || answer.header("x-road-error").is_some(),
        "status {}: {said}",
        answer.status
    );
    is_served(
        &world
            .send("GET", &world.at_beta("intake", "/x"), &fresh("after-soap"))
            .await?,
    )
}

/// Exchanges that one client has at once.
const AT_ONCE: usize = 256;

async fn busy(world: &World) -> Result<()> {
    let client = world.alpha().client_id("other");
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: slow\r\nx-road-client: {client}\r\ncontent-length: 100\r\n\r\nx",
        world.at_beta("intake", "/x"),
    );
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = TcpStream::connect(world.alpha().is_http()).await?;
        stream.write_all(head.as_bytes()).await?;
        waiting.push(stream);
    }
    let as_other = async || {
        let request = world
            .alpha()
            .request("GET", &world.at_beta("intake", "/x"), "other", &fresh("busy"));
        world.alpha().call(request.body(Full::default())?).await
    };
    // Whose request is taken first, the node decides.
    let mut refused = as_other().await?;
    for _ in 0..20 {
        if refused.status.as_u16() == 503 {
            break;
        }
        refused = as_other().await?;
    }
    ensure!(
        refused.status.as_u16() == 503,
        "status {} instead of 503",
        refused.status
    );
    ensure!(
        refused.header("retry-after") == Some("1"),
        "no Retry-After: {:?}",
        refused.header("retry-after")
    );
    let said = String::from_utf8_lossy(&refused.body).into_owned();
    ensure!(
        said.contains("send it again"),
        "it does not say what to do: {said}"
    );
    let id = fresh("not-busy");
    is_served(&world.send("GET", &world.at_beta("intake", "/x"), &id).await?)?;
    drop(waiting);
    let begun = std::time::Instant::now();
    while as_other().await?.status.as_u16() == 503 {
        ensure!(begun.elapsed() < PATIENCE, "the places are not given back");
    }
    Ok(())
}
