//! Whether the signature covers exactly what the container holds.
//!
//! Differs from the rule of transport in one point: an attachment may be missing. Its digest in the chain then stands
//! for it, and the container is incomplete.

use kontor_pki::crypto::digest;

use super::Judge;
use crate::container::read::{Attachment, Container};
use crate::container::report::{PartFacts, Verdict};
use crate::fault::FaultCode;
use crate::hash_chain::{
    self, ChainError, Evaluated, Input, MESSAGE, Resolved, SIGNATURE_CHAIN, SIGNATURE_CHAIN_RESULT,
};
use crate::signature::{Reference, SignatureDocument};
use kontor_pki::crypto::DigestAlgorithm;

impl Judge<'_> {
    /// Judges the references of the document against the container and lists the parts.
    pub(super) fn coverage(&mut self, container: &Container, document: &SignatureDocument) {
        let before = self.report.reasons.len();
        let references = document.references();
        let by_chain = references.iter().find(|r| r.uri == SIGNATURE_CHAIN_RESULT);
        let (covered, missing) = match by_chain {
            Some(reference) => self.by_chain(container, references, reference),
            None => self.one_by_one(container, references),
        };
        let fits = !self.report.reasons[before..]
            .iter()
            .any(|r| r.verdict == Verdict::Invalid);
        let message = (MESSAGE.to_owned(), container.message.len() as u64);
        let attachments = container
            .attachments
            .iter()
            .map(|a| (attachment_name(a), a.length));
        for (name, length) in std::iter::once(message).chain(attachments) {
            let covered = fits && covered.contains(&name);
            self.report.parts.push(PartFacts {
                name: bare(&name),
                length: Some(length),
                covered,
            });
        }
        for name in missing {
            let text = format!("the signature covers {}, which the container lacks", bare(&name));
            self.refuse(Verdict::Incomplete, "attachment_missing", text);
            self.report.parts.push(PartFacts {
                name: bare(&name),
                length: None,
                covered: fits,
            });
        }
    }

    /// Returns the names covered and there, and those covered and missing.
    fn by_chain(
        &mut self,
        container: &Container,
        references: &[Reference],
        reference: &Reference,
    ) -> (Vec<String>, Vec<String>) {
        for other in references.iter().filter(|other| *other != reference) {
            let text = format!(
                "the signature refers to a hash chain and to {} beside it",
                other.uri
            );
            self.refuse(Verdict::Invalid, FaultCode::InvalidReference.snake(), text);
        }
        let Some(chain) = &container.chain else {
            let text = "the signature is over a hash chain that the container lacks";
            self.refuse(Verdict::Invalid, FaultCode::MalformedSignature.snake(), text);
            return Default::default();
        };
        if !is_digest_of(reference, &chain.result) {
            let text = "the hash chain result is not what was signed";
            self.refuse(Verdict::Invalid, FaultCode::InvalidSignatureValue.snake(), text);
        }
        let evaluated = evaluate(container, &chain.result, &chain.chain);
        match evaluated {
            Ok(not_at_hand) => {
                let mut covered: Vec<String> = container.attachments.iter().map(attachment_name).collect();
                covered.push(MESSAGE.to_owned());
                (covered, not_at_hand)
            }
            Err(error) => {
                self.refuse(Verdict::Invalid, error.code().snake(), error.to_string());
                Default::default()
            }
        }
    }

    /// A direct reference to the message, and in the manner of X-Road 8 to each attachment.
    fn one_by_one(&mut self, container: &Container, references: &[Reference]) -> (Vec<String>, Vec<String>) {
        if container.chain.is_some() {
            let text = "the container has a hash chain that its signature does not refer to";
            self.refuse(Verdict::Invalid, "chain_not_referenced", text);
        }
        let mut covered = Vec::new();
        match references.iter().find(|r| r.uri == MESSAGE) {
            Some(reference) if is_digest_of(reference, &container.message) => {
                covered.push(MESSAGE.to_owned())
            }
            Some(_) => {
                let text = "the message is not what was signed";
                self.refuse(Verdict::Invalid, FaultCode::InvalidSignatureValue.snake(), text);
            }
            None => {
                let text = "the signature covers neither the message nor a hash chain";
                self.refuse(Verdict::Invalid, FaultCode::MalformedSignature.snake(), text);
            }
        }
        for attachment in &container.attachments {
            let name = attachment_name(attachment);
            match references.iter().find(|r| r.uri == name) {
                Some(r) if attachment.digest(r.algorithm) == Some(&r.digest) => covered.push(name),
                Some(_) => {
                    let text = format!("{} is not what was signed", bare(&name));
                    self.refuse(Verdict::Invalid, FaultCode::InvalidSignatureValue.snake(), text);
                }
                None => {
                    let text = format!("{} is not covered by the signature", bare(&name));
                    self.refuse(Verdict::Invalid, "not_covered", text);
                }
            }
        }
        let mut missing = Vec::new();
        for reference in references.iter().filter(|r| r.uri != MESSAGE) {
            let there = container
                .attachments
                .iter()
                .any(|a| attachment_name(a) == reference.uri);
            if there {
                continue;
            }
            if is_attachment(&reference.uri) {
                missing.push(reference.uri.clone());
            } else {
                let text = format!(
                    "the signature refers to {}, which is no part of a message",
                    reference.uri
                );
                self.refuse(Verdict::Invalid, FaultCode::InvalidReference.snake(), text);
            }
        }
        (covered, missing)
    }
}

/// Evaluates the chain twice: once believing what it says about attachments, so that what it says is what was signed;
/// once with the attachments that are there. Both lead to one result only if they agree.
fn evaluate(container: &Container, result: &[u8], chain: &[u8]) -> Result<Vec<String>, ChainError> {
    let resolve = |name: &str| match name {
        SIGNATURE_CHAIN => Resolved::Octets(chain),
        MESSAGE => Resolved::Octets(&container.message),
        name if is_attachment(name) => Resolved::NotAtHand,
        _ => Resolved::Unknown,
    };
    let message = Input {
        name: MESSAGE,
        digest: None,
    };
    hash_chain::evaluate_with(result, &[message], &resolve)?;

    let names: Vec<String> = container.attachments.iter().map(attachment_name).collect();
    let attachments = container
        .attachments
        .iter()
        .zip(&names)
        .map(|(attachment, name)| {
            let digest = attachment.digest(DigestAlgorithm::Sha512);
            Input {
                name,
                digest: digest.map(|d| (DigestAlgorithm::Sha512, d)),
            }
        });
    let inputs: Vec<_> = std::iter::once(message).chain(attachments).collect();
    let Evaluated { mut not_at_hand } = hash_chain::evaluate_with(result, &inputs, &resolve)?;
    // An attachment that is there but is named with another algorithm than SHA-512 cannot be compared.
    if let Some(name) = not_at_hand.iter().find(|name| names.contains(name)) {
        return Err(ChainError::OtherDigest(name.clone()));
    }
    not_at_hand.sort();
    not_at_hand.dedup();
    Ok(not_at_hand)
}

fn is_digest_of(reference: &Reference, data: &[u8]) -> bool {
    digest(reference.algorithm, data).is_ok_and(|value| value == reference.digest)
}

fn attachment_name(attachment: &Attachment) -> String {
    format!("/attachment{}", attachment.number)
}

fn is_attachment(name: &str) -> bool {
    let digits = name.strip_prefix("/attachment");
    digits.is_some_and(|d| !d.is_empty() && !d.starts_with('0') && d.bytes().all(|b| b.is_ascii_digit()))
}

fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}
