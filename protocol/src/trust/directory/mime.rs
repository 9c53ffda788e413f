//! The MIME structure of a signed directory: headers, and a multipart split at its boundary.
//!
//! Owns byte positions: what is signed is a slice of the input. Line ends are CRLF as sent, or LF as in stored copies.
//! The whole body is in memory and small, so this is not the incremental reader of the transport.

use std::collections::HashMap;

use super::DirectoryError;
use crate::limits;

/// Headers and body of one part.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    head: &'a [u8],
    pub(super) body: &'a [u8],
}

impl<'a> Part<'a> {
    /// Splits at the first empty line; a part without one is all headers.
    pub(super) fn read(bytes: &'a [u8]) -> Self {
        let mut at = 0;
        while at < bytes.len() {
            let end = line_end(bytes, at);
            if without_line_end(&bytes[at..end]).is_empty() {
                return Self {
                    head: &bytes[..at],
                    body: &bytes[end..],
                };
            }
            at = end;
        }
        Self {
            head: bytes,
            body: &[],
        }
    }

    /// The trimmed value of a header; names are compared without case.
    ///
    /// Refuses a header given twice, a line that is no header, and octets that are not UTF-8.
    pub(super) fn header(&self, name: &str) -> Result<Option<&'a str>, DirectoryError> {
        let malformed = |what: &str| DirectoryError::Malformed(what.to_owned());
        let head = std::str::from_utf8(self.head).map_err(|_| malformed("a header is not UTF-8"))?;
        let mut found = None;
        for (count, line) in head.lines().enumerate() {
            if line.len() > limits::PART_HEADER_LINE || count >= limits::PART_HEADER_COUNT {
                return Err(malformed("a part has too many or too long headers"));
            }
            let (key, value) = line
                .split_once(':')
                .ok_or_else(|| malformed("a header line has no colon"))?;
            if key.eq_ignore_ascii_case(name) && found.replace(value.trim()).is_some() {
                return Err(DirectoryError::Malformed(format!(
                    "header `{name}` is given twice"
                )));
            }
        }
        Ok(found)
    }
}

/// The parts of a multipart body.
pub(super) struct Split<'a> {
    pub(super) parts: Vec<&'a [u8]>,
    /// Whether the closing delimiter was there.
    pub(super) closed: bool,
}

/// Splits at the delimiter lines of `boundary` (RFC 2046 5.1.1).
///
/// A missing closing delimiter is reported, not refused: in the inner multipart the signature covers the end.
pub(super) fn split<'a>(body: &'a [u8], boundary: &str) -> Result<Split<'a>, DirectoryError> {
    let delimiter = format!("--{boundary}");
    let mut split = Split {
        parts: Vec::new(),
        closed: false,
    };
    let mut start: Option<usize> = None;
    let mut at = 0;
    while at < body.len() {
        let end = line_end(body, at);
        let line = body[at..end].trim_ascii_end();
        let rest = line.strip_prefix(delimiter.as_bytes());
        if let Some(rest @ (b"" | b"--")) = rest {
            if let Some(start) = start.take() {
                // The line end before a delimiter belongs to the delimiter.
                split.parts.push(without_line_end(&body[start..at]));
            }
            if rest == b"--" {
                split.closed = true;
                at = end;
                break;
            }
            start = Some(end);
        } else if start.is_none() && !line.is_empty() {
            return Err(DirectoryError::Malformed(
                "something stands before the first boundary".to_owned(),
            ));
        }
        at = end;
    }
    if let Some(start) = start {
        split.parts.push(&body[start..]);
    }
    if !body[at..].trim_ascii().is_empty() {
        return Err(DirectoryError::Malformed(
            "something stands after the closing boundary".to_owned(),
        ));
    }
    Ok(split)
}

/// `value; name=token; name="quoted"`: the value before the parameters, and these with lower-case names.
pub(super) fn value_and_parameters(header: &str) -> (&str, HashMap<String, String>) {
    let mut pieces = header.split(';');
    let value = pieces.next().unwrap_or_default().trim();
    let parameters = pieces
        .filter_map(|piece| piece.split_once('='))
        .map(|(name, value)| {
            (
                name.trim().to_ascii_lowercase(),
                unquoted(value.trim()).to_owned(),
            )
        })
        .collect();
    (value, parameters)
}

/// X-Road writes both kinds of quotes.
fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

/// Where the line that begins at `at` ends, its line feed counted in.
fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..]
        .iter()
        .position(|b| *b == b'\n')
        .map_or(bytes.len(), |p| at + p + 1)
}

fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
