//! The side that asks. It is the arbiter of the order, of what is in time, and of when silence means something.
//!
//! What it takes cares of before silence means anything: that the delivery is proven and everything that is disclosed was fetched,
//! that the clock did not stand still, that no timely request for more time is undecided, that the participant's node was asked for
//! what it had entered in time, and that whatever it named then is here.

mod command;
mod decide;
mod due;

pub use self::command::{Act, Command};
pub use self::due::Escalation;

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::message::{Answer, Judgement, Message, Says, Told};
use super::request::{Request, Version};
use super::state::State;
use super::terms::Terms;
use crate::calendar::HolidayTable;

/// Hours that the participant's node has to answer what it had entered in time, before a person may record the expiry without it.
pub const HOURS_TO_ANSWER: i64 = 24;

/// How it is known that a request arrived.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A guest opened it with its code.
    OpenedWithCode,
    /// A person recorded another proof, such as an acknowledgement of receipt on paper.
    Recorded,
    /// The participant's node signed that it is there.
    SignedAnswer,
}

/// What kind of party is asked: how strong a proof can be at most.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProofLevel {
    /// A guest with link and code, hosted by the requester.
    Guest,
    /// A unit of the requester's own house.
    Internal,
    /// A node of its own.
    Node,
}

/// That it arrived.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Delivery {
    /// When.
    pub delivered_at: Timestamp,
    /// How that is known.
    pub proof: Proof,
}

/// That the participant's node was asked for what it had entered before an end.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Inquiry {
    /// The end.
    pub until: Timestamp,
    /// When the question was decided.
    pub decided_at: Timestamp,
    /// When it was first attempted to reach the node with it.
    pub attempted_at: Option<Timestamp>,
    /// How many messages the node had entered, by its answer.
    pub named: Option<u32>,
}

/// A request as its requester has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Requester {
    request: Request,
    terms: Terms,
    level: ProofLevel,
    reminders: Vec<u16>,
    sent_at: Option<Timestamp>,
    delivery: Option<Delivery>,
    /// When the participant had fetched everything that is disclosed.
    fetched_at: Option<Timestamp>,
    /// Why no deadline could be computed.
    undetermined: Option<String>,
    inquiry: Option<Inquiry>,
    question_at: Option<Timestamp>,
    extension_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    round_closed_at: Option<Timestamp>,
    /// Until when of which deadline reminders were sent.
    reminded: Option<(Timestamp, Timestamp)>,
    escalated: BTreeSet<(Escalation, Timestamp)>,
}

/// What was decided: the new state, and what the participant is to be told, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Decision {
    next: Box<Requester>,
    /// To be sent after the commit.
    pub tell: Vec<Told>,
}

impl Decision {
    fn of(requester: &Requester) -> Self {
        Self {
            next: Box::new(requester.clone()),
            tell: Vec::new(),
        }
    }

    /// Takes a message of ours into account and has it sent.
    fn say(&mut self, message: Message) {
        let heard = self.next.request.participant_said();
        let fits = self.next.request.requester_says(&message);
        debug_assert!(
            fits,
            "{} does not fit {}",
            message.kind(),
            self.next.request.state().name()
        );
        self.tell.push(Told { heard, message });
    }
}

impl Requester {
    /// A request that is being prepared; `reminders` are days before the end.
    pub const fn created(terms: Terms, level: ProofLevel, reminders: Vec<u16>) -> Self {
        Self {
            request: Request::new(State::Created),
            terms,
            level,
            reminders,
            sent_at: None,
            delivery: None,
            fetched_at: None,
            undetermined: None,
            inquiry: None,
            question_at: None,
            extension_at: None,
            revoked_at: None,
            round_closed_at: None,
            reminded: None,
            escalated: BTreeSet::new(),
        }
    }

    /// What both sides know of it.
    pub const fn request(&self) -> &Request {
        &self.request
    }

    /// How it stands.
    pub const fn state(&self) -> State {
        self.request.state()
    }

    /// What it fixes.
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// How strong a proof can be; stands in every receipt.
    pub const fn level(&self) -> ProofLevel {
        self.level
    }

    /// That it arrived, as far as that is proven.
    pub const fn delivery(&self) -> Option<Delivery> {
        self.delivery
    }

    /// When everything that is disclosed had been fetched.
    pub const fn fetched_at(&self) -> Option<Timestamp> {
        self.fetched_at
    }

    /// The code of why no deadline could be computed; a person has to state one.
    pub fn undetermined(&self) -> Option<&str> {
        self.undetermined.as_deref()
    }

    /// That the participant's node was asked for what it had entered in time.
    pub const fn inquiry(&self) -> Option<Inquiry> {
        self.inquiry
    }

    /// Applies what was decided and recorded.
    pub fn apply(&mut self, decision: &Decision) {
        self.clone_from(&decision.next);
    }

