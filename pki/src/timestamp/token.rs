//! Queries, answers and tokens as bytes.
//!
//! Owns the structures of RFC 3161 and the part of CMS that a token uses: one signer, contents inside. Tokens in
//! BER are rewritten as DER before they are read. Refuses anything above [`MAX_TOKEN`].

use std::fmt;
use std::ops::Range;

use super::{SignatureAlgorithm, TimestampError, UnixTime};
use crate::certificate::{Certificate, Name};
use crate::crypto::DigestAlgorithm;
use crate::der::{self, Element, Reader};
use crate::signing::{read_digest_identifier, write_digest_identifier};

pub(crate) const OID_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
pub(crate) const OID_CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
pub(crate) const OID_MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
pub(crate) const OID_TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
pub(super) const OID_SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 12];
pub(crate) const OID_SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
const OID_RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];

/// Largest answer or token that is read.
const MAX_TOKEN: usize = 64 * 1024;

/// Most certificates embedded in a token.
const MAX_CERTIFICATES: usize = 16;

/// The query for a time-stamp over data with this SHA-512: no nonce, no policy, no certificate asked for (wire 5.3).
pub fn query(imprint: &[u8; 64]) -> Vec<u8> {
    query_for(DigestAlgorithm::Sha512, imprint)
}

/// The query for a time-stamp over this digest, otherwise as [`query`].
pub fn query_for(algorithm: DigestAlgorithm, imprint: &[u8]) -> Vec<u8> {
    der::sequence(|w| {
        w.integer(1);
        w.sequence(|w| {
            write_digest_identifier(algorithm, w);
            w.octet_string(imprint);
        });
    })
}

/// A query as an authority reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimestampQuery {
    /// The message imprint: digest algorithm and value, of fitting length.
    pub imprint: (DigestAlgorithm, Vec<u8>),
    /// Policy asked for, as contents of an object identifier.
    pub policy: Option<Vec<u8>>,
    /// A nonce to be returned, as contents of an INTEGER.
    pub nonce: Option<Vec<u8>>,
    /// Is the authority's certificate to be put into the token.
    pub certificate_requested: bool,
}

/// Reads a query. An unknown digest algorithm is [`TimestampError::Algorithm`].
pub fn parse_query(der: &[u8]) -> Result<TimestampQuery, TimestampError> {
    if der.len() > MAX_TOKEN {
        return Err(TimestampError::Malformed("query too large"));
    }
    let mut fields = der::only(der, der::SEQUENCE)?.contents();
    if fields.small_integer()? != 1 {
        return Err(TimestampError::Malformed("version of the query"));
    }
    let imprint = read_imprint(&mut fields)?;
    let policy = fields.optional(der::OID)?.map(|policy| policy.value.to_vec());
    let nonce = match fields.peek() {
        Some(der::INTEGER) => Some(fields.integer()?.to_vec()),
        _ => None,
    };
    let certificate_requested = match fields.peek() {
        Some(der::BOOLEAN) => fields.boolean()?,
        _ => false,
    };
    if fields.optional(der::context(0))?.is_some() {
        return Err(TimestampError::Malformed(
            "extensions in a query are not supported",
        ));
    }
    fields.end()?;
    Ok(TimestampQuery {
        imprint,
        policy,
        nonce,
        certificate_requested,
    })
}

fn read_imprint(fields: &mut Reader<'_>) -> Result<(DigestAlgorithm, Vec<u8>), TimestampError> {
    let mut imprint = fields.sequence()?;
    let algorithm = read_digest_identifier(&mut imprint)?
        .ok_or_else(|| TimestampError::Algorithm("an unknown digest".to_owned()))?;
    let value = imprint.octet_string()?;
    imprint.end()?;
    if value.len() != algorithm.len() {
        return Err(TimestampError::Malformed("imprint of the wrong length"));
    }
    Ok((algorithm, value.to_vec()))
}

