//! What a request is in words: who is asked, what is shown, until when and why then, what silence means, who may do what
//! next. In German or English.

mod desk;

use std::fmt::Write as _;

use kontor_participation::calendar::HolidayTable;
use kontor_participation::deadline::Deadline;
use kontor_participation::round::profile::effect_in_words;
use kontor_participation::transfer::offer::SilenceEffect;
use serde_json::Value;

use self::desk::{letter, work};
use crate::cli::casework::said;
use crate::cli::tongue::Tongue;

/// A page in words, line by line.
pub(super) struct Page {
    tongue: Tongue,
    pub(super) text: String,
}

impl Page {
    pub(super) const fn new(tongue: Tongue) -> Self {
        Self {
            tongue,
            text: String::new(),
        }
    }

    pub(super) fn head(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }

    /// A line with its label; nothing where there is nothing to say.
    pub(super) fn line(&mut self, german: &str, english: &str, value: &str) {
        if value.is_empty() {
            return;
        }
        let label = self.tongue.pick(german, english);
        let mut lines = value.lines();
        let _ = writeln!(self.text, "  {label:<16} {}", lines.next().unwrap_or_default());
        for more in lines {
            let _ = writeln!(self.text, "  {:<16} {more}", "");
        }
    }
}

/// Texts of a list.
pub(super) fn list(value: &Value) -> String {
    let all = value.as_array().into_iter().flatten();
    all.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

/// The steps by which a deadline was computed, as sentences.
pub(in crate::cli) fn steps(deadline: &Value, tongue: Tongue) -> Vec<String> {
    match serde_json::from_value::<Deadline>(deadline.clone()) {
        Ok(deadline) => deadline.in_words(tongue.language(), HolidayTable::built_in()),
        Err(_) => Vec::new(),
    }
}

/// The sentence about silence, by the profile; the general one where the profile is not known.
pub(in crate::cli) fn silence(page: &Value, tongue: Tongue) -> String {
    if let Some(sentence) = page["silence"][tongue.code()].as_str() {
        return sentence.to_owned();
    }
    match serde_json::from_value::<SilenceEffect>(page["terms"]["effect"].clone()) {
        Ok(effect) => effect_in_words(effect, tongue.language()).to_owned(),
        Err(_) => String::new(),
    }
}

/// Who is to act, and what for.
fn turn(page: &Value, tongue: Tongue) -> &'static str {
    let (german, english) = if page["question_open"] == true {
        (
            "wer anfragt: die Rückfrage beantworten",
            "who asks: answer the question",
        )
    } else if page["extension_wanted"].is_object() {
        (
            "wer anfragt: über die erbetene Verlängerung entscheiden",
            "who asks: decide on more time",
        )
    } else {
        match said(page, "state") {
            "CREATED" if page["approved"] == true => {
                ("wer anfragt: die Runde öffnen", "who asks: open the round")
            }
            "CREATED" => (
                "wer anfragt: freigeben, wo Schweigen eine Folge hat (approve), dann die Runde öffnen",
                "who asks: release it where silence has an effect (approve), then open the round",
            ),
            "SENT" if page["proof_level"] == "guest" => (
                "der Gast: seinen Link mit dem Code öffnen; erst das ist der Zugang",
                "the guest: open the link with the code; only that is the delivery",
            ),
            "SENT" | "FAILED" => (
                "die Zustellung: der andere Knoten hat sie noch nicht quittiert",
                "the delivery: the other node has not signed for it yet",
            ),
            "DELIVERED" => (
                "wer gefragt ist: Zuständigkeit bestätigen oder ablehnen, dann antworten",
                "who is asked: confirm competence or decline, then answer",
            ),
            "ACKNOWLEDGED" | "IN_PREPARATION" | "WITHDRAWN" => (
                "wer gefragt ist: Stellung nehmen",
                "who is asked: make the statement",
            ),
            "SUBMITTED" | "AMENDED" | "LATE" => (
                "wer anfragt: die Stellungnahme abwägen, wenn die Runde geschlossen ist",
                "who asks: weigh the statement once the round is closed",
            ),
            "EXPIRED" | "ASSESSED" => (
                "wer anfragt: das Ergebnis mitteilen",
                "who asks: tell what became of it",
            ),
            "DECLINED" => (
                "wer anfragt: eine andere Stelle fragen (round ask --replaces)",
                "who asks: ask another body (round ask --replaces)",
            ),
            "REVOKED" => (
                "wer gefragt war: löschen, was gezeigt wurde; der Knoten tut es",
                "who was asked: delete what was shown; the node does it",
            ),
            _ => ("niemand", "nobody"),
        }
    };
    tongue.pick(german, english)
}

