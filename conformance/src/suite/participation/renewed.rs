//! Rounds over time: a suspended one moves its deadline, a concluded one is renewed with fewer topics, a cancelled one takes back what
//! it showed (domain 4.3, casework 4).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use kontor_pki::UnixTime;
use serde_json::{Value, json};

use super::{Rounds, act, disclosure, federation, is_here, passed, put, until};
use crate::address::Net;
use crate::clock;
use crate::desk::{BETA, Desk, application, files, number, text};
use crate::suite::{World, cases};

cases! {
    slow PARTICIPATION_RENEWED => renewed;
}

const DAY: u64 = 86_400;

fn instant(page: &Value, name: &str) -> Result<UnixTime> {
    UnixTime::parse_rfc3339(text(page, name)?).with_context(|| format!("{name} is no instant"))
}

async fn renewed(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let passing = world.federation.dir().join("clock-of-the-renewed");
    let federation = federation(world.federation.subject(), &net, &passing, "").await?;
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta")).of("coordinator");
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0301"), &files())
        .await?;
    let case = text(&case, "id")?.to_owned();
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let file = text(&listed["files"][0], "file_id")?.to_owned();
    let first = stood_still(&here, &there, &case, &file, &passing).await?;
    again(&here, &there, &case, &file, &first).await
}

/// Asks beta in a round, and opens it.
async fn asked(here: &Desk, round: &str, file: &str) -> Result<(String, String)> {
    let rounds = Rounds { here };
    let wish = json!({
        "to": BETA, "class": "CHAMBER", "disclosure": disclosure(&[file]), "effect": "ASSUME_NO_OBJECTION", "extension": "none",
    });
    let request = rounds.ask(round, &wish).await?;
    let id = text(&request, "id")?;
    let ours = format!("/api/v1/requests/{id}");
    act(&here.of("releaser"), &ours, "approve", &json!({})).await?;
    rounds.round(round, "open", &json!({})).await?;
    Ok((ours, format!("/api/v1/contributions/{id}")))
}

/// The clock of a round that is suspended stands still; when it goes on, every day on which it stood is added, and what comes in that
/// time is in time. Gives the round, which is concluded then.
async fn stood_still(here: &Desk, there: &Desk, case: &str, file: &str, passing: &Path) -> Result<String> {
    let rounds = Rounds { here };
    let round = rounds.prepare(case, "LBO_STATEMENT").await?;
    let round = text(&round, "id")?.to_owned();
    let (ours, theirs) = asked(here, &round, file).await?;
    let before = until(there, &theirs, is_here).await?;
    let end = instant(&before, "ends_at")?;
    until(here, &ours, |page| page["deadline"].is_object()).await?;
    rounds.round(&round, "suspend", &json!({})).await?;
    until(there, &theirs, |page| page["ends_at"].is_null()).await?;
    passed(passing, 5).await?;
    rounds.round(&round, "resume", &json!({})).await?;
    let after = until(here, &ours, |page| page["ends_at"].is_string()).await?;
    let moved = instant(&after, "ends_at")?;
    // Six days are touched by five times 24 hours; a day off at the end may add to that, never take away.
    ensure!(
        moved.since(end).as_secs() + 3_700 >= 6 * DAY && moved.since(end).as_secs() < 12 * DAY,
        "{} after {}: {after}",
        moved.to_rfc3339(),
        end.to_rfc3339()
    );
    until(there, &theirs, |page| page["deadline"] == after["deadline"]).await?;
    // After the first end and before the one that is in force.
    let left = end.since(clock::now()).as_secs() / DAY;
    passed(passing, left + 1 - 5).await?;
    put(
        there,
        &theirs,
        &json!({ "kind": "NO_OBJECTION", "author": "Referat 1" }),
    )
    .await?;
    act(there, &theirs, "submit", &json!({})).await?;
    for (desk, subject) in [(there, &theirs), (here, &ours)] {
        let page = until(desk, subject, |page| {
            page["state"] == "SUBMITTED" && page["settled"] == true
        })
        .await?;
        ensure!(
            page["statements"][0]["in_time"] == true
                && instant(&page["statements"][0], "entered_at")?
                    .since(end)
                    .as_secs()
                    > 0,
            "{page}"
        );
    }
    until(here, &ours, |page| {
        let bundles = page["bundles"].as_array();
        bundles.is_some_and(|all| all.iter().all(|one| one["complete"] == true))
    })
    .await?;
    let now = here.get(&format!("/api/v1/cases/{case}")).await?;
    let wish = json!({ "renews": round, "question": "Noch etwas? (fiktiv)", "contact": "Bau" });
    let path = format!("/api/v1/cases/{case}/rounds");
    let refused = here
        .refused(&path, number(&now, "version")?, &wish, "illegal_for_state")
        .await?;
    ensure!(
        refused["legal"] == json!(["close", "suspend", "cancel"]),
        "{refused}"
    );
    rounds.round(&round, "close", &json!({})).await?;
    rounds.round(&round, "evaluate", &json!({})).await?;
    let weigh = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 1000 }] } });
    act(here, &ours, "assess", &weigh).await?;
    act(here, &ours, "notify", &json!({})).await?;
    rounds.round(&round, "conclude", &json!({})).await?;
    Ok(round)
}

