//! Operators who delete an entry, rewrite one or put an older state back, and who catches them: `kontor log check`, what a
//! peer keeps, `kontor log reconcile` (evidence 5).
//!
//! | Manipulation | check | a peer's checkpoint | reconcile |
//! |---|---|---|---|
//! | entries cut off | `log_behind` | read-only | `behind`, `missing_there` |
//! | a leaf rewritten, checksums right | `log_rewritten` | read-only | `forked` |
//! | an older copy of everything | nothing, until a peer has told it; then `log_behind` | read-only from the start | `behind`, `missing_there` |
//! | any of these, and what the node signed removed | nothing | read-only after the next exchange | as above |
//!
//! Each case first asserts that the untouched log passes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http_body_util::Full;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::ledger::{command, until};
use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::evidence;
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::subject::Subject;
use crate::tamper::{Segment, copy, hide};
use crate::wire::http;

cases! {
    quick TAMPERING_EVIDENCE => evidence_of_both;
    quick TAMPERING_CHECK => check;
    quick TAMPERING_PEER => peer;
    quick TAMPERING_RECONCILE => reconcile;
    quick LEDGER_RENEWED => renewed;
    quick TAMPERING_LOST => lost;
}

/// Two nodes that have exchanged messages and co-signed, alpha stopped, and copies of its data.
#[derive(Debug)]
pub struct Tampering {
    federation: Federation,
    _service: Service,
    /// Alpha's data at the end, and of an earlier moment.
    whole: PathBuf,
    older: PathBuf,
    /// Entries of the last exchange in alpha's log: its request is the one that somebody wants gone.
    victim: u64,
    /// An exchange whose evidence was exported before all this.
    exported: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manipulation {
    Delete,
    Rewrite,
    Restore,
}

const ALL: [Manipulation; 3] = [Manipulation::Delete, Manipulation::Rewrite, Manipulation::Restore];

async fn exchange(federation: &Federation, id: &str) -> Result<http::Answer> {
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let path = format!("/r1/{}/echo/x", beta.client_id("office"));
    let request = alpha.request("GET", &path, "portal", id);
    alpha.call(request.body(Full::new(Bytes::new()))?).await
}

/// Entries that a checkpoint file was signed over.
fn signed_over(path: &Path) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let size = text.lines().nth(1).and_then(|size| size.parse().ok());
    size.unwrap_or(0)
}

impl Tampering {
    async fn start(subject: &Subject) -> Result<Mutex<Self>> {
        let net = Net::claim().await?;
        let service = Service::start(net.address(20, 8090)).await?;
        let caller = format!("{INSTANCE}/GOV/1001/portal");
        let mut federation = Federation::builder(&net)
            .node(NodePlan::new("alpha", "1001").client("portal").ledger(1))
            .node(
                NodePlan::new("beta", "1002")
                    .client("office")
                    .service(ServicePlan::new("echo", service.address(), "/").right(&caller))
                    .ledger(1),
            )
            .start(subject)
            .await?;
        let dir = federation.node("alpha").dir().to_owned();
        let (data, whole, older) = (dir.join("data"), dir.join("whole"), dir.join("older"));
        let exported = fresh("exported");
        is_served(&exchange(&federation, &exported).await?)?;
        let cosigned = data.join("log/checkpoint.cosigned");
        for name in ["alpha", "beta"] {
            let cosigned = federation.node(name).dir().join("data/log/checkpoint.cosigned");
            until("nobody co-signs", async || Ok(cosigned.exists())).await?;
        }
        federation.node_mut("alpha").stop().await?;
        copy(&data, &older)?;
        federation.restart("alpha").await?;
        is_served(&exchange(&federation, &fresh("victim")).await?)?;
        let entries = read_entries(&federation).await?;
        until("the last exchange is not co-signed", async || {
            Ok(signed_over(&cosigned) >= entries)
        })
        .await?;
        let victim = victim(&federation).await?;
        // The control of the comparison: nothing was touched.
        let (code, report) = reconciled(&federation).await?;
        ensure!(
            code == Some(0) && report["discrepancies"] == serde_json::json!([]) && report["alike"] == 4,
            "the untouched logs: {code:?} {report}"
        );
        federation.node_mut("alpha").stop().await?;
        copy(&data, &whole)?;
        Ok(Mutex::new(Self {
            federation,
            _service: service,
            whole,
            older,
            victim,
            exported,
        }))
    }

