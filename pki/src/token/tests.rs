use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::UnixTime;
use crate::crypto::Ed25519Key;
use crate::signing::{KeyAlgorithm, SignatureAlgorithm, SigningKey, SoftwareKey, ecdsa_der_to_fixed};
use std::time::Duration;

const ISSUER: &str = "https://login.example";
const EXPECTED: Expected<'_> = Expected {
    issuer: ISSUER,
    audience: "kontor",
    leeway: Duration::from_secs(60),
};
const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A key and the algorithms that it may sign with.
enum Signer {
    Soft(SoftwareKey),
    Ed(Ed25519Key),
}

impl Signer {
    fn p256() -> Self {
        Self::Soft(SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap())
    }

    /// `None` where this build makes no RSA keys.
    fn rsa(bits: u16) -> Option<Self> {
        Some(Self::Soft(
            SoftwareKey::generate(KeyAlgorithm::Rsa { bits }).ok()?,
        ))
    }

    fn jwk(&self, name: &str) -> Value {
        match self {
            Self::Ed(key) => {
                json!({ "kty": "OKP", "crv": "Ed25519", "kid": name, "x": encode(key.public_key()) })
            }
            Self::Soft(key) if key.key_algorithm() == KeyAlgorithm::EcdsaP256 => {
                let point = &key.public_key()[key.public_key().len() - 64..];
                json!({ "kty": "EC", "crv": "P-256", "kid": name, "x": encode(&point[..32]), "y": encode(&point[32..]) })
            }
            // The end of SubjectPublicKeyInfo: modulus of 2048 bits, then 65537 as an INTEGER of five octets.
            Self::Soft(key) => {
                let spki = key.public_key();
                let modulus = &spki[spki.len() - 5 - 256..spki.len() - 5];
                json!({ "kty": "RSA", "kid": name, "n": encode(modulus), "e": "AQAB" })
            }
        }
    }

    fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        match (self, algorithm) {
            (Self::Ed(key), _) => key.sign(message).to_vec(),
            (Self::Soft(key), "RS256") => key.sign(SignatureAlgorithm::RsaSha256, message).unwrap(),
            (Self::Soft(key), "PS256") => key.sign(SignatureAlgorithm::RsaPssSha256, message).unwrap(),
            (Self::Soft(key), _) => {
                let der = key.sign(SignatureAlgorithm::EcdsaSha256, message).unwrap();
                ecdsa_der_to_fixed(&der, 32).unwrap()
            }
        }
    }

    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
        let value = self.sign(header["alg"].as_str().unwrap_or("ES256"), signed.as_bytes());
        format!("{signed}.{}", encode(value))
    }
}

