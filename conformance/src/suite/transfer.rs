//! Transfers of applications between two nodes, over the interface of each (casework 1 to 3).
//!
//! `whole` to `late` are the course of transfers; the files below have the clocks, the contract as a scripted peer meets it, what goes in
//! and out of a node, the samples, every state, every refusal, keys, tokens, and webhooks.

pub mod clocks;
pub mod contract;
pub mod dossier;
pub mod keys;
pub mod refusals;
pub mod release;
pub mod returns;
pub mod samples;
pub mod states;
pub mod tokens;
pub mod webhooks;

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{World, cases};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, authorities, files, number, text};
use crate::transfers::{self, TransfersPlan};

cases! {
    quick TRANSFER_WHOLE => whole;
    quick TRANSFER_EXITS => exits;
    quick TRANSFER_LATE => late;
    slow TRANSFER_CRASH => crash;
}

/// The form of a case, without what the node's JSON may write differently.
async fn form(desk: &Desk, case: &str) -> Result<Value> {
    desk.get(&format!("/api/v1/cases/{case}/form")).await
}

/// Digests and names of a case's files, in order.
async fn digests(desk: &Desk, case: &str) -> Result<Vec<(String, String)>> {
    let page = desk.get(&format!("/api/v1/cases/{case}/files")).await?;
    let list = page["files"].as_array().cloned().unwrap_or_default();
    list.iter()
        .map(|file| {
            Ok((
                text(file, "original_name")?.to_owned(),
                text(file, "sha512")?.to_owned(),
            ))
        })
        .collect()
}

