//! What a message log proves to outsiders: leaf, commitment, part list, and the tree over the leaves.
//!
//! These formats are frozen at version 1. A leaf lives for ever: its bytes are hashed into a tree, and whoever audits
//! the log must be able to read and to rebuild them when nothing else of the entry is left. A change is a new version
//! beside this one. How a node keeps leaves, and seals what they commit to, is its own matter.
//!
//! All integers are big-endian and unsigned. A *string* is its length in bytes (2) and its UTF-8. An *identifier* is
//! the number of its fields (1) and each field as a string, in the order of wire 1.1; no fields means none.
//!
//! # Leaf
//!
//! | Bytes | Field |
//! |---|---|
//! | 1 | format version: 1 |
//! | 1 | kind, see [`EntryKind`]; unknown kinds are carried and proven like others |
//! | 1 | direction: 0 none, 1 sent, 2 received |
//! | 1 | flags: bit 0 is the test bit; the others are 0 |
//! | 1 | size of message and body together: the smallest k so that it is less than 2^k bytes; 0 for none |
//! | 32 | log id |
//! | 8 | number: the index of the leaf in the tree, from 0 |
//! | 8 | second of time since 1970-01-01T00:00:00Z |
//! | 4 | key period: year times 100 plus month, UTC |
//! | identifier | client: instance, class, code, and the subsystem if there is one |
//! | identifier | provider of the service, as client |
//! | string, string | code of the service; its version, empty for none. Both empty without a provider |
//! | identifier | security server on the client's side: instance, class, code, server code |
//! | identifier | security server on the provider's side |
//! | string × 3 | retention class of head, body and evidence; empty where the entry has no such blob |
//! | 32 | commitment |
//!
//! Nothing follows. There is exactly one way to write a leaf: [`Leaf::parse`] refuses every other.
//!
//! A leaf never holds query id, request id, user, issue, represented party, path, status text or exact size.
//!
//! # Part list and commitment
//!
//! The part list names the bytes that were first logged, those that exist of `message.xml`, `attachment1`,
//! `sig-hashchainresult.xml`, `sig-hashchain.xml`, `signatures.xml`, in this order; entries that are no messages list
//! what they hold under names of their own. It is: number of parts (2), then for each its name (string), its length (8)
//! and its SHA-512 (64).
//!
//! commitment = SHA-256(`kontor/leaf/1` ‖ salt ‖ SHA-512(part list)), where the salt is 32 random bytes that stand, with the
//! list, in the sealed evidence of the entry. Once they are forgotten, nobody can confirm a guess.
//!
//! # Tree
//!
//! RFC 6962 with SHA-256: leaf hash = SHA-256(0x00 ‖ leaf), node = SHA-256(0x01 ‖ left ‖ right), see [`tree`]. It is handed out
//! as [tiles](tile).
//!
//! # What is signed about the tree
//!
//! The forms are those of C2SP, so that tools of others read them; their pages say the bytes.
//!
//! - [`note`]: a signed text, and the keys that sign it.
//! - [`origin`]: the name of a log, `kontor/INSTANCE/CLASS/CODE/SERVER/LOGID`, and of a witness.
//! - [`checkpoint`]: size and root, signed by the log's key.
//! - [`witness`]: a checkpoint shown to others, who check that it goes on from the one they keep, and co-sign it.
//! - [`proof`]: a leaf, its place, and the checkpoint that it is under, in one file.
//! - [`binding`]: a member's signature over the key of its log. The statement begins `kontor/key/1` and is ours.
//! - [`inclusion`]: all of it together, as an auditor asks: is this leaf in the log of this server, and who says so?

mod leaf;
mod parts;
pub mod numbers;
pub mod tree;
pub mod tile;
pub mod note;
pub mod origin;
pub mod checkpoint;
pub mod witness;
pub mod proof;
pub mod binding;
pub mod inclusion;
#[cfg(test)]
mod tests;

pub use self::leaf::{
    Direction, EntryKind, InvalidRetentionClass, LEAF_LIMIT, Leaf, LeafError, Retention, RetentionClass,
};
pub use self::parts::{ListedPart, Part, commitment, encode_parts, parse_parts};
pub use self::tree::leaf_hash;
