//! Certificates that the authority issues, and paths over them.

use std::sync::Arc;
use std::time::Duration;

use kontor_pki::authority::{AuthorityError, CertificateAuthority, Leaf, Usage, Validity};
use kontor_pki::certificate::{Attribute, Certificate, CertificateError};
use kontor_pki::chain::{MAX_INTERMEDIATES, PathError, build_path};
use kontor_pki::profile::{CertificateProfile, ProfileMember, Subject};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _};

use crate::world::{World, ca_params, key, key_algorithms, member};

#[test]
fn signing_and_authentication_certificates_are_strictly_separate() {
    for kind in key_algorithms() {
        let world = World::with(kind);
        let uses = |certificate: &Certificate| (certificate.is_signing(), certificate.is_authentication());
        assert_eq!(uses(&world.sign), (Ok(true), Ok(false)));
        assert_eq!(uses(&world.auth), (Ok(false), Ok(true)));
        assert!(world.responder.certificate().has_ocsp_signing());
        assert!(world.tsa.certificate().has_time_stamping());
        assert!(world.ca_certificate.is_ca() && world.ca_certificate.self_signed());
        assert!(!world.sign.is_ca());
        assert_eq!(world.sign.key_algorithm(), Some(kind));
        assert_eq!(world.sign.verify_issued_by(&world.ca_certificate), Ok(()));
    }
}

#[test]
fn a_certificate_without_usage_is_neither() {
    let world = World::new();
    let leaf = Leaf {
        public_key: world.sign_key.public_key(),
        subject: Subject::common_name("nothing"),
        usage: Usage::Unspecified,
        validity: Validity::days(world.now, 1),
        dns_names: &[],
    };
    let certificate = world.ca.issue(&leaf).unwrap();
    assert!(matches!(
        certificate.is_signing(),
        Err(CertificateError::NoKeyUsage(_))
    ));
    assert!(matches!(
        certificate.is_authentication(),
        Err(CertificateError::NoKeyUsage(_))
    ));
}

#[test]
fn everything_a_test_authority_issues_is_marked_as_test() {
    let world = World::new();
    for certificate in [
        &world.sign,
        &world.auth,
        &world.ca_certificate,
        world.tsa.certificate(),
    ] {
        assert!(certificate.is_test(), "{certificate:?}");
    }
    let below = world
        .ca
        .intermediate(&kontor_pki::authority::CaParams {
            test: false,
            ..ca_params("Below", KeyAlgorithm::EcdsaP256, world.now)
        })
        .unwrap();
    assert!(below.certificate().is_test());

    let real = kontor_pki::authority::CaParams {
        test: false,
        ..ca_params("Real", KeyAlgorithm::EcdsaP256, world.now)
    };
    let real = CertificateAuthority::generate(&real).unwrap();
    let subject = Subject::common_name("x").with(Attribute::OrganizationalUnit, "TEST");
    let leaf = real
        .issue_signing(world.sign_key.public_key(), subject, Validity::days(world.now, 1))
        .unwrap();
    assert!(!leaf.is_test(), "the mark is needed in the issuer, too");
}

#[test]
fn the_subject_of_an_issued_certificate_names_the_member_by_its_profile() {
    let world = World::new();
    for profile in [CertificateProfile::Ejbca, CertificateProfile::Basic] {
        for instance in ["DE", "TEST", "KÖLN TEST"] {
            let member = ProfileMember {
                instance: instance.to_owned(),
                ..member()
            };
            let subject = profile.signing_subject(&member, "Stadt Köln");
            let validity = Validity::days(world.now, 1);
            let certificate = world
                .ca
                .issue_signing(world.sign_key.public_key(), subject, validity)
                .unwrap();
            assert_eq!(profile.member(certificate.subject(), instance), Ok(member));
        }
    }
}

#[test]
fn serial_numbers_are_random_and_positive() {
    let world = World::new();
    assert_ne!(world.sign.serial(), world.auth.serial());
    assert_eq!(world.sign.serial().len(), 16);
    assert!(!world.sign.serial_decimal().starts_with('-'));
}

#[test]
fn an_authority_taken_up_again_issues_under_the_same_name() {
    for kind in key_algorithms() {
        let world = World::with(kind);
        let again =
            CertificateAuthority::from_parts(world.ca_certificate.clone(), Arc::clone(world.ca.key()));
        let again = again.unwrap();
        let subject = Subject::common_name("later");
        let later = again
            .issue_signing(world.sign_key.public_key(), subject, Validity::days(world.now, 1))
            .unwrap();
        assert_eq!(later.verify_issued_by(&world.ca_certificate), Ok(()));
        let other = CertificateAuthority::from_parts(world.sign.clone(), Arc::clone(&world.sign_key));
        assert!(matches!(other, Err(AuthorityError::Parts(_))));
        let other =
            CertificateAuthority::from_parts(world.ca_certificate.clone(), Arc::clone(&world.sign_key));
        assert!(matches!(other, Err(AuthorityError::Parts(_))));
    }
}

#[test]
fn a_subject_with_an_attribute_twice_is_refused() {
    let world = World::new();
    let subject = Subject::common_name("one").with(Attribute::CommonName, "two");
    let issued = world
        .ca
        .issue_signing(world.sign_key.public_key(), subject, Validity::days(world.now, 1));
    assert_eq!(issued, Err(AuthorityError::Subject));
}

/// Root, two authorities below it, and a leaf below the second.
struct Chain {
    world: World,
    first: CertificateAuthority,
    leaf: Certificate,
}

