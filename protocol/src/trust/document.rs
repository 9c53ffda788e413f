//! A strict walk over one XML document of the global configuration, and the small writer that makes them.
//!
//! Owns what the schemas of wire 7 have in common: a qualified root, unqualified children in a fixed order, base64,
//! identifiers. Refuses document type declarations, foreign or repeated elements, stray text and attributes. It knows
//! no meaning; that is for the readers above it.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::{Document, Node, NodeType};

use crate::id::{ClientId, MemberId};
use crate::limits;
use crate::xml::{self, Bounds, Text, XmlError};

/// Namespace of anchor, shared and private parameters.
pub(crate) const XROAD: &str = "http://x-road.eu/xsd/xroad.xsd";
/// Namespace of identifiers (wire 1.2).
pub(crate) const IDENTIFIERS: &str = "http://x-road.eu/xsd/identifiers";
/// Attributes of this namespace mean nothing to a reader that does not validate.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// Why a document of the global configuration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// A second element or server, member or subsystem claims an id that is taken.
    #[error("the id `{0}` is given twice; the document must be made anew by its publisher")]
    DuplicateId(String),
    /// A reference to an id that no member (or subsystem, where one is allowed) has.
    #[error("nothing in the document has the id `{0}` that an element refers to")]
    DanglingReference(String),
    /// A document type declaration: entities have no place in configuration.
    #[error("the document has a document type declaration, which is never accepted")]
    Doctype,
    /// An element that the schema wants is not there, or stands elsewhere.
    #[error("element `{parent}` lacks `{element}`, or has it in another place than the schema")]
    Missing {
        /// The enclosing element.
        parent: String,
        /// The element that was looked for.
        element: &'static str,
    },
    /// Not well-formed XML, or not UTF-8.
    #[error("the document is not well-formed XML: {0}")]
    NotXml(String),
    /// Another document than the one that was expected.
    #[error("the root element is not `{0}` in the namespace of X-Road")]
    Root(&'static str),
    /// More bytes than a document of this kind may have.
    #[error("the document has more than {0} bytes")]
    TooLarge(usize),
    /// Something the schema has no place for.
    #[error("element `{parent}` holds {what}, for which the schema has no place")]
    Unexpected {
        /// The enclosing element.
        parent: String,
        /// What stands there.
        what: String,
    },
    /// An element with a value that its type does not allow.
    #[error("element `{element}` has a wrong value: {why}")]
    Value {
        /// The element.
        element: String,
        /// What is wrong with it.
        why: String,
    },
    /// A configuration version this node does not read.
    #[error("configuration version {0} is not read by this node (2 to 6 are)")]
    Version(u32),
}

impl DocumentError {
    /// A stable word for logs and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Doctype => "doctype",
            Self::TooLarge(_) => "too_large",
            Self::NotXml(_) => "malformed",
            Self::Version(_) => "unknown_version",
            Self::DuplicateId(_)
            | Self::DanglingReference(_)
            | Self::Missing { .. }
            | Self::Root(_)
            | Self::Unexpected { .. }
            | Self::Value { .. } => "schema",
        }
    }
}

/// What a schema would call a wrong value.
pub(crate) fn wrong(node: Node<'_, '_>, why: impl Into<String>) -> DocumentError {
    DocumentError::Value {
        element: name_of(node),
        why: why.into(),
    }
}

fn name_of(node: Node<'_, '_>) -> String {
    shortened(node.tag_name().name())
}

fn shortened(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(60).collect()
}

/// Scans the bytes of a document of at most `limit` bytes; [`tree`] reads it.
pub(crate) fn scan(bytes: &[u8], limit: usize) -> Result<Text<'_>, DocumentError> {
    let bounds = Bounds {
        bytes: limit,
        nodes: limits::CONFIGURATION_NODES,
        depth: limits::XML_DEPTH,
        attributes: 32,
        namespaces: 1000,
    };
    xml::scan(bytes, &bounds).map_err(refused)
}

fn refused(error: XmlError) -> DocumentError {
    match error {
        XmlError::Doctype => DocumentError::Doctype,
        XmlError::Bound("octets", limit) => DocumentError::TooLarge(limit),
        other @ (XmlError::Bound(..) | XmlError::Encoding(_) | XmlError::Malformed(_)) => {
            DocumentError::NotXml(other.to_string())
        }
    }
}

/// The tree of a document whose root is `root` in the namespace of X-Road.
pub(crate) fn tree<'a>(text: &'a Text<'_>, root: &'static str) -> Result<Document<'a>, DocumentError> {
    let document = text.tree().map_err(refused)?;
    let found = document.root_element().tag_name();
    if found.name() != root || found.namespace() != Some(XROAD) {
        return Err(DocumentError::Root(root));
    }
    Ok(document)
}

/// The element children of one element, taken in the order of the schema.
pub(crate) struct Children<'a, 'i> {
    parent: Node<'a, 'i>,
    next: Option<Node<'a, 'i>>,
}

