//! Checkpoints, co-signatures and proofs of ours judged by Go's checksum database, and Go's by us, with negative twins.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot make its evidence has failed"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::Ed25519Key;
use kontor_protocol::id::{MemberId, ServerId};
use kontor_protocol::log::checkpoint::{Checkpoint, SignedCheckpoint};
use kontor_protocol::log::note::{Cosigner, NoteSigner, VerifierKey};
use kontor_protocol::log::origin::{LogOrigin, witness_name};
use kontor_protocol::log::tile::{Tile, TileBuilder, TileHashes};
use kontor_protocol::log::tree::{
    Frontier, Hash, consistency_proof, inclusion_proof, leaf_hash, root, verify_consistency, verify_inclusion,
};
use kontor_protocol::log::witness::{AddCheckpoint, Decision, decide};
use serde::{Deserialize, Serialize};

/// Where Debian's golang-golang-x-mod-dev puts its source.
const GOPATH: &str = "/usr/share/gocode";
const PACKAGE: &str = "src/golang.org/x/mod/sumdb/tlog/tlog.go";

/// The oracle, built anew; `None`, said loudly, where Go or the package is missing.
fn oracle(directory: &Path) -> Option<PathBuf> {
    let go = Command::new("go").arg("version").output();
    if !go.is_ok_and(|output| output.status.success()) || !Path::new(GOPATH).join(PACKAGE).exists() {
        eprintln!("SKIPPED: needs go and golang.org/x/mod (Debian: golang-go golang-golang-x-mod-dev)");
        return None;
    }
    let program = directory.join("tlog");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oracles/tlog/main.go");
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, Path::new(source)])
        .env("GO111MODULE", "off")
        .env("GOPATH", GOPATH)
        .env("GOCACHE", directory.join("cache"))
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", "0")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    Some(program)
}

