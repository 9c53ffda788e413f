//! The peer as a provider: listens on 5500 and 5577, reads a node's request whole and answers by script.
//!
//! Owns [`Reaction`], what a case makes it do; refuses to answer anything without a script, and judges nothing: what it saw
//! is kept for the case to look at.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::{Cover, Peer, Signer};
use crate::authority::{Authority, OcspSays};
use crate::wire::message::{RestText, request_hash};
use crate::wire::pace::{Pace, PacedBody};
use crate::wire::parts::{self, Parts};
use crate::wire::soap;
use crate::wire::tls::{self, Ask};

/// A request that a node sent to the peer.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: Method,
    pub headers: HeaderMap,
    pub parts: Parts,
    pub text: RestText,
    /// Certificates that the node presented, leaf first.
    pub presented: Vec<Vec<u8>>,
}

impl Seen {
    /// The body of the request, if it has one.
    pub fn body(&self) -> Option<&[u8]> {
        self.parts
            .find(parts::REST_BODY)
            .map(|part| part.bytes.as_slice())
    }
}

/// What the peer does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    /// Answers these parts.
    Parts(Parts),
    /// The same and closes the connection, as Java servers do by default (wire 3.2).
    PartsThenClose(Parts),
    /// Answers these bytes with this status and content type.
    Raw {
        status: u16,
        content_type: String,
        bytes: Vec<u8>,
    },
    /// Answers these parts without the closing boundary.
    Cut(Parts),
    /// Sends so many bytes of the message, then closes.
    CloseAfter(Parts, usize),
    /// Sends so many bytes of the message, then nothing.
    StallAfter(Parts, usize),
    /// Sends one byte each time that passes.
    Trickle(Parts, Duration),
}

type Script = Arc<dyn Fn(&Seen) -> Result<Reaction> + Send + Sync>;

/// A listening peer.
pub struct Listening {
    script: Arc<Mutex<Option<Script>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
    ocsp: Arc<Mutex<Vec<u8>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Listening {
    /// Listens on ports 5500 and 5577 of `peer`.
    pub async fn start(peer: &Peer, authority: &Authority) -> Result<Self> {
        let config = tls::server(&peer.identity, Ask::Certificate, &[&rustls::version::TLS13])?;
        let federation = TcpListener::bind(peer.address(5500))
            .await
            .context("binding port 5500 of a peer")?;
        let serving = |script, seen| {
            tokio::spawn(serve_federation(
                federation,
                TlsAcceptor::from(config),
                script,
                seen,
            ))
        };
        Self::with(peer, authority, serving).await
    }

    /// Hands out on port 5577 of `peer`, and answers what comes on `stream`, behind which somebody else speaks TLS in its name.
    pub async fn behind<S>(peer: &Peer, authority: &Authority, stream: S) -> Result<Self>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let serving = |script, seen| tokio::spawn(serve_stream(stream, Vec::new(), script, seen));
        Self::with(peer, authority, serving).await
    }

    /// With its port 5577, and whatever answers requests.
    async fn with(
        peer: &Peer,
        authority: &Authority,
        serving: impl FnOnce(Arc<Mutex<Option<Script>>>, Arc<Mutex<Vec<Seen>>>) -> JoinHandle<()>,
    ) -> Result<Self> {
        let script: Arc<Mutex<Option<Script>>> = Arc::default();
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let ocsp = Arc::new(Mutex::new(
            authority.ocsp_of(&peer.auth_certificate, OcspSays::Good)?,
        ));
        let hand_out = TcpListener::bind(peer.address(5577))
            .await
            .context("binding port 5577 of a peer")?;
        let tasks = vec![
            serving(script.clone(), seen.clone()),
            tokio::spawn(serve_ocsp(hand_out, ocsp.clone())),
        ];
        Ok(Self {
            script,
            seen,
            ocsp,
            tasks,
        })
    }

    /// From now on does what `script` says.
    pub fn react(&self, script: impl Fn(&Seen) -> Result<Reaction> + Send + Sync + 'static) {
        *self.script.lock().expect("no holder of the script panics") = Some(Arc::new(script));
    }

    /// From now on hands out this OCSP response about its certificate.
    pub fn hand_out(&self, response: Vec<u8>) {
        *self.ocsp.lock().expect("no holder of the response panics") = response;
    }

    /// The requests with message id `id`.
    pub fn seen(&self, id: &str) -> Vec<Seen> {
        let seen = self.seen.lock().expect("no holder of the requests panics");
        seen.iter()
            .filter(|seen| seen.text.header("x-road-id") == Some(id))
            .cloned()
            .collect()
    }
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listening").finish_non_exhaustive()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What a correct answer to a request says; cases change it before it is signed.
#[derive(Clone, Debug)]
pub struct Reply {
    pub text: RestText,
    pub body: Option<Vec<u8>>,
    pub cover: Cover,
}

impl Reply {
    /// Status 200 with `body` (wire 2.6, 2.7).
    pub fn to(seen: &Seen, body: &[u8]) -> Result<Self> {
        let request = &seen
            .parts
            .find(parts::REST_REQUEST)
            .ok_or_else(|| anyhow!("no REST request part"))?
            .bytes;
        let header = |name: &str| seen.text.header(name).unwrap_or_default().to_owned();
        // The service is the first five pieces behind /r1/.
        let service: Vec<_> = seen.text.second.split(['/', '?']).skip(2).take(5).collect();
        let request_id = seen
            .headers
            .get("x-road-request-id")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        Ok(Self {
            text: RestText::response(200, "OK")
                .with("Content-Type", "text/plain")
                .with("x-road-id", &header("x-road-id"))
                .with("x-road-client", &header("x-road-client"))
                .with("x-road-service", &service.join("/"))
                .with("x-road-request-id", request_id)
                .with("x-road-request-hash", &request_hash(request, seen.body())),
            body: Some(body.to_vec()),
            cover: Cover::Usual,
        })
    }

