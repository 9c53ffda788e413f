use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::log::tree::{
    Frontier, HashSource as _, Subtree, consistency_proof, inclusion_proof, leaf_hash, root,
    verify_consistency, verify_inclusion,
};
use crate::log::{Direction, EntryKind, LEAF_LIMIT, Leaf, Retention};

fn tile(path: &str) -> Result<Tile, InvalidTile> {
    Tile::parse(path)
}

fn hashes(level: u8, index: u64, width: u16) -> Tile {
    Tile::new(TileKind::Hashes { level }, index, width).unwrap()
}

/// A log as files, and the frontier beside it.
struct Files {
    frontier: Frontier,
    builder: TileBuilder,
    files: HashMap<String, Vec<u8>>,
    read: usize,
}

impl Files {
    fn of(size: u64) -> Self {
        let mut log = Self {
            frontier: Frontier::new(),
            builder: TileBuilder::new(),
            files: HashMap::new(),
            read: 0,
        };
        for number in 0..size {
            log.push(leaf_hash(&number.to_be_bytes()));
        }
        log.checkpoint();
        log
    }

    fn push(&mut self, leaf: Hash) {
        self.frontier.push(leaf);
        let files = &mut self.files;
        self.builder.push(leaf, |tile, bytes| {
            assert!(
                files.insert(tile.path(), bytes.to_vec()).is_none(),
                "{tile} twice"
            );
        });
    }

    fn checkpoint(&mut self) {
        for (tile, bytes) in self.builder.partial() {
            assert_eq!(bytes.len(), 32 * usize::from(tile.width()));
            self.files.insert(tile.path(), bytes.to_vec());
        }
    }
}

impl TileSource for &mut Files {
    type Error = Tile;

    /// A partial tile that is gone is read from a wider one.
    fn tile(&mut self, tile: Tile) -> Result<Vec<u8>, Tile> {
        self.read += 1;
        let file = (tile.width()..=TILE_WIDTH)
            .filter_map(|width| Tile::new(tile.kind(), tile.index(), width).ok())
            .find_map(|wider| self.files.get(&wider.path()));
        file.cloned().ok_or(tile)
    }
}

#[test]
fn tiles_have_the_names_of_the_specification() {
    let named = [
        (hashes(0, 1_234_067, 256), "tile/0/x001/x234/067"),
        (hashes(0, 0, 256), "tile/0/000"),
        (hashes(1, 999, 256), "tile/1/999"),
        (hashes(1, 1000, 256), "tile/1/x001/000"),
        (hashes(2, 5, 17), "tile/2/005.p/17"),
        (hashes(0, 1_234_067, 1), "tile/0/x001/x234/067.p/1"),
        (
            Tile::new(TileKind::Entries, 273, 112).unwrap(),
            "tile/entries/273.p/112",
        ),
        (
            Tile::new(TileKind::Entries, 1_000_000, 256).unwrap(),
            "tile/entries/x001/x000/000",
        ),
    ];
    for (value, path) in named {
        assert_eq!(value.path(), path);
        assert_eq!(tile(path), Ok(value));
    }
}

#[test]
fn other_spellings_of_a_name_are_refused() {
    let refused = [
        "",
        "tile",
        "tile/",
        "tile/0",
        "tile/0/",
        "tile/0/0",
        "tile/0/00",
        "tile/0/0000",
        "tile/00/000",
        "tile/+0/000",
        "tile/-1/000",
        "tile/8/000",
        "tile/64/000",
        "tile/999/000",
        "tile/data/000",
        "tile/0/x000/001",
        "tile/0/001/002",
        "tile/0/x001/x002",
        "tile/0/x001",
        "tile/0/+01",
        "tile/0/000.p/0",
        "tile/0/000.p/00",
        "tile/0/000.p/01",
        "tile/0/000.p/+1",
        "tile/0/000.p/256",
        "tile/0/000.p/70000",
        "tile/0/000.p",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000/",
        "/tile/0/000",
        "tile/0/../000",
        "tile/0/000\n",
        "tile/0/٠٠٠",
        "tile/7/x001/000",
        "tile/0/x999/x999/x999/x999/x999/x999/999",
        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/x999/999",
    ];
    for path in refused {
        assert_eq!(tile(path), Err(InvalidTile), "{path:?}");
    }
    assert_eq!(Tile::new(TileKind::Entries, 0, 0), Err(InvalidTile));
    assert_eq!(Tile::new(TileKind::Entries, 0, 257), Err(InvalidTile));
    assert_eq!(Tile::new(TileKind::Entries, u64::MAX, 1), Err(InvalidTile));
}

