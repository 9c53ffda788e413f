use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use kontor_pki::{crypto::sha512, sealed::MasterKey};

use super::bed::*;
use crate::{
    disk::recording::RecordingDisk,
    messagelog::{
        EntryKind, LogError, LogSettings, LoggedBody, MessageLog, OpenLog,
        blob::Evidence,
        keytree::{BlobClass, KeyName, KeyRing},
    },
};

#[tokio::test]
async fn an_entry_has_the_next_number_and_reads_back_as_it_was() {
    let log = open(&RecordingDisk::default()).unwrap();
    for id in 0..20 {
        assert_eq!(log.append(request(id)).await.unwrap().number, id);
    }
    let expected: Vec<_> = (0..20).map(Found::Message).collect();
    assert_eq!(check(&log).unwrap(), expected);
    assert!(
        (5..8).contains(&log.stats().documents),
        "four messages share a document, but for a new segment"
    );
}

#[tokio::test]
async fn a_log_goes_on_after_a_clean_stop_and_over_many_segments() {
    let disk = RecordingDisk::default();
    let mut expected = Vec::new();
    for run in 0..5 {
        let log = open(&disk).unwrap();
        for id in run * 30..(run + 1) * 30 {
            let asked = log.append(request(2 * id)).await.unwrap();
            let answered = log.append(response(2 * id + 1, asked.number)).await.unwrap();
            assert_eq!(answered.number, asked.number + 1);
            expected.extend([Found::Message(2 * id), Found::Message(2 * id + 1)]);
        }
        assert_eq!(check(&log).unwrap(), expected);
        log.shutdown().await;
        assert!(matches!(log.append(request(0)).await, Err(LogError::Closed)));
    }
    let segments = files(&disk, "segments");
    assert!(segments.len() > 5, "{segments:?}");
    let sealed = segments.iter().filter(|name| *name != "spare.seg").count() - 1;
    assert_eq!(
        files(&disk, "leaves").len(),
        sealed,
        "each sealed segment has its leaves copied"
    );
}

#[tokio::test]
async fn what_waits_together_is_one_round() {
    let disk = RecordingDisk::default();
    let settings = LogSettings {
        group_wait: Duration::from_millis(20),
        group_wait_from: 0,
        ..settings()
    };
    let log = MessageLog::open(OpenLog {
        settings,
        ..opening(&disk, clock())
    })
    .unwrap();
    let tasks: Vec<_> = (0..32)
        .map(|id| {
            let log = log.clone();
            tokio::spawn(async move { log.append(request(id)).await.unwrap().number })
        })
        .collect();
    let mut numbers = Vec::new();
    for task in tasks {
        numbers.push(task.await.unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (0..32).collect::<Vec<_>>());
    assert!(log.stats().rounds < 32, "{:?}", log.stats());
    assert!(log.stats().mean_batch() > 1.0);
}

#[tokio::test]
async fn a_record_longer_than_a_segment_gets_a_segment_of_its_own_length() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let body = Bytes::from(vec![1; 50_000]);
    for id in [0, 5, 10] {
        // First in the first segment, then in the middle.
        let large = LoggedBody::Inline(body.clone(), sha512(&body));
        log.append(crate::messagelog::NewEntry {
            body: large,
            ..request(id)
        })
        .await
        .unwrap();
        log.append(request(id)).await.unwrap();
    }
    let expected: Vec<_> = [0, 0, 5, 5, 10, 10].map(Found::Message).into();
    assert_eq!(check(&log).unwrap(), expected);
    log.shutdown().await;
    let log = open(&disk).unwrap();
    assert_eq!(check(&log).unwrap()[..6], expected);
}

#[tokio::test]
async fn an_entry_that_no_record_holds_is_refused_and_costs_no_number() {
    let log = open(&RecordingDisk::default()).unwrap();
    let body = Bytes::from(vec![1; 16 * 1024 * 1024]);
    let large = LoggedBody::Inline(body, [0; 64]);
    let refused = log
        .append(crate::messagelog::NewEntry {
            body: large,
            ..request(0)
        })
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "log_entry_too_large");
    assert_eq!(log.append(request(1)).await.unwrap().number, 0);
}

#[tokio::test]
async fn the_month_chooses_the_key_file_and_old_entries_stay_readable() {
    let (disk, clock) = (RecordingDisk::default(), clock());
    let log = MessageLog::open(opening(&disk, clock.clone())).unwrap();
    log.append(request(1)).await.unwrap();
    clock.advance(Duration::from_secs(120));
    log.append(request(2)).await.unwrap();
    assert_eq!(check(&log).unwrap(), [Found::Message(1), Found::Message(2)]);
    let keys = files(&disk, "keys");
    for name in [
        "head.case.203001.key",
        "head.case.203002.key",
        "body.days.203001.key",
        "evidence.case.203002.key",
    ] {
        assert!(keys.contains(&name.to_owned()), "{name} in {keys:?}");
    }
}

