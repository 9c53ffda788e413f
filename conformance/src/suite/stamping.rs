//! Time-stamp authorities that are down, slow, huge or lie (wire 5.3, 5.5): messages flow until the acceptable period is over,
//! the alarm rises before, nothing stays unstamped afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use kontor_pki::authority::{TimestampAuthority, Validity};
use kontor_pki::profile::Subject;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::ledger::until;
use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::authority::Faults;
use crate::clock;
use crate::evidence;
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::wire::http;

cases! {
    quick STAMPING_OUTAGE => outage;
    quick STAMPING_IN_TURN => in_turn;
}

async fn federation(world: &World, net: &Net, settings: &str) -> Result<(Federation, Service)> {
    let service = Service::start(net.address(20, 8090)).await?;
    let caller = format!("{INSTANCE}/GOV/1001/portal");
    let federation = Federation::builder(net)
        .node(
            NodePlan::new("alpha", "1001")
                .client("portal")
                .timestamping(settings),
        )
        .node(
            NodePlan::new("beta", "1002")
                .client("office")
                .service(ServicePlan::new("echo", service.address(), "/").right(&caller)),
        )
        .start(world.federation.subject())
        .await?;
    Ok((federation, service))
}

async fn exchange(federation: &Federation, id: &str) -> Result<http::Answer> {
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let path = format!("/r1/{}/echo/x", beta.client_id("office"));
    let request = alpha.request("GET", &path, "portal", id);
    alpha.call(request.body(Full::new(Bytes::new()))?).await
}

async fn page(federation: &Federation, path: &str) -> Result<(u16, String)> {
    let answer = http::get(federation.node("alpha").health(), path).await?;
    Ok((
        answer.status.as_u16(),
        String::from_utf8_lossy(&answer.body).into_owned(),
    ))
}

fn gauge(page: &str, name: &str) -> u64 {
    let line = page
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok()).unwrap_or(u64::MAX)
}

async fn outage(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let settings = "acceptable_failure_seconds = 12\nretry_seconds = 1\ntimeout_seconds = 1";
    let (mut federation, service) = federation(world, &net, settings).await?;
    let down = |tsa_down| Faults {
        tsa_down,
        ..Faults::default()
    };
    federation.authority().set_faults(down(true));
    let mut ids = vec![fresh("before")];
    is_served(&exchange(&federation, &ids[0]).await?)?;
    // Time-stamps are looked for soon after a start.
    federation.node_mut("alpha").stop().await?;
    federation.restart("alpha").await?;
    until("the alarm does not rise", async || {
        let (status, health) = page(&federation, "/health").await?;
        ensure!(
            !health.contains("messages are refused until"),
            "messages are refused before the alarm: {health}"
        );
        Ok(status == 200
            && health.contains("\"degraded\":true")
            && health.contains("messages are refused in"))
    })
    .await?;
    // Messages flow while it lasts.
    let id = fresh("meanwhile");
    is_served(&exchange(&federation, &id).await?)?;
    ids.push(id);
    let (_, metrics) = page(&federation, "/metrics").await?;
    ensure!(
        gauge(&metrics, "kontor_timestamp_failures_total") > 0
            && gauge(&metrics, "kontor_timestamp_waiting") >= 2,
        "{metrics}"
    );
    ensure!(
        federation
            .node("alpha")
            .log()
            .contains("no time-stamp could be had"),
        "the log says nothing"
    );
    until("messages are never refused", async || {
        Ok(page(&federation, "/health").await?.0 == 500)
    })
    .await?;
    let id = fresh("refused");
    let fault = is_refused(&exchange(&federation, &id).await?, &["timestamping_failed"])?;
    ensure!(!fault.text.is_empty(), "{fault}");
    ensure!(
        service.calls(&id).is_empty(),
        "a refused message reached the service"
    );
    // It ends by itself, and nothing is left without a token.
    federation.authority().set_faults(down(false));
    until("the node does not catch up", async || {
        let (status, health) = page(&federation, "/health").await?;
        let (_, metrics) = page(&federation, "/metrics").await?;
        Ok(status == 200
            && health.contains("\"degraded\":false")
            && gauge(&metrics, "kontor_timestamp_waiting") == 0)
    })
    .await?;
    is_served(&exchange(&federation, &fresh("after")).await?)?;
    let out = tempfile::tempdir()?;
    let alpha = federation.node("alpha");
    for id in &ids {
        let dir = out.path().join(id);
        let subject = federation.subject();
        // As it lies in the log: no token is asked for now.
        evidence::is_present(subject, alpha, id, &dir).await?;
        for container in evidence::containers(&dir)? {
            let verdict = evidence::verify(subject, &container, &alpha.trust()).await?;
            ensure!(
                verdict.verdict == "valid",
                "{id} has no time-stamp: {}",
                verdict.said.out
            );
        }
    }
    Ok(())
}

