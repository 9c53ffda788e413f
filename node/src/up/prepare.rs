//! Everything the federation needs before its first process starts: keys, certificates, anchor, configuration files.
//!
//! Run at every start: what is there and still good stays, what is missing or ends within 30 days is made anew with
//! the same key, configuration files are written anew. Keys are sealed with a secret of the node that owns them
//! (`unseal.key`, 0600). The authority's certification key is used here and by no process that runs.

use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_pki::authority::{AuthorityError, CaParams, CertificateAuthority, Leaf, Usage, Validity};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto;
use kontor_pki::profile::{CertificateProfile, ProfileMember, Subject};
use kontor_pki::sealed::{MasterKey, SealError, open_key, seal_key};
use kontor_pki::signing::{KeyAlgorithm, SigningError, SigningKey as _, SoftwareKey};
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::anchor::{AnchorSource, ConfigurationAnchor};

use super::layout::{INSTANCE, Layout, MEMBERS};
use super::settings;

/// Certificates that end within this time are renewed.
const RENEW: Duration = Duration::from_secs(30 * 86_400);
/// Life of certificates for keys of nodes.
const LEAF_DAYS: u32 = 365;
/// Life of the authority's own certificates: old evidence must still find them.
const AUTHORITY_DAYS: u32 = 20 * 365;
/// The profile that ties a signing certificate to its member.
pub const PROFILE: CertificateProfile = CertificateProfile::Ejbca;

