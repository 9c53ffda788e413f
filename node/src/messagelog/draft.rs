//! An entry before it has a number: what the caller can compute, so that the one writer need not. Owns the commitment's
//! inputs: salt and part list are made here, once, from the bytes that are logged.

use std::sync::Arc;

use bytes::Bytes;
use kontor_pki::crypto::{random, sha512};
use kontor_protocol::log::{Leaf, Part, RetentionClass, commitment, encode_parts};

use super::{
    blob::NotKept,
    entry::{BatchSignature, EntryKind, LoggedBody, NewEntry},
    fact::Fact,
    leaf::{self, Origin, Parties, Subject},
    short::shortened,
};
use crate::config::retention::{self, Logging, Retention, RetentionPolicy};

pub(crate) struct DraftHead {
    pub(crate) query_id: String,
    pub(crate) request_id: String,
    pub(crate) message: Bytes,
}

/// A token and what it is over.
pub(crate) struct NewStamp {
    pub(crate) token: Bytes,
    pub(crate) covered: Vec<u64>,
    /// For many records: the digests of their signature documents, 64 bytes each, in the order of `covered`.
    pub(crate) digests: Vec<u8>,
    /// Every message below this number is stamped, these included.
    pub(crate) stamped_below: Option<u64>,
}

/// See the module.
pub(crate) struct Draft {
    /// Complete but for number, second and period.
    pub(crate) leaf: Leaf,
    pub(crate) salt: [u8; 32],
    pub(crate) parts: Vec<u8>,
    pub(crate) head: Option<DraftHead>,
    pub(crate) body: LoggedBody,
    pub(crate) signature: Option<Arc<BatchSignature>>,
    pub(crate) chain: Option<Bytes>,
    pub(crate) answers: Option<u64>,
    pub(crate) fault: Option<String>,
    pub(crate) token: Option<Bytes>,
    pub(crate) covered: Vec<u64>,
    /// Digests of what a time-stamp over many covers, 64 bytes each.
    pub(crate) digests: Vec<u8>,
    pub(crate) stamped_below: Option<u64>,
    /// What a fact says, by name.
    pub(crate) documents: Vec<(String, Bytes)>,
    /// The entries that a fact concerns, encoded.
    pub(crate) concerned: Option<Vec<u8>>,
    /// What of the message is left out from the start.
    pub(crate) not_kept: NotKept,
    /// Whether it is written though less than the reserve is free.
    pub(crate) uses_reserve: bool,
}

