//! Who comes in: a token becomes a visitor, with the scope that a handler asks for, or a refusal. Wrong tokens are counted by
//! address, answered late, and after some in a minute not at all; a right one is never held up by the wrong ones of others.

use std::collections::HashMap;
use std::marker::PhantomData;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;
use kontor_protocol::log::Leaf;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;

use super::Desk;
use super::problem::Problem;
use crate::listen::Connection;
use crate::messagelog::{AuditScope, Grant, MessageLog, Restriction, TokenError};

/// Wrong tokens of one address that are answered in a minute.
const ANSWERED: u32 = 10;
/// Seconds after which they are forgotten.
const WINDOW: i64 = 60;
/// Addresses that are counted apart; the others share one count.
const ADDRESSES: usize = 4096;
/// Answers that are held back at the same time.
const HELD: usize = 64;

/// A scope that a handler asks for, as a type.
pub(super) trait Needs: Send + Sync + 'static {
    const SCOPE: AuditScope;
}

/// See [`AuditScope::Tree`].
pub(super) struct Tree;
/// See [`AuditScope::Entries`].
pub(super) struct Entries;
/// See [`AuditScope::Content`].
pub(super) struct Content;

impl Needs for Tree {
    const SCOPE: AuditScope = AuditScope::Tree;
}

impl Needs for Content {
    const SCOPE: AuditScope = AuditScope::Content;
}

impl Needs for Entries {
    const SCOPE: AuditScope = AuditScope::Entries;
}

/// An auditor whose token is good now and reaches as far as `S`.
pub(super) struct Visitor<S> {
    grant: Grant,
    only: Restriction,
    needs: PhantomData<S>,
}

impl<S> Visitor<S> {
    pub(super) fn grant(&self) -> &Grant {
        &self.grant
    }

    /// Lets on whoever may see every entry: what shows many at once cannot leave some out.
    pub(super) fn unrestricted(&self) -> Result<(), Problem> {
        match self.only.is_none() {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "token_restricted",
                format!(
                    "the token is for some entries only ({}), and this shows all; ask for single ones under /entries",
                    self.grant.only.in_words()
                ),
            )),
        }
    }

    /// Lets on whoever may see this entry.
    pub(super) fn may_see(&self, leaf: &Leaf) -> Result<(), Problem> {
        match self.only.allows(leaf) {
            true => Ok(()),
            false => Err(Problem::new(
                StatusCode::FORBIDDEN,
                "entry_not_granted",
                format!(
                    "the token is for some entries only ({}), and entry {} is none of them",
                    self.grant.only.in_words(),
                    leaf.number
                ),
            )),
        }
    }

    /// Which entries may be seen.
    pub(super) fn only(&self) -> &Restriction {
        &self.only
    }
}

impl Visitor<Tree> {
    /// The same visitor, further in.
    pub(super) fn reaching<S: Needs>(self) -> Result<Visitor<S>, Problem> {
        reaches::<S>(&self.grant)?;
        Ok(Visitor {
            grant: self.grant,
            only: self.only,
            needs: PhantomData,
        })
    }
}

fn reaches<S: Needs>(grant: &Grant) -> Result<(), Problem> {
    if grant.scope >= S::SCOPE {
        return Ok(());
    }
    let detail = format!(
        "the token reaches as far as `{}`, this needs `{}`",
        grant.scope.name(),
        S::SCOPE.name()
    );
    Err(Problem::new(StatusCode::FORBIDDEN, "token_scope", detail))
}

impl<S: Needs> FromRequestParts<Arc<Desk>> for Visitor<S> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, desk: &Arc<Desk>) -> Result<Self, Problem> {
        let peer = parts.extensions.get::<Arc<Connection>>();
        let peer = peer.map_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED), |connection| {
            connection.peer.ip()
        });
        let shown = parts.headers.get(AUTHORIZATION).map(|value| {
            let token = value.to_str().ok().and_then(|text| text.split_once(' '));
            token
                .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
                .map_or("", |(_, token)| token.trim())
        });
        let grant = match shown {
            None => {
                let detail = "this needs a token: send it as `Authorization: Bearer TOKEN`; the operator of the node grants one with `kontor log auditor grant`";
                return Err(Problem::new(StatusCode::UNAUTHORIZED, "token_missing", detail));
            }
            Some(token) => desk.door.enter(&desk.log, token, peer).await?,
        };
        reaches::<S>(&grant)?;
        let only = grant.only.read().map_err(|error| {
            let detail = format!("{error}; ask the operator of the node for another token");
            Problem::new(StatusCode::FORBIDDEN, "token_restriction", detail)
        })?;
        Ok(Self {
            grant,
            only,
            needs: PhantomData,
        })
    }
}

