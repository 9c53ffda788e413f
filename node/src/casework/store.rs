//! The state of casework behind one port: rows in named tables, read on a snapshot and changed in transactions.
//!
//! Owns the rule of a transaction: its closure decides on a snapshot and returns what to write; everything that it read is compared
//! again at the commit, and when something changed meanwhile it decides anew. One committer merges what waits into one commit, so
//! that many transactions cost one sync. What an engine has to do is [`Engine`], which one set of tests judges.
//!
//! A write error is final: the store answers nobody any more and says so, and the process ends and starts again.

pub(super) mod redb;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};

/// Transactions that wait for the committer; more wait for a place.
const QUEUE: usize = 1024;
/// Transactions of one commit.
const MERGED: usize = 256;
/// How long a commit waits for more transactions where the last one had several.
const GATHER: Duration = Duration::from_millis(6);
/// How often a transaction decides anew before it is given up.
const TRIES: usize = 256;

/// Where rows lie.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(crate) enum Table {
    /// Acts of the log that a transaction cites, by number.
    Acts,
    /// Small files, sealed, by their random names.
    Blobs,
    /// Cases, by id.
    Cases,
    /// Their content, sealed, by the same id.
    Contents,
    /// What happened, by number.
    Events,
    /// Files by their random names, each with the id that it belongs to.
    Files,
    /// Links of guests, blinded, with their requests; and requests with the link that is in force.
    Guests,
    /// Messages that came, by transfer or request and number.
    Inbox,
    /// Digests of transaction ids with the cases that they opened.
    Intakes,
    /// What people wrote and disclosed in requests, sealed, by request, side and number.
    Letters,
    /// Counters and marks.
    Meta,
    /// Messages to be sent or sent, by transfer or request and number.
    Outbox,
    /// What is packed and what was pulled of it, sealed: by transfer and late item, or by request, side and number.
    Packs,
    /// Persons, by their pseudonyms.
    Persons,
    /// Requests of participation, by side and id.
    Requests,
    /// Rounds of participation, by id.
    Rounds,
    /// Transfers, by id.
    Transfers,
}

impl Table {
    /// All of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::Acts,
        Self::Blobs,
        Self::Cases,
        Self::Contents,
        Self::Events,
        Self::Files,
        Self::Guests,
        Self::Inbox,
        Self::Intakes,
        Self::Letters,
        Self::Meta,
        Self::Outbox,
        Self::Packs,
        Self::Persons,
        Self::Requests,
        Self::Rounds,
        Self::Transfers,
    ];

    /// Its name in the engine.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Acts => "acts",
            Self::Blobs => "blobs",
            Self::Cases => "cases",
            Self::Contents => "contents",
            Self::Events => "events",
            Self::Files => "files",
            Self::Guests => "guests",
            Self::Inbox => "inbox",
            Self::Intakes => "intakes",
            Self::Letters => "letters",
            Self::Meta => "meta",
            Self::Outbox => "outbox",
            Self::Packs => "packs",
            Self::Persons => "persons",
            Self::Requests => "requests",
            Self::Rounds => "rounds",
            Self::Transfers => "transfers",
        }
    }
}

/// Why the store did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The engine failed; nothing more is written.
    #[error("the state store failed: {0}; see to the disk and start the node again")]
    Failed(String),
    /// A row cannot be read.
    #[error(
        "a row of {table} cannot be read: {reason}; restore the state store from a backup, or start with an older program"
    )]
    Damaged {
        /// Of which table.
        table: &'static str,
        /// Why.
        reason: String,
    },
    /// Others changed the same rows all the time.
    #[error("{0} met too many other changes of the same rows; try again")]
    Contended(&'static str),
}

/// A row as an engine gives it: the version at which it was written, and its bytes.
pub(crate) type Row = (u64, Vec<u8>);

/// One key of a table.
pub(crate) type Key = (Table, Vec<u8>);

/// What one transaction read and wants to write. `None` removes. What is appended gets its key at the commit: the change's version
/// and its place in it, so that transactions that only tell what happened never meet.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub(crate) reads: BTreeMap<Key, u64>,
    pub(crate) writes: BTreeMap<Key, Option<Vec<u8>>>,
    pub(crate) appends: Vec<(Table, Vec<u8>)>,
}

