//! What goes with an application besides form and files: messages, questions, decisions, payment, history, references, and the
//! comments that their authors let go.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::wait_for;
use crate::address::Net;
use crate::desk::{BETA, Desk, application, authorities, files, multipart, number, text};
use crate::suite::{World, cases};

cases! {
    quick TRANSFER_DOSSIER => dossier;
}

/// Replaces the dossier of a case as it is now; gives status and page.
async fn put(desk: &Desk, case: &str, dossier: &Value) -> Result<(u16, Value)> {
    let path = format!("/api/v1/cases/{case}");
    let version = number(&desk.get(&path).await?, "version")?;
    let answer = desk
        .send(
            Method::PUT,
            &format!("{path}/dossier"),
            Some(version),
            "application/json",
            dossier.to_string().into_bytes(),
        )
        .await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}

/// A change of a case as it is now.
async fn change(desk: &Desk, case: &str, change: &Value) -> Result<()> {
    let path = format!("/api/v1/cases/{case}");
    let version = number(&desk.get(&path).await?, "version")?;
    desk.done(&format!("{path}/changes"), version, change).await?;
    Ok(())
}

fn written(file: &str) -> Value {
    json!({
        "messages": [{
            "message_id": "m-1", "direction": "TO_APPLICANT", "subject": "Nachweis (fiktiv)", "body": "Bitte nachreichen: Größe ŵ.",
            "reply_allowed": true, "attachments": [file], "created_at": "2026-05-04T11:00:00Z", "sent_at": "2026-05-04T11:05:00Z",
        }],
        "open_questions": [{
            "question_id": "q-1", "text": "Nachweis (fiktiv)?", "asked_at": "2026-05-04T11:05:00Z", "due": "2026-05-18",
            "message_id": "m-1", "state": "OPEN",
        }],
        "decisions": [{
            "decision_id": "d-1", "kind": "INTERIM", "date": "2026-05-05", "documents": [file], "sent_at": "2026-05-05T08:00:00Z",
        }],
        "payment": {
            "transactionReference": "FIKTIV-1", "transactionId": "x-1", "paymentMethod": "CREDITCARD", "status": "BOOKED",
            "grossAmount": "26.50", "currency": "EUR",
        },
        "parties": [{ "role": "REPRESENTATIVE", "family_name": "Śliwka (fiktiv)", "power_of_attorney": "vom 1.5." }],
        "retention": { "period_years": 10, "basis": "Beispiel", "starts": "CASE_CLOSED", "offer_to_archive": true },
        "of_this_system": { "kept": [1, "zwei"] },
    })
}

