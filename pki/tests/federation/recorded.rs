//! Certificates of recorded and upstream test federations, with the verdicts stated for them.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::certificate::{Certificate, CertificateError};
use kontor_pki::chain::{PathError, build_path};
use kontor_pki::der::Reader;
use kontor_pki::ocsp::{CertId, OcspPolicy, OcspResponse, Responders};

use crate::world::{OpenSsl, at, shared};

#[test]
fn recorded_signing_certificates_lead_to_their_authorities() {
    let Some(shared) = shared() else { return };
    let load = |name: &str| {
        let path = shared
            .join("vectors/xroad/trust/certs")
            .join(format!("{name}.der"));
        Certificate::parse(&std::fs::read(path).unwrap()).unwrap()
    };
    let now = at("2026-03-02T10:00:37Z");
    for (leaf, between, anchor) in [
        ("sign-gov-1001", vec![], "ca-a"),
        ("sign-com-2002", vec![], "ca-b-int"),
        ("sign-com-2002", vec!["ca-b-int"], "ca-b-root"),
        // Rebuilt: trusted by name and key, its own signature is a dummy.
        ("sign-fx-gov-9001", vec![], "ca-f.rebuilt"),
    ] {
        let between: Vec<_> = between.into_iter().map(load).collect();
        let path = build_path(&load(leaf), &between, &load(anchor), now);
        assert_eq!(path.map(|path| path.len()), Ok(between.len() + 1), "{leaf}");
    }
    let refuse = |leaf: &str| build_path(&load(leaf), &[], &load("ca-a"), now).unwrap_err();
    assert!(matches!(refuse("sign-bad-expired"), PathError::Expired { .. }));
    assert!(matches!(refuse("sign-bad-notyet"), PathError::NotYetValid { .. }));
    assert!(matches!(refuse("sign-bad-rogue"), PathError::NoIssuer(_)));
    assert!(matches!(
        refuse("sign-bad-rogue-same-name"),
        PathError::Signature(_)
    ));
    assert!(matches!(
        load("sign-bad-nousage").is_signing(),
        Err(CertificateError::NoKeyUsage(_))
    ));
    assert_eq!(load("sign-bad-usage").is_signing(), Ok(false));
}

/// The certificates of an upstream file: PEM, base64 alone, or OpenSSL's "trusted" form, whose additions are cut off.
fn upstream(path: &Path) -> Certificate {
    let text = std::fs::read_to_string(path).unwrap();
    let text: String = text.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(text.trim()).unwrap();
    Certificate::parse(Reader::new(&der).any().unwrap().raw).unwrap()
}

const UPSTREAM: &str = "vectors/xroad/upstream/src/common/common-test/src/test/certs";

#[test]
fn upstream_chains_of_three_authorities_are_read_and_refused_for_their_sha_1() {
    let Some(shared) = shared() else { return };
    let load = |name: &str| upstream(&shared.join(UPSTREAM).join(format!("test_chain/{name}.pem")));
    let authorities = ["ca_1", "ca_2", "ca_3", "ca_4_no_ext"].map(load);
    let root = load("root_ca");
    for name in ["user_0", "user_1", "user_2", "user_3", "user_4", "user_5"] {
        let user = load(name);
        let refused = build_path(&user, &authorities, &root, at("2013-01-01T00:00:00Z"));
        let sha1 = CertificateError::Algorithm("SHA1withRSA".to_owned());
        assert_eq!(refused, Err(PathError::Signature(sha1)), "{name}");
    }
}

#[test]
fn upstream_certificates_lead_to_their_anchor_where_they_are_not_signed_with_sha_1() {
    let Some(shared) = shared() else { return };
    let load = |name: &str| upstream(&shared.join(UPSTREAM).join(format!("{name}.pem")));
    let (root, between) = (load("root-ca"), load("int-ca"));
    let now = at("2026-01-01T00:00:00Z");
    for name in ["client", "consumer-2"] {
        assert!(build_path(&load(name), &[], &root, now).is_ok(), "{name}");
    }
    // The anchor's own signature, SHA-1, is not looked at; that of an intermediate is.
    assert!(build_path(&load("internal"), &[], &between, now).is_ok());
    let refused = build_path(&load("internal"), &[between], &root, now);
    assert!(matches!(
        refused,
        Err(PathError::Signature(CertificateError::Algorithm(_)))
    ));
    let refused = build_path(&load("expiredClient"), &[], &root, now);
    assert!(matches!(refused, Err(PathError::Expired { .. })), "{refused:?}");
    for name in ["consumer", "producer"] {
        assert!(
            matches!(
                build_path(&load(name), &[], &root, now),
                Err(PathError::Signature(_))
            ),
            "{name}"
        );
    }
    for name in ["NTREE", "tsp"] {
        let certificate = load(name);
        assert!(
            !certificate.is_valid_at(at("2000-01-01T00:00:00Z")),
            "{certificate:?}"
        );
    }
}

