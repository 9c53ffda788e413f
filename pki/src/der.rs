//! Bounded reading and writing of DER.
//!
//! Owns tags, lengths, the few primitive types our messages use, and both ASN.1 time forms. A reader hands out raw
//! slices, so that what is signed or hashed is what was received. Refuses indefinite lengths, lengths that are not
//! minimal, tags above 30 and anything after the end; `der/ber.rs` rewrites the BER that some time-stamp authorities
//! send.

mod ber;

pub use ber::to_definite;

use crate::time::{Civil, UnixTime, digits, fraction_millis};

/// BOOLEAN.
pub const BOOLEAN: u8 = 0x01;
/// INTEGER.
pub const INTEGER: u8 = 0x02;
/// BIT STRING.
pub const BIT_STRING: u8 = 0x03;
/// OCTET STRING.
pub const OCTET_STRING: u8 = 0x04;
/// NULL.
pub const NULL: u8 = 0x05;
/// OBJECT IDENTIFIER.
pub const OID: u8 = 0x06;
/// ENUMERATED.
pub const ENUMERATED: u8 = 0x0a;
/// UTF8String.
pub const UTF8_STRING: u8 = 0x0c;
/// SEQUENCE, constructed.
pub const SEQUENCE: u8 = 0x30;
/// SET, constructed.
pub const SET: u8 = 0x31;
/// UTCTime.
pub const UTC_TIME: u8 = 0x17;
/// GeneralizedTime.
pub const GENERALIZED_TIME: u8 = 0x18;

/// Tag byte of `[number]`, constructed. `number` is at most 30.
pub const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Tag byte of `[number]`, primitive. `number` is at most 30.
pub const fn context_primitive(number: u8) -> u8 {
    0x80 | number
}

/// The bytes are not the DER that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed DER: {0}")]
pub struct DerError(pub &'static str);

/// One tag-length-value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Element<'a> {
    /// The tag byte, class and constructed bit included.
    pub tag: u8,
    /// What the length covers.
    pub value: &'a [u8],
    /// Tag, length and value as received.
    pub raw: &'a [u8],
}

impl<'a> Element<'a> {
    /// A reader over the value of a constructed element.
    pub fn contents(&self) -> Reader<'a> {
        Reader::new(self.value)
    }

    /// The bytes of a BIT STRING that is a whole number of bytes.
    pub fn bit_string(&self) -> Result<&'a [u8], DerError> {
        match (self.tag, self.value) {
            (BIT_STRING, [0, bytes @ ..]) => Ok(bytes),
            _ => Err(DerError("expected a BIT STRING of whole bytes")),
        }
    }

    /// The instant of a UTCTime or GeneralizedTime, in UTC; a fraction of a second is cut to milliseconds.
    pub fn time(&self) -> Result<UnixTime, DerError> {
        let wrong = DerError("expected a time in UTC");
        let text = self.value.strip_suffix(b"Z").ok_or(wrong)?;
        let (year, rest) = match self.tag {
            UTC_TIME => {
                let (year, rest) = text.split_at_checked(2).ok_or(wrong)?;
                let year = digits(year).map_err(|_| wrong)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = text.split_at_checked(4).ok_or(wrong)?;
                (digits(year).map_err(|_| wrong)?, rest)
            }
            _ => return Err(wrong),
        };
        let (fields, fraction) = rest.split_at_checked(10).ok_or(wrong)?;
        let field = |at: usize| digits(&fields[at..at + 2]).map_err(|_| wrong);
        let civil = Civil {
            year,
            month: field(0)?,
            day: field(2)?,
            hour: field(4)?,
            minute: field(6)?,
            second: field(8)?,
        };
        let whole = civil.to_unix().map_err(|_| wrong)?;
        let millis = match fraction {
            [] => 0,
            [b'.', fraction @ ..] if self.tag == GENERALIZED_TIME => {
                fraction_millis(fraction).map_err(|_| wrong)?
            }
            _ => return Err(wrong),
        };
        Ok(UnixTime::from_millis(whole.millis() + millis))
    }
}

