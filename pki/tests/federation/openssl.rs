//! openssl takes what we write, and we take what it writes.

use kontor_pki::authority::{CertificateAuthority, Validity};
use kontor_pki::certificate::{Certificate, CertificateError};
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::{CertStatus, OcspPolicy, OcspResponse, Responders, parse_request, request};
use kontor_pki::profile::{CertificateProfile, Subject};
use kontor_pki::request::CertificateRequest;
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};
use kontor_pki::timestamp::{TimestampError, parse_response, query};

use crate::world::{HOUR, OpenSsl, World, ca_params, key, key_algorithms, member, now};

#[test]
fn openssl_verifies_our_certificates_and_paths() {
    let Some(openssl) = OpenSsl::new() else { return };
    for kind in key_algorithms() {
        let world = World::with(kind);
        let below = world
            .ca
            .intermediate(&ca_params("Below", kind, world.now))
            .unwrap();
        let subject = CertificateProfile::Basic.signing_subject(&member(), "Stadt Köln");
        let leaf = below
            .issue_signing(world.sign_key.public_key(), subject, Validity::days(world.now, 9))
            .unwrap();
        openssl.write("ca.pem", world.ca_certificate.to_pem());
        openssl.write("below.pem", below.certificate().to_pem());
        openssl.write("leaf.pem", leaf.to_pem());
        openssl.write("sign.pem", world.sign.to_pem());
        openssl.write("auth.pem", world.auth.to_pem());
        openssl.write("tsa.pem", world.tsa.certificate().to_pem());
        openssl.write("ocsp.pem", world.responder.certificate().to_pem());
        openssl.run("verify -x509_strict -CAfile ca.pem sign.pem");
        openssl.run("verify -CAfile ca.pem -untrusted below.pem leaf.pem");
        openssl.run("verify -CAfile ca.pem -purpose sslserver -verify_hostname ss1.test auth.pem");
        openssl.run("verify -CAfile ca.pem -purpose sslclient -verify_ip 127.0.0.1 auth.pem");
        openssl.run("verify -CAfile ca.pem -purpose timestampsign tsa.pem");
        openssl.run("verify -CAfile ca.pem -purpose ocsphelper ocsp.pem");
        let text = openssl.run("x509 -in sign.pem -noout -text -nameopt RFC2253,-esc_msb,utf8");
        assert!(
            text.contains("C=TEST") && text.contains("Non Repudiation\n"),
            "{text}"
        );
        let text = openssl.run("x509 -in leaf.pem -noout -subject -nameopt RFC2253,-esc_msb,utf8");
        assert!(
            text.contains("serialNumber=1001,businessCategory=GOV,O=Stadt Köln"),
            "{text}"
        );
    }
}

#[test]
fn our_hexadecimal_and_text_forms_of_a_name_agree_with_openssl() {
    let Some(openssl) = OpenSsl::new() else { return };
    openssl.run(
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -out c.pem -utf8 \
         -days 1 -subj /C=DE/ST=Bayern/O=A,B+C\"<>;#/OU=x=y/CN=Bürgeramt",
    );
    let certificate = Certificate::parse_pem(&String::from_utf8(openssl.read("c.pem")).unwrap()).unwrap();
    let text = openssl.run("x509 -in c.pem -noout -subject -nameopt RFC2253,-esc_msb,utf8");
    // Java escapes `=` and `#` everywhere, openssl only where RFC 2253 asks for it.
    let ours = certificate
        .subject()
        .to_rfc2253()
        .replace("\\=", "=")
        .replace("\\#", "#");
    assert_eq!(text.trim(), format!("subject={ours}"));
    let serial = openssl.run("x509 -in c.pem -noout -serial");
    let serial = serial.trim().trim_start_matches("serial=");
    let hex: String = certificate
        .serial()
        .iter()
        .map(|byte| format!("{byte:02X}"))
        .collect();
    assert_eq!(hex.trim_start_matches("00"), serial);
    let decimal = openssl.run("asn1parse -in c.pem");
    assert!(decimal.contains(serial));
}

#[test]
fn certificates_signed_with_sha_1_or_md5_are_refused_by_name() {
    let Some(openssl) = OpenSsl::new() else { return };
    for (digest, name) in [("sha1", "SHA1withRSA"), ("md5", "1.2.840.113549.1.1.4")] {
        openssl.run(&format!(
            "req -x509 -{digest} -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -subj /CN=x"
        ));
        let weak = Certificate::parse_pem(&String::from_utf8(openssl.read("c.pem")).unwrap()).unwrap();
        assert_eq!(
            weak.verify_issued_by(&weak),
            Err(CertificateError::Algorithm(name.to_owned()))
        );
        assert!(!weak.self_signed());
    }
}

