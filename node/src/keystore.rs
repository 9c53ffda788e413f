//! Keys of the node: sealed files opened at start, held in memory, never handed out.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kontor_pki::certificate::Certificate;
use kontor_pki::sealed::{MasterKey, open_key, passphrase_params};
use kontor_pki::signing::{SigningKey, SoftwareKey};

use crate::config::{KeyPair, Unseal};
use crate::secret::{self, SecretError};

/// A key and the certificates that speak for it, leaf first.
pub struct Identity {
    /// The private key.
    pub key: Arc<SoftwareKey>,
    /// Leaf, then intermediates; a root in the file is left out.
    pub certificates: Vec<Certificate>,
}

impl Identity {
    /// The certificate of the key itself.
    pub fn leaf(&self) -> &Certificate {
        // `load` refuses an empty file.
        &self.certificates[0]
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("subject", &self.leaf().subject().to_rfc2253())
            .finish_non_exhaustive()
    }
}

/// A key file or certificate file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The certificate file holds no certificate or something else.
    #[error("{path} is not a PEM file of certificates, leaf first: {reason}")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The sealed file cannot be opened.
    #[error("{path} cannot be opened: {reason}; check that [keys] names the secret it was sealed with")]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Key and certificate do not belong together.
    #[error("{key} is not the key of the first certificate in {certificate}")]
    Mismatch {
        /// The key file.
        key: PathBuf,
        /// The certificate file.
        certificate: PathBuf,
    },
    /// A secret that cannot be read, or that others can.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The unseal file has another size.
    #[error("{path} must hold exactly 32 bytes")]
    Size {
        /// The file.
        path: PathBuf,
    },
}

fn read(path: &Path) -> Result<Vec<u8>, KeyError> {
    std::fs::read(path).map_err(|source| KeyError::Read {
        path: path.to_owned(),
        source,
    })
}

/// The master key that `[keys]` names. A passphrase is stretched as the header of `sealed`, one of the node's sealed
/// files, says.
pub fn master_key(unseal: &Unseal, sealed: &Path) -> Result<MasterKey, KeyError> {
    match unseal {
        Unseal::File(path) => {
            let bytes = secret::read(path)?;
            let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| KeyError::Size {
                path: path.to_owned(),
            })?;
            Ok(MasterKey::from_bytes(*bytes))
        }
        Unseal::Passphrase(path) => {
            let failed = |reason: String| KeyError::Key {
                path: sealed.to_owned(),
                reason,
            };
            let secret = secret::read(path)?;
            let passphrase = secret.strip_suffix(b"\n").unwrap_or(&secret);
            let params = passphrase_params(&read(sealed)?)
                .map_err(|e| failed(e.to_string()))?
                .ok_or_else(|| failed("it is sealed with an unseal file, not a passphrase".into()))?;
            MasterKey::from_passphrase(passphrase, &params).map_err(|e| failed(e.to_string()))
        }
    }
}

/// Certificates of a PEM file, in their order.
pub fn certificates(path: &Path) -> Result<Vec<Certificate>, KeyError> {
    let bad = |reason: String| KeyError::Certificate {
        path: path.to_owned(),
        reason,
    };
    let text = String::from_utf8(read(path)?).map_err(|_| bad("it is not text".into()))?;
    let found = Certificate::parse_pem_chain(&text).map_err(|e| bad(e.to_string()))?;
    if found.is_empty() {
        Err(bad("it is empty".into()))
    } else {
        Ok(found)
    }
}

/// Opens a key with its certificates.
pub fn load(pair: &KeyPair, master: &MasterKey) -> Result<Identity, KeyError> {
    let mut certificates = certificates(&pair.certificate)?;
    // Who is sent the root asks for an OCSP response about it, which nobody has (wire trap 2).
    let mut at = 0..;
    certificates.retain(|certificate| at.next() == Some(0) || certificate.issuer() != certificate.subject());
    let key = open_key(&read(&pair.key)?, master).map_err(|e| KeyError::Key {
        path: pair.key.clone(),
        reason: e.to_string(),
    })?;
    if key.public_key() != certificates[0].spki() {
        return Err(KeyError::Mismatch {
            key: pair.key.clone(),
            certificate: pair.certificate.clone(),
        });
    }
    Ok(Identity {
        key: Arc::new(key),
        certificates,
    })
}