impl Draft {
    fn new(
        origin: &Origin,
        subject: Subject,
        parties: Parties,
        evidence: &RetentionClass,
        parts: &[Part<'_>],
    ) -> Self {
        let (salt, parts) = (random(), encode_parts(parts));
        let mut leaf = leaf::unnumbered(origin, subject, parties, commitment(&salt, &parts));
        leaf.retention.evidence = Some(evidence.clone());
        Self {
            leaf,
            salt,
            parts,
            head: None,
            body: LoggedBody::None,
            signature: None,
            chain: None,
            answers: None,
            fault: None,
            token: None,
            covered: Vec::new(),
            digests: Vec::new(),
            stamped_below: None,
            documents: Vec::new(),
            concerned: None,
            not_kept: NotKept::default(),
            uses_reserve: false,
        }
    }

    /// A message of an exchange.
    pub(crate) fn message(origin: &Origin, entry: NewEntry, policy: &RetentionPolicy) -> Self {
        let chain_digest = entry.chain.as_ref().map(|chain| sha512(chain));
        let message_length = entry.message.len() as u64;
        let body = match &entry.body {
            LoggedBody::None => None,
            LoggedBody::Inline(bytes, digest) => Some((bytes.len() as u64, digest)),
            LoggedBody::Content(file, digest) => Some((file.len(), digest)),
        };
        let mut parts = Vec::with_capacity(5);
        parts.push(Part {
            name: "message.xml",
            length: message_length,
            digest: &entry.message_digest,
        });
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
        let own = match entry.kind {
            EntryKind::RequestSent | EntryKind::ResponseReceived => &entry.client,
            EntryKind::RequestReceived | EntryKind::ResponseSent => entry.service.provider(),
        };
        let (Retention { head, body, evidence }, logging) = policy.choose(&retention::Subject {
            own,
            service: &entry.service,
            request: &entry.request,
        });
        let not_kept = NotKept {
            body: logging != Logging::Full && !matches!(entry.body, LoggedBody::None),
            head: logging == Logging::ShortHead,
        };
        let parties = Parties {
            client: Some(entry.client),
            service: Some(entry.service),
            client_server: entry.client_server,
            provider_server: entry.provider_server,
        };
        let mut draft = Self::new(origin, Subject::Message(entry.kind), parties, &evidence, &parts);
        let kept_body = match not_kept.body {
            true => LoggedBody::None,
            false => entry.body,
        };
        draft.leaf.size_class = Leaf::size_class(size);
        draft.leaf.retention.head = Some(head);
        draft.leaf.retention.body = (!matches!(kept_body, LoggedBody::None)).then_some(body);
        let head = DraftHead {
            query_id: entry.query_id,
            request_id: entry.request_id,
            message: match not_kept.head {
                true => shortened(&entry.message),
                false => entry.message,
            },
        };
        Self {
            head: Some(head),
            body: kept_body,
            not_kept,
            signature: Some(entry.signature),
            chain: entry.chain,
            answers: entry.answers,
            ..draft
        }
    }

    /// The end of an exchange without an answer. It speaks of the same parties as the request.
    pub(crate) fn failure_closure(
        origin: &Origin,
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
        let draft = Self::new(
            origin,
            Subject::FailureClosure,
            parties,
            &policy.default.evidence,
            &parts,
        );
        Self {
            answers: Some(request),
            fault: Some(fault),
            ..draft
        }
    }

    /// A fact about the log or its node.
    pub(crate) fn fact(origin: &Origin, fact: Fact) -> Self {
        let concerned = (!fact.numbers.is_empty()).then(|| fact.numbers.encode());
        let listed = fact.documents.iter().map(|(name, bytes)| (&name[..], &bytes[..]));
        let listed: Vec<_> = listed
            .chain(concerned.as_deref().map(|numbers| ("numbers", numbers)))
            .map(|(name, bytes)| (name, bytes.len() as u64, sha512(bytes)))
            .collect();
        let parts: Vec<_> = listed
            .iter()
            .map(|(name, length, digest)| Part {
                name,
                length: *length,
                digest,
            })
            .collect();
        let subject = Subject::Fact(fact.kind);
        let draft = Self::new(origin, subject, Parties::default(), &fact.class, &parts);
        Self {
            documents: fact.documents,
            concerned,
            uses_reserve: fact.kind.uses_reserve(),
            ..draft
        }
    }

    /// A token over earlier entries.
    pub(crate) fn timestamp(origin: &Origin, stamp: NewStamp, policy: &RetentionPolicy) -> Self {
        let NewStamp {
            token,
            covered,
            digests,
            stamped_below,
        } = stamp;
        let numbers: Vec<u8> = covered.iter().flat_map(|number| number.to_be_bytes()).collect();
        let (token_digest, numbers_digest) = (sha512(&token), sha512(&numbers));
        let digests_digest = sha512(&digests);
        let mut parts = vec![
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
        if !digests.is_empty() {
            parts.push(Part {
                name: "digests",
                length: digests.len() as u64,
                digest: &digests_digest,
            });
        }
        let (subject, evidence) = (Subject::Timestamp, &policy.default.evidence);
        let draft = Self::new(origin, subject, Parties::default(), evidence, &parts);
        Self {
            token: Some(token),
            covered,
            digests,
            stamped_below,
            ..draft
        }
    }
}
