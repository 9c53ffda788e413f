//! Evidence records (RFC 4998): proof that data existed, kept alive by newer time-stamps before older ones grow weak.
//!
//! Owns reading and writing ([`EvidenceRecord`]), hash trees over many objects ([`HashTree`]), both ways of renewal, and
//! verification ([`EvidenceRecord::verify`]). Neither time-stamps nor data are fetched: the caller has the root stamped
//! and brings the digests of its data.
//!
//! # Renewal of a whole archive
//!
//! 1. **First record.** For each object a group of digests, for example those of a time-stamp token and of what it
//!    covers; [`HashTree::new`] over all groups; stamp [`HashTree::root`] (it is the message imprint itself, not hashed
//!    again); [`EvidenceRecord::first`] with [`HashTree::reduced`] for each object.
//! 2. **Before a certificate of a time-stamp authority ends** ([`EvidenceRecord::timestamp_digest`]): a tree over the last
//!    time-stamp of each record, equal ones once; stamp its root; [`EvidenceRecord::renew_timestamp`].
//! 3. **Before the digest algorithm grows weak** ([`EvidenceRecord::renewal_digests`]): a tree over all objects with a
//!    new algorithm; stamp its root; [`EvidenceRecord::renew_tree`].
//!
//! A tree is kept only until its records are written: each record holds its own way to the root.
//!
//! # What is refused
//!
//! Weak digests; `encryptionInfo`, because nothing here is proven by way of a ciphertext; records above the bounds of
//! `evidence_record/der.rs`; BER. `cryptoInfos` and the attributes of a time-stamp are carried unread: they are not
//! bound by anything.

mod der;
mod tree;
mod verify;

pub use tree::{HashTree, ReducedTree, group_value};
pub use verify::{Policy, Verified, Windows};

use crate::UnixTime;
use crate::crypto::{self, DigestAlgorithm, Unsupported};
use crate::der::DerError;
use crate::timestamp::{TimestampError, TimestampToken};

/// An evidence record was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Not an evidence record.
    #[error("malformed evidence record: {0}")]
    Malformed(&'static str),
    /// More, deeper or longer than a record may be.
    #[error("the evidence record is beyond its limits: {0}")]
    TooLarge(&'static str),
    /// Made over encrypted data.
    #[error("the evidence record is about encrypted data, which is not supported")]
    Encrypted,
    /// A digest or signature algorithm was not sound any more when the next time-stamp was made.
    #[error("{what} of time-stamp {stamp} was not accepted at {at}, when it had to hold")]
    Algorithm {
        /// The algorithm.
        what: String,
        /// Which time-stamp, from 1.
        stamp: usize,
        /// The instant of the next time-stamp, or of the check.
        at: UnixTime,
    },
    /// The certificate of an authority had ended when the next time-stamp was made.
    #[error("the certificate of time-stamp {stamp} ended at {not_after}, before it was renewed at {at}")]
    Expired {
        /// Which time-stamp, from 1.
        stamp: usize,
        /// End of the certificate.
        not_after: UnixTime,
        /// The instant of the next time-stamp, or of the check.
        at: UnixTime,
    },
    /// The certificate of an authority had not begun.
    #[error("time-stamp {stamp} was made before the certificate of its authority began")]
    NotYetValid {
        /// Which time-stamp, from 1.
        stamp: usize,
    },
    /// The data, or what was renewed, is not among what was stamped.
    #[error("time-stamp {stamp} is not about {what}")]
    NotCovered {
        /// Which time-stamp, from 1.
        stamp: usize,
        /// What it should be about.
        what: &'static str,
    },
    /// Two time-stamps of one chain with different digests.
    #[error("time-stamp {stamp} uses another digest than the others of its chain")]
    MixedDigests {
        /// Which time-stamp, from 1.
        stamp: usize,
    },
    /// A time-stamp from before the one it renews, or from after the check.
    #[error("time-stamp {stamp} is not from between the one it renews and now")]
    Order {
        /// Which time-stamp, from 1.
        stamp: usize,
    },
    /// The caller did not bring the data's digest by this algorithm.
    #[error("the evidence record needs the {} of the data", .0.name())]
    DigestMissing(DigestAlgorithm),
    /// A time-stamp that does not hold.
    #[error("time-stamp {stamp}: {error}")]
    Timestamp {
        /// Which time-stamp, from 1.
        stamp: usize,
        /// What is wrong.
        error: TimestampError,
    },
    /// A digest that this build does not have.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
}

impl EvidenceError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "evidence_malformed",
            Self::TooLarge(_) => "evidence_too_large",
            Self::Encrypted => "evidence_encrypted",
            Self::Algorithm { .. } => "evidence_algorithm",
            Self::Expired { .. } => "evidence_expired",
            Self::NotYetValid { .. } => "evidence_not_yet_valid",
            Self::NotCovered { .. } => "evidence_not_covered",
            Self::MixedDigests { .. } => "evidence_mixed_digests",
            Self::Order { .. } => "evidence_order",
            Self::DigestMissing(_) => "evidence_digest_missing",
            Self::Timestamp { error, .. } => error.code(),
            Self::Unsupported(_) => "evidence_unsupported",
        }
    }
}

