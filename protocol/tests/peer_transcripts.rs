//! OCSP responses about TLS certificates, as recorded in the two `tls-identity` families (wire 3.3, 3.4, 3.7).
//!
//! The TLS certificates themselves are lost. An OCSP response names a certificate by issuer and serial number alone,
//! so a certificate of the same issuer that is given the lost one's serial number stands in for it; its own signature
//! no longer fits, and nothing here looks at it.

#![expect(
    clippy::unwrap_used,
    reason = "a recorded file that is not as described must fail the test"
)]

mod transcript;

use std::path::Path;

use bytes::Bytes;
use kontor_pki::certificate::Certificate;
use kontor_pki::ocsp::OcspResponse;
use kontor_pki::time::UnixTime;
use kontor_protocol::multipart::{Event as Part, Reader};
use kontor_protocol::transport::{Direction, Event};
use kontor_protocol::trust::TrustSet;

use transcript::{Case, bodies, cases, message, vectors};

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a recorded file can be read")
}

fn trust(vectors: &Path) -> TrustSet {
    let folder = vectors.join("trust/globalconf/dx-v2");
    let names = [
        "instance-identifier",
        "DX/shared-params.xml",
        "DX/private-params.xml",
        "FX/shared-params.xml",
    ];
    let files = names.map(|name| (name.to_owned(), read(&folder.join(name))));
    TrustSet::from_files(files.to_vec()).expect("the recorded configuration can be read")
}

/// A certificate of the same issuer with another serial number of the same length.
fn stand_in(vectors: &Path, label: &str, serial: u16) -> Certificate {
    let mut der = read(&vectors.join("trust/certs").join(format!("{label}.der")));
    let own = Certificate::parse(&der)
        .expect("a recorded certificate")
        .serial()
        .to_vec();
    let written = [&[0x02, 0x02], own.as_slice()].concat();
    let at = der
        .windows(4)
        .position(|window| window == written)
        .expect("the serial number has two octets");
    der[at + 2..at + 4].copy_from_slice(&serial.to_be_bytes());
    Certificate::parse(&der).expect("only the serial number has changed")
}

/// The verdict about one certificate: `good`, or the code of the first response that is about it, or `missing`.
fn judge(trust: &TrustSet, certificate: &Certificate, responses: &[Bytes], at: UnixTime) -> &'static str {
    let issuer = trust
        .issuer_of("DX", certificate)
        .expect("an approved authority issued it");
    let mut verdict = "missing";
    for der in responses {
        let response = match OcspResponse::parse(der) {
            Ok(response) => response,
            Err(error) => return error.code(),
        };
        let responders = trust.responders_for(issuer);
        match response.verify(
            certificate,
            &issuer.certificate,
            &responders,
            &trust.ocsp_policy(),
            at,
        ) {
            Ok(_) => return "good",
            Err(error) if error.code() == "ocsp_other_certificate" => {}
            Err(error) => verdict = error.code(),
        }
    }
    verdict
}

fn instant(case: &Case) -> UnixTime {
    UnixTime::parse_rfc3339(case.facts["instant"].as_str().unwrap_or_default()).expect("an instant")
}

#[test]
fn responses_that_came_with_requests_are_judged_by_their_instant_and_signer() {
    let Some(vectors) = vectors() else { return };
    let trust = trust(&vectors);
    for case in cases("provider-tls-identity") {
        // Serial numbers: trust/README.md, what is known of the TLS certificates.
        let (serial, expected) = match case.name.as_str() {
            "expired" => (1048, "good"),
            "other-server" => (1028, "good"),
            "sign-usage" => (1049, "good"),
            "unregistered" => (1029, "good"),
            "no-ocsp" => (1026, "missing"),
            "ocsp-future" => (1026, "ocsp_from_future"),
            "ocsp-garbage" => (1026, "ocsp_malformed"),
            "ocsp-revoked" => (1026, "ocsp_revoked"),
            "ocsp-rogue-signer" => (1026, "ocsp_wrong_responder"),
            "ocsp-sha256-certid" => (1026, "missing"),
            "ocsp-stale" => (1026, "ocsp_stale"),
            _ => (1026, "good"),
        };
        let Some(http) = case.http("2-ss-request") else {
            assert_eq!(expected, "missing", "{}", case.name);
            continue;
        };
        let (_, events) = http.request();
        assert!(
            message(&events).is_some() && bodies(&events).len() <= 1,
            "{}",
            case.name
        );
        let responses: Vec<_> = events
            .into_iter()
            .filter_map(|event| {
                if let Event::Ocsp(der) = event {
                    Some(der)
                } else {
                    None
                }
            })
            .collect();
        let certificate = stand_in(&vectors, "sign-gov-1001", serial);
        assert_eq!(
            judge(&trust, &certificate, &responses, instant(&case)),
            expected,
            "{}",
            case.name
        );
    }
}

