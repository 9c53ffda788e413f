//! Whoever guesses: has all files, every key that is still there, and the exact words, and looks for a value that confirms them.
//! What blinds a message, its request id, is not known to them.

use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
};

use aws_lc_rs::digest;
use base64::Engine as _;

use crate::tool::{Files, Tool, hmac};

/// Bytes of a value that must agree: the index keeps so many of a query id.
const PREFIX: usize = 7;

/// Values that follow from a guess, by their first bytes, with what they are.
struct Values(HashMap<[u8; PREFIX], (String, Vec<u8>)>);

impl Values {
    fn add(&mut self, what: &str, value: &[u8]) {
        let prefix = *value.first_chunk().unwrap();
        self.0.insert(prefix, (what.into(), value.to_vec()));
    }

    /// The text itself, and digests of it in every spelling, bare, behind the bytes that our formats put before, and under every key.
    fn of(texts: &[String], keys: &[[u8; 32]]) -> Self {
        let mut values = Self(HashMap::new());
        for text in texts {
            values.add("the text", text.as_bytes());
            let before: [&[u8]; 6] = [
                b"",
                b"\0",
                b"kontor/leaf/1",
                b"query id\0",
                b"query\0",
                b"service\0",
            ];
            for before in before {
                let input = [before, text.as_bytes()].concat();
                for kind in [
                    &digest::SHA256,
                    &digest::SHA512,
                    &digest::SHA1_FOR_LEGACY_USE_ONLY,
                ] {
                    let digest = digest::digest(kind, &input);
                    let bytes = &digest.as_ref()[..8];
                    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                    values.add("a digest", bytes);
                    values.add("a digest in hex", hex.as_bytes());
                    let base64 = base64::engine::general_purpose::STANDARD.encode(bytes);
                    values.add("a digest in base64", &base64.as_bytes()[..8]);
                }
                for key in keys {
                    let mac = hmac(key, &input);
                    values.add("a keyed digest", &mac[..8]);
                    values.add("a keyed mark", &mac[1..8]);
                }
            }
        }
        values
    }

    fn search(&self, place: &str, bytes: &[u8], found: &mut BTreeSet<String>) {
        let mut begins = vec![false; 1 << 16];
        for prefix in self.0.keys() {
            begins[usize::from(u16::from_be_bytes([prefix[0], prefix[1]]))] = true;
        }
        for (at, window) in bytes.windows(PREFIX).enumerate() {
            if !begins[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                continue;
            }
            if let Some((what, value)) = self
                .0
                .get(window)
                .filter(|(_, value)| bytes[at..].starts_with(value))
            {
                assert!(value.len() >= PREFIX);
                found.insert(format!("{what} in {place}"));
            }
        }
    }
}

/// Where something confirms one of these texts: in names and bytes of files, in what the tool opened, in search indexes.
pub(crate) fn confirm(
    texts: &[String],
    tool: &Tool,
    files: &[&Files],
    indexes: &[&Path],
) -> BTreeSet<String> {
    let values = Values::of(texts, &tool.keys);
    let mut found = BTreeSet::new();
    for (name, bytes) in files.iter().flat_map(|files| files.iter()) {
        values.search("the name of a file", name.as_bytes(), &mut found);
        values.search("a file", bytes, &mut found);
    }
    for plain in &tool.plain {
        values.search("what opens", plain, &mut found);
    }
    for index in indexes {
        // Only on a copy: it writes when it opens.
        let index = sled::open(index).unwrap();
        for item in index.iter() {
            let (key, value) = item.unwrap();
            values.search("the index", &key, &mut found);
            values.search("the index", &value, &mut found);
        }
    }
    found
}
