//! Keys of an issuer with real sockets: fetched once, fetched anew, and what happens when they cannot be.

use std::net::SocketAddr;
use std::time::Duration;

use kontor_conformance::authority::{pem, stranger};
use kontor_conformance::issuer::{self, AUDIENCE, Algorithm, Answers};
use kontor_conformance::wire::tls;
use kontor_pki::authority::Validity;
use kontor_pki::profile::Subject;
use kontor_pki::signing::{KeyAlgorithm, SigningKey, SoftwareKey};
use kontor_pki::token::TokenAlgorithm;

use super::issuer::Pace;
use super::*;
use crate::config::EgressSettings;
use crate::config::casework::oidc::Authorities;

const DAY: Duration = Duration::from_secs(86_400);
/// Nothing is too soon, and nothing is old.
const EAGER: Pace = Pace {
    floor: Duration::ZERO,
    fresh: DAY,
    usable: DAY,
};

fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

async fn serving(algorithm: Algorithm) -> issuer::Issuer {
    issuer::Issuer::start(anywhere(), algorithm).await.unwrap()
}

fn settings(served: &issuer::Issuer) -> TokenIssuer {
    TokenIssuer {
        issuer: served.url(),
        audience: AUDIENCE.into(),
        algorithms: TokenAlgorithm::ALL.into(),
        role_claim: "groups".into(),
        roles: [("sachbearbeitung".to_owned(), [Role::Worker].into())].into(),
        unit_claim: None,
        leeway: Duration::ZERO,
        ca: None,
    }
}

fn paced(served: &issuer::Issuer, pace: Pace) -> Arc<Issuer> {
    Issuer::paced(settings(served), &EgressSettings::default(), pace)
}

fn token_of(served: &issuer::Issuer) -> String {
    served.token(&served.claims("anna", &[], &[])).unwrap()
}

async fn judged(issuer: &Arc<Issuer>, token: &str) -> Result<(), Unverified> {
    issuer.verify(&Token::parse(token).unwrap()).await.map(|_| ())
}

/// Time passes at once.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

const UNKNOWN: Result<(), Unverified> = Err(Unverified::Token(TokenError::UnknownKey));
const FORGED: Result<(), Unverified> = Err(Unverified::Token(TokenError::Signature));
const UNREACHABLE: Result<(), Unverified> = Err(Unverified::Unreachable);

#[tokio::test]
async fn keys_of_every_kind_are_fetched_once_and_serve_without_their_issuer() {
    let mut algorithms = vec![Algorithm::Es256, Algorithm::EdDsa];
    if cfg!(feature = "aws-lc") {
        algorithms.extend([Algorithm::Rs256, Algorithm::Ps256]);
    }
    for algorithm in algorithms {
        let mut served = serving(algorithm).await;
        let issuer = paced(&served, EAGER);
        let token = token_of(&served);
        assert_eq!(judged(&issuer, &token).await, Ok(()), "{algorithm:?}");
        served.stop();
        assert_eq!(judged(&issuer, &token).await, Ok(()), "{algorithm:?}");
        let forged = format!("{}AAAA", &token[..token.len() - 4]);
        assert_eq!(judged(&issuer, &forged).await, FORGED, "{algorithm:?}");
        assert_eq!(served.fetched(), 1);
    }
}

#[tokio::test]
async fn an_algorithm_that_the_configuration_leaves_out_is_refused_without_a_question() {
    let served = serving(Algorithm::Es256).await;
    let mut settings = settings(&served);
    settings.algorithms = [TokenAlgorithm::EdDsa].into();
    let issuer = Issuer::paced(settings, &EgressSettings::default(), EAGER);
    let refused = Err(Unverified::Token(TokenError::Algorithm));
    assert_eq!(judged(&issuer, &token_of(&served)).await, refused);
    assert_eq!(served.fetched(), 0);
}

