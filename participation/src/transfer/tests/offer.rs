//! The offers of the fictional cases, and what is wrong with others.

use std::path::Path;

use kontor_pki::crypto::sha256;
use serde_json::Value;

use super::super::offer::{
    Circle, Flags, Hop, Id, Offer, Outcome, RunningDeadline, SilenceEffect, Situation,
};
use super::*;
use crate::application::intake;
use crate::application::manifest::{Digest, File, Manifest, Role};
use crate::calendar::{HolidayTable, Place};
use crate::deadline::{Deadline, Rule};

fn case(name: &str) -> Value {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(dir.join(format!("tests/vectors/cases/{name}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn id(last: u8) -> Id {
    format!("0f8fad5b-d9cb-469f-a165-7086768950{last:02x}")
        .try_into()
        .unwrap()
}

/// The files of a sample as they are handed over, with their contents; what is too large to be stored is left out.
fn manifest(name: &str) -> Manifest {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../node/samples")
        .join(name);
    let text = std::fs::read_to_string(folder.join("manifest.json")).unwrap();
    let sample: Value = serde_json::from_str(&text).unwrap();
    let files = sample["files"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|file| !file["part"].is_null() && file["stored"] == true);
    let files = files.map(|file| {
        let text = |member: &str| file[member].as_str().unwrap().to_owned();
        let content = std::fs::read(folder.join(text("path"))).unwrap();
        File::of(
            text("file_id"),
            Role::Attachment,
            text("original_name"),
            text("declared_media_type"),
            &content,
        )
    });
    Manifest::new(files.collect(), [9; 32]).unwrap()
}

fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

/// The offer that a case expects, made from its facts.
fn offer(name: &str) -> (Offer, Value) {
    let case = case(name);
    let expected = case["transfer"]["expected_offer"].clone();
    let wanted = &expected["answer_wanted_by"];
    let rule: Rule = serde_json::from_value(wanted["rule"].clone()).unwrap();
    let place: Place = serde_json::from_value(wanted["place"].clone()).unwrap();
    let offered_at = instant(&expected["offered_at"]);
    let answer = Deadline::compute(rule, offered_at, &place, HolidayTable::built_in()).unwrap();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../node/samples")
        .join(name);
    let form = intake::read(&std::fs::read(dir.join("formData.json")).unwrap()).unwrap();
    let level = form.control.service_account.unwrap().trust_level.unwrap();
    let offer = Offer {
        transfer_id: id(1),
        application_id: id(2),
        situation: serde_json::from_value(expected["reason"].clone()).unwrap(),
        service: expected["service"]["leika"].as_str().unwrap().parse().unwrap(),
        region: expected["region_key"].as_str().unwrap().parse().unwrap(),
        first_received_at: instant(&expected["first_received_at"]),
        running_deadlines: Vec::new(),
        files: 0,
        octets: 0,
        trust_level: level.bytes().last().map(|digit| digit - b'0'),
        flags: serde_json::from_value(expected["flags"].clone()).unwrap(),
        take_over_until: answer.ends_at + 48.hours(),
        answer_wanted_by: answer,
        manifest: Digest([0; 32]),
        hops: Vec::new(),
        test: true,
        returns: None,
    };
    (offer.of_package(&manifest(name)).unwrap(), expected)
}

#[test]
fn the_offers_of_the_sample_cases_say_what_is_expected_and_nothing_of_the_applicant() {
    for name in ["hundesteuer", "bauvoranfrage"] {
        let (offer, expected) = offer(name);
        assert_eq!(
            offer.answer_wanted_by.effective_end.to_string(),
            expected["answer_wanted_by"]["date"].as_str().unwrap()
        );
        let level = expected["trust_level"].as_str().unwrap();
        assert!(
            level.ends_with(&offer.trust_level.unwrap().to_string()),
            "{level}"
        );
        if name == "hundesteuer" {
            assert_eq!(u64::from(offer.files), expected["files"].as_u64().unwrap());
            assert_eq!(offer.octets, expected["bytes"].as_u64().unwrap());
        }
        offer.check().unwrap();
        let text = serde_json::to_string(&offer).unwrap();
        assert_eq!(Offer::read(text.as_bytes()), Ok(offer.clone()));
        let probes = case(name)["probes"]["never_in_log_or_offer"].clone();
        for probe in probes.as_array().unwrap() {
            let probe = probe.as_str().unwrap();
            assert!(!text.contains(probe), "{name}: {probe} is in the offer");
        }
        // Nothing that the applicant wrote is in it, whatever it is.
        let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../node/samples")
            .join(name);
        let form = intake::read(&std::fs::read(dir.join("formData.json")).unwrap()).unwrap();
        form.walk(&mut |_, node| {
            if let crate::application::Content::Text(value) = &node.content {
                assert!(
                    value.len() < 5 || !text.contains(value.as_str()),
                    "{name}: {value}"
                );
            }
        });
        let (_, digest) = manifest(name).bytes().unwrap();
        assert_eq!(offer.manifest, digest);
        assert_ne!(digest, Digest(sha256(b"")));
    }
}

#[test]
fn an_offer_leaves_time_before_every_deadline_and_for_an_answer() {
    let (good, _) = offer("hundesteuer");
    let refused = |change: &dyn Fn(&mut Offer)| {
        let mut offer = good.clone();
        change(&mut offer);
        let text = serde_json::to_string(&offer).unwrap();
        Offer::read(text.as_bytes()).unwrap_err().code()
    };
    let until = good.take_over_until;
    let running = |ends_at: Timestamp| RunningDeadline {
        effective_end: crate::deadline::day_of(ends_at),
        ends_at,
        silence_effect: SilenceEffect::ConsentDeemedGiven,
    };
    assert_eq!(
        refused(&|offer| offer.running_deadlines.push(running(until))),
        "offer_no_time"
    );
    let mut later = good.clone();
    later.running_deadlines.push(running(until + 1.second()));
    assert_eq!(later.check(), Ok(()));
    let answer = good.answer_wanted_by.ends_at;
    assert_eq!(
        refused(&|offer| offer.take_over_until = answer - 1.second()),
        "offer_answer_too_late"
    );
    assert_eq!(refused(&|offer| offer.files = 0), "offer_empty");
    assert_eq!(refused(&|offer| offer.trust_level = Some(5)), "offer_trust_level");
    let hop = Hop {
        member: "TEST/GOV/a".into(),
        transfer_id: id(3),
        outcome: Outcome::Expired,
    };
    assert_eq!(
        refused(&|offer| offer.hops = vec![hop.clone(); 21]),
        "offer_too_many_hops"
    );
    for (from, to) in [
        (
            "\"situation\":\"COMPETENCE_CHANGED\"",
            "\"situation\":\"ASSISTANCE\"",
        ),
        ("99102013104000", "Hundesteuer"),
        ("010585890008", "Ascheffel"),
        ("0f8fad5b", "0F8FAD5B"),
    ] {
        let text = serde_json::to_string(&good).unwrap();
        assert!(text.contains(from), "{from}");
        let refused = Offer::read(text.replace(from, to).as_bytes()).unwrap_err();
        assert_eq!(refused.code(), "offer_malformed", "{to}");
    }
    assert_eq!(
        good.clocks(),
        Clocks {
            answer_wanted_by: answer,
            take_over_until: until
        }
    );
}

#[test]
fn an_application_that_goes_in_a_circle_is_shown_to_a_person() {
    let (mut offer, _) = offer("hundesteuer");
    let member = |code: &str| format!("TEST/GOV/{code}").parse().unwrap();
    let hop = |code: &str, outcome| Hop {
        member: format!("TEST/GOV/{code}"),
        transfer_id: id(4),
        outcome,
    };
    let refused = Outcome::Refused {
        reason: RefusalReason::NotCompetentPlace,
    };
    assert_eq!(offer.circle(&member("a")), None);
    offer.hops = vec![
        hop("a", refused),
        hop("b", Outcome::TakenOver),
        hop("c", Outcome::Expired),
    ];
    assert_eq!(offer.circle(&member("a")), Some(Circle::RefusedBefore));
    assert_eq!(offer.circle(&member("b")), Some(Circle::HadIt));
    assert_eq!(offer.circle(&member("c")), None, "silence is no answer");
    assert_eq!(offer.circle(&member("d")), None);
    offer.hops.push(hop("d", refused));
    assert_eq!(offer.circle(&member("e")), Some(Circle::RefusedTwice));
    let text = serde_json::to_string(&offer).unwrap();
    assert!(
        text.contains("\"outcome\":\"REFUSED\",\"reason\":\"NOT_COMPETENT_PLACE\""),
        "{text}"
    );
    assert_eq!(Offer::read(text.as_bytes()), Ok(offer));
}

#[test]
fn a_short_number_can_be_said_and_follows_from_the_id() {
    assert_eq!(id(0).short(), "GSV8-JM00");
    assert_eq!(id(1).short(), "GSV8-JM01");
    // Ids that were made at the same time begin with it.
    let other: Id = "0198b5ad-d9cb-769f-a165-708676895000"
        .to_owned()
        .try_into()
        .unwrap();
    assert_eq!(
        id(0).short(),
        other.short(),
        "it is for people, the id is for machines"
    );
    for wrong in [
        "",
        "0f8fad5b-d9cb-469f-a165-70867689501",
        "0f8fad5bd9cb469fa16570867689501a1111",
    ] {
        assert!(Id::try_from(wrong.to_owned()).is_err(), "{wrong}");
    }
    assert_eq!(
        Situation::Misdirected,
        serde_json::from_str("\"MISDIRECTED\"").unwrap()
    );
    assert_eq!(serde_json::from_str::<Flags>("{}").unwrap(), Flags::default());
}
