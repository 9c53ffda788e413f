//! Headers of a part and the content type among them.
//!
//! Owns unfolding and parameters. Keeps the block as received, since attachments travel with their headers unchanged.

use bytes::Bytes;

use super::MultipartError;
use crate::limits;
use crate::rest::from_wire;

/// The headers of one part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartHeaders {
    raw: Bytes,
    fields: Vec<(String, String)>,
}

impl PartHeaders {
    /// Reads a header block: lines ended by CRLF, without the empty line after them.
    pub(super) fn parse(raw: Vec<u8>) -> Result<Self, MultipartError> {
        let mut fields: Vec<(String, String)> = Vec::new();
        let mut rest = &raw[..];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = rest[..end]
                .strip_suffix(b"\r")
                .ok_or(MultipartError::MalformedHeader)?;
            rest = &rest[end + 1..];
            if line.contains(&b'\r') {
                return Err(MultipartError::MalformedHeader);
            }
            if matches!(line.first(), Some(b' ' | b'\t')) {
                let (_, value) = fields.last_mut().ok_or(MultipartError::MalformedHeader)?;
                value.push(' ');
                value.push_str(&from_wire(line));
                continue;
            }
            let colon = memchr::memchr(b':', line).ok_or(MultipartError::MalformedHeader)?;
            let name = from_wire(&line[..colon]);
            if name.is_empty() {
                return Err(MultipartError::MalformedHeader);
            }
            fields.push((name.into_owned(), from_wire(&line[colon + 1..]).into_owned()));
        }
        if fields.len() > limits::PART_HEADER_COUNT {
            return Err(MultipartError::Headers);
        }
        Ok(Self {
            raw: raw.into(),
            fields,
        })
    }

    /// The lines as received, each with its CRLF.
    #[must_use]
    pub fn raw(&self) -> &Bytes {
        &self.raw
    }

    /// Names and values in order, folded lines joined.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of a header, its name in any case.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The content type; a part without a readable one is plain text (RFC 2045 5.2).
    #[must_use]
    pub fn content_type(&self) -> ContentType {
        self.get("content-type")
            .and_then(ContentType::parse)
            .unwrap_or_else(|| ContentType {
                essence: "text/plain".to_owned(),
                parameters: Vec::new(),
            })
    }
}

/// A content type: `multipart/mixed; charset=UTF-8; boundary=xtop…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType {
    essence: String,
    parameters: Vec<(String, String)>,
}

impl ContentType {
    /// Reads a header value; `None` without `type/subtype` or with a quotation that does not end.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (essence, mut rest) = value.split_once(';').unwrap_or((value, ""));
        let essence = essence.trim().to_ascii_lowercase();
        let (kind, subtype) = essence.split_once('/')?;
        if kind.is_empty() || subtype.is_empty() {
            return None;
        }
        let mut parameters = Vec::new();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ';']);
            if rest.is_empty() {
                return Some(Self { essence, parameters });
            }
            let (name, after) = rest.split_once('=')?;
            let (value, after) = parameter(after.trim_start())?;
            parameters.push((name.trim().to_ascii_lowercase(), value));
            rest = after.trim_start();
            if !rest.is_empty() && !rest.starts_with(';') {
                return None;
            }
        }
    }

    /// Type and subtype in lower case, without parameters.
    #[must_use]
    pub fn essence(&self) -> &str {
        &self.essence
    }

    /// The first parameter of this name, given in lower case.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// One parameter value, quoted or not, and what follows it.
fn parameter(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &quoted[at + 1..])),
            '\\' => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}
