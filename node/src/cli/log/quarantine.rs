//! `kontor log quarantine`: puts damaged files aside so that a log opens again.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::super::print;
use super::access;
use crate::config::NodeConfig;
use crate::messagelog::{Control, Quarantined, quarantine};

pub(super) const LONG_ABOUT: &str = "\
Put damaged files of the message log aside so that the node starts again. The last resort: a copy of the file from before the \
damage is always better, because what is put aside here cannot be shown any more.

`kontor log check` says which files are damaged. Each is copied to log/quarantine first. Every record that is sound stays in \
its place; entries that cannot be read are marked as gone, what their leaves prove stays proven, and an act in the log names \
them, the ground and the user. The node must be stopped.";

/// Arguments of `kontor log quarantine`.
#[derive(Args)]
pub(in crate::cli) struct Quarantine {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Why no copy is restored; stands in the log
    #[arg(long, value_name = "TEXT")]
    ground: String,
    /// Print what was put aside as JSON
    #[arg(long)]
    json: bool,
}

impl Quarantine {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let running = Control::connect(&config.data_dir).context("the data directory cannot be read")?;
        anyhow::ensure!(running.is_none(), "the node runs; stop it first");
        let what = access::opening(&config)?;
        let who = format!("uid:{}", rustix::process::geteuid().as_raw());
        let (mut found, ground) = (Vec::new(), &self.ground);
        super::super::block_on(async {
            found = quarantine(what, ground, &who).await?;
            Ok(())
        })?;
        match self.json {
            true => print(&format!("{}\n", serde_json::to_string(&found)?))?,
            false => print(&in_words(&found))?,
        };
        Ok(ExitCode::SUCCESS)
    }
}

fn in_words(found: &[Quarantined]) -> String {
    let mut text = String::new();
    for file in found {
        let entry = file.entry.map(|entry| entry.to_string()).unwrap_or_default();
        text += &format!("log/{}: {}\n", file.file, file.found);
        text += &format!("   kept as log/{}, recorded as entry {entry}\n", file.copy);
        for (part, numbers) in &file.lost {
            text += &format!("   {part} lost of {numbers}\n");
        }
    }
    if found.is_empty() {
        text += "no file is damaged; nothing was changed\n";
    }
    text
}
