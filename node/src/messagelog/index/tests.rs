//! The index beside a log on a real disk: what it says agrees with the log, and when it cannot be believed it is made anew.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use kontor_pki::{sealed::MasterKey, time::UnixTime};

use super::{
    keys::Mark,
    store::{MemoryStore, Store},
    *,
};
use crate::{
    clock::ManualClock,
    disk::SystemDisk,
    messagelog::{
        EntryKind, Filter, Given, LogSettings, LoggedBody, MessageLog, NewEntry, OpenLog, Part, PurgeOrder,
        search::{Told, search},
    },
};

const MONTH: Duration = Duration::from_secs(31 * 86_400);

struct Bed {
    dir: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Bed {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: ManualClock::at(UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap()),
        }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn index(&self) -> PathBuf {
        self.data().join("log/index")
    }

    fn db(&self) -> PathBuf {
        let state = fs::read_to_string(self.index().join("state")).unwrap();
        let name = state.lines().nth(1).unwrap().strip_prefix("db ").unwrap();
        self.index().join(name)
    }

    fn open(&self) -> MessageLog {
        MessageLog::open(OpenLog {
            dir: self.data(),
            disk: Arc::new(SystemDisk),
            master: MasterKey::from_bytes([7; 32]),
            settings: LogSettings {
                first_segment_bytes: 64 * 1024,
                segment_bytes: 512 * 1024,
                reserve: 0,
                ..LogSettings::default()
            },
            server: "TEST/GOV/1001/ss1".parse().unwrap(),
            test: true,
            clock: self.clock.clone(),
        })
        .unwrap()
    }
}

fn request(id: u64) -> NewEntry {
    let message = bytes::Bytes::from(format!("GET /r1 {id}"));
    NewEntry {
        kind: EntryKind::RequestSent,
        answers: None,
        client: format!("TEST/GOV/{}/antrag", 1001 + id % 3).parse().unwrap(),
        service: format!("TEST/GOV/{}/fach/service{}", 2001 + id % 2, id % 5)
            .parse()
            .unwrap(),
        client_server: Some("TEST/GOV/1001/ss1".parse().unwrap()),
        provider_server: id.is_multiple_of(4).then(|| "TEST/GOV/2001/ss2".parse().unwrap()),
        query_id: format!("query-{}", id % 40),
        request_id: format!("request-{id}"),
        request: bytes::Bytes::new(),
        message_digest: kontor_pki::crypto::sha512(&message),
        message,
        body: LoggedBody::None,
        signature: crate::messagelog::BatchSignature::new("<signatures/>".into(), None),
        chain: None,
    }
}

/// Whole exchanges, all at once: many share a sync.
async fn append(log: &MessageLog, ids: std::ops::Range<u64>) {
    let mut exchanges = tokio::task::JoinSet::new();
    for id in ids {
        let log = log.clone();
        exchanges.spawn(async move {
            let asked = log.append(request(id)).await.unwrap();
            if id.is_multiple_of(3) {
                log.close_failed(asked, "server.failed").await.unwrap();
                return;
            }
            let response = NewEntry {
                kind: EntryKind::ResponseReceived,
                answers: Some(asked.number),
                ..request(id)
            };
            log.append(response).await.unwrap();
        });
    }
    while let Some(exchange) = exchanges.join_next().await {
        exchange.unwrap();
    }
}

/// Waits until the index reflects everything.
async fn settled(log: &MessageLog) -> IndexStats {
    let entries = log.stats().entries;
    log.readers.index.wake();
    let mut watch = log.readers.index.watch();
    let whole = watch.wait_for(|stats| stats.open && stats.position == entries);
    *tokio::time::timeout(Duration::from_secs(60), whole)
        .await
        .unwrap()
        .unwrap()
}

/// Numbers that a search tells.
fn find(log: &MessageLog, filter: &Filter) -> Vec<u64> {
    let mut found = Vec::new();
    search(&mut log.reader(), filter, &mut |_, told| {
        if let Told::Hit { entry, .. } = told {
            found.push(entry.number);
        }
        std::ops::ControlFlow::Continue(())
    })
    .unwrap();
    found
}

fn by_query_id(query_id: &str) -> Filter {
    Filter {
        query_id: Some(query_id.into()),
        ..Filter::default()
    }
}

