//! OCSP responses, parsed: the signed bytes as received, and the first answer in them.
//!
//! Owns the structure only; [`super`] judges it. X-Road looks at the first SingleResponse of a response and at no
//! other (wire 8.5), so only that one is read.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use super::{CertId, OcspError};
use crate::UnixTime;
use crate::certificate::{Certificate, Name};
use crate::crypto;
use crate::der::{self, Element, Reader, Writer};
use crate::signing::{self, SignatureAlgorithm};

pub(crate) const OID_BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 1];

/// Largest response that is read.
const MAX_RESPONSE: usize = 64 * 1024;

/// Most certificates embedded in a response.
const MAX_CERTIFICATES: usize = 8;

/// What a responder says of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertStatus {
    /// Not revoked.
    Good,
    /// Revoked, or on hold.
    Revoked {
        /// Since when.
        at: UnixTime,
    },
    /// The responder does not know it.
    Unknown,
}

/// How a response names its responder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResponderId {
    /// By the subject of its certificate.
    Name(Name),
    /// By the SHA-1 of its key.
    KeyHash(Vec<u8>),
}

impl ResponderId {
    /// True for a certificate that this may mean.
    pub fn names(&self, certificate: &Certificate) -> bool {
        match self {
            Self::Name(name) => name == certificate.subject(),
            Self::KeyHash(hash) => signing::public_key_bits(certificate.spki())
                .is_some_and(|key| crypto::sha1(key)[..] == hash[..]),
        }
    }
}

/// A response with the status "successful". Cloning is cheap.
#[derive(Clone)]
pub struct OcspResponse(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    signed: Range<usize>,
    signature: Range<usize>,
    algorithm: Result<SignatureAlgorithm, String>,
    responder: ResponderId,
    produced_at: UnixTime,
    cert_id: CertId,
    status: CertStatus,
    this_update: UnixTime,
    next_update: Option<UnixTime>,
    certificates: Vec<Certificate>,
}

impl OcspResponse {
    /// Reads a response of at most 64 KiB. Nothing is verified.
    pub fn parse(der: &[u8]) -> Result<Self, OcspError> {
        if der.len() > MAX_RESPONSE {
            return Err(OcspError::Malformed("response too large"));
        }
        let mut outer = der::only(der, der::SEQUENCE)?.contents();
        match outer.expect(der::ENUMERATED)?.value {
            [0] => {}
            &[status] => return Err(OcspError::Unsuccessful(status)),
            _ => return Err(OcspError::Malformed("status")),
        }
        let mut bytes = der::only(outer.expect(der::context(0))?.value, der::SEQUENCE)?.contents();
        outer.end()?;
        if bytes.oid()? != OID_BASIC {
            return Err(OcspError::Malformed("not a basic response"));
        }
        let basic = bytes.octet_string()?;
        bytes.end()?;
        Self::read_basic(der, der::only(basic, der::SEQUENCE)?.contents())
    }

    fn read_basic(der: &[u8], mut basic: Reader<'_>) -> Result<Self, OcspError> {
        let signed = basic.expect(der::SEQUENCE)?;
        let algorithm = basic.expect(der::SEQUENCE)?;
        let signature = basic.bit_string()?;
        let mut certificates = Vec::new();
        if let Some(sent) = basic.optional(der::context(0))? {
            let mut list = der::only(sent.value, der::SEQUENCE)?.contents();
            while !list.is_empty() {
                if certificates.len() == MAX_CERTIFICATES {
                    return Err(OcspError::Malformed("too many certificates"));
                }
                let certificate = Certificate::parse(list.expect(der::SEQUENCE)?.raw);
                certificates.push(certificate.map_err(|_| OcspError::Malformed("embedded certificate"))?);
            }
        }
        basic.end()?;

        let mut data = signed.contents();
        data.optional(der::context(0))?;
        let responder = responder_id(data.any()?)?;
        let produced_at = data.generalized_time()?;
        let mut answers = data.sequence()?;
        let mut first = answers
            .sequence()
            .map_err(|_| OcspError::Malformed("no answer in it"))?;
        let cert_id = CertId::read(first.sequence()?)?;
        let status = cert_status(first.any()?)?;
        let this_update = first.generalized_time()?;
        let next_update = match first.optional(der::context(0))? {
            Some(next) => Some(der::only(next.value, der::GENERALIZED_TIME)?.time()?),
            None => None,
        };

        let range = |part: &[u8]| {
            let start = part.as_ptr() as usize - der.as_ptr() as usize;
            start..start + part.len()
        };
        Ok(Self(Arc::new(Inner {
            signed: range(signed.raw),
            signature: range(signature),
            algorithm: read_algorithm(algorithm),
            responder,
            produced_at,
            cert_id,
            status,
            this_update,
            next_update,
            certificates,
            der: der.to_vec(),
        })))
    }

