//! A message between servers as it arrives: content type, boundaries, parts and their order (wire 3.5 to 3.9). Whatever
//! the pieces in which it arrives, it says the same.
//!
//! Input: the content type, a line feed, the body.
#![no_main]

use bytes::Bytes;
use kontor_protocol::fault::FaultCode;
use kontor_protocol::transport::{Direction, Event, MessageKind, MessageReader};
use libfuzzer_sys::fuzz_target;

/// All events and how it ended, with the pieces of a body put together.
fn read(
    direction: Direction,
    kind: MessageKind,
    content_type: &str,
    body: &[u8],
    piece: usize,
) -> (Vec<Event>, Vec<u8>, Result<(), FaultCode>) {
    let mut reader = match MessageReader::new(direction, content_type, kind) {
        Ok(reader) => reader,
        Err(fault) => return (Vec::new(), Vec::new(), Err(fault.cause())),
    };
    let (mut events, mut content) = (Vec::new(), Vec::new());
    let mut take = |event: Event| match event {
        Event::Body(octets) => content.extend_from_slice(&octets),
        other => events.push(other),
    };
    let mut end = Ok(());
    'body: for octets in body.chunks(piece) {
        reader.feed(Bytes::copy_from_slice(octets));
        loop {
            match reader.next() {
                Ok(Some(event)) => take(event),
                Ok(None) => break,
                Err(fault) => {
                    end = Err(fault.cause());
                    break 'body;
                }
            }
        }
    }
    if end.is_ok() {
        match reader.finish() {
            Ok(Some(event)) => take(event),
            Ok(None) => {}
            Err(fault) => end = Err(fault.cause()),
        }
    }
    (events, content, end)
}

fuzz_target!(|data: &[u8]| {
    let Some(line) = data.iter().position(|octet| *octet == b'\n') else {
        return;
    };
    let Ok(content_type) = std::str::from_utf8(&data[..line]) else {
        return;
    };
    let body = &data[line + 1..];
    for direction in [Direction::Request, Direction::Response] {
        for kind in [MessageKind::Rest, MessageKind::Soap] {
            let whole = read(direction, kind, content_type, body, usize::MAX);
            for piece in [1, 7] {
                let pieces = read(direction, kind, content_type, body, piece);
                assert_eq!(whole, pieces, "in pieces of {piece}");
            }
        }
    }
});
