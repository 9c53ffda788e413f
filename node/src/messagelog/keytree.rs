//! Keys that can be forgotten: one tree of keys per class of blob, retention class and month, of which a file holds the
//! root until entries are forgotten, and then what is left. Owns the arithmetic and the files below `log/keys`. A key that
//! is not derivable any more is an answer ("forgotten"), not an error.

mod file;
mod prune;
#[cfg(test)]
mod tests;

pub(crate) use file::{KeyName, KeyRing};

use kontor_pki::crypto::{self, AeadKey, OpenFailed};
use zeroize::Zeroizing;

use super::format::SEAL_OVERHEAD;

/// Levels below the root: a tree holds the keys of 2^32 entries.
const DEPTH: u8 = 32;

/// What a blob holds. Each class has trees of its own, so that each can be forgotten alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BlobClass {
    Head,
    Body,
    Evidence,
    /// Signature document of a batch; its key is random and stands in the evidence of its entries.
    Shared,
}

impl BlobClass {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Body => 2,
            Self::Evidence => 3,
            Self::Shared => 4,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Body => "body",
            Self::Evidence => "evidence",
            Self::Shared => "shared",
        }
    }
}

type Key = Zeroizing<[u8; 32]>;

/// A node whose key is known, and with it all keys below.
struct Node {
    depth: u8,
    /// The way to it from the root, as a number of `depth` bits.
    path: u32,
    key: Key,
}

impl Node {
    fn covers(&self, leaf: u32) -> bool {
        u64::from(leaf) >> (DEPTH - self.depth) == u64::from(self.path)
    }

    /// The first leaf below, and the one after the last.
    fn span(&self) -> (u64, u64) {
        let shift = DEPTH - self.depth;
        (u64::from(self.path) << shift, (u64::from(self.path) + 1) << shift)
    }
}

/// A tree, or what is left of it. Nodes are kept in the order of the leaves below them.
pub(crate) struct KeyTree {
    first: u64,
    nodes: Vec<Node>,
    walked: Option<Walked>,
}

/// The way to the last leaf asked for: the next one shares all of it but two steps on average.
struct Walked {
    leaf: u32,
    top: u8,
    keys: Box<[Key; DEPTH as usize + 1]>,
}

impl KeyTree {
    /// A new tree for entries from `first` on.
    pub(crate) fn generate(first: u64) -> Self {
        let root = Node {
            depth: 0,
            path: 0,
            key: Zeroizing::new(crypto::random()),
        };
        Self {
            first,
            nodes: vec![root],
            walked: None,
        }
    }

    fn leaf_of(&self, number: u64) -> Option<u32> {
        u32::try_from(number.checked_sub(self.first)?).ok()
    }

    fn node_above(&self, leaf: u32) -> Option<usize> {
        let after = self
            .nodes
            .partition_point(|node| node.span().0 <= u64::from(leaf));
        after
            .checked_sub(1)
            .filter(|index| self.nodes[*index].covers(leaf))
    }

    /// The key of an entry; `None` when it was forgotten or never was in this tree.
    pub(crate) fn entry_key(&mut self, number: u64) -> Option<Key> {
        let leaf = self.leaf_of(number)?;
        let node = &self.nodes[self.node_above(leaf)?];
        let (mut walked, mut depth) = match self.walked.take() {
            Some(walked) if node.covers(walked.leaf) && walked.top == node.depth => {
                let shared = u8::try_from((walked.leaf ^ leaf).leading_zeros()).unwrap_or(0);
                let depth = shared.max(node.depth);
                (walked, depth)
            }
            _ => {
                let mut keys = Box::new(std::array::from_fn(|_| Zeroizing::new([0; 32])));
                let start: &mut Key = &mut keys[usize::from(node.depth)];
                start.copy_from_slice(&*node.key);
                (
                    Walked {
                        leaf,
                        top: node.depth,
                        keys,
                    },
                    node.depth,
                )
            }
        };
        walked.leaf = leaf;
        while depth < DEPTH {
            let child = child(&walked.keys[usize::from(depth)], bit(leaf, depth));
            depth += 1;
            walked.keys[usize::from(depth)] = child;
        }
        let key = walked.keys[usize::from(DEPTH)].clone();
        self.walked = Some(walked);
        Some(key)
    }
}

/// The side of a leaf at one level, most significant bit first.
fn bit(leaf: u32, depth: u8) -> u8 {
    u8::from(leaf >> (DEPTH - 1 - depth) & 1 == 1)
}

fn child(parent: &Key, side: u8) -> Key {
    Zeroizing::new(crypto::hmac_sha256(&**parent, &[&[side]]))
}

/// The key that seals one blob of one entry.
pub(crate) fn blob_key(entry: &Key, class: BlobClass) -> AeadKey {
    let mut info = *b"kontor/log/blob/1\0";
    info[17] = class.code();
    AeadKey::new(&Zeroizing::new(crypto::hkdf_sha256::<32>(&**entry, &[], &info)))
}

/// What a sealed blob of an entry is bound to.
pub(crate) fn associated_data(log: &[u8; 32], number: u64, class: BlobClass, period: u32) -> [u8; 45] {
    let mut data = [0; 45];
    data[..32].copy_from_slice(log);
    data[32..40].copy_from_slice(&number.to_be_bytes());
    data[40] = class.code();
    data[41..].copy_from_slice(&period.to_be_bytes());
    data
}

/// Seals a blob in place. The nonce is random, so that a number that a crash gave out twice is safe.
pub(crate) fn seal(key: &AeadKey, associated: &[u8], nonce: [u8; 12], blob: &mut Vec<u8>) {
    key.seal(&nonce, associated, blob);
    blob.extend_from_slice(&nonce);
    blob.push(1);
}

/// Opens a sealed blob.
pub(crate) fn open(
    key: &AeadKey,
    associated: &[u8],
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, OpenFailed> {
    if sealed.len() < SEAL_OVERHEAD {
        return Err(OpenFailed);
    }
    let (rest, version) = sealed.split_at(sealed.len() - 1);
    let (sealed, nonce) = rest.split_at(rest.len() - 12);
    let nonce: [u8; 12] = nonce.try_into().map_err(|_| OpenFailed)?;
    if version != [1] {
        return Err(OpenFailed);
    }
    let mut blob = Zeroizing::new(sealed.to_vec());
    key.open(&nonce, associated, &mut blob)?;
    Ok(blob)
}
