//! The interface of casework for line-of-business systems and for pages: cases, transfers, files, events.
//!
//! Owns who comes in, the shape of refusals (RFC 9457), versions (`ETag` and `If-Match`), and the list of operations from which both
//! the routes and the OpenAPI document are made, so that neither can say what the other does not. Each file below owns the handlers
//! of one thing. Nothing is shown before the look at it is in the log.

pub(super) mod asking;
mod cases;
mod contributions;
mod disclosures;
mod dossier;
mod events;
mod files;
mod guests;
mod intake;
mod operations;
mod persons;
mod recipients;
mod requests;
mod rounds;
mod schemas;
mod transfers;

pub(crate) use self::operations::openapi;

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use http::header::{
    AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kontor_participation::transfer::offer::Id;
use kontor_pki::crypto::sha256;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_path_to_error::Segment;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::persons::MAX_SUBJECT;
use super::{Casework, Principal, Refused};
use crate::config::casework::Holder;
use crate::listen::Connection;

/// Requests at the same time, answers that flow not counted.
const REQUESTS: usize = 256;
/// Time for an answer to begin; a large upload is read within it.
const PATIENCE: Duration = Duration::from_secs(3600);
/// Octets of path and query.
const TARGET: usize = 4096;
/// Octets of a JSON body.
const JSON: usize = 256 * 1024;
/// Octets of a body that is held in memory: the longest one is a dossier.
const DOCUMENT: usize = kontor_participation::transfer::dossier::MAX_OCTETS;

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Api {
    router: axum::Router,
    places: Arc<Semaphore>,
}

/// Whether a path is for this interface.
pub(crate) fn takes(path: &str) -> bool {
    path == "/antrag" || path.starts_with("/api/") || path.starts_with("/guest/")
}

impl Api {
    pub(crate) fn new(casework: Arc<Casework>) -> Self {
        Self {
            router: operations::router(casework),
            places: Arc::new(Semaphore::new(REQUESTS)),
        }
    }

    /// Answers one request.
    pub(crate) async fn answer(self, connection: Arc<Connection>, request: Request<Incoming>) -> Response {
        let target = request.uri().path_and_query().map_or(0, |it| it.as_str().len());
        if target > TARGET {
            let detail = format!("path and query have {target} bytes; {TARGET} are read");
            return Refused::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail).into_response();
        }
        let Ok(_place) = self.places.try_acquire() else {
            return Refused::unavailable(
                "busy",
                "as many requests as are answered at once are on their way",
            )
            .into_response();
        };
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection);
        match tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => Refused::unavailable("too_slow", "the request took too long").into_response(),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.problem())).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"kontor\""),
            );
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

impl FromRequestParts<Arc<Casework>> for Principal {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, casework: &Arc<Casework>) -> Result<Self, Refused> {
        casework.is_open()?;
        let unknown = |code, detail: &str| {
            Refused::new(StatusCode::UNAUTHORIZED, code, detail)
                .hint("send `Authorization: Bearer` with a key or a token; the operator of the node makes keys with `kontor case key`")
        };
        let shown = parts
            .headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let shown = shown.ok_or_else(|| unknown("key_missing", "this needs a key or a token"))?;
        let credential = shown
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .map_or("", |(_, key)| key.trim());
        let digest = sha256(credential.as_bytes());
        let admitted = casework.admitted.load_full();
        let key = admitted
            .keys
            .iter()
            .find(|key| kontor_pki::crypto::equal(&key.sha256, &digest));
        let Some(key) = key else {
            return match admitted.judges(credential) {
                true => casework.holder_of(&admitted, credential).await,
                false => Err(unknown("key_unknown", "the key is not known here")),
            };
        };
        if kontor_participation::deadline::day_of(casework.now()) > key.expires {
            return Err(unknown("key_expired", "the key has expired"));
        }
        let behalf = parts
            .headers
            .get("on-behalf-of")
            .and_then(|value| value.to_str().ok());
        let on_behalf_of = match behalf.filter(|_| key.holder == Holder::System) {
            Some(subject) if subject.is_empty() || subject.chars().count() > MAX_SUBJECT => {
                let detail = format!("On-Behalf-Of has 1 to {MAX_SUBJECT} characters");
                return Err(Refused::malformed(detail));
            }
            Some(subject) => Some(casework.introduce(&key.name, subject).await?),
            None => None,
        };
        Ok(Self {
            pseudonym: casework.introduce("key", &key.name).await?,
            holder: key.holder,
            roles: key.roles.clone(),
            units: key.units.clone(),
            on_behalf_of,
            until: None,
            admitted: Some(Arc::clone(&admitted)),
            only: None,
        })
    }
}

