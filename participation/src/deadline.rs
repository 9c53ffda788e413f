//! Deadlines (Fristen): from a rule, an event and a place to the instant at which they end, with every step of the computation, so
//! that people can follow it (§ 31 VwVfG with §§ 187 to 193 BGB; Land law has the same content).
//!
//! The day of the event is not counted. A period that ends on a Saturday, a Sunday or a public holiday ends with the next working
//! day; one in hours runs through all of them. A day ends at 24:00 in Germany. Instants are kept in UTC, and the zone beside them.

mod count;
#[cfg(test)]
mod tests;
mod words;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use crate::calendar::{CalendarError, DayOff, HolidayTable, Place};

/// The zone in which days begin and end.
pub const ZONE: &str = "Europe/Berlin";

pub(crate) fn zone() -> TimeZone {
    jiff::tz::get!("Europe/Berlin")
}

/// How long a deadline is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Rule {
    /// Calendar days.
    Days {
        /// How many.
        n: u16,
    },
    /// Days that are neither Saturday, Sunday nor holiday.
    WorkingDays {
        /// How many.
        n: u16,
    },
    /// Weeks: ends on the weekday of the event.
    Weeks {
        /// How many.
        n: u16,
    },
    /// Months: ends on the day with the same number, or the last one of a month that has none (§ 188 Abs. 2, 3 BGB).
    Months {
        /// How many.
        n: u16,
    },
    /// Hours from the event; weekends and holidays count.
    Hours {
        /// How many.
        n: u16,
    },
    /// So many months, and never less than so many days (§ 4 Abs. 2 BauGB).
    LaterOf {
        /// How many months.
        months: u16,
        /// How many days.
        days: u16,
    },
    /// A date that was set.
    Until {
        /// The last day.
        date: Date,
        /// Whether it was told as the end with reference to the rule, so that it stands on a day off too (§ 31 Abs. 3 VwVfG).
        #[serde(default)]
        stands: bool,
    },
}

/// More time, granted by whoever set the deadline.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Extension {
    /// Until a date, or by a period that begins when the one before ends (§ 190 BGB).
    pub rule: Rule,
    /// When it was granted; also after the end, if that is fair (§ 31 Abs. 7 VwVfG).
    pub granted_at: Timestamp,
}

/// One step of a computation; in words by [`Deadline::in_words`].
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "step")]
pub enum Step {
    /// The day of the event, which is not counted (§ 187 Abs. 1 BGB).
    Event {
        /// That day.
        date: Date,
    },
    /// A period was counted.
    Counted {
        /// Which.
        rule: Rule,
        /// From which day, not counted.
        from: Date,
        /// Its last day.
        end: Date,
        /// Whether the month has no day of that number, so that its last one counts.
        #[serde(default)]
        last_of_month: bool,
    },
    /// Days that were passed over while working days were counted.
    PassedOver {
        /// Each with its reason.
        days: Vec<(Date, DayOff)>,
    },
    /// Hours were counted.
    Hours {
        /// How many.
        n: u16,
        /// From.
        from: Timestamp,
        /// To.
        end: Timestamp,
    },
    /// The later of two ends counts.
    Later {
        /// The end by months.
        months: Date,
        /// The end by days.
        days: Date,
        /// Which counts.
        end: Date,
    },
    /// A date was set.
    Set {
        /// The date.
        date: Date,
        /// Whether it stands whatever day it is.
        stands: bool,
    },
    /// The end fell on a day off and moves to the next day.
    Moved {
        /// From this day.
        from: Date,
        /// Why.
        because: DayOff,
        /// To this one, which may be a day off in turn.
        to: Date,
    },
    /// More time was granted.
    Extended {
        /// When.
        granted_at: Timestamp,
        /// The last day before that.
        from: Date,
    },
    /// The end.
    End {
        /// The last day.
        date: Date,
        /// The instant: the deadline is missed from it on.
        at: Timestamp,
    },
}

