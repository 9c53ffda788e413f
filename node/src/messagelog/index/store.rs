//! The ordered map under the search index, and sled behind it. sled 0.34 syncs nothing by itself and panics on a damaged
//! file: what it holds here can be made anew, each call is guarded, and a clean stop syncs its files on its behalf.

use std::{
    fs::File,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    time::Duration,
};

/// sled's cache.
const CACHE: u64 = 8 * 1024 * 1024;

/// sled's own threads give its lock back a moment after the last handle is gone: whoever opens again right then waits.
const TRIES: u32 = 200;
const BETWEEN: Duration = Duration::from_millis(10);

/// A key with its new value, or none to remove it.
pub(crate) type Change = (Vec<u8>, Option<Vec<u8>>);

/// Keys with their values, in order.
pub(crate) type Page = Vec<(Vec<u8>, Vec<u8>)>;

/// The map failed, or is damaged; the index must be made anew.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(crate) struct StoreError(pub(crate) String);

/// What the index needs of an ordered map.
pub(crate) trait Store: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;
    /// Makes changes in the order given. Should the process end in between, the first of them are made.
    fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError>;
    /// The first entries, at most `limit`, whose key begins with `prefix` and is not below `from`; in order.
    fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Page, StoreError>;
    /// Puts everything on disk.
    fn sync(&self) -> Result<(), StoreError>;
}

/// sled in a directory of its own.
pub(crate) struct SledStore {
    db: Option<sled::Db>,
    dir: PathBuf,
}

fn guarded<T, E: std::fmt::Display>(work: impl FnOnce() -> Result<T, E>) -> Result<T, StoreError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(StoreError(error.to_string())),
        Err(_) => Err(StoreError("sled panicked".into())),
    }
}

impl SledStore {
    pub(crate) fn open(dir: &Path) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(CACHE)
            .flush_every_ms(None);
        let mut tries = 0;
        let db = loop {
            match guarded(|| config.open()) {
                Err(error) if error.0.contains("could not acquire lock") && tries < TRIES => {
                    tries += 1;
                    std::thread::sleep(BETWEEN);
                }
                opened => break opened?,
            }
        };
        Ok(Self {
            db: Some(db),
            dir: dir.into(),
        })
    }

    fn db(&self) -> &sled::Db {
        self.db.as_ref().expect("it is taken when the value is dropped")
    }
}

impl Store for SledStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        guarded(|| self.db().get(key)).map(|found| found.map(|value| value.to_vec()))
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        // Not sled's own batch: it writes in the order of a hash, and readers wait for all of it.
        guarded(|| {
            for (key, value) in changes {
                match value {
                    Some(value) => self.db().insert(key, value)?,
                    None => self.db().remove(key)?,
                };
            }
            Ok::<_, sled::Error>(())
        })
    }

    fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Page, StoreError> {
        let from = from.max(prefix);
        guarded(|| {
            let mut page = Vec::new();
            for entry in self.db().range(from..) {
                let (key, value) = entry?;
                if page.len() == limit || !key.starts_with(prefix) {
                    break;
                }
                page.push((key.to_vec(), value.to_vec()));
            }
            Ok::<_, sled::Error>(page)
        })
    }

    fn sync(&self) -> Result<(), StoreError> {
        guarded(|| self.db().flush())?;
        guarded(|| sync_tree(&self.dir))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        let db = self.db.take();
        let _ = catch_unwind(AssertUnwindSafe(|| drop(db)));
    }
}

/// Syncs every file below a directory, and the names of them.
fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            match File::open(entry.path()) {
                // A snapshot that was replaced meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => opened?.sync_all()?,
            }
        }
    }
    File::open(dir)?.sync_all()
}

/// A map in memory, for tests of what stands on it.
#[cfg(test)]
#[derive(Default, Clone)]
pub(crate) struct MemoryStore(
    pub(crate) std::sync::Arc<std::sync::Mutex<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>>,
);

#[cfg(test)]
impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.lock().unwrap().get(key).cloned())
    }

    fn apply(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut map = self.0.lock().unwrap();
        for (key, value) in changes {
            match value {
                Some(value) => _ = map.insert(key, value),
                None => _ = map.remove(&key),
            }
        }
        Ok(())
    }

    fn page(&self, prefix: &[u8], from: &[u8], limit: usize) -> Result<Page, StoreError> {
        let map = self.0.lock().unwrap();
        Ok(map
            .range(from.max(prefix).to_vec()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(limit)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn sync(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: u32) -> Vec<u8> {
        [&b"q"[..], &n.to_be_bytes()].concat()
    }

    #[test]
    fn what_was_applied_is_found_again_in_order_and_after_opening() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let memory = MemoryStore::default();
        let sled = SledStore::open(&path).unwrap();
        for store in [&sled as &dyn Store, &memory] {
            let changes = (0..1000).rev().map(|n| (number(n), Some(vec![1; 20]))).collect();
            store.apply(changes).unwrap();
            store
                .apply(vec![(number(7), None), (b"r".to_vec(), Some(vec![]))])
                .unwrap();
        }
        sled.sync().unwrap();
        drop(sled);
        let sled = SledStore::open(&path).unwrap();
        for store in [&sled as &dyn Store, &memory] {
            assert_eq!(store.get(&number(7)).unwrap(), None);
            assert_eq!(store.get(&number(8)).unwrap(), Some(vec![1; 20]));
            let page = store.page(b"q", &number(5), 3).unwrap();
            let keys: Vec<_> = page.into_iter().map(|(key, _)| key).collect();
            assert_eq!(keys, [number(5), number(6), number(8)]);
            assert_eq!(
                store.page(b"q", &number(998), 9).unwrap().len(),
                2,
                "no key of another prefix"
            );
        }
    }

    #[test]
    fn a_damaged_file_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        let sled = SledStore::open(&path).unwrap();
        for round in 0..20 {
            let changes = (round * 500..(round + 1) * 500).map(|n| (number(n), Some(vec![7; 30])));
            sled.apply(changes.collect()).unwrap();
        }
        sled.sync().unwrap();
        drop(sled);
        let file = path.join("db");
        let sound = std::fs::read(&file).unwrap();
        let end = sound.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (0..16).map(|part| end * part / 16) {
            let mut damaged = sound.clone();
            damaged[at..(at + 64).min(end)]
                .iter_mut()
                .for_each(|byte| *byte ^= 0x55);
            std::fs::write(&file, damaged).unwrap();
            // Whatever it says: it answers.
            if let Ok(store) = SledStore::open(&path) {
                let _ = store.page(b"q", b"q", 20_000);
                let _ = store.get(&number(7));
            }
        }
    }
}
