//! Speaks to peers in the name of the own subsystem: ordinary exchanges, signed, recorded and verified. Knows who of them has a node
//! that takes transfers and requests.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::response::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use kontor_protocol::id::ClientId;
use tokio::time::Instant;

use crate::body::OutBody;
use crate::config::casework::{PARTICIPATION, SERVICE};
use crate::link::{Link, LinkError, Links};
use crate::messagelog::ContentWriter;
use crate::outbound::Outbound;
use crate::shutdown::Shutdown;
use crate::{listen, methods};

/// A peer answers in this time or is asked another time.
const PATIENCE: Duration = Duration::from_secs(90);
/// No answer is larger: bodies between nodes have at most 8 MiB.
const LIMIT: usize = 8 * 1024 * 1024;
/// How long a person waits for what a recipient offers.
const GLANCE: Duration = Duration::from_secs(5);
/// How long what a recipient answered holds.
const HOLDS: Duration = Duration::from_secs(3600);
/// How long it holds that a recipient did not answer: long enough that a list of suggestions does not wait for it twice.
const SILENT: Duration = Duration::from_secs(30);
/// Recipients whose answers are kept.
const KNOWN: usize = 4096;

/// What a peer answered.
pub(super) struct PeerAnswer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// `x-road-id` of the exchange.
    pub(super) query_id: Option<String>,
}

/// What a peer gave of what was to be pulled.
pub(super) enum Pulled {
    /// So many octets.
    Octets(u64),
    /// Nothing: the status, and what it said.
    Refused(StatusCode, Bytes),
}

/// Which of our services a recipient offers.
#[derive(Clone, Copy)]
struct Taker {
    transfers: bool,
    requests: bool,
}

/// See the module.
pub(crate) struct Caller {
    outbound: Arc<Outbound>,
    own: ClientId,
    links: Links<(), ()>,
    /// Who answered what it takes, or did not answer.
    takers: Mutex<HashMap<ClientId, (Option<Taker>, Instant)>>,
    shutdown: Shutdown,
}

impl Caller {
    /// Speaks through the own outbound side.
    pub(super) fn new(outbound: Arc<Outbound>, own: ClientId, shutdown: Shutdown) -> Self {
        Self {
            outbound,
            own,
            links: Links::default(),
            takers: Mutex::default(),
            shutdown,
        }
    }

