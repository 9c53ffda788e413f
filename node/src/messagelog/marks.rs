//! Entries that others are judged by: deletions, holds, their release, and acts. They are few, so the log knows all of them
//! by number and need not look for them. Owns `log/marks`, which covers the sealed segments and is made again from the leaf
//! files when it is missing or does not read; the marks of the open segment come from its records.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontor_protocol::log::{EntryKind, Leaf};

use super::{
    error::LogError,
    format::{Cursor, VERSION, crc},
    identity::Home,
    segment,
};
use crate::disk;

const MAGIC: &[u8; 8] = b"KONTMRK1";
const HEADER: usize = 8 + 4 + 4 + 32 + 8 + 8;
const MARK: usize = 8 + 1 + 8 + 8;
/// Ten marks a day for a thousand years.
pub(crate) const LIMIT: usize = HEADER + 4 + 4_000_000 * MARK;

/// One of these entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) number: u64,
    pub(crate) kind: EntryKind,
    /// The least and the greatest number concerned; all there are when they are not known without opening the entry.
    pub(crate) span: (u64, u64),
}

impl Mark {
    /// The mark that an entry with this leaf is, if it is one.
    pub(crate) fn of(leaf: &Leaf) -> Option<Self> {
        let marks = matches!(
            leaf.kind,
            EntryKind::Act | EntryKind::Deletion | EntryKind::Hold | EntryKind::HoldReleased
        );
        marks.then_some(Self {
            number: leaf.number,
            kind: leaf.kind,
            span: (0, u64::MAX),
        })
    }
}

/// All marks of a log, in order. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Marks(Arc<Mutex<Vec<Mark>>>);

impl Marks {
    fn held(&self) -> MutexGuard<'_, Vec<Mark>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds marks that come after all others.
    pub(crate) fn extend(&self, marks: impl IntoIterator<Item = Mark>) {
        self.held().extend(marks);
    }

    /// The marks of a kind, in order.
    pub(crate) fn of_kind(&self, kind: EntryKind) -> Vec<Mark> {
        let held = self.held();
        held.iter().filter(|mark| mark.kind == kind).copied().collect()
    }

    /// The marks of a kind from a number on, in order.
    pub(crate) fn of_kind_from(&self, kind: EntryKind, from: u64) -> Vec<Mark> {
        let held = self.held();
        let start = held.partition_point(|mark| mark.number < from);
        let there = held[start..].iter().filter(|mark| mark.kind == kind);
        there.copied().collect()
    }

    /// Narrows the span of a mark whose entry was opened.
    pub(crate) fn narrow(&self, number: u64, span: (u64, u64)) {
        let mut held = self.held();
        if let Ok(index) = held.binary_search_by_key(&number, |mark| mark.number) {
            held[index].span = span;
        }
    }

    /// Reads the marks of all sealed segments: those of the file, and of leaf files that came after it. `sealed` lists the
    /// first numbers of the leaf files there are.
    pub(crate) fn load(home: &Home, sealed: &[u64]) -> Result<Self, LogError> {
        let path = home.layout.marks();
        let read = match disk::read_all(&*home.disk, &path, LIMIT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            read => parse(&home.id, &read.map_err(LogError::io("could not read", &path))?),
        };
        let (upto, mut marks) = read.unwrap_or_default();
        let mut end = upto;
        for first in sealed.iter().copied().filter(|first| *first >= upto) {
            let leaves = segment::read_leaves(&*home.disk, &home.layout, &home.id, first)?;
            marks.extend(
                leaves
                    .iter()
                    .filter_map(|leaf| Mark::of(&Leaf::parse(leaf).ok()?)),
            );
            end = first + leaves.len() as u64;
        }
        let marks = Self(Arc::new(Mutex::new(marks)));
        if end > upto {
            marks.save(home, end)?;
        }
        Ok(marks)
    }

    /// Writes the marks below `upto`, where a sealed segment ends. A crash before leaves the file of an earlier moment, to which
    /// a start adds what is missing.
    pub(crate) fn save(&self, home: &Home, upto: u64) -> Result<(), LogError> {
        let bytes = {
            let held = self.held();
            let below = &held[..held.partition_point(|mark| mark.number < upto)];
            encode(&home.id, upto, below)
        };
        let path = home.layout.marks();
        disk::replace(&*home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))
    }
}

fn encode(log: &[u8; 32], upto: u64, marks: &[Mark]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + 4 + marks.len() * MARK);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(log);
    bytes.extend_from_slice(&upto.to_be_bytes());
    bytes.extend_from_slice(&(marks.len() as u64).to_be_bytes());
    for mark in marks {
        bytes.extend_from_slice(&mark.number.to_be_bytes());
        bytes.push(mark.kind.code());
        bytes.extend_from_slice(&mark.span.0.to_be_bytes());
        bytes.extend_from_slice(&mark.span.1.to_be_bytes());
    }
    let checksum = crc(&bytes);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes
}

/// The position that a file covers and its marks; `None` for anything that is no such file of this log.
pub(crate) fn parse(log: &[u8; 32], bytes: &[u8]) -> Option<(u64, Vec<Mark>)> {
    let (content, checksum) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
    if crc(content).to_be_bytes() != checksum {
        return None;
    }
    let mut cursor = Cursor(content);
    let head = (cursor.take(8)?, cursor.u32()?, cursor.u32()?, cursor.take(32)?);
    if head != (MAGIC, VERSION, 0, log) {
        return None;
    }
    let (upto, count) = (cursor.u64()?, usize::try_from(cursor.u64()?).ok()?);
    if count != cursor.0.len() / MARK {
        return None;
    }
    let mut marks = Vec::with_capacity(count);
    for _ in 0..count {
        let mark = Mark {
            number: cursor.u64()?,
            kind: EntryKind::from_code(cursor.u8()?),
            span: (cursor.u64()?, cursor.u64()?),
        };
        let after = marks.last().is_none_or(|last: &Mark| last.number < mark.number);
        if !after || mark.number >= upto {
            return None;
        }
        marks.push(mark);
    }
    cursor.0.is_empty().then_some((upto, marks))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_survive_a_round_trip_and_no_flipped_bit_does(
            numbers in proptest::collection::btree_set(0..1000_u64, 0..20),
            at: prop::sample::Index,
            bit in 0..8_u8,
        ) {
            let marks: Vec<_> = numbers
                .iter()
                .map(|number| Mark { number: *number, kind: EntryKind::Hold, span: (*number, number + 7) })
                .collect();
            let mut bytes = encode(&[7; 32], 1000, &marks);
            prop_assert_eq!(parse(&[7; 32], &bytes), Some((1000, marks)));
            prop_assert_eq!(parse(&[8; 32], &bytes), None);
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(parse(&[7; 32], &bytes), None);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&[7; 32], &bytes);
        }
    }
}
