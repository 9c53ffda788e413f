//! Index keys: one random key for each class of heads and month, in a file of its own beside the key trees, under which query
//! ids stand in the index. It is forgotten with the heads it belongs to, and then nobody can confirm a guess by the index.

use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use kontor_pki::{crypto, sealed::MasterKey};
use kontor_protocol::log::RetentionClass;
use zeroize::Zeroizing;

use crate::{
    disk,
    messagelog::{
        error::LogError,
        format::Cursor,
        identity::{Home, hex},
    },
};

const LIMIT: usize = 4096;

/// A retention class of heads and a month.
pub(crate) type KeyPeriod = (RetentionClass, u32);
pub(crate) type IndexKey = Arc<Zeroizing<[u8; 32]>>;
type Held = HashMap<KeyPeriod, IndexKey>;

/// Why a key cannot be used.
#[derive(Debug)]
pub(crate) enum KeyError {
    /// Its file is not what was written, as after a crash while it was forgotten: an index under it is made anew.
    Damaged(LogError),
    /// The disk; it is tried again.
    Disk(LogError),
}

/// Under what a query id is put into the index.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// The key of its month.
    Under(IndexKey),
    /// Nothing: the heads of the month are gone.
    Gone,
    /// Something was deleted since the head was read: it is to be read again.
    ReadAgain,
}

/// The index keys of a log, read when they are needed. Clones share them.
#[derive(Clone)]
pub(crate) struct IndexKeys {
    home: Home,
    master: Arc<MasterKey>,
    held: Arc<Mutex<Held>>,
}

fn file_name(period: &KeyPeriod) -> String {
    format!("index.{}.{:06}.key", period.0, period.1)
}

/// The key tree of the heads of a period.
fn head_name(period: &KeyPeriod) -> String {
    format!("head.{}.{:06}.key", period.0, period.1)
}

fn parse_name(name: &str) -> Option<KeyPeriod> {
    let rest = name.strip_prefix("index.")?.strip_suffix(".key")?;
    let (class, period) = rest.split_once('.')?;
    Some((class.parse().ok()?, period.parse().ok()?))
}

impl IndexKeys {
    pub(crate) fn new(home: Home, master: Arc<MasterKey>) -> Self {
        Self {
            home,
            master,
            held: Arc::default(),
        }
    }

    fn path(&self, period: &KeyPeriod) -> PathBuf {
        self.home.layout.keys().join(file_name(period))
    }

    fn label(&self, period: &KeyPeriod) -> String {
        format!(
            "kontor/log/index-key/1 {} {}",
            hex(&self.home.id),
            file_name(period)
        )
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn load(&self, held: &mut Held, period: &KeyPeriod) -> Result<Option<IndexKey>, KeyError> {
        if let Some(key) = held.get(period) {
            return Ok(Some(Arc::clone(key)));
        }
        let path = self.path(period);
        let sealed = match disk::read_all(&*self.home.disk, &path, LIMIT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(|error| KeyError::Disk(LogError::io("could not read", &path)(error)))?,
        };
        let damaged = |what| KeyError::Damaged(LogError::damaged(&path, what));
        let opened = self.master.open(&self.label(period), &sealed);
        let opened = opened.map_err(|_| damaged("it does not open with the unsealing key"))?;
        let mut cursor = Cursor(&opened);
        let key = (cursor.u8() == Some(1)).then(|| cursor.array());
        let key = key
            .flatten()
            .filter(|_| cursor.0.is_empty())
            .ok_or_else(|| damaged("its content is malformed"))?;
        let key: IndexKey = Arc::new(Zeroizing::new(key));
        held.insert(period.clone(), Arc::clone(&key));
        Ok(Some(key))
    }

    /// Names in the directory of keys.
    fn names(&self) -> Result<Vec<String>, LogError> {
        let dir = self.home.layout.keys();
        let names = self.home.disk.list(&dir);
        names.map_err(LogError::io("could not list", &dir))
    }

    /// Whether heads of a period can be read: their key tree is there.
    fn has_heads(&self, period: &KeyPeriod) -> Result<bool, LogError> {
        let path = self.home.layout.keys().join(head_name(period));
        match self.home.disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
            opened => opened
                .map(|_| true)
                .map_err(LogError::io("could not open", &path)),
        }
    }

