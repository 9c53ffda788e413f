//! What every engine has to do, asked of each the same way.

use std::convert::Infallible;

use tempfile::TempDir;

use super::redb::Redb;
use super::*;
use crate::disk::recording::{Crash, RecordingDisk};
use crate::disk::{Disk, DiskFile, read_exact_at};

fn change(reads: &[(&[u8], u64)], writes: &[(&[u8], Option<&[u8]>)]) -> Change {
    Change {
        reads: reads
            .iter()
            .map(|(key, version)| ((Table::Cases, key.to_vec()), *version))
            .collect(),
        writes: writes
            .iter()
            .map(|(key, bytes)| ((Table::Cases, key.to_vec()), bytes.map(<[u8]>::to_vec)))
            .collect(),
        appends: Vec::new(),
    }
}

fn version(engine: &dyn Engine, key: &[u8]) -> u64 {
    let row = engine.view().unwrap().get(Table::Cases, key).unwrap();
    row.map_or(0, |(version, _)| version)
}

/// The contract. `open` opens the same state again.
fn an_engine_keeps_the_contract(open: &dyn Fn() -> Arc<dyn Engine>) {
    let engine = open();
    assert_eq!(engine.commit(&[]).unwrap(), []);
    // A row is written when it is not there, and its version grows.
    let first = change(&[(b"a", 0)], &[(b"a", Some(b"1")), (b"b", Some(b"2"))]);
    let written = engine.commit(&[first]).unwrap();
    let (a, b) = (version(&*engine, b"a"), version(&*engine, b"b"));
    assert!(a > 0 && a == b && written == [Some(a)]);
    // A snapshot does not see what comes after it.
    let before = engine.view().unwrap();
    // In one commit the second sees what the first one wrote, and leaves nothing when what it read has changed.
    let held = engine
        .commit(&[
            change(&[(b"a", a)], &[(b"a", Some(b"3"))]),
            change(&[(b"a", a)], &[(b"a", Some(b"4")), (b"c", Some(b"5"))]),
            change(&[(b"b", b)], &[(b"b", None)]),
        ])
        .unwrap();
    assert!(matches!(held[..], [Some(first), None, Some(last)] if first < last));
    assert_eq!(held[0], Some(version(&*engine, b"a")));
    assert_eq!(before.get(Table::Cases, b"a").unwrap().unwrap().1, b"1");
    drop(before);
    let view = engine.view().unwrap();
    assert_eq!(view.get(Table::Cases, b"a").unwrap().unwrap().1, b"3");
    assert_eq!(view.get(Table::Cases, b"b").unwrap(), None);
    assert_eq!(view.get(Table::Cases, b"c").unwrap(), None);
    assert_eq!(
        view.get(Table::Transfers, b"a").unwrap(),
        None,
        "tables are apart"
    );
    drop(view);
    // What was removed and made again is another one.
    let again = change(&[(b"b", 0)], &[(b"b", Some(b"6"))]);
    assert_eq!(engine.commit(&[again]).unwrap(), [Some(version(&*engine, b"b"))]);
    assert_ne!(version(&*engine, b"b"), b);
    // Rows come in the order of their keys' octets, within bounds, backwards, and no more than wanted.
    let many: Vec<Vec<u8>> = [&b"m"[..], b"m\0", b"m\xff", b"n"].map(<[u8]>::to_vec).into();
    let writes: Vec<_> = many.iter().map(|key| (key.as_slice(), Some(&b"x"[..]))).collect();
    engine.commit(&[change(&[], &writes)]).unwrap();
    let view = engine.view().unwrap();
    let keys = |from: Bound<&[u8]>, to: Bound<&[u8]>, backwards, most| -> Vec<Vec<u8>> {
        let rows = view.range(Table::Cases, (from, to), backwards, most).unwrap();
        rows.into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(
        keys(Bound::Included(b"m"), Bound::Excluded(b"n"), false, 9),
        many[..3]
    );
    assert_eq!(
        keys(Bound::Excluded(b"m"), Bound::Unbounded, false, 1),
        many[1..2]
    );
    assert_eq!(
        keys(Bound::Unbounded, Bound::Unbounded, true, 2),
        [many[3].clone(), many[2].clone()]
    );
    drop(view);
    // What is appended comes behind all that was, in the order of the changes.
    let append = |texts: &[&[u8]]| Change {
        appends: texts.iter().map(|text| (Table::Events, text.to_vec())).collect(),
        ..Change::default()
    };
    let held = engine.commit(&[append(&[b"1", b"2"]), append(&[b"3"])]).unwrap();
    assert!(held.iter().all(Option::is_some));
    engine.commit(&[append(&[b"4"])]).unwrap();
    let all = engine
        .view()
        .unwrap()
        .range(Table::Events, (Bound::Unbounded, Bound::Unbounded), false, 9)
        .unwrap();
    let texts: Vec<_> = all.into_iter().map(|(_, (_, bytes))| bytes).collect();
    assert_eq!(texts, [b"1", b"2", b"3", b"4"]);
    drop(engine);
    // It is all there when it is opened again, and versions go on.
    let engine = open();
    let b = version(&*engine, b"b");
    assert_eq!(
        engine.view().unwrap().get(Table::Cases, b"a").unwrap().unwrap().1,
        b"3"
    );
    engine
        .commit(&[change(&[(b"b", b)], &[(b"b", Some(b"7"))])])
        .unwrap();
    assert!(version(&*engine, b"b") > b);
}

#[test]
fn redb_keeps_the_contract_of_an_engine() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state.redb");
    an_engine_keeps_the_contract(&|| Arc::new(Redb::open(&path).unwrap()));
}

