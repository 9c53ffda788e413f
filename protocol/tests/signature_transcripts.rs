//! Signatures of recorded traffic and of X-Road's own tests, judged as the receivers judged them (wire 4.7, 12.2).
//!
//! Where the recorded verdict and ours differ on purpose, the recording says so (`refuse (java accepts)`).

#![expect(
    clippy::unwrap_used,
    reason = "a recorded file that is not as described must fail the test"
)]

mod transcript;

use std::collections::BTreeMap;
use std::path::Path;

use kontor_pki::crypto::sha512;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::FaultCode;
use kontor_protocol::hash_chain::PartDigest;
use kontor_protocol::id::MemberId;
use kontor_protocol::signature::{SignatureDocument, insert_timestamp};
use kontor_protocol::transport::{Direction, Event, MessageKind, TransportHead};
use kontor_protocol::trust::TrustSet;
use kontor_protocol::verify::{DocumentVerdict, VerifyError, verify_document};

use transcript::{Case, bodies, cases, message, vectors};

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a recorded file can be read")
}

/// The global configuration below a folder, in the layout of wire 7.8.
fn trust(folder: &Path) -> TrustSet {
    trust_with(folder, "", "")
}

/// The same with a text replaced in its documents.
fn trust_with(folder: &Path, from: &str, to: &str) -> TrustSet {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in std::fs::read_dir(&current).expect("a recorded folder can be read") {
            let path = entry.expect("a recorded folder can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("the file is below the folder");
                let mut content = read(&path);
                if !from.is_empty() {
                    content = String::from_utf8_lossy(&content).replace(from, to).into_bytes();
                }
                files.push((name.to_string_lossy().into_owned(), content));
            }
        }
    }
    TrustSet::from_files(files).expect("the recorded configuration can be read")
}

fn recorded_trust(case: &Case) -> TrustSet {
    let vectors = vectors().expect("the case was read from them");
    trust(
        &vectors
            .join("trust")
            .join(case.facts["trust"].as_str().unwrap_or_default()),
    )
}

fn instant(case: &Case) -> UnixTime {
    let text = case.facts["instant"].as_str().unwrap_or_default();
    UnixTime::parse_rfc3339(text).unwrap_or_else(|_| panic!("{}: the instant {text}", case.name))
}

/// The member behind a client `DX/GOV/1001/PORTAL` or a service `DX/COM/2002/SVC|echo|v1`.
fn member(case: &Case, field: &str) -> MemberId {
    let mut parts = case.facts[field].as_str().unwrap_or_default().split(['/', '|']);
    let mut next = || parts.next().unwrap_or_default();
    MemberId::new(next(), next(), next()).unwrap_or_else(|_| panic!("{}: {field}", case.name))
}

/// A message between servers, as far as its signature is about it.
struct Signed(Vec<Event>);

impl Signed {
    /// Takes a recorded message apart; `None` where there is none, where it ends early, or has no signature.
    fn recorded(case: &Case, file: &str, direction: Direction) -> Option<Self> {
        let http = case.http(file)?;
        let rest = match direction {
            Direction::Request => {
                TransportHead::request(http.word(0), http.pairs()).ok()?.kind() == MessageKind::Rest
            }
            Direction::Response => http
                .body
                .windows(20)
                .any(|window| window == b"x-road-rest-response"),
        };
        let kind = if rest {
            MessageKind::Rest
        } else {
            MessageKind::Soap
        };
        let (events, end) = http.events(direction, kind);
        let signed = Self(events);
        (http.whole && end.is_ok() && signed.signature().is_some()).then_some(signed)
    }

    fn signature(&self) -> Option<&[u8]> {
        self.0.iter().find_map(|event| {
            if let Event::Signature(octets) = event {
                Some(&octets[..])
            } else {
                None
            }
        })
    }

    fn chain_result(&self) -> Option<&[u8]> {
        self.0.iter().find_map(|event| {
            if let Event::ChainResult(octets) = event {
                Some(&octets[..])
            } else {
                None
            }
        })
    }

    fn chain(&self) -> Option<&[u8]> {
        self.0.iter().find_map(|event| {
            if let Event::Chain(octets) = event {
                Some(&octets[..])
            } else {
                None
            }
        })
    }

