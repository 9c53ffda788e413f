use std::io::Cursor;

use kontor_pki::crypto::DigestAlgorithm;
use kontor_pki::time::UnixTime;
use proptest::prelude::*;

use super::*;
use crate::container::MessageRole;

fn at(text: &str) -> UnixTime {
    UnixTime::parse_rfc3339(text).unwrap()
}

/// An archive with these containers, and its end.
fn archive(previous: Option<Link>, containers: &[(&str, &[u8])]) -> (Vec<u8>, Link) {
    let mut writer = ArchiveWriter::new(Cursor::new(Vec::new()), previous).unwrap();
    for (name, bytes) in containers {
        writer
            .add(name, at("2026-03-02T10:00:00Z"), &mut &bytes[..])
            .unwrap();
    }
    let finished = writer.finish().unwrap();
    let link = Link {
        digest: finished.digest.clone(),
        file: finished.file_name(None),
    };
    (finished.out.into_inner(), link)
}

fn open(bytes: &[u8]) -> Archive<Cursor<&[u8]>> {
    Archive::open(Cursor::new(bytes)).unwrap()
}

#[test]
fn names_are_those_of_the_java_archiver() {
    let name = |id: &str, record| container_name(id, MessageRole::Request, record);
    assert_eq!(name("ID1234", 3), "ID1234-request-3.asice");
    assert_eq!(name("a b/ü*", 22), "a+b%2F%C3%BC*-request-m.asice");
    assert_eq!(
        container_name("q", MessageRole::Response, u64::MAX),
        "q-response-fvvvvvvvvvvvv.asice"
    );
    assert!(name(&"ä".repeat(300), u64::MAX).len() <= 255);
    let (first, last) = (at("2023-10-23T12:12:55.900Z"), at("2023-10-23T12:16:00Z"));
    assert_eq!(
        file_name(None, first, last, "9011ab557706b5050584"),
        "mlog-20231023121255-20231023121600-9011ab557706b505.zip"
    );
    assert_eq!(
        file_name(Some("DE_GOV_1001"), first, last, "9011ab557706b5050584"),
        "mlog-DE_GOV_1001-20231023121255-20231023121600-9011ab557706b505.zip"
    );
    assert_eq!(group_name("DE/GOV/a\\b<c>:|*?\n"), "DE_GOV_a_b_c______");
    assert_eq!(group_name(&"x".repeat(300)).len(), 200);
}

#[test]
fn the_group_is_found_in_a_name_and_nowhere_else() {
    let tail = "20231023121255-20231023121255-9011ab557706b505.zip";
    assert_eq!(group_of(&format!("mlog-{tail}.gpg")), Some(""));
    assert_eq!(group_of(&format!("mlog-DE_GOV_a-b-{tail}")), Some("DE_GOV_a-b"));
    assert_eq!(group_of("message-archive-0.zip"), None);
    assert_eq!(group_of("mlog-20231023121255-9011ab557706b505.zip"), None);
}

#[test]
fn an_archive_continues_the_one_before_and_no_other() {
    let (first, end) = archive(None, &[("a-request-1.asice", b"a"), ("a-response-2.asice", b"b")]);
    let (second, _) = archive(Some(end.clone()), &[("c-request-3.asice", b"c")]);
    let (mut first, mut second) = (open(&first), open(&second));
    assert_eq!(first.follows(Predecessor::First), Ok(()));
    assert_eq!(second.follows(Predecessor::Digest(&end.digest)), Ok(()));
    assert_eq!(second.follows(Predecessor::Unknown), Ok(()));
    assert_eq!(first.changed().unwrap(), []);
    assert_eq!(second.changed().unwrap(), []);
    assert!(first.faults().is_empty() && second.faults().is_empty());

    let code = |result: Result<(), ArchiveFault>| result.unwrap_err().code();
    assert_eq!(code(second.follows(Predecessor::First)), "archive_not_first");
    let other = "0".repeat(128);
    assert_eq!(
        code(second.follows(Predecessor::Digest(&other))),
        "archive_other_predecessor"
    );
    assert_eq!(
        code(first.follows(Predecessor::Digest(&end.digest))),
        "archive_other_predecessor"
    );
}

#[test]
fn a_writer_refuses_what_no_archive_can_hold() {
    let out = || Cursor::new(Vec::new());
    let mut writer = ArchiveWriter::new(out(), None).unwrap();
    let now = at("2026-03-02T10:00:00Z");
    writer.add("a.asice", now, &mut &b"a"[..]).unwrap();
    for name in ["a.asice", "", "linkinginfo", "x/y.asice", "x\ny.asice"] {
        let refused = writer.add(name, now, &mut &b"b"[..]);
        assert_eq!(refused, Err(WriteError::Name(name.to_owned())));
    }
    let empty = ArchiveWriter::new(out(), None).unwrap().finish();
    assert_eq!(empty.unwrap_err(), WriteError::Empty);
    let link = |digest: &str, file: &str| {
        Some(Link {
            digest: digest.to_owned(),
            file: file.to_owned(),
        })
    };
    for previous in [
        link("abc", "f"),
        link(&"A".repeat(128), "f"),
        link(&"a".repeat(128), ""),
    ] {
        assert!(ArchiveWriter::new(out(), previous).is_err_and(|e| e == WriteError::Previous));
    }
}

