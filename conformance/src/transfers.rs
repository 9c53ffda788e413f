//! Many transfers between two nodes while either of them is killed at random: each ends in a legal state that is the same on both
//! sides, nobody's acknowledged command is lost, no case stands twice, and no file changes.
//!
//! The lines between them are cut after a request and before its answer, and a peer repeats what it said, late and out of order.
//! At the end the evidence of every transfer is exported, judged, and held against a second opinion.
//!
//! Owns the desks that go on after a node comes back (what they are told counts, what breaks off is asked again) and the list of
//! what was acknowledged. Which way a transfer goes is drawn from a seed.

pub mod opinions;
pub mod speed;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use kontor_pki::crypto::sha256;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::opinions::OpinionsReport;
use crate::address::Net;
use crate::desk::{BETA, Desk, all_answered, application, files, number, settings, text};
use crate::federation::Federation;
use crate::plan::{NodePlan, PeerPlan};
use crate::report::say;
use crate::scripted::{message, offer, told};
use crate::subject::Subject;
use crate::wires::Wire;

/// How many, and how often a node dies.
#[derive(Clone, Copy, Debug)]
pub struct TransfersPlan {
    pub transfers: usize,
    pub at_once: usize,
    pub kills: usize,
    pub seed: u64,
    /// Of how many transfers the evidence is judged; of all if nothing is said.
    pub packages: Option<usize>,
    pub aloud: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TransfersReport {
    pub transfers: usize,
    pub kills: usize,
    /// How many ended in which state of their sender.
    pub ends: BTreeMap<String, usize>,
    pub acknowledged: usize,
    pub files_compared: usize,
    pub seconds: f64,
    /// How often a line was cut with an answer on its way.
    pub cuts: usize,
    /// Messages that a peer repeated late.
    pub repeated: usize,
    /// What the evidence says.
    pub opinions: OpinionsReport,
    pub wrong: Vec<String>,
}

/// How long one transfer may take, kills included.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where the lines to the two nodes begin.
const FRONTS: (u8, u8) = (51, 52);
/// One in so many pieces of answers is swallowed.
const CUT: u16 = 50;

/// How a transfer is to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    TakeOver,
    Withdraw,
    Refuse,
    RefuseImported,
    Recall,
    Dispute,
    Copy,
}

fn way(seed: u64, index: usize) -> Way {
    let drawn = sha256(format!("{seed} {index}").as_bytes())[0];
    match drawn % 16 {
        0 => Way::Withdraw,
        1 => Way::Refuse,
        2 => Way::RefuseImported,
        3 => Way::Recall,
        4 => Way::Dispute,
        5 => Way::Copy,
        _ => Way::TakeOver,
    }
}

/// A pause, or the end of patience with what was said last: a node that was killed comes back.
async fn again(begun: Instant, error: anyhow::Error) -> Result<()> {
    ensure!(begun.elapsed() < PATIENCE, error);
    sleep(Duration::from_millis(50)).await;
    Ok(())
}

/// Hands an application in; handed in again it is the same case.
async fn handed_in(desk: &Desk, form: &Value) -> Result<String> {
    let begun = Instant::now();
    loop {
        match desk.hand_in(form, &files()).await {
            Ok(case) => return Ok(text(&case, "id")?.to_owned()),
            Err(error) => again(begun, error).await?,
        }
    }
}

async fn offered_once(desk: &Desk, case: &str, situation: &str) -> Result<String> {
    let now = desk.get(&format!("/api/v1/cases/{case}")).await?;
    match now["transfer"].as_str() {
        // It was offered, and only the answer was lost.
        Some(id) => Ok(id.to_owned()),
        None => Ok(text(&desk.offer(&now, BETA, situation).await?, "id")?.to_owned()),
    }
}

async fn offered(desk: &Desk, case: &str, situation: &str) -> Result<String> {
    let begun = Instant::now();
    loop {
        match offered_once(desk, case, situation).await {
            Ok(id) => return Ok(id),
            Err(error) => again(begun, error).await?,
        }
    }
}

