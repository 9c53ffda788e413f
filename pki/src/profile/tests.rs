use super::*;
use crate::authority::{CaParams, CertificateAuthority, Validity};
use crate::certificate::Certificate;
use crate::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
use crate::time::UnixTime;
use proptest::prelude::*;

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2030-01-31T12:00:00Z").unwrap()
}

fn authority() -> CertificateAuthority {
    CertificateAuthority::generate(&CaParams {
        name: "Test CA".into(),
        organization: "Nobody".into(),
        // An authority for tests puts its mark into OU, where three profiles have the member class.
        test: false,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(now(), 10),
    })
    .unwrap()
}

fn text(value: &serde_json::Value) -> Vec<String> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn recorded_certificates_name_the_member_that_java_reads() {
    let Some(shared) = crate::vectors::shared() else {
        return;
    };
    let folder = shared.join("vectors/xroad/profiles");
    let cases: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("profiles.json")).unwrap()).unwrap();
    let mut checked = 0;
    for case in cases.as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let profile = case["profile"].as_str().unwrap();
        let class = format!("{PACKAGE}{profile}{SUFFIX}");
        let profile = CertificateProfile::from_class_name(&class).unwrap();
        checked += 1;
        let der = std::fs::read(folder.join(format!("{id}.der"))).unwrap();
        let certificate = Certificate::parse(&der).unwrap();
        let instance = case["signer"].as_str().unwrap().split('/').next().unwrap();
        let read = profile.member(certificate.subject(), instance);
        let refuse = case["ours"]
            .as_str()
            .is_some_and(|ours| ours.starts_with("refuse"));
        match read {
            Ok(member) => {
                assert!(!refuse && case["error"].is_null(), "{id} must be refused");
                assert_eq!(
                    vec![member.instance, member.class, member.code],
                    text(&case["identifier"]),
                    "{id}"
                );
            }
            Err(error) => assert!(refuse || case["error"].is_string(), "{id}: {error}"),
        }
    }
    assert_eq!(checked, 47);
}

#[test]
fn only_built_in_profiles_are_found_by_class_name() {
    for profile in CertificateProfile::ALL {
        assert_eq!(
            CertificateProfile::from_class_name(&profile.class_name()),
            Some(profile)
        );
    }
    assert_eq!(CertificateProfile::from_class_name("Ejbca"), None);
    assert_eq!(
        CertificateProfile::from_class_name(&format!("{PACKAGE}Lt{SUFFIX}")),
        None
    );
}

#[test]
fn a_subject_that_is_written_names_its_member() {
    let ca = authority();
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    for profile in CertificateProfile::ALL {
        let class = match profile == CertificateProfile::SkEsteId {
            true => "PERSON",
            false => "GOV",
        };
        let member = ProfileMember {
            instance: "TEST".into(),
            class: class.into(),
            code: "70000001".into(),
        };
        let subject = profile.signing_subject(&member, "Musterstadt (fiktiv)");
        let validity = Validity::days(now(), 5);
        let certificate = ca.issue_signing(key.public_key(), subject, validity).unwrap();
        let read = profile.member(certificate.subject(), "TEST");
        assert_eq!(read, Ok(member), "{profile:?}");
    }
}

#[test]
fn a_finnish_serial_number_without_instance_or_class_names_nobody() {
    let ca = authority();
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let read = |serial: &str| {
        let subject = Subject::default()
            .with(Attribute::Country, "FI")
            .with(Attribute::Organization, "Nobody")
            .with(Attribute::SerialNumber, serial)
            .with(Attribute::CommonName, "1234-5");
        let validity = Validity::days(now(), 5);
        let certificate = ca.issue_signing(key.public_key(), subject, validity).unwrap();
        CertificateProfile::FiVrk.member(certificate.subject(), "FI-TEST")
    };
    assert!(read("FI-TEST/ss1/GOV").is_ok());
    for serial in ["FI-TEST/ss1/", "/ss1/GOV", "//", "FI-TEST/ss1", "a/b/c/d"] {
        let refused = Err(ProfileError::Unusable(Attribute::SerialNumber));
        assert_eq!(read(serial), refused, "{serial:?}");
    }
}

#[test]
fn a_value_is_escaped_as_java_does() {
    assert_eq!(escaped("#1 #2"), "\\#1 #2");
    assert_eq!(escaped("  a  b "), "\\ \\ a  b\\ ");
    assert_eq!(escaped("a=b"), "a\\=b");
}

proptest! {
    #[test]
    fn escaping_never_loses_a_character(value in ".*") {
        let kept: String = escaped(&value).chars().filter(|&letter| letter != '\\').collect();
        let expected: String = value.chars().filter(|&letter| letter != '\\').collect();
        prop_assert_eq!(kept, expected);
    }
}
