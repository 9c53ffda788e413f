//! How requests have ended, at both sides: as they were meant to, with everything that was submitted.

use anyhow::Result;
use serde_json::Value;

use super::RequestsReport;
use super::steps::{octets, until};
use super::way::{Both, Way, digest, statements};
use crate::desk::{Desk, all_answered, text};

/// Has come what comes late, and compares both sides of all requests then.
pub(super) async fn judged(here: Desk, mut all: Vec<Both>) -> RequestsReport {
    let mut report = RequestsReport::default();
    for one in &mut all {
        match one.go_late().await {
            Ok(acknowledged) => report.acknowledged += acknowledged,
            Err(error) => report.wrong.push(format!("{} (late): {error:#}", one.id)),
        }
    }
    for one in &all {
        if let Err(error) = judge(&here, one, &mut report).await {
            report.wrong.push(format!("{error:#}"));
        }
    }
    report
}

/// Compares both sides of a request of which nothing more is to come.
async fn judge(here: &Desk, one: &Both, report: &mut RequestsReport) -> Result<()> {
    let ends = one.ends();
    // What silence meant is recorded also where something came late.
    let recorded = |page: &Value| one.way != Way::Late || page["expiry"].is_object();
    let ours = until(here, &one.ours(), &format!("{ends:?}"), |page| {
        ends.contains(&page["state"].as_str().unwrap_or_default())
            && recorded(page)
            && all_answered(page)
            && all_here(page)
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
    if statements(&ours) != one.submitted.len() {
        report.wrong.push(format!(
            "{}: {} statements, {} were submitted",
            one.id,
            statements(&ours),
            one.submitted.len()
        ));
    }
    let in_time = one.way != Way::Late;
    let mut versions = ours["statements"].as_array().into_iter().flatten();
    if versions.any(|version| version["in_time"] != in_time) {
        report.wrong.push(format!(
            "{} ({:?}): in time or late the other way round: {}",
            one.id, one.way, ours["statements"]
        ));
    }
    if ours["expiry"].is_object() && ours["expiry"]["answered"] != true {
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
    for (place, letter) in came.iter().enumerate() {
        let mut found = Vec::new();
        for file in letter["files"].as_array().into_iter().flatten() {
            let path = format!("{}/files/{}", one.ours(), text(file, "file_id")?);
            found.push(digest(&octets(here, &path).await?));
        }
        report.files_compared += found.len();
        if one.submitted.get(place) != Some(&found) {
            report.wrong.push(format!(
                "{}: the files of version {} are others than were submitted",
                one.id,
                place + 1
            ));
        }
    }
    Ok(())
}

/// Whether everything that the other side announced was fetched.
pub(super) fn all_here(page: &Value) -> bool {
    let came = page["bundles"].as_array().into_iter().flatten();
    came.filter(|bundle| bundle["side"] == "participant")
        .all(|bundle| bundle["complete"] == true)
}
