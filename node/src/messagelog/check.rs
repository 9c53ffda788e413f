//! `kontor log check`: reads every file of a log and says what is wrong with which, and what to do. Changes nothing, stops at
//! nothing, and works beside the running writer or without one. Owns the codes of findings.

mod checkpoints;
mod files;
mod segments;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use kontor_pki::sealed::MasterKey;
use serde::{Deserialize, Serialize};

use self::checkpoints::Signed;
use super::{
    MessageLog,
    archive::Catalog,
    content::{ContentId, ContentStore},
    deletion::class_of,
    error::LogError,
    format::Layout,
    identity::{self, Home},
    index::{Index, IndexKeys},
    keytree::KeyRing,
    marks::{Mark, Marks},
    numbers::NumberSet,
    read::{LastStamp, Readers},
    sequencer::Published,
    status::Status,
};
use crate::disk::Disk;

/// How a check is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckOrder {
    /// Open every sealed part as well, content files to their last chunk.
    pub deep: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// A stable word.
    pub code: String,
    /// The file, below the data directory.
    pub file: String,
    /// What was found.
    pub text: String,
    /// Entries concerned, as `3-9,12`, shortened when they are many; empty when it is about the file.
    pub entries: String,
    /// What to do.
    pub advice: String,
}

/// What a check found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// What is wrong, numbered from 1 by their place.
    pub findings: Vec<Finding>,
    /// What is worth knowing and not wrong.
    pub notes: Vec<String>,
    /// Entries read.
    pub entries: u64,
    /// Segments read.
    pub segments: u64,
    /// Leaf files read.
    pub leaf_files: u64,
    /// Key files opened.
    pub key_files: u64,
    /// Content files met.
    pub content_files: u64,
}

/// What kinds of damage there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Code {
    Behind,
    Binding,
    Checkpoint,
    ContentDamaged,
    ContentMissing,
    ContentUnused,
    KeyFile,
    KeyLost,
    LeafFile,
    LeafWrong,
    MarksFile,
    PartDamaged,
    Rewritten,
    SegmentDamaged,
    SegmentGap,
    SegmentHeader,
}

impl Code {
    fn word(self) -> &'static str {
        match self {
            Self::Behind => "log_behind",
            Self::Binding => "binding_damaged",
            Self::Checkpoint => "checkpoint_damaged",
            Self::ContentDamaged => "content_damaged",
            Self::ContentMissing => "content_missing",
            Self::ContentUnused => "content_unused",
            Self::KeyFile => "key_file_damaged",
            Self::KeyLost => "key_lost",
            Self::LeafFile => "leaf_file_damaged",
            Self::LeafWrong => "leaf_wrong",
            Self::MarksFile => "marks_damaged",
            Self::PartDamaged => "part_damaged",
            Self::Rewritten => "log_rewritten",
            Self::SegmentDamaged => "segment_damaged",
            Self::SegmentGap => "segment_missing",
            Self::SegmentHeader => "segment_header_damaged",
        }
    }

    fn advice(self) -> &'static str {
        match self {
            Self::Behind => {
                "an older copy of the log stands here, or files were lost: restore the newest copy; if there is none, keep this directory as evidence"
            }
            Self::Binding => {
                "stop the node, remove the file, start; the keys are bound again, and peers are asked to co-sign again"
            }
            Self::Checkpoint => {
                "restore it and log/checkpoint.key from a copy; without them nobody can tell whether entries were changed, but from what peers keep"
            }
            Self::Rewritten => {
                "somebody changed or exchanged entries: keep this directory as evidence, restore a copy from before, and compare with peers by `kontor log reconcile`"
            }
            Self::ContentDamaged | Self::ContentMissing => {
                "restore the file below log/content from a copy; the entry, its leaf and the body's digest are sound"
            }
            Self::ContentUnused => {
                "no entry names it; remove it when no node runs, or leave it: it opens for nobody"
            }
            Self::KeyFile => {
                "restore it below log/keys from a copy made after the last purge; until then what it opens cannot be read"
            }
            Self::KeyLost => {
                "no deletion says that these were to be forgotten: restore log/keys from a copy made after the last purge"
            }
            Self::LeafFile => {
                "with its segment beside it: stop the node, remove the leaf file, start; it is made again. Without: restore it from a copy"
            }
            Self::LeafWrong => {
                "somebody changed segment or leaf file and its checksums: keep a copy of both and compare with checkpoints that peers hold"
            }
            Self::MarksFile => "stop the node, remove the file, start; it is made again",
            Self::PartDamaged => {
                "its checksum is right and its seal is not: somebody changed it. Keep a copy, restore the segment from another"
            }
            Self::SegmentDamaged | Self::SegmentGap | Self::SegmentHeader => {
                "stop the node and restore the segment from a copy; the node does not start on it"
            }
        }
    }
}

