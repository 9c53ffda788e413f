//! A log that a scripted peer claims to keep: leaves, tree, checkpoints, proofs and the binding of its key, right or wrong.
//!
//! Owns the bytes of these forms as a tester writes them (RFC 6962, C2SP signed-note, tlog-checkpoint, tlog-witness and
//! tlog-proof; the leaf of evidence 1); refuses nothing, because a peer that lies is a case.

use anyhow::Result;
use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::crypto::{Ed25519Key, random, sha256, sha512};
use serde_json::json;

use super::Signer;
use crate::authority::{Authority, OcspSays};
use crate::clock;
use crate::plan::INSTANCE;

type Hash = [u8; 32];

/// See the module.
pub struct Ledger {
    /// `kontor/INSTANCE/CLASS/CODE/SERVER/LOGID`.
    origin: String,
    id: Hash,
    key: Ed25519Key,
    leaves: Vec<Vec<u8>>,
}

/// What a leaf of a message says.
#[derive(Clone, Debug)]
pub struct LeafText<'a> {
    /// A request, or a response.
    pub is_request: bool,
    /// Seconds since 1970.
    pub second: u64,
    /// Member and subsystem of the client.
    pub client: (&'a str, &'a str),
    /// Member and subsystem of the provider, and the service.
    pub service: (&'a str, &'a str, &'a str),
    /// What it commits to.
    pub commitment: Hash,
}

impl Ledger {
    /// A new log of the server with this code, owned by this member.
    pub fn of(member: &str, server: &str) -> Self {
        let id = random();
        Self {
            origin: format!("kontor/{INSTANCE}/GOV/{member}/{server}/{}", hex(&id)),
            id,
            key: Ed25519Key::generate(),
            leaves: Vec::new(),
        }
    }

    /// The same log under another key.
    #[must_use]
    pub fn with_other_key(&self) -> Self {
        Self {
            origin: self.origin.clone(),
            id: self.id,
            key: Ed25519Key::generate(),
            leaves: self.leaves.clone(),
        }
    }

    /// The log as somebody else would go on with it: the same first entries, then others.
    #[must_use]
    pub fn forked_at(&self, entries: usize) -> Self {
        let mut leaves = self.leaves[..entries].to_vec();
        leaves.resize_with(self.leaves.len(), || random::<40>().to_vec());
        Self {
            origin: self.origin.clone(),
            id: self.id,
            key: Ed25519Key::from_seed(&self.key.to_seed()),
            leaves,
        }
    }

    /// 64 hexadecimal digits.
    pub fn id(&self) -> String {
        hex(&self.id)
    }

    /// Its entries.
    pub fn size(&self) -> usize {
        self.leaves.len()
    }

    /// Adds entries that say nothing.
    pub fn grow(&mut self, entries: usize) {
        for _ in 0..entries {
            self.leaves.push(random::<40>().to_vec());
        }
    }

    /// Adds the leaf of a message and gives it.
    pub fn push(&mut self, text: &LeafText<'_>) -> Vec<u8> {
        let leaf = self.leaf(text);
        self.leaves.push(leaf.clone());
        leaf
    }

    fn leaf(&self, text: &LeafText<'_>) -> Vec<u8> {
        fn string(out: &mut Vec<u8>, text: &str) {
            out.extend((text.len() as u16).to_be_bytes());
            out.extend(text.as_bytes());
        }
        fn identifier(out: &mut Vec<u8>, fields: &[&str]) {
            out.push(fields.len() as u8);
            fields.iter().for_each(|field| string(out, field));
        }
        // A request that came in, or a response that went out; bit 0 of the flags is the test bit.
        let (kind, direction) = if text.is_request { (1, 2) } else { (2, 1) };
        let mut out = vec![1, kind, direction, 1, 8];
        out.extend(self.id);
        out.extend((self.leaves.len() as u64).to_be_bytes());
        out.extend(text.second.to_be_bytes());
        out.extend(202_601_u32.to_be_bytes());
        identifier(&mut out, &[INSTANCE, "GOV", text.client.0, text.client.1]);
        identifier(&mut out, &[INSTANCE, "GOV", text.service.0, text.service.1]);
        string(&mut out, text.service.2);
        string(&mut out, "");
        identifier(&mut out, &[]);
        let server: Vec<_> = self.origin.split('/').skip(1).take(4).collect();
        identifier(&mut out, &server);
        for class in ["case", "", "case"] {
            string(&mut out, class);
        }
        out.extend(text.commitment);
        out
    }

