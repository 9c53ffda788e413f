//! The witness: keeps the newest checkpoint of each peer's log, checks that the next one goes on from it, and co-signs
//! (evidence 5, C2SP tlog-witness). Owns the files below `data/witness` and the service `ledger` that nodes serve each
//! other in the name of their subsystems; `witness/show.rs` shows the own checkpoints to peers.
//!
//! | Request below `…/ledger` | Answer |
//! |---|---|
//! | `POST /add-checkpoint` (old size, proof, checkpoint) | 200 co-signature; 404 the log's key is not known, show it first; 409 another size is kept; 422 it does not go on from what is kept |
//! | `PUT /key` (binding of the log's key) | 204; 403 the member does not answer for it |
//! | `GET /key` | the bindings of this node's own keys, a JSON array |
//! | `GET /checkpoint` | the newest checkpoint of this node |
//! | `GET /kept/LOGID` | the checkpoint that is kept of the caller's log with this id (64 hexadecimal digits) |
//! | `GET /exchanges?first=N` | the messages exchanged with the caller's member from entry N on: ids, digests, proofs |
//!
//! A caller can only be a witness's customer for the log of a server at which its subsystem is registered. What
//! contradicts what is kept is kept too, as evidence with both signatures, and told to the operator.

pub mod ask;
pub mod reconcile;
pub mod show;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use kontor_pki::crypto::sha256;
use kontor_protocol::id::{ClientId, ServerId};
use kontor_protocol::limits;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::origin::LogOrigin;
use kontor_protocol::log::witness::{
    AddCheckpoint, Contradiction, ContradictionKind, Decision, SIZE_MEDIA_TYPE, decide, size_body,
};
use kontor_protocol::trust::TrustSet;
use tokio::sync::Mutex;

use crate::body::OutBody;
use crate::clock::SharedClock;
use crate::disk::{self, Disk};
use crate::globalconf::GlobalConf;
use crate::health::respond;
use crate::messagelog::{MessageLog, hex, write_bindings};

/// Logs that are kept at most: more peers than any node has.
const LOGS: usize = 16 * 1024;
const TEXT: &str = "text/plain; charset=utf-8";

/// See the module.
pub struct Witness {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    log: MessageLog,
    trust: Arc<GlobalConf>,
    clock: SharedClock,
    /// One lock for all: deciding, writing and co-signing of one log must not be interleaved.
    kept: Mutex<HashMap<String, Kept>>,
}

/// What is kept of one log.
struct Kept {
    key: Binding,
    checkpoint: Option<SignedCheckpoint>,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness")
            .field("dir", &self.dir)
            .finish_non_exhaustive()
    }
}

