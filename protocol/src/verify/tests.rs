use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::authority::{
    CaParams, CertificateAuthority, Leaf, OcspAnswer, OcspResponder, Usage, Validity,
};
use kontor_pki::certificate::Attribute;
use kontor_pki::crypto::sha512;
use kontor_pki::ocsp::{CertId, CertStatus};
use kontor_pki::profile::{CertificateProfile, Subject};
use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey, ecdsa_der_to_fixed};

use super::*;
use crate::hash_chain::{Batch, PartDigest, build_batch};
use crate::id::{ClientId, ServerId};
use crate::signature::{SignatureDocument, SignedObject, SignerInfo, prepare};
use crate::trust::InstanceConfig;
use crate::trust::optional::OptionalParts;
use crate::trust::shared::{ApprovedCa, CaInfo, SecurityServer, SharedParams};

const NOW: UnixTime = UnixTime::from_secs(1_790_000_000);
const MINUTE: Duration = Duration::from_secs(60);

fn new_key() -> SoftwareKey {
    SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap()
}

fn params(name: &str) -> CaParams {
    CaParams {
        name: name.to_owned(),
        organization: "Fictional".to_owned(),
        test: true,
        key: KeyAlgorithm::EcdsaP256,
        validity: Validity::days(NOW, 1000),
    }
}

/// An authority and what answers for it.
struct Ca {
    ca: CertificateAuthority,
    responder: OcspResponder,
}

impl Ca {
    fn new(ca: CertificateAuthority) -> Self {
        let responder = OcspResponder::new(ca.certificate().clone(), ca.key().clone(), 10 * MINUTE).unwrap();
        Self { ca, responder }
    }

    /// The same authority answering by a responder that nobody certified.
    fn with_rogue_responder(&self) -> OcspResponder {
        let rogue = Self::new(CertificateAuthority::generate(&params("Rogue responder")).unwrap());
        OcspResponder::new(
            rogue.ca.certificate().clone(),
            rogue.ca.key().clone(),
            10 * MINUTE,
        )
        .unwrap()
    }

    fn good(&self, subject: &Certificate, at: UnixTime) -> Vec<u8> {
        self.says(subject, CertStatus::Good, at, Some(at + 10 * MINUTE))
    }

    fn says(
        &self,
        subject: &Certificate,
        status: CertStatus,
        at: UnixTime,
        next: Option<UnixTime>,
    ) -> Vec<u8> {
        self.responder
            .respond_for(subject, self.ca.certificate(), status, at, next)
            .unwrap()
    }

    fn info(&self) -> CaInfo {
        CaInfo {
            certificate: self.ca.certificate().der().to_vec(),
            ocsp: Vec::new(),
        }
    }

    fn issue(&self, key: &SoftwareKey, usage: Usage, code: &str, validity: Validity) -> Certificate {
        let subject = Subject::default()
            .with(Attribute::Country, "TEST")
            .with(Attribute::Organization, "GOV")
            .with(Attribute::CommonName, code);
        self.ca
            .issue(&Leaf {
                public_key: key.public_key(),
                subject,
                usage,
                validity,
                dns_names: &[],
            })
            .unwrap()
    }
}

