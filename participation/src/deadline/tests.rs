use jiff::civil::{Weekday, date};
use kontor_protocol::package::cover::Language;
use proptest::prelude::*;

use super::*;
use crate::calendar::Land;

/// Noon in Germany.
fn noon(day: Date) -> Timestamp {
    day.at(12, 0, 0, 0).to_zoned_datetime(zone()).unwrap().timestamp()
}

fn compute(rule: Rule, day: Date, land: Land) -> Deadline {
    Deadline::compute(rule, noon(day), &Place::of(land), HolidayTable::built_in()).unwrap()
}

#[derive(Deserialize)]
struct Example {
    trigger: Date,
    rule: Rule,
    #[serde(flatten)]
    place: Place,
    raw_end: Date,
    effective_end: Date,
    note: String,
}

#[derive(Deserialize)]
struct Examples {
    cases: Vec<Example>,
}

#[test]
fn the_worked_examples_come_out() {
    let text = include_str!("../../tests/vectors/deadline-examples.json");
    let examples: Examples = serde_json::from_str(text).unwrap();
    assert_eq!(examples.cases.len(), 24);
    for Example {
        trigger,
        rule,
        place,
        raw_end,
        effective_end,
        note,
    } in examples.cases
    {
        let what = format!("{rule:?} from {trigger} at {place:?} ({note})");
        let deadline = Deadline::compute(rule, noon(trigger), &place, HolidayTable::built_in()).expect(&what);
        assert_eq!(deadline.effective_end, effective_end, "{what}");
        match rule {
            // They are counted by what is no day off: nothing can move afterwards.
            Rule::WorkingDays { .. } => assert_eq!(deadline.raw_end, None, "{what}"),
            Rule::Days { .. }
            | Rule::Weeks { .. }
            | Rule::Months { .. }
            | Rule::Hours { .. }
            | Rule::LaterOf { .. }
            | Rule::Until { .. } => assert_eq!(deadline.raw_end, Some(raw_end), "{what}"),
        }
    }
}

/// The deadline objects of the fictional cases, wherever they stand.
#[test]
fn the_deadlines_of_the_sample_cases_come_out_to_the_instant() {
    fn collect(value: &serde_json::Value, found: &mut Vec<serde_json::Value>) {
        match value {
            serde_json::Value::Object(members) => {
                if members.contains_key("rule") && members.contains_key("trigger") {
                    found.push(value.clone());
                }
                members.values().for_each(|inner| collect(inner, found));
            }
            serde_json::Value::Array(items) => items.iter().for_each(|inner| collect(inner, found)),
            serde_json::Value::Null
            | serde_json::Value::Bool(_)
            | serde_json::Value::Number(_)
            | serde_json::Value::String(_) => {}
        }
    }
    let mut found = Vec::new();
    for text in [
        include_str!("../../tests/vectors/cases/baumfaellung.json"),
        include_str!("../../tests/vectors/cases/bauvoranfrage.json"),
        include_str!("../../tests/vectors/cases/gewerbeanmeldung.json"),
        include_str!("../../tests/vectors/cases/hundesteuer.json"),
    ] {
        collect(&serde_json::from_str(text).unwrap(), &mut found);
    }
    found.retain(|object| !object["trigger"]["at"].is_null());
    assert_eq!(found.len(), 11);
    for object in found {
        let of = |member: &str| object[member].clone();
        let rule: Rule = serde_json::from_value(of("rule")).unwrap();
        let place: Place = serde_json::from_value(of("place")).unwrap();
        let trigger: Timestamp = object["trigger"]["at"].as_str().unwrap().parse().unwrap();
        let deadline = Deadline::compute(rule, trigger, &place, HolidayTable::built_in()).unwrap();
        let ends: Timestamp = object["ends_before"].as_str().unwrap().parse().unwrap();
        let raw: Option<Date> = serde_json::from_value(of("raw_end")).unwrap();
        assert_eq!(
            (deadline.raw_end, deadline.ends_at),
            (raw, ends),
            "{}",
            object["name"]
        );
        assert_eq!(
            deadline.effective_end.to_string(),
            object["effective_end"].as_str().unwrap()
        );
    }
}

#[test]
fn a_day_ends_at_midnight_in_germany_in_summer_and_in_winter() {
    let winter = compute(Rule::Days { n: 3 }, date(2026, 2, 2), Land::Sh);
    assert_eq!(winter.effective_end, date(2026, 2, 5));
    assert_eq!(winter.ends_at.to_string(), "2026-02-05T23:00:00Z");
    let summer = compute(Rule::Days { n: 3 }, date(2026, 6, 15), Land::Sh);
    assert_eq!(summer.ends_at.to_string(), "2026-06-18T22:00:00Z");
    let just_before = summer.ends_at - 1.nanosecond();
    assert!(!summer.is_over(just_before) && summer.is_over(summer.ends_at));
    // The night in which clocks change has another length; the day ends all the same.
    let change = compute(Rule::Weeks { n: 1 }, date(2026, 3, 20), Land::Sh);
    assert_eq!(change.ends_at.to_string(), "2026-03-27T23:00:00Z");
    let change = compute(Rule::Days { n: 3 }, date(2026, 3, 27), Land::Sh);
    assert_eq!(change.ends_at.to_string(), "2026-03-30T22:00:00Z");
}

