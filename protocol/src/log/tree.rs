//! The Merkle tree over leaves (RFC 6962, section 2.1). Owns its hashes, the root of a growing tree and the names of its
//! complete subtrees; `tree/proof.rs` makes and verifies proofs.
//!
//! Nothing here keeps the tree: whoever does hands out hashes of complete subtrees as a [`HashSource`], from tiles
//! ([`super::tile`]) or otherwise. A proof reads at most 128 of them, whatever the size of the tree.

mod proof;
#[cfg(test)]
mod tests;

pub use self::proof::{
    InvalidProof, OutOfRange, PROOF_LIMIT, ProofError, consistency_proof, consistency_subtrees,
    inclusion_proof, inclusion_subtrees, root, verify_consistency, verify_inclusion,
};

use kontor_pki::crypto::sha256;

/// A node of the tree.
pub type Hash = [u8; 32];

/// The most leaves that a tree may have: sizes fit the signed numbers of other implementations, and no proof has more than
/// [`PROOF_LIMIT`] hashes.
pub const SIZE_LIMIT: u64 = 1 << 62;

/// Hash of a leaf: SHA-256(0x00 ‖ leaf).
#[must_use]
pub fn leaf_hash(leaf: &[u8]) -> Hash {
    // Leaves are short; those of ours that are not still get their hash, by way of the heap.
    let mut short = [0; 1024];
    if let Some(room) = short.get_mut(1..=leaf.len()) {
        room.copy_from_slice(leaf);
        return sha256(&short[..=leaf.len()]);
    }
    let mut input = Vec::with_capacity(1 + leaf.len());
    input.push(0);
    input.extend(leaf);
    sha256(&input)
}

/// Hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut input = [1; 65];
    input[1..33].copy_from_slice(left);
    input[33..].copy_from_slice(right);
    sha256(&input)
}

/// The root of the tree without leaves: SHA-256 of nothing.
#[must_use]
pub fn empty_root() -> Hash {
    sha256(&[])
}

/// A complete subtree: the `2^level` leaves from number `index · 2^level` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subtree {
    /// Its height; 0 is a leaf. At most 63.
    pub level: u8,
    /// Its place among the subtrees of this height, from 0.
    pub index: u64,
}

impl Subtree {
    /// Whether a tree of this size has it.
    #[must_use]
    pub fn is_in(self, size: u64) -> bool {
        self.level < 64 && self.index < size >> self.level
    }
}

/// Who keeps a tree: hands out the hash of any complete subtree of it.
///
/// Takes `&mut self` so that a source may keep what it has read; it is asked for neighbours in turn.
pub trait HashSource {
    /// Why there is no hash.
    type Error;

    /// The hash of a subtree. Only subtrees of the tree that a proof is about are asked for.
    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Self::Error>;
}

impl<E, F: FnMut(Subtree) -> Result<Hash, E>> HashSource for F {
    type Error = E;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, E> {
        self(subtree)
    }
}

/// Hashes that are no frontier of the size said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of this size has another number of complete subtrees at its edge")]
pub struct InvalidFrontier;

/// A tree that only grows: keeps one hash for each complete subtree at its edge, so at most 64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    /// Roots of the complete subtrees, largest first: one for each bit set in `size`.
    subtrees: Vec<Hash>,
}

impl Frontier {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The tree with these subtrees at its edge, largest first, as [`subtrees`](Self::subtrees) gives them.
    ///
    /// # Errors
    /// Another number of hashes than such a tree has.
    pub fn from_subtrees(size: u64, subtrees: Vec<Hash>) -> Result<Self, InvalidFrontier> {
        if subtrees.len() == size.count_ones() as usize {
            Ok(Self { size, subtrees })
        } else {
            Err(InvalidFrontier)
        }
    }

    /// The first `size` leaves of a kept tree, by at most 64 reads.
    ///
    /// # Errors
    /// What the source says.
    pub fn load<S: HashSource>(size: u64, source: &mut S) -> Result<Self, S::Error> {
        let mut subtrees = Range { start: 0, end: size }
            .subtrees()
            .map(|subtree| source.hash(subtree))
            .collect::<Result<Vec<_>, _>>()?;
        subtrees.reverse();
        Ok(Self { size, subtrees })
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Roots of the complete subtrees at the edge, largest first.
    #[must_use]
    pub fn subtrees(&self) -> &[Hash] {
        &self.subtrees
    }

    /// Appends the hash of a leaf: two hashes of work on average, no allocation but for the first few.
    pub fn push(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            let left = self
                .subtrees
                .pop()
                .expect("one subtree for each bit set in the size");
            node = node_hash(&left, &node);
        }
        self.subtrees.push(node);
        self.size += 1;
    }

    /// The root; of the empty tree SHA-256 of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.subtrees.iter().rev();
        let Some(last) = subtrees.next() else {
            return empty_root();
        };
        subtrees.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Leaves `start` to `end`, not counting `end`, as the standard splits a tree: `start` is a multiple of a power of two
/// that is not smaller than the largest one within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: u64,
    end: u64,
}

impl Range {
    /// The complete subtrees that the range consists of, from right to left.
    fn subtrees(self) -> impl Iterator<Item = Subtree> {
        let (leaves, mut at) = (self.end - self.start, self.end);
        (0..64)
            .filter(move |level| leaves >> level & 1 == 1)
            .map(move |level| {
                at -= 1 << level;
                Subtree {
                    level,
                    index: at >> level,
                }
            })
    }

    /// Where the standard splits it: the largest power of two that is smaller than the number of leaves, at least 2.
    fn middle(self) -> u64 {
        self.start + (1 << (63 - (self.end - self.start - 1).leading_zeros()))
    }

    fn hash<S: HashSource>(self, source: &mut S) -> Result<Hash, S::Error> {
        let mut subtrees = self.subtrees();
        let Some(last) = subtrees.next() else {
            return Ok(empty_root());
        };
        let last = source.hash(last)?;
        subtrees.try_fold(last, |right, left| Ok(node_hash(&source.hash(left)?, &right)))
    }
}