/// Reads the answer of an authority: the token, or why there is none.
pub fn parse_response(answer: &[u8]) -> Result<TimestampToken, TimestampError> {
    if answer.len() > MAX_TOKEN {
        return Err(TimestampError::Malformed("answer too large"));
    }
    let der = der::to_definite(answer)?;
    let mut outer = der::only(&der, der::SEQUENCE)?.contents();
    let mut info = outer.sequence()?;
    let status = info.small_integer()?;
    let text = match info.optional(der::SEQUENCE)? {
        Some(texts) => {
            let text = texts
                .contents()
                .optional(der::UTF8_STRING)?
                .map_or(&[][..], |text| text.value);
            // What an authority says goes into logs: one bounded line of it.
            String::from_utf8_lossy(text)
                .chars()
                .filter(|letter| !letter.is_control())
                .take(200)
                .collect()
        }
        None => String::new(),
    };
    // granted, grantedWithMods
    if status > 1 {
        return Err(TimestampError::Refused { status, text });
    }
    let token = outer
        .expect(der::SEQUENCE)
        .map_err(|_| TimestampError::Malformed("granted, but no token"))?;
    outer.end()?;
    TimestampToken::parse(token.raw)
}

/// How a token names its signer's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignerId {
    /// By issuer and serial number.
    IssuerAndSerial(Name, Vec<u8>),
    /// By subject key identifier.
    KeyId(Vec<u8>),
}

impl SignerId {
    /// True for the certificate that this means.
    pub fn names(&self, certificate: &Certificate) -> bool {
        match self {
            Self::IssuerAndSerial(issuer, serial) => {
                issuer == certificate.issuer() && serial == certificate.serial()
            }
            Self::KeyId(id) => certificate.subject_key_id() == Some(id),
        }
    }
}

/// A time-stamp token.
#[derive(Clone)]
pub struct TimestampToken {
    der: Vec<u8>,
    /// TSTInfo.
    contents: Range<usize>,
    imprint: (DigestAlgorithm, Vec<u8>),
    gen_time: UnixTime,
    nonce: Option<Vec<u8>>,
    signer: SignerId,
    digest: Result<DigestAlgorithm, String>,
    algorithm: Result<SignatureAlgorithm, String>,
    /// The `[0]` element as it stands in the signer's record.
    attributes: Range<usize>,
    attributes_contents: Range<usize>,
    signature: Range<usize>,
    certificates: Vec<Vec<u8>>,
}

impl TimestampToken {
    /// Reads a token of at most 64 KiB in DER or BER. Nothing is verified.
    pub fn parse(token: &[u8]) -> Result<Self, TimestampError> {
        if token.len() > MAX_TOKEN {
            return Err(TimestampError::Malformed("token too large"));
        }
        let der = der::to_definite(token)?;
        let whole = der.as_slice();
        let range = |part: &[u8]| {
            let start = part.as_ptr() as usize - whole.as_ptr() as usize;
            start..start + part.len()
        };
        let data = SignedData::read(whole)?;
        let info = Info::read(data.contents)?;
        let signer = Signer::read(data.signer)?;
        if signer
            .digest
            .as_ref()
            .is_ok_and(|digest| !data.digests.contains(digest))
        {
            return Err(TimestampError::Malformed("the signer's digest is not announced"));
        }
        let certificates = match data.certificates {
            Some(set) => {
                let mut list = set.contents();
                let mut found = Vec::new();
                while !list.is_empty() {
                    if found.len() == MAX_CERTIFICATES {
                        return Err(TimestampError::Malformed("too many certificates"));
                    }
                    found.push(list.any()?.raw.to_vec());
                }
                found
            }
            None => Vec::new(),
        };
        Ok(Self {
            contents: range(data.contents),
            imprint: info.imprint,
            gen_time: info.gen_time,
            nonce: info.nonce,
            signer: signer.id,
            digest: signer.digest,
            algorithm: signer.algorithm,
            attributes: range(signer.attributes.raw),
            attributes_contents: range(signer.attributes.value),
            signature: range(signer.signature),
            certificates,
            der,
        })
    }

    /// The token as DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// When the data existed, by the authority's clock.
    pub fn gen_time(&self) -> UnixTime {
        self.gen_time
    }

    /// Digest algorithm and digest of the stamped data.
    pub fn imprint(&self) -> (DigestAlgorithm, &[u8]) {
        (self.imprint.0, &self.imprint.1)
    }

    /// The nonce of the query, as contents of an INTEGER.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// How the token names its signer.
    pub fn signer(&self) -> &SignerId {
        &self.signer
    }

