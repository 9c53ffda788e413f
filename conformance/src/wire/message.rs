//! The signed text of a REST request and response, written and read by the tester itself.
//!
//! Owns the bytes of wire 2.4 and 2.6 as the suite sends them, independent of the code under test; refuses nothing when
//! writing, because a tester must be able to write what is wrong.

use anyhow::{Context, Result, anyhow};
use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::crypto::sha512;

/// Lines of a REST message: two first ones and headers, without judgement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestText {
    /// Verb, or status.
    pub first: String,
    /// Raw target, or reason phrase.
    pub second: String,
    pub headers: Vec<(String, String)>,
}

impl RestText {
    /// A request of `verb` for the raw `target`.
    pub fn request(verb: &str, target: &str) -> Self {
        Self {
            first: verb.into(),
            second: target.into(),
            headers: Vec::new(),
        }
    }

    /// A response with `status` and `reason`.
    pub fn response(status: u16, reason: &str) -> Self {
        Self {
            first: status.to_string(),
            second: reason.into(),
            headers: Vec::new(),
        }
    }

    /// The same with one more header line at the end.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The bytes that are signed: every line ended by CRLF, no space after the colon (wire 2.4, 2.6).
    pub fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n{}\r\n", self.first, self.second);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}:{value}\r\n"));
        }
        text.into_bytes()
    }

    /// Reads what a subject sent; strict about the form that a subject has to send.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let text = std::str::from_utf8(bytes).context("a REST message is UTF-8 (wire 2.4)")?;
        let body = text
            .strip_suffix("\r\n")
            .ok_or_else(|| anyhow!("a REST message ends with CRLF (wire 2.4)"))?;
        let mut lines = body.split("\r\n");
        let mut line = || {
            lines
                .next()
                .ok_or_else(|| anyhow!("a REST message has two first lines"))
        };
        let (first, second) = (line()?.to_owned(), line()?.to_owned());
        let headers = lines
            .map(|line| {
                let (name, value) = line
                    .split_once(':')
                    .ok_or_else(|| anyhow!("header line without colon: {line:?}"))?;
                Ok((name.to_owned(), value.to_owned()))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            first,
            second,
            headers,
        })
    }

    /// The last value of header `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .rev()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// The hash of a request that its response carries (wire 2.7).
pub fn request_hash(message: &[u8], body: Option<&[u8]>) -> String {
    let message = sha512(message);
    BASE64_STANDARD.encode(match body {
        Some(body) => sha512(&[message, sha512(body)].concat()),
        None => message,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // Worked example of wire 2.7.
    #[test]
    fn the_request_hash_of_the_paper_comes_out() {
        let text = RestText::request("POST", "/r1/DE/GOV/08215000/FACH/meldung/v1/x?y=1")
            .with("X-Road-Client", "DE/GOV/09162000/PORTAL")
            .with("X-Road-Id", "id-1")
            .with("Content-Type", "application/json")
            .with("x-road-request-id", "3fe2d0f4-0f4f-4d5c-8b42-7f1f3e5d0001");
        assert_eq!(text.bytes().len(), 190);
        assert_eq!(
            request_hash(&text.bytes(), Some(b"{\"a\":1}")),
            "ZaobAKnaCnD6yCfb8ZgRXcz9pm1iKXAZc+ZFppDgGtgsNxehCNF/0Ipbpb65/I8poKJCLEBL3B6nV07XCwjvrg=="
        );
        assert_eq!(RestText::read(&text.bytes()).unwrap(), text);
    }
}
