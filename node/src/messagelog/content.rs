//! Large bodies: spooled to a sealed file of their own while they arrive, read back for release and export. Owns the files
//! below `log/spool` and `log/content` and their format. A stream holds two chunks in memory, however long it is, and what
//! was spooled without an entry is removed.

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use kontor_pki::crypto::{self, AeadKey, OpenFailed};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{
    error::LogError,
    format::{CHUNK, CONTENT_HEADER, CONTENT_MAGIC, Layout, TAG, VERSION},
    status::Status,
};
use crate::disk::{self, Disk, DiskFile, is_full};

/// After so many bytes a stream is synced on its way, so that its end does not wait for all of it.
const SYNC_EVERY: u64 = 8 * 1024 * 1024;

/// Name of a content file in hexadecimal, sixteen random bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentId(pub(crate) [u8; 16]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

fn header(id: ContentId) -> [u8; CONTENT_HEADER] {
    let mut header = [0; CONTENT_HEADER];
    header[..8].copy_from_slice(CONTENT_MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_be_bytes());
    header[12..16].copy_from_slice(&super::format::length(CHUNK).to_be_bytes());
    header[16..].copy_from_slice(&id.0);
    header
}

fn nonce(index: u32, last: bool) -> [u8; 12] {
    let mut nonce = [0; 12];
    nonce[7..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}

/// Where content files are kept.
#[derive(Clone)]
pub(crate) struct ContentStore {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) status: Status,
    /// Whether something may refer to a file that lies in the spool, whose name must last there then.
    pub(crate) rests_in_spool: bool,
}

impl ContentStore {
    fn spooled(&self, id: ContentId) -> PathBuf {
        self.layout.spool().join(id.to_string())
    }

    fn kept(&self, id: ContentId) -> PathBuf {
        self.layout.content().join(id.to_string())
    }

    /// Starts a body. Nothing touches the disk before the first chunk is full.
    pub(crate) fn spool(&self) -> ContentWriter {
        ContentWriter {
            store: self.clone(),
            filling: Vec::new(),
            length: 0,
            sink: None,
            running: None,
        }
    }

    /// Moves a body whose entry is on disk to its place. Its name is synced when the segment is sealed; until then start-up
    /// finds it by the entry.
    pub(crate) fn keep(&self, id: ContentId) -> std::io::Result<()> {
        self.disk.rename(&self.spooled(id), &self.kept(id))
    }

    /// Reads a body that an entry names.
    pub(crate) fn open(&self, id: ContentId, key: &[u8; 32], length: u64) -> Result<ChunkReader, LogError> {
        let (kept, spooled) = (self.kept(id), self.spooled(id));
        let (path, file) = match self.disk.open(&kept) {
            // Its entry was written a moment ago.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let file = self.disk.open(&spooled).or_else(|error| match error.kind() {
                    std::io::ErrorKind::NotFound => self.disk.open(&kept),
                    _ => Err(error),
                });
                (kept, file)
            }
            file => (kept, file),
        };
        let file = file.map_err(LogError::io("could not open", &path))?;
        Ok(ChunkReader {
            file,
            path,
            key: Arc::new(AeadKey::new(key)),
            id,
            length,
            index: 0,
        })
    }

    /// What waits in the spool, of this process or one before.
    pub(crate) fn list_spooled(&self) -> std::io::Result<Vec<(String, Option<ContentId>)>> {
        let names = self.disk.list(&self.layout.spool())?;
        Ok(names
            .into_iter()
            .map(|name| {
                let id = parse_id(&name);
                (name, id)
            })
            .collect())
    }
}

impl ContentId {
    /// The id in the name of a file.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        parse_id(name)
    }
}

