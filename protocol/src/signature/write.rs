//! Signature documents by template (wire 4.6): the octets between the start tags are the canonical ones already.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::{DigestAlgorithm, Sha512, sha512};
use kontor_pki::signing::{KeyAlgorithm, SignatureAlgorithm, SigningError, SigningKey, ecdsa_der_to_fixed};
use kontor_pki::time::UnixTime;

use super::SIGNED_PROPERTIES_TYPE;
use crate::c14n::{Method, escape_text};
use crate::hash_chain::{MESSAGE, SIGNATURE_CHAIN_RESULT};

/// The namespaces in scope of every element, sorted by prefix as the canonical apex elements have them.
const NAMESPACES: &str = concat!(
    " xmlns:asic=\"http://uri.etsi.org/02918/v1.2.1#\"",
    " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"",
    " xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\"",
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"",
);

const PROPERTIES_ID: &str = " Id=\"signed-properties\">";

/// The policy that Java names in every signature (wire Annex A); nobody evaluates it, everybody has it.
const POLICY: &str = "<xades:SignaturePolicyIdentifier><xades:SignaturePolicyId><xades:SigPolicyId>\
<xades:Identifier Qualifier=\"OIDAsURN\">urn:oid:1.3.6.1.4.1.3516.16.2</xades:Identifier>\
<xades:Description>Profile for High Performance Digital Signatures (version 1.2)</xades:Description>\
</xades:SigPolicyId><xades:SigPolicyHash>\
<ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"></ds:DigestMethod>\
<ds:DigestValue>BuO0EDNfkxSVlUbxCzmQPzX1AUF1/xx9ytWHk3/6SAOePxQiniEfDYk+90QeYb3lWpV3Izhuz9fKaYyE+lTcXw==</ds:DigestValue>\
</xades:SigPolicyHash><xades:SigPolicyQualifiers><xades:SigPolicyQualifier>\
<xades:SPURI>https://repo.cyber.ee/dsig-profile-1.2.pdf</xades:SPURI>\
</xades:SigPolicyQualifier></xades:SigPolicyQualifiers></xades:SignaturePolicyId></xades:SignaturePolicyIdentifier>";

/// What a signer puts into each of its documents, rendered once. Made anew when the OCSP response is.
#[derive(Clone, Debug)]
pub struct SignerInfo(Arc<Rendered>);

#[derive(Debug)]
struct Rendered {
    /// From the end of SigningTime to the MIME type of what is signed.
    properties: String,
    key_info: String,
    unsigned: String,
}

impl SignerInfo {
    /// Renders a signer. `intermediates` are the certificates between the signer's and the trusted one, each with
    /// its OCSP response; where the issuer is itself named by global configuration there are none.
    #[must_use]
    pub fn new(certificate: &Certificate, ocsp_der: &[u8], intermediates: &[(Certificate, Vec<u8>)]) -> Self {
        let properties = format!(
            "</xades:SigningTime><xades:SigningCertificate><xades:Cert>{}</xades:Cert></xades:SigningCertificate>\
             {POLICY}</xades:SignedSignatureProperties><xades:SignedDataObjectProperties>\
             <xades:DataObjectFormat ObjectReference=\"#signature-reference-0\"><xades:MimeType>",
            certificate_digest(certificate)
        );
        let key_info = format!(
            "<ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>",
            STANDARD.encode(certificate.der())
        );
        let mut unsigned = String::new();
        if !intermediates.is_empty() {
            let (mut references, mut values) = (String::new(), String::new());
            for (at, (intermediate, _)) in intermediates.iter().enumerate() {
                let id = format!("encapsulated-cert-{}", at + 1);
                references += &format!(
                    "<xades:Cert URI=\"#{id}\">{}</xades:Cert>",
                    certificate_digest(intermediate)
                );
                values += &format!(
                    "<xades:EncapsulatedX509Certificate Id=\"{id}\">{}</xades:EncapsulatedX509Certificate>",
                    STANDARD.encode(intermediate.der())
                );
            }
            unsigned += &format!(
                "<xades:CompleteCertificateRefs Id=\"complete-certificate-refs\"><xades:CertRefs>{references}\
                 </xades:CertRefs></xades:CompleteCertificateRefs>\
                 <xades:CertificateValues>{values}</xades:CertificateValues>"
            );
        }
        unsigned += "<xades:RevocationValues><xades:OCSPValues>";
        let responses =
            std::iter::once(ocsp_der).chain(intermediates.iter().map(|(_, response)| response.as_slice()));
        for (at, response) in responses.enumerate() {
            unsigned += &format!(
                "<xades:EncapsulatedOCSPValue Id=\"ocsp-response-{}\">{}</xades:EncapsulatedOCSPValue>",
                at + 1,
                STANDARD.encode(response)
            );
        }
        unsigned += "</xades:OCSPValues></xades:RevocationValues>";
        Self(Arc::new(Rendered {
            properties,
            key_info,
            unsigned,
        }))
    }
}

/// `CertDigest` and `IssuerSerial` of a certificate.
fn certificate_digest(certificate: &Certificate) -> String {
    // Nobody compares the name; a character that XML cannot hold must not make the document unreadable.
    let name: String = certificate
        .issuer()
        .to_rfc2253()
        .chars()
        .map(|c| {
            if matches!(c, '\0'..='\u{8}' | '\u{B}' | '\u{C}' | '\u{E}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}')
            {
                '\u{FFFD}'
            } else {
                c
            }
        })
        .collect();
    let mut escaped = Vec::new();
    escape_text(&name, &mut escaped);
    format!(
        "<xades:CertDigest><ds:DigestMethod Algorithm=\"{}\"></ds:DigestMethod><ds:DigestValue>{}</ds:DigestValue>\
         </xades:CertDigest><xades:IssuerSerial><ds:X509IssuerName>{}</ds:X509IssuerName>\
         <ds:X509SerialNumber>{}</ds:X509SerialNumber></xades:IssuerSerial>",
        DigestAlgorithm::Sha512.uri(),
        STANDARD.encode(sha512(certificate.der())),
        String::from_utf8_lossy(&escaped),
        certificate.serial_decimal()
    )
}

