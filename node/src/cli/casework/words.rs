//! What cases and transfers are in words, and the query ids of a transfer's messages.

use std::fmt::Write as _;

use serde_json::Value;

pub(in crate::cli) fn said<'a>(page: &'a Value, name: &str) -> &'a str {
    page[name].as_str().unwrap_or("-")
}

/// Query ids of a transfer's messages, one a line.
pub(in crate::cli) fn query_ids(row: &Value) -> String {
    let all = |name: &str| row[name].as_array().cloned().unwrap_or_default();
    // The exchange that brought a message first, and the one that brought its receipt.
    let sent = all("sent").into_iter().flat_map(|message| {
        let state = &message["state"];
        [state["receipt"]["x_road_id"].clone(), state["exchange"].clone()]
    });
    let received = all("received")
        .into_iter()
        // What another house had received before the case came here lies in its log.
        .filter(|message| message["elsewhere"] != true)
        .flat_map(|message| [message["receipt"]["x_road_id"].clone(), message["again"].clone()]);
    let mut ids: Vec<String> = sent
        .chain(received)
        .filter_map(|id| Some(id.as_str()?.to_owned() + "\n"))
        .collect();
    ids.dedup();
    ids.concat()
}

pub(super) fn case_in_words(case: &Value) -> String {
    let mut text = format!("Case {} ({})\n", said(case, "number"), said(case, "id"));
    for (label, name) in [
        ("Title", "title"),
        ("Applicant", "applicant"),
        ("State", "status"),
        ("Responsibility", "responsibility"),
        ("First received", "first_received_at"),
        ("Received here", "received_here_at"),
        ("Service", "service"),
        ("Region", "region"),
        ("Unit", "unit"),
        ("Assignee", "assignee"),
        ("Transfer", "transfer"),
    ] {
        let _ = writeln!(text, "  {label:<16} {}", said(case, name));
    }
    for finding in case["findings"].as_array().into_iter().flatten() {
        let state = if finding["released"].is_null() {
            "holds the release back"
        } else {
            "released"
        };
        let _ = writeln!(
            text,
            "  {:<16} {} at {}: {state}",
            "Finding",
            said(finding, "code"),
            said(finding, "at")
        );
    }
    let commands: Vec<&str> = case["commands"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let _ = writeln!(text, "  {:<16} {}", "Possible", commands.join(", "));
    text
}

pub(super) fn transfer_in_words(row: &Value) -> String {
    let mut text = format!("Transfer {} ({})\n", said(row, "short"), said(row, "id"));
    for (label, name) in [
        ("Side", "party"),
        ("Other side", "peer"),
        ("State", "state"),
        ("Responsibility", "responsibility"),
        ("Taken over", "taken_over_at"),
        ("Time-stamp", "take_over_proof"),
        ("Number there", "number"),
        ("Case", "case"),
    ] {
        let _ = writeln!(text, "  {label:<16} {}", said(row, name));
    }
    let _ = writeln!(text, "  {:<16} {}", "Situation", said(&row["offer"], "situation"));
    let _ = writeln!(
        text,
        "  {:<16} {}",
        "Answer until",
        said(&row["offer"]["answer_wanted_by"], "ends_at")
    );
    let _ = writeln!(
        text,
        "  {:<16} {}",
        "Take over until",
        said(&row["offer"], "take_over_until")
    );
    for message in row["sent"].as_array().into_iter().flatten() {
        let receipt = &message["state"]["receipt"];
        let entry = match receipt["entry"]["number"].as_u64() {
            Some(number) => format!("receipt: entry {number} of {}", said(&receipt["entry"], "log")),
            None => said(&message["state"], "state").to_owned(),
        };
        let _ = writeln!(
            text,
            "  {:<16} {} {} ({entry})",
            "Sent",
            message["seq"],
            said(message, "kind")
        );
    }
    for message in row["received"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "  {:<16} {} {} at {}",
            "Received",
            message["seq"],
            said(message, "kind"),
            said(message, "at")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_is_found_in_a_log_by_the_exchange_that_came_first_and_by_the_one_that_was_answered() {
        let sent = |first: &str, answered: &str| json!({ "state": { "state": "answered", "receipt": { "x_road_id": first }, "exchange": answered } });
        let row = json!({
            "sent": [sent("a", "a"), sent("b", "c"), { "state": { "state": "waiting" } }],
            "received": [{ "receipt": { "x_road_id": "d" } }, { "receipt": { "x_road_id": "e" }, "again": "f" },
                { "receipt": { "x_road_id": "g" }, "elsewhere": true }],
        });
        assert_eq!(query_ids(&row), "a\nb\nc\nd\ne\nf\n");
    }
}
