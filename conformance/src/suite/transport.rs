//! What a foreign consumer may send to port 5500, and what not (wire 3.1, 3.5 to 3.7).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{World, cases, fresh};
use crate::peer::Cover;
use crate::peer::consumer::{Ask, Link, connect};
use crate::usage;
use crate::wire::http::PATIENCE;
use crate::wire::pace::Pace;
use crate::wire::parts;

cases! {
    quick TRANSPORT_GOOD => good;
    quick TRANSPORT_BATCH => batch;
    quick TRANSPORT_KEEP_ALIVE => keep_alive;
    quick TRANSPORT_TLS12 => tls12;
    quick TRANSPORT_METHOD => method;
    quick TRANSPORT_HASH_ALGORITHM => hash_algorithm;
    quick TRANSPORT_SOAP => soap;
    quick TRANSPORT_CONTENT_TYPE => content_type;
    quick TRANSPORT_NO_MESSAGE => no_message;
    quick TRANSPORT_NO_SIGNATURE => no_signature;
    quick TRANSPORT_ORDER => order;
    quick TRANSPORT_HALF_CHAIN => half_chain;
    quick TRANSPORT_AFTER_SIGNATURE => after_signature;
    quick TRANSPORT_CUT => cut;
    quick TRANSPORT_LONG_HEADER => long_header;
    quick TRANSPORT_BOUNDS => bounds;
    quick TRANSPORT_IDLE => idle;
    quick TRANSPORT_BUSY => busy;
    quick TRANSPORT_FORBIDDEN_HEADER => forbidden_header;
    quick TRANSPORT_CLOSES_EARLY => closes_early;
    slow TRANSPORT_STALLS => stalls;
    slow TRANSPORT_TRICKLES => trickles;
    quick TRANSPORT_NOISE => noise;
}

async fn good(world: &World) -> Result<()> {
    for body in [None, Some("ein Antrag")] {
        let id = fresh("good");
        let mut ask = world.ask("POST", "intake", "/echo", &id);
        if let Some(body) = body {
            ask = ask.body(body);
        }
        let outgoing = world.signed(&ask)?;
        let answered = outgoing.send(world.beta().federation()).await?;
        let (text, echoed, all) = answered.message()?;
        ensure!(
            text.first == "200" && text.second == "OK",
            "answer {} {}",
            text.first,
            text.second
        );
        ensure!(
            echoed.unwrap_or_default() == body.unwrap_or_default().as_bytes(),
            "the body came back changed"
        );
        let service = format!("{}/intake", world.beta().client_id("antrag"));
        let last: Vec<_> = text.headers[text.headers.len().saturating_sub(5)..]
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let expected = [
            ("x-road-id", id.as_str()),
            ("x-road-client", ask.client.as_str()),
            ("x-road-service", service.as_str()),
            ("x-road-request-id", ask.request_id.as_str()),
            ("x-road-request-hash", outgoing.hash.as_str()),
        ];
        ensure!(
            last == expected,
            "the answer ends with {last:?}, expected {expected:?} (wire 2.6)"
        );
        ensure!(all.find(parts::SIGNATURE).is_some(), "the answer is not signed");
        ensure!(
            answered
                .headers
                .get("x-hash-algorithm")
                .is_some_and(|value| value == "SHA-512"),
            "x-hash-algorithm (wire 3.8)"
        );
        crate::evidence::judge_signature(all, world.federation.authority())?;
        ensure!(
            world.service.calls(&id).len() == 1,
            "the service was not called once"
        );
    }
    Ok(())
}

async fn batch(world: &World) -> Result<()> {
    for body in [None, Some("ein Antrag")] {
        let id = fresh("batch");
        let mut ask = world.ask("POST", "intake", "/echo", &id).cover(Cover::Batch);
        if let Some(body) = body {
            ask = ask.body(body);
        }
        world
            .signed(&ask)?
            .send(world.beta().federation())
            .await?
            .message()?;
        ensure!(
            world.service.calls(&id).len() == 1,
            "the service was not called once"
        );
    }
    Ok(())
}

