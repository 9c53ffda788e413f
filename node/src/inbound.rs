//! The inbound side (X-Road: server proxy): what other nodes bring for the services of this one.

mod exchange;
pub mod provider;
mod respond;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HeaderValue};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use kontor_protocol::fault::{FaultCode, ForeignFault, soap};
use tokio::sync::oneshot;
use tokio::time::Instant;

use self::provider::Services;
use self::respond::Reply;
use crate::body::OutBody;
use crate::handles::{Failure, Handles, Outcome, Side};
use crate::listen::Connection;

/// The inbound side of a node.
pub struct Inbound {
    handles: Arc<Handles>,
    services: Services,
}

impl Inbound {
    /// Wires the side up.
    pub fn new(handles: Arc<Handles>, services: Services) -> Arc<Self> {
        Arc::new(Self { handles, services })
    }

    /// Answers one request of another node.
    ///
    /// The exchange runs in a task of its own: a node that goes away does not undo what was received and recorded.
    pub async fn answer(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
    ) -> Response<OutBody> {
        let (reply, answer) = oneshot::channel();
        let handles = self.handles.clone();
        handles
            .shutdown
            .spawn(async move { self.run(connection, request, reply).await });
        answer.await.unwrap_or_else(|_| {
            let mut stopped = Response::new(OutBody::Empty);
            *stopped.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            stopped
        })
    }

    async fn run(
        self: Arc<Self>,
        connection: Arc<Connection>,
        request: Request<Incoming>,
        reply: oneshot::Sender<Response<OutBody>>,
    ) {
        let _running = self.handles.in_flight.enter();
        let started = Instant::now();
        let mut reply = Reply::new(reply);
        let outcome = match exchange::run(&self, &connection, request, &mut reply).await {
            Ok(()) => Outcome::Ok,
            Err((failure, known)) => {
                let fault = match failure {
                    Failure::Own(fault) | Failure::Busy(fault) => {
                        Failure::Own(fault.within(FaultCode::ServerProxy)).spelled()
                    }
                    peer @ Failure::Peer(_) => peer.spelled(),
                };
                tracing::warn!(
                    peer.addr = %connection.peer,
                    request.id = known.request_id,
                    client = known.client,
                    service = known.service,
                    fault.code = fault.code,
                    fault.id = fault.detail,
                    "request of another node failed: {}",
                    fault.text
                );
                reply.fault(&fault).await;
                if let Some(rest) = known.unread {
                    // A sender that is cut off in the middle of its message would see a reset instead of the fault.
                    crate::drain::drain(rest).await;
                }
                Outcome::Failed
            }
        };
        self.handles
            .exchanges
            .ended(Side::Inbound, outcome, started.elapsed());
    }
}

/// A fault as a whole answer: status 200, for REST as well (wire 3.9).
fn fault_response(fault: &ForeignFault) -> Response<OutBody> {
    let mut response = Response::new(OutBody::from(Bytes::from(soap::write(fault))));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(soap::CONTENT_TYPE));
    headers.insert("soapaction", HeaderValue::from_static(""));
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
