//! The authority's HTTP answers.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Body;
use kontor_pki::crypto::DigestAlgorithm;
use kontor_pki::ocsp::{CertId, CertStatus};

use super::registry::Kind;
use super::{Authority, Opened};
use crate::body::OutBody;

/// Largest OCSP request or time-stamp query.
const QUERY: usize = 64 * 1024;

impl Authority {
    /// Answers one request.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<OutBody>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        match (&head.method, path) {
            (&Method::GET, "/internalconf") => self.directory(Kind::Internal, head.uri.query()),
            (&Method::GET, "/externalconf") => self.directory(Kind::External, head.uri.query()),
            (&Method::GET, "/health") => self.health(),
            (&Method::GET, _) => self.part(path),
            (&Method::POST, "/ocsp" | "/tsa") => match Limited::new(body, QUERY).collect().await {
                Ok(query) if path == "/ocsp" => self.ocsp(&query.to_bytes()),
                Ok(query) => self.tsa(&query.to_bytes()),
                Err(_) => text(StatusCode::PAYLOAD_TOO_LARGE, "a query has at most 64 KiB"),
            },
            _ => text(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET the configuration, POST to /ocsp and /tsa",
            ),
        }
    }

    /// Servers probe from the newest version down and take the first that is no 404; those that do not name a version
    /// mean 2 (wire 7.2).
    fn directory(&self, kind: Kind, query: Option<&str>) -> Response<OutBody> {
        let wanted = query
            .unwrap_or_default()
            .split('&')
            .find_map(|q| q.strip_prefix("version="))
            .unwrap_or("2");
        let served = self.served.load();
        let Some(newest) = served.publications.first() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "nothing is published yet");
        };
        let body = wanted
            .parse()
            .ok()
            .and_then(|version| newest.directory(kind, version));
        let Some(body) = body else {
            let published: Vec<_> = newest.directories.iter().map(|d| d.version.to_string()).collect();
            let sentence = format!(
                "this authority publishes the versions {}: GET /{}?version=N",
                published.join(", "),
                kind.path()
            );
            return text(StatusCode::NOT_FOUND, &sentence);
        };
        // The boundary stands in the body's own headers (wire 7.3); this one is for people with a browser.
        answer(StatusCode::OK, "text/plain; charset=utf-8", body.clone())
    }

    fn part(&self, path: &str) -> Response<OutBody> {
        let served = self.served.load();
        let found = served
            .publications
            .iter()
            .flat_map(|p| &p.parts)
            .find(|part| part.location == path);
        match found {
            Some(part) => answer(StatusCode::OK, "application/octet-stream", part.bytes.clone()),
            None => text(
                StatusCode::NOT_FOUND,
                "no part of the configuration is published here",
            ),
        }
    }

    fn ocsp(&self, request: &[u8]) -> Response<OutBody> {
        let served = self.served.load();
        let opened = &served.opened;
        let response = opened
            .ocsp
            .respond(request, self.clock.now(), &|id| opened.status(id));
        answer(StatusCode::OK, "application/ocsp-response", Bytes::from(response))
    }

    fn tsa(&self, query: &[u8]) -> Response<OutBody> {
        // A random serial is unique without a counter that would have to survive crashes.
        let serial = u64::from_be_bytes(kontor_pki::crypto::random::<8>());
        let response = self
            .served
            .load()
            .opened
            .tsa
            .respond(query, self.clock.now(), serial);
        answer(
            StatusCode::OK,
            "application/timestamp-reply",
            Bytes::from(response),
        )
    }

    fn health(&self) -> Response<OutBody> {
        let served = self.served.load();
        let expires = served.publications.first().map(|p| p.expires);
        match expires {
            Some(expires) if expires > self.clock.now() => text(
                StatusCode::OK,
                &format!("the published configuration is valid until {expires}"),
            ),
            Some(_) | None => text(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the published configuration has expired; see the log",
            ),
        }
    }
}

impl Opened {
    /// What is known of a certificate: only those of this authority, and of these only those that were issued.
    fn status(&self, id: &CertId) -> CertStatus {
        let ca = &self.certificates.ca;
        let ours = match id.digest {
            Some(DigestAlgorithm::Sha256) => CertId::sha256_of(ca, ca),
            Some(_) | None => CertId::of(ca, ca),
        };
        let same_issuer = id.digest == ours.digest
            && id.issuer_name_hash == ours.issuer_name_hash
            && id.issuer_key_hash == ours.issuer_key_hash;
        let serial: Vec<u8> = id.serial.iter().copied().skip_while(|b| *b == 0).collect();
        match self.issued.get(&serial).filter(|_| same_issuer) {
            Some(None) => CertStatus::Good,
            Some(Some(at)) => CertStatus::Revoked { at: *at },
            None => CertStatus::Unknown,
        }
    }
}

fn text(status: StatusCode, sentence: &str) -> Response<OutBody> {
    answer(
        status,
        "text/plain; charset=utf-8",
        Bytes::from(format!("{sentence}\n")),
    )
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<OutBody> {
    let mut response = Response::new(OutBody::from(body));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
