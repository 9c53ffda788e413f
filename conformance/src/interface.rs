//! Generated requests against the interface of casework: schemathesis makes them from the node's own document, in a fixed order, and
//! judges every answer by it.
//!
//! Owns the federation in which each operation can succeed, and the judgement that each did.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::address::Net;
use crate::authority::OcspSays;
use crate::desk::{self, BETA, Desk, application, files, settings, text};
use crate::federation::Federation;
use crate::instance::{Instance, Mood};
use crate::peer::provider::{Listening, Reaction, Reply, Seen as Asked};
use crate::plan::{NodePlan, PeerPlan};
use crate::subject::Subject;

mod rounds;

const HOOKS: &str = include_str!("interface/hooks.py");
/// Who may be competent, so that something can be suggested.
const DIRECTORY: &str = "version = \"fictional-1\"\n[[authority]]\nmember = \"TEST/GOV/1001\"\nname = \"Amt Beispiel (fiktiv)\"\n[[authority.rule]]\nservices = [\"all\"]\nregions = [\"01\"]\nsince = \"2020-01-01\"\nsource = \"fictional\"\n";

/// What to do.
#[derive(Clone, Debug)]
pub struct InterfacePlan {
    /// The program of schemathesis.
    pub schemathesis: PathBuf,
    pub seed: u64,
    /// Requests for each operation and phase.
    pub examples: u32,
}

/// What was seen.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Seen {
    /// How often each operation succeeded.
    pub succeeded: BTreeMap<String, u64>,
    /// How often it was answered with which status.
    pub statuses: BTreeMap<String, BTreeMap<String, u64>>,
}

/// Runs it; fails when an answer is not one of the document, is a server's error, or an operation never succeeded.
pub async fn run(subject: &Subject, plan: &InterfacePlan) -> Result<Seen> {
    let net = Net::claim().await?;
    let dir = tempfile::tempdir().context("no temporary directory")?;
    let directory = dir.path().join("directory.toml");
    std::fs::write(&directory, DIRECTORY)?;
    let instance = Instance::start(net.address(40, 8092), Mood::TakesAndBreaks).await?;
    let table = format!(
        "directory = \"{}\"\n[casework.instance]\nurl = \"{}\"\nunit = \"u-beta\"\nrepeats_safe = false\n[casework.participation]\ntell_applicant = true",
        directory.display(),
        instance.url()
    );
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &table)))
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(subject)
        .await?;
    let gamma = Listening::start(federation.peer("gamma"), federation.authority()).await?;
    let signer = federation.peer("gamma").signer.clone();
    let ocsp = federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    gamma.react(move |seen| {
        Ok(Reaction::Parts(
            not_found(seen)?.sign(&signer, std::slice::from_ref(&ocsp)),
        ))
    });
    let known = prepared(&federation).await?;
    let at = dir.path().join("known.json");
    std::fs::write(&at, known.to_string())?;
    std::fs::write(dir.path().join("hooks.py"), HOOKS)?;
    let ended = generated(plan, dir.path(), &at, &known).await?;
    let seen: Seen = serde_json::from_slice(&std::fs::read(dir.path().join("known.json.seen"))?)?;
    ensure!(ended, "schemathesis found something, see above: {seen:?}");
    let desk = Desk::at(federation.node("beta"));
    let document = desk.get("/api/v1/openapi.json").await?;
    let operations = document["paths"]
        .as_object()
        .into_iter()
        .flat_map(|paths| paths.values());
    let never: Vec<&str> = operations
        .flat_map(|item| item.as_object().into_iter().flat_map(|verbs| verbs.values()))
        .filter_map(|operation| operation["operationId"].as_str())
        // The document itself is what everything began with.
        .filter(|name| *name != "openapi" && !seen.succeeded.contains_key(*name))
        .collect();
    ensure!(never.is_empty(), "these never succeeded: {never:?}; {seen:?}");
    Ok(seen)
}

/// A peer that knows no transfer, so that what it is sent is parked.
fn not_found(seen: &Asked) -> Result<Reply> {
    let problem = json!({ "type": "about:blank", "title": "Not Found", "status": 404, "code": "not_found", "detail": "none (fiktiv)" });
    let mut reply = Reply::to(seen, problem.to_string().as_bytes())?;
    reply.text.first = "404".into();
    Ok(reply)
}

