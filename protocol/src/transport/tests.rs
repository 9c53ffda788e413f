use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::fault::Spelling;
use crate::limits;

/// All events of a body fed in the given pieces, and how it ended. Neighbouring body pieces are joined.
fn read<'a>(
    direction: Direction,
    kind: MessageKind,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<Event>, Result<(), Fault>) {
    let mut reader = MessageReader::new(direction, "multipart/mixed; boundary=B", kind).unwrap();
    let mut events: Vec<Event> = Vec::new();
    for piece in pieces {
        reader.feed(Bytes::copy_from_slice(piece));
        loop {
            match (reader.next(), events.last_mut()) {
                (Ok(Some(Event::Body(more))), Some(Event::Body(body))) => {
                    *body = [&body[..], &more[..]].concat().into();
                }
                (Ok(Some(event)), _) => events.push(event),
                (Ok(None), _) => break,
                (Err(fault), _) => return (events, Err(fault)),
            }
        }
    }
    let end = reader.finish().map(|event| assert_eq!(event, None));
    (events, end)
}

fn rest(direction: Direction, body: &[u8]) -> (Vec<Event>, Result<(), Fault>) {
    read(direction, MessageKind::Rest, [body])
}

/// A body of parts with nothing but a type, each holding `x`.
fn parts(types: &[&str]) -> Vec<u8> {
    let mut out = String::new();
    for part in types {
        out += &format!("--B\r\ncontent-type: {part}\r\n\r\nx\r\n");
    }
    (out + "--B--\r\n").into_bytes()
}

fn code(end: Result<(), Fault>) -> String {
    end.map_or_else(|fault| fault.code_string(Spelling::Snake), |()| "ok".to_owned())
}

fn x() -> Bytes {
    Bytes::from_static(b"x")
}

#[test]
fn a_request_comes_apart_in_order() {
    let (events, end) = rest(
        Direction::Request,
        &parts(&[
            OCSP,
            OCSP,
            "Application/X-Road-REST-Request",
            REST_BODY,
            CHAIN_RESULT,
            CHAIN,
            SIGNATURE,
        ]),
    );
    assert_eq!(code(end), "ok");
    assert!(matches!(events[3], Event::BodyStart { index: 1, .. }));
    let rest: Vec<Event> = [&events[..3], &events[4..]].concat();
    assert_eq!(
        rest,
        [
            Event::Ocsp(x()),
            Event::Ocsp(x()),
            Event::Message(x()),
            Event::Body(x()),
            Event::BodyEnd,
            Event::ChainResult(x()),
            Event::Chain(x()),
            Event::Signature(x())
        ]
    );
}

#[test]
fn parts_out_of_place_have_the_codes_of_java() {
    let request = |types: &[&str]| code(rest(Direction::Request, &parts(types)).1);
    assert_eq!(request(&[REST_REQUEST, SIGNATURE]), "ok");
    assert_eq!(
        request(&[REST_REQUEST, CHAIN_RESULT, CHAIN, SIGNATURE]),
        "ok",
        "batches chain single parts too"
    );
    assert_eq!(request(&[]), "missing_rest");
    assert_eq!(request(&[OCSP]), "missing_rest");
    assert_eq!(request(&[XML, SIGNATURE]), "missing_rest");
    assert_eq!(request(&[REST_REQUEST]), "missing_signature");
    assert_eq!(request(&[REST_REQUEST, XML]), "missing_signature");
    for wrong in [
        &[REST_BODY, REST_REQUEST, SIGNATURE][..],
        &[SIGNATURE],
        &[REST_RESPONSE, SIGNATURE],
        &[REST_REQUEST, OCSP, SIGNATURE],
        &[REST_REQUEST, REST_BODY, REST_BODY, SIGNATURE],
        &[REST_REQUEST, CHAIN_RESULT, CHAIN_RESULT, CHAIN, SIGNATURE],
        &[REST_REQUEST, CHAIN_RESULT, CHAIN, CHAIN, SIGNATURE],
        &[REST_REQUEST, CHAIN_RESULT, CHAIN, REST_BODY, SIGNATURE],
        &[REST_REQUEST, "application/octet-stream"],
    ] {
        assert_eq!(request(wrong), "service_failed.invalid_content_type", "{wrong:?}");
    }
    for half in [
        &[REST_REQUEST, CHAIN_RESULT, SIGNATURE][..],
        &[REST_REQUEST, REST_BODY, CHAIN, SIGNATURE],
    ] {
        assert_eq!(
            request(half),
            "signature_verification.malformed_signature.invalid_reference",
            "{half:?}"
        );
    }
    for extra in ["text/plain", SIGNATURE, REST_BODY] {
        assert_eq!(
            request(&[REST_REQUEST, SIGNATURE, extra]),
            "service_failed.invalid_message"
        );
    }
    assert_eq!(
        request(&[OCSP; limits::OCSP_PARTS + 1]),
        "service_failed.invalid_message"
    );
}