async fn keep_alive(world: &World) -> Result<()> {
    let mut link = Link::open(
        world.beta().federation(),
        Some(&world.peer().identity),
        &[&rustls::version::TLS13],
    )
    .await?;
    for turn in 0..3 {
        let id = fresh("kept");
        let outgoing = world.signed(&world.ask("POST", "intake", "/echo", &id).body("x"))?;
        link.send(&outgoing)
            .await
            .with_context(|| format!("request {turn} on one connection"))?
            .message()?;
    }
    Ok(())
}

async fn tls12(world: &World) -> Result<()> {
    let id = fresh("tls12");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.versions = vec![&rustls::version::TLS12];
    outgoing
        .send(world.beta().federation())
        .await?
        .message()
        .map(drop)
}

async fn method(world: &World) -> Result<()> {
    let id = fresh("method");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.method = Method::PUT;
    world
        .beta_refuses(&outgoing, &id, &["invalid_http_method"])
        .await
        .map(drop)
}

async fn hash_algorithm(world: &World) -> Result<()> {
    let id = fresh("algorithm");
    let outgoing = world
        .signed(&world.ask("GET", "intake", "/x", &id))?
        .without_header("x-hash-algorithm");
    world
        .beta_refuses(&outgoing, &id, &["internal_error"])
        .await
        .map(drop)
}

async fn soap(world: &World) -> Result<()> {
    let id = fresh("soap");
    let outgoing = world
        .signed(&world.ask("GET", "intake", "/x", &id))?
        .without_header("x-road-message-type");
    let answered = outgoing.send(world.beta().federation()).await?;
    ensure!(!answered.fault()?.text.is_empty(), "the fault says nothing");
    world.never_called(&id)
}

async fn content_type(world: &World) -> Result<()> {
    for content_type in ["application/json", "multipart/mixed", "text/xml; charset=utf-8"] {
        let id = fresh("content-type");
        let mut outgoing = world
            .signed(&world.ask("GET", "intake", "/x", &id))?
            .without_header("content-type");
        outgoing
            .headers
            .push(("content-type".into(), content_type.into()));
        world
            .beta_refuses(&outgoing, &id, &["invalid_content_type"])
            .await
            .with_context(|| content_type.to_owned())?;
    }
    Ok(())
}

async fn no_message(world: &World) -> Result<()> {
    let id = fresh("no-message");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.parts.remove(parts::REST_REQUEST);
    world
        .beta_refuses(
            &outgoing,
            &id,
            &["missing_rest", "invalid_content_type", "invalid_message"],
        )
        .await
        .map(drop)
}

async fn no_signature(world: &World) -> Result<()> {
    for body in [None, Some("x")] {
        let id = fresh("no-signature");
        let mut ask = world.ask("POST", "intake", "/x", &id);
        if let Some(body) = body {
            ask = ask.body(body);
        }
        let mut outgoing = world.signed(&ask)?;
        outgoing.parts.remove(parts::SIGNATURE);
        world
            .beta_refuses(&outgoing, &id, &["missing_signature", "invalid_content_type"])
            .await?;
    }
    Ok(())
}

async fn order(world: &World) -> Result<()> {
    let id = fresh("order");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body("x"))?;
    // OCSP, message, body, … becomes OCSP, body, message, …
    outgoing.parts.0.swap(1, 2);
    let causes = ["invalid_content_type", "invalid_message", "missing_rest"];
    world
        .beta_refuses(&outgoing, &id, &causes)
        .await
        .context("body before message")?;

    let id = fresh("order");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body("x"))?;
    // The OCSP part behind the message.
    outgoing.parts.0.swap(0, 1);
    let causes = [
        "invalid_content_type",
        "invalid_message",
        "ssl_authentication_failed",
    ];
    world
        .beta_refuses(&outgoing, &id, &causes)
        .await
        .context("OCSP behind message")
        .map(drop)
}

