//! The intake: an application as a form service posts it.

use std::sync::Arc;

use axum::extract::multipart::Field;
use axum::extract::{Multipart, State};
use axum::response::Response;
use http::StatusCode;
use kontor_participation::application::intake::MAX_OCTETS;
use kontor_participation::application::manifest::Role as FileRole;
use serde_json::{Value, json};

use super::page_of;
use crate::casework::intake::{MAX_FILES, Part};
use crate::casework::{Casework, Principal, Refused};
use crate::config::casework::Role;

/// A multipart body that cannot be read.
pub(super) fn unreadable(error: &axum::extract::multipart::MultipartError) -> Refused {
    Refused::malformed(format!(
        "the multipart body cannot be read: {}",
        error.body_text()
    ))
}

/// Takes a file of a multipart body; it is on disk when this returns.
pub(super) async fn part(casework: &Casework, mut field: Field<'_>, role: FileRole) -> Result<Part, Refused> {
    let name = field.file_name().unwrap_or("datei").to_owned();
    let media_type = field
        .content_type()
        .unwrap_or("application/octet-stream")
        .to_owned();
    let mut receiving = casework.receive()?;
    while let Some(piece) = field.chunk().await.map_err(|error| unreadable(&error))? {
        receiving.write(piece).await?;
    }
    Ok(Part {
        role,
        name,
        media_type,
        received: receiving.finish().await?,
    })
}

/// Files of a multipart body.
pub(super) fn files_schema() -> Value {
    json!({
        "type": "array",
        "items": { "type": "string", "contentMediaType": "application/octet-stream", "format": "binary" },
    })
}

/// The parts of an application (domain 2.1).
pub(super) fn schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["formData"],
        "properties": {
            "formData": {
                "type": "object", "required": ["control", "formData"],
                "description": "the form as the form service made it, application/json",
                "properties": {
                    "control": { "type": "object" },
                    "formData": { "type": "array", "items": { "type": "object" } },
                },
            },
            "representation": files_schema(),
            "attachment": files_schema(),
        },
    })
}

pub(super) async fn hand_in(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    multipart: Result<Multipart, axum::extract::multipart::MultipartRejection>,
) -> Result<Response, Refused> {
    who.needs(&[Role::Intake])?;
    let mut multipart = multipart.map_err(|error| Refused::malformed(error.body_text()))?;
    let (mut form, mut parts) = (None, Vec::new());
    while let Some(mut field) = multipart.next_field().await.map_err(|error| unreadable(&error))? {
        let role = match field.name() {
            Some("formData") => {
                let mut text = Vec::new();
                while let Some(piece) = field.chunk().await.map_err(|error| unreadable(&error))? {
                    if text.len() + piece.len() > MAX_OCTETS {
                        let detail =
                            format!("the form has more than {MAX_OCTETS} octets; put files into attachments");
                        return Err(Refused::new(
                            StatusCode::PAYLOAD_TOO_LARGE,
                            "form_too_large",
                            detail,
                        ));
                    }
                    text.extend_from_slice(&piece);
                }
                if form.replace(text).is_some() {
                    return Err(
                        Refused::invalid("form_twice", "the part formData stands twice").at("/formData")
                    );
                }
                continue;
            }
            Some("representation") => FileRole::Representation,
            Some("attachment") => FileRole::Attachment,
            other => {
                let detail = format!("the part {other:?} is none of formData, representation, attachment");
                return Err(Refused::invalid("part_unknown", detail));
            }
        };
        if parts.len() == MAX_FILES {
            let detail = format!("an application has at most {MAX_FILES} files");
            return Err(Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_many_files",
                detail,
            ));
        }
        parts.push(part(&casework, field, role).await?);
    }
    let form =
        form.ok_or_else(|| Refused::invalid("form_missing", "the part formData is missing").at("/formData"))?;
    let opened = casework.take_in(&who, &form, parts).await?;
    let page = json!({
        "transactionId": opened.record.transaction_id,
        "vorgang": {
            "vorgangId": opened.case.id,
            "vorgangNummer": opened.record.number,
            "status": opened.case.status.name(),
            "statusSince": opened.case.status_since,
        },
        "known": opened.again,
    });
    Ok(page_of(StatusCode::OK, &page))
}
