//! Writing an archive: containers in the order of their records, stored and not deflated, `linkinginfo` last.

use std::collections::HashSet;
use std::io::{Read, Seek, Write};

use kontor_pki::crypto::{DigestAlgorithm, Sha512};
use kontor_pki::time::UnixTime;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::linking::{is_digest, is_name};
use super::{DigestChain, LINKING_INFO, Link, Linking, LinkingInfo, file_name};
use crate::container::entry_time;
use crate::limits;

/// The archive could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An archive without containers is none.
    #[error("an archive needs one container at least")]
    Empty,
    /// [`limits::ARCHIVE_ENTRIES`] reached.
    #[error("the archive is full; begin the next one")]
    Full,
    /// A name that was given before, or that no container can have.
    #[error("a container cannot have the name {0:?} in this archive")]
    Name(String),
    /// The output or the container failed.
    #[error("the archive could not be written: {0}")]
    Output(String),
    /// The end of the archive before is no digest or no name.
    #[error("the archive before is not named by a SHA-512 in hex and a file name")]
    Previous,
}

impl WriteError {
    /// A stable word for logs and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "archive_empty",
            Self::Full => "archive_full",
            Self::Name(_) => "archive_name",
            Self::Output(_) => "io_error",
            Self::Previous => "archive_previous",
        }
    }
}

impl From<zip::result::ZipError> for WriteError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Output(error.to_string())
    }
}

impl From<std::io::Error> for WriteError {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error.to_string())
    }
}

/// An archive being written. Until [`finish`](Self::finish) it has no `linkinginfo`: what a crash leaves is no archive.
pub struct ArchiveWriter<W: Write + Seek> {
    zip: ZipWriter<W>,
    linking: LinkingInfo,
    chain: DigestChain,
    names: HashSet<String>,
    span: Option<(UnixTime, UnixTime)>,
    bytes: u64,
}

/// The place of one container in an archive that is being written.
pub struct Entry<'a, W: Write + Seek> {
    zip: &'a mut ZipWriter<W>,
    hasher: Sha512,
    bytes: u64,
}

impl<W: Write + Seek> Write for Entry<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.zip.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A complete archive.
#[derive(Debug)]
pub struct Finished<W> {
    /// The output.
    pub out: W,
    /// The digest that the next archive of the group continues.
    pub digest: String,
    /// When the first of its records was made.
    pub first: UnixTime,
    /// When the last of its records was made.
    pub last: UnixTime,
    /// How many containers it has.
    pub containers: usize,
}

impl<W> Finished<W> {
    /// The name the archive is to have; `group` is the result of [`super::group_name`].
    #[must_use]
    pub fn file_name(&self, group: Option<&str>) -> String {
        file_name(group, self.first, self.last, &self.digest)
    }
}

impl<W: Write + Seek> ArchiveWriter<W> {
    /// Begins an archive that continues `previous`, or that is the first of its group.
    ///
    /// # Errors
    /// A predecessor that is not named by a digest of SHA-512 and a file name.
    pub fn new(out: W, previous: Option<Link>) -> Result<Self, WriteError> {
        let algorithm = DigestAlgorithm::Sha512;
        if let Some(link) = &previous
            && !(is_digest(&link.digest, algorithm) && is_name(&link.file))
        {
            return Err(WriteError::Previous);
        }
        let before = previous.as_ref().map_or("", |link| link.digest.as_str());
        Ok(Self {
            zip: ZipWriter::new(out).set_auto_large_file(),
            chain: DigestChain::new(algorithm, before),
            linking: LinkingInfo {
                previous,
                algorithm,
                containers: Vec::new(),
            },
            names: HashSet::new(),
            span: None,
            bytes: 0,
        })
    }

    /// Appends a container under a name of [`super::container_name`]; its record was made at `at`.
    ///
    /// # Errors
    /// Those of output and container, a full archive, and a name that is taken or not fit to be one.
    pub fn add(&mut self, name: &str, at: UnixTime, container: &mut impl Read) -> Result<(), WriteError> {
        self.add_with(name, at, |entry| {
            std::io::copy(container, entry)
                .map(drop)
                .map_err(WriteError::from)
        })
    }

    /// Appends a container as `write` writes it. After an error the archive is of no use any more.
    ///
    /// # Errors
    /// As [`add`](Self::add), and those of `write`.
    pub fn add_with<E: From<WriteError>>(
        &mut self,
        name: &str,
        at: UnixTime,
        write: impl FnOnce(&mut Entry<'_, W>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.is_full() {
            return Err(WriteError::Full.into());
        }
        let fit = is_name(name) && name != LINKING_INFO && !name.contains(['/', '\\']);
        if !fit || !self.names.insert(name.to_owned()) {
            return Err(WriteError::Name(name.to_owned()).into());
        }
        self.zip.start_file(name, options(at)).map_err(WriteError::from)?;
        let mut entry = Entry {
            zip: &mut self.zip,
            hasher: Sha512::new(),
            bytes: 0,
        };
        write(&mut entry)?;
        let Entry { hasher, bytes, .. } = entry;
        self.bytes += bytes;
        let digest = self
            .chain
            .append(&hasher.finish())
            .expect("SHA-512 is in every build");
        self.linking.containers.push(Linking {
            digest: digest.to_owned(),
            name: name.to_owned(),
        });
        let (first, last) = self.span.unwrap_or((at, at));
        self.span = Some((first.min(at), last.max(at)));
        Ok(())
    }

    /// Whether it takes no more containers.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.linking.containers.len() + 1 >= limits::ARCHIVE_ENTRIES
    }

    /// Bytes of all containers so far: X-Road begins the next archive at 32 MiB.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Writes `linkinginfo` and the directory of the ZIP file.
    ///
    /// # Errors
    /// Those of the output, and an archive without containers.
    pub fn finish(mut self) -> Result<Finished<W>, WriteError> {
        let (first, last) = self.span.ok_or(WriteError::Empty)?;
        self.zip.start_file(LINKING_INFO, options(last))?;
        self.zip.write_all(&self.linking.to_bytes())?;
        Ok(Finished {
            out: self.zip.finish()?,
            digest: self.linking.last().to_owned(),
            first,
            last,
            containers: self.linking.containers.len(),
        })
    }
}

fn options(at: UnixTime) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(entry_time(at))
        .unix_permissions(0o644)
}
