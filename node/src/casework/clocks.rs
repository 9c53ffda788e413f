//! What falls due, and what a start has to put right. Everything follows from stored facts and the clock, so that a restart changes
//! nothing and nothing happens twice.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use kontor_participation::transfer::offer::Id;
use kontor_participation::transfer::{receiver, sender};
use kontor_pki::time::UnixTime;
use kontor_protocol::log::EntryKind;

use super::caller::Caller;
use super::files::pack_key;
use super::rounds::row::RequestRow;
use super::row::{CaseRow, Export, Machine, OutState, Process, TransferRow};
use super::transfers::Command;
use super::{Casework, Held, Principal, Refused, Step, Table};
use crate::messagelog::{Acted, VaultPart};
use crate::outbound::Outbound;

/// How often everything is looked at that may be due, besides what is looked at because it changed.
const ROUND: Duration = Duration::from_secs(15);
/// Transfers that are worked on at a time.
const AT_ONCE: usize = 32;

impl Casework {
    /// Notes that something may be due of a transfer.
    pub(super) fn busy(&self, transfer: &TransferRow) {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        match self.is_done(transfer) {
            true => active.remove(&transfer.id),
            false => active.insert(transfer.id.clone()),
        };
        drop(active);
        self.look_at(Process::Transfer(transfer.id.clone()));
    }

    /// Notes when something may be due of a request.
    pub(super) fn busy_request(&self, request: &RequestRow) {
        let due = self.request_due(request);
        self.board.put(request, due);
        if let Some(folder) = &self.folder {
            folder.changed(request);
        }
        if due.is_some_and(|at| at <= self.now()) {
            self.look_at(request.process());
        }
    }

    /// Has somebody look at something now.
    pub(super) fn look_at(&self, process: Process) {
        self.woken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(process);
        self.wake.notify_one();
    }

    /// Whether nothing more comes by itself.
    fn is_done(&self, transfer: &TransferRow) -> bool {
        let late = transfer.late.iter().any(|late| match transfer.machine {
            Machine::Sender(_) => late.item == 0,
            Machine::Receiver(_) => !late.imported,
        });
        transfer.machine.has_ended()
            && !late
            && !transfer.rounds_wait
            && !self.has_leftovers(transfer)
            && !self.is_to_be_written(transfer)
    }

    /// Whether the case of a receiver still has to be written into its instance.
    fn is_to_be_written(&self, transfer: &TransferRow) -> bool {
        let case = match &transfer.machine {
            Machine::Sender(_) => None,
            Machine::Receiver(_) => transfer.case.as_ref().and_then(|case| self.case(case).ok()),
        };
        case.is_some_and(|case| matches!(case.export, Some(Export::Wanted | Export::Posting)))
    }

    /// Whether a receiver still holds what is not its own, or a sender what it packed for nobody.
    fn has_leftovers(&self, transfer: &TransferRow) -> bool {
        match &transfer.machine {
            // Nobody pulls any more, and the case keeps its files.
            Machine::Sender(machine) => {
                transfer.packed && machine.state().has_ended() && transfer.machine.taken_over_at().is_none()
            }
            Machine::Receiver(machine) => {
                let ended = matches!(
                    machine.state(),
                    receiver::State::Refused(_)
                        | receiver::State::Disputed
                        | receiver::State::EndedBySender
                        | receiver::State::Lapsed
                        | receiver::State::Recalled { purged: Some(true) }
                );
                let case = transfer.case.as_ref().and_then(|case| self.case(case).ok());
                ended && (transfer.packed || case.is_some_and(|case| case.purged_at.is_none()))
            }
        }
    }

