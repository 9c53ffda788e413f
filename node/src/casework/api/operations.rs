//! The operations of the interface: from this one list come the routes and the OpenAPI document.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post, put};
use http::StatusCode;
use kontor_participation::case::Command;
use kontor_participation::round::life;
use serde_json::{Map, Value, json};

use super::{
    cases, contributions, disclosures, dossier, events, files, guests, intake, not_so, nothing, page_of,
    persons, recipients, requests, rounds, schemas, transfers,
};
use crate::casework::Casework;
use crate::casework::rounds::{participant, requester};
use crate::casework::transfers::COMMANDS;

/// One operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Schema of the body, if it is JSON.
    body: Option<fn() -> Value>,
    /// Schema of the body, if it is multipart/form-data.
    parts: Option<fn() -> Value>,
    /// Whether If-Match is needed.
    versioned: bool,
    /// Names and schemas of what may stand in the query.
    query: &'static [(&'static str, &'static str)],
    /// Status of success, with the media type of the answer.
    success: (u16, &'static str),
    /// Name of the schema of a JSON answer.
    answer: &'static str,
    route: fn() -> MethodRouter<Arc<Casework>>,
}

const JSON: &str = "application/json";

/// What may stand in the query of the board and the inbox.
const REQUESTS: [(&str, &str); 9] = [
    ("list", "mine|all|unassigned"),
    ("state", "string"),
    ("round", "uuid"),
    ("case", "uuid"),
    ("everything", "boolean"),
    ("attention", "boolean"),
    ("ends_before", "instant"),
    ("after", "uuid"),
    ("limit", "integer"),
];

macro_rules! operation {
    ($method:ident $path:literal $id:literal $summary:literal => $handler:expr $(, $name:ident = $value:expr)* $(,)?) => {{
        Operation {
            $($name: $value,)*
            ..Operation {
                method: stringify!($method),
                path: $path,
                id: $id,
                summary: $summary,
                body: None,
                parts: None,
                versioned: false,
                query: &[],
                success: (200, JSON),
                answer: "",
                route: || $method($handler),
            }
        }
    }};
}

