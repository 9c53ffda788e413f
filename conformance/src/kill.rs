//! Real kills: node processes die by `kill -9` under load, start again, and exchanges that were acknowledged are looked for
//! in both logs, those of the last moment before the kill first.
//!
//! Owns the load (32 information systems, each exchange with a message id of its own) and the list of what was
//! acknowledged; refuses to take a node's word for its log: evidence is exported and verified by other processes.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use kontor_pki::crypto::random;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::address::Net;
use crate::evidence;
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::report::say;
use crate::service::Service;
use crate::subject::Subject;
use crate::wire::http::Connection;

/// How often, and how much is looked at.
#[derive(Clone, Copy, Debug)]
pub struct KillPlan {
    pub times: usize,
    pub connections: usize,
    /// Acknowledged exchanges looked for in both logs after each kill: half of them the last before it, which are the ones
    /// at risk, the others from all of the round.
    pub looked_for: usize,
    /// How many of these have their evidence exported with time-stamps and verified.
    pub verified: usize,
    /// Whether each kill is said aloud.
    pub aloud: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct KillReport {
    pub kills: usize,
    pub acknowledged: usize,
    pub looked_for: usize,
    pub containers_verified: usize,
    pub missing: Vec<String>,
    pub slowest_restart_millis: u128,
}

pub(crate) type Acknowledged = Arc<Mutex<Vec<String>>>;

/// Kills, restarts and looks.
pub async fn run(subject: &Subject, plan: KillPlan) -> Result<KillReport> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let mut federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").client("antrag"))
        .node(NodePlan::new("beta", "1002").client("antrag").service(
            ServicePlan::new("intake", service.address(), "").right(&format!("{INSTANCE}/GOV/1001/antrag")),
        ))
        .start(subject)
        .await?;
    let mut report = KillReport::default();
    let out = tempfile::tempdir()?;
    for turn in 0..plan.times {
        // Consumer, provider, both: each loses something else.
        let victims: &[&str] = [&["alpha"][..], &["beta"], &["alpha", "beta"]][turn % 3];
        let acknowledged = round(&mut federation, plan, victims)
            .await
            .with_context(|| format!("kill {turn} of {victims:?}"))?;
        let begin = Instant::now();
        for victim in victims {
            federation
                .restart(victim)
                .await
                .with_context(|| format!("after kill {turn}"))?;
        }
        report.slowest_restart_millis = report.slowest_restart_millis.max(begin.elapsed().as_millis());
        report.kills += victims.len();
        report.acknowledged += acknowledged.len();
        let chosen = choose(&acknowledged, plan.looked_for.max(plan.verified));
        let (to_verify, to_look_for) = chosen.split_at(plan.verified.min(chosen.len()));
        let dir = out.path().join(turn.to_string());
        let (verified, mut missing) = verify(&federation, to_verify, &dir).await;
        missing.extend(look(&federation, to_look_for.to_vec(), &dir).await);
        std::fs::remove_dir_all(&dir)?;
        report.looked_for += chosen.len();
        report.containers_verified += verified;
        if plan.aloud {
            say(format_args!(
                "kill {turn:>3} of {victims:?}: {} acknowledged, {} looked for, {verified} containers verified, {} missing",
                acknowledged.len(),
                chosen.len(),
                missing.len()
            ));
        }
        report.missing.extend(missing);
    }
    Ok(report)
}

async fn round(federation: &mut Federation, plan: KillPlan, victims: &[&str]) -> Result<Vec<String>> {
    let alpha = federation.node("alpha");
    let path = format!("/r1/{}/intake/echo", federation.node("beta").client_id("antrag"));
    let client = alpha.client_id("antrag");
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged = Acknowledged::default();
    let mut load = JoinSet::new();
    for _ in 0..plan.connections {
        load.spawn(information_system(
            alpha.is_http(),
            path.clone(),
            client.clone(),
            acknowledged.clone(),
            stop.clone(),
        ));
    }
    // The kill comes while the load runs: after the first answers, at a moment nobody chose.
    let begin = Instant::now();
    while acknowledged.lock().expect("no holder of the list panics").len() < plan.connections {
        if begin.elapsed() > Duration::from_secs(30) {
            bail!(
                "the load does not get going: {}",
                federation.node("alpha").log_tail()
            );
        }
        sleep(Duration::from_millis(2)).await;
    }
    sleep(Duration::from_micros(
        u64::from(u16::from_le_bytes(random::<2>())) * 3,
    ))
    .await;
    for victim in victims {
        federation.node_mut(victim).kill().await?;
    }
    stop.store(true, Ordering::Relaxed);
    load.join_all().await;
    let acknowledged = std::mem::take(&mut *acknowledged.lock().expect("no holder of the list panics"));
    Ok(acknowledged)
}

