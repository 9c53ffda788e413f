//! Whether the leaf of a companion is in its log: what a proof in it proves, and what a wrong one means.

use super::{Judge, weight};
use crate::container::Companion;
use crate::container::report::{InclusionFacts, InstantSource, Verdict, WitnessFacts};
use crate::log::Leaf;
use crate::log::binding::BindingError;
use crate::log::inclusion::{InclusionError, ProvenLeaf, verify_leaf};
use kontor_pki::time::UnixTime;

impl Judge<'_> {
    /// Judges the proof of a companion; `None` where it has none, or one that does not hold.
    pub(super) fn inclusion(&mut self, companion: &Companion, leaf: &Leaf) -> Option<InclusionFacts> {
        let proof = companion.proof.as_ref()?;
        match verify_leaf(leaf, &companion.leaf, proof, &companion.keys, self.question.trust) {
            Ok(proven) => {
                for name in proven.unbound() {
                    let note = format!(
                        "the co-signature of {name} was not counted: its key is not bound to a member"
                    );
                    self.report.notes.push(note);
                }
                Some(facts(&proven))
            }
            Err(error) => {
                self.refuse(meaning(&error), error.code(), error.to_string());
                None
            }
        }
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