#[test]
fn encrypted_archives_and_other_files_are_told_apart() {
    let error = |bytes: &[u8]| Archive::open(Cursor::new(bytes)).err().unwrap();
    assert_eq!(error(b"\x85\x01\x0c\x03rest"), ArchiveError::Encrypted);
    assert_eq!(error(b"-----BEGIN PGP MESSAGE-----"), ArchiveError::Encrypted);
    assert_eq!(error(b"text, not an archive"), ArchiveError::NotArchive);
    assert_eq!(error(b""), ArchiveError::NotArchive);
    assert!(!is_archive(Cursor::new(b"PK\x03\x04")));
}

#[test]
fn linkinginfo_of_another_form_is_refused() {
    let good = "- - SHA-256\n".to_owned() + &"a".repeat(64) + " n.asice\n";
    assert!(LinkingInfo::parse(good.as_bytes()).is_ok());
    for bad in [
        "",
        "- - SHA-256\n",
        "- -\n",
        "- file SHA-256\nx",
        &good.replace("SHA-256", "SHA-1"),
        &good.replace("SHA-256", "SHA-512"),
        &good.replace("- -", "- mlog.zip"),
        &good.replace(" n.asice", ""),
        &good.replace(" n.asice", " "),
        &good.replace('a', "A"),
        &good.replace('\n', "\r\n"),
        &(good.clone() + "\n"),
    ] {
        assert!(LinkingInfo::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

fn info(previous: Option<&str>, last: &str) -> LinkingInfo {
    LinkingInfo {
        previous: previous.map(|digest| Link {
            digest: digest.to_owned(),
            file: "f".to_owned(),
        }),
        algorithm: DigestAlgorithm::Sha512,
        containers: vec![Linking {
            digest: last.to_owned(),
            name: "n".to_owned(),
        }],
    }
}

#[test]
fn archives_are_put_into_the_order_of_their_chain() {
    use Position::{Detached, First, Follows, Fork};
    let [c, a, b, x] = [
        info(Some("b"), "c"),
        info(None, "a"),
        info(Some("a"), "b"),
        info(Some("lost"), "x"),
    ];
    assert_eq!(
        sequence(&[&c, &a, &b, &x]),
        [(1, First), (2, Follows(1)), (0, Follows(2)), (3, Detached)]
    );
    let fork = info(Some("a"), "other");
    assert_eq!(
        sequence(&[&a, &b, &fork]),
        [(0, First), (1, Follows(0)), (2, Fork(1))]
    );
}

#[test]
fn archives_that_continue_each_other_in_a_ring_are_detached() {
    let (a, b) = (info(Some("b"), "a"), info(Some("a"), "b"));
    assert_eq!(
        sequence(&[&a, &b]),
        [(0, Position::Detached), (1, Position::Follows(0))]
    );
    let own = info(Some("own"), "own");
    assert_eq!(sequence(&[&own]), [(0, Position::Detached)]);
}

proptest! {
    #[test]
    fn linkinginfo_survives_a_round_trip(
        previous in prop::option::of(("[0-9a-f]{64}", "[ -~äö]{1,40}")),
        containers in prop::collection::vec(("[0-9a-f]{64}", "[!-~ äö]{1,60}"), 1..20),
    ) {
        let info = LinkingInfo {
            previous: previous.map(|(digest, file)| Link { digest, file }),
            algorithm: DigestAlgorithm::Sha256,
            containers: containers.into_iter().map(|(digest, name)| Linking { digest, name }).collect(),
        };
        prop_assert_eq!(LinkingInfo::parse(&info.to_bytes()), Ok(info));
    }

    #[test]
    fn any_text_is_read_in_one_way_or_refused(text in "(- - SHA-256|[ -~]{0,80})(\n[0-9a-f]{60,70} [ -~]{0,20}){0,4}\n?") {
        if let Ok(info) = LinkingInfo::parse(text.as_bytes()) {
            let written = info.to_bytes();
            prop_assert_eq!(std::str::from_utf8(&written).unwrap().trim_end_matches('\n'), text.trim_end_matches('\n'));
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_archive_and_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), zip in any::<bool>()) {
        let start = if zip { &b"PK\x03\x04"[..] } else { b"" };
        prop_assert!(Archive::open(Cursor::new([start, &bytes].concat())).is_err());
    }

    #[test]
    fn every_sequence_names_each_archive_once(links in prop::collection::vec((prop::option::of(0_u8..6), 0_u8..6), 0..12)) {
        let infos: Vec<_> = links
            .iter()
            .map(|(previous, last)| info(previous.map(|p| p.to_string()).as_deref(), &last.to_string()))
            .collect();
        let order = sequence(&infos.iter().collect::<Vec<_>>());
        let mut places: Vec<_> = order.iter().map(|(place, _)| *place).collect();
        places.sort_unstable();
        prop_assert_eq!(places, (0..infos.len()).collect::<Vec<_>>());
    }
}
