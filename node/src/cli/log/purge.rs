//! `kontor log purge`: deletes what the retention classes say is due, or given entries on an order.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::{print, refuse};
use super::access::Access;
use crate::config::NodeConfig;
use crate::messagelog::{GivenAsked, Part, PurgeAsked, PurgeReport};

pub(super) const LONG_ABOUT: &str = "\
Delete what the retention classes say is due. A running node does this by itself every hour; see [messagelog.retention] in \
the configuration.

With --numbers or --query-id it deletes these entries whatever their classes say, as a court or a person's right to erasure \
may order: all of them or, with --parts, only what is named. The order is recorded with ground, with who ordered it (--by) \
and with the user who gave it. Entries on hold refuse the whole order. Entries about the log itself (time-stamps, holds, \
deletions …) name nobody and stay.

Deleting means: the key of each part that is due is destroyed, content files are removed, and segments are rewritten without \
what nobody can read any more. The entry itself, its leaf and all proofs stay; each deletion is an entry of its own with rule \
and ground. Entries on hold (`kontor log hold`) are left alone. This cannot be undone, but for copies of log/keys.

Try it with --dry-run first:

  kontor log purge --config node.toml --dry-run
  kontor log purge --config node.toml --numbers 12,40-57 --ground 'Art. 17 GDPR' --by 'request 3/2030' --dry-run
  kontor log purge --config node.toml --query-id d5bd7d86-8c5e --parts body --ground 'Art. 17 GDPR' --yes";

