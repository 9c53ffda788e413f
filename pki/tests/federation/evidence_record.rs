//! Evidence records over a life of ten years: made, renewed both ways, read again, changed, and shown to openssl.

use std::time::Duration;

use kontor_pki::UnixTime;
use kontor_pki::authority::{CertificateAuthority, TimestampAuthority, Validity};
use kontor_pki::crypto::{DigestAlgorithm, digest};
use kontor_pki::der::{self, Writer};
use kontor_pki::evidence_record::{
    ArchiveTimestamp, EvidenceError, EvidenceRecord, HashTree, ObjectDigests, Policy as _, Windows,
};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SignatureAlgorithm, SigningKey as _};
use kontor_pki::timestamp::{TimestampToken, parse_response};
use proptest::prelude::*;

use crate::world::{OpenSsl, ca_params, key};

const SHA256: DigestAlgorithm = DigestAlgorithm::Sha256;
const SHA512: DigestAlgorithm = DigestAlgorithm::Sha512;

fn year(year: u32) -> UnixTime {
    UnixTime::parse_rfc3339(&format!("{year}-06-01T00:00:00Z")).unwrap()
}

/// Authorities of three generations under one root.
struct Authorities {
    root: CertificateAuthority,
    /// Valid 2026 to 2029, 2028 to 2033 and 2031 to 2040.
    generations: [TimestampAuthority; 3],
}

impl Authorities {
    fn new() -> Self {
        let kind = KeyAlgorithm::EcdsaP256;
        let mut params = ca_params("Test CA", kind, year(2026));
        params.validity = Validity {
            not_before: year(2025),
            not_after: year(2045),
        };
        let root = CertificateAuthority::generate(&params).unwrap();
        let generations = [(2026, 2029), (2028, 2033), (2031, 2040)].map(|(from, to)| {
            let key = key(kind);
            let validity = Validity {
                not_before: year(from) - Duration::from_secs(60),
                not_after: year(to),
            };
            let subject = Subject::common_name(format!("TSA {from}"));
            let certificate = root.issue_tsa(key.public_key(), subject, validity).unwrap();
            TimestampAuthority::new(certificate, key).unwrap()
        });
        Self { root, generations }
    }

    fn stamp(&self, generation: usize, tree: &HashTree, at: UnixTime) -> TimestampToken {
        let query = der::sequence(|w| {
            w.integer(1);
            w.sequence(|w| {
                w.sequence(|w| {
                    w.raw(&oid(tree.algorithm()));
                });
                w.octet_string(tree.root());
            });
        });
        let authority = &self.generations[generation];
        let token = parse_response(&authority.respond(&query, at, 7)).unwrap();
        token.with_certificate(authority.certificate())
    }

    fn policy(&self) -> Windows {
        Windows::open_ended(
            self.generations
                .iter()
                .map(|one| one.certificate().clone())
                .collect(),
        )
    }
}

fn oid(algorithm: DigestAlgorithm) -> Vec<u8> {
    let last = if algorithm == SHA256 { 1 } else { 3 };
    let mut writer = Writer::new();
    writer.oid(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, last]);
    writer.finish()
}

/// A token and what it covers, for each of `count` objects.
fn archive(count: usize) -> Vec<[ObjectDigests; 2]> {
    (0..count)
        .map(|n| ["token", "data"].map(|what| ObjectDigests::of(format!("{what} {n}").as_bytes())))
        .collect()
}

fn groups(algorithm: DigestAlgorithm, archive: &[[ObjectDigests; 2]]) -> Vec<Vec<Vec<u8>>> {
    let group = |objects: &[ObjectDigests; 2]| {
        objects
            .each_ref()
            .map(|o| o.by(algorithm).unwrap().to_vec())
            .to_vec()
    };
    archive.iter().map(group).collect()
}

/// First record of each object, in 2026 by SHA-256.
fn first(authorities: &Authorities, archive: &[[ObjectDigests; 2]]) -> Vec<EvidenceRecord> {
    let tree = HashTree::new(SHA256, groups(SHA256, archive)).unwrap();
    let token = authorities.stamp(0, &tree, year(2026));
    (0..archive.len())
        .map(|n| EvidenceRecord::first(ArchiveTimestamp::new(tree.reduced(n).unwrap(), token.clone())))
        .collect()
}

