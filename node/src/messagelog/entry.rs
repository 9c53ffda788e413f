//! What is handed to the log and what comes back. Owns the types of the append side;
//! digests of the parts come from the caller, who has them anyway.

use std::sync::Arc;

use bytes::Bytes;
use kontor_pki::crypto::sha512;
use kontor_protocol::id::{ClientId, ServerId, ServiceId};
use kontor_protocol::log::tree::Hash;

use super::content::ContentFile;

/// Which message of an exchange an entry records, seen from this node. Each exchange leaves two on each side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// Our client's request, signed by us.
    RequestSent,
    /// A peer's request, verified.
    RequestReceived,
    /// Our service's response, signed by us.
    ResponseSent,
    /// A peer's response, verified.
    ResponseReceived,
}

impl EntryKind {
    /// Whether an answer is due, and a failure closure if none comes.
    pub fn is_request(self) -> bool {
        matches!(self, Self::RequestSent | Self::RequestReceived)
    }
}

/// The body of a message as it is logged.
#[derive(Debug, Clone)]
pub enum LoggedBody {
    /// The message has none.
    None,
    /// A small one, with its SHA-512.
    Inline(Bytes, [u8; 64]),
    /// A large one, spooled, with its SHA-512.
    Content(ContentFile, [u8; 64]),
}

/// A signature document with the chain result it may stand on. One batch shares one value, and one place on disk.
#[derive(Debug)]
pub struct BatchSignature {
    document: Bytes,
    digest: [u8; 64],
    chain_result: Option<(Bytes, [u8; 64])>,
}

impl BatchSignature {
    /// Takes the exact bytes of `signatures.xml` and of `sig-hashchainresult.xml`, if the message was signed in a batch.
    pub fn new(document: Bytes, chain_result: Option<Bytes>) -> Arc<Self> {
        let digest = sha512(&document);
        let chain_result = chain_result.map(|bytes| {
            let digest = sha512(&bytes);
            (bytes, digest)
        });
        Arc::new(Self {
            document,
            digest,
            chain_result,
        })
    }

    /// The signature document.
    pub fn document(&self) -> &Bytes {
        &self.document
    }

    /// SHA-512 of the signature document.
    pub fn digest(&self) -> &[u8; 64] {
        &self.digest
    }

    /// The chain result, if the signature stands on one.
    pub fn chain_result(&self) -> Option<&Bytes> {
        self.chain_result.as_ref().map(|(bytes, _)| bytes)
    }

    /// SHA-512 of the chain result.
    pub fn chain_result_digest(&self) -> Option<&[u8; 64]> {
        self.chain_result.as_ref().map(|(_, digest)| digest)
    }
}

/// A message to be recorded.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Which message of the exchange.
    pub kind: EntryKind,
    /// For a response: the number of the request it answers, from its [`Receipt`]. `None` for a request.
    pub answers: Option<u64>,
    /// The subsystem or member that asked.
    pub client: ClientId,
    /// The service that was asked.
    pub service: ServiceId,
    /// The security server on the client's side, as far as it is known.
    pub client_server: Option<ServerId>,
    /// The security server on the provider's side, as far as it is known.
    pub provider_server: Option<ServerId>,
    /// `x-road-id` of the message, by which people search. Only in the head.
    pub query_id: String,
    /// `x-road-request-id`, which pairs request and response. Only in the head: it blinds the digests of the parts.
    pub request_id: String,
    /// The request message, also of a response: its path decides which rule of retention holds.
    pub request: Bytes,
    /// The signed message: REST message bytes, or SOAP.
    pub message: Bytes,
    /// SHA-512 of it.
    pub message_digest: [u8; 64],
    /// The REST body, `attachment1`.
    pub body: LoggedBody,
    /// The signature over it.
    pub signature: Arc<BatchSignature>,
    /// `sig-hashchain.xml`, if the message was signed in a batch.
    pub chain: Option<Bytes>,
}

/// Proof that an entry is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Receipt {
    /// The entry's number, from 0, without gaps.
    pub number: u64,
    /// Hash of its leaf in the tree of the log.
    pub leaf: Hash,
    /// The second that the leaf names.
    pub second: u64,
}
