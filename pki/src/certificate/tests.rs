use super::*;
use proptest::prelude::*;

#[test]
fn serial_numbers_are_written_in_decimal() {
    assert_eq!(decimal(&[0]), "0");
    assert_eq!(decimal(&[0x04, 0x01]), "1025");
    assert_eq!(decimal(&[0x00, 0xff]), "255");
    assert_eq!(decimal(&[0xff]), "-1");
    assert_eq!(decimal(&[0x80, 0x00]), "-32768");
    assert_eq!(decimal(&[0x01, 0, 0, 0, 0, 0, 0, 0, 0]), "18446744073709551616");
}

#[test]
fn the_certificates_of_recorded_traffic_are_read_and_survive_pem() {
    let Some(shared) = crate::vectors::shared() else {
        return;
    };
    let mut seen = 0;
    for file in std::fs::read_dir(shared.join("vectors/xroad/trust/certs")).unwrap() {
        let path = file.unwrap().path();
        let der = std::fs::read(&path).unwrap();
        let certificate = Certificate::parse(&der).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        assert_eq!(certificate.der(), der);
        assert_eq!(
            Certificate::parse_pem(&certificate.to_pem()),
            Ok(certificate.clone())
        );
        seen += 1;
        let file = path.file_name().unwrap().to_str().unwrap();
        if file.starts_with("sign-") && !file.contains("usage") {
            assert_eq!(certificate.is_signing(), Ok(true), "{file}");
        }
    }
    assert!(seen > 20);
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
        let _ = Certificate::parse(&bytes);
        let _ = Name::parse(&bytes);
    }
}
