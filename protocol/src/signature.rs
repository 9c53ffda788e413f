//! The signature document: what is signed, how it is written, and what it says when it is read (wire 4.2, 4.6).
//!
//! Owns the XAdES document of X-Road. Writing knows one form, a template whose canonical forms are its own octets:
//! no tree, no white space, base64 without line breaks. Reading takes every form that wire 4.6 allows, the direct
//! attachment references and exclusive canonical forms of X-Road 8 among them, and refuses what could be read in two
//! ways: a second signature, an Id used twice, a document type, a reference that is not of the closed list.
//!
//! Whether the signer may be believed is for [`crate::verify`] to say; [`SignatureDocument::check_value`] only says
//! that the document holds together.

mod element;
mod insert;
mod read;
mod write;
#[cfg(test)]
mod tests;

pub use insert::insert_timestamp;
pub use read::{Reference, SignatureDocument};
pub use write::{Prepared, SignedObject, SignerInfo, prepare};

use crate::fault::FaultCode;
use crate::xml::XmlError;

const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const XADES: &str = "http://uri.etsi.org/01903/v1.3.2#";
const SIGNED_PROPERTIES_TYPE: &str = "http://uri.etsi.org/01903#SignedProperties";

/// Why a signature document is refused before anybody asks whom to believe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// Not XML, or a document type declaration.
    #[error(transparent)]
    Xml(#[from] XmlError),
    /// Not a signature document as X-Road has it; the text says what is missing or too many.
    #[error("the signature document is malformed: {0}")]
    Malformed(&'static str),
    /// An element or attribute is missing, misplaced, or there twice.
    #[error("the signature document is malformed: {0} is missing, misplaced or there twice")]
    Misplaced(&'static str),
    /// Two elements with one Id: what is signed could be read in two ways.
    #[error("the signature document uses the Id {0} twice")]
    DuplicateId(String),
    /// A reference to something that cannot be part of a message.
    #[error("the signature refers to {0}, which is not part of a message")]
    UnknownReference(String),
    /// SHA-1, in the signature or in a digest.
    #[error("the signature uses {0}, which is no longer accepted")]
    Weak(&'static str),
    /// An algorithm that is not in the list of wire 4.1.
    #[error("the signature uses the unknown algorithm {0}")]
    UnknownAlgorithm(String),
    /// A certificate inside cannot be read.
    #[error("a certificate in the signature cannot be read: {0}")]
    Certificate(String),
    /// The signature value or the digest of the signed properties is wrong.
    #[error("the signature value does not fit: {0}")]
    Value(&'static str),
}

impl SignatureError {
    /// The code of wire 10.2.
    #[must_use]
    pub const fn code(&self) -> FaultCode {
        match self {
            Self::Xml(_) => FaultCode::InvalidXml,
            Self::Malformed(_) | Self::Misplaced(_) | Self::Weak(_) | Self::UnknownAlgorithm(_) => {
                FaultCode::MalformedSignature
            }
            Self::UnknownReference(_) => FaultCode::InvalidReference,
            Self::Certificate(_) => FaultCode::IncorrectCertificate,
            Self::DuplicateId(_) | Self::Value(_) => FaultCode::InvalidSignatureValue,
        }
    }
}
