//! The command line of the suite.
//!
//! Owns arguments, exit codes and what is printed; refuses to hold a rule.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use kontor_conformance::bench::{self, BenchPlan, bare, load, provider};
use kontor_conformance::cases;
use kontor_conformance::change::{self, ChangePlan};
use kontor_conformance::handshakes::{self, HandshakesPlan};
use kontor_conformance::hostile::{self, HostilePlan};
use kontor_conformance::interface::{self, InterfacePlan};
use kontor_conformance::kill::{self, KillPlan};
use kontor_conformance::memory::{self, MemoryPlan};
use kontor_conformance::power::{self, PowerPlan};
use kontor_conformance::report::{Gaps, say};
use kontor_conformance::requirement;
use kontor_conformance::subject::Subject;
use kontor_conformance::suite::{self, Selection};
use kontor_conformance::transfers::{self, TransfersPlan};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Conformance suite and benchmark for X-Road nodes
#[derive(Parser)]
#[command(name = "kontor-conformance", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the cases against two nodes of a kontor binary
    Run(RunArguments),
    /// List what the suite has cases for
    List,
    /// Measure two nodes against a bare pair of mutual-TLS proxies
    Bench(BenchArguments),
    /// Kill node processes under load and look for every acknowledged exchange
    Kill(KillArguments),
    /// Cut the power of a file system under load and look for every acknowledged exchange
    ///
    /// Both nodes keep their files on an ext4 in a loop device, which is shut down by its ioctl and mounted again. Needs root,
    /// mkfs.ext4, loop devices, and xfs_io or python3; says SKIPPED where one is missing.
    PowerCut(PowerArguments),
    /// Hand many applications over between two nodes that are killed at random, and compare both sides of each
    Transfers(TransfersArguments),
    /// Measure transfers a second, from the offer to the take-over, beside exchanges a second of the same nodes
    TransferSpeed(SpeedArguments),
    /// Measure lists, searches and the start after a kill of a node with very many cases
    Cases(CasesArguments),
    /// Send generated requests to the interface of casework and hold the answers against its own description
    ///
    /// Needs schemathesis 4 (`pip install schemathesis`). Fails when an answer is not one of the description, is a server's error,
    /// or an operation never succeeded.
    Interface(InterfaceArguments),
    /// Measure what nodes hold while large bodies pass
    Memory(MemoryArguments),
    /// Change a large global configuration under load: content, the key that signs it, a server's address
    ///
    /// Fails when an exchange is lost or refused, a swap takes a second or more, or a node holds more than the limit above what
    /// it holds when it is idle.
    Change(ChangeArguments),
    /// Measure what new connections cost: handshakes beside openssl's server, exchanges with a connection each
    Handshakes(HandshakesArguments),
    /// Measure a healthy peer's traffic beside a crowd of connections that say nothing, or next to nothing
    Hostile(HostileArguments),
    #[command(hide = true)]
    BenchLoad { settings: String },
    #[command(hide = true)]
    BenchProvider { settings: String },
    #[command(hide = true)]
    BenchProxy { settings: String },
}

#[derive(Args)]
struct RunArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the outcome of every case to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// List of known gaps in place of the one that ships with the suite
    #[arg(long)]
    gaps: Option<PathBuf>,
    /// Only the cases that are part of the project's tests
    #[arg(long)]
    quick: bool,
    /// Say only what went wrong
    #[arg(long)]
    quiet: bool,
    /// Only requirements whose id contains one of these
    only: Vec<String>,
}

#[derive(Args)]
struct KillArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Rounds; every third kills both nodes at once
    #[arg(long, default_value_t = 50)]
    times: usize,
    /// Information systems that load the nodes meanwhile
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Acknowledged exchanges looked for after each kill, half of them the last before it
    #[arg(long, default_value_t = 60)]
    looked_for: usize,
    /// How many of these have their evidence verified
    #[arg(long, default_value_t = 10)]
    verified: usize,
}

#[derive(Args)]
struct SpeedArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Transfers
    #[arg(long, default_value_t = 1000)]
    transfers: usize,
    /// Desks on each side, and information systems
    #[arg(long, default_value_t = 32)]
    at_once: usize,
}

