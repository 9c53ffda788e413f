//! What a signature must be and cover (wire 4.5 to 4.7), seen from a foreign consumer's broken messages.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::crypto::sha512;
use kontor_pki::signing::{KeyAlgorithm, SignatureAlgorithm};

use super::{World, cases, fresh};
use crate::authority::{Foreign, OcspSays, Validity};
use crate::peer::consumer::Outgoing;
use crate::peer::{Cover, Signer};
use crate::wire::chain;
use crate::wire::parts;
use crate::wire::signature::{Draft, Form};

cases! {
    quick SIGNATURE_JAVA_FORM => java_form;
    quick SIGNATURE_EIGHT => eight;
    quick SIGNATURE_ALGORITHMS => algorithms;
    quick SIGNATURE_HEAD => head;
    quick SIGNATURE_BODY_FIRST => body_first;
    quick SIGNATURE_BODY_MIDDLE => body_middle;
    quick SIGNATURE_BODY_LAST => body_last;
    quick SIGNATURE_VALUE => value;
    quick SIGNATURE_PROPERTIES => properties;
    quick SIGNATURE_CHAIN => changed_chain;
    quick SIGNATURE_UNCOVERED => uncovered;
    quick SIGNATURE_UNCOVERED_CHAIN => uncovered_chain;
    quick SIGNATURE_WRONG_SIGNER => wrong_signer;
    quick SIGNATURE_EXPIRED => expired;
    quick SIGNATURE_REVOKED => revoked;
    quick SIGNATURE_OCSP_STALE => ocsp_stale;
    quick SIGNATURE_OCSP_FUTURE => ocsp_future;
    quick SIGNATURE_OCSP_MISSING => ocsp_missing;
    quick SIGNATURE_FOREIGN_CA => foreign_ca;
    quick SIGNATURE_AUTH_KEY => auth_key;
    quick SIGNATURE_SECOND => second;
    quick SIGNATURE_DUPLICATE_ID => duplicate_id;
    quick SIGNATURE_EXTRA_REFERENCE => extra_reference;
    quick SIGNATURE_SHA1 => sha1;
    quick SIGNATURE_DTD => dtd;
    quick SIGNATURE_CYCLE => cycle;
    quick SIGNATURE_DEPTH => depth;
}

const BROKEN: [&str; 4] = [
    "invalid_signature_value",
    "invalid_hash_chain",
    "invalid_hash_chain_ref",
    "invalid_reference",
];
const PATH: [&str; 4] = [
    "cannot_create_cert_path",
    "invalid_cert_path",
    "cert_validation",
    "incorrect_certificate",
];

const BODY: &[u8] = &[b'a'; 200_000];

/// A correct request with the long body.
fn with_body(world: &World, id: &str) -> Result<Outgoing> {
    world.signed(&world.ask("POST", "intake", "/echo", id).body(BODY))
}

/// A correct request without a body.
fn without_body(world: &World, id: &str) -> Result<Outgoing> {
    world.signed(&world.ask("POST", "intake", "/echo", id))
}

/// Asserts the refusal and that the fault says that the signature was the reason.
async fn refused(world: &World, outgoing: &Outgoing, id: &str, causes: &[&str]) -> Result<()> {
    let fault = world.beta_refuses(outgoing, id, causes).await?;
    ensure!(
        fault.has("signature_verification"),
        "not prefixed signature_verification (wire 4.7): {fault}"
    );
    Ok(())
}

fn flip(bytes: &mut [u8], at: usize) {
    bytes[at] ^= 0x20;
}

/// Changes one base64 character of the text between `open` and `close`.
fn change_text(document: &mut [u8], open: &str, close: &str) -> Result<()> {
    let text = String::from_utf8(document.to_vec())?;
    let start = text.find(open).context("the document has the element")? + open.len();
    let end = start + text[start..].find(close).context("the element ends")?;
    let at = start + (end - start) / 2;
    document[at] = if document[at] == b'A' { b'B' } else { b'A' };
    Ok(())
}

fn replace(document: &mut Vec<u8>, from: &str, to: &str) -> Result<()> {
    let text = String::from_utf8(document.clone())?;
    ensure!(text.contains(from), "the case expects {from} in the document");
    *document = text.replacen(from, to, 1).into_bytes();
    Ok(())
}

