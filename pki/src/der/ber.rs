//! BER as some time-stamp authorities send it, rewritten as definite lengths.
//!
//! Owns indefinite lengths, lengths that are not minimal and OCTET STRINGs in pieces. Refuses nesting beyond
//! [`MAX_DEPTH`]. Order within sets and all primitive values stay as they are, so what was DER stays the same.

use super::{DerError, OCTET_STRING, Writer};

/// Deepest nesting; CMS with an embedded certificate needs about 12.
const MAX_DEPTH: usize = 32;

/// Rewrites the one element of `input`.
pub fn to_definite(input: &[u8]) -> Result<Vec<u8>, DerError> {
    let mut writer = Writer::new();
    let rest = element(input, &mut writer, 0)?;
    if rest.is_empty() {
        Ok(writer.finish())
    } else {
        Err(DerError("unexpected bytes at the end"))
    }
}

enum Length {
    Definite(usize),
    UntilEnd,
}

fn element<'a>(input: &'a [u8], writer: &mut Writer, depth: usize) -> Result<&'a [u8], DerError> {
    let short = DerError("ends within an element");
    if depth > MAX_DEPTH {
        return Err(DerError("nested too deeply"));
    }
    let (&tag, rest) = input.split_first().ok_or(short)?;
    if tag & 0x1f == 0x1f {
        return Err(DerError("tag above 30"));
    }
    let constructed = tag & 0x20 != 0;
    let (length, rest) = length(rest)?;
    let (contents, after) = match length {
        Length::Definite(len) => {
            let (contents, after) = rest.split_at_checked(len).ok_or(short)?;
            (contents, Some(after))
        }
        Length::UntilEnd if constructed => (rest, None),
        Length::UntilEnd => return Err(DerError("length form not allowed")),
    };
    if !constructed {
        writer.element(tag, contents);
        return after.ok_or(short);
    }
    let mut inner = Writer::new();
    let mut left = contents;
    let after = loop {
        match (left, after) {
            ([], Some(after)) => break after,
            ([0, 0, left @ ..], None) => break left,
            _ => left = element(left, &mut inner, depth + 1)?,
        }
    };
    let inner = inner.finish();
    if tag == OCTET_STRING | 0x20 {
        let mut joined = Vec::with_capacity(inner.len());
        let mut pieces = super::Reader::new(&inner);
        while !pieces.is_empty() {
            joined.extend_from_slice(pieces.octet_string()?);
        }
        writer.element(OCTET_STRING, &joined);
    } else {
        writer.element(tag, &inner);
    }
    Ok(after)
}

fn length(input: &[u8]) -> Result<(Length, &[u8]), DerError> {
    let short = DerError("ends within an element");
    let (&first, rest) = input.split_first().ok_or(short)?;
    match first {
        0..=0x7f => Ok((Length::Definite(usize::from(first)), rest)),
        0x80 => Ok((Length::UntilEnd, rest)),
        0x81..=0x88 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(short)?;
            let len = bytes.iter().fold(0_u64, |len, &byte| len << 8 | u64::from(byte));
            Ok((Length::Definite(usize::try_from(len).map_err(|_| short)?), rest))
        }
        _ => Err(DerError("length form not allowed")),
    }
}
