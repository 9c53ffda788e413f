//! The verified copy of global configuration on disk, in the layout of wire 7.8. Each file gets its name by rename: a crash
//! between two leaves a mixture of two verified generations, which the next round repairs.

use std::io;
use std::path::{Path, PathBuf};

use kontor_protocol::trust::directory::{DirectoryPart, VerifiedDirectory};
use kontor_protocol::trust::{PartMetadata, TrustSet};

/// Larger files are not read back.
const MOST: u64 = 64 << 20;

/// The set that stands in a directory in the layout of wire 7.8.
pub fn stored(dir: &Path) -> Result<TrustSet, String> {
    let files = files(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    TrustSet::from_files(files).map_err(|e| e.to_string())
}

/// The files of a directory in that layout, by their paths below it.
pub fn files(dir: &Path) -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    collect(dir, "", &mut files)?;
    Ok(files)
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let kind = entry.file_type()?;
        if kind.is_dir() && prefix.is_empty() {
            collect(&entry.path(), &format!("{name}/"), files)?;
        } else if kind.is_file() && entry.metadata()?.len() <= MOST {
            files.push((format!("{prefix}{name}"), std::fs::read(entry.path())?));
        }
    }
    Ok(())
}

/// The folder of one instance.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn of(root: &Path, instance: &str) -> Self {
        Self(root.join(folder_name(instance)))
    }

    /// The bytes of a part that is stored already.
    pub(super) fn part(&self, part: &DirectoryPart) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.0.join(part.file_name())).ok()?;
        part.has_digest_of(&bytes).then_some(bytes)
    }

    /// Writes what changed and removes what is not listed any more.
    pub(super) fn write(
        &self,
        directory: &VerifiedDirectory,
        parts: &[(DirectoryPart, Vec<u8>)],
    ) -> io::Result<()> {
        std::fs::create_dir_all(&self.0)?;
        for (part, bytes) in parts {
            write(&self.0.join(part.file_name()), bytes)?;
        }
        self.renew(directory)?;
        for entry in std::fs::read_dir(&self.0)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let base = name.strip_suffix(".metadata").unwrap_or(&name);
            if !parts.iter().any(|(part, _)| part.file_name() == base) {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Writes until when the parts may be used.
    pub(super) fn renew(&self, directory: &VerifiedDirectory) -> io::Result<()> {
        for part in directory.parts() {
            let metadata = PartMetadata {
                identifier: Some(part.identifier().to_owned()),
                instance: Some(directory.instance().to_owned()),
                file_name: Some(part.file_name().to_owned()),
                location: Some(part.location().to_owned()),
                expires: Some(directory.expires()),
                version: directory.version(),
            };
            let path = self.0.join(format!("{}.metadata", part.file_name()));
            write(&path, &metadata.to_json())?;
        }
        Ok(())
    }
}

/// Says whose copy this is, and removes what it has of other instances than these.
pub(super) fn settle(root: &Path, own: &str, others: &[&str]) -> io::Result<()> {
    write(&root.join("instance-identifier"), own.as_bytes())?;
    let kept: Vec<_> = others.iter().copied().chain([own]).map(folder_name).collect();
    for entry in std::fs::read_dir(root)? {
        let entry = entry?;
        let is_kept = kept.iter().any(|name| entry.file_name() == name.as_str());
        if entry.file_type()?.is_dir() && !is_kept {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if std::fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    let temporary = path.with_extension("tmp");
    let file = std::fs::File::create(&temporary)?;
    io::Write::write_all(&mut &file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// The instance as the name of its folder: encoded as Java encodes for forms (wire 7.8).
fn folder_name(instance: &str) -> String {
    let mut name = String::new();
    for byte in instance.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                name.push(char::from(byte))
            }
            b' ' => name.push('+'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    match name.as_str() {
        // No instance may leave the directory.
        "." | ".." => name.replace('.', "%2E"),
        _ => name,
    }
}
