//! A signature document taken apart: one signature, its references, and what stands in its properties (wire 4.6).

use std::collections::HashSet;

use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::{DigestAlgorithm, digest, sha256};
use kontor_pki::signing::{SignatureAlgorithm, ecdsa_fixed_to_der, verify_signature};
use kontor_pki::time::UnixTime;
use roxmltree::{Document, Node};

use super::element::{all, attribute, base64, content, elements, first, literal, maybe, named, only};
use super::{DSIG, SIGNED_PROPERTIES_TYPE, SignatureError, XADES};
use crate::c14n::{Method, canonicalize};
use crate::limits;
use crate::xml::{self, Bounds};

pub(super) const BOUNDS: Bounds = Bounds {
    bytes: limits::SIGNATURE,
    nodes: limits::SIGNATURE_NODES,
    depth: limits::XML_DEPTH,
    attributes: 32,
    namespaces: 64,
};

/// Namespaces of the wrapper begin so, in all versions of the standard (wire 12.2 has two).
const WRAPPER: &str = "http://uri.etsi.org/02918/";

/// A reference to a part of the message, hashed as raw octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// `/message.xml`, `/sig-hashchainresult.xml` or `/attachment1`.
    pub uri: String,
    /// Never a weak one.
    pub algorithm: DigestAlgorithm,
    /// The digest as stated.
    pub digest: Vec<u8>,
}

/// A digest that the document states about something inside it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stated {
    algorithm: DigestAlgorithm,
    digest: Vec<u8>,
}

impl Stated {
    fn fits(&self, data: &[u8]) -> bool {
        digest(self.algorithm, data).is_ok_and(|value| value == self.digest)
    }
}

/// A signature document whose structure is in order. Nothing in it is verified before
/// [`check_value`](Self::check_value), and nothing believed before [`crate::verify`].
#[derive(Clone, Debug)]
pub struct SignatureDocument {
    signed_info: Vec<u8>,
    algorithm: SignatureAlgorithm,
    value: Vec<u8>,
    references: Vec<Reference>,
    properties: Vec<u8>,
    properties_stated: Stated,
    certificate: Certificate,
    certificate_stated: Stated,
    signing_time: Option<UnixTime>,
    ocsp_values: Vec<Vec<u8>>,
    extra_certificates: Vec<Certificate>,
    timestamp: Option<Vec<u8>>,
}

impl SignatureDocument {
    /// Reads a document. Canonical forms are computed here, because the tree does not outlive the call.
    pub fn parse(xml: &[u8]) -> Result<Self, SignatureError> {
        let text = xml::scan(xml, &BOUNDS)?;
        let tree = text.tree()?;
        let signature = the_signature(&tree)?;
        no_duplicate_ids(&tree)?;
        let [signed_info, value, key_info, objects @ ..] = &*elements(signature)? else {
            return Err(SignatureError::Malformed("the signature lacks one of its parts"));
        };
        let signed_info = named(*signed_info, DSIG, "SignedInfo")?;
        let value = named(*value, DSIG, "SignatureValue")?;
        let key_info = named(*key_info, DSIG, "KeyInfo")?;
        // The first is the signer's, whatever else KeyInfo says; the signed properties must name it.
        let certificate = first(first(key_info, DSIG, "X509Data")?, DSIG, "X509Certificate")?;
        let certificate = read_certificate(certificate)?;
        let qualifying = qualifying_properties(signature, objects)?;
        let info = SignedInfo::read(signed_info)?;
        let properties = only(qualifying, XADES, "SignedProperties")?;
        if properties
            .attribute("Id")
            .is_none_or(|id| info.properties_id != id)
        {
            return Err(SignatureError::Malformed(
                "the signed properties are not what the signature refers to",
            ));
        }
        let signed = SignedSignatureProperties::read(properties)?;
        let unsigned = Unsigned::read(qualifying)?;
        Ok(Self {
            signed_info: info.canonical,
            algorithm: info.algorithm,
            value: base64(value)?,
            references: info.references,
            properties: info.properties_form.apply(properties),
            properties_stated: info.properties_stated,
            certificate,
            certificate_stated: signed.certificate,
            signing_time: signed.time,
            ocsp_values: unsigned.ocsp_values,
            extra_certificates: unsigned.certificates,
            timestamp: unsigned.timestamp,
        })
    }