/// The fictional federation: instance TEST with one authority and its intermediate, and two servers.
struct World {
    root: Ca,
    intermediate: Ca,
    /// Below the root, but not named by the configuration.
    hidden: Ca,
    foreign: Ca,
    tls_only: Ca,
    sign_key: SoftwareKey,
    sign: Certificate,
    /// Registered for the server of member 1001; the second is issued by the hidden intermediate.
    tls: [Certificate; 2],
    tls_key: SoftwareKey,
    trust: TrustSet,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let root = Ca::new(CertificateAuthority::generate(&params("Root")).unwrap());
    let intermediate = Ca::new(root.ca.intermediate(&params("Intermediate")).unwrap());
    let hidden = Ca::new(root.ca.intermediate(&params("Hidden intermediate")).unwrap());
    let foreign = Ca::new(CertificateAuthority::generate(&params("Foreign")).unwrap());
    let tls_only = Ca::new(CertificateAuthority::generate(&params("TLS only")).unwrap());
    let (sign_key, tls_key) = (new_key(), new_key());
    let days = Validity::days(NOW, 100);
    let sign = root.issue(&sign_key, Usage::Signing, "1001", days);
    let tls = [
        root.issue(&tls_key, Usage::Authentication, "ss1", days),
        hidden.issue(&tls_key, Usage::Authentication, "ss1", days),
    ];
    let registered: Vec<_> = tls
        .iter()
        .map(|certificate| certificate.sha256().to_vec())
        .collect();
    let trust = trust(&root, &intermediate, &tls_only, &foreign, registered);
    World {
        root,
        intermediate,
        hidden,
        foreign,
        tls_only,
        sign_key,
        sign,
        tls,
        tls_key,
        trust,
    }
});

fn trust(root: &Ca, intermediate: &Ca, tls_only: &Ca, foreign: &Ca, registered: Vec<Vec<u8>>) -> TrustSet {
    let approved = |name: &str, top: &Ca, below: Vec<CaInfo>, authentication_only| ApprovedCa {
        name: name.to_owned(),
        authentication_only,
        top: top.info(),
        intermediates: below,
        profile_class: CertificateProfile::Ejbca.class_name(),
        csr_format: None,
        acme: None,
    };
    let server = |member: &str, code: &str, hashes: Vec<Vec<u8>>| SecurityServer {
        id: ServerId::new(member.parse().unwrap(), code).unwrap(),
        address: Some("127.0.0.1".to_owned()),
        authentication_hashes: hashes,
        clients: vec![format!("{member}/antrag").parse().unwrap()],
        maintenance: None,
    };
    let config = |instance: &str, authorities, servers| InstanceConfig {
        instance: instance.to_owned(),
        shared: SharedParams {
            instance: instance.to_owned(),
            authorities,
            servers,
            ..SharedParams::default()
        },
        private: None,
        optional: OptionalParts::default(),
        version: 3,
        expires: None,
    };
    let own = config(
        "TEST",
        vec![
            approved("root", root, vec![intermediate.info()], false),
            approved("tls", tls_only, vec![], true),
        ],
        vec![
            server("TEST/GOV/1001", "ss1", registered),
            server("TEST/GOV/1002", "ss2", vec![vec![0; 32]]),
        ],
    );
    let other = config("OTHER", vec![approved("foreign", foreign, vec![], false)], vec![]);
    TrustSet::new("TEST", vec![own, other]).unwrap()
}

fn member(code: &str) -> MemberId {
    MemberId::new("TEST", "GOV", code).unwrap()
}

/// A document over the message `b"message"`, with these OCSP values.
fn document(certificate: &Certificate, key: &SoftwareKey, ocsp: &[Vec<u8>]) -> SignatureDocument {
    let [first, more @ ..] = ocsp else {
        panic!("a signature has a response")
    };
    // The template puts a certificate beside each further response; the root is one that does no harm.
    let more: Vec<_> = more
        .iter()
        .map(|der| (WORLD.root.ca.certificate().clone(), der.clone()))
        .collect();
    let info = SignerInfo::new(certificate, first, &more);
    let object = SignedObject::Message(sha512(b"message"));
    let algorithm = key.key_algorithm().message_algorithm();
    SignatureDocument::parse(&prepare(&info, object, algorithm, NOW).sign(key).unwrap()).unwrap()
}

fn judge(document: &SignatureDocument, code: &str, at: UnixTime) -> Result<DocumentVerdict, VerifyError> {
    verify_document(
        &WORLD.trust,
        document,
        &member(code),
        at,
        &WORLD.trust.ocsp_policy(),
    )
}

