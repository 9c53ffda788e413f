//! The logs of peers that are watched: for each the key, the newest checkpoint with the own co-signature, and what does not
//! go together. Owns the files below `data/witness`, where LOG is half of the SHA-256 of the log's origin in hexadecimal:
//!
//! | File | What | Loss costs |
//! |---|---|---|
//! | `LOG.key.json` | the member's signature over the log's key | the peer shows it again |
//! | `LOG.checkpoint` | the newest checkpoint, with the own co-signature, which says when it was seen | the peer could begin anew unseen |
//! | `LOG.other-root.json`, `LOG.smaller.json`, `LOG.unproven.json` | the first contradiction of each kind, with both checkpoints | evidence |
//! | `LOG.settled.json` | what the operator said about these, and about a new log | health is degraded again |
//!
//! Everything here blocks. A crash leaves the file of before or after; a co-signature is handed out only after the
//! checkpoint with it is on disk.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::StatusCode;
use kontor_pki::crypto::sha256;
use kontor_protocol::id::ServerId;
use kontor_protocol::limits;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::note::{NoteSignature, VerifierKey};
use kontor_protocol::log::origin::LogOrigin;
use kontor_protocol::log::witness::{
    Accepted, AddCheckpoint, Contradiction, ContradictionKind, Decision, decide,
};
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::disk::{self, Disk};
use crate::messagelog::hex;
use crate::sight::{Contradicted, Sight, WatchedLog, instant};

/// Logs that are kept at most: more peers than any node has.
const LOGS: usize = 16 * 1024;
/// Logs of one server: a server that begins anew more often than this is not watched any more, and does not push out others.
const LOGS_OF_SERVER: usize = 16;

const KINDS: [ContradictionKind; 3] = [
    ContradictionKind::OtherRoot,
    ContradictionKind::Smaller,
    ContradictionKind::Unproven,
];

const fn word(kind: ContradictionKind) -> &'static str {
    match kind {
        ContradictionKind::OtherRoot => "other-root",
        ContradictionKind::Smaller => "smaller",
        ContradictionKind::Unproven => "unproven",
    }
}

/// What is kept of one log.
struct Kept {
    origin: LogOrigin,
    key: Binding,
    checkpoint: Option<SignedCheckpoint>,
    contradictions: BTreeMap<&'static str, Contradiction>,
    settled: Option<Settled>,
}

/// What the operator said about a log of a peer.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Settled {
    format: u32,
    ground: String,
    who: String,
    second: u64,
    /// Kinds of contradictions that this is about; what comes later is open again.
    contradictions: Vec<String>,
    /// Whether it is about a new log as well.
    new_log: bool,
}

/// See the module.
pub(super) struct Watched {
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    /// The key that co-signs here.
    own: VerifierKey,
    sight: Sight,
    kept: HashMap<String, Kept>,
}

/// What becomes of a checkpoint that is shown.
pub(super) enum Shown {
    /// It is kept, and this is the co-signature.
    CoSigned(NoteSignature),
    /// A checkpoint of another size is kept.
    Other(u64),
}

impl Watched {
    /// Reads what was kept. A key that does not read is told and not believed.
    pub(super) fn open(
        dir: &Path,
        disk: Arc<dyn Disk>,
        own: VerifierKey,
        sight: Sight,
    ) -> std::io::Result<Self> {
        disk.create_dir(dir)?;
        let mut watched = Self {
            dir: dir.to_owned(),
            disk,
            own,
            sight,
            kept: HashMap::new(),
        };
        for name in watched.disk.list(dir)? {
            let Some(stem) = name.strip_suffix(".key.json") else {
                continue;
            };
            let key = disk::read_all(&*watched.disk, &dir.join(&name), limits::NOTE)?;
            let key = Binding::from_json(&key).ok();
            let read = key.and_then(|key| {
                let origin = LogOrigin::parse(key.statement.key().name().as_str())?;
                Some((origin, key))
            });
            let Some((origin, key)) = read else {
                tracing::error!(
                    file = name,
                    "a key of a peer's log does not read; the peer shows it again"
                );
                continue;
            };
            let kept = watched.read(stem, origin, key)?;
            watched.kept.insert(kept.origin.to_string(), kept);
        }
        for name in watched.kept.keys().cloned().collect::<Vec<_>>() {
            watched.tell(&name);
        }
        Ok(watched)
    }

