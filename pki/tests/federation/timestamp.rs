//! Tokens of our own time-stamp authority, and what changes in them do.

use kontor_pki::UnixTime;
use kontor_pki::crypto::sha512;
use kontor_pki::timestamp::{TimestampError, TimestampToken, parse_response, query};

use crate::world::{World, at, key_algorithms};

fn stamp(world: &World, data: &[u8], now: UnixTime) -> TimestampToken {
    parse_response(&world.tsa.respond(&query(&sha512(data)), now, 7)).unwrap()
}

#[test]
fn a_token_verifies_with_the_approved_certificate_and_no_other() {
    for kind in key_algorithms() {
        let world = World::with(kind);
        let now = at("2026-01-31T12:00:00.250Z");
        let token = stamp(&world, b"data", now);
        assert_eq!(token.gen_time(), now);
        let approved = [world.sign.clone(), world.tsa.certificate().clone()];
        assert_eq!(
            token.verify(b"data", &approved),
            Ok(world.tsa.certificate().clone())
        );
        assert_eq!(token.verify(b"other", &approved), Err(TimestampError::Imprint));
        assert_eq!(
            token.verify(b"data", &approved[..1]),
            Err(TimestampError::UnknownSigner)
        );
    }
}

#[test]
fn the_certificate_is_added_for_storage_without_touching_the_signature() {
    let world = World::new();
    let token = stamp(&world, b"data", world.now);
    let tsa = world.tsa.certificate();
    assert!(!token.contains(tsa), "it was not asked for");
    let stored = token
        .with_certificate(tsa)
        .with_certificate(&world.ca_certificate);
    assert!(stored.contains(tsa) && stored.contains(&world.ca_certificate));
    assert!(stored.verify(b"data", std::slice::from_ref(tsa)).is_ok());
    assert_eq!(TimestampToken::parse(stored.der()), Ok(stored.clone()));
    assert_eq!(stored.with_certificate(tsa), stored);
}

#[test]
fn a_twin_certificate_with_issuer_and_serial_but_another_key_is_refused() {
    let (world, other) = (World::new(), World::new());
    let token = stamp(&world, b"data", world.now);
    let refused = token.verify(b"data", &[other.tsa.certificate().clone()]);
    assert_eq!(
        refused,
        Err(TimestampError::UnknownSigner),
        "serial numbers differ"
    );
}

#[test]
fn a_changed_token_is_refused_wherever_it_was_changed() {
    let world = World::new();
    let token = stamp(&world, b"data", world.now);
    let approved = [world.tsa.certificate().clone()];
    let mut survivors = Vec::new();
    for at in 0..token.der().len() {
        for bit in [1, 0x40] {
            let mut changed = token.der().to_vec();
            changed[at] ^= bit;
            if let Ok(changed) = TimestampToken::parse(&changed)
                && changed.verify(b"data", &approved).is_ok()
            {
                assert_eq!(changed.gen_time(), token.gen_time());
                survivors.push(at);
            }
        }
    }
    // Version numbers and the unsigned list of digest algorithms carry nothing that is relied on.
    assert!(survivors.len() < 40, "{survivors:?}");
}

#[test]
fn the_authority_refuses_what_it_does_not_stamp() {
    let world = World::new();
    let refused = |query: &[u8]| parse_response(&world.tsa.respond(query, world.now, 1)).unwrap_err();
    assert!(matches!(
        refused(b"not a query"),
        TimestampError::Refused { status: 2, .. }
    ));
    let mut sha1 = kontor_pki::der::Writer::new();
    sha1.sequence(|w| {
        w.integer(1);
        w.sequence(|w| {
            w.sequence(|w| {
                w.oid(&[0x2b, 0x0e, 3, 2, 26]);
            });
            w.octet_string(&[0; 20]);
        });
    });
    assert!(matches!(
        refused(&sha1.finish()),
        TimestampError::Refused { status: 2, .. }
    ));
}