fn fault(result: Result<DocumentVerdict, VerifyError>) -> String {
    result
        .map(|_| ())
        .unwrap_err()
        .fault()
        .code_string(crate::fault::Spelling::Snake)
}

#[test]
fn a_good_signature_is_believed_until_its_first_end() {
    let world = &*WORLD;
    let produced = NOW - MINUTE;
    let signed = document(
        &world.sign,
        &world.sign_key,
        &[world.root.good(&world.sign, produced)],
    );
    let verdict = judge(&signed, "1001", NOW).unwrap();
    assert_eq!(verdict.signer(), &member("1001"));
    assert_eq!(verdict.certificate(), &world.sign);
    assert_eq!(verdict.issuer(), world.root.ca.certificate());
    assert_eq!(verdict.signing_time(), Some(NOW));
    assert_eq!(verdict.ocsp_this_update(), produced);
    assert_eq!(
        verdict.valid_until(),
        produced + 10 * MINUTE,
        "nextUpdate comes before the freshness"
    );
    let endless = world.root.says(&world.sign, CertStatus::Good, produced, None);
    let verdict = judge(&document(&world.sign, &world.sign_key, &[endless]), "1001", NOW).unwrap();
    assert_eq!(
        verdict.valid_until(),
        produced + 60 * MINUTE,
        "the freshness of the own instance"
    );
    let short = Validity {
        not_before: NOW - MINUTE,
        not_after: NOW + MINUTE,
    };
    let short = world.root.issue(&world.sign_key, Usage::Signing, "1001", short);
    let verdict = judge(
        &document(&short, &world.sign_key, &[world.root.good(&short, NOW)]),
        "1001",
        NOW,
    )
    .unwrap();
    assert_eq!(verdict.valid_until(), NOW + MINUTE, "the end of the certificate");
}

#[test]
fn a_signer_judged_once_vouches_for_its_further_documents_and_no_others() {
    let world = &*WORLD;
    let ocsp = world.root.good(&world.sign, NOW);
    let policy = world.trust.ocsp_policy();
    let first = document(&world.sign, &world.sign_key, std::slice::from_ref(&ocsp));
    let signer = verify_signer(&world.trust, &first, &member("1001"), NOW, &policy).unwrap();
    let whole = judge(&first, "1001", NOW).unwrap();
    let info = SignerInfo::new(&world.sign, &ocsp, &[]);
    let algorithm = world.sign_key.key_algorithm().message_algorithm();
    let object = SignedObject::Message(sha512(b"second"));
    let second = prepare(&info, object, algorithm, NOW)
        .sign(&world.sign_key)
        .unwrap();
    let verdict = signer
        .verify(&SignatureDocument::parse(&second).unwrap())
        .unwrap();
    assert_eq!(verdict.covers(&parts(b"second", &[]), None, None), Ok(()));
    assert_eq!(verdict.valid_until(), whole.valid_until());
    assert_eq!(signer.valid_until(), whole.valid_until());
    assert_eq!(
        (verdict.signer(), verdict.issuer()),
        (whole.signer(), whole.issuer())
    );
    let later = document(
        &world.sign,
        &world.sign_key,
        &[world.root.good(&world.sign, NOW + MINUTE)],
    );
    assert!(
        matches!(signer.verify(&later), Err(VerifyError::Signer { .. })),
        "another response"
    );
    let forged = document(&world.sign, &new_key(), &[ocsp]);
    assert_eq!(
        fault(signer.verify(&forged)),
        "signature_verification.invalid_signature_value"
    );
}

#[test]
fn a_certificate_below_a_known_intermediate_needs_no_other() {
    let world = &*WORLD;
    let certificate =
        world
            .intermediate
            .issue(&world.sign_key, Usage::Signing, "1001", Validity::days(NOW, 10));
    let signed = document(
        &certificate,
        &world.sign_key,
        &[world.intermediate.good(&certificate, NOW)],
    );
    assert_eq!(
        judge(&signed, "1001", NOW).unwrap().issuer(),
        world.intermediate.ca.certificate()
    );
}

