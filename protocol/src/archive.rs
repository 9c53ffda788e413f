//! Archives: containers in a ZIP file, tied to each other and to the archive before by a chain of digests (wire 6.8).
//!
//! Owns names, `linkinginfo`, and the chain: [`ArchiveWriter`] makes an archive that X-Road's own verifier accepts,
//! [`Archive`] reads one within bounds, [`Archive::follows`] and [`Linking`] say whether it is whole and continues its
//! predecessor, [`mod@sequence`] puts many archives into order. What stands in the containers is for
//! [`crate::container::check`] to say.
//!
//! The digests are not signed: whoever can rewrite every archive from some point on can rewrite the chain. A digest
//! kept elsewhere ends that, which is why a check wants the expected one, or says that it had none.
//!
//! Refuses archives that two readers could read differently, encrypted ones, and SHA-1.

mod linking;
mod name;
mod read;
mod sequence;
#[cfg(test)]
mod tests;
mod write;

pub use self::linking::{DigestChain, Link, Linking, LinkingInfo};
pub use self::name::{container_name, encoded_query_id, file_name, group_name, group_of};
pub use self::read::{Archive, ArchiveFault, Predecessor, is_archive};
pub use self::sequence::{Position, sequence};
pub use self::write::{ArchiveWriter, Entry, Finished, WriteError};

pub(crate) const LINKING_INFO: &str = "linkinginfo";

/// Why bytes are no archive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// The ZIP file is damaged, or two programs could read different things out of it.
    #[error("the archive is damaged: {0}")]
    Damaged(String),
    /// Written by GnuPG.
    #[error("the archive is encrypted; decrypt it first with `gpg --decrypt --output NAME.zip NAME.zip.gpg`")]
    Encrypted,
    /// No `linkinginfo` among the entries.
    #[error("the file is no archive of a message log: it has no entry `linkinginfo`")]
    NotArchive,
    /// `linkinginfo` says nothing that can be understood.
    #[error("linkinginfo cannot be read: {0}")]
    Malformed(&'static str),
    /// More, longer or larger entries than an archive may have.
    #[error("the archive is beyond its limits: {0}")]
    TooLarge(&'static str),
}

impl ArchiveError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged_archive",
            Self::Encrypted => "archive_encrypted",
            Self::NotArchive => "archive_linkinginfo_missing",
            Self::Malformed(_) => "archive_linkinginfo_malformed",
            Self::TooLarge(_) => "too_large",
        }
    }
}

impl From<zip::result::ZipError> for ArchiveError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Damaged(error.to_string())
    }
}
