//! The operator's answer to damage that keeps a log from starting and that no copy can repair: each damaged file is copied to
//! `log/quarantine`, every sound record is kept, what cannot be read is marked as gone, and an act in the log names the
//! entries. Never done by itself: a start stops at damage. What the leaf files hold stays proven.
//!
//! For each file: the copy, then `NAME.json` beside it, which says what is lost, then the repaired file in its place. A crash
//! before that leaves the damaged file where it was; after it the next run records what `NAME.json` says. Recorded, it is
//! named `NAME.recorded`.

mod salvage;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use self::salvage::{Repaired, repair};
use super::{
    MessageLog, OpenLog,
    error::LogError,
    fact::{Acted, Fact, FactKind},
    format::{Layout, number_in_name},
    identity::{self, Home},
    keytree::KeyRing,
    ledger::LostLeaves,
    numbers::NumberSet,
    segment::{self, Segment},
};
use crate::disk;

/// The word of these acts.
pub(crate) const ACT: &str = "quarantine";
/// No segment or key file is larger.
const LIMIT: usize = 1024 * 1024 * 1024;

/// A file that was damaged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantined {
    /// The file, below `log`.
    pub file: String,
    /// Its copy, below `log`.
    pub copy: String,
    /// What was found.
    pub found: String,
    /// Entries of which each part cannot be read any more, as `3-9,12`. Of `leaf` nothing is left.
    pub lost: BTreeMap<String, String>,
    /// Entry of the act; none until it is recorded.
    pub entry: Option<u64>,
}

/// Puts damaged files aside so that the log opens again. No node may run.
pub async fn quarantine(what: OpenLog, ground: &str, who: &str) -> Result<Vec<Quarantined>, LogError> {
    let layout = Layout::new(&what.dir);
    let disk = Arc::clone(&what.disk);
    {
        let _lock = disk.lock(&layout.lock()).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => LogError::Locked {
                path: what.dir.display().to_string(),
            },
            _ => LogError::io("could not lock", &layout.lock())(error),
        })?;
        let home = identity::known(Arc::clone(&disk), layout.clone(), &what.master)?;
        let dir = layout.quarantine();
        disk.create_dir(&dir)
            .and_then(|()| disk.sync_dir(&layout.root()))
            .map_err(LogError::io("could not make", &dir))?;
        Aside { home: &home }.segments()?;
        // The key ring takes the master key for itself; the log gets its own.
        let master = Arc::new(what.master.duplicate());
        Aside { home: &home }.key_files(&KeyRing::new(&home, master))?;
    }
    let log = MessageLog::open(what)?;
    let recorded = record(&log, ground, who).await;
    log.shutdown().await;
    recorded
}

/// Records every quarantine that no act names yet.
async fn record(log: &MessageLog, ground: &str, who: &str) -> Result<Vec<Quarantined>, LogError> {
    let home = log.home.clone();
    let dir = home.layout.quarantine();
    let names = home
        .disk
        .list(&dir)
        .map_err(LogError::io("could not list", &dir))?;
    let mut recorded = Vec::new();
    for name in names.iter().filter(|name| name.ends_with(".json")) {
        let path = dir.join(name);
        let bytes =
            disk::read_all(&*home.disk, &path, LIMIT).map_err(LogError::io("could not read", &path))?;
        let mut said: Quarantined = serde_json::from_slice(&bytes)
            .map_err(|error| LogError::damaged(&path, format_args!("it does not read: {error}")))?;
        let mut numbers = NumberSet::default();
        for lost in said.lost.values() {
            numbers.extend(&lost.parse().unwrap_or_default());
        }
        let act = Acted {
            act: ACT.into(),
            who: who.into(),
            ground: ground.into(),
            details: serde_json::to_value(&said).unwrap_or_default(),
        };
        let receipt = log
            .append_fact(Fact::new(FactKind::Act, &act).about(numbers))
            .await?;
        said.entry = Some(receipt.number);
        // A crash before: the act is recorded twice, which says the same.
        let done = path.with_extension("recorded");
        home.disk
            .rename(&path, &done)
            .and_then(|()| home.disk.sync_dir(&dir))
            .map_err(LogError::io("could not rename", &path))?;
        recorded.push(said);
    }
    Ok(recorded)
}

struct Aside<'a> {
    home: &'a Home,
}

