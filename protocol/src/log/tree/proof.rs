//! Inclusion and consistency proofs: made from a [`HashSource`] (RFC 6962, 2.1.1 and 2.1.2), verified by the algorithms
//! of RFC 9162, 2.1.3.2 and 2.1.4.2, which need neither recursion nor memory.

use super::{Hash, HashSource, Range, Subtree, empty_root, node_hash};

/// Hashes in a proof at most (C2SP tlog-witness): one more than the height of the largest tree.
pub const PROOF_LIMIT: usize = 63;

/// A proof about something that the tree does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// A leaf beyond the end.
    #[error("a tree of {size} leaves has no leaf {index}")]
    Leaf {
        /// The leaf asked for.
        index: u64,
        /// Leaves of the tree.
        size: u64,
    },
    /// An older tree that is larger than the newer.
    #[error("a tree of {new} leaves never had {old}")]
    Tree {
        /// Leaves of the older tree.
        old: u64,
        /// Leaves of the newer tree.
        new: u64,
    },
}

/// Why no proof was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The tree does not have what was asked for.
    #[error(transparent)]
    OutOfRange(OutOfRange),
    /// The source has no hash.
    #[error("a hash of the tree cannot be read: {0}")]
    Source(E),
}

impl<E> From<OutOfRange> for ProofError<E> {
    fn from(error: OutOfRange) -> Self {
        Self::OutOfRange(error)
    }
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// The leaf would be outside of the tree.
    #[error("the proof is about a leaf beyond the end of the tree")]
    Index,
    /// A tree does not become smaller.
    #[error("the older tree is larger than the newer one")]
    Sizes,
    /// Hashes are missing or left over.
    #[error("the proof has another number of hashes than sizes and index want")]
    Length,
    /// The hashes lead to another root of the older tree.
    #[error("the hashes of the proof do not lead to the root of the older tree")]
    OldRoot,
    /// The hashes lead to another root.
    #[error("the hashes of the proof do not lead to the root of the tree")]
    Root,
}

impl InvalidProof {
    /// A stable word for reports.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Index => "proof_index",
            Self::Sizes => "proof_sizes",
            Self::Length => "proof_length",
            Self::OldRoot => "proof_old_root",
            Self::Root => "proof_root",
        }
    }
}

/// The root of the first `size` leaves.
///
/// # Errors
/// What the source says.
pub fn root<S: HashSource>(size: u64, source: &mut S) -> Result<Hash, S::Error> {
    Range { start: 0, end: size }.hash(source)
}

/// Proves that leaf `index` is in the tree of the first `size` leaves: hashes from the leaf's sibling upwards.
///
/// # Errors
/// A leaf that this tree does not have, and what the source says.
pub fn inclusion_proof<S: HashSource>(
    index: u64,
    size: u64,
    source: &mut S,
) -> Result<Vec<Hash>, ProofError<S::Error>> {
    hashes(&inclusion_ranges(index, size)?, source)
}

/// Proves that the tree of the first `new` leaves begins with that of the first `old`. Empty if either is all there is.
///
/// # Errors
/// An older tree that is larger than the newer, and what the source says.
pub fn consistency_proof<S: HashSource>(
    old: u64,
    new: u64,
    source: &mut S,
) -> Result<Vec<Hash>, ProofError<S::Error>> {
    hashes(&consistency_ranges(old, new)?, source)
}

/// What [`inclusion_proof`] reads.
///
/// # Errors
/// A leaf that this tree does not have.
pub fn inclusion_subtrees(index: u64, size: u64) -> Result<Vec<Subtree>, OutOfRange> {
    Ok(inclusion_ranges(index, size)?
        .into_iter()
        .flat_map(Range::subtrees)
        .collect())
}

/// What [`consistency_proof`] reads.
///
/// # Errors
/// An older tree that is larger than the newer.
pub fn consistency_subtrees(old: u64, new: u64) -> Result<Vec<Subtree>, OutOfRange> {
    Ok(consistency_ranges(old, new)?
        .into_iter()
        .flat_map(Range::subtrees)
        .collect())
}

fn hashes<S: HashSource>(ranges: &[Range], source: &mut S) -> Result<Vec<Hash>, ProofError<S::Error>> {
    ranges
        .iter()
        .map(|range| range.hash(source).map_err(ProofError::Source))
        .collect()
}

