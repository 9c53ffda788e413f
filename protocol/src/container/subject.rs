//! Whose message a container holds: read from the message itself, so that the signer can be expected (wire 6.6, step 2).
//!
//! Owns the few fields of a SOAP header that evidence needs; REST is read by its codec. The rules for SOAP traffic are not
//! here: what was accepted once is only identified.

use bytes::Bytes;
use roxmltree::Node;

use crate::id::{ClientId, MemberId, ServiceId};
use crate::limits;
use crate::rest::{RestRequest, RestResponse};
use crate::xml::{self, Bounds};

const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const XROAD: &str = "http://x-road.eu/xsd/xroad.xsd";
const IDENTIFIERS: &str = "http://x-road.eu/xsd/identifiers";

/// How a message is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageForm {
    /// HTTP-like text.
    Rest,
    /// An XML envelope.
    Soap,
}

/// Which half of an exchange a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MessageRole {
    /// Signed by the member of the client.
    Request,
    /// Signed by the member of the service.
    Response,
}

/// What a message says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// SOAP or REST.
    pub form: MessageForm,
    /// Request or response.
    pub role: MessageRole,
    /// Who asked.
    pub client: ClientId,
    /// What was asked.
    pub service: ServiceId,
    /// `id` or `x-road-id`.
    pub query_id: Option<String>,
    /// `x-road-request-id`, of REST messages.
    pub request_id: Option<String>,
}

/// A message that does not say whose it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message does not say who sent it to whom: {0}")]
pub struct SubjectError(pub String);

impl Subject {
    /// Reads a message.
    ///
    /// # Errors
    /// Neither a SOAP nor a REST message of X-Road.
    pub fn of(message: &[u8]) -> Result<Self, SubjectError> {
        let text = message
            .strip_prefix(b"\xEF\xBB\xBF")
            .unwrap_or(message)
            .trim_ascii_start();
        if text.first() == Some(&b'<') {
            soap(message)
        } else {
            rest(message)
        }
    }

    /// The member that must have signed.
    #[must_use]
    pub fn signer(&self) -> &MemberId {
        match self.role {
            MessageRole::Request => self.client.member(),
            MessageRole::Response => self.service.provider().member(),
        }
    }
}

fn rest(message: &[u8]) -> Result<Subject, SubjectError> {
    let bytes = Bytes::copy_from_slice(message);
    if message.first().is_some_and(u8::is_ascii_digit) {
        let read = RestResponse::parse(bytes).map_err(|e| SubjectError(e.to_string()))?;
        let id = |name: &'static str| {
            read.header(name)
                .ok_or_else(|| SubjectError(format!("the response has no {name}")))
        };
        let broken = |e: crate::id::InvalidId| SubjectError(e.to_string());
        return Ok(Subject {
            form: MessageForm::Rest,
            role: MessageRole::Response,
            client: ClientId::parse_path(id("x-road-client")?).map_err(broken)?,
            service: ServiceId::parse_path(id("x-road-service")?).map_err(broken)?,
            query_id: Some(read.query_id().to_owned()),
            request_id: read.request_id().map(str::to_owned),
        });
    }
    let read = RestRequest::parse(bytes).map_err(|e| SubjectError(e.to_string()))?;
    Ok(Subject {
        form: MessageForm::Rest,
        role: MessageRole::Request,
        client: read.client().clone(),
        service: read.service().clone(),
        query_id: Some(read.query_id().to_owned()),
        request_id: Some(read.request_id().to_owned()),
    })
}

fn soap(message: &[u8]) -> Result<Subject, SubjectError> {
    let bounds = Bounds {
        bytes: limits::CONTAINER_ENTRY,
        nodes: 1_000_000,
        depth: 1000,
        attributes: 256,
        namespaces: 10_000,
    };
    let text = xml::scan(message, &bounds).map_err(|e| SubjectError(e.to_string()))?;
    let document = text.tree().map_err(|e| SubjectError(e.to_string()))?;
    let root = document.root_element();
    if !root.has_tag_name((SOAP, "Envelope")) {
        return Err(SubjectError("it is no SOAP envelope".to_owned()));
    }
    let header = only(root, SOAP, "Header")?;
    let body = only(root, SOAP, "Body")?;
    let content = body
        .first_element_child()
        .ok_or_else(|| SubjectError("its body is empty".to_owned()))?;
    let role = if content.tag_name().name().ends_with("Response") {
        MessageRole::Response
    } else {
        MessageRole::Request
    };
    let client = only(header, XROAD, "client")?;
    let service = only(header, XROAD, "service")?;
    let id = only(header, XROAD, "id")
        .ok()
        .and_then(|n| n.text())
        .map(str::to_owned);
    let code =
        field(service, "serviceCode").ok_or_else(|| SubjectError("the service has no code".to_owned()))?;
    let provider = client_of(service)?;
    let service = ServiceId::new(provider, code, field(service, "serviceVersion"))
        .map_err(|e| SubjectError(e.to_string()))?;
    Ok(Subject {
        form: MessageForm::Soap,
        role,
        client: client_of(client)?,
        service,
        query_id: id,
        request_id: None,
    })
}

/// The one child of this name: a second one could name somebody else.
fn only<'a, 'i>(
    parent: Node<'a, 'i>,
    namespace: &str,
    name: &'static str,
) -> Result<Node<'a, 'i>, SubjectError> {
    let mut found = parent.children().filter(|n| n.has_tag_name((namespace, name)));
    match (found.next(), found.next()) {
        (Some(node), None) => Ok(node),
        (None, _) => Err(SubjectError(format!("it has no {name}"))),
        (Some(_), Some(_)) => Err(SubjectError(format!("it has two {name}"))),
    }
}

fn field<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    let child = node.children().find(|n| n.has_tag_name((IDENTIFIERS, name)))?;
    Some(child.text().unwrap_or_default().trim())
}

/// An identifier of whatever fields are there, as the streaming parser of Java does it (wire 1.2).
fn client_of(node: Node<'_, '_>) -> Result<ClientId, SubjectError> {
    let must = |name| field(node, name).ok_or_else(|| SubjectError(format!("an identifier has no {name}")));
    let broken = |e: crate::id::InvalidId| SubjectError(e.to_string());
    let member =
        MemberId::new(must("xRoadInstance")?, must("memberClass")?, must("memberCode")?).map_err(broken)?;
    match field(node, "subsystemCode") {
        None => Ok(member.into()),
        Some(code) => ClientId::subsystem_of(member, code).map_err(broken),
    }
}
