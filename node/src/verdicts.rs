//! Verdicts about signatures, kept for as long as they hold (performance 2 and 3).
//!
//! All messages of a batch carry the same document: it is verified once, and each message then only proves its place
//! in the batch. All documents of a signer carry the same certificate and OCSP response until these are renewed: path
//! and responses are judged once, and each document then only proves its value. Keys are digests of exact bytes, with
//! signer and generation of trust.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use kontor_pki::crypto::sha256;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::Fault;
use kontor_protocol::hash_chain::PartDigest;
use kontor_protocol::id::MemberId;
use kontor_protocol::signature::SignatureDocument;
use kontor_protocol::trust::TrustSet;
use kontor_protocol::verify::{DocumentVerdict, SignerVerdict, VerifyError, verify_signer};

use crate::messagelog::BatchSignature;

/// Verdicts kept of each kind; one about a document is about 8 KiB.
const KEPT: usize = 1024;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    digest: [u8; 32],
    signer: MemberId,
    generation: [u8; 32],
}

#[derive(Debug)]
struct Document {
    verdict: DocumentVerdict,
    batch: Arc<BatchSignature>,
}

/// The verdicts of this node.
#[derive(Debug, Default)]
pub struct Verdicts {
    documents: Kept<Document>,
    signers: Kept<SignerVerdict>,
}

/// The signature of a received message, as it arrived.
#[derive(Clone, Debug)]
pub struct ReceivedSignature {
    /// Signature document.
    pub document: Bytes,
    /// Hash chain result, if one came.
    pub chain_result: Option<Bytes>,
    /// Hash chain, if one came.
    pub chain: Option<Bytes>,
}

impl Verdicts {
    /// Verifies that `signer` signed exactly these parts, of which `message` is the first. What it returns is the only
    /// thing that is logged and used.
    pub fn verify(
        &self,
        trust: &TrustSet,
        signature: &ReceivedSignature,
        message: &[u8],
        parts: &[PartDigest],
        signer: &MemberId,
        now: UnixTime,
    ) -> Result<Arc<BatchSignature>, Fault> {
        let key = |digest| Key {
            digest,
            signer: signer.clone(),
            generation: *trust.generation(),
        };
        let exact = key(sha256(&signature.document));
        let document = match self
            .documents
            .get(&exact)
            .filter(|kept| kept.verdict.valid_until() >= now)
        {
            Some(kept) => kept,
            None => {
                let read = SignatureDocument::parse(&signature.document)
                    .map_err(|e| VerifyError::from(e).fault())?;
                let known = key(read.signer_key());
                let signed = match self.signers.get(&known).filter(|kept| kept.valid_until() >= now) {
                    Some(kept) => kept,
                    None => {
                        let judged = verify_signer(trust, &read, signer, now, &trust.ocsp_policy());
                        self.signers.keep(known, Arc::new(judged.map_err(|e| e.fault())?))
                    }
                };
                let verdict = signed.verify(&read).map_err(|e| e.fault())?;
                let batch = BatchSignature::new(signature.document.clone(), signature.chain_result.clone());
                self.documents.keep(exact, Arc::new(Document { verdict, batch }))
            }
        };
        document
            .verdict
            .covers_message(
                parts,
                Some(message),
                signature.chain_result.as_deref(),
                signature.chain.as_deref(),
            )
            .map_err(|e| e.fault())?;
        // The digest of the chain result is signed, so a result that covers is the batch's own.
        Ok(document.batch.clone())
    }
}

/// Verdicts by key, bounded.
#[derive(Debug)]
struct Kept<V>(Mutex<HashMap<Key, Arc<V>>>);

impl<V> Default for Kept<V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<V> Kept<V> {
    fn get(&self, key: &Key) -> Option<Arc<V>> {
        self.lock().get(key).cloned()
    }

    /// Keeps a verdict; when there are too many, those of other generations go first, then all.
    fn keep(&self, key: Key, value: Arc<V>) -> Arc<V> {
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.retain(|other, _| other.generation == key.generation);
            if kept.len() >= KEPT {
                kept.clear();
            }
        }
        kept.insert(key, value.clone());
        value
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<V>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
