//! What new connections cost: handshakes with a node beside those with openssl's server, and exchanges on a connection each, as a
//! Java security server makes them, beside exchanges on kept ones. Everything from this process, so only ratios mean anything.
//!
//! Owns the loops and their clock; refuses to count what failed.

use std::fmt;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, HandshakeKind};
use serde::Serialize;
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use crate::address::Net;
use crate::authority::{pem, pem_key};
use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::consumer::{Ask, Link, Outgoing};
use crate::plan::{INSTANCE, NodePlan, PeerPlan, ServicePlan};
use crate::service::Service;
use crate::subject::Subject;
use crate::wire::tls;

/// How long each window is, and how many of them.
#[derive(Clone, Copy, Debug)]
pub struct HandshakesPlan {
    pub seconds: u64,
    pub rounds: usize,
}

/// Figures of one round, each per second.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Round {
    /// Full handshakes, TLS 1.3 and then TLS 1.2, P-256 on both sides.
    pub node: [f64; 2],
    /// The same with `openssl s_server`; none where openssl is missing.
    pub openssl: Option<[f64; 2]>,
    /// Resumed ones by TLS 1.2 with the node, and with openssl's server.
    pub resumed: (f64, Option<f64>),
    /// Exchanges of a scripted consumer with a connection each.
    pub connection_each: f64,
    /// The same on kept connections.
    pub kept: f64,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct HandshakesReport {
    pub rounds: Vec<Round>,
    /// Whether a second handshake by TLS 1.3 could go on from the first one.
    pub newest_resumes: bool,
}

impl fmt::Display for HandshakesReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for round in &self.rounds {
            write!(
                f,
                "handshakes/s: {:.0} by TLS 1.3, {:.0} by TLS 1.2",
                round.node[0], round.node[1]
            )?;
            match round.openssl {
                Some([newer, older]) => write!(
                    f,
                    "; openssl's server {newer:.0} and {older:.0}: {:.2} and {:.2}",
                    round.node[0] / newer,
                    round.node[1] / older
                )?,
                None => f.write_str("; SKIPPED: openssl is not installed")?,
            }
            write!(f, "; resumed by TLS 1.2: {:.0}", round.resumed.0)?;
            if let Some(openssl) = round.resumed.1 {
                write!(
                    f,
                    ", openssl's server {openssl:.0}: {:.2}",
                    round.resumed.0 / openssl
                )?;
            }
            writeln!(
                f,
                "; exchanges/s: {:.0} with a connection each, {:.0} on kept ones: {:.2}",
                round.connection_each,
                round.kept,
                round.connection_each / round.kept
            )?;
        }
        f.write_str(match self.newest_resumes {
            true => "TLS 1.3 resumes too",
            false => "TLS 1.3 is never resumed: nodes keep their connections",
        })
    }
}

/// Connections that are made at once.
const AT_ONCE: usize = 8;

/// Runs it with one node.
pub async fn run(subject: &Subject, plan: HandshakesPlan) -> Result<HandshakesReport> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let caller = format!("{INSTANCE}/GOV/1003/portal");
    let federation = Federation::builder(&net)
        .node(
            NodePlan::new("alpha", "1001")
                .client("antrag")
                .service(ServicePlan::new("intake", service.address(), "/").right(&caller)),
        )
        .peer(PeerPlan::new("gamma", "1003", "portal"))
        .start(subject)
        .await?;
    let (node, peer) = (federation.node("alpha"), federation.peer("gamma"));
    let openssl = Openssl::start(&federation, peer, net.address(60, 5500)).await?;
    let window = Duration::from_secs(plan.seconds);
    let versions = [&rustls::version::TLS13, &rustls::version::TLS12];
    let mut report = HandshakesReport {
        rounds: Vec::new(),
        newest_resumes: resumes(node.federation(), peer).await?,
    };
    for _ in 0..plan.rounds {
        let mut round = Round {
            node: [0.0; 2],
            openssl: openssl.as_ref().map(|_| [0.0; 2]),
            resumed: (0.0, None),
            connection_each: 0.0,
            kept: 0.0,
        };
        for (at, version) in versions.iter().enumerate() {
            let config = tls::client_without_sessions(Some(&peer.identity), &[version])?;
            let full = Some(HandshakeKind::Full);
            round.node[at] = handshakes(&net, node.federation(), &config, full, window).await?;
            if let (Some(rates), Some(openssl)) = (&mut round.openssl, &openssl) {
                rates[at] = handshakes(&net, openssl.address, &config, full, window).await?;
            }
        }
        let config = tls::client(Some(&peer.identity), &[&rustls::version::TLS12])?;
        let resumed = Some(HandshakeKind::Resumed);
        round.resumed.0 = handshakes(&net, node.federation(), &config, resumed, window).await?;
        if let Some(openssl) = &openssl {
            round.resumed.1 = Some(handshakes(&net, openssl.address, &config, resumed, window).await?);
        }
        let target = format!("/r1/{}/intake/bytes/1024", node.client_id("antrag"));
        let asks: Result<Vec<Outgoing>> = (0..AT_ONCE)
            .map(|index| {
                let ask = Ask::new(peer, "GET", &target, &format!("handshakes-{index}"));
                ask.sign(peer, &peer.signer, federation.authority())
            })
            .collect();
        let asks: Vec<_> = asks?.into_iter().map(Arc::new).collect();
        round.connection_each = exchanges(node.federation(), &asks, window, false).await?;
        round.kept = exchanges(node.federation(), &asks, window, true).await?;
        report.rounds.push(round);
    }
    Ok(report)
}

