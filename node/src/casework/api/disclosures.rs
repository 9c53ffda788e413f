//! What left the house, for the data-protection officer: which application, to whom, when, on which ground, and what became of it.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cases::limit;
use super::page_of;
use crate::casework::rounds::row::RequestRow;
use crate::casework::row::{CaseRecord, Machine, TransferRow};
use crate::casework::{Casework, Principal, Refused, Table};
use crate::config::casework::Role;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::requester::Requester;
use kontor_participation::transfer::sender::State as SenderState;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    q: Option<String>,
    limit: Option<usize>,
}

/// Whether content went out, by the state of its sender.
const fn left(state: SenderState) -> bool {
    match state {
        SenderState::PackageSent
        | SenderState::Imported
        | SenderState::TakenOver(_)
        | SenderState::Closed(_)
        | SenderState::Copied
        | SenderState::Reclaiming
        | SenderState::Unconfirmed(_)
        | SenderState::Reclaimed
        | SenderState::Recalling
        | SenderState::Recalled { .. } => true,
        SenderState::Draft
        | SenderState::Offered
        | SenderState::Accepted
        | SenderState::Refused(_)
        | SenderState::Withdrawn
        | SenderState::Expired
        | SenderState::Disputed => false,
    }
}

pub(super) async fn list(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    who.needs(&[Role::DataProtection])?;
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let most = limit(asked.limit)?;
    casework
        .look(&who, "what left the house", "data protection")
        .await?;
    let words = asked.q.map(|words| words.to_lowercase());
    let rows = casework.store.range::<TransferRow>(
        Table::Transfers,
        (Bound::Unbounded, Bound::Unbounded),
        true,
        usize::MAX,
    )?;
    let mut shown: Vec<Value> = Vec::new();
    for (_, row) in rows {
        let Machine::Sender(machine) = &row.machine else {
            continue;
        };
        let refused_after_package = matches!(machine.state(), SenderState::Refused(_)) && row.sent > 1;
        if !(left(machine.state()) || refused_after_package) {
            continue;
        }
        let case = row.case.as_ref().and_then(|case| casework.case(case).ok());
        let record = case.as_ref().and_then(|case| casework.record(case).ok());
        if !is_named(words.as_deref(), record.as_ref()) {
            continue;
        }
        shown.push(json!({
            "transfer": row.id,
            "case": row.case,
            "number": record.as_ref().map(|record| &record.number),
            "applicant": record.as_ref().and_then(|record| record.applicant.as_ref()),
            "to": row.peer,
            "situation": row.offer.situation,
            "service": row.offer.service.to_string(),
            "offered_at": row.offered_at,
            "state": machine.state().name(),
            "taken_over_at": row.machine.taken_over_at(),
            "files": row.offer.files,
            "octets": row.offer.octets,
            "flags": row.offer.flags,
            "late_items": row.late.len(),
            "manifest": row.offer.manifest,
            "their_purge": row.their_purge,
            "deleted_here_at": case.as_ref().and_then(|case| case.purged_at),
            "cites": row.cites,
        }));
        if shown.len() == most {
            break;
        }
    }
    let requests = asked_of_others(&casework, words.as_deref(), most)?;
    let page = json!({ "disclosures": shown, "requests": requests });
    Ok(page_of(StatusCode::OK, &page))
}

/// Whether a case is about what is looked for.
fn is_named(words: Option<&str>, record: Option<&CaseRecord>) -> bool {
    let Some(words) = words else { return true };
    record.is_some_and(|record| {
        let all = [
            Some(&record.number),
            record.applicant.as_ref(),
            Some(&record.title),
        ];
        all.into_iter()
            .flatten()
            .any(|text| text.to_lowercase().contains(words))
    })
}

/// What was shown to others in participation, the newest first: to whom, for what, on which ground, until when, and what became of it.
fn asked_of_others(casework: &Casework, words: Option<&str>, most: usize) -> Result<Vec<Value>, Refused> {
    let rows = casework
        .store
        .last_below::<RequestRow>(Table::Requests, b"r", usize::MAX)?;
    let own = casework.own().member().to_string();
    let mut shown = Vec::new();
    for row in rows {
        let bundles: Vec<_> = row
            .bundles
            .iter()
            .filter(|one| {
                one.side == Side::Requester && matches!(one.kind.as_str(), "request" | "supplement")
            })
            .collect();
        if bundles.is_empty() {
            continue;
        }
        let case = row.case.as_ref().and_then(|case| casework.case(case).ok());
        let record = case.as_ref().and_then(|case| casework.record(case).ok());
        if !is_named(words, record.as_ref()) {
            continue;
        }
        let choice = casework.choice(&row).ok();
        let disclosure = choice.as_ref().map(|choice| &choice.disclosure);
        shown.push(json!({
            "request": row.id(),
            "case": row.case,
            "number": record.as_ref().map(|record| &record.number),
            "applicant": record.as_ref().and_then(|record| record.applicant.as_ref()),
            "to": row.participant_name(&own),
            "profile": row.body.profile,
            "service": row.body.service.to_string(),
            "purpose": disclosure.map(|disclosure| &disclosure.purpose),
            "legal_basis": disclosure.map(|disclosure| &disclosure.legal_basis),
            "parts": disclosure.map(|disclosure| &disclosure.parts),
            "files": disclosure.map(|disclosure| &disclosure.files),
            "selection": disclosure.map(|disclosure| &disclosure.selection),
            "onward": disclosure.is_some_and(|disclosure| disclosure.onward),
            "ends": row.body.disclosure_ends,
            "since": row.since,
            "fetched_at": row.requester().and_then(Requester::fetched_at),
            "state": row.state().name(),
            "flags": row.body.flags,
            "manifests": bundles.iter().map(|one| one.bundle.manifest).collect::<Vec<_>>(),
            "octets": bundles.iter().map(|one| one.bundle.octets).sum::<u64>(),
            "purge": row.purge,
            "downloaded": row.downloaded,
            "cites": row.cites,
        }));
        if shown.len() == most {
            break;
        }
    }
    Ok(shown)
}