    /// Checks all that the document says about itself: the signature value over SignedInfo, the digest of the signed
    /// properties, and that these name the very certificate that is in KeyInfo (which Java does not look at).
    pub fn check_value(&self) -> Result<(), SignatureError> {
        let der;
        let value = if self.algorithm.is_ecdsa() {
            der = ecdsa_fixed_to_der(&self.value)
                .map_err(|_| SignatureError::Value("an ECDSA value has two halves of one length"))?;
            &der
        } else {
            &self.value
        };
        verify_signature(self.algorithm, self.certificate.spki(), &self.signed_info, value).map_err(
            |_| SignatureError::Value("it was not made over this document by the key of this certificate"),
        )?;
        if !self.properties_stated.fits(&self.properties) {
            return Err(SignatureError::Value("the signed properties were changed"));
        }
        if !self.certificate_stated.fits(self.certificate.der()) {
            return Err(SignatureError::Malformed(
                "the signed properties name another certificate than KeyInfo",
            ));
        }
        Ok(())
    }

    /// A digest of all that says who signed: certificate, further certificates, OCSP responses. Documents with the same
    /// one differ only in what their signer states and signs.
    #[must_use]
    pub fn signer_key(&self) -> [u8; 32] {
        let certificates = std::iter::once(&self.certificate).chain(&self.extra_certificates);
        let pieces = certificates
            .map(Certificate::der)
            .chain(self.ocsp_values.iter().map(Vec::as_slice));
        let mut content = Vec::with_capacity(4096);
        content.extend_from_slice(&(self.extra_certificates.len() as u64).to_be_bytes());
        for piece in pieces {
            content.extend_from_slice(&(piece.len() as u64).to_be_bytes());
            content.extend_from_slice(piece);
        }
        sha256(&content)
    }

    /// The references to parts of the message, in order; at least one, none twice.
    #[must_use]
    pub fn references(&self) -> &[Reference] {
        &self.references
    }

    /// The algorithm of the signature value; never a weak one.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The signer's certificate.
    #[must_use]
    pub const fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// OCSP responses as DER, at least one. They are not signed; their own signatures count.
    #[must_use]
    pub fn ocsp_values(&self) -> &[Vec<u8>] {
        &self.ocsp_values
    }

    /// Further certificates, offered as intermediates. They are not signed.
    #[must_use]
    pub fn extra_certificates(&self) -> &[Certificate] {
        &self.extra_certificates
    }

    /// The decoded signature value; what a single time-stamp is over (wire 5.2).
    #[must_use]
    pub fn signature_value(&self) -> &[u8] {
        &self.value
    }

    /// The signer's clock; nobody has checked it.
    #[must_use]
    pub const fn signing_time(&self) -> Option<UnixTime> {
        self.signing_time
    }

    /// The time-stamp token inside, as DER; not signed, and not read here.
    #[must_use]
    pub fn timestamp(&self) -> Option<&[u8]> {
        self.timestamp.as_deref()
    }
}

/// A canonical form as SignedInfo or a transform names it.
struct Form {
    method: Method,
    prefixes: Vec<String>,
}

impl Form {
    fn read(node: Node<'_, '_>) -> Result<Self, SignatureError> {
        let uri = attribute(node, "Algorithm")?;
        let method = Method::from_uri(uri).ok_or_else(|| SignatureError::UnknownAlgorithm(uri.to_owned()))?;
        let prefixes = match (&*elements(node)?, method) {
            ([], _) => Vec::new(),
            ([list], Method::Exclusive) if list.has_tag_name((method.uri(), "InclusiveNamespaces")) => {
                attribute(*list, "PrefixList")?
                    .split_ascii_whitespace()
                    .map(str::to_owned)
                    .collect()
            }
            _ => {
                return Err(SignatureError::Malformed(
                    "a canonical form has unknown parameters",
                ));
            }
        };
        Ok(Self { method, prefixes })
    }

