//! Messages between security servers: the HTTP head and the parts in their order (wire 3.5 to 3.9).
//!
//! [`TransportHead`] checks a head, [`MessageReader`] takes the body apart as it arrives, [`MessageWriter`] writes one.
//! The reader hands out small parts whole and bodies in pieces; it holds no body and does not judge content: whether
//! peer, signature and chain are right is for `verify`. What it owns is the grammar: which part may stand where, how
//! large it may be, and the code that a Java server would give when it does not fit.
//!
//! The parts of a message are digested as they stand between their boundaries. Of SOAP attachments that is the content
//! inside the nested multipart, without its headers: `/attachment1` and so on, in order.

mod head;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use head::{PROXY_VERSION, TransportHead, request_headers, response_headers};
pub use reader::MessageReader;
pub use writer::MessageWriter;

use bytes::Bytes;

use crate::fault::{Fault, FaultCode, ForeignFault};
use crate::multipart::PartHeaders;

/// Which way a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the consumer's server to the provider's.
    Request,
    /// Back.
    Response,
}

/// Which of the two message protocols is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// `x-road-message-type: REST`.
    Rest,
    /// No message type.
    Soap,
}

impl MessageKind {
    /// The fault of a message that has no message part.
    const fn missing(self) -> FaultCode {
        match self {
            Self::Rest => FaultCode::MissingRest,
            Self::Soap => FaultCode::MissingSoap,
        }
    }
}

/// What the reader has come upon, in the order of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An OCSP response of the sender's authentication certificates (requests only).
    Ocsp(Bytes),
    /// The message part: signed as `/message.xml`.
    Message(Bytes),
    /// A body begins: the REST body, or a SOAP attachment, signed as `/attachment{index}`.
    BodyStart {
        /// Counted from 1.
        index: usize,
        /// Headers of the part; those of attachments belong to the information systems.
        headers: PartHeaders,
    },
    /// A piece of the body, never empty.
    Body(Bytes),
    /// The body has ended.
    BodyEnd,
    /// The result that the signature covers.
    ChainResult(Bytes),
    /// The chain from the parts to the result.
    Chain(Bytes),
    /// The signature document. Release what it covers only after [`MessageReader::finish`].
    Signature(Bytes),
    /// A fault in place of the message or of the signature (responses only).
    Fault(ForeignFault),
}

const OCSP: &str = "application/ocsp-response";
const REST_REQUEST: &str = "application/x-road-rest-request";
const REST_RESPONSE: &str = "application/x-road-rest-response";
const REST_BODY: &str = "application/x-road-rest-body";
const CHAIN_RESULT: &str = "application/hash-chain-result";
const CHAIN: &str = "application/hash-chain";
const SIGNATURE: &str = "signature/bdoc-1.0/ts";
const XML: &str = "text/xml";
const XOP: &str = "application/xop+xml";
const MULTIPART: &str = "multipart/mixed";

/// A fault noticed while taking a message apart, with the element that Java puts before it (wire 3.7).
fn decoding(code: FaultCode, text: impl Into<String>) -> Fault {
    Fault::new(code, text).within(FaultCode::ServiceFailed)
}
