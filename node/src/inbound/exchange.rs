//! The course of one inbound exchange, top to bottom (wire 3.7 with the stricter order of architecture decision 6).
//!
//! Read up to the message part; judge peer, provider and rights on the claimed client; take in body and signature;
//! verify; judge rights again on the signer; record; call the service; sign, record, answer. The service sees no byte
//! before the signature holds and the receipt is there; the consumer sees no signature before its entry is on disk.

use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha512;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::id::MemberId;
use kontor_protocol::rest::{RestRequest, RestResponse, ServiceAnswer, Verb};
use kontor_protocol::transport::{Direction, Event, MessageKind, MessageReader, TransportHead};
use kontor_protocol::trust::TrustSet;

use super::Inbound;
use super::respond::Reply;
use crate::handles::{EntryDraft, Failure, Handles, log_fault};
use crate::head::Head;
use crate::link::{describe, next_piece};
use crate::listen::Connection;
use crate::messagelog::{self, OpenExchange};
use crate::pace::Pace;
use crate::quota::Question;
use crate::receive::{Receiver, Remainder, opening};
use crate::registry::Offered;
use crate::signer::Signed;
use crate::spool::{Spool, Spooled};
use crate::verdicts::ReceivedSignature;

/// How long a consumer's node may be silent.
const IDLE: Duration = Duration::from_secs(30);

/// What is known of an exchange so far, for whoever has to end it.
#[derive(Default)]
pub(super) struct Known {
    pub(super) request_id: String,
    pub(super) client: String,
    pub(super) service: String,
    pub(super) unread: Option<Incoming>,
    open: Option<OpenExchange>,
}

/// Runs one exchange; gives what is known of it with the reason if it ended without its answer.
pub(super) async fn run(
    side: &Inbound,
    connection: &Connection,
    request: Request<Incoming>,
    reply: &mut Reply,
) -> Result<(), (Failure, Known)> {
    let mut known = Known::default();
    let outcome = course(side, connection, request, reply, &mut known).await;
    outcome.map_err(|failure| {
        if let Some(open) = &mut known.open {
            open.failed(failure.code());
        }
        (failure, known)
    })
}

/// How long a peer is kept waiting for a place. Java servers let it wait for ever (wire 3.11).
const PATIENCE: Duration = Duration::from_secs(30);

fn busy() -> Fault {
    let text =
        "as many exchanges of this security server as may be are under way, or of all; send it again later";
    Fault::new(FaultCode::InternalError, text)
}

async fn course(
    side: &Inbound,
    connection: &Connection,
    request: Request<Incoming>,
    reply: &mut Reply,
    known: &mut Known,
) -> Result<(), Failure> {
    let handles = &*side.handles;
    let (transport, mut receiver) = begun(connection, request, known)?;
    let peer = connection.certificates.first().map(Certificate::sha256);
    let _place = match peer {
        // Only the node itself shows none.
        None => None,
        Some(peer) => match handles.peers_at_once.enter(&peer, PATIENCE).await {
            Some(place) => Some(place),
            None => {
                known.unread = Some(receiver.into_body());
                return Err(Failure::Busy(busy()));
            }
        },
    };
    let received = match received(handles, connection, &mut receiver, known).await {
        Ok(received) => received,
        Err(failure) => {
            known.unread = Some(receiver.into_body());
            return Err(failure);
        }
    };
    let Received {
        trust,
        request,
        message_digest,
        offered,
        body,
        signature,
    } = received;

    let draft = draft(handles, &trust, connection, &request, message_digest);
    let signer = request.client().member();
    let parts = draft.parts(body.as_ref());
    let batch =
        handles
            .verdicts
            .verify(&trust, &signature, request.bytes(), &parts, signer, handles.now())?;
    // Rights may have changed while a long body came in, and the signer is known only now.
    let now_trusted = handles.trust.current(handles.now())?;
    handles
        .registry()
        .permit(&now_trusted, &request)
        .map_err(withdrawn)?;
    let signed = Signed {
        batch,
        chain: signature.chain,
    };
    let receipt = handles.record(draft, &signed, body.as_ref()).await?;
    let entry = receipt;
    let answers = Some(known.open.insert(handles.log.exchange(receipt)).request());

    let (link, head, answer) = side
        .services
        .call(&offered, &request, body.as_ref(), entry)
        .await?;
    let request_hash = request.request_hash(body.as_ref().map(|body| &body.digest));
    let response = response_to(&request, &transport, &head, &answer, &request_hash)?;
    let has_body = has_entity(&request, answer.status().as_u16());
    let spooled = take_answer(handles, &offered, answer, &response, reply).await?;
    side.services.keep(&offered, link);
    let spooled = Some(spooled).filter(|_| has_body);

    let entry = EntryDraft {
        kind: messagelog::EntryKind::ResponseSent,
        answers,
        client: request.client(),
        service: request.service(),
        client_server: connection
            .certificates
            .first()
            .and_then(|leaf| trust.server_by_auth_cert(leaf)),
        provider_server: Some(handles.server.clone()),
        query_id: request.query_id(),
        request_id: request.request_id(),
        request: request.bytes().clone(),
        message: response.bytes().clone(),
        message_digest: sha512(response.bytes()),
    };
    let recorded = handles.sign_and_record(entry, spooled.as_ref()).await?;
    if handles.registry().own() != Some(request.service().provider()) {
        handles.partners.note(request.client().member());
    }
    reply
        .end(
            response.bytes(),
            spooled.as_ref().map(Spooled::in_memory),
            &recorded.signed,
        )
        .await;
    Ok(())
}

