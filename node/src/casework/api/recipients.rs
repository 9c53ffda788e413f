//! Who may be competent for a case: suggestions of the directory with their reasons, and whether each has a node
//! (by what it answers to `listMethods`; null while it does not answer). A person confirms.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use kontor_participation::deadline::day_of;
use kontor_protocol::id::ClientId;
use kontor_protocol::package::cover::Language;
use serde::Deserialize;
use serde_json::json;

use super::{id, page_of};
use crate::casework::{Casework, Principal, Refused};
use crate::config::casework::SUBSYSTEM;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    region: Option<String>,
}

pub(super) async fn suggest(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let case = casework.seen_case(&who, &id(&case)?)?;
    let directory = casework.settings.directory.as_ref().ok_or_else(|| {
        Refused::conflict("no_directory", "this node has no directory of competences")
            .hint("the operator names one under [casework] directory")
    })?;
    let service = case.service.as_deref().unwrap_or_default();
    let region = asked.region.or_else(|| case.region.clone()).unwrap_or_default();
    let found = directory
        .search(service, &region, day_of(casework.now()))
        .map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
    let trust = casework
        .trust
        .current(casework.clock.now())
        .map_err(|fault| Refused::unavailable("no_trust", fault.text().to_owned()))?;
    let shown = found.into_iter().map(|found| {
        let subsystem = ClientId::subsystem_of(found.member.clone(), SUBSYSTEM).ok();
        let subsystem = subsystem.filter(|subsystem| !trust.servers_of(subsystem).is_empty());
        let casework = &casework;
        async move {
            let has_node = match &subsystem {
                Some(subsystem) => casework.offers(subsystem, crate::config::casework::SERVICE).await,
                None => Some(false),
            };
            json!({
                "member": found.member.to_string(),
                "name": found.name,
                "with_node": has_node,
                "reason_german": found.reason.in_words(Language::German),
                "reason": found.reason.in_words(Language::English),
            })
        }
    });
    let shown = futures_util::future::join_all(shown).await;
    Ok(page_of(
        StatusCode::OK,
        &json!({ "directory": directory.version(), "suggestions": shown }),
    ))
}
