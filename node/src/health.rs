//! The health and metrics listener: whether the node can do its work, and why not.

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use kontor_pki::time::UnixTime;
use serde::Serialize;

use crate::body::OutBody;
use crate::clock::SharedClock;
use crate::gate::Gate;
use crate::globalconf::GlobalConf;
use crate::in_force::FileState;
use crate::messagelog::MessageLog;
use crate::ocsp::OwnOcsp;
use crate::shutdown::Shutdown;
use crate::sight::Sight;
use crate::telemetry::{METRICS_CONTENT_TYPE, Metrics};

/// What the health listener looks at.
#[derive(Clone)]
pub struct Health {
    /// Global configuration held.
    pub trust: Arc<GlobalConf>,
    /// OCSP responses held.
    pub ocsp: OwnOcsp,
    /// Whether they have reached those who sign: what is told here as ready must be so.
    pub signs: Arc<dyn Fn() -> bool + Send + Sync>,
    /// The message log.
    pub log: MessageLog,
    /// Whether messages are taken yet.
    pub gate: Arc<Gate>,
    /// What nodes see of each other's logs; none if this one does not take part.
    pub sight: Option<Sight>,
    /// The node's own file.
    pub file: FileState,
    /// The clock.
    pub clock: SharedClock,
    /// Whether the node is stopping.
    pub shutdown: Shutdown,
    /// Metrics page.
    pub metrics: Metrics,
}

/// One check.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    ok: bool,
    text: String,
}

#[derive(Debug, Serialize)]
struct Report {
    ready: bool,
    /// Something fails that will stop the node's work if it goes on.
    degraded: bool,
    checks: Vec<Check>,
}

impl Health {
    /// Answers `GET /health` (200 ready, 500 a check failed, 503 stopping; wire 9.6) and `GET /metrics`.
    pub async fn answer(self, request: Request<Incoming>) -> Response<OutBody> {
        match (request.method(), request.uri().path()) {
            (&Method::GET | &Method::HEAD, "/" | "/health") => self.health(),
            (&Method::GET, "/metrics") => respond(
                StatusCode::OK,
                METRICS_CONTENT_TYPE,
                self.metrics.page().into_bytes(),
            ),
            _ => respond(
                StatusCode::NOT_FOUND,
                "text/plain",
                b"GET /health or GET /metrics\n".to_vec(),
            ),
        }
    }

