//! Downloads of one instance's configuration (wire 7.2): locations in turn, version probing, directory, parts, disk.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kontor_pki::crypto::fill_random;
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use kontor_protocol::trust::directory::{self, AcceptedPart, DirectoryPart, Relation, VerifiedDirectory};
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::{IndexedInstance, InstanceConfig};

use super::store::Folder;
use crate::fetch::{Bounds, Fetched, Fetcher};

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    max_body: 64 << 20,
};
/// Versions read, highest first; version 2 is asked for without probing.
const PROBED: [u32; 4] = [6, 5, 4, 3];
/// A location that failed is left alone for a second, then two, four, up to this, while others answer.
const SET_BACK: Duration = Duration::from_secs(600);

/// Where a directory may be fetched, and whose signature it must carry.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Location {
    url: String,
    certificates: Vec<Vec<u8>>,
}

/// The configuration of one instance as it was downloaded last.
#[derive(Clone, Debug)]
pub(super) struct Downloaded {
    pub(super) instance: Arc<IndexedInstance>,
    pub(super) expires: UnixTime,
    /// What it consists of; nothing where it comes from the disk.
    parts: Vec<DirectoryPart>,
    version: u32,
    /// When its documents were there, if they were read in this process.
    pub(super) fetched: Option<Instant>,
}

impl Downloaded {
    /// What the last run left on disk.
    pub(super) fn stored(instance: Arc<IndexedInstance>, expires: UnixTime) -> Self {
        Self {
            version: instance.config().version,
            instance,
            expires,
            parts: Vec::new(),
            fetched: None,
        }
    }

    fn has_content_of(&self, directory: &VerifiedDirectory) -> bool {
        let (mine, theirs) = (&self.parts, directory.parts());
        self.version == directory.version()
            && mine.len() == theirs.len()
            && mine
                .iter()
                .zip(theirs)
                .all(|(one, other)| one.is_same_file(other))
    }
}

/// One instance's sources: knows where to look and what worked last.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) anchor: ConfigurationAnchor,
    relation: Relation,
    root: PathBuf,
    fetcher: Fetcher,
    /// What is held of it.
    pub(super) held: Option<Downloaded>,
    /// The versioned address that worked last; forgotten when it fails.
    last: Option<(Location, String)>,
    /// Locations that failed: how often, and until when others are asked.
    failed: HashMap<Location, (u32, Instant)>,
}

impl Source {
    pub(super) fn new(
        anchor: ConfigurationAnchor,
        relation: Relation,
        root: PathBuf,
        fetcher: Fetcher,
        held: Option<Downloaded>,
    ) -> Self {
        Self {
            anchor,
            relation,
            root,
            fetcher,
            held,
            last: None,
            failed: HashMap::new(),
        }
    }

    /// Fetches, verifies, stores and holds the newest configuration.
    pub(super) async fn download(&mut self, now: UnixTime) -> Result<(), String> {
        let mut reasons = Vec::new();
        let last = self.last.take();
        let tried = last.as_ref().map(|(location, _)| location.clone());
        if let Some((location, versioned)) = last {
            match self.fetch(&versioned).await {
                Ok(answer) => match self.from(location, versioned, answer, now).await {
                    Ok(()) => return Ok(()),
                    Err(reason) => reasons.push(reason),
                },
                Err(reason) => {
                    self.set_back(location);
                    reasons.push(reason);
                }
            }
        }
        for location in self.locations() {
            if tried.as_ref() == Some(&location) {
                continue;
            }
            match self.probe(&location.url).await {
                Ok((versioned, answer)) => match self.from(location, versioned, answer, now).await {
                    Ok(()) => return Ok(()),
                    Err(reason) => reasons.push(reason),
                },
                Err(reason) => {
                    self.set_back(location);
                    reasons.push(reason);
                }
            }
        }
        Err(reasons.join("; "))
    }

