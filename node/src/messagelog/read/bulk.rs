//! Reading many entries at once: all leaves from a number on, the content files that entries name, and records as a scan of a
//! segment meets them.

use std::ops::ControlFlow;

use kontor_protocol::log::Leaf;

use super::{Body, Head, KeyName, Opened, Reader};
use crate::messagelog::{
    content::ContentId,
    error::LogError,
    keytree::{BlobClass, associated_data, open, seal},
    leaf,
    numbers::NumberSet,
    record::{BODY, BlobState, HEAD, LEAF, RecordKind},
    segment::{self, Record},
};

impl Reader {
    /// Gives every leaf from `from` on to `visit` until it breaks. Sealed segments are read by their leaf files.
    pub(crate) fn each_leaf(
        &mut self,
        from: u64,
        visit: &mut dyn FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), LogError> {
        if from >= self.entries {
            return Ok(());
        }
        let first = self.segment_of(from)?;
        let segments: Vec<_> = self.segments.iter().copied().filter(|at| *at >= first).collect();
        for first in segments {
            let (home, entries) = (self.home.clone(), self.entries);
            let leaves = match segment::read_leaves(&*home.disk, &home.layout, &home.id, first) {
                Ok(leaves) => leaves,
                // The open segment, or one that was sealed a moment ago.
                Err(LogError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => {
                    let mut leaves = Vec::new();
                    self.segment(first)?.scan(&mut |record| {
                        if record.header.kind == RecordKind::Entry {
                            leaves.push(record.blob(LEAF).to_vec());
                        }
                        Ok(())
                    })?;
                    leaves
                }
                Err(error) => return Err(error),
            };
            let numbered = (first..).zip(&leaves);
            for (number, leaf) in numbered.filter(|(number, _)| (from..entries).contains(number)) {
                if visit(number, leaf).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// First numbers of the segments in which one of these entries lies.
    pub(crate) fn segments_of(&self, numbers: &NumberSet) -> Vec<u64> {
        let ends = self.segments.iter().skip(1).copied().chain([self.entries]);
        let spans = self.segments.iter().copied().zip(ends);
        let touched = spans.filter(|(first, end)| {
            let runs = numbers.runs();
            let next = runs.partition_point(|run| run.1 <= *first);
            runs.get(next).is_some_and(|run| run.0 < *end)
        });
        touched.map(|(first, _)| first).collect()
    }

    /// The content files that the bodies of these entries lie in. A body that does not open names none.
    pub(crate) fn content_of(&mut self, numbers: &NumberSet) -> Result<Vec<ContentId>, LogError> {
        let mut found = Vec::new();
        for first in self.segments_of(numbers) {
            let segment = self.segment(first)?;
            segment.scan(&mut |record| {
                let names = record.header.kind == RecordKind::Entry
                    && record.header.states[BODY] == BlobState::ContentFile
                    && numbers.contains(record.header.number);
                if names
                    && let Ok(Some(body)) = self.open_record(record, BODY, BlobClass::Body)
                    && let Some(Body::Content { id, .. }) = Body::parse(&body)
                {
                    found.push(id);
                }
                Ok(())
            })?;
        }
        Ok(found)
    }

    /// Whether the key of a blob is gone.
    pub(crate) fn is_forgotten(&mut self, record: &Record<'_>, class: BlobClass) -> Result<bool, LogError> {
        let Some(name) = key_name(record, class) else {
            return Ok(false);
        };
        let key = self.keys.for_reading(&name, record.header.number)?;
        Ok(key.is_none())
    }

    /// A head without its message, sealed: what stays of one that an archive holds. `None` when no more is there already.
    pub(crate) fn ids_of(&mut self, record: &Record<'_>) -> Result<Option<Vec<u8>>, LogError> {
        let (number, class) = (record.header.number, BlobClass::Head);
        let Some(name) = key_name(record, class) else {
            return Ok(None);
        };
        let Some(opened) = self.open_record(record, HEAD, class)? else {
            return Ok(None);
        };
        let head = Head::parse(&opened).ok_or_else(|| self.changed(number, class.name()))?;
        let Some(key) = self
            .keys
            .for_reading(&name, number)?
            .filter(|_| !head.message.is_empty())
        else {
            return Ok(None);
        };
        let mut ids = Vec::new();
        Head { message: &[], ..head }.write(&mut ids);
        let associated = associated_data(&self.home.id, number, class, name.period);
        seal(&key, &associated, kontor_pki::crypto::random(), &mut ids);
        Ok(Some(ids))
    }

    /// Opens one blob of a record; `None` when its key is gone or it has none.
    pub(crate) fn open_record(
        &mut self,
        record: &Record<'_>,
        place: usize,
        class: BlobClass,
    ) -> Result<Option<Opened>, LogError> {
        let Some(name) = key_name(record, class) else {
            return Ok(None);
        };
        let number = record.header.number;
        let Some(key) = self.keys.for_reading(&name, number)? else {
            return Ok(None);
        };
        let associated = associated_data(&self.home.id, number, class, name.period);
        let opened = open(&key, &associated, record.blob(place));
        opened.map(Some).map_err(|_| self.changed(number, class.name()))
    }
}

fn key_name(record: &Record<'_>, class: BlobClass) -> Option<KeyName> {
    let (period, retention) = leaf::key_of(&Leaf::parse(record.blob(LEAF)).ok()?, class)?;
    Some(KeyName {
        class,
        retention,
        period,
    })
}
