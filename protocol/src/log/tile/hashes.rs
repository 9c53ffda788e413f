//! Hashes of subtrees from tiles: what a proof is made of when the tree is kept as tiles.

use super::Tile;
use crate::log::tree::{Hash, HashSource, Subtree};

/// Tiles that are kept while a proof is made: both edges of two trees.
const KEPT: usize = 32;

/// Who keeps tiles.
pub trait TileSource {
    /// Why there is no tile.
    type Error;

    /// The bytes of a tile. They may be those of a wider one at the same place: a full tile begins as the partial one.
    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, Self::Error>;
}

impl<E, F: FnMut(Tile) -> Result<Vec<u8>, E>> TileSource for F {
    type Error = E;

    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, E> {
        self(tile)
    }
}

/// Why a hash cannot be had from tiles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileHashError<E> {
    /// The source has no such tile.
    #[error("the tile {tile} cannot be read: {error}")]
    Source {
        /// The tile.
        tile: Tile,
        /// What the source says.
        error: E,
    },
    /// The source has too little.
    #[error("the tile {0} is too short")]
    Length(Tile),
    /// A subtree beyond the tree.
    #[error("a tree of {size} leaves has no subtree {subtree:?}")]
    OutOfRange {
        /// What was asked for.
        subtree: Subtree,
        /// Leaves of the tree.
        size: u64,
    },
}

/// The hashes of a tree of a given size, from its tiles. Each tile is read once.
#[derive(Debug)]
pub struct TileHashes<S> {
    size: u64,
    source: S,
    kept: Vec<(Tile, Vec<u8>)>,
}

impl<S: TileSource> TileHashes<S> {
    /// The tree of the first `size` leaves.
    pub fn new(size: u64, source: S) -> Self {
        Self {
            size,
            source,
            kept: Vec::new(),
        }
    }
}

impl<S: TileSource> HashSource for TileHashes<S> {
    type Error = TileHashError<S::Error>;

    fn hash(&mut self, subtree: Subtree) -> Result<Hash, Self::Error> {
        let size = self.size;
        let tile = Tile::holding(subtree, size).ok_or(TileHashError::OutOfRange { subtree, size })?;
        let at = match self.kept.iter().position(|(kept, _)| *kept == tile) {
            Some(at) => at,
            None => {
                let bytes = self
                    .source
                    .tile(tile)
                    .map_err(|error| TileHashError::Source { tile, error })?;
                if self.kept.len() == KEPT {
                    self.kept.remove(0);
                }
                self.kept.push((tile, bytes));
                self.kept.len() - 1
            }
        };
        Tile::hash_in(&self.kept[at].1, subtree).ok_or(TileHashError::Length(tile))
    }
}
