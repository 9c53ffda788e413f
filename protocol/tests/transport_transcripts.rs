//! Recorded messages between servers: heads and parts with the stated verdicts, attachments with the digests that the
//! hash chain names (wire 3.5 to 3.9).

#![expect(
    clippy::unwrap_used,
    reason = "a recorded file that is not as described must fail the test"
)]

mod transcript;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::OcspResponse;
use kontor_protocol::fault::{Fault, FaultCode, soap};
use kontor_protocol::hand_out::{self, HandOutError};
use kontor_protocol::multipart;
use kontor_protocol::transport::{Direction, Event, MessageKind, MessageReader, TransportHead};
use transcript::{Case, Http, bodies, cases, message};

/// Head and parts of a request, with the one step of the provider that stands between them: the peer is judged when
/// the message part is there, so OCSP responses must have come before it (wire 3.7 step 6d).
fn receive_request(http: &Http) -> Result<(), Fault> {
    let head = TransportHead::request(http.word(0), http.pairs())?;
    let (events, end) = http.events(Direction::Request, head.kind());
    let first = events
        .iter()
        .find(|event| matches!(event, Event::Ocsp(_) | Event::Message(_)));
    if matches!(first, Some(Event::Message(_))) {
        return Err(Fault::new(
            FaultCode::SslAuthenticationFailed,
            "no OCSP response came",
        ));
    }
    end?;
    if http.whole {
        Ok(())
    } else {
        Err(Fault::new(FaultCode::IoError, "the body was cut"))
    }
}

/// Head and parts of an answer; a fault of the peer is no fault of the message.
fn receive_response(http: &Http, kind: MessageKind) -> Result<Vec<Event>, Fault> {
    TransportHead::response(http.word(1).parse().unwrap(), kind, http.pairs())?;
    let (events, end) = http.events(Direction::Response, kind);
    end?;
    if http.whole {
        Ok(events)
    } else {
        Err(Fault::new(FaultCode::IoError, "the body was cut"))
    }
}

/// The kind of an exchange, by its request.
fn kind(case: &Case) -> MessageKind {
    TransportHead::request("POST", case.http("2-ss-request").unwrap().pairs())
        .unwrap()
        .kind()
}

/// Verdict and cause against the recorded ones; `ours` where Java said only that something went wrong, where either
/// verdict is right, or where a later step decides.
fn assert_verdict(case: &Case, verdict: &Result<(), Fault>, ours: &[(&str, &str)]) {
    let cause = verdict.as_ref().err().map(Fault::cause);
    let name = cause.map_or("accepted", FaultCode::snake);
    if let Some((_, expected)) = ours.iter().find(|(own, _)| *own == case.name) {
        assert_eq!(name, *expected, "{}: {verdict:?}", case.name);
        return;
    }
    match case.expected() {
        "accept" => assert_eq!(verdict, &Ok(()), "{}", case.name),
        "refuse" => assert_eq!(cause, case.java_cause(), "{}: {verdict:?}", case.name),
        other => panic!(
            "{}: `{other}` needs a verdict of our own, it is {name}",
            case.name
        ),
    }
}

#[test]
fn crafted_requests_get_the_stated_verdict() {
    for case in cases("provider-framing") {
        let verdict = receive_request(&case.http("2-ss-request").unwrap());
        assert_verdict(
            &case,
            &verdict,
            &[
                // The signature decides: it covers the message only.
                ("body-without-chain", "accepted"),
                // Java's connection just ends.
                ("cut-chunked", "io_error"),
                // Java names no cause.
                ("empty-body", "missing_rest"),
                ("message-type-on-soap", "missing_rest"),
                ("no-content-type", "invalid_content_type"),
                // Either is right; a cut message looks like one without its closing boundary.
                ("no-closing-boundary", "io_error"),
                ("hash-algorithm-lower-case", "accepted"),
                ("no-original-content-type", "accepted"),
                ("other-request-id-header", "accepted"),
            ],
        );
    }
}

#[test]
fn crafted_answers_get_the_stated_verdict() {
    for case in cases("consumer-response-framing") {
        let verdict = receive_response(&case.http("5-ss-response").unwrap(), kind(&case)).map(drop);
        assert_verdict(
            &case,
            &verdict,
            &[
                // The signature decides.
                ("no-chain", "accepted"),
                // Either is right.
                ("hash-algorithm-title-case", "accepted"),
                ("no-original-content-type", "accepted"),
            ],
        );
    }
}

