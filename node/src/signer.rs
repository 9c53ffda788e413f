//! Signs messages for the members of this node: everything that waits for one key is signed as one Merkle batch.
//!
//! Each key has a thread of its own, because an RSA signature takes up to two milliseconds of computing. Alone, a
//! message is signed at once; with company it waits a few hundred microseconds for more (wire 4.4, performance 1).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use kontor_pki::certificate::Certificate;
use kontor_pki::signing::SigningKey;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::hash_chain::{PartDigest, build_batch};
use kontor_protocol::id::MemberId;
use kontor_protocol::signature::{SignedObject, SignerInfo, prepare};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::{mpsc, oneshot};

use crate::clock::SharedClock;
use crate::keystore::Identity;
use crate::messagelog::BatchSignature;
use crate::ocsp::OwnOcsp;

/// Messages in one batch at most: a chain of eight steps.
const BATCH: usize = 256;
/// Requests that may wait for one key.
const QUEUE: usize = 4096;
/// How long a message waits for company when exchanges run beside it.
const WINDOW: Duration = Duration::from_micros(300);
/// The same with more than [`BUSY`] exchanges in flight.
const WIDE_WINDOW: Duration = Duration::from_millis(1);
const BUSY: usize = 16;
/// Time limit for a signature (wire 4.8).
const LIMIT: Duration = Duration::from_secs(60);

/// Exchanges in flight on this node, counted by whoever runs one.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<AtomicUsize>);

/// One exchange in flight; ends when dropped.
#[derive(Debug)]
pub struct Running(Arc<AtomicUsize>);

impl InFlight {
    /// Counts one more until the value is dropped.
    pub fn enter(&self) -> Running {
        self.0.fetch_add(1, Ordering::Relaxed);
        Running(self.0.clone())
    }

    /// How many run.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A message's signature: the document it shares with its batch, and its own place in it.
#[derive(Clone, Debug)]
pub struct Signed {
    /// Document and chain result, the same for the whole batch.
    pub batch: Arc<BatchSignature>,
    /// Hash chain of this message, if the document signs a chain result.
    pub chain: Option<Bytes>,
}

#[derive(Clone, Debug, Default)]
struct Counters {
    batches: Counter,
    messages: Counter,
}

/// The signers of all members of this node.
#[derive(Debug)]
pub struct Signer {
    members: HashMap<MemberId, MemberSigner>,
    clock: SharedClockDebug,
}

#[derive(Debug)]
struct MemberSigner {
    queue: mpsc::Sender<Job>,
    identity: Arc<Identity>,
    ready: Arc<ArcSwapOption<Ready>>,
}

/// What a member can sign with right now.
#[derive(Debug)]
struct Ready {
    info: SignerInfo,
    good_until: UnixTime,
}

#[derive(Debug)]
struct Job {
    parts: Vec<PartDigest>,
    done: oneshot::Sender<Result<Signed, Fault>>,
}

struct SharedClockDebug(SharedClock);

impl std::fmt::Debug for SharedClockDebug {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

impl Signer {
    /// Starts a signer thread for each member.
    pub fn start(
        identities: Vec<(MemberId, Arc<Identity>)>,
        in_flight: &InFlight,
        clock: &SharedClock,
        registry: &mut Registry,
    ) -> std::io::Result<Self> {
        let counters = Counters::default();
        registry.register(
            "kontor_signer_batches",
            "Signature documents made",
            counters.batches.clone(),
        );
        registry.register(
            "kontor_signer_batch_messages",
            "Messages signed, each by one of the documents",
            counters.messages.clone(),
        );
        let mut members = HashMap::new();
        for (member, identity) in identities {
            let (queue, jobs) = mpsc::channel(QUEUE);
            let ready = Arc::new(ArcSwapOption::empty());
            let work = Work {
                identity: identity.clone(),
                ready: ready.clone(),
                in_flight: in_flight.clone(),
                clock: clock.clone(),
                counters: counters.clone(),
            };
            std::thread::Builder::new()
                .name("signer".into())
                .spawn(move || work.run(jobs))?;
            members.insert(
                member,
                MemberSigner {
                    queue,
                    identity,
                    ready,
                },
            );
        }
        Ok(Self {
            members,
            clock: SharedClockDebug(clock.clone()),
        })
    }

    /// Takes over the OCSP responses now held; called whenever they change.
    pub fn refresh(&self, ocsp: &OwnOcsp) {
        for (member, signer) in &self.members {
            let mut good_until = signer.identity.leaf().not_after();
            let mut responses = Vec::new();
            for certificate in &signer.identity.certificates {
                match ocsp.held(certificate) {
                    Some(held) => {
                        good_until = good_until.min(held.good_until);
                        responses.push(held.der.clone());
                    }
                    None => break,
                }
            }
            if responses.len() < signer.identity.certificates.len() {
                tracing::warn!(%member, "no good OCSP response for the signing certificate yet");
                continue;
            }
            let intermediates: Vec<_> = signer.identity.certificates[1..]
                .iter()
                .cloned()
                .zip(responses[1..].iter().map(|der| der.to_vec()))
                .collect();
            let info = SignerInfo::new(signer.identity.leaf(), &responses[0], &intermediates);
            signer.ready.store(Some(Arc::new(Ready { info, good_until })));
        }
    }

    /// Whether a member could sign now (wire 3.7 step 6c, 4.8): refused before anything is sent.
    pub fn check(&self, member: &MemberId) -> Result<(), Fault> {
        let signer = self.members.get(member).ok_or_else(|| no_key(member))?;
        signer
            .ready
            .load()
            .as_ref()
            .map_or_else(|| Err(no_ocsp()), |r| r.usable_at(self.clock.0.now()))
    }

