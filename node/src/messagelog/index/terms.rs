//! Keys and values of the search index. They may change with [`FORMAT`]: an index of another format is made anew.
//!
//! | Key | Value |
//! |---|---|
//! | `m` | format, 2 (1), position (8), SHA-256 of the leaf before it (32) |
//! | `k` class `.` period (4) era (4) | first 8 bytes of HMAC(index key, `check`): whether the key is the one that was used |
//! | `q` era (4) bucket (1) piece (2) | for each query id of the bucket its mark (7) and its number within the era (2) |
//! | `p` first 8 bytes of SHA-256(field, 0, text), block (4) | numbers in the block, each as distance (LEB128) |
//! | `t` block (4) | earliest and latest second in the block (8 each) |
//! | `o` number / 64 (8) | first number of the segment (8), offset of the record in it (8), of the first such entry |
//! | `z` number of a time-stamp entry (8) | numbers covered, in ascending order, each as distance |
//!
//! A block is 1024 numbers, an era 65,536. Bucket and mark of a query id are the first 8 bytes of HMAC(index key of the
//! entry's period, query id): many ids share a value, because the map's cost is the number of values that change. A piece
//! is full at 256 ids. All integers in keys are big-endian, so that order is order of numbers.

use kontor_pki::crypto::{hmac_sha256, sha256};
use kontor_protocol::log::Leaf;

/// Version of everything on this page.
pub(crate) const FORMAT: u8 = 2;
/// Numbers in a block.
pub(crate) const BLOCK: u64 = 1024;
/// Numbers in an era.
pub(crate) const ERA: u64 = 64 * BLOCK;
/// Bytes of a full piece of a bucket.
pub(crate) const PIECE: usize = 256 * ITEM;
const ITEM: usize = 9;
/// One place of a record is kept for so many entries.
pub(crate) const STRIDE: u64 = 64;

pub(crate) const META: &[u8] = b"m";

/// A field by whose value entries are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Field {
    Client,
    Kind,
    /// The member of the client or of the provider.
    Member,
    Provider,
    /// On either side.
    Server,
    Service,
}

/// A field with a value, as it stands in keys.
pub(crate) type Term = [u8; 8];

pub(crate) fn term(field: Field, text: &str) -> Term {
    let field = match field {
        Field::Client => "client",
        Field::Kind => "kind",
        Field::Member => "member",
        Field::Provider => "provider",
        Field::Server => "server",
        Field::Service => "service",
    };
    let digest = sha256(&[field.as_bytes(), &[0], text.as_bytes()].concat());
    *digest.first_chunk().expect("a digest is longer")
}

/// Every term by which an entry with this leaf is found.
pub(crate) fn terms(leaf: &Leaf) -> Vec<Term> {
    let mut terms = vec![term(Field::Kind, &leaf.kind.code().to_string())];
    let mut add = |field, text: String| {
        let term = term(field, &text);
        if !terms.contains(&term) {
            terms.push(term);
        }
    };
    if let Some(client) = &leaf.client {
        add(Field::Client, client.to_string());
        add(Field::Member, client.member().to_string());
    }
    if let Some(service) = &leaf.service {
        // Whoever names no version means all of them.
        add(
            Field::Service,
            format!("{}/{}", service.provider(), service.code()),
        );
        add(Field::Provider, service.provider().to_string());
        add(Field::Member, service.provider().member().to_string());
    }
    for server in [&leaf.client_server, &leaf.provider_server].into_iter().flatten() {
        add(Field::Server, server.to_string());
    }
    terms
}

pub(crate) fn block(number: u64) -> u32 {
    u32::try_from(number / BLOCK).unwrap_or(u32::MAX)
}

fn key(tag: u8, pieces: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + pieces.iter().map(|piece| piece.len()).sum::<usize>());
    key.push(tag);
    pieces.iter().for_each(|piece| key.extend_from_slice(piece));
    key
}

pub(crate) fn era(number: u64) -> u32 {
    u32::try_from(number / ERA).unwrap_or(u32::MAX)
}

/// Bucket and mark of a query id.
pub(crate) type QueryMark = (u8, [u8; 7]);

pub(crate) fn query_mark(index_key: &[u8; 32], query_id: &str) -> QueryMark {
    let mac = hmac_sha256(index_key, &[b"query id", &[0], query_id.as_bytes()]);
    let mark = mac[1..].first_chunk().expect("it is longer");
    (mac[0], *mark)
}

/// What every piece of a bucket begins with.
pub(crate) fn bucket_prefix(era: u32, bucket: u8) -> Vec<u8> {
    key(b'q', &[&era.to_be_bytes(), &[bucket]])
}

pub(crate) fn piece_key(era: u32, bucket: u8, piece: u16) -> Vec<u8> {
    let mut key = bucket_prefix(era, bucket);
    key.extend_from_slice(&piece.to_be_bytes());
    key
}

/// Puts a query id into the value of a piece.
pub(crate) fn add_to_piece(value: &mut Vec<u8>, mark: &[u8; 7], number: u64) {
    let within = (number % ERA).to_be_bytes();
    value.extend_from_slice(mark);
    value.extend_from_slice(&within[6..]);
}

/// The items of a piece: mark and number. `None` for bytes that are no such value.
pub(crate) fn piece_items(era: u32, value: &[u8]) -> Option<impl Iterator<Item = (&[u8; 7], u64)>> {
    let (items, rest) = value.as_chunks::<ITEM>();
    let first = u64::from(era) * ERA;
    let item = move |item: &'_ [u8; ITEM]| first + u64::from(u16::from_be_bytes([item[7], item[8]]));
    rest.is_empty().then(|| {
        items
            .iter()
            .map(move |bytes| (bytes.first_chunk().expect("an item is longer"), item(bytes)))
    })
}

