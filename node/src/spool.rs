//! A body on its way through the node: digested as it passes, in memory while small, then in a sealed content file.

use bytes::{Bytes, BytesMut};
use kontor_pki::crypto::Sha512;

use crate::body::OutBody;
use crate::messagelog::{ContentFile, ContentWriter, LogError, LoggedBody, MessageLog};
use crate::shutdown::Shutdown;

/// Takes a body in.
pub struct Spool {
    log: MessageLog,
    inline: usize,
    digest: Sha512,
    held: BytesMut,
    first: Bytes,
    file: Option<ContentWriter>,
    length: u64,
}

/// A body taken in whole.
#[derive(Clone, Debug)]
pub struct Spooled {
    /// Where it is.
    pub content: Content,
    /// SHA-512 of all of it.
    pub digest: [u8; 64],
    /// Its length in bytes.
    pub length: u64,
}

/// Where a body is.
#[derive(Clone, Debug)]
pub enum Content {
    /// In a sealed content file of the message log.
    File(ContentFile),
    /// In memory.
    Memory(Bytes),
}

impl Spool {
    /// A spool that keeps up to `inline` bytes in memory.
    pub fn new(log: &MessageLog, inline: usize) -> Self {
        Self {
            log: log.clone(),
            inline,
            digest: Sha512::new(),
            held: BytesMut::new(),
            first: Bytes::new(),
            file: None,
            length: 0,
        }
    }

    /// Takes the next piece.
    pub async fn take(&mut self, piece: &Bytes) -> Result<(), LogError> {
        self.digest.update(piece);
        self.length += piece.len() as u64;
        if let Some(file) = &mut self.file {
            return file.write(piece.clone()).await;
        }
        self.held.extend_from_slice(piece);
        if self.held.len() > self.inline {
            self.first = std::mem::take(&mut self.held).freeze();
            let mut file = self.log.spool();
            file.write(self.first.clone()).await?;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Whether the body has outgrown memory.
    pub fn is_large(&self) -> bool {
        self.file.is_some()
    }

    /// What was taken until the body outgrew memory; given once, so that it can flow on.
    pub fn first(&mut self) -> Bytes {
        std::mem::take(&mut self.first)
    }

    /// Ends the body. A content file is on disk when this returns.
    pub async fn finish(self) -> Result<Spooled, LogError> {
        let content = match self.file {
            Some(file) => Content::File(file.finish().await?),
            None => Content::Memory(self.held.freeze()),
        };
        Ok(Spooled {
            content,
            digest: self.digest.finish(),
            length: self.length,
        })
    }
}

impl Spooled {
    /// The bytes, if they are in memory.
    pub fn in_memory(&self) -> &[u8] {
        match &self.content {
            Content::File(_) => &[],
            Content::Memory(bytes) => bytes,
        }
    }

    /// The form in which the message log takes it.
    pub fn logged(&self) -> LoggedBody {
        match &self.content {
            Content::File(file) => LoggedBody::Content(file.clone(), self.digest),
            Content::Memory(bytes) => LoggedBody::Inline(bytes.clone(), self.digest),
        }
    }

    /// The form in which it is released.
    pub fn release(&self, shutdown: &Shutdown) -> OutBody {
        match &self.content {
            Content::Memory(bytes) => OutBody::from(bytes.clone()),
            Content::File(file) => {
                let (mut writer, body) = OutBody::flow();
                let mut reader = file.reader();
                shutdown.spawn(async move {
                    loop {
                        match reader.next().await {
                            Ok(Some(piece)) => {
                                if let Err(error) = writer.write(piece).await {
                                    tracing::info!(%error, "a body was not taken to its end");
                                    return;
                                }
                            }
                            Ok(None) => break,
                            Err(error) => {
                                // The reader of this body sees a cut connection, never a short body.
                                tracing::error!(%error, "a content file cannot be read");
                                return;
                            }
                        }
                    }
                    let _ = writer.close().await;
                });
                body
            }
        }
    }
}