async fn java_form(world: &World) -> Result<()> {
    let id = fresh("java-form");
    let mut outgoing = without_body(world, &id)?;
    let digest = sha512(outgoing.parts.bytes_mut(parts::REST_REQUEST));
    let signer = &world.peer().signer;
    let ocsp = world
        .federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    let mut draft = signer.draft(None, digest, &[ocsp]);
    draft.form = Form::Java;
    *outgoing.parts.bytes_mut(parts::SIGNATURE) = signer.sign(&draft);
    outgoing.send(world.beta().federation()).await?.message()?;
    ensure!(
        world.service.calls(&id).len() == 1,
        "the service was not called once"
    );
    Ok(())
}

async fn eight(world: &World) -> Result<()> {
    let id = fresh("eight");
    let mut outgoing = with_body(world, &id)?;
    outgoing.parts.remove(parts::CHAIN_RESULT);
    outgoing.parts.remove(parts::CHAIN);
    let signer = &world.peer().signer;
    let ocsp = world
        .federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    let digest = sha512(outgoing.parts.bytes_mut(parts::REST_REQUEST));
    let mut draft = signer.draft(None, digest, &[ocsp]);
    draft.form = Form::Eight;
    draft.further = vec![("/attachment1".into(), sha512(BODY))];
    *outgoing.parts.bytes_mut(parts::SIGNATURE) = signer.sign(&draft);
    let answered = outgoing.send(world.beta().federation()).await?;
    answered.message().context("as X-Road 8 writes it")?;
    ensure!(world.service.calls(&id).len() == 1, "the service was not called");

    let changed = fresh("eight-changed");
    let mut ask = world.ask("POST", "intake", "/echo", &changed).body(BODY);
    ask.request_id.clone_from(&id);
    let mut outgoing = world.signed(&ask)?;
    outgoing.parts.remove(parts::CHAIN_RESULT);
    outgoing.parts.remove(parts::CHAIN);
    draft.digest = sha512(outgoing.parts.bytes_mut(parts::REST_REQUEST));
    *outgoing.parts.bytes_mut(parts::SIGNATURE) = signer.sign(&draft);
    flip(outgoing.parts.bytes_mut(parts::REST_BODY), BODY.len() / 2);
    refused(world, &outgoing, &changed, &BROKEN).await
}

async fn algorithms(world: &World) -> Result<()> {
    use SignatureAlgorithm as Is;
    let authority = world.federation.authority();
    let rsa = KeyAlgorithm::Rsa { bits: 3072 };
    let mut all = vec![
        (KeyAlgorithm::EcdsaP256, vec![Is::EcdsaSha256, Is::EcdsaSha384]),
        (KeyAlgorithm::EcdsaP384, vec![Is::EcdsaSha256, Is::EcdsaSha384]),
        (rsa, vec![Is::RsaSha256, Is::RsaSha384, Is::RsaSha512]),
        (rsa, vec![Is::RsaPssSha256, Is::RsaPssSha384, Is::RsaPssSha512]),
    ];
    let version = world.federation.subject().run(["--version"]).await?.out;
    if !version.contains("ring") {
        // What Java signs with by default, and ring cannot verify.
        all.push((KeyAlgorithm::EcdsaP256, vec![Is::EcdsaSha512]));
        all.push((KeyAlgorithm::EcdsaP384, vec![Is::EcdsaSha512]));
    }
    let send = async |signer: &Signer, document: &dyn Fn(&Draft) -> Vec<u8>| {
        let id = fresh("algorithm");
        let ocsp = authority.ocsp_of(&signer.certificate, OcspSays::Good)?;
        let mut outgoing = without_body(world, &id)?;
        let digest = sha512(outgoing.parts.bytes_mut(parts::REST_REQUEST));
        *outgoing.parts.bytes_mut(parts::SIGNATURE) = document(&signer.draft(None, digest, &[ocsp]));
        outgoing
            .send(world.beta().federation())
            .await?
            .message()
            .map(drop)
    };
    for (key, algorithms) in all {
        let signer = Signer::issue_by(key, authority, world.peer().member(), Validity::Now)?;
        for algorithm in algorithms {
            send(&signer, &|draft| signer.sign_by(algorithm, draft))
                .await
                .with_context(|| format!("{} by {key:?}", algorithm.name()))?;
        }
    }
    let signer = &world.peer().signer;
    send(signer, &|draft| signer.sign_shortest(draft))
        .await
        .context("an ECDSA value of 62 octets")
}

