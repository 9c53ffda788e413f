//! A certificate, parsed once: the fields that trust decisions look at, and its raw bytes.
//!
//! Owns parsing (by x509-parser, extensions by our own bounded reader), key usage as X-Road tests it (wire 8.3), the
//! mark of test certificates, PEM, and the check of one signature against one issuer. Refuses SHA-1 and MD5. Paths
//! are built in [`crate::chain`].

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use x509_parser::certificate::{X509Certificate, X509CertificateParser};
use x509_parser::nom::Parser as _;

use crate::UnixTime;
use crate::crypto;
use crate::der::{self, DerError};
use crate::signing::{self, KeyAlgorithm, SignatureAlgorithm, SignatureInvalid};

mod name;

pub use name::{Attribute, Name};

/// No certificate is larger (wire 3.6 bounds whole chains at 64 KiB).
pub const MAX_CERTIFICATE: usize = 32 * 1024;

/// RFC 5280 allows 20 bytes; some authorities use more.
const MAX_SERIAL: usize = 64;

/// No PEM file of ours holds more certificates.
const MAX_PEM_CHAIN: usize = 16;

/// A certificate could not be read, or does not say what it must.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not an X.509 certificate in DER.
    #[error("malformed certificate: {0}")]
    Malformed(&'static str),
    /// Not PEM, or PEM without a certificate.
    #[error("malformed PEM: {0}")]
    MalformedPem(&'static str),
    /// Neither key usage nor extended key usage, so its purpose is unknown (wire 8.3).
    #[error("the certificate {0} does not say what its key may be used for")]
    NoKeyUsage(String),
    /// The issuer's name is another one.
    #[error("the certificate was issued by {named}, not by {by} (encoded names are compared byte for byte)")]
    OtherIssuer {
        /// Issuer named in the certificate.
        named: String,
        /// Subject of the certificate it was held against.
        by: String,
    },
    /// Signed with an algorithm that is unknown or too weak (SHA-1, MD5).
    #[error("the certificate is signed with {0}, which is not accepted")]
    Algorithm(String),
    /// The issuer's key did not sign it.
    #[error("the certificate was not signed by the key of its issuer: {0}")]
    Signature(SignatureInvalid),
}

impl CertificateError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_certificate",
            Self::MalformedPem(_) => "malformed_pem",
            Self::NoKeyUsage(_) => "no_key_usage",
            Self::OtherIssuer { .. } => "other_issuer",
            Self::Algorithm(_) => "certificate_algorithm",
            Self::Signature(_) => "certificate_signature",
        }
    }
}

impl From<DerError> for CertificateError {
    fn from(DerError(what): DerError) -> Self {
        Self::Malformed(what)
    }
}

/// An X.509 certificate. Cloning is cheap; two are equal if their DER is.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Range<usize>,
    spki: Range<usize>,
    signature: Range<usize>,
    signature_oid: Vec<u8>,
    signature_algorithm: Option<SignatureAlgorithm>,
    subject: Name,
    issuer: Name,
    serial: Vec<u8>,
    not_before: UnixTime,
    not_after: UnixTime,
    key_algorithm: Option<KeyAlgorithm>,
    extensions: Extensions,
    sha1: [u8; 20],
    sha256: [u8; 32],
}

#[derive(Default)]
struct Extensions {
    /// Bit 0 is digitalSignature, as RFC 5280 counts.
    key_usage: Option<u16>,
    extended: Option<ExtendedUsage>,
    /// Present: is it an authority, and how many authorities may follow.
    basic: Option<(bool, Option<u32>)>,
    subject_key_id: Option<Vec<u8>>,
    unknown_critical: Option<String>,
}

#[derive(Default, Clone, Copy)]
struct ExtendedUsage {
    client_auth: bool,
    ocsp_signing: bool,
    time_stamping: bool,
}

