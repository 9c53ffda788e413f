//! What has fallen due at the requesting side: inquiry and expiry, reminders, and what somebody has to look at. Everything follows
//! from what is stored and the clock, so that a restart changes nothing; each fires once.

use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::{Command, Requester};
use crate::round::state::State;

/// What is overdue: a person is to be told.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Escalation {
    /// No deadline can be computed: somebody has to state one.
    DeadlineUndetermined,
    /// The participant does not fetch what is disclosed: its clock does not run.
    DocumentsNotFetched,
    /// A request for more time waits.
    ExtensionUndecided,
    /// The participant's node does not say what it had entered in time.
    InquiryUnanswered,
    /// Nobody there has confirmed competence.
    NotAcknowledged,
    /// It does not arrive.
    NotDelivered,
    /// What was taken back is not said to be deleted.
    PurgeMissing,
    /// A question waits.
    QuestionUnanswered,
}

impl Escalation {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::DeadlineUndetermined,
        Self::DocumentsNotFetched,
        Self::ExtensionUndecided,
        Self::InquiryUnanswered,
        Self::NotAcknowledged,
        Self::NotDelivered,
        Self::PurgeMissing,
        Self::QuestionUnanswered,
    ];

    /// Its name in interfaces.
    pub const fn name(self) -> &'static str {
        match self {
            Self::DeadlineUndetermined => "deadline_undetermined",
            Self::DocumentsNotFetched => "documents_not_fetched",
            Self::ExtensionUndecided => "extension_undecided",
            Self::InquiryUnanswered => "inquiry_unanswered",
            Self::NotAcknowledged => "not_acknowledged",
            Self::NotDelivered => "not_delivered",
            Self::PurgeMissing => "purge_missing",
            Self::QuestionUnanswered => "question_unanswered",
        }
    }

    /// Hours after which it is overdue.
    pub const fn after_hours(self) -> i64 {
        match self {
            Self::DeadlineUndetermined => 0,
            Self::NotDelivered | Self::DocumentsNotFetched | Self::InquiryUnanswered => 24,
            Self::ExtensionUndecided | Self::QuestionUnanswered => 48,
            Self::NotAcknowledged => 72,
            Self::PurgeMissing => 14 * 24,
        }
    }
}

impl Requester {
    /// What has fallen due, one after the other: what it says is to be decided, and then this is to be asked again. Nothing that a
    /// person has to decide is in it.
    pub fn due(&self, now: Timestamp) -> Option<Command> {
        self.end_due(now)
            .or_else(|| self.reminder_due(now))
            .or_else(|| self.escalation_due(now))
    }

    /// The next instant at which something may fall due; what is due now is not in it.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.request().end().filter(|_| self.request().is_silent());
        let overdue = Escalation::ALL
            .into_iter()
            .filter_map(|escalation| self.overdue_at(escalation));
        let reminders = self.reminder_instants();
        end.into_iter()
            .chain(overdue)
            .chain(reminders)
            .filter(|at| *at > now)
            .min()
    }

    fn end_due(&self, now: Timestamp) -> Option<Command> {
        let end = self.request().end().filter(|end| now >= *end)?;
        let waits_for_decision = self
            .request()
            .extension_wanted()
            .is_some_and(|wanted| wanted.in_time);
        if !self.request().is_silent() || waits_for_decision {
            return None;
        }
        if !self.terms().has_effect() {
            return Some(Command::Expire);
        }
        self.complete_at()?;
        match self.inquiry().filter(|inquiry| inquiry.until == end) {
            None => Some(Command::Inquire),
            Some(inquiry) => {
                let here = inquiry.named? <= self.request().participant_said();
                here.then_some(Command::Expire)
            }
        }
    }

    /// Instants of reminders before the end in force.
    fn reminder_instants(&self) -> Vec<Timestamp> {
        let Some(end) = self.request().end().filter(|_| self.state().is_waiting()) else {
            return Vec::new();
        };
        let before = |days: &u16| end.checked_sub((i64::from(*days) * 24).hours()).ok();
        self.reminders.iter().filter_map(before).collect()
    }

    /// One reminder for all instants that have passed: who was down does not send them in a row.
    fn reminder_due(&self, now: Timestamp) -> Option<Command> {
        let end = self.request().end().filter(|end| now < *end)?;
        let last = self
            .reminder_instants()
            .into_iter()
            .filter(|at| {
                *at <= now
                    && self
                        .delivery()
                        .is_some_and(|delivery| *at > delivery.delivered_at)
            })
            .max()?;
        let sent = self
            .reminded
            .is_some_and(|(of, until)| of == end && until >= last);
        (!sent).then_some(Command::Remind)
    }

    fn escalation_due(&self, now: Timestamp) -> Option<Command> {
        Escalation::ALL
            .into_iter()
            .find(|escalation| self.overdue_at(*escalation).is_some_and(|at| at <= now))
            .map(Command::Escalate)
    }

    fn overdue_at(&self, escalation: Escalation) -> Option<Timestamp> {
        let since = self.overdue_since(escalation)?;
        match self.escalated.contains(&(escalation, since)) {
            true => None,
            false => since.checked_add(escalation.after_hours().hours()).ok(),
        }
    }

    /// Since when somebody waits for it.
    pub(super) fn overdue_since(&self, escalation: Escalation) -> Option<Timestamp> {
        let (state, request) = (self.state(), self.request());
        let delivered_at = self.delivery().map(|delivery| delivery.delivered_at);
        match escalation {
            Escalation::DeadlineUndetermined => self
                .undetermined()
                .filter(|_| state.is_waiting())
                .and_then(|_| self.complete_at()),
            Escalation::DocumentsNotFetched => {
                delivered_at.filter(|_| self.fetched_at().is_none() && state.is_waiting())
            }
            Escalation::ExtensionUndecided => {
                self.extension_at.filter(|_| request.extension_wanted().is_some())
            }
            Escalation::InquiryUnanswered => self
                .inquiry()
                .filter(|inquiry| inquiry.named.is_none() && request.is_silent())
                .map(|inquiry| inquiry.decided_at),
            Escalation::NotAcknowledged => delivered_at.filter(|_| state == State::Delivered),
            Escalation::NotDelivered => self
                .sent_at
                .filter(|_| matches!(state, State::Sent | State::Failed)),
            Escalation::PurgeMissing => self.revoked_at.filter(|_| state == State::Revoked),
            Escalation::QuestionUnanswered => self.question_at.filter(|_| request.question_open()),
        }
    }
}
