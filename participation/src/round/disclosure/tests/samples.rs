//! The disclosures of the fictional cases: what they name arrives, and none of the words that must not reach a participant does.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::application::intake;
use crate::round::profile::Class;
use crate::round::recipient::{Ground, RecipientTable};

fn case(name: &str) -> Value {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(dir.join(format!("tests/vectors/cases/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn sample(name: &str) -> (Form, Vec<Held>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../node/samples")
        .join(name);
    let form = intake::read(&std::fs::read(folder.join("formData.json")).unwrap()).unwrap();
    let manifest: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("manifest.json")).unwrap()).unwrap();
    let text = |file: &Value, member: &str| file[member].as_str().map(str::to_owned);
    let held = manifest["files"].as_array().unwrap().iter().map(|file| {
        let role = serde_json::from_value(file["role"].clone()).unwrap();
        let of = |member: &str| text(file, member).unwrap();
        Held {
            file: File {
                group: text(file, "group"),
                size: file["size"].as_u64().unwrap(),
                sha256: serde_json::from_value(file["sha256"].clone()).unwrap(),
                sha512: serde_json::from_value(file["sha512"].clone()).unwrap(),
                ..File::of(
                    of("file_id"),
                    role,
                    of("original_name"),
                    of("declared_media_type"),
                    b"",
                )
            },
            redacts: text(file, "redacts"),
        }
    });
    (form, held.collect())
}

/// The disclosure of a case, whose places are named there.
fn named(disclosed: &Value, form: &Form) -> Disclosure {
    let right = |value: &Value| serde_json::from_value(value["mode"].clone()).unwrap();
    let place = |part: &Value| {
        let (mut items, mut at) = (&form.items, Vec::new());
        for name in part["path"].as_array().unwrap() {
            let index = items
                .iter()
                .position(|node| node.name == name.as_str().unwrap())
                .unwrap();
            at.push(index);
            if let Content::Group(inner) = &items[index].content {
                items = inner;
            }
        }
        FormPart {
            at,
            right: right(part),
        }
    };
    let list = |member: &str| disclosed[member].as_array().unwrap();
    let files = list("files").iter().map(|file| FilePart {
        file_id: file["file_id"].as_str().unwrap().to_owned(),
        right: right(file),
    });
    chosen(form, list("form").iter().map(place).collect(), files.collect())
}

#[test]
fn no_word_that_must_not_reach_a_participant_does() {
    let mut seen = 0;
    for name in ["baumfaellung", "bauvoranfrage", "gewerbeanmeldung"] {
        let case = case(name);
        let (form, held) = sample(name);
        let rounds = case["participation"].as_array().unwrap();
        let asked = rounds
            .iter()
            .flat_map(|round| round["requests"].as_array().unwrap())
            .chain(case["transfer"].get("then_participation"));
        for request in asked {
            let key = request["participant"]["key"].as_str().unwrap();
            let probes = case["probes"]["never_to_participant"][key].as_array().unwrap();
            let disclosure = named(&request["disclosed"], &form);
            let package = package(&disclosure, &form, &held);
            let leaves = text(&package);
            for probe in probes {
                let probe = probe.as_str().unwrap();
                assert!(!leaves.contains(probe), "{name}: {probe} reaches {key}");
            }
            assert_eq!(
                package.manifest.files().len(),
                disclosure.files.len() + 1,
                "the sheet and what was chosen"
            );
            assert!(package.sheet.more.is_some(), "that there is more is told");
            seen += 1;
        }
    }
    assert_eq!(seen, 5);
}

#[test]
fn the_redacted_expert_report_goes_out_and_its_original_does_not() {
    let case = case("baumfaellung");
    let (form, held) = sample("baumfaellung");
    let mut disclosure = named(&case["participation"][0]["requests"][0]["disclosed"], &form);
    let package = package(&disclosure, &form, &held);
    let redacted: Vec<_> = package.sheet.files.iter().filter(|file| file.redacted).collect();
    assert_eq!(redacted.len(), 1);
    assert_eq!(redacted[0].file_id, "48b4c5c3-0414-47ac-ad3d-4898075b4ee9");
    let original = "e288604c-8346-475c-bbfe-fdf265e0f24e";
    assert!(!text(&package).contains(original));
    disclosure.files.push(FilePart {
        file_id: original.into(),
        right: Right::View,
    });
    assert_eq!(
        disclosure.check(&form, &held).unwrap_err().code(),
        "disclosure_original"
    );
}

fn ground() -> Ground {
    Ground {
        purpose: "Prüfung der Eintragungspflicht".into(),
        legal_basis: "§ 14 Abs. 8 GewO".into(),
        ends: None,
    }
}

/// The list of the chamber of crafts gives what the case discloses to it, place by place and file by file.
#[test]
fn the_list_of_the_chamber_of_crafts_is_the_one_of_the_sample_case() {
    let case = case("gewerbeanmeldung");
    let (form, held) = sample("gewerbeanmeldung");
    let class = RecipientTable::built_in()
        .class("HWK", &form.control.service_keys[0])
        .unwrap();
    let (by_list, missing) = class.disclosure(&form, &held, ground()).unwrap();
    assert_eq!(missing, Vec::<String>::new());
    let expected = named(&case["participation"][0]["requests"][0]["disclosed"], &form);
    assert_eq!(
        (&by_list.parts, &by_list.files),
        (&expected.parts, &expected.files)
    );
    let package = package(&by_list, &form, &held);
    let leaves = text(&package);
    for probe in case["probes"]["never_to_participant"]["hwk"].as_array().unwrap() {
        assert!(!leaves.contains(probe.as_str().unwrap()), "{probe}");
    }
    for kept in ["Țurcanu-Weiß", "Şükürzadə", "12 a–c", "Śliwiński", "Meisterbrief"] {
        assert!(leaves.contains(kept), "{kept}");
    }
    assert_eq!(
        (&package.sheet.filter, package.sheet.more),
        (&Some(class.id()), None)
    );
    assert!(!leaves.contains("GbR-Vertrag") && !leaves.contains("Kreditkarte"));
    assert!(class.covers(&by_list, &form, &held).is_ok());
}

