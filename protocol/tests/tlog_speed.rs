//! What the tree of a log costs; prints figures and proves nothing:
//! `cargo test --release -p kontor-protocol --test tlog_speed -- --ignored --nocapture`

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot run has failed")]

use std::fs;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::Instant;

use kontor_pki::crypto::Ed25519Key;
use kontor_protocol::log::checkpoint::{Checkpoint, SignedCheckpoint};
use kontor_protocol::log::leaf_hash;
use kontor_protocol::log::note::NoteSigner;
use kontor_protocol::log::tile::{Tile, TileBuilder, TileHashes};
use kontor_protocol::log::tree::{
    Frontier, consistency_proof, inclusion_proof, verify_consistency, verify_inclusion,
};

const LEAVES: u64 = 1_000_000;
/// As long as leaves of messages are.
const LEAF: [u8; 250] = [7; 250];

fn leaf(number: u64) -> [u8; 250] {
    let mut leaf = LEAF;
    leaf[..8].copy_from_slice(&number.to_be_bytes());
    leaf
}

fn write(root: &Path, tile: Tile, bytes: &[u8]) {
    let path = root.join(tile.path());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn tiles_of(root: &Path, size: u64) -> TileHashes<impl FnMut(Tile) -> Result<Vec<u8>, io::Error>> {
    TileHashes::new(size, move |tile: Tile| fs::read(root.join(tile.path())))
}

#[test]
#[ignore = "a benchmark"]
fn a_million_leaves() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path();
    let (mut frontier, mut builder) = (Frontier::new(), TileBuilder::new());
    let begun = Instant::now();
    for number in 0..LEAVES {
        frontier.push(leaf_hash(&leaf(number)));
    }
    let each = begun.elapsed().as_secs_f64() * 1e9 / LEAVES as f64;
    println!("leaf hash and frontier: {each:.0} ns a leaf");
    let begun = Instant::now();
    for number in 0..LEAVES {
        builder.push(leaf_hash(&leaf(number)), |tile, bytes| write(root, tile, bytes));
    }
    let each = begun.elapsed().as_secs_f64() * 1e9 / LEAVES as f64;
    println!("leaf hash and tiles, written as files without sync: {each:.0} ns a leaf");
    for (tile, bytes) in builder.partial() {
        write(root, tile, bytes);
    }

    let whole = frontier.root();
    let rounds = 1000;
    let begun = Instant::now();
    for round in 0..rounds {
        let index = round * (LEAVES / rounds) + 17;
        let proof = inclusion_proof(index, LEAVES, &mut tiles_of(root, LEAVES)).unwrap();
        black_box(proof);
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / rounds as f64;
    println!("inclusion proof from files: {each:.0} µs");
    let begun = Instant::now();
    for round in 0..rounds {
        let old = round * (LEAVES / rounds) + 17;
        black_box(consistency_proof(old, LEAVES, &mut tiles_of(root, LEAVES)).unwrap());
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / rounds as f64;
    println!("consistency proof from files: {each:.0} µs");

    let index = 123_456;
    let proof = inclusion_proof(index, LEAVES, &mut tiles_of(root, LEAVES)).unwrap();
    let hash = leaf_hash(&leaf(index));
    let begun = Instant::now();
    for _ in 0..rounds {
        verify_inclusion(black_box(&hash), index, LEAVES, &proof, &whole).unwrap();
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / rounds as f64;
    println!("verify inclusion: {each:.1} µs, {} hashes", proof.len());
    let old = Frontier::load(index, &mut tiles_of(root, LEAVES)).unwrap().root();
    let proof = consistency_proof(index, LEAVES, &mut tiles_of(root, LEAVES)).unwrap();
    let begun = Instant::now();
    for _ in 0..rounds {
        verify_consistency(index, black_box(&old), LEAVES, &whole, &proof).unwrap();
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / rounds as f64;
    println!("verify consistency: {each:.1} µs, {} hashes", proof.len());

    let begun = Instant::now();
    let loaded = Frontier::load(LEAVES, &mut tiles_of(root, LEAVES)).unwrap();
    assert_eq!(loaded.root(), whole);
    TileBuilder::load(LEAVES, &mut |tile: Tile| fs::read(root.join(tile.path()))).unwrap();
    println!(
        "frontier and tile edge read again: {:.0} µs",
        begun.elapsed().as_secs_f64() * 1e6
    );
    let signer = NoteSigner::new("kontor/speed".parse().unwrap(), Ed25519Key::generate());
    let begun = Instant::now();
    for _ in 0..rounds {
        let checkpoint = Checkpoint::new(signer.verifier().name(), LEAVES, whole);
        let signed = SignedCheckpoint::sign(checkpoint, &signer).unwrap();
        black_box(signed.verify(signer.verifier(), &[]).unwrap());
    }
    let each = begun.elapsed().as_secs_f64() * 1e6 / rounds as f64;
    println!("checkpoint signed and verified: {each:.0} µs");
}
