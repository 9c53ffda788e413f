//! The control socket: commands ask the node that owns the log, because only one process may open it. Owns the protocol on
//! `control.sock` and both of its ends: one JSON line asks, JSON lines answer, and a line that announces bytes is followed by
//! exactly those. Whoever may open the socket (0600, in a directory of the owner) may read the log.
//!
//! ```text
//! > {"op":"export","number":7}                     or "filter":{…}; "unstamped":true leaves out time-stamps, "record":true adds evidence records
//! > {"op":"search","filter":{"query_id":"…"},"limit":100}
//! > {"op":"show","number":7,"body":false}
//! < {"partial":{"indexed":500000,"of":900000}}       the rest is read, which takes a while
//! < {"progress":{"read":520000,"of":900000}}
//! < {"found":{"number":7,…}}                        more than the limit: {"more":{"first":9}}
//! < {"shown":{"number":7,"body_bytes":70000,…}}     then the bytes of the body, if they were asked for
//! < {"entry":{"number":7,"name":"…","at":…,"message":512,"signatures":7000,"chain_result":600,"chain":1500,"timestamp":null,
//!    "companion":900,"record":null,"body":70000,"notes":[]}}      then the bytes of each in this order; null for what is not there
//! > {"op":"check","deep":true}                    then progress, and
//! < {"checked":{"findings":[…],"notes":[],"entries":9,…}}
//! > {"op":"hold","order":{"numbers":{"numbers":"3-9","ground":"…"}}}     or "query_id", "release", "list"
//! < {"hold":{"entry":7,"entries":7,"numbers":"3-9","ground":"…","who":"uid:1000"}}
//! > {"op":"prove","number":7,"since":3}
//! < {"proven":{"leaf":300,"proof":1200,"keys":9000,"consistency":128}}   then the bytes of each in this order
//! > {"op":"reconcile","member":"INSTANCE/CLASS/CODE"}
//! < {"reconciled":{"bytes":400}}                    then a report, one for each of its nodes
//! > {"op":"witness"}                                or "settle":{"server":"…","ground":"…"}
//! < {"witness":{"bytes":400}}                       then the report
//! > {"op":"purge","ground":"…","dry_run":true}         or with "given":{"numbers":"3-9","parts":["body"],"by":"…"}
//! < {"purged":{"deletions":[…],"on_hold":0,"content_files":0,"segments":0}}
//! > {"op":"auditor","order":"list"}              or {"grant":{…}}, {"revoke":{"token":"…","ground":"…"}}
//! < {"auditor":{"id":"…","name":"…",…}}             a grant tells its token too, this once
//! > {"op":"archive","dry_run":false}
//! < {"archived":{"archives":[…],…}}
//! > {"op":"renew","all":false,"dry_run":false,"ground":"…"}      or "digest":"sha384"
//! < {"renewed":{"stamps":7,"tokens":[…],…}}
//! < {"error":{"number":8,"code":"…","text":"…"}}
//! < {"done":{}}
//! ```

//!
//! A command is a variant of `Question`, and a file here that owns its fields, its answer and its asking method.

pub(super) mod archive;
pub(super) mod auditor;
pub(super) mod client;
pub(super) mod check;
pub(super) mod export;
pub(super) mod hold;
pub(super) mod prove;
pub(super) mod purge;
pub(super) mod reconcile;
pub(super) mod renew;
#[cfg(test)]
mod hold_tests;
pub(super) mod search;
pub(super) mod show;
pub(super) mod witness;
#[cfg(test)]
pub(super) mod tests;

use std::{
    io,
    os::fd::AsRawFd,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::timeout,
};

use super::{
    ArchiveReport, CheckReport, MessageLog, Pieces, PurgeReport, RenewalReport,
    error::LogError,
    show::{FoundEntry, ShownEntry},
};
use crate::{shutdown::Shutdown, timestamper::Timestamper};

