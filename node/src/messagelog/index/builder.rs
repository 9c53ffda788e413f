//! The thread that brings the index up to the log: opens or makes the map, reads new entries, writes them in batches. What it
//! meets never reaches those who append: at worst the index is closed and searches read the log.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use kontor_pki::crypto::sha256;

use super::{
    Index,
    batch::Batch,
    keys::KeyError,
    state::{State, boot_id},
    store::{SledStore, Store, StoreError},
    terms::{self, META},
};
use crate::messagelog::{error::LogError, identity::Home, read::Readers, status::Status};

/// How long new entries may wait.
const TICK: Duration = Duration::from_secs(1);
/// How long it leaves things alone after an error.
const PAUSE: Duration = Duration::from_secs(30);

/// Why a batch was not written.
pub(super) enum Failure {
    /// The map; it is made anew.
    Store(StoreError),
    /// The log, or its disk; it is tried again.
    Log(LogError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Damaged(error) => Self::Store(StoreError(error.to_string())),
            KeyError::Disk(error) => Self::Log(error),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// The running thread; it ends, with its files closed, when this goes.
pub(crate) struct IndexThread {
    index: Index,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl IndexThread {
    /// Starts it for an index that `readers` know. `dir` is where sled may keep files; without one there is no index.
    pub(crate) fn start(
        index: Index,
        dir: Option<PathBuf>,
        home: Home,
        readers: Readers,
        status: Status,
    ) -> Result<Self, LogError> {
        let thread = match dir {
            None => None,
            Some(dir) => {
                let builder = Builder {
                    index: index.clone(),
                    dir,
                    home,
                    readers,
                    status,
                };
                let path = builder.dir.clone();
                let thread = std::thread::Builder::new().name("log-index".into());
                let spawned = thread.spawn(move || builder.run());
                Some(spawned.map_err(LogError::io("could not start a thread for", &path))?)
            }
        };
        Ok(Self {
            index,
            thread: Mutex::new(thread),
        })
    }

    /// Ends it and waits.
    pub(crate) fn stop(&self) {
        self.index.orders().stop = true;
        self.index.orders.1.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for IndexThread {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Builder {
    index: Index,
    dir: PathBuf,
    home: Home,
    readers: Readers,
    status: Status,
}

impl Builder {
    fn run(self) {
        let mut doubt: Option<String> = None;
        while !self.index.is_stopping() {
            let opened = self.open(doubt.clone());
            let failure = match opened {
                Ok((store, position)) => {
                    doubt = None;
                    let ended = self.follow(&store, position);
                    self.index.close();
                    match ended {
                        Ok(None) => return self.close(store),
                        Ok(reason) => {
                            doubt = reason;
                            continue;
                        }
                        Err(failure) => failure,
                    }
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Store(error) => {
                    tracing::warn!(%error, "the search index failed and is made anew; searches read the log meanwhile");
                    doubt = Some(error.to_string());
                }
                Failure::Log(error) => {
                    tracing::warn!(%error, "the search index does not go on for now; searches read the log meanwhile");
                }
            }
            if let Some(reason) = self.index.wait(PAUSE).suspect {
                doubt = Some(reason);
            }
        }
    }

    /// The map and how far it reflects the log: the one that is there if it can be believed, else an empty one.
    fn open(&self, doubt: Option<String>) -> Result<(Arc<dyn Store>, u64), Failure> {
        let disk = &*self.home.disk;
        disk.create_dir(&self.dir)
            .map_err(LogError::io("could not make", &self.dir))?;
        self.index.keys.sweep()?;
        let boot = boot_id();
        let state = State::read(disk, &self.dir);
        let doubt = match (&doubt, &state) {
            (Some(reason), _) => reason.clone(),
            (None, None) => "there is none".into(),
            (None, Some(state)) => match state.doubt(&self.home.id, &boot) {
                Some(reason) => reason.into(),
                None => match self.reopen(state.clone(), &boot) {
                    Ok(opened) => return Ok(opened),
                    Err(Failure::Store(error)) => error.to_string(),
                    Err(failure) => return Err(failure),
                },
            },
        };
        tracing::info!(reason = %doubt, "the search index is made anew in the background");
        // A map that was closed by a failure may still be held by a search; the new one has another name.
        for entry in std::fs::read_dir(&self.dir).map_err(LogError::io("could not list", &self.dir))? {
            let path = entry.map_err(LogError::io("could not list", &self.dir))?.path();
            if path.is_dir() {
                std::fs::remove_dir_all(&path).map_err(LogError::io("could not remove", &path))?;
            }
        }
        self.index.keys.forget_all()?;
        let mut state = State::fresh(&self.home.id);
        state.open = Some(boot);
        let path = self.dir.join(&state.db);
        state
            .write(disk, &self.dir)
            .map_err(LogError::io("could not write to", &self.dir))?;
        let store = SledStore::open(&path)?;
        self.index.stats.send_modify(|stats| {
            stats.rebuilds += 1;
            stats.position = 0;
        });
        Ok((Arc::new(store), 0))
    }

    fn reopen(&self, mut state: State, boot: &str) -> Result<(Arc<dyn Store>, u64), Failure> {
        let path = self.dir.join(&state.db);
        if !path.is_dir() {
            return Err(StoreError("its directory is missing".into()).into());
        }
        state.open = Some(boot.into());
        state
            .write(&*self.home.disk, &self.dir)
            .map_err(LogError::io("could not write to", &self.dir))?;
        let store = SledStore::open(&path)?;
        let position = self.check(&store)?;
        Ok((Arc::new(store), position))
    }

    /// Whether the map agrees with the log and the keys; then how far it reflects the log.
    fn check(&self, store: &dyn Store) -> Result<u64, Failure> {
        let unfit = |text: &str| Failure::Store(StoreError(text.into()));
        let meta = store.get(META)?.ok_or_else(|| unfit("it is empty"))?;
        let (position, leaf) = terms::parse_meta(&meta).ok_or_else(|| unfit("it has another format"))?;
        let reader = self.readers.reader();
        if position > reader.entries() {
            return Err(unfit("it is ahead of the log"));
        }
        if let Some(last) = position.checked_sub(1)
            && sha256(&reader.leaf_bytes(last)?) != leaf
        {
            return Err(unfit("it reflects another state of the log"));
        }
        let keys = self.index.keys.all()?;
        let names = self.home.disk.list(&self.home.layout.keys());
        let names = names.map_err(LogError::io("could not list", &self.home.layout.keys()))?;
        for (key, check) in store.page(b"k", b"k", usize::MAX)? {
            let (class, period, _) =
                terms::parse_check_key(&key).ok_or_else(|| unfit("a key is malformed"))?;
            let found = keys
                .iter()
                .find(|(of, _)| of.0 == period && of.1.as_str() == class);
            match found {
                Some((_, key)) if terms::key_check(key)[..] == check[..] => {}
                // Forgotten with its heads.
                None if !names.contains(&format!("head.{class}.{period:06}.key")) => {}
                Some(_) | None => return Err(unfit("one of its keys is not the one it was made with")),
            }
        }
        Ok(position)
    }

    /// Keeps up with the log until it is told to stop (`None`) or that the map cannot be believed (why).
    fn follow(&self, store: &Arc<dyn Store>, position: u64) -> Result<Option<String>, Failure> {
        let mut batch = Batch::resume(store, position)?;
        self.index.publish(store, position);
        loop {
            let mut reader = self.readers.reader();
            while batch.next < reader.entries() {
                // Nothing is written while the disk is about to be full: the log itself needs what is left.
                if self.index.is_stopping() || self.status.room().is_err() {
                    break;
                }
                let changes = batch.read(&mut reader, &self.index)?;
                store.apply(changes)?;
                self.index.publish(store, batch.next);
            }
            let orders = self.index.wait(TICK);
            match orders {
                _ if orders.stop => return Ok(None),
                _ if orders.suspect.is_some() => return Ok(orders.suspect),
                _ => {}
            }
        }
    }

    /// Marks a clean end. A crash in between leaves it marked as open.
    fn close(&self, store: Arc<dyn Store>) {
        let closed = store.sync().map(|()| drop(store));
        let state = State::read(&*self.home.disk, &self.dir);
        if let (Ok(()), Some(mut state)) = (closed, state) {
            state.open = None;
            if let Err(error) = state.write(&*self.home.disk, &self.dir) {
                tracing::warn!(%error, "the search index could not be closed cleanly and may be made anew");
            }
        }
    }
}
