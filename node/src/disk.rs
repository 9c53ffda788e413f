//! The one thin file layer. Every file of the message log is written through [`Disk`], so that a test can put
//! [`recording::RecordingDisk`] in its place, see every write and sync, and open the log from each state a crash could
//! have left. It owns no format and no policy: what an error means is decided by the caller.
//!
//! What each method owes, and nothing more may be relied on:
//! - bytes written are on disk once a later [`DiskFile::sync_data`] on that file has returned;
//! - a name that was created, renamed or removed is on disk once a later [`Disk::sync_dir`] of its directory has returned;
//! - before that, each 512-byte sector of each write may be there or not, in any order.

pub mod recording;

#[cfg(test)]
mod tests;

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A directory tree that can be synced piece by piece. Paths are absolute or relative to the process; none is followed
/// outside of what the caller names.
pub trait Disk: Send + Sync + 'static {
    /// Makes one directory for the owner only; one that exists already is fine.
    fn create_dir(&self, dir: &Path) -> io::Result<()>;
    /// Makes a file (0600) for reading and writing; refuses a name that exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives a file a new name in one step, replacing what had that name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Puts the names in a directory on disk.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// The names of the files in a directory, sorted; a directory that is missing is an error.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Bytes that may still be written below a directory.
    fn free_space(&self, dir: &Path) -> io::Result<u64>;
    /// Takes the exclusive lock that a file stands for, or [`io::ErrorKind::WouldBlock`] when another owner has it. The lock
    /// ends when the value is dropped, and with the process in any case.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>>;
    /// Where a library that writes files itself may keep what can be made anew at any time: the directory of that name on
    /// this machine, or nowhere.
    fn scratch(&self, _dir: &Path) -> Option<PathBuf> {
        None
    }
}

/// An open file. Positions are explicit, so readers and the one writer can share it.
pub trait DiskFile: Send + Sync {
    /// Writes all of `data` at `offset` with one call where the system allows.
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()>;
    /// Reads up to `buffer.len()` bytes; 0 at or after the end.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Whether nothing was ever written.
    fn is_empty(&self) -> io::Result<bool> {
        self.len().map(|length| length == 0)
    }
    /// Puts every byte written so far on disk, and the length. After an error nothing may be assumed about any of them: the
    /// kernel reports a failed write-back once and forgets it.
    fn sync_data(&self) -> io::Result<()>;
}

/// Fills the buffer or says that the file ended ([`io::ErrorKind::UnexpectedEof`]).
pub fn read_exact_at(file: &dyn DiskFile, mut offset: u64, mut buffer: &mut [u8]) -> io::Result<()> {
    while !buffer.is_empty() {
        match file.read_at(offset, buffer)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => {
                offset += read as u64;
                buffer = &mut buffer[read..];
            }
        }
    }
    Ok(())
}

/// A whole file, refused when it is longer than `limit`.
pub fn read_all(disk: &dyn Disk, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let length = usize::try_from(file.len()?)
        .ok()
        .filter(|length| *length <= limit);
    let mut content = vec![0; length.ok_or(io::ErrorKind::FileTooLarge)?];
    read_exact_at(&*file, 0, &mut content)?;
    Ok(content)
}

/// Writes a small file so that after a crash its name stands for the whole content or for what it stood for before: new
/// file, sync, rename, sync of the directory.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let draft = dir.join(format!("{name}.new"));
    match disk.remove(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&draft)?;
    let written = file.write_at(0, content).and_then(|()| file.sync_data());
    if let Err(error) = written {
        // Nothing points to the draft; a full disk gets its space back.
        let _ = disk.remove(&draft);
        return Err(error);
    }
    disk.rename(&draft, path)?;
    disk.sync_dir(dir)
}

/// Whether an error says that space or quota ran out: the one error that a caller may meet by refusing work.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// The file system of the machine.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemDisk;

impl Disk for SystemDisk {
    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
            made => made,
        }
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Arc::new(SystemFile(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            // Names of ours are ASCII; another's file with an odd name is not ours to touch.
            if let (true, Ok(name)) = (entry.file_type()?.is_file(), entry.file_name().into_string()) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn free_space(&self, dir: &Path) -> io::Result<u64> {
        let found = rustix::fs::statvfs(dir)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)?;
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        Ok(Box::new(file))
    }

    fn scratch(&self, dir: &Path) -> Option<PathBuf> {
        Some(dir.into())
    }
}

struct SystemFile(File);

impl DiskFile for SystemFile {
    fn write_at(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        self.0.metadata().map(|metadata| metadata.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
