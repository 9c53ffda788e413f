//! Evidence packages: written, read, changed; and a cover sheet that hostile evidence cannot take over.

use std::io::Cursor;
use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::CertStatus;
use kontor_protocol::container::{Report, Verdict};
use kontor_protocol::package::cover::{Cover, Language};
use kontor_protocol::package::{Package, PackageFault, PackageWriter, WriteError, is_package};
use kontor_protocol::signature::SignedObject;
use proptest::prelude::*;

use crate::container::judge;
use crate::repack::{archive_of, entries};
use crate::world::{MESSAGE, Pieces, World, now};

fn cover(containers: &[(String, Report)], language: Language) -> String {
    let cover = Cover {
        language,
        created: now(),
        issuer: Some("Fictional City of Alpha"),
        containers,
        statements: &[],
    };
    cover.to_html()
}

fn packed(files: &[(&str, &[u8])], cover: &str) -> Vec<u8> {
    let mut writer = PackageWriter::new(Cursor::new(Vec::new()), now());
    for (name, bytes) in files {
        writer.add(name, &mut &bytes[..]).unwrap();
    }
    writer.finish(cover).unwrap().into_inner()
}

fn open(bytes: &[u8]) -> Package<Cursor<&[u8]>> {
    Package::open(Cursor::new(bytes)).unwrap()
}

fn faults(bytes: &[u8]) -> Vec<PackageFault> {
    let mut package = open(bytes);
    let mut faults = package.faults().to_vec();
    faults.extend(package.changed().unwrap());
    faults
}

const FILES: [(&str, &[u8]); 4] = [
    ("containers/a.asice", b"container"),
    ("containers/a.leaf.json", b"{}"),
    ("verificationconf/instance-identifier", b"TEST"),
    ("more/checkpoint.txt", b"log\n1\n"),
];

#[test]
fn what_is_packed_is_read_again() {
    let bytes = packed(&FILES, "<!DOCTYPE html>");
    assert!(is_package(Cursor::new(&bytes)));
    assert_eq!(faults(&bytes), []);
    let mut package = open(&bytes);
    assert_eq!(package.created(), now());
    assert_eq!(package.containers().collect::<Vec<_>>(), ["containers/a.asice"]);
    assert_eq!(package.companion("containers/a.asice").unwrap().unwrap(), b"{}");
    assert_eq!(
        package.configuration().unwrap(),
        [("instance-identifier".to_owned(), b"TEST".to_vec())]
    );
    assert_eq!(package.held("more/nothing", 10), Ok(None));
    assert!(package.held("more/checkpoint.txt", 3).is_err());
    assert!(!is_package(Cursor::new(World::new().stamped().archive())));
}

#[test]
fn every_change_to_a_package_is_found_and_named() {
    let good = entries(&packed(&FILES, "cover"));
    let name = FILES[0].0.to_owned();
    assert_eq!(faults(&archive_of(&good)), []);

    let mut changed = good.clone();
    changed[0].1[0] ^= 1;
    assert_eq!(
        faults(&archive_of(&changed)),
        [PackageFault::Changed(name.clone())]
    );
    let mut longer = good.clone();
    longer[0].1.push(0);
    assert_eq!(
        faults(&archive_of(&longer)),
        [PackageFault::Changed(name.clone())]
    );
    let mut removed = good.clone();
    removed.remove(0);
    assert_eq!(faults(&archive_of(&removed)), [PackageFault::Missing(name)]);
    let mut added = good.clone();
    added.push(("containers/b.asice".to_owned(), b"other".to_vec()));
    assert_eq!(
        faults(&archive_of(&added)),
        [PackageFault::Unlisted("containers/b.asice".to_owned())]
    );

    let code = |entries: &[(String, Vec<u8>)]| {
        let bytes = archive_of(entries);
        Package::open(Cursor::new(&bytes)).err().unwrap().code()
    };
    let mut version = good.clone();
    let manifest = version.last_mut().unwrap();
    manifest.1 = String::from_utf8(manifest.1.clone())
        .unwrap()
        .replace("\"format\": 1", "\"format\": 2")
        .into();
    assert_eq!(code(&version), "package_manifest");
    let mut escaping = good.clone();
    let manifest = escaping.last_mut().unwrap();
    manifest.1 = String::from_utf8(manifest.1.clone())
        .unwrap()
        .replace("more/checkpoint.txt", "more/../../checkpoint.txt")
        .into();
    assert_eq!(code(&escaping), "package_name");
    assert_eq!(code(&good[..2]), "package_manifest_missing");
}

#[test]
fn a_writer_refuses_names_that_could_mean_another_place() {
    let mut writer = PackageWriter::new(Cursor::new(Vec::new()), now());
    for name in [
        "manifest.json",
        "containers/../x",
        "/containers/x",
        "containers//x",
        "containers/a\\b",
        "containers/a\nb",
        "other/x",
        "containers/",
    ] {
        let refused = writer.add(name, &mut &b""[..]);
        assert_eq!(refused, Err(WriteError::Name(name.to_owned())));
    }
    writer.add("containers/x", &mut &b""[..]).unwrap();
    assert!(writer.add("containers/x", &mut &b""[..]).is_err());
}

/// Text of a sheet that is well-formed as XML, and how many elements of a name it has.
fn read(html: &str) -> (String, impl Fn(&str) -> usize + use<>) {
    let options = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..roxmltree::ParsingOptions::default()
    };
    let document = roxmltree::Document::parse_with_options(html, options).unwrap();
    let text = document
        .descendants()
        .filter_map(|n| n.text())
        .collect::<Vec<_>>()
        .concat();
    let names: Vec<String> = document
        .descendants()
        .filter(roxmltree::Node::is_element)
        .map(|n| n.tag_name().name().to_owned())
        .collect();
    (text, move |name: &str| {
        names.iter().filter(|n| *n == name).count()
    })
}

