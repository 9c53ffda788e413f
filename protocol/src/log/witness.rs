//! Witnessing (C2SP tlog-witness): a log shows its newest checkpoint with the proof that it goes on from the one before;
//! whoever keeps that one checks and co-signs. Owns the request, the answers, and the decision as a pure function.
//!
//! A witness keeps one checkpoint for each log. It decides, **writes the new one to disk**, and only then hands out the
//! signature; deciding and writing must not be interleaved with another request about the same log. [`Accepted`] is the
//! only thing that a co-signature is made from.
//!
//! Where a log shows something that what is kept speaks against, the answer carries a [`Contradiction`] with both
//! checkpoints. Two roots for one size, both signed, prove to everybody that the log forked. What a log learns about itself
//! from what others kept of it is [`own_head`].

mod contradiction;
mod head;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::contradiction::{Contradiction, ContradictionError, ContradictionKind};
pub use self::head::{OwnHead, own_head};

use super::checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint, base64_hash, decimal};
use super::note::{Cosigner, NoteSignature, VerifierKey};
use super::tree::{Hash, InvalidProof, PROOF_LIMIT, empty_root, verify_consistency};
use crate::limits;

/// Media type of the answer that names the size a witness knows.
pub const SIZE_MEDIA_TYPE: &str = "text/x.tlog.size";

/// A request to a witness (`add-checkpoint`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint that the witness is thought to keep; 0 for none.
    pub old_size: u64,
    /// That the tree of this size is the beginning of the new one.
    pub proof: Vec<Hash>,
    /// The new checkpoint.
    pub checkpoint: SignedCheckpoint,
}

/// Why a request cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not in the form of a request.
    #[error("not a request to a witness: {0}")]
    Malformed(&'static str),
    /// The checkpoint in it cannot be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl RequestError {
    /// A stable word for answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_witness_request",
            Self::Checkpoint(error) => error.code(),
        }
    }
}

impl AddCheckpoint {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// What is none, within the bounds of [`limits`]. The answer is 400.
    pub fn parse(body: &[u8]) -> Result<Self, RequestError> {
        let malformed = RequestError::Malformed;
        if body.len() > limits::CHECKPOINT_REQUEST {
            return Err(malformed("it is too large"));
        }
        let text = std::str::from_utf8(body).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(malformed("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("old ")?))
            .ok_or(malformed("the first line is not `old` and a size"))?;
        Ok(Self {
            old_size,
            proof: parse_hashes(lines).ok_or(malformed(
                "a line of the proof is not the base64 of a hash, or too many",
            ))?,
            checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes())?,
        })
    }

    /// The body of the request.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old_size);
        push_hashes(&mut body, &self.proof);
        body.push('\n');
        let mut body = body.into_bytes();
        body.extend(self.checkpoint.to_bytes());
        body
    }
}

/// Lines of hashes; `None` for other lines or more than a proof has.
pub(super) fn parse_hashes<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Vec<Hash>> {
    let hashes: Vec<_> = lines
        .take(PROOF_LIMIT + 1)
        .map(base64_hash)
        .collect::<Option<_>>()?;
    (hashes.len() <= PROOF_LIMIT).then_some(hashes)
}

pub(super) fn push_hashes(out: &mut String, hashes: &[Hash]) {
    for hash in hashes {
        out.push_str(&STANDARD.encode(hash));
        out.push('\n');
    }
}

/// The body of the answer to a request about another size than the one kept (409).
#[must_use]
pub fn size_body(size: u64) -> String {
    format!("{size}\n")
}

/// Reads that body. A log that is told a size above its own has lost entries: it was restored from an older state.
#[must_use]
pub fn parse_size_body(body: &[u8]) -> Option<u64> {
    decimal(std::str::from_utf8(body).ok()?.strip_suffix('\n')?)
}

/// What a witness does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Keep it, then co-sign it (200).
    Accept(Accepted),
    /// Another checkpoint is kept than the request goes on from; say which size it has (409).
    Conflict {
        /// The size that is kept; 0 for none.
        known_size: u64,
        /// What the two checkpoints say against each other.
        contradiction: Option<Box<Contradiction>>,
    },
    /// Refuse.
    Refuse {
        /// Why.
        refusal: Refusal,
        /// What the two checkpoints say against each other.
        contradiction: Option<Box<Contradiction>>,
    },
}

