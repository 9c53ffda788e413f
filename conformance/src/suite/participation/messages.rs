//! A node's service `participation` as a scripted peer meets it on either side of a request: every kind of message of the contract,
//! right and wrong, and the bundles that messages announce (casework 1, domain 4.6).

mod bundles;
mod contract;
mod given_up;

use std::collections::BTreeSet;

use anyhow::{Result, bail, ensure};
use serde_json::{Value, json};

use self::bundles::{PART, Packed};
use super::peer::{GAMMA, Message, Scripted, message};
use super::{Rounds, act, disclosure, put, until};
use crate::address::Net;
use crate::clock;
use crate::desk::{Desk, application, settings, text};
use crate::federation::Federation;
use crate::plan::{NodePlan, PeerPlan};
use crate::scripted::asked;
use crate::suite::{World, cases};

cases! {
    slow PARTICIPATION_MESSAGES => messages;
}

/// Requests of the scripted peer.
const FIRST: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const SECOND: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3302";
/// One that nobody ever heard of.
const NONE: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c33ff";

/// The scripted peer on one side of a request at a node; it notes which kinds it has said.
struct Side<'a> {
    gamma: &'a Scripted<'a>,
    node: &'static str,
    party: &'static str,
    said: std::cell::RefCell<BTreeSet<String>>,
}

impl Side<'_> {
    /// Says something in every wrong way first and then as it has to be: it is taken, once; again it gets the same answer, and with
    /// other bytes none.
    async fn says(&self, request: &str, kind: &str, more: &Value) -> Result<Message> {
        let gamma = self.gamma;
        let (seq, heard) = gamma.next(request);
        let at = |seq: u32, kind: &str| format!("/v1/requests/{request}/{}/{seq}/{kind}", self.party);
        let good = message(kind, heard, more);
        let with = |name: &str, value: Value| {
            let mut body = good.clone();
            body[name] = value;
            body.to_string()
        };
        let other = if kind == "void" { "reminder" } else { "void" };
        let wrong = [
            (at(seq + 1, kind), good.to_string(), 409, "gap"),
            (at(seq, other), good.to_string(), 422, "kind_mismatch"),
            (at(seq, kind), with("test", json!(false)), 422, "test_mismatch"),
            (
                at(seq, kind),
                with("contract", json!("kontor-participation/2")),
                422,
                "contract_unknown",
            ),
            (at(seq, kind), with("heard", json!(-1)), 422, "message_malformed"),
            (at(seq, kind), "{".to_owned(), 422, "message_malformed"),
        ];
        for (path, body, status, code) in wrong {
            let (is, page) = gamma.tell(self.node, &path, &body).await?;
            ensure!(
                is == status && page["code"] == code,
                "{path} {body}: {is} instead of {status} {code}: {page}"
            );
        }
        // Of a stranger there is no such request, unless it begins one.
        if kind != "request" {
            let place = format!("participation{}", at(seq, kind));
            let delta = gamma.federation.peer("delta");
            let body = good.to_string();
            let (is, page) = asked(gamma.federation, self.node, delta, "PUT", &place, &body).await?;
            ensure!(is == 404, "a stranger: {is}: {}", String::from_utf8_lossy(&page));
        }
        let message = gamma.said(self.node, request, self.party, kind, more).await?;
        ensure!(
            message.page["message"] == message.path
                && message.page["proof_level"] == "node"
                && message.page["entry"]["number"].is_u64(),
            "{kind}: {}",
            message.page
        );
        self.again(&message).await?;
        self.said.borrow_mut().insert(kind.to_owned());
        Ok(message)
    }

    async fn again(&self, message: &Message) -> Result<()> {
        let (status, page) = self.gamma.tell(self.node, &message.path, &message.body).await?;
        ensure!(
            status == message.status && page == message.page,
            "again: {status}: {page} instead of {}",
            message.page
        );
        let others = message.body.replacen('{', "{ ", 1);
        let (status, page) = self.gamma.tell(self.node, &message.path, &others).await?;
        ensure!(
            status == 409 && page["code"] == "other_bytes",
            "other bytes: {status}: {page}"
        );
        Ok(())
    }

    /// Says something that does not fit: it is refused with how the request stands, which settles it.
    async fn refused(&self, request: &str, kind: &str, more: &Value, stands: &str) -> Result<()> {
        let message = self.gamma.say(self.node, request, self.party, kind, more).await?;
        ensure!(
            message.status == 409 && message.page["answer"] == "refused" && message.page["stands"] == stands,
            "{kind}: {}: {}",
            message.status,
            message.page
        );
        self.again(&message).await
    }
}

