//! What the registry file may say.

use super::*;

pub(in crate::authority) const FILE: &str = r#"
format = 1
instance = "TEST"
[listen]
http = "127.0.0.1:4080"
[keys]
unseal_file = "unseal.key"
[configuration]
key = "c.key"
certificate = "c.pem"
[ca]
name = "CA"
certificate = "ca.pem"
profile = "ee.ria.xroad.common.certificateprofile.impl.EjbcaCertificateProfileInfoProvider"
issued_dir = "issued"
[ocsp]
key = "o.key"
certificate = "o.pem"
[tsa]
name = "TSA"
key = "t.key"
certificate = "t.pem"
[management]
provider = "TEST/GOV/a/management"
[[member_class]]
code = "GOV"
description = "Public"
[[member]]
id = "TEST/GOV/a"
name = "A"
subsystems = ["antrag", "management"]
[[server]]
owner = "TEST/GOV/a"
code = "ss1"
address = "a.example"
authentication_certificates = ["a.pem"]
clients = ["TEST/GOV/a/antrag"]
[[group]]
code = "all"
description = "All"
members = ["TEST/GOV/a/antrag"]
[[revoked]]
serial = "00:0A:ff"
at = "2026-01-31T12:00:00Z"
"#;

fn parse(text: &str) -> Result<Registry, RegistryError> {
    Registry::parse(text, Path::new("/etc/kontor/authority.toml"))
}

fn refusal(from: &str, to: &str) -> String {
    assert!(FILE.contains(from), "{from}");
    parse(&FILE.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn defaults_are_those_of_x_road() {
    let registry = parse(FILE).unwrap();
    assert_eq!(registry.refresh, Duration::from_secs(60));
    assert_eq!(registry.expire, Duration::from_secs(600));
    assert_eq!(registry.ocsp_freshness, Duration::from_secs(3600));
    assert_eq!(registry.public_address, "127.0.0.1:4080");
    assert_eq!(registry.ca_certificate, Path::new("/etc/kontor/ca.pem"));
    assert_eq!(registry.revoked[0].serial, [0x0a, 0xff]);
}

#[test]
fn unknown_keys_and_dangling_references_are_refused() {
    assert!(refusal("address =", "adress =").contains("adress"));
    assert!(
        refusal(
            "clients = [\"TEST/GOV/a/antrag\"]",
            "clients = [\"TEST/GOV/a/x\"]"
        )
        .contains("TEST/GOV/a/x")
    );
    assert!(refusal("owner = \"TEST/GOV/a\"", "owner = \"TEST/GOV/b\"").contains("no [[member]]"));
    assert!(refusal("id = \"TEST/GOV/a\"", "id = \"OTHER/GOV/a\"").contains("another instance"));
    assert!(
        refusal(
            "members = [\"TEST/GOV/a/antrag\"]",
            "members = [\"TEST/GOV/b/antrag\"]"
        )
        .contains("group")
    );
}

#[test]
fn unknown_profiles_bad_serials_and_hasty_expiry_are_refused() {
    assert!(refusal("EjbcaC", "OtherC").contains("profile"));
    assert!(refusal("00:0A:ff", "xyz").contains("serial"));
    assert!(refusal("key = \"c.key\"", "expire_seconds = 100\nkey = \"c.key\"").contains("twice"));
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let text = FILE
        .replace("00:0A:ff", "xyz")
        .replace("127.0.0.1:4080", "here")
        .replace("EjbcaC", "OtherC");
    assert_eq!(parse(&text).unwrap_err().mistakes.len(), 3);
}
