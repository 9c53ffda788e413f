//! Evidence containers of others and of our own: the verdicts of wire 12.1 as far as they are ours, and what one
//! flipped byte does.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its data has failed")]

use std::collections::HashMap;
use std::fs;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::sha512;
use kontor_protocol::container::check::{Question, check};
use kontor_protocol::container::{Container, Report, Verdict};
use kontor_protocol::trust::TrustSet;

const VERIFIER: &str = "src/tool/asic-verifier-cli/src/test/resources";
const CORE: &str = "src/lib/asic-core/src/test/resources";
const GLOBALCONF: &str = "src/lib/globalconf-core/src/test/resources";

/// Upstream test data, or `None` with a loud note.
fn upstream() -> Option<PathBuf> {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/xroad/upstream"
    ));
    if !path.is_dir() {
        eprintln!("SKIPPED: containers of X-Road need ../shared");
        return None;
    }
    Some(path.to_owned())
}

fn judge(container: &[u8], trust: &TrustSet) -> Report {
    check(
        Cursor::new(container),
        &Question {
            trust,
            at: None,
            companion: None,
        },
    )
}

fn codes(report: &Report) -> Vec<&str> {
    report.reasons.iter().map(|r| r.code.as_str()).collect()
}

fn dev(root: &Path) -> TrustSet {
    let folder = root.join(GLOBALCONF).join("globalconf_good2_v3");
    let read = |name: &str| (name.to_owned(), fs::read(folder.join(name)).unwrap());
    TrustSet::from_files(vec![read("instance-identifier"), read("DEV/shared-params.xml")]).unwrap()
}

/// The verdict and a code that must be among the reasons, for each container of wire 12.1.
const VERDICTS: [(&str, Verdict, &str); 13] = [
    ("valid-signed-message", Verdict::Valid, ""),
    ("valid-batch-ts", Verdict::Valid, ""),
    ("valid-non-batch-rest", Verdict::Valid, ""),
    ("valid-non-batch-soap-attachments", Verdict::Valid, ""),
    // Java says valid, the attachment unverified.
    (
        "valid-signed-hashchain",
        Verdict::Incomplete,
        "attachment_missing",
    ),
    ("wrong-message", Verdict::Invalid, "invalid_signature_value"),
    ("invalid-digest", Verdict::Invalid, "invalid_signature_value"),
    (
        "invalid-signed-hashchain",
        Verdict::Invalid,
        "invalid_hash_chain_ref",
    ),
    // Java finds the other message in the archive and complains that this one is not used; nothing signs the other.
    (
        "invalid-hashchain-modified-message",
        Verdict::Invalid,
        "invalid_reference",
    ),
    // Java ignores the chain and says valid.
    (
        "invalid-not-signed-hashchain",
        Verdict::Invalid,
        "chain_not_referenced",
    ),
    (
        "invalid-incorrect-references",
        Verdict::Invalid,
        "malformed_signature",
    ),
    (
        "invalid-ts-hashchainresult",
        Verdict::Invalid,
        "malformed_hash_chain",
    ),
    ("attachments", Verdict::Incomplete, "asic_message_not_found"),
];

#[test]
fn upstream_containers_get_their_verdicts() {
    let Some(root) = upstream() else { return };
    let trust = dev(&root);
    for (name, verdict, code) in VERDICTS {
        let path = root.join(VERIFIER).join(format!("{name}.asice"));
        let report = judge(&fs::read(path).unwrap(), &trust);
        assert_eq!(report.verdict, verdict, "{name}\n{}", report.in_words());
        if verdict == Verdict::Valid {
            assert!(report.reasons.is_empty() && report.time_stamp.is_some(), "{name}");
        } else {
            assert!(codes(&report).contains(&code), "{name}: {:?}", codes(&report));
        }
    }
    let files = fs::read_dir(root.join(VERIFIER)).unwrap();
    let containers = files.filter(|f| {
        f.as_ref()
            .unwrap()
            .path()
            .extension()
            .is_some_and(|e| e == "asice")
    });
    assert_eq!(containers.count(), VERDICTS.len());
}

