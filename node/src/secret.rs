//! Files with a secret in clear, which nobody but their owner may read.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// Why a secret is not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Others than the owner may read it.
    #[error("{path} may be read by others (mode {mode:o}); run chmod 600 on it")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The bytes of such a file; wiped when they are dropped.
///
/// # Errors
/// A file that is not there, or that others may read.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let failed = |source| SecretError::Read {
        path: path.to_owned(),
        source,
    };
    let secret = Zeroizing::new(std::fs::read(path).map_err(failed)?);
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    match mode & 0o077 {
        0 => Ok(secret),
        _ => Err(SecretError::Open {
            path: path.to_owned(),
            mode,
        }),
    }
}
