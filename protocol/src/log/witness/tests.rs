use std::convert::Infallible;

use kontor_pki::crypto::Ed25519Key;
use proptest::prelude::*;

use super::*;
use crate::log::checkpoint::Checkpoint;
use crate::log::note::NoteSigner;
use crate::log::tree::{Frontier, Subtree, consistency_proof, leaf_hash};

fn log() -> NoteSigner {
    NoteSigner::new("kontor/log".parse().unwrap(), Ed25519Key::from_seed(&[1; 32]))
}

fn cosigner() -> Cosigner {
    Cosigner::new("kontor/witness".parse().unwrap(), Ed25519Key::from_seed(&[2; 32]))
}

/// Leaves of a log that forks after `common` leaves into `branch`.
fn leaves(branch: u8, common: u64, size: u64) -> Vec<Hash> {
    (0..size)
        .map(|number| leaf_hash(&[if number < common { 0 } else { branch }, number as u8]))
        .collect()
}

fn root(leaves: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    leaves.iter().for_each(|leaf| frontier.push(*leaf));
    frontier.root()
}

fn checkpoint(leaves: &[Hash]) -> SignedCheckpoint {
    signed(leaves.len() as u64, root(leaves))
}

fn signed(size: u64, root: Hash) -> SignedCheckpoint {
    let log = log();
    SignedCheckpoint::sign(Checkpoint::new(log.verifier().name(), size, root), &log).unwrap()
}

fn kept(leaves: &[Hash]) -> impl FnMut(Subtree) -> Result<Hash, Infallible> {
    |subtree| {
        let first = (subtree.index << subtree.level) as usize;
        Ok(root(&leaves[first..first + (1 << subtree.level)]))
    }
}

fn request(old_size: u64, leaves: &[Hash]) -> AddCheckpoint {
    AddCheckpoint {
        old_size,
        proof: consistency_proof(old_size, leaves.len() as u64, &mut kept(leaves)).unwrap_or_default(),
        checkpoint: checkpoint(leaves),
    }
}

fn answer(known: Option<&SignedCheckpoint>, request: &AddCheckpoint) -> Decision {
    decide(known, Some(log().verifier()), request)
}

fn refusal(decision: Decision) -> (&'static str, u16, Option<Contradiction>) {
    match decision {
        Decision::Refuse {
            refusal,
            contradiction,
        } => (refusal.code(), refusal.status(), contradiction.map(|c| *c)),
        other @ (Decision::Accept(_) | Decision::Conflict { .. }) => panic!("not refused: {other:?}"),
    }
}

#[test]
fn the_request_of_the_specification_is_read() {
    let body = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
        \n\
        example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    let read = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!((read.old_size, read.proof.len()), (20_852_014, 4));
    assert_eq!(read.checkpoint.claimed().size(), 20_852_163);
    assert_eq!(read.to_bytes(), body.as_bytes());
}

#[test]
fn a_log_that_grows_is_accepted_and_cosigned() {
    let all = leaves(0, 0, 20);
    let first = request(0, &all[..7]);
    let Decision::Accept(accepted) = answer(None, &first) else {
        panic!("refused")
    };
    let known = accepted.checkpoint().signed().clone();
    let mut shown = first.checkpoint.clone();
    let lines = accepted.cosign(&cosigner(), 1_790_000_000).to_string();
    let lines = NoteSignature::parse_lines(lines.as_bytes()).unwrap();
    let witnesses = [cosigner().verifier().clone()];
    assert_eq!(shown.add_cosignatures(&lines, &witnesses), Ok(1));
    let verified = shown.verify(log().verifier(), &witnesses).unwrap();
    assert_eq!(verified.cosignatures()[0].second, 1_790_000_000);

    assert!(matches!(
        answer(Some(&known), &request(7, &all)),
        Decision::Accept(_)
    ));
    // The same again, for a fresh second.
    assert!(matches!(
        answer(Some(&known), &request(7, &all[..7])),
        Decision::Accept(_)
    ));
}

#[test]
fn another_size_than_the_kept_one_is_answered_with_the_kept_one() {
    let all = leaves(0, 0, 20);
    let known = checkpoint(&all[..7]);
    let conflict = |known: Option<&SignedCheckpoint>, request| match answer(known, &request) {
        Decision::Conflict {
            known_size,
            contradiction,
        } => (known_size, contradiction.map(|c| c.kind())),
        other @ (Decision::Accept(_) | Decision::Refuse { .. }) => panic!("no conflict: {other:?}"),
    };
    assert_eq!(conflict(Some(&known), request(0, &all)), (7, None));
    assert_eq!(conflict(Some(&known), request(8, &all)), (7, None));
    assert_eq!(conflict(None, request(7, &all)), (0, None));
    // A log that was restored from an older state shows a smaller tree, whatever it goes on from.
    let smaller = (7, Some(ContradictionKind::Smaller));
    assert_eq!(conflict(Some(&known), request(3, &all[..5])), smaller);
    assert_eq!(conflict(Some(&known), request(0, &all[..5])), smaller);
    let (code, status, evidence) = refusal(answer(Some(&known), &request(7, &all[..5])));
    assert_eq!((code, status), ("proof_sizes", 400));
    assert_eq!(evidence.unwrap().kind(), ContradictionKind::Smaller);
    assert_eq!(parse_size_body(size_body(7).as_bytes()), Some(7));
    for refused in ["", "7", "07\n", "7\n\n", "x\n"] {
        assert_eq!(parse_size_body(refused.as_bytes()), None);
    }
}

