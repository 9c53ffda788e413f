//! Forgetting keys: takes nodes out of a tree so that no key of the forgotten entries can be derived and all others can. Owns
//! that arithmetic; what it costs is two keys for each node on the edge of what is forgotten.

use super::{DEPTH, KeyTree, Node, child};
use crate::messagelog::numbers::NumberSet;

impl KeyTree {
    /// Makes the keys of these entries underivable and leaves all others as they are. Returns whether one of them was
    /// derivable.
    pub(crate) fn forget(&mut self, numbers: &NumberSet) -> bool {
        self.walked = None;
        let leaves = |number: u64| number.saturating_sub(self.first).min(1 << DEPTH);
        let runs = numbers
            .runs()
            .iter()
            .map(|(first, end)| (leaves(*first), leaves(*end)));
        let runs: Vec<_> = runs.filter(|(first, end)| first < end).collect();
        let nodes = std::mem::take(&mut self.nodes);
        // What is kept of a tree is rarely more than one node for each run.
        let mut kept = Vec::with_capacity(nodes.len() + runs.len() + usize::from(DEPTH));
        let mut forgot = false;
        for node in nodes {
            forgot |= prune(node, &runs, &mut kept);
        }
        self.nodes = kept;
        forgot
    }

    /// Whether no key is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// How many nodes are left, each 37 bytes of the file.
    #[cfg(test)]
    pub(crate) fn nodes(&self) -> usize {
        self.nodes.len()
    }
}

/// Keeps what of a node lies outside of the runs; they are ascending and apart. Goes 32 levels deep at most.
fn prune(node: Node, runs: &[(u64, u64)], kept: &mut Vec<Node>) -> bool {
    let (start, end) = node.span();
    let runs = &runs[runs.partition_point(|run| run.1 <= start)..];
    match runs.first() {
        None => {
            kept.push(node);
            false
        }
        Some(run) if run.0 >= end => {
            kept.push(node);
            false
        }
        Some(run) if run.0 <= start && run.1 >= end => true,
        Some(_) => {
            for side in [0, 1] {
                let half = Node {
                    depth: node.depth + 1,
                    path: node.path << 1 | u32::from(side),
                    key: child(&node.key, side),
                };
                prune(half, runs, kept);
            }
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn exactly_the_forgotten_keys_are_gone_however_often_it_is_done(
            first in 0..50_u64,
            rounds in proptest::collection::vec(proptest::collection::vec((0..120_u64, 0..12_u64), 0..8), 1..4),
        ) {
            let mut tree = KeyTree::generate(first);
            let before: Vec<_> = (0..140).map(|number| tree.entry_key(number)).collect();
            let mut gone = NumberSet::default();
            for runs in rounds {
                let mut numbers = NumberSet::default();
                runs.iter().for_each(|(from, length)| numbers.insert_run(*from, from + length));
                let derivable = numbers.iter().any(|number| number >= first && !gone.contains(number));
                prop_assert_eq!(tree.forget(&numbers), derivable);
                gone.extend(&numbers);
                for number in 0..140 {
                    let expected = before[usize::try_from(number).unwrap()].clone().filter(|_| !gone.contains(number));
                    prop_assert_eq!(tree.entry_key(number), expected);
                }
                // No node above a forgotten entry is left: that is what makes its key underivable.
                for number in gone.iter().filter(|number| *number >= first) {
                    let leaf = u32::try_from(number - first).unwrap();
                    prop_assert!(tree.nodes.iter().all(|node| !node.covers(leaf)));
                }
            }
        }
    }

    #[test]
    fn forgetting_everything_from_the_front_leaves_no_more_than_one_node_a_level() {
        let mut tree = KeyTree::generate(1000);
        let mut numbers = NumberSet::default();
        numbers.insert_run(0, 1_000_000);
        assert!(tree.forget(&numbers));
        assert!(tree.nodes() <= 32, "{}", tree.nodes());
        numbers.insert_run(0, u64::MAX);
        assert!(tree.forget(&numbers) && tree.is_empty());
        assert!(!tree.forget(&numbers));
    }

    #[test]
    fn forgetting_every_second_entry_leaves_one_node_for_each_that_stays() {
        let mut tree = KeyTree::generate(0);
        let numbers: NumberSet = (0..4096).step_by(2).collect();
        tree.forget(&numbers);
        // 2048 single keys, and what lies behind the last entry.
        assert_eq!(tree.nodes(), 2048 + 20);
    }
}