#[derive(Args)]
struct CasesArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Cases
    #[arg(long, default_value_t = 100_000)]
    cases: usize,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct InterfaceArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// The program of schemathesis
    #[arg(long, default_value = "st")]
    schemathesis: PathBuf,
    /// The same number makes the same requests
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Requests for each operation and phase
    #[arg(long, default_value_t = 50)]
    examples: u32,
    /// Write what was seen to this file
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Args)]
struct TransfersArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Transfers
    #[arg(long, default_value_t = 1000)]
    transfers: usize,
    /// Transfers under way at a time
    #[arg(long, default_value_t = 16)]
    at_once: usize,
    /// Kills, of one node or both
    #[arg(long, default_value_t = 100)]
    kills: usize,
    /// What the ways of the transfers and the instants of the kills are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Args)]
struct PowerArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Power cuts
    #[arg(long, default_value_t = 20)]
    times: usize,
    /// Information systems that load the nodes meanwhile
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Acknowledged exchanges looked for after each cut, half of them the last before it
    #[arg(long, default_value_t = 60)]
    looked_for: usize,
    /// How many of these have their evidence verified
    #[arg(long, default_value_t = 4)]
    verified: usize,
}

#[derive(Args)]
struct ChangeArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Members besides those of the nodes
    #[arg(long, default_value_t = 10_000)]
    members: usize,
    /// Subsystems of each
    #[arg(long, default_value_t = 3)]
    subsystems: usize,
    /// Security servers besides those of the nodes
    #[arg(long, default_value_t = 2_000)]
    servers: usize,
    /// Exchanges a second meanwhile
    #[arg(long, default_value_t = 300.0)]
    rate: f64,
    /// How long
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Memory during a swap, above an idle node, at which the command fails
    #[arg(long, default_value_t = 150)]
    limit_mib: u64,
}

#[derive(Args)]
struct HandshakesArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Length of each window
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// Rounds of all windows
    #[arg(long, default_value_t = 3)]
    rounds: usize,
}

#[derive(Args)]
struct HostileArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Connections that say nothing
    #[arg(long, default_value_t = 2_000)]
    idle: usize,
    /// Connections that send a byte of a request's body now and then
    #[arg(long, default_value_t = 500)]
    slow: usize,
    /// Length of each window
    #[arg(long, default_value_t = 8)]
    seconds: u64,
    /// Pairs of windows
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Ratio of the throughputs below which the command fails
    #[arg(long, default_value_t = 0.8)]
    ratio: f64,
}

#[derive(Args)]
struct MemoryArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Size of the body that passes as fast as it goes
    #[arg(long, default_value_t = 256)]
    mib: u64,
    /// Size of the body with a slow provider, then a slow client; 0 leaves them out
    #[arg(long, default_value_t = 16)]
    slow_mib: u64,
    /// Speed of the slow side
    #[arg(long, default_value_t = 1)]
    mib_per_second: u64,
    /// Peak above which the command fails
    #[arg(long, default_value_t = 64)]
    limit_mib: u64,
}

