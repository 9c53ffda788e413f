//! Identifiers of members, subsystems, services, servers and groups: parsed once, carried as types (wire 1).
//!
//! Owns the three spellings: the short string of logs and files (`DE/GOV/1001/PORTAL`, wire 1.4), the typed string of
//! fault texts (`SUBSYSTEM:DE/GOV/1001/PORTAL`), and the percent-encoded path form of REST (wire 1.3).
//!
//! Refuses empty fields, fields above [`limits::ID_FIELD`], and fields with `/` or control characters: with those the
//! short string, which is what people, logs and access rights see, could name somebody else. The other characters of
//! wire 1.5 are tolerated from peers as Java does; [`is_registrable`] judges them where a name is first entered.

mod member;
mod segment;
mod server;
mod service;
#[cfg(test)]
mod tests;

pub use member::{ClientId, GroupId, MemberId};
pub use segment::{decode as decode_segment, encode as encode_segment};
pub use server::ServerId;
pub use service::ServiceId;

use crate::limits;

/// What is wrong with the text of an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// A text with another number of pieces than this kind of identifier has.
    #[error("{kind} `{text}` must have {wanted} parts separated by `/`")]
    Pieces {
        /// What was to be read, for example `client`.
        kind: &'static str,
        /// How many parts it has, in words.
        wanted: &'static str,
        /// The text, shortened.
        text: String,
    },
    /// A field without characters.
    #[error("a part of the identifier is empty")]
    Empty,
    /// A field longer than [`limits::ID_FIELD`] bytes.
    #[error("a part of the identifier has more than {} bytes", limits::ID_FIELD)]
    TooLong,
    /// A field with `/` or a control character.
    #[error("a part of the identifier contains `/` or a control character")]
    Character,
    /// A path segment with an octet that must be escaped, a broken escape, or escapes that are not UTF-8.
    #[error("a part of the identifier is not validly percent-encoded")]
    Encoding,
}

/// Whether a field may be given to a new member, subsystem, service or server (wire 1.5).
///
/// Peers may use the characters this refuses; names entered at this node may not.
#[must_use]
pub fn is_registrable(field: &str) -> bool {
    checked(field).is_ok()
        && !field
            .chars()
            .any(|c| matches!(c, '%' | ':' | ';' | '\\' | '\u{200B}' | '\u{FEFF}'))
}

/// A field that is fit to stand in an identifier.
fn checked(field: &str) -> Result<String, InvalidId> {
    if field.is_empty() {
        return Err(InvalidId::Empty);
    }
    if field.len() > limits::ID_FIELD {
        return Err(InvalidId::TooLong);
    }
    if field.chars().any(|c| c == '/' || c.is_control()) {
        return Err(InvalidId::Character);
    }
    Ok(field.to_owned())
}

/// The beginning of a text for an error message: what came from outside may be long.
fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(100).collect()
}

/// Serde as the short string, so that files and JSON show what people read.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
use serde_as_text;
