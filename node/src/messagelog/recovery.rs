//! What a start finds: reads the segments, cuts a torn tail, stops at damage, completes what a crash left half done. What it
//! removes nobody was promised, and after it the files are as the running writer leaves them.

use std::{collections::BTreeSet, path::Path};

use kontor_protocol::log::Leaf;

use super::{
    blob::Body,
    content::ContentStore,
    error::LogError,
    exchange::{OpenRequests, parse_open},
    format::number_in_name,
    identity::Home,
    keytree::{BlobClass, KeyName, KeyRing, associated_data, open},
    leaf,
    marks::Mark,
    record::{BODY, BlobState, LEAF, RecordKind},
    segment::{self, Segment},
};

/// Sealed segments are read again at start up to so many bytes, newest first; older ones in the background.
const VERIFIED: u64 = 64 * 1024 * 1024;

/// The state in which the last process left the log.
pub(crate) struct Recovered {
    /// The last segment.
    pub(crate) segment: Segment,
    /// Where its next record goes.
    pub(crate) offset: u64,
    pub(crate) next: u64,
    /// Whether it is full: the next entry needs a new segment.
    pub(crate) sealed: bool,
    pub(crate) open: OpenRequests,
    pub(crate) segments: Vec<u64>,
    /// Sealed segments that were not read to their last byte.
    pub(crate) unread: Vec<Segment>,
    /// First numbers of the leaf files.
    pub(crate) sealed_firsts: Vec<u64>,
    /// Marks in the last segment.
    pub(crate) marks: Vec<Mark>,
}

/// Makes the directories and removes drafts, which nothing points to.
pub(crate) fn prepare(disk: &dyn crate::disk::Disk, layout: &super::format::Layout) -> Result<(), LogError> {
    for dir in layout.directories() {
        disk.create_dir(&dir)
            .map_err(LogError::io("could not make", &dir))?;
    }
    // Parents too: a directory made just now must not be lost under files that are synced.
    for dir in [layout.data(), &layout.root()] {
        disk.sync_dir(dir).map_err(LogError::io("could not sync", dir))?;
    }
    if let Some(above) = layout
        .data()
        .parent()
        .filter(|above| !above.as_os_str().is_empty())
    {
        disk.sync_dir(above)
            .map_err(LogError::io("could not sync", above))?;
    }
    for dir in [layout.root(), layout.segments(), layout.leaves(), layout.keys()] {
        for name in disk.list(&dir).map_err(LogError::io("could not list", &dir))? {
            if name.ends_with(".new") {
                let path = dir.join(name);
                disk.remove(&path)
                    .map_err(LogError::io("could not remove", &path))?;
            }
        }
        // The last process may have ended between a rename and its sync.
        disk.sync_dir(&dir)
            .map_err(LogError::io("could not sync", &dir))?;
    }
    Ok(())
}

fn numbers(home: &Home, dir: &Path, extension: &str) -> Result<BTreeSet<u64>, LogError> {
    let names = home.disk.list(dir).map_err(LogError::io("could not list", dir))?;
    Ok(names
        .iter()
        .filter_map(|name| number_in_name(name, extension))
        .collect())
}

/// Reads what is there; `None` for a new log.
pub(crate) fn recover(home: &Home) -> Result<Option<Recovered>, LogError> {
    let (disk, layout) = (&*home.disk, &home.layout);
    let segments = numbers(home, &layout.segments(), ".seg")?;
    let leaf_files = numbers(home, &layout.leaves(), ".leaf")?;
    let Some(&last) = segments.last() else {
        return match leaf_files.last() {
            None => Ok(None),
            Some(first) => Err(LogError::damaged(
                &layout.segment(*first),
                "it is missing, and so are all others",
            )),
        };
    };

    // Every number is in a segment or, once archived, in a leaf file; walk the sealed ones without a gap.
    let mut next = 0;
    let mut unread = Vec::new();
    while next < last {
        let count = if leaf_files.contains(&next) {
            if segments.contains(&next) {
                unread.push(Segment::open(disk, layout, &home.id, next)?);
            }
            segment::count_leaves(disk, layout, &home.id, next)?
        } else if segments.contains(&next) {
            // Sealed, but the process ended before its leaves were copied.
            let sealed = Segment::open(disk, layout, &home.id, next)?;
            segment::copy_leaves(disk, layout, &home.id, &sealed)?;
            segment::count_leaves(disk, layout, &home.id, next)?
        } else {
            return Err(LogError::damaged(&layout.segment(next), "it is missing"));
        };
        if count == 0 {
            return Err(LogError::damaged(
                &layout.segment(next),
                "a sealed segment has no entries",
            ));
        }
        next += count;
    }
    if next != last {
        return Err(LogError::damaged(
            &layout.segment(last),
            format_args!("the segment before it ends at {next}"),
        ));
    }
    let mut budget = VERIFIED;
    while let Some(sealed) = unread.pop_if(|sealed| sealed.length <= budget) {
        budget -= sealed.length;
        let end = sealed.scan(&mut |_| Ok(()))?;
        if !end.sealed {
            return Err(LogError::damaged(
                &sealed.path,
                format_args!("no sound record at byte {}", end.offset),
            ));
        }
    }
    let segment = Segment::open(disk, layout, &home.id, last)?;
    let mut recovered = read_last(segment)?;
    recovered.unread = unread;
    recovered.segments = segments.into_iter().collect();
    // Copies made just now are among them.
    recovered.sealed_firsts = numbers(home, &layout.leaves(), ".leaf")?.into_iter().collect();
    Ok(Some(recovered))
}