#[derive(Args)]
struct BenchArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    kontor: Option<PathBuf>,
    /// Write the figures of every window to this file
    #[arg(long)]
    json: Option<PathBuf>,
    /// Rounds for each load; a difference of ratios under 0.1 needs ten
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Length of each measured window
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Load before each measured window
    #[arg(long, default_value_t = 2.0)]
    warm_up: f64,
    /// Only loads whose name contains this
    #[arg(long)]
    only: Option<String>,
    /// Measure the bare pair alone
    #[arg(long)]
    bare: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("kontor-conformance: {error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Run(arguments) => runtime(true)?.block_on(cases(arguments)),
        Command::List => {
            for requirement in requirement::ALL {
                let covered = suite::all().any(|case| case.requirement == *requirement);
                let mark = if covered { "" } else { "  (no case)" };
                say(format_args!(
                    "{:<34}{:<26}{}{mark}",
                    requirement.id, requirement.clause, requirement.sentence
                ));
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Bench(arguments) => runtime(true)?.block_on(bench(arguments)),
        Command::Kill(arguments) => runtime(true)?.block_on(kill(arguments)),
        Command::Transfers(arguments) => runtime(true)?.block_on(transfers(arguments)),
        Command::TransferSpeed(arguments) => runtime(true)?.block_on(transfer_speed(arguments)),
        Command::Cases(arguments) => runtime(true)?.block_on(many_cases(arguments)),
        Command::Interface(arguments) => runtime(true)?.block_on(interface(arguments)),
        Command::PowerCut(arguments) => runtime(true)?.block_on(power_cut(arguments)),
        Command::Change(arguments) => runtime(true)?.block_on(change(arguments)),
        Command::Handshakes(arguments) => runtime(true)?.block_on(handshakes(arguments)),
        Command::Hostile(arguments) => runtime(true)?.block_on(hostile(arguments)),
        Command::Memory(arguments) => runtime(true)?.block_on(memory(arguments)),
        Command::BenchLoad { settings } => {
            end_with_parent();
            let result =
                runtime(false)?.block_on(load::run(parse(&settings)?, || say("begin"), || say("end")))?;
            say(serde_json::to_string(&result)?);
            Ok(ExitCode::SUCCESS)
        }
        Command::BenchProvider { settings } => {
            end_with_parent();
            runtime(false)?.block_on(provider::serve(parse::<SocketAddr>(&settings)?))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::BenchProxy { settings } => {
            end_with_parent();
            bare::serve(&parse(&settings)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

async fn cases(arguments: RunArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let gaps = match arguments.gaps {
        Some(path) => Gaps::read(&path)?,
        None => Gaps::shipped()?,
    };
    let unknown: Vec<_> = gaps.unknown(requirement::ALL).collect();
    ensure!(
        unknown.is_empty(),
        "the list of gaps names requirements that do not exist: {unknown:?}"
    );
    let selection = Selection {
        quick: arguments.quick,
        only: arguments.only,
        quiet: arguments.quiet,
    };
    let report = suite::run(&subject, &selection, &gaps).await?;
    if let Some(path) = arguments.json {
        report.write_json(&path)?;
    }
    Ok(verdict(report.is_good()))
}

async fn kill(arguments: KillArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = KillPlan {
        times: arguments.times,
        connections: arguments.connections.max(1),
        looked_for: arguments.looked_for,
        verified: arguments.verified,
        aloud: true,
    };
    let report = kill::run(&subject, plan).await?;
    say(format_args!(
        "{} kills, {} exchanges acknowledged, {} looked for, {} containers verified, {} missing; slowest restart {} ms",
        report.kills,
        report.acknowledged,
        report.looked_for,
        report.containers_verified,
        report.missing.len(),
        report.slowest_restart_millis
    ));
    for missing in &report.missing {
        say(missing);
    }
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.missing.is_empty()))
}

async fn transfers(arguments: TransfersArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = TransfersPlan {
        transfers: arguments.transfers,
        at_once: arguments.at_once.max(1),
        kills: arguments.kills,
        seed: arguments.seed,
        aloud: true,
    };
    let report = transfers::run(&subject, plan).await?;
    say(format_args!(
        "{} transfers, {} kills, {} answers lost on the line, {} messages repeated late, {} commands acknowledged, {} files compared, {:.1} s; ends {:?}; {} wrong",
        report.transfers,
        report.kills,
        report.cuts,
        report.repeated,
        report.acknowledged,
        report.files_compared,
        report.seconds,
        report.ends,
        report.wrong.len()
    ));
    for wrong in &report.wrong {
        say(wrong);
    }
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.wrong.is_empty()))
}

async fn transfer_speed(arguments: SpeedArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let report = transfers::speed::run(&subject, arguments.transfers, arguments.at_once.max(1)).await?;
    say(format_args!(
        "{} transfers in {:.1} s: {:.1}/s, six exchanges each; {:.0} exchanges/s otherwise: {:.2}; peak {} and {} MiB",
        report.transfers,
        report.seconds,
        report.transfers_per_second,
        report.exchanges_per_second,
        report.ratio,
        report.peak_mib[0],
        report.peak_mib[1]
    ));
    write_json(arguments.json.as_deref(), &report)?;
    Ok(ExitCode::SUCCESS)
}

async fn many_cases(arguments: CasesArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let report = cases::run(&subject, arguments.cases.max(1)).await?;
    for (what, milliseconds) in &report.p95_ms {
        say(format_args!("p95 of {what}: {milliseconds:.1} ms"));
    }
    say(format_args!(
        "{} cases, {:.0} taken in a second; after a kill lists in {:.1} s, whole searches in {:.1} s; resident {} MiB, {} after the start, peak {}",
        report.cases,
        report.taken_in_per_second,
        report.lists_after_kill_s,
        report.searches_after_kill_s,
        report.resident_mib,
        report.resident_after_kill_mib,
        report.peak_mib
    ));
    write_json(arguments.json.as_deref(), &report)?;
    Ok(ExitCode::SUCCESS)
}

async fn interface(arguments: InterfaceArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = InterfacePlan {
        schemathesis: arguments.schemathesis,
        seed: arguments.seed,
        examples: arguments.examples.max(1),
    };
    let seen = interface::run(&subject, &plan).await?;
    for (operation, statuses) in &seen.statuses {
        say(format_args!("{operation}: {statuses:?}"));
    }
    write_json(arguments.json.as_deref(), &seen)?;
    Ok(ExitCode::SUCCESS)
}

async fn power_cut(arguments: PowerArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = PowerPlan {
        times: arguments.times,
        connections: arguments.connections.max(1),
        looked_for: arguments.looked_for,
        verified: arguments.verified,
    };
    let report = power::run(&subject, plan).await?;
    write_json(arguments.json.as_deref(), &report)?;
    if let Some(why) = &report.skipped {
        say(format_args!(
            "SKIPPED: no file system can be shut down here: {why}"
        ));
        return Ok(ExitCode::SUCCESS);
    }
    say(format_args!(
        "{} power cuts, {} exchanges acknowledged, {} looked for, {} containers verified, {} missing; index made anew {} times",
        report.cuts,
        report.acknowledged,
        report.looked_for,
        report.containers_verified,
        report.missing.len(),
        report.index_made_anew
    ));
    for missing in &report.missing {
        say(missing);
    }
    Ok(verdict(report.missing.is_empty()))
}

async fn memory(arguments: MemoryArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = MemoryPlan {
        fast_bytes: arguments.mib << 20,
        slow_bytes: arguments.slow_mib << 20,
        bytes_per_second: arguments.mib_per_second.max(1) << 20,
        aloud: true,
    };
    let report = memory::run(&subject, plan).await?;
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.highest_kib() <= arguments.limit_mib << 10))
}

