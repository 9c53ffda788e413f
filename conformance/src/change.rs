//! A large global configuration that changes under load: content, the key that signs it, and the address of a server.
//!
//! Owns the size of the configuration and the order of changes; refuses to call an exchange lost that was answered.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use serde::Serialize;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::address::Net;
use crate::bench::load::{self, LoadPlan};
use crate::directory::{Directory, Member, Server};
use crate::federation::{Federation, Node};
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::subject::Subject;
use crate::usage;
use crate::wire::http;

/// How large, how busy, how long.
#[derive(Clone, Copy, Debug)]
pub struct ChangePlan {
    pub members: usize,
    /// Of each member.
    pub subsystems: usize,
    pub servers: usize,
    /// Exchanges a second.
    pub rate: f64,
    pub seconds: u64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct ChangeReport {
    /// Of `shared-params.xml`.
    pub bytes: usize,
    pub exchanges: u64,
    pub errors: u64,
    pub first_error: Option<String>,
    pub p99_micros: u32,
    /// New configurations that each node put to use.
    pub swaps: [u64; 2],
    /// Longest time from the fetched documents to their use.
    pub longest_swap_seconds: f64,
    /// Resident memory of each node that holds the configuration and does nothing, KiB.
    pub idle_kib: [u64; 2],
    /// Peak of each node while it changed under load, KiB.
    pub peak_kib: [u64; 2],
    /// What was changed, in order.
    pub changes: Vec<String>,
}

impl ChangeReport {
    /// Whether nothing was lost, and swaps were quick and small.
    pub fn is_good(&self, limit_kib: u64) -> bool {
        let grown = self
            .peak_kib
            .iter()
            .zip(self.idle_kib)
            .map(|(peak, idle)| peak.saturating_sub(idle));
        self.errors == 0
            && self.longest_swap_seconds < 1.0
            && grown.max().unwrap_or(0) < limit_kib
            && self.swaps.iter().all(|swaps| *swaps > 0)
    }
}

impl fmt::Display for ChangeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |kib: u64| kib as f64 / 1024.0;
        writeln!(
            f,
            "{} changes of {:.1} MB: {}",
            self.changes.len(),
            self.bytes as f64 / 1e6,
            self.changes.join(", ")
        )?;
        writeln!(
            f,
            "{} exchanges, {} errors{}, p99 {:.1} ms",
            self.exchanges,
            self.errors,
            self.first_error
                .as_deref()
                .map(|e| format!(" (first: {e})"))
                .unwrap_or_default(),
            f64::from(self.p99_micros) / 1000.0
        )?;
        write!(
            f,
            "{} and {} swaps, the longest {:.3} s; idle {:.1} and {:.1} MiB, peak {:.1} and {:.1} MiB",
            self.swaps[0],
            self.swaps[1],
            self.longest_swap_seconds,
            mib(self.idle_kib[0]),
            mib(self.idle_kib[1]),
            mib(self.peak_kib[0]),
            mib(self.peak_kib[1]),
        )
    }
}

