//! What goes in and out: findings and holds at the release, and writing what was taken over into the own instance.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{taken_over, wait_for};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, authorities, files, number, settings, text};
use crate::federation::Federation;
use crate::instance::{Instance, Mood};
use crate::plan::NodePlan;
use crate::subject::Subject;
use crate::suite::{World, cases};

cases! {
    slow TRANSFER_INSTANCE => instance;
    quick TRANSFER_FINDINGS => findings;
}

/// Two authorities of which the second has an instance.
pub(super) async fn with_instance(
    subject: &Subject,
    net: &Net,
    instance: &Instance,
    safe: bool,
) -> Result<Federation> {
    let table = format!(
        "[casework.instance]\nurl = \"{}\"\nunit = \"u-beta\"\nrepeats_safe = {safe}",
        instance.url()
    );
    Federation::builder(net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &table)))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(subject)
        .await
}

/// Waits until the case of a transfer has this state of being written into the instance.
pub(super) async fn exported(there: &Desk, transfer: &str, state: &str) -> Result<Value> {
    let begun = std::time::Instant::now();
    let transfer = there.get(&format!("/api/v1/transfers/{transfer}")).await?;
    loop {
        let case = there
            .get(&format!("/api/v1/cases/{}", text(&transfer, "case")?))
            .await?;
        if case["export"]["state"] == state {
            return Ok(case);
        }
        ensure!(begun.elapsed().as_secs() < 40, "not {state}: {}", case["export"]);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// A person says whether the application is there. The node may note something at the same time.
async fn settle(there: &Desk, case: &Value, is_there: bool) -> Result<()> {
    let path = format!("/api/v1/cases/{}", text(case, "id")?);
    loop {
        let now = there.get(&path).await?;
        let said = json!({ "is_there": is_there });
        let (status, page) = there
            .post(&format!("{path}/export"), number(&now, "version")?, &said)
            .await?;
        if status.as_u16() != 412 {
            ensure!(status.is_success(), "{status}: {page}");
            return Ok(());
        }
    }
}

async fn instance(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let simulator = Instance::start(net.address(40, 8092), Mood::RepeatsUnsafe).await?;
    let federation = with_instance(world.federation.subject(), &net, &simulator, false).await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let id = taken_over(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0010").await?;
    let case = exported(&there, &id, "done").await?;
    let [taken] = &simulator.taken()[..] else {
        anyhow::bail!("{} applications came in", simulator.taken().len());
    };
    ensure!(case["instance_number"] == taken.number, "{case}");
    // The number reaches who handed it over.
    wait_for(&here, &id, |page| page["instance_number"] == taken.number).await?;
    let mut form = taken.form.clone();
    let sent = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0010");
    let items = form["formData"].as_array_mut().context("no items")?;
    let group = items.remove(0);
    ensure!(
        group["name"] == "uebernahme" && group["label"] == "Übernahme",
        "{group}"
    );
    let said = group.to_string();
    for wanted in [
        "TEST/GOV/1001",
        "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0010",
        "u-42",
        &id,
    ] {
        ensure!(said.contains(wanted), "the group does not say {wanted}: {said}");
    }
    ensure!(
        form["formData"] == sent["formData"],
        "the applicant's tree changed"
    );
    let (control, before) = (&form["control"], &sent["control"]);
    ensure!(control["zustaendigeStelle"] == "u-beta", "{control}");
    ensure!(
        control["transactionId"] != before["transactionId"],
        "the transaction id is the old one"
    );
    for same in ["leikaIds", "formId", "name", "serviceKonto", "unknown"] {
        ensure!(control[same] == before[same], "{same} changed: {control}");
    }
    let wanted: Vec<(String, Vec<u8>)> = files()
        .into_iter()
        .map(|(part, _, octets)| (part.to_owned(), octets))
        .collect();
    let came: Vec<(String, Vec<u8>)> = taken
        .files
        .iter()
        .map(|(part, _, octets)| (part.clone(), octets.clone()))
        .collect();
    ensure!(came == wanted, "the files changed");

    // Unclear: it is there, and nobody posts it again but a person who has not found it.
    simulator.set_mood(Mood::TakesAndBreaks);
    let id = taken_over(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0011").await?;
    let case = exported(&there, &id, "uncertain").await?;
    ensure!(
        simulator.taken().len() == 2,
        "{} applications came in",
        simulator.taken().len()
    );
    settle(&there, &case, true).await?;
    exported(&there, &id, "done").await?;
    // Refused: a person is shown it, and posts it again once that is mended.
    simulator.set_mood(Mood::Refuses);
    let id = taken_over(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0012").await?;
    let case = exported(&there, &id, "refused").await?;
    simulator.set_mood(Mood::RepeatsUnsafe);
    settle(&there, &case, false).await?;
    exported(&there, &id, "done").await?;
    ensure!(
        simulator.taken().len() == 3,
        "{} applications came in",
        simulator.taken().len()
    );
    drop(federation);

    // Where repeats are safe it is posted again by itself, and is one application.
    let net = Net::claim().await?;
    let simulator = Instance::start(net.address(40, 8092), Mood::TakesAndBreaks).await?;
    let federation = with_instance(world.federation.subject(), &net, &simulator, true).await?;
    let (here, there) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")),
    );
    let id = taken_over(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0013").await?;
    wait_for(&there, &id, |page| page["state"] == "CLOSED").await?;
    simulator.set_mood(Mood::RepeatsSafe);
    exported(&there, &id, "done").await?;
    ensure!(
        simulator.taken().len() == 1,
        "{} applications came in",
        simulator.taken().len()
    );
    Ok(())
}

async fn findings(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let scanner = "[casework.scanner]\ncommand = [\"sh\", \"-c\", \"if grep -q FIKTIVER-SCHAEDLING; then echo Fiktiv.Schaedling; exit 1; fi\"]";
    let federation = authorities(world.federation.subject(), &net, scanner).await?;
    let here = Desk::at(federation.node("alpha"));
    let mut form = application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0020");
    form["formData"]
        .as_array_mut()
        .context("no items")?
        .push(json!({ "name": "steuerId", "label": "Steuer-ID", "stringValue": "86 095 742 719" }));
    let infected = [("attachment", "böse.txt", b"x FIKTIVER-SCHAEDLING x".to_vec())];
    let case = here.hand_in(&form, &infected).await?;
    let codes: Vec<&str> = case["findings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|it| it["code"].as_str())
        .collect();
    ensure!(codes == ["identification_number", "file_infected"], "{codes:?}");
    let id = text(&case, "id")?;
    // Who may hand in may read nothing.
    for path in [
        format!("/api/v1/cases/{id}"),
        format!("/api/v1/cases/{id}/form"),
        format!("/api/v1/cases/{id}/files"),
        "/api/v1/cases".to_owned(),
        "/api/v1/transfers".to_owned(),
        "/api/v1/events".to_owned(),
        "/api/v1/disclosures".to_owned(),
    ] {
        let service = here.of("form service");
        let answer = service
            .send(hyper::Method::GET, &path, None, "", Vec::new())
            .await?;
        ensure!(answer.status.as_u16() == 403, "{path}: {}", answer.status);
    }
    let listed = here.get(&format!("/api/v1/cases/{id}/files")).await?;
    ensure!(
        listed["files"][0]["scan"]["detail"] == "Fiktiv.Schaedling",
        "{listed}"
    );
    let (offers, changes) = (
        format!("/api/v1/cases/{id}/transfers"),
        format!("/api/v1/cases/{id}/changes"),
    );
    let wish = json!({ "to": BETA, "situation": "MISDIRECTED" });
    here.refused(&offers, number(&case, "version")?, &wish, "findings_open")
        .await?;
    let release = |finding: u64| json!({ "change": "release", "finding": finding, "ground": "Rechtsgrundlage geprüft" });
    here.refused(&changes, number(&case, "version")?, &release(0), "role_missing")
        .await?;
    // Who works on it is no second pair of eyes.
    let releaser = here.of("releaser");
    let me = releaser.get("/api/v1/me").await?;
    let assigned = here
        .done(
            &format!("/api/v1/cases/{id}/assignment"),
            number(&case, "version")?,
            &json!({ "assignee": me["pseudonym"] }),
        )
        .await?;
    releaser
        .refused(
            &changes,
            number(&assigned, "version")?,
            &release(0),
            "second_person",
        )
        .await?;
    let mut now = here
        .done(
            &format!("/api/v1/cases/{id}/assignment"),
            number(&assigned, "version")?,
            &json!({}),
        )
        .await?;
    for finding in [0, 1] {
        now = releaser
            .done(&changes, number(&now, "version")?, &release(finding))
            .await?;
    }
    here.done(&offers, number(&now, "version")?, &wish).await?;
    // What is held is not deleted.
    let other = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0021"), &files())
        .await?;
    let path = format!("/api/v1/cases/{}", text(&other, "id")?);
    let mut now = here
        .done(
            &format!("{path}/commands/discard"),
            number(&other, "version")?,
            &json!({}),
        )
        .await?;
    now = here
        .done(
            &format!("{path}/commands/mark_for_deletion"),
            number(&now, "version")?,
            &json!({}),
        )
        .await?;
    now = here
        .of("officer")
        .done(
            &format!("{path}/changes"),
            number(&now, "version")?,
            &json!({ "change": "hold", "ground": "Rechtsstreit" }),
        )
        .await?;
    here.refused(
        &format!("{path}/commands/delete"),
        number(&now, "version")?,
        &json!({}),
        "on_hold",
    )
    .await?;
    now = here
        .of("officer")
        .done(
            &format!("{path}/changes"),
            number(&now, "version")?,
            &json!({ "change": "unhold" }),
        )
        .await?;
    let gone = here
        .done(
            &format!("{path}/commands/delete"),
            number(&now, "version")?,
            &json!({}),
        )
        .await?;
    ensure!(
        gone["purged_at"].is_string() && gone["transaction_id"].is_string(),
        "{gone}"
    );
    let form = here
        .send(hyper::Method::GET, &format!("{path}/form"), None, "", Vec::new())
        .await?;
    ensure!(
        form.status.as_u16() == 410,
        "the form of a purged case: {}",
        form.status
    );
    Ok(())
}
