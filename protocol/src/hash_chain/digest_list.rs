//! DigestList: the DER list of digests whose hash is the value of a chain step (wire 4.3).

use kontor_pki::crypto::{DigestAlgorithm, sha512};

/// A list of digests, each with its algorithm, in the order in which the step names them.
///
/// ```text
/// DigestList   ::= SEQUENCE OF SEQUENCE { digestValue OCTET STRING, digestMethod UTF8String, transforms SEQUENCE {} }
/// ```
#[derive(Clone, Debug, Default)]
pub struct DigestList {
    items: Vec<u8>,
}

impl DigestList {
    /// An empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a digest. Its length is not looked at: Java does not, and DER keeps lists of other lengths apart.
    pub fn push(&mut self, algorithm: DigestAlgorithm, digest: &[u8]) {
        let uri = algorithm.uri().as_bytes();
        let length = header_length(digest.len()) + digest.len() + header_length(uri.len()) + uri.len() + 2;
        header(0x30, length, &mut self.items);
        header(0x04, digest.len(), &mut self.items);
        self.items.extend_from_slice(digest);
        header(0x0C, uri.len(), &mut self.items);
        self.items.extend_from_slice(uri);
        self.items.extend_from_slice(&[0x30, 0x00]);
    }

    /// The DER octets.
    #[must_use]
    pub fn der(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.items.len() + 5);
        header(0x30, self.items.len(), &mut out);
        out.extend_from_slice(&self.items);
        out
    }
}

/// The value of a step whose items all have SHA-512: what every chain of X-Road 7 consists of.
pub(super) fn step_value<'a>(digests: impl Iterator<Item = &'a [u8; 64]>) -> [u8; 64] {
    let mut list = DigestList::new();
    for digest in digests {
        list.push(DigestAlgorithm::Sha512, digest);
    }
    sha512(&list.der())
}

const fn header_length(length: usize) -> usize {
    match length {
        0..=0x7F => 2,
        0x80..=0xFF => 3,
        0x100..=0xFFFF => 4,
        _ => 5,
    }
}

/// Tag and length; no content here reaches 2^24 octets, because no chain does.
fn header(tag: u8, length: usize, out: &mut Vec<u8>) {
    out.push(tag);
    let octets = length.to_be_bytes();
    let octets = &octets[octets.len() - (header_length(length) - 1).max(1)..];
    if length > 0x7F {
        // The first octet of the slice is a leading zero; it becomes the count of those that follow.
        out.push(0x80 | (octets.len() as u8 - 1));
        out.extend_from_slice(&octets[1..]);
    } else {
        out.extend_from_slice(octets);
    }
}
