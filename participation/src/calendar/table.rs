//! The table of holidays: its file, its rules for days, and the one that is built in.

use std::sync::LazyLock;

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use super::{Land, Place};

/// What is built in.
static BUILT_IN: LazyLock<Result<HolidayTable, TableError>> =
    LazyLock::new(|| HolidayTable::parse(include_str!("../../data/holidays.toml")));

/// A table that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the table of holidays cannot be used: {0}")]
pub struct TableError(String);

/// Holidays with the years in which they were compared.
#[derive(Clone, Debug)]
pub struct HolidayTable {
    version: String,
    first_year: i16,
    last_year: i16,
    holidays: Vec<Holiday>,
}

/// A holiday: when it is, where, and since when.
#[derive(Clone, Debug)]
pub struct Holiday {
    id: String,
    de: String,
    en: String,
    day: Day,
    everywhere: bool,
    lands: Vec<Land>,
    local: Vec<Land>,
    from: i16,
    until: i16,
}

/// On which day of a year it is.
#[derive(Clone, Copy, Debug)]
enum Day {
    /// The same every year.
    Fixed { month: i8, day: i8 },
    /// So many days from Easter Sunday.
    Easter(i32),
    /// The last such day before a date.
    Before { weekday: Weekday, month: i8, day: i8 },
    /// Once.
    Once(Date),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    version: String,
    first_year: i16,
    last_year: i16,
    holiday: Vec<HolidayFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HolidayFile {
    id: String,
    de: String,
    en: String,
    day: String,
    lands: Vec<String>,
    #[serde(default)]
    local: Vec<Land>,
    from: Option<i16>,
    until: Option<i16>,
}

impl HolidayTable {
    /// The table of this version of the program.
    ///
    /// # Panics
    /// Never: a test reads it.
    pub fn built_in() -> &'static Self {
        BUILT_IN.as_ref().expect("a test reads the built-in table")
    }

    /// Reads a table from TOML; `data/holidays.toml` explains the form.
    ///
    /// # Errors
    /// The first mistake, in a sentence.
    pub fn parse(text: &str) -> Result<Self, TableError> {
        let file: TableFile = toml::from_str(text).map_err(|error| TableError(error.to_string()))?;
        if file.version.trim().is_empty() || file.first_year > file.last_year {
            return Err(TableError(
                "it needs a version, and a last year that is not before the first one".into(),
            ));
        }
        let holidays: Vec<Holiday> = file
            .holiday
            .into_iter()
            .map(Holiday::read)
            .collect::<Result<_, _>>()?;
        let twice = holidays
            .iter()
            .enumerate()
            .find(|(at, holiday)| holidays[..*at].iter().any(|other| other.id == holiday.id));
        if let Some((_, holiday)) = twice {
            return Err(TableError(format!("{} stands there twice", holiday.id)));
        }
        Ok(Self {
            version: file.version,
            first_year: file.first_year,
            last_year: file.last_year,
            holidays,
        })
    }

    /// What a computed deadline names.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The first year that it covers.
    pub const fn first_year(&self) -> i16 {
        self.first_year
    }

    /// The last year that it covers.
    pub const fn last_year(&self) -> i16 {
        self.last_year
    }

    /// All holidays, wherever they are.
    pub fn holidays(&self) -> &[Holiday] {
        &self.holidays
    }

    /// A holiday by its id.
    pub fn holiday(&self, id: &str) -> Option<&Holiday> {
        self.holidays.iter().find(|holiday| holiday.id == id)
    }
}

impl Holiday {
    fn read(file: HolidayFile) -> Result<Self, TableError> {
        let HolidayFile {
            id,
            de,
            en,
            day,
            lands,
            local,
            from,
            until,
        } = file;
        let read = Day::read(&day).ok_or_else(|| {
            TableError(format!(
                "{id}: {day:?} is no day; write 12-25, easter+39, wednesday before 11-23 or 2025-05-08"
            ))
        })?;
        let everywhere = lands == ["all"];
        let lands = match everywhere {
            true => Vec::new(),
            false => lands
                .iter()
                .map(|code| {
                    let land = Land::ALL.into_iter().find(|land| land.code() == code);
                    land.ok_or_else(|| {
                        TableError(format!("{id}: {code:?} is no Land; all of them are \"all\""))
                    })
                })
                .collect::<Result<_, _>>()?,
        };
        Ok(Self {
            id,
            de,
            en,
            day: read,
            everywhere,
            lands,
            local,
            from: from.unwrap_or(i16::MIN),
            until: until.unwrap_or(i16::MAX),
        })
    }

    /// Its stable id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name in German.
    pub fn german(&self) -> &str {
        &self.de
    }

    /// Its name in English.
    pub fn english(&self) -> &str {
        &self.en
    }

    /// Whether municipalities of this Land may have it although the Land as a whole has not.
    pub fn is_local_in(&self, land: Land) -> bool {
        self.local.contains(&land)
    }

    /// Whether it is on that day at that place.
    pub fn is_at(&self, date: Date, place: &Place) -> bool {
        let here = self.everywhere
            || self.lands.contains(&place.land)
            || (self.is_local_in(place.land) && place.local_holidays.contains(&self.id));
        here && (self.from..=self.until).contains(&date.year()) && self.day.of(date.year()) == Some(date)
    }
}

impl Day {
    fn read(text: &str) -> Option<Self> {
        let month_day = |text: &str| {
            let (month, day) = text.split_once('-')?;
            let (month, day) = (month.parse().ok()?, day.parse().ok()?);
            // A leap year, so that 29 February is a day.
            Date::new(2024, month, day).ok().map(|_| (month, day))
        };
        if let Some(offset) = text.strip_prefix("easter") {
            return offset.parse().ok().map(Self::Easter);
        }
        if let Some((weekday, before)) = text.split_once(" before ") {
            let weekday = match weekday {
                "monday" => Weekday::Monday,
                "tuesday" => Weekday::Tuesday,
                "wednesday" => Weekday::Wednesday,
                "thursday" => Weekday::Thursday,
                "friday" => Weekday::Friday,
                "saturday" => Weekday::Saturday,
                "sunday" => Weekday::Sunday,
                _ => return None,
            };
            return month_day(before).map(|(month, day)| Self::Before { weekday, month, day });
        }
        match text.len() {
            5 => month_day(text).map(|(month, day)| Self::Fixed { month, day }),
            _ => text.parse().ok().map(Self::Once),
        }
    }

    fn of(self, year: i16) -> Option<Date> {
        match self {
            Self::Fixed { month, day } => Date::new(year, month, day).ok(),
            Self::Easter(offset) => easter(year)?.checked_add(offset.days()).ok(),
            Self::Before { weekday, month, day } => {
                Date::new(year, month, day).ok()?.nth_weekday(-1, weekday).ok()
            }
            Self::Once(date) => (date.year() == year).then_some(date),
        }
    }
}

/// Easter Sunday of the Gregorian calendar (Meeus, Jones, Butcher).
fn easter(year: i16) -> Option<Date> {
    let year32 = i32::from(year);
    let a = year32.rem_euclid(19);
    let (b, c) = (year32.div_euclid(100), year32.rem_euclid(100));
    let (d, e) = (b / 4, b % 4);
    let g = (8 * b + 13) / 25;
    let h = (19 * a + b - d - g + 15) % 30;
    let (i, k) = (c / 4, c % 4);
    let l = (32 + 2 * e + 2 * i - h - k) % 7;
    let m = (a + 11 * h + 19 * l) / 433;
    let month = (h + l - 7 * m + 90) / 25;
    let day = (h + l - 7 * m + 33 * month + 19) % 32;
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}
