//! Whether a message or a peer may be believed: the only way from received to verified (wire 3.3, 3.7, 4.7).
//!
//! Owns verdicts that are values with an end. [`DocumentVerdict`] is about a signature document and the same for all
//! messages of its batch: keep it under the digest of the document's octets, the expected signer and
//! [`TrustSet::generation`](crate::trust::TrustSet::generation), until `valid_until`. What differs from message to
//! message is [`DocumentVerdict::covers`]. [`SignerVerdict`] is the part of it that all documents of a signer share,
//! until its OCSP response is renewed. [`PeerVerdict`] is about the certificates of a TLS peer and its client or
//! service, to be judged per request, not per handshake.
//!
//! Closes what Java leaves open (wire 4.7): exactly the received parts must be covered, no more and no fewer.
//! Knows no clock; whether the own configuration has expired is asked elsewhere.

mod document;
mod peer;
#[cfg(test)]
mod tests;

pub use document::{DocumentVerdict, SignerVerdict, verify_document, verify_signer};
pub use peer::{PeerRole, PeerVerdict, verify_peer};

use kontor_pki::certificate::Certificate;
use kontor_pki::chain::PathError;
use kontor_pki::ocsp::{OcspError, OcspPolicy, OcspResponse, OcspVerdict, Responders};
use kontor_pki::time::UnixTime;

use crate::fault::{Fault, FaultCode};
use crate::hash_chain::ChainError;
use crate::id::MemberId;
use crate::signature::SignatureError;
use crate::trust::{CaEntry, TrustSet};

/// Why a signature is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The document does not hold together.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The hash chain does not lead from the received parts to what is signed.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// A part was received that the signature does not refer to.
    #[error("{0} is not covered by the signature")]
    NotCovered(String),
    /// The signature refers to a part that was not received.
    #[error("the signature covers {0}, which was not received")]
    NotReceived(String),
    /// A part has another digest than the one signed.
    #[error("{0} is not what was signed")]
    OtherDigest(String),
    /// A part is referenced by a digest that cannot be compared with that of the received part.
    #[error("{0} is signed by a digest other than SHA-512")]
    OtherAlgorithm(String),
    /// A hash chain was received that the signature does not refer to.
    #[error("the message has a hash chain that its signature does not refer to")]
    ChainNotReferenced,
    /// The signature refers to a hash chain, but none was received.
    #[error("the signature refers to a hash chain that was not received")]
    ChainMissing,
    /// The certificate is not for signing.
    #[error("the certificate of {0} is not for signing: its key usage lacks contentCommitment")]
    Usage(String),
    /// No authority of the signer's instance has the name of the certificate's issuer.
    #[error(
        "the certificate of {subject} was issued by {issuer}, which is no approved authority of {instance}"
    )]
    UnknownIssuer {
        /// Subject of the certificate.
        subject: String,
        /// Its issuer.
        issuer: String,
        /// The instance of the expected signer.
        instance: String,
    },
    /// The authority is approved for authentication certificates only.
    #[error("the authority {0} may not issue signing certificates")]
    AuthenticationOnly(String),
    /// The authority's certificate profile is not built in: nobody can say for whom its certificates speak.
    #[error("the authority {authority} has the certificate profile {profile}, which is not built in")]
    UnknownProfile {
        /// Name of the authority.
        authority: String,
        /// Java class of the profile.
        profile: String,
    },
    /// The certificate speaks for nobody, or for somebody else.
    #[error("the signature is not by {expected}: {reason}")]
    Signer {
        /// The member that should have signed.
        expected: MemberId,
        /// What the certificate says instead.
        reason: String,
    },
    /// No valid path from the certificate to its authority.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No OCSP response is about a certificate of the path.
    #[error("the signature has no OCSP response about {0}")]
    OcspMissing(String),
    /// The OCSP response is not accepted.
    #[error(transparent)]
    Ocsp(#[from] OcspError),
}

impl VerifyError {
    /// The code of wire 10.2.
    #[must_use]
    pub const fn code(&self) -> FaultCode {
        match self {
            Self::Signature(error) => error.code(),
            Self::Chain(error) => error.code(),
            Self::NotCovered(_)
            | Self::ChainNotReferenced
            | Self::ChainMissing
            | Self::OtherAlgorithm(_)
            | Self::Usage(_) => FaultCode::MalformedSignature,
            Self::NotReceived(_) => FaultCode::InvalidReference,
            Self::OtherDigest(_) => FaultCode::InvalidSignatureValue,
            Self::UnknownIssuer { .. } | Self::AuthenticationOnly(_) | Self::Path(_) => {
                FaultCode::CannotCreateCertPath
            }
            Self::Signer { .. } | Self::UnknownProfile { .. } => FaultCode::IncorrectCertificate,
            Self::OcspMissing(_) => FaultCode::CertValidation,
            Self::Ocsp(error) => ocsp_code(error),
        }
    }

