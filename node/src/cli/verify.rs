//! `kontor verify`: judges evidence containers, archives and packages offline, by a configuration that the one who asks decides to
//! trust.
//!
//! Owns arguments, files, and exit codes; the judgement is [`kontor_protocol::container::check`], and for archives
//! [`kontor_protocol::archive`], for packages [`kontor_protocol::package`] besides. Needs neither a node nor the network, and no file but those named on the
//! command line and the companions beside them.

mod archive;
mod bundle;
mod course;
mod package;
mod progress;
mod statement;

use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use kontor_pki::time::UnixTime;
use kontor_protocol::container::check::{Question, Verdicts, check_record, check_with};
use kontor_protocol::container::{Reason, Report, Verdict};
use kontor_protocol::limits;
use kontor_protocol::package::cover::Language;
use kontor_protocol::trust::TrustSet;
use serde::Serialize;

use self::progress::Progress;
use crate::globalconf;

pub(super) const LONG_ABOUT: &str = "\
Check evidence containers (ASiC-E, *.asice), statements (*.statement.json), archives of a message log (mlog-*.zip) and evidence packages offline.

For each file the report says who signed what and when, whether that holds, and why not. Nothing is asked of any node \
or network: who is believed stands in the directory given by --trust, a copy of a global configuration \
(instance-identifier and INSTANCE/shared-params.xml, as a node keeps it in its data directory and as X-Road's \
/verificationconf gives it). Take that copy from a place you trust; that its term is over is told, not judged.

Certificates are judged at the instant of the time-stamp. A container without one is incomplete, and is judged at \
--at or else at the time the signer states. Where there is a time-stamp, --at never replaces it: the report says \
besides whether the proof is still sound then.

If NAME.leaf.json lies beside NAME.asice it is checked too: it ties the message to its entry in a node's log. So is NAME.ers, its \
evidence record (RFC 4998): that every file of the container was in the first hash tree, and that each time-stamp, beginning \
with that of the container, was renewed while its certificate lasted. With --at the report says until when the last one carries it.

Where the content of a message was deleted, NAME.statement.json takes the place of its container. What is checked is that the \
entry is in its log, and that the entries that say what was deleted, under which rule and on which ground, are in the same log \
and name it. The report says what is left to prove with it. It is incomplete where nothing explains what is missing.

An archive holds containers and continues the archive before it by a chain of digests. Name all archives, or the \
directory they are in: they are put into order, and each container in them is judged. Say --first if the chain must begin \
with the first archive of all, or --previous DIGEST with the digest that the last check ended with; without either, an \
archive whose predecessor is not there is incomplete. Encrypted archives (*.gpg) must be decrypted before.

An evidence package (a ZIP file with manifest.json) holds containers, their companions and a global configuration. Every \
file is compared with the manifest, every container is judged. Without --trust the configuration in the package is used: \
that proves only that the package fits together, and the verdict is undecided at best. Where messages of a transfer of an \
application are in it, they are replayed: the report says step by step what was said, which member was responsible when, and how \
it ended. Where messages of a participation are in it, the report says of each request who was asked what, until when and why, what \
was shown to whom, who answered when and whether in time, what silence meant, and how it stands; and of each round what came of \
its requests. What could not have been said then is a contradiction, and the package invalid; where a message or a receipt is \
missing, it is incomplete. What several packages hold of one procedure is judged as one: what one house lacks another may have.

Verdicts: valid; invalid (cryptography fails, parts contradict each other, the archive is damaged); incomplete (what is \
there holds, but a time-stamp or a part is missing); undecided (DIR does not know an authority or instance).

Exit code: that of the worst file: 0 valid, 1 invalid, 2 incomplete or undecided; 64 wrong usage.";

/// Arguments of `kontor verify`.
#[derive(Args)]
pub(super) struct Verify {
    /// Evidence containers, statements, archives, packages, or directories with them
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Directory of the global configuration to trust; needed but for packages
    #[arg(long, value_name = "DIR")]
    trust: Option<PathBuf>,
    /// Instant to judge by where there is no time-stamp, such as 2026-01-31T12:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    at: Option<UnixTime>,
    /// Chains of archives must begin with a first archive
    #[arg(long, conflicts_with = "previous")]
    first: bool,
    /// Digest that the earliest archive must continue
    #[arg(long, value_name = "DIGEST")]
    previous: Option<String>,
    /// Language of what is said about transfers and participation: de or en
    #[arg(long, default_value = "en", value_parser = language)]
    language: Language,
    /// Write one JSON object a line for each container, statement and archive
    #[arg(long)]
    json: bool,
}

fn language(text: &str) -> Result<Language, String> {
    match text {
        "de" => Ok(Language::German),
        "en" => Ok(Language::English),
        _ => Err("de or en".to_owned()),
    }
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
        let asked = self.files().and_then(|files| Ok((files, self.trusted()?)));
        let (files, trust) = match asked {
            Ok(asked) => asked,
            Err(error) => return super::refuse(&error),
        };
        for problem in trust.iter().flat_map(TrustSet::problems) {
            super::note(problem);
        }
        let (packages, others): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|file| package::is_package(file));
        let (statements, others): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|file| statement::is_statement(file));
        let (archives, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|file| is_archive(file));
        let mut worst = match &trust {
            Some(trust) => self
                .containers_and_archives(&others, &archives, trust)?
                .max(self.statements(&statements, trust)?),
            None if others.is_empty() && archives.is_empty() && statements.is_empty() => Verdict::Valid,
            None => {
                let text = "say --trust DIR: the global configuration by which containers, statements and archives are judged";
                return super::refuse(&anyhow!(text));
            }
        };
        worst = worst.max(self.packages(&packages, trust.as_ref())?);
        Ok(ExitCode::from(match worst {
            Verdict::Valid => 0,
            Verdict::Invalid => 1,
            Verdict::Incomplete | Verdict::Undecided => 2,
        }))
    }

    /// The files that were named, and those in the directories that were named.
    fn files(&self) -> anyhow::Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for path in &self.files {
            if !path.is_dir() {
                if !path.is_file() {
                    bail!("{} is no file", path.display());
                }
                files.push(path.clone());
                continue;
            }
            let entries = std::fs::read_dir(path).with_context(|| path.display().to_string())?;
            let inside: Result<Vec<_>, _> = entries.map(|entry| entry.map(|entry| entry.path())).collect();
            let mut inside = inside.with_context(|| path.display().to_string())?;
            inside.retain(|file| file.is_file() && is_evidence(file));
            if inside.is_empty() {
                bail!(
                    "{} has neither containers (*.asice) nor statements (*.statement.json) nor archives (*.zip)",
                    path.display()
                );
            }
            inside.sort();
            files.append(&mut inside);
        }
        Ok(files)
    }

    fn containers_and_archives(
        &self,
        containers: &[PathBuf],
        archives: &[PathBuf],
        trust: &TrustSet,
    ) -> anyhow::Result<Verdict> {
        let mut worst = Verdict::Valid;
        let (mut verdicts, mut progress) = (Verdicts::new(), Progress::new(containers.len()));
        for file in containers.iter().filter(|file| !is_beside(file, containers)) {
            let report = judge(file, trust, self.at, &mut verdicts);
            worst = worst.max(report.verdict);
            progress.clear();
            self.say(file, &report)?;
            progress.done(1);
        }
        progress.end();
        Ok(worst.max(self.archives(archives, trust)?))
    }

    fn trusted(&self) -> anyhow::Result<Option<TrustSet>> {
        let Some(dir) = &self.trust else {
            return Ok(None);
        };
        let trust = globalconf::stored(dir);
        trust
            .map(Some)
            .map_err(|reason| anyhow!("{} cannot be used: {reason}", dir.display()))
    }

    fn say(&self, file: &Path, report: &Report) -> anyhow::Result<()> {
        let name = shown(file);
        match self.json {
            true => super::print(&(serde_json::to_string(&Line { file: &name, report })? + "\n")),
            false => super::print_words(&format!("{name}: {}\n", report.in_words())),
        }
        .map(drop)
    }
}

