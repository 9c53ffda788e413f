//! Shows the own checkpoints to the peers that the node exchanged with, and keeps their co-signatures. A peer that has seen
//! more of this log than there is ends all signing here: an older copy of the log stands in its place. So those who may have
//! seen more are asked before the first message after a start is taken.
//!
//! A peer that cannot be asked is asked again later and later, and one that has no such service hardly ever: neither of them
//! may fill logs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use http::{Method, StatusCode};
use kontor_protocol::id::ServerId;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::note::{NoteSignature, SignatureKind};
use kontor_protocol::log::witness::{AddCheckpoint, parse_size_body};
use kontor_protocol::trust::TrustSet;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::Witness;
use super::ask::{AskError, Asker, Place};
use crate::messagelog::LogError;
use crate::shutdown::Shutdown;
use crate::sight::{Sight, Stand, instant};

/// Peers that are shown a checkpoint at the same time.
const TOGETHER: usize = 8;
/// One peer takes no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// Peers that are asked before the first message is taken, and how long all of them may take.
const FIRST: usize = 16;
const HOLD: Duration = Duration::from_secs(5);
/// The longest wait before a peer is asked again: while it cannot be asked, and when it has no such service.
const LONGEST: Duration = Duration::from_secs(600);
const WITHOUT_SERVICE: Duration = Duration::from_secs(6 * 3600);
/// What is being shown when the node stops may take so much longer.
const LAST: Duration = Duration::from_secs(2);

/// What is known of one peer's witness.
#[derive(Default)]
struct Peer {
    /// Size of the checkpoint that it keeps, as far as it said.
    size: u64,
    /// The key it co-signs with.
    key: Option<Binding>,
    /// Whether what it keeps of this log was compared with the log since the start.
    is_compared: bool,
    /// The second of the binding of the own key that it was last shown, if it had to be since the start.
    introduced: Option<u64>,
    /// Failures in a row, and when it may be asked again.
    failures: u32,
    due: Option<Instant>,
}

/// Shows checkpoints.
pub struct Shower {
    asker: Arc<Asker>,
    witness: Arc<Witness>,
    sight: Sight,
    /// The first wait after a failure.
    pause: Duration,
    /// The second of the binding of the own key when the node started, which peers are thought to know.
    bound: Option<u64>,
    peers: HashMap<ServerId, Peer>,
    pending: Pending,
}

/// Peers that have to be shown a checkpoint, and how many entries it has to have: those of the exchanges with them are in the log, but
/// some may be newer than the newest checkpoint.
#[derive(Default)]
struct Pending(HashMap<ServerId, (Place, u64)>);

impl Pending {
    fn add(&mut self, place: Place, entries: u64) {
        self.0.insert(place.server.clone(), (place, entries));
    }

    fn servers(&self) -> impl Iterator<Item = &ServerId> {
        self.0.keys()
    }

    /// Those to be shown the checkpoint of this size: not whoever has it already and waits for one that is still to come.
    fn of(&self, size: u64, has: impl Fn(&ServerId) -> u64) -> Vec<Place> {
        let all = self.0.iter();
        all.filter(|(server, (_, wanted))| *wanted <= size || has(server) < size)
            .map(|(_, (place, _))| place.clone())
            .collect()
    }

    /// One was shown the checkpoint of this size.
    fn shown(&mut self, server: &ServerId, size: u64) {
        if self.0.get(server).is_some_and(|(_, wanted)| *wanted <= size) {
            self.leave(server);
        }
    }

    fn leave(&mut self, server: &ServerId) {
        self.0.remove(server);
    }
}

