//! The commands that there are, and what is told where one of them is not possible.

use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};

use crate::desk::{Desk, number};
use crate::suite::participation::{PATIENCE, disclosure, until};

/// Commands of one kind of thing, each with everything that one of them needs.
pub(super) struct Commands {
    names: &'static [&'static str],
    details: Value,
}

pub(super) fn of_requests(file: &str) -> Commands {
    Commands {
        names: &[
            "approve",
            "send",
            "drop",
            "supplement",
            "answer",
            "decide-extension",
            "extend",
            "stop-clock",
            "continue-clock",
            "state-deadline",
            "record-delivery",
            "expire",
            "expire-unanswered",
            "revoke",
            "revoke-files",
            "assess",
            "notify",
        ],
        details: json!({
            "text": "Antwort (fiktiv)", "granted": true, "rule": { "kind": "weeks", "n": 2 }, "end": "2029-03-01",
            "delivered_at": "2026-01-05T08:00:00Z", "disclosure": disclosure(&[file]), "files": [file],
            "reason": "NO_LONGER_NEEDED", "assessment": { "version": 1, "treated": [{ "treatment": 5000 }] },
        }),
    }
}

pub(super) fn of_contributions() -> Commands {
    Commands {
        names: &[
            "acknowledge",
            "decline",
            "prepare",
            "ask",
            "ask-for-time",
            "release",
            "submit",
            "withdraw",
            "assign",
        ],
        details: json!({
            "text": "Frage (fiktiv)", "reason": "OTHER", "until": "2029-03-01", "extension_reason": "WORKLOAD",
            "withdraw_reason": "MISTAKE", "unit": "u-7",
        }),
    }
}

pub(super) fn of_rounds() -> Commands {
    Commands {
        names: &[
            "open", "close", "evaluate", "conclude", "suspend", "resume", "cancel",
        ],
        details: json!({ "reason": "OTHER" }),
    }
}

pub(super) fn names(page: &Value) -> Vec<String> {
    let listed = page["legal"].as_array().into_iter().flatten();
    let mut names: Vec<String> = listed.filter_map(Value::as_str).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

/// Something is in this state here and says what is possible; all else is refused with exactly that, or for a reason of its own.
pub(super) async fn stands(
    desk: &Desk,
    subject: &str,
    commands: &Commands,
    state: &str,
    legal: &[&str],
    reasons: &[(&str, &str)],
) -> Result<Value> {
    let mut expected: Vec<String> = legal.iter().map(|name| (*name).to_owned()).collect();
    expected.sort_unstable();
    let page = until(desk, subject, |page| {
        page["state"] == state && names(page) == expected
    })
    .await
    .with_context(|| format!("{state} with {expected:?}"))?;
    let begun = Instant::now();
    for command in commands.names.iter().filter(|name| !legal.contains(name)) {
        let path = format!("{subject}/commands/{command}");
        // What two nodes say to each other may change the version meanwhile, never the state.
        let said = loop {
            ensure!(begun.elapsed() < PATIENCE, "{command} in {state} finds no rest");
            let now = desk.get(subject).await?;
            ensure!(
                now["state"] == state,
                "{command} in {state}: it is {} now",
                now["state"]
            );
            // Each by who may give it: what is not possible is refused for that, not for a role.
            let by = match *command {
                "approve" => desk.of("releaser"),
                _ => desk.clone(),
            };
            let (status, said) = by
                .post(&path, number(&now, "version")?, &commands.details)
                .await?;
            if status != StatusCode::PRECONDITION_FAILED {
                ensure!(
                    status == StatusCode::CONFLICT,
                    "{command} in {state}: {status}: {said}"
                );
                break said;
            }
        };
        let reason = reasons.iter().find(|(name, _)| name == command);
        match reason {
            Some((_, code)) => ensure!(said["code"] == *code, "{command} in {state}: {said}"),
            None => ensure!(
                said["code"] == "illegal_for_state" && names(&said) == expected,
                "{command} in {state}: {said}"
            ),
        }
        ensure!(
            said["detail"].as_str().is_some_and(|it| !it.is_empty()),
            "{command} in {state} has no sentence: {said}"
        );
    }
    Ok(page)
}