pub(crate) fn key_check(index_key: &[u8; 32]) -> [u8; 8] {
    let mac = hmac_sha256(index_key, &[b"check"]);
    *mac.first_chunk().expect("it is longer")
}

/// What the keys of a class and period begin with.
pub(crate) fn check_prefix(class: &str, period: u32) -> Vec<u8> {
    key(b'k', &[class.as_bytes(), b".", &period.to_be_bytes()])
}

pub(crate) fn check_key(class: &str, period: u32, era: u32) -> Vec<u8> {
    let mut key = check_prefix(class, period);
    key.extend_from_slice(&era.to_be_bytes());
    key
}

/// Class, period and era of a key that [`check_key`] made.
pub(crate) fn parse_check_key(key: &[u8]) -> Option<(&str, u32, u32)> {
    let (rest, era) = key.strip_prefix(b"k")?.split_last_chunk::<4>()?;
    let (class, period) = rest.split_last_chunk::<4>()?;
    let class = std::str::from_utf8(class.strip_suffix(b".")?).ok()?;
    Some((class, u32::from_be_bytes(*period), u32::from_be_bytes(*era)))
}

pub(crate) fn posting_key(term: &Term, block: u32) -> Vec<u8> {
    key(b'p', &[term, &block.to_be_bytes()])
}

pub(crate) fn time_key(block: u32) -> Vec<u8> {
    key(b't', &[&block.to_be_bytes()])
}

pub(crate) fn place_key(number: u64) -> Vec<u8> {
    key(b'o', &[&(number / STRIDE).to_be_bytes()])
}

pub(crate) fn stamp_key(number: u64) -> Vec<u8> {
    key(b'z', &[&number.to_be_bytes()])
}

/// The number at the end of a key.
pub(crate) fn number_of(key: &[u8]) -> Option<u64> {
    key.last_chunk().map(|number| u64::from_be_bytes(*number))
}

pub(crate) fn pair(first: u64, second: u64) -> Vec<u8> {
    [first.to_be_bytes(), second.to_be_bytes()].concat()
}

pub(crate) fn parse_pair(value: &[u8]) -> Option<(u64, u64)> {
    let (first, second) = value.split_first_chunk::<8>()?;
    let second: [u8; 8] = second.try_into().ok()?;
    Some((u64::from_be_bytes(*first), u64::from_be_bytes(second)))
}

pub(crate) fn meta(position: u64, leaf: &[u8; 32]) -> Vec<u8> {
    let mut value = vec![FORMAT];
    value.extend_from_slice(&position.to_be_bytes());
    value.extend_from_slice(leaf);
    value
}

pub(crate) fn parse_meta(value: &[u8]) -> Option<(u64, [u8; 32])> {
    let rest = value.strip_prefix(&[FORMAT])?;
    let (position, leaf) = rest.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*position), leaf.try_into().ok()?))
}

/// Ascending numbers as distances: the first from `from`, each from the one before.
pub(crate) fn distances(from: u64, numbers: &[u64]) -> Vec<u8> {
    let (mut bytes, mut at) = (Vec::with_capacity(numbers.len() + 8), from);
    for number in numbers {
        let mut value = number.saturating_sub(at);
        while value >= 0x80 {
            bytes.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
        at = *number;
    }
    bytes
}

/// The numbers again; `None` for bytes that [`distances`] did not write.
pub(crate) fn numbers(from: u64, bytes: &[u8]) -> Option<Vec<u64>> {
    let (mut numbers, mut at, mut value, mut shift) = (Vec::new(), from, 0_u64, 0_u32);
    for byte in bytes {
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 != 0 {
            shift += 7;
            continue;
        }
        at = at.checked_add(value)?;
        numbers.push(at);
        (value, shift) = (0, 0);
    }
    (shift == 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_survive_a_round_trip(from in 0..1_u64 << 40, steps in proptest::collection::vec(0..1_u64 << 20, 0..50)) {
            let numbers_in: Vec<u64> = steps.iter().scan(from, |at, step| { *at += step; Some(*at) }).collect();
            prop_assert_eq!(numbers(from, &distances(from, &numbers_in)), Some(numbers_in));
        }

        #[test]
        fn arbitrary_values_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = numbers(u64::MAX / 2, &bytes);
            let _ = parse_meta(&bytes);
            let _ = parse_pair(&bytes);
            let _ = parse_check_key(&bytes);
            let _ = number_of(&bytes);
            let _ = piece_items(u32::MAX, &bytes).map(Iterator::count);
        }
    }

    #[test]
    fn a_query_id_stands_in_no_value_and_its_mark_needs_the_key() {
        let (mine, other) = (
            query_mark(&[7; 32], "antrag-4711"),
            query_mark(&[8; 32], "antrag-4711"),
        );
        assert_ne!(mine, other);
        let mut value = Vec::new();
        add_to_piece(&mut value, &mine.1, 3 * ERA + 65_535);
        add_to_piece(&mut value, &other.1, 3 * ERA);
        assert!(!value.windows(6).any(|window| window == b"antrag"));
        let items: Vec<_> = piece_items(3, &value).unwrap().collect();
        assert_eq!(items, [(&mine.1, 3 * ERA + 65_535), (&other.1, 3 * ERA)]);
        assert!(piece_items(3, &value[1..]).is_none());
        assert_eq!(
            parse_check_key(&check_key("case", 203_001, 9)),
            Some(("case", 203_001, 9))
        );
    }
}
