//! The search index: query ids, parties, kinds and times to entry numbers, kept in sled beside the log. It holds nothing
//! that the log does not: it says how far it reflects it, each hit is checked against the entry it points to, and it is
//! made anew when it is missing, damaged, ahead of the log, or was open when the machine ended.
//!
//! A query id stands in it only as HMAC under a key that is forgotten with the heads of its month; a request id never does.
//! One thread brings it up to the log, in batches, apart from what appends. Until it has, readers search the rest by reading.

mod batch;
mod builder;
mod keys;
mod queries;
mod state;
mod store;
mod terms;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use builder::IndexThread;
pub(crate) use keys::IndexKeys;
pub(crate) use terms::{BLOCK, Field, Term, block, term, terms};
pub(crate) use view::{View, ViewError};

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kontor_protocol::log::RetentionClass;
use tokio::sync::watch;

use super::error::LogError;
use store::Store;

/// How the index stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Entries that it reflects: all below this number.
    pub position: u64,
    /// How often it was made anew since the log was opened.
    pub rebuilds: u64,
    /// Whether it can be searched.
    pub open: bool,
}

/// What the thread is told.
#[derive(Default)]
struct Orders {
    stop: bool,
    wake: bool,
    /// Why what it has cannot be believed.
    suspect: Option<String>,
}

/// See the module. Clones share it; none keeps the log open.
#[derive(Clone)]
pub(crate) struct Index {
    keys: IndexKeys,
    store: Arc<Mutex<Option<Arc<dyn Store>>>>,
    orders: Arc<(Mutex<Orders>, Condvar)>,
    stats: Arc<watch::Sender<IndexStats>>,
}

impl Index {
    /// An index that is not open yet.
    pub(crate) fn new(keys: IndexKeys) -> Self {
        Self {
            keys,
            store: Arc::default(),
            orders: Arc::default(),
            stats: Arc::default(),
        }
    }

    pub(crate) fn stats(&self) -> IndexStats {
        *self.stats.borrow()
    }

    /// Changes of [`Index::stats`].
    #[cfg(test)]
    pub(crate) fn watch(&self) -> watch::Receiver<IndexStats> {
        self.stats.subscribe()
    }

    /// What can be searched now.
    pub(crate) fn view(&self) -> Option<View> {
        // The position first: what is written after it is beyond it.
        let stats = self.stats();
        let store = self.store().clone()?;
        stats.open.then(|| View {
            store,
            keys: self.keys.clone(),
            position: stats.position,
        })
    }

    /// Has the index made anew: a hit did not agree with its entry.
    pub(crate) fn suspect(&self, reason: &str) {
        self.close();
        let mut orders = self.orders();
        orders.suspect.get_or_insert_with(|| reason.to_owned());
        self.orders.1.notify_all();
    }

    /// Has the thread look for new entries at once.
    #[cfg(test)]
    pub(crate) fn wake(&self) {
        self.orders().wake = true;
        self.orders.1.notify_all();
    }

    /// Forgets the index key of a class of heads and a month, after heads of it were forgotten. When that was not the
    /// whole month the index is made anew under another key, because others are still to be found.
    pub(crate) fn forget(
        &self,
        class: &RetentionClass,
        period: u32,
        whole_month: bool,
    ) -> Result<(), LogError> {
        self.keys.forget(&(class.clone(), period))?;
        if !whole_month {
            self.suspect("heads of a month were forgotten");
        }
        Ok(())
    }

    fn store(&self) -> MutexGuard<'_, Option<Arc<dyn Store>>> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.stats.send_modify(|stats| stats.open = false);
        *self.store() = None;
    }

    fn publish(&self, store: &Arc<dyn Store>, position: u64) {
        *self.store() = Some(Arc::clone(store));
        self.stats.send_modify(|stats| {
            stats.position = position;
            stats.open = true;
        });
    }

    /// Waits until there may be work; gives what was ordered.
    fn wait(&self, at_most: Duration) -> Orders {
        let orders = self.orders();
        let idle = |orders: &mut Orders| !orders.stop && !orders.wake && orders.suspect.is_none();
        let (mut orders, _) = self
            .orders
            .1
            .wait_timeout_while(orders, at_most, idle)
            .unwrap_or_else(PoisonError::into_inner);
        Orders {
            stop: orders.stop,
            wake: std::mem::take(&mut orders.wake),
            suspect: orders.suspect.take(),
        }
    }

    fn is_stopping(&self) -> bool {
        self.orders().stop
    }
}
