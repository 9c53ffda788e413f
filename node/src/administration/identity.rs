//! The certificate of the administration listener. Unless one is configured the node makes it: an authority that issues this
//! one certificate and whose key is then gone, so that whoever trusts `ca.pem` trusts nothing else. Made anew when its names
//! change, and at a start in its last month; auditors then need the new `ca.pem`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kontor_pki::authority::{AuthorityError, CaParams, CertificateAuthority, Leaf, Usage, Validity};
use kontor_pki::profile::Subject;
use kontor_pki::sealed::{MasterKey, seal_key};
use kontor_pki::signing::{KeyAlgorithm, SigningError, SigningKey as _, SoftwareKey};
use kontor_pki::time::UnixTime;
use kontor_protocol::id::ServerId;

use crate::config::{AdministrationSettings, AdministrationTls, KeyPair};
use crate::disk::{self, Disk, SystemDisk};
use crate::keystore::{self, Identity, KeyError};

/// Life of the certificate.
const DAYS: u32 = 730;
/// Its last month.
const LAST: std::time::Duration = std::time::Duration::from_secs(30 * 86_400);

/// Why the listener has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It could not be made.
    #[error("the certificate of the administration listener could not be made: {0}")]
    Authority(#[from] AuthorityError),
    /// A key or certificate does not read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// No key could be made.
    #[error("no key for the administration listener could be made: {0}")]
    Signing(#[from] SigningError),
    /// It could not be written.
    #[error("could not write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The identity of the listener, made if need be; `None` for plain HTTP. `dir` is a directory of the node's own.
///
/// # Errors
/// See [`IdentityError`].
pub fn identity(
    settings: &AdministrationSettings,
    dir: &Path,
    (master, server, test): (&MasterKey, &ServerId, bool),
    now: UnixTime,
) -> Result<Option<Identity>, IdentityError> {
    let names = match &settings.tls {
        AdministrationTls::Off => return Ok(None),
        AdministrationTls::Configured(pair) => return Ok(Some(keystore::load(pair, master)?)),
        AdministrationTls::Own(names) => names,
    };
    let mut wanted = vec![settings.listen.ip().to_string()];
    if settings.listen.ip().is_loopback() {
        wanted.push("localhost".into());
    }
    wanted.extend(names.iter().cloned());
    let pair = KeyPair {
        key: dir.join("tls.key"),
        certificate: dir.join("tls.pem"),
    };
    let list = dir.join("names");
    let is_named = std::fs::read_to_string(&list).is_ok_and(|kept| kept.lines().eq(wanted.iter()));
    if is_named && pair.key.exists() && pair.certificate.exists() {
        let kept = keystore::load(&pair, master)?;
        if kept.leaf().not_after() > now + LAST {
            return Ok(Some(kept));
        }
    }
    let authority = CertificateAuthority::generate(&CaParams {
        name: format!("Kontor administration of {server}"),
        organization: server.owner().to_string(),
        test,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(now, DAYS),
    })?;
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
    let leaf = authority.issue(&Leaf {
        public_key: key.public_key(),
        subject: Subject::common_name(wanted.last().cloned().unwrap_or_default()),
        usage: Usage::Authentication,
        validity: Validity::days(now, DAYS),
        dns_names: &wanted,
    })?;
    let disk = SystemDisk;
    disk.create_dir(dir).map_err(failed(dir))?;
    // The list last: without it everything is made again.
    for (path, content) in [
        (&pair.key, seal_key(&key, master)),
        (&pair.certificate, leaf.to_pem().into_bytes()),
        (&dir.join("ca.pem"), authority.certificate().to_pem().into_bytes()),
        (&list, (wanted.join("\n") + "\n").into_bytes()),
    ] {
        disk::replace(&disk, path, &content).map_err(failed(path))?;
    }
    Ok(Some(Identity {
        key: Arc::new(key),
        certificates: vec![leaf],
    }))
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> IdentityError {
    let path = path.to_owned();
    move |source| IdentityError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

    fn settings(listen: &str, names: &[&str]) -> AdministrationSettings {
        AdministrationSettings {
            listen: listen.parse().unwrap(),
            tls: AdministrationTls::Own(names.iter().map(ToString::to_string).collect()),
        }
    }

    #[test]
    fn a_certificate_is_kept_until_its_names_change_or_its_last_month() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("administration");
        let (master, server) = (MasterKey::from_bytes([7; 32]), "TEST/GOV/1/s".parse().unwrap());
        let now = UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap();
        let made = |settings: &AdministrationSettings, now| {
            let made = identity(settings, &dir, (&master, &server, true), now)
                .unwrap()
                .unwrap();
            made.leaf().clone()
        };
        let one = settings("127.0.0.1:4000", &["audit.example"]);
        let first = made(&one, now);
        assert!(first.is_test());
        assert_eq!(made(&one, now + 699 * DAY), first);
        assert_eq!(made(&settings("127.0.0.1:4001", &["audit.example"]), now), first);
        let ca = keystore::certificates(&dir.join("ca.pem")).unwrap();
        first.verify_issued_by(&ca[0]).unwrap();
        assert_ne!(made(&settings("127.0.0.1:4000", &["other.example"]), now), first);
        let third = made(&one, now);
        assert_ne!(made(&one, now + 701 * DAY), third);
        let other = MasterKey::from_bytes([8; 32]);
        let wrong = identity(&one, &dir, (&other, &server, true), now + 701 * DAY);
        assert!(matches!(wrong, Err(IdentityError::Key(_))));
    }
}
