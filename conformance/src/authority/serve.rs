//! The authority over HTTP: configuration, OCSP and time-stamps on one listener.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use kontor_pki::ocsp::CertStatus;
use kontor_pki::signing::SigningKey;
use tokio::net::TcpListener;

use super::says::ocsp_of;
use super::{Inner, Newest, OcspSays, Responder, State};
use crate::clock;
use crate::directory::Files;

/// Largest OCSP request or time-stamp query.
const REQUEST_BOUND: usize = 64 * 1024;

type Answer = Response<Full<Bytes>>;

pub(super) async fn accept(listener: TcpListener, inner: Arc<Inner>) {
    while let Ok((stream, _)) = listener.accept().await {
        let inner = inner.clone();
        tokio::spawn(async move {
            let service = service_fn(|request| answer(inner.clone(), request));
            // A node that hangs up is a node that hangs up.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let (head, body) = request.into_parts();
    let faults = inner.state().faults;
    let path = head.uri.path();
    if head.method == Method::POST {
        let Ok(body) = Limited::new(body, REQUEST_BOUND).collect().await else {
            return Ok(status(StatusCode::BAD_REQUEST));
        };
        let body = body.to_bytes();
        return Ok(match path {
            "/ocsp" => responder(&inner, &body, faults.ocsp).await,
            "/tsa" if !faults.tsa_down => timestamp(&inner, &body),
            _ => status(StatusCode::SERVICE_UNAVAILABLE),
        });
    }
    if faults.configuration_down {
        return Ok(status(StatusCode::SERVICE_UNAVAILABLE));
    }
    Ok(match (path, head.uri.query()) {
        ("/internalconf" | "/externalconf", Some("version=3")) => {
            whole("multipart/related", inner.state().directory())
        }
        (path, _) => match inner.state().offered.get(path) {
            Some(file) => whole("application/octet-stream", file.clone().into_bytes()),
            // Versions are probed: 404 means that there is none (wire 7.2).
            None => status(StatusCode::NOT_FOUND),
        },
    })
}

async fn responder(inner: &Inner, request: &[u8], how: Responder) -> Answer {
    match how {
        Responder::Answers => ocsp(inner, request),
        Responder::Down => status(StatusCode::SERVICE_UNAVAILABLE),
        Responder::Slow => {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            status(StatusCode::SERVICE_UNAVAILABLE)
        }
        Responder::Huge => whole("application/ocsp-response", vec![0x30; 4 << 20]),
        Responder::AboutAnother => {
            let said = ocsp_of(
                &inner.responder,
                &inner.ca,
                inner.ca.certificate(),
                OcspSays::Good,
            );
            whole("application/ocsp-response", said.unwrap_or_default())
        }
        Responder::Changed => {
            let mut answer = inner
                .responder
                .respond(request, clock::now(), &|id| inner.ca.status(id));
            // What is signed stands before the certificate of who signed it.
            let middle = answer.len() / 8;
            answer[middle] ^= 1;
            whole("application/ocsp-response", answer)
        }
    }
}

fn ocsp(inner: &Inner, request: &[u8]) -> Answer {
    let response = inner.responder.respond(request, clock::now(), &|id| {
        let state = inner.state();
        match (state.revoked.get(&id.serial), inner.ca.status(id), &state.below) {
            (Some(at), _, _) => CertStatus::Revoked { at: *at },
            (None, CertStatus::Unknown, Some(below)) => below.status(id),
            (None, status, _) => status,
        }
    });
    whole("application/ocsp-response", response)
}

fn timestamp(inner: &Inner, query: &[u8]) -> Answer {
    let serial = {
        let mut state = inner.state();
        state.serial += 1;
        state.serial
    };
    whole(
        "application/timestamp-reply",
        inner.tsa.respond(query, clock::now(), serial),
    )
}

impl State {
    /// The signed directory of now.
    fn directory(&mut self) -> Vec<u8> {
        let now = clock::now();
        let fresh = |newest: &Newest| now.since(newest.made) < self.lifetime / 2;
        if let Some(newest) = self.newest.as_ref().filter(|newest| fresh(newest)) {
            return newest.signed.clone();
        }
        let files = match self.newest.take() {
            // Only its time has come: the files are the same.
            Some(newest) => newest.files,
            None => {
                self.generation += 1;
                Files {
                    shared: self.directory.shared(),
                    shared_path: format!("/V3/{}/shared-params.xml", self.generation),
                    private: self.directory.private(),
                    private_path: format!("/V3/{}/private-params.xml", self.generation),
                }
            }
        };
        self.offered
            .insert(files.shared_path.clone(), files.shared.clone());
        self.offered
            .insert(files.private_path.clone(), files.private.clone());
        let key = self.key.clone();
        let algorithm = key.key_algorithm().message_algorithm();
        let forged = self.faults.configuration_forged;
        let signed = self
            .directory
            .signed(&files, now + self.lifetime, algorithm.uri(), |bytes| {
                let mut signature = key
                    .sign(algorithm, bytes)
                    .expect("a P-256 key signs with its own algorithm");
                if forged {
                    let last = signature.len() - 1;
                    signature[last] ^= 1;
                }
                signature
            });
        self.newest = Some(Newest {
            files,
            signed: signed.clone(),
            made: now,
        });
        signed
    }
}

fn whole(content_type: &str, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::from(body));
    if let Ok(value) = content_type.parse() {
        answer.headers_mut().insert("content-type", value);
    }
    answer
}

fn status(status: StatusCode) -> Answer {
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status;
    answer
}
