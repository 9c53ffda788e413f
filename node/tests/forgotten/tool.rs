//! A reader of the log that shares no code with the node: it knows the pages of `messagelog/format.rs` and `pki/src/sealed.rs`,
//! and a cryptographic library. It opens what any key it can get at opens, whatever that key was meant for.

use std::{collections::BTreeMap, fs, path::Path};

use aws_lc_rs::{aead, hkdf, hmac};
use base64::Engine as _;

/// Files by their path below the data directory.
pub(crate) type Files = BTreeMap<String, Vec<u8>>;
type Key = [u8; 32];

/// Everything below a directory.
pub(crate) fn files_of(dir: &Path) -> Files {
    fn walk(root: &Path, dir: &Path, files: &mut Files) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, files);
            } else if path.is_file() {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                files.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    let mut files = Files::new();
    walk(dir, dir, &mut files);
    files
}

/// The files without those that hold keys.
pub(crate) fn without_keys(files: &Files) -> Files {
    let data = files.iter().filter(|(name, _)| !name.ends_with(".key"));
    data.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    bytes[at..at + N]
        .iter()
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

fn at32(bytes: &[u8], at: usize) -> usize {
    number::<4>(bytes, at) as usize
}

/// A piece with its length of 4 bytes before it, and what follows.
fn counted(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes[4..].split_at(at32(bytes, 0))
}

fn gcm(key: &Key, nonce: &[u8], associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_256_GCM, key).unwrap());
    let nonce = aead::Nonce::try_assume_unique_for_key(nonce).unwrap();
    let mut bytes = sealed.to_vec();
    let plain = key.open_in_place(nonce, aead::Aad::from(associated), &mut bytes);
    plain.ok().map(|plain| plain.to_vec())
}

/// Ciphertext and tag, nonce, version.
fn unseal_blob(key: &Key, associated: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
    let (version, rest) = sealed.split_last()?;
    let (rest, nonce) = rest.split_last_chunk::<12>()?;
    (*version == 1).then(|| gcm(key, nonce, associated, rest))?
}

pub(crate) fn hmac(key: &[u8], message: &[u8]) -> Key {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    tag.as_ref().try_into().unwrap()
}

fn derive(key: &Key, salt: &[u8], info: &[u8]) -> Key {
    let mut derived = [0; 32];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, salt).extract(key);
    let expanded = prk
        .expand(&[info], hkdf::HKDF_SHA256)
        .map(|okm| okm.fill(&mut derived));
    expanded.unwrap().unwrap();
    derived
}

/// Label and content of a text file that the master key opens.
fn unseal_file(master: &Key, file: &[u8]) -> Option<(String, Vec<u8>)> {
    let text = std::str::from_utf8(file).ok()?;
    let inside = text.strip_prefix("-----BEGIN KONTOR SEALED DATA-----\n")?;
    let (head, body) = inside.split_once("\n\n")?;
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let hex = |text: &str| -> Vec<u8> {
        let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
        (0..text.len()).step_by(2).map(byte).collect()
    };
    let key = derive(master, &hex(field("Salt: ")?), b"kontor sealed data 1");
    let body: String = body.lines().filter(|line| !line.starts_with('-')).collect();
    let body = base64::engine::general_purpose::STANDARD.decode(body).ok()?;
    let plain = gcm(
        &key,
        &hex(field("Nonce: ")?),
        format!("{head}\n").as_bytes(),
        &body,
    )?;
    Some((field("Label: ")?.to_owned(), plain))
}

/// A known node of some key tree.
struct Node {
    first: u64,
    depth: u8,
    key: Key,
}

/// A record as it stands in a segment.
struct Record {
    segment: u64,
    kind: u8,
    number: u64,
    /// Leaf, evidence, head, body.
    blobs: [Vec<u8>; 4],
}