/// The file of an engine, on a disk that records what is done to it.
#[derive(Clone)]
struct Recorded {
    file: Arc<dyn DiskFile>,
    length: Arc<Mutex<u64>>,
}

impl std::fmt::Debug for Recorded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recorded")
    }
}

impl Recorded {
    fn on(disk: &RecordingDisk) -> Self {
        let path = std::path::Path::new("/state.redb");
        let file = disk.open(path).or_else(|_| disk.create(path)).unwrap();
        // As a new file is opened: its name is on disk before anything rests on it.
        disk.sync_dir(std::path::Path::new("/")).unwrap();
        let length = Arc::new(Mutex::new(file.len().unwrap()));
        Self { file, length }
    }

    fn engine(&self) -> Result<Redb, StoreError> {
        let database = ::redb::Database::builder().create_with_backend(self.clone());
        Redb::over(
            database.map_err(|error| StoreError::Failed(error.to_string()))?,
            &"state",
        )
    }
}

type Io<T> = std::io::Result<T>;

impl ::redb::StorageBackend for Recorded {
    fn len(&self) -> Io<u64> {
        Ok(*self.length.lock().unwrap())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Io<()> {
        read_exact_at(&*self.file, offset, out)
    }

    fn set_len(&self, length: u64) -> Io<()> {
        let mut known = self.length.lock().unwrap();
        if length > self.file.len()? {
            self.file.write_at(length - 1, &[0])?;
        }
        *known = length;
        Ok(())
    }

    fn sync_data(&self) -> Io<()> {
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> Io<()> {
        self.file.write_at(offset, data)
    }
}

/// What writers did: positions on the disk when something was known to be committed, and how much of each counter.
async fn written(disk: &RecordingDisk) -> Vec<(usize, u32, u32)> {
    let store = Store::new(Arc::new(Recorded::on(disk).engine().unwrap()));
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut running = tokio::task::JoinSet::new();
    for writer in 0..32_u32 {
        let (store, told, disk) = (store.clone(), Arc::clone(&told), disk.clone());
        running.spawn(async move {
            for value in 1..=12_u32 {
                let key = writer.to_be_bytes();
                let put = |tx: &mut Tx<'_>| {
                    // Two tables and a counter that all meet at: all of it or nothing.
                    tx.put(Table::Cases, &key, &value)?;
                    tx.put(
                        Table::Contents,
                        &key,
                        &(value, "x".repeat(usize::try_from(value).unwrap() * 300)),
                    )?;
                    tx.append(Table::Events, &(writer, value))?;
                    Ok::<_, TxError<Infallible>>(())
                };
                store.run_tx("put", put).await.unwrap();
                told.lock().unwrap().push((disk.position(), writer, value));
            }
        });
    }
    running.join_all().await;
    Arc::into_inner(told).unwrap().into_inner().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_that_was_committed_and_shows_no_half_transaction() {
    let disk = RecordingDisk::default();
    let told = written(&disk).await;
    let end = disk.position();
    let mut random = 0x9e37_79b9_u64;
    let mut next = |below: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).unwrap() % below
    };
    let mut opened = 0;
    for round in 0..500_u64 {
        let position = 1 + next(end);
        let crash = match round % 4 {
            0 => Crash::OnlySynced,
            1 => Crash::Process,
            _ => Crash::Mixture(round),
        };
        let after = disk.after_crash(position, crash);
        let committed = told.iter().filter(|(at, ..)| *at <= position);
        let mut least = BTreeMap::new();
        for (_, writer, value) in committed {
            let known: &mut u32 = least.entry(*writer).or_default();
            *known = (*known).max(*value);
        }
        let engine = match Recorded::on(&after).engine() {
            Ok(engine) => engine,
            // Before the first commit there may be nothing that can be opened.
            Err(error) if least.is_empty() => {
                assert!(matches!(error, StoreError::Failed(_)));
                continue;
            }
            Err(error) => panic!("{crash:?} at {position}: {error}"),
        };
        opened += 1;
        let store = Store::new(Arc::new(engine));
        let mut events: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (_, (writer, value)) in store.below::<(u32, u32)>(Table::Events, b"").unwrap() {
            events.entry(writer).or_default().push(value);
        }
        for writer in 0..32_u32 {
            let key = writer.to_be_bytes();
            let value = store.get::<u32>(Table::Cases, &key).unwrap().unwrap_or_default();
            let content = store.get::<(u32, String)>(Table::Contents, &key).unwrap();
            assert!(
                value >= least.get(&writer).copied().unwrap_or_default(),
                "{crash:?} at {position}: lost"
            );
            assert_eq!(
                content.map_or(0, |(value, _)| value),
                value,
                "{crash:?} at {position}: half"
            );
            let told = events.remove(&writer).unwrap_or_default();
            assert_eq!(
                told,
                (1..=value).collect::<Vec<_>>(),
                "{crash:?} at {position}: events"
            );
        }
    }
    assert!(opened > 450, "{opened}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_that_meet_decide_anew_and_none_is_lost() {
    let dir = TempDir::new().unwrap();
    let store = Store::new(Arc::new(Redb::open(&dir.path().join("state.redb")).unwrap()));
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let store = store.clone();
        running.spawn(async move {
            for _ in 0..5 {
                let counted = store
                    .run_tx("count", |tx| Ok::<_, TxError<Infallible>>(tx.next("n")?))
                    .await;
                counted.unwrap();
            }
        });
    }
    running.join_all().await;
    assert_eq!(store.get::<u64>(Table::Meta, b"n").unwrap(), Some(80));
}

