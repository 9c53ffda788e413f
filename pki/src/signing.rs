//! Signature algorithms by their X-Road names, the [`SigningKey`] trait, and keys held in memory.
//!
//! Owns keys (`signing/algorithm.rs` the closed list of algorithms), the two encodings of ECDSA values and the one function that
//! verifies. Refuses SHA-1 everywhere: such algorithms have a name here so that the refusal can tell it.

mod algorithm;

pub use algorithm::SignatureAlgorithm;

pub(crate) use algorithm::{read_digest_identifier, write_digest_identifier};

use zeroize::Zeroizing;

use algorithm::Scheme;

use crate::crypto::Unsupported;
use crate::crypto::asymmetric::{self, Curve, EcKey, Failure, Rejected, RsaFloor, RsaKey};
use crate::der::{self, DerError};

const OID_RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
const OID_EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];
const OID_P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const OID_P384: &[u8] = &[0x2b, 0x81, 0x04, 0, 34];

/// The kinds of key that members, nodes and authorities may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyAlgorithm {
    /// The default.
    EcdsaP256,
    /// NIST P-384.
    EcdsaP384,
    /// RSA; 2048, 3072 or 4096 can be generated, 2048 to 8192 are read.
    Rsa {
        /// Length of the modulus.
        bits: u16,
    },
}

impl KeyAlgorithm {
    /// The algorithm that our messages, certificates and tokens are signed with by such a key.
    pub const fn message_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::EcdsaP256 => SignatureAlgorithm::EcdsaSha256,
            Self::EcdsaP384 => SignatureAlgorithm::EcdsaSha384,
            Self::Rsa { .. } => SignatureAlgorithm::RsaSha512,
        }
    }
}

/// A key could not be made, read or used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SigningError {
    /// The library of this build lacks the algorithm.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// SHA-1, or an algorithm of another kind of key.
    #[error("a key of this kind does not sign with {}", .0.name())]
    WrongAlgorithm(SignatureAlgorithm),
    /// RSA keys have 2048, 3072 or 4096 bits.
    #[error("RSA keys of {0} bits are not made here; choose 2048, 3072 or 4096")]
    KeySize(u16),
    /// The bytes are no PKCS#8 of a P-256, P-384 or RSA key.
    #[error(
        "the private key is not PKCS#8 of an ECDSA P-256, P-384 or RSA key; convert it with `openssl pkcs8`"
    )]
    Malformed,
    /// The library or a remote signer failed.
    #[error("the signing operation failed")]
    Failed,
}

impl SigningError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unsupported(_) => "unsupported_algorithm",
            Self::WrongAlgorithm(_) => "wrong_algorithm",
            Self::KeySize(_) => "key_size",
            Self::Malformed => "malformed_key",
            Self::Failed => "signing_failed",
        }
    }
}

impl From<Rejected> for SigningError {
    fn from(Rejected: Rejected) -> Self {
        Self::Malformed
    }
}

impl From<Failure> for SigningError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Rejected => Self::Failed,
            Failure::Unsupported(missing) => Self::Unsupported(missing),
        }
    }
}

/// A private key that signs; where it lives is its own affair.
pub trait SigningKey: Send + Sync {
    /// The kind of key.
    fn key_algorithm(&self) -> KeyAlgorithm;

    /// SubjectPublicKeyInfo as DER.
    fn public_key(&self) -> &[u8];

    /// Signs `message`. ECDSA values are DER; see [`ecdsa_der_to_fixed`] for XML.
    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningError>;
}

/// A private key in this process's memory, wiped when dropped.
pub struct SoftwareKey {
    pair: Pair,
    algorithm: KeyAlgorithm,
    spki: Vec<u8>,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Ec(EcKey),
    Rsa(RsaKey),
}

