//! The life that is recorded: writers that exchange messages with small, large and no bodies, some of which fail or are
//! abandoned; beside them checkpoints, time-stamps, facts, holds and purges; segments that fill up, months that turn, clean
//! stops and starts. Owns what was promised meanwhile, each promise with the position of the disk when it was known.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use kontor_node::clock::{Clock, ManualClock};
use kontor_node::config::retention::{RetentionPolicy, RetentionRule};
use kontor_node::disk::{Disk, recording::RecordingDisk};
use kontor_node::messagelog::{
    Acted, BatchSignature, EntryKind, Fact, FactKind, Held, LogSettings, LoggedBody, MessageLog, NewEntry,
    NumberSet, OpenLog, PurgeOrder, Receipt, Released,
};
use kontor_pki::authority::{CaParams, CertificateAuthority, OcspResponder, TimestampAuthority, Validity};
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::CertStatus;
use kontor_pki::profile::{CertificateProfile, ProfileMember, Subject};
use kontor_pki::sealed::MasterKey;
use kontor_pki::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
use kontor_pki::time::UnixTime;
use kontor_pki::timestamp::{parse_response, query};
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::signature::{SignedObject, SignerInfo, prepare};

use super::dice::Dice;
use super::machine::{self, Machine};

pub(crate) const DIR: &str = "/data";
/// Starts with a clean stop each, at which the index is whole on disk: before, most of it is in memory only.
const RUNS: u64 = 6;
const EXCHANGES: usize = 4;
/// Longest wait for the index.
const PATIENCE: Duration = Duration::from_secs(60);

/// What stands at a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The message of this id.
    Message(u64),
    /// The end of an exchange that failed.
    Closure,
    /// A time-stamp.
    Stamp,
    /// A hold, a deletion, an act.
    Fact,
}

/// A purge: what it may delete from its begin on, and what is deleted once it is done.
pub(crate) struct Purge {
    pub(crate) begun: usize,
    /// Entries there were.
    pub(crate) below: u64,
    pub(crate) done: usize,
    pub(crate) bodies: NumberSet,
    pub(crate) heads: NumberSet,
}

/// The index of one moment.
pub(crate) struct IndexCopy {
    pub(crate) path: PathBuf,
    pub(crate) position: usize,
}

/// What was promised, by the position of the disk at which whoever asked knew.
#[derive(Default)]
pub(crate) struct Promised {
    pub(crate) entries: Vec<(usize, u64, What)>,
    pub(crate) checkpoints: Vec<(usize, SignedCheckpoint)>,
    pub(crate) purges: Vec<Purge>,
    pub(crate) held: Option<(usize, NumberSet)>,
}

pub(crate) struct Life {
    pub(crate) machine: Machine,
    pub(crate) promised: Promised,
    pub(crate) copies: Vec<IndexCopy>,
    pub(crate) ended: UnixTime,
    /// Message ids below were given out.
    pub(crate) ids: u64,
    pub(crate) segments: usize,
    _copies: tempfile::TempDir,
}

/// Message ids, and what follows from them alone.
pub(crate) mod message {
    use super::*;

    pub(crate) fn query_id(id: u64) -> String {
        format!("q{id}")
    }

    /// Every eighth is of the service whose messages are kept for days only.
    pub(crate) fn is_short(id: u64) -> bool {
        id % 8 == 5
    }

    pub(crate) fn bytes(id: u64) -> Bytes {
        let service = if is_short(id) { "kurz" } else { "intake" };
        format!(
            "POST\r\n/r1/TEST/GOV/1002/antrag/{service}\r\nx-road-id:{}\r\n{}",
            query_id(id),
            "m".repeat((id % 7) as usize * 60)
        )
        .into()
    }

    /// Large ones go into content files.
    pub(crate) fn is_large(id: u64) -> bool {
        id % 16 == 3
    }

