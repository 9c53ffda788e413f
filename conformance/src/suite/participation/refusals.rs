//! What whoever asks, is asked or is a guest gets that wants something that cannot be: a status, a stable code, a sentence, and where
//! it stands in the input or what has to come first. Rounds, wishes and commands are here; the rest is below.

mod guests;
mod release;
mod statements;
mod time;

use anyhow::{Context, Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{PURPOSE, Rounds, disclosure, is_here, refused, until};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, number, one_more_key, settings, text};
use crate::federation::Federation;
use crate::plan::{NodePlan, PeerPlan};
use crate::suite::{World, cases};

cases! {
    slow PARTICIPATION_REFUSALS => refusals;
}

/// A service under tax secrecy.
const TAX_SERVICE: &str = "99102013104999";
/// A template with a name that means two places of the suite's application.
const TEMPLATE: &str = r#"
[[template]]
code = "beide-telefone"
version = "1"
name = { de = "Telefon (fiktiv)", en = "Telephone (fictional)" }
profile = "AMTSHILFE"
[template.show]
forms = ["f-"]
parts = [["person", "telefon"]]
form_right = "VIEW"
file_right = "VIEW"
"#;

/// One request, whatever it is answered.
async fn sent(
    desk: &Desk,
    method: Method,
    path: &str,
    version: Option<u64>,
    body: &str,
) -> Result<(u16, Value)> {
    let answer = desk
        .send(
            method.clone(),
            path,
            version,
            "application/json",
            body.as_bytes().to_vec(),
        )
        .await?;
    let page = serde_json::from_slice(&answer.body)
        .with_context(|| format!("{method} {path}: {} is no document", answer.status))?;
    Ok((answer.status.as_u16(), page))
}

/// One request that is refused.
async fn no(
    desk: &Desk,
    method: Method,
    path: &str,
    version: Option<u64>,
    body: &str,
    (status, code): (u16, &str),
) -> Result<Value> {
    let (is, page) = sent(desk, method.clone(), path, version, body).await?;
    ensure!(
        is == status && page["code"] == code && page["status"] == status,
        "{method} {path} {body}: {is} instead of {status} {code}: {page}"
    );
    ensure!(page["detail"].as_str().is_some_and(|it| !it.is_empty()), "{page}");
    Ok(page)
}

/// What the refusals are about: a case at alpha with two files, of which one is shown.
struct Stage<'a> {
    federation: &'a Federation,
    here: Desk,
    there: Desk,
    case: String,
    shown: String,
    hidden: String,
}

impl Stage<'_> {
    fn rounds(&self) -> Rounds<'_> {
        Rounds { here: &self.here }
    }

    async fn round(&self, profile: &str) -> Result<String> {
        let round = self.rounds().prepare(&self.case, profile).await?;
        Ok(text(&round, "id")?.to_owned())
    }

    /// A round by the profile of administrative assistance with one request in it, which is sent.
    async fn asked(&self, more: &Value) -> Result<(String, String)> {
        let round = self.round("AMTSHILFE").await?;
        let mut wish = json!({
            "class": "CHAMBER", "rule": { "kind": "weeks", "n": 4 }, "disclosure": disclosure(&[&self.shown]),
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        let request = self.rounds().ask(&round, &wish).await?;
        self.rounds().round(&round, "open", &json!({})).await?;
        Ok((
            format!("/api/v1/requests/{}", text(&request, "id")?),
            format!("/api/v1/contributions/{}", text(&request, "id")?),
        ))
    }
}

async fn refusals(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let dir = world.federation.dir();
    let passing = dir.join("clock-of-the-refusals");
    let lists = dir.join("recipients-of-the-refusals.toml");
    std::fs::write(&lists, TEMPLATE)?;
    let lines = |eyes: &str| {
        format!(
            "training_clock = {:?}\ntax_secrecy = [\"{TAX_SERVICE}\"]\n[casework.participation]\neyes = \"{eyes}\"\nrecipients = {:?}\n{}{}{}",
            passing.display().to_string(),
            lists.display().to_string(),
            one_more_key("second-coordinator", &["coordinator"], &[]),
            one_more_key("third-coordinator", &["coordinator"], &[]),
            one_more_key("specialist-of-u-7", &["specialist"], &["u-7"]),
        )
    };
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &lines("four"))))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &lines("six"))))
        .peer(PeerPlan::new("delta", "1004", "portal"))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta")).of("coordinator");
    let case = here
        .hand_in(&application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0101"), &files())
        .await?;
    let case = text(&case, "id")?.to_owned();
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let file = |index: usize| -> Result<String> { Ok(text(&listed["files"][index], "file_id")?.to_owned()) };
    let stage = Stage {
        federation: &federation,
        here,
        there,
        case,
        shown: file(0)?,
        hidden: file(1)?,
    };
    of_rounds(&stage).await?;
    of_wishes(&stage).await?;
    of_commands(&stage).await?;
    statements::of_eyes(&stage).await?;
    statements::of_statements(&stage).await?;
    guests::of_guests(&stage).await?;
    release::of_release(&stage).await?;
    // From here on time passes.
    time::of_the_calendar(&stage).await?;
    time::of_the_end(&stage, &passing).await
}

