use kontor_protocol::package::cover::Language;
use serde_json::json;

use super::*;
use crate::application::manifest::Digest;
use crate::transfer::delivery::CONTRACT;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const A: &str = "TEST/GOV/1001";
const B: &str = "TEST/GOV/1002";

fn offer() -> serde_json::Value {
    let deadline = |at: &str| {
        json!({
            "rule": { "kind": "until", "date": "2026-01-08" }, "trigger": "2026-01-05T08:00:00Z", "place": { "land": "SH" },
            "zone": "Europe/Berlin", "holidays": "2026-1", "raw_end": null, "effective_end": "2026-01-08", "ends_at": at, "steps": [],
        })
    };
    json!({
        "transfer_id": ID, "application_id": "4f2504e0-4f89-41d3-9a0c-0305e82c3301", "situation": "MISDIRECTED",
        "service": "99102013104000", "region": "010585890008", "first_received_at": "2026-01-05T07:00:00Z",
        "running_deadlines": [], "files": 1, "octets": 5, "flags": {}, "answer_wanted_by": deadline("2026-01-08T23:00:00Z"),
        "take_over_until": "2026-01-12T23:00:00Z", "manifest": "0".repeat(64), "test": true,
    })
}

fn exchange(party: Party, seq: u32, at: &str, body: serde_json::Value, answer: Answer) -> Exchange {
    answered(party, seq, at, body, (at, answer))
}

fn answered(
    party: Party,
    seq: u32,
    at: &str,
    mut body: serde_json::Value,
    (received_at, answer): (&str, Answer),
) -> Exchange {
    body["contract"] = CONTRACT.into();
    body["sent_at"] = at.into();
    body["test"] = true.into();
    let path = format!(
        "/v1/transfers/{ID}/{}/{seq}/{}",
        party.name(),
        body["kind"].as_str().unwrap()
    );
    let body = body.to_string().into_bytes();
    let receipt = Receipt {
        contract: CONTRACT.into(),
        message: path.clone(),
        sha256: Digest(kontor_pki::crypto::sha256(&body)),
        x_road_id: "q".into(),
        x_road_request_id: "r".into(),
        received_at: received_at.parse().unwrap(),
        answer,
        detail: None,
        entry: None,
    };
    let (from, to) = match party {
        Party::Sender => (A, B),
        Party::Receiver => (B, A),
    };
    Exchange {
        from: from.into(),
        to: to.into(),
        path,
        body,
        answer: Some(serde_json::to_vec(&receipt).unwrap()),
    }
}

fn whole() -> Vec<Exchange> {
    let zeros = "0".repeat(64);
    vec![
        exchange(
            Party::Sender,
            1,
            "2026-01-05T08:00:00Z",
            json!({ "kind": "offer", "offer": offer() }),
            Answer::Taken,
        ),
        exchange(
            Party::Receiver,
            1,
            "2026-01-05T09:00:00Z",
            json!({ "kind": "accept" }),
            Answer::Taken,
        ),
        exchange(
            Party::Sender,
            2,
            "2026-01-05T09:00:01Z",
            json!({ "kind": "package", "take_over_until": "2026-01-12T23:00:00Z", "manifest": zeros, "manifest_octets": 5, "octets": 10 }),
            Answer::Taken,
        ),
        exchange(
            Party::Receiver,
            2,
            "2026-01-05T09:00:02Z",
            json!({ "kind": "import-result", "complete": true, "files": [] }),
            Answer::Taken,
        ),
        exchange(
            Party::Receiver,
            3,
            "2026-01-05T10:00:00Z",
            json!({ "kind": "taken-over", "at": "2026-01-05T10:00:00Z", "manifest": zeros, "case_number": "N-1" }),
            Answer::Taken,
        ),
    ]
}

#[test]
fn the_messages_alone_say_who_was_responsible_when() {
    let mut exchanges = whole();
    // However they lie in the package, and however often they were sent.
    exchanges.reverse();
    exchanges.push(exchanges[0].clone());
    let courses = replay(&exchanges);
    let [course] = &courses[..] else {
        panic!("{courses:?}")
    };
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!((course.sender.as_str(), course.receiver.as_str()), (A, B));
    let at: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    assert_eq!(course.responsible.len(), 2);
    assert_eq!(
        (course.responsible[0].member.as_str(), course.responsible[0].until),
        (A, Some(at))
    );
    assert_eq!(
        (course.responsible[1].member.as_str(), course.responsible[1].from),
        (B, at)
    );
    let last = course.steps.last().unwrap();
    assert_eq!((last.sender, last.receiver), ("CLOSED", "CLOSED"));
    assert_eq!(course.ending, Ending::TakenOver);
    let words = course.in_words(Language::German);
    assert!(
        words.contains("Zuständig ist TEST/GOV/1002 seit 2026-01-05T10:00:00Z"),
        "{words}"
    );
}

#[test]
fn without_a_take_over_the_sender_stays_responsible() {
    let courses = replay(&whole()[..4]);
    assert_eq!(courses[0].responsible.len(), 1);
    assert_eq!(
        (
            courses[0].responsible[0].member.as_str(),
            courses[0].responsible[0].until
        ),
        (A, None)
    );
}

