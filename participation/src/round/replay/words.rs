//! The course of a request in words, in German and in English: for whoever reads the evidence without a program.

use std::fmt::Write as _;

use jiff::Timestamp;
use kontor_protocol::package::cover::Language;

use super::{Course, Shown, Step};
use crate::calendar::HolidayTable;
use crate::round::profile::effect_in_words;
use crate::round::requester::ProofLevel;

impl Course {
    /// Who was asked what, with which deadline and why; what was shown; who answered when; what silence meant.
    pub fn in_words(&self, language: Language, table: &HolidayTable) -> String {
        let words = Words(language);
        let mut text = String::new();
        let _ = writeln!(
            text,
            "{} {}: {} {} {}, {} {}, {} {}",
            words.pick("Beteiligung", "Participation"),
            self.request,
            self.requester,
            words.pick("fragt", "asks"),
            self.participant,
            words.pick("Grundlage", "by"),
            self.profile,
            words.pick("Durchgang", "round"),
            self.round
        );
        let _ = writeln!(text, "  {}", words.delivery(self.delivered_at, self.proof_level));
        for deadline in &self.deadlines {
            for sentence in deadline.in_words(language, table) {
                let _ = writeln!(text, "    {sentence}");
            }
        }
        for shown in &self.shown {
            let _ = writeln!(text, "  {}", words.shown(shown));
            for (id, name) in &shown.files {
                let _ = writeln!(text, "    {id}  {name}");
            }
        }
        for step in &self.steps {
            let _ = writeln!(text, "  {}", words.step(step));
        }
        if let Some(silence) = self.silence {
            let asked = match (silence.asked_at, silence.answered) {
                (Some(at), true) => words.pick(
                    &format!("Der Knoten der beteiligten Stelle wurde am {at} gefragt und hatte nichts."),
                    &format!("The participant's node was asked on {at} and had nothing."),
                ),
                (Some(at), false) => words.pick(
                    &format!("Der Knoten der beteiligten Stelle wurde am {at} gefragt und antwortete nicht."),
                    &format!("The participant's node was asked on {at} and did not answer."),
                ),
                (None, _) => String::new(),
            };
            let _ = writeln!(
                text,
                "  {} {}: {} {asked}",
                words.pick("Frist abgelaufen", "Deadline over"),
                silence.ended_at,
                effect_in_words(silence.effect, language)
            );
        }
        for contradiction in &self.contradictions {
            let _ = writeln!(
                text,
                "  {}: {contradiction}",
                words.pick("WIDERSPRUCH", "CONTRADICTION")
            );
        }
        text
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

    fn shown(&self, shown: &Shown) -> String {
        let Shown {
            by,
            kind,
            manifest,
            parts,
            pulled,
            files: _,
        } = shown;
        self.pick(
            &format!(
                "Mit {kind} legte {by} offen: Verzeichnis {manifest}, {pulled} von {parts} Teilen abgerufen."
            ),
            &format!("With {kind} {by} disclosed: manifest {manifest}, {pulled} of {parts} parts pulled."),
        )
    }

    fn step(&self, step: &Step) -> String {
        let receipt = match step.receipt {
            true => self.pick("mit Empfangsbestätigung", "with its receipt"),
            false => self.pick("OHNE Empfangsbestätigung", "WITHOUT its receipt"),
        };
        let judged = match step.judgement.map(|judgement| judgement.in_time) {
            Some(true) => self.pick(", rechtzeitig", ", in time"),
            Some(false) => self.pick(", VERSPÄTET", ", LATE"),
            None => String::new(),
        };
        format!(
            "{}  {:<18} {} -> {}{judged} ({receipt})",
            step.at, step.kind, step.by, step.state
        )
    }
}
