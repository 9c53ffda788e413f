//! Bytes of a message that leave as a case says: at once, in drops, or not to the end.
//!
//! Owns the timing of what scripted peers send; refuses to look at the bytes.

use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Sleep, sleep};

/// How the bytes leave.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pace {
    #[default]
    AtOnce,
    /// So many bytes, then silence with the connection open.
    StallAfter(usize),
    /// So many bytes, then the connection is closed.
    CloseAfter(usize),
    /// One byte each time that passes.
    Trickle(Duration),
}

/// A body whose bytes leave as the case says.
#[derive(Debug)]
pub struct PacedBody {
    bytes: Bytes,
    sent: usize,
    pace: Pace,
    next: Option<Pin<Box<Sleep>>>,
}

impl PacedBody {
    /// `bytes` at the given pace.
    pub fn new(bytes: impl Into<Bytes>, pace: Pace) -> Self {
        Self {
            bytes: bytes.into(),
            sent: 0,
            pace,
            next: None,
        }
    }

    fn take(&mut self, upto: usize) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        let end = upto.min(self.bytes.len());
        if self.sent >= end {
            return Poll::Ready(None);
        }
        // In pieces, as a sender with a buffer would.
        let end = end.min(self.sent + 64 * 1024);
        let piece = self.bytes.slice(self.sent..end);
        self.sent = end;
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

/// The case closes the connection in the middle of a message.
#[derive(Debug)]
pub struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closing as the case says")
    }
}

impl std::error::Error for Closed {}

impl Body for PacedBody {
    type Data = Bytes;
    type Error = Closed;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Closed>>> {
        match self.pace {
            Pace::AtOnce => self.take(usize::MAX),
            Pace::StallAfter(bytes) => match self.take(bytes) {
                Poll::Ready(None) => Poll::Pending,
                piece => piece,
            },
            Pace::CloseAfter(bytes) => match self.take(bytes) {
                Poll::Ready(None) => Poll::Ready(Some(Err(Closed))),
                piece => piece,
            },
            Pace::Trickle(pause) => {
                let next = self.next.get_or_insert_with(|| Box::pin(sleep(pause)));
                if next.as_mut().poll(context).is_pending() {
                    return Poll::Pending;
                }
                self.next = None;
                let upto = self.sent + 1;
                self.take(upto)
            }
        }
    }
}
