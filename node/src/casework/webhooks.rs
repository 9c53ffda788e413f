//! Events of the feed, posted to line-of-business systems: for each webhook one after the other in their order, at least once, and
//! from where it was after a restart.
//!
//! What is posted is committed already. The position of a webhook is a row of the state store that is written a few events late: a
//! crash repeats these events, under the ids that they had. A receiver that fails is tried again with back-off and jitter, and holds
//! up nobody but itself; what it does not take in the time of the configuration is given up, which log and status say. A webhook that
//! answers with 410 is left alone until its configuration is another one. One that is taken out of the file keeps its position.

mod figures;
mod post;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

pub(crate) use self::figures::Figures;
use self::post::{Letter, Posted, Way};
use super::row::EventRow;
use super::{Casework, Principal, Refused, Table, TxError};
use crate::config::CaseworkSettings;
use crate::config::webhook::Webhook;
use crate::messagelog::hex;

/// Events of one piece.
const PIECE: usize = 256;
/// Events that are settled before the position is written, where more wait. So many are posted again after a crash.
const SETTLED: usize = 32;
/// Events that were passed over, for nobody wanted them, before the position is written.
const PASSED: usize = 4096;
/// The first wait after a failure, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The longest wait for which a receiver may ask.
const ASKED: Duration = Duration::from_secs(3600);
/// The wait after a failure of our own.
const OWN: Duration = Duration::from_secs(15);
/// How long a stop waits for the answer to what was posted already.
const LAST: Duration = Duration::from_secs(2);

/// How far a webhook is, as it is stored.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Place {
    /// Key of the last event that is settled, given up, or not wanted.
    after: Vec<u8>,
    /// Since when the receiver takes nothing.
    failing_since: Option<Timestamp>,
    /// Events that were given up.
    skipped: u64,
    /// When it wanted nothing more, and the fingerprint of its configuration at that time.
    gone: Option<(Timestamp, String)>,
}

/// How a webhook stands.
#[derive(Default)]
struct Standing {
    place: Place,
    /// Failures in a row, since the start.
    failures: u32,
    /// What the last one was, by code.
    problem: Option<String>,
    /// When it is tried again.
    next_at: Option<Timestamp>,
    settled: usize,
    passed: usize,
    /// Events that wait, counted up to a key.
    waiting: u64,
    counted: Vec<u8>,
}

impl Standing {
    /// An event is done with.
    fn pass(&mut self, key: &[u8], wanted: bool) {
        self.place.after = key.to_vec();
        match wanted {
            true => self.settled += 1,
            false => self.passed += 1,
        }
        match self.counted.as_slice() < key {
            // It was never counted.
            true => self.counted = key.to_vec(),
            false if wanted => self.waiting = self.waiting.saturating_sub(1),
            false => {}
        }
    }

    /// Counts anew from where it is.
    fn recount(&mut self) {
        (self.waiting, self.counted) = (0, self.place.after.clone());
    }
}

/// A webhook of this process; there is one task for it, which owns its position.
struct Hook {
    name: String,
    /// As the file has it now, if it has.
    settings: watch::Sender<Option<Arc<Webhook>>>,
    standing: Mutex<Standing>,
}

impl Hook {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the module.
pub(super) struct Webhooks {
    wanted: watch::Sender<Vec<Arc<Webhook>>>,
    hooks: Mutex<BTreeMap<String, Arc<Hook>>>,
}

impl Webhooks {
    pub(super) fn new(settings: &CaseworkSettings) -> Self {
        Self {
            wanted: watch::Sender::new(listed(settings)),
            hooks: Mutex::default(),
        }
    }

    /// Puts other settings to use.
    pub(super) fn take(&self, settings: &CaseworkSettings) {
        let wanted = listed(settings);
        self.wanted.send_if_modified(|known| {
            let is_other = *known != wanted;
            *known = wanted;
            is_other
        });
    }

