//! A writer over the body of an answer, for code that writes and blocks: pieces go out as fast as the reader takes them.

use std::io::{self, Write};

use tokio::runtime::Handle;

use crate::body::BodyWriter;

/// Bytes that are gathered before they go out.
const PIECE: usize = 64 * 1024;

/// See the module. Dropped without [`Outlet::close`], the answer is cut. Only for threads that may block.
pub(super) struct Outlet {
    writer: BodyWriter,
    gathered: Vec<u8>,
    runtime: Handle,
}

impl Outlet {
    pub(super) fn new(writer: BodyWriter, runtime: Handle) -> Self {
        Self {
            writer,
            gathered: Vec::with_capacity(PIECE),
            runtime,
        }
    }

    fn push(&mut self) -> io::Result<()> {
        let piece = std::mem::replace(&mut self.gathered, Vec::with_capacity(PIECE));
        let sent = self.runtime.block_on(self.writer.write(piece.into()));
        sent.map_err(io::Error::other)
    }

    /// Sends what is left and ends the answer properly.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.push()?;
        self.runtime
            .block_on(self.writer.close())
            .map_err(io::Error::other)
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..taken]);
        if self.gathered.len() == PIECE {
            self.push()?;
        }
        Ok(taken)
    }

    /// What is gathered stays: writers of archives flush after each entry.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::body::OutBody;

    async fn poured(write: impl FnOnce(Outlet) -> io::Result<()> + Send + 'static) -> Option<Vec<u8>> {
        let (writer, body) = OutBody::flow();
        let outlet = Outlet::new(writer, Handle::current());
        let writing = tokio::task::spawn_blocking(move || write(outlet));
        let read = body.collect().await;
        writing.await.unwrap().unwrap();
        read.ok().map(|read| read.to_bytes().to_vec())
    }

    #[tokio::test]
    async fn what_is_written_arrives_in_order() {
        let bytes: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let expected = bytes.clone();
        let read = poured(move |mut outlet| {
            for piece in bytes.chunks(70_001) {
                outlet.write_all(piece)?;
            }
            outlet.close()
        });
        assert_eq!(read.await, Some(expected));
    }

    #[tokio::test]
    async fn an_answer_that_is_given_up_does_not_look_whole() {
        let read = poured(|mut outlet| outlet.write_all(&[1; 200_000]));
        assert_eq!(read.await, None);
    }
}
