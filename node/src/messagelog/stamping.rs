//! Time-stamps for what was logged (wire 5): which messages have none yet, the job that gets them tokens, and the rule that
//! stops the log when that has failed for too long. Off the path of those who append: they read one value.
//!
//! Requests and responses are stamped, because they carry signatures that others judge years later. Failure closures, facts
//! about the log and time-stamps themselves are not: nobody outside signed them, and the tree over all leaves binds them.
//!
//! **After a crash.** Each time-stamp entry says below which number every message has one. The newest of them and a look at
//! all that came later give what still waits, so nothing is forgotten and no state is kept beside the log. A token whose
//! entry was not written is asked for again.

mod material;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use kontor_pki::time::UnixTime;
use kontor_protocol::{container::timestamp::Batch, log::EntryKind};
use tokio::sync::Notify;

use super::{
    MessageLog, Receipt,
    blob::Evidence,
    draft::{Draft, NewStamp},
    error::LogError,
    queue::Work,
    read::Reader,
};
use crate::{config::stamping::StampingSettings, shutdown::Shutdown, timestamper::Timestamper};
use material::Material;

/// Messages that are known by number to wait; more are looked for when these have their tokens.
const WAITING: usize = 100_000;
/// How soon after the start the first run is.
const FIRST: Duration = Duration::from_secs(1);
/// The least time between two runs that were asked for.
const GAP: Duration = Duration::from_secs(1);

/// How time-stamping stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StampingStats {
    /// Messages that are known to wait for a token.
    pub waiting: u64,
    /// When the oldest of them was logged.
    pub oldest: Option<UnixTime>,
    /// Since when runs fail.
    pub failing_since: Option<UnixTime>,
    /// What the authorities said last.
    pub reason: Option<String>,
    /// Whether messages are refused because of that.
    pub refusing: bool,
    /// Tokens recorded since the start.
    pub tokens: u64,
    /// Runs and requests that failed since the start.
    pub failures: u64,
}

#[derive(Default)]
struct State {
    /// Everything below was looked at; `None` before the first look.
    seen: Option<u64>,
    /// Messages without a token, with the second they were logged in.
    waiting: BTreeMap<u64, u64>,
    failing_since: Option<UnixTime>,
    reason: Option<String>,
    tokens: u64,
    failures: u64,
}

/// What the log knows about its time-stamps. Clones share it.
#[derive(Clone)]
pub(crate) struct Stamping {
    settings: Arc<StampingSettings>,
    state: Arc<Mutex<State>>,
    refusal: Arc<ArcSwapOption<LogError>>,
    timestamper: Arc<OnceLock<Timestamper>>,
    /// Told when somebody does not want to wait for the next run.
    soon: Arc<Notify>,
}