#[test]
fn the_day_of_the_event_is_the_german_one() {
    let table = HolidayTable::built_in();
    let late: Timestamp = "2026-06-15T22:30:00Z".parse().unwrap();
    let deadline = Deadline::compute(Rule::Days { n: 1 }, late, &Place::of(Land::Sh), table).unwrap();
    assert_eq!(
        deadline.effective_end,
        date(2026, 6, 17),
        "it is 16 June there already"
    );
}

#[test]
fn hours_run_through_weekends_holidays_and_the_change_of_clocks() {
    let table = HolidayTable::built_in();
    let from: Timestamp = "2026-04-03T10:00:00Z".parse().unwrap();
    let deadline = Deadline::compute(Rule::Hours { n: 72 }, from, &Place::of(Land::Sh), table).unwrap();
    assert_eq!(deadline.ends_at, from + 72.hours());
    assert_eq!(
        (deadline.raw_end, deadline.effective_end),
        (None, date(2026, 4, 6))
    );
    // No calendar is needed for them.
    let far: Timestamp = "2044-01-01T00:00:00Z".parse().unwrap();
    assert!(Deadline::compute(Rule::Hours { n: 1 }, far, &Place::of(Land::Sh), table).is_ok());
}

#[test]
fn a_date_that_was_told_stands_and_another_one_moves() {
    let saturday = date(2026, 6, 20);
    let until = |stands| Rule::Until {
        date: saturday,
        stands,
    };
    let day = date(2026, 6, 1);
    assert_eq!(compute(until(true), day, Land::Sh).effective_end, saturday);
    let moved = compute(until(false), day, Land::Sh);
    assert_eq!(moved.effective_end, date(2026, 6, 22));
    assert_eq!(moved.raw_end, Some(saturday));
}

#[test]
fn an_extension_begins_where_the_deadline_ends() {
    let table = HolidayTable::built_in();
    let first = compute(Rule::Months { n: 1 }, date(2026, 1, 30), Land::Sh);
    assert_eq!(first.effective_end, date(2026, 3, 2));
    let granted_at = noon(date(2026, 2, 20));
    let by = |rule| first.extended(Extension { rule, granted_at }, table);
    let longer = by(Rule::Weeks { n: 2 }).unwrap();
    assert_eq!(longer.effective_end, date(2026, 3, 16));
    assert_eq!(longer.raw_end, first.raw_end, "what was computed first stays");
    assert_eq!(longer.extensions.len(), 1);
    assert!(longer.steps.starts_with(&first.steps));
    let hours = by(Rule::Hours { n: 12 }).unwrap();
    assert_eq!(hours.ends_at, first.ends_at + 12.hours());
    let until = |date| Rule::Until { date, stands: true };
    let refused = by(until(date(2026, 3, 2))).unwrap_err();
    assert_eq!(refused.code(), "extension_not_longer");
    let twice = longer
        .extended(
            Extension {
                rule: until(date(2026, 3, 21)),
                granted_at,
            },
            table,
        )
        .unwrap();
    assert_eq!(twice.effective_end, date(2026, 3, 21), "a Saturday that was told");
    assert_eq!(twice.extensions.len(), 2);
}

#[test]
fn what_cannot_be_computed_is_refused_with_a_code() {
    let table = HolidayTable::built_in();
    let place = Place::of(Land::Sh);
    let refused = |rule, day| {
        Deadline::compute(rule, noon(day), &place, table)
            .unwrap_err()
            .code()
    };
    let day = date(2026, 1, 30);
    for rule in [
        Rule::Days { n: 0 },
        Rule::WorkingDays { n: 0 },
        Rule::Weeks { n: 0 },
        Rule::Months { n: 0 },
        Rule::Hours { n: 0 },
        Rule::LaterOf { months: 0, days: 30 },
        Rule::LaterOf { months: 1, days: 0 },
    ] {
        assert_eq!(refused(rule, day), "period_empty", "{rule:?}");
    }
    let yesterday = Rule::Until {
        date: date(2026, 1, 29),
        stands: true,
    };
    assert_eq!(refused(yesterday, day), "deadline_before_trigger");
    for rule in [
        Rule::Months { n: 60 },
        Rule::WorkingDays { n: u16::MAX },
        Rule::Days { n: u16::MAX },
    ] {
        assert_eq!(refused(rule, day), "calendar_unknown", "{rule:?}");
    }
}

