//! Checkpoints (C2SP tlog-checkpoint): what a log says its tree is, as a signed note. Owns the text of a checkpoint, and
//! the step from received to verified.
//!
//! The text has a line each for origin, size in decimal and root in base64, then any number of extension lines, which
//! nobody here writes or evaluates. The key that signs has the origin as its name.

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::note::{KeyName, Note, NoteError, NoteSignature, NoteSigner, SignatureKind, VerifierKey};
use super::tree::{Hash, SIZE_LIMIT};
use crate::limits;

/// The state of a log: nothing here is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    origin: String,
    size: u64,
    root: Hash,
    extensions: Vec<String>,
}

/// Why a text is no checkpoint, or a checkpoint is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not in the form of a checkpoint.
    #[error("not a checkpoint: {0}")]
    Malformed(&'static str),
    /// Not in the form of a note, or not signed.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// It is about another log than the key is for.
    #[error("the checkpoint is of {found}, not of {expected}")]
    OtherLog {
        /// The log of the key.
        expected: String,
        /// The origin.
        found: String,
    },
}

impl CheckpointError {
    /// A stable word for reports.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_checkpoint",
            Self::Note(error) => error.code(),
            Self::OtherLog { .. } => "checkpoint_other_log",
        }
    }
}

impl Checkpoint {
    /// The state of a log of ours.
    #[must_use]
    pub fn new(origin: &KeyName, size: u64, root: Hash) -> Self {
        Self {
            origin: origin.as_str().to_owned(),
            size,
            root,
            extensions: Vec::new(),
        }
    }

    /// Reads the text of a checkpoint.
    ///
    /// # Errors
    /// What is none, and sizes above [`SIZE_LIMIT`].
    pub fn parse(text: &str) -> Result<Self, CheckpointError> {
        let malformed = CheckpointError::Malformed;
        let mut lines = text
            .strip_suffix('\n')
            .ok_or(malformed("the last line does not end"))?
            .split('\n');
        let mut line = |what| {
            lines
                .next()
                .filter(|line| !line.is_empty())
                .ok_or(malformed(what))
        };
        let origin = line("the origin is missing")?.to_owned();
        let size = line("the size is missing")?;
        let size = decimal(size).ok_or(malformed("the size is no decimal number without leading zeros"))?;
        let root = line("the root is missing")?;
        let root = base64_hash(root).ok_or(malformed("the root is not the base64 of 32 bytes"))?;
        let extensions: Vec<_> = lines
            .take(limits::CHECKPOINT_EXTENSIONS + 1)
            .map(str::to_owned)
            .collect();
        if extensions.len() > limits::CHECKPOINT_EXTENSIONS {
            return Err(malformed("it has too many extension lines"));
        }
        if extensions.iter().any(String::is_empty) {
            return Err(malformed("an extension line is empty"));
        }
        Ok(Self {
            origin,
            size,
            root,
            extensions,
        })
    }

    /// Which log says so.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Leaves of its tree.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Root of its tree.
    #[must_use]
    pub const fn root(&self) -> &Hash {
        &self.root
    }

    /// Lines that mean nothing to us.
    #[must_use]
    pub fn extensions(&self) -> &[String] {
        &self.extensions
    }
}

impl fmt::Display for Checkpoint {
    /// The text, with its last line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = STANDARD.encode(self.root);
        write!(f, "{}\n{}\n{root}\n", self.origin, self.size)?;
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// A checkpoint as it travels: with signatures that nobody has verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    note: Note,
    checkpoint: Checkpoint,
}

/// The co-signature of a witness: it saw no larger tree of this log until then, and none that contradicts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cosignature {
    /// Name of the witness's key.
    pub witness: KeyName,
    /// When, by the witness's clock: seconds since 1970.
    pub second: u64,
}

/// A checkpoint that its log signed; only [`SignedCheckpoint::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedCheckpoint {
    signed: SignedCheckpoint,
    cosignatures: Vec<Cosignature>,
}

impl SignedCheckpoint {
    /// Signs a checkpoint of the log that has this key.
    ///
    /// # Errors
    /// A checkpoint of another origin than the name of the key.
    pub fn sign(checkpoint: Checkpoint, signer: &NoteSigner) -> Result<Self, CheckpointError> {
        same_log(&checkpoint, signer.verifier())?;
        let note = Note::sign(checkpoint.to_string(), signer)?;
        Ok(Self { note, checkpoint })
    }