fn filters() -> Vec<Filter> {
    let all = Filter::default;
    let at = |text: &str| Some(UnixTime::parse_rfc3339(text).unwrap());
    let id = "TEST/GOV/2001/fach/service3";
    vec![
        all(),
        by_query_id("query-7"),
        by_query_id("query-none"),
        Filter {
            client: Some("TEST/GOV/1002/antrag".parse().unwrap()),
            ..all()
        },
        Filter {
            service: Some(id.parse().unwrap()),
            ..all()
        },
        Filter {
            member: Some("TEST/GOV/2002".parse().unwrap()),
            ..all()
        },
        Filter {
            member: Some("TEST/GOV/1003".parse().unwrap()),
            service: Some(id.parse().unwrap()),
            ..all()
        },
        Filter {
            server: Some("TEST/GOV/2001/ss2".parse().unwrap()),
            ..all()
        },
        Filter {
            kind: Some(kontor_protocol::log::EntryKind::FailureClosure),
            first: 100,
            ..all()
        },
        Filter {
            from: at("2030-02-15T00:00:00Z"),
            ..all()
        },
        Filter {
            until: at("2030-02-15T00:00:00Z"),
            messages: true,
            ..by_query_id("query-8")
        },
        Filter {
            from: at("2030-02-15T00:00:00Z"),
            until: at("2030-03-20T00:00:00Z"),
            member: Some("TEST/GOV/1001".parse().unwrap()),
            ..all()
        },
    ]
}

