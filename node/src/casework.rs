//! Casework: cases (Vorgänge), and transfers of applications between authorities.
//!
//! | Room | Owns |
//! |---|---|
//! | `store` | rows and transactions |
//! | `step` | what one change writes, and its commit |
//! | `principal` | who acts, and what lets them in |
//! | `persons` | whom a pseudonym stands for |
//! | `tokens` | tokens of issuers that let persons in |
//! | `row` | what the rows hold, and what of it is sealed |
//! | `scan` | the malware scanner |
//! | `intake` | an application becomes a case |
//! | `cases` | commands on cases |
//! | `dossier` | what goes with a case besides form and files |
//! | `offers` | who is offered what, until when, and the package |
//! | `transfers` | commands on transfers |
//! | `files` | files of cases and what is packed of them |
//! | `late` | what comes after the copy was frozen |
//! | `index` | what lists and searches need of every case, in memory |
//! | `inbox` | messages and questions of other nodes |
//! | `caller` | exchanges with other nodes, and which of them takes transfers |
//! | `outbox` | messages to other nodes, until they are settled |
//! | `answers` | what their answers lead to in a transfer |
//! | `here` | what of a return needs not be pulled |
//! | `pull` | packages on their way here, and the check of what came |
//! | `instance` | writing what was taken over into the own instance |
//! | `rounds` | participation: rounds, requests to others, and what others ask |
//! | `clocks` | what falls due |
//! | `webhooks` | events on their way to line-of-business systems |
//! | `api` | the interface for line-of-business systems and people |
//!
//! The order of every change: the entry of the message log first (an act of our own, or the request that brought a message), then one
//! transaction of the store that cites its number and the hash of its leaf. Nobody is told before that. What a crash leaves between
//! the two is an act that nothing cites; the next start says so in the log.

mod answers;
pub(crate) mod api;
mod caller;
mod cases;
mod clocks;
mod dossier;
pub(crate) mod inbox;
mod files;
mod here;
mod index;
mod instance;
mod intake;
mod late;
mod offers;
mod outbox;
mod persons;
mod principal;
mod pull;
mod refusal;
mod rounds;
mod row;
mod scan;
mod step;
mod store;
#[cfg(test)]
mod tests;
mod tokens;
mod transfers;
pub(crate) mod webhooks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, OnceLock, PoisonError};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::transfer::offer::Id;
use kontor_pki::time::UnixTime;
use kontor_protocol::id::ServerId;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, Notify, OwnedMutexGuard, broadcast};

use crate::clock::{SharedClock, TrainingClock};
use crate::config::{CaseworkSettings, EgressSettings};
use crate::globalconf::GlobalConf;
use crate::messagelog::{Acted, Fact, FactKind, LogError, Looked, MessageLog, Receipt, Vault, VaultPart};
use crate::shutdown::Shutdown;

use self::files::Held;
use self::principal::Admitted;
pub(crate) use self::principal::Principal;
pub(crate) use self::refusal::Refused;
use self::row::{CaseContent, CaseRecord, CaseRow, Cited, Process, TransferRow};
use self::step::Step;
use self::store::redb::Redb;
use self::store::{Store, StoreError, Table, TxError};

/// Why casework cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The message log, or what is sealed beside it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The state store.
    #[error("{0}")]
    Store(String),
    /// The folder drop.
    #[error("{0}")]
    Folder(String),
}

/// What casework is built from.
pub struct Setup {
    /// Its settings.
    pub settings: CaseworkSettings,
    /// The message log.
    pub log: MessageLog,
    /// Global configuration.
    pub trust: Arc<GlobalConf>,
    /// The clock.
    pub clock: SharedClock,
    /// The own server.
    pub server: ServerId,
    /// Whether this is a test instance.
    pub test: bool,
    /// How issuers of tokens are reached.
    pub egress: EgressSettings,
    /// Tasks and the end.
    pub shutdown: Shutdown,
}