    /// Whether every member could sign now.
    pub fn is_ready(&self) -> bool {
        self.members.keys().all(|member| self.check(member).is_ok())
    }

    /// Whether a member still signs with this certificate here.
    pub fn signs_with(&self, member: &MemberId, certificate: &Certificate) -> bool {
        let signer = self.members.get(member);
        signer.is_some_and(|signer| signer.identity.leaf() == certificate)
    }

    /// The members that have a key here.
    pub fn members(&self) -> impl Iterator<Item = &MemberId> {
        self.members.keys()
    }

    /// Signs the parts of one message.
    pub async fn sign(&self, member: &MemberId, parts: Vec<PartDigest>) -> Result<Signed, Fault> {
        let signer = self.members.get(member).ok_or_else(|| no_key(member))?;
        let (done, signed) = oneshot::channel();
        let stopped = || {
            Fault::new(
                FaultCode::CannotCreateSignature,
                "the signer has stopped; restart the node",
            )
        };
        let asked = async {
            signer
                .queue
                .send(Job { parts, done })
                .await
                .map_err(|_| stopped())?;
            signed.await.map_err(|_| stopped())?
        };
        tokio::time::timeout(LIMIT, asked).await.map_err(|_| {
            Fault::new(
                FaultCode::CannotCreateSignature,
                "no signature within 60 s; the node is overloaded",
            )
        })?
    }
}

fn no_key(member: &MemberId) -> Fault {
    Fault::new(
        FaultCode::CannotCreateSignature,
        format!("this node holds no signing key of {member}; add a [[member]] entry"),
    )
}

fn no_ocsp() -> Fault {
    Fault::new(
        FaultCode::CannotCreateSignature,
        "no good and fresh OCSP response for the signing certificate; check that the OCSP responder is reachable",
    )
}

impl Ready {
    fn usable_at(&self, now: UnixTime) -> Result<(), Fault> {
        if now <= self.good_until {
            Ok(())
        } else {
            Err(no_ocsp())
        }
    }
}

/// What a signer thread owns.
struct Work {
    identity: Arc<Identity>,
    ready: Arc<ArcSwapOption<Ready>>,
    in_flight: InFlight,
    clock: SharedClock,
    counters: Counters,
}

impl Work {
    fn run(self, mut jobs: mpsc::Receiver<Job>) {
        let mut batch = Vec::with_capacity(BATCH);
        while let Some(job) = jobs.blocking_recv() {
            batch.push(job);
            let window = match self.in_flight.count() {
                0 | 1 => Duration::ZERO,
                running if running > BUSY => WIDE_WINDOW,
                _ => WINDOW,
            };
            if !window.is_zero() {
                std::thread::sleep(window);
            }
            while batch.len() < BATCH
                && let Ok(job) = jobs.try_recv()
            {
                batch.push(job);
            }
            self.answer(&mut batch);
        }
    }

    fn answer(&self, batch: &mut Vec<Job>) {
        let jobs = std::mem::take(batch);
        let parts: Vec<_> = jobs.iter().map(|job| job.parts.clone()).collect();
        match self.sign(&parts) {
            Ok(signed) => {
                self.counters.batches.inc();
                self.counters.messages.inc_by(jobs.len() as u64);
                for (job, signed) in jobs.into_iter().zip(signed) {
                    // A message whose exchange has ended meanwhile needs no signature.
                    let _ = job.done.send(Ok(signed));
                }
            }
            Err(fault) => {
                for job in jobs {
                    let _ = job.done.send(Err(fault.clone()));
                }
            }
        }
    }

    fn sign(&self, requests: &[Vec<PartDigest>]) -> Result<Vec<Signed>, Fault> {
        let ready = self.ready.load_full().ok_or_else(no_ocsp)?;
        let now = self.clock.now();
        ready.usable_at(now)?;
        let (object, chain_result, chains) = match requests {
            [parts] if parts.len() == 1 => (SignedObject::Message(parts[0].digest), None, vec![None]),
            _ => {
                let chained = build_batch(requests);
                let digest = kontor_pki::crypto::sha512(&chained.result_xml);
                let chains = chained.chains.into_iter().map(|c| Some(Bytes::from(c))).collect();
                (
                    SignedObject::ChainResult(digest),
                    Some(Bytes::from(chained.result_xml)),
                    chains,
                )
            }
        };
        let key = &*self.identity.key;
        let prepared = prepare(&ready.info, object, key.key_algorithm().message_algorithm(), now);
        let document = prepared.sign(key).map_err(|e| {
            Fault::new(
                FaultCode::CannotCreateSignature,
                format!("the key cannot sign: {e}"),
            )
        })?;
        let batch = BatchSignature::new(Bytes::from(document), chain_result);
        Ok(chains
            .into_iter()
            .map(|chain| Signed {
                batch: batch.clone(),
                chain,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::recorded;

    #[test]
    fn a_member_without_a_key_is_refused_as_at_the_recorded_provider() {
        let clock: SharedClock = Arc::new(SystemClock);
        let signer =
            Signer::start(Vec::new(), &InFlight::default(), &clock, &mut Registry::default()).unwrap();
        let refused = signer.check(&"DX/COM/2002".parse().unwrap()).unwrap_err();
        assert_eq!(refused.cause(), FaultCode::CannotCreateSignature);
        let Some(root) = recorded::vectors() else { return };
        let case = "provider-fault-before/rest-no-signing-key";
        assert_eq!(refused.cause(), recorded::cause(&root, case));
        // Java finds out only after it has connected, and calls that an error of input; we ask before (wire 4.8).
        let case = "consumer-refuses-is-request/rest-no-signing-key";
        assert_eq!(recorded::cause(&root, case), FaultCode::IoError);
    }
}