/// Each filter gives the same with the index as without it.
fn agrees(log: &MessageLog) {
    for filter in filters() {
        let by_index = find(log, &filter);
        let mut by_reading = Vec::new();
        let mut reader = log.reader();
        reader
            .scan(filter.first, &mut |reader, entry| {
                let leaf = reader.leaf(entry)?;
                let head = reader.head(entry)?;
                let query_id = head
                    .as_ref()
                    .map(|head| crate::messagelog::blob::Head::parse(head).unwrap().query_id);
                if filter.fits(leaf) && (filter.query_id.is_none() || filter.query_id.as_deref() == query_id)
                {
                    by_reading.push(entry.number);
                }
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .unwrap();
        assert_eq!(by_index, by_reading, "{filter:?}");
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = fs::copy(entry.path(), target).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_search_by_index_finds_what_a_search_by_reading_finds() {
    let bed = Bed::new();
    let log = bed.open();
    for month in 0..3 {
        append(&log, month * 100..(month + 1) * 100).await;
        bed.clock.advance(MONTH);
    }
    // Nothing, some, and all of it by the index.
    agrees(&log);
    settled(&log).await;
    append(&log, 300..310).await;
    agrees(&log);
    settled(&log).await;
    agrees(&log);
    log.shutdown().await;
    drop(log);
    let log = bed.open();
    append(&log, 310..400).await;
    let stats = settled(&log).await;
    assert_eq!(stats.rebuilds, 0, "after a clean stop it goes on where it was");
    agrees(&log);
    assert_eq!(log.reader().index().view().unwrap().position(), 800);
}

#[tokio::test]
async fn an_index_that_cannot_be_believed_is_made_anew() {
    type Harm = fn(&Bed);
    let harms: BTreeMap<&str, Harm> = [
        (
            "missing",
            (|bed| fs::remove_dir_all(bed.index()).unwrap()) as Harm,
        ),
        ("without its map", |bed| fs::remove_dir_all(bed.db()).unwrap()),
        ("of another start of the machine", |bed| {
            let state = bed.index().join("state");
            let text = fs::read_to_string(&state).unwrap();
            fs::write(state, text.replace("\nclean\n", "\nopen some-other-boot\n")).unwrap();
        }),
        ("with a state that does not read", |bed| {
            fs::write(bed.index().join("state"), b"\0\0").unwrap()
        }),
        ("damaged", |bed| {
            let path = bed.db().join("db");
            let mut bytes = fs::read(&path).unwrap();
            let end = bytes.iter().rposition(|byte| *byte != 0).unwrap();
            bytes[..end].iter_mut().step_by(97).for_each(|byte| *byte ^= 0x5a);
            fs::write(path, bytes).unwrap();
        }),
        ("without a key it was made with", |bed| {
            let keys = bed.data().join("log/keys");
            fs::remove_file(keys.join("index.case.203001.key")).unwrap();
        }),
    ]
    .into();
    for (name, harm) in harms {
        let bed = Bed::new();
        let log = bed.open();
        append(&log, 0..120).await;
        settled(&log).await;
        log.shutdown().await;
        drop(log);
        harm(&bed);
        let log = bed.open();
        append(&log, 300..310).await;
        agrees(&log);
        let stats = settled(&log).await;
        assert_eq!(stats.rebuilds, 1, "an index {name}");
        agrees(&log);
        log.shutdown().await;
    }
}

#[tokio::test]
async fn an_index_of_another_moment_of_the_log_is_brought_up_or_made_anew() {
    let bed = Bed::new();
    let (early, late, log_then) = (
        bed.dir.path().join("early"),
        bed.dir.path().join("late"),
        bed.dir.path().join("then"),
    );
    let log = bed.open();
    append(&log, 0..200).await;
    settled(&log).await;
    log.shutdown().await;
    drop(log);
    copy(&bed.index(), &early);
    copy(&bed.data(), &log_then);
    let log = bed.open();
    append(&log, 200..400).await;
    settled(&log).await;
    log.shutdown().await;
    drop(log);
    copy(&bed.index(), &late);

    let swap = |index: &Path| {
        fs::remove_dir_all(bed.index()).unwrap();
        copy(index, &bed.index());
    };
    // Behind the log: it goes on from there.
    swap(&early);
    let log = bed.open();
    assert_eq!(settled(&log).await.rebuilds, 0);
    agrees(&log);
    log.shutdown().await;
    drop(log);
    // Ahead of a log that was restored, and of another log that grew as long since.
    for more in [0, 250] {
        fs::remove_dir_all(bed.data()).unwrap();
        copy(&log_then, &bed.data());
        let log = bed.open();
        append(&log, 1000..1000 + more).await;
        log.shutdown().await;
        drop(log);
        swap(&late);
        let log = bed.open();
        assert_eq!(settled(&log).await.rebuilds, 1);
        agrees(&log);
        log.shutdown().await;
    }
}

#[tokio::test]
async fn a_hit_that_its_entry_does_not_confirm_costs_an_index_and_no_answer() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..100).await;
    settled(&log).await;
    let index = &log.readers.index;
    let view = index.view().unwrap();
    let (truth, lie) = (view.query("query-7", 0).unwrap(), MemoryStore::default());
    for (key, value) in view.store.page(b"", b"", usize::MAX).unwrap() {
        lie.apply(vec![(key, Some(value))]).unwrap();
    }
    let key = index.keys.all().unwrap().into_values().next().unwrap();
    let (bucket, mark) = terms::query_mark(&key, "query-7");
    let piece = terms::piece_key(0, bucket, 0);
    let mut value = lie.get(&piece).unwrap().unwrap();
    terms::add_to_piece(&mut value, &mark, 3);
    lie.apply(vec![(piece, Some(value))]).unwrap();
    let lie: Arc<dyn Store> = Arc::new(lie);
    index.publish(&lie, view.position());
    assert_eq!(find(&log, &by_query_id("query-7")), truth);
    let stats = settled(&log).await;
    assert_eq!(stats.rebuilds, 2, "made at the start, and again");
    agrees(&log);
}

#[tokio::test]
async fn neither_query_ids_nor_request_ids_lie_in_clear_in_the_index() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..200).await;
    settled(&log).await;
    log.shutdown().await;
    let mut read = 0;
    let mut dirs = vec![bed.data().join("log")];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            let bytes = fs::read(&path).unwrap();
            read += bytes.len();
            for secret in [&b"query-"[..], b"request-"] {
                let seen = bytes.windows(secret.len()).any(|window| window == secret);
                assert!(!seen, "{}", path.display());
            }
        }
    }
    assert!(read > 100_000);
}

#[tokio::test]
async fn a_head_that_was_read_before_its_month_was_forgotten_gets_no_mark_under_a_new_key() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..30).await;
    settled(&log).await;
    let period = ("case".parse().unwrap(), 203_001);
    let index = &log.readers.index;
    let before = index.keys.purges();
    let first = index.keys.for_writing(&period, before).unwrap();
    assert!(matches!(first, Mark::Under(_)));
    // As a purge does it, while an index that lags holds a head in its hand.
    let keys = bed.data().join("log/keys");
    fs::remove_file(keys.join("head.case.203001.key")).unwrap();
    index.forget(&period.0, period.1, true).unwrap();
    assert_eq!(index.keys.for_writing(&period, before).unwrap(), Mark::Gone);
    assert!(!keys.join("index.case.203001.key").exists());
    // A month that has heads again, as that of a clock that was set back, gets another key.
    fs::write(keys.join("head.case.203001.key"), b"").unwrap();
    let next = index.keys.for_writing(&period, before).unwrap();
    assert!(matches!(next, Mark::Under(_)));
    assert_ne!(first, next);
}

