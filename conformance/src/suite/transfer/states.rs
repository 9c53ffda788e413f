//! Every state of a case and of a transfer, on both sides: reached, left where it has an exit, and every command that is not possible
//! in it refused with those that are (domain 3.2, casework 3). A scripted peer holds still what two nodes pass through at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};

use super::wait_for;
use crate::address::Net;
use crate::authority::OcspSays;
use crate::clock;
use crate::desk::{Desk, application, files, number, settings, text};
use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::provider::{Listening, Reaction, Reply, Seen};
use crate::plan::{NodePlan, PeerPlan};
use crate::scripted::told;
use crate::suite::{World, cases};

cases! {
    slow TRANSFER_STATES => transfers;
    quick TRANSFER_CASE_STATES => case_states;
}

/// Commands on transfers, each with everything that one of them needs.
const COMMANDS: [&str; 15] = [
    "withdraw",
    "expire",
    "send-package",
    "reclaim",
    "give-up-waiting",
    "recall",
    "answer",
    "accept",
    "refuse",
    "dispute",
    "query",
    "take-over",
    "lapse",
    "answer-recall",
    "tell-number",
];

fn details() -> Value {
    json!({
        "reason": "NOT_COMPETENT_PLACE", "recall_reason": "WRONG_RECIPIENT", "question": "WHY_US", "answer": "YES",
        "purged": true, "number": "F-1",
    })
}

/// A transfer is in this state here, these commands are possible, and all others are refused.
async fn stands(desk: &Desk, id: &str, state: &str, legal: &[&str]) -> Result<Value> {
    let page = desk.until(id, state).await?;
    for command in COMMANDS.iter().filter(|command| !legal.contains(command)) {
        let path = format!("/api/v1/transfers/{id}/commands/{command}");
        // A message's answer may change the version meanwhile, never the state.
        let refused = loop {
            let now = desk.get(&format!("/api/v1/transfers/{id}")).await?;
            ensure!(
                now["state"] == state,
                "{command} in {state}: it is {} now",
                now["state"]
            );
            let (status, refused) = desk.post(&path, number(&now, "version")?, &details()).await?;
            if status.as_u16() != 412 {
                ensure!(
                    status.as_u16() == 409,
                    "{command} in {state}: {status}: {refused}"
                );
                break refused;
            }
        };
        let mut told: Vec<&str> = refused["legal"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let mut expected = legal.to_vec();
        told.sort_unstable();
        expected.sort_unstable();
        ensure!(
            refused["code"] == "illegal_for_state" && told == expected,
            "{command} in {state}: {refused}"
        );
    }
    Ok(page)
}

/// What the scripted peer has seen, and how it answers.
#[derive(Default)]
struct Script {
    /// Messages are answered with "not now".
    silent: bool,
    /// Parts are.
    holds: bool,
    /// What it hands out when a package is pulled.
    package: Vec<u8>,
    /// The last body of each kind.
    said: std::collections::BTreeMap<String, Value>,
}

type Shared = Arc<Mutex<Script>>;

fn script(shared: &Shared) -> std::sync::MutexGuard<'_, Script> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn reply(seen: &Seen, status: u16, kind: &str, body: &[u8]) -> Result<Reply> {
    let mut reply = Reply::to(seen, body)?.header("Content-Type", kind);
    reply.text.first = status.to_string();
    Ok(reply)
}

