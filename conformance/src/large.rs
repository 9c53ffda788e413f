//! A package of gigabytes: its receiver is killed while it pulls and goes on where it was; what both nodes hold in memory meanwhile.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::address::Net;
use crate::desk::{BETA, Desk, application, authorities, multipart, number, text};
use crate::subject::Subject;
use crate::usage;

/// Octets that are handed in at a time.
const PIECE: usize = 1 << 20;
/// Neither node holds more.
pub const LIMIT_MIB: u64 = 96;
/// How long everything may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct LargeReport {
    pub octets: u64,
    pub handed_in_seconds: f64,
    /// Parts that were there when the receiver was killed, when it was back, and all of them.
    pub parts: [u64; 3],
    pub pulled_seconds: f64,
    /// Peak resident memory of sender and receiver, the receiver's of both its lives.
    pub peak_mib: [u64; 2],
}

impl LargeReport {
    /// Whether nothing was lost and nobody held too much.
    pub fn is_good(&self) -> bool {
        self.parts[1] >= self.parts[0] && self.peak_mib.iter().all(|peak| *peak < LIMIT_MIB)
    }
}

/// Measures with a file of so many mebibytes.
pub async fn run(subject: &Subject, mebibytes: u64) -> Result<LargeReport> {
    let net = Net::claim().await?;
    let mut federation = authorities(subject, &net, "").await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    here.get("/api/v1/status").await?;
    let begun = Instant::now();
    let case = handed_in(&here, federation.node("alpha").administration(), mebibytes).await?;
    let handed_in_seconds = begun.elapsed().as_secs_f64();
    let id = text(&here.offer(&case, BETA, "MISDIRECTED").await?, "id")?.to_owned();
    there.until(&id, "OFFERED").await?;
    let begun = Instant::now();
    there.command(&id, "accept", &json!({})).await?;
    let wanted = mebibytes / 4 / 3;
    let before = until(&there, &id, |page| pulled(page) >= wanted).await?;
    let first_life = usage::of(federation.node("beta").pid())?.peak_kib;
    federation.node_mut("beta").kill().await?;
    federation.restart("beta").await?;
    let after = until(&there, &id, |page| {
        page["package"].is_object() || page["state"] == "IMPORTED"
    })
    .await?;
    let imported = until(&there, &id, |page| page["state"] == "IMPORTED").await?;
    let pulled_seconds = begun.elapsed().as_secs_f64();
    let files = async |desk: &Desk, case: &str| -> Result<Value> {
        Ok(desk.get(&format!("/api/v1/cases/{case}/files")).await?["files"][0]["sha512"].clone())
    };
    let digests = (
        files(&here, text(&case, "id")?).await?,
        files(&there, text(&imported, "case")?).await?,
    );
    ensure!(
        digests.0 == digests.1 && digests.0.is_string(),
        "another file arrived"
    );
    there.command(&id, "take-over", &json!({})).await?;
    here.until(&id, "CLOSED").await?;
    let peak = |name: &str| anyhow::Ok(usage::of(federation.node(name).pid())?.peak_kib);
    Ok(LargeReport {
        octets: mebibytes << 20,
        handed_in_seconds,
        parts: [
            pulled(&before),
            pulled(&after),
            number(&after["package"], "parts")?,
        ],
        pulled_seconds,
        peak_mib: [peak("alpha")? >> 10, peak("beta")?.max(first_life) >> 10],
    })
}

fn pulled(page: &Value) -> u64 {
    page["package"]["pulled"].as_u64().unwrap_or_default()
}

/// Hands in an application with one large file, which is never in memory here.
async fn handed_in(desk: &Desk, at: std::net::SocketAddr, mebibytes: u64) -> Result<Value> {
    let form = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f5a0001");
    let (kind, whole) = multipart(Some(&form), &[("attachment", "gross.bin", Vec::new())]);
    // The file goes between what comes before its end and what comes after.
    let end = b"\r\n--kontor-conformance".len() + b"-7d1f--\r\n".len();
    let at_file = whole.len() - end;
    let (head, tail) = (whole[..at_file].to_vec(), whole[at_file..].to_vec());
    let length = whole.len() as u64 + (mebibytes << 20);
    let pieces = (0..mebibytes).map(|index| Bytes::from(vec![index.to_le_bytes()[0]; PIECE]));
    let all = std::iter::once(Bytes::from(head))
        .chain(pieces)
        .chain(std::iter::once(Bytes::from(tail)))
        .map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    let (mut sender, connection) = handshake(TokioIo::new(TcpStream::connect(at).await?)).await?;
    tokio::spawn(connection);
    let shape = desk.of("form service").request(Method::POST, "/antrag")?;
    let mut request = Request::new(StreamBody::new(stream::iter(all)));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = shape.uri().clone();
    *request.headers_mut() = shape.headers().clone();
    request.headers_mut().insert("content-type", kind.parse()?);
    request.headers_mut().insert("content-length", length.into());
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = answer.into_body().collect().await?.to_bytes();
    ensure!(
        status.is_success(),
        "intake: {status}: {}",
        String::from_utf8_lossy(&body)
    );
    let page: Value = serde_json::from_slice(&body)?;
    let id = page["vorgang"]["vorgangId"]
        .as_str()
        .context("no case")?
        .to_owned();
    desk.get(&format!("/api/v1/cases/{id}")).await
}

/// Asks until the transfer looks like this; a node that was killed is asked again.
async fn until(desk: &Desk, id: &str, looks: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        match desk.get(&format!("/api/v1/transfers/{id}")).await {
            Ok(page) if looks(&page) => return Ok(page),
            seen => ensure!(begun.elapsed() < PATIENCE, "not in time: {seen:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}
