//! Our own containers: made as a node makes them, judged, and then changed in every place.

use std::io::Cursor;

use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::CertStatus;
use kontor_protocol::container::check::{Question, check};
use kontor_protocol::container::{Absent, BatchTimestamp, ChainFiles, Companion, Container, Report, Verdict};
use kontor_protocol::log::ListedPart;
use kontor_protocol::signature::{SignatureDocument, SignedObject, insert_timestamp};
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::shared::SharedParams;
use kontor_protocol::trust::{InstanceConfig, TrustSet};
use proptest::prelude::*;

use crate::repack::{archive_of, entries};
use crate::world::{MESSAGE, Pieces, World, now, seconds, trust};

pub(crate) fn judge(archive: &[u8], trust: &TrustSet) -> Report {
    check(
        Cursor::new(archive),
        &Question {
            trust,
            at: None,
            companion: None,
        },
    )
}

pub(crate) fn assert_verdict(report: &Report, verdict: Verdict, code: &str) {
    assert_eq!(report.verdict, verdict, "{}", report.in_words());
    let found = code.is_empty() || report.reasons.iter().any(|r| r.code == code);
    assert!(found, "{code} is not among {:?}", report.reasons);
}

#[test]
fn what_a_node_exports_is_valid_and_said_in_words() {
    let world = World::new();
    for pieces in [world.stamped(), world.batch_stamped()] {
        let report = judge(&pieces.archive(), &world.trust());
        assert_verdict(&report, Verdict::Valid, "");
        let words = report.in_words();
        for sentence in [
            "VALID",
            "TEST",
            "signed by TEST/GOV/1001 (Fictional City of Alpha)",
            "a REST request of TEST/GOV/1001/antrag to the service TEST/GOV/1002/antrag/intake",
            "existed at 2026-03-02T10:01:00.000Z by the time-stamp of",
            "attachment1: 29 bytes, covered by the signature",
        ] {
            assert!(words.contains(sentence), "{sentence}\n{words}");
        }
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["verdict"], "valid");
        assert_eq!(json["signer"], "TEST/GOV/1001");
        assert_eq!(json["message"]["role"], "request");
        assert_eq!(json["instant"]["source"], "time-stamp");
        assert_eq!(json["reasons"], serde_json::json!([]));
    }
}

#[test]
fn a_container_has_the_entries_of_x_road_in_their_order() {
    let world = World::new();
    let archive = world.batch_stamped().archive();
    let mut zip = zip::ZipArchive::new(Cursor::new(&archive)).unwrap();
    assert_eq!(zip.comment(), b"mimetype=application/vnd.etsi.asic-e+zip");
    let names: Vec<_> = zip.file_names().map(|name| name.unwrap().into_owned()).collect();
    assert_eq!(
        names,
        [
            "mimetype",
            "message.xml",
            "META-INF/signatures.xml",
            "sig-hashchainresult.xml",
            "sig-hashchain.xml",
            "ts-hashchainresult.xml",
            "ts-hashchain.xml",
            "META-INF/manifest.xml",
            "META-INF/ASiCManifest.xml",
            "META-INF/timestamp.tst",
            "attachment1"
        ]
    );
    for index in 0..zip.len() {
        let file = zip.by_index(index).unwrap();
        assert_eq!(file.compression(), zip::CompressionMethod::Deflated);
        assert_eq!(file.last_modified().unwrap().to_string(), "2026-03-02 10:00:00");
    }
}

#[test]
fn what_is_missing_makes_it_incomplete() {
    let world = World::new();
    let trust = world.trust();
    let report = judge(&world.unstamped().archive(), &trust);
    assert_verdict(&report, Verdict::Incomplete, "timestamp_missing");
    let report = judge(
        &Pieces {
            body: None,
            ..world.stamped()
        }
        .archive(),
        &trust,
    );
    assert_verdict(&report, Verdict::Incomplete, "attachment_missing");
    let archive = without(&world.stamped().archive(), "message.xml");
    assert_verdict(
        &judge(&archive, &trust),
        Verdict::Incomplete,
        "asic_message_not_found",
    );
}