/// Rounds that cannot be prepared.
async fn of_rounds(stage: &Stage<'_>) -> Result<()> {
    let (here, path) = (&stage.here, format!("/api/v1/cases/{}/rounds", stage.case));
    let now = here.get(&format!("/api/v1/cases/{}", stage.case)).await?;
    let version = Some(number(&now, "version")?);
    let wish = |more: Value| {
        let mut wish = json!({ "profile": "AMTSHILFE", "question": "Was? (fiktiv)", "contact": "Bau" });
        for (name, value) in more.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        wish.to_string()
    };
    for (more, code, pointer) in [
        (json!({ "profile": "BAUGB_4711" }), "profile_unknown", "/profile"),
        (json!({ "profile": null }), "profile_missing", "/profile"),
        (json!({ "question": " " }), "text_length", "/question"),
        (json!({ "contact": "x".repeat(301) }), "text_length", "/contact"),
        (json!({ "topics": [""] }), "text_length", "/topics"),
        (
            json!({ "renews": "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0bffff" }),
            "round_unknown",
            "/renews",
        ),
    ] {
        let page = no(here, Method::POST, &path, version, &wish(more), (422, code)).await?;
        ensure!(page["pointer"] == pointer, "{page}");
    }
    for body in ["{", "[]", "nichts", r#"{"question":"a","contact":"b","mehr":1}"#] {
        no(here, Method::POST, &path, version, body, (400, "malformed")).await?;
    }
    let good = wish(json!({}));
    no(here, Method::POST, &path, None, &good, (428, "version_required")).await?;
    no(
        here,
        Method::POST,
        &path,
        Some(99),
        &good,
        (412, "version_mismatch"),
    )
    .await?;
    for name in ["coordinator", "specialist", "officer", "form service"] {
        let desk = here.of(name);
        no(&desk, Method::POST, &path, version, &good, (403, "role_missing")).await?;
    }
    for id in [
        "nichts",
        "0B9F1D9E-0F3C-4F53-8D5C-5F2F3F0B0101",
        "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0bffff",
    ] {
        for kind in ["rounds", "requests", "contributions"] {
            let desk = match kind {
                "contributions" => here.of("coordinator"),
                _ => here.clone(),
            };
            no(
                &desk,
                Method::GET,
                &format!("/api/v1/{kind}/{id}"),
                None,
                "",
                (404, "not_found"),
            )
            .await?;
        }
    }
    no(
        here,
        Method::GET,
        "/api/v1/requests?state=SENT&limit=0",
        None,
        "",
        (400, "malformed"),
    )
    .await?;
    no(
        here,
        Method::GET,
        "/api/v1/requests?round=nichts",
        None,
        "",
        (404, "not_found"),
    )
    .await?;
    no(
        &here.of("releaser"),
        Method::GET,
        "/api/v1/contributions",
        None,
        "",
        (403, "role_missing"),
    )
    .await?;
    let coordinator = here.of("coordinator");
    no(
        &coordinator,
        Method::GET,
        "/api/v1/requests",
        None,
        "",
        (403, "role_missing"),
    )
    .await?;
    Ok(())
}

