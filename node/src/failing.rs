//! Since when something that is tried again and again fails, and why: told from the first time on, long before it stops work.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kontor_pki::time::UnixTime;

/// How attempts fail.
#[derive(Clone, Debug, Default)]
pub struct Failing {
    /// Since when none succeeded, and why the last one did not; nothing while they succeed.
    pub since: Option<(UnixTime, String)>,
    /// Attempts that failed since the start.
    pub rounds: u64,
}

/// The same, noted by whoever tries.
#[derive(Debug, Default)]
pub struct Attempts(Mutex<Failing>);

impl Attempts {
    fn state(&self) -> MutexGuard<'_, Failing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How it is now.
    pub fn failing(&self) -> Failing {
        self.state().clone()
    }

    /// One attempt has ended: well, or for this reason not.
    pub fn note(&self, failed: Option<&str>, now: UnixTime) {
        let mut failing = self.state();
        match failed {
            None => failing.since = None,
            Some(reason) => {
                failing.rounds += 1;
                let since = failing.since.take().map_or(now, |(since, _)| since);
                failing.since = Some((since, reason.to_owned()));
            }
        }
    }
}
