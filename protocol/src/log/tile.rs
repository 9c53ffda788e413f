//! Tiles: the tree cut into files of 256 hashes (C2SP tlog-tiles). Owns their names, what is in them and what a proof
//! needs of them; `tile/build.rs` fills them as the tree grows, `tile/hashes.rs` makes proofs from them.
//!
//! A tile of level `l` has the hashes of 256 neighbouring subtrees of 256^l leaves; 32 bytes each, nothing else. A tile at
//! the right edge is *partial*: it has fewer hashes, and its name says how many (`tile/0/x001/067.p/12`). An entry bundle
//! (`tile/entries/…`) has the leaves themselves of a tile of level 0: each its length (2 bytes) and its bytes.
//!
//! Names that come from outside have exactly one spelling here: [`Tile::parse`] refuses every other.

mod build;
mod hashes;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

pub use self::build::{TileBuilder, TileBuilderError};
pub use self::hashes::{TileHashError, TileHashes, TileSource};

use super::tree::{
    Hash, OutOfRange, SIZE_LIMIT, Subtree, consistency_subtrees, inclusion_subtrees, node_hash,
};

/// Hashes in a full tile.
pub const TILE_WIDTH: u16 = 256;
/// Bytes of a full tile.
pub const TILE_BYTES: usize = TILE_WIDTH as usize * 32;
/// Bytes of an entry bundle at most.
pub const BUNDLE_LIMIT: usize = TILE_WIDTH as usize * (2 + u16::MAX as usize);

/// Levels within a tile.
const HEIGHT: u8 = 8;
/// From this level on there is no tile: a tree of [`SIZE_LIMIT`] leaves has levels 0 to 7.
const LEVELS: u8 = 8;
/// The longest name: seven groups of digits, level and width.
const PATH_LIMIT: usize = 64;

/// What a tile holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of subtrees of 256^level leaves.
    Hashes {
        /// 0 for hashes of leaves; 7 at most.
        level: u8,
    },
    /// Leaves.
    Entries,
}

impl TileKind {
    fn level(self) -> u8 {
        match self {
            Self::Hashes { level } => level,
            Self::Entries => 0,
        }
    }
}

/// The name of a tile or an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tile {
    kind: TileKind,
    index: u64,
    width: u16,
}

/// Not the name of a tile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a tile; names look like tile/0/x001/067 or tile/entries/000.p/12")]
pub struct InvalidTile;

impl InvalidTile {
    /// A stable word for answers.
    #[must_use]
    pub const fn code(self) -> &'static str {
        "invalid_tile"
    }
}

impl Tile {
    /// A tile by its coordinates.
    ///
    /// # Errors
    /// A width of 0 or above 256, and places that no tree of [`SIZE_LIMIT`] leaves has.
    pub fn new(kind: TileKind, index: u64, width: u16) -> Result<Self, InvalidTile> {
        let level = kind.level();
        if level < LEVELS && (1..=TILE_WIDTH).contains(&width) {
            let tile = Self { kind, index, width };
            if index <= SIZE_LIMIT >> HEIGHT && tile.fits(SIZE_LIMIT) {
                return Ok(tile);
            }
        }
        Err(InvalidTile)
    }

    /// What it holds.
    #[must_use]
    pub const fn kind(self) -> TileKind {
        self.kind
    }

    /// Its place among the tiles of its level.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.index
    }

    /// How many hashes or leaves it has, 1 to 256.
    #[must_use]
    pub const fn width(self) -> u16 {
        self.width
    }

    /// Whether it has all there will ever be.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.width == TILE_WIDTH
    }

    /// The full tile at this place.
    #[must_use]
    pub const fn full(self) -> Self {
        Self {
            width: TILE_WIDTH,
            ..self
        }
    }

    /// Whether a tree of this size has everything that the tile holds.
    #[must_use]
    pub fn fits(self, size: u64) -> bool {
        let hashes = size >> (HEIGHT * self.kind.level());
        self.index <= hashes >> HEIGHT && (self.index << HEIGHT).saturating_add(self.width.into()) <= hashes
    }

    /// The number of the first leaf below it, and of the first one after it.
    #[must_use]
    pub fn leaves(self) -> std::ops::Range<u64> {
        let shift = HEIGHT * self.kind.level();
        let first = self.index << HEIGHT;
        first << shift..(first + u64::from(self.width)) << shift
    }

    /// The tile of a tree of `size` leaves that holds what is needed for this subtree, as wide as that tree makes it.
    ///
    /// `None` if the tree does not have the subtree.
    #[must_use]
    pub fn holding(subtree: Subtree, size: u64) -> Option<Self> {
        if !subtree.is_in(size) || size > SIZE_LIMIT {
            return None;
        }
        let level = subtree.level / HEIGHT;
        let index = subtree.index >> (HEIGHT - subtree.level % HEIGHT);
        let hashes = size >> (HEIGHT * level);
        let width = (hashes - (index << HEIGHT)).min(TILE_WIDTH.into());
        Some(Self {
            kind: TileKind::Hashes { level },
            index,
            width: u16::try_from(width).ok()?,
        })
    }

    /// The hash of a subtree, from the bytes of the tile that is [`holding`](Self::holding) it. `None` if they end before.
    #[must_use]
    pub fn hash_in(bytes: &[u8], subtree: Subtree) -> Option<Hash> {
        let inside = subtree.level % HEIGHT;
        let first = usize::try_from(subtree.index & ((1 << (HEIGHT - inside)) - 1)).ok()? << inside;
        let hashes = bytes.get(32 * first..32 * (first + (1 << inside)))?;
        Some(complete_root(hashes))
    }

    /// The name below the prefix of a log, `tile/0/x001/x234/067` or `tile/0/000.p/12`.
    #[must_use]
    pub fn path(self) -> String {
        self.to_string()
    }

    /// Reads a name.
    ///
    /// # Errors
    /// Every other spelling, and places that no tree has.
    pub fn parse(path: &str) -> Result<Self, InvalidTile> {
        path.parse()
    }
}

