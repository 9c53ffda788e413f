//! What happens, as server-sent events: no content, only ids, kinds and states. Numbers grow; whoever comes back names the last one
//! that it has seen and misses nothing.

use std::convert::Infallible;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::stream;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HeaderValue};
use kontor_participation::round::delivery::Side;
use serde::Deserialize;

use crate::casework::rounds::participant;
use crate::casework::row::EventRow;
use crate::casework::{Casework, Principal, Refused, Table};
use crate::config::casework::Role;
use crate::messagelog::hex;

/// Events of one piece.
const PIECE: usize = 256;
/// After so long without an event a comment shows that the connection is alive.
const ALIVE: Duration = Duration::from_secs(15);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    after: Option<String>,
    /// Ends the answer where nothing is new, for who asks now and then.
    #[serde(default)]
    until_quiet: bool,
}

fn position(text: &str) -> Result<Vec<u8>, Refused> {
    let wrong = || Refused::malformed("an event is named by 20 hexadecimal digits, as its id").at("/after");
    if text.len() != 20 || !text.is_ascii() {
        return Err(wrong());
    }
    (0..10)
        .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).map_err(|_| wrong()))
        .collect()
}

/// A follower between two pieces.
struct Following {
    casework: Arc<Casework>,
    who: Principal,
    after: Vec<u8>,
    told: tokio::sync::broadcast::Receiver<()>,
    until_quiet: bool,
}

pub(super) async fn follow(
    who: Principal,
    State(casework): State<Arc<Casework>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Refused> {
    who.needs(&[
        Role::Worker,
        Role::Releaser,
        Role::Supervisor,
        Role::DataProtection,
        Role::Coordinator,
        Role::Specialist,
    ])?;
    let Query(asked) = asked.map_err(|error| Refused::malformed(error.body_text()))?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let after = match last.or(asked.after.as_deref()) {
        Some(text) => position(text)?,
        None => Vec::new(),
    };
    casework.look(&who, "events", "work").await?;
    let told = casework.told.subscribe();
    let following = Following {
        casework,
        who,
        after,
        told,
        until_quiet: asked.until_quiet,
    };
    let pieces = stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        let shutdown = following.casework.shutdown.clone();
        loop {
            // Other keys end it, and so does the end of a token; who still may comes back.
            if !following.casework.admits(&following.who) {
                return None;
            }
            match following.piece() {
                Ok(Some(piece)) => return Some((Ok::<_, Infallible>(piece), Some(following))),
                Ok(None) if following.until_quiet => return None,
                Ok(None) => {}
                Err(refused) => {
                    let text = format!("event: error\ndata: {}\n\n", refused.code);
                    return Some((Ok(Bytes::from(text)), None));
                }
            }
            tokio::select! {
                _ = following.told.recv() => {}
                () = tokio::time::sleep(following.casework.holds_for(&following.who).min(ALIVE)) => {
                    return Some((Ok(Bytes::from_static(b": alive\n\n")), Some(following)));
                }
                () = shutdown.soft() => return None,
            }
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    Ok(response)
}

impl Casework {
    /// What happens to what the house is asked is for those who work on that, everything else for those who work on cases.
    pub(in crate::casework) fn sees_event(&self, who: &Principal, row: &EventRow) -> Result<bool, Refused> {
        let asked = row
            .request
            .as_ref()
            .filter(|_| row.kind.starts_with("contribution."));
        match asked.map(|id| self.request(Side::Participant, id)) {
            Some(Ok(request)) => Ok(participant::sees(who, &request)),
            Some(Err(refused)) if refused.status.is_client_error() => Ok(false),
            Some(Err(refused)) => Err(refused),
            None => Ok(who.reads().is_ok() && who.sees(row.unit.as_deref())),
        }
    }
}

impl Following {
    /// What there is now; nothing when nothing is new.
    fn piece(&mut self) -> Result<Option<Bytes>, Refused> {
        loop {
            let from = match self.after.is_empty() {
                true => Bound::Unbounded,
                false => Bound::Excluded(self.after.as_slice()),
            };
            let rows: Vec<(Vec<u8>, EventRow)> =
                self.casework
                    .store
                    .range(Table::Events, (from, Bound::Unbounded), false, PIECE)?;
            let Some((last, _)) = rows.last() else {
                return Ok(None);
            };
            let last = last.clone();
            let mut text = String::new();
            for (key, row) in &rows {
                if !self.casework.sees_event(&self.who, row)? {
                    continue;
                }
                let data = serde_json::to_string(row).map_err(|error| Refused::internal(&error))?;
                text.push_str(&format!(
                    "id: {}\nevent: {}\ndata: {data}\n\n",
                    hex(key),
                    row.kind
                ));
            }
            self.after = last;
            // What may not be seen is passed over.
            if !text.is_empty() {
                return Ok(Some(Bytes::from(text)));
            }
        }
    }
}
