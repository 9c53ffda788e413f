//! Errors towards a REST information system: status, `X-Road-Error` and a JSON or XML body (wire 2.8).
//!
//! Owns the choice by `Accept` and the bytes of the bodies. An error answer of a *service* is not an X-Road error and
//! never comes here.

use super::{ForeignFault, is_server_fault};

/// The header that tells an X-Road error from an answer of the service.
pub const ERROR_HEADER: &str = "X-Road-Error";

/// How an information system wants to read errors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ErrorFormat {
    /// JSON, unless asked otherwise.
    #[default]
    Json,
    /// XML as `text/xml`.
    TextXml,
    /// XML as `application/xml`.
    ApplicationXml,
}

impl ErrorFormat {
    /// The format for an `Accept` header: the first XML type it lists, else JSON.
    #[must_use]
    pub fn from_accept(accept: Option<&str>) -> Self {
        let essences = accept
            .unwrap_or_default()
            .split(',')
            .map(|range| range.split(';').next().unwrap_or_default());
        for essence in essences {
            match essence.trim().to_ascii_lowercase().as_str() {
                "text/xml" | "text/*" => return Self::TextXml,
                "application/xml" => return Self::ApplicationXml,
                _ => {}
            }
        }
        Self::Json
    }

    /// The content type of the body.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=utf-8",
            Self::TextXml => "text/xml;charset=utf-8",
            Self::ApplicationXml => "application/xml;charset=utf-8",
        }
    }
}

/// 500 for faults of servers, 400 for the rest.
#[must_use]
pub fn status(fault: &ForeignFault) -> u16 {
    if is_server_fault(&fault.code) { 500 } else { 400 }
}

/// The value of [`ERROR_HEADER`]. A code from a peer can hold line breaks: what no header can carry becomes a blank.
#[must_use]
pub fn error_header(fault: &ForeignFault) -> String {
    fault
        .code
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
        .collect()
}

/// The body in the format chosen.
#[must_use]
pub fn body(fault: &ForeignFault, format: ErrorFormat) -> Vec<u8> {
    match format {
        ErrorFormat::Json => json(fault),
        ErrorFormat::TextXml | ErrorFormat::ApplicationXml => xml(fault),
    }
}

fn json(fault: &ForeignFault) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        r#type: &'a str,
        message: &'a str,
        detail: &'a str,
    }
    serde_json::to_vec(&Body {
        r#type: &fault.code,
        message: &fault.text,
        detail: &fault.detail,
    })
    .expect("three strings are always JSON")
}

fn xml(fault: &ForeignFault) -> Vec<u8> {
    let mut out = String::from(r#"<?xml version="1.0" encoding="UTF-8" standalone="no"?><error><type>"#);
    push_escaped(&mut out, &fault.code);
    out.push_str("</type><message>");
    push_escaped(&mut out, &fault.text);
    out.push_str("</message><detail>");
    push_escaped(&mut out, &fault.detail);
    out.push_str("</detail></error>");
    out.into_bytes()
}

/// Text as character data; quotes stay, unlike in SOAP faults.
fn push_escaped(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\r' => out.push_str("&#13;"),
            '\n' | '\t' => out.push(c),
            '\u{FFFE}' | '\u{FFFF}' => out.push('\u{FFFD}'),
            c if c < ' ' => out.push('\u{FFFD}'),
            c => out.push(c),
        }
    }
}