    fn apply(&self, node: Node<'_, '_>) -> Vec<u8> {
        let prefixes: Vec<&str> = self.prefixes.iter().map(String::as_str).collect();
        let mut out = Vec::with_capacity(node.range().len() + 512);
        canonicalize(node, self.method, &prefixes, &mut out);
        out
    }
}

struct SignedInfo {
    canonical: Vec<u8>,
    algorithm: SignatureAlgorithm,
    references: Vec<Reference>,
    properties_id: String,
    properties_form: Form,
    properties_stated: Stated,
}

impl SignedInfo {
    fn read(node: Node<'_, '_>) -> Result<Self, SignatureError> {
        let children = elements(node)?;
        let [form, algorithm, references @ ..] = &*children else {
            return Err(SignatureError::Malformed("SignedInfo lacks its methods"));
        };
        let form = Form::read(named(*form, DSIG, "CanonicalizationMethod")?)?;
        let algorithm = named(*algorithm, DSIG, "SignatureMethod")?;
        if !elements(algorithm)?.is_empty() {
            return Err(SignatureError::Malformed(
                "the signature method has unknown parameters",
            ));
        }
        let uri = attribute(algorithm, "Algorithm")?;
        let algorithm = SignatureAlgorithm::from_uri(uri)
            .ok_or_else(|| SignatureError::UnknownAlgorithm(uri.to_owned()))?;
        if algorithm.is_weak() {
            return Err(SignatureError::Weak(algorithm.name()));
        }
        if references.len() > limits::REFERENCES {
            return Err(SignatureError::Malformed("too many references"));
        }
        let mut parts: Vec<Reference> = Vec::new();
        let mut properties = None;
        for reference in references {
            let reference = named(*reference, DSIG, "Reference")?;
            let uri = attribute(reference, "URI")?;
            let (form, stated) = read_reference(reference)?;
            if let Some(id) = uri.strip_prefix('#') {
                let other_type = reference
                    .attribute("Type")
                    .is_some_and(|kind| kind != SIGNED_PROPERTIES_TYPE);
                if other_type || properties.is_some() {
                    return Err(SignatureError::Malformed(
                        "a reference into the document too many",
                    ));
                }
                let form = form.unwrap_or(Form {
                    method: Method::Inclusive,
                    prefixes: Vec::new(),
                });
                properties = Some((id.to_owned(), form, stated));
            } else if !uri.starts_with('/') {
                return Err(SignatureError::UnknownReference(uri.to_owned()));
            } else if form.is_some() {
                return Err(SignatureError::Malformed(
                    "parts of a message are hashed as they are",
                ));
            } else if parts.iter().any(|other| other.uri == uri) {
                return Err(SignatureError::Malformed("a part is referenced twice"));
            } else {
                parts.push(Reference {
                    uri: uri.to_owned(),
                    algorithm: stated.algorithm,
                    digest: stated.digest,
                });
            }
        }
        let (properties_id, properties_form, properties_stated) = properties.ok_or(
            SignatureError::Malformed("the signed properties are not referenced"),
        )?;
        if parts.is_empty() {
            return Err(SignatureError::Malformed("no part of a message is referenced"));
        }
        Ok(Self {
            canonical: form.apply(node),
            algorithm,
            references: parts,
            properties_id,
            properties_form,
            properties_stated,
        })
    }
}

fn read_reference(reference: Node<'_, '_>) -> Result<(Option<Form>, Stated), SignatureError> {
    let children = elements(reference)?;
    let (form, stated) = match &*children {
        [transforms, stated @ ..] if transforms.has_tag_name((DSIG, "Transforms")) => {
            (Some(Form::read(only(*transforms, DSIG, "Transform")?)?), stated)
        }
        stated => (None, stated),
    };
    Ok((form, read_stated(stated)?))
}