/// Key of something appended.
pub(crate) fn appended(version: u64, place: usize) -> [u8; 10] {
    let mut key = [0; 10];
    key[..8].copy_from_slice(&version.to_be_bytes());
    key[8..].copy_from_slice(&u16::try_from(place).unwrap_or(u16::MAX).to_be_bytes());
    key
}

/// A snapshot.
pub(crate) trait View: Send {
    /// A row.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Row>, StoreError>;

    /// Rows in the order of their keys, from one bound to another; backwards when asked for. At most so many.
    fn range(
        &self,
        table: Table,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, Row)>, StoreError>;
}

/// What keeps the rows.
pub(crate) trait Engine: Send + Sync + 'static {
    /// A snapshot of what is committed.
    fn view(&self) -> Result<Box<dyn View>, StoreError>;

    /// Commits changes in their order, all of them in one durable step; gives for each the version at which its rows were written.
    /// A change whose reads did not hold any more leaves nothing and has none. Version 0 stands for a row that is not there.
    fn commit(&self, changes: &[Change]) -> Result<Vec<Option<u64>>, StoreError>;
}

/// Rows of one piece of a table.
const PIECE: usize = 256;
/// Rows that are kept as they are now.
const KEPT: usize = 4096;

/// Rows as they are now, each with the version at which it was written: of cases, transfers, rounds and requests, which are read many times between
/// two changes. The committer puts here what it has committed before anybody is told, and nobody else writes to the engine. What
/// was read is not put here: it may be older than what is.
#[derive(Default)]
struct Lately {
    rows: HashMap<Key, (u64, Shared)>,
    order: VecDeque<Key>,
}

#[derive(Clone, Default)]
struct Parsed(Arc<Mutex<Lately>>);

/// A row in memory.
type Shared = Arc<dyn Any + Send + Sync>;

impl Parsed {
    fn is_kept(table: Table) -> bool {
        matches!(
            table,
            Table::Cases | Table::Requests | Table::Rounds | Table::Transfers
        )
    }

    fn lately(&self) -> MutexGuard<'_, Lately> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A row with its version, if it is kept as one of this type.
    fn get<T: Readable>(&self, place: &Key) -> Option<(u64, T)> {
        if !Self::is_kept(place.0) {
            return None;
        }
        let (version, row) = self.lately().rows.get(place).cloned()?;
        Some((version, row.downcast_ref::<T>()?.clone()))
    }

    fn keep(&self, place: Key, version: u64, row: Shared) {
        let mut lately = self.lately();
        if lately.rows.insert(place.clone(), (version, row)).is_none() {
            lately.order.push_back(place);
            if lately.order.len() > KEPT
                && let Some(oldest) = lately.order.pop_front()
            {
                lately.rows.remove(&oldest);
            }
        }
    }

    /// Takes over what was committed: the rows as they are now, and those that are gone.
    fn committed(&self, version: u64, change: &Change, written: Vec<(Key, Shared)>) {
        for (place, _) in change.writes.iter().filter(|(_, bytes)| bytes.is_none()) {
            let mut lately = self.lately();
            if lately.rows.remove(place).is_some() {
                lately.order.retain(|kept| kept != place);
            }
        }
        for (place, row) in written {
            self.keep(place, version, row);
        }
    }
}

/// What rows are read as.
pub(crate) trait Readable: Clone + DeserializeOwned + Send + Sync + 'static {}

impl<T: Clone + DeserializeOwned + Send + Sync + 'static> Readable for T {}

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    engine: Arc<dyn Engine>,
    parsed: Parsed,
    queue: mpsc::SyncSender<Waiting>,
    failure: watch::Receiver<Option<StoreError>>,
}

struct Waiting {
    change: Change,
    written: Vec<(Key, Shared)>,
    done: oneshot::Sender<Result<bool, StoreError>>,
}

/// Why a transaction ended without its commit.
#[derive(Debug)]
pub(crate) enum TxError<E> {
    /// Its closure refused.
    Refused(E),
    /// The store.
    Store(StoreError),
}

impl<E> From<StoreError> for TxError<E> {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// A transaction while it decides.
pub(crate) struct Tx<'a> {
    store: &'a Store,
    /// Made when something has to be read from the engine.
    view: Option<Box<dyn View>>,
    change: Change,
    written: Vec<(Key, Shared)>,
}