async fn messages(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", "")))
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .peer(PeerPlan::new("delta", "1004", "KONTOR"))
        .group(
            "KONTOR",
            &[
                ("1001", "KONTOR"),
                ("1002", "KONTOR"),
                ("1003", "KONTOR"),
                ("1004", "KONTOR"),
            ],
        )
        .start(world.federation.subject())
        .await?;
    let gamma = Scripted::start(&federation, "gamma").await?;
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta")).of("coordinator");
    there.get("/api/v1/status").await?;
    let side = |node, party| Side {
        gamma: &gamma,
        node,
        party,
        said: std::cell::RefCell::default(),
    };
    let (asking, asked) = (side("beta", "requester"), side("alpha", "participant"));
    // Two requests of alpha, the first with a file of several parts.
    let case = here
        .hand_in(
            &application("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0201"),
            &[
                ("attachment", "gross.bin", vec![7; PART + 100_000]),
                ("attachment", "klein.txt", b"klein (fiktiv)".to_vec()),
            ],
        )
        .await?;
    let case = text(&case, "id")?.to_owned();
    let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
    let mut ours = Vec::new();
    for index in [0, 1] {
        let file = text(&listed["files"][index], "file_id")?;
        let round = Rounds { here: &here }.prepare(&case, "AMTSHILFE").await?;
        let round = text(&round, "id")?.to_owned();
        let wish = json!({
            "to": GAMMA, "class": "CHAMBER", "rule": { "kind": "weeks", "n": 4 }, "disclosure": disclosure(&[file]),
        });
        let request = Rounds { here: &here }.ask(&round, &wish).await?;
        Rounds { here: &here }.round(&round, "open", &json!({})).await?;
        ours.push(text(&request, "id")?.to_owned());
    }
    let [large, small] = &ours[..] else {
        bail!("two are asked")
    };
    let told = bundles::part_by_part(&here, &gamma, large).await?;
    let request = Packed::of(&gamma, "alpha", small, "requester", "request").await?;
    let pages = Pages {
        here: &here,
        there: &there,
    };
    before_there_is_one(&asking, &told).await?;
    let (question, statement) = asks(&pages, &asking, &told, &request).await?;
    let outcome = is_asked(&pages, &asked, large, small, &question, &statement).await?;
    answers(&pages, &asking, &question, &outcome, &request).await?;
    bundles::unreadable(&pages, &asking, &told, &request, &question).await?;
    given_up::statements(&pages, &asking, &told, &request).await?;
    let kinds = |side: &Side<'_>| side.said.borrow().clone();
    contract::holds(&gamma, &(&kinds(&asking) | &kinds(&asked))).await
}

/// The desks at both nodes.
struct Pages<'a> {
    here: &'a Desk,
    there: &'a Desk,
}

fn fetched(page: &Value, side: &str) -> bool {
    let bundles = page["bundles"].as_array();
    bundles.is_some_and(|all| {
        all.iter()
            .filter(|one| one["side"] == side)
            .all(|one| one["complete"] == true)
    })
}

/// The scripted peer's request, with an id of its own.
fn own(told: &Value, id: &str, bundle: &Packed) -> Value {
    let mut request = told.clone();
    request["request_id"] = id.into();
    request["bundle"] = bundle.told.clone();
    json!({ "request": request })
}

