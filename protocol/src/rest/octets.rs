//! Octets of HTTP headers as text and back (wire Annex C).
//!
//! HTTP does not say what octets above ASCII mean. What is valid UTF-8 stays as it is, so that a sender of UTF-8 is not
//! encoded twice; other octets are ISO-8859-1. Towards an information system text goes out as ISO-8859-1 where it fits.

use std::borrow::Cow;

/// Header octets as text, blanks at the ends removed as HTTP prescribes.
#[must_use]
pub fn from_wire(octets: &[u8]) -> Cow<'_, str> {
    let octets = trimmed(octets);
    match std::str::from_utf8(octets) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(octets.iter().map(|&octet| char::from(octet)).collect()),
    }
}

/// Text as header octets: ISO-8859-1 if every character fits, else UTF-8.
#[must_use]
pub fn to_wire(text: &str) -> Cow<'_, [u8]> {
    if text.is_ascii() {
        return Cow::Borrowed(text.as_bytes());
    }
    let latin: Result<Vec<u8>, _> = text.chars().map(u8::try_from).collect();
    latin.map_or(Cow::Borrowed(text.as_bytes()), Cow::Owned)
}

fn trimmed(octets: &[u8]) -> &[u8] {
    let blank = |octet: &u8| matches!(octet, b' ' | b'\t');
    let start = octets
        .iter()
        .position(|octet| !blank(octet))
        .unwrap_or(octets.len());
    let end = octets
        .iter()
        .rposition(|octet| !blank(octet))
        .map_or(start, |last| last + 1);
    &octets[start..end]
}
