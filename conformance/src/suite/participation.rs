//! Participation between nodes: rounds in which a chamber with a node, a guest and an own unit are asked (domain 4, casework 4).
//!
//! `whole` is the course of a round; the files below have every state, what is refused, the contract as a scripted peer meets it, and
//! what nobody gets to see.

pub mod assignment;
pub mod folder;
pub mod messages;
pub mod moved;
mod peer;
pub mod refusals;
pub mod renewed;
pub mod secrecy;
pub mod states;
pub mod time;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::{Method, StatusCode};
use serde_json::{Value, json};

use super::{World, cases};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, number, settings, text};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::subject::Subject;

cases! {
    slow PARTICIPATION_WHOLE => whole;
}

/// How long two nodes may take for what they do by themselves.
const PATIENCE: Duration = Duration::from_secs(60);
/// The service of the suite's application, and its disclosure: what stands first in the form, and its first attachment.
pub(super) const PURPOSE: &str = "Stellungnahme im Verfahren (fiktiv)";

/// An authority and a chamber, whose clocks are ahead by what one file says.
pub(crate) async fn federation(subject: &Subject, net: &Net, clock: &Path, more: &str) -> Result<Federation> {
    let lines = format!("training_clock = {:?}\n{more}", clock.display().to_string());
    Federation::builder(net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &lines)))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &lines)))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(subject)
        .await
        .context("two nodes with casework")
}

/// What is shown: the first group of the form and one file.
pub(crate) fn disclosure(files: &[&str]) -> Value {
    let files: Vec<Value> = files
        .iter()
        .map(|file| json!({ "file_id": file, "right": "DOWNLOAD" }))
        .collect();
    json!({
        "parts": [{ "at": [0, 0], "right": "VIEW" }], "files": files,
        "purpose": PURPOSE, "legal_basis": "fiktiv",
    })
}

/// A desk with the commands of rounds.
pub(crate) struct Rounds<'a> {
    pub(crate) here: &'a Desk,
}

impl Rounds<'_> {
    /// Prepares a round of a case.
    pub(crate) async fn prepare(&self, case: &str, profile: &str) -> Result<Value> {
        let now = self.here.get(&format!("/api/v1/cases/{case}")).await?;
        let wish = json!({ "profile": profile, "question": "Bestehen Bedenken? (fiktiv)", "contact": "Sachbearbeitung Bau" });
        self.here
            .done(
                &format!("/api/v1/cases/{case}/rounds"),
                number(&now, "version")?,
                &wish,
            )
            .await
    }

    /// Prepares a request in a round.
    pub(crate) async fn ask(&self, round: &str, wish: &Value) -> Result<Value> {
        let path = format!("/api/v1/rounds/{round}");
        let now = self.here.get(&path).await?;
        self.here
            .done(&format!("{path}/requests"), number(&now, "version")?, wish)
            .await
    }

    /// A command on a round as it is now.
    pub(crate) async fn round(&self, round: &str, command: &str, body: &Value) -> Result<Value> {
        act(self.here, &format!("/api/v1/rounds/{round}"), command, body).await
    }
}

/// A command on something as it is now; what two nodes do meanwhile is waited for.
pub(crate) async fn act(desk: &Desk, subject: &str, command: &str, body: &Value) -> Result<Value> {
    let path = format!("{subject}/commands/{command}");
    let begun = Instant::now();
    loop {
        let now = desk.get(subject).await?;
        let (status, page) = desk.post(&path, number(&now, "version")?, body).await?;
        if status == StatusCode::PRECONDITION_FAILED && begun.elapsed() < PATIENCE {
            continue;
        }
        ensure!(status.is_success(), "POST {path}: {status}: {page}");
        return Ok(page);
    }
}

/// A command that is refused with this code, whatever two nodes do meanwhile.
pub(crate) async fn refused(
    desk: &Desk,
    subject: &str,
    command: &str,
    body: &Value,
    code: &str,
) -> Result<Value> {
    let path = format!("{subject}/commands/{command}");
    let begun = Instant::now();
    loop {
        let now = desk.get(subject).await?;
        let (status, page) = desk.post(&path, number(&now, "version")?, body).await?;
        if status == StatusCode::PRECONDITION_FAILED && begun.elapsed() < PATIENCE {
            continue;
        }
        ensure!(
            status.is_client_error() && page["code"] == code,
            "POST {path}: {status} instead of {code}: {page}"
        );
        return Ok(page);
    }
}

