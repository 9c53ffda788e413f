//! Global configuration of the node: the verified copy on disk, the set in use, and who is told when it changes.
//!
//! A set is replaced as a whole; whoever holds the old one finishes with it. Own configuration that has expired
//! stops all traffic (wire 7.9); the set stays held, because certificates and hand-out still need it.

mod client;
mod download;
mod store;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::trust::TrustSet;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;

pub use self::client::{ConfigurationClient, Setup};
pub use self::store::{files, stored};
use crate::config::Mode;
use crate::failing::{Attempts, Failing};

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
    attempts: Attempts,
    swaps: Mutex<Swaps>,
}

/// Sets that took the place of another one.
#[derive(Clone, Copy, Debug, Default)]
struct Swaps {
    count: u64,
    /// Seconds from the documents of the last one, fetched, to its use.
    seconds: f64,
}

impl GlobalConf {
    /// Nothing held yet.
    pub fn new(mode: Mode) -> Self {
        Self {
            held: ArcSwapOption::empty(),
            changed: watch::Sender::new(0),
            mode,
            attempts: Attempts::default(),
            swaps: Mutex::default(),
        }
    }

    /// How downloads fail: told from the first one on, long before what is held expires.
    pub fn failing(&self) -> Failing {
        self.attempts.failing()
    }

    fn swapped(&self, took: Duration) {
        let mut swaps = self.swaps.lock().unwrap_or_else(PoisonError::into_inner);
        swaps.count += 1;
        swaps.seconds = took.as_secs_f64();
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
        let known = self
            .held()
            .is_some_and(|held| held.generation() == set.generation());
        for problem in set.problems().iter().filter(|_| !known) {
            tracing::warn!(problem, "a part of global configuration is of no use");
        }
        self.held.store(Some(Arc::new(set)));
        self.changed.send_modify(|generation| *generation += 1);
        Ok(())
    }
}

/// The configuration's own figures, read when the metrics page is.
#[derive(Debug)]
pub struct Figures(pub Arc<GlobalConf>);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let held = self.0.held();
        let expires = held
            .as_ref()
            .and_then(|held| held.expires())
            .map_or(0, UnixTime::secs);
        let instances = held.map_or(0, |held| held.instances().count());
        for (name, help, value) in [
            (
                "kontor_global_configuration_expires",
                "When the global configuration that is held expires, in seconds since 1970; 0: none is held",
                expires,
            ),
            (
                "kontor_global_configuration_instances",
                "Instances whose configuration is held",
                i64::try_from(instances).unwrap_or(i64::MAX),
            ),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let swaps = *self.0.swaps.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = ConstGauge::new(swaps.seconds);
        seconds.encode(encoder.encode_descriptor(
            "kontor_global_configuration_swap_seconds",
            "Time from the documents of the last new configuration, fetched, to its use",
            None,
            seconds.metric_type(),
        )?)?;
        let count = ConstCounter::new(swaps.count);
        count.encode(encoder.encode_descriptor(
            "kontor_global_configuration_swaps",
            "Times that a configuration with other content was put to use",
            None,
            count.metric_type(),
        )?)?;
        let failures = ConstCounter::new(self.0.failing().rounds);
        failures.encode(encoder.encode_descriptor(
            "kontor_global_configuration_failures",
            "Rounds in which the own instance's configuration could not be had",
            None,
            failures.metric_type(),
        )?)
    }
}
