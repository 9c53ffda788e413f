//! What ends by itself: offers that nobody answers, packages that nobody takes over, content after its grace time.

use anyhow::{Result, ensure};
use serde_json::json;

use super::{taken_over, wait_for};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, authorities, files, number, text};
use crate::suite::{World, cases};

cases! {
    slow TRANSFER_CLOCKS => clocks;
}

async fn clocks(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let quick = "[casework.clocks]\ngrace_days = 0\nrelay_days = 0";
    let federation = authorities(world.federation.subject(), &net, quick).await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let soon = |seconds: u64| (crate::clock::now() + std::time::Duration::from_secs(seconds)).to_rfc3339();
    let offered = async |transaction: &str, seconds: u64| -> Result<(String, String)> {
        let case = here.hand_in(&application(transaction), &files()).await?;
        let wish = json!({ "to": BETA, "situation": "MISDIRECTED", "take_over_until": soon(seconds) });
        let path = format!("/api/v1/cases/{}/transfers", text(&case, "id")?);
        let offered = here.done(&path, number(&case, "version")?, &wish).await?;
        Ok((text(&offered, "id")?.to_owned(), text(&case, "id")?.to_owned()))
    };
    // Nobody answers.
    let (unanswered, case) = offered("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0030", 8).await?;
    // It is accepted and pulled, and nobody takes it over.
    let (idle, idle_case) = offered("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0031", 20).await?;
    there.until(&idle, "OFFERED").await?;
    there.command(&idle, "accept", &json!({})).await?;
    let imported = there.until(&idle, "IMPORTED").await?;
    here.until(&unanswered, "EXPIRED").await?;
    wait_for(&there, &unanswered, |page| {
        page["state"] == "ENDED_BY_SENDER" || page["state"] == "LAPSED"
    })
    .await?;
    here.until(&idle, "RECLAIMED").await?;
    let ended = wait_for(&there, &idle, |page| {
        page["state"] == "ENDED_BY_SENDER" || page["state"] == "LAPSED"
    })
    .await?;
    // What is cleared away meanwhile changes the version.
    let path = format!("/api/v1/transfers/{idle}");
    let take_over = format!("{path}/commands/take-over");
    let mut version = number(&ended, "version")?;
    let refused = loop {
        let (status, refused) = there.post(&take_over, version, &json!({})).await?;
        if status.as_u16() != 412 {
            break refused;
        }
        version = number(&there.get(&path).await?, "version")?;
    };
    ensure!(refused["code"] == "illegal_for_state", "{refused}");
    for case in [case, idle_case] {
        let back = here.get(&format!("/api/v1/cases/{case}")).await?;
        ensure!(back["responsibility"] == "mine", "{back}");
    }
    // What was not taken over is gone over there.
    let case_there = text(&imported, "case")?.to_owned();
    gone(&there, &case_there).await?;
    // After a take-over the content is deleted here once the grace time is over, and that is told; nothing is relayed any more.
    let id = taken_over(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0032").await?;
    let ours = here.get(&format!("/api/v1/transfers/{id}")).await?;
    let case = text(&ours, "case")?.to_owned();
    gone(&here, &case).await?;
    wait_for(&there, &id, |page| page["their_purge"]["node"] == "done").await?;
    let (kind, body) = crate::desk::multipart(None, &[("attachment", "spät.txt", b"x".to_vec())]);
    let late = here
        .send(
            hyper::Method::POST,
            &format!("/api/v1/cases/{case}/late-items"),
            None,
            &kind,
            body,
        )
        .await?;
    ensure!(
        late.status.as_u16() == 409 && String::from_utf8_lossy(&late.body).contains("relay_ended"),
        "{late:?}"
    );
    Ok(())
}

/// Waits until the content of a case is gone.
async fn gone(desk: &Desk, case: &str) -> Result<()> {
    let begun = std::time::Instant::now();
    loop {
        let seen = desk.get(&format!("/api/v1/cases/{case}")).await?;
        if seen["purged_at"].is_string() {
            break;
        }
        ensure!(begun.elapsed().as_secs() < 40, "it is still there: {seen}");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let form = desk
        .send(
            hyper::Method::GET,
            &format!("/api/v1/cases/{case}/form"),
            None,
            "",
            Vec::new(),
        )
        .await?;
    ensure!(
        form.status.as_u16() == 410,
        "the form of a purged case: {}",
        form.status
    );
    Ok(())
}
