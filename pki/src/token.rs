//! Signed tokens by which an issuer says who somebody is: JWT (RFC 7519) in the compact form of JWS (RFC 7515).
//!
//! Owns reading a token, here; the issuer's keys (`token/keys.rs`), which alone turn it into claims; and what claims must say at an
//! instant (`token/claims.rs`). Refuses every algorithm outside a closed list, so `none` and those with a shared secret, whatever
//! the token says about itself; extensions that must be understood; tokens made for another purpose. Where keys come from is the
//! caller's affair.

mod claims;
mod keys;

pub use claims::{Claims, ClaimsRefused, Expected, Holds};
pub use keys::{KeySet, KeySetError};

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// Octets of a token; longer ones are not read.
pub const MAX_TOKEN: usize = 16 * 1024;

/// How tokens may be signed: the whole list.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum TokenAlgorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl TokenAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 4] = [Self::Rs256, Self::Ps256, Self::Es256, Self::EdDsa];

    /// The name in headers of tokens.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// The algorithm of a header: RFC 9864 gave EdDSA on Ed25519 a name of its own.
    fn of_header(name: &str) -> Option<Self> {
        match name {
            "Ed25519" => Some(Self::EdDsa),
            name => name.parse().ok(),
        }
    }
}

impl fmt::Display for TokenAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not on the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("tokens are signed with RS256, PS256, ES256 or EdDSA")]
pub struct UnknownAlgorithm;

impl FromStr for TokenAlgorithm {
    type Err = UnknownAlgorithm;

    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        let found = Self::ALL.into_iter().find(|algorithm| algorithm.name() == name);
        found.ok_or(UnknownAlgorithm)
    }
}

/// A token cannot be judged, or its signature does not hold.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// Not three pieces of base64url, of which two are objects in JSON.
    #[error("this is no signed token: {0}")]
    Malformed(&'static str),
    /// Signed with something that is not on the list of the reader.
    #[error("the token is signed with an algorithm that is not accepted here")]
    Algorithm,
    /// Made for something else, such as an identity of a device or a logout.
    #[error("the token is of another type than an access token")]
    Type,
    /// None of the keys is named by the token and of its algorithm.
    #[error("the token is signed by no key that its issuer publishes")]
    UnknownKey,
    /// The key did not sign it.
    #[error("the signature of the token does not fit its content and the key of its issuer")]
    Signature,
}

/// A token that was read. Nothing it says is believed before [`KeySet::verify`].
pub struct Token<'a> {
    algorithm: TokenAlgorithm,
    key: Option<String>,
    signed: &'a str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

impl fmt::Debug for Token<'_> {
    /// Neither claims nor signature: what is debugged ends in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// Whether a text has the form of a token: three pieces of base64url, the last of which is empty where nothing is signed.
pub fn looks_like_token(text: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut pieces = text.split('.');
    let (header, claims, signature) = (pieces.next(), pieces.next(), pieces.next());
    [header, claims]
        .iter()
        .all(|piece| piece.is_some_and(|piece| !piece.is_empty()))
        && signature.is_some()
        && pieces.next().is_none()
        && text.bytes().all(|byte| byte == b'.' || alphabet(byte))
}

impl<'a> Token<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// What is no token, or one that nobody here could judge.
    pub fn parse(text: &'a str) -> Result<Self, TokenError> {
        if text.len() > MAX_TOKEN {
            return Err(TokenError::Malformed("it is longer than 16 KiB"));
        }
        if !looks_like_token(text) {
            return Err(TokenError::Malformed("it is not three pieces of base64url"));
        }
        let (signed, signature) = text.rsplit_once('.').unwrap_or_default();
        let (header, claims) = signed.split_once('.').unwrap_or_default();
        let header = object(header)?;
        // An extension that must be understood is not (RFC 7515, 4.1.11); `b64` would change what is signed (RFC 7797).
        if header.contains_key("crit") || header.contains_key("b64") {
            return Err(TokenError::Malformed(
                "it needs an extension that is not known here",
            ));
        }
        let text_of = |name: &str| match header.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => Err(TokenError::Malformed("a member of its header is no text")),
        };
        let algorithm = text_of("alg")?.ok_or(TokenError::Malformed("it names no algorithm"))?;
        let algorithm = TokenAlgorithm::of_header(algorithm).ok_or(TokenError::Algorithm)?;
        // One issuer signs many kinds of token with one key (RFC 8725, 3.11); an access token is of these (RFC 9068, 2.1).
        let kind = text_of("typ")?.unwrap_or("JWT").to_ascii_lowercase();
        if !matches!(kind.trim_start_matches("application/"), "jwt" | "at+jwt") {
            return Err(TokenError::Type);
        }
        Ok(Self {
            algorithm,
            key: text_of("kid")?.map(str::to_owned),
            signed,
            signature: BASE64_URL_SAFE_NO_PAD
                .decode(signature)
                .map_err(|_| TokenError::Malformed("its signature is no base64url"))?,
            claims: object(claims)?,
        })
    }

    /// What it is signed with, by its own words.
    pub fn algorithm(&self) -> TokenAlgorithm {
        self.algorithm
    }

    /// Whether it names the key that signed it.
    pub fn names_key(&self) -> bool {
        self.key.is_some()
    }

    /// Who issued it, by its own words: to find the keys by which it is judged, and for nothing else.
    pub fn unverified_issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

fn object(piece: &str) -> Result<Map<String, Value>, TokenError> {
    let bytes = BASE64_URL_SAFE_NO_PAD
        .decode(piece)
        .map_err(|_| TokenError::Malformed("a piece of it is no base64url"))?;
    serde_json::from_slice(&bytes).map_err(|_| TokenError::Malformed("a piece of it is no object in JSON"))
}

#[cfg(test)]
mod tests;
