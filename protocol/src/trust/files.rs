//! A trust set from stored files in the layout that X-Road's own tools read (wire 7.8).
//!
//! Owns which file belongs to which instance, and the metadata beside them. The own instance must be whole; another
//! instance that cannot be read is dropped and named among the problems (wire 7.9).

use std::collections::BTreeMap;

use kontor_pki::time::UnixTime;

use super::document::DocumentError;
use super::optional::OptionalParts;
use super::private::PrivateParams;
use super::shared::SharedParams;
use super::{
    FETCH_INTERVAL, InstanceConfig, MONITORING, NEXT_UPDATE, PRIVATE_PARAMETERS, SHARED_PARAMETERS, TrustSet,
    known_file_name,
};
use crate::id::decode_segment;

/// Why a directory of stored configuration cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFilesError {
    /// A file of the own instance that cannot be used.
    #[error("{file} cannot be used: {source}")]
    Document {
        /// Its path below the directory.
        file: String,
        /// What is wrong with it.
        source: DocumentError,
    },
    /// Metadata of the own instance that cannot be read.
    #[error("{file} is no metadata of a configuration part: {why}")]
    Metadata {
        /// Its path below the directory.
        file: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that must be there.
    #[error("{0} is missing: the directory is no copy of a global configuration")]
    Missing(String),
    /// A file that describes another instance than its folder says.
    #[error("{file} describes the instance `{found}`")]
    WrongInstance {
        /// Its path below the directory.
        file: String,
        /// The instance inside.
        found: String,
    },
}

impl TrustFilesError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Document { source, .. } => source.code(),
            Self::Metadata { .. } => "malformed",
            Self::Missing(_) => "missing",
            Self::WrongInstance { .. } => "wrong_instance",
        }
    }
}

/// What is stored beside each part (wire 7.8). Tools write less than the configuration client: all may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartMetadata {
    /// Content identifier of the part.
    pub identifier: Option<String>,
    /// Instance of the part.
    pub instance: Option<String>,
    /// The file name of the directory, if it gave one.
    pub file_name: Option<String>,
    /// Where it was fetched.
    pub location: Option<String>,
    /// Until when it may be used.
    pub expires: Option<UnixTime>,
    /// Version of the configuration; 2 where nothing is said.
    pub version: u32,
}

#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetadataJson {
    #[serde(default)]
    content_identifier: Option<String>,
    #[serde(default)]
    instance_identifier: Option<String>,
    #[serde(default)]
    content_file_name: Option<String>,
    #[serde(default)]
    content_location: Option<String>,
    #[serde(default)]
    expiration_date: Option<String>,
    #[serde(default)]
    configuration_version: Option<String>,
}

impl PartMetadata {
    /// Reads the JSON of a `.metadata` file.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        let read: MetadataJson = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let expires = read
            .expiration_date
            .as_deref()
            .map(UnixTime::parse_rfc3339)
            .transpose();
        let expires = expires.map_err(|_| "expirationDate is no instant".to_owned())?;
        let version = match read.configuration_version.as_deref() {
            None | Some("") => 2,
            Some(text) => text
                .parse()
                .map_err(|_| "configurationVersion is no number".to_owned())?,
        };
        Ok(Self {
            identifier: read.content_identifier,
            instance: read.instance_identifier,
            file_name: read.content_file_name,
            location: read.content_location,
            expires,
            version,
        })
    }

    /// The JSON of a `.metadata` file.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let json = MetadataJson {
            content_identifier: self.identifier.clone(),
            instance_identifier: self.instance.clone(),
            content_file_name: self.file_name.clone(),
            content_location: self.location.clone(),
            expiration_date: self.expires.map(|at| at.to_rfc3339()),
            configuration_version: Some(self.version.to_string()),
        };
        serde_json::to_vec(&json).expect("strings and options always serialise")
    }
}

type Files = BTreeMap<String, Vec<u8>>;

