//! What an evidence record (RFC 4998) says of a container, as values, as JSON and in words.

use std::fmt::{self, Write as _};

use kontor_pki::time::UnixTime;
use serde::Serialize;

use super::report::{instant, shown};

/// The chain of time-stamps that goes on from the one in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordFacts {
    /// When everything in the container existed, its own time-stamp included, by the first time-stamp of the record.
    #[serde(serialize_with = "instant")]
    pub existed: UnixTime,
    /// When it was last renewed.
    #[serde(serialize_with = "instant")]
    pub renewed: UnixTime,
    /// Until when the certificate under the last time-stamp carries all of it.
    #[serde(serialize_with = "instant")]
    pub carried_until: UnixTime,
    /// The time-stamps, oldest first.
    pub time_stamps: Vec<RecordStampFacts>,
}

/// One time-stamp of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecordStampFacts {
    /// When, by its authority's clock.
    #[serde(serialize_with = "instant")]
    pub gen_time: UnixTime,
    /// Subject of the authority's certificate.
    pub authority: String,
    /// End of that certificate.
    #[serde(serialize_with = "instant")]
    pub certificate_ends: UnixTime,
    /// Digest of its hash tree.
    pub digest: &'static str,
    /// What it is over: `first` the files of the container, `timestamp` the time-stamp before, `tree` the files and all
    /// time-stamps before, by a new digest.
    pub over: &'static str,
}

impl RecordFacts {
    pub(super) fn write_words(&self, out: &mut String) -> fmt::Result {
        writeln!(
            out,
            "  its evidence record holds: all of it existed at {}, renewed last at {}, carried until {}",
            self.existed, self.renewed, self.carried_until
        )?;
        for (number, stamp) in (1..).zip(&self.time_stamps) {
            let over = match stamp.over {
                "first" => "the files of the container",
                "timestamp" => "the time-stamp before it",
                _ => "the files and all time-stamps before it",
            };
            writeln!(
                out,
                "    {number}. {} by {} over {over} ({}); its certificate ends at {}",
                stamp.gen_time,
                shown(&stamp.authority),
                stamp.digest,
                stamp.certificate_ends
            )?;
        }
        Ok(())
    }
}