impl From<DerError> for EvidenceError {
    fn from(DerError(what): DerError) -> Self {
        Self::Malformed(what)
    }
}

/// The digests of one data object, by each algorithm that a record may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectDigests(Vec<(DigestAlgorithm, Vec<u8>)>);

impl ObjectDigests {
    /// Digests that were computed elsewhere.
    pub fn new(digests: Vec<(DigestAlgorithm, Vec<u8>)>) -> Self {
        Self(digests)
    }

    /// The digests of `data` by all algorithms that are not weak.
    pub fn of(data: &[u8]) -> Self {
        let algorithms = [
            DigestAlgorithm::Sha224,
            DigestAlgorithm::Sha256,
            DigestAlgorithm::Sha384,
            DigestAlgorithm::Sha512,
        ];
        let digest = |algorithm| Some((algorithm, crypto::digest(algorithm, data).ok()?));
        Self(algorithms.into_iter().filter_map(digest).collect())
    }

    /// The digest by this algorithm.
    ///
    /// # Errors
    /// It was not brought.
    pub fn by(&self, algorithm: DigestAlgorithm) -> Result<&[u8], EvidenceError> {
        let found = self.0.iter().find(|(a, _)| *a == algorithm);
        found
            .map(|(_, digest)| digest.as_slice())
            .ok_or(EvidenceError::DigestMissing(algorithm))
    }
}

/// One time-stamp with the way from a digest to what it is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArchiveTimestamp {
    algorithm: DigestAlgorithm,
    tree: ReducedTree,
    token: TimestampToken,
    /// As read or written; older time-stamps are renewed over these bytes.
    der: Vec<u8>,
}

impl ArchiveTimestamp {
    /// A time-stamp over the root of the tree that `reduced` was taken from.
    pub fn new(reduced: ReducedTree, token: TimestampToken) -> Self {
        let der = der::write_timestamp(&reduced, &token);
        Self {
            algorithm: reduced.algorithm(),
            tree: reduced,
            token,
            der,
        }
    }

    /// The token.
    pub fn token(&self) -> &TimestampToken {
        &self.token
    }

    /// The digest algorithm of its tree.
    pub fn algorithm(&self) -> DigestAlgorithm {
        self.algorithm
    }
}

/// An evidence record: chains of time-stamps, oldest first. Within a chain each renews the one before; a new chain begins
/// with a new digest algorithm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EvidenceRecord {
    /// Digest algorithms as read; those of later time-stamps are added in writing.
    announced: Vec<DigestAlgorithm>,
    /// `cryptoInfos` as read.
    crypto_infos: Option<Vec<u8>>,
    chains: Vec<Vec<ArchiveTimestamp>>,
}

impl EvidenceRecord {
    /// The first record of an object.
    pub fn first(timestamp: ArchiveTimestamp) -> Self {
        Self {
            announced: vec![timestamp.algorithm],
            crypto_infos: None,
            chains: vec![vec![timestamp]],
        }
    }

    /// Reads a record of at most 4 MiB. Nothing is verified.
    ///
    /// # Errors
    /// What is no record in DER, is about encrypted data, or is beyond the bounds.
    pub fn parse(bytes: &[u8]) -> Result<Self, EvidenceError> {
        der::read(bytes)
    }

    /// The record as DER.
    pub fn to_der(&self) -> Vec<u8> {
        der::write(self)
    }