async fn half_chain(world: &World) -> Result<()> {
    for missing in [parts::CHAIN, parts::CHAIN_RESULT] {
        let id = fresh("half-chain");
        let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body("x"))?;
        outgoing.parts.remove(missing);
        let causes = [
            "invalid_content_type",
            "invalid_message",
            "malformed_signature",
            "malformed_hash_chain",
            "hashchain_unused_inputs",
            "invalid_reference",
            "invalid_signature_value",
        ];
        world
            .beta_refuses(&outgoing, &id, &causes)
            .await
            .with_context(|| format!("without {missing}"))?;
    }
    Ok(())
}

async fn after_signature(world: &World) -> Result<()> {
    for content_type in [parts::REST_BODY, parts::SIGNATURE, parts::OCSP, "text/plain"] {
        let id = fresh("after");
        let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
        outgoing.parts.push(content_type, b"smuggled".to_vec());
        world
            .beta_refuses(&outgoing, &id, &["invalid_message"])
            .await
            .with_context(|| content_type.to_owned())?;
    }
    Ok(())
}

async fn cut(world: &World) -> Result<()> {
    let id = fresh("cut");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.raw = Some(outgoing.parts.encode_open());
    world
        .beta_refuses(
            &outgoing,
            &id,
            &[
                "mime_parsing_failed",
                "io_error",
                "invalid_message",
                "missing_signature",
            ],
        )
        .await
        .map(drop)
}

async fn long_header(world: &World) -> Result<()> {
    let id = fresh("long-header");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.parts.0[1]
        .headers
        .push(("x-long".into(), "x".repeat(1 << 20)));
    world
        .beta_refuses(&outgoing, &id, &["mime_parsing_failed"])
        .await
        .map(drop)
}

async fn bounds(world: &World) -> Result<()> {
    let beta = world.beta();
    usage::reset_peak(beta.pid())?;
    let before = usage::of(beta.pid())?.peak_kib;
    let large = vec![b'x'; 32 << 20];
    for part in [
        parts::OCSP,
        parts::REST_REQUEST,
        parts::CHAIN_RESULT,
        parts::CHAIN,
        parts::SIGNATURE,
    ] {
        let id = fresh("bounds");
        let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body("x"))?;
        outgoing.parts.bytes_mut(part).extend_from_slice(&large);
        // The node may close before all of it is written.
        if let Ok(answered) = outgoing.send(beta.federation()).await {
            answered.fault().with_context(|| format!("{part} of 32 MiB"))?;
        }
        world.never_called(&id)?;
    }
    let id = fresh("many");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body("x"))?;
    let one = outgoing.parts.0[0].clone();
    outgoing.parts.0.splice(0..0, std::iter::repeat_n(one, 2000));
    if let Ok(answered) = outgoing.send(beta.federation()).await {
        answered.fault().context("2000 OCSP parts")?;
    }
    world.never_called(&id)?;
    let grown = usage::of(beta.pid())?.peak_kib.saturating_sub(before) >> 10;
    ensure!(grown < 16, "the node grew by {grown} MiB");
    lives(world).await
}

async fn idle(world: &World) -> Result<()> {
    let node = world.beta().federation();
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(tokio::net::TcpStream::connect(node).await?);
    }
    for _ in 0..50 {
        silent.push(tokio::net::TcpStream::connect(world.alpha().is_http()).await?);
    }
    lives(world).await?;
    let answer = world
        .send("GET", &world.at_beta("intake", "/x"), &fresh("beside-idle"))
        .await?;
    super::is_served(&answer)
}

