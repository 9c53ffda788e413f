//! Hash chains: one digest that stands for several parts of a message, or for a whole batch of messages (wire 4.3-4.5).
//!
//! Owns DigestList, the tree of a batch and the chain of each of its members, the two XML documents, and their
//! evaluation. A chain is evaluated only as deep, and only as far, as [`crate::limits`] allow, each step once; cycles,
//! two steps with one id, document type declarations and SHA-1 are refused. Whether a signature refers to the result is
//! for [`crate::verify`] to say.

mod build;
mod digest_list;
mod evaluate;
mod read;
mod template;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(crate) use build::Tree;
pub use build::{Batch, build_batch};
pub use digest_list::DigestList;
pub use evaluate::{Evaluated, Input, Resolved, evaluate, evaluate_with};

use crate::fault::FaultCode;

/// Name of the message part, SOAP or REST (wire 4.1).
pub const MESSAGE: &str = "/message.xml";
/// Name of the result of the chain that is signed.
pub const SIGNATURE_CHAIN_RESULT: &str = "/sig-hashchainresult.xml";
/// Name of the chain that leads to what is signed.
pub const SIGNATURE_CHAIN: &str = "/sig-hashchain.xml";
/// Name of the result of the chain that is time-stamped.
pub const TIMESTAMP_CHAIN_RESULT: &str = "/ts-hashchainresult.xml";
/// Name of the chain that leads to what is time-stamped.
pub const TIMESTAMP_CHAIN: &str = "/ts-hashchain.xml";
/// Name of the signature document, the input of the time-stamp chain.
pub const SIGNATURES: &str = "/META-INF/signatures.xml";

/// A part and its SHA-512 digest; in X-Road 7 parts have no other (wire 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartDigest {
    /// The name under which references call the part: [`MESSAGE`] or `/attachment1`.
    pub name: Cow<'static, str>,
    /// SHA-512 of its octets as transmitted.
    pub digest: [u8; 64],
}

impl PartDigest {
    /// The message part.
    #[must_use]
    pub const fn message(digest: [u8; 64]) -> Self {
        Self {
            name: Cow::Borrowed(MESSAGE),
            digest,
        }
    }

    /// An attachment, counted from 1; the body of a REST message is the first.
    #[must_use]
    pub fn attachment(number: usize, digest: [u8; 64]) -> Self {
        let name = if number == 1 {
            Cow::Borrowed("/attachment1")
        } else {
            Cow::Owned(format!("/attachment{number}"))
        };
        Self { name, digest }
    }
}

/// Why a chain does not prove that parts belong to its result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not XML, against the schema, a step that does not exist, refers to itself or lies too deep.
    #[error("the hash chain cannot be read: {0}")]
    Malformed(String),
    /// The chain yields another value than its result.
    #[error("the hash chain does not lead to the signed result; a part or the chain was changed")]
    Mismatch,
    /// Data named by the chain has another digest than the chain says.
    #[error("{0} has another digest than the hash chain says")]
    OtherDigest(String),
    /// The chain names something that is not part of the message.
    #[error("the hash chain refers to {0}, which was not received")]
    Unresolvable(String),
    /// A part that the chain does not name.
    #[error("{0} is not covered by the hash chain")]
    Unused(String),
}

impl ChainError {
    /// The code of wire 10.2.
    #[must_use]
    pub const fn code(&self) -> FaultCode {
        match self {
            Self::Malformed(_) => FaultCode::MalformedHashChain,
            Self::Mismatch => FaultCode::InvalidHashChain,
            Self::OtherDigest(_) => FaultCode::InvalidHashChainRef,
            Self::Unresolvable(_) => FaultCode::InvalidReference,
            Self::Unused(_) => FaultCode::HashChainUnusedInputs,
        }
    }
}

impl From<crate::xml::XmlError> for ChainError {
    fn from(error: crate::xml::XmlError) -> Self {
        Self::Malformed(error.to_string())
    }
}
