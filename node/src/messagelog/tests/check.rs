//! The check of all files: silent over a sound log, beside a writer and without one; and every kind of file, changed by one
//! bit, is a finding that names it.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use kontor_pki::{crypto::sha512, sealed::MasterKey};

use super::bed::*;
use crate::{
    clock::ManualClock,
    disk::{
        Disk, read_all,
        recording::{Crash, RecordingDisk},
    },
    messagelog::{
        CheckOrder, CheckReport, Fact, FactKind, LogError, LoggedBody, MessageLog, NewEntry, PurgeOrder,
        check_unowned,
    },
};

fn unowned(disk: &RecordingDisk, deep: bool) -> Result<CheckReport, LogError> {
    let master = MasterKey::from_bytes([7; 32]);
    let order = CheckOrder { deep };
    check_unowned(
        Path::new(DIR),
        Arc::new(disk.clone()),
        master,
        order,
        &mut |_, _| {},
    )
}

fn codes(report: &CheckReport) -> Vec<(&str, &str)> {
    let told = |finding: &crate::messagelog::Finding| {
        assert!(!finding.advice.is_empty() && !finding.text.is_empty());
    };
    report.findings.iter().for_each(told);
    let found = report.findings.iter();
    found
        .map(|finding| (finding.code.as_str(), finding.file.as_str()))
        .collect()
}

async fn with_content(log: &MessageLog, id: u64) -> NewEntry {
    let body = Bytes::from(vec![id as u8; 70_000]);
    let mut spooled = log.spool();
    spooled.write(body.clone()).await.unwrap();
    NewEntry {
        body: LoggedBody::Content(spooled.finish().await.unwrap(), sha512(&body)),
        ..request(id)
    }
}

/// Segments sealed and open, facts, a purge with something on hold, a content file that stays.
async fn lived(disk: &RecordingDisk, clock: &Arc<ManualClock>) -> MessageLog {
    let log = MessageLog::open(opening(disk, clock.clone())).unwrap();
    for id in 0..40 {
        log.append(request(id)).await.unwrap();
    }
    let content = with_content(&log, 40).await;
    log.append(content).await.unwrap();
    let said = crate::messagelog::Held {
        ground: "case".into(),
        who: "uid:0".into(),
    };
    log.hold("4,40".parse().unwrap(), said).await.unwrap();
    clock.advance(Duration::from_secs(20 * 86_400));
    for id in 50..80 {
        log.append(request(id)).await.unwrap();
    }
    log.append_fact(Fact::new(FactKind::Start, &())).await.unwrap();
    let order = PurgeOrder::due("retention", false);
    assert!(!log.purge(order).await.unwrap().deletions.is_empty());
    log.sign_checkpoint().await.unwrap();
    log
}

#[tokio::test]
async fn a_sound_log_has_no_findings_beside_its_writer_and_without_one() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = lived(&disk, &clock).await;
    assert!(matches!(unowned(&disk, true), Err(LogError::Locked { .. })));
    for deep in [false, true] {
        let report = log.check_files(CheckOrder { deep }, |_, _| {}).await.unwrap();
        assert_eq!(codes(&report), [], "{report:?}");
        assert_eq!(report.entries, log.stats().entries);
        assert!(report.segments > 2 && report.key_files > 2 && report.content_files == 1);
    }
    let killed = disk.after_crash(disk.position(), Crash::Process);
    log.shutdown().await;
    for disk in [&disk, &killed] {
        for deep in [false, true] {
            let before = disk.position();
            assert_eq!(codes(&unowned(disk, deep).unwrap()), []);
            assert_eq!(disk.position(), before, "a check changes nothing");
        }
    }
    assert_eq!(
        codes(&unowned(&RecordingDisk::default(), false).unwrap_or_default()),
        []
    );
}

