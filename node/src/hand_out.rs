//! The OCSP hand-out on port 5577: answers by what this node holds about its own certificates (wire 3.4).

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use kontor_pki::crypto::random;
use kontor_protocol::{hand_out, multipart};

use crate::body::OutBody;
use crate::ocsp::OwnOcsp;

/// Answers one request.
pub async fn answer(ocsp: OwnOcsp, request: Request<Incoming>) -> Response<OutBody> {
    let answer = hand_out::answer(
        request.method().as_str(),
        request.uri().query().unwrap_or_default(),
        &multipart::boundary("ocsp", random()),
        |hash| ocsp.by_sha1(hash).map(|held| held.der),
    );
    let mut response = Response::new(if answer.body.is_empty() {
        OutBody::Empty
    } else {
        OutBody::from(answer.body)
    });
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if let Some(Ok(content_type)) = answer.content_type.map(HeaderValue::try_from) {
        response.headers_mut().insert(CONTENT_TYPE, content_type);
    }
    response
}
