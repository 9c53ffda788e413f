//! Two checkpoints of one log that do not go together: evidence to keep, and to show to others.
//!
//! As a file it is JSON: `format` is 1, `kind`, and the two checkpoints as text, `known` and `shown`.

use super::super::checkpoint::{CheckpointError, SignedCheckpoint};
use super::super::note::VerifierKey;
use crate::limits;

const FORMAT: u32 = 1;

/// How two checkpoints do not go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContradictionKind {
    /// Same size, other root. With both signatures this proves that the log forked.
    OtherRoot,
    /// A smaller tree was shown after a larger one: the log was restored from an older state, or somebody repeated an
    /// old checkpoint.
    Smaller,
    /// A larger tree was shown, with a proof that does not hold: perhaps a fork, perhaps a fault.
    Unproven,
}

/// Two checkpoints of one log, both signed by it, that do not go together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contradiction {
    kind: ContradictionKind,
    known: SignedCheckpoint,
    shown: SignedCheckpoint,
}

/// Why a file is no such evidence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContradictionError {
    /// Not the JSON of one.
    #[error("the file is no evidence of two checkpoints that contradict each other")]
    Malformed,
    /// A checkpoint in it cannot be read or is not signed by the log.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The two do not have the relation that is stated.
    #[error("the two checkpoints do not contradict each other as stated")]
    Unrelated,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Json {
    format: u32,
    kind: ContradictionKind,
    known: String,
    shown: String,
}

impl Contradiction {
    /// What sizes and roots of two checkpoints alone say against each other; none if the shown one is larger, or the same.
    pub(super) fn between(known: &SignedCheckpoint, shown: &SignedCheckpoint) -> Option<Self> {
        let (before, after) = (known.claimed(), shown.claimed());
        let kind = if before.origin() != after.origin() || after.size() > before.size() {
            return None;
        } else if after.size() < before.size() {
            ContradictionKind::Smaller
        } else if after.root() != before.root() {
            ContradictionKind::OtherRoot
        } else {
            return None;
        };
        Some(Self::new(kind, known, shown))
    }

    pub(super) fn unproven(known: &SignedCheckpoint, shown: &SignedCheckpoint) -> Self {
        Self::new(ContradictionKind::Unproven, known, shown)
    }

    fn new(kind: ContradictionKind, known: &SignedCheckpoint, shown: &SignedCheckpoint) -> Self {
        Self {
            kind,
            known: known.clone(),
            shown: shown.clone(),
        }
    }

    /// How they do not go together.
    #[must_use]
    pub const fn kind(&self) -> ContradictionKind {
        self.kind
    }

    /// Whether this proves a fork to everybody who has the log's key.
    #[must_use]
    pub fn proves_a_fork(&self) -> bool {
        self.kind == ContradictionKind::OtherRoot
    }

    /// The one that was kept.
    #[must_use]
    pub const fn known(&self) -> &SignedCheckpoint {
        &self.known
    }

    /// The one that was shown later.
    #[must_use]
    pub const fn shown(&self) -> &SignedCheckpoint {
        &self.shown
    }

    /// Verifies that the log signed both, and that they do not go together as stated.
    ///
    /// # Errors
    /// A checkpoint that the log did not sign, or a relation that they do not have.
    pub fn verify(&self, log: &VerifierKey) -> Result<ContradictionKind, ContradictionError> {
        self.known.verify(log, &[])?;
        self.shown.verify(log, &[])?;
        let stated = match Self::between(&self.known, &self.shown) {
            Some(found) => found.kind == self.kind,
            None => {
                self.kind == ContradictionKind::Unproven
                    && self.known.claimed().size() < self.shown.claimed().size()
            }
        };
        if stated {
            Ok(self.kind)
        } else {
            Err(ContradictionError::Unrelated)
        }
    }

    /// Reads the file.
    ///
    /// # Errors
    /// What is none.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ContradictionError> {
        if bytes.len() > 4 * limits::NOTE {
            return Err(ContradictionError::Malformed);
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|_| ContradictionError::Malformed)?;
        if json.format != FORMAT {
            return Err(ContradictionError::Malformed);
        }
        Ok(Self {
            kind: json.kind,
            known: SignedCheckpoint::parse(json.known.as_bytes())?,
            shown: SignedCheckpoint::parse(json.shown.as_bytes())?,
        })
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let json = Json {
            format: FORMAT,
            kind: self.kind,
            known: self.known.note().to_string(),
            shown: self.shown.note().to_string(),
        };
        let mut text = serde_json::to_vec_pretty(&json).expect("strings and numbers always serialise");
        text.push(b'\n');
        text
    }
}
