//! Archives of real signatures and time-stamps, read by the verifier of archives and by the check of containers.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use kontor_protocol::{
    archive::{Archive, Position, Predecessor, sequence},
    container::{
        Verdict,
        check::{Question, check},
    },
};

use super::*;
use crate::{
    clock::ManualClock,
    config::{ArchiveSettings, Grouping},
    messagelog::{
        EntryKind, LogSettings, NewEntry,
        control::tests::{World, now},
    },
};

fn archives(world: &World) -> PathBuf {
    world.dir.path().join("archive")
}

fn settings(world: &World) -> ArchiveSettings {
    ArchiveSettings::in_dir(archives(world))
}

fn open(world: &World, archive: Option<ArchiveSettings>) -> MessageLog {
    let settings = LogSettings {
        archive,
        ..LogSettings::default()
    };
    world.log_with(ManualClock::at(now()), settings)
}

async fn stamped(log: &MessageLog, world: &World, query_id: &str) -> u64 {
    let number = log.append(world.request(query_id)).await.unwrap().number;
    log.export(number, Some(&world.timestamper())).await.unwrap();
    number
}

async fn archived(log: &MessageLog) -> ArchiveReport {
    log.archive(false, |_, _| {}).await.unwrap()
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Checks each archive, and that all of them form one chain; gives the names of their containers in order.
fn walk(world: &World, dir: &Path) -> Vec<String> {
    let mut archives: Vec<_> = files(dir)
        .iter()
        .map(|path| Archive::open(File::open(path).unwrap()).unwrap())
        .collect();
    let linkings: Vec<_> = archives.iter().map(|archive| archive.linking().clone()).collect();
    let order = sequence(&linkings.iter().collect::<Vec<_>>());
    let mut names = Vec::new();
    for (nth, (place, position)) in order.into_iter().enumerate() {
        let archive = &mut archives[place];
        match position {
            Position::First => {
                assert_eq!(nth, 0, "one chain");
                archive.follows(Predecessor::First).unwrap();
            }
            Position::Follows(before) => {
                archive
                    .follows(Predecessor::Digest(linkings[before].last()))
                    .unwrap();
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(archive.changed().unwrap(), []);
        assert_eq!(archive.faults(), []);
        for (at, one) in linkings[place].containers.iter().enumerate() {
            let mut bytes = Vec::new();
            assert_eq!(archive.container(at, &mut bytes).unwrap(), Some(true));
            let question = Question {
                trust: &world.trust,
                at: None,
                companion: None,
            };
            let report = check(std::io::Cursor::new(bytes), &question);
            assert_eq!(report.verdict, Verdict::Valid, "{:?}", report.reasons);
            names.push(one.name.clone());
        }
    }
    names
}

#[tokio::test]
async fn what_is_stamped_is_archived_once_in_order_and_recorded() {
    let world = World::new().await;
    let log = open(&world, Some(settings(&world)));
    stamped(&log, &world, "a").await;
    stamped(&log, &world, "b/1").await;
    let waiting = log.append(world.request("c")).await.unwrap().number;
    let later = stamped(&log, &world, "d").await;

    let told = log.archive(true, |_, _| {}).await.unwrap();
    assert_eq!(
        (told.messages, told.archives.len(), told.waiting),
        (2, 0, Some(waiting))
    );
    assert!(!archives(&world).exists(), "a dry run writes nothing");

    let report = archived(&log).await;
    let [file] = &report.archives[..] else {
        panic!("{report:?}");
    };
    assert_eq!((report.messages, report.waiting), (2, Some(waiting)));
    let dir = archives(&world);
    assert_eq!(files(&dir), [dir.join(&file.file)]);
    assert_eq!(walk(&world, &dir), ["a-request-0.asice", "b%2F1-request-2.asice"]);
    let recorded = log.fact(file.entry).await.unwrap();
    assert_eq!(recorded.numbers.iter().collect::<Vec<_>>(), [0, 2]);
    let said: crate::messagelog::Acted = recorded.said().unwrap();
    assert_eq!(
        (said.act.as_str(), said.details["file"].as_str()),
        ("archive", Some(&*file.file))
    );
    let bytes = std::fs::read(dir.join(&file.file)).unwrap();
    let sha256 = crate::messagelog::hex(&kontor_pki::crypto::sha256(&bytes));
    assert_eq!(said.details["sha256"].as_str(), Some(&*sha256));

    // Nothing new: nothing is written. With its time-stamp the next one goes on, also after a start.
    assert_eq!(archived(&log).await.archives, []);
    log.export(waiting, Some(&world.timestamper())).await.unwrap();
    log.shutdown().await;
    drop(log);
    let log = open(&world, Some(settings(&world)));
    let report = archived(&log).await;
    assert_eq!((report.messages, report.waiting), (2, None));
    let names = walk(&world, &dir);
    assert_eq!(names.len(), 4);
    assert!(names[3].starts_with("d-request-"), "{names:?} {later}");
}

#[tokio::test]
async fn archives_are_ended_when_they_are_large() {
    let world = World::new().await;
    let log = open(
        &world,
        Some(ArchiveSettings {
            rotate: 1,
            ..settings(&world)
        }),
    );
    for query_id in ["a", "b", "c"] {
        stamped(&log, &world, query_id).await;
    }
    assert_eq!(archived(&log).await.archives.len(), 3);
    assert_eq!(walk(&world, &archives(&world)).len(), 3);
}

#[tokio::test]
async fn each_group_has_a_chain_of_its_own() {
    let world = World::new().await;
    let log = open(
        &world,
        Some(ArchiveSettings {
            group: Grouping::Subsystem,
            ..settings(&world)
        }),
    );
    stamped(&log, &world, "a").await;
    // Received: the provider is ours.
    let received = NewEntry {
        kind: EntryKind::RequestReceived,
        ..world.request("b")
    };
    let number = log.append(received).await.unwrap().number;
    log.export(number, Some(&world.timestamper())).await.unwrap();
    let report = archived(&log).await;
    let mut groups: Vec<_> = report
        .archives
        .iter()
        .map(|file| file.group.clone().unwrap())
        .collect();
    groups.sort();
    assert_eq!(groups, ["TEST_GOV_1001_antrag", "TEST_GOV_1002_antrag"]);
    for file in &report.archives {
        assert!(
            file.file
                .starts_with(&format!("mlog-{}-2030", file.group.as_ref().unwrap()))
        );
        let archive = Archive::open(File::open(archives(&world).join(&file.file)).unwrap()).unwrap();
        archive.follows(Predecessor::First).unwrap();
    }
}

#[tokio::test]
async fn without_its_state_file_archiving_goes_on_where_the_log_says() {
    let world = World::new().await;
    let log = open(&world, Some(settings(&world)));
    stamped(&log, &world, "a").await;
    archived(&log).await;
    std::fs::remove_file(log.home.layout.archive_state()).unwrap();
    assert_eq!(archived(&log).await.messages, 0);
    stamped(&log, &world, "b").await;
    std::fs::write(log.home.layout.archive_state(), "no JSON").unwrap();
    assert_eq!(archived(&log).await.messages, 1);
    assert_eq!(walk(&world, &archives(&world)).len(), 2);
}

#[tokio::test]
async fn a_file_that_was_announced_and_not_recorded_is_taken_up() {
    let world = World::new().await;
    let log = open(&world, Some(settings(&world)));
    stamped(&log, &world, "a").await;
    let (dir, state) = (archives(&world), log.home.layout.archive_state());
    let report = archived(&log).await;
    let file = report.archives[0].clone();
    let numbers = log.fact(file.entry).await.unwrap().numbers;
    log.shutdown().await;
    drop(log);

    // A state that has not seen any such entry.
    let pending = state::Pending::new(
        "",
        file.file.clone(),
        file.digest.clone(),
        None,
        &numbers,
        &numbers,
    );
    let announced = serde_json::json!({
        "format": 1, "seen": 1000, "through": 0, "chains": {}, "pending": pending,
    });
    for damage in [false, true] {
        std::fs::write(&state, announced.to_string()).unwrap();
        let path = dir.join(&file.file);
        if damage {
            let mut bytes = std::fs::read(&path).unwrap();
            let at = bytes.len() / 3;
            bytes[at] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
        let log = open(&world, Some(settings(&world)));
        let report = archived(&log).await;
        assert_eq!(report.archives.len(), 1, "{report:?}");
        assert_eq!(
            (&report.archives[0].file, report.messages),
            (&file.file, u64::from(damage))
        );
        assert_eq!(walk(&world, &dir), ["a-request-0.asice"]);
        log.shutdown().await;
    }
}

#[tokio::test]
async fn an_archive_that_cannot_be_written_is_refused_and_nothing_is_marked() {
    let world = World::new().await;
    let nowhere = ArchiveSettings::in_dir(world.dir.path().join("missing/archive"));
    let log = open(&world, Some(nowhere));
    stamped(&log, &world, "a").await;
    let refused = log.archive(false, |_, _| {}).await.unwrap_err();
    assert_eq!(refused.code(), "archive_io");
    assert!(refused.to_string().contains("missing/archive"), "{refused}");
    std::fs::create_dir(world.dir.path().join("missing")).unwrap();
    assert_eq!(archived(&log).await.messages, 1);
    log.shutdown().await;
    drop(log);
    let unset = open(&world, None).archive(false, |_, _| {}).await.unwrap_err();
    assert_eq!(unset.code(), "archive_not_configured");
}