impl<'a, 'i> Children<'a, 'i> {
    /// Refuses text between the elements and attributes that are not in `attributes`.
    pub(crate) fn of(parent: Node<'a, 'i>, attributes: &[&str]) -> Result<Self, DocumentError> {
        attributes_are(parent, attributes)?;
        for child in parent.children() {
            match child.node_type() {
                NodeType::Element | NodeType::Comment | NodeType::PI => {}
                NodeType::Root | NodeType::Text => {
                    let text = child.text().unwrap_or_default();
                    if !text.trim_ascii().is_empty() {
                        let what = format!("the text `{}`", shortened(text.trim_ascii()));
                        return Err(DocumentError::Unexpected {
                            parent: name_of(parent),
                            what,
                        });
                    }
                }
            }
        }
        Ok(Self {
            parent,
            next: parent.first_element_child(),
        })
    }

    fn take(&mut self, name: &str, namespace: Option<&str>) -> Option<Node<'a, 'i>> {
        let node = self.next?;
        if node.tag_name().name() != name || node.tag_name().namespace() != namespace {
            return None;
        }
        self.next = node.next_sibling_element();
        Some(node)
    }

    pub(crate) fn optional(&mut self, name: &'static str) -> Option<Node<'a, 'i>> {
        self.take(name, None)
    }

    pub(crate) fn one(&mut self, name: &'static str) -> Result<Node<'a, 'i>, DocumentError> {
        self.take(name, None).ok_or_else(|| self.missing(name))
    }

    /// All elements of this name that follow each other.
    pub(crate) fn many(&mut self, name: &'static str) -> Vec<Node<'a, 'i>> {
        std::iter::from_fn(|| self.take(name, None)).collect()
    }

    /// At least one element of this name.
    pub(crate) fn some(&mut self, name: &'static str) -> Result<Vec<Node<'a, 'i>>, DocumentError> {
        let found = self.many(name);
        if found.is_empty() {
            Err(self.missing(name))
        } else {
            Ok(found)
        }
    }

    /// Refuses whatever is left.
    pub(crate) fn end(self) -> Result<(), DocumentError> {
        match self.next {
            None => Ok(()),
            Some(node) => Err(DocumentError::Unexpected {
                parent: name_of(self.parent),
                what: format!("element `{}` in that place", name_of(node)),
            }),
        }
    }

    fn missing(&self, element: &'static str) -> DocumentError {
        DocumentError::Missing {
            parent: name_of(self.parent),
            element,
        }
    }
}

fn attributes_are(node: Node<'_, '_>, allowed: &[&str]) -> Result<(), DocumentError> {
    for attribute in node.attributes() {
        let known = match attribute.namespace() {
            None => allowed.contains(&attribute.name()),
            Some(namespace) => namespace == XSI || namespace == "http://www.w3.org/XML/1998/namespace",
        };
        if !known {
            let what = format!("attribute `{}`", shortened(attribute.name()));
            return Err(DocumentError::Unexpected {
                parent: name_of(node),
                what,
            });
        }
    }
    Ok(())
}

/// The text of an element that holds nothing else, as it stands.
pub(crate) fn text(node: Node<'_, '_>) -> Result<String, DocumentError> {
    attributes_are(node, &[])?;
    raw_text(node)
}

fn raw_text(node: Node<'_, '_>) -> Result<String, DocumentError> {
    let mut out = String::new();
    for child in node.children() {
        match child.node_type() {
            NodeType::Text => out.push_str(child.text().unwrap_or_default()),
            NodeType::Comment | NodeType::PI => {}
            NodeType::Element | NodeType::Root => {
                let what = format!("element `{}`", name_of(child));
                return Err(DocumentError::Unexpected {
                    parent: name_of(node),
                    what,
                });
            }
        }
    }
    Ok(out)
}

/// The text of an element that must not be empty.
pub(crate) fn filled(node: Node<'_, '_>) -> Result<String, DocumentError> {
    let text = text(node)?;
    if text.is_empty() {
        Err(wrong(node, "it is empty"))
    } else {
        Ok(text)
    }
}

/// `xs:boolean`.
pub(crate) fn boolean(node: Node<'_, '_>) -> Result<bool, DocumentError> {
    match text(node)?.trim_ascii() {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(wrong(node, "it is neither true nor false")),
    }
}

/// `xs:integer`, as far as it makes sense here: seconds, not negative.
pub(crate) fn seconds(node: Node<'_, '_>) -> Result<u32, DocumentError> {
    let text = text(node)?;
    let digits = text.trim_ascii();
    digits
        .strip_prefix('+')
        .unwrap_or(digits)
        .parse()
        .map_err(|_| wrong(node, "it is no number of seconds"))
}

/// `xs:base64Binary`: white space anywhere, otherwise strict.
pub(crate) fn binary(node: Node<'_, '_>) -> Result<Vec<u8>, DocumentError> {
    let mut text = text(node)?;
    text.retain(|c| !c.is_ascii_whitespace());
    STANDARD
        .decode(text)
        .map_err(|e| wrong(node, format!("it is not base64: {e}")))
}

