//! Signed notes (C2SP signed-note): a text, a blank line, and a line for each signature. Owns that form and its verdict;
//! `note/key.rs` owns names, keys and what exactly they sign.
//!
//! ```text
//! the text, which ends with a line feed
//!
//! — key.name base64(key id (4) ‖ signature)
//! ```
//!
//! Signatures by unknown keys are carried and say nothing. One by a known key that does not fit makes the whole note
//! worthless, whatever else it carries.

mod key;
#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use self::key::{
    Cosigner, InvalidKeyName, InvalidVerifierKey, KeyName, NoteSigner, SignatureKind, VerifierKey,
};

use crate::limits;

/// What begins each signature line: em dash, space.
const DASH: &str = "\u{2014} ";

/// Why bytes are no note, or a note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// A character that no note has.
    #[error("the note has a control character or is not UTF-8")]
    Character,
    /// Not in the form of a note.
    #[error("not a signed note: {0}")]
    Malformed(&'static str),
    /// A known key has a signature that does not fit.
    #[error("the signature of {0} does not fit the note")]
    Mismatch(KeyName),
    /// More than [`limits::NOTE`] bytes or [`limits::NOTE_SIGNATURES`] signatures.
    #[error("the note is larger than any that is read")]
    TooLarge,
    /// Nobody who is known signed it.
    #[error("the note has no signature by {0}")]
    Unsigned(String),
}

impl NoteError {
    /// A stable word for reports.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Character | Self::Malformed(_) => "malformed_note",
            Self::Mismatch(_) => "note_signature",
            Self::TooLarge => "note_too_large",
            Self::Unsigned(_) => "note_unsigned",
        }
    }
}

/// One signature line. What the bytes mean is for the key to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: KeyName,
    id: [u8; 4],
    value: Vec<u8>,
}

impl NoteSignature {
    /// Name of the key that is said to have signed.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    pub(super) fn value(&self) -> &[u8] {
        &self.value
    }

    pub(in crate::log) fn is_by(&self, key: &VerifierKey) -> bool {
        self.name == *key.name() && self.id == key.id()
    }

    /// The lines of a witness's answer (C2SP tlog-witness): signature lines and nothing else, at least one.
    ///
    /// # Errors
    /// What is no such line.
    pub fn parse_lines(bytes: &[u8]) -> Result<Vec<Self>, NoteError> {
        let lines = text_of(bytes)?
            .strip_suffix('\n')
            .ok_or(NoteError::Malformed("the last line does not end"))?;
        let signatures = lines
            .split('\n')
            .map(Self::parse)
            .take(limits::NOTE_SIGNATURES + 1)
            .collect::<Result<Vec<_>, _>>()?;
        if signatures.len() > limits::NOTE_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        Ok(signatures)
    }

    fn parse(line: &str) -> Result<Self, NoteError> {
        let malformed = NoteError::Malformed("a signature line is not `— name base64`");
        let (name, value) = line
            .strip_prefix(DASH)
            .and_then(|rest| rest.split_once(' '))
            .ok_or(malformed.clone())?;
        let name = name.parse().map_err(|_| malformed.clone())?;
        let bytes = STANDARD.decode(value).map_err(|_| malformed.clone())?;
        match bytes.split_first_chunk() {
            Some((id, value)) if !value.is_empty() => Ok(Self {
                name,
                id: *id,
                value: value.to_vec(),
            }),
            _ => Err(malformed),
        }
    }
}

impl fmt::Display for NoteSignature {
    /// The line, with its line feed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.id, &self.value[..]].concat();
        writeln!(f, "{DASH}{} {}", self.name, STANDARD.encode(bytes))
    }
}

/// A signature that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// Whose it is.
    pub name: KeyName,
    /// What kind of.
    pub kind: SignatureKind,
    /// For a co-signature, when it was made by the witness's clock: seconds since 1970.
    pub second: Option<u64>,
}

/// A text with signatures, none of which is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// A note with one signature.
    ///
    /// # Errors
    /// A text that does not end with a line feed, is too large or has control characters.
    pub fn sign(text: String, signer: &NoteSigner) -> Result<Self, NoteError> {
        text_of(text.as_bytes())?;
        if !text.ends_with('\n') {
            return Err(NoteError::Malformed("the text does not end with a line feed"));
        }
        if key::is_cosigned(&text) {
            return Err(NoteError::Malformed("the text is one that only witnesses sign"));
        }
        let signatures = vec![signer.sign(&text)];
        Ok(Self { text, signatures })
    }

    /// Reads a note.
    ///
    /// # Errors
    /// What is no note, within the bounds of [`limits`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        let note = text_of(bytes)?;
        let blank = note
            .rfind("\n\n")
            .ok_or(NoteError::Malformed("no blank line before the signatures"))?;
        let (text, signatures) = (&note[..=blank], &note[blank + 2..]);
        Ok(Self {
            text: text.to_owned(),
            signatures: NoteSignature::parse_lines(signatures.as_bytes())?,
        })
    }

    /// The text with its last line feed. Do not use it before [`verify`](Self::verify) says whose it is.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures, in the order of the lines.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature; one that is there already is not added twice.
    ///
    /// # Errors
    /// More signatures than a note may have.
    pub fn add(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.contains(&signature) {
            return Ok(());
        }
        if self.signatures.len() >= limits::NOTE_SIGNATURES {
            return Err(NoteError::TooLarge);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// The bytes of the note.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    /// The signatures by these keys, each of which must fit. Empty if none of the keys signed.
    ///
    /// # Errors
    /// A signature by one of the keys that does not fit.
    pub fn verify(&self, keys: &[VerifierKey]) -> Result<Vec<Signed>, NoteError> {
        let mut signed = Vec::new();
        for signature in &self.signatures {
            let Some(key) = keys.iter().find(|key| signature.is_by(key)) else {
                continue;
            };
            let second = key
                .verify(&self.text, &signature.value)
                .map_err(|_| NoteError::Mismatch(signature.name.clone()))?;
            signed.push(Signed {
                name: signature.name.clone(),
                kind: key.kind(),
                second,
            });
        }
        Ok(signed)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| signature.fmt(f))
    }
}

/// Text as a note may have it.
fn text_of(bytes: &[u8]) -> Result<&str, NoteError> {
    if bytes.len() > limits::NOTE {
        return Err(NoteError::TooLarge);
    }
    if bytes.iter().any(|&byte| byte < 0x20 && byte != b'\n') {
        return Err(NoteError::Character);
    }
    std::str::from_utf8(bytes).map_err(|_| NoteError::Character)
}