    /// Takes a message of the participant: the decision to record, and the answer. Whatever is not refused is never lost: what fits
    /// no state any more is kept beside.
    pub fn receive(&self, told: &Told, now: Timestamp) -> (Decision, Answer) {
        let mut decision = Decision::of(self);
        let next = &mut decision.next;
        let message = &told.message;
        let judgement = self.judge(message);
        let says = match (next.request.participant_says(message, judgement), judgement) {
            (true, Some(judgement)) => Says::Judged(judgement),
            (true, None) => Says::Taken,
            (false, _) => Says::Refused {
                stands: next.request.state(),
            },
        };
        if says.is_taken() {
            match message {
                Message::Question => next.question_at = Some(now),
                Message::ExtensionRequest { .. } => next.extension_at = Some(now),
                Message::Request(_)
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
                | Message::Decline { .. }
                | Message::Preparing
                | Message::Statement { .. }
                | Message::WithdrawStatement { .. }
                | Message::Purged { .. }
                | Message::Void => {}
            }
        }
        let after = next.request.requester_said();
        (decision, Answer { after, says })
    }

    /// How what the participant entered is judged. Its own instant decides, so that nobody loses time because a node was down or a
    /// link was cut. That delivery was attempted is what its arrival shows.
    fn judge(&self, message: &Message) -> Option<Judgement> {
        let in_time = self.request.is_in_time(message.entered_at()?);
        match message {
            Message::Statement { entered_at, .. } => {
                let closed = self.round_closed_at.is_some_and(|closed| *entered_at >= closed);
                // What follows a statement that was taken back is no newer version: nothing else was said.
                let newer = self.request.versions().iter().any(Version::counts);
                let kept_beside = (closed && newer) || self.request.is_past_statements(in_time);
                Some(Judgement { in_time, kept_beside })
            }
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

    /// Takes the participant's answer to a message of ours.
    pub fn answered(&self, message: &Message, answer: Answer, table: &HolidayTable) -> Option<Decision> {
        match (message, answer.says) {
            (Message::Request(_), Says::Delivered { delivered_at }) => {
                let proof = match self.level {
                    ProofLevel::Guest => Proof::OpenedWithCode,
                    ProofLevel::Internal | ProofLevel::Node => Proof::SignedAnswer,
                };
                self.arrived(Delivery { delivered_at, proof }, table)
            }
            (Message::Inquire { until }, Says::Taken) => {
                let inquiry = self.inquiry.filter(|inquiry| inquiry.until == *until)?;
                let mut decision = Decision::of(self);
                decision.next.inquiry = Some(Inquiry {
                    named: Some(answer.after),
                    ..inquiry
                });
                Some(decision)
            }
            // The others were decided when they were sent.
            (
                Message::Request(_)
                | Message::Inquire { .. }
                | Message::Supplement { .. }
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
                | Message::Acknowledge
                | Message::Decline { .. }
                | Message::Preparing
                | Message::Question
                | Message::ExtensionRequest { .. }
                | Message::Statement { .. }
                | Message::WithdrawStatement { .. }
                | Message::Purged { .. }
                | Message::Void,
                Says::Taken | Says::Delivered { .. } | Says::Judged(_) | Says::Refused { .. },
            ) => None,
        }
    }

    /// It arrived: by a signed answer, or by another proof that a person recorded.
    pub fn arrived(&self, delivery: Delivery, table: &HolidayTable) -> Option<Decision> {
        if self.delivery.is_some() || !self.state().is_sent() {
            return None;
        }
        let mut decision = Decision::of(self);
        decision.next.request.arrived();
        decision.next.delivery = Some(delivery);
        decision.compute(table);
        Some(decision)
    }

    /// The participant has fetched everything that is disclosed, or has it at hand because it is hosted here.
    pub fn fetched(&self, now: Timestamp, table: &HolidayTable) -> Option<Decision> {
        if self.fetched_at.is_some() || !self.state().is_sent() {
            return None;
        }
        let mut decision = Decision::of(self);
        decision.next.fetched_at = Some(now);
        decision.compute(table);
        Some(decision)
    }

    /// It was attempted to reach the participant's node with a message, for the first time.
    pub fn attempted(&self, message: &Message, now: Timestamp) -> Option<Decision> {
        let inquiry = self.inquiry.filter(|inquiry| {
            *message == Message::Inquire { until: inquiry.until } && inquiry.attempted_at.is_none()
        })?;
        let mut decision = Decision::of(self);
        decision.next.inquiry = Some(Inquiry {
            attempted_at: Some(now),
            ..inquiry
        });
        Some(decision)
    }

    /// The round was closed: a newer version that is entered from then on is kept beside.
    pub fn round_closed(&self, now: Timestamp) -> Decision {
        let mut decision = Decision::of(self);
        decision.next.round_closed_at.get_or_insert(now);
        decision
    }

    /// The case was handed over: the last that this house says, for the other side to go on with who asks from now on.
    pub fn moved_away(&self) -> Option<Decision> {
        if !self.state().is_sent() {
            return None;
        }
        let mut decision = Decision::of(self);
        decision.say(Message::Moved);
        Some(decision)
    }

    /// When the participant had everything: the event of the deadline.
    fn complete_at(&self) -> Option<Timestamp> {
        Some(self.delivery?.delivered_at.max(self.fetched_at?))
    }

    /// Since when a person may record the expiry although the participant's node does not answer.
    fn unanswered_from(&self) -> Option<Timestamp> {
        let inquiry = self.inquiry.filter(|inquiry| inquiry.named.is_none())?;
        inquiry.attempted_at?.checked_add(HOURS_TO_ANSWER.hours()).ok()
    }
}