#[test]
fn every_class_filters_and_a_person_takes_less_but_not_more() {
    let (form, held) = sample("gewerbeanmeldung");
    let table = RecipientTable::built_in();
    assert_eq!(table.classes().iter().filter(|class| !class.example).count(), 1);
    for class in table.classes() {
        let (disclosure, missing) = class.disclosure(&form, &held, ground()).unwrap();
        assert!(missing.is_empty() && class.to_check, "{}", class.id());
        let leaves = text(&package(&disclosure, &form, &held));
        for never in [
            "1987-02-28",
            "Beispielhöfe",
            "HL-GEW-2026-0004711",
            "f78e0982",
            "Iași",
        ] {
            assert!(!leaves.contains(never), "{}: {never}", class.id());
        }
    }
    let crafts = table.class("HWK", &form.control.service_keys[0]).unwrap();
    let (mut less, _) = crafts.disclosure(&form, &held, ground()).unwrap();
    less.selection = Selection::Person { template: None };
    less.parts.truncate(1);
    less.parts[0].at.push(0);
    assert_eq!(crafts.covers(&less, &form, &held), Ok(()));
    let mut more = less.clone();
    more.parts[0].right = Right::Download;
    assert_eq!(
        crafts.covers(&more, &form, &held).unwrap_err().code(),
        "disclosure_beyond_class"
    );
    more = less.clone();
    more.parts[0].at = vec![2, 0, 4];
    assert_eq!(
        crafts.covers(&more, &form, &held).unwrap_err().code(),
        "disclosure_beyond_class"
    );
    less.files.push(FilePart {
        file_id: "fe6485a5-b601-4803-90b5-711064d7fd48".into(),
        right: Right::View,
    });
    assert_eq!(
        crafts.covers(&less, &form, &held).unwrap_err().code(),
        "disclosure_beyond_class"
    );
    // Another form is refused, not sent whole.
    let (trees, files) = sample("baumfaellung");
    assert_eq!(
        crafts.disclosure(&trees, &files, ground()).unwrap_err().code(),
        "template_other_form"
    );
    assert!(table.class("HWK", "99090023276000").is_none());
}

#[test]
fn a_template_names_places_and_a_name_that_means_two_is_an_error() {
    let template = |parts: &str| {
        let text = format!(
            r#"
[[template]]
code = "fachstelle"
version = "1"
name = {{ de = "Für die Fachstelle", en = "For the specialist body" }}
profile = "AMTSHILFE"
class = "CHAMBER"
[template.show]
parts = [{parts}]
file_groups = ["handwerk"]
form_right = "VIEW"
file_right = "VIEW"
"#
        );
        let own = RecipientTable::parse(&text).unwrap();
        RecipientTable::built_in().with(own)
    };
    let (form, held) = sample("gewerbeanmeldung");
    let find = |parts: &str| {
        let table = template(parts);
        let template = table.template("AMTSHILFE", Class::Chamber).unwrap();
        template.disclosure(&form, &held, ground())
    };
    let (disclosure, missing) = find(r#"["handwerk"], ["nirgends", "x"]"#).unwrap();
    assert_eq!(
        (disclosure.parts.len(), missing),
        (1, vec!["nirgends/x".to_owned()])
    );
    assert_eq!(disclosure.parts[0].at, [4]);
    let ambiguous = find(r#"["betrieb", "betriebsstaette", "telefon"]"#).unwrap_err();
    assert_eq!(ambiguous.code(), "template_ambiguous");
    assert!(
        ambiguous
            .to_string()
            .contains("betrieb/betriebsstaette/telefon means 2 places"),
        "{ambiguous}"
    );
    let digits = find(r#"["gesellschafter", "gesellschafter_#", "gesellschafter_#_vorname"]"#).unwrap();
    assert_eq!(digits.0.parts.len(), 2);
    // Where a file has a redacted copy, the copy is chosen.
    let (trees, files) = sample("baumfaellung");
    let table = template("");
    let mut for_trees = table.template("AMTSHILFE", Class::Chamber).unwrap().clone();
    for_trees.show.file_groups = vec!["s#".into()];
    let (disclosure, _) = for_trees.disclosure(&trees, &files, ground()).unwrap();
    let ids: Vec<&str> = disclosure
        .files
        .iter()
        .map(|file| file.file_id.as_str())
        .collect();
    assert!(ids.contains(&"48b4c5c3-0414-47ac-ad3d-4898075b4ee9"));
    assert!(!ids.contains(&"e288604c-8346-475c-bbfe-fdf265e0f24e"));
    assert_eq!(disclosure.check(&trees, &files), Ok(()));
    assert!(table.template("AMTSHILFE", Class::Authority).is_none());
    assert!(RecipientTable::parse("[[class]]\ncolour = 1").is_err());
}
