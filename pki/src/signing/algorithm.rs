//! The closed list of signature algorithms, by URI, by Java name and by ASN.1 identifier (wire 4.1).
//!
//! Owns names only. Refuses parameters of RSASSA-PSS other than MGF1 with the same digest and a salt of its length.

use crate::crypto::DigestAlgorithm;
use crate::crypto::asymmetric::RsaPadding;
use crate::der::{self, DerError, Reader, Writer};

const OID_RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10];
const OID_MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];

/// The signature algorithms of X-Road (wire 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// Recognised only to be refused.
    RsaSha1,
    /// RSASSA-PKCS1-v1_5.
    RsaSha256,
    /// RSASSA-PKCS1-v1_5.
    RsaSha384,
    /// RSASSA-PKCS1-v1_5; what Java servers use with RSA keys.
    RsaSha512,
    /// RSASSA-PSS, salt as long as the digest.
    RsaPssSha256,
    /// RSASSA-PSS, salt as long as the digest.
    RsaPssSha384,
    /// RSASSA-PSS, salt as long as the digest.
    RsaPssSha512,
    /// Recognised only to be refused.
    EcdsaSha1,
    /// Verified, never made; not available in ring.
    EcdsaSha224,
    /// ECDSA; ours on P-256.
    EcdsaSha256,
    /// ECDSA; ours on P-384.
    EcdsaSha384,
    /// ECDSA; what Java servers use with EC keys. Not available in ring.
    EcdsaSha512,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 12] = [
        Self::RsaSha1,
        Self::RsaSha256,
        Self::RsaSha384,
        Self::RsaSha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::EcdsaSha1,
        Self::EcdsaSha224,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
    ];

    /// The URI used in XML and in configuration directories.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::RsaSha1 => "http://www.w3.org/2000/09/xmldsig#rsa-sha1",
            Self::RsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256",
            Self::RsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha384",
            Self::RsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#rsa-sha512",
            Self::RsaPssSha256 => "http://www.w3.org/2007/05/xmldsig-more#sha256-rsa-MGF1",
            Self::RsaPssSha384 => "http://www.w3.org/2007/05/xmldsig-more#sha384-rsa-MGF1",
            Self::RsaPssSha512 => "http://www.w3.org/2007/05/xmldsig-more#sha512-rsa-MGF1",
            Self::EcdsaSha1 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1",
            Self::EcdsaSha224 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha224",
            Self::EcdsaSha256 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256",
            Self::EcdsaSha384 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384",
            Self::EcdsaSha512 => "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
        }
    }

    /// The algorithm with exactly this URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.uri() == uri)
    }

    /// The name in Java's form, as management requests carry it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::RsaSha1 => "SHA1withRSA",
            Self::RsaSha256 => "SHA256withRSA",
            Self::RsaSha384 => "SHA384withRSA",
            Self::RsaSha512 => "SHA512withRSA",
            Self::RsaPssSha256 => "SHA256withRSAandMGF1",
            Self::RsaPssSha384 => "SHA384withRSAandMGF1",
            Self::RsaPssSha512 => "SHA512withRSAandMGF1",
            Self::EcdsaSha1 => "SHA1withECDSA",
            Self::EcdsaSha224 => "SHA224withECDSA",
            Self::EcdsaSha256 => "SHA256withECDSA",
            Self::EcdsaSha384 => "SHA384withECDSA",
            Self::EcdsaSha512 => "SHA512withECDSA",
        }
    }

    /// True where it rests on SHA-1 and is refused.
    pub const fn is_weak(self) -> bool {
        self.digest().is_weak()
    }

    /// True where values are an ECDSA pair.
    pub const fn is_ecdsa(self) -> bool {
        matches!(self.parts().0, Scheme::Ecdsa)
    }

    /// The digest that is signed.
    pub const fn digest(self) -> DigestAlgorithm {
        self.parts().1
    }

    pub(super) const fn parts(self) -> (Scheme, DigestAlgorithm) {
        const PKCS1: Scheme = Scheme::Rsa(RsaPadding::Pkcs1);
        const PSS: Scheme = Scheme::Rsa(RsaPadding::Pss);
        match self {
            Self::RsaSha1 => (PKCS1, DigestAlgorithm::Sha1),
            Self::RsaSha256 => (PKCS1, DigestAlgorithm::Sha256),
            Self::RsaSha384 => (PKCS1, DigestAlgorithm::Sha384),
            Self::RsaSha512 => (PKCS1, DigestAlgorithm::Sha512),
            Self::RsaPssSha256 => (PSS, DigestAlgorithm::Sha256),
            Self::RsaPssSha384 => (PSS, DigestAlgorithm::Sha384),
            Self::RsaPssSha512 => (PSS, DigestAlgorithm::Sha512),
            Self::EcdsaSha1 => (Scheme::Ecdsa, DigestAlgorithm::Sha1),
            Self::EcdsaSha224 => (Scheme::Ecdsa, DigestAlgorithm::Sha224),
            Self::EcdsaSha256 => (Scheme::Ecdsa, DigestAlgorithm::Sha256),
            Self::EcdsaSha384 => (Scheme::Ecdsa, DigestAlgorithm::Sha384),
            Self::EcdsaSha512 => (Scheme::Ecdsa, DigestAlgorithm::Sha512),
        }
    }

    const fn oid(self) -> &'static [u8] {
        match self {
            Self::RsaSha1 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5],
            Self::RsaSha256 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
            Self::RsaSha384 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
            Self::RsaSha512 => &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => OID_RSA_PSS,
            Self::EcdsaSha1 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1],
            Self::EcdsaSha224 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 1],
            Self::EcdsaSha256 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
            Self::EcdsaSha384 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
            Self::EcdsaSha512 => &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
        }
    }

    /// Writes the AlgorithmIdentifier of RFC 5280.
    pub(crate) fn write_identifier(self, writer: &mut Writer) {
        writer.sequence(|w| {
            w.oid(self.oid());
            match self.parts() {
                (Scheme::Ecdsa, _) => {}
                (Scheme::Rsa(RsaPadding::Pkcs1), _) => {
                    w.null();
                }
                (Scheme::Rsa(RsaPadding::Pss), digest) => {
                    w.sequence(|w| {
                        w.constructed(der::context(0), |w| write_digest_identifier(digest, w));
                        w.constructed(der::context(1), |w| {
                            w.sequence(|w| {
                                w.oid(OID_MGF1);
                                write_digest_identifier(digest, w);
                            });
                        });
                        w.constructed(der::context(2), |w| {
                            w.integer(digest.len() as u32);
                        });
                    });
                }
            }
        });
    }

    /// Reads the contents of an AlgorithmIdentifier; `None` where it names nothing of the list.
    pub(crate) fn read_identifier(mut contents: Reader<'_>) -> Option<Self> {
        let oid = contents.oid().ok()?;
        if oid != OID_RSA_PSS {
            return Self::ALL.into_iter().find(|algorithm| algorithm.oid() == oid);
        }
        let mut parameters = contents.sequence().ok()?;
        let digest =
            read_digest_identifier(&mut parameters.optional(der::context(0)).ok()??.contents()).ok()??;
        let mut mask = parameters
            .optional(der::context(1))
            .ok()??
            .contents()
            .sequence()
            .ok()?;
        if mask.oid().ok()? != OID_MGF1 || read_digest_identifier(&mut mask).ok()?? != digest {
            return None;
        }
        let salt = parameters
            .optional(der::context(2))
            .ok()??
            .contents()
            .small_integer()
            .ok()?;
        if salt as usize != digest.len() {
            return None;
        }
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.parts() == (Scheme::Rsa(RsaPadding::Pss), digest))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Rsa(RsaPadding),
    Ecdsa,
}

