//! Every state of a round and of a request, on both sides: reached, left where it has an exit, and every command that is not possible
//! in it refused with those that are, or with what has to come first (domain 4.3). A scripted peer holds still what two nodes pass
//! through at once.

mod commands;

use std::path::Path;

use anyhow::{Result, ensure};
use hyper::StatusCode;
use serde_json::{Value, json};

use self::commands::{names, of_contributions, of_requests, of_rounds, stands};
use super::peer::{GAMMA, Scripted};
use super::{Rounds, act, disclosure, is_here, pass, put, refused, until};
use crate::address::Net;
use crate::desk::{BETA, Desk, application, files, number, settings, text};
use crate::federation::Federation;
use crate::plan::{NodePlan, PeerPlan};
use crate::suite::{World, cases};

cases! {
    slow PARTICIPATION_STATES => states;
}

/// What a case at alpha is asked about, one request to a round.
struct Place<'a> {
    here: &'a Desk,
    there: &'a Desk,
    case: String,
    file: String,
}

/// A request in a round of its own.
struct Asked {
    round: String,
    ours: String,
    theirs: String,
    id: String,
}

impl Place<'_> {
    async fn new<'a>(here: &'a Desk, there: &'a Desk, transaction: &str) -> Result<Place<'a>> {
        let case = here.hand_in(&application(transaction), &files()).await?;
        let case = text(&case, "id")?.to_owned();
        let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
        let file = text(&listed["files"][0], "file_id")?.to_owned();
        Ok(Place {
            here,
            there,
            case,
            file,
        })
    }

    /// Prepares a round and one request in it.
    async fn prepared(&self, to: &str) -> Result<Asked> {
        let rounds = Rounds { here: self.here };
        let round = rounds.prepare(&self.case, "LBO_STATEMENT").await?;
        let round = text(&round, "id")?.to_owned();
        let wish = json!({
            "to": to, "class": "CHAMBER", "disclosure": disclosure(&[&self.file]), "effect": "ASSUME_NO_OBJECTION",
            "extension": "for_reason",
        });
        let request = rounds.ask(&round, &wish).await?;
        let id = text(&request, "id")?.to_owned();
        Ok(Asked {
            round: format!("/api/v1/rounds/{round}"),
            ours: format!("/api/v1/requests/{id}"),
            theirs: format!("/api/v1/contributions/{id}"),
            id,
        })
    }

    /// Releases the request and opens its round.
    async fn open(&self, asked: &Asked) -> Result<()> {
        act(&self.here.of("releaser"), &asked.ours, "approve", &json!({})).await?;
        act(self.here, &asked.round, "open", &json!({})).await?;
        Ok(())
    }

    async fn asked(&self, to: &str) -> Result<Asked> {
        let asked = self.prepared(to).await?;
        self.open(&asked).await?;
        Ok(asked)
    }

    async fn ours(&self, asked: &Asked, state: &str, legal: &[&str]) -> Result<Value> {
        self.ours_but(asked, state, legal, &[]).await
    }

    async fn ours_but(
        &self,
        asked: &Asked,
        state: &str,
        legal: &[&str],
        reasons: &[(&str, &str)],
    ) -> Result<Value> {
        let commands = of_requests(&self.file);
        stands(self.here, &asked.ours, &commands, state, legal, reasons).await
    }

    async fn theirs(&self, asked: &Asked, state: &str, legal: &[&str]) -> Result<Value> {
        // Where something can be submitted, what is missing is a draft.
        let reasons: &[(&str, &str)] = match legal.contains(&"submit") {
            true => &[("release", "statement_missing")],
            false => &[],
        };
        stands(
            self.there,
            &asked.theirs,
            &of_contributions(),
            state,
            legal,
            reasons,
        )
        .await
    }

    /// Submits a statement of one word.
    async fn submitted(&self, asked: &Asked, kind: &str) -> Result<()> {
        let draft = json!({ "kind": kind, "text": "Einverstanden. (fiktiv)", "author": "Referat 1" });
        put(self.there, &asked.theirs, &draft).await?;
        act(self.there, &asked.theirs, "submit", &json!({})).await?;
        Ok(())
    }
}