#[test]
fn the_ocsp_responses_decide_at_the_instant_of_the_question() {
    let world = &*WORLD;
    let says = |status, at, next| world.root.says(&world.sign, status, at, next);
    let judge_with = |ocsp: &[Vec<u8>]| judge(&document(&world.sign, &world.sign_key, ocsp), "1001", NOW);
    let good = |at| says(CertStatus::Good, at, None);
    let revoked = says(CertStatus::Revoked { at: NOW - MINUTE }, NOW, None);
    let path = "signature_verification.invalid_cert_path";
    for (ocsp, expected) in [
        (good(NOW - 61 * MINUTE), "incorrect_validation_info"),
        (
            says(CertStatus::Good, NOW - 2 * MINUTE, Some(NOW - MINUTE)),
            "incorrect_validation_info",
        ),
        (good(NOW + Duration::from_secs(61)), "incorrect_validation_info"),
        (revoked.clone(), "cert_validation"),
        (says(CertStatus::Unknown, NOW, None), "cert_validation"),
        (world.root.good(&world.tls[0], NOW), "cert_validation"),
        (rogue(&world.sign), "incorrect_validation_info"),
        (sha256_named(&world.sign), "cert_validation"),
    ] {
        assert_eq!(fault(judge_with(&[ocsp])), format!("{path}.{expected}"));
    }
    assert!(
        judge_with(&[good(NOW + Duration::from_secs(60))]).is_ok(),
        "clocks may differ by a minute"
    );
    assert_eq!(
        fault(judge_with(&[b"no DER".to_vec()])),
        "signature_verification.malformed_signature"
    );
    let other = world.root.good(&world.tls[0], NOW);
    assert!(
        judge_with(&[other, good(NOW)]).is_ok(),
        "the order of the responses does not matter"
    );
    assert_eq!(
        fault(judge_with(&[good(NOW - 61 * MINUTE), revoked])),
        format!("{path}.cert_validation")
    );
}

/// A response of a responder that has nothing to do with the authority.
fn rogue(subject: &Certificate) -> Vec<u8> {
    let root = &WORLD.root;
    root.with_rogue_responder()
        .respond_for(subject, root.ca.certificate(), CertStatus::Good, NOW, None)
        .unwrap()
}

/// A response that names its certificate by SHA-256, which X-Road does not understand (wire 8.5).
fn sha256_named(subject: &Certificate) -> Vec<u8> {
    let answer = OcspAnswer {
        cert_id: CertId::sha256_of(subject, WORLD.root.ca.certificate()),
        status: CertStatus::Good,
        this_update: NOW,
        next_update: None,
    };
    WORLD.root.responder.sign(&[answer], NOW, None).unwrap()
}

