//! The OCSP responder: signs what the caller says of certificates.
//!
//! Owns the bytes of responses. Refuses nothing but requests it cannot read, and says so in OCSP's own way.

use std::sync::Arc;
use std::time::Duration;

use super::AuthorityError;
use crate::UnixTime;
use crate::certificate::Certificate;
use crate::crypto;
use crate::der::{self, Writer};
use crate::ocsp::{CertId, CertStatus, OID_BASIC, OID_NONCE, parse_request, write_status};
use crate::signing::{self, SignatureAlgorithm, SigningKey};

/// One answer of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspAnswer {
    /// Which certificate.
    pub cert_id: CertId,
    /// What is said of it.
    pub status: CertStatus,
    /// When that was known to be right; whole seconds.
    pub this_update: UnixTime,
    /// When a newer answer will be there.
    pub next_update: Option<UnixTime>,
}

/// A responder with its key.
pub struct OcspResponder {
    certificate: Certificate,
    key: Arc<dyn SigningKey>,
    validity: Duration,
}

impl OcspResponder {
    /// A responder with this certificate, that of the authority itself or one issued by it; answers promise a newer one
    /// after `validity`.
    pub fn new(
        certificate: Certificate,
        key: Arc<dyn SigningKey>,
        validity: Duration,
    ) -> Result<Self, AuthorityError> {
        if certificate.spki() != key.public_key() {
            return Err(AuthorityError::Parts("the key is not that of the certificate"));
        }
        Ok(Self {
            certificate,
            key,
            validity,
        })
    }

    /// The responder's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Answers a request at the instant `now` with what `lookup` says; a request that cannot be read gets OCSP's
    /// "malformedRequest", a failure to sign "internalError".
    pub fn respond(&self, request: &[u8], now: UnixTime, lookup: &dyn Fn(&CertId) -> CertStatus) -> Vec<u8> {
        const MALFORMED_REQUEST: u8 = 1;
        const INTERNAL_ERROR: u8 = 2;
        const UNAUTHORIZED: u8 = 6;
        let Ok(request) = parse_request(request) else {
            return failure(MALFORMED_REQUEST);
        };
        if request.ids.iter().any(|id| id.digest.is_none()) {
            return failure(UNAUTHORIZED);
        }
        let answers: Vec<OcspAnswer> = request
            .ids
            .into_iter()
            .map(|cert_id| OcspAnswer {
                status: lookup(&cert_id),
                cert_id,
                this_update: now,
                next_update: Some(now + self.validity),
            })
            .collect();
        self.sign(&answers, now, request.nonce.as_deref())
            .unwrap_or_else(|_| failure(INTERNAL_ERROR))
    }

    /// A response about one certificate, produced at `this_update`.
    pub fn respond_for(
        &self,
        subject: &Certificate,
        issuer: &Certificate,
        status: CertStatus,
        this_update: UnixTime,
        next_update: Option<UnixTime>,
    ) -> Result<Vec<u8>, AuthorityError> {
        let cert_id = CertId::of(subject, issuer);
        self.sign(
            &[OcspAnswer {
                cert_id,
                status,
                this_update,
                next_update,
            }],
            this_update,
            None,
        )
    }

    /// Signs any answers, in this order: X-Road looks at the first one only.
    pub fn sign(
        &self,
        answers: &[OcspAnswer],
        produced_at: UnixTime,
        nonce: Option<&[u8]>,
    ) -> Result<Vec<u8>, AuthorityError> {
        let key_hash = crypto::sha1(signing::public_key_bits(self.certificate.spki()).unwrap_or_default());
        let data = der::sequence(|w| {
            w.constructed(der::context(2), |w| {
                w.octet_string(&key_hash);
            });
            w.generalized_time(produced_at);
            w.sequence(|w| {
                for answer in answers {
                    write_answer(answer, w);
                }
            });
            if let Some(nonce) = nonce {
                w.constructed(der::context(1), |w| {
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.oid(OID_NONCE).octet_string(nonce);
                        });
                    });
                });
            }
        });
        let algorithm = self.key.key_algorithm().message_algorithm();
        let signature = self.key.sign(algorithm, &data)?;
        Ok(self.wrap(&data, algorithm, &signature))
    }

    fn wrap(&self, data: &[u8], algorithm: SignatureAlgorithm, signature: &[u8]) -> Vec<u8> {
        let basic = der::sequence(|w| {
            w.raw(data);
            algorithm.write_identifier(w);
            w.bit_string(signature);
            w.constructed(der::context(0), |w| {
                w.sequence(|w| {
                    w.raw(self.certificate.der());
                });
            });
        });
        der::sequence(|w| {
            w.element(der::ENUMERATED, &[0]);
            w.constructed(der::context(0), |w| {
                w.sequence(|w| {
                    w.oid(OID_BASIC).octet_string(&basic);
                });
            });
        })
    }
}

impl std::fmt::Debug for OcspResponder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OcspResponder({})", self.certificate.subject())
    }
}

fn write_answer(answer: &OcspAnswer, writer: &mut Writer) {
    writer.sequence(|w| {
        answer.cert_id.write(w);
        write_status(answer.status, w);
        w.generalized_time(answer.this_update);
        if let Some(next) = answer.next_update {
            w.constructed(der::context(0), |w| {
                w.generalized_time(next);
            });
        }
    });
}

fn failure(status: u8) -> Vec<u8> {
    der::sequence(|w| {
        w.element(der::ENUMERATED, &[status]);
    })
}
