//! Events that a node posts to a receiver of the suite: signed, in their order, and from where it was after a kill.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, settings};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::suite::{World, cases};
use crate::wire::http;

cases! {
    quick TRANSFER_WEBHOOKS => webhooks;
}

/// What signs the posts.
const SECRET: [u8; 24] = *b"24 octets of the suite !";

/// HMAC-SHA-256 as RFC 2104 writes it, so that no other code of ours judges the signature.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let padded = |with: u8| -> Vec<u8> {
        let mut block = [with; 64];
        for (octet, key) in block.iter_mut().zip(key) {
            *octet ^= key;
        }
        block.to_vec()
    };
    let inner = sha256(&[&padded(0x36), text].concat());
    sha256(&[&padded(0x5c), &inner[..]].concat())
}

/// A post that was signed by who has the secret.
#[derive(Clone, Debug, PartialEq)]
struct Post {
    id: String,
    event: Value,
}

type Posts = Arc<Mutex<Vec<Result<Post, String>>>>;

struct Receiver {
    posts: Posts,
    takes: Arc<AtomicBool>,
    task: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Receiver {
    async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("binding {address}"))?;
        let (posts, takes) = (Posts::default(), Arc::new(AtomicBool::new(true)));
        let (all, whether) = (Arc::clone(&posts), Arc::clone(&takes));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (all, whether) = (Arc::clone(&all), Arc::clone(&whether));
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| taken(request, Arc::clone(&all), Arc::clone(&whether)));
                    // A node that is killed breaks its connection.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self { posts, takes, task })
    }

    /// What was posted, each once, in the order in which it came first.
    fn posts(&self) -> Result<Vec<Post>> {
        let posts = self.posts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut once = Vec::<Post>::new();
        for post in posts {
            let post = post.map_err(anyhow::Error::msg)?;
            match once.iter().find(|known| known.id == post.id) {
                Some(known) => ensure!(*known == post, "two posts under one id: {known:?} {post:?}"),
                None => once.push(post),
            }
        }
        Ok(once)
    }
}

async fn taken(
    request: Request<Incoming>,
    posts: Posts,
    takes: Arc<AtomicBool>,
) -> Result<Response<Empty<Bytes>>, hyper::Error> {
    let mut response = Response::new(Empty::new());
    if !takes.load(Ordering::SeqCst) {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        return Ok(response);
    }
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let post = judged(&head.method, &head.headers, &body).map_err(|error| format!("{error:#}"));
    posts.lock().unwrap_or_else(PoisonError::into_inner).push(post);
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// A post, if its signature is right and as young as it says.
fn judged(method: &Method, headers: &hyper::HeaderMap, body: &[u8]) -> Result<Post> {
    let header = |name: &str| -> Result<&str> {
        let value = headers.get(name).with_context(|| format!("no {name}"))?;
        Ok(value.to_str()?)
    };
    let (id, second) = (header("webhook-id")?, header("webhook-timestamp")?);
    ensure!(method == Method::POST && header("content-type")? == "application/json");
    let age = crate::clock::now().secs() - second.parse::<i64>()?;
    ensure!((-60..60).contains(&age), "signed {age} s ago");
    let signed = [id.as_bytes(), b".", second.as_bytes(), b".", body].concat();
    let wanted = format!("v1,{}", BASE64_STANDARD.encode(hmac(&SECRET, &signed)));
    ensure!(
        header("webhook-signature")? == wanted,
        "the signature is not of the secret"
    );
    Ok(Post {
        id: id.to_owned(),
        event: serde_json::from_slice(body)?,
    })
}

/// What the feed has of transfers: ids and data.
async fn feed(desk: &Desk) -> Result<Vec<(String, Value)>> {
    let answer = desk
        .send(
            Method::GET,
            "/api/v1/events?until_quiet=true",
            None,
            "",
            Vec::new(),
        )
        .await?;
    let (mut id, mut events) = (String::new(), Vec::new());
    for line in String::from_utf8(answer.body.to_vec())?.lines() {
        if let Some(text) = line.strip_prefix("id: ") {
            id = text.to_owned();
        }
        if let Some(data) = line.strip_prefix("data: ") {
            let data: Value = serde_json::from_str(data)?;
            if data["kind"]
                .as_str()
                .is_some_and(|kind| kind.starts_with("transfer."))
            {
                events.push((id.clone(), data));
            }
        }
    }
    Ok(events)
}

/// Waits until the receiver has what the feed has, and holds one against the other.
async fn agree(desk: &Desk, receiver: &Receiver, server: &str) -> Result<usize> {
    let begun = Instant::now();
    loop {
        let (wanted, posts) = (feed(desk).await?, receiver.posts()?);
        if posts.len() < wanted.len() && begun.elapsed() < Duration::from_secs(30) {
            sleep(Duration::from_millis(50)).await;
            continue;
        }
        ensure!(
            posts.len() == wanted.len(),
            "{} posts of {} events",
            posts.len(),
            wanted.len()
        );
        for (post, (id, data)) in posts.iter().zip(&wanted) {
            let mut expected = data.clone();
            expected["id"] = id.as_str().into();
            expected["server"] = server.into();
            expected["test"] = true.into();
            ensure!(post.event == expected, "{} instead of {expected}", post.event);
        }
        return Ok(posts.len());
    }
}

async fn standing(desk: &Desk, holds: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let page = desk.get("/api/v1/status").await?["webhooks"][0].clone();
        if holds(&page) {
            return Ok(page);
        }
        ensure!(
            begun.elapsed().as_secs() < 30,
            "the webhook stands otherwise: {page}"
        );
        sleep(Duration::from_millis(50)).await;
    }
}