/// Counts who knocks with the wrong token.
pub(super) struct Door {
    delay: Duration,
    held: Semaphore,
    failures: Mutex<HashMap<IpAddr, Failures>>,
    refused: Counter,
}

#[derive(Clone, Copy)]
struct Failures {
    since: i64,
    count: u32,
}

impl Door {
    pub(super) fn new(delay: Duration, registry: &mut Registry) -> Self {
        let refused = Counter::default();
        registry.register(
            "kontor_administration_refused_tokens",
            "Tokens that were unknown, expired or revoked",
            refused.clone(),
        );
        Self {
            delay,
            held: Semaphore::new(HELD),
            failures: Mutex::default(),
            refused,
        }
    }

    /// What the token is good for.
    pub(super) async fn enter(&self, log: &MessageLog, token: &str, peer: IpAddr) -> Result<Grant, Problem> {
        match log.auditor(token) {
            Ok(grant) => Ok(grant),
            Err(error) => Err(self.refuse(error, peer, log.now().secs()).await),
        }
    }

    async fn refuse(&self, error: TokenError, peer: IpAddr, now: i64) -> Problem {
        self.refused.inc();
        let (count, left) = self.count(peer, now);
        let Some(_place) = self.held.try_acquire().ok().filter(|_| count <= ANSWERED) else {
            if count == ANSWERED + 1 {
                tracing::warn!(client.addr = %peer, "many wrong tokens for auditors come from one address");
            }
            let detail = "too many wrong tokens came from this address; wait, then try with the right one";
            return Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_failures", detail)
                .retry_after(left);
        };
        tracing::info!(client.addr = %peer, code = error.code(), "an auditor's token was refused");
        tokio::time::sleep(self.delay).await;
        Problem::new(StatusCode::UNAUTHORIZED, error.code(), error.to_string())
    }

    /// How often this address failed in its minute, this time included, and the seconds that are left of that.
    fn count(&self, peer: IpAddr, now: i64) -> (u32, u32) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut who = neighbourhood(peer);
        if failures.len() >= ADDRESSES && !failures.contains_key(&who) {
            failures.retain(|_, kept| now - kept.since < WINDOW);
            if failures.len() >= ADDRESSES {
                who = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let kept = failures.entry(who).or_insert(Failures { since: now, count: 0 });
        if now - kept.since >= WINDOW || now < kept.since {
            *kept = Failures { since: now, count: 0 };
        }
        kept.count = kept.count.saturating_add(1);
        let left = (WINDOW - (now - kept.since)).clamp(1, WINDOW);
        (kept.count, u32::try_from(left).unwrap_or(1))
    }
}

/// One household has many addresses of version 6.
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_address_for_a_minute_and_memory_is_bounded() {
        let door = Door::new(Duration::ZERO, &mut Registry::default());
        let one: IpAddr = "192.0.2.1".parse().unwrap();
        for time in 1..=5 {
            assert_eq!(door.count(one, 1000).0, time);
        }
        assert_eq!(door.count("192.0.2.2".parse().unwrap(), 1000).0, 1);
        assert_eq!(door.count("::ffff:192.0.2.1".parse().unwrap(), 1059), (6, 1));
        assert_eq!(door.count(one, 1060), (1, 60));
        assert_eq!(door.count("2001:db8::1".parse().unwrap(), 1060).0, 1);
        assert_eq!(door.count("2001:db8::2".parse().unwrap(), 1060).0, 2);
        for host in 0..10_000_u32 {
            door.count(IpAddr::V4(host.to_be_bytes().into()), 1061);
        }
        assert!(door.failures.lock().unwrap().len() <= ADDRESSES + 1);
        assert!(
            door.count("203.0.113.9".parse().unwrap(), 1061).0 > 1000,
            "shared"
        );
    }
}
