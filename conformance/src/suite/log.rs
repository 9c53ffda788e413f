//! What the message log proves, and what it must not hold (wire 6.5; architecture decisions 1.4 and 1.6).

use std::io::{Cursor, Read, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow, ensure};
use http_body_util::Full;
use kontor_pki::crypto::random;

use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::evidence;
use crate::federation::Federation;
use crate::plan::{INSTANCE, NodePlan, ServicePlan};
use crate::service::Service;
use crate::wire::parts;

cases! {
    quick LOG_EVIDENCE => evidence_of_both;
    quick LOG_TAMPERED => tampered;
    quick LOG_REFUSED => refused;
    quick LOG_RECEIPT_FIRST => receipt_first;
}

async fn evidence_of_both(world: &World) -> Result<()> {
    let out = tempfile::tempdir()?;
    for (word, body) in [("post", "ein Antrag"), ("get", "")] {
        let id = fresh(word);
        is_served(
            &world
                .send_with("POST", &world.at_beta("intake", "/echo"), &id, body)
                .await?,
        )?;
        let nodes = [world.alpha(), world.beta()];
        let containers =
            evidence::both_sides(world.federation.subject(), nodes, &id, &out.path().join(word)).await?;
        // What is proven is what was sent.
        let body_entries = containers
            .iter()
            .filter(|path| evidence::entry(path, "attachment1").is_ok_and(|found| found == body.as_bytes()));
        let expected = if body.is_empty() { 0 } else { 4 };
        ensure!(
            body.is_empty() || body_entries.count() == expected,
            "the body is not in all four containers"
        );
        for container in &containers {
            let message = String::from_utf8(evidence::entry(container, "message.xml")?)?;
            ensure!(
                message.contains(&id),
                "{} proves another message",
                container.display()
            );
        }
    }
    Ok(())
}

async fn tampered(world: &World) -> Result<()> {
    let out = tempfile::tempdir()?;
    let subject = world.federation.subject();
    let id = fresh("tampered");
    is_served(
        &world
            .send_with(
                "POST",
                &world.at_beta("intake", "/echo"),
                &id,
                "ein Antrag".repeat(50),
            )
            .await?,
    )?;
    let containers = evidence::export(subject, world.beta(), &id, out.path()).await?;
    let container = containers
        .first()
        .ok_or_else(|| anyhow!("nothing was exported"))?;
    let trust = world.beta().trust();
    let changed = out.path().join("changed.asice");

    // One byte of each entry that is signed or stamped: never valid.
    let text = |name: &str| evidence::entry(container, name);
    let signatures = String::from_utf8(text("META-INF/signatures.xml")?)?;
    let value = signatures
        .find("signature-value\">")
        .ok_or_else(|| anyhow!("no signature value"))?
        + 40;
    let property = signatures
        .find("(version 1.2)")
        .ok_or_else(|| anyhow!("no signed property"))?
        + 10;
    let mut spots = vec![
        ("META-INF/signatures.xml", value),
        ("META-INF/signatures.xml", property),
    ];
    for name in [
        "message.xml",
        "attachment1",
        "sig-hashchainresult.xml",
        "sig-hashchain.xml",
    ] {
        if let Ok(bytes) = text(name) {
            // In the chain, a character of a digest.
            let at = find(&bytes, b"DigestValue>").map_or(bytes.len() / 2, |at| at + 30);
            spots.push((name, at));
        }
    }
    for (name, at) in spots {
        rewrite(container, &changed, name, |bytes| {
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' }
        })?;
        let verdict = evidence::verify(subject, &changed, &trust).await?;
        ensure!(
            verdict.code == Some(1) && verdict.verdict == "invalid",
            "a changed byte {at} of {name} is {:?} with exit code {:?}: {}",
            verdict.verdict,
            verdict.code,
            verdict.said.out
        );
        ensure!(
            verdict.said.out.contains("\"reasons\""),
            "the verdict gives no reasons: {}",
            verdict.said.out
        );
    }
    // One byte of the file itself, anywhere: valid only if nothing that counts has changed, and never a crash.
    let whole = std::fs::read(container)?;
    for _ in 0..12 {
        let mut bytes = whole.clone();
        let at = usize::from(u16::from_le_bytes(random::<2>())) * whole.len() / 65536;
        bytes[at] ^= 1;
        std::fs::write(&changed, bytes)?;
        let verdict = evidence::verify(subject, &changed, &trust)
            .await
            .with_context(|| format!("byte {at}"))?;
        ensure!(
            matches!(verdict.code, Some(0..=2)),
            "byte {at}: exit code {:?}",
            verdict.code
        );
    }
    // Half a container is no container.
    std::fs::write(&changed, &whole[..whole.len() / 2])?;
    let verdict = evidence::verify(subject, &changed, &trust).await?;
    ensure!(verdict.code != Some(0), "half a container is valid");
    Ok(())
}

