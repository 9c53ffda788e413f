//! The tree of a batch: one result to sign, and for each message the chain that leads to it (wire 4.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::digest_list::step_value;
use super::{PartDigest, SIGNATURE_CHAIN, template};
use crate::c14n::escape_text;

/// What a batch is signed or time-stamped by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The chain result, common to all messages; its digest is what is signed.
    pub result_xml: Vec<u8>,
    /// The chain of each message, in the order of the requests.
    pub chains: Vec<Vec<u8>>,
    /// The root of the tree, as the result has it.
    pub root: [u8; 64],
}

/// Builds result and chains for the signature of `requests`, each a list of the parts of one message.
///
/// One request becomes one step that lists its parts; more become a tree. A batch or request without parts has a
/// result, but nothing that any verifier accepts: callers have at least the message part.
#[must_use]
pub fn build_batch(requests: &[Vec<PartDigest>]) -> Batch {
    let tree = Tree::of(requests);
    let chains = requests
        .iter()
        .enumerate()
        .map(|(at, parts)| tree.chain(at, parts))
        .collect();
    Batch {
        result_xml: tree.result(SIGNATURE_CHAIN),
        chains,
        root: tree.root(),
    }
}

/// Levels of values, leaves first. A value without a neighbour moves up as it is (wire 4.4, trap 17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    levels: Vec<Vec<[u8; 64]>>,
}

impl Tree {
    fn of(requests: &[Vec<PartDigest>]) -> Self {
        let leaf = |parts: &Vec<PartDigest>| match parts.as_slice() {
            // Alone in its batch a single part is hashed too: its chain has a step that must list it.
            [part] if requests.len() > 1 => part.digest,
            parts => step_value(parts.iter().map(|part| &part.digest)),
        };
        Self::of_leaves(requests.iter().map(leaf).collect())
    }

    /// The tree over values that are leaves already: requests of one part each, two at least.
    pub(crate) fn of_leaves(leaves: Vec<[u8; 64]>) -> Self {
        let mut levels = vec![leaves];
        while let Some(below) = levels.last().filter(|below| below.len() > 1) {
            let above = below
                .chunks(2)
                .map(|pair| match pair {
                    [alone] => *alone,
                    both => step_value(both.iter()),
                })
                .collect();
            levels.push(above);
        }
        Self { levels }
    }

    pub(crate) fn leaves(&self) -> &[[u8; 64]] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    pub(crate) fn root(&self) -> [u8; 64] {
        match self.levels.last().and_then(|top| top.first()) {
            Some(root) => *root,
            None => step_value(std::iter::empty()),
        }
    }

    /// The chain result of this tree, for chains under `chain_name`.
    pub(crate) fn result(&self, chain_name: &str) -> Vec<u8> {
        let mut result = Document(Vec::with_capacity(400));
        result.text(template::RESULT_START);
        result.attribute(chain_name);
        result.text("#STEP0");
        result.text(template::RESULT_METHOD);
        result.value(&self.root());
        result.text(template::RESULT_END);
        result.0
    }

    /// The chain of one request, which has these parts.
    pub(crate) fn chain(&self, request: usize, parts: &[PartDigest]) -> Vec<u8> {
        // From the root down: the level, and the position of the neighbour there.
        let path: Vec<(usize, usize)> = (0..self.levels.len())
            .rev()
            .map(|level| (level, (request >> level) ^ 1))
            .filter(|&(level, neighbour)| neighbour < self.levels[level].len())
            .collect();
        let single = match parts {
            [part] if !path.is_empty() => Some(part),
            _ => None,
        };
        let mut chain = Document(Vec::with_capacity(400 + 300 * path.len() + 160 * parts.len()));
        chain.text(template::CHAIN_START);
        for (step, &(level, neighbour)) in path.iter().enumerate() {
            chain.step(step);
            let own = |chain: &mut Document| match single {
                Some(part) if step + 1 == path.len() => chain.data(part),
                _ => {
                    chain.text(template::STEP_REF);
                    chain.text(&format!("#STEP{}", step + 1));
                    chain.text(template::STEP_REF_END);
                }
            };
            let other = |chain: &mut Document| {
                chain.text(template::HASH_VALUE);
                chain.value(&self.levels[level][neighbour]);
                chain.text(template::HASH_VALUE_END);
            };
            if neighbour % 2 == 0 {
                other(&mut chain);
                own(&mut chain);
            } else {
                own(&mut chain);
                other(&mut chain);
            }
            chain.text(template::STEP_END);
        }
        if single.is_none() {
            chain.step(path.len());
            for part in parts {
                chain.data(part);
            }
            chain.text(template::STEP_END);
        }
        chain.text(template::CHAIN_END);
        chain.0
    }
}

struct Document(Vec<u8>);

impl Document {
    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn step(&mut self, number: usize) {
        self.text(template::STEP_START);
        self.text(&format!("STEP{number}"));
        self.text("\">");
    }

    fn attribute(&mut self, value: &str) {
        // Names of parts hold no control characters; quotes are what text escaping leaves open.
        escape_text(&value.replace('"', "%22"), &mut self.0);
    }

    fn value(&mut self, digest: &[u8; 64]) {
        let mut encoded = [0_u8; 88];
        let length = STANDARD
            .encode_slice(digest, &mut encoded)
            .expect("64 octets have 88 characters of base64");
        self.text(template::VALUE);
        self.0.extend_from_slice(&encoded[..length]);
        self.text(template::VALUE_END);
    }

    fn data(&mut self, part: &PartDigest) {
        self.text(template::DATA_REF);
        self.attribute(&part.name);
        self.text("\">");
        self.value(&part.digest);
        self.text(template::DATA_REF_END);
    }
}
