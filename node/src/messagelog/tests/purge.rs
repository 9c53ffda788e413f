//! Forgetting: what is due goes, by an entry that says so, and nothing else does; a crash anywhere leaves either nothing done
//! or a deletion that the next start finishes.

use std::{collections::BTreeMap, ops::ControlFlow, sync::Arc, time::Duration};

use bytes::Bytes;
use kontor_pki::{crypto::sha512, sealed::MasterKey};
use kontor_protocol::log::EntryKind as Kind;

use super::bed::*;
use crate::{
    clock::ManualClock,
    config::retention::{Logging, Schedule},
    disk::{
        Disk,
        recording::{Crash, Failure, Operation, RecordingDisk},
    },
    messagelog::{
        Deleted, EntryKind, Held, LogError, LogSettings, LoggedBody, MessageLog, NewEntry, NumberSet,
        OpenLog, PurgeOrder, Released,
        blob::{Evidence, Shared},
        keytree::KeyRing,
        read::StoredBody,
    },
};

pub(super) const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn open_at(disk: &RecordingDisk, clock: &Arc<ManualClock>) -> MessageLog {
    MessageLog::open(opening(disk, clock.clone())).unwrap()
}

pub(super) fn order(dry_run: bool) -> PurgeOrder {
    PurgeOrder::due("retention", dry_run)
}

pub(super) fn held(ground: &str) -> Held {
    Held {
        ground: ground.into(),
        who: "uid:0".into(),
    }
}

/// A message that has a body of known bytes.
pub(super) fn full(id: u64, answers: Option<u64>) -> NewEntry {
    let body = Bytes::from(format!("body of {id} {}", "b".repeat(300)));
    let kind = match answers {
        None => EntryKind::RequestSent,
        Some(_) => EntryKind::ResponseReceived,
    };
    NewEntry {
        body: LoggedBody::Inline(body.clone(), sha512(&body)),
        ..entry(kind, id, answers)
    }
}

pub(super) async fn large(log: &MessageLog, id: u64) -> NewEntry {
    let body = Bytes::from(vec![id as u8; 70_000]);
    let mut spooled = log.spool();
    spooled.write(body.clone()).await.unwrap();
    NewEntry {
        body: LoggedBody::Content(spooled.finish().await.unwrap(), sha512(&body)),
        ..request(id)
    }
}

