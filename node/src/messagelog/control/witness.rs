//! What the node and its peers see of each other's logs, over the control socket. Only a running node can tell.

use std::{io, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::MessageLog;

/// What an operator says about everything that is open of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settle {
    /// The security server, INSTANCE/CLASS/CODE/SERVER.
    pub server: String,
    /// Why it is settled.
    pub ground: String,
}

/// Settles, if that is asked for by the user named beside it, and gives the report as JSON. Blocks.
pub type Overseer = Arc<dyn Fn(Option<(Settle, String)>) -> Result<Vec<u8>, String> + Send + Sync>;

/// The report, after something was settled or as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Witness {
    #[serde(default)]
    settle: Option<Settle>,
}

impl Witness {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let Some(overseer) = log.overseer.get().cloned() else {
            let text =
                "only a running node with [transparency] client watches logs of others; start it first";
            return side.refuse(None, "no_ledger", &text).await;
        };
        let settle = self.settle.map(|settle| (settle, side.who.clone()));
        let told = tokio::task::spawn_blocking(move || overseer(settle)).await;
        match told.map_err(io::Error::other)? {
            Ok(report) => {
                side.say(&Answer::Witness {
                    bytes: report.len() as u64,
                })
                .await?;
                side.send(&report).await
            }
            Err(text) => side.refuse(None, "not_settled", &text).await,
        }
    }
}

impl Control {
    /// Asks for the report, as JSON; settles first, if that is asked for.
    pub fn witness(self, settle: Option<Settle>) -> anyhow::Result<Vec<u8>> {
        let mut report = None;
        self.ask(
            &Question::Witness(Witness { settle }),
            &mut |answer| match answer {
                Answer::Witness { bytes } => {
                    report = Some(self.bytes(bytes)?);
                    Ok(())
                }
                answer => answer.unexpected(),
            },
        )?;
        report.ok_or_else(|| anyhow::anyhow!("the node told nothing; it may be an older version"))
    }
}

impl MessageLog {
    /// Who tells what is seen of logs, from now on.
    pub fn set_overseer(&self, overseer: Overseer) {
        // Set once, by the node that is starting.
        let _ = self.overseer.set(overseer);
    }
}
