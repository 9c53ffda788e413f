//! Puts a signed request on a link: whole when it is small, piece by piece while it spools when it is not.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::multipart::boundary;
use kontor_protocol::rest::{RestRequest, from_wire};
use kontor_protocol::transport::{Direction, MessageKind, MessageWriter, request_headers};
use kontor_protocol::trust::TrustSet;

use super::Outbound;
use super::connect::{ProviderNode, Way};
use super::exchange::{draft, next};
use super::resolve::Candidate;
use crate::body::{BodyWriter, OutBody, WriteError};
use crate::handles::{Failure, log_fault};
use crate::head::Head;
use crate::link::{Link, LinkError};
use crate::messagelog::OpenExchange;
use crate::pace::Pace;
use crate::signer::Signed;
use crate::spool::{Spool, Spooled};

/// What the request is sent with.
pub(super) struct Sending<'a> {
    side: &'a Outbound,
    trust: &'a TrustSet,
    candidates: &'a [Candidate],
    request: &'a RestRequest,
    boundary: String,
    original_content_type: String,
    ocsp: Vec<Bytes>,
}

impl<'a> Sending<'a> {
    /// Needs an OCSP response for every certificate that this node presents (wire 11.2).
    pub(super) fn new(
        side: &'a Outbound,
        trust: &'a TrustSet,
        candidates: &'a [Candidate],
        request: &'a RestRequest,
        content_type: Option<&[u8]>,
    ) -> Result<Self, Fault> {
        let handles = &*side.handles;
        let now = handles.now();
        let held = handles.authentication.certificates.iter().map(|certificate| {
            handles
                .ocsp
                .held(certificate)
                .filter(|held| held.good_until >= now)
                .map(|held| held.der)
        });
        let ocsp = held.collect::<Option<Vec<_>>>().ok_or_else(|| {
            Fault::new(
                FaultCode::SslAuthenticationFailed,
                "no good OCSP response for this node's authentication certificate; check that the responder is reachable",
            )
        })?;
        Ok(Self {
            side,
            trust,
            candidates,
            request,
            boundary: boundary("xtop", kontor_pki::crypto::random()),
            original_content_type: content_type
                .map(|v| from_wire(v).into_owned())
                .unwrap_or_default(),
            ocsp,
        })
    }

    /// Sends the request and waits for the head of the answer. Only what was not written yet is sent again.
    pub(super) async fn send(
        &self,
        mut way: Way,
        body: OutBody,
    ) -> Result<(Link<ProviderNode>, Head, Response<Incoming>), Failure> {
        let mut request = self.http_request(&way.link, body)?;
        loop {
            match way.link.send(request).await {
                Ok((head, answer)) => {
                    way.under_way.answered();
                    return Ok((way.link, head, answer));
                }
                Err(LinkError::NotSent(back)) if way.link.is_reused() => {
                    request = *back;
                    let provider = self.request.service().provider();
                    let handles = &*self.side.handles;
                    way = self
                        .side
                        .connector
                        .link(handles, self.trust, self.candidates, provider, true)
                        .await?;
                }
                Err(error) => {
                    way.under_way.failed();
                    let text = format!(
                        "the provider's server {} did not answer: {error}",
                        way.link.peer.address
                    );
                    return Err(Fault::new(FaultCode::IoError, text).into());
                }
            }
        }
    }

    fn http_request(&self, link: &Link<ProviderNode>, body: OutBody) -> Result<Request<OutBody>, Fault> {
        let malformed = |_| {
            Fault::new(
                FaultCode::InternalError,
                "a header of the request cannot be carried",
            )
        };
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let headers = request.headers_mut();
        let host = link.peer.address.to_string();
        headers.insert(HOST, HeaderValue::from_str(&host).map_err(malformed)?);
        let told = request_headers(
            MessageKind::Rest,
            &self.boundary,
            self.request.request_id(),
            &self.original_content_type,
        );
        for (name, value) in told {
            let name = if name == "content-type" {
                CONTENT_TYPE
            } else {
                HeaderName::from_static(name)
            };
            headers.insert(name, HeaderValue::from_str(&value).map_err(malformed)?);
        }
        Ok(request)
    }

    fn opening(&self, has_body: bool) -> MessageWriter {
        let mut writer = MessageWriter::new(&self.boundary);
        for der in &self.ocsp {
            writer.ocsp(der);
        }
        writer.message(Direction::Request, self.request.bytes());
        if has_body {
            writer.body_start();
        }
        writer
    }
}

fn closing(writer: &mut MessageWriter, signed: &Signed) {
    if let (Some(result), Some(chain)) = (signed.batch.chain_result(), &signed.chain) {
        writer.chain(result, chain);
    }
    writer.signature(signed.batch.document());
    writer.close();
}

/// A message whose body is in memory.
pub(super) fn whole(sending: &Sending<'_>, body: Option<&Spooled>, signed: &Signed) -> Bytes {
    let mut writer = sending.opening(body.is_some());
    if let Some(body) = body {
        writer.body(body.in_memory());
    }
    closing(&mut writer, signed);
    writer.take()
}

/// Sends the body while it spools, then signs and records, and only then sends the signature. Gives the digest of the
/// body, or `None` if the peer stopped taking the message.
pub(super) async fn feed(
    sending: &Sending<'_>,
    body: &mut Incoming,
    mut spool: Spool,
    mut pace: Pace,
    mut to: BodyWriter,
    open: &mut Option<OpenExchange>,
) -> Result<Option<[u8; 64]>, Failure> {
    let handles = &*sending.side.handles;
    let mut writer = sending.opening(true);
    writer.body(&spool.first());
    if !taken(to.write(writer.take()).await)? {
        return Ok(None);
    }
    while let Some(piece) = next(body, &mut pace).await? {
        spool.take(&piece).await.map_err(|e| log_fault(&e))?;
        if !taken(to.write(piece).await)? {
            return Ok(None);
        }
    }
    let spooled = spool.finish().await.map_err(|e| log_fault(&e))?;
    let recorded = handles
        .sign_and_record(draft(handles, sending.request), Some(&spooled))
        .await?;
    *open = Some(handles.log.exchange(recorded.receipt));
    closing(&mut writer, &recorded.signed);
    if !taken(to.write(writer.take()).await)? || !taken(to.close().await)? {
        return Ok(None);
    }
    Ok(Some(spooled.digest))
}

/// Whether the peer still takes the message; one that is too slow is given up.
fn taken(written: Result<(), WriteError>) -> Result<bool, Failure> {
    match written {
        Ok(()) => Ok(true),
        Err(WriteError::Closed) => Ok(false),
        Err(error @ WriteError::TooSlow(_)) => Err(Fault::new(
            FaultCode::IoError,
            format!("the provider's server takes the message too slowly: {error}"),
        )
        .into()),
    }
}
