use jiff::civil::date;

use super::*;
use crate::calendar::Land;

const fn days(n: u16) -> Rule {
    Rule::Days { n }
}

fn now() -> Timestamp {
    "2026-01-30T11:00:00Z".parse().unwrap()
}

fn choice(class: Class) -> Choice {
    Choice {
        class,
        rule: None,
        effect: None,
        extension: None,
        runs_from: None,
    }
}

fn terms(code: &str, choice: &Choice) -> Result<Terms, ProfileError> {
    ProfileTable::built_in().profile(code)?.terms(
        choice,
        &Place::of(Land::Sh),
        HolidayTable::built_in(),
        now(),
    )
}

/// Every profile: whom it asks, what has to be chosen, and the end of a request that is complete on 30 January 2026 in
/// Schleswig-Holstein, with what silence means then.
#[test]
fn every_profile_says_how_long_it_runs_and_what_silence_means() {
    use SilenceEffect as Effect;
    type Row = (
        &'static str,
        Class,
        Option<Rule>,
        Option<Effect>,
        Option<Extendable>,
        Effect,
        Extendable,
        Option<Date>,
    );
    let two_weeks = Some(Rule::Weeks { n: 2 });
    let rows: [Row; 14] = [
        (
            "BAUGB_4_2",
            Class::Chamber,
            None,
            None,
            None,
            Effect::MayBeDisregarded,
            Extendable::ForReason,
            Some(date(2026, 3, 2)),
        ),
        (
            "BAUGB_4_1",
            Class::PublicBody,
            two_weeks,
            None,
            None,
            Effect::None,
            Extendable::Free,
            Some(date(2026, 2, 13)),
        ),
        (
            "BAUGB_36",
            Class::Municipality,
            None,
            None,
            None,
            Effect::ConsentDeemedGiven,
            Extendable::None,
            Some(date(2026, 3, 30)),
        ),
        (
            "BAUGB_36A",
            Class::Municipality,
            None,
            None,
            None,
            Effect::ConsentDeemedGiven,
            Extendable::None,
            Some(date(2026, 4, 30)),
        ),
        (
            "LBO_STATEMENT",
            Class::Authority,
            None,
            Some(Effect::ConsentDeemedGiven),
            Some(Extendable::None),
            Effect::ConsentDeemedGiven,
            Extendable::None,
            Some(date(2026, 3, 2)),
        ),
        (
            "LBO_STATEMENT",
            Class::Authority,
            None,
            Some(Effect::AssumeNoObjection),
            Some(Extendable::ForReason),
            Effect::AssumeNoObjection,
            Extendable::ForReason,
            Some(date(2026, 3, 2)),
        ),
        (
            "BIMSCHV9_11",
            Class::Authority,
            None,
            None,
            None,
            Effect::AssumeNoObjection,
            Extendable::None,
            Some(date(2026, 3, 2)),
        ),
        (
            "PLANFESTSTELLUNG",
            Class::Authority,
            Some(Rule::Months { n: 3 }),
            None,
            None,
            Effect::MayBeDisregarded,
            Extendable::None,
            Some(date(2026, 4, 30)),
        ),
        (
            "GEWO_35_4",
            Class::Chamber,
            two_weeks,
            None,
            None,
            Effect::None,
            Extendable::Free,
            Some(date(2026, 2, 13)),
        ),
        (
            "BNATSCHG_63",
            Class::Association,
            Some(Rule::Months { n: 1 }),
            Some(Effect::MayBeDisregarded),
            Some(Extendable::ForReason),
            Effect::MayBeDisregarded,
            Extendable::ForReason,
            Some(date(2026, 3, 2)),
        ),
        (
            "BNATSCHG_63",
            Class::Association,
            Some(days(14)),
            Some(Effect::None),
            Some(Extendable::Free),
            Effect::None,
            Extendable::Free,
            Some(date(2026, 2, 13)),
        ),
        (
            "AMTSHILFE",
            Class::Chamber,
            two_weeks,
            None,
            None,
            Effect::None,
            Extendable::Free,
            Some(date(2026, 2, 13)),
        ),
        (
            "INTERNAL",
            Class::Internal,
            None,
            None,
            None,
            Effect::None,
            Extendable::Free,
            None,
        ),
        (
            "INTERNAL",
            Class::Internal,
            Some(days(3)),
            None,
            None,
            Effect::None,
            Extendable::Free,
            Some(date(2026, 2, 2)),
        ),
    ];
    let mut seen = BTreeSet::new();
    for (code, class, rule, effect, extension, means, extendable, end) in rows {
        let choice = Choice {
            class,
            rule,
            effect,
            extension,
            runs_from: None,
        };
        let terms = terms(code, &choice).expect(code);
        assert_eq!((terms.effect, terms.extension), (means, extendable), "{code}");
        let deadline = terms.deadline(now(), HolidayTable::built_in()).expect(code);
        assert_eq!(deadline.map(|deadline| deadline.effective_end), end, "{code}");
        let profile = ProfileTable::built_in().profile(code).unwrap();
        for language in [Language::German, Language::English] {
            assert!(
                profile
                    .silence_in_words(means, language)
                    .is_some_and(|text| text.ends_with('.')),
                "{code}"
            );
        }
        seen.insert(code);
    }
    let all: BTreeSet<&str> = ProfileTable::built_in()
        .profiles()
        .iter()
        .map(|profile| profile.code.as_str())
        .collect();
    assert_eq!(seen, all, "every profile stands in the table");
}

