//! Deletion of given entries on an order: exactly those go, a hold refuses all of it, and a crash anywhere leaves each part
//! either there or deleted by an entry that says so.

use std::collections::BTreeMap;

use kontor_protocol::log::EntryKind as Kind;

use super::{bed::*, purge::*};
use crate::{
    disk::recording::{Crash, RecordingDisk},
    messagelog::{Deleted, Fact, FactKind, Given, LogError, MessageLog, Part, PurgeOrder, Released},
};

const THERE: Result<bool, &str> = Ok(true);

fn given(numbers: &str, parts: &[Part], dry_run: bool) -> PurgeOrder {
    PurgeOrder {
        ground: "Art. 17 GDPR".into(),
        dry_run,
        given: Some(Given {
            numbers: numbers.parse().unwrap(),
            parts: parts.into(),
            by: Some("request 3/2030".into()),
            who: "uid:7".into(),
        }),
    }
}

async fn with_messages(disk: &RecordingDisk, count: u64) -> MessageLog {
    let log = open_at(disk, &clock());
    for id in 0..count {
        log.append(full(id, None)).await.unwrap();
    }
    log
}

#[tokio::test]
async fn an_order_deletes_the_given_entries_and_nothing_else() {
    let disk = RecordingDisk::default();
    let log = with_messages(&disk, 30).await;
    let content = large(&log, 30).await;
    log.append(content).await.unwrap();
    settled(&log).await;
    let before = leaves(&log);
    let planned = log.purge(given("3,7-9,30", &Part::ALL, true)).await.unwrap();
    assert_eq!((planned.deletions.len(), log.stats().entries), (3, 31));
    assert_eq!(files(&disk, "content").len(), 1);
    let done = log.purge(given("3,7-9,30", &Part::ALL, false)).await.unwrap();
    assert_eq!(done.deletions.len(), 3, "{done:?}");
    assert_eq!(done.content_files, 1);
    for one in &done.deletions {
        let fact = log.fact(one.entry.unwrap()).await.unwrap();
        assert_eq!(
            (fact.kind, fact.numbers.to_string()),
            (Kind::Deletion, "3,7-9,30".into())
        );
        let said: Deleted = fact.said().unwrap();
        assert_eq!(
            (said.rule.as_str(), said.ground.as_str()),
            ("order", "Art. 17 GDPR")
        );
        assert_eq!(
            (said.by.as_deref(), said.who.as_deref(), said.whole_month),
            (Some("request 3/2030"), Some("uid:7"), false)
        );
    }
    let found = readable(&log);
    for number in 0..31 {
        let expected = if [3, 7, 8, 9, 30].contains(&number) {
            [GONE; 4]
        } else {
            [THERE; 4]
        };
        assert_eq!(found[&number], expected, "{number}");
    }
    assert_eq!(leaves(&log)[..31], before[..]);
    // The keys of this month go on: what is logged next can be read.
    let next = log.append(full(40, None)).await.unwrap();
    assert_eq!(readable(&log)[&next.number], [THERE; 4]);
    let again = log.purge(given("3,7-9,30", &Part::ALL, false)).await.unwrap();
    assert_eq!((again.deletions.len(), again.already), (0, 15));
    // A search finds them by their leaves and not by what they said.
    assert_eq!(find(&mut log.reader(), "query-7"), [0; 0]);
    assert_eq!(find(&mut log.reader(), "query-6"), [6]);
}

#[tokio::test]
async fn an_order_may_name_parts_and_leaves_the_others() {
    let log = with_messages(&RecordingDisk::default(), 9).await;
    log.purge(given("2", &[Part::Body], false)).await.unwrap();
    log.purge(given("4", &[Part::Head, Part::Body], false))
        .await
        .unwrap();
    let found = readable(&log);
    assert_eq!(found[&2], [THERE, THERE, THERE, GONE]);
    assert_eq!(found[&4], [GONE, THERE, THERE, GONE]);
    assert_eq!(found[&3], [THERE; 4]);
    // What is left of an entry can be ordered later.
    let rest = log.purge(given("2", &Part::ALL, false)).await.unwrap();
    assert_eq!((rest.deletions.len(), rest.already), (2, 1));
    assert_eq!(readable(&log)[&2], [GONE; 4]);
}

