//! Global configuration of the node: the verified copy on disk, the set in use, and who is told when it changes.
//!
//! A set is replaced as a whole; whoever holds the old one finishes with it. Own configuration that has expired
//! stops all traffic (wire 7.9); the set stays held, because certificates and hand-out still need it.

mod download;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::trust::TrustSet;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use tokio::sync::watch;

use self::download::Downloader;
use crate::clock::SharedClock;
use crate::config::Mode;
use crate::shutdown::Shutdown;

/// Wait between tries while there is no usable configuration at all.
const FIRST_RETRY: Duration = Duration::from_millis(250);
/// Larger files are not read back.
const MOST: u64 = 64 << 20;

/// The anchor cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum GlobalConfError {
    /// It is of another instance than the server.
    #[error("the anchor {path} is of instance {anchor}, this server of {own}; import the anchor of {own}")]
    AnchorInstance {
        /// The file.
        path: PathBuf,
        /// Instance of the anchor.
        anchor: String,
        /// Instance of the server.
        own: String,
    },
    /// It is no anchor.
    #[error("the anchor {path} is not usable: {reason}; get it anew from the operator of the federation")]
    AnchorMalformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read.
    #[error("the anchor {path} cannot be read: {source}; check trust.anchor")]
    AnchorRead {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The configuration in use.
#[derive(Debug)]
pub struct GlobalConf {
    held: ArcSwapOption<TrustSet>,
    changed: watch::Sender<u64>,
    mode: Mode,
}

impl GlobalConf {
    /// Nothing held yet.
    pub fn new(mode: Mode) -> Self {
        Self {
            held: ArcSwapOption::empty(),
            changed: watch::Sender::new(0),
            mode,
        }
    }

    /// The set held, expired or not.
    pub fn held(&self) -> Option<Arc<TrustSet>> {
        self.held.load_full()
    }

    /// The set for a message: refused without one or after its expiry.
    pub fn current(&self, now: UnixTime) -> Result<Arc<TrustSet>, Fault> {
        let outdated = |text: &str| Fault::new(FaultCode::GlobalConfOutdated, text);
        let held = self
            .held()
            .ok_or_else(|| outdated("no global configuration has been downloaded yet"))?;
        if held.is_expired(held.own_instance(), now) {
            return Err(outdated(
                "global configuration has expired; its publisher cannot be reached or no longer renews it",
            ));
        }
        Ok(held)
    }

    /// Told whenever the set changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Puts a set to use; test trust and production never mix (architecture decision 9).
    pub fn publish(&self, set: TrustSet) -> Result<(), String> {
        if set.is_test() != (self.mode == Mode::Test) {
            return Err(match self.mode {
                Mode::Production => {
                    "global configuration is test trust, which mode = \"production\" refuses".into()
                }
                Mode::Test => {
                    "global configuration is not marked as test, which mode = \"test\" refuses".into()
                }
            });
        }
        for problem in set.problems() {
            tracing::warn!(problem, "a part of global configuration is of no use");
        }
        self.held.store(Some(Arc::new(set)));
        self.changed.send_modify(|generation| *generation += 1);
        Ok(())
    }
}

/// Keeps the configuration up to date.
#[derive(Debug)]
pub struct ConfigurationClient {
    conf: Arc<GlobalConf>,
    downloader: Downloader,
    clock: SharedClock2,
    refresh: Duration,
}

/// The clock, without a face in debug output.
struct SharedClock2(SharedClock);

impl std::fmt::Debug for SharedClock2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl ConfigurationClient {
    /// Reads the anchor and what the last run left on disk.
    pub fn open(
        conf: Arc<GlobalConf>,
        anchor: &Path,
        own_instance: &str,
        dir: &Path,
        clock: SharedClock,
        refresh: Duration,
    ) -> Result<Self, GlobalConfError> {
        let bytes = std::fs::read(anchor).map_err(|source| GlobalConfError::AnchorRead {
            path: anchor.to_owned(),
            source,
        })?;
        let anchor_read =
            ConfigurationAnchor::read(&bytes).map_err(|e| GlobalConfError::AnchorMalformed {
                path: anchor.to_owned(),
                reason: e.to_string(),
            })?;
        if anchor_read.instance != own_instance {
            return Err(GlobalConfError::AnchorInstance {
                path: anchor.to_owned(),
                anchor: anchor_read.instance,
                own: own_instance.to_owned(),
            });
        }
        match stored(dir) {
            Ok(set) => {
                if let Err(reason) = conf.publish(set) {
                    tracing::error!(reason, "the stored global configuration is not used");
                }
            }
            Err(reason) => tracing::info!(reason, "no stored global configuration to begin with"),
        }
        let downloader = Downloader::new(anchor_read, dir.to_owned());
        Ok(Self {
            conf,
            downloader,
            clock: SharedClock2(clock),
            refresh,
        })
    }

    /// Downloads until the stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        loop {
            let usable = self.round().await;
            let wait = if usable {
                self.refresh
            } else {
                self.refresh.min(FIRST_RETRY)
            };
            tokio::select! {
                () = shutdown.soft() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One download; whether a usable configuration is held afterwards.
    async fn round(&mut self) -> bool {
        let now = self.clock.0.now();
        match self.downloader.download(self.conf.held().as_deref(), now).await {
            Ok(set) => {
                let same = self.conf.held().is_some_and(|held| {
                    held.generation() == set.generation() && held.expires() == set.expires()
                });
                if !same && let Err(reason) = self.conf.publish(set) {
                    tracing::error!(reason, "the downloaded global configuration is not used");
                }
            }
            Err(reason) => match self.conf.held().and_then(|held| held.expires()) {
                Some(expires) => {
                    tracing::warn!(reason, %expires, "global configuration could not be refreshed")
                }
                None => tracing::warn!(reason, "global configuration could not be downloaded"),
            },
        }
        self.conf.current(now).is_ok()
    }
}

/// The set that stands in a directory in the layout of wire 7.8.
pub fn stored(dir: &Path) -> Result<TrustSet, String> {
    let files = files(dir).map_err(|e| format!("{}: {e}", dir.display()))?;
    TrustSet::from_files(files).map_err(|e| e.to_string())
}

/// The files of a directory in that layout, by their paths below it.
pub fn files(dir: &Path) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let mut files = Vec::new();
    collect(dir, "", &mut files)?;
    Ok(files)
}

fn collect(dir: &Path, prefix: &str, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
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
