//! The life of a round: one question to several participants, by one profile, with a number. The participants know of it by their
//! requests only; what happens to the round happens to each of them.

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::profile::{Class, Versioned};
use super::requester::{self, ProofLevel};
use super::state::State as RequestState;
use super::{Obstacle, Refusal};
use crate::transfer::offer::Id;

/// Who is asked.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "access")]
pub enum Party {
    /// A member with a node of its own, `INSTANCE/CLASS/CODE`.
    Node {
        /// Which.
        member: String,
    },
    /// A guest with link and code, hosted by the requester.
    Guest {
        /// Which.
        guest: Id,
    },
    /// A unit of the own house, by its opaque id.
    Internal {
        /// Which.
        unit: String,
    },
}

impl Party {
    /// How it is named where a member would be: `guest/<uuid>` for a guest.
    pub fn name(&self) -> String {
        match self {
            Self::Node { member } => member.clone(),
            Self::Guest { guest } => format!("guest/{guest}"),
            Self::Internal { unit } => format!("unit/{unit}"),
        }
    }

    /// How strong a proof can be.
    pub const fn level(&self) -> ProofLevel {
        match self {
            Self::Node { .. } => ProofLevel::Node,
            Self::Guest { .. } => ProofLevel::Guest,
            Self::Internal { .. } => ProofLevel::Internal,
        }
    }
}

/// One who is asked in a round.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Asked {
    /// The request.
    pub request: Id,
    /// Whom.
    pub party: Party,
    /// What it is.
    pub class: Class,
    /// The request that it replaces, whose participant declined or could not be reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Id>,
}

/// How a round stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Being prepared.
    Preparing,
    /// Its requests are out.
    Open,
    /// Newer versions of statements do not count any more.
    Closed,
    /// Statements are assessed.
    Evaluating,
    /// Everybody was told what became of it.
    Concluded,
    /// The clocks stand still.
    Suspended,
    /// Given up; what was disclosed is taken back.
    Cancelled,
}

/// What a person wants of it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// Send its requests.
    Open,
    /// Take no newer versions.
    Close,
    /// Assess.
    Evaluate,
    /// End it.
    Conclude,
    /// Let the clocks stand still.
    Suspend,
    /// Let them go on.
    Resume,
    /// Give it up.
    Cancel,
}

/// A round.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Round {
    /// Its id.
    pub id: Id,
    /// The case.
    pub case: Id,
    /// By which profile, in which version.
    pub profile: Versioned,
    /// 1, 2, 3 … for each case and profile.
    pub number: u32,
    /// The round that it renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Id>,
    /// The only topics that statements are wanted on; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Who is asked.
    pub asked: Vec<Asked>,
    state: State,
    /// When it was closed.
    closed_at: Option<Timestamp>,
}

/// What was decided: the new state, and what is to happen to each request. One that does not allow it is left as it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    state: State,
    closed_at: Option<Timestamp>,
    /// What is to happen to each request; sending one needs its own clearance.
    pub each: Option<requester::Act>,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Open,
        Self::Close,
        Self::Evaluate,
        Self::Conclude,
        Self::Suspend,
        Self::Resume,
        Self::Cancel,
    ];

    /// Its name in the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Close => "close",
            Self::Evaluate => "evaluate",
            Self::Conclude => "conclude",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

impl State {
    /// Its name in the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Preparing => "PREPARING",
            Self::Open => "OPEN",
            Self::Closed => "CLOSED",
            Self::Evaluating => "EVALUATING",
            Self::Concluded => "CONCLUDED",
            Self::Suspended => "SUSPENDED",
            Self::Cancelled => "CANCELLED",
        }
    }

    const fn after(self, command: Command) -> Option<Self> {
        match (self, command) {
            (Self::Preparing, Command::Open) | (Self::Suspended, Command::Resume) => Some(Self::Open),
            (Self::Open, Command::Close) => Some(Self::Closed),
            (Self::Closed, Command::Evaluate) => Some(Self::Evaluating),
            (Self::Evaluating, Command::Conclude) => Some(Self::Concluded),
            (Self::Open, Command::Suspend) => Some(Self::Suspended),
            (
                Self::Preparing | Self::Open | Self::Closed | Self::Evaluating | Self::Suspended,
                Command::Cancel,
            ) => Some(Self::Cancelled),
            (
                Self::Preparing
                | Self::Open
                | Self::Closed
                | Self::Evaluating
                | Self::Concluded
                | Self::Suspended
                | Self::Cancelled,
                Command::Open
                | Command::Close
                | Command::Evaluate
                | Command::Conclude
                | Command::Suspend
                | Command::Resume
                | Command::Cancel,
            ) => None,
        }
    }

    /// Names of the commands that are possible.
    pub fn legal(self) -> Vec<&'static str> {
        Command::ALL
            .into_iter()
            .filter(|command| self.after(*command).is_some())
            .map(Command::name)
            .collect()
    }
}