fn operations() -> Vec<Operation> {
    vec![
        operation!(post "/antrag" "handIn" "Hand in an application as a form service does (multipart/form-data: formData, representation, attachment)" => intake::hand_in, parts = Some(intake::schema), answer = "HandedIn"),
        operation!(get "/api/v1/me" "showMe" "Who the key or token belongs to, under which pseudonym, and what it may do" => cases::me, answer = "Me"),
        operation!(get "/api/v1/status" "showStatus" "How much there is, what waits for which peer, and what is parked" => transfers::status, answer = "Status"),
        operation!(get "/api/v1/cases" "listCases" "The lists: mine, all, unassigned; with counts per state and follow-ups that are due" => cases::list, query = &[("list", "mine|all|unassigned"), ("status", "string"), ("q", "string"), ("everything", "boolean"), ("follow_up_by", "date"), ("after", "uuid"), ("limit", "integer")], answer = "CaseList"),
        operation!(get "/api/v1/cases/{case}" "showCase" "A case with its record" => cases::show, answer = "Case"),
        operation!(get "/api/v1/cases/{case}/form" "showForm" "The form, as the intake wrote it" => cases::form, answer = "Form"),
        operation!(post "/api/v1/cases/{case}/commands/{command}" "commandCase" "Move a case: accept, discard, take_back, start, put_back, decide, close, reopen, mark_for_deletion, unmark, delete" => cases::command, versioned = true, answer = "Case"),
        operation!(post "/api/v1/cases/{case}/assignment" "assignCase" "Who works on it" => cases::assign, versioned = true, body = Some(cases::assignment_schema), answer = "Case"),
        operation!(post "/api/v1/cases/{case}/changes" "changeCase" "File reference, comment, follow-up, release of a finding, hold, region" => cases::change, versioned = true, body = Some(cases::change_schema), answer = "Case"),
        operation!(get "/api/v1/cases/{case}/dossier" "showDossier" "What goes with a case besides form and files, its comments and the words of its follow-ups" => dossier::show, answer = "Dossier"),
        operation!(put "/api/v1/cases/{case}/dossier" "putDossier" "Replace the dossier: messages with the applicant, questions, decisions, payment, deadlines, parties, retention" => dossier::put, versioned = true, body = Some(dossier::schema), answer = "Case"),
        operation!(post "/api/v1/cases/{case}/export" "settleExport" "Say whether a case whose writing into the instance is in doubt is there" => cases::export, versioned = true, body = Some(cases::export_schema), answer = "Case"),
        operation!(get "/api/v1/cases/{case}/files" "listFiles" "Files with digests and what the scanner said" => files::list, answer = "FileList"),
        operation!(post "/api/v1/cases/{case}/files" "addFiles" "Add files to a case (multipart/form-data: attachment, representation, decision, message_attachment, evidence); gives those that were added" => files::add, versioned = true, query = &[("redacts", "string")], parts = Some(files::add_schema), success = (201, JSON), answer = "FileList"),
        operation!(get "/api/v1/cases/{case}/files/{file}" "readFile" "The octets of a file" => files::read_one, success = (200, "application/octet-stream")),
        operation!(post "/api/v1/cases/{case}/late-items" "addLateItem" "Hand on what came after the case was handed over (multipart/form-data: attachment)" => files::late, parts = Some(files::late_schema), success = (202, JSON), answer = "LateItem"),
        operation!(post "/api/v1/cases/{case}/transfers" "offerCase" "Offer a case to another authority" => transfers::offer, versioned = true, body = Some(transfers::offer_schema), success = (201, JSON), answer = "Transfer"),
        operation!(post "/api/v1/cases/{case}/preview" "previewOffer" "What an offer would say, without making one" => transfers::preview, versioned = true, body = Some(transfers::offer_schema), answer = "Transfer"),
        operation!(get "/api/v1/cases/{case}/recipients" "suggestRecipients" "Who may be competent, with the reasons; a person confirms" => recipients::suggest, query = &[("region", "string")], answer = "Recipients"),
        operation!(get "/api/v1/transfers" "listTransfers" "Transfers that have not ended, or all of them" => transfers::list, query = &[("all", "boolean"), ("after", "uuid"), ("limit", "integer")], answer = "TransferList"),
        operation!(get "/api/v1/transfers/{transfer}" "showTransfer" "A transfer, its messages and receipts" => transfers::show, answer = "Transfer"),
        operation!(post "/api/v1/transfers/{transfer}/commands/{command}" "commandTransfer" "Move a transfer: the sender's withdraw, answer, send-package, reclaim, give-up-waiting, recall; the receiver's accept, refuse, dispute, query, take-over, answer-recall, tell-number" => transfers::command, versioned = true, body = Some(transfers::command_schema), answer = "Transfer"),
        operation!(post "/api/v1/transfers/{transfer}/parked/{what}" "settleParked" "Send a parked message again (retry) or give it up (void)" => transfers::parked, answer = "Transfer"),
        operation!(get "/api/v1/transfers/{transfer}/notice" "noticeText" "Text for the notice to the applicant" => transfers::notice, query = &[("language", "de|en")], answer = "Notice"),
        operation!(get "/api/v1/profiles" "listProfiles" "Participation profiles and recipient classes, the tenant's own first" => rounds::profiles, answer = "Profiles"),
        operation!(post "/api/v1/cases/{case}/rounds" "prepareRound" "Prepare a round of participation, or one that renews another" => rounds::prepare, versioned = true, body = Some(rounds::wish_schema), success = (201, JSON), answer = "Round"),
        operation!(get "/api/v1/cases/{case}/rounds" "listRounds" "The rounds of a case with their requests" => rounds::of_case, answer = "RoundList"),
        operation!(get "/api/v1/cases/{case}/rounds/notice" "participationNotice" "Text for the applicant: that and whom others were asked, where the authority switched it on" => rounds::notice, query = &[("language", "de|en")], answer = "Asked"),
        operation!(get "/api/v1/rounds/{round}" "showRound" "A round with its requests" => rounds::show, answer = "Round"),
        operation!(post "/api/v1/rounds/{round}/requests" "askInRound" "Prepare a request: whom, by which terms, and what is shown" => rounds::ask, versioned = true, body = Some(rounds::ask_schema), success = (201, JSON), answer = "Request"),
        operation!(post "/api/v1/rounds/{round}/commands/{command}" "commandRound" "Move a round: open, close, evaluate, conclude, suspend, resume, cancel" => rounds::command, versioned = true, body = Some(rounds::command_schema), answer = "Round"),
        operation!(get "/api/v1/requests" "listRequests" "The board: requests of this house, what ends first comes first; counts per state, and how many somebody has to look at" => requests::list, query = &REQUESTS, answer = "RequestList"),
        operation!(get "/api/v1/requests/{request}" "showRequest" "A request of this house, its messages with receipts, and what was written" => requests::show, answer = "Request"),
        operation!(post "/api/v1/requests/{request}/commands/{command}" "commandRequest" "Move a request of this house: approve, send, drop, supplement, answer, decide-extension, extend, stop-clock, continue-clock, state-deadline, record-delivery, expire, expire-unanswered, revoke, revoke-files, assess, notify" => requests::command, versioned = true, body = Some(requests::command_schema), answer = "Request"),
        operation!(post "/api/v1/requests/{request}/invitation" "inviteGuest" "Make link and code for a guest; those before open nothing any more" => requests::invite, versioned = true, success = (201, JSON), answer = "Invitation"),
        operation!(post "/api/v1/requests/{request}/parked/{what}" "settleParkedRequest" "Send a parked message of a request again (retry) or give it up (void)" => requests::parked, answer = "Request"),
        operation!(get "/api/v1/requests/{request}/files/{file}" "readRequestFile" "The octets of a file that came with a statement" => requests::file, success = (200, "application/octet-stream")),
        operation!(get "/api/v1/contributions" "listContributions" "The inbox: what this house is asked, what ends first comes first" => contributions::list, query = &REQUESTS, answer = "RequestList"),
        operation!(get "/api/v1/contributions/{request}" "showContribution" "What this house is asked, with what is disclosed, the messages, and the draft" => contributions::show, answer = "Request"),
        operation!(post "/api/v1/contributions/{request}/commands/{command}" "commandContribution" "Acknowledge, decline, prepare, ask, ask-for-time, release, submit, withdraw, assign" => contributions::command, versioned = true, body = Some(contributions::command_schema), answer = "Request"),
        operation!(put "/api/v1/contributions/{request}/statement" "draftStatement" "Put the draft of the statement; what was released before is not any more" => contributions::draft, versioned = true, body = Some(contributions::draft_schema), answer = "Request"),
        operation!(post "/api/v1/contributions/{request}/attachments" "attachFiles" "Add files that may go with the statement (multipart/form-data: attachment)" => contributions::attach, versioned = true, parts = Some(contributions::attach_schema), success = (201, JSON), answer = "FileList"),
        operation!(get "/api/v1/contributions/{request}/files/{file}" "readContributionFile" "The octets of a file that was disclosed; copy=true takes a copy, which is stated when it is called back" => contributions::file, query = &[("copy", "boolean")], success = (200, "application/octet-stream")),
        operation!(post "/api/v1/contributions/{request}/parked/{what}" "settleParkedContribution" "Send a parked message again (retry) or give it up (void)" => contributions::parked, answer = "Request"),
        operation!(post "/api/v1/contributions/{request}/advisers" "admitAdviser" "Let somebody from outside look at chosen files until a day, where who asks allowed it; without files it looks at nothing any more" => contributions::advise, versioned = true, body = Some(contributions::adviser_schema), answer = "Request"),
        operation!(get "/api/v1/advice" "listAdvice" "An adviser: what may be looked at" => contributions::advice, answer = "Advice"),
        operation!(get "/api/v1/advice/{request}/files/{file}" "readAdviceFile" "An adviser: the octets of a file that may be looked at" => contributions::advice_file, success = (200, "application/octet-stream")),
        operation!(get "/guest/v1/{link}" "guestShows" "A guest: the one request behind the link, opened with the code as bearer; the first opening is the delivery" => guests::show, answer = "Request"),
        operation!(post "/guest/v1/{link}/commands/{command}" "guestCommands" "A guest: acknowledge, decline, prepare, ask, ask-for-time, release, submit, withdraw" => guests::command, versioned = true, body = Some(contributions::command_schema), answer = "Request"),
        operation!(put "/guest/v1/{link}/statement" "guestDrafts" "A guest: put the draft of the statement" => guests::draft, versioned = true, body = Some(contributions::draft_schema), answer = "Request"),
        operation!(post "/guest/v1/{link}/attachments" "guestAttaches" "A guest: add files that may go with the statement" => guests::attach, versioned = true, parts = Some(contributions::attach_schema), success = (201, JSON), answer = "FileList"),
        operation!(get "/guest/v1/{link}/files/{file}" "guestReads" "A guest: the octets of a file that was disclosed" => guests::file, query = &[("copy", "boolean")], success = (200, "application/octet-stream")),
        operation!(get "/api/v1/events" "followEvents" "What happens, as server-sent events; goes on after Last-Event-ID, and ends with the last event if until_quiet is asked for" => events::follow, query = &[("after", "string"), ("until_quiet", "boolean")], success = (200, "text/event-stream")),
        operation!(get "/api/v1/disclosures" "listDisclosures" "What left the house, in transfers and in participation: to whom, when, on which ground (data-protection officer)" => disclosures::list, query = &[("q", "string"), ("limit", "integer")], answer = "Disclosures"),
        operation!(get "/api/v1/persons/{pseudonym}" "showPerson" "Whom a pseudonym stands for (data-protection officer)" => persons::show, answer = "Person"),
        operation!(get "/api/v1/openapi.json" "openapi" "This document" => document, answer = "Document"),
    ]
}