/// Why a peer did not co-sign.
#[derive(Debug, thiserror::Error)]
enum ShowError {
    #[error("it keeps a checkpoint that this log does not go on from: {0}")]
    Refuted(LogError),
    #[error(transparent)]
    Ask(#[from] AskError),
}

type ShownBy = (Vec<NoteSignature>, Binding);

impl Shower {
    /// Shows what it shows through this; a peer that could not be asked is asked again after `pause` for the first time.
    pub fn new(asker: Arc<Asker>, witness: Arc<Witness>, sight: Sight, pause: Duration) -> Self {
        let log = &asker.handles.log;
        if let Some((cosigned, witnesses)) = log.cosigned_checkpoint() {
            let [log_key, _] = log.ledger_keys();
            let keys: Vec<_> = witnesses
                .iter()
                .map(|witness| witness.statement.key().clone())
                .collect();
            let signed = cosigned.verify(&log_key, &keys);
            let signed = signed.as_ref().map(|signed| signed.cosignatures());
            for witness in &witnesses {
                let of_witness = |name: &str| name == witness.statement.key().name().as_str();
                let signed = signed.as_ref().ok().into_iter().copied().flatten();
                let second = signed
                    .filter(|by| of_witness(by.witness.as_str()))
                    .map(|by| by.second)
                    .max();
                sight.of_cosigner(&witness.statement.server().to_string(), |peer| {
                    peer.size = Some(cosigned.claimed().size());
                    peer.cosigned = second.map(instant);
                });
            }
        }
        let bound = own_binding(&asker).map(|binding| binding.statement.since());
        Self {
            asker,
            witness,
            sight,
            pause,
            bound,
            peers: HashMap::new(),
            pending: Pending::default(),
        }
    }

    /// Compares the log with what peers keep of it, lets exchanges go on, and shows every checkpoint until the node stops.
    pub async fn run(mut self, mut newest: watch::Receiver<Option<SignedCheckpoint>>, shutdown: Shutdown) {
        let handles = Arc::clone(&self.asker.handles);
        tokio::select! {
            () = shutdown.soft() => {}
            () = self.compare_first() => {}
        }
        handles.gate.open();
        loop {
            let pending = self
                .pending
                .servers()
                .filter_map(|server| self.peers.get(server)?.due);
            let due = pending.min();
            tokio::select! {
                () = shutdown.soft() => return,
                changed = newest.changed() => if changed.is_err() { return },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
            }
            let Some(checkpoint) = newest.borrow_and_update().clone() else {
                continue;
            };
            if handles.log.checkpoint_refusal().is_some() {
                // Nothing is signed any more; commands may still ask peers.
                shutdown.soft().await;
                return;
            }
            let stopped = async {
                shutdown.soft().await;
                sleep(LAST).await;
            };
            tokio::select! {
                () = stopped => return,
                () = self.show(&checkpoint) => {}
            }
        }
    }

    /// Asks those who co-signed before, and those whose logs are watched here, what they keep of this log. Who cannot be asked
    /// in time is asked before the next checkpoint is shown to it.
    async fn compare_first(&mut self) {
        let handles = Arc::clone(&self.asker.handles);
        let known = handles.log.cosigned_checkpoint();
        let known = known.iter().flat_map(|(_, witnesses)| witnesses);
        let mut members: Vec<_> = known.map(|witness| witness.statement.member().clone()).collect();
        let watched = self.witness.servers().await;
        members.extend(watched.iter().map(|server| server.owner().clone()));
        let mut met = HashSet::new();
        members.retain(|member| met.insert(member.clone()));
        if members.is_empty() {
            return;
        }
        // Those who co-signed before are shown the next checkpoint, whoever exchanges messages.
        for member in &members {
            handles.partners.note(member);
        }
        // Without configuration and signing key no message is taken either.
        let trust = loop {
            let trust = handles.trust.current(handles.now());
            match trust.ok().filter(|_| self.asker.can_ask()) {
                Some(trust) => break trust,
                None => sleep(Duration::from_millis(50)).await,
            }
        };
        let places = members
            .iter()
            .flat_map(|member| self.asker.places(member, &trust));
        let mut asking = JoinSet::new();
        for place in places.take(FIRST) {
            let asker = Arc::clone(&self.asker);
            asking.spawn(async move {
                let compared = compare(&asker, &place).await;
                (place, compared)
            });
        }
        let all = async {
            while let Some(asked) = asking.join_next().await {
                let Ok((place, compared)) = asked else { continue };
                match compared {
                    Ok(()) => self.peers.entry(place.server).or_default().is_compared = true,
                    Err(error @ ShowError::Refuted(_)) => refuted(&error, &place),
                    Err(error) => {
                        tracing::info!(%error, peer = %place.server, "a peer could not be asked what it keeps of this log");
                    }
                }
            }
        };
        if timeout(HOLD, all).await.is_err() {
            tracing::warn!(
                "not every peer said in time what it keeps of this log; messages are taken meanwhile"
            );
        }
    }

