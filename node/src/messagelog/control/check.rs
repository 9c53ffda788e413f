//! The check of all files over the control socket.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{Answer, PROGRESS, Question, Side, client::Control};
use crate::messagelog::{CheckOrder, CheckReport, MessageLog};

/// Findings told in one answer: with more the log is beyond repair by hand, and a line has its bound.
const TOLD: usize = 40;

/// A check of all files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Check(CheckOrder);

impl Check {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let (progress, mut seen) = tokio::sync::watch::channel((0, 0));
        let mut checking =
            Box::pin(log.check_files(self.0, move |read, of| _ = progress.send_replace((read, of))));
        let checked = loop {
            match timeout(PROGRESS, &mut checking).await {
                Ok(checked) => break checked,
                Err(_) => {
                    let (read, of) = *seen.borrow_and_update();
                    side.say(&Answer::Progress { read, of }).await?;
                }
            }
        };
        match checked {
            Ok(mut report) => {
                let more = report.findings.len().saturating_sub(TOLD);
                if more > 0 {
                    report.findings.truncate(TOLD);
                    report.notes.push(format!("{more} more findings are not shown"));
                }
                side.say(&Answer::Checked(report)).await
            }
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }
}

impl Control {
    /// Asks for a check; `progress` hears how many entries of how many were read.
    pub fn check(self, order: CheckOrder, progress: &mut dyn FnMut(u64, u64)) -> anyhow::Result<CheckReport> {
        let (mut report, mut refused) = (None, None);
        self.ask(&Question::Check(Check(order)), &mut |answer| {
            match answer {
                Answer::Checked(checked) => report = Some(checked),
                Answer::Progress { read, of } => progress(read, of),
                Answer::Error { text, .. } => refused = Some(text),
                _ => {}
            }
            Ok(())
        })?;
        if let Some(refused) = refused {
            anyhow::bail!(refused);
        }
        report
            .ok_or_else(|| anyhow::anyhow!("the node did not say what it found; it may be an older version"))
    }
}
