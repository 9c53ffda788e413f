//! Entries for auditors: search, one entry, its proof, and the evidence of a message, in the shapes that the commands print
//! with `--json`. Each is a look of its own; what it says of itself is numbers and never a query id.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use kontor_pki::time::UnixTime;
use kontor_protocol::container::MEDIA_TYPE;
use kontor_protocol::log::{EntryKind, Leaf};
use serde::Deserialize;

use super::Desk;
use super::access::{Content, Entries, Visitor};
use super::problem::Problem;
use crate::evidence::container_body;
use crate::messagelog::{Exported, Filter, LogError, NumberSet, ToldProof};

/// Entries of one answer.
const MOST: usize = 1000;
/// Unless more or fewer are asked for.
const USUAL: usize = 100;
/// Time for a search; what is not searched then is another answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What `/entries` is asked; everything given must hold.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    query_id: Option<String>,
    client: Option<String>,
    service: Option<String>,
    member: Option<String>,
    server: Option<String>,
    kind: Option<String>,
    from: Option<String>,
    to: Option<String>,
    first: Option<u64>,
    limit: Option<usize>,
}

impl Wanted {
    fn filter(self) -> Result<(Filter, usize), Problem> {
        fn one<T: std::str::FromStr>(name: &str, text: Option<String>) -> Result<Option<T>, Problem>
        where
            T::Err: Display,
        {
            let read = text.map(|text| {
                let error = |error: T::Err| Problem::question(format!("{name}: {error}"));
                text.parse().map_err(error)
            });
            read.transpose()
        }
        let limit = self.limit.unwrap_or(USUAL);
        if !(1..=MOST).contains(&limit) {
            return Err(Problem::question(format!("limit is from 1 to {MOST}")));
        }
        let filter = Filter {
            query_id: self.query_id,
            client: one("client", self.client)?,
            service: one("service", self.service)?,
            member: one("member", self.member)?,
            server: one("server", self.server)?,
            kind: self.kind.as_deref().map(kind).transpose()?,
            from: self.from.as_deref().map(instant).transpose()?,
            until: self.to.as_deref().map(instant).transpose()?,
            first: self.first.unwrap_or(0),
            ..Filter::default()
        };
        Ok((filter, limit))
    }
}

fn instant(text: &str) -> Result<UnixTime, Problem> {
    UnixTime::parse_rfc3339(text)
        .or_else(|_| UnixTime::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .map_err(|_| Problem::question("an instant is written like 2026-01-31 or 2026-01-31T12:00:00Z"))
}

fn kind(text: &str) -> Result<EntryKind, Problem> {
    let mut kinds = (1..=u8::MAX).map(EntryKind::from_code);
    let found = kinds.find(|kind| kind.name().replace(' ', "-") == text && kind.name() != "unknown");
    found.ok_or_else(|| {
        Problem::question("kind is one such as request, response, time-stamp, deletion, look or act")
    })
}

/// `GET /entries?…`.
pub(super) async fn search(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Entries>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(wanted) = wanted.map_err(|error| Problem::question(error.body_text()))?;
    let (filter, limit) = wanted.filter()?;
    let filter = Filter {
        only: visitor.only().clone(),
        ..filter
    };
    let listed = desk.log.list(filter, limit, PATIENCE).await?;
    let numbers: NumberSet = listed.entries.iter().map(|found| found.number).collect();
    let what = format!("a search, {} entries found", listed.entries.len());
    let seen = desk.looks.at_entries(&desk.log, &visitor, what, numbers).await?;
    Ok(seen.json(&listed))
}

/// The number in an address, if the visitor may see that entry.
async fn entry<S>(
    desk: &Desk,
    visitor: &Visitor<S>,
    number: Result<Path<u64>, PathRejection>,
) -> Result<u64, Problem> {
    let Path(number) = number.map_err(|_| {
        Problem::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "an entry is named by its number, as in /entries/7",
        )
    })?;
    if number >= desk.log.stats().entries {
        return Err(LogError::NotFound { number }.into());
    }
    if !visitor.only().is_none() {
        let bytes = desk.log.leaf(number).await?;
        let leaf = Leaf::parse(&bytes).map_err(|error| {
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), error.to_string())
        })?;
        visitor.may_see(&leaf)?;
    }
    Ok(number)
}

fn single(number: u64) -> NumberSet {
    [number].into_iter().collect()
}