impl Round {
    /// The same round, of a case that came from another house: who is asked follows one by one.
    #[must_use]
    pub fn of_case(self, case: Id) -> Self {
        Self {
            case,
            asked: Vec::new(),
            ..self
        }
    }

    /// The first round of a case by a profile, or the next one: `before` are those that there are.
    pub fn next(id: Id, case: Id, profile: Versioned, before: &[Self]) -> Self {
        let number = before
            .iter()
            .filter(|round| round.case == case && round.profile.code == profile.code)
            .map(|round| round.number)
            .max()
            .unwrap_or_default();
        Self {
            id,
            case,
            profile,
            number: number + 1,
            renews: None,
            topics: Vec::new(),
            asked: Vec::new(),
            state: State::Preparing,
            closed_at: None,
        }
    }

    /// A round that renews this one, on those topics alone if there are any.
    ///
    /// # Errors
    /// This one still runs.
    pub fn renewed(&self, id: Id, topics: Vec<String>, before: &[Self]) -> Result<Self, Refusal> {
        match self.state {
            State::Closed | State::Evaluating | State::Concluded | State::Cancelled => {
                let next = Self::next(id, self.case.clone(), self.profile.clone(), before);
                Ok(Self {
                    number: next.number.max(self.number + 1),
                    renews: Some(self.id.clone()),
                    topics,
                    ..next
                })
            }
            State::Preparing | State::Open | State::Suspended => Err(Refusal::Illegal {
                command: "renew",
                state: self.state.name(),
                legal: self.state.legal(),
            }),
        }
    }

    /// How it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// When it was closed.
    pub const fn closed_at(&self) -> Option<Timestamp> {
        self.closed_at
    }

    /// Whether somebody can be asked in it.
    pub const fn takes_requests(&self) -> bool {
        matches!(self.state, State::Preparing | State::Open)
    }

    /// Applies what was decided and recorded.
    pub const fn apply(&mut self, decision: &Decision) {
        self.state = decision.state;
        self.closed_at = decision.closed_at;
    }

    /// Decides a command. `requests` are the states of its requests.
    ///
    /// # Errors
    /// What is not possible in this state; a round that is opened without a request, closed while an answer is awaited, or concluded
    /// while something is not settled.
    pub fn decide(
        &self,
        command: Command,
        requests: &[RequestState],
        now: Timestamp,
    ) -> Result<Decision, Refusal> {
        let state = self.state.after(command).ok_or_else(|| Refusal::Illegal {
            command: command.name(),
            state: self.state.name(),
            legal: self.state.legal(),
        })?;
        let answer_awaited = |request: &RequestState| {
            request.is_waiting()
                || matches!(
                    request,
                    RequestState::Created | RequestState::Sent | RequestState::Failed
                )
        };
        if command == Command::Open && requests.is_empty() {
            return Err(Refusal::Blocked {
                command: command.name(),
                obstacle: Obstacle::NobodyAsked,
            });
        }
        let open = match command {
            // One that was taken back late is not waited for.
            Command::Close => requests
                .iter()
                .any(|request| *request != RequestState::Withdrawn && answer_awaited(request)),
            Command::Conclude => !requests.iter().all(|request| request.is_settled()),
            Command::Open | Command::Evaluate | Command::Suspend | Command::Resume | Command::Cancel => false,
        };
        if open {
            return Err(Refusal::Blocked {
                command: command.name(),
                obstacle: Obstacle::RequestsOpen,
            });
        }
        let each = match command {
            Command::Open => Some(requester::Act::Send),
            Command::Suspend => Some(requester::Act::Suspend),
            Command::Resume => Some(requester::Act::Resume),
            Command::Cancel => Some(requester::Act::Cancel),
            Command::Close | Command::Evaluate | Command::Conclude => None,
        };
        Ok(Decision {
            state,
            closed_at: match command {
                Command::Close => Some(now),
                Command::Open
                | Command::Evaluate
                | Command::Conclude
                | Command::Suspend
                | Command::Resume
                | Command::Cancel => self.closed_at,
            },
            each,
        })
    }
}