/// The longest line of either side.
const LINE: u64 = 64 * 1024;
/// Commands answered at the same time: exports read much and can wait for each other.
const COMMANDS: usize = 4;
/// A command says at once what it wants, and takes what it asked for.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a search says how far it is.
const PROGRESS: Duration = Duration::from_millis(500);

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Question {
    Check(check::Check),
    Archive(archive::Archive),
    Auditor(auditor::AuditorQuestion),
    Export(export::Export),
    Hold(hold::HoldQuestion),
    Prove(prove::Prove),
    Purge(purge::PurgeAsked),
    Reconcile(reconcile::Reconcile),
    Renew(renew::Renew),
    Search(search::Search),
    Show(show::Show),
    Witness(witness::Witness),
}

/// A line of the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Progress {
        read: u64,
        of: u64,
    },
    Partial {
        indexed: u64,
        of: u64,
    },
    Found(Box<FoundEntry>),
    More {
        first: u64,
    },
    Shown(Box<ShownEntry>),
    Entry(export::Announced),
    /// Of a message whose content is gone; its bytes follow.
    Statement {
        number: u64,
        length: u64,
        notes: Vec<String>,
    },
    Checked(CheckReport),
    Auditor(Box<auditor::ToldGrant>),
    Hold(hold::ToldHold),
    Proven(prove::ProvenBytes),
    Purged(PurgeReport),
    Reconciled {
        bytes: u64,
    },
    Archived(ArchiveReport),
    Renewed(RenewalReport),
    Witness {
        bytes: u64,
    },
    Error {
        number: Option<u64>,
        code: String,
        text: String,
    },
    Done {},
}

impl Answer {
    /// What to make of an answer that the question does not have.
    fn unexpected(self) -> anyhow::Result<()> {
        match self {
            Self::Error { text, .. } => anyhow::bail!(text),
            _ => {
                anyhow::bail!("the node answers another question; is it of the same version as this command?")
            }
        }
    }
}

/// A path that fits the address of a socket, whose bound is 108 bytes; long ones go through the open directory.
struct Address {
    path: PathBuf,
    _dir: Option<std::fs::File>,
}

impl Address {
    fn of(dir: &Path) -> io::Result<Self> {
        Self::named(dir, "control.sock")
    }

    fn named(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(name);
        if path.as_os_str().len() < 100 {
            return Ok(Self { path, _dir: None });
        }
        let dir = std::fs::File::open(dir)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()));
        Ok(Self {
            path,
            _dir: Some(dir),
        })
    }
}

