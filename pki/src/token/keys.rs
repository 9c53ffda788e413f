//! Keys of an issuer (JWK Set, RFC 7517), and the one way from a token to its claims.
//!
//! What cannot be used is passed over (RFC 7517, 5): an issuer may publish keys for others too. Shared secrets are never keys here.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::{Claims, Token, TokenAlgorithm, TokenError};
use crate::crypto::verify_ed25519;
use crate::signing::{self, SignatureAlgorithm};

/// Keys of one issuer that are looked at.
const MAX_KEYS: usize = 64;

/// Why there are no keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeySetError {
    /// Not an object in JSON with a list of keys.
    #[error("this is no set of keys: an object in JSON with the member `keys` is wanted")]
    Malformed,
    /// None of them verifies tokens.
    #[error("no key of it verifies tokens with RS256, PS256, ES256 or EdDSA")]
    Empty,
}

/// The keys that an issuer publishes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeySet(Vec<Key>);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Key {
    name: Option<String>,
    /// The only algorithm that it is for, where the issuer says so.
    algorithm: Option<TokenAlgorithm>,
    material: Material,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Material {
    /// SubjectPublicKeyInfo.
    Rsa(Vec<u8>),
    /// SubjectPublicKeyInfo.
    P256(Vec<u8>),
    Ed25519([u8; 32]),
}

impl KeySet {
    /// Reads a set of keys.
    ///
    /// # Errors
    /// What is no set, or one without a key of use.
    pub fn parse(json: &[u8]) -> Result<Self, KeySetError> {
        let set: Map<String, Value> = serde_json::from_slice(json).map_err(|_| KeySetError::Malformed)?;
        let keys = set
            .get("keys")
            .and_then(Value::as_array)
            .ok_or(KeySetError::Malformed)?;
        let keys: Vec<Key> = keys.iter().filter_map(Key::read).take(MAX_KEYS).collect();
        match keys.is_empty() {
            true => Err(KeySetError::Empty),
            false => Ok(Self(keys)),
        }
    }

    /// The claims of a token that one of these keys signed, with one of the algorithms that the caller accepts.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] where no key could have signed it: the issuer may have others by now.
    pub fn verify<'t>(
        &self,
        token: &'t Token<'_>,
        accepted: impl IntoIterator<Item = TokenAlgorithm>,
    ) -> Result<Claims<'t>, TokenError> {
        if !accepted.into_iter().any(|algorithm| algorithm == token.algorithm) {
            return Err(TokenError::Algorithm);
        }
        let mut verdict = Err(TokenError::UnknownKey);
        for key in self.0.iter().filter(|key| key.may_have_signed(token)) {
            match key.signed(token) {
                true => return Ok(Claims::of(&token.claims)),
                false => verdict = Err(TokenError::Signature),
            }
        }
        verdict
    }
}

impl Key {
    /// `None` for what is no key for signatures of the list.
    fn read(value: &Value) -> Option<Self> {
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        if text("use").is_some_and(|it| it != "sig") {
            return None;
        }
        if let Some(for_what) = value.get("key_ops") {
            for_what.as_array()?.iter().find(|it| *it == "verify")?;
        }
        // Of another algorithm than those of the list it is for nobody here.
        let algorithm = match text("alg") {
            Some(name) => Some(TokenAlgorithm::of_header(name)?),
            None => None,
        };
        let number = |name: &str| BASE64_URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let short = |name: &str| <[u8; 32]>::try_from(number(name)?).ok();
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => Material::Rsa(signing::rsa_key_of(&number("n")?, &number("e")?)),
            ("EC", Some("P-256")) => Material::P256(signing::p256_key_of(&short("x")?, &short("y")?)),
            ("OKP", Some("Ed25519")) => Material::Ed25519(short("x")?),
            _ => return None,
        };
        let key = Self {
            name: text("kid").map(str::to_owned),
            algorithm,
            material,
        };
        // A key that says to be for an algorithm of another kind of key.
        match algorithm.is_none_or(|algorithm| key.is_for(algorithm)) {
            true => Some(key),
            false => None,
        }
    }

    fn is_for(&self, algorithm: TokenAlgorithm) -> bool {
        use TokenAlgorithm::{EdDsa, Es256, Ps256, Rs256};
        let kind = match self.material {
            Material::Rsa(_) => matches!(algorithm, Rs256 | Ps256),
            Material::P256(_) => algorithm == Es256,
            Material::Ed25519(_) => algorithm == EdDsa,
        };
        kind && self.algorithm.is_none_or(|only| only == algorithm)
    }

    fn may_have_signed(&self, token: &Token<'_>) -> bool {
        let named = match (&self.name, &token.key) {
            (Some(ours), Some(theirs)) => ours == theirs,
            // Issuers with a single key may leave its name out.
            (None, _) | (_, None) => true,
        };
        named && self.is_for(token.algorithm)
    }

    fn signed(&self, token: &Token<'_>) -> bool {
        let (message, value) = (token.signed.as_bytes(), token.signature.as_slice());
        let holds = |algorithm, key: &[u8], value: &[u8]| {
            signing::verify_signature(algorithm, key, message, value).is_ok()
        };
        match (&self.material, token.algorithm) {
            (Material::Rsa(key), TokenAlgorithm::Rs256) => holds(SignatureAlgorithm::RsaSha256, key, value),
            (Material::Rsa(key), TokenAlgorithm::Ps256) => {
                holds(SignatureAlgorithm::RsaPssSha256, key, value)
            }
            // Both halves have the length of the field, whatever their value (RFC 7518, 3.4).
            (Material::P256(key), TokenAlgorithm::Es256) if value.len() == 64 => {
                signing::ecdsa_fixed_to_der(value)
                    .is_ok_and(|value| holds(SignatureAlgorithm::EcdsaSha256, key, &value))
            }
            (Material::Ed25519(key), TokenAlgorithm::EdDsa) => {
                <&[u8; 64]>::try_from(value).is_ok_and(|value| verify_ed25519(key, message, value).is_ok())
            }
            (Material::Rsa(_) | Material::P256(_) | Material::Ed25519(_), _) => false,
        }
    }
}
