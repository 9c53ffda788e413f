//! A request as it is shown, on either side: how it stands, what was said with receipts, and what people wrote.

use http::StatusCode;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::disclosure::Right;
use kontor_participation::round::requester::Requester;
use kontor_protocol::package::cover::Language;
use serde_json::{Value, json};

use super::files::view as file_view;
use crate::casework::rounds::participant;
use crate::casework::rounds::requester;
use crate::casework::rounds::row::{Announced, Asking, RequestRow};
use crate::casework::row::{OutRow, OutState};
use crate::casework::{Casework, Refused};

/// How a request stands; nothing that people wrote.
pub(super) fn view(casework: &Casework, row: &RequestRow) -> Value {
    let request = row.expected();
    let (state, deadline) = (request.state(), request.deadline());
    let terms = &row.body.terms;
    let profiles = &casework.settings.participation.profiles;
    let sentence = profiles.recorded(&row.body.profile).ok().and_then(|profile| {
        let say = |language| {
            profile
                .silence_in_words(terms.effect, language)
                .map(str::to_owned)
        };
        Some(json!({ "de": say(Language::German)?, "en": say(Language::English)? }))
    });
    let own = casework.own().member().to_string();
    let requester = row.requester();
    let legal = match row.asking {
        Asking::Requester(_) => requester::legal(row),
        Asking::Participant(_) => participant::legal(row),
    };
    let settled = match &row.asking {
        Asking::Requester(_) => true,
        Asking::Participant(machine) => machine.is_settled(),
    };
    let mut page = json!({
        "id": row.id(),
        "short": row.id().short(),
        "version": row.version,
        "side": row.side(),
        "state": state.name(),
        "state_german": state.german(),
        "settled": settled,
        "legal": legal,
        "peer": row.peer,
        "participant": row.participant_name(&own),
        "class": row.body.class,
        "proof_level": row.body.proof_level,
        "round": row.body.round_id,
        "round_number": row.body.round_number,
        "renews": row.body.renews,
        "profile": row.body.profile,
        "case": row.case,
        "application_id": row.body.application_id,
        "service": row.body.service.to_string(),
        "unit": row.unit,
        "assignee": row.assignee,
        "since": row.since,
    });
    let more = json!({
        "terms": terms,
        "silence": sentence,
        "flags": row.body.flags,
        "disclosure_ends": row.body.disclosure_ends,
        "deadline": deadline,
        "ends_at": request.end(),
        "standing_still": request.standing_still(),
        "question_open": request.question_open(),
        "extension_wanted": request.extension_wanted(),
        "extension_reason": row.extension,
        "statements": request.versions(),
        "expiry": request.expiry(),
        "delivery": requester.and_then(Requester::delivery),
        "fetched_at": requester.and_then(Requester::fetched_at),
        "inquiry": requester.and_then(Requester::inquiry),
        "undetermined": requester.and_then(Requester::undetermined),
        "approved": row.approved_by.is_some(),
        "invitation": row.invitation.as_ref().map(|invitation| json!({
            "ends": invitation.ends, "opened_at": invitation.opened_at(),
        })),
        "replaces": row.replaces,
        "reference": row.reference,
        "declined": row.declined.as_ref().map(|(reason, suggestion)| json!({ "reason": reason, "suggestion": suggestion })),
        "moves": row.moves,
        "moving": row.moving,
        "purge": row.purge,
        "downloaded": row.downloaded,
        "advisers": row.advisers,
        "notices": row.notices,
        "bundles": row.bundles.iter().map(bundle).collect::<Vec<_>>(),
        "cites": row.cites,
    });
    if let (Some(page), Value::Object(more)) = (page.as_object_mut(), more) {
        page.extend(more);
    }
    page
}

fn bundle(announced: &Announced) -> Value {
    json!({
        "side": announced.side, "seq": announced.seq, "kind": announced.kind, "octets": announced.bundle.octets,
        "manifest": announced.bundle.manifest, "complete": announced.complete, "problem": announced.problem,
        "exchange": announced.exchange,
    })
}

/// The same with every message, its receipt, and what it says to people.
pub(in crate::casework) fn page(casework: &Casework, row: &RequestRow) -> Result<Value, Refused> {
    let mut page = view(casework, row);
    let process = row.process();
    let own = row.side();
    let sent = casework.sent_messages(&process)?;
    let mut parked = false;
    let mut shown = Vec::with_capacity(sent.len());
    for message in &sent {
        parked |= matches!(message.state, OutState::Parked { .. });
        let mut one = OutRow::view(message);
        one["letter"] = letter(casework, row, own, message.seq)?;
        shown.push(one);
    }
    page["sent"] = shown.into();
    let mut received = casework.received_messages(&process)?;
    for message in received.as_array_mut().into_iter().flatten() {
        let seq = message["seq"].as_u64().and_then(|seq| u32::try_from(seq).ok());
        message["letter"] = letter(casework, row, own.other(), seq.unwrap_or_default())?;
    }
    page["received"] = received;
    page["parked"] = parked.into();
    match own {
        Side::Requester => {
            let choice = casework.choice(row).ok();
            page["disclosure"] = json!(choice.as_ref().map(|choice| &choice.disclosure));
            page["guest"] = json!(choice.as_ref().and_then(|choice| {
                Some(json!({ "name": choice.name.as_ref()?, "address": choice.address.as_ref()? }))
            }));
        }
        Side::Participant => {
            let desk = casework.desk(row)?;
            page["draft"] = json!(desk.statement);
            page["attachments"] = desk.files.iter().map(file_view).collect();
            page["released"] = row.work.as_ref().is_some_and(|work| work.is_released()).into();
            page["opened"] = json!(row.access.opened());
        }
    }
    Ok(page)
}

/// What a message says to people; null where it says nothing, or where it was deleted.
fn letter(casework: &Casework, row: &RequestRow, side: Side, seq: u32) -> Result<Value, Refused> {
    let letter = match casework.letter(row, side, seq) {
        Ok(letter) => letter,
        Err(refused) if refused.status == StatusCode::GONE => return Ok(Value::Null),
        Err(refused) => return Err(refused),
    };
    let document: Value = serde_json::from_str(&letter.document).unwrap_or_default();
    Ok(match (document.is_null(), letter.words.is_empty()) {
        (true, true) => Value::Null,
        (true, false) => json!({ "words": letter.words }),
        (false, _) => json!({
            "document": document,
            "files": letter.files.iter().map(file_view).collect::<Vec<_>>(),
        }),
    })
}

/// The right that a path or a query asks for.
pub(super) const fn right(copy: bool) -> Right {
    match copy {
        true => Right::Download,
        false => Right::View,
    }
}
