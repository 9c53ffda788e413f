//! A message of which only the part is kept that names no person. Owns the form of wire 6.3.

use bytes::Bytes;

/// The message as it is kept under `logging = "short-head"` (wire 6.3): verb and path up to the service, or status and reason;
/// and of the headers those that begin with `x-road-`.
pub(crate) fn shortened(message: &[u8]) -> Bytes {
    let mut short = Vec::with_capacity(message.len());
    for (index, line) in message.split_inclusive(|byte| *byte == b'\n').enumerate() {
        match index {
            // A target begins with a slash; a reason phrase stays as it is.
            1 if line.first() == Some(&b'/') => {
                let end = line.iter().position(|byte| matches!(byte, b'?' | b'\r' | b'\n'));
                let path = &line[..end.unwrap_or(line.len())];
                let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
                let end = slashes.map(|(at, _)| at).nth(6).unwrap_or(path.len());
                short.extend_from_slice(&path[..end]);
                short.extend_from_slice(b"\r\n");
            }
            0 | 1 => short.extend_from_slice(line),
            _ if line.len() >= 7 && line[..7].eq_ignore_ascii_case(b"x-road-") => {
                short.extend_from_slice(line)
            }
            _ => {}
        }
    }
    short.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REQUEST: &[u8] = b"GET\r\n/r1/TEST/GOV/1002/antrag/intake/persons/4711?name=Muster\r\naccept:*/*\r\nX-Road-Client:TEST/GOV/1001/antrag\r\nx-road-id:q\r\n";

    #[test]
    fn a_shortened_request_has_neither_path_nor_query_nor_headers_of_others() {
        assert_eq!(
            &shortened(REQUEST)[..],
            b"GET\r\n/r1/TEST/GOV/1002/antrag/intake\r\nX-Road-Client:TEST/GOV/1001/antrag\r\nx-road-id:q\r\n"
        );
        let response = b"200\r\nOK\r\nset-cookie:secret\r\nx-road-id:q\r\n";
        assert_eq!(&shortened(response)[..], b"200\r\nOK\r\nx-road-id:q\r\n");
        assert_eq!(
            &shortened(b"GET\r\n/r1/a/b/c/d/e\r\n")[..],
            b"GET\r\n/r1/a/b/c/d/e\r\n"
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_shortened_without_a_panic(message in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(shortened(&message).len() <= message.len() + 2);
        }
    }
}
