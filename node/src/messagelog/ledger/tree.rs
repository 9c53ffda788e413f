//! The tree over all leaves, kept as one file of hashes for each level of tiles. Owns the files below `log/tree`; they can
//! be made again from the leaves, are not synced, and are believed only as far as a checkpoint was signed over them.

use std::{cell::RefCell, sync::Arc};

use kontor_protocol::log::{
    leaf_hash,
    tile::{TILE_BYTES, Tile, TileBuilder, TileHashes, TileKind},
    tree::{Frontier, Hash, consistency_proof, inclusion_proof, root},
};

use super::LostLeaves;
use crate::{
    disk::{self, DiskFile},
    messagelog::{error::LogError, identity::Home, leaves::LeafCursor, read::Reader},
};

/// Hashes of a tile.
const WIDTH: u64 = 256;

/// See the module.
pub(super) struct Tree {
    home: Home,
    builder: TileBuilder,
    cursor: LeafCursor,
    levels: Vec<Arc<dyn DiskFile>>,
    lost: LostLeaves,
    /// The first leaf that is lost, and its hash too.
    unknown: Option<u64>,
    /// Why a tile could not be had, for whoever is told that a proof could not be formed.
    unread: RefCell<Option<LogError>>,
}

impl Tree {
    /// The tree as far as its files are believed: up to `believed` leaves, which a checkpoint of ours covers. What is missing
    /// or too short is made again from the leaves.
    pub(super) fn open(home: &Home, believed: u64) -> Result<Self, LogError> {
        let dir = home.layout.tree();
        home.disk
            .create_dir(&dir)
            .map_err(LogError::io("could not make", &dir))?;
        let mut tree = Self {
            home: home.clone(),
            builder: TileBuilder::new(),
            cursor: LeafCursor::default(),
            levels: Vec::new(),
            lost: LostLeaves::load(home)?,
            unknown: None,
            unread: RefCell::default(),
        };
        // Whole tiles only: the leaves after them are read again.
        let whole = believed / WIDTH * WIDTH;
        if whole > 0 && tree.open_levels().is_ok() {
            let loaded = TileBuilder::load(whole, &mut |tile: Tile| tree.edge(tile));
            if let Ok(builder) = loaded {
                tree.builder = builder;
                tree.cursor = LeafCursor::at(whole);
            }
        }
        Ok(tree)
    }

    /// Forgets what was kept; the next [`advance`](Self::advance) reads every leaf.
    pub(super) fn begin_anew(&mut self) {
        self.unknown = None;
        self.builder = TileBuilder::new();
        self.cursor = LeafCursor::default();
    }

    fn path(&self, level: u8) -> std::path::PathBuf {
        self.home.layout.tree().join(format!("level-{level}"))
    }

    fn open_levels(&mut self) -> Result<(), LogError> {
        while let Ok(level) = u8::try_from(self.levels.len()) {
            let path = self.path(level);
            match self.home.disk.open(&path) {
                Ok(file) => self.levels.push(file),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(LogError::io("could not open", &path)(error)),
            }
        }
        Ok(())
    }

    /// The first leaf it has of which nothing is known but that it is lost.
    pub(super) fn unknown(&self) -> Option<u64> {
        self.unknown
    }

    /// How many leaves it has.
    pub(super) fn size(&self) -> u64 {
        self.builder.size()
    }

    /// Takes in the leaves that are synced by now.
    pub(super) fn advance(&mut self, reader: &Reader) -> Result<(), LogError> {
        let mut cursor = self.cursor.clone();
        let read = reader.leaves(&mut cursor, &mut |leaf| {
            let mut filled = Vec::new();
            let number = self.builder.size();
            let kept = self.lost.hash(number).filter(|_| leaf.is_empty());
            if leaf.is_empty() && kept.is_none() {
                self.unknown.get_or_insert(number);
            }
            self.builder
                .push(kept.unwrap_or_else(|| leaf_hash(leaf)), |tile, bytes| {
                    filled.push((tile, bytes.to_vec()))
                });
            filled
                .into_iter()
                .try_for_each(|(tile, bytes)| self.keep(tile, &bytes))
        });
        // Leaves that were taken in before an error stay; a tile that could not be written is missing below them.
        match read {
            Ok(()) => self.cursor = cursor,
            Err(_) => self.begin_anew(),
        }
        read
    }

