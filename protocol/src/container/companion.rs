//! `NAME.leaf.json`: ties an exported container to a leaf of a message log (evidence 1).
//!
//! Owns the JSON form: `format` is 1, `leaf` and `salt` are base64, `parts` lists what the leaf commits to. `absent`
//! says why the log did not have some of them any more. Two fields may be missing, as they are until the log has signed a checkpoint: `proof`, the text of [`LogProof`] with its checkpoint, and
//! `keys`, the [bindings](Binding) of the keys that signed it. Fields of later versions are ignored.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::limits;
use crate::log::binding::{Binding, BindingError, BindingJson};
use crate::log::proof::{LogProof, LogProofError};
use crate::log::{LEAF_LIMIT, Leaf, LeafError, ListedPart, commitment, encode_parts};

const FORMAT: u32 = 1;

/// A leaf with what is needed to recompute its commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Companion {
    /// The bytes that are in the tree.
    pub leaf: Vec<u8>,
    /// The salt of the commitment.
    pub salt: [u8; 32],
    /// What was logged first.
    pub parts: Vec<ListedPart>,
    /// That the leaf is in its log.
    pub proof: Option<LogProof>,
    /// Who answers for the keys of log and witnesses.
    pub keys: Vec<Binding>,
    /// Parts that the log had no more when the container was made, as its operator says: a reason, not a proof.
    pub absent: Vec<Absent>,
}

/// A part that is not there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Absent {
    /// For example `attachment1`.
    pub name: String,
    /// A stable word: why.
    pub code: String,
    /// The same as a sentence.
    pub text: String,
}

/// Why a companion says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompanionError {
    /// Salt and list do not give the commitment of the leaf: they belong to another entry.
    #[error("the leaf commits to something else than the list beside it")]
    Commitment,
    /// The binding of a key that cannot be read.
    #[error(transparent)]
    Key(#[from] BindingError),
    /// A leaf that cannot be read.
    #[error("{0}")]
    Leaf(#[from] LeafError),
    /// Not the JSON of a companion.
    #[error("the file is no companion of a container: {0}")]
    Malformed(String),
    /// A proof that cannot be read.
    #[error(transparent)]
    Proof(#[from] LogProofError),
}

impl CompanionError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Commitment => "leaf_commitment",
            Self::Key(error) => error.code(),
            Self::Leaf(error) => error.code(),
            Self::Malformed(_) => "malformed_companion",
            Self::Proof(error) => error.code(),
        }
    }
}

#[derive(serde::Serialize, serde::Deserialize)]
struct Json {
    format: u32,
    leaf: String,
    salt: String,
    parts: Vec<JsonPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    proof: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    keys: Vec<BindingJson>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    absent: Vec<Absent>,
}

#[derive(serde::Serialize, serde::Deserialize)]
struct JsonPart {
    name: String,
    length: u64,
    sha512: String,
}

impl Companion {
    /// Reads the file.
    ///
    /// # Errors
    /// What is not such a file.
    pub fn from_json(bytes: &[u8]) -> Result<Self, CompanionError> {
        let malformed = |what: &str| CompanionError::Malformed(what.to_owned());
        if bytes.len() > limits::CONTAINER_ENTRY {
            return Err(malformed("it is too large"));
        }
        let json: Json = serde_json::from_slice(bytes).map_err(|e| malformed(&e.to_string()))?;
        if json.format != FORMAT {
            return Err(malformed(
                "it has another format than 1; a newer program may read it",
            ));
        }
        let decode = |text: &str| {
            STANDARD
                .decode(text)
                .map_err(|_| malformed("something is not base64"))
        };
        let leaf = decode(&json.leaf)?;
        if leaf.len() > LEAF_LIMIT
            || json.parts.len() > usize::from(u16::MAX)
            || json.keys.len() > limits::NOTE_SIGNATURES
        {
            return Err(malformed("it is too large"));
        }
        let salt = decode(&json.salt)?
            .try_into()
            .map_err(|_| malformed("the salt has another length"))?;
        let mut parts = Vec::new();
        for part in json.parts {
            if part.name.len() > limits::CONTAINER_NAME {
                return Err(malformed("a part has too long a name"));
            }
            let digest = decode(&part.sha512)?
                .try_into()
                .map_err(|_| malformed("a digest has another length"))?;
            parts.push(ListedPart {
                name: part.name,
                length: part.length,
                digest,
            });
        }
        let proof = json.proof.map(|text| LogProof::parse(text.as_bytes()));
        let keys = json.keys.iter().map(Binding::from_value);
        Ok(Self {
            leaf,
            salt,
            parts,
            proof: proof.transpose()?,
            keys: keys.collect::<Result<_, _>>()?,
            absent: json.absent,
        })
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let parts = self.parts.iter().map(|part| JsonPart {
            name: part.name.clone(),
            length: part.length,
            sha512: STANDARD.encode(part.digest),
        });
        let json = Json {
            format: FORMAT,
            leaf: STANDARD.encode(&self.leaf),
            salt: STANDARD.encode(self.salt),
            parts: parts.collect(),
            proof: self.proof.as_ref().map(LogProof::to_text),
            keys: self.keys.iter().map(Binding::to_value).collect(),
            absent: self.absent.clone(),
        };
        let mut text = serde_json::to_vec_pretty(&json).expect("strings and numbers always serialise");
        text.push(b'\n');
        text
    }

    /// The leaf, if the list beside it is the one it commits to.
    ///
    /// # Errors
    /// A leaf that cannot be read, or that commits to something else.
    pub fn verified_leaf(&self) -> Result<Leaf, CompanionError> {
        let leaf = Leaf::parse(&self.leaf)?;
        let parts: Vec<_> = self.parts.iter().map(ListedPart::as_part).collect();
        if commitment(&self.salt, &encode_parts(&parts)) == leaf.commitment {
            Ok(leaf)
        } else {
            Err(CompanionError::Commitment)
        }
    }
}