/// The fault that an answer is or ends in.
fn fault_of(case: &Case) -> Result<kontor_protocol::fault::ForeignFault, Fault> {
    let events = receive_response(&case.http("5-ss-response").unwrap(), kind(case))?;
    match events.into_iter().next_back() {
        Some(Event::Fault(fault)) => Ok(fault),
        other => panic!("{}: no fault at the end but {other:?}", case.name),
    }
}

#[test]
fn faults_of_providers_are_read_wherever_they_stand() {
    for family in ["provider-fault-before", "provider-fault-after", "metadata"] {
        for case in cases(family) {
            if case.facts["expected"]["raised_by"] != "provider server" {
                continue;
            }
            assert_eq!(
                fault_of(&case).unwrap().cause(),
                case.java_cause(),
                "{family}/{}",
                case.name
            );
        }
    }
    for case in cases("consumer-response-fault") {
        match case.name.as_str() {
            "not-a-fault" => assert_eq!(fault_of(&case).unwrap_err().cause(), FaultCode::InvalidMessage),
            _ => assert_eq!(
                fault_of(&case).unwrap().cause(),
                case.java_cause(),
                "{}",
                case.name
            ),
        }
    }
}

#[test]
fn faults_before_the_answer_are_written_to_the_byte() {
    for case in cases("provider-fault-before") {
        let recorded = case.http("5-ss-response").unwrap().body;
        let fault = soap::read(&recorded).unwrap();
        assert_eq!(
            String::from_utf8(soap::write(&fault)).unwrap(),
            String::from_utf8(recorded).unwrap(),
            "{}",
            case.name
        );
    }
}

#[test]
fn faults_of_services_come_through_or_are_refused_with_the_message() {
    for case in cases("soap-fault") {
        let verdict = receive_response(&case.http("5-ss-response").unwrap(), MessageKind::Soap);
        match case.name.as_str() {
            // Attachments, then a fault, and no message.
            "service-fault-multipart" => {
                assert_eq!(verdict.unwrap_err().cause(), FaultCode::InvalidContentType)
            }
            _ => assert!(
                matches!(verdict.unwrap().last(), Some(Event::Fault(_))),
                "{}",
                case.name
            ),
        }
    }
}

/// `DataRef` digests of a hash chain by their names, read without the chain's own module.
fn data_refs(chain: &[u8]) -> Vec<(String, Vec<u8>)> {
    let chain = roxmltree::Document::parse(std::str::from_utf8(chain).unwrap()).unwrap();
    let refs = chain
        .descendants()
        .filter(|node| node.tag_name().name() == "DataRef");
    refs.map(|node| {
        let digest = node
            .descendants()
            .find(|node| node.tag_name().name() == "DigestValue")
            .unwrap();
        (
            node.attribute("URI").unwrap().to_owned(),
            STANDARD.decode(digest.text().unwrap()).unwrap(),
        )
    })
    .collect()
}

#[test]
fn part_bytes_are_those_that_the_hash_chain_digests() {
    let mut attachments = 0;
    for family in ["rest", "soap", "metadata", "provider-soap-message"] {
        for case in cases(family) {
            for (file, direction) in [
                ("2-ss-request", Direction::Request),
                ("5-ss-response", Direction::Response),
            ] {
                let Some(http) = case.http(file) else { continue };
                if case.http("2-ss-request").is_none() {
                    continue;
                }
                let (events, end) = http.events(direction, kind(&case));
                assert_eq!(end, Ok(()), "{family}/{} {file}", case.name);
                let chain = events.iter().find_map(|event| match event {
                    Event::Chain(chain) => Some(chain),
                    _ => None,
                });
                let Some(chain) = chain else {
                    assert!(
                        bodies(&events).is_empty(),
                        "{family}/{}: a second part forces a chain",
                        case.name
                    );
                    continue;
                };
                let mut digests = vec![(
                    "/message.xml".to_owned(),
                    sha512(message(&events).unwrap()).to_vec(),
                )];
                for (index, body) in bodies(&events).iter().enumerate() {
                    digests.push((format!("/attachment{}", index + 1), sha512(body).to_vec()));
                    attachments += 1;
                }
                assert_eq!(data_refs(chain), digests, "{family}/{} {file}", case.name);
            }
        }
    }
    assert!(
        attachments > 20 || transcript::vectors().is_none(),
        "{attachments}"
    );
}

