//! RSA and ECDSA over the cryptographic library: key pairs from and to PKCS#8, signing and verification.
//!
//! Owns the choice of library algorithm for each pair of key and digest. Refuses what the library lacks by name;
//! whether an algorithm is wanted at all is decided in [`crate::signing`].

use zeroize::Zeroizing;

use super::{DigestAlgorithm, Unsupported, library};
use library::rand::SystemRandom;
use library::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, KeyPair as _, RsaEncoding, UnparsedPublicKey,
    VerificationAlgorithm,
};

/// Curves of which a key may sign or be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// Only the adapted digests of aws-lc-rs need it.
    #[cfg(feature = "aws-lc")]
    const fn field_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
        }
    }

    const fn own_digest(self) -> DigestAlgorithm {
        match self {
            Self::P256 => DigestAlgorithm::Sha256,
            Self::P384 => DigestAlgorithm::Sha384,
        }
    }

    fn signing(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        }
    }
}

/// How an RSA signature is padded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum RsaPadding {
    Pkcs1,
    /// MGF1 with the same digest, salt as long as the digest.
    Pss,
}

/// The bytes are no key of that kind, or the library refused the operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rejected;

/// Why a library call gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    Rejected,
    Unsupported(Unsupported),
}

impl From<Unsupported> for Failure {
    fn from(missing: Unsupported) -> Self {
        Self::Unsupported(missing)
    }
}

pub(crate) struct EcKey {
    curve: Curve,
    pair: EcdsaKeyPair,
}

impl EcKey {
    pub(crate) fn generate_pkcs8(curve: Curve) -> Result<Zeroizing<Vec<u8>>, Rejected> {
        EcdsaKeyPair::generate_pkcs8(curve.signing(), &SystemRandom::new())
            .map(|document| Zeroizing::new(document.as_ref().to_vec()))
            .map_err(|_| Rejected)
    }

    pub(crate) fn from_pkcs8(curve: Curve, pkcs8: &[u8]) -> Result<Self, Rejected> {
        #[cfg(feature = "aws-lc")]
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), pkcs8);
        #[cfg(not(feature = "aws-lc"))]
        let pair = EcdsaKeyPair::from_pkcs8(curve.signing(), pkcs8, &SystemRandom::new());
        Ok(Self {
            curve,
            pair: pair.map_err(|_| Rejected)?,
        })
    }

    /// The uncompressed point.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    /// The signature as DER.
    pub(crate) fn sign(&self, digest: DigestAlgorithm, message: &[u8]) -> Result<Vec<u8>, Failure> {
        if digest == self.curve.own_digest() {
            let made = self.pair.sign(&SystemRandom::new(), message);
            return made
                .map(|value| value.as_ref().to_vec())
                .map_err(|_| Failure::Rejected);
        }
        #[cfg(feature = "aws-lc")]
        {
            let adapted = adapted_digest(self.curve, digest, message)?;
            let made = self.pair.sign_digest(&adapted).map_err(|_| Failure::Rejected)?;
            Ok(made.as_ref().to_vec())
        }
        #[cfg(not(feature = "aws-lc"))]
        Err(Unsupported {
            what: "signing on a curve with the digest of another one",
        }
        .into())
    }
}

pub(crate) struct RsaKey {
    pair: library::rsa::KeyPair,
}

impl RsaKey {
    #[cfg(feature = "aws-lc")]
    pub(crate) fn generate_pkcs8(bits: u16) -> Result<Zeroizing<Vec<u8>>, Failure> {
        use library::encoding::{AsDer as _, Pkcs8V1Der};
        use library::rsa::KeySize;
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => return Err(Failure::Rejected),
        };
        let pair = library::rsa::KeyPair::generate(size).map_err(|_| Failure::Rejected)?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| Failure::Rejected)?;
        Ok(Zeroizing::new(der.as_ref().to_vec()))
    }

    #[cfg(not(feature = "aws-lc"))]
    pub(crate) fn generate_pkcs8(_bits: u16) -> Result<Zeroizing<Vec<u8>>, Failure> {
        Err(Unsupported {
            what: "generating an RSA key",
        }
        .into())
    }

    pub(crate) fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, Rejected> {
        Ok(Self {
            pair: library::rsa::KeyPair::from_pkcs8(pkcs8).map_err(|_| Rejected)?,
        })
    }

    /// RSAPublicKey as DER.
    pub(crate) fn public(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    pub(crate) fn sign(
        &self,
        padding: RsaPadding,
        digest: DigestAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let encoding: &'static dyn RsaEncoding = match (padding, digest) {
            (RsaPadding::Pkcs1, DigestAlgorithm::Sha256) => &signature::RSA_PKCS1_SHA256,
            (RsaPadding::Pkcs1, DigestAlgorithm::Sha384) => &signature::RSA_PKCS1_SHA384,
            (RsaPadding::Pkcs1, DigestAlgorithm::Sha512) => &signature::RSA_PKCS1_SHA512,
            (RsaPadding::Pss, DigestAlgorithm::Sha256) => &signature::RSA_PSS_SHA256,
            (RsaPadding::Pss, DigestAlgorithm::Sha384) => &signature::RSA_PSS_SHA384,
            (RsaPadding::Pss, DigestAlgorithm::Sha512) => &signature::RSA_PSS_SHA512,
            (_, DigestAlgorithm::Sha1 | DigestAlgorithm::Sha224) => {
                return Err(Unsupported {
                    what: "RSA with SHA-1 or SHA-224",
                }
                .into());
            }
        };
        let mut out = vec![0; self.modulus_len()];
        self.pair
            .sign(encoding, &SystemRandom::new(), message, &mut out)
            .map_err(|_| Failure::Rejected)?;
        Ok(out)
    }

    pub(crate) fn modulus_len(&self) -> usize {
        #[cfg(feature = "aws-lc")]
        return self.pair.public_modulus_len();
        #[cfg(not(feature = "aws-lc"))]
        return self.pair.public().modulus_len();
    }
}