#[tokio::test]
async fn a_flipped_bit_in_any_kind_of_file_is_a_finding_that_names_the_file() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = lived(&disk, &clock).await;
    log.shutdown().await;
    let path = |dir: &str, name: &str| Path::new(DIR).join("log").join(dir).join(name);
    let name = |dir: &str, index: usize| files(&disk, dir)[index].clone();
    let sealed = name("segments", 1);
    let open = files(&disk, "segments")
        .iter()
        .rev()
        .find(|name| *name != "spare.seg")
        .unwrap()
        .clone();
    let cases: [(&str, &str, String, usize); 9] = [
        ("checkpoint_damaged", "", "checkpoint".into(), 110),
        ("segment_header_damaged", "segments", sealed.clone(), 20),
        ("segment_damaged", "segments", sealed.clone(), 1700),
        ("segment_damaged", "segments", open.clone(), 700),
        ("segment_header_damaged", "segments", open, 5),
        ("leaf_file_damaged", "leaves", name("leaves", 0), 200),
        ("key_file_damaged", "keys", name("keys", 0), 260),
        ("content_damaged", "content", name("content", 0), 50_000),
        ("marks_damaged", "", "marks".into(), 60),
    ];
    for (code, dir, name, offset) in cases {
        let broken = disk.after_crash(disk.position(), Crash::Process);
        broken.flip_bit(&path(dir, &name), offset, 1);
        let report = unowned(&broken, true).unwrap();
        let below = format!("log/{}", Path::new(dir).join(&name).display());
        assert!(
            codes(&report).contains(&(code, below.as_str())),
            "{code} {below}: {report:?}"
        );
        assert_eq!(
            report
                .findings
                .iter()
                .filter(|finding| finding.file == below)
                .count(),
            1
        );
    }
    let broken = disk.after_crash(disk.position(), Crash::Process);
    broken.flip_bit(&path("", "identity"), 30, 1);
    assert!(unowned(&broken, false).is_err());
}

#[tokio::test]
async fn missing_files_are_findings_too() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = lived(&disk, &clock).await;
    log.shutdown().await;
    let without = |dir: &str, names: &[&str]| {
        let broken = disk.after_crash(disk.position(), Crash::Process);
        for name in names {
            broken
                .remove(&Path::new(DIR).join("log").join(dir).join(name))
                .unwrap();
        }
        broken
    };
    let found = |disk: &RecordingDisk| {
        let report = unowned(disk, false).unwrap();
        codes(&report)
            .iter()
            .map(|(code, _)| (*code).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found(&without("content", &[&files(&disk, "content")[0]])),
        ["content_missing"]
    );
    assert_eq!(found(&without("keys", &["head.case.203001.key"])), ["key_lost"]);
    let middle = files(&disk, "segments")[1].clone();
    let gap = without("segments", &[&middle]);
    gap.remove(
        &Path::new(DIR)
            .join("log/leaves")
            .join(middle.replace(".seg", ".leaf")),
    )
    .unwrap();
    assert!(found(&gap).contains(&"segment_missing".to_owned()));
    // A content file that nobody names.
    let more = disk.after_crash(disk.position(), Crash::Process);
    more.create(&Path::new(DIR).join("log/content").join("0".repeat(32)))
        .unwrap();
    assert_eq!(found(&more), ["content_unused"]);
}

#[tokio::test]
async fn an_older_log_in_place_of_the_one_that_was_signed_is_a_finding() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = MessageLog::open(opening(&disk, clock)).unwrap();
    log.append(request(0)).await.unwrap();
    let older = disk.position();
    log.append(request(10)).await.unwrap();
    log.sign_checkpoint().await.unwrap();
    log.shutdown().await;
    let checkpoint = Path::new(DIR).join("log/checkpoint");
    let signed = read_all(&disk, &checkpoint, 10_000).unwrap();
    let set_back = disk.after_crash(older, Crash::Process);
    assert_eq!(codes(&unowned(&set_back, false).unwrap()), []);
    crate::disk::replace(&set_back, &checkpoint, &signed).unwrap();
    let report = unowned(&set_back, false).unwrap();
    assert_eq!(codes(&report), [("log_behind", "log/checkpoint")]);
}

