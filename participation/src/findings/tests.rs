use proptest::prelude::*;

use super::*;
use crate::application::intake;

/// The numbers that the tax administration gives as examples of the rule; nobody has them.
const EXAMPLES: [&str; 2] = ["86095742719", "47036892816"];

fn form(name: &str, label: &str, value: &str) -> Form {
    let member = match value.starts_with(|c: char| ('1'..='9').contains(&c))
        && value.bytes().all(|b| b.is_ascii_digit())
    {
        true => format!("\"numberValue\":{value}"),
        false => format!("\"stringValue\":{}", serde_json::to_string(value).unwrap()),
    };
    let text = format!(
        "{{\"control\":{{\"transactionId\":\"t\",\"name\":\"F\"}},\"formData\":[{{\"name\":\"g\",\"label\":\"G\",\"formItems\":[\
         {{\"name\":{},\"label\":{},{member}}}]}}]}}",
        serde_json::to_string(name).unwrap(),
        serde_json::to_string(label).unwrap(),
    );
    intake::read(text.as_bytes()).unwrap()
}

fn found(name: &str, label: &str, value: &str) -> bool {
    !find(&form(name, label, value), Secrecy::default()).is_empty()
}

fn digits(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| byte - b'0').collect()
}

#[test]
fn a_number_is_found_as_a_whole_value_however_it_is_written() {
    for example in EXAMPLES {
        assert!(is_identification_number(&digits(example)), "{example}");
        let spaced = format!(
            "{} {} {} {}",
            &example[..2],
            &example[2..5],
            &example[5..8],
            &example[8..]
        );
        for value in [
            example.to_owned(),
            spaced,
            format!("  {example}\n"),
            example.replace('7', "7-"),
        ] {
            let finding = find(&form("feld", "Feld", &value), Secrecy::default());
            assert_eq!(finding.len(), 1, "{value:?}");
            assert_eq!(
                (&finding[0].at[..], finding[0].label.as_str()),
                (&[0, 0][..], "Feld")
            );
            assert_eq!(finding[0].kind, Kind::IdentificationNumber);
        }
        assert!(
            !found("feld", "Feld", &format!("Nr. {example} bitte")),
            "in a text it is any number"
        );
    }
}

#[test]
fn behind_a_label_that_names_it_a_wrong_one_is_found_too() {
    let wrong = "86095742718";
    assert!(!found("feld", "Feld", wrong));
    for label in [
        "Steuerliche Identifikationsnummer (IdNr.)",
        "Steuer-ID",
        "Steuer ID des Kindes",
        "STEUERIDENTIFIKATIONSNUMMER",
        "Steuer-Identifikationsnummer",
    ] {
        assert!(found("feld", label, wrong), "{label}");
        assert!(
            found("feld", label, "meine ist 86 095 742 718, glaube ich"),
            "{label}"
        );
        assert!(!found("feld", label, "keine"), "{label}");
        assert!(!found("feld", label, "0123456789012"), "{label}: another number");
    }
    for name in ["steuer_id", "person_0_idnr", "steuerId"] {
        assert!(found(name, "Nummer", wrong), "{name}");
    }
}

#[test]
fn the_rule_of_repeated_digits_and_the_check_digit_hold() {
    for wrong in [
        "06095742719",
        "12345678903",
        "11111111111",
        "8609574271",
        "860957427199",
        "86095742710",
    ] {
        assert!(!is_identification_number(&digits(wrong)), "{wrong}");
    }
    assert!(!is_identification_number(&[]));
    assert!(!is_identification_number(&[8, 6, 0, 9, 5, 7, 4, 2, 7, 1, 19]));
}

#[test]
fn what_a_service_is_about_is_a_finding_of_the_whole_application() {
    let secrecy = Secrecy {
        tax: true,
        social: true,
    };
    let found = find(&form("feld", "Feld", "nichts"), secrecy);
    let kinds: Vec<_> = found.iter().map(|finding| finding.kind).collect();
    assert_eq!(kinds, [Kind::TaxSecrecy, Kind::SocialData]);
    assert!(
        found
            .iter()
            .all(|finding| finding.at.is_empty() && finding.label == "F")
    );
}

#[test]
fn no_sample_is_suspected_for_its_other_numbers() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../node/samples");
    for sample in ["baumfaellung", "bauvoranfrage", "gewerbeanmeldung", "hundesteuer"] {
        let text = std::fs::read(dir.join(sample).join("formData.json")).unwrap();
        let form = intake::read(&text).unwrap();
        assert_eq!(find(&form, Secrecy::default()), [], "{sample}");
    }
}

proptest! {
    #[test]
    fn one_changed_digit_is_never_the_number_of_somebody_else(at in 0..11usize, digit in 0..10u8, which in 0..2usize) {
        let mut number = digits(EXAMPLES[which]);
        prop_assume!(number[at] != digit);
        number[at] = digit;
        prop_assert!(!is_identification_number(&number));
    }
}
