//! `kontor log search`: which entries there are.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use kontor_protocol::log::EntryKind;

use super::super::print;
use super::access::Access;
use super::filter::{self, By};
use super::progress::Progress;
use crate::config::NodeConfig;
use crate::messagelog::{Filter, FoundEntry, PartState, SearchTold};

pub(super) const LONG_ABOUT: &str = "\
List entries of the message log, the oldest first.

Everything given must hold; without any option every entry is listed. Query ids and parties are found by an index. While \
it is made anew in the background the rest of the log is read, which takes longer: the command then says how far the \
index is, and its answer is whole all the same. What was deleted is not found by query id, and still by parties and time.

With --json each entry is one JSON object on a line of its own. Next steps: `kontor log show --config FILE NUMBER` and \
`kontor log export`.

Exit code: 0 if there is an entry, 1 if there is none, 64 wrong usage.";

/// Arguments of `kontor log search`.
#[derive(Args)]
pub(in crate::cli) struct Search {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    by: By,
    /// Kind of entries, such as request, response, failure-closure, time-stamp or deletion
    #[arg(long, value_name = "KIND", value_parser = filter::kind)]
    kind: Option<EntryKind>,
    /// Entries with this number or a greater one
    #[arg(long, value_name = "N", default_value_t = 0)]
    first: u64,
    /// List so many at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: u64,
    /// Write one JSON object a line for each entry
    #[arg(long)]
    json: bool,
}

impl Search {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let filter = Filter {
            kind: self.kind,
            first: self.first,
            ..self.by.filter()
        };
        let (mut count, mut more, mut progress) = (0, None, Progress::new());
        Access::to(&config)?.ask(|control| {
            control.search(&filter, self.limit, &mut |told| {
                match told {
                    SearchTold::Partial(indexed, of) => progress.partial(indexed, of),
                    SearchTold::Progress(read, of) => progress.show(read, of),
                    SearchTold::More(first) => more = Some(first),
                    SearchTold::Found(found) => {
                        progress.end();
                        count += 1;
                        if self.json {
                            print(&format!("{}\n", serde_json::to_string(&found)?))?;
                        } else {
                            print(&line(&found))?;
                        }
                    }
                }
                Ok(())
            })
        })?;
        drop(progress);
        if let Some(first) = more {
            super::super::note(&format!(
                "there are more than {}; go on with --first {first}, or ask with a greater --limit",
                self.limit
            ));
        }
        if count == 0 {
            super::super::note("no entry fits; what was deleted is not found by query id");
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An entry on one line: number, time, what, who and which service, query id, what is deleted.
fn line(found: &FoundEntry) -> String {
    let kind = match &found.direction {
        Some(direction) => format!("{} {direction}", found.kind),
        None => found.kind.clone(),
    };
    let parties = match (&found.client, &found.service) {
        (Some(client), Some(service)) => format!("{client} > {service}"),
        (Some(one), None) | (None, Some(one)) => one.clone(),
        (None, None) => "-".into(),
    };
    let parts = [
        ("head", found.head),
        ("body", found.body),
        ("evidence", found.evidence),
    ];
    let mut line = format!(
        "{:>10}  {}  {kind:<22}  {parties}  {}",
        found.number,
        found.at,
        // A query id is text of others: it must not move the cursor.
        found.query_id.as_deref().unwrap_or("-").escape_debug(),
    );
    for gone in [PartState::Deleted, PartState::Archived] {
        let names: Vec<&str> = parts
            .iter()
            .filter(|(_, state)| *state == gone)
            .map(|(name, _)| *name)
            .collect();
        if !names.is_empty() {
            line += &format!("  ({} {})", names.join(", "), gone.name());
        }
    }
    line + "\n"
}
