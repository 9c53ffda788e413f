//! Query ids on their way into the map: the piece of each bucket that is not full yet, for the era that is being filled.

use std::collections::HashSet;

use super::{
    batch::Changes,
    keys::KeyPeriod,
    store::{Store, StoreError},
    terms::{self, ERA, PIECE},
};

/// See the module.
pub(super) struct Queries {
    era: u32,
    buckets: Vec<Bucket>,
    /// Whose keys the era names already.
    named: HashSet<KeyPeriod>,
    /// Where another process stopped in this era: what it wrote of a bucket is loaded when the bucket is met.
    resumed: Option<u64>,
}

#[derive(Default)]
struct Bucket {
    loaded: bool,
    changed: bool,
    piece: u16,
    value: Vec<u8>,
}

fn buckets() -> Vec<Bucket> {
    (0..=u8::MAX).map(|_| Bucket::default()).collect()
}

impl Queries {
    /// Goes on at a position.
    pub(super) fn resume(position: u64) -> Self {
        Self {
            era: terms::era(position),
            buckets: buckets(),
            named: HashSet::new(),
            resumed: (!position.is_multiple_of(ERA)).then_some(position),
        }
    }

    /// Adds the query id of an entry.
    pub(super) fn add(
        &mut self,
        store: &dyn Store,
        period: &KeyPeriod,
        key: &[u8; 32],
        query_id: &str,
        number: u64,
        changes: &mut Changes,
    ) -> Result<(), StoreError> {
        if terms::era(number) != self.era {
            self.write(changes);
            *self = Self::resume(u64::from(terms::era(number)) * ERA);
        }
        if !self.named.contains(period) {
            let check = terms::check_key(period.0.as_str(), period.1, self.era);
            changes.insert(check, terms::key_check(key).to_vec());
            self.named.insert(period.clone());
        }
        let (at, mark) = terms::query_mark(key, query_id);
        let bucket = &mut self.buckets[usize::from(at)];
        if let Some(position) = self.resumed.filter(|_| !bucket.loaded) {
            bucket.load(store, self.era, at, position)?;
        }
        if bucket.value.len() >= PIECE {
            bucket.write(self.era, at, changes);
            bucket.piece += 1;
            bucket.value.clear();
        }
        terms::add_to_piece(&mut bucket.value, &mark, number);
        (bucket.loaded, bucket.changed) = (true, true);
        Ok(())
    }

    /// Puts what was added since into the changes.
    pub(super) fn write(&mut self, changes: &mut Changes) {
        for (bucket, at) in self.buckets.iter_mut().zip(0..=u8::MAX) {
            bucket.write(self.era, at, changes);
        }
    }
}

impl Bucket {
    fn write(&mut self, era: u32, at: u8, changes: &mut Changes) {
        if std::mem::take(&mut self.changed) {
            changes.insert(terms::piece_key(era, at, self.piece), self.value.clone());
        }
    }

    /// What the map holds of numbers below a position. A batch that was not finished may have written more: it is written
    /// over.
    fn load(&mut self, store: &dyn Store, era: u32, at: u8, position: u64) -> Result<(), StoreError> {
        loop {
            let value = store.get(&terms::piece_key(era, at, self.piece))?;
            let Some(value) = value else {
                return Ok(());
            };
            let items = terms::piece_items(era, &value);
            let items = items.ok_or_else(|| StoreError("a value is malformed".into()))?;
            self.value.clear();
            for (mark, number) in items.filter(|item| item.1 < position) {
                terms::add_to_piece(&mut self.value, mark, number);
            }
            if self.value.len() < PIECE {
                return Ok(());
            }
            self.piece += 1;
            self.value.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::messagelog::index::store::MemoryStore;

    const KEY: [u8; 32] = [9; 32];

    fn found(store: &MemoryStore, query_id: &str, position: u64) -> Vec<u64> {
        let (bucket, mark) = terms::query_mark(&KEY, query_id);
        let mut found = Vec::new();
        for era in 0..=terms::era(position) {
            let prefix = terms::bucket_prefix(era, bucket);
            for (_, value) in store.page(&prefix, &prefix, usize::MAX).unwrap() {
                let items = terms::piece_items(era, &value).unwrap();
                found.extend(
                    items
                        .filter(|item| *item.0 == mark && item.1 < position)
                        .map(|item| item.1),
                );
            }
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]
        /// A process ends after any part of what a batch changes, the position not written; the next reads the same again.
        #[test]
        fn whatever_was_cut_off_each_id_is_found_where_it_stands(
            steps in proptest::collection::vec(1..150_u64, 1..40),
            batches in proptest::collection::vec((1..900_usize, 0..3_u8, any::<prop::sample::Index>()), 1..20),
        ) {
            let numbers = steps.iter().cycle().scan(0, |next, step| { *next += step; Some(*next) });
            let entries: Vec<(String, u64)> = numbers
                .take(batches.iter().map(|batch| batch.0).sum())
                .map(|number| (format!("query-{}", number % 5), number))
                .collect();
            let period: KeyPeriod = ("case".parse().unwrap(), 203_001);
            let (store, mut done, mut position) = (MemoryStore::default(), 0, 0);
            let mut queries = Queries::resume(position);
            for (count, end, cut) in batches {
                let mut changes = Changes::new();
                for (query_id, number) in &entries[done..done + count] {
                    queries.add(&store, &period, &KEY, query_id, *number, &mut changes).unwrap();
                }
                queries.write(&mut changes);
                let mut changes: Vec<_> = changes.into_iter().map(|(key, value)| (key, Some(value))).collect();
                if end == 0 {
                    changes.truncate(cut.index(changes.len() + 1));
                } else {
                    done += count;
                    position = entries[done - 1].1 + 1;
                }
                store.apply(changes).unwrap();
                if end < 2 {
                    queries = Queries::resume(position);
                }
                for id in 0..5 {
                    let query_id = format!("query-{id}");
                    let here = entries[..done].iter().filter(|(id, _)| *id == query_id).map(|(_, number)| *number);
                    prop_assert_eq!(found(&store, &query_id, position), here.collect::<Vec<_>>());
                }
            }
            let eras: BTreeSet<_> = entries[..done].iter().map(|(_, number)| terms::era(*number)).collect();
            for era in eras {
                prop_assert!(store.get(&terms::check_key("case", 203_001, era)).unwrap().is_some());
            }
        }
    }
}
