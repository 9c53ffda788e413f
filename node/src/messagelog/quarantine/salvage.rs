//! What is left of a damaged segment: every record whose header is sound, every blob whose checksum is, leaves from the leaf
//! file, and for each number that has no record one that says that it is gone. Works on bytes only.

use std::collections::BTreeMap;

use kontor_protocol::log::Leaf;

use crate::messagelog::{
    format::{RECORD_HEADER, SEGMENT_HEADER},
    keytree::BlobClass,
    leaf,
    numbers::NumberSet,
    record::{
        BODY, BlobState, EVIDENCE, HEAD, LEAF, NO_BLOB, RecordHeader, RecordKind, RecordPlace, append_record,
    },
    segment::segment_header,
};

const NAMES: [&str; 4] = ["leaf", "evidence", "head", "body"];

/// A repaired segment.
pub(super) struct Repaired {
    pub(super) content: Vec<u8>,
    /// Numbers by the part that is gone.
    pub(super) lost: BTreeMap<&'static str, NumberSet>,
}

/// Makes a segment of what is sound. `end` is the number after its last entry where others know it; without one the segment
/// is the last, and stays open. `leaves` are those of the leaf file.
pub(super) fn repair(
    bytes: &[u8],
    log: &[u8; 32],
    first: u64,
    end: Option<u64>,
    leaves: Option<&[Vec<u8>]>,
) -> Repaired {
    let mut building = Building {
        content: vec![0; SEGMENT_HEADER],
        lost: BTreeMap::new(),
        next: first,
        first,
        leaves,
    };
    let sealed = end.is_some();
    if !sealed {
        building.open_list(bytes);
    }
    let mut at = SEGMENT_HEADER;
    while let Some(header) = bytes.get(at..at + RECORD_HEADER) {
        let header = header.first_chunk().and_then(RecordHeader::parse);
        let record = header.and_then(|header| Some((bytes.get(at..at + header.length)?, header)));
        let Some((record, header)) = record else {
            // Records begin at multiples of 8.
            at += 8;
            continue;
        };
        at += header.length;
        match header.kind {
            RecordKind::Entry => {
                // One that lies behind or far beyond is none of this segment.
                let limit = end.unwrap_or(building.next + (1 << 20));
                if header.number >= building.next && header.number < limit {
                    building.gone_until(header.number);
                    building.entry(&header, record);
                }
            }
            RecordKind::Shared if header.has_checksum(EVIDENCE, &record[header.blob(EVIDENCE)]) => {
                building.copy(&header, record);
            }
            RecordKind::Shared | RecordKind::Open | RecordKind::Seal | RecordKind::Mark => {}
        }
    }
    match end {
        Some(end) => {
            building.gone_until(end);
            let seal = building.place(RecordKind::Seal, end, None);
            append_record(&mut building.content, seal, [NO_BLOB; 4]);
        }
        // Room for the seal that comes one day.
        None => {
            let needed = (building.content.len() + 4 * RECORD_HEADER).next_multiple_of(SEGMENT_HEADER);
            building.content.resize(needed.max(bytes.len()), 0);
        }
    }
    let Building {
        mut content, lost, ..
    } = building;
    let header = segment_header(log, first, content.len() as u64);
    content[..SEGMENT_HEADER].copy_from_slice(&header);
    Repaired { content, lost }
}

struct Building<'a> {
    content: Vec<u8>,
    lost: BTreeMap<&'static str, NumberSet>,
    next: u64,
    first: u64,
    leaves: Option<&'a [Vec<u8>]>,
}

impl<'a> Building<'a> {
    fn place(&self, kind: RecordKind, number: u64, answers: Option<u64>) -> RecordPlace {
        RecordPlace {
            kind,
            number,
            answers,
            // Each record is a round of its own: its neighbours of then may be gone.
            round: self.content.len() as u64,
        }
    }

    fn lose(&mut self, part: usize, number: u64) {
        self.lost.entry(NAMES[part]).or_default().insert(number);
    }

    fn kept_leaf(&self, number: u64) -> Option<&'a [u8]> {
        let index = usize::try_from(number - self.first).ok()?;
        Some(self.leaves?.get(index)?)
    }

    /// The list of open exchanges as it was; when it is damaged, none: their closures are missing then.
    fn open_list(&mut self, bytes: &[u8]) {
        let header = bytes
            .get(SEGMENT_HEADER..SEGMENT_HEADER + RECORD_HEADER)
            .and_then(|header| RecordHeader::parse(header.first_chunk()?))
            .filter(|header| header.kind == RecordKind::Open);
        let record = header.and_then(|header| {
            let record = bytes.get(SEGMENT_HEADER..SEGMENT_HEADER + header.length)?;
            header
                .is_sound(record)
                .then_some(record[header.blob(LEAF)].to_vec())
        });
        let listed = record.unwrap_or_default();
        let place = self.place(RecordKind::Open, self.first, None);
        let blobs = [(BlobState::There, &listed[..]), NO_BLOB, NO_BLOB, NO_BLOB];
        append_record(&mut self.content, place, blobs);
    }

    fn copy(&mut self, header: &RecordHeader, record: &[u8]) {
        let place = self.place(header.kind, header.number, header.answers);
        let blobs = [0, 1, 2, 3].map(|part| (header.states[part], &record[header.blob(part)]));
        append_record(&mut self.content, place, blobs);
    }

    fn entry(&mut self, header: &RecordHeader, record: &[u8]) {
        let number = header.number;
        let mut blobs = [NO_BLOB; 4];
        for (part, blob) in blobs.iter_mut().enumerate() {
            let bytes = &record[header.blob(part)];
            *blob = match (header.has_checksum(part, bytes), self.kept_leaf(number)) {
                (true, _) => (header.states[part], bytes),
                (false, Some(leaf)) if part == LEAF => (BlobState::There, leaf),
                (false, _) => {
                    self.lose(part, number);
                    (BlobState::Removed, &[][..])
                }
            };
        }
        let place = self.place(RecordKind::Entry, number, header.answers);
        append_record(&mut self.content, place, blobs);
        self.next = number + 1;
    }

    /// Records for numbers that have none.
    fn gone_until(&mut self, end: u64) {
        while self.next < end {
            let number = self.next;
            let leaf = self.kept_leaf(number).filter(|leaf| !leaf.is_empty());
            let parsed = leaf.and_then(|leaf| Leaf::parse(leaf).ok());
            let mut blobs = [NO_BLOB; 4];
            match leaf {
                Some(leaf) => blobs[LEAF] = (BlobState::There, leaf),
                None => {
                    blobs[LEAF] = (BlobState::Removed, &[][..]);
                    self.lose(LEAF, number);
                }
            }
            let parts = [
                (EVIDENCE, BlobClass::Evidence),
                (HEAD, BlobClass::Head),
                (BODY, BlobClass::Body),
            ];
            for (part, class) in parts {
                let had = parsed
                    .as_ref()
                    .is_none_or(|leaf| leaf::key_of(leaf, class).is_some());
                if had {
                    blobs[part] = (BlobState::Removed, &[][..]);
                    self.lose(part, number);
                }
            }
            let place = self.place(RecordKind::Entry, number, None);
            append_record(&mut self.content, place, blobs);
            self.next += 1;
        }
    }
}
