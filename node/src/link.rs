//! HTTP/1.1 links that the node opens: one exchange at a time on each, kept for the next one, bounded per place.
//!
//! A link that turns out to be closed before a request was written is replaced; after a request was written nothing
//! is ever repeated (wire 3.2).

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::body::OutBody;
use crate::head::{Head, Tap, Tapped};
use crate::shutdown::Shutdown;

/// Idle links are closed by us before most servers close them.
const IDLE: Duration = Duration::from_secs(25);
/// Idle links kept per place.
const KEEP: usize = 64;

/// One connection and what its opener knows of the other side.
#[derive(Debug)]
pub struct Link<P> {
    sender: SendRequest<OutBody>,
    tap: Tap,
    /// What was learnt when the link was opened (certificates of the peer, for example).
    pub peer: Arc<P>,
    reused: bool,
}

/// Why an exchange on a link brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The link was closed before the request was written; the request is given back.
    #[error("the idle connection had been closed")]
    NotSent(Box<Request<OutBody>>),
    /// The connection broke afterwards.
    #[error("the connection broke: {0}")]
    Broken(String),
}

impl<P> Link<P> {
    /// Speaks HTTP/1.1 on a fresh stream.
    pub async fn open<S>(stream: S, peer: P, shutdown: &Shutdown) -> Result<Self, hyper::Error>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let tap = Tap::default();
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(64 * 1024)
            .handshake(Tapped::new(stream, tap.clone()))
            .await?;
        shutdown.spawn(async move {
            // Its errors reach the exchange that runs on it.
            let _ = connection.await;
        });
        Ok(Self {
            sender,
            tap,
            peer: Arc::new(peer),
            reused: false,
        })
    }

    /// Whether the link has carried an exchange before.
    pub fn is_reused(&self) -> bool {
        self.reused
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&mut self, request: Request<OutBody>) -> Result<(Head, Response<Incoming>), LinkError> {
        self.tap.arm();
        match self.sender.try_send_request(request).await {
            Ok(answer) => {
                let (parts, body) = answer.into_parts();
                let head = Head::response(&self.tap, &parts);
                Ok((head, Response::from_parts(parts, body)))
            }
            Err(mut error) => match error.take_message() {
                Some(request) => Err(LinkError::NotSent(Box::new(request))),
                None => Err(LinkError::Broken(describe(error.error()))),
            },
        }
    }
}

/// An error with its causes, in one line.
pub fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A link and since when it is idle.
type Idle<P> = (Instant, Link<P>);

/// Idle links by place.
#[derive(Debug)]
pub struct Links<K, P> {
    idle: Mutex<HashMap<K, VecDeque<Idle<P>>>>,
}

impl<K, P> Default for Links<K, P> {
    fn default() -> Self {
        Self {
            idle: Mutex::new(HashMap::new()),
        }
    }
}

impl<K: Eq + Hash, P> Links<K, P> {
    /// The idle link used last, if one is still good.
    pub fn take(&self, place: &K) -> Option<Link<P>> {
        let mut idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let links = idle.get_mut(place)?;
        while let Some((since, link)) = links.pop_back() {
            if since.elapsed() < IDLE && !link.sender.is_closed() {
                return Some(link);
            }
        }
        None
    }

    /// Keeps a link whose last answer was read to its end.
    pub fn keep(&self, place: K, mut link: Link<P>) {
        if link.sender.is_closed() {
            return;
        }
        link.reused = true;
        let mut idle = self
            .idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let links = idle.entry(place).or_default();
        let now = Instant::now();
        // The one idle longest stands first: what is taken and given back stands behind it.
        while links
            .front()
            .is_some_and(|(since, link)| now - *since >= IDLE || link.sender.is_closed())
        {
            links.pop_front();
        }
        if links.len() < KEEP {
            links.push_back((now, link));
        }
    }

    /// Drops every idle link, after a change of certificates or trust.
    pub fn clear(&self) {
        self.idle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clear();
    }
}

/// The next piece of a body, or its end.
pub async fn next_piece(body: &mut Incoming) -> Option<Result<Bytes, hyper::Error>> {
    use http_body_util::BodyExt;
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}
