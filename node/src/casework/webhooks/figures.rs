//! How the webhooks stand, for the status and for metrics. Events that wait are counted on from where they were counted last.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use serde_json::{Value, json};

use super::{Hook, PIECE};
use crate::casework::{Casework, Refused};

impl Casework {
    /// How many events wait for a webhook.
    fn wait_for_webhook(&self, hook: &Hook) -> Result<u64, Refused> {
        // First what is wanted, as whoever changes it does: what was counted is counted by it.
        let settings = hook.settings.borrow();
        let Some(webhook) = settings.as_deref() else {
            return Ok(0);
        };
        let mut standing = hook.standing();
        loop {
            let rows = self.events_after(&standing.counted, PIECE)?;
            let Some((last, _)) = rows.last() else {
                return Ok(standing.waiting);
            };
            let mut wanted = 0;
            for (_, row) in &rows {
                wanted += u64::from(self.is_posted(webhook, row)?);
            }
            standing.counted.clone_from(last);
            standing.waiting += wanted;
        }
    }

    /// How each webhook stands, for the status.
    pub(in crate::casework) fn webhooks_page(&self) -> Result<Vec<Value>, Refused> {
        let all = self.webhooks.all();
        all.iter()
            .map(|(hook, webhook)| {
                let waiting = self.wait_for_webhook(hook)?;
                let standing = hook.standing();
                Ok(json!({
                    "name": webhook.name,
                    "waiting": waiting,
                    "failures_in_a_row": standing.failures,
                    "failing_since": standing.place.failing_since,
                    "problem": standing.problem,
                    "next_at": standing.next_at,
                    "skipped": standing.place.skipped,
                    "disabled_at": standing.place.gone.as_ref().map(|(at, _)| at),
                }))
            })
            .collect()
    }
}

/// Metrics of the webhooks.
pub(crate) struct Figures(pub(crate) Arc<Casework>);

impl std::fmt::Debug for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Figures")
    }
}

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let all = self.0.webhooks.all();
        if all.is_empty() {
            return Ok(());
        }
        let figures: Vec<_> = all
            .iter()
            .map(|(hook, webhook)| {
                let waiting = self.0.wait_for_webhook(hook).unwrap_or_default();
                let standing = hook.standing();
                let waiting = i64::try_from(waiting).unwrap_or(i64::MAX);
                let is_disabled = i64::from(standing.place.gone.is_some());
                let label = [("webhook", webhook.name.clone())];
                (
                    label,
                    waiting,
                    i64::from(standing.failures),
                    is_disabled,
                    standing.place.skipped,
                )
            })
            .collect();
        let gauge = MetricType::Gauge;
        let help = "Events that a webhook has still to get";
        let mut family = encoder.encode_descriptor("kontor_webhook_waiting", help, None, gauge)?;
        for (label, waiting, ..) in &figures {
            ConstGauge::new(*waiting).encode(family.encode_family(label)?)?;
        }
        let help = "Posts in a row that a webhook's receiver did not take";
        let mut family = encoder.encode_descriptor("kontor_webhook_failures_in_a_row", help, None, gauge)?;
        for (label, _, failures, ..) in &figures {
            ConstGauge::new(*failures).encode(family.encode_family(label)?)?;
        }
        let help = "Whether a webhook's receiver answered 410 and gets nothing more";
        let mut family = encoder.encode_descriptor("kontor_webhook_disabled", help, None, gauge)?;
        for (label, _, _, is_disabled, _) in &figures {
            ConstGauge::new(*is_disabled).encode(family.encode_family(label)?)?;
        }
        let help = "Events that were given up because a webhook's receiver did not take them in time";
        let mut family =
            encoder.encode_descriptor("kontor_webhook_skipped", help, None, MetricType::Counter)?;
        for (label, .., skipped) in &figures {
            ConstCounter::new(*skipped).encode(family.encode_family(label)?)?;
        }
        Ok(())
    }
}