#[tokio::test]
async fn a_head_that_was_read_before_it_was_deleted_alone_gets_no_mark_under_the_new_key_of_its_month() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..30).await;
    settled(&log).await;
    let period = ("case".parse().unwrap(), 203_001);
    let keys = log.readers.index.keys.clone();
    let before = keys.purges();
    let answer = find(&log, &by_query_id("query-20"))[1];
    let order = PurgeOrder {
        ground: "Art. 17 GDPR".into(),
        dry_run: false,
        given: Some(Given {
            numbers: answer.to_string().parse().unwrap(),
            parts: vec![Part::Head],
            by: Some("request 3/2030".into()),
            who: "uid:7".into(),
        }),
    };
    log.purge(order).await.unwrap();
    assert_eq!(
        keys.for_writing(&period, before).unwrap(),
        Mark::ReadAgain,
        "the rest of the month lives on, and its index key is another"
    );
    settled(&log).await;
    assert_eq!(find(&log, &by_query_id("query-20")).len(), 1);
    assert_eq!(
        find(&log, &by_query_id("query-19")).len(),
        2,
        "others are found under it"
    );
}

#[tokio::test]
async fn a_crash_while_an_index_key_is_forgotten_has_the_index_made_anew() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..30).await;
    settled(&log).await;
    log.shutdown().await;
    drop(log);
    // Its bytes are overwritten, its name is still there.
    let path = bed.data().join("log/keys/index.case.203001.key");
    let size = fs::metadata(&path).unwrap().len();
    fs::write(&path, vec![0; usize::try_from(size).unwrap()]).unwrap();
    let log = bed.open();
    settled(&log).await;
    assert_eq!(log.index().rebuilds, 1);
    assert_eq!(find(&log, &by_query_id("query-20")).len(), 2);
}

#[tokio::test]
async fn an_index_that_is_made_anew_stands_under_new_keys() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..30).await;
    settled(&log).await;
    let key = |log: &MessageLog| {
        log.readers
            .index
            .keys
            .all()
            .unwrap()
            .into_values()
            .next()
            .unwrap()
    };
    let before = key(&log);
    log.readers.index.suspect("to try it");
    let rebuilds = log.readers.index.stats().rebuilds;
    while log.readers.index.stats().rebuilds == rebuilds {
        tokio::task::yield_now().await;
    }
    settled(&log).await;
    assert_ne!(key(&log), before);
    assert_eq!(find(&log, &by_query_id("query-20")).len(), 2);
}

#[tokio::test]
async fn an_index_key_is_forgotten_with_the_heads_of_its_month() {
    let bed = Bed::new();
    let log = bed.open();
    append(&log, 0..30).await;
    bed.clock.advance(MONTH);
    append(&log, 30..60).await;
    settled(&log).await;
    let keys = bed.data().join("log/keys");
    let index_key = keys.join("index.case.203001.key");
    assert!(index_key.exists());
    fs::remove_file(keys.join("head.case.203001.key")).unwrap();
    log.readers
        .index
        .forget(&"case".parse().unwrap(), 203_001, false)
        .unwrap();
    assert!(!index_key.exists());
    settled(&log).await;
    assert!(
        !index_key.exists(),
        "it is not made again for heads that nobody can read"
    );
    assert_eq!(find(&log, &by_query_id("query-20")).len(), 0);
    assert_eq!(find(&log, &by_query_id("query-35")).len(), 2);
    assert_eq!(
        find(&log, &Filter::default()).len(),
        120,
        "by their leaves all are found"
    );
    log.shutdown().await;
    drop(log);
    // A process may end between the two: the next start does it.
    fs::remove_file(keys.join("head.case.203003.key")).unwrap();
    let log = bed.open();
    settled(&log).await;
    assert!(!keys.join("index.case.203003.key").exists());
}
