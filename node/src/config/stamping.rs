//! When messages get time-stamps (wire 5.1), from whom, and how long that may fail (wire 5.5): settings and their table in the
//! configuration file.

use std::{collections::BTreeMap, time::Duration};

use serde::Deserialize;

use super::renewal::RenewalSettings;

/// Settings of time-stamping. The defaults are those of a node.
#[derive(Debug, Clone)]
pub struct StampingSettings {
    /// Whether each message is stamped while it is logged, and refused when that fails.
    pub immediate: bool,
    /// How long time-stamps may fail before messages are refused; zero: for ever.
    pub acceptable_failure: Duration,
    /// How long after a failed run the next one is, which tries one message only.
    pub retry: Duration,
    /// How long one authority may take.
    pub timeout: Duration,
    /// Messages under one token.
    pub limit: usize,
    /// When tokens are renewed.
    pub renewal: RenewalSettings,
}

impl Default for StampingSettings {
    fn default() -> Self {
        Self {
            immediate: false,
            acceptable_failure: Duration::from_secs(14_400),
            retry: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
            limit: 10_000,
            renewal: RenewalSettings::default(),
        }
    }
}

/// The section `[timestamping]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TimestampingTable {
    pub(super) urls: Vec<String>,
    mode: String,
    acceptable_failure_seconds: u64,
    retry_seconds: u64,
    timeout_seconds: u64,
    renew_before_days: u64,
    renewal_digest: String,
    ends: BTreeMap<String, String>,
}

impl Default for TimestampingTable {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            mode: "batch".into(),
            acceptable_failure_seconds: 14_400,
            retry_seconds: 60,
            timeout_seconds: 60,
            renew_before_days: 60,
            renewal_digest: "sha512".into(),
            ends: BTreeMap::new(),
        }
    }
}

impl TimestampingTable {
    /// The settings; what is wrong is added to the mistakes.
    pub(super) fn read(&self, mistakes: &mut Vec<String>) -> StampingSettings {
        for url in self.urls.iter().filter(|url| !url.starts_with("http://")) {
            mistakes.push(format!("timestamping.urls: {url} is not an http:// address"));
        }
        let immediate = match &*self.mode {
            "batch" => false,
            "immediate" => true,
            other => {
                mistakes.push(format!(
                    "timestamping.mode = {other:?}: choose one of batch, immediate"
                ));
                false
            }
        };
        let seconds = Duration::from_secs;
        StampingSettings {
            immediate,
            acceptable_failure: seconds(self.acceptable_failure_seconds.min(31_536_000)),
            retry: seconds(self.retry_seconds.clamp(1, 3600)),
            timeout: seconds(self.timeout_seconds.clamp(1, 600)),
            renewal: RenewalSettings::read(
                self.renew_before_days,
                &self.renewal_digest,
                &self.ends,
                mistakes,
            ),
            ..StampingSettings::default()
        }
    }
}
