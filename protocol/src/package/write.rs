//! Writing a package.

use std::collections::HashSet;
use std::io::{Read, Seek, Write};

use kontor_pki::crypto::{DigestAlgorithm, Hasher};
use kontor_pki::time::UnixTime;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use super::{COVER, FORMAT, KIND, Listed, MANIFEST, Manifest, is_name};
use crate::container::entry_time;
use crate::container::hex;
use crate::limits;

/// The package could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// [`limits::PACKAGE_FILES`] reached.
    #[error("the package has too many files; export fewer messages at once")]
    Full,
    /// A name given twice, or one that no file of a package can have.
    #[error("a file cannot have the name {0:?} in a package")]
    Name(String),
    /// The output or a file failed.
    #[error("the package could not be written: {0}")]
    Output(String),
}

impl WriteError {
    /// A stable word for logs and reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Full => "package_full",
            Self::Name(_) => "package_name",
            Self::Output(_) => "io_error",
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

/// A package being written. Until [`finish`](Self::finish) it has no manifest: what a crash leaves is no package.
pub struct PackageWriter<W: Write + Seek> {
    zip: ZipWriter<W>,
    options: SimpleFileOptions,
    created: UnixTime,
    files: Vec<Listed>,
    names: HashSet<String>,
}

impl<W: Write + Seek> PackageWriter<W> {
    /// Begins a package made at `created`.
    pub fn new(out: W, created: UnixTime) -> Self {
        Self {
            zip: ZipWriter::new(out).set_auto_large_file(),
            options: SimpleFileOptions::default()
                .compression_method(CompressionMethod::Deflated)
                .last_modified_time(entry_time(created))
                .unix_permissions(0o644),
            created,
            files: Vec::new(),
            names: HashSet::new(),
        }
    }

    /// Appends a file. `name` begins with one of the folders of [`super`].
    ///
    /// # Errors
    /// Those of output and content, a full package, and a name that is taken or not fit to be one.
    pub fn add(&mut self, name: &str, content: &mut impl Read) -> Result<(), WriteError> {
        if self.files.len() + 1 >= limits::PACKAGE_FILES {
            return Err(WriteError::Full);
        }
        if !is_name(name) || !self.names.insert(name.to_owned()) {
            return Err(WriteError::Name(name.to_owned()));
        }
        self.zip.start_file(name, self.options)?;
        let mut hasher =
            Hasher::new(DigestAlgorithm::Sha256).map_err(|e| WriteError::Output(e.to_string()))?;
        let mut buffer = vec![0; 64 * 1024];
        let mut length = 0;
        loop {
            let read = content.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            self.zip.write_all(&buffer[..read])?;
            length += read as u64;
        }
        self.files.push(Listed {
            name: name.to_owned(),
            length,
            sha256: hex(&hasher.finish()),
        });
        Ok(())
    }

    /// Appends the cover sheet and the manifest, and ends the package.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(mut self, cover: &str) -> Result<W, WriteError> {
        self.add(COVER, &mut cover.as_bytes())?;
        let manifest = Manifest {
            format: FORMAT,
            kind: KIND.to_owned(),
            created: self.created.to_rfc3339(),
            files: self.files,
        };
        let mut text = serde_json::to_vec_pretty(&manifest).expect("strings and numbers always serialise");
        text.push(b'\n');
        self.zip.start_file(MANIFEST, self.options)?;
        self.zip.write_all(&text)?;
        Ok(self.zip.finish()?)
    }
}
