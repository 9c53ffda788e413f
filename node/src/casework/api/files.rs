//! Files of cases: their list, their octets, and what comes late.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, State};
use axum::response::Response;
use futures_util::stream;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderValue};
use kontor_participation::application::manifest::Role as FileRole;
use serde_json::{Value, json};

use super::intake::{files_schema, part, unreadable};
use super::{id, page_of, versioned};
use crate::casework::intake::MAX_FILES;
use crate::casework::{Casework, Principal, Refused};

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
    let files: Vec<Value> = content
        .files
        .iter()
        .map(|file| {
            let mut shown = serde_json::to_value(&file.file).unwrap_or_default();
            shown["scan"] = json!(file.scan);
            shown["late_item"] = json!(file.late);
            shown
        })
        .collect();
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
