//! What the authority's services say, rightly or wrongly: faults of what is served, and OCSP responses of every kind.

use std::time::Duration;

use anyhow::Result;
use kontor_pki::authority::{CertificateAuthority, OcspResponder};
use kontor_pki::certificate::Certificate;
use kontor_pki::ocsp::CertStatus;

use crate::clock;

/// Faults of what is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// The configuration cannot be fetched.
    pub configuration_down: bool,
    /// The signature of the configuration does not fit.
    pub configuration_forged: bool,
    /// No time-stamps.
    pub tsa_down: bool,
    /// What the OCSP responder does.
    pub ocsp: Responder,
}

/// How an OCSP responder serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Responder {
    #[default]
    Answers,
    Down,
    /// It takes the question and says nothing.
    Slow,
    /// Far more than any response.
    Huge,
    /// A good response about another certificate.
    AboutAnother,
    /// A response that was changed after it was signed.
    Changed,
}

/// What an OCSP response says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OcspSays {
    /// Good, produced now.
    Good,
    /// Good, produced so long ago.
    Stale(Duration),
    /// Good, produced so far in the future.
    Future(Duration),
    Revoked,
    Unknown,
}

pub(super) fn ocsp_of(
    responder: &OcspResponder,
    ca: &CertificateAuthority,
    certificate: &Certificate,
    says: OcspSays,
) -> Result<Vec<u8>> {
    let now = clock::now();
    let (status, at) = match says {
        OcspSays::Good => (CertStatus::Good, now),
        OcspSays::Stale(age) => (CertStatus::Good, now - age),
        OcspSays::Future(ahead) => (CertStatus::Good, now + ahead),
        OcspSays::Revoked => (
            CertStatus::Revoked {
                at: now - Duration::from_secs(60),
            },
            now,
        ),
        OcspSays::Unknown => (CertStatus::Unknown, now),
    };
    // No promise of a newer one: freshness alone decides.
    Ok(responder.respond_for(certificate, ca.certificate(), status, at, None)?)
}
