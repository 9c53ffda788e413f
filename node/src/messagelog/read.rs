//! Reading entries back: by number, by query id, and the tokens that cover one. Reads what is synced only, beside the
//! running writer or without one, and checks each byte it hands out. A part whose key is gone is an answer of its own.

mod bulk;
mod stamps;

pub(crate) use stamps::{LastStamp, OpenStamp};

use std::{cell::OnceCell, ops::ControlFlow, sync::Arc};

use kontor_pki::{crypto::AeadKey, sealed::MasterKey, time::UnixTime};
use kontor_protocol::{
    container::{BatchTimestamp, ChainFiles},
    log::{EntryKind, Leaf, ListedPart, parse_parts},
};
use zeroize::Zeroizing;

use super::{
    archive::Catalog,
    blob::{Body, Evidence, Head, NotKept, Shared, SharedPlace},
    content::{ChunkReader, ContentStore},
    error::LogError,
    fact::LoggedFact,
    format::SEGMENT_HEADER,
    identity::Home,
    index::Index,
    keytree::{BlobClass, KeyName, KeyRing, associated_data, open},
    leaf,
    marks::Marks,
    numbers::NumberSet,
    record::{BODY, BlobState, EVIDENCE, HEAD, LEAF, RecordHeader, RecordKind},
    round::shared_data,
    segment::Segment,
    sequencer::Published,
    show::PartState,
};

/// Entries that are closer than this are read with what lies between them.
const NEAR: u64 = 64;

/// What a scan calls for each entry.
pub(crate) type Visit<'a> = dyn FnMut(&mut Reader, &StoredEntry) -> Result<ControlFlow<()>, LogError> + 'a;

/// A blob in clear, wiped when it is dropped.
pub(crate) type Opened = Zeroizing<Vec<u8>>;

/// Makes readers of a log; does not keep it open.
#[derive(Clone)]
pub(crate) struct Readers {
    pub(crate) home: Home,
    pub(crate) content: ContentStore,
    pub(crate) master: Arc<MasterKey>,
    pub(crate) published: Published,
    pub(crate) marks: Marks,
    pub(crate) index: Index,
    pub(crate) catalog: Catalog,
    pub(crate) last_stamp: LastStamp,
}

impl Readers {
    /// Reads what is synced now.
    pub(crate) fn reader(&self) -> Reader {
        // The count first: every entry it counts lies in a segment of the list.
        let entries = self.published.entries();
        let mut segments = self.published.segments();
        // The writer may have begun one more since the entries were counted.
        segments.retain(|first| *first < entries);
        let (home, master) = (self.home.clone(), Arc::clone(&self.master));
        Reader {
            keys: KeyRing::new(&home, master),
            home,
            content: self.content.clone(),
            index: self.index.clone(),
            catalog: self.catalog.clone(),
            last_stamp: self.last_stamp.clone(),
            entries,
            segments,
            marks: self.marks.clone(),
        }
    }
}

/// Reads one log. Blocking; each user has its own.
pub(crate) struct Reader {
    index: Index,
    catalog: Catalog,
    last_stamp: LastStamp,
    home: Home,
    content: ContentStore,
    keys: KeyRing,
    /// How many entries are synced.
    entries: u64,
    /// First numbers of the segments, in order.
    segments: Vec<u64>,
    marks: Marks,
}

/// An entry as it lies in its segment.
pub(crate) struct StoredEntry {
    pub(crate) number: u64,
    /// First number of its segment.
    pub(crate) segment: u64,
    /// Where its record begins there.
    pub(crate) offset: u64,
    header: RecordHeader,
    bytes: Vec<u8>,
    leaf: OnceCell<Leaf>,
}

impl StoredEntry {
    pub(crate) fn leaf_bytes(&self) -> &[u8] {
        &self.bytes[self.header.blob(LEAF)]
    }
}

