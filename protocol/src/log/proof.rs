//! A proof that a leaf is in a log, in one file (C2SP tlog-proof): index, hashes, checkpoint with its co-signatures.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! extra <base64>        only if there is extra data, which nobody has verified
//! index <decimal>
//! <base64 of a hash>    any number, from the leaf's sibling upwards
//!
//! <checkpoint with its signatures>
//! ```
//!
//! Who verifies knows the leaf and the keys; nothing else is needed, then or years later.

#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::checkpoint::{CheckpointError, SignedCheckpoint, VerifiedCheckpoint, decimal};
use super::note::VerifierKey;
use super::tree::{Hash, InvalidProof, verify_inclusion};
use super::witness::{parse_hashes, push_hashes};
use crate::limits;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof, not verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogProof {
    /// Bytes that are not signed by anybody.
    pub extra: Option<Vec<u8>>,
    /// Number of the leaf.
    pub index: u64,
    /// From the leaf's sibling upwards.
    pub path: Vec<Hash>,
    /// The tree that it is in.
    pub checkpoint: SignedCheckpoint,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogProofError {
    /// Not in the form of a proof.
    #[error("not the proof of a log: {0}")]
    Malformed(&'static str),
    /// Its checkpoint is not believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The leaf is not where the proof says.
    #[error(transparent)]
    Inclusion(#[from] InvalidProof),
}

impl LogProofError {
    /// A stable word for reports.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_proof",
            Self::Checkpoint(error) => error.code(),
            Self::Inclusion(error) => error.code(),
        }
    }
}

impl LogProof {
    /// Reads a proof.
    ///
    /// # Errors
    /// What is none, within the bounds of [`limits`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LogProofError> {
        let malformed = LogProofError::Malformed;
        if bytes.len() > limits::LOG_PROOF {
            return Err(malformed("it is too large"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is not UTF-8"))?;
        let (head, checkpoint) = text
            .split_once("\n\n")
            .ok_or(malformed("no blank line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(malformed("the first line is not c2sp.org/tlog-proof@v1"));
        }
        let extra = lines
            .next_if(|line| line.starts_with("extra "))
            .map(|line| STANDARD.decode(&line["extra ".len()..]))
            .transpose()
            .map_err(|_| malformed("the extra data is not base64"))?;
        let index = lines
            .next()
            .and_then(|line| decimal(line.strip_prefix("index ")?))
            .ok_or(malformed("no line `index` with a number"))?;
        let path = parse_hashes(lines).ok_or(malformed("a line is not the base64 of a hash, or too many"))?;
        Ok(Self {
            extra,
            index,
            path,
            checkpoint: SignedCheckpoint::parse(checkpoint.as_bytes())?,
        })
    }

    /// The bytes of the proof.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_text().into_bytes()
    }

    /// The same as text, which it always is.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", STANDARD.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        push_hashes(&mut text, &self.path);
        text.push('\n');
        text.push_str(&self.checkpoint.note().to_string());
        text
    }

    /// Verifies that the leaf with this hash stands at [`index`](Self::index) of a tree that the log signed; tells which of
    /// the witnesses co-signed it.
    ///
    /// # Errors
    /// Why that is not proven.
    pub fn verify(
        &self,
        leaf: &Hash,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<VerifiedCheckpoint, LogProofError> {
        let verified = self.checkpoint.verify(log, witnesses)?;
        let tree = verified.checkpoint();
        verify_inclusion(leaf, self.index, tree.size(), &self.path, tree.root())?;
        Ok(verified)
    }
}
