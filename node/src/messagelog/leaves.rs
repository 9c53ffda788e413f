//! Leaves in the order of their numbers, for whoever builds on all of them. Reads the permanent leaf file where a segment
//! has one, and else its records from where the last reading ended, so that what grows is read once.

use std::collections::BTreeSet;

use super::{
    error::LogError,
    format::{RECORD_HEADER, SEGMENT_HEADER, number_in_name},
    read::Reader,
    record::{LEAF, RecordHeader, RecordKind},
    segment::{self, Segment},
};
use crate::disk;

/// A record header and, nearly always, the leaf behind it.
const WINDOW: usize = 1024;

/// Where a reading of leaves stands.
#[derive(Debug, Clone, Default)]
pub(crate) struct LeafCursor {
    next: u64,
    /// Segment and offset of the record that comes next; where it was left, not where it must be.
    place: Option<(u64, u64)>,
}

impl LeafCursor {
    /// Begins with this number.
    pub(crate) fn at(next: u64) -> Self {
        Self { next, place: None }
    }
}

impl Reader {
    /// Gives the leaf of every synced entry from the cursor on to `visit`, in order, and moves the cursor.
    pub(crate) fn leaves(
        &self,
        cursor: &mut LeafCursor,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        if cursor.next >= self.entries() {
            return Ok(());
        }
        let home = self.home();
        let dir = home.layout.leaves();
        let names = home
            .disk
            .list(&dir)
            .map_err(LogError::io("could not list", &dir))?;
        let files: BTreeSet<_> = names
            .iter()
            .filter_map(|name| number_in_name(name, ".leaf"))
            .collect();
        while cursor.next < self.entries() {
            let in_file = files.range(..=cursor.next).next_back().copied();
            let in_segment = self.segment_of(cursor.next).ok();
            match (in_file, in_segment) {
                // The file is of an earlier segment than the one that has the entry.
                (Some(file), Some(segment)) if file < segment => self.of_segment(segment, cursor, visit)?,
                (Some(file), _) => self.of_file(file, cursor, visit)?,
                (None, Some(segment)) => self.of_segment(segment, cursor, visit)?,
                (None, None) => return Err(LogError::NotFound { number: cursor.next }),
            }
        }
        Ok(())
    }

    fn of_file(
        &self,
        first: u64,
        cursor: &mut LeafCursor,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let home = self.home();
        let leaves = segment::read_leaves(&*home.disk, &home.layout, &home.id, first)?;
        let skipped = usize::try_from(cursor.next - first).unwrap_or(usize::MAX);
        if skipped >= leaves.len() {
            return Err(LogError::NotFound { number: cursor.next });
        }
        for leaf in &leaves[skipped..] {
            visit(leaf)?;
            cursor.next += 1;
        }
        Ok(())
    }

    fn of_segment(
        &self,
        first: u64,
        cursor: &mut LeafCursor,
        visit: &mut dyn FnMut(&[u8]) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let segment = self.segment(first)?;
        let mut offset = match cursor.place {
            Some((here, offset)) if here == first => offset,
            _ => SEGMENT_HEADER as u64,
        };
        let until = self.segment_after(first).unwrap_or(u64::MAX).min(self.entries());
        let mut window = Vec::new();
        while cursor.next < until {
            let header = header_at(&segment, offset, &mut window)?;
            let is_entry = header.kind == RecordKind::Entry;
            if is_entry && header.number > cursor.next {
                return Err(LogError::damaged(
                    &segment.path,
                    format_args!("entry {} is not in it", cursor.next),
                ));
            }
            if is_entry && header.number == cursor.next {
                let leaf = leaf_of(&segment, offset, &header, &mut window)?;
                visit(leaf)?;
                cursor.next += 1;
            }
            offset += header.length as u64;
        }
        cursor.place = Some((first, offset));
        Ok(())
    }
}

fn unsound(segment: &Segment, offset: u64) -> LogError {
    LogError::damaged(&segment.path, format_args!("no sound record at byte {offset}"))
}

fn read(segment: &Segment, offset: u64, length: usize, window: &mut Vec<u8>) -> Result<(), LogError> {
    let left = usize::try_from(segment.length.saturating_sub(offset)).unwrap_or(usize::MAX);
    window.resize(length.min(left), 0);
    disk::read_exact_at(&*segment.file, offset, window).map_err(LogError::io("could not read", &segment.path))
}

fn header_at(segment: &Segment, offset: u64, window: &mut Vec<u8>) -> Result<RecordHeader, LogError> {
    read(segment, offset, WINDOW, window)?;
    let header = window
        .first_chunk::<RECORD_HEADER>()
        .and_then(RecordHeader::parse);
    header.ok_or_else(|| unsound(segment, offset))
}

fn leaf_of<'a>(
    segment: &Segment,
    offset: u64,
    header: &RecordHeader,
    window: &'a mut Vec<u8>,
) -> Result<&'a [u8], LogError> {
    let place = header.blob(LEAF);
    if window.len() < place.end {
        read(segment, offset, place.end, window)?;
    }
    let leaf = window.get(place).ok_or_else(|| unsound(segment, offset))?;
    if header.has_checksum(LEAF, leaf) {
        Ok(leaf)
    } else {
        Err(unsound(segment, offset))
    }
}
