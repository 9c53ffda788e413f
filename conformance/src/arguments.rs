//! What the program is told: its commands and their arguments.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Conformance suite and benchmark for X-Road nodes
#[derive(Parser)]
#[command(name = "kontor-conformance", version)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
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
    /// Run many requests to three bodies each while nodes are killed at random
    Requests(RequestsArguments),
    /// Hand cases with an open round over while nodes are killed at random, and compare who is asked with who asks then
    Handovers(HandoversArguments),
    /// Measure requests a second, from the opening of the round to the statement, beside exchanges a second of the same nodes
    RequestSpeed(RequestSpeedArguments),
    /// Measure the board and the inbox of a node with very many requests
    ManyRequests(ManyRequestsArguments),
    /// Measure transfers a second, from the offer to the take-over, beside exchanges a second of the same nodes
    TransferSpeed(SpeedArguments),
    /// Measure lists, searches and the start after a kill of a node with very many cases
    Cases(CasesArguments),
    /// Hand over a package of gigabytes, kill its receiver on the way, and look at what both nodes hold in memory
    ///
    /// Fails when finished parts are asked for again, another file arrives, or a node holds 96 MiB or more.
    Large(LargeArguments),
    /// Send generated requests to the interface of casework and hold the answers against its own description
    ///
    /// Needs schemathesis 4 (`pip install schemathesis`). Fails when an answer is not one of the description, is a server's error,
    /// or an operation never succeeded.
    Interface(InterfaceArguments),
    /// Show a node tokens of oidc-provider, a provider of OpenID Connect that is not ours
    ///
    /// Needs node.js and oidc-provider (`npm install oidc-provider`); says SKIPPED where one is missing.
    Oidc(OidcArguments),
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
pub(crate) struct RunArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the outcome of every case to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// List of known gaps in place of the one that ships with the suite
    #[arg(long)]
    pub(crate) gaps: Option<PathBuf>,
    /// Only the cases that are part of the project's tests
    #[arg(long)]
    pub(crate) quick: bool,
    /// Say only what went wrong
    #[arg(long)]
    pub(crate) quiet: bool,
    /// Only requirements whose id contains one of these
    pub(crate) only: Vec<String>,
}

#[derive(Args)]
pub(crate) struct KillArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Rounds; every third kills both nodes at once
    #[arg(long, default_value_t = 50)]
    pub(crate) times: usize,
    /// Information systems that load the nodes meanwhile
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Acknowledged exchanges looked for after each kill, half of them the last before it
    #[arg(long, default_value_t = 60)]
    pub(crate) looked_for: usize,
    /// How many of these have their evidence verified
    #[arg(long, default_value_t = 10)]
    pub(crate) verified: usize,
}

#[derive(Args)]
pub(crate) struct SpeedArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Transfers
    #[arg(long, default_value_t = 1000)]
    pub(crate) transfers: usize,
    /// Desks on each side, and information systems
    #[arg(long, default_value_t = 32)]
    pub(crate) at_once: usize,
}

#[derive(Args)]
pub(crate) struct CasesArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Cases
    #[arg(long, default_value_t = 100_000)]
    pub(crate) cases: usize,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct LargeArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Mebibytes of the file
    #[arg(long, default_value_t = 2048)]
    pub(crate) mebibytes: u64,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct OidcArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// The program of node.js
    #[arg(long, default_value = "node")]
    pub(crate) node: PathBuf,
    /// The folder in whose node_modules oidc-provider is installed
    #[arg(long, default_value = ".")]
    pub(crate) provider: PathBuf,
    /// Write what was seen to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct InterfaceArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// The program of schemathesis
    #[arg(long, default_value = "st")]
    pub(crate) schemathesis: PathBuf,
    /// The same number makes the same requests
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Requests for each operation and phase
    #[arg(long, default_value_t = 50)]
    pub(crate) examples: u32,
    /// Write what was seen to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct TransfersArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Transfers
    #[arg(long, default_value_t = 1000)]
    pub(crate) transfers: usize,
    /// Transfers under way at a time
    #[arg(long, default_value_t = 16)]
    pub(crate) at_once: usize,
    /// Kills, of one node or both
    #[arg(long, default_value_t = 100)]
    pub(crate) kills: usize,
    /// What the ways of the transfers and the instants of the kills are drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Transfers whose evidence is exported from both nodes, verified, and held against a second opinion; default: all
    #[arg(long)]
    pub(crate) packages: Option<usize>,
}

#[derive(Args)]
pub(crate) struct RequestsArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Requests, three in a round: to two nodes and a guest
    #[arg(long, default_value_t = 1000)]
    pub(crate) requests: usize,
    /// Rounds under way at a time
    #[arg(long, default_value_t = 8)]
    pub(crate) at_once: usize,
    /// Kills of one of the three nodes
    #[arg(long, default_value_t = 100)]
    pub(crate) kills: usize,
    /// What the ways of the requests and the instants of the kills are drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Requests whose evidence is exported from each node that has it, verified, and held against a second opinion; default: all
    #[arg(long)]
    pub(crate) packages: Option<usize>,
}

