//! Where archives lie, a directory or a bucket: drafts, which are always written through the file layer of this node, their
//! names there, and reading back.

use std::{
    fmt,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use kontor_pki::crypto::{DigestAlgorithm, Hasher};
use kontor_protocol::archive::{Archive, Predecessor};
use tokio::runtime::Handle;

use super::{ArchiveError, state::Pending};
use crate::{
    bucket::Bucket,
    config::{ArchiveSettings, ArchiveTarget},
    disk::{Disk, DiskFile},
    messagelog::identity::{Home, hex},
};

/// See the module.
pub(super) struct Place {
    disk: Arc<dyn Disk>,
    /// Where drafts lie: beside the archives, or in the spool, whose files a start removes.
    drafts: PathBuf,
    kind: Kind,
}

enum Kind {
    Dir(PathBuf),
    Bucket(Box<Bucket>, Handle),
}

/// An archive that is read.
pub(super) trait Source: Read + Seek + Send {}

impl<T: Read + Seek + Send> Source for T {}

/// A file with a position of its own, for code that reads and writes in order.
#[derive(Clone)]
pub(super) struct Positioned {
    file: Arc<dyn DiskFile>,
    at: u64,
}

impl Positioned {
    /// Puts what was written on disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

impl Read for Positioned {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(self.at, buffer)?;
        self.at += read as u64;
        Ok(read)
    }
}

impl Write for Positioned {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_at(self.at, bytes)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for Positioned {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.file.len()?.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl Place {
    /// Needs a runtime around it when archives go to a bucket; what it does blocks.
    pub(super) fn new(home: &Home, settings: &ArchiveSettings) -> Result<Self, ArchiveError> {
        let (drafts, kind) = match &settings.target {
            ArchiveTarget::Dir(dir) => (dir.clone(), Kind::Dir(dir.clone())),
            ArchiveTarget::Bucket(bucket) => {
                let bucket = Box::new(Bucket::open(bucket)?);
                (home.layout.spool(), Kind::Bucket(bucket, Handle::current()))
            }
        };
        let disk = Arc::clone(&home.disk);
        Ok(Self { disk, drafts, kind })
    }

    fn failed(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> ArchiveError {
        let path = path.display().to_string();
        move |error| ArchiveError::Io { path, what, error }
    }

    /// Makes the directory if it is missing. Its own name must be on disk before a file in it is recorded.
    pub(super) fn prepare(&self) -> Result<(), ArchiveError> {
        let Kind::Dir(dir) = &self.kind else {
            return Ok(());
        };
        let made = self.disk.create_dir(dir);
        made.and_then(|()| match dir.parent() {
            Some(parent) => self.disk.sync_dir(parent),
            None => Ok(()),
        })
        .map_err(Self::failed(dir, "made"))
    }

    fn draft_path(&self, group: &str) -> PathBuf {
        // No archive has such a name.
        self.drafts.join(format!("draft-{group}.part"))
    }

    /// Begins a draft; one that a crash left is overwritten.
    pub(super) fn draft(&self, group: &str) -> Result<Positioned, ArchiveError> {
        let path = self.draft_path(group);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Self::failed(&path, "removed")(error));
            }
            _ => {}
        }
        let file = self.disk.create(&path).map_err(Self::failed(&path, "made"))?;
        Ok(Positioned { file, at: 0 })
    }

    /// Gives a draft that is on disk its name, or puts it into the bucket. An object of this name that is there already is
    /// left as it is: reading back says whether it is this archive.
    pub(super) fn publish(&self, group: &str, announced: &Pending) -> Result<(), ArchiveError> {
        let draft = self.draft_path(group);
        match &self.kind {
            Kind::Dir(dir) => {
                let path = dir.join(&announced.file);
                self.disk
                    .rename(&draft, &path)
                    .and_then(|()| self.disk.sync_dir(dir))
                    .map_err(Self::failed(&path, "written"))
            }
            Kind::Bucket(bucket, runtime) => {
                let file = self.disk.open(&draft).map_err(Self::failed(&draft, "read"))?;
                let length = file.len().map_err(Self::failed(&draft, "read"))?;
                let mut file = Positioned { file, at: 0 };
                runtime.block_on(bucket.put_new(&announced.file, &mut file, length))?;
                self.discard(group);
                Ok(())
            }
        }
    }

    /// Gives back the space of a draft that is not to be.
    pub(super) fn discard(&self, group: &str) {
        let _ = self.disk.remove(&self.draft_path(group));
    }

    /// Removes a file that was announced and never recorded.
    pub(super) fn remove(&self, name: &str) -> Result<(), ArchiveError> {
        let dir = match &self.kind {
            Kind::Dir(dir) => dir,
            Kind::Bucket(bucket, runtime) => return Ok(runtime.block_on(bucket.remove(name))?),
        };
        let path = dir.join(name);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Self::failed(&path, "removed")(error))
            }
            _ => Ok(()),
        }
    }

    /// Whether there is a file of this name.
    pub(super) fn has(&self, name: &str) -> Result<bool, ArchiveError> {
        let dir = match &self.kind {
            Kind::Dir(dir) => dir,
            Kind::Bucket(bucket, runtime) => return Ok(runtime.block_on(bucket.has(name))?),
        };
        let path = dir.join(name);
        match self.disk.open(&path) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(Self::failed(&path, "read")(error)),
        }
    }

    /// Opens an archive to be read; one out of a bucket is copied into a file without a name first.
    pub(super) fn open(&self, name: &str) -> Result<Box<dyn Source>, ArchiveError> {
        match &self.kind {
            Kind::Dir(dir) => {
                let path = dir.join(name);
                let file = self.disk.open(&path).map_err(Self::failed(&path, "read"))?;
                Ok(Box::new(Positioned { file, at: 0 }))
            }
            Kind::Bucket(bucket, runtime) => {
                let failed = |error| Self::failed(&self.drafts, "written")(error);
                let mut file = tempfile::tempfile_in(&self.drafts).map_err(failed)?;
                let mut out = BufWriter::new(&file);
                runtime.block_on(bucket.fetch(name, &mut out))?;
                out.flush().map_err(failed)?;
                drop(out);
                file.seek(SeekFrom::Start(0)).map_err(failed)?;
                Ok(Box::new(file))
            }
        }
    }

    /// How the archive is called where it lies.
    fn full(&self, name: &str) -> PathBuf {
        Path::new(&self.to_string()).join(name)
    }

    /// Whether an archive is there with the bytes that were recorded.
    pub(super) fn is_as_recorded(&self, name: &str, sha256: &str) -> Result<(), ArchiveError> {
        let found = digest(&mut self.open(name)?).map_err(Self::failed(&self.full(name), "read"))?;
        match found == sha256 {
            true => Ok(()),
            false => Err(ArchiveError::Changed { file: name.into() }),
        }
    }

    /// Reads an archive back: its chain, from the archive before to its last digest, over the bytes of every container. Gives
    /// SHA-256 of the file.
    pub(super) fn verify(&self, expected: &Pending) -> Result<String, ArchiveError> {
        let path = self.full(&expected.file);
        let wrong = |reason: String| ArchiveError::Verify {
            path: path.display().to_string(),
            reason,
        };
        let mut file = self.open(&expected.file)?;
        let buffered = BufReader::with_capacity(64 * 1024, &mut file);
        let mut archive = Archive::open(buffered).map_err(|error| wrong(error.to_string()))?;
        let predecessor = match &expected.previous {
            None => Predecessor::First,
            Some(link) => Predecessor::Digest(&link.digest),
        };
        archive
            .follows(predecessor)
            .map_err(|fault| wrong(fault.to_string()))?;
        let changed = archive.changed().map_err(|error| wrong(error.to_string()))?;
        if let Some(fault) = archive.faults().iter().chain(&changed).next() {
            return Err(wrong(fault.to_string()));
        }
        let linking = archive.linking();
        if linking.last() != expected.digest || linking.containers.len() as u64 != expected.containers {
            return Err(wrong("it holds other containers".into()));
        }
        drop(archive);
        digest(&mut file).map_err(Self::failed(&path, "read back"))
    }
}

/// SHA-256 of a file, in hexadecimal.
fn digest(file: &mut Box<dyn Source>) -> io::Result<String> {
    let mut buffer = vec![0; 64 * 1024];
    let mut hasher = Hasher::new(DigestAlgorithm::Sha256).expect("SHA-256 is in every build");
    file.seek(SeekFrom::Start(0))?;
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(&hasher.finish())),
            read => hasher.update(&buffer[..read]),
        }
    }
}

/// As the configuration names it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Dir(dir) => dir.display().fmt(f),
            Kind::Bucket(bucket, _) => bucket.fmt(f),
        }
    }
}