    /// The response as received.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// When the status was known to be right.
    pub fn this_update(&self) -> UnixTime {
        self.0.this_update
    }

    /// When a newer status will be there.
    pub fn next_update(&self) -> Option<UnixTime> {
        self.0.next_update
    }

    /// When the response was signed.
    pub fn produced_at(&self) -> UnixTime {
        self.0.produced_at
    }

    /// What it says; worth nothing before it is verified.
    pub fn status(&self) -> CertStatus {
        self.0.status
    }

    /// Which certificate it is about.
    pub fn cert_id(&self) -> &CertId {
        &self.0.cert_id
    }

    /// Who says so.
    pub fn responder_id(&self) -> &ResponderId {
        &self.0.responder
    }

    /// Certificates sent along.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0.certificates
    }

    pub(super) fn signed_bytes(&self) -> &[u8] {
        &self.0.der[self.0.signed.clone()]
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.0.der[self.0.signature.clone()]
    }

    /// The algorithm, or the name of one that is not accepted.
    pub(super) fn signature_algorithm(&self) -> Result<SignatureAlgorithm, String> {
        self.0.algorithm.clone()
    }
}

impl PartialEq for OcspResponse {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for OcspResponse {}

impl fmt::Debug for OcspResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OcspResponse({:?} at {})", self.status(), self.this_update())
    }
}

fn read_algorithm(identifier: Element<'_>) -> Result<SignatureAlgorithm, String> {
    match SignatureAlgorithm::read_identifier(identifier.contents()) {
        Some(algorithm) if !algorithm.is_weak() => Ok(algorithm),
        Some(weak) => Err(weak.name().to_owned()),
        None => {
            let oid = identifier.contents().oid().ok().and_then(der::oid_text);
            Err(oid.unwrap_or_else(|| "an unknown algorithm".to_owned()))
        }
    }
}

fn responder_id(element: Element<'_>) -> Result<ResponderId, OcspError> {
    const BY_NAME: u8 = der::context(1);
    const BY_KEY: u8 = der::context(2);
    match element.tag {
        BY_NAME => Ok(ResponderId::Name(Name::parse(element.value)?)),
        BY_KEY => {
            let hash = der::only(element.value, der::OCTET_STRING)?.value;
            if hash.len() != 20 {
                return Err(OcspError::Malformed("responder key hash is no SHA-1"));
            }
            Ok(ResponderId::KeyHash(hash.to_vec()))
        }
        _ => Err(OcspError::Malformed("responder identifier")),
    }
}

const GOOD: u8 = der::context_primitive(0);
const REVOKED: u8 = der::context(1);
const UNKNOWN: u8 = der::context_primitive(2);

fn cert_status(element: Element<'_>) -> Result<CertStatus, OcspError> {
    match element.tag {
        GOOD if element.value.is_empty() => Ok(CertStatus::Good),
        REVOKED => Ok(CertStatus::Revoked {
            at: element.contents().generalized_time()?,
        }),
        UNKNOWN if element.value.is_empty() => Ok(CertStatus::Unknown),
        _ => Err(OcspError::Malformed("certificate status")),
    }
}

pub(crate) fn write_status(status: CertStatus, writer: &mut Writer) {
    match status {
        CertStatus::Good => writer.element(GOOD, &[]),
        CertStatus::Revoked { at } => writer.constructed(REVOKED, |w| {
            w.generalized_time(at);
        }),
        CertStatus::Unknown => writer.element(UNKNOWN, &[]),
    };
}