/// What was permitted when the message began is not any more.
fn withdrawn(fault: Fault) -> Fault {
    let text = format!("{}; it was withdrawn while the message came in", fault.text());
    Fault::new(fault.cause(), text)
}

/// Judges the HTTP head (wire 3.5).
fn begun(
    connection: &Connection,
    request: Request<Incoming>,
    known: &mut Known,
) -> Result<(TransportHead, Receiver), Fault> {
    let (parts, body) = request.into_parts();
    let head = Head::request(&connection.tap, &parts);
    let judged = TransportHead::request(parts.method.as_str(), head.octets()).and_then(|transport| {
        known.request_id = transport.request_id().unwrap_or_default().to_owned();
        if transport.kind() == MessageKind::Soap {
            let text = "this node carries X-Road REST messages only; a SOAP service cannot be called here";
            return Err(Fault::new(FaultCode::MissingRest, text));
        }
        let reader = MessageReader::new(Direction::Request, transport.content_type(), MessageKind::Rest)?;
        Ok((transport, reader))
    });
    match judged {
        Ok((transport, reader)) => Ok((transport, Receiver::new(body, reader, IDLE))),
        Err(fault) => {
            known.unread = Some(body);
            Err(fault)
        }
    }
}

/// A request that came in whole from a judged peer with a right on the service; its signature is not verified.
struct Received {
    trust: Arc<TrustSet>,
    request: RestRequest,
    message_digest: [u8; 64],
    offered: Arc<Offered>,
    body: Option<Spooled>,
    signature: ReceivedSignature,
}

async fn received(
    handles: &Handles,
    connection: &Connection,
    receiver: &mut Receiver,
    known: &mut Known,
) -> Result<Received, Failure> {
    let trust = handles.trust.current(handles.now())?;
    handles.may_speak(&trust, connection.certificates.first(), connection.tls12)?;
    let (ocsp, event) = opening(receiver).await?;
    let Event::Message(message) = event else {
        return Err(Fault::new(FaultCode::MissingRest, "the message has no message part").into());
    };
    let request = RestRequest::parse(message).map_err(|fault| fault.within(FaultCode::ServiceFailed))?;
    known.client = request.client().to_string();
    known.service = request.service().to_string();
    let registry = handles.registry();
    registry.provider(request.service().provider())?;
    handles.signer.check(request.service().provider().member())?;
    handles.peers.judge_consumer(
        &trust,
        &connection.certificates,
        &ocsp,
        request.client(),
        handles.now(),
    )?;
    let offered = registry.permit(&trust, &request)?;
    let asked = match &offered.answer {
        Some(_) => Some(Question::Methods),
        None => registry.is_own(request.service()).then_some(Question::Any),
    };
    if let Some(question) = asked {
        // Every question leaves two entries: a flood of them is refused before it leaves any.
        let member = request.client().member();
        handles
            .quota
            .take(member, question, handles.now())
            .map_err(|wait| too_often(member, wait))?;
    } else {
        handles.gate.opened().await;
    }
    match receiver
        .remainder(Spool::new(&handles.log, handles.inline_body))
        .await?
    {
        Remainder::Fault(_) => Err(Fault::new(
            FaultCode::MissingSignature,
            "a fault stands in place of the signature",
        )
        .into()),
        Remainder::Signed(body, signature) => {
            let message_digest = sha512(request.bytes());
            Ok(Received {
                trust,
                request,
                message_digest,
                offered,
                body,
                signature,
            })
        }
    }
}

