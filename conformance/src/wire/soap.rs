//! SOAP faults between security servers, as the suite reads and sends them.
//!
//! Owns the comparison of fault codes: the last element is the cause, in either spelling (wire 3.7, 10.1); refuses to
//! compare prefixes, which Java servers do not agree on either.

use std::fmt;

use anyhow::{Result, anyhow};

/// A fault as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub code: String,
    pub text: String,
}

impl Fault {
    /// Whether the last element of the code is one of `causes`, given in the lower-case spelling.
    pub fn is_one_of(&self, causes: &[&str]) -> bool {
        let cause = plain(self.code.rsplit('.').next().unwrap_or(""));
        causes.iter().any(|expected| plain(expected) == cause)
    }

    /// Whether any element of the code is `element`.
    pub fn has(&self, element: &str) -> bool {
        self.code.split('.').any(|part| plain(part) == plain(element))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.code, self.text)
    }
}

/// `UnknownMember` and `unknown_member` are the same cause.
fn plain(element: &str) -> String {
    element
        .chars()
        .filter(|c| *c != '_')
        .flat_map(char::to_lowercase)
        .collect()
}

/// Reads the code and text of a fault document.
pub fn read(bytes: &[u8]) -> Result<Fault> {
    let xml = std::str::from_utf8(bytes)?;
    let code = element(xml, "faultcode").ok_or_else(|| anyhow!("no faultcode in {xml}"))?;
    Ok(Fault {
        code,
        text: element(xml, "faultstring").unwrap_or_default(),
    })
}

/// A fault document with `code`, as wire 2.9 has it.
pub fn write(code: &str, text: &str) -> Vec<u8> {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns:xroad=\"http://x-road.eu/xsd/xroad.xsd\"><SOAP-ENV:Body><SOAP-ENV:Fault><faultcode>{code}</faultcode>\
         <faultstring>{text}</faultstring><faultactor></faultactor><detail><faultDetail xmlns=\"\">\
         3fe2d0f4-0f4f-4d5c-8b42-7f1f3e5d0001</faultDetail></detail></SOAP-ENV:Fault></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
    .into_bytes()
}

fn element(xml: &str, name: &str) -> Option<String> {
    let (_, rest) = xml.split_once(&format!("<{name}"))?;
    let (_, rest) = rest.split_once('>')?;
    let (text, _) = rest.split_once(&format!("</{name}>"))?;
    Some(
        text.replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&quot;", "\"")
            .replace("&apos;", "'")
            .replace("&amp;", "&"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_cause() {
        let fault = |code: &str| read(&write(code, "x")).unwrap();
        assert!(fault("Server.ServerProxy.ServiceFailed.UnknownMember").is_one_of(&["unknown_member"]));
        assert!(fault("server.serverproxy.unknown_member").is_one_of(&["access_denied", "unknown_member"]));
        assert!(!fault("server.serverproxy.unknown_member.io_error").is_one_of(&["unknown_member"]));
        assert!(fault("server.serverproxy.unknown_member.io_error").has("unknown_member"));
    }
}
