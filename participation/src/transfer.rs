//! The life of a transfer: an application moves from one authority to another, and at every instant exactly one of them is
//! responsible.
//!
//! ```text
//!            offer            accept           package         import          take over        recorded
//! DRAFT ──────────> OFFERED ─────────> ACCEPTED ──────> PACKAGE_SENT ─────> IMPORTED ─────> TAKEN_OVER ─────> CLOSED
//!                      │                   │                  │ failed: ACCEPTED   │
//!                      ├ withdraw, expire  └──────────────────┴────────────────────┤ refuse; recall: RECALLED;
//!                      └ refuse, dispute                                           │ after `take_over_until` reclaim:
//!                                                                                  └ RECLAIMED, without an answer UNCONFIRMED
//! ```
//!
//! Two machines, one for each side, who tell each other by [`message::Message`]s with signed answers. Only the receiver makes
//! ACCEPTED and TAKEN_OVER; only the sender ends an offer. Each decision has one arbiter, so that crossing commands need no luck:
//! what the sender has committed decides whether an offer can still be accepted, what the receiver has committed decides whether
//! the application was taken over. After TAKEN_OVER nothing is rolled back.
//!
//! Pure: a command or a message and an instant give a decision, which is recorded first and applied then. Nothing here knows
//! sockets, clocks or stores; messages come in the order in which they were sent, repeats are answered by who delivers them.

pub mod contract;
pub mod delivery;
pub mod dossier;
pub mod message;
pub mod offer;
pub mod receiver;
pub mod replay;
pub mod sender;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether one side may act on the application.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Responsibility {
    /// It is ours, and we may act.
    Mine,
    /// It is ours, and we may not act until the other side has answered.
    MineFrozen,
    /// It is ours as far as is known; the other side is silent, and a supervisor has to look. Who acts does so on that record.
    Unconfirmed,
    /// It is ours, and they work on it (Auftragsbearbeitung).
    MineDelegated,
    /// It is theirs.
    Theirs,
    /// It is theirs, and we work on it.
    TheirsDelegated,
}

/// What a transfer moves.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Moves {
    /// Responsibility (Zuständigkeit).
    Responsibility,
    /// The work only: the sender stays responsible.
    Work,
    /// Nothing: a copy.
    Nothing,
}

impl Moves {
    const fn takes_over(self) -> bool {
        match self {
            Self::Responsibility | Self::Work => true,
            Self::Nothing => false,
        }
    }
}

/// Why the receiver does not take it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RefusalReason {
    /// Another place is competent.
    NotCompetentPlace,
    /// Another kind of authority is.
    NotCompetentSubject,
    /// The receiver has it already.
    Duplicate,
    /// Something is missing.
    Incomplete,
    /// Files cannot be read.
    Unreadable,
    /// Files are infected.
    Infected,
    /// It is decided already.
    AlreadyDecided,
    /// Too little time is left of a deadline.
    TooLateForTakeover,
    /// The receiver has no capacity; by standing agreement only.
    Capacity,
    /// Something else.
    Other,
}

/// A command or a message that does not fit the state.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It is not legal now.
    #[error("{command} is not possible while the transfer is {state}; possible now: {}", listed(.legal))]
    Illegal {
        /// What was wanted.
        command: &'static str,
        /// The state.
        state: &'static str,
        /// What is possible.
        legal: Vec<&'static str>,
    },
    /// Its time is over.
    #[error("{command} is not possible any more: it was until {until}; {then}")]
    TooLate {
        /// What was wanted.
        command: &'static str,
        /// The instant.
        until: Timestamp,
        /// What happens instead.
        then: &'static str,
    },
    /// Its time has not come.
    #[error("{command} is not possible before {from}")]
    TooEarly {
        /// What was wanted.
        command: &'static str,
        /// The instant.
        from: Timestamp,
    },
}

fn listed(commands: &[&str]) -> String {
    match commands {
        [] => "nothing; it has ended".to_owned(),
        commands => commands.join(", "),
    }
}

impl Refusal {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Illegal { .. } => "illegal_for_state",
            Self::TooLate { .. } => "too_late",
            Self::TooEarly { .. } => "too_early",
        }
    }
}
