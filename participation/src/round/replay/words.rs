//! The course of a request in words, in German and in English: for whoever reads the evidence without a program.

use std::fmt::Write as _;

use jiff::Timestamp;
use kontor_protocol::package::cover::Language;

use super::{Asked, Course, Moved, Shown, Step, Told};
use crate::calendar::HolidayTable;
use crate::deadline::Rule;
use crate::round::message::Expiry;
use crate::round::profile::effect_in_words;
use crate::round::request::Version;
use crate::round::requester::ProofLevel;
use crate::round::state::State;
use crate::round::terms::Extendable;

impl Course {
    /// Who was asked what, with which deadline and why; what was shown; who answered when, and whether in time; what silence meant; how
    /// it stands; and what does not fit together or is missing.
    pub fn in_words(&self, language: Language, table: &HolidayTable) -> String {
        let words = Words(language);
        let mut lines = vec![format!(
            "{} {}: {} {} {}",
            words.pick("Beteiligung", "Participation"),
            self.request,
            self.requester,
            words.pick("fragt", "asks"),
            self.participant,
        )];
        let mut say = |line: String| lines.push(format!("  {line}"));
        if let Some(asked) = &self.asked {
            words.asked(asked).into_iter().for_each(&mut say);
            say(words.delivery(self.delivered_at, asked.proof_level));
        }
        for (place, told) in self.deadlines.iter().enumerate() {
            say(words.deadline(place, told));
            for sentence in told.deadline.in_words(language, table) {
                say(format!("  {sentence}"));
            }
        }
        for shown in &self.shown {
            say(words.shown(shown));
            for (id, name) in &shown.files {
                say(format!("  {id}  {name}"));
            }
        }
        for moved in &self.moved {
            say(words.moved(moved));
        }
        for step in &self.steps {
            say(words.step(step));
        }
        for (place, version) in self.versions.iter().enumerate() {
            say(words.version(place, version));
        }
        if let Some(silence) = self.silence {
            say(words.silence(silence));
        }
        say(words.standing(self.state, self.ends_at));
        for missing in &self.missing {
            say(format!("{}: {missing}", words.pick("ES FEHLT", "MISSING")));
        }
        for contradiction in &self.contradictions {
            say(format!(
                "{}: {contradiction}",
                words.pick("WIDERSPRUCH", "CONTRADICTION")
            ));
        }
        lines.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{}", line.trim_end());
            text
        })
    }
}

struct Words(Language);

impl Words {
    fn pick(&self, german: &str, english: &str) -> String {
        match self.0 {
            Language::German => german.to_owned(),
            Language::English => english.to_owned(),
        }
    }

    fn moved(&self, moved: &Moved) -> String {
        let Moved {
            from,
            to,
            transfer,
            at,
        } = moved;
        self.pick(
            &format!("Seit {at} fragt {to} anstelle von {from}: es hat den Vorgang übernommen (Übergabe {transfer})."),
            &format!("Since {at} {to} asks in the place of {from}: it took the case over (transfer {transfer})."),
        )
    }

    fn asked(&self, asked: &Asked) -> Vec<String> {
        let Asked {
            round,
            round_number,
            renews,
            application,
            service,
            profile,
            class,
            terms,
            proof_level: _,
            disclosure_ends,
        } = asked;
        let class = class.name();
        let mut said = vec![self.pick(
            &format!("Grundlage {profile}, Durchgang {round_number} ({round}), gefragt als {class}."),
            &format!("By {profile}, round {round_number} ({round}), asked as {class}."),
        )];
        said.extend(renews.as_ref().map(|renews| {
            self.pick(
                &format!("Erneuert den Durchgang {renews}."),
                &format!("Renews round {renews}."),
            )
        }));
        said.push(self.pick(
            &format!("Vorgang {application}, Leistung {service}."),
            &format!("Application {application}, service {service}."),
        ));
        let rule = terms.rule.map_or_else(
            || self.pick("ohne Ende", "without an end"),
            |rule| self.rule(rule),
        );
        let mut time = format!("{}: {rule}", self.pick("Frist", "Time"));
        if let Some(at_most) = terms.at_most {
            let at_most = self.rule(at_most);
            time += &self.pick(&format!(", höchstens {at_most}"), &format!(", at most {at_most}"));
        }
        if let Some(day) = terms.runs_from {
            time += &self.pick(&format!(", frühestens ab {day}"), &format!(", not before {day}"));
        }
        time += &match terms.extension {
            Extendable::Free => self.pick(", verlängerbar", ", extendable"),
            Extendable::ForReason => self.pick(
                ", verlängerbar aus wichtigem Grund",
                ", extendable for an important reason",
            ),
            Extendable::None => self.pick(", nicht verlängerbar", ", not extendable"),
        };
        let silence = match terms.has_effect() {
            true => self.pick("Bei Schweigen: ", "If it is silent: "),
            false => String::new(),
        };
        said.push(format!(
            "{time}. {silence}{}",
            effect_in_words(terms.effect, self.0)
        ));
        said.extend(disclosure_ends.map(|day| {
            self.pick(
                &format!("Einsehbar bis {day}."),
                &format!("To be seen until {day}."),
            )
        }));
        said
    }

