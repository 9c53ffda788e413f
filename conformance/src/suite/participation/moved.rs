//! A case with an open round is handed over: who took it over asks from then on, everybody who is asked is told and goes on with it,
//! and nothing that was said is lost (domain 3.2, casework 3).

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use hyper::Method;
use kontor_oracle::participation::opinions;
use serde_json::{Value, json};

use super::{Rounds, act, disclosure, passed, put, refused, until};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, multipart, number, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::subject::Subject;
use crate::suite::transfer::returns::handed_over;
use crate::suite::transfer::wait_for;
use crate::suite::{World, cases};
use crate::transfers::opinions::{Source, exchanges, query_ids, verified};

cases! {
    slow PARTICIPATION_MOVED => moved;
    slow PARTICIPATION_RETURNED => returned;
}

const ALPHA: &str = "TEST/GOV/1001";
const GAMMA: &str = "TEST/GOV/1003";

/// Two authorities and a chamber.
async fn houses(subject: &Subject, net: &Net, clock: &Path) -> Result<Federation> {
    let lines = format!("training_clock = {:?}\n", clock.display().to_string());
    Federation::builder(net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &lines)))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &lines)))
        .node(NodePlan::new("gamma", "1003").casework(&settings("010010000000", &lines)))
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(subject)
        .await
        .context("three nodes with casework")
}

/// Who is asked: the chamber, a guest and a unit of alpha, in this order.
struct Asked {
    round: String,
    ids: Vec<String>,
    /// Link and code of the guest.
    link: String,
    guest: Desk,
}

async fn asks(here: &Desk, case: &str) -> Result<Asked> {
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let shown = text(&listed["files"][0], "file_id")?.to_owned();
    let rounds = Rounds { here };
    let round = rounds.prepare(case, "LBO_STATEMENT").await?;
    let round = text(&round, "id")?.to_owned();
    let mut ids = Vec::new();
    for (who, class) in [
        (json!({ "to": BETA }), "CHAMBER"),
        (
            json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } }),
            "PUBLIC_BODY",
        ),
        (json!({ "unit": "u-42" }), "AUTHORITY"),
    ] {
        let mut wish = json!({
            "class": class, "disclosure": disclosure(&[&shown]), "effect": "ASSUME_NO_OBJECTION",
            "extension": "for_reason",
        });
        for (name, value) in who.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        let request = rounds.ask(&round, &wish).await?;
        let id = text(&request, "id")?.to_owned();
        let path = format!("/api/v1/requests/{id}");
        act(&here.of("releaser"), &path, "approve", &json!({})).await?;
        ids.push(id);
    }
    rounds.round(&round, "open", &json!({})).await?;
    let path = format!("/api/v1/requests/{}", ids[1]);
    let sent = until(here, &path, |page| page["state"] == "SENT").await?;
    let (guest, link) = here.invited(&path, &sent).await?;
    Ok(Asked {
        round,
        ids,
        guest,
        link,
    })
}

