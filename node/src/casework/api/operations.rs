//! The operations of the interface: from this one list come the routes and the OpenAPI document.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::{MethodRouter, get, post};
use http::StatusCode;
use serde_json::{Value, json};

use super::{cases, disclosures, events, files, intake, not_so, nothing, page_of, recipients, transfers};
use crate::casework::Casework;

/// One operation.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    summary: &'static str,
    /// Schema of the body, if it is JSON.
    body: Option<fn() -> Value>,
    /// Media type of the body, if it is something else.
    media: Option<&'static str>,
    /// Whether If-Match is needed.
    versioned: bool,
    /// Names and schemas of what may stand in the query.
    query: &'static [(&'static str, &'static str)],
    /// Status of success, with the media type of the answer.
    success: (u16, &'static str),
    route: fn() -> MethodRouter<Arc<Casework>>,
}

const JSON: &str = "application/json";

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
                media: None,
                versioned: false,
                query: &[],
                success: (200, JSON),
                route: || $method($handler),
            }
        }
    }};
}

fn operations() -> Vec<Operation> {
    vec![
        operation!(post "/antrag" "handIn" "Hand in an application as a form service does (multipart/form-data: formData, representation, attachment)" => intake::hand_in, media = Some("multipart/form-data")),
        operation!(get "/api/v1/me" "showMe" "Who the key belongs to, under which pseudonym, and what it may do" => cases::me),
        operation!(get "/api/v1/status" "showStatus" "How much there is, what waits for which peer, and what is parked" => transfers::status),
        operation!(get "/api/v1/cases" "listCases" "The lists: mine, all, unassigned; with counts per state and follow-ups that are due" => cases::list, query = &[("list", "mine|all|unassigned"), ("status", "string"), ("q", "string"), ("everything", "boolean"), ("follow_up_by", "date"), ("after", "uuid"), ("limit", "integer")]),
        operation!(get "/api/v1/cases/{case}" "showCase" "A case with its record" => cases::show),
        operation!(get "/api/v1/cases/{case}/form" "showForm" "The form, as the intake wrote it" => cases::form),
        operation!(post "/api/v1/cases/{case}/commands/{command}" "commandCase" "Move a case: accept, discard, take_back, start, put_back, decide, close, reopen, mark_for_deletion, unmark, delete" => cases::command, versioned = true),
        operation!(post "/api/v1/cases/{case}/assignment" "assignCase" "Who works on it" => cases::assign, versioned = true, body = Some(cases::assignment_schema)),
        operation!(post "/api/v1/cases/{case}/changes" "changeCase" "File reference, comment, follow-up, release of a finding, hold, region" => cases::change, versioned = true, body = Some(cases::change_schema)),
        operation!(post "/api/v1/cases/{case}/export" "settleExport" "Say whether a case whose writing into the instance is in doubt is there" => cases::export, versioned = true, body = Some(cases::export_schema)),
        operation!(get "/api/v1/cases/{case}/files" "listFiles" "Files with digests and what the scanner said" => files::list),
        operation!(get "/api/v1/cases/{case}/files/{file}" "readFile" "The octets of a file" => files::read_one, success = (200, "application/octet-stream")),
        operation!(post "/api/v1/cases/{case}/late-items" "addLateItem" "Hand on what came after the case was handed over (multipart/form-data: attachment)" => files::late, media = Some("multipart/form-data"), success = (202, JSON)),
        operation!(post "/api/v1/cases/{case}/transfers" "offerCase" "Offer a case to another authority" => transfers::offer, versioned = true, body = Some(transfers::offer_schema), success = (201, JSON)),
        operation!(get "/api/v1/cases/{case}/recipients" "suggestRecipients" "Who may be competent, with the reasons; a person confirms" => recipients::suggest, query = &[("region", "string")]),
        operation!(get "/api/v1/transfers" "listTransfers" "Transfers that have not ended, or all of them" => transfers::list, query = &[("all", "boolean"), ("after", "uuid"), ("limit", "integer")]),
        operation!(get "/api/v1/transfers/{transfer}" "showTransfer" "A transfer, its messages and receipts" => transfers::show),
        operation!(post "/api/v1/transfers/{transfer}/commands/{command}" "commandTransfer" "withdraw, recall, answer, send-package, reclaim; accept, refuse, dispute, query, take-over, answer-recall" => transfers::command, versioned = true, body = Some(transfers::command_schema)),
        operation!(post "/api/v1/transfers/{transfer}/parked/{what}" "settleParked" "Send a parked message again (retry) or give it up (void)" => transfers::parked),
        operation!(get "/api/v1/transfers/{transfer}/notice" "noticeText" "Text for the notice to the applicant" => transfers::notice, query = &[("language", "de|en")]),
        operation!(get "/api/v1/events" "followEvents" "What happens, as server-sent events; goes on after Last-Event-ID" => events::follow, query = &[("after", "string")], success = (200, "text/event-stream")),
        operation!(get "/api/v1/disclosures" "listDisclosures" "What left the house: to whom, when, on which ground (data-protection officer)" => disclosures::list, query = &[("q", "string"), ("limit", "integer")]),
        operation!(get "/api/v1/openapi.json" "openapi" "This document" => document),
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

/// The document (OpenAPI 3.1).
fn openapi() -> Value {
    let mut paths = serde_json::Map::new();
    for operation in operations() {
        let mut parameters: Vec<Value> = operation
            .path
            .split('/')
            .filter_map(|piece| piece.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
            .collect();
        parameters.extend(operation.query.iter().map(|(name, kind)| {
            let schema = match *kind {
                "boolean" => json!({ "type": "boolean" }),
                "integer" => json!({ "type": "integer", "minimum": 1, "maximum": 500 }),
                "date" => json!({ "type": "string", "format": "date" }),
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
        responses[status.to_string()] = json!({ "description": "done", "content": { media: {} } });
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
        if let Some(media) = operation.media {
            described["requestBody"] =
                json!({ "required": true, "content": { media: { "schema": { "type": "object" } } } });
        }
        let place = paths.entry(operation.path).or_insert_with(|| json!({}));
        place[operation.method] = described;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Kontor: cases and transfers",
            "version": "1.0.0",
            "description": "For line-of-business systems and pages of one tenant. Every command names the version it was decided on; every refusal is a problem (RFC 9457) with a stable code and what to do.",
        },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "Problem": {
                    "type": "object",
                    "required": ["type", "title", "status", "code", "detail"],
                    "properties": {
                        "type": { "type": "string" },
                        "title": { "type": "string" },
                        "status": { "type": "integer" },
                        "code": { "type": "string" },
                        "detail": { "type": "string" },
                        "hint": { "type": "string" },
                        "pointer": { "type": "string" },
                        "legal": { "type": "array", "items": { "type": "string" } },
                    },
                },
            },
        },
    })
}
