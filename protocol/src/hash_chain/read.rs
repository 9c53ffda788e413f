//! The two XML documents of a chain, read against their schema (wire 4.4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kontor_pki::crypto::DigestAlgorithm;
use roxmltree::Node;

use super::ChainError;
use crate::c14n::Method;
use crate::limits;
use crate::xml::{self, Bounds};

const CHAIN: &str = "http://cyber.ee/hashchain";
const DSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

const RESULT_BOUNDS: Bounds = Bounds {
    bytes: limits::HASH_CHAIN_RESULT,
    nodes: 100,
    depth: 8,
    attributes: 16,
    namespaces: 16,
};
const CHAIN_BOUNDS: Bounds = Bounds {
    bytes: limits::HASH_CHAIN,
    nodes: limits::HASH_CHAIN_NODES,
    depth: 8,
    attributes: 16,
    namespaces: 16,
};

/// `sig-hashchainresult.xml`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ChainResult {
    pub(super) uri: String,
    pub(super) algorithm: DigestAlgorithm,
    pub(super) digest: Vec<u8>,
}

/// `sig-hashchain.xml`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chain {
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) id: String,
    pub(super) items: Vec<Item>,
}

/// An item of a step with the algorithm that counts for it, its own or the default of its chain.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) algorithm: DigestAlgorithm,
    pub(super) kind: ItemKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum ItemKind {
    HashValue(Vec<u8>),
    StepRef(String),
    DataRef {
        uri: String,
        transforms: Vec<Method>,
        digest: Vec<u8>,
    },
}

pub(super) fn chain_result(xml: &[u8]) -> Result<ChainResult, ChainError> {
    let text = xml::scan(xml, &RESULT_BOUNDS)?;
    let tree = text.tree()?;
    let root = expect(tree.root_element(), CHAIN, "HashChainResult")?;
    allow_attributes(root, &["URI"])?;
    let mut value = Value::of(root)?;
    let algorithm = value
        .algorithm
        .take()
        .ok_or_else(|| schema(root, "no DigestMethod"))?;
    Ok(ChainResult {
        uri: attribute(root, "URI")?,
        algorithm,
        digest: value.digest(root)?,
    })
}

pub(super) fn chain(xml: &[u8]) -> Result<Chain, ChainError> {
    let text = xml::scan(xml, &CHAIN_BOUNDS)?;
    let tree = text.tree()?;
    let root = expect(tree.root_element(), CHAIN, "HashChain")?;
    allow_attributes(root, &[])?;
    let mut children = elements(root)?.into_iter();
    let default = children
        .next()
        .ok_or_else(|| schema(root, "no DefaultDigestMethod"))?;
    let default = digest_method(expect(default, CHAIN, "DefaultDigestMethod")?)?;
    let mut steps: Vec<Step> = Vec::new();
    for child in children {
        let step = step(expect(child, CHAIN, "HashStep")?, default)?;
        if steps.len() == limits::HASH_CHAIN_STEPS {
            return Err(schema(root, "too many steps"));
        }
        if steps.iter().any(|other| other.id == step.id) {
            return Err(schema(child, "two steps with one id"));
        }
        steps.push(step);
    }
    if steps.is_empty() {
        Err(schema(root, "no steps"))
    } else {
        Ok(Chain { steps })
    }
}

fn step(node: Node<'_, '_>, default: DigestAlgorithm) -> Result<Step, ChainError> {
    allow_attributes(node, &["id"])?;
    let id = attribute(node, "id")?;
    let items = elements(node)?
        .into_iter()
        .map(|child| item(child, default))
        .collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        Err(schema(node, "a step without items"))
    } else {
        Ok(Step { id, items })
    }
}

fn item(node: Node<'_, '_>, default: DigestAlgorithm) -> Result<Item, ChainError> {
    let mut value = Value::of(node)?;
    let algorithm = value.algorithm.unwrap_or(default);
    let name = if node.tag_name().namespace() == Some(CHAIN) {
        node.tag_name().name()
    } else {
        ""
    };
    let kind = match name {
        "HashValue" => {
            allow_attributes(node, &[])?;
            ItemKind::HashValue(value.digest(node)?)
        }
        "StepRef" if value.digest.is_none() && value.transforms.is_none() => {
            allow_attributes(node, &["URI"])?;
            ItemKind::StepRef(attribute(node, "URI")?)
        }
        "DataRef" => {
            allow_attributes(node, &["URI"])?;
            let transforms = value.transforms.take().unwrap_or_default();
            ItemKind::DataRef {
                uri: attribute(node, "URI")?,
                transforms,
                digest: value.digest(node)?,
            }
        }
        _ => return Err(schema(node, "not an item of a step")),
    };
    Ok(Item { algorithm, kind })
}