fn set(keys: &[Value]) -> KeySet {
    KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

fn claims() -> Value {
    json!({ "iss": ISSUER, "aud": ["other", "kontor"], "sub": "anna", "exp": 1_800_000_300, "nbf": 1_799_999_999.5,
        "realm": { "a/b": ["worker", 7, "leader"] }, "https://x.example/roles": "one" })
}

fn verified(set: &KeySet, token: &str) -> Result<(), TokenError> {
    let token = Token::parse(token)?;
    set.verify(&token, TokenAlgorithm::ALL).map(|_| ())
}

/// The examples of RFC 7515, A.2 and A.3: a token in the first line, then the keys.
#[test]
fn the_examples_of_the_standard_verify() {
    for example in [
        include_str!("../../../fuzz/seeds/token/rs256"),
        include_str!("../../../fuzz/seeds/token/es256"),
    ] {
        let (token, keys) = example.split_once('\n').unwrap();
        let keys = KeySet::parse(keys.as_bytes()).unwrap();
        assert_eq!(verified(&keys, token), Ok(()));
        let token = Token::parse(token).unwrap();
        assert_eq!(token.unverified_issuer(), Some("joe"));
    }
}

#[test]
fn every_algorithm_of_the_list_verifies_and_none_by_a_key_of_another() {
    let mut signers = vec![
        ("ES256", Signer::p256()),
        ("EdDSA", Signer::Ed(Ed25519Key::generate())),
    ];
    signers.extend(Signer::rsa(2048).map(|key| ("RS256", key)));
    signers.extend(Signer::rsa(2048).map(|key| ("PS256", key)));
    let keys: Vec<_> = signers.iter().map(|(name, key)| key.jwk(name)).collect();
    let all = set(&keys);
    for (algorithm, signer) in &signers {
        let token = signer.token(
            &json!({ "alg": algorithm, "kid": algorithm, "typ": "at+jwt" }),
            &claims(),
        );
        assert_eq!(verified(&all, &token), Ok(()), "{algorithm}");
        // Without a name, every key of its kind is tried.
        let unnamed = signer.token(&json!({ "alg": algorithm }), &claims());
        assert_eq!(verified(&all, &unnamed), Ok(()), "{algorithm}");
        let other = signer.token(&json!({ "alg": algorithm, "kid": "another" }), &claims());
        assert_eq!(verified(&all, &other), Err(TokenError::UnknownKey));
        for (other, _) in signers.iter().filter(|(other, _)| other != algorithm) {
            let named = signer.token(&json!({ "alg": algorithm, "kid": other }), &claims());
            // An RSA key is of use for two algorithms; its signature of another key holds with neither.
            assert!(
                verified(&all, &named).is_err(),
                "{algorithm} by the key of {other}"
            );
        }
        let parsed = Token::parse(&token).unwrap();
        let others = TokenAlgorithm::ALL
            .into_iter()
            .filter(|it| it.name() != *algorithm);
        assert_eq!(all.verify(&parsed, others).unwrap_err(), TokenError::Algorithm);
        let mut broken = token.clone().into_bytes();
        let at = token.find('.').unwrap() + 3;
        broken[at] = if broken[at] == b'A' { b'B' } else { b'A' };
        assert!(verified(&all, &String::from_utf8(broken).unwrap()).is_err());
    }
    // The newer name of the same algorithm.
    let (_, ed) = &signers[1];
    assert_eq!(
        verified(&all, &ed.token(&json!({ "alg": "Ed25519" }), &claims())),
        Ok(())
    );
}

#[test]
fn what_is_no_access_token_of_the_list_is_refused_before_a_key_is_looked_at() {
    let signer = Signer::p256();
    let keys = set(&[signer.jwk("a")]);
    for (header, refused) in [
        (json!({ "alg": "none" }), TokenError::Algorithm),
        (json!({ "alg": "HS256" }), TokenError::Algorithm),
        (json!({ "alg": "es256" }), TokenError::Algorithm),
        (json!({ "alg": "ES256", "typ": "logout+jwt" }), TokenError::Type),
        (json!({ "alg": "ES256", "typ": "dpop+jwt" }), TokenError::Type),
    ] {
        assert_eq!(
            verified(&keys, &signer.token(&header, &claims())),
            Err(refused),
            "{header}"
        );
    }
    for header in [
        json!({}),
        json!({ "alg": 7 }),
        json!({ "alg": "ES256", "kid": 7 }),
        json!({ "alg": "ES256", "crit": ["exp"] }),
        json!({ "alg": "ES256", "b64": false }),
        json!(["ES256"]),
    ] {
        let refused = verified(&keys, &signer.token(&header, &claims()));
        assert!(
            matches!(refused, Err(TokenError::Malformed(_))),
            "{header}: {refused:?}"
        );
    }
    let whole = signer.token(&json!({ "alg": "ES256" }), &claims());
    let unsigned = format!("{}.", whole.rsplit_once('.').unwrap().0);
    assert_eq!(verified(&keys, &unsigned), Err(TokenError::Signature));
    for text in [
        "",
        "a.b",
        "a.b.c.d",
        "..",
        &whole[1..],
        &format!("{whole}="),
        &"a".repeat(MAX_TOKEN + 1),
    ] {
        assert!(
            matches!(verified(&keys, text), Err(TokenError::Malformed(_))),
            "{text}"
        );
    }
    assert!(looks_like_token(&whole) && looks_like_token(&unsigned) && !looks_like_token("a key"));
    // A value of ECDSA as other formats write it.
    let Signer::Soft(key) = &signer else { return };
    let (signed, _) = whole.rsplit_once('.').unwrap();
    let der = key
        .sign(SignatureAlgorithm::EcdsaSha256, signed.as_bytes())
        .unwrap();
    assert_eq!(
        verified(&keys, &format!("{signed}.{}", encode(der))),
        Err(TokenError::Signature)
    );
    // A token says nothing where it is printed.
    let printed = format!("{:?}", Token::parse(&whole).unwrap());
    assert!(
        !printed.contains("anna") && !printed.contains("example"),
        "{printed}"
    );
}

#[test]
fn keys_that_are_for_something_else_are_passed_over() {
    let (signer, other) = (Signer::p256(), Signer::p256());
    let changed = |name: &str, value: Value| {
        let mut key = signer.jwk("a");
        key[name] = value;
        key
    };
    let unusable = [
        changed("use", json!("enc")),
        changed("alg", json!("ES384")),
        changed("alg", json!("RS256")),
        changed("key_ops", json!(["sign"])),
        changed("crv", json!("P-384")),
        changed("x", json!("AQAB")),
        json!({ "kty": "oct", "kid": "a", "k": "c2VjcmV0" }),
        json!("no key"),
    ];
    for key in &unusable {
        let alone = KeySet::parse(json!({ "keys": [key] }).to_string().as_bytes());
        assert_eq!(alone, Err(KeySetError::Empty), "{key}");
    }
    let mut keys = unusable.to_vec();
    let token = signer.token(&json!({ "alg": "ES256", "kid": "a" }), &claims());
    keys.push(other.jwk("b"));
    assert_eq!(verified(&set(&keys), &token), Err(TokenError::UnknownKey));
    keys.push(other.jwk("a"));
    assert_eq!(verified(&set(&keys), &token), Err(TokenError::Signature));
    let mut right = changed("key_ops", json!(["verify"]));
    right["use"] = "sig".into();
    right["alg"] = "ES256".into();
    keys.push(right);
    assert_eq!(verified(&set(&keys), &token), Ok(()));
    for text in ["", "[]", "{}", r#"{"keys":{}}"#] {
        assert_eq!(
            KeySet::parse(text.as_bytes()),
            Err(KeySetError::Malformed),
            "{text}"
        );
    }
}

#[test]
fn claims_let_in_whom_they_name_here_and_now_and_nobody_else() {
    let signer = Signer::p256();
    let keys = set(&[signer.jwk("a")]);
    let judged = |claims: &Value, now: UnixTime| {
        let text = signer.token(&json!({ "alg": "ES256", "kid": "a" }), claims);
        let token = Token::parse(&text).unwrap();
        let verified = keys.verify(&token, TokenAlgorithm::ALL).unwrap();
        verified
            .hold(&EXPECTED, now)
            .map(|holds| (holds.subject.to_owned(), holds.until))
    };
    let until = UnixTime::from_secs(1_800_000_360);
    assert_eq!(judged(&claims(), NOW), Ok(("anna".into(), until)));
    let last = UnixTime::from_millis(until.millis() - 1);
    assert!(judged(&claims(), last).is_ok());
    let ended = ClaimsRefused::Expired(UnixTime::from_secs(1_800_000_300));
    assert_eq!(judged(&claims(), until), Err(ended));
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        claims
    };
    assert!(judged(&with("aud", json!("kontor")), NOW).is_ok());
    assert!(judged(&with("nbf", json!(1_800_000_060)), NOW).is_ok());
    assert!(judged(&with("client_id", json!("pages")), NOW).is_ok());
    let late = UnixTime::from_secs(1_800_000_061);
    for (name, value, refused) in [
        ("iss", json!("https://login.example/"), ClaimsRefused::Issuer),
        ("aud", json!("kontor2"), ClaimsRefused::Audience),
        ("aud", json!([]), ClaimsRefused::Audience),
        ("aud", json!({ "kontor": 1 }), ClaimsRefused::Audience),
        ("exp", json!("1800000300"), ClaimsRefused::Missing("exp")),
        ("nbf", json!("1799999999"), ClaimsRefused::Missing("nbf")),
        ("nbf", json!(1_800_000_061), ClaimsRefused::NotYet(late)),
        (
            "nbf",
            json!(1e300),
            ClaimsRefused::NotYet(UnixTime::from_millis(i64::MAX)),
        ),
        ("sub", json!(""), ClaimsRefused::Missing("sub")),
        ("sub", json!(7), ClaimsRefused::Missing("sub")),
        ("cnf", json!({ "jkt": "x" }), ClaimsRefused::Bound),
        ("client_id", json!("anna"), ClaimsRefused::Program),
    ] {
        assert_eq!(
            judged(&with(name, value.clone()), NOW),
            Err(refused),
            "{name}: {value}"
        );
    }
    for name in ["iss", "aud", "exp", "sub"] {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        assert_eq!(judged(&claims, NOW), Err(ClaimsRefused::Missing(name)));
    }
}

#[test]
fn a_claim_is_found_by_its_name_or_by_a_pointer() {
    let signer = Signer::p256();
    let keys = set(&[signer.jwk("a")]);
    let text = signer.token(&json!({ "alg": "ES256" }), &claims());
    let token = Token::parse(&text).unwrap();
    let claims = keys.verify(&token, TokenAlgorithm::ALL).unwrap();
    for (place, wanted) in [
        ("https://x.example/roles", vec!["one"]),
        ("/realm/a~1b", vec!["worker", "leader"]),
        ("/realm/a~1b/0", vec!["worker"]),
        ("/https:~1~1x.example~1roles", vec!["one"]),
        ("realm", vec![]),
        ("/realm", vec![]),
        ("roles", vec![]),
        ("/", vec![]),
    ] {
        assert_eq!(claims.texts(place).collect::<Vec<_>>(), wanted, "{place}");
    }
}

proptest! {
    #[test]
    fn reading_survives_anything(text in "[A-Za-z0-9_.=-]{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Token::parse(&text);
        let _ = KeySet::parse(&bytes);
        let wrapped = format!("{}.{}.", encode(&bytes), encode(&bytes));
        let _ = Token::parse(&wrapped);
    }
}
