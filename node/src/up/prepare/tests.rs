//! A prepared directory, seen through the authority that runs from it.

use std::os::unix::fs::PermissionsExt;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use kontor_pki::ocsp::{OcspResponse, request};
use kontor_pki::timestamp;
use kontor_protocol::trust::TrustSet;

use super::*;
use crate::authority::Authority;
use crate::clock::ManualClock;
use crate::config::NodeConfig;
use crate::up::layout::Places;

fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-01-31T12:00:00Z").unwrap()
}

fn layout(dir: &Path) -> Layout {
    Layout {
        dir: dir.to_owned(),
        places: Places::Loopback(200),
    }
}

fn pem(path: &Path) -> Certificate {
    read_certificate(path).unwrap().unwrap()
}

async fn ask(authority: &Authority, method: &str, path: &str, body: Vec<u8>) -> (u16, Bytes) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .body(Full::new(Bytes::from(body)))
        .unwrap();
    let response = authority.answer(request).await;
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.unwrap().to_bytes())
}

fn trust(layout: &Layout) -> TrustSet {
    let read = |name: &str| {
        (
            name.to_owned(),
            std::fs::read(layout.trust_dir().join(name)).unwrap(),
        )
    };
    let files = [
        "instance-identifier",
        "TEST/shared-params.xml",
        "TEST/private-params.xml",
    ];
    TrustSet::from_files(files.into_iter().map(read).collect()).unwrap()
}

#[tokio::test]
async fn the_authority_vouches_for_what_was_issued_until_it_is_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    prepare(&layout, false, now()).unwrap();
    let file = layout.authority_dir().join("authority.toml");
    let clock = ManualClock::at(now());
    let authority = Authority::open(&file, clock.clone()).unwrap();

    let signing = pem(&layout.node_dir(&MEMBERS[0]).join("keys/sign.pem"));
    let trust = trust(&layout);
    assert!(trust.is_test() && signing.is_test());
    let issuer = trust.issuer_of("TEST", &signing).unwrap().clone();
    let profiled = PROFILE.member(signing.subject(), "TEST").unwrap();
    assert_eq!(profiled.code, MEMBERS[0].code);

    let asked = request(&signing, &issuer.certificate);
    let (status, answer) = ask(&authority, "POST", "/ocsp", asked.clone()).await;
    assert_eq!(status, 200);
    let verdict = |answer: &[u8]| {
        let response = OcspResponse::parse(answer).unwrap();
        response.verify(
            &signing,
            &issuer.certificate,
            &trust.responders_for(&issuer),
            &trust.ocsp_policy(),
            now(),
        )
    };
    verdict(&answer).unwrap();

    let revoked = format!(
        "\n[[revoked]]\nserial = \"{}\"\nat = \"2026-01-31T11:00:00Z\"\n",
        hex(signing.serial())
    );
    let text = std::fs::read_to_string(&file).unwrap() + &revoked;
    std::fs::write(&file, text).unwrap();
    let authority = Authority::open(&file, clock).unwrap();
    let (_, answer) = ask(&authority, "POST", "/ocsp", asked).await;
    assert!(verdict(&answer).unwrap_err().to_string().contains("revoked"));
}

#[tokio::test]
async fn time_stamps_verify_and_servers_find_the_version_by_probing() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    prepare(&layout, false, now()).unwrap();
    let authority = Authority::open(
        &layout.authority_dir().join("authority.toml"),
        ManualClock::at(now()),
    )
    .unwrap();
    let trust = trust(&layout);

    let imprint = crypto::sha512(b"data");
    let (status, answer) = ask(&authority, "POST", "/tsa", timestamp::query(&imprint)).await;
    assert_eq!(status, 200);
    let token = timestamp::parse_response(&answer).unwrap();
    token.verify(b"data", trust.tsa_certificates()).unwrap();
    assert_eq!(token.gen_time(), now());

    assert_eq!(
        ask(&authority, "GET", "/internalconf?version=7", Vec::new())
            .await
            .0,
        404
    );
    assert_eq!(
        ask(&authority, "GET", "/internalconf?version=3", Vec::new())
            .await
            .0,
        200
    );
    assert_eq!(
        ask(&authority, "GET", "/V3/1/shared-params.xml", Vec::new())
            .await
            .0,
        404
    );
    assert_eq!(ask(&authority, "POST", "/ocsp", vec![0; 70_000]).await.0, 413);
    assert_eq!(ask(&authority, "GET", "/health", Vec::new()).await.0, 200);
}

