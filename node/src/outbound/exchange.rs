//! The course of one outbound exchange, top to bottom (wire 3.2–3.10 with the order of architecture decision 6).
//!
//! Build the message, let the information system in, find and judge the provider's node, take the body in, sign,
//! record, send; receive, verify, record, release. Body bytes may flow while they spool; the signature waits for the
//! receipt, and the information system sees nothing before its node holds a valid signature and the receipt.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use kontor_pki::crypto::{random, sha512};
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::hash_chain::PartDigest;
use kontor_protocol::id::ClientId;
use kontor_protocol::rest::{RestRequest, RestResponse, Verb, to_wire};
use kontor_protocol::transport::{Direction, Event, MessageKind, MessageReader, TransportHead};
use kontor_protocol::trust::TrustSet;
use uuid::Uuid;

use super::Outbound;
use super::resolve;
use super::send::{Sending, feed, whole};
use crate::body::OutBody;
use crate::handles::{EntryDraft, Failure, Handles, log_fault};
use crate::head::Head;
use crate::link::next_piece;
use crate::listen::Connection;
use crate::messagelog::{self, OpenExchange};
use crate::pace::Pace;
use crate::receive::{Receiver, Remainder, opening};
use crate::signer::Signed;
use crate::spool::{Spool, Spooled};

/// How long a provider may think before its first byte. Its own limit for the service is not known here; it is
/// counted as idle time.
const THINK: Duration = Duration::from_secs(300);

/// An exchange that ended without its answer, and what is known of it for the operator's log.
pub(super) struct Ended {
    pub(super) failure: Failure,
    pub(super) request_id: String,
    pub(super) client: String,
    pub(super) service: String,
}

/// Runs one exchange.
pub(super) async fn run(
    side: &Outbound,
    connection: &Connection,
    method: &Method,
    head: &Head,
    body: &mut Incoming,
) -> Result<Response<OutBody>, Ended> {
    let request_id = Uuid::new_v4().to_string();
    let target = String::from_utf8_lossy(&head.first);
    let fallback_id = uuid::Builder::from_random_bytes(random()).into_uuid().to_string();
    let request = RestRequest::build(method.as_str(), &target, head.octets(), &request_id, &fallback_id);
    let request = request.map_err(|fault| Ended {
        failure: fault.into(),
        request_id: request_id.clone(),
        client: String::new(),
        service: String::new(),
    })?;
    let mut open = None;
    course(side, connection, &request, head, body, &mut open)
        .await
        .map_err(|failure| {
            if let Some(open) = &mut open {
                OpenExchange::failed(open, failure.code());
            }
            Ended {
                failure,
                request_id,
                client: request.client().to_string(),
                service: request.service().to_string(),
            }
        })
}

/// How long an information system is kept waiting for a place.
const PATIENCE: Duration = Duration::from_secs(1);

fn busy(client: &ClientId) -> Failure {
    let text = format!(
        "as many exchanges of {client} as may be are under way, or of all clients; send it again in a second"
    );
    Failure::Busy(Fault::new(FaultCode::InternalError, text))
}

async fn course(
    side: &Outbound,
    connection: &Connection,
    request: &RestRequest,
    head: &Head,
    body: &mut Incoming,
    open: &mut Option<OpenExchange>,
) -> Result<Response<OutBody>, Failure> {
    let handles = &*side.handles;
    let trust = handles.trust.current(handles.now())?;
    handles.registry().authenticate(request.client(), connection)?;
    handles.signer.check(request.client().member())?;
    let _place = if connection.is_own {
        None
    } else {
        let place = handles.clients_at_once.enter(request.client(), PATIENCE).await;
        Some(place.ok_or_else(|| busy(request.client()))?)
    };
    if !connection.is_own {
        handles.gate.opened().await;
    }
    let wanted = request.security_server()?;
    let provider = request.service().provider();
    let candidates = resolve::candidates(&trust, provider, wanted.as_ref())?;

    let mut spool = Spool::new(&handles.log, handles.inline_body);
    let mut pace = Pace::default();
    let is_whole = take_small(body, &mut spool, &mut pace).await?;
    let way = side
        .connector
        .link(handles, &trust, &candidates, provider, false)
        .await?;
    let sending = Sending::new(side, &trust, &candidates, request, head.last("content-type"))?;

    let (link, digest, head, answer) = if is_whole {
        let spooled = spool.finish().await.map_err(|e| log_fault(&e))?;
        let spooled = (spooled.length > 0).then_some(spooled);
        let recorded = handles
            .sign_and_record(draft(handles, request), spooled.as_ref())
            .await?;
        *open = Some(handles.log.exchange(recorded.receipt));
        let message = whole(&sending, spooled.as_ref(), &recorded.signed);
        let (link, head, answer) = sending.send(way, OutBody::from(message)).await?;
        (link, spooled.map(|s| s.digest), head, answer)
    } else {
        let (writer, flow) = OutBody::flow();
        let asked = sending.send(way, flow);
        let fed = feed(&sending, body, spool, pace, writer, open);
        tokio::pin!(asked, fed);
        let mut digest = None;
        let (link, head, answer) = loop {
            tokio::select! {
                // A peer that answers before it has the whole message refuses it; what it says goes to the caller.
                answered = &mut asked => break answered?,
                outcome = &mut fed, if digest.is_none() => match outcome? {
                    Some(whole) => digest = Some(whole),
                    // The peer takes no more: its answer, if there is one, says why.
                    None => break asked.as_mut().await?,
                },
            }
        };
        (link, digest, head, answer)
    };

    let received = receive(handles, &head, answer).await?;
    side.connector.keep(link);
    let (response, signed) = verified(handles, &trust, request, digest.as_ref(), &received)?;
    let entry = EntryDraft {
        kind: messagelog::EntryKind::ResponseReceived,
        answers: open.as_ref().map(OpenExchange::request),
        query_id: request.query_id(),
        request_id: request.request_id(),
        message: response.bytes().clone(),
        message_digest: received.message_digest,
        ..draft(handles, request)
    };
    handles.record(entry, &signed, received.body.as_ref()).await?;
    if handles.registry().own() != Some(request.client()) {
        handles.partners.note(request.service().provider().member());
    }
    Ok(released(handles, request, &response, received.body.as_ref()))
}