#[tokio::test]
async fn a_row_is_read_as_it_was_committed_last_and_is_gone_when_it_was_removed() {
    let dir = TempDir::new().unwrap();
    let store = Store::new(Arc::new(Redb::open(&dir.path().join("state.redb")).unwrap()));
    for value in 0..3_u32 {
        let put = |tx: &mut Tx<'_>| Ok::<_, TxError<Infallible>>(tx.put(Table::Cases, b"a", &value)?);
        store.run_tx("put", put).await.unwrap();
        assert_eq!(store.get::<u32>(Table::Cases, b"a").unwrap(), Some(value));
    }
    assert_eq!(
        store.get::<u64>(Table::Cases, b"a").unwrap(),
        Some(2),
        "as another type it is read anew"
    );
    let remove = |tx: &mut Tx<'_>| {
        tx.remove(Table::Cases, b"a");
        Ok::<_, TxError<Infallible>>(())
    };
    store.run_tx("remove", remove).await.unwrap();
    assert_eq!(store.get::<u32>(Table::Cases, b"a").unwrap(), None);
}

#[tokio::test]
async fn a_refusal_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::new(Arc::new(Redb::open(&dir.path().join("state.redb")).unwrap()));
    let refused = store
        .run_tx("refuse", |tx| {
            tx.put(Table::Cases, b"a", &1)?;
            Err::<(), _>(TxError::Refused("no"))
        })
        .await;
    assert!(matches!(refused, Err(TxError::Refused("no"))));
    assert_eq!(store.get::<u64>(Table::Cases, b"a").unwrap(), None);
}

/// An engine whose disk is full.
struct Full;

impl Engine for Full {
    fn view(&self) -> Result<Box<dyn View>, StoreError> {
        struct Empty;
        impl View for Empty {
            fn get(&self, _: Table, _: &[u8]) -> Result<Option<Row>, StoreError> {
                Ok(None)
            }

            fn range(
                &self,
                _: Table,
                _: (Bound<&[u8]>, Bound<&[u8]>),
                _: bool,
                _: usize,
            ) -> Result<Vec<(Vec<u8>, Row)>, StoreError> {
                Ok(Vec::new())
            }
        }
        Ok(Box::new(Empty))
    }

    fn commit(&self, _: &[Change]) -> Result<Vec<Option<u64>>, StoreError> {
        Err(StoreError::Failed("no space".into()))
    }
}

#[tokio::test]
async fn a_failed_commit_is_final_and_whoever_watches_is_told() {
    let store = Store::new(Arc::new(Full));
    for _ in 0..2 {
        let failed = store
            .run_tx("count", |tx| Ok::<_, TxError<Infallible>>(tx.next("n")?))
            .await;
        assert!(
            matches!(failed, Err(TxError::Store(StoreError::Failed(_)))),
            "{failed:?}"
        );
    }
    assert!(store.failed().await.to_string().contains("no space"));
}
