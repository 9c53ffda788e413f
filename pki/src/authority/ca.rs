//! The certification authority: issues by purpose, remembers what it revoked.
//!
//! Owns key usages (wire 8.3): signing certificates carry nonRepudiation and nothing else, authentication
//! certificates never carry it. Refuses keys it would not accept in a peer's certificate.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose, SerialNumber,
};

use super::AuthorityError;
use crate::UnixTime;
use crate::certificate::{Attribute, Certificate};
use crate::crypto;
use crate::der;
use crate::ocsp::{CertId, CertStatus};
use crate::profile::Subject;
use crate::request::{Bridge, distinguished_name};
use crate::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};

/// From when to when a certificate is valid, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First instant; whole seconds.
    pub not_before: UnixTime,
    /// Last instant; whole seconds.
    pub not_after: UnixTime,
}

impl Validity {
    /// From five minutes before `now`, for clocks that are behind, until `days` after it.
    pub fn days(now: UnixTime, days: u32) -> Self {
        Self {
            not_before: now - Duration::from_secs(300),
            not_after: now + Duration::from_secs(u64::from(days) * 86_400),
        }
    }
}

/// What a new authority is called and how long it lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaParams {
    /// Common name.
    pub name: String,
    /// Organization.
    pub organization: String,
    /// Marks the authority and all it issues with `OU=TEST`.
    pub test: bool,
    /// Kind of key.
    pub key: KeyAlgorithm,
    /// Period of validity.
    pub validity: Validity,
}

/// What a certificate may be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    /// Signs messages: nonRepudiation only.
    Signing,
    /// Authenticates a node: digitalSignature, keyEncipherment, keyAgreement; client and server.
    Authentication,
    /// Signs OCSP responses for the authority.
    OcspResponder,
    /// Signs time-stamps; the purpose is critical, as OpenSSL wants it.
    TimestampAuthority,
    /// Says nothing, which X-Road refuses: for tests.
    Unspecified,
}

/// A certificate to be issued.
#[derive(Debug, Clone)]
pub struct Leaf<'a> {
    /// The key, as SubjectPublicKeyInfo.
    pub public_key: &'a [u8],
    /// Whom it speaks of; a test authority adds its mark.
    pub subject: Subject,
    /// What for.
    pub usage: Usage,
    /// Period of validity.
    pub validity: Validity,
    /// Host names and addresses of a node.
    pub dns_names: &'a [String],
}

/// A certification authority with its key in memory.
pub struct CertificateAuthority {
    certificate: Certificate,
    key: Arc<SoftwareKey>,
    name: DistinguishedName,
    revoked: BTreeMap<Vec<u8>, UnixTime>,
}

impl CertificateAuthority {
    /// Makes a self-signed authority with a new key.
    pub fn generate(params: &CaParams) -> Result<Self, AuthorityError> {
        let key = SoftwareKey::generate(params.key)?;
        let bridge = Bridge::new(&key).ok_or(AuthorityError::PublicKey)?;
        let (subject, certificate) = ca_params(params, BasicConstraints::Unconstrained)?;
        let issued = certificate.self_signed(&bridge).map_err(refused)?;
        Self::assemble(issued.der(), key, subject)
    }

    /// Makes an authority below this one, with a new key; it may issue no further authorities.
    pub fn intermediate(&self, params: &CaParams) -> Result<Self, AuthorityError> {
        let key = SoftwareKey::generate(params.key)?;
        let bridge = Bridge::new(&key).ok_or(AuthorityError::PublicKey)?;
        let params = CaParams {
            test: params.test || self.is_test(),
            ..params.clone()
        };
        let (subject, mut certificate) = ca_params(&params, BasicConstraints::Constrained(0))?;
        certificate.use_authority_key_identifier_extension = true;
        let issued = self.sign(certificate, &bridge)?;
        Self::assemble(issued.der(), key, subject)
    }

    fn assemble(der: &[u8], key: SoftwareKey, name: DistinguishedName) -> Result<Self, AuthorityError> {
        let certificate = Certificate::parse(der).map_err(|_| AuthorityError::Parts("certificate"))?;
        Ok(Self {
            certificate,
            key: Arc::new(key),
            name,
            revoked: BTreeMap::new(),
        })
    }

    /// Takes up an authority that was made before. Revocations are told again by [`Self::revoke`].
    pub fn from_parts(certificate: Certificate, key: Arc<SoftwareKey>) -> Result<Self, AuthorityError> {
        if certificate.spki() != key.public_key() {
            return Err(AuthorityError::Parts("the key is not that of the certificate"));
        }
        if !certificate.is_ca() {
            return Err(AuthorityError::Parts(
                "the certificate is not that of an authority",
            ));
        }
        let name = name_of(&certificate).ok_or(AuthorityError::Parts(
            "the subject holds what our certificates do not",
        ))?;
        Ok(Self {
            certificate,
            key,
            name,
            revoked: BTreeMap::new(),
        })
    }