#[test]
fn whom_the_configuration_does_not_know_leaves_it_undecided() {
    let world = World::new();
    let archive = world.stamped().archive();
    let with = |edit: &dyn Fn(&mut SharedParams)| {
        let mut shared = world.shared();
        edit(&mut shared);
        judge(&archive, &trust(shared))
    };
    let report = with(&|shared| shared.authorities.clear());
    assert_verdict(&report, Verdict::Undecided, "cannot_create_cert_path");
    let report = with(&|shared| shared.tsas.clear());
    assert_verdict(&report, Verdict::Undecided, "tsp_certificate_not_found");
    let report = with(&|shared| shared.authorities[0].profile_class = "Other".to_owned());
    assert_verdict(&report, Verdict::Undecided, "incorrect_certificate");
    let mut shared = world.shared();
    shared.instance = "TEST2".to_owned();
    shared.members.clear();
    let config = InstanceConfig {
        instance: "TEST2".to_owned(),
        shared,
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: None,
    };
    let report = judge(&archive, &TrustSet::new("TEST2", vec![config]).unwrap());
    assert_verdict(&report, Verdict::Undecided, "unknown_instance");
}

#[test]
fn the_instant_is_that_of_the_token_then_the_one_asked_for_then_the_signers() {
    let world = World::new();
    let trust = world.trust();
    let ask = |pieces: &Pieces, at| {
        check(
            Cursor::new(pieces.archive()),
            &Question {
                trust: &trust,
                at,
                companion: None,
            },
        )
    };
    let instant = |report: &Report| report.instant.unwrap().at;
    let (stamped, unstamped) = (world.stamped(), world.unstamped());
    let later = now() + seconds(86_400);
    assert_eq!(instant(&ask(&stamped, None)), now() + seconds(60));
    let report = ask(&stamped, Some(later));
    assert_eq!(
        instant(&report),
        now() + seconds(60),
        "--at never replaces the token's instant"
    );
    assert_verdict(&report, Verdict::Valid, "");
    assert!(report.still_sound.unwrap().sound);
    let years = now() + seconds(400 * 86_400);
    assert!(!ask(&stamped, Some(years)).still_sound.unwrap().sound);
    assert!(!ask(&stamped, Some(now())).still_sound.unwrap().sound);

    assert_eq!(instant(&ask(&unstamped, None)), now() + seconds(10));
    assert_eq!(instant(&ask(&unstamped, Some(later))), later);
    // Without a token the instant is only a question: a response that is stale then proves no forgery.
    assert_verdict(
        &ask(&unstamped, Some(later)),
        Verdict::Incomplete,
        "incorrect_validation_info",
    );
}

#[test]
fn who_must_not_sign_makes_it_invalid() {
    let world = World::new();
    let trust = world.trust();
    let stamp = |signatures: Vec<u8>| {
        let value = SignatureDocument::parse(&signatures)
            .unwrap()
            .signature_value()
            .to_vec();
        insert_timestamp(&signatures, &world.token(&value)).unwrap()
    };
    let direct = |message: &[u8], status| Pieces {
        message: message.to_vec(),
        signatures: stamp(world.sign(SignedObject::Message(sha512(message)), status)),
        chain: None,
        timestamp: None,
        body: None,
    };
    assert_verdict(
        &judge(&direct(MESSAGE, CertStatus::Good).archive(), &trust),
        Verdict::Valid,
        "",
    );
    let revoked = direct(MESSAGE, CertStatus::Revoked { at: now() });
    assert_verdict(
        &judge(&revoked.archive(), &trust),
        Verdict::Invalid,
        "cert_validation",
    );
    let text = String::from_utf8(MESSAGE.to_vec())
        .unwrap()
        .replace("GOV/1001/antrag", "GOV/1003/antrag");
    let other = direct(text.as_bytes(), CertStatus::Good);
    assert_verdict(
        &judge(&other.archive(), &trust),
        Verdict::Invalid,
        "incorrect_certificate",
    );
    // A part that nothing covers, a file that nothing signs, and a signature that covers something else.
    let mut added = direct(MESSAGE, CertStatus::Good);
    added.body = Some(b"added".to_vec());
    assert_verdict(&judge(&added.archive(), &trust), Verdict::Invalid, "not_covered");
    let mut chained = direct(MESSAGE, CertStatus::Good);
    chained.chain = world.stamped().chain;
    assert_verdict(
        &judge(&chained.archive(), &trust),
        Verdict::Invalid,
        "chain_not_referenced",
    );
    let archive = with_entry(&world.stamped().archive(), "notes.txt", b"trust me");
    assert_verdict(&judge(&archive, &trust), Verdict::Invalid, "foreign_entry");
    let report = judge(
        &with_entry(&world.stamped().archive(), "META-INF/x.xml", b"-"),
        &trust,
    );
    assert_verdict(&report, Verdict::Valid, "");
    assert_eq!(report.notes.len(), 1);
}

