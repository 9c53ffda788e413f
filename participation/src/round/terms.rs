//! What a request fixes about its clock, and the deadline that is in force: from the rule and the delivery, with extensions and
//! after the clock stood still.
//!
//! The request carries the rule; the requester computes when the participant has what it needs, and again after every change, with
//! the holidays of its own seat. Outside the table of holidays there is no deadline (`calendar_unknown`) until a person states a
//! date; nothing is guessed, and where there is no deadline silence has no effect.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::calendar::{HolidayTable, Place};
use crate::deadline::{Deadline, DeadlineError, Extension, Rule, day_of, end_of};
use crate::transfer::offer::SilenceEffect;

/// Whether a participant can be given more time.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Extendable {
    /// As it is asked for.
    Free,
    /// For an important reason.
    ForReason,
    /// Not at all.
    None,
}

impl Extendable {
    /// Its name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::ForReason => "for_reason",
            Self::None => "none",
        }
    }
}

/// What a request fixes for both sides.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Terms {
    /// How long the participant has; nothing: without an end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<Rule>,
    /// The longest that the law allows, where the rule was set by the authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Rule>,
    /// The day from whose end on the period runs, if that is later than the delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_from: Option<Date>,
    /// The requester's seat, whose holidays count.
    pub place: Place,
    /// What silence means.
    pub effect: SilenceEffect,
    /// Whether more time can be had.
    pub extension: Extendable,
}

impl Terms {
    /// Whether silence means something.
    pub const fn has_effect(&self) -> bool {
        match self.effect {
            SilenceEffect::None => false,
            SilenceEffect::MayBeDisregarded
            | SilenceEffect::AssumeNoObjection
            | SilenceEffect::ConsentDeemedGiven => true,
        }
    }

    /// The deadline of a participant who has had everything since that instant; nothing if there is none. Of a rule that was set
    /// and the longest one that the law allows, the earlier end counts.
    ///
    /// # Errors
    /// As [`Deadline::compute`]: `calendar_unknown` above all.
    pub fn deadline(
        &self,
        complete_at: Timestamp,
        table: &HolidayTable,
    ) -> Result<Option<Deadline>, DeadlineError> {
        let Some(rule) = self.rule else {
            return Ok(None);
        };
        let trigger = self.trigger(complete_at)?;
        let wanted = Deadline::compute(rule, trigger, &self.place, table)?;
        let Some(at_most) = self.at_most else {
            return Ok(Some(wanted));
        };
        let longest = Deadline::compute(at_most, trigger, &self.place, table)?;
        Ok(Some(match longest.ends_at < wanted.ends_at {
            true => longest,
            false => wanted,
        }))
    }

    /// The deadline with an end that a person states, where none can be computed.
    ///
    /// # Errors
    /// A date before the event.
    pub fn stated(
        &self,
        complete_at: Timestamp,
        end: Date,
        table: &HolidayTable,
    ) -> Result<Deadline, DeadlineError> {
        let rule = Rule::Until {
            date: end,
            stands: true,
        };
        Deadline::compute(rule, self.trigger(complete_at)?, &self.place, table)
    }

    fn trigger(&self, complete_at: Timestamp) -> Result<Timestamp, DeadlineError> {
        match self.runs_from {
            // Its last instant: the day of it is not counted, like that of any event.
            Some(day) if day > day_of(complete_at) => Ok(end_of(day)? - jiff::SignedDuration::from_nanos(1)),
            Some(_) | None => Ok(complete_at),
        }
    }
}

/// The deadline after its clock stood still: every day on which it stood for a part of the day is added (as § 209 BGB has it), and
/// in a period of hours every hour that was begun.
///
/// # Errors
/// As [`Deadline::extended`].
pub fn continued(
    deadline: &Deadline,
    since: Timestamp,
    until: Timestamp,
    table: &HolidayTable,
) -> Result<Deadline, DeadlineError> {
    let since = since.max(deadline.trigger);
    if until <= since {
        return Ok(deadline.clone());
    }
    let too_far = |_| DeadlineError::TooFar;
    let rule = match deadline.rule {
        Rule::Hours { .. } => {
            let seconds = until.duration_since(since).as_secs();
            let hours = u16::try_from(seconds / 3600 + 1).map_err(too_far)?;
            Rule::Hours { n: hours }
        }
        Rule::Days { .. }
        | Rule::WorkingDays { .. }
        | Rule::Weeks { .. }
        | Rule::Months { .. }
        | Rule::LaterOf { .. }
        | Rule::Until { .. } => {
            let between = day_of(until).duration_since(day_of(since)).as_hours() / 24;
            let days = u16::try_from(between + 1).map_err(too_far)?;
            Rule::Days { n: days }
        }
    };
    let pause = Extension {
        rule,
        granted_at: until,
    };
    deadline.extended(pause, table)
}
