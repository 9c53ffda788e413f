//! The bench's figures as rows: medians over the rounds, ratios within a round.
//!
//! Owns how windows become one line; refuses means, which one slow round would move.

use std::fmt;

use serde::Serialize;

use super::{Measured, ProcessShare, Window};

/// One contestant in one scenario. Times are microseconds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub scenario: String,
    pub contestant: &'static str,
    pub per_second: f64,
    pub ratio: Option<f64>,
    pub p50: f64,
    pub p99: f64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub processes: Vec<ProcessShare>,
}

/// The line above the rows.
pub fn heading() -> String {
    format!(
        "{:<18}{:<7}{:>10}{:>7}{:>10}{:>10}  {:>17}  {:>15}  {:>13}  {:>13}  errors",
        "load",
        "pair",
        "per s",
        "x",
        "p50 ms",
        "p99 ms",
        "CPU us A / B",
        "peak MiB A / B",
        "signer A / B",
        "log A / B"
    )
}

/// The rows of a scenario: the bare pair, then the nodes.
pub fn rows(measured: &Measured) -> Vec<Row> {
    let ratio = || {
        let pairs = measured.bare.iter().zip(&measured.nodes);
        median(pairs.map(|(bare, nodes)| nodes.rate() / bare.rate().max(f64::EPSILON)))
    };
    let mut rows = Vec::new();
    for (contestant, windows, ratio) in [
        ("bare", &measured.bare, None),
        ("nodes", &measured.nodes, (!measured.nodes.is_empty()).then(ratio)),
    ] {
        if windows.is_empty() {
            continue;
        }
        rows.push(Row {
            scenario: measured.scenario.name.clone(),
            contestant,
            per_second: median(windows.iter().map(Window::rate)),
            ratio,
            p50: median(windows.iter().map(|window| f64::from(window.load.p50))),
            p99: median(windows.iter().map(|window| f64::from(window.load.p99))),
            errors: windows.iter().map(|window| window.load.errors).sum(),
            first_error: windows.iter().find_map(|window| window.load.first_error.clone()),
            processes: (0..windows[0].processes.len())
                .map(|index| process(windows, index))
                .collect(),
        });
    }
    rows
}

fn process(windows: &[Window], index: usize) -> ProcessShare {
    let shares = || windows.iter().map(move |window| &window.processes[index]);
    let mean = |of: fn(&ProcessShare) -> Option<f64>| {
        shares()
            .any(|share| of(share).is_some())
            .then(|| median(shares().filter_map(of)))
    };
    ProcessShare {
        role: windows[0].processes[index].role.clone(),
        cpu_micros_per_exchange: median(shares().map(|share| share.cpu_micros_per_exchange)),
        peak_kib: shares().map(|share| share.peak_kib).max().unwrap_or(0),
        mean_signer_batch: mean(|share| share.mean_signer_batch),
        mean_log_batch: mean(|share| share.mean_log_batch),
    }
}

/// The middle value; 0 of nothing.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        odd if odd % 2 == 1 => values[odd / 2],
        even => f64::midpoint(values[even / 2 - 1], values[even / 2]),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = |of: &dyn Fn(&ProcessShare) -> String| {
            self.processes.iter().map(of).collect::<Vec<_>>().join(" / ")
        };
        let batch = |mean: Option<f64>| mean.map_or_else(|| "-".into(), |mean| format!("{mean:.1}"));
        write!(
            f,
            "{:<18}{:<7}{:>10.1}{:>7}{:>10.2}{:>10.2}  {:>17}  {:>15}  {:>13}  {:>13}  {}",
            self.scenario,
            self.contestant,
            self.per_second,
            self.ratio
                .map_or_else(|| "1".into(), |ratio| format!("{ratio:.3}")),
            self.p50 / 1000.0,
            self.p99 / 1000.0,
            each(&|share| format!("{:.0}", share.cpu_micros_per_exchange)),
            each(&|share| format!("{:.1}", share.peak_kib as f64 / 1024.0)),
            each(&|share| batch(share.mean_signer_batch)),
            each(&|share| batch(share.mean_log_batch)),
            self.errors,
        )?;
        match &self.first_error {
            Some(error) => write!(f, " ({error})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert_eq!(median([4.0, 1.0, 3.0, 2.0].into_iter()), 2.5);
        assert_eq!(median([9.0, 1.0, 2.0].into_iter()), 2.0);
        assert_eq!(median(std::iter::empty()), 0.0);
    }
}
