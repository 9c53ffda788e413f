//! The head of a message as its sender wrote it: order, case and octets of header lines, raw target, reason.
//!
//! hyper lower-cases names and groups repeated ones; X-Road signs them as they came (wire 2.4). [`Tap`] notes the
//! bytes of a head while hyper reads them; [`Head::request`] and [`Head::response`] take them from there and fall
//! back to hyper's view where both do not tell the same.

use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, request, response};
use hyper::rt::{Read, ReadBufCursor, Write};

/// Heads larger than this are not noted; hyper refuses them on its own.
const MOST: usize = 256 * 1024;
/// Header lines looked at: the first number is enough for nearly every head, the second for all that hyper takes.
const LINES: [usize; 2] = [32, 256];

/// Bytes of the next head on one connection.
#[derive(Clone, Debug, Default)]
pub struct Tap(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    off: bool,
    bytes: Vec<u8>,
}

impl Tap {
    /// Begins to note bytes: a connection is new, or its last exchange is over.
    pub fn arm(&self) {
        let mut state = self.lock();
        state.off = false;
        state.bytes.clear();
    }

    fn note(&self, bytes: &[u8]) {
        let mut state = self.lock();
        if !state.off {
            if state.bytes.len() + bytes.len() > MOST {
                state.off = true;
                state.bytes.clear();
            } else {
                state.bytes.extend_from_slice(bytes);
            }
        }
    }

    fn take(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.off = true;
        std::mem::take(&mut state.bytes)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A stream that shows what is read from it to a [`Tap`].
#[derive(Debug)]
pub struct Tapped<T> {
    stream: T,
    tap: Tap,
}

impl<T> Tapped<T> {
    /// Taps a stream.
    pub fn new(stream: T, tap: Tap) -> Self {
        Self { stream, tap }
    }
}

impl<T: tokio::io::AsyncRead + Unpin> Read for Tapped<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut cursor: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        // A buffer of our own keeps this free of unsafe code; its copy is what a head costs, and a body 64 KiB at
        // a time goes through the same small copy.
        let mut space = [const { MaybeUninit::uninit() }; 16 * 1024];
        let most = space.len().min(cursor.remaining());
        let mut buffer = tokio::io::ReadBuf::uninit(&mut space[..most]);
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
        self.tap.note(buffer.filled());
        cursor.put_slice(buffer.filled());
        Poll::Ready(Ok(()))
    }
}

impl<T: tokio::io::AsyncWrite + Unpin> Write for Tapped<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }
}

/// Header lines in the order and case of their sender, and what stood on the first line.
#[derive(Clone, Debug, Default)]
pub struct Head {
    /// Raw request target; of a response the reason phrase.
    pub first: Vec<u8>,
    /// Name and value of each line.
    pub lines: Vec<(Bytes, Bytes)>,
}

impl Head {
    /// The head of a request.
    pub fn request(tap: &Tap, parts: &request::Parts) -> Self {
        let noted = Bytes::from(tap.take());
        for most in LINES {
            let mut lines = vec![httparse::EMPTY_HEADER; most];
            let mut parsed = httparse::Request::new(&mut lines);
            match parsed.parse(&noted) {
                Err(httparse::Error::TooManyHeaders) => continue,
                Ok(status) if status.is_complete() && parsed.method == Some(parts.method.as_str()) => {
                    let lines = copied(&noted, parsed.headers);
                    if same(&lines, &parts.headers) {
                        return Self {
                            first: parsed.path.unwrap_or_default().as_bytes().to_vec(),
                            lines,
                        };
                    }
                }
                Ok(_) | Err(_) => {}
            }
            break;
        }
        let target = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        Self {
            first: target.as_bytes().to_vec(),
            lines: grouped(&parts.headers),
        }
    }

