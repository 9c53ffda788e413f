//! The formats of the message log on disk, version 1, and the names of its files. They are frozen: a reader of this
//! version must read every log ever written, and a change is a new version beside the old one. All integers are
//! big-endian; *CRC* is CRC-32C; *sealed* is described under [Blobs](#blobs). Layouts that are proven to outsiders (leaf,
//! commitment, part list) belong to [`kontor_protocol::log`]; this page says how they are kept.
//!
//! # Files in the data directory
//!
//! | Name | What | Loss or change of it costs |
//! |---|---|---|
//! | `lock` | empty; held with `flock` by the one owner | nothing |
//! | `control.sock` | where commands ask the running owner (0600) | nothing |
//! | `auditors.json` | to whom access was granted, until when, digests of their tokens (0600) | nobody but the operator may look until it is granted anew |
//! | `log/identity` | id of the log, server, test bit, proof of the unsealing key | the log does not open |
//! | `log/segments/NUMBER.seg` | records from entry NUMBER (20 digits) on | evidence; noticed by checksum or gap |
//! | `log/segments/spare.seg` | zeros, the next segment | nothing; made again |
//! | `log/leaves/NUMBER.leaf` | leaves of a sealed segment, kept for ever | made again while the segment is there |
//! | `log/keys/CLASS.RETENTION.YYYYMM.key` | a key tree, sealed by the unsealing key | the blobs it opens: this is how they are forgotten |
//! | `log/checkpoint` | the newest checkpoint that was signed ([`kontor_protocol::log::checkpoint`]) | a node that was set back is noticed by its peers only |
//! | `log/checkpoint.key` | the Ed25519 seed that signs checkpoints, sealed by the unsealing key | the log does not open |
//! | `log/witness.key` | the seed that co-signs checkpoints of others, sealed likewise | a new key has to be bound; older co-signatures stay good |
//! | `log/checkpoint-key.json`, `log/witness-key.json` | the member's signatures over these keys | they are signed again |
//! | `log/checkpoint.cosigned`, `log/witnesses.json` | the newest checkpoint that others co-signed, and the bindings of their keys | the next one is shown to them |
//! | `log/seen` | a checkpoint of this log that a peer keeps and that the log does not go on from | the peer shows it again |
//! | `log/tree/level-N` | hashes of subtrees of 256^N leaves, in order | nothing; made again from the leaves |
//! | `log/marks` | deletions, holds and acts in sealed segments, see `marks.rs` | made again from the leaf files |
//! | `log/quarantine/…` | damaged files that the operator put aside, see `quarantine.rs` | what may one day be read in them |
//! | `log/quarantine/leaf-hashes` | hashes of leaves that were lost and put aside, as JSON by number | the log does not go on from checkpoints over them |
//! | `log/purge.pending` | a purge on its way, see `purge.rs` | content files of deleted bodies stay, as `check` says |
//! | `log/renewal.state` | which tokens were never renewed, and what renewed which, see `renewal.rs` | one look at every token |
//! | `log/purge.state` | how far each class was looked at | one look at every leaf |
//! | `log/keys/index.CLASS.YYYYMM.key` | the index key of heads of a class and month, sealed likewise: 1, key (32) | query ids of that month are found by reading only, until the index is made anew |
//! | `log/index/state`, `log/index/db-ID` | the search index, in sled; see `index` | nothing; made again |
//! | `log/content/ID` | a large body, sealed by a key of its own | that body |
//! | `log/spool/ID` | a large body whose entry is not written yet, or was just written | a body without entry is removed at start |
//! | any name ending in `.new` | a draft before its rename | nothing; removed at start |
//!
//! # Segment
//!
//! A file of fixed length, zero-filled and synced before it gets its name, so that appending changes no metadata. The
//! first is 4 MiB, the others 64 MiB; one record that would not fit makes a longer one.
//!
//! | Offset | Bytes | Header of the segment, 512 bytes |
//! |---|---|---|
//! | 0 | 8 | `KONTSEG1` |
//! | 8 | 4 | format version, 1 |
//! | 12 | 4 | 0 |
//! | 16 | 32 | log id |
//! | 48 | 8 | number of the first entry |
//! | 56 | 8 | length of the file |
//! | 64 | 444 | 0 |
//! | 508 | 4 | CRC of the 508 bytes before |
//!
//! Records follow without gap, each at a multiple of 8:
//!
//! | Offset | Bytes | Header of a record, 80 bytes |
//! |---|---|---|
//! | 0 | 4 | `KREC` |
//! | 4 | 1 | kind: 1 entry, 2 shared document, 3 open exchanges, 4 seal, 5 mark |
//! | 5 | 4 | state of each blob: 0 never was, 1 there, 2 removed by purge, 3 there and names a content file |
//! | 9 | 3 | 0 |
//! | 12 | 4 | length of the record: header, blobs, zeros up to the next multiple of 8 |
//! | 16 | 8 | entry: its number; shared document: the offset it was first written at, which is its name in this segment; others: the number of the next entry |
//! | 24 | 8 | entry: the number it answers or closes; 2^64−1 for none. Book-keeping of open exchanges, dropped by purge |
//! | 32 | 8 | offset of the first record of the same round |
//! | 40 | 16 | length of each blob |
//! | 56 | 16 | CRC of each blob |
//! | 72 | 4 | 0 |
//! | 76 | 4 | CRC of the 76 bytes before |
//!
//! The blobs of an *entry* stand in this order: leaf (in clear), evidence, head, body (each sealed). A *shared document* has
//! its sealed bytes as evidence blob. *Open exchanges* is the first record of each segment: its leaf blob lists the
//! exchanges that had no answer when the segment began, as (number 8, leaf length 4, leaf). A *seal* ends a segment that is
//! followed by another. A *mark* says at a clean stop that everything before it was synced.
//!
//! **Round.** What waits is numbered, written with one call, synced, and only then answered. The offset of the round's
//! first record stands in each of its records, and a round begins only after the one before was synced. So when recovery
//! meets a bad record in the last segment it can tell a torn round, which nobody was promised, from damage to synced
//! records: after damage some valid record belongs to a round that began later. A torn round is cut, and the rest of the
//! segment is zeroed before the next write. A bad checksum anywhere else stops the start.
//!
//! # Blobs
//!
//! A sealed blob is: AES-256-GCM ciphertext and tag ‖ nonce (12, random) ‖ version 1 (1 byte). The key of an entry's blob comes from
//! the key tree of its class; associated data is log id (32) ‖ number (8) ‖ class (1: 1 head, 2 body, 3 evidence) ‖ period (4, the
//! year times 100 plus the month, UTC). A shared document is sealed by a random key of its own; its associated data is log
//! id (32) ‖ first number of the segment (8) ‖ its name (8) ‖ class 4.
//!
//! Inside, after decryption, each begins with its version, 1 (1 byte):
//! - **Head:** length 4 and query id, length 4 and request id, then the bytes of the message.
//! - **Body:** 1 and the bytes, or 2, file id (16), key (32), length (8), bytes per chunk (4).
//! - **Shared document:** length 4 and signature document, then the chain result, empty for none.
//! - **Evidence:** fields, each tag (1), length (4), value, in ascending order of tags; unknown ones are skipped.
//!   1 salt (32); 2 the part list of the commitment; 3 instant in milliseconds (8);
//!   4 shared document: first number of its segment (8), its name (8), length of its record (4), key (32), SHA-512 of the
//!   signature document (64); 5 hash chain; 6 number answered or closed (8); 7 fault code; 8 time-stamp token; 9 numbers
//!   covered (8 each); 10 documents of a fact, for each the length of its name (4), the name, its length (4), its bytes; 11
//!   numbers that a fact concerns, ascending without overlap, for each run the numbers left out since the one before, from 0,
//!   and the numbers in it, both as LEB128; 12 what was not kept from the start (1): 1 the body, 2 all of the head but what wire 6.3
//!   leaves, 3 both; 13 for a time-stamp over many, SHA-512 of their signature documents in the order of field 9 (64 each); 14
//!   the number below which every message has a time-stamp, with this one (8).
//!
//! The part list of a message is the one of [`kontor_protocol::log`]. A failure closure lists `fault`, the fault code. A
//! time-stamp lists `timestamp.tst`, the token, `numbers`, as in field 9, and `digests`, as in field 13, if it has it. A fact lists its documents by name, of which the
//! first is `fact.json`, and `numbers`, as in field 11, if there are any. So the leaf commits to them.
//!
//! A shared document has the digest and position in every evidence blob that cites it and is readable through any of
//! them; when the last is forgotten, nobody has its key.
//!
//! # Key file
//!
//! Text as [`kontor_pki::sealed`] writes it, under the label `kontor/log/key/1`, log id and file name. Inside: version 1 (1), class (1),
//! length 1 and retention class, period (4), number of the first entry (8), count (4), then for each known node of the tree
//! its depth (1), the path to it (4, as a number of that many bits), its key (32). At first there is one: the root at depth
//! 0. The entry `number − first` is the leaf at depth 32 with that path, most significant bit first; child = HMAC-SHA-256(parent,
//! one byte 0 or 1). Blob key = HKDF-SHA-256(leaf, no salt, `kontor/log/blob/1` ‖ class). Forgetting an entry
//! replaces the node above it by the siblings along its path.
//!
//! # What forgetting can and cannot do
//!
//! A key file is written new, synced and renamed, and the bytes of the old one are overwritten. That erases nothing on file
//! systems that copy on write, nor on flash memory, which keep old blocks for a while. Whoever needs more gives `log/keys` a
//! small device of its own, and keeps backups of it apart, to age out before the keys must be gone.
//!
//! Digests of parts are unsalted in X-Road's hash chains, and a chain of one message names digests of others in its batch.
//! What blinds them is `x-road-request-id`, a random UUID inside the head: it stands in no leaf, no index, no evidence
//! blob, and must not stand in operator logs that live longer than the head (90 days at most). That holds for messages of
//! our making; those of others depend on their maker. Once head *and* evidence are forgotten nobody can confirm a guess;
//! while only the head is, nobody can read it.
//!
//! # Content file
//!
//! `KONTCON1`, version 1 (4), bytes per chunk (4), file id (16): 32 bytes, which are the associated data of every chunk. Then chunks of
//! 65,536 bytes with their tag of 16; the last is shorter, or full, and never missing. Nonce = 7 zero bytes ‖ index of the
//! chunk (4) ‖ 1 for the last, else 0. Each file has a key of its own.
//!
//! # Leaf file
//!
//! `KONTLEF1`, version 1 (4), 0 (4), log id (32), number of the first leaf (8), count (8), CRC of these 64 bytes (4), 0 (4); then for each leaf
//! length (4), CRC (4), bytes.