/// A command with the role that may carry it out.
fn with_role(command: &str, is_requester: bool) -> String {
    let role = match (is_requester, command) {
        (true, "approve") => "releaser",
        (true, _) => "worker",
        (false, "prepare" | "ask" | "release") => "coordinator, specialist",
        (false, _) => "coordinator",
    };
    format!("{command} ({role})")
}

/// A request as one side has it.
pub(super) fn request_in_words(request: &Value, tongue: Tongue) -> String {
    let mut page = Page::new(tongue);
    let is_requester = request["side"] == "requester";
    page.head(&format!(
        "{} {} ({})",
        tongue.pick("Anfrage", "Request"),
        said(request, "short"),
        said(request, "id")
    ));
    page.line(
        "Seite",
        "Side",
        match is_requester {
            true => tongue.pick("dieses Haus fragt", "this house asks"),
            false => tongue.pick("dieses Haus ist gefragt", "this house is asked"),
        },
    );
    let state = match tongue {
        Tongue::De => format!("{} ({})", said(request, "state_german"), said(request, "state")),
        Tongue::En => said(request, "state").to_owned(),
    };
    page.line("Stand", "State", &state);
    if is_requester {
        let name = request["guest"]["name"].as_str();
        let who = name.map_or_else(
            || said(request, "participant").to_owned(),
            |name| format!("{name}, {}", said(request, "participant")),
        );
        page.line(
            "Gefragt",
            "Asked",
            &format!(
                "{who} ({}; {} {})",
                said(request, "class"),
                tongue.pick("Nachweis", "proof"),
                said(request, "proof_level")
            ),
        );
        page.line("Vorgang", "Case", said(request, "case"));
    } else {
        page.line("Von", "From", said(request, "peer"));
    }
    let moves = request["moves"].as_array().into_iter().flatten();
    for moved in moves {
        let (from, to, at) = (said(moved, "from"), said(moved, "to"), said(moved, "at"));
        page.line(
            "Übergegangen",
            "Gone over",
            &match tongue {
                Tongue::De => format!("seit {at} fragt {to} anstelle von {from}"),
                Tongue::En => format!("since {at} {to} asks in the place of {from}"),
            },
        );
    }
    if let Some(stage) = request["moving"]["stage"]
        .as_str()
        .filter(|stage| *stage != "handed_over")
    {
        let to = said(&request["moving"], "to");
        page.line(
            "Geht über",
            "Goes over",
            &match (tongue, stage) {
                (Tongue::De, "waiting") => format!("an {to}, sobald angekommen ist, was unterwegs ist"),
                (Tongue::En, "waiting") => format!("to {to}, once what is on its way has come"),
                (Tongue::De, _) => format!("an {to}, sobald die gefragte Stelle das quittiert hat"),
                (Tongue::En, _) => format!("to {to}, once who is asked has signed for that"),
            },
        );
    }
    page.line(
        "Profil",
        "Profile",
        &format!(
            "{} {}, {} {}",
            said(&request["profile"], "code"),
            said(&request["profile"], "version"),
            tongue.pick("Runde", "round"),
            request["round_number"]
        ),
    );
    page.line("Runde", "Round", said(request, "round"));
    sheet(&mut page, request);
    time(&mut page, request);
    said_so_far(&mut page, request);
    work(&mut page, request);
    page.line("Nicht im Formular", "Not in the form", &list(&request["missing"]));
    page.line("Am Zug", "Next", turn(request, tongue));
    let legal = request["legal"].as_array().into_iter().flatten();
    let legal: Vec<String> = legal
        .filter_map(Value::as_str)
        .map(|command| with_role(command, is_requester))
        .collect();
    page.line("Möglich", "Possible", &legal.join(", "));
    page.text
}