    fn health(&self) -> Response<OutBody> {
        let now = self.clock.now();
        let mut checks = vec![
            self.trust_check(now),
            self.ocsp_check(now),
            self.log_check(),
            self.stamping_check(now),
            self.renewal_check(),
            self.ledger_check(),
            // What does not take effect keeps nobody from working.
            Check {
                name: "configuration_file",
                ok: true,
                text: self.file.in_words(),
            },
        ];
        // What a peer's log is like keeps nobody from working, so it is always ok, and degraded where somebody has to look.
        checks.extend(self.sight.as_ref().map(|sight| Check {
            name: "witness",
            ok: true,
            text: sight.short(),
        }));
        let ready = checks.iter().all(|c| c.ok) && !self.shutdown.is_stopping();
        let status = match (ready, self.shutdown.is_stopping()) {
            (true, _) => StatusCode::OK,
            (false, true) => StatusCode::SERVICE_UNAVAILABLE,
            (false, false) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let renewal = self.log.renewal();
        let degraded = !self.file.is_current()
            || self.trust.failing().since.is_some()
            || self.ocsp.failing().since.is_some()
            || self.log.stamping().failing_since.is_some()
            || renewal.failing_since.is_some()
            || renewal.late > 0
            || self.sight.as_ref().is_some_and(|sight| !sight.open().is_empty());
        let report = Report {
            ready,
            degraded,
            checks,
        };
        let page = serde_json::to_vec(&report).unwrap_or_default();
        respond(status, "application/json", page)
    }

    fn trust_check(&self, now: UnixTime) -> Check {
        let (ok, text) = match self.trust.current(now) {
            Ok(trust) => match trust.expires() {
                Some(expires) => (true, format!("valid until {expires}")),
                None => (true, "valid".into()),
            },
            Err(fault) => (false, fault.text().to_owned()),
        };
        let text = match self.trust.failing().since {
            Some((since, reason)) => format!("{text}; it could not be refreshed since {since}: {reason}"),
            None => text,
        };
        Check {
            name: "global_configuration",
            ok,
            text,
        }
    }

    fn log_check(&self) -> Check {
        let (ok, text) = match self.log.check() {
            Ok(()) => match self.log.damage().first() {
                None => (true, "takes entries".to_owned()),
                Some(damage) => (
                    false,
                    format!(
                        "takes entries, but old ones are damaged: {damage}; `kontor log check` says what to do"
                    ),
                ),
            },
            Err(error) => (false, error.to_string()),
        };
        Check {
            name: "message_log",
            ok,
            text,
        }
    }

    /// Time-stamps that fail are told well before messages are refused; only then the node is not ready any more.
    fn stamping_check(&self, now: UnixTime) -> Check {
        let stats = self.log.stamping();
        let waiting = match stats.oldest {
            Some(oldest) => format!("{} messages wait, the oldest since {oldest}", stats.waiting),
            None => "no message waits".into(),
        };
        let text = match (stats.failing_since, &stats.reason) {
            (Some(since), Some(reason)) => {
                let limit = self.log.acceptable_failure();
                let left = limit.saturating_sub(now.since(since)).as_secs();
                let then = match (stats.refusing, limit.is_zero()) {
                    (true, _) => "messages are refused until one succeeds".into(),
                    (false, true) => "messages are taken all the same".into(),
                    (false, false) => format!("messages are refused in {left} seconds"),
                };
                format!("degraded: no time-stamp since {since}; {then}; {waiting}; {reason}")
            }
            _ => waiting,
        };
        Check {
            name: "time_stamps",
            ok: !stats.refusing,
            text,
        }
    }

    /// Messages flow whether old time-stamps can be renewed or not, so this says it and fails nothing.
    fn renewal_check(&self) -> Check {
        let stats = self.log.renewal();
        let first = match stats.first_end {
            Some(end) => format!("the first time-stamp of the log ends at {end}"),
            None => "no time-stamp is known yet".into(),
        };
        let mut text = match (stats.failing_since, &stats.reason) {
            (Some(since), Some(reason)) => {
                format!(
                    "degraded: time-stamps that are due cannot be renewed since {since}; {first}; {reason}"
                )
            }
            _ => first,
        };
        if stats.late > 0 {
            text = format!(
                "{text}; {} time-stamps ended before they were renewed: what they proved ends there",
                stats.late
            );
        }
        Check {
            name: "renewal",
            ok: true,
            text,
        }
    }

    fn ledger_check(&self) -> Check {
        let (ok, text) = match (self.log.checkpoint_refusal(), self.log.checkpoint()) {
            (Some(refusal), _) => (false, format!("read-only: {refusal}")),
            (None, _) if !self.gate.is_open() => {
                (false, "is being compared with what peers keep of it".to_owned())
            }
            (None, Some(signed)) => (true, format!("signed over {} entries", signed.claimed().size())),
            (None, None) => (true, "nothing was signed yet".to_owned()),
        };
        Check {
            name: "transparency",
            ok,
            text,
        }
    }

    fn ocsp_check(&self, now: UnixTime) -> Check {
        let complete = self.ocsp.is_complete(now);
        let ok = complete && (self.signs)();
        let text = match self.ocsp.good_until() {
            Some(until) if ok => format!("good until {until}"),
            Some(_) if complete => "on their way to the signing keys".into(),
            Some(until) => format!("the first response ended at {until}; is the OCSP responder reachable?"),
            None => "a response is missing for a certificate of this node; is the OCSP responder reachable?"
                .into(),
        };
        let text = match self.ocsp.failing().since {
            Some((since, reason)) => format!("{text}; it could not be renewed since {since}: {reason}"),
            None => text,
        };
        Check {
            name: "ocsp",
            ok,
            text,
        }
    }
}

/// A whole answer.
pub fn respond(status: StatusCode, content_type: &str, body: Vec<u8>) -> Response<OutBody> {
    let mut response = Response::new(OutBody::from(Bytes::from(body)));
    *response.status_mut() = status;
    if let Ok(value) = content_type.parse() {
        response.headers_mut().insert(http::header::CONTENT_TYPE, value);
    }
    response
}
