//! One download of global configuration (wire 7.2): locations in turn, version probing, directory, parts, disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use kontor_pki::time::UnixTime;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use kontor_protocol::trust::directory::{self, DirectoryPart, Relation, VerifiedDirectory};
use kontor_protocol::trust::{PartMetadata, TrustSet};

use crate::fetch::{Bounds, get};

const BOUNDS: Bounds = Bounds {
    connect: Duration::from_secs(10),
    total: Duration::from_secs(30),
    max_body: 64 << 20,
};
/// Versions read, highest first; version 2 is asked for without probing.
const PROBED: [u32; 4] = [6, 5, 4, 3];

/// Where a directory may be fetched, and whose signature it must carry.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Location {
    url: String,
    certificates: Vec<Vec<u8>>,
}

/// Knows where to look and what worked last.
#[derive(Debug)]
pub(super) struct Downloader {
    anchor: ConfigurationAnchor,
    dir: PathBuf,
    /// The versioned address that worked last; forgotten when it fails.
    last: Option<(Location, String)>,
}

impl Downloader {
    pub(super) fn new(anchor: ConfigurationAnchor, dir: PathBuf) -> Self {
        Self {
            anchor,
            dir,
            last: None,
        }
    }

    /// Fetches, verifies and stores the newest configuration.
    pub(super) async fn download(
        &mut self,
        held: Option<&TrustSet>,
        now: UnixTime,
    ) -> Result<TrustSet, String> {
        let mut reasons = Vec::new();
        if let Some((location, versioned)) = self.last.take() {
            match self.from(&location, &versioned, now).await {
                Ok(set) => {
                    self.last = Some((location, versioned));
                    return Ok(set);
                }
                Err(reason) => reasons.push(reason),
            }
        }
        for location in self.locations(held) {
            let versioned = match probe(&location.url).await {
                Ok(versioned) => versioned,
                Err(reason) => {
                    reasons.push(reason);
                    continue;
                }
            };
            match self.from(&location, &versioned, now).await {
                Ok(set) => {
                    self.last = Some((location, versioned));
                    return Ok(set);
                }
                Err(reason) => reasons.push(reason),
            }
        }
        if reasons.is_empty() {
            reasons.push("the anchor names no http:// source".into());
        }
        Err(reasons.join("; "))
    }

    /// Sources that the held configuration names, then those of the anchor. `https://` anchors are dropped (trap 32).
    fn locations(&self, held: Option<&TrustSet>) -> Vec<Location> {
        let mut locations: Vec<Location> = Vec::new();
        let mut add = |location: Location| {
            if location.url.starts_with("http://") && !locations.contains(&location) {
                locations.push(location);
            }
        };
        if let Some(own) = held.and_then(|held| held.instance(&self.anchor.instance)) {
            for source in &own.shared.sources {
                let url = format!("http://{}/internalconf", source.address);
                add(Location {
                    url,
                    certificates: source.internal_certificates.clone(),
                });
            }
        }
        for source in &self.anchor.sources {
            add(Location {
                url: source.download_url.clone(),
                certificates: source.verification_certificates.clone(),
            });
        }
        locations
    }

    async fn from(&self, location: &Location, versioned: &str, now: UnixTime) -> Result<TrustSet, String> {
        let told = |e: &dyn std::fmt::Display| format!("{versioned}: {e}");
        let answer = get(versioned, &BOUNDS).await.map_err(|e| e.to_string())?;
        if answer.status != 200 {
            return Err(told(&format!("status {}", answer.status)));
        }
        let directory = directory::verify(
            &answer.body,
            &location.certificates,
            &self.anchor.instance,
            Relation::Own,
            now,
        )
        .map_err(|e| told(&e))?;
        let mut fetched = Vec::new();
        for part in directory.parts() {
            let stored = self.stored_part(part);
            let bytes = match stored {
                Some(bytes) => bytes,
                None => self.fetch_part(versioned, part).await?,
            };
            directory.accept_part(part, &bytes).map_err(|e| told(&e))?;
            fetched.push((part, bytes));
        }
        self.store(&directory, &fetched)
            .map_err(|e| format!("{}: {e}", self.dir.display()))?;
        super::stored(&self.dir)
    }

    fn instance_dir(&self) -> PathBuf {
        self.dir.join(folder_name(&self.anchor.instance))
    }

    fn stored_part(&self, part: &DirectoryPart) -> Option<Vec<u8>> {
        let bytes = std::fs::read(self.instance_dir().join(part.file_name())).ok()?;
        part.has_digest_of(&bytes).then_some(bytes)
    }

    async fn fetch_part(&self, versioned: &str, part: &DirectoryPart) -> Result<Vec<u8>, String> {
        let origin = versioned
            .find("://")
            .and_then(|i| versioned[i + 3..].find('/').map(|j| &versioned[..i + 3 + j]));
        let url = format!("{}{}", origin.unwrap_or(versioned), part.location());
        let answer = get(&url, &BOUNDS).await.map_err(|e| e.to_string())?;
        if answer.status != 200 {
            return Err(format!("{url}: status {}", answer.status));
        }
        Ok(answer.body.to_vec())
    }

    /// Writes what changed, each file by rename. A crash between two files leaves a mixture of two verified
    /// generations, which the next round repairs; every single file is whole.
    fn store(
        &self,
        directory: &VerifiedDirectory,
        parts: &[(&DirectoryPart, Vec<u8>)],
    ) -> std::io::Result<()> {
        let dir = self.instance_dir();
        std::fs::create_dir_all(&dir)?;
        for (part, bytes) in parts {
            write(&dir.join(part.file_name()), bytes)?;
            let metadata = PartMetadata {
                identifier: Some(part.identifier().to_owned()),
                instance: Some(directory.instance().to_owned()),
                file_name: Some(part.file_name().to_owned()),
                location: Some(part.location().to_owned()),
                expires: Some(directory.expires()),
                version: directory.version(),
            };
            write(
                &dir.join(format!("{}.metadata", part.file_name())),
                &metadata.to_json(),
            )?;
        }
        for entry in std::fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let base = name.strip_suffix(".metadata").unwrap_or(&name);
            if !parts.iter().any(|(part, _)| part.file_name() == base) {
                std::fs::remove_file(entry.path())?;
            }
        }
        write(
            &self.dir.join("instance-identifier"),
            self.anchor.instance.as_bytes(),
        )
    }
}

/// The address with the highest version that is there (wire 7.2, 3).
async fn probe(url: &str) -> Result<String, String> {
    if url.contains("version=") {
        return Ok(url.to_owned());
    }
    let joint = if url.contains('?') { '&' } else { '?' };
    for version in PROBED {
        let versioned = format!("{url}{joint}version={version}");
        let answer = get(&versioned, &BOUNDS).await.map_err(|e| e.to_string())?;
        if answer.status != 404 {
            return Ok(versioned);
        }
    }
    Ok(format!("{url}{joint}version=2"))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|held| held == bytes) {
        return Ok(());
    }
    let temporary = path.with_extension("tmp");
    let file = std::fs::File::create(&temporary)?;
    std::io::Write::write_all(&mut &file, bytes)?;
    file.sync_all()?;
    std::fs::rename(&temporary, path)
}

/// The instance as the name of its folder: encoded as Java encodes for forms (wire 7.8).
fn folder_name(instance: &str) -> String {
    let mut name = String::new();
    for byte in instance.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'*' | b'_' => {
                name.push(char::from(byte))
            }
            b' ' => name.push('+'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}
