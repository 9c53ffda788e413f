//! What the ledger promises: every entry is provably in the tree that was signed, trees go on from each other, and a log
//! that was set back or changed is noticed before anything more is signed.

use std::{path::Path, sync::Arc};

use kontor_pki::sealed::MasterKey;
use kontor_protocol::log::{
    checkpoint::SignedCheckpoint,
    leaf_hash,
    tree::{Frontier, verify_consistency},
};

use super::bed::{clock, request, response, settings};
use crate::{
    disk::SystemDisk,
    messagelog::{CheckOrder, Fact, FactKind, LogError, LogSettings, MessageLog, OpenLog, Started},
};

fn open(dir: &Path) -> Result<MessageLog, LogError> {
    MessageLog::open(OpenLog {
        dir: dir.join("data"),
        disk: Arc::new(SystemDisk),
        master: MasterKey::from_bytes([7; 32]),
        settings: LogSettings {
            reserve: 0,
            ..settings()
        },
        server: "TEST/GOV/1001/ss1".parse().unwrap(),
        test: true,
        clock: clock(),
    })
}

async fn exchanges(log: &MessageLog, ids: std::ops::Range<u64>) {
    for id in ids {
        let asked = log.append(request(10 * id)).await.unwrap();
        log.append(response(10 * id + 1, asked.number)).await.unwrap();
    }
}

async fn signed(log: &MessageLog) -> SignedCheckpoint {
    log.sign_checkpoint().await.unwrap().unwrap()
}

/// Copies what is there, of a log at work too: the segment that is being prepared may get its final name between being
/// listed and being copied, and no log needs one that holds nothing yet.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            match std::fs::copy(entry.path(), target) {
                Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => {}
                copied => {
                    copied.unwrap();
                }
            }
        }
    }
}

/// Every entry is proven under `checkpoint`, and its root is that over the leaves, computed from them alone.
async fn all_proven(log: &MessageLog, checkpoint: &SignedCheckpoint) {
    let (reader, mut tree) = (log.reader(), Frontier::new());
    for number in 0..checkpoint.claimed().size() {
        let leaf = leaf_hash(reader.entry(number).unwrap().leaf_bytes());
        tree.push(leaf);
        let proof = log.prove(number).await.unwrap();
        assert_eq!(&proof.checkpoint, checkpoint);
        proof.verify(&leaf, &log.ledger_keys()[0], &[]).unwrap();
        assert!(
            proof
                .verify(&leaf_hash(b"another leaf"), &log.ledger_keys()[0], &[])
                .is_err()
        );
    }
    assert_eq!(&tree.root(), checkpoint.claimed().root());
}

#[tokio::test]
async fn every_entry_is_proven_under_the_checkpoint_and_trees_go_on_from_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(
        log.sign_checkpoint().await.unwrap(),
        None,
        "an empty log has nothing to sign"
    );
    exchanges(&log, 0..30).await;
    let first = signed(&log).await;
    assert_eq!(first.claimed().size(), 60);
    all_proven(&log, &first).await;
    assert_eq!(signed(&log).await, first, "nothing new, nothing signed");

    // More than a tile, over several segments, and a proof of an entry that no checkpoint covers yet.
    exchanges(&log, 30..180).await;
    let last = log.stats().entries - 1;
    let proof = log.prove(last).await.unwrap();
    assert_eq!(proof.checkpoint.claimed().size(), 360);
    let second = log.checkpoint().unwrap();
    all_proven(&log, &second).await;
    let (old, new) = (first.claimed(), second.claimed());
    let proof = log.prove_consistency(old.size(), new.size()).await.unwrap();
    verify_consistency(old.size(), old.root(), new.size(), new.root(), &proof).unwrap();
    assert!(matches!(
        log.prove(360).await,
        Err(LogError::NotFound { number: 360 })
    ));
    log.shutdown().await;
    drop(log);

    let log = open(dir.path()).unwrap();
    assert_eq!(log.checkpoint(), Some(second.clone()));
    exchanges(&log, 180..200).await;
    let third = signed(&log).await;
    all_proven(&log, &third).await;
    let proof = log.prove_consistency(360, 400).await.unwrap();
    verify_consistency(360, second.claimed().root(), 400, third.claimed().root(), &proof).unwrap();
}

#[tokio::test]
async fn kept_hashes_that_are_lost_or_damaged_are_made_again_from_the_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    exchanges(&log, 0..300).await;
    let before = signed(&log).await;
    log.shutdown().await;
    drop(log);
    let hashes = dir.path().join("data/log/tree/level-0");
    for damage in [true, false] {
        if damage {
            let mut bytes = std::fs::read(&hashes).unwrap();
            bytes[5000] ^= 1;
            std::fs::write(&hashes, bytes).unwrap();
        } else {
            std::fs::remove_dir_all(dir.path().join("data/log/tree")).unwrap();
        }
        let log = open(dir.path()).unwrap();
        assert_eq!(signed(&log).await, before);
        all_proven(&log, &before).await;
        log.shutdown().await;
    }
}