    /// Another value of a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        for (_, old) in self.text.headers.iter_mut().filter(|(n, _)| n == name) {
            value.clone_into(old);
        }
        self
    }

    /// Signs it.
    pub fn sign(&self, signer: &Signer, ocsp: &[Vec<u8>]) -> Parts {
        signer.message(
            parts::REST_RESPONSE,
            &self.text.bytes(),
            self.body.as_deref(),
            self.cover,
            ocsp,
        )
    }
}

async fn serve_federation(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    script: Arc<Mutex<Option<Script>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let (acceptor, script, seen) = (acceptor.clone(), script.clone(), seen.clone());
        tokio::spawn(async move {
            // A handshake that fails is for the node to report.
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let (_, connection) = stream.get_ref();
            let presented: Vec<_> = connection
                .peer_certificates()
                .unwrap_or_default()
                .iter()
                .map(|der| der.to_vec())
                .collect();
            serve_stream(stream, presented, script, seen).await;
        });
    }
}

async fn serve_stream<S>(
    stream: S,
    presented: Vec<Vec<u8>>,
    script: Arc<Mutex<Option<Script>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(|request| answer(request, presented.clone(), script.clone(), seen.clone()));
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    presented: Vec<Vec<u8>>,
    script: Arc<Mutex<Option<Script>>>,
    all_seen: Arc<Mutex<Vec<Seen>>>,
) -> Result<Response<PacedBody>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let content_type = head
        .headers
        .get("content-type")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let parts = Parts::read(content_type, &body)?;
    let text = parts
        .find(parts::REST_REQUEST)
        .ok_or_else(|| anyhow!("no REST request part"))?;
    let text = RestText::read(&text.bytes)?;
    let seen = Seen {
        method: head.method,
        headers: head.headers,
        text,
        parts,
        presented,
    };
    all_seen
        .lock()
        .expect("no holder of the requests panics")
        .push(seen.clone());
    let script = script.lock().expect("no holder of the script panics").clone();
    let reaction = script.ok_or_else(|| anyhow!("the case gave the peer no script"))?(&seen)?;
    respond(reaction)
}

fn respond(reaction: Reaction) -> Result<Response<PacedBody>> {
    let multipart = parts::content_type();
    let (status, content_type, bytes, pace, close) = match reaction {
        Reaction::Parts(parts) => (200, multipart, parts.encode(), Pace::AtOnce, false),
        Reaction::PartsThenClose(parts) => (200, multipart, parts.encode(), Pace::AtOnce, true),
        Reaction::Raw {
            status,
            content_type,
            bytes,
        } => (status, content_type, bytes, Pace::AtOnce, false),
        Reaction::Cut(parts) => (200, multipart, parts.encode_open(), Pace::AtOnce, false),
        Reaction::CloseAfter(parts, bytes) => {
            (200, multipart, parts.encode(), Pace::CloseAfter(bytes), false)
        }
        Reaction::StallAfter(parts, bytes) => {
            (200, multipart, parts.encode(), Pace::StallAfter(bytes), false)
        }
        Reaction::Trickle(parts, pause) => (200, multipart, parts.encode(), Pace::Trickle(pause), false),
    };
    let mut response = Response::builder()
        .status(StatusCode::from_u16(status)?)
        .header("content-type", content_type)
        .header("x-hash-algorithm", "SHA-512");
    if close {
        response = response.header("connection", "close");
    }
    Ok(response.body(PacedBody::new(bytes, pace))?)
}

/// A fault of the peer as a whole answer (wire 3.9).
pub fn fault(code: &str, text: &str) -> Reaction {
    Reaction::Raw {
        status: 200,
        content_type: "text/xml;charset=utf-8".into(),
        bytes: soap::write(code, text),
    }
}

async fn serve_ocsp(listener: TcpListener, response: Arc<Mutex<Vec<u8>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let response = response.clone();
        tokio::spawn(async move {
            let service = service_fn(|_: Request<Incoming>| {
                let der = response.lock().expect("no holder of the response panics").clone();
                let mut body = b"--part\r\nContent-Type: application/ocsp-response\r\n\r\n".to_vec();
                body.extend_from_slice(&der);
                body.extend_from_slice(b"\r\n--part--\r\n");
                let answer = Response::builder()
                    .header(
                        "content-type",
                        "multipart/related; type=\"application/ocsp-response\"; charset=UTF-8; boundary=part",
                    )
                    .body(http_body_util::Full::<Bytes>::from(body));
                async move { Ok::<_, Infallible>(answer.expect("constant headers are well-formed")) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}
