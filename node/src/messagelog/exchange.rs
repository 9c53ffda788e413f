//! Exchanges without an answer yet. The writer knows each request that was recorded and not answered; whatever way its
//! exchange ends, by answer, by fault, by a dropped task or by a crash, one entry closes it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::mpsc;

use super::{
    format::{Cursor, length},
    queue::Work,
};

/// Fault code of an exchange that the process did not live to finish.
pub const INTERRUPTED: &str = "internal_error.interrupted";
/// Fault code of an exchange whose task ended without saying why.
pub const ABANDONED: &str = "internal_error.abandoned";

/// The leaf of each request that waits, by number.
pub(crate) type OpenRequests = BTreeMap<u64, Vec<u8>>;

/// Writes the first record of a segment.
pub(crate) fn encode_open(open: &OpenRequests) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, leaf) in open {
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&length(leaf.len()).to_be_bytes());
        bytes.extend_from_slice(leaf);
    }
    bytes
}

pub(crate) fn parse_open(bytes: &[u8]) -> Option<OpenRequests> {
    let (mut cursor, mut open) = (Cursor(bytes), OpenRequests::new());
    while !cursor.0.is_empty() {
        open.insert(cursor.u64()?, cursor.counted()?.to_vec());
    }
    Some(open)
}

/// Requests whose exchange ended without an answer and whose closure nobody waits for.
#[derive(Clone, Default)]
pub(crate) struct Abandoned(Arc<Mutex<Vec<(u64, String)>>>);

impl Abandoned {
    pub(crate) fn take(&self) -> Vec<(u64, String)> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn push(&self, request: u64, fault: String) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((request, fault));
    }
}

/// Holds an exchange open. When it is dropped and no answer was recorded, a failure closure is: with the code that was set, or
/// [`ABANDONED`]. After an answer dropping it does nothing.
#[must_use = "dropping it closes the exchange"]
pub struct OpenExchange {
    pub(crate) request: u64,
    pub(crate) fault: String,
    pub(crate) abandoned: Abandoned,
    pub(crate) queue: mpsc::Sender<Work>,
}

impl OpenExchange {
    /// Number of the request's entry, which the answer cites.
    pub fn request(&self) -> u64 {
        self.request
    }

    /// Sets the fault code that the closure will name.
    pub fn failed(&mut self, code: impl Into<String>) {
        self.fault = code.into();
    }
}

impl Drop for OpenExchange {
    fn drop(&mut self) {
        self.abandoned.push(self.request, std::mem::take(&mut self.fault));
        // A full queue means the writer is awake and will look.
        let _ = self.queue.try_send(Work::Wake);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn open_requests_survive_a_round_trip(
            open in proptest::collection::btree_map(any::<u64>(), proptest::collection::vec(any::<u8>(), 0..50), 0..10),
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            prop_assert_eq!(parse_open(&encode_open(&open)), Some(open));
            let _ = parse_open(&bytes);
        }
    }
}
