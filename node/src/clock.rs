//! Time as a handle: what needs "now" takes a [`Clock`], so that tests set it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use kontor_pki::time::UnixTime;

/// Source of the current time.
pub trait Clock: Send + Sync {
    /// The current instant, in milliseconds since the epoch.
    fn now(&self) -> UnixTime;
}

/// A clock that is handed down to everything that needs one.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the machine's clock is read"
    )]
    fn now(&self) -> UnixTime {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or(Duration::ZERO);
        UnixTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

/// A clock that stands still until it is moved.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock that shows `at`.
    pub fn at(at: UnixTime) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(at.millis())))
    }

    /// Sets the clock, also back.
    pub fn set(&self, at: UnixTime) {
        self.0.store(at.millis(), Ordering::SeqCst);
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(
            i64::try_from(by.as_millis()).unwrap_or(i64::MAX),
            Ordering::SeqCst,
        );
    }
}

impl Clock for ManualClock {
    fn now(&self) -> UnixTime {
        UnixTime::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that is ahead of another one by the seconds that a file says, for training: whoever learns or shows what happens in months
/// lets them pass. It never goes back.
pub struct TrainingClock {
    base: SharedClock,
    file: PathBuf,
    /// How far it is ahead in milliseconds, and when the file was read.
    ahead: Mutex<(i64, Option<Instant>)>,
}

/// How often the file is read at most.
const READ: Duration = Duration::from_millis(200);

impl TrainingClock {
    /// A clock ahead of this one.
    pub fn ahead_of(base: SharedClock, file: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            base,
            file,
            ahead: Mutex::new((0, None)),
        })
    }
}

impl Clock for TrainingClock {
    fn now(&self) -> UnixTime {
        let mut ahead = self.ahead.lock().unwrap_or_else(PoisonError::into_inner);
        if ahead.1.is_none_or(|read| read.elapsed() >= READ) {
            let said = std::fs::read_to_string(&self.file).ok();
            let seconds = said.and_then(|text| text.trim().parse::<u32>().ok());
            let millis = i64::from(seconds.unwrap_or(0)) * 1000;
            *ahead = (ahead.0.max(millis), Some(Instant::now()));
        }
        UnixTime::from_millis(self.base.now().millis().saturating_add(ahead.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_clock_is_ahead_by_what_its_file_says_and_never_goes_back() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("ahead");
        let base = ManualClock::at(UnixTime::from_millis(1_000));
        let read = |clock: &TrainingClock| {
            clock.ahead.lock().unwrap().1 = None;
            clock.now().millis()
        };
        let clock = TrainingClock::ahead_of(base, file.clone());
        assert_eq!(clock.now().millis(), 1_000, "there is no file");
        std::fs::write(&file, "3600\n").unwrap();
        assert_eq!(read(&clock), 3_601_000);
        std::fs::write(&file, "12").unwrap();
        assert_eq!(read(&clock), 3_601_000, "back it does not go");
        std::fs::write(&file, "nonsense").unwrap();
        assert_eq!(read(&clock), 3_601_000);
    }
}
