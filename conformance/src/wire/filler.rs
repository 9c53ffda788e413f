//! A body of any length that is never in memory.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

const CHUNK: usize = 64 * 1024;
static FILLER: [u8; CHUNK] = [b'k'; CHUNK];

/// A body of a given length made of one letter.
#[derive(Debug)]
pub struct Filler {
    left: u64,
}

impl Filler {
    /// A body of `length` bytes.
    pub fn new(length: u64) -> Self {
        Self { left: length }
    }
}

impl Body for Filler {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let take = usize::try_from(self.left).unwrap_or(CHUNK).min(CHUNK);
        self.left -= take as u64;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&FILLER[..take])))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