/// The routes.
pub(super) fn router(casework: Arc<Casework>) -> Router {
    let mut router = Router::new();
    for operation in operations() {
        router = router.route(operation.path, (operation.route)());
    }
    router
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::disable())
        .with_state(casework)
}

async fn document(State(casework): State<Arc<Casework>>) -> Response {
    let _ = casework;
    page_of(StatusCode::OK, &openapi())
}

/// What may stand in a path.
fn in_path(operation: &str, name: &str) -> Value {
    match (operation, name) {
        (_, "case" | "transfer" | "round" | "request") => json!({ "type": "string", "format": "uuid" }),
        ("commandCase", _) => json!({ "type": "string", "enum": Command::ALL.map(Command::name) }),
        ("commandTransfer", _) => json!({ "type": "string", "enum": COMMANDS }),
        ("commandRound", _) => {
            json!({ "type": "string", "enum": life::Command::ALL.map(life::Command::name) })
        }
        ("commandRequest", _) => json!({ "type": "string", "enum": requester::COMMANDS }),
        ("commandContribution" | "guestCommands", "command") => {
            json!({ "type": "string", "enum": participant::COMMANDS })
        }
        ("settleParked" | "settleParkedRequest" | "settleParkedContribution", _) => {
            json!({ "type": "string", "enum": ["retry", "void"] })
        }
        _ => json!({ "type": "string", "minLength": 1 }),
    }
}

