//! Canonical XML: the octets over which signatures and references are computed (wire 4.6).
//!
//! Owns Canonical XML 1.0 and Exclusive Canonicalization 1.0 (with its prefix list), both without comments, of a
//! whole document or of one element with all it contains. Works on trees from [`crate::xml`], where document type
//! declarations, external entities and default attributes do not exist. Refuses nothing: every tree has a form.
//! Other node sets, comments and Canonical XML 1.1 are out of scope; X-Road uses none of them.

use std::collections::HashSet;

use roxmltree::{Attribute, Node, NodeType};

#[cfg(test)]
mod tests;

const XML_NAMESPACE: &str = "http://www.w3.org/XML/1998/namespace";

/// A canonicalization method as an `Algorithm` attribute names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Canonical XML 1.0 without comments; also the method where a reference names none (wire 4.6).
    Inclusive,
    /// Exclusive Canonicalization 1.0 without comments, as X-Road 8 uses it.
    Exclusive,
}

impl Method {
    /// The method of this URI. Comments count for neither method, so their `#WithComments` variants are unknown.
    pub fn from_uri(uri: &str) -> Option<Self> {
        [Self::Inclusive, Self::Exclusive]
            .into_iter()
            .find(|method| method.uri() == uri)
    }

    /// The URI of the method.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Inclusive => "http://www.w3.org/TR/2001/REC-xml-c14n-20010315",
            Self::Exclusive => "http://www.w3.org/2001/10/xml-exc-c14n#",
        }
    }
}

/// Appends the canonical form of `node`, an element or the root of a document.
///
/// `prefixes` is the `InclusiveNamespaces` prefix list, with `#default` for the default namespace; it counts for
/// [`Method::Exclusive`] only. The depth of the tree is the caller's to bound ([`crate::xml::Bounds`]).
pub fn canonicalize(node: Node<'_, '_>, method: Method, prefixes: &[&str], out: &mut Vec<u8>) {
    let mut writer = Writer {
        out,
        method,
        prefixes,
        rendered: Vec::new(),
    };
    if node.is_root() {
        writer.document(node);
    } else if node.is_element() {
        writer.element(node, true);
    }
}

struct Writer<'a, 'o> {
    out: &'o mut Vec<u8>,
    method: Method,
    prefixes: &'a [&'a str],
    /// Namespaces written by the open elements, innermost last; the empty prefix is the default namespace.
    rendered: Vec<(&'a str, &'a str)>,
}

