//! Entries that are no messages: each kind is recorded, committed to and read back as it was said.

use kontor_protocol::log::EntryKind as Kind;

use super::bed::*;
use crate::{
    disk::recording::{Crash, RecordingDisk},
    messagelog::{Acted, Fact, FactKind, LogError, NumberSet, Started},
};

const KINDS: [(FactKind, Kind); 10] = [
    (FactKind::Act, Kind::Act),
    (FactKind::CheckpointKey, Kind::CheckpointKey),
    (FactKind::ConfigurationSnapshot, Kind::ConfigurationSnapshot),
    (FactKind::Deletion, Kind::Deletion),
    (FactKind::Hold, Kind::Hold),
    (FactKind::HoldReleased, Kind::HoldReleased),
    (FactKind::Look, Kind::Look),
    (FactKind::Renewal, Kind::Renewal),
    (FactKind::Start, Kind::Start),
    (FactKind::Stop, Kind::Stop),
];

#[tokio::test]
async fn every_kind_of_fact_is_read_back_as_it_was_said() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let numbers: NumberSet = "1-3,7".parse().unwrap();
    for (kind, _) in KINDS {
        let said = Acted {
            act: format!("{kind:?}"),
            who: "test".into(),
            ground: "none".into(),
            details: serde_json::Value::Null,
        };
        let fact = Fact::new(kind, &said)
            .with_document("key.der", vec![1, 2, 3])
            .about(numbers.clone());
        log.append_fact(fact).await.unwrap();
    }
    log.append(request(0)).await.unwrap();
    // What was acknowledged survives, and reads the same after a start.
    let disk = disk.after_crash(disk.position(), Crash::OnlySynced);
    let log = open(&disk).unwrap();
    let found = check(&log).unwrap();
    for (number, (kind, in_leaf)) in (0..).zip(KINDS) {
        assert_eq!(found[number as usize], Found::Fact(in_leaf));
        let fact = log.fact(number).await.unwrap();
        assert_eq!(
            (fact.number, fact.kind, &fact.numbers),
            (number, in_leaf, &numbers)
        );
        assert_eq!(fact.said::<Acted>().unwrap().act, format!("{kind:?}"));
        assert_eq!(fact.said::<Started>(), None);
        assert_eq!(fact.documents[1], ("key.der".into(), vec![1, 2, 3].into()));
    }
    assert!(matches!(
        log.fact(10).await,
        Err(LogError::Unsuited { number: 10, .. })
    ));
    assert!(matches!(
        log.fact(99).await,
        Err(LogError::NotFound { number: 99 })
    ));
}

#[tokio::test]
async fn a_full_disk_refuses_facts_but_not_deletions_and_the_stop() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    disk.set_free_space(100);
    for (kind, _) in KINDS {
        let appended = log.append_fact(Fact::new(kind, &())).await;
        let taken = matches!(kind, FactKind::Deletion | FactKind::Stop);
        assert_eq!(appended.is_ok(), taken, "{kind:?}");
    }
}
