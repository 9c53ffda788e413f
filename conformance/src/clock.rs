//! The one place where the suite asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use kontor_pki::UnixTime;

/// Now.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite is the outermost edge: what it starts runs by the same clock"
)]
pub fn now() -> UnixTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixTime::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
