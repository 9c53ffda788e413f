//! The OCSP hand-out between security servers: plain HTTP on port 5577 (wire 3.4).
//!
//! Owns the query of a consumer's server, the answer of a provider's server and its reading. The responses are octets
//! here; whether they show anything about the peer is for [`verify`](crate::verify).
//!
//! Refused: more certificates than a chain has, answers of another form, and answers that count other than was asked.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use kontor_pki::certificate::Certificate;

use crate::fault::{Fault, FaultCode};
use crate::limits;
use crate::multipart::{ContentType, Event, MultipartError, Reader, Writer};

/// Where every security server hands out, fixed by X-Road.
pub const PORT: u16 = 5577;

const PART_TYPE: &str = "application/ocsp-response";

/// The query that asks about these certificates in this order: by SHA-1, which is all that servers read, and by
/// SHA-256 as clients from 7.4 on do.
#[must_use]
pub fn query(certificates: &[Certificate]) -> String {
    let mut query = String::new();
    let mut ask = |name: &str, hash: &[u8]| {
        let joint = if query.is_empty() { "" } else { "&" };
        let _ = write!(query, "{joint}{name}=");
        for octet in hash {
            let _ = write!(query, "{octet:02x}");
        }
    };
    for certificate in certificates {
        ask("cert", &certificate.sha1());
    }
    for certificate in certificates {
        ask("cert_hash", &certificate.sha256());
    }
    query
}

/// What is sent back to a consumer's server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `None` if there is no body.
    pub content_type: Option<String>,
    /// Responses in the order asked, or a sentence.
    pub body: Bytes,
}

/// Answers one request; `held` gives the response about the certificate with a SHA-1 hash. All or nothing: a consumer
/// takes what comes by its number alone. Whatever is refused gets status 500, as from Java.
#[must_use]
pub fn answer(
    method: &str,
    query: &str,
    boundary: &str,
    held: impl Fn(&[u8; 20]) -> Option<Bytes>,
) -> Answer {
    let responses = match method {
        "HEAD" => {
            return Answer {
                status: 200,
                content_type: None,
                body: Bytes::new(),
            };
        }
        "GET" => asked(query).and_then(|hashes| {
            let responses = hashes.iter().map(held).collect::<Option<Vec<_>>>();
            responses.ok_or("no OCSP response for one of the certificates\n")
        }),
        _ => Err("GET or HEAD\n"),
    };
    match responses {
        Ok(responses) => {
            let mut writer = Writer::new(boundary);
            for response in &responses {
                writer.part(&[("Content-Type", PART_TYPE)], response);
            }
            writer.close();
            let content_type =
                format!("multipart/related; type=\"{PART_TYPE}\"; charset=UTF-8; boundary={boundary}");
            Answer {
                status: 200,
                content_type: Some(content_type),
                body: writer.take(),
            }
        }
        Err(text) => Answer {
            status: 500,
            content_type: Some("text/plain".to_owned()),
            body: Bytes::from_static(text.as_bytes()),
        },
    }
}

fn asked(query: &str) -> Result<Vec<[u8; 20]>, &'static str> {
    let mut hashes = Vec::new();
    for hash in query.split('&').filter_map(|pair| pair.strip_prefix("cert=")) {
        if hashes.len() == limits::OCSP_PARTS {
            return Err("too many certificates in one request\n");
        }
        hashes.push(from_hex(hash).ok_or("cert is not a SHA-1 value in hex\n")?);
    }
    if hashes.is_empty() {
        return Err("parameter cert (SHA-1 of a certificate in hex) is missing\n");
    }
    Ok(hashes)
}

fn from_hex(text: &str) -> Option<[u8; 20]> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let pairs: &[[u8; 2]; 20] = pairs.try_into().ok()?;
    let mut octets = [0; 20];
    for (octet, [high, low]) in octets.iter_mut().zip(pairs) {
        let digit = |letter: u8| char::from(letter).to_digit(16).and_then(|d| u8::try_from(d).ok());
        *octet = (digit(*high)? << 4) | digit(*low)?;
    }
    Some(octets)
}

/// Why an answer of a hand-out is of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandOutError {
    /// Its server knows no response about one of the certificates, or is something else.
    #[error("it answered with status {0}")]
    Status(u16),
    /// Not `multipart/related` with a boundary.
    #[error("its answer is not multipart")]
    NotMultipart,
    /// The parts cannot be told apart.
    #[error(transparent)]
    Multipart(#[from] MultipartError),
    /// A part that is no OCSP response, by its size.
    #[error("a part of its answer is above {} bytes", limits::OCSP_RESPONSE)]
    TooLarge,
    /// More or fewer responses than certificates.
    #[error("it answered with {came} responses for {asked} certificates")]
    Count {
        /// Certificates asked about.
        asked: usize,
        /// Responses in the answer, at most one more than asked.
        came: usize,
    },
}

