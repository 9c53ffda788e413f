//! `NAME.statement.json`: what a log can still say of a message whose content is gone (evidence 3 and 4). Owns the JSON form;
//! `statement::judge` says what it proves.
//!
//! | Member | Content |
//! |---|---|
//! | `format` | 1 |
//! | `companion` | the companion of the entry, as beside a container, where its evidence is still there |
//! | `leaf`, `proof`, `keys` | else: the leaf (base64) and what ties it to its log, as in a companion |
//! | `deletions` | the entries that say what was deleted of it: `entry` (a companion), `fact` (`fact.json`, base64) and `numbers` (the entries concerned, base64 of [`NumberSet`]) |
//! | `absent` | parts that are not there for another reason, as the operator of the log says: a reason, not a proof |
//!
//! Members of later versions are ignored.

mod judge;
#[cfg(test)]
mod tests;

pub use self::judge::{DeletedFacts, Left, StatementReport, judge, left_of_evidence, left_of_leaf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::container::{Absent, Companion, CompanionError};
use crate::limits;
use crate::log::LEAF_LIMIT;
use crate::log::binding::{Binding, BindingJson};
use crate::log::numbers::NumberSet;
use crate::log::proof::LogProof;

const FORMAT: u32 = 1;
/// Deletions of one entry: one for each part, and those of an order beside them.
const DELETIONS: usize = 16;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The entry that it is about.
    pub entry: Entry,
    /// Entries that say what was deleted of it.
    pub deletions: Vec<Deletion>,
    /// Parts that are not there for another reason, as the operator says.
    pub absent: Vec<Absent>,
}

/// What is left of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// Its leaf and what the leaf commits to.
    Evidence(Companion),
    /// Its leaf alone.
    Leaf {
        /// The bytes that are in the tree.
        leaf: Vec<u8>,
        /// That it is in its log.
        proof: Option<LogProof>,
        /// Who answers for the keys of log and witnesses.
        keys: Vec<Binding>,
    },
}

/// An entry that records a deletion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletion {
    /// Its leaf and what that commits to.
    pub entry: Companion,
    /// `fact.json` of it.
    pub fact: Vec<u8>,
    /// The entries concerned, in the bytes that are committed to.
    pub numbers: Vec<u8>,
}

impl Deletion {
    /// The entries concerned.
    #[must_use]
    pub fn numbers(&self) -> Option<NumberSet> {
        NumberSet::parse(&self.numbers)
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Json {
    format: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    companion: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leaf: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<BindingJson>,
    deletions: Vec<JsonDeletion>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    absent: Vec<Absent>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct JsonDeletion {
    entry: Value,
    fact: String,
    numbers: String,
}

/// Why a file is no statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// Not the JSON of a statement.
    #[error("the file is no statement about a message: {0}")]
    Malformed(String),
    /// Something in it that companions have too.
    #[error(transparent)]
    Companion(#[from] CompanionError),
}

impl StatementError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_statement",
            Self::Companion(error) => error.code(),
        }
    }
}

fn malformed(what: &str) -> StatementError {
    StatementError::Malformed(what.to_owned())
}

fn decode(text: &str) -> Result<Vec<u8>, StatementError> {
    STANDARD
        .decode(text)
        .map_err(|_| malformed("something is not base64"))
}

fn companion(value: &Value) -> Result<Companion, CompanionError> {
    Companion::from_json(value.to_string().as_bytes())
}

fn value(companion: &Companion) -> Value {
    serde_json::from_slice(&companion.to_json()).expect("a companion writes JSON")
}

impl Statement {
    /// Reads the file.
    ///
    /// # Errors
    /// What is not such a file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, StatementError> {
        if bytes.len() > limits::CONTAINER_ENTRY {
            return Err(malformed("it is too large"));
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|error| malformed(&error.to_string()))?;
        if json.format != FORMAT {
            return Err(malformed(
                "it has another format than 1; a newer program may read it",
            ));
        }
        if json.deletions.len() > DELETIONS || json.keys.len() > limits::NOTE_SIGNATURES {
            return Err(malformed("it is too large"));
        }
        let entry = match (&json.companion, &json.leaf) {
            (Some(value), None) => Entry::Evidence(companion(value)?),
            (None, Some(leaf)) => {
                let leaf = decode(leaf)?;
                if leaf.len() > LEAF_LIMIT {
                    return Err(malformed("it is too large"));
                }
                let proof = json.proof.map(|text| LogProof::parse(text.as_bytes()));
                let keys: Result<_, _> = json.keys.iter().map(Binding::from_value).collect();
                Entry::Leaf {
                    leaf,
                    proof: proof.transpose().map_err(CompanionError::from)?,
                    keys: keys.map_err(CompanionError::from)?,
                }
            }
            _ => return Err(malformed("it has neither a companion nor a leaf, or both")),
        };
        let mut deletions = Vec::new();
        for deletion in &json.deletions {
            deletions.push(Deletion {
                entry: companion(&deletion.entry)?,
                fact: decode(&deletion.fact)?,
                numbers: decode(&deletion.numbers)?,
            });
        }
        Ok(Self {
            entry,
            deletions,
            absent: json.absent,
        })
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Json {
            format: FORMAT,
            companion: None,
            leaf: None,
            proof: None,
            keys: Vec::new(),
            deletions: Vec::new(),
            absent: self.absent.clone(),
        };
        match &self.entry {
            Entry::Evidence(companion) => json.companion = Some(value(companion)),
            Entry::Leaf { leaf, proof, keys } => {
                json.leaf = Some(STANDARD.encode(leaf));
                json.proof = proof.as_ref().map(LogProof::to_text);
                json.keys = keys.iter().map(Binding::to_value).collect();
            }
        }
        for deletion in &self.deletions {
            json.deletions.push(JsonDeletion {
                entry: value(&deletion.entry),
                fact: STANDARD.encode(&deletion.fact),
                numbers: STANDARD.encode(&deletion.numbers),
            });
        }
        let mut text = serde_json::to_vec_pretty(&json).expect("strings and numbers always serialise");
        text.push(b'\n');
        text
    }
}
