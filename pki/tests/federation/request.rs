//! Certificate signing requests.

use kontor_pki::certificate::Attribute;
use kontor_pki::profile::CertificateProfile;
use kontor_pki::request::{CertificateRequest, RequestError};
use kontor_pki::signing::SigningKey as _;

use crate::world::{key, key_algorithms, member};

#[test]
fn a_request_carries_subject_and_key_and_survives_pem() {
    for kind in key_algorithms() {
        let key = key(kind);
        let subject = CertificateProfile::Basic.signing_subject(&member(), "Musterstadt");
        let request = CertificateRequest::write(&subject, &[], &*key).unwrap();
        assert_eq!(request.public_key(), key.public_key());
        assert_eq!(request.subject().attribute(Attribute::SerialNumber), Some("1001"));
        assert_eq!(
            request.subject().attribute(Attribute::BusinessCategory),
            Some("GOV")
        );
        assert_eq!(CertificateRequest::parse_pem(&request.to_pem()), Ok(request));
    }
}

#[test]
fn a_request_for_a_key_that_did_not_sign_it_is_refused() {
    let [mine, yours] = [0, 1].map(|_| key(kontor_pki::signing::KeyAlgorithm::EcdsaP256));
    let subject = CertificateProfile::Ejbca.signing_subject(&member(), "");
    let request = CertificateRequest::write(&subject, &["ss1.test".to_owned()], &*mine).unwrap();
    let at = request
        .der()
        .windows(mine.public_key().len())
        .position(|part| part == mine.public_key());
    let mut forged = request.der().to_vec();
    forged[at.unwrap()..][..mine.public_key().len()].copy_from_slice(yours.public_key());
    assert!(matches!(
        CertificateRequest::parse(&forged),
        Err(RequestError::Signature(_))
    ));
}

#[test]
fn a_host_name_that_is_none_is_refused() {
    let key = key(kontor_pki::signing::KeyAlgorithm::EcdsaP256);
    let subject = CertificateProfile::Ejbca.signing_subject(&member(), "");
    let refused = CertificateRequest::write(&subject, &["bücher.test".to_owned()], &*key);
    assert!(matches!(refused, Err(RequestError::Refused(_))));
}
