//! What is asked of the elements of a signature document: names, counts, values.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use roxmltree::Node;

use super::{SignatureError, XADES};

pub(super) fn literal(node: Node<'_, '_>, name: &str) -> Result<(), SignatureError> {
    let source = node.document().input_text();
    let written = source.get(node.range().start + 1..).unwrap_or_default();
    match written.strip_prefix(name) {
        Some(rest) if rest.starts_with([' ', '\t', '\n', '>', '/']) => Ok(()),
        _ => Err(SignatureError::Malformed("its prefixes are not ds and xades")),
    }
}

/// The child elements; text between them may only be white space.
pub(super) fn elements<'a, 'i>(node: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>, SignatureError> {
    let blank = |text: &str| text.bytes().all(|octet| octet.is_ascii_whitespace());
    if node
        .children()
        .any(|child| child.is_text() && !blank(child.text().unwrap_or_default()))
    {
        return Err(SignatureError::Malformed("there is text between its elements"));
    }
    Ok(node.children().filter(Node::is_element).collect())
}

pub(super) fn named<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &'static str,
) -> Result<Node<'a, 'i>, SignatureError> {
    if node.has_tag_name((namespace, name)) {
        Ok(node)
    } else {
        Err(SignatureError::Misplaced(name))
    }
}

pub(super) fn maybe<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &'static str,
) -> Result<Option<Node<'a, 'i>>, SignatureError> {
    let mut found = node
        .children()
        .filter(|child| child.has_tag_name((namespace, name)));
    match (found.next(), found.next()) {
        (one, None) => Ok(one),
        (_, Some(_)) => Err(SignatureError::Misplaced(name)),
    }
}

pub(super) fn only<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &'static str,
) -> Result<Node<'a, 'i>, SignatureError> {
    maybe(node, namespace, name)?.ok_or(SignatureError::Misplaced(name))
}

pub(super) fn first<'a, 'i>(
    node: Node<'a, 'i>,
    namespace: &str,
    name: &'static str,
) -> Result<Node<'a, 'i>, SignatureError> {
    node.children()
        .find(|child| child.has_tag_name((namespace, name)))
        .ok_or(SignatureError::Misplaced(name))
}

pub(super) fn all<'a, 'i>(
    node: Node<'a, 'i>,
    name: &'static str,
) -> Result<Vec<Node<'a, 'i>>, SignatureError> {
    elements(node)?
        .into_iter()
        .map(|child| named(child, XADES, name))
        .collect()
}

pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &'static str) -> Result<&'a str, SignatureError> {
    node.attribute(name).ok_or(SignatureError::Misplaced(name))
}

/// The text of an element without elements; comments are not text.
pub(super) fn content(node: Node<'_, '_>) -> Result<String, SignatureError> {
    if node.children().any(|child| child.is_element()) {
        return Err(SignatureError::Malformed("there are elements in a value"));
    }
    Ok(node
        .children()
        .filter(Node::is_text)
        .filter_map(|child| child.text())
        .collect())
}

pub(super) fn base64(node: Node<'_, '_>) -> Result<Vec<u8>, SignatureError> {
    let mut text = content(node)?;
    text.retain(|character| !character.is_ascii_whitespace());
    STANDARD
        .decode(text)
        .map_err(|_| SignatureError::Malformed("a value is not base64"))
}
