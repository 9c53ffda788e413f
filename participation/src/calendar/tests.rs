use std::collections::{BTreeMap, BTreeSet};

use jiff::ToSpan;
use jiff::civil::{Date, date};
use serde::Deserialize;

use super::*;

/// Holidays that an independent library computed.
#[derive(Deserialize)]
struct Compared {
    holidays: BTreeMap<Land, BTreeMap<String, Vec<Named>>>,
}

#[derive(Deserialize)]
struct Named {
    date: Date,
    name: String,
}

#[test]
fn every_holiday_of_every_land_is_that_of_an_independent_computation_and_no_other_day_is_one() {
    let text = include_str!("../../tests/vectors/holidays-2024-2030.json");
    let compared: Compared = serde_json::from_str(text).unwrap();
    let table = HolidayTable::built_in();
    assert_eq!(compared.holidays.len(), Land::ALL.len());
    for (land, years) in &compared.holidays {
        let place = Place::of(*land);
        let theirs: BTreeMap<Date, &str> = years
            .values()
            .flatten()
            .map(|named| (named.date, named.name.as_str()))
            .collect();
        let mut ours = BTreeMap::new();
        let mut day = date(table.first_year(), 1, 1);
        while day.year() <= table.last_year() {
            if let Some(DayOff::Holiday(id)) = table.day_off(day, &place).unwrap() {
                ours.insert(day, table.holiday(&id).unwrap().german());
            }
            day = day.checked_add(1.day()).unwrap();
        }
        assert_eq!(ours, theirs, "{land}");
    }
}

#[test]
fn local_holidays_are_those_of_the_municipality_only() {
    let table = HolidayTable::built_in();
    let assumption = date(2025, 8, 15);
    let with = |land, ids: &[&str]| Place {
        land,
        local_holidays: ids.iter().map(|id| (*id).to_owned()).collect(),
    };
    let off = |place: &Place| table.day_off(assumption, place).unwrap();
    let holiday = Some(DayOff::Holiday("mariae_himmelfahrt".into()));
    assert_eq!(off(&with(Land::By, &["mariae_himmelfahrt"])), holiday);
    assert_eq!(off(&with(Land::By, &["augsburger_friedensfest"])), None);
    assert_eq!(off(&Place::of(Land::By)), None);
    assert_eq!(off(&Place::of(Land::Sl)), holiday);
    for (land, id) in [
        (Land::Sh, "mariae_himmelfahrt"),
        (Land::By, "neujahr"),
        (Land::By, "karneval"),
    ] {
        let refused = table.day_off(assumption, &with(land, &[id])).unwrap_err();
        assert_eq!(refused.code(), "local_holiday_unknown", "{refused}");
    }
}

#[test]
fn outside_the_table_nothing_is_guessed() {
    let table = HolidayTable::built_in();
    let place = Place::of(Land::Sh);
    for day in [date(2023, 12, 31), date(2031, 1, 1)] {
        let refused = table.day_off(day, &place).unwrap_err();
        assert_eq!(refused.code(), "calendar_unknown");
        assert!(refused.to_string().contains("2024 to 2030"), "{refused}");
    }
    // Neither 24 nor 31 December is a public holiday.
    assert_eq!(table.day_off(date(2025, 12, 24), &place), Ok(None));
    assert_eq!(table.day_off(date(2025, 12, 31), &place), Ok(None));
}

#[test]
fn a_table_with_a_mistake_is_refused_with_its_place() {
    let holiday = |day: &str, lands: &str| {
        format!(
            "version = \"1\"\nfirst_year = 2024\nlast_year = 2025\n[[holiday]]\nid = \"x\"\nde = \"X\"\nen = \"X\"\nday = \"{day}\"\nlands = {lands}\n"
        )
    };
    assert!(HolidayTable::parse(&holiday("02-29", "[\"all\"]")).is_ok());
    for (day, lands, said) in [
        ("02-30", "[\"all\"]", "no day"),
        ("easter", "[\"all\"]", "no day"),
        ("someday before 11-23", "[\"all\"]", "no day"),
        ("12-25", "[\"XX\"]", "no Land"),
    ] {
        let refused = HolidayTable::parse(&holiday(day, lands)).unwrap_err().to_string();
        assert!(refused.contains("x:") && refused.contains(said), "{refused}");
    }
    let twice = holiday("01-01", "[]")
        + "[[holiday]]\nid = \"x\"\nde = \"X\"\nen = \"X\"\nday = \"01-02\"\nlands = []\n";
    assert!(
        HolidayTable::parse(&twice)
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
}

#[test]
fn ids_are_what_other_systems_may_store() {
    let table = HolidayTable::built_in();
    let ids: BTreeSet<_> = table.holidays().iter().map(Holiday::id).collect();
    assert_eq!(ids.len(), table.holidays().len());
    for id in ids {
        assert!(
            id.bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{id}"
        );
    }
}
