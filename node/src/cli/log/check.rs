//! `kontor log check`: reads every file of the log and says what is wrong.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use clap::Args;

use super::super::print;
use super::progress::Progress;
use crate::config::NodeConfig;
use crate::disk::SystemDisk;
use crate::keystore;
use crate::messagelog::{CheckOrder, CheckReport, Control, check_unowned};

pub(super) const LONG_ABOUT: &str = "\
Read every file of the message log and say what is wrong with it: segments and their checksums, numbers without a gap, leaves \
that are the same in segment and leaf file, key files that open, content files that are there and as long as their entries \
say. A part whose key is gone must be named by a deletion. With --deep every sealed part is opened too, content files to \
their last chunk.

Nothing is changed. A running node is asked; without one the files are read as they are, which also works for a log that \
damage keeps from starting. Exit code 0: nothing is wrong; 1: findings; 2: the check could not be done.";

/// Arguments of `kontor log check`.
#[derive(Args)]
pub(in crate::cli) struct Check {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Open every sealed part as well
    #[arg(long)]
    deep: bool,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl Check {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let report = match self.report() {
            Ok(report) => report,
            Err(error) => {
                use std::io::Write as _;
                let _ = writeln!(
                    std::io::stderr(),
                    "kontor: the log could not be checked: {error:#}"
                );
                return Ok(ExitCode::from(2));
            }
        };
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            print(&in_words(&report))?;
        }
        Ok(match report.findings.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn report(&self) -> anyhow::Result<CheckReport> {
        let config = NodeConfig::read(&self.config)?;
        let (order, mut progress) = (CheckOrder { deep: self.deep }, Progress::new());
        let mut show = |read, of| progress.show(read, of);
        let control = Control::connect(&config.data_dir)
            .context("the node cannot be asked; run this as the user of the node")?;
        if let Some(control) = control {
            return control.check(order, &mut show);
        }
        let master = keystore::master_key(&config.unseal, &config.authentication.key)?;
        let disk = Arc::new(SystemDisk);
        Ok(check_unowned(&config.data_dir, disk, master, order, &mut show)?)
    }
}

fn in_words(report: &CheckReport) -> String {
    let mut text = String::new();
    for (number, finding) in (1..).zip(&report.findings) {
        let entries = match finding.entries.as_str() {
            "" => String::new(),
            entries => format!(" (entries {entries})"),
        };
        text += &format!(
            "{number}. {} [{}]: {}{entries}\n   {}\n",
            finding.file, finding.code, finding.text, finding.advice
        );
    }
    for note in &report.notes {
        text += &format!("note: {note}\n");
    }
    text += &format!(
        "read {} entries in {} segments, {} leaf files, {} key files, {} content files: {}\n",
        report.entries,
        report.segments,
        report.leaf_files,
        report.key_files,
        report.content_files,
        match report.findings.len() {
            0 => "nothing is wrong".to_owned(),
            1 => "one finding".to_owned(),
            findings => format!("{findings} findings"),
        }
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messagelog::Finding;

    #[test]
    fn findings_are_numbered_and_say_what_to_do() {
        let mut report = CheckReport {
            entries: 9,
            segments: 1,
            ..CheckReport::default()
        };
        assert_eq!(
            in_words(&report),
            "read 9 entries in 1 segments, 0 leaf files, 0 key files, 0 content files: nothing is wrong\n"
        );
        report.findings.push(Finding {
            code: "segment_damaged".into(),
            file: "log/segments/0.seg".into(),
            text: "no sound record at byte 512".into(),
            entries: "7".into(),
            advice: "restore it".into(),
        });
        assert!(in_words(&report).starts_with(
            "1. log/segments/0.seg [segment_damaged]: no sound record at byte 512 (entries 7)\n   restore it\n"
        ));
    }
}
