//! The one writer of the log: takes what waits, numbers it, writes and syncs it as a round, answers. Owns the open segment,
//! the numbering and the exchanges that wait for an answer; nobody else writes a record. The first error of a write or sync
//! ends it, and with it the process; start-up goes on with the same [`Sequencer`].

use std::{
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use kontor_protocol::log::tree::leaf_hash;
use kontor_protocol::log::{LEAF_LIMIT, Leaf};
use tokio::sync::{mpsc, oneshot};

use super::{
    content::ContentStore,
    draft::Draft,
    entry::Receipt,
    error::LogError,
    exchange::{Abandoned, INTERRUPTED, OpenRequests, encode_open},
    format::{RECORD_HEADER, SEGMENT_HEADER},
    housekeeper::Housekeeper,
    identity::Home,
    keytree::KeyRing,
    leaf::{self, Origin},
    marks::{Mark, Marks},
    queue::Work,
    record::{BlobState, NO_BLOB, RecordKind, RecordPlace, append_record},
    recovery::Recovered,
    round::{Documents, Done, Round, Slot},
    segment::{self, Segment},
    stats::Counters,
    status::Status,
};
use crate::{clock::SharedClock, config::retention::RetentionPolicy};

/// A round is written when it has so many bytes, whatever else waits.
const ROUND_BYTES: usize = 2 * 1024 * 1024;
/// Entries taken from the queue at once.
const ROUND_ENTRIES: usize = 1024;

/// What the writer shares with readers.
#[derive(Clone, Default)]
pub(crate) struct Published {
    pub(crate) counters: Arc<Counters>,
    /// First numbers of all segments, in order.
    pub(crate) segments: Arc<Mutex<Vec<u64>>>,
}

impl Published {
    pub(crate) fn entries(&self) -> u64 {
        self.counters.entries.load(Ordering::Acquire)
    }

    pub(crate) fn segments(&self) -> Vec<u64> {
        self.segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

pub(crate) struct Setup {
    pub(crate) home: Home,
    pub(crate) status: Status,
    pub(crate) published: Published,
    pub(crate) abandoned: Abandoned,
    pub(crate) content: ContentStore,
    pub(crate) keys: KeyRing,
    pub(crate) clock: SharedClock,
    pub(crate) marks: Marks,
    pub(crate) policy: RetentionPolicy,
    pub(crate) origin: Origin,
    pub(crate) first_segment_bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) group_wait: Duration,
    pub(crate) group_wait_from: usize,
    /// Whether requests that the last process left open are closed; not in a log that may not go on.
    pub(crate) closes_interrupted: bool,
}

pub(crate) struct Sequencer {
    setup: Setup,
    segment: Segment,
    /// Where the next round begins.
    offset: u64,
    next: u64,
    open: OpenRequests,
    documents: Documents,
    round: Round,
    housekeeper: Housekeeper,
}

impl Sequencer {
    /// Goes on where recovery ended; makes the first segment of a new log. Exchanges that were open when the last process
    /// ended are closed here, by the function that closes them while the node runs.
    pub(crate) fn start(setup: Setup, recovered: Option<Recovered>) -> Result<Self, LogError> {
        let home = &setup.home;
        let housekeeper = Housekeeper::start(home.clone(), setup.status.clone(), setup.marks.clone())?;
        let (recovered, sealed) = match recovered {
            Some(recovered) => {
                let sealed = recovered.sealed;
                (recovered, sealed)
            }
            None => {
                let path = home.layout.segment(0);
                let made = segment::make_spare(&*home.disk, &home.layout, setup.first_segment_bytes)
                    .and_then(|()| begin(home, 0, &OpenRequests::new()));
                let (segment, offset) = made.map_err(|error| match error {
                    error if crate::disk::is_full(&error) => setup.status.no_space(),
                    error => LogError::io("could not make", &path)(error),
                })?;
                let open = OpenRequests::new();
                (
                    Recovered {
                        segment,
                        offset,
                        next: 0,
                        sealed: false,
                        open,
                        segments: vec![0],
                        unread: Vec::new(),
                        sealed_firsts: Vec::new(),
                        marks: Vec::new(),
                    },
                    false,
                )
            }
        };
        let Recovered {
            segment,
            offset,
            next,
            open,
            segments,
            ..
        } = recovered;
        *setup
            .published
            .segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = segments;
        setup.published.counters.entries.store(next, Ordering::Release);
        let (documents, round) = (Documents::default(), Round::default());
        let mut sequencer = Self {
            setup,
            segment,
            offset,
            next,
            open,
            documents,
            round,
            housekeeper,
        };
        if sealed {
            // The last process sealed this segment and ended before the next one had its name.
            let file_length = sequencer.setup.segment_bytes;
            sequencer.housekeeper.obtain(file_length)?;
            sequencer.begin_next()?;
        }
        let closes = sequencer.setup.closes_interrupted;
        for request in sequencer
            .open
            .keys()
            .copied()
            .filter(|_| closes)
            .collect::<Vec<_>>()
        {
            sequencer.close(request, INTERRUPTED.into(), None)?;
        }
        sequencer.commit()?;
        Ok(sequencer)
    }

    /// Runs until it is told to stop, every handle is gone, or something fails. Frees the lock of the data directory then.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Work>, lock: Box<dyn Send + Sync>) {
        let mut batch = Vec::new();
        let mut stopping = None;
        while stopping.is_none() {
            if queue.blocking_recv_many(&mut batch, ROUND_ENTRIES) == 0 {
                break;
            }
            let waits = self.open.len() >= self.setup.group_wait_from && !self.setup.group_wait.is_zero();
            if waits && batch.len() < ROUND_ENTRIES {
                std::thread::sleep(self.setup.group_wait);
                while let (true, Ok(work)) = (batch.len() < ROUND_ENTRIES, queue.try_recv()) {
                    batch.push(work);
                }
            }
            match self.take(&mut batch) {
                Ok(None) => {}
                Ok(Some(stop)) => {
                    // What was queued before the stop is written, what comes after it is refused.
                    queue.close();
                    stopping = Some(stop);
                }
                Err(error) => return self.end(error, batch, queue),
            }
        }
        // Not try_recv: one who got a place in the queue before it closed may still be putting its entry there.
        while let Some(work) = queue.blocking_recv() {
            batch.push(work);
        }
        let ended = self.take(&mut batch).map(drop).and_then(|()| self.mark());
        if let Err(error) = ended {
            return self.end(error, batch, queue);
        }
        // The housekeeper ends and the lock is free before the stop is answered.
        drop(self);
        drop(lock);
        if let Some(stop) = stopping {
            let _ = stop.send(());
        }
    }

    /// Fail closed: nobody who waits or comes later is told that anything is on disk.
    fn end(mut self, error: LogError, batch: Vec<Work>, mut queue: mpsc::Receiver<Work>) {
        let error = self.setup.status.fail(error);
        queue.close();
        for (_, done) in self.round.waiting.drain(..) {
            answer(done, Err(error.clone()));
        }
        let mut left = batch;
        while let Some(work) = queue.blocking_recv() {
            left.push(work);
        }
        for work in left {
            match work {
                Work::Append(_, done) | Work::Close { done, .. } => answer(Some(done), Err(error.clone())),
                Work::Wake | Work::Stop(_) => {}
            }
        }
    }

    /// One or more rounds of what was taken from the queue. An error is final.
    fn take(&mut self, batch: &mut Vec<Work>) -> Result<Option<oneshot::Sender<()>>, LogError> {
        self.setup.status.check()?;
        let room = self.setup.status.room();
        let mut stop = None;
        let mut works = batch.drain(..);
        // On an error the rest of the batch must be answered too, so it goes back.
        let mut failure = None;
        for work in works.by_ref() {
            let taken = match work {
                Work::Append(draft, done) => match &room {
                    Err(full) if !draft.uses_reserve => {
                        Counters::add(&self.setup.published.counters.refused_full, 1);
                        answer(Some(done), Err(full.clone()));
                        Ok(())
                    }
                    _ => self.add(*draft, Some(done)),
                },
                // The reserve is there so that an exchange can still be closed on a full disk.
                Work::Close { request, fault, done } => self.close(request, fault, Some(done)),
                Work::Wake => Ok(()),
                Work::Stop(done) => {
                    stop = Some(done);
                    Ok(())
                }
            };
            if let Err(error) = taken {
                failure = Some(error);
                break;
            }
        }
        let rest: Vec<_> = works.collect();
        if let Some(error) = failure {
            *batch = rest;
            return Err(error);
        }
        for (request, fault) in self.setup.abandoned.take() {
            if self.open.contains_key(&request) {
                self.close(request, fault.clone(), None)?;
            }
            // Refused because the disk is full: the next round tries again.
            if self.open.contains_key(&request) {
                self.setup.abandoned.push(request, fault);
            }
        }
        self.commit()?;
        Ok(stop)
    }

    fn close(&mut self, request: u64, fault: String, done: Option<Done>) -> Result<(), LogError> {
        let Some(leaf) = self.open.get(&request) else {
            answer(done, Err(self.not_open(request)));
            return Ok(());
        };
        // It was checked when it was read or written by this process.
        let parties = Leaf::parse(leaf).map(leaf::parties).map_err(|error| {
            let report = format!("the leaf of the open entry {request} does not read: {error}");
            self.setup.status.fail(LogError::Failed { report })
        })?;
        let Setup { origin, policy, .. } = &self.setup;
        self.add(
            Draft::failure_closure(origin, request, parties, fault, policy),
            done,
        )
    }

    fn not_open(&self, request: u64) -> LogError {
        if request >= self.next {
            return LogError::NotFound { number: request };
        }
        let found = "not a request that waits for its answer".into();
        LogError::Unsuited {
            number: request,
            found,
            wanted: "one",
        }
    }

    /// Numbers a draft and puts it into the round. A refusal answers the one who waits; an error is final.
    fn add(&mut self, mut draft: Draft, done: Option<Done>) -> Result<(), LogError> {
        match self.try_add(&mut draft) {
            Ok(receipt) => {
                self.round.waiting.push((receipt, done));
                if self.round.bytes.len() >= ROUND_BYTES {
                    self.commit()?;
                }
                Ok(())
            }
            Err(refusal) => {
                let is_final = self.setup.status.check();
                answer(done, Err(refusal));
                is_final
            }
        }
    }

    fn try_add(&mut self, draft: &mut Draft) -> Result<Receipt, LogError> {
        if let Some(request) = draft.answers
            && !self.open.contains_key(&request)
        {
            return Err(self.not_open(request));
        }
        let bound = Round::bound(draft)?;
        self.make_room(bound)?;
        let slot = Slot {
            log: &self.setup.home.id,
            segment: self.segment.first,
            start: self.offset,
            number: self.next,
            synced: self.next - self.round.waiting.len() as u64,
            now: self.setup.clock.now(),
        };
        let leaf = self
            .round
            .place(draft, &slot, &mut self.setup.keys, &mut self.documents)
            .map_err(|error| match error {
                LogError::Io { error, .. } if crate::disk::is_full(&error) => self.setup.status.no_space(),
                // Nothing was written: this entry is refused, and the next one may find the key.
                error @ LogError::Io {
                    action: "could not read",
                    ..
                } => error,
                LogError::Io { action, path, error } => self.setup.status.fail(LogError::Failed {
                    report: format!("{action} {path}: {error}"),
                }),
                error => self.setup.status.fail(error),
            })?;
        let receipt = Receipt {
            number: self.next,
            leaf: leaf_hash(&leaf),
            second: draft.leaf.second,
        };
        if let Some(request) = draft.answers {
            self.open.remove(&request);
        }
        if leaf::is_request(&draft.leaf) {
            self.open.insert(self.next, leaf);
        }
        self.round.marks.extend(Mark::of(&draft.leaf));
        self.next += 1;
        Ok(receipt)
    }

    /// Makes sure that so many bytes fit the segment and a seal after them.
    fn make_room(&mut self, bytes: usize) -> Result<(), LogError> {
        let needed = (bytes + RECORD_HEADER) as u64;
        let used = self.offset + self.round.bytes.len() as u64;
        if used + needed <= self.segment.length {
            if used > self.segment.length / 4 {
                self.housekeeper.prepare(self.setup.segment_bytes)?;
            }
            return Ok(());
        }
        let opening =
            SEGMENT_HEADER + RECORD_HEADER + self.open.values().map(|leaf| leaf.len() + 12).sum::<usize>();
        // The requests of this round may be open when the segment begins.
        let fresh = opening as u64 + needed + (self.round.waiting.len() * (LEAF_LIMIT + 12)) as u64 + 64;
        let file_length = fresh
            .next_multiple_of(SEGMENT_HEADER as u64)
            .max(self.setup.segment_bytes);
        self.housekeeper.obtain(file_length)?;
        self.commit()?;
        self.rotate().map_err(|error| self.setup.status.fail(error))
    }

    /// Writes and syncs the round and answers who waits. A crash before the end of the sync: nobody was promised anything, what
    /// is whole stays, the rest is cut. A crash after it: the entries are there, whoever heard of them.
    fn commit(&mut self) -> Result<(), LogError> {
        if self.round.bytes.is_empty() {
            return Ok(());
        }
        let began = Instant::now();
        self.write("could not append to")?;
        let counters = &self.setup.published.counters;
        let micros = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        Counters::add(&counters.sync_micros, micros);
        let entries = self.round.waiting.len() as u64;
        Counters::add(&counters.appended, entries);
        Counters::add(&counters.rounds, 1);
        Counters::add(&counters.documents, self.round.documents_written);
        counters.largest_round.fetch_max(entries, Ordering::Relaxed);
        counters
            .open_exchanges
            .store(self.open.len() as u64, Ordering::Relaxed);
        if !self.round.marks.is_empty() {
            self.setup.marks.extend(self.round.marks.drain(..));
        }
        counters.entries.store(self.next, Ordering::Release);
        for (receipt, done) in self.round.waiting.drain(..) {
            answer(done, Ok(receipt));
        }
        for file in &self.round.taken {
            // A crash here leaves the file in the spool; start-up finds the entry and moves it.
            self.setup.content.keep(file.id()).map_err(|error| {
                let path = self.setup.home.layout.content();
                self.setup.status.fail(LogError::failed(
                    "could not move a content file below",
                    &path,
                    &error,
                ))
            })?;
        }
        self.round.clear();
        Ok(())
    }

    /// One write, one sync; after an error nothing is known about these bytes.
    fn write(&mut self, action: &str) -> Result<(), LogError> {
        let (segment, bytes) = (&self.segment, &self.round.bytes);
        let written = segment
            .file
            .write_at(self.offset, bytes)
            .and_then(|()| segment.file.sync_data());
        written.map_err(|error| {
            self.setup
                .status
                .fail(LogError::failed(action, &segment.path, &error))
        })?;
        self.offset += bytes.len() as u64;
        Counters::add(&self.setup.published.counters.bytes, bytes.len() as u64);
        Ok(())
    }

    fn write_alone(&mut self, kind: RecordKind, action: &str) -> Result<(), LogError> {
        let place = RecordPlace {
            kind,
            number: self.next,
            answers: None,
            round: self.offset,
        };
        append_record(&mut self.round.bytes, place, [NO_BLOB; 4]);
        self.write(action)?;
        self.round.clear();
        Ok(())
    }

    /// Says at a clean stop that everything before was synced: then damage to the last round is told from a torn one.
    fn mark(&mut self) -> Result<(), LogError> {
        self.commit()?;
        // The last bytes of a segment are kept for its seal.
        if self.offset + 2 * RECORD_HEADER as u64 <= self.segment.length {
            self.write_alone(RecordKind::Mark, "could not mark the end of")?;
        }
        Ok(())
    }

    /// Seals the segment and begins the next. The spare is there and the round is empty.
    fn rotate(&mut self) -> Result<(), LogError> {
        let (disk, layout) = (&self.setup.home.disk, &self.setup.home.layout);
        if self.segment.first == self.next {
            // Nothing was in it: an unusually long record begins a longer segment in its place.
            return self.begin_next();
        }
        // Start-up looks for the entries of spooled bodies in the last segment only, so their names are on disk before.
        for dir in [layout.content(), layout.spool()] {
            disk.sync_dir(&dir)
                .map_err(|error| LogError::failed("could not sync", &dir, &error))?;
        }
        // A crash after the seal: start-up finds the last segment sealed and begins the next.
        self.write_alone(RecordKind::Seal, "could not seal")?;
        let sealed = self.segment.clone();
        self.begin_next()?;
        self.housekeeper.copy_leaves(sealed)
    }

    fn begin_next(&mut self) -> Result<(), LogError> {
        let home = &self.setup.home;
        let path = home.layout.segment(self.next);
        let begun = begin(home, self.next, &self.open);
        let (segment, offset) = begun.map_err(|error| LogError::failed("could not begin", &path, &error))?;
        self.segment = segment;
        self.offset = offset;
        self.documents.clear();
        self.housekeeper.used();
        let mut segments = self
            .setup
            .published
            .segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if segments.last() != Some(&self.next) {
            segments.push(self.next);
        }
        Ok(())
    }
}

/// Begins a segment with the exchanges that are open.
fn begin(home: &Home, first: u64, open: &OpenRequests) -> std::io::Result<(Segment, u64)> {
    let (listed, mut opening) = (encode_open(open), Vec::new());
    let round = SEGMENT_HEADER as u64;
    let place = RecordPlace {
        kind: RecordKind::Open,
        number: first,
        answers: None,
        round,
    };
    append_record(
        &mut opening,
        place,
        [(BlobState::There, &listed[..]), NO_BLOB, NO_BLOB, NO_BLOB],
    );
    let segment = segment::begin(&*home.disk, &home.layout, &home.id, first, &opening)?;
    Ok((segment, round + opening.len() as u64))
}

fn answer(done: Option<Done>, result: Result<Receipt, LogError>) {
    if let Some(done) = done {
        // Whoever asked may have gone; the entry stays.
        let _ = done.send(result);
    }
}
