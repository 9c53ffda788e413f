//! Messages and questions of other nodes: the services `transfer` and `participation`. What comes here is signed, verified and on disk already; its entry
//! is what the transaction cites, and the answer, which goes out signed, is the receipt.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::round;
use kontor_participation::transfer::contract::contract;
use kontor_participation::transfer::delivery::{
    Body, CONTRACT, LogPlace, MAX_OCTETS, Party, Place, Receipt, Sent,
};
use kontor_participation::transfer::message::{Answer, Message};
use kontor_participation::transfer::offer::Id;
use kontor_participation::transfer::receiver::{self, Receiver};
use kontor_participation::transfer::sender;
use kontor_pki::crypto::sha256;
use kontor_protocol::id::ClientId;
use std::sync::Arc;

use super::row::{CaseRow, InRow, Late, Machine, Process, TransferRow};
use super::store::{Tx, TxError};
use super::transfers::APART;
use super::{Casework, Refused, Step, Table};
use crate::body::OutBody;
use crate::health::respond;
use crate::messagelog::{Receipt as Entry, hex};

/// The header that carries the receipt of the request's entry from the node's own inbound side.
pub(crate) const ENTRY: &str = "x-kontor-entry";

/// What the header says.
pub(crate) fn write_entry(receipt: &Entry) -> String {
    format!("{} {} {}", receipt.number, receipt.second, hex(&receipt.leaf))
}

fn read_entry(text: &str) -> Option<Entry> {
    let mut pieces = text.split(' ');
    let (number, second) = (pieces.next()?.parse().ok()?, pieces.next()?.parse().ok()?);
    let leaf: Digest<32> = serde_json::from_value(pieces.next()?.into()).ok()?;
    Some(Entry {
        number,
        leaf: leaf.0,
        second,
    })
}

/// What is known of a request besides its path and body.
pub(super) struct Brought {
    pub(super) client: ClientId,
    pub(super) query_id: String,
    pub(super) request_id: String,
    pub(super) entry: Entry,
}

/// Which service a request came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Served {
    /// `transfer`.
    Transfers,
    /// `participation`.
    Participation,
}

/// An answer of the service.
pub(super) struct Answered {
    pub(super) status: StatusCode,
    body: Vec<u8>,
    problem: bool,
}

impl Casework {
    /// Answers a request that came signed from a peer and is on disk.
    pub async fn answer(self: Arc<Self>, service: Served, request: Request<Incoming>) -> Response<OutBody> {
        let (parts, body) = request.into_parts();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
        let brought = (|| {
            Some(Brought {
                client: ClientId::parse_path(header("x-road-client")?).ok()?,
                query_id: header("x-road-id").unwrap_or_default().to_owned(),
                request_id: header("x-road-request-id").unwrap_or_default().to_owned(),
                entry: read_entry(header(ENTRY)?)?,
            })
        })();
        let answered = match brought {
            None => Err(Refused::malformed("the request names no client")),
            Some(brought) => {
                self.answered(service, &parts.method, parts.uri.path(), &brought, body)
                    .await
            }
        };
        answered.unwrap_or_else(|refused| refusal(&refused))
    }