impl Certificate {
    /// Reads one certificate of at most [`MAX_CERTIFICATE`] bytes; nothing may follow it.
    pub fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE {
            return Err(CertificateError::Malformed("larger than 32 KiB"));
        }
        let (rest, parsed) = X509CertificateParser::new()
            .with_deep_parse_extensions(false)
            .parse(der)
            .map_err(|_| CertificateError::Malformed("not an X.509 certificate"))?;
        if !rest.is_empty() {
            return Err(CertificateError::Malformed("bytes after the end"));
        }
        Self::from_parsed(der, &parsed)
    }

    fn from_parsed(der: &[u8], parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let malformed = CertificateError::Malformed;
        let mut outer = der::only(der, der::SEQUENCE)?.contents();
        let tbs = outer.expect(der::SEQUENCE)?;
        let algorithm = outer.expect(der::SEQUENCE)?;
        let signature = outer.bit_string()?;
        outer.end()?;
        let mut fields = tbs.contents();
        fields.optional(der::context(0))?;
        fields.integer()?;
        if fields.expect(der::SEQUENCE)?.raw != algorithm.raw {
            return Err(malformed("two different signature algorithms"));
        }
        for _issuer_validity_subject in 0..3 {
            fields.expect(der::SEQUENCE)?;
        }
        let spki = fields.expect(der::SEQUENCE)?.raw;
        if parsed.raw_serial().len() > MAX_SERIAL {
            return Err(malformed("serial number too long"));
        }
        let range = |part: &[u8]| {
            let start = part.as_ptr() as usize - der.as_ptr() as usize;
            start..start + part.len()
        };
        let validity = parsed.validity();
        Ok(Self(Arc::new(Inner {
            tbs: range(tbs.raw),
            spki: range(spki),
            signature: range(signature),
            signature_oid: algorithm.contents().oid()?.to_vec(),
            signature_algorithm: SignatureAlgorithm::read_identifier(algorithm.contents()),
            subject: Name::parse(parsed.subject().as_raw())?,
            issuer: Name::parse(parsed.issuer().as_raw())?,
            serial: parsed.raw_serial().to_vec(),
            not_before: UnixTime::from_secs(validity.not_before.timestamp()),
            not_after: UnixTime::from_secs(validity.not_after.timestamp()),
            key_algorithm: signing::public_key_algorithm(spki),
            extensions: Extensions::read(parsed)?,
            sha1: crypto::sha1(der),
            sha256: crypto::sha256(der),
            der: der.to_vec(),
        })))
    }

    /// Reads PEM that holds exactly one certificate.
    pub fn parse_pem(pem: &str) -> Result<Self, CertificateError> {
        let mut chain = Self::parse_pem_chain(pem)?;
        match (chain.pop(), chain.is_empty()) {
            (Some(certificate), true) => Ok(certificate),
            _ => Err(CertificateError::MalformedPem("more than one certificate")),
        }
    }

    /// Reads PEM that holds one to sixteen certificates, in the order of the file. Text outside the blocks is skipped.
    pub fn parse_pem_chain(pem: &str) -> Result<Vec<Self>, CertificateError> {
        const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
        const END: &str = "-----END CERTIFICATE-----";
        let mut chain = Vec::new();
        let mut rest = pem;
        while let Some((_, after)) = rest.split_once(BEGIN) {
            let (block, after) = after
                .split_once(END)
                .ok_or(CertificateError::MalformedPem("a block without its end"))?;
            if chain.len() == MAX_PEM_CHAIN || block.len() > 2 * MAX_CERTIFICATE {
                return Err(CertificateError::MalformedPem("too large"));
            }
            let text: String = block.split_ascii_whitespace().collect();
            let der = STANDARD
                .decode(text)
                .map_err(|_| CertificateError::MalformedPem("not base64"))?;
            chain.push(Self::parse(&der)?);
            rest = after;
        }
        if chain.is_empty() {
            return Err(CertificateError::MalformedPem("no certificate in it"));
        }
        Ok(chain)
    }

    /// The certificate as PEM.
    pub fn to_pem(&self) -> String {
        pem("CERTIFICATE", &self.0.der)
    }

    /// The certificate as received.
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// Whom it speaks of.
    pub fn subject(&self) -> &Name {
        &self.0.subject
    }

    /// Who issued it.
    pub fn issuer(&self) -> &Name {
        &self.0.issuer
    }

    /// The serial number as encoded, big-endian two's complement.
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// The serial number in decimal, as `ds:X509SerialNumber` carries it.
    pub fn serial_decimal(&self) -> String {
        decimal(&self.0.serial)
    }

    /// First instant of validity.
    pub fn not_before(&self) -> UnixTime {
        self.0.not_before
    }

    /// Last instant of validity.
    pub fn not_after(&self) -> UnixTime {
        self.0.not_after
    }

    /// True from `not_before` to `not_after`, both included.
    pub fn is_valid_at(&self, at: UnixTime) -> bool {
        // A second that has begun is still within: notAfter has whole seconds.
        self.0.not_before <= at && at.secs() <= self.0.not_after.secs()
    }

    /// SubjectPublicKeyInfo as DER.
    pub fn spki(&self) -> &[u8] {
        &self.0.der[self.0.spki.clone()]
    }

    /// The kind of key; `None` for keys that nothing here verifies with.
    pub fn key_algorithm(&self) -> Option<KeyAlgorithm> {
        self.0.key_algorithm
    }

    /// SHA-1 of the DER: look-ups only.
    pub fn sha1(&self) -> [u8; 20] {
        self.0.sha1
    }

    /// SHA-256 of the DER.
    pub fn sha256(&self) -> [u8; 32] {
        self.0.sha256
    }

    /// May the key authenticate a server (wire 8.3): extended usage clientAuth, or usage digitalSignature,
    /// keyEncipherment or dataEncipherment. An error where the certificate says nothing of its use.
    pub fn is_authentication(&self) -> Result<bool, CertificateError> {
        let extensions = &self.0.extensions;
        if extensions.key_usage.is_none() && extensions.extended.is_none() {
            return Err(self.no_key_usage());
        }
        let usage = extensions.key_usage.unwrap_or(0);
        Ok(extensions.extended.is_some_and(|extended| extended.client_auth) || usage & 0b1101 != 0)
    }

    /// May the key sign messages (wire 8.3): usage nonRepudiation. An error where there is no key usage.
    pub fn is_signing(&self) -> Result<bool, CertificateError> {
        let usage = self.0.extensions.key_usage.ok_or_else(|| self.no_key_usage())?;
        Ok(usage & 0b10 != 0)
    }

    fn no_key_usage(&self) -> CertificateError {
        CertificateError::NoKeyUsage(self.subject().to_string())
    }

    /// True where basic constraints say so.
    pub fn is_ca(&self) -> bool {
        matches!(self.0.extensions.basic, Some((true, _)))
    }

    /// How many further authorities may stand below this one.
    pub(crate) fn path_len(&self) -> Option<u32> {
        self.0.extensions.basic.and_then(|(_, path_len)| path_len)
    }

    /// True where key usage is absent or allows to sign certificates.
    pub(crate) fn may_sign_certificates(&self) -> bool {
        self.0
            .extensions
            .key_usage
            .is_none_or(|usage| usage & 0b10_0000 != 0)
    }

    /// Identifier of a critical extension that nothing here understands.
    pub(crate) fn unknown_critical(&self) -> Option<&str> {
        self.0.extensions.unknown_critical.as_deref()
    }

    /// The key identifier that CMS and OCSP may name the certificate by.
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.0.extensions.subject_key_id.as_deref()
    }

    /// Extended key usage OCSPSigning.
    pub fn has_ocsp_signing(&self) -> bool {
        self.0
            .extensions
            .extended
            .is_some_and(|extended| extended.ocsp_signing)
    }

    /// Extended key usage timeStamping.
    pub fn has_time_stamping(&self) -> bool {
        self.0
            .extensions
            .extended
            .is_some_and(|extended| extended.time_stamping)
    }

    /// True for certificates of test federations: `OU=TEST` in subject and issuer.
    pub fn is_test(&self) -> bool {
        let marked = |name: &Name| {
            name.values(Attribute::OrganizationalUnit)
                .any(|unit| unit == "TEST")
        };
        marked(&self.0.subject) && marked(&self.0.issuer)
    }

    /// Checks that `issuer` has the name of the issuer and that its key signed this certificate.
    pub fn verify_issued_by(&self, issuer: &Self) -> Result<(), CertificateError> {
        if *self.issuer() != *issuer.subject() {
            return Err(CertificateError::OtherIssuer {
                named: self.issuer().to_string(),
                by: issuer.subject().to_string(),
            });
        }
        self.verify_signed_by(issuer.spki())
    }

    fn verify_signed_by(&self, spki: &[u8]) -> Result<(), CertificateError> {
        let inner = &*self.0;
        let algorithm = match inner.signature_algorithm {
            Some(algorithm) if !algorithm.is_weak() => algorithm,
            Some(weak) => return Err(CertificateError::Algorithm(weak.name().to_owned())),
            None => {
                let oid =
                    der::oid_text(&inner.signature_oid).unwrap_or_else(|| "an unknown algorithm".to_owned());
                return Err(CertificateError::Algorithm(oid));
            }
        };
        let (tbs, value) = (&inner.der[inner.tbs.clone()], &inner.der[inner.signature.clone()]);
        signing::verify_signature(algorithm, spki, tbs, value).map_err(CertificateError::Signature)
    }

    /// True where subject and issuer are the same and its own key signed it.
    pub fn self_signed(&self) -> bool {
        self.verify_issued_by(self).is_ok()
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.sha256.hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Certificate({}, serial {})",
            self.subject(),
            self.serial_decimal()
        )
    }
}