/// Which parts of each entry can be read: head, evidence, signature document, body; and what is gone why.
pub(super) fn readable(log: &MessageLog) -> BTreeMap<u64, [Result<bool, &'static str>; 4]> {
    let mut reader = log.reader();
    let mut found = BTreeMap::new();
    reader
        .scan(0, &mut |reader, entry| {
            let head = reader.head(entry).map(|head| head.is_some());
            let evidence = reader.evidence(entry);
            let shared = match &evidence {
                Ok(opened) => match Evidence::parse(opened).unwrap().shared {
                    Some(place) => {
                        let opened = reader.shared(entry.number, &place)?;
                        assert!(Shared::parse(&opened).is_some());
                        Ok(true)
                    }
                    None => Ok(false),
                },
                Err(error) => Err(error.clone()),
            };
            let body = reader.body(entry).and_then(|body| {
                Ok(match body {
                    StoredBody::None => false,
                    StoredBody::Inline(_) => true,
                    StoredBody::Content(mut chunks, _) => {
                        while chunks.next_chunk()?.is_some() {}
                        true
                    }
                })
            });
            let parts = [head, evidence.map(|_| true), shared, body];
            let parts = parts.map(|part| part.map_err(|error| reader.explain(error).code()));
            found.insert(entry.number, parts);
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    found
}

pub(super) const GONE: Result<bool, &str> = Err("log_content_deleted");

pub(super) fn leaves(log: &MessageLog) -> Vec<Vec<u8>> {
    let mut leaves = Vec::new();
    log.reader()
        .each_leaf(0, &mut |_, leaf| {
            leaves.push(leaf.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    leaves
}

#[tokio::test]
async fn bodies_go_after_days_by_an_entry_that_says_rule_and_ground_and_the_rest_stays() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    for id in 0..40 {
        log.append(full(id, None)).await.unwrap();
    }
    let content = large(&log, 40).await;
    log.append(content).await.unwrap();
    clock.advance(3 * DAY);
    log.append(full(41, None)).await.unwrap();
    assert_eq!(files(&disk, "content").len(), 1);
    clock.advance(5 * DAY);

    let before = leaves(&log);
    let planned = log.purge(order(true)).await.unwrap();
    assert_eq!(log.stats().entries, 42, "a dry run changes nothing");
    let done = log.purge(order(false)).await.unwrap();
    assert_eq!((planned.deletions.len(), done.deletions.len()), (1, 1));
    assert_eq!(planned.deletions[0].said, done.deletions[0].said);
    let said = &done.deletions[0].said;
    assert_eq!(
        (said.rule.as_str(), said.part.as_str(), said.month, said.entries),
        ("days = 7d", "body", 203_001, 41)
    );
    assert!(
        said.whole_month,
        "the entry of February has a key file of its own"
    );
    assert_eq!(files(&disk, "content"), [""; 0]);
    assert!(!files(&disk, "keys").contains(&"body.days.203001.key".into()));

    let found = readable(&log);
    for number in 0..41 {
        assert_eq!(found[&number], [Ok(true), Ok(true), Ok(true), GONE], "{number}");
    }
    assert_eq!(found[&41], [Ok(true), Ok(true), Ok(true), Ok(true)]);
    assert_eq!(leaves(&log)[..42], before[..], "leaves stay as they are");
    let fact = log.fact(42).await.unwrap();
    assert_eq!(fact.kind, Kind::Deletion);
    assert_eq!(fact.numbers.to_string(), "0-40");
    assert_eq!(fact.said::<Deleted>().unwrap(), *said);
    // Nothing is due now, and the next start sees the same.
    assert!(log.purge(order(false)).await.unwrap().deletions.is_empty());
    log.shutdown().await;
    let log = open_at(&disk, &clock);
    assert_eq!(readable(&log)[&40][3], GONE);
    let exported = log.export(3, None).await.unwrap();
    assert_eq!(
        exported.notes[0],
        "the body of entry 3 is deleted under the rule `days = 7d` by entry 42"
    );
}

#[tokio::test]
async fn what_is_on_hold_stays_until_the_hold_is_released() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    for id in 0..30 {
        log.append(full(id, None)).await.unwrap();
    }
    assert!(matches!(
        log.hold("3,30".parse().unwrap(), held("beyond the end")).await,
        Err(LogError::NotFound { number: 30 })
    ));
    let hold = log.hold("3,7-9".parse().unwrap(), held("case 1")).await.unwrap();
    clock.advance(30 * DAY);
    let report = log.purge(order(false)).await.unwrap();
    assert_eq!((report.on_hold, report.deletions[0].said.entries), (4, 26));
    assert!(!report.deletions[0].said.whole_month);
    let found = readable(&log);
    for number in 0..30 {
        let stays = [3, 7, 8, 9].contains(&number);
        assert_eq!(found[&number][3], if stays { Ok(true) } else { GONE }, "{number}");
    }
    // A start knows the hold too.
    log.shutdown().await;
    let log = open_at(&disk, &clock);
    assert_eq!(log.holds().await.unwrap()[0].entry, hold.number);
    assert!(log.purge(order(false)).await.unwrap().deletions.is_empty());
    let released = Released {
        hold: hold.number,
        ground: "case closed".into(),
        who: "uid:0".into(),
    };
    log.release(released.clone()).await.unwrap();
    assert_eq!(
        log.release(released).await.unwrap_err().code(),
        "log_entry_unsuited"
    );
    assert!(log.holds().await.unwrap().is_empty());
    let report = log.purge(order(false)).await.unwrap();
    assert_eq!(report.deletions[0].said.entries, 4);
    assert!(report.deletions[0].said.whole_month);
    assert_eq!(readable(&log)[&8][3], GONE);
}

#[tokio::test]
async fn years_later_nothing_but_leaves_is_left_and_segments_shrink() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    let mut asked = Vec::new();
    for id in 0..60 {
        let receipt = log.append(full(id, None)).await.unwrap();
        asked.push(log.append(full(id + 1000, Some(receipt.number))).await.unwrap());
    }
    let before = (leaves(&log), disk.everything().len());
    clock.advance(11 * 366 * DAY);
    for id in 0..40 {
        log.append(full(2000 + id, None)).await.unwrap();
    }
    let report = log.purge(order(false)).await.unwrap();
    assert!(report.segments >= 2, "{report:?}");
    assert_eq!(leaves(&log)[..120], before.0[..]);
    let found = readable(&log);
    for number in 0..120 {
        assert_eq!(found[&number], [GONE, GONE, GONE, GONE], "{number}");
    }
    assert_eq!(found[&121], [Ok(true), Ok(true), Ok(true), Ok(true)]);
    assert!(
        !files(&disk, "keys")
            .iter()
            .any(|name| name.ends_with(".203001.key"))
    );
    log.shutdown().await;
    // Sealed segments hold leaves and book-keeping only.
    let segments = files(&disk, "segments");
    let size = |name: &String| {
        let path = std::path::Path::new(DIR).join("log/segments").join(name);
        disk.open(&path).unwrap().len().unwrap()
    };
    assert!(size(&segments[0]) < 16 * 1024 / 2, "{}", size(&segments[0]));
    assert!(disk.everything().len() < before.1 * 3);
    let log = open_at(&disk, &clock);
    assert_eq!(readable(&log)[&119], [GONE; 4]);
}

#[tokio::test]
async fn a_signature_document_goes_with_the_last_entry_that_refers_to_it() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    for id in 0..30 {
        log.append(full(id, None)).await.unwrap();
    }
    // Batch 0 is cited by 0 to 3: one of them is on hold.
    log.hold("2".parse().unwrap(), held("case")).await.unwrap();
    for id in 30..60 {
        log.append(full(id, None)).await.unwrap();
    }
    clock.advance(11 * 366 * DAY);
    log.purge(order(false)).await.unwrap();
    let found = readable(&log);
    assert_eq!(found[&2], [Ok(true), Ok(true), Ok(true), Ok(true)]);
    assert_eq!((found[&1][2], found[&3][2]), (GONE, GONE));
    let sealed = files(&disk, "segments").len() - 2;
    assert!(sealed > 0);
    let hold = log.holds().await.unwrap()[0].entry;
    let released = Released {
        hold,
        ground: "closed".into(),
        who: "uid:0".into(),
    };
    log.release(released).await.unwrap();
    log.purge(order(false)).await.unwrap();
    assert_eq!(readable(&log)[&2], [GONE; 4]);
    // No record of a document is left in the first segment.
    let mut documents = 0;
    let home = log.reader().home().clone();
    crate::messagelog::segment::Segment::open(&*home.disk, &home.layout, &home.id, 0)
        .unwrap()
        .scan(&mut |record| {
            documents += u32::from(record.header.kind == crate::messagelog::record::RecordKind::Shared);
            Ok(())
        })
        .unwrap();
    assert_eq!(documents, 0);
}

#[tokio::test]
async fn a_key_that_is_gone_without_a_deletion_is_a_loss_and_said_so() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    log.append(full(1, None)).await.unwrap();
    disk.remove(std::path::Path::new("/data/log/keys/body.days.203001.key"))
        .unwrap();
    assert_eq!(readable(&log)[&0][3], Err("log_content_lost"));
}

