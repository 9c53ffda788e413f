//! The HTTP head of a message, checked and written (wire 3.5, 3.8).
//!
//! Header names are compared in any case; what is written is lower case, since Java looks some of them up so (trap 6).

use kontor_pki::crypto::DigestAlgorithm;

use super::{MULTIPART, MessageKind, XML, decoding};
use crate::fault::{Fault, FaultCode};
use crate::multipart::ContentType;
use crate::rest::from_wire;

/// The release whose wire behaviour this node has, sent as `x-proxy-version` (wire 3.5, trap 30).
pub const PROXY_VERSION: &str = "7.8.0";

/// The head of a message, fit to have its body read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportHead {
    kind: MessageKind,
    content_type: String,
    request_id: Option<String>,
    original_content_type: Option<String>,
    original_soap_action: Option<String>,
    proxy_version: Option<String>,
}

impl TransportHead {
    /// Checks the head of a request that a peer sent.
    ///
    /// # Errors
    /// `invalid_http_method`, `invalid_soap_action`, `invalid_content_type`, and `internal_error` for a missing hash
    /// algorithm or, with REST, a missing `x-road-request-id`.
    pub fn request<'a>(
        method: &str,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, Fault> {
        if method != "POST" {
            return Err(Fault::new(
                FaultCode::InvalidHttpMethod,
                format!("Must use POST request method instead of {method}"),
            ));
        }
        let fields = Fields::read(headers);
        let kind = if fields.message_type.as_deref() == Some("REST") {
            MessageKind::Rest
        } else {
            MessageKind::Soap
        };
        if kind == MessageKind::Soap {
            check_soap_action(fields.original_soap_action.as_deref().unwrap_or_default())?;
        }
        fields.check_hash_algorithm()?;
        let essence = fields.essence()?;
        if essence.essence() != MULTIPART {
            return Err(decoding(
                FaultCode::InvalidContentType,
                format!("Invalid content type: {}", essence.essence()),
            ));
        }
        if kind == MessageKind::Rest && fields.request_id.as_deref().is_none_or(str::is_empty) {
            return Err(Fault::new(
                FaultCode::InternalError,
                "HTTP header x-road-request-id is missing",
            ));
        }
        Ok(fields.into_head(kind))
    }

    /// Checks the head of the answer to a request of this kind. An answer of type `text/xml` is a fault: the reader
    /// gives it as one.
    ///
    /// # Errors
    /// `http_error` for a status other than 200 and 500, `invalid_content_type`, and `internal_error` for a missing
    /// hash algorithm.
    pub fn response<'a>(
        status: u16,
        kind: MessageKind,
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    ) -> Result<Self, Fault> {
        if !matches!(status, 200 | 500) {
            return Err(Fault::new(
                FaultCode::HttpError,
                format!("the provider's server answered with status {status}"),
            ));
        }
        let fields = Fields::read(headers);
        let essence = fields.essence()?;
        match essence.essence() {
            XML => {}
            MULTIPART => fields.check_hash_algorithm()?,
            other => {
                return Err(decoding(
                    FaultCode::InvalidContentType,
                    format!("Invalid content type: {other}"),
                ));
            }
        }
        Ok(fields.into_head(kind))
    }

    /// REST or SOAP.
    #[must_use]
    pub fn kind(&self) -> MessageKind {
        self.kind
    }

    /// The content type with its boundary, for [`super::MessageReader::new`].
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The id of the exchange; always there in REST requests, and echoed in the response.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }

    /// The content type that the information system used. Java requires it with SOAP by the book, not in fact.
    #[must_use]
    pub fn original_content_type(&self) -> Option<&str> {
        self.original_content_type.as_deref()
    }

    /// The SOAPAction that the information system used.
    #[must_use]
    pub fn original_soap_action(&self) -> Option<&str> {
        self.original_soap_action.as_deref()
    }

    /// The version of the sender.
    #[must_use]
    pub fn proxy_version(&self) -> Option<&str> {
        self.proxy_version.as_deref()
    }
}