#[test]
fn what_came_before_a_misplaced_part_is_handed_out_before_the_fault() {
    let (events, end) = rest(Direction::Request, &parts(&[REST_REQUEST, OCSP]));
    assert_eq!(events, [Event::Message(x())]);
    assert!(end.is_err());
}

#[test]
fn a_fault_takes_the_place_of_message_or_signature_in_responses() {
    let fault = ForeignFault {
        code: "Server.X".into(),
        text: "t".into(),
        detail: "d".into(),
    };
    for with_message in [false, true] {
        let mut writer = MessageWriter::new("B");
        if with_message {
            writer.message(Direction::Response, b"m");
        }
        writer.fault(&fault);
        writer.close();
        let (events, end) = rest(Direction::Response, &writer.take());
        assert_eq!(code(end), "ok");
        assert_eq!(events.last(), Some(&Event::Fault(fault.clone())));
    }
    assert_eq!(code(rest(Direction::Response, &parts(&[XML])).1), "missing_rest");
    assert_eq!(
        code(rest(Direction::Response, &parts(&[REST_RESPONSE, XML])).1),
        "service_failed.invalid_xml"
    );
}

#[test]
fn a_plain_answer_is_a_fault_or_refused() {
    let read = |document: &[u8]| {
        let mut reader =
            MessageReader::new(Direction::Response, "text/xml;charset=utf-8", MessageKind::Rest).unwrap();
        for piece in document.chunks(1000) {
            reader.feed(Bytes::copy_from_slice(piece));
            assert_eq!(reader.next(), Ok(None));
        }
        reader.finish()
    };
    let fault = ForeignFault {
        code: "Server.X".into(),
        text: "t".into(),
        detail: "d".into(),
    };
    assert_eq!(
        read(&crate::fault::soap::write(&fault)),
        Ok(Some(Event::Fault(fault)))
    );
    assert_eq!(read(b"<x/>").unwrap_err().cause(), FaultCode::InvalidSoap);
    assert_eq!(
        read(&vec![b' '; 1_000_000]).unwrap_err().cause(),
        FaultCode::InvalidXml
    );
    assert!(MessageReader::new(Direction::Request, "text/xml", MessageKind::Rest).is_err());
}

#[test]
fn a_cut_message_is_an_io_error_and_an_empty_one_has_no_message() {
    let body = parts(&[REST_REQUEST, SIGNATURE]);
    assert_eq!(
        code(rest(Direction::Request, &body[..body.len() - 5]).1),
        "service_failed.io_error"
    );
    assert_eq!(code(rest(Direction::Request, b"").1), "missing_rest");
    assert_eq!(
        code(read(Direction::Request, MessageKind::Soap, [&b""[..]]).1),
        "missing_soap"
    );
}