/// The DER of a certificate: the element's bytes, or the PEM text that some publishers encode once more.
pub(crate) fn certificate(node: Node<'_, '_>) -> Result<Vec<u8>, DocumentError> {
    let bytes = binary(node)?;
    let Some(inner) = bytes.strip_prefix(b"-----BEGIN CERTIFICATE-----") else {
        return Ok(bytes);
    };
    let body: Vec<u8> = inner
        .iter()
        .copied()
        .take_while(|b| *b != b'-')
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(body)
        .map_err(|e| wrong(node, format!("the PEM text in it is broken: {e}")))
}

/// A ClientId in its XML form (wire 1.2): built from the fields that are there, as Java does; a subsystem must have its
/// code, but files exist that call one a member.
///
/// `None` if the form is right but a field cannot stand in an identifier (wire 1.5).
pub(crate) fn client_id(node: Node<'_, '_>) -> Result<Option<ClientId>, DocumentError> {
    let kind = node
        .attribute((IDENTIFIERS, "objectType"))
        .ok_or_else(|| wrong(node, "it has no objectType"))?
        .to_owned();
    for attribute in node.attributes() {
        if attribute.namespace() != Some(IDENTIFIERS) && attribute.namespace() != Some(XSI) {
            let what = format!("attribute `{}`", shortened(attribute.name()));
            return Err(DocumentError::Unexpected {
                parent: name_of(node),
                what,
            });
        }
    }
    let mut fields: HashMap<&str, String> = HashMap::new();
    let wanted = ["xRoadInstance", "memberClass", "memberCode", "subsystemCode"];
    let mut at = 0;
    for child in node.children().filter(Node::is_element) {
        let name = child.tag_name().name();
        let place = wanted[at..].iter().position(|w| *w == name).map(|p| p + at);
        let Some(place) = place.filter(|_| child.tag_name().namespace() == Some(IDENTIFIERS)) else {
            let what = format!("element `{}` in that place", name_of(child));
            return Err(DocumentError::Unexpected {
                parent: name_of(node),
                what,
            });
        };
        fields.insert(wanted[place], text(child)?);
        at = place + 1;
    }
    let field = |name: &'static str| {
        fields
            .get(name)
            .map(String::as_str)
            .ok_or_else(|| DocumentError::Missing {
                parent: name_of(node),
                element: name,
            })
    };
    let member = MemberId::new(
        field("xRoadInstance")?,
        field("memberClass")?,
        field("memberCode")?,
    );
    match (kind.as_str(), fields.get("subsystemCode")) {
        ("MEMBER", None) => Ok(member.ok().map(ClientId::from)),
        ("MEMBER" | "SUBSYSTEM", Some(code)) => Ok(member
            .ok()
            .and_then(|member| ClientId::subsystem_of(member, code).ok())),
        _ => Err(wrong(node, "its objectType does not fit its fields")),
    }
}

/// Text that is built up as XML; element names are ours, values are escaped.
#[derive(Default)]
pub(crate) struct Writer {
    out: String,
}

impl Writer {
    /// A document with the X-Road root `name`; `xrd` and `id` are bound.
    pub(crate) fn new(name: &str) -> Self {
        let mut writer = Self {
            out: String::with_capacity(4096),
        };
        writer
            .out
            .push_str("<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>\n<xrd:");
        writer.out.push_str(name);
        writer.out.push_str(" xmlns:id=\"");
        writer.out.push_str(IDENTIFIERS);
        writer.out.push_str("\" xmlns:xrd=\"");
        writer.out.push_str(XROAD);
        writer.out.push_str("\">\n");
        writer
    }

    pub(crate) fn open(&mut self, name: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    pub(crate) fn open_with(&mut self, name: &str, attribute: &str, value: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push(' ');
        self.out.push_str(attribute);
        self.out.push_str("=\"");
        escape(&mut self.out, value);
        self.out.push_str("\">\n");
    }

    pub(crate) fn close(&mut self, name: &str) {
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.out.push('<');
        self.out.push_str(name);
        self.out.push('>');
        escape(&mut self.out, value);
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push_str(">\n");
    }

    pub(crate) fn binary(&mut self, name: &str, value: &[u8]) {
        self.text(name, &STANDARD.encode(value));
    }

    pub(crate) fn client_id(&mut self, name: &str, id: &ClientId) {
        let kind = if id.subsystem().is_some() {
            "SUBSYSTEM"
        } else {
            "MEMBER"
        };
        self.open_with(name, "id:objectType", kind);
        self.text("id:xRoadInstance", id.member().instance());
        self.text("id:memberClass", id.member().class());
        self.text("id:memberCode", id.member().code());
        if let Some(code) = id.subsystem() {
            self.text("id:subsystemCode", code);
        }
        self.close(name);
    }

    pub(crate) fn finish(mut self, name: &str) -> Vec<u8> {
        self.out.push_str("</xrd:");
        self.out.push_str(name);
        self.out.push_str(">\n");
        self.out.into_bytes()
    }
}

/// Escapes what would end the text, and white space that a reader would change.
fn escape(out: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\n' => out.push_str("&#10;"),
            '\t' => out.push_str("&#9;"),
            // Characters that XML 1.0 cannot carry at all: names of organisations have none.
            '\0'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            other => out.push(other),
        }
    }
}
