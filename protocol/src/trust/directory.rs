//! The signed directory of a configuration: which files there are, their digests, and until when it all holds
//! (wire 7.3, 7.4).
//!
//! Owns the checks between a downloaded body and parts that may be used, as pure functions: [`verify`] judges the
//! directory by the keys of the location it came from, [`VerifiedDirectory::accept_part`] judges each part's bytes.
//! The downloader only fetches, stores and asks.
//!
//! Stricter than Java on purpose: SHA-1 in signature or digest, a part without identifier, a directory that describes
//! another instance than the anchor, a location on another host, and two parts for one file are refused. File names
//! are cut to a plain name and may not cover a file of ours.

mod mime;
#[cfg(test)]
mod tests;
mod write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::{DigestAlgorithm, digest};
use kontor_pki::signing::{SignatureAlgorithm, verify_signature};
use kontor_pki::time::UnixTime;

use self::mime::Part;
pub use self::write::{DirectoryDraft, PartDraft};
use super::document::DocumentError;
use super::optional::OptionalParts;
use super::private::PrivateParams;
use super::shared::{NEWEST_VERSION, SharedParams};
use super::{FETCH_INTERVAL, MONITORING, NEXT_UPDATE, PRIVATE_PARAMETERS, SHARED_PARAMETERS};
use crate::limits;

/// Whose configuration a directory is, seen from this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// Another instance: of its parts only the shared parameters are taken (wire 7.2, 7).
    Federated,
    /// The instance of this node.
    Own,
}

/// Why a directory or a part of it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryError {
    /// No certificate of this location has the digest that the directory names.
    #[error("the directory is signed by a key that neither the anchor nor the current source list names")]
    CertificateNotFound,
    /// A part that is not what its schema says.
    #[error("part {identifier} cannot be used: {source}")]
    Document {
        /// Its content identifier.
        identifier: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// A location that is not a path on the host of the directory.
    #[error("part location `{0}` is no path on the host that serves the directory")]
    Location(String),
    /// The multipart structure is broken.
    #[error("the directory is malformed: {0}")]
    Malformed(String),
    /// A header that every part, or the signature, must have.
    #[error("the directory lacks `{0}`")]
    Missing(&'static str),
    /// The expiry date has passed: the publisher no longer renews it, or the clock of this machine is wrong.
    #[error("the configuration expired at {0}")]
    Outdated(UnixTime),
    /// A file name that belongs to another part.
    #[error("part {identifier} claims the file name `{name}`, which another file has")]
    Path {
        /// Its content identifier.
        identifier: String,
        /// The name.
        name: String,
    },
    /// The bytes of a part do not have the digest that the directory names.
    #[error("the content of part {0} does not have the digest stated in the directory")]
    PartDigest(String),
    /// The signature does not fit the directory and the key.
    #[error("the signature of the directory is wrong: it was changed on its way, or signed by another key")]
    SignatureInvalid,
    /// SHA-1, or an algorithm nobody knows.
    #[error("the directory uses the algorithm `{0}`, which is not accepted")]
    WeakAlgorithm(String),
    /// Directory, part header or part content belongs to another instance.
    #[error("the configuration describes instance `{found}`, but instance `{expected}` was asked for")]
    WrongInstance {
        /// The instance of the anchor.
        expected: String,
        /// The instance found.
        found: String,
    },
    /// A header with a value it may not have.
    #[error("header `{header}` of the directory has the value `{value}`")]
    WrongValue {
        /// Which header.
        header: &'static str,
        /// Its value.
        value: String,
    },
}

impl DirectoryError {
    /// A stable word for logs, metrics and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::CertificateNotFound => "cert_not_found",
            Self::Document { source, .. } => source.code(),
            Self::Location(_) => "location",
            Self::Malformed(_) => "malformed",
            Self::Missing(_) => "missing",
            Self::Outdated(_) => "global_conf_outdated",
            Self::Path { .. } => "path",
            Self::PartDigest(_) => "part_digest",
            Self::SignatureInvalid => "invalid_signature_value",
            Self::WeakAlgorithm(_) => "weak_algorithm",
            Self::WrongInstance { .. } => "wrong_instance",
            Self::WrongValue { .. } => "global_conf_header_field_wrong_value",
        }
    }
}

/// A directory whose signature, expiry and headers hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDirectory {
    instance: String,
    expires: UnixTime,
    version: u32,
    parts: Vec<DirectoryPart>,
}