async fn handshakes(arguments: HandshakesArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = HandshakesPlan {
        seconds: arguments.seconds,
        rounds: arguments.rounds,
    };
    let report = handshakes::run(&subject, plan).await?;
    say(&report);
    write_json(arguments.json.as_deref(), &report)?;
    Ok(ExitCode::SUCCESS)
}

async fn hostile(arguments: HostileArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = HostilePlan {
        idle: arguments.idle,
        slow: arguments.slow,
        seconds: arguments.seconds,
        rounds: arguments.rounds,
    };
    let report = hostile::run(&subject, plan).await?;
    say(&report);
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.errors == 0 && report.ratio() >= arguments.ratio))
}

async fn change(arguments: ChangeArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = ChangePlan {
        members: arguments.members,
        subsystems: arguments.subsystems,
        servers: arguments.servers,
        rate: arguments.rate,
        seconds: arguments.seconds,
    };
    let report = change::run(&subject, plan).await?;
    say(&report);
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.is_good(arguments.limit_mib << 10)))
}

fn write_json(path: Option<&Path>, value: &impl Serialize) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    std::fs::write(path, serde_json::to_string_pretty(value)? + "\n")
        .with_context(|| path.display().to_string())
}

fn verdict(good: bool) -> ExitCode {
    if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn bench(arguments: BenchArguments) -> Result<ExitCode> {
    let subject = if arguments.bare {
        None
    } else {
        Some(Subject::locate(arguments.kontor)?)
    };
    let report = bench::run(&BenchPlan {
        own: std::env::current_exe()?,
        subject,
        rounds: arguments.rounds.max(1),
        window: Duration::from_secs_f64(arguments.seconds.max(0.1)),
        warm_up: Duration::from_secs_f64(arguments.warm_up.max(0.0)),
        only: arguments.only,
    })
    .await?;
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.summary.iter().all(|row| row.errors == 0)))
}

fn runtime(threads: bool) -> Result<tokio::runtime::Runtime> {
    let mut builder = if threads {
        tokio::runtime::Builder::new_multi_thread()
    } else {
        tokio::runtime::Builder::new_current_thread()
    };
    Ok(builder.enable_all().build()?)
}

fn parse<T: DeserializeOwned>(settings: &str) -> Result<T> {
    serde_json::from_str(settings).context("these subcommands are for the bench itself")
}

/// Helpers read a pipe from the bench: when it ends, however, they end.
fn end_with_parent() {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        std::process::exit(0);
    });
}
