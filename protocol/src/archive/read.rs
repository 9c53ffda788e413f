//! Reading an archive: what it holds, whether that is what its `linkinginfo` lists, and whether it continues another.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom, Write};

use kontor_pki::crypto::Hasher;
use zip::ZipArchive;

use super::{ArchiveError, DigestChain, LINKING_INFO, LinkingInfo};
use crate::limits;

/// What is known of the archive before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Predecessor<'a> {
    /// There is none.
    First,
    /// Its chain ended with this digest, in hex.
    Digest(&'a str),
    /// Nothing: whatever the archive says is taken.
    Unknown,
}

/// What is wrong with an archive that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveFault {
    /// The container, or one before it, is not the one that was archived.
    #[error("{0} is not what the chain of digests was made over: it, or its place, was changed")]
    Changed(String),
    /// Listed under one name more than once.
    #[error("linkinginfo lists {0} twice")]
    ListedTwice(String),
    /// Listed, but not there.
    #[error("{0} is listed in linkinginfo, but was removed from the archive")]
    Missing(String),
    /// The archive names a predecessor where none was expected.
    #[error("the archive is not the first one: it continues {0}")]
    NotFirst(String),
    /// The archive continues another one than it should.
    #[error("the archive continues {found}, and not {expected}")]
    OtherPredecessor {
        /// What the archive says: a digest, or that it is the first.
        found: String,
        /// The digest that was expected.
        expected: String,
    },
    /// There, but not listed.
    #[error("{0} is in the archive, but linkinginfo does not list it")]
    Unlisted(String),
}

impl ArchiveFault {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Changed(_) => "archive_container_changed",
            Self::ListedTwice(_) => "archive_listed_twice",
            Self::Missing(_) => "archive_container_missing",
            Self::NotFirst(_) => "archive_not_first",
            Self::OtherPredecessor { .. } => "archive_other_predecessor",
            Self::Unlisted(_) => "archive_container_unlisted",
        }
    }
}

/// Whether a file is a ZIP file with `linkinginfo`. The position of the reader is anywhere afterwards.
pub fn is_archive<R: Read + Seek>(file: R) -> bool {
    ZipArchive::new(file).is_ok_and(|zip| zip.index_for_name(LINKING_INFO).is_some())
}

/// An archive, opened; containers are read one by one.
pub struct Archive<R> {
    zip: ZipArchive<R>,
    linking: LinkingInfo,
    /// For each listed container its entry, if there is one.
    entries: Vec<Option<usize>>,
    faults: Vec<ArchiveFault>,
}

impl<R: Read + Seek> Archive<R> {
    /// Opens an archive and reads its `linkinginfo`.
    ///
    /// # Errors
    /// What is damaged, encrypted, ambiguous, beyond the limits, or no archive.
    pub fn open(mut file: R) -> Result<Self, ArchiveError> {
        let mut start = [0; 4];
        let read = file.read_exact(&mut start);
        if read.is_err() || start != *b"PK\x03\x04" {
            // Packets of OpenPGP have the highest bit set; ASCII armour begins with a line of its own.
            return Err(if read.is_ok() && (start[0] & 0x80 != 0 || start == *b"----") {
                ArchiveError::Encrypted
            } else {
                ArchiveError::NotArchive
            });
        }
        file.seek(SeekFrom::Start(0))
            .map_err(|e| ArchiveError::Damaged(e.to_string()))?;
        let mut zip = ZipArchive::new(file)?;
        if zip.len() > limits::ARCHIVE_ENTRIES {
            return Err(ArchiveError::TooLarge("it has too many entries"));
        }
        zip.validate_header_consistency()?;
        let index = zip.index_for_name(LINKING_INFO).ok_or(ArchiveError::NotArchive)?;
        let mut text = Vec::new();
        zip.by_index(index)?
            .take(limits::LINKING_INFO as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|e| ArchiveError::Damaged(e.to_string()))?;
        let linking = LinkingInfo::parse(&text)?;
        let mut there = HashMap::new();
        for entry in (0..zip.len()).filter(|&entry| entry != index) {
            let name = zip.by_index_raw(entry)?.name()?.into_owned();
            if name.len() > limits::CONTAINER_NAME {
                return Err(ArchiveError::TooLarge("an entry has too long a name"));
            }
            there.insert(name, (entry, false));
        }
        let mut faults = Vec::new();
        let mut entries = Vec::with_capacity(linking.containers.len());
        for one in &linking.containers {
            let entry = match there.get_mut(&one.name) {
                None => {
                    faults.push(ArchiveFault::Missing(one.name.clone()));
                    None
                }
                Some((_, true)) => {
                    faults.push(ArchiveFault::ListedTwice(one.name.clone()));
                    None
                }
                Some((entry, listed)) => {
                    *listed = true;
                    Some(*entry)
                }
            };
            entries.push(entry);
        }
        let mut unlisted: Vec<_> = there.into_iter().filter(|(_, (_, listed))| !listed).collect();
        unlisted.sort();
        faults.extend(unlisted.into_iter().map(|(name, _)| ArchiveFault::Unlisted(name)));
        Ok(Self {
            zip,
            linking,
            entries,
            faults,
        })
    }

