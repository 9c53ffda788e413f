//! Where archives of logged messages go: `[archive]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::EgressSettings;

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

/// Where archives lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ArchiveTarget {
    /// A directory; made if it is missing, when its parent exists.
    Dir(PathBuf),
    /// A bucket of an S3-compatible store, which exists.
    Bucket(Box<BucketSettings>),
}

/// A bucket of an S3-compatible store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketSettings {
    /// Base address of the store: `https://HOST[:PORT]`; `http://` on loopback only.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// Its name.
    pub bucket: String,
    /// What the names of objects begin with, without `/` at either end; may be empty.
    pub prefix: String,
    /// A TOML file (0600) with `access_key_id` and `secret_access_key`.
    pub credentials: PathBuf,
    /// The way there: that of the node, with the authorities that are trusted for this store.
    pub egress: EgressSettings,
    /// Whether the bucket stands in the path and not in the name of the host.
    pub path_style: bool,
    /// How often a request that failed is made again.
    pub retries: usize,
}

/// Where archives go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveSettings {
    /// The place.
    pub target: ArchiveTarget,
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
            target: ArchiveTarget::Dir(dir),
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
    dir: Option<PathBuf>,
    s3: Option<BucketTable>,
    #[serde(default = "six")]
    interval_hours: u64,
    #[serde(default = "none")]
    group: String,
    #[serde(default = "as_long")]
    bodies: String,
    drop_after_days: Option<u32>,
}

/// The table `[archive.s3]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BucketTable {
    endpoint: String,
    bucket: String,
    credentials: PathBuf,
    #[serde(default = "us_east")]
    region: String,
    #[serde(default)]
    prefix: String,
    ca: Option<PathBuf>,
    #[serde(default = "yes")]
    path_style: bool,
}

impl BucketTable {
    fn settings(self, base: &Path, egress: &EgressSettings) -> Result<BucketSettings, String> {
        let address: http::Uri = self
            .endpoint
            .parse()
            .map_err(|_| format!("archive.s3.endpoint: {} is not an address", self.endpoint))?;
        let host = address.host().unwrap_or_default();
        let loopback = host == "localhost"
            || host
                .trim_matches(['[', ']'])
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        if host.is_empty() || !matches!(address.path(), "" | "/") || address.query().is_some() {
            return Err(format!(
                "archive.s3.endpoint: {} is not https://HOST or https://HOST:PORT",
                self.endpoint
            ));
        }
        match address.scheme_str() {
            Some("https") => {}
            Some("http") if loopback => {}
            _ => {
                return Err(format!(
                    "archive.s3.endpoint: {} is neither https:// nor on loopback: archives hold messages in clear",
                    self.endpoint
                ));
            }
        }
        let egress = EgressSettings {
            ca: self.ca.map(|ca| base.join(ca)).or_else(|| egress.ca.clone()),
            ..egress.clone()
        };
        if self.bucket.is_empty() || self.bucket.contains('/') {
            return Err(
                "archive.s3.bucket: the name of a bucket, without a path; that goes into prefix".into(),
            );
        }
        Ok(BucketSettings {
            endpoint: self.endpoint,
            region: self.region,
            bucket: self.bucket,
            prefix: self.prefix.trim_matches('/').to_owned(),
            credentials: base.join(self.credentials),
            // No proxy reaches what listens on this machine only.
            egress: match loopback {
                true => EgressSettings {
                    proxy: None,
                    ..egress
                },
                false => egress,
            },
            path_style: self.path_style,
            retries: 5,
        })
    }
}

fn us_east() -> String {
    "us-east-1".into()
}

fn yes() -> bool {
    true
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
    pub(super) fn read(
        self,
        base: &Path,
        egress: &EgressSettings,
        mistakes: &mut Vec<String>,
    ) -> Option<Archiving> {
        let settings = self.settings(base, egress);
        settings.map_err(|mistake| mistakes.push(mistake)).ok()
    }

    fn settings(self, base: &Path, egress: &EgressSettings) -> Result<Archiving, String> {
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
        let target = match (self.dir, self.s3) {
            (Some(dir), None) => ArchiveTarget::Dir(base.join(dir)),
            (None, Some(bucket)) => ArchiveTarget::Bucket(Box::new(bucket.settings(base, egress)?)),
            _ => return Err("archive: name dir, or a bucket under [archive.s3], and not both".into()),
        };
        Ok(Archiving {
            settings: ArchiveSettings {
                target,
                group,
                bodies,
                drop_after_days: self.drop_after_days,
                ..ArchiveSettings::in_dir(PathBuf::new())
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
        table.settings(Path::new("/etc/kontor"), &EgressSettings::default())
    }

    #[test]
    fn a_directory_is_enough() {
        let archiving = read("dir = \"archive\"").unwrap();
        assert_eq!(
            archiving.settings.target,
            ArchiveTarget::Dir("/etc/kontor/archive".into())
        );
        assert_eq!(archiving.settings.group, Grouping::None);
        assert_eq!(archiving.settings.bodies, Bodies::AsLong);
        assert_eq!(archiving.settings.drop_after_days, None);
        assert_eq!(archiving.interval, Duration::from_secs(6 * 3600));
    }

    #[test]
    fn a_bucket_needs_an_address_that_nobody_listens_to_and_credentials() {
        let table = |endpoint: &str| {
            format!(
                "[s3]\nendpoint = \"{endpoint}\"\nbucket = \"archive\"\ncredentials = \"s3.toml\"\nprefix = \"/a/b/\""
            )
        };
        let archiving = read(&table("https://s3.example:9000")).unwrap();
        let ArchiveTarget::Bucket(bucket) = archiving.settings.target else {
            panic!("no bucket");
        };
        assert_eq!(bucket.credentials, Path::new("/etc/kontor/s3.toml"));
        assert_eq!((bucket.prefix.as_str(), bucket.path_style), ("a/b", true));
        assert!(read(&table("http://127.0.0.1:9000")).is_ok());
        for wrong in [
            "http://s3.example",
            "https://s3.example/bucket",
            "s3.example",
            "ftp://s3.example",
        ] {
            assert!(read(&table(wrong)).unwrap_err().contains("endpoint"), "{wrong}");
        }
        let both = format!("dir = \"a\"\n{}", table("https://s3.example"));
        assert!(read(&both).unwrap_err().contains("not both"));
    }

    #[test]
    fn a_bucket_is_reached_as_the_node_reaches_the_world_unless_it_is_on_this_machine() {
        let egress = EgressSettings {
            proxy: Some("proxy:3128".parse().unwrap()),
            ca: Some("/etc/kontor/roots.pem".into()),
            ..EgressSettings::default()
        };
        let way = |endpoint: &str, more: &str| {
            let text = format!(
                "[s3]\nendpoint = \"{endpoint}\"\nbucket = \"archive\"\ncredentials = \"s3.toml\"\n{more}"
            );
            let table: ArchiveTable = toml::from_str(&text).unwrap();
            let archiving = table.settings(Path::new("/etc/kontor"), &egress).unwrap();
            match archiving.settings.target {
                ArchiveTarget::Bucket(bucket) => bucket.egress,
                ArchiveTarget::Dir(_) => panic!("no bucket"),
            }
        };
        assert_eq!(way("https://s3.example", ""), egress);
        let own = way("https://s3.example", "ca = \"store.pem\"");
        assert_eq!(own.ca.unwrap(), Path::new("/etc/kontor/store.pem"));
        assert_eq!(own.proxy, egress.proxy);
        assert_eq!(way("http://127.0.0.1:9000", "").proxy, None);
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
