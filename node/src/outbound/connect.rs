//! Links to provider nodes: kept ones first, then fresh ones, each judged before a byte of a request is written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use kontor_pki::certificate::Certificate;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::id::ClientId;
use kontor_protocol::trust::TrustSet;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::balance::{Balance, UnderWay};
use super::resolve::{self, Candidate};
use crate::config::Tls12;
use crate::handles::Handles;
use crate::link::{Link, Links};
use crate::shutdown::Shutdown;
use crate::suites;

/// Time to connect to the only address there is (wire 3.2).
const CONNECT: Duration = Duration::from_secs(30);
/// Time to connect where others may be tried.
const CONNECT_ONE_OF: Duration = Duration::from_secs(5);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// An address that does not answer by then is no longer waited for alone (as RFC 8305 does with addresses of one host).
const STAGGER: Duration = Duration::from_millis(250);

/// What was learnt of a provider node when the link was opened.
#[derive(Debug)]
pub(super) struct ProviderNode {
    /// Where it is.
    pub(super) address: SocketAddr,
    /// What it presented, leaf first.
    pub(super) certificates: Vec<Certificate>,
    /// The least that must be spoken with it for what was negotiated.
    tls12: Tls12,
}

/// A judged link and the use that is made of it.
pub(super) struct Way {
    pub(super) link: Link<ProviderNode>,
    pub(super) under_way: UnderWay,
}

/// TLS towards nodes, by what of TLS 1.2 is spoken with them.
pub struct Dialects {
    /// TLS 1.3 only.
    pub off: Arc<rustls::ClientConfig>,
    /// TLS 1.2 with AES-GCM besides.
    pub gcm: Arc<rustls::ClientConfig>,
    /// X-Road's own suites besides, where they are built in.
    pub legacy_cbc: Arc<rustls::ClientConfig>,
}

impl Dialects {
    fn connector(&self, tls12: Tls12) -> TlsConnector {
        let config = match tls12 {
            Tls12::Off => &self.off,
            Tls12::Gcm => &self.gcm,
            Tls12::LegacyCbc => &self.legacy_cbc,
        };
        TlsConnector::from(config.clone())
    }
}

/// Opens and keeps links.
pub(super) struct Connector {
    links: Links<SocketAddr, ProviderNode>,
    balance: Balance,
    tls: Dialects,
    shutdown: Shutdown,
}

impl Connector {
    pub(super) fn new(tls: Dialects, shutdown: Shutdown) -> Self {
        Self {
            links: Links::default(),
            balance: Balance::default(),
            tls,
            shutdown,
        }
    }

    /// A judged link to one of the candidates; `fresh` passes over kept links. Addresses are tried in turn, the next one as soon
    /// as one fails or takes long; what is sent is sent once.
    pub(super) async fn link(
        &self,
        handles: &Handles,
        trust: &TrustSet,
        candidates: &[Candidate],
        provider: &ClientId,
        fresh: bool,
    ) -> Result<Way, Fault> {
        let mut last = None;
        let found = join_all(
            candidates
                .iter()
                .map(|candidate| resolve::addresses(&candidate.host)),
        );
        // What is spoken with a server behind an address; the most, where several say that they are there.
        let mut spoken = BTreeMap::new();
        for (candidate, found) in candidates.iter().zip(found.await) {
            match found {
                Ok(found) => {
                    let tls12 = handles.tls12.with(&candidate.server);
                    for address in found {
                        let known = spoken.entry(address).or_insert(tls12);
                        *known = tls12.max(*known);
                    }
                }
                Err(fault) => last = Some(fault),
            }
        }
        let addresses: Vec<_> = spoken.keys().copied().collect();
        let limit = if addresses.len() == 1 {
            CONNECT
        } else {
            CONNECT_ONE_OF
        };
        let mut waiting = self.balance.in_turn(addresses).into_iter();
        let mut running = FuturesUnordered::new();
        let attempt = async |address: SocketAddr| {
            let under_way = self.balance.begin(address);
            let kept = if fresh { None } else { self.links.take(&address) };
            let opened = match kept {
                Some(link) => Ok(link),
                None => self.open(address, limit, spoken[&address]).await,
            };
            (under_way, self.judged(handles, trust, opened, provider).await)
        };
        running.extend(waiting.next().map(&attempt));
        while !running.is_empty() {
            let more = !waiting.as_slice().is_empty();
            tokio::select! {
                Some((mut under_way, judged)) = running.next() => match judged {
                    Ok(link) => {
                        under_way.linked();
                        return Ok(Way { link, under_way });
                    }
                    Err(fault) => {
                        under_way.failed();
                        last = Some(fault);
                        running.extend(waiting.next().map(&attempt));
                    }
                },
                () = tokio::time::sleep(STAGGER), if more => running.extend(waiting.next().map(&attempt)),
            }
        }
        Err(last
            .unwrap_or_else(|| Fault::new(FaultCode::NetworkError, "the provider's servers have no address")))
    }

    async fn judged(
        &self,
        handles: &Handles,
        trust: &TrustSet,
        opened: Result<Link<ProviderNode>, Fault>,
        provider: &ClientId,
    ) -> Result<Link<ProviderNode>, Fault> {
        let link = opened?;
        let node = link.peer.clone();
        handles.may_speak(trust, node.certificates.first(), node.tls12)?;
        handles
            .peers
            .judge_provider(
                trust,
                &node.certificates,
                node.address.ip(),
                provider,
                handles.now(),
            )
            .await?;
        Ok(link)
    }

    async fn open(
        &self,
        address: SocketAddr,
        limit: Duration,
        tls12: Tls12,
    ) -> Result<Link<ProviderNode>, Fault> {
        let network = |reason: String| {
            Fault::new(
                FaultCode::NetworkError,
                format!("the provider's server {address} cannot be reached: {reason}"),
            )
        };
        let stream = tokio::time::timeout(limit, TcpStream::connect(address))
            .await
            .map_err(|_| network("no connection in time".into()))?
            .map_err(|e| network(e.to_string()))?;
        let _ = stream.set_nodelay(true);
        let tls_failed = |reason: String| {
            Fault::new(
                FaultCode::SslAuthenticationFailed,
                format!("TLS with the provider's server {address}: {reason}"),
            )
        };
        let stream = tokio::time::timeout(
            HANDSHAKE,
            self.tls
                .connector(tls12)
                .connect(ServerName::IpAddress(address.ip().into()), stream),
        )
        .await
        .map_err(|_| tls_failed("the handshake took too long".into()))?
        .map_err(|e| tls_failed(e.to_string()))?;
        let negotiated = stream.get_ref().1;
        let suite = negotiated.negotiated_cipher_suite().map(|suite| suite.suite());
        let tls12 = suites::needed(negotiated.protocol_version(), suite);
        let presented = negotiated.peer_certificates().unwrap_or_default();
        let certificates = presented
            .iter()
            .map(|der| Certificate::parse(der))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| tls_failed(format!("its certificate is unreadable: {e}")))?;
        Link::open(
            stream,
            ProviderNode {
                address,
                certificates,
                tls12,
            },
            &self.shutdown,
        )
        .await
        .map_err(|e| network(e.to_string()))
    }

    /// Keeps a link whose answer was read to its end.
    pub(super) fn keep(&self, link: Link<ProviderNode>) {
        self.links.keep(link.peer.address, link);
    }
}