#[test]
fn a_companion_ties_a_container_to_its_leaf() {
    let world = World::new();
    let trust = world.trust();
    let unstamped = world.unstamped();
    let stamped = world.stamp(unstamped.clone());
    let ask = |pieces: &Pieces, companion: &Companion| {
        let json = companion.to_json();
        check(
            Cursor::new(pieces.archive()),
            &Question {
                trust: &trust,
                at: None,
                companion: Some(&json),
            },
        )
    };
    // The leaf commits to what was logged first; the stamp came later.
    let companion = unstamped.companion(true);
    let report = ask(&stamped, &companion);
    assert_verdict(&report, Verdict::Valid, "");
    let leaf = report.leaf.as_ref().unwrap();
    assert!(leaf.belongs && leaf.number == 42 && leaf.kind == "request");

    let mut salted = companion.clone();
    salted.salt[0] ^= 1;
    assert_verdict(&ask(&stamped, &salted), Verdict::Invalid, "leaf_commitment");
    let other = Pieces {
        body: Some(b"other".to_vec()),
        ..unstamped.clone()
    }
    .companion(true);
    assert_verdict(&ask(&stamped, &other), Verdict::Invalid, "leaf_other_part");
    let fewer = Pieces {
        body: None,
        ..unstamped.clone()
    }
    .companion(true);
    assert_verdict(&ask(&stamped, &fewer), Verdict::Invalid, "leaf_other_part");
    let bodiless = Pieces {
        body: None,
        ..stamped.clone()
    };
    assert_verdict(&ask(&bodiless, &companion), Verdict::Incomplete, "part_missing");
    // Whoever keeps the log says why it is missing; that is told, and changes no verdict.
    let mut told = companion.clone();
    told.absent.push(Absent {
        name: "attachment1".into(),
        code: "log_content_deleted".into(),
        text: "the body of entry 42 is deleted\nunder the rule `days = 7d` by entry 50".into(),
    });
    let report = ask(&bodiless, &told);
    assert_verdict(&report, Verdict::Incomplete, "part_missing");
    let said = report
        .reasons
        .iter()
        .find(|reason| reason.code == "part_missing")
        .unwrap();
    assert!(
        said.text
            .ends_with("lacks: the body of entry 42 is deletedunder the rule `days = 7d` by entry 50"),
        "{}",
        said.text
    );
    assert_verdict(&ask(&stamped, &told), Verdict::Valid, "");
    assert_verdict(
        &ask(&stamped, &unstamped.companion(false)),
        Verdict::Invalid,
        "leaf_test_bit",
    );
    assert!(report.in_words().contains("its companion fits: entry 42"));
    let question = Question {
        trust: &trust,
        at: None,
        companion: Some(b"{}"),
    };
    let report = check(Cursor::new(stamped.archive()), &question);
    assert_verdict(&report, Verdict::Invalid, "malformed_companion");
}

fn without(archive: &[u8], name: &str) -> Vec<u8> {
    let mut entries = entries(archive);
    entries.retain(|(n, _)| n != name);
    archive_of(&entries)
}

fn with_entry(archive: &[u8], name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut entries = entries(archive);
    entries.push((name.to_owned(), bytes.to_vec()));
    archive_of(&entries)
}

