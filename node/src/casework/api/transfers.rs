//! Transfers: offers, lists, one transfer with its receipts, commands, and the text for the applicant.

use std::ops::Bound;
use std::sync::{Arc, PoisonError};

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use kontor_participation::transfer::RefusalReason;
use kontor_participation::transfer::delivery::{AnswerCode, QuestionCode, RecallReason, Words};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cases::limit;
use super::{Document, id, page_of, read, version, versioned};
use crate::casework::cases::WORKERS;
use crate::casework::offers::Wish;
use crate::casework::row::{Machine, OutRow, Process, TransferRow};
use crate::casework::transfers::Command;
use crate::casework::{Casework, Principal, Refused, Table};

/// A transfer as it is shown.
fn view(row: &TransferRow) -> Value {
    json!({
        "id": row.id,
        "short": row.id.short(),
        "version": row.version,
        "party": row.machine.party(),
        "peer": row.peer,
        "state": row.machine.state(),
        "responsibility": row.machine.responsibility(),
        "ended": row.machine.has_ended(),
        "case": row.case,
        "unit": row.unit,
        "offer": row.offer,
        "offered_at": row.offered_at,
        "taken_over_at": row.machine.taken_over_at(),
        "take_over_known_at": row.take_over_known_at,
        "clocks_apart": row.clocks_apart,
        "number": row.number,
        "instance_number": row.instance_number,
        "package": row.bundle.map(|bundle| json!({ "octets": bundle.octets, "parts": bundle.parts(), "pulled": row.pulled, "here": row.parts_here })),
        "import_problem": row.import_problem,
        "questions": row.questions,
        "late_items": row.late.iter().map(|late| json!({
            "item": late.item, "received_at": late.received_at, "before_take_over": late.before_take_over,
            "octets": late.bundle.octets, "imported": late.imported,
        })).collect::<Vec<_>>(),
        "suggestion": row.suggestion,
        "standing_rule": row.standing_rule,
        "recalled": row.recalled,
        "their_purge": row.their_purge,
        "our_purge": row.our_purge,
        "flags": row.flags,
        "cites": row.cites,
    })
}

pub(super) fn offer_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["to", "situation"],
        "properties": {
            "to": { "type": "string", "description": "the member, INSTANCE/CLASS/CODE" },
            "situation": { "enum": ["MISDIRECTED", "COMPETENCE_CHANGED", "MIGRATION", "DELEGATION", "COPY"] },
            "region": { "type": ["string", "null"] },
            "confirmed": { "type": "boolean" },
            "answer_wanted_by": { "type": ["string", "null"], "format": "date" },
            "take_over_until": { "type": ["string", "null"], "format": "date-time" },
            "returns": { "type": ["string", "null"], "format": "uuid" },
        },
    })
}

pub(super) async fn offer(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let wish: Wish = read(&body)?;
    let row = casework
        .offer(&who, &id(&case)?, version(&headers)?, &wish, true)
        .await?;
    Ok(versioned(StatusCode::CREATED, row.version, &view(&row)))
}

/// What an offer would say, for the person who decides about it.
pub(super) async fn preview(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let wish: Wish = read(&body)?;
    let row = casework
        .offer(&who, &id(&case)?, version(&headers)?, &wish, false)
        .await?;
    Ok(page_of(StatusCode::OK, &view(&row)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    all: bool,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) async fn list(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    who.reads()?;
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let most = limit(asked.limit)?;
    let mut from = asked
        .after
        .as_deref()
        .map(id)
        .transpose()?
        .map(|after| after.to_string().into_bytes());
    let (mut shown, mut next) = (Vec::new(), None);
    // Rows that may not be seen, or have ended, are passed over.
    'pages: loop {
        let bound = from.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows =
            casework
                .store
                .range::<TransferRow>(Table::Transfers, (bound, Bound::Unbounded), false, 256)?;
        let Some((last, _)) = rows.last() else { break };
        let last = last.clone();
        for (_, row) in &rows {
            if who.sees(row.unit.as_deref()) && (asked.all || !row.machine.has_ended()) {
                if shown.len() == most {
                    break 'pages;
                }
                next = Some(row.id.clone());
                let mut page = view(row);
                page["overdue"] = json!(casework.overdue(row)?);
                shown.push(page);
            }
        }
        from = Some(last);
    }
    let next = next.filter(|_| shown.len() == most);
    Ok(page_of(
        StatusCode::OK,
        &json!({ "transfers": shown, "next": next }),
    ))
}

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(transfer): Path<String>,
) -> Result<Response, Refused> {
    let row = casework.seen_transfer(&who, &id(&transfer)?)?;
    casework
        .look(&who, &format!("transfer {}", row.id), "work")
        .await?;
    let mut page = view(&row);
    page["overdue"] = json!(casework.overdue(&row)?);
    let process = Process::Transfer(row.id.clone());
    let sent = casework.sent_messages(&process)?;
    page["sent"] = sent.iter().map(OutRow::view).collect();
    page["received"] = casework.received_messages(&process)?;
    // A token over the messages proves "not later"; until it is there the take-over holds all the same.
    page["take_over_proof"] = match row
        .proven_below
        .map(|number| casework.log.is_stamped_below(number))
    {
        None => Value::Null,
        Some(true) => "stamped".into(),
        Some(false) => "pending".into(),
    };
    Ok(versioned(StatusCode::OK, row.version, &page))
}