/// Findings of one kind in one file become one.
#[derive(Default)]
pub(super) struct Findings {
    found: BTreeMap<(String, Code), (String, NumberSet)>,
}

/// Numbers are told up to this length.
const SHOWN: usize = 400;

impl Findings {
    pub(super) fn add(&mut self, code: Code, file: &str, text: impl Into<String>, number: Option<u64>) {
        let entry = self.found.entry((file.to_owned(), code));
        let (_, numbers) = entry.or_insert_with(|| (text.into(), NumberSet::default()));
        if let Some(number) = number {
            numbers.insert(number);
        }
    }

    fn told(self) -> Vec<Finding> {
        let tell = |((file, code), (text, numbers)): ((String, Code), (String, NumberSet))| {
            let mut entries = numbers.to_string();
            if entries.len() > SHOWN {
                entries.truncate(SHOWN);
                entries += &format!("… ({} in all)", numbers.len());
            }
            Finding {
                code: code.word().into(),
                file,
                text,
                entries,
                advice: code.advice().into(),
            }
        };
        self.found.into_iter().map(tell).collect()
    }
}

/// The log as a check sees it.
pub(super) struct Checker<'a> {
    home: &'a Home,
    content: ContentStore,
    keys: KeyRing,
    master: Arc<MasterKey>,
    deep: bool,
    /// Entries that are synced, when a writer runs.
    synced: Option<u64>,
    findings: Findings,
    report: CheckReport,
    marks: Vec<Mark>,
    signed: Signed,
    /// Segments whose records were read to their end, with their first numbers.
    sound: Vec<u64>,
    /// Blobs whose key is gone: number and part.
    forgotten: BTreeMap<&'static str, NumberSet>,
    /// Content files that entries name.
    named: Vec<ContentId>,
    /// Whether an entry might name content files that could not be read.
    unread: bool,
    progress: &'a mut dyn FnMut(u64, u64),
}

/// Checks a log. `synced` is the number of entries that the running writer has acknowledged; without one the last segment may
/// end in a torn round. `progress` hears how many entries of how many were read.
pub(super) fn check(
    home: &Home,
    content: ContentStore,
    master: Arc<MasterKey>,
    order: CheckOrder,
    synced: Option<u64>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckReport, LogError> {
    let mut checker = Checker {
        home,
        content,
        keys: KeyRing::new(home, master.clone()),
        master,
        deep: order.deep,
        synced,
        findings: Findings::default(),
        report: CheckReport::default(),
        marks: Vec::new(),
        signed: Signed::default(),
        sound: Vec::new(),
        forgotten: BTreeMap::new(),
        named: Vec::new(),
        unread: false,
        progress,
    };
    checker.key_files()?;
    checker.checkpoints()?;
    checker.segments()?;
    checker.compare_checkpoints();
    checker.explain_forgotten();
    checker.marks_file();
    checker.content_files()?;
    let mut report = checker.report;
    report.findings = checker.findings.told();
    Ok(report)
}

/// Checks a log that no process owns. Holds its lock meanwhile, so that none begins to.
pub fn check_unowned(
    dir: &Path,
    disk: Arc<dyn Disk>,
    master: MasterKey,
    order: CheckOrder,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<CheckReport, LogError> {
    let layout = Layout::new(dir);
    let _lock = disk.lock(&layout.lock()).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => LogError::Locked {
            path: dir.display().to_string(),
        },
        _ => LogError::io("could not lock", &layout.lock())(error),
    })?;
    let master = Arc::new(master);
    let home = identity::known(Arc::clone(&disk), layout.clone(), &master)?;
    let status = Status::new(Arc::clone(&disk), dir.into(), 0);
    let content = ContentStore {
        disk,
        layout,
        status,
        rests_in_spool: true,
    };
    check(&home, content, master, order, None, progress)
}