impl SoftwareKey {
    /// Makes a new key. RSA needs a build with aws-lc and takes seconds at 4096 bits.
    pub fn generate(algorithm: KeyAlgorithm) -> Result<Self, SigningError> {
        let pkcs8 = match algorithm {
            KeyAlgorithm::EcdsaP256 => {
                EcKey::generate_pkcs8(Curve::P256).map_err(|_| SigningError::Failed)?
            }
            KeyAlgorithm::EcdsaP384 => {
                EcKey::generate_pkcs8(Curve::P384).map_err(|_| SigningError::Failed)?
            }
            KeyAlgorithm::Rsa {
                bits: bits @ (2048 | 3072 | 4096),
            } => RsaKey::generate_pkcs8(bits)?,
            KeyAlgorithm::Rsa { bits } => return Err(SigningError::KeySize(bits)),
        };
        Self::from_pkcs8(&pkcs8)
    }

    /// Reads an unencrypted PKCS#8 key.
    pub fn from_pkcs8(pkcs8: &[u8]) -> Result<Self, SigningError> {
        let curve = pkcs8_curve(pkcs8).map_err(|_| SigningError::Malformed)?;
        let (pair, algorithm, spki) = match curve {
            Some(curve) => {
                let key = EcKey::from_pkcs8(curve, pkcs8)?;
                let spki = ec_spki(curve, key.public());
                (Pair::Ec(key), curve.into(), spki)
            }
            None => {
                let key = RsaKey::from_pkcs8(pkcs8)?;
                let spki = rsa_spki(key.public());
                let bits = u16::try_from(key.modulus_len() * 8).map_err(|_| SigningError::Malformed)?;
                (Pair::Rsa(key), KeyAlgorithm::Rsa { bits }, spki)
            }
        };
        Ok(Self {
            pair,
            algorithm,
            spki,
            pkcs8: Zeroizing::new(pkcs8.to_vec()),
        })
    }

    /// The key as unencrypted PKCS#8, for a TLS stack and for sealing.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8.clone()
    }
}

impl std::fmt::Debug for SoftwareKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SoftwareKey")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl SigningKey for SoftwareKey {
    fn key_algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    fn public_key(&self) -> &[u8] {
        &self.spki
    }

    fn sign(&self, algorithm: SignatureAlgorithm, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let (scheme, digest) = algorithm.parts();
        match (&self.pair, scheme) {
            _ if algorithm.is_weak() => Err(SigningError::WrongAlgorithm(algorithm)),
            (Pair::Ec(key), Scheme::Ecdsa) => Ok(key.sign(digest, message)?),
            (Pair::Rsa(key), Scheme::Rsa(padding)) => Ok(key.sign(padding, digest, message)?),
            (Pair::Ec(_), Scheme::Rsa(_)) | (Pair::Rsa(_), Scheme::Ecdsa) => {
                Err(SigningError::WrongAlgorithm(algorithm))
            }
        }
    }
}

impl From<Curve> for KeyAlgorithm {
    fn from(curve: Curve) -> Self {
        match curve {
            Curve::P256 => Self::EcdsaP256,
            Curve::P384 => Self::EcdsaP384,
        }
    }
}

/// A signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureInvalid {
    /// The value does not fit message and key.
    #[error("the signature value does not fit the signed bytes and the key")]
    Mismatch,
    /// SHA-1 is refused in signatures.
    #[error("the signature uses {}, which is too weak to be accepted", .0.name())]
    Weak(SignatureAlgorithm),
    /// The key is of another kind than the algorithm.
    #[error("the key cannot have made a signature with {}", .0.name())]
    WrongKey(SignatureAlgorithm),
    /// Neither P-256, P-384 nor RSA.
    #[error("the public key is neither ECDSA P-256, P-384 nor RSA")]
    UnknownKey,
    /// The library of this build lacks the algorithm.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl SignatureInvalid {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Mismatch => "signature_mismatch",
            Self::Weak(_) => "weak_algorithm",
            Self::WrongKey(_) => "wrong_key",
            Self::UnknownKey => "unknown_key",
            Self::Unsupported(_) => "unsupported_algorithm",
        }
    }
}

