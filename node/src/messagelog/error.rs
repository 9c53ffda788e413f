//! What can go wrong with the message log, each with a code and a sentence that tells the operator what to do. No content
//! of a message and no key is ever part of an error.

use std::{io, path::Path, sync::Arc};

/// Why the log did not do what it was asked. Cheap to clone: one failure answers every waiter.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// Another process owns the data directory.
    #[error("the data directory {path} is in use by another process: ask that one, or stop it first")]
    Locked {
        /// The directory.
        path: String,
    },
    /// What is on disk is not what was once synced.
    #[error(
        "the message log is damaged: {report}. Nothing was changed. `kontor log check` lists all there is; restore the file from a copy, or put it aside with `kontor log quarantine`"
    )]
    Damaged {
        /// Which file, where, and what was found.
        report: String,
    },
    /// The log has fewer entries than the node once signed for: an older copy was put in its place, or files were lost.
    #[error(
        "the message log has {entries} entries, but {signed} were signed or seen by a peer: an older copy stands in its place. It can be read, nothing is taken any more. Restore the newest copy; if there is none, keep this directory as evidence and begin a new one"
    )]
    Behind {
        /// Entries there are.
        entries: u64,
        /// Entries of the newest checkpoint.
        signed: u64,
    },
    /// The leaves are not those that the node signed.
    #[error(
        "the first {size} entries of the message log are not those that the node signed: something was changed or exchanged. No message is taken any more; run `kontor log check`"
    )]
    Contradiction {
        /// Entries of the checkpoint.
        size: u64,
    },
    /// The leaf of an entry is lost, and with it every checkpoint that could go on from what was signed.
    #[error(
        "the leaf of entry {number} was lost to damage, and the node signed over {size} entries: without it nothing can go on from that. The log can be read, no message is taken any more. Restore log/segments and log/leaves from a copy; if there is none, keep this directory as evidence and begin a new one"
    )]
    LeafLost {
        /// The first entry whose leaf is lost.
        number: u64,
        /// Entries of the checkpoint.
        size: u64,
    },
    /// The unsealing key does not open this log.
    #[error("the unsealing key does not fit the message log in {path}: check [keys] in the configuration")]
    WrongKey {
        /// The directory.
        path: String,
    },
    /// The log belongs to another server, or the mode changed.
    #[error(
        "the message log in {path} was begun by {found}, this node is {wanted}: each server needs a data directory of its own"
    )]
    OtherServer {
        /// The directory.
        path: String,
        /// Who began it.
        found: String,
        /// Who opens it.
        wanted: String,
    },
    /// The disk has less free space than the reserve. Nothing was written; the log goes on when there is space again.
    #[error(
        "the disk of the message log is full: {free} bytes are free in {path}, {reserve} are kept in reserve; free some space"
    )]
    Full {
        /// The directory.
        path: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must be.
        reserve: u64,
    },
    /// An entry larger than any record may be.
    #[error("an entry of {size} bytes does not fit a record of the message log, which holds {limit}")]
    TooLarge {
        /// Its bytes.
        size: usize,
        /// The most there may be.
        limit: usize,
    },
    /// A write or sync failed. The process takes no more entries and must end; the next start repairs what is left.
    #[error("the message log failed and takes no more entries: {report}. The node must be restarted")]
    Failed {
        /// What failed.
        report: String,
    },
    /// The log was told to stop.
    #[error("the message log is stopped")]
    Closed,
    /// Time-stamps have failed for longer than is acceptable; the log goes on when one succeeds.
    #[error(
        "messages are not time-stamped since {since}, longer than [timestamping] acceptable_failure_seconds allows, so none is taken: {reason}"
    )]
    NotStamped {
        /// Since when time-stamps fail.
        since: String,
        /// What the authorities said last.
        reason: String,
    },
    /// Nobody could be asked for time-stamps.
    #[error(
        "no time-stamp authority is configured and global configuration approves none, so no message is taken; name one in [timestamping] urls or have one approved"
    )]
    NoAuthority,
    /// There is no such entry.
    #[error("the message log has no entry {number}")]
    NotFound {
        /// The number asked for.
        number: u64,
    },
    /// An entry that stands for no message, or for none that waits for an answer.
    #[error("entry {number} is {found}, not {wanted}")]
    Unsuited {
        /// The number asked for.
        number: u64,
        /// What it is.
        found: String,
        /// What would do.
        wanted: &'static str,
    },
    /// A part that was forgotten as its retention class says.
    #[error("the {part} of entry {number} is deleted: its key is gone")]
    Forgotten {
        /// The number asked for.
        number: u64,
        /// Which part.
        part: &'static str,
    },
    /// A part that was deleted, with the entry that says so.
    #[error("the {part} of entry {number} is deleted under the rule `{rule}` by entry {entry}")]
    Deleted {
        /// The number asked for.
        number: u64,
        /// Which part.
        part: &'static str,
        /// The rule.
        rule: String,
        /// The deletion.
        entry: u64,
    },
    /// A part whose key is gone though no entry says that it was deleted.
    #[error(
        "the {part} of entry {number} cannot be read: its key is gone and no entry says that it was deleted. Restore log/keys from a copy"
    )]
    Lost {
        /// The number asked for.
        number: u64,
        /// Which part.
        part: &'static str,
    },
    /// A part that was damaged and put aside by the operator.
    #[error("the {part} of entry {number} was damaged and put aside, as entry {entry} says")]
    Quarantined {
        /// The number asked for.
        number: u64,
        /// Which part.
        part: &'static str,
        /// The act.
        entry: u64,
    },
    /// A deletion was ordered of what may not be deleted.
    #[error(
        "nothing was deleted: entries {numbers} are on hold by entry {hold}; end the hold with `kontor log hold --release {hold}`, or leave them out"
    )]
    OnHold {
        /// Which of those that were given.
        numbers: String,
        /// The hold.
        hold: u64,
    },
    /// A part that lies in an archive and was dropped from the log.
    #[error(
        "the {part} of entry {number} is archived in {file} (digest {digest}) and no longer in the log; `kontor log export` takes it from there while [archive] in the configuration names the place"
    )]
    Archived {
        /// The number asked for.
        number: u64,
        /// Which part.
        part: &'static str,
        /// Name of the archive.
        file: String,
        /// Last digest of its chain, in hexadecimal.
        digest: String,
    },
    /// A head that was shortened when it was logged.
    #[error(
        "the head of entry {number} was shortened when it was logged (logging = \"short-head\"): no container can be made of it"
    )]
    Shortened {
        /// The number asked for.
        number: u64,
    },
    /// A file could not be read or prepared; nothing that was promised is at stake.
    #[error("{action} {path}: {error}")]
    Io {
        /// What was tried, as "could not …".
        action: &'static str,
        /// Which file.
        path: String,
        /// What the system said.
        error: Arc<io::Error>,
    },
}

