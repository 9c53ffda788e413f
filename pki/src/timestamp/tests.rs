use super::*;
use crate::vectors;
use base64::Engine as _;
use proptest::prelude::*;

const TIMESTAMPS: &str = "vectors/xroad/upstream/src/lib/globalconf-impl/src/test/timestamps";
const SHARED_PARAMS: &str = "vectors/xroad/upstream/src/lib/globalconf-core/src/test/resources/globalconf_good_v2/EE/shared-params.xml";

/// The certificates that a recorded global configuration approves.
fn approved(xml: &str) -> Vec<Certificate> {
    vectors::elements(xml, "approvedTSA")
        .into_iter()
        .flat_map(|entry| vectors::elements(entry, "cert"))
        .map(|text| {
            let text: String = text.split_ascii_whitespace().collect();
            Certificate::parse(&base64::engine::general_purpose::STANDARD.decode(text).unwrap()).unwrap()
        })
        .collect()
}

#[test]
fn recorded_tokens_in_ber_get_their_verdicts() {
    let Some(shared) = vectors::shared() else { return };
    let read = |file: &str| std::fs::read(shared.join(TIMESTAMPS).join(file)).unwrap();
    let tsa = approved(&std::fs::read_to_string(shared.join(SHARED_PARAMS)).unwrap());
    assert!(!tsa.is_empty());
    let data = read("stamped-data");
    let valid = TimestampToken::parse(&read("valid")).unwrap();
    assert_eq!(valid.gen_time().to_rfc3339(), "2012-11-29T13:10:04.000Z");

    let signer = valid.verify(&data, &tsa).unwrap();
    assert!(tsa.contains(&signer));

    let mut changed = data.clone();
    changed[100] ^= 1;
    assert_eq!(valid.verify(&changed, &tsa), Err(TimestampError::Imprint));
    assert_eq!(valid.verify(&data, &[]), Err(TimestampError::UnknownSigner));

    let invalid = TimestampToken::parse(&read("invalid-signature")).unwrap();
    assert!(matches!(
        invalid.verify(&data, &tsa),
        Err(TimestampError::Signature(_))
    ));

    let stored = valid.with_certificate(&signer);
    assert!(stored.contains(&signer) && !valid.contains(&signer));
    assert_eq!(stored.verify(&data, &tsa), Ok(signer.clone()));
    assert_eq!(stored.with_certificate(&signer), stored);
    assert_eq!(TimestampToken::parse(stored.der()).unwrap(), stored);
}

#[test]
fn a_recorded_answer_of_an_authority_is_read() {
    let Some(shared) = vectors::shared() else { return };
    for file in [
        "addons/messagelog/messagelog-addon/src/test/resources/tsp.response",
        "service/proxy/proxy-core/src/test/resources/tsp.response",
    ] {
        let answer = std::fs::read(shared.join("vectors/xroad/upstream/src").join(file)).unwrap();
        let token = parse_response(&answer).unwrap();
        assert_eq!(token.gen_time().to_rfc3339(), "2014-05-06T08:28:49.000Z");
        assert_eq!(token.nonce(), Some(&[0x07, 0x5b, 0xcd, 0x15][..]));
        assert_eq!(token.imprint().0, DigestAlgorithm::Sha256);
    }
}

#[test]
fn a_query_has_no_nonce_and_asks_for_no_certificate() {
    let imprint = crypto::sha512(b"data");
    let parsed = parse_query(&query(&imprint)).unwrap();
    assert_eq!(
        parsed,
        TimestampQuery {
            imprint: (DigestAlgorithm::Sha512, imprint.to_vec()),
            policy: None,
            nonce: None,
            certificate_requested: false,
        }
    );
}

#[test]
fn a_refusal_is_told_with_the_words_of_the_authority() {
    let refusal = der::sequence(|w| {
        w.sequence(|w| {
            w.integer(2);
            w.sequence(|w| {
                w.element(der::UTF8_STRING, b"out of\nservice");
            });
        });
    });
    let told = TimestampError::Refused {
        status: 2,
        text: "out ofservice".to_owned(),
    };
    assert_eq!(parse_response(&refusal), Err(told));
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = TimestampToken::parse(&bytes);
        let _ = parse_response(&bytes);
        let _ = parse_query(&bytes);
    }
}
