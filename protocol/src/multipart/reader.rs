//! The incremental reader: octets in as they come, events out.
//!
//! Data are slices of what was fed. A delimiter may be cut anywhere between two pieces: as it begins with CRLF and a
//! boundary holds no CR, what is held back at the end of a piece is always a beginning of the delimiter, so only its
//! length is remembered.

use bytes::{Buf as _, Bytes};
use memchr::memmem::Finder;

use super::{MultipartError, PartHeaders};
use crate::limits;

/// What the reader has come upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A part begins.
    Headers(PartHeaders),
    /// A piece of the part, never empty.
    Data(Bytes),
    /// The part has ended.
    PartEnd,
    /// The closing boundary; only an epilogue, which is skipped, may follow.
    End,
}

/// Reads one multipart body.
#[derive(Debug)]
pub struct Reader {
    /// CRLF, two hyphens and the boundary.
    delimiter: Bytes,
    finder: Finder<'static>,
    /// What was fed and not yet read.
    input: Bytes,
    /// So many octets of the delimiter ended the input before this one.
    held: usize,
    state: State,
    /// Whether a part is open: else what is not a boundary is preamble.
    in_part: bool,
    /// Header lines so far, and where the last one begins.
    block: Vec<u8>,
    line: usize,
    /// Octets outside of parts, or of padding after a boundary.
    skipped: usize,
    parts: usize,
    /// To be handed out before anything else is read.
    pending: Option<Event>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a part or in the preamble.
    Content,
    /// After a delimiter.
    Delimiter,
    /// After a delimiter and one hyphen.
    Hyphen,
    /// In blanks after a delimiter (RFC 2046 calls them transport padding).
    Padding,
    /// After a delimiter and CR.
    Cr,
    Headers,
    /// After the closing boundary.
    Epilogue,
}

/// What a search for the delimiter has found.
enum Scan {
    Content(Bytes),
    Delimiter,
    Starved,
}

impl Reader {
    /// A reader for bodies with this boundary parameter.
    ///
    /// # Errors
    /// A boundary that is empty, too long, or not printable ASCII.
    pub fn new(boundary: &str) -> Result<Self, MultipartError> {
        let printable = boundary.bytes().all(|b| matches!(b, b' '..=b'~')) && !boundary.ends_with(' ');
        if boundary.is_empty() || boundary.len() > limits::BOUNDARY || !printable {
            return Err(MultipartError::Boundary);
        }
        let delimiter = Bytes::from(format!("\r\n--{boundary}"));
        Ok(Self {
            finder: Finder::new(&delimiter).into_owned(),
            delimiter,
            input: Bytes::new(),
            // The first boundary may open the body: it is read as if a line end stood before it.
            held: 2,
            state: State::Content,
            in_part: false,
            block: Vec::new(),
            line: 0,
            skipped: 0,
            parts: 0,
            pending: None,
        })
    }

    /// Takes the next octets. Read all events before feeding more: what is unread is copied together.
    pub fn feed(&mut self, octets: Bytes) {
        if self.input.is_empty() {
            self.input = octets;
        } else {
            self.input = [&self.input[..], &octets[..]].concat().into();
        }
    }

    /// The next event, or `None` when more octets are needed.
    ///
    /// # Errors
    /// Everything but [`MultipartError::Cut`]. The reader is of no use afterwards.
    pub fn next_event(&mut self) -> Result<Option<Event>, MultipartError> {
        if let Some(event) = self.pending.take() {
            return Ok(Some(event));
        }
        loop {
            match self.state {
                State::Content => match self.scan() {
                    Scan::Content(data) if self.in_part => return Ok(Some(Event::Data(data))),
                    Scan::Content(preamble) => self.skip(preamble.len(), limits::PREAMBLE)?,
                    Scan::Delimiter => self.state = State::Delimiter,
                    Scan::Starved => return Ok(None),
                },
                State::Headers => return self.headers(),
                State::Epilogue => {
                    let len = self.input.len();
                    self.input.clear();
                    self.skip(len, limits::EPILOGUE)?;
                    return Ok(None);
                }
                State::Delimiter | State::Hyphen | State::Padding | State::Cr => {
                    let Some(&octet) = self.input.first() else {
                        return Ok(None);
                    };
                    match self.after_delimiter(octet)? {
                        Some(event) => return Ok(Some(event)),
                        None => continue,
                    }
                }
            }
        }
    }

    /// Whether the closing boundary was read.
    ///
    /// # Errors
    /// [`MultipartError::Cut`] if it was not.
    pub fn finish(&self) -> Result<(), MultipartError> {
        if self.state == State::Epilogue {
            Ok(())
        } else {
            Err(MultipartError::Cut)
        }
    }

