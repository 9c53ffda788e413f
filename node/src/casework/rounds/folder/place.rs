//! The directory of the folder drop, as plain files: `in` for what is shown to the procedure, `out` for what it answers, `done` for
//! what was taken up.
//!
//! Owns names and orders of writing. Nothing that people named becomes part of a path, no link is followed, and whoever reads a name
//! that is there reads all of its content: things are written under a name that begins with a dot, synced, and renamed.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use kontor_participation::transfer::offer::Id;
use rustix::fs::{Mode, OFlags};

/// What a request is, for the procedure; written last, so that what it names is there.
pub(super) const REQUEST: &str = "request.json";
/// The last day and how it was computed.
pub(super) const DEADLINE: &str = "deadline.txt";
/// The draft of a statement.
pub(super) const STATEMENT: &str = "statement.json";
/// What became of it.
pub(super) const RESULT: &str = "result.json";
/// Says that a statement is complete.
pub(super) const READY: &str = "ready";
/// Says that, and that it is to be submitted.
pub(super) const SUBMIT: &str = "submit";
/// Octets of a request as it is written, read again at most.
const MAX_REQUEST: u64 = 64 << 20;

/// Writes the content of a file.
pub(super) type Content = Box<dyn FnOnce(&mut dyn Write) -> io::Result<()> + Send>;

/// A file that is to lie in the folder of a request.
pub(super) struct Wanted {
    /// Its name, made by [`file_name`].
    pub(super) name: String,
    /// Octets.
    pub(super) size: u64,
    /// Its content, where it is to be written; what is there already stays as it is.
    pub(super) content: Option<Content>,
}

/// See the module.
#[derive(Clone, Debug)]
pub(super) struct Place {
    root: PathBuf,
}

/// What a procedure answered, claimed: nobody puts anything else in its place.
pub(super) struct Taken {
    dir: rustix::fd::OwnedFd,
    /// Whether it is to be submitted too.
    pub(super) submits: bool,
}

/// The name of a disclosed file: its id, with an ending that its content shows. Nothing where the id is no id.
pub(super) fn file_name(file_id: &str, detected: Option<&str>) -> Option<String> {
    Id::try_from(file_id.to_owned()).ok()?;
    let ending = match detected {
        Some("application/pdf") => "pdf",
        Some("image/png") => "png",
        Some("image/jpeg") => "jpg",
        Some("image/gif") => "gif",
        Some("image/tiff") => "tif",
        Some("application/zip") => "zip",
        Some("application/xml") => "xml",
        _ => "bin",
    };
    Some(format!("{file_id}.{ending}"))
}

/// Whether something is a name that a procedure may give an attachment: of a plain file in its own folder.
pub(super) fn is_plain_name(name: &str) -> bool {
    let reserved = [STATEMENT, RESULT, READY, SUBMIT];
    let odd = |c: char| c == '/' || c == '\\' || c.is_control();
    !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.contains(odd)
        && !reserved.contains(&name)
}

/// Whether a name is one that [`file_name`] gave.
fn is_of_file(name: &str) -> bool {
    let id = name.split_once('.').map_or(name, |(id, _)| id);
    Id::try_from(id.to_owned()).is_ok()
}

fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Whether a directory is there; a link to one is none.
fn is_dir(path: &Path) -> io::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => Ok(true),
        Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Removes a file or whatever else has its name; what is not there is removed.
