//! Deletion as the retention classes say, and of given entries on an order. Owns the order in which it happens, so that a crash anywhere leaves either nothing
//! done or a deletion that the next start finishes:
//!
//! 1. plan: which parts of which entries are due and not on hold; an order that names one on hold ends here;
//! 2. `log/purge.pending`: where the log ended, and the content files of the bodies that are due;
//! 3. the deletions, each an entry with rule and ground, are on disk;
//! 4. keys are destroyed, then content files removed, then sealed segments rewritten without what nobody can read; of what
//!    is dropped because an archive holds it (`archive/drop.rs`) no key is destroyed, and content files go last;
//! 5. `log/purge.pending` goes.
//!
//! A crash before 3: nothing was deleted, and nobody was told so. After it: every deletion that is recorded is carried out by
//! `finish`, which the running node uses for step 4 too. All deletions of one purge are handed to the writer together, so that
//! they are nearly always one round; of a crash between two, each is whole by itself, and the same order does the rest.

mod order;
mod plan;
mod rewrite;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{MutexGuard, PoisonError},
};

use kontor_protocol::log::{EntryKind, RetentionClass};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

pub use self::order::{Given, LeftEntry, Part};
pub(super) use self::plan::State;
use self::{
    order::Ordered,
    plan::{Due, Plan},
};
use super::{
    MessageLog,
    archive::{self, ArchivedCopies},
    content::ContentId,
    deletion::{Deleted, Deletion},
    draft::Draft,
    entry::Receipt,
    error::LogError,
    fact::{Acted, Fact, FactKind},
    identity::Home,
    keytree::{BlobClass, KeyName, KeyRing},
    numbers::NumberSet,
    queue::Work,
};
use crate::disk;

/// The largest of the two small files: content files of a million bodies.
const LIMIT: usize = 64 * 1024 * 1024;
/// Under which [`Pending::content`] lists content files of what is dropped.
pub(super) const DROPPED: &str = "dropped";
/// Runs of numbers in one deletion: its entry stays far below what a record holds.
const RUNS: usize = 1_000_000;

/// What is asked of a purge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurgeOrder {
    /// Why it is done now; stands in each deletion.
    pub ground: String,
    /// Say what is due and delete nothing.
    pub dry_run: bool,
    /// These entries, and not what is due.
    pub given: Option<Given>,
}

impl PurgeOrder {
    /// What is due.
    pub fn due(ground: &str, dry_run: bool) -> Self {
        Self {
            ground: ground.into(),
            dry_run,
            given: None,
        }
    }
}

/// What a purge did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeReport {
    /// One line for each part, class and month.
    pub deletions: Vec<PurgedPart>,
    /// Parts that are due and on hold.
    pub on_hold: u64,
    /// Content files that were removed.
    pub content_files: u64,
    /// Segments that were rewritten.
    pub segments: u64,
    /// Of given entries, those about the log itself, which stay; the first thousand.
    #[serde(default)]
    pub left: Vec<LeftEntry>,
    /// Of given entries, parts that were deleted before.
    #[serde(default)]
    pub already: u64,
}

/// Parts that were deleted together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgedPart {
    /// Entry of the deletion; none in a dry run.
    pub entry: Option<u64>,
    /// Rule, part, class, month and number of entries.
    #[serde(flatten)]
    pub said: Deleted,
}

/// What is on its way.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Pending {
    format: u32,
    /// Deletions, and acts that say what is dropped, from this number on belong to it.
    from: u64,
    /// Content files by class and month.
    content: BTreeMap<String, Vec<String>>,
}

impl Pending {
    pub(super) fn new(from: u64, content: BTreeMap<String, Vec<String>>) -> Self {
        let format = 1;
        Self {
            format,
            from,
            content,
        }
    }

    pub(super) fn save(&self, home: &Home) -> Result<(), LogError> {
        let path = home.layout.purge_pending();
        let bytes = serde_json::to_vec(self).expect("numbers and strings always serialise");
        disk::replace(&*home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))
    }
}

