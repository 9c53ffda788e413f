//! The lines of a REST message: two start lines and headers, over the bytes as received or written.
//!
//! Lines end in CR, LF or CRLF as Java reads them; written back they end in CRLF. Owns the checks that hold for both
//! kinds of message; what the lines mean is for `request` and `response`.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;

use super::{is_hop_header, malformed};
use crate::fault::Fault;
use crate::limits;

/// A message cut into lines; all ranges lie within `bytes`, which are UTF-8.
#[derive(Debug, Clone)]
pub(super) struct Head {
    bytes: Bytes,
    first: Range<usize>,
    second: Range<usize>,
    headers: Vec<(Range<usize>, Range<usize>)>,
    /// Every line ends in CRLF: the bytes are what re-serialisation would give.
    canonical: bool,
}

impl Head {
    /// Cuts a message into lines and checks each.
    pub(super) fn parse(bytes: Bytes) -> Result<Self, Fault> {
        if bytes.len() > limits::REST_PART {
            return Err(malformed(format!(
                "REST message above {} bytes",
                limits::REST_PART
            )));
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| malformed("REST message that is not UTF-8"))?;
        let mut lines = Lines {
            text,
            at: 0,
            canonical: true,
        };
        let (Some(first), Some(second)) = (lines.next(), lines.next()) else {
            return Err(malformed("REST message without its two start lines"));
        };
        for line in [&first, &second] {
            if text[line.clone()].chars().any(is_forbidden) {
                return Err(malformed("control character in a start line of a REST message"));
            }
        }
        let mut headers = Vec::new();
        for line in lines.by_ref() {
            if headers.len() == limits::REST_HEADERS {
                return Err(malformed(format!("more than {} headers", limits::REST_HEADERS)));
            }
            headers.push(header(text, line)?);
        }
        let canonical = lines.canonical;
        Ok(Self {
            bytes,
            first,
            second,
            headers,
            canonical,
        })
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    pub(super) fn text(&self, range: Range<usize>) -> &str {
        std::str::from_utf8(&self.bytes[range])
            .expect("the whole message was checked to be UTF-8 and cut at ASCII")
    }

    pub(super) fn first(&self) -> &str {
        self.text(self.first.clone())
    }

    pub(super) fn second(&self) -> &str {
        self.text(self.second.clone())
    }

    /// Names and values in order.
    pub(super) fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.headers
            .iter()
            .map(|(name, value)| (self.text(name.clone()), self.text(value.clone())))
    }

    /// The last value of a header, its name in any case: the one that Java's parsers keep.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .rfind(|(found, _)| self.bytes[found.clone()].eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| self.text(value.clone()))
    }

    /// The message as Java writes it back after reading: every line ended by CRLF (wire 2.4 rule 3).
    pub(super) fn reserialised(&self) -> Cow<'_, [u8]> {
        if self.canonical {
            return Cow::Borrowed(&self.bytes);
        }
        let mut out = Vec::with_capacity(self.bytes.len() + self.headers.len() + 4);
        push_line(&mut out, &[self.first()]);
        push_line(&mut out, &[self.second()]);
        for (name, value) in self.headers() {
            push_line(&mut out, &[name, ":", value]);
        }
        Cow::Owned(out)
    }
}

/// Appends one line and its CRLF.
pub(super) fn push_line(out: &mut Vec<u8>, pieces: &[&str]) {
    for piece in pieces {
        out.extend_from_slice(piece.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
}

/// Name and value of a header line, cut at the first colon.
fn header(text: &str, line: Range<usize>) -> Result<(Range<usize>, Range<usize>), Fault> {
    let Some(colon) = text[line.clone()].find(':') else {
        return Err(malformed(
            "line without a colon among the headers of a REST message",
        ));
    };
    let (name, value) = (line.start..line.start + colon, line.start + colon + 1..line.end);
    if !is_token(&text[name.clone()]) {
        return Err(malformed("header name in a REST message that HTTP cannot carry"));
    }
    if is_hop_header(&text[name.clone()]) {
        return Err(malformed(format!(
            "header {} must not be in a REST message",
            &text[name]
        )));
    }
    if text[value.clone()].chars().any(is_forbidden) {
        return Err(malformed(format!(
            "control character in header {} of a REST message",
            &text[name]
        )));
    }
    Ok((name, value))
}

/// What no start line or header value may hold: it could not be handed to an information system.
fn is_forbidden(c: char) -> bool {
    c.is_ascii_control() && c != '\t'
}

/// A header name of HTTP (RFC 9110 5.6.2).
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// Ranges of lines, each ended by CR, LF, CRLF or the end of the text.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    canonical: bool,
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        let rest = &self.text.as_bytes()[self.at..];
        if rest.is_empty() {
            return None;
        }
        let start = self.at;
        let len = rest
            .iter()
            .position(|b| matches!(b, b'\r' | b'\n'))
            .unwrap_or(rest.len());
        let ending = match rest[len..] {
            [b'\r', b'\n', ..] => 2,
            [_, ..] => 1,
            [] => 0,
        };
        self.canonical &= ending == 2;
        self.at += len + ending;
        Some(start..start + len)
    }
}