/// Parts of the multipart body that an information system sent, by a reader that knows nothing of the wire.
fn soap_parts(http: &Http) -> Vec<Vec<u8>> {
    let content_type = multipart::ContentType::parse(http.header("content-type").unwrap()).unwrap();
    let Some(boundary) = content_type.parameter("boundary") else {
        return vec![http.body.clone()];
    };
    let mut body = http.body.clone();
    if !body.windows(2).rev().take(4).any(|two| two == b"--") {
        // Recorded without its closing boundary, which Java takes from information systems.
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    }
    let mut reader = multipart::Reader::new(boundary).unwrap();
    reader.feed(Bytes::from(body));
    let mut parts = Vec::new();
    while let Some(event) = reader.next_event().unwrap() {
        match event {
            multipart::Event::Headers(_) => parts.push(Vec::new()),
            multipart::Event::Data(data) => parts.last_mut().unwrap().extend_from_slice(&data),
            multipart::Event::PartEnd | multipart::Event::End => {}
        }
    }
    parts
}

#[test]
fn soap_messages_and_attachments_travel_unchanged() {
    for case in cases("soap") {
        let (is, ss) = (
            case.http("1-is-request").unwrap(),
            case.http("2-ss-request").unwrap(),
        );
        let (head, events) = ss.request();
        assert_eq!(head.kind(), MessageKind::Soap);
        assert_eq!(
            head.original_content_type(),
            is.header("content-type"),
            "{}",
            case.name
        );
        let sent = soap_parts(&is);
        assert_eq!(message(&events).unwrap(), &sent[0], "{}", case.name);
        assert_eq!(bodies(&events), sent[1..], "{}", case.name);
    }
}

/// What a hand-out is asked: verb and query.
fn asked(request: &Http) -> (&str, &str) {
    let query = request.word(1).split_once('?').map_or("", |(_, query)| query);
    (request.word(0), query)
}

/// What the recorded hand-outs held: the two certificates that the provider's server presented.
fn held(hash: &[u8; 20]) -> Option<Bytes> {
    let hex: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    match hex.as_str() {
        "779b2ccab793bfe487fb8e3c4a1a5bdfd11e9ff6" => Some(Bytes::from_static(b"leaf")),
        "daae7c59dc92fc41b9c5d1388567b7699ca5a36f" => Some(Bytes::from_static(b"intermediate")),
        _ => None,
    }
}

#[test]
fn the_hand_out_answers_with_the_recorded_status_and_number_of_responses_in_order() {
    for case in cases("ocsp-5577") {
        let (request, recorded) = (case.http("request").unwrap(), case.http("response").unwrap());
        let (verb, query) = asked(&request);
        let ours = hand_out::answer(verb, query, "b", held);
        let name = &case.name;
        assert_eq!(ours.status.to_string(), recorded.word(1), "{name}");
        let Some(certificates) = case.facts["certs"].as_array().filter(|_| ours.status == 200) else {
            assert!(verb != "GET" || ours.status == 500, "{name}");
            continue;
        };
        let read = |content_type: &str, body: Bytes| {
            hand_out::read(200, content_type, body, certificates.len()).unwrap()
        };
        let theirs = read(
            recorded.header("content-type").unwrap(),
            Bytes::from(recorded.body.clone()),
        );
        for response in theirs {
            assert!(OcspResponse::parse(&response).is_ok(), "{name}");
        }
        let ours = read(ours.content_type.as_deref().unwrap(), ours.body);
        assert_eq!(ours, ["leaf", "intermediate"][..certificates.len()], "{name}");
    }
}

