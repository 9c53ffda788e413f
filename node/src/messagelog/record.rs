//! One record of a segment as bytes: header, blobs, padding, checksums. Owns the layout of `format.rs`; knows nothing of
//! what stands in the blobs. Refuses everything that does not agree with itself, and never panics on what a disk returns.

use std::ops::Range;

use super::format::{Cursor, RECORD_HEADER, RECORD_LIMIT, RECORD_MAGIC, crc, length};

/// What a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKind {
    Entry,
    Shared,
    Open,
    Seal,
    Mark,
}

impl RecordKind {
    fn code(self) -> u8 {
        match self {
            Self::Entry => 1,
            Self::Shared => 2,
            Self::Open => 3,
            Self::Seal => 4,
            Self::Mark => 5,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Entry, Self::Shared, Self::Open, Self::Seal, Self::Mark]
            .into_iter()
            .find(|kind| kind.code() == code)
    }
}

/// What became of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobState {
    Absent,
    There,
    Removed,
    ContentFile,
}

impl BlobState {
    fn code(self) -> u8 {
        match self {
            Self::Absent => 0,
            Self::There => 1,
            Self::Removed => 2,
            Self::ContentFile => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Absent, Self::There, Self::Removed, Self::ContentFile]
            .into_iter()
            .find(|state| state.code() == code)
    }
}

/// Places of the blobs in a record.
pub(crate) const LEAF: usize = 0;
pub(crate) const EVIDENCE: usize = 1;
pub(crate) const HEAD: usize = 2;
pub(crate) const BODY: usize = 3;

/// A blob as it goes into a record.
pub(crate) type Blob<'a> = (BlobState, &'a [u8]);
pub(crate) const NO_BLOB: Blob<'static> = (BlobState::Absent, &[]);

/// The header of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: RecordKind,
    pub(crate) states: [BlobState; 4],
    /// Bytes of the whole record.
    pub(crate) length: usize,
    pub(crate) number: u64,
    pub(crate) answers: Option<u64>,
    /// Offset of the round's first record.
    pub(crate) round: u64,
    lengths: [usize; 4],
    checksums: [u32; 4],
}

impl RecordHeader {
    /// Reads a header whose checksum and sums are right.
    pub(crate) fn parse(bytes: &[u8; RECORD_HEADER]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        if cursor.take(4)? != RECORD_MAGIC || crc(&bytes[..76]).to_be_bytes() != bytes[76..] {
            return None;
        }
        let kind = RecordKind::from_code(cursor.u8()?)?;
        let mut states = [BlobState::Absent; 4];
        for state in &mut states {
            *state = BlobState::from_code(cursor.u8()?)?;
        }
        if cursor.take(3)? != [0; 3] {
            return None;
        }
        let length = usize::try_from(cursor.u32()?).ok()?;
        let (number, answers, round) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        let mut lengths = [0; 4];
        for (length, state) in lengths.iter_mut().zip(states) {
            *length = usize::try_from(cursor.u32()?).ok()?;
            if *length > 0 && matches!(state, BlobState::Absent | BlobState::Removed) {
                return None;
            }
        }
        let mut checksums = [0; 4];
        for checksum in &mut checksums {
            *checksum = cursor.u32()?;
        }
        let header = Self {
            kind,
            states,
            length,
            number,
            answers: (answers != u64::MAX).then_some(answers),
            round,
            lengths,
            checksums,
        };
        (length <= RECORD_LIMIT && length == header.padded()? && cursor.u32()? == 0).then_some(header)
    }

    fn padded(&self) -> Option<usize> {
        let blobs = self
            .lengths
            .iter()
            .try_fold(RECORD_HEADER, |sum, length| sum.checked_add(*length))?;
        blobs.checked_next_multiple_of(8)
    }

    fn encode(&self) -> [u8; RECORD_HEADER] {
        let mut bytes = [0; RECORD_HEADER];
        bytes[..4].copy_from_slice(RECORD_MAGIC);
        bytes[4] = self.kind.code();
        for (byte, state) in bytes[5..9].iter_mut().zip(self.states) {
            *byte = state.code();
        }
        bytes[12..16].copy_from_slice(&length(self.length).to_be_bytes());
        bytes[16..24].copy_from_slice(&self.number.to_be_bytes());
        bytes[24..32].copy_from_slice(&self.answers.unwrap_or(u64::MAX).to_be_bytes());
        bytes[32..40].copy_from_slice(&self.round.to_be_bytes());
        for (index, blob) in self.lengths.iter().enumerate() {
            bytes[40 + 4 * index..44 + 4 * index].copy_from_slice(&length(*blob).to_be_bytes());
        }
        for (index, checksum) in self.checksums.iter().enumerate() {
            bytes[56 + 4 * index..60 + 4 * index].copy_from_slice(&checksum.to_be_bytes());
        }
        let checksum = crc(&bytes[..76]);
        bytes[76..].copy_from_slice(&checksum.to_be_bytes());
        bytes
    }

