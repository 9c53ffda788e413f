use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::crypto::sha512;
use kontor_pki::signing::KeyAlgorithm;
use proptest::prelude::*;

use super::*;

fn now() -> UnixTime {
    UnixTime::from_secs(1_000)
}

#[test]
fn a_part_ends_before_the_line_end_of_the_next_delimiter() {
    let split = mime::split(b"--b\r\nx\r\n\r\n--b\r\ny\n--b--\r\n", "b").unwrap();
    assert_eq!(split.parts, [b"x\r\n".as_slice(), b"y"]);
    assert!(split.closed);
    let open = mime::split(b"--b\r\nx\r\n--bb\r\n", "b").unwrap();
    assert_eq!(
        (open.parts, open.closed),
        (vec![b"x\r\n--bb\r\n".as_slice()], false)
    );
    assert!(mime::split(b"x\r\n--b\r\n--b--", "b").is_err());
    assert!(mime::split(b"--b\r\n--b--\r\nx", "b").is_err());
}

#[test]
fn a_header_is_found_in_any_case_and_never_twice() {
    let part = Part::read(b"Expire-DATE: x\r\nVersion:3\r\n\r\nbody");
    assert_eq!(part.header("expire-date").unwrap(), Some("x"));
    assert_eq!(part.body, b"body");
    assert!(Part::read(b"a: 1\r\nA: 2\r\n\r\n").header("a").is_err());
    assert!(Part::read(b"no colon\r\n\r\n").header("a").is_err());
}

#[test]
fn locations_stay_on_the_host() {
    for good in ["/V3/1/shared-params.xml", "/a?b=c"] {
        assert!(is_local_path(good), "{good}");
    }
    for bad in [
        "",
        "x",
        "//evil/x",
        "http://evil/x",
        "/a b",
        "/\\evil",
        "/a\r\nX: y",
        "/a#b",
        "@evil/",
    ] {
        assert!(!is_local_path(bad), "{bad}");
    }
}

#[test]
fn file_names_are_plain_and_never_ours() {
    let name = |given| file_name("FOO", given, "/V2/1/foo.xml?x").map_err(|e| e.code());
    assert_eq!(name(None).as_deref(), Ok("foo.xml"));
    assert_eq!(name(Some("../../../escaped.xml")).as_deref(), Ok("escaped.xml"));
    assert_eq!(name(Some("a\\b c")).as_deref(), Ok("b_c"));
    for bad in [
        "",
        "..",
        "x/",
        ".hidden",
        "shared-params.xml",
        "Shared-Params.XML",
        "x.metadata",
    ] {
        assert_eq!(name(Some(bad)), Err("path"), "{bad}");
    }
    assert_eq!(
        file_name(SHARED_PARAMETERS, Some("x"), "/y").unwrap(),
        "shared-params.xml"
    );
}

