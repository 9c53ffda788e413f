//! The ledger: the tree over the leaves of this log, and the checkpoints that the node signs over it. Owns the key that
//! signs them and the one that co-signs those of others, `log/checkpoint` and `log/tree`; `ledger/tree.rs` keeps the hashes.
//!
//! - A checkpoint is signed over synced leaves only, and is on disk before anybody sees it: a crash can cost one, never
//!   make two that contradict each other.
//! - Before the first is signed in a process, the leaves are checked against the newest that was signed before. If they
//!   are others, or fewer, nothing is signed and no message is taken any more, and the operator is told. The log can still
//!   be read.
//! - All of it runs beside the writer: an entry never waits for its checkpoint.

mod lost;
mod shown;
mod tree;

pub(super) use self::lost::LostLeaves;

use std::path::PathBuf;
use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use kontor_pki::{crypto::Ed25519Key, sealed::MasterKey};
use kontor_protocol::{
    id::ServerId,
    log::{
        binding::Binding,
        checkpoint::{Checkpoint, SignedCheckpoint},
        leaf_hash,
        note::{Cosigner, NoteSignature, NoteSigner, SignatureKind, VerifierKey},
        origin::{LogOrigin, witness_name},
        proof::LogProof,
        tree::Hash,
        witness::Accepted,
    },
};
use zeroize::Zeroizing;

use self::tree::Tree;
use super::{
    MessageLog,
    error::LogError,
    fact::{Fact, FactKind},
    identity::{Home, hex},
    read::Reader,
};
use crate::disk;

/// No file of the ledger but the hashes is longer.
const LIMIT: usize = 256 * 1024;

/// See the module. Clones share it.
#[derive(Clone)]
pub(super) struct Ledger(Arc<Shared>);

struct Shared {
    home: Home,
    signer: NoteSigner,
    cosigner: Cosigner,
    state: Mutex<State>,
    /// Set with [`Shown::refused`], for those who ask often.
    is_refused: AtomicBool,
    /// What others may see, so that they need not wait for a tree that is being read.
    shown: Mutex<Shown>,
}

#[derive(Default, Clone)]
struct Shown {
    checkpoint: Option<SignedCheckpoint>,
    /// The newest checkpoint that others co-signed, and the bindings of their keys.
    cosigned: Option<(SignedCheckpoint, Vec<Binding>)>,
    /// A checkpoint of this log that a peer keeps and that the log does not go on from.
    seen: Option<SignedCheckpoint>,
    /// Of the keys of this log, as far as they are bound.
    bindings: Vec<Binding>,
    refused: Option<LogError>,
}

struct State {
    tree: Tree,
    /// Whether the leaves were checked against the newest checkpoint of an earlier process.
    is_checked: bool,
}

/// What a fact of kind *checkpoint key* says, about the key that signs checkpoints or the one that co-signs them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BoundCheckpointKey {
    /// The verifier key, `name+id+key`.
    pub key: String,
    /// The member that answers for it, INSTANCE/CLASS/CODE.
    pub member: String,
}

/// The document of such a fact that holds statement and signature.
pub const BINDING_DOCUMENT: &str = "binding.json";

/// Whether the log has fewer entries than were signed, or than a peer has seen. Asked before anything is written: an entry
/// more would be a fork.
pub(super) fn behind(home: &Home, entries: u64) -> Result<Option<LogError>, LogError> {
    let signed = signed_size(home)?;
    Ok((signed > entries).then_some(LogError::Behind { entries, signed }))
}

/// How many entries this node signed over, or a peer has seen.
fn signed_size(home: &Home) -> Result<u64, LogError> {
    let signed = read_checkpoint(home)?.map_or(0, |kept| kept.claimed().size());
    let seen = read_note(home, &home.layout.seen())?.map_or(0, |seen| seen.claimed().size());
    Ok(signed.max(seen))
}

fn read(home: &Home, path: &std::path::Path) -> Result<Option<Vec<u8>>, LogError> {
    match disk::read_all(&*home.disk, path, LIMIT) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogError::io("could not read", path)(error)),
    }
}

fn read_checkpoint(home: &Home) -> Result<Option<SignedCheckpoint>, LogError> {
    read_note(home, &home.layout.checkpoint())
}

fn read_note(home: &Home, path: &std::path::Path) -> Result<Option<SignedCheckpoint>, LogError> {
    let parse =
        |bytes: Vec<u8>| SignedCheckpoint::parse(&bytes).map_err(|error| LogError::damaged(path, error));
    read(home, path)?.map(parse).transpose()
}

