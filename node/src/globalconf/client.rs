//! The configuration client: own configuration every minute, then that of the instances which the own one trusts and the
//! operator admits (wire 7.2, 7.9).
//!
//! A failure of another instance never touches the own one; what is held of it is used until it expires, then its members are
//! unknown.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::TrustSet;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use kontor_protocol::trust::directory::Relation;

use super::download::{Downloaded, Source};
use super::{GlobalConf, GlobalConfError, store};
use crate::clock::SharedClock;
use crate::config::Federations;
use crate::fetch::Fetcher;
use crate::shutdown::Shutdown;

/// First wait between tries while there is no usable configuration at all; it doubles up to [`LAST_RETRY`].
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(10);

/// What the client is made of.
pub struct Setup<'a> {
    /// Where sets are put to use.
    pub conf: Arc<GlobalConf>,
    /// File of the own instance's anchor.
    pub anchor: &'a Path,
    /// The own instance.
    pub own_instance: &'a str,
    /// Which others are admitted.
    pub federations: Federations,
    /// Where the verified copy is kept.
    pub dir: &'a Path,
    /// The way out.
    pub fetcher: Fetcher,
    /// The node's clock.
    pub clock: SharedClock,
    /// Time between downloads.
    pub refresh: Duration,
}

/// Keeps the configuration up to date.
pub struct ConfigurationClient {
    conf: Arc<GlobalConf>,
    own: Source,
    federated: BTreeMap<String, Source>,
    federations: Federations,
    dir: PathBuf,
    fetcher: Fetcher,
    clock: SharedClock,
    refresh: Duration,
}

impl std::fmt::Debug for ConfigurationClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConfigurationClient")
            .field("own", &self.own.anchor.instance)
            .finish_non_exhaustive()
    }
}