#[test]
fn small_parts_have_bounds_and_bodies_have_none() {
    let sized = |kind: &str, size: usize| {
        let content = "y".repeat(size);
        let body = format!(
            "--B\r\ncontent-type: {REST_REQUEST}\r\n\r\n{}\r\n--B\r\ncontent-type: {kind}\r\n\r\n{}\r\n--B\r\n\
             content-type: {SIGNATURE}\r\n\r\nx\r\n--B--\r\n",
            if kind == REST_REQUEST { &content } else { "m" },
            content
        );
        code(rest(Direction::Request, body.as_bytes()).1)
    };
    assert_eq!(sized(REST_REQUEST, limits::REST_PART + 1), "mime_parsing_failed");
    assert_eq!(
        sized(CHAIN_RESULT, limits::HASH_CHAIN_RESULT + 1),
        "mime_parsing_failed"
    );
    assert_eq!(sized(SIGNATURE, limits::SIGNATURE + 1), "mime_parsing_failed");
    assert_eq!(sized(REST_BODY, 5_000_000), "ok");
}

#[test]
fn soap_attachments_are_numbered_and_come_without_their_headers() {
    let body = format!(
        "--B\r\ncontent-type: text/xml; charset=UTF-8\r\nContent-ID: <root>\r\n\r\n<soap/>\r\n--B\r\n\
         content-type: multipart/mixed; boundary=C\r\n\r\n\r\n--C\r\ncontent-type: image/png\r\n\r\none\r\n--C\r\n\r\n\r\n\
         --C--\r\n\r\n--B\r\ncontent-type: {CHAIN_RESULT}\r\n\r\nx\r\n--B\r\ncontent-type: {CHAIN}\r\n\r\nx\r\n--B\r\n\
         content-type: {SIGNATURE}\r\n\r\nx\r\n--B--\r\n"
    );
    let (events, end) = read(Direction::Request, MessageKind::Soap, [body.as_bytes()]);
    assert_eq!(code(end), "ok");
    assert_eq!(events[0], Event::Message(Bytes::from_static(b"<soap/>")));
    let Event::BodyStart { index: 1, headers } = &events[1] else {
        panic!("{events:?}")
    };
    assert_eq!(headers.content_type().essence(), "image/png");
    assert_eq!(
        events[2..4],
        [Event::Body(Bytes::from_static(b"one")), Event::BodyEnd]
    );
    assert!(matches!(events[4], Event::BodyStart { index: 2, .. }));
    assert_eq!(events[5], Event::BodyEnd);

    let cut = body.replace("--C--", "--C-");
    assert_eq!(
        code(read(Direction::Request, MessageKind::Soap, [cut.as_bytes()]).1),
        "mime_parsing_failed"
    );
    assert_eq!(
        code(
            read(
                Direction::Request,
                MessageKind::Soap,
                [&parts(&[REST_REQUEST])[..]]
            )
            .1
        ),
        "missing_soap"
    );
}

fn head(method: &str, headers: &[(&str, &str)]) -> Result<TransportHead, Fault> {
    TransportHead::request(method, headers.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes())))
}

#[test]
fn heads_we_write_are_heads_we_read() {
    let written = request_headers(MessageKind::Rest, "xtopB", "id", "");
    let pairs: Vec<(&str, &str)> = written.iter().map(|(n, v)| (*n, v.as_str())).collect();
    let read = head("POST", &pairs).unwrap();
    assert_eq!((read.kind(), read.request_id()), (MessageKind::Rest, Some("id")));
    assert_eq!(
        read.content_type(),
        "multipart/mixed; charset=UTF-8; boundary=xtopB"
    );
    let written = response_headers("xtopB");
    let pairs = written.iter().map(|(n, v)| (n.as_bytes(), v.as_bytes()));
    assert!(TransportHead::response(200, MessageKind::Rest, pairs).is_ok());
}

#[test]
fn a_soap_action_is_absent_empty_or_a_quoted_uri() {
    let with = |action: &str| {
        let headers = [
            ("content-type", "multipart/mixed; boundary=B"),
            ("x-hash-algorithm", "sha-512"),
            ("x-original-soapaction", action),
        ];
        head("POST", &headers)
    };
    for good in ["", "\"\"", "\"urn:x\""] {
        assert!(with(good).is_ok(), "{good}");
    }
    for bad in ["foo", "\"", "\"a b\"", "\"a", "a\""] {
        assert_eq!(
            with(bad).unwrap_err().cause(),
            FaultCode::InvalidSoapAction,
            "{bad}"
        );
    }
}