    async fn answered(
        self: &Arc<Self>,
        service: Served,
        method: &Method,
        path: &str,
        brought: &Brought,
        body: Incoming,
    ) -> Result<Response<OutBody>, Refused> {
        self.is_open()?;
        self.outbox.heard_of(&brought.client.to_string());
        let unknown = || {
            Refused::new(
                StatusCode::NOT_FOUND,
                "unknown_path",
                "there is nothing here; GET /v1/openapi.json says what is",
            )
        };
        if (method, path) == (&Method::GET, "/v1/openapi.json") {
            let document = match service {
                Served::Transfers => contract(),
                Served::Participation => round::contract::contract(),
            };
            return Ok(respond(
                StatusCode::OK,
                "application/json",
                document.as_bytes().to_vec(),
            ));
        }
        if service == Served::Participation {
            let place = round::delivery::Place::read(path).ok_or_else(unknown)?;
            return self.answered_round(method, place, brought, body).await;
        }
        let place = Place::read(path).ok_or_else(unknown)?;
        match (method, place) {
            (
                &Method::PUT,
                Place::Message {
                    transfer,
                    party,
                    seq,
                    kind,
                },
            ) => {
                let body = whole(body).await?;
                let taken = self.take(brought, &transfer, party, seq, &kind, body).await?;
                Ok(taken.respond())
            }
            (&Method::GET, Place::Package { transfer, part }) => {
                let row = self.of_peer(&transfer, brought)?;
                let may = match &row.machine {
                    Machine::Sender(machine) => matches!(
                        machine.state(),
                        sender::State::PackageSent
                            | sender::State::Imported
                            | sender::State::TakenOver(_)
                            | sender::State::Closed(_)
                            | sender::State::Copied
                    ),
                    Machine::Receiver(_) => false,
                };
                if !may {
                    let detail = format!(
                        "there is no package to be pulled while the transfer is {}",
                        row.machine.state()
                    );
                    return Err(Refused::conflict("no_package", detail));
                }
                self.part(&row, None, part).await
            }
            (&Method::GET, Place::Late { transfer, item, part }) => {
                let row = self.of_peer(&transfer, brought)?;
                let late = row
                    .late
                    .iter()
                    .position(|late| late.item == item && late.item > 0);
                let late = late.filter(|_| row.machine.party() == Party::Sender);
                let late = late.ok_or_else(|| {
                    Refused::new(StatusCode::NOT_FOUND, "not_found", "there is no such late item")
                })?;
                self.part(&row, Some(late), part).await
            }
            _ => Err(wrong_method()),
        }
    }

    /// The same for what is said and shown in participation.
    async fn answered_round(
        &self,
        method: &Method,
        place: round::delivery::Place,
        brought: &Brought,
        body: Incoming,
    ) -> Result<Response<OutBody>, Refused> {
        use round::delivery::Place;
        match (method, place) {
            (
                &Method::PUT,
                Place::Message {
                    request,
                    side,
                    seq,
                    kind,
                },
            ) => {
                let body = whole(body).await?;
                let taken = self.take_round(brought, &request, side, seq, &kind, body).await?;
                Ok(taken.respond())
            }
            (
                &Method::GET,
                Place::Part {
                    request,
                    side,
                    seq,
                    part,
                },
            ) => self.round_part(brought, &request, side, seq, part).await,
            _ => Err(wrong_method()),
        }
    }

    /// The transfer of whoever asks; for anybody else there is none.
    fn of_peer(&self, id: &Id, brought: &Brought) -> Result<TransferRow, Refused> {
        let row = self.transfer(id)?;
        match row.peer == brought.client.to_string() {
            true => Ok(row),
            false => Err(Refused::not_found("transfer", id)),
        }
    }

