//! The ways that requests go, drawn from a seed: who asks and who is asked, as far as both do something.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::steps::{PATIENCE, command, done, seen, until};
use crate::desk::{Desk, application, files, number, text};
use crate::suite::participation::disclosure;

/// How a request is to go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    Answer,
    AnswerAfterQuestion,
    Amend,
    Withdraw,
    MoreTime,
    Decline,
    Revoke,
    Silent,
    /// Silent until the time is over.
    Late,
}

fn way(seed: u64, index: usize, body: usize) -> Way {
    match sha256(format!("{seed} {index} {body}").as_bytes())[0] % 12 {
        0 => Way::Decline,
        1 => Way::Revoke,
        2 => Way::Silent,
        3 => Way::Withdraw,
        4 => Way::MoreTime,
        5 | 6 => Way::Amend,
        7 | 8 => Way::AnswerAfterQuestion,
        9 => Way::Late,
        _ => Way::Answer,
    }
}

pub(super) fn digest(octets: &[u8]) -> String {
    sha256(octets).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn statements(page: &Value) -> usize {
    page["statements"].as_array().map_or(0, Vec::len)
}

/// A request with both of its sides.
#[derive(Clone, Debug)]
pub(super) struct Both {
    pub(super) id: String,
    pub(super) way: Way,
    /// Who answers, and where.
    pub(super) body: Desk,
    pub(super) theirs: String,
    /// What was submitted: of each version the digests of its files.
    pub(super) submitted: Vec<Vec<String>>,
    pub(super) index: usize,
    /// Which of the three that are asked in a round.
    pub(super) place: usize,
}

impl Both {
    pub(super) fn ours(&self) -> String {
        format!("/api/v1/requests/{}", self.id)
    }

    /// Drafts and submits a statement.
    pub(super) async fn submit(&mut self, index: usize, attach: bool) -> Result<usize> {
        let before = statements(&seen(&self.body, &self.theirs).await?);
        let (mut attachments, mut digests) = (Vec::new(), Vec::new());
        if attach {
            let file = vec![b'x'; 1000 + index];
            digests.push(digest(&file));
            let (kind, octets) = crate::desk::multipart(None, &[("attachment", "Anlage.txt", file)]);
            let begun = Instant::now();
            while attachments.is_empty() {
                ensure!(begun.elapsed() < PATIENCE, "an attachment is not taken");
                let now = seen(&self.body, &self.theirs).await?;
                let path = format!("{}/attachments", self.theirs);
                let version = number(&now, "version")?;
                let sent = self
                    .body
                    .send(Method::POST, &path, Some(version), &kind, octets.clone())
                    .await;
                if let Ok(answer) = sent
                    && answer.status == StatusCode::CREATED
                {
                    let page: Value = serde_json::from_slice(&answer.body)?;
                    attachments.push(text(&page["files"][0], "file_id")?.to_owned());
                }
            }
        }
        let draft = json!({
            "kind": "CONSENT_WITH_CONDITIONS", "author": "Referat (fiktiv)", "text": format!("Nummer {index}"),
            "points": [{ "number": 1, "topic": "Lärm", "text": "Nur werktags.", "condition": format!("Auflage {index}") }],
            "attachments": attachments,
        });
        let path = format!("{}/statement", self.theirs);
        let wanted = format!("Nummer {index}");
        let drafted = |page: &Value| page["draft"]["text"] == wanted && statements(page) == before;
        done(&self.body, &self.theirs, (Method::PUT, &path), &draft, |page| {
            drafted(page) || statements(page) > before
        })
        .await?;
        let acknowledged = command(&self.body, &self.theirs, "submit", &json!({}), |page| {
            statements(page) > before
        })
        .await?;
        self.submitted.push(digests);
        Ok(acknowledged)
    }

    /// Goes its way, as far as both sides do something before the time is over.
    async fn go(&mut self, here: &Desk) -> Result<usize> {
        let index = self.index;
        let (ours, theirs) = (self.ours(), self.theirs.clone());
        let running = |page: &Value| page["deadline"].is_object();
        until(here, &ours, "running", running).await?;
        until(&self.body, &theirs, "running", running).await?;
        let mut acknowledged = 0;
        match self.way {
            Way::Silent | Way::Late => {}
            Way::Decline => {
                let why = json!({ "reason": "NOT_COMPETENT" });
                acknowledged += command(&self.body, &theirs, "decline", &why, |page| {
                    page["state"] == "DECLINED"
                })
                .await?;
            }
            Way::Revoke => {
                let why = json!({ "reason": "NO_LONGER_NEEDED" });
                acknowledged += command(here, &ours, "revoke", &why, |page| {
                    page["state"] == "REVOKED" || page["state"] == "PURGED"
                })
                .await?;
            }
            Way::Answer => acknowledged += self.submit(index, index.is_multiple_of(4)).await?,
            Way::AnswerAfterQuestion => {
                let question = json!({ "text": "Welche Maschinen? (fiktiv)" });
                let asked = |page: &Value| {
                    let said = page["sent"].as_array();
                    said.is_some_and(|all| all.iter().any(|one| one["kind"] == "question"))
                };
                acknowledged += command(&self.body, &theirs, "ask", &question, asked).await?;
                until(here, &ours, "asked", |page| page["question_open"] == true).await?;
                let answer = json!({ "text": "Eine Säge. (fiktiv)" });
                acknowledged += command(here, &ours, "answer", &answer, |page| {
                    page["question_open"] == false
                })
                .await?;
                acknowledged += self.submit(index, false).await?;
            }
            Way::Amend => {
                acknowledged += self.submit(index, false).await?;
                acknowledged += self.submit(index + 1_000_000, index.is_multiple_of(4)).await?;
            }
            Way::Withdraw => {
                acknowledged += self.submit(index, false).await?;
                let why = json!({ "withdraw_reason": "MISTAKE" });
                acknowledged += command(&self.body, &theirs, "withdraw", &why, |page| {
                    page["state"] == "WITHDRAWN"
                })
                .await?;
            }
            Way::MoreTime => {
                let wish = json!({ "until": "2098-01-15", "extension_reason": "COMMITTEE_MEETS_LATER" });
                let asked = |page: &Value| {
                    let said = page["sent"].as_array();
                    said.is_some_and(|all| all.iter().any(|one| one["kind"] == "extension-request"))
                };
                acknowledged += command(&self.body, &theirs, "ask-for-time", &wish, asked).await?;
                let extended = |page: &Value| {
                    page["deadline"]["extensions"]
                        .as_array()
                        .is_some_and(|all| !all.is_empty())
                };
                until(here, &ours, "asked for time", |page| {
                    page["extension_wanted"].is_object() || extended(page)
                })
                .await?;
                let granted = json!({ "granted": true, "rule": { "kind": "weeks", "n": 2 } });
                acknowledged += command(here, &ours, "decide-extension", &granted, extended).await?;
                until(&self.body, &theirs, "extended", extended).await?;
                acknowledged += self.submit(index, false).await?;
            }
        }
        Ok(acknowledged)
    }

    /// What the state is once nothing more is to come.
    pub(super) fn ends(&self) -> &'static [&'static str] {
        match self.way {
            Way::Silent | Way::Withdraw => &["EXPIRED"],
            Way::Decline => &["DECLINED"],
            Way::Revoke => &["PURGED"],
            Way::Answer | Way::AnswerAfterQuestion | Way::MoreTime => &["SUBMITTED"],
            Way::Amend => &["AMENDED"],
            Way::Late => &["LATE"],
        }
    }

    /// What comes when the time is over.
    pub(super) async fn go_late(&mut self) -> Result<usize> {
        match self.way {
            Way::Late => {
                // A node sees a moment later that time has passed; what it enters before that is in time.
                let over = |page: &Value| page["state"] == "EXPIRED";
                until(&self.body, &self.theirs, "over", over).await?;
                self.submit(self.index, self.index.is_multiple_of(2)).await
            }
            Way::Answer
            | Way::AnswerAfterQuestion
            | Way::Amend
            | Way::Withdraw
            | Way::MoreTime
            | Way::Decline
            | Way::Revoke
            | Way::Silent => Ok(0),
        }
    }
}