impl<'a> Writer<'a, '_> {
    /// Comments and text outside the document element do not count; processing instructions stand on their own lines.
    fn document(&mut self, root: Node<'a, 'a>) {
        let mut after_element = false;
        for child in root.children() {
            match child.node_type() {
                NodeType::Element => {
                    self.element(child, true);
                    after_element = true;
                }
                NodeType::PI if after_element => {
                    self.out.push(b'\n');
                    self.instruction(child);
                }
                NodeType::PI => {
                    self.instruction(child);
                    self.out.push(b'\n');
                }
                NodeType::Root | NodeType::Comment | NodeType::Text => {}
            }
        }
    }

    fn element(&mut self, element: Node<'a, 'a>, apex: bool) {
        let name = qualified_name(element.document().input_text(), element.range().start + 1);
        let rendered = self.rendered.len();
        self.out.push(b'<');
        self.out.extend_from_slice(name.as_bytes());
        self.namespaces(element, prefix_of(name));
        self.attributes(element, apex);
        self.out.push(b'>');
        for child in element.children() {
            match child.node_type() {
                NodeType::Element => self.element(child, false),
                NodeType::Text => escape_text(child.text().unwrap_or_default(), self.out),
                NodeType::PI => self.instruction(child),
                NodeType::Root | NodeType::Comment => {}
            }
        }
        self.out.extend_from_slice(b"</");
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'>');
        self.rendered.truncate(rendered);
    }

    /// Writes what is in scope (exclusive: and used here, or listed) and not written so by an open element.
    fn namespaces(&mut self, element: Node<'a, 'a>, own_prefix: &str) {
        let source = element.document().input_text();
        let mut wanted: Vec<(&'a str, &'a str)> = Vec::new();
        let mut default = "";
        for namespace in element.namespaces() {
            let prefix = namespace.name().unwrap_or_default();
            if prefix.is_empty() {
                default = namespace.uri();
            } else if prefix != "xml" && self.wants(prefix, own_prefix, element, source) {
                wanted.push((prefix, namespace.uri()));
            }
        }
        if self.wants("", own_prefix, element, source) {
            wanted.push(("", default));
        }
        wanted.retain(|(prefix, uri)| {
            let before = self
                .rendered
                .iter()
                .rev()
                .find(|(rendered, _)| rendered == prefix);
            // Nothing written is the same as no default namespace.
            !before.map_or(prefix.is_empty() && uri.is_empty(), |(_, written)| written == uri)
        });
        wanted.sort_unstable();
        for (prefix, uri) in wanted {
            self.out.extend_from_slice(b" xmlns");
            if !prefix.is_empty() {
                self.out.push(b':');
                self.out.extend_from_slice(prefix.as_bytes());
            }
            self.value(uri);
            self.rendered.push((prefix, uri));
        }
    }

    fn wants(&self, prefix: &str, own_prefix: &str, element: Node<'_, '_>, source: &str) -> bool {
        match self.method {
            Method::Inclusive => true,
            Method::Exclusive => {
                let listed = if prefix.is_empty() { "#default" } else { prefix };
                prefix == own_prefix
                    || self.prefixes.contains(&listed)
                    || !prefix.is_empty()
                        && element
                            .attributes()
                            .any(|attribute| prefix_of(attribute_name(attribute, source)) == prefix)
            }
        }
    }

    fn attributes(&mut self, element: Node<'a, 'a>, apex: bool) {
        let mut attributes: Vec<_> = element.attributes().collect();
        if apex && self.method == Method::Inclusive {
            inherit(element, &mut attributes);
        }
        // No namespace sorts first: its URI counts as empty.
        attributes
            .sort_unstable_by_key(|attribute| (attribute.namespace().unwrap_or_default(), attribute.name()));
        let source = element.document().input_text();
        for attribute in attributes {
            self.out.push(b' ');
            self.out
                .extend_from_slice(attribute_name(attribute, source).as_bytes());
            self.value(attribute.value());
        }
    }

    fn value(&mut self, value: &str) {
        self.out.extend_from_slice(b"=\"");
        for octet in value.bytes() {
            match octet {
                b'&' => self.out.extend_from_slice(b"&amp;"),
                b'<' => self.out.extend_from_slice(b"&lt;"),
                b'"' => self.out.extend_from_slice(b"&quot;"),
                b'\t' => self.out.extend_from_slice(b"&#x9;"),
                b'\n' => self.out.extend_from_slice(b"&#xA;"),
                b'\r' => self.out.extend_from_slice(b"&#xD;"),
                other => self.out.push(other),
            }
        }
        self.out.push(b'"');
    }

    fn instruction(&mut self, node: Node<'_, '_>) {
        let Some(instruction) = node.pi() else { return };
        self.out.extend_from_slice(b"<?");
        self.out.extend_from_slice(instruction.target.as_bytes());
        if let Some(data) = instruction.value {
            self.out.push(b' ');
            self.out.extend_from_slice(data.as_bytes());
        }
        self.out.extend_from_slice(b"?>");
    }
}

/// Escapes character data as canonical text has it; the writer of signatures uses the same function.
pub(crate) fn escape_text(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|octet| matches!(octet, b'&' | b'<' | b'>' | b'\r'))
    {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(match rest[at] {
            b'&' => b"&amp;",
            b'<' => b"&lt;",
            b'>' => b"&gt;",
            _ => b"&#xD;",
        });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// An element cut out of its document keeps the `xml:` attributes of its ancestors, the nearest of each name.
fn inherit<'a>(element: Node<'a, 'a>, attributes: &mut Vec<Attribute<'a, 'a>>) {
    let is_xml = |attribute: &Attribute<'_, '_>| attribute.namespace() == Some(XML_NAMESPACE);
    let mut have: HashSet<&str> = attributes
        .iter()
        .filter(|a| is_xml(a))
        .map(Attribute::name)
        .collect();
    for ancestor in element.ancestors().skip(1) {
        for attribute in ancestor.attributes().filter(is_xml) {
            if have.insert(attribute.name()) {
                attributes.push(attribute);
            }
        }
    }
}

/// roxmltree keeps namespaces, not prefixes: they are read from the source.
fn qualified_name(source: &str, start: usize) -> &str {
    let rest = source.get(start..).unwrap_or_default();
    let end = rest.find([' ', '\t', '\n', '/', '>', '=']).unwrap_or(rest.len());
    &rest[..end]
}

fn attribute_name<'a>(attribute: Attribute<'_, '_>, source: &'a str) -> &'a str {
    qualified_name(source, attribute.range().start)
}

fn prefix_of(name: &str) -> &str {
    name.split_once(':').map_or("", |(prefix, _)| prefix)
}