impl Aside<'_> {
    fn numbers(&self, dir: &Path, extension: &str) -> Result<Vec<u64>, LogError> {
        let names = self
            .home
            .disk
            .list(dir)
            .map_err(LogError::io("could not list", dir))?;
        Ok(names
            .iter()
            .filter_map(|name| number_in_name(name, extension))
            .collect())
    }

    /// Every segment that does not read, and leaf files that can be made again from theirs.
    fn segments(&self) -> Result<(), LogError> {
        let (disk, layout) = (&*self.home.disk, &self.home.layout);
        let segments = self.numbers(&layout.segments(), ".seg")?;
        for first in self.numbers(&layout.leaves(), ".leaf")? {
            let path = layout.leaf_file(first);
            if let (Err(LogError::Damaged { report }), Ok(_)) = (
                segment::read_leaves(disk, layout, &self.home.id, first),
                segments.binary_search(&first),
            ) {
                let copy = self.copy(&path)?;
                self.note(&path, &copy, &report, BTreeMap::new())?;
                // The start makes it again.
                disk.remove(&path)
                    .and_then(|()| disk.sync_dir(&layout.leaves()))
                    .map_err(LogError::io("could not remove", &path))?;
            }
        }
        for (index, first) in segments.iter().copied().enumerate() {
            let following = segments.get(index + 1).copied();
            let found = match Segment::open(disk, layout, &self.home.id, first) {
                Err(LogError::Damaged { report }) => report,
                opened => {
                    let opened = opened?;
                    let end = opened.scan(&mut |_| Ok(()))?;
                    let sound = match following {
                        Some(_) => end.sealed,
                        None => end.sealed || opened.later_round(end.offset)?.is_none(),
                    };
                    // The first record of the open segment is what a start needs.
                    if sound && (end.offset > 512 || following.is_some()) {
                        continue;
                    }
                    format!("no sound record at byte {}", end.offset)
                }
            };
            let path = layout.segment(first);
            let bytes = disk::read_all(disk, &path, LIMIT).map_err(LogError::io("could not read", &path))?;
            let leaves = match segment::read_leaves(disk, layout, &self.home.id, first) {
                Ok(leaves) => Some(leaves),
                Err(LogError::Damaged { .. }) => None,
                // Before its segment is sealed there is none.
                Err(LogError::Io { error, .. }) if error.kind() == std::io::ErrorKind::NotFound => None,
                // There may be one: whoever cannot read it must not do without.
                Err(error) => return Err(error),
            };
            let end = leaves
                .as_ref()
                .map(|leaves| first + leaves.len() as u64)
                .or(following);
            let Repaired { content, lost } = repair(&bytes, &self.home.id, first, end, leaves.as_deref());
            let copy = self.copy(&path)?;
            if let Some(lost) = lost.get("leaf") {
                // Before the segment is changed: a crash in between leaves hashes that nobody asks for.
                LostLeaves::keep(self.home, lost)?;
            }
            self.note(&path, &copy, &found, lost)?;
            disk::replace(disk, &path, &content).map_err(LogError::io("could not repair", &path))?;
        }
        Ok(())
    }

    /// Key files that do not open: what they opened is lost, and the writer begins a new one.
    fn key_files(&self, keys: &KeyRing) -> Result<(), LogError> {
        let (disk, dir) = (&*self.home.disk, self.home.layout.keys());
        let names = disk.list(&dir).map_err(LogError::io("could not list", &dir))?;
        let trees = |name: &&String| name.ends_with(".key") && !name.starts_with("index.");
        for name in names.iter().filter(trees) {
            if let Err(error) = keys.open_file(name) {
                let LogError::Damaged { report: found } = error else {
                    // The disk did not give it, which says nothing about what stands in it.
                    return Err(error);
                };
                let path = dir.join(name);
                let copy = self.copy(&path)?;
                self.note(&path, &copy, &found, BTreeMap::new())?;
                disk.remove(&path)
                    .and_then(|()| disk.sync_dir(&dir))
                    .map_err(LogError::io("could not remove", &path))?;
            }
        }
        Ok(())
    }

    /// Copies a file to the quarantine, under a name that is free.
    fn copy(&self, path: &Path) -> Result<PathBuf, LogError> {
        let (disk, dir) = (&*self.home.disk, self.home.layout.quarantine());
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let taken = disk.list(&dir).map_err(LogError::io("could not list", &dir))?;
        let free = (1..)
            .map(|times| format!("{name}.{times}"))
            .find(|name| !taken.contains(name));
        let copy = dir.join(free.unwrap_or(name));
        let bytes = disk::read_all(disk, path, LIMIT).map_err(LogError::io("could not read", path))?;
        disk::replace(disk, &copy, &bytes).map_err(LogError::io("could not write", &copy))?;
        Ok(copy)
    }

    fn note(
        &self,
        path: &Path,
        copy: &Path,
        found: &str,
        lost: BTreeMap<&'static str, NumberSet>,
    ) -> Result<(), LogError> {
        let root = self.home.layout.root();
        let below = |path: &Path| path.strip_prefix(&root).unwrap_or(path).display().to_string();
        let said = Quarantined {
            file: below(path),
            copy: below(copy),
            found: found.into(),
            lost: lost
                .into_iter()
                .map(|(part, numbers)| (part.to_owned(), numbers.to_string()))
                .collect(),
            entry: None,
        };
        let note = PathBuf::from(format!("{}.json", copy.display()));
        let bytes = serde_json::to_vec(&said).expect("strings always serialise");
        disk::replace(&*self.home.disk, &note, &bytes).map_err(LogError::io("could not write", &note))
    }
}
