//! Files of cases: their list, their octets, and what comes late.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Multipart, Path, Query, State};
use axum::response::Response;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, StatusCode};
use kontor_participation::application::manifest::Role as FileRole;
use serde_json::{Value, json};

use super::intake::{files_schema, part, unreadable};
use super::{id, page_of, version, versioned};
use crate::casework::intake::MAX_FILES;
use crate::casework::row::CaseFile;
use crate::casework::{Casework, Principal, Refused};

/// A file as it is shown.
pub(super) fn view(file: &CaseFile) -> Value {
    let mut shown = serde_json::to_value(&file.file).unwrap_or_default();
    shown["scan"] = json!(file.scan);
    shown["late_item"] = json!(file.late);
    shown["redacts"] = json!(file.redacts);
    shown
}

/// What a file that is added may be.
const ROLES: [(&str, FileRole); 5] = [
    ("attachment", FileRole::Attachment),
    ("representation", FileRole::Representation),
    ("decision", FileRole::Decision),
    ("message_attachment", FileRole::MessageAttachment),
    ("evidence", FileRole::Evidence),
];

/// The parts of files that are added: each under what it is.
pub(super) fn add_schema() -> Value {
    let properties: serde_json::Map<String, Value> = ROLES
        .iter()
        .map(|(name, _)| ((*name).to_owned(), files_schema()))
        .collect();
    json!({
        "type": "object", "additionalProperties": false, "minProperties": 1, "properties": properties,
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Added {
    /// The file of the case that they are redacted copies of.
    redacts: Option<String>,
}

pub(super) async fn add(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    asked: Result<Query<Added>, QueryRejection>,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let (case, decided_on) = (id(&case)?, version(&headers)?);
    casework.seen_case(&who, &case)?;
    let mut multipart = multipart.map_err(|error| Refused::malformed(error.body_text()))?;
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| unreadable(&error))? {
        if files.len() == MAX_FILES {
            let detail = format!("at most {MAX_FILES} files are added at once");
            return Err(Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_many_files",
                detail,
            ));
        }
        let named = field.name().unwrap_or_default();
        let role = ROLES
            .iter()
            .find(|(name, _)| *name == named)
            .map(|(_, role)| *role);
        let role = role.ok_or_else(|| {
            let known: Vec<&str> = ROLES.iter().map(|(name, _)| *name).collect();
            let detail = format!("a part is named {named:?}; known are {}", known.join(", "));
            Refused::malformed(detail)
        })?;
        files.push(part(&casework, field, role).await?);
    }
    let (case, added) = casework
        .add_files(&who, &case, decided_on, files, asked.redacts)
        .await?;
    let files: Vec<Value> = added.iter().map(view).collect();
    Ok(versioned(
        StatusCode::CREATED,
        case.version,
        &json!({ "files": files }),
    ))
}

pub(super) async fn list(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
) -> Result<Response, Refused> {
    let case = casework.seen_case(&who, &id(&case)?)?;
    casework
        .look(&who, &format!("files of case {}", case.id), "work")
        .await?;
    let content = casework.content(&case)?;
    let files: Vec<Value> = content.files.iter().map(view).collect();
    Ok(versioned(
        StatusCode::OK,
        case.version,
        &json!({ "files": files }),
    ))
}

pub(super) async fn read_one(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((case, file)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let case = casework.seen_case(&who, &id(&case)?)?;
    let content = casework.content(&case)?;
    let found = content.files.into_iter().find(|it| it.file.file_id == file);
    let found =
        found.ok_or_else(|| Refused::new(StatusCode::NOT_FOUND, "not_found", "the case has no such file"))?;
    casework
        .look(&who, &format!("file {file} of case {}", case.id), "work")
        .await?;
    octets(&casework, &found)
}

/// The octets of a file.
pub(super) fn octets(casework: &Casework, found: &CaseFile) -> Result<Response, Refused> {
    let reader = casework.read(&found.kept)?;
    let octets = stream::unfold(Some(reader), |reader| async {
        let mut reader = reader?;
        match reader.next().await {
            Ok(Some(piece)) => Some((Ok(piece), Some(reader))),
            Ok(None) => None,
            Err(error) => Some((Err(std::io::Error::other(error.to_string())), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(octets));
    let headers = response.headers_mut();
    // The name is the applicant's and stays in the list; nothing here is shown by a browser as a page.
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(found.kept.length));
    Ok(response)
}

/// The parts of a late item.
pub(super) fn late_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["attachment"],
        "properties": { "attachment": files_schema() },
    })
}

pub(super) async fn late(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    multipart: Result<Multipart, MultipartRejection>,
) -> Result<Response, Refused> {
    let case = id(&case)?;
    let mut multipart = multipart.map_err(|error| Refused::malformed(error.body_text()))?;
    let mut files = Vec::new();
    while let Some(field) = multipart.next_field().await.map_err(|error| unreadable(&error))? {
        if files.len() == MAX_FILES {
            let detail = format!("a late item has at most {MAX_FILES} files");
            return Err(Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_many_files",
                detail,
            ));
        }
        files.push(part(&casework, field, FileRole::Attachment).await?);
    }
    let transfer = casework.late_item(&who, &case, files).await?;
    let page = json!({ "transfer": transfer.id, "late_items": transfer.late.len() });
    Ok(page_of(StatusCode::ACCEPTED, &page))
}
