//! From parts and chain to the result: every part used, nothing else trusted (wire 4.5).

use std::rc::Rc;

use kontor_pki::crypto::{DigestAlgorithm, digest};

use super::digest_list::DigestList;
use super::read::{self, Chain, ChainResult, Item, ItemKind};
use super::{ChainError, PartDigest, template};
use crate::c14n::{Method, canonicalize};
use crate::limits;
use crate::xml::{self, Bounds};

/// Chain documents that one evaluation may open; X-Road writes one.
const DOCUMENTS: usize = 8;

/// Bounds of data that a chain transforms before it hashes it.
const DATA_BOUNDS: Bounds = Bounds {
    bytes: limits::SOAP_PART,
    nodes: 100_000,
    depth: limits::XML_DEPTH,
    attributes: 64,
    namespaces: 64,
};

/// A part that the chain must use.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Name of the part.
    pub name: &'a str,
    /// Its digest with the algorithm, or nothing where the data itself is at hand and is hashed.
    pub digest: Option<(DigestAlgorithm, &'a [u8])>,
}

/// What stands behind a name that a chain mentions.
#[derive(Clone, Copy, Debug)]
pub enum Resolved<'a> {
    /// These octets, a chain document or data.
    Octets(&'a [u8]),
    /// Nothing: the chain is refused.
    Unknown,
    /// Known to exist, but not at hand: the digest in the chain stands for it, and the name is reported.
    NotAtHand,
}

/// A chain that leads to its result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evaluated {
    /// Names whose data was [`Resolved::NotAtHand`].
    pub not_at_hand: Vec<String>,
}

/// Checks that `chain_xml`, known as `chain_name`, leads from exactly `inputs` to `result_xml`: every input is used,
/// and the chain names no other data. This is the rule of transport, where nothing else can be resolved.
pub fn evaluate(
    result_xml: &[u8],
    chain_xml: &[u8],
    chain_name: &str,
    inputs: &[PartDigest],
) -> Result<(), ChainError> {
    let inputs: Vec<_> = inputs
        .iter()
        .map(|part| Input {
            name: &part.name,
            digest: Some((DigestAlgorithm::Sha512, &part.digest)),
        })
        .collect();
    let resolve = |name: &str| {
        if name == chain_name {
            Resolved::Octets(chain_xml)
        } else {
            Resolved::Unknown
        }
    };
    evaluate_with(result_xml, &inputs, &resolve).map(|_| ())
}

/// As [`evaluate`], with further chain documents and data by name, and digests of other algorithms.
pub fn evaluate_with<'a>(
    result_xml: &[u8],
    inputs: &[Input<'_>],
    resolve: &dyn Fn(&str) -> Resolved<'a>,
) -> Result<Evaluated, ChainError> {
    let ChainResult {
        uri,
        algorithm,
        digest: expected,
    } = template::chain_result(result_xml).map_or_else(|| read::chain_result(result_xml), Ok)?;
    let mut evaluation = Evaluation {
        inputs,
        used: vec![false; inputs.len()],
        resolve,
        documents: Vec::new(),
        values: Vec::new(),
        work: 0,
        not_at_hand: Vec::new(),
    };
    let at = evaluation.locate(&uri, None)?;
    if evaluation.step_digest(at, algorithm, 1)? != expected {
        return Err(ChainError::Mismatch);
    }
    if let Some(unused) = evaluation.used.iter().position(|used| !used) {
        return Err(ChainError::Unused(inputs[unused].name.to_owned()));
    }
    Ok(Evaluated {
        not_at_hand: evaluation.not_at_hand,
    })
}

/// A step: the number of its document, and its number there.
type Place = (usize, usize);

enum Value {
    /// Not yet asked for.
    Unknown,
    /// Being computed: to meet it again is a cycle.
    Open,
    /// The DigestList, and its digests so far.
    Known {
        list: Vec<u8>,
        digests: Vec<(DigestAlgorithm, Vec<u8>)>,
    },
}

struct Evaluation<'e, 'a> {
    inputs: &'e [Input<'e>],
    used: Vec<bool>,
    resolve: &'e dyn Fn(&str) -> Resolved<'a>,
    documents: Vec<(String, Rc<Chain>)>,
    /// Each step is evaluated once, so that a chain whose steps are shared does not double its cost at each level.
    values: Vec<Vec<Value>>,
    work: usize,
    not_at_hand: Vec<String>,
}

impl Evaluation<'_, '_> {
    /// Finds the step that a reference names, opening its document if it is another one.
    fn locate(&mut self, uri: &str, current: Option<usize>) -> Result<Place, ChainError> {
        let unknown = || ChainError::Malformed(format!("there is no step {uri}"));
        let (base, fragment) = uri.split_once('#').ok_or_else(unknown)?;
        if fragment.is_empty() {
            return Err(unknown());
        }
        let document = if base.is_empty() {
            current.ok_or_else(unknown)?
        } else {
            self.open(base)?
        };
        let step = self.documents[document]
            .1
            .steps
            .iter()
            .position(|step| step.id == fragment);
        step.map(|step| (document, step)).ok_or_else(unknown)
    }