async fn whole(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = authorities(world.federation.subject(), &net, "").await?;
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let (here, there) = (Desk::at(alpha), Desk::at(beta));
    let form_in = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0001");
    let case = here.hand_in(&form_in, &files()).await?;
    let case_id = text(&case, "id")?.to_owned();
    ensure!(
        form(&here, &case_id).await? == form_in,
        "the form changed at the intake"
    );
    // Handed in again it is the same case.
    let again = here.hand_in(&form_in, &files()).await?;
    ensure!(again["id"] == case["id"], "the same application opened two cases");

    let offered = here.offer(&case, BETA, "COMPETENCE_CHANGED").await?;
    let id = text(&offered, "id")?.to_owned();
    let frozen = here.get(&format!("/api/v1/cases/{case_id}")).await?;
    ensure!(frozen["responsibility"] == "mine_frozen", "{frozen}");
    let seen = there.until(&id, "OFFERED").await?;
    let shown = seen["offer"].to_string();
    for probe in ["ermákovy", "postfach-geheim", "Antrag.pdf", "Hundesteuer", "u-42"] {
        ensure!(!shown.contains(probe), "the offer tells {probe}: {shown}");
    }
    there.command(&id, "accept", &json!({})).await?;
    let imported = there.until(&id, "IMPORTED").await?;
    here.until(&id, "IMPORTED").await?;
    let case_there = text(&imported, "case")?.to_owned();
    let taken = there.command(&id, "take-over", &json!({})).await?;
    ensure!(taken["responsibility"] == "mine", "{taken}");
    let closed_here = here.until(&id, "CLOSED").await?;
    let closed_there = there.until(&id, "CLOSED").await?;
    ensure!(
        closed_here["taken_over_at"] == closed_there["taken_over_at"]
            && closed_here["taken_over_at"].is_string(),
        "two instants: {} and {}",
        closed_here["taken_over_at"],
        closed_there["taken_over_at"]
    );
    ensure!(closed_here["responsibility"] == "theirs", "{closed_here}");
    ensure!(
        form(&there, &case_there).await? == form_in,
        "the form changed on the way"
    );
    ensure!(
        digests(&here, &case_id).await? == digests(&there, &case_there).await?,
        "files changed on the way"
    );
    let arrived = there.get(&format!("/api/v1/cases/{case_there}")).await?;
    ensure!(
        arrived["first_received_at"] == case["first_received_at"],
        "the first receipt changed: {arrived}"
    );
    ensure!(arrived["application_id"] == case["application_id"], "{arrived}");
    // Offer, acceptance, package, one part, import and take-over.
    let messages = closed_here["sent"].as_array().map_or(0, Vec::len)
        + closed_there["sent"].as_array().map_or(0, Vec::len);
    ensure!(
        messages == 5,
        "{messages} messages besides the part that was pulled"
    );
    for page in [&closed_here, &closed_there] {
        for message in page["sent"].as_array().into_iter().flatten() {
            ensure!(message["state"]["state"] == "answered", "{message}");
            ensure!(
                message["state"]["receipt"]["entry"]["leaf"].is_string(),
                "a receipt without its entry: {message}"
            );
        }
    }
    // What happened is told from the beginning, and the answer ends where that is asked for.
    let told = there
        .send(
            hyper::Method::GET,
            "/api/v1/events?until_quiet=true",
            None,
            "",
            Vec::new(),
        )
        .await?;
    let told = String::from_utf8_lossy(&told.body).into_owned();
    for kind in [
        "transfer.offered",
        "transfer.imported",
        "transfer.take_over",
        "transfer.closed",
    ] {
        ensure!(told.contains(&format!("event: {kind}\n")), "no {kind} in {told}");
    }
    // The case has gone: nobody acts on it here.
    let gone = here.get(&format!("/api/v1/cases/{case_id}")).await?;
    here.refused(
        &format!("/api/v1/cases/{case_id}/commands/accept"),
        number(&gone, "version")?,
        &json!({}),
        "not_responsible",
    )
    .await?;
    let disclosed = here.of("officer").get("/api/v1/disclosures?q=ermákovy").await?;
    ensure!(
        disclosed["disclosures"].as_array().map_or(0, Vec::len) == 1,
        "{disclosed}"
    );
    for node in [alpha, beta] {
        for probe in ["ermákovy", "postfach-geheim", "Antrag.pdf"] {
            ensure!(
                !node.log().contains(probe),
                "the log of {} tells {probe}",
                node.name()
            );
        }
    }
    // The instant is proven on both sides without waiting for the next run of time-stamps: after the first none is due for long.
    proven(&here, &there, &id).await?;
    let second = taken_over(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0009").await?;
    proven(&here, &there, &second).await
}

async fn proven(here: &Desk, there: &Desk, id: &str) -> Result<()> {
    for desk in [here, there] {
        wait_for(desk, id, |page| page["take_over_proof"] == "stamped").await?;
    }
    Ok(())
}

async fn exits(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = authorities(world.federation.subject(), &net, "").await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0002"), &files())
        .await?;
    let path = format!("/api/v1/cases/{}", text(&case, "id")?);
    let offers = format!("{path}/transfers");
    let current = async || -> Result<Value> { here.get(&path).await };
    let version = number(&case, "version")?;
    for (wish, code) in [
        (
            json!({ "to": "TEST/GOV/9999", "situation": "MISDIRECTED" }),
            "recipient_unknown",
        ),
        (
            json!({ "to": "TEST/GOV/1001", "situation": "MISDIRECTED" }),
            "recipient_self",
        ),
        (
            json!({ "to": "TEST/GOV", "situation": "MISDIRECTED" }),
            "recipient_malformed",
        ),
        (json!({ "to": BETA, "situation": "ASSISTANCE" }), "assistance"),
        (json!({ "to": BETA, "situation": "NONE" }), "situation_unknown"),
        (
            json!({ "to": BETA, "situation": "MISDIRECTED", "region": "99" }),
            "region_key_invalid",
        ),
    ] {
        here.refused(&offers, version, &wish, code).await?;
    }
    here.refused(
        &offers,
        version + 7,
        &json!({ "to": BETA, "situation": "MISDIRECTED" }),
        "version_mismatch",
    )
    .await?;
    here.of("officer")
        .refused(
            &offers,
            version,
            &json!({ "to": BETA, "situation": "MISDIRECTED" }),
            "role_missing",
        )
        .await?;

    // Withdrawn.
    let id = text(&here.offer(&case, BETA, "MISDIRECTED").await?, "id")?.to_owned();
    there.until(&id, "OFFERED").await?;
    let frozen = current().await?;
    here.refused(
        &offers,
        number(&frozen, "version")?,
        &json!({ "to": BETA, "situation": "MISDIRECTED" }),
        "second_offer",
    )
    .await?;
    here.refused(
        &format!("{path}/commands/accept"),
        number(&frozen, "version")?,
        &json!({}),
        "frozen",
    )
    .await?;
    let seen = there.get(&format!("/api/v1/transfers/{id}")).await?;
    let refused = there
        .refused(
            &format!("/api/v1/transfers/{id}/commands/take-over"),
            number(&seen, "version")?,
            &json!({}),
            "illegal_for_state",
        )
        .await?;
    ensure!(
        refused["legal"]
            .as_array()
            .is_some_and(|legal| legal.contains(&json!("accept"))),
        "{refused}"
    );
    here.command(&id, "withdraw", &json!({})).await?;
    there.until(&id, "ENDED_BY_SENDER").await?;
    ensure!(
        current().await?["responsibility"] == "mine",
        "not back after a withdrawal"
    );

    // Asked, answered, refused with a suggestion.
    let id = text(&here.offer(&current().await?, BETA, "MISDIRECTED").await?, "id")?.to_owned();
    there.until(&id, "OFFERED").await?;
    there
        .command(&id, "query", &json!({ "question": "WHY_US" }))
        .await?;
    let asked = wait_for(&here, &id, |page| page["questions"][0]["question"] == "WHY_US").await?;
    ensure!(asked["state"] == "OFFERED", "{asked}");
    let words = json!({ "text": "Umzug", "free_of_personal_data": true });
    here.command(&id, "answer", &json!({ "answer": "IN_WORDS", "words": words }))
        .await?;
    wait_for(&there, &id, |page| page["questions"][0]["answer"].is_array()).await?;
    let unconfirmed = json!({ "reason": "OTHER", "words": { "text": "x", "free_of_personal_data": false } });
    let now = there.get(&format!("/api/v1/transfers/{id}")).await?;
    there
        .refused(
            &format!("/api/v1/transfers/{id}/commands/refuse"),
            number(&now, "version")?,
            &unconfirmed,
            "message_invalid",
        )
        .await?;
    there
        .command(
            &id,
            "refuse",
            &json!({ "reason": "NOT_COMPETENT_PLACE", "suggestion": "TEST/GOV/1001" }),
        )
        .await?;
    let back = here.until(&id, "REFUSED").await?;
    ensure!(back["suggestion"] == "TEST/GOV/1001", "{back}");
    let returned = current().await?;
    ensure!(
        returned["responsibility"] == "mine" && returned["hops"][0]["outcome"] == "REFUSED",
        "{returned}"
    );

    // To the same one again only once a person has looked; then disputed.
    here.refused(
        &offers,
        number(&returned, "version")?,
        &json!({ "to": BETA, "situation": "MISDIRECTED" }),
        "circle_refused_before",
    )
    .await?;
    let wish = json!({ "to": BETA, "situation": "MISDIRECTED", "confirmed": true });
    let id = text(
        &here.done(&offers, number(&returned, "version")?, &wish).await?,
        "id",
    )?
    .to_owned();
    there.until(&id, "OFFERED").await?;
    there.command(&id, "dispute", &json!({})).await?;
    here.until(&id, "DISPUTED").await?;

    // Recalled after the package went, and deleted there.
    let wish = json!({ "to": BETA, "situation": "MISDIRECTED", "confirmed": true });
    let id = text(
        &here
            .done(&offers, number(&current().await?, "version")?, &wish)
            .await?,
        "id",
    )?
    .to_owned();
    there.until(&id, "OFFERED").await?;
    there.command(&id, "accept", &json!({})).await?;
    let imported = there.until(&id, "IMPORTED").await?;
    here.until(&id, "IMPORTED").await?;
    here.command(&id, "recall", &json!({ "recall_reason": "WRONG_RECIPIENT" }))
        .await?;
    there.until(&id, "RECALLED").await?;
    here.until(&id, "RECALLED").await?;
    ensure!(
        current().await?["responsibility"] == "mine",
        "not back after a recall"
    );
    let case_there = text(&imported, "case")?.to_owned();
    let there_path = format!("/api/v1/cases/{case_there}");
    // What is held is not deleted, and nobody is told that it was.
    let officer = there.of("officer");
    let held = officer.get(&there_path).await?;
    let hold = json!({ "change": "hold", "ground": "Rechtsstreit" });
    let held = officer
        .done(&format!("{there_path}/changes"), number(&held, "version")?, &hold)
        .await?;
    let recalled = there.get(&format!("/api/v1/transfers/{id}")).await?;
    let answer = format!("/api/v1/transfers/{id}/commands/answer-recall");
    there
        .refused(
            &answer,
            number(&recalled, "version")?,
            &json!({ "purged": true }),
            "on_hold",
        )
        .await?;
    officer
        .done(
            &format!("{there_path}/changes"),
            number(&held, "version")?,
            &json!({ "change": "unhold" }),
        )
        .await?;
    there
        .command(&id, "answer-recall", &json!({ "purged": true }))
        .await?;
    let seen = there.get(&there_path).await?;
    ensure!(
        seen["purged_at"].is_string(),
        "it is told as deleted and is still there: {seen}"
    );
    wait_for(&here, &id, |page| page["their_purge"]["node"] == "done").await?;
    let gone = there
        .send(
            hyper::Method::GET,
            &format!("/api/v1/cases/{case_there}/form"),
            None,
            "",
            Vec::new(),
        )
        .await?;
    ensure!(
        gone.status.as_u16() == 410,
        "the form of a purged case: {}",
        gone.status
    );

    // A copy moves nothing, a delegation only the work.
    let wish = json!({ "to": BETA, "situation": "COPY", "confirmed": true });
    let id = text(
        &here
            .done(&offers, number(&current().await?, "version")?, &wish)
            .await?,
        "id",
    )?
    .to_owned();
    there.until(&id, "OFFERED").await?;
    there.command(&id, "accept", &json!({})).await?;
    there.until(&id, "CLOSED").await?;
    let copied = here.until(&id, "CLOSED").await?;
    ensure!(copied["responsibility"] == "mine", "{copied}");
    let wish = json!({ "to": BETA, "situation": "DELEGATION", "confirmed": true });
    let id = text(
        &here
            .done(&offers, number(&current().await?, "version")?, &wish)
            .await?,
        "id",
    )?
    .to_owned();
    there.until(&id, "OFFERED").await?;
    there.command(&id, "accept", &json!({})).await?;
    there.until(&id, "IMPORTED").await?;
    here.until(&id, "IMPORTED").await?;
    there.command(&id, "take-over", &json!({})).await?;
    let (ours, theirs) = (
        here.until(&id, "CLOSED").await?,
        there.until(&id, "CLOSED").await?,
    );
    ensure!(
        ours["responsibility"] == "mine_delegated" && theirs["responsibility"] == "theirs_delegated",
        "{} and {}",
        ours["responsibility"],
        theirs["responsibility"]
    );
    Ok(())
}

/// Waits until a transfer looks like this here.
pub(super) async fn wait_for(desk: &Desk, transfer: &str, looks: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = std::time::Instant::now();
    loop {
        let page = desk.get(&format!("/api/v1/transfers/{transfer}")).await?;
        if looks(&page) {
            return Ok(page);
        }
        ensure!(begun.elapsed().as_secs() < 30, "not in time: {page}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// A transfer up to its take-over; gives its id.
pub(super) async fn taken_over(here: &Desk, there: &Desk, transaction: &str) -> Result<String> {
    let case = here.hand_in(&application(transaction), &files()).await?;
    let id = text(&here.offer(&case, BETA, "COMPETENCE_CHANGED").await?, "id")?.to_owned();
    there.until(&id, "OFFERED").await?;
    there.command(&id, "accept", &json!({})).await?;
    there.until(&id, "IMPORTED").await?;
    there.command(&id, "take-over", &json!({})).await?;
    here.until(&id, "CLOSED").await?;
    Ok(id)
}

async fn crash(world: &World) -> Result<()> {
    let plan = TransfersPlan {
        transfers: 48,
        at_once: 12,
        kills: 6,
        seed: 7,
        packages: Some(8),
        aloud: false,
    };
    let report = transfers::run(world.federation.subject(), plan).await?;
    ensure!(report.wrong.is_empty(), "{}", report.wrong.join("\n"));
    ensure!(
        report.opinions.agreements == 24,
        "the evidence of 8 transfers, from either node and from both: {:?}",
        report.opinions
    );
    ensure!(
        report.kills > 0,
        "only {} kills: the transfers were over too soon",
        report.kills
    );
    Ok(())
}

async fn late(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = authorities(world.federation.subject(), &net, "").await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0003"), &files())
        .await?;
    let id = text(&here.offer(&case, BETA, "COMPETENCE_CHANGED").await?, "id")?.to_owned();
    let send = async |name: &str| -> Result<()> {
        let (kind, body) = crate::desk::multipart(
            None,
            &[("attachment", name, b"%PDF-1.4 nachgereicht (fiktiv)".to_vec())],
        );
        let path = format!("/api/v1/cases/{}/late-items", text(&case, "id")?);
        let answer = here.send(hyper::Method::POST, &path, None, &kind, body).await?;
        ensure!(
            answer.status.as_u16() == 202,
            "{}: {:?}",
            answer.status,
            answer.body
        );
        Ok(())
    };
    there.until(&id, "OFFERED").await?;
    there.command(&id, "accept", &json!({})).await?;
    there.until(&id, "IMPORTED").await?;
    // While the copy is frozen it waits.
    send("frozen.pdf").await?;
    there.command(&id, "take-over", &json!({})).await?;
    here.until(&id, "CLOSED").await?;
    send("später.pdf").await?;
    let arrived = wait_for(&there, &id, |page| {
        let items = page["late_items"].as_array().cloned().unwrap_or_default();
        items.len() == 2 && items.iter().all(|item| item["imported"] == true)
    })
    .await?;
    ensure!(
        arrived["late_items"][0]["before_take_over"] == true
            && arrived["late_items"][1]["before_take_over"] == false,
        "{arrived}"
    );
    let names = digests(&there, text(&arrived, "case")?).await?;
    for name in ["frozen.pdf", "später.pdf"] {
        ensure!(
            names.iter().any(|(known, _)| known == name),
            "{name} is not in the case: {names:?}"
        );
    }
    let notice = there
        .get(&format!("/api/v1/transfers/{id}/notice?language=de"))
        .await?;
    ensure!(text(&notice, "text")?.contains("zuständig"), "{notice}");
    Ok(())
}