/// A round that renews another names it, counts on, asks for fewer topics; cancelled, it takes back what it showed and no other.
async fn again(here: &Desk, there: &Desk, case: &str, file: &str, first: &str) -> Result<()> {
    let path = format!("/api/v1/cases/{case}");
    let now = here.get(&path).await?;
    ensure!(now["open_round"] == false, "{now}");
    let wish = json!({
        "renews": first, "question": "Genügt der Schallschutz nun? (fiktiv)", "contact": "Bau", "topics": ["Lärm"],
    });
    let second = here
        .done(&format!("{path}/rounds"), number(&now, "version")?, &wish)
        .await?;
    ensure!(
        second["number"] == 2
            && second["renews"] == first
            && second["topics"] == json!(["Lärm"])
            && second["profile"]["code"] == "LBO_STATEMENT",
        "{second}"
    );
    let second = text(&second, "id")?.to_owned();
    let (ours, theirs) = asked(here, &second, file).await?;
    let page = until(there, &theirs, is_here).await?;
    let cover = &page["received"][0]["letter"]["document"]["cover"];
    ensure!(
        page["round_number"] == 2 && page["renews"] == first && cover["topics"] == json!(["Lärm"]),
        "{page}"
    );
    let now = here.get(&path).await?;
    ensure!(now["open_round"] == true, "{now}");
    let path = format!("{theirs}/files/{file}");
    let answer = there.send(Method::GET, &path, None, "", Vec::new()).await?;
    ensure!(answer.status.as_u16() == 200, "{answer:?}");
    Rounds { here }
        .round(&second, "cancel", &json!({ "reason": "APPLICATION_WITHDRAWN" }))
        .await?;
    until(here, &ours, |page| page["state"] == "PURGED").await?;
    until(there, &theirs, |page| page["state"] == "PURGED").await?;
    let answer = there.send(Method::GET, &path, None, "", Vec::new()).await?;
    let said: Value = serde_json::from_slice(&answer.body)?;
    ensure!(
        answer.status.as_u16() == 410 && said["code"] == "disclosure_closed",
        "{said}"
    );
    let listed = there
        .get(&format!("/api/v1/contributions?everything=true&round={first}"))
        .await?;
    let kept = &listed["requests"][0];
    ensure!(kept["state"] == "NOTIFIED", "{listed}");
    let path = format!("/api/v1/contributions/{}/files/{file}", text(kept, "id")?);
    let answer = there.send(Method::GET, &path, None, "", Vec::new()).await?;
    ensure!(
        answer.status.as_u16() == 200,
        "the first round shows on: {answer:?}"
    );
    let listed = here.get(&format!("/api/v1/cases/{case}/rounds")).await?;
    ensure!(
        listed["rounds"][0]["state"] == "CONCLUDED" && listed["rounds"][1]["state"] == "CANCELLED",
        "{listed}"
    );
    Ok(())
}
