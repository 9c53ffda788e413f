//! What is published is what a member's reader accepts.

use std::path::Path;

use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SoftwareKey};
use kontor_protocol::trust::TrustSet;
use kontor_protocol::trust::directory::{Relation, verify};

use super::*;
use crate::authority::registry::tests::FILE;

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap()
}

fn made() -> (Registry, Certificates, Publication) {
    let registry = Registry::parse(FILE, Path::new("/nowhere/authority.toml")).unwrap();
    let ca = CertificateAuthority::generate(&CaParams {
        name: "CA".into(),
        organization: "O".into(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(now(), 100),
    })
    .unwrap();
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let issue = |name: &str| {
        ca.issue_signing(
            key.public_key(),
            Subject::common_name(name),
            Validity::days(now(), 10),
        )
        .unwrap()
    };
    let tsa = ca
        .issue_tsa(
            key.public_key(),
            Subject::common_name("tsa"),
            Validity::days(now(), 10),
        )
        .unwrap();
    let certificates = Certificates {
        configuration: issue("configuration"),
        ca: ca.certificate().clone(),
        ocsp: issue("ocsp"),
        tsa,
        servers: vec![vec![issue("ss1")]],
    };
    let publication = Publication::make(&registry, &certificates, &key, now()).unwrap();
    (registry, certificates, publication)
}

#[test]
fn a_member_that_trusts_the_key_accepts_directory_and_parts() {
    let (_, certificates, publication) = made();
    let keys = [certificates.configuration.der().to_vec()];
    let directory = verify(&publication.internal, &keys, "TEST", Relation::Own, now()).unwrap();
    assert_eq!(directory.version(), VERSION);
    assert_eq!(directory.expires(), publication.expires);
    for part in directory.parts() {
        let served = publication
            .parts
            .iter()
            .find(|p| p.location == part.location())
            .unwrap();
        directory.accept_part(part, &served.bytes).unwrap();
    }
    let external = verify(&publication.external, &keys, "TEST", Relation::Federated, now()).unwrap();
    assert_eq!(external.parts().len(), 1);
}

#[test]
fn the_copy_for_auditors_is_a_trust_set_with_its_servers() {
    let (_, certificates, publication) = made();
    let trust = TrustSet::from_files(publication.files("TEST")).unwrap();
    assert!(trust.is_test());
    assert_eq!(trust.expires(), Some(publication.expires));
    let client = "TEST/GOV/a/antrag".parse().unwrap();
    assert_eq!(trust.servers_of(&client).len(), 1);
    assert!(trust.is_auth_cert_registered(&certificates.servers[0][0], &client));
    assert_eq!(trust.member_name(&"TEST/GOV/a".parse().unwrap()), Some("A"));
    assert!(trust.group_contains(&"TEST/all".parse().unwrap(), &client));
}