/// One part that a directory names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryPart {
    identifier: String,
    location: String,
    algorithm: DigestAlgorithm,
    digest: Vec<u8>,
    file_name: String,
}

/// The bytes of a part that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AcceptedPart {
    /// `SHARED-PARAMETERS`.
    Shared(Box<SharedParams>),
    /// `PRIVATE-PARAMETERS`.
    Private(Box<PrivateParams>),
    /// One of the optional parts, with what it alone says.
    Optional(OptionalParts),
    /// A part this node does not know: stored, not used.
    Unknown,
}

impl VerifiedDirectory {
    /// The instance described.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// Until when the configuration may be used.
    #[must_use]
    pub fn expires(&self) -> UnixTime {
        self.expires
    }

    /// Version of the configuration, 2 to 6.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The parts to fetch, in the order of the directory.
    #[must_use]
    pub fn parts(&self) -> &[DirectoryPart] {
        &self.parts
    }

    /// Refuses a directory that is of no use: one without shared parameters, which Java takes. Ask before anything
    /// stored is replaced.
    ///
    /// # Errors
    /// No part is `SHARED-PARAMETERS`.
    pub fn must_have_shared_parameters(&self) -> Result<(), DirectoryError> {
        let has = self.parts.iter().any(|p| p.identifier == SHARED_PARAMETERS);
        if has {
            Ok(())
        } else {
            Err(DirectoryError::Missing(SHARED_PARAMETERS))
        }
    }

    /// Judges the bytes of a part of this directory.
    ///
    /// # Errors
    /// Another digest, another instance inside, or a document that the schema of this version refuses.
    pub fn accept_part(&self, part: &DirectoryPart, bytes: &[u8]) -> Result<AcceptedPart, DirectoryError> {
        if !part.has_digest_of(bytes) {
            return Err(DirectoryError::PartDigest(part.identifier.clone()));
        }
        self.read_part(part, bytes)
    }

    /// All of [`Self::accept_part`] but the digest.
    fn read_part(&self, part: &DirectoryPart, bytes: &[u8]) -> Result<AcceptedPart, DirectoryError> {
        let refuse = |source| DirectoryError::Document {
            identifier: part.identifier.clone(),
            source,
        };
        match part.identifier.as_str() {
            SHARED_PARAMETERS => {
                let read = SharedParams::read(bytes, self.version).map_err(refuse)?;
                self.must_be_ours(&read.instance)?;
                Ok(AcceptedPart::Shared(Box::new(read)))
            }
            PRIVATE_PARAMETERS => {
                let read = PrivateParams::read(bytes, self.version).map_err(refuse)?;
                self.must_be_ours(&read.instance)?;
                Ok(AcceptedPart::Private(Box::new(read)))
            }
            FETCH_INTERVAL | MONITORING | NEXT_UPDATE => {
                let mut read = OptionalParts::default();
                read.take(&part.identifier, bytes).map_err(refuse)?;
                Ok(AcceptedPart::Optional(read))
            }
            _ => Ok(AcceptedPart::Unknown),
        }
    }

    fn must_be_ours(&self, found: &str) -> Result<(), DirectoryError> {
        must_be(&self.instance, found)
    }
}

impl DirectoryPart {
    /// Content identifier, for example `SHARED-PARAMETERS`.
    #[must_use]
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Absolute path (with query) on the host that served the directory.
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// A plain file name, unique in its directory.
    #[must_use]
    pub fn file_name(&self) -> &str {
        &self.file_name
    }

    /// Whether this part has the content of another, wherever each is fetched.
    #[must_use]
    pub fn is_same_file(&self, other: &Self) -> bool {
        self.identifier == other.identifier
            && self.file_name == other.file_name
            && self.algorithm == other.algorithm
            && self.digest == other.digest
    }

    /// Whether these bytes, for example those of the stored file, are the part: then it need not be fetched.
    #[must_use]
    pub fn has_digest_of(&self, bytes: &[u8]) -> bool {
        digest(self.algorithm, bytes).is_ok_and(|d| d == self.digest)
    }
}