async fn dossier(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = authorities(world.federation.subject(), &net, "").await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let form = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0d05");
    let opened = here.hand_in(&form, &files()).await?;
    let case = text(&opened, "id")?.to_owned();
    let path = format!("/api/v1/cases/{case}");
    // A decision is a file of its own.
    let (kind, body) = multipart(
        None,
        &[("decision", "Bescheid (fiktiv).pdf", b"%PDF-1.7 Bescheid".to_vec())],
    );
    let add = |version| {
        let (here, path, kind, body) = (here.clone(), format!("{path}/files"), kind.clone(), body.clone());
        async move { here.send(Method::POST, &path, Some(version), &kind, body).await }
    };
    ensure!(
        add(99).await?.status.as_u16() == 412,
        "files are added to any version"
    );
    let added = add(number(&opened, "version")?).await?;
    let added: Value = serde_json::from_slice(&added.body)?;
    ensure!(
        added["files"][0]["role"] == "decision"
            && added["files"][0]["detected_media_type"] == "application/pdf",
        "{added}"
    );
    let file = text(&added["files"][0], "file_id")?.to_owned();
    let (kind, unknown) = multipart(None, &[("formData2", "x", Vec::new())]);
    let version = Some(number(&here.get(&path).await?, "version")?);
    let answer = here
        .send(Method::POST, &format!("{path}/files"), version, &kind, unknown)
        .await?;
    ensure!(
        answer.status.as_u16() == 400,
        "a part of no kind is taken: {}",
        answer.status
    );
    // What it is not is refused with the place, and leaves nothing.
    for (wrong, code, pointer) in [
        (
            json!({ "messages": [{ "message_id": "m" }] }),
            "dossier_malformed",
            "",
        ),
        (
            written("another"),
            "dossier_file_unknown",
            "/messages/0/attachments/0",
        ),
        (
            json!({ "open_questions": [{
                "question_id": "q", "text": "t", "asked_at": "2026-05-04T11:05:00Z", "state": "OPEN", "message_id": "m-9",
            }] }),
            "dossier_message_unknown",
            "/open_questions/0/message_id",
        ),
    ] {
        let (status, page) = put(&here, &case, &wrong).await?;
        let at = page["pointer"].as_str().unwrap_or_default();
        ensure!(
            status == 422 && page["code"] == code && at == pointer,
            "{status} {page} instead of {code} at {pointer}"
        );
    }
    // What is larger than any dossier is not read to its end.
    let (status, page) = put(&here, &case, &json!({ "x": "x".repeat(4 << 20) })).await?;
    ensure!(
        status == 413 && page["code"] == "body_too_large",
        "{status}: {page}"
    );
    ensure!(
        here.get(&format!("{path}/dossier")).await?["dossier"] == json!({}),
        "a refused dossier was taken"
    );
    let (status, page) = put(&here, &case, &written(&file)).await?;
    ensure!(status == 200, "{status}: {page}");
    let version = number(&page, "version")?;
    here.done(&format!("{path}/commands/accept"), version, &json!({}))
        .await?;
    for wanted in [
        json!({ "change": "reference", "reference": "AZ 12/26 (fiktiv)" }),
        json!({ "change": "comment", "text": "bleibt im Haus (fiktiv)" }),
        json!({ "change": "comment", "text": "geht mit (fiktiv)", "travels": true }),
        json!({ "change": "follow_up", "date": "2026-06-01", "text": "Antwort da? (fiktiv)" }),
    ] {
        change(&here, &case, &wanted).await?;
    }
    let before = here.get(&path).await?;
    let offered = here.offer(&before, BETA, "COMPETENCE_CHANGED").await?;
    let id = text(&offered, "id")?.to_owned();
    let seen = there.until(&id, "OFFERED").await?;
    let flags = &seen["offer"]["flags"];
    ensure!(
        flags["payment_done"] == true && flags["decision_exists"] == true && flags["open_question"] == true,
        "the offer does not say what there is: {flags}"
    );
    for probe in ["Śliwka", "FIKTIV-1", "Nachweis", "AZ 12/26"] {
        ensure!(
            !seen["offer"].to_string().contains(probe),
            "the offer tells {probe}"
        );
    }
    // While it is offered the copy is frozen.
    let (status, page) = put(&here, &case, &json!({})).await?;
    ensure!(status == 409 && page["code"] == "frozen", "{status}: {page}");
    there.command(&id, "accept", &json!({})).await?;
    let imported = wait_for(&there, &id, |page| page["state"] == "IMPORTED").await?;
    let case_there = text(&imported, "case")?.to_owned();
    there.command(&id, "take-over", &json!({})).await?;
    here.until(&id, "CLOSED").await?;
    let arrived = there.get(&format!("/api/v1/cases/{case_there}/dossier")).await?;
    let told = &arrived["dossier"];
    for (name, value) in written(&file).as_object().into_iter().flatten() {
        // Members without a value are written as none.
        let differs = match value {
            Value::Array(items) => items.iter().enumerate().any(|(place, item)| {
                item.as_object()
                    .into_iter()
                    .flatten()
                    .any(|(member, value)| told[name][place][member] != *value)
            }),
            Value::Object(members) => members.iter().any(|(member, value)| told[name][member] != *value),
            _ => told[name] != *value,
        };
        ensure!(!differs, "{name} changed on the way: {}", told[name]);
    }
    let listed = there.get(&format!("/api/v1/cases/{case_there}/files")).await?;
    let arrived_file = listed["files"]
        .as_array()
        .and_then(|files| files.iter().find(|it| it["file_id"] == file));
    ensure!(
        arrived_file.is_some_and(|it| it["role"] == "decision"),
        "the decision did not arrive under its id: {listed}"
    );
    ensure!(
        told["references"]
            == json!([
                { "authority": "TEST/GOV/1001", "kind": "CASE_NUMBER", "value": before["number"] },
                { "authority": "TEST/GOV/1001", "kind": "FILE_REFERENCE", "value": "AZ 12/26 (fiktiv)" },
            ]),
        "{}",
        told["references"]
    );
    let history = &told["history"];
    ensure!(
        history[0]["command"] == "accept" && history[0]["role"] == "worker" && history[0]["to"] == "ACCEPTED",
        "{history}"
    );
    ensure!(
        told["follow_ups"] == json!([{ "due": "2026-06-01", "text": "Antwort da? (fiktiv)" }]),
        "{}",
        told["follow_ups"]
    );
    ensure!(
        told["comments"].as_array().map_or(0, Vec::len) == 1
            && told["comments"][0]["text"] == "geht mit (fiktiv)"
            && !arrived.to_string().contains("bleibt im Haus"),
        "comments: {arrived}"
    );
    // Whoever handed over writes nothing any more.
    let (status, page) = put(&here, &case, &json!({})).await?;
    ensure!(
        status == 409 && page["code"] == "not_responsible",
        "{status}: {page}"
    );
    Ok(())
}
