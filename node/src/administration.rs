//! The administration listener: what an auditor may see of the log, over HTTPS, with a token that was granted by name and ends;
//! and casework, whose interface is a room of its own.
//!
//! - `access` decides who comes in and how far: handlers take a `Visitor<Scope>`, which only it makes.
//! - `look` records what is shown before it is: an answer is made from a `Seen`, which only it makes.
//! - `tiles` shows the tree (C2SP tlog-tiles), `entries` what is in it. `problem` is every refusal (RFC 9457).
//! - `identity` is the certificate of the listener.
//!
//! Nothing of the log can be changed over this listener. What a request may cost is bounded here: its length, its time, how many there
//! are at once.

mod access;
mod entries;
mod identity;
mod look;
mod problem;
#[cfg(test)]
mod tests;
mod tiles;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{self, HeaderValue};
use http::{Request, StatusCode};
use hyper::body::Incoming;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use self::access::Door;
use self::look::Looks;
use self::problem::Problem;
use crate::casework::{Casework, api};
use crate::listen::Connection;
use crate::messagelog::MessageLog;
use crate::shutdown::Shutdown;
use crate::timestamper::Timestamper;

pub use self::identity::{IdentityError, identity};

/// Requests at the same time, answers that flow not counted.
const REQUESTS: usize = 64;
/// Containers on their way at the same time; more are told to come again.
const DOWNLOADS: usize = 4;
/// Bytes of path and query.
const TARGET: usize = 4096;
/// Bytes of a form.
const FORM: usize = 4096;
/// Time for an answer to begin.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the handlers share.
pub(crate) struct Desk {
    log: MessageLog,
    timestamper: Timestamper,
    shutdown: Shutdown,
    door: Door,
    looks: Looks,
    downloads: Arc<Semaphore>,
}

/// See the module. Clones share it.
#[derive(Clone)]
pub struct Administration {
    router: Router,
    casework: Option<api::Api>,
    places: Arc<Semaphore>,
}

/// What the listener is made of.
pub struct Opening {
    /// The log that is shown.
    pub log: MessageLog,
    /// Has messages time-stamped that are asked for before they are.
    pub timestamper: Timestamper,
    /// Where answers that flow are counted.
    pub shutdown: Shutdown,
    /// How long the answer to a wrong token is held back.
    pub delay: Duration,
}

impl Opening {
    /// As a node has it.
    pub fn of(log: MessageLog, timestamper: Timestamper, shutdown: Shutdown) -> Self {
        Self {
            log,
            timestamper,
            shutdown,
            delay: Duration::from_secs(1),
        }
    }
}

impl Administration {
    /// Wires it up.
    pub fn open(what: Opening, casework: Option<Arc<Casework>>, registry: &mut Registry) -> Self {
        let desk = Arc::new(Desk {
            door: Door::new(what.delay, registry),
            looks: Looks::new(registry),
            log: what.log,
            timestamper: what.timestamper,
            shutdown: what.shutdown,
            downloads: Arc::new(Semaphore::new(DOWNLOADS)),
        });
        Self {
            router: router(desk),
            casework: casework.map(api::Api::new),
            places: Arc::new(Semaphore::new(REQUESTS)),
        }
    }

    /// Answers one request.
    pub async fn answer(self, connection: Arc<Connection>, request: Request<Incoming>) -> Response {
        if let Some(api) = self.casework.filter(|_| api::takes(request.uri().path())) {
            return clad(api.answer(connection, request).await).await;
        }
        let target = request.uri().path_and_query().map_or(0, |it| it.as_str().len());
        if target > TARGET {
            let detail = format!("path and query have {target} bytes; {TARGET} are read");
            return clad(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", detail).into_response())
                .await;
        }
        let Ok(_place) = self.places.try_acquire() else {
            let detail = "as many requests as are answered at once are on their way; try again";
            let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(1);
            return clad(problem.into_response()).await;
        };
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(connection);
        match tokio::time::timeout(PATIENCE, self.router.clone().oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                let detail = "the answer took too long; ask for less";
                clad(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_slow", detail).into_response()).await
            }
        }
    }
}

fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/checkpoint", get(tiles::checkpoint))
        .route("/checkpoint/cosigned", get(tiles::cosigned))
        .route("/keys", get(tiles::keys))
        .route("/tile/{*path}", get(tiles::tile))
        .route("/consistency", get(tiles::consistency))
        .route("/entries", get(entries::search))
        .route("/entries/{number}", get(entries::show))
        .route("/entries/{number}/proof", get(entries::proof))
        .route("/entries/{number}/container", get(entries::container))
        .route("/entries/{number}/companion", get(entries::companion))
        .route("/entries/{number}/statement", get(entries::statement))
        .fallback(nothing)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(FORM))
        .layer(map_response(clad))
        .with_state(desk)
}

async fn nothing() -> Problem {
    let detail = "nothing is here; the README names the addresses of this listener";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
}

async fn not_so() -> Problem {
    let detail = "this address is read with GET; nothing can be changed over this listener";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
}

/// The headers that every answer has. What is not said to be kept is not kept anywhere.
async fn clad(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in [
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}
