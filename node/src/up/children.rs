//! The processes of the federation: started from files, ended by the end of a pipe, watched while they run.
//!
//! Each child holds the reading end of a pipe as its standard input and ends on its end-of-file, so that none outlives
//! this process however it ends. Each is a process group of its own: Ctrl-C reaches only the parent, which ends the
//! children in order. Their output goes to `logs/NAME.log`; the log of the run before is kept as `.previous`.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long a child may take to end by itself.
const GRACE: Duration = Duration::from_secs(10);
/// How much of a log is shown when a child died.
const TAIL: u64 = 4096;
/// Lines of a log that are shown.
const LINES: usize = 12;

/// A child that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// Its name.
    pub(super) name: String,
    /// How it ended.
    pub(super) status: io::Result<ExitStatus>,
    /// Its log.
    pub(super) log: PathBuf,
}

/// The running children; dropped, they end by themselves.
#[derive(Debug)]
pub(super) struct Children {
    logs: PathBuf,
    program: PathBuf,
    running: JoinSet<Ended>,
    /// One for each start order; ended in reverse.
    ends: Vec<CancellationToken>,
}

impl Children {
    /// Children of `program` that log to `logs`.
    pub(super) fn new(program: PathBuf, logs: PathBuf) -> io::Result<Self> {
        std::fs::create_dir_all(&logs)?;
        Ok(Self {
            logs,
            program,
            running: JoinSet::new(),
            ends: Vec::new(),
        })
    }

    /// Starts a child; `--stop-on-eof` is added to its arguments.
    pub(super) fn start(&mut self, name: &str, arguments: &[&str]) -> io::Result<()> {
        let log = self.logs.join(format!("{name}.log"));
        if log.exists() {
            std::fs::rename(&log, self.logs.join(format!("{name}.log.previous")))?;
        }
        let output = std::fs::File::create(&log)?;
        let mut command = std::process::Command::new(&self.program);
        command
            .args(arguments)
            .arg("--stop-on-eof")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            .process_group(0);
        let child = Command::from(command).spawn()?;
        let end = CancellationToken::new();
        self.running
            .spawn(watch(name.to_owned(), child, log, end.clone()));
        self.ends.push(end);
        Ok(())
    }

    /// Resolves when a child ends by itself.
    pub(super) async fn first_to_end(&mut self) -> Option<Ended> {
        // A watcher that panicked: this process is broken, and the children follow its end.
        self.running.join_next().await?.ok()
    }

    /// Ends all children, the last started first, and waits for them.
    pub(super) async fn end(mut self) {
        for end in self.ends.iter().rev() {
            end.cancel();
        }
        while self.running.join_next().await.is_some() {}
    }
}

async fn watch(name: String, mut child: Child, log: PathBuf, end: CancellationToken) -> Ended {
    // Held here: `Child::wait` would close it, and its closing is what tells the child to end.
    let stdin = child.stdin.take();
    let status = tokio::select! {
        status = child.wait() => status,
        () = end.cancelled() => {
            drop(stdin);
            match tokio::time::timeout(GRACE, child.wait()).await {
                Ok(status) => status,
                Err(_) => {
                    let _ = child.start_kill();
                    child.wait().await
                }
            }
        }
    };
    Ended { name, status, log }
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}
