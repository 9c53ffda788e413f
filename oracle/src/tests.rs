use serde_json::{Value, json};

use super::*;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const A: &str = "TEST/GOV/1001";
const B: &str = "TEST/GOV/1002";
const TAKEN: &str = "2026-01-05T10:00:00Z";

/// A message of a party at a minute after eight by its own clock, and how it was answered at which minute by the clock of the other.
struct Told {
    party: &'static str,
    number: u32,
    minute: u32,
    kind: &'static str,
    more: Value,
    answer: Option<(u32, Value)>,
}

fn at(minute: u32) -> String {
    format!("2026-01-05T{:02}:{:02}:00Z", 8 + minute / 60, minute % 60)
}

fn taken(minute: u32) -> Option<(u32, Value)> {
    Some((minute, json!({ "answer": "taken" })))
}

fn exchange(told: &Told) -> Exchange {
    let mut body = told.more.clone();
    body["contract"] = "kontor-transfer/1".into();
    body["kind"] = told.kind.into();
    body["sent_at"] = at(told.minute).into();
    let body = body.to_string().into_bytes();
    let path = format!("/v1/transfers/{ID}/{}/{}/{}", told.party, told.number, told.kind);
    let digest: String = sha2::Digest::finalize(sha2::Digest::chain_update(
        <sha2::Sha256 as sha2::Digest>::new(),
        &body,
    ))
    .iter()
    .map(|byte| format!("{byte:02x}"))
    .collect();
    let answer = told.answer.clone().map(|(minute, mut answer)| {
        answer["contract"] = "kontor-transfer/1".into();
        answer["message"] = path.clone().into();
        answer["sha256"] = digest.into();
        answer["received_at"] = at(minute).into();
        answer.to_string().into_bytes()
    });
    let (from, to) = if told.party == "sender" { (A, B) } else { (B, A) };
    Exchange {
        from: from.to_owned(),
        to: to.to_owned(),
        path,
        body,
        answer,
    }
}

fn sender(number: u32, minute: u32, kind: &'static str, more: Value, answer: Option<(u32, Value)>) -> Told {
    Told {
        party: "sender",
        number,
        minute,
        kind,
        more,
        answer,
    }
}

fn receiver(number: u32, minute: u32, kind: &'static str, more: Value, answer: Option<(u32, Value)>) -> Told {
    Told {
        party: "receiver",
        ..sender(number, minute, kind, more, answer)
    }
}

/// A whole take-over of an application in this situation; the clock of the receiver is half an hour behind.
fn whole(situation: &str) -> Vec<Told> {
    let offer = json!({
        "transfer_id": ID, "situation": situation, "first_received_at": "2026-01-04T12:00:00Z", "running_deadlines": [],
        "octets": 5, "answer_wanted_by": { "ends_at": at(60) }, "take_over_until": at(180), "manifest": "00",
    });
    let package = json!({ "take_over_until": at(180), "manifest": "00", "manifest_octets": 7, "octets": 12 });
    vec![
        sender(1, 50, "offer", json!({ "offer": offer }), taken(20)),
        receiver(1, 30, "accept", json!({}), taken(60)),
        sender(2, 60, "package", package, taken(30)),
        receiver(
            2,
            31,
            "import-result",
            json!({ "complete": true, "files": [] }),
            taken(61),
        ),
        receiver(
            3,
            120,
            "taken-over",
            json!({ "at": TAKEN, "manifest": "00", "case_number": "N-1" }),
            taken(150),
        ),
    ]
}

fn opinion(told: &[Told]) -> Opinion {
    let exchanges: Vec<Exchange> = told.iter().map(exchange).collect();
    let [opinion] = opinions(&exchanges).try_into().unwrap();
    opinion
}

fn members(opinion: &Opinion) -> Vec<&str> {
    opinion
        .responsible
        .iter()
        .map(|term| term.member.as_str())
        .collect()
}

#[test]
fn the_receiver_is_responsible_from_the_instant_that_it_signed_whatever_the_clocks_of_the_two_say() {
    let opinion = opinion(&whole("MIGRATION"));
    assert!(opinion.is_sound(), "{opinion:#?}");
    assert_eq!(members(&opinion), [A, B]);
    assert_eq!(opinion.responsible[0].until, TAKEN.parse().ok());
    assert_eq!(opinion.responsible[1].from, TAKEN.parse().unwrap());
    assert_eq!(opinion.ending, Ending::TakenOver);
}

