//! Whether a leaf is in the log of a security server, as an auditor asks it: from the leaf, a proof, and bindings of keys
//! that may come from anywhere, to who answers for it. Owns the order of the checks; trust is the configuration's.
//!
//! The log is the one that the leaf names, its place in the tree is the number of the leaf, and a member answers for the key
//! that signed the checkpoint. Only co-signatures by keys that members answer for are told.

use super::binding::{Binding, BindingError, Statement};
use super::checkpoint::VerifiedCheckpoint;
use super::note::{NoteError, SignatureKind, VerifierKey};
use super::origin::LogOrigin;
use super::proof::{LogProof, LogProofError};
use super::{Direction, EntryKind, Leaf, leaf_hash};
use crate::id::{MemberId, ServerId};
use crate::log::checkpoint::CheckpointError;
use crate::trust::TrustSet;

/// A leaf that is in its log; only [`verify_leaf`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenLeaf {
    origin: LogOrigin,
    answers: Statement,
    checkpoint: VerifiedCheckpoint,
    witnesses: Vec<Witnessed>,
    unbound: Vec<String>,
}

/// A co-signature by a server that a member answers for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    /// Whose witness.
    pub server: ServerId,
    /// Who answers for it.
    pub member: MemberId,
    /// When it had seen no larger tree, by its own clock: seconds since 1970.
    pub second: u64,
}

/// Why it is not proven that a leaf is in its log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InclusionError {
    /// The proof is about another place than the leaf names.
    #[error("the proof is about entry {proof}, but the leaf is entry {leaf}")]
    OtherNumber {
        /// Number in the proof.
        proof: u64,
        /// Number in the leaf.
        leaf: u64,
    },
    /// The checkpoint is of another log than the leaf names, or of a server on whose side the leaf was not written.
    #[error("the checkpoint of {0} is not of the log that the leaf names")]
    OtherLog(String),
    /// Nobody answers for the key.
    #[error(
        "nothing says who answers for the key that signs the checkpoints of {0}; ask the member for the binding of its key"
    )]
    KeyMissing(String),
    /// What is said about the key is not believed.
    #[error(transparent)]
    Key(#[from] BindingError),
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] LogProofError),
}

impl InclusionError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::OtherNumber { .. } => "proof_other_number",
            Self::OtherLog(_) => "proof_other_log",
            Self::KeyMissing(_) => "checkpoint_key_missing",
            Self::Key(error) => error.code(),
            Self::Proof(error) => error.code(),
        }
    }
}

/// Verifies that a leaf is where it says, in the log it names.
///
/// `bindings` are those at hand, for logs and witnesses, in any order; a witness whose binding is not believed is not told
/// as one. Bindings are judged at the second that they name.
///
/// # Errors
/// Why that is not proven.
pub fn verify_leaf(
    leaf: &Leaf,
    leaf_bytes: &[u8],
    proof: &LogProof,
    bindings: &[Binding],
    trust: &TrustSet,
) -> Result<ProvenLeaf, InclusionError> {
    let claimed = proof.checkpoint.claimed().origin();
    let origin = LogOrigin::parse(claimed)
        .filter(|origin| {
            origin.log_id == leaf.log_id && own_server(leaf).is_none_or(|own| *own == origin.server)
        })
        .ok_or_else(|| InclusionError::OtherLog(claimed.chars().take(200).collect()))?;
    if proof.index != leaf.number {
        return Err(InclusionError::OtherNumber {
            proof: proof.index,
            leaf: leaf.number,
        });
    }
    let (mut witnesses, mut unbound) = (Vec::new(), Vec::new());
    for binding in bindings {
        let key = binding.statement.key();
        let signed = proof.checkpoint.note().signatures().iter().any(|s| s.is_by(key));
        if key.kind() == SignatureKind::Cosignature && signed {
            match binding.verify(trust, None) {
                Ok(bound) => witnesses.push(bound.statement().clone()),
                Err(_) => unbound.push(key.name().to_string()),
            }
        }
    }
    let keys: Vec<VerifierKey> = witnesses
        .iter()
        .map(|statement| statement.key().clone())
        .collect();
    // A log may have had several keys; the one that signed decides.
    let mut refusal = InclusionError::KeyMissing(origin.to_string());
    for binding in bindings
        .iter()
        .filter(|b| b.statement.key().name().as_str() == claimed)
    {
        let attempt = binding
            .verify(trust, None)
            .map_err(InclusionError::Key)
            .and_then(|bound| {
                let checkpoint = proof.verify(&leaf_hash(leaf_bytes), bound.key(), &keys)?;
                Ok((bound.statement().clone(), checkpoint))
            });
        match attempt {
            Ok((answers, checkpoint)) => {
                let told = checkpoint.cosignatures().iter().filter_map(|cosignature| {
                    let by = witnesses
                        .iter()
                        .find(|w| *w.key().name() == cosignature.witness)?;
                    Some(Witnessed {
                        server: by.server().clone(),
                        member: by.member().clone(),
                        second: cosignature.second,
                    })
                });
                return Ok(ProvenLeaf {
                    witnesses: told.collect(),
                    origin,
                    answers,
                    checkpoint,
                    unbound,
                });
            }
            // Another key of the log did not sign; that says less than any other refusal.
            Err(InclusionError::Proof(LogProofError::Checkpoint(CheckpointError::Note(
                NoteError::Unsigned(_),
            )))) => {}
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

/// The server that wrote the leaf, where it says so.
fn own_server(leaf: &Leaf) -> Option<&ServerId> {
    match (leaf.kind, leaf.direction) {
        (EntryKind::Request, Direction::Sent) | (EntryKind::Response, Direction::Received) => {
            leaf.client_server.as_ref()
        }
        (EntryKind::Request, Direction::Received) | (EntryKind::Response, Direction::Sent) => {
            leaf.provider_server.as_ref()
        }
        (_, _) => None,
    }
}

impl ProvenLeaf {
    /// The log.
    #[must_use]
    pub const fn origin(&self) -> &LogOrigin {
        &self.origin
    }

    /// Who answers for the log's key.
    #[must_use]
    pub const fn answers(&self) -> &Statement {
        &self.answers
    }

    /// The tree that the leaf is in.
    #[must_use]
    pub const fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.checkpoint
    }

    /// Who co-signed it.
    #[must_use]
    pub fn witnesses(&self) -> &[Witnessed] {
        &self.witnesses
    }

    /// Names of witnesses that signed, but whose bindings are not believed.
    #[must_use]
    pub fn unbound(&self) -> &[String] {
        &self.unbound
    }
}
