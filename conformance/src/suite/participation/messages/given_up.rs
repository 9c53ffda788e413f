//! Statements that a peer does not take: one is given up or sent again, and none is given up that a newer version is built on.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::bundles::Packed;
use super::{Pages, Side, fetched, own};
use crate::suite::participation::{PATIENCE, act, put, until};

/// A request of which statements are not taken.
const THIRD: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3303";

/// Waits until the scripted peer has taken a message as its last of this kind.
async fn came(side: &Side<'_>, kind: &str, wanted: impl Fn(&Value) -> bool) -> Result<()> {
    let begun = Instant::now();
    loop {
        let last = side.gamma.script().last(THIRD, kind);
        if last.as_ref().is_some_and(|(_, body)| wanted(body)) {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "no such {kind} came: {last:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A statement waits while the one before it is refused; both come once that is taken, and the last alone may be given up.
pub(super) async fn statements(
    pages: &Pages<'_>,
    side: &Side<'_>,
    told: &Value,
    request: &Packed,
) -> Result<()> {
    let (there, gamma) = (pages.there, side.gamma);
    let path = format!("/api/v1/contributions/{THIRD}");
    request.hand_out(gamma, THIRD, "requester");
    let body = own(told, THIRD, request);
    gamma.said("beta", THIRD, "requester", "request", &body).await?;
    until(there, &path, |page| fetched(page, "requester")).await?;
    let submit = async |text: &str| -> Result<()> {
        let draft = json!({ "kind": "STATEMENT", "text": text, "author": "Referat 1" });
        put(there, &path, &draft).await?;
        act(there, &path, "submit", &json!({})).await?;
        Ok(())
    };
    let parked = |what: &str| format!("{path}/parked/{what}");
    let settled = async |what: &str| -> Result<()> {
        let (status, page) = there.post(&parked(what), 1, &json!({})).await?;
        ensure!(status == StatusCode::OK, "{what}: {status}: {page}");
        Ok(())
    };
    gamma.script().refuses = true;
    submit("Erste Fassung (fiktiv)").await?;
    until(there, &path, |page| page["parked"] == true).await?;
    submit("Zweite Fassung (fiktiv)").await?;
    let refused = there
        .refused(&parked("void"), 1, &json!({}), "not_voidable")
        .await?;
    ensure!(refused["hint"].is_string(), "{refused}");
    gamma.script().refuses = false;
    settled("retry").await?;
    came(side, "statement", |body| body["version"] == 2).await?;
    let page = until(there, &path, |page| {
        page["state"] == "AMENDED" && page["settled"] == true
    })
    .await?;
    ensure!(
        page["statements"].as_array().map(Vec::len) == Some(2) && page["parked"] == false,
        "{page}"
    );

    gamma.script().refuses = true;
    submit("Dritte Fassung (fiktiv)").await?;
    until(there, &path, |page| page["parked"] == true).await?;
    gamma.script().refuses = false;
    settled("void").await?;
    came(side, "void", |body| body["gives_up"] == "statement").await?;
    let page = until(there, &path, |page| page["settled"] == true).await?;
    ensure!(page["statements"].as_array().map(Vec::len) == Some(2), "{page}");
    submit("Doch eine dritte Fassung (fiktiv)").await?;
    came(side, "statement", |body| body["version"] == 3).await
}
