//! One authority with a responder, a time-stamp authority and a member; and where other tools and bytes are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kontor_pki::UnixTime;
use kontor_pki::authority::{CaParams, CertificateAuthority, OcspResponder, TimestampAuthority, Validity};
use kontor_pki::certificate::Certificate;
use kontor_pki::profile::{CertificateProfile, ProfileMember, Subject};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};

/// An instant at which tools that ask the real clock find everything valid, too.
pub(crate) fn now() -> UnixTime {
    let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap();
    UnixTime::from_secs(i64::try_from(since_epoch.as_secs()).unwrap())
}

pub(crate) fn at(text: &str) -> UnixTime {
    text.parse().unwrap()
}

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn key(algorithm: KeyAlgorithm) -> Arc<SoftwareKey> {
    Arc::new(SoftwareKey::generate(algorithm).unwrap())
}

pub(crate) fn ca_params(name: &str, key: KeyAlgorithm, now: UnixTime) -> CaParams {
    CaParams {
        name: name.to_owned(),
        organization: "Kontor test federation".to_owned(),
        test: true,
        key,
        validity: Validity::days(now, 3650),
    }
}

/// The kinds of key that this build can make.
pub(crate) fn key_algorithms() -> Vec<KeyAlgorithm> {
    let mut kinds = vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384];
    if cfg!(feature = "aws-lc") {
        kinds.push(KeyAlgorithm::Rsa { bits: 2048 });
    }
    kinds
}

pub(crate) struct World {
    pub(crate) now: UnixTime,
    pub(crate) ca: CertificateAuthority,
    pub(crate) ca_certificate: Certificate,
    pub(crate) responder: OcspResponder,
    pub(crate) tsa: TimestampAuthority,
    pub(crate) sign: Certificate,
    pub(crate) sign_key: Arc<SoftwareKey>,
    pub(crate) auth: Certificate,
}

pub(crate) fn member() -> ProfileMember {
    ProfileMember {
        instance: "TEST".to_owned(),
        class: "GOV".to_owned(),
        code: "1001".to_owned(),
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(KeyAlgorithm::EcdsaP256)
    }

    pub(crate) fn with(kind: KeyAlgorithm) -> Self {
        let now = now();
        let ca = CertificateAuthority::generate(&ca_params("Test CA", kind, now)).unwrap();
        let validity = Validity::days(now, 365);
        let (ocsp_key, tsa_key, sign_key, auth_key) = (key(kind), key(kind), key(kind), key(kind));
        let responder = ca
            .issue_ocsp_responder(ocsp_key.public_key(), Subject::common_name("Test OCSP"), validity)
            .unwrap();
        let tsa = ca
            .issue_tsa(tsa_key.public_key(), Subject::common_name("Test TSA"), validity)
            .unwrap();
        let profile = CertificateProfile::Ejbca;
        let subject = profile.signing_subject(&member(), "Musterstadt");
        let sign = ca
            .issue_signing(sign_key.public_key(), subject, validity)
            .unwrap();
        let subject = profile.authentication_subject(&member(), "ss1", "Musterstadt", "ss1.test");
        let names = ["ss1.test".to_owned(), "127.0.0.1".to_owned()];
        let auth = ca
            .issue_authentication(auth_key.public_key(), subject, &names, validity)
            .unwrap();
        Self {
            now,
            ca_certificate: ca.certificate().clone(),
            ca,
            responder: OcspResponder::new(responder, ocsp_key, HOUR).unwrap(),
            tsa: TimestampAuthority::new(tsa, tsa_key).unwrap(),
            sign,
            sign_key,
            auth,
        }
    }
}

/// The directory of recorded vectors beside the workspace.
pub(crate) fn shared() -> Option<PathBuf> {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared"));
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED: this test needs ../shared beside the workspace");
    None
}

/// A directory in which openssl works; `None`, loudly, where there is no openssl.
pub(crate) struct OpenSsl {
    dir: tempfile::TempDir,
}

impl OpenSsl {
    pub(crate) fn new() -> Option<Self> {
        if Command::new("openssl").arg("version").output().is_err() {
            eprintln!("SKIPPED: this test needs the command openssl");
            return None;
        }
        Some(Self {
            dir: tempfile::tempdir().unwrap(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn write(&self, file: &str, contents: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), contents).unwrap();
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        std::fs::read(self.path().join(file)).unwrap()
    }

    pub(crate) fn write_key(&self, file: &str, key: &SoftwareKey) {
        self.write("key.der", &*key.to_pkcs8());
        self.run(&format!("pkcs8 -inform DER -in key.der -nocrypt -out {file}"));
    }

    /// What openssl prints on both outputs, and whether it succeeded.
    pub(crate) fn try_run(&self, arguments: &str) -> (bool, String) {
        let output = Command::new("openssl")
            .current_dir(self.path())
            .args(arguments.split(' '))
            .output()
            .unwrap();
        let text = [&output.stdout[..], &output.stderr[..]].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&text).into_owned(),
        )
    }

    pub(crate) fn run(&self, arguments: &str) -> String {
        let (success, text) = self.try_run(arguments);
        assert!(success, "openssl {arguments}\n{text}");
        text
    }
}
