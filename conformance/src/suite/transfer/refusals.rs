//! What a desk or a form service gets that brings something that cannot be: a status, a stable code, a sentence, and what to do.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::wait_for;
use crate::address::Net;
use crate::authority::OcspSays;
use crate::desk::{BETA, Desk, application, files, multipart, number, settings, text};
use crate::federation::Federation;
use crate::peer::provider::{Listening, Reaction, Reply};
use crate::plan::{NodePlan, PeerPlan};
use crate::scripted::{offer as scripted_offer, told};
use crate::suite::{World, cases};

cases! {
    quick TRANSFER_REFUSALS => refusals;
}

/// A request of this desk that is refused.
async fn refused(
    desk: &Desk,
    method: Method,
    path: &str,
    kind: &str,
    body: Vec<u8>,
    status: u16,
    code: &str,
) -> Result<Value> {
    let answer = desk.send(method.clone(), path, Some(1), kind, body).await?;
    let page: Value = serde_json::from_slice(&answer.body)?;
    ensure!(
        answer.status.as_u16() == status && page["code"] == code,
        "{method} {path}: {} instead of {status} {code}: {page}",
        answer.status
    );
    ensure!(page["detail"].as_str().is_some_and(|it| !it.is_empty()), "{page}");
    Ok(page)
}

async fn refusals(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", "")))
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .peer(PeerPlan::new("delta", "1004", "portal"))
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(world.federation.subject())
        .await?;
    let here = Desk::at(federation.node("alpha"));
    intake(&here).await?;
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f4a0001"), &files())
        .await?;
    commands(&here, &case).await?;
    recipients(&federation, &here, &case).await?;
    as_receiver(&federation).await
}

/// The intake refuses only what it cannot read or store; everything else is a case.
async fn intake(here: &Desk) -> Result<()> {
    let service = here.of("form service");
    let post = async |body: (String, Vec<u8>), status, code| {
        refused(&service, Method::POST, "/antrag", &body.0, body.1, status, code).await
    };
    let form = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f4a0000");
    post(("text/plain".into(), b"x".to_vec()), 400, "malformed").await?;
    post(
        multipart(None, &[("attachment", "a", b"x".to_vec())]),
        422,
        "form_missing",
    )
    .await?;
    post(
        multipart(Some(&form), &[("anlage", "a", b"x".to_vec())]),
        422,
        "part_unknown",
    )
    .await?;
    let many: Vec<_> = (0..501).map(|_| ("attachment", "a", Vec::new())).collect();
    post(multipart(Some(&form), &many), 413, "too_many_files").await?;
    let (kind, mut twice) = multipart(Some(&form), &[]);
    let once = twice.clone();
    twice.truncate(twice.len() - "--kontor-conformance-7d1f--\r\n".len());
    twice.extend_from_slice(&once);
    post((kind.clone(), twice), 422, "form_twice").await?;
    let mut cut = once.clone();
    cut.truncate(once.len() / 2);
    post((kind, cut), 400, "malformed").await?;
    for broken in [json!([]), json!({ "control": {}, "formData": [] })] {
        let (kind, body) = multipart(Some(&broken), &[]);
        let answer = service.send(Method::POST, "/antrag", None, &kind, body).await?;
        let page: Value = serde_json::from_slice(&answer.body)?;
        ensure!(
            answer.status.as_u16() == 422 && page["code"].is_string() && page["pointer"].is_string(),
            "{broken}: {page}"
        );
    }
    // The same again is the same case; other content under its id is another one, which somebody has to look at.
    let first = here.hand_in(&form, &files()).await?;
    let again = here.hand_in(&form, &files()).await?;
    ensure!(first["id"] == again["id"], "{again}");
    let other = here
        .hand_in(&form, &[("attachment", "andere.txt", b"x".to_vec())])
        .await?;
    ensure!(
        other["id"] != first["id"] && other["findings"][0]["code"] == "transaction_id_again",
        "{other}"
    );
    Ok(())
}