fn answer(seen: &Seen, shared: &Shared) -> Result<Reply> {
    let target = &seen.text.second;
    let busy = json!({ "code": "busy", "detail": "not now (fiktiv)" }).to_string();
    if target.ends_with("/listMethods") {
        let listing = json!({ "service": [{
            "member_class": "GOV", "member_code": "1003", "object_type": "SERVICE", "service_code": "transfer",
            "service_type": "REST", "subsystem_code": "KONTOR", "xroad_instance": "TEST", "endpoint_list": [],
        }] });
        return reply(seen, 200, "application/json", listing.to_string().as_bytes());
    }
    let path = target.split_once("/transfer/").map_or("", |(_, path)| path);
    let path = format!("/{path}");
    let mut script = script(shared);
    if seen.text.first == "GET" {
        return match script.holds {
            true => reply(seen, 503, "application/problem+json", busy.as_bytes()),
            false => reply(seen, 200, "application/octet-stream", &script.package),
        };
    }
    if script.silent {
        return reply(seen, 503, "application/problem+json", busy.as_bytes());
    }
    let body = seen.body().context("a message without a body")?;
    let kind = path.rsplit('/').next().unwrap_or_default().to_owned();
    script.said.insert(kind, serde_json::from_slice(body)?);
    let digest: String = sha256(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let receipt = json!({
        "contract": "kontor-transfer/1", "message": path, "sha256": digest,
        "x_road_id": seen.text.header("x-road-id"), "x_road_request_id": seen.text.header("x-road-request-id").unwrap_or("none"),
        "received_at": clock::now().to_rfc3339(), "answer": "taken",
    });
    reply(seen, 202, "application/json", receipt.to_string().as_bytes())
}

/// The scripted peer as one side of a transfer.
struct Side<'a> {
    federation: &'a Federation,
    peer: &'a Peer,
    node: &'static str,
    party: &'static str,
    transfer: String,
    sent: u32,
}

impl Side<'_> {
    /// Says something that is taken.
    async fn say(&mut self, kind: &str, more: Value) -> Result<()> {
        self.sent += 1;
        let mut body = json!({
            "contract": "kontor-transfer/1", "kind": kind, "sent_at": clock::now().to_rfc3339(), "test": true,
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let path = format!(
            "/v1/transfers/{}/{}/{}/{kind}",
            self.transfer, self.party, self.sent
        );
        let (status, page) = told(
            self.federation,
            self.node,
            self.peer,
            "PUT",
            &path,
            &body.to_string(),
        )
        .await?;
        ensure!(status == 202, "{kind}: {status}: {page}");
        Ok(())
    }

    /// Is heard of again, so that what waits for it comes.
    async fn speak(&self) -> Result<()> {
        let (status, _) = told(
            self.federation,
            self.node,
            self.peer,
            "GET",
            "/v1/openapi.json",
            "",
        )
        .await?;
        ensure!(status == 200, "the contract: {status}");
        Ok(())
    }
}

fn soon(seconds: u64) -> String {
    (clock::now() + Duration::from_secs(seconds)).to_rfc3339()
}

async fn transfers(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", "")))
        .peer(PeerPlan::new("gamma", "1003", "KONTOR"))
        .group(
            "KONTOR",
            &[("1001", "KONTOR"), ("1002", "KONTOR"), ("1003", "KONTOR")],
        )
        .start(world.federation.subject())
        .await?;
    let gamma = federation.peer("gamma");
    let listening = Listening::start(gamma, federation.authority()).await?;
    let shared = Shared::default();
    let (signer, scripted) = (gamma.signer.clone(), Arc::clone(&shared));
    let ocsp = federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    listening.react(move |seen| {
        Ok(Reaction::Parts(
            answer(seen, &scripted)?.sign(&signer, std::slice::from_ref(&ocsp)),
        ))
    });
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta"));
    let offer = as_sender(&federation, &here, &shared).await?;
    as_receiver(&federation, &there, &shared, &offer).await
}

/// A case at alpha that is offered to the scripted peer, which has heard of it.
async fn offered<'a>(federation: &'a Federation, here: &Desk, index: u32, more: Value) -> Result<Side<'a>> {
    let case = here
        .hand_in(
            &application(&format!("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f1a{index:04x}")),
            &files(),
        )
        .await?;
    let mut wish = json!({ "to": "TEST/GOV/1003", "situation": "MISDIRECTED" });
    for (name, value) in more.as_object().into_iter().flatten() {
        wish[name] = value.clone();
    }
    let path = format!("/api/v1/cases/{}", text(&case, "id")?);
    let version = number(&case, "version")?;
    // What would leave is seen before: a draft, of which nothing is kept.
    let (status, draft) = here.post(&format!("{path}/preview"), version, &wish).await?;
    ensure!(
        status.as_u16() == 200 && draft["state"] == "DRAFT",
        "{status}: {draft}"
    );
    let page = here.done(&format!("{path}/transfers"), version, &wish).await?;
    ensure!(
        draft["offer"]["files"] == page["offer"]["files"]
            && draft["offer"]["octets"] == page["offer"]["octets"],
        "the draft said something else: {draft} and {page}"
    );
    let side = Side {
        federation,
        peer: federation.peer("gamma"),
        node: "alpha",
        party: "receiver",
        transfer: text(&page, "id")?.to_owned(),
        sent: 0,
    };
    wait_for(here, &side.transfer, |page| {
        page["sent"][0]["state"]["state"] == "answered"
    })
    .await?;
    Ok(side)
}

