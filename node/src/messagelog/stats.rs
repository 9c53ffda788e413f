//! Counters of the log, read by metrics and the bench. They count acknowledged work only.

use std::sync::atomic::{AtomicU64, Ordering};

/// What the log did since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LogStats {
    /// Entries on disk, and the number of the next one.
    pub entries: u64,
    /// Entries appended since the log was opened.
    pub appended: u64,
    /// Rounds: one write and one sync each.
    pub rounds: u64,
    /// Bytes written to segments.
    pub bytes: u64,
    /// Signature documents written; entries of one batch share one.
    pub documents: u64,
    /// Microseconds spent in writing and syncing segments.
    pub sync_micros: u64,
    /// The largest round, in entries.
    pub largest_round: u64,
    /// Entries refused because the disk was full.
    pub refused_full: u64,
    /// Requests without an answer yet.
    pub open_exchanges: u64,
}

impl LogStats {
    /// Entries that shared one sync, on average.
    pub fn mean_batch(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
        let mean = self.appended as f64 / (self.rounds.max(1)) as f64;
        mean
    }
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) entries: AtomicU64,
    pub(crate) appended: AtomicU64,
    pub(crate) rounds: AtomicU64,
    pub(crate) bytes: AtomicU64,
    pub(crate) documents: AtomicU64,
    pub(crate) sync_micros: AtomicU64,
    pub(crate) largest_round: AtomicU64,
    pub(crate) refused_full: AtomicU64,
    pub(crate) open_exchanges: AtomicU64,
}

impl Counters {
    pub(crate) fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> LogStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        LogStats {
            entries: self.entries.load(Ordering::Acquire),
            appended: read(&self.appended),
            rounds: read(&self.rounds),
            bytes: read(&self.bytes),
            documents: read(&self.documents),
            sync_micros: read(&self.sync_micros),
            largest_round: read(&self.largest_round),
            refused_full: read(&self.refused_full),
            open_exchanges: read(&self.open_exchanges),
        }
    }
}