    /// Reads up to the next delimiter or the end of the input.
    fn scan(&mut self) -> Scan {
        if self.held > 0 {
            let wanted = &self.delimiter[self.held..];
            let len = wanted.len().min(self.input.len());
            if self.input[..len] != wanted[..len] {
                let data = self.delimiter.slice(..self.held);
                self.held = 0;
                return Scan::Content(data);
            }
            self.input.advance(len);
            self.held += len;
            if self.held < self.delimiter.len() {
                return Scan::Starved;
            }
            self.held = 0;
            return Scan::Delimiter;
        }
        match self.finder.find(&self.input) {
            Some(0) => {
                self.input.advance(self.delimiter.len());
                Scan::Delimiter
            }
            Some(at) => Scan::Content(self.input.split_to(at)),
            None => {
                self.held = self.beginning_at_end();
                let data = self.input.split_to(self.input.len() - self.held);
                self.input.clear();
                if data.is_empty() {
                    Scan::Starved
                } else {
                    Scan::Content(data)
                }
            }
        }
    }

    /// How many octets at the end of the input could begin a delimiter.
    fn beginning_at_end(&self) -> usize {
        let from = self.input.len().saturating_sub(self.delimiter.len() - 1);
        let end = &self.input[from..];
        match memchr::memrchr(b'\r', end) {
            Some(at) if self.delimiter.starts_with(&end[at..]) => end.len() - at,
            _ => 0,
        }
    }

    /// One octet after a delimiter.
    fn after_delimiter(&mut self, octet: u8) -> Result<Option<Event>, MultipartError> {
        match (self.state, octet) {
            (State::Delimiter, b'-') => self.state = State::Hyphen,
            (State::Delimiter | State::Padding, b' ' | b'\t') => {
                self.state = State::Padding;
                self.skip(1, limits::PREAMBLE)?;
            }
            (State::Delimiter | State::Padding, b'\r') => self.state = State::Cr,
            (State::Hyphen, b'-') => {
                self.input.advance(1);
                self.state = State::Epilogue;
                self.skipped = 0;
                return Ok(Some(self.ended(Event::End)));
            }
            (State::Cr, b'\n') => {
                self.input.advance(1);
                self.state = State::Headers;
                let event = self.in_part.then_some(Event::PartEnd);
                self.begin_part()?;
                return Ok(event);
            }
            // A longer line that only begins like a boundary belongs to the content.
            (State::Delimiter | State::Hyphen, _) => {
                let hyphen: &[u8] = if self.state == State::Hyphen { b"-" } else { b"" };
                self.state = State::Content;
                let content = Bytes::from([&self.delimiter[..], hyphen].concat());
                if self.in_part {
                    return Ok(Some(Event::Data(content)));
                }
                self.skip(content.len(), limits::PREAMBLE)?;
                return Ok(None);
            }
            _ => return Err(MultipartError::BoundaryLine),
        }
        self.input.advance(1);
        Ok(None)
    }

    /// `event`, after the end of the open part if there is one.
    fn ended(&mut self, event: Event) -> Event {
        if !std::mem::take(&mut self.in_part) {
            return event;
        }
        self.pending = Some(event);
        Event::PartEnd
    }

    fn begin_part(&mut self) -> Result<(), MultipartError> {
        self.in_part = false;
        self.parts += 1;
        self.skipped = 0;
        if self.parts > limits::PARTS {
            Err(MultipartError::Parts)
        } else {
            Ok(())
        }
    }

    /// Header lines up to the empty one.
    fn headers(&mut self) -> Result<Option<Event>, MultipartError> {
        loop {
            let (len, complete) = match memchr::memchr(b'\n', &self.input) {
                Some(at) => (at + 1, true),
                None => (self.input.len(), false),
            };
            let ending = if complete { 2 } else { 0 };
            if self.block.len() - self.line + len > limits::PART_HEADER_LINE + ending {
                return Err(MultipartError::HeaderLine);
            }
            if self.block.len() + len > limits::PART_HEADERS {
                return Err(MultipartError::Headers);
            }
            self.block.extend_from_slice(&self.input[..len]);
            self.input.advance(len);
            if !complete {
                return Ok(None);
            }
            if self.block[self.line..] == *b"\r\n" {
                let mut block = std::mem::take(&mut self.block);
                block.truncate(self.line);
                self.line = 0;
                self.state = State::Content;
                self.in_part = true;
                return PartHeaders::parse(block).map(|headers| Some(Event::Headers(headers)));
            }
            self.line = self.block.len();
        }
    }

    fn skip(&mut self, octets: usize, bound: usize) -> Result<(), MultipartError> {
        self.skipped += octets;
        if self.skipped > bound {
            Err(MultipartError::Outside)
        } else {
            Ok(())
        }
    }
}