impl HandOutError {
    /// The code of wire 10.2: without responses the peer is not authenticated.
    #[must_use]
    pub const fn code(self) -> FaultCode {
        FaultCode::SslAuthenticationFailed
    }

    /// The fault for the information system; `place` says whose hand-out it was.
    #[must_use]
    pub fn fault(self, place: &str) -> Fault {
        Fault::new(
            self.code(),
            format!("no OCSP responses from the provider's server: {place}: {self}"),
        )
    }
}

/// Reads an answer about so many certificates: the responses as they are, in their order.
///
/// # Errors
/// See [`HandOutError`].
pub fn read(
    status: u16,
    content_type: &str,
    body: Bytes,
    certificates: usize,
) -> Result<Vec<Bytes>, HandOutError> {
    if status != 200 {
        return Err(HandOutError::Status(status));
    }
    let content_type = ContentType::parse(content_type)
        .filter(|content_type| content_type.essence() == "multipart/related")
        .ok_or(HandOutError::NotMultipart)?;
    let boundary = content_type
        .parameter("boundary")
        .ok_or(HandOutError::NotMultipart)?;
    let mut reader = Reader::new(boundary)?;
    reader.feed(body);
    let (mut parts, mut part) = (Vec::new(), BytesMut::new());
    while let Some(event) = reader.next_event()? {
        match event {
            Event::Data(data) if part.len() + data.len() > limits::OCSP_RESPONSE => {
                return Err(HandOutError::TooLarge);
            }
            Event::Data(data) => part.extend_from_slice(&data),
            Event::PartEnd => parts.push(std::mem::take(&mut part).freeze()),
            Event::End | Event::Headers(_) => {}
        }
        if parts.len() > certificates {
            break;
        }
    }
    if parts.len() != certificates {
        return Err(HandOutError::Count {
            asked: certificates,
            came: parts.len(),
        });
    }
    reader.finish()?;
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn hash(octet: u8) -> String {
        format!("{octet:02x}").repeat(20)
    }

    fn held(hash: &[u8; 20]) -> Option<Bytes> {
        (hash[0] < 0xA0).then(|| Bytes::copy_from_slice(&hash[..3]))
    }

    fn ask(query: &str) -> Answer {
        answer("GET", query, "b", held)
    }

    #[test]
    fn responses_come_in_the_order_asked_for_or_not_at_all() {
        let query = format!("cert={}&cert={}&cert_hash=00", hash(0x0F), hash(2));
        let good = ask(&query);
        assert_eq!(good.status, 200);
        let read = |asked| {
            read(
                200,
                good.content_type.as_deref().unwrap(),
                good.body.clone(),
                asked,
            )
        };
        assert_eq!(read(2).unwrap(), [&[0x0F; 3][..], &[2; 3]]);
        assert_eq!(read(1), Err(HandOutError::Count { asked: 1, came: 2 }));
        assert_eq!(read(3), Err(HandOutError::Count { asked: 3, came: 2 }));
        assert_eq!(ask(&format!("{query}&cert={}", hash(0xA0))).status, 500);
        assert_eq!(
            ask(&vec![format!("cert={}", hash(1)); limits::OCSP_PARTS + 1].join("&")).status,
            500
        );
        for malformed in [
            "",
            "cert=",
            "cert=+1",
            "cert_hash=00",
            &format!("cert={}0", hash(1)),
        ] {
            assert_eq!(ask(malformed).status, 500, "{malformed}");
        }
        assert_eq!(ask(&format!("cert=+1{}", &hash(1)[2..])).status, 500);
    }

    #[test]
    fn an_answer_that_never_closes_or_swells_is_refused() {
        let content_type = "multipart/related; boundary=b";
        let read = |body: Vec<u8>| read(200, content_type, Bytes::from(body), 1);
        assert_eq!(read(b"--b\r\n\r\nx\r\n--b--\r\n".to_vec()).unwrap(), ["x"]);
        assert_eq!(
            read(b"--b\r\n\r\nx\r\n--b\r\n".to_vec()),
            Err(HandOutError::Multipart(MultipartError::Cut))
        );
        let mut large = b"--b\r\n\r\n".to_vec();
        large.resize(limits::OCSP_RESPONSE + 100, b'x');
        assert_eq!(read(large), Err(HandOutError::TooLarge));
    }

    proptest! {
        #[test]
        fn no_query_and_no_answer_makes_it_panic(query in ".*", body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = ask(&query);
            let _ = read(200, "multipart/related; boundary=b", Bytes::from(body), 1);
        }
    }
}
