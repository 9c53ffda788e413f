//! Sockets that the node opens: accept loop, TLS handshake, one HTTP/1.1 connection per task, drain on stop.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioTimer;
use kontor_pki::certificate::Certificate;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

use crate::config::Tls12;
use crate::crowd::Crowd;
use crate::head::{Tap, Tapped};
use crate::shutdown::Shutdown;
use crate::suites;

/// Connections one listener serves at a time; later ones wait in the kernel's queue.
const CONNECTIONS: usize = 4096;
/// Time for a TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// Time for a request head, counted from its first byte or from the end of the last exchange.
const HEAD: Duration = Duration::from_secs(60);
/// What hyper may buffer of one head: twice what a REST message may have, so that our own faults come first.
const BUFFER: usize = 256 * 1024;
/// Header lines of one head; hyper makes room for them before each.
const LINES: usize = 256;

/// What a connection within the process holds in each direction.
const PIPE: usize = 64 * 1024;

/// What is known of the other end of a connection.
#[derive(Debug)]
pub struct Connection {
    /// Its address.
    pub peer: SocketAddr,
    /// Whether the connection is TLS.
    pub is_tls: bool,
    /// Certificates it presented, leaf first; those that do not parse end the connection.
    pub certificates: Vec<Certificate>,
    /// The least that must be spoken with it for what was negotiated.
    pub tls12: Tls12,
    /// Whether the node itself is at the other end, within the process.
    pub is_own: bool,
    /// Bytes of the head that is being read.
    pub tap: Tap,
}

/// A port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "{name} cannot listen on {address}: {source}; free the port or change the address in the configuration"
)]
pub struct ListenError {
    name: &'static str,
    address: SocketAddr,
    source: std::io::Error,
}

/// Opens a port.
pub async fn bind(name: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| ListenError {
        name,
        address,
        source,
    })
}

/// Serves a port until the stop; with a crowd, no address more than that lets it.
pub async fn serve<H, F, B>(
    name: &'static str,
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    crowd: Option<Crowd>,
    shutdown: Shutdown,
    handler: H,
) where
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let acceptor = tls.map(TlsAcceptor::from);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.soft() => return,
            accepted = accept(&listener, &room) => accepted,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors: wait for some to be given back instead of spinning.
                tracing::warn!(listener = name, %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let visit = match crowd.as_ref().map(|crowd| crowd.enter(peer.ip())).transpose() {
            Ok(visit) => visit,
            Err(full) => {
                if full.is_news {
                    tracing::warn!(listener = name, client.addr = %peer, "an address with too many connections is hung up on");
                }
                continue;
            }
        };
        let (acceptor, handler, down) = (acceptor.clone(), handler.clone(), shutdown.clone());
        shutdown.spawn(async move {
            let _permit = permit;
            if let Some(wait) = visit
                .as_ref()
                .map(|visit| visit.wait)
                .filter(|wait| !wait.is_zero())
            {
                if wait > HANDSHAKE {
                    return;
                }
                tokio::time::sleep(wait).await;
            }
            if let Err(error) = connection(stream, peer, acceptor, &down, handler).await {
                tracing::info!(listener = name, client.addr = %peer, error, "a connection was given up");
            }
        });
    }
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = room
        .clone()
        .acquire_owned()
        .await
        .map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((stream, peer, permit))
}

async fn connection<H, F, B>(
    stream: TcpStream,
    peer: SocketAddr,
    acceptor: Option<TlsAcceptor>,
    shutdown: &Shutdown,
    handler: H,
) -> Result<(), String>
where
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let _ = stream.set_nodelay(true);
    let tap = Tap::default();
    match acceptor {
        None => {
            let known = Connection {
                peer,
                is_tls: false,
                certificates: Vec::new(),
                tls12: Tls12::Off,
                is_own: false,
                tap: tap.clone(),
            };
            exchanges(stream, known, shutdown, handler).await
        }
        Some(acceptor) => {
            let stream = tokio::time::timeout(HANDSHAKE, acceptor.accept(stream))
                .await
                .map_err(|_| "TLS handshake took too long".to_owned())?
                .map_err(|e| format!("TLS handshake refused: {e}"))?;
            let spoken = stream.get_ref().1;
            let suite = spoken.negotiated_cipher_suite().map(|suite| suite.suite());
            let tls12 = suites::needed(spoken.protocol_version(), suite);
            let presented = spoken.peer_certificates().unwrap_or_default();
            let certificates = presented
                .iter()
                .map(|der| Certificate::parse(der))
                .collect::<Result<Vec<_>, _>>();
            let certificates = certificates.map_err(|e| e.to_string())?;
            exchanges(
                stream,
                Connection {
                    peer,
                    is_tls: true,
                    certificates,
                    tls12,
                    is_own: false,
                    tap,
                },
                shutdown,
                handler,
            )
            .await
        }
    }
}

/// The other end of a connection within the process, on which requests are answered as on a port: what the node sends and
/// serves itself goes the same way as what others do.
pub fn within<H, F, B>(shutdown: &Shutdown, handler: H) -> DuplexStream
where
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (near, far) = tokio::io::duplex(PIPE);
    let known = Connection {
        peer: ([127, 0, 0, 1], 0).into(),
        is_tls: false,
        certificates: Vec::new(),
        tls12: Tls12::Off,
        is_own: true,
        tap: Tap::default(),
    };
    let down = shutdown.clone();
    shutdown.spawn(async move {
        if let Err(error) = exchanges(far, known, &down, handler).await {
            tracing::debug!(error, "a connection within the process was given up");
        }
    });
    near
}

async fn exchanges<S, H, F, B>(
    stream: S,
    known: Connection,
    shutdown: &Shutdown,
    handler: H,
) -> Result<(), String>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    H: Fn(Arc<Connection>, Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Response<B>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let known = Arc::new(known);
    let tap = known.tap.clone();
    let service = service_fn(move |request| {
        let (known, answer) = (known.clone(), handler(known.clone(), request));
        async move {
            let answer = answer.await;
            known.tap.arm();
            Ok::<_, Infallible>(answer)
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(BUFFER)
        .max_headers(LINES)
        .half_close(true)
        .serve_connection(Tapped::new(stream, tap), service);
    tokio::pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return ended.map_err(|e| e.to_string()),
        () = shutdown.soft() => serving.as_mut().graceful_shutdown(),
    }
    serving.await.map_err(|e| e.to_string())
}
