//! When a deadline can end: exactly where it is one of hours, and within bounds where days off move its end, which are not known here.

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde_json::Value;

use super::facts::instant;

/// How far days off move an end at most; no row of them is longer.
const MOVES_AT_MOST: SignedDuration = SignedDuration::from_hours(24 * 12);

fn zone() -> TimeZone {
    jiff::tz::get!("Europe/Berlin")
}

/// The last day of which this is the end, or in which it lies.
fn last_day(at: Timestamp) -> Date {
    let before = at - SignedDuration::from_nanos(1);
    before.to_zoned_datetime(zone()).date()
}

fn end_of(day: Date) -> Option<Timestamp> {
    let next = day.checked_add(1.day()).ok()?;
    Some(next.to_zoned_datetime(zone()).ok()?.timestamp())
}

/// The earliest end of a period that begins at an instant of a day, and whether it is the only one.
fn earliest(rule: &Value, from: Timestamp, day: Date) -> Option<(Timestamp, bool)> {
    let n = |name: &str| rule[name].as_i64();
    let days = |n: i64| day.checked_add(n.days()).ok();
    let months = |n: i64| day.checked_add(n.months()).ok();
    let last = match rule["kind"].as_str()? {
        "hours" => return Some((from.checked_add(n("n")?.hours()).ok()?, true)),
        // Days off are not counted.
        "days" | "working_days" => days(n("n")?)?,
        "weeks" => days(n("n")? * 7)?,
        "months" => months(n("n")?)?,
        "later_of" => months(n("months")?)?.max(days(n("days")?)?),
        "until" => rule["date"].as_str()?.parse().ok()?,
        _ => return None,
    };
    Some((end_of(last)?, false))
}

/// Whether a deadline can end when it says that it ends.
pub(crate) fn can_end(deadline: &Value) -> bool {
    let bounds = || {
        let trigger = instant(&deadline["trigger"])?;
        let day = trigger.to_zoned_datetime(zone()).date();
        let (mut end, mut exact) = earliest(&deadline["rule"], trigger, day)?;
        let mut slack = i32::from(!exact);
        for extension in deadline["extensions"].as_array().into_iter().flatten() {
            let (next, exactly) = earliest(&extension["rule"], end, last_day(end))?;
            (end, exact, slack) = (next, exact && exactly, slack + 1);
        }
        Some((end, exact, slack))
    };
    let (Some((earliest, exact, slack)), Some(ends_at)) = (bounds(), instant(&deadline["ends_at"])) else {
        return false;
    };
    if exact {
        return ends_at == earliest;
    }
    let working_days = deadline.to_string().contains("working_days");
    // Weekends double nothing: seven days hold at least one that counts.
    let latest = match working_days {
        true => earliest + (earliest.duration_since(instant(&deadline["trigger"]).unwrap_or(earliest)) * 7),
        false => earliest,
    };
    let stands = deadline["rule"]["stands"] == true || deadline["extensions"].as_array().is_some();
    let day = last_day(ends_at);
    let weekend = matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    ends_at >= earliest && ends_at <= latest + MOVES_AT_MOST * slack && (stands || !weekend)
}
