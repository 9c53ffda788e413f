//! Evidence records as bytes (RFC 4998, appendix B; implicit tags), within bounds.

use super::{ArchiveTimestamp, EvidenceError, EvidenceRecord, ReducedTree};
use crate::crypto::DigestAlgorithm;
use crate::der::{self, Reader, Writer};
use crate::signing::{read_digest_identifier, write_digest_identifier};
use crate::timestamp::TimestampToken;

/// Bytes of a record: 64 renewals with a token of 64 KiB each.
const RECORD: usize = 4 * 1024 * 1024;
/// Digest algorithms that a record announces.
const ALGORITHMS: usize = 16;
/// Time-stamps of all chains.
const TIMESTAMPS: usize = 256;
/// Lists of one tree: one for each level.
const LISTS: usize = 64;
/// Digests of one list: the data of one object, or the children of one node.
const DIGESTS: usize = 1024;

const CRYPTO_INFOS: u8 = der::context(0);
const ENCRYPTION_INFO: u8 = der::context(1);
const DIGEST_ALGORITHM: u8 = der::context(0);
const ATTRIBUTES: u8 = der::context(1);
const REDUCED_TREE: u8 = der::context(2);

pub(super) fn read(bytes: &[u8]) -> Result<EvidenceRecord, EvidenceError> {
    if bytes.len() > RECORD {
        return Err(EvidenceError::TooLarge("more than 4 MiB"));
    }
    let mut fields = der::only(bytes, der::SEQUENCE)?.contents();
    if fields.small_integer()? != 1 {
        return Err(EvidenceError::Malformed("version"));
    }
    let announced = read_algorithms(fields.sequence()?)?;
    let crypto_infos = fields.optional(CRYPTO_INFOS)?.map(|element| element.raw.to_vec());
    if fields.peek() == Some(ENCRYPTION_INFO) {
        return Err(EvidenceError::Encrypted);
    }
    let mut sequence = fields.sequence()?;
    fields.end()?;
    let mut chains = Vec::new();
    let mut count = 0;
    while !sequence.is_empty() {
        let mut chain = sequence.sequence()?;
        let mut timestamps = Vec::new();
        while !chain.is_empty() {
            count += 1;
            if count > TIMESTAMPS {
                return Err(EvidenceError::TooLarge("too many time-stamps"));
            }
            timestamps.push(read_timestamp(chain.expect(der::SEQUENCE)?)?);
        }
        if timestamps.is_empty() {
            return Err(EvidenceError::Malformed("a chain without time-stamps"));
        }
        chains.push(timestamps);
    }
    if chains.is_empty() {
        return Err(EvidenceError::Malformed("no time-stamps"));
    }
    let record = EvidenceRecord {
        announced,
        crypto_infos,
        chains,
    };
    // RFC 4998 3.1: all digests used are announced, in any order.
    if record
        .timestamps()
        .any(|t| !record.announced.contains(&t.algorithm))
    {
        return Err(EvidenceError::Malformed("a digest algorithm is not announced"));
    }
    Ok(record)
}

fn read_algorithms(mut list: Reader<'_>) -> Result<Vec<DigestAlgorithm>, EvidenceError> {
    let mut found = Vec::new();
    while !list.is_empty() {
        if found.len() == ALGORITHMS {
            return Err(EvidenceError::TooLarge("too many digest algorithms"));
        }
        found.push(accepted(read_digest_identifier(&mut list)?)?);
    }
    Ok(found)
}

fn accepted(algorithm: Option<DigestAlgorithm>) -> Result<DigestAlgorithm, EvidenceError> {
    algorithm
        .filter(|algorithm| !algorithm.is_weak())
        .ok_or(EvidenceError::Malformed("an unknown or weak digest"))
}

