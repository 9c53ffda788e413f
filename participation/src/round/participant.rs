//! The side that is asked.
//!
//! What it has said and not heard an answer to is pending; what the requester decided after messages of ours whose answers are
//! still on their way is held. So the request here becomes what it is there, in the same order, and until then people see what it
//! will be if nothing crosses.

use std::collections::VecDeque;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::message::{Answer, DeclineReason, Judgement, Message, Says, Told};
use super::request::Request;
use super::state::State;
use super::statement::Submission;
use super::terms::{Extendable, Terms};
use super::{Obstacle, Refusal};

/// A request as its participant has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Participant {
    /// As the requester has it, as far as that is known.
    agreed: Request,
    terms: Terms,
    /// Messages of ours that are not taken into account, in order.
    pending: VecDeque<Pending>,
    /// Messages of the requester that are not, in order.
    held: VecDeque<Told>,
    /// How many messages of the requester came.
    received: u32,
    /// Nothing is entered before it.
    not_before: Timestamp,
    /// When what is disclosed is to be deleted, whatever happens.
    disclosure_ends: Option<Timestamp>,
    /// When the deletion of everything was stated.
    purged_at: Option<Timestamp>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Pending {
    message: Message,
    answer: Option<Answer>,
}

/// A command without what it carries.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[expect(missing_docs, reason = "each is the command of that name")]
pub enum Act {
    Acknowledge,
    Decline,
    Prepare,
    Ask,
    AskForTime,
    Submit,
    Withdraw,
    StatePurge,
}

/// What a person or a clock wants.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Command {
    /// It is ours.
    Acknowledge,
    /// It is not, or we must not answer.
    Decline(DeclineReason),
    /// Somebody works on it.
    Prepare,
    /// Ask something.
    Ask,
    /// Ask for more time.
    AskForTime {
        /// Until when.
        until: Date,
    },
    /// Submit a statement, or a newer version of it.
    Submit(Submission),
    /// Take the statement back.
    Withdraw,
    /// State what is deleted of what was disclosed.
    StatePurge {
        /// Whether this is about everything.
        whole: bool,
        /// Whether nothing of it is left.
        complete: bool,
    },
}

impl Act {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Acknowledge,
        Self::Decline,
        Self::Prepare,
        Self::Ask,
        Self::AskForTime,
        Self::Submit,
        Self::Withdraw,
        Self::StatePurge,
    ];

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledge => "acknowledge",
            Self::Decline => "decline",
            Self::Prepare => "prepare",
            Self::Ask => "ask",
            Self::AskForTime => "ask-for-time",
            Self::Submit => "submit",
            Self::Withdraw => "withdraw",
            Self::StatePurge => "state-purge",
        }
    }
}

impl Command {
    /// Which it is.
    pub const fn act(&self) -> Act {
        match self {
            Self::Acknowledge => Act::Acknowledge,
            Self::Decline(_) => Act::Decline,
            Self::Prepare => Act::Prepare,
            Self::Ask => Act::Ask,
            Self::AskForTime { .. } => Act::AskForTime,
            Self::Submit(_) => Act::Submit,
            Self::Withdraw => Act::Withdraw,
            Self::StatePurge { .. } => Act::StatePurge,
        }
    }
}

/// What was decided: the new state, and what the requester is to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    next: Box<Participant>,
    /// To be sent after the commit.
    pub tell: Vec<Told>,
}

impl Participant {
    /// A request that came, with the answer that says when: the delivery.
    pub fn delivered(terms: Terms, disclosure_ends: Option<Timestamp>, now: Timestamp) -> (Self, Answer) {
        let mut agreed = Request::new(State::Delivered);
        agreed.requester_says(&Message::Request(terms.clone()));
        let participant = Self {
            agreed,
            terms,
            pending: VecDeque::new(),
            held: VecDeque::new(),
            received: 1,
            not_before: now,
            disclosure_ends,
            purged_at: None,
        };
        let says = Says::Delivered { delivered_at: now };
        (participant, Answer { after: 0, says })
    }

    /// The request as both sides have it, as far as the requester's answers go.
    pub const fn agreed(&self) -> &Request {
        &self.agreed
    }

    /// The request as it will be, if nothing crosses what is on its way.
    pub fn expected(&self) -> Request {
        let mut expected = self.agreed.clone();
        let held = self.held.iter().map(|told| &told.message);
        for message in held {
            expected.requester_says(message);
        }
        for pending in &self.pending {
            let judgement = match pending.answer {
                Some(answer) => answer.says.judgement(),
                None => expects(&expected, &pending.message),
            };
            let taken = pending.answer.is_none_or(|answer| answer.says.is_taken());
            if taken {
                expected.participant_says(&pending.message, judgement);
            }
        }
        expected
    }