    /// Those of the file, by their names.
    fn all(&self) -> Vec<(Arc<Hook>, Arc<Webhook>)> {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        let all = hooks
            .values()
            .filter_map(|hook| Some((Arc::clone(hook), hook.settings.borrow().clone()?)));
        all.collect()
    }
}

fn listed(settings: &CaseworkSettings) -> Vec<Arc<Webhook>> {
    settings.webhooks.iter().cloned().map(Arc::new).collect()
}

fn place_key(name: &str) -> Vec<u8> {
    format!("webhook {name}").into_bytes()
}

/// How long a receiver is left alone after so many failures.
fn wait_after(failures: u32) -> Duration {
    let doubled = WAIT.0.saturating_mul(1 << failures.saturating_sub(1).min(12));
    // Half of it by chance, so that nodes that failed together do not come back together.
    let chance = f64::from(u32::from_be_bytes(kontor_pki::crypto::random())) / f64::from(u32::MAX);
    doubled.min(WAIT.1).mul_f64(0.5 + chance / 2.0)
}

impl Casework {
    /// Gives every webhook that has none its position: a new one begins with what happens from now on.
    pub(super) async fn place_webhooks(&self) -> Result<(), Refused> {
        let wanted = self.webhooks.wanted.borrow().clone();
        for webhook in wanted {
            let hooks = || self.webhooks.hooks.lock().unwrap_or_else(PoisonError::into_inner);
            if hooks().contains_key(&webhook.name) {
                continue;
            }
            let key = place_key(&webhook.name);
            let place = match self.store.get::<Place>(Table::Meta, &key)? {
                Some(place) => place,
                None => {
                    let everything = (Bound::Unbounded, Bound::Unbounded);
                    let last = self.store.range::<EventRow>(Table::Events, everything, true, 1)?;
                    let place = Place {
                        after: last.into_iter().next().map(|(key, _)| key).unwrap_or_default(),
                        ..Place::default()
                    };
                    self.write_place(&webhook.name, &place).await?;
                    place
                }
            };
            let mut standing = Standing {
                place,
                ..Standing::default()
            };
            standing.recount();
            let hook = Hook {
                name: webhook.name.clone(),
                settings: watch::Sender::new(Some(Arc::clone(&webhook))),
                standing: Mutex::new(standing),
            };
            hooks().insert(webhook.name.clone(), Arc::new(hook));
        }
        Ok(())
    }

    async fn write_place(&self, name: &str, place: &Place) -> Result<(), Refused> {
        let key = place_key(name);
        self.store
            .run_tx("webhook", |tx| {
                tx.put(Table::Meta, &key, place)?;
                Ok::<_, TxError<Refused>>(())
            })
            .await?;
        Ok(())
    }

    /// Writes where a webhook is.
    async fn keep_place(&self, hook: &Hook) -> Result<(), Refused> {
        let place = {
            let mut standing = hook.standing();
            (standing.settled, standing.passed) = (0, 0);
            standing.place.clone()
        };
        self.write_place(&hook.name, &place).await
    }

    /// Posts what happens to the webhooks of the file, for as long as the node runs.
    pub(super) async fn run_webhooks(self: Arc<Self>) {
        let mut wanted = self.webhooks.wanted.subscribe();
        let mut running = BTreeSet::new();
        loop {
            let now = wanted.borrow_and_update().clone();
            if let Err(refused) = self.place_webhooks().await {
                tracing::error!(code = refused.code, "webhooks wait: {}", refused.detail);
                tokio::select! {
                    () = tokio::time::sleep(OWN) => wanted.mark_changed(),
                    () = self.shutdown.soft() => return,
                }
            }
            let hooks = self
                .webhooks
                .hooks
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone();
            for (name, hook) in hooks {
                let settings = now.iter().find(|webhook| webhook.name == name).cloned();
                hook.settings.send_if_modified(|known| {
                    let is_other = *known != settings;
                    if is_other {
                        // Other events may wait.
                        hook.standing().recount();
                        *known = settings;
                    }
                    is_other
                });
                if running.insert(name) {
                    self.shutdown.spawn(Arc::clone(&self).run_webhook(hook));
                }
            }
            tokio::select! {
                _ = wanted.changed() => {}
                () = self.shutdown.soft() => return,
            }
        }
    }

