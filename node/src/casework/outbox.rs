//! Messages to other nodes, until they are settled: in their order within a transfer, a few transfers of a peer at a time, with
//! back-off and jitter while a peer is silent. A peer that comes back gets one message first and not all of them at once.
//!
//! Any signed answer settles a message. A fault or silence is tried again, in the end it is parked; a message that is refused as
//! malformed is parked at once. What is parked blocks its transfer until a person has it sent again or gives it up (`void`).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use kontor_participation::transfer::delivery::{Body, CONTRACT, Place, Receipt, Sent};
use kontor_participation::transfer::message::Answer;
use kontor_participation::transfer::offer::Id;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::caller::Caller;
use super::row::{InRow, Machine, OutRow, OutState, TransferRow};
use super::{Casework, Principal, Refused, Step, Table, out_key};
use crate::config::casework::Role;

/// Transfers of one peer that are told something at a time, at most. Together they share signatures and syncs.
const AT_ONCE: usize = 32;
/// The first wait after a failure, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// After so long in vain a message is parked.
const END: Duration = Duration::from_secs(30 * 86_400);

#[derive(Default)]
struct Peer {
    waiting: VecDeque<Id>,
    queued: BTreeSet<Id>,
    /// Transfers that are told something now, and whether there is more meanwhile.
    running: BTreeMap<Id, bool>,
    failures: u32,
    not_before: Option<Instant>,
    /// How many are told at a time: one that answers again is not told everything at once.
    window: usize,
}

impl Peer {
    fn add(&mut self, transfer: &Id) {
        if self.queued.insert(transfer.clone()) {
            self.waiting.push_back(transfer.clone());
        }
    }
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    peers: Mutex<HashMap<String, Peer>>,
    wake: Notify,
}

/// How an attempt ended.
enum Ended {
    /// It is settled, or there was nothing to do.
    Settled,
    /// The peer is silent.
    Silent,
}

impl Outbox {
    fn peers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of a transfer waits for a peer.
    pub(super) fn queue(&self, peer: &str, transfer: &Id) {
        let mut peers = self.peers();
        let peer = peers.entry(peer.to_owned()).or_default();
        match peer.running.get_mut(transfer) {
            Some(more) => *more = true,
            None => peer.add(transfer),
        }
        drop(peers);
        self.wake.notify_one();
    }

    /// What can be sent now, and when there may be more.
    fn next(&self, now: Instant) -> (Vec<(String, Id)>, Option<Instant>) {
        let (mut ready, mut later) = (Vec::new(), None::<Instant>);
        for (name, peer) in self.peers().iter_mut() {
            if let Some(at) = peer.not_before.filter(|at| *at > now) {
                if !peer.waiting.is_empty() {
                    later = Some(later.map_or(at, |other| other.min(at)));
                }
                continue;
            }
            while peer.running.len() < peer.window.max(1)
                && let Some(transfer) = peer.waiting.pop_front()
            {
                peer.queued.remove(&transfer);
                peer.running.insert(transfer.clone(), false);
                ready.push((name.clone(), transfer));
            }
        }
        (ready, later)
    }

    fn ended(&self, name: &str, transfer: &Id, ended: &Ended) {
        let mut peers = self.peers();
        let peer = peers.entry(name.to_owned()).or_default();
        let more = peer.running.remove(transfer).unwrap_or(false);
        match ended {
            Ended::Settled => {
                peer.failures = 0;
                peer.not_before = None;
                peer.window = (peer.window.max(1) + 1).min(AT_ONCE);
                if more {
                    peer.add(transfer);
                }
            }
            Ended::Silent => {
                let now = Instant::now();
                // One goes ahead when it is tried again.
                peer.window = 1;
                // Those that were on their way together fail together, which is one failure.
                if peer.not_before.is_none_or(|at| at <= now) {
                    peer.failures = peer.failures.saturating_add(1);
                    let doubled = WAIT
                        .0
                        .saturating_mul(1 << peer.failures.saturating_sub(1).min(12));
                    let wait = doubled.min(WAIT.1);
                    // Half of it by chance, so that nodes that failed together do not come back together.
                    let chance =
                        f64::from(u32::from_be_bytes(kontor_pki::crypto::random())) / f64::from(u32::MAX);
                    peer.not_before = Some(now + wait.mul_f64(0.5 + chance / 2.0));
                }
                if peer.queued.insert(transfer.clone()) {
                    peer.waiting.push_front(transfer.clone());
                }
            }
        }
        drop(peers);
        self.wake.notify_one();
    }