/// Has a command carried out, whatever breaks off meanwhile; gives how often it was acknowledged.
async fn commanded(desk: &Desk, id: &str, command: &str, body: &Value, reached: &[&str]) -> Result<usize> {
    let begun = Instant::now();
    loop {
        ensure!(
            begun.elapsed() < PATIENCE,
            "{command} of {id} does not come to an end"
        );
        let Ok(now) = desk.get(&format!("/api/v1/transfers/{id}")).await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        // It was carried out, and only its answer was lost; or the other side was faster.
        if reached.contains(&text(&now, "state")?) {
            return Ok(0);
        }
        let path = format!("/api/v1/transfers/{id}/commands/{command}");
        match desk.post(&path, number(&now, "version")?, body).await {
            Ok((status, _)) if status.is_success() => return Ok(1),
            Ok((status, page)) if status.is_client_error() && page["code"] == "illegal_for_state" => {
                // Not yet: what has to come first is on its way.
                sleep(Duration::from_millis(20)).await;
            }
            Ok((_, _)) | Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}

struct Done {
    id: String,
    case: String,
    acknowledged: usize,
    taken_over: bool,
}

async fn one(here: Desk, there: Desk, seed: u64, index: usize) -> Result<Done> {
    let digest = sha256(format!("transaction {seed} {index}").as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let transaction = format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    );
    let form = application(&transaction);
    let case_id = handed_in(&here, &form).await?;
    let way = way(seed, index);
    let situation = if way == Way::Copy {
        "COPY"
    } else {
        "COMPETENCE_CHANGED"
    };
    let id = offered(&here, &case_id, situation).await?;
    let mut acknowledged = 2;
    let nothing = json!({});
    let accepted = ["ACCEPTING", "ACCEPTED", "PACKAGE_READY", "IMPORTED", "CLOSED"];
    if !matches!(way, Way::Withdraw | Way::Refuse | Way::Dispute) {
        acknowledged += commanded(&there, &id, "accept", &nothing, &accepted).await?;
    }
    match way {
        Way::Withdraw => acknowledged += commanded(&here, &id, "withdraw", &nothing, &["WITHDRAWN"]).await?,
        Way::Refuse => {
            let why = json!({ "reason": "NOT_COMPETENT_PLACE" });
            acknowledged += commanded(&there, &id, "refuse", &why, &["REFUSED"]).await?;
        }
        Way::Dispute => acknowledged += commanded(&there, &id, "dispute", &nothing, &["DISPUTED"]).await?,
        Way::RefuseImported => {
            until(&there, &id, &["IMPORTED"]).await?;
            let why = json!({ "reason": "INCOMPLETE" });
            acknowledged += commanded(&there, &id, "refuse", &why, &["REFUSED"]).await?;
        }
        Way::Recall => {
            let why = json!({ "recall_reason": "WRONG_RECIPIENT" });
            acknowledged += commanded(&here, &id, "recall", &why, &["RECALLING", "RECALLED"]).await?;
        }
        Way::Copy => {}
        Way::TakeOver => {
            until(&there, &id, &["IMPORTED", "TAKEN_OVER", "CLOSED"]).await?;
            acknowledged += commanded(&there, &id, "take-over", &nothing, &["TAKEN_OVER", "CLOSED"]).await?;
        }
    }
    let (sender, receiver): (&[&str], &[&str]) = match way {
        Way::Withdraw => (&["WITHDRAWN"], &["ENDED_BY_SENDER"]),
        Way::Refuse | Way::RefuseImported => (&["REFUSED"], &["REFUSED"]),
        Way::Dispute => (&["DISPUTED"], &["DISPUTED"]),
        Way::Recall => (&["RECALLED"], &["RECALLED"]),
        Way::Copy | Way::TakeOver => (&["CLOSED"], &["CLOSED"]),
    };
    until(&here, &id, sender).await?;
    until(&there, &id, receiver).await?;
    Ok(Done {
        id,
        case: case_id,
        acknowledged,
        taken_over: way == Way::TakeOver,
    })
}

async fn until(desk: &Desk, id: &str, states: &[&str]) -> Result<()> {
    let begun = Instant::now();
    let mut last = Value::Null;
    loop {
        if let Ok(now) = desk.get(&format!("/api/v1/transfers/{id}")).await {
            if states.contains(&text(&now, "state")?) {
                return Ok(());
            }
            last = now;
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "{id} is not {states:?} in time but {}, pulled {}, sent {}",
                last["state"],
                last["package"],
                last["sent"]
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Runs the campaign.
pub async fn run(subject: &Subject, plan: TransfersPlan) -> Result<TransfersReport> {
    let net = Net::claim().await?;
    let mut federation = Federation::builder(&net)
        .node(
            NodePlan::new("alpha", "1001")
                .casework(&settings("010585890008", ""))
                .known_at(FRONTS.0),
        )
        .node(
            NodePlan::new("beta", "1002")
                .casework(&settings("010020000000", ""))
                .known_at(FRONTS.1),
        )
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(subject)
        .await?;
    let wires = [
        Wire::start(&net, FRONTS.0, 11, CUT, plan.seed).await?,
        Wire::start(&net, FRONTS.1, 12, CUT, plan.seed + 1).await?,
    ];
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let begun = Instant::now();
    let ended = Arc::new(AtomicUsize::new(0));
    let driving = {
        let (here, there, ended) = (here.clone(), there.clone(), Arc::clone(&ended));
        tokio::spawn(async move {
            let (mut running, mut done) = (JoinSet::new(), Vec::new());
            for index in 0..plan.transfers {
                while running.len() >= plan.at_once {
                    if let Some(one) = running.join_next().await {
                        ended.fetch_add(1, Ordering::Relaxed);
                        done.push(one.context("a task")?);
                    }
                }
                running.spawn(one(here.clone(), there.clone(), plan.seed, index));
            }
            while let Some(one) = running.join_next().await {
                ended.fetch_add(1, Ordering::Relaxed);
                done.push(one.context("a task")?);
            }
            anyhow::Ok(done)
        })
    };
    let mut report = TransfersReport {
        transfers: plan.transfers,
        ..TransfersReport::default()
    };
    while report.kills < plan.kills && !driving.is_finished() {
        let drawn = sha256(format!("kill {} {}", plan.seed, report.kills).as_bytes());
        sleep(Duration::from_millis(100 + u64::from(drawn[0]) * 4)).await;
        let both = drawn[1].is_multiple_of(8);
        let names: &[&str] = match (both, drawn[1] % 2) {
            (true, _) => &["alpha", "beta"],
            (false, 0) => &["alpha"],
            (false, _) => &["beta"],
        };
        for name in names {
            federation.node_mut(name).kill().await?;
        }
        for name in names {
            federation.restart(name).await?;
        }
        report.kills += 1;
        if plan.aloud && report.kills.is_multiple_of(10) {
            say(format_args!(
                "{} kills, {} of {} transfers have ended",
                report.kills,
                ended.load(Ordering::Relaxed),
                plan.transfers
            ));
        }
    }
    let done = driving.await??;
    repeated(&federation, plan, &mut report).await?;
    report.cuts = wires.iter().map(Wire::cuts).sum();
    report.seconds = begun.elapsed().as_secs_f64();
    let mut ids = HashMap::new();
    for one in done {
        match one {
            Err(error) => {
                let said = format!("{error:#}");
                let id = said.split(' ').next().unwrap_or_default().to_owned();
                report.wrong.push(said);
                for node in federation.nodes() {
                    let log = node.log();
                    let about = log
                        .lines()
                        .filter(|line| line.contains(&id))
                        .map(|line| format!("  {}: {line}", node.name()));
                    report.wrong.extend(about.take(8));
                }
            }
            Ok(one) => {
                report.acknowledged += one.acknowledged;
                judge(&here, &there, &one, &mut report).await?;
                if ids.insert(one.id.clone(), one.case).is_some() {
                    report.wrong.push(format!("{} stands twice", one.id));
                }
            }
        }
    }
    let mut judged: Vec<String> = ids.into_keys().collect();
    judged.sort_unstable();
    judged.truncate(plan.packages.unwrap_or(usize::MAX));
    let nodes = ["alpha", "beta"];
    report.opinions = opinions::compare(subject, &federation, nodes, &judged, &mut report.wrong).await?;
    // As many cases as applications were handed in, and over there as many as were pulled.
    for (desk, name) in [(&here, "alpha"), (&there, "beta")] {
        let status = desk.get("/api/v1/status").await?;
        let cases = number(&status, "cases")?;
        if name == "alpha" && cases != plan.transfers as u64 {
            report
                .wrong
                .push(format!("{cases} cases for {} applications", plan.transfers));
        }
        report.wrong.extend(waiting(desk, name).await?);
    }
    Ok(report)
}

/// A peer that says everything again, late and in any order: what was taken stays taken with the answer that was given, and nothing
/// that is out of turn is.
async fn repeated(federation: &Federation, plan: TransfersPlan, report: &mut TransfersReport) -> Result<()> {
    let there = Desk::at(federation.node("beta"));
    let gamma = federation.peer("gamma");
    // The last start may be a moment ago.
    there.get("/api/v1/status").await?;
    let transfers = (plan.transfers / 10).clamp(4, 200);
    let mut said: Vec<(String, String, Value)> = Vec::new();
    for index in 0..transfers {
        let id = format!("5f2504e0-4f89-41d3-9a0c-{index:012x}");
        let at = |seq: u32, kind: &str| format!("/v1/transfers/{id}/sender/{seq}/{kind}");
        let offer = offer(&id, "2098-12-31T23:00:00Z");
        let withdraw = message("withdraw", json!({}));
        // Out of turn before anything is known of it.
        let (status, page) = told(federation, "beta", gamma, "PUT", &at(2, "withdraw"), &withdraw).await?;
        ensure!(
            status == 409 && page["code"] == "gap",
            "a withdrawal before its offer: {status}: {page}"
        );
        for (path, body) in [(at(1, "offer"), offer), (at(2, "withdraw"), withdraw.clone())] {
            let (status, page) = told(federation, "beta", gamma, "PUT", &path, &body).await?;
            ensure!(status == 202, "{path}: {status}: {page}");
            said.push((path, body, page));
        }
        let (status, page) = told(federation, "beta", gamma, "PUT", &at(9, "withdraw"), &withdraw).await?;
        ensure!(
            status == 409 && page["code"] == "gap",
            "out of turn: {status}: {page}"
        );
        // Something of long ago comes once more.
        let drawn = sha256(format!("repeat {} {index}", plan.seed).as_bytes());
        for turn in 0..3 {
            let (path, body, answer) = &said[usize::from(drawn[turn]) % said.len()];
            let (status, page) = told(federation, "beta", gamma, "PUT", path, body).await?;
            report.repeated += 1;
            if status != 202 || page != *answer {
                report
                    .wrong
                    .push(format!("{path} again: {status}: {page} instead of {answer}"));
            }
        }
    }
    for index in 0..transfers {
        let id = format!("5f2504e0-4f89-41d3-9a0c-{index:012x}");
        let page = there.get(&format!("/api/v1/transfers/{id}")).await?;
        if page["state"] != "ENDED_BY_SENDER" || page["received"].as_array().map_or(0, Vec::len) != 2 {
            report.wrong.push(format!("{id} after its repeats: {page}"));
        }
    }
    Ok(())
}

/// Since when the receiver is responsible, if it is, by nothing but the messages and their receipts: an opinion of the suite's own, which
/// shares nothing with what the nodes decide by.
fn responsible<'a>(sender: &'a Value, receiver: &'a Value) -> Option<&'a str> {
    let moves = ["MISDIRECTED", "COMPETENCE_CHANGED", "MIGRATION"];
    let moves = moves
        .iter()
        .any(|situation| sender["offer"]["situation"] == *situation);
    let said = receiver["sent"]
        .as_array()?
        .iter()
        .find(|message| message["kind"] == "taken-over")?;
    let taken = said["state"]["receipt"]["answer"] == "taken";
    (moves && taken)
        .then(|| receiver["taken_over_at"].as_str())
        .flatten()
}

/// What still waits at a node, which is wrong once all has ended: a receipt that was lost comes a moment later.
pub(crate) async fn waiting(desk: &Desk, name: &str) -> Result<Vec<String>> {
    let begun = Instant::now();
    loop {
        let status = desk.get("/api/v1/status").await?;
        let waiting = status["waiting"].as_array().cloned().unwrap_or_default();
        if waiting.is_empty() || begun.elapsed() > PATIENCE {
            let told = |one| format!("{name}: something waits though all has ended: {one}");
            return Ok(waiting.iter().map(told).collect());
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Compares both sides of a transfer that has ended.
async fn judge(here: &Desk, there: &Desk, one: &Done, report: &mut TransfersReport) -> Result<()> {
    let path = format!("/api/v1/transfers/{}", one.id);
    // A state may be reached before its last answer has come back.
    let begun = Instant::now();
    let (ours, theirs) = loop {
        let both = (here.get(&path).await?, there.get(&path).await?);
        if (all_answered(&both.0) && all_answered(&both.1)) || begun.elapsed() > PATIENCE {
            break both;
        }
        sleep(Duration::from_millis(50)).await;
    };
    *report.ends.entry(text(&ours, "state")?.to_owned()).or_default() += 1;
    if ours["taken_over_at"] != theirs["taken_over_at"] {
        report
            .wrong
            .push(format!("{}: two instants of take-over", one.id));
    }
    let may_act = |page: &Value| page["responsibility"] == "mine";
    if may_act(&ours) == may_act(&theirs) {
        report.wrong.push(format!(
            "{}: {} and {}",
            one.id, ours["responsibility"], theirs["responsibility"]
        ));
    }
    for page in [&ours, &theirs].into_iter().filter(|page| !all_answered(page)) {
        let sent = &page["sent"];
        report
            .wrong
            .push(format!("{}: something is not answered: {sent}", one.id));
    }
    let told = responsible(&ours, &theirs);
    let believed = match (may_act(&ours), may_act(&theirs)) {
        (true, false) => Some(None),
        (false, true) => Some(theirs["taken_over_at"].as_str()),
        (true, true) | (false, false) => None,
    };
    if believed != Some(told) {
        report.wrong.push(format!(
            "{}: by its messages {told:?}, by its nodes {believed:?}",
            one.id
        ));
    }
    if !one.taken_over {
        return Ok(());
    }
    let (from, to) = (
        here.get(&format!("/api/v1/cases/{}/files", one.case)).await?,
        there
            .get(&format!("/api/v1/cases/{}/files", text(&theirs, "case")?))
            .await?,
    );
    let digests = |page: &Value| -> Vec<(Value, Value)> {
        let files = page["files"].as_array().cloned().unwrap_or_default();
        files
            .iter()
            .map(|file| (file["original_name"].clone(), file["sha512"].clone()))
            .collect()
    };
    report.files_compared += digests(&from).len();
    if digests(&from) != digests(&to) {
        report.wrong.push(format!("{}: the files are others", one.id));
    }
    for file in to["files"].as_array().into_iter().flatten().take(1) {
        let path = format!(
            "/api/v1/cases/{}/files/{}",
            text(&theirs, "case")?,
            text(file, "file_id")?
        );
        let answer = there
            .send(hyper::Method::GET, &path, None, "", Vec::new())
            .await?;
        let digest: String = sha256(&answer.body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        if file["sha256"] != json!(digest) {
            report
                .wrong
                .push(format!("{}: the octets of a file are others", one.id));
        }
    }
    Ok(())
}
