//! `kontor log export`: evidence of logged messages as files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use super::super::{complain, note, print, refuse};
use super::access::Access;
use super::filter::By;
use super::package::{Packing, Tongue, statement_name};
use super::progress::Progress;
use crate::clock::{Clock, SystemClock};
use crate::config::NodeConfig;
use crate::messagelog::{Filter, Selection, Told, Written};

pub(super) const LONG_ABOUT: &str = "\
Write the evidence of logged messages as ASiC-E containers.

Everything given must hold. For each message two files are written: QUERYID-request-NUMBER.asice (or -response-), which `kontor verify` and X-Road's \
asicverifier read, and QUERYID-request-NUMBER.leaf.json, which ties it to its entry of the log. A message that has no \
time-stamp yet gets one first; the token is kept in the log.

With --evidence-record a third file is written for each message whose time-stamp was renewed (`kontor log renew`): \
QUERYID-request-NUMBER.ers, its evidence record by RFC 4998 in DER. It proves that the files of the container existed when it \
was first renewed, and stays good as long as it is renewed in time. What it is over is one group of data objects: every file \
of the container but mimetype, META-INF/manifest.xml and META-INF/ASiCManifest.xml, byte for byte. So whoever has another \
tool for evidence records unpacks the container and gives it these files. Of a file whose content was deleted the SHA-512 in \
the .leaf.json takes its place. `kontor verify` checks the record by itself when it lies beside its container.

Where the content of a message was deleted under its retention class, on an order, or was never kept, there is no container. Then \
entry-NUMBER.statement.json is written: what the log can still prove of it, with the entries that say what was deleted, when, \
under which rule and on which ground. `kontor verify` checks it.

With --package all of it goes into one ZIP file, with the global configuration that the node holds now and a cover sheet for \
people, which says of each message who sent what to whom and when.

A running node is asked over its control socket, so run this as the user of the node. Without a running node the \
command opens the log itself.";

/// Arguments of `kontor log export`.
#[derive(Args)]
pub(in crate::cli) struct Export {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Number of one entry
    #[arg(long, value_name = "N")]
    id: Option<u64>,
    /// Query ids, one a line, instead of one: those of a transfer are printed by `kontor transfer messages`
    #[arg(long, value_name = "FILE")]
    query_ids: Option<PathBuf>,
    #[command(flatten)]
    by: By,
    /// Directory for the files; made if it is missing
    #[arg(long, value_name = "DIR", required_unless_present = "package")]
    out: Option<PathBuf>,
    /// Write one evidence package instead: containers, companions, configuration and a cover sheet in one ZIP file
    #[arg(long, value_name = "FILE.zip", conflicts_with = "out")]
    package: Option<PathBuf>,
    /// Language of the cover sheet of a package
    #[arg(long, value_enum, default_value = "en")]
    language: Tongue,
    /// Print what was written as JSON
    #[arg(long)]
    json: bool,
    /// Write the evidence record (RFC 4998) of each message whose time-stamp was renewed, NAME.ers, too
    #[arg(long)]
    evidence_record: bool,
    /// Leave out time-stamps that messages do not have yet; `kontor verify` then says `incomplete`
    #[arg(long)]
    unstamped: bool,
}

/// What was done so far. Files are told as they are written, so that nothing grows with their number but the list of
/// what failed.
struct Outcome {
    json: bool,
    count: u64,
    errors: Vec<Refusal>,
    /// Errors that the list does not name any more.
    further: u64,
}

/// Errors that are listed.
const ERRORS: usize = 1000;

impl Outcome {
    fn new(json: bool) -> Self {
        Self {
            json,
            count: 0,
            errors: Vec::new(),
            further: 0,
        }
    }

    fn exported(&mut self, files: ExportedFiles) -> anyhow::Result<()> {
        self.count += 1;
        if self.json {
            let before = if self.count == 1 { "{\"exported\":[" } else { "," };
            print(&format!("{before}{}", serde_json::to_string(&files)?))?;
            return Ok(());
        }
        let paths = [
            files.container.as_ref(),
            files.companion.as_ref(),
            files.record.as_ref(),
            files.statement.as_ref(),
        ];
        for path in paths.into_iter().flatten() {
            print(&format!("{}\n", path.display()))?;
        }
        files.notes.iter().for_each(|text| note(text));
        Ok(())
    }

    fn refused(&mut self, refusal: Refusal) {
        if !self.json {
            complain(&anyhow::anyhow!("{}", refusal.text));
        }
        if self.errors.len() < ERRORS {
            self.errors.push(refusal);
        } else {
            self.further += 1;
        }
    }