    /// How many purges there were: asked before a head is read, and told to [`Self::for_writing`].
    pub(crate) fn purges(&self) -> u64 {
        self.home.purges.load(Ordering::Acquire)
    }

    /// The key under which the query id of a head is put into the index; made, and on disk, when it is the first of its
    /// period. `purges` is from before the head was read: what was deleted since gets no new mark.
    pub(crate) fn for_writing(&self, period: &KeyPeriod, purges: u64) -> Result<Mark, KeyError> {
        // Held until the key is on disk: a purge forgets the heads and is counted first, then waits here and finds the key.
        let mut held = self.held();
        if self.purges() != purges {
            return Ok(Mark::ReadAgain);
        }
        if let Some(key) = self.load(&mut held, period)? {
            return Ok(Mark::Under(key));
        }
        if !self.has_heads(period).map_err(KeyError::Disk)? {
            return Ok(Mark::Gone);
        }
        let key: IndexKey = Arc::new(Zeroizing::new(crypto::random()));
        let mut content = Zeroizing::new(vec![1]);
        content.extend_from_slice(&key[..]);
        let sealed = self.master.seal(&self.label(period), &content);
        let sealed = sealed.expect("log id and file name make one short line");
        let path = self.path(period);
        disk::replace(&*self.home.disk, &path, &sealed)
            .map_err(|error| KeyError::Disk(LogError::io("could not write", &path)(error)))?;
        held.insert(period.clone(), Arc::clone(&key));
        Ok(Mark::Under(key))
    }

    /// Every key there is, the oldest month first. One whose file is gone is not kept in memory either.
    pub(crate) fn all(&self) -> Result<BTreeMap<(u32, RetentionClass), IndexKey>, KeyError> {
        let names = self.names().map_err(KeyError::Disk)?;
        let periods: Vec<KeyPeriod> = names.iter().filter_map(|name| parse_name(name)).collect();
        let mut held = self.held();
        held.retain(|held, _| periods.contains(held));
        let mut keys = BTreeMap::new();
        for period in periods {
            if let Some(key) = self.load(&mut held, &period)? {
                keys.insert((period.1, period.0), key);
            }
        }
        Ok(keys)
    }

    /// Forgets the key of a period for good: its bytes are overwritten and its file goes.
    pub(crate) fn forget(&self, period: &KeyPeriod) -> Result<(), LogError> {
        let mut held = self.held();
        held.remove(period);
        let (path, disk) = (self.path(period), &self.home.disk);
        let failed = |error| LogError::io("could not forget", &path)(error);
        let file = match disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            opened => opened.map_err(failed)?,
        };
        let size = usize::try_from(file.len().map_err(failed)?)
            .unwrap_or(LIMIT)
            .min(LIMIT);
        file.write_at(0, &vec![0; size])
            .and_then(|()| file.sync_data())
            .and_then(|()| disk.remove(&path))
            .and_then(|()| disk.sync_dir(&self.home.layout.keys()))
            .map_err(failed)
    }

    /// Forgets every key: an index that is made anew stands under new ones, and what was in the old one under none.
    pub(crate) fn forget_all(&self) -> Result<(), LogError> {
        let names = self.names()?;
        names
            .iter()
            .filter_map(|name| parse_name(name))
            .try_for_each(|period| self.forget(&period))
    }

    /// Forgets keys whose heads are forgotten: a process may have ended between the two.
    pub(crate) fn sweep(&self) -> Result<(), LogError> {
        let names = self.names()?;
        for period in names.iter().filter_map(|name| parse_name(name)) {
            if !names.contains(&head_name(&period)) {
                self.forget(&period)?;
            }
        }
        Ok(())
    }
}
