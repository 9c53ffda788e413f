//! Archiving over the control socket.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};

use super::{Answer, PROGRESS, Question, Side, client::Control};
use crate::messagelog::{ArchiveReport, MessageLog};

/// Archives what is time-stamped, or says what would be archived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Archive {
    #[serde(default)]
    dry_run: bool,
}

impl Archive {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let (progress, mut seen) = watch::channel((0, 0));
        let mut archiving = Box::pin(log.archive(self.dry_run, move |read, of| {
            progress.send_replace((read, of));
        }));
        let archived = loop {
            match timeout(PROGRESS, &mut archiving).await {
                Ok(archived) => break archived,
                Err(_) => {
                    let (read, of) = *seen.borrow_and_update();
                    side.say(&Answer::Progress { read, of }).await?;
                }
            }
        };
        match archived {
            Ok(report) => side.say(&Answer::Archived(report)).await,
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }
}

impl Control {
    /// Asks for an archiving; `progress` is told how many entries of how many were looked at.
    pub fn archive(self, dry_run: bool, progress: &mut dyn FnMut(u64, u64)) -> anyhow::Result<ArchiveReport> {
        let mut report = None;
        self.ask(&Question::Archive(Archive { dry_run }), &mut |answer| {
            match answer {
                Answer::Progress { read, of } => progress(read, of),
                Answer::Archived(archived) => report = Some(archived),
                answer => return answer.unexpected(),
            }
            Ok(())
        })?;
        report.ok_or_else(|| {
            anyhow::anyhow!("the node did not say what it archived; it may be an older version")
        })
    }
}
