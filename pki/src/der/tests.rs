use super::*;
use proptest::prelude::*;

#[test]
fn a_long_form_length_is_written_and_read_back() {
    for len in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000] {
        let bytes = vec![7; len];
        let mut writer = Writer::new();
        writer.octet_string(&bytes);
        let der = writer.finish();
        let element = only(&der, OCTET_STRING).unwrap();
        assert_eq!(element.value, bytes);
        assert_eq!(element.raw, der);
    }
}

#[test]
fn forms_that_der_forbids_are_refused() {
    for (bytes, what) in [
        (&[0x04, 0x80, 0x00, 0x00][..], "indefinite length"),
        (&[0x04, 0x81, 0x01, 0x00], "length that is not minimal"),
        (&[0x04, 0x82, 0x00, 0x80], "length with a leading zero"),
        (&[0x1f, 0x01, 0x00], "tag in the long form"),
        (&[0x04, 0x02, 0x00], "value cut short"),
        (&[0x04], "no length"),
        (&[0x04, 0x85, 1, 0, 0, 0, 0], "length above 32 bits"),
    ] {
        assert!(Reader::new(bytes).any().is_err(), "{what}");
    }
    assert!(
        only(&[0x05, 0x00, 0x05, 0x00], NULL).is_err(),
        "bytes after the end"
    );
    assert!(Reader::new(&[0x02, 0x02, 0x00, 0x01]).integer().is_err());
    assert!(Reader::new(&[0x02, 0x02, 0xff, 0x81]).integer().is_err());
    assert!(Reader::new(&[0x02, 0x01, 0x81]).small_integer().is_err());
}

#[test]
fn both_time_forms_are_read_and_fractions_kept_to_the_millisecond() {
    let time = |tag, text: &str| {
        Element {
            tag,
            value: text.as_bytes(),
            raw: &[],
        }
        .time()
    };
    let noon = UnixTime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap();
    assert_eq!(time(UTC_TIME, "260131120000Z"), Ok(noon));
    assert_eq!(time(GENERALIZED_TIME, "20260131120000Z"), Ok(noon));
    assert_eq!(
        time(GENERALIZED_TIME, "20260131120000.1239Z"),
        Ok(UnixTime::from_millis(noon.millis() + 123))
    );
    assert_eq!(
        time(UTC_TIME, "500101000000Z").unwrap().to_rfc3339(),
        "1950-01-01T00:00:00.000Z"
    );
    for wrong in [
        "20260131120000",
        "20260131120000.Z",
        "202601311200Z",
        "20260230120000Z",
        "Z",
        "",
    ] {
        assert!(time(GENERALIZED_TIME, wrong).is_err(), "{wrong}");
    }
    assert!(time(UTC_TIME, "260131120000.5Z").is_err());
}

#[test]
fn a_fraction_is_written_without_trailing_zeros() {
    let mut writer = Writer::new();
    writer.generalized_time_millis(UnixTime::parse_rfc3339("2026-01-31T12:00:00.120Z").unwrap());
    assert_eq!(&writer.finish()[2..], b"20260131120000.12Z");
}

#[test]
fn object_identifiers_are_shown_dotted() {
    assert_eq!(oid_text(&[0x55, 0x04, 0x03]).as_deref(), Some("2.5.4.3"));
    assert_eq!(
        oid_text(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]).as_deref(),
        Some("1.2.840.113549")
    );
    assert_eq!(oid_text(&[0x88, 0x37]).as_deref(), Some("2.999"));
    assert_eq!(oid_text(&[]), None);
    assert_eq!(oid_text(&[0x80, 0x01]), None);
    assert_eq!(oid_text(&[0x2a, 0x86]), None);
}

#[test]
fn indefinite_lengths_and_strings_in_pieces_become_der() {
    let ber = [
        0x30, 0x80, 0x24, 0x80, 0x04, 0x01, 0x61, 0x04, 0x81, 0x01, 0x62, 0, 0, 0x02, 0x01, 0x05, 0, 0,
    ];
    let der = to_definite(&ber).unwrap();
    assert_eq!(der, [0x30, 0x07, 0x04, 0x02, 0x61, 0x62, 0x02, 0x01, 0x05]);
    assert_eq!(to_definite(&der).unwrap(), der);
    assert!(to_definite(&ber[..ber.len() - 1]).is_err());
    assert!(to_definite(&[0x04, 0x80, 0, 0]).is_err());
    assert!(to_definite(&[&der[..], &[0]].concat()).is_err());
    assert_eq!(
        to_definite(&[0x30, 0x80].repeat(1000)),
        Err(DerError("nested too deeply"))
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_rewriting_panic(bytes in proptest::collection::vec(
        prop_oneof![Just(0x30), Just(0x80), Just(0x24), Just(0), Just(2), any::<u8>()], 0..64)
    ) {
        if let Ok(der) = to_definite(&bytes) {
            prop_assert_eq!(to_definite(&der), Ok(der));
        }
    }


    #[test]
    fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let mut reader = Reader::new(&bytes);
        while let Ok(element) = reader.any() {
            let _ = (element.time(), element.bit_string(), oid_text(element.value));
            let _ = Reader::new(element.raw).small_integer();
        }
    }

    #[test]
    fn a_number_survives_a_round_trip(number: u32) {
        let mut writer = Writer::new();
        writer.integer(number);
        prop_assert_eq!(Reader::new(&writer.finish()).small_integer(), Ok(number));
    }

    #[test]
    fn an_instant_survives_a_round_trip(millis in 0_i64..253_402_300_800_000) {
        let time = UnixTime::from_millis(millis);
        let mut writer = Writer::new();
        writer.generalized_time_millis(time);
        prop_assert_eq!(Reader::new(&writer.finish()).generalized_time(), Ok(time));
    }
}
