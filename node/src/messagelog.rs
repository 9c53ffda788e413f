//! The message log: every message of an exchange is an entry here, on disk, before anything is released. This file is the
//! handle that others hold; the formats are in [`mod@format`], and are frozen.
//!
//! - One process owns a data directory, one thread writes (`sequencer`). `append` resolves once the entry is synced.
//! - An error of a write or a sync is final: every waiter gets it, [`MessageLog::failed`] resolves, the process must end.
//! - Each request that was recorded gets exactly one further entry: its response, or a failure closure.
//! - Nothing of a message and no key stands in an error, a log line or a metric.

pub mod format;
mod error;
mod status;
mod statement;
mod stats;
mod figures;
mod record;
mod fact;
mod auditors;
mod segment;
mod identity;
mod keytree;
mod content;
mod marks;
mod blob;
mod entry;
mod short;
mod leaf;
mod draft;
mod round;
mod queue;
mod exchange;
mod recovery;
mod read;
mod leaves;
mod account;
mod ledger;
mod deletion;
mod hold;
mod purge;
mod index;
mod search;
mod lookup;
mod show;
mod check;
mod background;
mod quarantine;
mod housekeeper;
mod sequencer;
mod stamping;
mod renewal;
mod export;
mod archive;
mod control;
mod vault;

#[cfg(test)]
mod tests;

pub use account::{Account, AccountEntry};
pub use archive::{ArchiveError, ArchiveReport, ArchivedCopies, ArchivedFile, DropReport, Unverified};
pub use auditors::{
    AuditScope, Grant, GrantError, InvalidRestriction, LONGEST, NewGrant, Restriction, RestrictionText,
    Revoked, TokenError,
};
pub use check::{CheckOrder, CheckReport, Finding, check_unowned};
pub use content::{ContentFile, ContentReader, ContentWriter};
pub use control::auditor::{AuditorOrder, ToldGrant};
pub use control::hold::{HoldOrder, ToldHold};
#[cfg(test)]
pub(crate) use control::tests::{World, now as world_now};
pub use control::{
    client::Control,
    export::{Selection, Told},
    prove::{Proven, ToldCosignature, ToldProof},
    purge::{GivenAsked, PurgeAsked},
    reconcile::{Reconciler, Reconciling},
    search::{Listed, SearchTold},
    witness::{Overseer, Settle},
};
pub use deletion::{Deleted, Held, Released};
pub use entry::{BatchSignature, EntryKind, LoggedBody, NewEntry, Receipt};
pub use error::LogError;
pub use exchange::{ABANDONED, INTERRUPTED, OpenExchange};
pub use export::{ExportError, Exported, Pieces, Written};
pub use fact::{
    Acted, FACT_DOCUMENT, Fact, FactKind, LoggedFact, Looked, Snapshot, SnapshotPart, Started, Stopped,
};
pub use figures::Figures;
pub use hold::Hold;
pub(crate) use identity::hex;
pub use index::IndexStats;
pub(crate) use kontor_protocol::log::numbers;
pub use kontor_protocol::log::numbers::{InvalidNumbers, NumberSet};
pub use ledger::{BINDING_DOCUMENT, BoundCheckpointKey};
pub(crate) use ledger::{parse_bindings, write_bindings};
pub use lookup::own_side;
pub use purge::{Given, LeftEntry, Part, PurgeOrder, PurgeReport, PurgedPart};
pub use quarantine::{Quarantined, quarantine};
pub(crate) use renewal::back_off;
pub use renewal::{RenewalError, RenewalOrder, RenewalReport, RenewalStats, RenewedToken};
pub use search::Filter;
pub use show::{FoundEntry, PartState, ShownArchive, ShownEntry, ShownGone, ShownPart};
pub use stamping::StampingStats;
pub use stats::LogStats;
pub(crate) use vault::{CHUNK_OCTETS, Kept, Unkept, Vault, VaultPart};

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use kontor_pki::sealed::MasterKey;
use kontor_protocol::id::ServerId;
use tokio::sync::{mpsc, oneshot};

use crate::{
    clock::SharedClock,
    config::{
        ArchiveSettings, NodeConfig,
        retention::{RetentionPolicy, Schedule},
        stamping::StampingSettings,
    },
    disk::Disk,
};
use auditors::Auditors;
use background::Damage;
use content::ContentStore;
use draft::Draft;
use exchange::Abandoned;
use format::Layout;
use identity::Home;
use index::{Index, IndexKeys, IndexThread};
use keytree::KeyRing;
use leaf::Origin;
use ledger::Ledger;
use marks::Marks;
use queue::Work;
use read::{Reader, Readers};
use renewal::Renewal;
use sequencer::{Published, Sequencer, Setup};
use stamping::Stamping;
use status::Status;

