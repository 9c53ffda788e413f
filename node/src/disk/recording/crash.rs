//! What a crash leaves of recorded operations: those that are certain, those that may be there, and trees made of them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Done, SECTOR, Tree, overwrite, parent};

/// Which operations are certain to have reached the disk.
pub(super) struct Synced {
    certain: Vec<bool>,
}

impl Synced {
    pub(super) fn of(done: &[Done]) -> Self {
        let mut certain = vec![false; done.len()];
        let (mut files, mut dirs) = (BTreeSet::new(), BTreeSet::new());
        for (index, operation) in done.iter().enumerate().rev() {
            certain[index] = match operation {
                Done::Sync { inode } => {
                    files.insert(*inode);
                    true
                }
                Done::SyncDir(dir) => {
                    dirs.insert(dir.as_path());
                    true
                }
                Done::Write { inode, .. } => files.contains(inode),
                Done::Create { path, .. } | Done::Remove { path } | Done::CreateDir(path) => {
                    dirs.contains(parent(path))
                }
                Done::Rename { from, to, .. } => dirs.contains(parent(from)) || dirs.contains(parent(to)),
            };
        }
        Self { certain }
    }

    pub(super) fn holds(&self, index: usize) -> bool {
        self.certain.get(index).copied().unwrap_or(false)
    }
}

/// Applies operations to a tree: those that `there` keeps, each write as `arrived` says it reached the medium.
pub(super) fn replay(
    start: &Tree,
    done: &[Done],
    mut there: impl FnMut(usize) -> bool,
    mut arrived: impl FnMut(usize, &[u8]) -> Vec<u8>,
) -> Tree {
    let mut tree = start.clone();
    for (index, operation) in done.iter().enumerate() {
        if let Done::Create { inode, .. } = operation
            && tree.inodes.len() <= *inode
        {
            tree.inodes.resize(inode + 1, Vec::new());
        }
        if !there(index) {
            continue;
        }
        match operation {
            Done::CreateDir(dir) => _ = tree.dirs.insert(dir.clone()),
            Done::Create { inode, path } => _ = tree.names.insert(path.clone(), *inode),
            Done::Write { inode, offset, data } => {
                let data = arrived(index, data);
                overwrite(&mut tree.inodes[*inode], *offset, &data);
            }
            Done::Rename { inode, from, to } => {
                tree.names.remove(from);
                tree.names.insert(to.clone(), *inode);
            }
            Done::Remove { path } => _ = tree.names.remove(path),
            Done::Sync { .. } | Done::SyncDir(_) => {}
        }
    }
    let dirs = tree.dirs.clone();
    tree.names.retain(|path, _| dirs.contains(parent(path)));
    tree
}

/// One of the states between [`super::Crash::OnlySynced`] and [`super::Crash::Process`]: an unsynced write arrives by
/// sectors, a directory keeps some of its last changes in their order.
pub(super) fn mixture(start: &Tree, past: &[Done], seen: &[Done], seed: u64) -> Tree {
    let synced = Synced::of(past);
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    // One mood per state makes states near both ends as likely as the middle.
    let percent = [5, 30, 50, 70, 95][dice.below(5)];
    let mut cut_dirs = BTreeMap::new();
    let mut keep = vec![false; seen.len()];
    for (index, operation) in seen.iter().enumerate() {
        let dir = match operation {
            Done::Write { .. } => None,
            Done::Sync { .. } | Done::SyncDir(_) => None,
            Done::Create { path, .. } | Done::Remove { path } | Done::CreateDir(path) => Some(parent(path)),
            Done::Rename { to, .. } => Some(parent(to)),
        };
        keep[index] = synced.holds(index)
            || match dir {
                None => true,
                Some(dir) => {
                    let cut = cut_dirs.entry(dir).or_insert(false);
                    *cut = *cut || dice.below(100) >= percent;
                    !*cut
                }
            };
    }
    let mut tree = start.clone();
    for (index, operation) in seen.iter().enumerate() {
        let Done::Write { inode, offset, data } = operation else {
            continue;
        };
        if tree.inodes.len() <= *inode {
            tree.inodes.resize(inode + 1, Vec::new());
        }
        let content = &mut tree.inodes[*inode];
        if synced.holds(index) {
            overwrite(content, *offset, data);
            continue;
        }
        let mut at = 0;
        while at < data.len() {
            let sector_end = ((offset + at) / SECTOR + 1) * SECTOR;
            let end = data.len().min(sector_end - offset);
            if dice.below(100) < percent {
                overwrite(content, offset + at, &data[at..end]);
            }
            at = end;
        }
        // A length may be on disk before the bytes it promises.
        if dice.below(2) == 0 && content.len() < offset + data.len() {
            content.resize(offset + data.len(), 0);
        }
    }
    let inodes = tree.inodes;
    let mut tree = replay(
        start,
        seen,
        |index| keep[index] && !matches!(seen[index], Done::Write { .. }),
        |_, _| Vec::new(),
    );
    for (index, content) in inodes.into_iter().enumerate() {
        match tree.inodes.get_mut(index) {
            Some(inode) => *inode = content,
            None => tree.inodes.push(content),
        }
    }
    tree
}

/// A small repeatable source of choices.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % bound
    }
}
