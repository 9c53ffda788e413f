//! Cuts the power of a message log at random points and looks for everything that was acknowledged.
//! `cargo run --release -p kontor-node --example power_cut -- --help`

#![expect(clippy::print_stdout, reason = "a command says what it found")]

#[path = "campaign.rs"]
mod campaign;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;

/// Record the life of a message log under many writers, cut its power at random points, and judge what a start makes of it
///
/// The files of the log lie on a disk in memory that knows which writes were synced. After a cut each sector that was not
/// is there or lost, in any mixture, and so are the last changes of each directory. In half of the cuts the search index is
/// that of another moment, also one ahead of the log; in others it is damaged or gone. Exits with 1 when anything that was
/// acknowledged is lost, anything is wrong, or a check finds damage. The seed repeats the work of the writers and the choice
/// of the cuts; the order in which threads meet is the machine's.
#[derive(Parser)]
#[command(name = "power_cut")]
struct Arguments {
    /// Power cuts; after every fourth one more follows during the start
    #[arg(long, default_value_t = 500)]
    times: usize,
    /// Writers at once
    #[arg(long, default_value_t = 32)]
    writers: usize,
    /// Seed of an earlier campaign; default: a new one
    #[arg(long)]
    seed: Option<u64>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            println!("power_cut: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let seed = arguments
        .seed
        .unwrap_or_else(|| u64::from_be_bytes(kontor_pki::crypto::random()) >> 16);
    println!(
        "seed {seed}: recording the life of a log under {} writers",
        arguments.writers
    );
    let plan = campaign::Plan {
        times: arguments.times,
        writers: arguments.writers.max(1),
        seed,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(campaign::run(plan, |done, what| {
        if done % 25 == 0 || done == plan.times {
            println!("{done:>5} of {} cuts; the last: {what}", plan.times);
            let _ = std::io::stdout().flush();
        }
    }))?;
    println!(
        "{} power cuts ({} of them during a start) among {} recorded operations over {} segments",
        report.cuts, report.cuts_after_a_start, report.operations, report.segments
    );
    println!(
        "{} acknowledged entries looked for, {} messages read byte by byte, {} searches compared",
        report.acknowledged, report.messages_read, report.searches
    );
    println!(
        "index: {} of another moment ({} ahead of the log), {} damaged, {} missing; made anew after {} cuts",
        report.index_of_another_moment,
        report.index_ahead,
        report.index_damaged,
        report.index_missing,
        report.index_made_anew
    );
    println!("{} cuts not survived", report.lost_or_wrong);
    for failure in &report.failures {
        println!("{failure}");
    }
    if let Some(kept) = &report.kept {
        println!("the disk after the first of them is kept in {}", kept.display());
    }
    if let Some(path) = &arguments.json {
        let text = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, text).with_context(|| path.display().to_string())?;
    }
    Ok(report.failures.is_empty())
}
