//! Which sled directory is the index, and whether it can be believed. Owns `log/index/state`: the machine's boot id beside a
//! clean flag. sled syncs nothing, so after an unclean end of the machine (not of the process) its files may be anything.

use std::path::{Path, PathBuf};

use crate::{
    disk::{self, Disk},
    messagelog::identity::hex,
};

const LIMIT: usize = 4096;
const VERSION: &str = "kontor-index 1";

/// What the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// Name of the directory beside the file.
    pub(crate) db: String,
    /// Id of the log it is about.
    pub(crate) log: String,
    /// `None` after a clean stop, else the boot under which it was open.
    pub(crate) open: Option<String>,
}

impl State {
    /// A state for a new directory.
    pub(crate) fn fresh(log: &[u8; 32]) -> Self {
        Self {
            db: format!("db-{}", hex(&kontor_pki::crypto::random::<8>())),
            log: hex(log),
            open: None,
        }
    }

    fn path(dir: &Path) -> PathBuf {
        dir.join("state")
    }

    /// Reads it; `None` for whatever is not a state of this version.
    pub(crate) fn read(disk: &dyn Disk, dir: &Path) -> Option<Self> {
        let text = disk::read_all(disk, &Self::path(dir), LIMIT).ok()?;
        Self::parse(std::str::from_utf8(&text).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        if lines.next()? != VERSION {
            return None;
        }
        let db = lines.next()?.strip_prefix("db ")?.to_owned();
        let log = lines.next()?.strip_prefix("log ")?.to_owned();
        let open = match lines.next()? {
            "clean" => None,
            open => Some(open.strip_prefix("open ")?.to_owned()),
        };
        let is_name = db
            .strip_prefix("db-")
            .is_some_and(|rest| rest.len() == 16 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()));
        (is_name && lines.next().is_none()).then_some(Self { db, log, open })
    }

    pub(crate) fn write(&self, disk: &dyn Disk, dir: &Path) -> std::io::Result<()> {
        let open = match &self.open {
            None => "clean".into(),
            Some(boot) => format!("open {boot}"),
        };
        let text = format!("{VERSION}\ndb {}\nlog {}\n{open}\n", self.db, self.log);
        disk::replace(disk, &Self::path(dir), text.as_bytes())
    }

    /// Why what the directory holds cannot be believed, if it cannot.
    pub(crate) fn doubt(&self, log: &[u8; 32], boot: &str) -> Option<&'static str> {
        if self.log != hex(log) {
            return Some("it is of another log");
        }
        match &self.open {
            Some(then) if then != boot || boot.is_empty() => {
                Some("the machine was restarted while it was open")
            }
            _ => None,
        }
    }
}

/// Names this start of the machine; empty where the system does not say, which nothing equals.
pub(crate) fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.trim().chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::SystemDisk;

    #[test]
    fn only_a_clean_stop_or_the_same_boot_is_believed() {
        let mut state = State::fresh(&[7; 32]);
        assert_eq!(state.doubt(&[7; 32], "boot-2"), None, "clean");
        state.open = Some("boot-1".into());
        assert_eq!(
            state.doubt(&[7; 32], "boot-1"),
            None,
            "the process ended, not the machine"
        );
        assert!(state.doubt(&[7; 32], "boot-2").is_some());
        assert!(state.doubt(&[8; 32], "boot-1").is_some());
        state.open = Some(String::new());
        assert!(state.doubt(&[7; 32], "").is_some(), "who cannot tell, doubts");
    }

    #[test]
    fn the_file_survives_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(State::read(&SystemDisk, dir.path()), None);
        for open in [None, Some("1f0c".to_owned())] {
            let state = State {
                open,
                ..State::fresh(&[7; 32])
            };
            state.write(&SystemDisk, dir.path()).unwrap();
            assert_eq!(State::read(&SystemDisk, dir.path()), Some(state));
        }
    }

    proptest! {
        #[test]
        fn a_name_never_leads_out_of_the_directory(text in "(kontor-index 1\n)?(db [./a-f0-9-]{0,24}\n)?(log [a-f0-9]{0,4}\n)?(clean|open x)?\n?") {
            if let Some(state) = State::parse(&text) {
                prop_assert!(!state.db.contains(['/', '.']));
            }
        }
    }
}
