//! The data objects of a message, which its evidence record is about: every file of its container (wire 6.5) but `mimetype`,
//! `META-INF/manifest.xml` and `META-INF/ASiCManifest.xml`, which say nothing about the message. That is, of those that exist:
//! `message.xml`, `attachment1`, `sig-hashchainresult.xml`, `sig-hashchain.xml`, `META-INF/signatures.xml` (with the token in it,
//! for a message that was stamped alone), and `META-INF/ts-hashchainresult.xml`, `META-INF/ts-hashchain.xml`,
//! `META-INF/timestamp.tst` (for one that was stamped with others).
//!
//! They are one group: all must be shown, and nothing else. Of a file whose content was deleted the SHA-512 is still in the
//! entry and in the companion of the container, so that a record by SHA-512 is made and checked all the same.

use kontor_pki::{
    crypto::{DigestAlgorithm, Hasher, digest, sha512},
    evidence_record::ObjectDigests,
};
use kontor_protocol::{log::parse_parts, signature::insert_timestamp};

use crate::messagelog::{
    blob::{Evidence, Shared},
    error::LogError,
    keytree::BlobClass,
    read::{LoggedMessage, OpenStamp, Reader, Stamp, StoredBody},
    show::PartState,
};

const SIGNATURES: &str = "signatures.xml";

impl OpenStamp {
    /// The group of the message at a place, by SHA-512, from what its entry says without its content; `None` when its
    /// evidence is deleted. An error when the signature document, which holds the token, lies in an archive only.
    pub(super) fn group(&self, reader: &mut Reader, place: usize) -> Result<Option<Vec<Vec<u8>>>, LogError> {
        let Some(number) = self.covered.get(place).copied() else {
            return Ok(None);
        };
        let entry = reader.entry(number)?;
        let opened = match reader.evidence(&entry) {
            Err(LogError::Forgotten { .. }) => return Ok(None),
            opened => opened?,
        };
        let Some(evidence) = Evidence::parse(&opened) else {
            return Ok(None);
        };
        let parts = parse_parts(evidence.parts).map_err(|_| unread(number))?;
        let mut group: Vec<Vec<u8>> = parts
            .iter()
            .filter(|part| self.batch.is_some() || part.name != SIGNATURES)
            .map(|part| part.digest.to_vec())
            .collect();
        match (&self.batch, evidence.shared) {
            (Some(batch), _) => {
                let chain = batch.chain(place).ok_or_else(|| unread(number))?;
                let files = [batch.stamped(), &chain, &self.token];
                group.extend(files.map(|file| sha512(file).to_vec()));
            }
            (None, Some(_)) if reader.part_state(&entry, BlobClass::Head)? == PartState::Archived => {
                return Err(reader.explain(LogError::Forgotten {
                    number,
                    part: BlobClass::Head.name(),
                }));
            }
            (None, Some(shared)) => {
                let opened = reader.shared(number, &shared)?;
                let document = Shared::parse(&opened).ok_or_else(|| unread(number))?.document;
                let stamped = insert_timestamp(document, &self.token).map_err(|_| unread(number))?;
                group.push(sha512(&stamped).to_vec());
            }
            (None, None) => return Ok(None),
        }
        Ok(Some(group))
    }
}

fn unread(number: u64) -> LogError {
    LogError::Damaged {
        report: format!("the evidence of entry {number} does not read"),
    }
}

/// The data objects of a message by each of these algorithms. Where content is not there any more, an object has its
/// SHA-512 only.
pub(super) fn of(
    logged: LoggedMessage,
    algorithms: &[DigestAlgorithm],
) -> Result<Vec<ObjectDigests>, LogError> {
    let number = logged.number;
    let whole = |bytes: &[u8]| {
        ObjectDigests::new(
            algorithms
                .iter()
                .filter_map(|algorithm| Some((*algorithm, digest(*algorithm, bytes).ok()?)))
                .collect(),
        )
    };
    let only = |sha512: &[u8; 64]| ObjectDigests::new(vec![(DigestAlgorithm::Sha512, sha512.to_vec())]);
    let mut body = match logged.body {
        Ok(StoredBody::None) => None,
        Ok(body) => Some(body_digests(body, algorithms)?),
        Err(
            LogError::Archived { .. }
            | LogError::Deleted { .. }
            | LogError::Lost { .. }
            | LogError::Quarantined { .. },
        ) => None,
        Err(error) => return Err(error),
    };
    let (signatures, batch) = match logged.stamp {
        Some(Stamp::Single(token)) => {
            let stamped = insert_timestamp(&logged.document, &token).map_err(|_| unread(number))?;
            (stamped, None)
        }
        Some(Stamp::Batch(batch)) => (logged.document, Some(batch)),
        None => (logged.document, None),
    };
    let mut objects = Vec::new();
    for part in &logged.parts {
        objects.push(match (part.name.as_str(), &logged.chain) {
            ("message.xml", _) if !logged.not_kept.head => whole(&logged.message),
            ("attachment1", _) => body.take().unwrap_or_else(|| only(&part.digest)),
            ("sig-hashchainresult.xml", Some(chain)) => whole(&chain.result),
            ("sig-hashchain.xml", Some(chain)) => whole(&chain.chain),
            (SIGNATURES, _) => whole(&signatures),
            _ => only(&part.digest),
        });
    }
    if let Some(batch) = batch {
        objects.extend([&batch.result, &batch.chain, &batch.token].map(|file| whole(file)));
    }
    Ok(objects)
}

/// As [`of`], of a message that lies in an archive only: by SHA-512, from its entry and its time-stamp. `None` when its token
/// stands in the signature document.
pub(super) fn of_archived(reader: &mut Reader, number: u64) -> Result<Option<Vec<ObjectDigests>>, LogError> {
    let Some(Stamp::Batch(batch)) = reader.stamp(number)? else {
        return Ok(None);
    };
    let entry = reader.entry(number)?;
    let opened = reader.evidence(&entry)?;
    let evidence = Evidence::parse(&opened).ok_or_else(|| unread(number))?;
    let parts = parse_parts(evidence.parts).map_err(|_| unread(number))?;
    let by_sha512 = |digest: Vec<u8>| ObjectDigests::new(vec![(DigestAlgorithm::Sha512, digest)]);
    let files = [&batch.result, &batch.chain, &batch.token].map(|file| sha512(file).to_vec());
    let parts = parts.iter().map(|part| part.digest.to_vec());
    Ok(Some(parts.chain(files).map(by_sha512).collect()))
}

fn body_digests(body: StoredBody, algorithms: &[DigestAlgorithm]) -> Result<ObjectDigests, LogError> {
    let hashers = algorithms
        .iter()
        .filter_map(|algorithm| Some((*algorithm, Hasher::new(*algorithm).ok()?)));
    let mut hashers: Vec<_> = hashers.collect();
    let mut update = |bytes: &[u8]| hashers.iter_mut().for_each(|(_, hasher)| hasher.update(bytes));
    match body {
        StoredBody::None => {}
        StoredBody::Inline(bytes) => update(&bytes),
        StoredBody::Content(mut chunks, _) => {
            while let Some(chunk) = chunks.next_chunk()? {
                update(&chunk);
            }
        }
    }
    let digests = hashers
        .into_iter()
        .map(|(algorithm, hasher)| (algorithm, hasher.finish()));
    Ok(ObjectDigests::new(digests.collect()))
}
