//! What new entries change in the map. Owns the parts of values that are not full yet: postings of the current block and
//! query ids of the current era; a value is written again with each batch that adds to it, and forgotten here when full.

use std::{
    collections::{BTreeMap, HashMap},
    ops::ControlFlow,
    sync::Arc,
};

use kontor_pki::crypto::sha256;
use kontor_protocol::log::{EntryKind, Leaf};

use super::{
    Index,
    builder::Failure,
    keys::Mark,
    queries::Queries,
    store::{Change, Store, StoreError},
    terms::{self, BLOCK, META, STRIDE, Term},
};
use crate::messagelog::{
    blob::{Evidence, Head},
    error::LogError,
    read::{Reader, StoredEntry},
};

/// Entries in a batch.
const BATCH: u64 = 8 * 1024;

/// Keys with their new values.
pub(super) type Changes = BTreeMap<Vec<u8>, Vec<u8>>;

/// What the next batch stands on.
pub(super) struct Batch {
    store: Arc<dyn Store>,
    pub(super) next: u64,
    queries: Queries,
    /// Numbers in the block that is not full yet, by the terms met so far.
    postings: HashMap<Term, Vec<u64>>,
    /// Terms of the leaves met in this block, by kind and names.
    terms: HashMap<Vec<u8>, Vec<Term>>,
    seconds: Option<(u64, u64)>,
    /// Where another process stopped in this block: what it wrote is loaded when its term is met.
    resumed: Option<u64>,
}

impl Batch {
    /// Goes on where the map says that it ends.
    pub(super) fn resume(store: &Arc<dyn Store>, position: u64) -> Result<Self, StoreError> {
        let mut batch = Self {
            store: Arc::clone(store),
            next: position,
            queries: Queries::resume(position),
            postings: HashMap::new(),
            terms: HashMap::new(),
            seconds: None,
            resumed: None,
        };
        if !position.is_multiple_of(BLOCK) {
            batch.resumed = Some(position);
            let value = store.get(&terms::time_key(terms::block(position)))?;
            batch.seconds = value.as_deref().and_then(terms::parse_pair);
        }
        Ok(batch)
    }

    fn load(&self, term: &Term, block: u32) -> Result<Vec<u64>, StoreError> {
        let Some(position) = self.resumed else {
            return Ok(Vec::new());
        };
        let value = self
            .store
            .get(&terms::posting_key(term, block))?
            .unwrap_or_default();
        let numbers = terms::numbers(u64::from(block) * BLOCK, &value);
        let mut numbers = numbers.ok_or_else(|| StoreError("a value is malformed".into()))?;
        // A batch that was not finished may have written more than the position says.
        numbers.retain(|number| *number < position);
        Ok(numbers)
    }

    /// Reads the next entries and says what they change, the position last.
    pub(super) fn read(&mut self, reader: &mut Reader, index: &Index) -> Result<Vec<Change>, Failure> {
        let (until, from) = (reader.entries().min(self.next + BATCH), self.next);
        let (mut changes, mut last, mut failed) = (Changes::new(), Vec::new(), None);
        reader.scan(from, &mut |reader, entry| {
            if entry.number >= until {
                return Ok(ControlFlow::Break(()));
            }
            match self.add(reader, entry, index, &mut changes) {
                Ok(()) => {}
                Err(Failure::Log(error)) => return Err(error),
                Err(Failure::Store(error)) => {
                    failed = Some(error);
                    return Ok(ControlFlow::Break(()));
                }
            }
            last.clear();
            last.extend_from_slice(entry.leaf_bytes());
            self.next = entry.number + 1;
            Ok(ControlFlow::Continue(()))
        })?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        self.end_block(&mut changes);
        self.queries.write(&mut changes);
        let mut changes: Vec<Change> = changes
            .into_iter()
            .map(|(key, value)| (key, Some(value)))
            .collect();
        if !last.is_empty() {
            changes.push((META.to_vec(), Some(terms::meta(self.next, &sha256(&last)))));
        }
        Ok(changes)
    }

    fn add(
        &mut self,
        reader: &mut Reader,
        entry: &StoredEntry,
        index: &Index,
        changes: &mut Changes,
    ) -> Result<(), Failure> {
        let (number, leaf) = (entry.number, reader.leaf(entry)?);
        let block = terms::block(number);
        if number.is_multiple_of(BLOCK) {
            self.end_block(changes);
            self.postings.clear();
            self.terms.clear();
            (self.seconds, self.resumed) = (None, None);
        }
        let names = [&[leaf.kind.code()], Leaf::names(entry.leaf_bytes())].concat();
        let known = self.terms.entry(names);
        for term in known.or_insert_with(|| terms::terms(leaf)).clone() {
            match self.postings.get_mut(&term) {
                Some(numbers) => numbers.push(number),
                None => {
                    let mut numbers = self.load(&term, block)?;
                    numbers.push(number);
                    self.postings.insert(term, numbers);
                }
            }
        }
        let (earliest, latest) = self.seconds.unwrap_or((leaf.second, leaf.second));
        self.seconds = Some((earliest.min(leaf.second), latest.max(leaf.second)));
        if number.is_multiple_of(STRIDE) {
            changes.insert(terms::place_key(number), terms::pair(entry.segment, entry.offset));
        }
        if let Some(class) = &leaf.retention.head {
            let period = (class.clone(), leaf.period);
            loop {
                let purges = index.keys.purges();
                let head = match reader.head(entry) {
                    // What is deleted cannot be found by what it said.
                    Ok(None) | Err(LogError::Forgotten { .. }) => break,
                    read => read?,
                };
                let Some(head) = head.as_ref().and_then(|head| Head::parse(head)) else {
                    break;
                };
                match index.keys.for_writing(&period, purges)? {
                    Mark::Under(key) => {
                        let store = &*self.store;
                        self.queries
                            .add(store, &period, &key, head.query_id, number, changes)?;
                    }
                    Mark::Gone => {}
                    Mark::ReadAgain => continue,
                }
                break;
            }
        }
        if leaf.kind == EntryKind::TimeStamp {
            match reader.evidence(entry) {
                Ok(evidence) => {
                    if let Some(Evidence { mut covered, .. }) = Evidence::parse(&evidence) {
                        covered.sort_unstable();
                        changes.insert(terms::stamp_key(number), terms::distances(0, &covered));
                    }
                }
                Err(LogError::Forgotten { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Puts what is known of the current block into the changes.
    fn end_block(&self, changes: &mut Changes) {
        let Some((earliest, latest)) = self.seconds else {
            return;
        };
        let block = terms::block(self.next.saturating_sub(1));
        changes.insert(terms::time_key(block), terms::pair(earliest, latest));
        for (term, numbers) in &self.postings {
            let first = u64::from(block) * BLOCK;
            changes.insert(terms::posting_key(term, block), terms::distances(first, numbers));
        }
    }
}
