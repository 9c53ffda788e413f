//! The statement of the fictional nature association, and the request that it answers, in the words of the standards; and that the
//! standards have those words, where their schemas are at hand.

use std::path::Path;

use jiff::civil::date;
use serde_json::Value;

use super::*;
use crate::round::message::Kind;
use crate::round::profile::ProfileTable;
use crate::round::statement::{Point, Reference};

fn case() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/cases/baumfaellung.json")).unwrap()
}

fn id(value: &Value) -> Id {
    Id::try_from(value.as_str().unwrap().to_owned()).unwrap()
}

fn other(last: u8) -> Id {
    Id::try_from(format!("0f8fad5b-d9cb-469f-a165-7086768950{last:02x}")).unwrap()
}

fn cover(request: &Value) -> Cover {
    let profile = ProfileTable::built_in().profile("BNATSCHG_63").unwrap();
    let silence = &profile.silence[1];
    Cover {
        question: request["question"].as_str().unwrap().to_owned(),
        profile: profile.id(),
        profile_name: profile.name.clone(),
        silence: crate::round::profile::Text {
            de: silence.de.clone(),
            en: silence.en.clone(),
        },
        topics: vec![],
        contact: "Untere Naturschutzbehörde".into(),
    }
}

fn statement(value: &Value) -> Statement {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let points = value["points"].as_array().unwrap().iter().map(|point| Point {
        number: u16::try_from(point["no"].as_u64().unwrap()).unwrap(),
        topic: text(&point["topic"]),
        refers_to: point["refers_to"]
            .as_str()
            .map(|file| Reference::File(file.to_owned())),
        text: text(&point["text"]),
        condition: Some(text(&point["text"])),
    });
    Statement {
        statement_id: id(&value["statement_id"]),
        version: 1,
        kind: Kind::ConsentWithConditions,
        text: String::new(),
        points: points.collect(),
        attachments: value["files"].as_array().unwrap().iter().map(text).collect(),
        author: text(&value["author_role"]),
        released_by: text(&value["released_by_role"]),
        dated: date(2026, 6, 11),
    }
}

fn value<'a>(document: &'a Document, path: &str) -> Vec<&'a str> {
    document
        .fields
        .iter()
        .filter(|field| field.path.ends_with(path))
        .map(|field| field.value.as_str())
        .collect()
}

