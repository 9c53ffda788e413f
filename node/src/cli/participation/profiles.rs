//! Profiles and recipient classes in words.

use std::fmt::Write as _;

use kontor_participation::deadline::Rule;
use serde_json::Value;

use crate::cli::casework::said;
use crate::cli::tongue::Tongue;

/// A length in words.
fn length(length: &Value, tongue: Tongue) -> String {
    let rule = |rule: &Value| match serde_json::from_value::<Rule>(rule.clone()) {
        Ok(rule) => rule_in_words(rule, tongue),
        Err(_) => "-".to_owned(),
    };
    match length["kind"].as_str() {
        Some("fixed") => rule(&length["rule"]),
        Some("set") if length["at_most"].is_object() => format!(
            "{} {}",
            tongue.pick(
                "von der Behörde bestimmt, höchstens",
                "set by the authority, at most"
            ),
            rule(&length["at_most"])
        ),
        Some("set") => tongue
            .pick("von der Behörde bestimmt", "set by the authority")
            .to_owned(),
        _ => tongue
            .pick("frei, auch ohne Ende", "free, or without an end")
            .to_owned(),
    }
}

/// A rule in words.
pub(super) fn rule_in_words(rule: Rule, tongue: Tongue) -> String {
    let count = |n: u16, german: [&str; 2], english: [&str; 2]| {
        let place = usize::from(n != 1);
        format!("{n} {}", tongue.pick(german[place], english[place]))
    };
    match rule {
        Rule::Days { n } => count(n, ["Tag", "Tage"], ["day", "days"]),
        Rule::WorkingDays { n } => count(n, ["Arbeitstag", "Arbeitstage"], ["working day", "working days"]),
        Rule::Weeks { n } => count(n, ["Woche", "Wochen"], ["week", "weeks"]),
        Rule::Months { n } => count(n, ["Monat", "Monate"], ["month", "months"]),
        Rule::Hours { n } => count(n, ["Stunde", "Stunden"], ["hour", "hours"]),
        Rule::LaterOf { months, days } => format!(
            "{}, {} {}",
            count(months, ["Monat", "Monate"], ["month", "months"]),
            tongue.pick("mindestens", "at least"),
            count(days, ["Tag", "Tage"], ["day", "days"])
        ),
        Rule::Until { date, .. } => format!("{} {date}", tongue.pick("bis", "until")),
    }
}

/// All that others can be asked by.
pub(super) fn in_words(page: &Value, tongue: Tongue) -> String {
    let mut text = String::new();
    let list = |value: &Value| {
        let all = value.as_array().into_iter().flatten();
        all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let check = |one: &Value| match one["to_check"] == true {
        true => tongue.pick(
            "; vor dem ersten Gebrauch am geltenden Recht zu prüfen",
            "; to be compared with the law in force before its first use",
        ),
        false => "",
    };
    for profile in page["profiles"].as_array().into_iter().flatten() {
        let name = said(&profile["name"], tongue.code());
        let _ = writeln!(
            text,
            "{} {}  {name}\n  {}{}",
            said(profile, "code"),
            said(profile, "version"),
            said(profile, "basis"),
            check(profile)
        );
        let mut line = |label: &str, value: &str| {
            let _ = writeln!(text, "  {label:<12} {value}");
        };
        line(tongue.pick("Wer", "Who"), &list(&profile["who"]));
        line(
            tongue.pick("Frist", "Period"),
            &length(&profile["length"], tongue),
        );
        for silence in profile["silence"].as_array().into_iter().flatten() {
            line(
                tongue.pick("Schweigen", "Silence"),
                &format!("{}: {}", said(silence, "effect"), said(silence, tongue.code())),
            );
        }
        line(
            tongue.pick("Mehr Zeit", "More time"),
            &list(&profile["extension"]),
        );
        if let Some(note) = profile["note"][tongue.code()].as_str() {
            line(tongue.pick("Hinweis", "Note"), note);
        }
    }
    let _ = writeln!(
        text,
        "\n{}",
        tongue.pick(
            "Empfängerklassen: ihre Liste entscheidet, was gezeigt wird.",
            "Recipient classes: their list decides what is shown."
        )
    );
    for class in page["recipient_classes"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "  {:<12} {} ({}; {} {}){}",
            said(class, "code"),
            said(&class["name"], tongue.code()),
            said(class, "basis"),
            tongue.pick("Leistungen", "services"),
            list(&class["services"]),
            check(class)
        );
    }
    text
}
