//! OCSP requests: unsigned, one certificate, named by SHA-1 (wire 8.5).
//!
//! Owns CertID and both directions of a request, for the node and for the authority of a test federation. Refuses
//! requests above [`MAX_REQUEST`] and lists above [`MAX_IDS`].

use super::OcspError;
use crate::certificate::Certificate;
use crate::crypto::{self, DigestAlgorithm};
use crate::der::{self, Reader, Writer};
use crate::signing::{self, read_digest_identifier, write_digest_identifier};

pub(crate) const OID_NONCE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 48, 1, 2];

/// Largest request that is read.
const MAX_REQUEST: usize = 16 * 1024;

/// Most certificates in one request that is read.
const MAX_IDS: usize = 16;

/// Longest serial number and digest.
const MAX_FIELD: usize = 64;

/// Longest nonce (RFC 8954 allows 32 bytes).
const MAX_NONCE: usize = 128;

/// How OCSP names a certificate: its issuer's name and key by digest, and its serial number.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertId {
    /// The digest of name and key; `None` for one that is not known here.
    pub digest: Option<DigestAlgorithm>,
    /// Digest of the issuer's encoded name.
    pub issuer_name_hash: Vec<u8>,
    /// Digest of the issuer's key, without its algorithm.
    pub issuer_key_hash: Vec<u8>,
    /// Serial number as encoded.
    pub serial: Vec<u8>,
}

impl CertId {
    /// The CertID of `subject` with SHA-1, the only one that X-Road understands.
    pub fn of(subject: &Certificate, issuer: &Certificate) -> Self {
        Self {
            digest: Some(DigestAlgorithm::Sha1),
            issuer_name_hash: crypto::sha1(issuer.subject().der()).to_vec(),
            issuer_key_hash: crypto::sha1(issuer_key(issuer)).to_vec(),
            serial: subject.serial().to_vec(),
        }
    }

    /// The CertID with SHA-256, which X-Road does not understand: for tests of the refusal.
    pub fn sha256_of(subject: &Certificate, issuer: &Certificate) -> Self {
        Self {
            digest: Some(DigestAlgorithm::Sha256),
            issuer_name_hash: crypto::sha256(issuer.subject().der()).to_vec(),
            issuer_key_hash: crypto::sha256(issuer_key(issuer)).to_vec(),
            serial: subject.serial().to_vec(),
        }
    }

    pub(crate) fn read(mut fields: Reader<'_>) -> Result<Self, OcspError> {
        let id = Self {
            digest: read_digest_identifier(&mut fields)?,
            issuer_name_hash: fields.octet_string()?.to_vec(),
            issuer_key_hash: fields.octet_string()?.to_vec(),
            serial: fields.integer()?.to_vec(),
        };
        fields.end()?;
        let longest = id
            .issuer_name_hash
            .len()
            .max(id.issuer_key_hash.len())
            .max(id.serial.len());
        if longest > MAX_FIELD {
            return Err(OcspError::Malformed("CertID too long"));
        }
        Ok(id)
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.sequence(|w| {
            write_digest_identifier(self.digest.unwrap_or(DigestAlgorithm::Sha1), w);
            w.octet_string(&self.issuer_name_hash);
            w.octet_string(&self.issuer_key_hash);
            w.element(der::INTEGER, &self.serial);
        });
    }
}

fn issuer_key(issuer: &Certificate) -> &[u8] {
    signing::public_key_bits(issuer.spki()).unwrap_or_default()
}

/// The request for the status of `subject`, as DER: unsigned, without nonce.
pub fn request(subject: &Certificate, issuer: &Certificate) -> Vec<u8> {
    der::sequence(|request| {
        request.sequence(|tbs| {
            tbs.sequence(|list| {
                list.sequence(|entry| CertId::of(subject, issuer).write(entry));
            });
        });
    })
}

/// A request as an authority reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspRequest {
    /// The certificates asked about, in order; at least one.
    pub ids: Vec<CertId>,
    /// The value of the nonce extension, to be returned as it is.
    pub nonce: Option<Vec<u8>>,
}

/// Reads a request; a signature on it is not looked at.
pub fn parse_request(der: &[u8]) -> Result<OcspRequest, OcspError> {
    if der.len() > MAX_REQUEST {
        return Err(OcspError::Malformed("request too large"));
    }
    let mut tbs = der::only(der, der::SEQUENCE)?.contents().sequence()?;
    tbs.optional(der::context(0))?;
    tbs.optional(der::context(1))?;
    let mut list = tbs.sequence()?;
    let mut ids = Vec::new();
    while !list.is_empty() {
        if ids.len() == MAX_IDS {
            return Err(OcspError::Malformed("request for too many certificates"));
        }
        ids.push(CertId::read(list.sequence()?.sequence()?)?);
    }
    if ids.is_empty() {
        return Err(OcspError::Malformed("request for no certificate"));
    }
    let mut nonce = None;
    if let Some(extensions) = tbs.optional(der::context(2))? {
        let mut extensions = extensions.contents().sequence()?;
        while !extensions.is_empty() {
            let mut extension = extensions.sequence()?;
            let oid = extension.oid()?;
            extension.optional(der::BOOLEAN)?;
            let value = extension.octet_string()?;
            if oid == OID_NONCE && value.len() <= MAX_NONCE {
                nonce = Some(value.to_vec());
            }
        }
    }
    Ok(OcspRequest { ids, nonce })
}
