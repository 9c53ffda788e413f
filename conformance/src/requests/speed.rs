//! How many requests a second, from the opening of the round to the statement, beside how many exchanges the same two nodes do in the
//! same run.
//!
//! Owns desks that ask nothing: rounds are opened, and who answers hears of what is asked by events.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

use crate::address::Net;
use crate::desk::{BETA, Desk, application, number, settings, text};
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::subject::Subject;
use crate::suite::participation::{Rounds, disclosure};
use crate::transfers::speed::{System, cpu, exchanges, listen};
use crate::usage;

/// Exchanges from the request to the statement: the request, its bundle, the deadline, the statement, its bundle.
const EXCHANGES: f64 = 5.0;

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct SpeedReport {
    pub requests: usize,
    /// From the first round that was opened to the last statement that lies at who asked.
    pub seconds: f64,
    pub requests_per_second: f64,
    pub exchanges_per_second: f64,
    /// Exchanges of the requests, of those that the nodes do.
    pub ratio: f64,
    /// CPU time of both nodes for a request, and for five exchanges.
    pub request_cpu_ms: f64,
    pub exchanges_cpu_ms: f64,
    pub peak_mib: [u64; 2],
}

/// Measures.
pub async fn run(subject: &Subject, requests: usize, at_once: usize) -> Result<SpeedReport> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
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
                .casework(&settings("010020000000", "")),
        )
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(subject)
        .await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")).of("coordinator"),
    );
    eprintln!("exchanges for five seconds, then rounds");
    let before = cpu(&federation)?;
    let done = exchanges(&federation, at_once).await?;
    let exchanges_cpu_ms = (cpu(&federation)? - before) / done.all * EXCHANGES;
    let rounds = prepared(&here, requests, at_once).await?;
    eprintln!("{requests} rounds are prepared; they are opened");
    let (asked, mut statements) = (
        mpsc::channel::<(String, u64)>(1024),
        mpsc::channel::<(String, u64)>(1024),
    );
    let at = ["alpha", "beta"].map(|name| federation.node(name).administration());
    let listening = [
        tokio::spawn(listen(
            at[1],
            there.clone(),
            "contribution.fetched",
            "request",
            asked.0,
        )),
        tokio::spawn(listen(
            at[0],
            here.clone(),
            "request.fetched",
            "request",
            statements.0,
        )),
    ];
    // Whoever follows events begins with all there are: those of the preparation are passed over by their kind.
    let (before, begun) = (cpu(&federation)?, Instant::now());
    let rounds = Arc::new(Mutex::new(rounds));
    let mut working = JoinSet::new();
    for _ in 0..at_once {
        let (mut system, rounds) = (System::of(&here, at[0]).await?, Arc::clone(&rounds));
        working.spawn(async move {
            while let Some((round, version)) = { rounds.lock().await.pop() } {
                let path = format!("/api/v1/rounds/{round}/commands/open");
                system.ask(Method::POST, &path, version, &json!({})).await?;
            }
            anyhow::Ok(())
        });
    }
    let (asked, answered) = (Arc::new(Mutex::new(asked.1)), Arc::new(AtomicUsize::new(0)));
    for _ in 0..at_once {
        let (asked, answered) = (Arc::clone(&asked), Arc::clone(&answered));
        let mut system = System::of(&there, at[1]).await?;
        working.spawn(async move {
            while answered.load(Ordering::Relaxed) < requests {
                let next =
                    tokio::time::timeout(Duration::from_secs(1), async { asked.lock().await.recv().await });
                let Ok(Some((id, version))) = next.await else {
                    continue;
                };
                let path = format!("/api/v1/contributions/{id}");
                answer(&mut system, &path, version).await?;
                answered.fetch_add(1, Ordering::Relaxed);
            }
            anyhow::Ok(())
        });
    }
    // What the participant has fetched, and what came of it: each request is told twice here.
    let mut seen = std::collections::HashMap::<String, usize>::new();
    let mut whole = 0;
    while whole < requests {
        let next = tokio::time::timeout(Duration::from_secs(60), statements.1.recv()).await?;
        let Some((id, _)) = next else { break };
        let times = seen.entry(id).or_default();
        *times += 1;
        whole += usize::from(*times == 2);
    }
    let seconds = begun.elapsed().as_secs_f64();
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    let used = cpu(&federation)? - before;
    for task in listening {
        task.abort();
    }
    ensure!(whole == requests, "{whole} statements of {requests} came");
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let count = requests as f64;
    let requests_per_second = count / seconds;
    let peak = |name: &str| anyhow::Ok(usage::of(federation.node(name).pid())?.peak_kib >> 10);
    Ok(SpeedReport {
        requests,
        seconds,
        requests_per_second,
        exchanges_per_second: done.per_second,
        ratio: requests_per_second * EXCHANGES / done.per_second,
        request_cpu_ms: used / count,
        exchanges_cpu_ms,
        peak_mib: [peak("alpha")?, peak("beta")?],
    })
}

/// Drafts and submits, with the version that the last answer told; a deadline that came between is looked up.
async fn answer(system: &mut System, path: &str, version: u64) -> Result<()> {
    let draft = json!({ "kind": "STATEMENT", "author": "Referat (fiktiv)", "text": "Keine Bedenken gegen den Antrag." });
    let mut version = version;
    let steps = [
        (Method::PUT, format!("{path}/statement"), draft),
        (Method::POST, format!("{path}/commands/submit"), json!({})),
    ];
    for (method, target, body) in steps {
        loop {
            match system.try_ask(method.clone(), &target, version, &body).await? {
                Ok(page) => {
                    version = number(&page, "version")?;
                    break;
                }
                Err(refused) => {
                    ensure!(refused["code"] == "version_mismatch", "{target}: {refused}");
                    version = number(&system.page(path).await?, "version")?;
                }
            }
        }
    }
    Ok(())
}

/// Rounds with one request to the other authority each, ready to be opened.
async fn prepared(here: &Desk, count: usize, at_once: usize) -> Result<Vec<(String, u64)>> {
    let (next, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut working = JoinSet::new();
    for _ in 0..at_once {
        let (here, next, all) = (here.clone(), Arc::clone(&next), Arc::clone(&all));
        working.spawn(async move {
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return anyhow::Ok(());
                }
                let form = application(&format!("0b9f1d9e-0f3c-4f53-8d5d-{index:012x}"));
                let case = here
                    .hand_in(&form, &[("attachment", "klein.txt", b"klein (fiktiv)".to_vec())])
                    .await?;
                let round = Rounds { here: &here }.prepare(text(&case, "id")?, "AMTSHILFE").await?;
                let round = text(&round, "id")?.to_owned();
                let wish = json!({
                    "to": BETA, "class": "AUTHORITY", "rule": { "kind": "weeks", "n": 4 }, "disclosure": disclosure(&[]),
                });
                Rounds { here: &here }.ask(&round, &wish).await?;
                let page: Value = here.get(&format!("/api/v1/rounds/{round}")).await?;
                all.lock().await.push((round, number(&page, "version")?));
            }
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(std::mem::take(&mut *all.lock().await))
}