fn chain() -> Chain {
    let world = World::new();
    let first = world
        .ca
        .intermediate(&ca_params("First", KeyAlgorithm::EcdsaP384, world.now))
        .unwrap();
    let subject = CertificateProfile::Ejbca.signing_subject(&member(), "");
    let validity = Validity::days(world.now, 100);
    let leaf = first
        .issue_signing(world.sign_key.public_key(), subject, validity)
        .unwrap();
    Chain { world, first, leaf }
}

#[test]
fn a_path_leads_over_the_intermediates_that_are_needed() {
    let Chain { world, first, leaf } = chain();
    let anchor = &world.ca_certificate;
    let extra = world.auth.clone();
    let path = build_path(&leaf, &[extra, first.certificate().clone()], anchor, world.now).unwrap();
    assert_eq!(path, [leaf.clone(), first.certificate().clone()]);
    // X-Road anchors a path at the direct issuer even if that is an intermediate authority (wire 3.3).
    assert_eq!(
        build_path(&leaf, &[], first.certificate(), world.now).unwrap(),
        std::slice::from_ref(&leaf)
    );
    assert!(matches!(
        build_path(&leaf, &[], anchor, world.now),
        Err(PathError::NoIssuer(_))
    ));
}

#[test]
fn validity_is_judged_at_the_instant_given() {
    let Chain { world, first, leaf } = chain();
    let between = [first.certificate().clone()];
    let build = |at| build_path(&leaf, &between, &world.ca_certificate, at);
    let day = Duration::from_secs(86_400);
    assert!(build(leaf.not_before()).is_ok());
    assert!(build(leaf.not_after()).is_ok());
    assert!(matches!(
        build(leaf.not_after() + day),
        Err(PathError::Expired { .. })
    ));
    assert!(matches!(
        build(leaf.not_before() - day),
        Err(PathError::NotYetValid { .. })
    ));
}

#[test]
fn a_rogue_authority_of_the_same_name_is_refused() {
    let Chain { world, first, .. } = chain();
    let rogue = CertificateAuthority::generate(&ca_params("Test CA", KeyAlgorithm::EcdsaP256, world.now));
    let rogue = rogue.unwrap();
    let subject = Subject::common_name("1001");
    let leaf = rogue
        .issue_signing(world.sign_key.public_key(), subject, Validity::days(world.now, 1))
        .unwrap();
    assert_eq!(leaf.issuer(), world.ca_certificate.subject());
    let refused = build_path(
        &leaf,
        &[first.certificate().clone()],
        &world.ca_certificate,
        world.now,
    );
    assert!(matches!(refused, Err(PathError::Signature(_))));
}

#[test]
fn a_leaf_cannot_play_the_authority_nor_a_limited_authority_make_another() {
    let world = World::new();
    let below = |ca: &CertificateAuthority, name| {
        ca.intermediate(&ca_params(name, KeyAlgorithm::EcdsaP256, world.now))
            .unwrap()
    };
    let first = below(&world.ca, "First");
    let second = below(&first, "Second");
    let subject = Subject::common_name("1001");
    let validity = Validity::days(world.now, 1);
    let leaf = second
        .issue_signing(world.sign_key.public_key(), subject, validity)
        .unwrap();
    let between = [second.certificate().clone(), first.certificate().clone()];
    let refused = build_path(&leaf, &between, &world.ca_certificate, world.now);
    assert!(matches!(refused, Err(PathError::NotAuthority(_))), "{refused:?}");
}

#[test]
fn search_is_bounded_in_depth_and_width() {
    let world = World::new();
    let many = vec![world.auth.clone(); MAX_INTERMEDIATES + 1];
    assert_eq!(
        build_path(&world.sign, &many, &world.ca_certificate, world.now),
        Err(PathError::TooLong)
    );

    let mut authorities =
        vec![CertificateAuthority::generate(&ca_params("Root", KeyAlgorithm::EcdsaP256, world.now)).unwrap()];
    for depth in 0..8 {
        let last = authorities.last().unwrap();
        let params = ca_params(&format!("Depth {depth}"), KeyAlgorithm::EcdsaP256, world.now);
        authorities.push(last.intermediate(&params).unwrap());
    }
    let between: Vec<_> = authorities
        .iter()
        .skip(1)
        .map(|ca| ca.certificate().clone())
        .collect();
    let leaf = authorities
        .last()
        .unwrap()
        .issue_signing(
            world.sign_key.public_key(),
            Subject::common_name("x"),
            Validity::days(world.now, 1),
        )
        .unwrap();
    let refused = build_path(&leaf, &between, authorities[0].certificate(), world.now);
    assert_eq!(refused, Err(PathError::TooLong));
}

#[test]
fn a_bad_issuer_of_the_right_name_does_not_hide_the_good_one() {
    let Chain { world, first, leaf } = chain();
    // The same name with another key, tried first.
    let twin = world
        .ca
        .intermediate(&ca_params("First", KeyAlgorithm::EcdsaP384, world.now))
        .unwrap();
    let between = [twin.certificate().clone(), first.certificate().clone()];
    let path = build_path(&leaf, &between, &world.ca_certificate, world.now).unwrap();
    assert_eq!(path[1], *first.certificate());
}

#[test]
fn a_public_key_of_another_kind_is_not_certified() {
    let world = World::new();
    let issue = |spki: &[u8]| {
        world
            .ca
            .issue_signing(spki, Subject::common_name("x"), Validity::days(world.now, 1))
    };
    assert_eq!(issue(b"no key"), Err(AuthorityError::PublicKey));
    let other = key(KeyAlgorithm::EcdsaP384);
    assert!(issue(other.public_key()).is_ok());
}
