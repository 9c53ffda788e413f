//! Evidence and signatures of a node, judged by something else than the node: `kontor verify` as a process of its own, and
//! other people's tools (xmlsec1, openssl) where the machine has them.
//!
//! Owns the export and the questions asked; refuses to verify with the code that signed. Where a tool is missing, what it
//! would have judged is said aloud, not passed over.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha512;
use kontor_protocol::hash_chain::{self, PartDigest};

use crate::authority::{Authority, pem};
use crate::federation::Node;
use crate::subject::{Said, Subject};
use crate::wire::parts::{self, Parts};

/// Exports the evidence of an exchange from a node into `out` and gives the containers.
pub async fn export(subject: &Subject, node: &Node, query_id: &str, out: &Path) -> Result<Vec<PathBuf>> {
    let said = try_export(subject, node, query_id, out).await?;
    ensure!(
        said.code == Some(0),
        "log export on {} ends with {:?}: {}{}",
        node.name(),
        said.code,
        said.out,
        said.err
    );
    containers(out)
}

/// Asserts that a node's log gives out request and response of an exchange, without asking for time-stamps: the cheap
/// question where thousands are looked for.
pub async fn is_present(subject: &Subject, node: &Node, query_id: &str, out: &Path) -> Result<()> {
    let said = ask_export(subject, node, query_id, out, &["--unstamped"]).await?;
    let found = containers(out)?.len();
    ensure!(
        said.code == Some(0) && found == 2,
        "{} gives out {found} containers instead of request and response: {}{}",
        node.name(),
        said.out,
        said.err
    );
    Ok(())
}

/// The same as [`export`] without judging how the command ended.
pub async fn try_export(subject: &Subject, node: &Node, query_id: &str, out: &Path) -> Result<Said> {
    ask_export(subject, node, query_id, out, &[]).await
}

async fn ask_export(
    subject: &Subject,
    node: &Node,
    query_id: &str,
    out: &Path,
    more: &[&str],
) -> Result<Said> {
    std::fs::create_dir_all(out)?;
    let config = node.config().as_os_str();
    let arguments = [
        "log".as_ref(),
        "export".as_ref(),
        "--config".as_ref(),
        config,
        "--query-id".as_ref(),
        query_id.as_ref(),
        "--out".as_ref(),
        out.as_os_str(),
    ];
    subject
        .run(arguments.into_iter().chain(more.iter().map(OsStr::new)))
        .await
}

/// The containers in a directory, in order of their names.
pub fn containers(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "asice") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What `kontor verify --json` said about one container.
#[derive(Debug)]
pub struct Verdict {
    pub code: Option<i32>,
    pub verdict: String,
    pub said: Said,
}

/// Verifies one container with the trust data in `trust`.
pub async fn verify(subject: &Subject, container: &Path, trust: &Path) -> Result<Verdict> {
    let arguments = [
        "verify".as_ref(),
        container.as_os_str(),
        "--trust".as_ref(),
        trust.as_os_str(),
        "--json".as_ref(),
    ];
    let said = subject.run(arguments).await?;
    ensure!(
        !said.err.contains("panicked"),
        "kontor verify panicked: {}",
        said.err
    );
    let line = said.out.lines().find(|line| line.starts_with('{'));
    let document: serde_json::Value = match line {
        Some(line) => serde_json::from_str(line).with_context(|| format!("verdict is no JSON: {line}"))?,
        None => serde_json::from_str(&said.out)
            .with_context(|| format!("no verdict: {}{}", said.out, said.err))?,
    };
    let verdict = document
        .get("verdict")
        .and_then(|value| value.as_str())
        .unwrap_or_default()
        .to_owned();
    Ok(Verdict {
        code: said.code,
        verdict,
        said,
    })
}

/// Asserts that both nodes hold valid evidence of request and response of an exchange, and gives the containers.
pub async fn both_sides(
    subject: &Subject,
    nodes: [&Node; 2],
    query_id: &str,
    out: &Path,
) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for node in nodes {
        let dir = out.join(node.name());
        let found = export(subject, node, query_id, &dir).await?;
        ensure!(
            found.len() == 2,
            "{} exports {} containers of an exchange instead of request and response",
            node.name(),
            found.len()
        );
        for container in found {
            let verdict = verify(subject, &container, &node.trust()).await?;
            ensure!(
                verdict.code == Some(0) && verdict.verdict == "valid",
                "{}: {}{}",
                container.display(),
                verdict.said.out,
                verdict.said.err
            );
            let leaf = PathBuf::from(container.to_string_lossy().replace(".asice", ".leaf.json"));
            ensure!(
                leaf.is_file(),
                "{} has no companion leaf (evidence 1)",
                container.display()
            );
            all.push(container);
        }
    }
    Ok(all)
}