/// See the module.
pub struct Casework {
    settings: CaseworkSettings,
    /// Who comes in, and what is accepted without a person; changes while the node runs.
    admitted: ArcSwap<Admitted>,
    log: MessageLog,
    trust: Arc<GlobalConf>,
    /// The machine's clock, by which trust is judged.
    clock: SharedClock,
    /// The clock of what people do and what falls due: the machine's, or ahead of it in a training.
    calendar: SharedClock,
    server: ServerId,
    test: bool,
    shutdown: Shutdown,
    store: Store,
    vault: Vault,
    /// One change of a case or a transfer at a time.
    locks: StdMutex<BTreeMap<Id, Arc<Mutex<()>>>>,
    /// An entry, and the locks that were held when it was the last one and have not been let go since.
    marking: StdMutex<Option<Marking>>,
    /// The newest instant that was used, in milliseconds.
    newest: AtomicI64,
    /// Numbers of subjects that this process may give: the next one, and the end of its block.
    subjects: Mutex<(u64, u64)>,
    /// Whether what the last end left is put right, and what is kept in memory is there.
    ready: AtomicBool,
    /// What waits for other nodes.
    outbox: outbox::Outbox,
    /// Transfers that something may be due of.
    active: StdMutex<BTreeSet<Id>>,
    /// What somebody has to look at now.
    woken: StdMutex<BTreeSet<Process>>,
    wake: Notify,
    /// Numbers of events, for whoever follows them.
    told: broadcast::Sender<()>,
    scanning: scan::Scanner,
    index: index::Index,
    board: rounds::board::Board,
    persons: persons::Persons,
    webhooks: webhooks::Webhooks,
    /// Where a procedure that calls no interface finds what this house is asked.
    folder: Option<rounds::folder::Folder>,
    /// There when casework runs.
    caller: OnceLock<Arc<caller::Caller>>,
}

impl std::fmt::Debug for Casework {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Casework").finish_non_exhaustive()
    }
}

type Marking = (u64, Vec<Arc<Mutex<()>>>);

fn row_key(id: &Id) -> Vec<u8> {
    id.to_string().into_bytes()
}

/// A fresh id that says nothing, for what goes from node to node for life.
fn random_id() -> Id {
    written(uuid::Uuid::new_v4())
}

