use super::*;
use crate::vectors;
use proptest::prelude::*;

#[test]
fn a_recorded_response_signed_with_sha_1_is_read_and_refused() {
    let Some(shared) = vectors::shared() else { return };
    let path = "vectors/xroad/upstream/src/service/proxy/proxy-core/src/test/queries/test.ocsp";
    let response = OcspResponse::parse(&std::fs::read(shared.join(path)).unwrap()).unwrap();
    assert_eq!(response.this_update().to_rfc3339(), "2013-02-07T09:02:33.000Z");
    assert_eq!(
        (response.status(), response.next_update()),
        (CertStatus::Good, None)
    );
    assert_eq!(response.certificates().len(), 1);
    let responder = &response.certificates()[0];
    assert!(response.responder_id().names(responder));
    let refusal = response.verify_responder(
        responder,
        &Responders {
            configured: &[],
            authorities: &[],
        },
    );
    assert_eq!(refusal, Err(OcspError::Algorithm("SHA1withRSA".to_owned())));
}

#[test]
fn an_error_of_the_responder_is_told_apart_from_garbage() {
    assert_eq!(
        OcspResponse::parse(&[0x30, 3, 0x0a, 1, 6]),
        Err(OcspError::Unsuccessful(6))
    );
    assert!(matches!(
        OcspResponse::parse(b"<html>"),
        Err(OcspError::Malformed(_))
    ));
    assert!(matches!(parse_request(&[0x30, 0]), Err(OcspError::Malformed(_))));
}

proptest! {
    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
        let _ = OcspResponse::parse(&bytes);
        let _ = parse_request(&bytes);
    }
}
