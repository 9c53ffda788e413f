//! Rights on paths (wire 2.10): one decoding, then segments. Against a decoder and a matcher that are written here
//! anew and know nothing of ours.
//!
//! Input: the pattern, a line feed, the service path as it was sent.
#![no_main]

use std::sync::LazyLock;

use kontor_pki::time::UnixTime;
use kontor_protocol::access::{AccessRights, Method, PathPattern, Right, ServiceRights};
use kontor_protocol::id::{ClientId, ServiceId};
use kontor_protocol::rest::Verb;
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::shared::SharedParams;
use kontor_protocol::trust::{InstanceConfig, TrustSet};
use libfuzzer_sys::fuzz_target;

struct World {
    trust: TrustSet,
    client: ClientId,
    service: ServiceId,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let config = InstanceConfig {
        instance: "DX".to_owned(),
        shared: SharedParams {
            instance: "DX".to_owned(),
            ..SharedParams::default()
        },
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: Some(UnixTime::from_secs(0)),
    };
    World {
        trust: TrustSet::new("DX", vec![config]).expect("the own instance is there"),
        client: "DX/GOV/1/a".parse().expect("an identifier"),
        service: "DX/GOV/2/s/code".parse().expect("an identifier"),
    }
});

fn permits(pattern: PathPattern, path: &str) -> bool {
    let rights = AccessRights::new([ServiceRights {
        service: WORLD.service.clone(),
        disabled: None,
        rights: vec![Right {
            subject: "DX/GOV/1/a".parse().expect("a subject"),
            method: Method::Any,
            path: pattern,
        }],
    }]);
    rights
        .judge(&WORLD.trust, &WORLD.client, &WORLD.service, Verb::Get, path)
        .is_ok()
}

/// What a server sees that decodes once.
fn decoded(path: &str) -> Option<String> {
    let mut octets = Vec::new();
    let mut rest = path.bytes();
    while let Some(octet) = rest.next() {
        octets.push(if octet == b'%' {
            let pair = [rest.next()?, rest.next()?];
            u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?
        } else {
            octet
        });
    }
    String::from_utf8(octets).ok()
}

/// One way at a time, so for short texts only.
fn fits(pattern: &[char], path: &[char]) -> bool {
    let any = |rest: &[char], stops: bool| {
        (0..=path.len())
            .take_while(|read| !stops || !path[..*read].contains(&'/'))
            .any(|read| fits(rest, &path[read..]))
    };
    match pattern {
        [] => path.is_empty(),
        ['*', '*', rest @ ..] => any(rest, false),
        ['*', rest @ ..] => any(rest, true),
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            path.first() == Some(literal) && fits(rest, &path[1..])
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Some((written, path)) = text.split_once('\n') else {
        return;
    };
    let Ok(pattern) = written.parse::<PathPattern>() else {
        return;
    };
    let everything = pattern.is_everything();
    if !permits(pattern, path) {
        return;
    }
    assert!(
        permits(PathPattern::everything(), path),
        "a narrow right is within the whole service"
    );
    if everything {
        return;
    }
    let seen = decoded(path).expect("a narrow right rests on a path that can be decoded");
    assert!(!seen.contains(|c: char| c.is_control() || ['\\', '?', '#'].contains(&c)));
    assert!(seen.split('/').all(|segment| segment != ".."));
    assert_eq!(
        seen.matches('/').count(),
        path.matches('/').count(),
        "an escaped solidus makes no segment"
    );
    if written.chars().count() + seen.chars().count() <= 24 {
        let (pattern, path): (Vec<_>, Vec<_>) = (written.chars().collect(), seen.chars().collect());
        assert!(fits(&pattern, &path), "{written} does not permit {seen}");
    }
});
