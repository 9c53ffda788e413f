//! One round in the making: the drafts that were numbered, their records as bytes, who waits for them. Owns how a draft
//! becomes a record: keys, shared document, leaf, sealed blobs. Writes nothing itself.

use std::collections::{HashMap, VecDeque};

use kontor_pki::{
    crypto::{self, AeadKey},
    time::UnixTime,
};
use kontor_protocol::log::{LEAF_LIMIT, Leaf, RetentionClass};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{
    blob::{Body, Evidence, Head, Shared, SharedPlace},
    content::ContentFile,
    draft::Draft,
    entry::{BatchSignature, LoggedBody, Receipt},
    error::LogError,
    format::{RECORD_HEADER, RECORD_LIMIT, SEAL_OVERHEAD, length},
    keytree::{BlobClass, KeyName, KeyRing, associated_data, seal},
    leaf,
    marks::Mark,
    record::{BlobState, NO_BLOB, RecordKind, RecordPlace, append_record, record_length},
};

/// Who waits for an entry; nobody for closures that clean up.
pub(crate) type Done = oneshot::Sender<Result<Receipt, LogError>>;

/// Buffers that grew beyond this are given back after the round.
const KEPT_CAPACITY: usize = 1024 * 1024;
/// Signature documents of the open segment that later entries may still cite.
const DOCUMENTS: usize = 2048;

/// Signature documents already in the open segment.
#[derive(Default)]
pub(crate) struct Documents {
    places: HashMap<[u8; 64], (Option<[u8; 64]>, SharedPlace)>,
    order: VecDeque<[u8; 64]>,
}

impl Documents {
    fn find(&self, signature: &BatchSignature) -> Option<&SharedPlace> {
        let (chain_result, place) = self.places.get(signature.digest())?;
        (chain_result.as_ref() == signature.chain_result_digest()).then_some(place)
    }

    fn insert(&mut self, signature: &BatchSignature, place: SharedPlace) {
        if self.order.len() >= DOCUMENTS
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        let value = (signature.chain_result_digest().copied(), place);
        if self.places.insert(*signature.digest(), value).is_none() {
            self.order.push_back(*signature.digest());
        }
    }

    /// A new segment begins: its entries cite documents of their own segment only.
    pub(crate) fn clear(&mut self) {
        self.places.clear();
        self.order.clear();
    }
}

/// See the module.
#[derive(Default)]
pub(crate) struct Round {
    /// Records, in order.
    pub(crate) bytes: Vec<u8>,
    pub(crate) waiting: Vec<(Receipt, Option<Done>)>,
    pub(crate) taken: Vec<ContentFile>,
    /// Entries that others are judged by.
    pub(crate) marks: Vec<Mark>,
    pub(crate) documents_written: u64,
    evidence: Vec<u8>,
    head: Vec<u8>,
    body: Vec<u8>,
}

/// Where in the log a draft is placed.
pub(crate) struct Slot<'a> {
    pub(crate) log: &'a [u8; 32],
    /// First number of the segment.
    pub(crate) segment: u64,
    /// Offset in the segment at which this round will be written.
    pub(crate) start: u64,
    pub(crate) number: u64,
    /// Entries that are synced: the first number of this round.
    pub(crate) synced: u64,
    pub(crate) now: UnixTime,
}