fn parse_id(name: &str) -> Option<ContentId> {
    let mut id = [0; 16];
    if name.len() != 32 || !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    for (index, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&name[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(ContentId(id))
}

/// The file of one body. Removed with its last holder unless an entry took it.
struct SpoolFile {
    store: ContentStore,
    id: ContentId,
    file: Arc<dyn DiskFile>,
    kept: AtomicBool,
}

impl Drop for SpoolFile {
    fn drop(&mut self) {
        if !self.kept.load(Ordering::Acquire) {
            let (store, id) = (self.store.clone(), self.id);
            // What cannot be removed now is removed at the next start.
            let remove = move || _ = store.disk.remove(&store.spooled(id));
            match tokio::runtime::Handle::try_current() {
                // Freeing a large file takes the file system a while.
                Ok(runtime) => drop(runtime.spawn_blocking(remove)),
                Err(_) => remove(),
            }
        }
    }
}

/// The blocking end of a stream: seals and writes chunk after chunk.
struct Sink {
    spooled: Arc<SpoolFile>,
    key: Zeroizing<[u8; 32]>,
    cipher: AeadKey,
    header: [u8; CONTENT_HEADER],
    index: u32,
    offset: u64,
    unsynced: u64,
    /// Given back to be filled again.
    buffer: Vec<u8>,
}

impl Sink {
    fn create(store: &ContentStore) -> Result<Self, LogError> {
        store.status.check()?;
        store.status.room()?;
        let (id, key) = (ContentId(crypto::random()), Zeroizing::new(crypto::random()));
        let path = store.spooled(id);
        let file = store
            .disk
            .create(&path)
            .map_err(|error| store.refusal("could not create", id, &error))?;
        let kept = AtomicBool::new(false);
        let spooled = Arc::new(SpoolFile {
            store: store.clone(),
            id,
            file,
            kept,
        });
        let cipher = AeadKey::new(&key);
        let (offset, header) = (CONTENT_HEADER as u64, header(id));
        let mut sink = Self {
            spooled,
            key,
            cipher,
            header,
            index: 0,
            offset,
            unsynced: 0,
            buffer: Vec::new(),
        };
        let written = sink.spooled.file.write_at(0, &header);
        written.map_err(|error| sink.refusal("could not write", &error))?;
        sink.unsynced = offset;
        Ok(sink)
    }

    fn refusal(&self, action: &str, error: &std::io::Error) -> LogError {
        self.spooled.store.refusal(action, self.spooled.id, error)
    }

    fn put(&mut self, mut chunk: Vec<u8>, last: bool) -> Result<(), LogError> {
        self.cipher
            .seal(&nonce(self.index, last), &self.header, &mut chunk);
        let written = self.spooled.file.write_at(self.offset, &chunk);
        written.map_err(|error| self.refusal("could not write", &error))?;
        self.offset += chunk.len() as u64;
        self.unsynced += chunk.len() as u64;
        let size = usize::try_from(self.offset).unwrap_or(usize::MAX);
        self.index = self.index.checked_add(1).ok_or(LogError::TooLarge {
            size,
            limit: usize::MAX,
        })?;
        if self.unsynced >= SYNC_EVERY {
            self.spooled.store.status.room()?;
            self.sync()?;
        }
        chunk.clear();
        self.buffer = chunk;
        Ok(())
    }

    fn sync(&mut self) -> Result<(), LogError> {
        self.unsynced = 0;
        self.spooled
            .file
            .sync_data()
            .map_err(|error| self.refusal("could not sync", &error))
    }

    /// Bytes and name on disk: what the entry will rest on.
    fn close(&mut self) -> Result<(), LogError> {
        self.sync()?;
        let store = &self.spooled.store;
        if !store.rests_in_spool {
            return Ok(());
        }
        let synced = store.disk.sync_dir(&store.layout.spool());
        synced.map_err(|error| self.refusal("could not sync the directory of", &error))
    }
}

impl ContentStore {
    /// A full disk ends this stream; anything else ends the log, as every failed write does.
    fn refusal(&self, action: &str, id: ContentId, error: &std::io::Error) -> LogError {
        if is_full(error) {
            return self.status.no_space();
        }
        self.status
            .fail(LogError::failed(action, &self.spooled(id), error))
    }
}

/// Takes a body while it arrives. Dropping it removes what was spooled.
pub struct ContentWriter {
    store: ContentStore,
    filling: Vec<u8>,
    length: u64,
    sink: Option<Box<Sink>>,
    running: Option<JoinHandle<Result<Box<Sink>, LogError>>>,
}

impl fmt::Debug for ContentWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentWriter")
            .field("written", &self.length)
            .finish_non_exhaustive()
    }
}

