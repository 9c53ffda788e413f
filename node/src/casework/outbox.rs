//! Messages to other nodes, until they are settled: in their order within a transfer or a request, a few of a peer at a time, with
//! back-off and jitter while a peer is silent. A peer that comes back gets one message first and not all of them at once.
//!
//! Any signed answer settles a message. A fault or silence is tried again, in the end it is parked; a message that is refused as
//! malformed is parked at once. What is parked blocks what it belongs to until a person has it sent again or gives it up (`void`).

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use jiff::Timestamp;
use kontor_participation::round::delivery as round;
use kontor_participation::transfer::delivery::{Body, CONTRACT, Place, Receipt, Sent};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::caller::Caller;
use super::row::{Cited, InRow, OutRow, OutState, Process};
use super::{Casework, Principal, Refused, Step, Table};
use crate::config::casework::{PARTICIPATION, SERVICE};

/// Transfers and requests of one peer that are told something at a time, at most. Together they share signatures and syncs.
const AT_ONCE: usize = 32;
/// The first wait after a failure, and the longest.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// The wait for a peer that answers, and cannot take a message yet.
const NOT_YET: Duration = Duration::from_secs(2);
/// After so long in vain a message is parked.
const END: Duration = Duration::from_secs(30 * 86_400);

#[derive(Default)]
struct Peer {
    waiting: VecDeque<Process>,
    queued: BTreeSet<Process>,
    /// What is told something now, and whether there is more meanwhile.
    running: BTreeMap<Process, bool>,
    failures: u32,
    not_before: Option<Instant>,
    /// How many are told at a time: one that answers again is not told everything at once.
    window: usize,
}