impl Round {
    /// The most bytes that a draft can take, with a document that is not there yet.
    pub(crate) fn bound(draft: &Draft) -> Result<usize, LogError> {
        let message = draft.head.as_ref().map_or(0, |head| {
            head.message.len() + head.query_id.len() + head.request_id.len() + 64
        });
        let body = match &draft.body {
            LoggedBody::Inline(bytes, _) => bytes.len(),
            LoggedBody::None | LoggedBody::Content(..) => 0,
        };
        let evidence = draft.parts.len()
            + draft.chain.as_ref().map_or(0, bytes::Bytes::len)
            + draft.fault.as_ref().map_or(0, String::len)
            + draft.token.as_ref().map_or(0, bytes::Bytes::len)
            + 8 * draft.covered.len()
            + draft.digests.len()
            + 32
            + draft.concerned.as_ref().map_or(0, Vec::len)
            + draft
                .documents
                .iter()
                .map(|(name, bytes)| name.len() + bytes.len() + 8)
                .sum::<usize>();
        let document = draft.signature.as_ref().map_or(0, |signature| {
            signature.document().len() + signature.chain_result().map_or(0, bytes::Bytes::len)
        });
        let largest = message.max(body).max(evidence).max(document);
        if largest > RECORD_LIMIT / 4 * 3 {
            return Err(LogError::TooLarge {
                size: largest,
                limit: RECORD_LIMIT / 4 * 3,
            });
        }
        let entry = RECORD_HEADER + LEAF_LIMIT + message + body + evidence + 1024;
        if entry > RECORD_LIMIT {
            return Err(LogError::TooLarge {
                size: entry,
                limit: RECORD_LIMIT,
            });
        }
        Ok(entry + document + RECORD_HEADER + 64 + SEAL_OVERHEAD)
    }

    /// Turns a draft into a record of this round. Nothing of it is in the round when this fails.
    pub(crate) fn place(
        &mut self,
        draft: &mut Draft,
        slot: &Slot<'_>,
        keys: &mut KeyRing,
        documents: &mut Documents,
    ) -> Result<Vec<u8>, LogError> {
        let period = leaf::period(slot.now);
        let mut key = |class, retention: &Option<RetentionClass>| match retention {
            None => Ok(None),
            Some(retention) => {
                let name = KeyName {
                    class,
                    retention: retention.clone(),
                    period,
                };
                keys.for_writing(&name, slot.number, slot.synced).map(Some)
            }
        };
        // All keys first: making a key file is the one step that can fail. The leaf names a class for each blob there is.
        let retention = &draft.leaf.retention;
        let evidence_key = key(BlobClass::Evidence, &retention.evidence)?.expect("every entry has evidence");
        let head_key = key(BlobClass::Head, &retention.head)?;
        let body_key = key(BlobClass::Body, &retention.body)?;
        let mut nonces = [[0; 12]; 3];
        crypto::fill_random(nonces.as_flattened_mut());
        let bound = |class| associated_data(slot.log, slot.number, class, period);

        let shared = draft
            .signature
            .as_ref()
            .map(|signature| self.share(signature, slot, documents));
        self.evidence.clear();
        let evidence = Evidence {
            salt: draft.salt,
            parts: &draft.parts,
            millis: slot.now.millis(),
            shared,
            chain: draft.chain.as_deref(),
            answers: draft.answers,
            fault: draft.fault.as_deref(),
            token: draft.token.as_deref(),
            covered: draft.covered.clone(),
            documents: draft
                .documents
                .iter()
                .map(|(name, bytes)| (&name[..], &bytes[..]))
                .collect(),
            concerned: draft.concerned.as_deref(),
            not_kept: draft.not_kept,
            digests: &draft.digests,
            stamped_below: draft.stamped_below,
        };
        evidence.write(&mut self.evidence);
        seal(
            &evidence_key,
            &bound(BlobClass::Evidence),
            nonces[0],
            &mut self.evidence,
        );

        let head = match (&draft.head, head_key) {
            (Some(head), Some(key)) => {
                self.head.clear();
                let plain = Head {
                    query_id: &head.query_id,
                    request_id: &head.request_id,
                    message: &head.message,
                };
                plain.write(&mut self.head);
                seal(&key, &bound(BlobClass::Head), nonces[1], &mut self.head);
                (BlobState::There, &self.head[..])
            }
            _ => NO_BLOB,
        };
        self.body.clear();
        let body = match &draft.body {
            LoggedBody::None => NO_BLOB,
            LoggedBody::Inline(bytes, _) => {
                Body::Inline(bytes).write(&mut self.body);
                (
                    BlobState::There,
                    seal_body(
                        body_key.as_ref(),
                        &bound(BlobClass::Body),
                        nonces[2],
                        &mut self.body,
                    ),
                )
            }
            LoggedBody::Content(file, _) => {
                let key = Zeroizing::new(*file.key());
                Body::Content {
                    id: file.id(),
                    key,
                    length: file.len(),
                }
                .write(&mut self.body);
                // The entry may be on disk from here on, whatever becomes of the answer.
                file.taken();
                self.taken.push(file.clone());
                let sealed = seal_body(
                    body_key.as_ref(),
                    &bound(BlobClass::Body),
                    nonces[2],
                    &mut self.body,
                );
                (BlobState::ContentFile, sealed)
            }
        };
        draft.leaf.number = slot.number;
        draft.leaf.second = Leaf::second_of(slot.now);
        draft.leaf.period = period;
        let leaf = draft.leaf.to_bytes();
        let place = RecordPlace {
            kind: RecordKind::Entry,
            number: slot.number,
            answers: draft.answers,
            round: slot.start,
        };
        let blobs = [
            (BlobState::There, &leaf[..]),
            (BlobState::There, &self.evidence[..]),
            head,
            body,
        ];
        append_record(&mut self.bytes, place, blobs);
        Ok(leaf)
    }

