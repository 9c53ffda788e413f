//! The JSON form: what is read is what was written, and nothing else is read. What a statement proves is tested with real
//! logs, in the node.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::container::Verdict;
use crate::log::{Direction, EntryKind, Leaf, Part, Retention, commitment, encode_parts, parse_parts};
use crate::trust::optional::OptionalParts;
use crate::trust::shared::SharedParams;
use crate::trust::{InstanceConfig, TrustSet};

/// A configuration that knows nobody.
fn nobody() -> TrustSet {
    let config = InstanceConfig {
        instance: "TEST".into(),
        shared: SharedParams {
            instance: "TEST".into(),
            ..SharedParams::default()
        },
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: None,
    };
    TrustSet::new("TEST", vec![config]).unwrap()
}

fn companion(number: u64, kind: EntryKind, name: &str, content: &[u8]) -> Companion {
    let (salt, digest) = ([9; 32], kontor_pki::crypto::sha512(content));
    let part = Part {
        name,
        length: content.len() as u64,
        digest: &digest,
    };
    let parts = encode_parts(&[part]);
    let leaf = Leaf {
        kind,
        direction: Direction::None,
        test: true,
        size_class: 4,
        log_id: [7; 32],
        number,
        second: 1_900_000_000,
        period: 203_001,
        client: None,
        service: None,
        client_server: None,
        provider_server: None,
        retention: Retention::default(),
        commitment: commitment(&salt, &parts),
    };
    Companion {
        leaf: leaf.to_bytes(),
        salt,
        parts: parse_parts(&parts).unwrap(),
        proof: None,
        keys: Vec::new(),
        absent: Vec::new(),
    }
}

fn sample(of_leaf: bool) -> Statement {
    let entry = companion(3, EntryKind::Request, "message.xml", b"a message");
    let mut numbers = NumberSet::default();
    numbers.insert(3);
    Statement {
        entry: match of_leaf {
            false => Entry::Evidence(entry),
            true => Entry::Leaf {
                leaf: entry.leaf,
                proof: None,
                keys: Vec::new(),
            },
        },
        deletions: vec![Deletion {
            entry: companion(9, EntryKind::Deletion, "fact.json", b"{}"),
            fact: b"{}".to_vec(),
            numbers: numbers.encode(),
        }],
        absent: vec![Absent {
            name: "body".into(),
            code: "log_content_deleted".into(),
            text: "it was deleted".into(),
        }],
    }
}

#[test]
fn a_statement_is_read_as_it_was_written() {
    for of_leaf in [false, true] {
        let statement = sample(of_leaf);
        let json = statement.to_json();
        assert_eq!(Statement::from_json(&json), Ok(statement));
        let mut later: Value = serde_json::from_slice(&json).unwrap();
        later["later"] = json!("a member of a later version");
        assert!(Statement::from_json(later.to_string().as_bytes()).is_ok());
    }
}

#[test]
fn what_is_no_statement_is_refused_in_words() {
    let json: Value = serde_json::from_slice(&sample(true).to_json()).unwrap();
    let both: Value = serde_json::from_slice(&sample(false).to_json()).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut changed = json.clone();
        change(&mut changed);
        let error = Statement::from_json(changed.to_string().as_bytes()).unwrap_err();
        error.to_string()
    };
    assert!(changed(&|json| json["format"] = json!(2)).contains("a newer program"));
    assert!(changed(&|json| json["leaf"] = json!("***")).contains("base64"));
    assert!(changed(&|json| json["companion"] = both["companion"].clone()).contains("or both"));
    assert!(changed(&|json| json["leaf"] = Value::Null).contains("or both"));
    assert!(
        changed(&|json| json["deletions"] = vec![json["deletions"][0].clone(); 17].into())
            .contains("too large")
    );
    assert!(
        changed(&|json| json["leaf"] = json!(STANDARD.encode([0; LEAF_LIMIT + 1]))).contains("too large")
    );
    let large = vec![b' '; limits::CONTAINER_ENTRY + 1];
    assert!(Statement::from_json(&large).is_err());
}

#[test]
fn without_proofs_a_statement_is_incomplete_and_a_deletion_must_say_what_it_deleted() {
    let trust = nobody();
    let report = judge(&sample(true), &trust);
    assert_eq!(report.verdict, Verdict::Invalid, "`{{}}` is no deletion");
    assert!(
        report
            .reasons
            .iter()
            .any(|reason| reason.code == "deletion_other")
    );
    assert_eq!(report.left, Left::Nothing);
    let mut without = sample(true);
    without.deletions.clear();
    let report = judge(&without, &trust);
    let codes: Vec<_> = report.reasons.iter().map(|reason| reason.code.as_str()).collect();
    assert_eq!(
        codes,
        ["proof_missing", "not_explained", "not_explained"],
        "head and evidence are missing"
    );
    assert_eq!((report.verdict, report.left), (Verdict::Incomplete, Left::Leaf));
    assert!(report.in_words().starts_with("INCOMPLETE\n"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_and_changed_statements_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        at in any::<prop::sample::Index>(),
        with in any::<u8>(),
        of_leaf in any::<bool>(),
    ) {
        let trust = nobody();
        let _ = Statement::from_json(&bytes);
        let mut json = sample(of_leaf).to_json();
        let at = at.index(json.len());
        json[at] = with;
        if let Ok(statement) = Statement::from_json(&json) {
            let report = judge(&statement, &trust);
            prop_assert_ne!(report.verdict, Verdict::Valid);
            let _ = report.in_words();
        }
    }
}