/// `GET /entries/NUMBER`.
pub(super) async fn show(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Entries>,
    number: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let number = entry(&desk, &visitor, number).await?;
    let shown = desk.log.shown(number).await?;
    let what = "what is known of an entry";
    let seen = desk
        .looks
        .at_entries(&desk.log, &visitor, what, single(number))
        .await?;
    Ok(seen.json(&shown))
}

/// What `/entries/NUMBER/proof` is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Since {
    since: Option<u64>,
}

/// `GET /entries/NUMBER/proof`: one leaf and its place, for which a token of some entries is enough.
pub(super) async fn proof(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Entries>,
    number: Result<Path<u64>, PathRejection>,
    since: Result<Query<Since>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(Since { since }) = since.map_err(|error| Problem::question(error.body_text()))?;
    let number = entry(&desk, &visitor, number).await?;
    let size = desk.log.stats().entries;
    if since.is_some_and(|since| since == 0 || since > size) {
        return Err(Problem::question("since is a size that the log had, from 1 on"));
    }
    let proven = desk.log.proven(number, since).await?;
    let told = ToldProof::of(number, &proven)
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.code(), error.to_string()))?;
    let what = "the leaf of an entry and its place in the tree";
    let seen = desk
        .looks
        .at_entries(&desk.log, &visitor, what, single(number))
        .await?;
    Ok(seen.json(&told))
}

/// What evidence is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Evidence {
    /// As it is, without a time-stamp that it does not have yet.
    #[serde(default)]
    unstamped: bool,
}

async fn exported(
    desk: &Desk,
    number: u64,
    asked: Result<Query<Evidence>, QueryRejection>,
) -> Result<Exported, Problem> {
    let Query(Evidence { unstamped }) = asked.map_err(|error| Problem::question(error.body_text()))?;
    let timestamper = (!unstamped).then_some(&desk.timestamper);
    Ok(desk.log.export(number, timestamper).await?)
}

fn saved_as(mut response: Response, name: &str) -> Response {
    // Names are made of letters, digits and percent signs: see the export.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// `GET /entries/NUMBER/container`: ASiC-E, as `kontor log export` writes it.
pub(super) async fn container(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Content>,
    number: Result<Path<u64>, PathRejection>,
    asked: Result<Query<Evidence>, QueryRejection>,
) -> Result<Response, Problem> {
    let number = entry(&desk, &visitor, number).await?;
    let place = Arc::clone(&desk.downloads).try_acquire_owned().map_err(|_| {
        let detail = "as many containers as are handed out at once are on their way; try again";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(5)
    })?;
    let exported = exported(&desk, number, asked).await?;
    let name = format!("{}.asice", exported.name);
    let what = "the container of a message";
    let seen = desk
        .looks
        .at_entries(&desk.log, &visitor, what, single(number))
        .await?;
    let body = axum::body::Body::new(container_body(exported, place, &desk.shutdown));
    Ok(saved_as(seen.answer(MEDIA_TYPE, body), &name))
}

/// `GET /entries/NUMBER/companion`: the `leaf.json` that ties the container to its entry.
pub(super) async fn companion(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Content>,
    number: Result<Path<u64>, PathRejection>,
    asked: Result<Query<Evidence>, QueryRejection>,
) -> Result<Response, Problem> {
    let number = entry(&desk, &visitor, number).await?;
    let exported = exported(&desk, number, asked).await?;
    let what = "the companion of a container";
    let seen = desk
        .looks
        .at_entries(&desk.log, &visitor, what, single(number))
        .await?;
    let name = format!("{}.leaf.json", exported.name);
    Ok(saved_as(
        seen.answer("application/json", exported.companion),
        &name,
    ))
}

/// `GET /entries/NUMBER/statement`: what can still be proven of a message whose content is gone.
pub(super) async fn statement(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Content>,
    number: Result<Path<u64>, PathRejection>,
) -> Result<Response, Problem> {
    let number = entry(&desk, &visitor, number).await?;
    let (statement, _) = desk.log.statement(number).await?;
    let what = "the statement about a message without content";
    let seen = desk
        .looks
        .at_entries(&desk.log, &visitor, what, single(number))
        .await?;
    let name = format!("entry-{number}.statement.json");
    Ok(saved_as(
        seen.answer("application/json", statement.to_json()),
        &name,
    ))
}