#[test]
fn a_tree_of_70000_leaves_has_the_tiles_of_the_specification() {
    let log = Files::of(70_000);
    let count = |prefix: &str, partial: bool| {
        let named = |name: &&String| name.starts_with(prefix) && name.contains(".p/") == partial;
        log.files.keys().filter(named).count()
    };
    assert_eq!((count("tile/0/", false), count("tile/1/", false)), (273, 1));
    let mut partial: Vec<_> = log.files.keys().filter(|name| name.contains(".p/")).collect();
    partial.sort();
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]);
    assert_eq!(log.files.len(), 277);
    assert_eq!(
        partial_tiles(256),
        [hashes(1, 0, 1)],
        "a full tile and one of width 1 above it"
    );
    assert_eq!(partial_tiles(0), []);
}

#[test]
fn a_tile_is_there_once_the_tree_has_all_of_it() {
    let partial = hashes(1, 1, 17);
    assert_eq!(partial.leaves(), 65_536..69_888);
    assert!(partial.fits(69_888) && !partial.fits(69_887) && !partial.is_full());
    assert!(!partial.full().fits(131_071) && partial.full().fits(131_072));
    assert!(hashes(7, 0, 64).fits(SIZE_LIMIT) && !hashes(7, 0, 64).fits(SIZE_LIMIT - 1));
    let bundle = Tile::new(TileKind::Entries, 2, 3).unwrap();
    assert_eq!(
        (bundle.leaves(), bundle.fits(515), bundle.fits(514)),
        (512..515, true, false)
    );
    assert_eq!((bundle.index(), bundle.kind()), (2, TileKind::Entries));
}

#[test]
fn proofs_from_tiles_hold_and_read_only_the_tiles_that_are_named() {
    let mut log = Files::of(70_000);
    let size = 70_000;
    let whole = log.frontier.root();
    assert_eq!(root(size, &mut TileHashes::new(size, &mut log)), Ok(whole));
    for index in [0, 255, 256, 65_535, 65_536, 69_887, 69_888, 69_999] {
        log.read = 0;
        let proof = inclusion_proof(index, size, &mut TileHashes::new(size, &mut log)).unwrap();
        let leaf = leaf_hash(&index.to_be_bytes());
        assert_eq!(verify_inclusion(&leaf, index, size, &proof, &whole), Ok(()));
        assert_eq!(
            log.read,
            inclusion_tiles(index, size).unwrap().len(),
            "leaf {index}"
        );
        assert!(log.read <= 6);
    }
    for old in [1, 255, 256, 257, 65_536, 69_999, 70_000] {
        let old_root = root(old, &mut TileHashes::new(old, &mut log)).unwrap();
        log.read = 0;
        let proof = consistency_proof(old, size, &mut TileHashes::new(size, &mut log)).unwrap();
        assert_eq!(verify_consistency(old, &old_root, size, &whole, &proof), Ok(()));
        assert_eq!(
            log.read,
            consistency_tiles(old, size).unwrap().len(),
            "from {old}"
        );
    }
}