#[tokio::test]
async fn a_log_that_was_set_back_can_be_read_but_takes_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    exchanges(&log, 0..5).await;
    // One that the older copy would close as interrupted.
    log.append(request(900)).await.unwrap();
    let (data, older) = (dir.path().join("data"), dir.path().join("older"));
    copy(&data, &older);
    exchanges(&log, 5..9).await;
    signed(&log).await;
    log.shutdown().await;
    drop(log);

    let segments = data.join("log/segments");
    std::fs::remove_dir_all(&segments).unwrap();
    copy(&older.join("log/segments"), &segments);
    let refused = |error: LogError| {
        matches!(
            error,
            LogError::Behind {
                entries: 11,
                signed: 19
            }
        )
    };
    for _ in 0..2 {
        let log = open(dir.path()).unwrap();
        assert!(refused(log.check().unwrap_err()));
        assert!(refused(log.append(request(100)).await.unwrap_err()));
        let said = started();
        assert!(refused(
            log.append_fact(Fact::new(FactKind::Start, &said))
                .await
                .unwrap_err()
        ));
        assert!(refused(log.sign_checkpoint().await.unwrap_err()));
        assert_eq!(log.stats().entries, 11, "nothing was closed, nothing was added");
        assert!(log.reader().message(3).is_ok());
        log.shutdown().await;
    }
}

#[tokio::test]
async fn what_a_peer_has_seen_stops_a_log_that_was_set_back_now_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    exchanges(&log, 0..5).await;
    signed(&log).await;
    let (data, older) = (dir.path().join("data"), dir.path().join("older"));
    copy(&data, &older);
    exchanges(&log, 5..9).await;
    let seen = signed(&log).await;
    log.compare_with_seen(seen.clone()).await.unwrap();
    log.shutdown().await;
    drop(log);

    // The whole directory is an older one, its own checkpoint too; it may have gone on before a peer is asked.
    for gone_on in [false, true] {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&older, &data);
        let log = open(dir.path()).unwrap();
        if gone_on {
            exchanges(&log, 70..80).await;
        }
        signed(&log).await;
        let code = if gone_on {
            "log_contradiction"
        } else {
            "log_behind"
        };
        let error = log.compare_with_seen(seen.clone()).await.unwrap_err();
        assert_eq!(error.code(), code);
        assert_eq!(log.append(request(1000)).await.unwrap_err().code(), code);
        log.shutdown().await;
        drop(log);
        let log = open(dir.path()).unwrap();
        assert_eq!(log.sign_checkpoint().await.unwrap_err().code(), code);
        assert_eq!(log.check().unwrap_err().code(), code);
        log.shutdown().await;
    }
}

#[tokio::test]
async fn a_peer_cannot_stop_a_log_with_what_the_log_did_not_sign() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, another) = (open(dir.path()).unwrap(), open(other.path()).unwrap());
    exchanges(&log, 0..2).await;
    exchanges(&another, 0..9).await;
    let foreign = signed(&another).await;
    assert!(log.compare_with_seen(foreign).await.is_err());
    log.check().unwrap();
    log.append(request(100)).await.unwrap();
}

async fn findings(log: &MessageLog) -> Vec<String> {
    let report = log.check_files(CheckOrder::default(), |_, _| {}).await.unwrap();
    report.findings.into_iter().map(|finding| finding.code).collect()
}

fn started() -> Started {
    Started {
        server: "TEST/GOV/1001/ss1".into(),
        kontor: "0".into(),
        mode: "test".into(),
    }
}

#[tokio::test]
async fn a_log_with_other_entries_than_were_signed_signs_nothing_more() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    exchanges(&log, 0..5).await;
    log.shutdown().await;
    drop(log);
    copy(&dir.path().join("data"), &dir.path().join("other/data"));
    let log = open(dir.path()).unwrap();
    exchanges(&log, 5..9).await;
    signed(&log).await;
    assert_eq!(findings(&log).await, Vec::<String>::new());
    log.shutdown().await;
    drop(log);

    // The same log with other exchanges at the same numbers, as someone who holds all keys could write it.
    let other = dir.path().join("other");
    let log = open(&other).unwrap();
    exchanges(&log, 50..60).await;
    log.shutdown().await;
    drop(log);
    std::fs::copy(
        dir.path().join("data/log/checkpoint"),
        other.join("data/log/checkpoint"),
    )
    .unwrap();
    let log = open(&other).unwrap();
    assert_eq!(findings(&log).await, ["log_rewritten"]);
    for _ in 0..2 {
        assert!(matches!(
            log.sign_checkpoint().await,
            Err(LogError::Contradiction { size: 18 })
        ));
    }
    assert!(log.checkpoint_refusal().is_some());
    assert!(log.prove(3).await.is_err());
}

#[tokio::test]
async fn a_checkpoint_by_another_key_or_over_nothing_known_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_fact(Fact::new(FactKind::Start, &started()))
        .await
        .unwrap();
    signed(&log).await;
    log.shutdown().await;
    drop(log);
    let path = dir.path().join("data/log/checkpoint");
    let text = std::fs::read_to_string(&path).unwrap();
    for wrong in [
        text.replacen("\n1\n", "\n2\n", 1),
        "nothing".to_owned(),
        String::new(),
    ] {
        std::fs::write(&path, wrong).unwrap();
        let refused = open(dir.path()).unwrap_err();
        assert!(
            matches!(refused.code(), "log_damaged" | "log_behind"),
            "{refused}"
        );
    }
    std::fs::write(&path, text).unwrap();
    open(dir.path()).unwrap().shutdown().await;
    std::fs::remove_file(dir.path().join("data/log/checkpoint.key")).unwrap();
    assert_eq!(open(dir.path()).unwrap_err().code(), "log_damaged");
}
