//! Whom a pseudonym stands for.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde_json::json;

use super::page_of;
use crate::casework::{Casework, Principal, Refused};

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(pseudonym): Path<String>,
) -> Result<Response, Refused> {
    let (named, since) = casework.person(&who, &pseudonym).await?;
    let page = json!({
        "pseudonym": pseudonym,
        "issuer": named.issuer,
        "subject": named.subject,
        "since": since,
    });
    Ok(page_of(StatusCode::OK, &page))
}