/// What the tool made of one entry.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Opened {
    pub(crate) message: Option<Vec<u8>>,
    pub(crate) chain: Option<Vec<u8>>,
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) body: Option<Vec<u8>>,
}

/// See the module.
#[derive(Default)]
pub(crate) struct Tool {
    nodes: Vec<Node>,
    /// Keys that stand anywhere: those of nodes, of the index, of documents and content files, and the master key.
    pub(crate) keys: Vec<Key>,
    records: Vec<Record>,
    content: Vec<Vec<u8>>,
    log: Vec<u8>,
    /// Whatever was opened, of any file or entry.
    pub(crate) plain: Vec<Vec<u8>>,
}

impl Tool {
    /// Takes in what lies in each of these sets of files, and opens what it can.
    pub(crate) fn new(master: &Key, sets: &[&Files]) -> Self {
        let mut tool = Self {
            keys: vec![*master],
            ..Self::default()
        };
        for (name, bytes) in sets.iter().flat_map(|files| files.iter()) {
            if let Some((label, plain)) = unseal_file(master, bytes) {
                tool.take_keys(&label, &plain);
                tool.plain.push(plain);
            } else if bytes.starts_with(b"KONTSEG1") {
                tool.take_segment(bytes);
            } else if bytes.starts_with(b"KONTCON1") {
                tool.content.push(bytes.clone());
            } else {
                assert!(!name.ends_with(".key"), "{name} does not open");
            }
        }
        // Twice: what one entry gives away may open another.
        for _ in 0..2 {
            for number in 0..tool.entries() {
                tool.open(number);
            }
        }
        tool
    }

    pub(crate) fn entries(&self) -> u64 {
        let entries = self.records.iter().filter(|record| record.kind == 1);
        entries.map(|record| record.number + 1).max().unwrap_or(0)
    }

    fn take_keys(&mut self, label: &str, plain: &[u8]) {
        if !label.starts_with("kontor/log/key/1 ") {
            let key = plain.last_chunk::<32>();
            self.keys.extend(key);
            return;
        }
        let at = 3 + usize::from(plain[2]) + 4;
        let (first, count) = (number::<8>(plain, at), at32(plain, at + 8));
        for node in plain[at + 12..].chunks_exact(37).take(count) {
            let key = node[5..].try_into().unwrap();
            let depth = node[0];
            self.nodes.push(Node { first, depth, key });
            self.keys.push(key);
        }
    }

    fn take_segment(&mut self, bytes: &[u8]) {
        self.log = bytes[16..48].to_vec();
        let (segment, mut at) = (number::<8>(bytes, 48), 512);
        while bytes.get(at..at + 4) == Some(b"KREC") {
            let (mut from, mut blobs) = (at + 80, [const { Vec::new() }; 4]);
            for (place, blob) in blobs.iter_mut().enumerate() {
                let length = at32(bytes, at + 40 + 4 * place);
                *blob = bytes[from..from + length].to_vec();
                from += length;
            }
            self.records.push(Record {
                segment,
                kind: bytes[at + 4],
                number: number::<8>(bytes, at + 16),
                blobs,
            });
            at += at32(bytes, at + 12);
        }
    }

    /// Every key that the key of a blob could be: of each node the way down to this number, whether the node is above it or
    /// not, for each class; and every key as it stands.
    fn candidates(&self, entry: u64) -> Vec<Key> {
        let mut keys = self.keys.clone();
        for node in self.nodes.iter().filter(|node| node.first <= entry) {
            let (leaf, mut key) = ((entry - node.first) as u32, node.key);
            for depth in node.depth..32 {
                key = hmac(&key, &[(leaf >> (31 - depth) & 1) as u8]);
            }
            keys.push(key);
            keys.extend(
                (1..=3).map(|class| derive(&key, &[], &[b"kontor/log/blob/1", &[class][..]].concat())),
            );
        }
        keys
    }

