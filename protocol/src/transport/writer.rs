//! The writer: the parts of a message in order, to the byte as Java's encoder (wire 3.6).

use bytes::Bytes;

use super::{CHAIN, CHAIN_RESULT, Direction, OCSP, REST_BODY, REST_REQUEST, REST_RESPONSE, SIGNATURE};
use crate::fault::{ForeignFault, soap};
use crate::multipart;

/// Writes one REST message. The body does not pass through: call [`Self::body_start`], send what [`Self::take`] gives,
/// send the body, go on.
#[derive(Debug)]
pub struct MessageWriter {
    parts: multipart::Writer,
}

impl MessageWriter {
    /// A message with this boundary; see [`multipart::boundary`].
    #[must_use]
    pub fn new(boundary: &str) -> Self {
        Self {
            parts: multipart::Writer::new(boundary),
        }
    }

    /// The OCSP response of one certificate presented, leaf first (requests only).
    pub fn ocsp(&mut self, der: &[u8]) {
        self.part(OCSP, der);
    }

    /// The message part.
    pub fn message(&mut self, direction: Direction, message: &[u8]) {
        let content_type = match direction {
            Direction::Request => REST_REQUEST,
            Direction::Response => REST_RESPONSE,
        };
        self.part(content_type, message);
    }

    /// The beginning of the body part. A request without a body has none; a response with an empty one has (trap 14).
    pub fn body_start(&mut self) {
        self.parts.begin(&[("content-type", REST_BODY)]);
    }

    /// Octets of the body, for bodies that are at hand.
    pub fn body(&mut self, octets: &[u8]) {
        self.parts.data(octets);
    }

    /// The chain result and the chain: needed with a body, and for every message of a batch.
    pub fn chain(&mut self, result: &[u8], chain: &[u8]) {
        self.part(CHAIN_RESULT, result);
        self.part(CHAIN, chain);
    }

    /// The signature document.
    pub fn signature(&mut self, document: &[u8]) {
        self.part(SIGNATURE, document);
    }

    /// A fault in place of what has not been written yet (responses only).
    pub fn fault(&mut self, fault: &ForeignFault) {
        self.part("text/xml; charset=UTF-8", &soap::write(fault));
    }

    /// The closing boundary.
    pub fn close(&mut self) {
        self.parts.close();
    }

    /// What was written since the last call.
    #[must_use]
    pub fn take(&mut self) -> Bytes {
        self.parts.take()
    }

    fn part(&mut self, content_type: &str, octets: &[u8]) {
        self.parts.part(&[("content-type", content_type)], octets);
    }
}
