//! Services behind the nodes, scripted by path: what an information system of a provider may do.
//!
//! Owns an HTTP server that remembers each call it got, so that a case can say *was never called*; refuses to be clever:
//! what it does stands in the path of the call.
//!
//! | Path ends in | It |
//! |---|---|
//! | `/echo…` | answers 200 with the body it got and its content type |
//! | `/status/NNN` | answers NNN with the body `said NNN` |
//! | `/bytes/N` | reads the body and answers N bytes |
//! | `/slow/MILLIS` | waits, then answers 200 |
//! | `/sip/BYTES_PER_SECOND` | reads the body at that speed, then answers 200 with its length |
//! | `/close` | closes the connection without an answer |
//! | `/half` | promises 1000 bytes, sends 10 and closes |
//! | `/trickle` | sends one byte a second for ever |
//! | anything else | answers 200 without a body |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context as TaskContext, Poll};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Sleep, sleep};

use crate::wire::filler::Filler;

/// Bodies above this are counted but not kept.
const KEPT: usize = 1 << 20;

/// One call that the service got, whole.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// Path and query as they came.
    pub target: String,
    pub headers: HeaderMap,
    pub body_bytes: u64,
    /// The body, if it is at most 1 MiB.
    pub body: Option<Bytes>,
}

/// A running service.
#[derive(Debug)]
pub struct Service {
    address: SocketAddr,
    calls: Arc<Mutex<Vec<Call>>>,
    task: JoinHandle<()>,
}

impl Service {
    /// Listens on `address`.
    pub async fn start(address: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("binding {address}"))?;
        let calls: Arc<Mutex<Vec<Call>>> = Arc::default();
        let task = tokio::spawn(accept(listener, calls.clone()));
        Ok(Self { address, calls, task })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The calls that carry `id` as `x-road-id`, in order.
    pub fn calls(&self, id: &str) -> Vec<Call> {
        let calls = self.calls.lock().expect("no holder of the calls panics");
        calls
            .iter()
            .filter(|call| call.headers.get("x-road-id").is_some_and(|value| value == id))
            .cloned()
            .collect()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, calls: Arc<Mutex<Vec<Call>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let calls = calls.clone();
        // Small writes must leave at once: cases measure and count them.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let service = service_fn(|request| answer(request, calls.clone()));
            // A broken connection is what some cases are about; the caller sees it.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    calls: Arc<Mutex<Vec<Call>>>,
) -> Result<Response<BoxBody<Bytes, Broken>>> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let (word, number) = script(&path);
    let mut kept = Some(Vec::new());
    let mut length = 0_u64;
    let begin = Instant::now();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        length += data.len() as u64;
        if kept.as_ref().is_some_and(|kept| kept.len() + data.len() > KEPT) {
            kept = None;
        }
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&data);
        }
        if word == "sip" {
            let due = Duration::from_secs_f64(length as f64 / number.max(1) as f64);
            sleep(due.saturating_sub(begin.elapsed())).await;
        }
    }
    let kept = kept.map(Bytes::from);
    let target = head
        .uri
        .path_and_query()
        .map_or_else(|| path.clone(), ToString::to_string);
    let content_type = head.headers.get("content-type").cloned();
    let call = Call {
        method: head.method,
        target,
        headers: head.headers,
        body_bytes: length,
        body: kept.clone(),
    };
    calls.lock().expect("no holder of the calls panics").push(call);

    let mut response = Response::new(empty());
    match word {
        "echo" => {
            *response.body_mut() = whole(kept.unwrap_or_default());
            if let Some(content_type) = content_type {
                response.headers_mut().insert("content-type", content_type);
            }
        }
        "status" => {
            *response.status_mut() = StatusCode::from_u16(u16::try_from(number)?)?;
            *response.body_mut() = whole(format!("said {number}"));
        }
        "bytes" => *response.body_mut() = Filler::new(number).map_err(never).boxed(),
        "slow" => sleep(Duration::from_millis(number)).await,
        "sip" => *response.body_mut() = whole(length.to_string()),
        "close" => anyhow::bail!("closing as the script says"),
        "half" => *response.body_mut() = BoxBody::new(Half { sent: false }),
        "trickle" => *response.body_mut() = BoxBody::new(Trickle { next: None }),
        _ => {}
    }
    Ok(response)
}

/// The word of the path that says what to do, and the number behind it.
fn script(path: &str) -> (&str, u64) {
    const WORDS: [&str; 8] = [
        "echo", "status", "bytes", "slow", "sip", "close", "half", "trickle",
    ];
    let mut segments = path.split('/').skip_while(|segment| !WORDS.contains(segment));
    let word = segments.next().unwrap_or("");
    (
        word,
        segments
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0),
    )
}

/// The script says that the answer breaks off.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("breaking off as the script says")
    }
}

impl std::error::Error for Broken {}

fn never(never: Infallible) -> Broken {
    match never {}
}

fn empty() -> BoxBody<Bytes, Broken> {
    Empty::new().map_err(never).boxed()
}

fn whole(bytes: impl Into<Bytes>) -> BoxBody<Bytes, Broken> {
    Full::new(bytes.into()).map_err(never).boxed()
}

struct Half {
    sent: bool,
}

impl Body for Half {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(Some(if std::mem::replace(&mut self.sent, true) {
            Err(Broken)
        } else {
            Ok(Frame::data(Bytes::from_static(b"only these")))
        }))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(1000)
    }
}

struct Trickle {
    next: Option<Pin<Box<Sleep>>>,
}

impl Body for Trickle {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let next = self
            .next
            .get_or_insert_with(|| Box::pin(sleep(Duration::from_secs(1))));
        if next.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.next = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b".")))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_the_last_known_word_of_a_path() {
        assert_eq!(script("/base/status/404"), ("status", 404));
        assert_eq!(script("/base/echo/a/b"), ("echo", 0));
        assert_eq!(script("/base"), ("", 0));
    }
}
