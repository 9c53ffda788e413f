use proptest::prelude::*;

use super::*;
use bytes::Bytes;

const IDS: [&str; 2] = [
    "3fe2d0f4-0f4f-4d5c-8b42-7f1f3e5d0001",
    "00000000-0000-4000-8000-000000000000",
];

fn build(method: &str, target: &str, headers: &[(&str, &[u8])]) -> Result<RestRequest, Fault> {
    let headers = headers.iter().map(|(name, value)| (name.as_bytes(), *value));
    RestRequest::build(method, target, headers, IDS[0], IDS[1])
}

fn get(target: &str) -> Result<RestRequest, Fault> {
    build("GET", target, &[("X-Road-Client", b"DE/GOV/1001/PORTAL")])
}

fn parse(text: &str) -> Result<RestRequest, Fault> {
    RestRequest::parse(Bytes::copy_from_slice(text.as_bytes()))
}

fn cause<T: std::fmt::Debug>(result: Result<T, Fault>) -> FaultCode {
    result.expect_err("must be refused").cause()
}

/// The worked example of wire 2.7.
#[test]
fn the_worked_example_gives_its_bytes_and_hash() {
    let request = build(
        "POST",
        "/r1/DE/GOV/08215000/FACH/meldung/v1/x?y=1",
        &[
            ("X-Road-Client", b"DE/GOV/09162000/PORTAL"),
            ("X-Road-Id", b"id-1"),
            ("Content-Type", b"application/json"),
            ("Content-Length", b"7"),
        ],
    )
    .unwrap();
    assert_eq!(request.bytes().len(), 190);
    assert_eq!(
        STANDARD.encode(crypto::sha512(request.bytes())),
        "iPDhRkS0xv5+lBJ1DdrGOWNn/ExQItkgIqtlYFXUAjI+CIlT90sqNzWqEmsUxpxve7D9xeS00e7AwI+AmXkCYQ=="
    );
    assert_eq!(
        request.request_hash(Some(&crypto::sha512(b"{\"a\":1}"))),
        "ZaobAKnaCnD6yCfb8ZgRXcz9pm1iKXAZc+ZFppDgGtgsNxehCNF/0Ipbpb65/I8poKJCLEBL3B6nV07XCwjvrg=="
    );
    assert_eq!(request.verb(), Verb::Post);
    assert_eq!(request.client().to_string(), "DE/GOV/09162000/PORTAL");
    assert_eq!(request.service().to_string(), "DE/GOV/08215000/FACH/meldung");
    assert_eq!((request.service_path(), request.query()), ("/v1/x", Some("y=1")));
    assert_eq!((request.query_id(), request.request_id()), ("id-1", IDS[0]));
}

#[test]
fn a_missing_or_empty_id_is_made_up_and_stands_last() {
    for headers in [
        &[("X-Road-Client", &b"DE/GOV/1001"[..])][..],
        &[("x-road-client", b"DE/GOV/1001"), ("X-Road-Id", b"")],
    ] {
        let request = build("GET", "/r1/DE/GOV/2/S/s", headers).unwrap();
        let text = String::from_utf8(request.bytes().to_vec()).unwrap();
        assert!(
            text.ends_with(&format!(
                "x-road-request-id:{}\r\nx-road-id:DE-{}\r\n",
                IDS[0], IDS[1]
            )),
            "{text}"
        );
    }
}

#[test]
fn hop_headers_and_the_ids_of_others_are_removed() {
    let request = build(
        "GET",
        "/r1/DE/GOV/2/S/s",
        &[
            ("Host", b"x"),
            ("TE", b"trailers"),
            ("X-Road-Request-Id", b"fake"),
            ("X-Road-Request-Hash", b"fake"),
            ("X-Road-Client", b"DE/GOV/1001"),
            ("Authorization", b"Bearer a"),
            ("X-Road-Id", b"7"),
        ],
    )
    .unwrap();
    assert_eq!(
        request.headers().collect::<Vec<_>>(),
        [
            ("X-Road-Client", "DE/GOV/1001"),
            ("Authorization", "Bearer a"),
            ("X-Road-Id", "7"),
            ("x-road-request-id", IDS[0])
        ]
    );
}

#[test]
fn the_last_client_wins() {
    let request = build(
        "GET",
        "/r1/DE/GOV/2/S/s",
        &[("X-Road-Client", b"DE/GOV/1"), ("X-Road-Client", b"DE/GOV/2")],
    );
    assert_eq!(request.unwrap().client().to_string(), "DE/GOV/2");
}