/// Everything that was logged of one message.
pub(crate) struct LoggedMessage {
    pub(crate) number: u64,
    pub(crate) leaf: Leaf,
    pub(crate) leaf_bytes: Vec<u8>,
    pub(crate) salt: [u8; 32],
    pub(crate) parts: Vec<ListedPart>,
    pub(crate) at: UnixTime,
    pub(crate) query_id: String,
    pub(crate) message: Vec<u8>,
    /// The signature document as it was logged, without a token of ours.
    pub(crate) document: Vec<u8>,
    pub(crate) chain: Option<ChainFiles>,
    /// The time-stamp that a later entry holds.
    pub(crate) stamp: Option<Stamp>,
    /// The body, or why it cannot be had: it may be forgotten while the rest is not.
    pub(crate) body: Result<StoredBody, LogError>,
    /// What of it was left out when it was logged.
    pub(crate) not_kept: NotKept,
}

/// A time-stamp, as it goes into evidence (wire 5.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stamp {
    /// Over the signature value of one message.
    Single(Vec<u8>),
    /// Over the documents of many.
    Batch(BatchTimestamp),
}

impl Stamp {
    pub(crate) fn token(&self) -> &[u8] {
        match self {
            Self::Single(token) => token,
            Self::Batch(batch) => &batch.token,
        }
    }
}

/// The body of an entry.
pub(crate) enum StoredBody {
    /// The message has none.
    None,
    Inline(Opened),
    Content(ChunkReader, u64),
}

impl Reader {
    pub(crate) fn index(&self) -> &Index {
        &self.index
    }

    pub(in crate::messagelog) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    pub(crate) fn entries(&self) -> u64 {
        self.entries
    }

    /// The same, that sees nothing from this number on.
    pub(crate) fn up_to(mut self, entries: u64) -> Self {
        self.entries = self.entries.min(entries);
        self
    }

    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    pub(crate) fn home(&self) -> &Home {
        &self.home
    }

    pub(crate) fn segment(&self, first: u64) -> Result<Segment, LogError> {
        Segment::open(&*self.home.disk, &self.home.layout, &self.home.id, first)
    }

    /// First number of the segment that comes after this one.
    pub(crate) fn segment_after(&self, first: u64) -> Option<u64> {
        let after = self.segments.partition_point(|segment| *segment <= first);
        self.segments.get(after).copied()
    }

    pub(crate) fn segment_of(&self, number: u64) -> Result<u64, LogError> {
        let after = self.segments.partition_point(|first| *first <= number);
        let found = after
            .checked_sub(1)
            .and_then(|index| self.segments.get(index).copied());
        found
            .filter(|_| number < self.entries)
            .ok_or(LogError::NotFound { number })
    }

    /// One entry.
    pub(crate) fn entry(&self, number: u64) -> Result<StoredEntry, LogError> {
        let segment = self.segment(self.segment_of(number)?)?;
        let mut found = None;
        let mut look = |offset, header: &RecordHeader| {
            let here = header.kind == RecordKind::Entry && header.number == number;
            found = here.then_some(offset);
            // Beyond it, or nowhere near: the hint was wrong.
            here || (header.kind == RecordKind::Entry && header.number > number)
        };
        // The index knows a place near by, unless a purge moved it since.
        match self.index.view().and_then(|view| view.place(number)) {
            Some((first, offset)) if first == segment.first && offset < segment.length => {
                segment.walk_from(offset, &mut look)?;
            }
            _ => {}
        }
        if found.is_none() {
            segment.walk(&mut |offset, header| {
                let here = header.kind == RecordKind::Entry && header.number == number;
                found = here.then_some(offset);
                here
            })?;
        }
        let missing = || LogError::damaged(&segment.path, format_args!("entry {number} is not in it"));
        let offset = found.ok_or_else(missing)?;
        let (header, bytes) = segment.record(offset)?;
        Ok(StoredEntry {
            number,
            segment: segment.first,
            offset,
            header,
            bytes,
            leaf: OnceCell::new(),
        })
    }

    /// The bytes of the leaf of an entry.
    pub(crate) fn leaf_bytes(&self, number: u64) -> Result<Vec<u8>, LogError> {
        self.entry(number).map(|entry| entry.leaf_bytes().to_vec())
    }

