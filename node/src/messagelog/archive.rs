//! Archives of logged messages, outside of the log: the files that X-Road's own archiver makes (wire 6.8), tied to each other
//! by their chain of digests. Owns what is asked of an archiving, what it tells, and the order in which it happens, so that a
//! crash anywhere leaves either nothing done or something that the next archiving takes up, and never a gap or a fork in the
//! chain:
//!
//! 1. containers of messages that are time-stamped, in the order of their entries, go into a draft (`archive::draft`);
//! 2. `log/archive.state` says which file is to come, with which digest and which entries;
//! 3. the draft gets its name;
//! 4. the file is read back and its chain computed anew;
//! 5. an entry of the log says that these entries are archived in this file;
//! 6. `log/archive.state` says so too.
//!
//! The entry is what counts, the state file spares the search for it. A crash before 3 leaves a draft, which is overwritten;
//! one between 3 and 5 a file that the next archiving recognises, reads back and records. What is archived stays in the log
//! until `archive::drop` takes it out, if the configuration says so; from there on `archive::fetch` takes it from the archive.

#[cfg(test)]
mod bucket_tests;
mod catalog;
mod draft;
mod drop;
#[cfg(test)]
mod drop_tests;
mod fetch;
mod run;
mod state;
#[cfg(test)]
mod tests;

use std::sync::PoisonError;

use kontor_protocol::archive;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

pub use self::catalog::ArchivedCopies;
pub(super) use self::catalog::{Catalog, DROP};
pub use self::drop::{DropReport, Unverified};
use self::run::Run;
use super::{MessageLog, error::LogError, export::ExportError};
use crate::bucket::BucketError;

/// What an archiving did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveReport {
    /// The files that were made; none in a dry run.
    pub archives: Vec<ArchivedFile>,
    /// Messages that were archived, or would be.
    pub messages: u64,
    /// Messages that could not be archived, because what they said was deleted before.
    pub deleted: u64,
    /// The first message that has no time-stamp yet. Archiving goes on there next time: archives are in order.
    pub waiting: Option<u64>,
    /// What was dropped from the log, because an archive holds it.
    #[serde(default)]
    pub dropped: DropReport,
}

/// One archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedFile {
    /// Member or subsystem, unless all are in one chain.
    pub group: Option<String>,
    /// Its name.
    pub file: String,
    /// Last digest of its chain, in hexadecimal: what the next archive continues.
    pub digest: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// How many containers it has.
    pub containers: u64,
    /// The first entry in it.
    pub first: u64,
    /// The last entry in it.
    pub last: u64,
    /// The entry that records it.
    pub entry: u64,
}

/// Why archiving ended. What was archived before stays so.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// No archive in the configuration.
    #[error(
        "no archive is configured; name a directory or a bucket under [archive] in the configuration of the node"
    )]
    NotConfigured,
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A message could not be read.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Files could not be written or read.
    #[error(
        "{path} could not be {what}: {error}; check space and rights there, archiving goes on where it ended"
    )]
    Io {
        /// Which file.
        path: String,
        /// What was tried.
        what: &'static str,
        /// Why not.
        error: std::io::Error,
    },
    /// The bucket could not be used.
    #[error("{0}; archiving goes on where it ended")]
    Bucket(#[from] BucketError),
    /// An archive could not be formed.
    #[error(transparent)]
    Write(#[from] archive::WriteError),
    /// A container could not be written into an archive.
    #[error(transparent)]
    Container(#[from] kontor_protocol::container::WriteError),
    /// An archive whose bytes are others than when it was recorded.
    #[error("the archive {file} has other bytes than when it was recorded; put back a copy of it")]
    Changed {
        /// Its name.
        file: String,
    },
    /// What was written does not read back as it was.
    #[error(
        "the archive {path} is not what was written: {reason}. Nothing was marked as archived; check the disk"
    )]
    Verify {
        /// Which file.
        path: String,
        /// What is wrong.
        reason: String,
    },
}

impl ArchiveError {
    /// The name of this error in logs and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "archive_not_configured",
            Self::Log(error) => error.code(),
            Self::Export(error) => error.code(),
            Self::Io { .. } => "archive_io",
            Self::Bucket(_) => "archive_bucket",
            Self::Write(error) => error.code(),
            Self::Container(error) => error.code(),
            Self::Changed { .. } => "archive_changed",
            Self::Verify { .. } => "archive_not_verified",
        }
    }
}

impl MessageLog {
    /// Archives what is time-stamped and not archived yet, or counts it. One archiving runs at a time. `progress` is told how
    /// many entries were looked at, and how many there are.
    pub async fn archive(
        &self,
        dry_run: bool,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<ArchiveReport, ArchiveError> {
        let settings = self.archive.clone().ok_or(ArchiveError::NotConfigured)?;
        let (log, runtime) = (self.clone(), Handle::current());
        let archiving = move || {
            let _one = log.archiving.lock().unwrap_or_else(PoisonError::into_inner);
            Run::new(&log, &settings, runtime, Box::new(progress))?.run(dry_run)
        };
        tokio::task::spawn_blocking(archiving)
            .await
            .map_err(|_| LogError::Closed)?
    }
}
