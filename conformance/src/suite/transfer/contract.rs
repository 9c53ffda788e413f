//! A node's service `transfer` as a scripted peer meets it: signed messages of the contract, right and wrong (casework 1).

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::address::Net;
use crate::desk::{Desk, settings, text};
use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::consumer::Ask;
use crate::plan::{NodePlan, PeerPlan};
use crate::suite::{World, cases, fresh};

cases! {
    quick TRANSFER_MESSAGES => messages;
}

/// What a peer's message to a node is answered: status and document.
pub(super) async fn told(
    federation: &Federation,
    node: &str,
    peer: &Peer,
    verb: &str,
    path: &str,
    body: &str,
) -> Result<(u16, Value)> {
    let node = federation.node(node);
    let target = format!("/r1/{}/transfer{path}", node.client_id("KONTOR"));
    let ask = Ask::new(peer, verb, &target, &fresh("message"));
    let ask = if body.is_empty() { ask } else { ask.body(body) };
    let answered = ask
        .sign(peer, &peer.signer, federation.authority())?
        .send(node.federation())
        .await?;
    let (head, body, _) = answered.message()?;
    let page = body
        .filter(|body| !body.is_empty())
        .map(serde_json::from_slice)
        .transpose()?;
    Ok((head.first.parse()?, page.unwrap_or(Value::Null)))
}

/// An offer of a scripted peer; `until` is the last instant for an answer and a take-over.
pub(super) fn scripted_offer(transfer: &str, until: &str) -> String {
    let deadline = json!({
        "rule": { "kind": "until", "date": "2098-12-31" }, "trigger": "2026-01-05T08:00:00Z", "place": { "land": "SH" },
        "zone": "Europe/Berlin", "holidays": "2026-1", "raw_end": null, "effective_end": "2098-12-31", "ends_at": until, "steps": [],
    });
    let offer = json!({
        "transfer_id": transfer, "application_id": "5f2504e0-4f89-41d3-9a0c-0305e82c3301", "situation": "MISDIRECTED",
        "service": "99102013104000", "region": "010020000000", "first_received_at": "2026-01-05T07:00:00Z",
        "running_deadlines": [], "files": 1, "octets": 5, "flags": {}, "answer_wanted_by": deadline,
        "take_over_until": until, "manifest": "0".repeat(64), "test": true,
    });
    json!({ "contract": "kontor-transfer/1", "kind": "offer", "sent_at": "2026-01-05T08:00:00Z", "test": true, "offer": offer })
        .to_string()
}