fn group(class: &str, month: u32) -> String {
    format!("{class}.{month}")
}

impl MessageLog {
    /// Deletes what is due, or given. One purge runs at a time.
    pub async fn purge(&self, order: PurgeOrder) -> Result<PurgeReport, LogError> {
        let log = self.clone();
        tokio::task::spawn_blocking(move || log.purge_now(&order))
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// Waits for whatever deletes, drops or holds, and keeps others from it.
    pub(super) fn purging(&self) -> MutexGuard<'_, ()> {
        self.purging.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn purge_now(&self, order: &PurgeOrder) -> Result<PurgeReport, LogError> {
        let _one = self.purging();
        let mut report = PurgeReport::default();
        if !order.dry_run {
            // One that failed before, for example on a full disk.
            self.finish(&mut report)?;
        }
        let mut reader = self.reader();
        let (all, state) = match &order.given {
            None => {
                let plan = Plan::make(&mut reader, &self.schedule, self.clock.now())?;
                report.on_hold = plan.on_hold;
                (plan.due, Some(plan.state))
            }
            Some(given) => {
                let ordered = Ordered::make(&mut reader, given)?;
                (report.left, report.already) = (ordered.left, ordered.already);
                (ordered.due, None)
            }
        };
        if order.dry_run {
            for due in &all {
                let copies = reader.copies(&due.numbers, due.part)?;
                report.deletions.push(PurgedPart {
                    entry: None,
                    said: self.said(due, order, due.numbers.len(), copies),
                });
            }
            return Ok(report);
        }
        if all.is_empty() {
            return state
                .map_or(Ok(()), |state| state.save(&self.home))
                .map(|()| report);
        }
        let mut pending = Pending::new(reader.entries(), BTreeMap::new());
        for due in all.iter().filter(|due| due.part == BlobClass::Body) {
            let ids = reader.content_of(&due.numbers)?;
            let ids = ids.into_iter().map(|id| id.to_string()).collect();
            pending.content.insert(group(due.class.as_str(), due.month), ids);
        }
        pending.save(&self.home)?;
        let mut recorded = Vec::new();
        for due in &all {
            for runs in due.numbers.runs().chunks(RUNS) {
                let mut numbers = NumberSet::default();
                runs.iter().for_each(|run| numbers.insert_run(run.0, run.1));
                let copies = reader.copies(&numbers, due.part)?;
                let said = self.said(due, order, numbers.len(), copies);
                let fact = Fact::new(FactKind::Deletion, &said).about(numbers);
                recorded.push((said, self.begin_append(fact)?));
            }
        }
        for (said, receipt) in recorded {
            let receipt = receipt
                .blocking_recv()
                .unwrap_or_else(|_| Err(self.why_closed()))?;
            report.deletions.push(PurgedPart {
                entry: Some(receipt.number),
                said,
            });
        }
        self.finish(&mut report)?;
        // Lost, it costs a look at every leaf.
        state.map_or(Ok(()), |state| state.save(&self.home))?;
        Ok(report)
    }

    fn begin_append(&self, fact: Fact) -> Result<oneshot::Receiver<Result<Receipt, LogError>>, LogError> {
        self.ledger.check()?;
        let (done, receipt) = oneshot::channel();
        let draft = Box::new(Draft::fact(&self.origin, fact));
        let sent = self.queue.blocking_send(Work::Append(draft, done));
        sent.map_err(|_| self.why_closed())?;
        Ok(receipt)
    }

    pub(super) fn append_blocking(&self, fact: Fact) -> Result<Receipt, LogError> {
        let receipt = self.begin_append(fact)?;
        receipt.blocking_recv().unwrap_or_else(|_| Err(self.why_closed()))
    }

    fn said(&self, due: &Due, order: &PurgeOrder, entries: u64, archived: Option<ArchivedCopies>) -> Deleted {
        let kept = self.schedule.kept(&due.class);
        Deleted {
            rule: match &order.given {
                None => format!("{} = {kept}", due.class),
                Some(_) => order::RULE.into(),
            },
            part: due.part.name().into(),
            class: due.class.as_str().into(),
            month: due.month,
            whole_month: due.whole_month,
            ground: order.ground.clone(),
            entries,
            by: order.given.as_ref().and_then(|given| given.by.clone()),
            who: order.given.as_ref().map(|given| given.who.clone()),
            archived,
        }
    }

    /// Carries out the deletions that are recorded and not finished. Everything in it can be done twice.
    pub(super) fn finish(&self, report: &mut PurgeReport) -> Result<(), LogError> {
        let path = self.home.layout.purge_pending();
        let read = match disk::read_all(&*self.home.disk, &path, LIMIT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(LogError::io("could not read", &path))?,
        };
        let pending: Pending = serde_json::from_slice(&read)
            .map_err(|error| LogError::damaged(&path, format_args!("it does not read: {error}")))?;
        let mut reader = self.reader();
        let mut deletions = Vec::new();
        for mark in self.marks.of_kind(EntryKind::Deletion) {
            if mark.number >= pending.from {
                let fact = reader.fact(mark.number)?;
                if let (Some((first, _)), Some(last)) = (fact.numbers.runs().first(), fact.numbers.last()) {
                    self.marks.narrow(mark.number, (*first, last));
                }
                deletions.extend(Deletion::of(fact));
            }
        }
        let mut gone = NumberSet::default();
        for mark in self.marks.of_kind_from(EntryKind::Act, pending.from) {
            let fact = reader.fact(mark.number)?;
            if fact.said::<Acted>().is_some_and(|said| said.act == archive::DROP) {
                gone.extend(&fact.numbers);
            }
        }
        let dropped = pending.content.get(DROPPED).filter(|_| !gone.is_empty());
        let mut keys = KeyRing::new(&self.home, self.master.clone());
        for deletion in &deletions {
            let (Some(class), Ok(retention)) =
                (deletion.class(), deletion.said.class.parse::<RetentionClass>())
            else {
                continue;
            };
            let name = KeyName {
                class,
                retention,
                period: deletion.said.month,
            };
            // A crash here: the keys of some are gone, those of the others follow at the next start.
            keys.forget(&name, &deletion.numbers, deletion.said.whole_month)?;
            // Whoever holds keys in memory drops them from here on, before the index forgets what it made of them.
            self.home.purges.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
            if class == BlobClass::Head {
                let whole_month = deletion.said.whole_month;
                self.readers
                    .index
                    .forget(&name.retention, name.period, whole_month)?;
            }
            gone.extend(&deletion.numbers);
        }
        for deletion in deletions
            .iter()
            .filter(|deletion| deletion.class() == Some(BlobClass::Body))
        {
            let named = pending
                .content
                .get(&group(&deletion.said.class, deletion.said.month));
            for name in named.into_iter().flatten() {
                report.content_files += u64::from(self.remove_content(name)?);
            }
        }
        self.sync_content()?;
        let mut reader = self.reader();
        let segments: BTreeSet<u64> = reader.segments_of(&gone).into_iter().collect();
        for first in segments {
            report.segments += u64::from(rewrite::rewrite(&mut reader, first)?);
        }
        // Nothing names them any more.
        for name in dropped.into_iter().flatten() {
            report.content_files += u64::from(self.remove_content(name)?);
        }
        self.sync_content()?;
        let removed = self.home.disk.remove(&path);
        removed
            .and_then(|()| self.home.disk.sync_dir(&self.home.layout.root()))
            .map_err(LogError::io("could not remove", &path))
    }

    fn sync_content(&self) -> Result<(), LogError> {
        let content = self.home.layout.content();
        let synced = self.home.disk.sync_dir(&content);
        synced.map_err(LogError::io("could not sync", &content))
    }

    fn remove_content(&self, name: &str) -> Result<bool, LogError> {
        let Some(id) = ContentId::parse(name) else {
            return Ok(false);
        };
        let path = self.home.layout.content().join(id.to_string());
        match self.home.disk.remove(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(LogError::io("could not remove", &path)(error)),
        }
    }
}
