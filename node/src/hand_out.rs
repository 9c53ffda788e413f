//! The OCSP hand-out on port 5577: plain HTTP, by SHA-1 of the certificate, in the order asked (wire 3.4).

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use crate::body::OutBody;
use crate::health::respond;
use crate::ocsp::OwnOcsp;

/// Certificates one request may ask for.
const MOST: usize = 16;

/// Answers one request.
pub async fn answer(ocsp: OwnOcsp, request: Request<Incoming>) -> Response<OutBody> {
    match *request.method() {
        Method::HEAD => Response::new(OutBody::Empty),
        Method::GET => match collected(&ocsp, request.uri().query().unwrap_or_default()) {
            Ok((content_type, body)) => respond(StatusCode::OK, &content_type, body),
            Err(text) => respond(
                StatusCode::INTERNAL_SERVER_ERROR,
                "text/plain",
                format!("{text}\n").into_bytes(),
            ),
        },
        _ => respond(
            StatusCode::METHOD_NOT_ALLOWED,
            "text/plain",
            b"GET or HEAD\n".to_vec(),
        ),
    }
}

fn collected(ocsp: &OwnOcsp, query: &str) -> Result<(String, Vec<u8>), &'static str> {
    let asked: Vec<&str> = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("cert="))
        .collect();
    if asked.is_empty() {
        return Err("parameter cert (SHA-1 of a certificate in hex) is missing");
    }
    if asked.len() > MOST {
        return Err("too many certificates in one request");
    }
    let mut responses: Vec<Bytes> = Vec::with_capacity(asked.len());
    for hash in asked {
        let hash = from_hex(hash).ok_or("cert is not a SHA-1 value in hex")?;
        let held = ocsp
            .by_sha1(&hash)
            .ok_or("no OCSP response for one of the certificates")?;
        responses.push(held.der);
    }
    let boundary = format!("ocsp{}", uuid::Uuid::new_v4().simple());
    let mut body = Vec::new();
    for response in responses {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Type: application/ocsp-response\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(&response);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    let content_type =
        format!("multipart/related; type=\"application/ocsp-response\"; charset=UTF-8; boundary={boundary}");
    Ok((content_type, body))
}

fn from_hex(text: &str) -> Option<[u8; 20]> {
    if text.len() != 40 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0u8; 20];
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}
