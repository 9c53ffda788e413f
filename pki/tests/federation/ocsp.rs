//! The OCSP rules of wire 8.5, one by one, with responses of our own responder.

use std::sync::Arc;
use std::time::Duration;

use kontor_pki::UnixTime;
use kontor_pki::authority::{CertificateAuthority, OcspAnswer, OcspResponder, Validity};
use kontor_pki::certificate::Certificate;
use kontor_pki::ocsp::{
    CertId, CertStatus, OcspError, OcspPolicy, OcspResponse, OcspVerdict, Responders, parse_request, request,
};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _};

use crate::world::{HOUR, World, ca_params, key, key_algorithms};

const SECOND: Duration = Duration::from_secs(1);

fn nobody() -> Responders<'static> {
    Responders {
        configured: &[],
        authorities: &[],
    }
}

impl World {
    fn answer(&self, status: CertStatus, this: UnixTime, next: Option<UnixTime>) -> OcspResponse {
        let der = self
            .responder
            .respond_for(&self.sign, &self.ca_certificate, status, this, next)
            .unwrap();
        OcspResponse::parse(&der).unwrap()
    }

    fn judge(&self, response: &OcspResponse) -> Result<OcspVerdict, OcspError> {
        self.judge_with(response, &nobody(), &OcspPolicy::default())
    }

    fn judge_with(
        &self,
        response: &OcspResponse,
        responders: &Responders<'_>,
        policy: &OcspPolicy,
    ) -> Result<OcspVerdict, OcspError> {
        response.verify(&self.sign, &self.ca_certificate, responders, policy, self.now)
    }
}

#[test]
fn a_good_certificate_is_good_until_freshness_or_next_update_ends() {
    for kind in key_algorithms() {
        let world = World::with(kind);
        let this_update = world.now - Duration::from_secs(600);
        let response = world.answer(CertStatus::Good, this_update, None);
        let good_until = this_update + HOUR;
        assert_eq!(
            world.judge(&response),
            Ok(OcspVerdict {
                this_update,
                good_until
            })
        );
        let next = world.now + SECOND;
        let response = world.answer(CertStatus::Good, this_update, Some(next));
        assert_eq!(
            world.judge(&response),
            Ok(OcspVerdict {
                this_update,
                good_until: next
            })
        );
    }
}

#[test]
fn revoked_and_unknown_are_told_apart() {
    let world = World::new();
    let at = world.now - HOUR;
    let revoked = world.answer(CertStatus::Revoked { at }, world.now, None);
    assert_eq!(world.judge(&revoked), Err(OcspError::Revoked { at }));
    let unknown = world.answer(CertStatus::Unknown, world.now, None);
    assert_eq!(world.judge(&unknown), Err(OcspError::UnknownStatus));
}

#[test]
fn an_answer_is_too_old_one_second_after_the_freshness_of_the_verifier() {
    let world = World::new();
    let edge = world.answer(CertStatus::Good, world.now - HOUR, None);
    assert!(world.judge(&edge).is_ok());
    let this_update = world.now - HOUR - SECOND;
    let stale = world.answer(CertStatus::Good, this_update, None);
    assert_eq!(world.judge(&stale), Err(OcspError::Stale { this_update }));
}

#[test]
fn a_next_update_that_passed_counts_unless_configuration_says_otherwise() {
    let world = World::new();
    let next_update = world.now - SECOND;
    let overdue = world.answer(CertStatus::Good, world.now - SECOND * 60, Some(next_update));
    assert_eq!(world.judge(&overdue), Err(OcspError::Overdue { next_update }));
    let policy = OcspPolicy {
        verify_next_update: false,
        ..OcspPolicy::default()
    };
    assert!(world.judge_with(&overdue, &nobody(), &policy).is_ok());
}

#[test]
fn an_answer_from_the_future_is_refused_beyond_a_minute() {
    let world = World::new();
    let edge = world.answer(CertStatus::Good, world.now + SECOND * 60, None);
    assert!(world.judge(&edge).is_ok());
    let this_update = world.now + SECOND * 61;
    let future = world.answer(CertStatus::Good, this_update, None);
    assert_eq!(world.judge(&future), Err(OcspError::FromFuture { this_update }));
}

#[test]
fn only_a_sha_1_cert_id_of_the_first_answer_counts() {
    let world = World::new();
    let answer = |cert_id| OcspAnswer {
        cert_id,
        status: CertStatus::Good,
        this_update: world.now,
        next_update: None,
    };
    let right = answer(CertId::of(&world.sign, &world.ca_certificate));
    let other = answer(CertId::of(&world.auth, &world.ca_certificate));
    let sha256 = answer(CertId::sha256_of(&world.sign, &world.ca_certificate));
    let judge = |answers: &[OcspAnswer]| {
        let der = world.responder.sign(answers, world.now, None).unwrap();
        world.judge(&OcspResponse::parse(&der).unwrap())
    };
    assert!(judge(&[right.clone(), other.clone()]).is_ok());
    assert!(matches!(
        judge(&[other, right]),
        Err(OcspError::OtherCertificate(_))
    ));
    assert!(matches!(judge(&[sha256]), Err(OcspError::OtherCertificate(_))));
    let empty = world.responder.sign(&[], world.now, None).unwrap();
    assert!(matches!(
        OcspResponse::parse(&empty),
        Err(OcspError::Malformed(_))
    ));
}

