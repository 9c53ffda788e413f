use kontor_pki::time::UnixTime;
use proptest::prelude::*;

use super::*;
use crate::trust::InstanceConfig;
use crate::trust::optional::OptionalParts;
use crate::trust::shared::{GlobalGroup, SharedParams};

fn client(text: &str) -> ClientId {
    text.parse().unwrap()
}

fn service(text: &str) -> ServiceId {
    text.parse().unwrap()
}

/// An instance whose group `all` holds one subsystem.
fn trust() -> TrustSet {
    let shared = SharedParams {
        instance: "DE".into(),
        groups: vec![GlobalGroup {
            id: "DE/all".parse().unwrap(),
            description: String::new(),
            members: vec![client("DE/GOV/1/a")],
        }],
        ..SharedParams::default()
    };
    let config = InstanceConfig {
        instance: "DE".into(),
        shared,
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: Some(UnixTime::from_secs(0)),
    };
    TrustSet::new("DE", vec![config]).unwrap()
}

fn rights(rights: &[(&str, &str, &str)]) -> AccessRights {
    let rights = rights.iter().map(|(subject, method, path)| Right {
        subject: subject.parse().unwrap(),
        method: method.parse().unwrap(),
        path: path.parse().unwrap(),
    });
    AccessRights::new([ServiceRights {
        service: service("DE/GOV/2/s/code"),
        disabled: None,
        rights: rights.collect(),
    }])
}

fn judge(rights: &AccessRights, who: &str, verb: Verb, path: &str) -> Result<Permit, FaultCode> {
    rights
        .judge(&trust(), &client(who), &service("DE/GOV/2/s/code"), verb, path)
        .map_err(|fault| fault.cause())
}

/// Whether `pattern` alone permits a GET of `path`.
fn permits(pattern: &str, path: &str) -> bool {
    judge(
        &rights(&[("DE/GOV/1/a", "GET", pattern)]),
        "DE/GOV/1/a",
        Verb::Get,
        path,
    )
    .is_ok()
}

const DENIED: Result<Permit, FaultCode> = Err(FaultCode::AccessDenied);

#[test]
fn nobody_has_a_right_by_default() {
    assert_eq!(judge(&rights(&[]), "DE/GOV/2/s", Verb::Get, "/"), DENIED);
    let none = AccessRights::default();
    assert_eq!(
        judge(&none, "DE/GOV/2/s", Verb::Get, "/"),
        Err(FaultCode::UnknownService)
    );
}

#[test]
fn a_right_is_for_exactly_one_client() {
    let rights = rights(&[("DE/GOV/1/a", "*", "**")]);
    let permit = judge(&rights, "DE/GOV/1/a", Verb::Delete, "/x").unwrap();
    assert_eq!(
        (permit.client(), permit.service()),
        (&client("DE/GOV/1/a"), &service("DE/GOV/2/s/code"))
    );
    for other in ["DE/GOV/1", "DE/GOV/1/b", "DE/GOV/1/A", "DE/GOV/2/a"] {
        assert_eq!(judge(&rights, other, Verb::Delete, "/x"), DENIED, "{other}");
    }
}

#[test]
fn a_group_gives_its_right_to_whom_it_lists() {
    let all = rights(&[("group:DE/all", "*", "**")]);
    assert!(judge(&all, "DE/GOV/1/a", Verb::Get, "").is_ok());
    assert_eq!(judge(&all, "DE/GOV/1", Verb::Get, ""), DENIED);
    assert_eq!(
        judge(
            &rights(&[("group:DE/none", "*", "**")]),
            "DE/GOV/1/a",
            Verb::Get,
            ""
        ),
        DENIED
    );
}

#[test]
fn verbs_are_told_apart() {
    let rights = rights(&[("DE/GOV/1/a", "GET", "**"), ("DE/GOV/1/a", "POST", "/in")]);
    assert!(judge(&rights, "DE/GOV/1/a", Verb::Get, "/any").is_ok());
    assert!(judge(&rights, "DE/GOV/1/a", Verb::Post, "/in").is_ok());
    assert_eq!(judge(&rights, "DE/GOV/1/a", Verb::Post, "/any"), DENIED);
    assert_eq!(judge(&rights, "DE/GOV/1/a", Verb::Head, "/in"), DENIED);
}

