//! Rounds of participation: prepared, filled with who is asked, opened and ended; and the profiles by which they ask.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use kontor_participation::deadline::day_of;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::life::Party;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Document, asking, id, page_of, read, version, versioned};
use crate::casework::rounds::course::{RoundDetails, command as named};
use crate::casework::rounds::plan::{AskWish, RoundWish};
use crate::casework::rounds::row::RoundRow;
use crate::casework::{Casework, Principal, Refused};

/// A round as it is shown.
fn view(casework: &Casework, row: &RoundRow) -> Result<Value, Refused> {
    let words = match casework.round_words(row) {
        Ok(words) => Some(words),
        Err(refused) if refused.status == StatusCode::GONE => None,
        Err(refused) => return Err(refused),
    };
    let mut requests = Vec::with_capacity(row.round.asked.len());
    for asked in &row.round.asked {
        let request = casework.request(Side::Requester, &asked.request)?;
        requests.push(asking::view(casework, &request));
    }
    let state = row.round.state();
    Ok(json!({
        "id": row.round.id,
        "version": row.version,
        "case": row.round.case,
        "profile": row.round.profile,
        "number": row.round.number,
        "renews": row.round.renews,
        "state": state.name(),
        "legal": state.legal(),
        "takes_requests": row.round.takes_requests(),
        "unit": row.unit,
        "created_at": row.created_at,
        "closed_at": row.round.closed_at(),
        "question": words.as_ref().map(|words| &words.question),
        "contact": words.as_ref().map(|words| &words.contact),
        "topics": words.as_ref().map(|words| &words.topics),
        "requests": requests,
        "coming": row.coming,
        "cites": row.cites,
    }))
}

pub(super) fn wish_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["question", "contact"],
        "properties": {
            "profile": { "type": ["string", "null"], "description": "code of the profile; left out where a round is renewed" },
            "question": { "type": "string", "minLength": 1, "maxLength": 20000 },
            "contact": { "type": "string", "minLength": 1, "maxLength": 300, "description": "role and unit to write to" },
            "topics": { "type": "array", "items": { "type": "string", "minLength": 1, "maxLength": 300 } },
            "renews": { "type": ["string", "null"], "format": "uuid" },
        },
    })
}

pub(super) async fn prepare(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let wish: RoundWish = read(&body)?;
    let row = casework
        .prepare_round(&who, &id(&case)?, version(&headers)?, wish)
        .await?;
    Ok(versioned(
        StatusCode::CREATED,
        row.version,
        &view(&casework, &row)?,
    ))
}

pub(super) async fn of_case(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
) -> Result<Response, Refused> {
    let case = casework.seen_case(&who, &id(&case)?)?;
    casework
        .look(&who, &format!("rounds of case {}", case.id), "participation")
        .await?;
    let rounds = casework.rounds_of(&case)?;
    let rounds: Vec<Value> = rounds
        .iter()
        .map(|row| view(&casework, row))
        .collect::<Result<_, _>>()?;
    Ok(page_of(StatusCode::OK, &json!({ "rounds": rounds })))
}

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(round): Path<String>,
) -> Result<Response, Refused> {
    let row = casework.seen_round(&who, &id(&round)?)?;
    casework
        .look(&who, &format!("round {}", row.round.id), "participation")
        .await?;
    Ok(versioned(StatusCode::OK, row.version, &view(&casework, &row)?))
}

/// What is shown to somebody, as it is wished for.
pub(super) fn disclosure_schema() -> Value {
    let right = json!({ "enum": ["VIEW", "DOWNLOAD"] });
    json!({
        "type": "object", "additionalProperties": false, "required": ["purpose", "legal_basis"],
        "properties": {
            "recipient_class": { "type": ["string", "null"], "description": "code of a class whose list decides what it gets" },
            "template": { "type": "boolean", "description": "begin with the template for the profile" },
            "parts": { "type": "array", "items": {
                "type": "object", "additionalProperties": false, "required": ["at", "right"],
                "properties": { "at": { "type": "array", "items": { "type": "integer", "minimum": 0 } }, "right": right },
            } },
            "files": { "type": "array", "items": {
                "type": "object", "additionalProperties": false, "required": ["file_id", "right"],
                "properties": { "file_id": { "type": "string" }, "right": right },
            } },
            "purpose": { "type": "string", "minLength": 1 },
            "legal_basis": { "type": "string", "minLength": 1 },
            "ends": { "type": ["string", "null"], "format": "date" },
            "onward": { "type": "boolean" },
        },
    })
}

pub(super) fn rule_schema() -> Value {
    json!({ "type": ["object", "null"], "description": "such as {\"kind\": \"months\", \"n\": 1}" })
}

pub(super) fn ask_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["class", "disclosure"],
        "properties": {
            "to": { "type": ["string", "null"], "description": "the member, INSTANCE/CLASS/CODE" },
            "guest": {
                "type": ["object", "null"], "additionalProperties": false, "required": ["name", "address"],
                "properties": { "name": { "type": "string" }, "address": { "type": "string" } },
            },
            "unit": { "type": ["string", "null"] },
            "class": { "enum": ["ASSOCIATION", "AUTHORITY", "CHAMBER", "INTERNAL", "MUNICIPALITY", "PUBLIC_BODY"] },
            "rule": rule_schema(),
            "effect": { "enum": ["NONE", "MAY_BE_DISREGARDED", "ASSUME_NO_OBJECTION", "CONSENT_DEEMED_GIVEN", null] },
            "extension": { "enum": ["free", "for_reason", "none", null] },
            "runs_from": { "type": ["string", "null"], "format": "date" },
            "disclosure": disclosure_schema(),
            "special_categories": { "type": "boolean" },
            "business_secrets": { "type": "boolean" },
            "replaces": { "type": ["string", "null"], "format": "uuid" },
        },
    })
}

