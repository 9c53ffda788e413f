//! Reads recorded exchanges: the cases of a family and the HTTP messages of a case.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::transport::{Direction, Event, MessageKind, MessageReader, TransportHead};
use serde_json::Value;

/// The recorded vectors; `None`, and loud, where this checkout has none.
pub(crate) fn vectors() -> Option<PathBuf> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/vectors/xroad"));
    if !path.is_dir() {
        eprintln!("SKIPPED: recorded exchanges are not replayed, needs ../shared");
        return None;
    }
    Some(path.to_owned())
}

/// One recorded exchange.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) facts: Value,
}

/// The cases of a family; none where there are no vectors.
pub(crate) fn cases(family: &str) -> Vec<Case> {
    let Some(vectors) = vectors() else {
        return Vec::new();
    };
    let family = vectors.join("golden").join(family);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&family)
        .expect("the family is recorded")
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
        .into_iter()
        .map(|folder| Case {
            name: folder.file_name().unwrap().to_string_lossy().into_owned(),
            facts: serde_json::from_slice(&std::fs::read(folder.join("case.json")).unwrap()).unwrap(),
            folder,
        })
        .collect()
}

impl Case {
    /// A message of the exchange; `None` if it never existed or is not HTTP (a torn connection).
    pub(crate) fn http(&self, file: &str) -> Option<Http> {
        Http::parse(&std::fs::read(self.folder.join(format!("{file}.http"))).ok()?)
    }

    /// The verdict to reach.
    pub(crate) fn expected(&self) -> &str {
        self.facts["expected"]["verdict"].as_str().unwrap()
    }

    /// The cause of the fault that Java gave.
    pub(crate) fn java_cause(&self) -> Option<FaultCode> {
        let code = self.facts["java_7_3_2"]["fault_code"]
            .as_str()
            .or(self.facts["fault_code_seen"].as_str())?;
        FaultCode::from_element(code.rsplit('.').next().unwrap())
    }
}

/// A recorded HTTP message.
pub(crate) struct Http {
    pub(crate) start: String,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Without chunk framing.
    pub(crate) body: Vec<u8>,
    /// Whether it came to the end that its framing announces.
    pub(crate) whole: bool,
}

impl Http {
    fn parse(recorded: &[u8]) -> Option<Self> {
        let end = recorded.windows(4).position(|four| four == b"\r\n\r\n")?;
        let mut lines = recorded[..end]
            .split(|b| *b == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let start = String::from_utf8(lines.next()?.to_vec()).ok()?;
        let headers = lines
            .map(|line| {
                let colon = line
                    .iter()
                    .position(|b| *b == b':')
                    .expect("a header has a colon");
                (line[..colon].to_vec(), line[colon + 1..].trim_ascii().to_vec())
            })
            .collect();
        let mut http = Self {
            start,
            headers,
            body: recorded[end + 4..].to_vec(),
            whole: true,
        };
        if http.header("transfer-encoding") == Some("chunked") {
            (http.body, http.whole) = unchunked(&http.body);
        } else if let Some(length) = http.header("content-length") {
            http.whole = http.body.len() == length.parse::<usize>().unwrap();
        }
        Some(http)
    }

    /// Headers as octets, for the functions under test.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.headers.iter().map(|(name, value)| (&name[..], &value[..]))
    }

    /// The last value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .rfind(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        found.and_then(|(_, value)| std::str::from_utf8(value).ok())
    }

    /// The word of the start line at this place.
    pub(crate) fn word(&self, place: usize) -> &str {
        self.start.splitn(3, ' ').nth(place).unwrap_or_default()
    }

    /// The body of a message between servers taken apart: all events before the end or the fault.
    pub(crate) fn events(&self, direction: Direction, kind: MessageKind) -> (Vec<Event>, Result<(), Fault>) {
        let content_type = self.header("content-type").unwrap_or_default();
        let mut reader = match MessageReader::new(direction, content_type, kind) {
            Ok(reader) => reader,
            Err(fault) => return (Vec::new(), Err(fault)),
        };
        let mut events = Vec::new();
        for piece in self.body.chunks(1000) {
            reader.feed(Bytes::copy_from_slice(piece));
            loop {
                match reader.next() {
                    Ok(Some(event)) => events.push(event),
                    Ok(None) => break,
                    Err(fault) => return (events, Err(fault)),
                }
            }
        }
        let end = reader.finish().map(|event| events.extend(event));
        (events, end)
    }

    /// A recorded request between servers that is whole, taken apart.
    pub(crate) fn request(&self) -> (TransportHead, Vec<Event>) {
        let head = TransportHead::request(self.word(0), self.pairs()).unwrap();
        let (events, end) = self.events(Direction::Request, head.kind());
        end.unwrap();
        (head, events)
    }
}

/// The octets inside chunk framing, and whether the last chunk came.
fn unchunked(mut rest: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    while let Some(line) = rest.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&rest[..line])
            .ok()
            .and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(size) = size else { return (out, false) };
        rest = &rest[line + 2..];
        if size == 0 {
            return (out, true);
        }
        out.extend_from_slice(&rest[..size.min(rest.len())]);
        rest = rest.get(size + 2..).unwrap_or_default();
    }
    (out, false)
}

/// The message part.
pub(crate) fn message(events: &[Event]) -> Option<&Bytes> {
    events.iter().find_map(|event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    })
}

/// The bodies, each as a whole.
pub(crate) fn bodies(events: &[Event]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for event in events {
        match event {
            Event::BodyStart { .. } => bodies.push(Vec::new()),
            Event::Body(piece) => bodies.last_mut().unwrap().extend_from_slice(piece),
            _ => {}
        }
    }
    bodies
}
