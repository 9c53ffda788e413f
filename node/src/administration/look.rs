//! Looks: that somebody saw something is an entry of the log before the first byte of it leaves.
//!
//! Each look at entries is an entry of its own. Checkpoints and tiles hold hashes only and are asked for by the thousand, so
//! these are one look per token and hour, recorded before the first of them. When the log takes nothing, hashes are shown all
//! the same as far as the log can make them (all with a full disk, checkpoints and keys of a log that contradicts what it
//! signed), because they are what convicts whoever changed it, and the answer says `Kontor-Look: not-recorded`; everything else
//! is refused.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::access::Visitor;
use super::problem::Problem;
use crate::messagelog::{Fact, FactKind, Grant, LogError, Looked, MessageLog, NumberSet};

/// Where an answer says that it could not be recorded.
const NOT_RECORDED: HeaderName = HeaderName::from_static("kontor-look");
const HOUR: i64 = 3600;

/// What an auditor can go on with while the log takes no look.
fn still_shown(error: &LogError) -> &'static str {
    match error {
        LogError::Full { .. } => {
            "checkpoints, tiles and proofs of consistency are shown all the same, marked `Kontor-Look: not-recorded`"
        }
        error if error.is_end() => {
            "/checkpoint, /checkpoint/cosigned and /keys show what was signed all the same; tiles and proofs are refused, for they could not fit it"
        }
        _ => "ask again once the operator has seen to it",
    }
}

/// Records looks.
pub(super) struct Looks {
    /// The hour for which a token's look at the tree is recorded.
    tree: Mutex<HashMap<String, i64>>,
    recorded: Counter,
}

/// A look that was recorded, or one that need not be: what may be shown now.
pub(super) struct Seen {
    is_recorded: bool,
}

impl Seen {
    /// The answer.
    pub(super) fn answer(self, content_type: &'static str, body: impl Into<Body>) -> Response {
        let mut response = Response::new(body.into());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if !self.is_recorded {
            headers.insert(NOT_RECORDED, HeaderValue::from_static("not-recorded"));
        }
        response
    }

    /// The answer as JSON.
    pub(super) fn json(self, value: &impl serde::Serialize) -> Response {
        let mut body = serde_json::to_vec(value).expect("what is shown has string keys only");
        body.push(b'\n');
        self.answer("application/json", body)
    }
}

impl Looks {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let recorded = Counter::default();
        registry.register(
            "kontor_administration_looks",
            "Looks of auditors that were recorded",
            recorded.clone(),
        );
        Self {
            tree: Mutex::default(),
            recorded,
        }
    }

    /// Records a look at the tree.
    pub(super) async fn at_tree<S>(&self, log: &MessageLog, visitor: &Visitor<S>) -> Seen {
        let (id, hour) = (&visitor.grant().id, log.now().secs().div_euclid(HOUR));
        let known = || self.tree.lock().unwrap_or_else(PoisonError::into_inner);
        if known().get(id) == Some(&hour) {
            return Seen { is_recorded: true };
        }
        let what = "checkpoints and tiles, from now to the end of this hour";
        match self
            .append(log, visitor.grant(), what.into(), NumberSet::default())
            .await
        {
            Ok(()) => {
                let mut tree = known();
                tree.retain(|_, kept| *kept >= hour);
                tree.insert(id.clone(), hour);
                Seen { is_recorded: true }
            }
            Err(error) => {
                tracing::warn!(%error, token = id, "hashes are shown to an auditor though the log takes no entry");
                Seen { is_recorded: false }
            }
        }
    }

    /// Records a look at entries. `what` says what is shown, without content.
    pub(super) async fn at_entries<S>(
        &self,
        log: &MessageLog,
        visitor: &Visitor<S>,
        what: impl Into<String>,
        numbers: NumberSet,
    ) -> Result<Seen, Problem> {
        match self.append(log, visitor.grant(), what.into(), numbers).await {
            Ok(()) => Ok(Seen { is_recorded: true }),
            Err(error) => {
                tracing::warn!(%error, token = visitor.grant().id, "an auditor is refused because the look cannot be recorded");
                let detail = format!(
                    "a look at entries must be recorded and cannot be now, so no entry is shown; {}. {error}",
                    still_shown(&error)
                );
                Err(Problem::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "look_not_recorded",
                    detail,
                ))
            }
        }
    }

    async fn append(
        &self,
        log: &MessageLog,
        grant: &Grant,
        what: String,
        numbers: NumberSet,
    ) -> Result<(), LogError> {
        let looked = Looked {
            who: grant.who(),
            what,
            ground: format!("granted by entry {}: {}", grant.entry, grant.ground),
        };
        let fact = Fact::new(FactKind::Look, &looked).about(numbers);
        log.append_fact(fact).await?;
        self.recorded.inc();
        Ok(())
    }
}
