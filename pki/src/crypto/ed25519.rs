//! Ed25519 (RFC 8032) for the transparency log: checkpoints and co-signatures are signed with it, nothing of X-Road is.
//!
//! Owns the private key in memory, made from its seed, and the one function that verifies. The seed is what a caller
//! seals with [`crate::sealed`]; it is wiped when dropped.

use zeroize::Zeroizing;

use super::library::signature::{self, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use super::{random, take};

// Bytes of a seed, and of a public key.
const KEY_LEN: usize = 32;
// Bytes of a signature.
const SIGNATURE_LEN: usize = 64;

/// A private key in this process's memory.
pub struct Ed25519Key {
    pair: Ed25519KeyPair,
    seed: Zeroizing<[u8; KEY_LEN]>,
}

/// The signature does not fit message and key, or one of them has no valid encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the Ed25519 signature does not fit the signed bytes and the key")]
pub struct Ed25519Mismatch;

impl Ed25519Key {
    /// A new key from the operating system's generator.
    pub fn generate() -> Self {
        Self::from_seed(&Zeroizing::new(random()))
    }

    /// The key of a seed; every 32 bytes are one.
    pub fn from_seed(seed: &[u8; KEY_LEN]) -> Self {
        Self {
            pair: Ed25519KeyPair::from_seed_unchecked(seed).expect("32 bytes are an Ed25519 seed"),
            seed: Zeroizing::new(*seed),
        }
    }

    /// The seed, for sealing.
    pub fn to_seed(&self) -> Zeroizing<[u8; KEY_LEN]> {
        self.seed.clone()
    }

    /// The public key, as RFC 8032 encodes it.
    pub fn public_key(&self) -> [u8; KEY_LEN] {
        take(self.pair.public_key().as_ref())
    }

    /// Signs `message`. The same message always gets the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        take(self.pair.sign(message).as_ref())
    }
}

impl std::fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ed25519Key").finish_non_exhaustive()
    }
}

/// Verifies a signature over `message`.
pub fn verify_ed25519(
    public_key: &[u8; KEY_LEN],
    message: &[u8],
    signature: &[u8; SIGNATURE_LEN],
) -> Result<(), Ed25519Mismatch> {
    UnparsedPublicKey::new(&signature::ED25519, public_key)
        .verify(message, signature)
        .map_err(|_| Ed25519Mismatch)
}
