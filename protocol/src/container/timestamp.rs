//! One time-stamp over many records (wire 5.2, second row): the data to be stamped, and each record's way to it.
//!
//! Owns the tree over the digests of signature documents and what of it goes into a container. One record alone is
//! stamped over its signature value instead ([`crate::signature::insert_timestamp`]); a batch of one is refused.
//!
//! # What to store
//!
//! Chains and result follow from the digests alone, so an entry of a log needs
//!
//! - the token, as DER, with the authority's certificate in it,
//! - [`Batch::to_bytes`]: the SHA-512 of each record's signature document, in the order of the batch, 64 bytes each,
//! - which record stands at which place: the numbers covered, in the same order.
//!
//! [`Batch::from_bytes`] and [`Batch::record`] give back the three files of any record, byte for byte, also when the
//! other records are forgotten: of those a digest of a document that nobody has is left. Whoever prefers to keep
//! what concerns one record only stores its [`BatchTimestamp`] whole: some 400 bytes of result, and 200 and 170 for
//! each level of the tree of chain.

use kontor_pki::crypto::sha512;

use super::read::BatchTimestamp;
use crate::hash_chain::{self, ChainError, Input, PartDigest, Resolved, SIGNATURES, TIMESTAMP_CHAIN, Tree};
use crate::limits;

/// Why there is no batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// One record, or none.
    #[error("a time-stamp over many records needs two at least; stamp the signature of a single one")]
    TooFew,
    /// More records than one time-stamp takes.
    #[error(
        "more than {} records for one time-stamp; make several batches",
        limits::TIMESTAMP_RECORDS
    )]
    TooMany,
    /// Stored bytes that are no list of digests.
    #[error("the stored digests of a time-stamp have a length that no list of SHA-512 has")]
    Length,
}

impl BatchError {
    /// A stable word for logs and reports.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::TooFew => "timestamp_batch_too_few",
            Self::TooMany => "timestamp_batch_too_many",
            Self::Length => "timestamp_batch_length",
        }
    }
}

/// The `signatureHash` of a record: SHA-512 over its signature document, as its container will have it.
#[must_use]
pub fn signature_hash(document: &[u8]) -> [u8; 64] {
    sha512(document)
}

/// Records to be stamped together, or that were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    tree: Tree,
    result: Vec<u8>,
}

impl Batch {
    /// A batch over records whose documents have these digests ([`signature_hash`]). Two records may have the same:
    /// messages that were signed together share their document.
    ///
    /// # Errors
    /// Fewer than two records, or more than [`limits::TIMESTAMP_RECORDS`].
    pub fn new(signature_hashes: Vec<[u8; 64]>) -> Result<Self, BatchError> {
        match signature_hashes.len() {
            0 | 1 => return Err(BatchError::TooFew),
            count if count > limits::TIMESTAMP_RECORDS => return Err(BatchError::TooMany),
            _ => {}
        }
        let tree = Tree::of_leaves(signature_hashes);
        let result = tree.result(TIMESTAMP_CHAIN);
        Ok(Self { tree, result })
    }

