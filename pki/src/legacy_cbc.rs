//! X-Road's own TLS 1.2 suites, `TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384` and `TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384` (RFC 5289,
//! wire 3.1), for rustls, which has none. Behind the feature `legacy-cbc`: MAC-then-encrypt has no place where a peer can do
//! better.
//!
//! Owns the suites and how their keys come out of rustls; record protection is in `record`, the MAC in `mac`. Key exchange,
//! signatures and PRF are those of the provider's GCM suites.
//!
//! # How the keys arrive
//!
//! rustls cuts the key block of a suite as AEADs need it and has no place for MAC keys. So these suites ask for nothing but 160
//! bytes of "explicit nonce", which is then the whole key block of RFC 5246, 6.3: two MAC keys of 48 bytes, two of 32 for AES,
//! the client's before the server's. Only the encrypter is given it; the decrypter was made a moment before, on the same thread,
//! and waits for its half. That order is rustls's own matter, therefore its version is pinned. A decrypter that nobody gives
//! its half to decrypts nothing, and an encrypter that finds no decrypter encrypts nothing: the handshake fails.

mod mac;
mod record;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::crypto::cipher::{
    AeadKey, InboundOpaqueMessage, InboundPlainMessage, KeyBlockShape, MessageDecrypter, MessageEncrypter,
    OutboundOpaqueMessage, OutboundPlainMessage, PrefixedPayload, Tls12AeadAlgorithm,
    UnsupportedOperationError,
};
use rustls::{
    CipherSuite, CipherSuiteCommon, ConnectionTrafficSecrets, Error, SupportedCipherSuite, Tls12CipherSuite,
};

use self::record::{Opener, Sealer};
use crate::crypto::random;

/// Largest content of a record (RFC 5246, 6.2.1).
const CONTENT: usize = 1 << 14;
const MAC_KEY: usize = 48;
const AES_KEY: usize = 32;
const KEY_BLOCK: usize = 2 * (MAC_KEY + AES_KEY);

/// Which end of a connection a configuration is for: it decides whose half of the key block is whose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The end that connects.
    Client,
    /// The end that is connected to.
    Server,
}

/// Each suite with the one of the provider that it shares all with but record protection.
const SUITES: [(CipherSuite, CipherSuite); 2] = [
    (
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA384,
        CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    ),
    (
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA384,
        CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    ),
];

/// Whether a suite is one of these two.
#[must_use]
pub fn is_legacy(suite: CipherSuite) -> bool {
    SUITES.iter().any(|(legacy, _)| *legacy == suite)
}

