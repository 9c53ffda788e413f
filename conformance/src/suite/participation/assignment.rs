//! Who of an asked house sees what: its coordinators everything, its specialists what is with them or their unit; coordinators assign,
//! and speak for the house (domain 4.4).

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{Rounds, act, disclosure, is_here, put, refused, until};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, number, one_more_key, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::suite::{World, cases};

cases! {
    slow PARTICIPATION_ASSIGNMENT => assignment;
}

/// Ids of what somebody finds in the inbox.
async fn inbox(desk: &Desk, query: &str) -> Result<Vec<String>> {
    let listed = desk.get(&format!("/api/v1/contributions{query}")).await?;
    let all = listed["requests"].as_array().context("no list")?;
    let counted: u64 = listed["counts"]
        .as_object()
        .context("no counts")?
        .values()
        .filter_map(Value::as_u64)
        .sum();
    ensure!(
        counted == all.len() as u64,
        "what may not be seen is counted: {listed}"
    );
    all.iter().map(|one| Ok(text(one, "id")?.to_owned())).collect()
}

/// Whether somebody sees a request and its file, or neither of them.
async fn sees(desk: &Desk, id: &str, file: &str) -> Result<bool> {
    let path = format!("/api/v1/contributions/{id}");
    let mut seen = Vec::new();
    for path in [path.clone(), format!("{path}/files/{file}")] {
        let answer = desk.send(Method::GET, &path, None, "", Vec::new()).await?;
        let status = answer.status.as_u16();
        ensure!(matches!(status, 200 | 404), "{path}: {status}");
        seen.push(status == 200);
    }
    ensure!(
        seen[0] == seen[1],
        "{id}: the page is seen {}, its file {}",
        seen[0],
        seen[1]
    );
    Ok(seen[0])
}

async fn assignment(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let key = one_more_key("specialist-of-u-7", &["specialist"], &["u-7"]);
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &key)))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let here = Desk::at(federation.node("alpha"));
    let coordinator = Desk::at(federation.node("beta")).of("coordinator");
    let (single, of_unit) = (
        coordinator.of("specialist"),
        coordinator.bearing("specialist-of-u-7"),
    );
    let supervisor = coordinator.of("worker");
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0401"), &files())
        .await?;
    let case = text(&case, "id")?.to_owned();
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let file = text(&listed["files"][0], "file_id")?.to_owned();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let rounds = Rounds { here: &here };
        let round = text(&rounds.prepare(&case, "AMTSHILFE").await?, "id")?.to_owned();
        let wish = json!({
            "to": BETA, "class": "CHAMBER", "rule": { "kind": "weeks", "n": 4 }, "disclosure": disclosure(&[&file]),
        });
        let id = text(&rounds.ask(&round, &wish).await?, "id")?.to_owned();
        rounds.round(&round, "open", &json!({})).await?;
        let path = format!("/api/v1/contributions/{id}");
        until(&coordinator, &path, is_here).await?;
        ids.push(id);
    }
    let at = |index: usize| format!("/api/v1/contributions/{}", ids[index]);

    // Nobody has it yet: the coordinator, and who supervises, see all of it, specialists nothing.
    ensure!(
        inbox(&coordinator, "").await?.len() == 2
            && inbox(&coordinator, "?list=unassigned").await?.len() == 2,
        "the coordinator does not see all"
    );
    ensure!(
        inbox(&supervisor, "").await?.len() == 2,
        "nor does who supervises"
    );
    for desk in [&single, &of_unit] {
        ensure!(inbox(desk, "").await?.is_empty(), "a specialist sees the inbox");
        for id in &ids {
            ensure!(!sees(desk, id, &file).await?, "a specialist sees {id}");
        }
    }
    // One to a unit, one to a person.
    let unit = json!({ "unit": "u-7" });
    for desk in [&single, &of_unit, &supervisor] {
        let path = format!("{}/commands/assign", at(0));
        let (status, page) = desk.post(&path, 1, &unit).await?;
        ensure!(
            status.as_u16() == 403 && page["code"] == "role_missing",
            "{status}: {page}"
        );
    }
    act(&coordinator, &at(0), "assign", &unit).await?;
    let me = single.get("/api/v1/me").await?;
    let person = json!({ "assignee": text(&me, "pseudonym")? });
    act(&coordinator, &at(1), "assign", &person).await?;
    for (desk, own, other) in [(&of_unit, 0, 1), (&single, 1, 0)] {
        ensure!(
            inbox(desk, "?everything=true").await? == [ids[own].clone()],
            "another inbox than its own"
        );
        ensure!(
            sees(desk, &ids[own], &file).await? && !sees(desk, &ids[other], &file).await?,
            "another request than its own"
        );
        // A specialist works on it and asks; the house speaks by its coordinators.
        act(desk, &at(own), "prepare", &json!({})).await?;
        act(desk, &at(own), "ask", &json!({ "text": "Seit wann? (fiktiv)" })).await?;
        put(
            desk,
            &at(own),
            &json!({ "kind": "NO_OBJECTION", "author": "Referat 7" }),
        )
        .await?;
        act(desk, &at(own), "release", &json!({})).await?;
        for (command, details) in [
            ("submit", json!({})),
            ("acknowledge", json!({})),
            ("decline", json!({ "reason": "OTHER" })),
            (
                "ask-for-time",
                json!({ "until": "2029-05-02", "extension_reason": "WORKLOAD" }),
            ),
            ("withdraw", json!({ "withdraw_reason": "MISTAKE" })),
            ("assign", person.clone()),
        ] {
            refused(desk, &at(own), command, &details, "role_missing").await?;
        }
        // Of another one's request it is not told that there is one, whatever it wants.
        let page = coordinator.get(&at(other)).await?;
        let version = number(&page, "version")?;
        for command in ["prepare", "ask", "release"] {
            let path = format!("{}/commands/{command}", at(other));
            let (status, page) = desk.post(&path, version, &json!({ "text": "x" })).await?;
            ensure!(
                status.as_u16() == 404 && page["code"] == "not_found",
                "{command}: {status}: {page}"
            );
        }
    }
    ensure!(
        inbox(&single, "?list=mine").await? == [ids[1].clone()],
        "what is assigned is not among its own"
    );
    act(&coordinator, &at(0), "submit", &json!({})).await?;
    // Given to somebody else, it is out of sight.
    act(&coordinator, &at(1), "assign", &unit).await?;
    ensure!(
        !sees(&single, &ids[1], &file).await? && sees(&of_unit, &ids[1], &file).await?,
        "who had it before still sees it"
    );
    act(&coordinator, &at(1), "assign", &json!({})).await?;
    ensure!(
        inbox(&of_unit, "").await? == [ids[0].clone()],
        "what is nobody's is still seen"
    );
    // Who works on it stays in the house.
    let page = here.get(&format!("/api/v1/requests/{}", ids[1])).await?;
    ensure!(
        !page.to_string().contains(text(&me, "pseudonym")?) && !page.to_string().contains("u-7"),
        "{page}"
    );
    Ok(())
}
