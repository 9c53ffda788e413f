//! Records of TLS 1.2 in CBC mode (RFC 5246, 6.2.3.2): an explicit IV, then content, MAC and padding, encrypted.
//!
//! Opening takes the same time for every record of a length, whether padding, MAC, both or nothing are wrong; what is wrong is
//! not told.

use std::ops::Range;

use aes::cipher::{Array, BlockModeDecrypt, BlockModeEncrypt, InnerIvInit, KeyInit};
use aes::{Aes256Dec, Aes256Enc};
use subtle::{ConditionallySelectable, ConstantTimeEq, ConstantTimeLess};

use super::mac::{HEADER, MacKey, TAG, tag_from};

/// Bytes of a block of AES, and of an explicit IV.
const BLOCK: usize = 16;
/// The shortest record: IV, and a MAC with at least one byte of padding.
const SHORTEST: usize = BLOCK + (TAG / BLOCK + 1) * BLOCK;
/// The most that padding adds to its one byte.
const PADDING: usize = 255;

/// Sequence number, type and version of a record.
pub(super) type Head = (u64, u8, u16);

fn header((seq, typ, version): Head, length: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&seq.to_be_bytes());
    header[8] = typ;
    header[9..11].copy_from_slice(&version.to_be_bytes());
    header[11..].copy_from_slice(&length.to_be_bytes());
    header
}

/// Bytes of a record with a content of so many.
pub(super) fn sealed_len(content: usize) -> usize {
    BLOCK + (content + TAG + 1).next_multiple_of(BLOCK)
}

/// The keys of one direction, to send.
pub(super) struct Sealer {
    mac: MacKey,
    aes: Aes256Enc,
}

impl Sealer {
    pub(super) fn new(mac: &[u8], aes: &[u8]) -> Self {
        Self {
            mac: MacKey::new(mac),
            aes: Aes256Enc::new_from_slice(aes).expect("the key block is cut at 32 bytes"),
        }
    }

    /// The record of a content of at most 2^14 bytes; `iv` must be one that nobody could foresee.
    pub(super) fn seal(&self, head: Head, content: &[u8], iv: [u8; BLOCK]) -> Vec<u8> {
        let mut record = Vec::with_capacity(sealed_len(content.len()));
        record.extend_from_slice(&iv);
        record.extend_from_slice(content);
        let length = u16::try_from(content.len()).expect("rustls cuts contents at 2^14 bytes");
        record.extend_from_slice(&self.mac.tag(&header(head, length), content));
        let padding = sealed_len(content.len()) - record.len();
        // Each byte of the padding says how many others there are.
        let value = u8::try_from(padding - 1).expect("padding fills one block at most");
        record.resize(sealed_len(content.len()), value);
        let mut mode = cbc::Encryptor::inner_iv_init(&self.aes, &Array::from(iv));
        let (blocks, _) = Array::slice_as_chunks_mut(&mut record[BLOCK..]);
        mode.encrypt_blocks(blocks);
        record
    }
}

/// The keys of one direction, to receive.
pub(super) struct Opener {
    mac: MacKey,
    aes: Aes256Dec,
}

impl Opener {
    pub(super) fn new(mac: &[u8], aes: &[u8]) -> Self {
        Self {
            mac: MacKey::new(mac),
            aes: Aes256Dec::new_from_slice(aes).expect("the key block is cut at 32 bytes"),
        }
    }

    /// Where the content stands in a record, which is decrypted in its place; `None` if anything about it is wrong.
    pub(super) fn open(&self, head: Head, record: &mut [u8]) -> Option<Range<usize>> {
        let (length, good) = self.judged(head, record)?;
        good.then_some(BLOCK..BLOCK + length)
    }

    /// The length of the content, which is a secret unless the record is good, and whether it is. `None` for what by its length
    /// alone is no record.
    fn judged(&self, head: Head, record: &mut [u8]) -> Option<(usize, bool)> {
        if record.len() < SHORTEST || !record.len().is_multiple_of(BLOCK) {
            return None;
        }
        let (iv, data) = record.split_at_mut(BLOCK);
        let iv = <[u8; BLOCK]>::try_from(&*iv).ok()?;
        let mut mode = cbc::Decryptor::inner_iv_init(&self.aes, &Array::from(iv));
        let (blocks, _) = Array::slice_as_chunks_mut(data);
        mode.decrypt_blocks(blocks);

        // What the content has at most: with one byte of padding.
        let most = data.len() - TAG - 1;
        let least = most.saturating_sub(PADDING);
        let padding = u32::from(*data.last()?);
        let most_u32 = u32::try_from(most).ok()?;
        let mut good = !most_u32.ct_lt(&padding);
        for (distance, byte) in (0_u32..).zip(data.iter().rev().take(PADDING + 1)) {
            let is_outside = padding.ct_lt(&distance);
            good &= is_outside | u32::from(*byte).ct_eq(&padding);
        }
        // Wrong padding counts as none, so that the MAC is computed and is wrong too (RFC 5246, 6.2.3.2).
        let padding = u32::conditional_select(&0, &padding, good);
        let length = most_u32 - padding;
        let header = header(head, u16::try_from(length).ok()?);
        let expected = self.mac.tag_within(&header, data, (least, most), length);
        good &= expected.ct_eq(&tag_from(data, (least, most), length));
        Some((usize::try_from(length).ok()?, good.into()))
    }
}
