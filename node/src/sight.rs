//! What this node and its peers see of each other's logs, for the operator: who co-signs the own checkpoints, whose logs are
//! watched here, what contradicts itself and which logs are new. Owns the words and the counts; who finds something out
//! enters it here, and health, metrics and `kontor log witness` read it without waiting for a disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontor_pki::time::UnixTime;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use serde::{Deserialize, Serialize};

/// Two checkpoints of one log that do not go together, kept below `data/witness`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contradicted {
    /// `other-root` (a fork, proven by both signatures), `smaller` or `unproven`.
    pub kind: String,
    /// Entries of the checkpoint that was kept.
    pub known: u64,
    /// Entries of the one that was shown later.
    pub shown: u64,
    /// The file with both.
    pub file: String,
}

/// A log of a peer that is watched here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchedLog {
    /// The security server.
    pub server: String,
    /// Which of its logs, 64 hexadecimal digits.
    pub log: String,
    /// Entries of the newest checkpoint that is kept; `null` before the first.
    pub size: Option<u64>,
    /// When that was co-signed here (RFC 3339).
    pub seen: Option<String>,
    /// The log that the server had before, if this one took its place.
    pub replaces: Option<String>,
    /// What does not go together.
    pub contradictions: Vec<Contradicted>,
    /// What the operator said about it, if that is all of it.
    pub settled: Option<String>,
}

impl WatchedLog {
    /// Whether there is something that the operator has to look at.
    pub fn is_open(&self) -> bool {
        self.settled.is_none() && (self.replaces.is_some() || !self.contradictions.is_empty())
    }
}

/// How a peer's node stands to the own log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stand {
    /// Not asked yet since the start.
    #[default]
    Unasked,
    /// Co-signed the newest checkpoint that it was shown.
    CoSigns,
    /// Could not be asked.
    Unreachable,
    /// Answers that it does not co-sign.
    Refuses,
    /// Has the subsystem but no such service, as the nodes of others do.
    NoService,
}

/// A peer's node to which the own checkpoints are shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cosigner {
    /// The security server.
    pub server: String,
    /// See there.
    pub stand: Stand,
    /// Entries of the newest checkpoint of this log that it co-signed.
    pub size: Option<u64>,
    /// When (RFC 3339).
    pub cosigned: Option<String>,
    /// Since when it does not (RFC 3339).
    pub failing_since: Option<String>,
    /// What it said, or why it could not be asked.
    pub reason: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The own log, 64 hexadecimal digits.
    pub log: String,
    /// Entries of the newest checkpoint.
    pub size: Option<u64>,
    /// Why no checkpoint is signed and no message taken any more.
    pub refused: Option<String>,
    /// Nodes that the checkpoints are shown to.
    pub cosigners: Vec<Cosigner>,
    /// Logs watched here.
    pub watched: Vec<WatchedLog>,
}

#[derive(Debug, Default)]
struct State {
    cosigners: BTreeMap<String, Cosigner>,
    watched: BTreeMap<String, WatchedLog>,
}

/// See the module. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Sight(Arc<Mutex<State>>);

impl Sight {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters how a log stands, by the origin of its checkpoints.
    pub fn watches(&self, origin: &str, log: WatchedLog) {
        self.state().watched.insert(origin.to_owned(), log);
    }

    /// Changes what is known of a peer's node.
    pub fn of_cosigner(&self, server: &str, change: impl FnOnce(&mut Cosigner)) {
        let mut state = self.state();
        let peer = state.cosigners.entry(server.to_owned()).or_default();
        server.clone_into(&mut peer.server);
        change(peer);
    }

    /// Who co-signs and what is watched.
    pub fn told(&self) -> (Vec<Cosigner>, Vec<WatchedLog>) {
        let state = self.state();
        (
            state.cosigners.values().cloned().collect(),
            state.watched.values().cloned().collect(),
        )
    }

