//! Peers that speak X-Road's own CBC suites and nothing else, as Java security servers do by default (wire 3.1): openssl, or a JDK,
//! speaks TLS in their name, and the scripted peer X-Road on top of it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http_body_util::Full;
use tokio::io::{Join, join};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use super::{Skip, World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::authority::{OcspSays, pem, pem_key};
use crate::federation::{Federation, Node};
use crate::peer::Peer;
use crate::peer::consumer::{Answered, Ask, Link};
use crate::peer::provider::{Listening, Reaction, Reply};
use crate::plan::{INSTANCE, NodePlan, PeerPlan, ServicePlan};
use crate::service::Service;
use crate::wire::http;

cases! {
    quick LEGACY_CONSUMER => consumer;
    quick LEGACY_PROVIDER => provider;
    slow LEGACY_JDK_CONSUMER => jdk_consumer;
    slow LEGACY_JDK_PROVIDER => jdk_provider;
    quick LEGACY_PREFERENCE => preference;
    quick LEGACY_RESUMED => resumed;
    quick LEGACY_NOT_NAMED => not_named;
}

/// What an unchanged Java security server offers, of what we speak.
const CBC: &str = "ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA384";
/// The same by their names in Java.
const JAVA_CBC: &str = "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384";
const BOTH: &str = "ECDHE-RSA-AES256-SHA384:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384";

/// Two nodes, one with a key of each kind, and three peers: two that are named for these suites, and one that is not.
struct Legacy {
    federation: Federation,
    service: Service,
}

/// One case at a time: they share the ports of the peers.
static ONE: Mutex<()> = Mutex::const_new(());

impl Legacy {
    async fn start(world: &World) -> Result<Self> {
        let subject = world.federation.subject();
        let version = subject.run(["--version"]).await?.out;
        if !version.contains("legacy-cbc") {
            return Err(Skip("the subject is built without legacy-cbc".into()).into());
        }
        let known = std::process::Command::new("openssl")
            .args(["ciphers", "-tls1_2", "-s", CBC])
            .output();
        let known = known
            .is_ok_and(|said| String::from_utf8_lossy(&said.stdout).contains("ECDHE-ECDSA-AES256-SHA384"));
        if !known {
            return Err(Skip("openssl is not installed, or does not speak these suites".into()).into());
        }
        let net = Net::claim().await?;
        let service = Service::start(net.address(20, 8090)).await?;
        let named: Vec<_> = [("gamma", "1003"), ("rho", "1004")]
            .iter()
            .map(|(name, member)| {
                format!("[[federation.peer]]\nserver = \"{INSTANCE}/GOV/{member}/ss-{name}\"\ntls12 = \"legacy-cbc\"\n")
            })
            .collect();
        let named = named.concat();
        let intake = ["1003", "1004", "1005"].iter().fold(
            ServicePlan::new("intake", service.address(), "/"),
            |plan, member| plan.right(&format!("{INSTANCE}/GOV/{member}/portal")),
        );
        let federation = Federation::builder(&net)
            .node(
                NodePlan::new("alpha", "1001")
                    .federation(&named)
                    .client("antrag")
                    .service(intake.clone()),
            )
            .node(
                NodePlan::new("beta", "1002")
                    .rsa()
                    .federation(&named)
                    .client("antrag")
                    .service(intake),
            )
            .peer(PeerPlan::new("gamma", "1003", "portal"))
            .peer(PeerPlan::new("rho", "1004", "portal").rsa())
            .peer(PeerPlan::new("sigma", "1005", "portal"))
            .start(subject)
            .await?;
        Ok(Self { federation, service })
    }

    fn nodes(&self) -> [&Node; 2] {
        [self.federation.node("alpha"), self.federation.node("beta")]
    }

    /// Key and certificate of a peer, for openssl.
    fn files(&self, peer: &Peer) -> Result<[PathBuf; 2]> {
        let dir = self.federation.dir();
        let [key, certificate] = ["key", "pem"].map(|kind| dir.join(format!("{}.{kind}", peer.name())));
        std::fs::write(&key, pem_key(&peer.identity.pkcs8))?;
        std::fs::write(&certificate, pem(&peer.identity.chain[0]))?;
        Ok([key, certificate])
    }

    /// A signed request of a peer for a node, sent over somebody else's TLS.
    async fn ask(&self, tool: Tool, peer: &Peer, node: &Node, id: &str) -> Result<Answered> {
        let target = format!("/r1/{}/intake/x", node.client_id("antrag"));
        let ask = Ask::new(peer, "POST", &target, id).body(vec![b'x'; 100_000]);
        let outgoing = ask.sign(peer, &peer.signer, self.federation.authority())?;
        let speaker = Speaker::client(tool, node.federation(), &self.files(peer)?)?;
        Link::over(speaker.stream).await?.send(&outgoing).await
    }
}

/// Whose TLS.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Tool {
    Openssl,
    Jdk,
}

