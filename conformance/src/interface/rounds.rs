//! Rounds, requests and invitations on which every operation of participation can succeed.

use anyhow::Result;
use serde_json::{Value, json};

use super::wait;
use crate::desk::{BETA, Desk, files, number, text};
use crate::federation::Federation;
use crate::peer::consumer::Ask;
use crate::suite::participation::{Rounds, act, disclosure, put, until};

/// What the hooks have to know.
#[derive(Default)]
pub(super) struct Prepared {
    pub(super) preparing: Vec<String>,
    pub(super) open: Vec<String>,
    /// Of this house to another node.
    pub(super) requests: Vec<String>,
    /// With a statement that has a file.
    pub(super) answered: Vec<String>,
    pub(super) guests: Vec<String>,
    /// Links and codes that were opened.
    pub(super) invited: Vec<Value>,
    pub(super) parked_requests: Vec<String>,
    pub(super) contributions: Vec<String>,
    pub(super) parked_contributions: Vec<String>,
}

/// A round with one request, opened; gives both.
async fn asked(desk: &Desk, form: &Value, who: &Value) -> Result<(String, String)> {
    let case = desk.hand_in(form, &files()).await?;
    let case = text(&case, "id")?;
    let listed = desk.get(&format!("/api/v1/cases/{case}/files")).await?;
    let rounds = Rounds { here: desk };
    let round = text(&rounds.prepare(case, "AMTSHILFE").await?, "id")?.to_owned();
    let mut wish = json!({
        "class": "AUTHORITY", "rule": { "kind": "weeks", "n": 4 },
        "disclosure": disclosure(&[text(&listed["files"][0], "file_id")?]),
    });
    wish["disclosure"]["onward"] = true.into();
    for (name, value) in who.as_object().into_iter().flatten() {
        wish[name] = value.clone();
    }
    let request = text(&rounds.ask(&round, &wish).await?, "id")?.to_owned();
    rounds.round(&round, "open", &json!({})).await?;
    Ok((round, request))
}

/// `there` asks `here`, and the other way round; a guest is asked by `here`, and the scripted peer takes and answers nothing.
pub(super) async fn prepared(
    federation: &Federation,
    there: &Desk,
    here: &Desk,
    next: &mut impl FnMut() -> Value,
) -> Result<Prepared> {
    let mut made = Prepared::default();
    for _ in 0..6 {
        let case = here.hand_in(&next(), &files()).await?;
        let round = Rounds { here }.prepare(text(&case, "id")?, "AMTSHILFE").await?;
        made.preparing.push(text(&round, "id")?.to_owned());
    }
    let other = json!({ "to": "TEST/GOV/1001" });
    for _ in 0..20 {
        let (round, request) = asked(here, &next(), &other).await?;
        match made.open.len() < 10 {
            true => made.open.push(round),
            false => made.requests.push(request),
        }
    }
    let chamber = there.of("coordinator");
    for _ in 0..3 {
        let (_, request) = asked(here, &next(), &other).await?;
        let theirs = format!("/api/v1/contributions/{request}");
        until(&chamber, &theirs, |page| page["deadline"].is_object()).await?;
        let file = attached(&chamber, &theirs).await?;
        let draft = json!({
            "kind": "STATEMENT", "text": "Siehe Anlage. (fiktiv)", "author": "Referat",
            "attachments": [file],
        });
        put(&chamber, &theirs, &draft).await?;
        act(&chamber, &theirs, "submit", &json!({})).await?;
        let ours = format!("/api/v1/requests/{request}");
        until(here, &ours, |page| {
            let received = page["received"].as_array();
            received.is_some_and(|all| {
                all.iter().any(|one| {
                    one["letter"]["files"]
                        .as_array()
                        .is_some_and(|files| !files.is_empty())
                })
            })
        })
        .await?;
        made.answered.push(request);
    }
    let guest = json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } });
    for index in 0..10 {
        let (_, request) = asked(here, &next(), &guest).await?;
        let path = format!("/api/v1/requests/{request}");
        if index < 4 {
            made.guests.push(request);
            continue;
        }
        let now = here.get(&path).await?;
        let handed = here
            .done(
                &format!("{path}/invitation"),
                number(&now, "version")?,
                &json!({}),
            )
            .await?;
        let (link, code) = (text(&handed, "link")?, text(&handed, "code")?);
        until(&here.guest(code), link, |page| page["deadline"].is_object()).await?;
        made.invited.push(json!({ "path": link, "code": code }));
    }
    let silent = json!({ "to": "TEST/GOV/1003" });
    for _ in 0..3 {
        let (_, request) = asked(here, &next(), &silent).await?;
        wait(here, &format!("/api/v1/requests/{request}"), |page| {
            page["parked"] == true
        })
        .await?;
        made.parked_requests.push(request);
    }
    let coordinator = here.of("coordinator");
    for _ in 0..24 {
        let (_, request) = asked(there, &next(), &json!({ "to": BETA })).await?;
        let path = format!("/api/v1/contributions/{request}");
        until(&coordinator, &path, |page| page["deadline"].is_object()).await?;
        made.contributions.push(request);
    }
    for index in 0..3 {
        let request = format!("6f2504e0-4f89-41d3-9a0c-{index:012x}");
        asks(federation, &request).await?;
        let path = format!("/api/v1/contributions/{request}");
        act(&coordinator, &path, "acknowledge", &json!({})).await?;
        wait(&coordinator, &path, |page| page["parked"] == true).await?;
        made.parked_contributions.push(request);
    }
    Ok(made)
}

/// Adds a file; what the node does meanwhile is waited for.
async fn attached(desk: &Desk, subject: &str) -> Result<String> {
    let (kind, body) = crate::desk::multipart(None, &[("attachment", "Anlage.txt", b"fiktiv".to_vec())]);
    loop {
        let now = desk.get(subject).await?;
        let path = format!("{subject}/attachments");
        let version = Some(number(&now, "version")?);
        let answer = desk
            .send(hyper::Method::POST, &path, version, &kind, body.clone())
            .await?;
        if answer.status == hyper::StatusCode::PRECONDITION_FAILED {
            continue;
        }
        let page: Value = serde_json::from_slice(&answer.body)?;
        return Ok(text(&page["files"][0], "file_id")?.to_owned());
    }
}

/// The scripted peer asks: what it shows is never to be had, and it answers nothing.
async fn asks(federation: &Federation, request: &str) -> Result<()> {
    let contract: Value =
        serde_json::from_str(include_str!("../../../participation/src/round/contract.json"))?;
    let place = "/v1/requests/{request}/requester/{seq}/request";
    let content = &contract["paths"][place]["put"]["requestBody"]["content"]["application/json"];
    let mut message = content["example"].clone();
    message["request"]["request_id"] = request.into();
    message["test"] = true.into();
    let (peer, node) = (federation.peer("gamma"), federation.node("beta"));
    let target = format!(
        "/r1/{}/participation/v1/requests/{request}/requester/1/request",
        node.client_id("KONTOR")
    );
    let answered = Ask::new(peer, "PUT", &target, &format!("message-{}", uuid::Uuid::new_v4()))
        .body(message.to_string())
        .sign(peer, &peer.signer, federation.authority())?
        .send(node.federation())
        .await?;
    let (head, body, _) = answered.message()?;
    anyhow::ensure!(head.first == "202", "{}: {body:?}", head.first);
    Ok(())
}
