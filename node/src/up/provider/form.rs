//! Reads `multipart/form-data` as it arrives: heads and bytes of its parts, never a whole part in memory.
//!
//! Owns the framing only (RFC 2046, RFC 7578). Where the input is cut does not matter. Refuses part heads above
//! 8 KiB, more than 200 parts, parts without a name and a body that ends before its closing boundary.

use bytes::{Buf, Bytes, BytesMut};

/// Bytes of the head of one part.
const HEAD: usize = 8 * 1024;
/// Parts of one form.
const PARTS: usize = 200;
/// Characters of a boundary (RFC 2046, 5.1.1).
const BOUNDARY: usize = 70;

/// Why a body is not a form.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FormError {
    /// The content type names no usable boundary.
    #[error("the Content-Type is not multipart/form-data with a boundary of 1 to 70 characters")]
    ContentType,
    /// The head of a part is larger than 8 KiB or is not text.
    #[error("the head of a part is larger than 8 KiB or is not UTF-8")]
    Head,
    /// A part without a name.
    #[error("a part has no name in its Content-Disposition")]
    NoName,
    /// More than 200 parts.
    #[error("the form has more than 200 parts")]
    TooManyParts,
    /// The closing boundary is missing.
    #[error("the body ends before the closing boundary of the form")]
    Truncated,
}

/// The head of one part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PartHead {
    /// Name of the field.
    pub name: String,
    /// File name as the sender gave it: for people, never for paths.
    pub file_name: Option<String>,
    /// Declared media type.
    pub media_type: Option<String>,
}

/// One step of the form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Event {
    /// Bytes of the current part.
    Data(Bytes),
    /// The current part is complete.
    End,
    /// A part begins.
    Part(PartHead),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Data,
    Delimiter,
    Ended,
    Head,
    Preamble,
}

/// The reader: feed it, then take events until there are none.
#[derive(Debug)]
pub struct FormReader {
    buffer: BytesMut,
    delimiter: Vec<u8>,
    parts: usize,
    state: State,
}

impl FormReader {
    /// A reader for a body of this `Content-Type`.
    pub fn new(content_type: &str) -> Result<Self, FormError> {
        let (kind, parameters) = content_type.split_once(';').ok_or(FormError::ContentType)?;
        if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
            return Err(FormError::ContentType);
        }
        let boundary = parameter(parameters, "boundary").ok_or(FormError::ContentType)?;
        if boundary.is_empty() || boundary.len() > BOUNDARY {
            return Err(FormError::ContentType);
        }
        let delimiter = format!("\r\n--{boundary}").into_bytes();
        // The first boundary may stand at the very beginning: the line end before it is put there for it.
        Ok(Self {
            buffer: BytesMut::from(&b"\r\n"[..]),
            delimiter,
            parts: 0,
            state: State::Preamble,
        })
    }

    /// Takes the next bytes of the body.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.state != State::Ended {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next event, `None` if more bytes are needed or the form has ended.
    pub fn next_event(&mut self) -> Result<Option<Event>, FormError> {
        loop {
            match self.state {
                State::Preamble => match find(&self.buffer, &self.delimiter) {
                    Some(at) => {
                        self.buffer.advance(at + self.delimiter.len());
                        self.state = State::Delimiter;
                    }
                    None => {
                        self.buffer.advance(self.certain());
                        return Ok(None);
                    }
                },
                State::Delimiter => match self.buffer.get(..2) {
                    None => return Ok(None),
                    Some(b"--") => {
                        self.buffer.clear();
                        self.state = State::Ended;
                    }
                    Some(_) => self.state = State::Head,
                },
                State::Head => return self.head(),
                State::Data => {
                    let whole = find(&self.buffer, &self.delimiter);
                    let length = whole.unwrap_or_else(|| self.certain());
                    if length > 0 {
                        return Ok(Some(Event::Data(self.buffer.split_to(length).freeze())));
                    }
                    if whole.is_none() {
                        return Ok(None);
                    }
                    self.buffer.advance(self.delimiter.len());
                    self.state = State::Delimiter;
                    return Ok(Some(Event::End));
                }
                State::Ended => return Ok(None),
            }
        }
    }

    /// To be called at the end of the body.
    pub fn finish(&self) -> Result<(), FormError> {
        if self.state == State::Ended {
            Ok(())
        } else {
            Err(FormError::Truncated)
        }
    }

    /// Bytes at the front of the buffer that cannot belong to a delimiter that is still arriving.
    fn certain(&self) -> usize {
        self.buffer.len().saturating_sub(self.delimiter.len() - 1)
    }

    /// What follows a delimiter: padding and a line end, then lines, then an empty line.
    fn head(&mut self) -> Result<Option<Event>, FormError> {
        let window = &self.buffer[..self.buffer.len().min(HEAD)];
        let Some(end) = find(window, b"\r\n\r\n") else {
            return if self.buffer.len() >= HEAD {
                Err(FormError::Head)
            } else {
                Ok(None)
            };
        };
        let block = self.buffer.split_to(end + 4);
        let text = std::str::from_utf8(&block[..end]).map_err(|_| FormError::Head)?;
        let mut lines = text.split("\r\n");
        if lines
            .next()
            .is_some_and(|padding| !padding.trim_matches([' ', '\t']).is_empty())
        {
            return Err(FormError::Head);
        }
        self.parts += 1;
        if self.parts > PARTS {
            return Err(FormError::TooManyParts);
        }
        let (mut disposition, mut media_type) = (None, None);
        for line in lines {
            match line.split_once(':') {
                Some((name, value)) if name.eq_ignore_ascii_case("content-disposition") => {
                    disposition = Some(value)
                }
                Some((name, value)) if name.eq_ignore_ascii_case("content-type") => {
                    media_type = Some(value.trim().to_owned());
                }
                Some(_) | None => {}
            }
        }
        let (_, parameters) = disposition
            .and_then(|d| d.split_once(';'))
            .ok_or(FormError::NoName)?;
        let name = parameter(parameters, "name")
            .filter(|n| !n.is_empty())
            .ok_or(FormError::NoName)?;
        self.state = State::Data;
        Ok(Some(Event::Part(PartHead {
            name,
            file_name: parameter(parameters, "filename"),
            media_type,
        })))
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|b| *b == first) {
        let at = from + at;
        let tail = haystack.get(at..at + needle.len())?;
        if tail == needle {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// The value of a parameter, quoted or not. Only `\"` is an escape: senders leave other backslashes of a file name
/// as they are (and write a quote as `%22`).
fn parameter(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ';']);
        let (name, after) = rest.split_once('=')?;
        let (value, left) = match after.strip_prefix('"') {
            Some(quoted) => {
                let mut end = None;
                let mut escaped = false;
                for (at, c) in quoted.char_indices() {
                    match c {
                        '"' if !escaped => {
                            end = Some(at);
                            break;
                        }
                        _ => escaped = c == '\\' && !escaped,
                    }
                }
                // A name that ends in a backslash looks like an escaped quote: then the last quote ends it.
                let end = end.or_else(|| quoted.rfind('"'))?;
                (quoted[..end].replace("\\\"", "\""), &quoted[end + 1..])
            }
            None => {
                let end = after.find(';').unwrap_or(after.len());
                (after[..end].trim().to_owned(), &after[end..])
            }
        };
        if name.trim().eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = left;
    }
}

#[cfg(test)]
mod tests;
