//! `kontor log …`: what auditors and operators ask the message log. Asks the running node; opens the log itself only when no
//! process owns it.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::clock::SystemClock;
use crate::config::{Mode, NodeConfig};
use crate::disk::SystemDisk;
use crate::globalconf;
use crate::keystore;
use crate::messagelog::{Control, LogSettings, MessageLog, OpenLog, Selection, Told, Written};
use crate::timestamper::Timestamper;

/// A search that takes longer says how far it is.
const QUIET: Duration = Duration::from_secs(2);

/// Commands on the message log.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Write the evidence of logged messages as ASiC-E containers
    #[command(long_about = "\
Write the evidence of logged messages as ASiC-E containers.

For each message two files are written: QUERYID-request-NUMBER.asice (or -response-), which `kontor verify` and X-Road's \
asicverifier read, and QUERYID-request-NUMBER.leaf.json, which ties it to its entry of the log. A message that has no \
time-stamp yet gets one first; the token is kept in the log.

A running node is asked over its control socket, so run this as the user of the node. Without a running node the \
command opens the log itself.")]
    Export(Export),
}

/// Arguments of `kontor log export`.
#[derive(Args)]
pub(super) struct Export {
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

impl Command {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Export(export) => export.run(),
        }
    }
}

impl Export {
    fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        std::fs::create_dir_all(&self.out)
            .with_context(|| format!("could not make {}", self.out.display()))?;
        let selection = match (self.which.id, &self.which.query_id) {
            (Some(number), _) => Selection::Number(number),
            (None, Some(query_id)) => Selection::QueryId(query_id.clone()),
            (None, None) => anyhow::bail!("--id or --query-id is needed"),
        };
        let socket = config.data_dir.join("control.sock");
        let control = Control::connect(&config.data_dir).with_context(|| {
            format!(
                "{} cannot be asked; run this as the user of the node",
                socket.display()
            )
        })?;
        let outcome = match control {
            Some(control) => self.ask(control, selection)?,
            None => self.open(&config, selection)?,
        };
        self.report(&outcome)
    }

    fn ask(&self, control: Control, selection: Selection) -> anyhow::Result<Outcome> {
        let (mut outcome, mut progress) = (Outcome::default(), Progress::new());
        control.export(selection, self.unstamped, &mut |told| {
            match told {
                Told::Progress(read, of) => progress.show(read, of),
                Told::Found(_) => progress.end(),
                Told::Entry(exported) => outcome.exported.push(exported.write(&self.out)?.into()),
                Told::Refused { number, code, text } => outcome.errors.push(Refusal { number, code, text }),
            }
            Ok(())
        })?;
        Ok(outcome)
    }

    /// No process listens: the log is opened as a start of the node would, repair included.
    fn open(&self, config: &NodeConfig, selection: Selection) -> anyhow::Result<Outcome> {
        let dir = &config.data_dir;
        let metadata = std::fs::metadata(dir)
            .with_context(|| format!("there is no message log in {}", dir.display()))?;
        // Files that another user made would lock the node out of its own log.
        anyhow::ensure!(
            metadata.uid() == rustix::process::geteuid().as_raw(),
            "the node does not run and {} belongs to another user; run this as that user, or start the node",
            dir.display()
        );
        let log = MessageLog::open(OpenLog {
            dir: dir.clone(),
            disk: Arc::new(SystemDisk),
            master: keystore::master_key(&config.unseal, &config.authentication.key)?,
            settings: LogSettings::default(),
            server: config.server.clone(),
            test: config.mode == Mode::Test,
            clock: Arc::new(SystemClock),
        })?;
        let trust = globalconf::stored(&dir.join("globalconf")).ok().map(Arc::new);
        let timestamper = Timestamper::new(config.timestamping_urls.clone(), Arc::new(move || trust.clone()));
        let timestamper = (!self.unstamped).then_some(timestamper);
        let mut outcome = Outcome::default();
        super::block_on(async {
            let numbers = match selection {
                Selection::Number(number) => vec![number],
                Selection::QueryId(query_id) => {
                    let mut progress = Progress::new();
                    log.find(&query_id, move |read, of| progress.show(read, of))
                        .await?
                }
            };
            for number in numbers {
                match log.export(number, timestamper.as_ref()).await {
                    Ok(exported) => outcome.exported.push(exported.write(&self.out)?.into()),
                    Err(error) => {
                        let (code, text) = (error.code().into(), error.to_string());
                        outcome.errors.push(Refusal {
                            number: Some(number),
                            code,
                            text,
                        });
                    }
                }
            }
            log.shutdown().await;
            Ok(())
        })?;
        Ok(outcome)
    }

    fn report(&self, outcome: &Outcome) -> anyhow::Result<ExitCode> {
        let nothing = outcome.exported.is_empty() && outcome.errors.is_empty();
        if self.json {
            super::print(&format!("{}\n", serde_json::to_string(outcome)?))?;
        } else {
            for files in &outcome.exported {
                super::print(&format!(
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

/// How far a search is, on standard error, once it has taken a while.
struct Progress {
    began: Instant,
    last: Option<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            last: None,
        }
    }

    fn show(&mut self, read: u64, of: u64) {
        let now = Instant::now();
        let due = self
            .last
            .is_none_or(|last| now - last >= Duration::from_millis(500));
        if now - self.began >= QUIET && due {
            self.last = Some(now);
            let _ = write!(std::io::stderr(), "\rread {read} of {of} entries");
            if read == of {
                self.end();
            }
        }
    }

    fn end(&mut self) {
        if self.last.take().is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

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
            })
        };
        assert_eq!(parse(&["--id", "7"]).ok(), Some((Some(7), None)));
        assert_eq!(parse(&["--query-id", "7"]).ok(), Some((None, Some("7".into()))));
        assert!(parse(&[]).is_err());
        assert!(parse(&["--id", "7", "--query-id", "7"]).is_err());
        assert!(parse(&["--id", "x"]).is_err());
    }
}
