//! Bundles as a scripted peer pulls and hands them out: part by part, for whom they are, and noticed where they are not what was
//! announced.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};

use super::{Pages, SECOND, Side, now, own};
use crate::desk::{Desk, text};
use crate::scripted::asked;
use crate::suite::participation::peer::Scripted;
use crate::suite::participation::{PATIENCE, act, refused, until};

/// Octets of a part.
pub(super) const PART: usize = 4 * 1024 * 1024;

/// What is told of a bundle, and its octets.
#[derive(Clone)]
pub(super) struct Packed {
    pub(super) told: Value,
    pub(super) octets: Vec<u8>,
}

impl Packed {
    /// What a message of a node announced, pulled part by part; it is what was announced.
    pub(super) async fn of(
        gamma: &Scripted<'_>,
        node: &str,
        request: &str,
        party: &str,
        kind: &str,
    ) -> Result<Self> {
        let begun = Instant::now();
        let (seq, said) = loop {
            if let Some(there) = gamma.script().last(request, kind) {
                break there;
            }
            ensure!(begun.elapsed() < PATIENCE, "no {kind} came");
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let told = match kind {
            "request" => said["request"]["bundle"].clone(),
            _ => said["bundle"].clone(),
        };
        let octets = usize::try_from(told["octets"].as_u64().context("no size")?)?;
        let mut whole = Vec::new();
        for part in 0..octets.div_ceil(PART) {
            let path = format!("/v1/bundles/{request}/{party}/{seq}/{part}");
            let (status, octets) = gamma.ask(node, "GET", &path, "").await?;
            ensure!(status == 200, "{path}: {status}");
            whole.extend_from_slice(&octets);
        }
        let manifest = usize::try_from(told["manifest_octets"].as_u64().context("no size")?)?;
        let digest: String = sha256(whole.get(..manifest).context("a short bundle")?)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        ensure!(
            whole.len() == octets && told["manifest"] == digest,
            "{kind}: the bundle is not what was announced"
        );
        Ok(Self { told, octets: whole })
    }

    /// Hands it out from now on where the next message of the peer will announce it.
    pub(super) fn hand_out(&self, gamma: &Scripted<'_>, request: &str, party: &str) {
        let (seq, _) = gamma.next(request);
        for (part, octets) in self.octets.chunks(PART).enumerate() {
            let path = format!("/v1/bundles/{request}/{party}/{seq}/{part}");
            gamma.script().bundles.insert(path, octets.to_vec());
        }
    }

    /// The same with another last octet.
    fn damaged(&self) -> Self {
        let mut octets = self.octets.clone();
        if let Some(last) = octets.last_mut() {
            *last ^= 1;
        }
        Self {
            told: self.told.clone(),
            octets,
        }
    }
}

/// A bundle is pulled by its peer alone, part by part, and counts as fetched with its last part; gives the request as it was told.
pub(super) async fn part_by_part(here: &Desk, gamma: &Scripted<'_>, request: &str) -> Result<Value> {
    let path = format!("/api/v1/requests/{request}");
    until(here, &path, |page| page["state"] == "DELIVERED").await?;
    let at = |rest: &str| format!("/v1/bundles/{request}/{rest}");
    for (rest, code) in [
        ("requester/1/9", "no_part"),
        ("requester/2/0", "not_found"),
        ("participant/1/0", "not_found"),
        ("requester/0/0", "unknown_path"),
        ("requester/1/00", "unknown_path"),
        ("nobody/1/0", "unknown_path"),
    ] {
        let (status, octets) = gamma.ask("alpha", "GET", &at(rest), "").await?;
        let page: Value = serde_json::from_slice(&octets)?;
        ensure!(
            status == 404 && page["code"] == code,
            "{rest}: {status} instead of {code}: {page}"
        );
    }
    let delta = gamma.federation.peer("delta");
    let place = format!("participation{}", at("requester/1/0"));
    let (status, _) = asked(gamma.federation, "alpha", delta, "GET", &place, "").await?;
    ensure!(status == 404, "a stranger pulls: {status}");
    let (status, part) = gamma.ask("alpha", "GET", &at("requester/1/0"), "").await?;
    ensure!(
        status == 200 && part.len() == PART,
        "{status}: {} octets",
        part.len()
    );
    let page = here.get(&path).await?;
    ensure!(
        page["fetched_at"].is_null() && page["deadline"].is_null(),
        "half of it is fetched: {page}"
    );
    Packed::of(gamma, "alpha", request, "requester", "request").await?;
    until(here, &path, |page| page["deadline"].is_object()).await?;
    let (_, told) = gamma
        .script()
        .last(request, "request")
        .context("no request came")?;
    Ok(told["request"].clone())
}

/// What is announced and is not what comes is noticed, shown, and used for nothing.
pub(super) async fn unreadable(
    pages: &Pages<'_>,
    side: &Side<'_>,
    told: &Value,
    request: &Packed,
    question: &Packed,
) -> Result<()> {
    let (there, gamma) = (pages.there, side.gamma);
    let path = format!("/api/v1/contributions/{SECOND}");
    request.damaged().hand_out(gamma, SECOND, "requester");
    gamma
        .said(
            "beta",
            SECOND,
            "requester",
            "request",
            &own(told, SECOND, request),
        )
        .await?;
    let noticed = |page: &Value, place: usize, problem: &str| {
        page["bundles"][place]["problem"] == problem
            && page["bundles"][place]["complete"] == false
            && page["notices"]
                .as_array()
                .is_some_and(|all| all.iter().any(|one| one == "bundle_unreadable"))
    };
    let page = until(there, &path, |page| noticed(page, 0, "manifest_mismatch")).await?;
    ensure!(page["received"][0]["letter"].is_null(), "{page}");
    let listed = there.get("/api/v1/contributions?attention=true").await?;
    ensure!(
        listed["requests"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one["id"] == SECOND)),
        "{listed}"
    );
    // A text in place of a sheet.
    question.hand_out(gamma, SECOND, "requester");
    let supplement = json!({ "restarts": false, "bundle": question.told });
    gamma
        .said("beta", SECOND, "requester", "supplement", &supplement)
        .await?;
    until(there, &path, |page| noticed(page, 1, "document_unreadable")).await?;
    // It is told again, and well.
    request.hand_out(gamma, SECOND, "requester");
    let supplement = json!({ "restarts": false, "bundle": request.told });
    gamma
        .said("beta", SECOND, "requester", "supplement", &supplement)
        .await?;
    until(there, &path, |page| page["bundles"][2]["complete"] == true).await?;
    // What is closed while it is pulled is given up, for the reason that is told.
    let mut large = request.clone();
    large.octets.resize(PART + 1, b' ');
    large.told["octets"] = json!(PART + 1);
    let closed = [
        (&large, 1, "disclosure_closed"),
        (&large, 1, "file_revoked"),
        (request, 0, "file_revoked"),
    ];
    for (place, (bundle, part, code)) in closed.into_iter().enumerate() {
        bundle.hand_out(gamma, SECOND, "requester");
        let (seq, _) = gamma.next(SECOND);
        let last = format!("/v1/bundles/{SECOND}/requester/{seq}/{part}");
        gamma.script().closed.insert(last, code);
        let supplement = json!({ "restarts": false, "bundle": bundle.told });
        gamma
            .said("beta", SECOND, "requester", "supplement", &supplement)
            .await?;
        until(there, &path, |page| page["bundles"][3 + place]["problem"] == code).await?;
    }
    let cancelled = json!({ "reason": "STARTED_ANEW" });
    side.says(SECOND, "cancelled", &cancelled).await?;
    until(there, &path, |page| page["state"] == "PURGED").await?;
    let expired = json!({ "ended_at": now(), "effect": "NONE", "answered": false, "recorded_at": now() });
    side.says(SECOND, "expired", &expired).await?;
    let page = there.get(&path).await?;
    ensure!(page["state"] == "PURGED" && page["expiry"].is_null(), "{page}");
    refused(there, &path, "prepare", &json!({}), "illegal_for_state").await?;
    Ok(())
}

/// What was taken back is pulled no more, file or whole.
pub(super) async fn closed(here: &Desk, gamma: &Scripted<'_>, request: &str) -> Result<()> {
    let path = format!("/api/v1/requests/{request}");
    let page = here.get(&path).await?;
    let file = text(&page["disclosure"]["files"][0], "file_id")?;
    for (command, details, code) in [
        (
            "revoke-files",
            json!({ "files": [file], "reason": "REPLACED" }),
            "file_revoked",
        ),
        ("revoke", json!({ "reason": "REPLACED" }), "disclosure_closed"),
    ] {
        act(here, &path, command, &details).await?;
        let place = format!("/v1/bundles/{request}/requester/1/0");
        let (status, octets) = gamma.ask("alpha", "GET", &place, "").await?;
        let page: Value = serde_json::from_slice(&octets)?;
        ensure!(
            status == 410 && page["code"] == code,
            "after {command}: {status}: {page}"
        );
    }
    Ok(())
}
