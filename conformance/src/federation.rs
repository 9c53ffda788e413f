//! A federation of real node processes on loopback addresses, described by what differs.
//!
//! Owns the directories, keys, certificates and configuration files of its nodes, the authority that they trust and the
//! registrations of scripted peers; all of it goes when it is dropped. Refuses to reach into a node: what a case wants of
//! it goes over its sockets and its command line.

mod config;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::Request;
use tempfile::TempDir;

use crate::address::Net;
use crate::authority::{Authority, Registration};
use crate::peer::Peer;
use crate::plan::{INSTANCE, NodePlan, PeerPlan};
use crate::subject::{NodeProcess, NodeRun, Subject};
use crate::wire::http::{self, Answer};

/// What a federation shall be.
#[derive(Debug)]
pub struct Builder {
    net: Net,
    instance: String,
    nodes: Vec<NodePlan>,
    peers: Vec<PeerPlan>,
    groups: Vec<(String, Vec<(String, String)>)>,
    lifetime: Duration,
    ocsp_freshness_seconds: u32,
    keep: bool,
    base: Option<PathBuf>,
}

/// A running federation.
#[derive(Debug)]
pub struct Federation {
    // Fields drop in order: processes end before their directories go.
    nodes: Vec<Node>,
    peers: Vec<Peer>,
    authority: Authority,
    subject: Subject,
    dir: TempDir,
    net: Net,
}

/// A node of a federation.
#[derive(Debug)]
pub struct Node {
    process: Option<NodeProcess>,
    run: NodeRun,
    plan: NodePlan,
    listen: config::Listen,
    dir: PathBuf,
}

impl Federation {
    /// A federation on `net`, without nodes yet.
    pub fn builder(net: &Net) -> Builder {
        Builder {
            net: net.clone(),
            instance: INSTANCE.into(),
            nodes: Vec::new(),
            peers: Vec::new(),
            groups: Vec::new(),
            lifetime: Duration::from_secs(24 * 3600),
            ocsp_freshness_seconds: 3600,
            keep: false,
            base: None,
        }
    }

    /// The node called `name`.
    pub fn node(&self, name: &str) -> &Node {
        self.nodes
            .iter()
            .find(|node| node.plan.name == name)
            .expect("a case names only nodes of its federation")
    }

    /// The same, to kill or restart it.
    pub fn node_mut(&mut self, name: &str) -> &mut Node {
        self.nodes
            .iter_mut()
            .find(|node| node.plan.name == name)
            .expect("a case names only nodes of its federation")
    }

    /// All nodes.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The registered scripted peer called `name`.
    pub fn peer(&self, name: &str) -> &Peer {
        self.peers
            .iter()
            .find(|peer| peer.name() == name)
            .expect("a case names only peers of its federation")
    }

    /// The authority that everyone trusts.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The binary its nodes run.
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Directory of the whole federation.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its addresses.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Gives the stopped node `name` a new signing key and certificate.
    pub fn renew_signing(&self, name: &str) -> Result<()> {
        let node = self.node(name);
        config::renew_signing(&node.dir, &node.plan, &self.authority)
    }

    /// Restarts the node `name` and waits until it is ready.
    pub async fn restart(&mut self, name: &str) -> Result<()> {
        let subject = self.subject.clone();
        self.node_mut(name).start(&subject).await
    }
}

impl Builder {
    /// Of another instance than the suite's.
    #[must_use]
    pub fn instance(mut self, name: &str) -> Self {
        self.instance = name.into();
        self
    }

    /// Adds a node.
    #[must_use]
    pub fn node(mut self, plan: NodePlan) -> Self {
        self.nodes.push(plan);
        self
    }

    /// Registers a scripted peer.
    #[must_use]
    pub fn peer(mut self, plan: PeerPlan) -> Self {
        self.peers.push(plan);
        self
    }

    /// Adds a global group of subsystems, each as member code and subsystem code.
    #[must_use]
    pub fn group(mut self, code: &str, members: &[(&str, &str)]) -> Self {
        let members = members
            .iter()
            .map(|(member, subsystem)| (member.to_string(), subsystem.to_string()))
            .collect();
        self.groups.push((code.into(), members));
        self
    }

