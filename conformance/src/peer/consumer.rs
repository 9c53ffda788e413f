//! The peer as a consumer: one request over mutual TLS to a node's port 5500, whole or broken.
//!
//! Owns [`Outgoing`], which a case takes correct and changes before it is sent, and the reading of what the node answers;
//! refuses to repair what a case broke.

use std::net::SocketAddr;

use anyhow::{Context, Result, anyhow, ensure};
use http_body_util::BodyExt;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::SupportedProtocolVersion;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Cover, Peer, Signer};
use crate::authority::{Authority, OcspSays};
use crate::wire::http::PATIENCE;
use crate::wire::message::{RestText, request_hash};
use crate::wire::pace::{Pace, PacedBody};
use crate::wire::parts::{self, Parts};
use crate::wire::soap::{self, Fault};
use crate::wire::tls::{self, Identity};

/// A request that is about to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub method: Method,
    pub headers: Vec<(String, String)>,
    pub parts: Parts,
    /// Bytes instead of the encoded parts.
    pub raw: Option<Vec<u8>>,
    pub pace: Pace,
    /// What it presents; `None` shakes hands without a certificate.
    pub identity: Option<Identity>,
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// What the request hash in the answer has to be.
    pub hash: String,
}

/// What a node answered.
#[derive(Clone, Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub said: Said,
}

/// The content of an answer.
#[derive(Clone, Debug)]
pub enum Said {
    /// A SOAP fault in place of a message, or in place of its signature.
    Fault(Fault),
    Message(Parts),
}

/// What a request says, before it is signed.
#[derive(Clone, Debug)]
pub struct Ask {
    pub client: String,
    pub text: RestText,
    pub body: Option<Vec<u8>>,
    pub cover: Cover,
    pub request_id: String,
    /// What the OCSP response in the signature says.
    pub signer_ocsp: OcspSays,
    /// What the OCSP part about the authentication certificate says.
    pub auth_ocsp: OcspSays,
}

impl Ask {
    /// A request of `peer` for `target` (`/r1/…`) with message id `id`.
    pub fn new(peer: &Peer, verb: &str, target: &str, id: &str) -> Self {
        let request_id = uuid::Uuid::new_v4().to_string();
        let text = RestText::request(verb, target)
            .with("X-Road-Client", &peer.client_id())
            .with("X-Road-Id", id)
            .with("x-road-request-id", &request_id);
        Self {
            client: peer.client_id(),
            text,
            body: None,
            cover: Cover::Usual,
            request_id,
            signer_ocsp: OcspSays::Good,
            auth_ocsp: OcspSays::Good,
        }
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// The same, covered otherwise.
    #[must_use]
    pub fn cover(mut self, cover: Cover) -> Self {
        self.cover = cover;
        self
    }

    /// Signs it as `signer` and adds what `peer` has to add (wire 11.2).
    pub fn sign(&self, peer: &Peer, signer: &Signer, authority: &Authority) -> Result<Outgoing> {
        let message = self.text.bytes();
        let ocsp = authority.ocsp_of(&signer.certificate, self.signer_ocsp)?;
        let signed = signer.message(
            parts::REST_REQUEST,
            &message,
            self.body.as_deref(),
            self.cover,
            &[ocsp],
        );
        let mut all = Parts::default();
        all.push(
            parts::OCSP,
            authority.ocsp_of(&peer.auth_certificate, self.auth_ocsp)?,
        );
        all.0.extend(signed.0);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        Ok(Outgoing {
            method: Method::POST,
            headers: vec![
                header("content-type", &parts::content_type()),
                header("x-hash-algorithm", "SHA-512"),
                header("x-proxy-version", "7.7.0"),
                header("x-road-message-type", "REST"),
                header("x-road-request-id", &self.request_id),
            ],
            parts: all,
            raw: None,
            pace: Pace::AtOnce,
            identity: Some(peer.identity.clone()),
            versions: vec![&rustls::version::TLS13],
            hash: request_hash(&message, self.body.as_deref()),
        })
    }
}

impl Outgoing {
    /// Takes an HTTP header out.
    #[must_use]
    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(n, _)| !n.eq_ignore_ascii_case(name));
        self
    }

    /// Sends it on a connection of its own.
    pub async fn send(&self, node: SocketAddr) -> Result<Answered> {
        Link::open(node, self.identity.as_ref(), &self.versions)
            .await?
            .send(self)
            .await
    }
}

