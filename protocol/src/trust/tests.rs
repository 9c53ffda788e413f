use proptest::prelude::*;

use super::anchor::{AnchorSource, ConfigurationAnchor};
use super::private::ManagementService;
use super::*;

fn config(instance: &str, edit: impl FnOnce(&mut SharedParams)) -> InstanceConfig {
    let mut shared = SharedParams {
        instance: instance.to_owned(),
        ..SharedParams::default()
    };
    edit(&mut shared);
    InstanceConfig {
        instance: instance.to_owned(),
        shared,
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: None,
    }
}

#[test]
fn a_set_without_the_own_instance_is_refused() {
    assert_eq!(
        TrustSet::new("DE", vec![]).unwrap_err(),
        OwnInstanceMissing("DE".to_owned())
    );
}

#[test]
fn an_owner_is_at_its_server_without_being_listed() {
    let owner: MemberId = "DE/GOV/1".parse().unwrap();
    let set = TrustSet::new(
        "DE",
        vec![config("DE", |shared| {
            shared.servers.push(SecurityServer {
                id: ServerId::new(owner.clone(), "ss").unwrap(),
                address: None,
                authentication_hashes: vec![],
                clients: vec!["DE/GOV/1/S".parse().unwrap()],
                maintenance: None,
            });
        })],
    )
    .unwrap();
    assert_eq!(set.servers_of(&owner.into()).len(), 1);
    assert_eq!(set.servers_of(&"DE/GOV/1/S".parse().unwrap()).len(), 1);
    assert_eq!(set.servers_of(&"DE/GOV/1/T".parse().unwrap()).len(), 0);
    assert_eq!(set.servers_of(&"FX/GOV/1/S".parse().unwrap()).len(), 0);
}

#[test]
fn expiry_and_unknown_instances_are_told() {
    let mut own = config("DE", |_| {});
    own.expires = Some(UnixTime::from_secs(100));
    let set = TrustSet::new("DE", vec![own, config("FX", |_| {})]).unwrap();
    assert!(!set.is_expired("DE", UnixTime::from_secs(99)));
    assert!(set.is_expired("DE", UnixTime::from_secs(100)));
    assert!(!set.is_expired("FX", UnixTime::from_secs(100)));
    assert!(set.is_expired("XX", UnixTime::from_secs(0)));
}

#[test]
fn the_generation_follows_content_and_not_expiry() {
    let set = |expires, freshness| {
        let mut config = config("DE", |s| s.settings.ocsp_freshness_seconds = freshness);
        config.expires = Some(UnixTime::from_secs(expires));
        *TrustSet::new("DE", vec![config]).unwrap().generation()
    };
    assert_eq!(set(1, 60), set(2, 60));
    assert_ne!(set(1, 60), set(1, 61));
}

#[test]
fn an_unreadable_certificate_costs_its_entry_only() {
    let set = TrustSet::new(
        "DE",
        vec![config("DE", |shared| {
            shared.tsas.push(shared::ApprovedTsa {
                cost: None,
                name: "odd".to_owned(),
                url: "http://tsa".to_owned(),
                certificate: b"no certificate".to_vec(),
            });
        })],
    )
    .unwrap();
    assert!(set.tsas().is_empty());
    assert_eq!(set.problems().len(), 1);
}

#[test]
fn test_trust_is_known_by_the_name_of_the_instance() {
    assert!(
        TrustSet::new("TEST", vec![config("TEST", |_| {})])
            .unwrap()
            .is_test()
    );
    assert!(
        !TrustSet::new("DE", vec![config("DE", |_| {}), config("TEST2", |_| {})])
            .unwrap()
            .is_test()
    );
}

fn anchors() -> impl Strategy<Value = ConfigurationAnchor> {
    let source = (
        "[!-~]{1,30}",
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 1..3),
    )
        .prop_map(|(download_url, verification_certificates)| AnchorSource {
            download_url,
            verification_certificates,
        });
    (
        prop::option::of(0i64..4_000_000_000),
        "\\PC{1,10}",
        prop::collection::vec(source, 1..3),
    )
        .prop_map(|(at, instance, sources)| ConfigurationAnchor {
            generated_at: at.map(UnixTime::from_secs),
            instance,
            sources,
        })
}