impl Extensions {
    fn read(parsed: &X509Certificate<'_>) -> Result<Self, CertificateError> {
        let mut found = Self::default();
        let mut seen = Vec::new();
        for extension in parsed.extensions() {
            let oid = extension.oid.as_bytes();
            if seen.contains(&oid) {
                return Err(CertificateError::Malformed("an extension twice"));
            }
            seen.push(oid);
            match oid {
                [0x55, 0x1d, 14] => {
                    let id = der::only(extension.value, der::OCTET_STRING)?.value;
                    found.subject_key_id = Some(id.to_vec());
                }
                [0x55, 0x1d, 15] => found.key_usage = Some(key_usage(extension.value)?),
                [0x55, 0x1d, 19] => found.basic = Some(basic_constraints(extension.value)?),
                [0x55, 0x1d, 37] => found.extended = Some(extended_usage(extension.value)?),
                // Alternative names, policies without constraints: nothing that could narrow what we conclude.
                [0x55, 0x1d, 17 | 18 | 32] => {}
                _ if extension.critical => {
                    found.unknown_critical = Some(extension.oid.to_id_string());
                }
                _ => {}
            }
        }
        Ok(found)
    }
}

fn key_usage(value: &[u8]) -> Result<u16, DerError> {
    match der::only(value, der::BIT_STRING)?.value {
        [0..=7, bits @ ..] if bits.len() <= 2 => Ok(bits
            .iter()
            .rev()
            .fold(0, |usage, byte| usage << 8 | u16::from(byte.reverse_bits()))),
        _ => Err(DerError("key usage is no short BIT STRING")),
    }
}