/// What is wrong before there is a request, or by its form.
async fn before_there_is_one(side: &Side<'_>, told: &Value) -> Result<()> {
    let gamma = side.gamma;
    let empty = Packed {
        told: told["bundle"].clone(),
        octets: Vec::new(),
    };
    let good = own(told, FIRST, &empty);
    let other = |change: &dyn Fn(&mut Value)| {
        let mut more = good.clone();
        change(&mut more["request"]);
        message("request", 0, &more).to_string()
    };
    let at = |rest: &str| format!("/v1/requests/{FIRST}/{rest}");
    let simple = |kind: &str| message(kind, 0, &json!({})).to_string();
    for (path, body, status, code) in [
        (at("requester/1/assessed"), simple("assessed"), 404, "not_found"),
        (
            at("participant/1/preparing"),
            simple("preparing"),
            404,
            "not_found",
        ),
        (
            at("requester/1/preparing"),
            simple("preparing"),
            422,
            "wrong_party",
        ),
        (at("participant/1/request"), other(&|_| ()), 422, "wrong_party"),
        (at("requester/1/gruss"), simple("gruss"), 422, "message_malformed"),
        (at("requester/1/gruss"), simple("assessed"), 422, "kind_mismatch"),
        (at("nobody/1/request"), other(&|_| ()), 404, "unknown_path"),
        (at("requester/0/request"), other(&|_| ()), 404, "unknown_path"),
        (at("requester/01/request"), other(&|_| ()), 404, "unknown_path"),
        ("/v2/requests".to_owned(), other(&|_| ()), 404, "unknown_path"),
        (
            at("requester/1/request").replace(FIRST, NONE),
            other(&|_| ()),
            422,
            "id_mismatch",
        ),
        (
            at("requester/1/request"),
            other(&|request| request["bundle"]["octets"] = 1.into()),
            422,
            "message_invalid",
        ),
        (
            at("requester/1/request"),
            other(&|request| request["round_number"] = 0.into()),
            422,
            "message_invalid",
        ),
        (
            at("requester/1/request"),
            other(&|request| request["hosted"] = "unit/u-42".into()),
            422,
            "message_invalid",
        ),
        (
            at("requester/1/request"),
            other(&|request| {
                request["hosted"] = "unit/u-42".into();
                request["proof_level"] = "internal".into();
            }),
            422,
            "not_hosted_here",
        ),
        (
            at("requester/1/request"),
            " ".repeat(1100 * 1024),
            413,
            "message_too_large",
        ),
    ] {
        let (is, page) = gamma.tell("beta", &path, &body).await?;
        ensure!(
            is == status && page["code"] == code,
            "{path}: {is} instead of {status} {code}: {page}"
        );
    }
    let (status, octets) = gamma
        .ask("beta", "POST", &at("requester/1/request"), "{}")
        .await?;
    ensure!(
        status == 405,
        "another verb: {status}: {}",
        String::from_utf8_lossy(&octets)
    );
    Ok(())
}

/// The scripted peer asks beta, which fetches what is disclosed, asks back and answers; gives the bundles of its question and of its
/// statement.
async fn asks(
    pages: &Pages<'_>,
    side: &Side<'_>,
    told: &Value,
    request: &Packed,
) -> Result<(Packed, Packed)> {
    let there = pages.there;
    request.hand_out(side.gamma, FIRST, "requester");
    let delivered = side.says(FIRST, "request", &own(told, FIRST, request)).await?;
    ensure!(delivered.page["answer"] == "delivered", "{}", delivered.page);
    let path = format!("/api/v1/contributions/{FIRST}");
    until(there, &path, |page| fetched(page, "requester")).await?;
    // There is one already.
    side.refused(FIRST, "request", &own(told, FIRST, request), "DELIVERED")
        .await?;
    act(there, &path, "acknowledge", &json!({ "reference": "K-1" })).await?;
    act(there, &path, "ask", &json!({ "text": "Wie hoch? (fiktiv)" })).await?;
    let question = Packed::of(side.gamma, "beta", FIRST, "participant", "question").await?;
    let wish = json!({ "until": "2029-05-02", "extension_reason": "SITE_VISIT" });
    act(there, &path, "ask-for-time", &wish).await?;
    put(
        there,
        &path,
        &json!({ "kind": "STATEMENT", "text": "Keine Bedenken. (fiktiv)", "author": "Referat 1" }),
    )
    .await?;
    act(there, &path, "submit", &json!({})).await?;
    let statement = Packed::of(side.gamma, "beta", FIRST, "participant", "statement").await?;
    Ok((question, statement))
}

fn now() -> String {
    clock::now().to_rfc3339()
}

/// What was deleted, as a participant states it.
fn purged() -> Value {
    json!({ "whole": true, "complete": true, "statement": {
        "node": "done", "message_log": "never_there", "folder_drop": "never_there", "instance": "never_there", "archives": "never_there",
    } })
}

