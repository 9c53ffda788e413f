//! The archiving that a running node does by itself.

use std::time::Duration;

use crate::messagelog::MessageLog;
use crate::shutdown::Shutdown;

/// Archives every so often until the node stops. What fails is tried again: an archive is whole or not there, and messages
/// stay in the log in any case.
pub async fn run(log: MessageLog, every: Duration, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.soft() => return,
            () = tokio::time::sleep(every) => {}
        }
        match log.archive(false, |_, _| {}).await {
            Ok(report) => {
                for archive in &report.archives {
                    tracing::info!(
                        file = %archive.file, containers = archive.containers, entry = archive.entry,
                        "messages were archived"
                    );
                }
            }
            Err(error) => {
                let code = error.code();
                tracing::error!(code, %error, "messages could not be archived; it is tried again");
            }
        }
    }
}