/// Where the signature document is signed, or is what the signature is made with: SignedInfo, the signature value, the
/// certificate, the signed properties.
fn signed(signatures: &[u8]) -> Vec<usize> {
    let find = |text: &str| {
        signatures
            .windows(text.len())
            .position(|w| w == text.as_bytes())
            .unwrap()
    };
    let after = |text: &str| find(text) + text.len();
    [
        find("<ds:SignedInfo>")..after("</ds:SignedInfo>"),
        after("<ds:SignatureValue Id=\"signature-value\">")..find("</ds:SignatureValue>"),
        after("<ds:X509Certificate>")..find("</ds:X509Certificate>"),
        find("<xades:SignedProperties")..after("</xades:SignedProperties>"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[test]
fn one_flipped_byte_in_what_is_proven_is_invalid() {
    let world = World::new();
    let trust = world.trust();
    let single = entries(&world.stamped().archive());
    let batch = entries(&world.batch_stamped().archive());
    for (entries, only) in [(single, None), (batch, Some(["ts-", "META-INF/timestamp"]))] {
        assert_verdict(&judge(&archive_of(&entries), &trust), Verdict::Valid, "");
        for (index, (name, bytes)) in entries.iter().enumerate() {
            if only.is_some_and(|prefixes| !prefixes.iter().any(|p| name.starts_with(p))) {
                continue;
            }
            let places = match name.as_str() {
                "META-INF/signatures.xml" => signed(bytes),
                // It proves nothing.
                "META-INF/manifest.xml" => continue,
                _ => (0..bytes.len()).collect(),
            };
            for at in places {
                // Lowest bit, case of a letter, all bits.
                let mask = [0x01, 0x20, 0xFF][at % 3];
                let mut changed = entries.clone();
                changed[index].1[at] ^= mask;
                let report = judge(&archive_of(&changed), &trust);
                let around = String::from_utf8_lossy(&bytes[at.saturating_sub(20)..bytes.len().min(at + 20)]);
                let told = format!("{name} at {at} with {mask:#x}: {around:?}\n{}", report.in_words());
                assert_eq!(report.verdict, Verdict::Invalid, "{told}");
            }
        }
    }
}

#[test]
fn one_flipped_byte_in_an_embedded_token_is_invalid() {
    let world = World::new();
    let trust = world.trust();
    let pieces = world.unstamped();
    let value = SignatureDocument::parse(&pieces.signatures)
        .unwrap()
        .signature_value()
        .to_vec();
    let token = world.token(&value);
    for at in 0..token.len() {
        let mut token = token.clone();
        token[at] ^= 0x01;
        let signatures = insert_timestamp(&pieces.signatures, &token).unwrap();
        let report = judge(
            &Pieces {
                signatures,
                ..pieces.clone()
            }
            .archive(),
            &trust,
        );
        assert_eq!(
            report.verdict,
            Verdict::Invalid,
            "token at {at}\n{}",
            report.in_words()
        );
    }
}

#[test]
fn one_flipped_byte_anywhere_in_the_archive_is_never_a_panic() {
    let world = World::new();
    let trust = world.trust();
    let archive = world.batch_stamped().archive();
    for at in 0..archive.len() {
        let mut changed = archive.clone();
        changed[at] ^= 0x40;
        let report = judge(&changed, &trust);
        assert!(report.verdict == Verdict::Valid || !report.reasons.is_empty());
        let _ = (report.in_words(), serde_json::to_string(&report).unwrap());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), archive in any::<bool>()) {
        let mut start = if archive { b"PK\x03\x04".to_vec() } else { Vec::new() };
        start.extend(bytes);
        let bytes = start;
        prop_assert!(Container::read(Cursor::new(&bytes)).is_err());
        let _ = Companion::from_json(&bytes);
    }

    #[test]
    fn what_is_written_is_read_again(
        message in prop::collection::vec(any::<u8>(), 0..200),
        signatures in prop::collection::vec(any::<u8>(), 0..200),
        chain in prop::option::of((any::<[u8; 8]>(), any::<[u8; 9]>())),
        timestamp in prop::option::of((any::<[u8; 8]>(), any::<[u8; 9]>(), any::<[u8; 10]>())),
        body in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
    ) {
        let pieces = Pieces {
            message,
            signatures,
            chain: chain.map(|(a, b)| ChainFiles { result: a.to_vec(), chain: b.to_vec() }),
            timestamp: timestamp
                .map(|(a, b, c)| BatchTimestamp { result: a.to_vec(), chain: b.to_vec(), token: c.to_vec() }),
            body,
        };
        let read = Container::read(Cursor::new(pieces.archive())).unwrap();
        prop_assert_eq!(&read.message, &pieces.message);
        prop_assert_eq!(&read.signatures, &pieces.signatures);
        prop_assert_eq!(&read.chain, &pieces.chain);
        prop_assert_eq!(&read.timestamp, &pieces.timestamp);
        prop_assert!(read.foreign.is_empty());
        prop_assert_eq!(read.attachments.len(), usize::from(pieces.body.is_some()));
        if let Some(body) = &pieces.body {
            let digest = read.attachments[0].digest(kontor_pki::crypto::DigestAlgorithm::Sha512);
            let expected = sha512(body);
            prop_assert_eq!(digest, Some(expected.as_slice()));
        }
    }

    #[test]
    fn a_companion_survives_a_round_trip(
        leaf in prop::collection::vec(any::<u8>(), 0..200),
        salt in any::<[u8; 32]>(),
        parts in prop::collection::vec(("\\PC{0,30}", any::<u64>()), 0..6),
    ) {
        let parts = parts.into_iter().map(|(name, length)| ListedPart { name, length, digest: [3; 64] }).collect();
        let companion = Companion { leaf, salt, parts, proof: None, keys: Vec::new(), absent: Vec::new() };
        prop_assert_eq!(Companion::from_json(&companion.to_json()), Ok(companion));
    }
}
