use proptest::prelude::*;

use super::*;

fn field() -> impl Strategy<Value = String> {
    "[^/\\p{Cc}]{1,20}"
}

fn member() -> impl Strategy<Value = MemberId> {
    (field(), field(), field()).prop_map(|(i, c, m)| MemberId::new(&i, &c, &m).unwrap())
}

fn client() -> impl Strategy<Value = ClientId> {
    (member(), proptest::option::of(field())).prop_map(|(m, s)| match s {
        Some(s) => ClientId::subsystem_of(m, &s).unwrap(),
        None => m.into(),
    })
}

fn service() -> impl Strategy<Value = ServiceId> {
    (client(), field(), proptest::option::of(field()))
        .prop_map(|(c, s, v)| ServiceId::new(c, &s, v.as_deref()).unwrap())
}

proptest! {
    #[test]
    fn a_member_survives_both_forms(id in member()) {
        prop_assert_eq!(id.to_string().parse(), Ok(id.clone()));
        prop_assert_eq!(MemberId::parse_path(&id.to_path()), Ok(id));
    }

    #[test]
    fn a_client_survives_both_forms(id in client()) {
        prop_assert_eq!(id.to_string().parse(), Ok(id.clone()));
        prop_assert_eq!(ClientId::parse_path(&id.to_path()), Ok(id));
    }

    #[test]
    fn a_service_survives_text_and_json(id in service()) {
        prop_assert_eq!(id.to_string().parse(), Ok(id.clone()));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(serde_json::from_str::<ServiceId>(&json).unwrap(), id);
    }

    #[test]
    fn a_server_survives_both_forms(owner in member(), code in field()) {
        let id = ServerId::new(owner, &code).unwrap();
        prop_assert_eq!(id.to_string().parse(), Ok(id.clone()));
        prop_assert_eq!(ServerId::parse_path(&id.to_path()), Ok(id));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "\\PC*|[A-Z%/0-9]{0,40}") {
        let _ = text.parse::<ServiceId>();
        let _ = ServiceId::parse_path(&text);
        let _ = ClientId::parse_path(&text);
        let _ = text.parse::<GroupId>();
    }
}

#[test]
fn a_path_segment_is_decoded_as_utf_8_and_plus_stays_plus() {
    assert_eq!(decode_segment("F%C3%84CH+1").unwrap(), "FÄCH+1");
    assert_eq!(encode_segment("FÄCH+1 /"), "F%C3%84CH+1%20%2F");
}

#[test]
fn a_segment_with_raw_blank_letters_or_broken_escape_is_refused() {
    for bad in ["a b", "ä", "%", "%4", "%zz", "%C3", "a%2", "a\"b"] {
        assert_eq!(decode_segment(bad), Err(InvalidId::Encoding), "{bad}");
    }
}

#[test]
fn an_encoded_slash_cannot_forge_another_members_name() {
    assert_eq!(
        ClientId::parse_path("DE/GOV/1001%2FPORTAL"),
        Err(InvalidId::Character)
    );
    assert_eq!(ClientId::parse_path("DE/GOV/1001%0A"), Err(InvalidId::Character));
}

#[test]
fn empty_fields_and_wrong_counts_are_refused() {
    assert_eq!("DE/GOV/".parse::<MemberId>(), Err(InvalidId::Empty));
    assert!(matches!(
        "DE/GOV".parse::<ClientId>(),
        Err(InvalidId::Pieces { .. })
    ));
    assert!(matches!(
        ClientId::parse_path("a/b/c/d/e"),
        Err(InvalidId::Pieces { .. })
    ));
    assert!(matches!(
        ServiceId::parse_path("a/b/c/d"),
        Err(InvalidId::Pieces { .. })
    ));
    assert_eq!(
        MemberId::new("DE", "GOV", &"x".repeat(256)),
        Err(InvalidId::TooLong)
    );
}

#[test]
fn typed_strings_are_those_of_java_texts() {
    let client: ClientId = "DX/GOV/1001/PORTAL".parse().unwrap();
    assert_eq!(client.typed(), "SUBSYSTEM:DX/GOV/1001/PORTAL");
    assert_eq!(client.member().typed(), "MEMBER:DX/GOV/1001");
    assert_eq!(
        "DX/COM/2002/SVC/echo".parse::<ServiceId>().unwrap().typed(),
        "SERVICE:DX/COM/2002/SVC/echo"
    );
    assert_eq!(
        "DX/GOV/1001/ss1".parse::<ServerId>().unwrap().typed(),
        "SERVER:DX/GOV/1001/ss1"
    );
    assert_eq!("DX/all".parse::<GroupId>().unwrap().typed(), "GLOBALGROUP:DX/all");
}

#[test]
fn names_with_reserved_characters_are_read_but_not_registered() {
    assert!(ClientId::parse_path("DE/GOV/1001/a%3Ab").is_ok());
    assert!(!is_registrable("a:b"));
    assert!(is_registrable("Bäder und Parks"));
}
