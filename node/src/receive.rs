//! Takes a transport message in from a peer, event by event, within pace and bounds.

use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;
use kontor_protocol::fault::{Fault, FaultCode, ForeignFault};
use kontor_protocol::transport::{Event, MessageReader};

use crate::handles::log_fault;
use crate::link::{describe, next_piece};
use crate::pace::Pace;
use crate::spool::{Spool, Spooled};
use crate::verdicts::ReceivedSignature;

/// A message that is still arriving.
#[derive(Debug)]
pub struct Receiver {
    body: Incoming,
    reader: MessageReader,
    pace: Pace,
    ended: bool,
}

/// What comes after the message part.
#[derive(Debug)]
pub enum Remainder {
    /// The peer gave up and says why.
    Fault(ForeignFault),
    /// Body, if there was one, and signature. Nothing in it is verified.
    Signed(Option<Spooled>, ReceivedSignature),
}

impl Receiver {
    /// Reads `body`; the first silence may last `idle`.
    pub fn new(body: Incoming, reader: MessageReader, idle: Duration) -> Self {
        Self {
            body,
            reader,
            pace: Pace::with_idle(idle),
            ended: false,
        }
    }

    /// The next event; `None` when the message ended as it should.
    pub async fn event(&mut self) -> Result<Option<Event>, Fault> {
        let io = |reason: String| {
            Fault::new(
                FaultCode::IoError,
                format!("the peer's message broke off: {reason}"),
            )
        };
        loop {
            if let Some(event) = self.reader.next()? {
                return Ok(Some(event));
            }
            if self.ended {
                return Ok(None);
            }
            match self
                .pace
                .wait(Box::pin(next_piece(&mut self.body)))
                .await
                .map_err(|e| io(e.to_string()))?
            {
                Some(Ok(piece)) => {
                    self.pace.moved(piece.len()).map_err(|e| io(e.to_string()))?;
                    self.reader.feed(piece);
                }
                Some(Err(error)) => return Err(io(describe(&error))),
                None => {
                    self.ended = true;
                    return self.reader.finish();
                }
            }
        }
    }

    /// Takes in what follows the message part, the body into `spool`, up to the proper end of the message.
    pub async fn remainder(&mut self, mut spool: Spool) -> Result<Remainder, Fault> {
        let mut has_body = false;
        let (mut chain_result, mut chain, mut document) = (None, None, None);
        while let Some(event) = self.event().await? {
            match event {
                Event::Body(piece) => spool.take(&piece).await.map_err(|e| log_fault(&e))?,
                Event::BodyEnd => {}
                Event::BodyStart { .. } => has_body = true,
                Event::Chain(bytes) => chain = Some(bytes),
                Event::ChainResult(bytes) => chain_result = Some(bytes),
                Event::Fault(fault) => return Ok(Remainder::Fault(fault)),
                Event::Message(_) | Event::Ocsp(_) => {
                    return Err(Fault::new(
                        FaultCode::InvalidMessage,
                        "a part stands where it may not",
                    ));
                }
                Event::Signature(bytes) => document = Some(bytes),
            }
        }
        let document = document
            .ok_or_else(|| Fault::new(FaultCode::MissingSignature, "the message has no signature part"))?;
        let body = if has_body {
            Some(spool.finish().await.map_err(|e| log_fault(&e))?)
        } else {
            None
        };
        Ok(Remainder::Signed(
            body,
            ReceivedSignature {
                document,
                chain_result,
                chain,
            },
        ))
    }

    /// What has not been read, to be discarded.
    pub fn into_body(self) -> Incoming {
        self.body
    }
}

/// The events before the message part and the message part itself.
pub async fn opening(receiver: &mut Receiver) -> Result<(Vec<Bytes>, Event), Fault> {
    let mut ocsp = Vec::new();
    loop {
        match receiver.event().await? {
            Some(Event::Ocsp(der)) => ocsp.push(der),
            Some(event) => return Ok((ocsp, event)),
            None => {
                return Err(Fault::new(
                    FaultCode::MissingRest,
                    "the message has no message part",
                ));
            }
        }
    }
}
