//! Signatures of recorded traffic and of X-Road's own tests, judged as the receivers judged them (wire 4.7, 12.2).
//!
//! Where the recorded verdict and ours differ on purpose, the recording says so (`refuse (java accepts)`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use kontor_pki::crypto::sha512;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::FaultCode;
use kontor_protocol::hash_chain::PartDigest;
use kontor_protocol::id::MemberId;
use kontor_protocol::signature::{SignatureDocument, insert_timestamp};
use kontor_protocol::transport::{Direction, Event, MessageKind, MessageReader};
use kontor_protocol::trust::TrustSet;
use kontor_protocol::verify::{DocumentVerdict, VerifyError, verify_document};
use serde_json::Value;

/// The folder of recorded files; `None`, and loud, where this checkout has none.
fn vectors() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/xroad"));
    if !path.is_dir() {
        eprintln!("SKIPPED: recorded signatures are not verified, needs ../shared");
        return None;
    }
    Some(path.to_owned())
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a recorded file can be read")
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&read(path)).expect("a recorded file is JSON")
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

struct Case {
    name: String,
    folder: PathBuf,
    facts: Value,
}

impl Case {
    fn text(&self, field: &str) -> &str {
        self.facts[field].as_str().unwrap_or_default()
    }

    fn expected(&self) -> &str {
        self.facts["expected"]["verdict"].as_str().unwrap_or_default()
    }

    fn instant(&self) -> UnixTime {
        // Recorded to the nanosecond.
        let text = self.text("instant");
        UnixTime::parse_rfc3339(text).unwrap_or_else(|_| panic!("{}: the instant {text}", self.name))
    }

    /// The member behind a client `DX/GOV/1001/PORTAL` or a service `DX/COM/2002/SVC|echo|v1`.
    fn member(&self, field: &str) -> MemberId {
        let mut parts = self.text(field).split(['/', '|']);
        let mut next = || parts.next().unwrap_or_default();
        MemberId::new(next(), next(), next()).unwrap_or_else(|_| panic!("{}: {field}", self.name))
    }
}

