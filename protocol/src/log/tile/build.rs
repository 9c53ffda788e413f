//! Fills tiles as a tree grows: hands out each tile when it is full, and the partial ones at the edge when a checkpoint
//! is made. Keeps at most eight tiles of 8 KiB.

use super::{LEVELS, TILE_BYTES, Tile, TileKind, TileSource, complete_root, partial_tiles};
use crate::log::tree::{Hash, SIZE_LIMIT};

/// The edge of a tree as tiles.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TileBuilder {
    size: u64,
    /// The hashes of the partial tile of each level, fewer than 256 of them.
    levels: Vec<Vec<u8>>,
}

/// Why an edge was not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TileBuilderError<E> {
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
}

impl TileBuilder {
    /// The edge of the empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The edge of the tree of the first `size` leaves, by at most eight reads; tiles may be wider than asked for.
    ///
    /// # Errors
    /// What the source says, and tiles that are too short.
    pub fn load<S: TileSource>(size: u64, source: &mut S) -> Result<Self, TileBuilderError<S::Error>> {
        let mut builder = Self {
            size,
            levels: Vec::new(),
        };
        for tile in partial_tiles(size) {
            let bytes = source
                .tile(tile)
                .map_err(|error| TileBuilderError::Source { tile, error })?;
            let hashes = bytes
                .get(..32 * usize::from(tile.width()))
                .ok_or(TileBuilderError::Length(tile))?;
            builder.level(tile.kind().level()).extend(hashes);
        }
        Ok(builder)
    }

    /// How many leaves the tree has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the hash of a leaf; `full` is given each tile that it fills, with its bytes, lowest level first.
    ///
    /// Costs one more hash than nothing on average, and allocates only for the first tile of a level.
    pub fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile, &[u8])) {
        debug_assert!(self.size < SIZE_LIMIT, "no log comes near it");
        self.size += 1;
        let mut node = leaf;
        for level in 0..LEVELS {
            let size = self.size;
            let hashes = self.level(level);
            hashes.extend(node);
            if hashes.len() < TILE_BYTES {
                return;
            }
            let subtrees = size >> (super::HEIGHT * level);
            let index = (subtrees >> super::HEIGHT) - 1;
            let kind = TileKind::Hashes { level };
            let tile = Tile::new(kind, index, super::TILE_WIDTH).expect("its leaves are in the tree");
            full(tile, hashes);
            node = complete_root(hashes);
            hashes.clear();
        }
    }

    /// The partial tiles at the edge with their bytes, lowest level first.
    pub fn partial(&self) -> impl Iterator<Item = (Tile, &[u8])> {
        partial_tiles(self.size).into_iter().filter_map(|tile| {
            let hashes = self.levels.get(usize::from(tile.kind().level()))?;
            Some((tile, &hashes[..]))
        })
    }

    fn level(&mut self, level: u8) -> &mut Vec<u8> {
        let level = usize::from(level);
        while self.levels.len() <= level {
            self.levels.push(Vec::with_capacity(TILE_BYTES));
        }
        &mut self.levels[level]
    }
}
