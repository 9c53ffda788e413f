//! HMAC-SHA-384 (RFC 2104) over a record, of which only bounds of the length may be known: the same calls of the compression
//! function, and the same memory accesses, whatever the length is between them (Lucky Thirteen, AlFardan and Paterson 2013).

use sha2::block_api::compress512;
use subtle::{Choice, ConstantTimeEq, ConstantTimeLess};
use zeroize::Zeroize;

/// Bytes of a tag.
pub(super) const TAG: usize = 48;
/// Bytes of the pseudo-header: sequence number, type, version, length (RFC 5246, 6.2.3.1).
pub(super) const HEADER: usize = 13;
const BLOCK: usize = 128;
/// What follows the content in the last block at least: a bit, and the length.
const CLOSING: usize = 1 + 16;

/// FIPS 180-4, 5.3.4.
const INITIAL: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

/// A key, as the states after its two paddings.
pub(super) struct MacKey {
    inner: [u64; 8],
    outer: [u64; 8],
}

impl Drop for MacKey {
    fn drop(&mut self) {
        self.inner.zeroize();
        self.outer.zeroize();
    }
}

#[cfg(test)]
thread_local! {
    /// Calls of the compression function on this thread.
    pub(super) static COMPRESSED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn compress(state: &mut [u64; 8], block: &[u8; BLOCK]) {
    #[cfg(test)]
    COMPRESSED.set(COMPRESSED.get() + 1);
    compress512(state, std::slice::from_ref(block));
}

/// All ones where it is true, else zero.
fn mask(choice: Choice) -> u8 {
    choice.unwrap_u8().wrapping_neg()
}

impl MacKey {
    /// A key of at most a block.
    pub(super) fn new(key: &[u8]) -> Self {
        let padded = |with: u8| {
            let mut block = [with; BLOCK];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let mut state = INITIAL;
            compress(&mut state, &block);
            block.zeroize();
            state
        };
        Self {
            inner: padded(0x36),
            outer: padded(0x5c),
        }
    }

    /// The tag of a record whose length is no secret.
    pub(super) fn tag(&self, header: &[u8; HEADER], content: &[u8]) -> [u8; TAG] {
        let end = content.len();
        self.tag_within(header, content, (end, end), u32_of(end))
    }

    /// The tag of the first `length` bytes of `data`. Only the bounds of `length`, the least and the most it may be, show in
    /// time; `most` is at most the length of `data`. The header holds the length already.
    pub(super) fn tag_within(
        &self,
        header: &[u8; HEADER],
        data: &[u8],
        (least, most): (usize, usize),
        length: u32,
    ) -> [u8; TAG] {
        // Where the message ends, behind the header; and in which block its length stands.
        let end = length + u32_of(HEADER);
        let last = (end + u32_of(CLOSING) - 1) / u32_of(BLOCK);
        let bits = (u128::from(end) + BLOCK as u128) * 8;
        let bits = bits.to_be_bytes();

        let byte_at = |at: usize| match at.checked_sub(HEADER) {
            None => header[at],
            Some(at) => data.get(at).copied().unwrap_or(0),
        };
        let mut state = self.inner;
        let mut block = [0; BLOCK];
        // Blocks that are whole whatever the length is.
        let whole = (HEADER + least) / BLOCK;
        for index in 0..whole {
            for (at, byte) in block.iter_mut().enumerate() {
                *byte = byte_at(index * BLOCK + at);
            }
            compress(&mut state, &block);
        }
        let blocks = (HEADER + most + CLOSING).div_ceil(BLOCK);
        let mut result = [0; 8];
        for index in whole..blocks {
            let is_last = u32_of(index).ct_eq(&last);
            for (at, byte) in block.iter_mut().enumerate() {
                let place = index * BLOCK + at;
                let (is_inside, is_end) = (u32_of(place).ct_lt(&end), u32_of(place).ct_eq(&end));
                *byte = (byte_at(place) & mask(is_inside)) | (0x80 & mask(is_end));
                if let Some(at) = at.checked_sub(BLOCK - bits.len()) {
                    *byte |= bits[at] & mask(is_last);
                }
            }
            compress(&mut state, &block);
            let taken = u64::from(is_last.unwrap_u8()).wrapping_neg();
            for (result, word) in result.iter_mut().zip(&state) {
                *result |= word & taken;
            }
        }
        self.closed(&result)
    }

    /// The outer hash of an inner state.
    fn closed(&self, inner: &[u64; 8]) -> [u8; TAG] {
        let mut block = [0; BLOCK];
        for (bytes, word) in block.chunks_exact_mut(8).zip(&inner[..TAG / 8]) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        block[TAG] = 0x80;
        let bits = ((BLOCK + TAG) as u64 * 8).to_be_bytes();
        block[BLOCK - bits.len()..].copy_from_slice(&bits);
        let mut state = self.outer;
        compress(&mut state, &block);
        let mut tag = [0; TAG];
        for (bytes, word) in tag.chunks_exact_mut(8).zip(&state) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        tag
    }
}

/// Lengths here are those of a record.
fn u32_of(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// The [`TAG`] bytes of `data` from the secret place `from` on, which lies between the bounds; `most + TAG` is at most the
/// length of `data`. Every byte that could belong to them is read, whatever the place is.
pub(super) fn tag_from(data: &[u8], (least, most): (usize, usize), from: u32) -> [u8; TAG] {
    let (mut rotated, mut offset) = ([0_u8; TAG], 0_u8);
    let (mut at, end) = (0, from + u32_of(TAG));
    for (place, byte) in data.iter().enumerate().take(most + TAG).skip(least) {
        let place = u32_of(place);
        let is_inside = !place.ct_lt(&from) & place.ct_lt(&end);
        rotated[at] |= byte & mask(is_inside);
        // Below 48: it fits.
        offset |= u8::try_from(at).unwrap_or(0) & mask(place.ct_eq(&from));
        at = if at + 1 == TAG { 0 } else { at + 1 };
    }
    // By powers of two, each taken or not.
    for power in 0..6 {
        let taken = mask(Choice::from((offset >> power) & 1));
        let before = rotated;
        for (index, byte) in rotated.iter_mut().enumerate() {
            let moved = before[(index + (1 << power)) % TAG];
            *byte = (moved & taken) | (before[index] & !taken);
        }
    }
    rotated
}