#[tokio::test]
async fn a_hold_on_one_entry_refuses_the_whole_order() {
    let log = with_messages(&RecordingDisk::default(), 9).await;
    let hold = log
        .hold("5-6".parse().unwrap(), held("case"))
        .await
        .unwrap()
        .number;
    let refused = log.purge(given("1-5", &Part::ALL, false)).await.unwrap_err();
    assert_eq!(refused.code(), "log_on_hold");
    assert!(
        matches!(&refused, LogError::OnHold { numbers, hold: by } if numbers == "5" && *by == hold),
        "{refused}"
    );
    assert_eq!(readable(&log)[&1], [THERE; 4]);
    assert_eq!(log.stats().entries, 10, "nothing is recorded");
    let released = Released {
        hold,
        ground: "closed".into(),
        who: "uid:0".into(),
    };
    log.release(released).await.unwrap();
    log.purge(given("1-5", &Part::ALL, false)).await.unwrap();
    assert_eq!(readable(&log)[&5], [GONE; 4]);
}

#[tokio::test]
async fn entries_about_the_log_itself_stay_and_are_told() {
    let log = with_messages(&RecordingDisk::default(), 3).await;
    log.append_timestamp("token".into(), vec![0, 1, 2]).await.unwrap();
    log.append_fact(Fact::new(FactKind::Look, &())).await.unwrap();
    let report = log.purge(given("2-4", &Part::ALL, false)).await.unwrap();
    assert_eq!(report.left.len(), 1);
    assert_eq!(
        (report.left[0].number, report.left[0].kind.as_str()),
        (3, Kind::TimeStamp.name())
    );
    assert_eq!(readable(&log)[&4][1], GONE);
    let alone = log.purge(given("3", &Part::ALL, false)).await.unwrap_err();
    assert_eq!(alone.code(), "log_entry_unsuited");
    let beyond = log.purge(given("1,99", &Part::ALL, false)).await.unwrap_err();
    assert!(matches!(beyond, LogError::NotFound { number: 99 }));
    assert_eq!(readable(&log)[&1], [THERE; 4]);
}

#[tokio::test]
async fn a_crash_anywhere_leaves_each_part_there_or_deleted_by_an_entry() {
    let disk = RecordingDisk::default();
    let log = with_messages(&disk, 40).await;
    let content = large(&log, 40).await;
    log.append(content).await.unwrap();
    let began = disk.position();
    log.purge(given("2-12,40", &Part::ALL, false)).await.unwrap();
    let acknowledged = disk.position();
    log.shutdown().await;
    let (mut whole, mut none) = (0, 0);
    for position in began..=disk.position() {
        for crash in [
            Crash::Process,
            Crash::OnlySynced,
            Crash::Mixture(position as u64 * 31),
        ] {
            let what = format!("{crash:?} at {position}");
            let after = disk.after_crash(position, crash);
            let log =
                MessageLog::open(opening(&after, clock())).unwrap_or_else(|error| panic!("{what}: {error}"));
            let found = readable(&log);
            let mut gone = BTreeMap::<usize, u64>::new();
            for number in 0..41 {
                let ordered = (2..13).contains(&number) || number == 40;
                for (part, state) in found[&number].iter().enumerate() {
                    match state {
                        Ok(true) => {}
                        Err("log_content_deleted") if ordered => *gone.entry(part).or_default() += 1,
                        state => panic!("{what}: part {part} of entry {number}: {state:?}"),
                    }
                }
            }
            // Each deletion is whole: all entries of the order have lost the part, or none.
            assert!(gone.values().all(|count| *count == 12), "{what}: {gone:?}");
            assert_eq!(
                files(&after, "content").is_empty(),
                gone.contains_key(&3),
                "{what}"
            );
            assert!(!files(&after, "").contains(&"purge.pending".into()), "{what}");
            if position >= acknowledged {
                assert_eq!(gone.len(), 4, "{what}: what was acknowledged is done");
            }
            whole += u32::from(gone.len() == 4);
            none += u32::from(gone.is_empty());
            let checked = log
                .check_files(crate::messagelog::CheckOrder { deep: true }, |_, _| {})
                .await;
            assert_eq!(checked.unwrap().findings, [], "{what}");
        }
    }
    assert!(whole > 10 && none > 10, "{whole} {none}");
}
