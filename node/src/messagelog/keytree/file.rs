//! Key files: written and synced before the first blob rests on them, sealed by the node's unsealing key, rewritten when an
//! entry is forgotten.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use kontor_pki::{crypto::AeadKey, sealed::MasterKey};
use kontor_protocol::log::RetentionClass;
use zeroize::Zeroizing;

use super::{BlobClass, DEPTH, KeyTree, Node, blob_key};
use crate::{
    disk::{self, Disk, DiskFile},
    messagelog::{
        error::LogError,
        format::{Cursor, Layout, length},
        identity::Home,
        numbers::NumberSet,
    },
};

/// The largest key file: a month in which five million entries live beside as many single forgotten ones. A file that would
/// become larger is not written, and its purge fails in words.
pub(crate) const FILE_LIMIT: usize = 256 * 1024 * 1024;
/// Bytes of a node in the file.
const NODE: usize = 1 + 4 + 32;
/// Trees kept open: three classes in a few retention classes, around the end of a month.
const OPEN_TREES: usize = 24;

/// Which tree a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyName {
    pub(crate) class: BlobClass,
    pub(crate) retention: RetentionClass,
    /// The year times 100 plus the month, UTC.
    pub(crate) period: u32,
}

impl KeyName {
    /// The name in the name of a file.
    fn parse(file: &str) -> Option<Self> {
        let mut pieces = file.strip_suffix(".key")?.split('.');
        let class = pieces.next()?;
        let name = Self {
            class: [BlobClass::Head, BlobClass::Body, BlobClass::Evidence]
                .into_iter()
                .find(|known| known.name() == class)?,
            retention: pieces.next()?.parse().ok()?,
            period: pieces.next()?.parse().ok()?,
        };
        (name.file() == file).then_some(name)
    }

    fn file(&self) -> String {
        format!("{}.{}.{:06}.key", self.class.name(), self.retention, self.period)
    }
}

/// The trees of a log, opened when they are needed.
pub(crate) struct KeyRing {
    disk: Arc<dyn Disk>,
    layout: Layout,
    master: Arc<MasterKey>,
    log: [u8; 32],
    trees: Vec<(KeyName, KeyTree)>,
    /// How many purges changed key files, and how many of them this ring knows of.
    purges: Arc<AtomicU64>,
    seen: u64,
}

impl KeyRing {
    pub(crate) fn new(home: &Home, master: Arc<MasterKey>) -> Self {
        Self {
            disk: Arc::clone(&home.disk),
            layout: home.layout.clone(),
            master,
            log: home.id,
            trees: Vec::new(),
            purges: Arc::clone(&home.purges),
            seen: home.purges.load(Ordering::Acquire),
        }
    }

    fn path(&self, name: &KeyName) -> PathBuf {
        self.layout.keys().join(name.file())
    }

    fn label(&self, name: &KeyName) -> String {
        use std::fmt::Write as _;
        let mut label = String::from("kontor/log/key/1 ");
        for byte in self.log {
            let _ = write!(label, "{byte:02x}");
        }
        label + " " + &name.file()
    }

    fn keep(&mut self, name: &KeyName, tree: KeyTree) -> &mut KeyTree {
        if self.trees.len() >= OPEN_TREES {
            self.trees.remove(0);
        }
        self.trees.push((name.clone(), tree));
        &mut self.trees.last_mut().expect("one was just pushed").1
    }

    fn position(&self, name: &KeyName) -> Option<usize> {
        self.trees.iter().position(|(held, _)| held == name)
    }

