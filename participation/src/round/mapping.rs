//! Our facts in the words of the standards: which member of which message of XBeteiligung 1.2 and xdomea 3.0 holds what. Fields and
//! values only; writing XML, and what only a planning system knows, is for whoever exports.
//!
//! | Ours | XBeteiligung | xdomea |
//! |---|---|---|
//! | `request` | 0750 `Aufforderung` | 0201 `Geschaeftsgang`, the step current |
//! | answer to `request` | 0760 OK | 0202 `EmpfangBestaetigen` |
//! | `decline` | – | 0203 `GeaendertenLaufwegMitteilen`, the step skipped |
//! | `deadline` | `zeitraum/ende` of a further 0750 | `TerminDatum` in a 0203 |
//! | `statement`, version 1 | 0701 `Neuabgegeben` | 0201 back, the step done |
//! | `statement`, later versions | 0702 `Aktualisiert` | 0201 back, the step done |
//! | answer to `statement` | 0711, 0712 OK | 0202 |
//! | `withdraw-statement` | 0709 `Geloescht` | – |
//! | `expired` | – | 0203, the step skipped |
//! | `revoke`, `cancelled` | 0409 and the like | 0203, the step skipped |
//! | `outcome` | `status` 4000, `abwaegungsvorschlag` | – |
//! | question, clock, inquiry, purge, disclosure | – | – |
//!
//! | Fact | XBeteiligung | xdomea |
//! |---|---|---|
//! | request id | `vorgangsID` | `Kopf/ProzessID` |
//! | application id | `planID` | – |
//! | round id | `beteiligungsID` | `ExternerGeschaeftsgang/Identifikation/ID` |
//! | round number | `durchgang` | – |
//! | effect of silence | `rechtsfolgen` | `Verfuegung/Notiz` |
//! | last day | `zeitraum/ende` | `Verfuegung/TerminDatum` |
//! | statement id, text, date | `stellungnahmeID`, `beschreibung`, `datum` | –, `Bearbeitung/Vermerk`, `Bearbeitung/Datum` |
//! | topics of points | `schlagwort` | – |
//! | attachments | `anlagen/anlage` | `Bearbeitung/Anlage` |
//! | treatment as a whole | `abwaegungsvorschlag` | – |
//!
//! `planID` and the steps of a procedure are of planning law, and 0750 knows planning procedures only. Outside of them the application
//! stands in for the plan; `geltungsbereich`, `bekanntmachung` and `verfahrensschritt…` have to come from the tenant's mapping.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_protocol::package::cover::Language;

use super::disclosure::sheet::Cover;
use super::state::State;
use super::statement::Statement;
use super::statement::assessment::{Assessment, Progress};
use crate::transfer::offer::Id;

/// A member of a message of a standard, and its value.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Field {
    /// Where, below the root of the message.
    pub path: String,
    /// The value as its text.
    pub value: String,
}

/// A message of a standard: its number and its fields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Document {
    /// Such as `0701`.
    pub number: &'static str,
    /// In the order of its schema.
    pub fields: Vec<Field>,
}

/// What both standards need to know of a request.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The request.
    pub request: &'a Id,
    /// The application.
    pub application: &'a Id,
    /// The round.
    pub round: &'a Id,
    /// Its number.
    pub round_number: u32,
    /// The name of who asks.
    pub requester: &'a str,
    /// The name of who is asked.
    pub participant: &'a str,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// The day on which it was sent, in Germany.
    pub sent_on: Date,
    /// The last day; nothing before it is computed, or without an end.
    pub last_day: Option<Date>,
    /// What is asked, and what silence means.
    pub cover: &'a Cover,
}

struct Fields(Vec<Field>);

impl Fields {
    fn add(&mut self, path: &str, value: impl ToString) {
        self.0.push(Field {
            path: path.to_owned(),
            value: value.to_string(),
        });
    }
}

/// The number of the code list of an XBeteiligung statement's author: by name.
const BY_NAME: u16 = 2000;

