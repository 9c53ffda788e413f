//! The project's sample applications, whole: intake, transfer, intake of the other instance, with nothing lost; and none of the strings
//! that must not be found anywhere.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};

use super::release::{exported, with_instance};
use crate::address::Net;
use crate::desk::{BETA, Desk, number, text};
use crate::federation::Node;
use crate::instance::{Instance, Mood};
use crate::suite::{Skip, World, cases};

cases! {
    slow TRANSFER_SAMPLES => samples;
}

/// Where the project keeps them. A suite that runs elsewhere has none.
pub(in crate::suite) fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A sample: its form, its files by part, name and octets, and the strings that nobody may find.
pub(in crate::suite) struct Sample {
    name: String,
    pub(in crate::suite) form: Value,
    pub(in crate::suite) dossier: Value,
    pub(in crate::suite) files: Vec<(String, String, Vec<u8>)>,
    probes: Vec<String>,
    /// What a participant may not find, by who that is.
    pub(in crate::suite) never_to: Value,
}

pub(in crate::suite) fn read(name: &str) -> Result<Sample> {
    let dir = project().join("node/samples").join(name);
    let json = |path: &Path| -> Result<Value> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        Ok(serde_json::from_slice(&bytes)?)
    };
    let manifest = json(&dir.join("manifest.json"))?;
    let mut files = Vec::new();
    for file in manifest["files"].as_array().into_iter().flatten() {
        let Some(part) = file["part"].as_str().filter(|part| *part != "formData") else {
            continue;
        };
        let octets = match file.get("synthesise") {
            None => std::fs::read(dir.join(text(file, "path")?))?,
            Some(recipe) => synthesised(&dir, recipe)?,
        };
        let digest: String = sha256(&octets).iter().map(|byte| format!("{byte:02x}")).collect();
        ensure!(
            file["sha256"] == json!(digest),
            "{name}: {} is another file",
            file["path"]
        );
        files.push((part.to_owned(), text(file, "original_name")?.to_owned(), octets));
    }
    let case = json(&project().join(format!("participation/tests/vectors/cases/{name}.json")))?;
    let probes = case["probes"]["never_in_log_or_offer"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let mut dossier = json!({
        "messages": case["messages"],
        "open_questions": case["open_questions"],
        "parties": case["parties"],
        "reply_channel": case["reply_channel"],
        "retention": case["retention"],
    });
    // The ids of the sample's files are not those that a node gives.
    for message in dossier["messages"].as_array_mut().into_iter().flatten() {
        message["attachments"] = json!([]);
    }
    if case["payment"].is_object() {
        dossier["payment"] = case["payment"].clone();
        dossier["payment"]["grossAmount"] = case["payment"]["grossAmount"].to_string().into();
    }
    Ok(Sample {
        name: name.to_owned(),
        dossier,
        form: json(&dir.join("formData.json"))?,
        never_to: case["probes"]["never_to_participant"].clone(),
        files,
        probes: probes
            .iter()
            .filter_map(|probe| Some(probe.as_str()?.to_owned()))
            .collect(),
    })
}

/// The file that is too large to be kept: SHA-256 of seed and counter between a beginning and an end.
fn synthesised(dir: &Path, recipe: &Value) -> Result<Vec<u8>> {
    let mut octets = std::fs::read(dir.join(text(recipe, "prefix")?))?;
    let (seed, length) = (
        text(recipe, "seed")?,
        recipe["keystream_bytes"].as_u64().context("no length")?,
    );
    let end = octets.len() + usize::try_from(length)?;
    for block in 0_u64.. {
        if octets.len() >= end {
            break;
        }
        octets.extend_from_slice(&sha256(&[seed.as_bytes(), &block.to_be_bytes()].concat()));
    }
    octets.truncate(end);
    octets.extend_from_slice(&std::fs::read(dir.join(text(recipe, "suffix")?))?);
    Ok(octets)
}

/// Looks for strings in every file of a node: store, log, index, keys, spools, and what it wrote to its own log.
pub(in crate::suite) fn found(node: &Node, probes: &[String]) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![node.dir().to_owned()];
    while let Some(dir) = waiting.pop() {
        for entry in std::fs::read_dir(&dir)? {
            let path = entry?.path();
            let name = path.display().to_string();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let Ok(octets) = std::fs::read(&path) else {
                continue;
            };
            for probe in probes {
                let bytes = probe.as_bytes();
                if name.contains(probe.as_str()) || octets.windows(bytes.len()).any(|window| window == bytes)
                {
                    found.push(format!("{probe} in {name}"));
                }
            }
        }
    }
    Ok(found)
}

