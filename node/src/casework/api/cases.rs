//! Cases: lists, one case, commands and changes.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use jiff::civil::Date;
use kontor_participation::application::intake;
use kontor_participation::case::Command;
use kontor_participation::deadline::day_of;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Document, id, page_of, read, version, versioned};
use crate::casework::cases::Change;
use crate::casework::index::{List, Wanted};
use crate::casework::row::{CaseRecord, CaseRow};
use crate::casework::{Casework, Principal, Refused};

/// Cases of one page, unless fewer are wanted.
const PAGE: usize = 50;
const MOST: usize = 500;

pub(super) async fn me(who: Principal) -> Response {
    let page = json!({
        "pseudonym": who.pseudonym,
        "holder": format!("{:?}", who.holder).to_lowercase(),
        "roles": who.roles,
        "units": who.units,
        "on_behalf_of": who.on_behalf_of,
    });
    page_of(StatusCode::OK, &page)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    #[serde(default)]
    list: List,
    status: Option<String>,
    q: Option<String>,
    #[serde(default)]
    everything: bool,
    follow_up_by: Option<Date>,
    after: Option<String>,
    limit: Option<usize>,
}

pub(super) fn limit(wanted: Option<usize>) -> Result<usize, Refused> {
    let limit = wanted.unwrap_or(PAGE);
    match (1..=MOST).contains(&limit) {
        true => Ok(limit),
        false => Err(Refused::malformed(format!("limit is 1 to {MOST}")).at("/limit")),
    }
}

pub(super) async fn list(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let most = limit(asked.limit)?;
    let after = asked.after.as_deref().map(id).transpose()?;
    let wanted = Wanted {
        list: asked.list,
        status: asked.status,
        words: asked.q.filter(|words| !words.trim().is_empty()),
        everything: asked.everything,
        follow_up_by: asked.follow_up_by,
    };
    let page = casework.find_cases(&who, &wanted, after.as_ref(), most).await?;
    let rows: Vec<Value> = page
        .cases
        .iter()
        .map(|(case, record)| view(case, record.as_ref()))
        .collect();
    let shown = json!({
        "cases": rows,
        "next": page.found.next,
        "counts": page.found.counts,
        "follow_ups_due": page.found.follow_ups,
        "partial": page.found.partial,
    });
    Ok(page_of(StatusCode::OK, &shown))
}

/// A case as it is shown.
fn view(case: &CaseRow, record: Option<&CaseRecord>) -> Value {
    json!({
        "id": case.id,
        "version": case.version,
        "number": record.map(|record| &record.number),
        "title": record.map(|record| &record.title),
        "applicant": record.and_then(|record| record.applicant.as_ref()),
        "file_reference": record.and_then(|record| record.file_reference.as_ref()),
        "instance_number": record.and_then(|record| record.instance_number.as_ref()),
        "transaction_id": record.map(|record| &record.transaction_id),
        "application_id": case.application_id,
        "status": case.status.name(),
        "status_german": case.status.german(),
        "status_since": case.status_since,
        "commands": case.status.legal().iter().map(|command| command.name()).collect::<Vec<_>>(),
        "first_received_at": case.first_received_at,
        "received_here_at": case.received_here_at,
        "service": case.service,
        "region": case.region,
        "unit": case.unit,
        "assignee": case.assignee,
        "responsibility": case.responsibility,
        "transfer": case.transfer,
        "origin": case.origin,
        "hops": case.hops,
        "files": case.files,
        "octets": case.octets,
        "trust_level": case.trust_level,
        "flags": case.flags,
        "open_round": case.open_round,
        "rounds": case.rounds,
        "deadlines": case.deadlines,
        "findings": case.findings,
        "follow_ups": case.follow_ups,
        "hold": case.hold,
        "delete_at": case.delete_at,
        "purged_at": case.purged_at,
        "history": case.history,
        "export": case.export,
        "cites": case.cites,
    })
}

pub(super) fn answer(casework: &Casework, case: &CaseRow) -> Result<Response, Refused> {
    let record = casework.record(case)?;
    Ok(versioned(
        StatusCode::OK,
        case.version,
        &view(case, Some(&record)),
    ))
}

pub(super) async fn show(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
) -> Result<Response, Refused> {
    let case = casework.seen_case(&who, &id(&case)?)?;
    casework.look(&who, &format!("case {}", case.id), "work").await?;
    answer(&casework, &case)
}

pub(super) async fn form(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
) -> Result<Response, Refused> {
    let case = casework.seen_case(&who, &id(&case)?)?;
    casework
        .look(&who, &format!("form of case {}", case.id), "work")
        .await?;
    let content = casework.content(&case)?;
    let text = intake::write(&content.form).map_err(|error| Refused::internal(&error))?;
    let form: Box<serde_json::value::RawValue> =
        serde_json::value::RawValue::from_string(text).map_err(|error| Refused::internal(&error))?;
    Ok(versioned(StatusCode::OK, case.version, &form))
}