#[test]
fn who_signed_is_decided_by_certificate_and_authority() {
    let world = &*WORLD;
    let days = Validity::days(NOW, 10);
    let judge_signed = |ca: &Ca, usage, code: &str, validity| {
        let certificate = ca.issue(&world.sign_key, usage, code, validity);
        judge(
            &document(&certificate, &world.sign_key, &[ca.good(&certificate, NOW)]),
            "1001",
            NOW,
        )
    };
    let late = Validity {
        not_before: NOW + MINUTE,
        not_after: NOW + 10 * MINUTE,
    };
    let over = Validity {
        not_before: NOW - 10 * MINUTE,
        not_after: NOW - MINUTE,
    };
    let namesake = Ca::new(CertificateAuthority::generate(&params("Root")).unwrap());
    for (ca, usage, code, validity, expected) in [
        (
            &world.root,
            Usage::Authentication,
            "1001",
            days,
            "malformed_signature",
        ),
        (
            &world.root,
            Usage::Unspecified,
            "1001",
            days,
            "malformed_signature",
        ),
        (&world.root, Usage::Signing, "1002", days, "incorrect_certificate"),
        (
            &world.root,
            Usage::Signing,
            "1001",
            late,
            "cannot_create_cert_path",
        ),
        (
            &world.root,
            Usage::Signing,
            "1001",
            over,
            "cannot_create_cert_path",
        ),
        (
            &world.foreign,
            Usage::Signing,
            "1001",
            days,
            "cannot_create_cert_path",
        ),
        (
            &world.tls_only,
            Usage::Signing,
            "1001",
            days,
            "cannot_create_cert_path",
        ),
        (&namesake, Usage::Signing, "1001", days, "cannot_create_cert_path"),
        (
            &world.hidden,
            Usage::Signing,
            "1001",
            days,
            "cannot_create_cert_path",
        ),
    ] {
        let result = judge_signed(ca, usage, code, validity);
        assert_eq!(
            fault(result),
            format!("signature_verification.{expected}"),
            "{usage:?} {code}"
        );
    }
    assert!(judge_signed(&world.root, Usage::Signing, "1001", days).is_ok());
    let stranger = document(&world.sign, &new_key(), &[world.root.good(&world.sign, NOW)]);
    assert_eq!(
        fault(judge(&stranger, "1001", NOW)),
        "signature_verification.invalid_signature_value"
    );
    let elsewhere = MemberId::new("NOWHERE", "GOV", "1001").unwrap();
    let signed = document(&world.sign, &world.sign_key, &[world.root.good(&world.sign, NOW)]);
    let verdict = verify_document(&world.trust, &signed, &elsewhere, NOW, &world.trust.ocsp_policy());
    assert!(matches!(verdict, Err(VerifyError::UnknownIssuer { .. })));
}

fn parts(message: &[u8], attachments: &[&[u8]]) -> Vec<PartDigest> {
    let attachments = attachments.iter().enumerate();
    std::iter::once(PartDigest::message(sha512(message)))
        .chain(attachments.map(|(at, octets)| PartDigest::attachment(at + 1, sha512(octets))))
        .collect()
}

#[test]
fn a_direct_signature_covers_the_message_and_nothing_more() {
    let world = &*WORLD;
    let signed = document(&world.sign, &world.sign_key, &[world.root.good(&world.sign, NOW)]);
    let verdict = judge(&signed, "1001", NOW).unwrap();
    assert_eq!(verdict.covers(&parts(b"message", &[]), None, None), Ok(()));
    assert_eq!(
        verdict.covers_message(&parts(b"message", &[]), Some(b"message"), None, None),
        Ok(())
    );
    let refusal = |parts: &[PartDigest], result, chain| verdict.covers(parts, result, chain).unwrap_err();
    assert_eq!(
        refusal(&parts(b"another", &[]), None, None),
        VerifyError::OtherDigest("/message.xml".to_owned())
    );
    let with_body = parts(b"message", &[b"body"]);
    assert_eq!(
        refusal(&with_body, None, None),
        VerifyError::NotCovered("/attachment1".to_owned())
    );
    assert_eq!(
        refusal(&with_body[1..], None, None),
        VerifyError::NotReceived("/message.xml".to_owned())
    );
    assert_eq!(
        refusal(&[], None, None),
        VerifyError::NotReceived("/message.xml".to_owned())
    );
    let twice = [parts(b"message", &[]), parts(b"message", &[])].concat();
    assert_eq!(
        refusal(&twice, None, None),
        VerifyError::NotCovered("/message.xml".to_owned())
    );
    let batch = build_batch(&[parts(b"message", &[])]);
    let (result, chain) = (batch.result_xml.as_slice(), batch.chains[0].as_slice());
    for (result, chain) in [
        (Some(result), Some(chain)),
        (Some(result), None),
        (None, Some(chain)),
    ] {
        assert_eq!(
            refusal(&parts(b"message", &[]), result, chain),
            VerifyError::ChainNotReferenced
        );
    }
}

