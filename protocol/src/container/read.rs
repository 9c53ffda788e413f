//! Reading a container: from an archive to its known entries, within bounds.
//!
//! Owns structure (the `asic_*` codes of wire 10.2), not meaning. Small entries are held, attachments only hashed.

use std::io::{Read, Seek, Write};

use kontor_pki::crypto::{DigestAlgorithm, Hasher, sha512};
use zip::ZipArchive;

use super::check::without_timestamp;
use super::{
    ASIC_MANIFEST, MANIFEST, MEDIA_TYPE, MESSAGE, MIMETYPE, SIGNATURE_CHAIN, SIGNATURE_CHAIN_RESULT,
    TIMESTAMP, TIMESTAMP_CHAIN, TIMESTAMP_CHAIN_RESULT,
};
use crate::limits;
use crate::log::ListedPart;

/// The two documents of a hash chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainFiles {
    /// `sig-hashchainresult.xml`.
    pub result: Vec<u8>,
    /// `sig-hashchain.xml`.
    pub chain: Vec<u8>,
}

/// A time-stamp over many records (wire 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BatchTimestamp {
    /// `ts-hashchainresult.xml`: what is stamped.
    pub result: Vec<u8>,
    /// `ts-hashchain.xml`: how the signature document leads there.
    pub chain: Vec<u8>,
    /// `META-INF/timestamp.tst`.
    pub token: Vec<u8>,
}

/// An attachment of a container: not held, only measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// From 1; the body of a REST message is the first.
    pub number: usize,
    /// Its bytes.
    pub length: u64,
    digests: Vec<(DigestAlgorithm, Vec<u8>)>,
}

impl Attachment {
    /// The digest by SHA-256, SHA-384 or SHA-512.
    #[must_use]
    pub fn digest(&self, algorithm: DigestAlgorithm) -> Option<&[u8]> {
        self.digests
            .iter()
            .find(|(a, _)| *a == algorithm)
            .map(|(_, digest)| digest.as_slice())
    }
}

/// A container as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The signed message.
    pub message: Vec<u8>,
    /// The signature document.
    pub signatures: Vec<u8>,
    /// The hash chain of the signature.
    pub chain: Option<ChainFiles>,
    /// The time-stamp over many records.
    pub timestamp: Option<BatchTimestamp>,
    /// `META-INF/ASiCManifest.xml`.
    pub asic_manifest: Option<Vec<u8>>,
    /// The attachments in their order.
    pub attachments: Vec<Attachment>,
    /// A time-stamp token is there, but nothing that says what it is over.
    pub stray_timestamp: bool,
    /// Names of entries that no container has.
    pub foreign: Vec<String>,
}

/// Why bytes are no container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// `META-INF/ASiCManifest.xml` or the token is there without the other half of a batch time-stamp.
    #[error("the container has parts of a time-stamp over many records, but not all: {0} is missing")]
    BatchTimestampIncomplete(&'static str),
    /// The archive is damaged, or two programs could read different things out of it.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// The first entry says something else.
    #[error("the container is of another type than {MEDIA_TYPE}")]
    InvalidMimeType,
    /// One half of a hash chain is missing.
    #[error("the container has half a hash chain: {0} is missing")]
    HalfChain(&'static str),
    /// No message.
    #[error("the container has no message.xml")]
    MessageNotFound,
    /// Not an archive, or not of this kind.
    #[error("the file is no evidence container: it has no entry `mimetype`")]
    MimeTypeNotFound,
    /// No signature document.
    #[error("the container has no signature document")]
    SignatureNotFound,
    /// More, longer or larger entries than a container may have.
    #[error("the container is beyond its limits: {0}")]
    TooLarge(&'static str),
    /// More than one signature document.
    #[error("the container has more than one signature document; one message has one")]
    TwoSignatures,
}

impl ContainerError {
    /// The code of wire 10.2, or a word of ours where X-Road has none.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::BatchTimestampIncomplete(TIMESTAMP) => "asic_timestamp_not_found",
            Self::BatchTimestampIncomplete(ASIC_MANIFEST) => "asic_manifest_not_found",
            Self::BatchTimestampIncomplete(TIMESTAMP_CHAIN_RESULT)
            | Self::HalfChain(SIGNATURE_CHAIN_RESULT) => "asic_hash_chain_result_not_found",
            Self::BatchTimestampIncomplete(_) | Self::HalfChain(_) => "asic_hash_chain_not_found",
            Self::Damaged(_) => "damaged_archive",
            Self::InvalidMimeType => "asic_invalid_mime_type",
            Self::MessageNotFound => "asic_message_not_found",
            Self::MimeTypeNotFound => "asic_mime_type_not_found",
            Self::SignatureNotFound => "asic_signature_not_found",
            Self::TooLarge(_) => "too_large",
            Self::TwoSignatures => "two_signatures",
        }
    }
}