/// What an operator wants to know; it names no case.
pub(super) async fn status(_: Principal, State(casework): State<Arc<Casework>>) -> Result<Response, Refused> {
    let waiting: Vec<Value> = casework
        .outbox
        .waiting()
        .into_iter()
        .map(|(peer, waiting, failures)| json!({ "peer": peer, "waiting": waiting, "silent_in_a_row": failures }))
        .collect();
    let active = casework
        .active
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .len();
    let page = json!({
        "cases": casework.index.len(),
        "transfers_under_way": active,
        "requests": casework.board.len().0,
        "contributions": casework.board.len().1,
        "waiting": waiting,
        "webhooks": casework.webhooks_page()?,
        "free_octets": casework.vault.room()?,
        "server": casework.server.to_string(),
        "test": casework.test,
    });
    Ok(page_of(StatusCode::OK, &page))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Details {
    reason: Option<RefusalReason>,
    recall_reason: Option<RecallReason>,
    suggestion: Option<String>,
    question: Option<QuestionCode>,
    answer: Option<AnswerCode>,
    words: Option<Words>,
    purged: Option<bool>,
    number: Option<String>,
}

pub(super) fn command_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false,
        "properties": {
            "reason": { "enum": ["NOT_COMPETENT_PLACE", "NOT_COMPETENT_SUBJECT", "DUPLICATE", "INCOMPLETE", "UNREADABLE", "INFECTED", "ALREADY_DECIDED", "TOO_LATE_FOR_TAKEOVER", "CAPACITY", "OTHER", null] },
            "recall_reason": { "enum": ["WRONG_RECIPIENT", "WRONG_APPLICATION", "MUST_NOT_LEAVE", null] },
            "suggestion": { "type": ["string", "null"] },
            "question": { "enum": ["WHY_US", "WHICH_PLACE", "WHICH_SERVICE", "WHAT_WAS_DONE", "OTHER", null] },
            "answer": { "enum": ["YES", "NO", "UNKNOWN", "IN_WORDS", null] },
            "words": {
                "type": ["object", "null"], "required": ["text", "free_of_personal_data"],
                "properties": { "text": { "type": "string", "maxLength": 2000 }, "free_of_personal_data": { "type": "boolean" } },
            },
            "purged": { "type": ["boolean", "null"] },
            "number": { "type": ["string", "null"] },
        },
    })
}

/// The code of what is no command.
const UNKNOWN: &str = "command_unknown";

fn wanted(name: &str, details: Details) -> Result<Command, Refused> {
    let missing = |member: &str| {
        Refused::invalid("member_missing", format!("{name} needs {member}")).at(format!("/{member}"))
    };
    Ok(match name {
        "withdraw" => Command::Withdraw,
        "expire" => Command::Expire,
        "send-package" => Command::SendPackage,
        "reclaim" => Command::Reclaim,
        "give-up-waiting" => Command::GiveUpWaiting,
        "recall" => Command::Recall(details.recall_reason.ok_or_else(|| missing("recall_reason"))?),
        "answer" => Command::Answer(details.answer.ok_or_else(|| missing("answer"))?, details.words),
        "accept" => Command::Accept,
        "refuse" => Command::Refuse {
            reason: details.reason.ok_or_else(|| missing("reason"))?,
            suggestion: details.suggestion,
            words: details.words,
        },
        "dispute" => Command::Dispute(details.words),
        "query" => Command::Query(
            details.question.ok_or_else(|| missing("question"))?,
            details.words,
        ),
        "take-over" => Command::TakeOver,
        "lapse" => Command::Lapse,
        "answer-recall" => Command::AnswerRecall {
            purged: details.purged.ok_or_else(|| missing("purged"))?,
        },
        "tell-number" => Command::TellNumber(details.number.ok_or_else(|| missing("number"))?),
        _ => {
            let detail = format!("{name:?} is no command of a transfer");
            return Err(Refused::new(StatusCode::NOT_FOUND, UNKNOWN, detail));
        }
    })
}