impl MessageLog {
    /// Listens on the control socket until the node stops. The lock is ours, so a socket that is there is of a process that
    /// ended.
    pub fn serve_control(&self, timestamper: Timestamper, shutdown: &Shutdown) -> Result<(), LogError> {
        let path = self.home.layout.socket();
        // Made where only the owner can come, and moved to its name when its mode is right: nobody connects in between.
        let inner = self.home.layout.root();
        let draft = inner.join("control.sock.new");
        let bind = || {
            match std::fs::remove_file(&draft) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let address = Address::named(&inner, "control.sock.new")?;
            let listener = UnixListener::bind(&address.path)?;
            std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o600))?;
            std::fs::rename(&draft, &path)?;
            Ok(listener)
        };
        let listener = bind().map_err(LogError::io("could not listen on", &path))?;
        let (log, running) = (self.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let places = Arc::new(Semaphore::new(COMMANDS));
            loop {
                let stream = tokio::select! {
                    () = running.soft() => break,
                    accepted = listener.accept() => match accepted {
                        Ok((stream, _)) => stream,
                        // Out of descriptors: the next command is as good as this one.
                        Err(_) => {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                            continue;
                        }
                    },
                };
                let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                    break;
                };
                let (log, timestamper) = (log.clone(), timestamper.clone());
                running.spawn(async move {
                    if let Err(error) = log.answer(stream, &timestamper).await {
                        tracing::info!(%error, "a command on the control socket was not answered to its end");
                    }
                    drop(place);
                });
            }
            let _ = std::fs::remove_file(&path);
        });
        Ok(())
    }

    /// Answers the one question that comes over a connection.
    pub async fn answer(&self, stream: UnixStream, timestamper: &Timestamper) -> io::Result<()> {
        let who = stream.peer_cred().map(|peer| format!("uid:{}", peer.uid()));
        let who = who.unwrap_or_else(|_| "unknown".into());
        let (input, output) = stream.into_split();
        let mut line = Vec::new();
        let mut input = BufReader::new(input).take(LINE);
        let read = timeout(PATIENCE, input.read_until(b'\n', &mut line)).await;
        read.map_err(|_| io::ErrorKind::TimedOut)??;
        let mut side = Side { output, who };
        match serde_json::from_slice(&line) {
            Ok(Question::Archive(archive)) => archive.answer(self, &mut side).await?,
            Ok(Question::Auditor(auditor)) => auditor.answer(self, &mut side).await?,
            Ok(Question::Export(export)) => export.answer(self, timestamper, &mut side).await?,
            Ok(Question::Check(check)) => check.answer(self, &mut side).await?,
            Ok(Question::Hold(hold)) => hold.answer(self, &mut side).await?,
            Ok(Question::Prove(prove)) => prove.answer(self, &mut side).await?,
            Ok(Question::Purge(purge)) => purge.answer(self, &mut side).await?,
            Ok(Question::Reconcile(reconcile)) => reconcile.answer(self, &mut side).await?,
            Ok(Question::Renew(renew)) => renew.answer(self, timestamper, &mut side).await?,
            Ok(Question::Search(search)) => search.answer(self, &mut side).await?,
            Ok(Question::Show(show)) => show.answer(self, &mut side).await?,
            Ok(Question::Witness(witness)) => witness.answer(self, &mut side).await?,
            Err(error) => side.refuse(None, "malformed", &error).await?,
        }
        side.say(&Answer::Done {}).await
    }
}

/// The answering end of one command.
struct Side {
    output: tokio::net::unix::OwnedWriteHalf,
    /// The user who asks, as the system says.
    who: String,
}

impl Side {
    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        // A command that was stopped with Ctrl-Z must not hold its place for ever.
        timeout(PATIENCE, self.output.write_all(bytes))
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }

    async fn say(&mut self, answer: &Answer) -> io::Result<()> {
        let mut line = serde_json::to_vec(answer)?;
        line.push(b'\n');
        self.send(&line).await
    }

    async fn refuse(&mut self, number: Option<u64>, code: &str, text: &impl ToString) -> io::Result<()> {
        self.say(&Answer::Error {
            number,
            code: code.into(),
            text: text.to_string(),
        })
        .await
    }
}

/// Sends the bytes of a body. One that does not read ends the connection: the command sees that bytes are missing.
async fn send_pieces(side: &mut Side, mut pieces: Pieces) -> io::Result<()> {
    loop {
        let read = tokio::task::spawn_blocking(move || pieces().map(|piece| (piece, pieces))).await;
        let (piece, rest) = read.map_err(io::Error::other)??;
        pieces = rest;
        match piece {
            Some(piece) => side.send(&piece).await?,
            None => return Ok(()),
        }
    }
}

/// The bytes of a body as they come from the other side.
fn pieces_of(control: &client::Control, length: u64) -> Pieces {
    let (stream, mut left) = (Arc::clone(&control.stream), length);
    Box::new(move || {
        let piece = left.min(64 * 1024);
        if piece == 0 {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(piece).map_err(io::Error::other)?];
        let mut stream = stream.lock().unwrap_or_else(PoisonError::into_inner);
        io::Read::read_exact(&mut *stream, &mut bytes)?;
        left -= piece;
        Ok(Some(bytes))
    })
}
