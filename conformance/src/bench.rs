//! How fast two nodes are, measured against a bare pair of mutual-TLS proxies on the same machine in the same minutes.
//!
//! Owns the order of measurement: both contestants run all the time and are loaded in turn, the order changes with each
//! round, every window begins after a warm-up, and ratios are taken within a round. Refuses to report a ratio from windows
//! with failed exchanges without saying so.

pub mod child;
pub mod metrics;
pub mod table;

pub mod bare;
pub mod load;
pub mod provider;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::address::Net;
use crate::bench::bare::{BareHalf, Side};
use crate::bench::child::Helper;
use crate::bench::load::{LoadPlan, LoadResult};
use crate::bench::metrics::Batches;
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::report::say;
use crate::subject::Subject;
use crate::usage::{self, Usage};

/// How long and against what.
#[derive(Clone, Debug)]
pub struct BenchPlan {
    /// This binary, which the helpers are started from.
    pub own: PathBuf,
    /// Without a subject only the bare pair runs.
    pub subject: Option<Subject>,
    pub rounds: usize,
    pub window: Duration,
    pub warm_up: Duration,
    /// Only scenarios whose name contains this.
    pub only: Option<String>,
}

/// One kind of load.
#[derive(Clone, Debug, Serialize)]
pub struct Scenario {
    pub name: String,
    pub request_bytes: u64,
    pub answer_bytes: u64,
    pub connections: usize,
    /// Exchanges a second; without it as fast as it goes.
    pub rate: Option<f64>,
    /// One exchange instead of a window.
    pub once: bool,
}

/// What one contestant did in one window.
#[derive(Clone, Debug, Serialize)]
pub struct Window {
    pub round: usize,
    pub load: LoadResult,
    pub processes: Vec<ProcessShare>,
}

/// What one proxy or node process used for it.
#[derive(Clone, Debug, Serialize)]
pub struct ProcessShare {
    pub role: String,
    pub cpu_micros_per_exchange: f64,
    pub peak_kib: u64,
    pub mean_signer_batch: Option<f64>,
    pub mean_log_batch: Option<f64>,
}

/// All windows of a scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    pub scenario: Scenario,
    pub bare: Vec<Window>,
    pub nodes: Vec<Window>,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    pub cores: usize,
    pub rounds: usize,
    pub window_seconds: f64,
    pub warm_up_seconds: f64,
    pub scenarios: Vec<Measured>,
    pub summary: Vec<table::Row>,
}

struct Contestant {
    name: &'static str,
    entry: SocketAddr,
    path: String,
    headers: Vec<(String, String)>,
    processes: Vec<Watched>,
}

struct Watched {
    role: String,
    pid: u32,
    health: Option<SocketAddr>,
}

struct Sample {
    usage: Usage,
    batches: Option<Batches>,
}

/// Runs everything and prints the table as it grows.
pub async fn run(plan: &BenchPlan) -> Result<BenchReport> {
    let net = Net::claim().await?;
    let provider = net.address(20, 8090);
    let _provider = Helper::start(&plan.own, "bench-provider", &provider, provider).await?;
    let (_halves, bare) = bare_pair(&plan.own, &net, provider).await?;
    let federation = match &plan.subject {
        Some(subject) => Some(two_nodes(subject, provider).await?),
        None => None,
    };
    let nodes = federation.as_ref().map(contestant_of).transpose()?;
    let mut report = BenchReport {
        cores: std::thread::available_parallelism()?.get(),
        rounds: plan.rounds,
        window_seconds: plan.window.as_secs_f64(),
        warm_up_seconds: plan.warm_up.as_secs_f64(),
        scenarios: Vec::new(),
        summary: Vec::new(),
    };
    say(table::heading());
    for scenario in scenarios() {
        measure_scenario(plan, scenario, &bare, nodes.as_ref(), &mut report).await?;
    }
    for share in [0.25, 0.5] {
        if let Some(scenario) = paced(&report, share) {
            measure_scenario(plan, scenario, &bare, nodes.as_ref(), &mut report).await?;
        }
    }
    Ok(report)
}

fn scenarios() -> Vec<Scenario> {
    let window = |name: &str, bytes, connections| Scenario {
        name: name.into(),
        request_bytes: bytes,
        answer_bytes: bytes,
        connections,
        rate: None,
        once: false,
    };
    vec![
        // First, while the nodes have not grown by anything else: its peak is its own.
        Scenario {
            answer_bytes: 1 << 10,
            once: true,
            ..window("256 MiB stream", 256 << 20, 1)
        },
        window("1 KiB c=1", 1 << 10, 1),
        window("1 KiB c=64", 1 << 10, 64),
        window("1 MiB c=1", 1 << 20, 1),
        window("1 MiB c=64", 1 << 20, 64),
    ]
}

/// The 1 KiB load at `share` of what each contestant could do at 64 connections; nothing without that figure.
fn paced(report: &BenchReport, share: f64) -> Option<Scenario> {
    let full = report
        .scenarios
        .iter()
        .find(|measured| measured.scenario.name == "1 KiB c=64")?;
    // Both are paced at the nodes' capacity if nodes run, so that their times compare at the same rate.
    let windows = if full.nodes.is_empty() {
        &full.bare
    } else {
        &full.nodes
    };
    let rate = table::median(windows.iter().map(Window::rate)) * share;
    (rate > 1.0).then(|| Scenario {
        name: format!("1 KiB paced {} %", (share * 100.0).round()),
        rate: Some(rate),
        ..full.scenario.clone()
    })
}

