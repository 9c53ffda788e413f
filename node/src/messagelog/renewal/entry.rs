//! The entry of a renewal: a fact with these documents, beside the numbers concerned.
//!
//! | Document | Content |
//! |---|---|
//! | `fact.json` | `form`: `first`, `timestamp` or `tree`; `digest` of the tree, for example `SHA-512`; `ground` |
//! | `timestamp.tst` | the token over the root of the tree, DER, with the authority's certificate in it |
//! | `leaves` | a digest for each number concerned, in their order. For a group of several data objects it is the digest of their sorted digests |
//! | `path` | the neighbours from the root over these leaves to what is stamped, from below; empty when they are all |
//! | `stamps` | for `first`: the time-stamp entries that are dealt with, as a set of numbers like that of the numbers concerned |
//!
//! The numbers concerned are messages, and for `timestamp` entries of renewals. The tree over the leaves is that of
//! [`kontor_pki::evidence_record::HashTree`].

use kontor_pki::{
    crypto::DigestAlgorithm,
    evidence_record::{EvidenceError, HashTree, ReducedTree},
    timestamp::TimestampToken,
};
use serde::{Deserialize, Serialize};

use crate::messagelog::{
    fact::{Fact, FactKind, LoggedFact},
    numbers::NumberSet,
};

const TOKEN: &str = "timestamp.tst";
const LEAVES: &str = "leaves";
const PATH: &str = "path";
const STAMPS: &str = "stamps";

/// What a renewal is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    /// The data objects of messages, their own time-stamps among them.
    First,
    /// Tokens of renewals.
    Timestamp,
    /// The data objects of messages and what renewed them so far, by another digest.
    Tree,
}

/// What `fact.json` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Renewed {
    form: Form,
    digest: String,
    ground: String,
}

/// Leaves that stand in one entry.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) form: Form,
    pub(super) numbers: NumberSet,
    /// In the order of the numbers.
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) stamps: NumberSet,
}

impl Chunk {
    /// The tree over its leaves.
    pub(super) fn tree(&self, digest: DigestAlgorithm) -> Result<HashTree, EvidenceError> {
        HashTree::new(
            digest,
            self.leaves.iter().map(|leaf| vec![leaf.clone()]).collect(),
        )
    }

    /// The entry to be recorded. `path` leads from the root of its tree to what `token` is over.
    pub(super) fn fact(
        &self,
        digest: DigestAlgorithm,
        token: &TimestampToken,
        path: &[Vec<u8>],
        ground: &str,
    ) -> Fact {
        let said = Renewed {
            form: self.form,
            digest: digest.name().into(),
            ground: ground.into(),
        };
        let mut fact = Fact::new(FactKind::Renewal, &said)
            .with_document(TOKEN, token.der().to_vec())
            .with_document(LEAVES, self.leaves.concat())
            .with_document(PATH, path.concat())
            .about(self.numbers.clone());
        if !self.stamps.is_empty() {
            fact = fact.with_document(STAMPS, self.stamps.encode());
        }
        fact
    }
}

/// An entry as it is read back. Nothing of it is verified.
#[derive(Debug)]
pub(super) struct RenewalEntry {
    pub(super) form: Form,
    pub(super) digest: DigestAlgorithm,
    pub(super) token: TimestampToken,
    pub(super) numbers: NumberSet,
    pub(super) leaves: Vec<Vec<u8>>,
    pub(super) path: Vec<Vec<u8>>,
    pub(super) stamps: NumberSet,
}

impl RenewalEntry {
    /// `None` for what has another shape, for example of a later version.
    pub(super) fn read(fact: &LoggedFact) -> Option<Self> {
        let said: Renewed = fact.said()?;
        let document = |name: &str| {
            let found = fact.documents.iter().find(|(known, _)| known == name);
            found.map(|(_, bytes)| &bytes[..])
        };
        let digest = DigestAlgorithm::from_name(&said.digest).filter(|digest| !digest.is_weak())?;
        let values = |name: &str| {
            let bytes = document(name)?;
            let whole = bytes.len() % digest.len() == 0;
            whole.then(|| bytes.chunks(digest.len()).map(<[u8]>::to_vec).collect::<Vec<_>>())
        };
        let leaves = values(LEAVES)?;
        if leaves.is_empty() || leaves.len() as u64 != fact.numbers.len() {
            return None;
        }
        Some(Self {
            form: said.form,
            digest,
            token: TimestampToken::parse(document(TOKEN)?).ok()?,
            leaves,
            path: values(PATH)?,
            stamps: match document(STAMPS) {
                Some(bytes) => NumberSet::parse(bytes)?,
                None => NumberSet::default(),
            },
            numbers: fact.numbers.clone(),
        })
    }

    /// At which place a number stands.
    fn place(&self, number: u64) -> Option<usize> {
        let mut before = 0;
        for (first, end) in self.numbers.runs() {
            if (*first..*end).contains(&number) {
                return usize::try_from(before + number - first).ok();
            }
            before += end - first;
        }
        None
    }

    /// The way of a number's group of digests to what the token is over; `None` where it has no leaf here.
    pub(super) fn way(
        &self,
        tree: &HashTree,
        number: u64,
        group: Vec<Vec<u8>>,
    ) -> Result<Option<ReducedTree>, EvidenceError> {
        let Some(siblings) = self.place(number).and_then(|place| tree.siblings(place)) else {
            return Ok(None);
        };
        let siblings = siblings.into_iter().chain(self.path.iter().cloned()).collect();
        ReducedTree::leading(self.digest, group, siblings).map(Some)
    }

    /// The tree over its leaves.
    pub(super) fn tree(&self) -> Result<HashTree, EvidenceError> {
        HashTree::new(
            self.digest,
            self.leaves.iter().map(|leaf| vec![leaf.clone()]).collect(),
        )
    }
}