/// Verifies a signature over `message`. `spki` is SubjectPublicKeyInfo as DER, ECDSA values are DER; RSA keys have at
/// least 2048 bits.
pub fn verify_signature(
    algorithm: SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureInvalid> {
    verify(algorithm, spki, message, signature, RsaFloor::Bits2048)
}

/// The same for time-stamps, where RSA keys down to 1024 bits are accepted: evidence outlives the keys of the
/// authorities that stamped it, and the global configuration approves each of those by its certificate.
pub(crate) fn verify_timestamp_signature(
    algorithm: SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureInvalid> {
    verify(algorithm, spki, message, signature, RsaFloor::Bits1024)
}

fn verify(
    algorithm: SignatureAlgorithm,
    spki: &[u8],
    message: &[u8],
    signature: &[u8],
    floor: RsaFloor,
) -> Result<(), SignatureInvalid> {
    if algorithm.is_weak() {
        return Err(SignatureInvalid::Weak(algorithm));
    }
    let (scheme, digest) = algorithm.parts();
    let verdict = match (PublicKey::read(spki).ok_or(SignatureInvalid::UnknownKey)?, scheme) {
        (PublicKey::Ec(curve, point), Scheme::Ecdsa) => {
            asymmetric::verify_ecdsa(curve, digest, point, message, signature)
        }
        (PublicKey::Rsa(key), Scheme::Rsa(padding)) => {
            asymmetric::verify_rsa(padding, digest, floor, key, message, signature)
        }
        (PublicKey::Ec(..), Scheme::Rsa(_)) | (PublicKey::Rsa(_), Scheme::Ecdsa) => {
            return Err(SignatureInvalid::WrongKey(algorithm));
        }
    };
    verdict.map_err(|failure| match failure {
        Failure::Rejected => SignatureInvalid::Mismatch,
        Failure::Unsupported(missing) => SignatureInvalid::Unsupported(missing),
    })
}

enum PublicKey<'a> {
    Ec(Curve, &'a [u8]),
    Rsa(&'a [u8]),
}

impl<'a> PublicKey<'a> {
    fn read(spki: &'a [u8]) -> Option<Self> {
        let mut outer = der::only(spki, der::SEQUENCE).ok()?.contents();
        let mut algorithm = outer.sequence().ok()?;
        let key = outer.bit_string().ok()?;
        outer.end().ok()?;
        match algorithm.oid().ok()? {
            // The hybrid forms 6 and 7 would let one key have two encodings (RFC 5480 does not allow them).
            OID_EC_PUBLIC_KEY if matches!(key.first(), Some(6 | 7)) => None,
            OID_EC_PUBLIC_KEY => Some(Self::Ec(named_curve(algorithm.oid().ok()?)?, key)),
            OID_RSA_ENCRYPTION => Some(Self::Rsa(key)),
            _ => None,
        }
    }
}

fn named_curve(oid: &[u8]) -> Option<Curve> {
    match oid {
        OID_P256 => Some(Curve::P256),
        OID_P384 => Some(Curve::P384),
        _ => None,
    }
}

/// The kind of key in a SubjectPublicKeyInfo; `None` where it is none of ours.
pub fn public_key_algorithm(spki: &[u8]) -> Option<KeyAlgorithm> {
    match PublicKey::read(spki)? {
        PublicKey::Ec(curve, _) => Some(curve.into()),
        PublicKey::Rsa(key) => {
            let modulus = der::only(key, der::SEQUENCE).ok()?.contents().integer().ok()?;
            let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
            let bits = (modulus.len() * 8).checked_sub(modulus.first()?.leading_zeros() as usize)?;
            Some(KeyAlgorithm::Rsa {
                bits: u16::try_from(bits).ok()?,
            })
        }
    }
}

/// The bytes of the BIT STRING of a SubjectPublicKeyInfo, which key hashes of OCSP are built on.
pub(crate) fn public_key_bits(spki: &[u8]) -> Option<&[u8]> {
    let mut outer = der::only(spki, der::SEQUENCE).ok()?.contents();
    outer.sequence().ok()?;
    outer.bit_string().ok()
}

/// The curve of a PKCS#8 key, `None` for RSA.
fn pkcs8_curve(pkcs8: &[u8]) -> Result<Option<Curve>, DerError> {
    let mut key = der::only(pkcs8, der::SEQUENCE)?.contents();
    key.small_integer()?;
    let mut algorithm = key.sequence()?;
    match algorithm.oid()? {
        OID_RSA_ENCRYPTION => Ok(None),
        OID_EC_PUBLIC_KEY => named_curve(algorithm.oid()?)
            .map(Some)
            .ok_or(DerError("unknown curve")),
        _ => Err(DerError("unknown kind of key")),
    }
}

/// SubjectPublicKeyInfo of an RSA key from its numbers, as a JSON Web Key carries them (RFC 7518, 6.3.1).
pub(crate) fn rsa_key_of(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    rsa_spki(&der::sequence(|w| {
        w.unsigned(modulus).unsigned(exponent);
    }))
}

/// SubjectPublicKeyInfo of a point of P-256 (RFC 7518, 6.2.1). Whether it lies on the curve is judged when it verifies.
pub(crate) fn p256_key_of(x: &[u8; 32], y: &[u8; 32]) -> Vec<u8> {
    ec_spki(Curve::P256, &[&[4], x.as_slice(), y].concat())
}

fn ec_spki(curve: Curve, point: &[u8]) -> Vec<u8> {
    let curve_oid = match curve {
        Curve::P256 => OID_P256,
        Curve::P384 => OID_P384,
    };
    der::sequence(|w| {
        w.sequence(|w| {
            w.oid(OID_EC_PUBLIC_KEY).oid(curve_oid);
        });
        w.bit_string(point);
    })
}

fn rsa_spki(key: &[u8]) -> Vec<u8> {
    der::sequence(|w| {
        w.sequence(|w| {
            w.oid(OID_RSA_ENCRYPTION).null();
        });
        w.bit_string(key);
    })
}

/// An ECDSA value that is neither of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed ECDSA signature value")]
pub struct MalformedEcdsa;

/// The longest half of an ECDSA value that is converted: P-521.
const MAX_FIELD: usize = 66;

/// Converts `r ‖ s`, split in the middle whatever its length (wire 4.1), to DER.
pub fn ecdsa_fixed_to_der(fixed: &[u8]) -> Result<Vec<u8>, MalformedEcdsa> {
    if fixed.is_empty() || !fixed.len().is_multiple_of(2) || fixed.len() > 2 * MAX_FIELD {
        return Err(MalformedEcdsa);
    }
    let (r, s) = fixed.split_at(fixed.len() / 2);
    Ok(der::sequence(|w| {
        w.unsigned(r).unsigned(s);
    }))
}

/// Converts DER to `r ‖ s`, each of `field` bytes (32 for P-256, 48 for P-384).
pub fn ecdsa_der_to_fixed(signature: &[u8], field: usize) -> Result<Vec<u8>, MalformedEcdsa> {
    let mut pair = der::only(signature, der::SEQUENCE)
        .map_err(|_| MalformedEcdsa)?
        .contents();
    let mut fixed = Vec::with_capacity(2 * field);
    for _ in 0..2 {
        let value = pair.integer().map_err(|_| MalformedEcdsa)?;
        let magnitude = value.strip_prefix(&[0]).unwrap_or(value);
        if value[0] & 0x80 != 0 || magnitude.len() > field || field > MAX_FIELD {
            return Err(MalformedEcdsa);
        }
        fixed.resize(fixed.len() + field - magnitude.len(), 0);
        fixed.extend_from_slice(magnitude);
    }
    pair.end().map_err(|_| MalformedEcdsa)?;
    Ok(fixed)
}

#[cfg(test)]
mod tests;