use std::path::{Path, PathBuf};

/// Bytes of the header of a segment: one sector.
pub(crate) const SEGMENT_HEADER: usize = 512;
/// Bytes of the header of a record.
pub(crate) const RECORD_HEADER: usize = 80;
/// Bytes of the header of a leaf file.
pub(crate) const LEAF_FILE_HEADER: usize = 72;
/// Bytes of the header of a content file.
pub(crate) const CONTENT_HEADER: usize = 32;
/// Plain bytes in a chunk of a content file.
pub(crate) const CHUNK: usize = 64 * 1024;
/// Bytes that AES-256-GCM adds.
pub(crate) const TAG: usize = 16;
/// Bytes that sealing adds to a blob.
pub(crate) const SEAL_OVERHEAD: usize = TAG + 12 + 1;
/// The largest record that is written or believed: a message of 16 MiB with what belongs to it.
pub(crate) const RECORD_LIMIT: usize = 20 * 1024 * 1024;

pub(crate) const SEGMENT_MAGIC: &[u8; 8] = b"KONTSEG1";
pub(crate) const RECORD_MAGIC: &[u8; 4] = b"KREC";
pub(crate) const LEAF_FILE_MAGIC: &[u8; 8] = b"KONTLEF1";
pub(crate) const CONTENT_MAGIC: &[u8; 8] = b"KONTCON1";
/// Version of every format on this page.
pub(crate) const VERSION: u32 = 1;

