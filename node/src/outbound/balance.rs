//! Which address of a provider's servers is asked first: the less loaded of two that are drawn, by exchanges under way and by
//! how long answers took lately; addresses that failed come last for a while.
//!
//! Slow answers count at once and are forgotten over seconds, so that a server that recovers is asked again.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kontor_pki::crypto::random;

/// After this time about a third is left of what a slow answer counted.
const DECAY: Duration = Duration::from_secs(10);
/// Seconds that an answer takes where nothing is known; below them differences do not matter, and servers share the calls.
const FLOOR: f64 = 0.025;
/// An address that failed is set back for a second, then two, four, up to this.
const SET_BACK: Duration = Duration::from_secs(60);
/// Addresses that are remembered; those without use for [`FORGOTTEN`] go first.
const REMEMBERED: usize = 10_000;
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What is known of the addresses.
#[derive(Clone, Debug, Default)]
pub(super) struct Balance(Arc<Mutex<HashMap<SocketAddr, Place>>>);

#[derive(Clone, Copy, Debug)]
struct Place {
    under_way: u32,
    /// Seconds that answers took, as of `seen`.
    seconds: f64,
    seen: Instant,
    failures: u32,
    set_back: Option<Instant>,
}

impl Place {
    fn new(now: Instant) -> Self {
        Self {
            under_way: 0,
            seconds: 0.0,
            seen: now,
            failures: 0,
            set_back: None,
        }
    }

    fn seconds(&self, now: Instant) -> f64 {
        let age = now.saturating_duration_since(self.seen).as_secs_f64();
        self.seconds * (-age / DECAY.as_secs_f64()).exp()
    }

    fn load(&self, now: Instant) -> f64 {
        self.seconds(now).max(FLOOR) * f64::from(self.under_way + 1)
    }

    fn waits(&self, now: Instant) -> Option<Instant> {
        self.set_back.filter(|until| *until > now)
    }
}

/// An exchange under way with an address.
#[derive(Debug)]
pub(super) struct UnderWay {
    balance: Balance,
    address: SocketAddr,
    since: Instant,
}

impl Balance {
    fn places(&self) -> MutexGuard<'_, HashMap<SocketAddr, Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The addresses in the order in which to try them.
    pub(super) fn in_turn(&self, addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        match addresses.len() {
            0 | 1 => addresses,
            _ => self.drawn(addresses, Instant::now(), random()),
        }
    }

    fn drawn(&self, mut addresses: Vec<SocketAddr>, now: Instant, draw: [u8; 16]) -> Vec<SocketAddr> {
        let places = self.places();
        let known = |address: &SocketAddr| places.get(address).copied().unwrap_or_else(|| Place::new(now));
        let waits = |address: &SocketAddr| known(address).waits(now);
        // Those that wait stand behind, the one whose turn comes soonest first.
        addresses.sort_by_key(waits);
        let ready = addresses.partition_point(|address| waits(address).is_none());
        let (one, other) = draw.split_at(8);
        let drawn = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap_or_default());
        let place = |bytes: &[u8], of: usize| usize::try_from(drawn(bytes) % of as u64).unwrap_or_default();
        if ready > 1 {
            addresses[..ready].rotate_left(place(one, ready));
            let other = 1 + place(other, ready - 1);
            if known(&addresses[other]).load(now) < known(&addresses[0]).load(now) {
                addresses.swap(0, other);
            }
        }
        addresses
    }

    /// Notes that an exchange with an address begins.
    pub(super) fn begin(&self, address: SocketAddr) -> UnderWay {
        let now = Instant::now();
        let mut places = self.places();
        if places.len() >= REMEMBERED {
            places.retain(|_, place| place.under_way > 0 || now.duration_since(place.seen) < FORGOTTEN);
        }
        places.entry(address).or_insert_with(|| Place::new(now)).under_way += 1;
        UnderWay {
            balance: self.clone(),
            address,
            since: now,
        }
    }

    /// Notes that an address cannot be used.
    pub(super) fn failed(&self, address: SocketAddr) {
        let now = Instant::now();
        let mut places = self.places();
        let place = places.entry(address).or_insert_with(|| Place::new(now));
        place.failures += 1;
        let wait = Duration::from_secs(1 << (place.failures - 1).min(16)).min(SET_BACK);
        place.set_back = Some(now + wait);
        place.seen = now;
    }

    fn answered(&self, address: SocketAddr, took: Duration) {
        let now = Instant::now();
        let mut places = self.places();
        let place = places.entry(address).or_insert_with(|| Place::new(now));
        let before = place.seconds(now);
        let took = took.as_secs_f64();
        // A slow answer counts as it is, a fast one a little.
        place.seconds = if took > before {
            took
        } else {
            before * 0.9 + took * 0.1
        };
        place.seen = now;
        place.failures = 0;
        place.set_back = None;
    }
}