impl ConfigurationClient {
    /// Reads the anchor and what the last run left on disk.
    pub fn open(setup: Setup<'_>) -> Result<Self, GlobalConfError> {
        let path = setup.anchor;
        let bytes = std::fs::read(path).map_err(|source| GlobalConfError::AnchorRead {
            path: path.to_owned(),
            source,
        })?;
        let anchor = ConfigurationAnchor::read(&bytes).map_err(|e| GlobalConfError::AnchorMalformed {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
        if anchor.instance != setup.own_instance {
            return Err(GlobalConfError::AnchorInstance {
                path: path.to_owned(),
                anchor: anchor.instance,
                own: setup.own_instance.to_owned(),
            });
        }
        let (dir, fetcher) = (setup.dir.to_owned(), setup.fetcher);
        let mut client = Self {
            own: Source::new(anchor, Relation::Own, dir.clone(), fetcher.clone(), None),
            conf: setup.conf,
            federated: BTreeMap::new(),
            federations: setup.federations,
            dir,
            fetcher,
            clock: setup.clock,
            refresh: setup.refresh,
        };
        match store::stored(&client.dir) {
            Ok(set) => client.take_up(&set),
            Err(reason) => tracing::info!(reason, "no stored global configuration to begin with"),
        }
        Ok(client)
    }

    /// Begins with what the last run left. An own configuration without an expiry is none of ours.
    fn take_up(&mut self, set: &TrustSet) {
        for (instance, expires) in set.indexed() {
            let Some(expires) = expires else { continue };
            let held = Some(Downloaded::stored(instance.clone(), expires));
            if instance.name() == self.own.anchor.instance {
                self.own.held = held;
            }
        }
        self.follow_anchors();
        for (instance, expires) in set.indexed() {
            if let (Some(source), Some(expires)) = (self.federated.get_mut(instance.name()), expires) {
                source.held = Some(Downloaded::stored(instance.clone(), expires));
            }
        }
        self.publish();
    }

    /// Downloads until the stop.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut retry = FIRST_RETRY;
        loop {
            let usable = self.round().await;
            let wait = if usable {
                retry = FIRST_RETRY;
                self.refresh
            } else {
                let wait = retry.min(self.refresh);
                retry = (retry * 2).min(LAST_RETRY);
                wait
            };
            let mut left = wait;
            loop {
                // Another instance's end is not waited for longer than it lasts.
                let step = self.next_end().map_or(left, |end| end.min(left));
                tokio::select! {
                    () = shutdown.soft() => return,
                    () = tokio::time::sleep(step) => {}
                }
                left = left.saturating_sub(step);
                if left.is_zero() {
                    break;
                }
                self.publish();
            }
        }
    }

    /// Time until the first instance ends that is in use beside the own one.
    fn next_end(&self) -> Option<Duration> {
        let now = self.clock.now();
        let ends = self.federated.values().filter_map(|source| source.held.as_ref());
        let ahead = ends.map(|held| held.expires).filter(|end| *end > now);
        ahead
            .map(|end| end.since(now).max(Duration::from_millis(1)))
            .min()
    }

    /// One download of everything; whether a usable configuration is held afterwards.
    pub(crate) async fn round(&mut self) -> bool {
        let now = self.clock.now();
        let fetched = self.own.held.as_ref().and_then(|held| held.fetched);
        match self.own.download(now).await {
            Ok(()) => {
                self.conf.attempts.note(None, now);
                self.follow_anchors();
                self.publish();
                let new = self.own.held.as_ref().and_then(|held| held.fetched);
                if let Some(new) = new.filter(|new| fetched != Some(*new)) {
                    self.conf.swapped(new.elapsed());
                }
                let others: Vec<_> = self.federated.keys().map(String::as_str).collect();
                if let Err(error) = store::settle(&self.dir, &self.own.anchor.instance, &others) {
                    tracing::warn!(%error, dir = %self.dir.display(), "the copy of global configuration could not be kept");
                }
            }
            Err(reason) => {
                match self.own.held.as_ref().map(|held| held.expires) {
                    Some(expires) => {
                        tracing::warn!(reason, %expires, "global configuration could not be refreshed")
                    }
                    None => tracing::warn!(reason, "global configuration could not be downloaded"),
                }
                self.conf.attempts.note(Some(&reason), now);
            }
        }
        let downloads = self.federated.values_mut().map(|source| async {
            if let Err(reason) = source.download(now).await {
                let instance = &source.anchor.instance;
                tracing::warn!(
                    reason,
                    instance,
                    "configuration of a federated instance could not be refreshed"
                );
            }
        });
        join_all(downloads).await;
        self.publish();
        self.conf.current(self.clock.now()).is_ok()
    }

    /// The instances that the own configuration trusts now and the operator admits.
    fn follow_anchors(&mut self) {
        let own = &self.own.anchor.instance;
        let private = self.own.held.as_ref().map(|held| held.instance.clone());
        let anchors = private.iter().flat_map(|instance| &instance.config().private);
        let mut wanted: BTreeMap<&str, &ConfigurationAnchor> = BTreeMap::new();
        for anchor in anchors.flat_map(|private| &private.anchors) {
            if anchor.instance != *own && self.federations.admit(&anchor.instance) {
                wanted.entry(&anchor.instance).or_insert(anchor);
            }
        }
        // Under another anchor other keys are trusted: what was held under the last one is not used any more.
        self.federated
            .retain(|name, source| wanted.get(name.as_str()) == Some(&&source.anchor));
        for (name, anchor) in wanted {
            self.federated.entry(name.to_owned()).or_insert_with(|| {
                let (dir, fetcher) = (self.dir.clone(), self.fetcher.clone());
                Source::new(anchor.clone(), Relation::Federated, dir, fetcher, None)
            });
        }
    }

    /// Puts what is held to use, without other instances that have expired or that are for tests where this one is not.
    fn publish(&self) {
        let now = self.clock.now();
        let Some(own) = &self.own.held else { return };
        let mut parts = vec![(own.instance.clone(), Some(own.expires))];
        for held in self.federated.values().filter_map(|source| source.held.as_ref()) {
            if held.expires <= now {
                continue;
            }
            if held.instance.is_test() != own.instance.is_test() {
                let instance = held.instance.name();
                tracing::warn!(
                    instance,
                    "an instance for tests and one that is not do not go together; it is left out"
                );
                continue;
            }
            parts.push((held.instance.clone(), Some(held.expires)));
        }
        let stand = |set: &TrustSet| -> (Vec<Option<UnixTime>>, [u8; 32]) {
            (
                set.indexed().map(|(_, expires)| expires).collect(),
                *set.generation(),
            )
        };
        match TrustSet::of(&self.own.anchor.instance, parts) {
            Ok(set) if self.conf.held().is_some_and(|held| stand(&held) == stand(&set)) => {}
            Ok(set) => {
                if let Err(reason) = self.conf.publish(set) {
                    tracing::error!(reason, "the global configuration is not used");
                }
            }
            Err(error) => tracing::error!(%error, "the global configuration is not used"),
        }
    }
}