pub(super) async fn command(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path((case, command)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let case = id(&case)?;
    let known = Command::ALL.into_iter().find(|known| known.name() == command);
    let Some(command) = known else {
        let status = casework.seen_case(&who, &case)?.status;
        let refused = Refused::new(
            StatusCode::NOT_FOUND,
            "command_unknown",
            format!("{command:?} is no command of a case"),
        );
        return Err(refused.legal(status.legal().iter().map(|command| command.name())));
    };
    let case = casework.command(&who, &case, version(&headers)?, command).await?;
    answer(&casework, &case)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assignment {
    unit: Option<String>,
    assignee: Option<String>,
}

pub(super) fn assignment_schema() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "unit": { "type": ["string", "null"], "maxLength": 128 },
            "assignee": { "type": ["string", "null"], "description": "a pseudonym, as /api/v1/me shows it", "maxLength": 64 },
        },
    })
}

pub(super) async fn assign(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let Assignment { unit, assignee } = read(&body)?;
    for (name, text, most) in [("unit", &unit, 128), ("assignee", &assignee, 64)] {
        if text
            .as_ref()
            .is_some_and(|text| text.is_empty() || text.len() > most || text.chars().any(char::is_control))
        {
            return Err(
                Refused::invalid("text_length", format!("{name} has 1 to {most} characters"))
                    .at(format!("/{name}")),
            );
        }
    }
    let change = Change::Assign { unit, assignee };
    let case = casework
        .change(&who, &id(&case)?, version(&headers)?, change)
        .await?;
    answer(&casework, &case)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "change")]
enum Changed {
    Reference {
        reference: String,
    },
    Comment {
        text: String,
        #[serde(default)]
        travels: bool,
    },
    FollowUp {
        date: Date,
        text: String,
    },
    FollowUpDone {
        id: String,
    },
    Release {
        finding: usize,
        ground: String,
    },
    Hold {
        ground: String,
    },
    Unhold,
    Region {
        region: String,
    },
}

pub(super) fn change_schema() -> Value {
    let one = |name: &str, members: Value| {
        let mut properties = members;
        let mut required: Vec<String> = properties
            .as_object()
            .map(|map| map.keys().cloned().collect())
            .unwrap_or_default();
        required.push("change".into());
        properties["change"] = json!({ "const": name });
        json!({ "type": "object", "additionalProperties": false, "properties": properties, "required": required })
    };
    let text = || json!({ "type": "string", "minLength": 1, "maxLength": 4000 });
    let mut comment = one("comment", json!({ "text": text() }));
    comment["properties"]["travels"] = json!({
        "type": "boolean", "default": false, "description": "whether it goes with the application when that is handed over",
    });
    json!({ "oneOf": [
        one("reference", json!({ "reference": text() })),
        comment,
        one("follow_up", json!({ "date": { "type": "string", "format": "date" }, "text": text() })),
        one("follow_up_done", json!({ "id": { "type": "string" } })),
        one("release", json!({ "finding": { "type": "integer", "minimum": 0 }, "ground": text() })),
        one("hold", json!({ "ground": text() })),
        one("unhold", json!({})),
        one("region", json!({ "region": { "type": "string" } })),
    ] })
}

pub(super) async fn change(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let change = match read(&body)? {
        Changed::Reference { reference } => Change::Reference(reference),
        Changed::Comment { text, travels } => Change::Comment { text, travels },
        Changed::FollowUp { date, text } => Change::FollowUp { date, text },
        Changed::FollowUpDone { id } => Change::FollowUpDone(id),
        Changed::Release { finding, ground } => Change::Release { finding, ground },
        Changed::Hold { ground } => Change::Hold { ground },
        Changed::Unhold => Change::Unhold,
        Changed::Region { region } => Change::Region(region),
    };
    let case = casework
        .change(&who, &id(&case)?, version(&headers)?, change)
        .await?;
    answer(&casework, &case)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settled {
    is_there: bool,
}

pub(super) fn export_schema() -> Value {
    json!({
        "type": "object", "additionalProperties": false, "required": ["is_there"],
        "properties": { "is_there": { "type": "boolean" } },
    })
}

pub(super) async fn export(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    Path(case): Path<String>,
    headers: HeaderMap,
    Document(body): Document,
) -> Result<Response, Refused> {
    let Settled { is_there } = read(&body)?;
    let case = casework
        .export_again(&who, &id(&case)?, version(&headers)?, is_there)
        .await?;
    answer(&casework, &case)
}

/// A page of cases, with what is known of each.
pub(crate) struct Found {
    pub(crate) found: crate::casework::index::Page,
    pub(crate) cases: Vec<(CaseRow, Option<CaseRecord>)>,
}

impl Casework {
    /// A page of a list; one look for all of it.
    async fn find_cases(
        &self,
        who: &Principal,
        wanted: &Wanted,
        after: Option<&kontor_participation::transfer::offer::Id>,
        most: usize,
    ) -> Result<Found, Refused> {
        who.reads()?;
        let today = day_of(self.now());
        let found = self.index.find(who, wanted, today, after, most);
        if !found.ids.is_empty() {
            self.look(who, &format!("list of {} cases", found.ids.len()), "work")
                .await?;
        }
        let mut cases = Vec::with_capacity(found.ids.len());
        for id in &found.ids {
            let case = self.case(id)?;
            let record = self.record(&case).ok();
            cases.push((case, record));
        }
        Ok(Found { found, cases })
    }
}
