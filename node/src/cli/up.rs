//! `kontor up`: a federation on this machine.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};

use crate::clock::{Clock as _, SystemClock};
use crate::up::layout::{Layout, Places};
use crate::up::{self, Options, prepare, provider, training};
use crate::{shutdown, telemetry};

/// How long running answers of the sample provider may take at the end.
const GRACE: Duration = Duration::from_secs(2);

/// What it does, in full.
pub(super) const LONG_ABOUT: &str = "\
Run a whole federation on this machine: an authority, the nodes of two municipalities, an Amt and a chamber, and a sample \
service that takes applications.

Everything is written to one directory: keys, certificates, configuration files, logs, samples and what arrives. A \
second start goes on with it and renews what expired. The processes listen on 127.77.N.x (N is the first free \
network), find each other only through the authority's signed configuration, and end when this command ends.

The samples are cases at the first municipality; one of them is offered to the Amt, and about another one the chamber is \
asked. `kontor up pass --days N` lets days pass, so that deadlines need not be waited for.

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

/// Parts of it, for processes in containers.
#[derive(Subcommand)]
enum Child {
    /// Make the files of the federation for processes in containers, and start nothing
    #[command(long_about = "\
Make the files of the federation for processes in containers, and start nothing.

Below DIR, `authority` and one folder for each member are made: keys, certificates, anchor and configuration file, each \
complete without the others, so that each can be the volume of one container. What is there and still good stays. \
docker/compose.yaml of the project runs such a federation; addresses and names follow its networks: NETWORK.0.0/24 between \
nodes and authority, NETWORK.1.0/24 and on for each member with its information systems.")]
    Prepare {
        /// Directory that holds a folder, or the mounted volume, of the authority and of each member
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// First two octets of the networks, such as 10.177
        #[arg(long, value_name = "A.B", value_parser = octets)]
        network: [u8; 2],
    },
    /// Let days pass for all members: deadlines end, and what silence means is recorded
    #[command(long_about = "\
Let days pass for all members of a federation that `kontor up` made: deadlines end, reminders go out, and what silence means is \
recorded, so that nobody waits a month to see it.

One file, DIR/training-clock, says to all members by how many seconds their clock of cases and deadlines is ahead \
(`casework.training_clock`, in test mode only). It never goes back; `kontor up --fresh` starts over. Certificates, signatures and \
time-stamps go by the real clock. A running federation follows within a second, one that is started later with its start.")]
    Pass {
        /// Directory of the federation [default: that of `kontor up`]
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// How many days
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=366))]
        days: u32,
        /// Print as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the sample service alone, as in a container
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
        #[arg(long, hide = true)]
        stop_on_eof: bool,
    },
}

/// The first two octets of a network.
fn octets(text: &str) -> Result<[u8; 2], String> {
    text.split_once('.')
        .and_then(|(a, b)| Some([a.parse().ok()?, b.parse().ok()?]))
        .ok_or_else(|| "two numbers below 256 with a point between them are wanted, such as 10.177".into())
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
            Some(Child::Prepare { dir, network }) => {
                let layout = Layout {
                    dir: std::path::absolute(dir)?,
                    places: Places::Containers(network),
                };
                prepare::prepare(&layout, false, SystemClock.now())?;
                return super::print(&format!(
                    "The federation is prepared in {}.\n",
                    layout.dir.display()
                ));
            }
            Some(Child::Pass { dir, days, json }) => {
                let ahead = training::pass(&directory(dir)?, days)?;
                let shows = SystemClock.now() + Duration::from_secs(ahead.into());
                let shows = jiff::Timestamp::from_millisecond(shows.millis())?;
                let whole = ahead / 86_400;
                return super::print(&match json {
                    true => format!(
                        "{}\n",
                        serde_json::json!({ "ahead_days": whole, "ahead_seconds": ahead, "shows": shows })
                    ),
                    false => format!(
                        "The clock of cases and deadlines is {whole} days ahead of the real one now and shows {shows:.0}.\nWhat fell \
                         due happens within a second: kontor participation requests --attention\n"
                    ),
                });
            }
            None => {
                let dir = directory(self.dir)?;
                let program = std::env::current_exe().context("the path of this program is unknown")?;
                let options = Options {
                    dir,
                    fresh: self.fresh,
                    cases: true,
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

/// The directory that was named, or the usual one; absolute.
fn directory(named: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let dir = match named {
        Some(dir) => dir,
        None => default_dir()?,
    };
    Ok(std::path::absolute(dir)?)
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
