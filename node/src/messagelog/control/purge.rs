//! Purge over the control socket.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::{MessageLog, PurgeOrder, PurgeReport};

/// Deletes what is due, or says what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Purge(PurgeOrder);

impl Purge {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        match log.purge(self.0).await {
            Ok(report) => side.say(&Answer::Purged(report)).await,
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }
}

impl Control {
    /// Asks for a purge.
    pub fn purge(self, order: PurgeOrder) -> anyhow::Result<PurgeReport> {
        let (mut report, mut refused) = (None, None);
        self.ask(&Question::Purge(Purge(order)), &mut |answer| {
            match answer {
                Answer::Purged(purged) => report = Some(purged),
                Answer::Error { text, .. } => refused = Some(text),
                _ => {}
            }
            Ok(())
        })?;
        if let Some(refused) = refused {
            anyhow::bail!(refused);
        }
        report.ok_or_else(|| {
            anyhow::anyhow!("the node did not say what it deleted; it may be an older version")
        })
    }
}
