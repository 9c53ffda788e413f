//! How often a member may ask the service that nodes serve each other. Every question is signed, recorded and answered from
//! the log, so nobody may ask without end: a bucket for each member and each kind of question, filled at a fixed rate.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kontor_pki::time::UnixTime;
use kontor_protocol::id::MemberId;

/// Members that are counted at a time. Those whose buckets are full again are forgotten first.
const MEMBERS: usize = 8192;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Question {
    /// Anything at all, before it is taken in: what is beyond leaves no entry.
    Any,
    /// A key, a checkpoint, a co-signature: little work.
    Small,
    /// What a provider offers; who keeps a catalogue asks for every provider at once.
    Methods,
    /// A page of an account or a proof over the log: much work.
    Page,
}

impl Question {
    /// How many at once, and how many a second in the long run.
    const fn rate(self) -> (u64, u64) {
        match self {
            Self::Any => (150, 6),
            Self::Small => (60, 1),
            Self::Methods => (600, 20),
            Self::Page => (60, 4),
        }
    }
}

/// Whole questions are counted in thousandths, so that a millisecond fills in whole numbers.
const WHOLE: u64 = 1000;

#[derive(Debug)]
struct Bucket {
    left: u64,
    at: UnixTime,
}

impl Bucket {
    fn fill(&mut self, now: UnixTime, (most, rate): (u64, u64)) {
        let millis = u64::try_from(now.since(self.at).as_millis()).unwrap_or(u64::MAX);
        self.left = self
            .left
            .saturating_add(millis.saturating_mul(rate))
            .min(most * WHOLE);
        // A clock that was set back fills nothing until it is where it was.
        self.at = self.at.max(now);
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Quota(Mutex<HashMap<(MemberId, Question), Bucket>>);

impl Quota {
    fn buckets(&self) -> MutexGuard<'_, HashMap<(MemberId, Question), Bucket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one question, or says how long to wait before the next.
    pub fn take(&self, member: &MemberId, question: Question, now: UnixTime) -> Result<(), Duration> {
        let rate = question.rate();
        let mut buckets = self.buckets();
        let key = (member.clone(), question);
        if buckets.len() >= MEMBERS && !buckets.contains_key(&key) {
            buckets.retain(|(_, question), bucket| {
                bucket.fill(now, question.rate());
                bucket.left < question.rate().0 * WHOLE
            });
            if buckets.len() >= MEMBERS {
                return Err(Duration::from_secs(60));
            }
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: rate.0 * WHOLE,
            at: now,
        });
        bucket.fill(now, rate);
        match bucket.left.checked_sub(WHOLE) {
            Some(left) => {
                bucket.left = left;
                Ok(())
            }
            None => Err(Duration::from_millis((WHOLE - bucket.left).div_ceil(rate.1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(code: usize) -> MemberId {
        MemberId::new("TEST", "GOV", &code.to_string()).unwrap()
    }

    #[test]
    fn a_member_that_asks_too_often_waits_and_others_do_not() {
        let (quota, mut now) = (Quota::default(), UnixTime::from_secs(1_000_000));
        let (most, rate) = Question::Page.rate();
        for _ in 0..most {
            quota.take(&member(1), Question::Page, now).unwrap();
        }
        let wait = quota.take(&member(1), Question::Page, now).unwrap_err();
        assert_eq!(wait, Duration::from_millis(1000 / rate));
        quota.take(&member(2), Question::Page, now).unwrap();
        quota.take(&member(1), Question::Small, now).unwrap();
        now = now + wait;
        quota.take(&member(1), Question::Page, now).unwrap();
        quota.take(&member(1), Question::Page, now).unwrap_err();
        // After a long time it has its whole quota, and no more.
        now = now + Duration::from_secs(86_400);
        let taken = (0..2 * most).filter(|_| quota.take(&member(1), Question::Page, now).is_ok());
        assert_eq!(taken.count() as u64, most);
    }

    #[test]
    fn a_clock_that_is_set_back_gives_nothing() {
        let (quota, now) = (Quota::default(), UnixTime::from_secs(1_000_000));
        while quota.take(&member(1), Question::Small, now).is_ok() {}
        let earlier = UnixTime::from_secs(900_000);
        quota.take(&member(1), Question::Small, earlier).unwrap_err();
        quota.take(&member(1), Question::Small, now).unwrap_err();
    }

    #[test]
    fn many_members_are_counted_and_the_idle_ones_forgotten() {
        let (quota, mut now) = (Quota::default(), UnixTime::from_secs(1_000_000));
        for code in 0..MEMBERS {
            quota.take(&member(code), Question::Any, now).unwrap();
        }
        quota.take(&member(MEMBERS), Question::Any, now).unwrap_err();
        now = now + Duration::from_secs(60);
        quota.take(&member(MEMBERS), Question::Any, now).unwrap();
        assert_eq!(quota.buckets().len(), 1);
    }
}
