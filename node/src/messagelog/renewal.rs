//! Renewal of time-stamps, before what they rest on ends (RFC 4998; BSI TR-03125 asks for the same): a token holds only as long
//! as its authority's certificate and its algorithms do. Owns what is asked of a renewal, what it tells, and the order in which
//! it happens.
//!
//! **What is covered.** One new token is over the root of a hash tree. Its leaves are of three kinds, each kind in entries of
//! its own (`renewal::entry` has their layout):
//!
//! - *first*: a message whose token was never renewed. The leaf is the group of its data objects, which are the files of its
//!   container (`renewal::objects`), token included. It is the first archive time-stamp of the message's evidence record.
//! - *timestamp*: a renewal whose own token comes near its end. The leaf is that token alone, so a second renewal of a
//!   million messages has some dozens of leaves.
//! - *tree*: a message whose hash tree is by a digest that comes near its end. The leaf is made of its data objects by the new
//!   digest and of all that renewed it so far (RFC 4998 5.2). It needs the data: what was deleted cannot be renewed by it, is
//!   named, and keeps the record that it has.
//!
//! **After a crash.** A renewal is recorded in entries of some ten thousand leaves, each with the token and its own way to what
//! was stamped, so that every one counts without the others. What is not recorded is as due as before and is renewed by the
//! next token. `log/renewal.state` spares reading the log again and is made anew from it when it is missing.
//!
//! **In time.** Due is what ends within the lead time of the configuration. A node renews by itself, and takes only a token
//! that lasts longer than what it renews: an authority that still signs with the ending certificate is no help, and is named
//! in health and log until there is another.

mod entry;
mod objects;
mod plan;
mod records;
mod run;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use kontor_pki::{evidence_record::EvidenceError, time::UnixTime};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use self::{run::Run, state::State};
use super::{MessageLog, error::LogError};
use crate::{
    config::renewal::{RenewalSettings, renewal_digest},
    timestamper::{TimestampError, Timestamper},
};

/// What is asked of a renewal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewalOrder {
    /// Renew everything, due or not.
    #[serde(default)]
    pub all: bool,
    /// Renew the hash trees of everything by this digest: `sha256`, `sha384` or `sha512`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Say what would be renewed and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Why; stands in each entry.
    pub ground: String,
}

/// What a renewal did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewalReport {
    /// Time-stamps of messages that are due, never renewed before.
    pub stamps: u64,
    /// Renewals that are due.
    pub renewals: u64,
    /// Renewals whose hash trees are to be made anew.
    pub trees: u64,
    /// Of all these, tokens that had ended before they were renewed: what they prove ends there.
    pub late: u64,
    /// The new tokens; none in a dry run.
    pub tokens: Vec<RenewedToken>,
    /// Messages that got their first archive time-stamp, and those whose tree was made anew.
    pub messages: u64,
    /// Messages that cannot be renewed by this digest, because some of their data is deleted or was not kept; how many.
    pub not_renewable: u64,
    /// Their numbers, the first of them if there are many.
    pub not_renewable_numbers: String,
    /// When the first token of what is left ends.
    pub next_end: Option<String>,
}

/// A token over a hash tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedToken {
    /// When, by its authority's clock.
    pub at: String,
    /// Subject of the authority's certificate.
    pub authority: String,
    /// When the token loses its force.
    pub ends: String,
    /// The digest of the tree.
    pub digest: String,
    /// Leaves of the tree.
    pub leaves: u64,
    /// Entries that record it: how many, first and last.
    pub entries: u64,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// Why a renewal ended. What was recorded before stays so.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RenewalError {
    /// The log refused.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No token could be had, or none that helps.
    #[error("nothing was renewed: {0}")]
    Timestamp(#[from] TimestampError),
    /// A tree or a record could not be made.
    #[error("the hash tree could not be made: {0}")]
    Evidence(#[from] EvidenceError),
    /// An entry of a renewal that does not read.
    #[error("the renewal in entry {number} does not read; run `kontor log check`")]
    Entry {
        /// Which entry.
        number: u64,
    },
    /// A digest that no tree is made by.
    #[error("`{digest}` is no digest for hash trees; choose sha256, sha384 or sha512")]
    Digest {
        /// What was asked for.
        digest: String,
    },
    /// A digest that ends itself.
    #[error(
        "the digest {digest} ends at {at}, as [timestamping.ends] says; renew by another, see renewal_digest"
    )]
    DigestEnds {
        /// The digest.
        digest: String,
        /// When it ends.
        at: String,
    },
}

impl RenewalError {
    /// The name of this error in logs and JSON.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Timestamp(error) => error.code(),
            Self::Evidence(error) => error.code(),
            Self::Entry { .. } => "renewal_entry",
            Self::Digest { .. } => "renewal_digest_unknown",
            Self::DigestEnds { .. } => "renewal_digest_ends",
        }
    }
}

