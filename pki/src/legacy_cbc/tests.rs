//! Records as OpenSSL wrote them, records that somebody changed, and that all of these take the same work.
//!
//! `known_answers.json` holds all encrypted records of one connection of each suite between client and server of OpenSSL 3.0.19
//! (`-no_etm`), with the key block that the master secret of its key log gives by the PRF of RFC 5246, section 5.

use std::ops::Range;
use std::sync::Mutex;

use proptest::prelude::*;

use super::mac::{COMPRESSED, HEADER, MacKey, TAG};
use super::record::{Head, Opener, Sealer, sealed_len};
use super::*;

const MAC: [u8; MAC_KEY] = [3; MAC_KEY];
const AES: [u8; AES_KEY] = [5; AES_KEY];
const HEAD: Head = (7, 23, 0x0303);

fn opener() -> Opener {
    Opener::new(&MAC, &AES)
}

fn sealer() -> Sealer {
    Sealer::new(&MAC, &AES)
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap() as u8;
    text.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[test]
fn records_of_openssl_are_opened_and_made_byte_for_byte() {
    let answers: serde_json::Value = serde_json::from_str(include_str!("known_answers.json")).unwrap();
    let mut opened = 0;
    for connection in answers.as_array().unwrap() {
        let suite = connection["suite"].as_str().unwrap();
        assert!(
            SUITES.iter().any(|(known, _)| format!("{known:?}") == suite),
            "{suite}"
        );
        let block = hex(connection["key_block"].as_str().unwrap());
        for record in connection["records"].as_array().unwrap() {
            let is_client = record["from"] == "client";
            let (mac, aes) = match is_client {
                true => (&block[..48], &block[96..128]),
                false => (&block[48..96], &block[128..]),
            };
            let typ = u8::try_from(record["type"].as_u64().unwrap()).unwrap();
            let head = (record["seq"].as_u64().unwrap(), typ, 0x0303);
            let written = hex(record["record"].as_str().unwrap());
            let content = hex(record["content"].as_str().unwrap());
            let mut bytes = written.clone();
            let range = Opener::new(mac, aes).open(head, &mut bytes).unwrap();
            assert_eq!(bytes[range], content);
            let iv = written[..16].try_into().unwrap();
            assert_eq!(Sealer::new(mac, aes).seal(head, &content, iv), written);
            opened += 1;
        }
    }
    assert_eq!(opened, 12);
}

/// A record with padding of so many bytes beside the one that says so, and what follows of it.
fn padded(content: &[u8], padding: usize, change: impl FnOnce(&mut [u8])) -> Vec<u8> {
    use aes::cipher::{Array, BlockModeEncrypt, InnerIvInit, KeyInit};
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&HEAD.0.to_be_bytes());
    header[8] = HEAD.1;
    header[9..11].copy_from_slice(&HEAD.2.to_be_bytes());
    header[11..].copy_from_slice(&length);
    let mut data = content.to_vec();
    data.extend_from_slice(&MacKey::new(&MAC).tag(&header, content));
    data.resize(data.len() + padding + 1, u8::try_from(padding).unwrap());
    assert!(data.len().is_multiple_of(16), "{}", data.len());
    change(&mut data);
    let aes = aes::Aes256Enc::new_from_slice(&AES).unwrap();
    let mut mode = cbc::Encryptor::inner_iv_init(&aes, &Array::from([9; 16]));
    let (blocks, _) = Array::slice_as_chunks_mut(&mut data);
    mode.encrypt_blocks(blocks);
    [&[9; 16][..], &data].concat()
}

#[test]
fn every_padding_that_fits_is_taken() {
    // A content so that MAC and one byte fill blocks; then as many more as a byte can say.
    for padding in (0..=255).step_by(16).chain([255]) {
        let content = vec![b'x'; (16 - (TAG + padding + 1) % 16) % 16 + 320];
        let mut record = padded(&content, padding, |_| {});
        let range = opener().open(HEAD, &mut record).unwrap();
        assert_eq!(record[range], content, "{padding}");
    }
}

