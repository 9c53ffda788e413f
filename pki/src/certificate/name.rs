//! Distinguished names: kept as received, compared byte for byte, read attribute by attribute.
//!
//! Owns the RFC 2253 text as Java's `X500Principal.getName()` writes it. Refuses to fold case or white space:
//! X-Road finds an issuer by the equality of encoded names (wire 8.2).

use std::fmt;
use std::hash::{Hash, Hasher};

use crate::der::{self, DerError, Reader};

/// Attributes that certificate profiles and test marks are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attribute {
    /// `CN`, 2.5.4.3.
    CommonName,
    /// `serialNumber`, 2.5.4.5.
    SerialNumber,
    /// `C`, 2.5.4.6; an instance identifier in the profile Ejbca.
    Country,
    /// `O`, 2.5.4.10.
    Organization,
    /// `OU`, 2.5.4.11.
    OrganizationalUnit,
    /// `businessCategory`, 2.5.4.15.
    BusinessCategory,
    /// `organizationIdentifier`, 2.5.4.97.
    OrganizationIdentifier,
}

impl Attribute {
    /// The arcs of the object identifier.
    pub const fn oid(self) -> [u64; 4] {
        [2, 5, 4, self.number() as u64]
    }

    const fn number(self) -> u8 {
        match self {
            Self::CommonName => 3,
            Self::SerialNumber => 5,
            Self::Country => 6,
            Self::Organization => 10,
            Self::OrganizationalUnit => 11,
            Self::BusinessCategory => 15,
            Self::OrganizationIdentifier => 97,
        }
    }
}

/// A distinguished name. Two are equal if their DER is.
#[derive(Clone)]
pub struct Name {
    der: Box<[u8]>,
    rdns: Box<[Box<[Value]>]>,
}

#[derive(Clone)]
struct Value {
    oid: Box<[u8]>,
    /// Absent for types that are no text or that Java misreads (BMPString, UniversalString).
    text: Option<Box<str>>,
    raw: Box<[u8]>,
}

/// More attributes than any name has.
const MAX_ATTRIBUTES: usize = 64;

impl Name {
    /// Reads the SEQUENCE of relative distinguished names.
    pub fn parse(der: &[u8]) -> Result<Self, DerError> {
        let mut sequence = der::only(der, der::SEQUENCE)?.contents();
        let mut rdns = Vec::new();
        let mut count = 0;
        while !sequence.is_empty() {
            let mut set = sequence.expect(der::SET)?.contents();
            let mut rdn = Vec::new();
            while !set.is_empty() {
                count += 1;
                if count > MAX_ATTRIBUTES {
                    return Err(DerError("name with more than 64 attributes"));
                }
                rdn.push(Value::read(set.sequence()?)?);
            }
            if rdn.is_empty() {
                return Err(DerError("empty relative distinguished name"));
            }
            rdns.push(rdn.into_boxed_slice());
        }
        Ok(Self {
            der: der.into(),
            rdns: rdns.into(),
        })
    }

    /// The name as received.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The first value of this attribute, in the order of the encoding; values that are no plain text are skipped.
    pub fn attribute(&self, attribute: Attribute) -> Option<&str> {
        self.values(attribute).next()
    }

    /// Every value of this attribute that is plain text.
    pub fn values(&self, attribute: Attribute) -> impl Iterator<Item = &str> {
        let oid = [0x55, 4, attribute.number()];
        self.rdns
            .iter()
            .flatten()
            .filter(move |value| *value.oid == oid)
            .filter_map(|value| value.text.as_deref())
    }

    /// How often the attribute occurs, whatever its type.
    pub(crate) fn count(&self, attribute: Attribute) -> usize {
        let oid = [0x55, 4, attribute.number()];
        self.rdns
            .iter()
            .flatten()
            .filter(|value| *value.oid == oid)
            .count()
    }

    /// True where one relative distinguished name holds several attributes.
    pub fn has_multi_valued_rdn(&self) -> bool {
        self.rdns.iter().any(|rdn| rdn.len() > 1)
    }

    /// RFC 2253 text as Java's `X500Principal.getName()` writes it: last attribute first, attributes without a keyword
    /// of RFC 2253 as dotted identifier with the value in hexadecimal.
    pub fn to_rfc2253(&self) -> String {
        let mut text = String::new();
        for (at, rdn) in self.rdns.iter().rev().enumerate() {
            if at > 0 {
                text.push(',');
            }
            for (at, value) in rdn.iter().enumerate() {
                if at > 0 {
                    text.push('+');
                }
                value.write_rfc2253(&mut text);
            }
        }
        text
    }
}

impl Value {
    fn read(mut pair: Reader<'_>) -> Result<Self, DerError> {
        const NUMERIC_STRING: u8 = 0x12;
        const PRINTABLE_STRING: u8 = 0x13;
        const TELETEX_STRING: u8 = 0x14;
        const IA5_STRING: u8 = 0x16;
        let oid = pair.oid()?;
        let value = pair.any()?;
        pair.end()?;
        let text = match value.tag {
            der::UTF8_STRING | NUMERIC_STRING | PRINTABLE_STRING | IA5_STRING => {
                std::str::from_utf8(value.value).ok().map(Into::into)
            }
            // Read as Latin-1, as Java does.
            TELETEX_STRING => Some(value.value.iter().map(|&byte| char::from(byte)).collect()),
            _ => None,
        };
        Ok(Self {
            oid: oid.into(),
            text,
            raw: value.raw.into(),
        })
    }

    fn write_rfc2253(&self, out: &mut String) {
        let keyword = match *self.oid {
            [0x55, 4, 3] => Some("CN"),
            [0x55, 4, 6] => Some("C"),
            [0x55, 4, 7] => Some("L"),
            [0x55, 4, 8] => Some("ST"),
            [0x55, 4, 9] => Some("STREET"),
            [0x55, 4, 10] => Some("O"),
            [0x55, 4, 11] => Some("OU"),
            [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => Some("DC"),
            [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => Some("UID"),
            _ => None,
        };
        match keyword {
            Some(keyword) => out.push_str(keyword),
            None => out.push_str(&der::oid_text(&self.oid).unwrap_or_else(|| "?".to_owned())),
        }
        out.push('=');
        let Some(text) = self.text.as_deref().filter(|_| keyword.is_some()) else {
            out.push('#');
            for byte in &self.raw {
                out.push_str(&format!("{byte:02x}"));
            }
            return;
        };
        let inner = text.trim_matches([' ', '\r']);
        let lead = text.len() - text.trim_start_matches([' ', '\r']).len();
        for (at, letter) in text.char_indices() {
            let outside = at < lead || at >= lead + inner.len();
            if outside || matches!(letter, ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\') {
                out.push('\\');
            }
            match letter {
                '\0' => out.push_str("\\00"),
                _ => out.push(letter),
            }
        }
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der.hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc2253())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}