fn basic_constraints(value: &[u8]) -> Result<(bool, Option<u32>), DerError> {
    let mut fields = der::only(value, der::SEQUENCE)?.contents();
    let ca = if fields.peek() == Some(der::BOOLEAN) {
        fields.boolean()?
    } else {
        false
    };
    let path_len = if fields.is_empty() {
        None
    } else {
        Some(fields.small_integer()?)
    };
    fields.end()?;
    Ok((ca, path_len))
}

fn extended_usage(value: &[u8]) -> Result<ExtendedUsage, DerError> {
    let mut purposes = der::only(value, der::SEQUENCE)?.contents();
    let mut usage = ExtendedUsage::default();
    while !purposes.is_empty() {
        match purposes.oid()? {
            [0x2b, 6, 1, 5, 5, 7, 3, 2] => usage.client_auth = true,
            [0x2b, 6, 1, 5, 5, 7, 3, 8] => usage.time_stamping = true,
            [0x2b, 6, 1, 5, 5, 7, 3, 9] => usage.ocsp_signing = true,
            _ => {}
        }
    }
    Ok(usage)
}

/// A PEM block with lines of 64 characters.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.extend(line.iter().map(|&byte| char::from(byte)));
        out.push('\n');
    }
    out.push_str(&format!("-----END {label}-----\n"));
    out
}

/// Two's complement, big-endian, to decimal.
fn decimal(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            (*byte, carry) = (sum, overflow);
        }
    }
    let mut digits = Vec::new();
    while magnitude.iter().any(|&byte| byte != 0) {
        let mut remainder = 0_u16;
        for byte in &mut magnitude {
            let value = remainder << 8 | u16::from(*byte);
            *byte = (value / 10) as u8;
            remainder = value % 10;
        }
        digits.push(b'0' + remainder as u8);
    }
    if digits.is_empty() {
        digits.push(b'0');
    }
    if negative {
        digits.push(b'-');
    }
    digits.iter().rev().map(|&digit| char::from(digit)).collect()
}

#[cfg(test)]
mod tests;
