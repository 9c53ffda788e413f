//! The purge that a running node does by itself, every hour.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::SharedClock;
use crate::globalconf::GlobalConf;
use crate::messagelog::{MessageLog, PurgeOrder};
use crate::shutdown::Shutdown;

/// Nothing is due by the minute.
const EVERY: Duration = Duration::from_secs(3600);

/// Deletes what is due until the node stops. Not while there is no valid global configuration: its signature is the one sign
/// that this machine's clock has not jumped into a year in which everything is due.
pub async fn run(log: MessageLog, trust: Arc<GlobalConf>, clock: SharedClock, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.soft() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if trust.current(clock.now()).is_err() {
            tracing::warn!("nothing is deleted while there is no valid global configuration");
            continue;
        }
        match log.purge(PurgeOrder::due("retention", false)).await {
            Ok(report) => {
                for deletion in &report.deletions {
                    let (entry, said) = (deletion.entry, &deletion.said);
                    tracing::info!(
                        entry, rule = %said.rule, part = %said.part, month = said.month, entries = said.entries,
                        "deleted what was due"
                    );
                }
            }
            Err(error) => tracing::error!(%error, "what is due could not be deleted; it is tried again"),
        }
    }
}
