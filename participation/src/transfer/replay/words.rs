//! A course in words, for who reads evidence.

use std::fmt::Write as _;

use kontor_protocol::package::cover::Language;

use super::{Course, Ending};

impl Course {
    /// The course in words.
    pub fn in_words(&self, language: Language) -> String {
        let german = matches!(language, Language::German);
        let mut text = match german {
            true => format!(
                "Übergabe {} von {} an {}\n",
                self.transfer, self.sender, self.receiver
            ),
            false => format!(
                "Transfer {} from {} to {}\n",
                self.transfer, self.sender, self.receiver
            ),
        };
        for step in &self.steps {
            let receipt = match (step.receipt, german) {
                (true, true) => "mit Empfangsbestätigung",
                (true, false) => "with its receipt",
                (false, true) => "OHNE Empfangsbestätigung",
                (false, false) => "WITHOUT its receipt",
            };
            let _ = writeln!(text, "  {}  {:<14} {} ({receipt})", step.at, step.kind, step.by);
        }
        for term in &self.responsible {
            let until = term.until.map(|until| until.to_string());
            let _ = match (german, until) {
                (true, Some(until)) => writeln!(
                    text,
                    "  Zuständig war {} vom {} bis {until}",
                    term.member, term.from
                ),
                (true, None) => writeln!(text, "  Zuständig ist {} seit {}", term.member, term.from),
                (false, Some(until)) => writeln!(
                    text,
                    "  {} was responsible from {} until {until}",
                    term.member, term.from
                ),
                (false, None) => writeln!(text, "  {} is responsible since {}", term.member, term.from),
            };
        }
        let _ = match german {
            true => writeln!(text, "  Ausgang: {}", self.ending.in_german()),
            false => writeln!(text, "  How it ended: {}", self.ending.in_english()),
        };
        for missing in &self.missing {
            let _ = match german {
                true => writeln!(text, "  ES FEHLT: {missing}"),
                false => writeln!(text, "  MISSING: {missing}"),
            };
        }
        for contradiction in &self.contradictions {
            let _ = match german {
                true => writeln!(text, "  WIDERSPRUCH: {contradiction}"),
                false => writeln!(text, "  CONTRADICTION: {contradiction}"),
            };
        }
        text
    }
}

impl Ending {
    const fn in_english(self) -> &'static str {
        match self {
            Self::Open => "it has not, as far as this evidence goes",
            Self::Copied => "the receiver has its copy",
            Self::Disputed => "the authorities disagree; a supervisory authority decides",
            Self::Expired => "nobody answered in time",
            Self::Recalled => "it was called back",
            Self::Reclaimed => "it was not taken over, and the receiver has confirmed that",
            Self::Refused => "it was refused",
            Self::TakenOver => "it was taken over",
            Self::Unconfirmed => "it was asked for back, without an answer",
            Self::Withdrawn => "the offer was taken back",
        }
    }

    const fn in_german(self) -> &'static str {
        match self {
            Self::Open => "keiner, soweit diese Nachweise reichen",
            Self::Copied => "die Kopie ist beim Empfänger",
            Self::Disputed => "Zuständigkeitsstreit; die Aufsichtsbehörde entscheidet",
            Self::Expired => "nicht rechtzeitig beantwortet",
            Self::Recalled => "zurückgerufen",
            Self::Reclaimed => "nicht übernommen, vom Empfänger bestätigt",
            Self::Refused => "abgelehnt",
            Self::TakenOver => "übernommen",
            Self::Unconfirmed => "zurückverlangt, ohne Antwort",
            Self::Withdrawn => "Angebot zurückgenommen",
        }
    }
}
