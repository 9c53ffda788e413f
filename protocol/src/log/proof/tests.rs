use kontor_pki::crypto::Ed25519Key;
use proptest::prelude::*;

use super::*;
use crate::log::checkpoint::Checkpoint;
use crate::log::note::NoteSigner;
use crate::log::tree::{leaf_hash, node_hash};

fn log() -> NoteSigner {
    NoteSigner::new("kontor/log".parse().unwrap(), Ed25519Key::from_seed(&[1; 32]))
}

/// Leaf 2 of three.
fn proof() -> LogProof {
    let hashes = [b"a", b"b", b"c"].map(|leaf| leaf_hash(leaf));
    let left = node_hash(&hashes[0], &hashes[1]);
    let tree = Checkpoint::new(log().verifier().name(), 3, node_hash(&left, &hashes[2]));
    LogProof {
        extra: None,
        index: 2,
        path: vec![left],
        checkpoint: SignedCheckpoint::sign(tree, &log()).unwrap(),
    }
}

#[test]
fn a_leaf_is_proven_by_the_file_alone() {
    let read = LogProof::parse(&proof().to_bytes()).unwrap();
    assert_eq!(read, proof());
    let verified = read.verify(&leaf_hash(b"c"), log().verifier(), &[]).unwrap();
    assert_eq!(verified.checkpoint().size(), 3);
    let text = read.to_text();
    assert!(text.starts_with("c2sp.org/tlog-proof@v1\nindex 2\n"), "{text}");
    let with_extra = LogProof {
        extra: Some(b"anything".to_vec()),
        ..proof()
    };
    assert!(with_extra.to_text().contains("v1\nextra YW55dGhpbmc=\nindex 2\n"));
    assert_eq!(LogProof::parse(&with_extra.to_bytes()), Ok(with_extra));
}

#[test]
fn what_a_proof_does_not_prove_is_told_by_name() {
    let code = |proof: &LogProof, leaf: &[u8], key: &VerifierKey| {
        proof
            .verify(&leaf_hash(leaf), key, &[])
            .map_or_else(|error| error.code(), |_| "")
    };
    let log = log();
    assert_eq!(code(&proof(), b"c", log.verifier()), "");
    assert_eq!(code(&proof(), b"b", log.verifier()), "proof_root");
    let elsewhere = LogProof { index: 1, ..proof() };
    assert_eq!(code(&elsewhere, b"c", log.verifier()), "proof_length");
    let beyond = LogProof { index: 3, ..proof() };
    assert_eq!(code(&beyond, b"c", log.verifier()), "proof_index");
    let short = LogProof {
        path: Vec::new(),
        ..proof()
    };
    assert_eq!(code(&short, b"c", log.verifier()), "proof_length");
    let other = NoteSigner::new(log.verifier().name().clone(), Ed25519Key::from_seed(&[2; 32]));
    assert_eq!(code(&proof(), b"c", other.verifier()), "note_unsigned");
    let other = NoteSigner::new("kontor/other".parse().unwrap(), Ed25519Key::from_seed(&[1; 32]));
    assert_eq!(code(&proof(), b"c", other.verifier()), "checkpoint_other_log");
}

#[test]
fn what_is_no_proof_is_refused() {
    let good = proof().to_text();
    for refused in [
        String::new(),
        good.replace("@v1", "@v2"),
        good.replace("index 2", "index 02"),
        good.replace("index 2", "index"),
        good.replace("index 2\n", ""),
        good.replace("index 2", "extra AAA\nindex 2"),
        good.replace("index 2", "extra AAAA\nextra AAAA\nindex 2"),
        good.replace("index 2\n", "index 2\nshort\n"),
        good.replace("\n\n", "\n"),
        good.replacen("\n\n", "\n\n\n", 1),
        good.trim_end().to_owned(),
    ] {
        assert!(LogProof::parse(refused.as_bytes()).is_err(), "{refused:?}");
    }
    assert!(LogProof::parse(&vec![b'a'; limits::LOG_PROOF + 1]).is_err());
}

proptest! {
    #[test]
    fn there_is_one_way_to_write_a_proof(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = proof().to_bytes();
        let at = at.index(bytes.len());
        let same = bytes[at] == byte;
        bytes[at] = byte;
        if let Ok(read) = LogProof::parse(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
            let verdict = read.verify(&leaf_hash(b"c"), log().verifier(), &[]);
            prop_assert_eq!(verdict.is_ok(), same);
        }
    }
}