impl Stamping {
    pub(crate) fn new(settings: StampingSettings) -> Self {
        Self {
            settings: Arc::new(settings),
            state: Arc::default(),
            refusal: Arc::default(),
            timestamper: Arc::default(),
            soon: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether messages are taken.
    pub(crate) fn check(&self) -> Result<(), LogError> {
        match &*self.refusal.load() {
            Some(refusal) => Err(LogError::clone(refusal)),
            None => Ok(()),
        }
    }

    /// Brings what waits up to the log.
    fn look(&self, reader: &mut Reader) -> Result<(), LogError> {
        let seen = self.state().seen;
        let from = match seen {
            Some(seen) => seen,
            None => reader.stamped_below()?,
        };
        self.state().seen = Some(from);
        if self.state().waiting.len() >= WAITING {
            return Ok(());
        }
        reader.scan(from, &mut |reader, entry| {
            let leaf = reader.leaf(entry)?;
            match leaf.kind {
                EntryKind::Request | EntryKind::Response => {
                    self.state().waiting.insert(entry.number, leaf.second);
                }
                EntryKind::TimeStamp => match reader.evidence(entry) {
                    Ok(opened) => {
                        let covered = Evidence::parse(&opened).map(|evidence| evidence.covered);
                        self.stamped(&covered.unwrap_or_default());
                    }
                    Err(LogError::Forgotten { .. }) => {}
                    Err(error) => return Err(error),
                },
                _ => {}
            }
            let mut state = self.state();
            state.seen = Some(entry.number + 1);
            Ok(match state.waiting.len() < WAITING {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        })
    }

    /// These have a token on disk, or can have none any more.
    fn stamped(&self, numbers: &[u64]) {
        let mut state = self.state();
        for number in numbers {
            state.waiting.remove(number);
        }
    }

    /// Below which number every message has a token once these have.
    fn below(&self, covered: &[u64]) -> Option<u64> {
        let state = self.state();
        let covered: BTreeSet<u64> = covered.iter().copied().collect();
        let left = state.waiting.keys().find(|number| !covered.contains(number));
        left.copied().or(state.seen)
    }

    fn succeeded(&self) {
        let mut state = self.state();
        if state.failing_since.take().is_some() {
            tracing::info!("time-stamps can be had again");
        }
        (state.reason, state.tokens) = (None, state.tokens + 1);
        self.refusal.store(None);
    }

    /// Nothing waits, or nobody was asked: what failed before did not fail again.
    fn idle(&self) {
        let mut state = self.state();
        (state.failing_since, state.reason) = (None, None);
        self.refusal.store(None);
    }

    fn failed(&self, now: UnixTime, reason: String) {
        let mut state = self.state();
        state.failures += 1;
        // Restarting does not begin the period anew: the first failure counts from what has waited longest.
        let first = state.tokens == 0;
        let oldest = state.waiting.values().next().map(|second| at(*second));
        let since = match (state.failing_since, oldest) {
            (Some(since), _) => since,
            (None, Some(oldest)) if first => oldest.min(now),
            (None, _) => now,
        };
        tracing::warn!(%since, waiting = state.waiting.len(), %reason, "no time-stamp could be had");
        let limit = self.settings.acceptable_failure;
        if !limit.is_zero() && now.since(since) > limit {
            let refusal = LogError::NotStamped {
                since: since.to_rfc3339(),
                reason: reason.clone(),
            };
            if self.refusal.load().is_none() {
                tracing::error!(error = %refusal, "messages are refused until a time-stamp succeeds");
            }
            self.refusal.store(Some(Arc::new(refusal)));
        }
        (state.failing_since, state.reason) = (Some(since), Some(reason));
    }

    fn no_authority(&self, now: UnixTime) {
        if self.refusal.load().is_none() {
            tracing::error!(error = %LogError::NoAuthority, "messages are refused");
        }
        self.refusal.store(Some(Arc::new(LogError::NoAuthority)));
        let mut state = self.state();
        state.failures += 1;
        state.failing_since.get_or_insert(now);
        state.reason = Some(LogError::NoAuthority.to_string());
    }

    fn stats(&self) -> StampingStats {
        let state = self.state();
        StampingStats {
            waiting: state.waiting.len() as u64,
            oldest: state.waiting.values().next().map(|second| at(*second)),
            failing_since: state.failing_since,
            reason: state.reason.clone(),
            refusing: self.refusal.load().is_some(),
            tokens: state.tokens,
            failures: state.failures,
        }
    }
}

fn at(second: u64) -> UnixTime {
    UnixTime::from_secs(i64::try_from(second).unwrap_or(i64::MAX))
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ran {
    /// Everything has a token.
    Done,
    /// The limit was reached: the next run is due at once.
    More,
    /// Nothing was stamped.
    Failed,
}

impl MessageLog {
    /// The instant by the clock of the log.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// How time-stamping stands.
    pub fn stamping(&self) -> StampingStats {
        self.stamping.stats()
    }

    /// How long time-stamps may fail before messages are refused; zero: for ever.
    pub fn acceptable_failure(&self) -> Duration {
        self.stamping.settings.acceptable_failure
    }

    /// Gets time-stamps until the node stops: soon after the start, then as often as the instance says, at once while there
    /// are more than one token takes.
    pub async fn run_stamping(self, timestamper: Timestamper, shutdown: Shutdown) {
        // Authorities that fail are asked again in their turn, however many do not want to wait.
        let (mut wait, mut hurries) = (FIRST, true);
        loop {
            tokio::select! {
                () = shutdown.soft() => return,
                () = tokio::time::sleep(wait) => {}
                () = self.stamping.soon.notified(), if hurries => tokio::time::sleep(GAP).await,
            }
            let ran = self.stamp_run(&timestamper).await;
            hurries = matches!(ran, Ok(Ran::Done | Ran::More));
            wait = match ran {
                Ok(Ran::More) => Duration::ZERO,
                Ok(Ran::Done) => timestamper
                    .interval()
                    .clamp(Duration::from_secs(60), Duration::from_secs(86_400)),
                Ok(Ran::Failed) => self.stamping.settings.retry,
                Err(error) => {
                    tracing::error!(%error, "what waits for time-stamps could not be read");
                    self.stamping.settings.retry
                }
            };
        }
    }

    /// Asks for a run now instead of at the next interval. Gives the number below which every message needs a token, so that
    /// what was recorded until now has one.
    pub fn stamp_soon(&self) -> u64 {
        self.stamping.soon.notify_one();
        self.published.entries()
    }

    /// Whether every message below this number has a token.
    pub fn is_stamped_below(&self, number: u64) -> bool {
        let state = self.stamping.state();
        let first = state.waiting.keys().next().copied().or(state.seen);
        first.is_some_and(|first| first >= number)
    }

    /// Has every message stamped while it is logged, if the settings say so.
    pub fn stamp_immediately(&self, timestamper: Timestamper) {
        if self.stamping.settings.immediate {
            let _ = self.stamping.timestamper.set(timestamper);
        }
    }

    /// One run of the job.
    pub(crate) async fn stamp_run(&self, timestamper: &Timestamper) -> Result<Ran, LogError> {
        let stamping = self.stamping.clone();
        if timestamper.has_no_authority() {
            stamping.no_authority(self.clock.now());
            return Ok(Ran::Failed);
        }
        let (mut reader, limit) = (self.reader(), stamping.settings.limit);
        let looked = tokio::task::spawn_blocking(move || {
            stamping.look(&mut reader)?;
            let (retrying, numbers) = {
                let state = stamping.state();
                let retrying = state.failing_since.is_some();
                let count = if retrying { 1 } else { limit };
                (
                    retrying,
                    state.waiting.keys().take(count).copied().collect::<Vec<_>>(),
                )
            };
            let (material, without) = Material::read(&mut reader, &numbers)?;
            // Their signatures are deleted: nobody can stamp or show them.
            stamping.stamped(&without);
            Ok((material, retrying))
        });
        let (material, retrying) = looked.await.map_err(|_| LogError::Closed)??;
        let Some(material) = material else {
            let left = self.stamping.stats().waiting > 0;
            if left {
                return Ok(Ran::More);
            }
            self.stamping.idle();
            return Ok(Ran::Done);
        };
        match self.stamp_material(material, timestamper).await? {
            true => {
                let stats = self.stamping.stats();
                // After a failure one message is tried; when that succeeds the others follow.
                let more = stats.waiting > 0 && (retrying || stats.waiting as usize >= limit);
                Ok(if more { Ran::More } else { Ran::Done })
            }
            false => Ok(Ran::Failed),
        }
    }

    /// Asks for a token and records it. A crash in between costs the token.
    async fn stamp_material(&self, material: Material, timestamper: &Timestamper) -> Result<bool, LogError> {
        let (data, covered, digests) = match material {
            Material::Single(number, value) => (value, vec![number], Vec::new()),
            Material::Many(numbers, batch) => (batch.stamped().to_vec(), numbers, Batch::to_bytes(&batch)),
        };
        match timestamper.stamp(&data).await {
            Ok(token) => {
                self.append_stamp(token.der().to_vec().into(), covered, digests)
                    .await?;
                Ok(true)
            }
            Err(error) => {
                self.stamping.failed(self.clock.now(), error.to_string());
                Ok(false)
            }
        }
    }

    /// Records a token over the entries it covers; `digests` for one over many.
    pub(super) async fn append_stamp(
        &self,
        token: bytes::Bytes,
        covered: Vec<u64>,
        digests: Vec<u8>,
    ) -> Result<Receipt, LogError> {
        let stamp = NewStamp {
            token,
            stamped_below: self.stamping.below(&covered),
            covered: covered.clone(),
            digests,
        };
        let draft = Box::new(Draft::timestamp(&self.origin, stamp, &self.policy));
        let receipt = self.send(|done| Work::Append(draft, done)).await?;
        self.stamping.stamped(&covered);
        self.stamping.succeeded();
        Ok(receipt)
    }

    /// Stamps a message that was just recorded, when the settings say so. On failure the message must not go on.
    pub(super) async fn stamp_recorded(&self, number: u64) -> Result<(), LogError> {
        let Some(timestamper) = self.stamping.timestamper.get() else {
            return Ok(());
        };
        let mut reader = self.reader();
        let read = tokio::task::spawn_blocking(move || Material::read(&mut reader, &[number])).await;
        let (material, _) = read.map_err(|_| LogError::Closed)??;
        let now = self.clock.now();
        let stamped = match material {
            Some(material) => self.stamp_material(material, timestamper).await?,
            None => true,
        };
        if stamped {
            return Ok(());
        }
        Err(LogError::NotStamped {
            since: now.to_rfc3339(),
            reason: self.stamping.stats().reason.unwrap_or_default(),
        })
    }
}
