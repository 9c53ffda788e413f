//! A node with very many requests on both sides: how fast the board and the inbox are, how soon it is back after a kill, and what it
//! holds in memory. Those who are asked are units of its own, so that one node has both lists.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hyper::Method;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::address::Net;
use crate::cases::timed;
use crate::desk::{Desk, application, number, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::subject::Subject;
use crate::suite::participation::{Rounds, disclosure};
use crate::transfers::speed::System;
use crate::usage;

/// Units that are asked in one round.
const UNITS: usize = 100;

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct ManyReport {
    pub requests: usize,
    /// Prepared, and then delivered, in a second.
    pub prepared_per_second: f64,
    pub delivered_per_second: f64,
    /// What was asked, and the 95th of 100 answers, in milliseconds.
    pub p95_ms: Vec<(String, f64)>,
    /// From the start after a kill to the first inbox.
    pub inbox_after_kill_s: f64,
    pub resident_mib: u64,
    pub resident_after_kill_mib: u64,
}

/// Measures.
pub async fn run(subject: &Subject, requests: usize) -> Result<ManyReport> {
    let net = Net::claim().await?;
    let mut federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .group("KONTOR", &[("1001", "KONTOR")])
        .start(subject)
        .await?;
    let desk = Desk::at(federation.node("alpha"));
    let coordinator = desk.of("coordinator");
    desk.get("/api/v1/status").await?;
    let begun = Instant::now();
    let rounds = prepared(&federation, &desk, requests.div_ceil(UNITS)).await?;
    let requests = rounds.len() * UNITS;
    #[expect(clippy::cast_precision_loss, reason = "rates for people")]
    let rate = |since: Instant| requests as f64 / since.elapsed().as_secs_f64();
    let prepared_per_second = rate(begun);
    eprintln!("{requests} requests are prepared; they are sent");
    let begun = Instant::now();
    let at = federation.node("alpha").administration();
    let rounds = Arc::new(Mutex::new(rounds));
    let mut working = JoinSet::new();
    for _ in 0..8 {
        let (mut system, rounds) = (System::of(&desk, at).await?, Arc::clone(&rounds));
        working.spawn(async move {
            while let Some((round, version)) = { rounds.lock().await.pop() } {
                let path = format!("/api/v1/rounds/{round}/commands/open");
                system.ask(Method::POST, &path, version, &json!({})).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    let mut told = Instant::now();
    loop {
        let page = coordinator.get("/api/v1/contributions?limit=1").await?;
        let delivered = counted(&page, "DELIVERED");
        if delivered == requests as u64 {
            break;
        }
        if told.elapsed() > Duration::from_secs(10) {
            eprintln!("{delivered} of {requests} are delivered");
            told = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let delivered_per_second = rate(begun);
    let mib =
        |federation: &Federation| anyhow::Ok(usage::of(federation.node("alpha").pid())?.resident_kib >> 10);
    let resident_mib = mib(&federation)?;
    let mut p95_ms = Vec::new();
    for (what, who, path) in [
        ("board", &desk, "/api/v1/requests?limit=50"),
        (
            "board, one state",
            &desk,
            "/api/v1/requests?state=DELIVERED&limit=50",
        ),
        (
            "board, what needs a look",
            &desk,
            "/api/v1/requests?attention=true&limit=50",
        ),
        ("inbox", &coordinator, "/api/v1/contributions?limit=50"),
        (
            "inbox, unassigned",
            &coordinator,
            "/api/v1/contributions?list=unassigned&limit=50",
        ),
        (
            "inbox, mine",
            &coordinator,
            "/api/v1/contributions?list=mine&limit=50",
        ),
    ] {
        let asked = timed(&federation, who, |_| path.to_owned()).await?;
        eprintln!("{what}: p95 {asked:.1} ms");
        p95_ms.push((what.to_owned(), asked));
    }
    federation.node_mut("alpha").kill().await?;
    let begun = Instant::now();
    federation.node_mut("alpha").begin(subject)?;
    loop {
        let page = coordinator.get("/api/v1/contributions?limit=1").await;
        if page.is_ok_and(|page| counted(&page, "DELIVERED") == requests as u64) {
            break;
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(300),
            "it does not come back"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(ManyReport {
        requests,
        prepared_per_second,
        delivered_per_second,
        p95_ms,
        inbox_after_kill_s: begun.elapsed().as_secs_f64(),
        resident_mib,
        resident_after_kill_mib: mib(&federation)?,
    })
}

fn counted(page: &Value, state: &str) -> u64 {
    page["counts"][state].as_u64().unwrap_or(0)
}

/// Rounds in which many units are asked, ready to be opened.
async fn prepared(federation: &Federation, desk: &Desk, count: usize) -> Result<Vec<(String, u64)>> {
    let at = federation.node("alpha").administration();
    let (next, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let mut working = JoinSet::new();
    for _ in 0..16 {
        let (desk, next, all) = (desk.clone(), Arc::clone(&next), Arc::clone(&all));
        working.spawn(async move {
            let mut system = System::of(&desk, at).await?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return anyhow::Ok(());
                }
                let form = application(&format!("0b9f1d9e-0f3c-4f53-8d5e-{index:012x}"));
                let case = desk.hand_in(&form, &[]).await?;
                let round = Rounds { here: &desk }
                    .prepare(text(&case, "id")?, "INTERNAL")
                    .await?;
                let (id, mut version) = (text(&round, "id")?.to_owned(), number(&round, "version")?);
                for unit in 0..UNITS {
                    let wish = json!({
                        "unit": format!("u-{unit}"), "class": "INTERNAL", "rule": { "kind": "weeks", "n": 4 },
                        "disclosure": disclosure(&[]),
                    });
                    let path = format!("/api/v1/rounds/{id}/requests");
                    system.ask(Method::POST, &path, version, &wish).await?;
                    version += 1;
                }
                all.lock().await.push((id, version));
            }
        });
    }
    while let Some(ended) = working.join_next().await {
        ended??;
    }
    Ok(std::mem::take(&mut *all.lock().await))
}
