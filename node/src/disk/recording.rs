//! A disk in memory for tests that records every operation and can say what a crash at any of them may have left: the
//! operations done so far, one torn in the middle, whatever was not synced lost or there by sectors in any mixture. It can
//! also fail on command. It refuses nothing else and is never used by a node.

mod crash;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Disk, DiskFile};
use crash::{Synced, mixture, replay};

/// What a disk writes whole or not at all.
pub const SECTOR: usize = 512;

/// One kind of operation, to aim a [`Failure`] at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A file came to be.
    Create,
    /// Bytes were written.
    Write,
    /// A file was synced.
    Sync,
    /// A file got another name.
    Rename,
    /// A file was removed.
    Remove,
    /// A directory was synced.
    SyncDir,
    /// A directory came to be.
    CreateDir,
    /// A file was opened.
    Open,
    /// Bytes were read.
    Read,
}

/// An error to return: from the `after`-th matching operation on, for ever.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which operation fails.
    pub operation: Operation,
    /// Only for paths that contain this.
    pub path: &'static str,
    /// How many matching operations still succeed.
    pub after: usize,
    /// What it says.
    pub kind: io::ErrorKind,
}

/// What becomes of that which was not synced when the machine stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process died, the system lives: everything written is there.
    Process,
    /// The same, and of the write that was under way only this many bytes arrived.
    Torn(usize),
    /// Power was cut and nothing survived that was not synced.
    OnlySynced,
    /// Power was cut; of what was not synced each sector is there or not, and each directory has some of its last changes.
    /// The number seeds the choice.
    Mixture(u64),
}