fn remove_any(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !is_missing(&error) => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file so that its name stands for all of it, or for what it stood for before.
fn put(dir: &Path, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let draft = dir.join(format!(".{name}.new"));
    remove_any(&draft)?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .and_then(|mut file| {
            write(&mut file)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, dir.join(name)));
    if written.is_err() {
        // A full disk gets its space back; what stays is removed with the next try.
        let _ = remove_any(&draft);
    }
    written
}

impl Place {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    fn of(&self, room: &str) -> PathBuf {
        self.root.join(room)
    }

    /// The folder of a request; something else than a directory in its place is an error.
    fn folder(&self, id: &Id) -> io::Result<(PathBuf, bool)> {
        let path = self.of("in").join(id.to_string());
        let there = is_dir(&path)?;
        Ok((path, there))
    }

    /// Makes the rooms that are missing.
    pub(super) fn prepare(&self) -> io::Result<()> {
        for room in ["in", "out", "done"] {
            let path = self.of(room);
            if !is_dir(&path)? {
                make_dir(&path)?;
            }
        }
        sync(&self.root)
    }

    /// Octets that may still be written.
    pub(super) fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.root)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// The version at which a request was written last; nothing where none can be read.
    pub(super) fn written(&self, id: &Id) -> Option<u64> {
        let (path, true) = self.folder(id).ok()? else {
            return None;
        };
        let path = path.join(REQUEST);
        let is_ours =
            fs::symlink_metadata(&path).is_ok_and(|found| found.is_file() && found.len() <= MAX_REQUEST);
        let page: serde_json::Value =
            serde_json::from_slice(&is_ours.then(|| fs::read(&path))?.ok()?).ok()?;
        page["version"].as_u64()
    }

    /// Whether a file lies there as it was written.
    pub(super) fn has(&self, id: &Id, name: &str, size: u64) -> bool {
        let path = self.of("in").join(id.to_string()).join(name);
        self.folder(id).is_ok_and(|(_, there)| there)
            && fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == size)
    }

    /// Writes the folder of a request: what is to be in it and not there yet, nothing of files that are not to be in it, and the
    /// documents, the last of which is the request itself. A folder that is new appears as a whole.
    pub(super) fn write(
        &self,
        id: &Id,
        files: Vec<Wanted>,
        documents: &[(String, Vec<u8>)],
    ) -> io::Result<()> {
        self.prepare()?;
        let (path, there) = self.folder(id)?;
        let new = self.of("in").join(format!(".{id}.new"));
        if there {
            return Self::fill(&path, files, documents);
        }
        remove_any(&new)?;
        make_dir(&new)?;
        let written = Self::fill(&new, files, documents)
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| sync(&self.of("in")));
        if written.is_err() {
            // As above.
            let _ = remove_any(&new);
        }
        written
    }

    fn fill(dir: &Path, files: Vec<Wanted>, documents: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut names = BTreeSet::new();
        for file in files {
            let is_there = fs::symlink_metadata(dir.join(&file.name))
                .is_ok_and(|found| found.is_file() && found.len() == file.size);
            match (is_there, file.content) {
                (false, Some(content)) => put(dir, &file.name, content)?,
                // Somebody took it away since it was looked for.
                (false, None) => return Err(io::ErrorKind::NotFound.into()),
                (true, _) => {}
            }
            names.insert(file.name);
        }
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name();
            if name
                .to_str()
                .is_some_and(|name| is_of_file(name) && !names.contains(name))
            {
                remove_any(&entry.path())?;
            }
        }
        for (name, octets) in documents {
            put(dir, name, |file| file.write_all(octets))?;
        }
        sync(dir)
    }

    /// Deletes the folder of a request; one that is not there is deleted. Where `in` itself is not there, nobody knows.
    pub(super) fn remove(&self, id: &Id) -> io::Result<()> {
        self.is_there()?;
        let rest = self.of("in").join(format!(".{id}.new"));
        let path = self.of("in").join(id.to_string());
        remove_any(&rest)?;
        remove_any(&path)?;
        sync(&self.of("in"))
    }

    /// Deletes single files of a request.
    pub(super) fn remove_files(&self, id: &Id, file_ids: &[String]) -> io::Result<()> {
        self.is_there()?;
        let rest = self.of("in").join(format!(".{id}.new"));
        remove_any(&rest)?;
        let (path, true) = self.folder(id)? else {
            return Ok(());
        };
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let name = entry.file_name();
            // Those of a write that broke off too.
            let of = |name: &str| {
                let name = name.trim_start_matches('.');
                file_ids.iter().any(|id| {
                    name.strip_prefix(id.as_str())
                        .is_some_and(|rest| rest.starts_with('.'))
                })
            };
            if name.to_str().is_some_and(of) {
                remove_any(&entry.path())?;
            }
        }
        sync(&path)
    }

    fn is_there(&self) -> io::Result<()> {
        match is_dir(&self.of("in"))? {
            true => Ok(()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// What procedures have answered and marked as complete. Whatever else lies there is left alone.
    pub(super) fn answered(&self) -> io::Result<Vec<Id>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(self.of("out"))? {
            let entry = entry?;
            let Some(id) = entry
                .file_name()
                .to_str()
                .and_then(|name| Id::try_from(name.to_owned()).ok())
            else {
                continue;
            };
            let is_complete = [READY, SUBMIT]
                .iter()
                .any(|name| fs::symlink_metadata(entry.path().join(name)).is_ok_and(|found| found.is_file()));
            // The kind of the entry itself: a link to a directory is none.
            if entry.file_type()?.is_dir() && is_complete {
                ids.push(id);
            }
        }
        ids.sort_by_key(ToString::to_string);
        Ok(ids)
    }

    /// Moves what was answered to what is done, under the next number after this one that is free; gives the number.
    pub(super) fn claim(&self, id: &Id, after: u32) -> io::Result<u32> {
        let done = self.of("done");
        let next = |number: u32| number.checked_add(1).ok_or(io::ErrorKind::QuotaExceeded);
        let mut number = next(after)?;
        while fs::symlink_metadata(done.join(format!("{id}-{number}"))).is_ok() {
            number = next(number)?;
        }
        let out = self.of("out");
        // What is claimed is unfinished; with the result of something else it would never be taken up after a crash.
        remove_any(&out.join(id.to_string()).join(RESULT))?;
        fs::rename(out.join(id.to_string()), done.join(format!("{id}-{number}")))?;
        // It is claimed from here on; what a crash takes back is claimed again.
        if let Err(error) = sync(&done).and_then(|()| sync(&out)) {
            tracing::warn!(request = %id, number, code = "folder_unwritable", %error, "the folder drop could not be synced");
        }
        Ok(number)
    }

    /// What was moved and has no result: a process ended in between.
    pub(super) fn unfinished(&self) -> io::Result<Vec<(Id, u32)>> {
        let mut open = Vec::new();
        for entry in fs::read_dir(self.of("done"))? {
            let entry = entry?;
            let named = entry.file_name().to_str().and_then(claimed);
            if let Some(claim) = named
                && entry.file_type()?.is_dir()
                && fs::symlink_metadata(entry.path().join(RESULT)).is_err()
            {
                open.push(claim);
            }
        }
        Ok(open)
    }

    /// Opens what was claimed.
    pub(super) fn taken(&self, id: &Id, number: u32) -> io::Result<Taken> {
        let path = self.of("done").join(format!("{id}-{number}"));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(&path, flags, Mode::empty())?;
        let submits = rustix::fs::statat(&dir, SUBMIT, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).is_ok();
        Ok(Taken { dir, submits })
    }

    /// Writes what became of what was claimed.
    pub(super) fn finish(&self, id: &Id, number: u32, result: &[u8]) -> io::Result<()> {
        let path = self.of("done").join(format!("{id}-{number}"));
        if !is_dir(&path)? {
            return Err(io::ErrorKind::NotFound.into());
        }
        put(&path, RESULT, |file| file.write_all(result))?;
        sync(&path)
    }
}

/// Which claim a name in `done` stands for.
fn claimed(name: &str) -> Option<(Id, u32)> {
    let (id, number) = name.rsplit_once('-')?;
    Some((Id::try_from(id.to_owned()).ok()?, number.parse().ok()?))
}

impl Taken {
    /// Opens a plain file of this folder for reading, with its length. A link, a pipe or a directory is none.
    pub(super) fn open(&self, name: impl AsRef<OsStr>) -> io::Result<(File, u64)> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(
            &self.dir,
            name.as_ref(),
            flags,
            Mode::empty(),
        )?);
        let found = file.metadata()?;
        match found.is_file() {
            true => Ok((file, found.len())),
            false => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}
