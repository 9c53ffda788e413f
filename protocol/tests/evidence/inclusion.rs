//! Containers whose companion proves that their leaf is in the log, and what is said when it does not.

use std::convert::Infallible;
use std::io::Cursor;

use kontor_pki::crypto::Ed25519Key;
use kontor_pki::ocsp::CertStatus;
use kontor_protocol::container::check::{Question, check};
use kontor_protocol::container::{Companion, Report, Verdict};
use kontor_protocol::id::ServerId;
use kontor_protocol::log::binding::{Binding, Statement};
use kontor_protocol::log::checkpoint::{Checkpoint, SignedCheckpoint};
use kontor_protocol::log::leaf_hash;
use kontor_protocol::log::note::{Cosigner, NoteSigner, VerifierKey};
use kontor_protocol::log::origin::{LogOrigin, witness_name};
use kontor_protocol::log::proof::LogProof;
use kontor_protocol::log::tile::{Tile, TileBuilder, TileHashes};
use kontor_protocol::log::tree::{Frontier, inclusion_proof};
use kontor_protocol::log::witness::{AddCheckpoint, Decision, decide};
use kontor_protocol::signature::SignedObject;

use crate::container::assert_verdict;
use crate::world::{World, now, seconds};

const NUMBER: u64 = 42;
const SIZE: u64 = 50;

fn server(code: &str) -> ServerId {
    format!("TEST/GOV/1001/{code}").parse().unwrap()
}

/// The log that the leaf of a companion names, unless told otherwise.
struct Log {
    signer: NoteSigner,
    witness: Cosigner,
}

impl Log {
    fn new(log_id: [u8; 32]) -> Self {
        let origin = LogOrigin {
            server: server("ss1"),
            log_id,
        };
        Self {
            signer: NoteSigner::new(origin.key_name(), Ed25519Key::generate()),
            witness: Cosigner::new(witness_name(&server("ss2")), Ed25519Key::generate()),
        }
    }

    /// A proof for the leaf at this place among fifty, under a checkpoint that the witness co-signed.
    fn proof(&self, leaf: &[u8], place: u64) -> LogProof {
        let (mut frontier, mut tiles) = (Frontier::new(), TileBuilder::new());
        for number in 0..SIZE {
            let hash = if number == place {
                leaf_hash(leaf)
            } else {
                leaf_hash(&number.to_be_bytes())
            };
            frontier.push(hash);
            tiles.push(hash, |_, _| panic!("fifty leaves fill no tile"));
        }
        let (_, hashes) = tiles.partial().next().unwrap();
        let mut source = TileHashes::new(SIZE, |_: Tile| Ok::<_, Infallible>(hashes.to_vec()));
        let tree = Checkpoint::new(self.signer.verifier().name(), SIZE, frontier.root());
        let mut checkpoint = SignedCheckpoint::sign(tree, &self.signer).unwrap();
        let request = AddCheckpoint {
            old_size: 0,
            proof: Vec::new(),
            checkpoint: checkpoint.clone(),
        };
        let Decision::Accept(accepted) = decide(None, Some(self.signer.verifier()), &request) else {
            panic!("the first checkpoint is accepted")
        };
        let line = accepted.cosign(&self.witness, 1_772_445_700);
        let witnesses = [self.witness.verifier().clone()];
        assert_eq!(checkpoint.add_cosignatures(&[line], &witnesses), Ok(1));
        LogProof {
            extra: None,
            index: place,
            path: inclusion_proof(place, SIZE, &mut source).unwrap(),
            checkpoint,
        }
    }
}

fn bind(world: &World, key: &VerifierKey, status: CertStatus) -> Binding {
    let second = u64::try_from(now().secs()).unwrap();
    let statement = Statement::new(key.clone(), "TEST/GOV/1001".parse().unwrap(), second).unwrap();
    Binding {
        signature: world.sign(SignedObject::Message(statement.part().digest), status),
        statement,
        chain: None,
    }
}