    /// What it fixes.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// Whether everything that was said on either side is taken into account.
    pub fn is_settled(&self) -> bool {
        self.pending.is_empty() && self.held.is_empty()
    }

    /// When the deletion of everything was stated.
    pub const fn purged_at(&self) -> Option<Timestamp> {
        self.purged_at
    }

    /// Whether what is disclosed may be opened now.
    pub fn may_open(&self, now: Timestamp) -> bool {
        self.expected().state().is_open_to_participant()
            && self.purged_at.is_none()
            && self.disclosure_ends.is_none_or(|ends| now < ends)
    }

    /// Whether a command fits how the request is expected to stand.
    pub fn allows(&self, act: Act) -> bool {
        let expected = self.expected();
        let state = expected.state();
        match act {
            Act::Acknowledge => state == State::Delivered,
            Act::Prepare => matches!(state, State::Delivered | State::Acknowledged),
            Act::Decline => state.is_waiting(),
            Act::Ask => (state.is_waiting() || state == State::Expired) && !expected.question_open(),
            Act::AskForTime => {
                (state.is_waiting() || state == State::Expired) && expected.extension_wanted().is_none()
            }
            Act::Submit => {
                state.is_waiting()
                    || matches!(
                        state,
                        State::Submitted | State::Amended | State::Expired | State::Late
                    )
            }
            Act::Withdraw => matches!(state, State::Submitted | State::Amended | State::Late),
            Act::StatePurge => state.is_sent() && state != State::Purged,
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

    /// Applies what was decided and recorded.
    pub fn apply(&mut self, decision: &Decision) {
        self.clone_from(&decision.next);
    }

    /// Decides a command.
    ///
    /// # Errors
    /// What is not possible in this state or at this instant, with what is.
    pub fn decide(&self, command: &Command, now: Timestamp) -> Result<Decision, Refusal> {
        let act = command.act();
        if !self.allows(act) {
            return Err(Refusal::Illegal {
                command: act.name(),
                state: self.expected().state().name(),
                legal: self.legal(),
            });
        }
        let blocked = |obstacle| {
            Err(Refusal::Blocked {
                command: act.name(),
                obstacle,
            })
        };
        let expected = self.expected();
        // Never before what was entered before, nor before an end for which the requester was told that nothing more was there.
        let entered_at = now.max(self.not_before);
        let message = match command {
            Command::Acknowledge => Message::Acknowledge,
            Command::Decline(_) if !expected.is_in_time(entered_at) => return blocked(Obstacle::TimeOver),
            Command::Decline(reason) => Message::Decline {
                reason: *reason,
                entered_at,
            },
            Command::Prepare => Message::Preparing,
            Command::Ask => Message::Question,
            Command::AskForTime { .. } if self.terms.extension == Extendable::None => {
                return blocked(Obstacle::NotExtendable);
            }
            Command::AskForTime { until } => Message::ExtensionRequest {
                until: *until,
                entered_at,
            },
            Command::Submit(submission) => Message::Statement {
                version: u32::try_from(expected.versions().len() + 1).unwrap_or(u32::MAX),
                statement: submission.kind(),
                entered_at,
            },
            Command::Withdraw => Message::WithdrawStatement { entered_at },
            Command::StatePurge { whole, complete } => Message::Purged {
                whole: *whole,
                complete: *complete,
            },
        };
        let mut next = self.clone();
        next.not_before = entered_at;
        if let Command::StatePurge {
            whole: true,
            complete: true,
        } = command
        {
            next.purged_at = Some(now);
        }
        next.pending.push_back(Pending {
            message: message.clone(),
            answer: None,
        });
        let told = Told {
            heard: self.received,
            message,
        };
        Ok(Decision {
            next: Box::new(next),
            tell: vec![told],
        })
    }

    /// Takes a message of the requester: the decision to record, and the answer. It says how many messages were entered here, so
    /// that the requester can wait for those that are on their way.
    pub fn receive(&self, told: &Told) -> (Decision, Answer) {
        let mut next = self.clone();
        let after = self.agreed.participant_said() + u32::try_from(self.pending.len()).unwrap_or(u32::MAX);
        let says = match &told.message {
            // There is one already.
            Message::Request(_) => Says::Refused {
                stands: self.agreed.state(),
            },
            Message::Inquire { until } => {
                next.not_before = self.not_before.max(*until);
                Says::Taken
            }
            Message::Supplement { .. }
            | Message::Answer
            | Message::ExtensionDecision { .. }
            | Message::Clock { .. }
            | Message::Deadline { .. }
            | Message::Reminder
            | Message::Expired(_)
            | Message::Suspended { .. }
            | Message::Resumed { .. }
            | Message::Cancelled
            | Message::Revoke { .. }
            | Message::Assessed
            | Message::Outcome
            | Message::Moved
            | Message::Void
            | Message::Acknowledge
            | Message::Decline { .. }
            | Message::Preparing
            | Message::Question
            | Message::ExtensionRequest { .. }
            | Message::Statement { .. }
            | Message::WithdrawStatement { .. }
            | Message::Purged { .. } => Says::Taken,
        };
        next.received += 1;
        next.held.push_back(told.clone());
        next.put_in_order();
        let decision = Decision {
            next: Box::new(next),
            tell: Vec::new(),
        };
        (decision, Answer { after, says })
    }

    /// Takes the requester's answer to the oldest message of ours that has none.
    pub fn answered(&self, answer: Answer) -> Decision {
        let mut next = self.clone();
        if let Some(pending) = next.pending.iter_mut().find(|pending| pending.answer.is_none()) {
            pending.answer = Some(answer);
        }
        next.put_in_order();
        Decision {
            next: Box::new(next),
            tell: Vec::new(),
        }
    }

    /// Whether the oldest message that has no answer is a statement of which a newer version waits: by its number that one would be
    /// refused without it, and lost although it may have been in time.
    pub fn is_built_on(&self) -> bool {
        let is_statement = |pending: &Pending| matches!(pending.message, Message::Statement { .. });
        let mut unanswered = self.pending.iter().filter(|pending| pending.answer.is_none());
        unanswered.next().is_some_and(is_statement) && unanswered.any(is_statement)
    }

    /// The oldest message that has no answer is given up: a `void` that says to have taken as many messages as it did uses its number,
    /// and nothing follows. Not if a newer version is built on it.
    pub fn gave_up(&self) -> Option<Decision> {
        if self.is_built_on() {
            return None;
        }
        let mut next = self.clone();
        let pending = next.pending.iter_mut().find(|pending| pending.answer.is_none())?;
        pending.message = Message::Void;
        Some(Decision {
            next: Box::new(next),
            tell: Vec::new(),
        })
    }

    /// Takes into account what is next in the requester's order, as far as it is here.
    fn put_in_order(&mut self) {
        loop {
            if self
                .held
                .front()
                .is_some_and(|told| told.heard <= self.agreed.participant_said())
            {
                if let Some(told) = self.held.pop_front() {
                    self.agreed.requester_says(&told.message);
                }
                continue;
            }
            let Some(Pending {
                message,
                answer: Some(answer),
            }) = self.pending.front()
            else {
                return;
            };
            if answer.after > self.agreed.requester_said() {
                return;
            }
            let refused = Message::Void;
            let counted = match answer.says.is_taken() {
                true => message,
                false => &refused,
            };
            self.agreed.participant_says(counted, answer.says.judgement());
            self.pending.pop_front();
        }
    }

    /// Whether everything that was disclosed is to be deleted now, and that to be stated: the request was taken back or declined, or
    /// the disclosure ended.
    pub fn purge_is_due(&self, now: Timestamp) -> bool {
        let state = self.expected().state();
        let over = state == State::Declined || self.disclosure_ends.is_some_and(|ends| now >= ends);
        state == State::Revoked || (over && self.purged_at.is_none() && state != State::Purged)
    }

    /// The next instant at which something may fall due.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.disclosure_ends
            .filter(|ends| *ends > now && self.purged_at.is_none())
    }
}

/// How the requester will judge something, as far as is known here.
fn expects(expected: &Request, message: &Message) -> Option<Judgement> {
    let in_time = expected.is_in_time(message.entered_at()?);
    match message {
        Message::Statement { .. } => Some(Judgement {
            in_time,
            kept_beside: expected.is_past_statements(in_time),
        }),
        Message::Decline { .. } | Message::ExtensionRequest { .. } => Some(Judgement {
            in_time,
            kept_beside: false,
        }),
        Message::WithdrawStatement { .. }
        | Message::Request(_)
        | Message::Supplement { .. }
        | Message::Answer
        | Message::ExtensionDecision { .. }
        | Message::Clock { .. }
        | Message::Deadline { .. }
        | Message::Reminder
        | Message::Inquire { .. }
        | Message::Expired(_)
        | Message::Suspended { .. }
        | Message::Resumed { .. }
        | Message::Cancelled
        | Message::Revoke { .. }
        | Message::Assessed
        | Message::Outcome
        | Message::Moved
        | Message::Acknowledge
        | Message::Preparing
        | Message::Question
        | Message::Purged { .. }
        | Message::Void => None,
    }
}