/// Writes the AlgorithmIdentifier of a digest, with NULL parameters as most writers do.
pub(crate) fn write_digest_identifier(digest: DigestAlgorithm, writer: &mut Writer) {
    writer.sequence(|w| {
        w.oid(digest_oid(digest)).null();
    });
}

/// Reads the AlgorithmIdentifier of a digest; the inner `None` where it names nothing of the list.
pub(crate) fn read_digest_identifier(reader: &mut Reader<'_>) -> Result<Option<DigestAlgorithm>, DerError> {
    let mut identifier = reader.sequence()?;
    let oid = identifier.oid()?;
    // Parameters are absent or NULL (RFC 5754, 2); nothing else could be told from a changed byte.
    identifier.optional(der::NULL)?;
    identifier.end()?;
    Ok([
        DigestAlgorithm::Sha1,
        DigestAlgorithm::Sha224,
        DigestAlgorithm::Sha256,
        DigestAlgorithm::Sha384,
        DigestAlgorithm::Sha512,
    ]
    .into_iter()
    .find(|&digest| digest_oid(digest) == oid))
}

const fn digest_oid(digest: DigestAlgorithm) -> &'static [u8] {
    match digest {
        DigestAlgorithm::Sha1 => &[0x2b, 0x0e, 3, 2, 26],
        DigestAlgorithm::Sha256 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1],
        DigestAlgorithm::Sha384 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2],
        DigestAlgorithm::Sha512 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3],
        DigestAlgorithm::Sha224 => &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 4],
    }
}
