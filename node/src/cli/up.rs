//! `kontor up`: a federation on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::clock::SystemClock;
use crate::up::{self, Options, provider};
use crate::{shutdown, telemetry};

/// How long running answers of the sample provider may take at the end.
const GRACE: Duration = Duration::from_secs(2);

/// What it does, in full.
pub(super) const LONG_ABOUT: &str = "\
Run a whole federation on this machine: an authority, the nodes of two municipalities and a chamber, and a sample \
service that takes applications.

Everything is written to one directory: keys, certificates, configuration files, logs, samples and what arrives. A \
second start goes on with it and renews what expired. The processes listen on 127.77.N.x (N is the first free \
network), find each other only through the authority's signed configuration, and end when this command ends.

Members are fictional, and all trust is test trust: instance TEST, certificates marked OU=TEST. Nodes in production \
mode refuse it. Do not send real applications.

When everything is ready, addresses and commands to try are printed, and DIR/federation.json is written for scripts.";

/// Arguments of `kontor up`.
#[derive(Args)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(super) struct Up {
    /// Directory for everything [default: kontor/up in the user's data home]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Delete what is in the directory and start over
    #[arg(long)]
    fresh: bool,
    #[command(subcommand)]
    child: Option<Child>,
}

/// Children that are no commands of their own.
#[derive(Subcommand)]
enum Child {
    /// The sample provider
    #[command(hide = true)]
    Provider {
        /// Address to listen on
        #[arg(long)]
        listen: SocketAddr,
        /// Where applications are kept
        #[arg(long)]
        dir: PathBuf,
        /// Offices, by the first piece of their paths
        #[arg(long = "office")]
        offices: Vec<String>,
        /// End when standard input ends
        #[arg(long)]
        stop_on_eof: bool,
    },
}

impl Up {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.child {
            Some(Child::Provider {
                listen,
                dir,
                offices,
                stop_on_eof,
            }) => {
                telemetry::start_logging(false);
                super::block_on(async move {
                    let settings = provider::Settings { listen, dir, offices };
                    let serving = |shutdown| async move {
                        provider::run(settings, Arc::new(SystemClock), shutdown).await
                    };
                    super::serve(serving, super::until_stopped(stop_on_eof), GRACE).await
                })?;
            }
            None => {
                let dir = match self.dir {
                    Some(dir) => dir,
                    None => default_dir()?,
                };
                let dir = std::path::absolute(dir)?;
                let program = std::env::current_exe().context("the path of this program is unknown")?;
                let options = Options {
                    dir,
                    fresh: self.fresh,
                    program,
                };
                let stopped = async { shutdown::signalled().await.map_err(anyhow::Error::from) };
                super::block_on(async move {
                    Ok(up::run(&options, Arc::new(SystemClock), &mut std::io::stdout(), stopped).await?)
                })?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `$XDG_DATA_HOME/kontor/up`, else `~/.local/share/kontor/up`.
#[expect(
    clippy::disallowed_methods,
    reason = "where the user's data home is, only the environment says"
)]
fn default_dir() -> anyhow::Result<PathBuf> {
    let absolute = |name: &str| {
        std::env::var(name)
            .ok()
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    let data_home =
        absolute("XDG_DATA_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/share")));
    let data_home =
        data_home.context("neither XDG_DATA_HOME nor HOME says where your data is; name a place by --dir")?;
    Ok(data_home.join(Path::new("kontor/up")))
}