/// The time-stamp renewed in 2028; all records end with one token, so the tree has one leaf beside a foreign one.
fn renew_timestamps(authorities: &Authorities, records: &mut [EvidenceRecord]) {
    let (algorithm, leaf) = records[0].timestamp_digest().unwrap();
    assert!(records.iter().all(|r| r.timestamp_digest().unwrap().1 == leaf));
    let other = digest(algorithm, b"the token of another archive").unwrap();
    let tree = HashTree::new(algorithm, vec![vec![other], vec![leaf]]).unwrap();
    let token = authorities.stamp(1, &tree, year(2028));
    for record in records {
        let renewal = ArchiveTimestamp::new(tree.reduced(1).unwrap(), token.clone());
        record.renew_timestamp(renewal).unwrap();
    }
}

/// The tree renewed in 2032 by SHA-512.
fn renew_trees(authorities: &Authorities, records: &mut [EvidenceRecord], archive: &[[ObjectDigests; 2]]) {
    let groups = records
        .iter()
        .zip(archive)
        .map(|(record, objects)| record.renewal_digests(SHA512, objects).unwrap())
        .collect();
    let tree = HashTree::new(SHA512, groups).unwrap();
    let token = authorities.stamp(2, &tree, year(2032));
    for (n, (record, objects)) in records.iter_mut().zip(archive).enumerate() {
        let renewal = ArchiveTimestamp::new(tree.reduced(n).unwrap(), token.clone());
        record.renew_tree(renewal, objects).unwrap();
    }
}

/// Renewed both ways.
fn old(authorities: &Authorities, archive: &[[ObjectDigests; 2]]) -> Vec<EvidenceRecord> {
    let mut records = first(authorities, archive);
    renew_timestamps(authorities, &mut records);
    renew_trees(authorities, &mut records, archive);
    records
}

#[test]
fn every_object_of_an_archive_is_proven_through_both_kinds_of_renewal() {
    let authorities = Authorities::new();
    for count in [1, 2, 3, 7] {
        let archive = archive(count);
        for (record, objects) in old(&authorities, &archive).iter().zip(&archive) {
            let record = EvidenceRecord::parse(&record.to_der()).unwrap();
            let verified = record.verify(objects, &authorities.policy(), year(2039)).unwrap();
            assert_eq!(verified.existed, year(2026));
            assert_eq!(verified.renewed, year(2032));
            assert_eq!(verified.timestamps, 3);
            assert_eq!(verified.carried_until, year(2040));
            // A single member of the group is proven as well.
            record
                .verify(&objects[..1], &authorities.policy(), year(2039))
                .unwrap();
        }
    }
}

#[test]
fn other_data_and_half_a_group_with_a_stranger_are_not_proven() {
    let authorities = Authorities::new();
    let archive = archive(4);
    let record = &old(&authorities, &archive)[1];
    let verify = |objects: &[ObjectDigests]| record.verify(objects, &authorities.policy(), year(2035));
    let code = |objects: &[ObjectDigests]| verify(objects).unwrap_err().code();
    let stranger = ObjectDigests::of(b"stranger");
    assert_eq!(code(std::slice::from_ref(&stranger)), "evidence_not_covered");
    assert_eq!(code(&archive[0]), "evidence_not_covered");
    assert_eq!(code(&[archive[1][0].clone(), stranger]), "evidence_not_covered");
    assert_eq!(code(&[]), "evidence_not_covered");
    let only = ObjectDigests::new(vec![(SHA256, archive[1][0].by(SHA256).unwrap().to_vec())]);
    assert_eq!(
        verify(&[only]),
        Err(EvidenceError::DigestMissing(SHA512)),
        "the second chain needs the new digest"
    );
}

