//! Access for auditors over the control socket: granting, listing, revoking. Who orders it is the user at the other end of the
//! socket, as the system says. A token crosses the socket once, when it is granted.

use std::io;

use kontor_pki::time::UnixTime;
use serde::{Deserialize, Serialize};

use super::{Answer, Question, Side, client::Control};
use crate::messagelog::{
    AuditScope, Grant, GrantError, LogError, MessageLog, NewGrant, RestrictionText,
    auditors::InvalidRestriction,
};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum AuditorOrder {
    /// Let somebody look.
    Grant {
        /// Whom.
        name: String,
        /// Why.
        ground: String,
        /// How far.
        scope: AuditScope,
        /// Which entries.
        #[serde(default)]
        only: RestrictionText,
        /// Or every message with this query id that there is now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        query_id: Option<String>,
        /// Until when, in seconds since 1970.
        until: i64,
    },
    /// What was granted.
    List,
    /// Shut somebody out.
    Revoke {
        /// Id of the token.
        token: String,
        /// Why.
        ground: String,
    },
}

/// A grant as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldGrant {
    /// Id of the token; no secret.
    pub id: String,
    /// Whom.
    pub name: String,
    /// Why.
    pub ground: String,
    /// How far.
    pub scope: AuditScope,
    /// Which entries; all, if it says nothing.
    pub only: RestrictionText,
    /// `good`, `expired` or `revoked`.
    pub state: String,
    /// When it was granted (RFC 3339).
    pub granted: String,
    /// When it ends.
    pub until: String,
    /// Who granted it.
    pub by: String,
    /// The entry of the log that says so.
    pub entry: u64,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<String>,
    /// The entry of the log that says that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_entry: Option<u64>,
    /// The token itself, only in the answer that grants it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl ToldGrant {
    fn of(grant: Grant, token: Option<String>, now: UnixTime) -> Self {
        let instant = |second| UnixTime::from_secs(second).to_rfc3339();
        let state = match (&grant.revoked, grant.is_good(now)) {
            (Some(_), _) => "revoked",
            (None, true) => "good",
            (None, false) => "expired",
        };
        Self {
            state: state.into(),
            granted: instant(grant.granted),
            until: instant(grant.until),
            revoked: grant.revoked.as_ref().map(|revoked| instant(revoked.at)),
            revoked_entry: grant.revoked.and_then(|revoked| revoked.entry),
            id: grant.id,
            name: grant.name,
            ground: grant.ground,
            scope: grant.scope,
            only: grant.only,
            by: grant.by,
            entry: grant.entry,
            token,
        }
    }
}

/// The question on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditorQuestion {
    order: AuditorOrder,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Grant(#[from] GrantError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("the log has no message with the query id {0:?}, or its head is deleted")]
    Nothing(String),
    #[error(transparent)]
    Restriction(#[from] InvalidRestriction),
}

impl Refused {
    fn code(&self) -> &'static str {
        match self {
            Self::Grant(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Nothing(_) => "log_entry_not_found",
            Self::Restriction(_) => "malformed",
        }
    }
}

impl AuditorQuestion {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let by = side.who.clone();
        match self.carry_out(log, &by).await {
            Ok(grants) => {
                for grant in grants {
                    side.say(&Answer::Auditor(Box::new(grant))).await?;
                }
                Ok(())
            }
            Err(error) => side.refuse(None, error.code(), &error).await,
        }
    }

    async fn carry_out(self, log: &MessageLog, by: &str) -> Result<Vec<ToldGrant>, Refused> {
        let now = log.now();
        match self.order {
            AuditorOrder::List => {
                let grants = log.grants().into_iter();
                Ok(grants.map(|grant| ToldGrant::of(grant, None, now)).collect())
            }
            AuditorOrder::Revoke { token, ground } => {
                let grant = log.revoke(&token, &ground, by).await?;
                Ok(vec![ToldGrant::of(grant, None, now)])
            }
            AuditorOrder::Grant {
                name,
                ground,
                scope,
                only,
                query_id,
                until,
            } => {
                let mut only = only.read()?;
                if let Some(query_id) = query_id {
                    let numbers = log.find(&query_id).await?;
                    if numbers.is_empty() {
                        return Err(Refused::Nothing(query_id));
                    }
                    only.numbers = Some(numbers.into_iter().collect());
                }
                let new = NewGrant {
                    name,
                    ground,
                    scope,
                    only,
                    until: UnixTime::from_secs(until),
                    by: by.into(),
                };
                let (grant, token) = log.grant(new).await?;
                Ok(vec![ToldGrant::of(grant, Some(token), now)])
            }
        }
    }
}

impl Control {
    /// Grants, lists or revokes.
    pub fn auditor(self, order: AuditorOrder) -> anyhow::Result<Vec<ToldGrant>> {
        let mut grants = Vec::new();
        let question = Question::Auditor(AuditorQuestion { order });
        self.ask(&question, &mut |answer| match answer {
            Answer::Auditor(grant) => {
                grants.push(*grant);
                Ok(())
            }
            answer => answer.unexpected(),
        })?;
        Ok(grants)
    }
}