/// Requests that cannot be prepared: whom, by which terms, and what is shown.
async fn of_wishes(stage: &Stage<'_>) -> Result<()> {
    let here = &stage.here;
    let (shown, legal) = (
        stage.shown.as_str(),
        json!({ "purpose": PURPOSE, "legal_basis": "fiktiv" }),
    );
    let by = |more: Value| {
        let mut chosen = legal.clone();
        for (name, value) in more.as_object().into_iter().flatten() {
            chosen[name] = value.clone();
        }
        json!({ "disclosure": chosen })
    };
    let unit = json!({ "unit": "u-42", "class": "AUTHORITY", "disclosure": disclosure(&[shown]) });
    let twice = json!([{ "file_id": shown, "right": "VIEW" }, { "file_id": shown, "right": "DOWNLOAD" }]);
    let lbo: Vec<(Value, &str, &str)> = vec![
        (json!({ "unit": null }), "participant_missing", "/to"),
        (json!({ "to": BETA }), "participant_missing", "/to"),
        (
            json!({ "unit": null, "guest": { "name": "Verein (fiktiv)", "address": " " } }),
            "guest_address_missing",
            "/guest",
        ),
        (
            json!({ "unit": null, "to": "TEST/GOV/1004" }),
            "recipient_without_node",
            "/to",
        ),
        (
            json!({ "unit": null, "to": "TEST/GOV/4711" }),
            "recipient_unknown",
            "/to",
        ),
        (
            json!({ "unit": null, "to": "1004" }),
            "recipient_malformed",
            "/to",
        ),
        (json!({ "class": "ASSOCIATION" }), "profile_class", "/class"),
        (json!({ "effect": null }), "profile_open", "/effect"),
        (json!({ "effect": "NONE" }), "profile_not_allowed", "/effect"),
        (json!({ "extension": null }), "profile_open", "/extension"),
        (
            json!({ "extension": "free" }),
            "profile_not_allowed",
            "/extension",
        ),
        (
            json!({ "rule": { "kind": "weeks", "n": 2 } }),
            "profile_length_fixed",
            "/rule",
        ),
        (
            by(json!({ "recipient_class": "HWK" })),
            "recipient_class_unknown",
            "/disclosure/recipient_class",
        ),
        (
            by(json!({ "template": true })),
            "template_unknown",
            "/disclosure/template",
        ),
        (
            by(json!({ "files": [{ "file_id": "keine", "right": "VIEW" }] })),
            "disclosure_file_unknown",
            "/disclosure",
        ),
        (by(json!({ "files": twice })), "disclosure_twice", "/disclosure"),
        (
            by(json!({ "parts": [{ "at": [0, 99], "right": "VIEW" }] })),
            "disclosure_part_unknown",
            "/disclosure",
        ),
        (
            by(json!({ "purpose": " " })),
            "disclosure_no_basis",
            "/disclosure",
        ),
    ];
    let lbo = lbo
        .into_iter()
        .map(|(mut more, code, pointer)| {
            for (name, value) in [("effect", "ASSUME_NO_OBJECTION"), ("extension", "none")] {
                if more.get(name).is_none() {
                    more[name] = value.into();
                }
            }
            (more, code, pointer)
        })
        .collect();
    let plan = vec![
        (json!({}), "profile_length_missing", "/rule"),
        (
            json!({ "rule": { "kind": "months", "n": 4 } }),
            "profile_too_long",
            "/rule",
        ),
        (
            json!({ "rule": { "kind": "months", "n": 900 } }),
            "calendar_unknown",
            "/rule",
        ),
    ];
    let assistance = vec![
        (
            json!({ "rule": { "kind": "until", "date": "2020-02-02" } }),
            "deadline_before_trigger",
            "/rule",
        ),
        (
            json!({ "rule": { "kind": "weeks", "n": 0 } }),
            "period_empty",
            "/rule",
        ),
        (
            {
                let mut wish = by(json!({ "template": true }));
                wish["rule"] = json!({ "kind": "weeks", "n": 2 });
                wish
            },
            "template_ambiguous",
            "/disclosure",
        ),
    ];
    for (profile, wishes) in [
        ("LBO_STATEMENT", lbo),
        ("PLANFESTSTELLUNG", plan),
        ("AMTSHILFE", assistance),
    ] {
        let path = format!("/api/v1/rounds/{}", stage.round(profile).await?);
        let now = here.get(&path).await?;
        let version = Some(number(&now, "version")?);
        for (more, code, pointer) in wishes {
            let mut wish = unit.clone();
            for (name, value) in more.as_object().into_iter().flatten() {
                wish[name] = value.clone();
            }
            let page = no(
                here,
                Method::POST,
                &format!("{path}/requests"),
                version,
                &wish.to_string(),
                (422, code),
            )
            .await
            .with_context(|| profile.to_owned())?;
            ensure!(page["pointer"] == pointer, "{page}");
            let says_where = |it: &str| it.contains("person/telefon means 2 places in beide-telefone");
            ensure!(
                code != "template_ambiguous" || page["detail"].as_str().is_some_and(says_where),
                "{page}"
            );
        }
        // Nothing of all that is there.
        let now = here.get(&path).await?;
        ensure!(now["requests"] == json!([]), "{now}");
    }
    // Nobody is asked twice in one round.
    let round = stage.round("AMTSHILFE").await?;
    let mut wish = unit.clone();
    wish["rule"] = json!({ "kind": "weeks", "n": 2 });
    stage.rounds().ask(&round, &wish).await?;
    let path = format!("/api/v1/rounds/{round}");
    let version = number(&here.get(&path).await?, "version")?;
    let path = format!("{path}/requests");
    here.refused(&path, version, &wish, "asked_already").await?;
    wish["unit"] = "u-43".into();
    wish["replaces"] = "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0bffff".into();
    let page = here.refused(&path, version, &wish, "not_replaceable").await?;
    ensure!(page["pointer"] == "/replaces", "{page}");
    Ok(())
}