    /// Runs outbox, pulls and clocks until the node stops.
    pub async fn run(self: Arc<Self>, outbound: Arc<Outbound>) {
        let caller = Arc::new(Caller::new(outbound, self.own().clone(), self.shutdown.clone()));
        let caller = Arc::clone(self.caller.get_or_init(|| caller));
        while let Err(refused) = self.begin().await {
            tracing::error!(
                code = refused.code,
                "casework cannot be opened and takes nothing: {}",
                refused.detail
            );
            tokio::select! {
                () = tokio::time::sleep(ROUND) => {}
                () = self.shutdown.soft() => return,
            }
        }
        self.ready.store(true, Ordering::Release);
        let unsealing = Arc::clone(&self);
        // Not awaited: it ends by itself, and what is missing until then is said with every search.
        drop(tokio::task::spawn_blocking(move || {
            if let Err(refused) = unsealing.unseal() {
                tracing::error!(
                    code = refused.code,
                    "names could not be unsealed, searches stay partial: {}",
                    refused.detail
                );
            }
        }));
        self.shutdown
            .spawn(Arc::clone(&self).run_outbox(Arc::clone(&caller)));
        self.shutdown.spawn(Arc::clone(&self).run_webhooks());
        self.shutdown.spawn(Arc::clone(&self).run_folder());
        let places = Arc::new(tokio::sync::Semaphore::new(AT_ONCE));
        let running = Arc::new(std::sync::Mutex::new(BTreeMap::<Process, bool>::new()));
        // Whoever lets months pass in a training does not wait for a quarter of a minute then.
        let often = match self.settings.training_clock {
            Some(_) => ROUND / 30,
            None => ROUND,
        };
        let mut round = tokio::time::interval(often);
        round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let ids: Vec<Process> = tokio::select! {
                () = self.wake.notified() => {
                    std::mem::take(&mut *self.woken.lock().unwrap_or_else(PoisonError::into_inner)).into_iter().collect()
                }
                _ = round.tick() => {
                    if let Err(refused) = self.cases_due().await {
                        tracing::warn!(code = refused.code, "what is due of cases waits: {}", refused.detail);
                    }
                    if let Err(refused) = self.mark_acts().await {
                        tracing::warn!(code = refused.code, "the mark of acts waits: {}", refused.detail);
                    }
                    let active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
                    let transfers = active.iter().cloned().map(Process::Transfer);
                    transfers.chain(self.board.take_due(self.now())).collect()
                }
                () = self.shutdown.soft() => return,
            };
            for id in ids {
                // One task for each at a time; one that is woken meanwhile is looked at again.
                match running
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .entry(id.clone())
                {
                    Entry::Occupied(mut again) => {
                        again.insert(true);
                        continue;
                    }
                    Entry::Vacant(free) => _ = free.insert(false),
                }
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    return;
                };
                let (casework, caller, running) =
                    (Arc::clone(&self), Arc::clone(&caller), Arc::clone(&running));
                self.shutdown.spawn(async move {
                    let _place = place;
                    let again = casework.work(&caller, &id).await;
                    let woken = running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                    match again {
                        Ok(true) => casework.look_at(id),
                        Ok(false) if woken == Some(true) => casework.look_at(id),
                        Ok(false) => {}
                        Err(refused) => {
                            tracing::info!(process = %id, code = refused.code, "it waits: {}", refused.detail);
                            if woken == Some(true) {
                                casework.look_at(id);
                            } else if let Process::Request(side, id) = &id
                                && let Ok(row) = casework.request(*side, id)
                            {
                                let later = casework.now().checked_add(ROUND).ok();
                                casework.board.put(&row, later);
                            }
                        }
                    }
                });
            }
        }
    }

    /// Does what is due; whether there may be more at once.
    async fn work(self: &Arc<Self>, caller: &Caller, process: &Process) -> Result<bool, Refused> {
        let id = match process {
            Process::Transfer(id) => id,
            Process::Request(side, id) => {
                return match self.request_falls_due(*side, id).await? {
                    true => Ok(true),
                    false => self.fetch_announced(caller, process).await,
                };
            }
        };
        if self.fall_due(id).await? {
            return Ok(true);
        }
        let pulled = self.pull(caller, id).await?;
        if let Some(case) = &self.transfer(id)?.case {
            self.export(case).await?;
        }
        Ok(pulled)
    }

    /// Does what the clock says of a transfer; whether it did something.
    pub(super) async fn fall_due(self: &Arc<Self>, id: &Id) -> Result<bool, Refused> {
        let row = self.transfer(id)?;
        let now = self.decisive_now()?;
        let due = match &row.machine {
            Machine::Sender(machine) => match machine.due(now) {
                Some(sender::Command::Expire) => Some(Command::Expire),
                Some(sender::Command::Reclaim) => Some(Command::Reclaim),
                _ => {
                    let waited = row.reclaimed_at.is_some_and(|at| {
                        now.duration_since(at).unsigned_abs() > self.settings.clocks.unconfirmed
                    });
                    (waited && matches!(machine.state(), sender::State::Reclaiming))
                        .then_some(Command::GiveUpWaiting)
                }
            },
            Machine::Receiver(machine) => match machine.due(now) {
                Some(receiver::Command::Lapse) => Some(Command::Lapse),
                _ => None,
            },
        };
        if let Some(command) = due {
            let ids: Vec<&Id> = std::iter::once(id).chain(row.case.as_ref()).collect();
            let _lock = self.lock(&ids).await;
            let row = self.transfer(id)?;
            self.carry_out(&Principal::node(), row, command, now).await?;
            return Ok(true);
        }
        if row.rounds_wait {
            self.rounds_go(id).await?;
            return Ok(true);
        }
        if self.has_leftovers(&row) {
            self.clear(&row).await?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Removes what was packed or pulled for a transfer that nobody took over, and what its receiver made of it.
    async fn clear(self: &Arc<Self>, row: &TransferRow) -> Result<(), Refused> {
        let now = self.now();
        if let (Some(id), Machine::Receiver(_)) = (&row.case, &row.machine) {
            let _lock = self.lock(&[id]).await;
            let case = self.case(id)?;
            if case.purged_at.is_none() {
                self.purge(&Principal::node(), case, "not taken over", now)
                    .await?;
            }
        }
        let _lock = self.lock(&[&row.id]).await;
        let mut row = self.transfer(&row.id)?;
        let pack = self.pack(&row, None).unwrap_or_default();
        if let (Some(subject), true) = (row.subject, row.case.is_none()) {
            self.vault.forget(VaultPart::Content, subject)?;
        }
        // What was not written for the package is the case's.
        let gone: Vec<_> = pack
            .parts
            .iter()
            .chain(pack.files.iter().take(pack.anew))
            .collect();
        for kept in &gone {
            self.vault.remove(kept)?;
        }
        row.packed = false;
        let cites = row.cites.clone();
        let step = Step {
            files: gone.into_iter().map(Held::dropped).collect(),
            packs: vec![(pack_key(&row.id, None), None)],
            transfer: Some(row),
            ..Step::default()
        };
        self.commit("clear", &cites, step).await
    }

    /// Deletes content whose time has come, and says so to whoever took the application over.
    pub(super) async fn cases_due(self: &Arc<Self>) -> Result<(), Refused> {
        let now = self.now();
        for id in self.index.due(now) {
            let case = self.case(&id)?;
            let ids: Vec<&Id> = std::iter::once(&id).chain(case.transfer.as_ref()).collect();
            let _lock = self.lock(&ids).await;
            let case: CaseRow = self.case(&id)?;
            if case.delete_at.is_none_or(|at| at > now) || case.hold.is_some() || case.purged_at.is_some() {
                continue;
            }
            // Who took the case over has not got everything yet.
            if self.rounds_are_going(&case)? {
                continue;
            }
            let transfer = case.transfer.clone();
            self.purge(&Principal::node(), case, "grace time after the take-over", now)
                .await?;
            if let Some(transfer) = transfer {
                self.tell_purged(&transfer, now).await?;
            }
        }
        Ok(())
    }

    async fn tell_purged(&self, id: &Id, now: jiff::Timestamp) -> Result<(), Refused> {
        let row = self.transfer(id)?;
        let Machine::Sender(machine) = &row.machine else {
            return Ok(());
        };
        if machine.decide(sender::Command::Purge, now).is_err() {
            return Ok(());
        }
        self.carry_out(&Principal::node(), row, Command::Purged, now)
            .await
    }

    /// Puts right what the last end left, and fills what is kept in memory.
    pub(super) async fn begin(self: &Arc<Self>) -> Result<(), Refused> {
        self.close_acts().await?;
        let mut named = std::collections::HashSet::new();
        self.store.each(Table::Files, |key, _: Id| {
            named.extend(String::from_utf8(key));
            Ok::<_, Refused>(())
        })?;
        let removed = self.vault.sweep(&named)?;
        if removed > 0 {
            tracing::info!(removed, "files that nothing refers to were removed");
        }
        let mut cases = 0;
        let mut posting = Vec::new();
        self.store.each(Table::Cases, |_, case: CaseRow| {
            cases += 1;
            // Names follow when casework is open.
            self.index.put(&case, None);
            if case.export == Some(Export::Posting) {
                posting.push(case);
            }
            Ok::<_, Refused>(())
        })?;
        for case in posting {
            self.uncertain(&case).await?;
        }
        let mut transfers = 0;
        self.store.each(Table::Transfers, |_, row: TransferRow| {
            transfers += 1;
            if !self.is_done(&row) {
                self.busy(&row);
            }
            Ok::<_, Refused>(())
        })?;
        let mut requests = 0;
        self.store.each(Table::Requests, |_, row: RequestRow| {
            requests += 1;
            self.busy_request(&row);
            Ok::<_, Refused>(())
        })?;
        self.queue_waiting()?;
        self.place_webhooks().await?;
        tracing::info!(cases, transfers, requests, "casework is open");
        Ok(())
    }

    /// Unseals what searches need. A case that is changed meanwhile is there with its names already.
    fn unseal(&self) -> Result<(), Refused> {
        let began = std::time::Instant::now();
        let mut cases = 0;
        self.store.each(Table::Cases, |_, case: CaseRow| {
            cases += 1;
            if self.index.is_sealed(&case.id) {
                let record = self.open_sealed(VaultPart::Record, case.subject, &case.record)?;
                self.index.name(&case.id, record.as_ref());
            }
            Ok::<_, Refused>(())
        })?;
        tracing::info!(
            cases,
            seconds = began.elapsed().as_secs_f32(),
            "searches are complete"
        );
        Ok(())
    }

    /// Says of acts that no transaction cites that nothing followed from them.
    async fn close_acts(&self) -> Result<(), Refused> {
        let mark = self.store.get::<u64>(Table::Meta, b"acts checked")?.unwrap_or(0);
        let end = self.log.stats().entries;
        let (mut open, mut deletions) = (Vec::new(), Vec::new());
        for number in mark..end {
            let Ok(bytes) = self.log.leaf(number).await else {
                continue;
            };
            let Ok(leaf) = kontor_protocol::log::Leaf::parse(&bytes) else {
                continue;
            };
            let second = i64::try_from(leaf.second).unwrap_or(i64::MAX);
            self.used(UnixTime::from_millis(second.saturating_mul(1000)));
            if leaf.kind != EntryKind::Act {
                continue;
            }
            let cited = self
                .store
                .get::<serde_json::Value>(Table::Acts, &number.to_be_bytes())?
                .is_some();
            let ours = self
                .log
                .fact(number)
                .await
                .ok()
                .and_then(|fact| fact.said::<Acted>());
            let ours = ours.filter(|said| said.act.starts_with("casework.") && said.act != "casework.void");
            if let Some(said) = ours.filter(|_| !cited) {
                open.push(number);
                let case = said.details["case"].as_str().map(str::to_owned);
                let case = case.filter(|_| said.act == "casework.purge");
                deletions.extend(case.and_then(|case| Id::try_from(case).ok()));
            }
        }
        if !open.is_empty() {
            tracing::warn!(
                acts = open.len(),
                "acts of the last run led to nothing; that is recorded"
            );
            self.act(
                &Principal::node(),
                "void",
                "no transaction",
                serde_json::json!({ "acts": open }),
            )
            .await?;
        }
        // A deletion that was begun is carried out: its key may be gone already.
        for id in deletions {
            let _lock = self.lock(&[&id]).await;
            let case = self.case(&id)?;
            if case.purged_at.is_none() {
                self.purge(&Principal::node(), case, "begun before the last end", self.now())
                    .await?;
            }
        }
        self.checked(end).await
    }

    /// What of a transfer takes longer than it should, by code.
    pub(crate) fn overdue(&self, row: &TransferRow) -> Result<Vec<&'static str>, Refused> {
        let now = self.now();
        let older = |at: jiff::Timestamp, than: Duration| {
            now.duration_since(at) > jiff::SignedDuration::try_from(than).unwrap_or_default()
        };
        let clocks = &self.settings.clocks;
        let mut overdue = Vec::new();
        let waiting = self
            .sent_messages(&Process::Transfer(row.id.clone()))?
            .into_iter()
            .any(|message| matches!(message.state, OutState::Waiting) && older(message.at, clocks.receipt));
        if waiting {
            overdue.push("receipt_missing");
        }
        let pulling = match &row.machine {
            Machine::Receiver(machine) => machine.state() == receiver::State::PackageReady,
            Machine::Sender(machine) => machine.state() == sender::State::PackageSent,
        };
        let since = row.package_at.unwrap_or(row.offered_at);
        if pulling && older(since, clocks.import) {
            overdue.push("import_overdue");
        }
        Ok(overdue)
    }

    /// Moves the mark on: up to an entry before which every act is followed by its transaction. Whoever changes something holds a
    /// lock from before its act until after its transaction, so that is where all of those have been let go that were held when
    /// the entry was the last one. A node that is never quiet has a mark too, and does not read its whole log at the next start.
    pub(super) async fn mark_acts(&self) -> Result<(), Refused> {
        let end = {
            let mut marking = self.marking.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, held)) = marking.as_mut() {
                held.retain(|lock| lock.try_lock().is_err());
            }
            let settled = marking.take_if(|(_, held)| held.is_empty());
            if marking.is_none() {
                // The entries first: who takes a lock after that has its act behind them.
                let entries = self.log.stats().entries;
                let locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
                let held = locks.values().filter(|lock| lock.try_lock().is_err());
                *marking = Some((entries, held.cloned().collect()));
            }
            settled.map(|(entries, _)| entries)
        };
        match end {
            Some(end) if self.store.get::<u64>(Table::Meta, b"acts checked")? != Some(end) => {
                self.checked(end).await
            }
            _ => Ok(()),
        }
    }

    /// Notes up to which entry acts are known to be followed by their transactions.
    async fn checked(&self, end: u64) -> Result<(), Refused> {
        self.store
            .run_tx("acts", |tx| {
                tx.put(Table::Meta, b"acts checked", &end)?;
                Ok::<_, super::TxError<Refused>>(())
            })
            .await?;
        Ok(())
    }
}
