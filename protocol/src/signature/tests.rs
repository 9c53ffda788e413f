use std::io::Write as _;
use std::process::Command;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::authority::{CaParams, CertificateAuthority, Validity};
use kontor_pki::certificate::{Attribute, Certificate};
use kontor_pki::crypto::{DigestAlgorithm, sha512};
use kontor_pki::profile::Subject;
use kontor_pki::signing::{
    KeyAlgorithm, SignatureAlgorithm, SigningKey as _, SoftwareKey, ecdsa_der_to_fixed,
};
use kontor_pki::time::UnixTime;
use proptest::prelude::*;

use super::*;
use crate::c14n::{Method, canonicalize};
use crate::hash_chain::{MESSAGE, SIGNATURE_CHAIN_RESULT};
use crate::xml;

const NOW: UnixTime = UnixTime::from_millis(1_790_000_000_123);
const OCSP: &[u8] = b"an OCSP response; read elsewhere";

struct Signer {
    key: SoftwareKey,
    certificate: Certificate,
    authority: Certificate,
}

impl Signer {
    fn new(algorithm: KeyAlgorithm, authority_name: &str) -> Self {
        let authority = CertificateAuthority::generate(&CaParams {
            name: authority_name.to_owned(),
            organization: "Fictional".to_owned(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity: Validity::days(NOW, 100),
        })
        .unwrap();
        let key = SoftwareKey::generate(algorithm).unwrap();
        let subject = Subject::common_name("1001").with(Attribute::Organization, "GOV");
        let certificate = authority
            .issue_signing(key.public_key(), subject, Validity::days(NOW, 10))
            .unwrap();
        Self {
            key,
            certificate,
            authority: authority.certificate().clone(),
        }
    }

    fn info(&self) -> SignerInfo {
        SignerInfo::new(&self.certificate, OCSP, &[])
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.key_algorithm().message_algorithm()
    }

    fn document(&self, object: SignedObject) -> Vec<u8> {
        prepare(&self.info(), object, self.algorithm(), NOW)
            .sign(&self.key)
            .unwrap()
    }

    /// Makes the digest of the signed properties and the signature value of a changed document right again, as a
    /// signer would have made them who writes such documents.
    fn sign_again(&self, document: &str) -> Vec<u8> {
        let (form, prefixes) = match document.contains("<!--exclusive-->") {
            true => (Method::Exclusive, vec!["xsi", "#default"]),
            false => (Method::Inclusive, Vec::new()),
        };
        let properties = canonical(document, "SignedProperties", form, &prefixes);
        let (before, after) = document.split_once("SignedProperties\" URI=").unwrap();
        let (between, after) = after.split_once("<ds:DigestValue>").unwrap();
        let (_, after) = after.split_once("</ds:DigestValue>").unwrap();
        let document = format!(
            "{before}SignedProperties\" URI={between}<ds:DigestValue>{}</ds:DigestValue>{after}",
            STANDARD.encode(sha512(&properties))
        );
        let signed_info = canonical(&document, "SignedInfo", form, &prefixes);
        let value = self.key.sign(self.algorithm(), &signed_info).unwrap();
        let (before, after) = document
            .split_once("<ds:SignatureValue Id=\"signature-value\">")
            .unwrap();
        let (_, after) = after.split_once("</ds:SignatureValue>").unwrap();
        let value = STANDARD.encode(ecdsa_der_to_fixed(&value, 32).unwrap());
        format!("{before}<ds:SignatureValue Id=\"signature-value\">{value}</ds:SignatureValue>{after}")
            .into_bytes()
    }
}

/// Real canonical form of the element of this name.
fn canonical(document: &str, name: &str, form: Method, prefixes: &[&str]) -> Vec<u8> {
    let text = xml::scan(document.as_bytes(), &read::BOUNDS).unwrap();
    let tree = text.tree().unwrap();
    let node = tree
        .descendants()
        .find(|node| node.tag_name().name() == name)
        .unwrap();
    let mut out = Vec::new();
    canonicalize(node, form, prefixes, &mut out);
    out
}

static SIGNER: LazyLock<Signer> = LazyLock::new(|| Signer::new(KeyAlgorithm::EcdsaP256, "Test CA"));

fn written() -> String {
    String::from_utf8(SIGNER.document(SignedObject::Message([7; 64]))).unwrap()
}

fn verdict(document: &[u8]) -> Result<SignatureDocument, SignatureError> {
    let document = SignatureDocument::parse(document)?;
    document.check_value()?;
    Ok(document)
}

#[test]
fn what_is_written_is_read_with_every_kind_of_key() {
    let mut kinds = vec![KeyAlgorithm::EcdsaP256, KeyAlgorithm::EcdsaP384];
    if kontor_pki::crypto::PROVIDER == "aws-lc-rs" {
        kinds.push(KeyAlgorithm::Rsa { bits: 2048 });
    } else {
        eprintln!("SKIPPED: a signature with RSA is not written, this provider makes no such keys");
    }
    for algorithm in kinds {
        let signer = Signer::new(algorithm, "Test CA");
        for (object, uri, mime) in [
            (
                SignedObject::Message([1; 64]),
                MESSAGE,
                "<xades:MimeType>text/xml<",
            ),
            (
                SignedObject::ChainResult([1; 64]),
                SIGNATURE_CHAIN_RESULT,
                "<xades:MimeType>application/hash-chain-result<",
            ),
        ] {
            let octets = signer.document(object);
            let document = verdict(&octets).unwrap();
            let expected = Reference {
                uri: uri.to_owned(),
                algorithm: DigestAlgorithm::Sha512,
                digest: vec![1; 64],
            };
            assert_eq!(document.references(), [expected]);
            assert_eq!(document.certificate(), &signer.certificate);
            assert_eq!(document.signing_time(), Some(NOW));
            assert_eq!(document.ocsp_values(), [OCSP]);
            assert_eq!(document.algorithm(), signer.algorithm());
            assert_eq!(document.timestamp(), None);
            assert!(document.extra_certificates().is_empty());
            assert!(String::from_utf8(octets).unwrap().contains(mime));
        }
    }
}

#[test]
fn intermediates_are_written_with_their_digests_and_responses() {
    let intermediates = [(SIGNER.authority.clone(), b"second".to_vec())];
    let info = SignerInfo::new(&SIGNER.certificate, OCSP, &intermediates);
    let octets = prepare(&info, SignedObject::Message([1; 64]), SIGNER.algorithm(), NOW)
        .sign(&SIGNER.key)
        .unwrap();
    let document = verdict(&octets).unwrap();
    assert_eq!(
        document.extra_certificates(),
        std::slice::from_ref(&SIGNER.authority)
    );
    assert_eq!(document.ocsp_values(), [OCSP, b"second"]);
    let text = String::from_utf8(octets).unwrap();
    // Java looks at the first child node of `xades:Cert` (wire 4.6).
    assert!(text.contains("<xades:Cert URI=\"#encapsulated-cert-1\"><xades:CertDigest>"));
    for (from, to) in [
        ("URI=\"#encapsulated-cert-1\"", "URI=\"#encapsulated-cert-2\""),
        ("URI=\"#encapsulated-cert-1\"", "URI=\"#ocsp-response-1\""),
        (" Id=\"encapsulated-cert-1\"", ""),
        ("<xades:CertRefs>", "<xades:CertRefs><!--"),
    ] {
        let changed = text.replace(from, to).replace(
            "</xades:CertRefs>",
            if to.ends_with("<!--") {
                "--></xades:CertRefs>"
            } else {
                "</xades:CertRefs>"
            },
        );
        assert_ne!(changed, text);
        assert_eq!(
            verdict(changed.as_bytes()).unwrap_err().code(),
            FaultCode::MalformedSignature,
            "{from} {to}"
        );
    }
}

#[test]
fn the_document_has_the_form_of_the_wire_paper() {
    let text = written();
    assert!(text.starts_with(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?><asic:XAdESSignatures xmlns:asic="
    ));
    assert!(text.contains("<ds:Signature Id=\"signature\"><ds:SignedInfo><ds:CanonicalizationMethod "));
    assert!(text.contains("<ds:SignatureValue Id=\"signature-value\">"));
    assert!(text.contains("<xades:EncapsulatedOCSPValue Id=\"ocsp-response-1\">"));
    assert!(!text.contains(['\n', '\r']));
    assert!(text.ends_with("</ds:Object></ds:Signature></asic:XAdESSignatures>"));
}

#[test]
fn an_ecdsa_value_is_split_in_the_middle_whatever_its_length() {
    let prepared = prepare(
        &SIGNER.info(),
        SignedObject::Message([1; 64]),
        SIGNER.algorithm(),
        NOW,
    );
    let der = SIGNER
        .key
        .sign(SIGNER.algorithm(), prepared.signed_info())
        .unwrap();
    let value = ecdsa_der_to_fixed(&der, 40).unwrap();
    assert_eq!(value.len(), 80);
    assert!(verdict(&prepared.finish(&value)).is_ok());
    for wrong in [&value[..79], &value[2..], &[], &[0; 64][..]] {
        assert_eq!(
            verdict(&prepared.finish(wrong)).unwrap_err().code(),
            FaultCode::InvalidSignatureValue
        );
    }
}

/// Documents that others may write; each is signed as it stands.
#[test]
fn other_forms_of_the_document_verify() {
    let text = written();
    let wrapper = "<asic:XAdESSignatures xmlns:asic=\"http://uri.etsi.org/02918/v1.2.1#\"";
    let cases = [
        // Line breaks of the Java library: the carriage return is a character of the digest (wire 4.6).
        text.replacen("</ds:DigestValue>", "&#13;\n</ds:DigestValue>", 1),
        text.replace("><ds:", ">\r\n  <ds:")
            .replace("><xades:", ">\n\t<xades:"),
        text.replace(
            "<ds:Signature Id",
            "\n<!-- white space before it -->\n<ds:Signature Id",
        ),
        text.replace(
            wrapper,
            "<w:XAdESSignatures xmlns:w=\"http://uri.etsi.org/02918/v1.2.1#\" xmlns=\"urn:x\"",
        )
        .replace("</asic:", "</w:"),
        text.replace("02918/v1.2.1#", "02918/v1.1.1#"),
        text.replace(
            wrapper,
            &format!("{wrapper} xml:lang=\"de\" xml:space=\"preserve\""),
        ),
        text.replace("\"></ds:DigestMethod>", "\" />"),
        text.replace(
            "Id=\"signature-reference-0\" URI=\"/message.xml\"",
            "URI='/message.xml'\n Id='signature-reference-0'",
        ),
        text.replacen("<ds:DigestValue>", "<ds:DigestValue><?pi data?><!-- c -->", 2),
        text.replacen(
            "<xades:SigningTime>",
            "<xades:SigningTime><![CDATA[2026-01-01T]]>",
            1,
        )
        .replacen("2026-09-21T", "", 1),
        text.replace("standalone=\"no\"?>", "standalone=\"no\"?><?pi?>\n<!-- c -->\n") + "\n<?pi?>",
        exclusive(&text),
        text.replace(" Id=\"signature-reference-0\"", "")
            .replace(" Id=\"signature-reference-1\"", ""),
        text.replace(
            "<xades:RevocationValues>",
            "<xades:Other><x xmlns=\"urn:x\"/></xades:Other><xades:RevocationValues>",
        ),
        text.replace("SigningCertificate>", "SigningCertificateV2>"),
        text.replace(
            "</ds:Object></ds:Signature>",
            "</ds:Object><ds:Object>more</ds:Object></ds:Signature>",
        ),
        text.replace("Target=\"#signature\"", "Target=\"\""),
        text.replace(
            &format!(" Type=\"{SIGNED_PROPERTIES_TYPE}\" URI"),
            " X=\"SignedProperties\" URI",
        ),
        text.replace(
            "</ds:X509Certificate>",
            "</ds:X509Certificate><ds:X509Certificate>AAAA</ds:X509Certificate>",
        ),
        without_wrapper(&text),
    ];
    for (number, case) in cases.iter().enumerate() {
        assert_ne!(*case, text, "{number}");
        let signed = SIGNER.sign_again(case);
        assert!(
            verdict(&signed).is_ok(),
            "{number}: {:?}\n{}",
            verdict(&signed),
            String::from_utf8_lossy(&signed)
        );
    }
}

fn exclusive(text: &str) -> String {
    let method = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/TR/2001/REC-xml-c14n-20010315\">";
    let list = "<e:InclusiveNamespaces xmlns:e=\"http://www.w3.org/2001/10/xml-exc-c14n#\" PrefixList=\"xsi #default\"/>";
    let exclusive = "Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"";
    text.replace(method, &format!("<ds:CanonicalizationMethod {exclusive}>{list}<!--exclusive-->")).replace(
        "URI=\"#signed-properties\">",
        &format!("URI=\"#signed-properties\"><ds:Transforms><ds:Transform {exclusive}>{list}</ds:Transform></ds:Transforms>"),
    )
}

fn without_wrapper(text: &str) -> String {
    let start = text.find("<asic:").unwrap();
    let end = text.find("<ds:Signature ").unwrap();
    let namespaces = &text[start + "<asic:XAdESSignatures".len()..end - 1];
    format!(
        "{}<ds:Signature{namespaces}{}",
        &text[..start],
        &text[end + "<ds:Signature".len()..]
    )
    .replace("</asic:XAdESSignatures>", "")
}

/// Each is signed as it stands, so that nothing but the named rule refuses it.
#[test]
fn documents_that_could_be_read_in_two_ways_are_refused() {
    use SignatureError as E;

    let text = written();
    let reference = |uri: &str| {
        format!(
            "<ds:Reference URI=\"{uri}\"><ds:DigestMethod Algorithm=\"{}\"/><ds:DigestValue>AAAA</ds:DigestValue></ds:Reference></ds:SignedInfo>",
            DigestAlgorithm::Sha512.uri()
        )
    };
    let more = |uri: &str| text.replace("</ds:SignedInfo>", &reference(uri));
    let transforms = "<ds:Transforms><ds:Transform Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"/></ds:Transforms>";
    let certificate_digest = STANDARD.encode(sha512(SIGNER.certificate.der()));
    type Refusal = (&'static str, String, fn(&E) -> bool);
    let cases: Vec<Refusal> = vec![
        ("reference twice", more(MESSAGE), |e| matches!(e, E::Malformed(_))),
        ("reference to nowhere", more("http://example.org/"), |e| {
            matches!(e, E::UnknownReference(_))
        }),
        ("reference to all", more(""), |e| {
            matches!(e, E::UnknownReference(_))
        }),
        ("reference inside", more("#signature-value"), |e| {
            matches!(e, E::Malformed(_))
        }),
        (
            "transformed message",
            text.replace(
                "URI=\"/message.xml\">",
                &format!("URI=\"/message.xml\">{transforms}"),
            ),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "duplicate Id",
            text.replace("<ds:KeyInfo>", "<ds:KeyInfo Id=\"signature\">"),
            |e| matches!(e, E::DuplicateId(_)),
        ),
        (
            "duplicate Id elsewhere",
            text.replace(
                "</ds:Object></",
                "</ds:Object><ds:Object><x Id=\"signed-properties\"/></ds:Object></",
            ),
            |e| matches!(e, E::DuplicateId(_)),
        ),
        (
            "weak digest",
            text.replacen("2001/04/xmlenc#sha512", "2000/09/xmldsig#sha1", 1),
            |e| matches!(e, E::Weak(_)),
        ),
        (
            "weak signature",
            text.replace("more#ecdsa-sha256", "more#ecdsa-sha1"),
            |e| matches!(e, E::Weak(_)),
        ),
        (
            "unknown signature",
            text.replace("more#ecdsa-sha256", "more#ecdsa-sha3"),
            |e| matches!(e, E::UnknownAlgorithm(_)),
        ),
        (
            "other certificate",
            text.replace(&certificate_digest, &STANDARD.encode([0; 64])),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "two signatures",
            text.replace("</ds:Signature>", "</ds:Signature><ds:Signature/>"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "more in the wrapper",
            text.replace("</ds:Signature>", "</ds:Signature><other/>"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "other wrapper",
            text.replace("XAdESSignatures", "Signatures"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "other wrapper namespace",
            text.replace("02918/v1.2.1#", "2918/v1.2.1#"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "text in between",
            text.replace("<ds:KeyInfo>", "text<ds:KeyInfo>"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "document type",
            text.replace("?><asic", "?><!DOCTYPE a><asic"),
            |e| matches!(e, E::Xml(_)),
        ),
        (
            "other prefix",
            text.replace(
                "<ds:Object>",
                "<d:Object xmlns:d=\"http://www.w3.org/2000/09/xmldsig#\">",
            )
            .replace("</ds:Object>", "</d:Object>"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "certificate that is none",
            text.replace(&STANDARD.encode(SIGNER.certificate.der()), "AAAA"),
            |e| matches!(e, E::Certificate(_)),
        ),
        (
            "no OCSP response",
            text.replace("RevocationValues>", "Other>"),
            |e| matches!(e, E::Malformed(_)),
        ),
        (
            "two sets of properties",
            text.replace(
                "</ds:Object></",
                "</ds:Object><ds:Object><xades:QualifyingProperties/></ds:Object></",
            ),
            |e| matches!(e, E::Malformed(_)),
        ),
    ];
    for (name, document, fits) in cases {
        assert_ne!(document, text, "{name}");
        let signed = match xml::scan(document.as_bytes(), &read::BOUNDS) {
            Ok(_) => {
                // Weak algorithms cannot be signed with; they are refused before the value is looked at.
                SIGNER.sign_again(&document)
            }
            Err(_) => document.into_bytes(),
        };
        let error = verdict(&signed).map(|_| ()).expect_err(name);
        assert!(fits(&error), "{name}: {error:?}");
    }
}

#[test]
fn a_document_without_one_of_its_parts_is_refused() {
    let text = written();
    for name in [
        "ds:SignedInfo",
        "ds:CanonicalizationMethod",
        "ds:SignatureMethod",
        "ds:DigestMethod",
        "ds:DigestValue",
        "ds:SignatureValue",
        "ds:KeyInfo",
        "ds:X509Data",
        "ds:X509Certificate",
        "ds:Object",
        "xades:QualifyingProperties",
        "xades:SignedProperties",
        "xades:SignedSignatureProperties",
        "xades:SigningCertificate",
        "xades:Cert",
        "xades:CertDigest",
        "xades:UnsignedProperties",
        "xades:UnsignedSignatureProperties",
        "xades:RevocationValues",
        "xades:OCSPValues",
        "xades:EncapsulatedOCSPValue",
    ] {
        let start = text.find(&format!("<{name}")).expect(name);
        let end = text[start..].find(&format!("</{name}>")).expect(name) + start + name.len() + 3;
        let without = format!("{}{}", &text[..start], &text[end..]);
        assert_eq!(
            verdict(without.as_bytes()).map(|_| ()).map_err(|e| e.code()),
            Err(FaultCode::MalformedSignature),
            "{name}"
        );
    }
}

#[test]
fn a_time_stamp_goes_first_into_the_unsigned_properties_and_changes_nothing_else() {
    let text = written();
    let with_breaks = SIGNER.sign_again(&text.replace("><", ">\r\n<"));
    for document in [
        text.into_bytes(),
        with_breaks,
        [b"\xEF\xBB\xBF", written().as_bytes()].concat(),
    ] {
        let stamped = insert_timestamp(&document, b"a token").unwrap();
        let read = verdict(&stamped).unwrap();
        assert_eq!(read.timestamp(), Some(b"a token".as_slice()));
        assert_eq!(
            read.signature_value(),
            verdict(&document).unwrap().signature_value()
        );
        let text = String::from_utf8(stamped).unwrap();
        let (before, after) = text.split_once("<xades:SignatureTimeStamp>").unwrap();
        let (_, after) = after.split_once("</xades:SignatureTimeStamp>").unwrap();
        assert!(before.ends_with("<xades:UnsignedSignatureProperties>"));
        assert_eq!(format!("{before}{after}").into_bytes(), document);
        assert!(insert_timestamp(text.as_bytes(), b"another").is_err());
    }
}

#[test]
fn xmlsec1_verifies_what_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let message = b"POST\r\n/r1/TEST/GOV/1002/x/y\r\n";
    std::fs::write(folder.path().join("message.xml"), message).unwrap();
    // A file name without slash, so that the tool finds the message; nothing else differs from a written document.
    let document = String::from_utf8(SIGNER.document(SignedObject::Message(sha512(message)))).unwrap();
    let document = SIGNER.sign_again(&document.replace("URI=\"/message.xml\"", "URI=\"message.xml\""));
    std::fs::write(folder.path().join("signatures.xml"), document).unwrap();
    let mut pem = std::fs::File::create(folder.path().join("ca.pem")).unwrap();
    pem.write_all(SIGNER.authority.to_pem().as_bytes()).unwrap();
    let run = || {
        Command::new("xmlsec1")
            .current_dir(folder.path())
            .args([
                "--verify",
                "--insecure",
                "--id-attr:Id",
                "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
                "signatures.xml",
            ])
            .output()
    };
    let Ok(output) = run() else {
        eprintln!("SKIPPED: a written signature is not verified by another tool, needs xmlsec1");
        return;
    };
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::write(folder.path().join("message.xml"), b"something else").unwrap();
    assert!(!run().unwrap().status.success(), "the tool looks at the message");
}

#[test]
fn a_changed_octet_in_a_signed_part_never_verifies() {
    let document = written();
    for (from, to) in [
        ("<ds:SignedInfo", "</ds:SignedInfo>"),
        ("<xades:SignedProperties", "</xades:SignedProperties>"),
        // The value, not its element.
        ("-value\">", "</ds:SignatureValue>"),
    ] {
        let start = document.find(from).unwrap() + if from.starts_with('<') { 0 } else { from.len() };
        let end = document.find(to).unwrap() + to.len();
        for (at, bit) in (start..end).flat_map(|at| [(at, 0x01), (at, 0x20)]) {
            let mut octets = document.clone().into_bytes();
            octets[at] ^= bit;
            assert!(
                verdict(&octets).is_err(),
                "octet {at}: {}",
                String::from_utf8_lossy(&octets[start..end])
            );
        }
    }
}

fn arbitrary_name() -> impl Strategy<Value = String> {
    "[A-Za-zé&<>\"' ,=+#;\\\\]{1,20}"
        .prop_filter("a name is more than white space", |name| !name.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn the_octets_of_the_template_are_the_canonical_ones(
        name in arbitrary_name(), digest in any::<[u8; 32]>(), millis in 0_i64..4_000_000_000_000, chain in any::<bool>(),
    ) {
        let signer = Signer::new(KeyAlgorithm::EcdsaP256, &name);
        let digest = sha512(&digest);
        let object = if chain { SignedObject::ChainResult(digest) } else { SignedObject::Message(digest) };
        let at = UnixTime::from_millis(millis);
        let prepared = prepare(&signer.info(), object, signer.algorithm(), at);
        let document = prepared.sign(&signer.key).unwrap();
        let text = String::from_utf8(document.clone()).unwrap();
        let form = canonical(&text, "SignedInfo", Method::Inclusive, &[]);
        prop_assert_eq!(String::from_utf8_lossy(&form), String::from_utf8_lossy(prepared.signed_info()));
        // The digest that the template states of the signed properties is that of their real form.
        prop_assert!(verdict(&document).is_ok(), "{}", text);
        prop_assert_eq!(verdict(&document).unwrap().signing_time(), Some(at));
    }

    #[test]
    fn changed_documents_never_panic(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..40, "[<>/=\"' &;#a-zA-Z0-9:]{0,6}"), 1..4),
    ) {
        let mut octets = written().into_bytes();
        for (at, remove, insert) in edits {
            let at = at.index(octets.len());
            let end = (at + remove).min(octets.len());
            octets.splice(at..end, insert.bytes());
        }
        let _ = verdict(&octets);
        let _ = insert_timestamp(&octets, b"token");
    }

    #[test]
    fn arbitrary_octets_never_panic(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(verdict(&octets).is_err());
        prop_assert!(insert_timestamp(&octets, b"token").is_err());
    }
}
