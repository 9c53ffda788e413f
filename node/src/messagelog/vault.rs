//! Sealed records and files beside the log, for what is no message and has to be forgotten all the same: kept as the log keeps its
//! own, with keys in trees of their own, outside of whatever holds the sealed bytes.
//!
//! Owns the directory that it is given below the data directory of the node: `keys`, `spool`, `content`. A subject has a number for
//! life; what is sealed for it in one part is forgotten at once, by its key. Files have random names and random keys of their own,
//! which belong into something that is sealed here.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use kontor_pki::crypto::{self, OpenFailed};
use kontor_pki::sealed::MasterKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::MessageLog;
use super::content::{
    ContentFile, ContentId, ContentReader, ContentStore, ContentWriter, open_small, seal_small,
};
use super::error::LogError;
use super::format::{CHUNK, Layout};
use super::identity::{Home, from_hex, hex};
use super::keytree::{BlobClass, KeyName, KeyRing, associated_data, open, seal};
use super::numbers::NumberSet;
use crate::disk::{self, Disk};

/// Files of at most so many octets are no files of their own: making one and syncing its name costs more than they do.
const SMALL: usize = 32 * 1024;
/// Octets of a piece of a file.
pub(crate) const CHUNK_OCTETS: u64 = CHUNK as u64;

/// What of a subject is sealed, each part with a key of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum VaultPart {
    /// What is known as long as its receipts are kept.
    Record,
    /// What is gone with its purge.
    Content,
}

impl VaultPart {
    fn name(self, period: u32) -> KeyName {
        KeyName {
            class: match self {
                Self::Record => BlobClass::Head,
                Self::Content => BlobClass::Body,
            },
            retention: "case"
                .parse()
                .expect("the name of a default class is well formed"),
            period,
        }
    }
}

/// A file of the vault: its name, its key and its length. A small one is no file of its own: whoever refers to it keeps its sealed
/// octets.
#[derive(Clone, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Kept {
    id: String,
    key: String,
    /// Octets of its content.
    pub(crate) length: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    small: bool,
    /// The sealed octets of a small one until they are kept.
    #[serde(skip)]
    fresh: Option<Bytes>,
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("id", &self.id)
            .field("length", &self.length)
            .field("small", &self.small)
            .finish_non_exhaustive()
    }
}

/// A file that arrived and has no place yet.
pub(crate) enum Unkept {
    /// In memory.
    Small(Vec<u8>),
    /// On disk.
    Large(ContentFile),
}

impl Unkept {
    /// Octets of its content.
    pub(crate) fn len(&self) -> u64 {
        match self {
            Self::Small(octets) => octets.len() as u64,
            Self::Large(file) => file.len(),
        }
    }
}

impl From<ContentFile> for Unkept {
    fn from(file: ContentFile) -> Self {
        Self::Large(file)
    }
}

/// See the module. Clones share it.
#[derive(Clone)]
pub(crate) struct Vault {
    id: [u8; 32],
    secret: Arc<Zeroizing<[u8; 32]>>,
    keys: Arc<Mutex<KeyRing>>,
    content: ContentStore,
}

impl MessageLog {
    /// Opens what lies beside the log in this directory; files that nothing took are removed.
    pub(crate) fn vault(&self, root: &'static str) -> Result<Vault, LogError> {
        let layout = Layout::of(self.home.layout.data(), root);
        let disk = Arc::clone(&self.home.disk);
        for dir in [layout.root(), layout.keys(), layout.spool(), layout.content()] {
            disk.create_dir(&dir)
                .map_err(LogError::io("could not create", &dir))?;
        }
        let id = crypto::sha256(&[&self.home.id[..], root.as_bytes()].concat());
        let secret = secret(&*disk, &layout, &self.master, &id)?;
        let home = Home {
            disk: Arc::clone(&disk),
            layout: layout.clone(),
            id,
            purges: Arc::default(),
        };
        let content = ContentStore {
            disk,
            layout,
            status: self.status.clone(),
            rests_in_spool: false,
        };
        Ok(Vault {
            id,
            secret: Arc::new(secret),
            keys: Arc::new(Mutex::new(KeyRing::new(&home, Arc::clone(&self.master)))),
            content,
        })
    }
}

