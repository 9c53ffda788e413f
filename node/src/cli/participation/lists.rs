//! Rounds, the board, the inbox and what else stands in lists, in words.

use std::fmt::Write as _;

use serde_json::Value;

use super::words::{Page, list, places};
use crate::cli::casework::said;
use crate::cli::tongue::Tongue;

/// For a path or a query.
pub(super) fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A round with its requests.
pub(super) fn round_in_words(round: &Value, tongue: Tongue) -> String {
    let mut page = Page::new(tongue);
    page.head(&format!(
        "{} {} ({})",
        tongue.pick("Runde", "Round"),
        round["number"],
        said(round, "id")
    ));
    page.line("Stand", "State", said(round, "state"));
    page.line("Vorgang", "Case", said(round, "case"));
    let profile = &round["profile"];
    page.line(
        "Profil",
        "Profile",
        &format!("{} {}", said(profile, "code"), said(profile, "version")),
    );
    page.line("Frage", "Question", round["question"].as_str().unwrap_or(""));
    page.line("Themen", "Topics", &list(&round["topics"]));
    page.line(
        "Ansprechstelle",
        "Contact",
        round["contact"].as_str().unwrap_or(""),
    );
    for request in round["requests"].as_array().into_iter().flatten() {
        page.line("Anfrage", "Request", row(request, tongue).trim_end());
    }
    page.line("Möglich", "Possible", &list(&round["legal"]));
    page.text
}

/// The rounds of a case.
pub(super) fn rounds_in_words(page: &Value, tongue: Tongue) -> String {
    let rounds = page["rounds"].as_array().into_iter().flatten();
    let text: String = rounds.map(|round| round_in_words(round, tongue)).collect();
    match text.is_empty() {
        true => format!(
            "{}\n",
            tongue.pick("Der Vorgang hat keine Runde.", "The case has no round.")
        ),
        false => text,
    }
}

/// A request in one line.
fn row(request: &Value, tongue: Tongue) -> String {
    let ends = request["deadline"]["effective_end"].as_str().unwrap_or("-");
    let who = match request["side"] == "requester" {
        true => said(request, "participant"),
        false => said(request, "peer"),
    };
    let mut attention = Vec::new();
    if request["question_open"] == true {
        attention.push(tongue.pick("Rückfrage", "question"));
    }
    if request["extension_wanted"].is_object() {
        attention.push(tongue.pick("mehr Zeit erbeten", "more time wanted"));
    }
    let notices = request["notices"].as_array().into_iter().flatten();
    attention.extend(notices.filter_map(Value::as_str));
    format!(
        "{}  {:<14} {ends:<10}  {who}  {}\n",
        said(request, "id"),
        said(request, "state"),
        attention.join(", ")
    )
}

/// The board or the inbox.
pub(super) fn board_in_words(page: &Value, tongue: Tongue) -> String {
    let rows = page["requests"].as_array().into_iter().flatten();
    let mut text: String = rows.map(|request| row(request, tongue)).collect();
    let counts = page["counts"].as_object().cloned().unwrap_or_default();
    let counts: Vec<String> = counts
        .iter()
        .map(|(state, count)| format!("{state} {count}"))
        .collect();
    let counts = match counts.is_empty() {
        true => tongue.pick("keine Anfragen", "no requests").to_owned(),
        false => counts.join(", "),
    };
    let _ = writeln!(
        text,
        "{counts}; {}: {}",
        tongue.pick("anzusehen", "to be looked at"),
        page["attention"]
    );
    if let Some(next) = page["next"].as_str() {
        let more = tongue.pick(
            "Die Liste geht weiter; den nächsten Teil zeigt derselbe Befehl mit",
            "The list goes on; the same command shows the next part with",
        );
        let _ = writeln!(text, "{more} --after {next}");
    }
    text
}

/// Link and code, with how they are handed over.
pub(super) fn invitation_in_words(page: &Value, base: &str, tongue: Tongue) -> String {
    let mut text = Page::new(tongue);
    text.line("Link", "Link", &format!("{base}{}", said(page, "link")));
    text.line("Code", "Code", said(page, "code"));
    text.line("Gilt bis", "Holds until", said(page, "ends"));
    text.head(tongue.pick(
        "Beides wird nur dieses eine Mal gezeigt. Auf zwei Wegen übergeben: den Link etwa per E-Mail, den Code per Telefon oder Brief. \
         Mit dem ersten Öffnen ist die Anfrage zugegangen.",
        "Both are shown this once. Hand them over by two ways: the link by e-mail, say, the code by telephone or letter. \
         The first opening is the delivery.",
    ));
    text.text
}

/// Whose key it is.
pub(super) fn me_in_words(page: &Value, tongue: Tongue) -> String {
    let mut text = Page::new(tongue);
    text.line("Pseudonym", "Pseudonym", said(page, "pseudonym"));
    text.line("Rollen", "Roles", &list(&page["roles"]));
    text.line("Einheiten", "Units", &list(&page["units"]));
    text.text
}

/// What of a case can be shown.
pub(super) fn parts_in_words(page: &Value, tongue: Tongue) -> String {
    let mut text = format!(
        "{}\n",
        tongue.pick(
            "Stellen des Formulars, für --part; was über einer Stelle steht, schließt sie ein:",
            "Places of the form, for --part; one that stands above others includes them:"
        )
    );
    places(&page["form"]["formData"], &mut Vec::new(), &mut text);
    let _ = writeln!(
        text,
        "{}",
        tongue.pick("Dateien, für --file:", "Files, for --file:")
    );
    text + &files_in_words(page)
}

/// Files with their ids.
pub(super) fn files_in_words(page: &Value) -> String {
    let mut text = String::new();
    for file in page["files"].as_array().into_iter().flatten() {
        let _ = writeln!(
            text,
            "{}  {} ({}, {} octets)",
            said(file, "file_id"),
            said(file, "original_name"),
            said(file, "declared_media_type"),
            file["size"]
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_that_goes_on_says_how() {
        let mut page = json!({ "requests": [], "counts": { "SENT": 501 }, "attention": 0, "next": null });
        assert!(!board_in_words(&page, Tongue::En).contains("--after"));
        page["next"] = json!("3f2504e0-4f89-41d3-9a0c-0305e82c3301");
        for tongue in [Tongue::En, Tongue::De] {
            let words = board_in_words(&page, tongue);
            assert!(
                words.ends_with(" --after 3f2504e0-4f89-41d3-9a0c-0305e82c3301\n"),
                "{words}"
            );
        }
    }
}
