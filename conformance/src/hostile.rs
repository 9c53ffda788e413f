//! What a healthy peer's traffic is worth while others hold connections and say nothing, or next to nothing.
//!
//! Owns the crowd; refuses to count what the crowd does.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::address::Net;
use crate::bench::load::{self, LoadPlan, LoadResult};
use crate::federation::{Federation, Node};
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::report::say;
use crate::service::Service;
use crate::subject::Subject;

/// How large the crowd is, and how long each window.
#[derive(Clone, Copy, Debug)]
pub struct HostilePlan {
    pub idle: usize,
    pub slow: usize,
    pub seconds: u64,
    pub rounds: usize,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct HostileReport {
    /// Exchanges a second without the crowd and with it, round by round.
    pub rounds: Vec<[f64; 2]>,
    /// Healthy exchanges that failed.
    pub errors: u64,
    pub first_error: Option<String>,
    /// Connections of the crowd that stood at the end of its window.
    pub held: usize,
}

impl HostileReport {
    /// Median of the ratios.
    pub fn ratio(&self) -> f64 {
        let mut ratios: Vec<_> = self
            .rounds
            .iter()
            .map(|[alone, crowded]| crowded / alone)
            .collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(0.0)
    }
}

impl fmt::Display for HostileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for [alone, crowded] in &self.rounds {
            writeln!(
                f,
                "{alone:.0}/s alone, {crowded:.0}/s in the crowd: {:.2}",
                crowded / alone
            )?;
        }
        let first = self
            .first_error
            .as_deref()
            .map(|error| format!(" (first: {error})"));
        write!(
            f,
            "ratio {:.2}; {} healthy exchanges failed{}; the crowd held {} connections at the end",
            self.ratio(),
            self.errors,
            first.unwrap_or_default(),
            self.held
        )
    }
}

/// Runs it with two nodes.
pub async fn run(subject: &Subject, plan: HostilePlan) -> Result<HostileReport> {
    // Both ends of what information systems do are here.
    let limit = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit,
            maximum: limit,
        },
    )?;
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").client("antrag").client("slow"))
        .node(
            NodePlan::new("beta", "1002").client("antrag").service(
                ServicePlan::new("intake", service.address(), "")
                    .right(&format!("{INSTANCE}/GOV/1001/antrag"))
                    .right(&format!("{INSTANCE}/GOV/1001/slow")),
            ),
        )
        .start(subject)
        .await?;
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let healthy = LoadPlan {
        target: alpha.is_http(),
        path: format!("/r1/{}/intake/bytes/1024", beta.client_id("antrag")),
        headers: vec![("x-road-client".into(), alpha.client_id("antrag"))],
        request_bytes: 1024,
        answer_bytes: 1024,
        connections: 16,
        warm_up_millis: 1000,
        window_millis: plan.seconds * 1000,
        rate: None,
        once: false,
    };
    let mut report = HostileReport {
        rounds: Vec::new(),
        errors: 0,
        first_error: None,
        held: 0,
    };
    let count = |report: &mut HostileReport, result: &LoadResult| {
        report.errors += result.errors;
        if report.first_error.is_none() {
            report.first_error.clone_from(&result.first_error);
        }
        result.exchanges as f64 / result.seconds
    };
    for round in 0..plan.rounds {
        let alone = load::run(healthy.clone(), || {}, || {}).await?;
        let mut crowd = Crowd::gather(&net, plan, alpha, beta).await?;
        let crowded = load::run(healthy.clone(), || {}, || {}).await?;
        report.held = crowd.standing();
        drop(crowd);
        // What it held is given back before the next round.
        sleep(Duration::from_secs(2)).await;
        let rates = [count(&mut report, &alone), count(&mut report, &crowded)];
        say(format_args!(
            "round {}: {:.0}/s alone, {:.0}/s in the crowd",
            round + 1,
            rates[0],
            rates[1]
        ));
        report.rounds.push(rates);
    }
    Ok(report)
}

/// Connections that take places.
struct Crowd {
    idle: Vec<TcpStream>,
    slow: JoinSet<()>,
}

impl Crowd {
    /// Half of the idle ones at beta's port for nodes, half at alpha's for information systems, from four addresses; the slow ones
    /// begin a request at alpha and send a byte of its body now and then.
    async fn gather(net: &Net, plan: HostilePlan, alpha: &Node, beta: &Node) -> Result<Self> {
        let mut idle = Vec::new();
        for index in 0..plan.idle {
            let from = net.host(201 + u8::try_from(index % 4)?);
            let to = if index.is_multiple_of(2) {
                beta.federation()
            } else {
                alpha.is_http()
            };
            idle.push(connect(from, to).await.context("an idle connection")?);
        }
        let mut slow = JoinSet::new();
        let head = format!(
            "POST /r1/{}/intake/x HTTP/1.1\r\nhost: slow\r\nx-road-client: {}\r\ncontent-length: 1000000\r\n\r\n",
            beta.client_id("antrag"),
            alpha.client_id("slow"),
        );
        for index in 0..plan.slow {
            let from = net.host(205 + u8::try_from(index % 4)?);
            let mut stream = connect(from, alpha.is_http())
                .await
                .context("a slow connection")?;
            stream.write_all(head.as_bytes()).await?;
            slow.spawn(async move {
                while stream.write_all(b"x").await.is_ok() {
                    sleep(Duration::from_millis(200)).await;
                }
            });
        }
        Ok(Self { idle, slow })
    }

    /// Connections that were not closed by the other side.
    fn standing(&mut self) -> usize {
        while self.slow.try_join_next().is_some() {}
        let open = |stream: &&TcpStream| {
            let mut byte = [0];
            matches!(stream.try_read(&mut byte), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        };
        self.idle.iter().filter(open).count() + self.slow.len()
    }
}

async fn connect(from: Ipv4Addr, to: SocketAddr) -> Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    Ok(socket.connect(to).await?)
}