#[test]
fn a_missing_or_short_tile_is_named() {
    let mut log = Files::of(600);
    log.files.remove("tile/0/001");
    let lost = inclusion_proof(300, 600, &mut TileHashes::new(600, &mut log)).unwrap_err();
    assert!(lost.to_string().contains("tile/0/001"), "{lost}");
    log.files.insert("tile/0/001".into(), vec![0; 31]);
    let short = inclusion_proof(300, 600, &mut TileHashes::new(600, &mut log)).unwrap_err();
    assert!(short.to_string().contains("tile/0/001 is too short"), "{short}");
    let beyond = TileHashes::new(600, &mut log).hash(Subtree { level: 0, index: 600 });
    assert!(matches!(beyond, Err(TileHashError::OutOfRange { size: 600, .. })));
    log.files.clear();
    assert!(matches!(
        TileBuilder::load(600, &mut &mut log),
        Err(TileBuilderError::Source { .. })
    ));
    let nothing = |_: Tile| Ok::<_, Tile>(Vec::new());
    assert!(matches!(
        TileBuilder::load(600, &mut { nothing }),
        Err(TileBuilderError::Length(_))
    ));
}

#[test]
fn the_longest_leaf_fits_into_a_bundle() {
    const { assert!(LEAF_LIMIT <= u16::MAX as usize) };
    let leaf = Leaf {
        kind: EntryKind::Start,
        direction: Direction::None,
        test: true,
        size_class: 0,
        log_id: [7; 32],
        number: 0,
        second: 0,
        period: 203_001,
        client: None,
        service: None,
        client_server: None,
        provider_server: None,
        retention: Retention::default(),
        commitment: [0; 32],
    }
    .to_bytes();
    let mut bundle = Vec::new();
    push_entry(&mut bundle, &leaf).unwrap();
    push_entry(&mut bundle, &[]).unwrap();
    assert_eq!(parse_bundle(&bundle, 2), Ok(vec![&leaf[..], &[]]));
    assert_eq!(parse_bundle(&bundle, 1), Err(InvalidBundle));
    assert_eq!(parse_bundle(&bundle, 3), Err(InvalidBundle));
    assert_eq!(parse_bundle(&bundle[..bundle.len() - 1], 2), Err(InvalidBundle));
    assert_eq!(push_entry(&mut bundle, &[0; 65_536]), Err(EntryTooLong(65_536)));
}

proptest! {
    #[test]
    fn a_name_survives_a_round_trip(level in 0u8..8, index in any::<u64>(), width in 1u16..=256, entries in any::<bool>()) {
        let kind = if entries { TileKind::Entries } else { TileKind::Hashes { level } };
        let index = index % (SIZE_LIMIT.checked_shr(8 * (u32::from(kind.level()) + 1)).unwrap_or(0) + 1);
        if let Ok(value) = Tile::new(kind, index, width) {
            prop_assert!(value.path().len() <= PATH_LIMIT);
            prop_assert_eq!(tile(&value.path()), Ok(value));
        }
    }

    #[test]
    fn there_is_one_way_to_write_a_name(path in "tile/([0-9]{1,2}|entries)/(x[0-9]{3}/){0,3}[x0-9]{0,4}(\\.p/[0-9]{1,3})?") {
        if let Ok(value) = tile(&path) {
            prop_assert_eq!(value.path(), path);
        }
    }

    #[test]
    fn arbitrary_names_and_bundles_never_panic(path in "\\PC{0,80}", bytes in prop::collection::vec(any::<u8>(), 0..64), width in any::<u16>()) {
        let _ = tile(&path);
        let _ = parse_bundle(&bytes, width);
    }

    #[test]
    fn an_edge_that_is_read_again_goes_on_as_if_it_never_stopped(before in 0u64..1500, after in 0u64..600) {
        let mut log = Files::of(before);
        let again = TileBuilder::load(before, &mut &mut log).unwrap();
        let edge = |builder: &TileBuilder| builder.partial().map(|(tile, bytes)| (tile, bytes.to_vec())).collect::<Vec<_>>();
        prop_assert_eq!((again.size(), edge(&again)), (before, edge(&log.builder)));
        log.builder = again;
        for number in before..before + after {
            log.push(leaf_hash(&number.to_be_bytes()));
        }
        log.checkpoint();
        let size = before + after;
        let whole = log.frontier.root();
        prop_assert_eq!(root(size, &mut TileHashes::new(size, &mut log)).unwrap(), whole);
    }
}