fn too_often(member: &MemberId, wait: Duration) -> Fault {
    let seconds = wait.as_millis().div_ceil(1000).max(1);
    let text = format!("{member} asks too often; ask again in {seconds} seconds");
    Fault::new(FaultCode::AccessDenied, text)
}

fn draft<'a>(
    handles: &Handles,
    trust: &TrustSet,
    connection: &Connection,
    request: &'a RestRequest,
    message_digest: [u8; 64],
) -> EntryDraft<'a> {
    EntryDraft {
        kind: messagelog::EntryKind::RequestReceived,
        answers: None,
        client: request.client(),
        service: request.service(),
        client_server: connection
            .certificates
            .first()
            .and_then(|leaf| trust.server_by_auth_cert(leaf)),
        provider_server: Some(handles.server.clone()),
        query_id: request.query_id(),
        request_id: request.request_id(),
        request: request.bytes().clone(),
        message: request.bytes().clone(),
        message_digest,
    }
}

fn response_to(
    request: &RestRequest,
    transport: &TransportHead,
    head: &Head,
    answer: &Response<Incoming>,
    request_hash: &str,
) -> Result<RestResponse, Fault> {
    let headers: Vec<_> = head.octets().collect();
    let answer = ServiceAnswer {
        status: answer.status().as_u16(),
        reason: &head.first,
        headers: &headers,
    };
    let request_id = transport.request_id().unwrap_or_else(|| request.request_id());
    RestResponse::build(&answer, request, request_id, request_hash)
        .map_err(|fault| fault.within(FaultCode::ServiceFailed))
}

/// Takes the service's body in; one that outgrows memory begins to flow to the consumer's node.
async fn take_answer(
    handles: &Handles,
    offered: &Offered,
    answer: Response<Incoming>,
    response: &RestResponse,
    reply: &mut Reply,
) -> Result<Spooled, Failure> {
    let failed = |reason: String| {
        Fault::new(
            FaultCode::IoError,
            format!(
                "the service {} broke off its answer: {reason}",
                offered.service.code
            ),
        )
        .within(FaultCode::ServiceFailed)
    };
    let mut body = answer.into_body();
    let mut spool = Spool::new(&handles.log, handles.inline_body);
    let mut pace = Pace::with_idle(offered.service.timeout);
    while !http_body::Body::is_end_stream(&body) {
        let piece = match pace
            .wait(Box::pin(next_piece(&mut body)))
            .await
            .map_err(|e| failed(e.to_string()))?
        {
            None => break,
            Some(piece) => piece.map_err(|e| failed(describe(&e)))?,
        };
        pace.moved(piece.len()).map_err(|e| failed(e.to_string()))?;
        let was_large = spool.is_large();
        spool.take(&piece).await.map_err(|e| log_fault(&e))?;
        match (was_large, spool.is_large()) {
            (false, true) => reply.begin(response.bytes(), spool.first()).await?,
            (true, _) => reply.piece(piece).await?,
            (false, false) => {}
        }
    }
    Ok(spool.finish().await.map_err(|e| log_fault(&e))?)
}

/// Whether an answer has an entity, maybe an empty one: that makes a body part (trap 14). The statuses are those for
/// which HTTP allows none.
fn has_entity(request: &RestRequest, status: u16) -> bool {
    request.verb() != Verb::Head && !matches!(status, 204 | 205 | 304)
}