    /// Shows a checkpoint to everybody whom it concerns; keeps it if somebody co-signed.
    async fn show(&mut self, checkpoint: &SignedCheckpoint) {
        let asker = Arc::clone(&self.asker);
        let handles = &asker.handles;
        let Ok(trust) = handles.trust.current(handles.now()) else {
            return;
        };
        let size = checkpoint.claimed().size();
        let partners = handles.partners.take();
        // Whoever is noted has its entries in the log already.
        let entries = handles.log.stats().entries;
        for member in partners {
            for place in asker.places(&member, &trust) {
                self.pending.add(place, entries);
            }
        }
        let now = Instant::now();
        let is_due = |peer: Option<&Peer>| peer.and_then(|peer| peer.due).is_none_or(|due| due <= now);
        let has = |server: &ServerId| self.peers.get(server).map_or(0, |peer| peer.size);
        let mut waiting = self.pending.of(size, has);
        waiting.retain(|place| is_due(self.peers.get(&place.server)));
        let mut showing = JoinSet::new();
        let (mut signatures, mut witnesses) = (Vec::new(), Vec::new());
        loop {
            while showing.len() < TOGETHER
                && let Some(place) = waiting.pop()
            {
                let mut peer = self.peers.remove(&place.server).unwrap_or_default();
                let (asker, trust, checkpoint) = (Arc::clone(&asker), Arc::clone(&trust), checkpoint.clone());
                let bound = self.bound;
                showing.spawn(async move {
                    let shown = timeout(
                        PATIENCE,
                        shown(&asker, &mut peer, &place, &checkpoint, &trust, bound),
                    )
                    .await;
                    let late = |_| Err(AskError::Exchange("no answer in time".into()).into());
                    (place, peer, shown.unwrap_or_else(late))
                });
            }
            let Some(shown) = showing.join_next().await else {
                break;
            };
            let Ok((place, mut peer, shown)) = shown else {
                continue;
            };
            match shown {
                Ok((lines, key)) => {
                    self.pending.shown(&place.server, size);
                    (peer.failures, peer.due) = (0, None);
                    self.signed(&place, checkpoint);
                    signatures.extend(lines);
                    witnesses.push(key);
                }
                Err(error @ ShowError::Refuted(_)) => {
                    refuted(&error, &place);
                    return;
                }
                Err(ShowError::Ask(error)) => self.failed(&place, &mut peer, &error),
            }
            self.peers.insert(place.server, peer);
        }
        if !witnesses.is_empty()
            && let Err(error) = keep(&asker, checkpoint, &signatures, witnesses).await
        {
            tracing::warn!(%error, "co-signatures could not be kept");
        }
    }

    fn signed(&self, place: &Place, checkpoint: &SignedCheckpoint) {
        let now = self.asker.handles.now().to_rfc3339();
        self.sight.of_cosigner(&place.server.to_string(), |peer| {
            if peer.failing_since.take().is_some() {
                tracing::info!(peer = %place.server, "a peer co-signs again");
            }
            (peer.stand, peer.reason) = (Stand::CoSigns, None);
            (peer.size, peer.cosigned) = (Some(checkpoint.claimed().size()), Some(now));
        });
    }

