//! What is dropped from the log lies in an archive that was read for it, is found, proven and exported as before, and no
//! crash loses a message or tears the chain of archives.

use std::{
    io::BufReader,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use kontor_pki::{crypto::sha512, sealed::MasterKey};
use kontor_protocol::{
    archive::{Archive, LinkingInfo, Position, sequence},
    log::{EntryKind as Kind, Leaf},
};

use super::*;
use crate::{
    clock::ManualClock,
    config::{ArchiveSettings, Bodies},
    disk::{
        Disk, SystemDisk,
        recording::{Crash, RecordingDisk},
    },
    messagelog::{
        CheckOrder, Filter, Held, LogSettings, LoggedBody, NewEntry, NumberSet, OpenLog, PartState, Pieces,
        PurgeOrder, Released,
        control::tests::{World, now},
        keytree::BlobClass,
        search::{Told, search},
        show::show,
    },
};

const DAY: Duration = Duration::from_secs(86_400);
const BODY: &[u8] = b"a body of the test, fictional";

struct Bed {
    disk: Arc<dyn Disk>,
    data: PathBuf,
    clock: Arc<ManualClock>,
    archives: PathBuf,
    archive: ArchiveSettings,
}

impl Bed {
    fn real(world: &World) -> Self {
        Self {
            disk: Arc::new(SystemDisk),
            data: world.dir.path().join("data"),
            clock: ManualClock::at(now()),
            archives: world.dir.path().join("archive"),
            archive: settings(&world.dir.path().join("archive")),
        }
    }

    fn recorded(disk: &RecordingDisk, clock: &Arc<ManualClock>) -> Self {
        Self {
            disk: Arc::new(disk.clone()),
            data: "/data".into(),
            clock: clock.clone(),
            archives: "/archive".into(),
            archive: settings(Path::new("/archive")),
        }
    }

    fn open(&self) -> MessageLog {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<MessageLog, LogError> {
        MessageLog::open(OpenLog {
            dir: self.data.clone(),
            disk: Arc::clone(&self.disk),
            master: MasterKey::from_bytes([7; 32]),
            settings: LogSettings {
                reserve: 0,
                first_segment_bytes: 16 * 1024,
                segment_bytes: 32 * 1024,
                archive: Some(self.archive.clone()),
                ..LogSettings::default()
            },
            server: "TEST/GOV/1001/ss1".parse().unwrap(),
            test: true,
            clock: self.clock.clone(),
        })
    }
}

fn settings(dir: &Path) -> ArchiveSettings {
    ArchiveSettings {
        bodies: Bodies::All,
        drop_after_days: Some(2),
        rotate: 20_000,
        ..ArchiveSettings::in_dir(dir.into())
    }
}

fn with_body(world: &World, query_id: &str, body: &'static [u8]) -> NewEntry {
    NewEntry {
        body: LoggedBody::Inline(Bytes::from_static(body), sha512(body)),
        ..world.request(query_id)
    }
}

/// Messages `m0` … with time-stamps; those with even numbers have a body. Gives their numbers.
async fn messages(log: &MessageLog, world: &World, ids: std::ops::Range<u64>) -> Vec<u64> {
    let mut numbers = Vec::new();
    for id in ids {
        let query_id = format!("m{id}");
        let entry = match id % 2 {
            0 => with_body(world, &query_id, BODY),
            _ => world.request(&query_id),
        };
        let number = log.append(entry).await.unwrap().number;
        log.export(number, Some(&world.timestamper())).await.unwrap();
        numbers.push(number);
    }
    numbers
}

async fn archived(log: &MessageLog) -> ArchiveReport {
    log.archive(false, |_, _| {}).await.unwrap()
}

fn read(body: Option<(u64, Pieces)>) -> Option<Vec<u8>> {
    let (length, mut pieces) = body?;
    let mut bytes = Vec::new();
    while let Some(piece) = pieces().unwrap() {
        bytes.extend(piece);
    }
    assert_eq!(bytes.len() as u64, length);
    Some(bytes)
}

fn found(log: &MessageLog, query_id: &str) -> Vec<u64> {
    let (mut numbers, filter) = (
        Vec::new(),
        Filter {
            query_id: Some(query_id.into()),
            ..Filter::default()
        },
    );
    search(&mut log.reader(), &filter, &mut |_, told| {
        if let Told::Hit { entry, .. } = told {
            numbers.push(entry.number);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    numbers
}

fn state(log: &MessageLog, number: u64) -> (PartState, PartState, PartState) {
    let (shown, _) = show(&mut log.reader(), number).unwrap();
    (shown.found.head, shown.found.body, shown.found.evidence)
}

const DROPPED: (PartState, PartState, PartState) =
    (PartState::Archived, PartState::Archived, PartState::There);

#[tokio::test]
async fn what_was_dropped_is_found_proven_and_exported_as_before() {
    let world = World::new().await;
    let bed = Bed::real(&world);
    let log = bed.open();
    let numbers = messages(&log, &world, 0..12).await;
    let mut before = Vec::new();
    for number in &numbers {
        let exported = log.export(*number, None).await.unwrap();
        before.push((
            exported.name,
            exported.message,
            exported.signatures,
            read(exported.body),
        ));
    }
    let size = |log: &MessageLog| {
        let first = log.home.layout.segment(0);
        std::fs::metadata(first).unwrap().len()
    };
    let full = size(&log);
    let report = archived(&log).await;
    assert!(report.archives.len() > 1, "{report:?}");
    assert_eq!(report.dropped, DropReport::default(), "nothing is old enough");
    assert_eq!(state(&log, numbers[0]).0, PartState::There);

    bed.clock.advance(3 * DAY);
    let planned = log.archive(true, |_, _| {}).await.unwrap().dropped;
    let report = archived(&log).await.dropped;
    assert_eq!(
        (planned.messages, planned.bodies),
        (report.messages, report.bodies)
    );
    // The open segment stays as it is.
    assert!((6..12).contains(&report.messages), "{report:?}");
    assert!(report.segments > 0 && report.entries.len() == 2);
    assert!(size(&log) < full / 2, "{} of {full}", size(&log));
    assert_eq!(state(&log, numbers[0]), DROPPED);
    assert_eq!(archived(&log).await.dropped, DropReport::default(), "once");

    for log in [log.clone(), {
        log.shutdown().await;
        drop(log);
        bed.open()
    }]
    .iter()
    .skip(1)
    {
        for (number, (name, message, signatures, body)) in numbers.iter().zip(&before) {
            let exported = log.export(*number, None).await.unwrap();
            assert_eq!((&exported.name, &exported.message), (name, message), "{number}");
            assert_eq!(&exported.signatures, signatures, "{number}");
            assert_eq!(&read(exported.body), body, "{number}");
        }
        assert_eq!(found(log, "m0"), [numbers[0]]);
        let (shown, _) = show(&mut log.reader(), numbers[0]).unwrap();
        assert!(shown.archive.is_some_and(|archive| archive.body));
        let notes = log.export(numbers[0], None).await.unwrap().notes;
        assert!(notes[0].contains("taken from the archive mlog-"), "{notes:?}");
        let refused = log.reader().message(numbers[0]).err().unwrap();
        assert_eq!(refused.code(), "log_content_archived");
        let checked = log
            .check_files(CheckOrder { deep: true }, |_, _| {})
            .await
            .unwrap();
        assert_eq!(checked.findings, []);
    }
}

#[tokio::test]
async fn entries_on_hold_are_archived_and_stay_in_the_log() {
    let world = World::new().await;
    let bed = Bed::real(&world);
    let log = bed.open();
    let numbers = messages(&log, &world, 0..10).await;
    let said = Held {
        ground: "case".into(),
        who: "uid:0".into(),
    };
    let held = [numbers[0], numbers[1]];
    let hold = log.hold(held.into_iter().collect(), said).await.unwrap().number;
    bed.clock.advance(3 * DAY);
    let report = archived(&log).await;
    assert_eq!(report.messages, 10);
    assert_eq!(report.dropped.on_hold, 2);
    assert_eq!(state(&log, numbers[0]).0, PartState::There);
    assert!(log.reader().message(numbers[1]).is_ok(), "its document stays too");
    assert_eq!(state(&log, numbers[2]), DROPPED);
    let released = Released {
        hold,
        ground: "closed".into(),
        who: "uid:0".into(),
    };
    log.release(released).await.unwrap();
    assert_eq!(archived(&log).await.dropped.messages, 2);
    assert_eq!(state(&log, numbers[0]), DROPPED);
}

#[tokio::test]
async fn nothing_is_dropped_that_its_archive_does_not_hold_any_more() {
    let world = World::new().await;
    let bed = Bed::real(&world);
    let log = bed.open();
    messages(&log, &world, 0..10).await;
    let files = archived(&log).await.archives;
    let paths: Vec<_> = files.iter().map(|file| bed.archives.join(&file.file)).collect();
    let kept = std::fs::read(&paths[0]).unwrap();
    std::fs::remove_file(&paths[0]).unwrap();
    let mut changed = std::fs::read(&paths[1]).unwrap();
    changed[100] ^= 1;
    std::fs::write(&paths[1], &changed).unwrap();
    bed.clock.advance(3 * DAY);
    let dropped = archived(&log).await.dropped;
    let named: Vec<_> = dropped.unverified.iter().map(|one| one.file.as_str()).collect();
    assert_eq!(named, [files[0].file.as_str(), files[1].file.as_str()]);
    for file in &files[..2] {
        assert_eq!(state(&log, file.first).0, PartState::There);
    }
    // What is put back is dropped, and asked for from there; without it the refusal names the file.
    std::fs::write(&paths[0], &kept).unwrap();
    archived(&log).await;
    let number = files[0].first;
    assert_eq!(state(&log, number).0, PartState::Archived);
    log.export(number, None).await.unwrap();
    for at in [2000, 3000] {
        let mut changed = kept.clone();
        changed[at] ^= 1;
        std::fs::write(&paths[0], &changed).unwrap();
        let refused = log.export(number, None).await.err().unwrap();
        assert_eq!(refused.code(), "archive_not_verified", "{refused}");
    }
    std::fs::remove_file(&paths[0]).unwrap();
    let refused = log.export(number, None).await.err().unwrap().to_string();
    assert!(
        refused.contains(&files[0].file) && refused.contains("archive"),
        "{refused}"
    );
}

#[tokio::test]
async fn bodies_of_a_shorter_class_are_not_archived_and_not_dropped_unless_so_configured() {
    let world = World::new().await;
    let mut bed = Bed::real(&world);
    bed.archive.bodies = Bodies::AsLong;
    let log = bed.open();
    let numbers = messages(&log, &world, 0..10).await;
    bed.clock.advance(3 * DAY);
    let report = archived(&log).await.dropped;
    assert_eq!(report.bodies, 0);
    assert!(report.messages > 0);
    assert_eq!(
        state(&log, numbers[0]),
        (PartState::Archived, PartState::There, PartState::There)
    );
    // The message from the archive, the body from the log; and when that is deleted, neither has it.
    let exported = log.export(numbers[0], None).await.unwrap();
    assert_eq!(read(exported.body).as_deref(), Some(BODY));
    bed.clock.advance(7 * DAY);
    log.purge(PurgeOrder::due("retention", false)).await.unwrap();
    let exported = log.export(numbers[0], None).await.unwrap();
    assert!(
        exported.body.is_none() && exported.notes[0].contains("deleted"),
        "{:?}",
        exported.notes
    );
}

#[tokio::test]
async fn a_body_that_was_deleted_is_not_taken_from_an_archive_that_still_has_it() {
    let world = World::new().await;
    let bed = Bed::real(&world);
    let log = bed.open();
    let numbers = messages(&log, &world, 0..10).await;
    bed.clock.advance(3 * DAY);
    archived(&log).await;
    assert_eq!(state(&log, numbers[0]), DROPPED);
    bed.clock.advance(7 * DAY);
    let purged = log.purge(PurgeOrder::due("retention", false)).await.unwrap();
    let copies = purged.deletions[0].said.archived.as_ref().unwrap();
    assert_eq!(copies.entries, 5, "the deletion says that archives hold copies");
    assert!(copies.files[0].starts_with("mlog-"));
    assert_eq!(state(&log, numbers[0]).1, PartState::Deleted);
    let exported = log.export(numbers[0], None).await.unwrap();
    assert!(
        exported.body.is_none() && exported.notes[0].contains("deleted"),
        "{:?}",
        exported.notes
    );
}

/// Every message can be had, from the log or from an archive, and all archives that are recorded form one chain.
async fn assert_whole(bed: &Bed, log: &MessageLog, numbers: &[u64], what: &str) -> u64 {
    let mut from_archive = 0;
    for number in numbers {
        let message = log.reader().message(*number);
        let message = message.and_then(|message| message.body.map(|_| ()));
        match message {
            Ok(()) => {}
            Err(LogError::Archived { .. }) => {
                let exported = log
                    .fetch_archived(*number, None)
                    .unwrap_or_else(|e| panic!("{what}: {e}"));
                assert!(!exported.message.is_empty());
                from_archive += 1;
            }
            Err(error) => panic!("{what}: entry {number}: {error}"),
        }
    }
    let mut linkings: Vec<LinkingInfo> = Vec::new();
    for known in log.reader().archives().unwrap() {
        let path = bed.archives.join(&known.file);
        let bytes =
            crate::disk::read_all(&*bed.disk, &path, 1 << 24).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut archive = Archive::open(BufReader::new(std::io::Cursor::new(bytes))).unwrap();
        assert_eq!(archive.changed().unwrap(), [], "{what}");
        linkings.push(archive.linking().clone());
    }
    let order = sequence(&linkings.iter().collect::<Vec<_>>());
    for (nth, (_, position)) in order.into_iter().enumerate() {
        match position {
            Position::First => assert_eq!(nth, 0, "{what}: a fork"),
            Position::Follows(_) => assert!(nth > 0),
            other => panic!("{what}: {other:?}"),
        }
    }
    from_archive
}

#[tokio::test]
async fn no_crash_while_archiving_and_dropping_loses_a_message_or_tears_the_chain() {
    let world = World::new().await;
    let (disk, clock) = (RecordingDisk::default(), ManualClock::at(now()));
    let bed = Bed::recorded(&disk, &clock);
    let log = bed.open();
    let mut numbers = messages(&log, &world, 0..8).await;
    let mut large = log.spool();
    let body = Bytes::from(vec![7; 70_000]);
    large.write(body.clone()).await.unwrap();
    let large = NewEntry {
        body: LoggedBody::Content(large.finish().await.unwrap(), sha512(&body)),
        ..world.request("large")
    };
    let number = log.append(large).await.unwrap().number;
    log.export(number, Some(&world.timestamper())).await.unwrap();
    numbers.push(number);
    numbers.extend(messages(&log, &world, 8..12).await);
    clock.advance(3 * DAY);
    let began = disk.position();
    let report = archived(&log).await;
    assert!(
        report.archives.len() > 1 && report.dropped.messages > 5,
        "{report:?}"
    );
    log.shutdown().await;
    drop(log);
    let (mut archived_only, mut states) = (0, 0);
    for position in began..=disk.position() {
        // Three kinds of crash in turn; mixtures are the hardest.
        let crash = match position % 3 {
            0 => Crash::Process,
            1 => Crash::OnlySynced,
            _ => Crash::Mixture(position as u64 * 31),
        };
        let what = format!("{crash:?} at {position}");
        let after = Bed::recorded(&disk.after_crash(position, crash), &clock);
        let log = after.try_open().unwrap_or_else(|error| panic!("{what}: {error}"));
        archived_only += u64::from(assert_whole(&after, &log, &numbers, &what).await > 0);
        // It goes on where it ended.
        let again = log
            .archive(false, |_, _| {})
            .await
            .unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(again.dropped.unverified, [], "{what}");
        let dropped = assert_whole(&after, &log, &numbers, &what).await;
        assert_eq!(dropped, report.dropped.messages, "{what}");
        let mut all = NumberSet::default();
        for known in log.reader().archives().unwrap() {
            assert!(all.both(&known.numbers).is_empty(), "{what}: archived twice");
            all.extend(&known.numbers);
        }
        assert_eq!(all, numbers.iter().copied().collect(), "{what}");
        let checked = log
            .check_files(CheckOrder { deep: true }, |_, _| {})
            .await
            .unwrap();
        assert_eq!(checked.findings, [], "{what}");
        log.shutdown().await;
        states += 1;
    }
    assert!(
        states > 60 && archived_only > 5,
        "{states} states, {archived_only} after the drop"
    );
    eprintln!("{states} crash points, {archived_only} of them after messages were dropped");
}

#[tokio::test]
async fn a_drop_takes_only_what_a_recorded_archive_holds() {
    let world = World::new().await;
    let bed = Bed::real(&world);
    let log = bed.open();
    messages(&log, &world, 0..8).await;
    // Without a time-stamp it waits, and everything after it.
    let waiting = log.append(world.request("late")).await.unwrap().number;
    let after = messages(&log, &world, 8..14).await;
    bed.clock.advance(3 * DAY);
    archived(&log).await;
    let mut reader = log.reader();
    let dropped = reader.dropped(BlobClass::Head).unwrap();
    let recorded = reader
        .archives()
        .unwrap()
        .iter()
        .fold(NumberSet::default(), |mut all, known| {
            all.extend(&known.numbers);
            all
        });
    assert!(!dropped.is_empty() && dropped.without(&recorded).is_empty());
    assert!(dropped.last().unwrap() < waiting && !recorded.contains(after[0]));
    let mut kinds = Vec::new();
    reader
        .each_leaf(0, &mut |number, leaf| {
            if dropped.contains(number) {
                kinds.push(Leaf::parse(leaf).unwrap().kind);
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert!(kinds.iter().all(|kind| *kind == Kind::Request));
}