    /// The task of one webhook.
    async fn run_webhook(self: Arc<Self>, hook: Arc<Hook>) {
        let mut settings = hook.settings.subscribe();
        loop {
            let webhook = settings.borrow_and_update().clone();
            let follow = async {
                if let Some(webhook) = webhook {
                    self.post_events(&hook, webhook).await;
                }
                self.shutdown.soft().await;
            };
            let stopped = async {
                self.shutdown.soft().await;
                tokio::time::sleep(LAST).await;
            };
            tokio::select! {
                _ = settings.changed() => {}
                () = stopped => break,
                () = follow => break,
            }
        }
        if let Err(refused) = self.keep_place(&hook).await {
            tracing::warn!(
                webhook = hook.name,
                code = refused.code,
                "some events will be posted again"
            );
        }
    }

    /// Waits, or ends with the node.
    async fn pause(&self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = self.shutdown.soft() => {}
        }
    }

    /// Posts what a webhook wants until the node stops, or nothing more is wanted under this configuration.
    async fn post_events(&self, hook: &Hook, webhook: Arc<Webhook>) {
        let name = webhook.name.as_str();
        let gone = hook.standing().place.gone.clone();
        if let Some((_, fingerprint)) = gone {
            if fingerprint == webhook.fingerprint() {
                tracing::warn!(
                    webhook = name,
                    "stays disabled, its receiver answered 410 under this configuration"
                );
                return;
            }
            hook.standing().place.gone = None;
        }
        let way = match Way::to(Arc::clone(&webhook)) {
            Ok(way) => way,
            Err(reason) => {
                tracing::error!(webhook = name, "nothing is posted: {reason}");
                hook.standing().problem = Some("unusable".into());
                return;
            }
        };
        // Nothing is shown before the look at it is in the log.
        let ground = format!("webhook {name}");
        while let Err(refused) = self.look(&Principal::node(), "events", &ground).await {
            tracing::warn!(webhook = name, code = refused.code, "waits: {}", refused.detail);
            self.pause(OWN).await;
            if self.shutdown.is_stopping() {
                return;
            }
        }
        let mut told = self.told.subscribe();
        while !self.shutdown.is_stopping() {
            match self.post_piece(hook, &webhook, &way).await {
                Ok(Went::On) => {}
                Ok(Went::Dry) => tokio::select! {
                    // Told too often is told.
                    _ = told.recv() => {}
                    () = self.shutdown.soft() => {}
                },
                Ok(Went::Gone) => return,
                Err(refused) => {
                    tracing::error!(webhook = name, code = refused.code, "waits: {}", refused.detail);
                    self.pause(OWN).await;
                }
            }
        }
    }

    /// Whether a webhook gets an event: what nobody of this house would see in the feed is posted to nobody.
    pub(in crate::casework) fn is_posted(&self, webhook: &Webhook, row: &EventRow) -> Result<bool, Refused> {
        Ok(webhook.wants(&row.kind, row.unit.as_deref()) && self.sees_event(&Principal::node(), row)?)
    }

    fn events_after(&self, after: &[u8], most: usize) -> Result<Vec<(Vec<u8>, EventRow)>, Refused> {
        let bounds = (Bound::Excluded(after), Bound::Unbounded);
        Ok(self.store.range(Table::Events, bounds, false, most)?)
    }

    /// Posts the next events.
    async fn post_piece(&self, hook: &Hook, webhook: &Webhook, way: &Way) -> Result<Went, Refused> {
        let after = hook.standing().place.after.clone();
        let rows = self.events_after(&after, PIECE)?;
        let is_dry = rows.is_empty();
        for (key, row) in rows {
            match self.is_posted(webhook, &row)? {
                false => hook.standing().pass(&key, false),
                true => match self.deliver(hook, webhook, way, &key, &row).await? {
                    Delivered::Settled => {}
                    Delivered::Not(went) => return Ok(went),
                },
            }
            let (settled, passed) = {
                let standing = hook.standing();
                (standing.settled, standing.passed)
            };
            if settled >= SETTLED || passed >= PASSED {
                self.keep_place(hook).await?;
            }
        }
        match is_dry {
            false => Ok(Went::On),
            true => {
                if hook.standing().settled > 0 {
                    self.keep_place(hook).await?;
                }
                Ok(Went::Dry)
            }
        }
    }