#[test]
fn a_verdict_names_signer_message_and_times() {
    let Some(root) = upstream() else { return };
    let report = judge(
        &fs::read(root.join(VERIFIER).join("valid-batch-ts.asice")).unwrap(),
        &dev(&root),
    );
    assert_eq!(report.signer.unwrap().to_string(), "DEV/COM/4321");
    assert_eq!(report.signer_name.as_deref(), Some("Test client"));
    assert_eq!(
        report.time_stamp.unwrap().gen_time.to_rfc3339(),
        "2024-12-05T07:34:14.000Z"
    );
    assert_eq!(
        report.message.unwrap().service.to_string(),
        "DEV/COM/1234/TestService/getRandom/v1"
    );
}

#[test]
fn structure_is_judged_before_anything_else() {
    let Some(root) = upstream() else { return };
    let read = |name: &str| Container::read(Cursor::new(fs::read(root.join(CORE).join(name)).unwrap()));
    assert!(read("valid-signed-message.asice").is_ok());
    assert_eq!(
        read("valid-signed-message-with-attachments.asice")
            .unwrap()
            .attachments
            .len(),
        2
    );
    let code = |name: &str| read(name).unwrap_err().code();
    assert_eq!(code("no-mimetype.asice"), "asic_mime_type_not_found");
    assert_eq!(code("not-asic.asice"), "asic_mime_type_not_found");
    assert_eq!(code("no-message.asice"), "asic_message_not_found");
    assert_eq!(code("no-signature.asice"), "asic_signature_not_found");
}

/// The containers of an archive written by a Java server, by name.
fn archived(root: &Path, archive: &str) -> Vec<(String, Vec<u8>)> {
    let folder = "src/addons/messagelog/messagelog-archive-verifier/src/test/resources";
    let mut zip = zip::ZipArchive::new(fs::File::open(root.join(folder).join(archive)).unwrap()).unwrap();
    let mut found = Vec::new();
    for index in 0..zip.len() {
        let mut file = zip.by_index(index).unwrap();
        let name = file.name().unwrap().into_owned();
        if name.ends_with(".asice") {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            found.push((name, bytes));
        }
    }
    found
}

#[test]
fn containers_of_a_real_server_hold_and_answer_each_other() {
    let Some(root) = upstream() else { return };
    let folder = root.join("src/addons/messagelog/messagelog-addon/src/test/resources/globalconf");
    let read = |name: &str| (name.to_owned(), fs::read(folder.join(name)).unwrap());
    let files = [
        "instance-identifier",
        "CS/shared-params.xml",
        "CS/shared-params.xml.metadata",
    ];
    let trust = TrustSet::from_files(files.map(read).to_vec()).unwrap();
    let mut verdicts = HashMap::new();
    let mut digests = Vec::new();
    let mut answers = Vec::new();
    for archive in ["message-archive-0.zip", "message-archive-1.zip"] {
        for (name, bytes) in archived(&root, archive) {
            let report = judge(&bytes, &trust);
            *verdicts.entry(report.verdict).or_insert(0) += 1;
            if report.verdict == Verdict::Incomplete {
                // Attachments of SOAP messages were never stored (wire 6.2).
                assert!(
                    codes(&report).iter().all(|code| *code == "attachment_missing"),
                    "{name}"
                );
            }
            let message = Container::read(Cursor::new(&bytes)).unwrap().message;
            let text = String::from_utf8(message.clone()).unwrap();
            match text.split_once("requestHash algorithmId=") {
                None => digests.push(STANDARD.encode(sha512(&message))),
                Some((_, rest)) => {
                    let hash = rest.split(['>', '<']).nth(1).unwrap().to_owned();
                    answers.push((name, hash));
                }
            }
        }
    }
    assert_eq!(
        verdicts,
        HashMap::from([(Verdict::Valid, 18), (Verdict::Incomplete, 3)])
    );
    assert!(!answers.is_empty());
    for (name, hash) in answers {
        assert!(
            digests.contains(&hash),
            "{name} answers no request of the archives"
        );
    }
}
