//! What is tested: the `kontor` binary, run as an operator runs it.
//!
//! Owns starting, killing and stopping node processes and running one-off commands; refuses to know anything about a node
//! but its command line, its health endpoint and its process id.

use std::ffi::OsStr;
use std::fs::File;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::wire::http;

/// Longest wait for a node to become ready or to end.
const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
#[derive(Clone, Debug)]
pub struct Subject {
    kontor: PathBuf,
}

/// Output of a command that ran to its end.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Subject {
    /// The binary at `kontor`.
    pub fn at(kontor: impl Into<PathBuf>) -> Self {
        Self {
            kontor: kontor.into(),
        }
    }

    /// The binary named by the operator, or the one that lies beside this program.
    pub fn locate(given: Option<PathBuf>) -> Result<Self> {
        let kontor = match given {
            Some(path) => path,
            None => std::env::current_exe()?.with_file_name("kontor"),
        };
        ensure!(
            kontor.is_file(),
            "{} is not there: build it (cargo build --release) or name it with --kontor",
            kontor.display()
        );
        Ok(Self {
            kontor: kontor.canonicalize()?,
        })
    }

    /// Where the binary is.
    pub fn path(&self) -> &Path {
        &self.kontor
    }

    /// Runs a command to its end.
    pub async fn run(&self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Result<Said> {
        let child = Command::new(&self.kontor)
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, child)
            .await
            .context("the command does not end")?
            .context("starting kontor")?;
        Ok(Said {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

/// How a node is run.
#[derive(Clone, Debug)]
pub struct NodeRun {
    pub config: PathBuf,
    pub health: SocketAddr,
    /// Where its log lines go.
    pub log: PathBuf,
    /// No file may grow beyond this many KiB: what a full disk looks like to a process.
    pub file_limit_kib: Option<u64>,
}

/// A running node.
#[derive(Debug)]
pub struct NodeProcess {
    child: Child,
}

impl NodeProcess {
    /// Starts a node and waits until its health endpoint says that it is ready.
    pub async fn start(subject: &Subject, run: &NodeRun) -> Result<Self> {
        let mut process = Self::spawn(subject, run)?;
        process.wait_ready(run).await?;
        Ok(process)
    }

    /// Starts a node without waiting for it.
    pub fn spawn(subject: &Subject, run: &NodeRun) -> Result<Self> {
        let log = File::options().create(true).append(true).open(&run.log)?;
        let mut command = match run.file_limit_kib {
            None => Command::new(subject.path()),
            Some(kib) => {
                let mut shell = Command::new("sh");
                // A write beyond the limit is an error of that write only if the signal is ignored.
                shell
                    .args([
                        "-c",
                        &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2),
                    ])
                    .arg(subject.path());
                shell
            }
        };
        let child = command
            .args(["node", "run", "--stop-on-eof", "--config"])
            .arg(&run.config)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", subject.path().display()))?;
        Ok(Self { child })
    }

    /// Waits until the health endpoint answers 200 (wire 9.6).
    pub async fn wait_ready(&mut self, run: &NodeRun) -> Result<()> {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                bail!("the node ended at start with {status}: {}", tail(&run.log));
            }
            let said = match http::get(run.health, "/health").await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(answer) => format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body)),
                Err(error) => format!("{error:#}"),
            };
            if begin.elapsed() > PATIENCE {
                bail!("the node is not ready: {said}: {}", tail(&run.log));
            }
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Process id, for `/proc`.
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap_or(0)
    }

    /// Whether the process has ended by itself.
    pub fn has_ended(&mut self) -> Result<Option<i32>> {
        Ok(self.child.try_wait()?.map(|status| status.code().unwrap_or(-1)))
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self) -> Result<()> {
        self.child.kill().await.context("killing the node")
    }

    /// Ends the node as its operator's supervisor would, by end-of-file; gives its exit code.
    pub async fn stop(&mut self) -> Result<Option<i32>> {
        drop(self.child.stdin.take());
        let status = timeout(PATIENCE, self.child.wait())
            .await
            .context("the node does not stop")??;
        Ok(status.code())
    }
}

/// The last lines of a node's log, for a report.
pub fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
