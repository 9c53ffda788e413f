//! A disk that does not give back what is on it: the error is named, nothing is taken for absent or damaged, nothing is
//! rewritten, and what does not need those bytes goes on.

use std::{io::ErrorKind, path::Path};

use super::bed::*;
use crate::{
    disk::recording::{Crash, Failure, Operation, RecordingDisk},
    messagelog::{CheckOrder, LogError, MessageLog, quarantine},
};

async fn filled() -> RecordingDisk {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..60 {
        let asked = log.append(request(id)).await.unwrap();
        log.append(response(id, asked.number)).await.unwrap();
    }
    log.sign_checkpoint().await.unwrap();
    log.shutdown().await;
    disk
}

fn copy(disk: &RecordingDisk) -> RecordingDisk {
    disk.after_crash(disk.position(), Crash::Process)
}

fn unreadable(disk: &RecordingDisk, operation: Operation, path: &'static str) {
    disk.fail(Failure {
        operation,
        path,
        after: 0,
        kind: ErrorKind::Other,
    });
}

/// The error and that it names the file; a disk that fails says nothing about what stands on it.
fn assert_named(result: Result<MessageLog, LogError>, path: &str) {
    let error = result.map(drop).unwrap_err();
    assert_eq!(error.code(), "log_io", "{path}: {error}");
    assert!(error.to_string().contains(path), "{path}: {error}");
}

#[tokio::test]
async fn a_start_that_cannot_read_a_file_names_it_changes_nothing_and_works_once_it_can() {
    let disk = filled().await;
    let last = files(&disk, "segments");
    let last: &'static str = last[last.len() - 2].clone().leak();
    for path in [
        "00000000000000000000.seg",
        last,
        ".leaf",
        "log/identity",
        "log/checkpoint",
        "checkpoint.key",
        "witness.key",
        "log/marks",
    ] {
        for operation in [Operation::Open, Operation::Read] {
            let failing = copy(&disk);
            let before = failing.everything();
            unreadable(&failing, operation, path);
            assert_named(open(&failing), path);
            failing.heal();
            assert_eq!(failing.everything(), before, "{operation:?} {path}");
            let log = open(&failing).unwrap();
            assert_eq!(check(&log).unwrap().len(), 120);
        }
    }
}

#[tokio::test]
async fn entries_that_cannot_be_read_are_an_error_and_others_are_still_taken() {
    let disk = copy(&filled().await);
    let log = open(&disk).unwrap();
    unreadable(&disk, Operation::Read, "segments/");
    let error = log.reader().entry(3).map(drop).unwrap_err();
    assert_eq!(error.code(), "log_io", "{error}");
    let asked = log.append(request(500)).await.unwrap();
    log.append(response(500, asked.number)).await.unwrap();
    disk.heal();
    assert_eq!(check(&log).unwrap().len(), 122);
}

#[tokio::test]
async fn a_key_file_that_cannot_be_read_is_neither_a_deletion_nor_a_loss_nor_made_anew() {
    let sound = filled().await;
    for operation in [Operation::Open, Operation::Read] {
        let disk = copy(&sound);
        let log = open(&disk).unwrap();
        unreadable(&disk, operation, "keys/head");
        let mut reader = log.reader();
        let entry = reader.entry(3).unwrap();
        let error = reader.head(&entry).map(drop).unwrap_err();
        assert_eq!(reader.explain(error).code(), "log_io");
        let before = disk.position();
        // The writer needs the same key: it refuses, and does not go on with another.
        let refused = log.append(request(1)).await.unwrap_err();
        assert_eq!(refused.code(), "log_io");
        assert!(refused.to_string().contains("head.case.203001.key"), "{refused}");
        assert_eq!(disk.position(), before);
        disk.heal();
        log.append(request(1)).await.unwrap();
        assert_eq!(check(&log).unwrap().len(), 121);
    }
}

#[tokio::test]
async fn hashes_that_cannot_be_read_are_made_again_and_the_same_is_signed() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..300 {
        log.append(request(id)).await.unwrap();
    }
    let signed = log.sign_checkpoint().await.unwrap().unwrap();
    log.shutdown().await;
    for operation in [Operation::Open, Operation::Read] {
        let failing = copy(&disk);
        unreadable(&failing, operation, "tree/level-0");
        let log = open(&failing).unwrap();
        match log.sign_checkpoint().await {
            Ok(_) => {}
            Err(error) => assert_eq!(error.code(), "log_io", "{operation:?}: {error}"),
        }
        failing.heal();
        log.compare_with_seen(signed.clone()).await.unwrap();
        let newer = log.sign_checkpoint().await.unwrap().unwrap();
        assert!(newer.claimed().size() > signed.claimed().size());
        assert!(log.prove(3).await.is_ok());
    }
}

#[tokio::test]
async fn a_check_names_what_it_cannot_read_and_a_quarantine_leaves_it_alone() {
    let disk = copy(&filled().await);
    for path in ["segments/0", ".leaf", "keys/head", "log/marks"] {
        let failing = copy(&disk);
        let log = open(&failing).unwrap();
        let open_read = [Operation::Open, Operation::Read];
        for operation in open_read {
            unreadable(&failing, operation, path);
            let report = log.check_files(CheckOrder { deep: true }, |_, _| {}).await;
            let named = match &report {
                Ok(report) => !report.findings.is_empty(),
                Err(error) => error.to_string().contains(path),
            };
            assert!(named, "{operation:?} {path}: {report:?}");
            failing.heal();
        }
        log.shutdown().await;
        drop(log);
        let before = failing.everything();
        for operation in open_read {
            unreadable(&failing, operation, path);
            let aside = quarantine(opening(&failing, clock()), "none", "uid:0").await;
            assert_eq!(aside.unwrap_err().code(), "log_io", "{operation:?} {path}");
            failing.heal();
            assert_eq!(failing.everything(), before, "{operation:?} {path}");
        }
        assert_eq!(files(&failing, "quarantine"), [""; 0]);
    }
    assert!(!Path::new(DIR).exists());
}