    /// The authority's own certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The authority's key.
    pub fn key(&self) -> &Arc<SoftwareKey> {
        &self.key
    }

    /// True where all it issues is marked as test.
    pub fn is_test(&self) -> bool {
        self.certificate
            .subject()
            .values(Attribute::OrganizationalUnit)
            .any(|unit| unit == "TEST")
    }

    /// Issues a signing certificate.
    pub fn issue_signing(
        &self,
        public_key: &[u8],
        subject: Subject,
        validity: Validity,
    ) -> Result<Certificate, AuthorityError> {
        self.issue(&Leaf {
            public_key,
            subject,
            usage: Usage::Signing,
            validity,
            dns_names: &[],
        })
    }

    /// Issues an authentication certificate for a node with these host names or addresses.
    pub fn issue_authentication(
        &self,
        public_key: &[u8],
        subject: Subject,
        dns_names: &[String],
        validity: Validity,
    ) -> Result<Certificate, AuthorityError> {
        self.issue(&Leaf {
            public_key,
            subject,
            usage: Usage::Authentication,
            validity,
            dns_names,
        })
    }

    /// Issues the certificate of an OCSP responder for this authority.
    pub fn issue_ocsp_responder(
        &self,
        public_key: &[u8],
        subject: Subject,
        validity: Validity,
    ) -> Result<Certificate, AuthorityError> {
        self.issue(&Leaf {
            public_key,
            subject,
            usage: Usage::OcspResponder,
            validity,
            dns_names: &[],
        })
    }

    /// Issues the certificate of a time-stamp authority.
    pub fn issue_tsa(
        &self,
        public_key: &[u8],
        subject: Subject,
        validity: Validity,
    ) -> Result<Certificate, AuthorityError> {
        self.issue(&Leaf {
            public_key,
            subject,
            usage: Usage::TimestampAuthority,
            validity,
            dns_names: &[],
        })
    }

    /// Issues any certificate below the authority, with a random serial number.
    pub fn issue(&self, leaf: &Leaf<'_>) -> Result<Certificate, AuthorityError> {
        let bridge = Bridge::public(leaf.public_key).ok_or(AuthorityError::PublicKey)?;
        let mut params = CertificateParams::new(leaf.dns_names).map_err(refused)?;
        let mut subject = leaf.subject.clone();
        if self.is_test()
            && !subject
                .0
                .contains(&(Attribute::OrganizationalUnit, "TEST".to_owned()))
        {
            subject = subject.with(Attribute::OrganizationalUnit, "TEST");
        }
        params.distinguished_name = checked_name(&subject)?;
        set_validity(&mut params, leaf.validity)?;
        params.serial_number = Some(random_serial());
        params.use_authority_key_identifier_extension = true;
        match leaf.usage {
            Usage::Signing => params.key_usages = vec![KeyUsagePurpose::ContentCommitment],
            Usage::Authentication => {
                params.key_usages = vec![
                    KeyUsagePurpose::DigitalSignature,
                    KeyUsagePurpose::KeyEncipherment,
                    KeyUsagePurpose::KeyAgreement,
                ];
                params.extended_key_usages = vec![
                    ExtendedKeyUsagePurpose::ClientAuth,
                    ExtendedKeyUsagePurpose::ServerAuth,
                ];
            }
            Usage::OcspResponder => {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning];
                // id-pkix-ocsp-nocheck: nobody asks for the status of the one who tells it.
                let no_check =
                    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 48, 1, 5], vec![der::NULL, 0]);
                params.custom_extensions = vec![no_check];
            }
            Usage::TimestampAuthority => {
                params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
                let mut purposes = der::Writer::new();
                purposes.sequence(|w| {
                    w.oid(&[0x2b, 6, 1, 5, 5, 7, 3, 8]);
                });
                let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 37], purposes.finish());
                extension.set_criticality(true);
                params.custom_extensions = vec![extension];
            }
            Usage::Unspecified => {}
        }
        let issued = self.sign(params, &bridge)?;
        Certificate::parse(issued.der()).map_err(|_| AuthorityError::Parts("the issued certificate"))
    }

    fn sign(
        &self,
        params: CertificateParams,
        public_key: &Bridge<'_>,
    ) -> Result<rcgen::Certificate, AuthorityError> {
        let mut own = CertificateParams::default();
        own.distinguished_name = self.name.clone();
        own.key_identifier_method = key_identifier(&self.certificate);
        let bridge = Bridge::new(&*self.key).ok_or(AuthorityError::PublicKey)?;
        params
            .signed_by(public_key, &Issuer::new(own, bridge))
            .map_err(refused)
    }

    /// Revokes a certificate by its serial number; the first instant told stays.
    pub fn revoke(&mut self, serial: &[u8], at: UnixTime) {
        self.revoked.entry(serial.to_vec()).or_insert(at);
    }

    /// What this authority says of a certificate: unknown where another one issued it, else revoked or good. It keeps
    /// no list of what it issued.
    pub fn status(&self, id: &CertId) -> CertStatus {
        let mut own = CertId::of(&self.certificate, &self.certificate);
        if id.digest == Some(crypto::DigestAlgorithm::Sha256) {
            own = CertId::sha256_of(&self.certificate, &self.certificate);
        }
        if (id.digest, &id.issuer_name_hash, &id.issuer_key_hash)
            != (own.digest, &own.issuer_name_hash, &own.issuer_key_hash)
        {
            return CertStatus::Unknown;
        }
        self.revoked
            .get(&id.serial)
            .map_or(CertStatus::Good, |&at| CertStatus::Revoked { at })
    }
}

