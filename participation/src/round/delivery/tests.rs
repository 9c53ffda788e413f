use std::path::Path;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::round::contract::contract;
use crate::round::message::{Judgement, Message, Says};
use crate::round::state::State;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

#[test]
fn a_place_is_written_one_way_and_read_back() {
    for path in [
        format!("/v1/requests/{ID}/requester/1/request"),
        format!("/v1/requests/{ID}/participant/12/statement"),
        format!("/v1/bundles/{ID}/requester/1/0"),
        format!("/v1/bundles/{ID}/participant/3/17"),
    ] {
        assert_eq!(Place::read(&path).unwrap().to_string(), path);
    }
    for path in [
        format!("/v2/requests/{ID}/requester/1/request"),
        format!("/v1/requests/{ID}/requester/0/request"),
        format!("/v1/requests/{ID}/requester/01/request"),
        format!("/v1/requests/{ID}/guest/1/request"),
        format!("/v1/requests/{ID}/requester/1"),
        format!("/v1/bundles/{ID}/requester/1/-1"),
        format!("/v1/bundles/{}/requester/1/0", ID.to_uppercase()),
        format!("/v1/packages/{ID}/requester/1/0"),
    ] {
        assert_eq!(Place::read(&path), None, "{path}");
    }
}

fn sent(body: &str) -> Vec<u8> {
    format!(
        r#"{{"contract":"kontor-participation/1","heard":2,"sent_at":"2026-01-05T08:00:00Z","test":true,{body}}}"#
    )
    .into_bytes()
}

