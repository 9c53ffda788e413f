//! Questions to an index that is open. Answers are candidates: whoever asks checks each against its entry.

use std::sync::Arc;

use super::{
    keys::{IndexKeys, KeyError},
    store::{Page, Store, StoreError},
    terms::{self, BLOCK, STRIDE, Term},
};
use crate::messagelog::error::LogError;

/// Keys read at once.
const PAGE: usize = 1024;

/// Why the index gave no answer.
#[derive(Debug)]
pub(crate) enum ViewError {
    /// The map failed, or holds what nobody put there.
    Store(StoreError),
    /// A key could not be read.
    Log(LogError),
}

impl From<StoreError> for ViewError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<KeyError> for ViewError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Damaged(error) => Self::Store(StoreError(error.to_string())),
            KeyError::Disk(error) => Self::Log(error),
        }
    }
}

fn malformed() -> ViewError {
    ViewError::Store(StoreError("a value is malformed".into()))
}

/// See the module.
pub(crate) struct View {
    pub(super) store: Arc<dyn Store>,
    pub(super) keys: IndexKeys,
    pub(super) position: u64,
}

impl View {
    /// How many entries it reflects: all below this number.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Numbers of the entries with a query id, ascending, from `from` on.
    pub(crate) fn query(&self, query_id: &str, from: u64) -> Result<Vec<u64>, ViewError> {
        let mut found = Vec::new();
        for ((period, class), key) in self.keys.all()? {
            let (bucket, mark) = terms::query_mark(&key, query_id);
            for era in self.eras(class.as_str(), period, terms::era(from))? {
                for (_, value) in self.pages(&terms::bucket_prefix(era, bucket))? {
                    let items = terms::piece_items(era, &value).ok_or_else(malformed)?;
                    found.extend(items.filter(|item| *item.0 == mark).map(|item| item.1));
                }
            }
        }
        found.retain(|number| (from..self.position).contains(number));
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// In which eras there are query ids under the key of a class and period, from an era on.
    fn eras(&self, class: &str, period: u32, from: u32) -> Result<Vec<u32>, ViewError> {
        let pages = self.pages(&terms::check_prefix(class, period))?;
        let eras = pages.iter().map(|(key, _)| {
            let (_, _, era) = terms::parse_check_key(key).ok_or_else(malformed)?;
            Ok(era)
        });
        let eras: Result<Vec<u32>, ViewError> = eras.collect();
        Ok(eras?.into_iter().filter(|era| *era >= from).collect())
    }

    /// Everything below a prefix.
    fn pages(&self, prefix: &[u8]) -> Result<Page, ViewError> {
        let (mut all, mut start) = (Page::new(), prefix.to_vec());
        loop {
            let mut page = self.store.page(prefix, &start, PAGE)?;
            let more = page.len() == PAGE;
            if let Some((last, _)) = page.last() {
                start.clone_from(last);
                start.push(0);
            }
            all.append(&mut page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Numbers in a block that have all these terms, ascending.
    pub(crate) fn block(&self, block: u32, terms: &[Term]) -> Result<Vec<u64>, ViewError> {
        let first = u64::from(block) * BLOCK;
        let mut found: Option<Vec<u64>> = None;
        for term in terms {
            let value = self
                .store
                .get(&terms::posting_key(term, block))?
                .unwrap_or_default();
            let numbers = terms::numbers(first, &value).ok_or_else(malformed)?;
            match &mut found {
                Some(found) => found.retain(|number| numbers.binary_search(number).is_ok()),
                none => *none = Some(numbers),
            }
            if found.as_ref().is_some_and(Vec::is_empty) {
                break;
            }
        }
        let mut found = found.unwrap_or_else(|| (first..first + BLOCK).collect());
        found.retain(|number| *number < self.position);
        Ok(found)
    }

    /// Earliest and latest second in a block.
    pub(crate) fn seconds(&self, block: u32) -> Result<(u64, u64), ViewError> {
        let value = self.store.get(&terms::time_key(block))?;
        terms::parse_pair(&value.ok_or_else(malformed)?).ok_or_else(malformed)
    }

    /// A segment and an offset in it at or before the record of an entry, with the number of the entry there. A hint: a
    /// purge may have moved it since.
    pub(crate) fn place(&self, number: u64) -> Option<(u64, u64)> {
        if number >= self.position {
            return None;
        }
        terms::parse_pair(
            &self
                .store
                .get(&terms::place_key(number / STRIDE * STRIDE))
                .ok()??,
        )
    }

    /// The first time-stamp entry that covers an entry, among those that the index reflects.
    pub(crate) fn stamp_of(&self, number: u64) -> Result<Option<u64>, ViewError> {
        let mut start = terms::stamp_key(number.saturating_add(1));
        loop {
            // A token follows what it covers soon.
            let page = self.store.page(b"z", &start, 16)?;
            for (key, covered) in &page {
                let stamp = terms::number_of(key).ok_or_else(malformed)?;
                if stamp >= self.position {
                    return Ok(None);
                }
                if terms::numbers(0, covered)
                    .ok_or_else(malformed)?
                    .binary_search(&number)
                    .is_ok()
                {
                    return Ok(Some(stamp));
                }
                start.clone_from(key);
            }
            if page.is_empty() {
                return Ok(None);
            }
            start.push(0);
        }
    }
}