#[derive(Args)]
pub(crate) struct HandoversArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Cases, each with a round in which a node and a guest are asked
    #[arg(long, default_value_t = 200)]
    pub(crate) cases: usize,
    /// Cases under way at a time
    #[arg(long, default_value_t = 8)]
    pub(crate) at_once: usize,
    /// Kills of one of the three nodes
    #[arg(long, default_value_t = 50)]
    pub(crate) kills: usize,
    /// What the instants of the kills are drawn from
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Cases of which the evidence of who is asked is verified, and held against a second opinion
    #[arg(long, default_value_t = 50)]
    pub(crate) packages: usize,
}

#[derive(Args)]
pub(crate) struct RequestSpeedArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Requests
    #[arg(long, default_value_t = 1000)]
    pub(crate) requests: usize,
    /// Desks on each side, and information systems
    #[arg(long, default_value_t = 32)]
    pub(crate) at_once: usize,
}

#[derive(Args)]
pub(crate) struct ManyRequestsArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Requests
    #[arg(long, default_value_t = 100_000)]
    pub(crate) requests: usize,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct PowerArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Power cuts
    #[arg(long, default_value_t = 20)]
    pub(crate) times: usize,
    /// Information systems that load the nodes meanwhile
    #[arg(long, default_value_t = 32)]
    pub(crate) connections: usize,
    /// Acknowledged exchanges looked for after each cut, half of them the last before it
    #[arg(long, default_value_t = 60)]
    pub(crate) looked_for: usize,
    /// How many of these have their evidence verified
    #[arg(long, default_value_t = 4)]
    pub(crate) verified: usize,
}

#[derive(Args)]
pub(crate) struct ChangeArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Members besides those of the nodes
    #[arg(long, default_value_t = 10_000)]
    pub(crate) members: usize,
    /// Subsystems of each
    #[arg(long, default_value_t = 3)]
    pub(crate) subsystems: usize,
    /// Security servers besides those of the nodes
    #[arg(long, default_value_t = 2_000)]
    pub(crate) servers: usize,
    /// Exchanges a second meanwhile
    #[arg(long, default_value_t = 300.0)]
    pub(crate) rate: f64,
    /// How long
    #[arg(long, default_value_t = 20)]
    pub(crate) seconds: u64,
    /// Memory during a swap, above an idle node, at which the command fails
    #[arg(long, default_value_t = 150)]
    pub(crate) limit_mib: u64,
}

#[derive(Args)]
pub(crate) struct HandshakesArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Length of each window
    #[arg(long, default_value_t = 3)]
    pub(crate) seconds: u64,
    /// Rounds of all windows
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
}

#[derive(Args)]
pub(crate) struct HostileArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Connections that say nothing
    #[arg(long, default_value_t = 2_000)]
    pub(crate) idle: usize,
    /// Connections that send a byte of a request's body now and then
    #[arg(long, default_value_t = 500)]
    pub(crate) slow: usize,
    /// Length of each window
    #[arg(long, default_value_t = 8)]
    pub(crate) seconds: u64,
    /// Pairs of windows
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    /// Ratio of the throughputs below which the command fails
    #[arg(long, default_value_t = 0.8)]
    pub(crate) ratio: f64,
}

#[derive(Args)]
pub(crate) struct MemoryArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the result to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Size of the body that passes as fast as it goes
    #[arg(long, default_value_t = 256)]
    pub(crate) mib: u64,
    /// Size of the body with a slow provider, then a slow client; 0 leaves them out
    #[arg(long, default_value_t = 16)]
    pub(crate) slow_mib: u64,
    /// Speed of the slow side
    #[arg(long, default_value_t = 1)]
    pub(crate) mib_per_second: u64,
    /// Peak above which the command fails
    #[arg(long, default_value_t = 64)]
    pub(crate) limit_mib: u64,
}

#[derive(Args)]
pub(crate) struct BenchArguments {
    /// The binary under test; default: `kontor` beside this program
    #[arg(long)]
    pub(crate) kontor: Option<PathBuf>,
    /// Write the figures of every window to this file
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
    /// Rounds for each load; a difference of ratios under 0.1 needs ten
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Length of each measured window
    #[arg(long, default_value_t = 3.0)]
    pub(crate) seconds: f64,
    /// Load before each measured window
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
    /// Only loads whose name contains this
    #[arg(long)]
    pub(crate) only: Option<String>,
    /// Measure the bare pair alone
    #[arg(long)]
    pub(crate) bare: bool,
}
