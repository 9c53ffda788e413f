//! The reader: parts in their order, small ones whole, bodies in pieces (wire 3.6).

use bytes::Bytes;

use super::{
    CHAIN, CHAIN_RESULT, Direction, Event, MULTIPART, MessageKind, OCSP, REST_BODY, REST_REQUEST,
    REST_RESPONSE, SIGNATURE, XML, XOP, decoding,
};
use crate::fault::{Fault, FaultCode, soap};
use crate::limits;
use crate::multipart::{self, ContentType, MultipartError, PartHeaders};

/// Takes one message apart as it arrives: [`Self::feed`] octets, then take events with [`Self::next`] until it has
/// none, and at the end of the body call [`Self::finish`].
///
/// Events come in order and faults stand where the message goes wrong: what was handed out before a fault was well
/// placed, so a caller that judges each event as it comes gives the same fault as one that was fed octet by octet.
#[derive(Debug)]
pub struct MessageReader {
    direction: Direction,
    kind: MessageKind,
    outer: Outer,
    position: Position,
    open: Open,
    message_headers: Option<PartHeaders>,
    ocsp_parts: usize,
    fed: bool,
}

/// The body as a whole.
#[derive(Debug)]
enum Outer {
    Multipart(Box<multipart::Reader>),
    /// A response that is a fault and nothing else (wire 3.9).
    Fault(Vec<u8>),
}

/// The kind of part that may come next, or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Position {
    Ocsp,
    Message,
    Body,
    ChainResult,
    Chain,
    Signature,
    Done,
}

/// The part being read.
#[derive(Debug)]
enum Open {
    Nothing,
    Whole(Whole, Vec<u8>),
    Body,
    Attachments(Box<Attachments>),
}

/// Parts handed out whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whole {
    Ocsp,
    Message,
    /// `text/xml` where the message of a response stands: a fault, or the SOAP message.
    FaultOrMessage,
    ChainResult,
    Chain,
    Signature,
    /// `text/xml` where the signature of a response stands.
    Fault,
}

/// The nested multipart of SOAP attachments.
#[derive(Debug)]
struct Attachments {
    parts: multipart::Reader,
    count: usize,
}

impl MessageReader {
    /// A reader for a body of this content type.
    ///
    /// # Errors
    /// `invalid_content_type` if it is not `multipart/mixed` with a usable boundary; in responses `text/xml` is fine.
    pub fn new(direction: Direction, content_type: &str, kind: MessageKind) -> Result<Self, Fault> {
        let content_type = ContentType::parse(content_type)
            .ok_or_else(|| decoding(FaultCode::InvalidContentType, "the content type is malformed"))?;
        let outer = match (content_type.essence(), direction) {
            (MULTIPART, _) => Outer::Multipart(Box::new(parts_of(&content_type)?)),
            (XML, Direction::Response) => Outer::Fault(Vec::new()),
            (other, _) => {
                return Err(decoding(
                    FaultCode::InvalidContentType,
                    format!("Invalid content type: {other}"),
                ));
            }
        };
        let position = match direction {
            Direction::Request => Position::Ocsp,
            Direction::Response => Position::Message,
        };
        Ok(Self {
            direction,
            kind,
            outer,
            position,
            open: Open::Nothing,
            message_headers: None,
            ocsp_parts: 0,
            fed: false,
        })
    }

    /// Takes the next octets of the body. Take all events before feeding more.
    pub fn feed(&mut self, octets: Bytes) {
        self.fed |= !octets.is_empty();
        match &mut self.outer {
            Outer::Multipart(parts) => parts.feed(octets),
            // One octet above the bound is kept, so that reading the fault refuses it.
            Outer::Fault(document) => {
                let room = (limits::FAULT + 1).saturating_sub(document.len());
                document.extend_from_slice(&octets[..octets.len().min(room)]);
            }
        }
    }