    fn read(&self, stem: &str, origin: LogOrigin, key: Binding) -> std::io::Result<Kept> {
        let read = |kind: &str, limit| {
            let path = self.dir.join(format!("{stem}.{kind}"));
            match disk::read_all(&*self.disk, &path, limit) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                read => read.map(|bytes| Some((path, bytes))),
            }
        };
        let checkpoint = match read("checkpoint", limits::NOTE)? {
            None => None,
            Some((path, bytes)) => match SignedCheckpoint::parse(&bytes) {
                Ok(checkpoint) => Some(checkpoint),
                // To forget it in silence would let the peer begin anew.
                Err(error) => return Err(std::io::Error::other(format!("{}: {error}", path.display()))),
            },
        };
        let mut contradictions = BTreeMap::new();
        for kind in KINDS.map(word) {
            if let Some((path, bytes)) = read(&format!("{kind}.json"), 4 * limits::NOTE)? {
                match Contradiction::from_json(&bytes) {
                    Ok(contradiction) => _ = contradictions.insert(kind, contradiction),
                    Err(error) => {
                        tracing::error!(%error, file = %path.display(), "a kept contradiction does not read");
                    }
                }
            }
        }
        // One that does not read opens again what was settled.
        let settled = read("settled.json", limits::NOTE)?
            .and_then(|(_, bytes)| serde_json::from_slice::<Settled>(&bytes).ok())
            .filter(|settled| settled.format == 1);
        Ok(Kept {
            origin,
            key,
            checkpoint,
            contradictions,
            settled,
        })
    }

    /// The newest checkpoint of the log with this id, of a server that `is_of` accepts.
    pub(super) fn newest(&self, id: &str, is_of: impl Fn(&ServerId) -> bool) -> Option<SignedCheckpoint> {
        let mut logs = self.kept.values();
        logs.find_map(|kept| {
            let wanted = hex(&kept.origin.log_id) == id && is_of(&kept.origin.server);
            kept.checkpoint.clone().filter(|_| wanted)
        })
    }

    /// All logs of a server: key and newest checkpoint.
    pub(super) fn logs_of(&self, server: &ServerId) -> Vec<(Binding, Option<SignedCheckpoint>)> {
        let of_server = self.kept.values().filter(|kept| kept.origin.server == *server);
        of_server
            .map(|kept| (kept.key.clone(), kept.checkpoint.clone()))
            .collect()
    }

    /// Servers whose logs are watched.
    pub(super) fn servers(&self) -> Vec<ServerId> {
        let mut servers: Vec<_> = self
            .kept
            .values()
            .map(|kept| kept.origin.server.clone())
            .collect();
        servers.sort_by_key(ToString::to_string);
        servers.dedup();
        servers
    }

    /// Takes the key of a log, whose binding was verified. A known key may be bound anew, and never exchanged.
    pub(super) fn take_key(&mut self, origin: LogOrigin, binding: Binding) -> Result<(), Refused> {
        let name = origin.to_string();
        if let Some(known) = self.kept.get(&name) {
            // A log whose key could be exchanged could begin anew under the same name.
            if known.key.statement.key() != binding.statement.key() {
                let text = "another key is known for this log; its operator has to begin a new log";
                return Err(Refused::new(StatusCode::FORBIDDEN, "other_key", text));
            }
            if known.key.statement.since() >= binding.statement.since() {
                return Ok(());
            }
            self.write(&name, "key.json", &binding.to_json())?;
            if let Some(known) = self.kept.get_mut(&name) {
                known.key = binding;
            }
            return Ok(());
        }
        let before = self
            .kept
            .values()
            .filter(|kept| kept.origin.server == origin.server);
        let (before, of_server) = before.fold((None, 0), |(newest, count): (Option<&Kept>, _), kept| {
            let is_newer = newest.is_none_or(|newest| newest.since() < kept.since());
            (if is_newer { Some(kept) } else { newest }, count + 1)
        });
        if self.kept.len() >= LOGS || of_server >= LOGS_OF_SERVER {
            let text = "this witness keeps no more logs of this server";
            return Err(Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_logs",
                text,
            ));
        }
        if let Some(before) = before {
            let size = before.checkpoint.as_ref().map_or(0, |kept| kept.claimed().size());
            tracing::error!(
                server = %origin.server, log = hex(&origin.log_id), before = hex(&before.origin.log_id), size,
                "a peer has begun a new log: what its earlier one held is not in it; that one's checkpoint stays kept"
            );
        }
        self.write(&name, "key.json", &binding.to_json())?;
        let kept = Kept {
            origin,
            key: binding,
            checkpoint: None,
            contradictions: BTreeMap::new(),
            settled: None,
        };
        self.kept.insert(name.clone(), kept);
        self.tell(&name);
        Ok(())
    }

    /// Decides about a checkpoint, keeps it and co-signs it.
    pub(super) fn add_checkpoint(
        &mut self,
        request: &AddCheckpoint,
        cosign: impl FnOnce(&Accepted) -> NoteSignature,
    ) -> Result<Shown, Refused> {
        let name = request.checkpoint.claimed().origin().to_owned();
        let known = self.kept.get(&name);
        let decision = decide(
            known.and_then(|known| known.checkpoint.as_ref()),
            known.map(|known| known.key.statement.key()),
            request,
        );
        match decision {
            Decision::Accept(accepted) => {
                let line = cosign(&accepted);
                let mut checkpoint = accepted.checkpoint().signed().clone();
                // One that brings as many signatures as a note may have is kept without ours.
                let _ =
                    checkpoint.add_cosignatures(std::slice::from_ref(&line), std::slice::from_ref(&self.own));
                // On disk before the co-signature is handed out: a crash in between costs it, and nothing else.
                self.write(&name, "checkpoint", &checkpoint.to_bytes())?;
                if let Some(known) = self.kept.get_mut(&name) {
                    known.checkpoint = Some(checkpoint);
                }
                self.tell(&name);
                Ok(Shown::CoSigned(line))
            }
            Decision::Conflict {
                known_size,
                contradiction,
            } => {
                self.keep(&name, contradiction.as_deref());
                Ok(Shown::Other(known_size))
            }
            Decision::Refuse {
                refusal,
                contradiction,
            } => {
                self.keep(&name, contradiction.as_deref());
                let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
                Err(Refused::new(status, refusal.code(), refusal))
            }
        }
    }

    /// Notes what the operator says about everything that is open of a server; gives how many logs that are.
    pub(super) fn settle(
        &mut self,
        server: &str,
        ground: &str,
        who: &str,
        second: u64,
    ) -> Result<u64, String> {
        let open: Vec<_> = self
            .kept
            .iter()
            .filter(|(_, kept)| kept.origin.server.to_string() == server)
            .filter(|(_, kept)| self.look(kept).is_open())
            .map(|(name, _)| name.clone())
            .collect();
        for name in &open {
            let Some(kept) = self.kept.get(name) else { continue };
            let settled = Settled {
                format: 1,
                ground: ground.to_owned(),
                who: who.to_owned(),
                second,
                contradictions: kept
                    .contradictions
                    .keys()
                    .map(|kind| (*kind).to_owned())
                    .collect(),
                new_log: self.before(kept).is_some(),
            };
            let bytes = serde_json::to_vec_pretty(&settled).expect("strings and numbers always serialise");
            self.write(name, "settled.json", &bytes)
                .map_err(|refused| refused.text)?;
            tracing::info!(
                server,
                log = name,
                who,
                ground,
                "what a peer's log shows was settled"
            );
            if let Some(kept) = self.kept.get_mut(name) {
                kept.settled = Some(settled);
            }
            self.tell(name);
        }
        Ok(open.len() as u64)
    }

    /// Keeps two checkpoints that do not go together, and tells it: the first pair of each kind, so that a peer cannot fill
    /// the disk.
    fn keep(&mut self, name: &str, contradiction: Option<&Contradiction>) {
        let Some(contradiction) = contradiction else {
            return;
        };
        tracing::error!(
            log = name,
            kind = word(contradiction.kind()),
            known = contradiction.known().claimed().size(),
            shown = contradiction.shown().claimed().size(),
            "a peer's log does not go on from what it showed before; the first such pair of checkpoints is kept"
        );
        let kind = word(contradiction.kind());
        let is_first = self
            .kept
            .get(name)
            .is_some_and(|kept| !kept.contradictions.contains_key(kind));
        if is_first
            && self
                .write(name, &format!("{kind}.json"), &contradiction.to_json())
                .is_ok()
        {
            if let Some(kept) = self.kept.get_mut(name) {
                kept.contradictions.insert(kind, contradiction.clone());
            }
            self.tell(name);
        }
    }

    /// The log that the server had before this one.
    fn before(&self, kept: &Kept) -> Option<&Kept> {
        let others = self.kept.values().filter(|other| {
            other.origin.server == kept.origin.server
                && (other.since(), other.origin.log_id) < (kept.since(), kept.origin.log_id)
        });
        others.max_by_key(|other| (other.since(), other.origin.log_id))
    }

    fn look(&self, kept: &Kept) -> WatchedLog {
        let stem = stem(&kept.origin.to_string());
        let seen = kept.checkpoint.as_ref().and_then(|checkpoint| {
            let own = std::slice::from_ref(&self.own);
            let verified = checkpoint.verify(kept.key.statement.key(), own).ok()?;
            let seconds = verified.cosignatures().iter().map(|signed| signed.second);
            seconds.max().map(instant)
        });
        let replaces = self.before(kept).map(|before| hex(&before.origin.log_id));
        let covered = |settled: &&Settled| {
            let said = |kind: &&str| settled.contradictions.iter().any(|said| said == kind);
            kept.contradictions.keys().all(said) && (settled.new_log || replaces.is_none())
        };
        let settled = kept.settled.as_ref().filter(covered);
        let settled = settled.map(|settled| {
            format!(
                "{} ({}, {})",
                settled.ground,
                settled.who,
                instant(settled.second)
            )
        });
        WatchedLog {
            server: kept.origin.server.to_string(),
            log: hex(&kept.origin.log_id),
            size: kept.checkpoint.as_ref().map(|kept| kept.claimed().size()),
            seen,
            contradictions: kept
                .contradictions
                .iter()
                .map(|(kind, found)| Contradicted {
                    kind: (*kind).to_owned(),
                    known: found.known().claimed().size(),
                    shown: found.shown().claimed().size(),
                    file: self.dir.join(format!("{stem}.{kind}.json")).display().to_string(),
                })
                .collect(),
            replaces,
            settled,
        }
    }

    fn tell(&self, name: &str) {
        if let Some(kept) = self.kept.get(name) {
            self.sight.watches(name, self.look(kept));
        }
    }

    fn write(&self, name: &str, kind: &str, bytes: &[u8]) -> Result<(), Refused> {
        let path = self.dir.join(format!("{}.{kind}", stem(name)));
        disk::replace(&*self.disk, &path, bytes).map_err(|error| {
            tracing::error!(%error, path = %path.display(), "the witness could not keep what it was shown");
            let text = "the witness could not write; ask again later";
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "not_kept", text)
        })
    }
}

impl Kept {
    fn since(&self) -> u64 {
        self.key.statement.since()
    }
}

fn stem(name: &str) -> String {
    hex(&sha256(name.as_bytes())[..16])
}
