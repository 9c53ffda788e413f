//! The signature document as the tester writes it: one template, both canonical forms from the same pieces.
//!
//! Owns the bytes of wire 4.6 for what the suite sends; refuses nothing. Cases that need a broken document change the
//! fields of [`Draft`] or the finished bytes.

use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::crypto::sha512;

const C14N: &str = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
const EXCLUSIVE: &str = "http://www.w3.org/2001/10/xml-exc-c14n#";
const DS: &str = " xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";
const XADES: &str = " xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\"";
const SHA512_URI: &str = "http://www.w3.org/2001/04/xmlenc#sha512";
const NAMESPACES: &str = " xmlns:asic=\"http://uri.etsi.org/02918/v1.2.1#\" xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\" \
    xmlns:xades=\"http://uri.etsi.org/01903/v1.3.2#\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"";
const POLICY_HASH: &str =
    "BuO0EDNfkxSVlUbxCzmQPzX1AUF1/xx9ytWHk3/6SAOePxQiniEfDYk+90QeYb3lWpV3Izhuz9fKaYyE+lTcXw==";
const POLICY_URI: &str = "https://repo.cyber.ee/dsig-profile-1.2.pdf";

/// What a signature document says, before it is signed.
#[derive(Clone, Debug)]
pub struct Draft {
    /// DER of the signing certificate.
    pub certificate: Vec<u8>,
    /// Its issuer in RFC 2253 form and its serial in decimal.
    pub issuer: String,
    pub serial: String,
    /// OCSP responses, that of the signing certificate first.
    pub ocsp: Vec<Vec<u8>>,
    /// URI of what is signed, and its digest, which stand in the first reference.
    pub uri: String,
    pub digest: [u8; 64],
    /// Further references behind the first.
    pub further: Vec<(String, [u8; 64])>,
    /// Signature algorithm URI.
    pub algorithm: String,
    /// xsd:dateTime.
    pub signing_time: String,
    pub form: Form,
}

/// How a document is written down; both say the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// Without white space between elements, base64 in one line.
    #[default]
    Plain,
    /// As the Java library writes it: digests broken after 76 columns by CR and LF, of which the CR stands as `&#13;` in the
    /// document and as `&#xD;` in its canonical form (wire 4.6), and line breaks between elements.
    Java,
    /// As X-Road 8 writes it: without the wrapper of ASiC, in exclusive canonical forms (wire 0).
    Eight,
}

impl Draft {
    /// Signs with `sign`, which takes the canonical SignedInfo and gives the value as XML wants it (ECDSA: r and s).
    pub fn sign(&self, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Vec<u8> {
        let properties = self.signed_properties();
        let canonical = match self.form {
            Form::Plain | Form::Java => format!(
                "<xades:SignedProperties{NAMESPACES} Id=\"signed-properties\">{properties}</xades:SignedProperties>"
            ),
            // No element of ds stands within another one here, so each is the first that needs the name space.
            Form::Eight => format!(
                "<xades:SignedProperties{XADES} Id=\"signed-properties\">{}</xades:SignedProperties>",
                [
                    "DigestMethod",
                    "DigestValue",
                    "X509IssuerName",
                    "X509SerialNumber"
                ]
                .iter()
                .fold(properties.clone(), |text, name| {
                    text.replace(&format!("<ds:{name}"), &format!("<ds:{name}{DS}"))
                })
            ),
        };
        let info = self.signed_info(&sha512(escape_cr(&canonical, "&#xD;").as_bytes()));
        let names = match self.form {
            Form::Plain | Form::Java => NAMESPACES,
            Form::Eight => DS,
        };
        let canonical = format!("<ds:SignedInfo{names}>{info}</ds:SignedInfo>");
        let value = sign(escape_cr(&canonical, "&#xD;").as_bytes());
        let (info, properties) = (escape_cr(&info, "&#13;"), escape_cr(&properties, "&#13;"));
        let (before, after) = match self.form {
            Form::Plain | Form::Java => (
                format!("<asic:XAdESSignatures{NAMESPACES}><ds:Signature Id=\"signature\">"),
                "</asic:XAdESSignatures>",
            ),
            Form::Eight => (format!("<ds:Signature{DS}{XADES} Id=\"signature\">"), ""),
        };
        let ocsp: String = self
            .ocsp
            .iter()
            .enumerate()
            .map(|(index, der)| {
                format!(
                    "<xades:EncapsulatedOCSPValue Id=\"ocsp-response-{}\">{}</xades:EncapsulatedOCSPValue>",
                    index + 1,
                    BASE64_STANDARD.encode(der)
                )
            })
            .collect();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>{before}<ds:SignedInfo>{info}</ds:SignedInfo><ds:SignatureValue Id=\"signature-value\">{value}</ds:SignatureValue>\
             <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{certificate}</ds:X509Certificate></ds:X509Data></ds:KeyInfo>\
             <ds:Object><xades:QualifyingProperties Target=\"#signature\">\
             <xades:SignedProperties Id=\"signed-properties\">{properties}</xades:SignedProperties>\
             <xades:UnsignedProperties><xades:UnsignedSignatureProperties><xades:RevocationValues><xades:OCSPValues>{ocsp}</xades:OCSPValues>\
             </xades:RevocationValues></xades:UnsignedSignatureProperties></xades:UnsignedProperties>\
             </xades:QualifyingProperties></ds:Object></ds:Signature>{after}",
            value = BASE64_STANDARD.encode(value),
            certificate = BASE64_STANDARD.encode(&self.certificate),
        )
        .into_bytes()
    }