    fn keep(&mut self, tile: Tile, bytes: &[u8]) -> Result<(), LogError> {
        let TileKind::Hashes { level } = tile.kind() else {
            return Ok(());
        };
        let path = self.path(level);
        while self.levels.len() <= usize::from(level) {
            let next = self.path(u8::try_from(self.levels.len()).unwrap_or(level));
            let file = match self.home.disk.open(&next) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => self.home.disk.create(&next),
                opened => opened,
            };
            self.levels
                .push(file.map_err(LogError::io("could not make", &next))?);
        }
        self.levels[usize::from(level)]
            .write_at(tile.index() * TILE_BYTES as u64, bytes)
            .map_err(LogError::io("could not write", &path))
    }

    fn full(&self, level: u8, index: u64) -> Result<Vec<u8>, LogError> {
        let path = self.path(level);
        let missing = || LogError::io("could not read", &path)(std::io::ErrorKind::NotFound.into());
        let file = self.levels.get(usize::from(level)).ok_or_else(missing)?;
        let mut bytes = vec![0; TILE_BYTES];
        disk::read_exact_at(&**file, index * TILE_BYTES as u64, &mut bytes)
            .map_err(LogError::io("could not read", &path))?;
        Ok(bytes)
    }

    /// A tile at the edge of a tree whose tiles of level 0 are all full: from the tiles below it.
    fn edge(&self, tile: Tile) -> Result<Vec<u8>, LogError> {
        let TileKind::Hashes { level } = tile.kind() else {
            return Ok(Vec::new());
        };
        let Some(below) = level.checked_sub(1) else {
            return Ok(Vec::new());
        };
        let first = tile.index() * WIDTH;
        let mut hashes = Vec::with_capacity(TILE_BYTES);
        for index in first..first + u64::from(tile.width()) {
            let mut subtree = Frontier::new();
            for hash in self.full(below, index)?.as_chunks::<32>().0 {
                subtree.push(*hash);
            }
            hashes.extend(subtree.root());
        }
        Ok(hashes)
    }

    /// The bytes of a tile of this tree; a partial one may come wider than asked for.
    pub(super) fn tile(&self, tile: Tile) -> Result<Vec<u8>, LogError> {
        let at_edge = self
            .builder
            .partial()
            .find(|(edge, _)| edge.kind() == tile.kind() && edge.index() == tile.index());
        match (at_edge, tile.kind()) {
            (Some((_, bytes)), _) => Ok(bytes.to_vec()),
            (None, TileKind::Hashes { level }) => self.full(level, tile.index()),
            (None, TileKind::Entries) => Err(LogError::NotFound {
                number: tile.leaves().start,
            }),
        }
    }

    fn hashes(&self, size: u64) -> TileHashes<impl FnMut(Tile) -> Result<Vec<u8>, LogError>> {
        TileHashes::new(size, |tile| {
            self.tile(tile)
                .inspect_err(|error| *self.unread.borrow_mut() = Some(error.clone()))
        })
    }

    /// The root over the first `size` leaves.
    pub(super) fn root(&self, size: u64) -> Result<Hash, LogError> {
        root(size, &mut self.hashes(size)).map_err(|error| self.unreadable(&error))
    }

    /// That leaf `index` is among the first `size`.
    pub(super) fn inclusion(&self, index: u64, size: u64) -> Result<Vec<Hash>, LogError> {
        inclusion_proof(index, size, &mut self.hashes(size)).map_err(|error| self.unreadable(&error))
    }

    /// That the tree of the first `new` leaves begins with that of the first `old`.
    pub(super) fn consistency(&self, old: u64, new: u64) -> Result<Vec<Hash>, LogError> {
        consistency_proof(old, new, &mut self.hashes(new)).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> LogError {
        match self.unread.take() {
            // The disk did not give it, which says nothing about what stands in it.
            Some(unread @ LogError::Io { .. }) => unread,
            _ => LogError::damaged(&self.home.layout.tree(), error),
        }
    }
}
