//! One fictional member with those who vouch for it, and evidence made with them as a node makes it.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use kontor_pki::authority::{CaParams, CertificateAuthority, OcspResponder, TimestampAuthority, Validity};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::CertStatus;
use kontor_pki::profile::{CertificateProfile, ProfileMember, Subject};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};
use kontor_pki::time::UnixTime;
use kontor_pki::timestamp;
use kontor_protocol::container::timestamp::Batch;
use kontor_protocol::container::{BatchTimestamp, ChainFiles, Companion, ContainerWriter, Evidence};
use kontor_protocol::hash_chain::{PartDigest, build_batch};
use kontor_protocol::id::ServiceId;
use kontor_protocol::log::{Direction, EntryKind, Leaf, ListedPart, Retention, commitment, encode_parts};
use kontor_protocol::signature::{SignatureDocument, SignedObject, SignerInfo, insert_timestamp, prepare};
use kontor_protocol::trust::optional::OptionalParts;
use kontor_protocol::trust::shared::{ApprovedCa, ApprovedTsa, CaInfo, Member, SharedParams};
use kontor_protocol::trust::{InstanceConfig, TrustSet};

pub(crate) const MESSAGE: &[u8] =
    b"POST\r\n/r1/TEST/GOV/1002/antrag/intake/a?b=c\r\nContent-Type:text/plain\r\n\
    X-Road-Client:TEST/GOV/1001/antrag\r\nx-road-request-id:8d9f6e0c-0000-4000-8000-000000000001\r\n\
    x-road-id:q1\r\n";
pub(crate) const BODY: &[u8] = b"an application for everything";

pub(crate) fn now() -> UnixTime {
    UnixTime::parse_rfc3339("2026-03-02T10:00:00Z").unwrap()
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A member, its authority, and those who vouch.
pub(crate) struct World {
    pub(crate) ca: CertificateAuthority,
    pub(crate) responder: OcspResponder,
    pub(crate) tsa: TimestampAuthority,
    pub(crate) certificate: Certificate,
    pub(crate) key: Arc<SoftwareKey>,
}

/// What one container is made of.
#[derive(Clone)]
pub(crate) struct Pieces {
    pub(crate) message: Vec<u8>,
    pub(crate) signatures: Vec<u8>,
    pub(crate) chain: Option<ChainFiles>,
    pub(crate) timestamp: Option<BatchTimestamp>,
    pub(crate) body: Option<Vec<u8>>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(KeyAlgorithm::EcdsaP256)
    }

    pub(crate) fn with(kind: KeyAlgorithm) -> Self {
        let key = || Arc::new(SoftwareKey::generate(kind).unwrap());
        let validity = Validity::days(now(), 365);
        let params = CaParams {
            name: "Test CA".to_owned(),
            organization: "Fictional".to_owned(),
            test: true,
            key: kind,
            validity,
        };
        let ca = CertificateAuthority::generate(&params).unwrap();
        let member = ProfileMember {
            instance: "TEST".to_owned(),
            class: "GOV".to_owned(),
            code: "1001".to_owned(),
        };
        let (sign, ocsp, tsa) = (key(), key(), key());
        let subject = CertificateProfile::Ejbca.signing_subject(&member, "Alpha");
        let certificate = ca.issue_signing(sign.public_key(), subject, validity).unwrap();
        let responder = ca
            .issue_ocsp_responder(ocsp.public_key(), Subject::common_name("OCSP"), validity)
            .unwrap();
        let authority = ca
            .issue_tsa(tsa.public_key(), Subject::common_name("TSA"), validity)
            .unwrap();
        Self {
            ca,
            responder: OcspResponder::new(responder, ocsp, seconds(3600)).unwrap(),
            tsa: TimestampAuthority::new(authority, tsa).unwrap(),
            certificate,
            key: sign,
        }
    }

    pub(crate) fn shared(&self) -> SharedParams {
        SharedParams {
            instance: "TEST".to_owned(),
            authorities: vec![ApprovedCa {
                name: "Test CA".to_owned(),
                authentication_only: false,
                top: CaInfo {
                    certificate: self.ca.certificate().der().to_vec(),
                    ocsp: vec![],
                },
                intermediates: vec![],
                profile_class: CertificateProfile::Ejbca.class_name(),
                csr_format: None,
                acme: None,
            }],
            tsas: vec![ApprovedTsa {
                cost: None,
                name: "Test TSA".to_owned(),
                url: "http://tsa".to_owned(),
                certificate: self.tsa.certificate().der().to_vec(),
            }],
            members: vec![Member {
                id: "TEST/GOV/1001".parse().unwrap(),
                name: "Fictional City of Alpha".to_owned(),
                subsystems: vec![],
            }],
            ..SharedParams::default()
        }
    }

    pub(crate) fn trust(&self) -> TrustSet {
        trust(self.shared())
    }

    pub(crate) fn signer(&self, status: CertStatus) -> SignerInfo {
        let until = Some(now() + seconds(3600));
        let ocsp = self
            .responder
            .respond_for(&self.certificate, self.ca.certificate(), status, now(), until);
        SignerInfo::new(&self.certificate, &ocsp.unwrap(), &[])
    }

    pub(crate) fn sign(&self, object: SignedObject, status: CertStatus) -> Vec<u8> {
        self.sign_by(&self.signer(status), object)
    }

    fn sign_by(&self, signer: &SignerInfo, object: SignedObject) -> Vec<u8> {
        let algorithm = self.key.key_algorithm().message_algorithm();
        prepare(signer, object, algorithm, now() + seconds(10))
            .sign(&*self.key)
            .unwrap()
    }

    pub(crate) fn token(&self, data: &[u8]) -> Vec<u8> {
        let answer = self
            .tsa
            .respond(&timestamp::query(&sha512(data)), now() + seconds(60), 7);
        let token = timestamp::parse_response(&answer).unwrap();
        token.with_certificate(self.tsa.certificate()).der().to_vec()
    }

    /// A message with a body, not stamped yet.
    pub(crate) fn unstamped(&self) -> Pieces {
        self.unstamped_by(&self.signer(CertStatus::Good))
    }

    /// The same with an OCSP response that other messages have as well.
    pub(crate) fn unstamped_by(&self, signer: &SignerInfo) -> Pieces {
        let parts = vec![
            PartDigest::message(sha512(MESSAGE)),
            PartDigest::attachment(1, sha512(BODY)),
        ];
        let other = vec![PartDigest::message(sha512(b"another message of the batch"))];
        let batch = build_batch(&[parts, other]);
        let chain = ChainFiles {
            result: batch.result_xml.clone(),
            chain: batch.chains[0].clone(),
        };
        Pieces {
            message: MESSAGE.to_vec(),
            signatures: self.sign_by(signer, SignedObject::ChainResult(sha512(&chain.result))),
            chain: Some(chain),
            timestamp: None,
            body: Some(BODY.to_vec()),
        }
    }

    /// The same with a time-stamp in its signature.
    pub(crate) fn stamped(&self) -> Pieces {
        self.stamp(self.unstamped())
    }

    pub(crate) fn stamp(&self, mut pieces: Pieces) -> Pieces {
        let value = SignatureDocument::parse(&pieces.signatures)
            .unwrap()
            .signature_value()
            .to_vec();
        pieces.signatures = insert_timestamp(&pieces.signatures, &self.token(&value)).unwrap();
        pieces
    }

    /// The same with a time-stamp over many records.
    pub(crate) fn batch_stamped(&self) -> Pieces {
        let mut pieces = self.unstamped();
        let records = [&b"another record"[..], &pieces.signatures, b"a third"];
        let batch = Batch::over(records).unwrap();
        let token = self.token(batch.stamped());
        pieces.timestamp = batch.record(1, &token);
        pieces
    }
}

