//! Comparing this log with that of a peer, over the control socket. Only a running node can: it asks the peer.

use std::{future::Future, io, pin::Pin, sync::Arc};

use kontor_protocol::id::MemberId;
use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};

use super::{Answer, PROGRESS, Question, Side, client::Control};
use crate::messagelog::MessageLog;

/// Compares this log with those of a member's nodes; gives a report for each node. Tells how many entries of how many of a
/// peer's log were read.
pub type Reconciler = Arc<dyn Fn(MemberId, watch::Sender<(u64, u64)>) -> Reconciling + Send + Sync>;
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
        let (progress, mut seen) = watch::channel((0, 0));
        let mut reconciling = reconciler(member, progress);
        let reconciled = loop {
            match timeout(PROGRESS, &mut reconciling).await {
                Ok(reconciled) => break reconciled,
                Err(_) => {
                    let (read, of) = *seen.borrow_and_update();
                    side.say(&Answer::Progress { read, of }).await?;
                }
            }
        };
        match reconciled {
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
    /// `progress` is told how many entries of how many were read.
    pub fn reconcile(
        self,
        member: &MemberId,
        progress: &mut dyn FnMut(u64, u64),
    ) -> anyhow::Result<Vec<Vec<u8>>> {
        let mut reports = Vec::new();
        let question = Question::Reconcile(Reconcile {
            member: member.to_string(),
        });
        self.ask(&question, &mut |answer| match answer {
            Answer::Progress { read, of } => {
                progress(read, of);
                Ok(())
            }
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
