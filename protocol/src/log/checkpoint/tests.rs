use kontor_pki::crypto::Ed25519Key;
use proptest::prelude::*;

use super::*;
use crate::id::{MemberId, ServerId};
use crate::log::note::Cosigner;
use crate::log::origin::{LogOrigin, parse_witness_name, witness_name};

const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

fn signer(name: &str) -> NoteSigner {
    NoteSigner::new(name.parse().unwrap(), Ed25519Key::from_seed(&[1; 32]))
}

fn witness(seed: u8) -> Cosigner {
    let name = format!("kontor/TEST/GOV/{seed}/s/witness").parse().unwrap();
    Cosigner::new(name, Ed25519Key::from_seed(&[seed; 32]))
}

#[test]
fn the_checkpoint_of_the_specification_is_read() {
    let read = Checkpoint::parse(TEXT).unwrap();
    assert_eq!(
        (read.origin(), read.size()),
        ("example.com/behind-the-sofa", 20_852_163)
    );
    assert_eq!(&read.root()[..3], [0x0a, 0xc5, 0x18]);
    assert_eq!(read.to_string(), TEXT);
    let extended = Checkpoint::parse(&format!("{TEXT}one\ntwo words\n")).unwrap();
    assert_eq!(extended.extensions(), ["one", "two words"]);
    assert_eq!(extended.to_string(), format!("{TEXT}one\ntwo words\n"));
}

#[test]
fn what_is_no_checkpoint_is_refused() {
    let root = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";
    let refused = [
        String::new(),
        "o\n".to_owned(),
        "o\n1\n".to_owned(),
        format!("o\n1\n{root}"),
        format!("\n1\n{root}\n"),
        format!("o\n\n{root}\n"),
        format!("o\n01\n{root}\n"),
        format!("o\n+1\n{root}\n"),
        format!("o\n-1\n{root}\n"),
        format!("o\n1 \n{root}\n"),
        format!("o\n0x1\n{root}\n"),
        format!("o\n{}\n{root}\n", SIZE_LIMIT + 1),
        format!("o\n99999999999999999999999\n{root}\n"),
        format!("o\n1\n{}\n", &root[..43]),
        format!("o\n1\n{root}=\n"),
        format!("o\n1\n{}J=\n", &root[..42]),
        format!("o\n1\n{root} \n"),
        format!("o\n1\n{}\n", "A".repeat(44)),
        format!("o\n1\n{root}\n\n"),
        format!("o\n1\n{root}\n\nlate\n"),
        format!(
            "o\n1\n{root}\n{}",
            "x\n".repeat(limits::CHECKPOINT_EXTENSIONS + 1)
        ),
    ];
    for text in &refused {
        assert!(Checkpoint::parse(text).is_err(), "{text:?}");
    }
    for size in [0, 1, SIZE_LIMIT] {
        let text = format!("o\n{size}\n{root}\n");
        assert_eq!(Checkpoint::parse(&text).unwrap().to_string(), text);
    }
}

#[test]
fn a_checkpoint_is_believed_when_its_log_signed_it() {
    let log = signer("kontor/a");
    let checkpoint = Checkpoint::new(log.verifier().name(), 7, [3; 32]);
    let mut signed = SignedCheckpoint::sign(checkpoint.clone(), &log).unwrap();
    let verified = signed.verify(log.verifier(), &[]).unwrap();
    assert_eq!(
        (verified.checkpoint(), verified.cosignatures()),
        (&checkpoint, &[][..])
    );

    let known = [witness(2).verifier().clone(), witness(3).verifier().clone()];
    let text = signed.note().text().to_owned();
    let answer = [witness(2).cosign(&text, 70), witness(4).cosign(&text, 80)];
    assert_eq!(
        signed.add_cosignatures(&answer, &known),
        Ok(1),
        "a stranger's is left out"
    );
    let read = SignedCheckpoint::parse(&signed.to_bytes()).unwrap();
    let verified = read.verify(log.verifier(), &known).unwrap();
    let by: Vec<_> = verified
        .cosignatures()
        .iter()
        .map(|c| (c.witness.as_str(), c.second))
        .collect();
    assert_eq!(by, [("kontor/TEST/GOV/2/s/witness", 70)]);

    let wrong = [witness(3).cosign("another text\n", 70)];
    let refusal = signed.add_cosignatures(&wrong, &known).unwrap_err();
    assert_eq!(refusal.code(), "note_signature");
    assert_eq!(signed, read, "nothing was added");
}

