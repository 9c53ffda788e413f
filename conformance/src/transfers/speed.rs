//! How many transfers a second, from the offer to the take-over, beside how many exchanges the same two nodes do in the same run.
//!
//! Owns desks that ask nothing: offers are posted, a standing rule of the other side accepts, and who takes over hears of it by events.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{CONTENT_TYPE, HeaderValue, IF_MATCH};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::address::Net;
use crate::desk::{BETA, Desk, application, settings, text};
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::subject::Subject;
use crate::usage;
use crate::wire::http::Connection;

/// Exchanges that a transfer of a small application takes.
const EXCHANGES: f64 = 6.0;

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct SpeedReport {
    pub transfers: usize,
    /// Offered to taken over, all of them.
    pub seconds: f64,
    pub transfers_per_second: f64,
    pub exchanges_per_second: f64,
    /// Exchanges of the transfers, of those that the nodes do.
    pub ratio: f64,
    /// CPU time of both nodes for a transfer, and for six exchanges: what limits both on a machine of few cores.
    pub transfer_cpu_ms: f64,
    pub exchanges_cpu_ms: f64,
    pub peak_mib: [u64; 2],
}

/// Measures.
pub async fn run(subject: &Subject, transfers: usize, at_once: usize) -> Result<SpeedReport> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let rule = "[[casework.standing_rule]]\nid = \"speed\"\nfrom = \"TEST/GOV/1001\"\nservices = [\"99102013104000\"]";
    let alpha = format!("{INSTANCE}/GOV/1001/antrag");
    let federation = Federation::builder(&net)
        .node(
            NodePlan::new("alpha", "1001")
                .client("antrag")
                .casework(&settings("010585890008", "")),
        )
        .node(
            NodePlan::new("beta", "1002")
                .client("antrag")
                .service(ServicePlan::new("intake", service.address(), "/").right(&alpha))
                .casework(&settings("010020000000", rule)),
        )
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(subject)
        .await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    eprintln!("exchanges for five seconds, then cases");
    let before = cpu(&federation)?;
    let exchanges = exchanges(&federation, at_once).await?;
    let exchanges_cpu_ms = (cpu(&federation)? - before) / exchanges.all * EXCHANGES;
    let mut cases = Vec::new();
    for index in 0..transfers {
        let form = application(&format!("0b9f1d9e-0f3c-4f53-8d5c-{index:012x}"));
        let case = here
            .hand_in(&form, &[("attachment", "klein.txt", b"klein (fiktiv)".to_vec())])
            .await?;
        cases.push(text(&case, "id")?.to_owned());
    }
    let (ready, imported) = mpsc::channel::<(String, u64)>(1024);
    let listening = tokio::spawn(listen(
        federation.node("beta").administration(),
        there.clone(),
        "transfer.imported",
        "transfer",
        ready,
    ));
    eprintln!("{transfers} cases are there; they are handed over");
    let at = ["alpha", "beta"].map(|name| federation.node(name).administration());
    let (before, begun) = (cpu(&federation)?, Instant::now());
    let cases = Arc::new(Mutex::new(cases));
    let mut working = JoinSet::new();
    for _ in 0..at_once {
        let (mut system, cases) = (System::of(&here, at[0]).await?, Arc::clone(&cases));
        working.spawn(async move {
            while let Some(case) = { cases.lock().await.pop() } {
                let wish = json!({ "to": BETA, "situation": "COMPETENCE_CHANGED" });
                system
                    .done(&format!("/api/v1/cases/{case}/transfers"), 1, &wish)
                    .await?;
            }
            anyhow::Ok(())
        });
    }
    let (imported, taken) = (Arc::new(Mutex::new(imported)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..at_once {
        let (imported, taken) = (Arc::clone(&imported), Arc::clone(&taken));
        let mut system = System::of(&there, at[1]).await?;
        working.spawn(async move {
            while taken.load(Ordering::Relaxed) < transfers {
                let next = tokio::time::timeout(Duration::from_secs(1), async {
                    imported.lock().await.recv().await
                })
                .await;
                let Ok(Some((id, version))) = next else { continue };
                let path = format!("/api/v1/transfers/{id}/commands/take-over");
                system.done(&path, version, &json!({})).await?;
                taken.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    let used = cpu(&federation)? - before;
    listening.abort();
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = transfers as f64;
    let transfers_per_second = count / seconds;
    let peak = |name: &str| anyhow::Ok(usage::of(federation.node(name).pid())?.peak_kib >> 10);
    Ok(SpeedReport {
        transfers,
        seconds,
        transfers_per_second,
        exchanges_per_second: exchanges.per_second,
        ratio: transfers_per_second * EXCHANGES / exchanges.per_second,
        transfer_cpu_ms: used / count,
        exchanges_cpu_ms,
        peak_mib: [peak("alpha")?, peak("beta")?],
    })
}

/// A line-of-business system at a node: one kept connection.
pub(crate) struct System {
    desk: Desk,
    connection: Connection,
}

impl System {
    pub(crate) async fn of(desk: &Desk, at: SocketAddr) -> Result<Self> {
        Ok(Self {
            desk: desk.clone(),
            connection: Connection::open(at, None).await?,
        })
    }

    /// A command that succeeds.
    async fn done(&mut self, path: &str, version: u64, body: &Value) -> Result<()> {
        self.ask(Method::POST, path, version, body).await.map(drop)
    }

    /// The same with what it is answered.
    pub(crate) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        version: u64,
        body: &Value,
    ) -> Result<Value> {
        match self.try_ask(method, path, version, body).await? {
            Ok(page) => Ok(page),
            Err(refused) => bail!("{path}: {refused}"),
        }
    }

    /// A command, and what it is answered: done or refused.
    pub(crate) async fn try_ask(
        &mut self,
        method: Method,
        path: &str,
        version: u64,
        body: &Value,
    ) -> Result<Result<Value, Value>> {
        let mut request = self.desk.request(method, path)?;
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(IF_MATCH, HeaderValue::from_str(&format!("\"{version}\""))?);
        *request.body_mut() = Full::new(body.to_string().into());
        let answer = self.connection.send(request).await?;
        let page = serde_json::from_slice(&answer.body)
            .with_context(|| format!("{path}: {}", String::from_utf8_lossy(&answer.body)))?;
        Ok(match answer.status.is_success() {
            true => Ok(page),
            false => Err(page),
        })
    }

    /// A page.
    pub(crate) async fn page(&mut self, path: &str) -> Result<Value> {
        let answer = self
            .connection
            .send(self.desk.request(Method::GET, path)?)
            .await?;
        Ok(serde_json::from_slice(&answer.body)?)
    }
}

/// Milliseconds of CPU time that both nodes have used.
pub(crate) fn cpu(federation: &Federation) -> Result<f64> {
    let mut all = Duration::ZERO;
    for name in ["alpha", "beta"] {
        all += usage::of(federation.node(name).pid())?.cpu;
    }
    Ok(all.as_secs_f64() * 1000.0)
}

/// Exchanges that were done.
pub(crate) struct Exchanges {
    pub(crate) all: f64,
    pub(crate) per_second: f64,
}

/// Exchanges with as many information systems.
pub(crate) async fn exchanges(federation: &Federation, at_once: usize) -> Result<Exchanges> {
    let alpha = federation.node("alpha");
    let path = format!("/r1/{}/intake/x", federation.node("beta").client_id("antrag"));
    let (window, begun) = (Duration::from_secs(5), Instant::now());
    let mut working = JoinSet::new();
    for _ in 0..at_once {
        let (target, path, client) = (alpha.is_http(), path.clone(), alpha.client_id("antrag"));
        working.spawn(async move {
            let mut connection = Connection::open(target, None).await?;
            let mut done = 0_u32;
            while begun.elapsed() < window {
                let request = Request::post(&path)
                    .header("host", target.to_string())
                    .header("x-road-client", &client)
                    .body(Full::new(Bytes::from(vec![b'x'; 1024])))?;
                let answer = connection.send(request).await?;
                ensure!(
                    answer.status.is_success(),
                    "an exchange failed: {}",
                    answer.status
                );
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    let mut all = 0;
    while let Some(done) = working.join_next().await {
        all += done??;
    }
    let all = f64::from(all);
    Ok(Exchanges {
        all,
        per_second: all / begun.elapsed().as_secs_f64(),
    })
}

/// Hears of what happens, of one kind: the id of what it happened to, and its version then.
pub(crate) async fn listen(
    at: SocketAddr,
    desk: Desk,
    kind: &'static str,
    whose: &'static str,
    ready: mpsc::Sender<(String, u64)>,
) -> Result<()> {
    let (sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(TcpStream::connect(at).await?)).await?;
    tokio::spawn(connection);
    let mut sender = sender;
    let request = desk.request(Method::GET, "/api/v1/events")?;
    let mut body = sender.send_request(request).await?.into_body();
    let mut text = String::new();
    while let Some(frame) = body.frame().await {
        let frame = frame?;
        let Some(data) = frame.data_ref() else { continue };
        text.push_str(std::str::from_utf8(data).context("events are text")?);
        while let Some(end) = text.find("\n\n") {
            let event: String = text.drain(..end + 2).collect();
            let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) else {
                continue;
            };
            let data: Value = serde_json::from_str(data)?;
            if data["kind"] == kind {
                let version = data["version"].as_u64().context("no version")?;
                ready
                    .send((data[whose].as_str().unwrap_or_default().to_owned(), version))
                    .await?;
            }
        }
    }
    Ok(())
}
