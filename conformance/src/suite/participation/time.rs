//! What people and clocks do about the time of a request: each step succeeds, and leaves both sides with the same (domain 4.3, 4.5,
//! casework 4).

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use hyper::{Method, StatusCode};
use kontor_pki::UnixTime;
use serde_json::{Value, json};

use super::{Rounds, act, disclosure, federation, is_here, passed, refused, until};
use crate::address::Net;
use crate::clock;
use crate::desk::{BETA, Desk, all_answered, application, files, text};
use crate::federation::Federation;
use crate::suite::{World, cases};

cases! {
    slow PARTICIPATION_TIME => time;
}

const DAY: u64 = 86_400;
/// What both sides say of the time of a request.
const COMMON: [&str; 7] = [
    "state",
    "deadline",
    "ends_at",
    "standing_still",
    "extension_wanted",
    "expiry",
    "statements",
];

fn instant(page: &Value, name: &str) -> Result<UnixTime> {
    UnixTime::parse_rfc3339(text(page, name)?).with_context(|| format!("{name} is no instant"))
}

/// The clock of both nodes, and by how much it is ahead.
struct Passing {
    file: PathBuf,
    days: u64,
}

impl Passing {
    async fn by(&mut self, days: u64) -> Result<()> {
        self.days += days;
        passed(&self.file, days).await
    }

    /// To the day before or after an instant.
    async fn to(&mut self, instant: UnixTime, days_before: u64) -> Result<()> {
        let left = instant.since(clock::now()).as_secs() / DAY;
        self.by((left + 1).saturating_sub(self.days + days_before)).await
    }
}

/// A request as both of its sides have it.
struct Both<'a> {
    here: &'a Desk,
    there: &'a Desk,
    ours: String,
    theirs: String,
}

impl Both<'_> {
    /// Waits until a page is as it is wanted here, and there the same.
    async fn same(&self, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let ours = until(self.here, &self.ours, |page| wanted(page) && all_answered(page)).await?;
        until(self.there, &self.theirs, |page| {
            page["settled"] == true && COMMON.iter().all(|member| page[member] == ours[member])
        })
        .await
        .with_context(|| format!("{ours}"))?;
        Ok(ours)
    }

    async fn act(&self, command: &str, body: &Value) -> Result<Value> {
        act(self.here, &self.ours, command, body).await
    }
}

/// How many messages of a kind came or went.
fn of_kind(page: &Value, kind: &str) -> usize {
    let all = ["sent", "received"].map(|side| page[side].as_array());
    let all = all.into_iter().flatten().flatten();
    all.filter(|message| message["kind"] == kind).count()
}

/// A case and what is shown of it.
struct Shown {
    case: String,
    files: Vec<String>,
}

impl Shown {
    async fn of(here: &Desk, transaction: &str) -> Result<Self> {
        let case = here.hand_in(&application(transaction), &files()).await?;
        let case = text(&case, "id")?.to_owned();
        let listed = here.get(&format!("/api/v1/cases/{case}/files")).await?;
        let files = listed["files"].as_array().into_iter().flatten();
        let files = files.map(|file| Ok(text(file, "file_id")?.to_owned()));
        Ok(Self {
            files: files.collect::<Result<_>>()?,
            case,
        })
    }

    /// Asks somebody in a round of its own; gives the request's id.
    async fn asked(&self, here: &Desk, whom: &Value) -> Result<String> {
        let rounds = Rounds { here };
        let round = rounds.prepare(&self.case, "LBO_STATEMENT").await?;
        let round = text(&round, "id")?.to_owned();
        let mut wish = json!({
            "class": "CHAMBER", "disclosure": disclosure(&[&self.files[0]]), "effect": "ASSUME_NO_OBJECTION",
            "extension": "for_reason",
        });
        for (name, value) in whom.as_object().into_iter().flatten() {
            wish[name] = value.clone();
        }
        let request = rounds.ask(&round, &wish).await?;
        let id = text(&request, "id")?.to_owned();
        let ours = format!("/api/v1/requests/{id}");
        act(&here.of("releaser"), &ours, "approve", &json!({})).await?;
        rounds.round(&round, "open", &json!({})).await?;
        Ok(id)
    }
}

async fn time(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let file = world.federation.dir().join("clock-of-the-time");
    let mut federation = federation(world.federation.subject(), &net, &file, "").await?;
    let mut passing = Passing { file, days: 0 };
    let here = Desk::at(federation.node("alpha"));
    let there = Desk::at(federation.node("beta")).of("coordinator");
    let shown = Shown::of(&here, "0b9f1d9e-0f3c-4f53-8d5c-5f2f3f0b0401").await?;
    recorded(&here, &shown).await?;
    let id = shown.asked(&here, &json!({ "to": BETA })).await?;
    let both = Both {
        here: &here,
        there: &there,
        ours: format!("/api/v1/requests/{id}"),
        theirs: format!("/api/v1/contributions/{id}"),
    };
    let end = moved(&both, &shown, &mut passing).await?;
    unanswered(&both, &mut federation, end, &mut passing).await
}