const WAITING: [&str; 6] = [
    "supplement",
    "extend",
    "stop-clock",
    "expire",
    "revoke",
    "revoke-files",
];

async fn states(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let clock = world.federation.dir().join("clock-of-the-states");
    let lines = format!("training_clock = {:?}", clock.display().to_string());
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &lines)))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", &lines)))
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(world.federation.subject())
        .await?;
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta")).of("coordinator");
    let gamma = Scripted::start(&federation, "gamma").await?;
    let place = Place::new(&here, &there, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0001").await?;
    of_a_round(&place).await?;
    to_a_statement(&place).await?;
    to_other_ends(&place).await?;
    held_still(&place, &gamma).await?;
    after_the_end(&place, &clock).await
}

/// A round from its preparation to both of its ends.
async fn of_a_round(place: &Place<'_>) -> Result<()> {
    let (here, rounds) = (place.here, of_rounds());
    let round = Rounds { here }.prepare(&place.case, "LBO_STATEMENT").await?;
    let path = format!("/api/v1/rounds/{}", text(&round, "id")?);
    stands(here, &path, &rounds, "PREPARING", &["open", "cancel"], &[]).await?;
    refused(here, &path, "open", &json!({}), "nobody_asked").await?;
    refused(here, &path, "cancel", &json!({}), "member_missing").await?;

    let asked = place.prepared(BETA).await?;
    let path = asked.round.clone();
    place
        .ours(&asked, "CREATED", &["approve", "send", "drop"])
        .await?;
    refused(here, &asked.ours, "send", &json!({}), "round_not_open").await?;
    refused(here, &path, "open", &json!({}), "release_second_pair").await?;
    place.open(&asked).await?;
    stands(here, &path, &rounds, "OPEN", &["close", "suspend", "cancel"], &[]).await?;
    refused(here, &path, "close", &json!({}), "requests_open").await?;
    until(place.there, &asked.theirs, is_here).await?;
    act(here, &path, "suspend", &json!({})).await?;
    stands(here, &path, &rounds, "SUSPENDED", &["resume", "cancel"], &[]).await?;
    let still = place.ours(&asked, "DELIVERED", &WAITING).await?;
    ensure!(
        still["standing_still"]["round"] == true && still["ends_at"].is_null(),
        "{still}"
    );
    refused(here, &asked.ours, "expire", &json!({}), "clock_stands").await?;
    let told = until(place.there, &asked.theirs, |page| {
        page["standing_still"]["round"] == true
    })
    .await?;
    ensure!(told["ends_at"].is_null(), "{told}");
    let now = here.get(&path).await?;
    let wish = json!({ "unit": "u-42", "class": "AUTHORITY", "disclosure": disclosure(&[&place.file]) });
    let late = here
        .refused(
            &format!("{path}/requests"),
            number(&now, "version")?,
            &wish,
            "illegal_for_state",
        )
        .await?;
    ensure!(names(&late) == ["cancel", "resume"], "{late}");
    act(here, &path, "resume", &json!({})).await?;
    until(place.there, &asked.theirs, |page| page["ends_at"].is_string()).await?;
    place.submitted(&asked, "NO_OBJECTION").await?;
    until(here, &asked.ours, |page| page["state"] == "SUBMITTED").await?;
    act(here, &path, "close", &json!({})).await?;
    stands(here, &path, &rounds, "CLOSED", &["evaluate", "cancel"], &[]).await?;
    // A newer version changes nothing any more: it is kept beside, both sides see that, and the first one is assessed.
    place.submitted(&asked, "REFUSAL").await?;
    for (desk, subject) in [(here, &asked.ours), (place.there, &asked.theirs)] {
        let beside = until(desk, subject, |page| page["statements"][1]["kept_beside"] == true).await?;
        ensure!(
            beside["state"] == "SUBMITTED" && beside["statements"][0]["kept_beside"] == false,
            "{beside}"
        );
    }
    act(here, &path, "evaluate", &json!({})).await?;
    stands(here, &path, &rounds, "EVALUATING", &["conclude", "cancel"], &[]).await?;
    refused(here, &path, "conclude", &json!({}), "requests_open").await?;
    until(here, &asked.ours, |page| {
        let bundles = page["bundles"].as_array();
        bundles.is_some_and(|all| all.iter().all(|one| one["complete"] == true))
    })
    .await?;
    let assessment = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 5000 }] } });
    act(here, &asked.ours, "assess", &assessment).await?;
    act(here, &asked.ours, "notify", &json!({})).await?;
    act(here, &path, "conclude", &json!({})).await?;
    stands(here, &path, &rounds, "CONCLUDED", &[], &[]).await?;

    let asked = place.asked(BETA).await?;
    until(place.there, &asked.theirs, is_here).await?;
    act(
        here,
        &asked.round,
        "cancel",
        &json!({ "reason": "APPLICATION_WITHDRAWN" }),
    )
    .await?;
    stands(here, &asked.round, &rounds, "CANCELLED", &[], &[]).await?;
    // Whoever was asked deletes what it had, and says so.
    place.ours(&asked, "PURGED", &[]).await?;
    place.theirs(&asked, "PURGED", &["assign"]).await?;
    Ok(())
}