fn read_timestamp(element: der::Element<'_>) -> Result<ArchiveTimestamp, EvidenceError> {
    let mut fields = element.contents();
    let stated = match fields.optional(DIGEST_ALGORITHM)? {
        // Implicit: the contents of the identifier under another tag.
        Some(identifier) => {
            let mut plain = Writer::new();
            plain.element(der::SEQUENCE, identifier.value);
            Some(accepted(read_digest_identifier(&mut Reader::new(
                &plain.finish(),
            ))?)?)
        }
        None => None,
    };
    fields.optional(ATTRIBUTES)?;
    let lists = match fields.optional(REDUCED_TREE)? {
        Some(tree) => read_lists(tree.contents())?,
        None => Vec::new(),
    };
    let token = fields.expect(der::SEQUENCE)?;
    fields.end()?;
    let stamp = TimestampToken::parse(token.raw).map_err(|_| EvidenceError::Malformed("a time-stamp"))?;
    if stamp.der() != token.raw {
        return Err(EvidenceError::Malformed("a time-stamp that is not DER"));
    }
    // RFC 4998 4.1: where no algorithm is stated, it is that of the time-stamp.
    let algorithm = stated.unwrap_or(stamp.imprint().0);
    if accepted(Some(algorithm))? != stamp.imprint().0 {
        return Err(EvidenceError::Malformed(
            "a tree with another digest than its time-stamp",
        ));
    }
    if lists
        .iter()
        .flatten()
        .any(|digest| digest.len() != algorithm.len())
    {
        return Err(EvidenceError::Malformed("a digest of another length"));
    }
    Ok(ArchiveTimestamp {
        algorithm,
        tree: ReducedTree { algorithm, lists },
        token: stamp,
        der: element.raw.to_vec(),
    })
}

fn read_lists(mut tree: Reader<'_>) -> Result<Vec<Vec<Vec<u8>>>, EvidenceError> {
    let mut lists = Vec::new();
    while !tree.is_empty() {
        if lists.len() == LISTS {
            return Err(EvidenceError::TooLarge("too high a tree"));
        }
        let mut digests = tree.sequence()?;
        let mut list = Vec::new();
        while !digests.is_empty() {
            if list.len() == DIGESTS {
                return Err(EvidenceError::TooLarge("too many digests in one list"));
            }
            list.push(digests.octet_string()?.to_vec());
        }
        if list.is_empty() {
            return Err(EvidenceError::Malformed("an empty list of digests"));
        }
        lists.push(list);
    }
    Ok(lists)
}

pub(super) fn write(record: &EvidenceRecord) -> Vec<u8> {
    der::sequence(|w| {
        w.integer(1);
        w.sequence(|w| {
            for &algorithm in &record.announced {
                write_digest_identifier(algorithm, w);
            }
        });
        if let Some(infos) = &record.crypto_infos {
            w.raw(infos);
        }
        w.raw(&write_sequence(&record.chains));
    })
}

/// `ArchiveTimeStampSequence`: what a renewal of the tree hashes.
pub(super) fn write_sequence(chains: &[Vec<ArchiveTimestamp>]) -> Vec<u8> {
    der::sequence(|w| {
        for chain in chains {
            w.sequence(|w| {
                for timestamp in chain {
                    w.raw(&timestamp.der);
                }
            });
        }
    })
}

pub(super) fn write_timestamp(tree: &ReducedTree, token: &TimestampToken) -> Vec<u8> {
    let mut identifier = Writer::new();
    write_digest_identifier(tree.algorithm, &mut identifier);
    let identifier = identifier.finish();
    let contents = der::only(&identifier, der::SEQUENCE).expect("an identifier is a SEQUENCE");
    der::sequence(|w| {
        w.element(DIGEST_ALGORITHM, contents.value);
        if !tree.lists.is_empty() {
            w.constructed(REDUCED_TREE, |w| {
                for list in &tree.lists {
                    w.sequence(|w| {
                        for digest in list {
                            w.octet_string(digest);
                        }
                    });
                }
            });
        }
        w.raw(token.der());
    })
}