impl Tx<'_> {
    /// Reads a row.
    pub(crate) fn get<T: Readable>(&mut self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        let place = (table, key.to_vec());
        if let Some(written) = self.change.writes.get(&place) {
            return written.as_ref().map(|bytes| parse(table, bytes)).transpose();
        }
        if let Some((version, row)) = self.store.parsed.get(&place) {
            self.change.reads.insert(place, version);
            return Ok(Some(row));
        }
        let view = match &self.view {
            Some(view) => view,
            None => self.view.insert(self.store.engine.view()?),
        };
        let row = view.get(table, key)?;
        let version = row.as_ref().map_or(0, |(version, _)| *version);
        let read = row.map(|(_, bytes)| parse(table, &bytes)).transpose()?;
        self.change.reads.insert(place, version);
        Ok(read)
    }

    /// Writes a row.
    pub(crate) fn put<T>(&mut self, table: Table, key: &[u8], row: &T) -> Result<(), StoreError>
    where
        T: Clone + Serialize + Send + Sync + 'static,
    {
        let bytes = serde_json::to_vec(row).map_err(|error| damaged(table, &error))?;
        if Parsed::is_kept(table) {
            self.written.push(((table, key.to_vec()), Arc::new(row.clone())));
        }
        self.change.writes.insert((table, key.to_vec()), Some(bytes));
        Ok(())
    }

    /// Adds a row behind all others of its table.
    pub(crate) fn append(&mut self, table: Table, row: &impl Serialize) -> Result<(), StoreError> {
        let bytes = serde_json::to_vec(row).map_err(|error| damaged(table, &error))?;
        self.change.appends.push((table, bytes));
        Ok(())
    }

    /// Removes a row.
    pub(crate) fn remove(&mut self, table: Table, key: &[u8]) {
        self.change.writes.insert((table, key.to_vec()), None);
    }

    /// The next number of a counter, from 1.
    pub(crate) fn next(&mut self, counter: &str) -> Result<u64, StoreError> {
        let number = self.get::<u64>(Table::Meta, counter.as_bytes())?.unwrap_or(0) + 1;
        self.put(Table::Meta, counter.as_bytes(), &number)?;
        Ok(number)
    }
}

fn damaged(table: Table, reason: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged {
        table: table.name(),
        reason: reason.to_string(),
    }
}

/// Reads the bytes of a row.
pub(crate) fn parse<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StoreError> {
    serde_json::from_slice(bytes).map_err(|error| damaged(table, &error))
}

impl Store {
    /// Starts the committer over an engine. It ends when the last clone is gone.
    pub(crate) fn new(engine: Arc<dyn Engine>) -> Self {
        let (queue, waiting) = mpsc::sync_channel(QUEUE);
        let (failed, failure) = watch::channel(None);
        let (committing, parsed) = (Arc::clone(&engine), Parsed::default());
        let kept = parsed.clone();
        let started = thread::Builder::new()
            .name("casework-store".into())
            .spawn(move || commit_all(&*committing, &kept, &waiting, &failed));
        // Without a thread nothing is ever committed, and whoever waits is told so by the closed queue.
        drop(started);
        Self {
            engine,
            parsed,
            queue,
            failure,
        }
    }