/// A process whose input and output are a stream, and that speaks TLS on its other side.
struct Speaker {
    stream: Join<ChildStdout, ChildStdin>,
    _process: Child,
}

impl Speaker {
    fn client(tool: Tool, node: SocketAddr, files: &[PathBuf; 2]) -> Result<Self> {
        match tool {
            Tool::Openssl => Self::openssl(&["s_client", "-connect", &node.to_string()], files),
            Tool::Jdk => Self::jdk("client", node, files),
        }
    }

    /// A server for one connection, which wants a certificate of whoever comes.
    async fn server(tool: Tool, at: SocketAddr, files: &[PathBuf; 2]) -> Result<Self> {
        let (address, one) = (at.to_string(), ["s_server", "-naccept", "1", "-Verify", "1"]);
        let started = match tool {
            Tool::Openssl => Self::openssl(&[&one[..], &["-accept", &address]].concat(), files),
            Tool::Jdk => Self::jdk("server", at, files),
        }?;
        // It says nothing, and a connection to find out would be its only one.
        let begun = std::time::Instant::now();
        while !listens(at)? {
            ensure!(
                begun.elapsed() < Duration::from_secs(20),
                "{tool:?} does not listen on {at}"
            );
            sleep(Duration::from_millis(5)).await;
        }
        Ok(started)
    }

    fn openssl(command: &[&str], [key, certificate]: &[PathBuf; 2]) -> Result<Self> {
        let mut openssl = Command::new("openssl");
        openssl
            .args(command)
            .args(["-quiet", "-tls1_2", "-cipher", CBC, "-key"])
            .arg(key)
            .arg("-cert")
            .arg(certificate);
        Self::start(openssl)
    }

    fn jdk(end: &str, at: SocketAddr, [key, certificate]: &[PathBuf; 2]) -> Result<Self> {
        let (source, store) = (key.with_file_name("Bridge.java"), key.with_extension("p12"));
        std::fs::write(&source, include_str!("legacy/Bridge.java"))?;
        let made = std::process::Command::new("openssl")
            .args(["pkcs12", "-export", "-passout", "pass:bridge", "-inkey"])
            .arg(key)
            .arg("-in")
            .arg(certificate)
            .arg("-out")
            .arg(&store)
            .output()?;
        ensure!(made.status.success(), "openssl makes no PKCS#12 file");
        let mut java = Command::new("java");
        // A socket of version 4 is what `listens` looks for.
        java.arg("-Djava.net.preferIPv4Stack=true")
            .arg(source)
            .args([end, &at.ip().to_string(), &at.port().to_string()])
            .arg(store)
            .arg(JAVA_CBC);
        Self::start(java)
    }

    fn start(mut command: Command) -> Result<Self> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting somebody else's TLS")?;
        let stream = process
            .stdout
            .take()
            .zip(process.stdin.take())
            .context("it has no pipes")?;
        Ok(Self {
            stream: join(stream.0, stream.1),
            _process: process,
        })
    }
}