#[test]
fn the_headers_of_a_part_must_be_as_written() {
    let good = "Content-type: application/octet-stream\r\nContent-transfer-encoding: base64\r\n\
                Content-identifier: FOO; instance='DE'\r\nContent-location: /foo\r\n\
                Hash-algorithm-id: http://www.w3.org/2001/04/xmlenc#sha512\r\n\r\n";
    let body = STANDARD.encode(sha512(b"x"));
    let read = |head: &str| {
        let text = format!("{head}{body}");
        read_part_header(&Part::read(text.as_bytes()), "DE", Relation::Own).map_err(|e| e.code())
    };
    assert!(read(good).unwrap().unwrap().has_digest_of(b"x"));
    assert!(read(&good.replace("'DE'", "\"DE\"")).is_ok());
    assert_eq!(
        read(&good.replace("octet-stream", "xml")),
        Err("global_conf_header_field_wrong_value")
    );
    assert_eq!(
        read(&good.replace("base64", "BASE64")),
        Err("global_conf_header_field_wrong_value")
    );
    assert_eq!(read(&good.replace("'DE'", "'FX'")), Err("wrong_instance"));
    assert_eq!(read(&good.replace("; instance='DE'", "")), Err("missing"));
    assert_eq!(
        read(&good.replace("Content-identifier: FOO; instance='DE'\r\n", "")),
        Err("missing")
    );
    assert_eq!(
        read(&good.replace("2001/04/xmlenc#sha512", "2000/09/xmldsig#sha1")),
        Err("weak_algorithm")
    );
    assert_eq!(read(&good.replace("/foo", "http://evil/foo")), Err("location"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(verify(&bytes, std::slice::from_ref(&bytes), "DE", Relation::Own, now()).is_err());
    }

    #[test]
    fn arbitrary_multiparts_never_panic(pieces in prop::collection::vec(prop::sample::select(vec![
        "--out\r\n", "--out--\r\n", "--in\r\n", "--in--\r\n", "\r\n", "\n", "x",
        "Content-Type: multipart/related; boundary=out\r\n", "Content-Type: multipart/mixed; boundary=in\r\n",
        "Expire-date: 2030-01-01T00:00:00Z\r\n", "Version: 3\r\n", "Signature-Algorithm-Id: x\r\n",
    ]), 0..30)) {
        let text = format!("Content-Type: multipart/related; boundary=out\r\n\r\n{}", pieces.concat());
        prop_assert!(verify(text.as_bytes(), &[], "DE", Relation::Own, now()).is_err());
    }
}

fn signed(key: KeyAlgorithm) -> (Vec<u8>, Vec<u8>) {
    let validity = Validity::days(now(), 1);
    let params = CaParams {
        name: "configuration".to_owned(),
        organization: "Fictional".to_owned(),
        test: true,
        key,
        validity,
    };
    let signer = CertificateAuthority::generate(&params).unwrap();
    let draft = DirectoryDraft {
        instance: "DE".to_owned(),
        expires: now() + std::time::Duration::from_secs(600),
        version: 3,
        parts: vec![
            PartDraft {
                identifier: SHARED_PARAMETERS.to_owned(),
                location: "/V3/1/shared-params.xml".to_owned(),
                file_name: None,
                digest: sha512(b"shared"),
            },
            PartDraft {
                identifier: "FOO".to_owned(),
                location: "/V3/1/foo".to_owned(),
                file_name: Some("foo.xml".to_owned()),
                digest: sha512(b"foo"),
            },
        ],
    };
    let certificate = signer.certificate().der().to_vec();
    (draft.sign(&**signer.key(), &certificate).unwrap(), certificate)
}

#[test]
fn what_is_signed_is_verified_until_it_expires() {
    for key in [KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384] {
        let (body, certificate) = signed(key);
        let read = |now| {
            verify(
                &body,
                std::slice::from_ref(&certificate),
                "DE",
                Relation::Own,
                now,
            )
        };
        let directory = read(now()).unwrap();
        assert_eq!((directory.version(), directory.expires().secs()), (3, 1600));
        let files: Vec<_> = directory
            .parts()
            .iter()
            .map(|p| (p.file_name(), p.location()))
            .collect();
        assert_eq!(
            files,
            [
                ("shared-params.xml", "/V3/1/shared-params.xml"),
                ("foo.xml", "/V3/1/foo")
            ]
        );
        assert_eq!(
            directory.accept_part(&directory.parts()[1], b"foo"),
            Ok(AcceptedPart::Unknown)
        );
        let refused = directory.accept_part(&directory.parts()[1], b"bar").unwrap_err();
        assert_eq!(refused.code(), "part_digest");
        assert_eq!(
            read(UnixTime::from_secs(1600)).unwrap_err().code(),
            "global_conf_outdated"
        );
        let code = |r: Result<_, DirectoryError>| r.map(|_: VerifiedDirectory| ()).unwrap_err().code();
        let certificates = std::slice::from_ref(&certificate);
        assert_eq!(
            code(verify(&body, certificates, "FX", Relation::Own, now())),
            "wrong_instance"
        );
        assert_eq!(
            code(verify(&body, &[], "DE", Relation::Own, now())),
            "cert_not_found"
        );
        let taken = verify(&body, certificates, "DE", Relation::Federated, now()).unwrap();
        assert_eq!(taken.parts().len(), 1);
    }
}

#[test]
fn one_flipped_byte_never_changes_what_a_directory_says() {
    let (body, certificate) = signed(KeyAlgorithm::EcdsaP256);
    let certificates = [certificate];
    let good = verify(&body, &certificates, "DE", Relation::Own, now()).unwrap();
    for at in 0..body.len() {
        let mut changed = body.clone();
        changed[at] ^= [0x01, 0x20, 0xFF][at % 3];
        if let Ok(read) = verify(&changed, &certificates, "DE", Relation::Own, now()) {
            assert_eq!(read, good, "at {at}");
        }
    }
}