    /// A peer spoke to us, so it can be spoken to: one message goes ahead of the others now.
    pub(super) fn heard_of(&self, name: &str) {
        if let Some(peer) = self.peers().get_mut(name)
            && peer.not_before.take().is_some()
        {
            self.wake.notify_one();
        }
    }

    /// How much waits for each peer, and how often it was silent in a row.
    pub(super) fn waiting(&self) -> Vec<(String, usize, u32)> {
        let peers = self.peers();
        let all = peers.iter().map(|(name, peer)| {
            (
                name.clone(),
                peer.waiting.len() + peer.running.len(),
                peer.failures,
            )
        });
        all.filter(|(_, waiting, _)| *waiting > 0).collect()
    }
}

impl Casework {
    /// Sends what waits, for as long as the node runs.
    pub(super) async fn run_outbox(self: Arc<Self>, caller: Arc<Caller>) {
        loop {
            let (ready, later) = self.outbox.next(Instant::now());
            for (peer, transfer) in ready {
                let (casework, caller) = (Arc::clone(&self), Arc::clone(&caller));
                self.shutdown.spawn(async move {
                    let ended = match casework.send_next(&caller, &transfer).await {
                        Ok(ended) => ended,
                        Err(refused) => {
                            tracing::error!(code = refused.code, %transfer, "a message could not be handled: {}", refused.detail);
                            Ended::Silent
                        }
                    };
                    casework.outbox.ended(&peer, &transfer, &ended);
                });
            }
            let wait = async {
                match later {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = self.outbox.wake.notified() => {}
                () = wait => {}
                () = self.shutdown.soft() => return,
            }
        }
    }

    /// The first message of a transfer that waits; nothing when one before it is parked.
    fn first_waiting(&self, transfer: &Id) -> Result<Option<OutRow>, Refused> {
        // One after the other is settled, so what waits are the last ones.
        let is_open = |row: &OutRow| matches!(row.state, OutState::Waiting | OutState::Parked { .. });
        let mut most = 2;
        loop {
            let rows =
                self.store
                    .last_below::<OutRow>(Table::Outbox, transfer.to_string().as_bytes(), most)?;
            let (there, open) = (rows.len(), rows.into_iter().take_while(is_open));
            let open: Vec<_> = open.collect();
            if open.len() == most && there == most {
                most *= 8;
                continue;
            }
            let first = open.into_iter().next_back();
            return Ok(first.filter(|row| matches!(row.state, OutState::Waiting)));
        }
    }

    async fn send_next(self: &Arc<Self>, caller: &Caller, transfer: &Id) -> Result<Ended, Refused> {
        let Some(mut row) = self.first_waiting(transfer)? else {
            return Ok(Ended::Settled);
        };
        let party = self.transfer(transfer)?.machine.party();
        let path = Place::Message {
            transfer: transfer.clone(),
            party,
            seq: row.seq,
            kind: row.kind.clone(),
        }
        .to_string();
        let seq = row.seq;
        let body = Bytes::from(row.body.clone());
        let answered = caller.call(&row.peer, Method::PUT, &path, body).await;
        let answer = match answered {
            Ok(answer)
                if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS =>
            {
                tracing::info!(%transfer, seq = row.seq, kind = row.kind, status = answer.status.as_u16(), "a peer asks for patience");
                return self
                    .silent(row, "unavailable", format!("it answers with {}", answer.status))
                    .await;
            }
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(%transfer, seq = row.seq, kind = row.kind, "a peer could not be told: {error}");
                return self.silent(row, "undeliverable", error).await;
            }
        };
        let receipt = serde_json::from_slice::<Receipt>(&answer.body).ok();
        let receipt = receipt.filter(|receipt| receipt.contract == CONTRACT && receipt.message == path);
        match receipt.filter(|_| matches!(answer.status, StatusCode::ACCEPTED | StatusCode::CONFLICT)) {
            Some(receipt) => {
                self.answered_by(row, receipt, answer.query_id).await?;
            }
            None => {
                let said: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                let text = |name: &str| {
                    said.get(name)
                        .and_then(|value| value.as_str())
                        .unwrap_or_default()
                };
                row.state = OutState::Parked {
                    code: Some(text("code"))
                        .filter(|code| !code.is_empty())
                        .unwrap_or("refused")
                        .to_owned(),
                    reason: format!("status {}: {}", answer.status.as_u16(), text("detail")),
                };
                self.park(row).await?;
            }
        }
        // The next one of this transfer, if there is one.
        let known = self.transfer(transfer)?;
        if known.sent > seq {
            self.outbox.queue(&known.peer, transfer);
        }
        Ok(Ended::Settled)
    }