impl std::fmt::Debug for CertificateAuthority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CertificateAuthority({})", self.certificate.subject())
    }
}

fn refused(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Refused(error.to_string())
}

fn ca_params(
    params: &CaParams,
    constraints: BasicConstraints,
) -> Result<(DistinguishedName, CertificateParams), AuthorityError> {
    let mut subject = Subject::default().with(Attribute::Organization, &params.organization);
    if params.test {
        subject = subject.with(Attribute::OrganizationalUnit, "TEST");
    }
    let name = checked_name(&subject.with(Attribute::CommonName, &params.name))?;
    let mut certificate = CertificateParams::default();
    certificate.distinguished_name = name.clone();
    certificate.is_ca = IsCa::Ca(constraints);
    // digitalSignature, because the authority's key may sign OCSP responses itself.
    certificate.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    certificate.serial_number = Some(random_serial());
    set_validity(&mut certificate, params.validity)?;
    Ok((name, certificate))
}

/// rcgen keeps one value per attribute and would drop the first of two without a word.
fn checked_name(subject: &Subject) -> Result<DistinguishedName, AuthorityError> {
    let name = distinguished_name(subject);
    if name.iter().count() == subject.0.len() {
        Ok(name)
    } else {
        Err(AuthorityError::Subject)
    }
}

fn set_validity(params: &mut CertificateParams, validity: Validity) -> Result<(), AuthorityError> {
    let instant = |time: UnixTime| {
        time::OffsetDateTime::from_unix_timestamp(time.secs()).map_err(|_| AuthorityError::Validity)
    };
    if validity.not_after < validity.not_before {
        return Err(AuthorityError::Validity);
    }
    params.not_before = instant(validity.not_before)?;
    params.not_after = instant(validity.not_after)?;
    Ok(())
}

/// 126 random bits: positive, never with a leading zero byte, within RFC 5280's twenty bytes.
fn random_serial() -> SerialNumber {
    let mut serial: [u8; 16] = crypto::random();
    serial[0] = serial[0] & 0x3f | 0x40;
    SerialNumber::from_slice(&serial)
}

fn key_identifier(certificate: &Certificate) -> KeyIdMethod {
    match certificate.subject_key_id() {
        Some(id) => KeyIdMethod::PreSpecified(id.to_vec()),
        None => KeyIdMethod::Sha256,
    }
}

/// The subject of a certificate that we wrote, in the terms in which we write it; `None` where writing it again would
/// give other bytes, so that issued certificates would not find their issuer.
fn name_of(certificate: &Certificate) -> Option<DistinguishedName> {
    const PRINTABLE_STRING: u8 = 0x13;
    let mut name = DistinguishedName::new();
    let mut rdns = der::only(certificate.subject().der(), der::SEQUENCE)
        .ok()?
        .contents();
    let mut count = 0;
    while !rdns.is_empty() {
        let mut rdn = rdns.expect(der::SET).ok()?.contents();
        let mut pair = rdn.sequence().ok()?;
        rdn.end().ok()?;
        let oid = der::oid_text(pair.oid().ok()?)?;
        let arcs: Vec<u64> = oid.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let value = pair.any().ok()?;
        let text = std::str::from_utf8(value.value).ok()?.to_owned();
        let value = match value.tag {
            der::UTF8_STRING => DnValue::Utf8String(text),
            PRINTABLE_STRING => DnValue::PrintableString(text.try_into().ok()?),
            _ => return None,
        };
        name.push(DnType::from_oid(&arcs), value);
        count += 1;
    }
    (name.iter().count() == count).then_some(name)
}