#[tokio::test]
async fn another_key_is_found_at_once_but_nobody_makes_the_issuer_be_asked_more_often_than_the_floor() {
    let served = serving(Algorithm::Es256).await;
    let issuer = paced(&served, Pace { floor: DAY, ..EAGER });
    let first = token_of(&served);
    assert_eq!(judged(&issuer, &first).await, Ok(()));
    served.rotate(Algorithm::EdDsa).unwrap();
    let second = token_of(&served);
    for _ in 0..20 {
        assert_eq!(judged(&issuer, &second).await, UNKNOWN);
    }
    assert_eq!(served.fetched(), 1);
    let eager = paced(&served, EAGER);
    assert_eq!(judged(&eager, &second).await, Ok(()));
    served.rotate(Algorithm::Es256).unwrap();
    assert_eq!(judged(&eager, &token_of(&served)).await, Ok(()));
    assert_eq!(judged(&eager, &second).await, UNKNOWN);
    // A token that names no key may be signed by a new one.
    served.rotate(Algorithm::Es256).unwrap();
    let unnamed = served.token_with(&served.claims("anna", &[], &[]), |header| {
        header.as_object_mut().unwrap().remove("kid");
    });
    assert_eq!(judged(&eager, &unnamed.unwrap()).await, Ok(()));
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_properly_is_told_from_a_token_that_is_wrong() {
    let mut served = serving(Algorithm::Es256).await;
    let issuer = paced(&served, EAGER);
    let token = token_of(&served);
    for how in [Answers::Fails, Answers::ForAnother, Answers::Nonsense] {
        served.answers(how);
        assert_eq!(judged(&issuer, &token).await, UNREACHABLE, "{how:?}");
    }
    served.stop();
    assert_eq!(judged(&issuer, &token).await, UNREACHABLE);
    served.serve().await.unwrap();
    served.answers(Answers::Properly);
    assert_eq!(judged(&issuer, &token).await, Ok(()));
    // A key that is not known may be a new one: nobody can say.
    served.rotate(Algorithm::Es256).unwrap();
    let other = token_of(&served);
    served.answers(Answers::Fails);
    assert_eq!(judged(&issuer, &other).await, UNREACHABLE);
    assert_eq!(judged(&issuer, &token).await, Ok(()));
}

#[tokio::test]
async fn old_keys_are_looked_at_again_behind_the_back_of_whoever_comes_and_end_when_nobody_confirms_them() {
    let served = serving(Algorithm::Es256).await;
    let hour = Duration::from_secs(3600);
    let pace = Pace {
        fresh: hour,
        usable: 12 * hour,
        ..EAGER
    };
    let issuer = paced(&served, pace);
    let first = token_of(&served);
    assert_eq!(judged(&issuer, &first).await, Ok(()));
    pass(hour).await;
    served.rotate(Algorithm::Es256).unwrap();
    // The token is judged by what is known, and the key that was withdrawn is gone soon after.
    assert_eq!(judged(&issuer, &first).await, Ok(()));
    while judged(&issuer, &first).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let second = token_of(&served);
    assert_eq!(judged(&issuer, &second).await, Ok(()));
    served.answers(Answers::Fails);
    pass(11 * hour).await;
    assert_eq!(judged(&issuer, &second).await, Ok(()));
    pass(hour).await;
    assert_eq!(judged(&issuer, &second).await, UNREACHABLE);
}

#[tokio::test]
async fn whoever_goes_away_while_keys_are_fetched_does_not_stop_that() {
    let served = serving(Algorithm::Es256).await;
    let issuer = paced(&served, Pace { floor: DAY, ..EAGER });
    let token = token_of(&served);
    {
        let parsed = Token::parse(&token).unwrap();
        let mut waiting = Box::pin(issuer.verify(&parsed));
        assert!(futures_util::poll!(&mut waiting).is_pending());
    }
    assert_eq!(judged(&issuer, &token).await, Ok(()));
    assert_eq!(served.fetched(), 1);
}

#[tokio::test]
async fn keys_come_by_tls_from_whom_the_named_authority_vouches_for_and_from_nobody_else() {
    let ca = stranger().unwrap();
    let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
    let subject = Subject::common_name("issuer");
    let validity = Validity::days(kontor_conformance::clock::now(), 1);
    let names = ["127.0.0.1".to_owned()];
    let certificate = ca
        .issue_authentication(key.public_key(), subject, &names, validity)
        .unwrap();
    let identity = tls::Identity {
        chain: vec![certificate.der().to_vec()],
        pkcs8: key.to_pkcs8().to_vec(),
    };
    let tls = tls::server(&identity, tls::Ask::Nothing, rustls::ALL_VERSIONS).unwrap();
    let served = issuer::Issuer::start_secure(anywhere(), Algorithm::Es256, tls)
        .await
        .unwrap();
    let token = token_of(&served);
    let dir = tempfile::tempdir().unwrap();
    let trusting = |name: &str, authority: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, pem(authority)).unwrap();
        let mut settings = settings(&served);
        settings.ca = Some(Authorities {
            path,
            digest: [0; 32],
        });
        Issuer::paced(settings, &EgressSettings::default(), EAGER)
    };
    let right = trusting("right.pem", ca.certificate().der());
    assert_eq!(judged(&right, &token).await, Ok(()));
    let wrong = trusting("wrong.pem", stranger().unwrap().certificate().der());
    assert_eq!(judged(&wrong, &token).await, UNREACHABLE);
    // Without a file, those of [egress]; and a file that is gone lets in nobody.
    let egress = EgressSettings {
        ca: Some(dir.path().join("right.pem")),
        ..EgressSettings::default()
    };
    let own = Issuer::paced(settings(&served), &egress, EAGER);
    assert_eq!(judged(&own, &token).await, Ok(()));
    let mut gone = settings(&served);
    gone.ca = Some(Authorities {
        path: dir.path().join("gone.pem"),
        digest: [0; 32],
    });
    let gone = Issuer::paced(gone, &egress, EAGER);
    assert_eq!(judged(&gone, &token).await, UNREACHABLE);
}