#[test]
fn responses_handed_out_on_5577_are_judged_by_their_instant_and_signer() {
    let Some(vectors) = vectors() else { return };
    let trust = trust(&vectors);
    let intermediate =
        Certificate::parse(&read(&vectors.join("trust/certs/ca-b-int.der"))).expect("a certificate");
    let mut judged = 0;
    for case in cases("consumer-tls-identity") {
        let handed = case.http("ocsp-response").and_then(|http| {
            let boundary = http
                .header("content-type")?
                .split_once("boundary=")?
                .1
                .trim_matches('"')
                .to_owned();
            Some((http.body, boundary))
        });
        // Of the others nothing usable was handed out, or they never came so far.
        let Some((body, boundary)) = handed else { continue };
        let responses = parts(body, &boundary);
        let leaf = |label, serial| {
            judge(
                &trust,
                &stand_in(&vectors, label, serial),
                &responses,
                instant(&case),
            )
        };
        let (verdict, expected) = match case.name.as_str() {
            "other-server" => (leaf("sign-gov-1001", 1028), "good"),
            "unregistered" => (leaf("sign-gov-1001", 1029), "good"),
            "ocsp-future" => (leaf("sign-com-2002", 1027), "ocsp_from_future"),
            "ocsp-revoked" => (leaf("sign-com-2002", 1027), "ocsp_revoked"),
            "ocsp-rogue-signer" => (leaf("sign-com-2002", 1027), "ocsp_wrong_responder"),
            "ocsp-sha256-certid" => (leaf("sign-com-2002", 1027), "missing"),
            "ocsp-stale" => (leaf("sign-com-2002", 1027), "ocsp_stale"),
            _ => (leaf("sign-com-2002", 1027), "good"),
        };
        assert_eq!(verdict, expected, "{}", case.name);
        if responses.len() == 2 {
            assert_eq!(
                judge(&trust, &intermediate, &responses, instant(&case)),
                "good",
                "{}",
                case.name
            );
        }
        judged += 1;
    }
    assert!(judged >= 8, "only {judged}");
}

fn parts(body: Vec<u8>, boundary: &str) -> Vec<Bytes> {
    let mut reader = Reader::new(boundary).expect("a boundary");
    reader.feed(Bytes::from(body));
    let mut parts: Vec<Vec<u8>> = Vec::new();
    while let Some(part) = reader.next_event().expect("a multipart body") {
        match part {
            Part::Headers(_) => parts.push(Vec::new()),
            Part::Data(octets) => parts
                .last_mut()
                .expect("data is in a part")
                .extend_from_slice(&octets),
            Part::PartEnd | Part::End => {}
        }
    }
    parts.into_iter().map(Bytes::from).collect()
}

#[test]
fn recorded_requests_carry_responses_only_before_the_message() {
    for case in cases("provider-tls-identity") {
        let Some(http) = case.http("2-ss-request") else {
            continue;
        };
        let (head, _) = http.request();
        let (events, end) = http.events(Direction::Request, head.kind());
        assert_eq!(end, Ok(()), "{}", case.name);
        let count = events
            .iter()
            .take_while(|event| matches!(event, Event::Ocsp(_)))
            .count();
        let all = events
            .iter()
            .filter(|event| matches!(event, Event::Ocsp(_)))
            .count();
        assert_eq!(count, all, "{}", case.name);
        assert!(
            !case.expected().is_empty() && (case.java_cause().is_some() || all > 0),
            "{}",
            case.name
        );
    }
}