async fn busy(world: &World) -> Result<()> {
    /// What a peer may have under way at once.
    const AT_ONCE: usize = 256;
    let (node, peer) = (world.beta().federation(), world.federation.peer("zeta"));
    let by_it = |id: &str| {
        let ask = Ask::new(peer, "GET", &world.at_beta("intake", "/x"), id);
        ask.sign(peer, &peer.signer, world.federation.authority())
    };
    let mut head = String::from("POST / HTTP/1.1\r\nhost: localhost:5500\r\n");
    for (name, value) in &by_it(&fresh("busy"))?.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += "content-length: 100\r\n\r\nx";
    let mut waiting = Vec::new();
    for _ in 0..AT_ONCE {
        let mut stream = connect(node, Some(&peer.identity), &[&rustls::version::TLS13]).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.flush().await?;
        waiting.push(stream);
    }
    // It has no right, so its answer is a fault: what counts here is when.
    let one_more = by_it(&fresh("one-more"))?;
    let mut sending = std::pin::pin!(one_more.send(node));
    let begun = Instant::now();
    // The node may take it before the last of those that stall.
    while let Ok(answered) = timeout(Duration::from_secs(1), &mut sending).await {
        world.is_refusal(&answered?, &["access_denied"])?;
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "a peer has more messages under way than it may"
        );
        sending.set(one_more.send(node));
    }
    let outgoing = world.signed(&world.ask("GET", "intake", "/x", &fresh("other")))?;
    timeout(Duration::from_secs(10), outgoing.send(node))
        .await
        .context("another peer waits too")??
        .message()?;
    drop(waiting);
    let answered = timeout(Duration::from_secs(10), sending)
        .await
        .context("the places are not given back")??;
    world.is_refusal(&answered, &["access_denied"]).map(drop)
}

async fn forbidden_header(world: &World) -> Result<()> {
    for name in ["Host", "Content-Length", "Transfer-Encoding", "User-Agent"] {
        let id = fresh("forbidden");
        let mut ask = world.ask("GET", "intake", "/x", &id);
        ask.text = ask.text.with(name, "1");
        world
            .beta_refuses(&world.signed(&ask)?, &id, &["internal_error"])
            .await
            .with_context(|| name.to_owned())?;
    }
    Ok(())
}

async fn lives(world: &World) -> Result<()> {
    let outgoing = world.signed(&world.ask("GET", "intake", "/x", &fresh("lives")))?;
    outgoing
        .send(world.beta().federation())
        .await?
        .message()
        .map(drop)
        .context("a good request afterwards")
}

async fn closes_early(world: &World) -> Result<()> {
    let id = fresh("closes");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body(vec![b'x'; 1 << 20]))?;
    for bytes in [0, 100, 3000, 500_000, outgoing.parts.encode().len() - 20] {
        outgoing.pace = Pace::CloseAfter(bytes);
        ensure!(
            outgoing.send(world.beta().federation()).await.is_err(),
            "an answer to a closed connection"
        );
    }
    lives(world).await?;
    world.never_called(&id)
}

async fn given_up(world: &World, pace: Pace, limit: Duration) -> Result<()> {
    let id = fresh("paced");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/x", &id).body(vec![b'x'; 1 << 16]))?;
    outgoing.pace = pace;
    let begin = Instant::now();
    let answered = timeout(limit, outgoing.send(world.beta().federation())).await;
    let answered = answered.with_context(|| format!("the node still waits after {} s", limit.as_secs()))?;
    // It may answer a fault or just close.
    if let Ok(answered) = answered {
        answered.fault()?;
    }
    ensure!(
        begin.elapsed() > Duration::from_secs(2),
        "given up on after {:?}",
        begin.elapsed()
    );
    world.never_called(&id)
}

async fn stalls(world: &World) -> Result<()> {
    given_up(world, Pace::StallAfter(30_000), Duration::from_secs(50)).await
}

async fn trickles(world: &World) -> Result<()> {
    given_up(
        world,
        Pace::Trickle(Duration::from_millis(50)),
        Duration::from_secs(50),
    )
    .await
}

async fn noise(world: &World) -> Result<()> {
    let node = world.beta().federation();
    for noise in [
        &b"\x16\x03\x01 nonsense"[..],
        b"GET / HTTP/0.9\r\n\r\n",
        b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &[0; 4096],
    ] {
        let mut stream = connect(node, Some(&world.peer().identity), &[&rustls::version::TLS13]).await?;
        let _ = stream.write_all(noise).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        // Whatever it says, it must end.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
            .await
            .context("the node keeps a connection of noise open")?;
        let mut plain = tokio::net::TcpStream::connect(node).await?;
        let _ = plain.write_all(noise).await;
    }
    lives(world).await
}