pub(super) async fn command(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((transfer, command)): Path<(String, String)>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let transfer = id(&transfer)?;
    let command = match wanted(&command, read(&body)?) {
        Err(refused) if refused.code == UNKNOWN => {
            let row = casework.seen_transfer(&who, &transfer)?;
            return Err(refused.legal(row.machine.legal()));
        }
        wanted => wanted?,
    };
    let row = casework
        .transfer_command(&who, &transfer, version(&headers)?, command)
        .await?;
    Ok(versioned(StatusCode::OK, row.version, &view(&row)))
}

pub(super) async fn parked(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((transfer, what)): Path<(String, String)>,
) -> Result<Response, Refused> {
    let again = super::again(&what)?;
    who.needs(&WORKERS)?;
    let row = casework.seen_transfer(&who, &id(&transfer)?)?;
    casework
        .parked(&who, &Process::Transfer(row.id.clone()), again)
        .await?;
    let row = casework.transfer(&row.id)?;
    Ok(versioned(StatusCode::OK, row.version, &view(&row)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Language {
    language: Option<String>,
}

/// The text for the notice to the applicant: what happened, without advice. Sent by whom and how is for its people to note.
pub(super) async fn notice(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(transfer): Path<String>,
    asked: Result<Query<Language>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let row = casework.seen_transfer(&who, &id(&transfer)?)?;
    let at = row
        .machine
        .taken_over_at()
        .ok_or_else(|| Refused::conflict("not_taken_over", "nothing is to be told before the take-over"))?;
    casework
        .look(&who, &format!("notice of transfer {}", row.id), "work")
        .await?;
    let case = row.case.as_ref().map(|case| casework.case(case)).transpose()?;
    let record = case
        .as_ref()
        .map(|case| casework.record(case))
        .transpose()?
        .unwrap_or_default();
    let peer = row
        .peer
        .rsplit_once('/')
        .map_or(row.peer.as_str(), |(member, _)| member);
    let own = casework.own().member().to_string();
    let (from, to) = match row.machine {
        Machine::Sender(_) => (own.as_str(), peer),
        Machine::Receiver(_) => (peer, own.as_str()),
    };
    let (from, to) = (casework.name_of(from), casework.name_of(to));
    let day = |at| kontor_participation::deadline::day_of(at);
    let number = row
        .instance_number
        .as_ref()
        .or(row.number.as_ref())
        .cloned()
        .unwrap_or_default();
    let text = match asked.language.as_deref().unwrap_or("de") {
        "en" => format!(
            "Your application \"{}\" of {} was handed over by {from} to {to}, which has been responsible for it since {}. \
             Your application keeps its date of receipt. The number there is {number}. Please send replies and documents to {to} from now on; \
             what still arrives at {from} is passed on.",
            record.title,
            day(row.offer.first_received_at),
            day(at),
        ),
        "de" => format!(
            "Ihr Antrag „{}“ vom {} wurde von {from} an {to} abgegeben. {to} ist seit dem {} dafür zuständig. \
             Das Datum des Eingangs bleibt erhalten. Die Nummer dort lautet {number}. Bitte senden Sie Antworten und Unterlagen ab jetzt an {to}; \
             was noch bei {from} eingeht, wird weitergeleitet.",
            record.title,
            day(row.offer.first_received_at),
            day(at),
        ),
        _ => return Err(Refused::malformed("language is de or en").at("/language")),
    };
    Ok(page_of(
        StatusCode::OK,
        &json!({ "text": text, "taken_over_at": at, "from": from, "to": to }),
    ))
}

impl Casework {
    /// The name of a member as global configuration has it.
    pub(super) fn name_of(&self, member: &str) -> String {
        let named = || {
            let id: kontor_protocol::id::MemberId = member.parse().ok()?;
            let trust = self.trust.current(self.clock.now()).ok()?;
            trust.member_name(&id).map(str::to_owned)
        };
        named().unwrap_or_else(|| member.to_owned())
    }
}