    fn learn(&mut self, key: &[u8], plain: &[u8]) {
        let key: Key = key.try_into().unwrap();
        if !self.keys.contains(&key) {
            self.keys.push(key);
        }
        self.plain.push(plain.to_vec());
    }

    /// What any key opens of an entry, in any copy of it.
    pub(crate) fn open(&mut self, entry: u64) -> Opened {
        let candidates = self.candidates(entry);
        let mut found = [const { None::<Vec<u8>> }; 3];
        for record in self
            .records
            .iter()
            .filter(|it| it.kind == 1 && it.number == entry)
        {
            let period = &record.blobs[0][53..57];
            for (class, place) in [(3, 1), (1, 2), (2, 3)] {
                let associated = [&self.log[..], &entry.to_be_bytes(), &[class], period].concat();
                let sealed = &record.blobs[place];
                let mut opened = candidates
                    .iter()
                    .filter_map(|key| unseal_blob(key, &associated, sealed));
                found[place - 1] = found[place - 1].take().or_else(|| opened.next());
            }
        }
        let [evidence, head, body] = found;
        let mut opened = Opened::default();
        if let Some(evidence) = evidence {
            let mut rest = &evidence[1..];
            while let Some((tag, fields)) = rest.split_first() {
                let (value, after) = counted(fields);
                match tag {
                    4 => {
                        self.learn(&value[20..52], &evidence);
                        opened.document = self.document(number::<8>(value, 0), number::<8>(value, 8));
                    }
                    5 => opened.chain = Some(value.to_vec()),
                    _ => {}
                }
                rest = after;
            }
        }
        if let Some(head) = head {
            let (_, rest) = counted(&head[1..]);
            opened.message = Some(counted(rest).1.to_vec());
            self.plain.push(head);
        }
        match body {
            Some(body) if body[1] == 1 => {
                opened.body = Some(body[2..].to_vec());
                self.plain.push(body);
            }
            Some(body) => {
                self.learn(&body[18..50], &body);
                opened.body = self.content(&body[2..18]);
            }
            None => {}
        }
        opened
    }

    /// A signature document that some key opens.
    pub(crate) fn document(&self, segment: u64, name: u64) -> Option<Vec<u8>> {
        let associated = [&self.log[..], &segment.to_be_bytes(), &name.to_be_bytes(), &[4]].concat();
        let mut records = self
            .records
            .iter()
            .filter(|it| (it.kind, it.segment, it.number) == (2, segment, name));
        let opened = records.find_map(|record| {
            let mut keys = self.keys.iter();
            keys.find_map(|key| unseal_blob(key, &associated, &record.blobs[1]))
        })?;
        Some(counted(&opened[1..]).0.to_vec())
    }

    /// The names of all signature documents, with their segments.
    pub(crate) fn documents(&self) -> Vec<(u64, u64)> {
        let documents = self.records.iter().filter(|record| record.kind == 2);
        documents.map(|record| (record.segment, record.number)).collect()
    }

    /// The ids of all content files.
    pub(crate) fn content_ids(&self) -> Vec<Vec<u8>> {
        self.content.iter().map(|file| file[16..32].to_vec()).collect()
    }

    /// A content file that some key opens.
    pub(crate) fn content(&self, id: &[u8]) -> Option<Vec<u8>> {
        let file = self.content.iter().find(|file| file[16..32] == *id)?;
        let (associated, sealed) = file.split_at(32);
        let chunks: Vec<_> = sealed.chunks(at32(file, 12) + 16).collect();
        self.keys.iter().find_map(|key| {
            let mut plain = Vec::new();
            for (index, chunk) in chunks.iter().enumerate() {
                let mut nonce = [0; 12];
                nonce[7..11].copy_from_slice(&(index as u32).to_be_bytes());
                nonce[11] = u8::from(index + 1 == chunks.len());
                plain.extend(gcm(key, &nonce, associated, chunk)?);
            }
            Some(plain)
        })
    }
}
