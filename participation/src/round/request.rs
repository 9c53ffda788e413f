//! A request as both sides and every auditor have it: what follows from its messages and answers, taken one after the other in the
//! requester's order, and nothing else.
//!
//! Owns which message fits which state. Who may decide one, and when, is for the two sides; here is only what it means.

mod time;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::message::{Expiry, Judgement, Kind, Message};
use super::state::State;
use crate::deadline::Deadline;

/// A request, as far as both sides know it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Request {
    state: State,
    /// What an expiry returns to if it does not hold.
    before_expiry: Option<State>,
    deadline: Option<Deadline>,
    standing_still: Option<StandingStill>,
    question_open: bool,
    extension_wanted: Option<ExtensionWanted>,
    versions: Vec<Version>,
    expiry: Option<Expiry>,
    /// Messages of the requester that are taken into account.
    requester_said: u32,
    /// Messages of the participant that are.
    participant_said: u32,
}

/// That the clock stands still.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct StandingStill {
    /// Since when, without a break.
    pub since: Timestamp,
    /// For a question.
    pub question: bool,
    /// Because the round is suspended.
    pub round: bool,
    /// Until a supplement is there, with which the period begins anew.
    pub supplement: bool,
}

/// A request for more time that is not decided.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ExtensionWanted {
    /// Until when.
    pub until: Date,
    /// When it was entered.
    pub entered_at: Timestamp,
    /// Whether that was before the end.
    pub in_time: bool,
}

/// A version of the statement. None is ever taken away.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Version {
    /// What it says.
    pub kind: Kind,
    /// When it was entered.
    pub entered_at: Timestamp,
    /// How it was judged.
    #[serde(flatten)]
    pub judgement: Judgement,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn_at: Option<Timestamp>,
}

impl Version {
    /// Whether it was neither kept beside nor taken back.
    pub const fn counts(&self) -> bool {
        !self.judgement.kept_beside && self.withdrawn_at.is_none()
    }
}

impl Request {
    pub(super) const fn new(state: State) -> Self {
        Self {
            state,
            before_expiry: None,
            deadline: None,
            standing_still: None,
            question_open: false,
            extension_wanted: None,
            versions: Vec::new(),
            expiry: None,
            requester_said: 0,
            participant_said: 0,
        }
    }

    /// How it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The deadline in force, extensions included; nothing before it is computed, or if there is none.
    pub const fn deadline(&self) -> Option<&Deadline> {
        self.deadline.as_ref()
    }

    /// Whether, since when and for what the clock stands still.
    pub const fn standing_still(&self) -> Option<StandingStill> {
        self.standing_still
    }

    /// Whether the participant waits for an answer to a question.
    pub const fn question_open(&self) -> bool {
        self.question_open
    }

    /// The request for more time that is not decided.
    pub const fn extension_wanted(&self) -> Option<ExtensionWanted> {
        self.extension_wanted
    }

    /// All versions of the statement, in order.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// What is recorded of silence, if it still holds.
    pub const fn expiry(&self) -> Option<Expiry> {
        self.expiry
    }

    /// How many messages of the requester stand behind this.
    pub const fn requester_said(&self) -> u32 {
        self.requester_said
    }

    /// How many messages of the participant do.
    pub const fn participant_said(&self) -> u32 {
        self.participant_said
    }

    /// The instant at which the time is over; nothing while there is no deadline or its clock stands still.
    pub fn end(&self) -> Option<Timestamp> {
        let end = self.deadline.as_ref()?.ends_at;
        match self.standing_still {
            Some(still) if still.since < end => None,
            Some(_) | None => Some(end),
        }
    }

    /// Whether something that was entered then is in time. Where no time is over, everything is.
    pub fn is_in_time(&self, entered_at: Timestamp) -> bool {
        self.end().is_none_or(|end| entered_at < end)
    }

    /// Whether nothing stands that was said before the end, and that is not recorded: a statement that came late does not change
    /// what silence meant at the end, and one that was taken back early is none.
    pub fn is_silent(&self) -> bool {
        let end = self.end();
        let stands = |version: &Version| {
            version.judgement.in_time
                && version
                    .withdrawn_at
                    .is_none_or(|at| end.is_some_and(|end| at >= end))
        };
        (self.state.is_waiting() || self.state == State::Late)
            && self.expiry.is_none()
            && !self.versions.iter().any(stands)
    }

