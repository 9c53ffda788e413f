//! Segment files: making them, reading their records in order, telling a torn tail from damage, and the permanent leaf
//! files that are copied out of them. Owns the files below `log/segments` and `log/leaves`; knows records, not what stands
//! in their blobs. Everything read is checked before it is believed.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

use super::{
    error::LogError,
    format::{
        Cursor, LEAF_FILE_HEADER, LEAF_FILE_MAGIC, Layout, RECORD_HEADER, SEGMENT_HEADER, SEGMENT_MAGIC,
        VERSION, crc, length,
    },
    record::{LEAF, RecordHeader, RecordKind},
};
use crate::disk::{self, Disk, DiskFile};

/// How much is read, zeroed or searched at a time.
const WINDOW: usize = 256 * 1024;
/// Zeros are synced in pieces of this size, so that a group commit beside it does not wait for all of them.
const ZERO_SYNC: u64 = 4 * 1024 * 1024;

/// One segment, open.
#[derive(Clone)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) first: u64,
    pub(crate) length: u64,
}

/// A sound record in memory.
pub(crate) struct Record<'a> {
    pub(crate) header: &'a RecordHeader,
    /// Where it begins in its segment.
    pub(crate) offset: u64,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    pub(crate) fn blob(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.header.blob(index)]
    }

    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// Where reading in order ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ScanEnd {
    /// Offset after the last sound record.
    pub(crate) offset: u64,
    /// Number of the entry that comes next.
    pub(crate) next: u64,
    /// Whether a seal ends the segment.
    pub(crate) sealed: bool,
}

/// The header of a segment.
pub(crate) fn segment_header(log: &[u8; 32], first: u64, file_length: u64) -> [u8; SEGMENT_HEADER] {
    let mut header = [0; SEGMENT_HEADER];
    header[..8].copy_from_slice(SEGMENT_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_be_bytes());
    header[16..48].copy_from_slice(log);
    header[48..56].copy_from_slice(&first.to_be_bytes());
    header[56..64].copy_from_slice(&file_length.to_be_bytes());
    let checksum = crc(&header[..508]);
    header[508..].copy_from_slice(&checksum.to_be_bytes());
    header
}

impl Segment {
    /// Opens a segment whose header is right.
    pub(crate) fn open(
        disk: &dyn Disk,
        layout: &Layout,
        log: &[u8; 32],
        first: u64,
    ) -> Result<Self, LogError> {
        let path = layout.segment(first);
        let file = disk.open(&path).map_err(LogError::io("could not open", &path))?;
        let mut found = [0; SEGMENT_HEADER];
        let file_length = file.len().map_err(LogError::io("could not read", &path))?;
        disk::read_exact_at(&*file, 0, &mut found).map_err(LogError::unread(&path, "it has no header"))?;
        if crc(&found[..508]).to_be_bytes() != found[508..] || &found[..8] != SEGMENT_MAGIC {
            return Err(LogError::damaged(&path, "its header has a wrong checksum"));
        }
        if found[8..12] != VERSION.to_be_bytes() {
            return Err(LogError::damaged(
                &path,
                "a newer version of Kontor wrote it; use that one",
            ));
        }
        if found != segment_header(log, first, file_length) {
            return Err(LogError::damaged(
                &path,
                "its header is not the one of this log, number and length",
            ));
        }
        Ok(Self {
            path,
            file,
            first,
            length: file_length,
        })
    }

