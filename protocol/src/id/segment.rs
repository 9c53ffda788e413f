//! One segment of a path: percent-decoding and -encoding as X-Road does it (wire 1.3).
//!
//! Owns the two octet sets; knows nothing of identifiers. `+` is a plus, never a blank.

use super::InvalidId;

/// Decodes one segment; refuses octets that may not stand unescaped, broken escapes and what is not UTF-8.
pub fn decode(segment: &str) -> Result<String, InvalidId> {
    if segment.bytes().all(|b| stays(b) && b != b'%') {
        return Ok(segment.to_owned());
    }
    let mut out = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = match (first, tail) {
            (b'%', [high, low, tail @ ..]) => {
                let (Some(high), Some(low)) = (digit(*high), digit(*low)) else {
                    return Err(InvalidId::Encoding);
                };
                out.push(high << 4 | low);
                tail
            }
            (byte, tail) if stays(byte) => {
                out.push(byte);
                tail
            }
            _ => return Err(InvalidId::Encoding),
        };
    }
    String::from_utf8(out).map_err(|_| InvalidId::Encoding)
}

/// Encodes one segment: unreserved, sub-delims, `:` and `@` stay, the rest is upper-case `%XX` of its UTF-8.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    push_encoded(&mut out, text);
    out
}

/// [`encode`] onto the end of `out`.
pub(super) fn push_encoded(out: &mut String, text: &str) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        if stays(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// The octets that stand for themselves in a segment.
fn stays(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(&byte)
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}
