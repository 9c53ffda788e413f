//! Many requests to three bodies each while nodes are killed at random: each ends in a legal state that is the same on both sides, no
//! statement is lost or doubled, and what silence meant is recorded after the node of who was silent was asked.
//!
//! Two bodies have nodes, the third is a guest. The lines between the nodes are cut after a request and before its answer. Owns the
//! desks that go on after a node comes back, and the list of what was acknowledged; which way a request goes is drawn from a seed.

pub mod many;
pub mod opinions;
pub mod speed;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::{Method, StatusCode};
use kontor_pki::crypto::sha256;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use self::opinions::OpinionsReport;
use crate::address::Net;
use crate::desk::{Desk, application, files, number, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::report::say;
use crate::subject::Subject;
use crate::suite::participation::{disclosure, pass};
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

/// How long one step may take, kills included.
const PATIENCE: Duration = Duration::from_secs(120);
/// Where the lines to the nodes begin.
const FRONTS: [u8; 3] = [51, 52, 53];
/// One in so many pieces of answers is swallowed.
const CUT: u16 = 60;
const NAMES: [&str; 3] = ["alpha", "beta", "gamma"];

/// How a request is to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Way {
    Answer,
    AnswerAfterQuestion,
    Amend,
    Withdraw,
    MoreTime,
    Decline,
    Revoke,
    Silent,
}

fn way(seed: u64, index: usize, body: usize) -> Way {
    match sha256(format!("{seed} {index} {body}").as_bytes())[0] % 12 {
        0 => Way::Decline,
        1 => Way::Revoke,
        2 => Way::Silent,
        3 => Way::Withdraw,
        4 => Way::MoreTime,
        5 | 6 => Way::Amend,
        7 | 8 => Way::AnswerAfterQuestion,
        _ => Way::Answer,
    }
}

