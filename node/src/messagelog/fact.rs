//! Entries that record a fact about the log or its node and not a message: start and stop, the configuration in force,
//! deletions, holds, looks, acts, keys and renewals. Owns what such an entry says: `fact.json`, whose members are documented
//! here, further documents, and the numbers concerned. All of it is committed to by the leaf.

use bytes::Bytes;
use kontor_protocol::log::{EntryKind as Kind, RetentionClass};
use serde::{Deserialize, Serialize};

use super::numbers::NumberSet;

/// The document that every fact has.
pub const FACT_DOCUMENT: &str = "fact.json";

/// What kind of fact an entry records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FactKind {
    /// A local decision that state cites.
    Act,
    /// The key that signs checkpoints, bound to the member.
    CheckpointKey,
    /// Which global configuration and which settings were in force.
    ConfigurationSnapshot,
    /// What was deleted, by which rule and on which ground.
    Deletion,
    /// Numbers that may not be deleted.
    Hold,
    /// The end of a hold.
    HoldReleased,
    /// Somebody looked at case data or at the log.
    Look,
    /// A renewal of time-stamps.
    Renewal,
    /// The node started.
    Start,
    /// The node stopped cleanly.
    Stop,
}

impl FactKind {
    pub(crate) fn in_leaf(self) -> Kind {
        match self {
            Self::Act => Kind::Act,
            Self::CheckpointKey => Kind::CheckpointKey,
            Self::ConfigurationSnapshot => Kind::ConfigurationSnapshot,
            Self::Deletion => Kind::Deletion,
            Self::Hold => Kind::Hold,
            Self::HoldReleased => Kind::HoldReleased,
            Self::Look => Kind::Look,
            Self::Renewal => Kind::Renewal,
            Self::Start => Kind::Start,
            Self::Stop => Kind::Stop,
        }
    }

    /// Deletions make room and a stop ends: a full disk must not keep either from being recorded.
    pub(crate) fn uses_reserve(self) -> bool {
        matches!(self, Self::Deletion | Self::Stop)
    }

    /// What is about the log itself names nobody and stays; looks are an access log.
    pub(crate) fn default_class(self) -> &'static str {
        match self {
            Self::Look => "access",
            Self::Act => "case",
            Self::CheckpointKey
            | Self::ConfigurationSnapshot
            | Self::Deletion
            | Self::Hold
            | Self::HoldReleased
            | Self::Renewal
            | Self::Start
            | Self::Stop => "permanent",
        }
    }
}

/// A fact to be recorded.
#[derive(Debug, Clone)]
pub struct Fact {
    pub(crate) kind: FactKind,
    pub(crate) documents: Vec<(String, Bytes)>,
    pub(crate) numbers: NumberSet,
    pub(crate) class: RetentionClass,
}

impl Fact {
    /// A fact of this kind that says this. `said` must serialise as a JSON object.
    pub fn new(kind: FactKind, said: &impl Serialize) -> Self {
        let document = serde_json::to_vec(said).expect("what facts say has string keys only");
        let class = kind.default_class().parse();
        Self {
            kind,
            documents: vec![(FACT_DOCUMENT.into(), document.into())],
            numbers: NumberSet::default(),
            class: class.expect("the names of default classes are well formed"),
        }
    }

    /// Adds a document, for example a key or a signature. Its name is at most 255 bytes long.
    #[must_use]
    pub fn with_document(mut self, name: &str, bytes: impl Into<Bytes>) -> Self {
        self.documents.push((name.into(), bytes.into()));
        self
    }

    /// Names the entries concerned.
    #[must_use]
    pub fn about(mut self, numbers: NumberSet) -> Self {
        self.numbers = numbers;
        self
    }
}

/// What a start says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The security server, INSTANCE/CLASS/CODE/SERVER.
    pub server: String,
    /// Version of the program.
    pub kontor: String,
    /// `production` or `test`.
    pub mode: String,
}

/// What a clean stop says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// Why, in a word: `asked`.
    pub reason: String,
}

/// What a configuration snapshot says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Each part of the global configuration in force, own instance and federated ones.
    pub global: Vec<SnapshotPart>,
    /// SHA-256 of the node's own configuration file, in hexadecimal.
    pub node_sha256: String,
}

/// One part of the global configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotPart {
    /// Whose.
    pub instance: String,
    /// File name, for example `shared-params.xml`.
    pub name: String,
    /// SHA-512 of the part, in hexadecimal.
    pub sha512: String,
    /// Bytes.
    pub length: u64,
    /// Version of the configuration format.
    pub version: u32,
    /// Until when it may be used, as far as somebody says.
    pub expires: Option<String>,
}

impl Snapshot {
    /// The snapshot without what moves when identical content is fetched anew.
    #[must_use]
    pub fn content(&self) -> Self {
        let mut content = self.clone();
        content.global.iter_mut().for_each(|part| part.expires = None);
        content
    }
}

/// What a look says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Looked {
    /// Who looked, by the name of the token or account, never a person's name where a pseudonym does.
    pub who: String,
    /// What was asked for, in words without content.
    pub what: String,
    /// On which ground.
    pub ground: String,
}

/// What an act says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Which act, in a word, for example `quarantine`.
    pub act: String,
    /// Who decided.
    pub who: String,
    /// On which ground.
    pub ground: String,
    /// What else the act says, by its kind.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
}

/// What is read back of a fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedFact {
    /// Number of its entry.
    pub number: u64,
    /// The kind in its leaf.
    pub kind: Kind,
    /// Its documents by name; the first is `fact.json`.
    pub documents: Vec<(String, Bytes)>,
    /// The entries concerned.
    pub numbers: NumberSet,
}

impl LoggedFact {
    /// What it says; `None` when the document has another shape, for example of a later version.
    pub fn said<T: for<'de> Deserialize<'de>>(&self) -> Option<T> {
        let (_, document) = self.documents.iter().find(|(name, _)| name == FACT_DOCUMENT)?;
        serde_json::from_slice(document).ok()
    }
}