/// Arguments of `kontor log purge`.
#[derive(Args)]
pub(in crate::cli) struct Purge {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Say what is due, or what the order deletes, and delete nothing
    #[arg(long)]
    dry_run: bool,
    /// Why it is done now; stands in the log. An order must say it
    #[arg(long, value_name = "TEXT")]
    ground: Option<String>,
    #[command(flatten)]
    given: Entries,
    /// Who ordered it, for example a court and its case; stands in the log
    #[arg(long, value_name = "TEXT", requires = "entries")]
    by: Option<String>,
    /// Only these parts of each entry: head, body, evidence
    #[arg(long, value_name = "PARTS", value_delimiter = ',', requires = "entries")]
    parts: Vec<Part>,
    /// Carry out an order without asking
    #[arg(long, requires = "entries")]
    yes: bool,
    /// Print what was deleted as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(id = "entries", multiple = false)]
struct Entries {
    /// Delete these entries, for example 3-9,12
    #[arg(long, value_name = "LIST")]
    numbers: Option<String>,
    /// Delete every message with this query id (x-road-id)
    #[arg(long, value_name = "ID")]
    query_id: Option<String>,
}

impl Purge {
    fn asked(&self, dry_run: bool) -> PurgeAsked {
        let Entries { numbers, query_id } = &self.given;
        let given = (numbers.is_some() || query_id.is_some()).then(|| GivenAsked {
            numbers: numbers.clone(),
            query_id: query_id.clone(),
            parts: self.parts.clone(),
            by: self.by.clone(),
        });
        PurgeAsked {
            ground: self.ground.clone().unwrap_or_else(|| "retention".into()),
            dry_run,
            given,
        }
    }

    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let is_order = self.given.numbers.is_some() || self.given.query_id.is_some();
        if is_order && self.ground.is_none() {
            return refuse(&anyhow::anyhow!(
                "an order of deletion names its ground with --ground; it stands in the log"
            ));
        }
        let config = NodeConfig::read(&self.config)?;
        if is_order && !self.dry_run && !self.yes {
            if self.json || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
                return refuse(&anyhow::anyhow!(
                    "nobody can be asked here whether to delete; try it with --dry-run, then say --yes"
                ));
            }
            let planned = Access::to(&config)?.ask(|control| control.purge(self.asked(true)))?;
            print(&in_words(&planned, true, true))?;
            if planned.deletions.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            eprint!("This cannot be undone. Type yes to delete: ");
            let mut line = String::new();
            std::io::stdin().read_line(&mut line)?;
            if line.trim() != "yes" {
                print("nothing was deleted\n")?;
                return Ok(ExitCode::FAILURE);
            }
        }
        let report = Access::to(&config)?.ask(|control| control.purge(self.asked(self.dry_run)))?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&report)?))?;
        } else {
            print(&in_words(&report, self.dry_run, is_order))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(report: &PurgeReport, dry_run: bool, is_order: bool) -> String {
    let mut text = String::new();
    for deletion in &report.deletions {
        let said = &deletion.said;
        let by = deletion
            .entry
            .map(|entry| format!(", recorded as entry {entry}"))
            .unwrap_or_default();
        let verb = match (dry_run, is_order) {
            (true, true) => "to be deleted",
            (true, false) => "due",
            (false, _) => "deleted",
        };
        text += &format!(
            "{verb}: {} of {} entries of {}-{:02}, rule {}{by}\n",
            said.part,
            said.entries,
            said.month / 100,
            said.month % 100,
            said.rule
        );
        if let Some(copies) = &said.archived {
            let further = match copies.further {
                0 => String::new(),
                further => format!(" and {further} more"),
            };
            text += &format!(
                "  copies of {} of them lie in archives, which this does not reach: {}{further}\n",
                copies.entries,
                copies.files.join(", ")
            );
        }
    }
    if report.deletions.is_empty() {
        text += match is_order {
            true => "nothing is left to delete of these entries\n",
            false => "nothing is due\n",
        };
    }
    if report.already > 0 {
        text += &format!("{} parts were deleted before\n", report.already);
    }
    if !report.left.is_empty() {
        let entries: Vec<_> = report
            .left
            .iter()
            .take(10)
            .map(|left| format!("{} ({})", left.number, left.kind))
            .collect();
        let more = if report.left.len() > 10 { " …" } else { "" };
        text += &format!("about the log itself, and left: {}{more}\n", entries.join(", "));
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
            by: None,
            who: None,
            archived: None,
        };
        let mut report = PurgeReport {
            deletions: vec![PurgedPart {
                entry: Some(42),
                said,
            }],
            on_hold: 2,
            content_files: 1,
            segments: 0,
            ..PurgeReport::default()
        };
        assert_eq!(
            in_words(&report, false, false),
            "deleted: body of 41 entries of 2030-01, rule days = 7d, recorded as entry 42\n\
             on hold: 2 parts that would be due\n1 content files removed, 0 segments rewritten\n"
        );
        report.deletions[0].entry = None;
        let dry = in_words(&report, true, false);
        assert!(dry.starts_with("due: body of 41 entries of 2030-01, rule days = 7d\n"));
        assert_eq!(in_words(&PurgeReport::default(), true, false), "nothing is due\n");
    }

    #[test]
    fn an_order_says_what_it_leaves() {
        let left = crate::messagelog::LeftEntry {
            number: 9,
            kind: "time-stamp".into(),
        };
        let report = PurgeReport {
            left: vec![left],
            already: 3,
            ..PurgeReport::default()
        };
        assert_eq!(
            in_words(&report, false, true),
            "nothing is left to delete of these entries\n3 parts were deleted before\n\
             about the log itself, and left: 9 (time-stamp)\n"
        );
    }

    #[test]
    fn an_order_names_entries_in_one_way_and_parts_by_their_names() {
        use clap::Parser;

        #[derive(Parser)]
        struct Line {
            #[command(subcommand)]
            command: super::super::Command,
        }
        let parse = |arguments: &[&str]| {
            let line = ["log", "purge", "--config", "a.toml"].iter().chain(arguments);
            Line::try_parse_from(line).ok().map(|line| match line.command {
                super::super::Command::Purge(purge) => purge.asked(false),
                _ => panic!("another command"),
            })
        };
        assert_eq!(parse(&[]).map(|asked| asked.given), Some(None));
        let order = parse(&[
            "--numbers",
            "3-9",
            "--parts",
            "head,body",
            "--ground",
            "g",
            "--by",
            "b",
        ]);
        let given = order.unwrap().given.unwrap();
        assert_eq!(
            (given.numbers.as_deref(), given.parts, given.by.as_deref()),
            (Some("3-9"), vec![Part::Head, Part::Body], Some("b"))
        );
        assert_eq!(
            parse(&["--numbers", "3", "--query-id", "7", "--ground", "g"]),
            None
        );
        assert_eq!(
            parse(&["--numbers", "3", "--parts", "leaf", "--ground", "g"]),
            None
        );
        assert_eq!(parse(&["--by", "b"]), None);
        assert_eq!(parse(&["--yes"]), None);
    }
}
