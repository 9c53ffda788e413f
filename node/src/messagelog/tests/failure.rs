use std::{collections::BTreeSet, io::ErrorKind, time::Duration};

use bytes::Bytes;

use super::{bed::*, purge::large};
use crate::{
    disk::recording::{Crash, Failure, Operation, RecordingDisk},
    messagelog::LogError,
};

#[tokio::test]
async fn a_full_disk_refuses_entries_in_words_and_takes_them_again_when_there_is_space() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let asked = log.append(request(0)).await.unwrap();
    disk.set_free_space(100);
    let refused = log.append(request(1)).await.unwrap_err();
    assert!(matches!(
        refused,
        LogError::Full {
            free: 100,
            reserve: 1024,
            ..
        }
    ));
    assert!(
        refused
            .to_string()
            .contains("100 bytes are free in /data, 1024 are kept in reserve"),
        "{refused}"
    );
    assert_eq!(log.check().unwrap_err().code(), "log_full");
    let mut spooled = log.spool();
    spooled.write(Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(spooled.finish().await.unwrap_err().code(), "log_full");
    // The reserve is for this: what was begun can be closed.
    log.close_failed(asked, "fault").await.unwrap();
    disk.set_free_space(1 << 30);
    assert_eq!(log.append(request(2)).await.unwrap().number, 2);
    assert_eq!(log.stats().refused_full, 1);
    assert!(log.check().is_ok());
}

#[tokio::test]
async fn a_segment_that_finds_no_space_refuses_entries_and_the_log_goes_on_later() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    disk.fail(Failure {
        operation: Operation::Write,
        path: "spare.seg.new",
        after: 0,
        kind: ErrorKind::StorageFull,
    });
    let mut stored = 0;
    let refused = loop {
        match log.append(request(stored)).await {
            Ok(receipt) => assert_eq!(receipt.number, stored),
            Err(error) => break error,
        }
        stored += 1;
    };
    assert_eq!(refused.code(), "log_full");
    disk.heal();
    assert_eq!(log.append(request(stored)).await.unwrap().number, stored);
    assert_eq!(check(&log).unwrap().len() as u64, stored + 1);
}

async fn fails_closed(operation: Operation, path: &'static str, kind: ErrorKind) {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    log.append(request(0)).await.unwrap();
    disk.fail(Failure {
        operation,
        path,
        after: 2,
        kind,
    });
    let mut acknowledged = 1;
    let waiting: Vec<_> = (1..200)
        .map(|id| {
            let log = log.clone();
            tokio::spawn(async move { log.append(request(id)).await })
        })
        .collect();
    for task in waiting {
        match task.await.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(error) => assert_eq!(error.code(), "log_failed", "{operation:?} {path}"),
        }
    }
    let failed = tokio::time::timeout(Duration::from_secs(5), log.failed())
        .await
        .unwrap();
    assert_eq!(failed.code(), "log_failed");
    disk.heal();
    // Final for the process, though the disk works again.
    assert_eq!(log.append(request(0)).await.unwrap_err().code(), "log_failed");
    assert_eq!(log.check().unwrap_err().code(), "log_failed");
    log.shutdown().await;
    drop(log);
    // The next start repairs, with every entry that was acknowledged.
    let log = loop {
        match open(&disk) {
            Err(LogError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            opened => break opened.unwrap(),
        }
    };
    assert!(check(&log).unwrap().len() >= acknowledged);
}

#[tokio::test]
async fn a_failed_write_ends_the_log_and_every_waiter_hears_of_it() {
    fails_closed(Operation::Write, "segments/0", ErrorKind::Other).await;
    fails_closed(Operation::Write, "segments/0", ErrorKind::StorageFull).await;
}

#[tokio::test]
async fn a_failed_sync_ends_the_log_and_every_waiter_hears_of_it() {
    fails_closed(Operation::Sync, "segments/0", ErrorKind::Other).await;
}

#[tokio::test]
async fn a_failed_rename_or_directory_sync_ends_the_log() {
    fails_closed(Operation::Rename, ".seg", ErrorKind::Other).await;
    fails_closed(Operation::SyncDir, "segments", ErrorKind::Other).await;
}