/// Asks until it is answered: a node that was killed comes back.
async fn seen(desk: &Desk, path: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        match desk.get(path).await {
            Ok(page) => return Ok(page),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until a page is as it is wanted.
async fn until(desk: &Desk, path: &str, what: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let page = seen(desk, path).await?;
        if wanted(&page) {
            return Ok(page);
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "{path} is not {what} in time but {}, sent {}, bundles {}",
                page["state"],
                page["sent"],
                page["bundles"]
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Has something done, whatever breaks off meanwhile: nothing once a page shows that it was. Gives the page, and how often it was
/// acknowledged.
async fn done(
    desk: &Desk,
    subject: &str,
    (method, path): (Method, &str),
    body: &Value,
    was: impl Fn(&Value) -> bool,
) -> Result<(Value, usize)> {
    let begun = Instant::now();
    loop {
        let now = seen(desk, subject).await?;
        if was(&now) {
            return Ok((now, 0));
        }
        let sent = desk
            .send(
                method.clone(),
                path,
                Some(number(&now, "version")?),
                "application/json",
                body.to_string().into_bytes(),
            )
            .await;
        let last = match sent {
            Ok(answer) if answer.status.is_success() => {
                return Ok((serde_json::from_slice(&answer.body)?, 1));
            }
            Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(error) => format!("{error:#}"),
        };
        ensure!(
            begun.elapsed() < PATIENCE,
            "{path} does not come to an end: {last}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

async fn command(
    desk: &Desk,
    subject: &str,
    name: &str,
    body: &Value,
    was: impl Fn(&Value) -> bool,
) -> Result<usize> {
    let path = format!("{subject}/commands/{name}");
    Ok(done(desk, subject, (Method::POST, &path), body, was).await?.1)
}

fn statements(page: &Value) -> usize {
    page["statements"].as_array().map_or(0, Vec::len)
}

/// A request with both of its sides.
#[derive(Clone, Debug)]
struct Both {
    id: String,
    way: Way,
    /// Who answers, and where.
    body: Desk,
    theirs: String,
    submitted: usize,
}

impl Both {
    fn ours(&self) -> String {
        format!("/api/v1/requests/{}", self.id)
    }

    /// Drafts and submits a statement.
    async fn submit(&mut self, index: usize, attach: bool) -> Result<usize> {
        let before = statements(&seen(&self.body, &self.theirs).await?);
        let mut attachments = Vec::new();
        if attach {
            let (kind, octets) =
                crate::desk::multipart(None, &[("attachment", "Anlage.txt", vec![b'x'; 1000 + index])]);
            let begun = Instant::now();
            while attachments.is_empty() {
                ensure!(begun.elapsed() < PATIENCE, "an attachment is not taken");
                let now = seen(&self.body, &self.theirs).await?;
                let path = format!("{}/attachments", self.theirs);
                let version = number(&now, "version")?;
                let sent = self
                    .body
                    .send(Method::POST, &path, Some(version), &kind, octets.clone())
                    .await;
                if let Ok(answer) = sent
                    && answer.status == StatusCode::CREATED
                {
                    let page: Value = serde_json::from_slice(&answer.body)?;
                    attachments.push(text(&page["files"][0], "file_id")?.to_owned());
                }
            }
        }
        let draft = json!({
            "kind": "CONSENT_WITH_CONDITIONS", "author": "Referat (fiktiv)", "text": format!("Nummer {index}"),
            "points": [{ "number": 1, "topic": "Lärm", "text": "Nur werktags.", "condition": format!("Auflage {index}") }],
            "attachments": attachments,
        });
        let path = format!("{}/statement", self.theirs);
        let wanted = format!("Nummer {index}");
        let drafted = |page: &Value| page["draft"]["text"] == wanted && statements(page) == before;
        done(&self.body, &self.theirs, (Method::PUT, &path), &draft, |page| {
            drafted(page) || statements(page) > before
        })
        .await?;
        let acknowledged = command(&self.body, &self.theirs, "submit", &json!({}), |page| {
            statements(page) > before
        })
        .await?;
        self.submitted += 1;
        Ok(acknowledged)
    }

    /// Goes its way, as far as both sides do something before the time is over.
    async fn go(&mut self, here: &Desk, index: usize) -> Result<usize> {
        let (ours, theirs) = (self.ours(), self.theirs.clone());
        let running = |page: &Value| page["deadline"].is_object();
        until(here, &ours, "running", running).await?;
        until(&self.body, &theirs, "running", running).await?;
        let mut acknowledged = 0;
        match self.way {
            Way::Silent => {}
            Way::Decline => {
                let why = json!({ "reason": "NOT_COMPETENT" });
                acknowledged += command(&self.body, &theirs, "decline", &why, |page| {
                    page["state"] == "DECLINED"
                })
                .await?;
            }
            Way::Revoke => {
                let why = json!({ "reason": "NO_LONGER_NEEDED" });
                acknowledged += command(here, &ours, "revoke", &why, |page| {
                    page["state"] == "REVOKED" || page["state"] == "PURGED"
                })
                .await?;
            }
            Way::Answer => acknowledged += self.submit(index, index.is_multiple_of(4)).await?,
            Way::AnswerAfterQuestion => {
                let question = json!({ "text": "Welche Maschinen? (fiktiv)" });
                let asked = |page: &Value| {
                    let said = page["sent"].as_array();
                    said.is_some_and(|all| all.iter().any(|one| one["kind"] == "question"))
                };
                acknowledged += command(&self.body, &theirs, "ask", &question, asked).await?;
                until(here, &ours, "asked", |page| page["question_open"] == true).await?;
                let answer = json!({ "text": "Eine Säge. (fiktiv)" });
                acknowledged += command(here, &ours, "answer", &answer, |page| {
                    page["question_open"] == false
                })
                .await?;
                acknowledged += self.submit(index, false).await?;
            }
            Way::Amend => {
                acknowledged += self.submit(index, false).await?;
                acknowledged += self.submit(index + 1_000_000, index.is_multiple_of(4)).await?;
            }
            Way::Withdraw => {
                acknowledged += self.submit(index, false).await?;
                let why = json!({ "withdraw_reason": "MISTAKE" });
                acknowledged += command(&self.body, &theirs, "withdraw", &why, |page| {
                    page["state"] == "WITHDRAWN"
                })
                .await?;
            }
            Way::MoreTime => {
                let wish = json!({ "until": "2098-01-15", "extension_reason": "COMMITTEE_MEETS_LATER" });
                let asked = |page: &Value| {
                    let said = page["sent"].as_array();
                    said.is_some_and(|all| all.iter().any(|one| one["kind"] == "extension-request"))
                };
                acknowledged += command(&self.body, &theirs, "ask-for-time", &wish, asked).await?;
                let extended = |page: &Value| {
                    page["deadline"]["extensions"]
                        .as_array()
                        .is_some_and(|all| !all.is_empty())
                };
                until(here, &ours, "asked for time", |page| {
                    page["extension_wanted"].is_object() || extended(page)
                })
                .await?;
                let granted = json!({ "granted": true, "rule": { "kind": "weeks", "n": 2 } });
                acknowledged += command(here, &ours, "decide-extension", &granted, extended).await?;
                until(&self.body, &theirs, "extended", extended).await?;
                acknowledged += self.submit(index, false).await?;
            }
        }
        Ok(acknowledged)
    }

    /// What the state is once nothing more is to come.
    fn ends(&self) -> &'static [&'static str] {
        match self.way {
            Way::Silent | Way::Withdraw => &["EXPIRED"],
            Way::Decline => &["DECLINED"],
            Way::Revoke => &["PURGED"],
            Way::Answer | Way::AnswerAfterQuestion | Way::MoreTime => &["SUBMITTED"],
            Way::Amend => &["AMENDED"],
        }
    }
}

/// A round with three bodies, from the application to what they answer.
async fn one(desks: [Desk; 3], seed: u64, index: usize) -> Result<(Vec<Both>, usize)> {
    let [here, chamber, office] = desks;
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
    let begun = Instant::now();
    let case = loop {
        match here.hand_in(&form, &files()).await {
            Ok(case) => break text(&case, "id")?.to_owned(),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    let listed = seen(&here, &format!("/api/v1/cases/{case}/files")).await?;
    let shown = text(&listed["files"][0], "file_id")?.to_owned();
    let mut acknowledged = 1;
    let path = format!("/api/v1/cases/{case}");
    let wish =
        json!({ "profile": "LBO_STATEMENT", "question": "Bestehen Bedenken? (fiktiv)", "contact": "Bauamt" });
    let prepared = |page: &Value| page["rounds"].as_array().is_some_and(|rounds| !rounds.is_empty());
    let rounds = format!("{path}/rounds");
    acknowledged += done(&here, &path, (Method::POST, &rounds), &wish, prepared)
        .await?
        .1;
    let round = text(&seen(&here, &rounds).await?["rounds"][0], "id")?.to_owned();
    let round = format!("/api/v1/rounds/{round}");
    let whom = [
        json!({ "to": "TEST/GOV/1002" }),
        json!({ "to": "TEST/GOV/1003" }),
        json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } }),
    ];
    for (place, who) in whom.iter().enumerate() {
        let mut wish = json!({
            "class": "CHAMBER", "disclosure": disclosure(&[&shown]), "effect": "ASSUME_NO_OBJECTION", "extension": "for_reason",
        });
        for (name, value) in who.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        let asked = |page: &Value| page["requests"].as_array().is_some_and(|all| all.len() > place);
        let path = format!("{round}/requests");
        acknowledged += done(&here, &round, (Method::POST, &path), &wish, asked).await?.1;
    }
    let page = seen(&here, &round).await?;
    let mut ids = Vec::new();
    for request in page["requests"].as_array().into_iter().flatten() {
        let id = text(request, "id")?.to_owned();
        let path = format!("/api/v1/requests/{id}");
        let releaser = here.of("releaser");
        acknowledged += command(&releaser, &path, "approve", &json!({}), |page| {
            page["approved"] == true
        })
        .await?;
        ids.push(id);
    }
    acknowledged += command(&here, &round, "open", &json!({}), |page| page["state"] == "OPEN").await?;
    let guest = ids.get(2).context("three are asked")?;
    let (desk, link) = invited(&here, guest).await?;
    let bodies = [
        (chamber.of("coordinator"), None),
        (office.of("coordinator"), None),
        (desk, Some(link)),
    ];
    let mut both = Vec::new();
    for (place, (id, (body, link))) in ids.iter().zip(bodies).enumerate() {
        let mut request = Both {
            id: id.clone(),
            way: way(seed, index, place),
            body,
            theirs: link.unwrap_or_else(|| format!("/api/v1/contributions/{id}")),
            submitted: 0,
        };
        acknowledged += request
            .go(&here, index)
            .await
            .with_context(|| format!("{id} ({:?})", request.way))?;
        both.push(request);
    }
    Ok((both, acknowledged))
}

/// Invites the guest of a request; its first look is the delivery.
async fn invited(here: &Desk, id: &str) -> Result<(Desk, String)> {
    let path = format!("/api/v1/requests/{id}");
    let begun = Instant::now();
    loop {
        let now = seen(here, &path).await?;
        let handed = here
            .post(
                &format!("{path}/invitation"),
                number(&now, "version")?,
                &json!({}),
            )
            .await;
        if let Ok((StatusCode::CREATED, handed)) = handed {
            let (desk, link) = (
                here.guest(text(&handed, "code")?),
                text(&handed, "link")?.to_owned(),
            );
            seen(&desk, &link).await?;
            return Ok((desk, link));
        }
        ensure!(begun.elapsed() < PATIENCE, "{id}: no invitation: {handed:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

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
        tokio::spawn(async move {
            let (mut running, mut all) = (JoinSet::new(), Vec::new());
            for index in 0..rounds {
                while running.len() >= plan.at_once {
                    if let Some(one) = running.join_next().await {
                        ended.fetch_add(1, Ordering::Relaxed);
                        all.push(one.context("a task")?);
                    }
                }
                running.spawn(one(desks.clone(), plan.seed, index));
            }
            while let Some(one) = running.join_next().await {
                ended.fetch_add(1, Ordering::Relaxed);
                all.push(one.context("a task")?);
            }
            anyhow::Ok(all)
        })
    };
    let mut report = RequestsReport {
        requests: rounds * 3,
        rounds,
        ..RequestsReport::default()
    };
    while report.kills < plan.kills && !driving.is_finished() {
        let drawn = sha256(format!("kill {} {}", plan.seed, report.kills).as_bytes());
        sleep(Duration::from_millis(200 + u64::from(drawn[0]) * 6)).await;
        let name = NAMES[usize::from(drawn[1]) % NAMES.len()];
        federation.node_mut(name).kill().await?;
        federation.restart(name).await?;
        report.kills += 1;
        if plan.aloud && report.kills.is_multiple_of(10) {
            say(format_args!(
                "{} kills, {} of {rounds} rounds have gone their way",
                report.kills,
                ended.load(Ordering::Relaxed)
            ));
        }
    }
    let all = driving.await??;
    // Everybody's time is over now, the extended one too.
    pass(&clock, 90)?;
    let mut asked = Vec::new();
    for one in all {
        match one {
            Err(error) => report.wrong.push(format!("{error:#}")),
            Ok((both, acknowledged)) => {
                report.acknowledged += acknowledged;
                for (place, request) in both.into_iter().enumerate() {
                    asked.push((request.id.clone(), place));
                    if let Err(error) = judge(&desks[0], &request, &mut report).await {
                        report.wrong.push(format!("{error:#}"));
                    }
                }
            }
        }
    }
    let mut judged: Vec<(String, usize)> = asked;
    judged.truncate(plan.packages.unwrap_or(usize::MAX));
    report.opinions = opinions::compare(subject, &federation, &judged, &mut report.wrong).await?;
    report.cuts = wires.iter().map(Wire::cuts).sum();
    report.seconds = begun.elapsed().as_secs_f64();
    for (desk, name) in desks.iter().zip(NAMES) {
        let status = seen(desk, "/api/v1/status").await?;
        for waiting in status["waiting"].as_array().into_iter().flatten() {
            report
                .wrong
                .push(format!("{name}: something waits though all has ended: {waiting}"));
        }
    }
    Ok(report)
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

/// Compares both sides of a request of which nothing more is to come.
async fn judge(here: &Desk, one: &Both, report: &mut RequestsReport) -> Result<()> {
    let ends = one.ends();
    let ours = until(here, &one.ours(), &format!("{ends:?}"), |page| {
        ends.contains(&page["state"].as_str().unwrap_or_default()) && all_answered(page) && all_here(page)
    })
    .await?;
    *report.ends.entry(text(&ours, "state")?.to_owned()).or_default() += 1;
    let is_guest = ours["proof_level"] == "guest";
    if is_guest && one.way == Way::Revoke {
        // Its link opens nothing any more; the purge was stated all the same.
        if ours["purge"]["node"] != "done" {
            report
                .wrong
                .push(format!("{}: no purge statement: {}", one.id, ours["purge"]));
        }
        return Ok(());
    }
    if is_guest && one.way == Way::Decline {
        return Ok(());
    }
    let theirs = until(&one.body, &one.theirs, &format!("{ends:?} and settled"), |page| {
        ends.contains(&page["state"].as_str().unwrap_or_default())
            && page["settled"] == true
            && all_answered(page)
    })
    .await?;
    let mut differs = Vec::new();
    for member in [
        "state",
        "statements",
        "deadline",
        "ends_at",
        "expiry",
        "question_open",
        "extension_wanted",
        "standing_still",
    ] {
        if ours[member] != theirs[member] {
            differs.push(format!("{member}: {} and {}", ours[member], theirs[member]));
        }
    }
    if !differs.is_empty() {
        report.wrong.push(format!("{}: {}", one.id, differs.join("; ")));
    }
    report.statements += statements(&ours);
    if statements(&ours) != one.submitted {
        report.wrong.push(format!(
            "{}: {} statements, {} were submitted",
            one.id,
            statements(&ours),
            one.submitted
        ));
    }
    let late = ours["statements"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|version| version["in_time"] != true);
    if late.count() > 0 {
        report.wrong.push(format!(
            "{}: late though it was in time: {}",
            one.id, ours["statements"]
        ));
    }
    if ours["state"] == "EXPIRED" && ours["expiry"]["answered"] != true {
        report.wrong.push(format!(
            "{}: expired without an answer: {}",
            one.id, ours["expiry"]
        ));
    }
    letters(here, one, &ours, &theirs, report).await
}

/// Every statement came as it was submitted, with its files.
async fn letters(
    here: &Desk,
    one: &Both,
    ours: &Value,
    theirs: &Value,
    report: &mut RequestsReport,
) -> Result<()> {
    let of = |page: &Value, name: &str| -> Vec<Value> {
        let all = page[name].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|message| message["kind"] == "statement")
            .map(|message| message["letter"].clone())
            .collect()
    };
    let (came, sent) = (of(ours, "received"), of(theirs, "sent"));
    let documents = |all: &[Value]| -> Vec<Value> { all.iter().map(|one| one["document"].clone()).collect() };
    if documents(&came) != documents(&sent) || came.iter().any(Value::is_null) {
        report.wrong.push(format!(
            "{}: the statements differ: {came:?} and {sent:?}",
            one.id
        ));
    }
    for file in came
        .iter()
        .flat_map(|one| one["files"].as_array().into_iter().flatten())
    {
        let path = format!("{}/files/{}", one.ours(), text(file, "file_id")?);
        let answer = here.send(Method::GET, &path, None, "", Vec::new()).await?;
        let digest: String = sha256(&answer.body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        report.files_compared += 1;
        if file["sha256"] != json!(digest) {
            report
                .wrong
                .push(format!("{}: the octets of a file are others", one.id));
        }
    }
    Ok(())
}

/// Whether everything that the other side announced was fetched.
fn all_here(page: &Value) -> bool {
    let came = page["bundles"].as_array().into_iter().flatten();
    came.filter(|bundle| bundle["side"] == "participant")
        .all(|bundle| bundle["complete"] == true)
}

fn all_answered(page: &Value) -> bool {
    page["sent"]
        .as_array()
        .is_some_and(|all| all.iter().all(|message| message["state"]["state"] == "answered"))
}
