use std::time::Duration;

use kontor_pki::authority::{CaParams, CertificateAuthority, OcspResponder, Validity};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::Ed25519Key;
use kontor_pki::ocsp::CertStatus;
use kontor_pki::profile::{CertificateProfile, ProfileMember};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};
use proptest::prelude::*;

use super::*;
use crate::hash_chain::build_batch;
use crate::log::note::{Cosigner, NoteSigner};
use crate::log::origin::witness_name;
use crate::signature::{SignedObject, SignerInfo, prepare};
use crate::trust::InstanceConfig;
use crate::trust::optional::OptionalParts;
use crate::trust::shared::{ApprovedCa, CaInfo, SecurityServer, SharedParams};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const HOUR: Duration = Duration::from_secs(3600);

/// A fictional federation: one authority, the member 1001 with server `s`, at which 1002 has a subsystem.
struct World {
    ca: CertificateAuthority,
    key: SoftwareKey,
    trust: TrustSet,
}

impl World {
    fn new() -> Self {
        let ca = CertificateAuthority::generate(&CaParams {
            name: "Test CA".to_owned(),
            organization: "Fictional".to_owned(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity::days(NOW, 100),
        })
        .unwrap();
        let approved = ApprovedCa {
            name: "Test CA".to_owned(),
            authentication_only: false,
            top: CaInfo {
                certificate: ca.certificate().der().to_vec(),
                ocsp: Vec::new(),
            },
            intermediates: Vec::new(),
            profile_class: CertificateProfile::Ejbca.class_name(),
            csr_format: None,
            acme: None,
        };
        let server = SecurityServer {
            id: server(),
            address: None,
            authentication_hashes: Vec::new(),
            clients: vec!["TEST/GOV/1002/antrag".parse().unwrap()],
            maintenance: None,
        };
        let config = InstanceConfig {
            instance: "TEST".to_owned(),
            shared: SharedParams {
                instance: "TEST".to_owned(),
                authorities: vec![approved],
                servers: vec![server],
                ..SharedParams::default()
            },
            private: None,
            optional: OptionalParts::default(),
            version: 3,
            expires: None,
        };
        Self {
            trust: TrustSet::new("TEST", vec![config]).unwrap(),
            key: SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap(),
            ca,
        }
    }

    fn certificate(&self, code: &str) -> Certificate {
        let member = ProfileMember {
            instance: "TEST".to_owned(),
            class: "GOV".to_owned(),
            code: code.to_owned(),
        };
        let subject = CertificateProfile::Ejbca.signing_subject(&member, "Fictional");
        self.ca
            .issue_signing(self.key.public_key(), subject, Validity::days(NOW, 10))
            .unwrap()
    }

    fn sign(&self, code: &str, object: SignedObject, status: CertStatus) -> Vec<u8> {
        let certificate = self.certificate(code);
        let responder =
            OcspResponder::new(self.ca.certificate().clone(), self.ca.key().clone(), HOUR).unwrap();
        let ocsp = responder
            .respond_for(&certificate, self.ca.certificate(), status, NOW, Some(NOW + HOUR))
            .unwrap();
        let signer = SignerInfo::new(&certificate, &ocsp, &[]);
        let algorithm = self.key.key_algorithm().message_algorithm();
        prepare(&signer, object, algorithm, NOW).sign(&self.key).unwrap()
    }

    /// The statement of this member, signed by it.
    fn binding(&self, code: &str) -> Binding {
        let statement = statement(code);
        Binding {
            signature: self.sign(code, object(&statement), CertStatus::Good),
            statement,
            chain: None,
        }
    }
}

fn server() -> ServerId {
    ServerId::new(member("1001"), "s").unwrap()
}

fn member(code: &str) -> MemberId {
    MemberId::new("TEST", "GOV", code).unwrap()
}

fn object(statement: &Statement) -> SignedObject {
    SignedObject::Message(statement.part().digest)
}

fn log_key() -> VerifierKey {
    let origin = LogOrigin {
        server: server(),
        log_id: [7; 32],
    };
    NoteSigner::new(origin.key_name(), Ed25519Key::from_seed(&[1; 32]))
        .verifier()
        .clone()
}

fn statement(code: &str) -> Statement {
    Statement::new(log_key(), member(code), 1_790_000_000).unwrap()
}

fn code(binding: &Binding, trust: &TrustSet) -> &'static str {
    match binding.verify(trust, None) {
        Ok(_) => "bound",
        Err(error) => error.code(),
    }
}

#[test]
fn the_bytes_of_a_statement_are_frozen() {
    let id = "07".repeat(32);
    let text = statement("1001").to_string();
    // The id of the key was computed with Python's hashlib.
    assert_eq!(
        text,
        format!(
            "kontor/key/1\nkontor/TEST/GOV/1001/s/{id}+{}\nTEST/GOV/1001\n1790000000\n",
            "cc947175+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"
        )
    );
    assert_eq!(Statement::parse(&text), Ok(statement("1001")));
    assert_eq!(statement("1001").server(), &server());
}

#[test]
fn a_member_binds_the_key_of_its_log_and_of_its_witness() {
    let world = World::new();
    let bound = world.binding("1001").verify(&world.trust, None).unwrap();
    assert_eq!(
        (bound.key(), bound.statement().member()),
        (&log_key(), &member("1001"))
    );
    let witness = Cosigner::new(witness_name(&server()), Ed25519Key::from_seed(&[2; 32]));
    let statement = Statement::new(witness.verifier().clone(), member("1001"), 1_790_000_000).unwrap();
    let binding = Binding {
        signature: world.sign("1001", object(&statement), CertStatus::Good),
        statement,
        chain: None,
    };
    let read = Binding::from_json(&binding.to_json()).unwrap();
    assert_eq!(read, binding);
    assert_eq!(read.verify(&world.trust, None).unwrap().key(), witness.verifier());
}

