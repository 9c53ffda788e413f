//! The tree as an auditor reads it: checkpoint, tiles, bundles, and what stands in the log afterwards.

use std::convert::Infallible;
use std::time::Duration;

use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::leaf_hash;
use kontor_protocol::log::note::VerifierKey;
use kontor_protocol::log::tile::{Tile, TileHashes, TileKind, parse_bundle};
use kontor_protocol::log::tree::{Hash, root, verify_consistency};

use super::bed::Bed;
use crate::messagelog::{AuditScope, LogError};

async fn fetched(bed: &Bed, token: &str) -> SignedCheckpoint {
    let answer = bed.get("/checkpoint", token).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    SignedCheckpoint::parse(&answer.body).unwrap()
}

#[tokio::test]
async fn checkpoint_tiles_and_bundles_give_the_root_that_was_signed() {
    let bed = Bed::new().await;
    for id in 0..300 {
        bed.log
            .append(bed.world.request(&format!("q-{id}")))
            .await
            .unwrap();
    }
    let token = bed.token(AuditScope::Entries).await;
    bed.log.sign_checkpoint().await.unwrap();
    let keys = bed.get("/keys", &token).await.json();
    let key: VerifierKey = keys["key"].as_str().unwrap().parse().unwrap();
    let signed = fetched(&bed, &token).await;
    let tree = signed.verify(&key, &[]).unwrap().checkpoint().clone();
    assert_eq!(tree.origin(), keys["origin"].as_str().unwrap());
    let size = tree.size();
    assert_eq!(size, 301);

    let mut leaves: Vec<Vec<u8>> = Vec::new();
    for (index, width) in [(0, 256), (1, 45)] {
        let bundle = Tile::new(TileKind::Entries, index, width).unwrap();
        let answer = bed.get(&format!("/{bundle}"), &token).await;
        assert_eq!(answer.header("content-type"), Some("application/octet-stream"));
        assert_eq!(
            answer.header("cache-control"),
            Some("private, max-age=31536000, immutable")
        );
        let entries = parse_bundle(&answer.body, width).unwrap();
        leaves.extend(entries.into_iter().map(<[u8]>::to_vec));
        let hashes = Tile::new(TileKind::Hashes { level: 0 }, index, width).unwrap();
        let tile = bed.get(&format!("/{hashes}"), &token).await;
        assert_eq!(
            tile.header("cache-control"),
            Some("private, max-age=31536000, immutable")
        );
        let expected: Vec<u8> = leaves[256 * index as usize..]
            .iter()
            .flat_map(|leaf| leaf_hash(leaf))
            .collect();
        assert_eq!(tile.body, expected);
    }
    let above = bed.get("/tile/1/000.p/1", &token).await.body;
    let of_tiles = root(
        size,
        &mut TileHashes::new(size, |tile: Tile| {
            Ok::<_, Infallible>(match tile.kind() {
                TileKind::Hashes { level: 0 } => leaves[256 * tile.index() as usize..]
                    .iter()
                    .take(256)
                    .flat_map(|leaf| leaf_hash(leaf))
                    .collect(),
                _ => above.to_vec(),
            })
        }),
    );
    assert_eq!(of_tiles.unwrap(), *tree.root());

    // What was shown under an earlier size is shown for ever.
    let narrow = bed.get("/tile/0/001.p/7", &token).await;
    assert_eq!(narrow.body.len(), 7 * 32);
    // What no checkpoint covers is not shown, though it is in the log by now.
    assert!(bed.log.stats().entries > 301);
    for beyond in [
        "/tile/0/001.p/46",
        "/tile/entries/001.p/46",
        "/tile/1/000.p/2",
        "/tile/0/001",
    ] {
        assert_eq!(
            bed.get(beyond, &token).await.refusal(),
            (404, "not_signed".into()),
            "{beyond}"
        );
    }
    bed.end().await;
}

#[tokio::test]
async fn a_log_goes_on_from_what_it_was() {
    let bed = Bed::new().await;
    let token = bed.token(AuditScope::Tree).await;
    let mut before = None;
    for id in 0..5 {
        bed.log
            .append(bed.world.request(&format!("q-{id}")))
            .await
            .unwrap();
        bed.log.sign_checkpoint().await.unwrap();
        let now = fetched(&bed, &token).await.claimed().clone();
        let before = before.replace(now.clone()).unwrap_or_else(|| now.clone());
        let proof = bed
            .get(&format!("/consistency?old={}", before.size()), &token)
            .await
            .json();
        let hashes = proof["hashes"].as_array().unwrap().iter().map(|hash| {
            let bytes = base64::Engine::decode(&super::super::tiles::STANDARD, hash.as_str().unwrap());
            Hash::try_from(bytes.unwrap()).unwrap()
        });
        let hashes: Vec<Hash> = hashes.collect();
        verify_consistency(before.size(), before.root(), now.size(), now.root(), &hashes).unwrap();
        let mut other = *before.root();
        other[0] ^= 1;
        assert!(verify_consistency(before.size(), &other, now.size(), now.root(), &hashes).is_err());
    }
    bed.end().await;
}

#[tokio::test]
async fn looks_at_hashes_are_one_entry_an_hour_and_looks_at_leaves_one_each() {
    let bed = Bed::new().await;
    let token = bed.token(AuditScope::Entries).await;
    bed.log.append(bed.world.request("q-1")).await.unwrap();
    bed.log.sign_checkpoint().await.unwrap();
    let entries = bed.log.stats().entries;
    for _ in 0..3 {
        fetched(&bed, &token).await;
        assert_eq!(bed.get("/tile/0/000.p/2", &token).await.status, 200);
    }
    assert_eq!(bed.log.stats().entries, entries + 1);
    let (look, numbers) = bed.last_look().await;
    assert!(
        look.who.starts_with("auditor Prüfer (fiktiv) (token "),
        "{}",
        look.who
    );
    assert!(look.ground.ends_with("audit 7"), "{}", look.ground);
    assert_eq!(numbers, "");
    bed.clock.advance(Duration::from_secs(3600));
    fetched(&bed, &token).await;
    assert_eq!(bed.log.stats().entries, entries + 2);
    for _ in 0..2 {
        assert_eq!(bed.get("/tile/entries/000.p/2", &token).await.status, 200);
    }
    assert_eq!(bed.log.stats().entries, entries + 4);
    assert_eq!(bed.last_look().await.1, "0-1");
    bed.end().await;
}

#[tokio::test]
async fn a_log_that_takes_nothing_shows_its_checkpoint_and_no_entry() {
    let bed = Bed::new().await;
    let token = bed.token(AuditScope::Entries).await;
    bed.log.append(bed.world.request("q-1")).await.unwrap();
    bed.log.sign_checkpoint().await.unwrap();
    bed.log.refuse_for_test(LogError::Behind {
        entries: 2,
        signed: 9,
    });
    let answer = bed.get("/checkpoint", &token).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("kontor-look"), Some("not-recorded"));
    for path in ["/checkpoint/cosigned", "/keys"] {
        assert_ne!(bed.get(path, &token).await.status, 503, "{path}");
    }
    for path in ["/tile/entries/000.p/2", "/tile/0/000.p/2", "/consistency?old=1"] {
        let answer = bed.get(path, &token).await;
        assert_eq!(answer.refusal(), (503, "log_behind".into()), "{path}");
    }
    bed.end().await;
}