    /// What the archive says of itself and its predecessor.
    #[must_use]
    pub fn linking(&self) -> &LinkingInfo {
        &self.linking
    }

    /// Containers that are listed and not there, or there and not listed.
    #[must_use]
    pub fn faults(&self) -> &[ArchiveFault] {
        &self.faults
    }

    /// Whether the archive continues the one it should.
    ///
    /// # Errors
    /// It continues another one.
    pub fn follows(&self, predecessor: Predecessor<'_>) -> Result<(), ArchiveFault> {
        let previous = self.linking.previous.as_ref();
        match (predecessor, previous) {
            (Predecessor::Unknown, _) | (Predecessor::First, None) => Ok(()),
            (Predecessor::First, Some(link)) => Err(ArchiveFault::NotFirst(link.file.clone())),
            (Predecessor::Digest(expected), Some(link)) if link.digest.eq_ignore_ascii_case(expected) => {
                Ok(())
            }
            (Predecessor::Digest(expected), previous) => Err(ArchiveFault::OtherPredecessor {
                found: previous.map_or_else(
                    || "nothing (it says that it is the first)".to_owned(),
                    |link| link.digest.clone(),
                ),
                expected: expected.to_owned(),
            }),
        }
    }

    /// The place of a container in the list, by its name.
    #[must_use]
    pub fn place_of(&self, name: &str) -> Option<usize> {
        self.linking.containers.iter().position(|one| one.name == name)
    }

    /// Bytes of the container at this place of the list, as the archive states them; `None` if it is not there.
    pub fn size(&mut self, place: usize) -> Option<u64> {
        let entry = (*self.entries.get(place)?)?;
        Some(self.zip.by_index_raw(entry).ok()?.size())
    }

    /// Copies the container at this place of the list to `out`, and says whether it is the one that the chain was made
    /// over: by the link before and its own, so that a change is told of the container that was changed. `None` if the
    /// container is not there.
    ///
    /// # Errors
    /// A damaged entry, one beyond [`limits::CONTAINER`], and errors of `out`.
    pub fn container(&mut self, place: usize, out: &mut impl Write) -> Result<Option<bool>, ArchiveError> {
        let Some(entry) = self.entries.get(place).copied().flatten() else {
            return Ok(None);
        };
        let algorithm = self.linking.algorithm;
        let damaged = |e: std::io::Error| ArchiveError::Damaged(e.to_string());
        let mut hasher = Hasher::new(algorithm).map_err(|e| ArchiveError::Damaged(e.to_string()))?;
        let mut file = self.zip.by_index(entry)?;
        // Whoever chose memory or a file by the stated size must not be given more.
        let stated = usize::try_from(file.size()).unwrap_or(usize::MAX);
        let mut left = limits::CONTAINER.min(stated);
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = file.read(&mut buffer).map_err(damaged)?;
            if read == 0 {
                break;
            }
            left = left.checked_sub(read).ok_or(ArchiveError::TooLarge(
                "a container is too large, or larger than stated",
            ))?;
            hasher.update(&buffer[..read]);
            out.write_all(&buffer[..read]).map_err(damaged)?;
        }
        let mut chain = DigestChain::new(algorithm, self.linking.before(place));
        let fits = chain.append(&hasher.finish()) == Some(&self.linking.containers[place].digest);
        Ok(Some(fits))
    }

    /// Reads every container and returns all that is wrong with them; see also [`faults`](Self::faults) and
    /// [`follows`](Self::follows). What the containers say is not looked at.
    ///
    /// # Errors
    /// As [`container`](Self::container).
    pub fn changed(&mut self) -> Result<Vec<ArchiveFault>, ArchiveError> {
        let mut faults = Vec::new();
        for place in 0..self.linking.containers.len() {
            if self.container(place, &mut std::io::sink())? == Some(false) {
                faults.push(ArchiveFault::Changed(self.linking.containers[place].name.clone()));
            }
        }
        Ok(faults)
    }
}