/// A request from its preparation to its outcome, with a question and a wish for more time beside it.
async fn to_a_statement(place: &Place<'_>) -> Result<()> {
    let (here, there) = (place.here, place.there);
    let asked = place.asked(BETA).await?;
    place.ours(&asked, "DELIVERED", &WAITING).await?;
    let all = [
        "acknowledge",
        "decline",
        "prepare",
        "ask",
        "ask-for-time",
        "submit",
        "assign",
    ];
    place.theirs(&asked, "DELIVERED", &all).await?;
    refused(here, &asked.ours, "expire", &json!({}), "too_early").await?;
    act(there, &asked.theirs, "acknowledge", &json!({})).await?;
    place.theirs(&asked, "ACKNOWLEDGED", &all[1..]).await?;
    place.ours(&asked, "ACKNOWLEDGED", &WAITING).await?;
    // A question and a wish for more time are open beside the state, and the clock stands for the question alone.
    act(
        there,
        &asked.theirs,
        "ask",
        &json!({ "text": "Wie hoch? (fiktiv)" }),
    )
    .await?;
    let wish = json!({ "until": "2029-05-02", "extension_reason": "SITE_VISIT" });
    act(there, &asked.theirs, "ask-for-time", &wish).await?;
    place
        .theirs(
            &asked,
            "ACKNOWLEDGED",
            &["decline", "prepare", "submit", "assign"],
        )
        .await?;
    let open = [&WAITING[..], &["answer", "decide-extension"]].concat();
    let page = place.ours(&asked, "ACKNOWLEDGED", &open).await?;
    ensure!(
        page["question_open"] == true && page["extension_wanted"]["in_time"] == true,
        "{page}"
    );
    act(here, &asked.ours, "stop-clock", &json!({})).await?;
    let stopped: Vec<&str> = open
        .iter()
        .map(|name| match *name {
            "stop-clock" => "continue-clock",
            name => name,
        })
        .collect();
    let page = place.ours(&asked, "ACKNOWLEDGED", &stopped).await?;
    ensure!(page["standing_still"]["question"] == true, "{page}");
    act(
        here,
        &asked.ours,
        "answer",
        &json!({ "text": "Drei Meter. (fiktiv)" }),
    )
    .await?;
    act(
        here,
        &asked.ours,
        "decide-extension",
        &json!({ "granted": false }),
    )
    .await?;
    let page = place.ours(&asked, "ACKNOWLEDGED", &WAITING).await?;
    ensure!(page["standing_still"].is_null(), "{page}");
    act(there, &asked.theirs, "prepare", &json!({})).await?;
    let working = ["decline", "ask", "ask-for-time", "submit", "assign"];
    place.theirs(&asked, "IN_PREPARATION", &working).await?;
    place.ours(&asked, "IN_PREPARATION", &WAITING).await?;
    refused(there, &asked.theirs, "submit", &json!({}), "statement_missing").await?;

    place.submitted(&asked, "CONSENT").await?;
    let here_is = ["supplement", "revoke", "revoke-files", "assess"];
    place
        .theirs(&asked, "SUBMITTED", &["submit", "withdraw", "assign"])
        .await?;
    place.ours(&asked, "SUBMITTED", &here_is).await?;
    place.submitted(&asked, "NO_OBJECTION").await?;
    place
        .theirs(&asked, "AMENDED", &["submit", "withdraw", "assign"])
        .await?;
    let page = place.ours(&asked, "AMENDED", &here_is).await?;
    ensure!(page["statements"].as_array().map(Vec::len) == Some(2), "{page}");
    act(
        there,
        &asked.theirs,
        "withdraw",
        &json!({ "withdraw_reason": "MISTAKE" }),
    )
    .await?;
    place.theirs(&asked, "WITHDRAWN", &working).await?;
    let withdrawn = [&WAITING[..], &["assess"]].concat();
    place.ours(&asked, "WITHDRAWN", &withdrawn).await?;
    // Nothing stands that could be weighed before its time is over.
    let assessment =
        |version: u32| json!({ "assessment": { "version": version, "treated": [{ "treatment": 1000 }] } });
    refused(here, &asked.ours, "assess", &assessment(2), "expiry_first").await?;
    place.submitted(&asked, "CONSENT").await?;
    until(here, &asked.ours, |page| {
        page["state"] == "SUBMITTED"
            && page["bundles"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one["complete"] == true))
    })
    .await?;
    act(here, &asked.ours, "assess", &assessment(3)).await?;
    place
        .ours(&asked, "ASSESSED", &["revoke", "revoke-files", "notify"])
        .await?;
    place.theirs(&asked, "ASSESSED", &["assign"]).await?;
    act(here, &asked.ours, "notify", &json!({})).await?;
    place
        .ours(&asked, "NOTIFIED", &["revoke", "revoke-files"])
        .await?;
    place.theirs(&asked, "NOTIFIED", &["assign"]).await?;
    Ok(())
}

