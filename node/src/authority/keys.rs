//! New keys for the configuration: sealed with the authority's secret, with a certificate that only carries the key.
//!
//! Nothing is replaced: a name that is taken is refused, because a key that was announced cannot be made again.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use kontor_pki::authority::{AuthorityError as PkiError, CaParams, CertificateAuthority, Validity};
use kontor_pki::sealed::seal_key;
use kontor_pki::signing::KeyAlgorithm;
use kontor_pki::time::UnixTime;

use super::registry::{KeyFiles, Kind, Registry, RegistryError};
use crate::config::Unseal;
use crate::keystore::{self, KeyError};

/// Life of the certificate; readers of the configuration never look at it (wire 7.1).
const DAYS: u32 = 20 * 365;

/// Why no key was made.
#[derive(Debug, thiserror::Error)]
pub enum NewKeyError {
    /// The secret that seals keys.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The name cannot be that of a file.
    #[error(
        "{0:?} is no name for a key: letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
    )]
    Name(String),
    /// The key could not be made.
    #[error("the key could not be made: {0}")]
    Pki(#[from] PkiError),
    /// The registry file.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A key of this name is there.
    #[error("{0} is there already; a key is never replaced: choose another name")]
    Taken(PathBuf),
    /// A file could not be written.
    #[error("{path} could not be written: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Makes a key of this name beside the one that signs now.
pub fn make(
    config: &Path,
    name: &str,
    algorithm: KeyAlgorithm,
    now: UnixTime,
) -> Result<KeyFiles, NewKeyError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) || name.len() > 64 {
        return Err(NewKeyError::Name(name.to_owned()));
    }
    let registry = Registry::read(config)?;
    let dir = registry.configuration.active(Kind::Internal).key.parent();
    let dir = dir.unwrap_or(Path::new("."));
    let files = KeyFiles {
        key: dir.join(format!("{name}.key")),
        certificate: dir.join(format!("{name}.pem")),
    };
    // The key file decides: it is created anew or not at all.
    if files.certificate.exists() {
        return Err(NewKeyError::Taken(files.certificate));
    }
    let master = keystore::master_key(&Unseal::File(registry.unseal_file), dir)?;
    let own = CertificateAuthority::generate(&CaParams {
        name: format!("Configuration {name}"),
        test: registry.instance.starts_with("TEST"),
        organization: registry.instance,
        key: algorithm,
        validity: Validity::days(now, DAYS),
    })?;
    write(&files.key, &seal_key(own.key(), &master), 0o600)?;
    write(&files.certificate, own.certificate().to_pem().as_bytes(), 0o644)?;
    Ok(files)
}

fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), NewKeyError> {
    let failed = |source: std::io::Error| {
        let path = path.to_owned();
        match source.kind() {
            std::io::ErrorKind::AlreadyExists => NewKeyError::Taken(path),
            _ => NewKeyError::Write { path, source },
        }
    };
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    // It is announced to everybody next; a crash must not take it.
    file.sync_all().map_err(failed)?;
    let dir = path.parent().unwrap_or(Path::new("."));
    std::fs::File::open(dir)
        .and_then(|dir| dir.sync_all())
        .map_err(failed)
}