/// Judges the signature of a whole message: XML signature by xmlsec1, chain by evaluation, certificate by openssl.
pub fn judge_signature(all: &Parts, authority: &Authority) -> Result<()> {
    let document = &all
        .find(parts::SIGNATURE)
        .ok_or_else(|| anyhow!("no signature part"))?
        .bytes;
    let text = std::str::from_utf8(document).context("the signature document is UTF-8")?;
    let message = all
        .0
        .iter()
        .find(|part| [parts::REST_REQUEST, parts::REST_RESPONSE].contains(&part.content_type.as_str()));
    let message = message.ok_or_else(|| anyhow!("no message part"))?;
    let mut inputs = vec![PartDigest::message(sha512(&message.bytes))];
    if let Some(body) = all.find(parts::REST_BODY) {
        inputs.push(PartDigest::attachment(1, sha512(&body.bytes)));
    }
    let chain = all.find(parts::CHAIN_RESULT).zip(all.find(parts::CHAIN));
    let (uri, signed) = match chain {
        None => {
            ensure!(inputs.len() == 1, "a body without a hash chain (wire 4.2)");
            ("/message.xml", &message.bytes)
        }
        Some((result, chain)) => {
            hash_chain::evaluate(&result.bytes, &chain.bytes, "/sig-hashchain.xml", &inputs)
                .map_err(|error| anyhow!("hash chain: {error}"))?;
            ("/sig-hashchainresult.xml", &result.bytes)
        }
    };
    ensure!(
        text.contains(&format!("URI=\"{uri}\"")),
        "the signature does not refer to {uri}"
    );
    ensure!(
        text.contains(&BASE64_STANDARD.encode(sha512(signed))),
        "the digest of {uri} is not in the signature"
    );
    let certificate = between(text, "<ds:X509Certificate>", "</ds:X509Certificate>")?;
    let certificate = Certificate::parse(
        &BASE64_STANDARD.decode(certificate.replace(['\r', '\n'], "").replace("&#13;", ""))?,
    )?;
    judge_certificate(&certificate, authority)?;
    judge_xml(document, uri, signed, &certificate)
}

/// Judges an exported container: its signature as that of a message, its time-stamp by openssl (wire 5.2, 6.5).
pub fn judge_container(container: &Path, authority: &Authority) -> Result<()> {
    let mut all = Parts::default();
    let entries = [
        ("message.xml", parts::REST_REQUEST),
        ("attachment1", parts::REST_BODY),
        ("sig-hashchainresult.xml", parts::CHAIN_RESULT),
        ("sig-hashchain.xml", parts::CHAIN),
        ("META-INF/signatures.xml", parts::SIGNATURE),
    ];
    for (name, content_type) in entries {
        if let Ok(bytes) = entry(container, name) {
            all.push(content_type, bytes);
        }
    }
    judge_signature(&all, authority)?;
    let document = String::from_utf8(entry(container, "META-INF/signatures.xml")?)?;
    let decode = |text: &str| BASE64_STANDARD.decode(text.split_ascii_whitespace().collect::<String>());
    let token = decode(between(
        &document,
        "<xades:EncapsulatedTimeStamp>",
        "</xades:EncapsulatedTimeStamp>",
    )?)?;
    let stamped = decode(between(
        &document,
        "<ds:SignatureValue Id=\"signature-value\">",
        "</ds:SignatureValue>",
    )?)?;
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("token.der"), token)?;
    std::fs::write(file("stamped"), stamped)?;
    std::fs::write(file("ca.pem"), pem(authority.ca_certificate().der()))?;
    let mut command = Command::new("openssl");
    command
        .args(["ts", "-verify", "-token_in", "-in"])
        .arg(file("token.der"));
    command
        .arg("-data")
        .arg(file("stamped"))
        .arg("-CAfile")
        .arg(file("ca.pem"));
    judged_by("openssl", &mut command, |said| said.contains("Verification: OK"))
}

/// The bytes of one entry of a container.
pub fn entry(container: &Path, name: &str) -> Result<Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(container)?)?;
    let mut bytes = Vec::new();
    let mut found = archive
        .by_name(name)
        .with_context(|| format!("{} has no {name}", container.display()))?;
    found.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Result<&'a str> {
    let (_, rest) = text
        .split_once(open)
        .ok_or_else(|| anyhow!("no {open} in the signature document"))?;
    rest.split_once(close)
        .map(|(inner, _)| inner)
        .ok_or_else(|| anyhow!("{open} does not end"))
}

