//! The REST message of X-Road: the exact bytes that are signed, logged and hashed (wire 2.4, 2.6, 2.7).
//!
//! A [`RestRequest`] or [`RestResponse`] *is* its bytes; everything else is a view on them. They are built from what an
//! information system sent, or parsed from what a peer sent; both ways end in the same checks, so nothing is sent that
//! this node would not accept.
//!
//! Refused: targets that `java.net.URI` would not read, fragments, `..` in a service path, headers of the hop between
//! two machines inside a received message, control characters, and what is not UTF-8. The body is not here: it is a
//! part of its own and streams past.

mod head;
mod octets;
mod request;
mod response;
mod target;
#[cfg(test)]
mod tests;

pub use octets::{from_wire, to_wire};
pub use request::RestRequest;
pub use response::{RestResponse, ServiceAnswer};
pub(crate) use target::climbs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto;

use crate::fault::{Fault, FaultCode};

/// What a request does (wire 2.3): upper case, exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of HTTP")]
pub enum Verb {
    Delete,
    Get,
    Head,
    Options,
    Patch,
    Post,
    Put,
    Trace,
}

impl Verb {
    const ALL: [Self; 8] = [
        Self::Delete,
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Patch,
        Self::Post,
        Self::Put,
        Self::Trace,
    ];

    /// The name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Delete => "DELETE",
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Patch => "PATCH",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Trace => "TRACE",
        }
    }

    /// The verb with exactly this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verb| verb.as_str() == name)
    }

    /// Whether a body is delivered to the service: one of any other verb is signed and logged, then dropped (wire 2.5).
    #[must_use]
    pub const fn delivers_body(self) -> bool {
        matches!(self, Self::Patch | Self::Post | Self::Put)
    }
}

/// Headers of one hop: removed from what information systems send, refused in what peers send (wire 2.3, trap 9).
const HOP_HEADERS: [&str; 13] = [
    "transfer-encoding",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "upgrade",
    "connection",
    "user-agent",
    "host",
    "content-length",
    "server",
    "expect",
];

fn is_hop_header(name: &str) -> bool {
    HOP_HEADERS.iter().any(|hop| name.eq_ignore_ascii_case(hop))
}

const CLIENT: &str = "x-road-client";
const SERVICE: &str = "x-road-service";
const QUERY_ID: &str = "x-road-id";
const REQUEST_ID: &str = "x-road-request-id";
const REQUEST_HASH: &str = "x-road-request-hash";
const SECURITY_SERVER: &str = "x-road-security-server";
const REPRESENTED_PARTY: &str = "x-road-represented-party";

/// The value of `x-road-request-hash` (wire 2.7): of the message alone, or of the two digests when there was a body
/// part. `message` is the SHA-512 of [`RestRequest::reserialised`].
#[must_use]
pub fn request_hash(message: &[u8; 64], body: Option<&[u8; 64]>) -> String {
    match body {
        None => STANDARD.encode(message),
        Some(body) => {
            let mut both = [0; 128];
            both[..64].copy_from_slice(message);
            both[64..].copy_from_slice(body);
            STANDARD.encode(crypto::sha512(&both))
        }
    }
}

/// A REST message that cannot be read: Java has one code for all of it (wire 10.2).
fn malformed(text: impl Into<String>) -> Fault {
    Fault::new(FaultCode::InternalError, text)
}
