//! What is published is what a member's reader accepts, in every version.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SoftwareKey};
use kontor_protocol::trust::anchor::{AnchorSource, ConfigurationAnchor};
use kontor_protocol::trust::directory::{AcceptedPart, Relation, verify};
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::{FETCH_INTERVAL, MONITORING, NEXT_UPDATE, TrustSet};

use super::*;
use crate::authority::registry::Federation;
use crate::authority::registry::tests::{FILE, rich};

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap()
}

/// Registry, certificates and keys of an authority.
struct World {
    registry: Registry,
    certificates: Certificates,
    internal: SoftwareKey,
    external: SoftwareKey,
}

impl World {
    fn of(text: &str) -> Self {
        let registry = Registry::parse(text, Path::new("/nowhere/authority.toml")).unwrap();
        let ca = CertificateAuthority::generate(&CaParams {
            name: "CA".into(),
            organization: "O".into(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity::days(now(), 100),
        })
        .unwrap();
        let [internal, external] = [(); 2].map(|()| SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap());
        let validity = Validity::days(now(), 10);
        let issue = |key: &SoftwareKey, name: &str| {
            ca.issue_signing(key.public_key(), Subject::common_name(name), validity)
                .unwrap()
        };
        let tsa = ca
            .issue_tsa(internal.public_key(), Subject::common_name("tsa"), validity)
            .unwrap();
        let configuration = Verification {
            internal: vec![issue(&internal, "internal"), issue(&external, "the next one")],
            external: vec![issue(&external, "external")],
        };
        let certificates = Certificates {
            sources: registry.sources.iter().map(|_| configuration.clone()).collect(),
            configuration,
            ca: ca.certificate().clone(),
            ocsp: issue(&internal, "ocsp"),
            tsa,
            servers: vec![vec![issue(&internal, "ss1")]],
        };
        Self {
            registry,
            certificates,
            internal,
            external,
        }
    }

    fn publish(&self, previous: Option<&Publication>, at: UnixTime) -> Publication {
        let signers = Signers {
            internal: &self.internal,
            external: &self.external,
        };
        Publication::make(&self.registry, &self.certificates, signers, previous, at).unwrap()
    }

    /// What a member that trusts the key reads of a version.
    fn read(&self, publication: &Publication, version: u32) -> Read {
        let keys = [self.certificates.configuration.internal[0].der().to_vec()];
        let body = publication.directory(Kind::Internal, version).unwrap();
        let directory = verify(body, &keys, "TEST", Relation::Own, now()).unwrap();
        assert_eq!(directory.version(), version);
        assert_eq!(directory.expires(), publication.expires);
        let mut read = Read::default();
        for part in directory.parts() {
            let mut served = publication.parts.iter().filter(|p| p.location == part.location());
            let bytes = &served.next().unwrap().bytes;
            assert!(served.next().is_none(), "a path names one document");
            assert!(part.location().starts_with(&format!("/V{version}/")));
            match directory.accept_part(part, bytes).unwrap() {
                AcceptedPart::Shared(shared) => read.shared = *shared,
                AcceptedPart::Private(private) => read.private = Some(*private),
                AcceptedPart::Optional(_) => read.optional.take(part.identifier(), bytes).unwrap(),
                AcceptedPart::Unknown => panic!("{} is unknown", part.identifier()),
            }
        }
        read
    }
}

#[derive(Default)]
struct Read {
    shared: SharedParams,
    private: Option<PrivateParams>,
    optional: OptionalParts,
}

#[test]
fn each_version_is_accepted_and_says_what_it_has_room_for() {
    let world = World::of(&rich());
    let publication = world.publish(None, now());
    let certificate = &world.certificates.servers[0][0];
    for version in 2..=6 {
        let Read {
            shared,
            private,
            optional,
        } = world.read(&publication, version);
        let hash = if version == 2 {
            certificate.sha1().to_vec()
        } else {
            certificate.sha256().to_vec()
        };
        assert_eq!(shared.servers[0].authentication_hashes, [hash]);
        assert_eq!(shared.sources.len(), if version == 2 { 0 } else { 2 });
        let acme = shared.authorities[0].acme.as_ref();
        assert_eq!(acme.is_some(), version >= 3);
        assert_eq!(acme.is_some_and(|a| a.signing_profile.is_some()), version >= 4);
        let server = &shared.servers[0];
        assert_eq!(
            server.maintenance.as_deref(),
            Some("Back at <noon>").filter(|_| version >= 5)
        );
        let name = shared.members[0].subsystems[0].name.as_deref();
        assert_eq!(name, Some("Applications & more").filter(|_| version >= 5));
        assert_eq!(shared.authorities[0].csr_format.is_some(), version >= 6);
        assert_eq!(shared.authorities[0].top.ocsp[0].cost.is_some(), version >= 6);
        assert_eq!(shared.tsas[0].cost.is_some(), version >= 6);
        assert_eq!(
            private.unwrap().management.provider,
            world.registry.management_provider
        );
        assert_eq!(optional, world.registry.optional);
    }
    assert!(publication.directory(Kind::Internal, 7).is_none());
}

#[test]
fn the_oldest_version_is_the_operators_choice() {
    let world = World::of(&FILE.replace("[configuration]", "[configuration]\noldest_version = 5"));
    let publication = world.publish(None, now());
    for version in 2..=6 {
        let published = publication.directory(Kind::External, version).is_some();
        assert_eq!(published, version >= 5);
    }
    let trust = TrustSet::from_files(publication.files("TEST")).unwrap();
    assert_eq!(trust.instance("TEST").unwrap().version, 5);
}

#[test]
fn other_instances_get_shared_parameters_only_under_a_key_of_their_own() {
    let world = World::of(&rich());
    let publication = world.publish(None, now());
    let Verification { internal, external } = &world.certificates.configuration;
    for version in 2..=6 {
        let body = publication.directory(Kind::External, version).unwrap();
        let judge = |certificate: &Certificate| {
            let keys = [certificate.der().to_vec()];
            verify(body, &keys, "TEST", Relation::Federated, now())
        };
        let directory = judge(&external[0]).unwrap();
        assert_eq!(directory.parts().len(), 1);
        // Nothing was left out by the reader: the directory names one part.
        assert_eq!(
            String::from_utf8_lossy(body)
                .matches("Content-identifier")
                .count(),
            1
        );
        assert_eq!(judge(&internal[0]).unwrap_err().code(), "cert_not_found");
    }
}

#[test]
fn what_has_not_changed_stays_where_it_was() {
    let mut world = World::of(&rich());
    let first = world.publish(None, now());
    let second = world.publish(Some(&first), now() + Duration::from_secs(60));
    let places = |p: &Publication| p.parts.iter().map(|p| p.location.clone()).collect::<Vec<_>>();
    assert_eq!(places(&first), places(&second));
    assert_eq!(first.parts[0].bytes.as_ptr(), second.parts[0].bytes.as_ptr());
    assert!(second.expires > first.expires);

    let signers = Signers {
        internal: &world.internal,
        external: &world.external,
    };
    let later = now() + Duration::from_secs(120);
    let renewed = second
        .renewed(&world.registry, &world.certificates, signers, later)
        .unwrap();
    assert_eq!(places(&renewed), places(&second));
    for version in 2..=6 {
        assert_eq!(
            world.read(&renewed, version).shared,
            world.read(&first, version).shared
        );
    }

    world.registry.servers[0].maintenance = None;
    let third = world.publish(Some(&second), now() + Duration::from_secs(61));
    for (before, after) in second.parts.iter().zip(&third.parts) {
        let changed = after.identifier == SHARED_PARAMETERS && after.version >= 5;
        assert_eq!(before.location != after.location, changed, "{}", after.location);
    }
}

#[test]
fn every_key_of_the_authority_is_announced_by_each_source() {
    let world = World::of(&rich());
    let shared = world.read(&world.publish(None, now()), 6).shared;
    let addresses: Vec<_> = shared.sources.iter().map(|s| s.address.as_str()).collect();
    assert_eq!(addresses, ["127.0.0.1:4080", "second.example:4080"]);
    for source in &shared.sources {
        assert_eq!(
            (
                source.internal_certificates.len(),
                source.external_certificates.len()
            ),
            (2, 1)
        );
    }
}

#[test]
fn federated_instances_are_named_to_members_only() {
    let mut world = World::of(FILE);
    world.registry.federations.push(other_instance());
    let publication = world.publish(None, now());
    for version in 2..=6 {
        let private = world.read(&publication, version).private.unwrap();
        assert_eq!(private.anchors, [other_instance().anchor]);
    }
}

fn other_instance() -> Federation {
    Federation {
        path: "other.xml".into(),
        anchor: ConfigurationAnchor {
            generated_at: Some(now()),
            instance: "TESTX".into(),
            sources: vec![AnchorSource {
                download_url: "http://x.example/externalconf".into(),
                verification_certificates: vec![vec![1, 2, 3]],
            }],
        },
    }
}

#[test]
fn the_copy_for_auditors_is_a_trust_set_with_its_servers() {
    let world = World::of(FILE);
    let publication = world.publish(None, now());
    let trust = TrustSet::from_files(publication.files("TEST")).unwrap();
    assert!(trust.is_test());
    assert_eq!(trust.expires(), Some(publication.expires));
    let client = "TEST/GOV/a/antrag".parse().unwrap();
    assert_eq!(trust.servers_of(&client).len(), 1);
    assert!(trust.is_auth_cert_registered(&world.certificates.servers[0][0], &client));
    assert_eq!(trust.member_name(&"TEST/GOV/a".parse().unwrap()), Some("A"));
    assert!(trust.group_contains(&"TEST/all".parse().unwrap(), &client));
}

/// The schemas are X-Road's own, in the layout of its resources, and not part of this project.
#[test]
fn x_roads_own_schemas_accept_every_part_of_every_version() {
    let Some(schemas) = std::env::var_os("KONTOR_XROAD_SCHEMAS").map(PathBuf::from) else {
        println!("SKIPPED: KONTOR_XROAD_SCHEMAS does not name the resources of X-Road's globalconf-core");
        return;
    };
    if Command::new("xmllint")
        .arg("--version")
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        println!("SKIPPED: xmllint is not installed");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let judge = |bytes: &[u8], schema: &str| {
        let file = dir.path().join("part.xml");
        std::fs::write(&file, bytes).unwrap();
        let judged = Command::new("xmllint")
            .args(["--nonet", "--noout", "--schema"])
            .args([schemas.join(schema), file])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&judged.stderr).into_owned();
        judged.status.success().then_some(()).ok_or(said)
    };
    let anchor = other_instance().anchor.to_xml();
    assert_eq!(
        judge(&anchor, "globalconf/v2/private-parameters.xsd"),
        Ok(()),
        "anchor"
    );
    for text in [FILE.to_owned(), rich()] {
        let mut world = World::of(&text);
        world.registry.federations.push(other_instance());
        for part in world.publish(None, now()).parts {
            let schema = match part.identifier {
                SHARED_PARAMETERS => format!("globalconf/v{}/shared-parameters.xsd", part.version),
                PRIVATE_PARAMETERS => format!("globalconf/v{}/private-parameters.xsd", part.version.min(3)),
                MONITORING => "monitoring-conf.xsd".into(),
                FETCH_INTERVAL => "ocsp-fetchinterval-conf.xsd".into(),
                NEXT_UPDATE => "ocsp-nextupdate-conf.xsd".into(),
                other => panic!("no schema of {other}"),
            };
            let judged = judge(&part.bytes, &schema);
            assert_eq!(judged, Ok(()), "version {} {}", part.version, part.identifier);
            println!("version {} {}: accepted", part.version, part.identifier);
            // The schema before, which knows less, refuses it: the judge does judge.
            if text != FILE && part.identifier == SHARED_PARAMETERS && part.version > 2 {
                let older = format!("globalconf/v{}/shared-parameters.xsd", part.version - 1);
                assert!(judge(&part.bytes, &older).is_err(), "{older}");
            }
        }
    }
}