    fn data(&self) -> PathBuf {
        self.federation.node("alpha").dir().join("data")
    }

    /// Stops alpha and puts its data as the operator wants it.
    async fn put(&mut self, manipulation: Option<Manipulation>) -> Result<()> {
        self.federation.node_mut("alpha").stop().await?;
        let data = self.data();
        std::fs::remove_dir_all(&data)?;
        match manipulation {
            Some(Manipulation::Restore) => copy(&self.older, &data),
            None => copy(&self.whole, &data),
            Some(Manipulation::Delete) => {
                copy(&self.whole, &data)?;
                Segment::read(&data)?.cut_from(self.victim)
            }
            Some(Manipulation::Rewrite) => {
                copy(&self.whole, &data)?;
                Segment::read(&data)?.rewrite(self.victim)
            }
        }
    }

    /// Codes of what `kontor log check` finds at the stopped alpha.
    async fn checked(&self) -> Result<Vec<String>> {
        let alpha = self.federation.node("alpha");
        let (code, report) = command(self.federation.subject(), alpha, "check", &[]).await?;
        let codes = codes(&report["findings"]);
        ensure!(
            code == Some(i32::from(!codes.is_empty())),
            "check ends with {code:?}: {report}"
        );
        Ok(codes)
    }

    /// Waits until alpha says that it is read-only; `before` is done meanwhile.
    async fn is_read_only(&self, before: impl AsyncFn() -> Result<()>) -> Result<()> {
        let health = self.federation.node("alpha").health();
        until("alpha does not say that it is read-only", async || {
            before().await?;
            Ok(http::get(health, "/health").await.is_ok_and(|answer| {
                answer.status == 500 && String::from_utf8_lossy(&answer.body).contains("read-only")
            }))
        })
        .await
        .with_context(|| self.federation.node("alpha").log_tail())
    }
}

fn codes(found: &Value) -> Vec<String> {
    let found = found.as_array().cloned().unwrap_or_default();
    let mut codes: Vec<_> = found
        .iter()
        .map(|found| found["code"].as_str().unwrap_or_default().to_owned())
        .collect();
    codes.sort();
    codes.dedup();
    codes
}

async fn read_entries(federation: &Federation) -> Result<u64> {
    Ok(victim(federation).await? + 2)
}

/// The number of alpha's newest request to beta's service.
async fn victim(federation: &Federation) -> Result<u64> {
    let alpha = federation.node("alpha");
    let config = alpha.config().to_str().unwrap_or_default();
    let service = format!("{}/echo", federation.node("beta").client_id("office"));
    let arguments = [
        "log",
        "search",
        "--config",
        config,
        "--json",
        "--service",
        &service,
    ];
    let said = federation.subject().run(arguments).await?;
    let entries = said
        .out
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|entry| entry.to_string().contains("request"))
        .filter_map(|entry| entry["number"].as_u64());
    entries
        .max()
        .ok_or_else(|| anyhow!("search finds no request: {}{}", said.out, said.err))
}

/// Beta compares its log with alpha's.
async fn reconciled(federation: &Federation) -> Result<(Option<i32>, Value)> {
    let member = ["--member", "TEST/GOV/1001"];
    command(
        federation.subject(),
        federation.node("beta"),
        "reconcile",
        &member,
    )
    .await
}

async fn tampering(world: &World) -> Result<&Mutex<Tampering>> {
    let start = || Tampering::start(world.federation.subject());
    world.tampering.get_or_try_init(start).await
}

