use kontor_pki::crypto::Ed25519Key;
use proptest::prelude::*;

use super::*;

/// Key, text and signature of the specification.
const SPECIFIED_KEY: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const SPECIFIED_NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
    Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

fn log() -> NoteSigner {
    NoteSigner::new("kontor/log".parse().unwrap(), Ed25519Key::from_seed(&[1; 32]))
}

fn witness(seed: u8) -> Cosigner {
    Cosigner::new(
        "kontor/witness".parse().unwrap(),
        Ed25519Key::from_seed(&[seed; 32]),
    )
}

#[test]
fn the_note_of_the_specification_is_verified_by_its_key() {
    let note = Note::parse(SPECIFIED_NOTE.as_bytes()).unwrap();
    let key: VerifierKey = SPECIFIED_KEY.parse().unwrap();
    assert_eq!(key.to_string(), SPECIFIED_KEY);
    assert_eq!(note.text(), "This is an example message.\n");
    assert_eq!(note.to_bytes(), SPECIFIED_NOTE.as_bytes());
    let signed = note.verify(&[key]).unwrap();
    assert_eq!((signed.len(), signed[0].name.as_str()), (1, "example.com/foo"));
    assert_eq!((signed[0].kind, signed[0].second), (SignatureKind::Ed25519, None));
}

#[test]
fn a_changed_text_is_refused_and_a_stranger_says_nothing() {
    let key: VerifierKey = SPECIFIED_KEY.parse().unwrap();
    let changed = Note::parse(SPECIFIED_NOTE.replace("example m", "Example m").as_bytes()).unwrap();
    assert_eq!(
        changed.verify(std::slice::from_ref(&key)),
        Err(NoteError::Mismatch(key.name().clone()))
    );
    let note = Note::parse(SPECIFIED_NOTE.as_bytes()).unwrap();
    assert_eq!(note.verify(&[log().verifier().clone()]), Ok(Vec::new()));
    // The same name with another key has another id: unknown, not wrong.
    let other = VerifierKey::new(key.name().clone(), SignatureKind::Ed25519, [7; 32]);
    assert_eq!(note.verify(&[other]), Ok(Vec::new()));
}

#[test]
fn one_wrong_signature_of_a_known_key_spoils_the_note() {
    let mut note = Note::sign("text\n".to_owned(), &log()).unwrap();
    note.add(witness(2).cosign("another text\n", 7)).unwrap();
    let keys = [log().verifier().clone(), witness(2).verifier().clone()];
    assert!(matches!(note.verify(&keys), Err(NoteError::Mismatch(_))));
    assert_eq!(note.verify(&keys[..1]).unwrap().len(), 1);
}

#[test]
fn a_cosignature_binds_its_second_and_is_no_signature_of_a_log() {
    let mut note = Note::sign("text\n".to_owned(), &log()).unwrap();
    let signature = witness(2).cosign("text\n", 1_679_315_147);
    note.add(signature.clone()).unwrap();
    note.add(signature.clone()).unwrap();
    assert_eq!(
        note.signatures().len(),
        2,
        "the same signature is not added twice"
    );
    let key = witness(2).verifier().clone();
    let signed = note.verify(std::slice::from_ref(&key)).unwrap();
    assert_eq!(
        (signed[0].kind, signed[0].second),
        (SignatureKind::Cosignature, Some(1_679_315_147))
    );
    let mut later = signature.clone();
    later.value[7] ^= 1;
    assert!(key.verify("text\n", &later.value).is_err());
    let mut beyond = signature.clone();
    beyond.value[0] |= 0x80;
    assert!(key.verify("text\n", &beyond.value).is_err());
    // The same key used as that of a log: other id, other bytes.
    let as_log = VerifierKey::new(key.name().clone(), SignatureKind::Ed25519, *key.public_key());
    assert_ne!(as_log.id(), key.id());
    assert!(as_log.verify("text\n", &signature.value[8..]).is_err());
    let text = "cosignature/v1\ntime 7\ntext\n".to_owned();
    assert!(Note::sign(text, &log()).is_err());
}