/// `point` is the uncompressed point, `signature` DER.
pub(crate) fn verify_ecdsa(
    curve: Curve,
    digest: DigestAlgorithm,
    point: &[u8],
    message: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    let algorithm: &'static dyn VerificationAlgorithm = match (curve, digest) {
        (Curve::P256, DigestAlgorithm::Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (Curve::P256, DigestAlgorithm::Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (Curve::P384, DigestAlgorithm::Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (Curve::P384, DigestAlgorithm::Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        #[cfg(feature = "aws-lc")]
        (Curve::P256, DigestAlgorithm::Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        #[cfg(feature = "aws-lc")]
        (Curve::P384, DigestAlgorithm::Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        #[cfg(not(feature = "aws-lc"))]
        (_, DigestAlgorithm::Sha512) => {
            return Err(Unsupported {
                what: "ECDSA with SHA-512 (what Java servers with EC keys use)",
            }
            .into());
        }
        #[cfg(feature = "aws-lc")]
        (_, DigestAlgorithm::Sha224) => {
            let adapted = adapted_digest(curve, digest, message)?;
            let algorithm = match curve {
                Curve::P256 => &signature::ECDSA_P256_SHA256_ASN1,
                Curve::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            };
            return UnparsedPublicKey::new(algorithm, point)
                .verify_digest(&adapted, value)
                .map_err(|_| Failure::Rejected);
        }
        #[cfg(not(feature = "aws-lc"))]
        (_, DigestAlgorithm::Sha224) => {
            return Err(Unsupported {
                what: "ECDSA with SHA-224",
            }
            .into());
        }
        (_, DigestAlgorithm::Sha1) => return Err(Failure::Rejected),
    };
    UnparsedPublicKey::new(algorithm, point)
        .verify(message, value)
        .map_err(|_| Failure::Rejected)
}

/// The shortest RSA modulus that is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RsaFloor {
    Bits2048,
    /// PKCS#1 with SHA-256 or SHA-512 only.
    Bits1024,
}

/// `key` is RSAPublicKey as DER.
pub(crate) fn verify_rsa(
    padding: RsaPadding,
    digest: DigestAlgorithm,
    floor: RsaFloor,
    key: &[u8],
    message: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    let algorithm: &'static dyn VerificationAlgorithm = match (padding, digest) {
        (RsaPadding::Pkcs1, DigestAlgorithm::Sha256) if floor == RsaFloor::Bits1024 => {
            &signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY
        }
        (RsaPadding::Pkcs1, DigestAlgorithm::Sha512) if floor == RsaFloor::Bits1024 => {
            &signature::RSA_PKCS1_1024_8192_SHA512_FOR_LEGACY_USE_ONLY
        }
        (RsaPadding::Pkcs1, DigestAlgorithm::Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (RsaPadding::Pkcs1, DigestAlgorithm::Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (RsaPadding::Pkcs1, DigestAlgorithm::Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (RsaPadding::Pss, DigestAlgorithm::Sha256) => &signature::RSA_PSS_2048_8192_SHA256,
        (RsaPadding::Pss, DigestAlgorithm::Sha384) => &signature::RSA_PSS_2048_8192_SHA384,
        (RsaPadding::Pss, DigestAlgorithm::Sha512) => &signature::RSA_PSS_2048_8192_SHA512,
        (_, DigestAlgorithm::Sha1 | DigestAlgorithm::Sha224) => return Err(Failure::Rejected),
    };
    UnparsedPublicKey::new(algorithm, key)
        .verify(message, value)
        .map_err(|_| Failure::Rejected)
}

/// The digest of `message` in the length of the curve's own digest.
///
/// ECDSA takes the leftmost bits of a digest as a number (FIPS 186-5, 6.4): a longer one is cut, a shorter one is the
/// same number with zeros in front. So the library's native pair of curve and digest serves for every digest.
#[cfg(feature = "aws-lc")]
fn adapted_digest(
    curve: Curve,
    digest: DigestAlgorithm,
    message: &[u8],
) -> Result<library::digest::Digest, Failure> {
    let value = super::digest(digest, message)?;
    let mut number = vec![0; curve.field_len().saturating_sub(value.len())];
    number.extend_from_slice(&value[..value.len().min(curve.field_len())]);
    library::digest::Digest::import_less_safe(&number, curve.own_digest().engine()?)
        .map_err(|_| Failure::Rejected)
}