#[test]
fn a_restart_keeps_keys_and_certificates_and_renews_what_ends() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    prepare(&layout, false, now()).unwrap();
    let keys = layout.node_dir(&MEMBERS[1]).join("keys");
    let first = pem(&keys.join("sign.pem"));
    let ca = pem(&layout.authority_dir().join("ca.pem"));

    prepare(&layout, false, now() + Duration::from_secs(3600)).unwrap();
    assert_eq!(pem(&keys.join("sign.pem")), first);

    let later = now() + Duration::from_secs(340 * 86_400);
    prepare(&layout, false, later).unwrap();
    let renewed = pem(&keys.join("sign.pem"));
    assert_ne!(renewed, first);
    assert_eq!(renewed.spki(), first.spki());
    assert!(renewed.is_valid_at(later + Duration::from_secs(300 * 86_400)));
    assert_eq!(pem(&layout.authority_dir().join("ca.pem")), ca);
}

#[test]
fn other_addresses_renew_only_what_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    prepare(&layout, true, now()).unwrap();
    let keys = layout.node_dir(&MEMBERS[0]).join("keys");
    let (auth, internal) = (pem(&keys.join("auth.pem")), pem(&keys.join("internal.pem")));
    prepare(&layout, true, now()).unwrap();
    assert_eq!(pem(&keys.join("auth.pem")), auth);
    assert_ne!(pem(&keys.join("internal.pem")), internal);
}

#[test]
fn secrets_are_readable_by_their_owner_only() {
    let dir = tempfile::tempdir().unwrap();
    let layout = layout(dir.path());
    prepare(&layout, false, now()).unwrap();
    for secret in [
        "unseal.key",
        "keys/sign.key",
        "keys/auth.key",
        "keys/internal.key",
    ] {
        let path = layout.node_dir(&MEMBERS[0]).join(secret);
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{secret}"
        );
    }
}

#[test]
fn the_folder_of_a_container_needs_no_other_one_and_the_compose_file_gives_it_its_addresses() {
    let compose = include_str!("../../../../docker/compose.yaml");
    let places = Places::Containers([10, 177]);
    let dir = tempfile::tempdir().unwrap();
    let layout = Layout {
        dir: dir.path().to_owned(),
        places,
    };
    prepare(&layout, false, now()).unwrap();
    let given = |address: std::net::IpAddr| {
        let text = address
            .to_string()
            .replacen("10.177.", "${KONTOR_NETWORK:-10.177}.", 1);
        assert!(compose.contains(&text), "the compose file does not give {text}");
    };

    // Each is a volume of its own, mounted anywhere.
    let alone = tempfile::tempdir().unwrap();
    let moved = |from: PathBuf, name: &str| {
        let to = alone.path().join(name).join("data");
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(from, &to).unwrap();
        to
    };
    let authority = moved(layout.authority_dir(), "authority").join("authority.toml");
    Authority::open(&authority, ManualClock::at(now())).unwrap();
    given(layout.authority().ip());
    for (index, member) in layout.members().iter().enumerate() {
        let file = moved(layout.node_dir(member), member.code).join("node.toml");
        let config = NodeConfig::read(&file).unwrap();
        assert!(config.anchor.exists() && config.members[0].sign.key.exists());
        let (federation, own) = (
            config.listen.federation.unwrap().ip(),
            config.listen.is_http.unwrap().ip(),
        );
        given(federation);
        given(own);
        assert_ne!(federation, own);
        assert_eq!(layout.node(index, 5577).ip(), federation);
        let provider = format!("{}-provider", member.code);
        assert_eq!(config.clients[0].services[0].url.host(), Some(&*provider));
        for name in [member.code, &provider] {
            assert!(compose.contains(&format!("\n  {name}:\n")), "no {name}");
        }
        let published = std::fs::read_to_string(&authority).unwrap();
        assert!(published.contains(&format!("address = \"{}\"", member.code)));
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