/// The two suites for one end, to be put behind all others of the provider; those whose GCM twin the provider lacks are
/// left out. Made once in a process.
#[must_use]
pub fn suites(provider: &CryptoProvider, end: End) -> Vec<SupportedCipherSuite> {
    static MADE: [OnceLock<Vec<&'static Tls12CipherSuite>>; 2] = [OnceLock::new(), OnceLock::new()];
    let (place, protection): (_, &'static Protection) = match end {
        End::Client => (&MADE[0], &Protection(End::Client)),
        End::Server => (&MADE[1], &Protection(End::Server)),
    };
    let made = place.get_or_init(|| {
        let twin = |wanted| {
            provider.cipher_suites.iter().find_map(|suite| match suite {
                SupportedCipherSuite::Tls12(suite) if suite.common.suite == wanted => Some(*suite),
                SupportedCipherSuite::Tls12(_) | SupportedCipherSuite::Tls13(_) => None,
            })
        };
        let suites = SUITES.iter().filter_map(|(suite, like)| {
            let like = twin(*like)?;
            let made = Tls12CipherSuite {
                common: CipherSuiteCommon {
                    suite: *suite,
                    hash_provider: like.common.hash_provider,
                    // CBC repeats blocks at 2^64 of them; records are long counted out before.
                    confidentiality_limit: 1 << 24,
                },
                prf_provider: like.prf_provider,
                kx: like.kx,
                sign: like.sign,
                aead_alg: protection,
            };
            // rustls wants suites that live as long as the process.
            Some(&*Box::leak(Box::new(made)))
        });
        suites.collect()
    });
    made.iter()
        .map(|suite| SupportedCipherSuite::Tls12(suite))
        .collect()
}

/// What a decrypter waits for.
type Half = Arc<OnceLock<Opener>>;

thread_local! {
    /// The decrypter that was made last on this thread, until the encrypter of the same connection is.
    static WAITING: RefCell<Option<Half>> = const { RefCell::new(None) };
}

/// Record protection as rustls asks for it.
struct Protection(End);

impl Tls12AeadAlgorithm for Protection {
    fn decrypter(&self, _key: AeadKey, _iv: &[u8]) -> Box<dyn MessageDecrypter> {
        let half = Half::default();
        WAITING.set(Some(Arc::clone(&half)));
        Box::new(Decrypter(half))
    }

    fn encrypter(&self, _key: AeadKey, _iv: &[u8], key_block: &[u8]) -> Box<dyn MessageEncrypter> {
        let waiting = WAITING.take();
        let (Some(waiting), Ok(block)) = (waiting, <&[u8; KEY_BLOCK]>::try_from(key_block)) else {
            return Box::new(Encrypter(None));
        };
        let (mac, aes) = block.split_at(2 * MAC_KEY);
        let (client, server) = (
            (&mac[..MAC_KEY], &aes[..AES_KEY]),
            (&mac[MAC_KEY..], &aes[AES_KEY..]),
        );
        let (own, other) = match self.0 {
            End::Client => (client, server),
            End::Server => (server, client),
        };
        let given = waiting.set(Opener::new(other.0, other.1));
        Box::new(Encrypter(given.is_ok().then(|| Sealer::new(own.0, own.1))))
    }

    fn key_block_shape(&self) -> KeyBlockShape {
        KeyBlockShape {
            enc_key_len: 0,
            fixed_iv_len: 0,
            explicit_nonce_len: KEY_BLOCK,
        }
    }

    fn extract_keys(
        &self,
        _key: AeadKey,
        _iv: &[u8],
        _explicit: &[u8],
    ) -> Result<ConnectionTrafficSecrets, UnsupportedOperationError> {
        Err(UnsupportedOperationError)
    }
}

struct Decrypter(Half);

impl MessageDecrypter for Decrypter {
    fn decrypt<'a>(
        &mut self,
        mut message: InboundOpaqueMessage<'a>,
        seq: u64,
    ) -> Result<InboundPlainMessage<'a>, Error> {
        let opener = self.0.get().ok_or(Error::DecryptError)?;
        let head = (seq, u8::from(message.typ), u16::from(message.version));
        // One error for all that can be wrong with a record.
        let content = opener
            .open(head, &mut message.payload)
            .ok_or(Error::DecryptError)?;
        if content.len() > CONTENT {
            return Err(Error::PeerSentOversizedRecord);
        }
        Ok(message.into_plain_message_range(content))
    }
}

struct Encrypter(Option<Sealer>);

impl MessageEncrypter for Encrypter {
    fn encrypt(
        &mut self,
        message: OutboundPlainMessage<'_>,
        seq: u64,
    ) -> Result<OutboundOpaqueMessage, Error> {
        let sealer = self.0.as_ref().ok_or(Error::EncryptError)?;
        let content = message.payload.to_vec();
        let head = (seq, u8::from(message.typ), u16::from(message.version));
        let mut payload = PrefixedPayload::with_capacity(record::sealed_len(content.len()));
        payload.extend_from_slice(&sealer.seal(head, &content, random()));
        Ok(OutboundOpaqueMessage::new(message.typ, message.version, payload))
    }

    fn encrypted_payload_len(&self, payload_len: usize) -> usize {
        record::sealed_len(payload_len)
    }
}
