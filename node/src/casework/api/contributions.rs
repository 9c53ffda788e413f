//! What this house is asked: the inbox, one request with what is disclosed, the statement from draft to submission.

use std::sync::Arc;

use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Multipart, Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use kontor_participation::application::manifest::Role as FileRole;
use kontor_participation::round::delivery::Side;
use kontor_participation::transfer::offer::Id;
use serde::Deserialize;
use serde_json::{Value, json};

use super::files::{octets, view as file_view};
use super::intake::{files_schema, part, unreadable};
use super::requests::{Asked, listed};
use super::{Document, asking, id, read, version, versioned};
use crate::casework::intake::MAX_FILES;
use crate::casework::rounds::participant::{COMMANDS, Command, Details, legal};
use crate::casework::rounds::statement::Draft;
use crate::casework::{Casework, Principal, Refused};
use crate::config::casework::Role;

/// Who is asked something here, and so may see it.
const READERS: [Role; 3] = [Role::Coordinator, Role::Specialist, Role::Supervisor];

pub(super) async fn list(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    who.needs(&READERS)?;
    listed(&casework, &who, Side::Participant, asked).await
}

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(request): Path<String>,
) -> Result<Response, Refused> {
    shown(&casework, &who, &id(&request)?).await
}

/// One request, whoever looks: recorded first.
pub(super) async fn shown(casework: &Casework, who: &Principal, request: &Id) -> Result<Response, Refused> {
    let row = casework.seen_contribution(who, request)?;
    casework
        .look(who, &format!("contribution {request}"), "participation")
        .await?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::page(casework, &row)?,
    ))
}

pub(super) fn command_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "text": { "type": ["string", "null"], "description": "a question" },
            "reference": { "type": ["string", "null"], "maxLength": 64 },
            "contact": super::rounds_words(),
            "reason": { "enum": ["NOT_COMPETENT", "CONFLICT_OF_INTEREST", "LEGAL_GROUND", "OTHER", null] },
            "suggestion": { "type": ["string", "null"], "description": "a member, INSTANCE/CLASS/CODE" },
            "words": super::rounds_words(),
            "until": { "type": ["string", "null"], "format": "date" },
            "extension_reason": { "enum": ["COMMITTEE_MEETS_LATER", "DOCUMENTS_MISSING", "SITE_VISIT", "WORKLOAD", "OTHER", null] },
            "withdraw_reason": { "enum": ["MISTAKE", "REASON_GONE", "OTHER", null] },
            "unit": { "type": ["string", "null"] },
            "assignee": { "type": ["string", "null"] },
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
    commanded(&casework, &who, &id(&request)?, &command, &headers, &body).await
}

pub(super) async fn commanded(
    casework: &Casework,
    who: &Principal,
    request: &Id,
    command: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Refused> {
    let details: Details = read(body)?;
    let Some(wanted) = Command::named(command) else {
        let row = casework.seen_contribution(who, request)?;
        let detail = format!("{command:?} is none of {}", COMMANDS.join(", "));
        return Err(Refused::new(StatusCode::NOT_FOUND, "command_unknown", detail).legal(legal(&row)));
    };
    let row = casework
        .contribution_command(who, request, version(headers)?, wanted, details)
        .await?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::view(casework, &row),
    ))
}

pub(super) fn draft_schema() -> Value {
    let reference = json!({ "oneOf": [
        { "type": "object", "additionalProperties": false, "required": ["file"], "properties": { "file": { "type": "string" } } },
        { "type": "object", "additionalProperties": false, "required": ["form"],
          "properties": { "form": { "type": "array", "items": { "type": "integer", "minimum": 0 } } } },
        { "type": "null" },
    ] });
    json!({
        "type": "object", "additionalProperties": false, "required": ["kind", "author"],
        "properties": {
            "kind": { "enum": ["STATEMENT", "NO_OBJECTION", "NOT_AFFECTED", "CONSENT", "CONSENT_WITH_CONDITIONS", "REFUSAL", "DOCUMENTS_MISSING", "NOT_COMPETENT"] },
            "text": { "type": "string" },
            "points": { "type": "array", "items": {
                "type": "object", "required": ["number", "topic", "text"],
                "properties": {
                    "number": { "type": "integer", "minimum": 1 }, "topic": { "type": "string", "maxLength": 300 },
                    "refers_to": reference, "text": { "type": "string" }, "condition": { "type": ["string", "null"] },
                },
            } },
            "attachments": { "type": "array", "items": { "type": "string" } },
            "author": { "type": "string", "minLength": 1, "maxLength": 300, "description": "role and unit" },
            "released_by": { "type": ["string", "null"], "maxLength": 300 },
        },
    })
}