#[tokio::test]
async fn with_master_key_and_a_copy_of_the_data_a_purged_message_stays_closed() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    for id in 0..8 {
        log.append(full(id, None)).await.unwrap();
    }
    // Their content files are in the copy, too.
    for id in 8..10 {
        let content = large(&log, id).await;
        log.append(content).await.unwrap();
    }
    log.hold("5,9".parse().unwrap(), held("case")).await.unwrap();
    // A copy of everything but the keys, from before.
    let copy = disk.after_crash(disk.position(), Crash::Process);
    clock.advance(11 * 366 * DAY);
    log.purge(order(false)).await.unwrap();
    log.shutdown().await;

    // The copy with the keys of today.
    for name in files(&copy, "keys") {
        copy.remove(&std::path::Path::new("/data/log/keys").join(name))
            .unwrap();
    }
    for name in files(&disk, "keys") {
        let path = std::path::Path::new("/data/log/keys").join(name);
        let bytes = crate::disk::read_all(&disk, &path, 1 << 20).unwrap();
        let file = copy.create(&path).unwrap();
        file.write_at(0, &bytes).unwrap();
    }
    assert_eq!(
        (files(&copy, "content").len(), files(&disk, "content").len()),
        (2, 1)
    );
    let tool = open_at(&copy, &clock);
    let found = readable(&tool);
    for number in 0..10 {
        let open = matches!(found[&number], [Ok(true), Ok(true), Ok(true), Ok(true)]);
        let living = [5, 9].contains(&number);
        assert_eq!(open, living, "{number}: {:?}", found[&number]);
        if !living {
            assert!(found[&number].iter().all(Result::is_err));
        }
    }
}

