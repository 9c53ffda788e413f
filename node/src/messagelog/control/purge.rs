//! Purge over the control socket: of what is due, or of given entries. Who orders is the user at the other end of the socket,
//! as the system says.

use std::io;

use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::{Given, LogError, MessageLog, NumberSet, Part, PurgeOrder, PurgeReport};

/// Deletes what is due or given, or says what would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PurgeAsked {
    /// Why it is done now.
    pub ground: String,
    /// Say what would be deleted and delete nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// These entries, whatever their classes say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<GivenAsked>,
}

/// Which entries are given, by number as `3-9,12` or by query id.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GivenAsked {
    /// Entries by their numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub numbers: Option<String>,
    /// Every message with this query id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_id: Option<String>,
    /// Which parts; none for all.
    #[serde(default)]
    pub parts: Vec<Part>,
    /// Who ordered it: a court, a case, a person's request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// Why an order was not carried out.
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

impl GivenAsked {
    async fn read(self, log: &MessageLog, who: &str) -> Result<Given, Refused> {
        let numbers = match (self.numbers, self.query_id) {
            (Some(numbers), None) => numbers
                .parse::<NumberSet>()
                .map_err(|error| Refused::Malformed(error.to_string()))?,
            (None, Some(query_id)) => {
                let found: NumberSet = log.find(&query_id).await?.into_iter().collect();
                if found.is_empty() {
                    return Err(Refused::Nothing(query_id));
                }
                found
            }
            _ => {
                return Err(Refused::Malformed("an order names numbers or a query id".into()));
            }
        };
        Ok(Given {
            numbers,
            parts: match self.parts.is_empty() {
                true => Part::ALL.into(),
                false => self.parts,
            },
            by: self.by,
            who: who.into(),
        })
    }
}

impl PurgeAsked {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let who = side.who.clone();
        match self.carry_out(log, &who).await {
            Ok(report) => side.say(&Answer::Purged(report)).await,
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }

    async fn carry_out(self, log: &MessageLog, who: &str) -> Result<PurgeReport, Refused> {
        if self.given.is_some() && self.ground.trim().is_empty() {
            return Err(Refused::Malformed(
                "an order of deletion names its ground; it stands in the log".into(),
            ));
        }
        let given = match self.given {
            Some(given) => Some(given.read(log, who).await?),
            None => None,
        };
        let order = PurgeOrder {
            ground: self.ground,
            dry_run: self.dry_run,
            given,
        };
        Ok(log.purge(order).await?)
    }
}

impl Control {
    /// Asks for a purge.
    pub fn purge(self, asked: PurgeAsked) -> anyhow::Result<PurgeReport> {
        let (mut report, mut refused) = (None, None);
        self.ask(&Question::Purge(asked), &mut |answer| {
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
