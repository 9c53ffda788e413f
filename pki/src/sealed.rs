//! Secrets on disk: a text file that opens only with the master key.
//!
//! Owns the format below and the master key, given as 32 bytes or made from a passphrase by Argon2id. Refuses
//! files of another version, method or label, and any changed byte. Reading and writing files is the caller's
//! affair, as is their mode (0600).
//!
//! ```text
//! -----BEGIN KONTOR SEALED DATA-----
//! Version: 1
//! Method: AES-256-GCM with HKDF-SHA-256
//! Master: file                                  (or: argon2id m=65536 t=3 p=1 salt=<32 hex digits>)
//! Label: signing key
//! Salt: <64 hex digits>
//! Nonce: <24 hex digits>
//!
//! <base64 of ciphertext and tag, lines of 64>
//! -----END KONTOR SEALED DATA-----
//! ```
//!
//! The key of a file is HKDF-SHA-256(master key, salt, "kontor sealed data 1"), new with every sealing; the header
//! from `Version` to the end of the `Nonce` line, line feeds included, is authenticated as associated data.

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::crypto::{self, AeadKey};
use crate::signing::{SigningError, SoftwareKey};

const BEGIN: &str = "-----BEGIN KONTOR SEALED DATA-----";
const END: &str = "-----END KONTOR SEALED DATA-----";
const VERSION: &str = "1";
const METHOD: &str = "AES-256-GCM with HKDF-SHA-256";
const INFO: &[u8] = b"kontor sealed data 1";
const KEY_LABEL: &str = "private key";

/// Largest file that is opened unless the caller names another limit.
const MAX_FILE: usize = 4 * 1024 * 1024;

/// Longest label.
const MAX_LABEL: usize = 200;

/// Something could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not a sealed file of version 1.
    #[error("not a sealed file that this version reads: {0}")]
    Malformed(&'static str),
    /// Sealed for another purpose.
    #[error(
        "the file holds \"{found}\" where \"{expected}\" is needed; check which file the configuration names"
    )]
    OtherLabel {
        /// Label of the file.
        found: String,
        /// Label asked for.
        expected: String,
    },
    /// Wrong key, or changed bytes.
    #[error("the file does not open: the unseal key or passphrase is another one, or the file was changed")]
    DoesNotOpen,
    /// Labels are one line of printable characters.
    #[error("a label is one line of at most 200 printable ASCII characters")]
    Label,
    /// Parameters of Argon2id out of range.
    #[error("Argon2id parameters are out of range: 8 MiB to 4 GiB of memory, 1 to 100 passes, 1 to 16 lanes")]
    Parameters,
    /// What was sealed is no key.
    #[error(transparent)]
    Key(#[from] SigningError),
}

impl SealError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "sealed_malformed",
            Self::OtherLabel { .. } => "sealed_other_label",
            Self::DoesNotOpen => "sealed_does_not_open",
            Self::Label => "sealed_label",
            Self::Parameters => "passphrase_parameters",
            Self::Key(_) => "sealed_key",
        }
    }
}

/// How a passphrase becomes a master key. Every file sealed with it names these values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseParams {
    /// Random, one per node.
    pub salt: [u8; 16],
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl PassphraseParams {
    /// A new salt, and 64 MiB, three passes, one lane (RFC 9106, second recommendation, on one core).
    pub fn generate() -> Self {
        Self {
            salt: crypto::random(),
            memory_kib: 64 * 1024,
            passes: 3,
            lanes: 1,
        }
    }
}

/// The key that everything sealed on a node opens with; wiped when dropped.
pub struct MasterKey {
    key: Zeroizing<[u8; 32]>,
    origin: Origin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    File,
    Passphrase(PassphraseParams),
}

impl MasterKey {
    /// A key of 32 random bytes, kept in a file of the operator.
    pub fn from_bytes(key: [u8; 32]) -> Self {
        Self {
            key: Zeroizing::new(key),
            origin: Origin::File,
        }
    }