async fn head(world: &World) -> Result<()> {
    for body in [false, true] {
        let id = fresh("flip-head");
        let mut ask = world.ask("POST", "intake", "/echo?antrag=1", &id);
        if body {
            ask = ask.body("x");
        }
        let mut outgoing = world.signed(&ask)?;
        replace(
            outgoing.parts.bytes_mut(parts::REST_REQUEST),
            "antrag=1",
            "antrag=2",
        )?;
        refused(world, &outgoing, &id, &BROKEN).await?;
    }
    Ok(())
}

async fn flipped_body(world: &World, at: usize) -> Result<()> {
    let id = fresh("flip-body");
    let mut outgoing = with_body(world, &id)?;
    flip(outgoing.parts.bytes_mut(parts::REST_BODY), at);
    refused(world, &outgoing, &id, &BROKEN).await
}

async fn body_first(world: &World) -> Result<()> {
    flipped_body(world, 0).await
}

async fn body_middle(world: &World) -> Result<()> {
    flipped_body(world, BODY.len() / 2).await
}

async fn body_last(world: &World) -> Result<()> {
    flipped_body(world, BODY.len() - 1).await?;
    // A byte more or less is a change too.
    for change in [
        |body: &mut Vec<u8>| body.push(b'a'),
        |body: &mut Vec<u8>| body.truncate(BODY.len() - 1),
    ] {
        let id = fresh("body-length");
        let mut outgoing = with_body(world, &id)?;
        change(outgoing.parts.bytes_mut(parts::REST_BODY));
        refused(world, &outgoing, &id, &BROKEN).await?;
    }
    Ok(())
}

async fn value(world: &World) -> Result<()> {
    let id = fresh("flip-signature");
    let mut outgoing = without_body(world, &id)?;
    change_text(
        outgoing.parts.bytes_mut(parts::SIGNATURE),
        "<ds:SignatureValue Id=\"signature-value\">",
        "<",
    )?;
    refused(world, &outgoing, &id, &["invalid_signature_value"]).await
}

async fn properties(world: &World) -> Result<()> {
    let id = fresh("flip-property");
    let mut outgoing = without_body(world, &id)?;
    replace(
        outgoing.parts.bytes_mut(parts::SIGNATURE),
        "(version 1.2)",
        "(version 1.3)",
    )?;
    refused(
        world,
        &outgoing,
        &id,
        &["invalid_signature_value", "malformed_signature"],
    )
    .await
}

async fn changed_chain(world: &World) -> Result<()> {
    // The root no longer comes out.
    let id = fresh("flip-chain");
    let mut outgoing = world.signed(
        &world
            .ask("POST", "intake", "/echo", &id)
            .body("x")
            .cover(Cover::Batch),
    )?;
    change_text(
        outgoing.parts.bytes_mut(parts::CHAIN),
        "<hc:HashValue><DigestValue>",
        "<",
    )?;
    refused(
        world,
        &outgoing,
        &id,
        &["invalid_hash_chain", "malformed_hash_chain"],
    )
    .await?;
    // The signed result is another one.
    let id = fresh("flip-result");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/echo", &id).body("x"))?;
    let other = chain::single(&[("/message.xml", sha512(b"a")), ("/attachment1", sha512(b"b"))]);
    *outgoing.parts.bytes_mut(parts::CHAIN_RESULT) = other.result;
    refused(world, &outgoing, &id, &BROKEN).await
}

async fn uncovered(world: &World) -> Result<()> {
    let id = fresh("uncovered");
    let outgoing = world.signed(
        &world
            .ask("POST", "intake", "/echo", &id)
            .body("not signed")
            .cover(Cover::MessageOnly),
    )?;
    let causes = [
        "hashchain_unused_inputs",
        "malformed_signature",
        "invalid_reference",
        "invalid_signature_value",
    ];
    refused(world, &outgoing, &id, &causes).await
}

