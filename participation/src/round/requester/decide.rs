//! Deciding a command of the requesting side.

use jiff::Timestamp;

use super::{Command, Decision, Inquiry, Requester};
use crate::calendar::HolidayTable;
use crate::deadline::{Deadline, DeadlineError, Extension, Rule};
use crate::round::message::{Expiry, Message};
use crate::round::state::State;
use crate::round::terms::{Extendable, continued};
use crate::round::{Obstacle, Refusal};

impl Decision {
    /// Computes the deadline once everything for it is known, and tells it. What cannot be computed is left to a person.
    pub(super) fn compute(&mut self, table: &HolidayTable) {
        let wants = self.next.request.deadline().is_none()
            || self
                .next
                .request
                .standing_still()
                .is_some_and(|still| still.supplement);
        let fits =
            self.next.state().is_waiting() || matches!(self.next.state(), State::Submitted | State::Amended);
        let Some(complete_at) = self.next.complete_at().filter(|_| wants && fits) else {
            return;
        };
        match self.next.terms.deadline(complete_at, table) {
            // A period that begins anew takes nothing away from what was told before.
            Ok(Some(deadline)) => {
                let before = self
                    .next
                    .request
                    .deadline()
                    .filter(|before| before.ends_at > deadline.ends_at);
                let longest = before.cloned().unwrap_or(deadline);
                self.tell_deadline(longest);
            }
            Ok(None) => {}
            Err(error) => self.next.undetermined = Some(error.code().to_owned()),
        }
    }

    fn tell_deadline(&mut self, deadline: Deadline) {
        self.next.undetermined = None;
        self.say(Message::Deadline {
            deadline: Box::new(deadline),
        });
    }
}

