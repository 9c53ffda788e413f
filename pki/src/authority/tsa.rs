//! The time-stamp authority: answers queries with tokens of the instant it is told.
//!
//! Owns the bytes of tokens: one signer, signing-certificate attribute of the second version, the certificate only
//! where the query asks for it. Refuses SHA-1 imprints and foreign policies, in RFC 3161's own way.

use std::sync::Arc;

use super::AuthorityError;
use crate::UnixTime;
use crate::certificate::Certificate;
use crate::crypto::{self, DigestAlgorithm};
use crate::der::{self, Writer};
use crate::signing::{SigningError, SigningKey, write_digest_identifier};
use crate::timestamp::{
    OID_CONTENT_TYPE, OID_MESSAGE_DIGEST, OID_SIGNED_DATA, OID_SIGNING_CERTIFICATE_V2, OID_TST_INFO,
    TimestampError, TimestampQuery, parse_query,
};

/// Policy of our tokens, which promises nothing: 2.25.205414141300274538210335058872892685207 (the UUID 9a895317-38a7-45f2-a727-b131a7e47b97).
const POLICY: &[u8] = &[
    0x69, 0x82, 0xb5, 0x89, 0xa9, 0xc5, 0xe7, 0x8a, 0xba, 0x97, 0xe5, 0xa7, 0x93, 0xec, 0xa6, 0x9a, 0xbf,
    0x91, 0xf7, 0x17,
];

/// PKIFailureInfo of RFC 3161, by bit.
#[derive(Clone, Copy)]
enum Failure {
    BadAlgorithm = 0,
    BadDataFormat = 5,
    UnacceptedPolicy = 15,
    System = 25,
}

/// A time-stamp authority with its key.
pub struct TimestampAuthority {
    certificate: Certificate,
    key: Arc<dyn SigningKey>,
}

impl TimestampAuthority {
    /// An authority with this certificate, made by `CertificateAuthority::issue_tsa`.
    pub fn new(certificate: Certificate, key: Arc<dyn SigningKey>) -> Result<Self, AuthorityError> {
        if certificate.spki() != key.public_key() {
            return Err(AuthorityError::Parts("the key is not that of the certificate"));
        }
        if !certificate.has_time_stamping() {
            return Err(AuthorityError::Parts("the certificate is not for time-stamps"));
        }
        Ok(Self { certificate, key })
    }

    /// The authority's certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Answers a query: a token of the instant `now` with this serial number, never to be given twice, or a refusal.
    pub fn respond(&self, query: &[u8], now: UnixTime, serial: u64) -> Vec<u8> {
        let query = match parse_query(query) {
            Ok(query) => query,
            Err(TimestampError::Algorithm(_)) => return refusal(Failure::BadAlgorithm),
            Err(_) => return refusal(Failure::BadDataFormat),
        };
        if query.imprint.0.is_weak() {
            return refusal(Failure::BadAlgorithm);
        }
        if query.policy.as_deref().is_some_and(|policy| policy != POLICY) {
            return refusal(Failure::UnacceptedPolicy);
        }
        match self.token(&query, now, serial) {
            Ok(token) => der::sequence(|w| {
                w.sequence(|w| {
                    w.integer(0);
                });
                w.raw(&token);
            }),
            Err(_) => refusal(Failure::System),
        }
    }

    fn token(&self, query: &TimestampQuery, now: UnixTime, serial: u64) -> Result<Vec<u8>, SigningError> {
        let algorithm = self.key.key_algorithm().message_algorithm();
        let digest = algorithm.digest();
        let info = info(query, now, serial);
        let mut attributes = [
            attribute(OID_CONTENT_TYPE, |w| {
                w.oid(OID_TST_INFO);
            }),
            attribute(OID_MESSAGE_DIGEST, |w| {
                w.octet_string(&crypto::digest(digest, &info).unwrap_or_default());
            }),
            attribute(OID_SIGNING_CERTIFICATE_V2, |w| {
                // SHA-256 is the default of ESSCertIDv2 and therefore not written.
                w.sequence(|w| {
                    w.sequence(|w| {
                        w.sequence(|w| {
                            w.octet_string(&self.certificate.sha256());
                        });
                    });
                });
            }),
        ];
        // DER sorts the elements of a SET OF.
        attributes.sort();
        let attributes = attributes.concat();
        let mut signed = Writer::new();
        signed.element(der::SET, &attributes);
        let signature = self.key.sign(algorithm, &signed.finish())?;

        Ok(der::sequence(|w| {
            w.oid(OID_SIGNED_DATA);
            w.constructed(der::context(0), |w| {
                w.sequence(|w| {
                    w.integer(3);
                    w.constructed(der::SET, |w| write_digest_identifier(digest, w));
                    w.sequence(|w| {
                        w.oid(OID_TST_INFO);
                        w.constructed(der::context(0), |w| {
                            w.octet_string(&info);
                        });
                    });
                    if query.certificate_requested {
                        w.element(der::context(0), self.certificate.der());
                    }
                    w.constructed(der::SET, |w| {
                        w.sequence(|w| {
                            w.integer(1);
                            w.sequence(|w| {
                                w.raw(self.certificate.issuer().der());
                                w.element(der::INTEGER, self.certificate.serial());
                            });
                            write_digest_identifier(digest, w);
                            w.element(der::context(0), &attributes);
                            algorithm.write_identifier(w);
                            w.octet_string(&signature);
                        });
                    });
                });
            });
        }))
    }
}

impl std::fmt::Debug for TimestampAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TimestampAuthority({})", self.certificate.subject())
    }
}

fn info(query: &TimestampQuery, now: UnixTime, serial: u64) -> Vec<u8> {
    let (algorithm, imprint): &(DigestAlgorithm, Vec<u8>) = &query.imprint;
    der::sequence(|w| {
        w.integer(1);
        w.oid(POLICY);
        w.sequence(|w| {
            write_digest_identifier(*algorithm, w);
            w.octet_string(imprint);
        });
        w.unsigned(&serial.to_be_bytes());
        w.generalized_time_millis(now);
        if let Some(nonce) = &query.nonce {
            w.element(der::INTEGER, nonce);
        }
    })
}

fn attribute(oid: &[u8], value: impl FnOnce(&mut Writer)) -> Vec<u8> {
    der::sequence(|w| {
        w.oid(oid);
        w.constructed(der::SET, value);
    })
}

fn refusal(failure: Failure) -> Vec<u8> {
    const REJECTION: u32 = 2;
    let bit = failure as u8;
    // A named bit string ends with its last bit that is set.
    let mut bits = vec![7 - bit % 8];
    bits.resize(usize::from(bit / 8) + 1, 0);
    bits.push(0x80 >> (bit % 8));
    der::sequence(|w| {
        w.sequence(|w| {
            w.integer(REJECTION);
            w.element(der::BIT_STRING, &bits);
        });
    })
}