/// Judges a downloaded directory.
///
/// `certificates` are the verification certificates (DER) of the location it was fetched from; their dates and
/// issuers do not matter. `instance` is that of the anchor.
///
/// # Errors
/// In the order of wire 7.4: structure, key, signature, expiry, then header by header and part by part.
pub fn verify(
    body: &[u8],
    certificates: &[Vec<u8>],
    instance: &str,
    relation: Relation,
    now: UnixTime,
) -> Result<VerifiedDirectory, DirectoryError> {
    if body.len() > limits::DIRECTORY {
        return Err(DirectoryError::Malformed(format!(
            "it has more than {} bytes",
            limits::DIRECTORY
        )));
    }
    let outer = Part::read(body);
    let boundary = boundary(&outer, "multipart/related")?;
    let split = mime::split(outer.body, &boundary)?;
    let [signed, signature] = split.parts[..] else {
        return Err(DirectoryError::Malformed(
            "it has not exactly two outer parts".to_owned(),
        ));
    };
    if !split.closed {
        return Err(DirectoryError::Malformed(
            "its closing boundary is missing".to_owned(),
        ));
    }
    let signed = Part::read(signed);
    verify_directory_signature(&Part::read(signature), signed.body, certificates)?;

    let boundary = self::boundary(&signed, "multipart/mixed")?;
    let mut inner = mime::split(signed.body, &boundary)?
        .parts
        .into_iter()
        .map(Part::read);
    let head = inner.next().ok_or(DirectoryError::Missing("Expire-date"))?;
    let expires = head
        .header("Expire-date")?
        .ok_or(DirectoryError::Missing("Expire-date"))?;
    let expires = UnixTime::parse_rfc3339(expires).map_err(|_| {
        DirectoryError::Malformed(format!("Expire-date `{}` is no instant", shortened(expires)))
    })?;
    if expires <= now {
        return Err(DirectoryError::Outdated(expires));
    }
    let version = match head.header("Version")? {
        None => 2,
        Some(text) => {
            let version = text.parse().ok().filter(|v| (2..=NEWEST_VERSION).contains(v));
            version.ok_or_else(|| wrong_value("Version", text))?
        }
    };
    let mut parts: Vec<DirectoryPart> = Vec::new();
    for (index, part) in inner.enumerate() {
        if index >= limits::DIRECTORY_PARTS {
            return Err(DirectoryError::Malformed("it names too many parts".to_owned()));
        }
        let Some(part) = read_part_header(&part, instance, relation)? else {
            continue;
        };
        if let Some(other) = parts.iter().find(|other| other.file_name == part.file_name) {
            let name = other.file_name.clone();
            return Err(DirectoryError::Path {
                identifier: part.identifier,
                name,
            });
        }
        parts.push(part);
    }
    Ok(VerifiedDirectory {
        instance: instance.to_owned(),
        expires,
        version,
        parts,
    })
}

fn verify_directory_signature(
    part: &Part<'_>,
    signed: &[u8],
    certificates: &[Vec<u8>],
) -> Result<(), DirectoryError> {
    let algorithm = part
        .header("Signature-Algorithm-Id")?
        .ok_or(DirectoryError::Missing("Signature-Algorithm-Id"))?;
    let algorithm = SignatureAlgorithm::from_uri(algorithm)
        .filter(|a| !a.is_weak())
        .ok_or_else(|| DirectoryError::WeakAlgorithm(shortened(algorithm)))?;
    const HASH: &str = "Verification-certificate-hash";
    let value = part.header(HASH)?.ok_or(DirectoryError::Missing(HASH))?;
    let (hash, parameters) = mime::value_and_parameters(value);
    let hash = STANDARD.decode(hash).map_err(|_| wrong_value(HASH, value))?;
    let hash_algorithm = parameters
        .get("hash-algorithm-id")
        .ok_or_else(|| wrong_value(HASH, value))?;
    let hash_algorithm = strong_digest(hash_algorithm)?;
    let signature = base64_body(part).ok_or(DirectoryError::SignatureInvalid)?;

    let named = |certificate: &&Vec<u8>| digest(hash_algorithm, certificate).is_ok_and(|d| d == hash);
    let certificate = certificates
        .iter()
        .find(named)
        .ok_or(DirectoryError::CertificateNotFound)?;
    // A container of a key that cannot be read is as good as none.
    let certificate = Certificate::parse(certificate).map_err(|_| DirectoryError::CertificateNotFound)?;
    verify_signature(algorithm, certificate.spki(), signed, &signature)
        .map_err(|_| DirectoryError::SignatureInvalid)
}