/// How renewal stands, as far as it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenewalStats {
    /// When the first token ends.
    pub first_end: Option<UnixTime>,
    /// Tokens that end within the lead time.
    pub due: u64,
    /// Tokens that ended before they were renewed.
    pub late: u64,
    /// Since when renewals fail.
    pub failing_since: Option<UnixTime>,
    /// Why the last one did.
    pub reason: Option<String>,
    /// Tokens of renewals since the start.
    pub tokens: u64,
    /// Renewals that failed since the start.
    pub failures: u64,
}

/// What the log knows about renewals. Clones share it.
#[derive(Clone)]
pub(crate) struct Renewal {
    settings: Arc<RenewalSettings>,
    sizes: Sizes,
    /// One renewal at a time.
    running: Arc<Mutex<()>>,
    state: Arc<Mutex<Option<State>>>,
    stats: Arc<Mutex<RenewalStats>>,
}

/// Bounds of a renewal.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    /// Leaves from which on an entry is closed: 2 MiB of digests. It may have as many more as one time-stamp covers.
    entry: usize,
    /// Leaves under one token; further ones get another token. They are in memory until it is there: 64 MiB.
    token: usize,
}

impl Renewal {
    pub(crate) fn new(settings: RenewalSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            sizes: Sizes {
                entry: 32_768,
                token: 1 << 20,
            },
            running: Arc::default(),
            state: Arc::default(),
            stats: Arc::default(),
        }
    }

    fn stats(&self) -> MutexGuard<'_, RenewalStats> {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MessageLog {
    /// How renewal stands.
    pub fn renewal(&self) -> RenewalStats {
        self.renewal.stats().clone()
    }

    /// Renews what is due, or counts it. `progress` is told how many leaves of how many are ready.
    pub async fn renew(
        &self,
        order: RenewalOrder,
        timestamper: Timestamper,
        progress: impl FnMut(u64, u64) + Send + 'static,
    ) -> Result<RenewalReport, RenewalError> {
        let (log, runtime) = (self.clone(), Handle::current());
        let renewing = move || log.renew_now(&order, &timestamper, runtime, Box::new(progress));
        tokio::task::spawn_blocking(renewing)
            .await
            .map_err(|_| LogError::Closed)?
    }

    fn renew_now(
        &self,
        order: &RenewalOrder,
        timestamper: &Timestamper,
        runtime: Handle,
        progress: run::Progress,
    ) -> Result<RenewalReport, RenewalError> {
        let renewal = &self.renewal;
        let digest = match &order.digest {
            None => renewal.settings.digest,
            Some(name) => renewal_digest(name).ok_or_else(|| RenewalError::Digest {
                digest: name.chars().take(40).collect(),
            })?,
        };
        let _one = renewal.running.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = Run::new(self, order, digest, timestamper, runtime, progress).run();
        let mut stats = renewal.stats();
        match &ended {
            Ok(report) if order.dry_run => _ = report,
            Ok(report) => {
                if stats.failing_since.take().is_some() {
                    tracing::info!("time-stamps can be renewed again");
                }
                stats.reason = None;
                stats.tokens += report.tokens.len() as u64;
            }
            Err(error) => {
                stats.failures += 1;
                stats.failing_since.get_or_insert(self.clock.now());
                stats.reason = Some(error.to_string());
            }
        }
        ended
    }

    /// The evidence record of a message as DER, with every time-stamp that vouches for it since its own was renewed; `None`
    /// while that was not. It is checked before it is handed out.
    pub async fn evidence_record(&self, number: u64) -> Result<Option<Vec<u8>>, RenewalError> {
        let log = self.clone();
        tokio::task::spawn_blocking(move || records::of(&log, number))
            .await
            .map_err(|_| LogError::Closed)?
    }

    /// Hands on what the log says about renewals, brought up to what is synced.
    fn with_renewals<T>(&self, told: impl FnOnce(&mut State) -> T) -> Result<T, LogError> {
        let mut held = self.renewal.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = held.get_or_insert_with(|| State::load(&self.home));
        // What was taken in before an error stays taken in.
        state.look(&mut self.reader())?;
        Ok(told(state))
    }

    /// The same without looking again. Renewals are recorded by this process only, which looks after each.
    fn with_known_renewals<T>(&self, told: impl FnOnce(&State) -> T) -> Result<T, LogError> {
        let held = self.renewal.state.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(state) => Ok(told(state)),
            None => {
                drop(held);
                self.with_renewals(|state| told(state))
            }
        }
    }
}

/// How long after a failed renewal the next one is: twice as long each time, up to an hour.
pub(crate) fn back_off(failures: u32) -> Duration {
    Duration::from_secs(60_u64.saturating_mul(1 << failures.min(10)).min(3600))
}