/// All states of a sender; gives the offer as it went out, for which the script has the package.
async fn as_sender(federation: &Federation, here: &Desk, shared: &Shared) -> Result<Value> {
    let mut side = offered(federation, here, 1, json!({})).await?;
    let id = side.transfer.clone();
    stands(here, &id, "OFFERED", &["withdraw", "expire", "answer"]).await?;
    side.say("accept", json!({})).await?;
    stands(here, &id, "PACKAGE_SENT", &["reclaim", "recall"]).await?;
    // What did not come whole is accepted still, and sent again.
    side.say("import-result", json!({ "complete": false, "files": [] }))
        .await?;
    stands(here, &id, "ACCEPTED", &["send-package", "reclaim", "recall"]).await?;
    here.command(&id, "send-package", &json!({})).await?;
    here.until(&id, "PACKAGE_SENT").await?;
    script(shared).package = part(&side).await?;
    side.say("import-result", json!({ "complete": true, "files": [] }))
        .await?;
    stands(here, &id, "IMPORTED", &["reclaim", "recall"]).await?;
    script(shared).silent = true;
    here.command(&id, "recall", &json!({ "recall_reason": "WRONG_RECIPIENT" }))
        .await?;
    stands(here, &id, "RECALLING", &["give-up-waiting"]).await?;
    here.command(&id, "give-up-waiting", &json!({})).await?;
    let page = stands(here, &id, "UNCONFIRMED", &[]).await?;
    ensure!(page["responsibility"] == "unconfirmed", "{page}");
    // It had taken over before it was called back: that counts, and is what ends the doubt.
    let mut offer = script(shared).said["offer"].clone();
    offer["package"] = script(shared).said["package"].clone();
    let taken = json!({ "at": clock::now().to_rfc3339(), "manifest": offer["offer"]["manifest"], "case_number": "X-1" });
    side.say("taken-over", taken).await?;
    let page = stands(here, &id, "CLOSED", &[]).await?;
    ensure!(page["responsibility"] == "theirs", "{page}");
    script(shared).silent = false;

    let side = offered(federation, here, 2, json!({})).await?;
    here.command(&side.transfer, "withdraw", &json!({})).await?;
    stands(here, &side.transfer, "WITHDRAWN", &[]).await?;
    for (index, kind, more, state) in [
        (3, "refuse", json!({ "reason": "DUPLICATE" }), "REFUSED"),
        (4, "dispute", json!({}), "DISPUTED"),
    ] {
        let mut side = offered(federation, here, index, json!({})).await?;
        side.say(kind, more).await?;
        stands(here, &side.transfer, state, &[]).await?;
    }
    // Nobody answers in time.
    let side = offered(federation, here, 5, json!({ "take_over_until": soon(15) })).await?;
    stands(here, &side.transfer, "EXPIRED", &[]).await?;
    // Accepted and not taken over in time: asked back, and given back.
    let mut side = offered(federation, here, 6, json!({ "take_over_until": soon(18) })).await?;
    side.say("accept", json!({})).await?;
    wait_for(here, &side.transfer, |page| {
        page["sent"][1]["state"]["state"] == "answered"
    })
    .await?;
    script(shared).silent = true;
    stands(here, &side.transfer, "RECLAIMING", &["give-up-waiting"]).await?;
    script(shared).silent = false;
    side.speak().await?;
    stands(here, &side.transfer, "RECLAIMED", &[]).await?;
    // Called back, and deleted there.
    let mut side = offered(federation, here, 7, json!({})).await?;
    side.say("accept", json!({})).await?;
    here.until(&side.transfer, "PACKAGE_SENT").await?;
    here.command(
        &side.transfer,
        "recall",
        &json!({ "recall_reason": "MUST_NOT_LEAVE" }),
    )
    .await?;
    stands(here, &side.transfer, "RECALLED", &[]).await?;
    let places = json!({ "node": "done", "message_log": "never_there", "folder_drop": "never_there", "instance": "never_there", "archives": "never_there" });
    side.say("recall-result", json!({ "purged": true, "statement": places }))
        .await?;
    wait_for(here, &side.transfer, |page| page["their_purge"]["node"] == "done").await?;
    stands(here, &side.transfer, "RECALLED", &[]).await?;
    Ok(offer)
}