#[test]
fn the_message_may_be_referenced_by_another_digest_where_its_octets_are_at_hand() {
    let world = &*WORLD;
    let info = SignerInfo::new(&world.sign, &world.root.good(&world.sign, NOW), &[]);
    let sha256 = kontor_pki::crypto::sha256(b"message");
    let algorithm = world.sign_key.key_algorithm().message_algorithm();
    let template = prepare(&info, SignedObject::Message([0; 64]), algorithm, NOW);
    let (from, to) = (STANDARD.encode([0; 64]), STANDARD.encode(sha256));
    let change = |octets: &[u8]| {
        String::from_utf8_lossy(octets)
            .replacen(&from, &to, 1)
            .replacen("2001/04/xmlenc#sha512", "2001/04/xmlenc#sha256", 1)
            .into_bytes()
    };
    let signed = world
        .sign_key
        .sign(algorithm, &change(template.signed_info()))
        .unwrap();
    let document = change(&template.finish(&ecdsa_der_to_fixed(&signed, 32).unwrap()));
    let verdict = judge(&SignatureDocument::parse(&document).unwrap(), "1001", NOW).unwrap();
    let message = parts(b"message", &[]);
    assert_eq!(
        verdict.covers_message(&message, Some(b"message"), None, None),
        Ok(())
    );
    let other = verdict.covers_message(&message, Some(b"another"), None, None);
    assert_eq!(other, Err(VerifyError::OtherDigest("/message.xml".to_owned())));
    let unknown = verdict.covers(&message, None, None);
    assert_eq!(
        unknown,
        Err(VerifyError::OtherAlgorithm("/message.xml".to_owned()))
    );
}

fn signed_batch(batch: &Batch) -> DocumentVerdict {
    let world = &*WORLD;
    let info = SignerInfo::new(&world.sign, &world.root.good(&world.sign, NOW), &[]);
    let object = SignedObject::ChainResult(sha512(&batch.result_xml));
    let algorithm = world.sign_key.key_algorithm().message_algorithm();
    let document = prepare(&info, object, algorithm, NOW)
        .sign(&world.sign_key)
        .unwrap();
    judge(&SignatureDocument::parse(&document).unwrap(), "1001", NOW).unwrap()
}

#[test]
fn one_verdict_covers_each_message_of_its_batch_by_its_own_chain() {
    let requests = [
        parts(b"first", &[]),
        parts(b"second", &[b"body", b"more"]),
        parts(b"third", &[b"body"]),
    ];
    let batch = build_batch(&requests);
    let verdict = signed_batch(&batch);
    let result = Some(batch.result_xml.as_slice());
    for (at, request) in requests.iter().enumerate() {
        assert_eq!(verdict.covers(request, result, Some(&batch.chains[at])), Ok(()));
        assert!(
            verdict
                .covers(request, result, Some(&batch.chains[(at + 1) % 3]))
                .is_err()
        );
    }
    let refusal = |parts: &[PartDigest], result, chain| {
        verdict
            .covers(parts, result, chain)
            .unwrap_err()
            .fault()
            .code_string(crate::fault::Spelling::Snake)
    };
    let chain = Some(batch.chains[1].as_slice());
    let prefix = "signature_verification.malformed_signature";
    assert_eq!(refusal(&requests[1], None, None), prefix);
    assert_eq!(refusal(&requests[1], None, chain), prefix);
    assert_eq!(
        refusal(&requests[1], result, None),
        format!("{prefix}.invalid_reference")
    );
    assert_eq!(
        refusal(&requests[1][..2], result, chain),
        format!("{prefix}.invalid_reference")
    );
    let more = parts(b"second", &[b"body", b"more", b"most"]);
    assert_eq!(
        refusal(&more, result, chain),
        format!("{prefix}.hashchain_unused_inputs")
    );
    let swapped = parts(b"second", &[b"more", b"body"]);
    assert_eq!(
        refusal(&swapped, result, chain),
        format!("{prefix}.invalid_hash_chain")
    );
    // A chain and a result that fit each other, but were not signed.
    let other = build_batch(&[parts(b"forged", &[])]);
    let forged = refusal(
        &parts(b"forged", &[]),
        Some(&other.result_xml),
        Some(&other.chains[0]),
    );
    assert_eq!(forged, "signature_verification.invalid_signature_value");
}

