//! The two manifests of a container (wire 6.5).
//!
//! Owns their bytes, and reading the one that says what the time-stamp is about. The OpenDocument manifest proves
//! nothing and is not read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::{DigestAlgorithm, sha512};

use super::{
    Evidence, MEDIA_TYPE, MESSAGE, SIGNATURE_CHAIN, SIGNATURE_CHAIN_RESULT, TIMESTAMP, TIMESTAMP_CHAIN,
    TIMESTAMP_CHAIN_RESULT,
};
use crate::limits;
use crate::xml::{self, Bounds};

/// `2918`, where the wrapper of signatures has `02918`.
const ASIC: &str = "http://uri.etsi.org/2918/v1.2.1#";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";

/// `META-INF/manifest.xml`.
pub(super) fn open_document(evidence: &Evidence<'_>) -> String {
    let mut out = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\
         <manifest:manifest xmlns:manifest=\"urn:oasis:names:tc:opendocument:xmlns:manifest:1.0\" \
         manifest:version=\"1.2\">",
    );
    let mut entry = |media_type: &str, path: &str| {
        out.push_str(&format!(
            "<manifest:file-entry manifest:full-path=\"{path}\" manifest:media-type=\"{media_type}\"/>"
        ));
    };
    entry(MEDIA_TYPE, "/");
    entry("text/xml", MESSAGE);
    if evidence.chain.is_some() {
        entry("text/xml", SIGNATURE_CHAIN_RESULT);
        entry("text/xml", SIGNATURE_CHAIN);
    }
    if evidence.timestamp.is_some() {
        entry("text/xml", TIMESTAMP_CHAIN_RESULT);
        entry("text/xml", TIMESTAMP_CHAIN);
    }
    for number in 1..=evidence.attachments {
        entry("application/octet-stream", &format!("attachment{number}"));
    }
    out.push_str("</manifest:manifest>");
    out
}

/// `META-INF/ASiCManifest.xml`: the time-stamp is about this chain result.
pub(super) fn asic(chain_result: &[u8]) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\"?>\
         <asic:ASiCManifest xmlns:asic=\"{ASIC}\" xmlns:ds=\"{DSIG}\">\
         <asic:SigReference MimeType=\"vnd.etsi.timestamp-token\" URI=\"{TIMESTAMP}\"/>\
         <asic:DataObjectReference MimeType=\"text/xml\" URI=\"{TIMESTAMP_CHAIN_RESULT}\">\
         <ds:DigestMethod Algorithm=\"{}\"/><ds:DigestValue>{}</ds:DigestValue>\
         </asic:DataObjectReference></asic:ASiCManifest>",
        DigestAlgorithm::Sha512.uri(),
        STANDARD.encode(sha512(chain_result)),
    )
}

/// Whether an `ASiCManifest.xml` ties the time-stamp of the container to this chain result.
///
/// Java does not look; a manifest that names another file or digest contradicts the container.
pub(super) fn asic_is_about(manifest: &[u8], chain_result: &[u8]) -> Result<bool, String> {
    let bounds = Bounds {
        bytes: limits::SIGNATURE,
        nodes: limits::SIGNATURE_NODES,
        depth: limits::XML_DEPTH,
        attributes: 32,
        namespaces: 100,
    };
    let text = xml::scan(manifest, &bounds).map_err(|e| e.to_string())?;
    let document = text.tree().map_err(|e| e.to_string())?;
    let root = document.root_element();
    if !root.has_tag_name((ASIC, "ASiCManifest")) {
        return Err("its root is not ASiCManifest".to_owned());
    }
    let signature = root.children().find(|n| n.has_tag_name((ASIC, "SigReference")));
    let mut objects = root
        .children()
        .filter(|n| n.has_tag_name((ASIC, "DataObjectReference")));
    let (Some(signature), Some(object), None) = (signature, objects.next(), objects.next()) else {
        return Err("it does not refer to one token and one file".to_owned());
    };
    let digest_of = |name: &str| object.children().find(|n| n.has_tag_name((DSIG, name)));
    let algorithm = digest_of("DigestMethod").and_then(|n| n.attribute("Algorithm"));
    let algorithm = algorithm
        .and_then(DigestAlgorithm::from_uri)
        .filter(|a| !a.is_weak());
    let value = digest_of("DigestValue")
        .and_then(|n| n.text())
        .unwrap_or_default();
    let value: String = value.split_ascii_whitespace().collect();
    let (Some(algorithm), Ok(value)) = (algorithm, STANDARD.decode(value)) else {
        return Err("its digest cannot be read, or is SHA-1".to_owned());
    };
    let digest = kontor_pki::crypto::digest(algorithm, chain_result).map_err(|e| e.to_string())?;
    Ok(signature.attribute("URI") == Some(TIMESTAMP)
        && object.attribute("URI") == Some(TIMESTAMP_CHAIN_RESULT)
        && digest == value)
}
