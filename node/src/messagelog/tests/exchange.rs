use super::bed::*;
use crate::{
    disk::recording::{Crash, RecordingDisk},
    messagelog::{ABANDONED, EntryKind, INTERRUPTED},
};

fn closure(request: u64, fault: &str) -> Found {
    Found::Closure(request, fault.into())
}

#[tokio::test]
async fn a_request_is_answered_once() {
    let log = open(&RecordingDisk::default()).unwrap();
    let asked = log.append(request(0)).await.unwrap();
    log.append(response(1, asked.number)).await.unwrap();
    for refused in [
        log.append(response(2, asked.number)).await,
        log.append(response(2, 1)).await,
        log.close_failed(asked, "late").await,
    ] {
        assert_eq!(refused.unwrap_err().code(), "log_entry_unsuited");
    }
    let refused = log.append(response(2, 9)).await;
    assert_eq!(refused.unwrap_err().code(), "log_entry_not_found");
    assert_eq!(check(&log).unwrap(), [Found::Message(0), Found::Message(1)]);
    assert_eq!(log.stats().open_exchanges, 0);
}

#[tokio::test]
async fn an_exchange_that_fails_is_closed_with_its_fault() {
    let log = open(&RecordingDisk::default()).unwrap();
    let asked = log
        .append(entry(EntryKind::RequestReceived, 0, None))
        .await
        .unwrap();
    let closed = log
        .close_failed(asked, "server.serverproxy.access_denied")
        .await
        .unwrap();
    assert_eq!(closed.number, 1);
    assert_eq!(
        check(&log).unwrap(),
        [Found::Message(0), closure(0, "server.serverproxy.access_denied")]
    );
}

#[tokio::test]
async fn a_dropped_exchange_is_closed_and_an_answered_one_is_not() {
    let log = open(&RecordingDisk::default()).unwrap();
    let first = log.append(request(0)).await.unwrap();
    let mut failed = log.exchange(first);
    let second = log.append(request(1)).await.unwrap();
    let answered = log.exchange(second);
    let third = log.append(request(2)).await.unwrap();
    let silent = log.exchange(third);
    log.append(response(3, answered.request())).await.unwrap();
    failed.failed("server.clientproxy.network_error");
    drop((failed, answered, silent));
    log.append(request(4)).await.unwrap();
    log.shutdown().await;
    // Nobody waits for these closures, so only their presence is promised.
    let disk_order = log.stats().entries;
    assert_eq!(disk_order, 7);
    let found = check(&log).unwrap();
    assert!(found.contains(&closure(0, "server.clientproxy.network_error")));
    assert!(found.contains(&closure(2, ABANDONED)));
    assert_eq!(
        found
            .iter()
            .filter(|found| matches!(found, Found::Closure(..)))
            .count(),
        2
    );
}

#[tokio::test]
async fn a_start_closes_what_was_open_however_many_segments_ago_it_began() {
    let disk = RecordingDisk::default();
    let log = open(&disk).unwrap();
    let first = log.append(request(0)).await.unwrap();
    for id in 1..80 {
        let asked = log.append(request(2 * id)).await.unwrap();
        log.append(response(2 * id + 1, asked.number)).await.unwrap();
    }
    let last = log.append(request(1000)).await.unwrap();
    let before = check(&log).unwrap();

    let after = disk.after_crash(disk.position(), Crash::Process);
    let log = open(&after).unwrap();
    let found = check(&log).unwrap();
    assert_eq!(found[..before.len()], before);
    let closures = [
        closure(first.number, INTERRUPTED),
        closure(last.number, INTERRUPTED),
    ];
    assert_eq!(found[before.len()..], closures);
    log.shutdown().await;
    let log = open(&after).unwrap();
    assert_eq!(check(&log).unwrap(), found, "once");
}