#[test]
fn what_was_not_compared_with_the_law_says_so() {
    let checked: Vec<&str> = ProfileTable::built_in()
        .profiles()
        .iter()
        .filter(|profile| !profile.to_check)
        .map(|profile| profile.code.as_str())
        .collect();
    assert_eq!(checked, ["BAUGB_4_2", "BAUGB_36", "INTERNAL"]);
}

#[test]
fn what_a_profile_leaves_open_is_chosen_and_what_it_fixes_is_not() {
    let with = |class, rule, effect, extension| Choice {
        class,
        rule,
        effect,
        extension,
        runs_from: None,
    };
    let rule = Some(days(14));
    for (code, choice, refused) in [
        ("NOBODY", choice(Class::Chamber), "profile_unknown"),
        ("BAUGB_36", choice(Class::Chamber), "profile_class"),
        (
            "BAUGB_36",
            with(Class::Municipality, rule, None, None),
            "profile_length_fixed",
        ),
        ("AMTSHILFE", choice(Class::Chamber), "profile_length_missing"),
        (
            "PLANFESTSTELLUNG",
            with(Class::Authority, Some(days(120)), None, None),
            "profile_too_long",
        ),
        ("LBO_STATEMENT", choice(Class::Authority), "profile_open"),
        (
            "BNATSCHG_63",
            with(Class::Association, rule, Some(SilenceEffect::None), None),
            "profile_open",
        ),
        (
            "BNATSCHG_63",
            with(
                Class::Association,
                rule,
                Some(SilenceEffect::ConsentDeemedGiven),
                Some(Extendable::None),
            ),
            "profile_not_allowed",
        ),
        (
            "PLANFESTSTELLUNG",
            with(Class::Authority, Some(Rule::WorkingDays { n: 2000 }), None, None),
            "calendar_unknown",
        ),
    ] {
        let error = terms(code, &choice).unwrap_err();
        assert_eq!(error.code(), refused, "{code}: {error}");
    }
}

#[test]
fn a_period_that_was_set_ends_where_the_law_has_its_longest_end() {
    // 92 days are no more than three months from 30 April on, and more than that from 30 January on.
    let mut by_days = terms(
        "PLANFESTSTELLUNG",
        &Choice {
            rule: Some(days(89)),
            ..choice(Class::Authority)
        },
    )
    .unwrap();
    by_days.rule = Some(days(92));
    let table = HolidayTable::built_in();
    let deadline = by_days.deadline(now(), table).unwrap().unwrap();
    assert_eq!(
        (deadline.rule, deadline.effective_end),
        (Rule::Months { n: 3 }, date(2026, 4, 30))
    );
    // A day that is stated to begin with is not counted, and an earlier one does not matter.
    let mut later = terms("BAUGB_36", &choice(Class::Municipality)).unwrap();
    later.runs_from = Some(date(2026, 2, 10));
    assert_eq!(
        later.deadline(now(), table).unwrap().unwrap().effective_end,
        date(2026, 4, 10)
    );
    later.runs_from = Some(date(2026, 1, 10));
    assert_eq!(
        later.deadline(now(), table).unwrap().unwrap().effective_end,
        date(2026, 3, 30)
    );
}

