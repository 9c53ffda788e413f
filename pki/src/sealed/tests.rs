use super::*;
use crate::signing::{KeyAlgorithm, SigningKey as _};
use proptest::prelude::*;

fn master() -> MasterKey {
    MasterKey::from_bytes([7; 32])
}

#[test]
fn a_private_key_opens_with_its_master_key_only() {
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let file = seal_key(&key, &master());
    let text = String::from_utf8(file.clone()).unwrap();
    assert!(
        text.contains(
            "Version: 1\nMethod: AES-256-GCM with HKDF-SHA-256\nMaster: file\nLabel: private key\n"
        )
    );
    assert_eq!(open_key(&file, &master()).unwrap().public_key(), key.public_key());
    assert_eq!(
        open_key(&file, &MasterKey::from_bytes([8; 32])).unwrap_err(),
        SealError::DoesNotOpen
    );
    assert_eq!(passphrase_params(&file), Ok(None));
    assert_ne!(
        seal_key(&key, &master()),
        file,
        "salt and nonce are new each time"
    );
}

#[test]
fn a_file_sealed_with_a_passphrase_says_how_to_make_the_key_again() {
    let params = PassphraseParams {
        memory_kib: 8 * 1024,
        passes: 1,
        ..PassphraseParams::generate()
    };
    let first = MasterKey::from_passphrase(b"correct horse", &params).unwrap();
    let file = first.seal("key tree", b"secret").unwrap();
    let found = passphrase_params(&file).unwrap().unwrap();
    assert_eq!(found, params);
    let again = MasterKey::from_passphrase(b"correct horse", &found).unwrap();
    assert_eq!(**again.open("key tree", &file).unwrap(), *b"secret");
    let wrong = MasterKey::from_passphrase(b"battery staple", &found).unwrap();
    assert_eq!(wrong.open("key tree", &file).unwrap_err(), SealError::DoesNotOpen);
    let greedy = PassphraseParams {
        memory_kib: u32::MAX,
        ..params
    };
    assert_eq!(
        MasterKey::from_passphrase(b"", &greedy).unwrap_err(),
        SealError::Parameters
    );
}

#[test]
fn a_file_of_another_label_is_named_in_the_refusal() {
    let file = master().seal("key tree", b"secret").unwrap();
    let refusal = SealError::OtherLabel {
        found: "key tree".to_owned(),
        expected: "private key".to_owned(),
    };
    assert_eq!(open_key(&file, &master()).unwrap_err(), refusal);
    for label in ["", "two\nlines", " edge", "schlüssel"] {
        assert_eq!(master().seal(label, b""), Err(SealError::Label));
    }
}

#[test]
fn no_changed_character_is_accepted() {
    let file = master().seal("label", b"secret").unwrap();
    for at in 0..file.len() {
        let mut changed = file.clone();
        changed[at] ^= 1;
        assert!(master().open("label", &changed).is_err(), "character {at}");
    }
    for len in 0..file.len() - 1 {
        assert!(master().open("label", &file[..len]).is_err(), "cut at {len}");
    }
}

proptest! {
    #[test]
    fn sealed_data_survive_a_round_trip(data in proptest::collection::vec(any::<u8>(), 0..300), label in "[!-~]{1,20}") {
        let file = master().seal(&label, &data).unwrap();
        prop_assert_eq!(&**master().open(&label, &file).unwrap(), &data[..]);
    }

    #[test]
    fn no_text_makes_opening_panic(text in "(-----BEGIN KONTOR SEALED DATA-----\n)?[A-Za-z:= \n]{0,200}") {
        let _ = master().open("label", text.as_bytes());
        let _ = passphrase_params(text.as_bytes());
    }
}
