//! What a participant answers: text, numbered points, conditions and attachments; and how the requester treats each point.
//!
//! Owns the form of statements and assessments and their bounds. How a statement is drafted, released and submitted is in [`work`],
//! how it travels in `delivery`.

pub mod assessment;
#[cfg(test)]
mod tests;
pub mod work;

use std::collections::BTreeSet;

use jiff::civil::Date;
use kontor_pki::crypto::sha256;
use serde::{Deserialize, Serialize};

use super::message::Kind;
use crate::application::manifest::Digest;
use crate::transfer::offer::Id;

pub use self::work::Submission;

/// Characters of a text.
pub const MAX_TEXT: usize = 200_000;
/// Characters of a topic, a role or a name.
pub const MAX_LINE: usize = 300;
/// Points of a statement.
pub const MAX_POINTS: usize = 1000;
/// Attachments of a statement.
pub const MAX_ATTACHMENTS: usize = 500;

/// What a point is about, among what was disclosed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reference {
    /// A file.
    File(String),
    /// A place in the form as it was disclosed, by indices.
    Form(Vec<usize>),
}

/// One point.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Point {
    /// 1, 2, 3 …
    pub number: u16,
    /// What about.
    pub topic: String,
    /// Which document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refers_to: Option<Reference>,
    /// What is said.
    pub text: String,
    /// The condition (Nebenbestimmung) that is proposed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
}

/// A statement.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Statement {
    /// The same for all versions.
    pub statement_id: Id,
    /// 1, 2, 3 …
    pub version: u32,
    /// What it says as a whole.
    pub kind: Kind,
    /// In words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Point by point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
    /// Ids of files that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<String>,
    /// Role and unit of who wrote it.
    pub author: String,
    /// Role and unit of who released it.
    pub released_by: String,
    /// Its date.
    pub dated: Date,
}

/// What is wrong with a statement.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StatementError {
    /// Not of this form.
    #[error("this is no statement: {0}")]
    Malformed(String),
    /// It says nothing.
    #[error("a statement of the kind {kind} needs {what}")]
    Empty {
        /// Its kind.
        kind: &'static str,
        /// What is missing.
        what: &'static str,
    },
    /// Points are not numbered one after the other.
    #[error("points are numbered 1, 2, 3 and so on; number {found} stands where {expected} is wanted")]
    Numbers {
        /// Which is there.
        found: u16,
        /// Which is wanted.
        expected: usize,
    },
    /// Larger than it may be.
    #[error("{what} has at most {most}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How much it may have.
        most: usize,
    },
    /// A point about what was not disclosed, or a file that is not there.
    #[error("{0} is not among the files that were disclosed or are attached; name one of them")]
    Reference(String),
}

impl StatementError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "statement_malformed",
            Self::Empty { .. } => "statement_empty",
            Self::Numbers { .. } => "statement_numbers",
            Self::TooLarge { .. } => "statement_too_large",
            Self::Reference(_) => "statement_reference",
        }
    }
}

impl Statement {
    /// Reads one.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, StatementError> {
        let statement: Self =
            serde_json::from_slice(bytes).map_err(|error| StatementError::Malformed(error.to_string()))?;
        statement.check(None)?;
        Ok(statement)
    }

    /// Its bytes, as they travel and are released.
    ///
    /// # Errors
    /// None that a statement has; serialisation says so.
    pub fn bytes(&self) -> Result<Vec<u8>, StatementError> {
        serde_json::to_vec(self).map_err(|error| StatementError::Malformed(error.to_string()))
    }

    /// SHA-256 of its bytes.
    ///
    /// # Errors
    /// As [`Self::bytes`].
    pub fn digest(&self) -> Result<Digest<32>, StatementError> {
        Ok(Digest(sha256(&self.bytes()?)))
    }

    /// Whether it can be submitted, and believed when it comes. `disclosed` are the files that its points may be about, where they
    /// are known.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, disclosed: Option<&BTreeSet<String>>) -> Result<(), StatementError> {
        let has_words =
            !self.text.trim().is_empty() || !self.points.is_empty() || !self.attachments.is_empty();
        let has_condition = self.points.iter().any(|point| point.condition.is_some());
        let missing = match self.kind {
            Kind::Statement | Kind::Refusal | Kind::DocumentsMissing => {
                (!has_words).then_some("a text, a point or an attachment")
            }
            Kind::ConsentWithConditions => (!has_condition).then_some("at least one proposed condition"),
            // One click is enough for them.
            Kind::NoObjection | Kind::NotAffected | Kind::Consent | Kind::NotCompetent => None,
        };
        if let Some(what) = missing {
            return Err(StatementError::Empty {
                kind: self.kind.name(),
                what,
            });
        }
        self.bounds()?;
        for (expected, point) in (1..).zip(&self.points) {
            if usize::from(point.number) != expected {
                return Err(StatementError::Numbers {
                    found: point.number,
                    expected,
                });
            }
            if let (Some(Reference::File(file)), Some(disclosed)) = (&point.refers_to, disclosed)
                && !disclosed.contains(file)
                && !self.attachments.contains(file)
            {
                return Err(StatementError::Reference(file.clone()));
            }
        }
        Ok(())
    }

    fn bounds(&self) -> Result<(), StatementError> {
        let texts = self.points.iter().flat_map(|point| {
            [
                point.text.as_str(),
                point.condition.as_deref().unwrap_or_default(),
            ]
        });
        let lines = self.points.iter().map(|point| point.topic.as_str());
        let longest = |texts: &mut dyn Iterator<Item = &str>| {
            texts.map(|text| text.chars().count()).max().unwrap_or_default()
        };
        let sizes = [
            (
                "a text",
                longest(&mut texts.chain([self.text.as_str()])),
                MAX_TEXT,
            ),
            (
                "a topic or a role",
                longest(&mut lines.chain([self.author.as_str(), self.released_by.as_str()])),
                MAX_LINE,
            ),
            ("a statement's list of points", self.points.len(), MAX_POINTS),
            (
                "a statement's list of attachments",
                self.attachments.len(),
                MAX_ATTACHMENTS,
            ),
        ];
        match sizes.into_iter().find(|(_, size, most)| size > most) {
            None => Ok(()),
            Some((what, _, most)) => Err(StatementError::TooLarge { what, most }),
        }
    }
}
