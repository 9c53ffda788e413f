//! `kontor log export`: evidence of logged messages as files.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::super::print;
use super::access::Access;
use super::progress::Progress;
use crate::config::NodeConfig;
use crate::messagelog::{Selection, Told, Written};

pub(super) const LONG_ABOUT: &str = "\
Write the evidence of logged messages as ASiC-E containers.

For each message two files are written: QUERYID-request-NUMBER.asice (or -response-), which `kontor verify` and X-Road's \
asicverifier read, and QUERYID-request-NUMBER.leaf.json, which ties it to its entry of the log. A message that has no \
time-stamp yet gets one first; the token is kept in the log.

A running node is asked over its control socket, so run this as the user of the node. Without a running node the \
command opens the log itself.";

/// Arguments of `kontor log export`.
#[derive(Args)]
pub(in crate::cli) struct Export {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Directory for the files; made if it is missing
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
    /// Leave out time-stamps that messages do not have yet; `kontor verify` then says `incomplete`
    #[arg(long)]
    unstamped: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Number of one entry
    #[arg(long, value_name = "N")]
    id: Option<u64>,
    /// Query id (x-road-id): every message that has it, requests and responses
    #[arg(long, value_name = "ID")]
    query_id: Option<String>,
}

/// What `--json` prints.
#[derive(Serialize, Default)]
struct Outcome {
    exported: Vec<ExportedFiles>,
    errors: Vec<Refusal>,
}

#[derive(Serialize)]
struct ExportedFiles {
    number: u64,
    container: PathBuf,
    companion: PathBuf,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Refusal {
    number: Option<u64>,
    code: String,
    text: String,
}

impl From<Written> for ExportedFiles {
    fn from(written: Written) -> Self {
        let Written {
            number,
            container,
            companion,
            notes,
        } = written;
        Self {
            number,
            container,
            companion,
            notes,
        }
    }
}

impl Export {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("could not make {}", self.out.display()))?;
        let selection = match (self.which.id, &self.which.query_id) {
            (Some(number), _) => Selection::Number(number),
            (None, Some(query_id)) => Selection::QueryId(query_id.clone()),
            (None, None) => anyhow::bail!("--id or --query-id is needed"),
        };
        let (mut outcome, mut progress) = (Outcome::default(), Progress::new());
        Access::to(&config)?.ask(|control| {
            control.export(selection, self.unstamped, &mut |told| {
                match told {
                    Told::Progress(read, of) => progress.show(read, of),
                    Told::Found(_) => progress.end(),
                    Told::Entry(exported) => outcome.exported.push(exported.write(&self.out)?.into()),
                    Told::Refused { number, code, text } => {
                        outcome.errors.push(Refusal { number, code, text });
                    }
                }
                Ok(())
            })
        })?;
        self.report(&outcome)
    }

    fn report(&self, outcome: &Outcome) -> anyhow::Result<ExitCode> {
        let nothing = outcome.exported.is_empty() && outcome.errors.is_empty();
        if self.json {
            print(&format!("{}\n", serde_json::to_string(outcome)?))?;
        } else {
            for files in &outcome.exported {
                print(&format!(
                    "{}\n{}\n",
                    files.container.display(),
                    files.companion.display()
                ))?;
            }
        }
        let mut errors = std::io::stderr();
        for files in outcome.exported.iter().filter(|_| !self.json) {
            for note in &files.notes {
                let _ = writeln!(errors, "kontor: note: {note}");
            }
        }
        for refusal in outcome.errors.iter().filter(|_| !self.json) {
            let _ = writeln!(errors, "kontor: {}", refusal.text);
        }
        if nothing && !self.json {
            let _ = writeln!(
                errors,
                "kontor: the log has no message with this query id, or its content is deleted"
            );
        }
        let failed = nothing || !outcome.errors.is_empty();
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Command;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn an_export_names_one_entry_or_one_query_id() {
        let parse = |arguments: &[&str]| {
            let line = ["log", "export", "--config", "a.toml", "--out", "out"]
                .iter()
                .chain(arguments);
            Line::try_parse_from(line).map(|line| match line.command {
                Command::Export(export) => (export.which.id, export.which.query_id),
                _ => panic!("another command"),
            })
        };
        assert_eq!(parse(&["--id", "7"]).ok(), Some((Some(7), None)));
        assert_eq!(parse(&["--query-id", "7"]).ok(), Some((None, Some("7".into()))));
        assert!(parse(&[]).is_err());
        assert!(parse(&["--id", "7", "--query-id", "7"]).is_err());
        assert!(parse(&["--id", "x"]).is_err());
    }
}