#[tokio::test]
async fn once_head_and_evidence_are_gone_no_guess_can_be_confirmed() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = open_at(&disk, &clock);
    for id in 0..40 {
        log.append(full(id, None)).await.unwrap();
    }
    let message = message(3);
    clock.advance(11 * 366 * DAY);
    log.purge(order(false)).await.unwrap();
    // Everything that can be opened with the master key: no digest of the guessed message in any of it.
    let mut reader = log.reader();
    let (digest, mut opened) = (sha512(&message), 0);
    reader
        .scan(0, &mut |reader, entry| {
            if let Ok(evidence) = reader.evidence(entry) {
                opened += 1;
                assert!(!evidence.windows(64).any(|window| window == digest));
            }
            Ok(ControlFlow::Continue(()))
        })
        .unwrap();
    assert!(opened > 0);
    let all = disk.everything();
    assert!(!all.windows(64).any(|window| window == digest));
    // The leaf is there, and its commitment is blinded by a salt that is gone.
    let leaf = kontor_protocol::log::Leaf::parse(&leaves(&log)[3]).unwrap();
    assert_eq!(leaf.kind, Kind::Request);
    assert!(!all.windows(32).any(|window| window == &digest[..32]));
}

/// A log in which a purge is due: bodies in two segments and a content file, one entry on hold.
async fn due(disk: &RecordingDisk, clock: &Arc<ManualClock>) -> MessageLog {
    let log = open_at(disk, clock);
    for id in 0..30 {
        log.append(full(id, None)).await.unwrap();
    }
    let content = large(&log, 30).await;
    log.append(content).await.unwrap();
    log.hold("4".parse().unwrap(), held("case")).await.unwrap();
    clock.advance(40 * DAY);
    log
}

#[tokio::test]
async fn a_crash_at_any_step_of_a_purge_leaves_nothing_done_or_a_deletion_that_the_start_finishes() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = due(&disk, &clock).await;
    let began = disk.position();
    log.purge(order(false)).await.unwrap();
    let ended = disk.position();
    let expected = readable(&log);
    log.shutdown().await;
    let (mut finished, mut untouched) = (0, 0);
    for position in began..=ended {
        let seed = position as u64;
        for crash in [
            Crash::Process,
            Crash::OnlySynced,
            Crash::Mixture(seed),
            Crash::Mixture(seed * 77 + 1),
        ] {
            let what = format!("{crash:?} at {position} of {began}..{ended}");
            let after = disk.after_crash(position, crash);
            let log =
                MessageLog::open(opening(&after, clock.clone())).unwrap_or_else(|e| panic!("{what}: {e}"));
            let found = readable(&log);
            let deletion = log.fact(32).await.is_ok_and(|fact| fact.kind == Kind::Deletion);
            for number in 0..31 {
                let here = found[&number];
                match deletion {
                    true => assert_eq!(here, expected[&number], "{what}: {number}"),
                    false => assert_eq!(here, [Ok(true); 4], "{what}: {number}"),
                }
            }
            assert!(
                after
                    .list(std::path::Path::new("/data/log"))
                    .unwrap()
                    .iter()
                    .all(|name| name != "purge.pending")
            );
            if deletion {
                finished += 1;
                assert!(files(&after, "content").is_empty(), "{what}");
            } else {
                untouched += 1;
                // What was not recorded is still due, and goes now.
                let report = log.purge(order(false)).await.unwrap();
                assert_eq!(report.deletions[0].said.entries, 30, "{what}");
                assert_eq!(readable(&log)[&3], expected[&3], "{what}");
            }
            log.shutdown().await;
        }
    }
    assert!(
        finished > 20 && untouched > 5,
        "{finished} finished, {untouched} untouched"
    );
}