/// Reads the headers of one part; `None` for a part of a federated instance that is not taken.
fn read_part_header(
    part: &Part<'_>,
    instance: &str,
    relation: Relation,
) -> Result<Option<DirectoryPart>, DirectoryError> {
    for (header, wanted) in [
        ("Content-type", "application/octet-stream"),
        ("Content-transfer-encoding", "base64"),
    ] {
        let value = part.header(header)?.ok_or(DirectoryError::Missing(header))?;
        if value != wanted {
            return Err(wrong_value(header, value));
        }
    }
    const IDENTIFIER: &str = "Content-identifier";
    let value = part
        .header(IDENTIFIER)?
        .ok_or(DirectoryError::Missing(IDENTIFIER))?;
    let (identifier, parameters) = mime::value_and_parameters(value);
    if identifier.is_empty() {
        return Err(wrong_value(IDENTIFIER, value));
    }
    must_be(
        instance,
        parameters
            .get("instance")
            .ok_or(DirectoryError::Missing("instance"))?,
    )?;
    let location = part
        .header("Content-location")?
        .ok_or(DirectoryError::Missing("Content-location"))?;
    let algorithm = part
        .header("Hash-algorithm-id")?
        .ok_or(DirectoryError::Missing("Hash-algorithm-id"))?;
    let algorithm = strong_digest(algorithm)?;
    let digest = base64_body(part).filter(|d| d.len() == algorithm.len());
    let digest = digest.ok_or_else(|| DirectoryError::Malformed("a digest is no digest".to_owned()))?;
    if relation == Relation::Federated && identifier != SHARED_PARAMETERS {
        return Ok(None);
    }
    if !is_local_path(location) {
        return Err(DirectoryError::Location(shortened(location)));
    }
    let file_name = file_name(identifier, part.header("Content-file-name")?, location)?;
    Ok(Some(DirectoryPart {
        identifier: identifier.to_owned(),
        location: location.to_owned(),
        algorithm,
        digest,
        file_name,
    }))
}

/// A path that leads nowhere but to the host it is appended to.
fn is_local_path(location: &str) -> bool {
    location.starts_with('/')
        && !location.starts_with("//")
        && location
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'#')
}

/// The name under which a part is stored: fixed for the parts we know, a plain name for others (wire 7.4).
fn file_name(identifier: &str, given: Option<&str>, location: &str) -> Result<String, DirectoryError> {
    if let Some(known) = super::known_file_name(identifier) {
        return Ok(known.to_owned());
    }
    let path = location.split('?').next().unwrap_or_default();
    let name = given
        .unwrap_or(path)
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(100)
        .collect();
    let refuse = |name: String| DirectoryError::Path {
        identifier: shortened(identifier),
        name,
    };
    if name.is_empty() || name.starts_with('.') || super::is_reserved_file_name(&name) {
        return Err(refuse(name));
    }
    Ok(name)
}

fn must_be(expected: &str, found: &str) -> Result<(), DirectoryError> {
    if expected == found {
        return Ok(());
    }
    Err(DirectoryError::WrongInstance {
        expected: expected.to_owned(),
        found: shortened(found),
    })
}

fn strong_digest(uri: &str) -> Result<DigestAlgorithm, DirectoryError> {
    DigestAlgorithm::from_uri(uri)
        .filter(|a| !a.is_weak())
        .ok_or_else(|| DirectoryError::WeakAlgorithm(shortened(uri)))
}

fn boundary(part: &Part<'_>, wanted: &str) -> Result<String, DirectoryError> {
    let value = part.header("Content-Type")?.unwrap_or_default();
    let (kind, parameters) = mime::value_and_parameters(value);
    if !kind.eq_ignore_ascii_case(wanted) {
        return Err(DirectoryError::Malformed(format!("it is not {wanted}")));
    }
    let boundary = parameters
        .get("boundary")
        .filter(|b| !b.is_empty() && b.len() <= limits::BOUNDARY);
    let boundary = boundary.ok_or_else(|| DirectoryError::Malformed("it names no boundary".to_owned()))?;
    Ok(boundary.to_owned())
}

fn base64_body(part: &Part<'_>) -> Option<Vec<u8>> {
    let text: Vec<u8> = part
        .body
        .iter()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    STANDARD.decode(text).ok().filter(|bytes| !bytes.is_empty())
}

fn wrong_value(header: &'static str, value: &str) -> DirectoryError {
    DirectoryError::WrongValue {
        header,
        value: shortened(value),
    }
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}
