//! `linkinginfo` and the chain of digests it lists.

use kontor_pki::crypto::{DigestAlgorithm, digest};

use super::ArchiveError;
use crate::container::hex;
use crate::limits;

/// The end of an archive, as the next one names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The last digest of its chain, in lower-case hex.
    pub digest: String,
    /// Its file name.
    pub file: String,
}

/// A container as `linkinginfo` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linking {
    /// The digest of the chain up to this container, in lower-case hex.
    pub digest: String,
    /// The container's name in the archive.
    pub name: String,
}

/// The content of `linkinginfo`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkingInfo {
    /// The end of the archive before; `None` in the first archive of a group.
    pub previous: Option<Link>,
    /// The algorithm of all digests; never a weak one.
    pub algorithm: DigestAlgorithm,
    /// The containers, in the order of the chain; at least one.
    pub containers: Vec<Linking>,
}

impl LinkingInfo {
    /// Reads the file.
    ///
    /// # Errors
    /// What is not such a file, or lists no container.
    pub fn parse(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let malformed = ArchiveError::Malformed;
        if bytes.len() > limits::LINKING_INFO {
            return Err(ArchiveError::TooLarge("linkinginfo is too large"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| malformed("it is no UTF-8"))?;
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        let head = lines.next().unwrap_or_default();
        let (digest, rest) = head.split_once(' ').ok_or(malformed("its first line"))?;
        let (file, algorithm) = rest.rsplit_once(' ').ok_or(malformed("its first line"))?;
        let algorithm = DigestAlgorithm::from_name(algorithm)
            .filter(|algorithm| !algorithm.is_weak())
            .ok_or(malformed("the algorithm is not known, or is SHA-1"))?;
        let previous = match (digest, file) {
            ("-", "-") => None,
            (digest, file) if is_digest(digest, algorithm) && is_name(file) => Some(Link {
                digest: digest.to_owned(),
                file: file.to_owned(),
            }),
            _ => return Err(malformed("the archive before is not named as it must be")),
        };
        let mut containers = Vec::new();
        for line in lines {
            if containers.len() == limits::ARCHIVE_ENTRIES {
                return Err(ArchiveError::TooLarge("linkinginfo lists too many containers"));
            }
            let (digest, name) = line.split_once(' ').ok_or(malformed("a line has no name"))?;
            if !is_digest(digest, algorithm) {
                return Err(malformed("a line does not begin with a digest"));
            }
            if !is_name(name) {
                return Err(malformed("a line has no name, or one that is too long"));
            }
            containers.push(Linking {
                digest: digest.to_owned(),
                name: name.to_owned(),
            });
        }
        if containers.is_empty() {
            return Err(malformed("it lists no container"));
        }
        Ok(Self {
            previous,
            algorithm,
            containers,
        })
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let (digest, file) = match &self.previous {
            Some(link) => (link.digest.as_str(), link.file.as_str()),
            None => ("-", "-"),
        };
        let mut out = format!("{digest} {file} {}\n", self.algorithm.name());
        for Linking { digest, name } in &self.containers {
            out.push_str(digest);
            out.push(' ');
            out.push_str(name);
            out.push('\n');
        }
        out.into_bytes()
    }

    /// The digest that the next archive continues.
    #[must_use]
    pub fn last(&self) -> &str {
        self.containers.last().map_or("", |last| &last.digest)
    }

    /// The digest that the container at this place of the list continues: empty text for the very first.
    #[must_use]
    pub fn before(&self, place: usize) -> &str {
        match place.checked_sub(1) {
            Some(place) => self.containers.get(place).map_or("", |one| &one.digest),
            None => self.previous.as_ref().map_or("", |link| &link.digest),
        }
    }
}

/// The chain while it is made: each link is hex(H(ASCII(link before ‖ hex(H(container))))).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestChain {
    algorithm: DigestAlgorithm,
    last: String,
}

impl DigestChain {
    /// A chain that continues `before`: the last digest of the archive before, empty text if there is none.
    #[must_use]
    pub fn new(algorithm: DigestAlgorithm, before: &str) -> Self {
        Self {
            algorithm,
            last: before.to_owned(),
        }
    }

    /// Appends a container by the digest of its bytes, and gives the new last link. `None` for an algorithm that this
    /// build does not have.
    pub fn append(&mut self, container: &[u8]) -> Option<&str> {
        let both = self.last.clone() + &hex(container);
        self.last = hex(&digest(self.algorithm, both.as_bytes()).ok()?);
        Some(&self.last)
    }
}

pub(super) fn is_digest(text: &str, algorithm: DigestAlgorithm) -> bool {
    let hex = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    hex && text.len() == 2 * algorithm.len()
}

/// A name is shown to people and written to files: nothing in it may end a line.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= limits::CONTAINER_NAME && !text.chars().any(char::is_control)
}