    /// Where a blob lies in the record.
    pub(crate) fn blob(&self, index: usize) -> Range<usize> {
        let start = RECORD_HEADER + self.lengths[..index].iter().sum::<usize>();
        start..start + self.lengths[index]
    }

    /// Whether these are the bytes of one of its blobs.
    pub(crate) fn has_checksum(&self, index: usize, blob: &[u8]) -> bool {
        crc(blob) == self.checksums[index]
    }

    /// Whether every blob of this record has its checksum and the padding is zero.
    pub(crate) fn is_sound(&self, record: &[u8]) -> bool {
        record.len() == self.length
            && (0..4).all(|index| crc(&record[self.blob(index)]) == self.checksums[index])
            && record[self.blob(3).end..].iter().all(|byte| *byte == 0)
    }
}

/// What a record is besides its blobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordPlace {
    pub(crate) kind: RecordKind,
    pub(crate) number: u64,
    pub(crate) answers: Option<u64>,
    pub(crate) round: u64,
}

/// Bytes of a record with blobs of these lengths.
pub(crate) fn record_length(blobs: impl IntoIterator<Item = usize>) -> usize {
    blobs
        .into_iter()
        .fold(RECORD_HEADER, usize::saturating_add)
        .next_multiple_of(8)
}

/// Appends a record to a round.
pub(crate) fn append_record(round: &mut Vec<u8>, place: RecordPlace, blobs: [Blob<'_>; 4]) {
    let header = RecordHeader {
        kind: place.kind,
        states: blobs.map(|(state, _)| state),
        length: record_length(blobs.map(|(_, bytes)| bytes.len())),
        number: place.number,
        answers: place.answers,
        round: place.round,
        lengths: blobs.map(|(_, bytes)| bytes.len()),
        checksums: blobs.map(|(_, bytes)| crc(bytes)),
    };
    let end = round.len() + header.length;
    round.reserve(header.length);
    round.extend_from_slice(&header.encode());
    for (_, bytes) in blobs {
        round.extend_from_slice(bytes);
    }
    round.resize(end, 0);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn state() -> impl Strategy<Value = (BlobState, Vec<u8>)> {
        let bytes = proptest::collection::vec(any::<u8>(), 0..200);
        (bytes, 0..4u8).prop_map(|(bytes, code)| match BlobState::from_code(code).unwrap() {
            state @ (BlobState::Absent | BlobState::Removed) => (state, Vec::new()),
            state => (state, bytes),
        })
    }

    proptest! {
        #[test]
        fn a_record_survives_a_round_trip(
            blobs in [state(), state(), state(), state()],
            kind in 1..=5u8,
            number: u64,
            answers in proptest::option::of(0..u64::MAX),
            round: u64,
        ) {
            let place = RecordPlace { kind: RecordKind::from_code(kind).unwrap(), number, answers, round };
            let mut bytes = Vec::new();
            append_record(&mut bytes, place, [0, 1, 2, 3].map(|index| (blobs[index].0, &blobs[index].1[..])));
            let header = RecordHeader::parse(bytes[..RECORD_HEADER].try_into().unwrap()).unwrap();
            prop_assert!(header.is_sound(&bytes));
            prop_assert_eq!((header.kind, header.number, header.answers, header.round),
                (place.kind, number, answers, round));
            for (index, (state, blob)) in blobs.iter().enumerate() {
                prop_assert_eq!(header.states[index], *state);
                prop_assert_eq!(&bytes[header.blob(index)], &blob[..]);
            }
        }

        #[test]
        fn a_flipped_bit_anywhere_in_a_record_is_noticed(blobs in [state(), state(), state(), state()], at: prop::sample::Index, bit in 0..8u8) {
            let place = RecordPlace { kind: RecordKind::Entry, number: 7, answers: None, round: 512 };
            let mut bytes = Vec::new();
            append_record(&mut bytes, place, [0, 1, 2, 3].map(|index| (blobs[index].0, &blobs[index].1[..])));
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            let header = RecordHeader::parse(bytes[..RECORD_HEADER].try_into().unwrap());
            prop_assert!(header.is_none_or(|header| !header.is_sound(&bytes)));
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(mut bytes: [u8; RECORD_HEADER], repair: bool) {
            if repair {
                bytes[..4].copy_from_slice(RECORD_MAGIC);
                let checksum = crc(&bytes[..76]);
                bytes[76..].copy_from_slice(&checksum.to_be_bytes());
            }
            if let Some(header) = RecordHeader::parse(&bytes) {
                header.is_sound(&bytes);
            }
        }
    }
}
