//! Guests: links that lead nowhere, wrong codes, and what is not shown.

use std::time::Instant;

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{Stage, no};
use crate::desk::{number, text};
use crate::suite::participation::{PATIENCE, PURPOSE, act, until};

/// Guests: links that lead nowhere, wrong codes, and what is not shown.
pub(super) async fn of_guests(stage: &Stage<'_>) -> Result<()> {
    let here = &stage.here;
    let guest = json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } });
    let round = stage.round("AMTSHILFE").await?;
    let files = json!([{ "file_id": stage.shown, "right": "VIEW" }]);
    let mut wish = json!({
        "class": "PUBLIC_BODY", "rule": { "kind": "weeks", "n": 4 },
        "disclosure": { "files": files, "purpose": PURPOSE, "legal_basis": "fiktiv" },
    });
    wish["guest"] = guest["guest"].clone();
    let request = stage.rounds().ask(&round, &wish).await?;
    let ours = format!("/api/v1/requests/{}", text(&request, "id")?);
    let invite = async || -> Result<Value> {
        let begun = Instant::now();
        loop {
            let now = here.get(&ours).await?;
            let (status, page) = here
                .post(
                    &format!("{ours}/invitation"),
                    number(&now, "version")?,
                    &json!({}),
                )
                .await?;
            if status.as_u16() != 412 || begun.elapsed() > PATIENCE {
                ensure!(status.as_u16() == 201, "{status}: {page}");
                return Ok(page);
            }
        }
    };
    let early = here
        .refused(
            &format!("{ours}/invitation"),
            number(&request, "version")?,
            &json!({}),
            "illegal_for_state",
        )
        .await?;
    ensure!(early["legal"].is_array(), "{early}");
    stage.rounds().round(&round, "open", &json!({})).await?;
    let handed = invite().await?;
    let (link, code) = (
        text(&handed, "link")?.to_owned(),
        text(&handed, "code")?.to_owned(),
    );
    let nowhere = "/guest/v1/ABCDEFGHJKLMNPQRSTUVWXYZ23";
    no(
        &here.guest(&code),
        Method::GET,
        nowhere,
        None,
        "",
        (404, "guest_link_unknown"),
    )
    .await?;
    // What a house knows opens no guest's link, and what a guest knows no house.
    no(here, Method::GET, &link, None, "", (401, "guest_code_wrong")).await?;
    no(
        &here.guest(&code),
        Method::GET,
        &ours,
        None,
        "",
        (401, "key_unknown"),
    )
    .await?;
    for left in [3, 2, 1] {
        let page = no(
            &here.guest("FALSCH"),
            Method::GET,
            &link,
            None,
            "",
            (401, "guest_code_wrong"),
        )
        .await?;
        ensure!(
            text(&page, "detail")?.contains(&format!("{left} tries")),
            "{page}"
        );
    }
    no(
        &here.guest("FALSCH"),
        Method::GET,
        &link,
        None,
        "",
        (403, "guest_locked"),
    )
    .await?;
    no(
        &here.guest(&code),
        Method::GET,
        &link,
        None,
        "",
        (403, "guest_locked"),
    )
    .await?;
    let page = here.get(&ours).await?;
    ensure!(page["state"] == "SENT", "nobody opened it: {page}");
    let again = invite().await?;
    no(
        &here.guest(&code),
        Method::GET,
        &link,
        None,
        "",
        (404, "guest_link_unknown"),
    )
    .await?;
    let (link, guest) = (
        text(&again, "link")?.to_owned(),
        here.guest(text(&again, "code")?),
    );
    let seen = guest.get(&link).await?;
    until(here, &ours, |page| page["deadline"].is_object()).await?;
    let file = |id: &str, query: &str| format!("{link}/files/{id}{query}");
    no(
        &guest,
        Method::GET,
        &file(&stage.hidden, ""),
        None,
        "",
        (404, "file_not_disclosed"),
    )
    .await?;
    no(
        &guest,
        Method::GET,
        &file(&stage.shown, "?copy=true"),
        None,
        "",
        (403, "file_view_only"),
    )
    .await?;
    no(
        &guest,
        Method::GET,
        &file(&stage.shown, "?copy=vielleicht"),
        None,
        "",
        (400, "malformed"),
    )
    .await?;
    let path = format!("{link}/commands/assign");
    no(
        &guest,
        Method::POST,
        &path,
        Some(number(&seen, "version")?),
        "{}",
        (403, "role_missing"),
    )
    .await?;
    let path = format!("{link}/commands/weg");
    let page = no(
        &guest,
        Method::POST,
        &path,
        Some(1),
        "{}",
        (404, "command_unknown"),
    )
    .await?;
    ensure!(
        page["legal"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one != "assign")),
        "{page}"
    );
    // Nobody of the house that hosts a guest reads its drafts or speaks for it.
    let hosted = format!("/api/v1/contributions/{}", text(&request, "id")?);
    let coordinator = here.of("coordinator");
    no(&coordinator, Method::GET, &hosted, None, "", (404, "not_found")).await?;
    let path = format!("{hosted}/statement");
    let draft = r#"{"kind":"CONSENT","author":"Vorstand"}"#;
    no(
        &coordinator,
        Method::PUT,
        &path,
        Some(number(&seen, "version")?),
        draft,
        (404, "not_found"),
    )
    .await?;
    let listed = coordinator.get("/api/v1/contributions?everything=true").await?;
    let id = text(&request, "id")?;
    ensure!(
        listed["requests"]
            .as_array()
            .is_some_and(|all| all.iter().all(|one| one["id"] != id)),
        "{listed}"
    );
    // With the request ends what opens it.
    act(here, &ours, "revoke", &json!({ "reason": "WRONG_RECIPIENT" })).await?;
    no(&guest, Method::GET, &link, None, "", (410, "guest_ended")).await?;
    Ok(())
}