#[tokio::test]
async fn a_segment_changed_with_its_checksums_is_found_by_its_leaf_file() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = lived(&disk, &clock).await;
    log.shutdown().await;
    // The leaf file of one segment in the place of another's content: made of sound records of this log.
    let leaves = files(&disk, "leaves");
    let path = Path::new(DIR).join("log/leaves").join(&leaves[0]);
    let mut bytes = read_all(&disk, &path, 1 << 20).unwrap();
    // One leaf of another second, with a right checksum.
    let length = u32::from_be_bytes(bytes[72..76].try_into().unwrap()) as usize;
    let mut leaf = kontor_protocol::log::Leaf::parse(&bytes[80..80 + length]).unwrap();
    leaf.second += 1;
    let changed = leaf.to_bytes();
    bytes[80..80 + length].copy_from_slice(&changed);
    bytes[76..80].copy_from_slice(&crate::messagelog::format::crc(&changed).to_be_bytes());
    disk.remove(&path).unwrap();
    disk.create(&path).unwrap().write_at(0, &bytes).unwrap();
    let report = unowned(&disk, false).unwrap();
    let segment = format!("log/segments/{}", leaves[0].replace(".leaf", ".seg"));
    assert_eq!(codes(&report), [("leaf_wrong", segment.as_str())]);
    assert_eq!(report.findings[0].entries, "0");
}

#[tokio::test]
async fn damage_in_an_old_segment_is_found_after_the_start_and_said_in_health() {
    let disk = RecordingDisk::default();
    let settings = || crate::messagelog::LogSettings {
        // Larger than what a start reads.
        segment_bytes: 65 * 1024 * 1024,
        first_segment_bytes: 65 * 1024 * 1024,
        ..settings()
    };
    let opened = |disk: &RecordingDisk| {
        MessageLog::open(crate::messagelog::OpenLog {
            settings: settings(),
            ..opening(disk, clock())
        })
    };
    let log = opened(&disk).unwrap();
    let body = Bytes::from(vec![7; 10 * 1024 * 1024]);
    for id in 0..7 {
        log.append(NewEntry {
            body: LoggedBody::Inline(body.clone(), sha512(&body)),
            ..request(id)
        })
        .await
        .unwrap();
    }
    log.shutdown().await;
    let first = files(&disk, "segments")[0].clone();
    disk.flip_bit(
        &Path::new(DIR).join("log/segments").join(first.clone()),
        40_000,
        1,
    );
    let log = opened(&disk).unwrap();
    let found = async {
        while log.damage().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found)
        .await
        .unwrap();
    assert!(log.damage()[0].contains(&first), "{:?}", log.damage());
    assert!(log.append(request(9)).await.is_ok());
}

#[tokio::test]
async fn bindings_that_do_not_read_are_named_and_a_start_does_without_them() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    log.append(request(1)).await.unwrap();
    let root = Path::new(DIR).join("log");
    for name in ["witnesses.json", "checkpoint-key.json", "witness-key.json"] {
        crate::disk::replace(&disk, &root.join(name), b"[{\"form").unwrap();
    }
    log.shutdown().await;
    let log = open(&disk).unwrap();
    let report = log.check_files(CheckOrder::default(), |_, _| {}).await.unwrap();
    let found: Vec<_> = report
        .findings
        .iter()
        .map(|found| (&found.code[..], &found.file[..]))
        .collect();
    let expected = ["checkpoint-key.json", "witness-key.json", "witnesses.json"];
    for name in expected {
        assert!(
            found.contains(&("binding_damaged", &format!("log/{name}"))),
            "{name}: {found:?}"
        );
    }
    assert_eq!(found.len(), 3);
    assert!(log.sign_checkpoint().await.unwrap().is_some());
}