/// `DigestMethod` and `DigestValue`, as references and certificate digests have them.
fn read_stated(nodes: &[Node<'_, '_>]) -> Result<Stated, SignatureError> {
    let [method, value] = nodes else {
        return Err(SignatureError::Malformed("a digest has a method and a value"));
    };
    let uri = attribute(named(*method, DSIG, "DigestMethod")?, "Algorithm")?;
    let algorithm =
        DigestAlgorithm::from_uri(uri).ok_or_else(|| SignatureError::UnknownAlgorithm(uri.to_owned()))?;
    if algorithm.is_weak() {
        return Err(SignatureError::Weak(algorithm.name()));
    }
    Ok(Stated {
        algorithm,
        digest: base64(named(*value, DSIG, "DigestValue")?)?,
    })
}

struct SignedSignatureProperties {
    time: Option<UnixTime>,
    certificate: Stated,
}

impl SignedSignatureProperties {
    fn read(properties: Node<'_, '_>) -> Result<Self, SignatureError> {
        let signature = only(properties, XADES, "SignedSignatureProperties")?;
        // X-Road 8 writes the second form, whose digest is the same.
        let certificate = match (
            maybe(signature, XADES, "SigningCertificate")?,
            maybe(signature, XADES, "SigningCertificateV2")?,
        ) {
            (Some(one), None) | (None, Some(one)) => one,
            _ => {
                return Err(SignatureError::Malformed(
                    "the signing certificate is not named once",
                ));
            }
        };
        // The first is the signer's; more would be its path (XAdES 7.2.2).
        let certificate = elements(certificate)?
            .first()
            .copied()
            .ok_or(SignatureError::Malformed("the signing certificate is not named"))?;
        let certificate = read_stated(&elements(only(
            named(certificate, XADES, "Cert")?,
            XADES,
            "CertDigest",
        )?)?)?;
        let time = match maybe(signature, XADES, "SigningTime")? {
            Some(time) => UnixTime::parse_rfc3339(content(time)?.trim()).ok(),
            None => None,
        };
        Ok(Self { time, certificate })
    }
}

#[derive(Default)]
struct Unsigned {
    ocsp_values: Vec<Vec<u8>>,
    certificates: Vec<Certificate>,
    timestamp: Option<Vec<u8>>,
}

impl Unsigned {
    /// Reads what is needed of the unsigned properties; anything else may stand there.
    fn read(qualifying: Node<'_, '_>) -> Result<Self, SignatureError> {
        const NO_OCSP: SignatureError = SignatureError::Malformed("there is no OCSP response");
        let unsigned = maybe(qualifying, XADES, "UnsignedProperties")?.ok_or(NO_OCSP)?;
        let unsigned = maybe(unsigned, XADES, "UnsignedSignatureProperties")?.ok_or(NO_OCSP)?;
        let revocation = maybe(unsigned, XADES, "RevocationValues")?.ok_or(NO_OCSP)?;
        let ocsp = all(
            maybe(revocation, XADES, "OCSPValues")?.ok_or(NO_OCSP)?,
            "EncapsulatedOCSPValue",
        )?;
        if ocsp.is_empty() {
            return Err(NO_OCSP);
        }
        if ocsp.len() > limits::SIGNATURE_CERTIFICATES {
            return Err(SignatureError::Malformed("too many OCSP responses"));
        }
        let timestamp = match maybe(unsigned, XADES, "SignatureTimeStamp")? {
            Some(stamp) => Some(base64(only(stamp, XADES, "EncapsulatedTimeStamp")?)?),
            None => None,
        };
        Ok(Self {
            ocsp_values: ocsp.into_iter().map(base64).collect::<Result<_, _>>()?,
            certificates: extra_certificates(unsigned)?,
            timestamp,
        })
    }
}