/// A container with a companion that proves everything, and what it is made of.
struct Example {
    world: World,
    archive: Vec<u8>,
    log: Log,
    companion: Companion,
}

impl Example {
    fn new() -> Self {
        let world = World::new();
        let unstamped = world.unstamped();
        let mut companion = unstamped.companion(true);
        let archive = world.stamp(unstamped).archive();
        let log = Log::new([1; 32]);
        companion.proof = Some(log.proof(&companion.leaf, NUMBER));
        companion.keys = vec![
            bind(&world, log.witness.verifier(), CertStatus::Good),
            bind(&world, log.signer.verifier(), CertStatus::Good),
        ];
        Self {
            world,
            archive,
            log,
            companion,
        }
    }

    fn judge(&self, companion: &Companion) -> Report {
        self.judge_file(&companion.to_json())
    }

    fn judge_file(&self, companion: &[u8]) -> Report {
        let trust = self.world.trust();
        let question = Question {
            trust: &trust,
            at: Some(now() + seconds(3600)),
            companion: Some(companion),
        };
        check(Cursor::new(&self.archive[..]), &question)
    }

    fn with(&self, change: impl FnOnce(&mut Companion)) -> Report {
        let mut companion = self.companion.clone();
        change(&mut companion);
        self.judge(&companion)
    }
}

#[test]
fn a_proof_is_told_with_its_log_and_those_who_answer_for_it() {
    let example = Example::new();
    let read = Companion::from_json(&example.companion.to_json());
    assert_eq!(read.as_ref(), Ok(&example.companion));
    let report = example.judge(&example.companion);
    assert_verdict(&report, Verdict::Valid, "");
    let words = report.in_words();
    let origin = example.log.signer.verifier().name();
    for sentence in [
        &format!("proven: at place 42 of a tree of 50 entries, signed by the checkpoint of {origin}"),
        "TEST/GOV/1001 answers for the log of the security server TEST/GOV/1001/ss1",
        "co-signed by the security server TEST/GOV/1001/ss2 of TEST/GOV/1001 at 2026-03-02T10:01:40",
    ] {
        assert!(words.contains(sentence), "{sentence}\n{words}");
    }
    assert!(!words.contains("not proven"), "{words}");
    let json = serde_json::to_value(&report).unwrap();
    let inclusion = &json["leaf"]["inclusion"];
    assert_eq!(
        (&inclusion["size"], &inclusion["server"]),
        (&50.into(), &"TEST/GOV/1001/ss1".into())
    );
    assert_eq!(inclusion["witnesses"][0]["server"], "TEST/GOV/1001/ss2");
}

#[test]
fn a_companion_without_a_proof_says_so_and_is_as_valid_as_before() {
    let example = Example::new();
    let report = example.with(|companion| {
        companion.proof = None;
        companion.keys.clear();
    });
    assert_verdict(&report, Verdict::Valid, "");
    assert!(
        report
            .in_words()
            .contains("inclusion in the log is not proven here")
    );
    let json = example.judge_file(&{
        let mut file: serde_json::Value = serde_json::from_slice(&example.companion.to_json()).unwrap();
        file.as_object_mut().unwrap().remove("proof");
        file["later"] = true.into();
        serde_json::to_vec(&file).unwrap()
    });
    assert_verdict(&json, Verdict::Valid, "");
}

