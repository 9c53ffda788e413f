//! Names and keys of notes: verifier keys as text, and the two kinds of signature that we make: Ed25519 over the text
//! (0x01, C2SP signed-note) and the time-stamped co-signature of a witness (0x04, C2SP tlog-cosignature).
//!
//! A co-signature signs other bytes than a signature of kind 0x01 can: a text that begins with `cosignature/v1` has that as
//! its origin, and a [`NoteSigner`] refuses to sign it.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::{Ed25519Key, Ed25519Mismatch, sha256, verify_ed25519};

use super::NoteSignature;
use crate::limits;

/// First line of what a witness signs.
const COSIGNATURE: &str = "cosignature/v1";

/// The name of a key: no spaces, no `+`, no control characters, at most [`limits::KEY_NAME`] bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyName(String);

/// A text that no key of a note can have as its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a key has no spaces, `+` or control characters, and is not empty")]
pub struct InvalidKeyName;

impl KeyName {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for KeyName {
    type Err = InvalidKeyName;

    fn from_str(text: &str) -> Result<Self, InvalidKeyName> {
        let fits = (1..=limits::KEY_NAME).contains(&text.len())
            && !text
                .chars()
                .any(|c| c.is_whitespace() || c.is_control() || c == '+');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidKeyName)
        }
    }
}

/// What a signature of a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureKind {
    /// 0x01: Ed25519 over the text. That of a log.
    Ed25519,
    /// 0x04: Ed25519 over second and text of a checkpoint. That of a witness.
    Cosignature,
}

impl SignatureKind {
    /// The byte that stands for it.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }

    /// The kind of this byte; the others that the specification assigns are not spoken here.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Ed25519),
            4 => Some(Self::Cosignature),
            _ => None,
        }
    }
}

/// A text that is no verifier key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a verifier key of kind 0x01 or 0x04: they are `name+id+key`, with the id as 8 hex digits and the key as base64"
)]
pub struct InvalidVerifierKey;

/// Whose signature to look for, and the key it must fit. As text `name+hex(id)+base64(kind ‖ key)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: KeyName,
    kind: SignatureKind,
    public_key: [u8; 32],
    id: [u8; 4],
}

impl VerifierKey {
    /// The key of a name; its id follows from the rest.
    #[must_use]
    pub fn new(name: KeyName, kind: SignatureKind, public_key: [u8; 32]) -> Self {
        let mut input = Vec::with_capacity(name.0.len() + 34);
        input.extend(name.0.as_bytes());
        input.extend([b'\n', kind.code()]);
        input.extend(public_key);
        let [a, b, c, d, ..] = sha256(&input);
        Self {
            name,
            kind,
            public_key,
            id: [a, b, c, d],
        }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The kind of its signatures.
    #[must_use]
    pub const fn kind(&self) -> SignatureKind {
        self.kind
    }

    /// The Ed25519 public key.
    #[must_use]
    pub const fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// The id that stands in signature lines.
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }

    /// Verifies a signature over a text; gives the second of a co-signature.
    pub(in crate::log) fn verify(&self, text: &str, value: &[u8]) -> Result<Option<u64>, Ed25519Mismatch> {
        match self.kind {
            SignatureKind::Ed25519 => {
                let value = value.try_into().map_err(|_| Ed25519Mismatch)?;
                verify_ed25519(&self.public_key, text.as_bytes(), value).map(|()| None)
            }
            SignatureKind::Cosignature => {
                let (second, value) = value.split_first_chunk().ok_or(Ed25519Mismatch)?;
                let second = u64::from_be_bytes(*second);
                let value = value.try_into().map_err(|_| Ed25519Mismatch)?;
                if i64::try_from(second).is_err() {
                    return Err(Ed25519Mismatch);
                }
                verify_ed25519(&self.public_key, cosigned(text, second).as_bytes(), value)
                    .map(|()| Some(second))
            }
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind.code()], &self.public_key[..]].concat();
        let id = u32::from_be_bytes(self.id);
        write!(f, "{}+{id:08x}+{}", self.name, STANDARD.encode(key))
    }
}

impl FromStr for VerifierKey {
    type Err = InvalidVerifierKey;

    fn from_str(text: &str) -> Result<Self, InvalidVerifierKey> {
        let mut pieces = text.splitn(3, '+');
        let mut piece = || pieces.next().ok_or(InvalidVerifierKey);
        let (name, _, key) = (piece()?, piece()?, piece()?);
        let name = name.parse().map_err(|_| InvalidVerifierKey)?;
        let key = STANDARD.decode(key).map_err(|_| InvalidVerifierKey)?;
        let [kind, key @ ..] = &key[..] else {
            return Err(InvalidVerifierKey);
        };
        let kind = SignatureKind::from_code(*kind).ok_or(InvalidVerifierKey)?;
        let key = Self::new(name, kind, key.try_into().map_err(|_| InvalidVerifierKey)?);
        // The id is that of the key, in the one spelling.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(InvalidVerifierKey)
        }
    }
}

/// Signs notes under a name: the key of a log.
#[derive(Debug)]
pub struct NoteSigner {
    verifier: VerifierKey,
    key: Ed25519Key,
}

impl NoteSigner {
    /// A log's name and key.
    #[must_use]
    pub fn new(name: KeyName, key: Ed25519Key) -> Self {
        Self {
            verifier: VerifierKey::new(name, SignatureKind::Ed25519, key.public_key()),
            key,
        }
    }

    /// What its signatures are verified with.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    pub(super) fn sign(&self, text: &str) -> NoteSignature {
        NoteSignature {
            name: self.verifier.name.clone(),
            id: self.verifier.id,
            value: self.key.sign(text.as_bytes()).to_vec(),
        }
    }
}

/// Co-signs checkpoints under a name: the key of a witness. Not to be shared between witnesses: the name is not signed.
#[derive(Debug)]
pub struct Cosigner {
    verifier: VerifierKey,
    key: Ed25519Key,
}

impl Cosigner {
    /// A witness's name and key.
    #[must_use]
    pub fn new(name: KeyName, key: Ed25519Key) -> Self {
        Self {
            verifier: VerifierKey::new(name, SignatureKind::Cosignature, key.public_key()),
            key,
        }
    }

    /// What its signatures are verified with.
    #[must_use]
    pub const fn verifier(&self) -> &VerifierKey {
        &self.verifier
    }

    /// Signs the text of a checkpoint at a second since 1970. [`Accepted`](crate::log::witness::Accepted) alone asks for it:
    /// it says that no larger tree of the log was seen.
    #[must_use]
    pub(in crate::log) fn cosign(&self, text: &str, second: u64) -> NoteSignature {
        let signature = self.key.sign(cosigned(text, second).as_bytes());
        NoteSignature {
            name: self.verifier.name.clone(),
            id: self.verifier.id,
            value: [&second.to_be_bytes(), &signature[..]].concat(),
        }
    }
}

/// Whether a signature over this text could be taken for a co-signature.
pub(super) fn is_cosigned(text: &str) -> bool {
    text.lines().next() == Some(COSIGNATURE)
}

fn cosigned(text: &str, second: u64) -> String {
    format!("{COSIGNATURE}\ntime {second}\n{text}")
}
