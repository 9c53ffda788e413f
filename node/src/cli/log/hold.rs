//! `kontor log hold`: keeps entries from deletion, and ends that.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::super::{note, print};
use super::access::Access;
use crate::config::NodeConfig;
use crate::messagelog::HoldOrder;

pub(super) const LONG_ABOUT: &str = "\
Keep entries from deletion (legal hold), end a hold, or list the holds in force.

A hold names entries by number or by query id and the ground; nothing of them is deleted until it is released, whatever the \
retention classes say. Hold and release are entries of the log and name the user who ordered them.

  kontor log hold --config node.toml --numbers 120-180,200 --ground 'case 4 C 17/30'
  kontor log hold --config node.toml --query-id d5bd7d86-8c5e --ground 'case 4 C 17/30'
  kontor log hold --config node.toml --list
  kontor log hold --config node.toml --release 517 --ground 'case closed'";

/// Arguments of `kontor log hold`.
#[derive(Args)]
pub(in crate::cli) struct Hold {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    which: Which,
    /// Why; stands in the log
    #[arg(long, value_name = "TEXT", required_unless_present = "list")]
    ground: Option<String>,
    /// Print the holds as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// Entries by number, for example 3-9,12
    #[arg(long, value_name = "LIST")]
    numbers: Option<String>,
    /// Every message with this query id (x-road-id)
    #[arg(long, value_name = "ID")]
    query_id: Option<String>,
    /// End the hold of this entry
    #[arg(long, value_name = "N")]
    release: Option<u64>,
    /// List the holds in force
    #[arg(long)]
    list: bool,
}

impl Hold {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let (list, released) = (self.which.list, self.which.release.is_some());
        let holds = Access::to(&config)?.ask(|control| control.hold(self.which.order(self.ground)))?;
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&holds)?))?;
            return Ok(ExitCode::SUCCESS);
        }
        if holds.is_empty() {
            print("no hold is in force\n")?;
        }
        for hold in &holds {
            print(&match (list, released) {
                (false, true) => format!(
                    "released, recorded as entry {}: {} entries ({})\n",
                    hold.entry, hold.entries, hold.numbers
                ),
                (false, false) => format!(
                    "on hold, recorded as entry {}: {} entries ({}); end it with --release {}\n",
                    hold.entry, hold.entries, hold.numbers, hold.entry
                ),
                (true, _) => format!(
                    "{}: {} entries ({}), {}, by {}\n",
                    hold.entry, hold.entries, hold.numbers, hold.ground, hold.who
                ),
            })?;
            if let Some(copies) = &hold.archived {
                note(&format!(
                    "the content of {} of them lies in archives only, which a hold does not keep: see that {} {} there",
                    copies.entries,
                    copies.files.join(", "),
                    match copies.further {
                        0 => "stay".to_owned(),
                        further => format!("and {further} more stay"),
                    }
                ));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Which {
    fn order(self, ground: Option<String>) -> HoldOrder {
        let ground = ground.unwrap_or_default();
        match (self.numbers, self.query_id, self.release) {
            (Some(numbers), ..) => HoldOrder::Numbers { numbers, ground },
            (_, Some(query_id), _) => HoldOrder::QueryId { query_id, ground },
            (.., Some(hold)) => HoldOrder::Release { hold, ground },
            (None, None, None) => HoldOrder::List,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::Command;
    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        command: Command,
    }

    #[test]
    fn a_hold_names_one_thing_and_its_ground() {
        let parse = |arguments: &[&str]| {
            let line = ["log", "hold", "--config", "a.toml"].iter().chain(arguments);
            Line::try_parse_from(line).ok().map(|line| match line.command {
                Command::Hold(hold) => hold.which.order(hold.ground),
                _ => panic!("another command"),
            })
        };
        let numbers = HoldOrder::Numbers {
            numbers: "3-9".into(),
            ground: "g".into(),
        };
        assert_eq!(parse(&["--numbers", "3-9", "--ground", "g"]), Some(numbers));
        let release = HoldOrder::Release {
            hold: 7,
            ground: "g".into(),
        };
        assert_eq!(parse(&["--release", "7", "--ground", "g"]), Some(release));
        assert_eq!(parse(&["--list"]), Some(HoldOrder::List));
        assert_eq!(parse(&["--numbers", "3"]), None, "no ground");
        assert_eq!(
            parse(&["--numbers", "3", "--release", "7", "--ground", "g"]),
            None
        );
        assert_eq!(parse(&["--ground", "g"]), None);
    }
}
