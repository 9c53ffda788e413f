//! A node's service `transfer` as a scripted peer meets it: signed messages of the contract, right and wrong (casework 1).

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::address::Net;
use crate::desk::{Desk, settings, text};
use crate::federation::Federation;
use crate::plan::{NodePlan, PeerPlan};
use crate::scripted::{offer as scripted_offer, told};
use crate::suite::{World, cases};

cases! {
    quick TRANSFER_MESSAGES => messages;
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
    // The receiver knows both exchanges: the one that brought the message, and the one that repeated the answer.
    let page = there.get(&format!("/api/v1/transfers/{id}")).await?;
    let offered = &page["received"][0];
    ensure!(
        offered["receipt"]["x_road_id"] == receipt["x_road_id"]
            && offered["again"].is_string()
            && offered["again"] != receipt["x_road_id"],
        "{offered}"
    );
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
