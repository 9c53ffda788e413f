//! HTTP/1.1 as an information system speaks it to its node, and as the suite looks at health and metrics.
//!
//! Owns one-off requests and kept connections over TCP or TLS with whole bodies in memory; refuses to follow redirects, to
//! retry, or to hide how an exchange broke.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Longest that any exchange of the suite may take: a subject that hangs is a failure, not a wait.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The value of header `name` if it is there and readable.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// A request with its body whole.
pub type WholeRequest = Request<Full<Bytes>>;

/// A kept connection.
#[derive(Debug)]
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    /// Connects to `target`, with TLS if settings are given.
    pub async fn open(target: SocketAddr, tls: Option<Arc<ClientConfig>>) -> Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(target))
            .await?
            .with_context(|| format!("connecting to {target}"))?;
        stream.set_nodelay(true)?;
        let sender = match tls {
            None => {
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
            Some(config) => {
                let name = ServerName::IpAddress(target.ip().into());
                let stream = timeout(PATIENCE, TlsConnector::from(config).connect(name, stream))
                    .await?
                    .context("TLS handshake")?;
                let (sender, connection) = handshake(TokioIo::new(stream)).await?;
                tokio::spawn(connection);
                sender
            }
        };
        Ok(Self { sender })
    }

    /// Sends `request` and reads the answer to its end.
    pub async fn send(&mut self, request: WholeRequest) -> Result<Answer> {
        timeout(PATIENCE, async {
            self.sender.ready().await.context("the connection was closed")?;
            let answer = self.sender.send_request(request).await.context("no answer")?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.context("the answer broke off")?.to_bytes();
            Ok(Answer {
                status: head.status,
                headers: head.headers,
                body,
            })
        })
        .await
        .map_err(|_| anyhow!("no complete answer within {} s", PATIENCE.as_secs()))?
    }
}

/// One request on a connection of its own.
pub async fn once(
    target: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    request: WholeRequest,
) -> Result<Answer> {
    Connection::open(target, tls).await?.send(request).await
}

/// `GET path` on a connection of its own.
pub async fn get(target: SocketAddr, path: &str) -> Result<Answer> {
    once(
        target,
        None,
        Request::get(path)
            .header("host", target.to_string())
            .body(Full::default())?,
    )
    .await
}
