//! Processes of the bench's own: the provider, the halves of the bare pair and the load client, each this binary again.
//!
//! Owns starting, watching and ending them; they end by themselves when the bench ends, because they read a pipe from it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::sleep;

use super::load::{LoadPlan, LoadResult};

/// A running helper process.
#[derive(Debug)]
pub struct Helper {
    child: Child,
}

impl Helper {
    /// Starts `binary role` with `settings` and waits until it listens on `listen`.
    pub async fn start(
        binary: &Path,
        role: &str,
        settings: &impl Serialize,
        listen: SocketAddr,
    ) -> Result<Self> {
        let mut helper = Self {
            child: spawn(binary, role, settings, Stdio::inherit())?,
        };
        let begin = Instant::now();
        while TcpStream::connect(listen).await.is_err() {
            if let Some(status) = helper.child.try_wait()? {
                bail!("{role} ended at start: {status}");
            }
            if begin.elapsed() > Duration::from_secs(10) {
                bail!("{role} does not listen on {listen}");
            }
            sleep(Duration::from_millis(5)).await;
        }
        Ok(helper)
    }

    /// Process id, for `/proc`.
    pub fn pid(&self) -> u32 {
        self.child
            .id()
            .expect("the helper is not waited for before it is dropped")
    }
}

/// Runs the load client on `plan`; `begin` and `end` are called at the edges of the measured window.
pub async fn load(
    binary: &Path,
    plan: &LoadPlan,
    mut begin: impl AsyncFnMut() -> Result<()>,
    mut end: impl AsyncFnMut() -> Result<()>,
) -> Result<LoadResult> {
    let mut child = spawn(binary, "bench-load", plan, Stdio::piped())?;
    let output = child
        .stdout
        .take()
        .ok_or_else(|| anyhow!("the load client has no output"))?;
    let mut lines = BufReader::new(output).lines();
    while let Some(line) = lines.next_line().await? {
        match line.as_str() {
            "begin" => begin().await?,
            "end" => end().await?,
            result => return serde_json::from_str(result).context("reading the load client's result"),
        }
    }
    bail!("the load client ended without a result: {}", child.wait().await?)
}

fn spawn(binary: &Path, role: &str, settings: &impl Serialize, output: Stdio) -> Result<Child> {
    Command::new(binary)
        .arg(role)
        .arg(serde_json::to_string(settings)?)
        .stdin(Stdio::piped())
        .stdout(output)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("starting {} {role}", binary.display()))
}