impl From<zip::result::ZipError> for ContainerError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// Entries by what they are, while they are collected.
#[derive(Default)]
struct Entries {
    mimetype: Option<Vec<u8>>,
    message: Option<Vec<u8>>,
    signatures: Option<Vec<u8>>,
    chain_result: Option<Vec<u8>>,
    chain: Option<Vec<u8>>,
    ts_chain_result: Option<Vec<u8>>,
    ts_chain: Option<Vec<u8>>,
    asic_manifest: Option<Vec<u8>>,
    token: Option<Vec<u8>>,
    attachments: Vec<Attachment>,
    foreign: Vec<String>,
}

impl Container {
    /// The parts as a log records them first: the signature document without a time-stamp that was put into it later.
    #[must_use]
    pub fn parts(&self) -> Vec<ListedPart> {
        let whole = |name: &str, bytes: &[u8]| ListedPart {
            name: name.to_owned(),
            length: bytes.len() as u64,
            digest: sha512(bytes),
        };
        let mut parts = vec![
            whole(MESSAGE, &self.message),
            whole("signatures.xml", &without_timestamp(&self.signatures)),
        ];
        if let Some(chain) = &self.chain {
            parts.push(whole(SIGNATURE_CHAIN_RESULT, &chain.result));
            parts.push(whole(SIGNATURE_CHAIN, &chain.chain));
        }
        for attachment in &self.attachments {
            let digest = attachment.digest(DigestAlgorithm::Sha512);
            if let Some(digest) = digest.and_then(|digest| digest.try_into().ok()) {
                parts.push(ListedPart {
                    name: format!("attachment{}", attachment.number),
                    length: attachment.length,
                    digest,
                });
            }
        }
        parts
    }

    /// Copies the first attachment of a container that [`read`](Self::read) has accepted, and gives its length; `None` if
    /// there is none.
    ///
    /// # Errors
    /// A container that is damaged, and errors of `out`.
    pub fn copy_body<R: Read + Seek>(
        archive: R,
        out: &mut impl Write,
    ) -> Result<Option<u64>, ContainerError> {
        let mut zip = ZipArchive::new(archive)?;
        let Some(index) = zip.index_for_name("attachment1") else {
            return Ok(None);
        };
        let mut body = zip.by_index(index)?.take(limits::CONTAINER as u64);
        let copied = std::io::copy(&mut body, out);
        copied
            .map(Some)
            .map_err(|error| ContainerError::Damaged(error.to_string()))
    }

    /// Reads an archive.
    ///
    /// # Errors
    /// What is damaged, ambiguous, beyond the limits, or lacks what every container has.
    pub fn read<R: Read + Seek>(mut archive: R) -> Result<Self, ContainerError> {
        let mut start = [0; 4];
        let is_archive = archive.read_exact(&mut start).is_ok() && start == *b"PK\x03\x04";
        if !is_archive {
            return Err(ContainerError::MimeTypeNotFound);
        }
        let mut zip = ZipArchive::new(archive)?;
        if zip.len() > limits::CONTAINER_ENTRIES {
            return Err(ContainerError::TooLarge("it has too many entries"));
        }
        zip.validate_header_consistency()?;
        let mut entries = Entries::default();
        let mut left = limits::CONTAINER as u64;
        for index in 0..zip.len() {
            let mut file = zip.by_index(index)?;
            let name = file.name()?.into_owned();
            if name.len() > limits::CONTAINER_NAME {
                return Err(ContainerError::TooLarge("an entry has too long a name"));
            }
            if file.is_dir() {
                continue;
            }
            entries.take(&name, &mut file, &mut left)?;
        }
        entries.into_container()
    }
}

impl Entries {
    fn take(&mut self, name: &str, content: &mut impl Read, left: &mut u64) -> Result<(), ContainerError> {
        if let Some(number) = attachment_number(name) {
            self.attachments.push(hash(number, content, left)?);
            return Ok(());
        }
        let slot = match name {
            MIMETYPE => &mut self.mimetype,
            MESSAGE => &mut self.message,
            SIGNATURE_CHAIN_RESULT => &mut self.chain_result,
            SIGNATURE_CHAIN => &mut self.chain,
            TIMESTAMP_CHAIN_RESULT => &mut self.ts_chain_result,
            TIMESTAMP_CHAIN => &mut self.ts_chain,
            ASIC_MANIFEST => &mut self.asic_manifest,
            TIMESTAMP => &mut self.token,
            MANIFEST => {
                // Proves nothing, but a damaged archive shall be noticed.
                return hold(content, left).map(drop);
            }
            name if is_signature_document(name) => {
                if self.signatures.is_some() {
                    return Err(ContainerError::TwoSignatures);
                }
                &mut self.signatures
            }
            _ => {
                self.foreign.push(name.to_owned());
                return Ok(());
            }
        };
        *slot = Some(hold(content, left)?);
        Ok(())
    }