    fn load(&self, name: &KeyName) -> Result<Option<KeyTree>, LogError> {
        let path = self.path(name);
        let sealed = match disk::read_all(&*self.disk, &path, FILE_LIMIT) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(LogError::io("could not read", &path))?,
        };
        let opened = self.master.open_up_to(&self.label(name), &sealed, FILE_LIMIT);
        let opened =
            opened.map_err(|_| LogError::damaged(&path, "it does not open with the unsealing key"))?;
        let tree = KeyTree::parse(&opened, name);
        tree.map(Some)
            .ok_or_else(|| LogError::damaged(&path, "its content is malformed"))
    }

    fn store(&self, name: &KeyName, tree: &KeyTree) -> std::io::Result<()> {
        let sealed = self.master.seal(&self.label(name), &tree.encode(name));
        let sealed = sealed.expect("log id and file name make one short line");
        if sealed.len() > FILE_LIMIT {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        disk::replace(&*self.disk, &self.path(name), &sealed)
    }

    /// The key for a blob that is about to be written; makes the tree, synced, when it is the first of its name. That tree reaches
    /// back to `first`, the lowest number that may ever ask for it: it is on disk before its entry, and after a crash numbers are
    /// given from where the synced log ends.
    pub(crate) fn for_writing(
        &mut self,
        name: &KeyName,
        number: u64,
        first: u64,
    ) -> Result<AeadKey, LogError> {
        self.unless_forgotten(name, number, first)?.ok_or_else(|| {
            LogError::damaged(
                &self.layout.keys().join(name.file()),
                "it does not reach the next entry",
            )
        })
    }

    /// The same for a number that may be forgotten already, which the tree says with `None`.
    pub(crate) fn unless_forgotten(
        &mut self,
        name: &KeyName,
        number: u64,
        first: u64,
    ) -> Result<Option<AeadKey>, LogError> {
        self.notice_purge();
        let tree = match self.position(name) {
            Some(index) => &mut self.trees[index].1,
            None => {
                let tree = match self.load(name)? {
                    Some(tree) => tree,
                    None => {
                        let tree = KeyTree::generate(first);
                        self.store(name, &tree)
                            .map_err(LogError::io("could not write", &self.path(name)))?;
                        tree
                    }
                };
                self.keep(name, tree)
            }
        };
        Ok(tree.entry_key(number).map(|key| blob_key(&key, name.class)))
    }

    /// The key for a blob that was written; `None` when it is forgotten.
    pub(crate) fn for_reading(&mut self, name: &KeyName, number: u64) -> Result<Option<AeadKey>, LogError> {
        self.notice_purge();
        let tree = match self.position(name) {
            Some(index) => &mut self.trees[index].1,
            None => match self.load(name)? {
                Some(tree) => self.keep(name, tree),
                None => return Ok(None),
            },
        };
        Ok(tree.entry_key(number).map(|key| blob_key(&key, name.class)))
    }

    /// Makes the keys of these entries underivable for good, with one rewrite however many they are: the file is written new,
    /// synced and renamed, and the bytes of the old one are overwritten. When no key is left, or `all` are meant, the file
    /// goes. Returns whether something was derivable. A crash before the rename: nothing is forgotten yet. One after it: the
    /// keys are gone, and what the old file held lies in blocks that no name points to.
    pub(crate) fn forget(
        &mut self,
        name: &KeyName,
        numbers: &NumberSet,
        all: bool,
    ) -> Result<bool, LogError> {
        let path = self.path(name);
        let failed = || LogError::io("could not rewrite", &path);
        let old = match self.disk.open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
            old => old.map_err(failed())?,
        };
        // A file that goes as a whole need not open any more.
        let left = match all {
            true => None,
            false => {
                let Some(mut tree) = self.load(name)? else {
                    return Ok(false);
                };
                if !tree.forget(numbers) {
                    return Ok(false);
                }
                Some(tree).filter(|tree| !tree.is_empty())
            }
        };
        match &left {
            Some(tree) => self.store(name, tree),
            None => self
                .disk
                .remove(&path)
                .and_then(|()| self.disk.sync_dir(&self.layout.keys())),
        }
        .map_err(failed())?;
        overwrite(&*old).map_err(failed())?;
        self.trees.retain(|(held, _)| held != name);
        Ok(true)
    }

    /// Opens and reads one key file, by its name; the reason when that fails.
    pub(crate) fn open_file(&self, file: &str) -> Result<(), LogError> {
        let unknown = || {
            LogError::damaged(
                &self.layout.keys().join(file),
                "its name is not that of a key file",
            )
        };
        self.load(&KeyName::parse(file).ok_or_else(unknown)?).map(drop)
    }

    /// Drops what is held when a purge changed a key file since.
    fn notice_purge(&mut self) {
        let seen = self.purges.load(Ordering::Acquire);
        if seen != self.seen {
            self.seen = seen;
            self.trees.clear();
        }
    }
}

/// Overwrites a file that no name points to any more.
fn overwrite(file: &dyn DiskFile) -> std::io::Result<()> {
    let (zeros, length) = (vec![0; 1024 * 1024], file.len()?);
    let mut at = 0;
    while at < length {
        let piece = zeros
            .len()
            .min(usize::try_from(length - at).unwrap_or(zeros.len()));
        file.write_at(at, &zeros[..piece])?;
        at += piece as u64;
    }
    file.sync_data()
}

