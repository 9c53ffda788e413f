//! Messages and questions of other nodes: the services `transfer` and `participation`. What comes here is signed, verified and on disk
//! already; what is made of it is for the side that it is about.

use bytes::{Bytes, BytesMut};
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use kontor_participation::application::manifest::Digest;
use kontor_participation::round;
use kontor_participation::transfer::contract::contract;
use kontor_participation::transfer::delivery::{MAX_OCTETS, Party, Place};
use kontor_participation::transfer::offer::Id;
use kontor_participation::transfer::sender;
use kontor_protocol::id::ClientId;
use std::sync::Arc;

use super::row::{Machine, TransferRow};
use super::{Casework, Refused};
use crate::body::OutBody;
use crate::health::respond;
use crate::messagelog::{Receipt as Entry, hex};

mod numbered;

pub(super) use self::numbered::Arrival;

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
                let taken = self
                    .take_transfer(brought, &transfer, party, seq, &kind, body)
                    .await?;
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