fn responder_of(ca: &CertificateAuthority, now: UnixTime, subject: &str) -> OcspResponder {
    let key = key(KeyAlgorithm::EcdsaP256);
    let subject = Subject::common_name(subject);
    let certificate = ca
        .issue_ocsp_responder(key.public_key(), subject, Validity::days(now, 1))
        .unwrap();
    OcspResponder::new(certificate, key, HOUR).unwrap()
}

fn good(world: &World, responder: &OcspResponder) -> OcspResponse {
    let ca = &world.ca_certificate;
    OcspResponse::parse(
        &responder
            .respond_for(&world.sign, ca, CertStatus::Good, world.now, None)
            .unwrap(),
    )
    .unwrap()
}

#[test]
fn the_issuing_authority_may_answer_itself() {
    let world = World::new();
    let key = Arc::clone(world.ca.key());
    let responder = OcspResponder::new(world.ca_certificate.clone(), key, HOUR).unwrap();
    assert!(world.judge(&good(&world, &responder)).is_ok());
}

#[test]
fn a_foreign_responder_may_answer_only_where_the_issuer_is_configured_with_it() {
    let world = World::new();
    let other = CertificateAuthority::generate(&ca_params("Other", KeyAlgorithm::EcdsaP256, world.now));
    let other = other.unwrap();
    let foreign = responder_of(&other, world.now, "Foreign");
    let response = good(&world, &foreign);
    assert!(matches!(
        world.judge(&response),
        Err(OcspError::WrongResponder { .. })
    ));

    let authorities = [other.certificate().clone(), foreign.certificate().clone()];
    let known = Responders {
        configured: &[],
        authorities: &authorities,
    };
    let refused = world.judge_with(&response, &known, &OcspPolicy::default());
    assert!(matches!(refused, Err(OcspError::WrongResponder { .. })));

    let configured = [foreign.certificate().clone()];
    let configured = Responders {
        configured: &configured,
        authorities: &[],
    };
    assert!(
        world
            .judge_with(&response, &configured, &OcspPolicy::default())
            .is_ok()
    );
}

#[test]
fn a_certificate_of_the_issuer_without_the_purpose_may_not_answer() {
    let world = World::new();
    let responder = OcspResponder::new(world.sign.clone(), world.sign_key.clone(), HOUR).unwrap();
    assert!(matches!(
        world.judge(&good(&world, &responder)),
        Err(OcspError::WrongResponder { .. })
    ));
}

#[test]
fn a_changed_answer_is_refused_wherever_it_was_changed() {
    let world = World::new();
    let response = world.answer(CertStatus::Revoked { at: world.now }, world.now, None);
    let der = response.der();
    let mut refused = 0;
    for at in 0..der.len() {
        for bit in [1, 0x80] {
            let mut changed = der.to_vec();
            changed[at] ^= bit;
            if let Ok(changed) = OcspResponse::parse(&changed) {
                assert!(world.judge(&changed).is_err(), "byte {at}");
                refused += 1;
            }
        }
    }
    assert!(refused > 100);
}

#[test]
fn the_responder_answers_what_it_is_asked_and_the_authority_remembers_revocations() {
    let mut world = World::new();
    let asked = request(&world.sign, &world.ca_certificate);
    let parsed = parse_request(&asked).unwrap();
    assert_eq!(parsed.ids, [CertId::of(&world.sign, &world.ca_certificate)]);
    assert_eq!(parsed.nonce, None);
    let ask = |world: &World| {
        let der = world
            .responder
            .respond(&asked, world.now, &|id| world.ca.status(id));
        world.judge(&OcspResponse::parse(&der).unwrap())
    };
    assert!(ask(&world).is_ok());
    let serial = world.sign.serial().to_vec();
    world.ca.revoke(&serial, world.now);
    assert_eq!(ask(&world), Err(OcspError::Revoked { at: world.now }));

    let foreign = CertId {
        issuer_key_hash: vec![0; 20],
        ..parsed.ids[0].clone()
    };
    assert_eq!(world.ca.status(&foreign), CertStatus::Unknown);
    assert_eq!(
        world
            .ca
            .status(&CertId::sha256_of(&world.auth, &world.ca_certificate)),
        CertStatus::Good
    );

    let der = world
        .responder
        .respond(b"not a request", world.now, &|_| CertStatus::Good);
    assert_eq!(OcspResponse::parse(&der), Err(OcspError::Unsuccessful(1)));
}

#[test]
fn an_answer_about_one_certificate_does_not_serve_another() {
    let world = World::new();
    let response = world.answer(CertStatus::Good, world.now, None);
    let judge = |subject: &Certificate, issuer: &Certificate| {
        response.verify(subject, issuer, &nobody(), &OcspPolicy::default(), world.now)
    };
    assert!(matches!(
        judge(&world.auth, &world.ca_certificate),
        Err(OcspError::OtherCertificate(_))
    ));
    assert!(matches!(
        judge(&world.sign, &world.auth),
        Err(OcspError::OtherCertificate(_))
    ));
}