#[test]
fn utf_8_is_carried_as_it_is_and_other_octets_as_latin_1() {
    let request = build(
        "GET",
        "/r1/DE/GOV/2/S/s",
        &[
            ("X-Road-Client", b"DE/GOV/1"),
            ("a", "Jürgen".as_bytes()),
            ("b", b"J\xFCrgen"),
            ("c", "€".as_bytes()),
        ],
    )
    .unwrap();
    assert_eq!(
        (request.header("A"), request.header("B")),
        (Some("Jürgen"), Some("Jürgen"))
    );
    assert_eq!(&*to_wire("Jürgen"), b"J\xFCrgen");
    assert_eq!(&*to_wire(request.header("c").unwrap()), "€".as_bytes());
}

#[test]
fn targets_that_java_would_not_read_are_refused() {
    for bad in [
        "/r1/DE/GOV/2/S",
        "/r2/DE/GOV/2/S/s",
        "/r1/DE/GOV/2/S/",
        "/r1/DE/GOV/2/S/s#f",
        "/r1/DE/GOV/2/S/s/a b",
        "/r1/DE/GOV/2/S/s/%zz",
        "/r1/DE/GOV/2/S/s/%4",
        "/r1/DE/GOV/2/S/s/[x]",
        "/r1/DE/GOV/2/S/s?a=\"",
        "/r1/DE/GOV/2/ä/s",
        "/r1/DE/GOV/2%2F3/S/s",
        "http://x/r1/DE/GOV/2/S/s",
        "*",
        "",
        "/r1/DE/GOV/2/S/s\r\nX:1",
    ] {
        assert_eq!(cause(get(bad)), FaultCode::InternalError, "{bad}");
    }
    for good in [
        "/r1/DE/GOV/2/S/s",
        "/r1/DE/GOV/2/S/s//x",
        "/r1/DE/GOV/2/S/s/a%2Fb;v=1?q=[1]&%20?",
        "/r1/DE/GOV/2/S/s/ä?",
    ] {
        assert_eq!(get(good).unwrap().target(), good);
    }
}

#[test]
fn climbing_out_of_a_service_path_is_refused_however_it_is_escaped() {
    for bad in ["/..", "/a/../b", "/a/%2E%2e", "/a%2F..%2Fb", "/a%5C..", "/.%2e/"] {
        assert_eq!(
            cause(get(&format!("/r1/DE/GOV/2/S/s{bad}"))),
            FaultCode::AccessDenied,
            "{bad}"
        );
    }
    for good in ["/a..b", "/...", "/a%252e%252e", "/x?q=../.."] {
        assert!(get(&format!("/r1/DE/GOV/2/S/s{good}")).is_ok(), "{good}");
    }
}

#[test]
fn identifiers_in_headers_have_codes_of_their_own() {
    let client: (&str, &[u8]) = ("X-Road-Client", b"DE/GOV/1");
    let target = "/r1/DE/GOV/2/S/s";
    assert_eq!(
        cause(build("GET", target, &[])),
        FaultCode::InvalidClientIdentifier
    );
    assert_eq!(
        cause(build("GET", target, &[("X-Road-Client", b"DE/GOV")])),
        FaultCode::InvalidClientIdentifier
    );
    let server = ("X-Road-Security-Server", &b"DE/GOV/2"[..]);
    assert_eq!(
        cause(build("GET", target, &[client, server])),
        FaultCode::InvalidSecurityServer
    );
    let party = ("X-Road-Represented-Party", &b"a/b/c"[..]);
    assert_eq!(
        cause(build("GET", target, &[client, party])),
        FaultCode::InternalError
    );
    assert_eq!(cause(build("get", target, &[client])), FaultCode::InternalError);
}

#[test]
fn any_line_end_is_read_and_crlf_is_written_back() {
    let lines = [
        "GET",
        "/r1/DE/GOV/2/S/s",
        "X-Road-Client:DE/GOV/1",
        "x-road-id:1",
        "x-road-request-id:2",
    ];
    let canonical = lines.join("\r\n") + "\r\n";
    for text in [
        lines.join("\n"),
        lines.join("\r"),
        lines.join("\r\n"),
        canonical.clone(),
    ] {
        let request = parse(&text).unwrap();
        assert_eq!(
            request.bytes().as_ref(),
            text.as_bytes(),
            "raw bytes are what is signed"
        );
        assert_eq!(request.reserialised(), canonical.as_bytes());
        assert_eq!(
            request.request_hash(None),
            STANDARD.encode(crypto::sha512(canonical.as_bytes()))
        );
    }
}

