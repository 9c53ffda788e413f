//! Verdicts about signature documents, kept for the batch they belong to (performance 2).
//!
//! All messages of a batch carry the same document. It is verified once; each message then only proves its place in
//! the batch. The key is the digest of the document's exact bytes, with signer and generation of trust.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use kontor_pki::crypto::sha256;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::Fault;
use kontor_protocol::hash_chain::PartDigest;
use kontor_protocol::id::MemberId;
use kontor_protocol::signature::SignatureDocument;
use kontor_protocol::trust::TrustSet;
use kontor_protocol::verify::{DocumentVerdict, VerifyError, verify_document};

use crate::messagelog::BatchSignature;

/// Verdicts kept; about 8 KiB each with the document.
const KEPT: usize = 1024;

#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Key {
    digest: [u8; 32],
    signer: MemberId,
    generation: [u8; 32],
}

#[derive(Debug)]
struct Kept {
    verdict: DocumentVerdict,
    batch: Arc<BatchSignature>,
}

/// The verdicts of this node.
#[derive(Debug, Default)]
pub struct Verdicts(Mutex<HashMap<Key, Arc<Kept>>>);

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
    /// Verifies that `signer` signed exactly these parts. What it returns is the only thing that is logged and used.
    pub fn verify(
        &self,
        trust: &TrustSet,
        signature: &ReceivedSignature,
        parts: &[PartDigest],
        signer: &MemberId,
        now: UnixTime,
    ) -> Result<Arc<BatchSignature>, Fault> {
        let digest = sha256(&signature.document);
        let key = Key {
            digest,
            signer: signer.clone(),
            generation: *trust.generation(),
        };
        let kept = self
            .lock()
            .get(&key)
            .filter(|k| k.verdict.valid_until() >= now)
            .cloned();
        let kept = match kept {
            Some(kept) => kept,
            None => {
                let document = SignatureDocument::parse(&signature.document)
                    .map_err(|e| VerifyError::from(e).fault())?;
                let verdict = verify_document(trust, &document, signer, now, &trust.ocsp_policy())
                    .map_err(|e| e.fault())?;
                let batch = BatchSignature::new(signature.document.clone(), signature.chain_result.clone());
                Arc::new(Kept { verdict, batch })
            }
        };
        kept.verdict
            .covers(
                parts,
                signature.chain_result.as_deref(),
                signature.chain.as_deref(),
            )
            .map_err(|e| e.fault())?;
        let mut verdicts = self.lock();
        if verdicts.len() >= KEPT {
            verdicts.retain(|k, v| k.generation == key.generation && v.verdict.valid_until() >= now);
            if verdicts.len() >= KEPT {
                verdicts.clear();
            }
        }
        verdicts.entry(key).or_insert_with(|| kept.clone());
        // Its digest is signed, so a result that covers is the batch's own.
        Ok(kept.batch.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<Kept>>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