    /// The next event, or `None` when more octets are needed.
    ///
    /// # Errors
    /// The fault for a message that does not follow the grammar. The reader is of no use afterwards.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator cannot say that it needs more input"
    )]
    pub fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            if let Open::Attachments(attachments) = &mut self.open
                && let Some(event) = attachments.next()?
            {
                return Ok(Some(event));
            }
            let Outer::Multipart(parts) = &mut self.outer else {
                return Ok(None);
            };
            let Some(event) = parts.next_event().map_err(broken)? else {
                return Ok(None);
            };
            let event = match event {
                multipart::Event::Headers(headers) => self.begin(headers)?,
                multipart::Event::Data(data) => self.data(data)?,
                multipart::Event::PartEnd => self.end()?,
                multipart::Event::End => {
                    self.check_complete()?;
                    None
                }
            };
            if event.is_some() {
                return Ok(event);
            }
        }
    }

    /// The body has ended; gives the fault of a response that is nothing else.
    ///
    /// # Errors
    /// `io_error` if the closing boundary has not come: a message cut short looks the same. `missing_rest` or
    /// `missing_soap` if there was no body at all; `invalid_message` for a `text/xml` answer that is not a fault.
    pub fn finish(&mut self) -> Result<Option<Event>, Fault> {
        match &self.outer {
            Outer::Fault(document) => soap::read(document)
                .map(|fault| Some(Event::Fault(fault)))
                .map_err(|fault| fault.within(FaultCode::ServiceFailed)),
            Outer::Multipart(_) if !self.fed => Err(self.missing_message()),
            Outer::Multipart(parts) => parts.finish().map(|()| None).map_err(broken),
        }
    }

    /// The headers of the message part, once it has begun; those of SOAP come from the information system.
    #[must_use]
    pub fn message_headers(&self) -> Option<&PartHeaders> {
        self.message_headers.as_ref()
    }

    /// Decides what a part is by its type and the position (wire 3.6): a type that does not fit the position may fit
    /// a later one.
    fn begin(&mut self, headers: PartHeaders) -> Result<Option<Event>, Fault> {
        let content_type = headers.content_type();
        let essence = content_type.essence();
        if self.position == Position::Done {
            return Err(decoding(
                FaultCode::InvalidMessage,
                format!("Extra content ({essence}) after signature"),
            ));
        }
        if self.position == Position::Ocsp && essence == OCSP {
            self.ocsp_parts += 1;
            if self.ocsp_parts > limits::OCSP_PARTS {
                return Err(decoding(
                    FaultCode::InvalidMessage,
                    format!("more than {} OCSP responses", limits::OCSP_PARTS),
                ));
            }
            return self.collect(Whole::Ocsp, Position::Ocsp);
        }
        if self.position <= Position::Message {
            let whole = self.message_part(essence)?;
            self.message_headers = Some(headers);
            return self.collect(whole, Position::Body);
        }
        let is_body = match self.kind {
            MessageKind::Rest => essence == REST_BODY,
            MessageKind::Soap => essence == MULTIPART,
        };
        if self.position == Position::Body && is_body {
            self.position = Position::ChainResult;
            if self.kind == MessageKind::Soap {
                self.open = Open::Attachments(Box::new(Attachments {
                    parts: parts_of(&content_type)?,
                    count: 0,
                }));
                return Ok(None);
            }
            self.open = Open::Body;
            return Ok(Some(Event::BodyStart { index: 1, headers }));
        }
        if self.position <= Position::ChainResult && essence == CHAIN_RESULT {
            return self.collect(Whole::ChainResult, Position::Chain);
        }
        if self.position <= Position::Chain && essence == CHAIN {
            // The chain without its result, or later the result without its chain: neither can be resolved.
            return if self.position == Position::Chain {
                self.collect(Whole::Chain, Position::Signature)
            } else {
                Err(half_a_chain())
            };
        }
        match essence {
            SIGNATURE if self.position == Position::Chain => Err(half_a_chain()),
            SIGNATURE => self.collect(Whole::Signature, Position::Done),
            XML if self.direction == Direction::Response => self.collect(Whole::Fault, Position::Done),
            XML => Err(missing_signature()),
            other => Err(decoding(
                FaultCode::InvalidContentType,
                format!("Received invalid content type instead of signature: {other}"),
            )),
        }
    }

    /// What a part at the position of the message is.
    fn message_part(&self, essence: &str) -> Result<Whole, Fault> {
        let rest = match self.direction {
            Direction::Request => REST_REQUEST,
            Direction::Response => REST_RESPONSE,
        };
        match (self.kind, essence) {
            (MessageKind::Rest, essence) if essence == rest => Ok(Whole::Message),
            (_, XML) if self.direction == Direction::Response => Ok(Whole::FaultOrMessage),
            (MessageKind::Soap, XML | XOP) => Ok(Whole::Message),
            (MessageKind::Rest, XML | XOP) => Err(self.missing_message()),
            (MessageKind::Soap, essence) if essence == rest => Err(self.missing_message()),
            (_, other) => Err(decoding(
                FaultCode::InvalidContentType,
                format!("Invalid content type for message: {other}"),
            )),
        }
    }

    fn collect(&mut self, whole: Whole, next: Position) -> Result<Option<Event>, Fault> {
        self.open = Open::Whole(whole, Vec::new());
        self.position = next;
        Ok(None)
    }

    fn data(&mut self, data: Bytes) -> Result<Option<Event>, Fault> {
        match &mut self.open {
            Open::Body => return Ok(Some(Event::Body(data))),
            Open::Attachments(attachments) => attachments.parts.feed(data),
            Open::Whole(whole, bytes) => {
                let bound = whole.bound(self.kind);
                if bytes.len() + data.len() > bound {
                    return Err(Fault::new(
                        FaultCode::MimeParsingFailed,
                        format!("{} above {bound} bytes", whole.name()),
                    ));
                }
                bytes.extend_from_slice(&data);
            }
            Open::Nothing => {}
        }
        Ok(None)
    }

    fn end(&mut self) -> Result<Option<Event>, Fault> {
        match std::mem::replace(&mut self.open, Open::Nothing) {
            Open::Nothing => Ok(None),
            Open::Body => Ok(Some(Event::BodyEnd)),
            Open::Attachments(attachments) => match attachments.parts.finish() {
                Ok(()) => Ok(None),
                Err(error) => Err(Fault::new(
                    FaultCode::MimeParsingFailed,
                    format!("attachments: {error}"),
                )),
            },
            Open::Whole(whole, bytes) => self.whole(whole, bytes).map(Some),
        }
    }

    fn whole(&mut self, whole: Whole, bytes: Vec<u8>) -> Result<Event, Fault> {
        match whole {
            Whole::Ocsp => Ok(Event::Ocsp(bytes.into())),
            Whole::Message => Ok(Event::Message(bytes.into())),
            Whole::ChainResult => Ok(Event::ChainResult(bytes.into())),
            Whole::Chain => Ok(Event::Chain(bytes.into())),
            Whole::Signature => Ok(Event::Signature(bytes.into())),
            Whole::Fault => soap::read(&bytes)
                .map(Event::Fault)
                .map_err(|fault| fault.within(FaultCode::ServiceFailed)),
            Whole::FaultOrMessage => match (soap::read(&bytes), self.kind) {
                (Ok(fault), _) => {
                    self.position = Position::Done;
                    Ok(Event::Fault(fault))
                }
                (Err(_), MessageKind::Soap) => Ok(Event::Message(bytes.into())),
                (Err(_), MessageKind::Rest) => Err(self.missing_message()),
            },
        }
    }

    /// The closing boundary has come: was everything there?
    fn check_complete(&self) -> Result<(), Fault> {
        match self.position {
            Position::Done => Ok(()),
            Position::Ocsp | Position::Message => Err(self.missing_message()),
            Position::Body | Position::ChainResult | Position::Chain | Position::Signature => {
                Err(missing_signature())
            }
        }
    }

    fn missing_message(&self) -> Fault {
        Fault::new(
            self.kind.missing(),
            match (self.direction, self.kind) {
                (Direction::Request, MessageKind::Rest) => "Request does not have REST message",
                (Direction::Request, MessageKind::Soap) => "Request does not have SOAP message",
                (Direction::Response, MessageKind::Rest) => "Response does not have REST message",
                (Direction::Response, MessageKind::Soap) => "Response does not have SOAP message",
            },
        )
    }
}

