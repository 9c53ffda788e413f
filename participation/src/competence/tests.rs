use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const DOGS: &str = "99102013104000";
const BUILDING: &str = "99012068006000";

const FILE: &str = r#"
version = "2026-1"

[[authority]]
member = "TEST/GOV/kiel-fiktiv"
name = "Kiel (fiktiv)"
[[authority.rule]]
services = ["all"]
regions = ["010020000000"]
since = "2020-01-01"
source = "directory A"

[[authority]]
member = "TEST/GOV/amt-fiktiv"
name = "Amt (fiktiv)"
[[authority.rule]]
services = ["99102013104000"]
regions = ["010585890"]
since = "2020-01-01"
source = "directory A"

[[authority]]
member = "TEST/GOV/stadt-fiktiv"
name = "Stadt (fiktiv)"
[[authority.rule]]
services = ["all"]
regions = ["010570091091"]
since = "2020-01-01"
source = "directory A"

[[authority]]
member = "TEST/GOV/kreis-fiktiv"
name = "Kreis (fiktiv)"
[[authority.rule]]
services = ["99012068006000"]
regions = ["01057"]
except = ["010570001001"]
since = "2020-01-01"
until = "2026-12-31"
source = "directory B"
[[authority.rule]]
services = ["all"]
regions = ["01057"]
since = "2020-01-01"
source = "directory B"

[[place]]
ars = "010585890008"
ags = "01058008"

[[successor]]
old = "010585890007"
new = "010585890008"
since = "2024-01-01"
"#;

fn directory() -> Directory {
    Directory::parse(FILE).unwrap()
}

fn found(service: &str, place: &str, on: Date) -> Vec<String> {
    let found = directory().search(service, place, on).unwrap();
    found.into_iter().map(|suggestion| suggestion.name).collect()
}

#[test]
fn the_key_of_a_place_leads_to_the_association_that_works_for_it() {
    let today = date(2025, 10, 29);
    for place in ["01058008", "010585890008", "urn"] {
        match place {
            "urn" => assert_eq!(
                found(&format!("urn:de:fim:leika:leistung:{DOGS}"), "01058008", today),
                ["Amt (fiktiv)"]
            ),
            place => assert_eq!(found(DOGS, place, today), ["Amt (fiktiv)"]),
        }
    }
    assert_eq!(found(DOGS, "010020000000", today), ["Kiel (fiktiv)"]);
    assert!(
        found(BUILDING, "01058008", today).is_empty(),
        "no rule is no suggestion"
    );
}

#[test]
fn a_rule_that_names_the_service_comes_before_one_for_all_and_small_regions_before_large_ones() {
    let today = date(2025, 12, 19);
    let place = "010570091091";
    assert_eq!(
        found(BUILDING, place, today),
        ["Kreis (fiktiv)", "Stadt (fiktiv)"]
    );
    assert_eq!(found(DOGS, place, today), ["Stadt (fiktiv)", "Kreis (fiktiv)"]);
    // An exception takes the named rule away, and the rule ends; what holds for all stays.
    let reason = |place, on| {
        let mut all = directory().search(BUILDING, place, on).unwrap();
        let at = all.iter().position(|one| one.name == "Kreis (fiktiv)").unwrap();
        all.remove(at).reason
    };
    assert!(reason(place, today).named);
    assert!(!reason("010570001001", today).named);
    assert!(reason(place, date(2026, 12, 31)).named);
    assert!(!reason(place, date(2027, 1, 1)).named);
}

#[test]
fn an_ended_key_leads_to_its_successor_from_its_day_on() {
    assert!(
        directory()
            .search(DOGS, "010585890007", date(2023, 12, 31))
            .unwrap()[0]
            .reason
            .asked
            .is_none()
    );
    let found = directory()
        .search(DOGS, "010585890007", date(2024, 1, 1))
        .unwrap();
    let reason = &found[0].reason;
    assert_eq!(reason.place.to_string(), "010585890008");
    assert_eq!(reason.asked.as_deref(), Some("010585890007"));
    // Keys that follow each other in a circle end the search, not the node.
    let circle = FILE.to_owned()
        + "[[successor]]\nold = \"010585890008\"\nnew = \"010585890007\"\nsince = \"2024-01-01\"\n";
    let circle = Directory::parse(&circle).unwrap();
    assert_eq!(
        circle
            .search(DOGS, "010585890007", date(2025, 1, 1))
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn each_suggestion_has_its_reason_in_both_languages() {
    let found = directory().search(DOGS, "01058008", date(2025, 10, 29)).unwrap();
    assert_eq!(
        found[0].reason.in_words(Language::German),
        "Zuständig für die Leistung 99102013104000 in der Region 010585890, in der 010585890008 (gesucht unter 01058008) liegt, seit 2020-01-01. Quelle: directory A."
    );
    let found = directory()
        .search(DOGS, "010020000000", date(2025, 10, 29))
        .unwrap();
    assert_eq!(
        found[0].reason.in_words(Language::English),
        "Competent for all services, so for 99102013104000 too, in the region 010020000000, in which 010020000000 lies, since 2020-01-01. Source: directory A."
    );
}

#[test]
fn what_is_no_key_is_refused_with_a_code_and_a_file_with_all_its_mistakes() {
    let directory = directory();
    let refused = |service, place| {
        directory
            .search(service, place, date(2025, 1, 1))
            .unwrap_err()
            .code()
    };
    for service in ["", "9910201310400", "89102013104000", "9910201310400x"] {
        assert_eq!(refused(service, "01"), "service_key_invalid", "{service}");
    }
    for place in [
        "",
        "0",
        "17",
        "00",
        "0105",
        "01058009",
        "0105858900081",
        "01058589000x",
    ] {
        assert_eq!(refused(DOGS, place), "region_key_invalid", "{place}");
    }
    let broken = FILE
        .replace("TEST/GOV/kiel-fiktiv", "kiel")
        .replace("\"01057\"]\nexcept", "\"99\"]\nexcept")
        .replace("\"01058008\"", "\"1\"");
    let DirectoryError(mistakes) = Directory::parse(&broken).unwrap_err();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    assert!(Directory::parse("version = \"1\"\nunknown = 1\n").is_err());
}

proptest! {
    #[test]
    fn whatever_is_asked_only_regions_that_hold_the_place_are_suggested(place in "0[1-9][0-9]{3}([0-9]{4}([0-9]{3})?)?", service in "99[0-9]{12}") {
        let here: Region = place.parse().unwrap();
        for suggestion in directory().search(&service, &place, date(2023, 6, 1)).unwrap() {
            prop_assert!(suggestion.reason.region.contains(&here));
        }
    }
}
