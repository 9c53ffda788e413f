//! What stands inside the blobs of an entry, before sealing and after opening: head, body, evidence, shared document. Owns
//! the layouts of `format.rs`; refuses whatever does not read to its last byte.

use zeroize::Zeroizing;

use super::{
    content::ContentId,
    format::{CHUNK, Cursor, length},
};

/// Version of every blob.
const VERSION: u8 = 1;

fn counted(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&length(bytes.len()).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn version(cursor: &mut Cursor<'_>) -> Option<()> {
    (cursor.u8()? == VERSION).then_some(())
}

/// The message and what it is found by.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Head<'a> {
    pub(crate) query_id: &'a str,
    pub(crate) request_id: &'a str,
    pub(crate) message: &'a [u8],
}

impl<'a> Head<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        counted(out, self.query_id.as_bytes());
        counted(out, self.request_id.as_bytes());
        out.extend_from_slice(self.message);
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        version(&mut cursor)?;
        let query_id = std::str::from_utf8(cursor.counted()?).ok()?;
        let request_id = std::str::from_utf8(cursor.counted()?).ok()?;
        Some(Self {
            query_id,
            request_id,
            message: cursor.0,
        })
    }
}

/// A body, or where it lies.
pub(crate) enum Body<'a> {
    Inline(&'a [u8]),
    Content {
        id: ContentId,
        key: Zeroizing<[u8; 32]>,
        length: u64,
    },
}

impl<'a> Body<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Self::Inline(bytes) => {
                out.push(1);
                out.extend_from_slice(bytes);
            }
            Self::Content {
                id,
                key,
                length: bytes,
            } => {
                out.push(2);
                out.extend_from_slice(&id.0);
                out.extend_from_slice(&**key);
                out.extend_from_slice(&bytes.to_be_bytes());
                out.extend_from_slice(&length(CHUNK).to_be_bytes());
            }
        }
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        version(&mut cursor)?;
        match cursor.u8()? {
            1 => Some(Self::Inline(cursor.0)),
            2 => {
                let (id, key, bytes) = (
                    ContentId(cursor.array()?),
                    Zeroizing::new(cursor.array()?),
                    cursor.u64()?,
                );
                let whole = cursor.u32()? == length(CHUNK) && cursor.0.is_empty();
                whole.then_some(Self::Content {
                    id,
                    key,
                    length: bytes,
                })
            }
            _ => None,
        }
    }
}

/// A signature document and the chain result it may stand on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shared<'a> {
    pub(crate) document: &'a [u8],
    pub(crate) chain_result: Option<&'a [u8]>,
}

impl<'a> Shared<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        counted(out, self.document);
        out.extend_from_slice(self.chain_result.unwrap_or_default());
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        version(&mut cursor)?;
        let document = cursor.counted()?;
        Some(Self {
            document,
            chain_result: (!cursor.0.is_empty()).then_some(cursor.0),
        })
    }
}

/// Where a shared document lies, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SharedPlace {
    /// First number of the segment.
    pub(crate) segment: u64,
    /// Its name there: the offset it was written at.
    pub(crate) name: u64,
    /// Bytes of its record.
    pub(crate) length: u32,
    pub(crate) key: Zeroizing<[u8; 32]>,
    /// SHA-512 of the signature document.
    pub(crate) digest: [u8; 64],
}

impl SharedPlace {
    /// Bytes of this field's value.
    const SIZE: usize = 8 + 8 + 4 + 32 + 64;
}

/// Everything that is known of an entry beside message and body. Fields that an entry of its kind does not have are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Evidence<'a> {
    pub(crate) salt: [u8; 32],
    /// Exactly the bytes that the commitment covers.
    pub(crate) parts: &'a [u8],
    pub(crate) millis: i64,
    pub(crate) shared: Option<SharedPlace>,
    pub(crate) chain: Option<&'a [u8]>,
    pub(crate) answers: Option<u64>,
    pub(crate) fault: Option<&'a str>,
    pub(crate) token: Option<&'a [u8]>,
    pub(crate) covered: Vec<u64>,
    /// What a fact says, by name.
    pub(crate) documents: Vec<(&'a str, &'a [u8])>,
    /// What of a message was not kept from the start.
    pub(crate) not_kept: NotKept,
    /// For a time-stamp over many: the digests of their signature documents, in the order of `covered`.
    pub(crate) digests: &'a [u8],
    /// For a time-stamp: every message below this number has one.
    pub(crate) stamped_below: Option<u64>,
    /// The entries that a fact concerns, as [`super::numbers`] writes them.
    pub(crate) concerned: Option<&'a [u8]>,
}

/// What of a message was not kept, by its node's own rule of logging.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NotKept {
    /// The message had a body.
    pub(crate) body: bool,
    /// The head is shortened.
    pub(crate) head: bool,
}