#[tokio::test]
async fn a_disk_that_fails_during_a_purge_fails_it_in_words_and_the_next_one_ends_it() {
    for (operation, path) in [
        (Operation::Rename, "purge.pending"),
        (Operation::Create, "days.203001.key"),
        (Operation::Sync, "days.203001.key"),
        (Operation::Remove, "content"),
        (Operation::Create, ".seg.new"),
        (Operation::Rename, "00000.seg"),
        (Operation::Remove, "purge.pending"),
    ] {
        let (disk, clock) = (RecordingDisk::default(), clock());
        let log = due(&disk, &clock).await;
        for kind in [std::io::ErrorKind::Other, std::io::ErrorKind::StorageFull] {
            disk.fail(Failure {
                operation,
                path,
                after: 0,
                kind,
            });
            // A draft may be removed before it is made; then nothing fails.
            let failed = log.purge(order(false)).await;
            if let Err(error) = &failed {
                assert_eq!(error.code(), "log_io", "{operation:?} {path}: {error}");
            }
            // Messages are not stopped by it.
            log.append_timestamp("token".into(), vec![1]).await.unwrap();
            disk.heal();
        }
        log.purge(order(false)).await.unwrap();
        let found = readable(&log);
        assert_eq!(
            (found[&3][3], found[&4][3]),
            (GONE, Ok(true)),
            "{operation:?} {path}"
        );
        assert!(files(&disk, "content").is_empty());
    }
}

#[tokio::test]
async fn what_is_not_to_be_kept_is_not_there_from_the_start_and_the_commitment_covers_it() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let mut settings = LogSettings {
        schedule: Schedule::default(),
        ..settings()
    };
    let own: kontor_protocol::id::ClientId = "TEST/GOV/1001/antrag".parse().unwrap();
    for (logging, code) in [
        (Logging::NoBody, None),
        (Logging::ShortHead, Some("log_head_not_kept")),
    ] {
        settings.retention.clients.insert(own.clone(), logging);
        let log = MessageLog::open(OpenLog {
            settings: settings.clone(),
            ..opening(&disk, clock.clone())
        })
        .unwrap();
        let body = large(&log, 1).await;
        let small = log.append(full(2, None)).await.unwrap().number;
        let large = log.append(body).await.unwrap().number;
        for number in [small, large] {
            let mut reader = log.reader();
            let stored = reader.entry(number).unwrap();
            assert!(matches!(reader.body(&stored), Ok(StoredBody::None)));
            let opened = reader.evidence(&stored).unwrap();
            let evidence = Evidence::parse(&opened).unwrap();
            let parts = kontor_protocol::log::parse_parts(evidence.parts).unwrap();
            assert!(parts.iter().any(|part| part.name == "attachment1"));
            let id = if number == small { 2 } else { 1 };
            assert_eq!(parts[0].digest, sha512(&message(id)), "what went over the wire");
            match (code, log.export(number, None).await) {
                (Some(code), Err(error)) => assert_eq!(error.code(), code),
                (None, Ok(exported)) => {
                    assert!(exported.notes[0].contains("was not kept"), "{:?}", exported.notes)
                }
                (_, Ok(_)) => panic!("a shortened head makes no container"),
                (_, Err(error)) => panic!("{error}"),
            }
        }
        log.shutdown().await;
        assert!(files(&disk, "content").is_empty() && files(&disk, "spool").is_empty());
    }
}

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
fn forgetting_every_second_of_a_million_entries() {
    use crate::messagelog::keytree::{BlobClass, KeyName};
    const ENTRIES: u64 = 1_000_000;
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let home = log.reader().home().clone();
    let master = Arc::new(MasterKey::from_bytes([7; 32]));
    let mut keys = KeyRing::new(&home, Arc::clone(&master));
    let name = KeyName {
        class: BlobClass::Evidence,
        retention: "case".parse().unwrap(),
        period: 203_002,
    };
    keys.for_writing(&name, 0, 0).unwrap();
    let numbers: NumberSet = (0..ENTRIES).step_by(2).collect();
    let at = std::time::Instant::now();
    keys.forget(&name, &numbers, false).unwrap();
    let forgot = at.elapsed();
    let path = home.layout.keys().join("evidence.case.203002.key");
    let size = disk.open(&path).unwrap().len().unwrap();
    let mut keys = KeyRing::new(&home, master);
    let at = std::time::Instant::now();
    let mut left = 0;
    for number in 0..ENTRIES {
        left += u64::from(keys.for_reading(&name, number).unwrap().is_some());
    }
    println!(
        "{ENTRIES} entries, every second forgotten: key file {size} bytes, forgotten with one rewrite in {forgot:?}, \
         opened and the keys of the {left} others derived in {:?}",
        at.elapsed()
    );
    assert_eq!(left, ENTRIES / 2);
}