    /// A batch over records with these signature documents.
    ///
    /// # Errors
    /// As [`Batch::new`].
    pub fn over<'a>(documents: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, BatchError> {
        Self::new(documents.into_iter().map(signature_hash).collect())
    }

    /// How many records there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a batch has two records at least")]
    pub fn len(&self) -> usize {
        self.tree.leaves().len()
    }

    /// The digests, in the order of the records.
    #[must_use]
    pub fn signature_hashes(&self) -> &[[u8; 64]] {
        self.tree.leaves()
    }

    /// What the token must be over: `ts-hashchainresult.xml`.
    #[must_use]
    pub fn stamped(&self) -> &[u8] {
        &self.result
    }

    /// `ts-hashchain.xml` of the record at this place of the batch; `None` beyond its end.
    #[must_use]
    pub fn chain(&self, place: usize) -> Option<Vec<u8>> {
        let digest = *self.tree.leaves().get(place)?;
        let name = SIGNATURES.into();
        Some(self.tree.chain(place, &[PartDigest { name, digest }]))
    }

    /// What the container of the record at this place shows. Verify the token before: it is taken as it is.
    #[must_use]
    pub fn record(&self, place: usize, token: &[u8]) -> Option<BatchTimestamp> {
        Some(BatchTimestamp {
            result: self.result.clone(),
            chain: self.chain(place)?,
            token: token.to_vec(),
        })
    }

    /// The digests one after another, to be stored beside the token.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.tree.leaves().concat()
    }

    /// The batch again, from what was stored.
    ///
    /// # Errors
    /// Bytes that are no list of two to [`limits::TIMESTAMP_RECORDS`] digests.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BatchError> {
        let (digests, []) = bytes.as_chunks::<64>() else {
            return Err(BatchError::Length);
        };
        if digests.len() > limits::TIMESTAMP_RECORDS {
            return Err(BatchError::TooMany);
        }
        Self::new(digests.to_vec())
    }
}

impl BatchTimestamp {
    /// Whether the chain leads from this signature document to what is stamped. Says nothing about the token.
    ///
    /// # Errors
    /// A chain that cannot be read, or is about another document.
    pub fn covers(&self, signatures: &[u8]) -> Result<(), ChainError> {
        let resolve = |name: &str| match name {
            TIMESTAMP_CHAIN => Resolved::Octets(&self.chain),
            SIGNATURES => Resolved::Octets(signatures),
            _ => Resolved::Unknown,
        };
        let input = Input {
            name: SIGNATURES,
            digest: None,
        };
        hash_chain::evaluate_with(&self.result, &[input], &resolve).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn documents(count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|n| format!("document {n}").into_bytes()).collect()
    }

    fn batch(count: usize) -> Batch {
        Batch::over(documents(count).iter().map(Vec::as_slice)).unwrap()
    }

    #[test]
    fn every_record_has_a_way_to_what_is_stamped_and_no_other_record_has() {
        for count in [2, 3, 5, 20, 33] {
            let batch = batch(count);
            for (place, document) in documents(count).iter().enumerate() {
                let record = batch.record(place, b"token").unwrap();
                record.covers(document).unwrap();
                assert!(record.covers(b"another document").is_err());
                assert_eq!(record.result, batch.stamped());
            }
            assert_eq!(batch.record(count, b"token"), None);
        }
    }

    #[test]
    fn a_batch_of_one_and_an_endless_one_are_refused() {
        assert_eq!(Batch::new(vec![[1; 64]]), Err(BatchError::TooFew));
        assert_eq!(Batch::new(Vec::new()), Err(BatchError::TooFew));
        let many = vec![[1; 64]; limits::TIMESTAMP_RECORDS + 1];
        assert_eq!(Batch::from_bytes(&many.concat()), Err(BatchError::TooMany));
        assert_eq!(Batch::from_bytes(&[0; 130]), Err(BatchError::Length));
    }

    #[test]
    fn records_that_share_a_document_may_stand_in_one_batch() {
        let batch = Batch::over([&b"shared"[..], b"shared", b"other"]).unwrap();
        for place in 0..2 {
            batch.record(place, b"").unwrap().covers(b"shared").unwrap();
        }
    }

    proptest! {
        #[test]
        fn what_was_stored_gives_the_same_files(hashes in prop::collection::vec(any::<[u8; 32]>(), 2..40)) {
            let hashes = hashes.iter().map(|seed| sha512(seed)).collect();
            let batch = Batch::new(hashes).unwrap();
            let again = Batch::from_bytes(&batch.to_bytes()).unwrap();
            for place in 0..batch.len() {
                prop_assert_eq!(again.record(place, b"token"), batch.record(place, b"token"));
            }
        }

        #[test]
        fn stored_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(batch) = Batch::from_bytes(&bytes) {
                prop_assert_eq!(batch.to_bytes(), bytes);
            }
        }
    }
}