    /// One exchange with a service; the error is a sentence.
    pub(super) async fn call(
        &self,
        peer: &str,
        service: &str,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<PeerAnswer, String> {
        in_time(
            PATIENCE,
            self.exchange(&peer_of(peer)?, method, &format!("{service}{path}"), body),
        )
        .await
    }

    /// Pulls octets and hands them on as they come.
    pub(super) async fn pull(
        &self,
        peer: &str,
        service: &str,
        path: &str,
        to: &mut ContentWriter,
    ) -> Result<Pulled, String> {
        let peer = peer_of(peer)?;
        let asked = async {
            let target = format!("{service}{path}");
            let (link, parts, mut body) = self.asked(&peer, Method::GET, &target, Bytes::new()).await?;
            if let Some(code) = parts.headers.get("x-road-error") {
                return Err(fault(code, &whole(body).await?));
            }
            if parts.status != StatusCode::OK {
                let said = whole(body).await?;
                self.links.keep((), link);
                return Ok(Pulled::Refused(parts.status, said));
            }
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| error.to_string())?;
                let Ok(piece) = frame.into_data() else { continue };
                if to.written() + piece.len() as u64 > LIMIT as u64 {
                    return Err("it is larger than a part".into());
                }
                to.write(piece).await.map_err(|error| error.to_string())?;
            }
            self.links.keep((), link);
            Ok(Pulled::Octets(to.written()))
        };
        in_time(PATIENCE, asked).await
    }

    /// Whether this recipient has a node that offers a service of ours, by what it answers to `listMethods`. `None` where it does not
    /// answer just now, which says nothing: a message to it waits.
    pub(super) async fn offers(&self, peer: &ClientId, service: &str) -> Option<bool> {
        let taken = |taker: Taker| {
            Some(if service == SERVICE {
                taker.transfers
            } else {
                taker.requests
            })
        };
        let now = Instant::now();
        let known = self.takers().get(peer).copied();
        if let Some((taker, until)) = known
            && now < until
        {
            return taker.and_then(taken);
        }
        let asked = self.exchange(peer, Method::GET, methods::LIST, Bytes::new());
        let taker = match in_time(GLANCE, asked).await {
            Ok(answer) if answer.status == StatusCode::OK => Some(Taker {
                transfers: methods::names(&answer.body, SERVICE),
                requests: methods::names(&answer.body, PARTICIPATION),
            }),
            Ok(_) | Err(_) => None,
        };
        let holds = taker.map_or(SILENT, |_| HOLDS);
        let mut takers = self.takers();
        if takers.len() >= KNOWN {
            takers.retain(|_, (_, until)| now < *until);
        }
        if takers.len() < KNOWN {
            takers.insert(peer.clone(), (taker, now + holds));
        }
        taker.and_then(taken)
    }

    fn takers(&self) -> std::sync::MutexGuard<'_, HashMap<ClientId, (Option<Taker>, Instant)>> {
        self.takers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn exchange(
        &self,
        peer: &ClientId,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<PeerAnswer, String> {
        let (link, parts, body) = self.asked(peer, method, target, body).await?;
        let body = whole(body).await?;
        self.links.keep((), link);
        match parts.headers.get("x-road-error") {
            Some(code) => Err(fault(code, &body)),
            None => Ok(PeerAnswer {
                status: parts.status,
                query_id: parts
                    .headers
                    .get("x-road-id")
                    .and_then(|id| Some(id.to_str().ok()?.to_owned())),
                body,
            }),
        }
    }

    /// Sends a request and waits for the head of its answer.
    async fn asked(
        &self,
        peer: &ClientId,
        method: Method,
        target: &str,
        body: Bytes,
    ) -> Result<(Link<()>, Parts, Incoming), String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/r1/{}/{target}", peer.to_path()))
            .header("host", "localhost")
            .header("x-road-client", self.own.to_path())
            .header(CONTENT_TYPE, "application/json")
            .body(match body.is_empty() {
                true => OutBody::Empty,
                false => OutBody::from(body),
            })
            .map_err(|error| error.to_string())?;
        let mut link = match self.links.take(&()) {
            Some(link) => link,
            None => self.open().await?,
        };
        loop {
            match link.send(request).await {
                Ok((_, answer)) => {
                    let (parts, body) = Response::into_parts(answer);
                    return Ok((link, parts, body));
                }
                Err(LinkError::NotSent(back)) if link.is_reused() => {
                    request = *back;
                    link = self.open().await?;
                }
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    async fn open(&self) -> Result<Link<()>, String> {
        let outbound = Arc::clone(&self.outbound);
        let stream = listen::within(&self.shutdown, move |connection, request| {
            Arc::clone(&outbound).answer(connection, request)
        });
        Link::open(stream, (), &self.shutdown)
            .await
            .map_err(|error| error.to_string())
    }
}

fn peer_of(text: &str) -> Result<ClientId, String> {
    text.parse().map_err(|error| format!("{text}: {error}"))
}

async fn whole(body: Incoming) -> Result<Bytes, String> {
    let body = Limited::new(body, LIMIT).collect().await;
    Ok(body.map_err(|error| error.to_string())?.to_bytes())
}

fn fault(code: &http::HeaderValue, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    format!("{}: {text}", code.to_str().unwrap_or_default())
}

async fn in_time<T>(patience: Duration, asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    tokio::time::timeout(patience, asked)
        .await
        .unwrap_or_else(|_| Err("no answer in time".into()))
}
