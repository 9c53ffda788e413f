//! Who is competent: authorities by service and region, from a directory file. Every hit is a suggestion with its reason, for a
//! person to confirm.
//!
//! The key of a place does not always name the authority that works for it: in Schleswig-Holstein an Amt, in Bavaria a
//! Verwaltungsgemeinschaft does. So rules name regions by the beginning of the regional key (ARS), and a municipality key (AGS),
//! which lacks the association, is looked up. Keys that ended lead to their successors.

mod directory;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use kontor_protocol::id::MemberId;
use kontor_protocol::package::cover::Language;

pub use directory::{Directory, DirectoryError};

/// A public service: 14 digits that begin with 99 (LeiKa, FIM).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ServiceKey(String);

/// The beginning of a regional key: Land (2 digits), Regierungsbezirk (3), Kreis (5), association (9) or municipality (12).
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Region(String);

/// What is no key.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// Not a service.
    #[error(
        "{0:?} is no key of a service: 14 digits beginning with 99 are wanted, alone or behind urn:de:fim:leika:leistung:"
    )]
    Service(String),
    /// Not a region.
    #[error(
        "{0:?} is no regional key: 2, 3, 5, 9 or 12 digits beginning with a Land (01 to 16), or a municipality key of 8 digits, are wanted"
    )]
    Region(String),
}

impl KeyError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Service(_) => "service_key_invalid",
            Self::Region(_) => "region_key_invalid",
        }
    }
}

impl FromStr for ServiceKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let digits = text.strip_prefix("urn:de:fim:leika:leistung:").unwrap_or(text);
        match digits.len() == 14 && digits.starts_with("99") && is_digits(digits) {
            true => Ok(Self(digits.to_owned())),
            false => Err(KeyError::Service(text.to_owned())),
        }
    }
}

impl FromStr for Region {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let land = text.get(..2).and_then(|land| land.parse::<u8>().ok());
        let good = matches!(text.len(), 2 | 3 | 5 | 9 | 12)
            && is_digits(text)
            && land.is_some_and(|land| (1..=16).contains(&land));
        match good {
            true => Ok(Self(text.to_owned())),
            false => Err(KeyError::Region(text.to_owned())),
        }
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

impl fmt::Display for ServiceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Region {
    /// Whether the other one lies in it.
    pub fn contains(&self, other: &Self) -> bool {
        other.0.starts_with(&self.0)
    }
}

/// An authority that may be competent, and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Suggestion {
    /// The member.
    pub member: MemberId,
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: Reason,
}

/// Why an authority is suggested.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Reason {
    /// The service that was asked for.
    pub service: ServiceKey,
    /// Whether its rule names that service, or all.
    pub named: bool,
    /// The region of the rule.
    pub region: Region,
    /// The place that was asked for, after successors.
    pub place: Region,
    /// The key that was asked for, where it was another one: an ended key, or a municipality key.
    pub asked: Option<String>,
    /// Since when the rule holds.
    pub since: Date,
    /// Where the rule comes from.
    pub source: String,
}

impl Reason {
    /// The reason in a sentence.
    pub fn in_words(&self, language: Language) -> String {
        let Self {
            service,
            named,
            region,
            place,
            asked,
            since,
            source,
        } = self;
        match language {
            Language::German => {
                let what = match named {
                    true => format!("die Leistung {service}"),
                    false => format!("alle Leistungen, also auch {service},"),
                };
                let asked = asked
                    .as_ref()
                    .map(|key| format!(" (gesucht unter {key})"))
                    .unwrap_or_default();
                format!(
                    "Zuständig für {what} in der Region {region}, in der {place}{asked} liegt, seit {since}. Quelle: {source}."
                )
            }
            Language::English => {
                let what = match named {
                    true => format!("the service {service}"),
                    false => format!("all services, so for {service} too,"),
                };
                let asked = asked
                    .as_ref()
                    .map(|key| format!(" (asked for as {key})"))
                    .unwrap_or_default();
                format!(
                    "Competent for {what} in the region {region}, in which {place}{asked} lies, since {since}. Source: {source}."
                )
            }
        }
    }
}
