//! `kontor log purge`: deletes what the retention classes say is due.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::print;
use super::access::Access;
use crate::config::NodeConfig;
use crate::messagelog::{PurgeOrder, PurgeReport};

pub(super) const LONG_ABOUT: &str = "\
Delete what the retention classes say is due. A running node does this by itself every hour; see [messagelog.retention] in \
the configuration.

Deleting means: the key of each part that is due is destroyed, content files are removed, and segments are rewritten without \
what nobody can read any more. The entry itself, its leaf and all proofs stay; each deletion is an entry of its own with rule \
and ground. Entries on hold (`kontor log hold`) are left alone. This cannot be undone, but for copies of log/keys.

Try it with --dry-run first.";

/// Arguments of `kontor log purge`.
#[derive(Args)]
pub(in crate::cli) struct Purge {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Say what is due and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Why it is done now; stands in the log
    #[arg(long, value_name = "TEXT", default_value = "retention")]
    ground: String,
    /// Print what was deleted as JSON
    #[arg(long)]
    json: bool,
}

impl Purge {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let order = PurgeOrder {
            ground: self.ground.clone(),
            dry_run: self.dry_run,
        };
        let report = Access::to(&config)?.ask(|control| control.purge(order))?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            print(&in_words(&report, self.dry_run))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(report: &PurgeReport, dry_run: bool) -> String {
    let mut text = String::new();
    for deletion in &report.deletions {
        let said = &deletion.said;
        let by = deletion
            .entry
            .map(|entry| format!(", recorded as entry {entry}"))
            .unwrap_or_default();
        let verb = if dry_run { "due" } else { "deleted" };
        text += &format!(
            "{verb}: {} of {} entries of {}-{:02}, rule {}{by}\n",
            said.part,
            said.entries,
            said.month / 100,
            said.month % 100,
            said.rule
        );
    }
    if report.deletions.is_empty() {
        text += "nothing is due\n";
    }
    if report.on_hold > 0 {
        text += &format!("on hold: {} parts that would be due\n", report.on_hold);
    }
    if !dry_run && !report.deletions.is_empty() {
        text += &format!(
            "{} content files removed, {} segments rewritten\n",
            report.content_files, report.segments
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messagelog::{Deleted, PurgedPart};

    #[test]
    fn a_purge_says_what_went_by_which_rule_and_entry() {
        let said = Deleted {
            rule: "days = 7d".into(),
            part: "body".into(),
            class: "days".into(),
            month: 203_001,
            whole_month: false,
            ground: "retention".into(),
            entries: 41,
        };
        let mut report = PurgeReport {
            deletions: vec![PurgedPart {
                entry: Some(42),
                said,
            }],
            on_hold: 2,
            content_files: 1,
            segments: 0,
        };
        assert_eq!(
            in_words(&report, false),
            "deleted: body of 41 entries of 2030-01, rule days = 7d, recorded as entry 42\n\
             on hold: 2 parts that would be due\n1 content files removed, 0 segments rewritten\n"
        );
        report.deletions[0].entry = None;
        assert!(in_words(&report, true).starts_with("due: body of 41 entries of 2030-01, rule days = 7d\n"));
        assert_eq!(in_words(&PurgeReport::default(), true), "nothing is due\n");
    }
}
