//! How many exchanges are under way at once: in all, and for each client or peer, so that one of them cannot take the places of
//! the others. Whoever finds none waits for a while and is told to come again.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Those that are counted apart; beyond, whoever has nothing under way is forgotten.
const COUNTED: usize = 4096;

/// Places by who has them.
#[derive(Debug)]
pub struct Admission<K> {
    all: Arc<Semaphore>,
    each: usize,
    places: Mutex<HashMap<K, Arc<Semaphore>>>,
}

/// A place, given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    _of_each: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl<K: Clone + Eq + Hash> Admission<K> {
    /// So many places in all, and for each.
    pub fn new(all: usize, each: usize) -> Self {
        Self {
            all: Arc::new(Semaphore::new(all)),
            each,
            places: Mutex::default(),
        }
    }

    /// A place, if one becomes free in time.
    pub async fn enter(&self, who: &K, patience: Duration) -> Option<Place> {
        let own = self.own(who);
        let entering = async {
            // The own one first: who waits for it takes nothing from the others.
            let _of_each = own.acquire_owned().await.ok()?;
            let _of_all = self.all.clone().acquire_owned().await.ok()?;
            Some(Place { _of_each, _of_all })
        };
        tokio::time::timeout(patience, entering).await.ok().flatten()
    }

    fn own(&self, who: &K) -> Arc<Semaphore> {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= COUNTED && !places.contains_key(who) {
            // Held by nobody but this table: nothing is under way and nobody waits.
            places.retain(|_, own| Arc::strong_count(own) > 1);
        }
        let made = || Arc::new(Semaphore::new(self.each));
        places.entry(who.clone()).or_insert_with(made).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn one_cannot_take_the_places_of_others() {
        let admission = Admission::new(4, 2);
        let one = admission.enter(&1, NOW).await.unwrap();
        let _two = admission.enter(&1, NOW).await.unwrap();
        assert!(admission.enter(&1, NOW).await.is_none(), "its own are taken");
        let _other = admission.enter(&2, NOW).await.unwrap();
        let _third = admission.enter(&3, NOW).await.unwrap();
        assert!(admission.enter(&4, NOW).await.is_none(), "all are taken");
        drop(one);
        assert!(admission.enter(&4, NOW).await.is_some());
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_is_given_back() {
        let admission = Arc::new(Admission::new(1, 1));
        let place = admission.enter(&1, NOW).await.unwrap();
        let waiting = admission.clone();
        let waiting = tokio::spawn(async move { waiting.enter(&1, Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        drop(place);
        assert!(waiting.await.unwrap().is_some());
    }

    #[tokio::test]
    async fn those_with_nothing_under_way_are_forgotten_and_the_others_are_not() {
        let admission = Admission::new(10, 1);
        let _place = admission.enter(&0, NOW).await.unwrap();
        for who in 1..=COUNTED {
            drop(admission.enter(&who, NOW).await.unwrap());
        }
        assert!(admission.places.lock().unwrap().len() < 10);
        assert!(admission.enter(&0, NOW).await.is_none(), "it still has its place");
    }
}