    /// Gives every sound record from the front on to `visit`, until the seal or the first that is not sound.
    pub(crate) fn scan(
        &self,
        visit: &mut dyn FnMut(&Record<'_>) -> Result<(), LogError>,
    ) -> Result<ScanEnd, LogError> {
        let offset = SEGMENT_HEADER as u64;
        self.scan_from((offset, self.first), Some(offset), &mut |record| {
            visit(record).map(ControlFlow::Continue)
        })
    }

    /// As [`Segment::scan`], from the record of an entry on (its offset and number) until `visit` breaks. `round` is that of
    /// the record before, if it is known.
    pub(crate) fn scan_from(
        &self,
        (offset, next): (u64, u64),
        mut round: Option<u64>,
        visit: &mut dyn FnMut(&Record<'_>) -> Result<ControlFlow<()>, LogError>,
    ) -> Result<ScanEnd, LogError> {
        let mut window = Window::new(self);
        let mut end = ScanEnd {
            offset,
            next,
            sealed: false,
        };
        while let Some(header) = window.header(end.offset)? {
            let in_order = header.round == end.offset || round.is_none_or(|round| header.round == round);
            let numbered = header.kind == RecordKind::Shared || header.number == end.next;
            let Some(bytes) = window.bytes(end.offset, header.length)? else {
                break;
            };
            if !in_order || !numbered || !header.is_sound(bytes) {
                break;
            }
            let flow = visit(&Record {
                header: &header,
                offset: end.offset,
                bytes,
            })?;
            round = Some(header.round);
            end.offset += header.length as u64;
            end.next += u64::from(header.kind == RecordKind::Entry);
            if flow.is_break() {
                break;
            }
            if header.kind == RecordKind::Seal {
                end.sealed = true;
                break;
            }
        }
        Ok(end)
    }

    /// Walks over headers only, until `visit` is satisfied (true), a header is not sound, or the segment ends.
    pub(crate) fn walk(&self, visit: &mut dyn FnMut(u64, &RecordHeader) -> bool) -> Result<(), LogError> {
        self.walk_from(SEGMENT_HEADER as u64, visit)
    }

    /// As [`Segment::walk`], from an offset on.
    pub(crate) fn walk_from(
        &self,
        mut offset: u64,
        visit: &mut dyn FnMut(u64, &RecordHeader) -> bool,
    ) -> Result<(), LogError> {
        loop {
            let mut bytes = [0; RECORD_HEADER];
            match disk::read_exact_at(&*self.file, offset, &mut bytes) {
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read.map_err(LogError::io("could not read", &self.path))?,
            }
            let Some(header) = RecordHeader::parse(&bytes) else {
                return Ok(());
            };
            if visit(offset, &header) {
                return Ok(());
            }
            offset += header.length as u64;
        }
    }

    /// Reads one record and checks it.
    pub(crate) fn record(&self, offset: u64) -> Result<(RecordHeader, Vec<u8>), LogError> {
        let damaged = || LogError::damaged(&self.path, format_args!("no sound record at byte {offset}"));
        let mut header = [0; RECORD_HEADER];
        let unread = || LogError::unread(&self.path, "a record reaches beyond its end");
        disk::read_exact_at(&*self.file, offset, &mut header).map_err(unread())?;
        let header = RecordHeader::parse(&header).ok_or_else(damaged)?;
        let mut bytes = vec![0; header.length];
        disk::read_exact_at(&*self.file, offset, &mut bytes).map_err(unread())?;
        if !header.is_sound(&bytes) {
            return Err(damaged());
        }
        Ok((header, bytes))
    }

    /// Whether after a bad record there is one of a round that began later. Then the bad one was synced and is damaged.
    pub(crate) fn later_round(&self, bad: u64) -> Result<Option<u64>, LogError> {
        let mut window = Window::new(self);
        let mut offset = bad;
        while offset + (RECORD_HEADER as u64) <= self.length {
            let zeros = window.zeros(offset)?;
            if zeros > 0 {
                offset += zeros;
                continue;
            }
            if window.header(offset)?.is_some_and(|header| header.round > bad) {
                return Ok(Some(offset));
            }
            offset += 8;
        }
        Ok(None)
    }

    /// Makes everything from an offset on zero again and syncs. A crash in between leaves less to do.
    pub(crate) fn zero_from(&self, offset: u64) -> Result<bool, LogError> {
        let failed = |error| LogError::failed("could not clear the tail of", &self.path, &error);
        let (mut at, mut buffer, mut cleared) = (offset, vec![0; WINDOW], false);
        while at < self.length {
            let piece = WINDOW.min(usize::try_from(self.length - at).unwrap_or(WINDOW));
            let buffer = &mut buffer[..piece];
            disk::read_exact_at(&*self.file, at, buffer).map_err(failed)?;
            if buffer.iter().any(|byte| *byte != 0) {
                buffer.fill(0);
                self.file.write_at(at, buffer).map_err(failed)?;
                cleared = true;
            }
            at += piece as u64;
        }
        self.file.sync_data().map_err(failed)?;
        Ok(cleared)
    }
}

/// A part of a segment in memory, moved along as it is read.
struct Window<'a> {
    segment: &'a Segment,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(segment: &'a Segment) -> Self {
        Self {
            segment,
            start: 0,
            buffer: Vec::new(),
        }
    }

