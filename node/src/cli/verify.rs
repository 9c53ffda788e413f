//! `kontor verify`: judges evidence containers offline, by a configuration that the one who asks decides to trust.
//!
//! Owns arguments, files, and exit codes; the judgement is [`kontor_protocol::container::check`]. Needs neither a
//! node nor the network, and no file but those named on the command line and the companions beside them.

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use kontor_pki::time::UnixTime;
use kontor_protocol::container::check::{Question, check};
use kontor_protocol::container::{Reason, Report, Verdict};
use kontor_protocol::limits;
use kontor_protocol::trust::TrustSet;
use serde::Serialize;

use crate::globalconf;

pub(super) const LONG_ABOUT: &str = "\
Check evidence containers (ASiC-E, *.asice) offline.

For each file the report says who signed what and when, whether that holds, and why not. Nothing is asked of any node \
or network: who is believed stands in the directory given by --trust, a copy of a global configuration \
(instance-identifier and INSTANCE/shared-params.xml, as a node keeps it in its data directory and as X-Road's \
/verificationconf gives it). Take that copy from a place you trust; that its term is over is told, not judged.

Certificates are judged at the instant of the time-stamp. A container without one is incomplete, and is judged at \
--at or else at the time the signer states. Where there is a time-stamp, --at never replaces it: the report says \
besides whether the proof is still sound then.

If NAME.leaf.json lies beside NAME.asice it is checked too: it ties the message to its entry in a node's log.

Verdicts: valid; invalid (cryptography fails, parts contradict each other, the archive is damaged); incomplete (what is \
there holds, but a time-stamp or a part is missing); undecided (DIR does not know an authority or instance).

Exit code: that of the worst file: 0 valid, 1 invalid, 2 incomplete or undecided; 64 wrong usage.";

/// Arguments of `kontor verify`.
#[derive(Args)]
pub(super) struct Verify {
    /// Evidence containers
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Directory of the global configuration to trust
    #[arg(long, value_name = "DIR")]
    trust: PathBuf,
    /// Instant to judge by where there is no time-stamp, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<UnixTime>,
    /// Write one JSON object a line for each file
    #[arg(long)]
    json: bool,
}

fn instant(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse_rfc3339(text).map_err(|_| "write it like 2026-01-31T12:00:00Z".to_owned())
}

#[derive(Serialize)]
struct Line<'a> {
    file: &'a str,
    #[serde(flatten)]
    report: &'a Report,
}

impl Verify {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let trust = match self.trusted() {
            Ok(trust) => trust,
            Err(error) => return super::refuse(&error),
        };
        for problem in trust.problems() {
            super::note(problem);
        }
        let mut worst = Verdict::Valid;
        for file in self
            .files
            .iter()
            .filter(|file| !self.is_companion_of_another(file))
        {
            let report = judge(file, &trust, self.at);
            worst = worst.max(report.verdict);
            super::print(&self.shown(file, &report)?)?;
        }
        Ok(ExitCode::from(match worst {
            Verdict::Valid => 0,
            Verdict::Invalid => 1,
            Verdict::Incomplete | Verdict::Undecided => 2,
        }))
    }

    /// The configuration to judge by, once it is clear that there is something to judge.
    fn trusted(&self) -> anyhow::Result<TrustSet> {
        if let Some(file) = self.files.iter().find(|file| !file.is_file()) {
            bail!("{} is no file", file.display());
        }
        globalconf::stored(&self.trust)
            .map_err(|reason| anyhow!("{} cannot be used: {reason}", self.trust.display()))
    }

    /// `NAME.leaf.json` on the command line, as `DIR/*` puts it there, is judged with its container.
    fn is_companion_of_another(&self, file: &Path) -> bool {
        let name = file.to_str().and_then(|name| name.strip_suffix(".leaf.json"));
        name.is_some_and(|name| self.files.contains(&PathBuf::from(format!("{name}.asice"))))
    }

    fn shown(&self, file: &Path, report: &Report) -> anyhow::Result<String> {
        let name: String = file
            .to_string_lossy()
            .chars()
            .map(|c| if c.is_control() { '\u{FFFD}' } else { c })
            .collect();
        if self.json {
            return Ok(serde_json::to_string(&Line { file: &name, report })? + "\n");
        }
        Ok(format!("{name}: {}\n", report.in_words()))
    }
}

/// Judges one file. A file that cannot be read is no evidence either way.
fn judge(file: &Path, trust: &TrustSet, at: Option<UnixTime>) -> Report {
    let read = || -> anyhow::Result<Report> {
        let companion = companion(file)?;
        let archive = BufReader::new(File::open(file)?);
        Ok(check(
            archive,
            &Question {
                trust,
                at,
                companion: companion.as_deref(),
            },
        ))
    };
    read().unwrap_or_else(|error| {
        let code = "io_error".to_owned();
        let text = format!("the file cannot be read: {error:#}");
        Report::refused(
            trust,
            Reason {
                code,
                text,
                verdict: Verdict::Undecided,
            },
        )
    })
}

/// The content of `NAME.leaf.json` beside `NAME.asice`.
fn companion(file: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".asice")) else {
        return Ok(None);
    };
    let path = PathBuf::from(format!("{name}.leaf.json"));
    if !path.exists() {
        return Ok(None);
    }
    bounded(&path, limits::CONTAINER_ENTRY).map(Some)
}

/// A file of at most `limit` bytes.
fn bounded(path: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let at = || path.display().to_string();
    let mut content = Vec::new();
    let file = File::open(path).with_context(at)?;
    file.take(limit as u64 + 1)
        .read_to_end(&mut content)
        .with_context(at)?;
    if content.len() > limit {
        bail!("{} has more than {limit} bytes", path.display());
    }
    Ok(content)
}