// --- Peers: the recorded situations of both `tls-identity` families, with certificates of our own making.

fn response(der: &[u8]) -> OcspResponse {
    OcspResponse::parse(der).unwrap()
}

fn peer(
    presented: &[Certificate],
    ocsp: &[OcspResponse],
    party: &str,
    role: PeerRole,
) -> Result<PeerVerdict, String> {
    let party: ClientId = party.parse().unwrap();
    verify_peer(&WORLD.trust, presented, ocsp, &party, role, NOW)
        .map_err(|fault| fault.code_string(crate::fault::Spelling::Snake))
}

const PARTY: &str = "TEST/GOV/1001/antrag";
const BOTH: [PeerRole; 2] = [PeerRole::Client, PeerRole::Provider];

#[test]
fn a_registered_peer_is_believed_until_its_first_end() {
    let world = &*WORLD;
    let ocsp = [response(&world.root.good(&world.tls[0], NOW - MINUTE))];
    for role in BOTH {
        for party in [PARTY, "TEST/GOV/1001"] {
            let verdict = peer(&world.tls[..1], &ocsp, party, role).unwrap();
            assert_eq!(verdict.valid_until, NOW + 9 * MINUTE);
        }
    }
}

#[test]
fn ocsp_responses_about_a_peer_are_judged_as_those_in_signatures() {
    let world = &*WORLD;
    let says = |status, at, next| world.root.says(&world.tls[0], status, at, next);
    for (ocsp, code) in [
        (
            says(CertStatus::Good, NOW - 61 * MINUTE, None),
            "incorrect_validation_info",
        ),
        (
            says(CertStatus::Good, NOW + 2 * MINUTE, None),
            "incorrect_validation_info",
        ),
        (
            says(CertStatus::Revoked { at: NOW }, NOW, None),
            "cert_validation",
        ),
        (rogue(&world.tls[0]), "incorrect_validation_info"),
        (sha256_named(&world.tls[0]), "cert_validation"),
        (world.root.good(&world.sign, NOW), "cert_validation"),
    ] {
        let ocsp = [response(&ocsp)];
        let provider = peer(&world.tls[..1], &ocsp, PARTY, PeerRole::Provider);
        assert_eq!(
            provider,
            Err(format!("ssl_authentication_failed.invalid_cert_path.{code}"))
        );
        let client = peer(&world.tls[..1], &ocsp, PARTY, PeerRole::Client);
        assert_eq!(
            client,
            Err("ssl_authentication_failed".to_owned()),
            "a client is not told more"
        );
    }
    let endless = [response(&says(CertStatus::Good, NOW, None))];
    for role in BOTH {
        assert!(peer(&world.tls[..1], &endless, PARTY, role).is_ok());
    }
}

#[test]
fn a_peer_must_be_registered_for_the_party_it_speaks_for() {
    let world = &*WORLD;
    let refused = Err("ssl_authentication_failed".to_owned());
    let stranger = world.root.issue(
        &world.tls_key,
        Usage::Authentication,
        "ss9",
        Validity::days(NOW, 10),
    );
    for role in BOTH {
        let ocsp = [response(&world.root.good(&world.tls[0], NOW))];
        for party in ["TEST/GOV/1002/antrag", "TEST/GOV/1001/other", "TEST/GOV/1009"] {
            assert_eq!(peer(&world.tls[..1], &ocsp, party, role), refused, "{party}");
        }
        let ocsp = [response(&world.root.good(&stranger, NOW))];
        assert_eq!(peer(std::slice::from_ref(&stranger), &ocsp, PARTY, role), refused);
        assert_eq!(peer(&[], &ocsp, PARTY, role), refused);
        let ocsp = [response(&world.root.good(&world.sign, NOW))];
        assert_eq!(
            peer(std::slice::from_ref(&world.sign), &ocsp, PARTY, role),
            refused,
            "a signing certificate"
        );
    }
}

