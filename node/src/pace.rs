//! How slow the other side may be: below 16 KiB/s over 30 s of waiting in one direction it is refused.
//!
//! Only time spent waiting for the other side counts, so our own back-pressure never blames it.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

const WINDOW: Duration = Duration::from_secs(30);
const BYTES_PER_SECOND: u64 = 16 * 1024;

/// The other side was too slow or silent.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the other side was slower than 16 KiB/s over 30 s")]
pub struct TooSlow;

/// Accounts for one direction of one exchange.
#[derive(Debug)]
pub struct Pace {
    idle: Duration,
    waited: Duration,
    bytes: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            idle: WINDOW,
            waited: Duration::ZERO,
            bytes: 0,
        }
    }
}

impl Pace {
    /// A pace that first allows one silence of `idle`, for a side that has to think before it speaks.
    pub fn with_idle(idle: Duration) -> Self {
        Self {
            idle: idle.max(WINDOW),
            ..Self::default()
        }
    }

    /// Waits for the next piece; its size is told by [`Pace::moved`].
    pub async fn wait<T>(&mut self, piece: impl Future<Output = T>) -> Result<T, TooSlow> {
        tokio::pin!(piece);
        // What is there already costs no timer.
        if let Some(now) = ready_now(piece.as_mut()).await {
            return Ok(now);
        }
        let started = Instant::now();
        let piece = tokio::time::timeout(self.idle, piece)
            .await
            .map_err(|_| TooSlow)?;
        self.waited += started.elapsed();
        Ok(piece)
    }

    /// Notes bytes that moved.
    pub fn moved(&mut self, bytes: usize) -> Result<(), TooSlow> {
        self.bytes += bytes as u64;
        if self.idle > WINDOW {
            // The first byte ends the time to think.
            self.idle = WINDOW;
            self.waited = Duration::ZERO;
        }
        if self.waited >= WINDOW {
            if self.bytes < self.waited.as_secs() * BYTES_PER_SECOND {
                return Err(TooSlow);
            }
            self.waited = Duration::ZERO;
            self.bytes = 0;
        }
        Ok(())
    }
}

async fn ready_now<F: Future + Unpin>(mut future: F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut future).poll(cx) {
            std::task::Poll::Ready(value) => Some(value),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_trickle_is_refused_after_the_window() {
        let mut pace = Pace::default();
        let mut refused_after = None;
        for second in 1..=40 {
            pace.wait(tokio::time::sleep(Duration::from_secs(1)))
                .await
                .unwrap();
            if pace.moved(1024) == Err(TooSlow) {
                refused_after = Some(second);
                break;
            }
        }
        assert_eq!(refused_after, Some(30));
    }

    #[tokio::test(start_paused = true)]
    async fn sixteen_kibibytes_a_second_are_enough() {
        let mut pace = Pace::default();
        for _ in 1..=100 {
            pace.wait(tokio::time::sleep(Duration::from_secs(1)))
                .await
                .unwrap();
            pace.moved(17 * 1024).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_refused_but_a_service_may_think_for_its_timeout() {
        assert_eq!(
            Pace::default().wait(std::future::pending::<()>()).await,
            Err(TooSlow)
        );
        let mut pace = Pace::with_idle(Duration::from_secs(60));
        pace.wait(tokio::time::sleep(Duration::from_secs(59)))
            .await
            .unwrap();
        pace.moved(1).unwrap();
    }
}
