//! Whether the leaf of a companion is in its log: what a proof in it proves, and what a wrong one means.

use super::{Judge, weight};
use crate::container::Companion;
use crate::container::report::{InclusionFacts, InstantSource, Reason, Verdict, WitnessFacts};
use crate::log::Leaf;
use crate::log::binding::{Binding, BindingError};
use crate::log::inclusion::{InclusionError, ProvenLeaf, verify_leaf};
use crate::log::proof::LogProof;
use crate::trust::TrustSet;
use kontor_pki::time::UnixTime;

impl Judge<'_> {
    /// Judges the proof of a companion; `None` where it has none, or one that does not hold.
    pub(super) fn inclusion(&mut self, companion: &Companion, leaf: &Leaf) -> Option<InclusionFacts> {
        let proof = companion.proof.as_ref()?;
        match proven(leaf, &companion.leaf, proof, &companion.keys, self.question.trust) {
            Ok((facts, mut notes)) => {
                self.report.notes.append(&mut notes);
                Some(facts)
            }
            Err(reason) => {
                self.refuse(reason.verdict, &reason.code, reason.text);
                None
            }
        }
    }
}

/// What a proof proves of a leaf, with notes; or what it means that it proves nothing.
pub(crate) fn proven(
    leaf: &Leaf,
    leaf_bytes: &[u8],
    proof: &LogProof,
    keys: &[Binding],
    trust: &TrustSet,
) -> Result<(InclusionFacts, Vec<String>), Reason> {
    match verify_leaf(leaf, leaf_bytes, proof, keys, trust) {
        Ok(proven) => {
            let uncounted = proven.unbound().iter().map(|name| {
                format!("the co-signature of {name} was not counted: its key is not bound to a member")
            });
            Ok((facts(&proven), uncounted.collect()))
        }
        Err(error) => Err(Reason {
            code: error.code().into(),
            text: error.to_string(),
            verdict: meaning(&error),
        }),
    }
}

/// Without a key that somebody answers for nothing is contradicted; everything else is.
fn meaning(error: &InclusionError) -> Verdict {
    match error {
        InclusionError::KeyMissing(_) | InclusionError::Key(BindingError::Member { .. }) => {
            Verdict::Undecided
        }
        InclusionError::Key(BindingError::Verify(error)) => weight(error, InstantSource::SigningTime),
        InclusionError::Key(BindingError::Malformed(_) | BindingError::Signature(_))
        | InclusionError::OtherLog(_)
        | InclusionError::OtherNumber { .. }
        | InclusionError::Proof(_) => Verdict::Invalid,
    }
}

fn facts(proven: &ProvenLeaf) -> InclusionFacts {
    let tree = proven.checkpoint().checkpoint();
    InclusionFacts {
        origin: tree.origin().to_owned(),
        size: tree.size(),
        root: super::hex(tree.root()),
        server: proven.origin().server.clone(),
        member: proven.answers().member().clone(),
        witnesses: proven
            .witnesses()
            .iter()
            .map(|witness| WitnessFacts {
                server: witness.server.clone(),
                member: witness.member.clone(),
                at: second(witness.second),
            })
            .collect(),
    }
}

/// An instant of a format that counts seconds; those that no calendar has are cut.
pub(super) fn second(second: u64) -> UnixTime {
    const LAST: i64 = i64::MAX / 1000;
    UnixTime::from_secs(i64::try_from(second).unwrap_or(LAST).min(LAST))
}