#[test]
fn a_record_that_is_all_padding_and_mac_has_no_content() {
    let mut record = sealer().seal(HEAD, b"", [1; 16]);
    assert_eq!(opener().open(HEAD, &mut record), Some(16..16));
    // A padding that would leave no room for the MAC.
    let mut record = padded(&[b'x'; 15], 0, |data| *data.last_mut().unwrap() = 200);
    assert_eq!(opener().open(HEAD, &mut record), None);
}

/// What an attacker can do to a record that he knows the plaintext of, each leaving other bytes for the MAC to be wrong in.
fn tampered(length: usize) -> Vec<(&'static str, Vec<u8>)> {
    let content = vec![b'x'; length];
    let (plain, end) = (&content[..], length + TAG);
    vec![
        ("good", padded(plain, 0, |_| {})),
        ("content", padded(plain, 0, |data| data[0] ^= 1)),
        (
            "first byte of the MAC",
            padded(plain, 0, |data| data[end - TAG] ^= 1),
        ),
        (
            "last byte of the MAC",
            padded(plain, 0, |data| data[end - 1] ^= 1),
        ),
        ("padding says 1", padded(plain, 0, |data| data[end] = 1)),
        ("padding says 15", padded(plain, 0, |data| data[end] = 15)),
        ("padding says 255", padded(plain, 0, |data| data[end] = 255)),
        (
            "all bytes are padding of 255",
            padded(plain, 0, |data| {
                let length = data.len();
                data[length - 256..].fill(255);
            }),
        ),
        (
            "padding of 63 over the MAC",
            padded(plain, 0, |data| {
                let length = data.len();
                data[length - 64..].fill(63);
            }),
        ),
        (
            "padding with one byte wrong",
            padded(plain, 0, |data| {
                let length = data.len();
                data[length - 64..].fill(63);
                data[length - 64] = 62;
            }),
        ),
        ("all zeros", padded(plain, 0, |data| data.fill(0))),
    ]
}

/// Calls of the compression function for each of them.
fn calls(length: usize, open: impl Fn(&mut [u8])) -> Vec<usize> {
    let all = tampered(length).into_iter().map(|(_, mut record)| {
        let before = COMPRESSED.get();
        open(&mut record);
        COMPRESSED.get() - before
    });
    let mut calls: Vec<_> = all.collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}

#[test]
fn what_was_changed_is_refused_alike_with_the_same_calls_of_the_compression_function() {
    let opener = opener();
    // Lengths that end at every place of a block of the hash; each fills blocks of AES with one byte of padding.
    for length in (271..271 + 2 * 128).step_by(16) {
        for (what, mut record) in tampered(length) {
            assert_eq!(
                opener.open(HEAD, &mut record).is_some(),
                what == "good",
                "{length} {what}"
            );
        }
        let calls = calls(length, |record| _ = opener.open(HEAD, record));
        assert_eq!(calls.len(), 1, "{length}: {calls:?}");
    }
    // The same test catches an opener that stops at the padding and hashes what is left.
    assert!(calls(335, |record| _ = leaky(record)).len() > 1);
}

