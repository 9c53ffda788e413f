//! The time-stamp of a single message, put into its signature document later (wire 5.2).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::read::BOUNDS;
use super::{SignatureError, XADES};
use crate::xml;

/// The document with `token` as first child of `UnsignedSignatureProperties`; every other octet stays as it is, so
/// that the signature does too. The document must have no time-stamp yet.
pub fn insert_timestamp(document: &[u8], token: &[u8]) -> Result<Vec<u8>, SignatureError> {
    let at = position(document)?;
    let stamp = format!(
        "<xades:SignatureTimeStamp><xades:EncapsulatedTimeStamp>{}</xades:EncapsulatedTimeStamp></xades:SignatureTimeStamp>",
        STANDARD.encode(token)
    );
    Ok([&document[..at], stamp.as_bytes(), &document[at..]].concat())
}

fn position(document: &[u8]) -> Result<usize, SignatureError> {
    let text = xml::scan(document, &BOUNDS)?;
    let tree = text.tree()?;
    let mut properties = tree
        .descendants()
        .filter(|node| node.has_tag_name((XADES, "UnsignedSignatureProperties")));
    let (Some(properties), None) = (properties.next(), properties.next()) else {
        return Err(SignatureError::Malformed(
            "there is not one place for a time-stamp",
        ));
    };
    if properties
        .children()
        .any(|child| child.has_tag_name((XADES, "SignatureTimeStamp")))
    {
        return Err(SignatureError::Malformed("there is a time-stamp already"));
    }
    let first = properties
        .first_child()
        .ok_or(SignatureError::Malformed("there is no OCSP response"))?;
    Ok(text.position(document, first.range().start))
}
