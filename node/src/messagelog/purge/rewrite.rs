//! Rewrites a sealed segment without blobs that nobody can read any more, and without what was dropped because an archive
//! holds it: bodies, messages but their ids, and signature documents that nothing else cites. Owns the order: new file, sync, check, rename. A
//! crash before the rename leaves a draft, which the next start removes; after it the segment is the new one. Leaves stay as
//! they are, byte by byte.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    disk,
    messagelog::{
        blob::Evidence,
        error::LogError,
        format::{RECORD_HEADER, SEGMENT_HEADER},
        keytree::BlobClass,
        read::Reader,
        record::{BODY, BlobState, EVIDENCE, HEAD, NO_BLOB, RecordKind, RecordPlace, append_record},
        segment::{Segment, read_leaves, segment_header},
    },
};

const PARTS: [(usize, BlobClass); 3] = [
    (EVIDENCE, BlobClass::Evidence),
    (HEAD, BlobClass::Head),
    (BODY, BlobClass::Body),
];
/// A segment is rewritten when at least one byte of so many can be given back, or nothing is left to read in it.
const SHARE: u64 = 8;

/// What a segment holds, before anything is written.
#[derive(Default)]
struct Survey {
    /// Blobs that are gone, by number and place.
    dead: BTreeSet<(u64, usize)>,
    dead_bytes: u64,
    all_bytes: u64,
    /// Blobs that an archive holds, with what takes their place; nothing for a body.
    dropped: BTreeMap<(u64, usize), Vec<u8>>,
    /// Shared documents that a living entry cites.
    cited: BTreeSet<u64>,
    /// An entry whose evidence did not open may cite any of them.
    keep_documents: bool,
    alive: bool,
}

/// Rewrites a segment if it is sealed, its leaves are copied and enough of it is gone. Returns whether it did.
pub(super) fn rewrite(reader: &mut Reader, first: u64) -> Result<bool, LogError> {
    let home = reader.home().clone();
    // The open segment, or one whose leaves wait to be copied: a later purge comes by.
    let Ok(leaves) = read_leaves(&*home.disk, &home.layout, &home.id, first) else {
        return Ok(false);
    };
    if leaves.is_empty() {
        return Ok(false);
    }
    let last = first + leaves.len() as u64 - 1;
    let deleted = reader.deleted(first, last)?;
    let (heads, bodies) = (reader.dropped(BlobClass::Head)?, reader.dropped(BlobClass::Body)?);
    let segment = Segment::open(&*home.disk, &home.layout, &home.id, first)?;
    let mut survey = Survey::default();
    let end = segment.scan(&mut |record| {
        if record.header.kind != RecordKind::Entry {
            return Ok(());
        }
        let number = record.header.number;
        survey.all_bytes += record.bytes().len() as u64;
        for (place, class) in PARTS {
            let there = matches!(
                record.header.states[place],
                BlobState::There | BlobState::ContentFile
            );
            if !there {
                continue;
            }
            let gone = deleted
                .get(class.name())
                .is_some_and(|gone| gone.contains(number));
            // Only what an entry says was deleted, and what really cannot be read any more.
            if gone && reader.is_forgotten(record, class)? {
                survey.dead.insert((number, place));
                survey.dead_bytes += record.blob(place).len() as u64;
                continue;
            }
            survey.alive = true;
            if place == BODY && bodies.contains(number) {
                survey.dropped.insert((number, place), Vec::new());
            }
            if place == HEAD
                && heads.contains(number)
                && let Some(ids) = reader.ids_of(record)?
            {
                survey.dropped.insert((number, place), ids);
            }
            // Of a message in an archive the document lies there too.
            if place == EVIDENCE && !heads.contains(number) {
                match reader.open_record(record, place, class) {
                    Ok(Some(opened)) => match Evidence::parse(&opened) {
                        Some(evidence) => survey.cited.extend(evidence.shared.map(|shared| shared.name)),
                        None => survey.keep_documents = true,
                    },
                    Ok(None) | Err(_) => survey.keep_documents = true,
                }
            }
        }
        Ok(())
    })?;
    if !end.sealed {
        return Err(LogError::damaged(
            &segment.path,
            format_args!("no sound record at byte {}", end.offset),
        ));
    }
    let enough = survey.dead_bytes * SHARE >= survey.all_bytes || !survey.alive;
    if survey.dropped.is_empty() && (survey.dead.is_empty() || !enough) {
        return Ok(false);
    }
    let content = without(&segment, &home.id, &survey)?;
    let path = home.layout.segment(first);
    disk::replace(&*home.disk, &path, &content).map_err(LogError::io("could not rewrite", &path))?;
    check(
        &Segment::open(&*home.disk, &home.layout, &home.id, first)?,
        &leaves,
    )?;
    Ok(true)
}

/// The segment without its dead blobs, as bytes.
fn without(segment: &Segment, log: &[u8; 32], survey: &Survey) -> Result<Vec<u8>, LogError> {
    let mut content = vec![0; SEGMENT_HEADER];
    segment.scan(&mut |record| {
        let header = record.header;
        let keep = match header.kind {
            RecordKind::Entry | RecordKind::Seal => true,
            RecordKind::Shared => survey.keep_documents || survey.cited.contains(&header.number),
            // Book-keeping of a segment that is written to.
            RecordKind::Open | RecordKind::Mark => false,
        };
        if !keep {
            return Ok(());
        }
        let mut blobs = [NO_BLOB; 4];
        let mut less = false;
        for (place, blob) in blobs.iter_mut().enumerate() {
            let at = (header.number, place);
            let is_entry = header.kind == RecordKind::Entry;
            *blob = match survey.dropped.get(&at).filter(|_| is_entry) {
                _ if is_entry && survey.dead.contains(&at) => {
                    less = true;
                    (BlobState::Removed, &[][..])
                }
                Some(ids) if ids.is_empty() => (BlobState::Removed, &[][..]),
                Some(ids) => (header.states[place], &ids[..]),
                None => (header.states[place], record.blob(place)),
            };
        }
        let place = RecordPlace {
            kind: header.kind,
            number: header.number,
            answers: header.answers.filter(|_| !less),
            round: content.len() as u64,
        };
        append_record(&mut content, place, blobs);
        Ok(())
    })?;
    debug_assert!(content.len() >= SEGMENT_HEADER + RECORD_HEADER);
    let length = content.len() as u64;
    content[..SEGMENT_HEADER].copy_from_slice(&segment_header(log, segment.first, length));
    Ok(content)
}

/// What was written reads back, with the same leaves.
fn check(segment: &Segment, leaves: &[Vec<u8>]) -> Result<(), LogError> {
    let mut at = leaves.iter();
    let mut same = true;
    let end = segment.scan(&mut |record| {
        if record.header.kind == RecordKind::Entry {
            same &= at
                .next()
                .is_some_and(|leaf| leaf[..] == *record.blob(crate::messagelog::record::LEAF));
        }
        Ok(())
    })?;
    if same && end.sealed && at.next().is_none() {
        return Ok(());
    }
    Err(LogError::damaged(
        &segment.path,
        "it does not read as it was rewritten",
    ))
}