/// As many programs opened records before 2013.
fn leaky(record: &mut [u8]) -> Option<Range<usize>> {
    use aes::cipher::{Array, BlockModeDecrypt, InnerIvInit, KeyInit};
    let aes = aes::Aes256Dec::new_from_slice(&AES).unwrap();
    let iv = <[u8; 16]>::try_from(&record[..16]).unwrap();
    let mut mode = cbc::Decryptor::inner_iv_init(&aes, &Array::from(iv));
    let (blocks, _) = Array::slice_as_chunks_mut(&mut record[16..]);
    mode.decrypt_blocks(blocks);
    let data = &record[16..];
    let padding = usize::from(*data.last().unwrap());
    let is_padded = padding + 1 + TAG <= data.len()
        && data[data.len() - padding - 1..]
            .iter()
            .all(|byte| usize::from(*byte) == padding);
    let padding = if is_padded { padding } else { 0 };
    let content = &data[..data.len() - 1 - padding - TAG];
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&HEAD.0.to_be_bytes());
    header[8] = HEAD.1;
    header[9..11].copy_from_slice(&HEAD.2.to_be_bytes());
    header[11..].copy_from_slice(&u16::try_from(content.len()).unwrap().to_be_bytes());
    let tag = MacKey::new(&MAC).tag(&header, content);
    let is_good = is_padded && tag == data[content.len()..content.len() + TAG];
    is_good.then(|| 16..16 + content.len())
}

#[test]
fn head_and_order_are_part_of_what_is_protected() {
    let record = sealer().seal(HEAD, b"content", [1; 16]);
    for head in [(8, 23, 0x0303), (7, 22, 0x0303), (7, 23, 0x0302)] {
        assert_eq!(opener().open(head, &mut record.clone()), None, "{head:?}");
    }
    for other in [Opener::new(&[4; MAC_KEY], &AES), Opener::new(&MAC, &[6; AES_KEY])] {
        assert_eq!(other.open(HEAD, &mut record.clone()), None);
    }
    assert!(opener().open(HEAD, &mut record.clone()).is_some());
}

proptest! {
    #[test]
    fn what_is_sealed_is_opened_and_any_changed_byte_is_refused(
        content in proptest::collection::vec(any::<u8>(), 0..600),
        iv in any::<[u8; 16]>(),
        at in any::<prop::sample::Index>(),
        flip in 1..=255_u8,
    ) {
        let record = sealer().seal(HEAD, &content, iv);
        prop_assert_eq!(record.len(), sealed_len(content.len()));
        let mut good = record.clone();
        let range = opener().open(HEAD, &mut good).unwrap();
        prop_assert_eq!(&good[range], &content[..]);
        let mut bad = record;
        let at = at.index(bad.len());
        bad[at] ^= flip;
        prop_assert_eq!(opener().open(HEAD, &mut bad), None);
    }

    #[test]
    fn arbitrary_bytes_are_no_record(mut bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
        prop_assert_eq!(opener().open(HEAD, &mut bytes), None);
    }

    #[test]
    fn a_tag_of_a_hidden_length_is_the_tag(
        data in proptest::collection::vec(any::<u8>(), 0..700),
        at in any::<prop::sample::Index>(),
        slack in 0..300_usize,
    ) {
        let length = at.index(data.len() + 1);
        let (least, most) = (length.saturating_sub(slack), (length + slack).min(data.len()));
        let mut header = [1; HEADER];
        header[11..].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        let key = MacKey::new(&MAC);
        let hidden = key.tag_within(&header, &data, (least, most), u32::try_from(length).unwrap());
        prop_assert_eq!(hidden, key.tag(&header, &data[..length]));
    }
}

#[test]
fn an_encrypter_without_its_decrypter_fails_closed_and_so_does_the_other() {
    let protection = Protection(End::Client);
    let key = || AeadKey::from([0; 32]);
    let encrypts = |encrypter: &mut Box<dyn MessageEncrypter>| {
        let message = OutboundPlainMessage {
            typ: rustls::ContentType::ApplicationData,
            version: rustls::ProtocolVersion::TLSv1_2,
            payload: rustls::crypto::cipher::OutboundChunks::Single(b"x"),
        };
        encrypter.encrypt(message, 0).is_ok()
    };
    let block = [1; KEY_BLOCK];
    assert!(
        !encrypts(&mut protection.encrypter(key(), &[], &block)),
        "nobody waits"
    );
    let _alone = protection.decrypter(key(), &[]);
    let _pair = protection.decrypter(key(), &[]);
    assert!(encrypts(&mut protection.encrypter(key(), &[], &block)));
    assert!(
        !encrypts(&mut protection.encrypter(key(), &[], &block)),
        "the half is given once"
    );
    let _pair = protection.decrypter(key(), &[]);
    assert!(
        !encrypts(&mut protection.encrypter(key(), &[], &block[1..])),
        "half a block"
    );
    let mut unpaired = protection.decrypter(key(), &[]);
    let mut record = Sealer::new(&[1; MAC_KEY], &[1; AES_KEY]).seal((0, 23, 0x0303), b"x", [0; 16]);
    let message = InboundOpaqueMessage::new(
        rustls::ContentType::ApplicationData,
        rustls::ProtocolVersion::TLSv1_2,
        &mut record,
    );
    assert!(unpaired.decrypt(message, 0).is_err());
}

