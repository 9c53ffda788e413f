use proptest::prelude::*;

use super::*;
use crate::transfer::RefusalReason;
use crate::transfer::message::Message;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";

#[test]
fn a_place_is_written_one_way_and_read_back() {
    for path in [
        format!("/v1/transfers/{ID}/sender/1/offer"),
        format!("/v1/transfers/{ID}/receiver/12/taken-over"),
        format!("/v1/packages/{ID}/0"),
        format!("/v1/late-items/{ID}/3/0"),
    ] {
        assert_eq!(Place::read(&path).unwrap().to_string(), path);
    }
    for path in [
        format!("/v2/transfers/{ID}/sender/1/offer"),
        format!("/v1/transfers/{ID}/sender/0/offer"),
        format!("/v1/transfers/{ID}/sender/01/offer"),
        format!("/v1/transfers/{ID}/sender/+1/offer"),
        format!("/v1/transfers/{ID}/nobody/1/offer"),
        format!("/v1/transfers/{ID}/sender/1"),
        format!("/v1/transfers/{ID}/sender/1/offer/"),
        format!("/v1/packages/{}/0", ID.to_uppercase()),
        format!("/v1/packages/{ID}/-1"),
        "/v1/packages/../0".into(),
    ] {
        assert_eq!(Place::read(&path), None, "{path}");
    }
}

fn sent(body: &str) -> Vec<u8> {
    format!(r#"{{"contract":"kontor-transfer/1","sent_at":"2026-01-05T08:00:00Z","test":true,{body}}}"#)
        .into_bytes()
}

#[test]
fn a_message_says_its_contract_and_its_kind_and_unknown_members_are_passed_over() {
    let good = sent(r#""kind":"refuse","reason":"DUPLICATE","later":1"#);
    let read = Sent::read(&good, "refuse").unwrap();
    assert_eq!(
        read.body.message(),
        Some(Message::Refuse {
            reason: RefusalReason::Duplicate
        })
    );
    assert_eq!(read.body.party(), Some(Party::Receiver));
    for (bytes, kind, code) in [
        (good.clone(), "accept", "kind_mismatch"),
        (sent(r#""kind":"close""#), "close", "message_malformed"),
        (b"{}".to_vec(), "accept", "message_malformed"),
        (
            String::from_utf8(good)
                .unwrap()
                .replace("kontor-transfer/1", "kontor-transfer/2")
                .into(),
            "refuse",
            "contract_unknown",
        ),
        (
            sent(r#""kind":"refuse","reason":"OTHER","words":{"text":"x","free_of_personal_data":false}"#),
            "refuse",
            "message_invalid",
        ),
        (
            sent(&format!(
                r#""kind":"refuse","reason":"OTHER","words":{{"text":"{}","free_of_personal_data":true}}"#,
                "x".repeat(MAX_WORDS + 1)
            )),
            "refuse",
            "message_invalid",
        ),
        (
            sent(r#""kind":"number","case_number":"Frau Muster, 1.1.1970""#),
            "number",
            "message_invalid",
        ),
        (
            sent(&format!(
                r#""kind":"package","take_over_until":"2026-01-05T08:00:00Z","manifest":"{}","manifest_octets":5,"octets":5"#,
                "0".repeat(64)
            )),
            "package",
            "message_invalid",
        ),
    ] {
        assert_eq!(Sent::read(&bytes, kind).unwrap_err().code(), code, "{kind}");
    }
}

#[test]
fn a_receipt_says_how_it_stands_when_it_refuses() {
    let receipt = Receipt {
        contract: CONTRACT.into(),
        message: format!("/v1/transfers/{ID}/receiver/1/accept"),
        sha256: Digest([1; 32]),
        x_road_id: "a".into(),
        x_road_request_id: "b".into(),
        received_at: "2026-01-05T08:00:00Z".parse().unwrap(),
        answer: Answer::Refused {
            stands: Stands::Ended,
        },
        detail: None,
        entry: None,
    };
    let text = serde_json::to_string(&receipt).unwrap();
    assert!(
        text.contains(r#""answer":"refused","stands":{"stands":"ended"}"#),
        "{text}"
    );
    assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), receipt);
    assert_eq!(receipt.stands(), Some(Stands::Ended));
}

proptest! {
    #[test]
    fn any_path_and_any_body_is_read_or_refused(path in "\\PC{0,120}", body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(place) = Place::read(&path) {
            prop_assert_eq!(place.to_string(), path);
        }
        let _ = Sent::read(&body, "accept");
    }
}