/// A checkpoint that goes on from what was kept; only [`decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted(VerifiedCheckpoint);

impl Accepted {
    /// The checkpoint to keep, in place of the one before.
    #[must_use]
    pub const fn checkpoint(&self) -> &VerifiedCheckpoint {
        &self.0
    }

    /// The co-signature, at a second since 1970. Hand it out only after the checkpoint is on disk.
    #[must_use]
    pub fn cosign(&self, cosigner: &Cosigner, second: u64) -> NoteSignature {
        cosigner.cosign(self.0.signed().note().text(), second)
    }
}

/// Why a witness does not co-sign.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No key is known for the origin.
    #[error("the log {0} is not known here")]
    UnknownLog(String),
    /// The log did not sign.
    #[error(transparent)]
    Signature(CheckpointError),
    /// The checkpoint is smaller than the one that it is said to go on from.
    #[error("the old size is larger than that of the checkpoint")]
    Sizes,
    /// The empty tree has one root.
    #[error("the checkpoint of the empty tree has another root")]
    EmptyRoot,
    /// Same size, other root: the log forked.
    #[error("the log signed another root for the same size before")]
    OtherRoot,
    /// The proof does not lead from the kept checkpoint to the new one.
    #[error(transparent)]
    Proof(#[from] InvalidProof),
}

impl Refusal {
    /// A stable word for answers.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::UnknownLog(_) => "unknown_log",
            Self::Signature(error) => error.code(),
            Self::Sizes => "proof_sizes",
            Self::EmptyRoot => "empty_root",
            Self::OtherRoot => "log_forked",
            Self::Proof(error) => error.code(),
        }
    }

    /// The status of the answer.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            Self::UnknownLog(_) => 404,
            Self::Signature(_) => 403,
            Self::Sizes => 400,
            Self::EmptyRoot | Self::OtherRoot | Self::Proof(_) => 422,
        }
    }
}

/// Decides about a request: `known` is the checkpoint that is kept for this log, `log` the key that is known for its
/// origin.
///
/// What is kept was verified when it was; it is not verified again.
#[must_use]
pub fn decide(
    known: Option<&SignedCheckpoint>,
    log: Option<&VerifierKey>,
    request: &AddCheckpoint,
) -> Decision {
    let refuse = |refusal, contradiction| Decision::Refuse {
        refusal,
        contradiction,
    };
    let shown = request.checkpoint.claimed();
    // What is kept of another log says nothing about this one.
    let log = log.filter(|_| known.is_none_or(|known| known.claimed().origin() == shown.origin()));
    let Some(log) = log else {
        let origin = shown.origin().chars().take(200).collect();
        return refuse(Refusal::UnknownLog(origin), None);
    };
    let verified = match request.checkpoint.verify(log, &[]) {
        Ok(verified) => verified,
        Err(error) => return refuse(Refusal::Signature(error), None),
    };
    let contradiction = known.and_then(|known| Contradiction::between(known, &request.checkpoint));
    let other_root = contradiction
        .as_ref()
        .is_some_and(|c| c.kind() == ContradictionKind::OtherRoot);
    let contradiction = contradiction.map(Box::new);
    if request.old_size > shown.size() {
        return refuse(Refusal::Sizes, contradiction);
    }
    let (known_size, known_root) = known.map_or((0, empty_root()), |known| {
        (known.claimed().size(), *known.claimed().root())
    });
    if request.old_size != known_size {
        return Decision::Conflict {
            known_size,
            contradiction,
        };
    }
    if other_root {
        return refuse(Refusal::OtherRoot, contradiction);
    }
    if shown.size() == 0 && *shown.root() != empty_root() {
        return refuse(Refusal::EmptyRoot, contradiction);
    }
    match verify_consistency(
        known_size,
        &known_root,
        shown.size(),
        shown.root(),
        &request.proof,
    ) {
        Ok(()) => Decision::Accept(Accepted(verified)),
        Err(error) => {
            let unproven = known.map(|known| Contradiction::unproven(known, &request.checkpoint));
            refuse(error.into(), unproven.map(Box::new))
        }
    }
}