/// Means and variances of two classes of samples, drawn in turns at random (Reparaz, Balasch and Verbauwhede, "Dude, is my code
/// constant time?", 2017).
#[derive(Default)]
struct Welch([(f64, f64, f64); 2]);

impl Welch {
    fn add(&mut self, class: usize, value: f64) {
        let (count, mean, squares) = &mut self.0[class];
        *count += 1.0;
        let delta = value - *mean;
        *mean += delta / *count;
        *squares += delta * (value - *mean);
    }

    fn t(&self) -> f64 {
        let [one, two] = self.0;
        let variance = |(count, _, squares): (f64, f64, f64)| squares / (count - 1.0) / count;
        (one.1 - two.1) / (variance(one) + variance(two)).sqrt()
    }
}

/// |t| beyond which the paper calls a leak certain.
const LIMIT: f64 = 10.0;

/// The greatest |t| of any pair with the good record's neighbour, of samples below the 90th percentile of each round.
fn greatest_t(samples: usize, open: impl Fn(&mut [u8])) -> (f64, &'static str) {
    let all = tampered(335);
    let records: Vec<_> = all.iter().filter(|(what, _)| *what != "good").collect();
    let (mut greatest, mut which) = (0.0_f64, "");
    let base = &records[0].1;
    for (what, record) in &records[1..] {
        let mut welch = Welch::default();
        let mut times = Vec::with_capacity(1000);
        for _ in 0..samples / 1000 {
            times.clear();
            for _ in 0..1000 {
                let class = usize::from(random::<1>()[0] & 1);
                let mut bytes = if class == 0 { base.clone() } else { record.clone() };
                let begin = std::time::Instant::now();
                open(std::hint::black_box(&mut bytes));
                times.push((class, begin.elapsed().as_nanos() as f64));
            }
            let mut sorted: Vec<_> = times.iter().map(|(_, time)| *time).collect();
            sorted.sort_by(f64::total_cmp);
            let cut = sorted[900];
            for (class, time) in times.iter().filter(|(_, time)| *time <= cut) {
                welch.add(*class, *time);
            }
        }
        let t = welch.t().abs();
        if t > greatest {
            (greatest, which) = (t, what);
        }
    }
    (greatest, which)
}

static QUIET: Mutex<()> = Mutex::new(());

#[test]
#[ignore = "a measurement, for a release build on a quiet machine"]
fn refusals_take_equal_time() {
    let _quiet = QUIET.lock();
    let samples = 1_000_000;
    let opener = opener();
    let (fixed, where_fixed) = greatest_t(samples, |record| {
        std::hint::black_box(opener.open(HEAD, record));
    });
    let (open, where_open) = greatest_t(samples / 100, |record| {
        std::hint::black_box(leaky(record));
    });
    println!("ours: |t| at most {fixed:.2} ({where_fixed}) of {samples} samples a pair; limit {LIMIT}");
    println!(
        "leaky: |t| at most {open:.2} ({where_open}) of {} samples a pair",
        samples / 100
    );
    assert!(fixed < LIMIT, "a difference in time");
    assert!(open > LIMIT, "the test is blind");
}