/// A case with an open round.
pub(super) struct Opened {
    pub(super) case: String,
    /// Where the round is.
    pub(super) round: String,
    /// The requests, in the order in which they were asked.
    pub(super) ids: Vec<String>,
    pub(super) acknowledged: usize,
}

/// From the application to the open round, in which these are asked.
pub(super) async fn opened(here: &Desk, seed: u64, index: usize, whom: &[Value]) -> Result<Opened> {
    let hex = digest(format!("transaction {seed} {index}").as_bytes());
    let transaction = format!(
        "{}-{}-4{}-8{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..32]
    );
    let form = application(&transaction);
    let begun = Instant::now();
    let case = loop {
        match here.hand_in(&form, &files()).await {
            Ok(case) => break text(&case, "id")?.to_owned(),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    };
    let listed = seen(here, &format!("/api/v1/cases/{case}/files")).await?;
    let shown = text(&listed["files"][0], "file_id")?.to_owned();
    let mut acknowledged = 1;
    let path = format!("/api/v1/cases/{case}");
    let wish =
        json!({ "profile": "LBO_STATEMENT", "question": "Bestehen Bedenken? (fiktiv)", "contact": "Bauamt" });
    let prepared = |page: &Value| page["rounds"].as_array().is_some_and(|rounds| !rounds.is_empty());
    let rounds = format!("{path}/rounds");
    acknowledged += done(here, &path, (Method::POST, &rounds), &wish, prepared)
        .await?
        .1;
    let round = text(&seen(here, &rounds).await?["rounds"][0], "id")?.to_owned();
    let round = format!("/api/v1/rounds/{round}");
    for (place, who) in whom.iter().enumerate() {
        let mut wish = json!({
            "class": "CHAMBER", "disclosure": disclosure(&[&shown]), "effect": "ASSUME_NO_OBJECTION", "extension": "for_reason",
        });
        for (name, value) in who.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        let asked = |page: &Value| page["requests"].as_array().is_some_and(|all| all.len() > place);
        let path = format!("{round}/requests");
        acknowledged += done(here, &round, (Method::POST, &path), &wish, asked).await?.1;
    }
    let page = seen(here, &round).await?;
    let mut ids = Vec::new();
    for request in page["requests"].as_array().into_iter().flatten() {
        let id = text(request, "id")?.to_owned();
        let path = format!("/api/v1/requests/{id}");
        let releaser = here.of("releaser");
        acknowledged += command(&releaser, &path, "approve", &json!({}), |page| {
            page["approved"] == true
        })
        .await?;
        ids.push(id);
    }
    acknowledged += command(here, &round, "open", &json!({}), |page| page["state"] == "OPEN").await?;
    Ok(Opened {
        case,
        round,
        ids,
        acknowledged,
    })
}

/// A guest, as it is asked.
pub(super) fn a_guest() -> Value {
    json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } })
}

