//! Checkpoints, a co-signature and a proof made by Sigsum's log and witness, which sign the same C2SP texts as ours.
//!
//! The values are those of the tests of sigsum-go (pkg/checkpoint/checkpoint_test.go, pkg/proof/proof_test.go; BSD-2-Clause).

#![expect(clippy::unwrap_used, reason = "a test that cannot read its vector has failed")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::{Ed25519Key, sha256};
use kontor_protocol::log::checkpoint::{Checkpoint, SignedCheckpoint};
use kontor_protocol::log::leaf_hash;
use kontor_protocol::log::note::{NoteSigner, SignatureKind, VerifierKey};
use kontor_protocol::log::proof::LogProof;
use kontor_protocol::log::tree::Hash;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// The key in the last 32 bytes of an OpenSSH public key.
fn ssh(text: &str) -> [u8; 32] {
    *STANDARD.decode(text).unwrap().last_chunk().unwrap()
}

fn name_of(key: &[u8; 32]) -> String {
    let hash: String = sha256(key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sigsum.org/v1/tree/{hash}")
}

#[test]
fn the_same_key_signs_the_same_checkpoint_to_the_byte() {
    let theirs = "sigsum.org/v1/tree/e796172b92befd62d9dc67e41c2f5bc9d3100a3023b20b1ca40288dd1c679e69\n\
        10\n\
        HA5HAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\
        \n\
        \u{2014} sigsum.org/v1/tree/e796172b92befd62d9dc67e41c2f5bc9d3100a3023b20b1ca40288dd1c679e69 \
        gJ2ho0n8F8olcerUF1FFdv235A/5as/coWrpLrtE7ovMeP5whgwouYExowG/lTznxu6OUGjjt5yJQ6bXtTcf718MqAQ=\n";
    let mut seed = [0; 32];
    seed[0] = 17;
    let key = Ed25519Key::from_seed(&seed);
    let signer = NoteSigner::new(name_of(&key.public_key()).parse().unwrap(), key);
    let read = SignedCheckpoint::parse(theirs.as_bytes()).unwrap();
    let verified = read.verify(signer.verifier(), &[]).unwrap();
    assert_eq!(verified.checkpoint().size(), 10);
    let ours = Checkpoint::new(signer.verifier().name(), 10, *verified.checkpoint().root());
    let ours = SignedCheckpoint::sign(ours, &signer).unwrap();
    assert_eq!(String::from_utf8(ours.to_bytes()).unwrap(), theirs);
}

#[test]
fn a_proof_of_another_log_with_another_witness_holds() {
    let log = ssh("AAAAC3NzaC1lZDI1NTE5AAAAIKwmwKhVrEUaZTlHjhoWA4jwJLOF8TY+/NpHAXAHbAHl");
    let witness = ssh("AAAAC3NzaC1lZDI1NTE5AAAAIMvjV+a0ZASecDt75siSARk6zCoYwJWwaRqvULmx4VeK");
    let log = VerifierKey::new(name_of(&log).parse().unwrap(), SignatureKind::Ed25519, log);
    let witness = VerifierKey::new(
        "witness.test".parse().unwrap(),
        SignatureKind::Cosignature,
        witness,
    );
    let root = hex("3ddc56fd46e71e517b6936b977a457da7d398108141fcdf5c8386cdd724ab7a8");
    let by_log = hex("ccbdd8c784726b732b8edd2039fbad5506e4acccd56e3e5d86c0ee109b3d2662\
         e6881fe3d09fc48f9ddd31494463c5ec44926ff9158785ad1dd9b5d6434b0804");
    let by_witness = hex("e8d6c447d7847d5c1431ef86f8c60fa0cbacd975388b2a8f202fe4b0f9d0d544\
         989c9d9351752d86aae2df72b9d7135b6b09de2ccaa6d68edf638105d69be609");
    let second = 1_683_202_758_u64;
    // The log says them one by one; as a note they are these lines.
    let line = |key: &VerifierKey, value: &[u8]| {
        let bytes = [&key.id(), value].concat();
        format!("\u{2014} {} {}\n", key.name(), STANDARD.encode(bytes))
    };
    let note = format!(
        "{}\n4\n{}\n\n{}{}",
        log.name(),
        STANDARD.encode(root),
        line(&log, &by_log),
        line(&witness, &[&second.to_be_bytes(), &by_witness[..]].concat())
    );
    let proof = LogProof {
        extra: None,
        index: 3,
        path: [
            "61010ae798308f5b97237615ab8c1b14f2c782c37616e97d0a170b617bc7a4ce",
            "a5c3752be610d605ce5c64ee2e28ee5b94a1cc0a68742f18f24c9b5c82d07298",
        ]
        .map(|hash| Hash::try_from(hex(hash)).unwrap())
        .to_vec(),
        checkpoint: SignedCheckpoint::parse(note.as_bytes()).unwrap(),
    };
    let proof = LogProof::parse(&proof.to_bytes()).unwrap();
    // Their leaf: digest of the message, signature of who submitted it, digest of that key.
    let leaf = [
        sha256(b"                          foo-4\n").to_vec(),
        hex("79b489a38548a67d78f06221b014d41be58b703237d17b4f203f0dd4ead9e259\
             7149c2f118894581ce7473a61fa880716af6ff2138bade2cecc4b297099bf104"),
        hex("8a578b9649ba01b7d29dd557906975d68a3aec50e3f9c08690420b8c6426856d"),
    ]
    .concat();
    let verified = proof
        .verify(&leaf_hash(&leaf), &log, std::slice::from_ref(&witness))
        .unwrap();
    assert_eq!(verified.checkpoint().size(), 4);
    let [cosignature] = verified.cosignatures() else {
        panic!("one witness signed")
    };
    assert_eq!(
        (&cosignature.witness, cosignature.second),
        (witness.name(), second)
    );

    // One second later, and one leaf further.
    let later = note.replace(
        &line(&witness, &[&second.to_be_bytes(), &by_witness[..]].concat()),
        &line(&witness, &[&(second + 1).to_be_bytes(), &by_witness[..]].concat()),
    );
    let later = SignedCheckpoint::parse(later.as_bytes()).unwrap();
    let refusal = later.verify(&log, std::slice::from_ref(&witness)).unwrap_err();
    assert_eq!(refusal.code(), "note_signature");
    let refusal = LogProof { index: 2, ..proof }
        .verify(&leaf_hash(&leaf), &log, &[])
        .unwrap_err();
    assert_eq!(refusal.code(), "proof_root");
}
