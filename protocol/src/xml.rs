//! How this crate reads XML that others wrote: one strict reading for signatures, hash chains and configuration.
//!
//! Owns what roxmltree leaves to its caller: bounds that hold before a tree is built, line ends (XML 1.0, 2.11), the
//! XML declaration, and a few documents that are not well-formed and that roxmltree accepts. Refuses document type
//! declarations, encodings other than UTF-8 and XML other than 1.0, so that no two parsers can read two documents
//! out of the same bytes. Knows nothing about any vocabulary.

use std::borrow::Cow;

use roxmltree::{Document, ParsingOptions};

#[cfg(test)]
mod tests;

/// The bounds of one kind of document. They are checked while the text is scanned, before any tree exists.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Octets of the document.
    pub bytes: usize,
    /// Nodes of the tree, text included.
    pub nodes: u32,
    /// Elements inside each other.
    pub depth: usize,
    /// Attributes of one element: duplicates are found by comparing each with each.
    pub attributes: usize,
    /// Namespace declarations of the whole document: each element that declares one copies those in scope.
    pub namespaces: usize,
}

/// Why a document is not read. All but [`XmlError::Bound`] mean that it is not XML that X-Road sends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// A bound is exceeded; the text names it.
    #[error("the XML document is beyond the limit of {1} {0}")]
    Bound(&'static str, usize),
    /// A document type declaration.
    #[error("the XML document has a document type declaration, which is never accepted")]
    Doctype,
    /// Not UTF-8, or declared as something else, or not XML 1.0.
    #[error("the XML document is not XML 1.0 in UTF-8: {0}")]
    Encoding(&'static str),
    /// Not well-formed, or not namespace-well-formed.
    #[error("the XML document is not well-formed: {0}")]
    Malformed(String),
}

/// The text of a document whose declaration, bounds and line ends are in order; [`Text::tree`] reads it.
#[derive(Debug)]
pub struct Text<'a> {
    text: Cow<'a, str>,
    start: usize,
    nodes: u32,
}

/// Scans a document once: bounds, declaration, references, and what roxmltree would let through.
pub fn scan<'a>(bytes: &'a [u8], bounds: &Bounds) -> Result<Text<'a>, XmlError> {
    if bytes.len() > bounds.bytes {
        return Err(XmlError::Bound("octets", bounds.bytes));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| XmlError::Encoding("its octets are not UTF-8"))?;
    let text = text.strip_prefix('\u{FEFF}').unwrap_or(text);
    let text = line_ends(text);
    let start = declaration(&text)?;
    check_markup(&text[start..], bounds)?;
    Ok(Text {
        text,
        start,
        nodes: bounds.nodes,
    })
}

impl Text<'_> {
    /// Where in `original`, the octets that were scanned, the octet at `offset` of the tree's text stands.
    #[must_use]
    pub fn position(&self, original: &[u8], offset: usize) -> usize {
        let mark = if original.starts_with("\u{FEFF}".as_bytes()) {
            3
        } else {
            0
        };
        let mut position = mark;
        // Each octet of the text stands for one of the original, but a line feed may stand for two.
        for _ in 0..self.start + offset {
            position += if original[position..].starts_with(b"\r\n") {
                2
            } else {
                1
            };
        }
        position
    }

    /// The tree of the document. Ranges of its nodes count from the end of the XML declaration.
    pub fn tree(&self) -> Result<Document<'_>, XmlError> {
        let options = ParsingOptions {
            nodes_limit: self.nodes,
            ..ParsingOptions::default()
        };
        Document::parse_with_options(&self.text[self.start..], options).map_err(|error| {
            if error == roxmltree::Error::DtdDetected {
                XmlError::Doctype
            } else if error == roxmltree::Error::NodesLimitReached {
                XmlError::Bound("nodes", self.nodes as usize)
            } else {
                XmlError::Malformed(error.to_string())
            }
        })
    }
}

/// Carriage returns in the text are line feeds before anything else looks at it (XML 1.0, 2.11). roxmltree does it
/// too, but not where a literal carriage return follows a character reference.
fn line_ends(text: &str) -> Cow<'_, str> {
    if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(text)
    }
}

/// Length of the XML declaration, 0 where there is none.
fn declaration(text: &str) -> Result<usize, XmlError> {
    let Some(rest) = text
        .strip_prefix("<?xml")
        .filter(|rest| rest.starts_with([' ', '\t', '\n']))
    else {
        return Ok(0);
    };
    let malformed = || XmlError::Malformed("its XML declaration".to_owned());
    let end = rest.find("?>").ok_or_else(malformed)?;
    let mut inside = rest[..end].trim_start();
    let mut next = |name: &str| -> Result<Option<&str>, XmlError> {
        let Some(after) = inside.strip_prefix(name) else {
            return Ok(None);
        };
        let after = after
            .trim_start()
            .strip_prefix('=')
            .ok_or_else(malformed)?
            .trim_start();
        let quote = after
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''))
            .ok_or_else(malformed)?;
        let (value, after) = after[1..].split_once(quote).ok_or_else(malformed)?;
        if !after.is_empty() && !after.starts_with([' ', '\t', '\n']) {
            return Err(malformed());
        }
        inside = after.trim_start();
        Ok(Some(value))
    };
    if next("version")?.ok_or_else(malformed)? != "1.0" {
        return Err(XmlError::Encoding("its declaration names another version"));
    }
    if let Some(encoding) = next("encoding")?
        && !names_these_octets(encoding, text)
    {
        return Err(XmlError::Encoding("its declaration names another encoding"));
    }
    if let Some(standalone) = next("standalone")?
        && !matches!(standalone, "yes" | "no")
    {
        return Err(malformed());
    }
    if inside.is_empty() {
        Ok("<?xml".len() + end + "?>".len())
    } else {
        Err(malformed())
    }
}