/// The children that result and items share. Which of the two optional ones comes first is not said anywhere.
struct Value {
    algorithm: Option<DigestAlgorithm>,
    transforms: Option<Vec<Method>>,
    digest: Option<Vec<u8>>,
}

impl Value {
    fn of(node: Node<'_, '_>) -> Result<Self, ChainError> {
        let mut value = Self {
            algorithm: None,
            transforms: None,
            digest: None,
        };
        for child in elements(node)? {
            let name = if child.tag_name().namespace() == Some(DSIG) {
                child.tag_name().name()
            } else {
                ""
            };
            match name {
                _ if value.digest.is_some() => return Err(schema(child, "after the DigestValue")),
                "DigestMethod" if value.algorithm.is_none() => value.algorithm = Some(digest_method(child)?),
                "Transforms" if value.transforms.is_none() => value.transforms = Some(transforms(child)?),
                "DigestValue" => {
                    allow_attributes(child, &[])?;
                    value.digest = Some(base64(child)?);
                }
                _ => return Err(schema(child, "not expected")),
            }
        }
        Ok(value)
    }

    fn digest(&mut self, node: Node<'_, '_>) -> Result<Vec<u8>, ChainError> {
        self.digest.take().ok_or_else(|| schema(node, "no DigestValue"))
    }
}

fn digest_method(node: Node<'_, '_>) -> Result<DigestAlgorithm, ChainError> {
    allow_attributes(node, &["Algorithm"])?;
    if node.has_children() {
        return Err(schema(node, "parameters"));
    }
    let uri = attribute(node, "Algorithm")?;
    DigestAlgorithm::from_uri(&uri)
        .filter(|algorithm| !algorithm.is_weak())
        .ok_or_else(|| schema(node, "an algorithm that is not accepted"))
}

fn transforms(node: Node<'_, '_>) -> Result<Vec<Method>, ChainError> {
    allow_attributes(node, &[])?;
    let one = |child: Node<'_, '_>| {
        expect(child, DSIG, "Transform")?;
        if child.has_children() {
            return Err(schema(child, "parameters"));
        }
        Method::from_uri(&attribute(child, "Algorithm")?).ok_or_else(|| schema(child, "an unknown algorithm"))
    };
    elements(node)?.into_iter().map(one).collect()
}

/// The child elements; text between them may only be white space.
fn elements<'a, 'i>(node: Node<'a, 'i>) -> Result<Vec<Node<'a, 'i>>, ChainError> {
    let blank = |text: &str| text.bytes().all(|octet| octet.is_ascii_whitespace());
    if node
        .children()
        .any(|child| child.is_text() && !blank(child.text().unwrap_or_default()))
    {
        return Err(schema(node, "text between elements"));
    }
    Ok(node.children().filter(Node::is_element).collect())
}

fn base64(node: Node<'_, '_>) -> Result<Vec<u8>, ChainError> {
    let mut text = String::new();
    for child in node.children() {
        if child.is_element() {
            return Err(schema(node, "elements in a value"));
        }
        if child.is_text() {
            text.push_str(child.text().unwrap_or_default());
        }
    }
    text.retain(|character| !character.is_ascii_whitespace());
    STANDARD.decode(text).map_err(|_| schema(node, "not base64"))
}

fn expect<'a, 'i>(node: Node<'a, 'i>, namespace: &str, name: &str) -> Result<Node<'a, 'i>, ChainError> {
    if node.has_tag_name((namespace, name)) {
        Ok(node)
    } else {
        Err(schema(node, &format!("{name} was expected")))
    }
}

fn attribute(node: Node<'_, '_>, name: &str) -> Result<String, ChainError> {
    node.attribute(name)
        .map(str::to_owned)
        .ok_or_else(|| schema(node, &format!("no attribute {name}")))
}

/// Attributes of XML Schema itself may stand anywhere.
fn allow_attributes(node: Node<'_, '_>, names: &[&str]) -> Result<(), ChainError> {
    let foreign = |attribute: &roxmltree::Attribute<'_, '_>| match attribute.namespace() {
        None => !names.contains(&attribute.name()),
        Some(namespace) => namespace != XSI,
    };
    if node.attributes().any(|attribute| foreign(&attribute)) {
        Err(schema(node, "an attribute that does not belong there"))
    } else {
        Ok(())
    }
}

fn schema(node: Node<'_, '_>, what: &str) -> ChainError {
    ChainError::Malformed(format!("at {}: {what}", node.tag_name().name()))
}
