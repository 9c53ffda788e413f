//! Changed bytes never make a parser or verifier panic.

use kontor_pki::certificate::Certificate;
use kontor_pki::chain::build_path;
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::{CertStatus, OcspPolicy, OcspResponse, Responders, parse_request, request};
use kontor_pki::profile::CertificateProfile;
use kontor_pki::request::CertificateRequest;
use kontor_pki::timestamp::{TimestampToken, parse_query, parse_response, query};
use proptest::prelude::*;

use crate::world::{World, member};

/// Bytes of every kind that we read.
struct Seeds {
    world: World,
    bytes: Vec<Vec<u8>>,
}

impl Seeds {
    fn new() -> Self {
        let world = World::new();
        let subject = CertificateProfile::Basic.signing_subject(&member(), "x");
        let stamped = world.tsa.respond(&query(&sha512(b"data")), world.now, 1);
        let token = parse_response(&stamped)
            .unwrap()
            .with_certificate(world.tsa.certificate());
        let bytes = vec![
            world.sign.der().to_vec(),
            world.ca_certificate.der().to_vec(),
            CertificateRequest::write(&subject, &[], &*world.sign_key)
                .unwrap()
                .der()
                .to_vec(),
            request(&world.sign, &world.ca_certificate),
            world
                .responder
                .respond_for(
                    &world.sign,
                    &world.ca_certificate,
                    CertStatus::Good,
                    world.now,
                    None,
                )
                .unwrap(),
            query(&sha512(b"data")),
            stamped,
            token.der().to_vec(),
        ];
        Self { world, bytes }
    }

    fn read_all(&self, bytes: &[u8]) {
        let world = &self.world;
        if let Ok(certificate) = Certificate::parse(bytes) {
            let _ = build_path(
                &certificate,
                std::slice::from_ref(&certificate),
                &world.ca_certificate,
                world.now,
            );
            let _ = (
                certificate.serial_decimal(),
                certificate.subject().to_rfc2253(),
                certificate.is_signing(),
            );
            let _ = CertificateProfile::Ejbca.member(certificate.subject(), "TEST");
        }
        if let Ok(response) = OcspResponse::parse(bytes) {
            let responders = Responders {
                configured: &[],
                authorities: &[],
            };
            let policy = OcspPolicy::default();
            let _ = response.verify(
                &world.sign,
                &world.ca_certificate,
                &responders,
                &policy,
                world.now,
            );
        }
        let tsa = [world.tsa.certificate().clone()];
        for token in [TimestampToken::parse(bytes), parse_response(bytes)]
            .into_iter()
            .flatten()
        {
            let _ = token.verify(b"data", &tsa);
            let _ = token.with_certificate(&tsa[0]);
        }
        let _ = (
            CertificateRequest::parse(bytes),
            parse_request(bytes),
            parse_query(bytes),
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1))]

    #[test]
    fn changed_bytes_never_panic(changes in proptest::collection::vec(
        (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>(), 0_u8..4), 1500
    )) {
        let seeds = Seeds::new();
        for (seed, at, byte, how) in changes {
            let mut bytes = seed.get(&seeds.bytes).clone();
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at),
                2 => bytes.insert(at, byte),
                _ => {
                    bytes.remove(at);
                }
            }
            seeds.read_all(&bytes);
        }
    }
}