/// What is asked and what is shown, where the page has it.
fn sheet(page: &mut Page, request: &Value) {
    let tongue = page.tongue;
    let messages = |side: &str| request[side].as_array().cloned().unwrap_or_default();
    let sheets = messages("received").into_iter().chain(messages("sent"));
    for message in sheets {
        let document = &message["letter"]["document"];
        if !document["cover"].is_object() {
            continue;
        }
        let cover = &document["cover"];
        page.line("Frage", "Question", said(cover, "question"));
        page.line("Themen", "Topics", &list(&cover["topics"]));
        page.line("Ansprechstelle", "Contact", said(cover, "contact"));
        page.line("Zweck", "Purpose", said(document, "purpose"));
        page.line("Rechtsgrundlage", "Legal basis", said(document, "legal_basis"));
        let mut shown = String::new();
        fields(&document["items"], 0, &mut shown);
        page.line("Gezeigt", "Shown", &shown);
        for file in message["letter"]["files"].as_array().into_iter().flatten() {
            // The sheet itself is the first file of what was pulled.
            let is_shown = document["files"]
                .as_array()
                .into_iter()
                .flatten()
                .find(|shown| shown["file_id"] == file["file_id"]);
            if let Some(right) = is_shown {
                let name = format!(
                    "{} ({}, {})",
                    said(file, "original_name"),
                    said(file, "file_id"),
                    said(right, "right")
                );
                page.line("Datei", "File", &name);
            }
        }
        if let Some(list) = document["filter"]["code"].as_str() {
            let filter = format!("{list} {}", said(&document["filter"], "version"));
            page.line("Nach Liste", "By list", &filter);
        }
        if document["more"].is_object() {
            let more = match tongue {
                Tongue::De => format!(
                    "{} Felder und {} Dateien, die nicht gezeigt werden",
                    document["more"]["fields"], document["more"]["files"]
                ),
                Tongue::En => format!(
                    "{} fields and {} files that are not shown",
                    document["more"]["fields"], document["more"]["files"]
                ),
            };
            page.line("Es gibt mehr", "There is more", &more);
        }
    }
}

fn one_line(text: &str) -> String {
    text.lines().collect::<Vec<_>>().join(" ")
}

/// What is shown of a form, one field a line, below the headings above it.
fn fields(items: &Value, depth: usize, text: &mut String) {
    for item in items.as_array().into_iter().flatten() {
        let label = item["label"].as_str().or(item["name"].as_str()).unwrap_or("-");
        let value = match &item["value"] {
            Value::Array(_) | Value::Null => String::new(),
            Value::String(value) => format!(": {}", one_line(value)),
            value => format!(": {value}"),
        };
        let _ = writeln!(text, "{:indent$}{label}{value}", "", indent = 2 * depth);
        fields(&item["value"], depth + 1, text);
    }
}

/// Places of a form, one a line, each with its path of numbers.
pub(super) fn places(items: &Value, path: &mut Vec<usize>, text: &mut String) {
    for (place, item) in items.as_array().into_iter().flatten().enumerate() {
        path.push(place);
        let numbers: Vec<String> = path.iter().map(ToString::to_string).collect();
        let label = item["label"].as_str().or(item["name"].as_str()).unwrap_or("-");
        let value = ["stringValue", "numberValue", "booleanValue", "dateValue"]
            .iter()
            .map(|kind| &item[*kind])
            .find(|value| !value.is_null());
        let value = value.map_or_else(String::new, |value| {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            format!(": {}", one_line(&value))
        });
        let _ = writeln!(text, "{:<10} {label}{value}", numbers.join("."));
        places(&item["formItems"], path, text);
        path.pop();
    }
}