/// XBeteiligung 0750: the request for a statement, with what silence means.
pub fn xbeteiligung_request(facts: &Facts<'_>) -> Document {
    let at = |member: &str| format!("nachrichteninhalt/beteiligung/kommunal/{member}");
    let mut fields = Fields(Vec::new());
    fields.add("nachrichteninhalt/vorgangsID", facts.request);
    fields.add(&at("akteurVorhaben/veranlasser/name/name"), facts.requester);
    fields.add(&at("planID"), facts.application);
    fields.add(&at("planname"), &facts.cover.question);
    fields.add(&at("beteiligungTOEB/beteiligungsID"), facts.round);
    fields.add(&at("beteiligungTOEB/durchgang"), facts.round_number);
    if let Some(end) = facts.last_day {
        fields.add(&at("beteiligungTOEB/zeitraum/beginn"), facts.sent_on);
        fields.add(&at("beteiligungTOEB/zeitraum/ende"), end);
    }
    fields.add(
        "nachrichteninhalt/rechtsfolgen",
        facts.cover.silence.pick(Language::German),
    );
    Document {
        number: "0750",
        fields: fields.0,
    }
}

/// XBeteiligung 0701 for the first version of a statement, 0702 for a later one; with its treatment once that is recorded.
pub fn xbeteiligung_statement(
    facts: &Facts<'_>,
    statement: &Statement,
    state: State,
    assessment: Option<&Assessment>,
) -> Document {
    let at = |member: &str| format!("nachrichteninhalt/stellungnahme/{member}");
    let mut fields = Fields(Vec::new());
    fields.add("nachrichteninhalt/vorgangsID", facts.request);
    fields.add(&at("stellungnahmeID"), &statement.statement_id);
    fields.add(&at("planID"), facts.application);
    fields.add(&at("beteiligungsID"), facts.round);
    let progress = Progress::of(state, assessment.is_some()).unwrap_or(Progress::New);
    fields.add(&at("status"), u16::from(progress));
    fields.add(&at("verfasser/organisation/name"), facts.participant);
    fields.add(&at("titel"), statement.kind.name());
    fields.add(&at("beschreibung"), words(statement));
    fields.add(&at("durchgang"), facts.round_number);
    fields.add(&at("datum"), statement.dated);
    fields.add(&at("artDerStellungnahme"), BY_NAME);
    let whole = assessment.and_then(|assessment| {
        let mut of_points = assessment.treated.iter().map(|treated| treated.treatment);
        let first = of_points.next()?;
        // One code for the whole: the one that was given, or the one that all points have in common.
        let of_whole = assessment
            .treated
            .iter()
            .find(|treated| treated.point.is_none())
            .map(|treated| treated.treatment);
        of_whole.or_else(|| of_points.all(|other| other == first).then_some(first))
    });
    if let Some(treatment) = whole {
        fields.add(&at("abwaegungsvorschlag"), u16::from(treatment));
    }
    for point in &statement.points {
        fields.add(&at("schlagwort"), &point.topic);
    }
    for attachment in &statement.attachments {
        fields.add(&at("anlagen/anlage"), attachment);
    }
    Document {
        number: match statement.version {
            1 => "0701",
            _ => "0702",
        },
        fields: fields.0,
    }
}

/// XBeteiligung 0709: a statement that was taken back.
pub fn xbeteiligung_withdrawal(facts: &Facts<'_>, statement: &Statement) -> Document {
    let mut fields = Fields(Vec::new());
    fields.add("nachrichteninhalt/vorgangsID", facts.request);
    fields.add("nachrichteninhalt/stellungnahmeID", &statement.statement_id);
    fields.add("nachrichteninhalt/planID", facts.application);
    Document {
        number: "0709",
        fields: fields.0,
    }
}

/// How a step of a circulation stands: the code list `beteiligungsstatus`.
pub const fn xdomea_step(state: State) -> &'static str {
    match state {
        State::Created => "001",
        State::Sent
        | State::Failed
        | State::Delivered
        | State::Acknowledged
        | State::InPreparation
        | State::Withdrawn => "002",
        State::Submitted | State::Amended | State::Late | State::Assessed | State::Notified => "003",
        State::Dropped | State::Declined | State::Expired | State::Revoked | State::Purged => "004",
    }
}

