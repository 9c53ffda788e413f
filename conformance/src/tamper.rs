//! What a dishonest operator does to the files of a stopped node: cuts entries off, rewrites a leaf with all its checksums,
//! hides what the node signed, puts an older copy back.
//!
//! Owns its own reading of the log's segment (the layout is a public page of the node's documentation), so that what it
//! writes is what an operator with the documentation could write; refuses a segment that it does not understand.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};

const SEGMENT_HEADER: usize = 512;
const RECORD_HEADER: usize = 80;

/// One record of a segment.
struct Record {
    at: usize,
    length: usize,
    is_entry: bool,
    number: u64,
    leaf: usize,
}

/// The one segment of a small log.
pub struct Segment {
    path: std::path::PathBuf,
    bytes: Vec<u8>,
    records: Vec<Record>,
}

impl Segment {
    /// Reads the segment of a node's data directory.
    pub fn read(data: &Path) -> Result<Self> {
        let path = data.join(format!("log/segments/{:020}.seg", 0));
        let bytes = fs::read(&path).with_context(|| path.display().to_string())?;
        ensure!(bytes.starts_with(b"KONTSEG1"), "not a segment");
        let (mut records, mut at) = (Vec::new(), SEGMENT_HEADER);
        let word = |at: usize| -> Result<u32> {
            let word = bytes
                .get(at..at + 4)
                .ok_or_else(|| anyhow!("a segment that ends in a record"))?;
            Ok(u32::from_be_bytes(word.try_into()?))
        };
        while bytes.get(at..at + 4) == Some(b"KREC") {
            let length = usize::try_from(word(at + 12)?)?;
            ensure!(
                length >= RECORD_HEADER && length.is_multiple_of(8),
                "a record of {length} bytes"
            );
            records.push(Record {
                at,
                length,
                is_entry: bytes[at + 4] == 1,
                number: u64::from_be_bytes(bytes[at + 16..at + 24].try_into()?),
                leaf: usize::try_from(word(at + 40)?)?,
            });
            at += length;
        }
        Ok(Self { path, bytes, records })
    }

    /// How many entries there are.
    pub fn entries(&self) -> u64 {
        let entries = self.records.iter().filter(|record| record.is_entry);
        entries.map(|record| record.number + 1).max().unwrap_or(0)
    }

    /// Cuts off an entry and everything behind it.
    pub fn cut_from(&mut self, number: u64) -> Result<()> {
        let cut = self.entry(number)?;
        self.bytes[cut..].fill(0);
        self.records.retain(|record| record.at < cut);
        self.write()
    }

    /// Makes an entry an hour older, in its leaf, with every checksum right again.
    pub fn rewrite(&mut self, number: u64) -> Result<()> {
        let at = self.entry(number)?;
        let record = self.records.iter().find(|record| record.at == at);
        let leaf = record.ok_or_else(|| anyhow!("no record"))?.leaf;
        let leaf = at + RECORD_HEADER..at + RECORD_HEADER + leaf;
        // Version, kind, direction, flags, size; log id; number; then the second.
        let second = leaf.start + 5 + 32 + 8..leaf.start + 5 + 32 + 16;
        let then = u64::from_be_bytes(self.bytes[second.clone()].try_into()?) - 3600;
        self.bytes[second].copy_from_slice(&then.to_be_bytes());
        let checksum = crc(&self.bytes[leaf]).to_be_bytes();
        self.bytes[at + 56..at + 60].copy_from_slice(&checksum);
        let checksum = crc(&self.bytes[at..at + 76]).to_be_bytes();
        self.bytes[at + 76..at + 80].copy_from_slice(&checksum);
        self.write()
    }

    fn entry(&self, number: u64) -> Result<usize> {
        let mut entries = self.records.iter().filter(|record| record.is_entry);
        let found = entries.find(|record| record.number == number);
        Ok(found.ok_or_else(|| anyhow!("no entry {number}"))?.at)
    }

    fn write(&self) -> Result<()> {
        let whole = self
            .records
            .last()
            .map_or(SEGMENT_HEADER, |last| last.at + last.length);
        ensure!(whole <= self.bytes.len(), "a record beyond the segment");
        Ok(fs::write(&self.path, &self.bytes)?)
    }
}

/// Removes everything by which the node itself could know what its log was: what it signed, who co-signed, whom it watches.
pub fn hide(data: &Path) -> Result<()> {
    for name in ["checkpoint", "checkpoint.cosigned", "witnesses.json", "seen"] {
        match fs::remove_file(data.join("log").join(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    for dir in ["log/tree", "log/index", "witness"] {
        let dir = data.join(dir);
        if dir.exists() {
            fs::remove_dir_all(&dir)?;
        }
    }
    Ok(())
}

/// Copies a data directory; sockets stay where they are.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (kind, target) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            copy(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// CRC-32C, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & 0_u32.wrapping_sub(crc & 1));
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    // RFC 3720 B.4.
    #[test]
    fn the_checksum_is_that_of_the_paper() {
        assert_eq!(super::crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(super::crc(&[0xff; 32]), 0x62a8_ab43);
    }
}