    /// The fault for the peer, with the prefixes that Java gives it, but for the side (wire 4.7, 10.1).
    #[must_use]
    pub fn fault(&self) -> Fault {
        let fault = Fault::new(self.code(), self.to_string());
        let fault = match self {
            Self::Chain(_) => fault.within(FaultCode::MalformedSignature),
            Self::Ocsp(OcspError::Malformed(_) | OcspError::Unsuccessful(_)) => fault,
            Self::Ocsp(_) | Self::OcspMissing(_) => fault.within(FaultCode::InvalidCertPath),
            Self::Signature(_)
            | Self::NotCovered(_)
            | Self::NotReceived(_)
            | Self::OtherDigest(_)
            | Self::OtherAlgorithm(_)
            | Self::ChainNotReferenced
            | Self::ChainMissing
            | Self::Usage(_)
            | Self::UnknownIssuer { .. }
            | Self::AuthenticationOnly(_)
            | Self::Signer { .. }
            | Self::UnknownProfile { .. }
            | Self::Path(_) => fault,
        };
        fault.within(FaultCode::SignatureVerification)
    }
}

impl From<VerifyError> for Fault {
    fn from(error: VerifyError) -> Self {
        error.fault()
    }
}

/// The code of an OCSP refusal (wire 8.5).
const fn ocsp_code(error: &OcspError) -> FaultCode {
    match error {
        OcspError::Malformed(_) | OcspError::Unsuccessful(_) => FaultCode::MalformedSignature,
        OcspError::Revoked { .. } | OcspError::UnknownStatus => FaultCode::CertValidation,
        OcspError::OtherCertificate(_)
        | OcspError::UnknownResponder
        | OcspError::WrongResponder { .. }
        | OcspError::Algorithm(_)
        | OcspError::Signature(_)
        | OcspError::Stale { .. }
        | OcspError::Overdue { .. }
        | OcspError::FromFuture { .. } => FaultCode::IncorrectValidationInfo,
    }
}

/// No OCSP response shows that a certificate of a path is good.
enum NotGood {
    /// None is about this certificate.
    Missing(String),
    /// The one about it is not accepted.
    Refused(OcspError),
}

/// Judges every certificate of a path, leaf first, by the responses at hand. The end is the earliest of all; the
/// verdict returned with it is the leaf's.
fn judge_path(
    trust: &TrustSet,
    instance: &str,
    path: &[Certificate],
    anchor: &CaEntry,
    responses: &[OcspResponse],
    policy: &OcspPolicy,
    at: UnixTime,
) -> Result<(OcspVerdict, UnixTime), NotGood> {
    let mut valid_until = UnixTime::from_millis(i64::MAX);
    let mut of_leaf = None;
    for (number, subject) in path.iter().enumerate() {
        let issuer = path.get(number + 1).unwrap_or(&anchor.certificate);
        // An intermediate that was sent along may be known to the configuration, with responders of its own.
        let entry = if number + 1 == path.len() {
            Some(anchor)
        } else {
            trust
                .authorities_of(instance)
                .iter()
                .find(|entry| entry.certificate == *issuer)
        };
        let responders = match entry {
            Some(entry) => trust.responders_for(entry),
            None => Responders {
                configured: &[],
                authorities: trust.ca_certificates(),
            },
        };
        let verdict = judge_one(subject, issuer, &responders, responses, policy, at)?;
        valid_until = valid_until.min(verdict.good_until).min(subject.not_after());
        of_leaf.get_or_insert(verdict);
    }
    of_leaf
        .map(|verdict| (verdict, valid_until))
        .ok_or_else(|| NotGood::Missing(anchor.certificate.subject().to_string()))
}

fn judge_one(
    subject: &Certificate,
    issuer: &Certificate,
    responders: &Responders<'_>,
    responses: &[OcspResponse],
    policy: &OcspPolicy,
    at: UnixTime,
) -> Result<OcspVerdict, NotGood> {
    let mut refusal = None;
    for response in responses {
        match response.verify(subject, issuer, responders, policy, at) {
            Ok(verdict) => return Ok(verdict),
            Err(OcspError::OtherCertificate(_)) => {}
            // A revocation says more than a stale response beside it.
            Err(error) if matches!(error, OcspError::Revoked { .. }) => return Err(NotGood::Refused(error)),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(match refusal {
        Some(error) => NotGood::Refused(error),
        None => NotGood::Missing(subject.subject().to_string()),
    })
}

/// Java treats a certificate without the extension as an error of its own; for us it is not for signing either.
fn is_for_signing(certificate: &Certificate) -> bool {
    certificate.is_signing().unwrap_or(false)
}
