//! When messages get time-stamps (wire 5.1), and how long that may fail (wire 5.5).

use std::time::Duration;

/// Settings of time-stamping. The defaults are those of a node.
#[derive(Debug, Clone)]
pub struct StampingSettings {
    /// Whether each message is stamped while it is logged, and refused when that fails.
    pub immediate: bool,
    /// How long time-stamps may fail before messages are refused; zero: for ever.
    pub acceptable_failure: Duration,
    /// How long after a failed run the next one is, which tries one message only.
    pub retry: Duration,
    /// Messages under one token.
    pub limit: usize,
}

impl Default for StampingSettings {
    fn default() -> Self {
        Self {
            immediate: false,
            acceptable_failure: Duration::from_secs(14_400),
            retry: Duration::from_secs(60),
            limit: 10_000,
        }
    }
}
