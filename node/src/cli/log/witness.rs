//! `kontor log witness`: who co-signs this log, whose logs are watched here, and what is wrong with them.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kontor_protocol::id::ServerId;

use super::super::print;
use super::access::Access;
use crate::config::NodeConfig;
use crate::messagelog::Settle;
use crate::sight::{Report, Stand};

pub(super) const LONG_ABOUT: &str = "\
Show what this node and its peers see of each other's logs: which nodes co-sign the checkpoints of this log and up to which \
size, whose logs are watched here and how large they were when last seen, which of them contradict what they showed before, \
and which peers have begun a new log.

A contradiction means that a peer's log was set back to an older copy, or forked; both checkpoints are kept in the file that \
is named, signed by the peer. A new log means that what the earlier one held is not in it. Ask the peer's operator what \
happened, compare both logs with `kontor log reconcile`, and say so with --settle: until then health is degraded. Exit code \
1: something is open.";

/// Arguments of `kontor log witness`.
#[derive(Args)]
pub(in crate::cli) struct Witness {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Settle everything that is open of this security server: INSTANCE/CLASS/CODE/SERVER
    #[arg(long, value_name = "ID", requires = "ground")]
    settle: Option<ServerId>,
    /// Why it is settled, in a sentence that is kept
    #[arg(long, value_name = "TEXT", requires = "settle")]
    ground: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The longest ground.
const GROUND: usize = 1000;

impl Witness {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let settle = self.settle.zip(self.ground).map(|(server, ground)| Settle {
            server: server.to_string(),
            ground,
        });
        if let Some(settle) = &settle {
            anyhow::ensure!(
                !settle.ground.trim().is_empty() && settle.ground.len() <= GROUND,
                "--ground is a sentence of at most {GROUND} bytes"
            );
        }
        let report = Access::to(&config)?.ask(|control| control.witness(settle))?;
        let report: Report = serde_json::from_slice(&report)?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            print(&page(&report))?;
        }
        let is_open = report.refused.is_some() || report.watched.iter().any(|log| log.is_open());
        Ok(match is_open {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }
}

fn entries(size: Option<u64>) -> String {
    match size {
        None => "nothing yet".into(),
        Some(1) => "1 entry".into(),
        Some(size) => format!("{size} entries"),
    }
}

/// What others said, with everything escaped that could change the page; quotes cannot.
fn one_line(text: &str) -> String {
    let escaped = |character: char| match character {
        '\'' | '"' => character.to_string(),
        _ => character.escape_debug().to_string(),
    };
    text.chars().map(escaped).collect()
}

fn page(report: &Report) -> String {
    let short = |log: &str| log.get(..16).unwrap_or(log).to_owned();
    let mut page = format!(
        "This log ({}…) was signed over {}.\n",
        short(&report.log),
        entries(report.size)
    );
    if let Some(refused) = &report.refused {
        page += &format!("  Read-only: {refused}\n");
    }
    page += match report.cosigners.is_empty() {
        true => {
            "Nobody was shown its checkpoints yet: they are shown to nodes that messages are exchanged with.\n"
        }
        false => "Its checkpoints are shown to:\n",
    };
    for peer in &report.cosigners {
        let stand = match peer.stand {
            Stand::CoSigns => "co-signs",
            Stand::Unasked => "not asked since the start",
            Stand::Unreachable => "cannot be asked",
            Stand::Refuses => "does not co-sign",
            Stand::NoService => "has no such service",
        };
        page += &format!("  {}: {stand}", peer.server);
        if let (Some(size), at) = (peer.size, &peer.cosigned) {
            page += &format!("; co-signed {}", entries(Some(size)));
            page += &at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        }
        if let Some(since) = &peer.failing_since {
            page += &format!("; since {since}");
        }
        page += "\n";
        if let Some(reason) = &peer.reason {
            page += &format!("    {}\n", one_line(reason));
        }
    }
    if !report.watched.is_empty() {
        page += "Logs watched here:\n";
    }
    for log in &report.watched {
        page += &format!("  {} ({}…): {}", log.server, short(&log.log), entries(log.size));
        page += &log
            .seen
            .as_ref()
            .map_or_else(String::new, |at| format!(", seen at {at}"));
        page += "\n";
        for found in &log.contradictions {
            page += &format!(
                "    CONTRADICTION ({}): it showed {} entries and then {}; both are in {}\n",
                found.kind, found.known, found.shown, found.file
            );
        }
        if let Some(before) = &log.replaces {
            page += &format!(
                "    NEW LOG: it took the place of {}…, whose entries are not in it\n",
                short(before)
            );
        }
        if let Some(settled) = &log.settled {
            page += &format!("    settled: {}\n", one_line(settled));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sight::{Contradicted, Cosigner, WatchedLog};

    #[test]
    fn the_page_names_who_is_silent_and_what_contradicts_itself() {
        let report = Report {
            log: "ab".repeat(32),
            size: Some(9),
            refused: None,
            cosigners: vec![Cosigner {
                server: "TEST/GOV/1/ss".into(),
                stand: Stand::Unreachable,
                size: Some(7),
                cosigned: Some("2026-01-01T00:00:00.000Z".into()),
                failing_since: Some("2026-01-02T00:00:00.000Z".into()),
                reason: Some("the peer's answer: \u{1b}[2J".into()),
            }],
            watched: vec![WatchedLog {
                server: "TEST/GOV/1/ss".into(),
                log: "cd".repeat(32),
                size: Some(5),
                replaces: Some("ef".repeat(32)),
                contradictions: vec![Contradicted {
                    kind: "other-root".into(),
                    known: 5,
                    shown: 5,
                    file: "data/witness/x.other-root.json".into(),
                }],
                ..WatchedLog::default()
            }],
        };
        assert_eq!(
            page(&report),
            "This log (abababababababab…) was signed over 9 entries.\n\
             Its checkpoints are shown to:\n  \
               TEST/GOV/1/ss: cannot be asked; co-signed 7 entries at 2026-01-01T00:00:00.000Z; since 2026-01-02T00:00:00.000Z\n    \
                 the peer's answer: \\u{1b}[2J\n\
             Logs watched here:\n  \
               TEST/GOV/1/ss (cdcdcdcdcdcdcdcd…): 5 entries\n    \
                 CONTRADICTION (other-root): it showed 5 entries and then 5; both are in data/witness/x.other-root.json\n    \
                 NEW LOG: it took the place of efefefefefefefef…, whose entries are not in it\n"
        );
    }
}