#[test]
fn a_message_says_its_contract_and_its_kind_and_unknown_members_are_passed_over() {
    let good = sent(r#""kind":"suspended","at":"2026-01-05T08:00:00Z","later":1"#);
    let read = Sent::read(&good, "suspended").unwrap();
    assert_eq!((read.told().heard, read.body.side()), (2, Some(Side::Requester)));
    assert!(matches!(read.told().message, Message::Suspended { .. }));
    let other = String::from_utf8(good.clone())
        .unwrap()
        .replace("participation/1", "participation/2");
    let words = |confirmed| {
        format!(
            r#""kind":"decline","reason":"OTHER","entered_at":"2026-01-05T08:00:00Z","words":{{"text":"x","free_of_personal_data":{confirmed}}}"#
        )
    };
    let bundle = |octets| {
        format!(
            r#""bundle":{{"manifest":"{}","manifest_octets":5,"octets":{octets}}}"#,
            "0".repeat(64)
        )
    };
    assert!(Sent::read(&sent(&words(true)), "decline").is_ok());
    for (bytes, kind, code) in [
        (good.clone(), "resumed", "kind_mismatch"),
        (sent(r#""kind":"close""#), "close", "message_malformed"),
        (b"{}".to_vec(), "assessed", "message_malformed"),
        (other.into_bytes(), "suspended", "contract_unknown"),
        (sent(&words(false)), "decline", "message_invalid"),
        (
            sent(&format!(r#""kind":"answer",{}"#, bundle(5))),
            "answer",
            "message_invalid",
        ),
        (
            sent(r#""kind":"acknowledge","reference":"Frau Muster, 1.1.1970""#),
            "acknowledge",
            "message_invalid",
        ),
        (
            sent(r#""kind":"revoke","whole":false,"files":["Frau Muster"],"reason":"REPLACED""#),
            "revoke",
            "message_invalid",
        ),
        (
            sent(
                r#""kind":"decline","reason":"OTHER","entered_at":"2026-01-05T08:00:00Z","suggestion":"Frau Muster""#,
            ),
            "decline",
            "message_invalid",
        ),
        (
            sent(r#""kind":"revoke","whole":false,"reason":"REPLACED""#),
            "revoke",
            "message_invalid",
        ),
        (
            sent(r#""kind":"revoke","whole":true,"files":["x"],"reason":"REPLACED""#),
            "revoke",
            "message_invalid",
        ),
    ] {
        assert_eq!(Sent::read(&bytes, kind).unwrap_err().code(), code, "{kind}");
    }
}

/// The request of the document, which is the one of the sample case, and any other body of it.
fn examples() -> Vec<Value> {
    let document: Value = serde_json::from_str(contract()).unwrap();
    document["paths"]
        .as_object()
        .unwrap()
        .values()
        .filter_map(|operations| operations.get("put"))
        .map(|put| put["requestBody"]["content"]["application/json"]["example"].clone())
        .collect()
}

#[test]
fn bodies_hold_nothing_of_what_the_applicants_of_the_samples_wrote() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    for name in ["baumfaellung", "bauvoranfrage", "gewerbeanmeldung"] {
        let case = std::fs::read_to_string(dir.join(format!("tests/vectors/cases/{name}.json"))).unwrap();
        let case: Value = serde_json::from_str(&case).unwrap();
        for example in examples() {
            let kind = example["kind"].as_str().unwrap();
            let sent = Sent::read(example.to_string().as_bytes(), kind).unwrap();
            let text = serde_json::to_string(&sent).unwrap();
            assert_eq!(Sent::read(text.as_bytes(), kind), Ok(sent));
            for probe in case["probes"]["never_in_log_or_offer"].as_array().unwrap() {
                assert!(!text.contains(probe.as_str().unwrap()), "{kind}: {probe}");
            }
        }
    }
}

#[test]
fn silence_with_an_effect_needs_an_end() {
    let mut request = examples()
        .into_iter()
        .find(|example| example["kind"] == "request")
        .unwrap();
    request["request"]["terms"]
        .as_object_mut()
        .unwrap()
        .remove("rule");
    let refused = Sent::read(request.to_string().as_bytes(), "request").unwrap_err();
    assert_eq!(refused.code(), "message_invalid");
    request["request"]["terms"]["effect"] = "NONE".into();
    assert!(Sent::read(request.to_string().as_bytes(), "request").is_ok());
}

#[test]
fn a_receipt_is_the_delivery_and_says_whether_a_statement_is_in_time_and_how_strong_it_is() {
    let receipt = |says| Receipt {
        contract: CONTRACT.into(),
        message: format!("/v1/requests/{ID}/participant/1/statement"),
        sha256: Digest([1; 32]),
        x_road_id: "a".into(),
        x_road_request_id: "b".into(),
        received_at: "2026-01-05T08:00:00Z".parse().unwrap(),
        proof_level: ProofLevel::Guest,
        answer: Answer { after: 3, says },
        detail: None,
        entry: None,
    };
    for (says, members) in [
        (
            Says::Delivered {
                delivered_at: "2026-01-05T08:00:00Z".parse().unwrap(),
            },
            r#""answer":"delivered","delivered_at":"2026-01-05T08:00:00Z""#,
        ),
        (
            Says::Judged(Judgement {
                in_time: true,
                kept_beside: false,
            }),
            r#""answer":"judged","in_time":true,"kept_beside":false"#,
        ),
        (
            Says::Refused {
                stands: State::Revoked,
            },
            r#""answer":"refused","stands":"REVOKED""#,
        ),
        (Says::Taken, r#""answer":"taken""#),
    ] {
        let text = serde_json::to_string(&receipt(says)).unwrap();
        assert!(
            text.contains(members) && text.contains(r#""proof_level":"guest","after":3"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt(says));
    }
}

proptest! {
    #[test]
    fn any_path_and_any_body_is_read_or_refused(path in "\\PC{0,120}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(place) = Place::read(&path) {
            prop_assert_eq!(place.to_string(), path);
        }
        let _ = Sent::read(&body, "statement");
    }
}

#[test]
fn a_request_names_who_is_hosted_and_nobody_with_a_node() {
    let document: Value = serde_json::from_str(contract()).unwrap();
    let place = "/v1/requests/{request}/requester/{seq}/request";
    let mut message =
        document["paths"][place]["put"]["requestBody"]["content"]["application/json"]["example"].clone();
    let read = |message: &Value| Sent::read(message.to_string().as_bytes(), "request");
    read(&message).unwrap();
    message["request"]["hosted"] = "unit/jugendamt".into();
    assert_eq!(read(&message).unwrap_err().code(), "message_invalid", "a node");
    message["request"]["proof_level"] = "internal".into();
    read(&message).unwrap();
    for wrong in ["unit/", "unit/Amt für Bau", "guest/somebody", "somebody"] {
        message["request"]["hosted"] = wrong.into();
        assert_eq!(read(&message).unwrap_err().code(), "message_invalid", "{wrong}");
    }
    message["request"].as_object_mut().unwrap().remove("hosted");
    assert_eq!(read(&message).unwrap_err().code(), "message_invalid", "nobody");
}

#[test]
fn only_what_has_not_counted_can_be_given_up() {
    let void = |gives_up: &str| Body::Void {
        gives_up: gives_up.to_owned(),
    };
    for (kind, side) in [
        ("inquire", Side::Requester),
        ("reminder", Side::Requester),
        ("statement", Side::Participant),
        ("purged", Side::Participant),
    ] {
        assert_eq!(
            (void(kind).check(), void(kind).side()),
            (Ok(()), Some(side)),
            "{kind}"
        );
    }
    // What the requester has decided holds at its side; a request that does not arrive has failed.
    for kind in [
        "request",
        "deadline",
        "expired",
        "cancelled",
        "revoke",
        "void",
        "nothing",
    ] {
        let error = void(kind).check().unwrap_err();
        assert_eq!(error.code(), "message_invalid", "{kind}");
    }
}