    /// Sources that the held configuration names, then those of the anchor, each by TLS first; the order among equals is
    /// drawn. Those that failed wait while there are others.
    fn locations(&self) -> Vec<Location> {
        let mut plain: Vec<Location> = Vec::new();
        let mut add = |location: Location| {
            if !plain.contains(&location) {
                plain.push(location);
            }
        };
        // What is asked for stands at the end of the anchor's address: `internalconf` or `externalconf`.
        let last = |url: &str| {
            let path = url.split(['?', '#']).next().unwrap_or_default();
            path.rsplit('/').next().unwrap_or_default().to_owned()
        };
        let asked = self
            .anchor
            .sources
            .first()
            .map(|source| last(&source.download_url));
        let asked = asked.unwrap_or_default();
        if let Some(held) = &self.held {
            for source in &held.instance.config().shared.sources {
                let certificates = match asked.as_str() {
                    "internalconf" => &source.internal_certificates,
                    "externalconf" => &source.external_certificates,
                    // A configuration proxy publishes under names of its own.
                    _ => continue,
                };
                add(Location {
                    url: format!("http://{}/{asked}", source.address),
                    certificates: certificates.clone(),
                });
            }
        }
        for source in &self.anchor.sources {
            add(Location {
                url: source.download_url.clone(),
                certificates: source.verification_certificates.clone(),
            });
        }
        let secure = plain.iter().filter_map(|location| {
            let rest = location.url.strip_prefix("http://")?;
            Some(Location {
                url: format!("https://{rest}"),
                certificates: location.certificates.clone(),
            })
        });
        let mut all: Vec<_> = secure.chain(plain.iter().cloned()).collect();
        // Stable: TLS stays before plain among those with equal draws, and a draw is made for each host.
        let mut draws: HashMap<String, [u8; 8]> = HashMap::new();
        let mut draw = |url: &str| {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest).to_owned();
            *draws.entry(rest).or_insert_with(|| {
                let mut drawn = [0; 8];
                fill_random(&mut drawn);
                drawn
            })
        };
        all.sort_by_key(|location| (Reverse(location.url.starts_with("https://")), draw(&location.url)));
        let now = Instant::now();
        let until = |location: &Location| self.failed.get(location).map(|(_, until)| *until);
        let waits = |location: &Location| until(location).is_some_and(|until| until > now);
        if all.iter().all(waits) {
            all.sort_by_key(until);
            return all;
        }
        all.retain(|location| !waits(location));
        all
    }

    fn set_back(&mut self, location: Location) {
        let (times, until) = self.failed.entry(location).or_insert((0, Instant::now()));
        *times += 1;
        let wait = Duration::from_secs(1 << (*times - 1).min(16));
        *until = Instant::now() + wait.min(SET_BACK);
    }

    async fn fetch(&self, url: &str) -> Result<Fetched, String> {
        self.fetcher.get(url, &BOUNDS).await.map_err(|e| e.to_string())
    }

    /// The address with the highest version that is there, and what it answers (wire 7.2, 3).
    async fn probe(&self, url: &str) -> Result<(String, Fetched), String> {
        if url.contains("version=") {
            return Ok((url.to_owned(), self.fetch(url).await?));
        }
        let joint = if url.contains('?') { '&' } else { '?' };
        for version in PROBED {
            let versioned = format!("{url}{joint}version={version}");
            let answer = self.fetch(&versioned).await?;
            if answer.status != 404 {
                return Ok((versioned, answer));
            }
        }
        let oldest = format!("{url}{joint}version=2");
        let answer = self.fetch(&oldest).await?;
        Ok((oldest, answer))
    }

    async fn from(
        &mut self,
        location: Location,
        versioned: String,
        answer: Fetched,
        now: UnixTime,
    ) -> Result<(), String> {
        match self.taken(&location, &versioned, &answer, now).await {
            Ok(downloaded) => {
                self.held = Some(downloaded);
                self.failed.remove(&location);
                self.last = Some((location, versioned));
                Ok(())
            }
            Err(reason) => {
                self.set_back(location);
                Err(reason)
            }
        }
    }

    async fn taken(
        &self,
        location: &Location,
        versioned: &str,
        answer: &Fetched,
        now: UnixTime,
    ) -> Result<Downloaded, String> {
        let told = |e: &dyn std::fmt::Display| format!("{versioned}: {e}");
        if answer.status != 200 {
            return Err(told(&format!("status {}", answer.status)));
        }
        let (instance, certificates) = (&self.anchor.instance, &location.certificates);
        let directory = directory::verify(&answer.body, certificates, instance, self.relation, now)
            .and_then(|directory| directory.must_have_shared_parameters().map(|()| directory))
            .map_err(|e| told(&e))?;
        let folder = Folder::of(&self.root, instance);
        if let Some(held) = self.held.as_ref().filter(|held| held.has_content_of(&directory)) {
            let renewed = Downloaded {
                expires: directory.expires(),
                parts: directory.parts().to_vec(),
                ..held.clone()
            };
            on_a_thread(move || folder.renew(&directory).map_err(|e| e.to_string())).await?;
            return Ok(renewed);
        }
        let mut parts = Vec::new();
        for part in directory.parts() {
            let (kept, asked) = (folder.clone(), part.clone());
            let stored = on_a_thread(move || Ok(kept.part(&asked))).await?;
            let bytes = match stored {
                Some(bytes) => bytes,
                None => self.fetch_part(versioned, part).await?,
            };
            parts.push((part.clone(), bytes));
        }
        let fetched = Some(Instant::now());
        on_a_thread(move || {
            let config = accepted(&directory, &parts)?;
            folder.write(&directory, &parts).map_err(|e| e.to_string())?;
            drop(parts);
            Ok(Downloaded {
                instance: Arc::new(IndexedInstance::new(config)),
                expires: directory.expires(),
                version: directory.version(),
                parts: directory.parts().to_vec(),
                fetched,
            })
        })
        .await
        .map_err(|e| told(&e))
    }

    async fn fetch_part(&self, versioned: &str, part: &DirectoryPart) -> Result<Vec<u8>, String> {
        let origin = versioned
            .find("://")
            .and_then(|i| versioned[i + 3..].find('/').map(|j| &versioned[..i + 3 + j]));
        let url = format!("{}{}", origin.unwrap_or(versioned), part.location());
        let answer = self.fetch(&url).await?;
        if answer.status != 200 {
            return Err(format!("{url}: status {}", answer.status));
        }
        Ok(answer.body.to_vec())
    }
}

/// Judges every part; nothing is stored before all of them may be used.
fn accepted(
    directory: &VerifiedDirectory,
    parts: &[(DirectoryPart, Vec<u8>)],
) -> Result<InstanceConfig, String> {
    let (mut shared, mut private, mut optional) = (None, None, OptionalParts::default());
    for (part, bytes) in parts {
        match directory.accept_part(part, bytes).map_err(|e| e.to_string())? {
            AcceptedPart::Shared(read) => shared = Some(*read),
            AcceptedPart::Private(read) => private = Some(*read),
            AcceptedPart::Optional(_) => {
                let taken = optional.take(part.identifier(), bytes);
                taken.map_err(|e| e.to_string())?;
            }
            AcceptedPart::Unknown => {}
        }
    }
    Ok(InstanceConfig {
        instance: directory.instance().to_owned(),
        shared: shared.ok_or("it has no shared parameters")?,
        private,
        optional,
        version: directory.version(),
        expires: Some(directory.expires()),
    })
}

/// Large configurations take long to read and to write.
async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|e| e.to_string())?
}
