//! The tree for auditors: checkpoint, tiles and entry bundles as C2SP tlog-tiles has them, the keys that sign, and the proof
//! that one size goes on from another. Bundles hold leaves, which name parties: they are a look at entries.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::response::Response;
use base64::Engine as _;
pub(super) use base64::engine::general_purpose::STANDARD;
use http::header::{CACHE_CONTROL, HeaderValue};
use http::{StatusCode, Uri};
use kontor_protocol::log::tile::{Tile, TileKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Desk;
use super::access::{Entries, Tree, Visitor};
use super::problem::Problem;
use crate::messagelog::NumberSet;

const TEXT: &str = "text/plain; charset=utf-8";
const BYTES: &str = "application/octet-stream";
/// A tile never changes. Only the auditor's own store may keep it: shared ones know nothing of tokens.
const FOR_EVER: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");

fn none(what: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "not_signed", what)
}

/// `GET /checkpoint`.
pub(super) async fn checkpoint(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Tree>,
) -> Result<Response, Problem> {
    let seen = desk.looks.at_tree(&desk.log, &visitor).await;
    let newest = desk.log.newest_checkpoint();
    let newest = newest.ok_or_else(|| none("nothing was signed yet; the node signs once a minute"))?;
    Ok(seen.answer(TEXT, newest.to_bytes()))
}

/// `GET /checkpoint/cosigned`.
pub(super) async fn cosigned(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Tree>,
) -> Result<Response, Problem> {
    let seen = desk.looks.at_tree(&desk.log, &visitor).await;
    let cosigned = desk.log.cosigned_checkpoint();
    let (cosigned, _) =
        cosigned.ok_or_else(|| none("no other node has co-signed a checkpoint of this log yet"))?;
    Ok(seen.answer(TEXT, cosigned.to_bytes()))
}

/// What `/keys` says.
#[derive(Serialize)]
struct Keys {
    /// The name of the log, as checkpoints have it in their first line.
    origin: String,
    /// The key that signs them.
    key: String,
    /// Who answers for that key and for those of the co-signers.
    bindings: Vec<Value>,
}

/// `GET /keys`.
pub(super) async fn keys(State(desk): State<Arc<Desk>>, visitor: Visitor<Tree>) -> Result<Response, Problem> {
    let seen = desk.looks.at_tree(&desk.log, &visitor).await;
    let [key, _] = desk.log.ledger_keys();
    let mut bindings = desk.log.ledger_bindings();
    bindings.retain(|binding| *binding.statement.key() == key);
    bindings.extend(
        desk.log
            .cosigned_checkpoint()
            .into_iter()
            .flat_map(|(_, keys)| keys),
    );
    let value = |json: Vec<u8>| serde_json::from_slice(&json).unwrap_or_default();
    Ok(seen.json(&Keys {
        origin: key.name().to_string(),
        key: key.to_string(),
        bindings: bindings.iter().map(|binding| value(binding.to_json())).collect(),
    }))
}

/// `GET /tile/…`: names are read as they came, undecoded, and have one spelling.
pub(super) async fn tile(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Tree>,
    uri: Uri,
) -> Result<Response, Problem> {
    let name = uri.path().strip_prefix('/').unwrap_or_default();
    let tile = Tile::parse(name)
        .map_err(|error| Problem::new(StatusCode::NOT_FOUND, error.code(), error.to_string()))?;
    let beyond =
        || none("the newest checkpoint does not cover this tile; ask for the ones that its size needs");
    let (seen, bytes) = match tile.kind() {
        TileKind::Hashes { .. } => {
            let bytes = desk.log.tile(tile).await?.ok_or_else(beyond)?;
            (desk.looks.at_tree(&desk.log, &visitor).await, bytes)
        }
        TileKind::Entries => {
            let visitor = visitor.reaching::<Entries>()?;
            visitor.unrestricted()?;
            let bytes = desk.log.tile(tile).await?.ok_or_else(beyond)?;
            let mut numbers = NumberSet::default();
            numbers.insert_run(tile.leaves().start, tile.leaves().end);
            let what = "the leaves of these entries";
            (
                desk.looks.at_entries(&desk.log, &visitor, what, numbers).await?,
                bytes,
            )
        }
    };
    let mut response = seen.answer(BYTES, bytes);
    response.headers_mut().insert(CACHE_CONTROL, FOR_EVER);
    Ok(response)
}

/// What `/consistency` is asked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sizes {
    old: u64,
    new: Option<u64>,
}

/// What `/consistency` says.
#[derive(Serialize)]
struct Consistency {
    old: u64,
    new: u64,
    hashes: Vec<String>,
}

/// `GET /consistency?old=…`: that the tree of `new` entries, else of the newest checkpoint, goes on from that of `old`.
pub(super) async fn consistency(
    State(desk): State<Arc<Desk>>,
    visitor: Visitor<Tree>,
    sizes: Result<Query<Sizes>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    let Query(sizes) = sizes.map_err(|error| Problem::question(error.body_text()))?;
    let Some((new, hashes)) = desk.log.consistency(sizes.old, sizes.new).await? else {
        let detail = "old is from 1 to new, and new no more than the newest checkpoint has entries";
        return Err(Problem::question(detail));
    };
    let seen = desk.looks.at_tree(&desk.log, &visitor).await;
    Ok(seen.json(&Consistency {
        old: sizes.old,
        new,
        hashes: hashes.iter().map(|hash| STANDARD.encode(hash)).collect(),
    }))
}
