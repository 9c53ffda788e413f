use super::*;
use crate::certificate::Certificate;
use proptest::prelude::*;

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
    let (mut checked, mut waiting) = (0, Vec::new());
    for case in cases.as_array().unwrap() {
        let id = case["id"].as_str().unwrap();
        let profile = case["profile"].as_str().unwrap();
        let Some(profile) = CertificateProfile::from_class_name(&format!("{PACKAGE}{profile}{SUFFIX}"))
        else {
            waiting.push(id);
            continue;
        };
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
    assert_eq!(checked, 22);
    // National profiles are a later feature; this count falls when one is built in.
    assert_eq!(waiting.len(), 25, "{waiting:?}");
}

#[test]
fn only_built_in_profiles_are_found_by_class_name() {
    for profile in [
        CertificateProfile::Basic,
        CertificateProfile::Ejbca,
        CertificateProfile::FiVrk,
    ] {
        assert_eq!(
            CertificateProfile::from_class_name(&profile.class_name()),
            Some(profile)
        );
    }
    assert_eq!(CertificateProfile::from_class_name("Ejbca"), None);
    assert_eq!(
        CertificateProfile::from_class_name(&format!("{PACKAGE}SkKlass3{SUFFIX}")),
        None
    );
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
