//! The one door to a cryptographic library: aws-lc-rs by default, ring where no C compiler can be had.
//!
//! Owns digests, HMAC, HKDF, AES-256-GCM, random bytes and constant-time comparison; `crypto/asymmetric.rs` holds
//! keys and signatures for [`crate::signing`], `crypto/ed25519.rs` those of the transparency log. Nothing outside this directory names the library. Where ring cannot
//! do a thing the error says so by name. SHA-1 serves look-ups only (OCSP CertID, old certificate hashes).

#[cfg(not(any(feature = "aws-lc", feature = "ring")))]
compile_error!("kontor-pki needs one cryptographic library: switch on the feature `aws-lc` or `ring`");

#[cfg(feature = "aws-lc")]
use aws_lc_rs as library;
#[cfg(all(feature = "ring", not(feature = "aws-lc")))]
use ring as library;

pub(crate) mod asymmetric;
mod ed25519;

pub use ed25519::{Ed25519Key, Ed25519Mismatch, verify_ed25519};

use library::aead;
use library::rand::SecureRandom as _;

/// Name of the library this build uses.
pub const PROVIDER: &str = if cfg!(feature = "aws-lc") {
    "aws-lc-rs"
} else {
    "ring"
};

/// The library of this build cannot do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} is not available in {PROVIDER}; use a build with the feature `aws-lc`")]
pub struct Unsupported {
    /// The operation or algorithm asked for.
    pub what: &'static str,
}

/// The digests that X-Road names (wire 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DigestAlgorithm {
    /// For look-ups only.
    Sha1,
    /// Read only; not available in ring.
    Sha224,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// The digest of every X-Road message part.
    Sha512,
}

impl DigestAlgorithm {
    const ALL: [Self; 5] = [Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// The URI used in XML (wire 4.1).
    pub const fn uri(self) -> &'static str {
        match self {
            Self::Sha1 => "http://www.w3.org/2000/09/xmldsig#sha1",
            Self::Sha224 => "http://www.w3.org/2001/04/xmldsig-more#sha224",
            Self::Sha256 => "http://www.w3.org/2001/04/xmlenc#sha256",
            Self::Sha384 => "http://www.w3.org/2001/04/xmldsig-more#sha384",
            Self::Sha512 => "http://www.w3.org/2001/04/xmlenc#sha512",
        }
    }

    /// The digest with exactly this URI.
    pub fn from_uri(uri: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|digest| digest.uri() == uri)
    }

    /// The name in headers, such as `SHA-512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA-1",
            Self::Sha224 => "SHA-224",
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        }
    }

    /// The digest of this name, upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|digest| digest.name().eq_ignore_ascii_case(name))
    }

    /// Length of a value in bytes.
    #[expect(clippy::len_without_is_empty, reason = "a digest is never empty")]
    pub const fn len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// True where nothing that is signed may rest on it.
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Sha1)
    }

    fn engine(self) -> Result<&'static library::digest::Algorithm, Unsupported> {
        Ok(match self {
            Self::Sha1 => &library::digest::SHA1_FOR_LEGACY_USE_ONLY,
            #[cfg(feature = "aws-lc")]
            Self::Sha224 => &library::digest::SHA224,
            #[cfg(not(feature = "aws-lc"))]
            Self::Sha224 => return Err(Unsupported { what: "SHA-224" }),
            Self::Sha256 => &library::digest::SHA256,
            Self::Sha384 => &library::digest::SHA384,
            Self::Sha512 => &library::digest::SHA512,
        })
    }
}

/// The digest of `data`.
pub fn digest(algorithm: DigestAlgorithm, data: &[u8]) -> Result<Vec<u8>, Unsupported> {
    Ok(library::digest::digest(algorithm.engine()?, data)
        .as_ref()
        .to_vec())
}

fn fixed<const N: usize>(algorithm: &'static library::digest::Algorithm, data: &[u8]) -> [u8; N] {
    take(library::digest::digest(algorithm, data).as_ref())
}

fn take<const N: usize>(value: &[u8]) -> [u8; N] {
    value
        .try_into()
        .expect("the caller names the length of its own algorithm")
}

/// SHA-1 of `data`, for look-ups only.
pub fn sha1(data: &[u8]) -> [u8; 20] {
    fixed(&library::digest::SHA1_FOR_LEGACY_USE_ONLY, data)
}

/// SHA-256 of `data`.
pub fn sha256(data: &[u8]) -> [u8; 32] {
    fixed(&library::digest::SHA256, data)
}

