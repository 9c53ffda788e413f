//! What a person or a clock wants of a request that the own house sent, and in which state each is possible.

use jiff::civil::Date;

use super::{Escalation, Requester};
use crate::deadline::Rule;
use crate::round::release::Cleared;
use crate::round::state::State;
use crate::round::{Obstacle, Refusal};

/// A command without what it carries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "each is the command of that name")]
pub enum Act {
    Send,
    Drop,
    Fail,
    Retry,
    Supplement,
    Answer,
    DecideExtension,
    Extend,
    StopClock,
    ContinueClock,
    StateDeadline,
    Remind,
    Inquire,
    Expire,
    ExpireUnanswered,
    Suspend,
    Resume,
    Cancel,
    Revoke,
    RevokeFiles,
    Assess,
    Notify,
    Escalate,
}

/// What a person or a clock wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// Send it.
    Send(Cleared),
    /// Give it up before it is sent.
    Drop,
    /// Note that the transport gave up.
    Fail,
    /// Have the transport try again.
    Retry,
    /// Disclose further or replaced parts.
    Supplement {
        /// Whether the period begins anew when they are there.
        restarts: bool,
    },
    /// Answer the question; a clock that stopped for it goes on.
    Answer,
    /// Decide about more time.
    DecideExtension {
        /// How much; nothing: none.
        granted: Option<Rule>,
    },
    /// Give more time unasked.
    Extend(Rule),
    /// Stop the clock for a question.
    StopClock,
    /// Let it go on.
    ContinueClock,
    /// State an end where none can be computed.
    StateDeadline(Date),
    /// Remind.
    Remind,
    /// Ask the participant's node for what it had entered in time.
    Inquire,
    /// Record that the deadline is over.
    Expire,
    /// Record it although the participant's node does not answer.
    ExpireUnanswered,
    /// Suspend it with its round.
    Suspend,
    /// Let it go on with its round.
    Resume,
    /// Cancel it with its round.
    Cancel,
    /// Take the whole request back.
    Revoke,
    /// Take single files back.
    RevokeFiles,
    /// Record how the statement is treated.
    Assess,
    /// Tell the participant.
    Notify,
    /// Note that somebody was told what is overdue.
    Escalate(Escalation),
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 23] = [
        Self::Send,
        Self::Drop,
        Self::Fail,
        Self::Retry,
        Self::Supplement,
        Self::Answer,
        Self::DecideExtension,
        Self::Extend,
        Self::StopClock,
        Self::ContinueClock,
        Self::StateDeadline,
        Self::Remind,
        Self::Inquire,
        Self::Expire,
        Self::ExpireUnanswered,
        Self::Suspend,
        Self::Resume,
        Self::Cancel,
        Self::Revoke,
        Self::RevokeFiles,
        Self::Assess,
        Self::Notify,
        Self::Escalate,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::Drop => "drop",
            Self::Fail => "fail",
            Self::Retry => "retry",
            Self::Supplement => "supplement",
            Self::Answer => "answer",
            Self::DecideExtension => "decide-extension",
            Self::Extend => "extend",
            Self::StopClock => "stop-clock",
            Self::ContinueClock => "continue-clock",
            Self::StateDeadline => "state-deadline",
            Self::Remind => "remind",
            Self::Inquire => "inquire",
            Self::Expire => "expire",
            Self::ExpireUnanswered => "expire-unanswered",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Revoke => "revoke",
            Self::RevokeFiles => "revoke-files",
            Self::Assess => "assess",
            Self::Notify => "notify",
            Self::Escalate => "escalate",
        }
    }
}