/// Commands of people who may not give them, that there are not, or that say too little.
async fn of_commands(stage: &Stage<'_>) -> Result<()> {
    let here = &stage.here;
    let releaser = here.of("releaser");
    // Whoever prepared it does not release it, whatever roles they have.
    let round = stage.round("LBO_STATEMENT").await?;
    let wish = json!({
        "to": BETA, "class": "CHAMBER", "disclosure": disclosure(&[&stage.shown]), "effect": "CONSENT_DEEMED_GIVEN", "extension": "none",
    });
    let request = Rounds { here: &releaser }.ask(&round, &wish).await?;
    let own = format!("/api/v1/requests/{}", text(&request, "id")?);
    refused(&releaser, &own, "approve", &json!({}), "release_second_pair").await?;
    refused(here, &own, "approve", &json!({}), "role_missing").await?;
    refused(
        here,
        &format!("/api/v1/rounds/{round}"),
        "open",
        &json!({}),
        "release_second_pair",
    )
    .await?;

    let (ours, theirs) = stage.asked(&json!({ "to": BETA })).await?;
    until(&stage.there, &theirs, is_here).await?;
    let settled = until(here, &ours, |page| page["deadline"].is_object()).await?;
    let weigh = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 5000 }] } });
    for (command, details, code) in [
        ("supplement", json!({}), "member_missing"),
        ("extend", json!({}), "member_missing"),
        (
            "extend",
            json!({ "rule": { "kind": "months", "n": 900 } }),
            "calendar_unknown",
        ),
        (
            "extend",
            json!({ "rule": { "kind": "until", "date": "2024-02-05" } }),
            "extension_not_longer",
        ),
        ("revoke", json!({}), "member_missing"),
        ("revoke-files", json!({ "reason": "REPLACED" }), "member_missing"),
        (
            "revoke-files",
            json!({ "reason": "REPLACED", "files": [stage.hidden] }),
            "file_not_disclosed",
        ),
        ("assess", weigh, "illegal_for_state"),
        ("expire", json!({}), "too_early"),
    ] {
        refused(here, &ours, command, &details, code).await?;
    }
    let page = here
        .refused(
            &format!("{ours}/invitation"),
            number(&settled, "version")?,
            &json!({}),
            "no_guest",
        )
        .await?;
    ensure!(page["status"] == 409, "{page}");
    for (desk, subject, legal) in [(here, &ours, "revoke"), (&stage.there, &theirs, "acknowledge")] {
        let path = format!("{subject}/commands/verschwinde");
        let page = no(desk, Method::POST, &path, Some(1), "{}", (404, "command_unknown")).await?;
        let listed = page["legal"].as_array();
        ensure!(
            listed.is_some_and(|all| all.iter().any(|one| one == legal)),
            "{page}"
        );
        let path = format!("{subject}/commands/{legal}");
        no(desk, Method::POST, &path, Some(1), "{", (400, "malformed")).await?;
        no(
            desk,
            Method::POST,
            &path,
            Some(1),
            r#"{"mehr":1}"#,
            (400, "malformed"),
        )
        .await?;
        let body = r#"{"reason":"OTHER"}"#;
        let body = if legal == "revoke" {
            r#"{"reason":"REPLACED"}"#
        } else {
            body
        };
        no(desk, Method::POST, &path, None, body, (428, "version_required")).await?;
        no(
            desk,
            Method::POST,
            &path,
            Some(7_000),
            body,
            (412, "version_mismatch"),
        )
        .await?;
    }
    // Each house has its own roles, and none of them opens the other side.
    let worker = Desk::at(stage.federation.node("beta"));
    for (desk, path) in [
        (worker.clone(), format!("{theirs}/commands/acknowledge")),
        (worker.of("specialist"), format!("{theirs}/commands/acknowledge")),
        (worker.of("specialist"), format!("{theirs}/commands/submit")),
        (here.of("coordinator"), format!("{ours}/commands/revoke")),
        (here.of("specialist"), format!("{ours}/commands/extend")),
    ] {
        no(&desk, Method::POST, &path, Some(1), "{}", (403, "role_missing")).await?;
    }
    no(&worker, Method::GET, &ours, None, "", (404, "not_found")).await?;
    let outsider = here.of("coordinator");
    no(&outsider, Method::GET, &theirs, None, "", (404, "not_found")).await?;
    Ok(())
}