/// Prints what a publication costs; `cargo test --release -p kontor-node --lib large_registry -- --ignored --nocapture`.
#[test]
#[ignore = "prints figures and judges none"]
fn what_a_large_registry_costs() {
    let mut world = World::of(FILE);
    let template = world.registry.servers[0].clone();
    for index in 0..10_000 {
        let id: kontor_protocol::id::MemberId = format!("TEST/GOV/{index}").parse().unwrap();
        let subsystems: Vec<String> = (0..3).map(|n| format!("s{n}")).collect();
        if index < 2000 {
            let mut server = template.clone();
            server.id = format!("{id}/ss").parse().unwrap();
            server.clients = vec![format!("{id}/s0").parse().unwrap()];
            world.registry.servers.push(server);
            world
                .certificates
                .servers
                .push(world.certificates.servers[0].clone());
        }
        world.registry.members.push(crate::authority::registry::Member {
            id,
            name: format!("Fictional member {index}"),
            subsystems,
            subsystem_names: Default::default(),
        });
    }
    let started = std::time::Instant::now();
    let first = world.publish(None, now());
    println!("made of a registry: {:?}", started.elapsed());
    let bytes: usize = first.parts.iter().map(|p| p.bytes.len()).sum();
    println!("{bytes} bytes in all versions");
    let signers = Signers {
        internal: &world.internal,
        external: &world.external,
    };
    let started = std::time::Instant::now();
    first
        .renewed(&world.registry, &world.certificates, signers, now())
        .unwrap();
    println!("signed anew: {:?}", started.elapsed());
}