#[derive(Debug, Clone)]
enum Done {
    CreateDir(PathBuf),
    Create {
        inode: usize,
        path: PathBuf,
    },
    Write {
        inode: usize,
        offset: usize,
        data: Arc<[u8]>,
    },
    Sync {
        inode: usize,
    },
    Rename {
        inode: usize,
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    SyncDir(PathBuf),
}

#[derive(Debug, Default, Clone)]
struct Tree {
    dirs: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    inodes: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct State {
    start: Tree,
    now: Tree,
    done: Vec<Done>,
    failures: Vec<Failure>,
    /// Of the next failing write so many bytes arrive first.
    short: usize,
    /// The path of each operation that failed.
    failed: Vec<PathBuf>,
    free: u64,
    locks: BTreeSet<PathBuf>,
}

/// See the module. Clones share the disk.
#[derive(Debug, Clone)]
pub struct RecordingDisk {
    state: Arc<Mutex<State>>,
}

impl Default for RecordingDisk {
    fn default() -> Self {
        Self::holding(Tree {
            inodes: Vec::new(),
            names: BTreeMap::new(),
            dirs: BTreeSet::from([PathBuf::from("/")]),
        })
    }
}

impl RecordingDisk {
    fn holding(tree: Tree) -> Self {
        let state = State {
            start: tree.clone(),
            now: tree,
            done: Vec::new(),
            failures: Vec::new(),
            short: 0,
            failed: Vec::new(),
            free: u64::MAX,
            locks: BTreeSet::new(),
        };
        Self {
            state: Arc::new(Mutex::new(state)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations were done so far. [`RecordingDisk::after_crash`] takes such a number.
    pub fn position(&self) -> usize {
        self.state().done.len()
    }

    /// Bytes of the write at a position, if that operation is one.
    pub fn write_length(&self, position: usize) -> Option<usize> {
        match self.state().done.get(position) {
            Some(Done::Write { data, .. }) => Some(data.len()),
            _ => None,
        }
    }

    /// Lets operations fail from now on.
    pub fn fail(&self, failure: Failure) {
        self.state().failures.push(failure);
    }

    /// Lets so many bytes of each failing write arrive before it fails: a short write.
    pub fn arrive_short(&self, bytes: usize) {
        self.state().short = bytes;
    }

    /// The path of each operation that failed so far, in their order.
    pub fn failed(&self) -> Vec<PathBuf> {
        self.state().failed.clone()
    }

    /// Repairs the disk.
    pub fn heal(&self) {
        self.state().failures.clear();
    }

    /// What [`Disk::free_space`] answers.
    pub fn set_free_space(&self, bytes: u64) {
        self.state().free = bytes;
    }

    /// Every byte of every file there is, one after the other.
    pub fn everything(&self) -> Vec<u8> {
        let state = self.state();
        state
            .now
            .names
            .values()
            .flat_map(|inode| state.now.inodes[*inode].iter().copied())
            .collect()
    }

    /// Writes every file there is below a real directory, to be looked at.
    pub fn copy_to(&self, dir: &Path) -> io::Result<()> {
        let state = self.state();
        for (path, inode) in &state.now.names {
            let target = dir.join(path.strip_prefix("/").unwrap_or(path));
            std::fs::create_dir_all(parent(&target))?;
            std::fs::write(target, &state.now.inodes[*inode])?;
        }
        Ok(())
    }

    /// Changes one bit on the medium, past every cache.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) {
        let mut state = self.state();
        let inode = state.now.names[path];
        state.now.inodes[inode][offset] ^= 1 << bit;
        let content = state.now.inodes[inode].clone();
        state.done.push(Done::Write {
            inode,
            offset: 0,
            data: content.into(),
        });
    }

    /// The disk that a start after a crash finds, with the first `position` operations done and the next one under way.
    #[must_use]
    pub fn after_crash(&self, position: usize, crash: Crash) -> Self {
        let state = self.state();
        let (past, next) = (&state.done[..position], state.done.get(position));
        Self::holding(match crash {
            Crash::Process => replay(&state.start, past, |_| true, |_, write| write.to_vec()),
            Crash::Torn(bytes) => {
                let mut tree = replay(&state.start, past, |_| true, |_, write| write.to_vec());
                if let Some(Done::Write { inode, offset, data }) = next {
                    overwrite(&mut tree.inodes[*inode], *offset, &data[..bytes.min(data.len())]);
                }
                tree
            }
            Crash::OnlySynced => {
                let synced = Synced::of(past);
                replay(
                    &state.start,
                    past,
                    |index| synced.holds(index),
                    |_, write| write.to_vec(),
                )
            }
            Crash::Mixture(seed) => {
                let seen = &state.done[..(position + usize::from(next.is_some())).min(state.done.len())];
                mixture(&state.start, past, seen, seed)
            }
        })
    }

    fn is_failing(&self) -> bool {
        !self.state().failures.is_empty()
    }

    fn check(&self, operation: Operation, path: &Path) -> io::Result<()> {
        let text = path.to_string_lossy().into_owned();
        let mut state = self.state();
        let mut failed = None;
        for failure in &mut state.failures {
            if failure.operation == operation && text.contains(failure.path) {
                match failure.after.checked_sub(1) {
                    Some(left) => failure.after = left,
                    None => failed = failed.or(Some(failure.kind)),
                }
            }
        }
        if failed.is_some() {
            state.failed.push(path.to_owned());
        }
        failed.map_or(Ok(()), |kind| Err(kind.into()))
    }
}

fn overwrite(content: &mut Vec<u8>, offset: usize, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let end = offset + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[offset..end].copy_from_slice(data);
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("/"))
}

impl Disk for RecordingDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(Operation::CreateDir, dir)?;
        let mut state = self.state();
        if !state.now.dirs.contains(parent(dir)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.now.dirs.insert(dir.into()) {
            state.done.push(Done::CreateDir(dir.into()));
        }
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.check(Operation::Create, path)?;
        let mut state = self.state();
        if !state.now.dirs.contains(parent(path)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.now.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = state.now.inodes.len();
        state.now.inodes.push(Vec::new());
        state.now.names.insert(path.into(), inode);
        state.done.push(Done::Create {
            inode,
            path: path.into(),
        });
        Ok(Arc::new(RecordingFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.check(Operation::Open, path)?;
        let inode = *self.state().now.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(RecordingFile {
            disk: self.clone(),
            inode,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Operation::Rename, to)?;
        let mut state = self.state();
        if !state.now.dirs.contains(parent(to)) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = state.now.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.now.names.insert(to.into(), inode);
        state.done.push(Done::Rename {
            inode,
            from: from.into(),
            to: to.into(),
        });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.check(Operation::Remove, path)?;
        let mut state = self.state();
        state.now.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        state.done.push(Done::Remove { path: path.into() });
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.check(Operation::SyncDir, dir)?;
        self.state().done.push(Done::SyncDir(dir.into()));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.now.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = state.now.names.keys().filter(|path| parent(path) == dir);
        Ok(inside
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .collect())
    }

    fn free_space(&self, _: &Path) -> io::Result<u64> {
        Ok(self.state().free)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        if !self.state().locks.insert(path.into()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(RecordingLock {
            disk: self.clone(),
            path: path.into(),
        }))
    }
}

struct RecordingLock {
    disk: RecordingDisk,
    path: PathBuf,
}

impl Drop for RecordingLock {
    fn drop(&mut self) {
        self.disk.state().locks.remove(&self.path);
    }
}

struct RecordingFile {
    disk: RecordingDisk,
    inode: usize,
}

impl RecordingFile {
    /// The name the file has now; none once it was removed.
    fn path(&self) -> PathBuf {
        let state = self.disk.state();
        let named = state.now.names.iter().find(|(_, inode)| **inode == self.inode);
        named.map(|(path, _)| path.clone()).unwrap_or_default()
    }
}

impl DiskFile for RecordingFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let checked = self.disk.check(Operation::Write, &self.path());
        let offset = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let mut state = self.disk.state();
        let data = match &checked {
            Ok(()) => data,
            Err(_) => &data[..data.len().min(state.short)],
        };
        if checked.is_err() && data.is_empty() {
            return checked;
        }
        overwrite(&mut state.now.inodes[self.inode], offset, data);
        state.done.push(Done::Write {
            inode: self.inode,
            offset,
            data: data.into(),
        });
        checked
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        // The name is looked for only when it matters.
        if self.disk.is_failing() {
            self.disk.check(Operation::Read, &self.path())?;
        }
        let state = self.disk.state();
        let content = &state.now.inodes[self.inode];
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let read = buffer.len().min(content.len() - start);
        buffer[..read].copy_from_slice(&content[start..start + read]);
        Ok(read)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().now.inodes[self.inode].len() as u64)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.check(Operation::Sync, &self.path())?;
        self.disk.state().done.push(Done::Sync { inode: self.inode });
        Ok(())
    }
}
