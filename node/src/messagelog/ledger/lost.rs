//! Leaves that were lost to damage and put aside: what is known of their hashes. The tree must not become another than the one
//! that was signed, so the hash of a lost leaf is taken from the level of the tree that holds it, before anything is repaired,
//! and kept in `log/quarantine/leaf-hashes`. It is believed no further than a checkpoint that was signed over it.

use std::collections::BTreeMap;

use kontor_protocol::log::tree::Hash;

use super::{read, signed_size};
use crate::{
    disk,
    messagelog::{
        error::LogError,
        identity::{Home, hex},
        numbers::NumberSet,
    },
};

/// See the module.
#[derive(Default)]
pub(in crate::messagelog) struct LostLeaves(BTreeMap<u64, Hash>);

impl LostLeaves {
    fn path(home: &Home) -> std::path::PathBuf {
        home.layout.quarantine().join("leaf-hashes")
    }

    /// Reads what is kept; nothing where nothing was ever lost.
    pub(in crate::messagelog) fn load(home: &Home) -> Result<Self, LogError> {
        let path = Self::path(home);
        let Some(bytes) = read(home, &path)? else {
            return Ok(Self::default());
        };
        let texts: Option<BTreeMap<u64, String>> = serde_json::from_slice(&bytes).ok();
        let hashes: Option<_> = texts.and_then(|texts| {
            let parse = |(number, text): (u64, String)| Some((number, from_hex(&text)?));
            texts.into_iter().map(parse).collect()
        });
        hashes
            .map(Self)
            .ok_or_else(|| LogError::damaged(&path, "it does not read"))
    }

    /// Keeps the hashes of leaves that are about to be marked as gone, as far as the tree has them. Only what a checkpoint was
    /// signed over: nobody saw the others.
    pub(in crate::messagelog) fn keep(home: &Home, lost: &NumberSet) -> Result<(), LogError> {
        let mut kept = Self::load(home)?;
        let signed = signed_size(home)?;
        let path = home.layout.tree().join("level-0");
        let file = match home.disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(LogError::io("could not open", &path))?,
        };
        for number in lost.iter().filter(|number| *number < signed) {
            let mut hash = Hash::default();
            match disk::read_exact_at(&*file, number * hash.len() as u64, &mut hash) {
                Ok(()) => _ = kept.0.entry(number).or_insert(hash),
                // The last tile is not whole yet and not in the file.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => break,
                Err(error) => return Err(LogError::io("could not read", &path)(error)),
            }
        }
        let texts: BTreeMap<_, _> = kept.0.iter().map(|(number, hash)| (number, hex(hash))).collect();
        let bytes = serde_json::to_vec(&texts).expect("numbers and strings always serialise");
        let path = Self::path(home);
        disk::replace(&*home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))
    }

    pub(in crate::messagelog) fn hash(&self, number: u64) -> Option<Hash> {
        self.0.get(&number).copied()
    }
}

fn from_hex(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    if text.len() != 2 * hash.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(hash)
}