/// What equal texts are found by: made once, sealed by the node's unsealing key.
fn secret(
    disk: &dyn Disk,
    layout: &Layout,
    master: &MasterKey,
    id: &[u8; 32],
) -> Result<Zeroizing<[u8; 32]>, LogError> {
    let path = layout.root().join("secret");
    let label = format!("kontor/vault/secret/1 {}", hex(id));
    let sealed = match disk::read_all(disk, &path, 4096) {
        Ok(sealed) => sealed,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let fresh = Zeroizing::new(crypto::random::<32>());
            let sealed = master.seal(&label, &*fresh).expect("the label is one short line");
            disk::replace(disk, &path, &sealed).map_err(LogError::io("could not write", &path))?;
            return Ok(fresh);
        }
        Err(error) => return Err(LogError::io("could not read", &path)(error)),
    };
    let opened = master.open(&label, &sealed).ok();
    let secret = opened.and_then(|opened| <[u8; 32]>::try_from(&opened[..]).ok());
    secret
        .map(Zeroizing::new)
        .ok_or_else(|| LogError::damaged(&path, "it does not open with the unsealing key"))
}

impl Vault {
    fn ring(&self) -> std::sync::MutexGuard<'_, KeyRing> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Seals something of a subject; `None` when its key is forgotten. `period` is the year times 100 plus the month in which the
    /// subject began, and never changes.
    pub(crate) fn seal(
        &self,
        part: VaultPart,
        (period, number): (u32, u64),
        plain: &[u8],
    ) -> Result<Option<Vec<u8>>, LogError> {
        let name = part.name(period);
        // Subjects do not come in the order of their numbers; a tree reaches over all of 2^32.
        let first = number - (number & u64::from(u32::MAX));
        let Some(key) = self.ring().unless_forgotten(&name, number, first)? else {
            return Ok(None);
        };
        let associated = associated_data(&self.id, number, name.class, period);
        let mut sealed = plain.to_vec();
        seal(&key, &associated, crypto::random(), &mut sealed);
        Ok(Some(sealed))
    }

