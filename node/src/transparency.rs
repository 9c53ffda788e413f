//! Keeps the ledger of the message log going: has its key bound to a member by that member's signing key, and a checkpoint
//! signed a minute after entries came, or when there are many. Owns only when; what is signed is the log's.

use std::time::Duration;

use kontor_protocol::fault::Fault;
use kontor_protocol::id::MemberId;
use kontor_protocol::log::binding::{Binding, Statement};
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::note::VerifierKey;
use kontor_protocol::signature::SignatureDocument;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::SharedClock;
use crate::handles::Handles;
use crate::messagelog::{LogError, MessageLog};
use crate::shutdown::Shutdown;
use crate::signer::Signer;

/// How often it is looked whether there is something to sign.
const LOOK: Duration = Duration::from_secs(1);
/// With so many new entries it is not waited for.
const ENTRIES: u64 = 4096;
/// A key that could not be bound is tried again after this.
const RETRY: Duration = Duration::from_secs(30);

/// Why the key of the ledger is not bound to a member yet.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// No member of this node owns the security server and can sign, and none that is registered can.
    #[error("no member of this node can sign for the key of its log now: {0}")]
    NoSigner(Fault),
    /// The signature could not be made.
    #[error("the key of the log could not be signed for: {0}")]
    Signature(Fault),
    /// The entry could not be made.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Runs until the node stops; signs once more then. While entries come, the newest checkpoint is at most `age` old. Each is
/// handed to `newest`, for whoever shows it to others.
pub async fn run(
    handles: std::sync::Arc<Handles>,
    newest: watch::Sender<Option<SignedCheckpoint>>,
    age: Duration,
    shutdown: Shutdown,
) {
    let log = &handles.log;
    // Nothing is signed before the log was compared with what peers keep of it: that would be a fork with a signature.
    tokio::select! {
        () = shutdown.soft() => return,
        () = handles.gate.opened() => {}
    }
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut last, mut tried): (Option<Instant>, Option<Instant>) = (None, None);
    let mut told = false;
    let mut outdated = outdated(log, &handles.signer);
    loop {
        tokio::select! {
            () = shutdown.soft() => break,
            _ = ticks.tick() => {}
        }
        if log.checkpoint_refusal().is_some() {
            continue;
        }
        let may_try = tried.is_none_or(|at: Instant| at.elapsed() >= RETRY);
        let mut keys = unbound(log);
        keys.extend(outdated.iter().cloned());
        for key in keys.into_iter().filter(|_| may_try) {
            tried = Some(Instant::now());
            match bind(&handles, key.clone()).await {
                Ok(member) => {
                    outdated.retain(|done| *done != key);
                    tracing::info!(%member, %key, "a key of the ledger is bound to the member");
                }
                // Before the first OCSP response there is nobody who could sign: the next look may find one.
                Err(BindError::NoSigner(_)) => tried = None,
                Err(error) => {
                    tracing::warn!(%error, %key, "a key of the ledger is not bound to a member yet; it is tried again");
                }
            }
        }
        let fresh = unsigned(log);
        let is_due = fresh >= ENTRIES || last.is_none_or(|at| at.elapsed() >= age);
        if fresh > 0 && is_due {
            last = Some(Instant::now());
            told = sign(log, told).await;
            if log.checkpoint_refusal().is_none() {
                newest.send_replace(log.checkpoint());
            }
        }
    }
    if unsigned(log) > 0 {
        sign(log, told).await;
    }
}

/// The keys whose member signs with another certificate by now: others shall not have to believe one that was replaced.
/// Certificates change only while no node runs.
fn outdated(log: &MessageLog, signer: &Signer) -> Vec<VerifierKey> {
    let mut bound = log.ledger_bindings();
    bound.retain(|binding| {
        let document = SignatureDocument::parse(&binding.signature);
        !document.is_ok_and(|document| signer.signs_with(binding.statement.member(), document.certificate()))
    });
    let keys = bound.iter().map(|binding| binding.statement.key().clone());
    keys.collect()
}

/// The keys that no member has signed for.
fn unbound(log: &MessageLog) -> Vec<VerifierKey> {
    let bound = log.ledger_bindings();
    let mut keys = log.ledger_keys().to_vec();
    keys.retain(|key| !bound.iter().any(|binding| binding.statement.key() == key));
    keys
}

/// How many entries no checkpoint covers.
fn unsigned(log: &MessageLog) -> u64 {
    let signed = log.checkpoint().map_or(0, |kept| kept.claimed().size());
    log.stats().entries.saturating_sub(signed)
}

/// Signs; tells a refusal loudly, and once.
async fn sign(log: &MessageLog, told: bool) -> bool {
    match log.sign_checkpoint().await {
        Ok(_) => false,
        Err(
            error @ (LogError::Contradiction { .. } | LogError::Behind { .. } | LogError::LeafLost { .. }),
        ) => {
            if !told {
                tracing::error!(%error, "the log does not go on from what this node signed");
            }
            true
        }
        Err(error) => {
            tracing::warn!(%error, "no checkpoint could be signed; it is tried again");
            told
        }
    }
}

/// Has the owner of the server sign for the key, or else the first member that can.
async fn bind(handles: &Handles, key: VerifierKey) -> Result<MemberId, BindError> {
    let owner = handles.server.owner();
    let mut members =
        std::iter::once(owner).chain(handles.signer.members().filter(|member| *member != owner));
    let mut refusal = None;
    let member = members.find(|member| match handles.signer.check(member) {
        Ok(()) => true,
        Err(fault) => {
            refusal.get_or_insert(fault);
            false
        }
    });
    let member = match (member, refusal) {
        (Some(member), _) => member.clone(),
        (None, Some(fault)) => return Err(BindError::NoSigner(fault)),
        (None, None) => unreachable!("the owner was asked"),
    };
    let second = second_of(&handles.clock);
    let statement =
        Statement::new(key, member.clone(), second).expect("the keys of a ledger have their names");
    let signed = handles
        .signer
        .sign(&member, vec![statement.part()])
        .await
        .map_err(BindError::Signature)?;
    let chain = signed.batch.chain_result().zip(signed.chain.as_ref());
    let binding = Binding {
        statement,
        signature: signed.batch.document().to_vec(),
        chain: chain.map(|(result, chain)| (result.to_vec(), chain.to_vec())),
    };
    handles.log.bind_ledger_key(binding).await?;
    Ok(member)
}

fn second_of(clock: &SharedClock) -> u64 {
    u64::try_from(clock.now().secs()).unwrap_or(0)
}