pub(super) async fn ask(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(round): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let wish: AskWish = read(&body)?;
    let (row, missing) = casework.ask(&who, &id(&round)?, version(&headers)?, wish).await?;
    let mut page = asking::view(&casework, &row);
    // Names of a list that the form does not have: whoever chose by it should know.
    page["missing"] = json!(missing);
    Ok(versioned(StatusCode::CREATED, row.version, &page))
}

pub(super) fn command_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "reason": { "enum": ["APPLICATION_WITHDRAWN", "COMPETENCE_CHANGED", "STARTED_ANEW", "OTHER", null] },
        },
    })
}

pub(super) async fn command(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((round, command)): Path<(String, String)>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let round = id(&round)?;
    let details: RoundDetails = read(&body)?;
    let Some(wanted) = named(&command) else {
        let row = casework.seen_round(&who, &round)?;
        let detail = format!("{command:?} is no command of a round");
        return Err(
            Refused::new(StatusCode::NOT_FOUND, "command_unknown", detail).legal(row.round.state().legal())
        );
    };
    let row = casework
        .round_command(&who, &round, version(&headers)?, wanted, details)
        .await?;
    Ok(versioned(StatusCode::OK, row.version, &view(&casework, &row)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Language {
    language: Option<String>,
}

/// Text for the applicant: that and whom others were asked, and nothing of what they answered. Only where the authority switched it on.
pub(super) async fn notice(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    asked: Result<Query<Language>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let case = casework.seen_case(&who, &id(&case)?)?;
    if !casework.settings.participation.tell_applicant {
        let detail = "this authority does not tell applicants whom it asks";
        return Err(Refused::conflict("not_switched_on", detail)
            .hint("the operator sets casework.participation.tell_applicant"));
    }
    casework
        .look(
            &who,
            &format!("notice of rounds of case {}", case.id),
            "participation",
        )
        .await?;
    let own = casework.own().member().to_string();
    let (mut german, mut english) = (Vec::new(), Vec::new());
    for round in casework.rounds_of(&case)? {
        for asked in &round.round.asked {
            let request = casework.request(Side::Requester, &asked.request)?;
            if !request.state().is_sent() {
                continue;
            }
            let (de, en) = match &asked.party {
                Party::Node { member } => (casework.name_of(member), casework.name_of(member)),
                // Names of guests are theirs; what kind of body it is is enough.
                Party::Guest { .. } => (
                    "eine beteiligte Stelle".to_owned(),
                    "a body that takes part".to_owned(),
                ),
                Party::Internal { .. } => {
                    let own = casework.name_of(&own);
                    (
                        format!("eine Fachstelle von {own}"),
                        format!("a specialist unit of {own}"),
                    )
                }
            };
            let day = day_of(request.since);
            german.push(format!("{de} ({day})"));
            english.push(format!("{en} ({day})"));
        }
    }
    let (all, none, begins) = match asked.language.as_deref().unwrap_or("de") {
        "de" => (
            german,
            "Zu Ihrem Antrag wurde bisher niemand beteiligt.",
            "Zu Ihrem Antrag wurden beteiligt: ",
        ),
        "en" => (
            english,
            "Nobody was asked about your application so far.",
            "Asked about your application: ",
        ),
        _ => return Err(Refused::malformed("language is de or en").at("/language")),
    };
    let text = match all.is_empty() {
        true => none.to_owned(),
        false => format!("{begins}{}.", all.join("; ")),
    };
    Ok(page_of(StatusCode::OK, &json!({ "text": text, "asked": all })))
}

/// The profiles that this house can ask by, its own first.
pub(super) async fn profiles(
    _: Principal,
    State(casework): State<Arc<Casework>>,
) -> Result<Response, Refused> {
    let participation = &casework.settings.participation;
    let profiles: Vec<Value> = participation
        .profiles
        .profiles()
        .iter()
        .map(|profile| {
            json!({
                "code": profile.code.as_str(),
                "version": profile.version.as_str(),
                "name": profile.name,
                "basis": profile.basis,
                "who": profile.who,
                "length": profile.length,
                "silence": profile.silence.iter().map(|silence| json!({
                    "effect": silence.effect, "de": silence.de, "en": silence.en,
                })).collect::<Vec<_>>(),
                "extension": profile.extension,
                "reminders": profile.reminders,
                "to_check": profile.to_check,
                "note": profile.note,
            })
        })
        .collect();
    let classes: Vec<Value> = participation
        .recipients
        .classes()
        .iter()
        .map(|class| {
            json!({
                "code": class.code.as_str(), "version": class.version.as_str(), "name": class.name, "basis": class.basis,
                "services": class.services, "example": class.example, "to_check": class.to_check,
            })
        })
        .collect();
    let page = json!({ "profiles": profiles, "recipient_classes": classes });
    Ok(page_of(StatusCode::OK, &page))
}
