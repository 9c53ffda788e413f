//! Bodies that the node sends: none, whole, or flowing piece by piece under back-pressure.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

use crate::pace::{Pace, TooSlow};

/// Pieces that may wait for a slow reader; with pieces of at most 64 KiB this caps a stream at 256 KiB.
const PIECES: usize = 4;

/// A body on its way out.
#[derive(Debug)]
pub enum OutBody {
    /// Nothing.
    Empty,
    /// Pieces as they come; ends cut short if the writer is dropped without [`BodyWriter::close`].
    Flow(mpsc::Receiver<Piece>),
    /// All of it.
    Whole(Bytes),
}

/// What a writer hands to the connection.
#[derive(Debug)]
pub enum Piece {
    /// Bytes.
    Data(Bytes),
    /// The proper end.
    End,
}

/// The body was abandoned by its writer; the connection is cut so that the reader cannot take it for whole.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the message was abandoned by its sender")]
pub struct Abandoned;

/// Why a piece could not be handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WriteError {
    /// The connection is gone.
    #[error("the other side closed the connection")]
    Closed,
    /// The reader is too slow.
    #[error(transparent)]
    TooSlow(#[from] TooSlow),
}

impl OutBody {
    /// A flowing body and the end that feeds it.
    pub fn flow() -> (BodyWriter, Self) {
        let (sender, receiver) = mpsc::channel(PIECES);
        (
            BodyWriter {
                sender,
                pace: Pace::default(),
            },
            Self::Flow(receiver),
        )
    }
}

impl From<Bytes> for OutBody {
    fn from(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            Self::Empty
        } else {
            Self::Whole(bytes)
        }
    }
}

impl From<Infallible> for Abandoned {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// The feeding end of a flowing body.
#[derive(Debug)]
pub struct BodyWriter {
    sender: mpsc::Sender<Piece>,
    pace: Pace,
}

impl BodyWriter {
    /// Hands over bytes, as fast as the reader takes them.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), WriteError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let length = bytes.len();
        let sender = self.sender.clone();
        self.pace
            .wait(Box::pin(async move { sender.send(Piece::Data(bytes)).await }))
            .await?
            .map_err(|_| WriteError::Closed)?;
        self.pace.moved(length)?;
        Ok(())
    }

    /// Ends the body properly. Dropped without it, the connection is cut.
    pub async fn close(self) -> Result<(), WriteError> {
        self.sender.send(Piece::End).await.map_err(|_| WriteError::Closed)
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = Abandoned;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Abandoned>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Whole(bytes) => {
                let bytes = std::mem::take(bytes);
                *self = Self::Empty;
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Self::Flow(receiver) => receiver.poll_recv(cx).map(|piece| match piece {
                Some(Piece::Data(bytes)) => Some(Ok(Frame::data(bytes))),
                Some(Piece::End) => {
                    *self = Self::Empty;
                    None
                }
                None => Some(Err(Abandoned)),
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Flow(_) => SizeHint::default(),
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
        }
    }
}