async fn measure_scenario(
    plan: &BenchPlan,
    scenario: Scenario,
    bare: &Contestant,
    nodes: Option<&Contestant>,
    report: &mut BenchReport,
) -> Result<()> {
    if plan
        .only
        .as_ref()
        .is_some_and(|only| !scenario.name.contains(only.as_str()))
    {
        return Ok(());
    }
    let mut measured = Measured {
        scenario,
        bare: Vec::new(),
        nodes: Vec::new(),
    };
    for round in 0..plan.rounds {
        let mut turns = vec![(bare, true)];
        if let Some(nodes) = nodes {
            turns.insert(if round % 2 == 0 { 1 } else { 0 }, (nodes, false));
        }
        for (contestant, is_bare) in turns {
            let window = measure(plan, &measured.scenario, contestant, round)
                .await
                .with_context(|| format!("{} under {}", contestant.name, measured.scenario.name))?;
            if is_bare {
                measured.bare.push(window)
            } else {
                measured.nodes.push(window)
            }
        }
    }
    for row in table::rows(&measured) {
        say(&row);
        report.summary.push(row);
    }
    report.scenarios.push(measured);
    Ok(())
}

async fn measure(
    plan: &BenchPlan,
    scenario: &Scenario,
    contestant: &Contestant,
    round: usize,
) -> Result<Window> {
    let load_plan = LoadPlan {
        target: contestant.entry,
        path: contestant.path.clone(),
        headers: contestant.headers.clone(),
        request_bytes: scenario.request_bytes,
        answer_bytes: scenario.answer_bytes,
        connections: scenario.connections,
        warm_up_millis: u64::try_from(plan.warm_up.as_millis())?,
        window_millis: u64::try_from(plan.window.as_millis())?,
        rate: scenario.rate,
        once: scenario.once,
    };
    for process in &contestant.processes {
        usage::reset_peak(process.pid)?;
    }
    let mut before = Vec::new();
    let mut after = Vec::new();
    let load = child::load(
        &plan.own,
        &load_plan,
        async || {
            before = sample(contestant).await?;
            Ok(())
        },
        async || {
            after = sample(contestant).await?;
            Ok(())
        },
    )
    .await?;
    let exchanges = load.exchanges.max(1) as f64;
    let processes = contestant
        .processes
        .iter()
        .zip(before.iter().zip(&after))
        .map(|(process, (before, after))| {
            let batches = before.batches.zip(after.batches);
            ProcessShare {
                role: process.role.clone(),
                cpu_micros_per_exchange: (after.usage.cpu - before.usage.cpu).as_secs_f64() * 1e6 / exchanges,
                peak_kib: after.usage.peak_kib,
                mean_signer_batch: batches
                    .and_then(|(before, after)| after.signer.mean_since(&before.signer)),
                mean_log_batch: batches.and_then(|(before, after)| after.log.mean_since(&before.log)),
            }
        })
        .collect();
    Ok(Window {
        round,
        load,
        processes,
    })
}

impl Window {
    /// Exchanges a second.
    pub fn rate(&self) -> f64 {
        self.load.exchanges as f64 / self.load.seconds.max(f64::EPSILON)
    }
}

async fn sample(contestant: &Contestant) -> Result<Vec<Sample>> {
    let mut samples = Vec::new();
    for process in &contestant.processes {
        let usage =
            usage::of(process.pid).with_context(|| format!("{} of {}", process.role, contestant.name))?;
        let batches = match process.health {
            Some(health) => Some(metrics::read(health).await?),
            None => None,
        };
        samples.push(Sample { usage, batches });
    }
    Ok(samples)
}

async fn bare_pair(own: &Path, net: &Net, provider: SocketAddr) -> Result<([Helper; 2], Contestant)> {
    let identity = crate::authority::throwaway_identity()?;
    let threads = std::thread::available_parallelism()?.get();
    let (entry, middle) = (net.address(11, 8080), net.address(12, 5500));
    let half = |listen, target, side| BareHalf {
        listen,
        target,
        side,
        threads,
        chain: identity.chain.clone(),
        pkcs8: identity.pkcs8.clone(),
    };
    let b = Helper::start(
        own,
        "bench-proxy",
        &half(middle, provider, Side::Provider),
        middle,
    )
    .await?;
    let a = Helper::start(own, "bench-proxy", &half(entry, middle, Side::Consumer), entry).await?;
    let processes = [("A", &a), ("B", &b)]
        .map(|(role, helper)| Watched {
            role: role.into(),
            pid: helper.pid(),
            health: None,
        })
        .into();
    let contestant = Contestant {
        name: "bare",
        entry,
        path: "/".into(),
        headers: Vec::new(),
        processes,
    };
    Ok(([a, b], contestant))
}

async fn two_nodes(subject: &Subject, provider: SocketAddr) -> Result<Federation> {
    let caller = format!("{INSTANCE}/GOV/1001/bench");
    Federation::builder(&Net::claim().await?)
        .node(NodePlan::new("alpha", "1001").client("bench"))
        .node(
            NodePlan::new("beta", "1002")
                .client("bench")
                .service(ServicePlan::new("echo", provider, "/").right(&caller)),
        )
        .start(subject)
        .await
        .context("starting the two nodes")
}

fn contestant_of(federation: &Federation) -> Result<Contestant> {
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let processes = [alpha, beta]
        .map(|node| Watched {
            role: node.name().into(),
            pid: node.pid(),
            health: Some(node.health()),
        })
        .into();
    Ok(Contestant {
        name: "nodes",
        entry: alpha.is_http(),
        path: format!("/r1/{}/echo/x", beta.client_id("bench")),
        headers: vec![("X-Road-Client".into(), alpha.client_id("bench"))],
        processes,
    })
}
