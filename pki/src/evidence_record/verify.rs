//! Does a record prove that data existed? (RFC 4998 4.3 and 5.3)

use super::{ArchiveTimestamp, EvidenceError, EvidenceRecord, ObjectDigests, renewal_digests};
use crate::UnixTime;
use crate::certificate::Certificate;
use crate::crypto::DigestAlgorithm;
use crate::signing::SignatureAlgorithm;

/// What the caller believes, and until when. A time-stamp needs its algorithms and its certificate until the next one
/// takes over, the last one until the instant of the check.
pub trait Policy {
    /// Certificates of the authorities whose time-stamps are believed.
    fn authorities(&self) -> &[Certificate];

    /// Whether nobody could make two data of one digest at this instant.
    fn digest_holds(&self, algorithm: DigestAlgorithm, at: UnixTime) -> bool;

    /// Whether nobody could forge a signature by this algorithm, with this key, at this instant.
    fn signature_holds(&self, algorithm: SignatureAlgorithm, signer: &Certificate, at: UnixTime) -> bool;
}

/// A policy by lists: what is not named does not hold.
#[derive(Debug, Clone)]
pub struct Windows {
    /// Authorities that are believed.
    pub authorities: Vec<Certificate>,
    /// Digests, each with the last instant at which it holds; `None` for no end in sight.
    pub digests: Vec<(DigestAlgorithm, Option<UnixTime>)>,
    /// Signature algorithms, likewise.
    pub signatures: Vec<(SignatureAlgorithm, Option<UnixTime>)>,
}

impl Windows {
    /// All digests and signature algorithms of this crate that are not weak, without an end.
    pub fn open_ended(authorities: Vec<Certificate>) -> Self {
        let digests = [
            DigestAlgorithm::Sha256,
            DigestAlgorithm::Sha384,
            DigestAlgorithm::Sha512,
        ];
        let signatures = SignatureAlgorithm::ALL.into_iter().filter(|a| !a.is_weak());
        Self {
            authorities,
            digests: digests.map(|digest| (digest, None)).to_vec(),
            signatures: signatures.map(|signature| (signature, None)).collect(),
        }
    }
}

impl Policy for Windows {
    fn authorities(&self) -> &[Certificate] {
        &self.authorities
    }

    fn digest_holds(&self, algorithm: DigestAlgorithm, at: UnixTime) -> bool {
        holds(&self.digests, algorithm, at)
    }

    fn signature_holds(&self, algorithm: SignatureAlgorithm, _: &Certificate, at: UnixTime) -> bool {
        holds(&self.signatures, algorithm, at)
    }
}

fn holds<A: PartialEq>(windows: &[(A, Option<UnixTime>)], algorithm: A, at: UnixTime) -> bool {
    windows
        .iter()
        .any(|(known, until)| *known == algorithm && until.is_none_or(|until| at <= until))
}

/// The data existed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// When, by the first time-stamp.
    pub existed: UnixTime,
    /// When the proof was last renewed.
    pub renewed: UnixTime,
    /// How many time-stamps lead there.
    pub timestamps: usize,
    /// The last instant at which the certificate under the newest time-stamp carries the proof.
    pub carried_until: UnixTime,
    /// Authorities of the time-stamps, oldest first.
    pub authorities: Vec<Certificate>,
}

impl EvidenceRecord {
    /// Checks that the objects existed at the time of the first time-stamp, and that each time-stamp was renewed while it
    /// still held, the last one holding at the instant `at`.
    ///
    /// Several objects must be the whole group that was stamped together; one alone may be any member of a group.
    ///
    /// # Errors
    /// The first thing that is wrong, oldest time-stamp first.
    pub fn verify(
        &self,
        objects: &[ObjectDigests],
        policy: &impl Policy,
        at: UnixTime,
    ) -> Result<Verified, EvidenceError> {
        let ends = self.timestamps().skip(1).map(|next| next.token.gen_time());
        let ends: Vec<UnixTime> = ends.chain([at]).collect();
        let mut authorities = Vec::new();
        let mut stamp = 0;
        for (nth, chain) in self.chains.iter().enumerate() {
            let mut before: Option<&ArchiveTimestamp> = None;
            // RFC 4998 5.3: the digest of a chain must hold until the next chain takes over.
            let chain_end = ends[stamp + chain.len() - 1];
            for timestamp in chain {
                stamp += 1;
                let end = ends[stamp - 1];
                let algorithm = timestamp.algorithm;
                if before.is_some_and(|before| before.algorithm != algorithm) {
                    return Err(EvidenceError::MixedDigests { stamp });
                }
                let (digests, what) = match before {
                    Some(before) => (vec![before.digest(algorithm)?], "the time-stamp before it"),
                    None if nth == 0 => {
                        let digest = |object: &ObjectDigests| object.by(algorithm).map(<[u8]>::to_vec);
                        let digests = objects.iter().map(digest).collect::<Result<_, _>>()?;
                        (digests, "the data")
                    }
                    None => (
                        renewal_digests(&self.chains[..nth], algorithm, objects)?,
                        "the data and the time-stamps before it",
                    ),
                };
                let digests: Vec<_> = digests.iter().map(Vec::as_slice).collect();
                let whole = before.is_none() && digests.len() > 1;
                let root = timestamp.tree.root_from(&digests, whole)?;
                let root = root.ok_or(EvidenceError::NotCovered { stamp, what })?;
                authorities.push(carries(timestamp, stamp, &root, policy, end, chain_end)?);
                before = Some(timestamp);
            }
        }
        let (first, last) = (self.timestamps().next(), self.last());
        Ok(Verified {
            existed: first.unwrap_or(last).token.gen_time(),
            renewed: last.token.gen_time(),
            timestamps: stamp,
            carried_until: authorities.last().map_or(at, Certificate::not_after),
            authorities,
        })
    }
}

/// Whether a time-stamp is about `root` and holds until `end`; gives its authority.
fn carries(
    timestamp: &ArchiveTimestamp,
    stamp: usize,
    root: &[u8],
    policy: &impl Policy,
    end: UnixTime,
    chain_end: UnixTime,
) -> Result<Certificate, EvidenceError> {
    let token = &timestamp.token;
    let wrong = |error| EvidenceError::Timestamp { stamp, error };
    let authority = token
        .verify_digest(timestamp.algorithm, root, policy.authorities())
        .map_err(wrong)?;
    let made = token.gen_time();
    if made > end {
        return Err(EvidenceError::Order { stamp: stamp + 1 });
    }
    if made < authority.not_before() {
        return Err(EvidenceError::NotYetValid { stamp });
    }
    if end > authority.not_after() {
        return Err(EvidenceError::Expired {
            stamp,
            not_after: authority.not_after(),
            at: end,
        });
    }
    let unsound = |what: String, at| EvidenceError::Algorithm { what, stamp, at };
    if !policy.digest_holds(timestamp.algorithm, chain_end) {
        return Err(unsound(timestamp.algorithm.name().to_owned(), chain_end));
    }
    // verify_digest has refused tokens whose algorithms are not known.
    if let (Ok(digest), Ok(signature)) = (token.signer_digest(), token.signature_algorithm()) {
        if !policy.digest_holds(digest, end) {
            return Err(unsound(digest.name().to_owned(), end));
        }
        if !policy.signature_holds(signature, &authority, end) {
            return Err(unsound(signature.name().to_owned(), end));
        }
    }
    Ok(authority)
}
