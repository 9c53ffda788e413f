//! The binding of a key of the transparency log to a member: a statement, signed by the member's X-Road signing key as a
//! message is. Owns the bytes of the statement and the judgement; [`BoundKey`] is the only way from a key that somebody
//! shows to one that a member answers for.
//!
//! The statement is ASCII, four lines that end with a line feed each:
//!
//! ```text
//! kontor/key/1
//! <verifier key>       name+id+key, see `note`; its name is that of a log or a witness, and names the security server
//! <member>             who answers for it, in the percent-encoded form of X-Road (wire 1.3)
//! <second>             from when on it is used: seconds since 1970
//! ```
//!
//! No message of X-Road begins like that, so a signature over a statement is none over a message, and the other way round.
//! The signature is a signature document (wire 4.6) whose reference `/message.xml` is the statement, alone or in a batch;
//! certificate, path and OCSP are judged by the configuration like those of any message, at the second of the statement or
//! at an instant that a time-stamp vouches for.
//!
//! The member owns the security server, or is registered at it.
//!
//! As a file it is JSON: `format` is 1, `statement` a string, `signature` and, where the signature is over a chain,
//! `chain_result` and `chain` are base64.

#[cfg(test)]
mod tests;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::sha512;
use kontor_pki::time::UnixTime;

use super::checkpoint::decimal;
use super::note::{SignatureKind, VerifierKey};
use super::origin::{LogOrigin, parse_witness_name};
use super::tree::SIZE_LIMIT;
use crate::hash_chain::PartDigest;
use crate::id::{MemberId, ServerId};
use crate::limits;
use crate::signature::{SignatureDocument, SignatureError};
use crate::trust::TrustSet;
use crate::verify::{VerifyError, verify_document};

const HEADER: &str = "kontor/key/1";
const FORMAT: u32 = 1;

/// What a member says about a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    key: VerifierKey,
    server: ServerId,
    member: MemberId,
    since: u64,
}

/// Why a binding binds nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// Not in the form of a binding.
    #[error("not the binding of a key: {0}")]
    Malformed(&'static str),
    /// The member has nothing to do with the server.
    #[error("{member} neither owns the security server {server} nor is registered at it")]
    Member {
        /// Who signed.
        member: String,
        /// Whose log or witness it is.
        server: String,
    },
    /// The signature document cannot be read.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// The signature is not believed.
    #[error("the key is not bound to the member: {0}")]
    Verify(#[from] VerifyError),
}

impl BindingError {
    /// A stable word for reports: for signatures that of wire 10.2.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed_binding",
            Self::Member { .. } => "binding_member",
            Self::Signature(error) => error.code().snake(),
            Self::Verify(error) => error.fault().cause().snake(),
        }
    }
}

impl Statement {
    /// A statement about a key of a log or a witness of ours.
    ///
    /// # Errors
    /// A key whose name is not that of a log (kind 0x01) or a witness (0x04), or a second above [`SIZE_LIMIT`].
    pub fn new(key: VerifierKey, member: MemberId, since: u64) -> Result<Self, BindingError> {
        let name = key.name().as_str();
        let server = match key.kind() {
            SignatureKind::Ed25519 => LogOrigin::parse(name).map(|origin| origin.server),
            SignatureKind::Cosignature => parse_witness_name(name),
        };
        let server = server.ok_or(BindingError::Malformed(
            "the key has not the name of a log or a witness",
        ))?;
        if since > SIZE_LIMIT {
            return Err(BindingError::Malformed("the second is beyond all time"));
        }
        Ok(Self {
            key,
            server,
            member,
            since,
        })
    }

    /// Reads a statement.
    ///
    /// # Errors
    /// What [`Display`](fmt::Display) would not write.
    pub fn parse(text: &str) -> Result<Self, BindingError> {
        let malformed = BindingError::Malformed;
        if text.len() > limits::BINDING_STATEMENT {
            return Err(malformed("the statement is too long"));
        }
        let lines: Vec<_> = text.split('\n').collect();
        let [HEADER, key, member, since, ""] = lines[..] else {
            return Err(malformed("the statement has not the four lines of version 1"));
        };
        let key = key
            .parse()
            .map_err(|_| malformed("the statement has no verifier key"))?;
        let member = MemberId::parse_path(member).map_err(|_| malformed("the statement names no member"))?;
        let since = decimal(since).ok_or(malformed("the statement has no second"))?;
        let read = Self::new(key, member, since)?;
        if read.to_string() == text {
            Ok(read)
        } else {
            Err(malformed("the member is not in its one spelling"))
        }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.key
    }

    /// Whose log or witness it is.
    #[must_use]
    pub const fn server(&self) -> &ServerId {
        &self.server
    }