/// Where an answer leads: to operations on what it names, decided on the version that it has.
fn links(answer: &str) -> Map<String, Value> {
    let (id, to): (_, &[&str]) = match answer {
        "HandedIn" => (
            "$response.body#/vorgang/vorgangId",
            &["showCase", "showForm", "listFiles"],
        ),
        "Me" => ("$response.body#/pseudonym", &["showPerson"]),
        "CaseList" => ("$response.body#/cases/0/id", &["showCase"]),
        "Case" => (
            "$response.body#/id",
            &[
                "commandCase",
                "assignCase",
                "changeCase",
                "putDossier",
                "addFiles",
                "offerCase",
                "previewOffer",
                "settleExport",
                "suggestRecipients",
                "addLateItem",
                "prepareRound",
                "listRounds",
            ],
        ),
        "TransferList" => ("$response.body#/transfers/0/id", &["showTransfer"]),
        "Transfer" => (
            "$response.body#/id",
            &["commandTransfer", "settleParked", "noticeText"],
        ),
        "Round" => ("$response.body#/id", &["showRound", "askInRound", "commandRound"]),
        "Request" => (
            "$response.body#/id",
            &[
                "showRequest",
                "commandRequest",
                "inviteGuest",
                "settleParkedRequest",
            ],
        ),
        "RequestList" => (
            "$response.body#/requests/0/id",
            &[
                "showContribution",
                "commandContribution",
                "draftStatement",
                "attachFiles",
            ],
        ),
        _ => return Map::new(),
    };
    let wanted = operations()
        .into_iter()
        .filter(|operation| to.contains(&operation.id));
    wanted
        .map(|operation| {
            let names = ["transfer", "pseudonym", "round", "request", "case"];
            let name = names
                .into_iter()
                .find(|name| operation.path.contains(&format!("{{{name}}}")));
            let name = name.unwrap_or("case");
            let mut parameters = json!({ name: id });
            if operation.versioned {
                parameters["If-Match"] = "$response.header.ETag".into();
            }
            let link = json!({ "operationId": operation.id, "parameters": parameters });
            (operation.id.to_owned(), link)
        })
        .collect()
}

