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

fn exchange(party: Party, seq: u32, at: &str, mut body: serde_json::Value, answer: Answer) -> Exchange {
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
        received_at: at.parse().unwrap(),
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
    // A message is missing.
    let mut missing = whole();
    missing.remove(1);
    assert!(!replay(&missing)[0].contradictions.is_empty());
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
