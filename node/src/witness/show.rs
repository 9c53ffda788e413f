//! Shows the own checkpoints to the peers that the node exchanged with, and keeps their co-signatures. A peer that has seen
//! more of this log than there is ends all signing here: an older copy of the log stands in its place.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kontor_protocol::id::{ClientId, ServerId};
use kontor_protocol::limits;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::note::{NoteSignature, SignatureKind};
use kontor_protocol::log::witness::{AddCheckpoint, parse_size_body};
use kontor_protocol::trust::TrustSet;

use crate::body::OutBody;
use crate::handles::Handles;
use crate::link::Link;
use crate::listen;
use crate::messagelog::{LogError, parse_bindings};
use crate::outbound::Outbound;
use crate::registry::OWN_SERVICE;

/// A peer answers in this time or is asked another time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of one peer's witness.
#[derive(Default)]
struct Peer {
    /// Size of the checkpoint that it keeps, as far as it said.
    size: u64,
    /// The key it co-signs with.
    key: Option<Binding>,
    /// Whether what it keeps of this log was compared with the log since the start.
    is_compared: bool,
}

/// Shows checkpoints.
pub struct Shower {
    handles: Arc<Handles>,
    outbound: Arc<Outbound>,
    own: ClientId,
    peers: HashMap<ServerId, Peer>,
}

/// Why a peer did not co-sign.
#[derive(Debug, thiserror::Error)]
enum ShowError {
    #[error("it keeps a checkpoint that this log does not go on from: {0}")]
    Refuted(LogError),
    #[error("it answers with status {0}: {1}")]
    Status(StatusCode, String),
    #[error("it cannot be asked: {0}")]
    Exchange(String),
    #[error("its answer is not believed: {0}")]
    Answer(String),
}

struct Answer {
    status: StatusCode,
    body: Bytes,
}

impl Shower {
    /// Speaks through the own outbound side, in the name of the own subsystem.
    pub fn new(handles: Arc<Handles>, outbound: Arc<Outbound>, own: ClientId) -> Self {
        Self {
            handles,
            outbound,
            own,
            peers: HashMap::new(),
        }
    }

    /// Shows a checkpoint to everybody whom it concerns; keeps it if somebody co-signed.
    pub async fn show(&mut self, checkpoint: &SignedCheckpoint) {
        let members = self.handles.partners.take();
        let Ok(trust) = self.handles.trust.current(self.handles.now()) else {
            return;
        };
        let mut cosigned = checkpoint.clone();
        let mut witnesses = Vec::new();
        for member in members {
            let Ok(ledger) = ClientId::subsystem_of(member, self.own.subsystem().unwrap_or_default()) else {
                continue;
            };
            let mut servers: Vec<_> = trust
                .servers_of(&ledger)
                .iter()
                .map(|server| server.id.clone())
                .collect();
            servers.retain(|server| *server != self.handles.server);
            for server in servers {
                match self.show_to(&ledger, &server, checkpoint, &trust).await {
                    Ok((lines, key)) => {
                        let added = cosigned.add_cosignatures(&lines, &[key.statement.key().clone()]);
                        if added.is_ok_and(|added| added > 0) {
                            witnesses.push(key);
                        }
                    }
                    Err(error @ ShowError::Refuted(_)) => {
                        tracing::error!(%error, peer = %server, "a peer has seen another log of this node than there is");
                        return;
                    }
                    Err(error) => {
                        tracing::info!(%error, peer = %server, "a peer did not co-sign the checkpoint");
                        // Shown again with the next one.
                        self.handles.partners.note(ledger.member());
                    }
                }
            }
        }
        if !witnesses.is_empty()
            && let Err(error) = self.handles.log.keep_cosigned(cosigned, witnesses).await
        {
            tracing::warn!(%error, "co-signatures could not be kept");
        }
    }

    async fn show_to(
        &mut self,
        ledger: &ClientId,
        server: &ServerId,
        checkpoint: &SignedCheckpoint,
        trust: &TrustSet,
    ) -> Result<(Vec<NoteSignature>, Binding), ShowError> {
        let mut peer = self.peers.remove(server).unwrap_or_default();
        let shown = self.shown(&mut peer, ledger, server, checkpoint, trust).await;
        self.peers.insert(server.clone(), peer);
        shown
    }

