//! The commands of an authority's operator, as processes: what they print, write and refuse.

#![expect(clippy::unwrap_used, reason = "a test that cannot run the program has failed")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::signing::KeyAlgorithm;
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::anchor::ConfigurationAnchor;
use serde_json::Value;

const REGISTRY: &str = r#"
format = 1
instance = "TEST"
[listen]
http = "127.0.0.1:4080"
public = "authority.example"
[keys]
unseal_file = "unseal.key"
[configuration]
key = "c.key"
certificate = "c.pem"
[ca]
name = "CA"
certificate = "c.pem"
profile = "ee.ria.xroad.common.certificateprofile.impl.EjbcaCertificateProfileInfoProvider"
issued_dir = "issued"
[ocsp]
key = "c.key"
certificate = "c.pem"
[tsa]
name = "TSA"
key = "c.key"
certificate = "c.pem"
[management]
provider = "TEST/GOV/a/management"
"#;

/// A registry, its secret and the certificate of its configuration key; the key itself is elsewhere.
fn prepared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let now = UnixTime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap();
    let own = CertificateAuthority::generate(&CaParams {
        name: "Configuration".into(),
        organization: "Fictional".into(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(now, 100),
    })
    .unwrap();
    std::fs::write(dir.path().join("c.pem"), own.certificate().to_pem()).unwrap();
    std::fs::write(dir.path().join("authority.toml"), REGISTRY).unwrap();
    let unseal = dir.path().join("unseal.key");
    std::fs::write(&unseal, [7; 32]).unwrap();
    std::fs::set_permissions(&unseal, std::fs::Permissions::from_mode(0o600)).unwrap();
    dir
}

fn authority(dir: &Path, command: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kontor"))
        .current_dir(dir)
        .args(["authority", command, "--config", "authority.toml"])
        .args(arguments)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn an_anchor_is_written_with_the_digests_that_other_tools_see() {
    let dir = prepared();
    let told = authority(
        dir.path(),
        "anchor",
        &["--external", "--out", "anchor.xml", "--json"],
    );
    assert!(told.status.success(), "{}", text(&told.stderr));
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(told["sources"][0], "http://authority.example/externalconf");
    let bytes = std::fs::read(dir.path().join("anchor.xml")).unwrap();
    let anchor = ConfigurationAnchor::read(&bytes).unwrap();
    assert_eq!((anchor.instance.as_str(), anchor.sources.len()), ("TEST", 1));

    let printed = authority(dir.path(), "anchor", &["--external"]);
    assert_eq!(printed.stdout, bytes, "it is the same each time");
    assert!(text(&printed.stderr).contains(told["sha256"].as_str().unwrap()));
    for (key, tool) in [("sha224", "sha224sum"), ("sha256", "sha256sum")] {
        let Some(shown) = told[key].as_str() else {
            println!("SKIPPED: this build has no {key}");
            continue;
        };
        let Ok(seen) = Command::new(tool)
            .arg("anchor.xml")
            .current_dir(dir.path())
            .output()
        else {
            println!("SKIPPED: {tool} is not installed");
            continue;
        };
        let shown = shown.replace(':', "").to_lowercase();
        assert!(text(&seen.stdout).starts_with(&shown), "{key}");
    }
}

#[test]
fn an_anchor_of_no_kind_or_of_a_broken_registry_is_refused_with_the_mistakes() {
    let dir = prepared();
    for kinds in [&[][..], &["--internal", "--external"], &["--internal", "--json"]] {
        assert_eq!(authority(dir.path(), "anchor", kinds).status.code(), Some(64));
    }
    let broken = format!("{REGISTRY}[[federation]]\nanchor = \"x.xml\"\n").replace("EjbcaC", "OtherC");
    std::fs::write(dir.path().join("authority.toml"), broken).unwrap();
    let refused = authority(dir.path(), "anchor", &["--internal"]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1));
    assert!(refused.stdout.is_empty());
    assert!(said.contains("x.xml") && said.contains("ca.profile"), "{said}");
}

#[test]
fn a_new_key_is_shown_as_it_is_listed_and_never_made_twice() {
    let dir = prepared();
    let made = authority(dir.path(), "key", &["--name", "2027"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let said = text(&made.stdout);
    let from = said.find("[[configuration_key]]").unwrap();
    let listed: String = said[from..]
        .lines()
        .take(4)
        .map(|line| format!("{line}\n"))
        .collect();
    let present =
        "[[configuration_key]]\nname = \"c\"\nkey = \"c.key\"\ncertificate = \"c.pem\"\nactive = true\n";
    let registry = REGISTRY.replacen("key = \"c.key\"\ncertificate = \"c.pem\"\n", "", 1);
    std::fs::write(
        dir.path().join("authority.toml"),
        format!("{registry}{present}{listed}"),
    )
    .unwrap();
    let anchor = authority(dir.path(), "anchor", &["--internal"]);
    let anchor = ConfigurationAnchor::read(&anchor.stdout).unwrap();
    assert_eq!(anchor.sources[0].verification_certificates.len(), 2);

    let again = authority(dir.path(), "key", &["--name", "2027", "--json"]);
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).contains("never replaced"));
}