#[test]
fn a_wrong_proof_makes_it_invalid_and_says_why() {
    let example = Example::new();
    let proof = || example.companion.proof.clone().unwrap();
    let with_proof = |changed: LogProof| example.with(|companion| companion.proof = Some(changed));

    let mut spoiled = proof();
    spoiled.path[2][0] ^= 1;
    assert_verdict(&with_proof(spoiled), Verdict::Invalid, "proof_root");
    let mut short = proof();
    short.path.pop();
    assert_verdict(&with_proof(short), Verdict::Invalid, "proof_length");
    // The leaf of another entry at the place that this one names.
    let other = example.log.proof(b"another leaf", NUMBER);
    assert_verdict(&with_proof(other), Verdict::Invalid, "proof_root");
    // The leaf is in the tree, but not where it says.
    let elsewhere = example.log.proof(&example.companion.leaf, NUMBER - 1);
    assert_verdict(&with_proof(elsewhere), Verdict::Invalid, "proof_other_number");

    let mut changed = proof();
    let text = changed.checkpoint.note().to_string().replace("\n50\n", "\n51\n");
    changed.checkpoint = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    assert_verdict(&with_proof(changed), Verdict::Invalid, "note_signature");

    let elsewhere = Log::new([2; 32]);
    let report = example.with(|companion| {
        companion.proof = Some(elsewhere.proof(&companion.leaf, NUMBER));
        companion.keys = vec![bind(
            &example.world,
            elsewhere.signer.verifier(),
            CertStatus::Good,
        )];
    });
    assert_verdict(&report, Verdict::Invalid, "proof_other_log");

    let file = String::from_utf8(example.companion.to_json()).unwrap();
    let garbled = example.judge_file(file.replace("tlog-proof@v1", "tlog-proof@v9").as_bytes());
    assert_verdict(&garbled, Verdict::Invalid, "malformed_proof");
    let garbled = example.judge_file(file.replace("kontor/key/1", "kontor/key/9").as_bytes());
    assert_verdict(&garbled, Verdict::Invalid, "malformed_binding");
}

#[test]
fn a_key_that_nobody_answers_for_proves_nothing() {
    let example = Example::new();
    let report = example.with(|companion| companion.keys.truncate(1));
    assert_verdict(&report, Verdict::Undecided, "checkpoint_key_missing");
    // Somebody with a key of its own makes a whole log of that name.
    let posing = Log::new([1; 32]);
    let report = example.with(|companion| companion.proof = Some(posing.proof(&companion.leaf, NUMBER)));
    assert_verdict(&report, Verdict::Undecided, "checkpoint_key_missing");
    let report = example.with(|companion| {
        companion.proof = Some(posing.proof(&companion.leaf, NUMBER));
        // With the signature over the statement about the other key.
        companion.keys[1].statement =
            bind(&example.world, posing.signer.verifier(), CertStatus::Good).statement;
    });
    assert_verdict(&report, Verdict::Invalid, "invalid_signature_value");
    let report = example.with(|companion| {
        let revoked = CertStatus::Revoked { at: now() };
        companion.keys[1] = bind(&example.world, example.log.signer.verifier(), revoked);
    });
    assert_verdict(&report, Verdict::Invalid, "cert_validation");
}

#[test]
fn a_log_that_renewed_its_key_is_proven_by_the_one_that_signed() {
    let example = Example::new();
    let old = NoteSigner::new(
        example.log.signer.verifier().name().clone(),
        Ed25519Key::generate(),
    );
    let old = bind(&example.world, old.verifier(), CertStatus::Good);
    for place in [0, 2] {
        let report = example.with(|companion| companion.keys.insert(place, old.clone()));
        assert_verdict(&report, Verdict::Valid, "");
    }
}

#[test]
fn a_witness_that_nobody_answers_for_is_not_told_as_one() {
    let example = Example::new();
    let report = example.with(|companion| drop(companion.keys.remove(0)));
    assert_verdict(&report, Verdict::Valid, "");
    assert!(
        report
            .in_words()
            .contains("co-signed by nobody whose key is known here")
    );
    let report = example.with(|companion| {
        let revoked = CertStatus::Revoked { at: now() };
        companion.keys[0] = bind(&example.world, example.log.witness.verifier(), revoked);
    });
    assert_verdict(&report, Verdict::Valid, "");
    assert!(
        report.in_words().contains("ss2/witness was not counted"),
        "{}",
        report.in_words()
    );
}