    fn signed_info(&self, properties_digest: &[u8; 64]) -> String {
        let further: String = self
            .further
            .iter()
            .enumerate()
            .map(|(index, (uri, digest))| self.form.reference(index + 2, "", uri, digest))
            .collect();
        let c14n = match self.form {
            Form::Plain | Form::Java => C14N,
            Form::Eight => EXCLUSIVE,
        };
        format!(
            "<ds:CanonicalizationMethod Algorithm=\"{c14n}\"></ds:CanonicalizationMethod>{}\
             <ds:SignatureMethod Algorithm=\"{}\"></ds:SignatureMethod>{}{}{further}",
            self.form.between(),
            self.algorithm,
            self.form.reference(0, "", &self.uri, &self.digest),
            self.form.reference(
                1,
                " Type=\"http://uri.etsi.org/01903#SignedProperties\"",
                "#signed-properties",
                properties_digest
            ),
        )
    }

    fn signed_properties(&self) -> String {
        let mime = if self.uri == "/sig-hashchainresult.xml" {
            "application/hash-chain-result"
        } else {
            "text/xml"
        };
        let method = format!("<ds:DigestMethod Algorithm=\"{SHA512_URI}\"></ds:DigestMethod>");
        format!(
            "<xades:SignedSignatureProperties><xades:SigningTime>{time}</xades:SigningTime><xades:SigningCertificate><xades:Cert>\
             <xades:CertDigest>{method}<ds:DigestValue>{digest}</ds:DigestValue></xades:CertDigest><xades:IssuerSerial>\
             <ds:X509IssuerName>{issuer}</ds:X509IssuerName><ds:X509SerialNumber>{serial}</ds:X509SerialNumber></xades:IssuerSerial>\
             </xades:Cert></xades:SigningCertificate><xades:SignaturePolicyIdentifier><xades:SignaturePolicyId><xades:SigPolicyId>\
             <xades:Identifier Qualifier=\"OIDAsURN\">urn:oid:1.3.6.1.4.1.3516.16.2</xades:Identifier>\
             <xades:Description>Profile for High Performance Digital Signatures (version 1.2)</xades:Description></xades:SigPolicyId>\
             <xades:SigPolicyHash>{method}<ds:DigestValue>{POLICY_HASH}</ds:DigestValue></xades:SigPolicyHash>\
             <xades:SigPolicyQualifiers><xades:SigPolicyQualifier><xades:SPURI>{POLICY_URI}</xades:SPURI></xades:SigPolicyQualifier>\
             </xades:SigPolicyQualifiers></xades:SignaturePolicyId></xades:SignaturePolicyIdentifier></xades:SignedSignatureProperties>\
             <xades:SignedDataObjectProperties><xades:DataObjectFormat ObjectReference=\"#signature-reference-0\">\
             <xades:MimeType>{mime}</xades:MimeType></xades:DataObjectFormat></xades:SignedDataObjectProperties>",
            time = self.signing_time,
            digest = self.form.digest(&sha512(&self.certificate)),
            issuer = escape(&self.issuer),
            serial = self.serial,
        )
    }
}

fn escape_cr(text: &str, reference: &str) -> String {
    text.replace('\r', reference)
}

impl Form {
    fn digest(self, digest: &[u8; 64]) -> String {
        let mut text = BASE64_STANDARD.encode(digest);
        if self == Self::Java {
            text.insert_str(76, "\r\n");
        }
        text
    }

    /// What stands between two elements.
    fn between(self) -> &'static str {
        match self {
            Self::Plain | Self::Eight => "",
            Self::Java => "\n",
        }
    }

    fn reference(self, index: usize, kind: &str, uri: &str, digest: &[u8; 64]) -> String {
        // Canonical forms sort attributes by name: Id, Type, URI.
        let transforms = match self {
            Self::Eight if !kind.is_empty() => {
                format!(
                    "<ds:Transforms><ds:Transform Algorithm=\"{EXCLUSIVE}\"></ds:Transform></ds:Transforms>"
                )
            }
            Self::Plain | Self::Java | Self::Eight => String::new(),
        };
        format!(
            "<ds:Reference Id=\"signature-reference-{index}\"{kind} URI=\"{uri}\">{transforms}<ds:DigestMethod Algorithm=\"{SHA512_URI}\">\
             </ds:DigestMethod><ds:DigestValue>{}</ds:DigestValue></ds:Reference>{}",
            self.digest(digest),
            self.between(),
        )
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