    /// Takes a message: what it is answered once stays its answer.
    pub(super) async fn take(
        self: &Arc<Self>,
        brought: &Brought,
        id: &Id,
        party: Party,
        seq: u32,
        kind: &str,
        bytes: Bytes,
    ) -> Result<Answered, Refused> {
        let before: Option<TransferRow> = self.store.get(Table::Transfers, id.to_string().as_bytes())?;
        let case = before.as_ref().and_then(|row| row.case.clone());
        let ids: Vec<&Id> = std::iter::once(id).chain(case.as_ref()).collect();
        let _lock = self.lock(&ids).await;
        let row: Option<TransferRow> = self.store.get(Table::Transfers, id.to_string().as_bytes())?;
        if let Some(row) = &row
            && (row.peer != brought.client.to_string() || row.machine.party() == party)
        {
            return Err(Refused::not_found("transfer", id));
        }
        let digest = Digest(sha256(&bytes));
        let key = Process::Transfer(id.clone()).numbered(seq);
        let expected = row.as_ref().map_or(0, |row| row.received) + 1;
        // Rows and their number are written together: what is expected is not there.
        let known = match seq < expected {
            true => self.store.get::<InRow>(Table::Inbox, &key)?,
            false => None,
        };
        if let Some(mut known) = known {
            return match known.sha256 == digest && known.kind == kind {
                true => {
                    let first: Receipt =
                        serde_json::from_str(&known.receipt).map_err(|error| Refused::internal(&error))?;
                    if first.x_road_id != brought.query_id {
                        known.again = Some(brought.query_id.clone());
                        let put = |tx: &mut Tx<'_>| {
                            Ok::<_, TxError<Refused>>(tx.put(Table::Inbox, &key, &known)?)
                        };
                        self.store.run_tx("again", put).await?;
                    }
                    Ok(Answered::settled(&known.receipt))
                }
                false => Err(Refused::conflict(
                    "other_bytes",
                    format!(
                        "message {seq} of this transfer came before with other bytes; what came first stands"
                    ),
                )),
            };
        }
        if seq != expected {
            return Err(Refused::conflict(
                "gap",
                format!("message {seq} came, {expected} is expected"),
            ));
        }
        let sent =
            Sent::read(&bytes, kind).map_err(|error| Refused::invalid(error.code(), error.to_string()))?;
        if sent.test != self.test {
            let detail =
                "test and production do not mix: the test mark of the message differs from that of this node";
            return Err(Refused::invalid("test_mismatch", detail));
        }
        if sent.body.party().is_some_and(|wanted| wanted != party) {
            return Err(Refused::invalid(
                "wrong_party",
                format!("{kind} is not for the {} to send", party.name()),
            ));
        }
        let now = self.decisive_now()?;
        let (transfer, is_new) = match (row, &sent.body) {
            (Some(row), _) => (row, false),
            (None, Body::Offer { offer }) if offer.transfer_id == *id => {
                if offer.test != self.test {
                    return Err(Refused::invalid(
                        "test_mismatch",
                        "the test mark of the offer differs from that of this node",
                    ));
                }
                (Self::offered((**offer).clone(), &brought.client, now), true)
            }
            (None, Body::Offer { .. }) => {
                return Err(Refused::invalid(
                    "id_mismatch",
                    "the offer names another transfer than its path",
                ));
            }
            (None, _) => return Err(Refused::not_found("transfer", id)),
        };
        let case = transfer.case.as_ref().map(|case| self.case(case)).transpose()?;
        let cites = self.cited(&brought.entry);
        let mut step = Step::default();
        let (transfer, case, answer, event) = self.follow(&mut step, transfer, case, &sent, is_new, now)?;
        let receipt = Receipt {
            contract: CONTRACT.to_owned(),
            message: Place::Message {
                transfer: id.clone(),
                party,
                seq,
                kind: kind.to_owned(),
            }
            .to_string(),
            sha256: digest,
            x_road_id: brought.query_id.clone(),
            x_road_request_id: brought.request_id.clone(),
            received_at: now,
            detail: match answer {
                Answer::Taken => None,
                Answer::Refused { .. } => Some(format!(
                    "{kind} does not fit: the transfer is {} here",
                    transfer.machine.state()
                )),
            },
            answer,
            entry: Some(LogPlace {
                log: self.server.to_string(),
                number: cites.number,
                leaf: cites.leaf,
            }),
        };
        let mut transfer = transfer;
        transfer.received = seq;
        if matches!(sent.body, Body::TakenOver { .. }) && receipt.answer == Answer::Taken {
            transfer.proven_below = Some(self.log.stamp_soon());
        }
        let text = serde_json::to_string(&receipt).map_err(|error| Refused::internal(&error))?;
        step.incoming = Some((
            key,
            InRow {
                kind: kind.to_owned(),
                sha256: digest,
                at: now,
                receipt: text.clone(),
                again: None,
            },
        ));
        step.case = case;
        step.transfer = Some(transfer);
        step.event(&event, now);
        self.commit("receive", &cites, step).await?;
        Ok(Answered::settled(&text))
    }

    /// What follows from a message.
    fn follow(
        &self,
        step: &mut Step,
        mut transfer: TransferRow,
        mut case: Option<CaseRow>,
        sent: &Sent,
        is_new: bool,
        now: Timestamp,
    ) -> Result<(TransferRow, Option<CaseRow>, Answer, String), Refused> {
        let kind = sent.body.kind();
        let event = format!("transfer.{}", kind.replace('-', "_"));
        let Some(message) = sent.body.message() else {
            return Ok((transfer, case, Answer::Taken, event));
        };
        if is_new {
            self.accept_by_rule(step, &mut transfer, now);
            return Ok((transfer, case, Answer::Taken, "transfer.offered".to_owned()));
        }
        let answer = match transfer.machine.clone() {
            Machine::Sender(mut machine) => {
                if let Body::TakenOver { at, manifest, .. } = &sent.body {
                    if *manifest != transfer.offer.manifest {
                        let detail = "what was taken over is not what was offered: the digest of the manifest is another one";
                        return Err(Refused::invalid("manifest_mismatch", detail));
                    }
                    transfer.clocks_apart = (at.as_second() - now.as_second()).abs() > APART;
                }
                let (decision, answer) = machine.receive(message);
                if let Some(decision) = decision {
                    machine.apply(&decision);
                }
                // What follows from it without a person: the package of an accepted offer, the note of a take-over.
                let until = transfer.offer.take_over_until;
                let next = match machine.state() {
                    sender::State::Accepted if message == Message::Accept => {
                        Some(sender::Command::SendPackage {
                            take_over_until: until,
                        })
                    }
                    sender::State::TakenOver(_) => Some(sender::Command::Close),
                    _ => None,
                };
                transfer.machine = Machine::Sender(machine.clone());
                if answer == Answer::Taken {
                    self.note_as_sender(&mut transfer, &sent.body, now);
                }
                if let Some(next) = next
                    && let Ok(decision) = machine.decide(next, now)
                {
                    machine.apply(&decision);
                    transfer.machine = Machine::Sender(machine);
                    if let (Some(Message::Package { take_over_until }), Some(bundle)) =
                        (decision.tell, transfer.bundle)
                    {
                        let body = Body::Package {
                            take_over_until,
                            bundle,
                        };
                        transfer.package_at = Some(now);
                        step.tell(&mut transfer, body, now, self.test);
                    }
                    self.relay(step, &mut transfer, now);
                }
                answer
            }
            Machine::Receiver(mut machine) => {
                if let Body::Package { bundle, .. } = &sent.body
                    && (bundle.manifest != transfer.offer.manifest
                        || bundle.octets != bundle.manifest_octets.saturating_add(transfer.offer.octets))
                {
                    let detail =
                        "the package is not the one that was offered: its digest or its size is another one";
                    return Err(Refused::invalid("manifest_mismatch", detail));
                }
                let (decision, answer) = machine.receive(message);
                if let Some(decision) = decision {
                    machine.apply(&decision);
                    transfer.machine = Machine::Receiver(machine);
                }
                if answer == Answer::Taken {
                    self.note_as_receiver(&mut transfer, &sent.body, now);
                }
                answer
            }
        };
        if let Some(case) = &mut case {
            self.settle_case(case, &transfer, now);
        }
        Ok((transfer, case, answer, event))
    }

    fn note_as_sender(&self, transfer: &mut TransferRow, body: &Body, now: Timestamp) {
        match body {
            Body::Accept { standing_rule } => transfer.standing_rule.clone_from(standing_rule),
            Body::Refuse { suggestion, .. } => transfer.suggestion.clone_from(suggestion),
            Body::ImportResult {
                complete: false,
                files,
            } => {
                let first = files.first().map(|file| file.result);
                transfer.import_problem = first
                    .and_then(|result| serde_json::to_value(result).ok()?.as_str().map(str::to_owned))
                    .or_else(|| Some("incomplete".into()));
            }
            Body::TakenOver { case_number, .. } => {
                transfer.number = Some(case_number.clone());
                transfer.take_over_known_at = Some(now);
            }
            Body::RecallResult { statement, .. } => transfer.their_purge = Some(*statement),
            Body::Number { case_number } => transfer.instance_number = Some(case_number.clone()),
            Body::Query { question, words } => transfer.questions.push(super::row::Asked {
                question: *question,
                words: words.clone(),
                at: now,
                answer: None,
            }),
            _ => {}
        }
    }

    fn note_as_receiver(&self, transfer: &mut TransferRow, body: &Body, now: Timestamp) {
        match body {
            Body::Package {
                bundle,
                take_over_until,
            } => {
                transfer.bundle = Some(*bundle);
                transfer.package_at = Some(now);
                transfer.offer.take_over_until = *take_over_until;
                transfer.pulled = 0;
                transfer.import_problem = None;
            }
            Body::Recall { reason } => transfer.recalled = Some(*reason),
            Body::Answer { answer, words } => {
                if let Some(open) = transfer.questions.iter_mut().find(|asked| asked.answer.is_none()) {
                    open.answer = Some((*answer, words.clone(), now));
                }
            }
            Body::LateItem {
                received_at,
                before_take_over,
                bundle,
            } => transfer.late.push(Late {
                item: transfer.received + 1,
                received_at: *received_at,
                before_take_over: *before_take_over,
                bundle: *bundle,
                packed: false,
                pulled: 0,
                imported: false,
            }),
            Body::Purged { statement } => transfer.their_purge = Some(*statement),
            _ => {}
        }
    }

    /// A standing rule accepts and pulls what it names; taking over stays a person's.
    fn accept_by_rule(&self, step: &mut Step, transfer: &mut TransferRow, now: Timestamp) {
        let member = transfer
            .peer
            .rsplit_once('/')
            .map_or("", |(member, _)| member)
            .to_owned();
        let admitted = self.admitted.load();
        let rule = admitted
            .standing_rules
            .iter()
            .find(|rule| rule.from.to_string() == member && rule.services.contains(&transfer.offer.service));
        let Some(rule) = rule else { return };
        let Machine::Receiver(machine) = transfer.machine.clone() else {
            return;
        };
        let mut machine: Receiver = machine;
        if let Ok(decision) = machine.decide(receiver::Command::Accept, now) {
            machine.apply(&decision);
            transfer.machine = Machine::Receiver(machine);
            transfer.standing_rule = Some(rule.id.clone());
            let body = Body::Accept {
                standing_rule: Some(rule.id.clone()),
            };
            step.tell(transfer, body, now, self.test);
        }
    }
}

