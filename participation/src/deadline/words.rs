//! A computation in words, in German and in English: what stands in a request, in a reminder and in the record of an expiry.

use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use kontor_protocol::package::cover::Language;

use super::{Deadline, Rule, Step, zone};
use crate::calendar::{DayOff, HolidayTable};

const MONTHS: [(&str, &str); 12] = [
    ("Januar", "January"),
    ("Februar", "February"),
    ("März", "March"),
    ("April", "April"),
    ("Mai", "May"),
    ("Juni", "June"),
    ("Juli", "July"),
    ("August", "August"),
    ("September", "September"),
    ("Oktober", "October"),
    ("November", "November"),
    ("Dezember", "December"),
];

impl Deadline {
    /// Each step of the computation as a sentence, in order. Holidays that the table does not know are named by their id.
    pub fn in_words(&self, language: Language, table: &HolidayTable) -> Vec<String> {
        let words = Words { language, table };
        self.steps.iter().map(|step| words.step(step)).collect()
    }
}

struct Words<'a> {
    language: Language,
    table: &'a HolidayTable,
}

impl Words<'_> {
    fn pick(&self, german: String, english: String) -> String {
        match self.language {
            Language::German => german,
            Language::English => english,
        }
    }

    fn step(&self, step: &Step) -> String {
        match step {
            Step::Event { date } => {
                let day = self.date(*date);
                self.pick(
                    format!("Das Ereignis liegt am {day}; dieser Tag zählt nicht mit (§ 187 Abs. 1 BGB)."),
                    format!("The event is on {day}; that day is not counted (§ 187(1) BGB)."),
                )
            }
            Step::Counted {
                rule,
                end,
                last_of_month,
                ..
            } => self.counted(*rule, *end, *last_of_month),
            Step::PassedOver { days } => {
                let days: Vec<_> = days
                    .iter()
                    .map(|(date, reason)| self.passed(*date, reason))
                    .collect();
                let days = days.join(", ");
                self.pick(format!("Nicht gezählt: {days}."), format!("Not counted: {days}."))
            }
            Step::Hours { n, from, end } => {
                let (from, end) = (self.instant(*from), self.instant(*end));
                self.pick(
                    format!(
                        "{} ab {from}, Wochenenden und Feiertage mitgezählt: bis {end}.",
                        count_de(*n, "Stunde", "Stunden")
                    ),
                    format!(
                        "{} from {from}, weekends and holidays counted: until {end}.",
                        count_en(*n, "hour")
                    ),
                )
            }
            Step::Later { months, days, end } => {
                let (months, days, end) = (self.date(*months), self.date(*days), self.date(*end));
                self.pick(
                    format!("Von {months} und {days} gilt der spätere Tag: {end}."),
                    format!("Of {months} and {days} the later day counts: {end}."),
                )
            }
            Step::Set { date, stands } => {
                let day = self.date(*date);
                match stands {
                    true => self.pick(
                        format!(
                            "Als Ende wurde {day} bestimmt und unter Hinweis auf die Regel mitgeteilt; es bleibt dabei (§ 31 Abs. 3 VwVfG)."
                        ),
                        format!(
                            "The end was set to {day} and told with reference to the rule; it stands (§ 31(3) VwVfG)."
                        ),
                    ),
                    false => self.pick(
                        format!("Als Ende wurde {day} bestimmt."),
                        format!("The end was set to {day}."),
                    ),
                }
            }
            Step::Moved { from, because, to } => {
                let (from, to) = (self.date(*from), self.date(*to));
                let german = match because {
                    DayOff::Saturday => "ein Sonnabend".to_owned(),
                    DayOff::Sunday => "ein Sonntag".to_owned(),
                    DayOff::Holiday(id) => format!("ein Feiertag ({})", self.holiday(id)),
                };
                let english = match because {
                    DayOff::Saturday => "a Saturday".to_owned(),
                    DayOff::Sunday => "a Sunday".to_owned(),
                    DayOff::Holiday(id) => format!("a public holiday ({})", self.holiday(id)),
                };
                self.pick(
                    format!("{from} ist {german}; an seine Stelle tritt {to} (§ 193 BGB)."),
                    format!("{from} is {english}; {to} takes its place (§ 193 BGB)."),
                )
            }
            Step::Extended { granted_at, from } => {
                let (granted, from) = (self.instant(*granted_at), self.date(*from));
                self.pick(
                    format!(
                        "Verlängert am {granted}; die neue Frist beginnt mit dem Ablauf der alten am {from} (§ 190 BGB)."
                    ),
                    format!(
                        "Extended on {granted}; the new period begins when the old one ends on {from} (§ 190 BGB)."
                    ),
                )
            }
            Step::End { date, at } => {
                let day = self.date(*date);
                let whole = super::end_of(*date) == Ok(*at);
                match whole {
                    true => self.pick(
                        format!("Die Frist endet am {day}, 24:00 Uhr ({at})."),
                        format!("The deadline ends on {day} at 24:00 German time ({at})."),
                    ),
                    false => {
                        let instant = self.instant(*at);
                        self.pick(
                            format!("Die Frist endet am {instant} ({at})."),
                            format!("The deadline ends on {instant} ({at})."),
                        )
                    }
                }
            }
        }
    }

    fn counted(&self, rule: Rule, end: Date, last_of_month: bool) -> String {
        let end = self.date(end);
        let (german, english, clause) = match rule {
            Rule::Days { n } => (count_de(n, "Tag", "Tage"), count_en(n, "day"), "§ 188 Abs. 1 BGB"),
            Rule::WorkingDays { n } => (
                count_de(n, "Arbeitstag", "Arbeitstage"),
                count_en(n, "working day"),
                "§ 188 Abs. 1 BGB",
            ),
            Rule::Weeks { n } => (
                count_de(n, "Woche", "Wochen"),
                count_en(n, "week"),
                "§ 188 Abs. 2 BGB",
            ),
            Rule::Months { n } => (
                count_de(n, "Monat", "Monate"),
                count_en(n, "month"),
                "§ 188 Abs. 2 BGB",
            ),
            // Each is counted by steps of its own.
            Rule::Hours { n } => (
                count_de(n, "Stunde", "Stunden"),
                count_en(n, "hour"),
                "§ 31 VwVfG",
            ),
            Rule::LaterOf { .. } | Rule::Until { .. } => ("Frist".into(), "period".into(), "§ 31 VwVfG"),
        };
        let clause_en = clause.replace(" Abs. ", "(").replace(" BGB", ") BGB");
        match last_of_month {
            true => self.pick(
                format!(
                    "{german} ab dann: der Monat hat keinen Tag mit dieser Zahl, also sein letzter, {end} (§ 188 Abs. 3 BGB)."
                ),
                format!(
                    "{english} from then: the month has no day of that number, so its last one, {end} (§ 188(3) BGB)."
                ),
            ),
            false => self.pick(
                format!("{german} ab dann: {end} ({clause})."),
                format!("{english} from then: {end} ({clause_en})."),
            ),
        }
    }

    fn passed(&self, date: Date, reason: &DayOff) -> String {
        let day = self.date(date);
        match reason {
            DayOff::Saturday | DayOff::Sunday => day,
            DayOff::Holiday(id) => format!("{day} ({})", self.holiday(id)),
        }
    }

    fn holiday(&self, id: &str) -> String {
        match self.table.holiday(id) {
            Some(holiday) => self.pick(holiday.german().to_owned(), holiday.english().to_owned()),
            None => id.to_owned(),
        }
    }

    fn date(&self, date: Date) -> String {
        let (german, english) = weekday(date.weekday());
        let month = MONTHS[usize::try_from(date.month() - 1).unwrap_or_default() % 12];
        self.pick(
            format!("{german}, {}. {} {}", date.day(), month.0, date.year()),
            format!("{english} {} {} {}", date.day(), month.1, date.year()),
        )
    }

    fn instant(&self, instant: Timestamp) -> String {
        let zoned = instant.to_zoned_datetime(zone());
        let (date, time) = (self.date(zoned.date()), zoned.strftime("%H:%M"));
        self.pick(
            format!("{date}, {time} Uhr"),
            format!("{date}, {time} German time"),
        )
    }
}

fn count_de(n: u16, one: &str, many: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {many}"),
    }
}

fn count_en(n: u16, one: &str) -> String {
    match n {
        1 => format!("1 {one}"),
        n => format!("{n} {one}s"),
    }
}

const fn weekday(day: Weekday) -> (&'static str, &'static str) {
    match day {
        Weekday::Monday => ("Montag", "Monday"),
        Weekday::Tuesday => ("Dienstag", "Tuesday"),
        Weekday::Wednesday => ("Mittwoch", "Wednesday"),
        Weekday::Thursday => ("Donnerstag", "Thursday"),
        Weekday::Friday => ("Freitag", "Friday"),
        Weekday::Saturday => ("Sonnabend", "Saturday"),
        Weekday::Sunday => ("Sonntag", "Sunday"),
    }
}
