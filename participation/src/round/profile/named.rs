//! Codes, versions and sentences in two languages: what all lists and profiles are made of.

use std::fmt;

use kontor_protocol::package::cover::Language;
use serde::{Deserialize, Serialize};

/// A code or a version: 1 to 40 letters and digits of ASCII and the characters `_`, `-` and `.`.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct Code(String);

/// What is no code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a code has 1 to 40 letters and digits of ASCII and the characters _ - .")]
pub struct NoCode;

impl TryFrom<String> for Code {
    type Error = NoCode;

    fn try_from(text: String) -> Result<Self, NoCode> {
        let good = (1..=40).contains(&text.len())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
        match good {
            true => Ok(Self(text)),
            false => Err(NoCode),
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Code {
    /// Its letters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A versioned piece of data, as whoever used it records it.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Versioned {
    /// Which.
    pub code: Code,
    /// In which version.
    pub version: Code,
}

impl fmt::Display for Versioned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code, self.version)
    }
}

/// A sentence or a name in both languages.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// In German.
    pub de: String,
    /// In English.
    pub en: String,
}

impl Text {
    /// In that language.
    pub fn pick(&self, language: Language) -> &str {
        match language {
            Language::German => &self.de,
            Language::English => &self.en,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.de.trim().is_empty() || self.en.trim().is_empty()
    }
}