/// Dropped before it was sent, declined, and taken back.
async fn to_other_ends(place: &Place<'_>) -> Result<()> {
    let asked = place.prepared(BETA).await?;
    act(place.here, &asked.ours, "drop", &json!({})).await?;
    place.ours(&asked, "DROPPED", &[]).await?;

    let asked = place.asked(BETA).await?;
    until(place.there, &asked.theirs, |page| page["state"] == "DELIVERED").await?;
    let why = json!({ "reason": "NOT_COMPETENT", "suggestion": GAMMA });
    act(place.there, &asked.theirs, "decline", &why).await?;
    place.theirs(&asked, "DECLINED", &["assign"]).await?;
    let page = place
        .ours(&asked, "DECLINED", &["revoke", "revoke-files"])
        .await?;
    ensure!(page["declined"]["suggestion"] == GAMMA, "{page}");
    // Asked another one instead, in the same round.
    let now = place.here.get(&asked.round).await?;
    let wish = json!({
        "unit": "u-42", "class": "AUTHORITY", "disclosure": disclosure(&[&place.file]), "replaces": asked.id,
        "effect": "ASSUME_NO_OBJECTION", "extension": "none",
    });
    let instead = place
        .here
        .done(
            &format!("{}/requests", asked.round),
            number(&now, "version")?,
            &wish,
        )
        .await?;
    ensure!(instead["replaces"] == asked.id.as_str(), "{instead}");

    let asked = place.asked(BETA).await?;
    until(place.there, &asked.theirs, is_here).await?;
    act(
        place.here,
        &asked.ours,
        "revoke",
        &json!({ "reason": "WRONG_RECIPIENT" }),
    )
    .await?;
    place.theirs(&asked, "PURGED", &["assign"]).await?;
    let page = place.ours(&asked, "PURGED", &[]).await?;
    ensure!(page["purge"]["node"] == "done", "{page}");
    Ok(())
}