/// Entries that may wait for the writer; more wait for a place.
const QUEUE: usize = 1024;

/// Settings of the log. The defaults are those of a node.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How long the writer waits for more before it writes a round, once [`Self::group_wait_from`] exchanges are open.
    /// Zero: what waits while a sync runs is the batch.
    pub group_wait: Duration,
    /// Exchanges that must be open for the wait: with few, it costs time and saves no sync.
    pub group_wait_from: usize,
    /// Bytes that must stay free on the disk; below, entries are refused.
    pub reserve: u64,
    /// Length of the first segment.
    pub first_segment_bytes: u64,
    /// Length of the others.
    pub segment_bytes: u64,
    /// What is kept of which message, under which class.
    pub retention: RetentionPolicy,
    /// How long each class is kept.
    pub schedule: Schedule,
    /// When messages get time-stamps, and what if not.
    pub stamping: StampingSettings,
    /// Where archives go, if there are to be any.
    pub archive: Option<ArchiveSettings>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            group_wait: Duration::from_micros(500),
            group_wait_from: 17,
            reserve: 256 * 1024 * 1024,
            first_segment_bytes: 4 * 1024 * 1024,
            segment_bytes: 64 * 1024 * 1024,
            retention: RetentionPolicy::default(),
            schedule: Schedule::default(),
            stamping: StampingSettings::default(),
            archive: None,
        }
    }
}

impl LogSettings {
    /// The settings of a node.
    pub fn of(config: &NodeConfig) -> Self {
        Self {
            group_wait: config.group_wait,
            retention: config.retention.clone(),
            schedule: config.schedule.clone(),
            stamping: config.stamping.clone(),
            archive: config
                .archiving
                .as_ref()
                .map(|archiving| archiving.settings.clone()),
            ..Self::default()
        }
    }
}

/// What it takes to open a log.
pub struct OpenLog {
    /// The data directory of the node itself, whose parent must exist: `lock`, `control.sock` and `log/` are made in it.
    pub dir: PathBuf,
    /// The file layer.
    pub disk: Arc<dyn Disk>,
    /// The unsealing key of the node.
    pub master: MasterKey,
    /// See there.
    pub settings: LogSettings,
    /// Whose log it is.
    pub server: ServerId,
    /// Whether the node runs in test mode. A log is never both.
    pub test: bool,
    /// Where instants come from.
    pub clock: SharedClock,
}

/// The handle of an open log. Clones share it; the log is closed when all are gone, or by [`MessageLog::shutdown`].
#[derive(Clone)]
pub struct MessageLog {
    queue: mpsc::Sender<Work>,
    status: Status,
    published: Published,
    abandoned: Abandoned,
    content: ContentStore,
    policy: Arc<RetentionPolicy>,
    schedule: Arc<Schedule>,
    clock: SharedClock,
    marks: Marks,
    /// What the background check found.
    damage: Damage,
    /// While it lives the background check goes on.
    _open: Arc<()>,
    /// One purge at a time.
    purging: Arc<Mutex<()>>,
    origin: Origin,
    home: Home,
    ledger: Ledger,
    reconciler: Arc<OnceLock<Reconciler>>,
    overseer: Arc<OnceLock<Overseer>>,
    master: Arc<MasterKey>,
    stamping: Stamping,
    renewal: Renewal,
    readers: Readers,
    indexer: Arc<IndexThread>,
    archive: Option<Arc<ArchiveSettings>>,
    archiving: Arc<Mutex<()>>,
    auditors: Auditors,
}