#[test]
fn what_could_not_have_been_said_is_a_contradiction() {
    // It was taken over before it was there.
    let mut early = whole();
    early.remove(3);
    early[3].path = early[3].path.replace("/3/", "/2/");
    assert!(!replay(&early)[0].contradictions.is_empty());
    // An answer that could not have been given.
    let mut refused = whole();
    refused[1] = exchange(
        Party::Receiver,
        1,
        "2026-01-05T09:00:00Z",
        json!({ "kind": "accept" }),
        Answer::Refused {
            stands: crate::transfer::message::Stands::Ended,
        },
    );
    let course = &replay(&refused)[0];
    assert!(
        course
            .contradictions
            .iter()
            .any(|text| text.contains("answered with refused")),
        "{course:?}"
    );
    // A receipt of something else, and a message of a stranger.
    let mut other = whole();
    other[0].answer.clone_from(&whole()[1].answer);
    other[3].from = "TEST/GOV/1003".into();
    let course = &replay(&other)[0];
    assert_eq!(course.contradictions.len(), 2, "{course:?}");
}

#[test]
fn clocks_that_differ_and_messages_that_cross_are_no_contradiction() {
    let zeros = "0".repeat(64);
    // The receiver's clock is an hour ahead: by it the package came before it was sent for.
    let mut told = whole();
    told[1] = answered(
        Party::Receiver,
        1,
        "2026-01-05T10:00:00Z",
        json!({ "kind": "accept" }),
        ("2026-01-05T09:00:01Z", Answer::Taken),
    );
    told[2] = answered(
        Party::Sender,
        2,
        "2026-01-05T09:00:01Z",
        json!({ "kind": "package", "take_over_until": "2026-01-12T23:00:00Z", "manifest": zeros, "manifest_octets": 5, "octets": 10 }),
        ("2026-01-05T10:00:01Z", Answer::Taken),
    );
    told.truncate(3);
    // It says how the import went while it is being called back.
    told.push(answered(
        Party::Sender,
        3,
        "2026-01-05T09:00:05Z",
        json!({ "kind": "recall", "reason": "WRONG_RECIPIENT" }),
        ("2026-01-05T10:00:09Z", Answer::Taken),
    ));
    told.push(answered(
        Party::Receiver,
        2,
        "2026-01-05T10:00:06Z",
        json!({ "kind": "import-result", "complete": true, "files": [] }),
        ("2026-01-05T09:00:08Z", Answer::Taken),
    ));
    let course = &replay(&told)[0];
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!(course.ending, Ending::Recalled);
    assert_eq!(course.responsible.len(), 1);
}

#[test]
fn who_asks_for_it_back_learns_from_the_answer_that_it_was_taken_over() {
    let mut told = whole();
    told.truncate(4);
    let at: Timestamp = "2026-01-05T10:00:00Z".parse().unwrap();
    let stands = crate::transfer::message::Stands::TakenOver { at };
    told.push(exchange(
        Party::Sender,
        3,
        "2026-01-12T23:00:01Z",
        json!({ "kind": "reclaim" }),
        Answer::Refused { stands },
    ));
    let course = &replay(&told)[0];
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!(course.ending, Ending::TakenOver);
    assert_eq!(
        (course.responsible[1].member.as_str(), course.responsible[1].from),
        (B, at)
    );
}

#[test]
fn a_missing_message_leaves_open_who_was_responsible_and_is_named() {
    let mut told = whole();
    told.remove(1);
    let course = &replay(&told)[0];
    assert_eq!(course.missing, ["message 1 of the receiver"]);
    assert_eq!(course.responsible, []);
    let mut told = whole();
    told.remove(0);
    let course = &replay(&told)[0];
    assert_eq!(course.missing, ["message 1 of the sender"]);
    let words = course.in_words(Language::German);
    assert!(words.contains("ES FEHLT: message 1 of the sender"), "{words}");
}

#[test]
fn a_message_that_was_given_up_makes_room_for_saying_so() {
    let mut told = whole();
    for message in told.iter_mut().skip(1).filter(|message| message.from == B) {
        let (number, next) = if message.path.contains("/1/") {
            ("/1/", "/2/")
        } else if message.path.contains("/2/") {
            ("/2/", "/3/")
        } else {
            ("/3/", "/4/")
        };
        message.path = message.path.replace(number, next);
        let mut receipt: Receipt = serde_json::from_slice(message.answer.as_deref().unwrap()).unwrap();
        receipt.message.clone_from(&message.path);
        message.answer = Some(serde_json::to_vec(&receipt).unwrap());
    }
    let mut given_up = exchange(
        Party::Receiver,
        1,
        "2026-01-05T08:10:00Z",
        json!({ "kind": "query", "question": "WHY_US" }),
        Answer::Taken,
    );
    given_up.answer = Some(b"{\"code\":\"message_invalid\"}".to_vec());
    told.push(given_up);
    told.push(exchange(
        Party::Receiver,
        1,
        "2026-01-05T08:20:00Z",
        json!({ "kind": "void", "gives_up": "query" }),
        Answer::Taken,
    ));
    let course = &replay(&told)[0];
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!(course.ending, Ending::TakenOver);
}
