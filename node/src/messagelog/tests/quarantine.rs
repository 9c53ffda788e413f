//! Damaged files put aside: never by a start, only when the operator asks; the rest of the log opens and says what is gone.

use std::path::Path;

use super::bed::*;
use crate::{
    disk::{
        Disk,
        recording::{Crash, RecordingDisk},
    },
    messagelog::{CheckOrder, LogError, MessageLog, Quarantined, quarantine},
};

async fn filled() -> RecordingDisk {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..80 {
        let asked = log.append(request(id)).await.unwrap();
        log.append(response(id, asked.number)).await.unwrap();
    }
    log.shutdown().await;
    disk
}

async fn aside(disk: &RecordingDisk) -> Result<Vec<Quarantined>, LogError> {
    quarantine(opening(disk, clock()), "no copy is left", "uid:0").await
}

fn path(dir: &str, name: &str) -> std::path::PathBuf {
    Path::new(DIR).join("log").join(dir).join(name)
}

/// How many entries of how many read as they should, and with which codes the others fail.
fn read(log: &MessageLog) -> (u64, std::collections::BTreeSet<&'static str>) {
    let mut reader = log.reader();
    let (mut sound, mut codes) = (0, std::collections::BTreeSet::new());
    for number in 0..reader.entries() {
        let stored = reader.entry(number).unwrap();
        match reader.evidence(&stored).and_then(|_| reader.head(&stored)) {
            Ok(_) => sound += 1,
            Err(error) => _ = codes.insert(reader.explain(error).code()),
        }
    }
    (sound, codes)
}

#[tokio::test]
async fn a_sound_log_is_left_as_it_is() {
    let disk = filled().await;
    assert_eq!(aside(&disk).await.unwrap(), []);
    let log = open(&disk).unwrap();
    assert_eq!(check(&log).unwrap().len(), 160);
    assert!(
        matches!(aside(&disk).await, Err(LogError::Locked { .. })),
        "not beside a node"
    );
}

#[tokio::test]
async fn damage_in_any_segment_is_put_aside_and_an_act_names_what_is_gone() {
    let disk = filled().await;
    let segments: Vec<_> = files(&disk, "segments")
        .into_iter()
        .filter(|name| name != "spare.seg")
        .collect();
    let middle = segments[1].clone();
    let last = segments.last().unwrap().clone();
    // A blob, a record header, a leaf, the header of the file, the list of open exchanges.
    for (name, offset) in [
        (&middle, 1700),
        (&middle, 5000),
        (&middle, 9000),
        (&middle, 20),
        (&last, 700),
        (&last, 530),
        (&last, 20),
    ] {
        let what = format!("{name} at {offset}");
        let broken = disk.after_crash(disk.position(), Crash::Process);
        broken.flip_bit(&path("segments", name), offset, 2);
        assert!(
            matches!(open(&broken), Err(LogError::Damaged { .. })),
            "{what}: a start stops"
        );
        let found = aside(&broken)
            .await
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(found.len(), 1, "{what}");
        assert_eq!(found[0].file, format!("segments/{name}"));
        let log = open(&broken).unwrap_or_else(|error| panic!("{what}: {error}"));
        let entries = log.stats().entries;
        assert_eq!(entries, 161, "{what}: every number and the act");
        let (sound, codes) = read(&log);
        assert!(
            sound >= entries - 2,
            "{what}: one entry at most is gone, {sound} of {entries}"
        );
        assert!(
            codes.iter().all(|code| *code == "log_content_quarantined"),
            "{what}: {codes:?}"
        );
        assert_eq!(
            found[0].lost.is_empty(),
            sound == entries,
            "{what}: {:?}",
            found[0].lost
        );
        // The copy has the damage, the act is recorded once.
        assert_eq!(
            files(&broken, "quarantine"),
            [format!("{name}.1"), format!("{name}.1.recorded")]
        );
        let report = log
            .check_files(CheckOrder { deep: true }, |_, _| {})
            .await
            .unwrap();
        assert_eq!(report.findings, [], "{what}");
        assert!(log.append(request(500)).await.is_ok());
        log.shutdown().await;
        assert_eq!(aside(&broken).await.unwrap(), [], "{what}");
    }
}

#[tokio::test]
async fn a_damaged_key_file_is_put_aside_and_writing_goes_on_with_a_new_one() {
    let disk = filled().await;
    disk.flip_bit(&path("keys", "head.case.203001.key"), 260, 1);
    let found = aside(&disk).await.unwrap();
    assert_eq!(found[0].file, "keys/head.case.203001.key");
    let log = open(&disk).unwrap();
    let number = log.append(request(900)).await.unwrap().number;
    let mut reader = log.reader();
    let entry = reader.entry(number).unwrap();
    assert!(reader.head(&entry).unwrap().is_some());
    let old = reader.entry(3).unwrap();
    let error = reader.head(&old).map(|_| ()).unwrap_err();
    assert_eq!(
        reader.explain(error).code(),
        "log_content_lost",
        "no deletion, and no entry was named"
    );
}

#[tokio::test]
async fn a_damaged_leaf_file_is_made_again_from_its_segment() {
    let disk = filled().await;
    let leaf = files(&disk, "leaves")[0].clone();
    disk.flip_bit(&path("leaves", &leaf), 300, 1);
    assert_eq!(aside(&disk).await.unwrap()[0].file, format!("leaves/{leaf}"));
    let log = open(&disk).unwrap();
    assert_eq!(
        log.check_files(CheckOrder::default(), |_, _| {})
            .await
            .unwrap()
            .findings,
        []
    );
}

