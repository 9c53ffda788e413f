//! Shows the own checkpoints to the peers that the node exchanged with, and keeps their co-signatures. A peer that has seen
//! more of this log than there is ends all signing here: an older copy of the log stands in its place.

use std::collections::HashMap;
use std::sync::Arc;

use http::{Method, StatusCode};
use kontor_protocol::id::ServerId;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::note::{NoteSignature, SignatureKind};
use kontor_protocol::log::witness::{AddCheckpoint, parse_size_body};
use kontor_protocol::trust::TrustSet;

use super::ask::{AskError, Asker, Place};
use crate::messagelog::LogError;

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
    asker: Arc<Asker>,
    peers: HashMap<ServerId, Peer>,
}

/// Why a peer did not co-sign.
#[derive(Debug, thiserror::Error)]
enum ShowError {
    #[error("it keeps a checkpoint that this log does not go on from: {0}")]
    Refuted(LogError),
    #[error(transparent)]
    Ask(#[from] AskError),
}

impl Shower {
    /// Shows what it shows through this. Those who co-signed before are asked first of all: a log that was set back while the
    /// node was down shall not go on for long.
    pub fn new(asker: Arc<Asker>) -> Self {
        let known = asker.handles.log.cosigned_checkpoint();
        for witness in known.iter().flat_map(|(_, witnesses)| witnesses) {
            asker.handles.partners.note(witness.statement.member());
        }
        Self {
            asker,
            peers: HashMap::new(),
        }
    }

    /// Shows a checkpoint to everybody whom it concerns; keeps it if somebody co-signed.
    pub async fn show(&mut self, checkpoint: &SignedCheckpoint) {
        let asker = Arc::clone(&self.asker);
        let handles = &asker.handles;
        let Ok(trust) = handles.trust.current(handles.now()) else {
            return;
        };
        let members = handles.partners.take();
        let mut cosigned = checkpoint.clone();
        let mut witnesses = Vec::new();
        for place in members.iter().flat_map(|member| asker.places(member, &trust)) {
            let mut peer = self.peers.remove(&place.server).unwrap_or_default();
            let shown = self.shown(&mut peer, &place, checkpoint, &trust).await;
            self.peers.insert(place.server.clone(), peer);
            match shown {
                Ok((lines, key)) => {
                    let added = cosigned.add_cosignatures(&lines, &[key.statement.key().clone()]);
                    if added.is_ok_and(|added| added > 0) {
                        witnesses.push(key);
                    }
                }
                Err(error @ ShowError::Refuted(_)) => {
                    tracing::error!(%error, peer = %place.server, "a peer has seen another log of this node than there is");
                    return;
                }
                Err(error) => {
                    tracing::info!(%error, peer = %place.server, "a peer did not co-sign the checkpoint");
                    // Shown again with the next one.
                    handles.partners.note(place.ledger.member());
                }
            }
        }
        if !witnesses.is_empty()
            && let Err(error) = handles.log.keep_cosigned(cosigned, witnesses).await
        {
            tracing::warn!(%error, "co-signatures could not be kept");
        }
    }

    async fn shown(
        &self,
        peer: &mut Peer,
        place: &Place,
        checkpoint: &SignedCheckpoint,
        trust: &TrustSet,
    ) -> Result<(Vec<NoteSignature>, Binding), ShowError> {
        let size = checkpoint.claimed().size();
        if !peer.is_compared {
            self.compare(place).await?;
            peer.is_compared = true;
        }
        // Once for a key that is not known, once for another size than was thought; a third time is not in order.
        for _ in 0..3 {
            let proof = self
                .asker
                .handles
                .log
                .prove_consistency(peer.size.min(size), size)
                .await;
            let request = AddCheckpoint {
                old_size: peer.size.min(size),
                proof: proof.map_err(|error| AskError::Exchange(error.to_string()))?,
                checkpoint: checkpoint.clone(),
            };
            let body = request.to_bytes();
            let answer = self
                .asker
                .ask(place, Method::POST, "add-checkpoint", body)
                .await?;
            match answer.status {
                StatusCode::OK => {
                    peer.size = size;
                    let lines = NoteSignature::parse_lines(&answer.body)
                        .map_err(|error| AskError::Answer(error.to_string()))?;
                    let key = match peer.key.clone() {
                        Some(key) => key,
                        None => {
                            self.asker
                                .key_of(place, SignatureKind::Cosignature, trust)
                                .await?
                        }
                    };
                    peer.key = Some(key.clone());
                    return Ok((lines, key));
                }
                StatusCode::NOT_FOUND => self.introduce(place).await?,
                StatusCode::CONFLICT => {
                    let known = parse_size_body(&answer.body)
                        .ok_or_else(|| AskError::Answer("it names no size".into()))?;
                    if known > size {
                        self.compare(place).await?;
                        return Err(AskError::Answer("it names a size that it does not show".into()).into());
                    }
                    peer.size = known;
                }
                _ => {
                    // Perhaps what it keeps is of this log as it was before an older copy took its place.
                    self.compare(place).await?;
                    return Err(AskError::refused(&answer).into());
                }
            }
        }
        Err(AskError::Answer("it contradicts itself".into()).into())
    }

    /// Compares the log with what the peer keeps of it. Only what this node signed counts: a peer that claims to have seen
    /// more stops nobody.
    async fn compare(&self, place: &Place) -> Result<(), ShowError> {
        let [key, _] = self.asker.handles.log.ledger_keys();
        let id = key.name().as_str().rsplit('/').next().unwrap_or_default();
        let answer = self
            .asker
            .ask(place, Method::GET, &format!("kept/{id}"), Vec::new())
            .await?;
        match answer.status {
            StatusCode::OK => {}
            // It keeps nothing of this log yet.
            StatusCode::NOT_FOUND => return Ok(()),
            _ => return Err(AskError::refused(&answer).into()),
        }
        let seen =
            SignedCheckpoint::parse(&answer.body).map_err(|error| AskError::Answer(error.to_string()))?;
        match self.asker.handles.log.compare_with_seen(seen).await {
            Ok(()) => Ok(()),
            Err(error @ (LogError::Behind { .. } | LogError::Contradiction { .. })) => {
                Err(ShowError::Refuted(error))
            }
            Err(error) => Err(AskError::Answer(error.to_string()).into()),
        }
    }

    /// Shows the peer who answers for the key of this log.
    async fn introduce(&self, place: &Place) -> Result<(), ShowError> {
        let [log_key, _] = self.asker.handles.log.ledger_keys();
        let bindings = self.asker.handles.log.ledger_bindings();
        let binding = bindings
            .iter()
            .find(|binding| *binding.statement.key() == log_key)
            .ok_or_else(|| AskError::Exchange("the key of this log is not bound to a member yet".into()))?;
        let answer = self
            .asker
            .ask(place, Method::PUT, "key", binding.to_json())
            .await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(()),
            _ => Err(AskError::refused(&answer).into()),
        }
    }
}