    /// Opens it again; `None` when its key is forgotten.
    pub(crate) fn open(
        &self,
        part: VaultPart,
        (period, number): (u32, u64),
        sealed: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, LogError> {
        let name = part.name(period);
        let Some(key) = self.ring().for_reading(&name, number)? else {
            return Ok(None);
        };
        let associated = associated_data(&self.id, number, name.class, period);
        let opened = open(&key, &associated, sealed).map_err(|OpenFailed| {
            LogError::damaged(
                &self.content.layout.keys(),
                "a sealed row does not open with its key",
            )
        })?;
        Ok(Some(opened))
    }

    /// Forgets the key of one part of a subject for good: synced when this returns. Gives whether there was one.
    pub(crate) fn forget(&self, part: VaultPart, (period, number): (u32, u64)) -> Result<bool, LogError> {
        let numbers: NumberSet = [number].into_iter().collect();
        self.ring().forget(&part.name(period), &numbers, false)
    }

    /// Takes a file while it arrives.
    pub(crate) fn spool(&self) -> ContentWriter {
        self.content.spool()
    }

    /// Ends a file: a large one is on disk then.
    pub(crate) async fn finish(&self, mut writer: ContentWriter) -> Result<Unkept, LogError> {
        match writer.take_small(SMALL) {
            Some(octets) => Ok(Unkept::Small(octets)),
            None => writer.finish().await.map(Unkept::Large),
        }
    }

    /// Moves a file to its place, where it stays until it is removed. What refers to it is written after this: a crash in between
    /// leaves a file that the next start removes. The octets of a small one are written with what refers to it.
    pub(crate) async fn keep(&self, file: Unkept) -> Result<Kept, LogError> {
        let file = match file {
            Unkept::Large(file) => file,
            Unkept::Small(octets) => {
                let (id, key) = (ContentId(crypto::random()), Zeroizing::new(crypto::random()));
                return Ok(Kept {
                    id: id.to_string(),
                    key: hex(&*key),
                    length: octets.len() as u64,
                    small: true,
                    fresh: Some(seal_small(id, &key, octets).into()),
                });
            }
        };
        let (content, id) = (self.content.clone(), file.id());
        let kept = Kept {
            id: id.to_string(),
            key: hex(file.key()),
            length: file.len(),
            small: false,
            fresh: None,
        };
        let moved = tokio::task::spawn_blocking(move || {
            content.keep(id)?;
            file.taken();
            content.disk.sync_dir(&content.layout.content())
        });
        let path = self.content.layout.content();
        moved
            .await
            .map_err(|_| LogError::Closed)?
            .map_err(LogError::io("could not keep a file in", &path))?;
        Ok(kept)
    }

    /// Reads a large file from the chunk on in which this octet lies.
    pub(crate) fn read_from(&self, kept: &Kept, from: u64) -> Result<ContentReader, LogError> {
        let (id, key) = self.name(kept)?;
        let chunks = self.content.open(id, &key, kept.length)?;
        Ok(chunks.skipping(from / CHUNK_OCTETS).into())
    }

    /// Reads a small one, whose sealed octets are these.
    pub(crate) fn read_small(&self, kept: &Kept, sealed: Vec<u8>) -> Result<ContentReader, LogError> {
        let (id, key) = self.name(kept)?;
        let opened = open_small(id, &key, sealed).ok();
        let whole = opened.filter(|octets| octets.len() as u64 == kept.length);
        let changed = || LogError::damaged(&self.content.layout.content(), "a small file was changed");
        Ok(Bytes::from(whole.ok_or_else(changed)?).into())
    }

    fn name(&self, kept: &Kept) -> Result<(ContentId, Zeroizing<[u8; 32]>), LogError> {
        let unknown = || LogError::damaged(&self.content.layout.content(), "a row names no file");
        let id = ContentId::parse(&kept.id).ok_or_else(unknown)?;
        let key = from_hex(&kept.key).ok_or_else(unknown)?;
        Ok((id, Zeroizing::new(key)))
    }

    /// Removes a large file; its key is not in it, so nothing is left once that is forgotten.
    pub(crate) fn remove(&self, kept: &Kept) -> Result<(), LogError> {
        if kept.small {
            return Ok(());
        }
        let path = self.content.layout.content().join(&kept.id);
        match self.content.disk.remove(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(LogError::io("could not remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes what lies there and is not among these: files of a crash between their writing and the row that names them.
    pub(crate) fn sweep(&self, named: &std::collections::HashSet<String>) -> Result<usize, LogError> {
        let (disk, layout) = (&self.content.disk, &self.content.layout);
        let mut removed = 0;
        for (dir, all) in [(layout.spool(), true), (layout.content(), false)] {
            for name in disk.list(&dir).map_err(LogError::io("could not list", &dir))? {
                if all || !named.contains(&name) {
                    let path = dir.join(&name);
                    disk.remove(&path)
                        .map_err(LogError::io("could not remove", &path))?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    /// A digest under a key of this vault, by which equal texts are found without being kept.
    pub(crate) fn blind(&self, text: &str) -> String {
        hex(&crypto::hmac_sha256(&**self.secret, &[text.as_bytes()]))
    }

    /// Octets that may still be written.
    pub(crate) fn room(&self) -> Result<u64, LogError> {
        let dir = self.content.layout.content();
        self.content
            .disk
            .free_space(&dir)
            .map_err(LogError::io("could not ask for the free space of", &dir))
    }
}

impl Kept {
    /// Its random name.
    pub(crate) fn name(&self) -> &str {
        &self.id
    }

    /// Whether its octets are kept by whoever refers to it.
    pub(crate) const fn is_small(&self) -> bool {
        self.small
    }

    /// Sealed octets that are not kept yet.
    pub(crate) const fn fresh(&self) -> Option<&Bytes> {
        self.fresh.as_ref()
    }
}