/// Reads elements one after another.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    input: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader over `input`.
    pub const fn new(input: &'a [u8]) -> Self {
        Self { input }
    }

    /// True when nothing is left.
    pub const fn is_empty(&self) -> bool {
        self.input.is_empty()
    }

    /// What is left.
    pub const fn rest(&self) -> &'a [u8] {
        self.input
    }

    /// The tag byte of the next element.
    pub fn peek(&self) -> Option<u8> {
        self.input.first().copied()
    }

    /// The next element, whatever its tag.
    pub fn any(&mut self) -> Result<Element<'a>, DerError> {
        let short = DerError("ends within an element");
        let (&tag, rest) = self.input.split_first().ok_or(short)?;
        if tag & 0x1f == 0x1f {
            return Err(DerError("tag above 30"));
        }
        let (&first, rest) = rest.split_first().ok_or(short)?;
        let (len, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f)).ok_or(short)?;
                let len = bytes.iter().fold(0_u64, |len, &byte| len << 8 | u64::from(byte));
                if bytes[0] == 0 || len < 0x80 {
                    return Err(DerError("length is not minimal"));
                }
                (usize::try_from(len).map_err(|_| short)?, rest)
            }
            _ => return Err(DerError("length form not allowed")),
        };
        let (value, after) = rest.split_at_checked(len).ok_or(short)?;
        let raw = &self.input[..self.input.len() - after.len()];
        self.input = after;
        Ok(Element { tag, value, raw })
    }

    /// The next element, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Result<Element<'a>, DerError> {
        let mut ahead = *self;
        let element = ahead.any()?;
        if element.tag != tag {
            return Err(DerError("unexpected tag"));
        }
        *self = ahead;
        Ok(element)
    }

    /// The next element if it has this tag.
    pub fn optional(&mut self, tag: u8) -> Result<Option<Element<'a>>, DerError> {
        if self.peek() == Some(tag) {
            self.any().map(Some)
        } else {
            Ok(None)
        }
    }

    /// A reader over the contents of the next element, a SEQUENCE.
    pub fn sequence(&mut self) -> Result<Self, DerError> {
        Ok(self.expect(SEQUENCE)?.contents())
    }

    /// The contents of an OBJECT IDENTIFIER.
    pub fn oid(&mut self) -> Result<&'a [u8], DerError> {
        Ok(self.expect(OID)?.value)
    }

    /// The contents of an INTEGER, minimal two's complement.
    pub fn integer(&mut self) -> Result<&'a [u8], DerError> {
        let value = self.expect(INTEGER)?.value;
        match value {
            [] => Err(DerError("empty INTEGER")),
            [0, next, ..] if next & 0x80 == 0 => Err(DerError("INTEGER is not minimal")),
            [0xff, next, ..] if next & 0x80 != 0 => Err(DerError("INTEGER is not minimal")),
            _ => Ok(value),
        }
    }

    /// A non-negative INTEGER that fits.
    pub fn small_integer(&mut self) -> Result<u32, DerError> {
        let value = self.integer()?;
        let magnitude = value.strip_prefix(&[0]).unwrap_or(value);
        if value[0] & 0x80 != 0 || magnitude.len() > 4 {
            return Err(DerError("INTEGER out of range"));
        }
        Ok(magnitude.iter().fold(0, |sum, &byte| sum << 8 | u32::from(byte)))
    }

    /// The bytes of an OCTET STRING.
    pub fn octet_string(&mut self) -> Result<&'a [u8], DerError> {
        Ok(self.expect(OCTET_STRING)?.value)
    }

    /// The bytes of a BIT STRING that is a whole number of bytes.
    pub fn bit_string(&mut self) -> Result<&'a [u8], DerError> {
        self.expect(BIT_STRING)?.bit_string()
    }

    /// A BOOLEAN, DER values only.
    pub fn boolean(&mut self) -> Result<bool, DerError> {
        match self.expect(BOOLEAN)?.value {
            [0x00] => Ok(false),
            [0xff] => Ok(true),
            _ => Err(DerError("BOOLEAN is neither 00 nor FF")),
        }
    }

    /// A GeneralizedTime.
    pub fn generalized_time(&mut self) -> Result<UnixTime, DerError> {
        self.expect(GENERALIZED_TIME)?.time()
    }

    /// Refuses anything left over.
    pub fn end(&self) -> Result<(), DerError> {
        if self.input.is_empty() {
            Ok(())
        } else {
            Err(DerError("unexpected bytes at the end"))
        }
    }
}

/// The only element of `input`, which must have this tag.
pub fn only(input: &[u8], tag: u8) -> Result<Element<'_>, DerError> {
    let mut reader = Reader::new(input);
    let element = reader.expect(tag)?;
    reader.end()?;
    Ok(element)
}