async fn moved(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let clock = world.federation.dir().join("clock-of-the-moved");
    let mut federation = houses(world.federation.subject(), &net, &clock).await?;
    let [here, chamber, there] = ["alpha", "beta", "gamma"].map(|name| Desk::at(federation.node(name)));
    let (chamber, unit) = (chamber.of("coordinator"), here.of("coordinator"));
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0c0101"), &files())
        .await?;
    let case = text(&case, "id")?.to_owned();
    let asked = asks(&here, &case).await?;
    let [to_chamber, to_guest, to_unit] = &asked.ids[..] else {
        bail!("three are asked")
    };
    let ours = |id: &str| format!("/api/v1/requests/{id}");
    let theirs = |id: &str| format!("/api/v1/contributions/{id}");

    // Nobody hands over what has not arrived, nor an open round with the work only.
    let path = format!("/api/v1/cases/{case}/transfers");
    let offer = json!({ "to": GAMMA, "situation": "COMPETENCE_CHANGED" });
    let version = async || number(&here.get(&format!("/api/v1/cases/{case}")).await?, "version");
    let why = here
        .refused(&path, version().await?, &offer, "open_round")
        .await?;
    ensure!(why["detail"].to_string().contains("guest/"), "{why}");
    asked.guest.get(&asked.link).await?;
    for id in &asked.ids {
        until(&here, &ours(id), |page| page["deadline"].is_object()).await?;
    }
    let delegation = json!({ "to": GAMMA, "situation": "DELEGATION" });
    here.refused(&path, version().await?, &delegation, "open_round")
        .await?;

    // The unit has answered, with an attachment; the chamber waits for an answer.
    let inside = theirs(to_unit);
    let now = unit.get(&inside).await?;
    let (kind, octets) = multipart(None, &[("attachment", "plan.txt", b"Plan (fiktiv)".to_vec())]);
    let desk = format!("{inside}/attachments");
    let added = unit
        .send(Method::POST, &desk, Some(number(&now, "version")?), &kind, octets)
        .await?;
    let added: Value = serde_json::from_slice(&added.body)?;
    let attachment = text(&added["files"][0], "file_id")?.to_owned();
    let draft = json!({ "kind": "CONSENT", "author": "Referat 1", "attachments": [attachment] });
    put(&unit, &inside, &draft).await?;
    act(&unit, &inside, "submit", &json!({})).await?;
    until(&here, &ours(to_unit), |page| page["state"] == "SUBMITTED").await?;
    act(&chamber, &theirs(to_chamber), "acknowledge", &json!({})).await?;
    let question = json!({ "text": "Welche Maschinen? (fiktiv)" });
    act(&chamber, &theirs(to_chamber), "ask", &question).await?;
    until(&here, &ours(to_chamber), |page| page["question_open"] == true).await?;

    let transfer = here.done(&path, version().await?, &offer).await?;
    let transfer = text(&transfer, "id")?.to_owned();
    there.until(&transfer, "OFFERED").await?;
    there.command(&transfer, "accept", &json!({})).await?;
    wait_for(&there, &transfer, |page| page["state"] == "IMPORTED").await?;
    // Who took over dies while the round is on its way, and the chamber is down at that time.
    federation.node_mut("beta").stop().await?;
    there.command(&transfer, "take-over", &json!({})).await?;
    let taken = there.until(&transfer, "CLOSED").await?;
    let case_there = text(&taken, "case")?.to_owned();
    until(&here, &ours(to_guest), |page| {
        page["moving"]["stage"] == "handed_over"
    })
    .await?;
    federation.node_mut("gamma").kill().await?;
    federation.restart("gamma").await?;
    let there = Desk::at(federation.node("gamma"));
    let path = format!("/api/v1/rounds/{}", asked.round);
    let partly = until(&there, &path, |page| {
        page["requests"].as_array().is_some_and(|all| all.len() == 2)
    })
    .await?;
    ensure!(partly["coming"] == json!([to_chamber]), "{partly}");
    refused(&there, &path, "close", &json!({}), "requests_coming").await?;
    // What is not all here yet is not handed on.
    let on = format!("/api/v1/cases/{case_there}");
    let version = number(&there.get(&on).await?, "version")?;
    let wish = json!({ "to": ALPHA, "situation": "MISDIRECTED", "returns": transfer });
    there
        .refused(&format!("{on}/transfers"), version, &wish, "open_round")
        .await?;
    let waits = here.get(&ours(to_chamber)).await?;
    ensure!(waits["moving"]["stage"] == "said", "{waits}");
    federation.restart("beta").await?;
    let chamber = Desk::at(federation.node("beta")).of("coordinator");

    // Everybody knows who asks now, and since when.
    let round = until(&there, &path, |page| page["coming"] == json!([])).await?;
    ensure!(
        round["case"] == case_there.as_str()
            && round["requests"].as_array().is_some_and(|all| all.len() == 3),
        "{round}"
    );
    let at = &taken["taken_over_at"];
    for (desk, path) in [
        (&chamber, theirs(to_chamber)),
        (&asked.guest, asked.link.clone()),
        (&unit, theirs(to_unit)),
    ] {
        let page = until(desk, &path, |page| page["moves"][0].is_object()).await?;
        let it = &page["moves"][0];
        ensure!(
            page["peer"] == format!("{GAMMA}/KONTOR")
                && it["from"] == ALPHA
                && it["to"] == GAMMA
                && it["transfer"] == transfer.as_str()
                && it["at"] == *at,
            "{page}"
        );
    }
    // Who asked before asks no more, and can see who does.
    let before = here.get(&ours(to_chamber)).await?;
    ensure!(before["moving"]["stage"] == "handed_over", "{before}");
    let answer = json!({ "text": "Eine Säge. (fiktiv)" });
    refused(&here, &ours(to_chamber), "answer", &answer, "not_responsible").await?;
    let here_now = here.get(&format!("/api/v1/cases/{case}")).await?;
    ensure!(here_now["open_round"] == false, "{here_now}");

    // What was said before is there, with what came with it; deadlines run on.
    let page = there.get(&ours(to_unit)).await?;
    ensure!(page["state"] == "SUBMITTED", "{page}");
    let path = format!("{}/files/{attachment}", ours(to_unit));
    let read = there.send(Method::GET, &path, None, "", Vec::new()).await?;
    ensure!(read.body == b"Plan (fiktiv)"[..], "{read:?}");
    let page = there.get(&ours(to_chamber)).await?;
    ensure!(
        page["deadline"] == before["deadline"] && page["question_open"] == true,
        "{page}"
    );

    // It goes on both ways: the answer, statements, a reminder of nobody, the outcome.
    act(&there, &ours(to_chamber), "answer", &answer).await?;
    until(&chamber, &theirs(to_chamber), |page| {
        page["question_open"] == false
    })
    .await?;
    let draft = json!({ "kind": "NO_OBJECTION", "author": "Referat Gewerbe" });
    put(&chamber, &theirs(to_chamber), &draft).await?;
    act(&chamber, &theirs(to_chamber), "submit", &json!({})).await?;
    until(&there, &ours(to_chamber), |page| page["state"] == "SUBMITTED").await?;
    // The guest is silent: its node is asked by the other house, and the effect is recorded there.
    passed(&clock, 40).await?;
    let expired = until(&there, &ours(to_guest), |page| page["state"] == "EXPIRED").await?;
    ensure!(expired["expiry"]["answered"] == true, "{expired}");
    until(&asked.guest, &asked.link, |page| page["state"] == "EXPIRED").await?;
    let still = here.get(&ours(to_guest)).await?;
    ensure!(still["expiry"].is_null(), "{still}");
    let path = format!("{}/invitation", ours(to_guest));
    let version = number(&expired, "version")?;
    there
        .refused(&path, version, &json!({}), "guest_elsewhere")
        .await?;

    let rounds = Rounds { here: &there };
    rounds.round(&asked.round, "close", &json!({})).await?;
    rounds.round(&asked.round, "evaluate", &json!({})).await?;
    let assessment = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 1000 }] } });
    for id in [to_chamber, to_unit] {
        act(&there, &ours(id), "assess", &assessment).await?;
    }
    for id in &asked.ids {
        act(&there, &ours(id), "notify", &json!({})).await?;
    }
    for (desk, path) in [
        (&chamber, theirs(to_chamber)),
        (&asked.guest, asked.link.clone()),
        (&unit, theirs(to_unit)),
    ] {
        until(desk, &path, |page| {
            page["state"] == "NOTIFIED" && page["settled"] == true
        })
        .await?;
    }
    let ended = rounds.round(&asked.round, "conclude", &json!({})).await?;
    ensure!(ended["state"] == "CONCLUDED", "{ended}");
    let desks = [
        ("beta", &chamber, theirs(to_chamber)),
        ("alpha", &here, ours(to_chamber)),
        ("gamma", &there, ours(to_chamber)),
    ];
    proven(&federation, desks).await
}

