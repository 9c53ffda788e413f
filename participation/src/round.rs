//! Participation (Beteiligung): an authority asks chambers, associations, municipalities or specialist bodies for a statement, in
//! rounds, with a deadline and with what silence means.
//!
//! ```text
//! round     PREPARING ──open──> OPEN ──close──> CLOSED ──evaluate──> EVALUATING ──conclude──> CONCLUDED
//!               │                 │ suspend, resume: SUSPENDED            │
//!               └─────────────────┴──────────────── cancel: CANCELLED ────┘   renewed: a new round that names the old one
//!
//! request   CREATED ─> SENT ─> DELIVERED ─> ACKNOWLEDGED ─> IN_PREPARATION ─> SUBMITTED ─> ASSESSED ─> NOTIFIED
//!              │         │         └───────────┴────┬───────────┘   │  AMENDED    ↑            ↑
//!           DROPPED    FAILED      DECLINED  <──────┤  WITHDRAWN <──┘  ───────────┤            │
//!                                                   └─> EXPIRED ─────> LATE ──────┘            │
//!                                                          └────────────── outcome ────────────┘
//!           from every state that was sent: REVOKED ─> PURGED
//! ```
//!
//! A question and a request for more time are records beside the state; both can be open. A request has one state: the requester's
//! order of messages is its order ([`message`]), and [`request`] is what follows from them on both sides and for an auditor. The
//! [`requester`] judges what is in time, by the instant at which the participant entered it; the [`participant`] decides what it
//! says. Silence means something only after a proven delivery, at the end of a told deadline whose clock ran, and after the
//! participant's node was asked for what it had entered in time.
//!
//! Two things are told in other words than the paper has them. The technical receipt `participation.delivered` and the receipt of a
//! statement are signed answers, not messages. And the clock begins when the participant's node has fetched everything that is
//! disclosed, if that is later than the answer: whoever has only the envelope has not been asked yet.
//!
//! Pure, like transfers: a command or a message and an instant give a decision, which is recorded first and applied then.

pub mod contract;
pub mod delivery;
pub mod disclosure;
pub mod guest;
pub mod life;
pub mod mapping;
pub mod message;
pub mod participant;
pub mod profile;
pub mod recipient;
pub mod release;
pub mod replay;
pub mod request;
pub mod requester;
pub mod state;
pub mod statement;
pub mod terms;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::deadline::DeadlineError;

/// What has to come first, or cannot be any more.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Obstacle {
    /// The participant's node has answered.
    Answered,
    /// The clock stands still.
    ClockStands,
    /// The delivery is not proven, or not everything was fetched.
    DeliveryNotProven,
    /// What silence meant is not recorded.
    ExpiryFirst,
    /// A timely request for more time is undecided.
    ExtensionUndecided,
    /// What the participant's node named is not all here.
    MessagesOnTheirWay,
    /// There is no deadline.
    NoDeadline,
    /// The participant's node has not answered.
    NotAnswered,
    /// The participant's node was not asked.
    NotAsked,
    /// It was not cleared for what it fixes now.
    NotCleared,
    /// Nobody is asked in the round.
    NobodyAsked,
    /// The profile gives no more time.
    NotExtendable,
    /// Requests of the round are not settled.
    RequestsOpen,
    /// The time is over.
    TimeOver,
}

impl Obstacle {
    /// The machine code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Answered => "inquiry_answered",
            Self::ClockStands => "clock_stands",
            Self::DeliveryNotProven => "delivery_not_proven",
            Self::ExpiryFirst => "expiry_first",
            Self::ExtensionUndecided => "extension_undecided",
            Self::MessagesOnTheirWay => "messages_on_their_way",
            Self::NoDeadline => "no_deadline",
            Self::NotAnswered => "inquiry_unanswered",
            Self::NotAsked => "participant_not_asked",
            Self::NotCleared => "not_cleared",
            Self::NobodyAsked => "nobody_asked",
            Self::NotExtendable => "not_extendable",
            Self::RequestsOpen => "requests_open",
            Self::TimeOver => "time_over",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            Self::Answered => "the participant's node has answered; record the expiry by its answer",
            Self::ClockStands => {
                "the clock stands still; let it go on first, or wait until the supplement is fetched"
            }
            Self::DeliveryNotProven => {
                "the delivery is not proven, or not everything that is disclosed was fetched; silence has no effect before"
            }
            Self::ExpiryFirst => "the deadline ended without a statement in time; record the expiry first",
            Self::ExtensionUndecided => "a timely request for more time is undecided; decide it first",
            Self::MessagesOnTheirWay => "the participant entered something that is not here yet; wait for it",
            Self::NoDeadline => "there is no deadline; one is told after the delivery, or state its end",
            Self::NotAnswered => {
                "the participant's node has not said what it had entered in time; wait, or record the expiry without it"
            }
            Self::NotAsked => "the participant's node was not asked what it had entered in time; ask first",
            Self::NotCleared => "it was released for something else; have it released as it is",
            Self::NobodyAsked => "nobody is asked in the round; prepare a request first",
            Self::NotExtendable => "the profile gives no more time",
            Self::RequestsOpen => "requests of the round are not settled; settle or revoke them first",
            Self::TimeOver => "the time is over",
        }
    }
}

/// A command that does not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// It is not legal now.
    #[error("{command} is not possible while it is {state}; possible now: {}", listed(.legal))]
    Illegal {
        /// What was wanted.
        command: &'static str,
        /// The state.
        state: &'static str,
        /// What is possible.
        legal: Vec<&'static str>,
    },
    /// Something else comes first.
    #[error("{command} is not possible: {}", .obstacle.sentence())]
    Blocked {
        /// What was wanted.
        command: &'static str,
        /// What it is.
        obstacle: Obstacle,
    },
    /// Its time has not come.
    #[error("{command} is not possible before {from}")]
    TooEarly {
        /// What was wanted.
        command: &'static str,
        /// The instant.
        from: Timestamp,
    },
    /// The deadline that follows cannot be computed.
    #[error(transparent)]
    Deadline(#[from] DeadlineError),
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
            Self::Blocked { obstacle, .. } => obstacle.code(),
            Self::TooEarly { .. } => "too_early",
            Self::Deadline(error) => error.code(),
        }
    }
}