#[test]
fn each_step_is_told_in_both_languages() {
    let table = HolidayTable::built_in();
    let told = |deadline: &Deadline, language| deadline.in_words(language, table);
    let good_friday = compute(Rule::Months { n: 1 }, date(2026, 3, 3), Land::Sh);
    assert_eq!(
        told(&good_friday, Language::German),
        [
            "Das Ereignis liegt am Dienstag, 3. März 2026; dieser Tag zählt nicht mit (§ 187 Abs. 1 BGB).",
            "1 Monat ab dann: Freitag, 3. April 2026 (§ 188 Abs. 2 BGB).",
            "Freitag, 3. April 2026 ist ein Feiertag (Karfreitag); an seine Stelle tritt Sonnabend, 4. April 2026 (§ 193 BGB).",
            "Sonnabend, 4. April 2026 ist ein Sonnabend; an seine Stelle tritt Sonntag, 5. April 2026 (§ 193 BGB).",
            "Sonntag, 5. April 2026 ist ein Sonntag; an seine Stelle tritt Montag, 6. April 2026 (§ 193 BGB).",
            "Montag, 6. April 2026 ist ein Feiertag (Ostermontag); an seine Stelle tritt Dienstag, 7. April 2026 (§ 193 BGB).",
            "Die Frist endet am Dienstag, 7. April 2026, 24:00 Uhr (2026-04-07T22:00:00Z).",
        ]
    );
    let english = told(
        &compute(Rule::LaterOf { months: 1, days: 30 }, date(2026, 1, 30), Land::Sh),
        Language::English,
    );
    assert_eq!(
        english[1..4],
        [
            "1 month from then: the month has no day of that number, so its last one, Saturday 28 February 2026 (§ 188(3) BGB).",
            "30 days from then: Sunday 1 March 2026 (§ 188(1) BGB).",
            "Of Saturday 28 February 2026 and Sunday 1 March 2026 the later day counts: Sunday 1 March 2026.",
        ]
    );
    let working = told(
        &compute(Rule::WorkingDays { n: 10 }, date(2026, 5, 26), Land::By),
        Language::German,
    );
    assert!(
        working[2].contains("Donnerstag, 4. Juni 2026 (Fronleichnam)"),
        "{working:?}"
    );
}

#[test]
fn a_deadline_travels_unchanged_and_says_which_table_it_used() {
    let deadline = compute(Rule::LaterOf { months: 1, days: 30 }, date(2026, 1, 30), Land::Sh);
    let text = serde_json::to_string(&deadline).unwrap();
    assert_eq!(serde_json::from_str::<Deadline>(&text).unwrap(), deadline);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value["zone"], "Europe/Berlin");
    assert_eq!(value["holidays"], HolidayTable::built_in().version());
    assert_eq!(value["effective_end"], "2026-03-02");
    assert_eq!(
        value["rule"],
        serde_json::json!({"kind": "later_of", "months": 1, "days": 30})
    );
}

fn rules() -> impl Strategy<Value = Rule> {
    prop_oneof![
        (1..200u16).prop_map(|n| Rule::Days { n }),
        (1..120u16).prop_map(|n| Rule::WorkingDays { n }),
        (1..26u16).prop_map(|n| Rule::Weeks { n }),
        (1..12u16).prop_map(|n| Rule::Months { n }),
        (1..6u16, 1..200u16).prop_map(|(months, days)| Rule::LaterOf { months, days }),
    ]
}

proptest! {
    #[test]
    fn it_never_ends_on_a_day_off_nor_before_its_raw_end_and_the_day_before_was_one_if_it_moved(
        rule in rules(),
        offset in 0..2000i32,
        land in prop::sample::select(Land::ALL.to_vec()),
    ) {
        let table = HolidayTable::built_in();
        let place = Place::of(land);
        let day = date(2024, 1, 1).checked_add(offset.days()).unwrap();
        let deadline = Deadline::compute(rule, noon(day), &place, table).unwrap();
        let end = deadline.effective_end;
        prop_assert_eq!(table.day_off(end, &place), Ok(None));
        prop_assert!(!matches!(end.weekday(), Weekday::Saturday | Weekday::Sunday));
        prop_assert!(end > day);
        if let Some(raw) = deadline.raw_end {
            prop_assert!(end >= raw);
            let mut between = raw;
            while between < end {
                prop_assert!(table.day_off(between, &place).unwrap().is_some());
                between = between.tomorrow().unwrap();
            }
        }
        prop_assert_eq!(deadline.ends_at, end_of(end).unwrap());
        // An event a day later never leads to an earlier end.
        let later = Deadline::compute(rule, noon(day.tomorrow().unwrap()), &place, table).unwrap();
        prop_assert!(later.ends_at >= deadline.ends_at);
    }

    #[test]
    fn so_many_working_days_lie_in_a_period_of_working_days(
        n in 1..120u16,
        offset in 0..2000i32,
        land in prop::sample::select(Land::ALL.to_vec()),
    ) {
        let table = HolidayTable::built_in();
        let place = Place::of(land);
        let day = date(2024, 1, 1).checked_add(offset.days()).unwrap();
        let deadline = Deadline::compute(Rule::WorkingDays { n }, noon(day), &place, table).unwrap();
        let mut counted = 0;
        let mut at = day;
        while at < deadline.effective_end {
            at = at.tomorrow().unwrap();
            counted += u16::from(table.day_off(at, &place).unwrap().is_none());
        }
        prop_assert_eq!(counted, n);
    }
}