#[test]
fn a_disabled_service_tells_so_only_to_those_who_may_use_it() {
    let rights = AccessRights::new([ServiceRights {
        service: service("DE/GOV/2/s/code"),
        disabled: Some("back on Monday".into()),
        rights: vec![Right {
            subject: "DE/GOV/1/a".parse().unwrap(),
            method: Method::Any,
            path: PathPattern::everything(),
        }],
    }]);
    let ask = |who| {
        rights
            .judge(&trust(), &client(who), &service("DE/GOV/2/s/code"), Verb::Get, "")
            .unwrap_err()
    };
    assert_eq!(ask("DE/GOV/1/a").cause(), FaultCode::ServiceDisabled);
    assert!(ask("DE/GOV/1/a").text().contains("back on Monday"));
    assert_eq!(ask("DE/GOV/9/x").cause(), FaultCode::AccessDenied);
}

#[test]
fn stars_match_as_in_java() {
    for (pattern, path, fits) in [
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a", "/A", false),
        ("/a/*", "/a/b", true),
        ("/a/*", "/a/", true),
        ("/a/*", "/a/b/c", false),
        ("/a/**", "/a/b/c", true),
        ("/a/**", "/a", false),
        ("/*/c", "/b/c", true),
        ("/**/d", "/b/c/d", true),
        ("/**/d", "/d", false),
        ("/a*z", "/abcz", true),
        ("/a*z", "/ab/z", false),
        ("*", "", true),
        ("*", "/a", false),
        ("/\\*\\\\", "/*%5C", false),
        ("/\\*", "/*", true),
        ("/\\*", "/x", false),
        ("/b%C3%BCro", "/b%C3%BCro", false),
        ("/büro", "/b%C3%BCro", true),
        ("/a b", "/a%20b", true),
        ("/a", "", false),
    ] {
        assert_eq!(permits(pattern, path), fits, "{pattern} {path}");
    }
}

#[test]
fn a_path_that_can_be_read_in_two_ways_has_no_narrow_right() {
    for path in [
        "/a%2Fb",
        "/a/%2e%2e/b",
        "/a/../b",
        "//a/b",
        "/a%3Fb",
        "/a%23b",
        "/a%5Cb",
        "/a%00b",
        "/a%FFb",
        "/a%0Ab",
    ] {
        assert!(!permits("/**", path), "{path}");
        assert_eq!(
            permits("**", path),
            !path.contains("..") && !path.contains("%2e"),
            "{path}"
        );
    }
    // Escapes are decoded once only.
    assert!(permits("/%2F", "/%252F"));
    // A service that removes empty segments or dots would see another path.
    assert!(!permits("/a/*/x", "/a//x"));
    assert!(!permits("/a/*/x", "/a/./x"));
    assert!(!permits("/a/x", "/a//x"));
    assert!(permits("/a/**", "/a//x"));
    assert!(permits("/a/", "/a/"));
}

#[test]
fn raw_letters_beyond_ascii_fail_as_in_java() {
    assert_eq!(
        judge(
            &rights(&[("DE/GOV/1/a", "*", "**")]),
            "DE/GOV/1/a",
            Verb::Get,
            "/ä"
        ),
        Err(FaultCode::InternalError)
    );
}

#[test]
fn patterns_that_say_nothing_are_refused() {
    assert_eq!("a/b".parse::<PathPattern>(), Err(InvalidPattern::Start));
    assert_eq!("".parse::<PathPattern>(), Err(InvalidPattern::Start));
    assert_eq!("/a\\b".parse::<PathPattern>(), Err(InvalidPattern::Escape));
    assert_eq!("/a\\".parse::<PathPattern>(), Err(InvalidPattern::Escape));
    assert_eq!(
        "/".repeat(crate::limits::PATH_PATTERN + 1).parse::<PathPattern>(),
        Err(InvalidPattern::Length)
    );
    assert!("get".parse::<Method>().is_err());
}

#[test]
fn a_hostile_pattern_and_path_end_in_time() {
    let pattern = "/".to_owned() + &"*a**".repeat(200) + "c";
    assert!(!permits(&pattern, &("/".to_owned() + &"a".repeat(10_000))));
}

proptest! {
    #[test]
    fn a_pattern_survives_its_text(text in "[/*][/*a]{0,10}") {
        let pattern: PathPattern = text.parse().unwrap();
        prop_assert_eq!(pattern.to_string().parse::<PathPattern>().unwrap(), pattern);
    }

    #[test]
    fn every_narrow_right_is_within_the_whole_service(pattern in "[/*][/*ab.]{0,8}", path in "(/[ab.%2Fe]{0,4}){0,4}") {
        if permits(&pattern, &path) {
            prop_assert!(permits("**", &path));
        }
    }

    #[test]
    fn arbitrary_patterns_and_paths_never_panic(pattern in "\\PC*", path in "\\PC*") {
        if let Ok(pattern) = pattern.parse::<PathPattern>() {
            let _ = pattern::DecodedPath::new(&path).map(|path| path.fits(&pattern));
        }
    }
}