#[test]
fn a_peer_certificate_out_of_time_or_of_another_authority_is_refused() {
    let world = &*WORLD;
    let over = Validity {
        not_before: NOW - 10 * MINUTE,
        not_after: NOW - MINUTE,
    };
    let expired = world
        .root
        .issue(&world.tls_key, Usage::Authentication, "ss1", over);
    let ocsp = [response(&world.root.good(&expired, NOW))];
    let presented = std::slice::from_ref(&expired);
    assert_eq!(
        peer(presented, &ocsp, PARTY, PeerRole::Client),
        Err("ssl_authentication_failed".to_owned())
    );
    let no_path = Err("ssl_authentication_failed.cannot_create_cert_path".to_owned());
    assert_eq!(peer(presented, &ocsp, PARTY, PeerRole::Provider), no_path);
    let foreign = world.foreign.issue(
        &world.tls_key,
        Usage::Authentication,
        "ss1",
        Validity::days(NOW, 10),
    );
    let ocsp = [response(&world.foreign.good(&foreign, NOW))];
    let presented = std::slice::from_ref(&foreign);
    assert_eq!(
        peer(presented, &ocsp, PARTY, PeerRole::Client),
        Err("internal_error".to_owned())
    );
    assert_eq!(peer(presented, &ocsp, PARTY, PeerRole::Provider), no_path);
}

#[test]
fn the_number_of_responses_counts_for_providers_and_their_order_for_nobody() {
    let world = &*WORLD;
    let chain = [world.tls[0].clone(), world.root.ca.certificate().clone()];
    let of_leaf = response(&world.root.good(&world.tls[0], NOW));
    let of_other = response(&world.root.good(&world.sign, NOW));
    let refused = Err("ssl_authentication_failed".to_owned());
    assert_eq!(
        peer(&chain, std::slice::from_ref(&of_leaf), PARTY, PeerRole::Provider),
        refused,
        "one of two"
    );
    assert!(
        peer(
            &chain,
            &[of_other.clone(), of_leaf.clone()],
            PARTY,
            PeerRole::Provider
        )
        .is_ok(),
        "swapped"
    );
    assert_eq!(peer(&world.tls[..1], &[], PARTY, PeerRole::Client), refused);
    assert!(
        peer(&world.tls[..1], &[of_other, of_leaf], PARTY, PeerRole::Client).is_ok(),
        "the right one second"
    );
}

#[test]
fn the_anchor_of_a_client_is_above_its_last_certificate_and_that_of_a_provider_above_its_first() {
    let world = &*WORLD;
    let chain = [world.tls[1].clone(), world.hidden.ca.certificate().clone()];
    let ocsp = [
        response(&world.hidden.good(&chain[0], NOW)),
        response(&world.root.good(&chain[1], NOW - MINUTE)),
    ];
    let verdict = peer(&chain, &ocsp, PARTY, PeerRole::Client).unwrap();
    assert_eq!(
        verdict.valid_until,
        NOW + 9 * MINUTE,
        "the intermediate's response ends first"
    );
    assert_eq!(
        peer(&chain, &ocsp, PARTY, PeerRole::Provider),
        Err("ssl_authentication_failed.cannot_create_cert_path".to_owned()),
        "its issuer is not named by the configuration"
    );
    let without = peer(&chain, &ocsp[..1], PARTY, PeerRole::Client);
    assert_eq!(
        without,
        Err("ssl_authentication_failed".to_owned()),
        "each certificate of the path needs a response"
    );
}
