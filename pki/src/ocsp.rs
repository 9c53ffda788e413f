//! OCSP: whether a certificate is still good, judged by the receiver (wire 8.5).
//!
//! Owns requests (`ocsp/request.rs`), parsing of responses (`ocsp/response.rs`) and, here, the verdict by X-Road's
//! rules with an end until which a caller may keep it. Refuses SHA-1 signatures and responses from the future; SHA-1
//! stays in CertID, where it is a look-up only. Fetching is the caller's affair.

mod request;
mod response;

pub use request::{CertId, OcspRequest, parse_request, request};
pub use response::{CertStatus, OcspResponse, ResponderId};

pub(crate) use request::OID_NONCE;
pub(crate) use response::{OID_BASIC, write_status};

use std::time::Duration;

use crate::UnixTime;
use crate::certificate::Certificate;
use crate::der::DerError;
use crate::signing::{self, SignatureInvalid};

/// A response was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OcspError {
    /// Not an OCSP response, or a request that is none.
    #[error("malformed OCSP message: {0}")]
    Malformed(&'static str),
    /// The responder answered that it cannot answer.
    #[error("the OCSP responder answered with the error status {0} instead of a response")]
    Unsuccessful(u8),
    /// The response is about another certificate, or names it by another digest than SHA-1.
    #[error("the OCSP response is not about the certificate {0}, or does not name it by SHA-1")]
    OtherCertificate(String),
    /// No certificate of the responder is known.
    #[error("the OCSP responder is not known: no certificate for it is configured or sent along")]
    UnknownResponder,
    /// The responder may not speak for this issuer.
    #[error(
        "{responder} may not answer for certificates of {issuer}; let the authority's entry in the global configuration name it"
    )]
    WrongResponder {
        /// Subject of the responder's certificate.
        responder: String,
        /// Subject of the certificate's issuer.
        issuer: String,
    },
    /// Signed with an algorithm that is unknown or too weak.
    #[error("the OCSP response is signed with {0}, which is not accepted")]
    Algorithm(String),
    /// The responder's key did not sign it.
    #[error("the OCSP response was not signed by its responder: {0}")]
    Signature(SignatureInvalid),
    /// Older than the freshness that the global configuration asks for.
    #[error("the OCSP response of {this_update} is too old")]
    Stale {
        /// When the status was known to be right.
        this_update: UnixTime,
    },
    /// A newer response should be there.
    #[error("the OCSP response was to be renewed by {next_update}")]
    Overdue {
        /// When a newer status was promised.
        next_update: UnixTime,
    },
    /// Produced later than now; some clock is wrong.
    #[error("the OCSP response of {this_update} lies in the future; check the clocks")]
    FromFuture {
        /// When the status is said to be right.
        this_update: UnixTime,
    },
    /// The certificate is revoked.
    #[error("the certificate was revoked at {at}")]
    Revoked {
        /// When it was revoked.
        at: UnixTime,
    },
    /// The responder does not know the certificate.
    #[error("the OCSP responder does not know the certificate")]
    UnknownStatus,
}

impl OcspError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "ocsp_malformed",
            Self::Unsuccessful(_) => "ocsp_unsuccessful",
            Self::OtherCertificate(_) => "ocsp_other_certificate",
            Self::UnknownResponder => "ocsp_unknown_responder",
            Self::WrongResponder { .. } => "ocsp_wrong_responder",
            Self::Algorithm(_) => "ocsp_algorithm",
            Self::Signature(_) => "ocsp_signature",
            Self::Stale { .. } => "ocsp_stale",
            Self::Overdue { .. } => "ocsp_overdue",
            Self::FromFuture { .. } => "ocsp_from_future",
            Self::Revoked { .. } => "ocsp_revoked",
            Self::UnknownStatus => "ocsp_unknown_status",
        }
    }
}

impl From<DerError> for OcspError {
    fn from(DerError(what): DerError) -> Self {
        Self::Malformed(what)
    }
}

