//! Faults as SOAP 1.1 documents: the form between security servers, for REST messages too (wire 2.9, 3.9).
//!
//! Owns the bytes written, which are those of Java, and the reading of what peers send. Refuses document type
//! declarations, what is larger than [`limits::FAULT`], and messages that are not faults.

use roxmltree::{Document, Node, ParsingOptions};

use super::{Fault, FaultCode, ForeignFault};
use crate::limits;

/// The content type of a response that is a fault (wire 3.9).
pub const CONTENT_TYPE: &str = "text/xml;charset=utf-8";

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// The fault document. Characters that XML cannot carry become U+FFFD.
#[must_use]
pub fn write(fault: &ForeignFault) -> Vec<u8> {
    let mut out = String::with_capacity(400 + fault.code.len() + fault.text.len());
    out.push_str(concat!(
        r#"<?xml version="1.0" encoding="UTF-8"?>"#,
        r#"<SOAP-ENV:Envelope xmlns:SOAP-ENV="http://schemas.xmlsoap.org/soap/envelope/">"#,
        "<SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>",
    ));
    push_escaped(&mut out, &fault.code);
    out.push_str("</faultcode><faultstring>");
    push_escaped(&mut out, &fault.text);
    out.push_str(r#"</faultstring><faultactor></faultactor><detail><faultDetail xmlns="">"#);
    push_escaped(&mut out, &fault.detail);
    out.push_str("</faultDetail></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>");
    out.into_bytes()
}

/// Reads a fault document.
///
/// # Errors
/// `invalid_message` for a SOAP message that is not a fault, `invalid_soap` for XML that is not a SOAP message,
/// `invalid_xml` for everything else, a document type declaration included.
pub fn read(document: &[u8]) -> Result<ForeignFault, Fault> {
    if document.len() > limits::FAULT {
        return Err(Fault::new(
            FaultCode::InvalidXml,
            format!("fault above {} bytes", limits::FAULT),
        ));
    }
    let text = std::str::from_utf8(document)
        .map_err(|_| Fault::new(FaultCode::InvalidXml, "fault that is not UTF-8"))?;
    let options = ParsingOptions {
        allow_dtd: false,
        nodes_limit: limits::FAULT_NODES,
        ..Default::default()
    };
    let document = Document::parse_with_options(text.trim_start_matches('\u{FEFF}'), options)
        .map_err(|error| Fault::new(FaultCode::InvalidXml, format!("fault that is not XML: {error}")))?;
    let envelope = document.root_element();
    if !envelope.has_tag_name((ENVELOPE, "Envelope")) {
        return Err(Fault::new(
            FaultCode::InvalidSoap,
            "the answer is not a SOAP envelope",
        ));
    }
    let fault = child(envelope, (ENVELOPE, "Body"))
        .and_then(|body| child(body, (ENVELOPE, "Fault")))
        .ok_or_else(|| {
            Fault::new(
                FaultCode::InvalidMessage,
                "a SOAP message where a fault was expected",
            )
        })?;
    let code = child(fault, "faultcode")
        .map(text_of)
        .filter(|code| !code.is_empty() && code.len() <= limits::FAULT_CODE)
        .ok_or_else(|| Fault::new(FaultCode::InvalidSoap, "a fault without a usable faultcode"))?;
    Ok(ForeignFault {
        code,
        text: child(fault, "faultstring").map(text_of).unwrap_or_default(),
        detail: child(fault, "detail")
            .and_then(|detail| child(detail, "faultDetail"))
            .map(text_of)
            .unwrap_or_default(),
    })
}

fn child<'a, 'i, 'n, 'm>(
    parent: Node<'a, 'i>,
    name: impl Into<roxmltree::ExpandedName<'n, 'm>> + Copy,
) -> Option<Node<'a, 'i>> {
    parent
        .children()
        .find(|node| node.is_element() && node.has_tag_name(name))
}

/// All text below an element, as it stands: Java hands line breaks inside codes on too.
fn text_of(node: Node<'_, '_>) -> String {
    node.descendants()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect()
}

/// Text as character data, quotes escaped as Java does.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            c if c < ' ' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
}
