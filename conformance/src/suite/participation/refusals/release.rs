//! What may not leave, or not before another person has looked at it: whatever silence means, the content decides too.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use super::{Stage, TAX_SERVICE};
use crate::desk::{BETA, application, files, text};
use crate::suite::participation::{act, disclosure, refused};

impl Stage<'_> {
    /// Prepares a request in a round of its own about a case; gives both paths.
    async fn prepared(&self, case: &str, shown: &str, more: &Value) -> Result<(String, String)> {
        let round = self.rounds().prepare(case, "AMTSHILFE").await?;
        let round = text(&round, "id")?.to_owned();
        let mut wish = json!({
            "class": "CHAMBER", "rule": { "kind": "weeks", "n": 4 }, "disclosure": disclosure(&[shown]),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        let request = self.rounds().ask(&round, &wish).await?;
        ensure!(request["terms"]["effect"] == "NONE", "{request}");
        Ok((
            format!("/api/v1/rounds/{round}"),
            format!("/api/v1/requests/{}", text(&request, "id")?),
        ))
    }

    /// It leaves after another person has released it, and not before.
    async fn needs_another(&self, round: &str, request: &str) -> Result<()> {
        let nothing = json!({});
        refused(&self.here, round, "open", &nothing, "release_second_pair").await?;
        refused(&self.here, request, "approve", &nothing, "role_missing").await?;
        act(&self.here.of("releaser"), request, "approve", &nothing).await?;
        let open = act(&self.here, round, "open", &nothing).await?;
        ensure!(open["state"] == "OPEN", "{open}");
        Ok(())
    }
}

/// Special categories, business secrets and tax secrecy, where silence means nothing.
pub(super) async fn of_release(stage: &Stage<'_>) -> Result<()> {
    let here = &stage.here;
    for flag in ["special_categories", "business_secrets"] {
        let more = json!({ "to": BETA, flag: true });
        let (round, request) = stage.prepared(&stage.case, &stage.shown, &more).await?;
        stage.needs_another(&round, &request).await?;
    }
    let mut form = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0102");
    form["control"]["leikaIds"] = json!([TAX_SERVICE]);
    let case = here.hand_in(&form, &files()).await?;
    let case = text(&case, "id")?;
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let shown = text(&listed["files"][0], "file_id")?;
    let guest = json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } });
    let (round, request) = stage.prepared(case, shown, &guest).await?;
    // No release makes it fit for a guest.
    act(&here.of("releaser"), &request, "approve", &json!({})).await?;
    let page = refused(here, &round, "open", &json!({}), "release_not_for_guests").await?;
    ensure!(
        page["detail"]
            .as_str()
            .is_some_and(|it| it.contains("a node of its own")),
        "{page}"
    );
    let (request, round) = (here.get(&request).await?, here.get(&round).await?);
    ensure!(
        request["state"] == "CREATED" && round["state"] == "PREPARING",
        "{request} {round}"
    );
    let (round, request) = stage.prepared(case, shown, &json!({ "to": BETA })).await?;
    stage.needs_another(&round, &request).await
}
