//! Reading a package: every file against the manifest, before anything in it is judged.

use std::collections::BTreeMap;
use std::io::{Read, Seek, Write};

use kontor_pki::crypto::{DigestAlgorithm, Hasher};
use kontor_pki::time::UnixTime;
use zip::ZipArchive;

use super::{CONFIGURATION, CONTAINERS, FORMAT, KIND, Listed, MANIFEST, Manifest, is_name};
use crate::container::hex;
use crate::limits;

/// Why bytes are no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageError {
    /// The ZIP file is damaged, or two programs could read different things out of it.
    #[error("the package is damaged: {0}")]
    Damaged(String),
    /// The manifest is none, or of a later version.
    #[error("the manifest of the package cannot be read: {0}")]
    Manifest(String),
    /// A name that could mean another place than it says.
    #[error("the package lists a file under a name that no package has: {0:?}")]
    Name(String),
    /// No manifest of this kind.
    #[error("the file is no evidence package: it has no entry `manifest.json`")]
    NotPackage,
    /// More or larger files than a package may have.
    #[error("the package is beyond its limits: {0}")]
    TooLarge(&'static str),
}

impl PackageError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "damaged_archive",
            Self::Manifest(_) => "package_manifest",
            Self::Name(_) => "package_name",
            Self::NotPackage => "package_manifest_missing",
            Self::TooLarge(_) => "too_large",
        }
    }
}

impl From<zip::result::ZipError> for PackageError {
    fn from(error: zip::result::ZipError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// What is wrong with a package that could be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackageFault {
    /// Not the bytes that the manifest lists.
    #[error("{0} is not the file that the manifest lists")]
    Changed(String),
    /// Listed, but not there.
    #[error("{0} is listed in the manifest, but not in the package")]
    Missing(String),
    /// There, but not listed.
    #[error("{0} is in the package, but the manifest does not list it")]
    Unlisted(String),
}

impl PackageFault {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Changed(_) => "package_file_changed",
            Self::Missing(_) => "package_file_missing",
            Self::Unlisted(_) => "package_file_unlisted",
        }
    }
}

/// Whether a file is a ZIP file with a manifest at its top. The position of the reader is anywhere afterwards.
pub fn is_package<R: Read + Seek>(file: R) -> bool {
    ZipArchive::new(file).is_ok_and(|zip| zip.index_for_name(MANIFEST).is_some())
}

/// A package, opened; files are read one by one.
pub struct Package<R> {
    zip: ZipArchive<R>,
    created: UnixTime,
    /// Listed files that are there: place in the archive, and as listed.
    files: BTreeMap<String, (usize, Listed)>,
    faults: Vec<PackageFault>,
}