impl Command {
    /// Which it is.
    pub const fn act(&self) -> Act {
        match self {
            Self::Send(_) => Act::Send,
            Self::Drop => Act::Drop,
            Self::Fail => Act::Fail,
            Self::Retry => Act::Retry,
            Self::Supplement { .. } => Act::Supplement,
            Self::Answer => Act::Answer,
            Self::DecideExtension { .. } => Act::DecideExtension,
            Self::Extend(_) => Act::Extend,
            Self::StopClock => Act::StopClock,
            Self::ContinueClock => Act::ContinueClock,
            Self::StateDeadline(_) => Act::StateDeadline,
            Self::Remind => Act::Remind,
            Self::Inquire => Act::Inquire,
            Self::Expire => Act::Expire,
            Self::ExpireUnanswered => Act::ExpireUnanswered,
            Self::Suspend => Act::Suspend,
            Self::Resume => Act::Resume,
            Self::Cancel => Act::Cancel,
            Self::Revoke => Act::Revoke,
            Self::RevokeFiles => Act::RevokeFiles,
            Self::Assess => Act::Assess,
            Self::Notify => Act::Notify,
            Self::Escalate(_) => Act::Escalate,
        }
    }
}

impl Requester {
    /// Whether a command fits the state and the records beside it. Its time, and what it has to wait for, are judged apart.
    pub fn allows(&self, act: Act) -> bool {
        let (state, request) = (self.state(), self.request());
        let still = request.standing_still();
        let open = state.is_sent() && !matches!(state, State::Revoked | State::Purged);
        let after_end = matches!(state, State::Expired | State::Late);
        match act {
            Act::Send | Act::Drop => state == State::Created,
            Act::Fail => state == State::Sent,
            Act::Retry => state == State::Failed,
            Act::Supplement => {
                state.is_waiting() || after_end || matches!(state, State::Submitted | State::Amended)
            }
            Act::Answer => open && request.question_open(),
            Act::DecideExtension => (state.is_waiting() || after_end) && request.extension_wanted().is_some(),
            Act::Extend => (state.is_waiting() || after_end) && request.deadline().is_some(),
            Act::StopClock => {
                state.is_waiting()
                    && request.deadline().is_some()
                    && !still.is_some_and(|still| still.question)
            }
            Act::ContinueClock => open && still.is_some_and(|still| still.question),
            Act::StateDeadline => state.is_waiting() && self.undetermined().is_some(),
            Act::Remind => state.is_waiting(),
            Act::Inquire => request.is_silent() && self.terms().has_effect(),
            Act::Expire => request.is_silent(),
            Act::ExpireUnanswered => request.is_silent() && self.inquiry().is_some(),
            Act::Suspend => open && !still.is_some_and(|still| still.round),
            Act::Resume => open && still.is_some_and(|still| still.round),
            Act::Cancel => open || state == State::Created,
            Act::Revoke | Act::RevokeFiles => open,
            Act::Assess => {
                matches!(
                    state,
                    State::Submitted | State::Amended | State::Withdrawn | State::Late
                )
            }
            Act::Notify => matches!(state, State::Assessed | State::Expired),
            Act::Escalate => state.is_sent(),
        }
    }

    /// Refuses a command that does not fit how the request stands. Whoever waits for the end of something that never arrived is told
    /// that, since it is what has to come first.
    ///
    /// # Errors
    /// It is not possible now, or the delivery is not proven.
    pub fn fits(&self, act: Act) -> Result<(), Refusal> {
        let ends = matches!(act, Act::Inquire | Act::Expire | Act::ExpireUnanswered);
        match self.allows(act) {
            true => Ok(()),
            false if ends && matches!(self.state(), State::Sent | State::Failed) => Err(Refusal::Blocked {
                command: act.name(),
                obstacle: Obstacle::DeliveryNotProven,
            }),
            false => Err(Refusal::Illegal {
                command: act.name(),
                state: self.state().name(),
                legal: self.legal(),
            }),
        }
    }

    /// Names of the commands that are possible.
    pub fn legal(&self) -> Vec<&'static str> {
        Act::ALL
            .into_iter()
            .filter(|act| self.allows(*act))
            .map(Act::name)
            .collect()
    }
}