#[test]
fn a_delegation_moves_no_responsibility_and_a_copy_is_never_taken_over() {
    let delegated = opinion(&whole("DELEGATION"));
    assert_eq!(
        (members(&delegated), delegated.ending),
        (vec![A], Ending::TakenOver)
    );
    let mut copied = whole("COPY");
    assert!(!opinion(&copied).is_sound());
    copied.pop();
    let copied = opinion(&copied);
    assert!(copied.is_sound(), "{copied:#?}");
    assert_eq!((members(&copied), copied.ending), (vec![A], Ending::Copied));
}

#[test]
fn the_answer_to_who_asks_for_it_back_is_as_good_as_the_message_that_was_lost() {
    let mut told = whole("MISDIRECTED");
    told.truncate(3);
    let answer = json!({ "answer": "refused", "stands": { "stands": "taken-over", "at": TAKEN } });
    told.push(sender(3, 181, "reclaim", json!({}), Some((151, answer))));
    let opinion = opinion(&told);
    assert!(opinion.is_sound(), "{opinion:#?}");
    assert_eq!(members(&opinion), [A, B]);
    assert_eq!(opinion.ending, Ending::TakenOver);
}

#[test]
fn messages_that_cross_contradict_nothing_and_the_arbiter_decides() {
    let mut told = whole("MISDIRECTED");
    told.truncate(1);
    // The acceptance was on its way when the offer was taken back.
    let ended = json!({ "answer": "refused", "stands": { "stands": "ended" } });
    told.push(receiver(1, 25, "accept", json!({}), Some((56, ended))));
    told.push(sender(2, 55, "withdraw", json!({}), taken(26)));
    let withdrawn = opinion(&told);
    assert!(withdrawn.is_sound(), "{withdrawn:#?}");
    assert_eq!(
        (members(&withdrawn), withdrawn.ending),
        (vec![A], Ending::Withdrawn)
    );
    // Nobody who has taken an offer back has taken its acceptance.
    told[1].answer = taken(56);
    assert!(!opinion(&told).is_sound());
}

#[test]
fn a_take_over_after_its_time_of_something_else_or_against_a_promise_is_a_contradiction() {
    type Change = fn(&mut Vec<Told>);
    let changes: [Change; 4] = [
        |told| {
            told[4].more["at"] = at(181).into();
            told[4].minute = 181;
        },
        |told| told[4].more["manifest"] = "11".into(),
        |told| told.push(sender(3, 181, "reclaim", json!({}), taken(151))),
        |told| told[3].more["complete"] = false.into(),
    ];
    for change in changes {
        let mut told = whole("MISDIRECTED");
        change(&mut told);
        assert!(!opinion(&told).contradictions.is_empty());
    }
}

#[test]
fn what_is_not_there_is_named_and_a_receipt_of_something_else_is_none() {
    let mut told = whole("MISDIRECTED");
    told.remove(1);
    assert_eq!(opinion(&told).missing, ["message 1 of the receiver"]);
    let mut told = whole("MISDIRECTED");
    told[4].answer = None;
    let unconfirmed = opinion(&told);
    assert!(unconfirmed.is_sound());
    assert_eq!(unconfirmed.unconfirmed, ["receiver/3/taken-over"]);
    assert_eq!(members(&unconfirmed), [A, B]);
    let mut exchanges: Vec<Exchange> = whole("MISDIRECTED").iter().map(exchange).collect();
    exchanges[4].answer = exchanges[3].answer.clone();
    assert!(!opinions(&exchanges)[0].contradictions.is_empty());
}

#[test]
fn a_number_that_was_given_up_is_used_and_nothing_follows_from_it() {
    let mut told = whole("MISDIRECTED");
    let problem = json!({ "answer": "none" });
    let query = receiver(
        1,
        22,
        "query",
        json!({ "question": "WHY_US" }),
        Some((52, problem)),
    );
    let void = receiver(1, 23, "void", json!({ "gives_up": "query" }), taken(53));
    for later in told.iter_mut().filter(|told| told.party == "receiver") {
        later.number += 1;
    }
    told.extend([query, void]);
    let opinion = opinion(&told);
    assert!(opinion.is_sound(), "{opinion:#?}");
    assert_eq!(opinion.ending, Ending::TakenOver);
}