/// What a peer that is silent, refuses, or does not delete holds still.
async fn held_still(place: &Place<'_>, gamma: &Scripted<'_>) -> Result<()> {
    let not_yet = [
        ("expire", "delivery_not_proven"),
        ("expire-unanswered", "delivery_not_proven"),
        ("record-delivery", "delivery_by_node"),
    ];
    let asked = place.prepared(GAMMA).await?;
    gamma.script().silent = true;
    place.open(&asked).await?;
    place
        .ours_but(&asked, "SENT", &["revoke", "revoke-files"], &not_yet)
        .await?;
    gamma.script().silent = false;
    gamma.speak("alpha").await?;
    // There, and not fetched: no clock runs before it has everything.
    let undated = ["supplement", "expire", "revoke", "revoke-files"];
    let page = place.ours(&asked, "DELIVERED", &undated).await?;
    ensure!(page["deadline"].is_null(), "{page}");
    refused(
        place.here,
        &asked.ours,
        "expire",
        &json!({}),
        "delivery_not_proven",
    )
    .await?;
    gamma.pull("alpha", &asked.id, "requester", 1).await?;
    place.ours(&asked, "DELIVERED", &WAITING).await?;
    act(
        place.here,
        &asked.ours,
        "revoke",
        &json!({ "reason": "MUST_NOT_LEAVE" }),
    )
    .await?;
    place.ours(&asked, "REVOKED", &[]).await?;
    until(place.here, &asked.ours, |page| {
        let sent = page["sent"].as_array();
        sent.is_some_and(|all| {
            all.iter()
                .any(|one| one["kind"] == "revoke" && one["state"]["state"] == "answered")
        })
    })
    .await?;
    let gone = json!({ "whole": true, "complete": true, "statement": {
        "node": "done", "message_log": "never_there", "folder_drop": "never_there", "instance": "never_there", "archives": "never_there",
    } });
    gamma
        .said("alpha", &asked.id, "participant", "purged", &gone)
        .await?;
    place.ours(&asked, "PURGED", &[]).await?;

    let asked = place.prepared(GAMMA).await?;
    gamma.script().refuses = true;
    place.open(&asked).await?;
    let page = place
        .ours_but(&asked, "FAILED", &["revoke", "revoke-files"], &not_yet)
        .await?;
    ensure!(page["parked"] == true, "{page}");
    let parked = |what: &str| format!("{}/parked/{what}", asked.ours);
    place
        .here
        .refused(&parked("void"), 1, &json!({}), "not_voidable")
        .await?;
    gamma.script().refuses = false;
    let (status, again) = place.here.post(&parked("retry"), 1, &json!({})).await?;
    ensure!(
        status == StatusCode::OK && (again["state"] == "SENT" || again["state"] == "DELIVERED"),
        "{status}: {again}"
    );
    place.ours(&asked, "DELIVERED", &undated).await?;
    Ok(())
}

/// Silence until the end, and a statement after it.
async fn after_the_end(place: &Place<'_>, clock: &Path) -> Result<()> {
    let asked = place.asked(BETA).await?;
    until(place.there, &asked.theirs, is_here).await?;
    pass(clock, 45)?;
    let ours = ["supplement", "extend", "revoke", "revoke-files", "notify"];
    let page = place.ours(&asked, "EXPIRED", &ours).await?;
    ensure!(page["expiry"]["effect"] == "ASSUME_NO_OBJECTION", "{page}");
    let theirs = ["ask", "ask-for-time", "submit", "assign"];
    place.theirs(&asked, "EXPIRED", &theirs).await?;
    place.submitted(&asked, "CONSENT").await?;
    let late = ["supplement", "extend", "revoke", "revoke-files", "assess"];
    let page = place.ours(&asked, "LATE", &late).await?;
    let seen = place
        .theirs(&asked, "LATE", &["submit", "withdraw", "assign"])
        .await?;
    for page in [&page, &seen] {
        ensure!(
            page["statements"][0]["in_time"] == false && page["expiry"]["effect"] == "ASSUME_NO_OBJECTION",
            "{page}"
        );
    }
    act(
        place.there,
        &asked.theirs,
        "withdraw",
        &json!({ "withdraw_reason": "REASON_GONE" }),
    )
    .await?;
    place.ours(&asked, "EXPIRED", &ours).await?;
    place.theirs(&asked, "EXPIRED", &theirs).await?;
    act(place.here, &asked.ours, "notify", &json!({})).await?;
    place.theirs(&asked, "NOTIFIED", &["assign"]).await?;
    Ok(())
}
