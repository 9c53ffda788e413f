//! Hash chains that X-Road's own tests hold (wire 12.2, 12.3).

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use kontor_pki::crypto::{DigestAlgorithm, sha512};
use kontor_protocol::fault::FaultCode;
use kontor_protocol::hash_chain::{
    ChainError, Input, MESSAGE, PartDigest, Resolved, SIGNATURE_CHAIN, evaluate, evaluate_with,
};

/// The folder of recorded files; `None`, and loud, where this checkout has none.
fn upstream(folder: &str) -> Option<PathBuf> {
    let path = Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../shared/vectors/xroad/upstream/src"
    ))
    .join(folder);
    if !path.is_dir() {
        eprintln!("SKIPPED: hash chains of upstream are not evaluated, needs ../shared");
        return None;
    }
    Some(path)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).expect("a recorded file can be read")
}

const MESSAGES: &str = "common/common-message/src/test/resources";

struct Files {
    folder: PathBuf,
    cache: HashMap<String, Vec<u8>>,
}

impl Files {
    fn new(names: &[(&str, &str)]) -> Option<Self> {
        let folder = upstream(MESSAGES)?;
        let cache = names
            .iter()
            .map(|(name, file)| ((*name).to_owned(), read(&folder.join(format!("hc-{file}.xml")))))
            .collect();
        Some(Self { folder, cache })
    }

    fn check(&self, result: &str, inputs: &[Input<'_>]) -> Result<(), ChainError> {
        let result = read(&self.folder.join(format!("hc-{result}.xml")));
        let resolve = |name: &str| match self.cache.get(name) {
            Some(octets) => Resolved::Octets(octets),
            None => Resolved::Unknown,
        };
        evaluate_with(&result, inputs, &resolve).map(|_| ())
    }
}

const RESOLVE_MESSAGE: Input<'static> = Input {
    name: MESSAGE,
    digest: None,
};

fn given<'a>(name: &'a str, digest: &'a [u8]) -> Input<'a> {
    Input {
        name,
        digest: Some((DigestAlgorithm::Sha256, digest)),
    }
}

#[test]
fn verifier_1_takes_the_message_as_data_or_as_digest() {
    let Some(files) = Files::new(&[
        ("/hashchain.xml", "verifier1-hashchain"),
        (MESSAGE, "verifier1-message"),
    ]) else {
        return;
    };
    let result = "verifier1-hashchainresult";
    assert_eq!(files.check(result, &[RESOLVE_MESSAGE]), Ok(()));
    let message = kontor_pki::crypto::sha256(&files.cache[MESSAGE]);
    assert_eq!(files.check(result, &[given(MESSAGE, &message)]), Ok(()));
    assert_eq!(
        files.check(result, &[]),
        Ok(()),
        "data that is no input is resolved too"
    );
    let unused = files
        .check(result, &[RESOLVE_MESSAGE, given("/foo", &[1])])
        .unwrap_err();
    assert_eq!(unused.code(), FaultCode::HashChainUnusedInputs);
    let other = files.check(result, &[given(MESSAGE, &[1, 2, 3])]).unwrap_err();
    assert_eq!(other.code(), FaultCode::InvalidHashChain);
}

#[test]
fn verifier_2_takes_digests_of_any_length_and_needs_no_attachments() {
    let Some(files) = Files::new(&[("/hashchain.xml", "verifier2-hashchain")]) else {
        return;
    };
    let inputs = [
        given(MESSAGE, &[11]),
        given("/attachment1", &[12]),
        given("/attachment2", &[13]),
        given("/attachment3", &[14]),
    ];
    assert_eq!(files.check("verifier2-hashchainresult", &inputs), Ok(()));
    let missing = files
        .check("verifier2-hashchainresult", &inputs[..3])
        .unwrap_err();
    assert_eq!(missing.code(), FaultCode::InvalidReference);
}

#[test]
fn verifier_3_transforms_data_before_it_is_hashed() {
    let names = [
        ("/hashchain.xml", "verifier3-hashchain"),
        (MESSAGE, "verifier3-message"),
    ];
    let Some(files) = Files::new(&names) else { return };
    assert_eq!(
        files.check("verifier3-hashchainresult", &[RESOLVE_MESSAGE]),
        Ok(())
    );
    let names = [
        ("/hashchain.xml", "verifier3-hashchain-invalid"),
        (MESSAGE, "verifier3-message"),
    ];
    let files = Files::new(&names).unwrap();
    let without = files
        .check("verifier3-hashchainresult", &[RESOLVE_MESSAGE])
        .unwrap_err();
    assert_eq!(without.code(), FaultCode::InvalidHashChainRef);
}

#[test]
fn verifier_4_follows_a_chain_into_another_document() {
    let names = [
        ("/hashchain.xml", "verifier4-hashchain1"),
        ("/hashchain2.xml", "verifier4-hashchain2"),
        (MESSAGE, "verifier4-message"),
    ];
    let Some(files) = Files::new(&names) else { return };
    assert_eq!(
        files.check("verifier4-hashchainresult", &[RESOLVE_MESSAGE]),
        Ok(())
    );
    let files = Files::new(&[names[0], names[2]]).unwrap();
    let missing = files
        .check("verifier4-hashchainresult", &[RESOLVE_MESSAGE])
        .unwrap_err();
    assert_eq!(missing, ChainError::Unresolvable("/hashchain2.xml".to_owned()));
}

#[test]
fn verifier_5_is_against_the_schema() {
    let names = [
        ("/hashchain.xml", "verifier5-hashchain-invalid-schema"),
        (MESSAGE, "verifier1-message"),
    ];
    let Some(files) = Files::new(&names) else { return };
    let error = files
        .check("verifier1-hashchainresult", &[RESOLVE_MESSAGE])
        .unwrap_err();
    assert_eq!(error.code(), FaultCode::MalformedHashChain);
}

#[test]
fn the_batch_that_java_made_leads_to_its_result() {
    let Some(folder) = upstream("lib/globalconf-impl/src/test/signatures") else {
        return;
    };
    let file = |name: &str| read(&folder.join(name));
    let parts = [
        PartDigest::message(sha512(&file("message-1.xml"))),
        PartDigest::attachment(1, sha512(b"blaah")),
    ];
    let result = file("hash-chain-result.xml");
    assert_eq!(
        evaluate(&result, &file("hash-chain-1.xml"), SIGNATURE_CHAIN, &parts),
        Ok(())
    );
    assert!(evaluate(&result, &file("hash-chain-2.xml"), SIGNATURE_CHAIN, &parts).is_err());
    assert!(evaluate(&result, &file("hash-chain-1.xml"), SIGNATURE_CHAIN, &parts[..1]).is_err());
}