impl<R: Read + Seek> Package<R> {
    /// Opens a package and reads its manifest.
    ///
    /// # Errors
    /// What is damaged, ambiguous, beyond the limits, or no package.
    pub fn open(file: R) -> Result<Self, PackageError> {
        let mut zip = ZipArchive::new(file)?;
        if zip.len() > limits::PACKAGE_FILES {
            return Err(PackageError::TooLarge("it has too many files"));
        }
        zip.validate_header_consistency()?;
        let place = zip.index_for_name(MANIFEST).ok_or(PackageError::NotPackage)?;
        let mut text = Vec::new();
        zip.by_index(place)?
            .take(limits::PACKAGE_MANIFEST as u64 + 1)
            .read_to_end(&mut text)
            .map_err(|e| PackageError::Damaged(e.to_string()))?;
        if text.len() > limits::PACKAGE_MANIFEST {
            return Err(PackageError::TooLarge("its manifest is too large"));
        }
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|e| PackageError::Manifest(e.to_string()))?;
        if manifest.kind != KIND || manifest.format != FORMAT {
            let text = "it has another kind or format than 1; a newer program may read it";
            return Err(PackageError::Manifest(text.to_owned()));
        }
        let created = UnixTime::parse_rfc3339(&manifest.created)
            .map_err(|_| PackageError::Manifest("it has no time".to_owned()))?;
        let mut there = BTreeMap::new();
        for entry in (0..zip.len()).filter(|&entry| entry != place) {
            let name = zip.by_index_raw(entry)?.name()?.into_owned();
            there.insert(name, entry);
        }
        let (mut files, mut faults, mut total) = (BTreeMap::new(), Vec::new(), 0_u64);
        for listed in manifest.files {
            if !is_name(&listed.name) || files.contains_key(&listed.name) {
                return Err(PackageError::Name(listed.name));
            }
            total = total.saturating_add(listed.length);
            match there.remove(&listed.name) {
                Some(entry) => {
                    files.insert(listed.name.clone(), (entry, listed));
                }
                None => faults.push(PackageFault::Missing(listed.name)),
            }
        }
        if total > limits::PACKAGE {
            return Err(PackageError::TooLarge("its files are too large together"));
        }
        faults.extend(there.into_keys().map(PackageFault::Unlisted));
        Ok(Self {
            zip,
            created,
            files,
            faults,
        })
    }

    /// When the package says that it was made.
    #[must_use]
    pub fn created(&self) -> UnixTime {
        self.created
    }

    /// Files that are listed and not there, or there and not listed.
    #[must_use]
    pub fn faults(&self) -> &[PackageFault] {
        &self.faults
    }

    /// Names of all files that are listed and there.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str)
    }

    /// Names of the containers.
    pub fn containers(&self) -> impl Iterator<Item = &str> {
        self.names()
            .filter(|name| name.starts_with(CONTAINERS) && name.ends_with(".asice"))
    }

    /// Names of the statements about messages whose content is gone.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        self.names()
            .filter(|name| name.starts_with(CONTAINERS) && name.ends_with(".statement.json"))
    }

    /// Bytes of a file, as the manifest states them; `None` if it is not there.
    #[must_use]
    pub fn size(&self, name: &str) -> Option<u64> {
        self.files.get(name).map(|(_, listed)| listed.length)
    }

    /// Copies a file to `out` and says whether it is the one that the manifest lists; `None` if it is not there. Never
    /// more than the stated bytes are given to `out`.
    ///
    /// # Errors
    /// A damaged entry, and errors of `out`.
    pub fn file(&mut self, name: &str, out: &mut impl Write) -> Result<Option<bool>, PackageError> {
        let Some((entry, listed)) = self.files.get(name) else {
            return Ok(None);
        };
        let damaged = |e: std::io::Error| PackageError::Damaged(e.to_string());
        let mut hasher =
            Hasher::new(DigestAlgorithm::Sha256).map_err(|e| PackageError::Damaged(e.to_string()))?;
        let mut file = self.zip.by_index(*entry)?;
        let mut left = listed.length;
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = file.read(&mut buffer).map_err(damaged)?;
            if read == 0 {
                break;
            }
            let Some(rest) = left.checked_sub(read as u64) else {
                return Ok(Some(false));
            };
            left = rest;
            hasher.update(&buffer[..read]);
            out.write_all(&buffer[..read]).map_err(damaged)?;
        }
        Ok(Some(left == 0 && hex(&hasher.finish()) == listed.sha256))
    }

    /// A file that is held in memory, if it is there, is what the manifest lists, and has at most `limit` bytes.
    ///
    /// # Errors
    /// As [`file`](Self::file), and one that is too large.
    pub fn held(&mut self, name: &str, limit: usize) -> Result<Option<Vec<u8>>, PackageError> {
        if self.size(name).is_some_and(|size| size > limit as u64) {
            return Err(PackageError::TooLarge("a file is too large"));
        }
        let mut bytes = Vec::new();
        let fits = self.file(name, &mut bytes)?;
        Ok((fits == Some(true)).then_some(bytes))
    }

    /// The companion of a container, likewise.
    ///
    /// # Errors
    /// As [`held`](Self::held).
    pub fn companion(&mut self, container: &str) -> Result<Option<Vec<u8>>, PackageError> {
        let name = container.strip_suffix(".asice").unwrap_or(container);
        self.held(&format!("{name}.leaf.json"), limits::CONTAINER_ENTRY)
    }

    /// The evidence record of a container, likewise.
    ///
    /// # Errors
    /// As [`held`](Self::held).
    pub fn record(&mut self, container: &str) -> Result<Option<Vec<u8>>, PackageError> {
        let name = container.strip_suffix(".asice").unwrap_or(container);
        self.held(&format!("{name}.ers"), limits::EVIDENCE_RECORD)
    }

    /// The global configuration in the package, by the names of wire 7.8: see
    /// [`TrustSet::from_files`](crate::trust::TrustSet::from_files).
    ///
    /// # Errors
    /// As [`held`](Self::held).
    pub fn configuration(&mut self) -> Result<Vec<(String, Vec<u8>)>, PackageError> {
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        let mut files = Vec::new();
        for name in names {
            if let Some(inner) = name.strip_prefix(CONFIGURATION)
                && let Some(bytes) = self.held(&name, limits::CONFIGURATION_PART)?
            {
                files.push((inner.to_owned(), bytes));
            }
        }
        Ok(files)
    }

    /// Reads every file and returns those that are not what the manifest lists; see also [`faults`](Self::faults).
    ///
    /// # Errors
    /// As [`file`](Self::file).
    pub fn changed(&mut self) -> Result<Vec<PackageFault>, PackageError> {
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        let mut faults = Vec::new();
        for name in names {
            if self.file(&name, &mut std::io::sink())? == Some(false) {
                faults.push(PackageFault::Changed(name));
            }
        }
        Ok(faults)
    }
}