impl fmt::Display for Tile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes { level } => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let mut above = 1;
        while self.index / above >= 1000 {
            above *= 1000;
        }
        while above > 1 {
            write!(f, "x{:03}/", self.index / above % 1000)?;
            above /= 1000;
        }
        write!(f, "{:03}", self.index % 1000)?;
        if !self.is_full() {
            write!(f, ".p/{}", self.width)?;
        }
        Ok(())
    }
}

impl FromStr for Tile {
    type Err = InvalidTile;

    fn from_str(path: &str) -> Result<Self, InvalidTile> {
        if path.len() > PATH_LIMIT {
            return Err(InvalidTile);
        }
        let (kind, place) = path
            .strip_prefix("tile/")
            .and_then(|rest| rest.split_once('/'))
            .ok_or(InvalidTile)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes {
                level: level.parse().map_err(|_| InvalidTile)?,
            },
        };
        let (place, width) = match place.split_once(".p/") {
            Some((place, width)) => (place, width.parse().map_err(|_| InvalidTile)?),
            None => (place, TILE_WIDTH),
        };
        let mut index = 0_u64;
        for group in place.split('/') {
            let digits: u64 = group
                .strip_prefix('x')
                .unwrap_or(group)
                .parse()
                .map_err(|_| InvalidTile)?;
            index = index
                .checked_mul(1000)
                .and_then(|index| index.checked_add(digits))
                .ok_or(InvalidTile)?;
        }
        let tile = Self::new(kind, index, width)?;
        // One tile, one name: missing zeros, a sign, an `x` too many are other texts than this one.
        if tile.to_string() == path {
            Ok(tile)
        } else {
            Err(InvalidTile)
        }
    }
}

/// The tiles that a tree of `size` leaves has at its right edge but for full ones, lowest level first: what must be there
/// beside the full tiles when a checkpoint of this size is shown.
#[must_use]
pub fn partial_tiles(size: u64) -> Vec<Tile> {
    (0..LEVELS)
        .filter_map(|level| {
            let hashes = size >> (HEIGHT * level);
            let width = u16::try_from(hashes % u64::from(TILE_WIDTH)).ok()?;
            Tile::new(TileKind::Hashes { level }, hashes >> HEIGHT, width).ok()
        })
        .collect()
}

/// The tiles from which the inclusion of leaf `index` in the tree of `size` leaves is proven.
///
/// # Errors
/// A leaf that this tree does not have.
pub fn inclusion_tiles(index: u64, size: u64) -> Result<BTreeSet<Tile>, OutOfRange> {
    Ok(holding(inclusion_subtrees(index, size)?, size))
}

/// The tiles from which it is proven that the tree of `new` leaves begins with that of `old`.
///
/// # Errors
/// An older tree that is larger than the newer.
pub fn consistency_tiles(old: u64, new: u64) -> Result<BTreeSet<Tile>, OutOfRange> {
    Ok(holding(consistency_subtrees(old, new)?, new))
}

fn holding(subtrees: Vec<Subtree>, size: u64) -> BTreeSet<Tile> {
    subtrees
        .into_iter()
        .filter_map(|subtree| Tile::holding(subtree, size))
        .collect()
}

/// The root over 1, 2, 4 … 256 hashes.
fn complete_root(hashes: &[u8]) -> Hash {
    let (hashes, _) = hashes.as_chunks::<32>();
    if let [one] = hashes {
        return *one;
    }
    let mut nodes = [[0; 32]; TILE_WIDTH as usize / 2];
    let mut count = hashes.len() / 2;
    for (node, pair) in nodes.iter_mut().zip(hashes.chunks_exact(2)) {
        *node = node_hash(&pair[0], &pair[1]);
    }
    while count > 1 {
        count /= 2;
        for at in 0..count {
            nodes[at] = node_hash(&nodes[2 * at], &nodes[2 * at + 1]);
        }
    }
    nodes[0]
}

/// A leaf that is too long for an entry bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a leaf of {0} bytes does not fit into an entry bundle, which takes 65535")]
pub struct EntryTooLong(pub usize);

/// Appends a leaf to an entry bundle. Leaves of ours always fit ([`super::LEAF_LIMIT`]).
///
/// # Errors
/// More than 65535 bytes.
pub fn push_entry(bundle: &mut Vec<u8>, leaf: &[u8]) -> Result<(), EntryTooLong> {
    let length = u16::try_from(leaf.len()).map_err(|_| EntryTooLong(leaf.len()))?;
    bundle.extend(length.to_be_bytes());
    bundle.extend(leaf);
    Ok(())
}

/// Bytes that are no entry bundle of this width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the entry bundle does not have the entries that its name says")]
pub struct InvalidBundle;

/// The leaves of an entry bundle of `width` entries.
///
/// # Errors
/// Fewer or more entries, or bytes left over.
pub fn parse_bundle(bytes: &[u8], width: u16) -> Result<Vec<&[u8]>, InvalidBundle> {
    let mut rest = bytes;
    let mut leaves = Vec::with_capacity(width.min(TILE_WIDTH).into());
    for _ in 0..width {
        let (length, after) = rest.split_first_chunk::<2>().ok_or(InvalidBundle)?;
        let (leaf, after) = after
            .split_at_checked(u16::from_be_bytes(*length).into())
            .ok_or(InvalidBundle)?;
        leaves.push(leaf);
        rest = after;
    }
    if rest.is_empty() {
        Ok(leaves)
    } else {
        Err(InvalidBundle)
    }
}