/// Waits until a page is as it is wanted.
pub(crate) async fn until(desk: &Desk, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let seen = desk.get(path).await;
        match seen {
            Ok(page) if wanted(&page) => return Ok(page),
            seen if begun.elapsed() > PATIENCE => bail!("not in time: {path}: {seen:?}"),
            _ => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Whether a deadline runs, and everything that is disclosed can be read by who is asked.
pub(crate) fn is_here(page: &Value) -> bool {
    page["deadline"].is_object() && page["bundles"][0]["complete"] == true
}

/// Lets time pass at all nodes whose clock this is.
pub(crate) fn pass(clock: &Path, days: u64) -> Result<()> {
    let before: u64 = std::fs::read_to_string(clock)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let next = clock.with_extension("next");
    std::fs::write(&next, (before + days * 86_400).to_string())?;
    Ok(std::fs::rename(&next, clock)?)
}

async fn whole(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let clock = world.federation.dir().join("clock-of-the-training");
    let told = "[casework.participation]\ntell_applicant = true";
    let federation = federation(world.federation.subject(), &net, &clock, told).await?;
    let (here, chamber) = (
        Desk::at(federation.node("alpha")),
        Desk::at(federation.node("beta")).of("coordinator"),
    );
    let unit = here.of("coordinator");
    let rounds = Rounds { here: &here };
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0a0101"), &files())
        .await?;
    let case = text(&case, "id")?.to_owned();
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let shown = text(&listed["files"][0], "file_id")?.to_owned();
    let round = rounds.prepare(&case, "LBO_STATEMENT").await?;
    let round = text(&round, "id")?.to_owned();
    let wish = |who: Value, class: &str| {
        let mut wish = json!({
            "class": class, "disclosure": disclosure(&[&shown]), "effect": "ASSUME_NO_OBJECTION", "extension": "for_reason",
        });
        for (name, value) in who.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        wish
    };
    let asked = [
        (json!({ "to": BETA }), "CHAMBER"),
        (
            json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } }),
            "PUBLIC_BODY",
        ),
        (json!({ "unit": "u-42" }), "AUTHORITY"),
    ];
    let mut ids = Vec::new();
    for (who, class) in asked {
        let mut wish = wish(who, class);
        // The own unit may show it to an adviser.
        wish["disclosure"]["onward"] = json!(wish["unit"].is_string());
        let request = rounds.ask(&round, &wish).await?;
        ensure!(request["state"] == "CREATED", "{request}");
        ids.push(text(&request, "id")?.to_owned());
    }
    let [to_chamber, to_guest, to_unit] = &ids[..] else {
        bail!("three are asked")
    };
    // What cannot be read is refused with its place.
    let odd = json!({ "class": "CHAMBER", "to": BETA, "disclosure": {
        "parts": [{ "at": [0], "right": "VIEW" }, { "at": [0], "right": "EAT" }], "purpose": "x", "legal_basis": "x",
    } });
    let (status, page) = here
        .post(&format!("/api/v1/rounds/{round}/requests"), 1, &odd)
        .await?;
    ensure!(
        status == StatusCode::BAD_REQUEST && page["pointer"] == "/disclosure/parts/1/right",
        "{status}: {page}"
    );
    // Silence has an effect: a second person releases each of them.
    refused(
        &here,
        &format!("/api/v1/rounds/{round}"),
        "open",
        &json!({}),
        "release_second_pair",
    )
    .await?;
    for id in &ids {
        let path = format!("/api/v1/requests/{id}");
        refused(&here, &path, "approve", &json!({}), "role_missing").await?;
        act(&here.of("releaser"), &path, "approve", &json!({})).await?;
    }
    let open = rounds.round(&round, "open", &json!({})).await?;
    ensure!(open["state"] == "OPEN", "{open}");
    // A case is not handed over while somebody is asked who does not know it: the guest has not come.
    let now = here.get(&format!("/api/v1/cases/{case}")).await?;
    let offer = json!({ "to": BETA, "situation": "MISDIRECTED" });
    let path = format!("/api/v1/cases/{case}/transfers");
    here.refused(&path, number(&now, "version")?, &offer, "open_round")
        .await?;

    // The chamber: its node has it, and everything that is disclosed; the clock runs.
    let ours = format!("/api/v1/requests/{to_chamber}");
    let theirs = format!("/api/v1/contributions/{to_chamber}");
    let delivered = until(&here, &ours, |page| page["deadline"].is_object()).await?;
    ensure!(
        delivered["state"] == "DELIVERED" && delivered["delivery"]["proof"] == "signed_answer",
        "{delivered}"
    );
    let seen = until(&chamber, &theirs, is_here).await?;
    ensure!(seen["deadline"] == delivered["deadline"], "the deadlines differ");
    let sheet = &seen["received"][0]["letter"]["document"];
    ensure!(
        sheet["purpose"] == PURPOSE && sheet["more"]["fields"].as_u64() > Some(0),
        "{sheet}"
    );
    let octets = chamber
        .send(
            Method::GET,
            &format!("{theirs}/files/{shown}?copy=true"),
            None,
            "",
            Vec::new(),
        )
        .await?;
    ensure!(
        octets.status == StatusCode::OK && octets.body == files()[0].2,
        "{octets:?}"
    );
    // Who asks did not allow it to be shown onward.
    let adviser = chamber.of("adviser");
    let me = adviser.get("/api/v1/me").await?;
    let wish = json!({ "pseudonym": me["pseudonym"], "files": [shown], "until": "2098-12-31" });
    let now = chamber.get(&theirs).await?;
    chamber
        .refused(
            &format!("{theirs}/advisers"),
            number(&now, "version")?,
            &wish,
            "onward_not_granted",
        )
        .await?;
    let advice = adviser.get("/api/v1/advice").await?;
    ensure!(advice["advice"] == json!([]), "{advice}");
    act(&chamber, &theirs, "acknowledge", &json!({ "reference": "K-17" })).await?;
    act(
        &chamber,
        &theirs,
        "ask",
        &json!({ "text": "Welche Maschinen? (fiktiv)" }),
    )
    .await?;
    let question = until(&here, &ours, |page| {
        let received = page["received"].as_array();
        page["question_open"] == true
            && received.is_some_and(|all| {
                all.iter()
                    .any(|one| one["letter"]["document"]["text"].is_string())
            })
    })
    .await?;
    ensure!(question["reference"] == "K-17", "{question}");
    act(&here, &ours, "answer", &json!({ "text": "Eine Säge. (fiktiv)" })).await?;
    until(&chamber, &theirs, |page| page["question_open"] == false).await?;
    let draft = json!({
        "kind": "CONSENT_WITH_CONDITIONS", "author": "Referat Gewerbe",
        "points": [{ "number": 1, "topic": "Lärm", "text": "Nur werktags.", "condition": "Betrieb 7 bis 20 Uhr" }],
    });
    put(&chamber, &theirs, &draft).await?;
    act(&chamber, &theirs, "submit", &json!({})).await?;
    let submitted = until(&here, &ours, |page| page["state"] == "SUBMITTED").await?;
    ensure!(
        submitted["statements"][0]["in_time"] == true
            && submitted["statements"][0]["kind"] == "CONSENT_WITH_CONDITIONS",
        "{submitted}"
    );

    // The guest: nothing is delivered before it opens the link with its code.
    let path = format!("/api/v1/requests/{to_guest}");
    let sent = until(&here, &path, |page| page["state"] == "SENT").await?;
    let (guest, link) = here.invited(&path, &sent).await?;
    let wrong = here.guest("WRONG-CODE");
    let answer = wrong.send(Method::GET, &link, None, "", Vec::new()).await?;
    ensure!(answer.status == StatusCode::UNAUTHORIZED, "{answer:?}");
    let seen = guest.get(&link).await?;
    ensure!(
        seen["proof_level"] == "guest"
            && seen["participant"]
                .as_str()
                .is_some_and(|name| name.starts_with("guest/")),
        "{seen}"
    );
    let opened = until(&here, &path, |page| page["deadline"].is_object()).await?;
    ensure!(opened["delivery"]["proof"] == "opened_with_code", "{opened}");
    put(
        &guest,
        &link,
        &json!({ "kind": "NO_OBJECTION", "author": "Vorstand" }),
    )
    .await?;
    act(&guest, &link, "submit", &json!({})).await?;
    until(&here, &path, |page| page["state"] == "SUBMITTED").await?;

    // The own unit is silent: after the end its node, which is this one, is asked, and the effect is recorded.
    let path = format!("/api/v1/requests/{to_unit}");
    let inside = format!("/api/v1/contributions/{to_unit}");
    until(&unit, &inside, |page| page["deadline"].is_object()).await?;
    advised(&unit, &inside, &shown).await?;
    pass(&clock, 40)?;
    let expired = until(&here, &path, |page| page["state"] == "EXPIRED").await?;
    ensure!(
        expired["expiry"]["effect"] == "ASSUME_NO_OBJECTION" && expired["expiry"]["answered"] == true,
        "{expired}"
    );
    until(&unit, &inside, |page| page["state"] == "EXPIRED").await?;

    // Weighed and told.
    rounds.round(&round, "close", &json!({})).await?;
    rounds.round(&round, "evaluate", &json!({})).await?;
    let assessment = json!({ "assessment": { "version": 1, "treated": [{ "point": 1, "treatment": 1000, "text": "Wird Auflage." }] } });
    act(&here, &ours, "assess", &assessment).await?;
    let whole = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 5000 }] } });
    act(&here, &format!("/api/v1/requests/{to_guest}"), "assess", &whole).await?;
    for id in &ids {
        act(&here, &format!("/api/v1/requests/{id}"), "notify", &json!({})).await?;
    }
    for (desk, path) in [
        (&chamber, theirs.as_str()),
        (&guest, link.as_str()),
        (&unit, inside.as_str()),
    ] {
        until(desk, path, |page| {
            let received = page["received"].as_array();
            page["state"] == "NOTIFIED"
                && page["settled"] == true
                && received.is_some_and(|all| {
                    all.iter()
                        .any(|one| one["kind"] == "outcome" && one["letter"].is_object())
                })
        })
        .await?;
    }
    let ended = rounds.round(&round, "conclude", &json!({})).await?;
    ensure!(ended["state"] == "CONCLUDED", "{ended}");
    // The applicant is told whom others were asked only where that is switched on, and nothing of what they said.
    let notice = here
        .send(
            Method::GET,
            &format!("/api/v1/cases/{case}/rounds/notice"),
            None,
            "",
            Vec::new(),
        )
        .await?;
    let notice: Value = serde_json::from_slice(&notice.body)?;
    ensure!(
        notice["asked"].as_array().is_some_and(|asked| asked.len() == 3)
            && !notice.to_string().contains("Lärm"),
        "{notice}"
    );
    let case = here.get(&format!("/api/v1/cases/{case}")).await?;
    ensure!(case["open_round"] == false, "{case}");
    // The data-protection officer sees what was shown to whom and why.
    let shown = here.of("officer").get("/api/v1/disclosures").await?;
    let shown = shown["requests"].as_array().cloned().unwrap_or_default();
    ensure!(
        shown.len() == 3
            && shown
                .iter()
                .all(|one| one["purpose"] == PURPOSE && one["state"] == "NOTIFIED"),
        "{shown:?}"
    );
    ensure!(
        shown.iter().any(|one| one["to"] == BETA) && shown.iter().any(|one| one["to"] == "unit/u-42"),
        "{shown:?}"
    );
    Ok(())
}