impl Peer {
    fn add(&mut self, process: &Process) {
        if self.queued.insert(process.clone()) {
            self.waiting.push_back(process.clone());
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
    /// The peer answers, and cannot take this one yet: what it waits for may stand behind it.
    NotYet,
}

impl Outbox {
    fn peers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Peer>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something of a transfer or a request waits for a peer.
    pub(super) fn queue(&self, peer: &str, process: &Process) {
        let mut peers = self.peers();
        let peer = peers.entry(peer.to_owned()).or_default();
        match peer.running.get_mut(process) {
            Some(more) => *more = true,
            None => peer.add(process),
        }
        drop(peers);
        self.wake.notify_one();
    }

    /// What can be sent now, and when there may be more.
    fn next(&self, now: Instant) -> (Vec<(String, Process)>, Option<Instant>) {
        let (mut ready, mut later) = (Vec::new(), None::<Instant>);
        for (name, peer) in self.peers().iter_mut() {
            if let Some(at) = peer.not_before.filter(|at| *at > now) {
                if !peer.waiting.is_empty() {
                    later = Some(later.map_or(at, |other| other.min(at)));
                }
                continue;
            }
            while peer.running.len() < peer.window.max(1)
                && let Some(process) = peer.waiting.pop_front()
            {
                peer.queued.remove(&process);
                peer.running.insert(process.clone(), false);
                ready.push((name.clone(), process));
            }
        }
        (ready, later)
    }

    fn ended(&self, name: &str, process: &Process, ended: &Ended) {
        let mut peers = self.peers();
        let peer = peers.entry(name.to_owned()).or_default();
        let more = peer.running.remove(process).unwrap_or(false);
        match ended {
            Ended::Settled | Ended::NotYet => {
                peer.failures = 0;
                peer.not_before = None;
                peer.window = (peer.window.max(1) + 1).min(AT_ONCE);
                if more {
                    peer.add(process);
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
                if peer.queued.insert(process.clone()) {
                    peer.waiting.push_front(process.clone());
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
            for (peer, process) in ready {
                let (casework, caller) = (Arc::clone(&self), Arc::clone(&caller));
                self.shutdown.spawn(async move {
                    let ended = match casework.send_next(&caller, &process).await {
                        Ok(ended) => ended,
                        Err(refused) => {
                            tracing::error!(code = refused.code, %process, "a message could not be handled: {}", refused.detail);
                            Ended::Silent
                        }
                    };
                    casework.outbox.ended(&peer, &process, &ended);
                    if matches!(ended, Ended::NotYet) {
                        tokio::select! {
                            () = tokio::time::sleep(NOT_YET) => casework.outbox.queue(&peer, &process),
                            () = casework.shutdown.soft() => {}
                        }
                    }
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

    /// The first message that waits; nothing when one before it is parked.
    fn first_waiting(&self, process: &Process) -> Result<Option<OutRow>, Refused> {
        // One after the other is settled, so what waits are the last ones.
        let is_open = |row: &OutRow| matches!(row.state, OutState::Waiting | OutState::Parked { .. });
        let mut most = 2;
        loop {
            let rows = self
                .store
                .last_below::<OutRow>(Table::Outbox, &process.key(), most)?;
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

    /// The service and the path of a message.
    fn place_of(&self, row: &OutRow) -> Result<(&'static str, String), Refused> {
        let (seq, kind) = (row.seq, row.kind.clone());
        Ok(match &row.process {
            Process::Transfer(transfer) => {
                let place = Place::Message {
                    transfer: transfer.clone(),
                    party: self.transfer(transfer)?.machine.party(),
                    seq,
                    kind,
                };
                (SERVICE, place.to_string())
            }
            Process::Request(side, request) => {
                let place = round::Place::Message {
                    request: request.clone(),
                    side: *side,
                    seq,
                    kind,
                };
                (PARTICIPATION, place.to_string())
            }
        })
    }

    async fn send_next(self: &Arc<Self>, caller: &Caller, process: &Process) -> Result<Ended, Refused> {
        let Some(mut row) = self.first_waiting(process)? else {
            return Ok(Ended::Settled);
        };
        if let Process::Request(side, request) = process
            && !self.may_send(*side, request, &row).await?
        {
            return Ok(Ended::Settled);
        }
        let (service, path) = self.place_of(&row)?;
        let seq = row.seq;
        let body = Bytes::from(row.body.clone());
        let answered = caller.call(&row.peer, service, Method::PUT, &path, body).await;
        let answer = match answered {
            // It asks no more, or does not yet: the role of who asks is on its way.
            Ok(answer) if self.waits_for_who_asks(process, answer.status, &answer.body) => {
                tracing::info!(%process, seq = row.seq, kind = row.kind, status = answer.status.as_u16(), "who asks is about to be another one");
                return match self.is_over(&row) {
                    false => Ok(Ended::NotYet),
                    true => {
                        self.silent(row, "not_there", format!("it answers with {}", answer.status))
                            .await
                    }
                };
            }
            Ok(answer)
                if answer.status.is_server_error() || answer.status == StatusCode::TOO_MANY_REQUESTS =>
            {
                tracing::info!(%process, seq = row.seq, kind = row.kind, status = answer.status.as_u16(), "a peer asks for patience");
                return self
                    .silent(row, "unavailable", format!("it answers with {}", answer.status))
                    .await;
            }
            Ok(answer) => answer,
            Err(error) => {
                tracing::info!(%process, seq = row.seq, kind = row.kind, "a peer could not be told: {error}");
                return self.silent(row, "undeliverable", error).await;
            }
        };
        let is_settled = matches!(answer.status, StatusCode::ACCEPTED | StatusCode::CONFLICT);
        let text = String::from_utf8(answer.body.to_vec()).unwrap_or_default();
        let more = match is_settled.then(|| Settled::read(process, &path, &text)).flatten() {
            Some(settled) => {
                row.state = OutState::Answered {
                    receipt: text,
                    exchange: answer.query_id,
                };
                match settled {
                    Settled::Transfer(receipt) => self.transfer_answered(row, receipt).await?,
                    Settled::Request(receipt) => self.request_answered(row, receipt).await?,
                }
            }
            None => {
                let said: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
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
                None
            }
        };
        // The next one, if there is one.
        if let Some((peer, sent)) = more
            && sent > seq
        {
            self.outbox.queue(&peer, process);
        }
        Ok(Ended::Settled)
    }

    /// Whether a message was tried for long enough.
    fn is_over(&self, row: &OutRow) -> bool {
        self.now().duration_since(row.at).unsigned_abs() >= END
    }

    async fn silent(self: &Arc<Self>, mut row: OutRow, code: &str, reason: String) -> Result<Ended, Refused> {
        if !self.is_over(&row) {
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
        let _lock = self.lock(&[row.process.id()]).await;
        if let OutState::Parked { code, reason } = &row.state {
            tracing::warn!(process = %row.process, seq = row.seq, kind = row.kind, code, "a message is parked: {reason}");
        }
        let now = self.now();
        let mut step = self.touched(&row.process)?;
        if row.seq == 1 {
            // The request itself: it could not be delivered.
            step.undeliverable(now);
        }
        let mut details = json!({ "seq": row.seq, "kind": row.kind });
        details[row.process.name()] = json!(row.process.id());
        let cites = self
            .act(&Principal::node(), "park", "undeliverable", details)
            .await?;
        step.event(&format!("{}.parked", row.process.name()), now);
        self.put_out(&cites, step, row).await
    }

    /// A step with the row that a message belongs to.
    fn touched(&self, process: &Process) -> Result<Step, Refused> {
        let mut step = Step::default();
        match process {
            Process::Transfer(id) => step.transfer = Some(self.transfer(id)?),
            Process::Request(side, id) => step.requests.push(self.request(*side, id)?),
        }
        Ok(step)
    }

    /// Commits a step that changes a message's row without sending anything.
    pub(super) async fn put_out(&self, cites: &Cited, mut step: Step, row: OutRow) -> Result<(), Refused> {
        step.out.push(row);
        self.commit("outbox", cites, step).await
    }

    /// Has a parked message sent again, or gives it up.
    pub(crate) async fn parked(
        &self,
        who: &Principal,
        process: &Process,
        again: bool,
    ) -> Result<(), Refused> {
        let _lock = self.lock(&[process.id()]).await;
        let now = self.decisive_now()?;
        let parked = self
            .sent_messages(process)?
            .into_iter()
            .find(|row| matches!(row.state, OutState::Parked { .. }));
        let mut row = parked.ok_or_else(|| {
            Refused::conflict(
                "nothing_parked",
                format!("no message of this {} is parked", process.name()),
            )
        })?;
        let mut step = self.touched(process)?;
        step.tried_again(again, &row, now)?;
        let name = if again { "retry" } else { "void" };
        let mut details = json!({ "seq": row.seq, "kind": row.kind });
        details[process.name()] = json!(process.id());
        let cites = self.act(who, name, "worker", details).await?;
        row.state = OutState::Waiting;
        if !again {
            (row.kind, row.body) = given_up(&row, now, self.test)?;
        }
        row.at = now;
        step.event(&format!("{}.{name}", process.name()), now);
        self.put_out(&cites, step, row).await
    }

    /// The messages that were sent or wait.
    pub(crate) fn sent_messages(&self, process: &Process) -> Result<Vec<OutRow>, Refused> {
        let rows = self.store.below::<OutRow>(Table::Outbox, &process.key())?;
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    /// The messages that came, with the answers that were given.
    pub(crate) fn received_messages(&self, process: &Process) -> Result<serde_json::Value, Refused> {
        let rows = self.store.below::<InRow>(Table::Inbox, &process.key())?;
        let rows = rows.into_iter().map(|(key, row)| {
            let seq = key.last_chunk::<4>().map_or(0, |seq| u32::from_be_bytes(*seq));
            row.view(seq)
        });
        Ok(rows.collect())
    }

    /// Queues what a start finds waiting.
    pub(super) fn queue_waiting(&self) -> Result<(), Refused> {
        self.store.each(Table::Outbox, |key, row: OutRow| {
            debug_assert_eq!(key, row.process.numbered(row.seq));
            if matches!(row.state, OutState::Waiting) {
                self.outbox.queue(&row.peer, &row.process);
            }
            Ok(())
        })
    }
}

/// The signed answer that settles a message.
enum Settled {
    Transfer(Receipt),
    Request(round::Receipt),
}

impl Settled {
    /// Reads one; nothing if it is about another message.
    fn read(process: &Process, path: &str, text: &str) -> Option<Self> {
        match process {
            Process::Transfer(_) => {
                let receipt: Receipt = serde_json::from_str(text).ok()?;
                (receipt.contract == CONTRACT && receipt.message == path).then_some(Self::Transfer(receipt))
            }
            Process::Request(..) => {
                let receipt: round::Receipt = serde_json::from_str(text).ok()?;
                (receipt.contract == round::CONTRACT && receipt.message == path)
                    .then_some(Self::Request(receipt))
            }
        }
    }
}

/// The kind and the body of what takes the place of a message that is given up.
fn given_up(row: &OutRow, now: Timestamp, test: bool) -> Result<(String, String), Refused> {
    let gives_up = row.kind.clone();
    let body = match &row.process {
        Process::Transfer(_) => serde_json::to_string(&Sent::new(Body::Void { gives_up }, now, test)),
        Process::Request(..) => {
            let before: round::Sent =
                serde_json::from_str(&row.body).map_err(|error| Refused::internal(&error))?;
            let body = round::Body::Void { gives_up };
            serde_json::to_string(&round::Sent::new(body, before.heard, now, test))
        }
    };
    Ok((
        "void".to_owned(),
        body.map_err(|error| Refused::internal(&error))?,
    ))
}

#[cfg(test)]
mod tests {
    use super::super::random_id;
    use super::*;

    const PEER: &str = "TEST/GOV/1002/KONTOR";

    impl Outbox {
        /// What would be sent now; it counts as settled.
        pub(in crate::casework) fn taken(&self) -> Vec<Process> {
            let (ready, _) = self.next(Instant::now());
            for (peer, process) in &ready {
                self.ended(peer, process, &Ended::Settled);
            }
            ready.into_iter().map(|(_, process)| process).collect()
        }
    }

    fn next(outbox: &Outbox, in_seconds: u64) -> Vec<Process> {
        let (ready, _) = outbox.next(Instant::now() + Duration::from_secs(in_seconds));
        ready.into_iter().map(|(_, process)| process).collect()
    }

    #[test]
    fn a_peer_is_told_more_at_a_time_while_it_answers_and_one_thing_after_it_was_silent() {
        let outbox = Outbox::default();
        for _ in 0..200 {
            outbox.queue(PEER, &Process::Transfer(random_id()));
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
        let id = Process::Transfer(random_id());
        outbox.queue(PEER, &id);
        assert_eq!(next(&outbox, 0), std::slice::from_ref(&id));
        outbox.ended(PEER, &id, &Ended::Silent);
        assert!(next(&outbox, 0).is_empty());
        outbox.heard_of(PEER);
        assert_eq!(next(&outbox, 0), [id]);
    }
}