/// The headers of a request, in Java's order; the body is chunked.
#[must_use]
pub fn request_headers(
    kind: MessageKind,
    boundary: &str,
    request_id: &str,
    original_content_type: &str,
) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(6);
    if kind == MessageKind::Rest {
        headers.push(("x-road-message-type", "REST".to_owned()));
    }
    headers.extend([
        ("x-hash-algorithm", DigestAlgorithm::Sha512.name().to_owned()),
        ("x-original-content-type", original_content_type.to_owned()),
        ("x-road-request-id", request_id.to_owned()),
        ("x-proxy-version", PROXY_VERSION.to_owned()),
        ("content-type", multipart(boundary)),
    ]);
    headers
}

/// The headers of a REST response.
#[must_use]
pub fn response_headers(boundary: &str) -> Vec<(&'static str, String)> {
    vec![
        ("content-type", multipart(boundary)),
        ("x-hash-algorithm", DigestAlgorithm::Sha512.name().to_owned()),
    ]
}

fn multipart(boundary: &str) -> String {
    format!("{MULTIPART}; charset=UTF-8; boundary={boundary}")
}

/// The headers that mean something here; of repeated ones the last.
#[derive(Default)]
struct Fields {
    message_type: Option<String>,
    hash_algorithm: Option<String>,
    content_type: Option<String>,
    request_id: Option<String>,
    original_content_type: Option<String>,
    original_soap_action: Option<String>,
    proxy_version: Option<String>,
}

impl Fields {
    fn read<'a>(headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Self {
        let mut fields = Self::default();
        for (name, value) in headers {
            let field = match name.to_ascii_lowercase().as_slice() {
                b"x-road-message-type" => &mut fields.message_type,
                b"x-hash-algorithm" => &mut fields.hash_algorithm,
                b"content-type" => &mut fields.content_type,
                b"x-road-request-id" => &mut fields.request_id,
                b"x-original-content-type" => &mut fields.original_content_type,
                b"x-original-soapaction" => &mut fields.original_soap_action,
                b"x-proxy-version" => &mut fields.proxy_version,
                _ => continue,
            };
            *field = Some(from_wire(value).into_owned());
        }
        fields
    }

    fn essence(&self) -> Result<ContentType, Fault> {
        let value = self
            .content_type
            .as_deref()
            .ok_or_else(|| Fault::new(FaultCode::InvalidContentType, "the content type is missing"))?;
        ContentType::parse(value)
            .ok_or_else(|| decoding(FaultCode::InvalidContentType, "the content type is malformed"))
    }

    /// Parts are digested with SHA-512, the only algorithm that any X-Road release sends. With another one Java fails
    /// to resolve the references of the signature; we give that code without reading on.
    fn check_hash_algorithm(&self) -> Result<(), Fault> {
        let name = self.hash_algorithm.as_deref().ok_or_else(|| {
            Fault::new(
                FaultCode::InternalError,
                "HTTP header x-hash-algorithm is missing",
            )
        })?;
        match DigestAlgorithm::from_name(name) {
            Some(DigestAlgorithm::Sha512) => Ok(()),
            Some(other) => Err(Fault::new(
                FaultCode::InvalidReference,
                format!(
                    "parts must be digested with SHA-512, x-hash-algorithm says {}",
                    other.name()
                ),
            )
            .within(FaultCode::MalformedSignature)
            .within(FaultCode::SignatureVerification)),
            None => Err(decoding(
                FaultCode::InternalError,
                "HTTP header x-hash-algorithm names no known algorithm",
            )),
        }
    }

    fn into_head(self, kind: MessageKind) -> TransportHead {
        TransportHead {
            kind,
            content_type: self
                .content_type
                .expect("both checks of a head look at the content type"),
            request_id: self.request_id,
            original_content_type: self.original_content_type,
            original_soap_action: self.original_soap_action,
            proxy_version: self.proxy_version,
        }
    }
}

/// Absent, empty, `""` or a quoted URI (wire 2.9).
fn check_soap_action(action: &str) -> Result<(), Fault> {
    let uri = match action {
        "" => return Ok(()),
        action => action.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')),
    };
    let fine = uri.is_some_and(|uri| {
        uri.bytes()
            .all(|b| b.is_ascii_graphic() && !b"\"<>\\^`{|}".contains(&b))
    });
    if fine {
        Ok(())
    } else {
        Err(Fault::new(
            FaultCode::InvalidSoapAction,
            "Malformed SOAPAction header",
        ))
    }
}