async fn evidence_of_both(world: &World) -> Result<()> {
    let mut at = tampering(world).await?.lock().await;
    at.put(None).await?;
    let out = tempfile::tempdir()?;
    // Alpha is stopped: its log is read without it.
    let nodes = [at.federation.node("alpha"), at.federation.node("beta")];
    let subject = at.federation.subject();
    let containers = evidence::both_sides(subject, nodes, &at.exported, out.path()).await?;
    ensure!(containers.len() == 4, "{containers:?}");
    let trust = nodes[1].trust();
    for container in containers {
        let arguments = [
            "verify".as_ref(),
            container.as_os_str(),
            "--trust".as_ref(),
            trust.as_os_str(),
        ];
        let said = subject.run(arguments).await?;
        ensure!(
            said.out.contains("co-signed") && !said.out.contains("co-signed by nobody"),
            "{}: {}",
            container.display(),
            said.out
        );
    }
    Ok(())
}

async fn check(world: &World) -> Result<()> {
    let mut at = tampering(world).await?.lock().await;
    at.put(None).await?;
    let found = at.checked().await?;
    ensure!(found.is_empty(), "the untouched log: {found:?}");
    for (manipulation, expected) in [
        (Manipulation::Delete, "log_behind"),
        (Manipulation::Rewrite, "log_rewritten"),
    ] {
        at.put(Some(manipulation)).await?;
        let found = at.checked().await?;
        ensure!(
            found.iter().any(|code| code == expected),
            "{manipulation:?}: {found:?}"
        );
        // What the node signed is gone with it: nothing in this directory speaks against it any more.
        hide(&at.data())?;
        let found = at.checked().await?;
        ensure!(found.is_empty(), "{manipulation:?}, hidden: {found:?}");
    }
    // An older copy is sound in itself, until a peer has told what it saw.
    at.put(Some(Manipulation::Restore)).await?;
    let found = at.checked().await?;
    ensure!(found.is_empty(), "an older copy: {found:?}");
    let subject = at.federation.subject().clone();
    at.federation.node_mut("alpha").begin(&subject)?;
    at.is_read_only(async || Ok(())).await?;
    at.federation.node_mut("alpha").stop().await?;
    let found = at.checked().await?;
    ensure!(
        found.iter().any(|code| code == "log_behind"),
        "an older copy, after a peer has told: {found:?}"
    );
    Ok(())
}

async fn peer(world: &World) -> Result<()> {
    let mut at = tampering(world).await?.lock().await;
    let subject = at.federation.subject().clone();
    for manipulation in ALL {
        // The node knows whom to ask: it takes no message at all.
        at.put(Some(manipulation)).await?;
        let _ = std::fs::remove_file(at.data().join("log/checkpoint"));
        at.federation.node_mut("alpha").begin(&subject)?;
        at.is_read_only(async || Ok(()))
            .await
            .with_context(|| format!("{manipulation:?}"))?;
        let id = fresh("refused");
        let refused = is_refused(&exchange(&at.federation, &id).await?, &["logging_failed"])?;
        ensure!(refused.text.contains("read-only"), "{refused}");
        // So is a peer that asks.
        let (code, said) = reconciled(&at.federation).await?;
        ensure!(
            code == Some(1) && said["err"].as_str().is_some_and(|err| err.contains("read-only")),
            "{manipulation:?}: a peer that asks is told {code:?} {said}"
        );
        // Nobody to ask is known any more: the first exchange brings it out.
        at.put(Some(manipulation)).await?;
        hide(&at.data())?;
        at.federation.node_mut("alpha").begin(&subject)?;
        let federation = &at.federation;
        at.is_read_only(async || {
            let _ = exchange(federation, &fresh("brings-it-out")).await;
            Ok(())
        })
        .await
        .with_context(|| format!("{manipulation:?}, hidden"))?;
    }
    Ok(())
}