#[tokio::test]
async fn a_failed_write_of_a_body_ends_the_log_but_a_full_disk_only_that_body() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let failure = Failure {
        operation: Operation::Write,
        path: "spool",
        after: 2,
        kind: ErrorKind::StorageFull,
    };
    disk.fail(failure.clone());
    let mut body = log.spool();
    let mut refused = None;
    for _ in 0..5 {
        if let Err(error) = body.write(Bytes::from(vec![1; 70_000])).await {
            refused = Some(error);
            break;
        }
    }
    let refused = match refused {
        Some(error) => error,
        None => body.finish().await.unwrap_err(),
    };
    assert_eq!(refused.code(), "log_full");
    disk.heal();
    log.append(request(0)).await.unwrap();

    disk.fail(Failure {
        kind: ErrorKind::Other,
        after: 0,
        ..failure
    });
    let mut body = log.spool();
    body.write(Bytes::from_static(b"x")).await.unwrap();
    assert_eq!(body.finish().await.unwrap_err().code(), "log_failed");
    assert_eq!(log.append(request(1)).await.unwrap_err().code(), "log_failed");
}

#[tokio::test]
async fn an_acknowledged_body_is_read_under_its_spool_name_and_gets_its_place_at_the_next_start() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let content = large(&log, 0).await;
    // The moment between the answer and the rename, made to last.
    disk.fail(Failure {
        operation: Operation::Rename,
        path: "content/",
        after: 0,
        kind: ErrorKind::Other,
    });
    log.append(content).await.unwrap();
    log.append(request(1)).await.unwrap_err();
    assert_eq!(
        (files(&disk, "spool").len(), files(&disk, "content").len()),
        (1, 0)
    );
    assert_eq!(check(&log).unwrap(), [Found::Message(0)]);
    for crash in [Crash::Process, Crash::OnlySynced, Crash::Mixture(1)] {
        let after = disk.after_crash(disk.position(), crash);
        let log = open(&after).unwrap();
        assert_eq!(check(&log).unwrap()[0], Found::Message(0), "{crash:?}");
        assert_eq!(
            (files(&after, "spool").len(), files(&after, "content").len()),
            (0, 1)
        );
    }
}

#[tokio::test]
async fn a_short_write_ends_the_log_and_the_next_start_cuts_what_arrived_of_it() {
    for arrived in [1, 80, 600, 1500] {
        let disk = RecordingDisk::default();
        let log = open(&disk).unwrap();
        log.append(request(0)).await.unwrap();
        disk.arrive_short(arrived);
        disk.fail(Failure {
            operation: Operation::Write,
            path: "segments/0",
            after: 0,
            kind: ErrorKind::WriteZero,
        });
        assert_eq!(log.append(request(1)).await.unwrap_err().code(), "log_failed");
        assert_eq!(log.append(request(2)).await.unwrap_err().code(), "log_failed");
        assert_eq!(disk.failed().len(), 1, "nothing was written after it");
        let killed = disk.after_crash(disk.position(), Crash::Process);
        let log = open(&killed).unwrap();
        // The request that was acknowledged and its closure; what arrived whole may stay, and is closed too.
        let found = check(&log).unwrap();
        assert_eq!(found[0], Found::Message(0), "{arrived}");
        assert!(
            found.len() == 2 || (arrived == 1500 && found.len() == 4),
            "{arrived}: {found:?}"
        );
        let next = log.append(request(3)).await.unwrap().number;
        assert_eq!(next, found.len() as u64);
    }
}

#[tokio::test]
async fn a_failed_sync_is_never_tried_again() {
    for path in ["segments/0", "segments"] {
        let disk = RecordingDisk::default();
        let log = open(&disk).unwrap();
        disk.fail(Failure {
            operation: Operation::Sync,
            path,
            after: 0,
            kind: ErrorKind::Other,
        });
        let waiting: Vec<_> = (0..20)
            .map(|id| {
                let log = log.clone();
                tokio::spawn(async move { log.append(request(id)).await })
            })
            .collect();
        for task in waiting {
            assert_eq!(task.await.unwrap().unwrap_err().code(), "log_failed", "{path}");
        }
        log.shutdown().await;
        // The next segment is prepared at the same time, and its own sync may have failed too: each once, none again.
        let failed = disk.failed();
        let once: BTreeSet<_> = failed.iter().collect();
        assert_eq!(
            (failed.is_empty(), once.len()),
            (false, failed.len()),
            "{path}: {failed:?}"
        );
    }
}