/// An adviser of the unit looks at the file that was chosen for it, and at nothing any more once it is dismissed.
async fn advised(unit: &Desk, inside: &str, shown: &str) -> Result<()> {
    let adviser = unit.of("adviser");
    let me = adviser.get("/api/v1/me").await?;
    let admit = async |files: Value| -> Result<Value> {
        let now = unit.get(inside).await?;
        let wish = json!({ "pseudonym": me["pseudonym"], "files": files, "until": "2098-12-31" });
        unit.done(&format!("{inside}/advisers"), number(&now, "version")?, &wish)
            .await
    };
    admit(json!([shown])).await?;
    let advice = adviser.get("/api/v1/advice").await?;
    let one = &advice["advice"][0];
    ensure!(
        one["files"][0]["file_id"] == shown && one["question"].is_string(),
        "{advice}"
    );
    let path = format!("/api/v1/advice/{}/files/{shown}", text(one, "request")?);
    let read = async || adviser.send(Method::GET, &path, None, "", Vec::new()).await;
    let answer = read().await?;
    ensure!(
        answer.status == StatusCode::OK && answer.body == files()[0].2,
        "{answer:?}"
    );
    let answer = adviser.send(Method::GET, inside, None, "", Vec::new()).await?;
    ensure!(answer.status == StatusCode::FORBIDDEN, "{answer:?}");
    admit(json!([])).await?;
    let answer = read().await?;
    ensure!(answer.status == StatusCode::NOT_FOUND, "{answer:?}");
    Ok(())
}

/// The same, until every node has seen it: they look five times a second.
pub(crate) async fn passed(clock: &Path, days: u64) -> Result<()> {
    pass(clock, days)?;
    tokio::time::sleep(Duration::from_millis(400)).await;
    Ok(())
}

/// Puts a draft of a statement.
pub(crate) async fn put(desk: &Desk, subject: &str, draft: &Value) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let now = desk.get(subject).await?;
        let answer = desk
            .send(
                Method::PUT,
                &format!("{subject}/statement"),
                Some(number(&now, "version")?),
                "application/json",
                draft.to_string().into_bytes(),
            )
            .await?;
        if answer.status == StatusCode::PRECONDITION_FAILED && begun.elapsed() < PATIENCE {
            continue;
        }
        let page: Value = serde_json::from_slice(&answer.body)?;
        ensure!(
            answer.status.is_success(),
            "PUT {subject}/statement: {}: {page}",
            answer.status
        );
        return Ok(page);
    }
}
