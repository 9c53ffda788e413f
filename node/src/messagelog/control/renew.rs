//! Renewal of time-stamps over the control socket.

use std::io;

use serde::{Deserialize, Serialize};
use tokio::{sync::watch, time::timeout};

use super::{Answer, PROGRESS, Question, Side, client::Control};
use crate::{
    messagelog::{MessageLog, RenewalOrder, RenewalReport},
    timestamper::Timestamper,
};

/// Renews what is due, or says what is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Renew(RenewalOrder);

impl Renew {
    pub(super) async fn answer(
        self,
        log: &MessageLog,
        timestamper: &Timestamper,
        side: &mut Side,
    ) -> io::Result<()> {
        let (progress, mut seen) = watch::channel((0, 0));
        let mut renewing = Box::pin(log.renew(self.0, timestamper.clone(), move |read, of| {
            progress.send_replace((read, of));
        }));
        let renewed = loop {
            match timeout(PROGRESS, &mut renewing).await {
                Ok(renewed) => break renewed,
                Err(_) => {
                    let (read, of) = *seen.borrow_and_update();
                    side.say(&Answer::Progress { read, of }).await?;
                }
            }
        };
        match renewed {
            Ok(report) => side.say(&Answer::Renewed(report)).await,
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }
}

impl Control {
    /// Asks for a renewal; `progress` is told how many leaves of how many are ready.
    pub fn renew(
        self,
        order: RenewalOrder,
        progress: &mut dyn FnMut(u64, u64),
    ) -> anyhow::Result<RenewalReport> {
        let mut report = None;
        self.ask(&Question::Renew(Renew(order)), &mut |answer| {
            match answer {
                Answer::Progress { read, of } => progress(read, of),
                Answer::Renewed(renewed) => report = Some(renewed),
                answer => return answer.unexpected(),
            }
            Ok(())
        })?;
        report.ok_or_else(|| {
            anyhow::anyhow!("the node did not say what it renewed; it may be an older version")
        })
    }
}