proptest! {
    #[test]
    fn where_a_message_is_cut_does_not_matter(
        types in proptest::collection::vec(proptest::sample::select(
            &[OCSP, REST_REQUEST, REST_BODY, CHAIN_RESULT, CHAIN, SIGNATURE, XML, "x/y"][..]), 0..8),
        sorted in any::<bool>(),
        cuts in proptest::collection::vec(0usize..60, 0..30),
        direction in proptest::sample::select(&[Direction::Request, Direction::Response][..]),
    ) {
        let mut types = types;
        if sorted {
            types = vec![OCSP, REST_REQUEST, REST_BODY, CHAIN_RESULT, CHAIN, SIGNATURE];
        }
        let body = parts(&types);
        let mut rest = &body[..];
        let mut pieces = Vec::new();
        for cut in cuts {
            let (piece, tail) = rest.split_at(cut % (rest.len() + 1));
            pieces.push(piece);
            rest = tail;
        }
        pieces.push(rest);
        let whole = read(direction, MessageKind::Rest, [&body[..]]);
        prop_assert_eq!(read(direction, MessageKind::Rest, pieces), whole.clone());
        prop_assert_eq!(read(direction, MessageKind::Rest, body.chunks(1)), whole);
    }

    #[test]
    fn what_is_written_is_read_again(
        ocsp in proptest::collection::vec(any::<[u8; 3]>(), 0..3),
        message in proptest::collection::vec(any::<u8>(), 0..50),
        body in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..100)),
    ) {
        let name = crate::multipart::boundary("xtop", [7; 30]);
        let mut writer = MessageWriter::new(&name);
        ocsp.iter().for_each(|der| writer.ocsp(der));
        writer.message(Direction::Request, &message);
        if let Some(body) = &body {
            writer.body_start();
            writer.body(body);
            writer.chain(b"r", b"c");
        }
        writer.signature(b"s");
        writer.close();

        let mut reader =
            MessageReader::new(Direction::Request, &format!("multipart/mixed; boundary={name}"), MessageKind::Rest).unwrap();
        reader.feed(writer.take());
        for der in &ocsp {
            prop_assert_eq!(reader.next(), Ok(Some(Event::Ocsp(Bytes::copy_from_slice(der)))));
        }
        prop_assert_eq!(reader.next(), Ok(Some(Event::Message(message.into()))));
        if let Some(body) = body {
            let started = matches!(reader.next(), Ok(Some(Event::BodyStart { index: 1, .. })));
            prop_assert!(started);
            let mut read = Vec::new();
            loop {
                match reader.next() {
                    Ok(Some(Event::Body(piece))) => read.extend_from_slice(&piece),
                    other => {
                        prop_assert_eq!(other, Ok(Some(Event::BodyEnd)));
                        break;
                    }
                }
            }
            prop_assert_eq!(read, body);
            prop_assert_eq!(reader.next(), Ok(Some(Event::ChainResult(Bytes::from_static(b"r")))));
            prop_assert_eq!(reader.next(), Ok(Some(Event::Chain(Bytes::from_static(b"c")))));
        }
        prop_assert_eq!(reader.next(), Ok(Some(Event::Signature(Bytes::from_static(b"s")))));
        prop_assert_eq!(reader.next(), Ok(None));
        prop_assert_eq!(reader.finish(), Ok(None));
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        body in proptest::collection::vec(any::<u8>(), 0..200),
        name in "\\PC{0,20}", value in proptest::collection::vec(any::<u8>(), 0..40),
    ) {
        for kind in [MessageKind::Rest, MessageKind::Soap] {
            let _ = read(Direction::Request, kind, [&b"--B\r\n"[..], &body]);
            let _ = TransportHead::response(200, kind, [(name.as_bytes(), &value[..]), (b"content-type", &value)]);
        }
        let _ = TransportHead::request("POST", [(name.as_bytes(), &value[..]), (b"content-type", &value)]);
    }
}