/// A file with a checkpoint of this log, or why it holds none.
pub(super) type SignedFile = (PathBuf, Result<Checkpoint, String>);

/// The checkpoints of this log that are kept, as far as the key of the log signed them; else why not. For who reads the log
/// without opening it.
pub(super) fn signed(home: &Home, master: &MasterKey) -> Result<Vec<SignedFile>, LogError> {
    let layout = &home.layout;
    let mut found = Vec::new();
    for path in [layout.checkpoint(), layout.cosigned(), layout.seen()] {
        let Some(bytes) = read(home, &path)? else {
            continue;
        };
        let judged = SignedCheckpoint::parse(&bytes)
            .map_err(|error| error.to_string())
            .and_then(|kept| {
                let origin = LogOrigin::parse(kept.claimed().origin());
                let origin = origin
                    .filter(|origin| origin.log_id == home.id)
                    .ok_or("it is of another log")?;
                let key = key(home, master, CHECKPOINT_KEY, false).map_err(|error| error.to_string())?;
                let signer = NoteSigner::new(origin.key_name(), key);
                kept.verify(signer.verifier(), &[])
                    .map_err(|error| error.to_string())?;
                Ok(kept.claimed().clone())
            });
        found.push((path, judged));
    }
    Ok(found)
}

/// Files with bindings of keys that do not read, and why. A start does without them.
pub(super) fn unread_bindings(home: &Home) -> Result<Vec<(PathBuf, String)>, LogError> {
    let mut unread = Vec::new();
    for name in [CHECKPOINT_KEY, WITNESS_KEY] {
        let path = home.layout.binding(name);
        let kept = read(home, &path)?.map(|bytes| Binding::from_json(&bytes));
        unread.extend(kept.and_then(Result::err).map(|error| (path, error.to_string())));
    }
    let path = home.layout.witnesses();
    if let Some(bytes) = read(home, &path)? {
        let all = serde_json::from_slice::<Vec<serde_json::Value>>(&bytes).map(|all| all.len());
        match all {
            Ok(all) if all == parse_bindings(&bytes).len() => {}
            Ok(_) => unread.push((path, "a binding in it does not read".into())),
            Err(error) => unread.push((path, error.to_string())),
        }
    }
    Ok(unread)
}