    fn rule(&self, rule: Rule) -> String {
        let count = |n: u16, one: (&str, &str), many: (&str, &str)| {
            let (german, english) = if n == 1 { one } else { many };
            self.pick(&format!("{n} {german}"), &format!("{n} {english}"))
        };
        let days = |n| count(n, ("Tag", "day"), ("Tage", "days"));
        let months = |n| count(n, ("Monat", "month"), ("Monate", "months"));
        match rule {
            Rule::Days { n } => days(n),
            Rule::WorkingDays { n } => {
                count(n, ("Arbeitstag", "working day"), ("Arbeitstage", "working days"))
            }
            Rule::Weeks { n } => count(n, ("Woche", "week"), ("Wochen", "weeks")),
            Rule::Months { n } => months(n),
            Rule::Hours { n } => count(n, ("Stunde", "hour"), ("Stunden", "hours")),
            Rule::LaterOf { months: m, days: d } => {
                let (months, days) = (months(m), days(d));
                self.pick(
                    &format!("{months}, mindestens {days}"),
                    &format!("{months}, at least {days}"),
                )
            }
            Rule::Until { date, .. } => self.pick(&format!("bis {date}"), &format!("until {date}")),
        }
    }

    fn delivery(&self, at: Option<Timestamp>, level: ProofLevel) -> String {
        let level = match level {
            ProofLevel::Guest => self.pick("als Gast", "as a guest"),
            ProofLevel::Internal => self.pick("im eigenen Haus", "within the house"),
            ProofLevel::Node => self.pick("am eigenen Knoten", "at a node of its own"),
        };
        match at {
            Some(at) => self.pick(
                &format!("Zugegangen am {at}, {level}."),
                &format!("Delivered on {at}, {level}."),
            ),
            None => self.pick(
                "Der Zugang ist in diesen Nachweisen nicht enthalten.",
                "The delivery is not in this evidence.",
            ),
        }
    }

    fn deadline(&self, place: usize, told: &Told) -> String {
        let deadline = &told.deadline;
        let (at, trigger, rule, table) = (
            told.told_at,
            deadline.trigger,
            self.rule(deadline.rule),
            &deadline.holidays,
        );
        let (number, land) = (place + 1, deadline.place.land);
        let mut said = self.pick(
            &format!(
                "Frist {number}, mitgeteilt am {at}: {rule} ab dem Ereignis {trigger}, Feiertage in {land} nach Tabelle {table}"
            ),
            &format!(
                "Deadline {number}, told on {at}: {rule} from the event {trigger}, holidays of {land} by table {table}"
            ),
        );
        for extension in &deadline.extensions {
            let (rule, at) = (self.rule(extension.rule), extension.granted_at);
            said += &self.pick(
                &format!("; verlängert am {at}: {rule}"),
                &format!("; extended on {at}: {rule}"),
            );
        }
        said += &match told.computed_again {
            true => self.pick("; nachgerechnet.", "; computed again."),
            false => self.pick("; NICHT nachgerechnet.", "; NOT computed again."),
        };
        said
    }