/// The first part of a package, as the scripted peer pulls it.
async fn part(side: &Side<'_>) -> Result<Vec<u8>> {
    let node = side.federation.node(side.node);
    let target = format!(
        "/r1/{}/transfer/v1/packages/{}/0",
        node.client_id("KONTOR"),
        side.transfer
    );
    let ask = crate::peer::consumer::Ask::new(side.peer, "GET", &target, &crate::suite::fresh("part"));
    let answered = ask
        .sign(side.peer, &side.peer.signer, side.federation.authority())?
        .send(node.federation())
        .await?;
    let (head, body, _) = answered.message()?;
    ensure!(head.first == "200", "the part: {}", head.first);
    Ok(body.context("a part without octets")?.to_vec())
}

/// All states of a receiver, on what alpha had offered.
async fn as_receiver(federation: &Federation, there: &Desk, shared: &Shared, offer: &Value) -> Result<()> {
    let begun = async |index: u32, until: Option<String>| -> Result<Side<'_>> {
        let transfer = format!("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f2a{index:04x}");
        let mut offer = offer["offer"].clone();
        offer["transfer_id"] = transfer.clone().into();
        if let Some(until) = until {
            offer["take_over_until"] = until.clone().into();
            offer["answer_wanted_by"]["ends_at"] = until.into();
        }
        let mut side = Side {
            federation,
            peer: federation.peer("gamma"),
            node: "beta",
            party: "sender",
            transfer,
            sent: 0,
        };
        side.say("offer", json!({ "offer": offer })).await?;
        Ok(side)
    };
    let package = json!({
        "take_over_until": offer["package"]["take_over_until"], "manifest": offer["package"]["manifest"],
        "manifest_octets": offer["package"]["manifest_octets"], "octets": offer["package"]["octets"],
    });
    let mut side = begun(1, None).await?;
    let id = side.transfer.clone();
    stands(
        there,
        &id,
        "OFFERED",
        &["accept", "refuse", "dispute", "lapse", "query"],
    )
    .await?;
    script(shared).silent = true;
    there.command(&id, "accept", &json!({})).await?;
    stands(there, &id, "ACCEPTING", &["refuse", "lapse"]).await?;
    script(shared).silent = false;
    side.speak().await?;
    stands(there, &id, "ACCEPTED", &["refuse", "lapse"]).await?;
    script(shared).holds = true;
    side.say("package", package.clone()).await?;
    stands(there, &id, "PACKAGE_READY", &["refuse", "lapse"]).await?;
    script(shared).holds = false;
    side.speak().await?;
    stands(there, &id, "IMPORTED", &["take-over", "refuse", "lapse"]).await?;
    wait_for(there, &id, |page| page["sent"][1]["state"]["state"] == "answered").await?;
    script(shared).silent = true;
    there.command(&id, "take-over", &json!({})).await?;
    let page = stands(there, &id, "TAKEN_OVER", &["tell-number"]).await?;
    ensure!(page["responsibility"] == "mine", "{page}");
    script(shared).silent = false;
    side.speak().await?;
    stands(there, &id, "CLOSED", &["tell-number"]).await?;

    for (index, command, state) in [(2, "refuse", "REFUSED"), (3, "dispute", "DISPUTED")] {
        let side = begun(index, None).await?;
        there
            .command(&side.transfer, command, &json!({ "reason": "CAPACITY" }))
            .await?;
        stands(there, &side.transfer, state, &[]).await?;
    }
    let mut side = begun(4, None).await?;
    side.say("withdraw", json!({})).await?;
    stands(there, &side.transfer, "ENDED_BY_SENDER", &[]).await?;
    let side = begun(5, Some(soon(15))).await?;
    stands(there, &side.transfer, "LAPSED", &[]).await?;
    let mut side = begun(6, None).await?;
    side.say("recall", json!({ "reason": "WRONG_RECIPIENT" })).await?;
    stands(there, &side.transfer, "RECALLED", &["answer-recall"]).await?;
    there
        .command(&side.transfer, "answer-recall", &json!({ "purged": true }))
        .await?;
    stands(there, &side.transfer, "RECALLED", &[]).await?;
    Ok(())
}

