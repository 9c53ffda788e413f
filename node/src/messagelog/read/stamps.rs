//! Reading time-stamps: the one that covers an entry, and below which number every message has one.

use std::{
    ops::ControlFlow,
    sync::{Arc, Mutex, PoisonError},
};

use kontor_protocol::container::timestamp::Batch;

use super::{Reader, Stamp, StoredEntry};
use crate::messagelog::{
    blob::Evidence, error::LogError, index::ViewError, keytree::BlobClass, leaf, segment,
};

/// The entry of a time-stamp, opened.
pub(crate) struct OpenStamp {
    pub(crate) number: u64,
    /// The entries that it covers.
    pub(crate) covered: Vec<u64>,
    pub(crate) token: Vec<u8>,
    /// Of a token over many documents.
    pub(crate) batch: Option<Batch>,
}

impl OpenStamp {
    fn of(&self, number: u64) -> Option<Stamp> {
        let place = self.covered.iter().position(|covered| *covered == number)?;
        match &self.batch {
            None => Some(Stamp::Single(self.token.clone())),
            Some(batch) => batch.record(place, &self.token).map(Stamp::Batch),
        }
    }
}

/// The time-stamp that was opened last. Thousands of messages that are read one after the other have the same, and its tree
/// is made of all their documents. Shared by the readers of a log.
#[derive(Clone, Default)]
pub(crate) struct LastStamp(Arc<Mutex<Option<Arc<OpenStamp>>>>);

impl LastStamp {
    fn get(&self, number: u64) -> Option<Arc<OpenStamp>> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.filter(|last| last.number == number)
    }

    fn set(&self, stamp: &Arc<OpenStamp>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(stamp));
    }
}

impl Reader {
    /// A time-stamp entry; `None` when it is deleted, or holds none.
    pub(crate) fn open_stamp(&mut self, entry: &StoredEntry) -> Result<Option<Arc<OpenStamp>>, LogError> {
        if let Some(last) = self.last_stamp.get(entry.number) {
            // Deleted since, perhaps.
            let there = self.key(entry, BlobClass::Evidence)?.is_some();
            return Ok(there.then_some(last));
        }
        let opened = match self.evidence(entry) {
            Err(LogError::Deleted { .. } | LogError::Forgotten { .. }) => return Ok(None),
            opened => opened?,
        };
        let Some(evidence) = Evidence::parse(&opened) else {
            return Ok(None);
        };
        let Some(token) = evidence.token else {
            return Ok(None);
        };
        let batch = match evidence.digests.is_empty() {
            true => None,
            false => Some(
                Batch::from_bytes(evidence.digests)
                    .ok()
                    .filter(|batch| batch.len() == evidence.covered.len())
                    .ok_or_else(|| self.changed(entry.number, "list of digests"))?,
            ),
        };
        let stamp = Arc::new(OpenStamp {
            number: entry.number,
            token: token.to_vec(),
            batch,
            covered: evidence.covered,
        });
        self.last_stamp.set(&stamp);
        Ok(Some(stamp))
    }

    /// The time-stamp of the first entry that covers an entry with one.
    pub(crate) fn stamp(&mut self, number: u64) -> Result<Option<Stamp>, LogError> {
        let mut from = number + 1;
        if let Some(view) = self.index.view() {
            match view.stamp_of(number) {
                Ok(Some(stamp)) if stamp < self.entries => {
                    let entry = self.entry(stamp)?;
                    if let Some(stamp) = self.open_stamp(&entry)?.and_then(|stamp| stamp.of(number)) {
                        return Ok(Some(stamp));
                    }
                    self.index.suspect("a time-stamp does not cover what it says");
                }
                Ok(_) => from = from.max(view.position()),
                Err(ViewError::Store(error)) => self.index.suspect(&error.to_string()),
                Err(ViewError::Log(error)) => return Err(error),
            }
        }
        for stamp in self.timestamps_from(from)? {
            let entry = self.entry(stamp)?;
            if let Some(stamp) = self.open_stamp(&entry)?.and_then(|stamp| stamp.of(number)) {
                return Ok(Some(stamp));
            }
        }
        Ok(None)
    }

    /// The number that the newest time-stamp gives: every message below has one. 0 when none says.
    pub(crate) fn stamped_below(&mut self) -> Result<u64, LogError> {
        let last = self.segments.last().copied().unwrap_or(0);
        // Nearly always the last segment has one; else all are looked through, once.
        for from in [last, 0] {
            for stamp in self.timestamps_from(from)?.into_iter().rev() {
                let entry = self.entry(stamp)?;
                let opened = match self.evidence(&entry) {
                    Err(LogError::Forgotten { .. }) => continue,
                    opened => opened?,
                };
                if let Some(below) = Evidence::parse(&opened).and_then(|evidence| evidence.stamped_below) {
                    return Ok(below);
                }
            }
        }
        Ok(0)
    }

    fn timestamps_from(&mut self, number: u64) -> Result<Vec<u64>, LogError> {
        let mut stamps = Vec::new();
        if number >= self.entries {
            return Ok(stamps);
        }
        let first = self.segment_of(number)?;
        let mut open_from = first;
        // Sealed segments by their leaf files, which are small; the rest record by record.
        for segment in self.segments.iter().copied().filter(|segment| *segment >= first) {
            let leaves =
                match segment::read_leaves(&*self.home.disk, &self.home.layout, &self.home.id, segment) {
                    Err(LogError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => break,
                    leaves => leaves?,
                };
            open_from = segment + leaves.len() as u64;
            stamps.extend(
                (segment..)
                    .zip(&leaves)
                    .filter(|(_, leaf)| leaf::is_timestamp(leaf))
                    .map(|(at, _)| at),
            );
        }
        self.scan(open_from.max(number), &mut |_, entry| {
            if leaf::is_timestamp(entry.leaf_bytes()) {
                stamps.push(entry.number);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        stamps.retain(|stamp| *stamp >= number);
        Ok(stamps)
    }
}