/// A kept connection to a node's port 5500.
#[derive(Debug)]
pub struct Link {
    sender: SendRequest<PacedBody>,
}

impl Link {
    /// Connects and shakes hands.
    pub async fn open(
        node: SocketAddr,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        Self::over(connect(node, identity, versions).await?).await
    }

    /// Speaks on a stream, behind which somebody else speaks TLS with the node.
    pub async fn over<S>(stream: S) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender })
    }

    /// Sends a request and reads the answer to its end.
    pub async fn send(&mut self, outgoing: &Outgoing) -> Result<Answered> {
        let bytes = outgoing.raw.clone().unwrap_or_else(|| outgoing.parts.encode());
        let mut request = Request::builder()
            .method(outgoing.method.clone())
            .uri("/")
            .header("host", "localhost:5500");
        for (name, value) in &outgoing.headers {
            request = request.header(name, value);
        }
        let request = request.body(PacedBody::new(bytes, outgoing.pace))?;
        timeout(PATIENCE, async {
            self.sender
                .ready()
                .await
                .context("the node closed the connection")?;
            let answer = self
                .sender
                .send_request(request)
                .await
                .context("no answer of the node")?;
            let (head, body) = answer.into_parts();
            let body = body
                .collect()
                .await
                .context("the answer of the node broke off")?
                .to_bytes();
            Ok(Answered {
                status: head.status,
                said: read(&head.headers, &body)?,
                headers: head.headers,
            })
        })
        .await
        .map_err(|_| anyhow!("no complete answer of the node within {} s", PATIENCE.as_secs()))?
    }
}

/// A TLS connection to a node's port 5500, for bytes that are no HTTP.
pub async fn connect(
    node: SocketAddr,
    identity: Option<&Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<TlsStream<TcpStream>> {
    let stream = timeout(PATIENCE, TcpStream::connect(node))
        .await?
        .with_context(|| format!("connecting to {node}"))?;
    stream.set_nodelay(true)?;
    let config = tls::client(identity, versions)?;
    let name = ServerName::IpAddress(node.ip().into());
    timeout(PATIENCE, TlsConnector::from(config).connect(name, stream))
        .await?
        .context("TLS handshake with the node")
}

fn read(headers: &HeaderMap, body: &[u8]) -> Result<Said> {
    let content_type = headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if content_type.starts_with("text/xml") {
        return Ok(Said::Fault(soap::read(body)?));
    }
    let parts = Parts::read(content_type, body)?;
    match parts.0.last() {
        Some(last) if last.content_type.starts_with("text/xml") => Ok(Said::Fault(soap::read(&last.bytes)?)),
        _ => Ok(Said::Message(parts)),
    }
}

impl Answered {
    /// The fault that a refusal carries.
    pub fn fault(&self) -> Result<&Fault> {
        match &self.said {
            Said::Fault(fault) => Ok(fault),
            Said::Message(_) => Err(anyhow!("the node answered with a message instead of a fault")),
        }
    }

    /// The signed message that a good answer carries: its text and body.
    pub fn message(&self) -> Result<(RestText, Option<&[u8]>, &Parts)> {
        match &self.said {
            Said::Fault(fault) => Err(anyhow!("the node refused: {fault}")),
            Said::Message(all) => {
                ensure!(
                    self.status == StatusCode::OK,
                    "HTTP status {} (wire 3.8)",
                    self.status
                );
                let text = all
                    .find(parts::REST_RESPONSE)
                    .ok_or_else(|| anyhow!("no REST response part"))?;
                let body = all.find(parts::REST_BODY).map(|part| part.bytes.as_slice());
                Ok((RestText::read(&text.bytes)?, body, all))
            }
        }
    }
}