/// A computed deadline. It travels as it is: who gets it need not compute anything to know when it ends.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Deadline {
    /// How long it is.
    pub rule: Rule,
    /// The event that it runs from, such as a proven delivery.
    pub trigger: Timestamp,
    /// Whose holidays count.
    pub place: Place,
    /// The zone in which days end; always [`ZONE`].
    pub zone: String,
    /// The version of the table of holidays.
    pub holidays: String,
    /// The last day before days off are looked at; nothing for working days and hours.
    pub raw_end: Option<Date>,
    /// The last day, extensions included.
    pub effective_end: Date,
    /// The instant at which it has ended.
    pub ends_at: Timestamp,
    /// Extensions in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<Extension>,
    /// How it was computed.
    pub steps: Vec<Step>,
}

/// Why there is no deadline.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DeadlineError {
    /// The holidays are not known.
    #[error(transparent)]
    Calendar(#[from] CalendarError),
    /// A period of no length.
    #[error("a period of no days, weeks, months or hours is none; state at least one")]
    Empty,
    /// An end that is not after what it is to follow.
    #[error("a deadline until {end} ends before it begins on {begin}; state a later date")]
    BeforeBegin {
        /// The date that was set.
        end: Date,
        /// The day of the event.
        begin: Date,
    },
    /// An extension that does not extend.
    #[error("an extension to {end} gives no more time than there is until {present}; state a later date")]
    NotLonger {
        /// The end that it would have.
        end: Timestamp,
        /// The end that it has.
        present: Timestamp,
    },
    /// Beyond every calendar.
    #[error("the period ends beyond every calendar; state a shorter one")]
    TooFar,
}

impl DeadlineError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Calendar(error) => error.code(),
            Self::Empty => "period_empty",
            Self::BeforeBegin { .. } => "deadline_before_trigger",
            Self::NotLonger { .. } => "extension_not_longer",
            Self::TooFar => "deadline_too_far",
        }
    }
}

impl Deadline {
    /// Computes it.
    ///
    /// # Errors
    /// A period of no length; an end before the event; days outside the table (`calendar_unknown`), never a guess.
    pub fn compute(
        rule: Rule,
        trigger: Timestamp,
        place: &Place,
        table: &HolidayTable,
    ) -> Result<Self, DeadlineError> {
        let date = day_of(trigger);
        if let Rule::Until { date: end, .. } = rule
            && end < date
        {
            return Err(DeadlineError::BeforeBegin { end, begin: date });
        }
        let mut steps = vec![Step::Event { date }];
        let found = count::end(rule, trigger, date, place, table, &mut steps)?;
        Ok(Self {
            rule,
            trigger,
            place: place.clone(),
            zone: ZONE.to_owned(),
            holidays: table.version().to_owned(),
            raw_end: found.raw,
            effective_end: found.date,
            ends_at: found.at,
            extensions: Vec::new(),
            steps,
        })
    }

    /// The same with more time. A period begins when the one before ends (§ 190 BGB).
    ///
    /// # Errors
    /// As [`Self::compute`]; an end that is not later than the present one.
    pub fn extended(&self, extension: Extension, table: &HolidayTable) -> Result<Self, DeadlineError> {
        let from = self.effective_end;
        let mut steps = self.steps.clone();
        steps.push(Step::Extended {
            granted_at: extension.granted_at,
            from,
        });
        let found = count::end(extension.rule, self.ends_at, from, &self.place, table, &mut steps)?;
        if found.at <= self.ends_at {
            return Err(DeadlineError::NotLonger {
                end: found.at,
                present: self.ends_at,
            });
        }
        let mut extensions = self.extensions.clone();
        extensions.push(extension);
        Ok(Self {
            holidays: table.version().to_owned(),
            effective_end: found.date,
            ends_at: found.at,
            extensions,
            steps,
            ..self.clone()
        })
    }

    /// Whether it has ended.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.ends_at
    }
}

/// The day in Germany on which an instant lies.
pub fn day_of(instant: Timestamp) -> Date {
    instant.to_zoned_datetime(zone()).date()
}

/// The instant at which a day in Germany ends: 24:00.
///
/// # Errors
/// A day beyond every calendar.
pub fn end_of(date: Date) -> Result<Timestamp, DeadlineError> {
    date.checked_add(1.day())
        .and_then(|next| next.to_zoned_datetime(zone()))
        .map(|zoned| zoned.timestamp())
        .map_err(|_| DeadlineError::TooFar)
}
