//! Where archives of logged messages go: `[archive]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

/// Which messages go into one chain of archives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Grouping {
    /// All of them.
    #[default]
    None,
    /// Those of one member of ours.
    Member,
    /// Those of one client or provider of ours.
    Subsystem,
}

/// Which bodies go into archives. An archive is a file of its own: what is in it no deletion of this node reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Bodies {
    /// Those that are kept at least as long as the message they belong to.
    #[default]
    AsLong,
    /// All that are there.
    All,
    /// None.
    None,
}

/// Where archives go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// The directory; made if it is missing, when its parent exists.
    pub dir: PathBuf,
    /// What forms a chain of its own.
    pub group: Grouping,
    /// An archive is ended when its containers have more bytes (wire 6.8: 32 MiB).
    pub rotate: u64,
    /// Which bodies are archived.
    pub bodies: Bodies,
    /// What has been archived is dropped from the log after so many days; `None` keeps it.
    pub drop_after_days: Option<u32>,
}

impl ArchiveSettings {
    /// One chain of archives of 32 MiB in a directory.
    pub fn in_dir(dir: PathBuf) -> Self {
        Self {
            dir,
            group: Grouping::None,
            rotate: 32 * 1024 * 1024,
            bodies: Bodies::default(),
            drop_after_days: None,
        }
    }
}

/// The table of the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveTable {
    dir: PathBuf,
    #[serde(default = "six")]
    interval_hours: u64,
    #[serde(default = "none")]
    group: String,
    #[serde(default = "as_long")]
    bodies: String,
    drop_after_days: Option<u32>,
}

fn six() -> u64 {
    6
}

fn none() -> String {
    "none".into()
}

fn as_long() -> String {
    "as-long".into()
}

/// Archiving by the running node.
#[derive(Clone, Debug)]
pub struct Archiving {
    /// Where to, and in which chains.
    pub settings: ArchiveSettings,
    /// How often.
    pub interval: Duration,
}

impl ArchiveTable {
    /// The settings, or one mistake more.
    pub(super) fn read(self, base: &Path, mistakes: &mut Vec<String>) -> Option<Archiving> {
        let settings = self.settings(base);
        settings.map_err(|mistake| mistakes.push(mistake)).ok()
    }

    fn settings(self, base: &Path) -> Result<Archiving, String> {
        let group = match self.group.as_str() {
            "none" => Grouping::None,
            "member" => Grouping::Member,
            "subsystem" => Grouping::Subsystem,
            other => {
                return Err(format!(
                    "archive.group = {other:?}: choose one of none, member, subsystem"
                ));
            }
        };
        let bodies = match self.bodies.as_str() {
            "as-long" => Bodies::AsLong,
            "all" => Bodies::All,
            "none" => Bodies::None,
            other => {
                return Err(format!(
                    "archive.bodies = {other:?}: choose one of as-long, all, none"
                ));
            }
        };
        if self.drop_after_days == Some(0) {
            return Err("archive.drop_after_days = 0: one day at least".into());
        }
        Ok(Archiving {
            settings: ArchiveSettings {
                group,
                bodies,
                drop_after_days: self.drop_after_days,
                ..ArchiveSettings::in_dir(base.join(self.dir))
            },
            interval: Duration::from_secs(self.interval_hours.clamp(1, 24 * 31) * 3600),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Archiving, String> {
        let table: ArchiveTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.settings(Path::new("/etc/kontor"))
    }

    #[test]
    fn a_directory_is_enough() {
        let archiving = read("dir = \"archive\"").unwrap();
        assert_eq!(archiving.settings.dir, Path::new("/etc/kontor/archive"));
        assert_eq!(archiving.settings.group, Grouping::None);
        assert_eq!(archiving.settings.bodies, Bodies::AsLong);
        assert_eq!(archiving.settings.drop_after_days, None);
        assert_eq!(archiving.interval, Duration::from_secs(6 * 3600));
    }

    #[test]
    fn other_groups_and_keys_are_refused() {
        assert!(
            read("dir = \"a\"\ngroup = \"service\"")
                .unwrap_err()
                .contains("subsystem")
        );
        assert!(read("dir = \"a\"\nkeep = 1").unwrap_err().contains("keep"));
        assert!(read("group = \"member\"").unwrap_err().contains("dir"));
        assert!(
            read("dir = \"a\"\nbodies = \"some\"")
                .unwrap_err()
                .contains("as-long")
        );
        assert!(
            read("dir = \"a\"\ndrop_after_days = 0")
                .unwrap_err()
                .contains("one day")
        );
    }
}
