//! An entry before it has a number: what the caller can compute, so that the one writer need not. Owns the commitment's
//! inputs: salt and part list are made here, once, from the bytes that are logged.

use std::sync::Arc;

use bytes::Bytes;
use kontor_pki::crypto::{random, sha512};
use kontor_protocol::{
    id::{ClientId, ServerId, ServiceId},
    log::{Part, commitment, encode_parts},
};

use super::entry::{BatchSignature, EntryKind, LoggedBody, NewEntry, Retention, RetentionPolicy};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Message(EntryKind),
    /// An exchange ended without its answer.
    FailureClosure,
    /// A token for earlier entries.
    Timestamp,
}

/// The parties of an entry, as they stand in its leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Parties {
    pub(crate) client: Option<ClientId>,
    pub(crate) service: Option<ServiceId>,
    pub(crate) client_server: Option<ServerId>,
    pub(crate) provider_server: Option<ServerId>,
}

pub(crate) struct DraftHead {
    pub(crate) query_id: String,
    pub(crate) request_id: String,
    pub(crate) message: Bytes,
}

/// See the module.
pub(crate) struct Draft {
    pub(crate) subject: Subject,
    pub(crate) parties: Parties,
    pub(crate) retention: Retention,
    /// Bytes of message and body.
    pub(crate) size: u64,
    pub(crate) salt: [u8; 32],
    pub(crate) parts: Vec<u8>,
    pub(crate) commitment: [u8; 32],
    pub(crate) head: Option<DraftHead>,
    pub(crate) body: LoggedBody,
    pub(crate) signature: Option<Arc<BatchSignature>>,
    pub(crate) chain: Option<Bytes>,
    pub(crate) answers: Option<u64>,
    pub(crate) fault: Option<String>,
    pub(crate) token: Option<Bytes>,
    pub(crate) covered: Vec<u64>,
}

impl Draft {
    fn new(subject: Subject, parties: Parties, retention: Retention, parts: &[Part<'_>]) -> Self {
        let (salt, parts) = (random(), encode_parts(parts));
        let commitment = commitment(&salt, &parts);
        Self {
            subject,
            parties,
            retention,
            size: 0,
            salt,
            parts,
            commitment,
            head: None,
            body: LoggedBody::None,
            signature: None,
            chain: None,
            answers: None,
            fault: None,
            token: None,
            covered: Vec::new(),
        }
    }

    /// A message of an exchange.
    pub(crate) fn message(entry: NewEntry, policy: &RetentionPolicy) -> Self {
        let chain_digest = entry.chain.as_ref().map(|chain| sha512(chain));
        let message_length = entry.message.len() as u64;
        let body = match &entry.body {
            LoggedBody::None => None,
            LoggedBody::Inline(bytes, digest) => Some((bytes.len() as u64, digest)),
            LoggedBody::Content(file, digest) => Some((file.len(), digest)),
        };
        let mut parts = vec![Part {
            name: "message.xml",
            length: message_length,
            digest: &entry.message_digest,
        }];
        if let Some((length, digest)) = body {
            parts.push(Part {
                name: "attachment1",
                length,
                digest,
            });
        }
        if let (Some(result), Some(digest)) = (
            entry.signature.chain_result(),
            entry.signature.chain_result_digest(),
        ) {
            parts.push(Part {
                name: "sig-hashchainresult.xml",
                length: result.len() as u64,
                digest,
            });
        }
        if let (Some(chain), Some(digest)) = (&entry.chain, &chain_digest) {
            parts.push(Part {
                name: "sig-hashchain.xml",
                length: chain.len() as u64,
                digest,
            });
        }
        let (document, digest) = (entry.signature.document(), entry.signature.digest());
        parts.push(Part {
            name: "signatures.xml",
            length: document.len() as u64,
            digest,
        });
        let size = message_length + body.map_or(0, |(length, _)| length);
        let retention = policy.choose(&entry.service);
        let parties = Parties {
            client: Some(entry.client),
            service: Some(entry.service),
            client_server: entry.client_server,
            provider_server: entry.provider_server,
        };
        let draft = Self::new(Subject::Message(entry.kind), parties, retention, &parts);
        let head = DraftHead {
            query_id: entry.query_id,
            request_id: entry.request_id,
            message: entry.message,
        };
        Self {
            size,
            head: Some(head),
            body: entry.body,
            signature: Some(entry.signature),
            chain: entry.chain,
            answers: entry.answers,
            ..draft
        }
    }

    /// The end of an exchange without an answer. It speaks of the same parties as the request.
    pub(crate) fn failure_closure(
        request: u64,
        parties: Parties,
        fault: String,
        policy: &RetentionPolicy,
    ) -> Self {
        let digest = sha512(fault.as_bytes());
        let parts = [Part {
            name: "fault",
            length: fault.len() as u64,
            digest: &digest,
        }];
        let draft = Self::new(Subject::FailureClosure, parties, policy.default.clone(), &parts);
        Self {
            answers: Some(request),
            fault: Some(fault),
            ..draft
        }
    }

    /// A token over earlier entries.
    pub(crate) fn timestamp(token: Bytes, covered: Vec<u64>, policy: &RetentionPolicy) -> Self {
        let numbers: Vec<u8> = covered.iter().flat_map(|number| number.to_be_bytes()).collect();
        let (token_digest, numbers_digest) = (sha512(&token), sha512(&numbers));
        let parts = [
            Part {
                name: "timestamp.tst",
                length: token.len() as u64,
                digest: &token_digest,
            },
            Part {
                name: "numbers",
                length: numbers.len() as u64,
                digest: &numbers_digest,
            },
        ];
        let draft = Self::new(
            Subject::Timestamp,
            Parties::default(),
            policy.default.clone(),
            &parts,
        );
        Self {
            token: Some(token),
            covered,
            ..draft
        }
    }
}