    /// The head of a response.
    pub fn response(tap: &Tap, parts: &response::Parts) -> Self {
        let noted = Bytes::from(tap.take());
        let first = match parts.extensions.get::<hyper::ext::ReasonPhrase>() {
            Some(reason) => reason.as_bytes().to_vec(),
            None => parts
                .status
                .canonical_reason()
                .unwrap_or_default()
                .as_bytes()
                .to_vec(),
        };
        for most in LINES {
            let mut lines = vec![httparse::EMPTY_HEADER; most];
            let mut parsed = httparse::Response::new(&mut lines);
            match parsed.parse(&noted) {
                Err(httparse::Error::TooManyHeaders) => continue,
                Ok(status) if status.is_complete() && parsed.code == Some(parts.status.as_u16()) => {
                    let lines = copied(&noted, parsed.headers);
                    if same(&lines, &parts.headers) {
                        return Self { first, lines };
                    }
                }
                Ok(_) | Err(_) => {}
            }
            break;
        }
        Self {
            first,
            lines: grouped(&parts.headers),
        }
    }

    /// Name and value as octets.
    pub fn octets(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.lines
            .iter()
            .map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// The last value of a header.
    pub fn last(&self, name: &str) -> Option<&[u8]> {
        let found = self
            .lines
            .iter()
            .rev()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, value)| value.as_ref())
    }
}

fn copied(noted: &Bytes, headers: &[httparse::Header<'_>]) -> Vec<(Bytes, Bytes)> {
    headers
        .iter()
        .map(|h| (noted.slice_ref(h.name.as_bytes()), noted.slice_ref(h.value)))
        .collect()
}

fn grouped(headers: &HeaderMap) -> Vec<(Bytes, Bytes)> {
    let line = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (
            Bytes::copy_from_slice(name.as_str().as_bytes()),
            Bytes::copy_from_slice(value.as_bytes()),
        )
    };
    headers.iter().map(line).collect()
}

/// Whether noted lines tell what hyper read: the same values under the same names, in any grouping.
fn same(lines: &[(Bytes, Bytes)], headers: &HeaderMap) -> bool {
    lines.len() == headers.len()
        && lines.iter().all(|(name, value)| {
            http::HeaderName::from_bytes(name).is_ok_and(|name| {
                headers
                    .get_all(name)
                    .iter()
                    .any(|v| v.as_bytes() == value.as_ref())
            })
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Empty};
    use hyper::service::service_fn;
    use tokio::io::AsyncWriteExt;

    async fn served(bytes: &'static [u8]) -> Vec<Head> {
        let (mut client, server) = tokio::io::duplex(1 << 16);
        let heads = Arc::new(Mutex::new(Vec::new()));
        let tap = Tap::default();
        let service = {
            let (heads, tap) = (heads.clone(), tap.clone());
            service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (heads, tap) = (heads.clone(), tap.clone());
                async move {
                    let (parts, body) = request.into_parts();
                    heads.lock().unwrap().push(Head::request(&tap, &parts));
                    body.collect().await.unwrap();
                    tap.arm();
                    Ok::<_, std::convert::Infallible>(http::Response::new(Empty::<Bytes>::new()))
                }
            })
        };
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let _ = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(Tapped::new(server, tap), service)
            .await;
        let heads = heads.lock().unwrap();
        heads.clone()
    }

    #[tokio::test]
    async fn names_keep_their_case_and_repeated_lines_their_place() {
        let heads =
            served(b"GET /r1/a%2Fb?x=1 HTTP/1.1\r\nX-Road-Client: A\r\nB: 1\r\nx-ROAD-client: C\r\n\r\n")
                .await;
        let lines: Vec<_> = heads[0].octets().collect();
        assert_eq!(
            lines,
            [
                (&b"X-Road-Client"[..], &b"A"[..]),
                (&b"B"[..], &b"1"[..]),
                (&b"x-ROAD-client"[..], &b"C"[..]),
            ]
        );
        assert_eq!(heads[0].first, b"/r1/a%2Fb?x=1");
        assert_eq!(heads[0].last("x-road-CLIENT"), Some(&b"C"[..]));
    }

    #[tokio::test]
    async fn a_pipelined_head_falls_back_to_what_hyper_read() {
        let heads = served(
            b"POST / HTTP/1.1\r\nA: 1\r\nContent-Length: 1\r\n\r\nxGET /two HTTP/1.1\r\nSecond: 2\r\n\r\n",
        )
        .await;
        assert_eq!(heads[1].octets().next(), Some((&b"second"[..], &b"2"[..])));
    }
}
