//! `kontor authority …`

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::clock::SystemClock;
use crate::{authority, telemetry};

/// How long running answers may take at the end.
const GRACE: Duration = Duration::from_secs(5);

/// Commands on an authority.
#[derive(Subcommand)]
pub(super) enum Command {
    /// Serve until SIGTERM or Ctrl-C
    #[command(long_about = "\
Serve until SIGTERM or Ctrl-C.

Publishes the global configuration of an instance, signed anew every configuration.refresh_seconds, and answers OCSP \
requests and time-stamp queries. Who takes part stands in the registry file: members, servers with their \
authentication certificates, groups, revoked certificates. The file is looked at every second; a change is published \
at once, and a mistake in it is reported while the last good state stays published.

`kontor up` writes such a file for its own federation; copy it to begin one of your own. The key of the certification \
authority is not needed to run this and should not be on this machine.")]
    Run(Run),
}

/// Arguments of `kontor authority run`.
#[derive(Args)]
pub(super) struct Run {
    /// Registry file (TOML)
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
        let Self::Run(run) = self;
        telemetry::start_logging(run.log_json);
        super::block_on(async move {
            let stopping = super::until_stopped(run.stop_on_eof);
            let serving =
                |shutdown| async move { authority::run(&run.config, Arc::new(SystemClock), shutdown).await };
            super::serve(serving, stopping, GRACE)
                .await
                .context("the authority ended")
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