impl Ledger {
    /// Reads key and newest checkpoint; makes the key of a new log. Reads no leaves yet.
    pub(super) fn open(home: &Home, master: &MasterKey, server: &ServerId) -> Result<Self, LogError> {
        let origin = LogOrigin {
            server: server.clone(),
            log_id: home.id,
        };
        let checkpoint = read_checkpoint(home)?;
        let signer = NoteSigner::new(
            origin.key_name(),
            key(home, master, CHECKPOINT_KEY, checkpoint.is_none())?,
        );
        let cosigner = Cosigner::new(witness_name(server), key(home, master, WITNESS_KEY, true)?);
        let seen = read_note(home, &home.layout.seen())?;
        for (kept, path) in [
            (&checkpoint, home.layout.checkpoint()),
            (&seen, home.layout.seen()),
        ] {
            if let Some(kept) = kept {
                kept.verify(signer.verifier(), &[])
                    .map_err(|error| LogError::damaged(&path, error))?;
            }
        }
        let mut bindings = Vec::new();
        for key in [signer.verifier(), cosigner.verifier()] {
            // One that does not read, or is of another key, is signed anew.
            let kept = read(home, &home.layout.binding(name_of(key)))?;
            let kept = kept.and_then(|bytes| Binding::from_json(&bytes).ok());
            bindings.extend(kept.filter(|binding| binding.statement.key() == key));
        }
        // What is not readable of it is shown to others again.
        let cosigned = read(home, &home.layout.cosigned())?
            .and_then(|bytes| SignedCheckpoint::parse(&bytes).ok())
            .filter(|kept| kept.verify(signer.verifier(), &[]).is_ok());
        let witnesses = read(home, &home.layout.witnesses())?.map(|bytes| parse_bindings(&bytes));
        let cosigned = cosigned.map(|kept| (kept, witnesses.unwrap_or_default()));
        let tree = Tree::open(home, checkpoint.as_ref().map_or(0, |kept| kept.claimed().size()))?;
        Ok(Self(Arc::new(Shared {
            home: home.clone(),
            signer,
            cosigner,
            is_refused: AtomicBool::new(false),
            state: Mutex::new(State {
                tree,
                is_checked: checkpoint.is_none() && seen.is_none(),
            }),
            shown: Mutex::new(Shown {
                checkpoint,
                cosigned,
                seen,
                bindings,
                refused: None,
            }),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.0.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the log still goes on from what was signed; asked for every entry.
    pub(super) fn check(&self) -> Result<(), LogError> {
        if !self.0.is_refused.load(Ordering::Relaxed) {
            return Ok(());
        }
        self.shown().refused.clone().map_or(Ok(()), Err)
    }

    pub(super) fn refuse(&self, error: LogError) -> LogError {
        let first = self.shown().refused.get_or_insert(error).clone();
        self.0.is_refused.store(true, Ordering::Relaxed);
        first
    }

    /// Takes in what is synced and signs it, if it is more than was signed.
    fn advance(&self, reader: &Reader) -> Result<Option<SignedCheckpoint>, LogError> {
        let mut state = self.state();
        self.advanced(&mut state, reader)
    }

    fn advanced(&self, state: &mut State, reader: &Reader) -> Result<Option<SignedCheckpoint>, LogError> {
        let Shown {
            checkpoint: kept,
            seen,
            refused,
            ..
        } = self.shown().clone();
        if let Some(refused) = refused {
            return Err(refused);
        }
        state.tree.advance(reader)?;
        for before in kept.iter().chain(&seen).filter(|_| !state.is_checked) {
            if let Err(error) = self.compare(&mut state.tree, before.claimed(), reader) {
                if error.is_end() {
                    self.refuse(error.clone());
                }
                return Err(error);
            }
        }
        state.is_checked = true;
        let size = state.tree.size();
        if size == 0 || kept.as_ref().is_some_and(|kept| kept.claimed().size() >= size) {
            return Ok(kept);
        }
        let signer = &self.0.signer;
        let checkpoint = Checkpoint::new(signer.verifier().name(), size, state.tree.root(size)?);
        let path = self.0.home.layout.checkpoint();
        let signed =
            SignedCheckpoint::sign(checkpoint, signer).map_err(|error| LogError::damaged(&path, error))?;
        // A crash before this is done: nobody has seen the checkpoint, and the next one is signed over the same leaves.
        disk::replace(&*self.0.home.disk, &path, &signed.to_bytes())
            .map_err(LogError::io("could not write", &path))?;
        self.shown().checkpoint = Some(signed.clone());
        Ok(Some(signed))
    }

    /// The leaves against what was signed over them. Kept hashes that do not fit are not believed a second time.
    fn compare(&self, tree: &mut Tree, signed: &Checkpoint, reader: &Reader) -> Result<(), LogError> {
        let size = signed.size();
        if tree.size() < size {
            let entries = tree.size();
            return Err(LogError::Behind {
                entries,
                signed: size,
            });
        }
        if tree.root(size).is_ok_and(|root| root == *signed.root()) {
            return Ok(());
        }
        tree.begin_anew();
        tree.advance(reader)?;
        if tree.root(size)? == *signed.root() {
            return Ok(());
        }
        Err(match tree.unknown().filter(|number| *number < size) {
            Some(number) => LogError::LeafLost { number, size },
            None => LogError::Contradiction { size },
        })
    }

    fn prove(&self, number: u64, reader: &Reader) -> Result<LogProof, LogError> {
        if number >= reader.entries() {
            return Err(LogError::NotFound { number });
        }
        let mut state = self.state();
        if !state.is_checked {
            // What was signed before this process is shown only when the leaves are known to be those.
            self.advanced(&mut state, reader)?;
        }
        let shown = self.shown().clone();
        let covers = |kept: &SignedCheckpoint| kept.claimed().size() > number;
        // What others signed too says more than what is newer.
        let signed = shown
            .cosigned
            .map(|(kept, _)| kept)
            .filter(covers)
            .or(shown.checkpoint.filter(covers));
        let checkpoint = match signed {
            Some(checkpoint) => checkpoint,
            None => self
                .advanced(&mut state, reader)?
                .ok_or(LogError::NotFound { number })?,
        };
        let path = state.tree.inclusion(number, checkpoint.claimed().size())?;
        let proof = LogProof {
            extra: None,
            index: number,
            path,
            checkpoint,
        };
        // A proof that does not hold must not leave the house.
        let entry = reader.entry(number)?;
        if entry.leaf_bytes().is_empty() {
            return Err(LogError::Forgotten { number, part: "leaf" });
        }
        let leaf = leaf_hash(entry.leaf_bytes());
        match proof.verify(&leaf, self.0.signer.verifier(), &[]) {
            Ok(_) => Ok(proof),
            Err(error) => Err(LogError::damaged(&self.0.home.layout.tree(), error)),
        }
    }

    fn replace(&self, path: &std::path::Path, bytes: &[u8]) -> Result<(), LogError> {
        disk::replace(&*self.0.home.disk, path, bytes).map_err(LogError::io("could not write", path))
    }

    fn keep_binding(&self, binding: Binding) -> Result<(), LogError> {
        let path = self.0.home.layout.binding(name_of(binding.statement.key()));
        self.replace(&path, &binding.to_json())?;
        let mut shown = self.shown();
        shown
            .bindings
            .retain(|kept| kept.statement.key() != binding.statement.key());
        shown.bindings.push(binding);
        Ok(())
    }

    fn keep_cosigned(&self, cosigned: SignedCheckpoint, witnesses: Vec<Binding>) -> Result<(), LogError> {
        let layout = &self.0.home.layout;
        // A crash between the two: a co-signature is not told until the next one is kept.
        self.replace(&layout.witnesses(), &write_bindings(&witnesses))?;
        self.replace(&layout.cosigned(), &cosigned.to_bytes())?;
        self.shown().cosigned = Some((cosigned, witnesses));
        Ok(())
    }

    fn compare_with_seen(&self, seen: SignedCheckpoint, reader: &Reader) -> Result<(), LogError> {
        let mut state = self.state();
        state.tree.advance(reader)?;
        let compared = self.compare(&mut state.tree, seen.claimed(), reader);
        if let Err(error) = compared.clone()
            && error.is_end()
        {
            // Kept before it is told: the next start knows it too.
            self.replace(&self.0.home.layout.seen(), &seen.to_bytes())?;
            self.shown().seen = Some(seen);
            return Err(self.refuse(error));
        }
        compared
    }
}

/// Names of the two keys, in files and labels.
const CHECKPOINT_KEY: &str = "checkpoint";
const WITNESS_KEY: &str = "witness";

fn name_of(key: &VerifierKey) -> &'static str {
    match key.kind() {
        SignatureKind::Ed25519 => CHECKPOINT_KEY,
        SignatureKind::Cosignature => WITNESS_KEY,
    }
}

/// Bindings from a JSON array; those that do not read are left out.
pub(crate) fn parse_bindings(bytes: &[u8]) -> Vec<Binding> {
    let values: Vec<serde_json::Value> = serde_json::from_slice(bytes).unwrap_or_default();
    values
        .iter()
        .filter_map(|value| Binding::from_json(value.to_string().as_bytes()).ok())
        .collect()
}

/// Bindings as a JSON array.
pub(crate) fn write_bindings(bindings: &[Binding]) -> Vec<u8> {
    let mut array = vec![b'['];
    for binding in bindings {
        if array.len() > 1 {
            array.push(b',');
        }
        array.extend(binding.to_json());
    }
    array.extend(b"]\n");
    array
}

/// A key of the log, or the first one. It never leaves its file unsealed.
fn key(home: &Home, master: &MasterKey, name: &str, may_make: bool) -> Result<Ed25519Key, LogError> {
    let path = home.layout.ledger_key(name);
    let label = format!("kontor/log/{name}-key/1 {}", hex(&home.id));
    if let Some(sealed) = read(home, &path)? {
        let seed = master
            .open(&label, &sealed)
            .map_err(|_| LogError::damaged(&path, "it does not open with the unsealing key"))?;
        let seed =
            <[u8; 32]>::try_from(&seed[..]).map_err(|_| LogError::damaged(&path, "it holds no key"))?;
        return Ok(Ed25519Key::from_seed(&Zeroizing::new(seed)));
    }
    if !may_make {
        let lost = "it is missing, and there are checkpoints that were signed with it";
        return Err(LogError::damaged(&path, lost));
    }
    let key = Ed25519Key::generate();
    let sealed = master
        .seal(&label, &*key.to_seed())
        .expect("a log id makes a short line");
    disk::replace(&*home.disk, &path, &sealed).map_err(LogError::io("could not write", &path))?;
    Ok(key)
}

impl MessageLog {
    /// The newest checkpoint that was signed.
    pub fn checkpoint(&self) -> Option<SignedCheckpoint> {
        self.ledger.shown().checkpoint.clone()
    }

    /// The keys of this log: the one that signs its checkpoints, and the one that co-signs those of others.
    pub fn ledger_keys(&self) -> [VerifierKey; 2] {
        let Shared { signer, cosigner, .. } = &*self.ledger.0;
        [signer.verifier().clone(), cosigner.verifier().clone()]
    }

    /// The newest checkpoint that others co-signed, and the bindings of their keys.
    pub fn cosigned_checkpoint(&self) -> Option<(SignedCheckpoint, Vec<Binding>)> {
        self.ledger.shown().cosigned.clone()
    }

    /// Co-signs a checkpoint of another log, which is on disk here by now.
    pub fn cosign(&self, accepted: &Accepted, second: u64) -> NoteSignature {
        accepted.cosign(&self.ledger.0.cosigner, second)
    }

    /// Keeps what others co-signed.
    pub async fn keep_cosigned(
        &self,
        cosigned: SignedCheckpoint,
        witnesses: Vec<Binding>,
    ) -> Result<(), LogError> {
        self.beside(move |ledger, _| ledger.keep_cosigned(cosigned, witnesses))
            .await
    }

    /// Compares the log with a checkpoint of it that a peer keeps. If it does not go on from that, nothing is taken any more,
    /// after the next start neither. What this node did not sign says nothing, whoever shows it.
    pub async fn compare_with_seen(&self, seen: SignedCheckpoint) -> Result<(), LogError> {
        let path = self.home.layout.seen();
        seen.verify(self.ledger.0.signer.verifier(), &[])
            .map_err(|error| LogError::damaged(&path, error))?;
        self.beside(move |ledger, reader| ledger.compare_with_seen(seen, reader))
            .await
    }

    /// Why no checkpoint is signed any more: the leaves are not those that were signed.
    pub fn checkpoint_refusal(&self) -> Option<LogError> {
        self.ledger.shown().refused.clone()
    }

    /// The member's signatures over those keys, as far as there are any.
    pub fn ledger_bindings(&self) -> Vec<Binding> {
        self.ledger.shown().bindings.clone()
    }

    /// Records and keeps the member's signature over a key. The entry comes first: what is shown stands in the log.
    pub async fn bind_ledger_key(&self, binding: Binding) -> Result<(), LogError> {
        let said = BoundCheckpointKey {
            key: binding.statement.key().to_string(),
            member: binding.statement.member().to_string(),
        };
        let fact =
            Fact::new(FactKind::CheckpointKey, &said).with_document(BINDING_DOCUMENT, binding.to_json());
        self.append_fact(fact).await?;
        self.beside(move |ledger, _| ledger.keep_binding(binding)).await
    }

    /// Takes the entries that are synced into the tree and signs a checkpoint over them, if there are more than before.
    pub async fn sign_checkpoint(&self) -> Result<Option<SignedCheckpoint>, LogError> {
        self.beside(|ledger, reader| ledger.advance(reader)).await
    }

    /// Proves that an entry is in the log, under the newest checkpoint; signs one if the entry is newer.
    pub async fn prove(&self, number: u64) -> Result<LogProof, LogError> {
        let mut explaining = self.reader();
        let prove = move |ledger: &Ledger, reader: &Reader| {
            let proof = ledger.prove(number, reader);
            proof.map_err(|error| explaining.explain(error))
        };
        self.beside(prove).await
    }

    /// The same with the bindings of the keys that signed the checkpoint; none while that of the log is not bound.
    pub async fn prove_to_others(&self, number: u64) -> Result<(LogProof, Vec<Binding>), LogError> {
        let proof = self.prove(number).await?;
        let [log_key, _] = self.ledger_keys();
        let mut keys = self.ledger_bindings();
        keys.retain(|binding| *binding.statement.key() == log_key);
        if !keys.is_empty() {
            let cosigned = self.cosigned_checkpoint();
            let cosigned = cosigned.filter(|(checkpoint, _)| *checkpoint == proof.checkpoint);
            keys.extend(cosigned.map(|(_, witnesses)| witnesses).unwrap_or_default());
        }
        Ok((proof, keys))
    }

    /// The leaf of an entry.
    pub async fn leaf(&self, number: u64) -> Result<Vec<u8>, LogError> {
        self.beside(move |_, reader| Ok(reader.entry(number)?.leaf_bytes().to_vec()))
            .await
    }

    /// Proves that the tree of `new` leaves goes on from that of `old`.
    pub async fn prove_consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        self.beside(move |ledger, _| ledger.state().tree.consistency(old, new))
            .await
    }

    async fn beside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Ledger, &Reader) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (ledger, reader) = (self.ledger.clone(), self.reader());
        tokio::task::spawn_blocking(move || work(&ledger, &reader))
            .await
            .map_err(|_| LogError::Closed)?
    }
}
