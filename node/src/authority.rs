//! The authority of a federation: publishes signed global configuration, answers OCSP requests, gives time-stamps.
//!
//! It owns `authority.toml`, the keys of these three services and what was published lately. The key of the
//! certification authority is not among them: this process issues nothing, so whoever takes it over can neither
//! make members nor certificates. The file is looked at every second; a change (a member, a revocation) is published
//! at once, a mistake in it is reported and what was published before stays.
//!
//! | Request | Answer |
//! |---|---|
//! | `GET /internalconf?version=N` | the signed directory in version N, 2 to 6 (others: 404, as servers probe; none named: 2) |
//! | `GET /externalconf?version=N` | the same for other instances: shared parameters only |
//! | `GET /VN/{digest}/{part}` | a part, until the publications that name it have expired |
//! | `POST /ocsp` | OCSP response (RFC 6960) |
//! | `POST /tsa` | time-stamp response (RFC 3161) |
//! | `GET /health` | 200 while the published configuration is valid |

pub mod anchor;
pub mod keys;
pub mod publication;
pub mod registry;
mod service;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use kontor_pki::authority::{AuthorityError as PkiError, OcspResponder, TimestampAuthority};
use kontor_pki::certificate::Certificate;
use kontor_pki::signing::{SigningError, SoftwareKey};
use kontor_pki::time::UnixTime;
use tokio::net::TcpListener;

use self::publication::{Certificates, Publication, Signers, Verification};
use self::registry::{KeyFiles, Kind, Registry, RegistryError};
use crate::clock::SharedClock;
use crate::config::{KeyPair, Unseal};
use crate::crowd::Crowd;
use crate::keystore::{self, KeyError};
use crate::listen::{self, ListenError};
use crate::shutdown::Shutdown;