/// Whether a socket of this machine listens there, as `/proc/net/tcp` writes it.
fn listens(at: SocketAddr) -> Result<bool> {
    let SocketAddr::V4(at) = at else { return Ok(false) };
    let place = format!("{:08X}:{:04X}", u32::from_le_bytes(at.ip().octets()), at.port());
    let table = std::fs::read_to_string("/proc/net/tcp").context("reading /proc/net/tcp")?;
    Ok(table.lines().any(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().take(4).collect();
        matches!(fields[..], [_, local, _, "0A"] if local == place)
    }))
}

async fn consumer(world: &World) -> Result<()> {
    served(world, Tool::Openssl).await
}

async fn jdk_consumer(world: &World) -> Result<()> {
    has_jdk()?;
    served(world, Tool::Jdk).await
}

async fn provider(world: &World) -> Result<()> {
    called(world, Tool::Openssl).await
}

async fn jdk_provider(world: &World) -> Result<()> {
    has_jdk()?;
    called(world, Tool::Jdk).await
}

/// A JDK and no mere runtime: it compiles the few lines that speak.
fn has_jdk() -> Result<()> {
    let modules = std::process::Command::new("java").arg("--list-modules").output();
    match modules {
        Ok(said) if String::from_utf8_lossy(&said.stdout).contains("jdk.compiler") => Ok(()),
        _ => Err(Skip("no JDK is installed".into()).into()),
    }
}

/// Peers with a key of each kind are served by nodes with a key of each kind.
async fn served(world: &World, tool: Tool) -> Result<()> {
    let _one = ONE.lock().await;
    let legacy = Legacy::start(world).await?;
    for node in legacy.nodes() {
        for name in ["gamma", "rho"] {
            let id = fresh("legacy");
            let answered = legacy.ask(tool, legacy.federation.peer(name), node, &id).await;
            let answered = answered.with_context(|| format!("{name} to {}", node.name()))?;
            answered.message()?;
            ensure!(
                legacy.service.calls(&id).len() == 1,
                "the call of {name} did not arrive once"
            );
        }
    }
    Ok(())
}

/// Nodes with a key of each kind call peers with a key of each kind.
async fn called(world: &World, tool: Tool) -> Result<()> {
    let _one = ONE.lock().await;
    let legacy = Legacy::start(world).await?;
    let authority = legacy.federation.authority();
    for node in legacy.nodes() {
        for name in ["gamma", "rho"] {
            let peer = legacy.federation.peer(name);
            let speaker = Speaker::server(tool, peer.address(5500), &legacy.files(peer)?).await?;
            let listening = listening(peer, &legacy, speaker.stream).await?;
            let signer = peer.signer.clone();
            let ocsp = authority.ocsp_of(&signer.certificate, OcspSays::Good)?;
            listening.react(move |seen| {
                let reply = Reply::to(seen, &[b'y'; 100_000])?;
                Ok(Reaction::PartsThenClose(
                    reply.sign(&signer, std::slice::from_ref(&ocsp)),
                ))
            });
            let id = fresh("legacy");
            let path = format!("/r1/{}/auskunft/x", peer.client_id());
            let request = node
                .request("POST", &path, "antrag", &id)
                .body(Full::from(vec![b'x'; 100_000]))?;
            let answer = node
                .call(request)
                .await
                .with_context(|| format!("{} to {name}", node.name()))?;
            is_served(&answer).with_context(|| format!("{} to {name}", node.name()))?;
            ensure!(answer.body.len() == 100_000, "the body of {name} came cut");
            ensure!(
                listening.seen(&id).len() == 1,
                "{name} got {} requests",
                listening.seen(&id).len()
            );
            ensure!(
                listening.seen(&id)[0].body().map(<[u8]>::len) == Some(100_000),
                "{name} got a cut body"
            );
        }
    }
    Ok(())
}