fn cases(vectors: &Path, family: &str) -> Vec<Case> {
    let mut cases: Vec<_> = std::fs::read_dir(vectors.join("golden").join(family))
        .expect("the family was recorded")
        .map(|entry| entry.expect("a recorded folder can be read").path())
        .map(|folder| Case {
            name: format!(
                "{family}/{}",
                folder.file_name().unwrap_or_default().to_string_lossy()
            ),
            facts: json(&folder.join("case.json")),
            folder,
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(!cases.is_empty(), "{family}");
    cases
}

/// What a message between servers consists of, as far as its signature is about it.
#[derive(Default)]
struct Message {
    parts: Vec<PartDigest>,
    message: Vec<u8>,
    chain_result: Option<Vec<u8>>,
    chain: Option<Vec<u8>>,
    signature: Option<Vec<u8>>,
}

impl Message {
    /// Takes a recorded HTTP message apart; `None` where there is none, or where it ends early.
    fn recorded(path: &Path, direction: Direction) -> Option<Self> {
        let http = std::fs::read(path).ok()?;
        let end = http.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&http[..end]).into_owned();
        let header = |name: &str| {
            head.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let value = |name: &str| header(name).map(|(_, value)| value.trim());
        let body = if value("transfer-encoding").is_some() {
            unchunked(&http[end..])?
        } else {
            http[end..].to_vec()
        };
        let kind = if value("x-road-message-type") == Some("REST") || contains(&body, b"x-road-rest-response")
        {
            MessageKind::Rest
        } else {
            MessageKind::Soap
        };
        let mut reader = MessageReader::new(direction, value("content-type")?, kind).ok()?;
        reader.feed(Bytes::from(body));
        let mut message = Self::default();
        let mut open = Vec::new();
        while let Some(event) = reader.next().ok()? {
            match event {
                Event::Message(octets) => {
                    message.parts.push(PartDigest::message(sha512(&octets)));
                    message.message = octets.to_vec();
                }
                Event::BodyStart { .. } => open.clear(),
                Event::Body(octets) => open.extend_from_slice(&octets),
                Event::BodyEnd => {
                    message
                        .parts
                        .push(PartDigest::attachment(message.parts.len(), sha512(&open)));
                }
                Event::ChainResult(octets) => message.chain_result = Some(octets.to_vec()),
                Event::Chain(octets) => message.chain = Some(octets.to_vec()),
                Event::Signature(octets) => message.signature = Some(octets.to_vec()),
                Event::Ocsp(_) | Event::Fault(_) => {}
            }
        }
        reader.finish().ok()?;
        message.signature.is_some().then_some(message)
    }

    fn verify(
        &self,
        trust: &TrustSet,
        signer: &MemberId,
        at: UnixTime,
    ) -> Result<DocumentVerdict, VerifyError> {
        let document = SignatureDocument::parse(self.signature.as_deref().unwrap_or_default())?;
        let verdict = verify_document(trust, &document, signer, at, &trust.ocsp_policy())?;
        verdict.covers(&self.parts, self.chain_result.as_deref(), self.chain.as_deref())?;
        assert_eq!(
            verdict.covers_message(
                &self.parts,
                Some(&self.message),
                self.chain_result.as_deref(),
                self.chain.as_deref()
            ),
            Ok(())
        );
        Ok(verdict)
    }
}

fn contains(octets: &[u8], text: &[u8]) -> bool {
    octets.windows(text.len()).any(|window| window == text)
}

fn unchunked(mut octets: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = octets.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&octets[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(octets.get(line + 2..line + 2 + size)?);
        octets = octets.get(line + 2 + size + 2..)?;
    }
}

/// The cause that Java named, in today's spelling; `None` where it said no more than that something went wrong.
fn recorded_cause(case: &Case, codes: &Value) -> Option<FaultCode> {
    let code = case.facts["java_7_3_2"]["fault_code"].as_str()?;
    let last = code.rsplit('.').next()?;
    let last = codes[last].as_str().unwrap_or(last);
    let code = FaultCode::from_element(last).unwrap_or_else(|| panic!("{}: {last}", case.name));
    (code != FaultCode::InternalError).then_some(code)
}

/// Judges one family and returns the causes of refusals where Java named none.
fn judge(family: &str, file: &str, direction: Direction, signer: &str) -> Option<BTreeMap<String, String>> {
    let vectors = vectors()?;
    let codes = json(&vectors.join("codes.json"));
    let mut own_causes = BTreeMap::new();
    let mut failures = Vec::new();
    for case in cases(&vectors, family) {
        let trust = trust(&vectors.join("trust").join(case.text("trust")));
        let message = Message::recorded(&case.folder.join(file), direction);
        let message = message.unwrap_or_else(|| panic!("{}: the message cannot be taken apart", case.name));
        let verdict = message.verify(&trust, &case.member(signer), case.instant());
        let cause = verdict.as_ref().err().map(|error| error.fault().cause());
        let fits = match case.expected() {
            "accept" | "ok" | "accept (7.6 and later)" => verdict.is_ok(),
            "refuse" => {
                cause.is_some()
                    && recorded_cause(&case, &codes).is_none_or(|recorded| cause == Some(recorded))
            }
            "refuse (java accepts)" => cause.is_some(),
            "either" => true,
            other => panic!("{}: unknown verdict {other}", case.name),
        };
        if !fits {
            let recorded = case.facts["java_7_3_2"]["fault_code"]
                .as_str()
                .unwrap_or("accepted");
            let ours = verdict
                .as_ref()
                .map(|_| "accepted".to_owned())
                .unwrap_or_else(|error| format!("{cause:?}: {error}"));
            failures.push(format!(
                "{} ({}): {recorded}, but ours is {ours}",
                case.name,
                case.expected()
            ));
        }
        if recorded_cause(&case, &codes).is_none() || case.expected() == "either" {
            let name = case.name.split_once('/').map_or("", |(_, name)| name).to_owned();
            own_causes.insert(name, cause.map_or("accepted", FaultCode::snake).to_owned());
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    Some(own_causes)
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
    let Some(own) = judge(
        "provider-signature",
        "2-ss-request.http",
        Direction::Request,
        "client",
    ) else {
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
        "5-ss-response.http",
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
    let Some(vectors) = vectors() else { return };
    let mut refused = BTreeMap::new();
    let mut verified = 0;
    for case in WELL_SIGNED.iter().flat_map(|family| cases(&vectors, family)) {
        let trust = trust(&vectors.join("trust").join(case.text("trust")));
        for (file, direction, signer) in [
            ("2-ss-request.http", Direction::Request, "client"),
            ("5-ss-response.http", Direction::Response, "service"),
        ] {
            let message = Message::recorded(&case.folder.join(file), direction);
            let recorded = case.folder.join(file).is_file();
            assert!(
                message.is_some() || !recorded || case.expected() != "ok",
                "{} {file}",
                case.name
            );
            let Some(message) = message else { continue };
            match message.verify(&trust, &case.member(signer), case.instant()) {
                Ok(verdict) => {
                    verified += 1;
                    assert!(verdict.valid_until() >= case.instant(), "{}", case.name);
                    assert!(verdict.signing_time().is_some(), "{}", case.name);
                }
                Err(error) => {
                    refused.insert(case.name.clone(), error);
                }
            }
        }
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
    let Some(vectors) = vectors() else { return };
    for case in cases(&vectors, "rest") {
        let Some(message) = Message::recorded(&case.folder.join("2-ss-request.http"), Direction::Request)
        else {
            continue;
        };
        let document = message.signature.as_deref().unwrap_or_default();
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
    let verdict = verify_document(&trust, &document, &signer, at, &trust.ocsp_policy()).map(|_| ());
    assert_eq!(verdict, Ok(()));
}