/// A body as it came, held in memory.
struct Document(Bytes);

impl<S: Sync> FromRequest<S> for Document {
    type Rejection = Refused;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Refused> {
        let mut body = request.into_body();
        let (mut all, mut length) = (BytesMut::new(), 0);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Refused::malformed("the body broke off"))?;
            let Ok(piece) = frame.into_data() else { continue };
            length += piece.len();
            match length {
                0..=DOCUMENT => all.extend_from_slice(&piece),
                // Whoever is still writing hears an answer only after its end; of what is far too long nothing more is read.
                _ if length <= 4 * DOCUMENT => all = BytesMut::new(),
                _ => break,
            }
        }
        match length <= DOCUMENT {
            true => Ok(Self(all.freeze())),
            false => Err(too_large(DOCUMENT)),
        }
    }
}

fn too_large(most: usize) -> Refused {
    let detail = format!("a JSON body has at most {most} octets");
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// The version that a command was decided on.
fn version(headers: &HeaderMap) -> Result<u64, Refused> {
    let shown = headers.get(IF_MATCH).ok_or_else(Refused::no_version)?;
    let text = shown
        .to_str()
        .unwrap_or_default()
        .trim()
        .trim_start_matches("W/")
        .trim_matches('"');
    text.parse()
        .map_err(|_| Refused::malformed("If-Match names a version, such as \"3\""))
}

/// An answer with its version.
fn versioned(status: StatusCode, version: u64, page: &impl Serialize) -> Response {
    let mut response = page_of(status, page);
    if let Ok(value) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

fn page_of(status: StatusCode, page: &impl Serialize) -> Response {
    match serde_json::to_vec(page) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            let mut response = (status, bytes).into_response();
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(error) => Refused::internal(&error).into_response(),
    }
}

/// Whether what is parked is sent again, or given up.
fn again(what: &str) -> Result<bool, Refused> {
    match what {
        "retry" => Ok(true),
        "void" => Ok(false),
        _ => {
            let detail = "there are retry and void";
            Err(Refused::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
    }
}

/// Words outside of a bundle, as they are written.
fn rounds_words() -> serde_json::Value {
    json!({
        "type": ["object", "null"], "required": ["text", "free_of_personal_data"],
        "properties": { "text": { "type": "string", "maxLength": 2000 }, "free_of_personal_data": { "type": "boolean" } },
    })
}

/// Reads a JSON body; what it is not is said with the place.
fn read<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    match body.len() <= JSON {
        true => read_document(body),
        false => Err(too_large(JSON)),
    }
}

/// The same for one that may be as long as a document.
pub(super) fn read_document<T: DeserializeOwned>(body: &Bytes) -> Result<T, Refused> {
    let body: &[u8] = if body.is_empty() { b"{}" } else { body };
    let mut reading = serde_json::Deserializer::from_slice(body);
    let read = serde_path_to_error::deserialize(&mut reading).map_err(|error| {
        let at = pointer_to(error.path());
        Refused::malformed(format!("the body is not what is expected: {}", error.inner())).at(at)
    })?;
    let ended = reading.end();
    ended.map_err(|error| Refused::malformed(format!("something follows the body: {error}")))?;
    Ok(read)
}

/// A place in a body as a JSON pointer (RFC 6901).
fn pointer_to(path: &serde_path_to_error::Path) -> String {
    path.iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(format!("/{index}")),
            Segment::Map { key } => Some(format!("/{}", key.replace('~', "~0").replace('/', "~1"))),
            // Variants have no place of their own in JSON; what is unknown has none at all.
            Segment::Enum { .. } | Segment::Unknown => None,
        })
        .collect()
}

/// Reads an id of a path.
fn id(text: &str) -> Result<Id, Refused> {
    Id::try_from(text.to_owned()).map_err(|_| {
        Refused::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "ids are UUIDs in lower case with hyphens",
        )
    })
}

async fn nothing() -> Refused {
    let detail = "nothing is here; GET /api/v1/openapi.json says what is";
    Refused::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn not_so() -> Refused {
    let detail = "this address does not take that method; GET /api/v1/openapi.json says which";
    Refused::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}
