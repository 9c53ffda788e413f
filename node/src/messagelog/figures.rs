//! The message log's own figures for the metrics page, taken when it is read.

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
};

use super::MessageLog;

/// See the module.
#[derive(Debug)]
pub struct Figures(pub MessageLog);

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let stats = self.0.stats();
        let mut counter = |name: &str, help: &str, value: u64| {
            let counter = ConstCounter::new(value);
            counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)
        };
        counter(
            "kontor_log_batches",
            "Rounds of the message log, one sync each",
            stats.rounds,
        )?;
        counter(
            "kontor_log_batch_entries",
            "Entries written by these rounds",
            stats.appended,
        )?;
        counter("kontor_log_bytes", "Bytes written to segments", stats.bytes)?;
        counter(
            "kontor_log_sync_micros",
            "Microseconds spent in writing and syncing",
            stats.sync_micros,
        )?;
        counter(
            "kontor_log_documents",
            "Signature documents written",
            stats.documents,
        )?;
        counter(
            "kontor_log_refused_full",
            "Entries refused because the disk was full",
            stats.refused_full,
        )?;
        let (stamping, now) = (self.0.stamping(), self.0.now());
        counter(
            "kontor_timestamp_tokens",
            "Time-stamp tokens recorded since the start",
            stamping.tokens,
        )?;
        counter(
            "kontor_timestamp_failures",
            "Runs that got no time-stamp since the start",
            stamping.failures,
        )?;
        let renewal = self.0.renewal();
        counter(
            "kontor_renewal_tokens",
            "Tokens that renewed others, recorded since the start",
            renewal.tokens,
        )?;
        counter(
            "kontor_renewal_failures",
            "Renewals of time-stamps that failed since the start",
            renewal.failures,
        )?;
        let mut gauge = |name: &str, help: &str, value: u64| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
        };
        gauge(
            "kontor_timestamp_waiting",
            "Messages known to wait for a time-stamp",
            stamping.waiting,
        )?;
        gauge(
            "kontor_timestamp_oldest_seconds",
            "Seconds since the oldest message that waits for a time-stamp was logged",
            stamping.oldest.map_or(0, |oldest| now.since(oldest).as_secs()),
        )?;
        gauge(
            "kontor_renewal_due",
            "Time-stamps that end within the lead time of their renewal",
            renewal.due,
        )?;
        gauge(
            "kontor_renewal_late",
            "Time-stamps that ended before they were renewed",
            renewal.late,
        )?;
        gauge(
            "kontor_renewal_first_end_seconds",
            "Seconds until the first time-stamp of the log ends; 0 also where none is known",
            renewal.first_end.map_or(0, |end| end.since(now).as_secs()),
        )?;
        gauge(
            "kontor_log_index_behind",
            "Entries that the search index does not reflect yet",
            stats.entries.saturating_sub(self.0.index().position),
        )?;
        let gauge = ConstGauge::new(i64::try_from(stats.open_exchanges).unwrap_or(i64::MAX));
        let open = "Requests recorded without an answer yet";
        gauge.encode(encoder.encode_descriptor(
            "kontor_log_open_exchanges",
            open,
            None,
            gauge.metric_type(),
        )?)
    }
}