async fn webhooks(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let receiver_at = net.address(41, 8093);
    let receiver = Receiver::start(receiver_at).await?;
    let dir = tempfile::tempdir()?;
    let secret = dir.path().join("secret");
    std::fs::write(&secret, format!("whsec_{}\n", BASE64_STANDARD.encode(SECRET)))?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let webhook = format!(
        "[[casework.webhook]]\nname = \"suite\"\nurl = \"http://{receiver_at}/in\"\nsecret = \"{}\"\nkinds = [\"transfer.\"]\n",
        secret.display()
    );
    let mut federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &webhook)))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", "")))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let server = here.get("/api/v1/status").await?["server"].clone();
    let server = server.as_str().context("no server")?.to_owned();
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0070"), &files())
        .await?;
    let offered = here.offer(&case, BETA, "COMPETENCE_CHANGED").await?;
    let id = offered["id"].as_str().context("no id")?.to_owned();
    there.until(&id, "OFFERED").await?;
    there.command(&id, "accept", &json!({})).await?;
    there.until(&id, "IMPORTED").await?;
    here.until(&id, "IMPORTED").await?;
    let before = agree(&here, &receiver, &server).await?;
    ensure!(before >= 3, "{before} events of a transfer up to its import");
    standing(&here, |page| page["waiting"] == 0).await?;
    // The receiver is down while the rest happens, and the node is killed.
    receiver.takes.store(false, Ordering::SeqCst);
    there.command(&id, "take-over", &json!({})).await?;
    here.until(&id, "CLOSED").await?;
    let page = standing(&here, |page| page["problem"] == "status_503").await?;
    ensure!(
        page["failing_since"].is_string()
            && page["waiting"].as_u64() > Some(0)
            && page["disabled_at"].is_null(),
        "{page}"
    );
    federation.node_mut("alpha").kill().await?;
    receiver.takes.store(true, Ordering::SeqCst);
    federation.restart("alpha").await?;
    let after = agree(&here, &receiver, &server).await?;
    ensure!(after > before, "nothing came after the kill");
    standing(&here, |page| {
        page["waiting"] == 0 && page["failing_since"].is_null() && page["skipped"] == 0
    })
    .await?;
    let metrics = http::get(federation.node("alpha").health(), "/metrics").await?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for (name, value) in [
        ("waiting", 0),
        ("failures_in_a_row", 0),
        ("disabled", 0),
        ("skipped_total", 0),
    ] {
        let line = format!("kontor_webhook_{name}{{webhook=\"suite\"}} {value}\n");
        ensure!(metrics.contains(&line), "no {line} in {metrics}");
    }
    let told = receiver.posts()?;
    let told = told.iter().map(|post| post.event.to_string()).collect::<String>();
    for probe in ["ermákovy", "postfach-geheim", "Antrag.pdf", "Hundesteuer"] {
        ensure!(!told.contains(probe), "the events tell {probe}");
    }
    let log = federation.node("alpha").log();
    ensure!(
        !log.contains(&BASE64_STANDARD.encode(SECRET)),
        "the log tells the secret"
    );
    Ok(())
}
