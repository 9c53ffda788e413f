//! The command line of the suite.
//!
//! Owns exit codes and what is printed; refuses to hold a rule.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use kontor_conformance::bench::{self, BenchPlan, bare, load, provider};
use kontor_conformance::cases;
use kontor_conformance::change::{self, ChangePlan};
use kontor_conformance::handshakes::{self, HandshakesPlan};
use kontor_conformance::hostile::{self, HostilePlan};
use kontor_conformance::interface::{self, InterfacePlan};
use kontor_conformance::kill::{self, KillPlan};
use kontor_conformance::large;
use kontor_conformance::memory::{self, MemoryPlan};
use kontor_conformance::oidc::{self, OidcPlan};
use kontor_conformance::power::{self, PowerPlan};
use kontor_conformance::report::{Gaps, say};
use kontor_conformance::requests::handovers::{self, HandoversPlan};
use kontor_conformance::requests::{self, RequestsPlan};
use kontor_conformance::requirement;
use kontor_conformance::subject::Subject;
use kontor_conformance::suite::{self, Selection};
use kontor_conformance::transfers::{self, TransfersPlan};
use serde::Serialize;
use serde::de::DeserializeOwned;

mod arguments;

use crate::arguments::*;

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
        Command::Requests(arguments) => runtime(true)?.block_on(requests(arguments)),
        Command::Handovers(arguments) => runtime(true)?.block_on(handovers(arguments)),
        Command::RequestSpeed(arguments) => runtime(true)?.block_on(request_speed(arguments)),
        Command::ManyRequests(arguments) => runtime(true)?.block_on(many_requests(arguments)),
        Command::Transfers(arguments) => runtime(true)?.block_on(transfers(arguments)),
        Command::TransferSpeed(arguments) => runtime(true)?.block_on(transfer_speed(arguments)),
        Command::Cases(arguments) => runtime(true)?.block_on(many_cases(arguments)),
        Command::Large(arguments) => runtime(true)?.block_on(large_package(arguments)),
        Command::Interface(arguments) => runtime(true)?.block_on(interface(arguments)),
        Command::Oidc(arguments) => runtime(true)?.block_on(tokens(arguments)),
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
        packages: arguments.packages,
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
    let opinions = &report.opinions;
    say(format_args!(
        "{} evidence packages, in which {} messages are without their receipt; the oracle agrees {} times and disagrees {} times; {:.1} s; by it the ends {:?}",
        opinions.packages,
        opinions.without_receipt,
        opinions.agreements,
        opinions.disagreements,
        opinions.seconds,
        opinions.endings
    ));
    for wrong in &report.wrong {
        say(wrong);
    }
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.wrong.is_empty()))
}

async fn requests(arguments: RequestsArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = RequestsPlan {
        requests: arguments.requests,
        at_once: arguments.at_once.max(1),
        kills: arguments.kills,
        seed: arguments.seed,
        packages: arguments.packages,
        aloud: true,
    };
    let report = requests::run(&subject, plan).await?;
    say(format_args!(
        "{} requests in {} rounds, {} kills, {} answers lost on the line, {} commands acknowledged, {} statements, {} files compared, {:.1} s; ends {:?}; {} wrong",
        report.requests,
        report.rounds,
        report.kills,
        report.cuts,
        report.acknowledged,
        report.statements,
        report.files_compared,
        report.seconds,
        report.ends,
        report.wrong.len()
    ));
    let opinions = &report.opinions;
    say(format_args!(
        "{} evidence packages, in which {} messages are without their receipt; the oracle agrees {} times and disagrees {} times; {:.1} s; by it they stand {:?}",
        opinions.packages,
        opinions.without_receipt,
        opinions.agreements,
        opinions.disagreements,
        opinions.seconds,
        opinions.states
    ));
    for wrong in &report.wrong {
        say(wrong);
    }
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.wrong.is_empty()))
}

