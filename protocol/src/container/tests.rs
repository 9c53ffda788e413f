use std::io::{Cursor, Write as _};

use proptest::prelude::*;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const SOAP: &str = r#"<?xml version="1.0"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"
  xmlns:x="http://x-road.eu/xsd/xroad.xsd" xmlns:id="http://x-road.eu/xsd/identifiers"><s:Header>
  <x:client id:objectType="MEMBER"><id:xRoadInstance>DX</id:xRoadInstance><id:memberClass>GOV</id:memberClass>
    <id:memberCode>1</id:memberCode></x:client>
  <x:service id:objectType="SERVICE"><id:xRoadInstance>DX</id:xRoadInstance><id:memberClass>COM</id:memberClass>
    <id:memberCode>2</id:memberCode><id:subsystemCode>S</id:subsystemCode><id:serviceCode>get</id:serviceCode>
    <id:serviceVersion>v1</id:serviceVersion></x:service><x:id>q</x:id></s:Header>
  <s:Body><get/></s:Body></s:Envelope>"#;

#[test]
fn a_soap_message_says_who_must_have_signed_it() {
    let request = Subject::of(SOAP.as_bytes()).unwrap();
    assert_eq!(request.role, MessageRole::Request);
    assert_eq!(request.signer().to_string(), "DX/GOV/1");
    assert_eq!(request.service.to_string(), "DX/COM/2/S/get/v1");
    let response = Subject::of(SOAP.replace("<get/>", "<getResponse/>").as_bytes()).unwrap();
    assert_eq!(response.role, MessageRole::Response);
    assert_eq!(response.signer().to_string(), "DX/COM/2");
    let twice = SOAP.replace("<x:id>", "<x:client/><x:id>");
    assert!(
        Subject::of(twice.as_bytes()).is_err(),
        "a second client could be somebody else"
    );
    assert!(Subject::of(b"<html/>").is_err());
    assert!(Subject::of(b"").is_err());
}

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn code(entries: &[(&str, &[u8])]) -> &'static str {
    Container::read(Cursor::new(archive(entries))).map_or_else(|e| e.code(), |_| "")
}

#[test]
fn chains_and_time_stamps_come_whole() {
    let start: [(&str, &[u8]); 3] = [
        (MIMETYPE, MEDIA_TYPE.as_bytes()),
        (MESSAGE, b"m"),
        ("META-INF/other-signatures-1.xml", b"s"),
    ];
    let with = |more: &[(&'static str, &'static [u8])]| code(&[&start[..], more].concat());
    assert_eq!(with(&[]), "");
    assert_eq!(
        with(&[(SIGNATURE_CHAIN, b"")]),
        "asic_hash_chain_result_not_found"
    );
    assert_eq!(
        with(&[(SIGNATURE_CHAIN_RESULT, b"")]),
        "asic_hash_chain_not_found"
    );
    assert_eq!(
        with(&[(TIMESTAMP_CHAIN, b"")]),
        "asic_hash_chain_result_not_found"
    );
    assert_eq!(
        with(&[(TIMESTAMP_CHAIN_RESULT, b"")]),
        "asic_hash_chain_not_found"
    );
    let chain: [(&str, &[u8]); 2] = [(TIMESTAMP_CHAIN, b""), (TIMESTAMP_CHAIN_RESULT, b"")];
    assert_eq!(with(&chain), "asic_timestamp_not_found");
    assert_eq!(
        with(&[&chain[..], &[(TIMESTAMP, b"")]].concat()),
        "asic_manifest_not_found"
    );
    assert_eq!(with(&[(SIGNATURES, b"")]), "two_signatures");
    assert_eq!(
        code(&[(MIMETYPE, b"text/plain"), (MESSAGE, b"m"), (SIGNATURES, b"s")]),
        "asic_invalid_mime_type"
    );
}

#[test]
fn a_name_given_twice_is_a_damaged_archive() {
    let mut bytes = archive(&[
        (MIMETYPE, MEDIA_TYPE.as_bytes()),
        (MESSAGE, b"one"),
        ("message_xml", b"two"),
    ]);
    for at in 0..bytes.len() {
        if bytes[at..].starts_with(b"message_xml") {
            bytes[at..at + 11].copy_from_slice(MESSAGE.as_bytes());
        }
    }
    assert_eq!(
        Container::read(Cursor::new(bytes)).unwrap_err().code(),
        "damaged_archive"
    );
}

#[test]
fn an_attachment_has_one_name() {
    let names = [
        "attachment1",
        "attachment12",
        "attachment0",
        "attachment01",
        "attachment",
        "attachment-1",
    ];
    let entries = names.map(|name| (name, b"x".as_slice()));
    let start: [(&str, &[u8]); 3] = [
        (MIMETYPE, MEDIA_TYPE.as_bytes()),
        (MESSAGE, b"m"),
        (SIGNATURES, b"s"),
    ];
    let read = Container::read(Cursor::new(archive(&[&start[..], &entries].concat()))).unwrap();
    let numbers: Vec<_> = read.attachments.iter().map(|a| a.number).collect();
    assert_eq!((numbers, read.foreign.len()), (vec![1, 12], 4));
}

#[test]
fn a_bomb_meets_the_bound_before_memory() {
    let zeros = vec![0; crate::limits::CONTAINER_ENTRY + 1];
    let bomb: [(&str, &[u8]); 2] = [(MIMETYPE, MEDIA_TYPE.as_bytes()), (MESSAGE, &zeros)];
    assert_eq!(code(&bomb), "too_large");
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0usize..1000) {
        let _ = Subject::of(&bytes);
        let _ = Subject::of(&SOAP.as_bytes()[..cut.min(SOAP.len())]);
        let _ = manifest::asic_is_about(&bytes, &bytes);
        prop_assert_eq!(manifest::asic_is_about(manifest::asic(&bytes).as_bytes(), &bytes), Ok(true));
    }
}
