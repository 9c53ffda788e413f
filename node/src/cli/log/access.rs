//! How a command reaches the message log: over the control socket of the running node; when no process owns the log the
//! command opens it itself, and then asks over a socket pair, so that there is one way to answer. The log is opened as a
//! start of the node would, repair included.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;

use crate::clock::SystemClock;
use crate::config::{Mode, NodeConfig};
use crate::disk::SystemDisk;
use crate::fetch::Fetcher;
use crate::globalconf;
use crate::keystore;
use crate::messagelog::{Control, LogSettings, MessageLog, OpenLog};
use crate::timestamper::Timestamper;

/// A way to the log of a node.
pub(super) struct Access {
    control: Control,
    /// Answers from this process, when no other owns the log.
    own: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Access {
    /// Connects to the node, or opens its log.
    pub(super) fn to(config: &NodeConfig) -> anyhow::Result<Self> {
        let socket = config.data_dir.join("control.sock");
        let control = Control::connect(&config.data_dir).with_context(|| {
            format!(
                "{} cannot be asked; run this as the user of the node",
                socket.display()
            )
        })?;
        if let Some(control) = control {
            return Ok(Self { control, own: None });
        }
        let log = MessageLog::open(opening(config)?)?;
        let trust = globalconf::stored(&config.data_dir.join("globalconf"))
            .ok()
            .map(Arc::new);
        let timestamper = Timestamper::new(config.timestamping_urls.clone(), Arc::new(move || trust.clone()))
            .within(config.stamping.timeout)
            .through(Fetcher::new(&config.egress).map_err(anyhow::Error::msg)?);
        let (asking, answering) = UnixStream::pair()?;
        let answer = move || {
            super::super::block_on(async move {
                answering.set_nonblocking(true)?;
                let answered = log
                    .answer(tokio::net::UnixStream::from_std(answering)?, &timestamper)
                    .await;
                log.shutdown().await;
                Ok(answered?)
            })
        };
        let own = std::thread::Builder::new().name("log".into()).spawn(answer)?;
        Ok(Self {
            control: Control::over(asking),
            own: Some(own),
        })
    }

    /// Asks one question and waits until the log is closed again, if it was opened here.
    pub(super) fn ask<T>(self, ask: impl FnOnce(Control) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let asked = ask(self.control);
        if let Some(own) = self.own {
            let answered = own
                .join()
                .unwrap_or_else(|_| Err(anyhow::anyhow!("the log ended unexpectedly")));
            // The asking side fails too when the answering one does, but knows less.
            if asked.is_err() {
                answered?;
            }
        }
        asked
    }
}

/// What it takes to open the log of a node that does not run.
pub(super) fn opening(config: &NodeConfig) -> anyhow::Result<OpenLog> {
    let dir = &config.data_dir;
    let metadata =
        std::fs::metadata(dir).with_context(|| format!("there is no message log in {}", dir.display()))?;
    // Files that another user made would lock the node out of its own log.
    anyhow::ensure!(
        metadata.uid() == rustix::process::geteuid().as_raw(),
        "the node does not run and {} belongs to another user; run this as that user, or start the node",
        dir.display()
    );
    Ok(OpenLog {
        dir: dir.clone(),
        disk: Arc::new(SystemDisk),
        master: keystore::master_key(&config.unseal, &config.authentication.key)?,
        settings: LogSettings::of(config),
        server: config.server.clone(),
        test: config.mode == Mode::Test,
        clock: Arc::new(SystemClock),
    })
}