/// Why the files could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A certificate could not be issued.
    #[error("a certificate could not be issued: {0}")]
    Authority(#[from] AuthorityError),
    /// A file is there but cannot be used.
    #[error("{path} cannot be used: {reason}; start over with --fresh, or put the file back")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file cannot be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A key could not be made.
    #[error("a key could not be made: {0}")]
    Key(#[from] SigningError),
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> PrepareError {
    let path = path.to_owned();
    move |source| PrepareError::File { path, source }
}

/// Prepares the directory of the layout; `moved` if its addresses are other ones than before.
pub fn prepare(layout: &Layout, moved: bool, now: UnixTime) -> Result<(), PrepareError> {
    let authority = prepare_authority(layout, now)?;
    let anchor = anchor(layout, &authority.configuration).to_xml();
    std::thread::scope(|scope| {
        let nodes: Vec<_> = layout
            .members()
            .iter()
            .enumerate()
            .map(|(index, _)| {
                let (authority, anchor) = (&authority, &anchor);
                scope.spawn(move || prepare_node(layout, index, moved, authority, anchor, now))
            })
            .collect();
        nodes.into_iter().try_for_each(|node| {
            node.join()
                .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
        })
    })?;
    // What the authority publishes of a server stands with the authority: members' folders may be on other machines.
    let servers = layout.authority_dir().join("servers");
    std::fs::create_dir_all(&servers).map_err(file_error(&servers))?;
    for member in layout.members() {
        let own = layout.node_dir(member).join("keys/auth.pem");
        let pem = std::fs::read(&own).map_err(file_error(&own))?;
        write(&servers.join(format!("{}.pem", member.code)), &pem)?;
    }
    if let Some(clock) = layout.training_clock()
        && !clock.exists()
    {
        write(&clock, b"0\n")?;
    }
    write(
        &layout.authority_dir().join("authority.toml"),
        settings::authority(layout).as_bytes(),
    )
}

/// What the nodes need of the authority.
struct Prepared {
    ca: CertificateAuthority,
    configuration: Certificate,
    issued: PathBuf,
}

fn prepare_authority(layout: &Layout, now: UnixTime) -> Result<Prepared, PrepareError> {
    let folder = Folder::open(layout.authority_dir())?;
    let issued = folder.dir.join("issued");
    std::fs::create_dir_all(&issued).map_err(file_error(&issued))?;
    let (key_path, certificate_path) = (folder.key_path("ca"), folder.dir.join("ca.pem"));
    let ca = match read_certificate(&certificate_path)? {
        Some(certificate) => {
            let damaged = |e: AuthorityError| PrepareError::Damaged {
                path: certificate_path,
                reason: e.to_string(),
            };
            CertificateAuthority::from_parts(certificate, folder.key("ca")?.into()).map_err(damaged)?
        }
        None => {
            let ca = CertificateAuthority::generate(&CaParams {
                name: "Kontor Test CA (fiktiv)".into(),
                organization: "Kontor up".into(),
                test: true,
                key: KeyAlgorithm::EcdsaP256,
                validity: Validity::days(now, AUTHORITY_DAYS),
            })?;
            write_secret(&key_path, &seal_key(ca.key(), &folder.master))?;
            write(&certificate_path, ca.certificate().to_pem().as_bytes())?;
            ca
        }
    };
    let uses = [
        (
            "configuration",
            "Kontor Test Configuration (fiktiv)",
            Usage::Signing,
        ),
        ("ocsp", "Kontor Test OCSP (fiktiv)", Usage::OcspResponder),
        ("tsa", "Kontor Test TSA (fiktiv)", Usage::TimestampAuthority),
    ];
    let mut certificates = Vec::new();
    for (name, common_name, usage) in uses {
        let subject = Subject::common_name(common_name);
        let wanted = Wanted {
            name,
            subject,
            usage,
            addresses: &[],
            days: AUTHORITY_DAYS,
            renew: false,
        };
        certificates.push(folder.identity(&wanted, &ca, &issued, now)?);
    }
    Ok(Prepared {
        ca,
        configuration: certificates.swap_remove(0),
        issued,
    })
}

fn prepare_node(
    layout: &Layout,
    index: usize,
    moved: bool,
    authority: &Prepared,
    anchor: &[u8],
    now: UnixTime,
) -> Result<(), PrepareError> {
    let member = &MEMBERS[index];
    let folder = Folder::open(layout.node_dir(member))?;
    let address = layout.node_host(index, member);
    let named = ProfileMember {
        instance: INSTANCE.to_owned(),
        class: member.class.to_owned(),
        code: member.code.to_owned(),
    };
    let tls_subject = || PROFILE.authentication_subject(&named, member.server, member.name, &address);
    let addresses = [address.clone()];
    let uses = [
        ("auth", tls_subject(), Usage::Authentication, &addresses[..]),
        (
            "sign",
            PROFILE.signing_subject(&named, member.name),
            Usage::Signing,
            &[],
        ),
        ("internal", tls_subject(), Usage::Authentication, &addresses[..]),
    ];
    for (name, subject, usage, addresses) in uses {
        // Information systems look at the address in it, other nodes only at the hash of theirs.
        let renew = moved && name == "internal";
        let wanted = Wanted {
            name,
            subject,
            usage,
            addresses,
            days: LEAF_DAYS,
            renew,
        };
        folder.identity(&wanted, &authority.ca, &authority.issued, now)?;
    }
    let mut keys = Vec::new();
    for (principal, _, _) in settings::PRINCIPALS {
        keys.push(desk_key(&layout.desk_key(member, principal))?);
    }
    write(
        &folder.dir.join("directory.toml"),
        settings::directory(layout).as_bytes(),
    )?;
    write(&folder.dir.join("anchor.xml"), anchor)?;
    write(
        &layout.node_config(member),
        settings::node(layout, index, member, &keys).as_bytes(),
    )
}

/// SHA-256 of a key to the interface, which is made if it is not there.
fn desk_key(path: &Path) -> Result<[u8; 32], PrepareError> {
    let key = match std::fs::read_to_string(path) {
        Ok(key) => key,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let dir = path.parent().unwrap_or(path);
            std::fs::create_dir_all(dir).map_err(file_error(dir))?;
            let key: String = crypto::random::<32>()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            write_secret(path, key.as_bytes())?;
            key
        }
        Err(error) => return Err(file_error(path)(error)),
    };
    Ok(crypto::sha256(key.trim().as_bytes()))
}

fn anchor(layout: &Layout, configuration: &Certificate) -> ConfigurationAnchor {
    ConfigurationAnchor {
        generated_at: None,
        instance: INSTANCE.to_owned(),
        sources: vec![AnchorSource {
            download_url: format!("http://{}/internalconf", layout.authority_host()),
            verification_certificates: vec![configuration.der().to_vec()],
        }],
    }
}

/// A certificate that must be there.
struct Wanted<'a> {
    name: &'a str,
    subject: Subject,
    usage: Usage,
    addresses: &'a [String],
    days: u32,
    renew: bool,
}