fn ask<Q: Serialize, A: for<'de> Deserialize<'de>>(program: &Path, command: &str, question: &Q) -> A {
    let mut child = Command::new(program)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let question = serde_json::to_vec(question).unwrap();
    child.stdin.take().unwrap().write_all(&question).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Case {
    key: String,
    witnesses: Vec<String>,
    note: String,
    leaf: String,
    index: u64,
    inclusion: Vec<String>,
    old_size: u64,
    old_root: String,
    consistency: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Verdict {
    note: String,
    cosigned_by: Option<Vec<String>>,
    size: u64,
    inclusion: String,
    consistency: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Wish {
    name: String,
    size: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Made {
    key: String,
    note: String,
    roots: Vec<String>,
    inclusion: Vec<Vec<String>>,
    consistency: Vec<Vec<String>>,
    tiles: HashMap<String, String>,
}

fn server(code: &str) -> ServerId {
    ServerId::new(MemberId::new("TEST", "GOV", "muster stadt+1").unwrap(), code).unwrap()
}

fn origin() -> LogOrigin {
    LogOrigin {
        server: server("s1"),
        log_id: [0xab; 32],
    }
}

fn encoded(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| STANDARD.encode(hash)).collect()
}

fn decoded(hashes: &[String]) -> Vec<Hash> {
    hashes.iter().map(|hash| decoded_one(hash)).collect()
}

fn decoded_one(hash: &str) -> Hash {
    STANDARD.decode(hash).unwrap().try_into().unwrap()
}

fn leaf(number: u64) -> Vec<u8> {
    number.to_string().into_bytes()
}

/// A log of ours as tiles, and the roots of all its sizes.
struct Log {
    tiles: HashMap<String, Vec<u8>>,
    roots: Vec<Hash>,
}

impl Log {
    fn of(size: u64) -> Self {
        let mut log = Self {
            tiles: HashMap::new(),
            roots: Vec::new(),
        };
        let (mut frontier, mut builder) = (Frontier::new(), TileBuilder::new());
        for number in 0..size {
            let hash = leaf_hash(&leaf(number));
            frontier.push(hash);
            log.roots.push(frontier.root());
            builder.push(hash, |tile, bytes| {
                log.tiles.insert(tile.path(), bytes.to_vec());
            });
        }
        for (tile, bytes) in builder.partial() {
            log.tiles.insert(tile.path(), bytes.to_vec());
        }
        log
    }

    fn size(&self) -> u64 {
        self.roots.len() as u64
    }

    fn tile(&self, tile: Tile) -> Result<Vec<u8>, Infallible> {
        Ok(self.tiles[&tile.path()].clone())
    }

    fn inclusion(&self, index: u64) -> Vec<Hash> {
        let mut hashes = TileHashes::new(self.size(), |tile| self.tile(tile));
        inclusion_proof(index, self.size(), &mut hashes).unwrap()
    }

    fn consistency(&self, old: u64) -> Vec<Hash> {
        let mut hashes = TileHashes::new(self.size(), |tile| self.tile(tile));
        consistency_proof(old, self.size(), &mut hashes).unwrap()
    }
}

/// Everything about one log of ours, co-signed by two witnesses.
fn good(log: &Log, index: u64, old: u64) -> Case {
    let signer = NoteSigner::new(origin().key_name(), Ed25519Key::generate());
    let checkpoint = Checkpoint::new(signer.verifier().name(), log.size(), *log.roots.last().unwrap());
    let mut signed = SignedCheckpoint::sign(checkpoint, &signer).unwrap();
    let request = AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: signed.clone(),
    };
    let Decision::Accept(accepted) = decide(None, Some(signer.verifier()), &request) else {
        panic!("the first checkpoint of a log is accepted")
    };
    let mut witnesses = Vec::new();
    for code in ["s2", "s3"] {
        let witness = Cosigner::new(witness_name(&server(code)), Ed25519Key::generate());
        let line = accepted.cosign(&witness, 1_790_000_000);
        let key = witness.verifier().clone();
        assert_eq!(
            signed.add_cosignatures(&[line], std::slice::from_ref(&key)),
            Ok(1)
        );
        witnesses.push(key.to_string());
    }
    Case {
        key: signer.verifier().to_string(),
        witnesses,
        note: signed.note().to_string(),
        leaf: STANDARD.encode(leaf(index)),
        index,
        inclusion: encoded(&log.inclusion(index)),
        old_size: old,
        old_root: STANDARD.encode(log.roots[old as usize - 1]),
        consistency: encoded(&log.consistency(old)),
    }
}

/// The base64 of other bytes of the same length.
fn spoiled(text: &str) -> String {
    let mut bytes = STANDARD.decode(text).unwrap();
    bytes[0] ^= 1;
    STANDARD.encode(bytes)
}

#[test]
fn go_believes_what_we_sign_and_prove_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = oracle(directory.path()) else {
        return;
    };
    let mut cases = Vec::new();
    for size in [1, 2, 7, 256, 257, 1000] {
        let log = Log::of(size);
        for (index, old) in [(0, 1), (size / 2, size.div_ceil(2)), (size - 1, size)] {
            cases.push(good(&log, index, old));
        }
    }
    let verdicts: Vec<Verdict> = ask(&program, "verify", &cases);
    for (case, verdict) in cases.iter().zip(&verdicts) {
        assert_eq!((verdict.note.as_str(), verdict.inclusion.as_str()), ("", ""));
        assert_eq!(verdict.consistency, "", "{} to {}", case.old_size, verdict.size);
        let names: Vec<_> = ["s2", "s3"]
            .map(|code| witness_name(&server(code)).to_string())
            .into();
        assert_eq!(verdict.cosigned_by.as_ref(), Some(&names));
    }
    assert_eq!(verdicts.last().unwrap().size, 1000);

    let fine = good(&Log::of(1000), 300, 513);
    let with = |change: &dyn Fn(&mut Case)| {
        let mut case = fine.clone();
        change(&mut case);
        case
    };
    let twins = vec![
        with(&|case| case.note = case.note.replace("\n1000\n", "\n1001\n")),
        with(&|case| case.key = cases[0].key.clone()),
        with(&|case| case.witnesses.clone_from(&cases[0].witnesses)),
        with(&|case| {
            // The first co-signature with the second one's bytes.
            let (head, last) = case.note.trim_end().rsplit_once(' ').unwrap();
            let lines: Vec<_> = head.lines().collect();
            let before = lines[lines.len() - 2];
            let name = before.rsplit_once(' ').unwrap().0;
            let id = STANDARD.decode(before.rsplit_once(' ').unwrap().1).unwrap();
            let value = [&id[..4], &STANDARD.decode(last).unwrap()[4..]].concat();
            let swapped = format!("{name} {}", STANDARD.encode(value));
            case.note = case.note.replace(before, &swapped);
        }),
        with(&|case| case.leaf = STANDARD.encode("301")),
        with(&|case| case.index += 1),
        with(&|case| case.inclusion[3] = spoiled(&case.inclusion[3])),
        with(&|case| drop(case.inclusion.pop())),
        with(&|case| case.inclusion.push(case.old_root.clone())),
        with(&|case| case.old_size -= 1),
        with(&|case| case.old_root = spoiled(&case.old_root)),
        with(&|case| case.consistency[1] = spoiled(&case.consistency[1])),
        with(&|case| case.consistency.push(case.old_root.clone())),
    ];
    let verdicts: Vec<Verdict> = ask(&program, "verify", &twins);
    let refused = |range: std::ops::Range<usize>, of: &dyn Fn(&Verdict) -> bool| {
        for (at, verdict) in verdicts.iter().enumerate() {
            assert_eq!(of(verdict), range.contains(&at), "twin {at}");
        }
    };
    assert!(
        verdicts[2].note.is_empty() && verdicts[2].cosigned_by.is_none(),
        "strangers' are not counted"
    );
    refused(0..4, &|verdict| {
        !verdict.note.is_empty() || verdict.cosigned_by.is_none()
    });
    refused(4..9, &|verdict| !verdict.inclusion.is_empty());
    refused(9..13, &|verdict| !verdict.consistency.is_empty());
}

#[test]
fn we_believe_what_go_signs_and_proves_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let Some(program) = oracle(directory.path()) else {
        return;
    };
    for size in [1, 3, 64, 700] {
        let name = origin().to_string();
        let made: Made = ask(&program, "make", &Wish { name, size });
        let key: VerifierKey = made.key.parse().unwrap();
        let signed = SignedCheckpoint::parse(made.note.as_bytes()).unwrap();
        let tree = signed.verify(&key, &[]).unwrap().checkpoint().clone();
        assert_eq!(
            (tree.origin(), tree.size()),
            (origin().to_string().as_str(), size)
        );

        let log = Log::of(size);
        assert_eq!(decoded(&made.roots), log.roots);
        assert_eq!(tree.root(), log.roots.last().unwrap());
        let tiles: HashMap<_, _> = made
            .tiles
            .iter()
            .map(|(path, bytes)| (path.clone(), STANDARD.decode(bytes).unwrap()))
            .collect();
        // Go names the partial tiles of every size on the way; ours are those of this size.
        for (path, bytes) in &log.tiles {
            assert_eq!(tiles.get(path), Some(bytes), "{path} of {size} leaves");
        }
        for path in tiles.keys() {
            let tile = Tile::parse(path).unwrap();
            assert!(
                tile.fits(size) && (!tile.is_full() || log.tiles.contains_key(path)),
                "{path}"
            );
        }
        let from_go = root(
            size,
            &mut TileHashes::new(size, |tile: Tile| {
                Ok::<_, Infallible>(tiles[&tile.path()].clone())
            }),
        );
        assert_eq!(from_go.unwrap(), *tree.root());

        for index in 0..size {
            let proof = decoded(&made.inclusion[index as usize]);
            assert_eq!(proof, log.inclusion(index), "leaf {index} of {size}");
            let hash = leaf_hash(&leaf(index));
            assert_eq!(verify_inclusion(&hash, index, size, &proof, tree.root()), Ok(()));
            let other = leaf_hash(&leaf(index + 1));
            assert!(verify_inclusion(&other, index, size, &proof, tree.root()).is_err());
            let old = index + 1;
            let proof = decoded(&made.consistency[index as usize]);
            assert_eq!(proof, log.consistency(old), "{old} to {size}");
            let old_root = decoded_one(&made.roots[index as usize]);
            assert_eq!(
                verify_consistency(old, &old_root, size, tree.root(), &proof),
                Ok(())
            );
            let mut wrong = old_root;
            wrong[31] ^= 1;
            assert!(verify_consistency(old, &wrong, size, tree.root(), &proof).is_err());
        }
        let changed = made
            .note
            .replace(&format!("\n{size}\n"), &format!("\n{}\n", size + 1));
        let changed = SignedCheckpoint::parse(changed.as_bytes()).unwrap();
        assert_eq!(changed.verify(&key, &[]).unwrap_err().code(), "note_signature");
    }
}