    fn bytes(&mut self, offset: u64, length: usize) -> Result<Option<&[u8]>, LogError> {
        if self.segment.length.saturating_sub(offset) < length as u64 {
            return Ok(None);
        }
        let held = offset >= self.start && offset + length as u64 <= self.start + self.buffer.len() as u64;
        if !held {
            let left = usize::try_from(self.segment.length - offset).unwrap_or(usize::MAX);
            self.buffer.resize(length.max(WINDOW).min(left), 0);
            self.start = offset;
            disk::read_exact_at(&*self.segment.file, offset, &mut self.buffer)
                .map_err(LogError::io("could not read", &self.segment.path))?;
        }
        let at = usize::try_from(offset - self.start).expect("the offset lies in the window");
        Ok(Some(&self.buffer[at..at + length]))
    }

    fn header(&mut self, offset: u64) -> Result<Option<RecordHeader>, LogError> {
        let bytes = self.bytes(offset, RECORD_HEADER)?;
        Ok(bytes.and_then(|bytes| RecordHeader::parse(bytes.first_chunk()?)))
    }

    /// How many zeros can be skipped at once, in steps of 8.
    fn zeros(&mut self, offset: u64) -> Result<u64, LogError> {
        let left = usize::try_from(self.segment.length - offset)
            .unwrap_or(WINDOW)
            .min(4096);
        let bytes = self.bytes(offset, left)?.unwrap_or_default();
        let zeros = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
        Ok((zeros / 8 * 8) as u64)
    }
}