#[test]
fn a_checkpoint_of_another_log_or_by_nobody_known_is_refused() {
    let (log, other) = (signer("kontor/a"), signer("kontor/b"));
    let checkpoint = Checkpoint::new(log.verifier().name(), 7, [3; 32]);
    let refusal = SignedCheckpoint::sign(checkpoint.clone(), &other).unwrap_err();
    assert_eq!(refusal.code(), "checkpoint_other_log");
    let signed = SignedCheckpoint::sign(checkpoint, &log).unwrap();
    assert_eq!(
        signed.verify(other.verifier(), &[]).unwrap_err().code(),
        "checkpoint_other_log"
    );
    let renewed = NoteSigner::new(log.verifier().name().clone(), Ed25519Key::from_seed(&[9; 32]));
    assert_eq!(
        signed.verify(renewed.verifier(), &[]).unwrap_err().code(),
        "note_unsigned"
    );
    let changed = signed.note().to_string().replace("\n7\n", "\n8\n");
    let changed = SignedCheckpoint::parse(changed.as_bytes()).unwrap();
    assert_eq!(changed.claimed().size(), 8);
    assert_eq!(
        changed.verify(log.verifier(), &[]).unwrap_err().code(),
        "note_signature"
    );
    // A witness whose name is that of the log does not stand in for it.
    let posing = Cosigner::new(log.verifier().name().clone(), Ed25519Key::from_seed(&[5; 32]));
    let note = format!(
        "{}\n{}",
        signed.note().text(),
        posing.cosign(signed.note().text(), 1)
    );
    let cosigned = SignedCheckpoint::parse(note.as_bytes()).unwrap();
    let refusal = cosigned.verify(log.verifier(), &[posing.verifier().clone()]);
    assert_eq!(refusal.unwrap_err().code(), "note_unsigned");
    let as_log = cosigned.verify(posing.verifier(), &[]).unwrap_err();
    assert_eq!(as_log.code(), "checkpoint_other_log");
}

#[test]
fn logs_and_witnesses_have_one_name_each() {
    let owner = MemberId::new("TEST", "GOV", "muster stadt").unwrap();
    let server = ServerId::new(owner, "ss+1").unwrap();
    let origin = LogOrigin {
        server: server.clone(),
        log_id: [0xab; 32],
    };
    let name = format!("kontor/TEST/GOV/muster%20stadt/ss%2B1/{}", "ab".repeat(32));
    assert_eq!(origin.key_name().as_str(), name);
    assert_eq!(LogOrigin::parse(&name), Some(origin));
    let witness = "kontor/TEST/GOV/muster%20stadt/ss%2B1/witness";
    assert_eq!(witness_name(&server).as_str(), witness);
    assert_eq!(parse_witness_name(witness), Some(server));
    assert_eq!(
        (parse_witness_name(&name), LogOrigin::parse(witness)),
        (None, None)
    );
    let id = "ab".repeat(32);
    for refused in [
        String::new(),
        format!("kontor/TEST/GOV/1/{id}"),
        format!("kontor/TEST/GOV/1/s/{id}/"),
        format!("kontor/TEST/GOV/1/s/{}", id.to_uppercase()),
        format!("kontor/TEST/GOV/1/s/{}", &id[2..]),
        format!("kontor/TEST/GOV/1/s/+{}", &id[1..]),
        format!("kontor/TEST/GOV/1/s%2b1/{id}"),
        format!("kontor/TEST/GOV/%31/s/{id}"),
        format!("kontor/TEST/GOV//s/{id}"),
        format!("kontor/TEST/GOV/a+b/s/{id}"),
        format!("other/TEST/GOV/1/s/{id}"),
        format!("kontor/TEST/GOV/1/s/{}é", &id[2..]),
    ] {
        assert_eq!(LogOrigin::parse(&refused), None, "{refused}");
    }
}

proptest! {
    #[test]
    fn every_server_has_a_name_that_leads_back_to_it(
        fields in ("[^/\\p{Cc}]{1,255}", "[^/\\p{Cc}]{1,20}", "[^/\\p{Cc}]{1,60}", "[^/\\p{Cc}]{1,20}"),
        log_id in any::<[u8; 32]>(),
    ) {
        prop_assume!(fields.0.len() <= limits::ID_FIELD);
        let owner = MemberId::new(&fields.0, &fields.1, &fields.2).unwrap();
        let server = ServerId::new(owner, &fields.3).unwrap();
        let origin = LogOrigin { server: server.clone(), log_id };
        prop_assert_eq!(LogOrigin::parse(origin.key_name().as_str()), Some(origin));
        prop_assert_eq!(parse_witness_name(witness_name(&server).as_str()), Some(server));
    }

    #[test]
    fn a_checkpoint_survives_a_round_trip(size in 0..=SIZE_LIMIT, root in any::<Hash>(), extensions in prop::collection::vec("[^\\p{C}]{1,30}", 0..4)) {
        let mut text = Checkpoint::new(&"kontor/a".parse().unwrap(), size, root).to_string();
        for line in &extensions {
            text.push_str(&format!("{line}\n"));
        }
        let read = Checkpoint::parse(&text).unwrap();
        prop_assert_eq!((read.size(), read.root(), read.extensions()), (size, &root, &extensions[..]));
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn there_is_one_way_to_write_a_checkpoint(at in any::<prop::sample::Index>(), byte in 0u8..128) {
        let mut bytes = TEXT.as_bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(read) = Checkpoint::parse(&text) {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn arbitrary_texts_never_panic(text in "(\\PC|\n){0,80}") {
        let _ = Checkpoint::parse(&text);
        let _ = SignedCheckpoint::parse(text.as_bytes());
        let _ = LogOrigin::parse(&text);
        let _ = parse_witness_name(&text);
    }
}
