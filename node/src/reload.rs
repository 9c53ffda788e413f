//! The node's own file, read again when it is asked to (SIGHUP): clients, services and rights take effect at once, also on
//! connections that are kept, and so do keys, issuers of tokens, standing rules and webhooks of casework; everything else waits for a restart
//! and is named. A file with mistakes changes nothing.

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::clock::SharedClock;
use crate::config::{CaseworkSettings, NodeConfig};
use crate::handles::Handles;
use crate::in_force::FileState;
use crate::keystore::Identity;
use crate::registry::ClientRegistry;
use crate::shutdown::Shutdown;

/// Reads the file again.
pub struct Reloader {
    config: NodeConfig,
    internal: Option<Arc<Identity>>,
    handles: Arc<Handles>,
    digest: watch::Sender<[u8; 32]>,
    state: FileState,
    clock: SharedClock,
    casework: Box<dyn Fn(&CaseworkSettings) + Send + Sync>,
}

/// The table of cases and transfers.
const CASEWORK: &str = "casework";
/// The table of clients, services and rights.
const CLIENTS: &str = "client";

impl Reloader {
    /// `config` is what the node started with, `digest` tells who records the file in force, `casework` takes its new settings.
    pub fn new(
        config: NodeConfig,
        internal: Option<Arc<Identity>>,
        handles: Arc<Handles>,
        digest: watch::Sender<[u8; 32]>,
        state: FileState,
        clock: SharedClock,
        casework: Box<dyn Fn(&CaseworkSettings) + Send + Sync>,
    ) -> Self {
        Self {
            config,
            internal,
            handles,
            digest,
            state,
            clock,
            casework,
        }
    }

    /// Reads the file whenever SIGHUP comes, until the stop.
    pub async fn run(self, shutdown: Shutdown) {
        let Ok(mut asked) = signal(SignalKind::hangup()) else {
            tracing::error!("the system refuses to tell of SIGHUP; the file is read at the start only");
            return;
        };
        loop {
            tokio::select! {
                () = shutdown.soft() => return,
                Some(()) = asked.recv() => self.reload(),
            }
        }
    }

    /// Puts to use what of the file may be.
    fn reload(&self) {
        let now = self.clock.now();
        match self.taken() {
            Ok((digest, waiting)) => {
                for table in &waiting {
                    tracing::warn!(
                        table,
                        "this part of the configuration file takes effect at the next start"
                    );
                }
                tracing::info!("clients, services and rights of the configuration file are in force");
                self.state.took_effect(now, waiting);
                self.digest.send_replace(digest);
            }
            Err(reason) => {
                tracing::error!(
                    reason,
                    "the configuration file is not used, what was in force stays"
                );
                self.state.was_refused(now, reason);
            }
        }
    }

    fn taken(&self) -> Result<([u8; 32], Vec<String>), String> {
        let read = NodeConfig::read(&self.config.path).map_err(|e| e.to_string())?;
        let clients = ClientRegistry::new(&read.clients, self.internal.as_deref());
        let mut clients = clients.map_err(|e| e.to_string())?;
        if let Some(own) = &self.config.ledger {
            clients = clients.with_own(own.clone());
        }
        self.handles.clients.store(Arc::new(clients));
        if let (Some(_), Some(settings)) = (&self.config.casework, &read.casework) {
            (self.casework)(settings);
        }
        let casework_waits = fixed(&self.config) != fixed(&read);
        let (old, new) = (&self.config.tables, &read.tables);
        let mut waiting: Vec<_> = new
            .keys()
            .chain(old.keys())
            .filter(|table| *table != CLIENTS && (*table != CASEWORK || casework_waits))
            .filter(|table| old.get(*table) != new.get(*table))
            .map(|table| format!("[{table}]"))
            .collect();
        waiting.sort();
        waiting.dedup();
        // How much of its messages is kept is the log's matter.
        let policy = |config: &NodeConfig| format!("{:?}", config.retention);
        if policy(&read) != policy(&self.config) && !waiting.iter().any(|table| table == "[messagelog]") {
            waiting.push("logging of clients".into());
        }
        Ok((read.digest, waiting))
    }
}

/// What of casework waits for a restart: everything but keys, issuers of tokens, standing rules and webhooks, and rights, which are those of a client.
fn fixed(config: &NodeConfig) -> Option<String> {
    let mut settings = config.casework.clone()?;
    settings.keys.clear();
    settings.issuers.clear();
    settings.standing_rules.clear();
    settings.webhooks.clear();
    settings.rights.clear();
    Some(format!("{settings:?}"))
}
