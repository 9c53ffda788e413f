//! The manifest of a package: every file that is handed over, with its digests, and the salt that keeps its own digest from telling
//! anything before the offer is accepted.
//!
//! The digest of an offer is SHA-256 over the manifest's bytes as they were written: there is no canonical form to argue about.
//! Who has the bytes can check every file; who has only the digest can guess nothing, for 32 random octets stand in them.

use std::collections::BTreeSet;
use std::fmt;

use kontor_pki::crypto::{sha256, sha512};
use serde::{Deserialize, Serialize};

/// Octets of a part, in which the files are pulled one after the other; each can be asked for again.
pub const PART: u64 = 4 * 1024 * 1024;
/// Files of a package.
pub const MAX_FILES: usize = 10_000;
/// What a manifest says of itself.
const FORMAT: &str = "kontor-manifest/1";

/// What a file is to the application.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The form as data.
    Data,
    /// The application in viewable form: what was declared.
    Representation,
    /// Something that the applicant added.
    Attachment,
    /// A decision (Bescheid).
    Decision,
    /// An attachment of a message to or from the applicant.
    MessageAttachment,
    /// Proof of something that happened.
    Evidence,
    /// What travels besides form and files (the dossier).
    Dossier,
}

/// A file of a package.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct File {
    /// A UUID that stays the same from node to node.
    pub file_id: String,
    /// What it is.
    pub role: Role,
    /// Name of the form's group that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The name that the applicant gave it: for people, never for paths.
    pub original_name: String,
    /// The media type that the sender declared.
    pub declared_media_type: String,
    /// The media type that its content has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detected_media_type: Option<String>,
    /// Octets.
    pub size: u64,
    /// SHA-256.
    pub sha256: Digest<32>,
    /// SHA-512.
    pub sha512: Digest<64>,
}

/// A digest as lower-case hexadecimal.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct Digest<const N: usize>(pub [u8; N]);

/// All files of a package, in the order in which they are pulled.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    format: String,
    salt: Digest<32>,
    files: Vec<File>,
}

/// Why bytes are no manifest, or a file is not the one of the manifest.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// Not the form of this version.
    #[error("the manifest cannot be read: {0}; ask the sender for one of the form kontor-manifest/1")]
    Malformed(String),
    /// Too many files.
    #[error("a manifest names at most {MAX_FILES} files")]
    TooManyFiles,
    /// Two files of one id.
    #[error("the file id {0} stands in the manifest twice")]
    Twice(String),
    /// The bytes are not what was offered.
    #[error("the manifest is not the one that was offered: its digest is another one")]
    NotOffered,
    /// The bytes of a file are others.
    #[error("the file {file_id} is not the one of the manifest: its {what} is another one")]
    Mismatch {
        /// Which.
        file_id: String,
        /// What differs.
        what: &'static str,
    },
}

impl ManifestError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "manifest_malformed",
            Self::TooManyFiles => "manifest_too_many_files",
            Self::Twice(_) => "manifest_file_twice",
            Self::NotOffered => "manifest_not_offered",
            Self::Mismatch { .. } => "manifest_mismatch",
        }
    }
}

impl File {
    /// A file with the digests of its content.
    pub fn of(
        file_id: String,
        role: Role,
        original_name: String,
        declared_media_type: String,
        content: &[u8],
    ) -> Self {
        Self {
            file_id,
            role,
            group: None,
            original_name,
            declared_media_type,
            detected_media_type: None,
            size: content.len() as u64,
            sha256: Digest(sha256(content)),
            sha512: Digest(sha512(content)),
        }
    }

    /// Whether this is its content.
    ///
    /// # Errors
    /// What differs.
    pub fn check(&self, content: &[u8]) -> Result<(), ManifestError> {
        let differs = [
            ("size", self.size != content.len() as u64),
            ("SHA-256", self.sha256.0 != sha256(content)),
            ("SHA-512", self.sha512.0 != sha512(content)),
        ];
        match differs.into_iter().find(|(_, differs)| *differs) {
            None => Ok(()),
            Some((what, _)) => Err(ManifestError::Mismatch {
                file_id: self.file_id.clone(),
                what,
            }),
        }
    }
}

impl Manifest {
    /// A manifest of these files, with a salt that nobody has seen.
    ///
    /// # Errors
    /// Too many files, or an id twice.
    pub fn new(files: Vec<File>, salt: [u8; 32]) -> Result<Self, ManifestError> {
        let manifest = Self {
            format: FORMAT.to_owned(),
            salt: Digest(salt),
            files,
        };
        manifest.check()?;
        Ok(manifest)
    }

    /// Reads one, and compares it with the digest of the offer.
    ///
    /// # Errors
    /// Bytes that were not offered, or are no manifest.
    pub fn read(bytes: &[u8], offered: &Digest<32>) -> Result<Self, ManifestError> {
        if sha256(bytes) != offered.0 {
            return Err(ManifestError::NotOffered);
        }
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(ManifestError::Malformed(format!(
                "it says that it is {:?}",
                manifest.format
            )));
        }
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        if self.files.len() > MAX_FILES {
            return Err(ManifestError::TooManyFiles);
        }
        let mut seen = BTreeSet::new();
        match self.files.iter().find(|file| !seen.insert(&file.file_id)) {
            None => Ok(()),
            Some(file) => Err(ManifestError::Twice(file.file_id.clone())),
        }
    }

    /// Its bytes, which are what is hashed and sent, with their digest for the offer.
    ///
    /// # Errors
    /// None that a manifest of this crate has; serialisation says so.
    pub fn bytes(&self) -> Result<(Vec<u8>, Digest<32>), ManifestError> {
        let bytes = serde_json::to_vec(self).map_err(|error| ManifestError::Malformed(error.to_string()))?;
        let digest = Digest(sha256(&bytes));
        Ok((bytes, digest))
    }

    /// The files, in order.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// Octets of all files.
    pub fn octets(&self) -> u64 {
        self.files
            .iter()
            .fold(0, |all, file| all.saturating_add(file.size))
    }

    /// How many parts the files make, one after the other.
    pub fn parts(&self) -> u64 {
        self.octets().div_ceil(PART)
    }
}

impl<const N: usize> fmt::Display for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Digest<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl<const N: usize> Serialize for Digest<N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, const N: usize> Deserialize<'de> for Digest<N> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octet = |at: usize| {
            let pair = text.get(2 * at..2 * at + 2)?;
            let lower = pair.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            lower.then(|| u8::from_str_radix(pair, 16).ok()).flatten()
        };
        let mut digest = [0; N];
        let wrong =
            || serde::de::Error::custom(format_args!("{} lower-case hexadecimal digits are wanted", 2 * N));
        if text.len() != 2 * N {
            return Err(wrong());
        }
        for (at, value) in digest.iter_mut().enumerate() {
            *value = octet(at).ok_or_else(wrong)?;
        }
        Ok(Self(digest))
    }
}