/// The evidence of who was asked tells who asked, and who asks since; that of each house that asked holds what it said.
async fn proven(federation: &Federation, desks: [(&str, &Desk, String); 3]) -> Result<()> {
    let dir = tempfile::tempdir()?;
    for (name, desk, path) in desks {
        let source = Source::of(federation.node(name));
        let ids = query_ids(&desk.get(&path).await?);
        let told = verified(federation.subject(), &source, &ids, dir.path()).await;
        let state = match name {
            "beta" => "NOTIFIED",
            // Until it was handed over.
            "alpha" => "ACKNOWLEDGED",
            // The beginning lies with who asked before, and that is said.
            _ => {
                let Err(why) = told else {
                    bail!("{name}: nothing is missing")
                };
                ensure!(why.to_string().contains("participation_gap"), "{why}");
                continue;
            }
        };
        let (lines, package) = told?;
        let course = lines.iter().find(|line| line["kind"] == "participation");
        let course = course.context("nothing is said of the request")?;
        ensure!(
            course["moved"][0]["to"] == GAMMA && course["state"] == state,
            "{name}: {course}"
        );
        let opinion = opinions(&exchanges(&package, "participation")?);
        let opinion = opinion.first().context("the oracle says nothing of it")?;
        ensure!(
            opinion.is_sound() && opinion.state == Some(state),
            "{name}: {opinion:?}"
        );
    }
    // Both houses that asked have it whole together.
    let (first, then) = (dir.path().join("alpha.zip"), dir.path().join("gamma.zip"));
    let trust = federation.node("alpha").trust();
    let said = federation
        .subject()
        .run([
            "verify".as_ref(),
            first.as_os_str(),
            then.as_os_str(),
            "--trust".as_ref(),
            trust.as_os_str(),
        ])
        .await?;
    ensure!(
        said.code == Some(0)
            && said
                .out
                .contains(&format!("{GAMMA} asks in the place of {ALPHA}"))
            && said.out.contains("NOTIFIED"),
        "{said:?}"
    );
    Ok(())
}