    async fn shown(
        &self,
        peer: &mut Peer,
        ledger: &ClientId,
        server: &ServerId,
        checkpoint: &SignedCheckpoint,
        trust: &TrustSet,
    ) -> Result<(Vec<NoteSignature>, Binding), ShowError> {
        let size = checkpoint.claimed().size();
        if !peer.is_compared {
            self.compare(ledger, server).await?;
            peer.is_compared = true;
        }
        // Once for a key that is not known, once for another size than was thought; a third time is not in order.
        for _ in 0..3 {
            let proof = self
                .handles
                .log
                .prove_consistency(peer.size.min(size), size)
                .await;
            let request = AddCheckpoint {
                old_size: peer.size.min(size),
                proof: proof.map_err(|error| ShowError::Exchange(error.to_string()))?,
                checkpoint: checkpoint.clone(),
            };
            let body = request.to_bytes();
            let answer = self
                .ask(ledger, server, Method::POST, "add-checkpoint", body)
                .await?;
            match answer.status {
                StatusCode::OK => {
                    peer.size = size;
                    let lines = NoteSignature::parse_lines(&answer.body)
                        .map_err(|error| ShowError::Answer(error.to_string()))?;
                    let key = match peer.key.clone() {
                        Some(key) => key,
                        None => self.key_of(ledger, server, trust).await?,
                    };
                    peer.key = Some(key.clone());
                    return Ok((lines, key));
                }
                StatusCode::NOT_FOUND => self.introduce(ledger, server).await?,
                StatusCode::CONFLICT => {
                    let known = parse_size_body(&answer.body)
                        .ok_or_else(|| ShowError::Answer("it names no size".into()))?;
                    if known > size {
                        self.compare(ledger, server).await?;
                        return Err(ShowError::Answer("it names a size that it does not show".into()));
                    }
                    peer.size = known;
                }
                status => {
                    // Perhaps what it keeps is of this log as it was before an older copy took its place.
                    self.compare(ledger, server).await?;
                    return Err(refused(status, &answer.body));
                }
            }
        }
        Err(ShowError::Answer("it contradicts itself".into()))
    }

    /// Compares the log with what the peer keeps of it. Only what this node signed counts: a peer that claims to have seen
    /// more stops nobody.
    async fn compare(&self, ledger: &ClientId, server: &ServerId) -> Result<(), ShowError> {
        let [key, _] = self.handles.log.ledger_keys();
        let id = key.name().as_str().rsplit('/').next().unwrap_or_default();
        let answer = self
            .ask(ledger, server, Method::GET, &format!("kept/{id}"), Vec::new())
            .await?;
        if answer.status != StatusCode::OK {
            return Ok(());
        }
        let seen =
            SignedCheckpoint::parse(&answer.body).map_err(|error| ShowError::Answer(error.to_string()))?;
        match self.handles.log.compare_with_seen(seen).await {
            Ok(()) => Ok(()),
            Err(error @ (LogError::Behind { .. } | LogError::Contradiction { .. })) => {
                Err(ShowError::Refuted(error))
            }
            Err(error) => Err(ShowError::Answer(error.to_string())),
        }
    }

    /// Shows the peer who answers for the key of this log.
    async fn introduce(&self, ledger: &ClientId, server: &ServerId) -> Result<(), ShowError> {
        let [log_key, _] = self.handles.log.ledger_keys();
        let bindings = self.handles.log.ledger_bindings();
        let binding = bindings
            .iter()
            .find(|binding| *binding.statement.key() == log_key)
            .ok_or_else(|| ShowError::Exchange("the key of this log is not bound to a member yet".into()))?;
        let answer = self
            .ask(ledger, server, Method::PUT, "key", binding.to_json())
            .await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            status => Err(refused(status, &answer.body)),
        }
    }

    /// The key of the peer's witness, if its member answers for it.
    async fn key_of(
        &self,
        ledger: &ClientId,
        server: &ServerId,
        trust: &TrustSet,
    ) -> Result<Binding, ShowError> {
        let answer = self.ask(ledger, server, Method::GET, "key", Vec::new()).await?;
        let key = parse_bindings(&answer.body).into_iter().find(|binding| {
            binding.statement.key().kind() == SignatureKind::Cosignature
                && binding.statement.server() == server
        });
        let key = key.ok_or_else(|| ShowError::Answer("it shows no key of its witness".into()))?;
        match key.verify(trust, None) {
            Ok(_) => Ok(key),
            Err(error) => Err(ShowError::Answer(error.to_string())),
        }
    }

    /// One exchange like any other: signed, recorded, verified.
    async fn ask(
        &self,
        ledger: &ClientId,
        server: &ServerId,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, ShowError> {
        let exchange = |error: &dyn std::fmt::Display| ShowError::Exchange(error.to_string());
        let outbound = Arc::clone(&self.outbound);
        let shutdown = &self.handles.shutdown;
        let stream = listen::within(shutdown, move |connection, request| {
            Arc::clone(&outbound).answer(connection, request)
        });
        let asked = async {
            let mut link = Link::open(stream, (), shutdown).await.map_err(|e| exchange(&e))?;
            let request = Request::builder()
                .method(method)
                .uri(format!("/r1/{}/{OWN_SERVICE}/{path}", ledger.to_path()))
                .header("host", "localhost")
                .header("x-road-client", self.own.to_path())
                .header("x-road-security-server", server.to_path())
                .body(OutBody::from(Bytes::from(body)))
                .map_err(|e| exchange(&e))?;
            let (_, answer) = link.send(request).await.map_err(|e| exchange(&e))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, limits::NOTE)
                .collect()
                .await
                .map_err(|e| exchange(&e))?;
            match parts
                .headers
                .get("x-road-error")
                .and_then(|code| code.to_str().ok())
            {
                Some(code) => Err(exchange(&code)),
                None => Ok(Answer {
                    status: parts.status,
                    body: body.to_bytes(),
                }),
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| exchange(&"no answer in time"))?
    }
}

fn refused(status: StatusCode, body: &[u8]) -> ShowError {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    ShowError::Status(status, text)
}