async fn commands(here: &Desk, case: &Value) -> Result<()> {
    let path = format!("/api/v1/cases/{}", text(case, "id")?);
    let json = "application/json";
    let unknown = refused(
        here,
        Method::POST,
        &format!("{path}/commands/verschwinde"),
        json,
        Vec::new(),
        404,
        "command_unknown",
    )
    .await?;
    ensure!(unknown["legal"] == json!(["accept", "discard"]), "{unknown}");
    let answer = here
        .send(
            Method::POST,
            &format!("{path}/commands/accept"),
            None,
            json,
            Vec::new(),
        )
        .await?;
    ensure!(
        answer.status.as_u16() == 428,
        "without a version: {}",
        answer.status
    );
    for (to, body, status, code) in [
        (
            "changes",
            json!({ "change": "anders" }).to_string(),
            400,
            "malformed",
        ),
        (
            "changes",
            json!({ "change": "comment", "text": "" }).to_string(),
            422,
            "text_length",
        ),
        (
            "changes",
            json!({ "change": "follow_up_done", "id": "nie" }).to_string(),
            404,
            "not_found",
        ),
        (
            "changes",
            json!({ "change": "release", "finding": 7, "ground": "x" }).to_string(),
            403,
            "role_missing",
        ),
        (
            "assignment",
            json!({ "unit": "" }).to_string(),
            422,
            "text_length",
        ),
        ("assignment", "{".to_owned(), 400, "malformed"),
        (
            "export",
            json!({ "is_there": true }).to_string(),
            409,
            "nothing_uncertain",
        ),
        (
            "transfers",
            json!({ "to": BETA, "situation": "MISDIRECTED", "take_over_until": "2020-01-01T00:00:00Z" })
                .to_string(),
            422,
            "offer_no_time",
        ),
        ("transfers", json!({ "to": BETA }).to_string(), 400, "malformed"),
    ] {
        refused(
            here,
            Method::POST,
            &format!("{path}/{to}"),
            json,
            body.into_bytes(),
            status,
            code,
        )
        .await?;
    }
    refused(
        here,
        Method::POST,
        &format!("{path}/changes"),
        json,
        vec![b' '; 300 * 1024],
        413,
        "body_too_large",
    )
    .await?;
    refused(
        here,
        Method::GET,
        &format!("{path}/recipients"),
        "",
        Vec::new(),
        409,
        "no_directory",
    )
    .await?;
    refused(
        here,
        Method::GET,
        &format!("{path}/files/none"),
        "",
        Vec::new(),
        404,
        "not_found",
    )
    .await?;
    refused(
        here,
        Method::GET,
        "/api/v1/cases?limit=0",
        "",
        Vec::new(),
        400,
        "malformed",
    )
    .await?;
    refused(
        here,
        Method::GET,
        "/api/v1/events?after=x",
        "",
        Vec::new(),
        400,
        "malformed",
    )
    .await?;
    refused(
        here,
        Method::GET,
        "/api/v1/nirgends",
        "",
        Vec::new(),
        404,
        "not_found",
    )
    .await?;
    refused(
        here,
        Method::DELETE,
        &path,
        "",
        Vec::new(),
        405,
        "method_not_allowed",
    )
    .await?;
    refused(
        here,
        Method::GET,
        &format!("/api/v1/cases?q={}", "x".repeat(5000)),
        "",
        Vec::new(),
        414,
        "uri_too_long",
    )
    .await?;
    let nobody = "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f4affff";
    refused(
        here,
        Method::GET,
        &format!("/api/v1/cases/{nobody}"),
        "",
        Vec::new(),
        404,
        "not_found",
    )
    .await?;
    refused(
        here,
        Method::GET,
        &format!("/api/v1/transfers/{nobody}"),
        "",
        Vec::new(),
        404,
        "not_found",
    )
    .await?;
    let (kind, body) = multipart(None, &[("attachment", "spät.txt", b"x".to_vec())]);
    refused(
        here,
        Method::POST,
        &format!("{path}/late-items"),
        &kind,
        body,
        409,
        "not_handed_over",
    )
    .await?;
    Ok(())
}