    /// What the operator has to look at, a sentence for each.
    pub fn open(&self) -> Vec<String> {
        let state = self.state();
        let mut open = Vec::new();
        for log in state.watched.values().filter(|log| log.is_open()) {
            for found in &log.contradictions {
                open.push(format!(
                    "the log of {} contradicts what it showed before ({}: {} entries, then {})",
                    log.server, found.kind, found.known, found.shown
                ));
            }
            if log.replaces.is_some() {
                open.push(format!("{} has begun a new log", log.server));
            }
        }
        open
    }

    /// The short form.
    pub fn short(&self) -> String {
        let open = self.open();
        let state = self.state();
        let (signing, of) = (
            state
                .cosigners
                .values()
                .filter(|peer| peer.stand == Stand::CoSigns),
            state
                .cosigners
                .values()
                .filter(|peer| peer.stand != Stand::NoService),
        );
        let mut text = format!(
            "{} of {} nodes co-sign, {} logs are watched",
            signing.count(),
            of.count(),
            state.watched.len()
        );
        if let Some(first) = open.first() {
            text = format!(
                "degraded: {first}{}; `kontor log witness` says more; {text}",
                match open.len() {
                    1 => String::new(),
                    more => format!(" and {} more", more - 1),
                }
            );
        }
        text
    }
}

impl Collector for Sight {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let figures = {
            let state = self.state();
            let stand = |wanted| state.cosigners.values().filter(move |peer| peer.stand == wanted);
            let open = || state.watched.values().filter(|log| log.is_open());
            [
                (
                    "kontor_witness_cosigners",
                    "Nodes that co-signed the newest checkpoint they were shown",
                    stand(Stand::CoSigns).count(),
                ),
                (
                    "kontor_witness_silent",
                    "Nodes with a ledger that do not co-sign now",
                    stand(Stand::Unreachable).count() + stand(Stand::Refuses).count(),
                ),
                (
                    "kontor_witness_logs",
                    "Logs of peers that are watched",
                    state.watched.len(),
                ),
                (
                    "kontor_witness_contradictions",
                    "Contradictions in logs of peers that nobody has settled",
                    open().map(|log| log.contradictions.len()).sum(),
                ),
                (
                    "kontor_witness_new_logs",
                    "Logs that took the place of a peer's earlier one and that nobody has settled",
                    open().filter(|log| log.replaces.is_some()).count(),
                ),
            ]
        };
        for (name, help, value) in figures {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

/// An instant of a checkpoint or co-signature, as it is told.
pub fn instant(second: u64) -> String {
    UnixTime::from_secs(i64::try_from(second).unwrap_or(i64::MAX)).to_rfc3339()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(server: &str) -> WatchedLog {
        WatchedLog {
            server: server.into(),
            ..WatchedLog::default()
        }
    }

    #[test]
    fn what_nobody_has_settled_comes_first() {
        let sight = Sight::default();
        sight.of_cosigner("a", |peer| peer.stand = Stand::CoSigns);
        sight.of_cosigner("b", |peer| peer.stand = Stand::Unreachable);
        sight.of_cosigner("c", |peer| peer.stand = Stand::NoService);
        sight.watches("one", log("a"));
        assert_eq!(sight.short(), "1 of 2 nodes co-sign, 1 logs are watched");
        let forked = WatchedLog {
            contradictions: vec![Contradicted {
                kind: "other-root".into(),
                known: 9,
                shown: 9,
                file: "f".into(),
            }],
            ..log("a")
        };
        sight.watches("one", forked.clone());
        let new = WatchedLog {
            replaces: Some("0".into()),
            ..log("b")
        };
        sight.watches("two", new);
        assert_eq!(sight.open().len(), 2);
        let short = sight.short();
        assert!(
            short.starts_with("degraded: the log of a contradicts what it showed before"),
            "{short}"
        );
        assert!(short.contains("and 1 more"), "{short}");
        sight.watches(
            "one",
            WatchedLog {
                settled: Some("known".into()),
                ..forked
            },
        );
        assert_eq!(sight.open(), ["b has begun a new log"]);
    }
}
