//! What every engine has to do, asked of each the same way.

use std::convert::Infallible;

use tempfile::TempDir;

use super::redb::Redb;
use super::*;

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
    assert_eq!(engine.commit(&[]).unwrap(), Vec::<bool>::new());
    // A row is written when it is not there, and its version grows.
    let first = change(&[(b"a", 0)], &[(b"a", Some(b"1")), (b"b", Some(b"2"))]);
    assert_eq!(engine.commit(&[first]).unwrap(), [true]);
    let (a, b) = (version(&*engine, b"a"), version(&*engine, b"b"));
    assert!(a > 0 && a == b);
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
    assert_eq!(held, [true, false, true]);
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
    assert_eq!(engine.commit(&[again]).unwrap(), [true]);
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
    assert_eq!(
        engine.commit(&[append(&[b"1", b"2"]), append(&[b"3"])]).unwrap(),
        [true, true]
    );
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

    fn commit(&self, _: &[Change]) -> Result<Vec<bool>, StoreError> {
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