/// SHA-512 of `data`.
pub fn sha512(data: &[u8]) -> [u8; 64] {
    fixed(&library::digest::SHA512, data)
}

/// A digest computed piece by piece, algorithm chosen at run time.
#[derive(Clone)]
pub struct Hasher(library::digest::Context);

impl Hasher {
    /// Starts a digest.
    pub fn new(algorithm: DigestAlgorithm) -> Result<Self, Unsupported> {
        Ok(Self(library::digest::Context::new(algorithm.engine()?)))
    }

    /// Starts SHA-512.
    pub fn sha512() -> Self {
        Self(library::digest::Context::new(&library::digest::SHA512))
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The value.
    pub fn finish(self) -> Vec<u8> {
        self.0.finish().as_ref().to_vec()
    }
}

/// SHA-512 computed piece by piece.
#[derive(Clone)]
pub struct Sha512(library::digest::Context);

impl Sha512 {
    /// Starts a digest.
    pub fn new() -> Self {
        Self(library::digest::Context::new(&library::digest::SHA512))
    }

    /// Adds bytes.
    pub fn update(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    /// The value.
    pub fn finish(self) -> [u8; 64] {
        take(self.0.finish().as_ref())
    }
}

impl Default for Sha512 {
    fn default() -> Self {
        Self::new()
    }
}

/// HMAC-SHA-256 over the concatenation of `parts`.
pub fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut context =
        library::hmac::Context::with_key(&library::hmac::Key::new(library::hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(part);
    }
    take(context.sign().as_ref())
}

/// HKDF with SHA-256 (RFC 5869), extract and expand. `N` is at most 8160.
pub fn hkdf_sha256<const N: usize>(ikm: &[u8], salt: &[u8], info: &[u8]) -> [u8; N] {
    struct Length(usize);
    impl library::hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    const { assert!(N <= 255 * 32, "HKDF-SHA-256 gives at most 8160 bytes") };
    let mut out = [0; N];
    library::hkdf::Salt::new(library::hkdf::HKDF_SHA256, salt)
        .extract(ikm)
        .expand(&[info], Length(N))
        .and_then(|okm| okm.fill(&mut out))
        .expect("the length is below the bound of HKDF");
    out
}

/// The data or its label was changed, or the key is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("sealed data does not open: wrong key, wrong label or changed bytes")]
pub struct OpenFailed;

/// A key for AES-256-GCM.
pub struct AeadKey(aead::LessSafeKey);

impl AeadKey {
    /// Bytes that sealing adds.
    pub const TAG_LEN: usize = 16;

    /// Expands the key.
    pub fn new(key: &[u8; 32]) -> Self {
        let key = aead::UnboundKey::new(&aead::AES_256_GCM, key).expect("32 bytes are an AES-256 key");
        Self(aead::LessSafeKey::new(key))
    }

    /// Encrypts `data` in place and appends the tag. A nonce must never meet the same key twice.
    pub fn seal(&self, nonce: &[u8; 12], aad: &[u8], data: &mut Vec<u8>) {
        self.0
            .seal_in_place_append_tag(
                aead::Nonce::assume_unique_for_key(*nonce),
                aead::Aad::from(aad),
                data,
            )
            .expect("data of a process is shorter than the 64 GiB that GCM takes");
    }

    /// Decrypts `data` in place and removes the tag. On failure `data` is emptied.
    pub fn open(&self, nonce: &[u8; 12], aad: &[u8], data: &mut Vec<u8>) -> Result<(), OpenFailed> {
        let nonce = aead::Nonce::assume_unique_for_key(*nonce);
        let opened = self
            .0
            .open_in_place(nonce, aead::Aad::from(aad), data)
            .map(|plain| plain.len());
        data.truncate(*opened.as_ref().unwrap_or(&0));
        opened.map(|_| ()).map_err(|_| OpenFailed)
    }
}

/// Fills `out` from the operating system's generator.
pub fn fill_random(out: &mut [u8]) {
    library::rand::SystemRandom::new()
        .fill(out)
        .expect("without random bytes from the operating system no key and no nonce can be made");
}

/// `N` random bytes.
pub fn random<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill_random(&mut out);
    out
}

/// Compares in a time that depends on the lengths only.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    #[cfg(feature = "aws-lc")]
    return library::constant_time::verify_slices_are_equal(a, b).is_ok();
    // ring deprecated its function without a successor.
    #[cfg(not(feature = "aws-lc"))]
    return a.len() == b.len()
        && std::hint::black_box(a.iter().zip(b).fold(0_u8, |sum, (x, y)| sum | (x ^ y))) == 0;
}

#[cfg(test)]
mod tests;