/// PATH of RFC 6962, 2.1.1: at each split the half without the leaf.
fn inclusion_ranges(index: u64, size: u64) -> Result<Vec<Range>, OutOfRange> {
    if index >= size {
        return Err(OutOfRange::Leaf { index, size });
    }
    let mut rest = Range { start: 0, end: size };
    let mut ranges = Vec::new();
    while rest.end - rest.start > 1 {
        let middle = rest.middle();
        let (left, right) = halves(rest, middle);
        rest = if index < middle {
            ranges.push(right);
            left
        } else {
            ranges.push(left);
            right
        };
    }
    ranges.reverse();
    Ok(ranges)
}

/// SUBPROOF of RFC 6962, 2.1.2: at each split the half in which the older tree does not end.
fn consistency_ranges(old: u64, new: u64) -> Result<Vec<Range>, OutOfRange> {
    if old > new {
        return Err(OutOfRange::Tree { old, new });
    }
    let mut rest = Range { start: 0, end: new };
    let mut ranges = Vec::new();
    if old == 0 {
        return Ok(ranges);
    }
    while old != rest.end {
        let middle = rest.middle();
        let (left, right) = halves(rest, middle);
        rest = if old <= middle {
            ranges.push(right);
            left
        } else {
            ranges.push(left);
            right
        };
    }
    // Where the rest is the whole older tree, whoever verifies has its root already.
    if rest.start != 0 {
        ranges.push(rest);
    }
    ranges.reverse();
    Ok(ranges)
}

fn halves(range: Range, middle: u64) -> (Range, Range) {
    let left = Range {
        start: range.start,
        end: middle,
    };
    let right = Range {
        start: middle,
        end: range.end,
    };
    (left, right)
}

/// Whether the leaf with this hash is leaf `index` of the tree of `size` leaves with this root.
///
/// # Errors
/// Why that is not proven.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), InvalidProof> {
    if index >= size {
        return Err(InvalidProof::Index);
    }
    let (mut at, mut last) = (index, size - 1);
    let mut node = *leaf;
    for sibling in proof {
        if last == 0 {
            return Err(InvalidProof::Length);
        }
        if at & 1 == 1 || at == last {
            node = node_hash(sibling, &node);
            skip_lonely_levels(&mut at, &mut last);
        } else {
            node = node_hash(&node, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        Err(InvalidProof::Length)
    } else if node == *root {
        Ok(())
    } else {
        Err(InvalidProof::Root)
    }
}

/// Whether the tree of `new` leaves with root `new_root` begins with the tree of `old` leaves with root `old_root`.
///
/// Every tree begins with the empty one, and with itself: both take an empty proof.
///
/// # Errors
/// Why that is not proven.
pub fn verify_consistency(
    old: u64,
    old_root: &Hash,
    new: u64,
    new_root: &Hash,
    proof: &[Hash],
) -> Result<(), InvalidProof> {
    if old > new {
        return Err(InvalidProof::Sizes);
    }
    if old == 0 || old == new {
        let expected = if old == 0 { &empty_root() } else { new_root };
        return match proof {
            [] if old_root == expected => Ok(()),
            [] => Err(InvalidProof::OldRoot),
            _ => Err(InvalidProof::Length),
        };
    }
    // The root of an older tree that is complete stands first, unsaid.
    let said = if old.is_power_of_two() {
        std::slice::from_ref(old_root)
    } else {
        &[]
    };
    let mut hashes = said.iter().chain(proof);
    let Some(first) = hashes.next() else {
        return Err(InvalidProof::Length);
    };
    let (mut at, mut last) = (old - 1, new - 1);
    let shared = at.trailing_ones();
    (at, last) = (at >> shared, last >> shared);
    let (mut older, mut newer) = (*first, *first);
    for hash in hashes {
        if last == 0 {
            return Err(InvalidProof::Length);
        }
        if at & 1 == 1 || at == last {
            older = node_hash(hash, &older);
            newer = node_hash(hash, &newer);
            skip_lonely_levels(&mut at, &mut last);
        } else {
            newer = node_hash(&newer, hash);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last != 0 {
        Err(InvalidProof::Length)
    } else if older != *old_root {
        Err(InvalidProof::OldRoot)
    } else if newer != *new_root {
        Err(InvalidProof::Root)
    } else {
        Ok(())
    }
}

/// The last node of a level has no sibling while its number is even: it moves up as it is.
fn skip_lonely_levels(at: &mut u64, last: &mut u64) {
    // Not 0: the last node of a level that is not the root's.
    let levels = at.trailing_zeros();
    (*at, *last) = (*at >> levels, *last >> levels);
}