/// Writes elements one after another.
#[derive(Debug, Clone, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty writer.
    pub const fn new() -> Self {
        Self { out: Vec::new() }
    }

    /// An element with these contents.
    pub fn element(&mut self, tag: u8, value: &[u8]) -> &mut Self {
        self.out.push(tag);
        let len = value.len();
        if len < 0x80 {
            self.out.push(len as u8);
        } else {
            let bytes = len.to_be_bytes();
            let skip = bytes.iter().take_while(|&&byte| byte == 0).count();
            self.out.push(0x80 | (bytes.len() - skip) as u8);
            self.out.extend_from_slice(&bytes[skip..]);
        }
        self.out.extend_from_slice(value);
        self
    }

    /// An element whose contents `fill` writes.
    pub fn constructed(&mut self, tag: u8, fill: impl FnOnce(&mut Self)) -> &mut Self {
        let mut inner = Self::new();
        fill(&mut inner);
        self.element(tag, &inner.out)
    }

    /// A SEQUENCE whose contents `fill` writes.
    pub fn sequence(&mut self, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.constructed(SEQUENCE, fill)
    }

    /// Bytes that are DER already.
    pub fn raw(&mut self, der: &[u8]) -> &mut Self {
        self.out.extend_from_slice(der);
        self
    }

    /// An OBJECT IDENTIFIER by its encoded contents.
    pub fn oid(&mut self, contents: &[u8]) -> &mut Self {
        self.element(OID, contents)
    }

    /// A non-negative INTEGER from its big-endian magnitude.
    pub fn unsigned(&mut self, magnitude: &[u8]) -> &mut Self {
        let start = magnitude
            .iter()
            .position(|&byte| byte != 0)
            .unwrap_or(magnitude.len());
        let mut value = Vec::with_capacity(magnitude.len() + 1);
        if magnitude.get(start).is_none_or(|byte| byte & 0x80 != 0) {
            value.push(0);
        }
        value.extend_from_slice(&magnitude[start..]);
        self.element(INTEGER, &value)
    }

    /// An INTEGER.
    pub fn integer(&mut self, value: u32) -> &mut Self {
        self.unsigned(&value.to_be_bytes())
    }

    /// An OCTET STRING.
    pub fn octet_string(&mut self, bytes: &[u8]) -> &mut Self {
        self.element(OCTET_STRING, bytes)
    }

    /// A BIT STRING of whole bytes.
    pub fn bit_string(&mut self, bytes: &[u8]) -> &mut Self {
        let mut value = vec![0];
        value.extend_from_slice(bytes);
        self.element(BIT_STRING, &value)
    }

    /// NULL.
    pub fn null(&mut self) -> &mut Self {
        self.element(NULL, &[])
    }

    /// BOOLEAN TRUE; FALSE is always a default and never written in DER.
    pub fn boolean_true(&mut self) -> &mut Self {
        self.element(BOOLEAN, &[0xff])
    }

    /// A GeneralizedTime in whole seconds, as RFC 5280 and RFC 6960 want it.
    pub fn generalized_time(&mut self, time: UnixTime) -> &mut Self {
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = time.civil();
        let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}Z");
        self.element(GENERALIZED_TIME, text.as_bytes())
    }

    /// A GeneralizedTime with milliseconds where there are any, as RFC 3161 wants it (no trailing zeros).
    pub fn generalized_time_millis(&mut self, time: UnixTime) -> &mut Self {
        let millis = time.millis().rem_euclid(1000);
        if millis == 0 {
            return self.generalized_time(time);
        }
        let Civil {
            year,
            month,
            day,
            hour,
            minute,
            second,
        } = time.civil();
        let fraction = format!("{millis:03}");
        let fraction = fraction.trim_end_matches('0');
        let text = format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}.{fraction}Z");
        self.element(GENERALIZED_TIME, text.as_bytes())
    }

    /// What was written.
    pub fn finish(self) -> Vec<u8> {
        self.out
    }
}

/// One SEQUENCE whose contents `fill` writes.
pub fn sequence(fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.sequence(fill);
    writer.finish()
}

/// The dotted form of an OBJECT IDENTIFIER's contents; `None` where it is malformed or an arc exceeds 64 bits.
pub fn oid_text(contents: &[u8]) -> Option<String> {
    if contents.last().is_none_or(|byte| byte & 0x80 != 0) {
        return None;
    }
    let mut text = String::new();
    let mut arc = 0_u64;
    for &byte in contents {
        if arc == 0 && byte == 0x80 || arc >> 57 != 0 {
            return None;
        }
        arc = arc << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if text.is_empty() {
                let first = (arc / 40).min(2);
                text = format!("{first}.{}", arc - first * 40);
            } else {
                text.push('.');
                text.push_str(&arc.to_string());
            }
            arc = 0;
        }
    }
    Some(text)
}

#[cfg(test)]
mod tests;