#[test]
fn the_cover_says_who_sent_what_to_whom_and_when_in_both_languages() {
    let world = World::new();
    let report = judge(&world.batch_stamped().archive(), &world.trust());
    let containers = [("containers/a.asice".to_owned(), report)];
    for (language, words) in [
        (
            Language::English,
            ["Sent by", "valid: everything", "Existed at", "How to check it"],
        ),
        (
            Language::German,
            ["Absender", "gültig: alles", "Lag vor am", "So wird geprüft"],
        ),
    ] {
        let (text, count) = read(&cover(&containers, language));
        for word in words.into_iter().chain([
            "TEST/GOV/1001/antrag",
            "TEST/GOV/1002/antrag/intake",
            "Fictional City of Alpha",
            "2026-03-02T10:01:00.000Z",
            "kontor verify",
            "openssl ts -verify",
            "xmlsec1 --verify",
        ]) {
            assert!(text.contains(word), "{word}\n{text}");
        }
        assert_eq!((count("main"), count("h1"), count("script")), (1, 1, 0));
        assert_eq!(count("section"), count("h2"));
    }
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(|l| std::str::from_utf8(l).unwrap())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

fn has(tool: &str) -> bool {
    let there =
        Command::new(tool).arg("--version").output().is_ok() || Command::new(tool).arg("-v").output().is_ok();
    if !there {
        eprintln!("SKIPPED: the command of the cover sheet that needs {tool}");
    }
    there
}

#[test]
fn the_commands_on_the_cover_sheet_say_what_it_says() {
    let world = World::new();
    let container = world.batch_stamped().archive();
    let report = judge(&container, &world.trust());
    let seconds = report.time_stamp.as_ref().unwrap().gen_time.secs().to_string();
    let html = cover(&[("containers/NAME.asice".to_owned(), report)], Language::English);
    let document = roxmltree::ParsingOptions {
        allow_dtd: true,
        ..Default::default()
    };
    let document = roxmltree::Document::parse_with_options(&html, document).unwrap();
    let commands = document
        .descendants()
        .filter(|n| n.has_tag_name("pre"))
        .nth(1)
        .unwrap();
    let commands: String = commands
        .descendants()
        .filter(|n| n.is_text())
        .filter_map(|n| n.text())
        .collect();

    let dir = tempfile::tempdir().unwrap();
    let package = packed(&[("containers/NAME.asice", &container)], &html);
    std::fs::write(dir.path().join("PACKAGE.zip"), package).unwrap();
    std::fs::write(dir.path().join("ca.pem"), pem(world.ca.certificate().der())).unwrap();
    std::fs::write(dir.path().join("signer.pem"), pem(world.certificate.der())).unwrap();
    if !has("unzip") {
        return;
    }
    let mut script = String::from("set -e\n");
    let commands = commands.replace("\\\n", "").replace("SECONDS", &seconds);
    let lines: Vec<_> = commands.lines().map(str::trim).collect();
    assert_eq!(lines.len(), 5);
    for line in lines {
        let tool = line.split(' ').next().unwrap();
        if has(tool) {
            script += &format!("{line}\n");
        }
        if line.ends_with("cd container") {
            script += "cp ../ca.pem ../signer.pem .\n";
        }
    }
    let run = |script: &str| {
        Command::new("sh")
            .args(["-c", script])
            .current_dir(dir.path())
            .output()
            .unwrap()
    };
    let output = run(&script);
    assert!(output.status.success(), "{script}\n{output:?}");
    if has("openssl") {
        let changed = script
            .replace("set -e", "set -e; rm -r package container")
            .replace("-data ts-hashchainresult.xml", "-data message.xml");
        assert!(!run(&changed).status.success());
    }
}

#[test]
fn a_hostile_query_id_stays_text() {
    let world = World::new();
    let hostile = "</td></table><script>alert(1)</script><img src=x onerror=\"y\">&amp;' \u{202e}txt";
    let message = String::from_utf8(MESSAGE.to_vec())
        .unwrap()
        .replace("x-road-id:q1", &format!("x-road-id:{hostile}"));
    let pieces = Pieces {
        signatures: world.sign(
            SignedObject::Message(sha512(message.as_bytes())),
            CertStatus::Good,
        ),
        message: message.into_bytes(),
        chain: None,
        timestamp: None,
        body: None,
    };
    let report = judge(&pieces.archive(), &world.trust());
    assert_eq!(report.verdict, Verdict::Incomplete, "{}", report.in_words());
    let name = format!("containers/{hostile}.asice");
    let html = cover(&[(name, report)], Language::German);
    let (text, count) = read(&html);
    assert_eq!((count("script"), count("img"), count("table")), (0, 0, 2));
    assert!(text.contains("</td></table><script>alert(1)</script>"));
    assert!(!html.contains('\u{202e}'));
}

proptest! {
    #[test]
    fn no_issuer_breaks_the_sheet(issuer in any::<String>()) {
        let cover = Cover { language: Language::English, created: now(), issuer: Some(&issuer), containers: &[], statements: &[] };
        let html = cover.to_html();
        let (_, count) = read(&html);
        prop_assert_eq!((count("script"), count("table"), count("tr")), (0, 1, 3));
    }

    #[test]
    fn arbitrary_bytes_are_no_package_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Package::open(Cursor::new(&bytes)).is_err());
    }
}
