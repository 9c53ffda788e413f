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
use kontor_protocol::fault::{Fault, FaultCode, soap};
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
    for family in ["provider-fault-before", "provider-fault-after"] {
        for case in cases(family) {
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

#[test]
fn ocsp_responses_are_handed_out_in_the_order_asked_for() {
    for case in cases("ocsp-5577") {
        let (Some(request), Some(response)) = (case.http("request"), case.http("response")) else {
            panic!("{}: both are recorded", case.name)
        };
        let asked = request.word(1).matches("cert=").count();
        if response.word(1) != "200" || request.word(0) == "HEAD" {
            continue;
        }
        assert_eq!(soap_parts(&response).len(), asked, "{}", case.name);
    }
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
                Ok(Some(Event::Ocsp(_))) => names.push("ocsp"),
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
    // The response of an OCSP responder that it holds is none: the reader of OCSP says so, not the decoder.
    assert_eq!(read("invalid-ocsp.request"), ["ocsp", "message", "signature"]);
}