/// Whether a document in the named encoding has these octets. Where all of them are ASCII, the encodings that extend
/// ASCII agree.
fn names_these_octets(encoding: &str, text: &str) -> bool {
    let encoding = encoding.to_ascii_lowercase();
    matches!(encoding.as_str(), "utf-8" | "utf8")
        || text.is_ascii()
            && (encoding == "us-ascii"
                || encoding.starts_with("iso-8859-")
                || encoding.starts_with("windows-125"))
}

/// Walks over the markup as the tree builder will: nothing is built, only counted and refused.
fn check_markup(text: &str, bounds: &Bounds) -> Result<(), XmlError> {
    let mut rest = text;
    let mut depth = 0_usize;
    let mut namespaces = 0_usize;
    while let Some(at) = rest.find('<') {
        check_references(&rest[..at])?;
        rest = &rest[at..];
        // Where a construct does not end, the tree builder says so better than we could.
        let skipped = if let Some(body) = rest.strip_prefix("<!--") {
            body.find("-->").map(|end| &body[end + 3..])
        } else if let Some(body) = rest.strip_prefix("<![CDATA[") {
            body.find("]]>").map(|end| &body[end + 3..])
        } else if rest.starts_with("<!DOCTYPE") {
            return Err(XmlError::Doctype);
        } else if let Some(body) = rest.strip_prefix("<?") {
            let target = body.split([' ', '\t', '\n', '?']).next().unwrap_or_default();
            if target.eq_ignore_ascii_case("xml") {
                return Err(XmlError::Malformed("a second XML declaration".to_owned()));
            }
            body.find("?>").map(|end| &body[end + 2..])
        } else if rest.starts_with("</") {
            depth = depth.saturating_sub(1);
            rest.find('>').map(|end| &rest[end + 1..])
        } else {
            let mut tag = Tag {
                rest: &rest[1..],
                attributes: 0,
                bounds,
            };
            let closed = tag.walk(&mut namespaces)?;
            depth += usize::from(closed == Some(false));
            if depth > bounds.depth {
                return Err(XmlError::Bound("elements inside each other", bounds.depth));
            }
            closed.map(|_| tag.rest)
        };
        match skipped {
            Some(after) => rest = after,
            None => return Ok(()),
        }
    }
    check_references(rest)
}

/// A start tag being walked over, after its `<`.
struct Tag<'a, 'b> {
    rest: &'a str,
    attributes: usize,
    bounds: &'b Bounds,
}

impl<'a> Tag<'a, '_> {
    /// `Some(true)` for an empty element, `Some(false)` for an open one, `None` where the tag is broken.
    fn walk(&mut self, namespaces: &mut usize) -> Result<Option<bool>, XmlError> {
        self.name()?;
        let mut default_declared = false;
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', '\n']);
            if let Some(after) = self.rest.strip_prefix('>') {
                self.rest = after;
                return Ok(Some(false));
            }
            if let Some(after) = self.rest.strip_prefix("/>") {
                self.rest = after;
                return Ok(Some(true));
            }
            let name = self.name()?;
            let Some(value) = self.value() else {
                return Ok(None);
            };
            self.attributes += 1;
            if self.attributes > self.bounds.attributes {
                return Err(XmlError::Bound(
                    "attributes of an element",
                    self.bounds.attributes,
                ));
            }
            check_references(value)?;
            if name == "xmlns" || name.starts_with("xmlns:") {
                *namespaces += 1;
                if *namespaces > self.bounds.namespaces {
                    return Err(XmlError::Bound("namespace declarations", self.bounds.namespaces));
                }
            }
            if name == "xmlns" && std::mem::replace(&mut default_declared, true) {
                return Err(XmlError::Malformed(
                    "two default namespaces in one element".to_owned(),
                ));
            }
            if name.starts_with("xmlns:") && value.is_empty() {
                return Err(XmlError::Malformed(format!("the empty namespace for {name}")));
            }
        }
    }

    /// The name that stands next; the tree builder checks its characters.
    fn name(&mut self) -> Result<&'a str, XmlError> {
        let end = self
            .rest
            .find([' ', '\t', '\n', '=', '/', '>', '<', '"', '\''])
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if name.starts_with(':') {
            return Err(XmlError::Malformed(format!("the name {name}")));
        }
        Ok(name)
    }

    fn value(&mut self) -> Option<&'a str> {
        let space = [' ', '\t', '\n'];
        let rest = self
            .rest
            .trim_start_matches(space)
            .strip_prefix('=')?
            .trim_start_matches(space);
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, rest) = rest[1..].split_once(quote)?;
        self.rest = rest;
        Some(value)
    }
}

/// Character references must name a character of XML 1.0; roxmltree replaces those that name none.
fn check_references(text: &str) -> Result<(), XmlError> {
    let mut rest = text;
    while let Some(at) = rest.find("&#") {
        rest = &rest[at + 2..];
        // The longest reference to a character has eight octets, leading zeros apart; looking further would make
        // many broken references quadratic.
        let Some(end) = rest.bytes().take(32).position(|octet| octet == b';') else {
            return Err(XmlError::Malformed("a reference without end".to_owned()));
        };
        let number = &rest[..end];
        let value = match number.strip_prefix('x') {
            Some(hex) => u32::from_str_radix(hex, 16),
            None => number.parse(),
        };
        let character = value.ok().and_then(char::from_u32);
        if !character.is_some_and(|c| {
            c >= ' ' && !matches!(c, '\u{FFFE}' | '\u{FFFF}') || matches!(c, '\t' | '\n' | '\r')
        }) {
            return Err(XmlError::Malformed("a reference to no character".to_owned()));
        }
    }
    Ok(())
}
