//! A transport message as the list of its parts, whole in memory: what the tester sends, and what a subject sent.
//!
//! Owns the multipart bytes of wire 3.6 as the suite writes them and a plain reader for what a subject sends; refuses, when
//! reading, anything that wire 3.6 does not allow a sender.

use anyhow::{Result, anyhow, bail, ensure};

pub const OCSP: &str = "application/ocsp-response";
pub const REST_REQUEST: &str = "application/x-road-rest-request";
pub const REST_RESPONSE: &str = "application/x-road-rest-response";
pub const REST_BODY: &str = "application/x-road-rest-body";
pub const CHAIN_RESULT: &str = "application/hash-chain-result";
pub const CHAIN: &str = "application/hash-chain";
pub const SIGNATURE: &str = "signature/bdoc-1.0/ts";
pub const FAULT: &str = "text/xml; charset=UTF-8";

/// One part: content type, further header lines, bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub content_type: String,
    pub headers: Vec<(String, String)>,
    pub bytes: Vec<u8>,
}

/// The parts in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts(pub Vec<Part>);

/// The boundary the tester uses.
pub const BOUNDARY: &str = "xtopKontorConformanceBoundaryXyzAb";

/// Content type of a whole message with [`BOUNDARY`].
pub fn content_type() -> String {
    format!("multipart/mixed; charset=UTF-8; boundary={BOUNDARY}")
}

impl Parts {
    /// Adds a part at the end.
    pub fn push(&mut self, content_type: &str, bytes: impl Into<Vec<u8>>) {
        self.0.push(Part {
            content_type: content_type.into(),
            headers: Vec::new(),
            bytes: bytes.into(),
        });
    }

    /// The first part of `content_type`.
    pub fn find(&self, content_type: &str) -> Option<&Part> {
        self.0
            .iter()
            .find(|part| part.content_type.eq_ignore_ascii_case(content_type))
    }

    /// The bytes of the first part of `content_type`, to break them.
    pub fn bytes_mut(&mut self, content_type: &str) -> &mut Vec<u8> {
        let part = self
            .0
            .iter_mut()
            .find(|part| part.content_type.eq_ignore_ascii_case(content_type));
        &mut part.expect("a case breaks only parts that its message has").bytes
    }

    /// Takes the parts of `content_type` out.
    pub fn remove(&mut self, content_type: &str) {
        self.0
            .retain(|part| !part.content_type.eq_ignore_ascii_case(content_type));
    }

    /// The multipart bytes with [`BOUNDARY`] (wire 3.6: no line break before the first boundary).
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.encode_open();
        out.extend_from_slice(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        out
    }

    /// The same without the closing boundary, as a cut message looks.
    pub fn encode_open(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (index, part) in self.0.iter().enumerate() {
            if index > 0 {
                out.extend_from_slice(b"\r\n");
            }
            out.extend_from_slice(
                format!("--{BOUNDARY}\r\ncontent-type: {}\r\n", part.content_type).as_bytes(),
            );
            for (name, value) in &part.headers {
                out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
            }
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(&part.bytes);
        }
        out
    }

    /// Reads a message of a subject.
    pub fn read(content_type: &str, bytes: &[u8]) -> Result<Self> {
        let boundary = content_type
            .split(';')
            .find_map(|parameter| parameter.trim().strip_prefix("boundary="))
            .ok_or_else(|| anyhow!("content type without boundary: {content_type}"))?
            .trim_matches('"');
        ensure!(
            content_type.starts_with("multipart/mixed"),
            "not multipart/mixed: {content_type}"
        );
        let first = format!("--{boundary}\r\n");
        let between = format!("\r\n--{boundary}");
        let mut rest = bytes
            .strip_prefix(first.as_bytes())
            .ok_or_else(|| anyhow!("the message does not begin with its boundary (wire 3.6)"))?;
        let mut parts = Self::default();
        loop {
            let end = find(rest, between.as_bytes()).ok_or_else(|| anyhow!("a part has no end"))?;
            parts.0.push(read_part(&rest[..end])?);
            rest = &rest[end + between.len()..];
            if rest == b"--\r\n" {
                return Ok(parts);
            }
            rest = rest
                .strip_prefix(b"\r\n")
                .ok_or_else(|| anyhow!("something stands behind a boundary"))?;
        }
    }
}

fn read_part(bytes: &[u8]) -> Result<Part> {
    let end = find(bytes, b"\r\n\r\n").ok_or_else(|| anyhow!("a part has no end of headers"))?;
    let mut part = Part {
        content_type: String::new(),
        headers: Vec::new(),
        bytes: bytes[end + 4..].to_vec(),
    };
    for line in std::str::from_utf8(&bytes[..end])?.split("\r\n") {
        let Some((name, value)) = line.split_once(':') else {
            bail!("part header without colon: {line:?}")
        };
        if name.eq_ignore_ascii_case("content-type") {
            part.content_type = value.trim().to_owned();
        } else {
            part.headers.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    Ok(part)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let mut parts = Parts::default();
        parts.push(OCSP, b"\x30\x00".to_vec());
        parts.push(REST_BODY, b"a\r\n--x\r\n".to_vec());
        parts.push(SIGNATURE, b"".to_vec());
        assert_eq!(Parts::read(&content_type(), &parts.encode()).unwrap(), parts);
    }

    #[test]
    fn a_message_without_closing_boundary_is_refused() {
        let mut parts = Parts::default();
        parts.push(SIGNATURE, b"x".to_vec());
        assert!(Parts::read(&content_type(), &parts.encode_open()).is_err());
    }
}
