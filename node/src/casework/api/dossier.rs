//! The dossier of a case: read and replaced as a whole, with the comments and follow-ups of its people.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use kontor_participation::transfer::contract::contract;
use serde_json::{Value, json};

use super::{Document, id, version, versioned};
use crate::casework::{Casework, Principal, Refused};

/// A dossier, as it is written and read: the same as between nodes.
pub(super) fn schema() -> Value {
    let mut contract: Value = serde_json::from_str(contract()).unwrap_or_default();
    contract["components"]["schemas"]["Dossier"].take()
}

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
) -> Result<Response, Refused> {
    let case = casework.seen_case(&who, &id(&case)?)?;
    casework
        .look(&who, &format!("dossier of case {}", case.id), "work")
        .await?;
    let content = casework.content(&case)?;
    let follow_ups: Vec<Value> = content
        .follow_ups
        .iter()
        .map(|(id, text)| json!({ "id": id, "text": text }))
        .collect();
    let page = json!({
        "dossier": content.dossier,
        "comments": content.comments,
        "follow_ups": follow_ups,
    });
    Ok(versioned(StatusCode::OK, case.version, &page))
}

pub(super) async fn put(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let case = id(&case)?;
    let case = casework
        .put_dossier(&who, &case, version(&headers)?, &body)
        .await?;
    super::cases::answer(&casework, &case)
}