/// A round with three bodies, from the application to what they answer.
pub(super) async fn one(desks: [Desk; 3], seed: u64, index: usize) -> Result<(Vec<Both>, usize)> {
    let [here, chamber, office] = desks;
    let whom = [
        json!({ "to": "TEST/GOV/1002" }),
        json!({ "to": "TEST/GOV/1003" }),
        a_guest(),
    ];
    let Opened {
        ids,
        mut acknowledged,
        ..
    } = opened(&here, seed, index, &whom).await?;
    let guest = ids.get(2).context("three are asked")?;
    let (desk, link) = invited(&here, guest).await?;
    let bodies = [
        (chamber.of("coordinator"), None),
        (office.of("coordinator"), None),
        (desk, Some(link)),
    ];
    let mut both = Vec::new();
    for (place, (id, (body, link))) in ids.iter().zip(bodies).enumerate() {
        let mut request = Both {
            id: id.clone(),
            way: way(seed, index, place),
            body,
            theirs: link.unwrap_or_else(|| format!("/api/v1/contributions/{id}")),
            submitted: Vec::new(),
            index,
            place,
        };
        acknowledged += request
            .go(&here)
            .await
            .with_context(|| format!("{id} ({:?})", request.way))?;
        both.push(request);
    }
    Ok((both, acknowledged))
}

/// Invites the guest of a request; its first look is the delivery.
pub(super) async fn invited(here: &Desk, id: &str) -> Result<(Desk, String)> {
    let path = format!("/api/v1/requests/{id}");
    let begun = Instant::now();
    loop {
        let now = seen(here, &path).await?;
        match here.invited(&path, &now).await {
            Ok((desk, link)) => {
                seen(&desk, &link).await?;
                return Ok((desk, link));
            }
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(20)).await,
        }
    }
}
