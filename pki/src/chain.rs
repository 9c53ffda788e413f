//! The path from a leaf to its anchor, valid at an instant.
//!
//! Owns the search and the rules of RFC 5280 that X-Road relies on: signatures, validity, basic constraints, key
//! usage, critical extensions. The anchor is taken as trusted by name and key: its own signature, validity and
//! extensions are not looked at, because global configuration vouches for it. Refuses paths longer than
//! [`MAX_PATH`] and extensions that it does not understand (name and policy constraints among them, when critical).

use crate::UnixTime;
use crate::certificate::{Certificate, CertificateError};

/// Certificates of a path without its anchor, at most.
pub const MAX_PATH: usize = 6;

/// Certificates among which intermediates are searched, at most.
pub const MAX_INTERMEDIATES: usize = 16;

/// Signatures verified in one search, at most; reached only by input made to be slow.
const MAX_CHECKS: usize = 32;

/// No path from the leaf to the anchor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// A certificate's issuer is neither the anchor nor among the intermediates.
    #[error("the issuer of {0} is neither the trusted authority nor among the certificates sent along")]
    NoIssuer(String),
    /// An issuer was found by name, but its key did not sign.
    #[error("no path to a trusted authority: {0}")]
    Signature(CertificateError),
    /// Used after its last day.
    #[error("the certificate {subject} expired at {not_after}")]
    Expired {
        /// Subject of the certificate.
        subject: String,
        /// End of its validity.
        not_after: UnixTime,
    },
    /// Used before its first day.
    #[error("the certificate {subject} is not valid before {not_before}")]
    NotYetValid {
        /// Subject of the certificate.
        subject: String,
        /// Begin of its validity.
        not_before: UnixTime,
    },
    /// An intermediate that is no authority, or that may not have so many below it.
    #[error("{0} may not issue this certificate: it is no authority, or the path below it is too long")]
    NotAuthority(String),
    /// A critical extension that is not understood.
    #[error("the certificate {subject} has the critical extension {oid}, which is not supported")]
    CriticalExtension {
        /// Subject of the certificate.
        subject: String,
        /// Dotted identifier of the extension.
        oid: String,
    },
    /// Too many certificates.
    #[error("the certificate path is too long, or too many certificates were sent along")]
    TooLong,
}

impl PathError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoIssuer(_) => "no_issuer",
            Self::Signature(_) => "path_signature",
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not_yet_valid",
            Self::NotAuthority(_) => "not_authority",
            Self::CriticalExtension { .. } => "critical_extension",
            Self::TooLong => "path_too_long",
        }
    }
}

/// Finds the path from `leaf` over `intermediates` to `anchor` and checks it at the instant `at`.
///
/// The result begins with the leaf and ends below the anchor. Intermediates that are not needed are ignored.
pub fn build_path(
    leaf: &Certificate,
    intermediates: &[Certificate],
    anchor: &Certificate,
    at: UnixTime,
) -> Result<Vec<Certificate>, PathError> {
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(PathError::TooLong);
    }
    let mut search = Search {
        intermediates,
        anchor,
        at,
        checks: 0,
        refusal: None,
    };
    let mut path = vec![leaf.clone()];
    if !search.extend(&mut path)? {
        return Err(search
            .refusal
            .unwrap_or_else(|| PathError::NoIssuer(leaf.subject().to_string())));
    }
    Ok(path)
}

struct Search<'a> {
    intermediates: &'a [Certificate],
    anchor: &'a Certificate,
    at: UnixTime,
    checks: usize,
    /// The first reason met, told when no path is found.
    refusal: Option<PathError>,
}

impl Search<'_> {
    /// Depth first; recursion is bounded by [`MAX_PATH`], work by [`MAX_CHECKS`].
    fn extend(&mut self, path: &mut Vec<Certificate>) -> Result<bool, PathError> {
        let last = path.last().expect("a path begins with its leaf").clone();
        if self.issued(&last, self.anchor)? {
            match check(path, self.at) {
                Ok(()) => return Ok(true),
                // Another issuer of the same name may still be good.
                Err(reason) => self.refusal.get_or_insert(reason),
            };
        }
        if path.len() == MAX_PATH {
            return Err(PathError::TooLong);
        }
        let mut named = false;
        for candidate in self.intermediates {
            if candidate.subject() != last.issuer() || path.contains(candidate) {
                continue;
            }
            named = true;
            if self.issued(&last, candidate)? {
                path.push(candidate.clone());
                if self.extend(path)? {
                    return Ok(true);
                }
                path.pop();
            }
        }
        if !named {
            self.refusal
                .get_or_insert_with(|| PathError::NoIssuer(last.subject().to_string()));
        }
        Ok(false)
    }

    fn issued(&mut self, certificate: &Certificate, issuer: &Certificate) -> Result<bool, PathError> {
        if certificate.issuer() != issuer.subject() {
            return Ok(false);
        }
        self.checks += 1;
        if self.checks > MAX_CHECKS {
            return Err(PathError::TooLong);
        }
        match certificate.verify_issued_by(issuer) {
            Ok(()) => Ok(true),
            Err(reason) => {
                self.refusal.get_or_insert(PathError::Signature(reason));
                Ok(false)
            }
        }
    }
}

fn check(path: &[Certificate], at: UnixTime) -> Result<(), PathError> {
    let mut authorities_below = 0;
    for (place, certificate) in path.iter().enumerate() {
        let subject = || certificate.subject().to_string();
        if at < certificate.not_before() {
            return Err(PathError::NotYetValid {
                subject: subject(),
                not_before: certificate.not_before(),
            });
        }
        if !certificate.is_valid_at(at) {
            return Err(PathError::Expired {
                subject: subject(),
                not_after: certificate.not_after(),
            });
        }
        if let Some(oid) = certificate.unknown_critical() {
            return Err(PathError::CriticalExtension {
                subject: subject(),
                oid: oid.to_owned(),
            });
        }
        if place == 0 {
            continue;
        }
        let room = certificate
            .path_len()
            .is_none_or(|most| authorities_below <= most);
        if !certificate.is_ca() || !certificate.may_sign_certificates() || !room {
            return Err(PathError::NotAuthority(subject()));
        }
        if certificate.subject() != certificate.issuer() {
            authorities_below += 1;
        }
    }
    Ok(())
}