    /// All time-stamps, oldest first.
    pub fn timestamps(&self) -> impl Iterator<Item = &ArchiveTimestamp> {
        self.chains.iter().flatten()
    }

    /// The chains, oldest first: within one each time-stamp renews the one before; a new one begins with a new digest.
    pub fn chains(&self) -> impl Iterator<Item = &[ArchiveTimestamp]> {
        self.chains.iter().map(Vec::as_slice)
    }

    /// The time-stamp that everything now rests on.
    pub fn last(&self) -> &ArchiveTimestamp {
        self.chains
            .last()
            .and_then(|chain| chain.last())
            .expect("a record has a time-stamp")
    }

    /// What is to be stamped when only the last time-stamp is renewed: its digest, by the algorithm of its chain. Equal
    /// for all records that end with the same token.
    ///
    /// # Errors
    /// A digest that this build does not have.
    pub fn timestamp_digest(&self) -> Result<(DigestAlgorithm, Vec<u8>), EvidenceError> {
        let last = self.last();
        Ok((last.algorithm, last.digest(last.algorithm)?))
    }

    /// Appends a time-stamp over [`timestamp_digest`](Self::timestamp_digest).
    ///
    /// # Errors
    /// One with another digest algorithm than its chain, or about something else.
    pub fn renew_timestamp(&mut self, renewal: ArchiveTimestamp) -> Result<(), EvidenceError> {
        let stamp = self.timestamps().count() + 1;
        let (algorithm, digest) = self.timestamp_digest()?;
        if renewal.algorithm != algorithm {
            return Err(EvidenceError::MixedDigests { stamp });
        }
        if renewal.tree.root_from(&[&digest], false)?.is_none() {
            let what = "the time-stamp before it";
            return Err(EvidenceError::NotCovered { stamp, what });
        }
        let chain = self.chains.last_mut().expect("a record has a chain");
        chain.push(renewal);
        Ok(())
    }

    /// What is to be stamped when the digest algorithm is renewed: for each object of the record's group its new digest
    /// together with that of all time-stamps so far.
    ///
    /// # Errors
    /// A digest that was not brought, or that this build does not have.
    pub fn renewal_digests(
        &self,
        algorithm: DigestAlgorithm,
        objects: &[ObjectDigests],
    ) -> Result<Vec<Vec<u8>>, EvidenceError> {
        renewal_digests(&self.chains, algorithm, objects)
    }

    /// Begins a new chain with a time-stamp over [`renewal_digests`](Self::renewal_digests).
    ///
    /// # Errors
    /// A time-stamp about something else.
    pub fn renew_tree(
        &mut self,
        renewal: ArchiveTimestamp,
        objects: &[ObjectDigests],
    ) -> Result<(), EvidenceError> {
        let stamp = self.timestamps().count() + 1;
        let digests = self.renewal_digests(renewal.algorithm, objects)?;
        let digests: Vec<_> = digests.iter().map(Vec::as_slice).collect();
        if renewal.tree.root_from(&digests, digests.len() > 1)?.is_none() {
            let what = "the data and the time-stamps before it";
            return Err(EvidenceError::NotCovered { stamp, what });
        }
        if !self.announced.contains(&renewal.algorithm) {
            self.announced.push(renewal.algorithm);
        }
        self.chains.push(vec![renewal]);
        Ok(())
    }
}

impl ArchiveTimestamp {
    /// The digest of the content of the field `timeStamp`, which a renewal is over (RFC 4998 5.2).
    fn digest(&self, algorithm: DigestAlgorithm) -> Result<Vec<u8>, EvidenceError> {
        Ok(crypto::digest(algorithm, self.token.der())?)
    }
}

/// H(h ‖ H(sequence of chains so far)) for each object (RFC 4998 5.2, hash-tree renewal, steps 3 and 4).
fn renewal_digests(
    chains: &[Vec<ArchiveTimestamp>],
    algorithm: DigestAlgorithm,
    objects: &[ObjectDigests],
) -> Result<Vec<Vec<u8>>, EvidenceError> {
    let before = crypto::digest(algorithm, &der::write_sequence(chains))?;
    let renewed = |object: &ObjectDigests| -> Result<Vec<u8>, EvidenceError> {
        let both = [object.by(algorithm)?, &before].concat();
        Ok(crypto::digest(algorithm, &both)?)
    };
    objects.iter().map(renewed).collect()
}
