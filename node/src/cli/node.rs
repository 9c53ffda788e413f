//! `kontor node …`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::config::{self, NodeConfig};
use crate::{startup, telemetry};

/// Commands on a node.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Ask the running node of this file whether it can do its work, and why not
    #[command(long_about = "\
Ask the running node of this file whether it can do its work, and why not.

Prints the checks of its /health and ends with 0 when it is ready, 1 when it is not or does not answer within seconds: \
for health checks of containers and services. `degraded` things (see the texts) do not make it unready.")]
    Health(super::health::Health),
    /// Serve until SIGTERM or Ctrl-C
    #[command(long_about = "\
Serve until SIGTERM or Ctrl-C.

The configuration file names everything: who the node is, where it listens, its keys, the anchor of its trust, its \
clients and services. `kontor node sample` prints one with every key explained. A mistake in it is reported before \
anything is opened; all mistakes are reported at once.

The node is ready when GET http://HEALTH-ADDRESS/health answers 200: it then holds an unexpired global configuration \
and fresh OCSP responses for its own certificates. On SIGTERM it accepts no more, finishes what runs and ends within \
stop.grace_seconds. On SIGHUP it reads the file again: clients, services and rights take effect at once, the rest at the next \
start; /health says what waits, and why a file was refused. Set KONTOR_LOG (for example to `debug`) to see more.")]
    Run(Run),
    /// Print a configuration file with every key explained
    Sample,
}

/// Arguments of `kontor node run`.
#[derive(Args)]
pub(super) struct Run {
    /// Configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Write log lines as JSON
    #[arg(long)]
    log_json: bool,
    /// End when standard input ends, as a child of `kontor up` does
    #[arg(long, hide = true)]
    stop_on_eof: bool,
}

impl Command {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Health(health) => {
                let listens = NodeConfig::read(&health.config)?.listen.health.with_context(|| {
                    let file = health.config.display();
                    format!("{file} has no listen.health, so this node cannot be asked")
                })?;
                health.ask(listens)
            }
            Self::Run(run) => {
                telemetry::start_logging(run.log_json);
                startup::run(NodeConfig::read(&run.config)?, run.stop_on_eof)?;
                Ok(ExitCode::SUCCESS)
            }
            Self::Sample => super::print(config::SAMPLE),
        }
    }
}