    /// The certificates in the token, as they stand there: nobody vouches for them.
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.certificates.iter().map(Vec::as_slice)
    }

    /// True where this certificate is in the token.
    pub fn contains(&self, certificate: &Certificate) -> bool {
        self.certificates.iter().any(|der| der == certificate.der())
    }

    /// The same token with `certificate` in its set of certificates, as it is stored and exported: the query does not
    /// ask for it (wire 5.3). What is signed does not change.
    #[must_use]
    pub fn with_certificate(&self, certificate: &Certificate) -> Self {
        if self.contains(certificate) {
            return self.clone();
        }
        let mut set = self.certificates.clone();
        set.push(certificate.der().to_vec());
        set.sort();
        let data = SignedData::read(&self.der).expect("the token was read before");
        let der = der::sequence(|w| {
            w.oid(OID_SIGNED_DATA);
            w.constructed(der::context(0), |w| {
                w.sequence(|w| {
                    w.raw(data.before_certificates);
                    w.constructed(der::context(0), |w| {
                        for certificate in &set {
                            w.raw(certificate);
                        }
                    });
                    w.raw(data.after_certificates);
                });
            });
        });
        Self::parse(&der).unwrap_or_else(|_| self.clone())
    }

    pub(super) fn contents(&self) -> &[u8] {
        &self.der[self.contents.clone()]
    }

    pub(super) fn signed_attributes(&self) -> &[u8] {
        &self.der[self.attributes_contents.clone()]
    }

    /// The signed attributes under the tag SET, over which the signature is made (RFC 5652, 5.4).
    pub(super) fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = self.der[self.attributes.clone()].to_vec();
        bytes[0] = der::SET;
        bytes
    }

    pub(super) fn signature(&self) -> &[u8] {
        &self.der[self.signature.clone()]
    }

    /// The digest of the contents, or the name of one that is not accepted.
    pub fn signer_digest(&self) -> Result<DigestAlgorithm, String> {
        self.digest.clone()
    }

    /// The algorithm of the signature, or the name of one that is not accepted.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, String> {
        self.algorithm.clone()
    }
}

impl PartialEq for TimestampToken {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for TimestampToken {}

impl fmt::Debug for TimestampToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TimestampToken({})", self.gen_time)
    }
}

/// SignedData of CMS, cut into the pieces we need.
struct SignedData<'a> {
    contents: &'a [u8],
    digests: Vec<DigestAlgorithm>,
    certificates: Option<Element<'a>>,
    signer: Reader<'a>,
    before_certificates: &'a [u8],
    after_certificates: &'a [u8],
}

impl<'a> SignedData<'a> {
    fn read(token: &'a [u8]) -> Result<Self, TimestampError> {
        let mut outer = der::only(token, der::SEQUENCE)?.contents();
        if outer.oid()? != OID_SIGNED_DATA {
            return Err(TimestampError::Malformed("not signed data"));
        }
        let wrapped = outer.expect(der::context(0))?;
        outer.end()?;
        let data = der::only(wrapped.value, der::SEQUENCE)?;
        let mut fields = data.contents();
        // Version, digests and revocation lists stand outside what is signed. They have to be what CMS wants, so that
        // no change to them passes unseen.
        if fields.small_integer()? != 3 {
            return Err(TimestampError::Malformed("version of the signed data"));
        }
        let digests = read_digests(fields.expect(der::SET)?.contents())?;
        let mut encapsulated = fields.sequence()?;
        if encapsulated.oid()? != OID_TST_INFO {
            return Err(TimestampError::Malformed("contents are no time-stamp"));
        }
        let contents = der::only(encapsulated.expect(der::context(0))?.value, der::OCTET_STRING)?.value;
        encapsulated.end()?;
        let before_certificates = &data.value[..data.value.len() - fields.rest().len()];
        let certificates = fields.optional(der::context(0))?;
        let after_certificates = fields.rest();
        if let Some(lists) = fields.optional(der::context(1))? {
            check_revocation_lists(lists.contents())?;
        }
        let mut signers = fields.expect(der::SET)?.contents();
        fields.end()?;
        let signer = signers.sequence()?;
        signers
            .end()
            .map_err(|_| TimestampError::Malformed("more than one signer"))?;
        Ok(Self {
            contents,
            digests,
            certificates,
            signer,
            before_certificates,
            after_certificates,
        })
    }
}

fn read_digests(mut set: Reader<'_>) -> Result<Vec<DigestAlgorithm>, TimestampError> {
    let mut digests = Vec::new();
    while !set.is_empty() {
        let digest = read_digest_identifier(&mut set)?;
        digests.push(digest.ok_or(TimestampError::Malformed("an unknown digest is announced"))?);
    }
    Ok(digests)
}