    fn end(self) -> anyhow::Result<ExitCode> {
        let nothing = self.count == 0 && self.errors.is_empty();
        if self.json {
            let before = if self.count == 0 { "{\"exported\":[" } else { "" };
            let errors = serde_json::to_string(&self.errors)?;
            print(&format!(
                "{before}],\"errors\":{errors},\"further_errors\":{}}}\n",
                self.further
            ))?;
        } else if nothing {
            complain(&anyhow::anyhow!(
                "the log has no such message; by a query id only messages are found whose content is still there"
            ));
        }
        let failed = nothing || !self.errors.is_empty();
        Ok(if failed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
    }
}

#[derive(Serialize)]
struct ExportedFiles {
    number: u64,
    container: Option<PathBuf>,
    companion: Option<PathBuf>,
    record: Option<PathBuf>,
    /// Instead of the others, where the content is gone.
    statement: Option<PathBuf>,
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
            record,
            notes,
        } = written;
        Self {
            number,
            container: Some(container),
            companion: Some(companion),
            record,
            statement: None,
            notes,
        }
    }
}

/// What can still be said of a message whose content is gone, and why it is.
fn of_statement(number: u64, statement: PathBuf, notes: Vec<String>) -> ExportedFiles {
    ExportedFiles {
        number,
        container: None,
        companion: None,
        record: None,
        statement: Some(statement),
        notes,
    }
}

impl Export {
    /// The query ids of the file, each once.
    fn listed(&self) -> anyhow::Result<Vec<Selection>> {
        let path = self.query_ids.as_deref().unwrap_or(Path::new(""));
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let mut ids: Vec<&str> = text.lines().map(str::trim).filter(|id| !id.is_empty()).collect();
        ids.sort_unstable();
        ids.dedup();
        let by = |id: &str| Filter {
            query_id: Some(id.to_owned()),
            ..self.by.filter()
        };
        Ok(ids
            .into_iter()
            .map(|id| Selection::Every(Box::new(by(id))))
            .collect())
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let selections = match (self.id, self.by.is_empty()) {
            (None, true) if self.query_ids.is_some() => self.listed()?,
            (Some(number), true) => vec![Selection::Number(number)],
            (None, false) => vec![Selection::Every(Box::new(self.by.filter()))],
            (Some(_), false) => {
                return refuse(&anyhow::anyhow!(
                    "--id names one entry; leave out what else chooses entries"
                ));
            }
            (None, true) => {
                return refuse(&anyhow::anyhow!(
                    "say which messages: --id, --query-id, --client, --service, --member, --server, --from or --to"
                ));
            }
        };
        if let Some(out) = &self.out {
            fs::create_dir_all(out).with_context(|| format!("could not make {}", out.display()))?;
        }
        let mut packing = match &self.package {
            Some(path) => Some(Packing::begin(
                path,
                config.data_dir.join("globalconf"),
                self.language,
                config.server.to_string(),
                SystemClock.now(),
            )?),
            None => None,
        };
        let (mut outcome, mut progress) = (Outcome::new(self.json), Progress::new());
        for selection in selections {
            Access::to(&config)?.ask(|control| {
                control.export(selection, (self.unstamped, self.evidence_record), &mut |told| {
                    match told {
                        Told::Partial(indexed, of) => progress.partial(indexed, of),
                        Told::Progress(read, of) => progress.show(read, of),
                        Told::Entry(exported) => {
                            progress.end();
                            let written = match (&mut packing, &self.out) {
                                (Some(packing), _) => packing.add(*exported)?,
                                (None, out) => exported.write(out.as_deref().unwrap_or(Path::new(".")))?,
                            };
                            outcome.exported(written.into())?;
                        }
                        Told::Statement { number, json, notes } => {
                            progress.end();
                            let written = match (&mut packing, &self.out) {
                                (Some(packing), _) => packing.add_statement(number, &json)?,
                                (None, out) => {
                                    let dir = out.as_deref().unwrap_or(Path::new("."));
                                    let path = dir.join(statement_name(number));
                                    fs::write(&path, &json).with_context(|| path.display().to_string())?;
                                    path
                                }
                            };
                            outcome.exported(of_statement(number, written, notes))?;
                        }
                        Told::Refused { number, code, text } => {
                            progress.end();
                            outcome.refused(Refusal { number, code, text });
                        }
                    }
                    Ok(())
                })
            })?;
        }
        drop(progress);
        if let Some(package) = packing.map(Packing::finish).transpose()?.flatten()
            && !self.json
        {
            print(&format!("{}\n", package.display()))?;
        }
        outcome.end()
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
    fn an_export_reads_numbers_ids_and_instants() {
        let parse = |arguments: &[&str]| {
            let line = ["log", "export", "--config", "a.toml", "--out", "out"]
                .iter()
                .chain(arguments);
            Line::try_parse_from(line).map(|line| match line.command {
                Command::Export(export) => (export.id, export.by.query_id.clone(), export.by.is_empty()),
                _ => (None, None, true),
            })
        };
        assert_eq!(parse(&["--id", "7"]).ok(), Some((Some(7), None, true)));
        let by_query_id = Some((None, Some("7".into()), false));
        assert_eq!(parse(&["--query-id", "7"]).ok(), by_query_id);
        assert_eq!(
            parse(&["--member", "TEST/GOV/1001", "--from", "2026-01-31"]).ok(),
            Some((None, None, false))
        );
        assert!(parse(&["--member", "TEST"]).is_err());
        assert!(parse(&["--id", "x"]).is_err());
    }
}