async fn reconcile(world: &World) -> Result<()> {
    let mut at = tampering(world).await?.lock().await;
    // A log that was cut is behind what was seen of it, until it has grown beyond that: from then on it is another one.
    for (manipulation, log, entries) in [
        (
            Manipulation::Delete,
            &["behind", "forked"][..],
            &["missing_there"][..],
        ),
        (Manipulation::Rewrite, &["forked"], &[]),
        (Manipulation::Restore, &["behind", "forked"], &["missing_there"]),
    ] {
        at.put(Some(manipulation)).await?;
        // Whoever hides what was signed is caught by the comparison alone.
        hide(&at.data())?;
        at.federation.restart("alpha").await?;
        // Its key is bound a moment after the start.
        let mut last = (None, Value::Null);
        until("the comparison names nothing", async || {
            if last.0.is_some() {
                // A peer that is asked more often than that says so.
                sleep(Duration::from_secs(2)).await;
            }
            last = reconciled(&at.federation).await?;
            let found = codes(&last.1["discrepancies"]);
            // What was exchanged a moment ago is not missed yet: the other side may be writing it.
            let is_found = |code: &&str| found.iter().any(|found| found == *code);
            Ok(log.iter().any(&is_found) && entries.iter().all(is_found))
        })
        .await
        .with_context(|| format!("{manipulation:?}: {last:?}"))?;
        ensure!(last.0 == Some(1), "{manipulation:?}: exit code {:?}", last.0);
    }
    Ok(())
}

async fn renewed(world: &World) -> Result<()> {
    let mut at = tampering(world).await?.lock().await;
    at.put(None).await?;
    let own = at.data().join("log/checkpoint-key.json");
    let before: Value = serde_json::from_slice(&std::fs::read(&own)?)?;
    at.federation.renew_signing("alpha")?;
    // The second of a binding tells which is newer.
    at.federation.restart("alpha").await?;
    let bound = || -> Result<Value> { Ok(serde_json::from_slice(&std::fs::read(&own)?)?) };
    until("the key of the log is not bound anew", async || {
        Ok(bound()?["signature"] != before["signature"])
    })
    .await?;
    let key = |binding: &Value| {
        let statement = binding["statement"].as_str().unwrap_or_default();
        statement.lines().nth(1).unwrap_or_default().to_owned()
    };
    let now = bound()?;
    ensure!(
        key(&now) == key(&before),
        "the key of a log lives as long as the log"
    );
    // The peer goes on co-signing, and keeps the binding that can be verified from now on.
    let id = fresh("renewed");
    is_served(&exchange(&at.federation, &id).await?)?;
    let entries = read_entries(&at.federation).await?;
    let cosigned = at.data().join("log/checkpoint.cosigned");
    until("the peer does not co-sign any more", async || {
        Ok(signed_over(&cosigned) >= entries)
    })
    .await?;
    let witness = at.federation.node("beta").dir().join("data/witness");
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(witness)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with(".key.json") {
            kept.push(serde_json::from_slice::<Value>(&std::fs::read(path)?)?);
        }
    }
    ensure!(
        kept.iter().any(|kept| kept["statement"] == now["statement"]),
        "the peer keeps the old binding"
    );
    let out = tempfile::tempdir()?;
    let nodes = [at.federation.node("alpha"), at.federation.node("beta")];
    evidence::both_sides(at.federation.subject(), nodes, &id, out.path()).await?;
    Ok(())
}

async fn lost(world: &World) -> Result<()> {
    let mut at = tampering(world).await?.lock().await;
    // A new disk: the node begins a new log, and its peer is told at the next exchange.
    at.federation.node_mut("alpha").stop().await?;
    std::fs::remove_dir_all(at.data())?;
    at.federation.restart("alpha").await?;
    is_served(&exchange(&at.federation, &fresh("anew")).await?)?;
    let beta = at.federation.node("beta");
    until("beta does not say that alpha has begun a new log", async || {
        let answer = http::get(beta.health(), "/health").await?;
        Ok(String::from_utf8_lossy(&answer.body).contains("has begun a new log"))
    })
    .await?;
    let mut last = Value::Null;
    until("beta misses nothing", async || {
        if !last.is_null() {
            // A peer that is asked more often than that says so.
            sleep(Duration::from_secs(2)).await;
        }
        last = reconciled(&at.federation).await?.1;
        Ok(codes(&last["discrepancies"])
            .iter()
            .any(|code| code == "missing_there"))
    })
    .await
    .with_context(|| last.to_string())
}