/// The scripted peer is asked by alpha and says everything that a participant can say; gives the bundle of the outcome.
async fn is_asked(
    pages: &Pages<'_>,
    side: &Side<'_>,
    large: &str,
    small: &str,
    question: &Packed,
    statement: &Packed,
) -> Result<Packed> {
    let (here, gamma) = (pages.here, side.gamma);
    let path = format!("/api/v1/requests/{large}");
    side.says(large, "acknowledge", &json!({ "reference": "HR-1" }))
        .await?;
    side.says(large, "preparing", &json!({})).await?;
    side.refused(large, "acknowledge", &json!({}), "IN_PREPARATION")
        .await?;
    question.hand_out(gamma, large, "participant");
    side.says(large, "question", &json!({ "bundle": question.told }))
        .await?;
    let words = json!({ "text": "Der Ausschuss tagt später.", "free_of_personal_data": true });
    let wish = json!({ "until": "2029-05-02", "entered_at": now(), "reason": "COMMITTEE_MEETS_LATER", "words": words });
    let mut unconfirmed = wish.clone();
    unconfirmed["words"]["free_of_personal_data"] = false.into();
    let no = gamma
        .say("alpha", large, "participant", "extension-request", &unconfirmed)
        .await?;
    ensure!(
        no.status == 422 && no.page["code"] == "message_invalid",
        "{}",
        no.page
    );
    let judged = side.says(large, "extension-request", &wish).await?;
    ensure!(
        judged.page["answer"] == "judged" && judged.page["in_time"] == true,
        "{}",
        judged.page
    );
    let page = until(here, &path, |page| {
        page["question_open"] == true && page["extension_wanted"].is_object() && fetched(page, "participant")
    })
    .await?;
    let asked = page["received"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["kind"] == "question");
    ensure!(
        asked.is_some_and(|one| one["letter"]["document"]["text"] == "Wie hoch? (fiktiv)"),
        "{page}"
    );
    let says = |version: u32| json!({ "version": version, "statement": "STATEMENT", "entered_at": now(), "bundle": statement.told });
    side.refused(large, "statement", &says(2), "IN_PREPARATION")
        .await?;
    statement.hand_out(gamma, large, "participant");
    let judged = side.says(large, "statement", &says(1)).await?;
    ensure!(
        judged.page["answer"] == "judged"
            && judged.page["in_time"] == true
            && judged.page["kept_beside"] == false,
        "{}",
        judged.page
    );
    until(here, &path, |page| {
        page["state"] == "SUBMITTED" && fetched(page, "participant")
    })
    .await?;
    let weigh = json!({ "assessment": { "version": 1, "treated": [{ "treatment": 1000, "text": "Wird befolgt. (fiktiv)" }] } });
    act(here, &path, "assess", &weigh).await?;
    act(here, &path, "notify", &json!({})).await?;
    let outcome = Packed::of(gamma, "alpha", large, "requester", "outcome").await?;
    let withdraw = json!({ "entered_at": now(), "reason": "MISTAKE" });
    side.refused(large, "withdraw-statement", &withdraw, "NOTIFIED")
        .await?;
    // What does not belong to a side is not taken from it, whatever the state.
    for kind in ["assessed", "reminder"] {
        let (seq, heard) = gamma.next(large);
        let path = format!("/v1/requests/{large}/participant/{seq}/{kind}");
        let body = message(kind, heard, &json!({ "ends_at": now(), "effect": "NONE" })).to_string();
        let (status, page) = gamma.tell("alpha", &path, &body).await?;
        ensure!(
            status == 422 && page["code"] == "wrong_party",
            "{kind}: {status}: {page}"
        );
    }

    bundles::closed(here, gamma, large).await?;

    let path = format!("/api/v1/requests/{small}");
    statement.hand_out(gamma, small, "participant");
    side.says(small, "statement", &says(1)).await?;
    side.says(small, "withdraw-statement", &withdraw).await?;
    until(here, &path, |page| page["state"] == "WITHDRAWN").await?;
    let decline = json!({ "reason": "NOT_COMPETENT", "entered_at": now(), "suggestion": "TEST/GOV/1004" });
    let judged = side.says(small, "decline", &decline).await?;
    ensure!(judged.page["answer"] == "judged", "{}", judged.page);
    side.refused(small, "preparing", &json!({}), "DECLINED").await?;
    side.says(small, "purged", &purged()).await?;
    side.says(small, "void", &json!({ "gives_up": "question" }))
        .await?;
    let page = until(here, &path, |page| page["state"] == "DECLINED").await?;
    ensure!(page["purge"]["node"] == "done", "{page}");
    Ok(outcome)
}