proptest! {
    #[test]
    fn an_anchor_survives_a_round_trip(anchor in anchors()) {
        prop_assert_eq!(ConfigurationAnchor::read(&anchor.to_xml()), Ok(anchor));
    }

    #[test]
    fn private_parameters_survive_a_round_trip(
        anchors in prop::collection::vec(anchors(), 0..3),
        address in "[!-~]{0,30}",
        certificate in prop::option::of(prop::collection::vec(any::<u8>(), 0..30)),
        seconds in any::<u32>(),
    ) {
        let params = PrivateParams {
            instance: "DE".to_owned(),
            anchors,
            management: ManagementService {
                registration_address: address,
                registration_certificate: certificate,
                provider: "DE/GOV/1/MGMT".parse().unwrap(),
            },
            time_stamping_interval_seconds: seconds,
        };
        let xml = params.to_xml();
        for version in 2..=6 {
            prop_assert_eq!(&PrivateParams::read(&xml, version).unwrap(), &params);
        }
    }

    #[test]
    fn optional_parts_survive_a_round_trip(
        interval in prop::option::of(any::<u32>()), verify in prop::option::of(any::<bool>()), client in 0usize..3,
    ) {
        let client = [None, Some("DE/GOV/1"), Some("DE/GOV/1/MON")][client];
        let parts = OptionalParts {
            ocsp_fetch_interval_seconds: interval,
            monitoring_client: client.map(|c| c.parse().unwrap()),
            verify_next_update: verify,
        };
        let mut read = OptionalParts::default();
        for (identifier, xml) in parts.to_xml() {
            read.take(identifier, &xml).unwrap();
        }
        prop_assert_eq!(read, parts);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = ConfigurationAnchor::read(&bytes);
        let _ = PrivateParams::read(&bytes, 3);
        let _ = PartMetadata::from_json(&bytes);
        let mut optional = OptionalParts::default();
        for identifier in [FETCH_INTERVAL, MONITORING, NEXT_UPDATE] {
            let _ = optional.take(identifier, &bytes);
        }
        let _ = TrustSet::from_files(vec![
            ("instance-identifier".to_owned(), b"DE".to_vec()),
            ("DE/shared-params.xml".to_owned(), bytes),
        ]);
    }

    #[test]
    fn metadata_survives_a_round_trip(
        identifier in prop::option::of("\\PC{0,10}"), instance in prop::option::of("\\PC{0,10}"), name in prop::option::of("\\PC{0,10}"),
        location in prop::option::of("\\PC{0,10}"), expires in 0i64..4_000_000_000, version in any::<u32>(),
    ) {
        let expires = Some(UnixTime::from_secs(expires));
        let metadata = PartMetadata { identifier, instance, file_name: name, location, expires, version };
        prop_assert_eq!(PartMetadata::from_json(&metadata.to_json()), Ok(metadata));
    }
}

#[test]
fn of_two_authorities_with_one_name_the_right_one_is_found() {
    use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
    use kontor_pki::profile::Subject;
    use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};

    use super::shared::{ApprovedCa, CaInfo};

    let validity = Validity::days(UnixTime::from_secs(1_000_000_000), 365);
    let params = CaParams {
        name: "CA".to_owned(),
        organization: "Fictional".to_owned(),
        test: false,
        key: KeyAlgorithm::EcdsaP256,
        validity,
    };
    let authorities = [(); 2].map(|()| CertificateAuthority::generate(&params).unwrap());
    let entry = |index: usize, name: &str, authentication_only| ApprovedCa {
        name: name.to_owned(),
        authentication_only,
        top: CaInfo {
            certificate: authorities[index].certificate().der().to_vec(),
            ocsp: vec![],
        },
        intermediates: vec![],
        profile_class: kontor_pki::profile::CertificateProfile::Ejbca.class_name(),
        csr_format: None,
        acme: None,
    };
    let set = TrustSet::new(
        "DE",
        vec![config("DE", |shared| {
            shared.authorities = vec![
                entry(0, "old", false),
                entry(1, "for TLS", true),
                entry(1, "new", false),
            ];
        })],
    )
    .unwrap();
    for (authority, name) in authorities.iter().zip(["old", "new"]) {
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let subject = Subject::common_name("leaf");
        let leaf = authority
            .issue_signing(key.public_key(), subject, validity)
            .unwrap();
        assert_eq!(set.issuer_of("DE", &leaf).unwrap().name, name);
    }
}