/// Runs it with two nodes.
pub async fn run(subject: &Subject, plan: ChangePlan) -> Result<ChangeReport> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").client("antrag").trust_refresh(1))
        .node(
            NodePlan::new("beta", "1002")
                .client("antrag")
                .trust_refresh(1)
                .service(
                    ServicePlan::new("intake", service.address(), "")
                        .right(&format!("{INSTANCE}/GOV/1001/antrag")),
                ),
        )
        .start(subject)
        .await?;
    let nodes = [federation.node("alpha"), federation.node("beta")];
    let authority = federation.authority();
    authority.change(|directory| fill(directory, plan));
    let bytes = std::cell::Cell::new(0);
    authority.change(|directory| bytes.set(directory.shared().len()));
    until(nodes, |[alpha, beta]| alpha.swaps > 0 && beta.swaps > 0).await?;
    sleep(Duration::from_secs(2)).await;
    let (mut idle_kib, before) = ([0; 2], looks(nodes).await?);
    for (idle, node) in idle_kib.iter_mut().zip(nodes) {
        *idle = usage::of(node.pid())?.resident_kib;
        usage::reset_peak(node.pid())?;
    }

    let beta = federation.node("beta");
    let load_plan = LoadPlan {
        target: federation.node("alpha").is_http(),
        path: format!("/r1/{}/intake/bytes/1024", beta.client_id("antrag")),
        headers: vec![(
            "x-road-client".into(),
            federation.node("alpha").client_id("antrag"),
        )],
        request_bytes: 1024,
        answer_bytes: 1024,
        connections: 32,
        warm_up_millis: 500,
        window_millis: plan.seconds * 1000,
        rate: Some(plan.rate),
        once: false,
    };
    let load = tokio::spawn(load::run(load_plan, || {}, || {}));
    let mut changes = Vec::new();
    let mut longest = 0.0_f64;
    let mut relays = Vec::new();
    let begun = Instant::now();
    let mut step = 0_u64;
    // The last change is seen while the load still runs.
    while begun.elapsed() + Duration::from_secs(3) < Duration::from_secs(plan.seconds) {
        let known = looks(nodes).await?;
        match step % 5 {
            0 | 2 => {
                authority.change(|directory| directory.members[3].subsystems.push(format!("new-{step}")));
                changes.push("a subsystem".into());
            }
            1 => {
                authority.announce_key()?;
                changes.push("a key is announced".into());
            }
            3 => {
                authority.switch_key()?;
                authority.change(|directory| directory.members[4].subsystems.push(format!("new-{step}")));
                changes.push("that key signs".into());
            }
            _ => {
                let host = 30 + u8::try_from(step / 5 % 100)?;
                for (port, to) in [(5500, beta.federation()), (5577, beta.ocsp())] {
                    relays.push(relay(net.address(host, port), to).await?);
                }
                let address = net.address(host, 5500).ip().to_string();
                authority.change(|directory| {
                    for server in directory
                        .servers
                        .iter_mut()
                        .filter(|server| server.code == "ss-beta")
                    {
                        server.address.clone_from(&address);
                    }
                });
                changes.push("another address of beta".into());
            }
        }
        step += 1;
        let now = until(nodes, |looks| {
            looks
                .iter()
                .zip(&known)
                .all(|(now, before)| now.swaps > before.swaps)
        })
        .await?;
        longest = now
            .iter()
            .fold(longest, |longest, look| longest.max(look.seconds));
    }
    let load = load.await??;
    let after = looks(nodes).await?;
    let mut peak_kib = [0; 2];
    for (peak, node) in peak_kib.iter_mut().zip(nodes) {
        *peak = usage::of(node.pid())?.peak_kib;
    }
    Ok(ChangeReport {
        bytes: bytes.get(),
        exchanges: load.exchanges,
        errors: load.errors,
        first_error: load.first_error,
        p99_micros: load.p99,
        swaps: [after[0].swaps - before[0].swaps, after[1].swaps - before[1].swaps],
        longest_swap_seconds: longest,
        idle_kib,
        peak_kib,
        changes,
    })
}

/// Members, subsystems and servers that nobody ever calls.
fn fill(directory: &mut Directory, plan: ChangePlan) {
    let code = |index: usize| format!("f{index:05}");
    for index in 0..plan.members {
        directory.members.push(Member {
            class: "GOV".into(),
            code: code(index),
            subsystems: (0..plan.subsystems)
                .map(|number| format!("subsystem-{number}"))
                .collect(),
        });
    }
    for index in 0..plan.servers {
        // Each serves its share of the members, with all their subsystems.
        let share = plan.members / plan.servers.max(1);
        let members = index * share..(index + 1) * share;
        let clients = members.flat_map(|member| {
            (0..plan.subsystems)
                .map(move |number| ("GOV".into(), code(member), format!("subsystem-{number}")))
        });
        directory.servers.push(Server {
            owner: ("GOV".into(), code(index * share)),
            code: format!("ss{index}"),
            address: format!("ss{index}.example"),
            certificates: vec![format!("certificate of {index}").into_bytes()],
            clients: clients.collect(),
        });
    }
}

/// What a node says of its configuration.
#[derive(Clone, Copy, Debug)]
struct Look {
    swaps: u64,
    seconds: f64,
}

async fn looks(nodes: [&Node; 2]) -> Result<[Look; 2]> {
    Ok([look(nodes[0].health()).await?, look(nodes[1].health()).await?])
}

async fn look(health: SocketAddr) -> Result<Look> {
    let answer = http::get(health, "/metrics").await?;
    let text = std::str::from_utf8(&answer.body)?;
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|value| value.trim().parse::<f64>().ok());
        value.ok_or_else(|| anyhow!("{health}/metrics has no {name}"))
    };
    Ok(Look {
        swaps: figure("kontor_global_configuration_swaps_total ")? as u64,
        seconds: figure("kontor_global_configuration_swap_seconds ")?,
    })
}

async fn until(nodes: [&Node; 2], is_there: impl Fn([Look; 2]) -> bool) -> Result<[Look; 2]> {
    let begun = Instant::now();
    loop {
        let now = looks(nodes).await?;
        if is_there(now) {
            return Ok(now);
        }
        ensure!(
            begun.elapsed() < Duration::from_secs(60),
            "the nodes do not take the configuration: {now:?}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

/// Hands connections on, so that a server can be reached at another address.
async fn relay(at: SocketAddr, to: SocketAddr) -> Result<tokio::task::JoinHandle<()>> {
    let listener = TcpListener::bind(at)
        .await
        .with_context(|| format!("binding {at}"))?;
    Ok(tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(to).await {
                    let _ = copy_bidirectional(&mut stream, &mut server).await;
                }
            });
        }
    }))
}