    async fn silent(self: &Arc<Self>, mut row: OutRow, code: &str, reason: String) -> Result<Ended, Refused> {
        if self.now().duration_since(row.at).unsigned_abs() < END {
            return Ok(Ended::Silent);
        }
        row.state = OutState::Parked {
            code: code.to_owned(),
            reason,
        };
        self.park(row).await?;
        Ok(Ended::Settled)
    }

    async fn park(self: &Arc<Self>, row: OutRow) -> Result<(), Refused> {
        let _lock = self.lock(&[&row.transfer]).await;
        let transfer = self.transfer(&row.transfer)?;
        if let OutState::Parked { code, reason } = &row.state {
            tracing::warn!(transfer = %row.transfer, seq = row.seq, kind = row.kind, code, "a message is parked: {reason}");
        }
        let now = self.now();
        let details = json!({ "transfer": row.transfer, "seq": row.seq, "kind": row.kind });
        let cites = self
            .act(&Principal::node(), "park", "undeliverable", details)
            .await?;
        let mut step = Step {
            transfer: Some(transfer),
            ..Step::default()
        };
        step.event("transfer.parked", now);
        self.put_out(&cites, step, row).await
    }

    /// Commits a step that changes a message's row without sending anything.
    async fn put_out(&self, cites: &super::row::Cited, mut step: Step, row: OutRow) -> Result<(), Refused> {
        step.out.push(row);
        self.commit("outbox", cites, step).await
    }

    /// Takes the answer to a message.
    async fn answered_by(
        self: &Arc<Self>,
        mut row: OutRow,
        receipt: Receipt,
        exchange: Option<String>,
    ) -> Result<(), Refused> {
        let before = self.transfer(&row.transfer)?;
        let ids: Vec<&Id> = std::iter::once(&row.transfer)
            .chain(before.case.as_ref())
            .collect();
        let _lock = self.lock(&ids).await;
        let mut transfer = self.transfer(&row.transfer)?;
        let was = transfer.machine.clone();
        let mut case = transfer.case.as_ref().map(|case| self.case(case)).transpose()?;
        let now = self.now();
        let sent: Sent = serde_json::from_str(&row.body).map_err(|error| Refused::internal(&error))?;
        let answer = receipt.answer;
        if let Some(message) = sent.body.message() {
            match transfer.machine.clone() {
                Machine::Sender(mut machine) => {
                    if let Some(decision) = machine.answered(message, answer) {
                        machine.apply(&decision);
                        transfer.machine = Machine::Sender(machine);
                    }
                }
                Machine::Receiver(mut machine) => {
                    if let Some(decision) = machine.answered(message, answer) {
                        machine.apply(&decision);
                        transfer.machine = Machine::Receiver(machine);
                    }
                }
            }
        }
        if let Some(case) = &mut case {
            self.settle_case(case, &transfer, now);
        }
        if matches!(sent.body, Body::TakenOver { .. }) && answer == Answer::Taken {
            transfer.proven_below = Some(self.log.stamp_soon());
        }
        let changed = transfer.machine != was;
        let cites = match changed {
            // The answer is an entry of its own in the log; what follows from it is an act that cites the message.
            true => {
                let details = json!({
                    "transfer": transfer.id, "seq": row.seq, "kind": row.kind, "state": transfer.machine.state(),
                });
                self.act(&Principal::node(), "answered", "receipt", details)
                    .await?
            }
            false => transfer.cites.clone(),
        };
        let state = transfer.machine.state();
        row.state = OutState::Answered {
            receipt: Box::new(receipt),
            exchange,
        };
        let mut step = Step {
            case: case.filter(|_| changed),
            transfer: Some(transfer).filter(|_| changed),
            ..Step::default()
        };
        if changed {
            step.event(&format!("transfer.{}", state.to_lowercase()), now);
        }
        self.put_out(&cites, step, row).await
    }