/// The peer behind it; the ports of one that stopped listening are free a moment later.
async fn listening(peer: &Peer, legacy: &Legacy, stream: Join<ChildStdout, ChildStdin>) -> Result<Listening> {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(5) {
        match tokio::net::TcpListener::bind(peer.address(5577)).await {
            Ok(_) => break,
            Err(_) => sleep(Duration::from_millis(5)).await,
        }
    }
    Listening::behind(peer, legacy.federation.authority(), stream).await
}

/// What openssl says of a handshake by TLS 1.2 after which nothing is sent.
async fn shakes_hands(node: &Node, [key, certificate]: &[PathBuf; 2], with: &[&str]) -> Result<Output> {
    let said = Command::new("openssl")
        .args(["s_client", "-tls1_2", "-connect"])
        .arg(node.federation().to_string())
        .args(with)
        .arg("-key")
        .arg(key)
        .arg("-cert")
        .arg(certificate)
        .stdin(Stdio::null())
        .output();
    Ok(timeout(http::PATIENCE, said)
        .await
        .context("openssl does not end")??)
}

async fn preference(world: &World) -> Result<()> {
    let _one = ONE.lock().await;
    let legacy = Legacy::start(world).await?;
    let files = legacy.files(legacy.federation.peer("gamma"))?;
    for node in legacy.nodes() {
        for (suites, expected) in [(BOTH, "GCM"), (CBC, "AES256-SHA384")] {
            let said = shakes_hands(node, &files, &["-brief", "-cipher", suites]).await?;
            let text =
                String::from_utf8_lossy(&said.stderr).into_owned() + &String::from_utf8_lossy(&said.stdout);
            let suite = text.lines().find_map(|line| line.strip_prefix("Ciphersuite: "));
            ensure!(
                suite.is_some_and(|suite| suite.contains(expected)),
                "{suite:?} of {suites}: {text}"
            );
        }
    }
    Ok(())
}

async fn resumed(world: &World) -> Result<()> {
    let _one = ONE.lock().await;
    let legacy = Legacy::start(world).await?;
    let files = legacy.files(legacy.federation.peer("gamma"))?;
    for node in legacy.nodes() {
        // It connects once more five times, each time with the session of the first.
        let said = shakes_hands(node, &files, &["-reconnect", "-cipher", CBC]).await?;
        let text = String::from_utf8_lossy(&said.stdout);
        let times = |what: &str| text.lines().filter(|line| line.starts_with(what)).count();
        ensure!(
            (times("New, "), times("Reused, ")) == (1, 5),
            "sessions: {} new, {} resumed",
            times("New, "),
            times("Reused, ")
        );
    }
    Ok(())
}

async fn not_named(world: &World) -> Result<()> {
    let _one = ONE.lock().await;
    let legacy = Legacy::start(world).await?;
    let sigma = legacy.federation.peer("sigma");
    for node in legacy.nodes() {
        let id = fresh("legacy");
        let answered = legacy.ask(Tool::Openssl, sigma, node, &id).await?;
        let fault = answered.fault()?;
        ensure!(fault.is_one_of(&["ssl_authentication_failed"]), "{fault}");
        ensure!(
            fault.text.contains("federation.peer"),
            "the fault does not say what to do: {fault}"
        );
        ensure!(legacy.service.calls(&id).is_empty(), "the call arrived");

        let _openssl = Speaker::server(Tool::Openssl, sigma.address(5500), &legacy.files(sigma)?).await?;
        let path = format!("/r1/{}/auskunft/x", sigma.client_id());
        let request = node
            .request("GET", &path, "antrag", &fresh("legacy"))
            .body(Full::default())?;
        is_refused(
            &node.call(request).await?,
            &["ssl_authentication_failed", "network_error"],
        )?;
    }
    Ok(())
}
