//! Reading time-stamps: the one that covers an entry, and below which number every message has one.

use std::ops::ControlFlow;

use kontor_protocol::container::timestamp::Batch;

use super::{Reader, Stamp, StoredEntry};
use crate::messagelog::{blob::Evidence, error::LogError, index::ViewError, leaf, segment};

impl Reader {
    /// The time-stamp of the first entry that covers an entry with one.
    pub(crate) fn stamp(&mut self, number: u64) -> Result<Option<Stamp>, LogError> {
        let mut from = number + 1;
        if let Some(view) = self.index.view() {
            match view.stamp_of(number) {
                Ok(Some(stamp)) if stamp < self.entries => {
                    let entry = self.entry(stamp)?;
                    if let Some(stamp) = self.stamp_in(&entry, number)? {
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
            if let Some(stamp) = self.stamp_in(&entry, number)? {
                return Ok(Some(stamp));
            }
        }
        Ok(None)
    }

    /// The time-stamp in an entry, if it covers another and is not deleted.
    fn stamp_in(&mut self, stamp: &StoredEntry, number: u64) -> Result<Option<Stamp>, LogError> {
        let opened = match self.evidence(stamp) {
            Err(LogError::Deleted { .. } | LogError::Forgotten { .. }) => return Ok(None),
            opened => opened?,
        };
        let Some(evidence) = Evidence::parse(&opened) else {
            return Ok(None);
        };
        let place = evidence.covered.iter().position(|covered| *covered == number);
        let (Some(place), Some(token)) = (place, evidence.token) else {
            return Ok(None);
        };
        if evidence.digests.is_empty() {
            return Ok(Some(Stamp::Single(token.to_vec())));
        }
        let batch = Batch::from_bytes(evidence.digests)
            .ok()
            .and_then(|batch| batch.record(place, token));
        batch
            .map(|batch| Some(Stamp::Batch(batch)))
            .ok_or_else(|| self.changed(stamp.number, "list of digests"))
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