/// A case goes to another house and comes back, and its round with it; who is asked answers to whom it is told to, twice.
async fn returned(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let clock = world.federation.dir().join("clock-of-the-returned");
    let federation = houses(world.federation.subject(), &net, &clock).await?;
    let [here, chamber, there] = ["alpha", "beta", "gamma"].map(|name| Desk::at(federation.node(name)));
    let chamber = chamber.of("coordinator");
    let opened = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0c0201"), &files())
        .await?;
    let case = text(&opened, "id")?.to_owned();
    let asked = asks(&here, &case).await?;
    asked.guest.get(&asked.link).await?;
    let id = &asked.ids[0];
    let (ours, theirs) = (
        format!("/api/v1/requests/{id}"),
        format!("/api/v1/contributions/{id}"),
    );
    for id in &asked.ids {
        let path = format!("/api/v1/requests/{id}");
        until(&here, &path, |page| page["deadline"].is_object()).await?;
    }
    let wish = json!({ "to": GAMMA, "situation": "COMPETENCE_CHANGED" });
    let first = handed_over(&here, &there, &case, &wish).await?;
    let round = format!("/api/v1/rounds/{}", asked.round);
    until(&there, &round, |page| page["coming"] == json!([])).await?;
    let draft = json!({ "kind": "NO_OBJECTION", "author": "Referat Gewerbe" });
    put(&chamber, &theirs, &draft).await?;
    act(&chamber, &theirs, "submit", &json!({})).await?;
    until(&there, &ours, |page| page["state"] == "SUBMITTED").await?;

    let wish = json!({ "to": ALPHA, "situation": "MISDIRECTED", "returns": text(&first, "id")? });
    let back = handed_over(&there, &here, text(&first, "case")?, &wish).await?;
    let page = until(&here, &round, |page| {
        page["case"] == back["case"] && page["coming"] == json!([])
    })
    .await?;
    ensure!(
        page["requests"].as_array().is_some_and(|all| all.len() == 3),
        "{page}"
    );
    let page = here.get(&ours).await?;
    ensure!(
        page["state"] == "SUBMITTED"
            && page["moving"].is_null()
            && page["moves"][0]["to"] == GAMMA
            && page["moves"][1]["to"] == ALPHA,
        "{page}"
    );
    let page = until(&chamber, &theirs, |page| page["moves"][1].is_object()).await?;
    ensure!(page["peer"] == format!("{ALPHA}/KONTOR"), "{page}");
    let draft = json!({ "kind": "CONSENT", "author": "Referat Gewerbe" });
    put(&chamber, &theirs, &draft).await?;
    act(&chamber, &theirs, "submit", &json!({})).await?;
    until(&here, &ours, |page| page["state"] == "AMENDED").await?;
    let gone = there.get(&ours).await?;
    ensure!(gone["state"] == "SUBMITTED", "{gone}");
    act(&asked.guest, &asked.link, "acknowledge", &json!({})).await?;
    let path = format!("/api/v1/requests/{}", asked.ids[1]);
    until(&here, &path, |page| page["state"] == "ACKNOWLEDGED").await?;
    Ok(())
}