async fn messages(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", "")))
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .peer(PeerPlan::new("delta", "1004", "KONTOR"))
        .group(
            "KONTOR",
            &[("1002", "KONTOR"), ("1003", "KONTOR"), ("1004", "KONTOR")],
        )
        .start(world.federation.subject())
        .await?;
    let there = Desk::at(federation.node("beta"));
    there.get("/api/v1/status").await?;
    let (gamma, delta) = (federation.peer("gamma"), federation.peer("delta"));
    let id = "6f2504e0-4f89-41d3-9a0c-0305e82c3301";
    let at = |rest: &str| format!("/v1/transfers/{id}/{rest}");
    let offer = scripted_offer(id, "2098-12-31T23:00:00Z");
    let say = |kind: &str, more: Value| {
        let mut body = json!({ "contract": "kontor-transfer/1", "kind": kind, "sent_at": "2026-01-05T08:00:00Z", "test": true });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        body.to_string()
    };
    // Nothing can come before the offer.
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/1/withdraw"),
        &say("withdraw", json!({})),
    )
    .await?;
    ensure!(status == 404, "{status}: {page}");
    for (path, body, code) in [
        (at("sender/2/offer"), offer.clone(), "gap"),
        (at("sender/1/offer"), say("offer", json!({})), "message_malformed"),
        (
            at("sender/1/offer"),
            offer.replace("transfer/1", "transfer/2"),
            "contract_unknown",
        ),
        (
            at("sender/1/offer"),
            offer.replace("\"test\":true", "\"test\":false"),
            "test_mismatch",
        ),
        (at("sender/1/expire"), offer.clone(), "kind_mismatch"),
        (
            at("sender/1/offer"),
            offer.replace("\"files\":1", "\"files\":0"),
            "message_invalid",
        ),
        (
            format!("/v1/transfers/{}/sender/1/offer", id.replace("6f", "7f")),
            offer.clone(),
            "id_mismatch",
        ),
        (at("nobody/1/offer"), offer.clone(), "unknown_path"),
        ("/v2/transfers".to_owned(), offer.clone(), "unknown_path"),
    ] {
        let (status, page) = told(&federation, "beta", gamma, "PUT", &path, &body).await?;
        ensure!(
            (400..500).contains(&status) && page["code"] == code,
            "{path}: {status} instead of {code}: {page}"
        );
    }
    // Taken once; again the very same answer; with other bytes a conflict.
    let (status, receipt) = told(&federation, "beta", gamma, "PUT", &at("sender/1/offer"), &offer).await?;
    ensure!(
        status == 202 && receipt["answer"] == "taken",
        "{status}: {receipt}"
    );
    ensure!(
        receipt["entry"]["log"] == "TEST/GOV/1002/ss-beta" && receipt["x_road_id"].is_string(),
        "{receipt}"
    );
    let (status, again) = told(&federation, "beta", gamma, "PUT", &at("sender/1/offer"), &offer).await?;
    ensure!(status == 202 && again == receipt, "{again} instead of {receipt}");
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/1/offer"),
        &offer.replace("\"octets\":5", "\"octets\":6"),
    )
    .await?;
    ensure!(status == 409 && page["code"] == "other_bytes", "{status}: {page}");
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/3/withdraw"),
        &say("withdraw", json!({})),
    )
    .await?;
    ensure!(
        status == 409 && page["code"] == "gap" && text(&page, "detail")?.contains("2 is expected"),
        "{status}: {page}"
    );
    // Of a stranger, or of the wrong side, there is no such transfer.
    for (peer, path, kind) in [
        (delta, at("sender/2/withdraw"), "withdraw"),
        (gamma, at("receiver/1/accept"), "accept"),
    ] {
        let (status, page) = told(&federation, "beta", peer, "PUT", &path, &say(kind, json!({}))).await?;
        ensure!(status == 404, "{path}: {status}: {page}");
    }
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/2/accept"),
        &say("accept", json!({})),
    )
    .await?;
    ensure!(status == 422 && page["code"] == "wrong_party", "{status}: {page}");
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "GET",
        &format!("/v1/packages/{id}/0"),
        "",
    )
    .await?;
    ensure!(status == 409 && page["code"] == "no_package", "{status}: {page}");
    // What does not fit the state is settled: refused with how it stands, and the number is used.
    let package = json!({ "take_over_until": "2098-12-31T23:00:00Z", "manifest": "0".repeat(64), "manifest_octets": 300, "octets": 305 });
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/2/package"),
        &say("package", package),
    )
    .await?;
    ensure!(
        status == 409 && page["answer"] == "refused" && page["stands"]["stands"] == "open",
        "{status}: {page}"
    );
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/3/void"),
        &say("void", json!({ "gives_up": "package" })),
    )
    .await?;
    ensure!(status == 202, "{status}: {page}");
    let (status, page) = told(
        &federation,
        "beta",
        gamma,
        "PUT",
        &at("sender/4/withdraw"),
        &say("withdraw", json!({})),
    )
    .await?;
    ensure!(status == 202, "{status}: {page}");
    there.until(id, "ENDED_BY_SENDER").await?;
    // The contract is handed out to whoever may call.
    let (status, page) = told(&federation, "beta", delta, "GET", "/v1/openapi.json", "").await?;
    ensure!(status == 200 && page["openapi"] == "3.1.0", "{status}");
    Ok(())
}
