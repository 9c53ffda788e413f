//! Who may hold how many connections to a port, and begin how many TLS handshakes: by address, before anything is computed for
//! it. Whoever has more is hung up on; whoever begins too fast waits.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZero;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Connections of one address at a time.
const CONNECTIONS: usize = 1024;
/// Handshakes that an address may begin each second in the long run, for each processor: about half of what one can do. A Java
/// security server opens a connection for every exchange.
const PER_SECOND: u32 = 500;
/// Seconds of them that it may begin at once.
const BURST: f64 = 2.0;
/// Time between two lines of log about an address that has too many connections.
const QUIET: Duration = Duration::from_secs(60);

/// See the module. Clones share it.
#[derive(Clone, Debug)]
pub struct Crowd {
    visitors: Arc<Mutex<HashMap<IpAddr, Visitor>>>,
    per_second: f64,
}

impl Default for Crowd {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
        Self::with(PER_SECOND * u32::try_from(processors).unwrap_or(1))
    }
}

#[derive(Debug)]
struct Visitor {
    connections: usize,
    /// Handshakes that it may begin now; below zero it owes them to time.
    handshakes: f64,
    at: Instant,
    /// When it was last said that it has too many connections.
    told: Option<Instant>,
}

/// An address has as many connections as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full {
    /// Whether that is still to be said: it is, once a minute, so that nobody fills a log by knocking.
    pub is_news: bool,
}

/// A connection of an address; it counts until this is dropped.
#[derive(Debug)]
pub struct Visit {
    crowd: Crowd,
    address: IpAddr,
    /// How long its handshake has to wait.
    pub wait: Duration,
}

impl Crowd {
    fn with(per_second: u32) -> Self {
        Self {
            visitors: Arc::default(),
            per_second: per_second.into(),
        }
    }

    fn visitors(&self) -> MutexGuard<'_, HashMap<IpAddr, Visitor>> {
        self.visitors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets an address in.
    ///
    /// # Errors
    /// It has as many connections as it may.
    pub fn enter(&self, address: IpAddr) -> Result<Visit, Full> {
        self.enter_at(address, Instant::now())
    }

    fn enter_at(&self, address: IpAddr, now: Instant) -> Result<Visit, Full> {
        // A listener of both versions sees those of version 4 inside one network of version 6.
        let address = match address.to_canonical() {
            IpAddr::V4(four) => IpAddr::from(four),
            // One host has many addresses of version 6.
            IpAddr::V6(six) => IpAddr::from((u128::from(six) >> 64 << 64).to_be_bytes()),
        };
        let mut visitors = self.visitors();
        let visitor = visitors.entry(address).or_insert_with(|| Visitor {
            connections: 0,
            handshakes: BURST * self.per_second,
            at: now,
            told: None,
        });
        if visitor.connections >= CONNECTIONS {
            let is_news = visitor
                .told
                .is_none_or(|told| now.saturating_duration_since(told) >= QUIET);
            if is_news {
                visitor.told = Some(now);
            }
            return Err(Full { is_news });
        }
        visitor.connections += 1;
        let passed = now.saturating_duration_since(visitor.at).as_secs_f64();
        visitor.handshakes =
            (visitor.handshakes + passed * self.per_second).min(BURST * self.per_second) - 1.0;
        visitor.at = now;
        let wait = Duration::from_secs_f64((-visitor.handshakes / self.per_second).max(0.0));
        Ok(Visit {
            crowd: self.clone(),
            address,
            wait,
        })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut visitors = self.crowd.visitors();
        let Some(visitor) = visitors.get_mut(&self.address) else {
            return;
        };
        visitor.connections -= 1;
        // Who has nothing here is remembered only while there is something to remember: as long as the table is small.
        if visitor.connections == 0 && visitors.len() > 4096 {
            visitors.remove(&self.address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [127, 0, 0, last].into()
    }

    #[test]
    fn an_address_has_so_many_connections_and_others_have_theirs() {
        let crowd = Crowd::default();
        let visits: Vec<_> = (0..CONNECTIONS)
            .map_while(|_| crowd.enter(address(1)).ok())
            .collect();
        assert_eq!(visits.len(), CONNECTIONS);
        assert!(crowd.enter(address(1)).is_err());
        assert!(crowd.enter(address(2)).is_ok());
        drop(visits);
        assert!(crowd.enter(address(1)).is_ok());
    }

    #[test]
    fn that_an_address_has_too_many_is_said_once_a_minute() {
        let (crowd, now) = (Crowd::default(), Instant::now());
        let _visits: Vec<_> = (0..CONNECTIONS)
            .map(|_| crowd.enter_at(address(1), now).unwrap())
            .collect();
        let is_news = |at| crowd.enter_at(address(1), at).unwrap_err().is_news;
        assert!(is_news(now));
        assert!(!is_news(now + QUIET / 2));
        assert!(is_news(now + QUIET));
    }

    #[test]
    fn addresses_of_version_4_are_told_apart_on_a_listener_of_both_versions() {
        let crowd = Crowd::default();
        let mapped = |last: u8| IpAddr::from(std::net::Ipv4Addr::new(127, 0, 0, last).to_ipv6_mapped());
        let visits: Vec<_> = (0..CONNECTIONS)
            .map_while(|_| crowd.enter(mapped(1)).ok())
            .collect();
        assert_eq!(visits.len(), CONNECTIONS);
        assert!(crowd.enter(address(1)).is_err(), "it is the same host");
        assert!(crowd.enter(mapped(2)).is_ok());
    }

    #[test]
    fn addresses_of_one_network_of_version_6_are_one() {
        let crowd = Crowd::default();
        let six = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        let visits: Vec<_> = (0..2000).map_while(|last| crowd.enter(six(last)).ok()).collect();
        assert_eq!(visits.len(), CONNECTIONS);
        assert!(
            crowd
                .enter(IpAddr::from([0x2001, 0xdb8, 0, 2, 0, 0, 0, 1]))
                .is_ok()
        );
    }

    #[test]
    fn who_begins_handshakes_too_fast_waits_and_who_waited_does_not() {
        let (crowd, now) = (Crowd::with(500), Instant::now());
        let mut longest = Duration::ZERO;
        for _ in 0..3000 {
            let visit = crowd.enter_at(address(1), now).unwrap();
            longest = longest.max(visit.wait);
        }
        assert_eq!(
            longest,
            Duration::from_secs(4),
            "2,000 more than at once, 500 a second"
        );
        assert_eq!(crowd.enter_at(address(2), now).unwrap().wait, Duration::ZERO);
        let later = now + Duration::from_secs(10);
        assert_eq!(crowd.enter_at(address(1), later).unwrap().wait, Duration::ZERO);
    }
}