/// A message whole. One that is too long is read to its end and forgotten on the way: an answer before that would break the exchange
/// that brings it, and the sender would not learn why.
async fn whole(mut body: Incoming) -> Result<Bytes, Refused> {
    let (mut all, mut length) = (BytesMut::new(), 0_u64);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refused::malformed(format!("the message broke off: {error}")))?;
        let Ok(piece) = frame.into_data() else { continue };
        length += piece.len() as u64;
        match length <= MAX_OCTETS as u64 {
            true => all.extend_from_slice(&piece),
            false => all = BytesMut::new(),
        }
    }
    match length <= MAX_OCTETS as u64 {
        true => Ok(all.freeze()),
        false => {
            let detail = format!("a message has at most {MAX_OCTETS} octets");
            Err(Refused::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "message_too_large",
                detail,
            ))
        }
    }
}

impl Answered {
    /// A receipt as an answer: one that refuses is a problem document too.
    pub(super) fn settled(receipt: &str) -> Self {
        let mut document: serde_json::Value = serde_json::from_str(receipt).unwrap_or_default();
        let refused = document["answer"] == "refused";
        if refused {
            document["type"] = "urn:kontor:problem:illegal_for_state".into();
            document["title"] = "The message does not fit the state of what it belongs to".into();
            document["status"] = 409.into();
            document["code"] = "illegal_for_state".into();
            document["retry"] = false.into();
        }
        Self {
            status: match refused {
                true => StatusCode::CONFLICT,
                false => StatusCode::ACCEPTED,
            },
            body: match refused {
                true => document.to_string().into_bytes(),
                false => receipt.as_bytes().to_vec(),
            },
            problem: refused,
        }
    }

    #[cfg(test)]
    pub(super) fn body(&self) -> &[u8] {
        &self.body
    }

    fn respond(self) -> Response<OutBody> {
        let content_type = match self.problem {
            true => "application/problem+json",
            false => "application/json",
        };
        respond(self.status, content_type, self.body)
    }
}

fn wrong_method() -> Refused {
    Refused::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "messages are sent with PUT, parts are pulled with GET",
    )
}

fn refusal(refused: &Refused) -> Response<OutBody> {
    let page = serde_json::json!({
        "type": format!("urn:kontor:problem:{}", refused.code),
        "title": refused.status.canonical_reason(),
        "status": refused.status.as_u16(),
        "code": refused.code,
        "detail": refused.detail,
        "hint": refused.hint,
        "retry": refused.retry_after.is_some(),
    });
    let mut answer = respond(
        refused.status,
        "application/problem+json",
        page.to_string().into_bytes(),
    );
    if let Some(seconds) = refused.retry_after {
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    answer
}
