//! A node with very many cases: how fast lists and searches are, how soon it is back after a kill, and what it holds in memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::address::Net;
use crate::desk::{Desk, application, multipart, settings};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::report::say;
use crate::subject::Subject;
use crate::usage;
use crate::wire::http::Connection;

/// Requests of each kind that are timed.
const TIMED: usize = 300;

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct CasesReport {
    pub cases: usize,
    /// Applications taken in a second.
    pub taken_in_per_second: f64,
    /// What was asked, and the 95th of 100 answers, in milliseconds.
    pub p95_ms: Vec<(String, f64)>,
    /// From the start after a kill to the first list.
    pub lists_after_kill_s: f64,
    /// From there to the first search that misses nothing.
    pub searches_after_kill_s: f64,
    pub resident_mib: u64,
    pub resident_after_kill_mib: u64,
    pub peak_mib: u64,
}

/// Measures.
pub async fn run(subject: &Subject, cases: usize) -> Result<CasesReport> {
    let net = Net::claim().await?;
    let mut federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .group("KONTOR", &[("1001", "KONTOR")])
        .start(subject)
        .await?;
    let desk = Desk::at(federation.node("alpha"));
    let begun = Instant::now();
    fill(&federation, &desk, cases).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let taken_in_per_second = cases as f64 / begun.elapsed().as_secs_f64();
    let mib =
        |federation: &Federation| anyhow::Ok(usage::of(federation.node("alpha").pid())?.resident_kib >> 10);
    let resident_mib = mib(&federation)?;
    let mut p95_ms = Vec::new();
    for (what, path) in [
        ("all", "/api/v1/cases?limit=50"),
        ("unassigned", "/api/v1/cases?list=unassigned&limit=50"),
        ("mine", "/api/v1/cases?list=mine&limit=50"),
        ("one state", "/api/v1/cases?status=NEW&limit=50"),
    ] {
        p95_ms.push((
            what.to_owned(),
            timed(&federation, &desk, |_| path.to_owned()).await?,
        ));
    }
    let one = |turn: usize| format!("/api/v1/cases?q={}", surname(turn.wrapping_mul(7919) % cases));
    p95_ms.push(("search by name".to_owned(), timed(&federation, &desk, one).await?));
    p95_ms.push((
        "search without a hit".to_owned(),
        timed(&federation, &desk, |turn| {
            format!("/api/v1/cases?q=niemand{turn}")
        })
        .await?,
    ));
    let peak_mib = usage::of(federation.node("alpha").pid())?.peak_kib >> 10;
    federation.node_mut("alpha").kill().await?;
    let begun = Instant::now();
    federation.node_mut("alpha").begin(subject)?;
    let looked = format!("/api/v1/cases?q={}", surname(cases / 2));
    let lists = until(&desk, "/api/v1/cases?limit=50", |page| {
        page["cases"].as_array().map_or(0, Vec::len) > 0
    })
    .await;
    lists?;
    let lists_after_kill_s = begun.elapsed().as_secs_f64();
    until(&desk, &looked, |page| {
        page["partial"] == false && page["cases"].as_array().map_or(0, Vec::len) == 1
    })
    .await?;
    let searches_after_kill_s = begun.elapsed().as_secs_f64();
    Ok(CasesReport {
        cases,
        taken_in_per_second,
        p95_ms,
        lists_after_kill_s,
        searches_after_kill_s,
        resident_mib,
        resident_after_kill_mib: mib(&federation)?,
        peak_mib,
    })
}

/// A name that only one applicant has.
fn surname(index: usize) -> String {
    format!("fiktivname{index}x")
}

async fn fill(federation: &Federation, desk: &Desk, cases: usize) -> Result<()> {
    let at = federation.node("alpha").administration();
    let (next, service) = (Arc::new(AtomicUsize::new(0)), desk.of("form service"));
    // The first waits until the node is open.
    desk.get("/api/v1/status").await?;
    let mut working = JoinSet::new();
    for _ in 0..16 {
        let (next, service) = (Arc::clone(&next), service.clone());
        working.spawn(async move {
            let mut connection = Connection::open(at, None).await?;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= cases {
                    return anyhow::Ok(());
                }
                let mut form = application(&format!("0b9f1d9e-0f3c-4f53-8d5c-{index:012x}"));
                form["formData"][0]["formItems"][1]["stringValue"] = surname(index).into();
                let (kind, body) = multipart(Some(&form), &[]);
                let mut request = service
                    .request(Method::POST, "/antrag")?
                    .map(|_| Full::new(Bytes::from(body)));
                request.headers_mut().insert("content-type", kind.parse()?);
                let answer = connection.send(request).await?;
                ensure!(
                    answer.status.is_success(),
                    "intake: {}: {}",
                    answer.status,
                    String::from_utf8_lossy(&answer.body)
                );
            }
        });
    }
    let mut told = Instant::now();
    while !working.is_empty() {
        match tokio::time::timeout(Duration::from_secs(2), working.join_next()).await {
            Ok(Some(ended)) => ended??,
            Ok(None) => break,
            Err(_) => {}
        }
        if told.elapsed() > Duration::from_secs(20) {
            told = Instant::now();
            say(format_args!(
                "{} of {cases} applications",
                next.load(Ordering::Relaxed).min(cases)
            ));
        }
    }
    Ok(())
}

/// The 95th of 100 answers, in milliseconds.
pub(crate) async fn timed(
    federation: &Federation,
    desk: &Desk,
    path: impl Fn(usize) -> String,
) -> Result<f64> {
    let mut connection = Connection::open(federation.node("alpha").administration(), None).await?;
    let mut all = Vec::with_capacity(TIMED);
    for turn in 0..TIMED {
        let request: Request<Full<Bytes>> = desk.request(Method::GET, &path(turn))?;
        let begun = Instant::now();
        let answer = connection.send(request).await?;
        all.push(begun.elapsed());
        ensure!(answer.status.is_success(), "{}: {}", path(turn), answer.status);
    }
    all.sort_unstable();
    Ok(all[TIMED * 95 / 100].as_secs_f64() * 1000.0)
}

/// Asks until the answer looks like this; a node that is not there yet is asked again.
async fn until(desk: &Desk, path: &str, looks: impl Fn(&Value) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let seen = desk.get(path).await;
        match &seen {
            Ok(page) if looks(page) => return Ok(()),
            _ if begun.elapsed() > Duration::from_secs(120) => {
                return seen
                    .map(drop)
                    .with_context(|| format!("{path} does not come to what is needed"));
            }
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