    /// `name+id+key`.
    pub fn verifier(&self) -> String {
        let mut typed = vec![1];
        typed.extend(self.key.public_key());
        format!(
            "{}+{}+{}",
            self.origin,
            hex(&self.key_id()),
            BASE64_STANDARD.encode(typed)
        )
    }

    fn key_id(&self) -> [u8; 4] {
        let mut input = self.origin.as_bytes().to_vec();
        input.extend([b'\n', 1]);
        input.extend(self.key.public_key());
        let [a, b, c, d, ..] = sha256(&input);
        [a, b, c, d]
    }

    /// The binding of its key to a member, signed by `signer` now.
    pub fn binding(&self, member: &str, signer: &Signer, authority: &Authority) -> Result<Vec<u8>> {
        let since = clock::now().secs();
        let statement = format!(
            "kontor/key/1\n{}\n{INSTANCE}/GOV/{member}\n{since}\n",
            self.verifier()
        );
        let ocsp = authority.ocsp_of(&signer.certificate, OcspSays::Good)?;
        let signature = signer.document(None, sha512(statement.as_bytes()), &[ocsp]);
        let binding = json!({
            "format": 1,
            "statement": statement,
            "signature": BASE64_STANDARD.encode(signature),
        });
        Ok(serde_json::to_vec(&binding)?)
    }

    /// The root over its first entries.
    pub fn root(&self, size: usize) -> Hash {
        tree(&self.hashes()[..size])
    }

    fn hashes(&self) -> Vec<Hash> {
        let hash = |leaf: &Vec<u8>| sha256(&[&[0], &leaf[..]].concat());
        self.leaves.iter().map(hash).collect()
    }

    /// The signed checkpoint over its first entries.
    pub fn checkpoint(&self, size: usize) -> String {
        let text = format!(
            "{}\n{size}\n{}\n",
            self.origin,
            BASE64_STANDARD.encode(self.root(size))
        );
        let mut signature = self.key_id().to_vec();
        signature.extend(self.key.sign(text.as_bytes()));
        format!(
            "{text}\n— {} {}\n",
            self.origin,
            BASE64_STANDARD.encode(signature)
        )
    }

    /// That its first `old` entries are the beginning of the first `new`.
    pub fn consistency(&self, old: usize, new: usize) -> Vec<Hash> {
        if old == 0 || old == new {
            return Vec::new();
        }
        subproof(old, &self.hashes()[..new], true)
    }

    /// The proof that its entry `index` is among the first `size`, in one file.
    pub fn proof(&self, index: usize, size: usize) -> String {
        let hashes = path(index, &self.hashes()[..size]);
        format!(
            "c2sp.org/tlog-proof@v1\nindex {index}\n{}\n{}",
            lines(&hashes),
            self.checkpoint(size)
        )
    }

    /// The request to a witness.
    pub fn shows(&self, old: usize, new: usize) -> Vec<u8> {
        self.shows_with(old, &self.consistency(old, new), new)
    }

    /// The same with another proof.
    pub fn shows_with(&self, old: usize, proof: &[Hash], new: usize) -> Vec<u8> {
        format!("old {old}\n{}\n{}", lines(proof), self.checkpoint(new)).into_bytes()
    }
}

/// The account of one message as the service `ledger` shows it.
pub fn account_line(
    ledger: &Ledger,
    number: usize,
    leaf: &[u8],
    request_id: &str,
    salt: &Hash,
    parts: &[(&str, Vec<u8>)],
) -> serde_json::Value {
    let part = |(name, bytes): &(&str, Vec<u8>)| {
        json!({
            "name": name,
            "length": bytes.len(),
            "sha512": BASE64_STANDARD.encode(sha512(bytes)),
        })
    };
    json!({
        "number": number,
        "request_id": request_id,
        "leaf": BASE64_STANDARD.encode(leaf),
        "proof": ledger.proof(number, ledger.size()),
        "salt": BASE64_STANDARD.encode(salt),
        "parts": parts.iter().map(part).collect::<Vec<_>>(),
    })
}

