//! Multipart bodies read piece by piece and written to the byte (wire 3.6; RFC 2046 5.1).
//!
//! [`Reader`] takes the octets as they come and hands out headers and data without holding a body; [`Writer`] writes
//! what Java's encoder writes. Part bytes are exactly what stands between two boundaries: that is what is digested, so
//! no transfer encoding is ever decoded.
//!
//! Refused: line ends other than CRLF around parts, header lines and blocks above the bounds of [`limits`], and bodies
//! that end without their closing boundary. What the parts mean is for `transport`.

mod header;
mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use header::{ContentType, PartHeaders};
pub use reader::{Event, Reader};
pub use writer::{Writer, boundary};

use crate::fault::{Fault, FaultCode};
use crate::limits;

/// Why a multipart body cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MultipartError {
    /// The body ended before its closing boundary: cut, or never closed.
    #[error("the multipart body ends before its closing boundary")]
    Cut,
    /// A boundary parameter that no boundary can be.
    #[error("the content type has no usable boundary")]
    Boundary,
    /// Something else than a line end after a boundary.
    #[error("malformed boundary line")]
    BoundaryLine,
    /// A header line above the bound.
    #[error("header line of a part above {} characters", limits::PART_HEADER_LINE)]
    HeaderLine,
    /// A header block above the bound.
    #[error(
        "headers of a part above {} bytes or {} lines",
        limits::PART_HEADERS,
        limits::PART_HEADER_COUNT
    )]
    Headers,
    /// A header line without name or colon, or not ended by CRLF.
    #[error("malformed header line of a part")]
    MalformedHeader,
    /// More parts than the bound.
    #[error("more than {} parts", limits::PARTS)]
    Parts,
    /// Too much before the first or after the closing boundary.
    #[error("too much text outside of the parts")]
    Outside,
}

impl MultipartError {
    /// The code: a cut body looks like a cut connection (wire 10.2).
    #[must_use]
    pub const fn code(self) -> FaultCode {
        match self {
            Self::Cut => FaultCode::IoError,
            Self::Boundary => FaultCode::InvalidContentType,
            Self::BoundaryLine
            | Self::HeaderLine
            | Self::Headers
            | Self::MalformedHeader
            | Self::Parts
            | Self::Outside => FaultCode::MimeParsingFailed,
        }
    }
}

impl From<MultipartError> for Fault {
    fn from(error: MultipartError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}