    /// The leaf of an entry.
    pub(crate) fn leaf<'e>(&self, entry: &'e StoredEntry) -> Result<&'e Leaf, LogError> {
        if let Some(leaf) = entry.leaf.get() {
            return Ok(leaf);
        }
        let leaf = Leaf::parse(entry.leaf_bytes()).map_err(|_| self.changed(entry.number, "leaf"))?;
        Ok(entry.leaf.get_or_init(|| leaf))
    }

    fn key(&mut self, entry: &StoredEntry, class: BlobClass) -> Result<Option<(AeadKey, u32)>, LogError> {
        let Some((period, retention)) = leaf::key_of(self.leaf(entry)?, class) else {
            return Ok(None);
        };
        let key = self.keys.for_reading(
            &KeyName {
                class,
                retention,
                period,
            },
            entry.number,
        )?;
        Ok(key.map(|key| (key, period)))
    }

    /// Opens one blob; `None` when the entry has none, or its key or bytes are gone by purpose (then `Forgotten`).
    fn blob(
        &mut self,
        entry: &StoredEntry,
        place: usize,
        class: BlobClass,
    ) -> Result<Option<Opened>, LogError> {
        let (number, part) = (entry.number, class.name());
        match entry.header.states[place] {
            BlobState::Absent => return Ok(None),
            BlobState::Removed => return Err(LogError::Forgotten { number, part }),
            BlobState::There | BlobState::ContentFile => {}
        }
        let (key, period) = self
            .key(entry, class)?
            .ok_or(LogError::Forgotten { number, part })?;
        let associated = associated_data(&self.home.id, number, class, period);
        let opened = open(&key, &associated, &entry.bytes[entry.header.blob(place)]);
        opened.map(Some).map_err(|_| self.changed(number, part))
    }

    /// What became of a part of an entry.
    pub(crate) fn part_state(
        &mut self,
        entry: &StoredEntry,
        class: BlobClass,
    ) -> Result<PartState, LogError> {
        let place = match class {
            BlobClass::Head => HEAD,
            BlobClass::Body => BODY,
            BlobClass::Evidence | BlobClass::Shared => EVIDENCE,
        };
        Ok(match entry.header.states[place] {
            BlobState::Absent => PartState::None,
            state => match (self.key(entry, class)?, self.is_dropped(entry.number, class)?) {
                (None, _) => PartState::Deleted,
                (Some(_), true) => PartState::Archived,
                (Some(_), false) if state == BlobState::Removed => PartState::Deleted,
                (Some(_), false) => PartState::There,
            },
        })
    }

    pub(crate) fn changed(&self, number: u64, part: &str) -> LogError {
        let path = self
            .segment_of(number)
            .map(|first| self.home.layout.segment(first));
        let path = path.unwrap_or_else(|_| self.home.layout.segments());
        LogError::damaged(&path, format_args!("the {part} of entry {number} was changed"))
    }

    /// The head of an entry that has one.
    pub(crate) fn head(&mut self, entry: &StoredEntry) -> Result<Option<Opened>, LogError> {
        let opened = self.blob(entry, HEAD, BlobClass::Head)?;
        match &opened {
            Some(head) if Head::parse(head).is_none() => Err(self.changed(entry.number, "head")),
            _ => Ok(opened),
        }
    }

    /// The evidence of an entry.
    pub(crate) fn evidence(&mut self, entry: &StoredEntry) -> Result<Opened, LogError> {
        let opened = self.blob(entry, EVIDENCE, BlobClass::Evidence)?;
        let opened = opened.ok_or_else(|| self.changed(entry.number, "evidence"))?;
        match Evidence::parse(&opened) {
            Some(_) => Ok(opened),
            None => Err(self.changed(entry.number, "evidence")),
        }
    }

    /// The body of an entry; a large one is read chunk by chunk.
    pub(crate) fn body(&mut self, entry: &StoredEntry) -> Result<StoredBody, LogError> {
        let Some(mut opened) = self.blob(entry, BODY, BlobClass::Body)? else {
            return Ok(StoredBody::None);
        };
        let inline = match Body::parse(&opened) {
            Some(Body::Inline(bytes)) => opened.len() - bytes.len(),
            Some(Body::Content { id, key, length }) => {
                return Ok(StoredBody::Content(self.content.open(id, &key, length)?, length));
            }
            None => return Err(self.changed(entry.number, "body")),
        };
        opened.drain(..inline);
        Ok(StoredBody::Inline(opened))
    }

    /// The signature document and chain result that an entry's evidence cites.
    pub(crate) fn shared(&self, number: u64, place: &SharedPlace) -> Result<Opened, LogError> {
        let segment = self.segment(place.segment)?;
        let is_it = |header: &RecordHeader| header.kind == RecordKind::Shared && header.number == place.name;
        let mut found = None;
        // Where it was first written, unless a purge moved it.
        if !segment.record(place.name).is_ok_and(|(header, _)| is_it(&header)) {
            segment.walk(&mut |offset, header| {
                found = is_it(header).then_some(offset);
                found.is_some()
            })?;
        } else {
            found = Some(place.name);
        }
        let lost = || self.changed(number, "signature document");
        let (header, bytes) = segment.record(found.ok_or_else(lost)?)?;
        let associated = shared_data(&self.home.id, place.segment, place.name);
        let opened = open(
            &AeadKey::new(&place.key),
            &associated,
            &bytes[header.blob(EVIDENCE)],
        );
        let opened = opened.map_err(|_| lost())?;
        let read = Shared::parse(&opened).ok_or_else(lost)?;
        if kontor_pki::crypto::sha512(read.document) != place.digest {
            return Err(lost());
        }
        Ok(opened)
    }

    /// Gives every synced entry from `from` on to `visit`, in order, until it breaks.
    pub(crate) fn scan(&mut self, from: u64, visit: &mut Visit<'_>) -> Result<(), LogError> {
        if from >= self.entries {
            return Ok(());
        }
        let (first, entries) = (self.segment_of(from)?, self.entries);
        let segments: Vec<_> = self
            .segments
            .iter()
            .copied()
            .filter(|segment| *segment >= first)
            .collect();
        for (index, first) in segments.iter().enumerate() {
            let segment = self.segment(*first)?;
            let until = segments.get(index + 1).copied().unwrap_or(entries).min(entries);
            // The index knows a place near by, so that little is read before what is asked for.
            let start = match index {
                0 => self.place_before(&segment, from),
                _ => None,
            };
            let round = start.is_none().then_some(SEGMENT_HEADER as u64);
            let (offset, mut next) = start.unwrap_or((SEGMENT_HEADER as u64, *first));
            let mut broke = false;
            segment.scan_from((offset, next), round, &mut |record| {
                let number = record.header.number;
                if record.header.kind != RecordKind::Entry {
                    return Ok(ControlFlow::Continue(()));
                }
                if number >= until {
                    return Ok(ControlFlow::Break(()));
                }
                next = number + 1;
                if number >= from {
                    let entry = StoredEntry {
                        number,
                        segment: *first,
                        offset: record.offset,
                        header: record.header.clone(),
                        bytes: record.bytes().to_vec(),
                        leaf: OnceCell::new(),
                    };
                    broke = visit(self, &entry)?.is_break();
                }
                Ok(match broke {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
            })?;
            if broke {
                return Ok(());
            }
            if next != until {
                return Err(LogError::damaged(
                    &segment.path,
                    format_args!("no sound record of entry {next}"),
                ));
            }
        }
        Ok(())
    }

    /// Gives entries by their numbers, in ascending order, to `visit`: those near each other are read in one go.
    pub(crate) fn each_of(
        &mut self,
        numbers: &[u64],
        visit: &mut dyn FnMut(&mut Self, &StoredEntry) -> Result<(), LogError>,
    ) -> Result<(), LogError> {
        let near = |before: &u64, after: &u64| after.saturating_sub(*before) < NEAR;
        for near in numbers.chunk_by(near) {
            let (Some(first), mut wanted) = (near.first(), near.iter().peekable()) else {
                continue;
            };
            self.scan(*first, &mut |reader, entry| {
                if wanted.next_if_eq(&&entry.number).is_some() {
                    visit(reader, entry)?;
                }
                Ok(match wanted.peek() {
                    Some(_) => ControlFlow::Continue(()),
                    None => ControlFlow::Break(()),
                })
            })?;
            if let Some(missing) = wanted.next() {
                return Err(LogError::NotFound { number: *missing });
            }
        }
        Ok(())
    }

    /// Offset and number of an entry at or shortly before one, if the index knows it and is right.
    fn place_before(&self, segment: &Segment, number: u64) -> Option<(u64, u64)> {
        let (first, offset) = self.index.view()?.place(number)?;
        if first != segment.first {
            return None;
        }
        // A purge may have moved it.
        let mut found = None;
        let look = &mut |offset, header: &RecordHeader| {
            found = (header.kind == RecordKind::Entry && header.number <= number)
                .then_some((offset, header.number));
            true
        };
        segment.walk_from(offset, look).ok()?;
        found
    }

    /// One message with all that was logged of it.
    pub(crate) fn message(&mut self, number: u64) -> Result<LoggedMessage, LogError> {
        let entry = self.entry(number)?;
        let leaf = self.leaf(&entry)?.clone();
        if !matches!(leaf.kind, EntryKind::Request | EntryKind::Response) {
            let found = format!("a {}", leaf.kind.name());
            return Err(LogError::Unsuited {
                number,
                found,
                wanted: "a message",
            });
        }
        let changed = |part| {
            move || LogError::Damaged {
                report: format!("the {part} of entry {number} does not read"),
            }
        };
        let opened = self.evidence(&entry).map_err(|error| self.explain(error))?;
        let evidence = Evidence::parse(&opened).ok_or_else(changed("evidence"))?;
        let opened_head = self.head(&entry).map_err(|error| self.explain(error))?;
        let opened_head = opened_head.ok_or_else(changed("head"))?;
        let head = Head::parse(&opened_head).ok_or_else(changed("head"))?;
        if head.message.is_empty() {
            let archived = self.archived(number, BlobClass::Head)?;
            return Err(archived.unwrap_or_else(changed("head")));
        }
        let place = evidence.shared.as_ref().ok_or_else(changed("evidence"))?;
        let opened_shared = self.shared(number, place)?;
        let shared = Shared::parse(&opened_shared).ok_or_else(changed("signature document"))?;
        let chain = match (shared.chain_result, evidence.chain) {
            (Some(result), Some(chain)) => Some(ChainFiles {
                result: result.to_vec(),
                chain: chain.to_vec(),
            }),
            _ => None,
        };
        let body = self.body(&entry).map_err(|error| self.explain(error));
        let stamp = self.stamp(number)?;
        Ok(LoggedMessage {
            number,
            leaf_bytes: entry.leaf_bytes().to_vec(),
            leaf,
            salt: evidence.salt,
            parts: parse_parts(evidence.parts).map_err(|_| changed("evidence")())?,
            at: UnixTime::from_millis(evidence.millis),
            query_id: head.query_id.to_owned(),
            message: head.message.to_vec(),
            document: shared.document.to_vec(),
            chain,
            stamp,
            body,
            not_kept: evidence.not_kept,
        })
    }

    /// What an entry says that records a fact.
    pub(crate) fn fact(&mut self, number: u64) -> Result<LoggedFact, LogError> {
        let entry = self.entry(number)?;
        let leaf = self.leaf(&entry)?;
        let opened = self.evidence(&entry)?;
        let evidence = Evidence::parse(&opened).ok_or_else(|| self.changed(number, "evidence"))?;
        if evidence.documents.is_empty() {
            return Err(LogError::Unsuited {
                number,
                found: format!("a {}", leaf.kind.name()),
                wanted: "a fact",
            });
        }
        let numbers = evidence
            .concerned
            .map_or_else(|| Some(NumberSet::default()), NumberSet::parse);
        Ok(LoggedFact {
            number,
            kind: leaf.kind,
            documents: evidence
                .documents
                .iter()
                .map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec().into()))
                .collect(),
            numbers: numbers.ok_or_else(|| self.changed(number, "evidence"))?,
        })
    }
}