/// Cases and transfers on which every operation can succeed; what the hooks have to know of them.
async fn prepared(federation: &Federation) -> Result<Value> {
    let (there, here) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let mut number = 0_u64;
    let mut next = move || {
        number += 1;
        application(&format!("0b9f1d9e-0f3c-4f53-8d5c-{number:012x}"))
    };
    let mut cases = Vec::new();
    for _ in 0..40 {
        cases.push(text(&here.hand_in(&next(), &files()).await?, "id")?.to_owned());
    }
    let mut offers = Vec::new();
    for _ in 0..24 {
        let case = there.hand_in(&next(), &files()).await?;
        let offered = there.offer(&case, BETA, "MISDIRECTED").await?;
        offers.push(text(&offered, "id")?.to_owned());
    }
    let (mut uncertain, mut taken_over) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let case = there.hand_in(&next(), &files()).await?;
        let id = text(&there.offer(&case, BETA, "COMPETENCE_CHANGED").await?, "id")?.to_owned();
        here.until(&id, "OFFERED").await?;
        here.command(&id, "accept", &json!({})).await?;
        here.until(&id, "IMPORTED").await?;
        let page = here.command(&id, "take-over", &json!({})).await?;
        uncertain.push(text(&page, "case")?.to_owned());
        taken_over.push(id);
    }
    let mut handed_over = Vec::new();
    for _ in 0..3 {
        let case = here.hand_in(&next(), &files()).await?;
        let id = text(
            &here.offer(&case, "TEST/GOV/1001", "COMPETENCE_CHANGED").await?,
            "id",
        )?
        .to_owned();
        there.until(&id, "OFFERED").await?;
        there.command(&id, "accept", &json!({})).await?;
        there.until(&id, "IMPORTED").await?;
        there.command(&id, "take-over", &json!({})).await?;
        here.until(&id, "CLOSED").await?;
        handed_over.push(text(&case, "id")?.to_owned());
    }
    let mut parked = Vec::new();
    for _ in 0..4 {
        let case = here.hand_in(&next(), &files()).await?;
        let offered = here.offer(&case, "TEST/GOV/1003", "MISDIRECTED").await?;
        parked.push(text(&offered, "id")?.to_owned());
    }
    let rounds = rounds::prepared(federation, &there, &here, &mut next).await?;
    for id in &offers {
        here.until(id, "OFFERED").await?;
    }
    for case in &uncertain {
        wait(&here, &format!("/api/v1/cases/{case}"), |page| {
            page["export"]["state"] == "uncertain"
        })
        .await?;
    }
    for id in &parked {
        wait(&here, &format!("/api/v1/transfers/{id}"), |page| {
            page["sent"][0]["state"]["state"] == "parked"
        })
        .await?;
    }
    Ok(json!({
        "url": format!("http://{}", federation.node("beta").administration()),
        "other": "TEST/GOV/1001",
        "keys": desk::keys(),
        "form": next(),
        "ids": {
            "cases": cases, "offers": offers, "uncertain": uncertain, "taken_over": taken_over,
            "handed_over": handed_over, "parked": parked,
            "rounds": rounds.preparing, "open_rounds": rounds.open, "requests": rounds.requests, "answered": rounds.answered,
            "guests": rounds.guests, "parked_requests": rounds.parked_requests,
            "contributions": rounds.contributions, "parked_contributions": rounds.parked_contributions,
        },
        "invited": rounds.invited,
    }))
}

async fn wait(desk: &Desk, path: &str, looks: impl Fn(&Value) -> bool) -> Result<()> {
    for _ in 0..1200 {
        if looks(&desk.get(path).await?) {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{path} did not come to what is needed: {}", desk.get(path).await?)
}

/// Whether schemathesis found nothing.
async fn generated(plan: &InterfacePlan, dir: &Path, known: &Path, page: &Value) -> Result<bool> {
    let url = text(page, "url")?;
    let status = tokio::process::Command::new(&plan.schemathesis)
        .current_dir(dir)
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .env("PYTHONPATH", dir)
        .env("KONTOR_INTERFACE", known)
        .arg("run")
        .arg(format!("{url}/api/v1/openapi.json"))
        .args(["--seed", &plan.seed.to_string(), "--max-examples", &plan.examples.to_string()])
        .args(["--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "20"])
        .args([
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method",
        ])
        .args(["--suppress-health-check", "all", "--continue-on-failure"])
        .status()
        .await
        .with_context(|| {
            format!(
                "{} cannot be started; install it with `pip install schemathesis` and name it with --schemathesis",
                plan.schemathesis.display()
            )
        })?;
    Ok(status.success())
}