impl NotKept {
    fn code(self) -> u8 {
        u8::from(self.body) | u8::from(self.head) << 1
    }

    fn from_code(code: u8) -> Option<Self> {
        (code < 4).then_some(Self {
            body: code & 1 != 0,
            head: code & 2 != 0,
        })
    }
}

mod tag {
    pub(super) const SALT: u8 = 1;
    pub(super) const PARTS: u8 = 2;
    pub(super) const INSTANT: u8 = 3;
    pub(super) const SHARED: u8 = 4;
    pub(super) const CHAIN: u8 = 5;
    pub(super) const ANSWERS: u8 = 6;
    pub(super) const FAULT: u8 = 7;
    pub(super) const TOKEN: u8 = 8;
    pub(super) const COVERED: u8 = 9;
    pub(super) const DOCUMENTS: u8 = 10;
    pub(super) const CONCERNED: u8 = 11;
    pub(super) const NOT_KEPT: u8 = 12;
    pub(super) const DIGESTS: u8 = 13;
    pub(super) const STAMPED_BELOW: u8 = 14;
}

impl<'a> Evidence<'a> {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        let mut field = |tag: u8, value: &[u8]| {
            out.push(tag);
            counted(out, value);
        };
        field(tag::SALT, &self.salt);
        field(tag::PARTS, self.parts);
        field(tag::INSTANT, &self.millis.to_be_bytes());
        if let Some(place) = &self.shared {
            let mut value = Zeroizing::new(Vec::with_capacity(SharedPlace::SIZE));
            value.extend_from_slice(&place.segment.to_be_bytes());
            value.extend_from_slice(&place.name.to_be_bytes());
            value.extend_from_slice(&place.length.to_be_bytes());
            value.extend_from_slice(&*place.key);
            value.extend_from_slice(&place.digest);
            field(tag::SHARED, &value);
        }
        if let Some(chain) = self.chain {
            field(tag::CHAIN, chain);
        }
        if let Some(number) = self.answers {
            field(tag::ANSWERS, &number.to_be_bytes());
        }
        if let Some(fault) = self.fault {
            field(tag::FAULT, fault.as_bytes());
        }
        if let Some(token) = self.token {
            field(tag::TOKEN, token);
        }
        if !self.covered.is_empty() {
            let numbers: Vec<u8> = self
                .covered
                .iter()
                .flat_map(|number| number.to_be_bytes())
                .collect();
            field(tag::COVERED, &numbers);
        }
        if !self.documents.is_empty() {
            let mut documents = Vec::new();
            for (name, bytes) in &self.documents {
                counted(&mut documents, name.as_bytes());
                counted(&mut documents, bytes);
            }
            field(tag::DOCUMENTS, &documents);
        }
        if let Some(numbers) = self.concerned {
            field(tag::CONCERNED, numbers);
        }
        if self.not_kept != NotKept::default() {
            field(tag::NOT_KEPT, &[self.not_kept.code()]);
        }
        if !self.digests.is_empty() {
            field(tag::DIGESTS, self.digests);
        }
        if let Some(number) = self.stamped_below {
            field(tag::STAMPED_BELOW, &number.to_be_bytes());
        }
    }

    pub(crate) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        version(&mut cursor)?;
        let (mut evidence, mut last) = (Self::default(), 0);
        let mut seen_salt = false;
        while !cursor.0.is_empty() {
            let (tag, value) = (cursor.u8()?, cursor.counted()?);
            if tag <= last {
                return None;
            }
            last = tag;
            let mut value = Cursor(value);
            match tag {
                tag::SALT => {
                    evidence.salt = value.array()?;
                    seen_salt = true;
                }
                tag::PARTS => evidence.parts = value.take(value.0.len())?,
                tag::INSTANT => evidence.millis = value.array().map(i64::from_be_bytes)?,
                tag::SHARED => {
                    evidence.shared = Some(SharedPlace {
                        segment: value.u64()?,
                        name: value.u64()?,
                        length: value.u32()?,
                        key: Zeroizing::new(value.array()?),
                        digest: value.array()?,
                    });
                }
                tag::CHAIN => evidence.chain = value.take(value.0.len()),
                tag::ANSWERS => evidence.answers = Some(value.u64()?),
                tag::FAULT => evidence.fault = Some(std::str::from_utf8(value.take(value.0.len())?).ok()?),
                tag::TOKEN => evidence.token = value.take(value.0.len()),
                tag::COVERED => {
                    while !value.0.is_empty() {
                        evidence.covered.push(value.u64()?);
                    }
                }
                tag::DOCUMENTS => {
                    while !value.0.is_empty() {
                        let name = std::str::from_utf8(value.counted()?).ok()?;
                        evidence.documents.push((name, value.counted()?));
                    }
                }
                tag::CONCERNED => evidence.concerned = value.take(value.0.len()),
                tag::NOT_KEPT => evidence.not_kept = NotKept::from_code(value.u8()?)?,
                tag::DIGESTS => evidence.digests = value.take(value.0.len())?,
                tag::STAMPED_BELOW => evidence.stamped_below = Some(value.u64()?),
                // A later writer says more; what is known here stays readable.
                _ => _ = value.take(value.0.len()),
            }
            if !value.0.is_empty() {
                return None;
            }
        }
        seen_salt.then_some(evidence)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = SharedPlace> {
        (
            any::<u64>(),
            any::<u64>(),
            any::<u32>(),
            any::<[u8; 32]>(),
            any::<[u8; 32]>(),
        )
            .prop_map(|(segment, name, length, key, digest)| SharedPlace {
                segment,
                name,
                length,
                key: Zeroizing::new(key),
                digest: [digest, digest].concat().try_into().unwrap(),
            })
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..300)
    }

    proptest! {
        #[test]
        fn a_head_survives_a_round_trip(query_id in ".{0,40}", request_id in ".{0,40}", message in bytes()) {
            let head = Head { query_id: &query_id, request_id: &request_id, message: &message };
            let mut out = Vec::new();
            head.write(&mut out);
            prop_assert_eq!(Head::parse(&out), Some(head));
        }

        #[test]
        fn a_shared_document_survives_a_round_trip(document in bytes(), result in proptest::option::of(bytes())) {
            let result = result.filter(|result| !result.is_empty());
            let shared = Shared { document: &document, chain_result: result.as_deref() };
            let mut out = Vec::new();
            shared.write(&mut out);
            prop_assert_eq!(Shared::parse(&out), Some(shared));
        }

        #[test]
        fn evidence_survives_a_round_trip(
            salt: [u8; 32],
            parts in bytes(),
            millis: i64,
            shared in proptest::option::of(place()),
            chain in proptest::option::of(bytes()),
            answers: Option<u64>,
            fault in proptest::option::of("[a-z._]{0,40}"),
            token in proptest::option::of(bytes()),
            covered in proptest::collection::vec(any::<u64>(), 0..4),
            documents in proptest::collection::vec(("[a-z.]{0,12}", bytes()), 0..3),
            concerned in proptest::option::of(bytes()),
            not_kept in 0..4_u8,
            digests in bytes(),
            stamped_below: Option<u64>,
        ) {
            let evidence = Evidence {
                salt, parts: &parts, millis, shared, chain: chain.as_deref(), answers,
                fault: fault.as_deref(), token: token.as_deref(), covered,
                documents: documents.iter().map(|(name, bytes)| (&name[..], &bytes[..])).collect(),
                concerned: concerned.as_deref(),
                not_kept: NotKept::from_code(not_kept).unwrap(),
                digests: &digests, stamped_below,
            };
            let mut out = Vec::new();
            evidence.write(&mut out);
            prop_assert_eq!(Evidence::parse(&out), Some(evidence.clone()));
            out.extend_from_slice(&[200, 0, 0, 0, 2, 7, 7]);
            prop_assert_eq!(Evidence::parse(&out), Some(evidence));
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(first in 0..3_u8, bytes in bytes()) {
            let bytes = [&[first], &bytes[..]].concat();
            let _ = (Head::parse(&bytes), Body::parse(&bytes), Shared::parse(&bytes), Evidence::parse(&bytes));
        }

        #[test]
        fn evidence_that_was_cut_is_refused_or_shorter(cut: prop::sample::Index) {
            let evidence = Evidence { salt: [7; 32], parts: b"parts", millis: 5, answers: Some(3), ..Evidence::default() };
            let mut out = Vec::new();
            evidence.write(&mut out);
            let cut = cut.index(out.len());
            prop_assert_ne!(Evidence::parse(&out[..cut]), Some(evidence));
        }
    }

    #[test]
    fn a_body_says_its_bytes_or_where_they_lie() {
        let mut out = Vec::new();
        Body::Inline(b"small").write(&mut out);
        assert!(matches!(Body::parse(&out), Some(Body::Inline(b"small"))));
        let mut out = Vec::new();
        let (id, key) = (ContentId([9; 16]), Zeroizing::new([8; 32]));
        Body::Content {
            id,
            key: key.clone(),
            length: 1 << 40,
        }
        .write(&mut out);
        let Some(Body::Content {
            id: read,
            key: read_key,
            length,
        }) = Body::parse(&out)
        else {
            panic!("must be a content file");
        };
        assert!(read == id && read_key == key && length == 1 << 40);
        out.push(0);
        assert!(Body::parse(&out).is_none());
    }
}
