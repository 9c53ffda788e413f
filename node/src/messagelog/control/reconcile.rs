//! Comparing this log with that of a peer, over the control socket. Only a running node can: it asks the peer.

use std::{future::Future, io, pin::Pin, sync::Arc};

use kontor_protocol::id::MemberId;
use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::MessageLog;

/// Compares this log with those of a member's nodes; gives a report for each node.
pub type Reconciler = Arc<dyn Fn(MemberId) -> Reconciling + Send + Sync>;
/// The comparison while it runs.
pub type Reconciling = Pin<Box<dyn Future<Output = Result<Vec<serde_json::Value>, String>> + Send>>;

/// With whose nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reconcile {
    member: String,
}

impl Reconcile {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let Ok(member) = self.member.parse() else {
            return side
                .refuse(None, "malformed", &"the member is not INSTANCE/CLASS/CODE")
                .await;
        };
        let Some(reconciler) = log.reconciler.get() else {
            let text = "only a running node with [transparency] client can compare its log with a peer's; start it first";
            return side.refuse(None, "no_ledger", &text).await;
        };
        match reconciler(member).await {
            Ok(reports) => {
                for report in reports {
                    let report = serde_json::to_vec(&report)?;
                    side.say(&Answer::Reconciled {
                        bytes: report.len() as u64,
                    })
                    .await?;
                    side.send(&report).await?;
                }
                Ok(())
            }
            Err(text) => side.refuse(None, "not_reconciled", &text).await,
        }
    }
}

impl Control {
    /// Asks for the comparison with a member's nodes; each report is JSON.
    pub fn reconcile(self, member: &MemberId) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut reports = Vec::new();
        let question = Question::Reconcile(Reconcile {
            member: member.to_string(),
        });
        self.ask(&question, &mut |answer| match answer {
            Answer::Reconciled { bytes } => {
                reports.push(self.bytes(bytes)?);
                Ok(())
            }
            answer => answer.unexpected(),
        })?;
        Ok(reports)
    }
}

impl MessageLog {
    /// Who compares this log with others, from now on.
    pub fn set_reconciler(&self, reconciler: Reconciler) {
        // Set once, by the node that is starting.
        let _ = self.reconciler.set(reconciler);
    }
}