    /// Puts the signature document of a batch into the segment, once.
    fn share(
        &mut self,
        signature: &BatchSignature,
        slot: &Slot<'_>,
        documents: &mut Documents,
    ) -> SharedPlace {
        if let Some(place) = documents.find(signature) {
            return place.clone();
        }
        let name = slot.start + self.bytes.len() as u64;
        let key = Zeroizing::new(crypto::random());
        let mut sealed = Vec::new();
        let chain_result = signature.chain_result().map(|bytes| &bytes[..]);
        Shared {
            document: signature.document(),
            chain_result,
        }
        .write(&mut sealed);
        let associated = shared_data(slot.log, slot.segment, name);
        seal(&AeadKey::new(&key), &associated, crypto::random(), &mut sealed);
        let record = RecordPlace {
            kind: RecordKind::Shared,
            number: name,
            answers: None,
            round: slot.start,
        };
        let blobs = [NO_BLOB, (BlobState::There, &sealed[..]), NO_BLOB, NO_BLOB];
        append_record(&mut self.bytes, record, blobs);
        let place = SharedPlace {
            segment: slot.segment,
            name,
            length: length(record_length([sealed.len()])),
            key,
            digest: *signature.digest(),
        };
        documents.insert(signature, place.clone());
        self.documents_written += 1;
        place
    }

    /// Makes the round empty again and gives back what it took beyond the usual.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.taken.clear();
        self.marks.clear();
        self.documents_written = 0;
        for buffer in [
            &mut self.bytes,
            &mut self.evidence,
            &mut self.head,
            &mut self.body,
        ] {
            buffer.clear();
            buffer.shrink_to(KEPT_CAPACITY);
        }
    }
}

fn seal_body<'a>(
    key: Option<&AeadKey>,
    associated: &[u8],
    nonce: [u8; 12],
    body: &'a mut Vec<u8>,
) -> &'a [u8] {
    let key = key.expect("a body has its key before it is sealed");
    seal(key, associated, nonce, body);
    body
}

/// What a shared document is bound to.
pub(crate) fn shared_data(log: &[u8; 32], segment: u64, name: u64) -> [u8; 49] {
    let mut data = [0; 49];
    data[..32].copy_from_slice(log);
    data[32..40].copy_from_slice(&segment.to_be_bytes());
    data[40..48].copy_from_slice(&name.to_be_bytes());
    data[48] = BlobClass::Shared.code();
    data
}
