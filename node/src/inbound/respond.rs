//! The answer to another node: whole when it is small, piece by piece while it spools when it is not.

use bytes::Bytes;
use http::Response;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use kontor_protocol::fault::{Fault, FaultCode, ForeignFault};
use kontor_protocol::multipart::boundary;
use kontor_protocol::transport::{Direction, MessageWriter, response_headers};
use tokio::sync::oneshot;

use super::fault_response;
use crate::body::{BodyWriter, OutBody};
use crate::signer::Signed;

/// The one answer of an exchange, in whatever state it is.
pub(super) enum Reply {
    /// It has ended.
    Ended,
    /// Body bytes flow; a fault would stand in place of the signature.
    Flowing(BodyWriter, MessageWriter),
    /// Nothing was sent; a fault would be the whole answer.
    Open(oneshot::Sender<Response<OutBody>>),
}

impl Reply {
    pub(super) fn new(sender: oneshot::Sender<Response<OutBody>>) -> Self {
        Self::Open(sender)
    }

    /// Sends the whole answer, or what is left of one that flows.
    pub(super) async fn end(&mut self, message: &[u8], body: Option<&[u8]>, signed: &Signed) {
        match std::mem::replace(self, Self::Ended) {
            Self::Ended => {}
            Self::Flowing(mut to, mut writer) => {
                closing(&mut writer, signed);
                if to.write(writer.take()).await.is_ok() {
                    let _ = to.close().await;
                }
            }
            Self::Open(sender) => {
                let (boundary, mut writer) = opening(message);
                if let Some(body) = body {
                    writer.body_start();
                    writer.body(body);
                }
                closing(&mut writer, signed);
                // Nobody listens any more when the consumer's node has gone; the exchange is recorded all the same.
                let _ = sender.send(multipart(&boundary, OutBody::from(writer.take())));
            }
        }
    }

    /// Begins an answer whose body flows on while it spools.
    pub(super) async fn begin(&mut self, message: &[u8], first: Bytes) -> Result<(), Fault> {
        let Self::Open(sender) = std::mem::replace(self, Self::Ended) else {
            return Err(gone());
        };
        let (boundary, mut writer) = opening(message);
        writer.body_start();
        let (mut to, flow) = OutBody::flow();
        sender.send(multipart(&boundary, flow)).map_err(|_| gone())?;
        to.write(writer.take()).await.map_err(|e| slow(&e))?;
        to.write(first).await.map_err(|e| slow(&e))?;
        *self = Self::Flowing(to, writer);
        Ok(())
    }

    /// Lets a piece of the body flow.
    pub(super) async fn piece(&mut self, piece: Bytes) -> Result<(), Fault> {
        let Self::Flowing(to, _) = self else {
            return Err(gone());
        };
        let written = to.write(piece).await;
        written.map_err(|e| {
            // Where the body is not taken no fault will be taken either.
            *self = Self::Ended;
            slow(&e)
        })
    }

    /// Sends a fault: as the whole answer, or in place of the signature (wire 3.9).
    pub(super) async fn fault(&mut self, fault: &ForeignFault) {
        match std::mem::replace(self, Self::Ended) {
            Self::Ended => {}
            Self::Flowing(mut to, mut writer) => {
                writer.fault(fault);
                writer.close();
                if to.write(writer.take()).await.is_ok() {
                    let _ = to.close().await;
                }
            }
            Self::Open(sender) => {
                let _ = sender.send(fault_response(fault));
            }
        }
    }
}

fn opening(message: &[u8]) -> (String, MessageWriter) {
    let boundary = boundary("xtop", kontor_pki::crypto::random());
    let mut writer = MessageWriter::new(&boundary);
    writer.message(Direction::Response, message);
    (boundary, writer)
}

fn closing(writer: &mut MessageWriter, signed: &Signed) {
    if let (Some(result), Some(chain)) = (signed.batch.chain_result(), &signed.chain) {
        writer.chain(result, chain);
    }
    writer.signature(signed.batch.document());
    writer.close();
}

fn multipart(boundary: &str, body: OutBody) -> Response<OutBody> {
    let mut response = Response::new(body);
    for (name, value) in response_headers(boundary) {
        let name = if name == "content-type" {
            CONTENT_TYPE
        } else {
            HeaderName::from_static(name)
        };
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

fn gone() -> Fault {
    Fault::new(FaultCode::IoError, "the consumer's server closed the connection")
}

fn slow(error: &dyn std::fmt::Display) -> Fault {
    Fault::new(
        FaultCode::IoError,
        format!("the consumer's server does not take the answer: {error}"),
    )
}