#[test]
fn recorded_hand_outs_are_read_or_refused_by_their_number() {
    let mut read = 0;
    for family in ["rest", "consumer-tls-identity", "consumer-refuses-is-request"] {
        for case in cases(family) {
            let (Some(request), Some(response)) = (case.http("ocsp-request"), case.http("ocsp-response"))
            else {
                continue;
            };
            let certificates = asked(&request).1.matches("cert=").count();
            let content_type = response.header("content-type").unwrap_or_default();
            let status = response.word(1).parse().unwrap();
            let responses = hand_out::read(
                status,
                content_type,
                Bytes::from(response.body.clone()),
                certificates,
            );
            let expected = match case.name.as_str() {
                // The second asks about the root too, about which nobody has a response.
                "ocsp-500" | "root-sent" => Err(HandOutError::Status(500)),
                "ocsp-garbage" => Err(HandOutError::NotMultipart),
                "ocsp-one-of-two" => Err(HandOutError::Count { asked: 2, came: 1 }),
                _ => Ok(certificates),
            };
            assert_eq!(responses.map(|all| all.len()), expected, "{family}/{}", case.name);
            if expected.is_err() {
                assert!(
                    case.expected() == "refuse" || case.expected() == "either",
                    "{}",
                    case.name
                );
            }
            read += 1;
        }
    }
    assert!(read > 15 || transcript::vectors().is_none(), "{read}");
}

/// The messages of X-Road's decoder test. Their lines end in LF, which its decoder takes and no sender sends: here
/// they are given the CRLF of the wire, binary parts included, whose content is not looked at.
#[test]
fn upstream_messages_come_apart_as_in_its_own_test() {
    let Some(vectors) = transcript::vectors() else {
        return;
    };
    let folder = vectors.join("upstream/src/service/proxy/proxy-core/src/test/proxymessages");
    let read = |file: &str| {
        let recorded = std::fs::read(folder.join(file)).unwrap();
        let mut octets = Vec::new();
        for line in recorded.split_inclusive(|b| *b == b'\n') {
            let line = line
                .strip_suffix(b"\n")
                .map_or(line, |line| line.strip_suffix(b"\r").unwrap_or(line));
            octets.extend_from_slice(line);
            octets.extend_from_slice(b"\r\n");
        }
        let boundary = octets[2..].split(|b| *b == b'\r').next().unwrap();
        let boundary = std::str::from_utf8(boundary).unwrap();
        let direction = if file.ends_with(".response") {
            Direction::Response
        } else {
            Direction::Request
        };
        let content_type = format!("multipart/mixed; charset=UTF-8; boundary={boundary}");
        let mut reader = MessageReader::new(direction, &content_type, MessageKind::Soap).unwrap();
        reader.feed(Bytes::from(octets));
        let mut names = Vec::new();
        loop {
            match reader.next() {
                Ok(Some(Event::Ocsp(part))) => {
                    // Back to what it was before its line ends were changed with all others.
                    let mut der = part.to_vec();
                    while let Some(at) = der.windows(2).position(|two| two == b"\r\n") {
                        der.remove(at);
                    }
                    names.push(match OcspResponse::parse(&der) {
                        Ok(_) => "ocsp",
                        Err(_) => "unreadable ocsp",
                    });
                }
                Ok(Some(Event::Message(_))) => names.push("message"),
                Ok(Some(Event::BodyStart { .. })) => names.push("attachment"),
                Ok(Some(Event::Signature(_))) => names.push("signature"),
                Ok(Some(Event::Body(_) | Event::BodyEnd)) => {}
                Ok(Some(other)) => panic!("{file}: {other:?}"),
                Ok(None) => break,
                Err(fault) => {
                    names.push(fault.cause().snake());
                    return names;
                }
            }
        }
        assert_eq!(reader.finish(), Ok(None), "{file}");
        names
    };
    assert_eq!(read("normal.request"), ["message", "signature"]);
    assert_eq!(read("normal.response"), ["message", "signature"]);
    assert_eq!(read("ocsp.request"), ["ocsp", "message", "signature"]);
    assert_eq!(read("attachment.request"), ["message", "attachment", "signature"]);
    // That its message is a fault is for the content rules of SOAP.
    assert_eq!(read("normal-soapfault.request"), ["message", "signature"]);
    // A fault in place of the signature has no place in a request.
    assert_eq!(read("fault-signature.request"), ["message", "missing_signature"]);
    assert_eq!(
        read("extracontent.request"),
        ["message", "signature", "invalid_message"]
    );
    assert_eq!(read("invalid-soap-contenttype.request"), ["invalid_content_type"]);
    assert_eq!(
        read("invalid-contenttype-signature.request"),
        ["message", "invalid_content_type"]
    );
    // What it holds is no OCSP response: the reader of OCSP says so, not the decoder.
    assert_eq!(
        read("invalid-ocsp.request"),
        ["unreadable ocsp", "message", "signature"]
    );
}