impl MessageLog {
    /// Checks every file of this log beside its writer. `progress` hears how many entries of how many were read.
    pub async fn check_files(
        &self,
        order: CheckOrder,
        mut progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<CheckReport, LogError> {
        let log = self.clone();
        let run = move || {
            // A purge changes files under the check's hands.
            let _no_purge = log.purging.lock().unwrap_or_else(PoisonError::into_inner);
            let synced = Some(log.published.entries());
            let (home, content, master) = (&log.home, log.content.clone(), Arc::clone(&log.master));
            check(home, content, master, order, synced, &mut progress)
        };
        tokio::task::spawn_blocking(run)
            .await
            .map_err(|_| LogError::Closed)?
    }
}

impl Checker<'_> {
    fn file(&self, path: &Path) -> String {
        let below = path.strip_prefix(self.home.layout.data()).unwrap_or(path);
        below.display().to_string()
    }

    fn disk(&self) -> &dyn Disk {
        &*self.home.disk
    }

    /// A key that is gone must be gone by a deletion.
    fn explain_forgotten(&mut self) {
        let forgotten = std::mem::take(&mut self.forgotten);
        if forgotten.values().all(NumberSet::is_empty) {
            return;
        }
        let marks = Marks::default();
        marks.extend(self.marks.iter().copied());
        let published = Published::default();
        published
            .counters
            .entries
            .store(self.report.entries, Ordering::Release);
        published
            .segments
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone_from(&self.sound);
        let readers = Readers {
            home: self.home.clone(),
            content: self.content.clone(),
            master: Arc::clone(&self.master),
            published,
            marks,
            // Never opened: what is looked for is read.
            index: Index::new(IndexKeys::new(self.home.clone(), Arc::clone(&self.master))),
            catalog: Catalog::default(),
            last_stamp: LastStamp::default(),
        };
        let mut reader = readers.reader();
        for (part, numbers) in forgotten {
            let (Some((first, _)), Some(last)) = (numbers.runs().first().copied(), numbers.last()) else {
                continue;
            };
            let deleted = match reader.deleted(first, last) {
                Ok(mut deleted) => deleted.remove(part).unwrap_or_default(),
                Err(error) => {
                    self.report
                        .notes
                        .push(format!("the deletions could not be read: {error}"));
                    NumberSet::default()
                }
            };
            let aside = reader.quarantined(first, last).unwrap_or_default();
            for (entry, put) in &aside {
                let gone = numbers.iter().filter(|number| put.contains(*number)).count();
                if gone > 0 {
                    self.report.notes.push(format!(
                        "the {part} of {gone} entries was damaged and put aside, as entry {entry} says"
                    ));
                }
            }
            let dropped = class_of(part).map_or(Ok(NumberSet::default()), |class| reader.dropped(class));
            let dropped = dropped.unwrap_or_default();
            let archived = numbers.both(&dropped).without(&deleted).len();
            if archived > 0 {
                let note = format!("the {part} of {archived} entries lies in archives only");
                self.report.notes.push(note);
            }
            let aside = |number: u64| aside.iter().any(|(_, numbers)| numbers.contains(number));
            let file = format!("log/keys/{part}.*.key");
            let unexplained =
                |number: &u64| !deleted.contains(*number) && !dropped.contains(*number) && !aside(*number);
            for number in numbers.iter().filter(unexplained) {
                let text = format!("the {part} cannot be opened and no entry says that it was deleted");
                self.findings.add(Code::KeyLost, &file, text, Some(number));
            }
        }
    }
}
