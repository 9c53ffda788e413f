//! The two languages in which commands speak to people about cases.

use clap::ValueEnum;
use kontor_protocol::package::cover::Language;

/// A language.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Tongue {
    /// German
    De,
    /// English
    En,
}

impl Tongue {
    /// As the rooms below know it.
    pub(super) const fn language(self) -> Language {
        match self {
            Self::De => Language::German,
            Self::En => Language::English,
        }
    }

    /// Its code.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::De => "de",
            Self::En => "en",
        }
    }

    /// What is said in it.
    pub(super) const fn pick<'a>(self, german: &'a str, english: &'a str) -> &'a str {
        match self {
            Self::De => german,
            Self::En => english,
        }
    }
}