#[test]
fn received_messages_with_lines_nobody_may_send_are_refused() {
    let message = |line: &str| {
        format!(
            "GET\r\n/r1/DE/GOV/2/S/s\r\n{line}\r\nX-Road-Client:DE/GOV/1\r\nx-road-id:1\r\nx-road-request-id:2\r\n"
        )
    };
    assert!(parse(&message("a:b")).is_ok());
    for bad in [
        "Content-Length:1",
        "TRANSFER-ENCODING:chunked",
        "",
        "no colon",
        ":v",
        "a b:c",
        "a :c",
        "a:\0",
        "ä:c",
    ] {
        assert_eq!(cause(parse(&message(bad))), FaultCode::InternalError, "{bad}");
    }
    assert_eq!(cause(parse(&(message("a:b") + "\r\n"))), FaultCode::InternalError);
    assert_eq!(
        cause(parse(&message("a:b").replace("x-road-id:1\r\n", ""))),
        FaultCode::InternalError
    );
    assert_eq!(
        cause(parse(
            &message("a:b").replace("x-road-request-id", "X-Road-Request-Id")
        )),
        FaultCode::InternalError
    );
    assert_eq!(
        cause(parse(&message("a:b\r\n".repeat(1001).trim_end()))),
        FaultCode::InternalError
    );
    assert_eq!(
        cause(RestRequest::parse(Bytes::from_static(b"GET\r\n/r1/\xFF\r\n"))),
        FaultCode::InternalError
    );
    assert_eq!(
        cause(parse(&message(&format!(
            "a:{}",
            "b".repeat(crate::limits::REST_PART)
        )))),
        FaultCode::InternalError
    );
}

fn answer(status: u16, headers: &[(&[u8], &[u8])]) -> (RestRequest, Result<RestResponse, Fault>) {
    let request = get("/r1/DE/GOV/2/S/b%C3%BCro").unwrap();
    let hash = request.request_hash(None);
    let answer = ServiceAnswer {
        status,
        reason: b"",
        headers,
    };
    let response = RestResponse::build(&answer, &request, request.request_id(), &hash);
    (request, response)
}

#[test]
fn a_response_ends_in_the_five_lines_and_answers_its_request() {
    let (request, response) = answer(
        200,
        &[
            (b"X-Road-Service", b"kept"),
            (b"X-Road-Id", b"fake"),
            (b"Server", b"x"),
        ],
    );
    let response = response.unwrap();
    let hash = request.request_hash(None);
    assert_eq!(
        String::from_utf8(response.bytes().to_vec()).unwrap(),
        format!(
            "200\r\n\r\nX-Road-Service:kept\r\nx-road-id:DE-{}\r\nx-road-client:DE/GOV/1001/PORTAL\r\n\
             x-road-service:DE/GOV/2/S/b%C3%BCro\r\nx-road-request-id:{}\r\nx-road-request-hash:{hash}\r\n",
            IDS[1], IDS[0]
        )
    );
    assert_eq!(response.check_answers(&request, &hash), Ok(()));
    let other = get("/r1/DE/GOV/2/S/other").unwrap();
    assert_eq!(
        cause(response.check_answers(&other, &hash)),
        FaultCode::InconsistentResponse
    );
    assert_eq!(
        cause(response.check_answers(&request, "AAAA")),
        FaultCode::InconsistentResponse
    );
}

#[test]
fn statuses_that_are_no_final_answer_are_refused() {
    for status in [0, 99, 101, 1000] {
        assert_eq!(cause(answer(status, &[]).1), FaultCode::InternalError, "{status}");
    }
}

proptest! {
    #[test]
    fn whatever_is_built_parses_to_the_same(
        path in "(/[a-z0-9%2Fä.;=]{0,8}){0,4}",
        query in proptest::option::of("[a-z0-9&=%20]{0,10}"),
        headers in proptest::collection::vec(("[!-9;-~]{1,10}", "[^\\x00-\\x1f\\x7f]{0,20}"), 0..10),
    ) {
        let query = query.map(|q| format!("?{q}")).unwrap_or_default();
        let headers: Vec<(&str, &[u8])> = headers.iter().map(|(n, v)| (n.as_str(), v.as_bytes()))
            .chain([("x-road-client", &b"DE/GOV/1"[..])]).collect();
        let target = format!("/r1/DE/GOV/2/S/s{path}{query}");
        if let Ok(request) = build("PUT", &target, &headers) {
            let again = RestRequest::parse(request.bytes().clone()).unwrap();
            prop_assert_eq!(again.reserialised(), request.bytes().as_ref());
            prop_assert_eq!(again.target(), target);
            prop_assert!(again.headers().eq(request.headers()));
        }
    }

    #[test]
    fn arbitrary_messages_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in "\\PC*") {
        let _ = RestRequest::parse(Bytes::from(bytes.clone()));
        let _ = RestResponse::parse(Bytes::from(bytes.clone()));
        let _ = build(&text, &text, &[("x-road-client", &bytes), (&text, &bytes)]);
        let _ = build("GET", &format!("/r1/a/b/c/d/e/{text}"), &[("x-road-client", b"a/b/c"), (&text, &bytes)]);
    }
}