#[test]
fn what_is_no_note_is_refused() {
    let line = SPECIFIED_NOTE.lines().last().unwrap();
    let with = |text: &str| Note::parse(text.as_bytes());
    assert!(with(&format!("a\n\nb\n\n{line}\n")).is_ok_and(|note| note.text() == "a\n\nb\n"));
    assert!(with(&format!("a\n\n{line}\n{line}\n")).is_ok());
    let refused = [
        String::new(),
        "a\n".to_owned(),
        format!("a\n{line}\n"),
        format!("a\n\n{line}"),
        "a\n\n".to_owned(),
        format!("a\n\n{line}\n\n"),
        format!("a\n\n{}\n", line.trim_start_matches('\u{2014}')),
        format!("a\n\n-{}\n", line.trim_start_matches('\u{2014}')),
        format!("a\n\n{} \n", line),
        format!("a\n\n{}\n", line.replace("example.com/foo", "")),
        format!("a\n\n{}\n", line.replace("example.com/foo", "example com")),
        format!("a\n\n{}\n", line.replace("example.com/foo", "example+com")),
        format!("a\n\n{}\n", line.replace("example.com/foo", "example\u{2003}com")),
        format!("a\n\n{}\n", line.trim_end_matches('=')),
        format!("a\n\n{}\n", line.replace("QM=", "QN=")),
        "a\n\n\u{2014} name AAAA\n".to_owned(),
        "a\n\n\u{2014} name AAAAAA==\n".to_owned(),
        "a\n\n\u{2014} name \n".to_owned(),
        format!("a\r\n\n{line}\n"),
        format!("a\tb\n\n{line}\n"),
        format!("a\0\n\n{line}\n"),
    ];
    for text in &refused {
        assert!(with(text).is_err(), "{text:?}");
    }
    assert_eq!(Note::parse(b"a\xff\n\n"), Err(NoteError::Character));
    let many = format!("a\n\n{}", format!("{line}\n").repeat(limits::NOTE_SIGNATURES + 1));
    assert_eq!(with(&many), Err(NoteError::TooLarge));
    let large = format!("{}\n\n{line}\n", "a".repeat(limits::NOTE));
    assert_eq!(with(&large), Err(NoteError::TooLarge));
    assert!(Note::sign("no end".to_owned(), &log()).is_err());
}

#[test]
fn sixteen_signatures_of_the_largest_kind_are_accepted() {
    let line = format!("\u{2014} name {}\n", STANDARD.encode([1; 5000]));
    let note = Note::parse(format!("a\n\n{}", line.repeat(16)).as_bytes()).unwrap();
    assert_eq!(
        (note.signatures().len(), note.signatures()[0].name().as_str()),
        (16, "name")
    );
}

#[test]
fn a_verifier_key_has_one_spelling() {
    let refused = [
        "",
        "name",
        "name+530d903a",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530D903A+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+AukyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n",
    ];
    for text in refused {
        assert_eq!(text.parse::<VerifierKey>(), Err(InvalidVerifierKey), "{text:?}");
    }
    // The base64 of a key may have a `+` of its own.
    let key = VerifierKey::new("n".parse().unwrap(), SignatureKind::Cosignature, [0xfb; 32]);
    assert!(key.to_string().matches('+').count() > 2);
    assert_eq!(key.to_string().parse(), Ok(key));
}

#[test]
fn an_answer_of_a_witness_is_signature_lines_and_nothing_else() {
    let line = witness(2).cosign("text\n", 7).to_string();
    let two = NoteSignature::parse_lines(line.repeat(2).as_bytes()).unwrap();
    assert_eq!((two.len(), two[0].to_string()), (2, line.clone()));
    for refused in [
        String::new(),
        format!("{line}\n"),
        format!("a\n{line}"),
        line.trim_end().to_owned(),
    ] {
        assert!(
            NoteSignature::parse_lines(refused.as_bytes()).is_err(),
            "{refused:?}"
        );
    }
}

proptest! {
    #[test]
    fn a_note_survives_a_round_trip(text in "([^\\p{C}]|\n){0,60}\n", seconds in prop::collection::vec(0u64..=i64::MAX as u64, 0..5)) {
        prop_assume!(!key::is_cosigned(&text));
        let mut note = Note::sign(text.clone(), &log()).unwrap();
        for (seed, second) in (2..).zip(&seconds) {
            note.add(witness(seed).cosign(&text, *second)).unwrap();
        }
        let read = Note::parse(&note.to_bytes()).unwrap();
        prop_assert_eq!(&read, &note);
        let mut keys = vec![log().verifier().clone()];
        keys.extend((2..=6).map(|seed| witness(seed).verifier().clone()));
        let signed = read.verify(&keys).unwrap();
        prop_assert_eq!(signed.len(), 1 + seconds.len());
    }

    #[test]
    fn there_is_one_way_to_write_a_note(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = SPECIFIED_NOTE.as_bytes().to_vec();
        let at = at.index(bytes.len());
        let same = bytes[at] == byte;
        bytes[at] = byte;
        if let Ok(note) = Note::parse(&bytes) {
            prop_assert_eq!(note.to_bytes(), bytes);
            let verdict = note.verify(&[SPECIFIED_KEY.parse().unwrap()]);
            prop_assert_eq!(verdict.is_ok_and(|signed| !signed.is_empty()), same);
        }
    }

    #[test]
    fn arbitrary_texts_never_panic(text in "\\PC{0,60}", bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = Note::parse(&bytes);
        let _ = Note::parse(format!("{text}\n\n\u{2014} {text}\n").as_bytes());
        let _ = text.parse::<VerifierKey>();
        let _ = NoteSignature::parse_lines(text.as_bytes());
    }
}