#[test]
fn a_date_that_is_over_is_refused_at_once_and_one_that_no_calendar_knows_is_not() {
    let until = |date, stands| Choice {
        rule: Some(Rule::Until { date, stands }),
        ..choice(Class::Chamber)
    };
    for over in [
        until(date(2026, 1, 29), true),
        until(date(2026, 1, 28), false),
        until(date(2010, 1, 1), true),
    ] {
        let refused = terms("AMTSHILFE", &over).unwrap_err();
        assert_eq!(refused.code(), "deadline_before_trigger");
    }
    let empty = Choice {
        rule: Some(days(0)),
        ..choice(Class::Chamber)
    };
    assert_eq!(terms("AMTSHILFE", &empty).unwrap_err().code(), "period_empty");
    assert!(terms("AMTSHILFE", &until(date(2026, 1, 31), true)).is_ok());
    // Its end is stated by a person when it is delivered.
    let far = Choice {
        rule: Some(Rule::Months { n: 90 }),
        ..choice(Class::Chamber)
    };
    assert!(terms("AMTSHILFE", &far).is_ok());
}

#[test]
fn a_tenant_adds_profiles_and_changes_ours_under_a_version_of_its_own() {
    let own = r#"
[[profile]]
code = "BAUGB_36"
version = "tenant-2"
name = { de = "Einvernehmen", en = "Agreement" }
basis = "§ 36 Abs. 2 BauGB"
who = ["MUNICIPALITY"]
trigger = "complete_documents"
length = { kind = "fixed", rule = { kind = "months", n = 2 } }
extension = ["none"]
to_check = false
[[profile.silence]]
effect = "CONSENT_DEEMED_GIVEN"
de = "Es gilt als erteilt."
en = "It is deemed given."
"#;
    let parse = |text: &str| ProfileTable::parse(text);
    let table = ProfileTable::built_in().with(parse(own).unwrap()).unwrap();
    assert_eq!(table.profile("BAUGB_36").unwrap().version.as_str(), "tenant-2");
    let ours = ProfileTable::built_in().profile("BAUGB_36").unwrap().id();
    assert_eq!(
        table.recorded(&ours).unwrap().id(),
        ours,
        "what was recorded is still there"
    );
    assert_eq!(
        table.profiles().len(),
        ProfileTable::built_in().profiles().len() + 1
    );
    let same_version = own.replace("tenant-2", "1");
    assert!(
        ProfileTable::built_in()
            .with(parse(&same_version).unwrap())
            .is_err()
    );
    for (from, to, says) in [
        ("months\", n = 2", "moons\", n = 2", "moons"),
        ("who = [\"MUNICIPALITY\"]", "who = []", "asks nobody"),
        ("basis = \"§ 36 Abs. 2 BauGB\"", "basis = \"\"", "legal basis"),
        ("It is deemed given.", " ", "in both languages"),
        ("extension = [\"none\"]", "extension = []", "more time"),
        (
            "kind = \"fixed\", rule = { kind = \"months\", n = 2 }",
            "kind = \"free\"",
            "no end",
        ),
        ("version = \"tenant-2\"", "version = \"zwei Teile\"", "1 to 40"),
        ("to_check = false", "to_check = false\ncolour = \"red\"", "colour"),
    ] {
        let changed = own.replace(from, to);
        assert_ne!(changed, own, "{from}");
        let error = parse(&changed).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(
        parse(&format!("{own}{own}"))
            .unwrap_err()
            .to_string()
            .contains("twice")
    );
}