/// The certificates of `CertificateValues`. Where `CompleteCertificateRefs` stand, each of them must name one of the
/// values with its digest, and each value must be named (wire 4.7 step 7, 12.2 `extra-certs-*`).
fn extra_certificates(unsigned: Node<'_, '_>) -> Result<Vec<Certificate>, SignatureError> {
    let values = match maybe(unsigned, XADES, "CertificateValues")? {
        Some(values) => all(values, "EncapsulatedX509Certificate")?,
        None => Vec::new(),
    };
    if values.len() >= limits::SIGNATURE_CERTIFICATES {
        return Err(SignatureError::Malformed("too many certificates"));
    }
    let mut certificates = Vec::new();
    for value in values {
        certificates.push((value.attribute("Id"), read_certificate(value)?));
    }
    if let Some(references) = maybe(unsigned, XADES, "CompleteCertificateRefs")? {
        let references = all(only(references, XADES, "CertRefs")?, "Cert")?;
        let mut named = HashSet::new();
        for reference in references {
            let id = attribute(reference, "URI")?.strip_prefix('#');
            let certificate = certificates
                .iter()
                .find(|(value, _)| value.is_some() && *value == id)
                .map(|(_, certificate)| certificate)
                .ok_or(SignatureError::Malformed(
                    "a certificate reference names none of the certificates",
                ))?;
            if !read_stated(&elements(only(reference, XADES, "CertDigest")?)?)?.fits(certificate.der()) {
                return Err(SignatureError::Malformed(
                    "a certificate reference has another digest",
                ));
            }
            named.insert(id);
        }
        if certificates.iter().any(|(id, _)| !named.contains(id)) {
            return Err(SignatureError::Malformed("a certificate is not referenced"));
        }
    }
    Ok(certificates
        .into_iter()
        .map(|(_, certificate)| certificate)
        .collect())
}

/// The one signature of the document: its root, or the only child of the ASiC wrapper. White space around it is
/// accepted (wire Annex C); its prefix is literal, because Java looks for it by name (wire 4.6).
fn the_signature<'a, 'i>(tree: &'a Document<'i>) -> Result<Node<'a, 'i>, SignatureError> {
    let mut signatures = tree
        .descendants()
        .filter(|node| node.has_tag_name((DSIG, "Signature")));
    let signature = signatures
        .next()
        .ok_or(SignatureError::Malformed("there is no signature"))?;
    if signatures.next().is_some() {
        return Err(SignatureError::Malformed("there is more than one signature"));
    }
    let root = tree.root_element();
    if signature != root {
        let known = root.tag_name().name() == "XAdESSignatures"
            && root
                .tag_name()
                .namespace()
                .is_some_and(|namespace| namespace.starts_with(WRAPPER));
        if !known || elements(root)? != [signature] {
            return Err(SignatureError::Malformed(
                "the signature does not stand alone in its wrapper",
            ));
        }
    }
    literal(signature, "ds:Signature")?;
    Ok(signature)
}

/// The properties that the first `ds:Object` holds, and no other; Java reads them there.
fn qualifying_properties<'a, 'i>(
    signature: Node<'a, 'i>,
    objects: &[Node<'a, 'i>],
) -> Result<Node<'a, 'i>, SignatureError> {
    for object in objects {
        named(*object, DSIG, "Object")?;
    }
    let first = objects
        .first()
        .ok_or(SignatureError::Malformed("there is no object with properties"))?;
    literal(*first, "ds:Object")?;
    let qualifying = only(*first, XADES, "QualifyingProperties")?;
    literal(qualifying, "xades:QualifyingProperties")?;
    if signature
        .descendants()
        .filter(|node| node.has_tag_name((XADES, "QualifyingProperties")))
        .count()
        > 1
    {
        return Err(SignatureError::Malformed(
            "there is more than one set of properties",
        ));
    }
    Ok(qualifying)
}

fn no_duplicate_ids(tree: &Document<'_>) -> Result<(), SignatureError> {
    let mut ids = HashSet::new();
    for attribute in tree.descendants().flat_map(|node| node.attributes()) {
        if attribute.name().eq_ignore_ascii_case("id") && !ids.insert(attribute.value()) {
            return Err(SignatureError::DuplicateId(attribute.value().to_owned()));
        }
    }
    Ok(())
}

fn read_certificate(node: Node<'_, '_>) -> Result<Certificate, SignatureError> {
    Certificate::parse(&base64(node)?).map_err(|error| SignatureError::Certificate(error.to_string()))
}
