//! Certificate signing requests (PKCS#10): written for our keys, read for our authority.
//!
//! Owns the bridge from our subjects and signing keys to rcgen, which writes requests here and certificates in
//! [`crate::authority`]. Refuses requests that are not signed by the key they carry. Extensions asked for by a
//! request are not looked at: the authority decides what a certificate may be used for.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue};

use crate::certificate::{Attribute, Name, pem};
use crate::der::{self, DerError};
use crate::profile::Subject;
use crate::signing::{self, KeyAlgorithm, SignatureAlgorithm, SignatureInvalid, SigningKey};

/// Largest request that is read.
const MAX_REQUEST: usize = 32 * 1024;

const LABEL: &str = "CERTIFICATE REQUEST";

/// A request could not be written or read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Not a PKCS#10 request.
    #[error("malformed certificate request: {0}")]
    Malformed(&'static str),
    /// Not signed by its own key.
    #[error("the certificate request is not signed by the key in it: {0}")]
    Signature(SignatureInvalid),
    /// Signed with SHA-1 or an unknown algorithm.
    #[error("the certificate request is signed with an algorithm that is not accepted")]
    Algorithm,
    /// The library refused, for example a host name that is none.
    #[error("the certificate request cannot be written: {0}")]
    Refused(String),
}

impl RequestError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "request_malformed",
            Self::Signature(_) => "request_signature",
            Self::Algorithm => "request_algorithm",
            Self::Refused(_) => "request_refused",
        }
    }
}

impl From<DerError> for RequestError {
    fn from(DerError(what): DerError) -> Self {
        Self::Malformed(what)
    }
}

/// A certificate signing request whose signature was checked.
#[derive(Clone, PartialEq, Eq)]
pub struct CertificateRequest {
    der: Vec<u8>,
    subject: Name,
    spki: Vec<u8>,
}

impl CertificateRequest {
    /// Writes a request for `key`, with host names for an authentication certificate.
    pub fn write(
        subject: &Subject,
        dns_names: &[String],
        key: &dyn SigningKey,
    ) -> Result<Self, RequestError> {
        let refused = |error: rcgen::Error| RequestError::Refused(error.to_string());
        let mut params = CertificateParams::new(dns_names).map_err(refused)?;
        params.distinguished_name = distinguished_name(subject);
        let bridge = Bridge::new(key).ok_or(RequestError::Algorithm)?;
        let request = params.serialize_request(&bridge).map_err(refused)?;
        Self::parse(request.der())
    }

    /// Reads a request and checks that the key in it has signed it.
    pub fn parse(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST {
            return Err(RequestError::Malformed("larger than 32 KiB"));
        }
        let mut outer = der::only(der, der::SEQUENCE)?.contents();
        let info = outer.expect(der::SEQUENCE)?;
        let algorithm = outer.expect(der::SEQUENCE)?;
        let signature = outer.bit_string()?;
        outer.end()?;
        let mut fields = info.contents();
        if fields.small_integer()? != 0 {
            return Err(RequestError::Malformed("version"));
        }
        let subject = Name::parse(fields.expect(der::SEQUENCE)?.raw)?;
        let spki = fields.expect(der::SEQUENCE)?.raw;
        let algorithm = SignatureAlgorithm::read_identifier(algorithm.contents())
            .filter(|algorithm| !algorithm.is_weak())
            .ok_or(RequestError::Algorithm)?;
        signing::verify_signature(algorithm, spki, info.raw, signature).map_err(RequestError::Signature)?;
        Ok(Self {
            der: der.to_vec(),
            subject,
            spki: spki.to_vec(),
        })
    }

    /// Reads a request in PEM.
    pub fn parse_pem(text: &str) -> Result<Self, RequestError> {
        let malformed = RequestError::Malformed("not PEM of a certificate request");
        let block = text
            .split_once("-----BEGIN CERTIFICATE REQUEST-----")
            .and_then(|(_, after)| after.split_once("-----END CERTIFICATE REQUEST-----"))
            .ok_or(malformed.clone())?
            .0;
        if block.len() > 2 * MAX_REQUEST {
            return Err(RequestError::Malformed("larger than 32 KiB"));
        }
        let block: String = block.split_ascii_whitespace().collect();
        Self::parse(&STANDARD.decode(block).map_err(|_| malformed)?)
    }

    /// The request as received or written.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The request as PEM.
    pub fn to_pem(&self) -> String {
        pem(LABEL, &self.der)
    }

    /// The subject asked for.
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// The key, as SubjectPublicKeyInfo.
    pub fn public_key(&self) -> &[u8] {
        &self.spki
    }
}

impl fmt::Debug for CertificateRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificateRequest({})", self.subject)
    }
}

/// A subject in rcgen's terms. `C` and `serialNumber` are PrintableString where their text allows, as RFC 5280 wants
/// them; an instance identifier that does not fit becomes UTF8String like all others.
pub(crate) fn distinguished_name(subject: &Subject) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (attribute, value) in &subject.0 {
        let value = match attribute {
            Attribute::Country | Attribute::SerialNumber => match value.as_str().try_into() {
                Ok(printable) => DnValue::PrintableString(printable),
                Err(_) => DnValue::Utf8String(value.clone()),
            },
            Attribute::CommonName
            | Attribute::Organization
            | Attribute::OrganizationalUnit
            | Attribute::BusinessCategory
            | Attribute::OrganizationIdentifier => DnValue::Utf8String(value.clone()),
        };
        name.push(DnType::from_oid(&attribute.oid()), value);
    }
    name
}

/// A public key, and the key that signs where there is one, as rcgen wants them.
pub(crate) struct Bridge<'a> {
    bits: &'a [u8],
    kind: KeyAlgorithm,
    key: Option<&'a dyn SigningKey>,
}

impl<'a> Bridge<'a> {
    pub(crate) fn new(key: &'a dyn SigningKey) -> Option<Self> {
        Some(Self {
            key: Some(key),
            ..Self::public(key.public_key())?
        })
    }

    /// `None` for a key that is none of ours.
    pub(crate) fn public(spki: &'a [u8]) -> Option<Self> {
        Some(Self {
            bits: signing::public_key_bits(spki)?,
            kind: signing::public_key_algorithm(spki)?,
            key: None,
        })
    }
}

impl rcgen::PublicKeyData for Bridge<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.bits
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        // The same algorithms as `KeyAlgorithm::message_algorithm`.
        match self.kind {
            KeyAlgorithm::EcdsaP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::EcdsaP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Rsa { .. } => &rcgen::PKCS_RSA_SHA512,
        }
    }
}

impl rcgen::SigningKey for Bridge<'_> {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let key = self.key.ok_or(rcgen::Error::RemoteKeyError)?;
        key.sign(self.kind.message_algorithm(), message)
            .map_err(|_| rcgen::Error::RemoteKeyError)
    }
}
