//! Many requests to three bodies each while nodes are killed at random: each ends in a legal state that is the same on both sides, no
//! statement is lost or doubled, and what silence meant is recorded after the node of who was silent was asked, also where a statement
//! came late.
//!
//! Two bodies have nodes, the third is a guest. The lines between the nodes are cut after a request and before its answer. Owns the
//! nodes, their clock and who kills them.

mod ends;
pub mod handovers;
pub mod many;
pub mod opinions;
pub mod speed;
mod steps;
mod way;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kontor_pki::crypto::sha256;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::opinions::OpinionsReport;
use self::way::one;
use crate::address::Net;
use crate::desk::{Desk, settings};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::report::say;
use crate::subject::Subject;
use crate::suite::participation::pass;
use crate::transfers;
use crate::wires::Wire;

/// How many, and how often a node dies.
#[derive(Clone, Copy, Debug)]
pub struct RequestsPlan {
    pub requests: usize,
    pub at_once: usize,
    pub kills: usize,
    pub seed: u64,
    /// Of how many requests the evidence is judged; of all if nothing is said.
    pub packages: Option<usize>,
    pub aloud: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct RequestsReport {
    pub requests: usize,
    pub rounds: usize,
    pub kills: usize,
    /// How many of them while the ends were recorded, and what came late.
    pub kills_after_the_end: usize,
    /// How many ended in which state.
    pub ends: BTreeMap<String, usize>,
    pub acknowledged: usize,
    pub statements: usize,
    pub files_compared: usize,
    pub seconds: f64,
    /// How often a line was cut with an answer on its way.
    pub cuts: usize,
    /// What the evidence says.
    pub opinions: OpinionsReport,
    pub wrong: Vec<String>,
}

/// Where the lines to the nodes begin.
const FRONTS: [u8; 3] = [51, 52, 53];
/// One in so many pieces of answers is swallowed.
const CUT: u16 = 60;
const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// Runs the campaign.
pub async fn run(subject: &Subject, plan: RequestsPlan) -> Result<RequestsReport> {
    let net = Net::claim().await?;
    let directory = tempfile::tempdir()?;
    let clock = directory.path().join("clock-of-the-training");
    let mut federation = nodes(subject, &net, &clock).await?;
    let mut wires = Vec::new();
    for (place, front) in (0_u8..).zip(FRONTS) {
        wires.push(Wire::start(&net, front, 11 + place, CUT, plan.seed + u64::from(place)).await?);
    }
    let desks = NAMES.map(|name| Desk::at(federation.node(name)));
    let begun = Instant::now();
    let rounds = plan.requests.div_ceil(3);
    let ended = Arc::new(AtomicUsize::new(0));
    let driving = {
        let (desks, ended) = (desks.clone(), Arc::clone(&ended));
        tokio::spawn(driven(rounds, plan.at_once, ended, move |index| {
            one(desks.clone(), plan.seed, index)
        }))
    };
    let mut killer = Killer {
        federation: &mut federation,
        seed: plan.seed,
        kills: 0,
    };
    let after_the_end = plan.kills.div_ceil(4);
    while killer.kills < plan.kills - after_the_end && !driving.is_finished() {
        killer.strikes(200, 6).await?;
        if plan.aloud && killer.kills.is_multiple_of(10) {
            say(format_args!(
                "{} kills, {} of {rounds} rounds have gone their way",
                killer.kills,
                ended.load(Ordering::Relaxed)
            ));
        }
    }
    let (mut all, mut wrong, mut acknowledged) = (Vec::new(), Vec::new(), 0);
    for one in driving.await?? {
        match one {
            Err(error) => wrong.push(format!("{error:#}")),
            Ok((both, times)) => {
                acknowledged += times;
                all.extend(both);
            }
        }
    }
    let mut asked: Vec<(String, usize)> = all.iter().map(|one| (one.id.clone(), one.place)).collect();
    // Everybody's time is over now, the extended one too.
    pass(&clock, 90)?;
    let before = killer.kills;
    let judging = tokio::spawn(ends::judged(desks[0].clone(), all));
    while killer.kills < before + after_the_end && !judging.is_finished() {
        killer.strikes(50, 1).await?;
    }
    let kills = killer.kills;
    let mut report = judging.await.context("a task")?;
    report.requests = rounds * 3;
    report.rounds = rounds;
    report.kills = kills;
    report.kills_after_the_end = kills - before;
    report.acknowledged += acknowledged;
    report.wrong.splice(0..0, wrong);
    asked.truncate(plan.packages.unwrap_or(usize::MAX));
    report.opinions = opinions::compare(subject, &federation, &asked, &mut report.wrong).await?;
    report.cuts = wires.iter().map(Wire::cuts).sum();
    report.seconds = begun.elapsed().as_secs_f64();
    report.wrong.extend(waiting(&desks).await?);
    Ok(report)
}

/// Has all of them go their way, some at once, and gives what each came to.
async fn driven<T, F>(
    count: usize,
    at_once: usize,
    ended: Arc<AtomicUsize>,
    one: impl Fn(usize) -> F,
) -> Result<Vec<T>>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (mut running, mut all) = (JoinSet::new(), Vec::new());
    for index in 0..count {
        if running.len() >= at_once
            && let Some(one) = running.join_next().await
        {
            ended.fetch_add(1, Ordering::Relaxed);
            all.push(one.context("a task")?);
        }
        running.spawn(one(index));
    }
    while let Some(one) = running.join_next().await {
        ended.fetch_add(1, Ordering::Relaxed);
        all.push(one.context("a task")?);
    }
    Ok(all)
}

/// What still waits at the nodes.
async fn waiting(desks: &[Desk; 3]) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    for (desk, name) in desks.iter().zip(NAMES) {
        wrong.extend(transfers::waiting(desk, name).await?);
    }
    Ok(wrong)
}

/// Kills one node after the other, as drawn.
struct Killer<'a> {
    federation: &'a mut Federation,
    seed: u64,
    kills: usize,
}

impl Killer<'_> {
    /// After `pause` milliseconds, and up to 255 `more` times as drawn.
    async fn strikes(&mut self, pause: u64, more: u64) -> Result<()> {
        let drawn = sha256(format!("kill {} {}", self.seed, self.kills).as_bytes());
        sleep(Duration::from_millis(pause + u64::from(drawn[0]) * more)).await;
        let name = NAMES[usize::from(drawn[1]) % NAMES.len()];
        self.federation.node_mut(name).kill().await?;
        self.federation.restart(name).await?;
        self.kills += 1;
        Ok(())
    }
}

async fn nodes(subject: &Subject, net: &Net, clock: &Path) -> Result<Federation> {
    let lines = format!("training_clock = {:?}\n", clock.display().to_string());
    let plans = [
        ("alpha", "1001", "010585890008"),
        ("beta", "1002", "010020000000"),
        ("gamma", "1003", "010030000000"),
    ];
    let mut builder = Federation::builder(net);
    for ((name, member, region), front) in plans.into_iter().zip(FRONTS) {
        builder = builder.node(
            NodePlan::new(name, member)
                .casework(&settings(region, &lines))
                .known_at(front),
        );
    }
    builder
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(subject)
        .await
}