async fn refused(world: &World) -> Result<()> {
    let out = tempfile::tempdir()?;
    let id = fresh("not-logged");
    let mut outgoing = world.signed(&world.ask("POST", "intake", "/echo", &id).body("ein Antrag"))?;
    outgoing.parts.bytes_mut(parts::REST_BODY)[0] ^= 1;
    outgoing.send(world.beta().federation()).await?.fault()?;
    evidence::try_export(world.federation.subject(), world.beta(), &id, out.path()).await?;
    let found = evidence::containers(out.path())?.len();
    ensure!(
        found == 0,
        "{found} containers of a message that failed verification"
    );
    Ok(())
}

async fn receipt_first(world: &World) -> Result<()> {
    // The consumer's disk is full, then the provider's: a body that does not fit must not be released by either.
    for full in ["alpha", "beta"] {
        let net = Net::claim().await?;
        let service = Service::start(net.address(20, 8090)).await?;
        let limit = |plan: NodePlan| {
            if plan_is(&plan, full) {
                plan.file_limit(12 << 10)
            } else {
                plan
            }
        };
        let right = format!("{INSTANCE}/GOV/1001/antrag");
        let federation = Federation::builder(&net)
            .node(limit(NodePlan::new("alpha", "1001")).client("antrag"))
            .node(
                limit(NodePlan::new("beta", "1002"))
                    .client("antrag")
                    .service(ServicePlan::new("intake", service.address(), "").right(&right)),
            )
            .start(world.federation.subject())
            .await
            .context("starting with a small disk")?;
        let alpha = federation.node("alpha");
        let path = format!("/r1/{}/intake/echo", federation.node("beta").client_id("antrag"));
        let send = async |id: &str, bytes: usize| {
            let body = vec![b'x'; bytes];
            alpha
                .call(
                    alpha
                        .request("POST", &path, "antrag", id)
                        .body(Full::from(body))?,
                )
                .await
        };
        is_served(&send(&fresh("fits"), 1000).await?)
            .with_context(|| format!("while the disk of {full} is not full"))?;
        let id = fresh("full");
        match send(&id, 20 << 20).await {
            // A node whose log failed may end before it answers.
            Err(_) => {}
            Ok(answer) => {
                is_refused(
                    &answer,
                    &["logging_failed", "io_error", "internal_error", "network_error"],
                )
                .with_context(|| format!("the disk of {full} is full"))?;
            }
        }
        ensure!(
            service.calls(&id).is_empty(),
            "the disk of {full} is full, and the service was called"
        );
    }
    Ok(())
}

fn plan_is(plan: &NodePlan, name: &str) -> bool {
    plan.name == name
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

/// Writes a container again with one entry changed.
fn rewrite(from: &Path, to: &Path, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
    let mut archive = zip::ZipArchive::new(Cursor::new(std::fs::read(from)?))?;
    let mut writer = zip::ZipWriter::new(std::fs::File::create(to)?);
    writer.set_raw_comment(archive.comment().into())?;
    let mut change = Some(change);
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let entry = file.name()?.into_owned();
        if entry == name {
            change.take().ok_or_else(|| anyhow!("{name} stands twice"))?(&mut bytes);
        }
        writer.start_file(entry, zip::write::SimpleFileOptions::default())?;
        writer.write_all(&bytes)?;
    }
    ensure!(change.is_none(), "{} has no {name}", from.display());
    writer.finish()?;
    Ok(())
}
