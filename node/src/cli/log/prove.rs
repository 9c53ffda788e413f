//! `kontor log prove`: that an entry is in the log, for whoever does not trust the operator.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::super::print;
use super::access::Access;
use crate::config::NodeConfig;
use crate::messagelog::{Proven, ToldProof};

pub(super) const LONG_ABOUT: &str = "\
Prove that an entry is in the log, at its place, under a checkpoint that the node signed.

An entry that no checkpoint covers yet gets one first. With --out three files are written: NUMBER.leaf (the bytes that \
are in the tree), NUMBER.proof (C2SP tlog-proof: place, hashes, checkpoint with its co-signatures) and NUMBER.keys.json \
(who answers for the keys). `kontor log export` writes the same into the leaf.json of each container.

--since SIZE proves besides that the log goes on from what it was with SIZE entries: keep a size and root, and ask again \
later.";

/// Arguments of `kontor log prove`.
#[derive(Args)]
pub(in crate::cli) struct Prove {
    /// Configuration file of the node (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Number of the entry
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// Prove too that the tree begins with that of so many entries
    #[arg(long, value_name = "SIZE")]
    since: Option<u64>,
    /// Directory for the files; made if it is missing
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print as JSON
    #[arg(long)]
    json: bool,
}

impl Prove {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config)?;
        let proven = Access::to(&config)?.ask(|control| control.prove(self.number, self.since))?;
        let told = ToldProof::of(self.number, &proven)?;
        if let Some(out) = &self.out {
            write(out, self.number, &proven)?;
        }
        if self.json {
            print(&format!("{}\n", serde_json::to_string(&told)?))?;
        } else {
            print(&page(&told, self.since))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn page(told: &ToldProof, since: Option<u64>) -> String {
    let mut page = format!(
        "entry {} is at its place in a tree of {} entries\n  log        {}\n  root       {}\n  leaf hash  {}\n",
        told.number, told.size, told.log, told.root, told.leaf_hash
    );
    if told.cosigned.is_empty() {
        page += "  co-signed  by nobody yet\n";
    }
    for cosigned in &told.cosigned {
        page += &format!("  co-signed  {} by {}\n", cosigned.at, cosigned.witness);
    }
    if let (Some(since), Some(hashes)) = (since, &told.consistency) {
        page += &format!(
            "the tree of {} entries goes on from that of {since}; the hashes that prove it:\n",
            told.size
        );
        for hash in hashes {
            page += &format!("  {hash}\n");
        }
    }
    page
}

fn write(out: &Path, number: u64, proven: &Proven) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("could not make {}", out.display()))?;
    let keys: Vec<serde_json::Value> = proven
        .keys
        .iter()
        .map(|binding| serde_json::from_slice(&binding.to_json()))
        .collect::<Result<_, _>>()?;
    let files = [
        ("leaf", proven.leaf.clone()),
        ("proof", proven.proof.to_bytes()),
        ("keys.json", serde_json::to_vec_pretty(&keys)?),
    ];
    for (kind, bytes) in files {
        let path = out.join(format!("{number}.{kind}"));
        std::fs::write(&path, bytes).with_context(|| format!("could not write {}", path.display()))?;
    }
    Ok(())
}