impl UnderWay {
    /// The link stands: what comes now is the peer's time.
    pub(super) fn linked(&mut self) {
        self.since = Instant::now();
    }

    /// Notes that the peer began to answer.
    pub(super) fn answered(&self) {
        self.balance.answered(self.address, self.since.elapsed());
    }

    /// Notes that the connection broke before there was an answer.
    pub(super) fn failed(&self) {
        self.balance.failed(self.address);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(place) = self.balance.places().get_mut(&self.address) {
            place.under_way = place.under_way.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(number: u8) -> SocketAddr {
        ([127, 0, 0, number], 5500).into()
    }

    fn first(balance: &Balance, addresses: &[SocketAddr], draw: [u8; 16]) -> SocketAddr {
        balance.drawn(addresses.to_vec(), Instant::now(), draw)[0]
    }

    #[test]
    fn of_two_the_one_with_less_under_way_is_asked() {
        let (balance, both) = (Balance::default(), [address(1), address(2)]);
        let busy = balance.begin(address(1));
        for draw in 0..=255 {
            assert_eq!(first(&balance, &both, [draw; 16]), address(2));
        }
        drop(busy);
        let drawn = |draw| first(&balance, &both, [draw; 16]);
        assert_ne!(drawn(0), drawn(1), "without a difference it is drawn");
    }

    #[test]
    fn slow_answers_count_at_once_and_are_forgotten() {
        let (balance, both) = (Balance::default(), vec![address(1), address(2)]);
        balance.answered(address(1), Duration::from_secs(2));
        assert_eq!(first(&balance, &both, [0; 16]), address(2));
        // Others may be under way by the time it is asked again.
        let _busy: Vec<_> = (0..10).map(|_| balance.begin(address(2))).collect();
        let later = Instant::now() + 20 * DECAY;
        assert_eq!(balance.drawn(both, later, [0; 16])[0], address(1));
    }

    #[test]
    fn an_address_that_failed_comes_last_until_its_time_is_over_and_first_it_waits_a_second() {
        let (balance, both) = (Balance::default(), vec![address(1), address(2)]);
        balance.failed(address(1));
        for draw in 0..=255 {
            assert_eq!(first(&balance, &both, [draw; 16]), address(2));
        }
        let soon = Instant::now() + Duration::from_millis(1100);
        let firsts: Vec<_> = (0..2)
            .map(|draw| balance.drawn(both.clone(), soon, [draw; 16])[0])
            .collect();
        assert!(firsts.contains(&address(1)), "{firsts:?}");
        balance.failed(address(1));
        assert_eq!(
            balance.drawn(both.clone(), soon, [0; 16])[0],
            address(2),
            "two seconds now"
        );
        balance.answered(address(1), Duration::from_millis(1));
        let firsts: Vec<_> = (0..2).map(|draw| first(&balance, &both, [draw; 16])).collect();
        assert!(firsts.contains(&address(1)), "an answer ends it");
    }

    #[test]
    fn when_all_failed_the_one_whose_turn_comes_first_is_tried() {
        let (balance, both) = (Balance::default(), [address(1), address(2)]);
        balance.failed(address(1));
        balance.failed(address(1));
        balance.failed(address(2));
        assert_eq!(first(&balance, &both, [7; 16]), address(2));
    }

    proptest! {
        #[test]
        fn every_address_stands_in_the_order_once_and_healthy_ones_first(
            failed in proptest::collection::vec(0..20_u8, 0..20),
            busy in proptest::collection::vec(0..20_u8, 0..40),
            count in 1..20_u8,
            draw in any::<[u8; 16]>(),
        ) {
            let balance = Balance::default();
            failed.iter().for_each(|number| balance.failed(address(*number)));
            let _busy: Vec<_> = busy.iter().map(|number| balance.begin(address(*number))).collect();
            let all: Vec<_> = (0..count).map(address).collect();
            let order = balance.drawn(all.clone(), Instant::now(), draw);
            let mut sorted = order.clone();
            sorted.sort();
            prop_assert_eq!(sorted, all);
            let is_failed = |one: &SocketAddr| failed.iter().any(|number| address(*number) == *one);
            let first_failed = order.iter().position(is_failed).unwrap_or(order.len());
            prop_assert!(order[first_failed..].iter().all(is_failed));
        }
    }
}