impl std::fmt::Debug for MessageLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MessageLog")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl MessageLog {
    /// Takes the lock, repairs what a crash left, closes exchanges that were open, and starts the writer. Blocks while it
    /// reads; the last segment and some before it are checked to the last byte.
    pub fn open(what: OpenLog) -> Result<Self, LogError> {
        let OpenLog {
            dir,
            disk,
            master,
            settings,
            server,
            test,
            clock,
        } = what;
        let (layout, master) = (Layout::new(&dir), Arc::new(master));
        disk.create_dir(&dir)
            .map_err(LogError::io("could not make", &dir))?;
        let lock = disk.lock(&layout.lock()).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => LogError::Locked {
                path: dir.display().to_string(),
            },
            _ => LogError::io("could not lock", &layout.lock())(error),
        })?;
        recovery::prepare(&*disk, &layout)?;
        let now = clock.now();
        let home = identity::open(Arc::clone(&disk), layout.clone(), &master, &server, test, now)?;
        let mut recovered = recovery::recover(&home)?;
        let behind = ledger::behind(&home, recovered.as_ref().map_or(0, |found| found.next))?;
        let ledger = Ledger::open(&home, &master, &server)?;
        let auditors = Auditors::open(&home)?;
        let is_behind = behind.is_some();
        if let Some(error) = behind {
            // It is opened to be read, as it stands: what is written now would be written a second time.
            ledger.refuse(error);
        }
        let marks = Marks::load(
            &home,
            recovered.as_ref().map_or(&[], |found| &found.sealed_firsts),
        )?;
        marks.extend(recovered.iter().flat_map(|found| found.marks.iter().copied()));
        let (damage, open) = (Damage::default(), Arc::new(()));
        let unread = recovered.as_mut().map(|found| std::mem::take(&mut found.unread));
        background::check(&home, unread.unwrap_or_default(), &damage, Arc::downgrade(&open))?;
        let status = Status::new(Arc::clone(&disk), dir, settings.reserve);
        let content = ContentStore {
            disk: Arc::clone(&disk),
            layout,
            status: status.clone(),
            rests_in_spool: true,
        };
        let mut keys = KeyRing::new(&home, Arc::clone(&master));
        recovery::settle_content(
            &home,
            &content,
            &mut keys,
            recovered.as_ref().map(|found| &found.segment),
        )?;
        let (published, abandoned) = (Published::default(), Abandoned::default());
        let origin = Origin { log: home.id, test };
        let sequencer = Sequencer::start(
            Setup {
                home: home.clone(),
                status: status.clone(),
                published: published.clone(),
                abandoned: abandoned.clone(),
                content: content.clone(),
                keys,
                clock: clock.clone(),
                marks: marks.clone(),
                policy: settings.retention.clone(),
                origin,
                first_segment_bytes: settings.first_segment_bytes,
                segment_bytes: settings.segment_bytes,
                group_wait: settings.group_wait,
                group_wait_from: settings.group_wait_from,
                closes_interrupted: !is_behind,
            },
            recovered,
        )?;
        let (queue, work) = mpsc::channel(QUEUE);
        let writer = std::thread::Builder::new().name("log-writer".into());
        let watch = status.clone();
        let run = move || {
            // A writer that ends without ending orderly must not leave others waiting for nothing.
            let run = std::panic::AssertUnwindSafe(|| sequencer.run(work, lock));
            if std::panic::catch_unwind(run).is_err() {
                watch.fail(LogError::Failed {
                    report: "its writer ended unexpectedly".into(),
                });
            }
        };
        writer
            .spawn(run)
            .map_err(LogError::io("could not start a thread for", &home.layout.root()))?;
        let policy = Arc::new(settings.retention);
        let index = Index::new(IndexKeys::new(home.clone(), Arc::clone(&master)));
        let readers = Readers {
            home: home.clone(),
            content: content.clone(),
            master: Arc::clone(&master),
            published: published.clone(),
            marks: marks.clone(),
            index: index.clone(),
            catalog: archive::Catalog::default(),
            last_stamp: read::LastStamp::default(),
        };
        let dir = home.disk.scratch(&home.layout.index());
        let indexer = IndexThread::start(index, dir, home.clone(), readers.clone(), status.clone())?;
        let log = Self {
            queue,
            status,
            published,
            abandoned,
            content,
            policy,
            schedule: Arc::new(settings.schedule),
            clock,
            marks,
            damage,
            _open: open,
            purging: Arc::default(),
            origin,
            home,
            ledger,
            reconciler: Arc::default(),
            overseer: Arc::default(),
            master,
            renewal: Renewal::new(settings.stamping.renewal.clone()),
            stamping: Stamping::new(settings.stamping),
            readers,
            indexer: Arc::new(indexer),
            archive: settings.archive.map(Arc::new),
            archiving: Arc::default(),
            auditors,
        };
        if !is_behind {
            // What the last process had recorded as deleted and did not finish.
            log.finish(&mut PurgeReport::default())?;
        }
        Ok(log)
    }

    /// Records a message. Resolves once its entry is on disk; dropping the future does not take it back. A response must cite
    /// its request, which must be open.
    pub async fn append(&self, entry: NewEntry) -> Result<Receipt, LogError> {
        self.stamping.check()?;
        let is_request = entry.kind.is_request();
        let draft = Box::new(Draft::message(&self.origin, entry, &self.policy));
        let receipt = self.send(|done| Work::Append(draft, done)).await?;
        if let Err(error) = self.stamp_recorded(receipt.number).await {
            // It is recorded and goes no further: whoever handed it in hears of the failure, and so does the log.
            if is_request {
                self.close_failed(receipt, error.code()).await?;
            }
            return Err(error);
        }
        Ok(receipt)
    }

    /// Holds the exchange of a request that was recorded: when the value is dropped before an answer was appended, the
    /// exchange is closed as failed.
    pub fn exchange(&self, request: Receipt) -> OpenExchange {
        OpenExchange {
            request: request.number,
            fault: ABANDONED.into(),
            abandoned: self.abandoned.clone(),
            queue: self.queue.clone(),
        }
    }

    /// Records that the exchange of a request ended without an answer, with the fault code.
    pub async fn close_failed(
        &self,
        request: Receipt,
        fault: impl Into<String>,
    ) -> Result<Receipt, LogError> {
        let (request, fault) = (request.number, fault.into());
        self.send(|done| Work::Close { request, fault, done }).await
    }

    /// Records a time-stamp token over the entries it covers. Whoever hands it in has verified it.
    pub async fn append_timestamp(&self, token: Bytes, covered: Vec<u64>) -> Result<Receipt, LogError> {
        self.append_stamp(token, covered, Vec::new()).await
    }

    /// Records a fact about the log or its node.
    pub async fn append_fact(&self, fact: Fact) -> Result<Receipt, LogError> {
        let draft = Box::new(Draft::fact(&self.origin, fact));
        self.send(|done| Work::Append(draft, done)).await
    }

    /// What an entry says that records a fact.
    pub async fn fact(&self, number: u64) -> Result<LoggedFact, LogError> {
        let mut reader = self.reader();
        tokio::task::spawn_blocking(move || reader.fact(number))
            .await
            .map_err(|_| LogError::Closed)?
    }

    async fn send(&self, work: impl FnOnce(round::Done) -> Work) -> Result<Receipt, LogError> {
        self.ledger.check()?;
        let (done, receipt) = oneshot::channel();
        // A slow disk is felt by callers: the queue is bounded.
        if self.queue.send(work(done)).await.is_err() {
            return Err(self.why_closed());
        }
        receipt.await.unwrap_or_else(|_| Err(self.why_closed()))
    }

    fn why_closed(&self) -> LogError {
        self.status.check().err().unwrap_or(LogError::Closed)
    }

    /// Takes a body too large to be held in memory, sealed on disk while it arrives.
    pub fn spool(&self) -> ContentWriter {
        self.content.spool()
    }

    /// Resolves when the log failed: the process must end.
    pub async fn failed(&self) -> LogError {
        self.status.failed().await
    }

    /// Whether the log takes entries: it did not fail and the disk has room.
    pub fn check(&self) -> Result<(), LogError> {
        self.status.check()?;
        self.ledger.check()?;
        self.status.room()
    }

    /// Damage that was found in old segments since the start, a sentence for each.
    pub fn damage(&self) -> Vec<String> {
        self.damage.found()
    }

    /// Reads what is synced now.
    pub(crate) fn reader(&self) -> Reader {
        self.readers.reader()
    }

    /// How the search index stands.
    pub fn index(&self) -> IndexStats {
        self.readers.index.stats()
    }

    /// What it did so far.
    pub fn stats(&self) -> LogStats {
        self.published.counters.read()
    }

    /// Writes what waits, marks a clean end and frees the lock. Later appends are refused.
    pub async fn shutdown(&self) {
        // First the index: the lock of the directory must cover its files.
        let indexer = Arc::clone(&self.indexer);
        let _ = tokio::task::spawn_blocking(move || indexer.stop()).await;
        let (done, stopped) = oneshot::channel();
        if self.queue.send(Work::Stop(done)).await.is_ok() {
            // After a failure nobody answers, and there is nothing to wait for.
            let _ = stopped.await;
        }
    }
}
