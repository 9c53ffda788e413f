//! The response half of the REST message codec (wire 2.6).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::head::{Head, push_line};
use super::{
    CLIENT, QUERY_ID, REQUEST_HASH, REQUEST_ID, RestRequest, SERVICE, from_wire, is_hop_header, malformed,
};
use crate::fault::{Fault, FaultCode};
use crate::id::{ClientId, ServiceId};

/// What a service answered, the body aside.
#[derive(Debug, Clone, Copy)]
pub struct ServiceAnswer<'a> {
    /// The status code, 200 or above.
    pub status: u16,
    /// The reason phrase as octets; may be empty.
    pub reason: &'a [u8],
    /// Names and values as octets in the order of arrival.
    pub headers: &'a [(&'a [u8], &'a [u8])],
}

/// A REST response message: status, reason, headers, and the lines that tie it to its request.
#[derive(Debug, Clone)]
pub struct RestResponse {
    head: Head,
    status: u16,
}

impl RestResponse {
    /// The message for what a service answered to `request`. `request_id` is the HTTP header of the request, not the
    /// signed line, as Java does it (wire 2.4 rule 4); `request_hash` is that of wire 2.7.
    ///
    /// # Errors
    /// `internal_error` for an answer that the message cannot carry.
    pub fn build(
        answer: &ServiceAnswer<'_>,
        request: &RestRequest,
        request_id: &str,
        request_hash: &str,
    ) -> Result<Self, Fault> {
        let reason = from_wire(answer.reason);
        if reason.contains(['\r', '\n']) {
            return Err(malformed("reason phrase of more than one line"));
        }
        let mut out = Vec::with_capacity(1024);
        push_line(&mut out, &[&answer.status.to_string()]);
        push_line(&mut out, &[&reason]);
        for &(name, value) in answer.headers {
            let (name, value) = (from_wire(name), from_wire(value));
            // x-road-service stays: the last one counts, and that is ours.
            let ours = [QUERY_ID, CLIENT, REQUEST_ID, REQUEST_HASH];
            if is_hop_header(&name) || ours.iter().any(|header| name.eq_ignore_ascii_case(header)) {
                continue;
            }
            if name.contains(['\r', '\n', ':']) || value.contains(['\r', '\n']) {
                return Err(malformed("header that is more than one line"));
            }
            push_line(&mut out, &[&name, ":", &value]);
        }
        push_line(&mut out, &[QUERY_ID, ":", request.query_id()]);
        push_line(&mut out, &[CLIENT, ":", &request.client().to_path()]);
        push_line(&mut out, &[SERVICE, ":", &request.service().to_path()]);
        push_line(&mut out, &[REQUEST_ID, ":", request_id]);
        push_line(&mut out, &[REQUEST_HASH, ":", request_hash]);
        Self::parse(Bytes::from(out))
    }

    /// Reads the message part that a peer sent.
    ///
    /// # Errors
    /// `internal_error`: no decimal final status, no `x-road-id`, no usable `x-road-request-hash`, a malformed line.
    pub fn parse(bytes: Bytes) -> Result<Self, Fault> {
        let head = Head::parse(bytes)?;
        let status = head
            .first()
            .parse()
            .ok()
            .filter(|status| head.first().len() == 3 && (200..=999).contains(status))
            .ok_or_else(|| malformed("status of the REST response is not a number from 200 on"))?;
        if head.header(QUERY_ID).is_none_or(str::is_empty) {
            return Err(malformed("REST response without x-road-id"));
        }
        if head
            .header(REQUEST_HASH)
            .is_none_or(|hash| hash.is_empty() || STANDARD.decode(hash).is_err())
        {
            return Err(malformed("REST response without a base64 x-road-request-hash"));
        }
        Ok(Self { head, status })
    }

    /// Whether this answers `request`: client, service, both ids and the hash must be equal (wire 3.10 step 5).
    ///
    /// # Errors
    /// `inconsistent_response`, naming the field.
    pub fn check_answers(&self, request: &RestRequest, request_hash: &str) -> Result<(), Fault> {
        let client = self
            .header(CLIENT)
            .and_then(|value| ClientId::parse_path(value).ok());
        let service = self
            .header(SERVICE)
            .and_then(|value| ServiceId::parse_path(value).ok());
        let differs = if client.as_ref() != Some(request.client()) {
            CLIENT
        } else if self.query_id() != request.query_id() {
            QUERY_ID
        } else if service.as_ref() != Some(request.service()) {
            SERVICE
        } else if self.header(REQUEST_ID) != Some(request.request_id()) {
            REQUEST_ID
        } else if self.header(REQUEST_HASH) != Some(request_hash) {
            REQUEST_HASH
        } else {
            return Ok(());
        };
        Err(Fault::new(
            FaultCode::InconsistentResponse,
            format!("{differs} of the response is not the request's"),
        ))
    }

    /// The bytes as received or built: these are signed and logged.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        self.head.bytes()
    }

    /// The bytes with every line ended by CRLF.
    #[must_use]
    pub fn reserialised(&self) -> Cow<'_, [u8]> {
        self.head.reserialised()
    }

    /// The status code for the information system.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; it is signed, but goes no further (wire 2.6).
    #[must_use]
    pub fn reason(&self) -> &str {
        self.head.second()
    }

    /// The id of the message, as the request had it.
    #[must_use]
    pub fn query_id(&self) -> &str {
        self.head
            .header(QUERY_ID)
            .expect("checked when the message was read")
    }

    /// The id of the exchange, as the request's HTTP header had it.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.header(REQUEST_ID)
    }

    /// The last value of a header, its name in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// All headers in order; they all go to the information system, as octets of [`super::to_wire`].
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.head.headers()
    }
}