/// Until when, why then, and what silence means.
fn time(page: &mut Page, request: &Value) {
    let tongue = page.tongue;
    let deadline = &request["deadline"];
    match deadline.is_object() {
        true => {
            page.line("Frist bis", "Deadline", said(deadline, "effective_end"));
            page.line("Denn", "Because", &steps(deadline, tongue).join("\n"));
        }
        false => {
            let rule = serde_json::from_value(request["terms"]["rule"].clone());
            let words = match rule {
                Ok(rule) => format!(
                    "{} {}",
                    super::profiles::rule_in_words(rule, tongue),
                    tongue.pick("ab dem Zugang", "from the delivery")
                ),
                Err(_) => tongue.pick("keine", "none").to_owned(),
            };
            page.line("Frist", "Deadline", &words);
        }
    }
    if request["standing_still"].is_object() {
        page.line(
            "Frist ruht",
            "Clock stands",
            &format!(
                "{} {}",
                tongue.pick("seit", "since"),
                said(&request["standing_still"], "since")
            ),
        );
    }
    page.line("Schweigen", "Silence", &silence(request, tongue));
    if request["delivery"].is_object() {
        let delivery = &request["delivery"];
        page.line(
            "Zugang",
            "Delivered",
            &format!("{} ({})", said(delivery, "delivered_at"), said(delivery, "proof")),
        );
    }
    if request["extension_wanted"].is_object() {
        let wanted = format!(
            "{} {} ({})",
            tongue.pick("bis", "until"),
            said(&request["extension_wanted"], "until"),
            said(request, "extension_reason")
        );
        page.line("Mehr Zeit", "More time", &wanted);
    }
    if request["expiry"].is_object() {
        let expiry = &request["expiry"];
        let asked = match expiry["answered"] == true {
            true => tongue.pick(
                "der Knoten der gefragten Stelle hatte nichts Fristgerechtes",
                "the node of who was asked had nothing that was in time",
            ),
            false => tongue.pick(
                "ohne Antwort des Knotens der gefragten Stelle",
                "without an answer of the node of who was asked",
            ),
        };
        page.line(
            "Abgelaufen",
            "Expired",
            &format!(
                "{}: {} ({asked})",
                said(expiry, "ended_at"),
                said(expiry, "effect")
            ),
        );
    }
}

/// What was said, message by message, each with its proof.
fn said_so_far(page: &mut Page, request: &Value) {
    let tongue = page.tongue;
    page.line(
        "Aktenzeichen",
        "Reference",
        request["reference"].as_str().unwrap_or(""),
    );
    if request["declined"].is_object() {
        let suggestion = request["declined"]["suggestion"]
            .as_str()
            .map(|member| format!(", {member}"))
            .unwrap_or_default();
        let why = format!("{}{suggestion}", said(&request["declined"], "reason"));
        page.line("Abgelehnt", "Declined", &why);
    }
    for (place, version) in request["statements"].as_array().into_iter().flatten().enumerate() {
        let in_time = match version["in_time"] == true {
            true => tongue.pick("rechtzeitig", "in time"),
            false => tongue.pick("verspätet", "late"),
        };
        let taken_back = match version["withdrawn_at"].is_string() {
            true => tongue.pick(", zurückgenommen", ", taken back"),
            false => "",
        };
        page.line(
            "Stellungnahme",
            "Statement",
            &format!(
                "{} {}, {} {}, {in_time}{taken_back}",
                place + 1,
                said(version, "kind"),
                tongue.pick("eingetragen", "entered"),
                said(version, "entered_at")
            ),
        );
    }
    for notice in request["notices"].as_array().into_iter().flatten() {
        page.line("Achtung", "Attention", notice.as_str().unwrap_or_default());
    }
    for message in request["sent"].as_array().into_iter().flatten() {
        let receipt = &message["state"]["receipt"];
        let proof = match receipt["x_road_id"].as_str() {
            Some(_) => proof(receipt),
            None => said(&message["state"], "state").to_owned(),
        };
        let line = format!("{} {} ({proof})", message["seq"], said(message, "kind"));
        page.line("Gesendet", "Sent", &line);
        letter(page, &message["letter"]);
    }
    for message in request["received"].as_array().into_iter().flatten() {
        let line = format!(
            "{} {} ({})",
            message["seq"],
            said(message, "kind"),
            proof(&message["receipt"])
        );
        page.line("Empfangen", "Received", &line);
        letter(page, &message["letter"]);
    }
}