    pub(super) const fn handed_over(&mut self) {
        self.state = State::Sent;
    }

    pub(super) const fn dropped(&mut self) {
        self.state = State::Dropped;
    }

    pub(super) const fn failed(&mut self) {
        self.state = State::Failed;
    }

    /// It arrived, whatever was known of that.
    pub(super) fn arrived(&mut self) {
        match self.state {
            State::Sent | State::Failed => self.state = State::Delivered,
            State::Created
            | State::Dropped
            | State::Delivered
            | State::Acknowledged
            | State::Declined
            | State::InPreparation
            | State::Submitted
            | State::Amended
            | State::Withdrawn
            | State::Expired
            | State::Late
            | State::Revoked
            | State::Purged
            | State::Assessed
            | State::Notified => {}
        }
    }

    /// Takes a message of the requester into account. Says whether it fits; nothing is changed but the number if it does not.
    pub fn requester_says(&mut self, message: &Message) -> bool {
        self.requester_said += 1;
        match message {
            Message::Request(_) => self.requester_said == 1,
            Message::Supplement { restarts: false } | Message::Reminder | Message::Inquire { .. } => {
                self.state.is_sent()
            }
            Message::Supplement { restarts: true } => {
                self.stand_still(|still| still.supplement = true, None);
                self.state.is_sent()
            }
            Message::Answer => std::mem::take(&mut self.question_open),
            Message::ExtensionDecision { .. } => self.extension_wanted.take().is_some(),
            Message::Clock { stops: true, at } => self.stand_still(|still| still.question = true, Some(*at)),
            Message::Clock { stops: false, .. } => self.go_on(|still| still.question = false),
            Message::Suspended { at } => self.stand_still(|still| still.round = true, Some(*at)),
            Message::Resumed { .. } => self.go_on(|still| still.round = false),
            Message::Deadline { deadline } => self.take_deadline(deadline),
            Message::Expired(expiry) => self.expire(*expiry),
            Message::Cancelled | Message::Revoke { whole: true } => {
                let open = self.state.is_sent() && !matches!(self.state, State::Revoked | State::Purged);
                if open {
                    self.state = State::Revoked;
                }
                open
            }
            Message::Revoke { whole: false } => {
                self.state.is_sent() && !matches!(self.state, State::Revoked | State::Purged)
            }
            Message::Assessed => match self.state {
                State::Submitted | State::Amended | State::Withdrawn | State::Late => {
                    self.state = State::Assessed;
                    true
                }
                State::Created
                | State::Dropped
                | State::Sent
                | State::Failed
                | State::Delivered
                | State::Acknowledged
                | State::Declined
                | State::InPreparation
                | State::Expired
                | State::Revoked
                | State::Purged
                | State::Assessed
                | State::Notified => false,
            },
            Message::Outcome => {
                let fits = matches!(self.state, State::Assessed | State::Expired);
                if fits {
                    self.state = State::Notified;
                }
                fits
            }
            Message::Moved => self.state.is_sent(),
            Message::Void => true,
            Message::Acknowledge
            | Message::Decline { .. }
            | Message::Preparing
            | Message::Question
            | Message::ExtensionRequest { .. }
            | Message::Statement { .. }
            | Message::WithdrawStatement { .. }
            | Message::Purged { .. } => false,
        }
    }

