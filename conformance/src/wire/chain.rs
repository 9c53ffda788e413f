//! Hash chains as the tester writes them: DigestList by hand, documents by template.
//!
//! Owns the bytes of wire 4.3 and 4.4 for what the suite sends; refuses nothing, because broken chains are cases too.

use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::crypto::sha512;

const SHA512_URI: &str = "http://www.w3.org/2001/04/xmlenc#sha512";
const OPEN: &str = "<hc:HashChain xmlns:hc=\"http://cyber.ee/hashchain\" xmlns=\"http://www.w3.org/2000/09/xmldsig#\">\
    <hc:DefaultDigestMethod Algorithm=\"http://www.w3.org/2001/04/xmlenc#sha512\"/>";

/// A signed part: its name (`/message.xml`, `/attachment1`) and digest.
pub type Digested<'a> = (&'a str, [u8; 64]);

/// One message's chain and the result that is signed.
#[derive(Clone, Debug)]
pub struct ChainPair {
    pub result: Vec<u8>,
    pub chain: Vec<u8>,
}

/// DER of a list of SHA-512 digests (wire 4.3).
pub fn digest_list(digests: &[[u8; 64]]) -> Vec<u8> {
    let mut items = Vec::new();
    for digest in digests {
        items.extend_from_slice(&[0x30, 0x6d, 0x04, 0x40]);
        items.extend_from_slice(digest);
        items.extend_from_slice(&[0x0c, 0x27]);
        items.extend_from_slice(SHA512_URI.as_bytes());
        items.extend_from_slice(&[0x30, 0x00]);
    }
    let mut der = vec![0x30];
    match items.len() {
        short @ 0..=0x7f => der.push(short as u8),
        medium @ 0x80..=0xff => der.extend_from_slice(&[0x81, medium as u8]),
        long => der.extend_from_slice(&[0x82, (long >> 8) as u8, long as u8]),
    }
    der.extend_from_slice(&items);
    der
}

/// The digest of a step over `digests`.
pub fn step(digests: &[[u8; 64]]) -> [u8; 64] {
    sha512(&digest_list(digests))
}

/// Chain of a message that is signed alone: one step with all its parts (wire 4.4 rule 2).
pub fn single(parts: &[Digested<'_>]) -> ChainPair {
    let digests: Vec<_> = parts.iter().map(|(_, digest)| *digest).collect();
    let mut chain = format!("{OPEN}<hc:HashStep id=\"STEP0\">");
    for (name, digest) in parts {
        chain.push_str(&data_ref(name, digest));
    }
    chain.push_str("</hc:HashStep></hc:HashChain>");
    ChainPair {
        result: result(&step(&digests)),
        chain: chain.into_bytes(),
    }
}

/// Chain of a message that is signed in a batch with one other request, whose value is `other`: this one is the right
/// child (wire 4.4 rules 3 and 4).
pub fn second_of_two(other: [u8; 64], parts: &[Digested<'_>]) -> ChainPair {
    let digests: Vec<_> = parts.iter().map(|(_, digest)| *digest).collect();
    let (own, item, last) = if let [(name, digest)] = parts {
        (*digest, data_ref(name, digest), String::new())
    } else {
        let refs: String = parts
            .iter()
            .map(|(name, digest)| data_ref(name, digest))
            .collect();
        let last = format!("<hc:HashStep id=\"STEP1\">{refs}</hc:HashStep>");
        (step(&digests), "<hc:StepRef URI=\"#STEP1\"/>".to_owned(), last)
    };
    let chain = format!(
        "{OPEN}<hc:HashStep id=\"STEP0\"><hc:HashValue><DigestValue>{}</DigestValue></hc:HashValue>{item}</hc:HashStep>{last}</hc:HashChain>",
        BASE64_STANDARD.encode(other)
    );
    ChainPair {
        result: result(&step(&[other, own])),
        chain: chain.into_bytes(),
    }
}

/// A chain whose steps refer to each other in a circle, beside the message's own parts.
pub fn cycle(parts: &[Digested<'_>]) -> ChainPair {
    let refs: String = parts
        .iter()
        .map(|(name, digest)| data_ref(name, digest))
        .collect();
    let chain = format!(
        "{OPEN}<hc:HashStep id=\"STEP0\">{refs}<hc:StepRef URI=\"#STEP1\"/></hc:HashStep>\
         <hc:HashStep id=\"STEP1\"><hc:StepRef URI=\"#STEP0\"/></hc:HashStep></hc:HashChain>"
    );
    ChainPair {
        result: result(&[7; 64]),
        chain: chain.into_bytes(),
    }
}

/// A correct chain that reaches the parts only after `depth` steps.
pub fn deep(parts: &[Digested<'_>], depth: usize) -> ChainPair {
    let digests: Vec<_> = parts.iter().map(|(_, digest)| *digest).collect();
    let mut chain = OPEN.to_owned();
    for level in 0..depth {
        chain.push_str(&format!(
            "<hc:HashStep id=\"STEP{level}\"><hc:StepRef URI=\"#STEP{}\"/></hc:HashStep>",
            level + 1
        ));
    }
    let refs: String = parts
        .iter()
        .map(|(name, digest)| data_ref(name, digest))
        .collect();
    chain.push_str(&format!(
        "<hc:HashStep id=\"STEP{depth}\">{refs}</hc:HashStep></hc:HashChain>"
    ));
    let mut value = step(&digests);
    for _ in 0..depth {
        value = step(&[value]);
    }
    ChainPair {
        result: result(&value),
        chain: chain.into_bytes(),
    }
}

/// The document that names the root.
pub fn result(root: &[u8; 64]) -> Vec<u8> {
    format!(
        "<hc:HashChainResult xmlns:hc=\"http://cyber.ee/hashchain\" xmlns=\"http://www.w3.org/2000/09/xmldsig#\" \
         URI=\"/sig-hashchain.xml#STEP0\"><DigestMethod Algorithm=\"{SHA512_URI}\"/><DigestValue>{}</DigestValue></hc:HashChainResult>",
        BASE64_STANDARD.encode(root)
    )
    .into_bytes()
}

fn data_ref(name: &str, digest: &[u8; 64]) -> String {
    format!(
        "<hc:DataRef URI=\"{name}\"><DigestValue>{}</DigestValue></hc:DataRef>",
        BASE64_STANDARD.encode(digest)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(root: [u8; 64]) -> String {
        BASE64_STANDARD.encode(root)
    }

    // Worked example of wire 4.4.
    #[test]
    fn the_roots_of_the_paper_come_out() {
        let [a, b, c] = [b"A", b"B", b"C"].map(|part| sha512(part));
        assert_eq!(
            text(step(&[a, b])),
            "ZCj9okoflXEqFmkSzyQ2lFObp6IlDzLaVoNXKo4P7N5a5ZI8oo1D4UxnP6uMVau1igtWazoTXqT4XPYy2fIeDA=="
        );
        assert_eq!(
            text(step(&[a, b, c])),
            "DVBkhOC6DDODo/d20C9a+gIwWy4Hib+8B+C8v2+PHXGclX/Ytczw6GijV2JSEhWARavIIBXBHZJXXjLbd7AemQ=="
        );
        assert_eq!(
            text(step(&[step(&[a, b]), c])),
            "xLV3ZeH+7qKbUELETXRbkJBAbMBRVs+BXFErCyPtzqxrG3Gx7I7N9cYaaVg9NBBp1fx5NfgcP8wICThtKs6BEw=="
        );
        assert_eq!(digest_list(&[a, b]).len(), 225);
        assert_eq!(digest_list(&[a, b, c]).len(), 337);
    }
}