pub(crate) fn trust(shared: SharedParams) -> TrustSet {
    let config = InstanceConfig {
        instance: shared.instance.clone(),
        shared,
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: Some(now()),
    };
    TrustSet::new("TEST", vec![config]).unwrap()
}

impl Pieces {
    pub(crate) fn archive(&self) -> Vec<u8> {
        let evidence = Evidence {
            message: &self.message,
            signatures: &self.signatures,
            chain: self.chain.as_ref(),
            timestamp: self.timestamp.as_ref(),
            attachments: usize::from(self.body.is_some()),
        };
        let mut writer = ContainerWriter::new(Cursor::new(Vec::new()), &evidence, now()).unwrap();
        if let Some(body) = &self.body {
            writer.start_attachment().unwrap();
            for piece in body.chunks(7) {
                writer.write(piece).unwrap();
            }
        }
        writer.finish().unwrap().into_inner()
    }

    pub(crate) fn companion(&self, test: bool) -> Companion {
        let part = |name: &str, bytes: &[u8]| ListedPart {
            name: name.to_owned(),
            length: bytes.len() as u64,
            digest: sha512(bytes),
        };
        let mut parts = vec![part("message.xml", &self.message)];
        parts.extend(self.body.as_ref().map(|body| part("attachment1", body)));
        if let Some(chain) = &self.chain {
            parts.push(part("sig-hashchainresult.xml", &chain.result));
            parts.push(part("sig-hashchain.xml", &chain.chain));
        }
        parts.push(part("signatures.xml", &self.signatures));
        let borrowed: Vec<_> = parts.iter().map(ListedPart::as_part).collect();
        let leaf = Leaf {
            kind: EntryKind::Request,
            direction: Direction::Sent,
            test,
            size_class: 10,
            log_id: [1; 32],
            number: 42,
            second: Leaf::second_of(now()),
            period: 202_603,
            client: Some("TEST/GOV/1001/antrag".parse().unwrap()),
            service: Some(ServiceId::new("TEST/GOV/1002/antrag".parse().unwrap(), "intake", None).unwrap()),
            client_server: None,
            provider_server: None,
            retention: Retention::default(),
            commitment: commitment(&[5; 32], &encode_parts(&borrowed)),
        };
        Companion {
            leaf: leaf.to_bytes(),
            salt: [5; 32],
            parts,
            proof: None,
            keys: Vec::new(),
            absent: Vec::new(),
        }
    }
}