/// Judges an XML signature by xmlsec1: the document, and the one thing outside of it that it refers to.
pub fn judge_xml(document: &[u8], uri: &str, signed: &[u8], certificate: &Certificate) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let write = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
        let path = dir.path().join(name);
        std::fs::File::create(&path)?.write_all(bytes)?;
        Ok(path)
    };
    let document = write("signatures.xml", document)?;
    let signed = write("signed", signed)?;
    let certificate = write("signer.pem", pem(certificate.der()).as_bytes())?;
    let mut command = Command::new("xmlsec1");
    command
        .args([
            "--verify",
            "--enabled-reference-uris",
            "empty,same-doc,local,remote",
        ])
        .args([
            "--id-attr:Id",
            "http://uri.etsi.org/01903/v1.3.2#:SignedProperties",
        ])
        .arg("--pubkey-cert-pem")
        .arg(&certificate)
        .arg(format!("--url-map:{uri}"))
        .arg(&signed)
        .arg(&document);
    judged_by("xmlsec1", &mut command, |_| true)
}

fn judge_certificate(certificate: &Certificate, authority: &Authority) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let (leaf, ca) = (dir.path().join("leaf.pem"), dir.path().join("ca.pem"));
    std::fs::write(&leaf, pem(certificate.der()))?;
    std::fs::write(&ca, pem(authority.ca_certificate().der()))?;
    judged_by(
        "openssl",
        Command::new("openssl")
            .args(["verify", "-CAfile"])
            .arg(ca)
            .arg(leaf),
        |said| said.contains(": OK"),
    )
}

/// Judges an OCSP response about `certificate` by openssl: signature, responder, status.
pub fn judge_ocsp(response: &[u8], certificate: &Certificate, authority: &Authority) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = |name: &str| dir.path().join(name);
    std::fs::write(file("response.der"), response)?;
    std::fs::write(file("leaf.pem"), pem(certificate.der()))?;
    std::fs::write(file("ca.pem"), pem(authority.ca_certificate().der()))?;
    std::fs::write(
        file("responder.pem"),
        pem(authority.responder_certificate().der()),
    )?;
    let mut command = Command::new("openssl");
    command
        .args(["ocsp", "-no_nonce", "-respin"])
        .arg(file("response.der"));
    command
        .arg("-issuer")
        .arg(file("ca.pem"))
        .arg("-cert")
        .arg(file("leaf.pem"));
    command
        .arg("-CAfile")
        .arg(file("ca.pem"))
        .arg("-verify_other")
        .arg(file("responder.pem"));
    judged_by("openssl", &mut command, |said| {
        said.contains("Response verify OK") && said.contains("leaf.pem: good")
    })
}

/// The bytes of the first part of a multipart answer.
pub fn first_part(content_type: &str, body: &[u8]) -> Result<Vec<u8>> {
    let boundary = content_type
        .split("boundary=")
        .nth(1)
        .ok_or_else(|| anyhow!("no boundary in {content_type}"))?;
    let boundary = boundary
        .split(';')
        .next()
        .unwrap_or(boundary)
        .trim()
        .trim_matches('"');
    let position = |from: usize, needle: &[u8]| {
        body[from..]
            .windows(needle.len())
            .position(|window| window == needle)
            .map(|at| from + at)
    };
    let open = format!("--{boundary}\r\n");
    let start = position(0, open.as_bytes()).ok_or_else(|| anyhow!("no part"))?;
    let start = position(start, b"\r\n\r\n").ok_or_else(|| anyhow!("a part without end of headers"))? + 4;
    let end = position(start, format!("\r\n--{boundary}").as_bytes())
        .ok_or_else(|| anyhow!("a part without end"))?;
    Ok(body[start..end].to_vec())
}

static MISSING: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());

fn judged_by(tool: &'static str, command: &mut Command, agrees: impl FnOnce(&str) -> bool) -> Result<()> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if MISSING.lock().expect("no holder of the list panics").insert(tool) {
                crate::report::say(format_args!(
                    "SKIPPED: what {tool} would judge is not judged, because it is not installed"
                ));
            }
            return Ok(());
        }
        Err(error) => return Err(error).with_context(|| format!("starting {tool}")),
    };
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if !output.status.success() || !agrees(&said) {
        bail!("{tool} does not agree: {said}");
    }
    Ok(())
}