#[test]
fn requests_are_taken_both_ways() {
    let Some(openssl) = OpenSsl::new() else { return };
    for kind in key_algorithms() {
        let subject = CertificateProfile::Ejbca.signing_subject(&member(), "");
        let ours = CertificateRequest::write(&subject, &["ss1.test".to_owned()], &*key(kind)).unwrap();
        openssl.write("ours.pem", ours.to_pem());
        let text = openssl.run("req -in ours.pem -verify -noout -text");
        assert!(
            text.contains("verify OK") && text.contains("DNS:ss1.test"),
            "{text}"
        );
    }
    for algorithm in [
        "ec -pkeyopt ec_paramgen_curve:P-256",
        "ec -pkeyopt ec_paramgen_curve:P-384",
        "rsa:2048",
    ] {
        openssl.run(&format!(
            "req -new -newkey {algorithm} -nodes -keyout k.pem -out r.pem -subj /C=DE/CN=x"
        ));
        let theirs = CertificateRequest::parse_pem(&String::from_utf8(openssl.read("r.pem")).unwrap());
        assert_eq!(theirs.unwrap().subject().to_rfc2253(), "CN=x,C=DE");
    }
}

#[test]
fn a_private_key_of_openssl_signs_here_and_openssl_verifies() {
    let Some(openssl) = OpenSsl::new() else { return };
    for algorithm in [
        "EC -pkeyopt ec_paramgen_curve:P-256",
        "EC -pkeyopt ec_paramgen_curve:P-384",
        "RSA",
    ] {
        openssl.run(&format!("genpkey -algorithm {algorithm} -out k.pem"));
        openssl.run("pkcs8 -topk8 -nocrypt -in k.pem -outform DER -out k.der");
        openssl.run("pkey -in k.pem -pubout -out p.pem");
        openssl.run("pkey -in k.pem -pubout -outform DER -out p.der");
        let key = SoftwareKey::from_pkcs8(&openssl.read("k.der")).unwrap();
        assert_eq!(key.public_key(), openssl.read("p.der"));
        let algorithm = key.key_algorithm().message_algorithm();
        openssl.write("m", b"message");
        openssl.write("s", key.sign(algorithm, b"message").unwrap());
        let digest = algorithm.digest().name().to_lowercase().replace('-', "");
        openssl.run(&format!("dgst -{digest} -verify p.pem -signature s m"));
    }
}

/// What an unmodified Java server with an EC key sends: SHA-512 on P-256.
#[cfg(feature = "aws-lc")]
#[test]
fn ecdsa_of_openssl_with_every_digest_verifies_here() {
    use kontor_pki::signing::{SignatureAlgorithm, verify_signature};
    let Some(openssl) = OpenSsl::new() else { return };
    openssl.write("m", b"message");
    for curve in ["P-256", "P-384"] {
        openssl.run(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:{curve} -out k.pem"
        ));
        openssl.run("pkey -in k.pem -pubout -outform DER -out p.der");
        for algorithm in SignatureAlgorithm::ALL.into_iter().filter(|one| one.is_ecdsa()) {
            let digest = algorithm.digest().name().to_lowercase().replace('-', "");
            openssl.run(&format!("dgst -{digest} -sign k.pem -out s m"));
            let verdict = verify_signature(algorithm, &openssl.read("p.der"), b"message", &openssl.read("s"));
            assert_eq!(
                verdict.is_ok(),
                !algorithm.is_weak(),
                "{curve} {}",
                algorithm.name()
            );
        }
    }
}

#[test]
fn openssl_verifies_our_ocsp_responses_and_reads_our_requests() {
    let Some(openssl) = OpenSsl::new() else { return };
    for kind in key_algorithms() {
        let world = World::with(kind);
        openssl.write("ca.pem", world.ca_certificate.to_pem());
        openssl.write("sign.pem", world.sign.to_pem());

        openssl.write("ours.req", request(&world.sign, &world.ca_certificate));
        let text = openssl.run("ocsp -reqin ours.req -text");
        assert!(
            text.contains("Hash Algorithm: sha1") && !text.contains("Nonce"),
            "{text}"
        );

        openssl.run("ocsp -issuer ca.pem -cert sign.pem -reqout theirs.req");
        let theirs = openssl.read("theirs.req");
        assert!(parse_request(&theirs).unwrap().nonce.is_some());
        let verify = "ocsp -respin r.der -no_nonce -issuer ca.pem -cert sign.pem -CAfile ca.pem";
        openssl.write(
            "r.der",
            world.responder.respond(&theirs, world.now, &|_| CertStatus::Good),
        );
        let text = openssl.run("ocsp -reqin theirs.req -respin r.der -CAfile ca.pem");
        assert!(
            text.contains("Response verify OK") && !text.contains("nonce"),
            "{text}"
        );
        let text = openssl.run(verify);
        assert!(
            text.contains("Response verify OK") && text.contains("sign.pem: good"),
            "{text}"
        );
        let at = world.now - HOUR;
        openssl.write(
            "r.der",
            world
                .responder
                .respond(&theirs, world.now, &|_| CertStatus::Revoked { at }),
        );
        let text = openssl.run(verify);
        assert!(
            text.contains("Response verify OK") && text.contains("sign.pem: revoked"),
            "{text}"
        );
    }
}