#[test]
fn upstream_variants_with_md5_and_a_bad_signature_are_refused() {
    let (Some(shared), Some(openssl)) = (shared(), OpenSsl::new()) else {
        return;
    };
    let folder = shared.join(UPSTREAM).join("test_chain");
    let issuer = upstream(&folder.join("ca_3.pem"));
    for name in ["user_3_md5", "user_invalid_sig"] {
        openssl.write(
            "store.p12",
            std::fs::read(folder.join(format!("{name}.p12"))).unwrap(),
        );
        let (success, text) =
            openssl.try_run("pkcs12 -legacy -in store.p12 -nokeys -clcerts -passin pass:test");
        if !success {
            eprintln!("SKIPPED: this openssl does not open old PKCS#12 files: {text}");
            return;
        }
        let certificate = Certificate::parse_pem(&text).unwrap();
        let refused = certificate.verify_issued_by(&issuer);
        // These two spell their issuer in another string type, and names are compared byte for byte.
        assert!(
            matches!(refused, Err(CertificateError::OtherIssuer { .. })),
            "{name}: {refused:?}"
        );
    }
}

/// What stands between the tags of an element, wherever it occurs, without white space and character references.
fn texts(message: &str, element: &str) -> Vec<String> {
    let mut found = Vec::new();
    for after in message.split(&format!(":{element}")).skip(1).step_by(2) {
        let inside = after.split_once('>').unwrap().1.split_once('<').unwrap().0;
        found.push(inside.replace("&#13;", "").trim().to_owned());
    }
    found
}

fn decoded(text: &str) -> Vec<u8> {
    STANDARD
        .decode(text.split_ascii_whitespace().collect::<String>())
        .unwrap()
}

#[test]
fn ocsp_responses_and_issuer_names_of_recorded_messages_are_understood() {
    let Some(shared) = shared() else { return };
    let xroad = shared.join("vectors/xroad");
    let mut known = Vec::new();
    for file in std::fs::read_dir(xroad.join("trust/certs")).unwrap() {
        let path = file.unwrap().path();
        known.push((
            path.file_name().unwrap().to_str().unwrap().to_owned(),
            Certificate::parse(&std::fs::read(path).unwrap()).unwrap(),
        ));
    }
    let named = |name: &str| known.iter().find(|(file, _)| file == name).unwrap().1.clone();
    let authorities: Vec<Certificate> = known
        .iter()
        .filter(|(file, _)| file.starts_with("ca-"))
        .map(|(_, one)| one.clone())
        .collect();
    let configured = [
        ("ca-a.der", "ocsp-a.der"),
        ("ca-f.rebuilt.der", "ocsp-f.rebuilt.der"),
    ]
    .map(|(ca, responder)| (named(ca), named(responder)));
    let (mut responses, mut names) = (0, 0);
    for case in std::fs::read_dir(xroad.join("golden/rest")).unwrap() {
        let case = case.unwrap().path();
        let about: serde_json::Value =
            serde_json::from_slice(&std::fs::read(case.join("case.json")).unwrap()).unwrap();
        let now = at(about["instant"].as_str().unwrap());
        for file in ["2-ss-request.http", "5-ss-response.http"] {
            let Ok(bytes) = std::fs::read(case.join(file)) else {
                continue;
            };
            let message = String::from_utf8_lossy(&bytes);
            let certificates: Vec<Certificate> = ["X509Certificate", "EncapsulatedX509Certificate"]
                .into_iter()
                .flat_map(|element| texts(&message, element))
                .map(|text| Certificate::parse(&decoded(&text)).unwrap())
                .collect();
            for value in texts(&message, "EncapsulatedOCSPValue") {
                let response = OcspResponse::parse(&decoded(&value)).unwrap();
                let (subject, issuer) = certificates
                    .iter()
                    .flat_map(|subject| authorities.iter().map(move |issuer| (subject, issuer)))
                    .find(|(subject, issuer)| CertId::of(subject, issuer) == *response.cert_id())
                    .unwrap();
                let configured: Vec<Certificate> = configured
                    .iter()
                    .filter(|(ca, _)| ca == issuer)
                    .map(|(_, responder)| responder.clone())
                    .collect();
                let responders = Responders {
                    configured: &configured,
                    authorities: &authorities,
                };
                let verdict = response.verify(subject, issuer, &responders, &OcspPolicy::default(), now);
                assert!(verdict.is_ok(), "{case:?} {file}: {verdict:?}");
                responses += 1;
            }
            for (name, serial) in texts(&message, "X509IssuerName")
                .iter()
                .zip(texts(&message, "X509SerialNumber"))
            {
                assert!(
                    certificates
                        .iter()
                        .any(|one| one.issuer().to_rfc2253() == *name && one.serial_decimal() == serial),
                    "{case:?} {name} {serial}"
                );
                names += 1;
            }
        }
    }
    assert!(
        responses > 50 && names > 50,
        "{responses} responses, {names} names"
    );
}