    /// Takes a message of the participant into account, as it was judged. Says whether it fits; nothing is changed but the number
    /// if it does not.
    pub fn participant_says(&mut self, message: &Message, judgement: Option<Judgement>) -> bool {
        self.participant_said += 1;
        // Whoever says something about a request has it.
        self.arrived();
        let in_time = judgement.is_some_and(|judgement| judgement.in_time);
        match message {
            Message::Acknowledge => self.progress(State::Delivered, State::Acknowledged),
            Message::Preparing => {
                self.progress(State::Delivered, State::InPreparation)
                    || self.progress(State::Acknowledged, State::InPreparation)
            }
            Message::Decline { .. } => {
                // One that crossed the record of an expiry counts; one that crossed a revocation does not undo that.
                let revoked = matches!(self.state, State::Revoked | State::Purged);
                let fits = in_time && !revoked && (self.state.is_waiting() || self.expiry.is_some());
                if fits {
                    self.forget_expiry();
                    self.state = State::Declined;
                }
                fits
            }
            Message::Question => {
                let fits = (self.state.is_waiting() || self.state == State::Expired) && !self.question_open;
                self.question_open |= fits;
                fits
            }
            Message::ExtensionRequest { until, entered_at } => {
                let fits = (self.state.is_waiting() || self.state == State::Expired)
                    && self.extension_wanted.is_none();
                if fits {
                    self.extension_wanted = Some(ExtensionWanted {
                        until: *until,
                        entered_at: *entered_at,
                        in_time,
                    });
                    if in_time {
                        self.forget_expiry();
                    }
                }
                fits
            }
            Message::Statement {
                version,
                statement,
                entered_at,
            } => match judgement {
                Some(judgement) if usize::try_from(*version) == Ok(self.versions.len() + 1) => {
                    self.versions.push(Version {
                        kind: *statement,
                        entered_at: *entered_at,
                        judgement,
                        withdrawn_at: None,
                    });
                    if !judgement.kept_beside {
                        self.state = self.after_statement(in_time);
                    }
                    true
                }
                Some(_) | None => false,
            },
            Message::WithdrawStatement { entered_at } => self.withdraw(*entered_at),
            Message::Purged { whole, complete } => {
                if *whole && *complete && self.state == State::Revoked {
                    self.state = State::Purged;
                }
                self.state.is_sent()
            }
            Message::Void => true,
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
            | Message::Moved => false,
        }
    }

    /// Whether a statement in this state changes nothing by itself: the request ended in another way, or the matter was decided. One
    /// that was in time although silence was recorded always counts.
    pub(super) const fn is_past_statements(&self, in_time: bool) -> bool {
        match self.state {
            State::Assessed | State::Notified => !(in_time && self.expiry.is_some()),
            State::Created | State::Dropped | State::Declined | State::Revoked | State::Purged => true,
            State::Sent
            | State::Failed
            | State::Delivered
            | State::Acknowledged
            | State::InPreparation
            | State::Submitted
            | State::Amended
            | State::Withdrawn
            | State::Expired
            | State::Late => false,
        }
    }

    fn after_statement(&mut self, in_time: bool) -> State {
        match (self.state, in_time) {
            (State::Submitted | State::Amended, _) => State::Amended,
            (
                State::Created
                | State::Dropped
                | State::Sent
                | State::Failed
                | State::Delivered
                | State::Acknowledged
                | State::Declined
                | State::InPreparation
                | State::Withdrawn
                | State::Expired
                | State::Late
                | State::Revoked
                | State::Purged
                | State::Assessed
                | State::Notified,
                true,
            ) => {
                self.forget_expiry();
                State::Submitted
            }
            (
                State::Created
                | State::Dropped
                | State::Sent
                | State::Failed
                | State::Delivered
                | State::Acknowledged
                | State::Declined
                | State::InPreparation
                | State::Withdrawn
                | State::Expired
                | State::Late
                | State::Revoked
                | State::Purged
                | State::Assessed
                | State::Notified,
                false,
            ) => State::Late,
        }
    }

    fn withdraw(&mut self, at: Timestamp) -> bool {
        let fits = matches!(self.state, State::Submitted | State::Amended | State::Late);
        if fits {
            for version in &mut self.versions {
                version.withdrawn_at.get_or_insert(at);
            }
            self.state = match self.expiry {
                // It had come late: what silence meant stands. If that falls, it was taken back all the same.
                Some(_) => {
                    self.before_expiry = Some(State::Withdrawn);
                    State::Expired
                }
                None => State::Withdrawn,
            };
        }
        fits
    }

    /// A step of the participant's work; after an expiry it is noted for the case that the expiry does not hold.
    fn progress(&mut self, from: State, to: State) -> bool {
        if self.state == from {
            self.state = to;
            return true;
        }
        let noted = self.state == State::Expired && self.before_expiry == Some(from);
        if noted {
            self.before_expiry = Some(to);
        }
        noted
    }
}
