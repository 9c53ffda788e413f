//! The list of what was logged, and the commitment to it. Owns the layout of the page in [`super`].

use kontor_pki::crypto::{sha256, sha512};

use super::LeafError;
use crate::limits;

/// A part that goes into a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// For example `message.xml`.
    pub name: &'a str,
    /// Its bytes.
    pub length: u64,
    /// Its SHA-512.
    pub digest: &'a [u8; 64],
}

/// A part read from a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedPart {
    /// For example `message.xml`.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// Its SHA-512.
    pub digest: [u8; 64],
}

impl ListedPart {
    /// The same, borrowed.
    #[must_use]
    pub fn as_part(&self) -> Part<'_> {
        Part {
            name: &self.name,
            length: self.length,
            digest: &self.digest,
        }
    }
}

/// The bytes of a part list. Names are ours or from containers: at most [`limits::CONTAINER_NAME`] bytes each.
#[must_use]
pub fn encode_parts(parts: &[Part<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(2 + parts.len() * 104);
    out.extend(
        u16::try_from(parts.len())
            .expect("a handful of parts")
            .to_be_bytes(),
    );
    for part in parts {
        out.extend(
            u16::try_from(part.name.len())
                .expect("bounded by CONTAINER_NAME")
                .to_be_bytes(),
        );
        out.extend(part.name.as_bytes());
        out.extend(part.length.to_be_bytes());
        out.extend(part.digest);
    }
    out
}

/// Reads a part list.
///
/// # Errors
/// Bytes that [`encode_parts`] would not write.
pub fn parse_parts(bytes: &[u8]) -> Result<Vec<ListedPart>, LeafError> {
    fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Result<&'a [u8; N], LeafError> {
        let (piece, left) = rest.split_first_chunk().ok_or(LeafError::Length)?;
        *rest = left;
        Ok(piece)
    }
    let mut rest = bytes;
    let count = u16::from_be_bytes(*take(&mut rest)?);
    let mut parts = Vec::new();
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes(*take(&mut rest)?));
        let (name, left) = rest.split_at_checked(length).ok_or(LeafError::Length)?;
        rest = left;
        let name = std::str::from_utf8(name).map_err(|_| LeafError::Field("string"))?;
        if name.len() > limits::CONTAINER_NAME {
            return Err(LeafError::Field("name of a part"));
        }
        let length = u64::from_be_bytes(*take(&mut rest)?);
        parts.push(ListedPart {
            name: name.to_owned(),
            length,
            digest: *take(&mut rest)?,
        });
    }
    if rest.is_empty() {
        Ok(parts)
    } else {
        Err(LeafError::Length)
    }
}

/// The commitment of a leaf to a part list, blinded by 32 random bytes.
#[must_use]
pub fn commitment(salt: &[u8; 32], part_list: &[u8]) -> [u8; 32] {
    let mut input = Vec::with_capacity(13 + 32 + 64);
    input.extend(b"kontor/leaf/1");
    input.extend(salt);
    input.extend(sha512(part_list));
    sha256(&input)
}
