//! Which days are working days at a place: Saturdays, Sundays and the public holidays of a municipality, as versioned data with
//! years in which it holds.
//!
//! Holidays belong to the municipality, not only to its Land: some Länder leave them to denomination or name towns. Outside the
//! years of the table nothing is guessed.

mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use jiff::civil::{Date, Weekday};
use serde::{Deserialize, Serialize};

pub use table::{Holiday, HolidayTable, TableError};

/// A Land, by the letters of its official abbreviation.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "each is its abbreviation")]
pub enum Land {
    Bb,
    Be,
    Bw,
    By,
    Hb,
    He,
    Hh,
    Mv,
    Ni,
    Nw,
    Rp,
    Sh,
    Sl,
    Sn,
    St,
    Th,
}

impl Land {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Bb,
        Self::Be,
        Self::Bw,
        Self::By,
        Self::Hb,
        Self::He,
        Self::Hh,
        Self::Mv,
        Self::Ni,
        Self::Nw,
        Self::Rp,
        Self::Sh,
        Self::Sl,
        Self::Sn,
        Self::St,
        Self::Th,
    ];

    /// The Land of a regional or municipality key, which begins with its two digits.
    pub fn of_key(key: &str) -> Option<Self> {
        Some(match key.get(..2)? {
            "01" => Self::Sh,
            "02" => Self::Hh,
            "03" => Self::Ni,
            "04" => Self::Hb,
            "05" => Self::Nw,
            "06" => Self::He,
            "07" => Self::Rp,
            "08" => Self::Bw,
            "09" => Self::By,
            "10" => Self::Sl,
            "11" => Self::Be,
            "12" => Self::Bb,
            "13" => Self::Mv,
            "14" => Self::Sn,
            "15" => Self::St,
            "16" => Self::Th,
            _ => return None,
        })
    }

    /// The abbreviation.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Bb => "BB",
            Self::Be => "BE",
            Self::Bw => "BW",
            Self::By => "BY",
            Self::Hb => "HB",
            Self::He => "HE",
            Self::Hh => "HH",
            Self::Mv => "MV",
            Self::Ni => "NI",
            Self::Nw => "NW",
            Self::Rp => "RP",
            Self::Sh => "SH",
            Self::Sl => "SL",
            Self::Sn => "SN",
            Self::St => "ST",
            Self::Th => "TH",
        }
    }
}

impl fmt::Display for Land {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Where a statement must arrive, as far as holidays go: the seat of whoever is to receive it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Place {
    /// Its Land.
    pub land: Land,
    /// Ids of holidays that this municipality has although its Land as a whole has not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub local_holidays: Vec<String>,
}

impl Place {
    /// A place without holidays of its own.
    pub const fn of(land: Land) -> Self {
        Self {
            land,
            local_holidays: Vec::new(),
        }
    }
}

/// Why nobody has to work on a day (§ 193 BGB, § 31 Abs. 3 VwVfG).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DayOff {
    /// A Saturday that is no holiday.
    Saturday,
    /// A Sunday that is no holiday.
    Sunday,
    /// A public holiday, by its id.
    Holiday(String),
}

/// What a calendar does not know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum CalendarError {
    /// A day outside the years of the table.
    #[error(
        "the holidays of {year} are not known: table {version} covers {first} to {last}; install a newer table, or state the end of the period as a date"
    )]
    Unknown {
        /// The year asked for.
        year: i16,
        /// Version of the table.
        version: String,
        /// First year of the table.
        first: i16,
        /// Last year of the table.
        last: i16,
    },
    /// A place names a holiday that its Land does not leave to municipalities.
    #[error(
        "{id} is no holiday that municipalities in {land} have on their own; known there: {known}; correct local_holidays of the place"
    )]
    LocalHoliday {
        /// The id.
        id: String,
        /// The Land.
        land: Land,
        /// Ids that would be.
        known: String,
    },
}

impl CalendarError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "calendar_unknown",
            Self::LocalHoliday { .. } => "local_holiday_unknown",
        }
    }
}

impl HolidayTable {
    /// Why `date` is no working day at `place`, or nothing if it is one.
    ///
    /// # Errors
    /// A year outside the table; a local holiday that the Land does not have.
    pub fn day_off(&self, date: Date, place: &Place) -> Result<Option<DayOff>, CalendarError> {
        self.check(place)?;
        let covered = self.first_year()..=self.last_year();
        if !covered.contains(&date.year()) {
            return Err(CalendarError::Unknown {
                year: date.year(),
                version: self.version().to_owned(),
                first: self.first_year(),
                last: self.last_year(),
            });
        }
        if let Some(holiday) = self.holidays().iter().find(|holiday| holiday.is_at(date, place)) {
            return Ok(Some(DayOff::Holiday(holiday.id().to_owned())));
        }
        Ok(match date.weekday() {
            Weekday::Saturday => Some(DayOff::Saturday),
            Weekday::Sunday => Some(DayOff::Sunday),
            Weekday::Monday | Weekday::Tuesday | Weekday::Wednesday | Weekday::Thursday | Weekday::Friday => {
                None
            }
        })
    }

    /// Whether a place has only holidays of its own that its Land leaves to municipalities.
    ///
    /// # Errors
    /// A local holiday that the Land does not have.
    pub fn check(&self, place: &Place) -> Result<(), CalendarError> {
        let local = |id: &str| {
            self.holidays()
                .iter()
                .any(|holiday| holiday.id() == id && holiday.is_local_in(place.land))
        };
        match place.local_holidays.iter().find(|id| !local(id)) {
            None => Ok(()),
            Some(id) => {
                let known: Vec<_> = self
                    .holidays()
                    .iter()
                    .filter(|holiday| holiday.is_local_in(place.land))
                    .map(Holiday::id)
                    .collect();
                Err(CalendarError::LocalHoliday {
                    id: id.clone(),
                    land: place.land,
                    known: match known.is_empty() {
                        true => "none".to_owned(),
                        false => known.join(", "),
                    },
                })
            }
        }
    }
}