impl Requester {
    /// Decides a command.
    ///
    /// # Errors
    /// What is not possible in this state, at this instant or before something else, with what is; a deadline that cannot be
    /// computed.
    pub fn decide(
        &self,
        command: Command,
        now: Timestamp,
        table: &HolidayTable,
    ) -> Result<Decision, Refusal> {
        self.fits(command.act())?;
        let mut decision = Decision::of(self);
        match command {
            Command::Send(cleared) => {
                if !cleared.is_for(&self.terms) {
                    return Err(self.blocked(&Command::Send(cleared), Obstacle::NotCleared));
                }
                decision.next.sent_at = Some(now);
                decision.next.request.handed_over();
                decision.say(Message::Request(self.terms.clone()));
            }
            Command::Drop => decision.next.request.dropped(),
            Command::Fail => decision.next.request.failed(),
            Command::Retry => decision.next.request.handed_over(),
            Command::Supplement { restarts } => {
                if restarts && self.terms.rule.is_none() {
                    return Err(self.blocked(&command, Obstacle::NoDeadline));
                }
                // What silence meant at an end that has passed stands, whether it is recorded or not.
                let over = self.request.end().is_some_and(|end| now >= end);
                if restarts && (over || !self.state().is_waiting()) {
                    return Err(self.blocked(&command, Obstacle::TimeOver));
                }
                decision.say(Message::Supplement { restarts });
                if restarts {
                    decision.next.fetched_at = None;
                }
            }
            Command::Answer => {
                decision.say(Message::Answer);
                decision.next.question_at = None;
                let clock = Message::Clock {
                    stops: false,
                    at: now,
                };
                match self.let_go_on(&mut decision, now, table, clock) {
                    // Nobody waits for an answer because of a calendar: the clock stands until its end can be computed.
                    Err(Refusal::Deadline(error)) => {
                        decision.next.undetermined = Some(error.code().to_owned());
                    }
                    other => other?,
                }
            }
            Command::DecideExtension { granted } => {
                decision.say(Message::ExtensionDecision {
                    granted: granted.is_some(),
                });
                decision.next.extension_at = None;
                if let Some(rule) = granted {
                    let deadline = self.longer(&command, rule, now, table)?;
                    decision.tell_deadline(deadline);
                }
            }
            Command::Extend(rule) => {
                let deadline = self.longer(&command, rule, now, table)?;
                decision.tell_deadline(deadline);
            }
            Command::StopClock => {
                if self.request.end().is_some_and(|end| now >= end) {
                    return Err(self.blocked(&command, Obstacle::TimeOver));
                }
                decision.say(Message::Clock { stops: true, at: now });
            }
            Command::ContinueClock => {
                self.let_go_on(
                    &mut decision,
                    now,
                    table,
                    Message::Clock {
                        stops: false,
                        at: now,
                    },
                )?;
            }
            Command::StateDeadline(end) => {
                let complete_at = self.complete_at().unwrap_or(now);
                let stated = self.terms.stated(complete_at, end, table)?;
                if let Some(before) = self
                    .request
                    .deadline()
                    .filter(|before| before.ends_at > stated.ends_at)
                {
                    return Err(Refusal::Deadline(DeadlineError::NotLonger {
                        end: stated.ends_at,
                        present: before.ends_at,
                    }));
                }
                decision.tell_deadline(stated);
            }
            Command::Remind => {
                if let Some(deadline) = self.request.deadline() {
                    decision.next.reminded = Some((deadline.ends_at, now));
                }
                decision.say(Message::Reminder);
            }
            Command::Inquire => {
                let until = self.end_passed(&command, now)?;
                if self.inquiry.is_none_or(|inquiry| inquiry.until != until) {
                    decision.next.inquiry = Some(Inquiry {
                        until,
                        decided_at: now,
                        attempted_at: None,
                        named: None,
                    });
                    decision.say(Message::Inquire { until });
                }
            }
            Command::Expire => decision.say(Message::Expired(self.expiry_of(&command, now)?)),
            Command::ExpireUnanswered => decision.say(Message::Expired(self.unanswered(&command, now)?)),
            Command::Suspend => decision.say(Message::Suspended { at: now }),
            Command::Resume => {
                self.let_go_on(&mut decision, now, table, Message::Resumed { at: now })?;
            }
            Command::Cancel if self.state() == State::Created => decision.next.request.dropped(),
            Command::Cancel => {
                decision.next.revoked_at = Some(now);
                decision.say(Message::Cancelled);
            }
            Command::Revoke => {
                decision.next.revoked_at = Some(now);
                decision.say(Message::Revoke { whole: true });
            }
            Command::RevokeFiles => decision.say(Message::Revoke { whole: false }),
            Command::Assess => {
                // What silence meant is recorded before what came after it is weighed.
                if self.request.is_silent() && self.terms.rule.is_some() {
                    return Err(self.blocked(&command, Obstacle::ExpiryFirst));
                }
                decision.say(Message::Assessed);
            }
            Command::Notify => decision.say(Message::Outcome),
            Command::Escalate(escalation) => {
                if let Some(since) = self.overdue_since(escalation) {
                    decision.next.escalated.insert((escalation, since));
                }
            }
        }
        Ok(decision)
    }

    fn blocked(&self, command: &Command, obstacle: Obstacle) -> Refusal {
        Refusal::Blocked {
            command: command.act().name(),
            obstacle,
        }
    }

    /// The end that passed. Nothing ends while the clock stands still, or where no deadline was told.
    fn end_passed(&self, command: &Command, now: Timestamp) -> Result<Timestamp, Refusal> {
        let obstacle = match self.request.deadline() {
            None if self.terms.has_effect() && self.complete_at().is_none() => Obstacle::DeliveryNotProven,
            None => Obstacle::NoDeadline,
            Some(_) => Obstacle::ClockStands,
        };
        let end = self
            .request
            .end()
            .ok_or_else(|| self.blocked(command, obstacle))?;
        if now < end {
            return Err(Refusal::TooEarly {
                command: command.act().name(),
                from: end,
            });
        }
        if self
            .request
            .extension_wanted()
            .is_some_and(|wanted| wanted.in_time)
        {
            return Err(self.blocked(command, Obstacle::ExtensionUndecided));
        }
        Ok(end)
    }

