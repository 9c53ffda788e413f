use std::convert::Infallible;

use proptest::prelude::*;

use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn leaves(count: u64) -> Vec<Hash> {
    (0..count)
        .map(|number| leaf_hash(&number.to_be_bytes()))
        .collect()
}

/// The largest power of two smaller than `n`, as the standard says it.
fn split(n: usize) -> usize {
    let mut k = 1;
    while k * 2 < n {
        k *= 2;
    }
    k
}

/// MTH of RFC 6962, 2.1, as it stands there.
fn mth(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [one] => *one,
        many => {
            let (left, right) = many.split_at(split(many.len()));
            node_hash(&mth(left), &mth(right))
        }
    }
}

/// PATH of 2.1.1.
fn path(m: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m < k {
        (path(m, left), mth(right))
    } else {
        (path(m - k, right), mth(left))
    };
    proof.push(other);
    proof
}

/// SUBPROOF of 2.1.2.
fn subproof(m: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if m == leaves.len() {
        return if whole { Vec::new() } else { vec![mth(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, other) = if m <= k {
        (subproof(m, left, whole), mth(right))
    } else {
        (subproof(m - k, right, false), mth(left))
    };
    proof.push(other);
    proof
}

/// Hands out complete subtrees of these leaves and nothing else.
fn kept(leaves: &[Hash]) -> impl FnMut(Subtree) -> Result<Hash, Infallible> {
    |subtree| {
        assert!(
            subtree.is_in(leaves.len() as u64),
            "{subtree:?} is beyond the tree"
        );
        let first = usize::try_from(subtree.index << subtree.level).unwrap();
        Ok(mth(&leaves[first..first + (1 << subtree.level)]))
    }
}

#[test]
fn a_growing_tree_has_the_root_of_the_standard() {
    let all = leaves(70);
    let mut frontier = Frontier::new();
    for size in 0..=70 {
        let so_far = &all[..size];
        assert_eq!((frontier.root(), frontier.size()), (mth(so_far), size as u64));
        assert_eq!(root(size as u64, &mut kept(so_far)), Ok(mth(so_far)));
        assert_eq!(
            Frontier::load(size as u64, &mut kept(so_far)),
            Ok(frontier.clone())
        );
        let again = Frontier::from_subtrees(size as u64, frontier.subtrees().to_vec());
        assert_eq!(again, Ok(frontier.clone()));
        if let Some(leaf) = all.get(size) {
            frontier.push(*leaf);
        }
    }
    assert_eq!(Frontier::from_subtrees(3, vec![[0; 32]]), Err(InvalidFrontier));
}

#[test]
fn hashes_have_their_known_values() {
    // Known answers of RFC 6962 implementations: the empty tree, one empty leaf.
    assert_eq!(
        hex(&empty_root()),
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!(
        hex(&leaf_hash(&[])),
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    );
    for length in [1022, 1023, 1024, 5000] {
        let leaf = vec![7; length];
        let by_definition = sha256(&[&[0], &leaf[..]].concat());
        assert_eq!(leaf_hash(&leaf), by_definition, "a leaf of {length} bytes");
    }
}

#[test]
fn every_leaf_of_every_small_tree_is_proven_and_no_other() {
    let all = leaves(40);
    for size in 1..=all.len() {
        let tree = &all[..size];
        let root = mth(tree);
        for index in 0..size {
            let proof = inclusion_proof(index as u64, size as u64, &mut kept(tree)).unwrap();
            assert_eq!(proof, path(index, tree), "leaf {index} of {size}");
            for asked in 0..size + 2 {
                let verdict = verify_inclusion(&tree[index], asked as u64, size as u64, &proof, &root);
                assert_eq!(
                    verdict.is_ok(),
                    asked == index,
                    "leaf {index} as {asked} of {size}"
                );
            }
        }
    }
}

#[test]
fn every_small_tree_is_proven_to_begin_with_each_smaller_one() {
    let all = leaves(40);
    for new in 0..=all.len() {
        let new_root = mth(&all[..new]);
        for old in 0..=new {
            let old_root = mth(&all[..old]);
            let (from, to) = (old as u64, new as u64);
            let proof = consistency_proof(from, to, &mut kept(&all[..new])).unwrap();
            if old > 0 {
                assert_eq!(proof, subproof(old, &all[..new], true), "{old} to {new}");
            }
            assert!(proof.len() <= PROOF_LIMIT);
            assert_eq!(verify_consistency(from, &old_root, to, &new_root, &proof), Ok(()));
            let longer = [&proof[..], &[[0; 32]]].concat();
            let refusal = verify_consistency(from, &old_root, to, &new_root, &longer);
            assert_eq!(
                refusal,
                Err(InvalidProof::Length),
                "{old} to {new} with one hash more"
            );
            let refusal = verify_consistency(from, &[1; 32], to, &new_root, &proof);
            assert!(refusal.is_err(), "{old} to {new} from another root");
            if old != 0 {
                let refusal = verify_consistency(from, &old_root, to, &[1; 32], &proof);
                assert!(refusal.is_err(), "{old} to {new} to another root");
            }
        }
    }
}

#[test]
fn what_is_wrong_with_a_proof_is_told_by_name() {
    let all = leaves(7);
    let (root, other) = (mth(&all), [1; 32]);
    let proof = path(4, &all);
    let inclusion = |index, size, proof: &[Hash], root| verify_inclusion(&all[4], index, size, proof, root);
    assert_eq!(inclusion(4, 7, &proof, &root), Ok(()));
    assert_eq!(inclusion(7, 7, &proof, &root), Err(InvalidProof::Index));
    assert_eq!(inclusion(0, 0, &[], &root), Err(InvalidProof::Index));
    assert_eq!(inclusion(4, 7, &proof[1..], &root), Err(InvalidProof::Length));
    let longer = [&proof[..], &[other]].concat();
    assert_eq!(inclusion(4, 7, &longer, &root), Err(InvalidProof::Length));
    assert_eq!(inclusion(4, 7, &proof, &other), Err(InvalidProof::Root));
    assert_eq!(inclusion(3, 7, &proof, &root), Err(InvalidProof::Root));

    let consistency = subproof(3, &all, true);
    let old_root = mth(&all[..3]);
    let verify =
        |old, old_root, new, root, proof: &[Hash]| verify_consistency(old, old_root, new, root, proof);
    assert_eq!(verify(3, &old_root, 7, &root, &consistency), Ok(()));
    assert_eq!(
        verify(8, &old_root, 7, &root, &consistency),
        Err(InvalidProof::Sizes)
    );
    assert_eq!(
        verify(3, &other, 7, &root, &consistency),
        Err(InvalidProof::OldRoot)
    );
    assert_eq!(
        verify(3, &old_root, 7, &other, &consistency),
        Err(InvalidProof::Root)
    );
    assert_eq!(verify(3, &old_root, 7, &root, &[]), Err(InvalidProof::Length));
    assert_eq!(verify(4, &old_root, 7, &root, &[]), Err(InvalidProof::Length));
    assert_eq!(verify(7, &old_root, 7, &root, &[]), Err(InvalidProof::OldRoot));
    assert_eq!(verify(0, &other, 7, &root, &[]), Err(InvalidProof::OldRoot));
    assert_eq!(
        verify(0, &empty_root(), 7, &root, &[other]),
        Err(InvalidProof::Length)
    );
}

#[test]
fn proofs_about_what_the_tree_does_not_have_are_not_made() {
    let all = leaves(5);
    assert_eq!(
        inclusion_proof(5, 5, &mut kept(&all)),
        Err(ProofError::OutOfRange(OutOfRange::Leaf { index: 5, size: 5 }))
    );
    assert_eq!(
        consistency_proof(6, 5, &mut kept(&all)),
        Err(ProofError::OutOfRange(OutOfRange::Tree { old: 6, new: 5 }))
    );
    let broken = |_: Subtree| Err("disk");
    assert_eq!(
        inclusion_proof(1, 5, &mut { broken }),
        Err(ProofError::Source("disk"))
    );
}

#[test]
fn a_proof_reads_few_hashes_of_the_largest_tree() {
    for index in [0, 1, SIZE_LIMIT / 2, SIZE_LIMIT / 3, SIZE_LIMIT - 1] {
        let read = inclusion_subtrees(index, SIZE_LIMIT).unwrap();
        assert!(read.len() <= 128 && read.iter().all(|subtree| subtree.is_in(SIZE_LIMIT)));
        let read = consistency_subtrees(index + 1, SIZE_LIMIT).unwrap();
        assert!(read.len() <= 128 && read.iter().all(|subtree| subtree.is_in(SIZE_LIMIT)));
        let one = |_: Subtree| Ok::<_, Infallible>([1; 32]);
        assert!(inclusion_proof(index, SIZE_LIMIT, &mut { one }).unwrap().len() <= PROOF_LIMIT);
        assert!(
            consistency_proof(index + 1, SIZE_LIMIT, &mut { one })
                .unwrap()
                .len()
                <= PROOF_LIMIT
        );
    }
}

fn proofs() -> impl Strategy<Value = Vec<Hash>> {
    prop::collection::vec(any::<Hash>(), 0..70)
}

proptest! {
    #[test]
    fn proofs_of_larger_trees_are_those_of_the_standard(size in 1u64..600, at in any::<prop::sample::Index>()) {
        let all = leaves(size);
        let index = at.index(all.len());
        let proof = inclusion_proof(index as u64, size, &mut kept(&all)).unwrap();
        prop_assert_eq!(&proof, &path(index, &all));
        prop_assert_eq!(verify_inclusion(&all[index], index as u64, size, &proof, &mth(&all)), Ok(()));
        let old = index + 1;
        let proof = consistency_proof(old as u64, size, &mut kept(&all)).unwrap();
        prop_assert_eq!(&proof, &subproof(old, &all, true));
        prop_assert_eq!(verify_consistency(old as u64, &mth(&all[..old]), size, &mth(&all), &proof), Ok(()));
    }

    #[test]
    fn a_changed_proof_proves_nothing(
        size in 2u64..300,
        at in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        bit in 0usize..256,
    ) {
        let all = leaves(size);
        let index = at.index(all.len());
        let mut proof = path(index, &all);
        let changed = place.index(proof.len());
        proof[changed][bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(
            verify_inclusion(&all[index], index as u64, size, &proof, &mth(&all)),
            Err(InvalidProof::Root)
        );
        let old = index + 1;
        let mut proof = subproof(old, &all, true);
        if !proof.is_empty() {
            let changed = place.index(proof.len());
            proof[changed][bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_consistency(old as u64, &mth(&all[..old]), size, &mth(&all), &proof).is_err());
        }
    }

    #[test]
    fn arbitrary_proofs_never_panic(numbers in (any::<u64>(), any::<u64>()), hashes in (any::<Hash>(), any::<Hash>()), proof in proofs()) {
        let refused = verify_inclusion(&hashes.0, numbers.0, numbers.1, &proof, &hashes.1);
        prop_assert!(refused.is_err() || proof.is_empty());
        let _ = verify_consistency(numbers.0, &hashes.0, numbers.1, &hashes.1, &proof);
        let _ = verify_consistency(numbers.1, &hashes.0, numbers.0, &hashes.1, &proof);
    }
}