/// An answer that refuses: status, code, sentence.
struct Refused(StatusCode, &'static str, String);

impl Witness {
    /// Reads what was kept. A file that does not read is told and not believed.
    pub fn open(
        dir: &Path,
        disk: Arc<dyn Disk>,
        log: MessageLog,
        trust: Arc<GlobalConf>,
        clock: SharedClock,
    ) -> std::io::Result<Arc<Self>> {
        disk.create_dir(dir)?;
        let mut kept = HashMap::new();
        for name in disk.list(dir)? {
            let Some(stem) = name.strip_suffix(".key.json") else {
                continue;
            };
            let key = disk::read_all(&*disk, &dir.join(&name), limits::NOTE)?;
            let Ok(key) = Binding::from_json(&key) else {
                tracing::error!(
                    file = name,
                    "a key of a peer's log does not read; the peer shows it again"
                );
                continue;
            };
            let path = dir.join(format!("{stem}.checkpoint"));
            let checkpoint = match disk::read_all(&*disk, &path, limits::NOTE) {
                Ok(bytes) => match SignedCheckpoint::parse(&bytes) {
                    Ok(checkpoint) => Some(checkpoint),
                    // To forget it in silence would let the peer begin anew.
                    Err(error) => {
                        return Err(std::io::Error::other(format!("{}: {error}", path.display())));
                    }
                },
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                Err(error) => return Err(error),
            };
            kept.insert(key.statement.key().name().to_string(), Kept { key, checkpoint });
        }
        Ok(Arc::new(Self {
            dir: dir.to_owned(),
            disk,
            log,
            trust,
            clock,
            kept: Mutex::new(kept),
        }))
    }

    /// Answers a request that came signed from a peer and is on disk.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<OutBody> {
        let (parts, body) = request.into_parts();
        let client = parts
            .headers
            .get("x-road-client")
            .and_then(|value| value.to_str().ok());
        let client = client.and_then(|text| ClientId::parse_path(text).ok());
        let answered = match (client, self.trust.current(self.clock.now())) {
            (Some(client), Ok(trust)) => {
                self.answered(&parts.method, &parts.uri, &client, &trust, body)
                    .await
            }
            (None, _) => Err(Refused(
                StatusCode::BAD_REQUEST,
                "no_client",
                "the request names no client".into(),
            )),
            (_, Err(fault)) => Err(Refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_trust",
                fault.text().to_owned(),
            )),
        };
        answered.unwrap_or_else(|Refused(status, code, text)| {
            let page = serde_json::json!({ "code": code, "text": text });
            respond(status, "application/json", page.to_string().into_bytes())
        })
    }

    async fn answered(
        &self,
        method: &Method,
        uri: &Uri,
        client: &ClientId,
        trust: &TrustSet,
        body: Incoming,
    ) -> Result<Response<OutBody>, Refused> {
        match (method, uri.path()) {
            (&Method::GET, "/key") => {
                let keys = write_bindings(&self.log.ledger_bindings());
                Ok(respond(StatusCode::OK, "application/json", keys))
            }
            (&Method::GET, "/checkpoint") => match self.log.checkpoint() {
                Some(checkpoint) => Ok(respond(StatusCode::OK, TEXT, checkpoint.to_bytes())),
                None => Err(Refused(
                    StatusCode::NOT_FOUND,
                    "no_checkpoint",
                    "nothing was signed yet; ask again in a minute".into(),
                )),
            },
            (&Method::GET, path) if path.starts_with("/kept/") => {
                self.kept_of(client, trust, &path["/kept/".len()..]).await
            }
            (&Method::GET, "/exchanges") => {
                let first = uri.query().and_then(|query| query.strip_prefix("first="));
                let first = first.and_then(|first| first.parse().ok()).ok_or(Refused(
                    StatusCode::BAD_REQUEST,
                    "no_first",
                    "ask for /exchanges?first=N, with the number of an entry".into(),
                ))?;
                let page = reconcile::page(&self.log, client.member().clone(), first).await;
                match page {
                    Ok(page) => Ok(respond(StatusCode::OK, "application/json", page)),
                    Err(error) => {
                        tracing::warn!(%error, %client, "the account of exchanges could not be given");
                        let text = "the log could not be read; its operator is told".to_owned();
                        Err(Refused(StatusCode::SERVICE_UNAVAILABLE, error.code(), text))
                    }
                }
            }
            (&Method::PUT, "/key") => {
                let body = whole(body, limits::NOTE).await?;
                self.take_key(client, trust, &body).await
            }
            (&Method::POST, "/add-checkpoint") => {
                let body = whole(body, limits::CHECKPOINT_REQUEST).await?;
                self.add_checkpoint(client, trust, &body).await
            }
            _ => Err(Refused(
                StatusCode::NOT_FOUND,
                "unknown_path",
                "there are GET and PUT /key, GET /checkpoint and POST /add-checkpoint".into(),
            )),
        }
    }

    async fn kept_of(
        &self,
        client: &ClientId,
        trust: &TrustSet,
        id: &str,
    ) -> Result<Response<OutBody>, Refused> {
        let kept = self.kept.lock().await;
        let of_caller = |name: &str| {
            LogOrigin::parse(name).is_some_and(|origin| {
                hex(&origin.log_id) == id && is_of(client, &origin.server, trust).is_ok()
            })
        };
        let checkpoint = kept
            .iter()
            .filter(|(name, _)| of_caller(name))
            .find_map(|(_, kept)| kept.checkpoint.as_ref());
        match checkpoint {
            Some(checkpoint) => Ok(respond(StatusCode::OK, TEXT, checkpoint.to_bytes())),
            None => Err(Refused(
                StatusCode::NOT_FOUND,
                "nothing_kept",
                "no checkpoint of that log is kept here".into(),
            )),
        }
    }

    async fn take_key(
        &self,
        client: &ClientId,
        trust: &TrustSet,
        body: &[u8],
    ) -> Result<Response<OutBody>, Refused> {
        let binding = Binding::from_json(body)
            .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.code(), error.to_string()))?;
        let name = binding.statement.key().name().to_string();
        let origin = LogOrigin::parse(&name).ok_or(Refused(
            StatusCode::BAD_REQUEST,
            "no_log",
            "the key is not that of a log".into(),
        ))?;
        is_of(client, &origin.server, trust)?;
        binding
            .verify(trust, None)
            .map_err(|error| Refused(StatusCode::FORBIDDEN, error.code(), error.to_string()))?;
        let mut kept = self.kept.lock().await;
        let known = kept.get(&name);
        if known.is_some_and(|known| known.key.statement.key() != binding.statement.key()) {
            // A log whose key could be exchanged could begin anew under the same name.
            return Err(Refused(
                StatusCode::FORBIDDEN,
                "other_key",
                "another key is known for this log; its operator has to begin a new log".into(),
            ));
        }
        if known.is_none() {
            if kept.len() >= LOGS {
                return Err(Refused(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "too_many_logs",
                    "this witness keeps no more logs".into(),
                ));
            }
            self.write(&name, "key.json", &binding.to_json())?;
            kept.insert(
                name,
                Kept {
                    key: binding,
                    checkpoint: None,
                },
            );
        }
        Ok(respond(StatusCode::NO_CONTENT, TEXT, Vec::new()))
    }

    async fn add_checkpoint(
        &self,
        client: &ClientId,
        trust: &TrustSet,
        body: &[u8],
    ) -> Result<Response<OutBody>, Refused> {
        let request = AddCheckpoint::parse(body)
            .map_err(|error| Refused(StatusCode::BAD_REQUEST, error.code(), error.to_string()))?;
        let name = request.checkpoint.claimed().origin().to_owned();
        if let Some(origin) = LogOrigin::parse(&name) {
            is_of(client, &origin.server, trust)?;
        }
        let mut kept = self.kept.lock().await;
        let known = kept.get_mut(&name);
        let decision = decide(
            known.as_ref().and_then(|known| known.checkpoint.as_ref()),
            known.as_ref().map(|known| known.key.statement.key()),
            &request,
        );
        match (decision, known) {
            (Decision::Accept(accepted), Some(known)) => {
                let checkpoint = accepted.checkpoint().signed().clone();
                // On disk before the co-signature exists: a crash in between costs it, and nothing else.
                self.write(&name, "checkpoint", &checkpoint.to_bytes())?;
                known.checkpoint = Some(checkpoint);
                let second = u64::try_from(self.clock.now().secs()).unwrap_or(0);
                let line = self.log.cosign(&accepted, second).to_string();
                Ok(respond(StatusCode::OK, TEXT, line.into_bytes()))
            }
            (Decision::Accept(_), None) => unreachable!("what is accepted has a known key"),
            (
                Decision::Conflict {
                    known_size,
                    contradiction,
                },
                _,
            ) => {
                self.keep(&name, contradiction.as_deref());
                let size = size_body(known_size).into_bytes();
                Ok(respond(StatusCode::CONFLICT, SIZE_MEDIA_TYPE, size))
            }
            (
                Decision::Refuse {
                    refusal,
                    contradiction,
                },
                _,
            ) => {
                self.keep(&name, contradiction.as_deref());
                let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
                Err(Refused(status, refusal.code(), refusal.to_string()))
            }
        }
    }

    /// Keeps two checkpoints that do not go together, and tells it: the first pair of each kind, so that a peer cannot fill
    /// the disk.
    fn keep(&self, name: &str, contradiction: Option<&Contradiction>) {
        let Some(contradiction) = contradiction else {
            return;
        };
        tracing::error!(
            log = name,
            kind = ?contradiction.kind(),
            known = contradiction.known().claimed().size(),
            shown = contradiction.shown().claimed().size(),
            "a peer's log does not go on from what it showed before; the first such pair of checkpoints is kept"
        );
        let kind = match contradiction.kind() {
            ContradictionKind::OtherRoot => "other-root.json",
            ContradictionKind::Smaller => "smaller.json",
            ContradictionKind::Unproven => "unproven.json",
        };
        if self.disk.open(&self.path(name, kind)).is_err() {
            let _ = self.write(name, kind, &contradiction.to_json());
        }
    }

    fn path(&self, name: &str, kind: &str) -> PathBuf {
        self.dir
            .join(format!("{}.{kind}", hex(&sha256(name.as_bytes())[..16])))
    }

    fn write(&self, name: &str, kind: &str, bytes: &[u8]) -> Result<(), Refused> {
        let path = self.path(name, kind);
        disk::replace(&*self.disk, &path, bytes).map_err(|error| {
            tracing::error!(%error, path = %path.display(), "the witness could not keep what it was shown");
            Refused(
                StatusCode::SERVICE_UNAVAILABLE,
                "not_kept",
                "the witness could not write; ask again later".into(),
            )
        })
    }
}

/// Whether the subsystem is registered at the server whose log it speaks for.
fn is_of(client: &ClientId, server: &ServerId, trust: &TrustSet) -> Result<(), Refused> {
    if trust.servers_of(client).iter().any(|known| known.id == *server) {
        Ok(())
    } else {
        Err(Refused(
            StatusCode::FORBIDDEN,
            "other_server",
            format!("{client} is not registered at the security server {server}"),
        ))
    }
}

async fn whole(body: Incoming, limit: usize) -> Result<Bytes, Refused> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(Refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("more than {limit} bytes, or the body broke off"),
        )),
    }
}