impl ContentWriter {
    /// Adds bytes. Waits while the disk is slower than the sender. A call that was dropped before its end leaves the body
    /// incomplete: drop the writer too.
    pub async fn write(&mut self, mut data: Bytes) -> Result<(), LogError> {
        self.length += data.len() as u64;
        while !data.is_empty() {
            if self.filling.len() == CHUNK {
                self.flush(false).await?;
            }
            let piece = data.split_to(data.len().min(CHUNK - self.filling.len()));
            self.filling.extend_from_slice(&piece);
        }
        Ok(())
    }

    /// Bytes taken so far.
    pub fn written(&self) -> u64 {
        self.length
    }

    /// The whole body, if it has not touched the disk and has at most so many bytes; the writer is empty then.
    pub(crate) fn take_small(&mut self, most: usize) -> Option<Vec<u8>> {
        let small = self.sink.is_none() && self.running.is_none() && self.filling.len() <= most;
        small.then(|| std::mem::take(&mut self.filling))
    }

    /// Ends the body. It is on disk when this returns.
    pub async fn finish(mut self) -> Result<ContentFile, LogError> {
        self.flush(true).await?;
        self.wait().await?;
        let sink = self.sink.take().expect("a finished flush gives the sink back");
        Ok(ContentFile {
            spooled: Arc::clone(&sink.spooled),
            key: sink.key.clone(),
            length: self.length,
        })
    }

    async fn wait(&mut self) -> Result<(), LogError> {
        if let Some(running) = &mut self.running {
            let ended = running.await;
            self.running = None;
            self.sink = Some(ended.map_err(|_| LogError::Closed)??);
        }
        Ok(())
    }

    /// One chunk is sealed and written while the next one fills.
    async fn flush(&mut self, last: bool) -> Result<(), LogError> {
        self.wait().await?;
        let mut sink = self.sink.take();
        let spare = sink
            .as_mut()
            .map(|sink| std::mem::take(&mut sink.buffer))
            .unwrap_or_default();
        let chunk = std::mem::replace(&mut self.filling, spare);
        let store = self.store.clone();
        self.running = Some(tokio::task::spawn_blocking(move || {
            let mut sink = match sink {
                Some(sink) => sink,
                None => Box::new(Sink::create(&store)?),
            };
            sink.put(chunk, last)?;
            if last {
                sink.close()?;
            }
            Ok(sink)
        }));
        Ok(())
    }
}

/// A body on disk. Clones share it; when the last is dropped and no entry took it, it is removed.
#[derive(Clone)]
pub struct ContentFile {
    spooled: Arc<SpoolFile>,
    key: Zeroizing<[u8; 32]>,
    length: u64,
}

impl fmt::Debug for ContentFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentFile")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

impl ContentFile {
    /// Bytes of the body.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether the body has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Reads the body from its start, however often.
    pub fn reader(&self) -> ContentReader {
        ContentReader {
            chunks: Some(ChunkReader {
                file: Arc::clone(&self.spooled.file),
                path: self.spooled.store.kept(self.spooled.id),
                key: Arc::new(AeadKey::new(&self.key)),
                id: self.spooled.id,
                length: self.length,
                index: 0,
            }),
            small: None,
            // A body that is being read stays.
            _spooled: Some(Arc::clone(&self.spooled)),
        }
    }