    fn shown(&self, shown: &Shown) -> String {
        let Shown {
            by,
            to,
            kind,
            manifest,
            parts,
            pulled,
            files: _,
        } = shown;
        // Content is not logged a second time, so that the exchanges that pulled it are seldom in a package.
        let (abgerufen, was_pulled) = match pulled {
            0 => (String::new(), String::new()),
            _ => (
                format!(", {pulled} von {parts} Teilen abgerufen"),
                format!(", {pulled} of {parts} parts pulled"),
            ),
        };
        self.pick(
            &format!("Mit {kind} legte {by} gegenüber {to} offen: Verzeichnis {manifest}{abgerufen}."),
            &format!("With {kind} {by} disclosed to {to}: manifest {manifest}{was_pulled}."),
        )
    }

    fn step(&self, step: &Step) -> String {
        let receipt = match step.receipt {
            true => self.pick("mit Empfangsbestätigung", "with its receipt"),
            false => self.pick("OHNE Empfangsbestätigung", "WITHOUT its receipt"),
        };
        let mut judged = match step.judgement.map(|judgement| judgement.in_time) {
            Some(true) => self.pick(", rechtzeitig", ", in time"),
            Some(false) => self.pick(", VERSPÄTET", ", LATE"),
            None => String::new(),
        };
        if step.refused {
            judged += &self.pick(", ZURÜCKGEWIESEN", ", REFUSED");
        }
        let entered = step
            .entered_at
            .map(|at| self.pick(&format!(", eingegeben am {at}"), &format!(", entered on {at}")));
        let state = step.state.map(|state| format!(" -> {}", self.state(state)));
        format!(
            "{}  {:<18} {}{}{}{judged} ({receipt})",
            step.at,
            step.kind,
            step.by,
            state.unwrap_or_default(),
            entered.unwrap_or_default(),
        )
    }

    fn version(&self, place: usize, version: &Version) -> String {
        let (number, kind, at) = (place + 1, version.kind.name(), version.entered_at);
        let mut said = self.pick(
            &format!("Stellungnahme {number}: {kind}, eingegeben am {at}"),
            &format!("Statement {number}: {kind}, entered on {at}"),
        );
        said += &match version.judgement.in_time {
            true => self.pick(", rechtzeitig", ", in time"),
            false => self.pick(", VERSPÄTET", ", LATE"),
        };
        if version.judgement.kept_beside {
            said += &self.pick(", daneben abgelegt", ", kept beside");
        }
        if let Some(at) = version.withdrawn_at {
            said += &self.pick(
                &format!(", zurückgenommen am {at}"),
                &format!(", taken back on {at}"),
            );
        }
        said + "."
    }

    fn silence(&self, silence: Expiry) -> String {
        let asked = match (silence.asked_at, silence.answered) {
            (Some(at), true) => self.pick(
                &format!(" Der Knoten der beteiligten Stelle wurde am {at} gefragt und hatte nichts."),
                &format!(" The participant's node was asked on {at} and had nothing."),
            ),
            (Some(at), false) => self.pick(
                &format!(" Der Knoten der beteiligten Stelle wurde am {at} gefragt und antwortete nicht."),
                &format!(" The participant's node was asked on {at} and did not answer."),
            ),
            (None, _) => String::new(),
        };
        format!(
            "{} {}, {} {}: {}{asked}",
            self.pick("Frist abgelaufen", "Deadline over"),
            silence.ended_at,
            self.pick("festgestellt am", "recorded on"),
            silence.recorded_at,
            effect_in_words(silence.effect, self.0)
        )
    }

    fn standing(&self, state: Option<State>, ends_at: Option<Timestamp>) -> String {
        let state = state.map_or_else(
            || self.pick("das sagen diese Nachweise nicht", "this evidence does not say"),
            |state| self.state(state),
        );
        let mut said = format!("{}: {state}", self.pick("Stand", "How it stands"));
        if let Some(at) = ends_at {
            said += &self.pick(&format!("; Fristende {at}"), &format!("; its time ends at {at}"));
        }
        said + "."
    }

    fn state(&self, state: State) -> String {
        match self.0 {
            Language::German => format!("{} ({})", state.german(), state.name()),
            Language::English => state.name().to_owned(),
        }
    }
}