/// Where the files of a log lie.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    data: PathBuf,
    root: &'static str,
}

impl Layout {
    pub(crate) fn new(data: &Path) -> Self {
        Self::of(data, "log")
    }

    /// Keys and content of something else than the log, kept in the same way below a directory of their own.
    pub(crate) fn of(data: &Path, root: &'static str) -> Self {
        Self {
            data: data.into(),
            root,
        }
    }

    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.data.join("lock")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.data.join("control.sock")
    }

    pub(crate) fn auditors(&self) -> PathBuf {
        self.data.join("auditors.json")
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.data.join(self.root)
    }

    pub(crate) fn identity(&self) -> PathBuf {
        self.root().join("identity")
    }

    pub(crate) fn marks(&self) -> PathBuf {
        self.root().join("marks")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.root().join("quarantine")
    }

    pub(crate) fn purge_pending(&self) -> PathBuf {
        self.root().join("purge.pending")
    }

    pub(crate) fn purge_state(&self) -> PathBuf {
        self.root().join("purge.state")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root().join("segments")
    }

    pub(crate) fn segment(&self, first: u64) -> PathBuf {
        self.segments().join(format!("{first:020}.seg"))
    }

    pub(crate) fn spare(&self) -> PathBuf {
        self.segments().join("spare.seg")
    }

    pub(crate) fn leaves(&self) -> PathBuf {
        self.root().join("leaves")
    }

    pub(crate) fn leaf_file(&self, first: u64) -> PathBuf {
        self.leaves().join(format!("{first:020}.leaf"))
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.root().join("keys")
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.root().join("tree")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.root().join("checkpoint")
    }

    pub(crate) fn ledger_key(&self, name: &str) -> PathBuf {
        self.root().join(format!("{name}.key"))
    }

    pub(crate) fn binding(&self, name: &str) -> PathBuf {
        self.root().join(format!("{name}-key.json"))
    }

    pub(crate) fn seen(&self) -> PathBuf {
        self.root().join("seen")
    }

    pub(crate) fn cosigned(&self) -> PathBuf {
        self.root().join("checkpoint.cosigned")
    }

    pub(crate) fn witnesses(&self) -> PathBuf {
        self.root().join("witnesses.json")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.root().join("index")
    }

    pub(crate) fn archive_state(&self) -> PathBuf {
        self.root().join("archive.state")
    }

    pub(crate) fn renewal_state(&self) -> PathBuf {
        self.root().join("renewal.state")
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.root().join("spool")
    }

    pub(crate) fn content(&self) -> PathBuf {
        self.root().join("content")
    }

    /// Every directory, parents first.
    pub(crate) fn directories(&self) -> [PathBuf; 7] {
        [
            self.data.clone(),
            self.root(),
            self.segments(),
            self.leaves(),
            self.keys(),
            self.spool(),
            self.content(),
        ]
    }
}

/// The number in the name of a segment or leaf file.
pub(crate) fn number_in_name(name: &str, extension: &str) -> Option<u64> {
    let digits = name.strip_suffix(extension)?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// CRC-32C, which carries every checksum of the log.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

/// Reads fixed pieces from the front of bytes that came from disk; never past their end.
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (piece, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(piece)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    /// A piece with its length (4 bytes) before it.
    pub(crate) fn counted(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.take(length)
    }
}

/// A length as the formats write it. No record reaches 4 GiB, see [`RECORD_LIMIT`].
pub(crate) fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("lengths in a record are bounded by RECORD_LIMIT")
}
