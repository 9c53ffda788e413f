//! The renewal of time-stamps that a running node does by itself.

use std::time::Duration;

use crate::messagelog::{MessageLog, RenewalOrder, back_off};
use crate::shutdown::Shutdown;
use crate::timestamper::Timestamper;

/// Soon after the start, when the node has its trust and the log its first tokens.
const FIRST: Duration = Duration::from_secs(60);
/// Certificates do not end by the minute.
const EVERY: Duration = Duration::from_secs(3600);

/// Renews what is due until the node stops. What fails is as due as before, and is tried again.
pub async fn run(log: MessageLog, timestamper: Timestamper, shutdown: Shutdown) {
    let (mut wait, mut failures) = (FIRST, 0);
    loop {
        tokio::select! {
            () = shutdown.soft() => return,
            () = tokio::time::sleep(wait) => {}
        }
        let order = RenewalOrder {
            ground: "configuration [timestamping]".into(),
            ..RenewalOrder::default()
        };
        match log.renew(order, timestamper.clone(), |_, _| {}).await {
            Ok(report) => {
                for token in &report.tokens {
                    tracing::info!(
                        authority = %token.authority, ends = %token.ends, leaves = token.leaves, entry = token.first,
                        "time-stamps were renewed"
                    );
                }
                if report.late > 0 {
                    let late = report.late;
                    tracing::error!(
                        late,
                        "time-stamps were renewed after they had ended: what they proved ends there"
                    );
                }
                if report.not_renewable > 0 {
                    tracing::warn!(
                        messages = report.not_renewable, numbers = %report.not_renewable_numbers,
                        "messages whose content is deleted cannot get a new hash tree"
                    );
                }
                (wait, failures) = (EVERY, 0);
            }
            Err(error) => {
                wait = back_off(failures);
                failures += 1;
                let (code, seconds) = (error.code(), wait.as_secs());
                tracing::error!(code, %error, seconds, "time-stamps that are due could not be renewed; it is tried again");
            }
        }
    }
}