impl TrustSet {
    /// Builds a trust set from the files of a directory in the layout of wire 7.8.
    ///
    /// Paths are relative to the directory, with `/`. Files of other names are ignored; metadata may be missing, then
    /// the version is taken from the content and no expiry is known.
    ///
    /// # Errors
    /// No `instance-identifier`, or files of that instance that cannot be used.
    pub fn from_files(files: Vec<(String, Vec<u8>)>) -> Result<Self, TrustFilesError> {
        const OWN: &str = "instance-identifier";
        let files: Files = files
            .into_iter()
            .map(|(path, bytes)| (path.trim_start_matches("./").to_owned(), bytes))
            .collect();
        let own = files
            .get(OWN)
            .ok_or_else(|| TrustFilesError::Missing(OWN.to_owned()))?;
        let own = std::str::from_utf8(own).unwrap_or_default().trim().to_owned();
        if own.is_empty() {
            return Err(TrustFilesError::Missing(OWN.to_owned()));
        }
        let mut configs = Vec::new();
        let mut dropped = Vec::new();
        for folder in files
            .keys()
            .filter_map(|path| path.strip_suffix("/shared-params.xml"))
        {
            // Java encodes as for forms; a plus is a blank there.
            let Ok(name) = decode_segment(&folder.replace('+', "%20")) else {
                continue;
            };
            match read_instance(&files, folder, &name, name == own) {
                Ok(config) => configs.push(config),
                Err(e) if name == own => return Err(e),
                Err(e) => dropped.push(format!("instance {name} is left out: {e}")),
            }
        }
        let mut set = Self::new(&own, configs)
            .map_err(|_| TrustFilesError::Missing(format!("{own}/shared-params.xml")))?;
        set.problems.extend(dropped);
        Ok(set)
    }
}

fn read_instance(
    files: &Files,
    folder: &str,
    name: &str,
    own: bool,
) -> Result<InstanceConfig, TrustFilesError> {
    let path = |identifier| format!("{folder}/{}", known_file_name(identifier).unwrap_or_default());
    let refuse = |file: &str| {
        let file = file.to_owned();
        move |source| TrustFilesError::Document { file, source }
    };
    let must_be_here = |file: &str, found: &str| {
        if found == name {
            return Ok(());
        }
        Err(TrustFilesError::WrongInstance {
            file: file.to_owned(),
            found: found.to_owned(),
        })
    };

    let file = path(SHARED_PARAMETERS);
    let bytes = files
        .get(&file)
        .ok_or_else(|| TrustFilesError::Missing(file.clone()))?;
    let metadata = read_metadata(files, &file)?;
    let (shared, version) = match &metadata {
        Some(m) => (
            SharedParams::read(bytes, m.version).map_err(refuse(&file))?,
            m.version,
        ),
        None => SharedParams::read_unversioned(bytes).map_err(refuse(&file))?,
    };
    must_be_here(&file, &shared.instance)?;
    let mut config = InstanceConfig {
        instance: name.to_owned(),
        shared,
        private: None,
        optional: OptionalParts::default(),
        version,
        expires: metadata.and_then(|m| m.expires),
    };
    if !own {
        return Ok(config);
    }
    let file = path(PRIVATE_PARAMETERS);
    if let Some(bytes) = files.get(&file) {
        let version = read_metadata(files, &file)?.map_or(version, |m| m.version);
        let private = PrivateParams::read(bytes, version).map_err(refuse(&file))?;
        must_be_here(&file, &private.instance)?;
        config.private = Some(private);
    }
    for identifier in [FETCH_INTERVAL, MONITORING, NEXT_UPDATE] {
        let file = path(identifier);
        if let Some(bytes) = files.get(&file) {
            config.optional.take(identifier, bytes).map_err(refuse(&file))?;
        }
    }
    Ok(config)
}

fn read_metadata(files: &Files, file: &str) -> Result<Option<PartMetadata>, TrustFilesError> {
    let file = format!("{file}.metadata");
    let Some(bytes) = files.get(&file) else {
        return Ok(None);
    };
    PartMetadata::from_json(bytes)
        .map(Some)
        .map_err(|why| TrustFilesError::Metadata { file, why })
}
