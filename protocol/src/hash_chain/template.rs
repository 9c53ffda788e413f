//! The form in which this crate writes chains, and a reader that knows that form alone.
//!
//! Every message of a batch brings a chain, and between two nodes of this kind it has this form: reading it without a
//! tree takes a tenth of the time. The reader takes nothing that [`super::read`] reads otherwise (a property test
//! compares them); whatever has another form, or breaks a bound, goes there.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::DigestAlgorithm;

use super::read::{Chain, ChainResult, Item, ItemKind, Step};
use crate::limits;

pub(super) const RESULT_START: &str = "<hc:HashChainResult xmlns:hc=\"http://cyber.ee/hashchain\" xmlns=\"http://www.w3.org/2000/09/xmldsig#\" URI=\"";
pub(super) const RESULT_METHOD: &str =
    "\"><DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"/>";
pub(super) const RESULT_END: &str = "</hc:HashChainResult>";
pub(super) const CHAIN_START: &str = "<hc:HashChain xmlns:hc=\"http://cyber.ee/hashchain\" xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
     <hc:DefaultDigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"/>";
pub(super) const CHAIN_END: &str = "</hc:HashChain>";
pub(super) const STEP_START: &str = "<hc:HashStep id=\"";
pub(super) const STEP_END: &str = "</hc:HashStep>";
pub(super) const STEP_REF: &str = "<hc:StepRef URI=\"";
pub(super) const STEP_REF_END: &str = "\"/>";
pub(super) const HASH_VALUE: &str = "<hc:HashValue>";
pub(super) const HASH_VALUE_END: &str = "</hc:HashValue>";
pub(super) const DATA_REF: &str = "<hc:DataRef URI=\"";
pub(super) const DATA_REF_END: &str = "</hc:DataRef>";
pub(super) const VALUE: &str = "<DigestValue>";
pub(super) const VALUE_END: &str = "</DigestValue>";

/// A chain result in our form.
pub(super) fn chain_result(xml: &[u8]) -> Option<ChainResult> {
    if xml.len() > limits::HASH_CHAIN_RESULT {
        return None;
    }
    let mut cursor = Cursor(std::str::from_utf8(xml).ok()?);
    cursor.skip(RESULT_START)?;
    let uri = cursor.name()?.to_owned();
    cursor.skip(RESULT_METHOD)?;
    let digest = cursor.value()?;
    cursor.skip(RESULT_END)?;
    cursor.0.is_empty().then_some(ChainResult {
        uri,
        algorithm: DigestAlgorithm::Sha512,
        digest,
    })
}

/// A chain in our form.
pub(super) fn chain(xml: &[u8]) -> Option<Chain> {
    if xml.len() > limits::HASH_CHAIN {
        return None;
    }
    let mut cursor = Cursor(std::str::from_utf8(xml).ok()?);
    cursor.skip(CHAIN_START)?;
    let mut steps: Vec<Step> = Vec::new();
    let mut all_items = 0;
    while cursor.skip(STEP_START).is_some() {
        let id = cursor.name()?.to_owned();
        cursor.skip("\">")?;
        let mut items = Vec::new();
        while cursor.skip(STEP_END).is_none() {
            items.push(cursor.item()?);
            all_items += 1;
        }
        // Four nodes are the most that an item has, so that the other reader's bound on nodes is kept as well.
        let known = steps.iter().any(|other| other.id == id);
        if items.is_empty()
            || known
            || steps.len() == limits::HASH_CHAIN_STEPS
            || all_items > limits::HASH_CHAIN_WORK
        {
            return None;
        }
        steps.push(Step { id, items });
    }
    cursor.skip(CHAIN_END)?;
    (cursor.0.is_empty() && !steps.is_empty()).then_some(Chain { steps })
}

struct Cursor<'a>(&'a str);

impl<'a> Cursor<'a> {
    fn skip(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    /// An attribute value of characters that mean themselves everywhere.
    fn name(&mut self) -> Option<&'a str> {
        let end = self.0.bytes().position(|octet| octet == b'"')?;
        let (name, rest) = self.0.split_at(end);
        let plain =
            |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'/' | b'#' | b'.' | b'-' | b'_');
        self.0 = rest;
        name.bytes().all(plain).then_some(name)
    }

    fn value(&mut self) -> Option<Vec<u8>> {
        self.skip(VALUE)?;
        let end = self.0.bytes().position(|octet| octet == b'<')?;
        let digest = STANDARD.decode(&self.0[..end]).ok()?;
        self.0 = &self.0[end..];
        self.skip(VALUE_END)?;
        Some(digest)
    }

    fn item(&mut self) -> Option<Item> {
        let kind = if self.skip(HASH_VALUE).is_some() {
            let digest = self.value()?;
            self.skip(HASH_VALUE_END)?;
            ItemKind::HashValue(digest)
        } else if self.skip(STEP_REF).is_some() {
            let uri = self.name()?.to_owned();
            self.skip(STEP_REF_END)?;
            ItemKind::StepRef(uri)
        } else {
            self.skip(DATA_REF)?;
            let uri = self.name()?.to_owned();
            self.skip("\">")?;
            let digest = self.value()?;
            self.skip(DATA_REF_END)?;
            ItemKind::DataRef {
                uri,
                transforms: Vec::new(),
                digest,
            }
        };
        Some(Item {
            algorithm: DigestAlgorithm::Sha512,
            kind,
        })
    }
}
