//! The authorities of a small or test federation, without I/O: certification, OCSP and time-stamps.
//!
//! Owns what goes into certificates, OCSP responses and tokens. Every answer is a function of the request, the
//! keys and the instant that the caller names; random serial numbers apart. Refuses to issue test certificates
//! without their mark: what a test authority issues carries `OU=TEST` in subject and issuer, so that nodes in
//! production mode refuse it.

mod ca;
mod ocsp;
mod tsa;

pub use ca::{CaParams, CertificateAuthority, Leaf, Usage, Validity};
pub use ocsp::{OcspAnswer, OcspResponder};
pub use tsa::TimestampAuthority;

use crate::signing::SigningError;

/// An authority could not be set up, or could not issue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// Key generation or signing failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The certificate given is no authority, or not that of the key.
    #[error("the authority's certificate and key do not fit: {0}")]
    Parts(&'static str),
    /// The public key is none that may be certified.
    #[error("the public key is neither ECDSA P-256, P-384 nor RSA of at least 2048 bits")]
    PublicKey,
    /// A subject names an attribute twice; in test mode `OU` is the authority's.
    #[error("the subject has the same attribute twice, or an OU of its own under a test authority")]
    Subject,
    /// Dates out of range, or an end before the begin.
    #[error("the period of validity is not usable")]
    Validity,
    /// The library refused, for example a host name that is none.
    #[error("the certificate cannot be written: {0}")]
    Refused(String),
}

impl AuthorityError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Signing(_) => "authority_signing",
            Self::Parts(_) => "authority_parts",
            Self::PublicKey => "authority_public_key",
            Self::Subject => "authority_subject",
            Self::Validity => "authority_validity",
            Self::Refused(_) => "authority_refused",
        }
    }
}
