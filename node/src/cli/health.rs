//! Asks a process of this machine whether it can do its work: for health checks of containers and for people.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::fetch::{Bounds, Fetcher};

/// Bounds of the question. What is healthy answers at once.
const HEALTH: Bounds = Bounds {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(5),
    max_body: 1024 * 1024,
};

/// Arguments of `kontor node health` and `kontor authority health`.
#[derive(Args)]
pub(super) struct Health {
    /// Configuration file (TOML) of the running process
    #[arg(long, value_name = "FILE")]
    pub(super) config: PathBuf,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Health {
    /// Prints what `/health` says and ends with 0 if it says ready.
    pub(super) fn ask(&self, listens: SocketAddr) -> anyhow::Result<ExitCode> {
        let url = format!("http://{}/health", reachable(listens));
        let answer = super::block_on(async {
            let fetched = Fetcher::default().get(&url, &HEALTH).await;
            fetched.with_context(|| {
                format!("{url} does not answer; is the process running, and is this its configuration file?")
            })
        })?;
        let ready = answer.status == 200;
        let said = String::from_utf8_lossy(&answer.body);
        let report: Option<Value> = serde_json::from_str(&said).ok();
        let text = match (self.json, report) {
            (true, Some(report)) => format!("{report}\n"),
            (true, None) => format!("{}\n", json!({ "ready": ready, "text": said.trim() })),
            (false, report) => {
                let mut text = format!("{}\n", if ready { "ready" } else { "NOT READY" });
                match report.as_ref().and_then(|report| report["checks"].as_array()) {
                    Some(checks) => {
                        for check in checks {
                            let good = if check["ok"] == true { "ok" } else { "FAILED" };
                            let (name, said) = (&check["name"], &check["text"]);
                            text += &format!(
                                "  {good:<7} {:<22} {}\n",
                                name.as_str().unwrap_or_default(),
                                said.as_str().unwrap_or_default()
                            );
                        }
                    }
                    None => text += &format!("  {}\n", said.trim()),
                }
                text
            }
        };
        // Who asks for an exit code only may have closed the output.
        let _ = std::io::stdout().write_all(text.as_bytes());
        Ok(if ready {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

/// What listens on every address is asked on loopback.
fn reachable(listens: SocketAddr) -> SocketAddr {
    let ip = match listens.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listens.port())
}
