//! `kontor up`: a federation on one machine, from nothing to ready in a moment, gone when this process ends.
//!
//! It owns one directory (a marker file says so; a directory with other things in it is refused, also by `--fresh`)
//! and the processes that it starts. They find each other only through anchor and global configuration, as on
//! separate machines: nothing here is a short cut around the protocol.

pub mod layout;
pub mod samples;
mod settings;
pub mod prepare;
pub mod provider;
mod children;
pub(crate) mod cases;
mod guide;
pub(crate) mod training;

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_pki::time::UnixTime;
use tokio::time::Instant;
use uuid::Uuid;

use self::children::{Children, Ended, tail};
use self::layout::{Layout, Places, claim};
use self::prepare::PrepareError;
use crate::clock::SharedClock;
use crate::fetch::{Bounds, Fetcher};

/// Says that a directory is ours.
const MARKER: &str = "made-by-kontor-up";
/// How long the federation may take to be ready.
const READY: Duration = Duration::from_secs(30);
/// How often health is asked for meanwhile.
const ASK: Duration = Duration::from_millis(15);
/// Bounds of one question.
const HEALTH: Bounds = Bounds {
    connect: Duration::from_millis(500),
    total: Duration::from_secs(2),
    max_body: 64 * 1024,
};

/// What to run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Directory for everything, absolute.
    pub dir: PathBuf,
    /// Start over.
    pub fresh: bool,
    /// Make cases of the samples where there are none.
    pub cases: bool,
    /// This program, for the children.
    pub program: PathBuf,
}

/// Why the federation is not there, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum UpError {
    /// The directory is in use.
    #[error("another `kontor up` runs in {0}; stop it, or give this one a directory of its own with --dir")]
    Busy(PathBuf),
    /// A child ended.
    #[error("{name} ended ({status}); the last lines of {log}:\n{tail}", log = .log.display())]
    Child {
        /// Which one.
        name: String,
        /// How.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The end of its log.
        tail: String,
    },
    /// The samples could not be made cases.
    #[error("the samples could not be made cases: {0}")]
    Cases(String),
    /// The directory holds other things.
    #[error("{0} is not empty and was not made by `kontor up`; choose an empty or new directory with --dir")]
    Foreign(PathBuf),
    /// Files or sockets.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Not ready in time.
    #[error("{name} was not ready within 30 seconds: {reason}; see {log}", log = .log.display())]
    NotReady {
        /// Which one.
        name: String,
        /// What it said last.
        reason: String,
        /// Its log.
        log: PathBuf,
    },
    /// Keys, certificates or configuration files.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Waiting for signals failed.
    #[error("signals cannot be waited for: {0}")]
    Signals(String),
}

fn io_error(what: impl Into<String>) -> impl FnOnce(io::Error) -> UpError {
    let what = what.into();
    move |source| UpError::Io { what, source }
}

/// Runs a federation until `stopped` resolves or a child ends.
pub async fn run<E: std::fmt::Display>(
    options: &Options,
    clock: SharedClock,
    out: &mut (dyn Write + Send),
    stopped: impl Future<Output = Result<(), E>>,
) -> Result<(), UpError> {
    let started = Instant::now();
    let _lock = take_directory(options)?;
    let dir = &options.dir;
    let claimed = claim(dir).map_err(io_error("no addresses for the federation"))?;
    let layout = Layout {
        dir: dir.clone(),
        places: Places::Loopback(claimed.net),
    };
    // Its appearance says "ready": what an earlier run left must not.
    match std::fs::remove_file(guide::federation_file(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_error(format!(
                "{} cannot be removed",
                guide::federation_file(dir).display()
            ))(error));
        }
        Ok(()) | Err(_) => {}
    }
    say(out, &format!("Kontor federation in {}\n", dir.display()));
    let samples_dir = dir.join("samples");
    let samples = tokio::task::spawn_blocking(move || samples::write(&samples_dir));
    prepare_files(&layout, claimed.moved, clock.now()).await?;

    let logs = layout.logs_dir();
    let mut children =
        Children::new(options.program.clone(), logs.clone()).map_err(io_error("the folder of logs"))?;
    tokio::pin!(stopped);
    let (ended, samples) = {
        let readying = async {
            start_all(&mut children, &layout, &started, out).await?;
            let samples = samples
                .await
                .map_err(io::Error::other)
                .and_then(|written| written);
            samples.map_err(io_error("the samples could not be written"))
        };
        tokio::select! {
            ready = readying => (None, ready),
            stopped = &mut stopped => (Some(stopped), Ok(Vec::new())),
        }
    };
    let outcome = match (ended, samples) {
        (Some(stopped), _) => stopped.map_err(|e| UpError::Signals(e.to_string())),
        (None, Err(error)) => Err(error),
        (None, Ok(samples)) => {
            if options.cases {
                say(
                    out,
                    "  samples: made cases, and the chamber asked about one of them …\n",
                );
                cases::fill(&layout, &samples)
                    .await
                    .map_err(|error| UpError::Cases(format!("{error:#}")))?;
            }
            guide::write_federation(&layout, &samples)
                .map_err(io_error("federation.json could not be written"))?;
            say(
                out,
                &format!("  ready after {:.2} s\n", started.elapsed().as_secs_f64()),
            );
            say(
                out,
                &guide::text(&layout, &samples, &options.program, &Uuid::new_v4().to_string()),
            );
            tokio::select! {
                stopped = &mut stopped => stopped.map_err(|e| UpError::Signals(e.to_string())),
                ended = children.first_to_end() => Err(died(ended)),
            }
        }
    };
    say(out, "\nEnding the federation …\n");
    children.end().await;
    say(
        out,
        "Everything has ended; the next `kontor up` goes on with the same data.\n",
    );
    outcome
}

