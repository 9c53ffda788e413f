//! What time does to a request: its deadline, its clock that stands still, and its expiry.

use jiff::Timestamp;

use super::{Request, StandingStill, Version};
use crate::deadline::Deadline;
use crate::round::message::Expiry;
use crate::round::state::State;

impl Request {
    pub(super) fn expire(&mut self, expiry: Expiry) -> bool {
        let silent = self.is_silent();
        if silent {
            match self.state == State::Late {
                true => self.before_expiry = Some(State::Withdrawn),
                false => (self.before_expiry, self.state) = (Some(self.state), State::Expired),
            }
            self.expiry = Some(expiry);
        }
        silent
    }

    /// What is recorded of silence does not hold.
    pub(super) fn forget_expiry(&mut self) {
        let before = self.before_expiry.take();
        if self.expiry.take().is_some()
            && self.state == State::Expired
            && let Some(before) = before
        {
            self.state = before;
        }
    }

    /// A new deadline: what came before its end is in time, and an expiry at an earlier one does not hold.
    pub(super) fn take_deadline(&mut self, deadline: &Deadline) -> bool {
        let fits = self.state.is_waiting()
            || matches!(
                self.state,
                State::Submitted | State::Amended | State::Expired | State::Late
            );
        if !fits {
            return false;
        }
        self.deadline = Some(deadline.clone());
        self.go_on(|still| still.supplement = false);
        if self
            .expiry
            .is_some_and(|expiry| expiry.ended_at < deadline.ends_at)
        {
            self.forget_expiry();
        }
        for version in &mut self.versions {
            version.judgement.in_time |= version.entered_at < deadline.ends_at;
        }
        if let Some(wanted) = &mut self.extension_wanted {
            wanted.in_time |= wanted.entered_at < deadline.ends_at;
        }
        let in_time = |version: &Version| version.judgement.in_time && version.withdrawn_at.is_none();
        if self.state == State::Late && self.versions.iter().any(in_time) {
            self.state = State::Submitted;
        }
        true
    }

    pub(super) fn stand_still(&mut self, why: impl Fn(&mut StandingStill), at: Option<Timestamp>) -> bool {
        if !self.state.is_sent() || matches!(self.state, State::Revoked | State::Purged) {
            return false;
        }
        let since = at.or_else(|| self.deadline.as_ref().map(|deadline| deadline.trigger));
        let still = self.standing_still.get_or_insert(StandingStill {
            since: since.unwrap_or(Timestamp::MIN),
            question: false,
            round: false,
            supplement: false,
        });
        let before = *still;
        why(still);
        *still != before
    }

    pub(super) fn go_on(&mut self, why: impl Fn(&mut StandingStill)) -> bool {
        let Some(still) = &mut self.standing_still else {
            return false;
        };
        let before = *still;
        why(still);
        let changed = *still != before;
        if !(still.question || still.round || still.supplement) {
            self.standing_still = None;
        }
        changed
    }
}