/// The scripted peer says everything else that a requester can say.
async fn answers(
    pages: &Pages<'_>,
    side: &Side<'_>,
    question: &Packed,
    outcome: &Packed,
    request: &Packed,
) -> Result<()> {
    let (there, gamma) = (pages.there, side.gamma);
    let path = format!("/api/v1/contributions/{FIRST}");
    question.hand_out(gamma, FIRST, "requester");
    side.says(FIRST, "answer", &json!({ "bundle": question.told }))
        .await?;
    side.says(FIRST, "extension-decision", &json!({ "granted": false }))
        .await?;
    request.hand_out(gamma, FIRST, "requester");
    side.says(
        FIRST,
        "supplement",
        &json!({ "restarts": false, "bundle": request.told }),
    )
    .await?;
    let deadline = json!({
        "rule": { "kind": "until", "date": "2098-12-31" }, "trigger": now(), "place": { "land": "SH" }, "zone": "Europe/Berlin",
        "holidays": "2026-1", "raw_end": null, "effective_end": "2098-12-31", "ends_at": "2098-12-31T23:00:00Z", "steps": [],
    });
    side.says(FIRST, "deadline", &json!({ "deadline": deadline }))
        .await?;
    let page = until(there, &path, |page| {
        page["settled"] == true && page["deadline"].is_object() && fetched(page, "requester")
    })
    .await?;
    ensure!(
        page["question_open"] == false && page["extension_wanted"].is_null() && page["state"] == "SUBMITTED",
        "{page}"
    );
    side.says(FIRST, "clock", &json!({ "stops": true, "at": now() }))
        .await?;
    until(there, &path, |page| page["standing_still"]["question"] == true).await?;
    side.says(FIRST, "clock", &json!({ "stops": false, "at": now() }))
        .await?;
    side.says(FIRST, "suspended", &json!({ "at": now() })).await?;
    until(there, &path, |page| page["standing_still"]["round"] == true).await?;
    side.says(FIRST, "resumed", &json!({ "at": now() })).await?;
    until(there, &path, |page| page["standing_still"].is_null()).await?;
    let reminder = json!({ "ends_at": "2098-12-31T23:00:00Z", "effect": "NONE" });
    side.says(FIRST, "reminder", &reminder).await?;
    side.says(FIRST, "inquire", &json!({ "until": now() })).await?;
    // Both or neither: everything, or the files by name.
    let both = json!({ "whole": true, "files": ["a"], "reason": "REPLACED" });
    let no = gamma.say("beta", FIRST, "requester", "revoke", &both).await?;
    ensure!(
        no.status == 422 && no.page["code"] == "message_invalid",
        "{}",
        no.page
    );
    side.says(FIRST, "assessed", &json!({})).await?;
    until(there, &path, |page| page["state"] == "ASSESSED").await?;
    outcome.hand_out(gamma, FIRST, "requester");
    side.says(FIRST, "outcome", &json!({ "bundle": outcome.told }))
        .await?;
    let page = until(there, &path, |page| {
        page["state"] == "NOTIFIED" && fetched(page, "requester")
    })
    .await?;
    let told = page["received"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["kind"] == "outcome");
    ensure!(
        told.is_some_and(|one| one["letter"]["document"]["treated"][0]["treatment"] == 1000),
        "{page}"
    );
    side.says(FIRST, "void", &json!({ "gives_up": "reminder" }))
        .await?;
    side.says(
        FIRST,
        "revoke",
        &json!({ "whole": true, "reason": "NO_LONGER_NEEDED" }),
    )
    .await?;
    until(there, &path, |page| page["state"] == "PURGED").await?;
    let begun = std::time::Instant::now();
    while gamma.script().last(FIRST, "purged").is_none() {
        ensure!(
            begun.elapsed() < super::PATIENCE,
            "no statement of the deletion came"
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    // Whoever hands the case over says to whom, and nothing after that.
    let to = |member: &str| json!({ "to": member, "transfer": FIRST, "at": now() });
    let no = gamma
        .say("beta", FIRST, "requester", "moved", &to("nobody"))
        .await?;
    ensure!(
        no.status == 422 && no.page["code"] == "message_invalid",
        "{}",
        no.page
    );
    side.says(FIRST, "moved", &to("TEST/GOV/1004")).await?;
    let page = until(there, &path, |page| page["peer"] == "TEST/GOV/1004/KONTOR").await?;
    ensure!(page["moves"][0]["from"] == GAMMA, "{page}");
    let no = gamma
        .say("beta", FIRST, "requester", "reminder", &reminder)
        .await?;
    ensure!(no.status == 404, "{}: {}", no.status, no.page);
    Ok(())
}
