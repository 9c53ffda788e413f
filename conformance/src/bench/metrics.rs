//! A node's own counters, read from its Prometheus endpoint.
//!
//! Owns the names of the four counters the bench needs; refuses to take a missing counter for zero.

use std::net::SocketAddr;

use anyhow::{Result, anyhow, ensure};

use crate::wire::http;

/// Counters of batches at one instant.
#[derive(Clone, Copy, Debug, Default)]
pub struct Batches {
    pub signer: Counted,
    pub log: Counted,
}

/// How many things were handled in how many batches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    pub things: f64,
    pub batches: f64,
}

impl Counted {
    /// Mean size of the batches since `earlier`.
    pub fn mean_since(&self, earlier: &Self) -> Option<f64> {
        let batches = self.batches - earlier.batches;
        (batches > 0.0).then(|| (self.things - earlier.things) / batches)
    }
}

/// Reads the counters of the node whose health endpoint is at `health`.
pub async fn read(health: SocketAddr) -> Result<Batches> {
    let answer = http::get(health, "/metrics").await?;
    ensure!(
        answer.status.is_success(),
        "{health}/metrics answers {}",
        answer.status
    );
    let text = std::str::from_utf8(&answer.body)?;
    let counter = |name| sum(text, name).ok_or_else(|| anyhow!("{health}/metrics has no {name}"));
    Ok(Batches {
        signer: Counted {
            things: counter("kontor_signer_batch_messages_total")?,
            batches: counter("kontor_signer_batches_total")?,
        },
        log: Counted {
            things: counter("kontor_log_batch_entries_total")?,
            batches: counter("kontor_log_batches_total")?,
        },
    })
}

/// Sum of all series of counter `name` in Prometheus text.
fn sum(text: &str, name: &str) -> Option<f64> {
    let mut found = None;
    for line in text.lines() {
        let Some(rest) = line.strip_prefix(name) else {
            continue;
        };
        if !rest.starts_with([' ', '{']) {
            continue;
        }
        let value = rest
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse::<f64>().ok());
        if let Some(value) = value {
            *found.get_or_insert(0.0) += value;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_one_counter_are_summed_and_longer_names_are_not_taken_for_it() {
        let text = "# TYPE a counter\na_total{k=\"x y\"} 2\na_total{k=\"z\"} 3\na_total_more 9\n";
        assert_eq!(sum(text, "a_total"), Some(5.0));
        assert_eq!(sum(text, "b_total"), None);
    }
}