/// Handshakes a second, several at once from an address each, and each on a connection that is closed at once. All are of one kind
/// but the one that begins a session.
async fn handshakes(
    net: &Net,
    at: SocketAddr,
    config: &Arc<ClientConfig>,
    kind: Option<HandshakeKind>,
    window: Duration,
) -> Result<f64> {
    if kind == Some(HandshakeKind::Resumed) {
        let stream = TcpStream::connect(at).await?;
        let name = ServerName::IpAddress(at.ip().into());
        TlsConnector::from(config.clone()).connect(name, stream).await?;
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for index in 0..AT_ONCE {
        let from = (net.host(200 + u8::try_from(index)?), 0).into();
        let connector = TlsConnector::from(config.clone());
        tasks.spawn(async move {
            let (mut done, name) = (0_u64, ServerName::IpAddress(at.ip().into()));
            while begun.elapsed() < window {
                let socket = TcpSocket::new_v4()?;
                socket.set_reuseaddr(true)?;
                socket.bind(from)?;
                let stream = socket.connect(at).await?;
                stream.set_nodelay(true)?;
                let stream = connector.connect(name.clone(), stream).await?;
                let spoken = stream.get_ref().1.handshake_kind();
                ensure!(spoken == kind, "a handshake was {spoken:?}, wanted {kind:?}");
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    total(tasks, begun).await
}

async fn exchanges(at: SocketAddr, asks: &[Arc<Outgoing>], window: Duration, keep: bool) -> Result<f64> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for ask in asks.iter().cloned() {
        tasks.spawn(async move {
            let mut link: Option<Link> = None;
            let mut done = 0_u64;
            while begun.elapsed() < window {
                let mut open = match link.take() {
                    Some(link) => link,
                    None => Link::open(at, ask.identity.as_ref(), &ask.versions).await?,
                };
                open.send(&ask).await?.message()?;
                link = keep.then_some(open);
                done += 1;
            }
            anyhow::Ok(done)
        });
    }
    total(tasks, begun).await
}

async fn total(mut tasks: JoinSet<Result<u64>>, begun: Instant) -> Result<f64> {
    let mut done = 0;
    while let Some(one) = tasks.join_next().await {
        done += one??;
    }
    Ok(done as f64 / begun.elapsed().as_secs_f64())
}

/// Whether a second handshake goes on from the session of the first one.
async fn resumes(at: SocketAddr, peer: &Peer) -> Result<bool> {
    let config = tls::client(Some(&peer.identity), &[&rustls::version::TLS13])?;
    let mut kind = None;
    for _ in 0..2 {
        let stream = TcpStream::connect(at).await?;
        let connector = TlsConnector::from(config.clone());
        let stream = connector
            .connect(ServerName::IpAddress(at.ip().into()), stream)
            .await?;
        kind = stream.get_ref().1.handshake_kind();
    }
    Ok(kind == Some(HandshakeKind::Resumed))
}

struct Openssl {
    address: SocketAddr,
    _process: Child,
}

impl Openssl {
    async fn start(federation: &Federation, peer: &Peer, address: SocketAddr) -> Result<Option<Self>> {
        let [key, certificate] = ["key", "pem"].map(|kind| federation.dir().join(format!("openssl.{kind}")));
        std::fs::write(&key, pem_key(&peer.identity.pkcs8))?;
        std::fs::write(&certificate, pem(&peer.identity.chain[0]))?;
        let started = Command::new("openssl")
            .args([
                "s_server",
                "-quiet",
                "-Verify",
                "1",
                "-accept",
                &address.to_string(),
                "-key",
            ])
            .arg(&key)
            .arg("-cert")
            .arg(&certificate)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn();
        let Ok(_process) = started else {
            return Ok(None);
        };
        let begun = Instant::now();
        while TcpStream::connect(address).await.is_err() {
            ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "openssl does not listen on {address}"
            );
            sleep(Duration::from_millis(5)).await;
        }
        Ok(Some(Self { address, _process }))
    }
}