/// The document (OpenAPI 3.1).
pub(crate) fn openapi() -> Value {
    let mut paths = Map::new();
    for operation in operations() {
        let mut parameters: Vec<Value> = operation
            .path
            .split('/')
            .filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": in_path(operation.id, name) }))
            .collect();
        parameters.extend(operation.query.iter().map(|(name, kind)| {
            let schema = match *kind {
                "boolean" => json!({ "type": "boolean" }),
                "integer" => json!({ "type": "integer", "minimum": 1, "maximum": 500 }),
                "date" => json!({ "type": "string", "format": "date" }),
                "instant" => json!({ "type": "string", "format": "date-time" }),
                "uuid" => json!({ "type": "string", "format": "uuid" }),
                "string" => json!({ "type": "string" }),
                choice => json!({ "type": "string", "enum": choice.split('|').collect::<Vec<_>>() }),
            };
            json!({ "name": name, "in": "query", "required": false, "schema": schema })
        }));
        if operation.versioned {
            parameters.push(json!({
                "name": "If-Match", "in": "header", "required": true, "schema": { "type": "string" },
                "description": "the version that this was decided on, from the ETag of the last answer",
            }));
        }
        let (status, media) = operation.success;
        let mut responses = json!({
            "default": {
                "description": "refused",
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            },
        });
        let content = match operation.answer {
            "" => json!({}),
            name => json!({ "schema": { "$ref": format!("#/components/schemas/{name}") } }),
        };
        let mut done = json!({ "description": "done", "content": { media: content } });
        if matches!(operation.answer, "Case" | "Transfer" | "Round" | "Request") {
            done["headers"] = json!({ "ETag": {
                "description": "the version, for If-Match of the next command", "schema": { "type": "string" },
            } });
        }
        let links = links(operation.answer);
        if !links.is_empty() {
            done["links"] = links.into();
        }
        responses[status.to_string()] = done;
        let mut described = json!({
            "operationId": operation.id,
            "summary": operation.summary,
            "parameters": parameters,
            "responses": responses,
        });
        if let Some(schema) = operation.body {
            described["requestBody"] =
                json!({ "required": true, "content": { JSON: { "schema": schema() } } });
        }
        if let Some(schema) = operation.parts {
            described["requestBody"] =
                json!({ "required": true, "content": { "multipart/form-data": { "schema": schema() } } });
        }
        let place = paths.entry(operation.path).or_insert_with(|| json!({}));
        place[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kontor: cases, transfers and participation",
            "version": "1.0.0",
            "description": "For line-of-business systems and pages of one tenant. Every command names the version it was decided on; every refusal is a problem (RFC 9457) with a stable code and what to do.",
        },
        "security": [{ "key": [] }, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http", "scheme": "bearer",
                    "description": "A key of a system or a person, made with `kontor case key`.",
                },
                "token": {
                    "type": "http", "scheme": "bearer", "bearerFormat": "JWT",
                    "description": "An access token of an issuer that the node believes ([[casework.oidc]]); it stands for a person. Refusals have codes that begin with token_, or issuer_unreachable (503) where nobody can judge it just now.",
                },
            },
            "schemas": schemas::all(),
        },
    })
}
