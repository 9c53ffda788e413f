//! The outbound side (X-Road: client proxy): what information systems send through their own node.

mod balance;
mod connect;
mod exchange;
mod resolve;
mod send;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use kontor_protocol::fault::rest::{self, ErrorFormat};
use kontor_protocol::fault::{Fault, FaultCode, ForeignFault, soap};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::connect::Connector;
pub use self::connect::Dialects;
use crate::body::OutBody;
use crate::drain::drain;
use crate::evidence::Evidence;
use crate::handles::{Failure, Handles, Outcome, Side};
use crate::head::Head;
use crate::listen::Connection;

/// The outbound side of a node.
pub struct Outbound {
    handles: Arc<Handles>,
    evidence: Evidence,
    connector: Connector,
}

impl Outbound {
    /// Wires the side up.
    pub fn new(handles: Arc<Handles>, evidence: Evidence, tls: Dialects) -> Arc<Self> {
        let connector = Connector::new(tls, handles.shutdown.clone());
        Arc::new(Self {
            handles,
            evidence,
            connector,
        })
    }

    /// Answers one request of an information system.
    ///
    /// The exchange runs in a task of its own: a client that goes away does not undo what was sent and recorded.
    pub async fn answer(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<OutBody> {
        if Evidence::takes(request.method(), request.uri().path()) {
            // Boxed: the future of an exchange is not to grow by it.
            return Box::pin(self.evidence.answer(&connection, &request)).await;
        }
        let (parts, body) = request.into_parts();
        let head = Head::request(&connection.tap, &parts);
        if !is_rest(&head.first) {
            return not_rest(&parts.method);
        }
        let (reply, answer) = oneshot::channel();
        let handles = self.handles.clone();
        handles
            .shutdown
            .spawn(async move { self.run(connection, parts.method, head, body, reply).await });
        answer.await.unwrap_or_else(|_| {
            let mut stopped = Response::new(OutBody::Empty);
            *stopped.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            stopped
        })
    }

    async fn run(
        self: Arc<Self>,
        connection: Arc<Connection>,
        method: http::Method,
        head: Head,
        mut body: Incoming,
        reply: oneshot::Sender<Response<OutBody>>,
    ) {
        let _running = self.handles.in_flight.enter();
        let started = Instant::now();
        let outcome = exchange::run(&self, &connection, &method, &head, &mut body).await;
        let (outcome, response) = match outcome {
            Ok(response) => (Outcome::Ok, response),
            Err(ended) => {
                let outcome = match &ended.failure {
                    Failure::Own(_) | Failure::Busy(_) => Outcome::Failed,
                    Failure::Peer(_) => Outcome::PeerFault,
                };
                let busy = matches!(ended.failure, Failure::Busy(_));
                let fault = match ended.failure {
                    Failure::Own(fault) | Failure::Busy(fault) => {
                        Failure::Own(fault.within(FaultCode::ClientProxy)).spelled()
                    }
                    peer @ Failure::Peer(_) => peer.spelled(),
                };
                tracing::warn!(
                    request.id = ended.request_id,
                    client = %ended.client,
                    service = %ended.service,
                    fault.code = fault.code,
                    fault.id = fault.detail,
                    "request of an information system failed: {}",
                    fault.text
                );
                let mut response = rescue(&fault, head.last("accept"));
                if busy {
                    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
                    response
                        .headers_mut()
                        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
                }
                (outcome, response)
            }
        };
        self.handles
            .exchanges
            .ended(Side::Outbound, outcome, started.elapsed());
        let refused = outcome != Outcome::Ok;
        let _ = reply.send(response);
        if refused {
            // A sender that is cut off in the middle of its body would see a reset instead of the fault.
            drain(body).await;
        }
    }
}

/// Whether a request is for the REST protocol: `/r` and a version; only version 1 is carried, others get its fault.
fn is_rest(target: &[u8]) -> bool {
    matches!(target, [b'/', b'r', version, b'/', ..] if version.is_ascii_digit())
}

/// A fault as an information system gets it (wire 2.8).
fn rescue(fault: &ForeignFault, accept: Option<&[u8]>) -> Response<OutBody> {
    let accept = accept.map(String::from_utf8_lossy);
    let format = ErrorFormat::from_accept(accept.as_deref());
    let mut response = Response::new(OutBody::from(Bytes::from(rest::body(fault, format))));
    *response.status_mut() =
        StatusCode::from_u16(rest::status(fault)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
    if let Ok(value) = HeaderValue::from_str(&rest::error_header(fault)) {
        headers.insert("x-road-error", value);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What does not begin with `/r1/` is a SOAP message, which this node does not carry (wire 2.1).
fn not_rest(method: &http::Method) -> Response<OutBody> {
    let (code, text) = if method == http::Method::POST {
        (
            FaultCode::InvalidSoap,
            "this node carries X-Road REST messages only; send to /r1/INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE",
        )
    } else {
        (
            FaultCode::InvalidHttpMethod,
            "only POST is allowed here; REST requests go to /r1/INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE",
        )
    };
    let fault = Failure::Own(Fault::new(code, text).within(FaultCode::Client)).spelled();
    let mut response = Response::new(OutBody::from(Bytes::from(soap::write(&fault))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE));
    headers.insert("soapaction", HeaderValue::from_static(""));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