#[test]
fn the_facts_of_the_sample_case_stand_where_the_standards_have_them() {
    let case = case();
    let request = &case["participation"][0]["requests"][0];
    let (cover, statement) = (cover(request), statement(&request["statement"]));
    assert_eq!(statement.check(None), Ok(()));
    let (request_id, application, round) = (id(&request["request_id"]), other(1), other(2));
    let facts = Facts {
        request: &request_id,
        application: &application,
        round: &round,
        round_number: 1,
        requester: "Stadt Würzburg",
        participant: request["participant"]["name"].as_str().unwrap(),
        sent_at: request["sent_at"].as_str().unwrap().parse().unwrap(),
        sent_on: date(2026, 5, 4),
        last_day: Some(date(2026, 6, 12)),
        cover: &cover,
    };
    let asked = xbeteiligung_request(&facts);
    let pairs: Vec<(&str, &str)> = asked
        .fields
        .iter()
        .map(|field| {
            (
                field.path.trim_start_matches("nachrichteninhalt/"),
                field.value.as_str(),
            )
        })
        .collect();
    assert_eq!(
        pairs,
        [
            ("vorgangsID", "b01371a7-0156-455f-afc6-b592ce952d9b"),
            (
                "beteiligung/kommunal/akteurVorhaben/veranlasser/name/name",
                "Stadt Würzburg"
            ),
            (
                "beteiligung/kommunal/planID",
                "0f8fad5b-d9cb-469f-a165-708676895001"
            ),
            (
                "beteiligung/kommunal/planname",
                "Bestehen gegen die Fällung innerhalb der Vegetationszeit Bedenken?"
            ),
            (
                "beteiligung/kommunal/beteiligungTOEB/beteiligungsID",
                "0f8fad5b-d9cb-469f-a165-708676895002"
            ),
            ("beteiligung/kommunal/beteiligungTOEB/durchgang", "1"),
            (
                "beteiligung/kommunal/beteiligungTOEB/zeitraum/beginn",
                "2026-05-04"
            ),
            ("beteiligung/kommunal/beteiligungTOEB/zeitraum/ende", "2026-06-12"),
            (
                "rechtsfolgen",
                "Einwendungen, die nicht rechtzeitig erhoben werden, können nach dem anzuwendenden Verfahrensrecht unberücksichtigt bleiben."
            ),
        ]
    );
    let assessment: Assessment = {
        let treated = request["statement"]["points"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| serde_json::json!({ "point": point["no"], "treatment": point["assessment"].as_u64().unwrap_or(5000) }));
        serde_json::from_value(serde_json::json!({ "version": 1, "treated": treated.collect::<Vec<_>>() }))
            .unwrap()
    };
    assert_eq!(assessment.check(&statement), Ok(()));
    let first = xbeteiligung_statement(&facts, &statement, State::Submitted, None);
    assert_eq!((first.number, value(&first, "/status")), ("0701", vec!["1000"]));
    assert_eq!(value(&first, "/datum"), ["2026-06-11"]);
    assert!(value(&first, "/beschreibung")[0].starts_with("1. Artenschutz: Kontrolle auf Fledermäuse"));
    assert_eq!(value(&first, "/schlagwort")[..2], ["Artenschutz", "Habitat"]);
    assert_eq!(value(&first, "/anlage"), ["6aa312db-80d8-4297-9321-c6b587fe457c"]);
    assert_eq!(value(&first, "/abwaegungsvorschlag"), Vec::<&str>::new());
    let mut second = statement.clone();
    second.version = 2;
    let told = xbeteiligung_statement(&facts, &second, State::Notified, Some(&assessment));
    assert_eq!((told.number, value(&told, "/status")), ("0702", vec!["4000"]));
    let deleted = xbeteiligung_withdrawal(&facts, &statement);
    assert_eq!((deleted.number, deleted.fields.len()), ("0709", 3));

    let out = xdomea_circulation(&facts, State::Sent, None);
    assert_eq!(value(&out, "Beteiligungsschritt/Status/code"), ["002"]);
    assert_eq!(value(&out, "/TerminDatum"), ["2026-06-12"]);
    assert_eq!(value(&out, "Kopf/Absender/Institution/Name"), ["Stadt Würzburg"]);
    let back = xdomea_circulation(&facts, State::Submitted, Some(&statement));
    assert_eq!(value(&back, "Beteiligungsschritt/Status/code"), ["003"]);
    assert_eq!(value(&back, "Bearbeitung/Datum"), ["2026-06-11"]);
    assert_eq!(value(&xdomea_receipt(&facts), "Nachrichtentyp/code"), ["0202"]);
    let skipped = xdomea_change(&facts, State::Declined);
    assert_eq!(value(&skipped, "Aenderungsart/Uebersprungen"), ["1"]);
    assert_eq!(
        value(&xdomea_change(&facts, State::Delivered), "Aenderungsart/Neu"),
        ["1"]
    );

    // Every name is one of the schemas.
    if let Some(schemas) = schemas() {
        for document in [&asked, &first, &told, &deleted, &out, &back, &skipped] {
            for field in &document.fields {
                for name in field.path.split('/').filter(|name| *name != "code") {
                    assert!(
                        schemas.contains(&format!("name=\"{name}\"")),
                        "{}: {name} of {}",
                        document.number,
                        field.path
                    );
                }
            }
        }
    }
}

/// The schemas of both standards, where they lie beside the workspace, or `None` with a loud note: they are not ours to ship.
fn schemas() -> Option<String> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/de"));
    if !folder.is_dir() {
        eprintln!("SKIPPED: names are not compared with the schemas of the standards, needs ../shared");
        return None;
    }
    let mut all = String::new();
    for name in ["xbeteiligung/1.2", "xdomea/3.0.0"] {
        for entry in std::fs::read_dir(folder.join(name)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "xsd") {
                all += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    Some(all)
}