#[test]
fn a_fork_is_refused_and_the_evidence_convinces_others() {
    let (honest, forked) = (leaves(0, 0, 20), leaves(1, 5, 20));
    let known = checkpoint(&honest[..7]);
    let (code, status, evidence) = refusal(answer(Some(&known), &request(7, &forked[..7])));
    let evidence = evidence.unwrap();
    assert_eq!(
        (code, status, evidence.proves_a_fork()),
        ("log_forked", 422, true)
    );
    let read = Contradiction::from_json(&evidence.to_json()).unwrap();
    assert_eq!(read.verify(log().verifier()), Ok(ContradictionKind::OtherRoot));
    assert_eq!((read.known(), read.shown()), (&known, &checkpoint(&forked[..7])));

    // A larger tree on the other branch: the proof cannot hold.
    let (code, status, evidence) = refusal(answer(Some(&known), &request(7, &forked)));
    let evidence = evidence.unwrap();
    assert_eq!(
        (code, status, evidence.proves_a_fork()),
        ("proof_old_root", 422, false)
    );
    assert_eq!(evidence.verify(log().verifier()), Ok(ContradictionKind::Unproven));
}

#[test]
fn evidence_is_not_taken_on_somebody_s_word() {
    let all = leaves(0, 0, 20);
    let known = checkpoint(&all[..7]);
    let (_, _, evidence) = refusal(answer(Some(&known), &request(7, &leaves(1, 0, 7))));
    let evidence = evidence.unwrap();
    let other = NoteSigner::new(log().verifier().name().clone(), Ed25519Key::from_seed(&[9; 32]));
    assert!(matches!(
        evidence.verify(other.verifier()),
        Err(ContradictionError::Checkpoint(_))
    ));
    let json = String::from_utf8(evidence.to_json()).unwrap();
    for kind in ["smaller", "unproven"] {
        let stated = Contradiction::from_json(json.replace("other-root", kind).as_bytes()).unwrap();
        assert_eq!(
            stated.verify(log().verifier()),
            Err(ContradictionError::Unrelated)
        );
    }
    for refused in [
        json.replace("\"format\": 1", "\"format\": 2"),
        json.replace("other-root", "x"),
        String::new(),
    ] {
        assert_eq!(
            Contradiction::from_json(refused.as_bytes()),
            Err(ContradictionError::Malformed)
        );
    }
}

#[test]
fn who_is_unknown_or_did_not_sign_is_refused() {
    let all = leaves(0, 0, 7);
    let (code, status, _) = refusal(decide(None, None, &request(0, &all)));
    assert_eq!((code, status), ("unknown_log", 404));
    let other = NoteSigner::new(log().verifier().name().clone(), Ed25519Key::from_seed(&[9; 32]));
    let (code, status, _) = refusal(decide(None, Some(other.verifier()), &request(0, &all)));
    assert_eq!((code, status), ("note_unsigned", 403));
    let mut changed = request(0, &all);
    let text = changed.checkpoint.note().to_string().replace("\n7\n", "\n6\n");
    changed.checkpoint = SignedCheckpoint::parse(text.as_bytes()).unwrap();
    let (code, status, _) = refusal(answer(None, &changed));
    assert_eq!((code, status), ("note_signature", 403));
}

#[test]
fn proofs_are_as_long_as_they_must_be() {
    let all = leaves(0, 0, 7);
    let known = checkpoint(&all[..3]);
    let mut first = request(0, &all);
    first.proof.push([0; 32]);
    let (code, status, evidence) = refusal(answer(None, &first));
    assert_eq!((code, status, evidence), ("proof_length", 422, None));
    let mut next = request(3, &all);
    next.proof.pop();
    let (code, status, _) = refusal(answer(Some(&known), &next));
    assert_eq!((code, status), ("proof_length", 422));
    let empty = AddCheckpoint {
        old_size: 0,
        proof: Vec::new(),
        checkpoint: signed(0, [1; 32]),
    };
    assert_eq!(refusal(answer(None, &empty)).0, "empty_root");
    let empty = AddCheckpoint {
        checkpoint: signed(0, empty_root()),
        ..empty
    };
    assert!(matches!(answer(None, &empty), Decision::Accept(_)));
}