/// Progress and guidance; whoever closed the terminal does not want them.
fn say(out: &mut (dyn Write + Send), text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Makes the directory ours, and empties it where that is wanted. Held until this process ends.
fn take_directory(options: &Options) -> Result<File, UpError> {
    let dir = &options.dir;
    let failed = |what: &str| io_error(format!("{what} {}", dir.display()));
    std::fs::create_dir_all(dir).map_err(failed("cannot make"))?;
    let marker = dir.join(MARKER);
    let empty = std::fs::read_dir(dir)
        .map_err(failed("cannot read"))?
        .next()
        .is_none();
    if !empty && !marker.exists() {
        return Err(UpError::Foreign(dir.clone()));
    }
    let lock = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&marker)
        .map_err(failed("cannot use"))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(UpError::Busy(dir.clone())),
        Err(TryLockError::Error(error)) => return Err(failed("cannot lock")(error)),
    }
    if options.fresh {
        for entry in std::fs::read_dir(dir).map_err(failed("cannot read"))? {
            let path = entry.map_err(failed("cannot read"))?.path();
            if path == marker {
                continue;
            }
            let removed = if path.is_dir() && !path.is_symlink() {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            removed.map_err(io_error(format!("cannot delete {}", path.display())))?;
        }
    }
    Ok(lock)
}

async fn prepare_files(layout: &Layout, moved: bool, now: UnixTime) -> Result<(), UpError> {
    let layout = layout.clone();
    let prepared = tokio::task::spawn_blocking(move || prepare::prepare(&layout, moved, now));
    match prepared.await {
        Ok(prepared) => Ok(prepared?),
        Err(error) => Err(io_error("the files could not be prepared")(io::Error::other(
            error,
        ))),
    }
}

/// Starts authority, provider and nodes, and waits until each says that it is ready.
async fn start_all(
    children: &mut Children,
    layout: &Layout,
    started: &Instant,
    out: &mut (dyn Write + Send),
) -> Result<(), UpError> {
    let text = |path: &Path| path.display().to_string();
    let start = |children: &mut Children, name: &str, arguments: &[&str]| {
        children
            .start(name, arguments)
            .map_err(io_error(format!("{name} could not be started")))
    };
    let config = text(&layout.authority_dir().join("authority.toml"));
    start(children, "authority", &["authority", "run", "--config", &config])?;
    // Nodes could wait for the authority themselves; this way none logs a failure at its very start.
    let authority = format!("http://{}/health", layout.authority());
    ready(children, layout, "authority", &authority).await?;
    report(out, "authority", started);

    let listen = layout.provider().to_string();
    let dir = text(&layout.provider_dir());
    let mut arguments = vec!["up", "provider", "--listen", &listen, "--dir", &dir];
    arguments.extend(layout.members().iter().flat_map(|m| ["--office", m.code]));
    start(children, "provider", &arguments)?;
    for member in layout.members() {
        let config = text(&layout.node_config(member));
        start(children, member.code, &["node", "run", "--config", &config])?;
    }
    for (index, member) in layout.members().iter().enumerate() {
        let health = format!("http://{}/health", layout.node(index, 9100));
        ready(children, layout, member.code, &health).await?;
        report(out, member.name, started);
    }
    ready(
        children,
        layout,
        "provider",
        &format!("http://{}/health", layout.provider()),
    )
    .await
}

fn report(out: &mut (dyn Write + Send), name: &str, started: &Instant) {
    say(
        out,
        &format!("  {name}: ready after {:.2} s\n", started.elapsed().as_secs_f64()),
    );
}

/// Asks for health until it is good, a child ends or the time is over.
async fn ready(children: &mut Children, layout: &Layout, name: &str, url: &str) -> Result<(), UpError> {
    let mut last = String::from("no answer yet");
    let asking = async {
        loop {
            match Fetcher::default().get(url, &HEALTH).await {
                Ok(answer) if answer.status == 200 => return,
                Ok(answer) => last = String::from_utf8_lossy(&answer.body).trim().to_owned(),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(ASK).await;
        }
    };
    let asked = tokio::select! {
        asked = tokio::time::timeout(READY, asking) => asked,
        ended = children.first_to_end() => return Err(died(ended)),
    };
    asked.map_err(|_| UpError::NotReady {
        name: name.to_owned(),
        reason: last,
        log: layout.logs_dir().join(format!("{name}.log")),
    })
}

fn died(ended: Option<Ended>) -> UpError {
    match ended {
        Some(Ended { name, status, log }) => {
            let status = status.map_or_else(|e| e.to_string(), |s| s.to_string());
            UpError::Child {
                tail: tail(&log),
                name,
                status,
                log,
            }
        }
        None => UpError::Signals("the children are no longer watched".into()),
    }
}

#[cfg(test)]
mod tests;