async fn handovers(arguments: HandoversArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = HandoversPlan {
        cases: arguments.cases,
        at_once: arguments.at_once.max(1),
        kills: arguments.kills,
        seed: arguments.seed,
        packages: arguments.packages,
        aloud: true,
    };
    let report = handovers::run(&subject, plan).await?;
    say(format_args!(
        "{} cases with {} requests, {} kills, {} answers lost on the line, {} commands acknowledged, {} statements, {} files compared, {} evidence packages, {:.1} s; {} wrong",
        report.cases,
        report.requests,
        report.kills,
        report.cuts,
        report.acknowledged,
        report.statements,
        report.files_compared,
        report.packages,
        report.seconds,
        report.wrong.len()
    ));
    for wrong in &report.wrong {
        say(wrong);
    }
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.wrong.is_empty()))
}

async fn request_speed(arguments: RequestSpeedArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let report = requests::speed::run(&subject, arguments.requests, arguments.at_once.max(1)).await?;
    say(format_args!(
        "{} requests in {:.1} s: {:.1}/s, five exchanges each; {:.0} exchanges/s otherwise: {:.2}; CPU of both nodes {:.2} ms, of five exchanges {:.2} ms: {:.2}; peak {} and {} MiB",
        report.requests,
        report.seconds,
        report.requests_per_second,
        report.exchanges_per_second,
        report.ratio,
        report.request_cpu_ms,
        report.exchanges_cpu_ms,
        report.exchanges_cpu_ms / report.request_cpu_ms,
        report.peak_mib[0],
        report.peak_mib[1]
    ));
    write_json(arguments.json.as_deref(), &report)?;
    Ok(ExitCode::SUCCESS)
}

async fn many_requests(arguments: ManyRequestsArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let report = requests::many::run(&subject, arguments.requests).await?;
    say(format_args!(
        "{} requests: {:.0} prepared and {:.0} delivered a second; resident {} MiB, {} MiB after a kill; the inbox is back after {:.2} s",
        report.requests,
        report.prepared_per_second,
        report.delivered_per_second,
        report.resident_mib,
        report.resident_after_kill_mib,
        report.inbox_after_kill_s
    ));
    for (what, p95) in &report.p95_ms {
        say(format_args!("  {what}: p95 {p95:.1} ms"));
    }
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.p95_ms.iter().all(|(_, p95)| *p95 < 50.0)))
}

async fn transfer_speed(arguments: SpeedArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let report = transfers::speed::run(&subject, arguments.transfers, arguments.at_once.max(1)).await?;
    say(format_args!(
        "{} transfers in {:.1} s: {:.1}/s, six exchanges each; {:.0} exchanges/s otherwise: {:.2}; CPU of both nodes {:.2} ms, of six exchanges {:.2} ms: {:.2}; peak {} and {} MiB",
        report.transfers,
        report.seconds,
        report.transfers_per_second,
        report.exchanges_per_second,
        report.ratio,
        report.transfer_cpu_ms,
        report.exchanges_cpu_ms,
        report.exchanges_cpu_ms / report.transfer_cpu_ms,
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

async fn large_package(arguments: LargeArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let report = large::run(&subject, arguments.mebibytes.max(16)).await?;
    say(format_args!(
        "{} MiB handed in in {:.1} s; killed at part {}, went on at {} of {}; pulled in {:.1} s; peak {} and {} MiB",
        report.octets >> 20,
        report.handed_in_seconds,
        report.parts[0],
        report.parts[1],
        report.parts[2],
        report.pulled_seconds,
        report.peak_mib[0],
        report.peak_mib[1]
    ));
    write_json(arguments.json.as_deref(), &report)?;
    Ok(verdict(report.is_good()))
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

async fn tokens(arguments: OidcArguments) -> Result<ExitCode> {
    let subject = Subject::locate(arguments.kontor)?;
    let plan = OidcPlan {
        node: arguments.node,
        provider: arguments.provider,
    };
    let report = oidc::run(&subject, &plan).await?;
    if let Some(why) = &report.skipped {
        say(format_args!(
            "SKIPPED: no token of another provider is shown: {why}"
        ));
    }
    for (what, status, code) in &report.answers {
        say(format_args!("{what}: {status} {code}"));
    }
    write_json(arguments.json.as_deref(), &report)?;
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