/// xdomea 0201: the circulation with its one step, on the way there, or back with what was done.
pub fn xdomea_circulation(facts: &Facts<'_>, state: State, statement: Option<&Statement>) -> Document {
    let mut fields = Fields(Vec::new());
    let (from, to) = match statement {
        None => (facts.requester, facts.participant),
        Some(_) => (facts.participant, facts.requester),
    };
    head(&mut fields, facts, "0201", from, to);
    fields.add("Kopf/EmpfangsbestaetigungAnInitiator", 1);
    fields.add("Kopf/EmpfangsbestaetigungAnVorgaenger", 0);
    fields.add(
        "Hauptobjekt/Dokument/AllgemeineMetadaten/Betreff",
        &facts.cover.question,
    );
    fields.add("ExternerGeschaeftsgang/Identifikation/ID", facts.round);
    step(&mut fields, "ExternerGeschaeftsgang", facts, state, statement);
    Document {
        number: "0201",
        fields: fields.0,
    }
}

/// xdomea 0202: the receipt of a circulation.
pub fn xdomea_receipt(facts: &Facts<'_>) -> Document {
    let mut fields = Fields(Vec::new());
    head(&mut fields, facts, "0202", facts.participant, facts.requester);
    Document {
        number: "0202",
        fields: fields.0,
    }
}

/// xdomea 0203: the route changed, for the step is skipped or has another date.
pub fn xdomea_change(facts: &Facts<'_>, state: State) -> Document {
    let mut fields = Fields(Vec::new());
    head(&mut fields, facts, "0203", facts.requester, facts.participant);
    fields.add("GeaenderterGeschaeftsgang/Identifikation/ID", facts.round);
    step(&mut fields, "GeaenderterGeschaeftsgang", facts, state, None);
    fields.add("GeaenderterBeteiligungsschritt/Nummer", 1);
    let change = match xdomea_step(state) {
        "004" => "Uebersprungen",
        _ => "Neu",
    };
    fields.add(
        &format!("GeaenderterBeteiligungsschritt/Aenderungsart/{change}"),
        1,
    );
    Document {
        number: "0203",
        fields: fields.0,
    }
}

fn head(fields: &mut Fields, facts: &Facts<'_>, number: &str, from: &str, to: &str) {
    fields.add("Kopf/ProzessID", facts.request);
    fields.add("Kopf/Nachrichtentyp/code", number);
    fields.add("Kopf/Erstellungszeitpunkt", facts.sent_at);
    fields.add("Kopf/Absender/Institution/Name", from);
    fields.add("Kopf/Empfaenger/Institution/Name", to);
}

fn step(fields: &mut Fields, root: &str, facts: &Facts<'_>, state: State, statement: Option<&Statement>) {
    let at = |member: &str| format!("{root}/Beteiligungsschritt/{member}");
    fields.add(&at("Nummer"), 1);
    fields.add(&at("Status/code"), xdomea_step(state));
    fields.add(&at("Verfuegung/Ersteller/Institution/Name"), facts.requester);
    fields.add(&at("Verfuegung/Adressat/Institution/Name"), facts.participant);
    fields.add(&at("Verfuegung/Erstellungsdatum"), facts.sent_on);
    fields.add(&at("Verfuegung/Verfuegung"), "zur Stellungnahme");
    if let Some(end) = facts.last_day {
        fields.add(&at("Verfuegung/TerminDatum"), end);
    }
    fields.add(
        &at("Verfuegung/Notiz"),
        facts.cover.silence.pick(Language::German),
    );
    if let Some(statement) = statement {
        fields.add(&at("Bearbeitung/Bearbeiter/Institution/Name"), facts.participant);
        fields.add(&at("Bearbeitung/Datum"), statement.dated);
        fields.add(&at("Bearbeitung/Vermerk"), words(statement));
        for attachment in &statement.attachments {
            fields.add(&at("Bearbeitung/Anlage"), attachment);
        }
    }
}

/// Text and points of a statement as one text: neither standard has points.
fn words(statement: &Statement) -> String {
    let mut words = Vec::new();
    if !statement.text.is_empty() {
        words.push(statement.text.clone());
    }
    for point in &statement.points {
        let condition = point
            .condition
            .as_deref()
            .map(|condition| format!(" [{condition}]"));
        words.push(format!(
            "{}. {}: {}{}",
            point.number,
            point.topic,
            point.text,
            condition.unwrap_or_default()
        ));
    }
    match words.is_empty() {
        true => statement.kind.name().to_owned(),
        false => words.join("\n"),
    }
}