    /// The same key once more, for another holder.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self {
            key: self.key.clone(),
            origin: self.origin,
        }
    }

    /// A key made from a passphrase by Argon2id; takes a noticeable part of a second, on purpose.
    pub fn from_passphrase(passphrase: &[u8], params: &PassphraseParams) -> Result<Self, SealError> {
        let PassphraseParams {
            salt,
            memory_kib,
            passes,
            lanes,
        } = *params;
        if !(8 * 1024..=4 * 1024 * 1024).contains(&memory_kib)
            || !(1..=100).contains(&passes)
            || !(1..=16).contains(&lanes)
        {
            return Err(SealError::Parameters);
        }
        let argon = Params::new(memory_kib, passes, lanes, Some(32)).map_err(|_| SealError::Parameters)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, argon)
            .hash_password_into(passphrase, &salt, &mut *key)
            .map_err(|_| SealError::Parameters)?;
        Ok(Self {
            key,
            origin: Origin::Passphrase(*params),
        })
    }

    /// Seals `data` under a label that says what it is; opening asks for the same label.
    pub fn seal(&self, label: &str, data: &[u8]) -> Result<Vec<u8>, SealError> {
        if label.is_empty() || label.len() > MAX_LABEL || label.trim() != label || !is_line(label) {
            return Err(SealError::Label);
        }
        let salt: [u8; 32] = crypto::random();
        let nonce: [u8; 12] = crypto::random();
        let header = format!(
            "Version: {VERSION}\nMethod: {METHOD}\nMaster: {}\nLabel: {label}\nSalt: {}\nNonce: {}\n",
            self.origin.to_text(),
            hex(&salt),
            hex(&nonce),
        );
        // Room for the tag, so that no copy of the plain data is left behind by growing.
        let mut body = Vec::with_capacity(data.len() + AeadKey::TAG_LEN);
        body.extend_from_slice(data);
        self.file_key(&salt).seal(&nonce, header.as_bytes(), &mut body);
        let mut file = format!("{BEGIN}\n{header}\n");
        for line in STANDARD.encode(&body).as_bytes().chunks(64) {
            file.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
            file.push('\n');
        }
        file.push_str(END);
        file.push('\n');
        Ok(file.into_bytes())
    }

    /// Opens what was sealed under `label`.
    pub fn open(&self, label: &str, file: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        self.open_up_to(label, file, MAX_FILE)
    }

    /// Opens what was sealed under `label`, a file of at most `limit` bytes: for files that are known to grow beyond the 4 MiB
    /// of [`MasterKey::open`].
    pub fn open_up_to(
        &self,
        label: &str,
        file: &[u8],
        limit: usize,
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let sealed = Sealed::read(file, limit)?;
        if sealed.label != label {
            return Err(SealError::OtherLabel {
                found: sealed.label.to_owned(),
                expected: label.to_owned(),
            });
        }
        let mut data = Zeroizing::new(sealed.body);
        self.file_key(&sealed.salt)
            .open(&sealed.nonce, sealed.header.as_bytes(), &mut data)
            .map_err(|_| SealError::DoesNotOpen)?;
        Ok(data)
    }

    fn file_key(&self, salt: &[u8]) -> AeadKey {
        let key = Zeroizing::new(crypto::hkdf_sha256::<32>(&*self.key, salt, INFO));
        AeadKey::new(&key)
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MasterKey").finish_non_exhaustive()
    }
}

/// Seals a private key.
pub fn seal_key(key: &SoftwareKey, master: &MasterKey) -> Vec<u8> {
    master
        .seal(KEY_LABEL, &key.to_pkcs8())
        .expect("the label is a line")
}

/// Opens a private key that was sealed by [`seal_key`].
pub fn open_key(file: &[u8], master: &MasterKey) -> Result<SoftwareKey, SealError> {
    Ok(SoftwareKey::from_pkcs8(&master.open(KEY_LABEL, file)?)?)
}