    /// Decides on a snapshot and commits; decides anew when what it read changed meanwhile. What it returns is on disk.
    pub(crate) async fn run_tx<T, E>(
        &self,
        name: &'static str,
        mut decide: impl FnMut(&mut Tx<'_>) -> Result<T, TxError<E>>,
    ) -> Result<T, TxError<E>> {
        for _ in 0..TRIES {
            let (decided, change, written) = {
                let mut tx = Tx {
                    store: self,
                    view: None,
                    change: Change::default(),
                    written: Vec::new(),
                };
                let decided = decide(&mut tx)?;
                (decided, tx.change, tx.written)
            };
            if change.writes.is_empty() && change.appends.is_empty() {
                return Ok(decided);
            }
            let (done, committed) = oneshot::channel();
            let queue = self.queue.clone();
            let sent = Waiting {
                change,
                written,
                done,
            };
            // The queue is full only when the disk is behind.
            if let Err(back) = queue.try_send(sent) {
                let sent = match back {
                    mpsc::TrySendError::Full(sent) | mpsc::TrySendError::Disconnected(sent) => sent,
                };
                let handed = tokio::task::spawn_blocking(move || queue.send(sent).is_ok()).await;
                if !handed.unwrap_or(false) {
                    return Err(self.why_closed().into());
                }
            }
            match committed.await {
                Ok(Ok(true)) => return Ok(decided),
                Ok(Ok(false)) => {}
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => return Err(self.why_closed().into()),
            }
        }
        Err(StoreError::Contended(name).into())
    }

    fn why_closed(&self) -> StoreError {
        let failure = self.failure.borrow().clone();
        failure.unwrap_or_else(|| StoreError::Failed("it was closed".into()))
    }

    /// Resolves when the store failed: the process must end.
    pub(crate) async fn failed(&self) -> StoreError {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await.map(|seen| seen.clone()) {
            Ok(Some(error)) => error,
            // The committer ended without a failure: the process is ending anyway.
            Ok(None) | Err(_) => std::future::pending().await,
        }
    }

    /// Reads a row outside of a transaction.
    pub(crate) fn get<T: Readable>(&self, table: Table, key: &[u8]) -> Result<Option<T>, StoreError> {
        let place = (table, key.to_vec());
        if let Some((_, row)) = self.parsed.get(&place) {
            return Ok(Some(row));
        }
        let row = self.engine.view()?.get(table, key)?;
        row.map(|(_, bytes)| parse(table, &bytes)).transpose()
    }

    /// Reads rows outside of a transaction.
    pub(crate) fn range<T: DeserializeOwned>(
        &self,
        table: Table,
        bounds: (Bound<&[u8]>, Bound<&[u8]>),
        backwards: bool,
        most: usize,
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let rows = self.engine.view()?.range(table, bounds, backwards, most)?;
        rows.into_iter()
            .map(|(key, (_, bytes))| Ok((key, parse(table, &bytes)?)))
            .collect()
    }

    /// Reads a whole table, a piece at a time: what is written meanwhile may be seen or not.
    pub(crate) fn each<T: DeserializeOwned, E: From<StoreError>>(
        &self,
        table: Table,
        mut take: impl FnMut(Vec<u8>, T) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut last: Option<Vec<u8>> = None;
        loop {
            let from = last.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
            let rows = self
                .engine
                .view()?
                .range(table, (from, Bound::Unbounded), false, PIECE)?;
            let Some((key, _)) = rows.last() else {
                return Ok(());
            };
            last = Some(key.clone());
            for (key, (_, bytes)) in rows {
                take(key, parse(table, &bytes)?)?;
            }
        }
    }

    /// Reads all rows whose keys begin so.
    pub(crate) fn below<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, T)>, StoreError> {
        let after = after(prefix);
        let end = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        self.range(table, (Bound::Included(prefix), end), false, usize::MAX)
    }

    /// Reads the last rows whose keys begin so, the last one first.
    pub(crate) fn last_below<T: DeserializeOwned>(
        &self,
        table: Table,
        prefix: &[u8],
        most: usize,
    ) -> Result<Vec<T>, StoreError> {
        let after = after(prefix);
        let end = after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let rows = self.range(table, (Bound::Included(prefix), end), true, most)?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }
}

/// The first key that does not begin so and comes later.
fn after(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut after = prefix.to_vec();
    while let Some(last) = after.pop() {
        if last < u8::MAX {
            after.push(last + 1);
            return Some(after);
        }
    }
    None
}

fn commit_all(
    engine: &dyn Engine,
    parsed: &Parsed,
    waiting: &mpsc::Receiver<Waiting>,
    failed: &watch::Sender<Option<StoreError>>,
) {
    let mut merged = 1;
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        // Where there is one there are more on their way, if that was so before: a commit costs what many transactions do.
        let until = Instant::now() + if merged > 1 { GATHER } else { Duration::ZERO };
        while batch.len() < MERGED {
            let left = until.saturating_duration_since(Instant::now());
            let next = match left.is_zero() {
                true => waiting.try_recv().ok(),
                false => waiting.recv_timeout(left).ok(),
            };
            let Some(next) = next else { break };
            batch.push(next);
        }
        merged = batch.len();
        let (changes, told): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|it| (it.change, (it.written, it.done)))
            .unzip();
        match engine.commit(&changes) {
            Ok(held) => {
                for ((change, (written, done)), version) in changes.iter().zip(told).zip(held) {
                    if let Some(version) = version {
                        parsed.committed(version, change, written);
                    }
                    let _ = done.send(Ok(version.is_some()));
                }
            }
            Err(error) => {
                // Final: what was acknowledged before is on disk, what comes after would rest on what may not be.
                failed.send_replace(Some(error.clone()));
                for (_, done) in told {
                    let _ = done.send(Err(error.clone()));
                }
                return;
            }
        }
    }
}