#[test]
fn a_record_renewed_too_late_or_not_at_all_proves_nothing() {
    let authorities = Authorities::new();
    let archive = archive(2);
    let policy = authorities.policy();
    let fresh = first(&authorities, &archive);
    assert!(fresh[0].verify(&archive[0], &policy, year(2028)).is_ok());
    assert_eq!(
        fresh[0].verify(&archive[0], &policy, year(2030)),
        Err(EvidenceError::Expired {
            stamp: 1,
            not_after: year(2029),
            at: year(2030)
        })
    );
    assert_eq!(
        fresh[0].verify(&archive[0], &policy, year(2025)),
        Err(EvidenceError::Order { stamp: 2 })
    );
    // The second authority is asked when the first had ended.
    let mut late = fresh;
    let (algorithm, leaf) = late[0].timestamp_digest().unwrap();
    let tree = HashTree::new(algorithm, vec![vec![leaf]]).unwrap();
    let token = authorities.stamp(1, &tree, year(2030));
    late[0]
        .renew_timestamp(ArchiveTimestamp::new(tree.reduced(0).unwrap(), token))
        .unwrap();
    let refused = late[0].verify(&archive[0], &policy, year(2031)).unwrap_err();
    assert_eq!(refused.code(), "evidence_expired");
}

#[test]
fn algorithms_must_hold_until_the_next_time_stamp_and_no_longer() {
    let authorities = Authorities::new();
    let archive = archive(3);
    let record = &old(&authorities, &archive)[2];
    let verify = |policy: &Windows| record.verify(&archive[2], policy, year(2035));
    let sha256_until = |end: u32| {
        let mut policy = authorities.policy();
        for (algorithm, until) in &mut policy.digests {
            if *algorithm == SHA256 {
                *until = Some(year(end));
            }
        }
        policy
    };
    // The tokens are signed over SHA-256, the last one too: only the chain's digest ends here.
    let mut policy = sha256_until(2034);
    let refused = verify(&policy).unwrap_err();
    assert!(
        matches!(refused, EvidenceError::Algorithm { stamp: 3, .. }),
        "{refused}"
    );
    policy = sha256_until(2031);
    let refused = verify(&policy).unwrap_err();
    assert!(
        matches!(refused, EvidenceError::Algorithm { stamp: 1, .. }),
        "{refused}"
    );
    let mut policy = authorities.policy();
    policy
        .signatures
        .retain(|(a, _)| *a != SignatureAlgorithm::EcdsaSha256);
    assert_eq!(verify(&policy).unwrap_err().code(), "evidence_algorithm");
    let mut policy = authorities.policy();
    policy.authorities.remove(1);
    assert_eq!(verify(&policy).unwrap_err().code(), "timestamp_unknown_signer");
    assert!(authorities.policy().digest_holds(SHA256, year(2099)));
}

#[test]
fn a_renewal_of_something_else_is_refused_when_it_is_made() {
    let authorities = Authorities::new();
    let archive = archive(2);
    let mut record = first(&authorities, &archive).remove(0);
    let renewal = |algorithm, leaf: Vec<u8>| {
        let tree = HashTree::new(algorithm, vec![vec![leaf]]).unwrap();
        let token = authorities.stamp(1, &tree, year(2028));
        ArchiveTimestamp::new(tree.reduced(0).unwrap(), token)
    };
    let code = |result: Result<(), EvidenceError>| result.unwrap_err().code();
    // Without a list only the time-stamp itself says what it is over, so a tree of two is used for the stranger.
    let stranger = HashTree::new(SHA256, vec![vec![vec![1; 32]], vec![vec![2; 32]]]).unwrap();
    let token = authorities.stamp(1, &stranger, year(2028));
    let other = ArchiveTimestamp::new(stranger.reduced(0).unwrap(), token);
    assert_eq!(
        code(record.renew_timestamp(other.clone())),
        "evidence_not_covered"
    );
    assert_eq!(
        code(record.renew_tree(other, &archive[0])),
        "evidence_not_covered"
    );
    let (_, leaf) = record.timestamp_digest().unwrap();
    let mixed = renewal(SHA512, digest(SHA512, &leaf).unwrap());
    assert_eq!(code(record.renew_timestamp(mixed)), "evidence_mixed_digests");
}