    fn into_container(mut self) -> Result<Container, ContainerError> {
        let mimetype = self.mimetype.ok_or(ContainerError::MimeTypeNotFound)?;
        if mimetype != MEDIA_TYPE.as_bytes() {
            return Err(ContainerError::InvalidMimeType);
        }
        let message = self.message.ok_or(ContainerError::MessageNotFound)?;
        let signatures = self.signatures.ok_or(ContainerError::SignatureNotFound)?;
        let chain = match (self.chain_result, self.chain) {
            (None, None) => None,
            (Some(result), Some(chain)) => Some(ChainFiles { result, chain }),
            (None, Some(_)) => return Err(ContainerError::HalfChain(SIGNATURE_CHAIN_RESULT)),
            (Some(_), None) => return Err(ContainerError::HalfChain(SIGNATURE_CHAIN)),
        };
        let missing = ContainerError::BatchTimestampIncomplete;
        let has_token = self.token.is_some();
        let timestamp = match (self.ts_chain_result, self.ts_chain, self.token) {
            (None, None, None | Some(_)) => None,
            (Some(result), Some(chain), Some(token)) => Some(BatchTimestamp { result, chain, token }),
            (None, _, _) => return Err(missing(TIMESTAMP_CHAIN_RESULT)),
            (Some(_), None, _) => return Err(missing(TIMESTAMP_CHAIN)),
            (Some(_), Some(_), None) => return Err(missing(TIMESTAMP)),
        };
        if timestamp.is_some() && self.asic_manifest.is_none() {
            return Err(missing(ASIC_MANIFEST));
        }
        self.attachments.sort_by_key(|a| a.number);
        Ok(Container {
            stray_timestamp: has_token && timestamp.is_none(),
            message,
            signatures,
            chain,
            timestamp,
            asic_manifest: self.asic_manifest,
            attachments: self.attachments,
            foreign: self.foreign,
        })
    }
}

/// `attachment1` and so on, in the one way to write a number.
fn attachment_number(name: &str) -> Option<usize> {
    let digits = name.strip_prefix("attachment")?;
    let plain = !digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok())?
}

/// The reader accepts any `META-INF/*signatures*.xml` (wire 6.5).
fn is_signature_document(name: &str) -> bool {
    let inner = name
        .strip_prefix("META-INF/")
        .and_then(|n| n.strip_suffix(".xml"));
    inner.is_some_and(|inner| inner.contains("signatures") && !inner.contains('/'))
}

fn hold(content: &mut impl Read, left: &mut u64) -> Result<Vec<u8>, ContainerError> {
    let mut bytes = Vec::new();
    let limit = limits::CONTAINER_ENTRY as u64;
    let damaged = |e: std::io::Error| ContainerError::Damaged(e.to_string());
    content.take(limit + 1).read_to_end(&mut bytes).map_err(damaged)?;
    if bytes.len() as u64 > limit {
        return Err(ContainerError::TooLarge("an entry is too large"));
    }
    spend(left, bytes.len() as u64)?;
    Ok(bytes)
}

fn hash(number: usize, content: &mut impl Read, left: &mut u64) -> Result<Attachment, ContainerError> {
    let algorithms = [
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512,
    ];
    let mut hashers: Vec<_> = algorithms
        .into_iter()
        .filter_map(|a| Hasher::new(a).ok().map(|h| (a, h)))
        .collect();
    let mut length = 0;
    let mut buffer = [0; 16 * 1024];
    loop {
        let read = content
            .read(&mut buffer)
            .map_err(|e| ContainerError::Damaged(e.to_string()))?;
        if read == 0 {
            break;
        }
        spend(left, read as u64)?;
        length += read as u64;
        for (_, hasher) in &mut hashers {
            hasher.update(&buffer[..read]);
        }
    }
    let digests = hashers
        .into_iter()
        .map(|(a, hasher)| (a, hasher.finish()))
        .collect();
    Ok(Attachment {
        number,
        length,
        digests,
    })
}

fn spend(left: &mut u64, bytes: u64) -> Result<(), ContainerError> {
    *left = left
        .checked_sub(bytes)
        .ok_or(ContainerError::TooLarge("its entries are too large together"))?;
    Ok(())
}