/// What a signature is about, by its SHA-512 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignedObject {
    /// The message part alone, of a message without other parts that is not in a batch.
    Message([u8; 64]),
    /// The chain result document of a message with several parts, or of a batch.
    ChainResult([u8; 64]),
}

/// A document that lacks only its signature value.
#[derive(Clone, Debug)]
pub struct Prepared {
    signer: SignerInfo,
    algorithm: SignatureAlgorithm,
    signed_info: Vec<u8>,
    signing_time: String,
    mime_type: &'static str,
}

/// Prepares the signature of `object`: digests the signed properties and renders the canonical SignedInfo.
#[must_use]
pub fn prepare(
    signer: &SignerInfo,
    object: SignedObject,
    algorithm: SignatureAlgorithm,
    signing_time: UnixTime,
) -> Prepared {
    let (uri, digest, mime_type) = match &object {
        SignedObject::Message(digest) => (MESSAGE, digest, "text/xml"),
        SignedObject::ChainResult(digest) => {
            (SIGNATURE_CHAIN_RESULT, digest, "application/hash-chain-result")
        }
    };
    let signing_time = signing_time.to_rfc3339();
    let mut properties = Sha512::new();
    for piece in [
        "<xades:SignedProperties",
        NAMESPACES,
        PROPERTIES_ID,
        PROPERTIES_START,
        &signing_time,
        &signer.0.properties,
        mime_type,
        PROPERTIES_END,
    ] {
        properties.update(piece.as_bytes());
    }
    let signed_info = format!(
        "<ds:SignedInfo{NAMESPACES}>\
         <ds:CanonicalizationMethod Algorithm=\"{}\"></ds:CanonicalizationMethod>\
         <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>\
         <ds:Reference Id=\"signature-reference-0\" URI=\"{uri}\">\
         <ds:DigestMethod Algorithm=\"{sha512}\"></ds:DigestMethod><ds:DigestValue>{}</ds:DigestValue></ds:Reference>\
         <ds:Reference Id=\"signature-reference-1\" Type=\"{SIGNED_PROPERTIES_TYPE}\" URI=\"#signed-properties\">\
         <ds:DigestMethod Algorithm=\"{sha512}\"></ds:DigestMethod><ds:DigestValue>{}</ds:DigestValue></ds:Reference>\
         </ds:SignedInfo>",
        Method::Inclusive.uri(),
        algorithm.uri(),
        STANDARD.encode(digest),
        STANDARD.encode(properties.finish()),
        sha512 = DigestAlgorithm::Sha512.uri(),
    );
    Prepared {
        signer: signer.clone(),
        algorithm,
        signed_info: signed_info.into_bytes(),
        signing_time,
        mime_type,
    }
}

const PROPERTIES_START: &str = "<xades:SignedSignatureProperties><xades:SigningTime>";
const PROPERTIES_END: &str =
    "</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties></xades:SignedProperties>";

impl Prepared {
    /// The octets to sign: the canonical SignedInfo.
    #[must_use]
    pub fn signed_info(&self) -> &[u8] {
        &self.signed_info
    }

    /// Signs with `key` and finishes the document.
    pub fn sign(&self, key: &dyn SigningKey) -> Result<Vec<u8>, SigningError> {
        let value = key.sign(self.algorithm, &self.signed_info)?;
        let field = match key.key_algorithm() {
            KeyAlgorithm::EcdsaP256 => 32,
            KeyAlgorithm::EcdsaP384 => 48,
            KeyAlgorithm::Rsa { .. } => return Ok(self.finish(&value)),
        };
        let value = ecdsa_der_to_fixed(&value, field).map_err(|_| SigningError::Failed)?;
        Ok(self.finish(&value))
    }

    /// The document with its signature value: RSA as it comes, ECDSA as `r ‖ s` of the field size (wire 4.1).
    #[must_use]
    pub fn finish(&self, signature_value: &[u8]) -> Vec<u8> {
        let Rendered {
            properties,
            key_info,
            unsigned,
        } = &*self.signer.0;
        let signed_info = &self.signed_info["<ds:SignedInfo".len() + NAMESPACES.len()..];
        let value = STANDARD.encode(signature_value);
        let pieces = [
            b"<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?><asic:XAdESSignatures".as_slice(),
            NAMESPACES.as_bytes(),
            b"><ds:Signature Id=\"signature\"><ds:SignedInfo",
            signed_info,
            b"<ds:SignatureValue Id=\"signature-value\">",
            value.as_bytes(),
            b"</ds:SignatureValue>",
            key_info.as_bytes(),
            b"<ds:Object><xades:QualifyingProperties Target=\"#signature\"><xades:SignedProperties",
            PROPERTIES_ID.as_bytes(),
            PROPERTIES_START.as_bytes(),
            self.signing_time.as_bytes(),
            properties.as_bytes(),
            self.mime_type.as_bytes(),
            PROPERTIES_END.as_bytes(),
            b"<xades:UnsignedProperties><xades:UnsignedSignatureProperties>",
            unsigned.as_bytes(),
            b"</xades:UnsignedSignatureProperties></xades:UnsignedProperties></xades:QualifyingProperties></ds:Object>\
              </ds:Signature></asic:XAdESSignatures>",
        ];
        pieces.concat()
    }
}