/// How the master key of this file is made from a passphrase; `None` where it is kept in a file of its own.
pub fn passphrase_params(file: &[u8]) -> Result<Option<PassphraseParams>, SealError> {
    match Sealed::read(file, MAX_FILE)?.origin {
        Origin::File => Ok(None),
        Origin::Passphrase(params) => Ok(Some(params)),
    }
}

struct Sealed<'a> {
    header: &'a str,
    origin: Origin,
    label: &'a str,
    salt: [u8; 32],
    nonce: [u8; 12],
    body: Vec<u8>,
}

impl<'a> Sealed<'a> {
    /// Reads exactly what [`MasterKey::seal`] writes.
    fn read(file: &'a [u8], limit: usize) -> Result<Self, SealError> {
        if file.len() > limit {
            return Err(SealError::Malformed("too large"));
        }
        let text = std::str::from_utf8(file).map_err(|_| SealError::Malformed("not a text file"))?;
        let inside = text
            .strip_prefix(BEGIN)
            .and_then(|text| text.strip_prefix('\n'))
            .ok_or(SealError::Malformed(
                "does not begin with the line of sealed data",
            ))?;
        let (head, body) = inside
            .split_once("\n\n")
            .ok_or(SealError::Malformed("no end of the header"))?;
        let body = body
            .strip_suffix('\n')
            .unwrap_or(body)
            .strip_suffix(END)
            .ok_or(SealError::Malformed("does not end with the line of sealed data"))?;
        let header = &inside[..head.len() + 1];
        let mut lines = head.split('\n');
        let mut field = |name: &'static str| {
            lines
                .next()
                .and_then(|line| line.strip_prefix(name)?.strip_prefix(": "))
                .ok_or(SealError::Malformed("a header line is missing or out of order"))
        };
        if field("Version")? != VERSION {
            return Err(SealError::Malformed("written by a newer version"));
        }
        if field("Method")? != METHOD {
            return Err(SealError::Malformed("unknown method"));
        }
        let origin =
            Origin::parse(field("Master")?).ok_or(SealError::Malformed("unknown kind of master key"))?;
        let label = field("Label")?;
        let salt = unhex(field("Salt")?).ok_or(SealError::Malformed("salt"))?;
        let nonce = unhex(field("Nonce")?).ok_or(SealError::Malformed("nonce"))?;
        if lines.next().is_some() {
            return Err(SealError::Malformed("unknown header line"));
        }
        let body: String = body.split('\n').collect();
        let body = STANDARD
            .decode(body)
            .map_err(|_| SealError::Malformed("not base64"))?;
        Ok(Self {
            header,
            origin,
            label,
            salt,
            nonce,
            body,
        })
    }
}

impl Origin {
    fn to_text(self) -> String {
        match self {
            Self::File => "file".to_owned(),
            Self::Passphrase(PassphraseParams {
                salt,
                memory_kib,
                passes,
                lanes,
            }) => {
                format!("argon2id m={memory_kib} t={passes} p={lanes} salt={}", hex(&salt))
            }
        }
    }

    fn parse(text: &str) -> Option<Self> {
        if text == "file" {
            return Some(Self::File);
        }
        let mut words = text.split(' ');
        let mut word = |prefix: &str| words.next()?.strip_prefix(prefix);
        let params = match (
            word("argon2id")?,
            word("m=")?,
            word("t=")?,
            word("p=")?,
            word("salt=")?,
        ) {
            ("", memory, passes, lanes, salt) => PassphraseParams {
                salt: unhex(salt)?,
                memory_kib: memory.parse().ok()?,
                passes: passes.parse().ok()?,
                lanes: lanes.parse().ok()?,
            },
            _ => return None,
        };
        words.next().is_none().then_some(Self::Passphrase(params))
    }
}

fn is_line(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lower-case digits only, so that one value has one text.
fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes = text.as_bytes();
    if bytes.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(bytes.chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(out)
}

#[cfg(test)]
mod tests;
