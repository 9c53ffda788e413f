use super::*;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn digests_have_their_published_values() {
    assert_eq!(hex(&sha1(b"abc")), "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_eq!(
        hex(&sha256(b"abc")),
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    );
    let mut streamed = Sha512::new();
    streamed.update(b"a");
    streamed.update(b"bc");
    assert_eq!(streamed.finish(), sha512(b"abc"));
    assert!(hex(&sha512(b"abc")).starts_with("ddaf35a193617abacc417349ae204131"));
    for algorithm in DigestAlgorithm::ALL {
        match digest(algorithm, b"abc") {
            Ok(value) => {
                assert_eq!(value.len(), algorithm.len());
                let mut hasher = Hasher::new(algorithm).unwrap();
                hasher.update(b"abc");
                assert_eq!(hasher.finish(), value);
            }
            Err(missing) => {
                assert_eq!((PROVIDER, missing.what), ("ring", "SHA-224"));
            }
        }
    }
}

#[test]
fn a_digest_is_found_by_uri_and_by_name() {
    for algorithm in DigestAlgorithm::ALL {
        assert_eq!(DigestAlgorithm::from_uri(algorithm.uri()), Some(algorithm));
        assert_eq!(
            DigestAlgorithm::from_name(&algorithm.name().to_lowercase()),
            Some(algorithm)
        );
    }
    assert_eq!(
        DigestAlgorithm::from_uri("http://www.w3.org/2001/04/xmlenc#SHA512"),
        None
    );
    assert_eq!(DigestAlgorithm::from_name("SHA512"), None);
}

#[test]
fn hmac_and_hkdf_have_their_published_values() {
    // RFC 4231, case 2.
    assert_eq!(
        hex(&hmac_sha256(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    // RFC 5869, case 1.
    let salt: Vec<u8> = (0..=0x0c).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    assert_eq!(
        hex(&hkdf_sha256::<42>(&[0x0b; 22], &salt, &info)),
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    );
}

#[test]
fn sealed_data_opens_only_with_key_nonce_label_and_every_byte() {
    let key = AeadKey::new(&[1; 32]);
    let mut sealed = b"secret".to_vec();
    key.seal(&[2; 12], b"label", &mut sealed);
    assert_eq!(sealed.len(), 6 + AeadKey::TAG_LEN);
    let open = |key: &AeadKey, nonce: &[u8; 12], label: &[u8], mut data: Vec<u8>| {
        key.open(nonce, label, &mut data).map(|()| data)
    };
    assert_eq!(
        open(&key, &[2; 12], b"label", sealed.clone()),
        Ok(b"secret".to_vec())
    );
    assert_eq!(
        open(&AeadKey::new(&[3; 32]), &[2; 12], b"label", sealed.clone()),
        Err(OpenFailed)
    );
    assert_eq!(open(&key, &[3; 12], b"label", sealed.clone()), Err(OpenFailed));
    assert_eq!(open(&key, &[2; 12], b"lapel", sealed.clone()), Err(OpenFailed));
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(open(&key, &[2; 12], b"label", changed), Err(OpenFailed));
    }
    assert_eq!(open(&key, &[2; 12], b"label", Vec::new()), Err(OpenFailed));
}

#[test]
fn random_bytes_differ_and_comparison_sees_every_byte() {
    assert_ne!(random::<32>(), random::<32>());
    assert!(equal(b"same", b"same"));
    assert!(!equal(b"same", b"sane"));
    assert!(!equal(b"same", b"same!"));
    assert!(equal(b"", b""));
}

#[test]
fn ed25519_has_its_published_values() {
    // RFC 8032, 7.1, tests 1 and 2: seed, public key, message, signature.
    let published: [(&str, &str, &[u8], &str); 2] = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            b"",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            &[0x72],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ];
    for (seed, public, message, signature) in published {
        let seed: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&seed[at..at + 2], 16).unwrap())
            .collect();
        let key = Ed25519Key::from_seed(&seed.try_into().unwrap());
        assert_eq!(hex(&key.public_key()), public);
        assert_eq!(hex(&key.sign(message)), signature);
        assert_eq!(
            verify_ed25519(&key.public_key(), message, &key.sign(message)),
            Ok(())
        );
    }
}

#[test]
fn an_ed25519_signature_is_of_one_key_one_message_and_every_byte() {
    let key = Ed25519Key::generate();
    let again = Ed25519Key::from_seed(&key.to_seed());
    let (public, value) = (key.public_key(), again.sign(b"root"));
    assert_eq!(verify_ed25519(&public, b"root", &value), Ok(()));
    assert_eq!(verify_ed25519(&public, b"roots", &value), Err(Ed25519Mismatch));
    let other = Ed25519Key::generate().public_key();
    assert_eq!(verify_ed25519(&other, b"root", &value), Err(Ed25519Mismatch));
    assert_eq!(verify_ed25519(&[0xff; 32], b"root", &value), Err(Ed25519Mismatch));
    for at in 0..value.len() {
        let mut changed = value;
        changed[at] ^= 1;
        assert_eq!(verify_ed25519(&public, b"root", &changed), Err(Ed25519Mismatch));
    }
    assert_eq!(format!("{key:?}"), "Ed25519Key { .. }");
}