#[tokio::test]
async fn a_crash_during_a_quarantine_leaves_the_damage_or_the_repair_and_the_next_one_records_it() {
    let disk = filled().await;
    let segments = files(&disk, "segments");
    disk.flip_bit(&path("segments", &segments[1]), 1700, 2);
    let began = disk.position();
    aside(&disk).await.unwrap();
    let ended = disk.position();
    for position in began..=ended {
        for crash in [Crash::OnlySynced, Crash::Mixture(position as u64)] {
            let after = disk.after_crash(position, crash);
            let found = aside(&after)
                .await
                .unwrap_or_else(|error| panic!("{position}: {error}"));
            let log = open(&after).unwrap();
            let (sound, codes) = read(&log);
            assert!(sound >= log.stats().entries - 2, "{crash:?} at {position}");
            assert!(
                codes.iter().all(|code| *code == "log_content_quarantined"),
                "{crash:?} at {position}: {codes:?}, {found:?}"
            );
            log.shutdown().await;
        }
    }
}

/// A log of single requests with one leaf file damaged together with its segment: both hold the leaf of one entry. Signed over
/// `signed` of its entries.
async fn without_leaf(signed: u64, entries: u64) -> (RecordingDisk, u64) {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..entries {
        log.append(request(id)).await.unwrap();
        if id + 1 == signed {
            log.sign_checkpoint().await.unwrap();
        }
    }
    log.shutdown().await;
    let name = files(&disk, "leaves")[1].clone();
    let number: u64 = name.trim_end_matches(".leaf").parse().unwrap();
    disk.remove(&path("leaves", &name)).unwrap();
    // The leaf of the second record that is an entry: just after the header.
    let segment = path("segments", &name.replace(".leaf", ".seg"));
    let bytes = crate::disk::read_all(&disk, &segment, 1 << 20).unwrap();
    let is_entry = |at: &usize| bytes[*at..].starts_with(b"KREC\x01");
    let at = (512..bytes.len() - 80).step_by(8).find(is_entry).unwrap();
    disk.flip_bit(&segment, at + 80 + 5, 1);
    (disk, number)
}

#[tokio::test]
async fn a_lost_leaf_that_was_signed_over_keeps_its_hash_and_the_tree_goes_on() {
    let (disk, number) = without_leaf(300, 300).await;
    let found = aside(&disk).await.unwrap();
    assert_eq!(found[0].lost["leaf"], number.to_string());
    for made_anew in [false, true] {
        let log = open(&disk).unwrap();
        if made_anew {
            // The levels can be made again from what is kept.
            for name in files(&disk, "tree") {
                disk.remove(&path("tree", &name)).unwrap();
            }
        }
        let before = log.checkpoint().unwrap();
        let newer = log.sign_checkpoint().await.unwrap().unwrap();
        assert!(newer.claimed().size() >= before.claimed().size());
        log.compare_with_seen(before).await.unwrap();
        assert!(log.prove(number + 1).await.is_ok());
        let gone = log.prove(number).await.unwrap_err();
        assert_eq!(gone.code(), "log_content_quarantined", "{gone}");
        let report = log
            .check_files(CheckOrder { deep: true }, |_, _| {})
            .await
            .unwrap();
        assert_eq!(report.findings, []);
        assert!(
            !report
                .notes
                .iter()
                .any(|note| note.contains("could not be compared")),
            "{:?}",
            report.notes
        );
        log.append(request(900)).await.unwrap();
        log.shutdown().await;
        drop(log);
    }
}

#[tokio::test]
async fn a_lost_leaf_whose_hash_is_lost_too_ends_the_log_by_name_and_never_forks_it() {
    let (disk, number) = without_leaf(60, 60).await;
    let signed = {
        let copy = disk.after_crash(disk.position(), Crash::Process);
        aside(&copy).await.unwrap();
        let log = open(&copy).unwrap();
        let signed = log.checkpoint().unwrap();
        let error = log.sign_checkpoint().await.unwrap_err();
        assert!(
            matches!(error, LogError::LeafLost { number: lost, size: 60 } if lost == number),
            "{error}"
        );
        assert_eq!(error.code(), "log_leaf_lost");
        // Nothing else was signed, nothing is taken, the rest can be read.
        assert_eq!(log.checkpoint().unwrap(), signed);
        assert_eq!(
            log.append(request(900)).await.unwrap_err().code(),
            "log_leaf_lost"
        );
        let (sound, _) = read(&log);
        assert!(sound + 2 >= log.stats().entries);
        signed
    };
    assert_eq!(signed.claimed().size(), 60);
}

#[tokio::test]
async fn a_lost_leaf_that_nobody_signed_over_is_in_the_tree_as_lost() {
    let (disk, number) = without_leaf(1, 60).await;
    aside(&disk).await.unwrap();
    let log = open(&disk).unwrap();
    let signed = log.sign_checkpoint().await.unwrap().unwrap();
    assert_eq!(signed.claimed().size(), log.stats().entries);
    log.prove(number + 1).await.unwrap();
    log.append(request(900)).await.unwrap();
}
