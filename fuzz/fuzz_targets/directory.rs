//! A configuration directory (wire 7.3 and 7.4), as it comes, and with a good signature around it: half of the reader
//! stands behind the signature.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::crypto::{DigestAlgorithm, sha512};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _};
use kontor_pki::time::UnixTime;
use kontor_protocol::trust::directory::{Relation, verify};
use libfuzzer_sys::fuzz_target;

const INSTANCE: &str = "DX";

struct Signer {
    authority: CertificateAuthority,
    certificates: Vec<Vec<u8>>,
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| {
    let authority = CertificateAuthority::generate(&CaParams {
        name: "Fuzz (fictional)".to_owned(),
        organization: "Fuzz (fictional)".to_owned(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(UnixTime::from_secs(1_000_000_000), 9_000),
    })
    .expect("a key");
    let certificates = vec![authority.certificate().der().to_vec()];
    Signer {
        authority,
        certificates,
    }
});

/// The envelope of wire 7.3 with a signature of [`SIGNER`] over exactly `content`, whose boundary is `b`.
fn enveloped(content: &[u8]) -> Vec<u8> {
    let key = SIGNER.authority.key();
    let algorithm = key.key_algorithm().message_algorithm();
    let signature = key.sign(algorithm, content).expect("a key signs");
    let digest = sha512(&SIGNER.certificates[0]);
    [
        b"Content-Type: multipart/related; boundary=outer-of-the-fuzzer\r\n\r\n\
          --outer-of-the-fuzzer\r\n\
          Content-Type: multipart/mixed; boundary=b\r\n\r\n"
            .as_slice(),
        content,
        format!(
            "\r\n--outer-of-the-fuzzer\r\n\
             Content-Type: application/octet-stream\r\n\
             Content-Transfer-Encoding: base64\r\n\
             Signature-Algorithm-Id: {}\r\n\
             Verification-certificate-hash: {}; hash-algorithm-id=\"{}\"\r\n\r\n\
             {}\r\n--outer-of-the-fuzzer--\r\n",
            algorithm.uri(),
            STANDARD.encode(digest),
            DigestAlgorithm::Sha512.uri(),
            STANDARD.encode(signature)
        )
        .as_bytes(),
    ]
    .concat()
}

fuzz_target!(|data: &[u8]| {
    let now = UnixTime::from_secs(1_700_000_000);
    for relation in [Relation::Own, Relation::Federated] {
        assert!(
            verify(data, &SIGNER.certificates, INSTANCE, relation, now).is_err(),
            "nobody but the signer can sign"
        );
        let Ok(directory) = verify(&enveloped(data), &SIGNER.certificates, INSTANCE, relation, now) else {
            continue;
        };
        assert!(directory.expires() > now);
        for part in directory.parts() {
            assert!(part.location().starts_with('/') && !part.location().starts_with("//"));
            let name = part.file_name();
            assert!(!name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\']));
        }
    }
});