pub(crate) async fn information_system(
    target: std::net::SocketAddr,
    path: String,
    client: String,
    acknowledged: Acknowledged,
    stop: Arc<AtomicBool>,
) {
    let body = Bytes::from(vec![b'k'; 1024]);
    let mut connection = None;
    while !stop.load(Ordering::Relaxed) {
        let id = uuid::Uuid::new_v4().to_string();
        let exchange = async {
            if connection.is_none() {
                connection = Some(Connection::open(target, None).await?);
            }
            let request = Request::post(&path)
                .header("host", "x")
                .header("x-road-client", &client)
                .header("x-road-id", &id)
                .body(Full::new(body.clone()))?;
            let answer = connection.as_mut().expect("opened above").send(request).await?;
            ensure!(answer.status.is_success() && answer.body == body, "refused");
            anyhow::Ok(())
        };
        match exchange.await {
            Ok(()) => acknowledged
                .lock()
                .expect("no holder of the list panics")
                .push(id),
            // Refused or broken off: not acknowledged, nothing to be found.
            Err(_) => {
                connection = None;
                sleep(Duration::from_millis(2)).await;
            }
        }
    }
}

/// The last half of `count` from the end of the list, the other half evenly from the rest.
pub(crate) fn choose(acknowledged: &[String], count: usize) -> Vec<String> {
    let last = acknowledged.len().saturating_sub(count / 2);
    let (rest, end) = acknowledged.split_at(last);
    let step = (rest.len() / (count - count / 2).max(1)).max(1);
    end.iter()
        .chain(rest.iter().step_by(step).take(count - count / 2))
        .cloned()
        .collect()
}

/// Exports and verifies request and response of each exchange from both nodes.
pub(crate) async fn verify(federation: &Federation, ids: &[String], out: &Path) -> (usize, Vec<String>) {
    let mut missing = Vec::new();
    let mut verified = 0;
    for id in ids {
        let nodes = [federation.node("alpha"), federation.node("beta")];
        match evidence::both_sides(federation.subject(), nodes, id, &out.join(id)).await {
            Ok(containers) => verified += containers.len(),
            Err(error) => missing.push(format!("{id}: {error:#}")),
        }
    }
    (verified, missing)
}

/// Looks for each exchange in both logs, a few at a time.
pub(crate) async fn look(federation: &Federation, ids: Vec<String>, out: &Path) -> Vec<String> {
    const AT_ONCE: usize = 4;
    let ids = Mutex::new(ids);
    let worker = || async {
        let mut missing = Vec::new();
        loop {
            // Bound to a name of its own, so that the lock is given back before the wait.
            let next = ids.lock().expect("no holder of the list panics").pop();
            let Some(id) = next else { return missing };
            for node in [federation.node("alpha"), federation.node("beta")] {
                let dir = out.join(&id).join(node.name());
                if let Err(error) = evidence::is_present(federation.subject(), node, &id, &dir).await {
                    missing.push(format!("{id}: {error:#}"));
                }
            }
        }
    };
    let [a, b, c, d] = [(); AT_ONCE].map(|()| worker());
    let (a, b, c, d) = tokio::join!(a, b, c, d);
    [a, b, c, d].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_exchanges_before_a_kill_are_always_looked_for() {
        let ids: Vec<_> = (0..1000).map(|index| index.to_string()).collect();
        let chosen = choose(&ids, 20);
        assert_eq!(chosen.len(), 20);
        assert!((990..1000).all(|index: i32| chosen.contains(&index.to_string())));
        assert_eq!(choose(&ids[..3], 20).len(), 3);
    }
}