impl Attachments {
    fn next(&mut self) -> Result<Option<Event>, Fault> {
        loop {
            let event = match self.parts.next_event().map_err(broken)? {
                None => return Ok(None),
                Some(multipart::Event::End) => continue,
                Some(multipart::Event::Data(data)) => Event::Body(data),
                Some(multipart::Event::PartEnd) => Event::BodyEnd,
                Some(multipart::Event::Headers(headers)) => {
                    self.count += 1;
                    if self.count > limits::SOAP_ATTACHMENTS {
                        return Err(decoding(
                            FaultCode::InvalidMessage,
                            format!("more than {} attachments", limits::SOAP_ATTACHMENTS),
                        ));
                    }
                    Event::BodyStart {
                        index: self.count,
                        headers,
                    }
                }
            };
            return Ok(Some(event));
        }
    }
}

impl Whole {
    const fn bound(self, kind: MessageKind) -> usize {
        match (self, kind) {
            (Self::Ocsp, _) => limits::OCSP_RESPONSE,
            (Self::Message | Self::FaultOrMessage, MessageKind::Soap) => limits::SOAP_PART,
            (Self::Message, MessageKind::Rest) => limits::REST_PART,
            (Self::FaultOrMessage, MessageKind::Rest) | (Self::Fault, _) => limits::FAULT,
            (Self::ChainResult, _) => limits::HASH_CHAIN_RESULT,
            (Self::Chain, _) => limits::HASH_CHAIN,
            (Self::Signature, _) => limits::SIGNATURE,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ocsp => "OCSP response",
            Self::Message | Self::FaultOrMessage => "message part",
            Self::ChainResult => "hash chain result",
            Self::Chain => "hash chain",
            Self::Signature => "signature",
            Self::Fault => "fault",
        }
    }
}

fn parts_of(content_type: &ContentType) -> Result<multipart::Reader, Fault> {
    multipart::Reader::new(content_type.parameter("boundary").unwrap_or_default()).map_err(broken)
}

/// Broken MIME stands alone in Java's codes, everything else of the decoder is a failed service (wire Annex C).
fn broken(error: MultipartError) -> Fault {
    let fault = Fault::from(error);
    if fault.cause() == FaultCode::MimeParsingFailed {
        fault
    } else {
        fault.within(FaultCode::ServiceFailed)
    }
}

fn missing_signature() -> Fault {
    Fault::new(
        FaultCode::MissingSignature,
        "the message does not have a signature",
    )
}

fn half_a_chain() -> Fault {
    Fault::new(
        FaultCode::InvalidReference,
        "a hash chain and its result come together or not at all",
    )
    .within(FaultCode::MalformedSignature)
    .within(FaultCode::SignatureVerification)
}
