//! One half of the bare pair: a proxy that forwards HTTP/1.1 with mutual TLS towards its twin, and keeps no evidence.
//!
//! Owns the yardstick that nodes are measured against, so it does as little as a proxy can: one runtime per core, each
//! inbound connection with one outbound connection of its own, bodies passed on as they come. Refuses to check more than
//! the handshake's proof of possession.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONNECTION, TRANSFER_ENCODING};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::wire::tls::{self, Ask, Identity};

/// What one half does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BareHalf {
    pub listen: SocketAddr,
    pub target: SocketAddr,
    pub side: Side,
    pub threads: usize,
    pub chain: Vec<Vec<u8>>,
    pub pkcs8: Vec<u8>,
}

/// Which side of the half is TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Plain from the information system, TLS to the twin.
    Consumer,
    /// TLS from the twin, plain to the provider.
    Provider,
}

struct Proxy {
    target: SocketAddr,
    inbound: Option<TlsAcceptor>,
    outbound: Option<TlsConnector>,
}

/// Serves until the process ends.
pub fn serve(half: &BareHalf) -> Result<()> {
    let identity = Identity {
        chain: half.chain.clone(),
        pkcs8: half.pkcs8.clone(),
    };
    let versions = [&rustls::version::TLS13];
    let proxy = Arc::new(match half.side {
        Side::Consumer => Proxy {
            target: half.target,
            inbound: None,
            outbound: Some(TlsConnector::from(tls::client(Some(&identity), &versions)?)),
        },
        Side::Provider => Proxy {
            target: half.target,
            inbound: Some(TlsAcceptor::from(tls::server(
                &identity,
                Ask::Certificate,
                &versions,
            )?)),
            outbound: None,
        },
    });
    let mut lanes = Vec::new();
    for _ in 0..half.threads.max(1) {
        let (lane, arrivals) = mpsc::channel(256);
        lanes.push(lane);
        let proxy = proxy.clone();
        thread::spawn(move || serve_lane(proxy, arrivals));
    }
    runtime()?.block_on(async {
        let listener = TcpListener::bind(half.listen)
            .await
            .with_context(|| format!("binding {}", half.listen))?;
        for lane in lanes.iter().cycle() {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            lane.send(stream.into_std()?).await.context("a lane ended")?;
        }
        Ok(())
    })
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

fn serve_lane(proxy: Arc<Proxy>, mut arrivals: mpsc::Receiver<std::net::TcpStream>) {
    let runtime = runtime().expect("a runtime was built for the accept loop just before");
    runtime.block_on(async move {
        while let Some(stream) = arrivals.recv().await {
            let Ok(stream) = TcpStream::from_std(stream) else {
                continue;
            };
            let proxy = proxy.clone();
            tokio::spawn(async move {
                match &proxy.inbound {
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            serve_connection(&proxy, stream).await;
                        }
                    }
                    None => serve_connection(&proxy, stream).await,
                }
            });
        }
    });
}

async fn serve_connection(proxy: &Arc<Proxy>, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
    let outbound: Arc<Mutex<Option<SendRequest<Incoming>>>> = Arc::default();
    let service = service_fn(|request| forward(proxy.clone(), outbound.clone(), request));
    // A connection that breaks is counted by the load client; nothing is to be done about it here.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn forward(
    proxy: Arc<Proxy>,
    outbound: Arc<Mutex<Option<SendRequest<Incoming>>>>,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>> {
    // Exchanges on one connection follow each other: the lock is never waited for.
    let mut outbound = outbound.lock().await;
    let kept = match outbound.take() {
        Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
        None => None,
    };
    let mut sender = match kept {
        Some(sender) => sender,
        None => proxy.connect().await?,
    };
    request.headers_mut().remove(CONNECTION);
    request.headers_mut().remove(TRANSFER_ENCODING);
    let mut answer = sender.send_request(request).await?;
    answer.headers_mut().remove(CONNECTION);
    answer.headers_mut().remove(TRANSFER_ENCODING);
    *outbound = Some(sender);
    Ok(answer)
}

impl Proxy {
    async fn connect(&self) -> Result<SendRequest<Incoming>> {
        let stream = TcpStream::connect(self.target).await?;
        stream.set_nodelay(true)?;
        match &self.outbound {
            Some(connector) => {
                let name = ServerName::IpAddress(self.target.ip().into());
                open(connector.connect(name, stream).await?).await
            }
            None => open(stream).await,
        }
    }
}

async fn open(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<SendRequest<Incoming>> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender)
}