impl LogError {
    /// The name of this error in logs, metrics and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotStamped { .. } => "log_not_stamped",
            Self::NoAuthority => "log_no_timestamp_authority",
            Self::Locked { .. } => "log_locked",
            Self::Damaged { .. } => "log_damaged",
            Self::Behind { .. } => "log_behind",
            Self::Contradiction { .. } => "log_contradiction",
            Self::LeafLost { .. } => "log_leaf_lost",
            Self::WrongKey { .. } => "log_wrong_key",
            Self::OtherServer { .. } => "log_other_server",
            Self::Full { .. } => "log_full",
            Self::TooLarge { .. } => "log_entry_too_large",
            Self::Failed { .. } => "log_failed",
            Self::Closed => "log_closed",
            Self::NotFound { .. } => "log_entry_not_found",
            Self::Unsuited { .. } => "log_entry_unsuited",
            Self::Deleted { .. } | Self::Forgotten { .. } => "log_content_deleted",
            Self::Lost { .. } => "log_content_lost",
            Self::Quarantined { .. } => "log_content_quarantined",
            Self::Archived { .. } => "log_content_archived",
            Self::OnHold { .. } => "log_on_hold",
            Self::Shortened { .. } => "log_head_not_kept",
            Self::Io { .. } => "log_io",
        }
    }

    /// Whether the log cannot go on from what was signed: it is opened to be read and takes nothing more.
    pub(crate) fn is_end(&self) -> bool {
        matches!(
            self,
            Self::Behind { .. } | Self::Contradiction { .. } | Self::LeafLost { .. }
        )
    }

    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io {
            action,
            path: path.display().to_string(),
            error: Arc::new(error),
        }
    }

    /// For a read of bytes that must be there: a file that ends before is damaged, a disk that does not give them is not.
    pub(crate) fn unread(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::damaged(path, what),
            _ => Self::io("could not read", path)(error),
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl std::fmt::Display) -> Self {
        Self::Damaged {
            report: format!("{}: {what}", path.display()),
        }
    }

    pub(crate) fn failed(action: &str, path: &Path, error: &io::Error) -> Self {
        Self::Failed {
            report: format!("{action} {}: {error}", path.display()),
        }
    }
}