async fn samples(world: &World) -> Result<()> {
    if !project().join("node/samples").exists() {
        return Err(Skip("the project's samples are not beside this suite".into()).into());
    }
    let net = Net::claim().await?;
    let simulator = Instance::start(net.address(40, 8092), Mood::RepeatsSafe).await?;
    let federation = with_instance(world.federation.subject(), &net, &simulator, false).await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let (mut probes, mut cases) = (Vec::new(), Vec::new());
    for name in ["gewerbeanmeldung", "hundesteuer", "baumfaellung", "bauvoranfrage"] {
        let sample = read(name)?;
        let files: Vec<(&str, &str, Vec<u8>)> = sample
            .files
            .iter()
            .map(|(part, name, octets)| (part.as_str(), name.as_str(), octets.clone()))
            .collect();
        let case = here
            .hand_in(&sample.form, &files)
            .await
            .with_context(|| sample.name.clone())?;
        let case = here
            .send(
                Method::PUT,
                &format!("/api/v1/cases/{}/dossier", text(&case, "id")?),
                Some(number(&case, "version")?),
                "application/json",
                sample.dossier.to_string().into_bytes(),
            )
            .await?;
        let case: Value = serde_json::from_slice(&case.body)?;
        let id = text(&here.offer(&case, BETA, "COMPETENCE_CHANGED").await?, "id")?.to_owned();
        let offered = there.until(&id, "OFFERED").await?["offer"].to_string();
        for probe in &sample.probes {
            ensure!(
                !offered.contains(probe.as_str()),
                "{name}: the offer tells {probe}"
            );
        }
        there.command(&id, "accept", &json!({})).await?;
        there.until(&id, "IMPORTED").await?;
        there.command(&id, "take-over", &json!({})).await?;
        here.until(&id, "CLOSED").await?;
        exported(&there, &id, "done").await?;
        let mut taken = simulator.taken().pop().context("nothing came in")?;
        let (_, last, told) = taken.files.pop().context("no file came in")?;
        let told: Value = serde_json::from_slice(&told).with_context(|| last.clone())?;
        let bodies = |dossier: &Value| -> Vec<Value> {
            let messages = dossier["messages"].as_array().cloned().unwrap_or_default();
            messages.iter().map(|message| message["body"].clone()).collect()
        };
        ensure!(
            last == "vorgangsakte.json"
                && bodies(&told) == bodies(&sample.dossier)
                && told["retention"] == sample.dossier["retention"],
            "{name}: {last} does not say what the case had: {told}"
        );
        let mut form = taken.form;
        let items = form["formData"].as_array_mut().context("no items")?;
        ensure!(
            items.remove(0)["name"] == "uebernahme",
            "{name}: no group in front"
        );
        ensure!(
            form["formData"] == sample.form["formData"],
            "{name}: the tree changed"
        );
        let came: Vec<(&str, &[u8])> = taken
            .files
            .iter()
            .map(|(part, _, octets)| (part.as_str(), octets.as_slice()))
            .collect();
        let sent: Vec<(&str, &[u8])> = sample
            .files
            .iter()
            .map(|(part, _, octets)| (part.as_str(), octets.as_slice()))
            .collect();
        ensure!(came == sent, "{name}: the files changed");
        let names = |files: &[(String, String, Vec<u8>)]| -> Vec<String> {
            files
                .iter()
                .map(|(_, name, _)| name.replace('"', "%22"))
                .collect()
        };
        ensure!(
            names(&taken.files) == names(&sample.files),
            "{name}: names of files changed"
        );
        probes.extend(sample.probes);
        cases.push(text(&there.get(&format!("/api/v1/transfers/{id}")).await?, "case")?.to_owned());
    }
    // All of it is sealed, wherever it lies.
    for name in ["alpha", "beta"] {
        let found = found(federation.node(name), &probes)?;
        ensure!(found.is_empty(), "{}", found.join("\n"));
    }
    // Deleted by its people nothing of it is left, sealed or not, but what its receipts need.
    let content = federation.node("beta").dir().join("data/casework/content");
    ensure!(
        std::fs::read_dir(&content)?.count() > 0,
        "no file lies in {}",
        content.display()
    );
    for case in &cases {
        for command in ["discard", "mark_for_deletion", "delete"] {
            let path = format!("/api/v1/cases/{case}");
            let version = number(&there.get(&path).await?, "version")?;
            there
                .done(&format!("{path}/commands/{command}"), version, &json!({}))
                .await?;
        }
        let gone = there
            .send(
                Method::GET,
                &format!("/api/v1/cases/{case}/form"),
                None,
                "",
                Vec::new(),
            )
            .await?;
        ensure!(
            gone.status.as_u16() == 410,
            "a deleted form is answered with {}",
            gone.status
        );
    }
    let left = std::fs::read_dir(&content)?.count();
    ensure!(
        left == 0,
        "{left} files of deleted cases are left in {}",
        content.display()
    );
    let found = found(federation.node("beta"), &probes)?;
    ensure!(found.is_empty(), "after the deletion: {}", found.join("\n"));
    Ok(())
}
