use super::*;
use crate::der::{Reader, Writer};
use proptest::prelude::*;

#[test]
fn an_algorithm_is_found_by_its_uri_and_its_identifier() {
    for algorithm in SignatureAlgorithm::ALL {
        assert_eq!(SignatureAlgorithm::from_uri(algorithm.uri()), Some(algorithm));
        let mut writer = Writer::new();
        algorithm.write_identifier(&mut writer);
        let der = writer.finish();
        let contents = der::only(&der, der::SEQUENCE).unwrap().contents();
        assert_eq!(SignatureAlgorithm::read_identifier(contents), Some(algorithm));
    }
}

#[test]
fn every_key_signs_with_its_message_algorithm_and_survives_pkcs8() {
    for kind in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Rsa { bits: 2048 },
    ] {
        let key = match SoftwareKey::generate(kind) {
            Err(SigningError::Unsupported(missing)) => {
                assert!(
                    missing
                        .to_string()
                        .contains("generating an RSA key is not available in ring")
                );
                continue;
            }
            made => made.unwrap(),
        };
        assert_eq!(key.key_algorithm(), kind);
        assert_eq!(public_key_algorithm(key.public_key()), Some(kind));
        let again = SoftwareKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let algorithm = kind.message_algorithm();
        let value = again.sign(algorithm, b"message").unwrap();
        assert_eq!(
            verify_signature(algorithm, key.public_key(), b"message", &value),
            Ok(())
        );
        assert_eq!(
            verify_signature(algorithm, key.public_key(), b"massage", &value),
            Err(SignatureInvalid::Mismatch)
        );
        let mut changed = value.clone();
        *changed.last_mut().unwrap() ^= 1;
        assert_eq!(
            verify_signature(algorithm, key.public_key(), b"message", &changed),
            Err(SignatureInvalid::Mismatch)
        );
    }
}

#[cfg(feature = "aws-lc")]
#[test]
fn every_strong_algorithm_of_a_kind_verifies_including_sha_512_on_p_256() {
    for kind in [
        KeyAlgorithm::EcdsaP256,
        KeyAlgorithm::EcdsaP384,
        KeyAlgorithm::Rsa { bits: 2048 },
    ] {
        let key = SoftwareKey::generate(kind).unwrap();
        for algorithm in SignatureAlgorithm::ALL {
            let fits = algorithm.is_ecdsa() != matches!(kind, KeyAlgorithm::Rsa { .. });
            match key.sign(algorithm, b"message") {
                Ok(value) => {
                    assert!(fits && !algorithm.is_weak());
                    assert_eq!(
                        verify_signature(algorithm, key.public_key(), b"message", &value),
                        Ok(())
                    );
                    assert!(verify_signature(algorithm, key.public_key(), b"message.", &value).is_err());
                }
                Err(error) => {
                    assert!(!fits || algorithm.is_weak());
                    assert_eq!(error, SigningError::WrongAlgorithm(algorithm));
                }
            }
        }
    }
}

#[test]
fn sha_1_is_refused_and_so_is_a_key_of_another_kind() {
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let verify = |algorithm| verify_signature(algorithm, key.public_key(), b"", b"");
    for weak in [SignatureAlgorithm::EcdsaSha1, SignatureAlgorithm::RsaSha1] {
        assert_eq!(verify(weak), Err(SignatureInvalid::Weak(weak)));
        assert_eq!(key.sign(weak, b""), Err(SigningError::WrongAlgorithm(weak)));
    }
    let rsa = SignatureAlgorithm::RsaSha512;
    assert_eq!(verify(rsa), Err(SignatureInvalid::WrongKey(rsa)));
    assert_eq!(
        verify_signature(rsa, b"no key", b"", b""),
        Err(SignatureInvalid::UnknownKey)
    );
    assert_eq!(
        SoftwareKey::generate(KeyAlgorithm::Rsa { bits: 1024 }).unwrap_err(),
        SigningError::KeySize(1024)
    );
}

#[test]
fn an_ecdsa_value_of_the_shortest_common_length_is_split_in_the_middle() {
    let short = [vec![0x01; 31], vec![0x82; 31]].concat();
    let der = ecdsa_fixed_to_der(&short).unwrap();
    let full = ecdsa_der_to_fixed(&der, 32).unwrap();
    assert_eq!(full, [vec![0], vec![0x01; 31], vec![0], vec![0x82; 31]].concat());
    assert_eq!(ecdsa_fixed_to_der(&full).unwrap(), der);
    assert_eq!(ecdsa_fixed_to_der(&[1; 63]), Err(MalformedEcdsa));
    assert_eq!(ecdsa_fixed_to_der(&[]), Err(MalformedEcdsa));
    assert_eq!(ecdsa_fixed_to_der(&[1; 134]), Err(MalformedEcdsa));
    assert_eq!(ecdsa_der_to_fixed(&der, 30), Err(MalformedEcdsa));
}

#[test]
fn a_fixed_value_of_ours_verifies_after_the_way_back() {
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP384).unwrap();
    let value = key.sign(SignatureAlgorithm::EcdsaSha384, b"message").unwrap();
    let fixed = ecdsa_der_to_fixed(&value, 48).unwrap();
    assert_eq!(fixed.len(), 96);
    let back = ecdsa_fixed_to_der(&fixed).unwrap();
    assert_eq!(
        verify_signature(
            SignatureAlgorithm::EcdsaSha384,
            key.public_key(),
            b"message",
            &back
        ),
        Ok(())
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_key_or_value_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = SoftwareKey::from_pkcs8(&bytes);
        let _ = public_key_algorithm(&bytes);
        let _ = ecdsa_fixed_to_der(&bytes);
        let _ = ecdsa_der_to_fixed(&bytes, 32);
        let _ = verify_signature(SignatureAlgorithm::EcdsaSha256, &bytes, b"", &bytes);
        let _ = SignatureAlgorithm::read_identifier(Reader::new(&bytes));
    }

    #[test]
    fn a_changed_key_is_refused_or_another_key(at: prop::sample::Index, bit in 0_u8..8) {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let mut spki = key.public_key().to_vec();
        let at = at.index(spki.len());
        spki[at] ^= 1 << bit;
        let value = key.sign(SignatureAlgorithm::EcdsaSha256, b"message").unwrap();
        prop_assert!(verify_signature(SignatureAlgorithm::EcdsaSha256, &spki, b"message", &value).is_err());
    }
}