    fn failed(&mut self, place: &Place, peer: &mut Peer, error: &AskError) {
        let without = error.is_no_service();
        let wait = if without {
            // Nobody waits for it: it is asked when messages are exchanged with it again, and not before.
            self.pending.leave(&place.server);
            WITHOUT_SERVICE
        } else {
            self.pause
                .saturating_mul(1 << peer.failures.min(16))
                .clamp(Duration::from_secs(1), LONGEST)
        };
        peer.failures = peer.failures.saturating_add(1);
        peer.due = Some(Instant::now() + wait);
        let stand = match error {
            _ if without => Stand::NoService,
            AskError::Status(..) | AskError::Answer(_) => Stand::Refuses,
            AskError::Fault { .. } | AskError::Exchange(_) => Stand::Unreachable,
        };
        let now = self.asker.handles.now().to_rfc3339();
        self.sight.of_cosigner(&place.server.to_string(), |known| {
            // Once for each change: a peer that is down for a day is no news every minute.
            if known.stand != stand {
                let next = wait.as_secs();
                tracing::info!(%error, peer = %place.server, next, "a peer did not co-sign the checkpoint");
            }
            known.stand = stand;
            known.reason = Some(error.to_string());
            if !without {
                known.failing_since.get_or_insert(now);
            }
        });
    }
}

/// The binding of the key that signs the own checkpoints.
fn own_binding(asker: &Asker) -> Option<Binding> {
    let [log_key, _] = asker.handles.log.ledger_keys();
    let mut bindings = asker.handles.log.ledger_bindings().into_iter();
    bindings.find(|binding| *binding.statement.key() == log_key)
}

fn refuted(error: &ShowError, place: &Place) {
    tracing::error!(%error, peer = %place.server, "a peer has seen another log of this node than there is");
}

/// Keeps co-signatures, beside those that there are of the same checkpoint.
async fn keep(
    asker: &Asker,
    checkpoint: &SignedCheckpoint,
    signatures: &[NoteSignature],
    witnesses: Vec<Binding>,
) -> Result<(), LogError> {
    let log = &asker.handles.log;
    let before = log
        .cosigned_checkpoint()
        .filter(|(kept, _)| kept.claimed() == checkpoint.claimed());
    let (mut cosigned, mut all) = before.unwrap_or_else(|| (checkpoint.clone(), Vec::new()));
    let is_new = all.is_empty();
    for witness in witnesses {
        let key = witness.statement.key();
        let added = cosigned.add_cosignatures(signatures, std::slice::from_ref(key));
        if added.is_ok_and(|added| added > 0) {
            all.retain(|known| known.statement.key() != key);
            all.push(witness);
        }
    }
    match is_new && all.is_empty() {
        true => Ok(()),
        false => log.keep_cosigned(cosigned, all).await,
    }
}

/// Whether one of the signatures is by this key, and fits.
fn is_by(checkpoint: &SignedCheckpoint, lines: &[NoteSignature], key: &Binding) -> bool {
    let key = std::slice::from_ref(key.statement.key());
    let added = checkpoint.clone().add_cosignatures(lines, key);
    added.is_ok_and(|added| added > 0)
}

/// Shows a checkpoint to one peer.
async fn shown(
    asker: &Asker,
    peer: &mut Peer,
    place: &Place,
    checkpoint: &SignedCheckpoint,
    trust: &TrustSet,
    bound: Option<u64>,
) -> Result<ShownBy, ShowError> {
    let size = checkpoint.claimed().size();
    if !peer.is_compared {
        compare(asker, place).await?;
        peer.is_compared = true;
    }
    // A key that was bound anew since the start: the peer keeps the binding that can still be verified.
    let since = own_binding(asker).map(|binding| binding.statement.since());
    if bound.is_some() && since != peer.introduced.or(bound) {
        introduce(asker, place).await?;
        peer.introduced = since;
    }
    // Once for a key that is not known, once for another size than was thought; a third time is not in order.
    for _ in 0..3 {
        let old_size = peer.size.min(size);
        let proof = asker.handles.log.prove_consistency(old_size, size).await;
        let request = AddCheckpoint {
            old_size,
            proof: proof.map_err(|error| AskError::Exchange(error.to_string()))?,
            checkpoint: checkpoint.clone(),
        };
        let body = request.to_bytes();
        let answer = asker.ask(place, Method::POST, "add-checkpoint", body).await?;
        match answer.status {
            StatusCode::OK => {
                peer.size = size;
                let lines = NoteSignature::parse_lines(&answer.body)
                    .map_err(|error| AskError::Answer(error.to_string()))?;
                let known = peer.key.take().filter(|key| is_by(checkpoint, &lines, key));
                let key = match known {
                    Some(key) => key,
                    None => asker.key_of(place, SignatureKind::Cosignature, trust).await?,
                };
                if !is_by(checkpoint, &lines, &key) {
                    return Err(AskError::Answer("its signature is not by the key it shows".into()).into());
                }
                peer.key = Some(key.clone());
                return Ok((lines, key));
            }
            StatusCode::NOT_FOUND => {
                introduce(asker, place).await?;
                peer.introduced = since;
                // It keeps nothing of this log.
                peer.size = 0;
            }
            StatusCode::CONFLICT => {
                let known = parse_size_body(&answer.body)
                    .ok_or_else(|| AskError::Answer("it names no size".into()))?;
                if known > size {
                    compare(asker, place).await?;
                    return Err(AskError::Answer("it names a size that it does not show".into()).into());
                }
                peer.size = known;
            }
            _ => {
                // Perhaps what it keeps is of this log as it was before an older copy took its place.
                compare(asker, place).await?;
                return Err(AskError::refused(&answer).into());
            }
        }
    }
    Err(AskError::Answer("it contradicts itself".into()).into())
}

/// Compares the log with what the peer keeps of it. Only what this node signed counts: a peer that claims to have seen
/// more stops nobody.
async fn compare(asker: &Asker, place: &Place) -> Result<(), ShowError> {
    let [key, _] = asker.handles.log.ledger_keys();
    let id = key.name().as_str().rsplit('/').next().unwrap_or_default();
    let path = format!("kept/{id}");
    let answer = asker.ask(place, Method::GET, &path, Vec::new()).await?;
    match answer.status {
        StatusCode::OK => {}
        // It keeps nothing of this log yet.
        StatusCode::NOT_FOUND => return Ok(()),
        _ => return Err(AskError::refused(&answer).into()),
    }
    let seen = SignedCheckpoint::parse(&answer.body).map_err(|error| AskError::Answer(error.to_string()))?;
    match asker.handles.log.compare_with_seen(seen).await {
        Ok(()) => Ok(()),
        Err(
            error @ (LogError::Behind { .. } | LogError::Contradiction { .. } | LogError::LeafLost { .. }),
        ) => Err(ShowError::Refuted(error)),
        Err(error) => Err(AskError::Answer(error.to_string()).into()),
    }
}

/// Shows the peer who answers for the key of this log.
async fn introduce(asker: &Asker, place: &Place) -> Result<(), ShowError> {
    let binding = own_binding(asker)
        .ok_or_else(|| AskError::Exchange("the key of this log is not bound to a member yet".into()))?;
    let answer = asker.ask(place, Method::PUT, "key", binding.to_json()).await?;
    match answer.status {
        StatusCode::NO_CONTENT => Ok(()),
        _ => Err(AskError::refused(&answer).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_that_is_newer_than_the_newest_checkpoint_is_covered_by_the_next_one_that_is_shown() {
        let place = |code: &str| Place {
            ledger: format!("TEST/GOV/{code}/ledger").parse().unwrap(),
            server: format!("TEST/GOV/{code}/ss1").parse().unwrap(),
        };
        let (late, early) = (place("1002"), place("1003"));
        let of = |pending: &Pending, size, has| -> Vec<ServerId> {
            let mut servers: Vec<_> = pending
                .of(size, |_| has)
                .into_iter()
                .map(|it| it.server)
                .collect();
            servers.sort_by_key(ToString::to_string);
            servers
        };
        let mut pending = Pending::default();
        pending.add(late.clone(), 12);
        pending.add(early.clone(), 10);
        let both = vec![late.server.clone(), early.server.clone()];
        assert_eq!(of(&pending, 10, 8), both);
        for server in &both {
            pending.shown(server, 10);
        }
        assert!(of(&pending, 10, 10).is_empty(), "the same one is shown again");
        assert_eq!(of(&pending, 11, 10), both[..1]);
        pending.shown(&late.server, 11);
        // A peer that has it but did not co-sign is shown it again.
        assert_eq!(of(&pending, 12, 12), both[..1]);
        pending.shown(&late.server, 12);
        assert_eq!(pending.servers().count(), 0);
    }
}