#[tokio::test]
async fn a_log_opens_for_one_owner_with_its_own_key_server_and_mode_only() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    log.append(request(0)).await.unwrap();
    assert_eq!(open(&disk).unwrap_err().code(), "log_locked");
    log.shutdown().await;
    let with = |change: &dyn Fn(&mut OpenLog)| {
        let mut what = opening(&disk, clock());
        change(&mut what);
        MessageLog::open(what).map(drop).unwrap_err().code()
    };
    assert_eq!(
        with(&|what| what.master = MasterKey::from_bytes([8; 32])),
        "log_wrong_key"
    );
    assert_eq!(
        with(&|what| what.server = "TEST/GOV/1001/ss2".parse().unwrap()),
        "log_other_server"
    );
    assert_eq!(with(&|what| what.test = false), "log_other_server");
    assert!(open(&disk).is_ok());
}

#[tokio::test]
async fn messages_are_found_by_query_id_and_tokens_by_what_they_cover() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..60 {
        log.append(request(id % 50)).await.unwrap();
    }
    log.append_timestamp("token A".into(), vec![7, 8]).await.unwrap();
    for id in 0..60 {
        log.append(request(100 + id)).await.unwrap();
    }
    log.append_timestamp("token B".into(), vec![8]).await.unwrap();
    let mut reader = log.reader();
    assert_eq!(find(&mut reader, "query-3"), [3, 53]);
    assert_eq!(find(&mut reader, "query-999"), [0_u64; 0]);
    for (number, token) in [(7, Some("token A")), (8, Some("token A")), (9, None), (120, None)] {
        assert_eq!(
            reader.stamp(number).unwrap().map(|stamp| stamp.token().to_vec()),
            token.map(|token| token.as_bytes().to_vec()),
            "{number}"
        );
    }
    assert!(matches!(
        reader.entry(122),
        Err(LogError::NotFound { number: 122 })
    ));
}

#[tokio::test]
async fn a_forgotten_blob_is_gone_and_its_neighbours_are_not() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    for id in 0..8 {
        log.append(request(id)).await.unwrap();
    }
    log.shutdown().await;
    let log = open(&disk).unwrap();
    let home = log.reader().home().clone();
    let master = Arc::new(MasterKey::from_bytes([7; 32]));
    let mut keys = KeyRing::new(&home, master);
    let name = KeyName {
        class: BlobClass::Head,
        retention: "case".parse().unwrap(),
        period: 203_001,
    };
    let third = [3].into_iter().collect();
    assert!(keys.forget(&name, &third, false).unwrap());
    assert!(!keys.forget(&name, &third, false).unwrap());
    let mut reader = log.reader();
    for number in 0..8 {
        let entry = reader.entry(number).unwrap();
        let head = reader.head(&entry);
        match number {
            3 => assert!(matches!(
                head,
                Err(LogError::Forgotten {
                    number: 3,
                    part: "head"
                })
            )),
            _ => assert!(head.unwrap().is_some()),
        }
        let evidence = reader.evidence(&entry).unwrap();
        assert!(Evidence::parse(&evidence).unwrap().shared.is_some());
    }
    assert_eq!(find(&mut reader, "query-3"), [0_u64; 0]);
    assert_eq!(find(&mut reader, "query-4"), [4]);
}

#[tokio::test]
async fn no_content_of_a_message_lies_in_clear_on_disk() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let body = Bytes::from_static(b"a body that nobody may read");
    let mut body_writer = log.spool();
    body_writer.write(body.clone()).await.unwrap();
    let file = body_writer.finish().await.unwrap();
    let content = LoggedBody::Content(file, sha512(&body));
    log.append(crate::messagelog::NewEntry {
        body: content,
        ..request(1)
    })
    .await
    .unwrap();
    log.append(entry(EntryKind::ResponseSent, 2, Some(0)))
        .await
        .unwrap();
    log.shutdown().await;
    let all = disk.everything();
    let has = |needle: &[u8]| all.windows(needle.len()).any(|window| window == needle);
    assert!(has(b"antrag"), "the leaf is in clear");
    for needle in [
        &b"nobody may read"[..],
        b"query-",
        b"request-",
        b"x-road-id",
        b"signatures",
        b"chain",
    ] {
        assert!(!has(needle), "{}", String::from_utf8_lossy(needle));
    }
}