/// Where the commands of people lead from the seven states; everything else is refused (domain 2.2).
const CASE: [(&str, &[(&str, &str)]); 8] = [
    ("NEW", &[("accept", "ACCEPTED"), ("discard", "DISCARDED")]),
    (
        "ACCEPTED",
        &[
            ("take_back", "NEW"),
            ("start", "IN_PROGRESS"),
            ("decide", "DECIDED"),
        ],
    ),
    (
        "IN_PROGRESS",
        &[
            ("decide", "DECIDED"),
            ("put_back", "ACCEPTED"),
            ("close", "CLOSED"),
        ],
    ),
    ("DECIDED", &[("close", "CLOSED"), ("reopen", "IN_PROGRESS")]),
    (
        "CLOSED",
        &[("mark_for_deletion", "TO_DELETE"), ("reopen", "IN_PROGRESS")],
    ),
    (
        "DISCARDED",
        &[("mark_for_deletion", "TO_DELETE"), ("take_back", "NEW")],
    ),
    ("TO_DELETE", &[("unmark", "CLOSED"), ("delete", "TO_DELETE")]),
    ("TO_DELETE", &[("unmark", "DISCARDED"), ("delete", "TO_DELETE")]),
];

async fn case_states(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .group("KONTOR", &[("1001", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let here = Desk::at(federation.node("alpha"));
    let commands = [
        "accept",
        "discard",
        "take_back",
        "start",
        "put_back",
        "decide",
        "close",
        "reopen",
        "mark_for_deletion",
        "unmark",
        "delete",
    ];
    // Two ways through: one to the end, one by the way out.
    for (index, way) in [
        &[
            "accept",
            "take_back",
            "accept",
            "start",
            "put_back",
            "start",
            "decide",
            "reopen",
            "decide",
            "close",
            "reopen",
            "decide",
            "close",
            "mark_for_deletion",
            "unmark",
            "mark_for_deletion",
            "delete",
        ][..],
        &[
            "discard",
            "take_back",
            "discard",
            "mark_for_deletion",
            "unmark",
            "mark_for_deletion",
            "delete",
        ][..],
    ]
    .into_iter()
    .enumerate()
    {
        let form = application(&format!("0b9f1d9e-0f3c-4f53-8d5c-5f2f3f3a{index:04x}"));
        let mut page = here.hand_in(&form, &files()).await?;
        let path = format!("/api/v1/cases/{}", text(&page, "id")?);
        for step in way {
            let state = text(&page, "status")?.to_owned();
            let known = CASE
                .iter()
                .filter(|(name, _)| *name == state)
                .find(|(_, exits)| exits.iter().any(|(command, _)| command == step));
            let (_, exits) = known.with_context(|| format!("{step} in {state} is not in the table"))?;
            let legal: Vec<&str> = exits.iter().map(|(command, _)| *command).collect();
            for command in commands.iter().filter(|command| !legal.contains(command)) {
                let refused = here
                    .refused(
                        &format!("{path}/commands/{command}"),
                        number(&page, "version")?,
                        &json!({}),
                        "illegal_for_state",
                    )
                    .await?;
                let told: Vec<&str> = refused["legal"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .collect();
                ensure!(
                    told.len() == legal.len() && told.iter().all(|command| legal.contains(command)),
                    "{command} in {state}: {refused}"
                );
            }
            page = here
                .done(
                    &format!("{path}/commands/{step}"),
                    number(&page, "version")?,
                    &json!({}),
                )
                .await?;
            let to = exits
                .iter()
                .find(|(command, _)| command == step)
                .map(|(_, to)| *to);
            let to = match (*step, index) {
                ("unmark", 1) => Some("DISCARDED"),
                _ => to,
            };
            ensure!(
                page["status"].as_str() == to,
                "{step} in {state} led to {}",
                page["status"]
            );
        }
        ensure!(page["purged_at"].is_string(), "{page}");
    }
    Ok(())
}
