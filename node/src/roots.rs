//! Whom TLS to servers of the outside world believes: the authorities of the system, or those of one PEM file. Peers, services
//! and information systems are judged otherwise, see `tls.rs`.

use std::path::{Path, PathBuf};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use crate::suites;

/// Where systems keep the certificates of public authorities.
const SYSTEM: [&str; 3] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
];

/// TLS as a client that shows no certificate. Without `ca`, and without authorities of the system, no server is believed.
///
/// # Errors
/// A file without a certificate, in a sentence.
pub fn client(ca: Option<&Path>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore::empty();
    let system = || SYSTEM.map(PathBuf::from).into_iter().find(|path| path.exists());
    if let Some(path) = ca.map(PathBuf::from).or_else(system) {
        let read =
            CertificateDer::pem_file_iter(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        roots.add_parsable_certificates(read.filter_map(Result::ok));
        if roots.is_empty() {
            return Err(format!("{} holds no certificate of an authority", path.display()));
        }
    }
    let config = ClientConfig::builder_with_provider(suites::provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config)
}