#[test]
fn what_is_no_request_is_refused() {
    let good = String::from_utf8(request(3, &leaves(0, 0, 7)).to_bytes()).unwrap();
    let (head, tail) = good.split_once("\n\n").unwrap();
    let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=";
    assert!(AddCheckpoint::parse(good.as_bytes()).is_ok());
    let most = format!("old 3\n{}\n{tail}", format!("{hash}\n").repeat(63));
    assert!(AddCheckpoint::parse(most.as_bytes()).is_ok());
    for refused in [
        String::new(),
        tail.to_owned(),
        format!("{head}\n{tail}"),
        format!("{head}\n\n\n{tail}"),
        good.replace("old 3", "old 03"),
        good.replace("old 3", "old  3"),
        good.replace("old 3", "new 3"),
        format!("old 3\n{}\n{tail}", format!("{hash}\n").repeat(64)),
        format!("old 3\n{hash}=\n\n{tail}"),
        format!("{head}\n\n"),
        format!("{head}\n\n{}", tail.trim_end()),
    ] {
        assert!(AddCheckpoint::parse(refused.as_bytes()).is_err(), "{refused:?}");
    }
    assert!(AddCheckpoint::parse(&vec![b'a'; limits::CHECKPOINT_REQUEST + 1]).is_err());
}

#[test]
fn a_log_learns_from_what_others_kept_whether_it_has_all_it_showed() {
    let (own, other) = (leaves(0, 0, 20), leaves(1, 5, 20));
    let head = |seen: &[Hash], own: &[Hash]| {
        let seen = checkpoint(seen).verify(log().verifier(), &[]).unwrap();
        own_head(&seen, own.len() as u64, &mut kept(own)).unwrap()
    };
    assert_eq!(head(&own[..7], &own), OwnHead::GoesOn);
    assert_eq!(head(&own, &own), OwnHead::GoesOn);
    assert_eq!(head(&[], &own), OwnHead::GoesOn);
    assert_eq!(head(&own, &own[..7]), OwnHead::Behind { seen: 20, own: 7 });
    assert_eq!(head(&own[..7], &other), OwnHead::Forked { seen: 7 });
    assert_eq!(
        head(&own[..5], &other),
        OwnHead::GoesOn,
        "up to there they are the same"
    );
}

#[test]
fn what_is_kept_of_another_log_does_not_speak_for_this_one() {
    let all = leaves(0, 0, 7);
    let other = NoteSigner::new("kontor/other".parse().unwrap(), Ed25519Key::from_seed(&[1; 32]));
    let tree = Checkpoint::new(other.verifier().name(), 3, root(&all[..3]));
    let known = SignedCheckpoint::sign(tree, &other).unwrap();
    assert_eq!(refusal(answer(Some(&known), &request(3, &all))).0, "unknown_log");
}

/// What somebody sends: a branch, the size shown, the size it goes on from, whether the proof was spoiled.
#[derive(Debug, Clone)]
struct Sent {
    branch: u8,
    size: usize,
    old: u64,
    spoiled: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    (0u8..3, 0usize..24, 0u64..26, prop::bool::weighted(0.1)).prop_map(|(branch, size, old, spoiled)| Sent {
        branch,
        size,
        old,
        spoiled,
    })
}

proptest! {
    /// Whatever three branches of a log send, with the sizes a witness tells them: what is co-signed is one growing log.
    #[test]
    fn a_witness_never_cosigns_two_trees_that_contradict(
        common in 0u64..12,
        steps in prop::collection::vec((sent(), any::<bool>()), 1..40),
    ) {
        let mut known: Option<(SignedCheckpoint, Vec<Hash>)> = None;
        for (step, listens) in steps {
            let shown = &leaves(step.branch, common, 24)[..step.size];
            let kept = known.as_ref().map_or(0, |(_, leaves)| leaves.len());
            let old = if listens { kept as u64 } else { step.old };
            let mut request = request(old, shown);
            if step.spoiled && let Some(hash) = request.proof.first_mut() {
                hash[0] ^= 1;
            }
            let read = AddCheckpoint::parse(&request.to_bytes()).unwrap();
            prop_assert_eq!(&read, &request);
            let before = known.as_ref().map(|(checkpoint, _)| checkpoint);
            let kept_leaves = known.as_ref().map_or(&[][..], |(_, leaves)| leaves);
            let goes_on = shown.starts_with(kept_leaves);
            match answer(before, &request) {
                Decision::Accept(accepted) => {
                    prop_assert!(goes_on, "accepted a tree that does not begin with the kept one");
                    known = Some((accepted.checkpoint().signed().clone(), shown.to_vec()));
                }
                Decision::Conflict { known_size, .. } => {
                    prop_assert_eq!(known_size, kept as u64);
                    prop_assert_ne!(known_size, old);
                }
                Decision::Refuse { contradiction, .. } => {
                    prop_assert!(!goes_on || step.spoiled || old > step.size as u64);
                    if let Some(evidence) = contradiction {
                        prop_assert!(evidence.verify(log().verifier()).is_ok());
                        prop_assert!(!evidence.proves_a_fork() || !goes_on);
                    }
                }
            }
        }
    }

    #[test]
    fn arbitrary_requests_never_panic(body in "(old [0-9]{1,20}\n)?([A-Za-z0-9+/]{43}=\n){0,3}(\n|\\PC){0,60}") {
        let _ = AddCheckpoint::parse(body.as_bytes());
        let _ = Contradiction::from_json(body.as_bytes());
    }
}