    fn expiry_of(&self, command: &Command, now: Timestamp) -> Result<Expiry, Refusal> {
        // Where no end was ever set, a person ends the waiting, and silence means nothing.
        let without_end = self.terms.rule.is_none() && self.request.standing_still().is_none();
        let ended_at = match without_end {
            true => now,
            false => self.end_passed(command, now)?,
        };
        if !self.terms.has_effect() {
            return Ok(Expiry {
                ended_at,
                effect: self.terms.effect,
                asked_at: None,
                answered: false,
                recorded_at: now,
            });
        }
        if self.complete_at().is_none() {
            return Err(self.blocked(command, Obstacle::DeliveryNotProven));
        }
        let inquiry = self
            .inquiry
            .filter(|inquiry| inquiry.until == ended_at)
            .ok_or_else(|| self.blocked(command, Obstacle::NotAsked))?;
        match inquiry.named {
            None => Err(self.blocked(command, Obstacle::NotAnswered)),
            // Something that it entered is still on its way.
            Some(named) if named > self.request.participant_said() => {
                Err(self.blocked(command, Obstacle::MessagesOnTheirWay))
            }
            Some(_) => Ok(Expiry {
                ended_at,
                effect: self.terms.effect,
                asked_at: Some(inquiry.decided_at),
                answered: true,
                recorded_at: now,
            }),
        }
    }

    fn unanswered(&self, command: &Command, now: Timestamp) -> Result<Expiry, Refusal> {
        let ended_at = self.end_passed(command, now)?;
        let inquiry = self
            .inquiry
            .filter(|inquiry| inquiry.until == ended_at)
            .ok_or_else(|| self.blocked(command, Obstacle::NotAsked))?;
        let attempted_at = inquiry
            .attempted_at
            .ok_or_else(|| self.blocked(command, Obstacle::NotAsked))?;
        match self.unanswered_from() {
            None => Err(self.blocked(command, Obstacle::Answered)),
            Some(from) if now < from => Err(Refusal::TooEarly {
                command: command.act().name(),
                from,
            }),
            Some(_) => Ok(Expiry {
                ended_at,
                effect: self.terms.effect,
                asked_at: Some(attempted_at),
                answered: false,
                recorded_at: now,
            }),
        }
    }

    fn longer(
        &self,
        command: &Command,
        rule: Rule,
        now: Timestamp,
        table: &HolidayTable,
    ) -> Result<Deadline, Refusal> {
        if self.terms.extension == Extendable::None {
            return Err(self.blocked(command, Obstacle::NotExtendable));
        }
        // An end that is told now would take the place of the one with which the period begins anew.
        if self
            .request
            .standing_still()
            .is_some_and(|still| still.supplement)
        {
            return Err(self.blocked(command, Obstacle::ClockStands));
        }
        let deadline = self
            .request
            .deadline()
            .ok_or_else(|| self.blocked(command, Obstacle::NoDeadline))?;
        let extension = Extension {
            rule,
            granted_at: now,
        };
        let longer = deadline.extended(extension, table)?;
        match longer.ends_at > now {
            true => Ok(longer),
            false => Err(self.blocked(command, Obstacle::TimeOver)),
        }
    }

    /// Says that one of the reasons for which the clock stands is gone; with the last one the deadline moves by the time it stood.
    fn let_go_on(
        &self,
        decision: &mut Decision,
        now: Timestamp,
        table: &HolidayTable,
        message: Message,
    ) -> Result<(), Refusal> {
        let Some(still) = self.request.standing_still() else {
            return Ok(());
        };
        let stood_for_it = match matches!(message, Message::Clock { .. }) {
            true => still.question,
            false => still.round,
        };
        if !stood_for_it {
            return Ok(());
        }
        let mut after = decision.next.request.clone();
        after.requester_says(&message);
        let state = after.state();
        let fits = state.is_waiting()
            || matches!(
                state,
                State::Submitted | State::Amended | State::Expired | State::Late
            );
        let moves =
            |deadline: &&Deadline| fits && after.standing_still().is_none() && still.since < deadline.ends_at;
        let moved = match self.request.deadline().filter(moves) {
            Some(deadline) => Some(continued(deadline, still.since, now, table)?),
            None => None,
        };
        decision.say(message);
        if let Some(deadline) = moved {
            decision.tell_deadline(deadline);
        }
        Ok(())
    }
}