    /// How long a configuration is valid after it was made.
    #[must_use]
    pub fn configuration_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = lifetime;
        self
    }

    /// How old an OCSP response may be.
    #[must_use]
    pub fn ocsp_freshness(mut self, seconds: u32) -> Self {
        self.ocsp_freshness_seconds = seconds;
        self
    }

    /// Leaves the directory behind, to look at it.
    #[must_use]
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Makes its directory in this one.
    #[must_use]
    pub fn within(mut self, base: &Path) -> Self {
        self.base = Some(base.into());
        self
    }

    /// Makes everything and starts the nodes.
    pub async fn start(self, subject: &Subject) -> Result<Federation> {
        let base = self.base.clone().unwrap_or_else(std::env::temp_dir);
        let mut dir = tempfile::Builder::new()
            .prefix("kontor-conformance-")
            .tempdir_in(base)?;
        dir.disable_cleanup(self.keep);
        let authority = Authority::start(&self.net, &self.instance, self.lifetime).await?;
        authority.change(|directory| directory.ocsp_freshness_seconds = self.ocsp_freshness_seconds);
        for (code, members) in &self.groups {
            authority.add_group(code, members);
        }
        let mut nodes = Vec::new();
        for (index, mut plan) in self.nodes.into_iter().enumerate() {
            plan.instance.clone_from(&self.instance);
            let host = 11 + u8::try_from(index)?;
            let listen = config::Listen::on(&self.net, host);
            let node_dir = dir.path().join(&plan.name);
            let certificate = config::write_node(&node_dir, &plan, &listen, &authority)?;
            authority.register(Registration {
                member: plan.member.clone(),
                server: plan.server_code(),
                address: self.net.host(plan.known_at.unwrap_or(host)).to_string(),
                certificates: vec![certificate],
                clients: plan
                    .clients
                    .iter()
                    .map(|client| (client.member.clone(), client.subsystem.clone()))
                    .chain(
                        plan.ledger_seconds
                            .map(|_| (plan.member.clone(), "ledger".to_owned())),
                    )
                    .chain(
                        plan.casework
                            .iter()
                            .map(|_| (plan.member.clone(), "KONTOR".to_owned())),
                    )
                    .collect(),
            });
            let run = NodeRun {
                config: node_dir.join("node.toml"),
                health: listen.health,
                log: node_dir.join("node.log"),
                file_limit_kib: plan.file_limit_kib,
            };
            nodes.push(Node {
                process: None,
                run,
                plan,
                listen,
                dir: node_dir,
            });
        }
        let mut peers = Vec::new();
        for (index, plan) in self.peers.into_iter().enumerate() {
            let host = 31 + u8::try_from(index)?;
            peers.push(Peer::register(plan, self.net.host(host), &authority)?);
        }
        for node in &mut nodes {
            std::fs::write(node.dir.join("anchor.xml"), authority.anchor())?;
            node.process = Some(NodeProcess::spawn(subject, &node.run)?);
        }
        for node in &mut nodes {
            let process = node.process.as_mut().expect("spawned in the loop above");
            process
                .wait_ready(&node.run)
                .await
                .with_context(|| format!("node {}", node.plan.name))?;
        }
        Ok(Federation {
            nodes,
            peers,
            authority,
            subject: subject.clone(),
            dir,
            net: self.net,
        })
    }
}

impl Node {
    /// Its name in the federation.
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Process id.
    pub fn pid(&self) -> u32 {
        self.process.as_ref().map_or(0, NodeProcess::pid)
    }

    /// Where information systems reach it without TLS.
    pub fn is_http(&self) -> SocketAddr {
        self.listen.is_http
    }

    /// Where information systems reach it with TLS.
    pub fn is_https(&self) -> SocketAddr {
        self.listen.is_https
    }

    /// Where other nodes reach it.
    pub fn federation(&self) -> SocketAddr {
        self.listen.federation
    }

    /// Where it hands out OCSP responses.
    pub fn ocsp(&self) -> SocketAddr {
        self.listen.ocsp
    }

    /// Health and metrics.
    pub fn health(&self) -> SocketAddr {
        self.listen.health
    }

    /// Where its casework is reached.
    pub fn administration(&self) -> SocketAddr {
        self.listen.administration
    }

    /// Its configuration file.
    pub fn config(&self) -> &Path {
        &self.run.config
    }

    /// Its own directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its trust directory in the layout of wire 7.8.
    pub fn trust(&self) -> PathBuf {
        self.dir.join("data/globalconf")
    }

    /// The last lines it logged.
    pub fn log_tail(&self) -> String {
        crate::subject::tail(&self.run.log)
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.run.log).unwrap_or_default()
    }

    /// `INSTANCE/CLASS/CODE/SUBSYSTEM` of its owner's subsystem.
    pub fn client_id(&self, subsystem: &str) -> String {
        let mut clients = self.plan.clients.iter();
        let member = clients
            .find(|client| client.subsystem == subsystem)
            .map_or(&self.plan.member, |client| &client.member);
        format!("{}/GOV/{member}/{subsystem}", self.plan.instance)
    }

    /// Sends a request of an information system over plain HTTP.
    pub async fn call(&self, request: http::WholeRequest) -> Result<Answer> {
        http::once(self.is_http(), None, request).await
    }

    /// A request of the owner's `client` subsystem for `path` (`/r1/…`), with message id `id`.
    pub fn request(&self, method: &str, path: &str, client: &str, id: &str) -> hyper::http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header("Host", self.is_http().to_string())
            .header("X-Road-Client", self.client_id(client))
            .header("X-Road-Id", id)
    }

    /// `kill -9`.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.process {
            Some(process) => process.kill().await,
            None => Ok(()),
        }
    }

    /// Stops it cleanly; gives its exit code.
    pub async fn stop(&mut self) -> Result<Option<i32>> {
        match self.process.take() {
            Some(mut process) => process.stop().await,
            None => Ok(None),
        }
    }

    /// Starts it, killed or stopped before, and waits until it is ready.
    pub async fn start(&mut self, subject: &Subject) -> Result<()> {
        self.process = None;
        self.process = Some(
            NodeProcess::start(subject, &self.run)
                .await
                .with_context(|| format!("node {}", self.plan.name))?,
        );
        Ok(())
    }

    /// Starts it, killed or stopped before, without waiting for it: for a node that shall not become ready.
    pub fn begin(&mut self, subject: &Subject) -> Result<()> {
        self.process = None;
        self.process = Some(NodeProcess::spawn(subject, &self.run)?);
        Ok(())
    }

    /// Whether the process has ended by itself, and its exit code.
    pub fn has_ended(&mut self) -> Result<Option<i32>> {
        self.process.as_mut().map_or(Ok(None), NodeProcess::has_ended)
    }
}