    fn verify(
        &self,
        trust: &TrustSet,
        signer: &MemberId,
        at: UnixTime,
    ) -> Result<DocumentVerdict, VerifyError> {
        let message = message(&self.0).expect("a signed message has a message part");
        let attachments = bodies(&self.0);
        let attachments = attachments.iter().enumerate();
        let parts: Vec<_> = std::iter::once(PartDigest::message(sha512(message)))
            .chain(attachments.map(|(at, body)| PartDigest::attachment(at + 1, sha512(body))))
            .collect();
        let document = SignatureDocument::parse(self.signature().unwrap_or_default())?;
        let verdict = verify_document(trust, &document, signer, at, &trust.ocsp_policy())?;
        verdict.covers_message(&parts, Some(message), self.chain_result(), self.chain())?;
        Ok(verdict)
    }
}

/// The cause that Java named; `None` where it said no more than that something went wrong.
fn recorded_cause(case: &Case) -> Option<FaultCode> {
    case.java_cause().filter(|code| *code != FaultCode::InternalError)
}

/// Judges one family and returns verdicts and causes where Java named none, or where both are right; `None` without
/// vectors.
fn judge(family: &str, file: &str, direction: Direction, signer: &str) -> Option<BTreeMap<String, String>> {
    vectors()?;
    let mut own = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases(family) {
        let signed = Signed::recorded(&case, file, direction);
        let signed = signed.unwrap_or_else(|| panic!("{}: the message cannot be taken apart", case.name));
        let verdict = signed.verify(&recorded_trust(&case), &member(&case, signer), instant(&case));
        let cause = verdict.as_ref().err().map(|error| error.fault().cause());
        let recorded = recorded_cause(&case);
        let fits = match case.expected() {
            "accept" | "ok" | "accept (7.6 and later)" => verdict.is_ok(),
            "refuse" => cause.is_some() && (recorded.is_none() || cause == recorded),
            "refuse (java accepts)" => cause.is_some(),
            "either" => true,
            other => panic!("{}: unknown verdict {other}", case.name),
        };
        if !fits {
            let ours = verdict
                .as_ref()
                .map_or_else(ToString::to_string, |_| "accepted".to_owned());
            failures.push(format!(
                "{} ({}): {recorded:?}, but ours is {ours}",
                case.name,
                case.expected()
            ));
        }
        if recorded.is_none() || case.expected() == "either" {
            own.insert(
                case.name.clone(),
                cause.map_or("accepted", FaultCode::snake).to_owned(),
            );
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Some(own)
}

/// What is ours to choose: causes where Java said only that something went wrong or accepted what we do not, and
/// verdicts where both are right.
fn assert_own(own: &BTreeMap<String, String>, expected: &[(&str, &str)]) {
    let expected: BTreeMap<_, _> = expected
        .iter()
        .map(|(case, cause)| ((*case).to_owned(), (*cause).to_owned()))
        .collect();
    assert_eq!(*own, expected);
}

#[test]
fn crafted_requests_get_the_expected_verdict_and_cause() {
    let Some(own) = judge("provider-signature", "2-ss-request", Direction::Request, "client") else {
        return;
    };
    assert_own(
        &own,
        &[
            ("cert-digest-other", "malformed_signature"),
            ("cert-expired", "cannot_create_cert_path"),
            ("cert-foreign-ca", "cannot_create_cert_path"),
            ("cert-nousage", "malformed_signature"),
            ("cert-rogue-same-name", "cannot_create_cert_path"),
            ("chain-deep-60", "accepted"),
            ("chain-doctype", "malformed_hash_chain"),
            ("chain-not-referenced", "malformed_signature"),
            ("chain-self-reference", "malformed_hash_chain"),
            ("chain-single-part", "accepted"),
            ("chain-three-steps", "accepted"),
            ("direct-both", "accepted"),
            ("direct-with-body", "malformed_signature"),
            ("intermediate-omitted", "accepted"),
            ("no-keyinfo", "malformed_signature"),
            ("no-signedproperties-reference", "malformed_signature"),
            ("ocsp-no-nextupdate", "accepted"),
            ("ocsp-sha256-certid", "cert_validation"),
            ("reference-http", "invalid_reference"),
            ("reference-twice", "malformed_signature"),
            ("rsa-sha1", "malformed_signature"),
            ("rsa-sha256", "accepted"),
            ("xml-comment-in-signedinfo", "accepted"),
            ("xml-self-closing", "accepted"),
            ("xml-two-signatures", "malformed_signature"),
            ("xml-unsigned-changed", "accepted"),
            ("xml-utf16", "invalid_xml"),
            ("xml-whitespace-before-signature", "accepted"),
        ],
    );
}

#[test]
fn crafted_answers_get_the_expected_verdict_and_cause() {
    let signer = "service";
    let Some(own) = judge(
        "consumer-response-signature",
        "5-ss-response",
        Direction::Response,
        signer,
    ) else {
        return;
    };
    assert_own(
        &own,
        &[
            ("body-added", "malformed_signature"),
            ("cert-digest-other", "malformed_signature"),
            ("no-keyinfo", "malformed_signature"),
            ("no-signedproperties-reference", "malformed_signature"),
            ("ocsp-future", "incorrect_validation_info"),
            ("ocsp-intermediate-missing", "accepted"),
            ("rsa-sha1", "malformed_signature"),
            ("signer-bad-rogue", "cannot_create_cert_path"),
            ("signer-com-bad-expired", "cannot_create_cert_path"),
        ],
    );
}

/// Messages of these families are signed as they should be, whatever else is wrong with some of them.
const WELL_SIGNED: [&str; 15] = [
    "consumer-refuses-is-answer",
    "consumer-response-consistency",
    "consumer-response-fault",
    "consumer-response-framing",
    "consumer-tls-identity",
    "metadata",
    "provider-fault-after",
    "provider-fault-before",
    "provider-framing",
    "provider-rest-message",
    "provider-soap-message",
    "provider-tls-identity",
    "rest",
    "soap",
    "soap-fault",
];

#[test]
fn every_recorded_message_that_arrives_whole_verifies() {
    let mut refused = BTreeMap::new();
    let mut verified = 0;
    for (family, case) in WELL_SIGNED
        .iter()
        .flat_map(|family| cases(family).into_iter().map(move |case| (family, case)))
    {
        let trust = recorded_trust(&case);
        for (file, direction, signer) in [
            ("2-ss-request", Direction::Request, "client"),
            ("5-ss-response", Direction::Response, "service"),
        ] {
            let recorded = case.http(file).is_some();
            let Some(signed) = Signed::recorded(&case, file, direction) else {
                assert!(
                    !recorded || case.expected() != "ok",
                    "{family}/{} {file}",
                    case.name
                );
                continue;
            };
            match signed.verify(&trust, &member(&case, signer), instant(&case)) {
                Ok(verdict) => {
                    verified += 1;
                    assert!(verdict.valid_until() >= instant(&case), "{}", case.name);
                    assert!(verdict.signing_time().is_some(), "{}", case.name);
                }
                Err(error) => {
                    refused.insert(format!("{family}/{}", case.name), error);
                }
            }
        }
    }
    if vectors().is_none() {
        return;
    }
    assert!(verified > 240, "only {verified} messages were verified");
    let refused: Vec<_> = refused.into_iter().collect();
    assert_eq!(
        refused,
        [
            (
                "consumer-response-framing/no-chain".to_owned(),
                VerifyError::ChainMissing
            ),
            (
                "provider-framing/body-without-chain".to_owned(),
                VerifyError::ChainMissing
            ),
        ]
    );
}

#[test]
fn a_recorded_signature_keeps_its_value_when_a_time_stamp_is_put_in() {
    for case in cases("rest") {
        let (_, events) = case.http("2-ss-request").expect("there is a request").request();
        let signed = Signed(events);
        let document = signed.signature().unwrap_or_default();
        let stamped = insert_timestamp(document, b"token").expect("there is a place for the time-stamp");
        let read = SignatureDocument::parse(&stamped).expect("the document is still one");
        assert_eq!(read.timestamp(), Some(b"token".as_slice()));
        assert_eq!(read.check_value(), Ok(()));
        assert!(insert_timestamp(&stamped, b"token").is_err());
    }
}

// --- X-Road's own tests (wire 12.2)

const SIGNATURES: &str = "upstream/src/lib/globalconf-impl/src/test/signatures";
const OLDER: &str = "upstream/src/common/common-test/src/test/signatures";
const CONFIGURATIONS: &str = "upstream/src/lib/globalconf-core/src/test/resources";

#[test]
fn documents_that_upstream_refuses_are_refused_with_its_code() {
    let Some(vectors) = vectors() else { return };
    for (file, code) in [
        ("empty.xml", FaultCode::InvalidXml),
        ("sign-0-malformed-xml.xml", FaultCode::InvalidXml),
        ("sign-0-no-signature.xml", FaultCode::MalformedSignature),
        ("sign-0-no-objectcontainer.xml", FaultCode::MalformedSignature),
        ("sign-0-schema-fail.xml", FaultCode::MalformedSignature),
        ("sign-0-no-signing-cert.xml", FaultCode::MalformedSignature),
        ("sign-0-ocsp-no-responses.xml", FaultCode::MalformedSignature),
        (
            "sign-0-invalid-signature-value.xml",
            FaultCode::InvalidSignatureValue,
        ),
        ("extra-certs-missing-id.xml", FaultCode::MalformedSignature),
        ("extra-certs-missing-cert.xml", FaultCode::MalformedSignature),
        ("extra-certs-digest-invalid.xml", FaultCode::MalformedSignature),
        // Refers to a manifest inside the document, as nothing does today.
        ("xades.signature.ts.xml", FaultCode::MalformedSignature),
    ] {
        let document = SignatureDocument::parse(&read(&vectors.join(SIGNATURES).join(file)));
        let verdict = document.and_then(|document| document.check_value());
        assert_eq!(verdict.map_err(|error| error.code()), Err(code), "{file}");
    }
}

fn refers_to(document: &SignatureDocument, name: &str, data: &[u8]) -> bool {
    document
        .references()
        .iter()
        .any(|reference| reference.uri == name && reference.digest == sha512(data))
}

#[test]
fn documents_of_the_time_of_sha_1_hold_together_but_their_certificates_are_refused() {
    let Some(vectors) = vectors() else { return };
    let at = UnixTime::parse_rfc3339("2014-10-30T00:00:00Z").expect("an instant");
    let message = read(&vectors.join(OLDER).join("message-0.xml"));
    let result = read(&vectors.join(SIGNATURES).join("hash-chain-result.xml"));
    for (folder, file, name, data) in [
        (OLDER, "sign-0.xml", "/message.xml", &message),
        (OLDER, "sign-0-old-format.xml", "/message.xml", &message),
        (SIGNATURES, "batch-sig.xml", "/sig-hashchainresult.xml", &result),
    ] {
        let document = SignatureDocument::parse(&read(&vectors.join(folder).join(file))).expect(file);
        assert_eq!(document.check_value(), Ok(()), "{file}");
        assert!(refers_to(&document, name, data), "{file}");
        let configuration = vectors.join(CONFIGURATIONS).join("globalconf_good_v4");
        let consumer = MemberId::new("EE", "Cybernetica", "consumer").expect("a member");
        let judge = |trust: &TrustSet, member: &MemberId| {
            verify_document(trust, &document, member, at, &trust.ocsp_policy())
        };
        // The profile of the tests is not built in; Ejbca reads the same subject.
        let unknown = judge(&trust(&configuration), &consumer).map(|_| ());
        assert!(
            matches!(unknown, Err(VerifyError::UnknownProfile { .. })),
            "{file}: {unknown:?}"
        );
        let trust = trust_with(&configuration, "impl.TestCertificate", "impl.EjbcaCertificate");
        let verdict = judge(&trust, &consumer).map(|_| ());
        assert!(
            matches!(verdict, Err(VerifyError::Path(_))),
            "{file}: {verdict:?}"
        );
        let other = MemberId::new("EE", "Cybernetica", "other").expect("a member");
        let verdict = judge(&trust, &other).map(|_| ()).map_err(|error| error.code());
        assert_eq!(verdict, Err(FaultCode::IncorrectCertificate), "{file}");
    }
}

#[test]
fn a_signature_of_x_road_8_holds_together() {
    let Some(vectors) = vectors() else { return };
    let folder = vectors.join(SIGNATURES).join("non-batch-sig");
    let document = SignatureDocument::parse(&read(&folder.join("signatures.xml"))).expect("a document");
    assert_eq!(document.check_value(), Ok(()));
    assert!(refers_to(
        &document,
        "/message.xml",
        &read(&folder.join("message.xml"))
    ));
    assert!(refers_to(
        &document,
        "/attachment1",
        &read(&folder.join("attachment1"))
    ));
    assert_eq!(document.references().len(), 2);
    let trust = trust(&vectors.join(CONFIGURATIONS).join("globalconf_good2_v3"));
    let signer = MemberId::new("DEV", "COM", "4321").expect("a member");
    let at = UnixTime::parse_rfc3339("2024-07-09T07:38:53Z").expect("an instant");
    let verdict = verify_document(&trust, &document, &signer, at, &trust.ocsp_policy()).expect("it is valid");
    let message = read(&folder.join("message.xml"));
    let covers = |attachment: &[u8]| {
        let parts = [
            PartDigest::message(sha512(&message)),
            PartDigest::attachment(1, sha512(attachment)),
        ];
        verdict
            .covers_message(&parts, Some(&message), None, None)
            .map_err(|error| error.code())
    };
    assert_eq!(covers(&read(&folder.join("attachment1"))), Ok(()));
    assert_eq!(covers(b"another"), Err(FaultCode::InvalidSignatureValue));
}