    fn open(&mut self, name: &str) -> Result<usize, ChainError> {
        if let Some(known) = self.documents.iter().position(|(other, _)| other == name) {
            return Ok(known);
        }
        if self.documents.len() == DOCUMENTS {
            return Err(ChainError::Malformed("spread over too many documents".to_owned()));
        }
        let Resolved::Octets(xml) = (self.resolve)(name) else {
            return Err(ChainError::Unresolvable(name.to_owned()));
        };
        let chain = template::chain(xml).map_or_else(|| read::chain(xml), Ok)?;
        self.values
            .push(chain.steps.iter().map(|_| Value::Unknown).collect());
        self.documents.push((name.to_owned(), Rc::new(chain)));
        Ok(self.documents.len() - 1)
    }

    fn step_digest(
        &mut self,
        at: Place,
        algorithm: DigestAlgorithm,
        depth: usize,
    ) -> Result<Vec<u8>, ChainError> {
        if depth > limits::HASH_CHAIN_DEPTH {
            return Err(ChainError::Malformed(
                "too many steps below each other".to_owned(),
            ));
        }
        match &self.values[at.0][at.1] {
            Value::Open => return Err(ChainError::Malformed("a step refers to itself".to_owned())),
            Value::Known { digests, .. } => {
                if let Some((_, known)) = digests.iter().find(|(other, _)| *other == algorithm) {
                    return Ok(known.clone());
                }
            }
            Value::Unknown => {
                self.values[at.0][at.1] = Value::Open;
                let list = self.step_list(at, depth)?;
                self.values[at.0][at.1] = Value::Known {
                    list,
                    digests: Vec::new(),
                };
            }
        }
        let Value::Known { list, digests } = &mut self.values[at.0][at.1] else {
            return Err(ChainError::Malformed("a step refers to itself".to_owned()));
        };
        let value = hash(algorithm, list)?;
        digests.push((algorithm, value.clone()));
        Ok(value)
    }

    fn step_list(&mut self, at: Place, depth: usize) -> Result<Vec<u8>, ChainError> {
        let document = Rc::clone(&self.documents[at.0].1);
        let mut list = DigestList::new();
        for item in &document.steps[at.1].items {
            self.work += 1;
            if self.work > limits::HASH_CHAIN_WORK {
                return Err(ChainError::Malformed("too many digests".to_owned()));
            }
            match &item.kind {
                ItemKind::HashValue(digest) => list.push(item.algorithm, digest),
                ItemKind::StepRef(uri) => {
                    let step = self.locate(uri, Some(at.0))?;
                    list.push(
                        item.algorithm,
                        &self.step_digest(step, item.algorithm, depth + 1)?,
                    );
                }
                ItemKind::DataRef {
                    uri,
                    transforms,
                    digest,
                } => {
                    list.push(item.algorithm, &self.data_digest(item, uri, transforms, digest)?);
                }
            }
        }
        Ok(list.der())
    }

    /// The digest of data: as given where it is an input, whatever the chain says, else of the data itself, which
    /// must be what the chain says.
    fn data_digest(
        &mut self,
        item: &Item,
        uri: &str,
        transforms: &[Method],
        stated: &[u8],
    ) -> Result<Vec<u8>, ChainError> {
        if let Some(at) = self.inputs.iter().position(|input| input.name == uri) {
            self.used[at] = true;
            if let Some((algorithm, digest)) = self.inputs[at].digest
                && algorithm == item.algorithm
            {
                return Ok(digest.to_vec());
            }
        }
        let octets = match (self.resolve)(uri) {
            Resolved::Octets(octets) => octets,
            Resolved::Unknown => return Err(ChainError::Unresolvable(uri.to_owned())),
            Resolved::NotAtHand => {
                self.not_at_hand.push(uri.to_owned());
                return Ok(stated.to_vec());
            }
        };
        let value = match transforms {
            [] => hash(item.algorithm, octets)?,
            transforms => hash(item.algorithm, &transformed(octets, transforms)?)?,
        };
        if value == stated {
            Ok(value)
        } else {
            Err(ChainError::OtherDigest(uri.to_owned()))
        }
    }
}

fn transformed(octets: &[u8], transforms: &[Method]) -> Result<Vec<u8>, ChainError> {
    let mut current = octets.to_vec();
    for &method in transforms {
        let mut canonical = Vec::with_capacity(current.len());
        canonicalize(
            xml::scan(&current, &DATA_BOUNDS)?.tree()?.root(),
            method,
            &[],
            &mut canonical,
        );
        current = canonical;
    }
    Ok(current)
}

fn hash(algorithm: DigestAlgorithm, data: &[u8]) -> Result<Vec<u8>, ChainError> {
    digest(algorithm, data).map_err(|error| ChainError::Malformed(error.to_string()))
}