/// Revocation lists prove nothing here, but they must be some: a list of certificates under another tag is a change.
fn check_revocation_lists(mut lists: Reader<'_>) -> Result<(), TimestampError> {
    while !lists.is_empty() {
        let first = lists.sequence()?.sequence()?.peek();
        if !matches!(first, Some(der::INTEGER | der::SEQUENCE)) {
            return Err(TimestampError::Malformed("no revocation list"));
        }
    }
    Ok(())
}

/// TSTInfo of RFC 3161.
struct Info {
    imprint: (DigestAlgorithm, Vec<u8>),
    gen_time: UnixTime,
    nonce: Option<Vec<u8>>,
}

impl Info {
    fn read(contents: &[u8]) -> Result<Self, TimestampError> {
        let mut fields = der::only(contents, der::SEQUENCE)?.contents();
        if fields.small_integer()? != 1 {
            return Err(TimestampError::Malformed("version of the contents"));
        }
        fields.oid()?;
        let imprint = read_imprint(&mut fields)?;
        fields.integer()?;
        let gen_time = fields.generalized_time()?;
        fields.optional(der::SEQUENCE)?;
        fields.optional(der::BOOLEAN)?;
        let nonce = match fields.peek() {
            Some(der::INTEGER) => Some(fields.integer()?.to_vec()),
            _ => None,
        };
        fields.optional(der::context(0))?;
        fields.optional(der::context(1))?;
        fields.end()?;
        Ok(Self {
            imprint,
            gen_time,
            nonce,
        })
    }
}

/// SignerInfo of CMS.
struct Signer<'a> {
    id: SignerId,
    digest: Result<DigestAlgorithm, String>,
    algorithm: Result<SignatureAlgorithm, String>,
    attributes: Element<'a>,
    signature: &'a [u8],
}

impl<'a> Signer<'a> {
    fn read(mut fields: Reader<'a>) -> Result<Self, TimestampError> {
        const KEY_ID: u8 = der::context_primitive(0);
        let version = fields.small_integer()?;
        let id = fields.any()?;
        if version != if id.tag == KEY_ID { 3 } else { 1 } {
            return Err(TimestampError::Malformed("version of the signer"));
        }
        let id = match id.tag {
            der::SEQUENCE => {
                let mut pair = id.contents();
                let issuer = Name::parse(pair.expect(der::SEQUENCE)?.raw)?;
                SignerId::IssuerAndSerial(issuer, pair.integer()?.to_vec())
            }
            KEY_ID => SignerId::KeyId(id.value.to_vec()),
            _ => return Err(TimestampError::Malformed("signer identifier")),
        };
        let digest = match read_digest_identifier(&mut fields)? {
            Some(digest) if !digest.is_weak() => Ok(digest),
            Some(weak) => Err(weak.name().to_owned()),
            None => Err("an unknown digest".to_owned()),
        };
        let attributes = fields
            .expect(der::context(0))
            .map_err(|_| TimestampError::Malformed("no signed attributes"))?;
        let algorithm = read_algorithm(fields.expect(der::SEQUENCE)?, &digest);
        let signature = fields.octet_string()?;
        fields.optional(der::context(1))?;
        fields.end()?;
        Ok(Self {
            id,
            digest,
            algorithm,
            attributes,
            signature,
        })
    }
}

/// CMS often names only the kind of key and leaves the digest to the signer's record.
fn read_algorithm(
    identifier: Element<'_>,
    digest: &Result<DigestAlgorithm, String>,
) -> Result<SignatureAlgorithm, String> {
    let oid = identifier.contents().oid().unwrap_or_default();
    let algorithm = match (oid, digest) {
        (OID_RSA_ENCRYPTION, Ok(DigestAlgorithm::Sha256)) => Some(SignatureAlgorithm::RsaSha256),
        (OID_RSA_ENCRYPTION, Ok(DigestAlgorithm::Sha384)) => Some(SignatureAlgorithm::RsaSha384),
        (OID_RSA_ENCRYPTION, Ok(DigestAlgorithm::Sha512)) => Some(SignatureAlgorithm::RsaSha512),
        (OID_RSA_ENCRYPTION, Err(weak)) => return Err(weak.clone()),
        _ => SignatureAlgorithm::read_identifier(identifier.contents()),
    };
    match algorithm {
        Some(algorithm) if !algorithm.is_weak() => Ok(algorithm),
        Some(weak) => Err(weak.name().to_owned()),
        None => Err(der::oid_text(oid).unwrap_or_else(|| "an unknown algorithm".to_owned())),
    }
}
