//! `kontor log show`: one entry, what its leaf says and what is still there of it.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::super::{note, print};
use super::access::Access;
use crate::config::NodeConfig;
use crate::messagelog::{PartState, ShownEntry};

pub(super) const LONG_ABOUT: &str = "\
Show one entry of the message log: what its leaf says, what is still there of it, what was deleted, and what covers it.

The body is never shown; --body writes it to a file that must not exist yet. The message with its signature comes with \
`kontor log export`, which writes what can be proven to others.";

/// Arguments of `kontor log show`.
#[derive(Args)]
pub(in crate::cli) struct Show {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Number of the entry
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// Write the body, if it is there, to this file
    #[arg(long, value_name = "OUT")]
    body: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let mut body_state = PartState::There;
        Access::to(&config)?.ask(|control| {
            control.show(self.number, self.body.is_some(), &mut |shown, pieces| {
                body_state = shown.found.body;
                if self.json {
                    print(&format!("{}\n", serde_json::to_string(&shown)?))?;
                } else {
                    print(&page(&shown))?;
                }
                if let (Some(path), Some(mut pieces)) = (&self.body, pieces) {
                    let mut write = || {
                        let mut file = OpenOptions::new()
                            .write(true)
                            .create_new(true)
                            .mode(0o600)
                            .open(path)?;
                        while let Some(piece) = pieces()? {
                            file.write_all(&piece)?;
                        }
                        file.sync_all()
                    };
                    write().with_context(|| format!("could not write {}", path.display()))?;
                }
                Ok(())
            })
        })?;
        match (&self.body, body_state) {
            (Some(_), PartState::None) => note("the message has no body; nothing was written"),
            (Some(_), PartState::Deleted) => note("the body is deleted; nothing was written"),
            (Some(_), PartState::Archived) => {
                note("the body lies in an archive only; `kontor log export` takes it from there");
            }
            _ => return Ok(ExitCode::SUCCESS),
        }
        Ok(ExitCode::FAILURE)
    }
}

fn page(shown: &ShownEntry) -> String {
    let mut page = String::new();
    let mut line = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            page += &format!("{name:<24}{}\n", value.escape_debug());
        }
    };
    let found = &shown.found;
    let kind = match &found.direction {
        Some(direction) => format!("{} {direction}", found.kind),
        None => found.kind.clone(),
    };
    line("entry", Some(&found.number.to_string()));
    line("kind", Some(&kind));
    line("logged", Some(shown.logged.as_ref().unwrap_or(&found.at)));
    line("client", found.client.as_deref());
    line("service", found.service.as_deref());
    line("client server", found.client_server.as_deref());
    line("provider server", found.provider_server.as_deref());
    line("query id", found.query_id.as_deref());
    line("request id", shown.request_id.as_deref());
    line(
        "answers",
        shown.answers.map(|number| format!("entry {number}")).as_deref(),
    );
    line("fault", shown.fault.as_deref());
    if let Some((count, first, last)) = shown.covers {
        line("covers", Some(&format!("{count} entries from {first} to {last}")));
    }
    line("time-stamp", shown.stamped.as_deref());
    if let Some(archive) = &shown.archive {
        let body = if archive.body { "" } else { ", without its body" };
        let at = archive.place.as_ref().map(|place| format!(" in {place}"));
        line(
            "archive",
            Some(&format!(
                "{}{}{body}, entry {}",
                archive.file,
                at.unwrap_or_default(),
                archive.entry
            )),
        );
        line("archive digest", Some(&archive.digest));
    }
    line("test", found.test.then_some("yes"));
    for (name, state, class) in [
        ("head", found.head, &shown.retention[0]),
        ("body", found.body, &shown.retention[1]),
        ("evidence", found.evidence, &shown.retention[2]),
    ] {
        let class = class.as_ref().map(|class| format!(", class {class}"));
        line(
            name,
            Some(&format!("{}{}", state.name(), class.unwrap_or_default())),
        );
    }
    for gone in &shown.gone {
        line(&format!("{} gone", gone.part), Some(&gone.text));
    }
    line("can be shown", shown.provable.as_deref());
    for part in &shown.parts {
        let text = format!("{} bytes, SHA-512 {}", part.length, part.sha512);
        line(&part.name, Some(&text));
    }
    line("leaf hash", Some(&shown.leaf_hash));
    line("commitment", Some(&shown.commitment));
    line("log", Some(&shown.log));
    page
}