/// What a leaf commits to: these parts under this salt.
pub fn commitment(salt: &Hash, parts: &[(&str, Vec<u8>)]) -> Hash {
    let mut list = (parts.len() as u16).to_be_bytes().to_vec();
    for (name, bytes) in parts {
        list.extend((name.len() as u16).to_be_bytes());
        list.extend(name.as_bytes());
        list.extend((bytes.len() as u64).to_be_bytes());
        list.extend(sha512(bytes));
    }
    let mut input = b"kontor/leaf/1".to_vec();
    input.extend(salt);
    input.extend(sha512(&list));
    sha256(&input)
}

/// Hashes in base64, a line each.
pub fn lines(hashes: &[Hash]) -> String {
    let line = |hash| BASE64_STANDARD.encode(hash) + "\n";
    hashes.iter().map(line).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn node(left: Hash, right: Hash) -> Hash {
    sha256(&[&[1], &left[..], &right[..]].concat())
}

/// The largest power of two below a number above one.
fn split(size: usize) -> usize {
    size.next_power_of_two() / 2
}

fn tree(hashes: &[Hash]) -> Hash {
    match hashes {
        [] => sha256(b""),
        [one] => *one,
        more => {
            let (left, right) = more.split_at(split(more.len()));
            node(tree(left), tree(right))
        }
    }
}

/// PATH of RFC 6962 2.1.1.
fn path(index: usize, hashes: &[Hash]) -> Vec<Hash> {
    if hashes.len() < 2 {
        return Vec::new();
    }
    let k = split(hashes.len());
    let (left, right) = hashes.split_at(k);
    let (mut below, beside) = match index < k {
        true => (path(index, left), tree(right)),
        false => (path(index - k, right), tree(left)),
    };
    below.push(beside);
    below
}

/// SUBPROOF of RFC 6962 2.1.2.
fn subproof(old: usize, hashes: &[Hash], is_whole: bool) -> Vec<Hash> {
    if old == hashes.len() {
        return match is_whole {
            true => Vec::new(),
            false => vec![tree(hashes)],
        };
    }
    let k = split(hashes.len());
    let (left, right) = hashes.split_at(k);
    let (mut below, beside) = match old <= k {
        true => (subproof(old, left, is_whole), tree(right)),
        false => (subproof(old - k, right, false), tree(left)),
    };
    below.push(beside);
    below
}

#[cfg(test)]
mod tests {
    use kontor_protocol::log::checkpoint::SignedCheckpoint;
    use kontor_protocol::log::proof::LogProof;
    use kontor_protocol::log::tree::{leaf_hash, verify_consistency};
    use kontor_protocol::log::witness::AddCheckpoint;
    use kontor_protocol::log::{Leaf, Part, encode_parts};

    use super::*;

    #[test]
    fn what_the_suite_writes_is_what_the_papers_ask_for() {
        let mut ledger = Ledger::of("1003", "ss-x");
        ledger.grow(6);
        let (salt, parts) = ([7; 32], [("message.xml", b"m".to_vec())]);
        let leaf = ledger.push(&LeafText {
            is_request: true,
            second: 9,
            client: ("1001", "portal"),
            service: ("1003", "ledger", "echo"),
            commitment: commitment(&salt, &parts),
        });
        ledger.grow(4);
        let read = Leaf::parse(&leaf).unwrap();
        let digest = sha512(b"m");
        let listed = [Part {
            name: "message.xml",
            length: 1,
            digest: &digest,
        }];
        assert_eq!(
            read.commitment,
            kontor_protocol::log::commitment(&salt, &encode_parts(&listed))
        );
        let key = ledger.verifier().parse().unwrap();
        for size in 7..=11 {
            let proof = LogProof::parse(ledger.proof(6, size).as_bytes()).unwrap();
            proof.verify(&leaf_hash(&leaf), &key, &[]).unwrap();
            for old in 1..=size {
                let (before, after) = (ledger.root(old), ledger.root(size));
                verify_consistency(
                    old as u64,
                    &before,
                    size as u64,
                    &after,
                    &ledger.consistency(old, size),
                )
                .unwrap();
                AddCheckpoint::parse(&ledger.shows(old, size)).unwrap();
            }
        }
        let forked = ledger.forked_at(3);
        assert_eq!(forked.root(3), ledger.root(3));
        assert_ne!(forked.root(4), ledger.root(4));
        SignedCheckpoint::parse(forked.checkpoint(4).as_bytes())
            .unwrap()
            .verify(&key, &[])
            .unwrap();
    }
}
