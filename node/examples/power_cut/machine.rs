//! The machine whose power is cut: the log's files on a recording disk, those of the search index in a real directory, because
//! sled writes them itself. Owns copies of that directory from other moments, and puts one in place of another.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kontor_node::disk::{Disk, DiskFile, SystemDisk, recording::RecordingDisk};

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Machine {
    pub(crate) disk: RecordingDisk,
    root: Arc<tempfile::TempDir>,
}

impl Machine {
    pub(crate) fn with(disk: RecordingDisk) -> io::Result<Self> {
        Ok(Self {
            disk,
            root: Arc::new(scratch()?),
        })
    }

    /// Where sled keeps the index.
    pub(crate) fn index(&self) -> PathBuf {
        self.root.path().join("index")
    }

    /// Keeps the index as it stands.
    pub(crate) fn copy_index(&self, to: &Path) -> io::Result<()> {
        copy(&self.index(), to)
    }

    /// Gives it the index of another moment.
    pub(crate) fn put_index(&self, from: &Path) -> io::Result<()> {
        copy(from, &self.index())
    }

    fn of(&self, path: &Path) -> &dyn Disk {
        match path.starts_with(self.root.path()) {
            true => &SystemDisk,
            false => &self.disk,
        }
    }
}

/// A directory for what may be lost, in memory where there is one: nothing in it has to survive, and syncs would take most
/// of the campaign's time.
pub(crate) fn scratch() -> io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("kontor-power-cut-");
    builder.tempdir_in(memory).or_else(|_| builder.tempdir())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => _ = fs::copy(entry.path(), target)?,
        }
    }
    Ok(())
}

impl Disk for Machine {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        self.of(dir).create_dir(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.of(path).create(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.of(path).open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.of(to).rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.of(path).remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.of(dir).sync_dir(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.of(dir).list(dir)
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        self.disk.free_space(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.of(path).lock(path)
    }

    fn scratch(&self, _: &Path) -> Option<PathBuf> {
        Some(self.index())
    }
}
