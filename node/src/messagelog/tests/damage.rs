use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::bed::*;
use crate::{
    disk::{
        Disk, read_all,
        recording::{Crash, RecordingDisk},
    },
    messagelog::{LogError, MessageLog, OpenLog},
};

const FIRST: &str = "00000000000000000000.seg";

fn path(dir: &str, name: &str) -> PathBuf {
    Path::new(DIR).join("log").join(dir).join(name)
}

async fn filled(entries: u64) -> RecordingDisk {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..entries {
        log.append(request(id)).await.unwrap();
    }
    log.shutdown().await;
    disk
}

fn report(result: Result<MessageLog, LogError>) -> String {
    match result.map(drop).unwrap_err() {
        LogError::Damaged { report } => report,
        other => panic!("{other}"),
    }
}

/// Where the records of the first segment end.
fn used(disk: &RecordingDisk) -> usize {
    let content = read_all(disk, &path("segments", FIRST), 1 << 20).unwrap();
    (content.iter().rposition(|byte| *byte != 0).unwrap() + 1).next_multiple_of(8)
}

#[tokio::test]
async fn a_flipped_bit_in_any_synced_byte_stops_the_start_after_a_clean_stop() {
    let disk = filled(12).await;
    // The mark of the clean stop is the last record; a flipped bit in it is a torn write as far as anybody can tell.
    let mark = used(&disk) - 80;
    for at in (0..mark).step_by(97).chain([0, 511, 512, mark - 1]) {
        let broken = disk.after_crash(disk.position(), Crash::Process);
        broken.flip_bit(&path("segments", FIRST), at, (at % 8) as u8);
        let report = report(open(&broken));
        assert!(report.contains(FIRST), "{at}: {report}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_a_sealed_segment_stops_the_start_and_names_the_place() {
    let disk = filled(100).await;
    let sealed = files(&disk, "segments")[1].clone();
    disk.flip_bit(&path("segments", &sealed), 9000, 3);
    let report = report(open(&disk));
    assert!(
        report.contains(&sealed) && report.contains("no sound record at byte"),
        "{report}"
    );
}

#[tokio::test]
async fn a_missing_segment_stops_the_start() {
    for index in [0, 2] {
        let disk = filled(120).await;
        let names: Vec<_> = files(&disk, "segments")
            .into_iter()
            .filter(|name| name != "spare.seg")
            .collect();
        disk.remove(&path("segments", &names[index])).unwrap();
        // Without its leaf file, which is all that is left of an archived segment.
        disk.remove(&path("leaves", &names[index].replace(".seg", ".leaf")))
            .unwrap();
        assert!(report(open(&disk)).contains("is missing"));
    }
    let disk = filled(3).await;
    disk.remove(&path("", "identity")).unwrap();
    assert!(report(open(&disk)).contains("identity"));
}

#[tokio::test]
async fn a_lost_leaf_file_is_made_again() {
    let disk = filled(100).await;
    let leaves = files(&disk, "leaves");
    disk.remove(&path("leaves", &leaves[0])).unwrap();
    let log = open(&disk).unwrap();
    assert_eq!(files(&disk, "leaves")[..leaves.len()], leaves);
    assert_eq!(check(&log).unwrap().len(), 200, "100 requests and their closures");
}

#[tokio::test]
async fn a_changed_key_file_stops_writing_before_anything_is_sealed() {
    let disk = filled(3).await;
    disk.flip_bit(&path("keys", "head.case.203001.key"), 200, 1);
    let log = open(&disk);
    // Closing the open exchanges needs evidence keys only; the first message needs the head's.
    let log = log.unwrap();
    let refused = log.append(request(9)).await.unwrap_err();
    assert_eq!(refused.code(), "log_damaged", "{refused}");
}

#[tokio::test]
async fn a_read_of_a_changed_record_is_refused() {
    let disk = filled(0).await;
    let log = open(&disk).unwrap();
    for id in 0..4 {
        log.append(request(id)).await.unwrap();
    }
    disk.flip_bit(&path("segments", FIRST), 2500, 0);
    assert!(matches!(check(&log), Err(LogError::Damaged { .. })));
}

#[tokio::test]
async fn what_is_left_of_a_torn_round_does_not_come_back_after_the_next_one() {
    let disk = RecordingDisk::default();
    let waiting = crate::messagelog::LogSettings {
        group_wait: Duration::from_millis(20),
        group_wait_from: 0,
        ..settings()
    };
    let log = MessageLog::open(OpenLog {
        settings: waiting,
        ..opening(&disk, clock())
    })
    .unwrap();
    log.append_timestamp("first".into(), vec![0]).await.unwrap();
    let torn_at = used(&disk);
    let (second, third) = (
        log.append_timestamp("next 2".into(), vec![1]),
        log.append_timestamp("next 3".into(), vec![2]),
    );
    let (second, third) = tokio::join!(second, third);
    assert_eq!(
        (second.unwrap().number, third.unwrap().number, log.stats().rounds),
        (1, 2, 2)
    );
    let torn = disk.after_crash(disk.position(), Crash::Process);
    torn.flip_bit(&path("segments", FIRST), torn_at + 90, 0);

    let log = open(&torn).unwrap();
    assert_eq!(check(&log).unwrap(), [Found::Token(vec![0])]);
    // As long as the record that was lost: the one after it would follow without a gap.
    log.append_timestamp("next 4".into(), vec![4]).await.unwrap();
    let torn_again = torn.after_crash(torn.position(), Crash::Process);
    let log = open(&torn_again).unwrap();
    assert_eq!(
        check(&log).unwrap(),
        [Found::Token(vec![0]), Found::Token(vec![4])]
    );
}