/// A fresh id that begins with its instant: rows of the same time lie beside each other, and a commit of many touches few pages.
fn fresh_id(now: Timestamp) -> Id {
    let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
    let random = kontor_pki::crypto::random();
    written(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
}

fn written(id: uuid::Uuid) -> Id {
    Id::try_from(id.to_string()).expect("a UUID is written in lower case with hyphens")
}

/// Subjects of one start before another block of numbers is taken.
const BLOCK: u64 = 1 << 12;
/// An own clock this far behind the newest instant refuses commands, in milliseconds; so far apart two clocks are shown.
const APART: i64 = 60_000;

impl Casework {
    /// Opens store and vault. What an end in the middle left is put right by [`run`](Self::run).
    pub fn open(dir: &Path, setup: Setup) -> Result<Arc<Self>, OpenError> {
        let folder = rounds::folder::Folder::open(&setup.settings)?;
        let vault = setup.log.vault("casework")?;
        let path = dir.join("casework").join("state.redb");
        let engine = Redb::open(&path).map_err(|error| OpenError::Store(error.to_string()))?;
        let (told, _) = broadcast::channel(1);
        let calendar = match &setup.settings.training_clock {
            Some(file) => {
                tracing::warn!(file = %file.display(), "a training: the clock of cases and deadlines is ahead by what the file says");
                TrainingClock::ahead_of(setup.clock.clone(), file.clone())
            }
            None => setup.clock.clone(),
        };
        Ok(Arc::new(Self {
            scanning: scan::Scanner::new(&setup.settings.scanner),
            webhooks: webhooks::Webhooks::new(&setup.settings),
            admitted: ArcSwap::new(Admitted::first(&setup.settings, &setup.egress)),
            settings: setup.settings,
            log: setup.log,
            trust: setup.trust,
            calendar,
            clock: setup.clock,
            server: setup.server,
            test: setup.test,
            shutdown: setup.shutdown,
            store: Store::new(Arc::new(engine)),
            vault,
            locks: StdMutex::default(),
            marking: StdMutex::default(),
            newest: AtomicI64::new(i64::MIN),
            subjects: Mutex::new((0, 0)),
            ready: AtomicBool::new(false),
            outbox: outbox::Outbox::default(),
            active: StdMutex::default(),
            woken: StdMutex::default(),
            wake: Notify::new(),
            told,
            index: index::Index::default(),
            board: rounds::board::Board::default(),
            persons: persons::Persons::default(),
            folder,
            caller: OnceLock::new(),
        }))
    }

    /// Refuses what comes before everything is there.
    fn is_open(&self) -> Result<(), Refused> {
        match self.ready.load(Ordering::Acquire) {
            true => Ok(()),
            false => Err(Refused::unavailable("starting", "casework is being opened")),
        }
    }

    /// The own subsystem.
    pub(crate) fn own(&self) -> &kontor_protocol::id::ClientId {
        &self.settings.client
    }

    /// Resolves when the state store failed: the process must end.
    pub async fn failed(&self) -> String {
        self.store.failed().await.to_string()
    }

    /// The current instant: never before one that was used.
    fn now(&self) -> Timestamp {
        let now = self
            .calendar
            .now()
            .millis()
            .max(self.newest.load(Ordering::Acquire));
        Timestamp::from_millisecond(now).unwrap_or(Timestamp::MAX)
    }

    /// The current instant for a decision. Refused when the own clock is far behind what was recorded.
    fn decisive_now(&self) -> Result<Timestamp, Refused> {
        let behind = self
            .newest
            .load(Ordering::Acquire)
            .saturating_sub(self.calendar.now().millis());
        match behind > APART {
            true => Err(Refused::clock_behind(behind / 1000)),
            false => Ok(self.now()),
        }
    }

    fn used(&self, at: UnixTime) {
        self.newest.fetch_max(at.millis(), Ordering::AcqRel);
    }

    /// A number for a subject whose keys are to be made.
    async fn subject(&self, now: Timestamp) -> Result<(u32, u64), Refused> {
        let number = {
            let mut subjects = self.subjects.lock().await;
            let (next, end) = *subjects;
            let (next, end) = match next < end {
                true => (next, end),
                false => {
                    // Nobody gets a number of a block again: one that was given and not used is lost.
                    let block = self
                        .store
                        .run_tx("subjects", |tx| Ok::<_, TxError<Refused>>(tx.next("subjects")?))
                        .await?;
                    (block * BLOCK, (block + 1) * BLOCK)
                }
            };
            *subjects = (next + 1, end);
            next
        };
        let date = kontor_participation::deadline::day_of(now);
        let period = u32::from(date.year().unsigned_abs()) * 100 + u32::from(date.month().unsigned_abs());
        Ok((period, number))
    }

    /// Waits until nobody else changes what has one of these ids.
    async fn lock(&self, ids: &[&Id]) -> Vec<OwnedMutexGuard<()>> {
        let mut ids: Vec<&Id> = ids.to_vec();
        ids.sort_by_key(|id| id.to_string());
        ids.dedup();
        let mut guards = Vec::new();
        for id in ids {
            let lock = {
                let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
                if locks.len() > 4096 {
                    locks.retain(|_, lock| Arc::strong_count(lock) > 1);
                }
                Arc::clone(locks.entry(id.clone()).or_default())
            };
            guards.push(lock.lock_owned().await);
        }
        guards
    }

    fn case(&self, id: &Id) -> Result<CaseRow, Refused> {
        let row = self.store.get(Table::Cases, &row_key(id))?;
        row.ok_or_else(|| Refused::not_found("case", id))
    }

    fn transfer(&self, id: &Id) -> Result<TransferRow, Refused> {
        let row = self.store.get(Table::Transfers, &row_key(id))?;
        row.ok_or_else(|| Refused::not_found("transfer", id))
    }

    fn seal(&self, part: VaultPart, subject: (u32, u64), what: &impl Serialize) -> Result<String, Refused> {
        let plain =
            zeroize::Zeroizing::new(serde_json::to_vec(what).map_err(|error| Refused::internal(&error))?);
        let sealed = self.vault.seal(part, subject, &plain)?;
        Ok(BASE64_STANDARD.encode(sealed.ok_or_else(|| Refused::purged("content"))?))
    }

    /// What was sealed; `None` when it is forgotten.
    fn open_sealed<T: DeserializeOwned>(
        &self,
        part: VaultPart,
        subject: (u32, u64),
        sealed: &str,
    ) -> Result<Option<T>, Refused> {
        if sealed.is_empty() {
            return Ok(None);
        }
        let sealed = BASE64_STANDARD
            .decode(sealed)
            .map_err(|error| Refused::internal(&error))?;
        let opened = self.vault.open(part, subject, &sealed)?;
        opened
            .map(|plain| serde_json::from_slice(&plain).map_err(|error| Refused::internal(&error)))
            .transpose()
    }

    fn record(&self, case: &CaseRow) -> Result<CaseRecord, Refused> {
        let record = self.open_sealed(VaultPart::Record, case.subject, &case.record)?;
        record.ok_or_else(|| Refused::purged("case"))
    }

    fn content(&self, case: &CaseRow) -> Result<CaseContent, Refused> {
        let sealed: Option<String> = self.store.get(Table::Contents, &row_key(&case.id))?;
        let content = self.open_sealed(
            VaultPart::Content,
            case.subject,
            sealed.as_deref().unwrap_or_default(),
        )?;
        content.ok_or_else(|| Refused::purged("content of the case"))
    }

    /// Where an entry stands.
    fn cited(&self, receipt: &Receipt) -> Cited {
        let second = i64::try_from(receipt.second).unwrap_or(i64::MAX);
        self.used(UnixTime::from_millis(second.saturating_mul(1000)));
        Cited {
            number: receipt.number,
            leaf: Digest(receipt.leaf),
        }
    }

    /// Records a decision of our own. `details` hold ids, codes and versions.
    async fn act(
        &self,
        who: &Principal,
        act: &str,
        ground: &str,
        details: serde_json::Value,
    ) -> Result<Cited, Refused> {
        let mut details = details;
        if let (Some(other), Some(map)) = (&who.on_behalf_of, details.as_object_mut()) {
            map.insert("on_behalf_of".into(), other.clone().into());
        }
        let said = Acted {
            act: format!("casework.{act}"),
            who: who.pseudonym.clone(),
            ground: ground.to_owned(),
            details,
        };
        let receipt = self.log.append_fact(Fact::new(FactKind::Act, &said)).await?;
        Ok(self.cited(&receipt))
    }

    /// Records a look at case data before it is shown.
    async fn look(&self, who: &Principal, what: &str, ground: &str) -> Result<(), Refused> {
        let said = Looked {
            who: match &who.on_behalf_of {
                Some(other) => format!("{} for {other}", who.pseudonym),
                None => who.pseudonym.clone(),
            },
            what: what.to_owned(),
            ground: ground.to_owned(),
        };
        self.log.append_fact(Fact::new(FactKind::Look, &said)).await?;
        Ok(())
    }
}

impl From<TxError<Self>> for Refused {
    fn from(error: TxError<Self>) -> Self {
        match error {
            TxError::Refused(refused) => refused,
            TxError::Store(error) => error.into(),
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the state store refused");
        Self::unavailable("store_failed", error.to_string())
    }
}
