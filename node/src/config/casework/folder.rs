//! The folder drop: `[casework.participation.folder]`, for a line-of-business procedure that calls no interface.
//!
//! Owns whether the directory is fit for it: what is disclosed to the house lies in it in clear, so that it is its owner's alone.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// Where requests to the house are put, and statements are taken from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Folder {
    /// The directory; `in`, `out` and `done` lie in it.
    pub dir: PathBuf,
    /// Only requests that are with one of these units; none: all to the house.
    pub units: BTreeSet<String>,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FolderTable {
    dir: PathBuf,
    #[serde(default)]
    units: BTreeSet<String>,
}

impl FolderTable {
    pub(super) fn read(self, base: &Path) -> Folder {
        Folder {
            dir: base.join(self.dir),
            units: self.units,
        }
    }
}

impl Folder {
    /// Whether the directory is there and nobody but its owner, who runs the node, comes in.
    ///
    /// # Errors
    /// What is wrong with it, and what to do.
    pub fn check(&self) -> Result<(), String> {
        let dir = self.dir.display();
        let found = std::fs::symlink_metadata(&self.dir).map_err(|error| {
            format!("casework.participation.folder.dir: {dir} cannot be used: {error}; make it with `mkdir -m 0700`")
        })?;
        if !found.is_dir() {
            return Err(format!(
                "casework.participation.folder.dir: {dir} is no directory, or a link to one; name the directory itself"
            ));
        }
        let own = rustix::process::geteuid().as_raw();
        if found.uid() != own || found.mode() & 0o077 != 0 {
            return Err(format!(
                "casework.participation.folder.dir: {dir} belongs to user {} with mode {:04o}; what is disclosed lies there in clear: it has to \
                 belong to the user of the node (uid {own}) with mode 0700",
                found.uid(),
                found.mode() & 0o7777,
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_directory_that_others_may_enter_is_refused_and_so_are_a_link_and_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |name: &str| Folder {
            dir: dir.path().join(name),
            units: [].into(),
        };
        assert!(folder("none").check().unwrap_err().contains("mkdir -m 0700"));
        std::fs::create_dir(dir.path().join("own")).unwrap();
        let mode = |mode| {
            std::fs::set_permissions(dir.path().join("own"), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        for open in [0o755, 0o710, 0o701, 0o770] {
            mode(open);
            let refused = folder("own").check().unwrap_err();
            assert!(refused.contains(&format!("mode {open:04o}")), "{refused}");
        }
        mode(0o700);
        folder("own").check().unwrap();
        symlink(dir.path().join("own"), dir.path().join("link")).unwrap();
        assert!(folder("link").check().unwrap_err().contains("no directory"));
        std::fs::write(dir.path().join("file"), b"").unwrap();
        assert!(folder("file").check().is_err());
    }
}