async fn uncovered_chain(world: &World) -> Result<()> {
    let id = fresh("uncovered-chain");
    let outgoing = world.signed(
        &world
            .ask("POST", "intake", "/echo", &id)
            .body("not signed")
            .cover(Cover::ChainOverMessageOnly),
    )?;
    refused(world, &outgoing, &id, &["hashchain_unused_inputs"]).await
}

async fn wrong_signer(world: &World) -> Result<()> {
    // The guest is a client of the same server, so that only the signature tells the two members apart.
    let id = fresh("wrong-signer");
    let ask = world.ask("POST", "intake", "/echo", &id).body("x");
    let outgoing = ask.sign(
        world.peer(),
        world.peer().guest("1004"),
        world.federation.authority(),
    )?;
    refused(world, &outgoing, &id, &["incorrect_certificate"]).await
}

async fn signed_with(world: &World, validity: Validity, says: OcspSays, causes: &[&str]) -> Result<()> {
    let id = fresh("certificate");
    let signer = Signer::issue(world.federation.authority(), world.peer().member(), validity)?;
    let mut ask = world.ask("POST", "intake", "/echo", &id).body("x");
    ask.signer_ocsp = says;
    refused(
        world,
        &ask.sign(world.peer(), &signer, world.federation.authority())?,
        &id,
        causes,
    )
    .await
}

async fn expired(world: &World) -> Result<()> {
    signed_with(world, Validity::Past, OcspSays::Good, &PATH).await?;
    signed_with(world, Validity::Future, OcspSays::Good, &PATH).await
}

async fn revoked(world: &World) -> Result<()> {
    signed_with(world, Validity::Now, OcspSays::Revoked, &["cert_validation"]).await?;
    signed_with(world, Validity::Now, OcspSays::Unknown, &["cert_validation"]).await
}

async fn ocsp_stale(world: &World) -> Result<()> {
    let day = Duration::from_secs(24 * 3600);
    signed_with(
        world,
        Validity::Now,
        OcspSays::Stale(day),
        &["incorrect_validation_info"],
    )
    .await
}

async fn ocsp_future(world: &World) -> Result<()> {
    let hour = Duration::from_secs(3600);
    signed_with(
        world,
        Validity::Now,
        OcspSays::Future(hour),
        &["incorrect_validation_info"],
    )
    .await
}

/// A request without body whose document `change` drafts anew.
async fn redrafted(
    world: &World,
    causes: &[&str],
    change: impl FnOnce(&Signer, [u8; 64], Vec<u8>) -> Result<Vec<u8>>,
) -> Result<()> {
    let id = fresh("redrafted");
    let mut outgoing = without_body(world, &id)?;
    let digest = sha512(outgoing.parts.bytes_mut(parts::REST_REQUEST));
    let signer = &world.peer().signer;
    let ocsp = world
        .federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    *outgoing.parts.bytes_mut(parts::SIGNATURE) = change(signer, digest, ocsp)?;
    refused(world, &outgoing, &id, causes).await
}

async fn ocsp_missing(world: &World) -> Result<()> {
    redrafted(world, &["malformed_signature"], |signer, digest, _| {
        Ok(signer.document(None, digest, &[]))
    })
    .await
}

async fn foreign_ca(world: &World) -> Result<()> {
    let id = fresh("foreign-ca");
    let foreign = Foreign::generate()?;
    let signer = Signer::foreign(&foreign, world.peer().member())?;
    let mut outgoing = without_body(world, &id)?;
    let digest = sha512(outgoing.parts.bytes_mut(parts::REST_REQUEST));
    let ocsp = foreign.ocsp_of(&signer.certificate)?;
    *outgoing.parts.bytes_mut(parts::SIGNATURE) = signer.document(None, digest, &[ocsp]);
    let causes = [
        "internal_error",
        "cannot_create_cert_path",
        "invalid_cert_path",
        "incorrect_certificate",
        "cert_validation",
        "incorrect_validation_info",
    ];
    refused(world, &outgoing, &id, &causes).await
}

async fn auth_key(world: &World) -> Result<()> {
    redrafted(
        world,
        &["malformed_signature", "incorrect_certificate"],
        |_, digest, _| {
            let authority = world.federation.authority();
            let signer = Signer::with_authentication(authority, "ss-gamma")?;
            let ocsp = authority.ocsp_of(&signer.certificate, OcspSays::Good)?;
            Ok(signer.document(None, digest, &[ocsp]))
        },
    )
    .await
}

