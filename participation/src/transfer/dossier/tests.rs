use serde_json::json;

use super::*;

fn samples() -> Vec<Value> {
    [
        include_str!("../../../tests/vectors/cases/baumfaellung.json"),
        include_str!("../../../tests/vectors/cases/bauvoranfrage.json"),
        include_str!("../../../tests/vectors/cases/gewerbeanmeldung.json"),
        include_str!("../../../tests/vectors/cases/hundesteuer.json"),
    ]
    .map(|text| serde_json::from_str(text).unwrap())
    .into()
}

/// What travels of a sample: its members as they are, amounts as text.
fn travelling(sample: &Value) -> Value {
    let mut dossier = json!({
        "messages": sample["messages"],
        "open_questions": sample["open_questions"],
        "parties": sample["parties"],
        "reply_channel": sample["reply_channel"],
        "retention": sample["retention"],
    });
    if sample["payment"].is_object() {
        dossier["payment"] = sample["payment"].clone();
        dossier["payment"]["grossAmount"] = sample["payment"]["grossAmount"].to_string().into();
    }
    dossier
}

#[test]
fn what_the_samples_have_is_read_and_written_as_it_was() {
    let mut flags = Vec::new();
    for sample in samples() {
        let dossier = Dossier::read(travelling(&sample).to_string().as_bytes()).unwrap();
        assert_eq!(Dossier::read(&dossier.bytes().unwrap()).unwrap(), dossier);
        let (paid, decided, open) = dossier.flags();
        let said = &sample["flags"];
        assert_eq!(said["payment_done"], paid, "{}", sample["scenario"]);
        assert_eq!(said["decision_exists"], decided);
        assert_eq!(said["open_question"], open);
        assert!(dossier.tells_people() || dossier.messages.is_empty());
        flags.push((paid, open));
    }
    assert!(flags.contains(&(true, false)) || flags.contains(&(true, true)));
    assert!(flags.iter().any(|(_, open)| *open));
}

#[test]
fn what_is_not_known_here_is_kept() {
    let text = json!({ "seal_of_office": { "a": 1 } }).to_string();
    let dossier = Dossier::read(text.as_bytes()).unwrap();
    assert_eq!(dossier.bytes().unwrap(), text.as_bytes());
    assert!(dossier.tells_people());
    assert!(!Dossier::default().tells_people());
}

#[test]
fn what_is_no_dossier_is_refused_with_the_place() {
    let message = |id: &str| {
        json!({
            "message_id": id, "direction": "TO_APPLICANT", "subject": "s", "body": "b", "reply_allowed": true,
            "created_at": "2026-05-04T13:00:00+02:00", "attachments": ["f-1"],
        })
    };
    let payment = |amount: &str| {
        json!({ "payment": {
            "transactionReference": "r", "transactionId": "i", "paymentMethod": "INVOICE", "status": "INITIAL",
            "grossAmount": amount, "currency": "EUR",
        } })
    };
    let question = json!({
        "question_id": "q", "text": "t", "asked_at": "2026-05-04T13:00:00+02:00", "state": "OPEN", "message_id": "m-2",
    });
    let refused = |document: Value| {
        let error = Dossier::read(document.to_string().as_bytes()).unwrap_err();
        (error.code(), error.pointer().to_owned())
    };
    assert_eq!(refused(json!([])).0, "dossier_malformed");
    assert_eq!(refused(json!({ "messages": [{}] })).0, "dossier_malformed");
    assert_eq!(
        refused(json!({ "messages": [message("m-1"), message("m-1")] })),
        ("dossier_message_unknown", "/messages/1/message_id".into())
    );
    assert_eq!(
        refused(json!({ "messages": [message("m-1")], "open_questions": [question] })),
        ("dossier_message_unknown", "/open_questions/0/message_id".into())
    );
    let mut long = message("m-1");
    long["body"] = "x".repeat(MAX_TEXT + 1).into();
    assert_eq!(
        refused(json!({ "messages": [long] })),
        ("dossier_too_long", "/messages/0/body".into())
    );
    let many: Vec<Value> = (0..=MAX_ITEMS).map(|n| message(&n.to_string())).collect();
    assert_eq!(
        refused(json!({ "messages": many })),
        ("dossier_too_long", "/messages".into())
    );
    for amount in ["", "26,50", "-1", "1.", ".5", "1e3", "26.50000"] {
        assert_eq!(
            refused(payment(amount)),
            ("dossier_amount", "/payment/grossAmount".into())
        );
    }
    for amount in ["26.5", "0", "120.00"] {
        Dossier::read(payment(amount).to_string().as_bytes()).unwrap();
    }
    let dossier = Dossier::read(json!({ "messages": [message("m-1")] }).to_string().as_bytes()).unwrap();
    assert!(dossier.check_files(|file| file == "f-1").is_ok());
    let error = dossier.check_files(|_| false).unwrap_err();
    assert_eq!(
        (error.code(), error.pointer()),
        ("dossier_file_unknown", "/messages/0/attachments/0")
    );
}

/// Every member that the code writes is in the published schema, and the schema asks for none that the code does not.
#[test]
fn the_published_schema_knows_every_member() {
    let document: Value = serde_json::from_str(crate::transfer::contract::contract()).unwrap();
    let schema = &document["components"]["schemas"]["Dossier"]["properties"];
    let mut seen = BTreeSet::new();
    for sample in samples() {
        let dossier = Dossier::read(travelling(&sample).to_string().as_bytes()).unwrap();
        let written: Value = serde_json::from_slice(&dossier.bytes().unwrap()).unwrap();
        for (name, value) in written.as_object().unwrap() {
            seen.insert(name.clone());
            let (known, values) = match value.as_array() {
                Some(items) => (&schema[name]["items"], items.clone()),
                None => (&schema[name], vec![value.clone()]),
            };
            for value in values {
                for member in value.as_object().unwrap().keys() {
                    assert!(known["properties"].get(member).is_some(), "{name}/{member}");
                }
                for required in known["required"].as_array().unwrap() {
                    assert!(
                        value.get(required.as_str().unwrap()).is_some(),
                        "{name}: {required}"
                    );
                }
            }
        }
    }
    assert!(seen.len() >= 5, "{seen:?}");
}