/// The folder of one process with the secret that seals its keys.
struct Folder {
    dir: PathBuf,
    master: MasterKey,
}

impl Folder {
    fn open(dir: PathBuf) -> Result<Self, PrepareError> {
        let keys = dir.join("keys");
        std::fs::create_dir_all(&keys).map_err(file_error(&keys))?;
        let path = dir.join("unseal.key");
        let secret = match std::fs::read(&path) {
            Ok(bytes) => bytes.try_into().map_err(|_| PrepareError::Damaged {
                path: path.clone(),
                reason: "it does not hold 32 bytes".into(),
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let secret: [u8; 32] = crypto::random();
                write_secret(&path, &secret)?;
                secret
            }
            Err(error) => return Err(file_error(&path)(error)),
        };
        Ok(Self {
            dir,
            master: MasterKey::from_bytes(secret),
        })
    }

    fn key_path(&self, name: &str) -> PathBuf {
        self.dir.join("keys").join(name).with_extension("key")
    }

    /// The key of this name, made if it is not there.
    fn key(&self, name: &str) -> Result<SoftwareKey, PrepareError> {
        let path = self.key_path(name);
        match std::fs::read(&path) {
            Ok(bytes) => open_key(&bytes, &self.master).map_err(|e: SealError| PrepareError::Damaged {
                path,
                reason: e.to_string(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256)?;
                write_secret(&path, &seal_key(&key, &self.master))?;
                Ok(key)
            }
            Err(error) => Err(file_error(&path)(error)),
        }
    }

    /// The certificate for the key of this name, issued if it is missing, foreign or about to end.
    fn identity(
        &self,
        wanted: &Wanted<'_>,
        ca: &CertificateAuthority,
        issued: &Path,
        now: UnixTime,
    ) -> Result<Certificate, PrepareError> {
        let key = self.key(wanted.name)?;
        let path = self.dir.join("keys").join(wanted.name).with_extension("pem");
        if let Some(held) = read_certificate(&path)? {
            let fits = !wanted.renew
                && held.spki() == key.public_key()
                && held.issuer() == ca.certificate().subject();
            // A certificate from the future: the clock was wrong when it was made.
            if fits && held.not_before() <= now && held.not_after() >= now + RENEW {
                return Ok(held);
            }
        }
        let certificate = ca.issue(&Leaf {
            public_key: key.public_key(),
            subject: wanted.subject.clone(),
            usage: wanted.usage,
            validity: Validity::days(now, wanted.days),
            dns_names: wanted.addresses,
        })?;
        // Known to the OCSP responder before anybody uses it.
        let pem = certificate.to_pem();
        write(
            &issued.join(format!("{}.pem", certificate.serial_decimal())),
            pem.as_bytes(),
        )?;
        write(&path, pem.as_bytes())?;
        Ok(certificate)
    }
}

fn read_certificate(path: &Path) -> Result<Option<Certificate>, PrepareError> {
    match std::fs::read_to_string(path) {
        Ok(pem) => Certificate::parse_pem(&pem)
            .map(Some)
            .map_err(|e| PrepareError::Damaged {
                path: path.to_owned(),
                reason: e.to_string(),
            }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(path)(error)),
    }
}

/// Writes a file by rename, so that a process sees all of it or the one before; untouched if it says the same.
fn write(path: &Path, bytes: &[u8]) -> Result<(), PrepareError> {
    write_with_mode(path, bytes, 0o644)
}

/// The same, readable by the owner only from its first byte on.
fn write_secret(path: &Path, bytes: &[u8]) -> Result<(), PrepareError> {
    write_with_mode(path, bytes, 0o600)
}

fn write_with_mode(path: &Path, bytes: &[u8], mode: u32) -> Result<(), PrepareError> {
    if std::fs::read(path).is_ok_and(|before| before == bytes) {
        return Ok(());
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    let written = || -> io::Result<()> {
        match std::fs::remove_file(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&unfinished)?;
        file.write_all(bytes)?;
        // A key that is lost after its certificate went out cannot be made again.
        file.sync_data()?;
        std::fs::rename(&unfinished, path)
    };
    written().map_err(file_error(path))
}

#[cfg(test)]
mod tests;