#[test]
fn a_statement_signed_in_a_batch_of_messages_is_bound_too() {
    let world = World::new();
    let statement = statement("1001");
    let other = vec![PartDigest::message(sha512(b"a message of the same batch"))];
    let batch = build_batch(&[other, vec![statement.part()]]);
    let binding = Binding {
        signature: world.sign(
            "1001",
            SignedObject::ChainResult(sha512(&batch.result_xml)),
            CertStatus::Good,
        ),
        statement,
        chain: Some((batch.result_xml, batch.chains[1].clone())),
    };
    assert_eq!(code(&binding, &world.trust), "bound");
    assert_eq!(Binding::from_json(&binding.to_json()), Ok(binding.clone()));
    let swapped = Binding {
        chain: binding.chain.map(|(result, _)| (result, batch.chains[0].clone())),
        ..binding
    };
    assert_ne!(code(&swapped, &world.trust), "bound");
}

#[test]
fn a_member_registered_at_the_server_may_answer_for_it_and_no_other() {
    let world = World::new();
    assert_eq!(code(&world.binding("1002"), &world.trust), "bound");
    assert_eq!(code(&world.binding("1003"), &world.trust), "binding_member");
}

#[test]
fn what_the_member_did_not_sign_binds_nothing() {
    let world = World::new();
    let good = world.binding("1001");
    let mut later = good.clone();
    later.statement.since += 1;
    assert_eq!(code(&later, &world.trust), "invalid_signature_value");
    let mut others = good.clone();
    others.signature = world.binding("1002").signature;
    assert_eq!(code(&others, &world.trust), "incorrect_certificate");
    let mut revoked = good.clone();
    let status = CertStatus::Revoked { at: NOW };
    revoked.signature = world.sign("1001", object(&good.statement), status);
    assert_eq!(code(&revoked, &world.trust), "cert_validation");
    let mut garbled = good.clone();
    garbled.signature = b"<no/>".to_vec();
    assert_ne!(code(&garbled, &world.trust), "bound");
    // Years later the OCSP response says nothing of itself; the second of the statement is what is judged.
    let years = NOW + 1000 * 24 * HOUR;
    assert!(good.verify(&world.trust, Some(years)).is_err());
    assert!(good.verify(&world.trust, Some(NOW + HOUR / 2)).is_ok());
    let mut early = good.clone();
    early.statement.since = 1_690_000_000;
    early.signature = world.sign("1001", object(&early.statement), CertStatus::Good);
    assert_eq!(code(&early, &world.trust), "cannot_create_cert_path");
}

#[test]
fn what_is_no_statement_is_refused() {
    let good = statement("1001").to_string();
    for refused in [
        String::new(),
        good.trim_end().to_owned(),
        format!("{good}\n"),
        good.replace("key/1", "key/2"),
        good.replace("1790000000", "01790000000"),
        good.replace("1790000000", "soon"),
        good.replace("1790000000", "9223372036854775808"),
        good.replace("\nTEST/GOV/1001\n", "\nTEST/GOV\n"),
        good.replace("\nTEST/GOV/1001\n", "\nTEST/GOV/%31001\n"),
        good.replace("\nTEST/GOV/1001\n", "\nTEST/GOV/10 01\n"),
        good.replace("+cc947175+", "+cc947176+"),
    ] {
        assert!(Statement::parse(&refused).is_err(), "{refused:?}");
    }
    let foreign = VerifierKey::new(
        "example.com/log".parse().unwrap(),
        SignatureKind::Ed25519,
        [1; 32],
    );
    assert!(Statement::new(foreign, member("1001"), 1).is_err());
    let name = witness_name(&server());
    let mixed = VerifierKey::new(name, SignatureKind::Ed25519, [1; 32]);
    assert!(Statement::new(mixed, member("1001"), 1).is_err());
    assert!(Statement::new(log_key(), member("1001"), SIZE_LIMIT + 1).is_err());
    let last = Statement::new(log_key(), member("1001"), SIZE_LIMIT).unwrap();
    assert_eq!(Statement::parse(&last.to_string()), Ok(last));
    let json = String::from_utf8(World::new().binding("1001").to_json()).unwrap();
    for refused in [
        json.replace("\"format\": 1", "\"format\": 2"),
        json.replace("\"signature\": \"", "\"signature\": \"!"),
        json.replace("\"signature\"", "\"chain\": \"\", \"signature\""),
        json.replace("kontor/key/1", "kontor/key/2"),
    ] {
        assert!(Binding::from_json(refused.as_bytes()).is_err());
    }
}

proptest! {
    #[test]
    fn there_is_one_way_to_write_a_statement(at in any::<prop::sample::Index>(), byte in 0u8..128) {
        let mut bytes = statement("1001").to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(read) = Statement::parse(&text) {
            prop_assert_eq!(read.to_string(), text);
        }
    }

    #[test]
    fn arbitrary_statements_never_panic(text in "(kontor/key/1\n)?(\\PC|\n){0,80}") {
        let _ = Statement::parse(&text);
        let _ = Binding::from_json(text.as_bytes());
    }
}