    /// Posts one event until it is taken, given up, or nothing more is to be posted.
    async fn deliver(
        &self,
        hook: &Hook,
        webhook: &Webhook,
        way: &Way,
        key: &[u8],
        row: &EventRow,
    ) -> Result<Delivered, Refused> {
        let name = webhook.name.as_str();
        let letter =
            Letter::new(key, row, &self.server, self.test).map_err(|error| Refused::internal(&error))?;
        while !self.shutdown.is_stopping() {
            let (code, after) = match way.post(&letter, self.clock.now().secs(), &self.shutdown).await {
                Posted::Taken => {
                    let mut standing = hook.standing();
                    if standing.place.failing_since.take().is_some() {
                        tracing::info!(webhook = name, "takes events again");
                    }
                    (standing.failures, standing.problem, standing.next_at) = (0, None, None);
                    standing.pass(key, true);
                    return Ok(Delivered::Settled);
                }
                Posted::Gone => {
                    hook.standing().place.gone = Some((self.now(), webhook.fingerprint()));
                    self.keep_place(hook).await?;
                    tracing::warn!(
                        webhook = name,
                        "its receiver answers 410 and gets nothing more until its configuration is another one"
                    );
                    return Ok(Delivered::Not(Went::Gone));
                }
                Posted::Failed { code, after } => (code, after),
            };
            let now = self.now();
            let (failures, since, is_first, wait) = {
                let mut standing = hook.standing();
                let is_first = standing.place.failing_since.is_none();
                let since = *standing.place.failing_since.get_or_insert(now);
                standing.failures = standing.failures.saturating_add(1);
                standing.problem = Some(code.clone());
                let wait = wait_after(standing.failures).max(after.unwrap_or_default().min(ASKED));
                standing.next_at = now.checked_add(wait).ok();
                (standing.failures, since, is_first || standing.settled > 0, wait)
            };
            tracing::info!(
                webhook = name,
                code,
                failures,
                kind = row.kind,
                "an event is not taken"
            );
            if is_first {
                // What was taken before is not repeated if the process ends in the wait.
                self.keep_place(hook).await?;
            }
            if waited(since.max(row.at), now) > webhook.give_up {
                self.give_up(hook, webhook, now).await?;
                return Ok(Delivered::Not(Went::On));
            }
            self.pause(wait).await;
        }
        Ok(Delivered::Not(Went::On))
    }

    /// Skips the event that is next, and those behind it that have waited as long.
    async fn give_up(&self, hook: &Hook, webhook: &Webhook, now: Timestamp) -> Result<(), Refused> {
        let (mut first, mut last, mut skipped) = (String::new(), String::new(), 0_u64);
        'all: loop {
            let after = hook.standing().place.after.clone();
            let rows = self.events_after(&after, PIECE)?;
            if rows.is_empty() {
                break;
            }
            for (key, row) in rows {
                let wanted = self.is_posted(webhook, &row)?;
                if wanted && waited(row.at, now) <= webhook.give_up {
                    break 'all;
                }
                if wanted {
                    skipped += 1;
                    last = hex(&key);
                    if first.is_empty() {
                        first.clone_from(&last);
                    }
                }
                hook.standing().pass(&key, wanted);
            }
        }
        hook.standing().place.skipped += skipped;
        self.keep_place(hook).await?;
        tracing::error!(
            webhook = webhook.name,
            skipped,
            first,
            last,
            "events are given up: they were not taken in the time of the configuration; the feed still has them"
        );
        Ok(())
    }
}

/// How the next events went.
enum Went {
    /// There may be more.
    On,
    /// There is nothing more.
    Dry,
    /// Nothing more is wanted.
    Gone,
}

/// How an event went.
enum Delivered {
    Settled,
    Not(Went),
}

fn waited(since: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(since)).unwrap_or_default()
}