/// Reads the last segment, the only one that may have a torn tail.
fn read_last(segment: Segment) -> Result<Recovered, LogError> {
    let (mut open, mut marks) = (None, Vec::new());
    let damaged = || LogError::damaged(&segment.path, "the list of open exchanges does not read");
    let end = segment.scan(&mut |record| {
        match (record.header.kind, &mut open) {
            (RecordKind::Open, listed) => *listed = Some(parse_open(record.blob(LEAF)).ok_or_else(damaged)?),
            (RecordKind::Entry, Some(open)) => {
                if let Some(request) = record.header.answers {
                    OpenRequests::remove(open, &request);
                }
                // Lost to damage and put aside: nobody knows whether it was a request.
                if record.header.states[LEAF] == BlobState::Removed {
                    return Ok(());
                }
                let bytes = record.blob(LEAF);
                let leaf = Leaf::parse(bytes).map_err(|error| {
                    LogError::damaged(
                        &segment.path,
                        format_args!("entry {}: {error}", record.header.number),
                    )
                })?;
                marks.extend(Mark::of(&leaf));
                if leaf::is_request(&leaf) {
                    open.insert(record.header.number, bytes.to_vec());
                }
            }
            (RecordKind::Entry, None) => return Err(damaged()),
            (RecordKind::Shared | RecordKind::Seal | RecordKind::Mark, _) => {}
        }
        Ok(())
    })?;
    // Its first record was synced before the segment had its name.
    let open = open.ok_or_else(damaged)?;
    if end.sealed {
        segment
            .file
            .sync_data()
            .map_err(LogError::io("could not sync", &segment.path))?;
    } else {
        if let Some(later) = segment.later_round(end.offset)? {
            let found = format_args!(
                "no sound record at byte {}, though the record at byte {later} was written after it was synced",
                end.offset
            );
            return Err(LogError::damaged(&segment.path, found));
        }
        // A torn round nobody was promised. What is left of it must not be taken for records of later rounds; and what
        // was read may so far be in the system's memory only, so it is synced in any case.
        if segment.zero_from(end.offset)? {
            tracing::warn!(
                segment = %segment.path.display(), offset = end.offset, next = end.next,
                "cut an unfinished round of the last process; no entry in it was acknowledged"
            );
        }
    }
    Ok(Recovered {
        segment,
        offset: end.offset,
        next: end.next,
        sealed: end.sealed,
        open,
        segments: Vec::new(),
        unread: Vec::new(),
        sealed_firsts: Vec::new(),
        marks,
    })
}

/// Moves spooled bodies whose entry is on disk to their place and removes the others.
pub(crate) fn settle_content(
    home: &Home,
    content: &ContentStore,
    keys: &mut KeyRing,
    segment: Option<&Segment>,
) -> Result<(), LogError> {
    let spool = home.layout.spool();
    let mut spooled = content
        .list_spooled()
        .map_err(LogError::io("could not list", &spool))?;
    if spooled.is_empty() {
        return Ok(());
    }
    let mut kept = Vec::new();
    let mut note = |record: &segment::Record<'_>| {
        if record.header.states[BODY] != BlobState::ContentFile {
            return Ok(());
        }
        let (number, leaf) = (record.header.number, Leaf::parse(record.blob(LEAF)).ok());
        let Some((period, retention)) = leaf.and_then(|leaf| leaf::key_of(&leaf, BlobClass::Body)) else {
            return Ok(());
        };
        let name = KeyName {
            class: BlobClass::Body,
            retention,
            period,
        };
        // Without the key nobody can read the file: it goes like those without an entry.
        let Some(key) = keys.for_reading(&name, number)? else {
            return Ok(());
        };
        let associated = associated_data(&home.id, number, BlobClass::Body, period);
        if let Ok(body) = open(&key, &associated, record.blob(BODY))
            && let Some(Body::Content { id, .. }) = Body::parse(&body)
        {
            kept.push(id);
        }
        Ok(())
    };
    if let Some(segment) = segment {
        segment.scan(&mut note)?;
    }
    for (name, id) in spooled.drain(..) {
        let path = spool.join(name);
        match id {
            Some(id) if kept.contains(&id) => content.keep(id),
            _ => home.disk.remove(&path),
        }
        .map_err(LogError::io("could not settle", &path))?;
    }
    for dir in [home.layout.content(), spool] {
        home.disk
            .sync_dir(&dir)
            .map_err(LogError::io("could not sync", &dir))?;
    }
    Ok(())
}