/// What proves a message: the entry of whoever answered, and the exchange that brought it.
pub(in crate::cli) fn proof(receipt: &Value) -> String {
    let id = said(receipt, "x_road_id");
    match receipt["entry"]["number"].as_u64() {
        Some(number) => format!("{} {number}, query id {id}", said(&receipt["entry"], "log")),
        None => format!("query id {id}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request() -> Value {
        json!({
            "id": "1", "short": "R-1", "side": "participant", "state": "DELIVERED", "state_german": "Zugegangen",
            "peer": "TEST/GOV/a/KONTOR", "profile": { "code": "LBO_STATEMENT", "version": "1" }, "round_number": 1,
            "terms": { "effect": "ASSUME_NO_OBJECTION" }, "legal": ["acknowledge", "ask"],
            "deadline": {
                "rule": { "kind": "months", "n": 1 }, "trigger": "2026-01-30T09:00:00Z", "place": { "land": "SH" },
                "zone": "Europe/Berlin", "holidays": "1", "raw_end": "2026-02-28", "effective_end": "2026-03-02",
                "ends_at": "2026-03-02T23:00:00Z", "steps": [
                    { "step": "event", "date": "2026-01-30" },
                    { "step": "moved", "from": "2026-02-28", "because": "saturday", "to": "2026-03-01" },
                ],
            },
        })
    }

    #[test]
    fn a_request_says_until_when_why_then_what_silence_means_and_who_may_do_what() {
        let text = request_in_words(&request(), Tongue::De);
        for wanted in [
            "Frist bis        2026-03-02",
            "zählt nicht mit (§ 187 Abs. 1 BGB)",
            "ein Sonnabend",
            "keine Bedenken bestehen",
            "Zuständigkeit bestätigen oder ablehnen",
            "acknowledge (coordinator), ask (coordinator, specialist)",
        ] {
            assert!(text.contains(wanted), "{wanted} is missing in:\n{text}");
        }
        let text = request_in_words(&request(), Tongue::En);
        assert!(
            text.contains("that day is not counted") && text.contains("who is asked: confirm competence")
        );
    }

    #[test]
    fn a_sheet_is_shown_field_by_field_below_its_headings() {
        let items = json!([{ "label": "A", "type": "group", "value": [{ "label": "B", "type": "text", "value": "x" }, { "label": "C", "type": "bool", "value": true }] }]);
        let mut text = String::new();
        fields(&items, 0, &mut text);
        assert_eq!(text, "A\n  B: x\n  C: true\n");
    }

    #[test]
    fn places_of_a_form_have_the_numbers_by_which_they_are_chosen() {
        let form = json!([{ "label": "A", "formItems": [{ "label": "B", "stringValue": "x\ny" }, { "name": "c", "numberValue": 0.1 }] }]);
        let mut text = String::new();
        places(&form, &mut Vec::new(), &mut text);
        assert_eq!(text, "0          A\n0.0        B: x y\n0.1        c: 0.1\n");
    }
}