/// What an authority that shall not be believed does.
const WAYS: [&str; 5] = [
    "dead",
    "slow",
    "huge",
    "another's token",
    "a token over something else",
];

/// A time-stamp authority that does one of [`WAYS`].
async fn lie(mut stream: TcpStream, way: usize, stranger: Arc<TimestampAuthority>) -> Result<()> {
    if way == 0 {
        return Ok(());
    }
    let (mut asked, mut buffer) = (Vec::new(), [0; 4096]);
    let query = loop {
        let read = stream.read(&mut buffer).await?;
        ensure!(read > 0, "a query that breaks off");
        asked.extend_from_slice(&buffer[..read]);
        let Some(head) = asked.windows(4).position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&asked[..head]).to_lowercase();
        let length: usize = text
            .split("content-length: ")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.trim().parse().ok())
            .unwrap_or(0);
        if asked.len() >= head + 4 + length {
            break asked[head + 4..].to_vec();
        }
    };
    let mut body = match way {
        1 => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Vec::new()
        }
        2 => vec![0; 4 << 20],
        _ => stranger.respond(&query, clock::now(), 1),
    };
    if way == 4 {
        // The imprint is in the middle of the token.
        let middle = body.len() / 3;
        body[middle] ^= 1;
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(&[head.into_bytes(), body].concat()).await?;
    Ok(())
}

fn liar(
    listener: TcpListener,
    way: Arc<AtomicUsize>,
    asked: Arc<AtomicUsize>,
    stranger: Arc<TimestampAuthority>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            asked.fetch_add(1, Ordering::SeqCst);
            let (way, stranger) = (way.load(Ordering::SeqCst), Arc::clone(&stranger));
            tokio::spawn(async move { lie(stream, way, stranger).await });
        }
    })
}

async fn in_turn(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let (first, second) = (net.address(1, 4081), net.address(1, 4080));
    let settings = format!(
        "urls = [\"http://{first}/tsa\", \"http://{second}/tsa\"]\nretry_seconds = 1\ntimeout_seconds = 1"
    );
    let (mut federation, _service) = federation(world, &net, &settings).await?;
    // Signs as the approved authority would, with a key that nobody approved.
    let key = kontor_pki::signing::SoftwareKey::generate(kontor_pki::signing::KeyAlgorithm::EcdsaP256)?;
    let certificate = {
        use kontor_pki::signing::SigningKey;
        let ca = crate::authority::stranger()?;
        ca.issue_tsa(
            key.public_key(),
            Subject::common_name("Conformance TSA"),
            Validity::days(clock::now(), 30),
        )?
    };
    let stranger = Arc::new(TimestampAuthority::new(certificate, Arc::new(key))?);
    let (way, asked) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let task = liar(
        TcpListener::bind(first).await?,
        way.clone(),
        asked.clone(),
        stranger,
    );
    let out = tempfile::tempdir()?;
    for (index, name) in WAYS.iter().enumerate() {
        way.store(index, Ordering::SeqCst);
        // A new process asks in the order of its settings again.
        federation.node_mut("alpha").stop().await?;
        federation.restart("alpha").await?;
        let before = asked.load(Ordering::SeqCst);
        let id = fresh("in-turn");
        is_served(&exchange(&federation, &id).await?)?;
        let dir = out.path().join(index.to_string());
        let alpha = federation.node("alpha");
        let containers = evidence::export(federation.subject(), alpha, &id, &dir)
            .await
            .with_context(|| format!("the first authority is {name}"))?;
        ensure!(containers.len() == 2, "{name}: {containers:?}");
        for container in &containers {
            let verdict = evidence::verify(federation.subject(), container, &alpha.trust()).await?;
            ensure!(verdict.verdict == "valid", "{name}: {}", verdict.said.out);
        }
        // Asked once by whoever asked before that was known, and then after the other one.
        let times = asked.load(Ordering::SeqCst) - before;
        ensure!(
            (1..=2).contains(&times),
            "{name}: the first authority was asked {times} times"
        );
    }
    task.abort();
    Ok(())
}