pub(super) async fn draft(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(request): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    drafted(&casework, &who, &id(&request)?, &headers, &body).await
}

pub(super) async fn drafted(
    casework: &Casework,
    who: &Principal,
    request: &Id,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<Response, Refused> {
    let draft: Draft = super::read_document(body)?;
    let row = casework.draft(who, request, version(headers)?, draft).await?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::view(casework, &row),
    ))
}

pub(super) fn attach_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["attachment"],
        "properties": { "attachment": files_schema() },
    })
}

pub(super) async fn attach(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(request): Path<String>,
    headers: HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refused> {
    attached(&casework, &who, &id(&request)?, &headers, multipart).await
}

pub(super) async fn attached(
    casework: &Casework,
    who: &Principal,
    request: &Id,
    headers: &HeaderMap,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refused> {
    let decided_on = version(headers)?;
    casework.seen_contribution(who, request)?;
    let mut multipart = multipart.map_err(|error| Refused::malformed(error.body_text()))?;
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| unreadable(&error))? {
        if files.len() == MAX_FILES || field.name() != Some("attachment") {
            let detail = format!("at most {MAX_FILES} parts come at once, and each is named attachment");
            return Err(Refused::malformed(detail));
        }
        files.push(part(casework, field, FileRole::Attachment).await?);
    }
    if files.is_empty() {
        return Err(Refused::malformed("no file came"));
    }
    let (row, added) = casework.attach(who, request, decided_on, files).await?;
    let files: Vec<Value> = added.iter().map(file_view).collect();
    Ok(versioned(
        StatusCode::CREATED,
        row.version,
        &json!({ "files": files }),
    ))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Copy {
    #[serde(default)]
    copy: bool,
}

pub(super) async fn file(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((request, file)): Path<(String, String)>,
    asked: Result<Query<Copy>, QueryRejection>,
) -> Result<Response, Refused> {
    opened(&casework, &who, &id(&request)?, &file, asked).await
}

/// A file that was disclosed, or one of the own desk.
pub(super) async fn opened(
    casework: &Casework,
    who: &Principal,
    request: &Id,
    file: &str,
    asked: Result<Query<Copy>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let row = casework.seen_contribution(who, request)?;
    let own = casework.desk(&row)?.files;
    if let Some(found) = own.iter().find(|one| one.file.file_id == file) {
        casework
            .look(
                who,
                &format!("own file {file} of request {request}"),
                "participation",
            )
            .await?;
        return octets(casework, found);
    }
    let found = casework
        .open_disclosed(who, request, file, asking::right(asked.copy))
        .await?;
    octets(casework, &found)
}

pub(super) fn adviser_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["pseudonym", "until"],
        "properties": {
            "pseudonym": { "type": "string", "minLength": 1, "description": "as GET /api/v1/me shows it to the adviser" },
            "files": { "type": "array", "items": { "type": "string" }, "description": "none: it may look at nothing any more" },
            "until": { "type": "string", "format": "date" },
        },
    })
}

/// Admits an adviser, or dismisses it.
pub(super) async fn advise(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(request): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let row = casework
        .advise(&who, &id(&request)?, version(&headers)?, read(&body)?)
        .await?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::view(&casework, &row),
    ))
}

/// What an adviser may look at.
pub(super) async fn advice(
    who: Principal,
    State(casework): State<Arc<Casework>>,
) -> Result<Response, Refused> {
    let advice = casework.advice(&who)?;
    casework
        .look(
            &who,
            &format!("advice on {} requests", advice.len()),
            "participation",
        )
        .await?;
    Ok(super::page_of(StatusCode::OK, &json!({ "advice": advice })))
}

/// A file that an adviser may look at.
pub(super) async fn advice_file(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((request, file)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let found = casework.open_for_adviser(&who, &id(&request)?, &file).await?;
    octets(&casework, &found)
}

pub(super) async fn parked(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((request, what)): Path<(String, String)>,
) -> Result<Response, Refused> {
    who.needs(&[Role::Coordinator])?;
    let row = casework.seen_contribution(&who, &id(&request)?)?;
    let again = super::again(&what)?;
    casework.parked(&who, &row.process(), again).await?;
    let row = casework.request(Side::Participant, row.id())?;
    Ok(versioned(
        StatusCode::OK,
        row.version,
        &asking::view(&casework, &row),
    ))
}
