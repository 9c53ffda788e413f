use kontor_pki::crypto::hmac_sha256;

use super::*;

/// The same by the page: 32 steps from the root, most significant bit first.
fn by_the_page(root: &[u8; 32], leaf: u32) -> [u8; 32] {
    (0..32)
        .rev()
        .fold(*root, |key, bit| hmac_sha256(&key, &[&[(leaf >> bit & 1) as u8]]))
}

fn forget(tree: &mut KeyTree, number: u64) -> bool {
    tree.forget(&[number].into_iter().collect())
}

#[test]
fn an_entry_key_is_the_leaf_at_depth_32() {
    let mut tree = KeyTree::generate(1000);
    let root = *tree.nodes[0].key;
    for number in [0, 1, 2, 3, 7, 8, 5, 5, 1 << 31, u64::from(u32::MAX), 0] {
        let expected = by_the_page(&root, u32::try_from(number).unwrap());
        assert_eq!(*tree.entry_key(1000 + number).unwrap(), expected, "{number}");
    }
    assert!(tree.entry_key(999).is_none());
    assert!(tree.entry_key(1000 + (1 << 32)).is_none());
}

#[test]
fn forgetting_one_entry_leaves_every_other_key_as_it_was() {
    let mut tree = KeyTree::generate(0);
    let before: Vec<_> = (0..64).map(|number| tree.entry_key(number)).collect();
    assert!(forget(&mut tree, 13));
    assert!(!forget(&mut tree, 13));
    assert!(forget(&mut tree, 12));
    assert!(forget(&mut tree, 40));
    for number in 0..64 {
        let after = tree.entry_key(number);
        match number {
            12 | 13 | 40 => assert!(after.is_none()),
            _ => assert_eq!(after, before[number as usize], "{number}"),
        }
    }
}

#[test]
fn what_is_left_after_forgetting_holds_no_key_on_the_way_to_the_entry() {
    let mut tree = KeyTree::generate(0);
    forget(&mut tree, 5);
    assert_eq!(tree.nodes.len(), 32);
    assert!(tree.nodes.iter().all(|node| !node.covers(5)));
}

#[test]
fn a_blob_opens_only_for_its_log_number_class_and_period() {
    let mut tree = KeyTree::generate(0);
    let key = blob_key(&tree.entry_key(3).unwrap(), BlobClass::Head);
    let aad = associated_data(&[1; 32], 3, BlobClass::Head, 203001);
    let mut blob = b"content".to_vec();
    seal(&key, &aad, crypto::random(), &mut blob);
    assert_eq!(blob.len(), 7 + SEAL_OVERHEAD);
    assert_eq!(**open(&key, &aad, &blob).unwrap(), *b"content");
    for other in [
        associated_data(&[2; 32], 3, BlobClass::Head, 203001),
        associated_data(&[1; 32], 4, BlobClass::Head, 203001),
        associated_data(&[1; 32], 3, BlobClass::Body, 203001),
        associated_data(&[1; 32], 3, BlobClass::Head, 203002),
    ] {
        assert!(open(&key, &other, &blob).is_err());
    }
    let other_key = blob_key(&tree.entry_key(3).unwrap(), BlobClass::Body);
    assert!(open(&other_key, &aad, &blob).is_err());
    assert!(open(&key, &aad, &blob[..SEAL_OVERHEAD - 1]).is_err());
    for at in 0..blob.len() {
        blob[at] ^= 1;
        assert!(open(&key, &aad, &blob).is_err());
        blob[at] ^= 1;
    }
}