    /// Reads a checkpoint with its signatures.
    ///
    /// # Errors
    /// What is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, CheckpointError> {
        let note = Note::parse(bytes)?;
        let checkpoint = Checkpoint::parse(note.text())?;
        Ok(Self { note, checkpoint })
    }

    /// What the checkpoint says; nobody has verified who says it.
    #[must_use]
    pub const fn claimed(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.note.to_bytes()
    }

    /// Adds the signatures of a witness's answer that are by these witnesses; others are left out. Gives how many fit.
    ///
    /// # Errors
    /// A signature by one of the witnesses that does not fit; then none is added.
    pub fn add_cosignatures(
        &mut self,
        answer: &[NoteSignature],
        witnesses: &[VerifierKey],
    ) -> Result<usize, CheckpointError> {
        let mut fitting = Vec::new();
        for signature in answer {
            let key = witnesses.iter().find(|key| signature.is_by(key));
            if let Some(key) = key.filter(|key| key.kind() == SignatureKind::Cosignature) {
                key.verify(self.note.text(), signature.value())
                    .map_err(|_| NoteError::Mismatch(key.name().clone()))?;
                fitting.push(signature);
            }
        }
        for signature in &fitting {
            self.note.add((*signature).clone())?;
        }
        Ok(fitting.len())
    }

    /// Verifies that the log signed, and which of these witnesses did.
    ///
    /// # Errors
    /// A checkpoint of another log, without a signature by its key, or with one by a known key that does not fit.
    pub fn verify(
        &self,
        log: &VerifierKey,
        witnesses: &[VerifierKey],
    ) -> Result<VerifiedCheckpoint, CheckpointError> {
        same_log(&self.checkpoint, log)?;
        let witnesses = witnesses
            .iter()
            .filter(|key| key.kind() == SignatureKind::Cosignature);
        let keys: Vec<_> = std::iter::once(log).chain(witnesses).cloned().collect();
        let signed = self.note.verify(&keys)?;
        if !signed.iter().any(|s| s.kind == SignatureKind::Ed25519) {
            return Err(NoteError::Unsigned(log.name().to_string()).into());
        }
        let cosignatures = signed.into_iter().filter_map(|s| {
            s.second.map(|second| Cosignature {
                witness: s.name,
                second,
            })
        });
        Ok(VerifiedCheckpoint {
            cosignatures: cosignatures.collect(),
            signed: self.clone(),
        })
    }
}

impl VerifiedCheckpoint {
    /// What the log says.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.signed.checkpoint
    }

    /// Which of the witnesses that were asked for signed, in the order of the lines.
    #[must_use]
    pub fn cosignatures(&self) -> &[Cosignature] {
        &self.cosignatures
    }

    /// The checkpoint with all its signatures.
    #[must_use]
    pub const fn signed(&self) -> &SignedCheckpoint {
        &self.signed
    }
}

/// The name of a log's key is the origin, and its kind is that of logs.
fn same_log(checkpoint: &Checkpoint, log: &VerifierKey) -> Result<(), CheckpointError> {
    if checkpoint.origin == log.name().as_str() && log.kind() == SignatureKind::Ed25519 {
        Ok(())
    } else {
        Err(CheckpointError::OtherLog {
            expected: log.name().to_string(),
            found: checkpoint.origin.chars().take(200).collect(),
        })
    }
}

/// A number without sign and leading zeros, at most [`SIZE_LIMIT`].
pub(super) fn decimal(text: &str) -> Option<u64> {
    let digits = text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = text.parse().ok().filter(|_| digits)?;
    (number <= SIZE_LIMIT && (text == "0" || !text.starts_with('0'))).then_some(number)
}

/// The base64 of a hash, in its one spelling.
pub(super) fn base64_hash(text: &str) -> Option<Hash> {
    // The decoder wants room for what 44 characters can be.
    let mut room = [0; 33];
    let decoded = text.len() == 44 && STANDARD.decode_slice(text, &mut room) == Ok(32);
    room.first_chunk().copied().filter(|_| decoded)
}
