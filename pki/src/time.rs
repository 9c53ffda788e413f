//! An instant as a value: milliseconds since 1970-01-01T00:00:00Z.
//!
//! Owns conversion to and from the text forms of RFC 3339. Refuses to know what time it is: that is the caller's
//! clock.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

const MILLIS_PER_DAY: i64 = 86_400_000;

/// Milliseconds since the Unix epoch, without leap seconds; negative before 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UnixTime(i64);

/// The text is no RFC 3339 instant between the years 0000 and 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an instant such as 2026-01-31T12:00:00Z")]
pub struct InvalidTime;

impl UnixTime {
    /// The instant `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// The instant `secs` seconds after the epoch; saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Time passed since `earlier`, zero if that lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads an RFC 3339 instant (`2026-01-31T12:00:00.5+01:00`); digits beyond milliseconds are cut off, a leap
    /// second counts as the first second of the next minute.
    pub fn parse_rfc3339(text: &str) -> Result<Self, InvalidTime> {
        let bytes = text.as_bytes();
        let fixed = bytes.get(..19).ok_or(InvalidTime)?;
        let punctuation = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
        if punctuation.iter().any(|&(at, mark)| fixed[at] != mark) || !matches!(fixed[10], b'T' | b't' | b' ')
        {
            return Err(InvalidTime);
        }
        let civil = Civil {
            year: digits(&fixed[0..4])?,
            month: digits(&fixed[5..7])?,
            day: digits(&fixed[8..10])?,
            hour: digits(&fixed[11..13])?,
            minute: digits(&fixed[14..16])?,
            second: digits(&fixed[17..19])?,
        };
        let mut rest = &bytes[19..];
        let mut millis = 0;
        if let Some(fraction) = rest.strip_prefix(b".") {
            let len = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
            millis = fraction_millis(&fraction[..len])?;
            rest = &fraction[len..];
        }
        let offset_minutes = match rest {
            b"Z" | b"z" => 0,
            &[sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
                let (hours, minutes) = (digits(&[h1, h2])?, digits(&[m1, m2])?);
                if hours > 23 || minutes > 59 {
                    return Err(InvalidTime);
                }
                let ahead = hours * 60 + minutes;
                if sign == b'+' { ahead } else { -ahead }
            }
            _ => return Err(InvalidTime),
        };
        let local = civil.to_unix()?;
        Ok(Self(local.0 + millis - offset_minutes * 60_000))
    }

    /// The form `2026-01-31T12:00:00.000Z`; years outside 0000 to 9999 are shown as the nearest of these.
    pub fn to_rfc3339(self) -> String {
        self.to_string()
    }

    /// Milliseconds, moved to the nearest year that has four digits.
    fn clamped(self) -> i64 {
        const FIRST: i64 = -62_167_219_200_000;
        const LAST: i64 = 253_402_300_799_999;
        self.0.clamp(FIRST, LAST)
    }