async fn second(world: &World) -> Result<()> {
    redrafted(world, &["malformed_signature"], |signer, digest, ocsp| {
        let document = String::from_utf8(signer.document(None, digest, &[ocsp]))?;
        let start = document
            .find("<ds:Signature ")
            .context("the document has a signature")?;
        let end = document
            .rfind("</asic:XAdESSignatures>")
            .context("the document ends")?;
        let copy = document[start..end].replace("signature", "signature2");
        Ok(format!("{}{copy}{}", &document[..end], &document[end..]).into_bytes())
    })
    .await
}

async fn duplicate_id(world: &World) -> Result<()> {
    // No paper says which of the two it is.
    redrafted(
        world,
        &["malformed_signature", "invalid_signature_value"],
        |signer, digest, ocsp| {
            let mut document = signer.document(None, digest, &[ocsp]);
            replace(
                &mut document,
                "Id=\"ocsp-response-1\"",
                "Id=\"signed-properties\"",
            )?;
            Ok(document)
        },
    )
    .await
}

async fn extra_reference(world: &World) -> Result<()> {
    let causes = [
        "malformed_signature",
        "invalid_reference",
        "invalid_signature_value",
    ];
    for uri in ["/attachment1", "/message.xml", "/other", "#signature-value"] {
        redrafted(world, &causes, |signer, digest, ocsp| {
            let mut draft = signer.draft(None, digest, &[ocsp]);
            draft.further.push((uri.into(), sha512(b"")));
            Ok(signer.sign(&draft))
        })
        .await
        .with_context(|| format!("with a further reference to {uri}"))?;
    }
    Ok(())
}

async fn sha1(world: &World) -> Result<()> {
    redrafted(
        world,
        &[
            "malformed_signature",
            "invalid_signature_value",
            "unsupported_sign_algorithm",
        ],
        |signer, digest, ocsp| {
            let mut draft = signer.draft(None, digest, &[ocsp]);
            draft.algorithm = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1".into();
            Ok(signer.sign(&draft))
        },
    )
    .await
}

async fn dtd(world: &World) -> Result<()> {
    redrafted(
        world,
        &["malformed_signature", "invalid_xml"],
        |signer, digest, ocsp| {
            let mut document = signer.document(None, digest, &[ocsp]);
            replace(
                &mut document,
                "<asic:XAdESSignatures",
                "<!DOCTYPE x [<!ENTITY e \"e\">]><asic:XAdESSignatures",
            )?;
            Ok(document)
        },
    )
    .await?;
    // The same in the chain.
    let id = fresh("dtd-chain");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/echo", &id).body("x"))?;
    replace(
        outgoing.parts.bytes_mut(parts::CHAIN),
        "<hc:HashChain ",
        "<!DOCTYPE x><hc:HashChain ",
    )?;
    refused(world, &outgoing, &id, &["malformed_hash_chain"]).await
}

async fn cycle(world: &World) -> Result<()> {
    let id = fresh("cycle");
    let outgoing = world.signed(
        &world
            .ask("POST", "intake", "/echo", &id)
            .body("x")
            .cover(Cover::Cycle),
    )?;
    refused(
        world,
        &outgoing,
        &id,
        &["malformed_hash_chain", "invalid_hash_chain"],
    )
    .await
}

async fn depth(world: &World) -> Result<()> {
    // Deep, but within what a batch may need: accepted.
    let id = fresh("deep");
    world
        .signed(
            &world
                .ask("POST", "intake", "/echo", &id)
                .body("x")
                .cover(Cover::Deep(20)),
        )?
        .send(world.beta().federation())
        .await?
        .message()?;
    let id = fresh("too-deep");
    let outgoing = world.signed(
        &world
            .ask("POST", "intake", "/echo", &id)
            .body("x")
            .cover(Cover::Deep(250)),
    )?;
    refused(
        world,
        &outgoing,
        &id,
        &["malformed_hash_chain", "invalid_hash_chain"],
    )
    .await?;
    let text = BASE64_STANDARD.encode(b"still there");
    let id = fresh("after-deep");
    world
        .signed(&world.ask("POST", "intake", "/echo", &id).body(text))?
        .send(world.beta().federation())
        .await?
        .message()
        .map(drop)
}
