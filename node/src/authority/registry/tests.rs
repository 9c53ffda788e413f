//! What the registry file may say.

use kontor_protocol::limits;
use kontor_protocol::trust::anchor::{AnchorSource, ConfigurationAnchor};

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

/// The same with everything that a registry may say.
pub(in crate::authority) fn rich() -> String {
    let changes = [
        (
            "[ocsp]",
            "csr_format = \"DER\"\n[ca.acme]\ndirectory_url = \"https://acme.example/directory\"\n\
             ip_address = \"192.0.2.1\"\nauthentication_profile = \"tls\"\nsigning_profile = \"seal\"\n\
             [[source]]\naddress = \"second.example:4080\"\n\
             [optional]\nmonitoring_client = \"TEST/GOV/a/management\"\nocsp_fetch_interval_seconds = 600\n\
             verify_next_update = false\n[ocsp]\ncost = \"FREE\"",
        ),
        ("[tsa]", "[tsa]\ncost = \"PAID\""),
        (
            "[[server]]",
            "subsystem_names = { antrag = \"Applications & more\" }\n[[server]]\nmaintenance = \"Back at <noon>\"",
        ),
    ];
    changes.iter().fold(FILE.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}

/// The same with three keys as in the midst of a rotation, and one for other instances.
pub(in crate::authority) fn with_keys(active: &str) -> String {
    let key = |name: &str, signs: &str, active: bool| {
        format!(
            "[[configuration_key]]\nname = \"{name}\"\nkey = \"{name}.key\"\ncertificate = \"{name}.pem\"\n\
             signs = \"{signs}\"\nactive = {active}\n"
        )
    };
    let keys = ["old", "new"].map(|name| key(name, "internal", name == active));
    let tables = format!("{}{}[ca]", keys.concat(), key("ext", "external", true));
    FILE.replace("key = \"c.key\"\ncertificate = \"c.pem\"\n", "")
        .replacen("[ca]", &tables, 1)
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

#[test]
fn everything_that_later_versions_have_can_be_said() {
    let registry = parse(&rich()).unwrap();
    assert_eq!(registry.oldest_version, 2);
    assert_eq!(registry.csr_format, Some(CsrFormat::Der));
    assert_eq!(
        (registry.ocsp_cost, registry.tsa_cost),
        (Some(CostType::Free), Some(CostType::Paid))
    );
    assert_eq!(registry.servers[0].maintenance.as_deref(), Some("Back at <noon>"));
    assert_eq!(
        registry.members[0].subsystem_names["antrag"],
        "Applications & more"
    );
    assert_eq!(registry.optional.verify_next_update, Some(false));
    assert_eq!(registry.sources[0].address, "second.example:4080");
}

fn rich_refusal(from: &str, to: &str) -> String {
    let text = rich();
    assert!(text.contains(from), "{from}");
    parse(&text.replace(from, to)).unwrap_err().to_string()
}

#[test]
fn wrong_words_versions_and_addresses_are_refused() {
    assert!(rich_refusal("\"DER\"", "\"der\"").contains("PEM, DER"));
    assert!(rich_refusal("\"PAID\"", "\"CHEAP\"").contains("tsa.cost"));
    assert!(rich_refusal("= 600", "= 5").contains("86400"));
    assert!(
        rich_refusal(
            "monitoring_client = \"TEST/GOV/a/",
            "monitoring_client = \"TEST/GOV/a/x"
        )
        .contains("no [[member]]")
    );
    assert!(rich_refusal("{ antrag =", "{ other =").contains("none of its subsystems"));
    assert!(rich_refusal("second.example:4080", "http://second.example").contains("HOST[:PORT]"));
    assert!(rich_refusal("second.example:4080", "127.0.0.1:4080").contains("twice"));
    for version in ["1", "7"] {
        let to = format!("[configuration]\noldest_version = {version}");
        assert!(refusal("[configuration]", &to).contains("oldest_version"));
    }
}

#[test]
fn of_each_kind_one_key_signs_and_the_others_are_listed_after_it() {
    let registry = parse(&with_keys("new")).unwrap();
    let keys = &registry.configuration;
    let names = |kind| {
        let paths = keys.certificates(kind).into_iter();
        paths
            .map(|p| p.file_name().unwrap().to_str().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(keys.active(Kind::Internal).key, Path::new("/etc/kontor/new.key"));
    assert_eq!(keys.active(Kind::External).key, Path::new("/etc/kontor/ext.key"));
    assert_eq!(names(Kind::Internal), ["new.pem", "old.pem"]);
    assert_eq!(names(Kind::External), ["ext.pem"]);
    let waiting: Vec<_> = keys.waiting().map(|files| files.key).collect();
    assert_eq!(waiting, [Path::new("/etc/kontor/old.key")]);
    let single = parse(FILE).unwrap().configuration;
    assert_eq!(single.active(Kind::Internal), single.active(Kind::External));
}

#[test]
fn keys_that_leave_open_who_signs_are_refused() {
    let refused = |text: String| parse(&text).unwrap_err().to_string();
    assert!(refused(with_keys("none")).contains("no key signs the internal configuration"));
    let text = with_keys("new");
    assert!(refused(text.replace("active = false", "active = true")).contains("one can sign"));
    assert!(refused(text.replace("\"ext\"", "\"old\"")).contains("twice"));
    assert!(refused(text.replace("key = \"ext.key\"\n", "")).contains("no `key`"));
    assert!(
        refused(text.replace("[configuration]", "[configuration]\nkey = \"c.key\"")).contains("together")
    );
    let both = "[configuration]\nkey = \"c.key\"\ncertificate = \"c.pem\"";
    assert!(refused(text.replace("[configuration]", both)).contains("exclude each other"));
    // A key that waits may be on another machine.
    assert!(parse(&text.replace("key = \"old.key\"\n", "")).is_ok());
}

#[test]
fn anchors_of_other_instances_are_judged_with_the_rest_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let anchor = |file: &str, instance: &str, path: &str| {
        let anchor = ConfigurationAnchor {
            generated_at: None,
            instance: instance.into(),
            sources: vec![AnchorSource {
                download_url: format!("http://other.example/{path}"),
                verification_certificates: vec![vec![1]],
            }],
        };
        std::fs::write(dir.path().join(file), anchor.to_xml()).unwrap();
    };
    anchor("good.xml", "TESTX", "externalconf");
    anchor("proxy.xml", "TESTP", "other/conf?version=3");
    anchor("again.xml", "testx", "externalconf");
    anchor("own.xml", "TEST", "externalconf");
    anchor("internal.xml", "TESTY", "internalconf?version=2");
    anchor("production.xml", "DE", "externalconf");
    std::fs::write(dir.path().join("broken.xml"), "<a/>").unwrap();
    std::fs::write(dir.path().join("large.xml"), vec![b' '; limits::ANCHOR + 1]).unwrap();
    let parse = |files: &[&str]| {
        let tables: String = files
            .iter()
            .map(|file| format!("[[federation]]\nanchor = \"{file}\"\n"))
            .collect();
        Registry::parse(&format!("{FILE}{tables}"), &dir.path().join("authority.toml"))
    };
    let registry = parse(&["good.xml", "proxy.xml"]).unwrap();
    assert_eq!(registry.federations[0].anchor.instance, "TESTX");
    let refused = parse(&[
        "good.xml",
        "again.xml",
        "own.xml",
        "internal.xml",
        "production.xml",
        "broken.xml",
        "large.xml",
        "missing.xml",
    ]);
    let mistakes = refused.unwrap_err().mistakes;
    let reasons = [
        "second anchor",
        "this instance itself",
        "external anchor",
        "do not go together",
        "cannot be used",
        "more than",
        "cannot be used",
    ];
    assert_eq!(mistakes.len(), reasons.len(), "{mistakes:?}");
    for (mistake, reason) in mistakes.iter().zip(reasons) {
        assert!(mistake.contains(reason), "{mistake}");
    }
}