#[test]
fn we_verify_ocsp_responses_of_openssl() {
    let Some(openssl) = OpenSsl::new() else { return };
    let world = World::new();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let responder_key = key(KeyAlgorithm::EcdsaP256);
    let responder = world
        .ca
        .issue_ocsp_responder(
            responder_key.public_key(),
            Subject::common_name("r"),
            Validity::days(world.now, 1),
        )
        .unwrap();
    openssl.write("ca.pem", world.ca_certificate.to_pem());
    openssl.write("responder.pem", responder.to_pem());
    openssl.write_key("responder.key", &responder_key);
    openssl.write("ours.req", request(&world.sign, &world.ca_certificate));
    for (mark, revoked, good) in [("V", "", true), ("R", "240101000000Z", false)] {
        let line = format!(
            "{mark}\t491231235959Z\t{revoked}\t{}\tunknown\t/CN=x\n",
            hex(world.sign.serial())
        );
        openssl.write("index.txt", line);
        // By name and by key hash.
        for option in ["", " -resp_key_id"] {
            openssl.run(&format!(
                "ocsp -index index.txt -CA ca.pem -rsigner responder.pem -rkey responder.key \
                 -reqin ours.req -respout theirs.der -ndays 1{option}"
            ));
            let response = OcspResponse::parse(&openssl.read("theirs.der")).unwrap();
            let verdict = response.verify(
                &world.sign,
                &world.ca_certificate,
                &Responders {
                    configured: &[],
                    authorities: &[],
                },
                &OcspPolicy::default(),
                now(),
            );
            assert_eq!(verdict.is_ok(), good, "{verdict:?}");
        }
    }
}

#[test]
fn openssl_verifies_our_time_stamps() {
    let Some(openssl) = OpenSsl::new() else { return };
    for kind in key_algorithms() {
        let world = World::with(kind);
        openssl.write("ca.pem", world.ca_certificate.to_pem());
        openssl.write("tsa.pem", world.tsa.certificate().to_pem());
        openssl.write("data", b"data");
        openssl.write("changed", b"date");
        // With and without the certificate in the token.
        for (options, untrusted) in [
            ("-sha512 -cert", ""),
            ("-sha256 -no_nonce", " -untrusted tsa.pem"),
        ] {
            openssl.run(&format!("ts -query -data data {options} -out q.tsq"));
            openssl.write(
                "r.tsr",
                world.tsa.respond(&openssl.read("q.tsq"), world.now, 1234),
            );
            let text = openssl.run("ts -reply -in r.tsr -text");
            assert!(text.contains("Serial number: 0x04D2"), "{text}");
            openssl.run(&format!(
                "ts -verify -queryfile q.tsq -in r.tsr -CAfile ca.pem{untrusted}"
            ));
            openssl.run(&format!(
                "ts -verify -data data -in r.tsr -CAfile ca.pem{untrusted}"
            ));
            let (success, text) = openssl.try_run(&format!(
                "ts -verify -data changed -in r.tsr -CAfile ca.pem{untrusted}"
            ));
            assert!(!success && text.contains("message imprint mismatch"), "{text}");
        }
        // As it is stored: our query, the certificate added by us.
        let token = parse_response(&world.tsa.respond(&query(&sha512(b"data")), world.now, 1)).unwrap();
        openssl.write("t.der", token.with_certificate(world.tsa.certificate()).der());
        openssl.run("ts -verify -data data -token_in -in t.der -CAfile ca.pem");
    }
}

#[test]
fn we_verify_time_stamps_of_openssl() {
    let Some(openssl) = OpenSsl::new() else { return };
    for (kind, chain) in key_algorithms()
        .into_iter()
        .flat_map(|kind| [(kind, "no"), (kind, "yes")])
    {
        let now = now();
        let ca = CertificateAuthority::generate(&ca_params("Test CA", kind, now)).unwrap();
        let key = key(kind);
        let tsa = ca
            .issue_tsa(
                key.public_key(),
                Subject::common_name("TSA"),
                Validity::days(now, 1),
            )
            .unwrap();
        openssl.write("tsa.pem", tsa.to_pem());
        openssl.write_key("tsa.key", &key);
        openssl.write(
            "ts.cnf",
            format!(
                "[tsa]\ndefault_tsa = one\n[one]\nserial = serial\nsigner_cert = tsa.pem\nsigner_key = tsa.key\n\
                 signer_digest = sha256\ndefault_policy = 1.2.3.4.1\ndigests = sha256, sha512\n\
                 clock_precision_digits = 3\nordering = yes\ntsa_name = {chain}\naccuracy = secs:1\n\
                 ess_cert_id_alg = {}\n",
                if chain == "yes" { "sha1" } else { "sha256" },
            ),
        );
        openssl.write("q.tsq", query(&sha512(b"data")));
        openssl.run("ts -reply -config ts.cnf -queryfile q.tsq -out r.tsr");
        let token = parse_response(&openssl.read("r.tsr")).unwrap();
        assert_eq!(token.verify(b"data", std::slice::from_ref(&tsa)), Ok(tsa.clone()));
        assert_eq!(
            token.verify(b"date", std::slice::from_ref(&tsa)),
            Err(TimestampError::Imprint)
        );
        assert!(token.gen_time() >= now);
    }
}