/// The entry of the request; that of the response differs in kind and message.
pub(super) fn draft<'a>(handles: &Handles, request: &'a RestRequest) -> EntryDraft<'a> {
    EntryDraft {
        kind: messagelog::EntryKind::RequestSent,
        answers: None,
        client: request.client(),
        service: request.service(),
        client_server: Some(handles.server.clone()),
        provider_server: None,
        query_id: request.query_id(),
        request_id: request.request_id(),
        request: request.bytes().clone(),
        message: request.bytes().clone(),
        message_digest: sha512(request.bytes()),
    }
}

/// Takes the body in as long as it fits in memory; `true` if that was all of it.
async fn take_small(body: &mut Incoming, spool: &mut Spool, pace: &mut Pace) -> Result<bool, Failure> {
    while !spool.is_large() {
        match next(body, pace).await? {
            Some(piece) => spool.take(&piece).await.map_err(|e| log_fault(&e))?,
            None => return Ok(true),
        }
    }
    Ok(false)
}

/// The next piece of what the information system sends.
pub(super) async fn next(body: &mut Incoming, pace: &mut Pace) -> Result<Option<Bytes>, Failure> {
    let io = |reason: String| {
        Failure::Own(Fault::new(
            FaultCode::IoError,
            format!("the information system's request broke off: {reason}"),
        ))
    };
    if http_body::Body::is_end_stream(body) {
        return Ok(None);
    }
    match pace
        .wait(Box::pin(next_piece(body)))
        .await
        .map_err(|e| io(e.to_string()))?
    {
        Some(Ok(piece)) => {
            pace.moved(piece.len()).map_err(|e| io(e.to_string()))?;
            Ok(Some(piece))
        }
        Some(Err(error)) => Err(io(error.to_string())),
        None => Ok(None),
    }
}

/// An answer that came in whole; nothing in it is verified.
struct Received {
    message: Bytes,
    message_digest: [u8; 64],
    body: Option<Spooled>,
    signature: crate::verdicts::ReceivedSignature,
}

async fn receive(handles: &Handles, head: &Head, answer: Response<Incoming>) -> Result<Received, Failure> {
    let transport = TransportHead::response(answer.status().as_u16(), MessageKind::Rest, head.octets())?;
    let reader = MessageReader::new(Direction::Response, transport.content_type(), MessageKind::Rest)?;
    let mut receiver = Receiver::new(answer.into_body(), reader, THINK);
    let message = match opening(&mut receiver).await?.1 {
        Event::Message(message) => message,
        Event::Fault(fault) => {
            // A fault is the whole answer; the rest is its closing boundary.
            while receiver.event().await?.is_some() {}
            return Err(Failure::Peer(fault));
        }
        _ => return Err(Fault::new(FaultCode::MissingRest, "the answer has no message part").into()),
    };
    match receiver
        .remainder(Spool::new(&handles.log, handles.inline_body))
        .await?
    {
        Remainder::Fault(fault) => Err(Failure::Peer(fault)),
        Remainder::Signed(body, signature) => {
            let message_digest = sha512(&message);
            Ok(Received {
                message,
                message_digest,
                body,
                signature,
            })
        }
    }
}

/// Verifies the answer: signed by the service's member over all of it, and an answer to this request (wire 3.10).
fn verified(
    handles: &Handles,
    trust: &TrustSet,
    request: &RestRequest,
    request_body: Option<&[u8; 64]>,
    received: &Received,
) -> Result<(RestResponse, Signed), Failure> {
    let mut parts = vec![PartDigest::message(received.message_digest)];
    parts.extend(
        received
            .body
            .as_ref()
            .map(|body| PartDigest::attachment(1, body.digest)),
    );
    let signer = request.service().provider().member();
    let batch = handles.verdicts.verify(
        trust,
        &received.signature,
        &received.message,
        &parts,
        signer,
        handles.now(),
    )?;
    let response = RestResponse::parse(received.message.clone())?;
    response.check_answers(request, &request.request_hash(request_body))?;
    Ok((
        response,
        Signed {
            batch,
            chain: received.signature.chain.clone(),
        },
    ))
}

/// The answer as the information system gets it (wire 2.6): status, headers of the message, body.
fn released(
    handles: &Handles,
    request: &RestRequest,
    response: &RestResponse,
    body: Option<&Spooled>,
) -> Response<OutBody> {
    let mut out = Response::new(body.map_or(OutBody::Empty, |body| body.release(&handles.shutdown)));
    *out.status_mut() = StatusCode::from_u16(response.status()).unwrap_or(StatusCode::OK);
    for (name, value) in response.headers() {
        let parsed = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_bytes(&to_wire(value)),
        );
        match parsed {
            (Ok(name), Ok(value)) => {
                out.headers_mut().append(name, value);
            }
            _ => tracing::info!(
                request.id = request.request_id(),
                "a header that HTTP cannot carry was left out"
            ),
        }
    }
    if let Some(body) = body.filter(|_| request.verb() != Verb::Head) {
        out.headers_mut()
            .insert(CONTENT_LENGTH, HeaderValue::from(body.length));
    }
    out
}