impl KeyTree {
    fn encode(&self, name: &KeyName) -> Zeroizing<Vec<u8>> {
        // Room for all of it, so that no copy is left behind by growing.
        let mut bytes = Zeroizing::new(Vec::with_capacity(64 + NODE * self.nodes.len()));
        bytes.extend_from_slice(&[1, name.class.code()]);
        bytes.push(u8::try_from(name.retention.as_str().len()).expect("a retention class is short"));
        bytes.extend_from_slice(name.retention.as_str().as_bytes());
        bytes.extend_from_slice(&name.period.to_be_bytes());
        bytes.extend_from_slice(&self.first.to_be_bytes());
        bytes.extend_from_slice(&length(self.nodes.len()).to_be_bytes());
        for node in &self.nodes {
            bytes.push(node.depth);
            bytes.extend_from_slice(&node.path.to_be_bytes());
            bytes.extend_from_slice(&*node.key);
        }
        bytes
    }

    fn parse(bytes: &[u8], name: &KeyName) -> Option<Self> {
        let mut cursor = Cursor(bytes);
        let head = (cursor.u8()?, cursor.u8()?, usize::from(cursor.u8()?));
        let retention = cursor.take(head.2)?;
        let (period, first) = (cursor.u32()?, cursor.u64()?);
        let named = (
            1,
            name.class.code(),
            name.retention.as_str().as_bytes(),
            name.period,
        );
        if (head.0, head.1, retention, period) != named {
            return None;
        }
        let count = cursor.u32()?;
        let fits = usize::try_from(count).is_ok_and(|count| count == cursor.0.len() / NODE);
        if !fits {
            return None;
        }
        let (mut nodes, mut covered) = (Vec::with_capacity(cursor.0.len() / NODE), 0);
        for _ in 0..count {
            let (depth, path, key) = (cursor.u8()?, cursor.u32()?, Zeroizing::new(cursor.array()?));
            if depth > DEPTH || u64::from(path) >> depth != 0 {
                return None;
            }
            let node = Node { depth, path, key };
            // In order and apart from each other, which look-ups rely on.
            let (start, end) = node.span();
            if start < covered {
                return None;
            }
            covered = end;
            nodes.push(node);
        }
        cursor.0.is_empty().then_some(Self {
            first,
            nodes,
            walked: None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name() -> KeyName {
        KeyName {
            class: BlobClass::Head,
            retention: "case".parse().unwrap(),
            period: 203001,
        }
    }

    proptest! {
        #[test]
        fn a_tree_survives_a_round_trip(first in 0..1_u64 << 40, forgotten in proptest::collection::vec(0..100_u64, 0..20)) {
            let mut tree = KeyTree::generate(first);
            for number in &forgotten {
                tree.forget(&[first + number].into_iter().collect());
            }
            let mut read = KeyTree::parse(&tree.encode(&name()), &name()).unwrap();
            for number in 0..100 {
                prop_assert_eq!(read.entry_key(first + number), tree.entry_key(first + number));
                prop_assert_eq!(read.entry_key(first + number).is_none(), forgotten.contains(&number));
            }
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), repair: bool) {
            let mut content = KeyTree::generate(1).encode(&name()).to_vec();
            if repair {
                content.truncate(19);
            } else {
                content.clear();
            }
            content.extend_from_slice(&bytes);
            if let Some(mut tree) = KeyTree::parse(&content, &name()) {
                tree.entry_key(7);
                tree.forget(&[8].into_iter().collect());
            }
        }
    }

    #[test]
    fn a_file_of_another_class_or_month_is_refused() {
        let bytes = KeyTree::generate(1).encode(&name());
        assert!(
            KeyTree::parse(
                &bytes,
                &KeyName {
                    class: BlobClass::Body,
                    ..name()
                }
            )
            .is_none()
        );
        assert!(
            KeyTree::parse(
                &bytes,
                &KeyName {
                    period: 203002,
                    ..name()
                }
            )
            .is_none()
        );
        assert!(
            KeyTree::parse(
                &bytes,
                &KeyName {
                    retention: "days".parse().unwrap(),
                    ..name()
                }
            )
            .is_none()
        );
    }
}
