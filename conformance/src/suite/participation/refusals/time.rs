//! Ends: one that no calendar knows, and what comes after one.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::json;

use super::{Stage, no};
use crate::clock;
use crate::desk::{BETA, text};
use crate::suite::participation::{PURPOSE, act, disclosure, is_here, passed, put, refused, until};

/// An end that no calendar knows is stated by a person.
pub(super) async fn of_the_calendar(stage: &Stage<'_>) -> Result<()> {
    let (here, there) = (&stage.here, &stage.there);
    let far = json!({ "to": BETA, "rule": { "kind": "months", "n": 90 } });
    let (ours, theirs) = stage.asked(&far).await?;
    let page = until(here, &ours, |page| page["undetermined"] == "calendar_unknown").await?;
    ensure!(page["deadline"].is_null(), "{page}");
    until(here, &ours, |page| {
        page["notices"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "deadline_undetermined"))
    })
    .await?;
    refused(here, &ours, "expire", &json!({}), "no_deadline").await?;
    refused(here, &ours, "state-deadline", &json!({}), "member_missing").await?;
    let past = json!({ "end": "2020-02-02" });
    refused(here, &ours, "state-deadline", &past, "deadline_before_trigger").await?;
    act(here, &ours, "state-deadline", &json!({ "end": "2034-05-31" })).await?;
    for (desk, subject) in [(here, &ours), (there, &theirs)] {
        let page = until(desk, subject, |page| page["deadline"].is_object()).await?;
        ensure!(page["deadline"]["effective_end"] == "2034-05-31", "{page}");
    }
    Ok(())
}

/// What comes after an end: late statements, invitations that are over, and silence that means nothing.
pub(super) async fn of_the_end(stage: &Stage<'_>, passing: &Path) -> Result<()> {
    let (here, there) = (&stage.here, &stage.there);
    let guest = json!({ "name": "Verein (fiktiv)", "address": "verein@example.org" });
    // A guest that never opens it, with an effect of silence.
    let round = stage.round("LBO_STATEMENT").await?;
    let wish = json!({
        "guest": guest, "class": "PUBLIC_BODY", "disclosure": disclosure(&[&stage.shown]), "effect": "CONSENT_DEEMED_GIVEN",
        "extension": "none",
    });
    let request = stage.rounds().ask(&round, &wish).await?;
    let never = format!("/api/v1/requests/{}", text(&request, "id")?);
    act(&here.of("releaser"), &never, "approve", &json!({})).await?;
    stage.rounds().round(&round, "open", &json!({})).await?;
    // One whose disclosure ends, and one of a node that stays silent too long.
    let until_soon = json!({
        "files": [{ "file_id": stage.shown, "right": "DOWNLOAD" }], "purpose": PURPOSE, "legal_basis": "fiktiv",
        "ends": (clock::now() + Duration::from_secs(20 * 86_400)).to_rfc3339()[..10],
    });
    let (ends, _) = stage
        .asked(&json!({ "guest": guest, "class": "PUBLIC_BODY", "disclosure": until_soon }))
        .await?;
    let now = until(here, &ends, |page| page["state"] == "SENT").await?;
    let (opener, link) = here.invited(&ends, &now).await?;
    opener.get(&link).await?;
    let (ours, theirs) = stage.asked(&json!({ "to": BETA })).await?;
    until(there, &theirs, is_here).await?;
    passed(passing, 60).await?;
    no(&opener, Method::GET, &link, None, "", (410, "guest_ended")).await?;
    let path = format!("{link}/files/{}", stage.shown);
    no(&opener, Method::GET, &path, None, "", (410, "guest_ended")).await?;
    // Nothing was delivered, so nothing expires; somebody is told, and the command says why.
    let page = until(here, &never, |page| {
        page["notices"]
            .as_array()
            .is_some_and(|all| all.iter().any(|one| one == "not_delivered"))
    })
    .await?;
    ensure!(page["state"] == "SENT" && page["expiry"].is_null(), "{page}");
    let page = refused(here, &never, "expire", &json!({}), "delivery_not_proven").await?;
    ensure!(text(&page, "detail")?.contains("silence has no effect"), "{page}");
    // The node's time is over without an effect: what comes now is taken as late, and both sides say so.
    until(here, &ours, |page| page["state"] == "EXPIRED").await?;
    until(there, &theirs, |page| page["state"] == "EXPIRED").await?;
    refused(
        there,
        &theirs,
        "decline",
        &json!({ "reason": "OTHER" }),
        "illegal_for_state",
    )
    .await?;
    let told = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 5000 }] } });
    let page = refused(here, &ours, "notify", &told, "nothing_to_assess").await?;
    ensure!(page["pointer"] == "/assessment/version", "{page}");
    put(
        there,
        &theirs,
        &json!({ "kind": "CONSENT", "author": "Referat 1" }),
    )
    .await?;
    act(
        &there.bearing("second-coordinator"),
        &theirs,
        "release",
        &json!({}),
    )
    .await?;
    act(&there.bearing("third-coordinator"), &theirs, "submit", &json!({})).await?;
    for (desk, subject) in [(here, &ours), (there, &theirs)] {
        let page = until(desk, subject, |page| {
            page["state"] == "LATE" && page["settled"] == true
        })
        .await?;
        ensure!(page["statements"][0]["in_time"] == false, "{page}");
    }
    let page = there.get(&theirs).await?;
    let receipt = page["sent"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["kind"] == "statement")
        .context("no statement was sent")?;
    ensure!(
        receipt["state"]["receipt"]["answer"] == "judged" && receipt["state"]["receipt"]["in_time"] == false,
        "{receipt}"
    );
    Ok(())
}
