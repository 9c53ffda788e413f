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
use crate::casework::row::{CaseRecord, CaseRow, Machine, TransferRow};
use crate::casework::{Casework, Principal, Refused, Table};
use crate::config::casework::Role;
use kontor_participation::round::delivery::Side;
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
    let asked = requests(&casework, words.as_deref(), most)?;
    let page = json!({ "disclosures": shown, "requests": asked });
    Ok(page_of(StatusCode::OK, &page))
}

/// Whether something about a case is looked for by these words.
fn is_named(words: Option<&str>, record: Option<&CaseRecord>) -> bool {
    words.is_none_or(|words| {
        record.is_some_and(|record| {
            [
                Some(&record.number),
                record.applicant.as_ref(),
                Some(&record.title),
            ]
            .into_iter()
            .flatten()
            .any(|text| text.to_lowercase().contains(words))
        })
    })
}

/// What was shown in participation: to whom, how much with which right and until when, and what became of it. The ground is among
/// what goes with the content.
fn requests(casework: &Casework, words: Option<&str>, most: usize) -> Result<Vec<Value>, Refused> {
    let every = (Bound::Unbounded, Bound::Unbounded);
    let rows = casework
        .store
        .range::<RequestRow>(Table::Requests, every, true, usize::MAX)?;
    let own = casework.own().member().to_string();
    let mut shown = Vec::new();
    for (_, row) in rows {
        if row.side() != Side::Requester || !row.state().is_sent() {
            continue;
        }
        let case: Option<CaseRow> = row.case.as_ref().and_then(|case| casework.case(case).ok());
        let record = case.as_ref().and_then(|case| casework.record(case).ok());
        if !is_named(words, record.as_ref()) {
            continue;
        }
        let choice = casework.choice(&row).ok().map(|choice| choice.disclosure);
        let machine = row.requester();
        shown.push(json!({
            "request": row.id(),
            "round": row.body.round_id,
            "case": row.case,
            "number": record.as_ref().map(|record| &record.number),
            "applicant": record.as_ref().and_then(|record| record.applicant.as_ref()),
            "to": row.participant_name(&own),
            "proof_level": row.body.proof_level,
            "profile": row.body.profile,
            "service": row.body.service.to_string(),
            "since": row.since,
            "delivered_at": machine.and_then(|machine| machine.delivery()).map(|delivery| delivery.delivered_at),
            "state": row.state().name(),
            "purpose": choice.as_ref().map(|choice| &choice.purpose),
            "legal_basis": choice.as_ref().map(|choice| &choice.legal_basis),
            "parts": choice.as_ref().map(|choice| &choice.parts),
            "files": choice.as_ref().map(|choice| &choice.files),
            "ends": row.body.disclosure_ends,
            "flags": row.body.flags,
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
