use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const COUNTY: &str = "TEST/GOV/1001";
const CHAMBER: &str = "TEST/GOV/1002";
const END: &str = "2026-01-05T10:01:00Z";

/// A message of a side at a minute after eight, how many of the other side's it had taken, and how it was answered.
fn exchange(
    side: &str,
    number: u32,
    heard: u32,
    minute: u32,
    mut body: Value,
    answer: Option<Value>,
) -> Exchange {
    let kind = body["kind"].as_str().unwrap().to_owned();
    body["contract"] = "kontor-participation/1".into();
    body["heard"] = heard.into();
    body["sent_at"] = at(minute).into();
    let body = body.to_string().into_bytes();
    let path = format!("/v1/requests/{ID}/{side}/{number}/{kind}");
    let digest: String = Sha256::digest(&body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let answer = answer.map(|mut answer| {
        answer["contract"] = "kontor-participation/1".into();
        answer["message"] = path.clone().into();
        answer["sha256"] = digest.into();
        answer["received_at"] = at(minute).into();
        answer.to_string().into_bytes()
    });
    let (from, to) = match side {
        "requester" => (COUNTY, CHAMBER),
        _ => (CHAMBER, COUNTY),
    };
    Exchange {
        from: from.to_owned(),
        to: to.to_owned(),
        path,
        body,
        answer,
    }
}

fn at(minute: u32) -> String {
    let day = 5 + minute / 1440;
    format!(
        "2026-01-{day:02}T{:02}:{:02}:00Z",
        8 + minute % 1440 / 60,
        minute % 60
    )
}

fn taken(after: u32) -> Option<Value> {
    Some(json!({ "answer": "taken", "after": after }))
}

/// Two hours to answer; the participant says nothing.
fn silence() -> Vec<Exchange> {
    let place = json!({ "land": "SH" });
    let terms = json!({ "rule": { "kind": "hours", "n": 2 }, "place": place, "effect": "CONSENT_DEEMED_GIVEN", "extension": "free" });
    let deadline =
        json!({ "rule": { "kind": "hours", "n": 2 }, "trigger": at(1), "place": place, "ends_at": END });
    vec![
        exchange(
            "requester",
            1,
            0,
            1,
            json!({ "kind": "request", "request": { "request_id": ID, "terms": terms } }),
            Some(json!({ "answer": "delivered", "after": 0, "delivered_at": at(1) })),
        ),
        exchange(
            "requester",
            2,
            0,
            2,
            json!({ "kind": "deadline", "deadline": deadline }),
            taken(0),
        ),
        exchange(
            "requester",
            3,
            0,
            121,
            json!({ "kind": "inquire", "until": END }),
            taken(0),
        ),
        exchange(
            "requester",
            4,
            0,
            122,
            json!({
                "kind": "expired", "ended_at": END, "effect": "CONSENT_DEEMED_GIVEN", "asked_at": at(121), "answered": true,
                "recorded_at": at(122),
            }),
            taken(0),
        ),
    ]
}

fn statement(number: u32, version: u32, minute: u32, answer: Option<Value>) -> Exchange {
    let body =
        json!({ "kind": "statement", "version": version, "statement": "CONSENT", "entered_at": at(minute) });
    exchange("participant", number, 4, minute.max(123), body, answer)
}

fn judged(in_time: bool) -> Option<Value> {
    Some(json!({ "answer": "judged", "after": 4, "in_time": in_time, "kept_beside": false }))
}

fn one(exchanges: &[Exchange]) -> Opinion {
    let [opinion] = opinions(exchanges).try_into().unwrap();
    opinion
}

#[test]
fn silence_means_something_after_the_end_that_was_told_and_after_the_node_was_asked() {
    let opinion = one(&silence());
    assert!(opinion.is_sound(), "{opinion:#?}");
    assert_eq!(
        (opinion.state, opinion.ends_at),
        (Some("EXPIRED"), END.parse().ok())
    );
    assert_eq!(opinion.silence.unwrap().effect, "CONSENT_DEEMED_GIVEN");
    // Nobody was asked.
    let mut unasked = silence();
    let expired = unasked.pop().unwrap();
    unasked.pop();
    let body: Value = serde_json::from_slice(&expired.body).unwrap();
    unasked.push(exchange("requester", 3, 0, 122, body, taken(0)));
    assert!(!one(&unasked).contradictions.is_empty());
}

#[test]
fn a_late_statement_is_kept_and_leaves_what_silence_meant() {
    let mut exchanges = silence();
    exchanges.push(statement(1, 1, 130, judged(false)));
    let opinion = one(&exchanges);
    assert!(opinion.is_sound(), "{opinion:#?}");
    assert_eq!(opinion.state, Some("LATE"));
    assert!(opinion.silence.is_some());
    assert!(!opinion.versions[0].in_time);
    // It cannot have been in time, and the node had answered that there was nothing.
    let mut exchanges = silence();
    exchanges.push(statement(1, 1, 60, judged(true)));
    let opinion = one(&exchanges);
    assert!(
        opinion.contradictions[0].contains("its node had answered"),
        "{opinion:#?}"
    );
}

#[test]
fn what_follows_a_statement_that_was_taken_back_is_not_kept_beside() {
    let said = |number, minute, body: Value, answer| exchange("participant", number, 2, minute, body, answer);
    let there = |kept_beside: bool| {
        let version = |version: u32, minute| json!({ "kind": "statement", "version": version, "statement": "CONSENT", "entered_at": at(minute) });
        let judged = |kept_beside| {
            Some(json!({ "answer": "judged", "after": 2, "in_time": true, "kept_beside": kept_beside }))
        };
        let mut exchanges = silence()[..2].to_vec();
        let back = json!({ "kind": "withdraw-statement", "entered_at": at(20) });
        exchanges.push(said(1, 10, version(1, 10), judged(false)));
        exchanges.push(said(2, 20, back, taken(2)));
        exchanges.push(said(3, 30, version(2, 30), judged(kept_beside)));
        one(&exchanges)
    };
    let counts = there(false);
    assert!(counts.is_sound(), "{counts:#?}");
    assert_eq!(counts.state, Some("SUBMITTED"));
    let beside = there(true);
    assert!(
        beside.contradictions[0].contains("kept beside where it counts"),
        "{beside:#?}"
    );
}

#[test]
fn what_is_missing_is_named_and_nothing_is_concluded() {
    let mut exchanges = silence();
    exchanges.remove(1);
    let opinion = one(&exchanges);
    assert_eq!(opinion.missing, ["message 2 of the requester"]);
    assert_eq!((opinion.state, opinion.silence), (None, None));
    let mut exchanges = silence();
    exchanges[0].answer = None;
    let opinion = one(&exchanges);
    assert_eq!(
        opinion.missing,
        ["the receipt of message 1 of the requester (request)"]
    );
    assert_eq!(opinion.unconfirmed, ["requester/1/request"]);
}

#[test]
fn an_end_of_hours_is_exact_and_one_of_days_lies_between_its_bounds() {
    let deadline = |rule: Value, ends_at: &str| json!({ "rule": rule, "trigger": "2026-01-30T09:00:00Z", "ends_at": ends_at });
    let month = || json!({ "kind": "months", "n": 1 });
    for (deadline, can) in [
        (
            deadline(json!({ "kind": "hours", "n": 2 }), "2026-01-30T11:00:00Z"),
            true,
        ),
        (
            deadline(json!({ "kind": "hours", "n": 2 }), "2026-01-30T11:00:01Z"),
            false,
        ),
        // The raw end, 28 February, is a Saturday.
        (deadline(month(), "2026-03-02T23:00:00Z"), true),
        (deadline(month(), "2026-02-28T23:00:00Z"), false),
        (deadline(month(), "2026-02-27T23:00:00Z"), false),
        (deadline(month(), "2026-03-30T22:00:00Z"), false),
    ] {
        assert_eq!(time::can_end(&deadline), can, "{deadline}");
    }
}

#[test]
fn what_was_taken_back_stays_taken_back_until_it_is_deleted() {
    let mut exchanges = silence();
    let revoke = json!({ "kind": "revoke", "whole": true, "reason": "REPLACED" });
    exchanges.push(exchange("requester", 5, 0, 124, revoke, taken(0)));
    assert_eq!(one(&exchanges).state, Some("REVOKED"));
    let purged = json!({ "kind": "purged", "whole": true, "complete": true });
    let answer = json!({ "answer": "taken", "after": 5 });
    exchanges.push(exchange("participant", 1, 5, 125, purged, Some(answer)));
    let opinion = one(&exchanges);
    assert!(opinion.is_sound(), "{opinion:#?}");
    assert_eq!(opinion.state, Some("PURGED"));
}
