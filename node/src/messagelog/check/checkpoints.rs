//! What the node signed against the leaves that there are: whoever changes an entry together with all its checksums, or
//! puts an older log in its place, is found here.

use kontor_protocol::log::{
    checkpoint::Checkpoint,
    leaf_hash,
    tree::{Frontier, Hash},
};

use super::{Checker, Code};
use crate::messagelog::{
    error::LogError,
    ledger::{self, LostLeaves},
};

/// The checkpoints of this log, and the tree over the leaves as they are read.
#[derive(Default)]
pub(super) struct Signed {
    checkpoints: Vec<(String, Checkpoint, Option<Hash>)>,
    tree: Frontier,
    lost: LostLeaves,
}

impl Checker<'_> {
    /// Reads what was signed, before the leaves are read.
    pub(super) fn checkpoints(&mut self) -> Result<(), LogError> {
        self.signed.lost = LostLeaves::load(self.home)?;
        for (path, checkpoint) in ledger::signed(self.home, &self.master)? {
            let file = self.file(&path);
            match checkpoint {
                Ok(checkpoint) => self.signed.checkpoints.push((file, checkpoint, None)),
                Err(text) => self.findings.add(Code::Checkpoint, &file, text, None),
            }
        }
        for (path, text) in ledger::unread_bindings(self.home)? {
            let file = self.file(&path);
            self.findings.add(Code::Binding, &file, text, None);
        }
        Ok(())
    }

    /// Takes a leaf into the tree. After one that is missing or unsound the tree stays as it is.
    pub(super) fn grow(&mut self, number: u64, leaf: &[u8]) {
        let Signed {
            checkpoints,
            tree,
            lost,
        } = &mut self.signed;
        if number != tree.size() {
            return;
        }
        let hash = match leaf.is_empty() {
            // Lost and put aside.
            true => lost.hash(number),
            false => Some(leaf_hash(leaf)),
        };
        let Some(hash) = hash else {
            return;
        };
        tree.push(hash);
        for (_, checkpoint, root) in checkpoints {
            if checkpoint.size() == tree.size() {
                *root = Some(tree.root());
            }
        }
    }

    /// Compares, after all leaves were read.
    pub(super) fn compare_checkpoints(&mut self) {
        let signed = std::mem::take(&mut self.signed);
        for (file, checkpoint, root) in signed.checkpoints {
            let size = checkpoint.size();
            match root {
                Some(root) if root == *checkpoint.root() => {}
                Some(_) => {
                    let text = format!("the first {size} entries are not those that the node signed");
                    self.findings.add(Code::Rewritten, &file, text, None);
                }
                // Signed while the leaves were read.
                None if self.synced.is_some_and(|synced| synced < size) => {}
                None if self.report.entries < size => {
                    let entries = self.report.entries;
                    let text = format!("the node signed over {size} entries, and there are {entries}");
                    self.findings.add(Code::Behind, &file, text, None);
                }
                None => self.report.notes.push(format!(
                    "{file} could not be compared with the entries: not every leaf before entry {size} is sound"
                )),
            }
        }
    }
}