/// What is looked at in a directory.
fn is_evidence(file: &Path) -> bool {
    let known = |extension: &std::ffi::OsStr| ["asice", "gpg", "zip"].iter().any(|known| extension == *known);
    file.extension().is_some_and(known) || statement::is_statement(file)
}

/// Archives have a `linkinginfo`; a file that only has the name of an archive is judged as one and told what it lacks.
fn is_archive(file: &Path) -> bool {
    let named = file
        .extension()
        .is_some_and(|extension| extension == "gpg" || extension == "zip");
    named || File::open(file).is_ok_and(|file| kontor_protocol::archive::is_archive(BufReader::new(file)))
}

/// `NAME.leaf.json` and `NAME.ers` on the command line, as `DIR/*` puts them there, are judged with their container.
fn is_beside(file: &Path, others: &[PathBuf]) -> bool {
    let name = file.to_str().and_then(|name| {
        let companion = name.strip_suffix(".leaf.json");
        companion.or_else(|| name.strip_suffix(".ers"))
    });
    name.is_some_and(|name| others.contains(&PathBuf::from(format!("{name}.asice"))))
}

/// The name of a file on one line.
fn shown(file: &Path) -> String {
    super::plain(&file.to_string_lossy()).replace('\n', "\u{FFFD}")
}

/// Judges one file. A file that cannot be read is no evidence either way.
fn judge(file: &Path, trust: &TrustSet, at: Option<UnixTime>, verdicts: &mut Verdicts) -> Report {
    let mut read = || -> anyhow::Result<Report> {
        let companion = beside(file, "leaf.json", limits::CONTAINER_ENTRY)?;
        let record = beside(file, "ers", limits::EVIDENCE_RECORD)?;
        let archive = BufReader::new(File::open(file)?);
        let question = Question {
            trust,
            at,
            companion: companion.as_deref(),
        };
        let mut report = check_with(archive, &question, verdicts);
        if let Some(record) = record {
            check_record(BufReader::new(File::open(file)?), &record, &question, &mut report);
        }
        Ok(report)
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

/// The content of `NAME.EXTENSION` beside `NAME.asice`.
fn beside(file: &Path, extension: &str, limit: usize) -> anyhow::Result<Option<Vec<u8>>> {
    let Some(name) = file.to_str().and_then(|name| name.strip_suffix(".asice")) else {
        return Ok(None);
    };
    let path = PathBuf::from(format!("{name}.{extension}"));
    if !path.exists() {
        return Ok(None);
    }
    bounded(&path, limit).map(Some)
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
