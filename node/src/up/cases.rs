//! The samples as cases in various states at the first municipality, made once through the interface that everybody uses: one is offered
//! to another authority, about another one the chamber is asked. Everything in them is fictional.

use std::time::Duration;

use anyhow::Context as _;
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::layout::{CHAMBER, Layout, Member};
use super::samples::Sample;
use crate::desk::{Desk, Part, multipart};

/// How long the chamber's node may take to have what it is asked.
const DELIVERED: Duration = Duration::from_secs(15);

/// A desk of a member's principal.
pub(crate) fn desk(layout: &Layout, index: usize, member: &Member, principal: &str) -> anyhow::Result<Desk> {
    let ca = layout.node_dir(member).join("data/administration/ca.pem");
    let url = format!("https://{}", layout.node(index, 4000)).parse()?;
    Ok(Desk::new(url, layout.desk_key(member, principal), Some(ca)))
}

/// Hands a sample in at a member; gives its case.
pub(crate) async fn hand_in(
    layout: &Layout,
    index: usize,
    member: &Member,
    sample: &Sample,
) -> anyhow::Result<String> {
    let mut parts: Vec<Part> = Vec::new();
    for part in &sample.parts {
        let octets = std::fs::read(&part.path)?;
        parts.push((
            part.part.clone(),
            part.original_name.clone(),
            part.media_type.clone(),
            octets,
        ));
    }
    let (kind, body) = multipart(&parts);
    let (status, said) = desk(layout, index, member, "intake")?
        .send(Method::POST, "/antrag", None, &kind, body)
        .await?;
    let page: Value = serde_json::from_slice(&said)?;
    match page["vorgang"]["vorgangId"].as_str() {
        Some(id) if status == 200 => Ok(id.to_owned()),
        _ => anyhow::bail!("the intake answers with status {status}: {page}"),
    }
}

/// Makes cases of the samples where there are none.
pub(super) async fn fill(layout: &Layout, samples: &[Sample]) -> anyhow::Result<()> {
    let members = layout.members();
    let (first, last) = (&members[0], members.len() - 1);
    let worker = desk(layout, 0, first, "worker")?;
    let status = loop {
        match worker.get("/api/v1/status").await {
            Ok(status) => break status,
            // It is healthy before its cases are open.
            Err(error) if error.to_string().contains("(starting)") => {
                tokio::time::sleep(super::ASK).await;
            }
            Err(error) => return Err(error),
        }
    };
    if status["cases"] != 0 {
        return Ok(());
    }
    for sample in samples {
        let case = hand_in(layout, 0, first, sample).await?;
        let subject = format!("/api/v1/cases/{case}");
        let nothing = Value::Null;
        match sample.name {
            "gewerbeanmeldung" => {
                for command in ["accept", "start"] {
                    worker
                        .command(&subject, &format!("{subject}/commands/{command}"), &nothing)
                        .await?;
                }
                ask_chamber(layout, &worker, &case).await?;
            }
            "hundesteuer" => {
                // The applicant has moved to where the last member is competent.
                let wish = json!({ "to": members[last].id(), "situation": "COMPETENCE_CHANGED", "region": "010585890008" });
                worker
                    .command(&subject, &format!("{subject}/transfers"), &wish)
                    .await?;
            }
            "bauvoranfrage" => {
                worker
                    .command(&subject, &format!("{subject}/commands/accept"), &nothing)
                    .await?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// Asks the chamber about a registration and shows it what the list of its class says; open, and there when this returns.
async fn ask_chamber(layout: &Layout, worker: &Desk, case: &str) -> anyhow::Result<()> {
    let chamber = &layout.members()[CHAMBER];
    let subject = format!("/api/v1/cases/{case}");
    let wish = json!({
        "profile": "AMTSHILFE", "contact": "Gewerbeamt (fiktiv)",
        "question": "Ist der Betriebsleiter in die Handwerksrolle eingetragen, und bestehen Bedenken gegen die Eintragung des Betriebs? (fiktiv)",
    });
    let prepared = worker
        .command(&subject, &format!("{subject}/rounds"), &wish)
        .await?;
    let round = prepared["id"].as_str().context("no round was prepared")?;
    let path = format!("/api/v1/rounds/{round}");
    let wish = json!({
        "to": chamber.id(), "class": "CHAMBER", "rule": { "kind": "weeks", "n": 2 },
        "disclosure": {
            "recipient_class": "HWK", "purpose": "Eintragung in die Handwerksrolle (fiktiv)", "legal_basis": "§ 14 Abs. 8 GewO",
        },
    });
    let asked = worker.command(&path, &format!("{path}/requests"), &wish).await?;
    worker
        .command(&path, &format!("{path}/commands/open"), &json!({}))
        .await?;
    let request = asked["id"].as_str().context("nobody was asked")?;
    let inbox = desk(layout, CHAMBER, chamber, "coordinator")?;
    let begun = Instant::now();
    // Whoever looks into the inbox now finds it there, with its deadline. A busy machine may need longer; it comes then.
    while begun.elapsed() < DELIVERED {
        match inbox.get(&format!("/api/v1/contributions/{request}")).await {
            Ok(page) if page["deadline"].is_object() => break,
            Ok(_) | Err(_) => tokio::time::sleep(super::ASK).await,
        }
    }
    Ok(())
}