    /// Date and time of day in UTC.
    pub(crate) fn civil(self) -> Civil {
        Civil::from_unix(self)
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self.civil();
        let millis = self.clamped().rem_euclid(1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl fmt::Debug for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for UnixTime {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        Self::parse_rfc3339(text)
    }
}

impl Add<Duration> for UnixTime {
    type Output = Self;

    fn add(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

impl Sub<Duration> for UnixTime {
    type Output = Self;

    fn sub(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }
}

/// A date and time of day in UTC, proleptic Gregorian calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    pub(crate) hour: i64,
    pub(crate) minute: i64,
    pub(crate) second: i64,
}

impl Civil {
    /// Checks every field, then counts days from the epoch (Hinnant's `days_from_civil`).
    pub(crate) fn to_unix(self) -> Result<UnixTime, InvalidTime> {
        let Self {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = self;
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days_in_month = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return Err(InvalidTime),
        };
        if !(0..=9999).contains(&year)
            || !(1..=days_in_month).contains(&day)
            || !(0..24).contains(&hour)
            || !(0..60).contains(&minute)
            || !(0..=60).contains(&second)
        {
            return Err(InvalidTime);
        }
        let shifted = if month <= 2 { year - 1 } else { year };
        let era = shifted.div_euclid(400);
        let year_of_era = shifted.rem_euclid(400);
        let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        Ok(UnixTime::from_secs(
            days * 86_400 + hour * 3600 + minute * 60 + second,
        ))
    }

    fn from_unix(time: UnixTime) -> Self {
        let millis = time.clamped();
        let seconds = millis.rem_euclid(MILLIS_PER_DAY) / 1000;
        let days = millis.div_euclid(MILLIS_PER_DAY) + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = days.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 {
            shifted_month + 3
        } else {
            shifted_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
            hour: seconds / 3600,
            minute: seconds / 60 % 60,
            second: seconds % 60,
        }
    }
}

/// A decimal number of at most 18 digits, no sign.
pub(crate) fn digits(text: &[u8]) -> Result<i64, InvalidTime> {
    if text.is_empty() || text.len() > 18 || !text.iter().all(u8::is_ascii_digit) {
        return Err(InvalidTime);
    }
    Ok(text
        .iter()
        .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// Milliseconds of a decimal fraction given by its digits; more than three are cut off.
pub(crate) fn fraction_millis(fraction: &[u8]) -> Result<i64, InvalidTime> {
    if fraction.is_empty() || fraction.len() > 18 || !fraction.iter().all(u8::is_ascii_digit) {
        return Err(InvalidTime);
    }
    Ok((0..3).fold(0, |value, at| {
        value * 10 + fraction.get(at).map_or(0, |digit| i64::from(digit - b'0'))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_instant_is_printed_with_milliseconds_in_utc() {
        assert_eq!(UnixTime::from_millis(0).to_rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            UnixTime::from_millis(1_769_860_800_000).to_rfc3339(),
            "2026-01-31T12:00:00.000Z"
        );
        assert_eq!(UnixTime::from_millis(-1).to_rfc3339(), "1969-12-31T23:59:59.999Z");
        assert_eq!(
            UnixTime::from_millis(i64::MAX).to_rfc3339(),
            "9999-12-31T23:59:59.999Z"
        );
    }

    #[test]
    fn offsets_and_fractions_are_understood() {
        let noon = UnixTime::from_millis(1_769_860_800_000);
        assert_eq!(UnixTime::parse_rfc3339("2026-01-31T13:00:00+01:00"), Ok(noon));
        assert_eq!(
            UnixTime::parse_rfc3339("2026-01-31T11:30:00.0004999-00:30"),
            Ok(noon)
        );
        assert_eq!(
            UnixTime::parse_rfc3339("2024-02-29T23:59:60Z"),
            UnixTime::parse_rfc3339("2024-03-01T00:00:00Z")
        );
    }

    #[test]
    fn impossible_dates_are_refused() {
        for text in [
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01",
            "",
        ] {
            assert_eq!(UnixTime::parse_rfc3339(text), Err(InvalidTime), "{text}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        assert_eq!(
            UnixTime::from_millis(i64::MAX) + Duration::MAX,
            UnixTime::from_millis(i64::MAX)
        );
        assert_eq!(
            UnixTime::from_millis(5).since(UnixTime::from_millis(9)),
            Duration::ZERO
        );
        assert_eq!(
            UnixTime::from_millis(9).since(UnixTime::from_millis(5)),
            Duration::from_millis(4)
        );
    }

    proptest! {
        #[test]
        fn an_instant_survives_a_round_trip(millis in -62_167_219_200_000_i64..253_402_300_800_000) {
            let time = UnixTime::from_millis(millis);
            prop_assert_eq!(UnixTime::parse_rfc3339(&time.to_rfc3339()), Ok(time));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[0-9TZ:.+-]{0,32}|.*") {
            let _ = UnixTime::parse_rfc3339(&text);
        }
    }
}
