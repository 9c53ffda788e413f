//! Many cases with an open round are handed over while nodes are killed at random and lines are cut under answers: whoever took a case
//! over asks from then on, who is asked answers before, meanwhile and after, and nothing of it is lost, doubled or with the wrong house.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use kontor_oracle::participation::opinions;
use serde::Serialize;
use serde_json::{Value, json};

use super::ends::all_here;
use super::steps::{command, done, octets, seen, until};
use super::way::{Both, Opened, Way, a_guest, digest, invited, opened, statements};
use super::{CUT, FRONTS, Killer, NAMES, driven, nodes, waiting};
use crate::address::Net;
use crate::desk::{Desk, text};
use crate::federation::Federation;
use crate::report::say;
use crate::subject::Subject;
use crate::transfers::opinions::{Source, exchanges, query_ids, verified};
use crate::wires::Wire;

/// How many, and how often a node dies.
#[derive(Clone, Copy, Debug)]
pub struct HandoversPlan {
    pub cases: usize,
    pub at_once: usize,
    pub kills: usize,
    pub seed: u64,
    /// Of how many cases the evidence of who is asked is judged.
    pub packages: usize,
    pub aloud: bool,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct HandoversReport {
    pub cases: usize,
    pub requests: usize,
    pub kills: usize,
    /// How often a line was cut with an answer on its way.
    pub cuts: usize,
    pub acknowledged: usize,
    pub statements: usize,
    pub files_compared: usize,
    /// Evidence of who is asked that tells both houses, and on which the oracle agrees.
    pub packages: usize,
    pub seconds: f64,
    pub wrong: Vec<String>,
}

const TO: &str = "TEST/GOV/1003";

/// Runs the campaign.
pub async fn run(subject: &Subject, plan: HandoversPlan) -> Result<HandoversReport> {
    let net = Net::claim().await?;
    let directory = tempfile::tempdir()?;
    let mut federation = nodes(subject, &net, &directory.path().join("clock-of-the-training")).await?;
    let mut wires = Vec::new();
    for (place, front) in (0_u8..).zip(FRONTS) {
        wires.push(Wire::start(&net, front, 11 + place, CUT, plan.seed + u64::from(place)).await?);
    }
    let desks = NAMES.map(|name| Desk::at(federation.node(name)));
    let begun = Instant::now();
    let ended = Arc::new(AtomicUsize::new(0));
    let driving = {
        let (desks, ended) = (desks.clone(), Arc::clone(&ended));
        tokio::spawn(driven(plan.cases, plan.at_once, ended, move |index| {
            one(desks.clone(), plan.seed, index)
        }))
    };
    let mut killer = Killer {
        federation: &mut federation,
        seed: plan.seed,
        kills: 0,
    };
    while killer.kills < plan.kills && !driving.is_finished() {
        killer.strikes(200, 6).await?;
        if plan.aloud && killer.kills.is_multiple_of(10) {
            say(format_args!(
                "{} kills, {} of {} cases were handed over",
                killer.kills,
                ended.load(Ordering::Relaxed),
                plan.cases
            ));
        }
    }
    let mut report = HandoversReport {
        cases: plan.cases,
        kills: killer.kills,
        ..HandoversReport::default()
    };
    let mut told = Vec::new();
    for one in driving.await?? {
        match one {
            Err(error) => report.wrong.push(format!("{error:#}")),
            Ok((both, acknowledged)) => {
                report.acknowledged += acknowledged;
                told.extend(both);
            }
        }
    }
    let [before, _, after] = &desks;
    for both in &told {
        report.requests += 1;
        if let Err(error) = holds(before, after, both, &mut report).await {
            report.wrong.push(format!("{}: {error:#}", both.id));
        }
    }
    for both in told.iter().filter(|both| both.place == 0).take(plan.packages) {
        match proven(&federation, both, directory.path()).await {
            Ok(()) => report.packages += 1,
            Err(error) => report.wrong.push(format!("{}: {error:#}", both.id)),
        }
    }
    report.cuts = wires.iter().map(Wire::cuts).sum();
    report.seconds = begun.elapsed().as_secs_f64();
    report.wrong.extend(waiting(&desks).await?);
    Ok(report)
}

/// A case with a chamber and a guest that are asked, from the application until the other house has their last words.
async fn one(desks: [Desk; 3], seed: u64, index: usize) -> Result<(Vec<Both>, usize)> {
    let [here, chamber, there] = desks;
    let whom = [json!({ "to": "TEST/GOV/1002" }), a_guest()];
    let Opened {
        case,
        round,
        ids,
        mut acknowledged,
    } = opened(&here, seed, index, &whom).await?;
    let guest = ids.get(1).context("two are asked")?;
    let (desk, link) = invited(&here, guest).await?;
    let chamber = chamber.of("coordinator");
    let bodies = [
        (chamber, format!("/api/v1/contributions/{}", ids[0])),
        (desk, link),
    ];
    let mut both = Vec::new();
    for (place, (id, (body, theirs))) in ids.iter().zip(bodies).enumerate() {
        let running = |page: &Value| page["deadline"].is_object();
        until(&here, &format!("/api/v1/requests/{id}"), "running", running).await?;
        both.push(Both {
            id: id.clone(),
            way: Way::Answer,
            body,
            theirs,
            submitted: Vec::new(),
            index,
            place,
        });
    }
    // Who is asked speaks before, while the case is on its way, and after.
    let [first, second] = &mut both[..] else {
        anyhow::bail!("two are asked")
    };
    if index.is_multiple_of(2) {
        acknowledged += first.submit(index, true).await?;
    }
    let (handed, said, also) = tokio::join!(
        handed_over(&here, &there, &case),
        first.submit(index + 1_000_000, index.is_multiple_of(3)),
        second.submit(index, index.is_multiple_of(4)),
    );
    acknowledged += handed? + said? + also?;
    let all = |page: &Value| {
        page["coming"] == json!([]) && page["requests"].as_array().is_some_and(|all| all.len() == 2)
    };
    until(&there, &round, "with the other house", all).await?;
    acknowledged += first.submit(index + 2_000_000, false).await?;
    Ok((both, acknowledged))
}

/// Hands the case over; gives how often that was acknowledged.
async fn handed_over(here: &Desk, there: &Desk, case: &str) -> Result<usize> {
    let path = format!("/api/v1/cases/{case}");
    let offered = |page: &Value| page["transfer"].is_string();
    let wish = json!({ "to": TO, "situation": "COMPETENCE_CHANGED" });
    let post = format!("{path}/transfers");
    let mut acknowledged = done(here, &path, (Method::POST, &post), &wish, offered).await?.1;
    let id = text(&seen(here, &path).await?, "transfer")?.to_owned();
    let transfer = format!("/api/v1/transfers/{id}");
    until(there, &transfer, "offered", |page| page["state"].is_string()).await?;
    acknowledged += command(there, &transfer, "accept", &json!({}), |page| {
        page["state"] != "OFFERED"
    })
    .await?;
    until(there, &transfer, "imported", |page| page["state"] == "IMPORTED").await?;
    acknowledged += command(there, &transfer, "take-over", &json!({}), |page| {
        page["taken_over_at"].is_string()
    })
    .await?;
    Ok(acknowledged)
}

/// Both sides have the same, who asks now is who took over, and each file is there as it was sent.
async fn holds(before: &Desk, after: &Desk, both: &Both, report: &mut HandoversReport) -> Result<()> {
    let ours = both.ours();
    let said = both.submitted.len();
    // A statement counts when it is received; its files are fetched after that.
    let told = |page: &Value| statements(page) == said && all_here(page);
    let there = until(after, &ours, "told everything", told).await?;
    let theirs = until(&both.body, &both.theirs, "settled", |page| {
        page["settled"] == true
    })
    .await?;
    for name in ["state", "statements", "deadline", "ends_at", "expiry"] {
        ensure!(
            there[name] == theirs[name],
            "{name} differs: {} and {}",
            there[name],
            theirs[name]
        );
    }
    ensure!(
        theirs["peer"] == format!("{TO}/KONTOR")
            && theirs["moves"].as_array().is_some_and(|all| all.len() == 1),
        "who asks: {} {}",
        theirs["peer"],
        theirs["moves"]
    );
    let gone = seen(before, &ours).await?;
    ensure!(gone["moving"]["stage"] == "handed_over", "{}", gone["moving"]);
    report.statements += said;
    let received = there["received"].as_array().into_iter().flatten();
    let statements: Vec<&Value> = received.filter(|one| one["kind"] == "statement").collect();
    ensure!(
        statements.len() == said,
        "{} statements of {said}",
        statements.len()
    );
    for (one, digests) in statements.iter().zip(&both.submitted) {
        let files = one["letter"]["files"].as_array().cloned().unwrap_or_default();
        ensure!(
            files.len() == digests.len(),
            "{} files of {}",
            files.len(),
            digests.len()
        );
        for (file, wanted) in files.iter().zip(digests) {
            let path = format!("{ours}/files/{}", text(file, "file_id")?);
            let is = digest(&octets(after, &path).await?);
            ensure!(is == *wanted, "{path} is another file");
            report.files_compared += 1;
        }
    }
    Ok(())
}

/// The evidence of who is asked tells both houses, and the oracle agrees.
async fn proven(federation: &Federation, both: &Both, dir: &Path) -> Result<()> {
    let source = Source::of(federation.node("beta"));
    let ids = query_ids(&seen(&both.body, &both.theirs).await?);
    let (lines, package) = verified(federation.subject(), &source, &ids, dir).await?;
    let course = lines.iter().find(|line| line["kind"] == "participation");
    let course = course.context("nothing is said of it")?;
    let opinion = opinions(&exchanges(&package, "participation")?);
    let opinion = opinion.first().context("the oracle says nothing of it")?;
    ensure!(
        course["moved"][0]["to"] == TO && opinion.is_sound() && json!(opinion.state) == course["state"],
        "{course} and {opinion:?}"
    );
    Ok(())
}