/// A guest's delivery is what a person has recorded, also when it looks later; no clock runs before it has everything.
async fn recorded(here: &Desk, shown: &Shown) -> Result<()> {
    let guest = json!({ "guest": { "name": "Verein (fiktiv)", "address": "verein@example.org" } });
    let ours = format!("/api/v1/requests/{}", shown.asked(here, &guest).await?);
    let sent = until(here, &ours, |page| {
        page["state"] == "SENT" && page["settled"] == true
    })
    .await?;
    let (there, theirs) = here.invited(&ours, &sent).await?;
    let at = text(&sent, "since")?;
    let before = json!({ "delivered_at": "2020-01-05T08:00:00Z" });
    refused(here, &ours, "record-delivery", &before, "delivery_instant").await?;
    let body = json!({ "delivered_at": at });
    let page = act(here, &ours, "record-delivery", &body).await?;
    ensure!(
        page["state"] == "DELIVERED"
            && page["delivery"] == json!({ "delivered_at": at, "proof": "recorded" }),
        "{page}"
    );
    ensure!(page["deadline"].is_null(), "{page}");
    let both = Both {
        here,
        there: &there,
        ours,
        theirs,
    };
    both.there.get(&both.theirs).await?;
    let page = both.same(|page| page["deadline"].is_object()).await?;
    ensure!(
        page["delivery"] == json!({ "delivered_at": at, "proof": "recorded" }),
        "{page}"
    );
    refused(here, &both.ours, "record-delivery", &body, "illegal_for_state").await?;
    Ok(())
}

/// A period that begins anew, more time, and a reminder of the end that is in force; gives that end.
async fn moved(both: &Both<'_>, shown: &Shown, passing: &mut Passing) -> Result<UnixTime> {
    until(both.there, &both.theirs, is_here).await?;
    let first = instant(&both.same(is_here).await?, "ends_at")?;
    // More than weekends and holidays move an end by.
    passing.by(10).await?;
    let more = shown.files.get(1).context("the case has two files")?;
    let supplement = json!({
        "text": "Ein Plan fehlte. (fiktiv)", "disclosure": disclosure(&[more]), "restarts": true,
    });
    both.act("supplement", &supplement).await?;
    let anew = |page: &Value| instant(page, "ends_at").is_ok_and(|end| end.since(first).as_secs() > 3 * DAY);
    let page = both.same(anew).await?;
    ensure!(
        page["deadline"]["extensions"]
            .as_array()
            .is_none_or(Vec::is_empty),
        "{page}"
    );
    let second = instant(&page, "ends_at")?;
    let path = format!("{}/files/{more}", both.theirs);
    let answer = both.there.send(Method::GET, &path, None, "", Vec::new()).await?;
    ensure!(answer.status == StatusCode::OK, "{answer:?}");

    both.act("extend", &json!({ "rule": { "kind": "weeks", "n": 2 } }))
        .await?;
    let page = both
        .same(|page| {
            page["deadline"]["extensions"]
                .as_array()
                .is_some_and(|all| all.len() == 1)
        })
        .await?;
    let third = instant(&page, "ends_at")?;
    ensure!(third.since(second).as_secs() > 8 * DAY, "{page}");

    // Of an end that is no longer in force nobody is reminded.
    passing.to(second, 1).await?;
    ensure!(of_kind(&both.same(|_| true).await?, "reminder") == 0, "{page}");
    for (days, reminders) in [(7, 1), (1, 2)] {
        passing.to(third, days).await?;
        both.same(|page| of_kind(page, "reminder") == reminders).await?;
        let theirs = both.there.get(&both.theirs).await?;
        ensure!(of_kind(&theirs, "reminder") == reminders, "{theirs}");
    }
    Ok(third)
}

/// A node that is down at the end is asked, and has a day; then a person records what silence meant, and it learns that.
async fn unanswered(
    both: &Both<'_>,
    federation: &mut Federation,
    end: UnixTime,
    passing: &mut Passing,
) -> Result<()> {
    let nothing = json!({});
    refused(
        both.here,
        &both.ours,
        "expire-unanswered",
        &nothing,
        "illegal_for_state",
    )
    .await?;
    federation.node_mut("beta").kill().await?;
    passing.to(end, 0).await?;
    until(both.here, &both.ours, |page| {
        page["inquiry"]["attempted_at"].is_string()
    })
    .await?;
    for (command, code) in [
        ("expire", "inquiry_unanswered"),
        ("expire-unanswered", "too_early"),
    ] {
        refused(both.here, &both.ours, command, &nothing, code).await?;
    }
    passing.by(2).await?;
    let page = both.act("expire-unanswered", &nothing).await?;
    ensure!(
        page["state"] == "EXPIRED"
            && page["expiry"]["answered"] == false
            && page["expiry"]["effect"] == "ASSUME_NO_OBJECTION",
        "{page}"
    );
    federation.restart("beta").await?;
    let page = both.same(|page| page["state"] == "EXPIRED").await?;
    ensure!(page["expiry"]["answered"] == false, "{page}");
    Ok(())
}
