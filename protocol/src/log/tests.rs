use proptest::prelude::*;

use super::*;
use crate::id::{ClientId, MemberId, ServerId, ServiceId};

fn example() -> Leaf {
    Leaf {
        kind: EntryKind::Request,
        direction: Direction::Sent,
        test: true,
        size_class: 11,
        log_id: [7; 32],
        number: 258,
        second: 1_772_445_600,
        period: 202_603,
        client: Some("TEST/GOV/1/A".parse().unwrap()),
        service: Some(ServiceId::new("TEST/GOV/2/B".parse().unwrap(), "svc", None).unwrap()),
        client_server: Some("TEST/GOV/1/s1".parse().unwrap()),
        provider_server: None,
        retention: Retention {
            head: Some("case".parse().unwrap()),
            body: None,
            evidence: Some("case".parse().unwrap()),
        },
        commitment: [9; 32],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn the_bytes_of_a_leaf_are_frozen() {
    let client = "04 0004 54455354 0003 474f56 0001 31 0001 41";
    let provider = "04 0004 54455354 0003 474f56 0001 32 0001 42";
    let server = "04 0004 54455354 0003 474f56 0001 31 0002 7331";
    let wanted = format!(
        "01 01 01 01 0b {} 0000000000000102 0000000069a55fa0 0003176b {client} {provider} 0003 737663 0000 \
         {server} 00 0004 63617365 0000 0004 63617365 {}",
        "07".repeat(32),
        "09".repeat(32)
    );
    assert_eq!(hex(&example().to_bytes()), wanted.replace(' ', ""));
}

#[test]
fn the_commitment_is_frozen() {
    let list = encode_parts(&[Part {
        name: "message.xml",
        length: 3,
        digest: &[1; 64],
    }]);
    assert_eq!(
        hex(&list),
        format!(
            "0001000b6d6573736167652e786d6c0000000000000003{}",
            "01".repeat(64)
        )
    );
    // Computed with Python's hashlib: SHA-256("kontor/leaf/1" ‖ 02×32 ‖ SHA-512(list)).
    assert_eq!(
        hex(&commitment(&[2; 32], &list)),
        "3e14f2154cfc347d4d909973f3e17321194046bf9171ba74014639a851ff1187"
    );
}

#[test]
fn sizes_are_told_as_powers_of_two_only() {
    let classes = [0, 1, 2, 3, 4, 1023, 1024, u64::MAX].map(Leaf::size_class);
    assert_eq!(classes, [0, 1, 2, 2, 3, 10, 11, 64]);
}

#[test]
fn what_no_leaf_has_is_refused() {
    let good = example().to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Leaf::parse(&bytes)
    };
    assert_eq!(with(0, 2), Err(LeafError::Version(2)));
    assert_eq!(with(1, 200).unwrap().kind, EntryKind::Unknown(200));
    assert_eq!(with(2, 3), Err(LeafError::Field("direction")));
    assert_eq!(with(3, 2), Err(LeafError::Field("flag or size")));
    assert_eq!(with(4, 65), Err(LeafError::Field("flag or size")));
    assert_eq!(with(57, 2), Err(LeafError::Field("identifier")));
    let mut longer = good.clone();
    longer.push(0);
    assert_eq!(Leaf::parse(&longer), Err(LeafError::Length));
    for length in 0..good.len() {
        assert!(Leaf::parse(&good[..length]).is_err(), "cut at {length}");
    }
}

#[test]
fn kinds_keep_their_numbers() {
    for code in 0..=255 {
        assert_eq!(EntryKind::from_code(code).code(), code);
    }
    assert_eq!(EntryKind::CheckpointKey.code(), 14);
}

fn word() -> impl Strategy<Value = String> {
    "[^\\p{C}/]{1,20}"
}

prop_compose! {
    fn client()(words in (word(), word(), word(), prop::option::of(word()))) -> ClientId {
        let member = MemberId::new(&words.0, &words.1, &words.2).unwrap();
        match words.3 {
            Some(code) => ClientId::subsystem_of(member, &code).unwrap(),
            None => member.into(),
        }
    }
}

prop_compose! {
    fn server()(client in client(), code in word()) -> ServerId {
        ServerId::new(client.member().clone(), &code).unwrap()
    }
}

prop_compose! {
    fn class()(name in "[a-z0-9-]{1,32}") -> RetentionClass { name.parse().unwrap() }
}

prop_compose! {
    fn leaves()(
        head in (any::<u8>(), 0usize..3, any::<bool>(), 0u8..=64, any::<[u8; 32]>()),
        numbers in (any::<u64>(), any::<u64>(), any::<u32>()),
        client in prop::option::of(client()),
        service in prop::option::of((client(), word(), prop::option::of(word()))),
        servers in (prop::option::of(server()), prop::option::of(server())),
        classes in (prop::option::of(class()), prop::option::of(class()), prop::option::of(class())),
        commitment in any::<[u8; 32]>(),
    ) -> Leaf {
        Leaf {
            kind: EntryKind::from_code(head.0),
            direction: [Direction::None, Direction::Sent, Direction::Received][head.1],
            test: head.2,
            size_class: head.3,
            log_id: head.4,
            number: numbers.0,
            second: numbers.1,
            period: numbers.2,
            client,
            service: service.map(|(p, code, version)| ServiceId::new(p, &code, version.as_deref()).unwrap()),
            client_server: servers.0,
            provider_server: servers.1,
            retention: Retention { head: classes.0, body: classes.1, evidence: classes.2 },
            commitment,
        }
    }
}

proptest! {
    #[test]
    fn a_leaf_survives_a_round_trip(leaf in leaves()) {
        let bytes = leaf.to_bytes();
        prop_assert!(bytes.len() <= LEAF_LIMIT);
        prop_assert_eq!(Leaf::parse(&bytes), Ok(leaf));
    }

    #[test]
    fn there_is_one_way_to_write_a_leaf(leaf in leaves(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = leaf.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Leaf::parse(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Leaf::parse(&bytes);
        if let Ok(parts) = parse_parts(&bytes) {
            let parts: Vec<_> = parts.iter().map(ListedPart::as_part).collect();
            prop_assert_eq!(encode_parts(&parts), bytes);
        }
    }

    #[test]
    fn a_part_list_survives_a_round_trip(
        parts in prop::collection::vec(("\\PC{0,30}", any::<u64>(), any::<[u8; 32]>()), 0..6),
    ) {
        let parts: Vec<_> = parts.into_iter().map(|(name, length, half)| {
            let mut digest = [0; 64];
            digest[..32].copy_from_slice(&half);
            ListedPart { name, length, digest }
        }).collect();
        let borrowed: Vec<_> = parts.iter().map(ListedPart::as_part).collect();
        prop_assert_eq!(parse_parts(&encode_parts(&borrowed)), Ok(parts));
    }
}
