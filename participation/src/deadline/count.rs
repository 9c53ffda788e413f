//! Counting: from the day of an event to the last day of a period, noting each step.

use jiff::civil::Date;
use jiff::{Span, Timestamp, ToSpan};

use super::{DeadlineError, Rule, Step, day_of, end_of};
use crate::calendar::{HolidayTable, Place};

/// Where a period ends.
pub(super) struct End {
    /// Before days off are looked at.
    pub(super) raw: Option<Date>,
    /// The last day.
    pub(super) date: Date,
    /// The instant.
    pub(super) at: Timestamp,
}

/// The end of a period that begins with an instant on a day.
pub(super) fn end(
    rule: Rule,
    instant: Timestamp,
    day: Date,
    place: &Place,
    table: &HolidayTable,
    steps: &mut Vec<Step>,
) -> Result<End, DeadlineError> {
    let (raw, date) = match rule {
        Rule::Hours { n } => {
            let at = instant
                .checked_add(i64::from(length(n)?).hours())
                .map_err(|_| DeadlineError::TooFar)?;
            steps.push(Step::Hours {
                n,
                from: instant,
                end: at,
            });
            let date = day_of(at);
            steps.push(Step::End { date, at });
            return Ok(End { raw: None, date, at });
        }
        Rule::WorkingDays { n } => (None, working_days(rule, length(n)?, day, place, table, steps)?),
        Rule::Days { n } => {
            let end = plain(rule, day, i64::from(length(n)?).days(), steps)?;
            (Some(end), moved(end, place, table, steps)?)
        }
        Rule::Weeks { n } => {
            let end = plain(rule, day, i64::from(length(n)?).weeks(), steps)?;
            (Some(end), moved(end, place, table, steps)?)
        }
        Rule::Months { n } => {
            let end = plain(rule, day, i64::from(length(n)?).months(), steps)?;
            (Some(end), moved(end, place, table, steps)?)
        }
        Rule::LaterOf { months, days } => {
            let by_months = plain(
                Rule::Months { n: months },
                day,
                i64::from(length(months)?).months(),
                steps,
            )?;
            let by_days = plain(
                Rule::Days { n: days },
                day,
                i64::from(length(days)?).days(),
                steps,
            )?;
            let end = by_months.max(by_days);
            steps.push(Step::Later {
                months: by_months,
                days: by_days,
                end,
            });
            (Some(end), moved(end, place, table, steps)?)
        }
        Rule::Until { date, stands } => {
            steps.push(Step::Set { date, stands });
            let last = match stands {
                true => date,
                false => moved(date, place, table, steps)?,
            };
            (Some(date), last)
        }
    };
    let at = end_of(date)?;
    steps.push(Step::End { date, at });
    Ok(End { raw, date, at })
}

fn length(n: u16) -> Result<u16, DeadlineError> {
    match n {
        0 => Err(DeadlineError::Empty),
        n => Ok(n),
    }
}

/// A period of the calendar.
fn plain(rule: Rule, from: Date, span: Span, steps: &mut Vec<Step>) -> Result<Date, DeadlineError> {
    // Months without that day end on their last one: so the calendar adds them.
    let end = from.checked_add(span).map_err(|_| DeadlineError::TooFar)?;
    steps.push(Step::Counted {
        rule,
        from,
        end,
        last_of_month: matches!(rule, Rule::Months { .. }) && end.day() != from.day(),
    });
    Ok(end)
}

fn working_days(
    rule: Rule,
    n: u16,
    from: Date,
    place: &Place,
    table: &HolidayTable,
    steps: &mut Vec<Step>,
) -> Result<Date, DeadlineError> {
    let (mut end, mut left, mut passed) = (from, n, Vec::new());
    while left > 0 {
        end = tomorrow(end)?;
        match table.day_off(end, place)? {
            Some(reason) => passed.push((end, reason)),
            None => left -= 1,
        }
    }
    steps.push(Step::Counted {
        rule,
        from,
        end,
        last_of_month: false,
    });
    if !passed.is_empty() {
        steps.push(Step::PassedOver { days: passed });
    }
    Ok(end)
}

/// The next working day, if the end is none (§ 193 BGB).
fn moved(
    end: Date,
    place: &Place,
    table: &HolidayTable,
    steps: &mut Vec<Step>,
) -> Result<Date, DeadlineError> {
    let mut end = end;
    while let Some(because) = table.day_off(end, place)? {
        let to = tomorrow(end)?;
        steps.push(Step::Moved {
            from: end,
            because,
            to,
        });
        end = to;
    }
    Ok(end)
}

fn tomorrow(date: Date) -> Result<Date, DeadlineError> {
    date.tomorrow().map_err(|_| DeadlineError::TooFar)
}