/// Who may sign responses.
#[derive(Debug, Clone, Copy)]
pub struct Responders<'a> {
    /// The `ocsp/cert` entries **of the issuing authority**: each may answer for it. An entry of another authority must
    /// not be among them.
    pub configured: &'a [Certificate],
    /// All certificates of authorities in the global configuration, among which a responder may be found.
    pub authorities: &'a [Certificate],
}

/// How old a response may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OcspPolicy {
    /// `ocspFreshnessSeconds` of the verifier's own instance.
    pub freshness: Duration,
    /// `verifyNextUpdate` of the verifier's own instance.
    pub verify_next_update: bool,
    /// How far clocks may differ; 60 s.
    pub skew: Duration,
}

impl Default for OcspPolicy {
    /// The defaults of wire 7.10: one hour, next update verified; 60 s of skew.
    fn default() -> Self {
        Self {
            freshness: Duration::from_secs(3600),
            verify_next_update: true,
            skew: Duration::from_secs(60),
        }
    }
}

/// The certificate is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OcspVerdict {
    /// When the status was known to be right.
    pub this_update: UnixTime,
    /// Last instant at which the same verdict may be used, by the policy it was made with.
    pub good_until: UnixTime,
}

impl OcspResponse {
    /// Judges whether the response shows that `subject`, issued by `issuer`, is good at the instant `at`: now for
    /// transport and messages, the time-stamp's instant for containers (wire 8.5).
    pub fn verify(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        responders: &Responders<'_>,
        policy: &OcspPolicy,
        at: UnixTime,
    ) -> Result<OcspVerdict, OcspError> {
        if *self.cert_id() != CertId::of(subject, issuer) {
            return Err(OcspError::OtherCertificate(subject.subject().to_string()));
        }
        self.verify_responder(issuer, responders)?;
        let verdict = self.judge_time(policy, at)?;
        match self.status() {
            CertStatus::Good => Ok(verdict),
            CertStatus::Revoked { at } => Err(OcspError::Revoked { at }),
            CertStatus::Unknown => Err(OcspError::UnknownStatus),
        }
    }

    /// Finds the responder by name or key hash, checks its signature and that it may speak for the issuer. The validity
    /// period of its certificate is not looked at, as in X-Road: configuration or issuer vouch for it.
    fn verify_responder(&self, issuer: &Certificate, responders: &Responders<'_>) -> Result<(), OcspError> {
        let algorithm = self.signature_algorithm().map_err(OcspError::Algorithm)?;
        let candidates = responders
            .configured
            .iter()
            .chain(std::iter::once(issuer))
            .chain(responders.authorities)
            .chain(self.certificates());
        let mut refusal = OcspError::UnknownResponder;
        for candidate in candidates.filter(|candidate| self.responder_id().names(candidate)) {
            let spki = candidate.spki();
            if let Err(reason) =
                signing::verify_signature(algorithm, spki, self.signed_bytes(), self.signature())
            {
                refusal = OcspError::Signature(reason);
                continue;
            }
            let authorised = responders.configured.contains(candidate)
                || candidate == issuer
                || (candidate.has_ocsp_signing() && candidate.verify_issued_by(issuer).is_ok());
            if authorised {
                return Ok(());
            }
            refusal = OcspError::WrongResponder {
                responder: candidate.subject().to_string(),
                issuer: issuer.subject().to_string(),
            };
        }
        Err(refusal)
    }

    fn judge_time(&self, policy: &OcspPolicy, at: UnixTime) -> Result<OcspVerdict, OcspError> {
        let this_update = self.this_update();
        if this_update.max(self.produced_at()) > at + policy.skew {
            return Err(OcspError::FromFuture { this_update });
        }
        let mut good_until = this_update + policy.freshness;
        if good_until < at {
            return Err(OcspError::Stale { this_update });
        }
        if let Some(next_update) = self.next_update().filter(|_| policy.verify_next_update) {
            if next_update < at {
                return Err(OcspError::Overdue { next_update });
            }
            good_until = good_until.min(next_update);
        }
        Ok(OcspVerdict {
            this_update,
            good_until,
        })
    }
}

#[cfg(test)]
mod tests;