/// How often the registry file is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Why an authority does not start.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The folder of issued certificates cannot be read.
    #[error("{path} cannot be read: {source}; it must hold every certificate that was issued")]
    Issued {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key or certificate.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A certificate does not suit its service.
    #[error("a service of the authority cannot start: {0}")]
    Service(#[from] PkiError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The registry file.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The configuration could not be signed.
    #[error("the configuration could not be signed: {0}")]
    Signing(#[from] SigningError),
}

/// What one reading of the registry yields.
struct Opened {
    registry: Registry,
    certificates: Certificates,
    internal_key: Arc<SoftwareKey>,
    external_key: Arc<SoftwareKey>,
    ocsp: OcspResponder,
    tsa: TimestampAuthority,
    /// Every certificate issued, by serial number; with the instant of its revocation.
    issued: HashMap<Vec<u8>, Option<UnixTime>>,
}

/// What is served now.
struct Served {
    opened: Arc<Opened>,
    /// Newest first; older ones until they expire.
    publications: Vec<Arc<Publication>>,
}

/// What the last look at the files saw.
struct Sight {
    /// When each watched file changed.
    seen: Vec<Option<SystemTime>>,
    /// When the registry could not be used, if it still cannot.
    refused: Option<UnixTime>,
}

/// A running authority.
pub struct Authority {
    path: PathBuf,
    clock: SharedClock,
    served: ArcSwap<Served>,
}

impl Authority {
    /// Reads the registry file and makes the first publication.
    pub fn open(path: &Path, clock: SharedClock) -> Result<Self, AuthorityError> {
        let opened = Arc::new(Opened::open(path)?);
        let first = Arc::new(opened.publish(None, false, clock.now())?);
        let served = ArcSwap::from_pointee(Served {
            opened,
            publications: vec![first],
        });
        Ok(Self {
            path: path.to_owned(),
            clock,
            served,
        })
    }

    /// Publishes until the stop: when the time has come or the file has changed.
    async fn keep_publishing(self: Arc<Self>, shutdown: Shutdown) {
        let mut sight = Sight {
            seen: self.changed_at(),
            refused: None,
        };
        loop {
            tokio::select! {
                () = shutdown.soft() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let authority = Arc::clone(&self);
            // A large registry takes long to read and to write; OCSP requests do not wait for it.
            let looked = tokio::task::spawn_blocking(move || {
                authority.look(&mut sight);
                sight
            });
            sight = looked
                .await
                .unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()));
        }
    }

    /// Reads the registry again if it has changed, and publishes if it has or if the time has come.
    fn look(&self, sight: &mut Sight) {
        let served = self.served.load_full();
        let changed = self.changed_at();
        let mut opened = Arc::clone(&served.opened);
        let now = self.clock.now();
        // What made the last reading fail may be a file that is not watched: a certificate, a new anchor.
        let again = sight
            .refused
            .is_some_and(|at| now.since(at) >= opened.registry.refresh);
        if changed != sight.seen || again {
            // A new registry may watch other files: then the next look reads it once more, and misses nothing.
            sight.seen = changed;
            sight.refused = None;
            match Opened::open(&self.path) {
                Ok(anew) => {
                    tracing::info!(file = %self.path.display(), "registry changed and was read again");
                    opened = Arc::new(anew);
                }
                Err(error) => {
                    sight.refused = Some(now);
                    tracing::error!(%error, "registry changed but cannot be used; the last good one stays");
                }
            }
        }
        let newest = served.publications.first();
        let due = newest.is_none_or(|p| now.since(p.at) >= opened.registry.refresh);
        if due || !Arc::ptr_eq(&opened, &served.opened) {
            let unchanged = Arc::ptr_eq(&opened, &served.opened);
            let previous = newest.map(|p| &**p);
            match opened.publish(previous, unchanged, now) {
                Ok(publication) => {
                    let older = served.publications.iter().filter(|p| p.expires >= now).cloned();
                    let publications = std::iter::once(Arc::new(publication)).chain(older).collect();
                    self.served.store(Arc::new(Served { opened, publications }));
                }
                Err(error) => tracing::error!(%error, "the configuration could not be signed"),
            }
        }
    }

    /// When the registry file, the folder of issued certificates and the anchors of other instances changed last.
    fn changed_at(&self) -> Vec<Option<SystemTime>> {
        let modified = |path: &Path| std::fs::metadata(path).and_then(|m| m.modified()).ok();
        let registry = &self.served.load().opened.registry;
        let anchors = registry.federations.iter().map(|f| f.path.as_path());
        [self.path.as_path(), registry.issued_dir.as_path()]
            .into_iter()
            .chain(anchors)
            .map(modified)
            .collect()
    }
}

impl Opened {
    fn open(path: &Path) -> Result<Self, AuthorityError> {
        let registry = Registry::read(path)?;
        let base = path.parent().unwrap_or(Path::new("."));
        let master = keystore::master_key(&Unseal::File(registry.unseal_file.clone()), base)?;
        let load = |files: &KeyFiles| {
            let pair = KeyPair {
                key: files.key.clone(),
                certificate: files.certificate.clone(),
            };
            keystore::load(&pair, &master)
        };
        let internal = load(registry.configuration.active(Kind::Internal))?;
        let external = load(registry.configuration.active(Kind::External))?;
        // A key that will sign one day is looked at now, when the one before still can; it is not held.
        for waiting in registry.configuration.waiting() {
            load(&waiting)?;
        }
        let ocsp = load(&registry.ocsp)?;
        let tsa = load(&registry.tsa)?;
        let ca = keystore::certificates(&registry.ca_certificate)?.swap_remove(0);
        let servers = registry
            .servers
            .iter()
            .map(|server| {
                server
                    .authentication_certificates
                    .iter()
                    .map(|p| leaf(p))
                    .collect()
            })
            .collect::<Result<_, KeyError>>()?;
        let mut issued = issued(&registry.issued_dir)?;
        for revocation in &registry.revoked {
            issued.insert(revocation.serial.clone(), Some(revocation.at));
        }
        let certificates = Certificates {
            configuration: verification(&registry)?,
            sources: sources(&registry)?,
            ca,
            ocsp: ocsp.leaf().clone(),
            tsa: tsa.leaf().clone(),
            servers,
        };
        Ok(Self {
            ocsp: OcspResponder::new(ocsp.leaf().clone(), ocsp.key, registry.ocsp_freshness)?,
            tsa: TimestampAuthority::new(tsa.leaf().clone(), tsa.key)?,
            internal_key: internal.key,
            external_key: external.key,
            certificates,
            issued,
            registry,
        })
    }

    /// Publishes anew; `unchanged` if `previous` was made of this very registry.
    fn publish(
        &self,
        previous: Option<&Publication>,
        unchanged: bool,
        now: UnixTime,
    ) -> Result<Publication, SigningError> {
        let signers = Signers {
            internal: &*self.internal_key,
            external: &*self.external_key,
        };
        let publication = match previous.filter(|_| unchanged) {
            Some(previous) => previous.renewed(&self.registry, &self.certificates, signers, now)?,
            None => Publication::make(&self.registry, &self.certificates, signers, previous, now)?,
        };
        if let Some(dir) = &self.registry.trust_dir {
            // For auditors on this machine; members never read it, so a full disk must not stop the federation.
            if let Err(error) = write_copy(dir, &publication.files(&self.registry.instance)) {
                tracing::warn!(%error, dir = %dir.display(), "the copy of the configuration could not be written");
            }
        }
        Ok(publication)
    }
}

/// The certificates that verify what this authority publishes.
fn verification(registry: &Registry) -> Result<Verification, KeyError> {
    let of = |kind| leaves(registry.configuration.certificates(kind));
    Ok(Verification {
        internal: of(Kind::Internal)?,
        external: of(Kind::External)?,
    })
}

/// The certificates that verify what the other sources publish: ours where the registry names none.
fn sources(registry: &Registry) -> Result<Vec<Verification>, KeyError> {
    let own = verification(registry)?;
    let or_own = |paths: &[PathBuf], own: &[Certificate]| {
        if paths.is_empty() {
            Ok(own.to_vec())
        } else {
            leaves(paths)
        }
    };
    let sources = registry.sources.iter().map(|source| {
        Ok(Verification {
            internal: or_own(&source.internal_certificates, &own.internal)?,
            external: or_own(&source.external_certificates, &own.external)?,
        })
    });
    sources.collect()
}

fn leaves<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<Vec<Certificate>, KeyError> {
    paths.into_iter().map(|path| leaf(path)).collect()
}

fn leaf(path: &Path) -> Result<Certificate, KeyError> {
    Ok(keystore::certificates(path)?.swap_remove(0))
}

fn issued(dir: &Path) -> Result<HashMap<Vec<u8>, Option<UnixTime>>, AuthorityError> {
    let error = |source| AuthorityError::Issued {
        path: dir.to_owned(),
        source,
    };
    let mut issued = HashMap::new();
    for entry in std::fs::read_dir(dir).map_err(error)? {
        let path = entry.map_err(error)?.path();
        if path.extension().is_some_and(|e| e == "pem") {
            issued.insert(serial_of(&leaf(&path)?), None);
        }
    }
    Ok(issued)
}

/// The serial number without leading zeros, as the registry keeps it.
fn serial_of(certificate: &Certificate) -> Vec<u8> {
    certificate
        .serial()
        .iter()
        .copied()
        .skip_while(|b| *b == 0)
        .collect()
}

/// Each file by rename: a reader sees the old or the new one.
fn write_copy(dir: &Path, files: &[(String, Vec<u8>)]) -> std::io::Result<()> {
    for (name, bytes) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(dir))?;
        let unfinished = path.with_extension("new");
        std::fs::write(&unfinished, bytes)?;
        std::fs::rename(&unfinished, &path)?;
    }
    Ok(())
}

/// Serves until the stop.
pub async fn run(config: &Path, clock: SharedClock, shutdown: Shutdown) -> Result<(), AuthorityError> {
    let authority = Arc::new(Authority::open(config, clock)?);
    let (instance, address) = {
        let registry = &authority.served.load().opened.registry;
        (registry.instance.clone(), registry.listen)
    };
    let listener = listen::bind("http", address).await?;
    tracing::info!(%address, instance, "authority is ready");
    shutdown.spawn(Arc::clone(&authority).keep_publishing(shutdown.clone()));
    serve(authority, listener, shutdown).await;
    Ok(())
}

async fn serve(authority: Arc<Authority>, listener: TcpListener, shutdown: Shutdown) {
    listen::serve(
        "authority",
        listener,
        None,
        Some(Crowd::default()),
        shutdown,
        move |_, request| {
            let authority = Arc::clone(&authority);
            async move { authority.answer(request).await }
        },
    )
    .await;
}

/// Whoever holds these three keys speaks for the services; they belong to one process only.
impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
