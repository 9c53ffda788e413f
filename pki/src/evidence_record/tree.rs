//! Hash trees over the digests of many objects, and the part of one that proves a single object (RFC 4998 4).

use super::EvidenceError;
use crate::crypto::{self, DigestAlgorithm};

/// A tree over groups of digests; one group for each object, of one digest for each of its data.
///
/// Groups of several digests are hashed first. Then values are paired; a value without a neighbour moves up as it is.
/// Lists are sorted before they are hashed, as the standard wants it, so the order of groups does not matter to a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTree {
    algorithm: DigestAlgorithm,
    groups: Vec<Vec<Vec<u8>>>,
    /// Leaves first.
    levels: Vec<Vec<Vec<u8>>>,
}

impl HashTree {
    /// Builds a tree. All digests are by `algorithm`.
    ///
    /// # Errors
    /// No group, an empty group, a weak digest, or a value of another length than the algorithm's.
    pub fn new(algorithm: DigestAlgorithm, mut groups: Vec<Vec<Vec<u8>>>) -> Result<Self, EvidenceError> {
        if algorithm.is_weak() {
            return Err(EvidenceError::Malformed("a weak digest"));
        }
        if groups.is_empty() || groups.iter().any(Vec::is_empty) {
            return Err(EvidenceError::Malformed("a tree over nothing"));
        }
        if groups
            .iter()
            .flatten()
            .any(|digest| digest.len() != algorithm.len())
        {
            return Err(EvidenceError::Malformed("a digest of another length"));
        }
        let mut leaves = Vec::with_capacity(groups.len());
        for group in &mut groups {
            group.sort();
            leaves.push(group_value(algorithm, group.clone())?);
        }
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let mut above = Vec::with_capacity(below.len().div_ceil(2));
            for pair in below.chunks(2) {
                above.push(match pair {
                    [alone] => alone.clone(),
                    both => {
                        let mut both = both.to_vec();
                        both.sort();
                        node(algorithm, &both)?
                    }
                });
            }
            levels.push(above);
        }
        Ok(Self {
            algorithm,
            groups,
            levels,
        })
    }

    /// The digest algorithm.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The message imprint to be stamped.
    pub fn root(&self) -> &[u8] {
        self.levels
            .last()
            .and_then(|top| top.first())
            .expect("a tree has a root")
    }

    /// The neighbours on the way of the group at this place to the root, from below; `None` beyond the last. With the
    /// group they are its [`ReducedTree::leading`], so that a tree can be kept by its leaves alone, and trees can be put
    /// one under the other.
    pub fn siblings(&self, place: usize) -> Option<Vec<Vec<u8>>> {
        self.groups.get(place)?;
        let levels = self.levels.iter().enumerate();
        let neighbours = levels.filter_map(|(height, level)| level.get((place >> height) ^ 1));
        Some(neighbours.cloned().collect())
    }

    /// The way of the group at this place to the root; `None` beyond the last.
    pub fn reduced(&self, place: usize) -> Option<ReducedTree> {
        let group = self.groups.get(place)?;
        let siblings = self.siblings(place)?;
        Some(ReducedTree::of(self.algorithm, group.clone(), siblings))
    }
}

/// The lists of a tree that lead from one group to the root; empty where the digest itself was stamped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReducedTree {
    pub(super) algorithm: DigestAlgorithm,
    pub(super) lists: Vec<Vec<Vec<u8>>>,
}

impl ReducedTree {
    /// The digest algorithm.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }

    /// The way of a group of digests over these neighbours, from below, to a root.
    ///
    /// # Errors
    /// An empty group, or a value of another length than the algorithm's.
    pub fn leading(
        algorithm: DigestAlgorithm,
        group: Vec<Vec<u8>>,
        siblings: Vec<Vec<u8>>,
    ) -> Result<Self, EvidenceError> {
        if group.is_empty() {
            return Err(EvidenceError::Malformed("a tree over nothing"));
        }
        let mut values = group.iter().chain(&siblings);
        if values.any(|value| value.len() != algorithm.len()) {
            return Err(EvidenceError::Malformed("a digest of another length"));
        }
        Ok(Self::of(algorithm, group, siblings))
    }

    fn of(algorithm: DigestAlgorithm, mut group: Vec<Vec<u8>>, siblings: Vec<Vec<u8>>) -> Self {
        group.sort();
        let mut lists = Vec::new();
        // What is to be joined by its neighbour: the digest itself, or the value of a list, which the list stands for.
        let mut open = match group.as_slice() {
            [_] => group.pop(),
            _ => {
                lists.push(group);
                None
            }
        };
        for neighbour in siblings {
            let mut list: Vec<_> = open.take().into_iter().chain([neighbour]).collect();
            list.sort();
            lists.push(list);
        }
        Self { algorithm, lists }
    }

    /// The root that these digests lead to; `None` if they are not in the first list, or, where they are to be the
    /// `whole` group, not all of it (RFC 4998 4.3).
    pub(super) fn root_from(&self, digests: &[&[u8]], whole: bool) -> Result<Option<Vec<u8>>, EvidenceError> {
        let mut lists = self.lists.iter();
        let Some(first) = lists.next() else {
            return Ok(match digests {
                [single] => Some(single.to_vec()),
                _ => None,
            });
        };
        let there = digests.iter().all(|digest| first.iter().any(|one| one == digest));
        let only = first.iter().all(|one| digests.iter().any(|digest| one == digest));
        if digests.is_empty() || !there || (whole && !only) {
            return Ok(None);
        }
        let mut value = join(self.algorithm, first.clone())?;
        for list in lists {
            let mut list = list.clone();
            list.push(value);
            value = join(self.algorithm, list)?;
        }
        Ok(Some(value))
    }
}

/// The value of a group of digests as a leaf of a tree: a single one stands for itself, several are hashed together.
///
/// # Errors
/// A digest that this build does not have.
pub fn group_value(algorithm: DigestAlgorithm, mut group: Vec<Vec<u8>>) -> Result<Vec<u8>, EvidenceError> {
    match group.as_slice() {
        [_] => Ok(group.pop().unwrap_or_default()),
        _ => join(algorithm, group),
    }
}

/// Sorted, one after another, hashed.
fn join(algorithm: DigestAlgorithm, mut values: Vec<Vec<u8>>) -> Result<Vec<u8>, EvidenceError> {
    values.sort();
    node(algorithm, &values)
}

fn node(algorithm: DigestAlgorithm, sorted: &[Vec<u8>]) -> Result<Vec<u8>, EvidenceError> {
    Ok(crypto::digest(algorithm, &sorted.concat())?)
}