    /// Who answers for it.
    #[must_use]
    pub const fn member(&self) -> &MemberId {
        &self.member
    }

    /// From when on it is used, by the member's clock: seconds since 1970.
    #[must_use]
    pub const fn since(&self) -> u64 {
        self.since
    }

    /// What the member signs, as the message part of a signature.
    #[must_use]
    pub fn part(&self) -> PartDigest {
        PartDigest::message(sha512(self.to_string().as_bytes()))
    }
}

impl fmt::Display for Statement {
    /// The bytes that are signed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{HEADER}\n{}\n{}\n{}\n",
            self.key,
            self.member.to_path(),
            self.since
        )
    }
}

/// A statement with its signature, neither of which is verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// What is said.
    pub statement: Statement,
    /// The signature document.
    pub signature: Vec<u8>,
    /// Chain result and chain, where the document signs a batch.
    pub chain: Option<(Vec<u8>, Vec<u8>)>,
}

/// A key that a member answers for; only [`Binding::verify`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundKey {
    statement: Statement,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct BindingJson {
    format: u32,
    statement: String,
    signature: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain_result: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    chain: Option<String>,
}

impl Binding {
    /// Reads the file.
    ///
    /// # Errors
    /// What is no binding.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BindingError> {
        if bytes.len() > 2 * (limits::SIGNATURE + limits::HASH_CHAIN) {
            return Err(BindingError::Malformed("the file is too large"));
        }
        let json: BindingJson =
            serde_json::from_slice(bytes).map_err(|_| BindingError::Malformed("the file is not its JSON"))?;
        Self::from_value(&json)
    }

    /// The file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(&self.to_value()).expect("strings always serialise");
        text.push(b'\n');
        text
    }

    pub(crate) fn from_value(json: &BindingJson) -> Result<Self, BindingError> {
        if json.format != FORMAT {
            return Err(BindingError::Malformed(
                "it has another format than 1; a newer program may read it",
            ));
        }
        let decode = |text: &String, limit| {
            STANDARD
                .decode(text)
                .ok()
                .filter(|bytes| bytes.len() <= limit)
                .ok_or(BindingError::Malformed("something is not base64 or too long"))
        };
        let chain = match (&json.chain_result, &json.chain) {
            (Some(result), Some(chain)) => Some((
                decode(result, limits::HASH_CHAIN_RESULT)?,
                decode(chain, limits::HASH_CHAIN)?,
            )),
            (None, None) => None,
            _ => return Err(BindingError::Malformed("it has half of a hash chain")),
        };
        Ok(Self {
            statement: Statement::parse(&json.statement)?,
            signature: decode(&json.signature, limits::SIGNATURE)?,
            chain,
        })
    }

    pub(crate) fn to_value(&self) -> BindingJson {
        let chain = self.chain.as_ref();
        BindingJson {
            format: FORMAT,
            statement: self.statement.to_string(),
            signature: STANDARD.encode(&self.signature),
            chain_result: chain.map(|(result, _)| STANDARD.encode(result)),
            chain: chain.map(|(_, chain)| STANDARD.encode(chain)),
        }
    }

    /// Verifies that the member signed the statement, by the configuration of its instance: at the second that the
    /// statement names, or at `at` where a time-stamp vouches for that.
    ///
    /// # Errors
    /// Why the key is not the member's.
    pub fn verify(&self, trust: &TrustSet, at: Option<UnixTime>) -> Result<BoundKey, BindingError> {
        let Statement {
            server,
            member,
            since,
            ..
        } = &self.statement;
        let registered = || {
            let mut clients = trust
                .server(server)
                .into_iter()
                .flat_map(|server| &server.clients);
            clients.any(|client| client.member() == member)
        };
        if server.owner() != member && !registered() {
            return Err(BindingError::Member {
                member: member.to_string(),
                server: server.to_string(),
            });
        }
        let document = SignatureDocument::parse(&self.signature)?;
        // Later than 292 million years is not judged differently.
        let since = UnixTime::from_secs(i64::try_from(*since).unwrap_or(i64::MAX).min(i64::MAX / 1000));
        let policy = trust.ocsp_policy();
        let verdict = verify_document(trust, &document, member, at.unwrap_or(since), &policy)?;
        let chain = self.chain.as_ref();
        verdict.covers(
            &[self.statement.part()],
            chain.map(|(result, _)| &result[..]),
            chain.map(|(_, chain)| &chain[..]),
        )?;
        Ok(BoundKey {
            statement: self.statement.clone(),
        })
    }
}

impl BoundKey {
    /// What the member says.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.statement
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &VerifierKey {
        &self.statement.key
    }
}