/// Recipients that cannot be offered anything, and what a transfer does not take.
async fn recipients(federation: &Federation, here: &Desk, case: &Value) -> Result<()> {
    let offers = format!("/api/v1/cases/{}/transfers", text(case, "id")?);
    let version = number(case, "version")?;
    // A member without the subsystem, and one whose node does not offer the service.
    let wish = |to: &str| json!({ "to": to, "situation": "MISDIRECTED" });
    here.refused(&offers, version, &wish("TEST/GOV/1004"), "recipient_without_node")
        .await?;
    let gamma = federation.peer("gamma");
    let listening = Listening::start(gamma, federation.authority()).await?;
    let signer = gamma.signer.clone();
    let ocsp = federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    listening.react(move |seen| {
        let reply = Reply::to(seen, br#"{"service":[]}"#)?.header("Content-Type", "application/json");
        Ok(Reaction::Parts(reply.sign(&signer, std::slice::from_ref(&ocsp))))
    });
    here.refused(&offers, version, &wish("TEST/GOV/1003"), "recipient_without_node")
        .await?;
    let page = here.done(&offers, version, &wish(BETA)).await?;
    let id = text(&page, "id")?;
    let path = format!("/api/v1/transfers/{id}");
    let command = |name: &str| format!("{path}/commands/{name}");
    let unknown = here.post(&command("weg"), 1, &json!({})).await?;
    ensure!(
        unknown.0.as_u16() == 404
            && unknown.1["code"] == "command_unknown"
            && unknown.1["legal"].as_array().is_some_and(|it| it.len() == 3),
        "{}",
        unknown.1
    );
    let now = wait_for(here, id, |page| page["sent"][0]["state"]["state"] == "answered").await?;
    let version = number(&now, "version")?;
    here.refused(&command("recall"), version, &json!({}), "member_missing")
        .await?;
    here.refused(
        &command("answer"),
        version,
        &json!({ "answer": "YES" }),
        "no_question",
    )
    .await?;
    here.refused(
        &format!("{path}/parked/retry"),
        version,
        &json!({}),
        "nothing_parked",
    )
    .await?;
    refused(
        here,
        Method::GET,
        &format!("{path}/notice"),
        "",
        Vec::new(),
        409,
        "not_taken_over",
    )
    .await?;
    Ok(())
}

/// What another node brings: more than there is room for, a package that is not what was offered, clocks far apart.
async fn as_receiver(federation: &Federation) -> Result<()> {
    let there = Desk::at(federation.node("beta"));
    there.get("/api/v1/status").await?;
    let gamma = federation.peer("gamma");
    let id = "6f2504e0-4f89-41d3-9a0c-0305e82c3302";
    let huge =
        scripted_offer(id, "2098-12-31T23:00:00Z").replace("\"octets\":5", "\"octets\":4000000000000000");
    let (status, page) = told(
        federation,
        "beta",
        gamma,
        "PUT",
        &format!("/v1/transfers/{id}/sender/1/offer"),
        &huge,
    )
    .await?;
    ensure!(status == 202, "{status}: {page}");
    let seen = there.until(id, "OFFERED").await?;
    let (status, page) = there
        .post(
            &format!("/api/v1/transfers/{id}/commands/accept"),
            number(&seen, "version")?,
            &json!({}),
        )
        .await?;
    ensure!(
        status.as_u16() == 507 && page["code"] == "disk_low" && page["hint"].is_string(),
        "{status}: {page}"
    );
    let (status, page) = told(
        federation,
        "beta",
        gamma,
        "PUT",
        &format!("/v1/transfers/{id}/sender/2/withdraw"),
        &" ".repeat(1100 * 1024),
    )
    .await?;
    ensure!(
        status == 413 && page["code"] == "message_too_large",
        "{status}: {page}"
    );
    let (status, page) = told(
        federation,
        "beta",
        gamma,
        "POST",
        &format!("/v1/transfers/{id}/sender/2/withdraw"),
        "{}",
    )
    .await?;
    ensure!(
        status == 405 && page["code"] == "method_not_allowed",
        "{status}: {page}"
    );
    Ok(())
}