/// Makes the next segment under its waiting name: zero-filled and synced, then renamed. What a crash leaves is a draft,
/// or the spare.
pub(crate) fn make_spare(disk: &dyn Disk, layout: &Layout, file_length: u64) -> std::io::Result<()> {
    let (spare, draft) = (layout.spare(), layout.segments().join("spare.seg.new"));
    for stale in [&draft, &spare] {
        match disk.remove(stale) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let file = disk.create(&draft)?;
    let filled = fill_with_zeros(&*file, file_length);
    if let Err(error) = filled {
        // Nothing was promised about the draft; a full disk gets its space back.
        let _ = disk.remove(&draft);
        return Err(error);
    }
    disk.rename(&draft, &spare)?;
    disk.sync_dir(&layout.segments())
}

fn fill_with_zeros(file: &dyn DiskFile, file_length: u64) -> std::io::Result<()> {
    let zeros = vec![0; WINDOW];
    let mut at = 0;
    while at < file_length {
        let piece = WINDOW.min(usize::try_from(file_length - at).unwrap_or(WINDOW));
        file.write_at(at, &zeros[..piece])?;
        at += piece as u64;
        if at % ZERO_SYNC == 0 {
            file.sync_data()?;
        }
    }
    file.sync_data()
}

/// Turns the spare into the segment that begins with entry `first`: header and first record, sync, then the name. A crash
/// before the name leaves a spare that is made anew, one after it a segment that is whole.
pub(crate) fn begin(
    disk: &dyn Disk,
    layout: &Layout,
    log: &[u8; 32],
    first: u64,
    opening: &[u8],
) -> std::io::Result<Segment> {
    let (spare, path) = (layout.spare(), layout.segment(first));
    let file = disk.open(&spare)?;
    let file_length = file.len()?;
    let mut front = segment_header(log, first, file_length).to_vec();
    front.extend_from_slice(opening);
    file.write_at(0, &front)?;
    file.sync_data()?;
    disk.rename(&spare, &path)?;
    disk.sync_dir(&layout.segments())?;
    Ok(Segment {
        path,
        file,
        first,
        length: file_length,
    })
}

/// Copies the leaves of a sealed segment to their permanent file and checks every record on the way.
pub(crate) fn copy_leaves(
    disk: &dyn Disk,
    layout: &Layout,
    log: &[u8; 32],
    segment: &Segment,
) -> Result<(), LogError> {
    let (mut leaves, mut count) = (vec![0; LEAF_FILE_HEADER], 0_u64);
    let end = segment.scan(&mut |record| {
        if record.header.kind == RecordKind::Entry {
            let leaf = record.blob(LEAF);
            leaves.extend_from_slice(&length(leaf.len()).to_be_bytes());
            leaves.extend_from_slice(&crc(leaf).to_be_bytes());
            leaves.extend_from_slice(leaf);
            count += 1;
        }
        Ok(())
    })?;
    if !end.sealed {
        return Err(LogError::damaged(
            &segment.path,
            format_args!("no sound record at byte {}", end.offset),
        ));
    }
    leaves[..LEAF_FILE_HEADER].copy_from_slice(&leaf_file_header(log, segment.first, count));
    let path = layout.leaf_file(segment.first);
    disk::replace(disk, &path, &leaves).map_err(LogError::io("could not write", &path))
}

fn leaf_file_header(log: &[u8; 32], first: u64, count: u64) -> [u8; LEAF_FILE_HEADER] {
    let mut header = [0; LEAF_FILE_HEADER];
    header[..8].copy_from_slice(LEAF_FILE_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_be_bytes());
    header[16..48].copy_from_slice(log);
    header[48..56].copy_from_slice(&first.to_be_bytes());
    header[56..64].copy_from_slice(&count.to_be_bytes());
    let checksum = crc(&header[..64]);
    header[64..68].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// How many leaves a leaf file holds, if its header is right.
pub(crate) fn count_leaves(
    disk: &dyn Disk,
    layout: &Layout,
    log: &[u8; 32],
    first: u64,
) -> Result<u64, LogError> {
    let path = layout.leaf_file(first);
    let file = disk.open(&path).map_err(LogError::io("could not open", &path))?;
    let mut header = [0; LEAF_FILE_HEADER];
    disk::read_exact_at(&*file, 0, &mut header).map_err(LogError::unread(&path, "it has no header"))?;
    let count = Cursor(&header[56..])
        .u64()
        .expect("the header is longer than 64 bytes");
    if header != leaf_file_header(log, first, count) {
        return Err(LogError::damaged(
            &path,
            "its header is not the one of this log and number",
        ));
    }
    Ok(count)
}

/// The leaves of a leaf file, in order.
pub(crate) fn read_leaves(
    disk: &dyn Disk,
    layout: &Layout,
    log: &[u8; 32],
    first: u64,
) -> Result<Vec<Vec<u8>>, LogError> {
    /// No segment is longer than a few records beyond its length.
    const LIMIT: usize = 256 * 1024 * 1024;
    let path = layout.leaf_file(first);
    let count = count_leaves(disk, layout, log, first)?;
    let content = disk::read_all(disk, &path, LIMIT).map_err(LogError::io("could not read", &path))?;
    let mut cursor = Cursor(&content[LEAF_FILE_HEADER..]);
    let mut next = || {
        let (bytes, checksum) = (usize::try_from(cursor.u32()?).ok()?, cursor.u32()?);
        cursor
            .take(bytes)
            .filter(|leaf| crc(leaf) == checksum)
            .map(<[u8]>::to_vec)
    };
    let leaves: Option<Vec<_>> = (0..count).map(|_| next()).collect();
    leaves
        .filter(|_| cursor.0.is_empty())
        .ok_or_else(|| LogError::damaged(&path, "a leaf has a wrong checksum"))
}
