//! Legal hold over the control socket. Who asks is the user at the other end of the socket, as the system says.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::{ArchivedCopies, Held, LogError, MessageLog, NumberSet, Receipt, Released};

/// Holds entries by number or every message with a query id, ends a hold, or lists those in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum HoldOrder {
    /// The holds in force.
    List,
    /// Entries by their numbers, as `3-9,12`.
    Numbers {
        /// Which.
        numbers: String,
        /// Why.
        ground: String,
    },
    /// Every message with this query id.
    QueryId {
        /// Which.
        query_id: String,
        /// Why.
        ground: String,
    },
    /// The end of a hold.
    Release {
        /// Its entry.
        hold: u64,
        /// Why.
        ground: String,
    },
}

/// A hold as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldHold {
    /// Entry of the hold, or of its release.
    pub entry: u64,
    /// How many entries it concerns.
    pub entries: u64,
    /// Which, shortened when they are many.
    pub numbers: String,
    /// Why.
    pub ground: String,
    /// Who ordered it.
    pub who: String,
    /// Archives that alone hold the content of some of them: see that these files are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<ArchivedCopies>,
}

fn told(entry: u64, numbers: &NumberSet, ground: &str, who: &str) -> ToldHold {
    ToldHold {
        entry,
        entries: numbers.len(),
        numbers: numbers.short(),
        ground: ground.into(),
        who: who.into(),
        archived: None,
    }
}

/// The question on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HoldQuestion {
    order: HoldOrder,
}

impl HoldQuestion {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let who = side.who.clone();
        match self.carry_out(log, &who).await {
            Ok(holds) => {
                for hold in holds {
                    side.say(&Answer::Hold(hold)).await?;
                }
                Ok(())
            }
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }

    async fn carry_out(self, log: &MessageLog, who: &str) -> Result<Vec<ToldHold>, Refused> {
        let (numbers, ground) = match self.order {
            HoldOrder::List => {
                let holds = log.holds().await?;
                let told = holds
                    .iter()
                    .map(|hold| told(hold.entry, &hold.numbers, &hold.said.ground, &hold.said.who));
                return Ok(told.collect());
            }
            HoldOrder::Release { hold, ground } => {
                let released = Released {
                    hold,
                    ground: ground.clone(),
                    who: who.into(),
                };
                let holds = log.holds().await?;
                let Receipt { number, .. } = log.release(released).await?;
                let held = holds.into_iter().find(|held| held.entry == hold);
                let numbers = held.map(|held| held.numbers).unwrap_or_default();
                return Ok(vec![told(number, &numbers, &ground, who)]);
            }
            HoldOrder::Numbers { numbers, ground } => {
                let numbers = numbers
                    .parse::<NumberSet>()
                    .map_err(|error| Refused::Malformed(error.to_string()))?;
                (numbers, ground)
            }
            HoldOrder::QueryId { query_id, ground } => {
                let numbers = log.find(&query_id).await?;
                if numbers.is_empty() {
                    return Err(Refused::Nothing(query_id));
                }
                (numbers.into_iter().collect(), ground)
            }
        };
        let said = Held {
            ground: ground.clone(),
            who: who.into(),
        };
        let receipt = log.hold(numbers.clone(), said).await?;
        let mut hold = told(receipt.number, &numbers, &ground, who);
        hold.archived = log.only_archived(numbers).await?;
        Ok(vec![hold])
    }
}

/// Why nothing was held or released.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("{0}")]
    Malformed(String),
    #[error(
        "the log has no message with the query id {0:?}, or its head is deleted; name entries with --numbers"
    )]
    Nothing(String),
}

impl Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::Malformed(_) => "malformed",
            Self::Nothing(_) => "log_entry_not_found",
        }
    }
}

impl Control {
    /// Asks for a hold, the end of one, or the list.
    pub fn hold(self, order: HoldOrder) -> anyhow::Result<Vec<ToldHold>> {
        let (mut holds, mut refused) = (Vec::new(), None);
        self.ask(&Question::Hold(HoldQuestion { order }), &mut |answer| {
            match answer {
                Answer::Hold(hold) => holds.push(hold),
                Answer::Error { text, .. } => refused = Some(text),
                _ => {}
            }
            Ok(())
        })?;
        match refused {
            Some(refused) => anyhow::bail!(refused),
            None => Ok(holds),
        }
    }
}