    /// Has a parked message sent again, or gives it up.
    pub(crate) async fn parked(&self, who: &Principal, id: &Id, again: bool) -> Result<TransferRow, Refused> {
        who.needs(&[Role::Supervisor, Role::Worker])?;
        let _lock = self.lock(&[id]).await;
        let transfer = self.seen_transfer(who, id)?;
        let now = self.decisive_now()?;
        let rows = self
            .store
            .below::<OutRow>(Table::Outbox, id.to_string().as_bytes())?;
        let parked = rows
            .into_iter()
            .map(|(_, row)| row)
            .find(|row| matches!(row.state, OutState::Parked { .. }));
        let mut row = parked
            .ok_or_else(|| Refused::conflict("nothing_parked", "no message of this transfer is parked"))?;
        let name = if again { "retry" } else { "void" };
        let details = json!({ "transfer": id, "seq": row.seq, "kind": row.kind });
        let cites = self.act(who, name, "worker", details).await?;
        row.state = OutState::Waiting;
        if !again {
            let body = Body::Void {
                gives_up: row.kind.clone(),
            };
            row.kind = body.kind().to_owned();
            row.body = serde_json::to_string(&Sent::new(body, now, self.test))
                .map_err(|error| Refused::internal(&error))?;
        }
        row.at = now;
        let mut step = Step {
            transfer: Some(transfer),
            ..Step::default()
        };
        step.event(&format!("transfer.{name}"), now);
        self.put_out(&cites, step, row).await?;
        self.transfer(id)
    }

    /// The messages of a transfer that were sent or wait.
    pub(crate) fn sent_messages(&self, id: &Id) -> Result<Vec<OutRow>, Refused> {
        let rows = self
            .store
            .below::<OutRow>(Table::Outbox, id.to_string().as_bytes())?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The messages of a transfer that came, with the answers that were given.
    pub(crate) fn received_messages(&self, id: &Id) -> Result<serde_json::Value, Refused> {
        let rows = self
            .store
            .below::<InRow>(Table::Inbox, id.to_string().as_bytes())?;
        let rows = rows.into_iter().map(|(key, row)| {
            let seq = key.last_chunk::<4>().map_or(0, |seq| u32::from_be_bytes(*seq));
            json!({
                "seq": seq, "kind": row.kind, "at": row.at, "sha256": row.sha256, "receipt": row.receipt, "again": row.again,
            })
        });
        Ok(rows.collect())
    }

    /// Queues what a start finds waiting.
    pub(super) fn queue_waiting(&self) -> Result<(), Refused> {
        self.store.each(Table::Outbox, |key, row: OutRow| {
            debug_assert_eq!(key, out_key(&row.transfer, row.seq));
            if matches!(row.state, OutState::Waiting) {
                self.outbox.queue(&row.peer, &row.transfer);
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::random_id;
    use super::*;

    const PEER: &str = "TEST/GOV/1002/KONTOR";

    fn next(outbox: &Outbox, in_seconds: u64) -> Vec<Id> {
        let (ready, _) = outbox.next(Instant::now() + Duration::from_secs(in_seconds));
        ready.into_iter().map(|(_, transfer)| transfer).collect()
    }

    #[test]
    fn a_peer_is_told_more_at_a_time_while_it_answers_and_one_thing_after_it_was_silent() {
        let outbox = Outbox::default();
        for _ in 0..200 {
            outbox.queue(PEER, &random_id());
        }
        let mut running = next(&outbox, 0);
        assert_eq!(running.len(), 1, "a peer that nobody knows yet");
        let mut widest = 0;
        for _ in 0..100 {
            let one = running.remove(0);
            outbox.ended(PEER, &one, &Ended::Settled);
            running.extend(next(&outbox, 0));
            widest = widest.max(running.len());
        }
        assert_eq!(widest, AT_ONCE);
        for one in &running {
            outbox.ended(PEER, one, &Ended::Silent);
        }
        assert!(next(&outbox, 0).is_empty(), "it is left alone for a while");
        let (_, waiting, failures) = outbox.waiting().remove(0);
        assert_eq!(
            (waiting, failures),
            (100, 1),
            "they failed together, and nothing is lost"
        );
        assert_eq!(next(&outbox, 600).len(), 1, "one goes ahead");
    }

    #[test]
    fn a_peer_that_speaks_is_spoken_to_before_its_time() {
        let outbox = Outbox::default();
        let id = random_id();
        outbox.queue(PEER, &id);
        assert_eq!(next(&outbox, 0), std::slice::from_ref(&id));
        outbox.ended(PEER, &id, &Ended::Silent);
        assert!(next(&outbox, 0).is_empty());
        outbox.heard_of(PEER);
        assert_eq!(next(&outbox, 0), [id]);
    }
}