    pub(crate) fn id(&self) -> ContentId {
        self.spooled.id
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// From here on the file stays: its entry is on disk, or may be.
    pub(crate) fn taken(&self) {
        self.spooled.kept.store(true, Ordering::Release);
    }
}

/// Bytes of the file of a body of this length.
pub(crate) fn file_length(length: u64) -> u64 {
    let chunks = length.div_ceil(CHUNK as u64).max(1);
    CONTENT_HEADER as u64 + length + chunks * TAG as u64
}

/// Reads a body chunk by chunk and checks each; blocking.
pub(crate) struct ChunkReader {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    key: Arc<AeadKey>,
    id: ContentId,
    length: u64,
    index: u32,
}

impl ChunkReader {
    /// The same, so many chunks further on.
    pub(crate) fn skipping(self, chunks: u64) -> Self {
        Self {
            index: u32::try_from(chunks).unwrap_or(u32::MAX),
            ..self
        }
    }

    /// Bytes of the file.
    pub(crate) fn file_length(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    /// The next chunk, `None` after the last.
    pub(crate) fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        let chunk = CHUNK as u64;
        let start = u64::from(self.index) * chunk;
        if start >= self.length && self.index > 0 {
            return Ok(None);
        }
        let damaged = || {
            LogError::damaged(
                &self.path,
                format_args!("chunk {} is missing or changed", self.index),
            )
        };
        let plain = (self.length - start).min(chunk);
        let last = start + plain == self.length;
        let size = usize::try_from(plain).map_err(|_| damaged())? + TAG;
        let mut bytes = vec![0; size];
        let offset = CONTENT_HEADER as u64 + u64::from(self.index) * (chunk + TAG as u64);
        let unread = LogError::unread(&self.path, "a chunk is missing");
        disk::read_exact_at(&*self.file, offset, &mut bytes).map_err(unread)?;
        let opened = self
            .key
            .open(&nonce(self.index, last), &header(self.id), &mut bytes);
        opened.map_err(|_| damaged())?;
        self.index = self.index.checked_add(1).ok_or_else(damaged)?;
        Ok(Some(bytes))
    }
}

/// Seals what is smaller than a chunk as the file of that name would hold it.
pub(crate) fn seal_small(id: ContentId, key: &[u8; 32], mut octets: Vec<u8>) -> Vec<u8> {
    AeadKey::new(key).seal(&nonce(0, true), &header(id), &mut octets);
    octets
}

/// Opens it again.
pub(crate) fn open_small(id: ContentId, key: &[u8; 32], mut sealed: Vec<u8>) -> Result<Vec<u8>, OpenFailed> {
    AeadKey::new(key).open(&nonce(0, true), &header(id), &mut sealed)?;
    Ok(sealed)
}

/// Reads a body for release to an information system.
pub struct ContentReader {
    chunks: Option<ChunkReader>,
    /// A body that is in memory.
    small: Option<Bytes>,
    _spooled: Option<Arc<SpoolFile>>,
}

impl From<ChunkReader> for ContentReader {
    fn from(chunks: ChunkReader) -> Self {
        Self {
            chunks: Some(chunks),
            small: None,
            _spooled: None,
        }
    }
}

impl From<Bytes> for ContentReader {
    fn from(octets: Bytes) -> Self {
        Self {
            chunks: None,
            small: Some(octets),
            _spooled: None,
        }
    }
}

impl fmt::Debug for ContentReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentReader").finish_non_exhaustive()
    }
}

impl ContentReader {
    /// The next piece, at most 64 KiB; `None` after the last. A call that was dropped before its end ends the reading.
    pub async fn next(&mut self) -> Result<Option<Bytes>, LogError> {
        let Some(mut chunks) = self.chunks.take() else {
            return Ok(self.small.take().filter(|octets| !octets.is_empty()));
        };
        let read =
            tokio::task::spawn_blocking(move || chunks.next_chunk().map(|chunk| (chunk, chunks))).await;
        let (chunk, chunks) = read.map_err(|_| LogError::Closed)??;
        self.chunks = chunk.is_some().then_some(chunks);
        // The one chunk of an empty body has no bytes to give.
        Ok(chunk.filter(|chunk| !chunk.is_empty()).map(Bytes::from))
    }
}
