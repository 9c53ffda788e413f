//! Requests that this house sent: the board, one request, what is done with it, and what came with its statements.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use kontor_participation::round::delivery::Side;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cases::limit;
use super::{Document, asking, id, page_of, read, version, versioned};
use crate::casework::cases::WORKERS;
use crate::casework::index::List;
use crate::casework::rounds::board::Wanted;
use crate::casework::rounds::requester::{COMMANDS, Command, Details, legal};
use crate::casework::{Casework, Principal, Refused};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    list: List,
    state: Option<String>,
    round: Option<String>,
    case: Option<String>,
    #[serde(default)]
    everything: bool,
    #[serde(default)]
    attention: bool,
    ends_before: Option<Timestamp>,
    after: Option<String>,
    limit: Option<usize>,
}

/// A page of the board or of the inbox.
pub(super) async fn listed(
    casework: &Casework,
    who: &Principal,
    side: Side,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let most = limit(asked.limit)?;
    let after = asked.after.as_deref().map(id).transpose()?;
    let wanted = Wanted {
        list: asked.list,
        state: asked.state,
        round: asked.round.as_deref().map(id).transpose()?,
        case: asked.case.as_deref().map(id).transpose()?,
        everything: asked.everything,
        ends_before: asked.ends_before,
        attention: asked.attention,
    };
    let found = casework.board.find(who, side, &wanted, after.as_ref(), most);
    if !found.ids.is_empty() {
        casework
            .look(
                who,
                &format!("list of {} requests", found.ids.len()),
                "participation",
            )
            .await?;
    }
    let mut rows = Vec::with_capacity(found.ids.len());
    for id in &found.ids {
        rows.push(asking::view(casework, &casework.request(side, id)?));
    }
    let page = json!({
        "requests": rows, "next": found.next, "counts": found.counts, "attention": found.attention,
    });
    Ok(page_of(StatusCode::OK, &page))
}

pub(super) async fn list(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    who.reads()?;
    listed(&casework, &who, Side::Requester, asked).await
}

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(request): Path<String>,
) -> Result<Response, Refused> {
    let row = casework.seen_request(&who, &id(&request)?)?;
    casework
        .look(&who, &format!("request {}", row.id()), "participation")
        .await?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::page(&casework, &row)?,
    ))
}

pub(super) fn command_schema() -> Value {
    let treated = json!({
        "type": "object", "additionalProperties": false, "required": ["treatment"],
        "properties": {
            "point": { "type": ["integer", "null"], "minimum": 1 },
            "treatment": { "enum": [1000, 2000, 3000, 4000, 5000] },
            "text": { "type": "string" },
        },
    });
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "text": { "type": ["string", "null"], "description": "answer" },
            "rule": super::rounds::rule_schema(),
            "granted": { "type": ["boolean", "null"] },
            "end": { "type": ["string", "null"], "format": "date" },
            "delivered_at": { "type": ["string", "null"], "format": "date-time" },
            "words": super::rounds_words(),
            "disclosure": { "anyOf": [super::rounds::disclosure_schema(), { "type": "null" }] },
            "restarts": { "type": "boolean" },
            "files": { "type": "array", "items": { "type": "string" } },
            "reason": { "enum": ["MUST_NOT_LEAVE", "NO_LONGER_NEEDED", "REPLACED", "WRONG_RECIPIENT", null] },
            "assessment": {
                "type": ["object", "null"], "required": ["treated"],
                "properties": {
                    "version": { "type": ["integer", "null"], "minimum": 1 },
                    "treated": { "type": "array", "items": treated },
                    "decision": { "type": ["string", "null"] },
                },
            },
        },
    })
}

pub(super) async fn command(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((request, command)): Path<(String, String)>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let request = id(&request)?;
    let details: Details = read(&body)?;
    let Some(wanted) = Command::named(&command) else {
        let row = casework.seen_request(&who, &request)?;
        let detail = format!("{command:?} is none of {}", COMMANDS.join(", "));
        return Err(Refused::new(StatusCode::NOT_FOUND, "command_unknown", detail).legal(legal(&row)));
    };
    let row = casework
        .request_command(&who, &request, version(&headers)?, wanted, details)
        .await?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::view(&casework, &row),
    ))
}

/// Link and code for a guest: shown once, to be handed over by two ways.
pub(super) async fn invite(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(request): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let (row, handed) = casework.invite(&who, &id(&request)?, version(&headers)?).await?;
    let page = json!({
        "request": row.id(), "link": format!("/guest/v1/{}", handed.link), "code": handed.code, "ends": handed.ends,
    });
    Ok(versioned(StatusCode::CREATED, row.version, &page))
}

pub(super) async fn parked(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((request, what)): Path<(String, String)>,
) -> Result<Response, Refused> {
    who.needs(&WORKERS)?;
    let row = casework.seen_request(&who, &id(&request)?)?;
    let again = super::again(&what)?;
    casework.parked(&who, &row.process(), again).await?;
    let row = casework.request(Side::Requester, row.id())?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::view(&casework, &row),
    ))
}

/// A file that came with a statement or a question.
pub(super) async fn file(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((request, file)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let row = casework.seen_request(&who, &id(&request)?)?;
    let theirs = row.bundles.iter().filter(|one| one.side == Side::Participant);
    for announced in theirs {
        let letter = casework.letter(&row, Side::Participant, announced.seq)?;
        if let Some(found) = letter.files.iter().find(|one| one.file.file_id == file) {
            casework
                .look(
                    &who,
                    &format!("file {file} of request {}", row.id()),
                    "participation",
                )
                .await?;
            return super::files::octets(&casework, found);
        }
    }
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "no such file came in this request",
    ))
}