#[test]
fn no_changed_byte_of_a_record_is_believed() {
    let authorities = Authorities::new();
    let archive = archive(3);
    let record = &old(&authorities, &archive)[1];
    let der = record.to_der();
    let policy = authorities.policy();
    let mut believed = Vec::new();
    for place in 0..der.len() {
        let mut changed = der.clone();
        changed[place] ^= 1;
        let holds = EvidenceRecord::parse(&changed)
            .is_ok_and(|record| record.verify(&archive[1], &policy, year(2035)).is_ok());
        if holds {
            believed.push(place);
        }
    }
    // Beside the signed contents a token carries certificates, which nothing binds before the next time-stamp does; those
    // of the last one are the tail of the record. The list of announced digests is bound by nothing either.
    let tail = record.last().token().der().len();
    let head = 64;
    let unbound: Vec<_> = believed
        .iter()
        .filter(|&&place| place >= head && place < der.len() - tail)
        // `[0]` read as `[1]`: the stated digest becomes an attribute, and that of the time-stamp counts, which is the same.
        .filter(|&&place| der[place] != 0xa0)
        .collect();
    assert!(unbound.is_empty(), "{unbound:?} of {}", der.len());
}

#[test]
fn encrypted_and_oversized_records_are_refused() {
    let authorities = Authorities::new();
    let record = first(&authorities, &archive(1)).remove(0);
    let plain = record.to_der();
    let mut fields = der::only(&plain, der::SEQUENCE).unwrap().contents();
    let (version, algorithms, chains) = (fields.any(), fields.any(), fields.any());
    let der = der::sequence(|w| {
        w.raw(version.unwrap().raw);
        w.raw(algorithms.unwrap().raw);
        w.constructed(der::context(1), |_| {});
        w.raw(chains.unwrap().raw);
    });
    assert_eq!(EvidenceRecord::parse(&der), Err(EvidenceError::Encrypted));
    let large = vec![0; 4 * 1024 * 1024 + 1];
    assert!(matches!(
        EvidenceRecord::parse(&large),
        Err(EvidenceError::TooLarge(_))
    ));
}

#[test]
fn openssl_verifies_the_time_stamps_inside() {
    let Some(openssl) = OpenSsl::new() else { return };
    let authorities = Authorities::new();
    let archive = archive(3);
    let record = &old(&authorities, &archive)[0];
    openssl.write("ca.pem", authorities.root.certificate().to_pem());
    for (timestamp, at) in record.timestamps().zip([2026, 2028, 2032]) {
        let token = timestamp.token();
        let hex: String = token
            .imprint()
            .1
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        openssl.write("t.der", token.der());
        let verify = |digest: &str| {
            openssl.try_run(&format!(
                "ts -verify -digest {digest} -token_in -in t.der -CAfile ca.pem -attime {}",
                year(at).secs()
            ))
        };
        let (holds, text) = verify(&hex);
        assert!(holds, "{text}");
        let other = "0".repeat(hex.len());
        assert!(!verify(&other).0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_group_of_every_tree_leads_to_the_root_and_a_stranger_does_not(sizes in prop::collection::vec(1_usize..4, 1..12)) {
        let authorities = Authorities::new();
        let mut number = 0;
        let archive: Vec<Vec<ObjectDigests>> = sizes
            .iter()
            .map(|&size| {
                (0..size)
                    .map(|_| {
                        number += 1;
                        ObjectDigests::of(format!("object {number}").as_bytes())
                    })
                    .collect()
            })
            .collect();
        let groups = archive
            .iter()
            .map(|group| group.iter().map(|o| o.by(SHA256).unwrap().to_vec()).collect())
            .collect();
        let tree = HashTree::new(SHA256, groups).unwrap();
        let token = authorities.stamp(0, &tree, year(2026));
        for (n, group) in archive.iter().enumerate() {
            let record = EvidenceRecord::first(ArchiveTimestamp::new(tree.reduced(n).unwrap(), token.clone()));
            let record = EvidenceRecord::parse(&record.to_der()).unwrap();
            let policy = authorities.policy();
            prop_assert!(record.verify(group, &policy, year(2027)).is_ok());
            let stranger = ObjectDigests::of(b"stranger");
            prop_assert!(record.verify(&[stranger], &policy, year(2027)).is_err());
        }
        prop_assert!(tree.reduced(archive.len()).is_none());
    }

    #[test]
    fn arbitrary_bytes_are_no_record_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(EvidenceRecord::parse(&bytes).is_err());
    }
}