    pub(crate) fn body(id: u64) -> Option<Bytes> {
        let length = match id {
            id if is_large(id) => 65_536 + (id as usize * 977) % 9000,
            id if id % 3 == 0 => return None,
            id => 1 + (id as usize * 131) % 1800,
        };
        Some((0..length).map(|at| (at as u64 * 31 + id) as u8).collect())
    }
}

/// Whoever signs and stamps.
pub(crate) struct Signing {
    key: SoftwareKey,
    signer: SignerInfo,
    stamps: TimestampAuthority,
    serial: AtomicU64,
}

fn begin() -> Result<UnixTime> {
    Ok(UnixTime::parse_rfc3339("2030-01-31T23:59:00Z")?)
}

impl Signing {
    pub(crate) fn new() -> Result<Self> {
        let params = CaParams {
            name: "Test CA".into(),
            organization: "Nobody".into(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity::days(begin()?, 1000),
        };
        let ca = CertificateAuthority::generate(&params)?;
        let validity = Validity::days(begin()?, 900);
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
        let member = ProfileMember {
            instance: "TEST".into(),
            class: "GOV".into(),
            code: "1001".into(),
        };
        let subject = CertificateProfile::Ejbca.signing_subject(&member, "Musterstadt");
        let certificate = ca.issue_signing(key.public_key(), subject, validity)?;
        let freshness = Duration::from_secs(600);
        let responder = OcspResponder::new(ca.certificate().clone(), ca.key().clone(), freshness)?;
        let good = CertStatus::Good;
        let ocsp = responder.respond_for(&certificate, ca.certificate(), good, begin()?, None)?;
        let stamp_key = Arc::new(SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?);
        let tsa = ca.issue_tsa(stamp_key.public_key(), Subject::common_name("Test TSA"), validity)?;
        Ok(Self {
            key,
            signer: SignerInfo::new(&certificate, &ocsp, &[]),
            stamps: TimestampAuthority::new(tsa, stamp_key)?,
            serial: AtomicU64::new(1),
        })
    }

    /// The document of a batch.
    pub(crate) fn batch(&self, name: &str) -> Result<Arc<BatchSignature>> {
        let result = Bytes::from(format!("<result of='{name}'/>"));
        let algorithm = self.key.key_algorithm().message_algorithm();
        let object = SignedObject::ChainResult(sha512(&result));
        let document = prepare(&self.signer, object, algorithm, begin()?).sign(&self.key)?;
        Ok(BatchSignature::new(document.into(), Some(result)))
    }

    fn token(&self) -> Result<Bytes> {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let asked = query(&sha512(&serial.to_be_bytes()));
        let token = parse_response(&self.stamps.respond(&asked, begin()?, serial))?;
        Ok(token.der().to_vec().into())
    }
}

/// The log of a machine.
pub(crate) fn open(machine: &Machine, clock: Arc<dyn Clock>) -> Result<MessageLog> {
    let kept_for_days = RetentionRule {
        service: Some("kurz".into()),
        head: Some("days".parse()?),
        body: Some("days".parse()?),
        evidence: Some("days".parse()?),
        ..RetentionRule::default()
    };
    Ok(MessageLog::open(OpenLog {
        dir: DIR.into(),
        disk: Arc::new(machine.clone()),
        master: master(),
        settings: LogSettings {
            first_segment_bytes: 64 * 1024,
            segment_bytes: 256 * 1024,
            reserve: 0,
            retention: RetentionPolicy {
                rules: vec![kept_for_days],
                ..RetentionPolicy::default()
            },
            ..LogSettings::default()
        },
        server: "TEST/GOV/1001/ss1".parse()?,
        test: true,
        clock,
    })?)
}

pub(crate) fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

/// An entry of which everything follows from its id.
pub(crate) async fn entry(
    log: &MessageLog,
    id: u64,
    answers: Option<u64>,
    signature: &Arc<BatchSignature>,
) -> Result<NewEntry> {
    let message = message::bytes(id);
    let service = if message::is_short(id) { "kurz" } else { "intake" };
    let body = match message::body(id) {
        None => LoggedBody::None,
        Some(body) if message::is_large(id) => {
            let mut spooled = log.spool();
            spooled.write(body.clone()).await?;
            LoggedBody::Content(spooled.finish().await?, sha512(&body))
        }
        Some(body) => {
            let digest = sha512(&body);
            LoggedBody::Inline(body, digest)
        }
    };
    Ok(NewEntry {
        kind: match answers {
            None => EntryKind::RequestSent,
            Some(_) => EntryKind::ResponseReceived,
        },
        answers,
        client: "TEST/GOV/1001/antrag".parse()?,
        service: format!("TEST/GOV/1002/antrag/{service}").parse()?,
        client_server: Some("TEST/GOV/1001/ss1".parse()?),
        provider_server: None,
        query_id: message::query_id(id),
        request_id: format!("r{id}"),
        request: message.clone(),
        message_digest: sha512(&message),
        message,
        body,
        signature: Arc::clone(signature),
        chain: Some(format!("<chain of='{id}'/>").into()),
    })
}

/// Waits until the index reflects every entry.
pub(crate) async fn caught_up(log: &MessageLog) -> Result<()> {
    let wait = async {
        loop {
            let index = log.index();
            if index.open && index.position >= log.stats().entries {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wait)
        .await
        .with_context(|| format!("the index does not catch up: {:?}", log.index()))
}

#[derive(Clone)]
struct Writers {
    log: MessageLog,
    machine: Machine,
    signing: Arc<Signing>,
    promised: Arc<Mutex<Promised>>,
    ids: Arc<AtomicU64>,
}

impl Writers {
    fn promise(&self, number: u64, what: What) {
        let mut promised = self.promised.lock().expect("no holder panics");
        promised
            .entries
            .push((self.machine.disk.position(), number, what));
    }

    fn id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    async fn message(&self, answers: Option<u64>, signature: &Arc<BatchSignature>) -> Result<Receipt> {
        let id = self.id();
        let receipt = self
            .log
            .append(entry(&self.log, id, answers, signature).await?)
            .await?;
        self.promise(receipt.number, What::Message(id));
        Ok(receipt)
    }

    async fn write(self, name: String, mut dice: Dice) -> Result<()> {
        let signature = self.signing.batch(&name)?;
        for _ in 0..EXCHANGES {
            let asked = self.message(None, &signature).await?;
            let exchange = self.log.exchange(asked);
            match dice.below(8) {
                // Whoever asked went away: the log closes it by itself.
                0 => drop(exchange),
                1 => {
                    let closed = self.log.close_failed(asked, "fault").await?;
                    self.promise(closed.number, What::Closure);
                }
                2 => {
                    // Spooled and never recorded.
                    let mut unused = self.log.spool();
                    unused.write(Bytes::from_static(&[7; 5000])).await?;
                    drop(unused.finish().await?);
                    self.message(Some(asked.number), &signature).await?;
                }
                3 => {
                    let answer = self.message(Some(asked.number), &signature).await?;
                    let covered = vec![asked.number, answer.number];
                    let stamp = self.log.append_timestamp(self.signing.token()?, covered).await?;
                    self.promise(stamp.number, What::Stamp);
                }
                _ => _ = self.message(Some(asked.number), &signature).await?,
            }
        }
        Ok(())
    }

    /// Checkpoints, facts, holds and purges beside the writers.
    async fn keep_books(self, purges: bool) -> Result<()> {
        for turn in 0..4 {
            let position = || self.machine.disk.position();
            if let Some(signed) = self.log.sign_checkpoint().await? {
                let mut promised = self.promised.lock().expect("no holder panics");
                promised.checkpoints.push((position(), signed));
            }
            let said = Acted {
                act: "note".into(),
                who: "uid:0".into(),
                ground: "power cut".into(),
                details: turn.into(),
            };
            let noted = self.log.append_fact(Fact::new(FactKind::Act, &said)).await?;
            self.promise(noted.number, What::Fact);
            if turn == 1 {
                let numbers = [0, 1].into_iter().collect();
                let hold = self.log.hold(numbers, held("for a while")).await?;
                self.promise(hold.number, What::Fact);
                let said = Released {
                    hold: hold.number,
                    ground: "no longer".into(),
                    who: "uid:0".into(),
                };
                let released = self.log.release(said).await?;
                self.promise(released.number, What::Fact);
            }
            if turn == 2 && purges {
                self.purge().await?;
            }
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn purge(&self) -> Result<()> {
        let (begun, below) = (self.machine.disk.position(), self.log.stats().entries);
        let order = PurgeOrder {
            ground: "power cut".into(),
            dry_run: false,
            given: None,
        };
        let report = self.log.purge(order).await?;
        let done = self.machine.disk.position();
        let (mut bodies, mut heads) = (NumberSet::default(), NumberSet::default());
        for deletion in &report.deletions {
            let number = deletion.entry.context("a purge names its deletions")?;
            let numbers = self.log.fact(number).await?.numbers;
            match deletion.said.part.as_str() {
                "body" => bodies.extend(&numbers),
                "head" => heads.extend(&numbers),
                _ => {}
            }
            self.promise(number, What::Fact);
        }
        ensure!(
            !bodies.is_empty(),
            "a purge in the recorded life found nothing due"
        );
        self.promised
            .lock()
            .expect("no holder panics")
            .purges
            .push(Purge {
                begun,
                below,
                done,
                bodies,
                heads,
            });
        Ok(())
    }
}

/// Lives it.
pub(crate) async fn live(seed: u64, writers: usize) -> Result<Life> {
    let machine = Machine::with(RecordingDisk::default())?;
    let kept = machine::scratch()?;
    let clock = ManualClock::at(begin()?);
    let (signing, promised) = (Arc::new(Signing::new()?), Arc::<Mutex<Promised>>::default());
    let (ids, mut copies) = (Arc::new(AtomicU64::new(0)), Vec::new());
    for run in 0..RUNS {
        let log = open(&machine, clock.clone())?;
        let all = Writers {
            log: log.clone(),
            machine: machine.clone(),
            signing: Arc::clone(&signing),
            promised: Arc::clone(&promised),
            ids: Arc::clone(&ids),
        };
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..writers {
            let dice = Dice::of(seed, 1 + run * 10_000 + writer as u64);
            tasks.spawn(all.clone().write(format!("{run}-{writer}"), dice));
        }
        tasks.spawn(all.clone().keep_books(run > 0));
        if run % 2 == 0 {
            // In the middle of the first run, and of the third, it becomes another month.
            clock.advance(Duration::from_secs(50));
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        caught_up(&log).await?;
        if run == 0 {
            let (numbers, said) = ((20..30).collect::<NumberSet>(), held("a case"));
            let hold = log.hold(numbers.clone(), said).await?;
            all.promise(hold.number, What::Fact);
            let known = machine.disk.position();
            promised.lock().expect("no holder panics").held = Some((known, numbers));
        }
        log.shutdown().await;
        drop((log, all));
        copies.push(copy_index(&machine, kept.path().join(run.to_string()))?);
        // Bodies are due by then.
        clock.advance(Duration::from_secs(9 * 86_400));
    }
    let segments = machine.disk.list(&PathBuf::from(DIR).join("log/segments"))?;
    let promised = std::mem::take(&mut *promised.lock().expect("no holder panics"));
    Ok(Life {
        segments: segments.len(),
        machine,
        promised,
        copies,
        ended: clock.now(),
        ids: ids.load(Ordering::Relaxed),
        _copies: kept,
    })
}

fn copy_index(machine: &Machine, path: PathBuf) -> Result<IndexCopy> {
    let position = machine.disk.position();
    machine.copy_index(&path)?;
    Ok(IndexCopy { path, position })
}

fn held(ground: &str) -> Held {
    Held {
        ground: ground.into(),
        who: "uid:0".into(),
    }
}
