//! Three years of requests by a clock that is set: every reminder, inquiry, expiry and deletion once and at its instant, over changes
//! of summer time, a leap day and restarts. Who is asked is a unit of the house, so that both sides are here; what one says is
//! brought to the other as its node would bring it.

mod content;
mod people;

use std::collections::BTreeMap;

use bytes::Bytes;
use http_body_util::BodyExt;
use jiff::Timestamp;
use kontor_participation::application::manifest::Role as FileRole;
use kontor_participation::deadline::end_of;
use kontor_participation::round::delivery::{Receipt, Side};
use kontor_participation::round::life;
use kontor_participation::round::state::State;
use kontor_participation::transfer::offer::Id;
use kontor_pki::time::UnixTime;
use serde_json::json;

use super::super::inbox::Brought;
use super::super::intake::Part;
use super::super::row::{EventRow, OutRow, OutState, Pack, Process};
use super::super::tests::{Bed, at, form};
use super::super::{Principal, Table};
use super::course::RoundDetails;
use super::plan::{AskWish, RoundWish};
use super::requester::{Command, Details};
use super::row::RequestRow;
use crate::config::casework::{Holder, Role};
use crate::config::webhook::{Secrets, Webhook};
use crate::messagelog::{Fact, FactKind, Looked};

pub(super) fn person(name: &str, roles: &[Role]) -> Principal {
    Principal {
        pseudonym: name.to_owned(),
        holder: Holder::Person,
        roles: roles.iter().copied().collect(),
        units: [].into(),
        on_behalf_of: None,
        until: None,
        admitted: None,
        only: None,
    }
}

impl Bed {
    async fn brought(&self) -> Brought {
        let looked = Looked {
            who: "own".into(),
            what: "a message".into(),
            ground: "test".into(),
        };
        let entry = self
            .casework()
            .log
            .append_fact(Fact::new(FactKind::Look, &looked));
        Brought {
            client: self.casework().own().clone(),
            query_id: uuid::Uuid::new_v4().to_string(),
            request_id: uuid::Uuid::new_v4().to_string(),
            entry: entry.await.unwrap(),
        }
    }

    /// A file as it is handed in.
    pub(super) async fn file(&self, name: &str, octets: Bytes) -> Part {
        let mut receiving = self.casework().receive().unwrap();
        receiving.write(octets).await.unwrap();
        Part {
            role: FileRole::Attachment,
            name: name.to_owned(),
            media_type: "text/plain".into(),
            received: receiving.finish().await.unwrap(),
        }
    }

    /// Adds a file to a case; gives its id.
    pub(super) async fn added(&self, case: &Id, name: &str, octets: Bytes) -> String {
        let version = self.casework().case(case).unwrap().version;
        let part = self.file(name, octets).await;
        let worker = person("worker", &[Role::Worker]);
        let (_, added) = self
            .casework()
            .add_files(&worker, case, version, vec![part], None)
            .await
            .unwrap();
        added[0].file.file_id.clone()
    }

    /// Prepares, releases and opens a round with one request to an own unit. Files that are named are made, and shown.
    pub(super) async fn asked(&self, number: u32, profile: &str, class: &str, more: serde_json::Value) -> Id {
        let (worker, releaser) = (
            person("worker", &[Role::Worker]),
            person("releaser", &[Role::Releaser, Role::Worker]),
        );
        let casework = self.casework();
        let opened = casework
            .take_in(&Principal::node(), form(number).as_bytes(), Vec::new())
            .await
            .unwrap();
        let wish = RoundWish {
            profile: Some(profile.to_owned()),
            question: "Bestehen Bedenken? (fiktiv)".into(),
            contact: "Bauamt".into(),
            topics: Vec::new(),
            renews: None,
        };
        let mut shown = Vec::new();
        for name in more["files"].as_array().into_iter().flatten() {
            let name = name.as_str().unwrap();
            let file = self
                .added(&opened.case.id, name, Bytes::from(name.to_owned()))
                .await;
            shown.push(json!({ "file_id": file, "right": "VIEW" }));
        }
        let case = casework.case(&opened.case.id).unwrap();
        let round = casework
            .prepare_round(&worker, &case.id, case.version, wish)
            .await
            .unwrap();
        let mut wish = json!({
            "unit": "u-1", "class": class,
            "disclosure": {
                "parts": [{ "at": [0], "right": "VIEW" }], "files": shown, "purpose": "fiktiv", "legal_basis": "fiktiv",
            },
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            match name.as_str() {
                "files" => {}
                "ends" | "onward" => wish["disclosure"][name] = value.clone(),
                name => wish[name] = value.clone(),
            }
        }
        let wish: AskWish = serde_json::from_value(wish).unwrap();
        let id = round.round.id.clone();
        let (request, _) = casework.ask(&worker, &id, round.version, wish).await.unwrap();
        let request = casework
            .request_command(
                &releaser,
                request.id(),
                request.version,
                Command::Approve,
                Details::default(),
            )
            .await
            .unwrap();
        let version = casework.round(&id).unwrap().version;
        casework
            .round_command(
                &worker,
                &id,
                version,
                life::Command::Open,
                RoundDetails::default(),
            )
            .await
            .unwrap();
        request.id().clone()
    }

    /// Brings what waits to its other side, and the answers back; and what was announced.
    pub(super) async fn deliver(&self) {
        loop {
            self.bring().await;
            if !self.fetch().await {
                return;
            }
        }
    }

    /// The same without what was announced.
    pub(super) async fn bring(&self) {
        let casework = self.casework();
        loop {
            let mut waiting: BTreeMap<Process, OutRow> = BTreeMap::new();
            casework
                .store
                .each(Table::Outbox, |_, row: OutRow| {
                    if matches!(row.state, OutState::Waiting) {
                        waiting.entry(row.process.clone()).or_insert(row);
                    }
                    Ok::<_, super::super::Refused>(())
                })
                .unwrap();
            let mut moved = false;
            for (process, mut row) in waiting {
                let Process::Request(side, id) = process else {
                    continue;
                };
                assert!(casework.may_send(side, &id, &row).await.unwrap());
                let (brought, body) = (self.brought().await, row.body.clone());
                let answered = casework
                    .take_round(&brought, &id, side, row.seq, &row.kind, body.into())
                    .await
                    .unwrap();
                let text = String::from_utf8(answered.body().to_vec()).unwrap();
                let receipt: Receipt = serde_json::from_str(&text).unwrap();
                row.state = OutState::Answered {
                    receipt: text,
                    exchange: None,
                };
                casework.request_answered(row, receipt).await.unwrap();
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    async fn fetch(&self) -> bool {
        let casework = self.casework();
        let mut rows: Vec<RequestRow> = Vec::new();
        casework
            .store
            .each(Table::Requests, |_, row: RequestRow| {
                rows.push(row);
                Ok::<_, super::super::Refused>(())
            })
            .unwrap();
        let mut moved = false;
        for row in rows {
            let theirs = row.side().other();
            let wanted = row
                .bundles
                .iter()
                .filter(|one| one.side == theirs && one.is_open());
            for announced in wanted {
                if !casework.wants(&row).unwrap() {
                    continue;
                }
                let brought = self.brought().await;
                let part = casework
                    .round_part(&brought, row.id(), theirs, announced.seq, 0)
                    .await
                    .unwrap();
                let octets = part.into_body().collect().await.unwrap().to_bytes();
                casework
                    .arrived_bundle(&row, announced, &Pack::default(), octets)
                    .await
                    .unwrap();
                moved = true;
            }
        }
        moved
    }

    /// Does what has fallen due, as the node does it; gives whether there was something.
    async fn fall_due_all(&self) -> bool {
        let casework = self.casework();
        let mut did = false;
        for process in casework.board.take_due(casework.now()) {
            let Process::Request(side, id) = process else {
                continue;
            };
            while casework.request_falls_due(side, &id).await.unwrap() {
                did = true;
            }
            // What is not due is looked at when it is.
            let row = casework.request(side, &id).unwrap();
            casework.busy_request(&row);
        }
        did
    }

    fn events(&self) -> Vec<EventRow> {
        let rows = self
            .casework()
            .store
            .below::<EventRow>(Table::Events, b"")
            .unwrap();
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn rules() -> Vec<(&'static str, &'static str, serde_json::Value)> {
    vec![
        // Silence has an effect: inquiry, then expiry.
        (
            "LBO_STATEMENT",
            "AUTHORITY",
            json!({ "effect": "ASSUME_NO_OBJECTION", "extension": "for_reason" }),
        ),
        (
            "INTERNAL",
            "INTERNAL",
            json!({ "rule": { "kind": "working_days", "n": 10 } }),
        ),
        (
            "INTERNAL",
            "INTERNAL",
            json!({ "rule": { "kind": "weeks", "n": 6 } }),
        ),
        (
            "INTERNAL",
            "INTERNAL",
            json!({ "rule": { "kind": "later_of", "months": 1, "days": 30 } }),
        ),
        (
            "INTERNAL",
            "INTERNAL",
            json!({ "rule": { "kind": "hours", "n": 49 } }),
        ),
        (
            "INTERNAL",
            "INTERNAL",
            json!({ "rule": { "kind": "months", "n": 1 } }),
        ),
    ]
}

#[tokio::test]
async fn over_three_years_every_reminder_expiry_and_deletion_fires_once_and_at_its_instant() {
    let mut bed = Bed::at("2027-01-04T08:00:00Z").await;
    let begun = at("2027-01-04T08:00:00Z").millis();
    let hour = 3_600_000_i64;
    let hours = 3 * 365 * 24 + 24;
    let (mut asked, mut number) = (Vec::new(), 0);
    let rules = rules();
    for step in 0..hours {
        let now = begun + step * hour;
        // A second before every full hour nothing is due that was not due then.
        if step > 0 {
            bed.clock.set(UnixTime::from_millis(now - 1000));
            assert!(
                !bed.fall_due_all().await,
                "something fell due a second before {now}"
            );
        }
        bed.clock.set(UnixTime::from_millis(now));
        if bed.fall_due_all().await {
            bed.deliver().await;
            while bed.fall_due_all().await {
                bed.deliver().await;
            }
        }
        // Every eleven days somebody is asked, until the last end lies within the three years; the last of January of the leap year too.
        let today = kontor_participation::deadline::day_of(Timestamp::from_millisecond(now).unwrap());
        let leap = today.to_string() == "2028-01-31" && step % 24 == 2;
        if (step % (11 * 24) == 3 && step < hours - 24 * 120) || leap {
            let (profile, class, mut more) = rules[usize::try_from(number).unwrap() % rules.len()].clone();
            if leap {
                more = json!({ "rule": { "kind": "months", "n": 1 } });
            }
            let (profile, class) = if leap {
                ("INTERNAL", "INTERNAL")
            } else {
                (profile, class)
            };
            number += 1;
            let ends = today.checked_add(jiff::Span::new().days(100)).unwrap();
            more["ends"] = json!(ends);
            let id = bed.asked(number, profile, class, more).await;
            bed.deliver().await;
            asked.push((id, ends));
        }
        if step % 1013 == 0 {
            bed.restart().await;
        }
    }
    assert!(asked.len() > 80, "{} were asked", asked.len());
    let events = bed.events();
    let mut summer = std::collections::BTreeSet::new();
    let mut leap_day = false;
    for (id, ends) in asked {
        let row = bed.casework().request(Side::Requester, &id).unwrap();
        let theirs = bed.casework().request(Side::Participant, &id).unwrap();
        assert_eq!((row.state(), theirs.state()), (State::Expired, State::Expired));
        let machine = row.requester().unwrap();
        let deadline = machine.request().deadline().unwrap().clone();
        leap_day |= deadline.effective_end.to_string() == "2028-02-29";
        let of = |kind: &str| -> Vec<Timestamp> {
            let its = events
                .iter()
                .filter(|event| event.request.as_ref() == Some(&id) && event.kind == kind);
            its.map(|event| event.at).collect()
        };
        // Days before the end in days of 24 hours, as reminders are.
        let profile = &bed.casework().settings.participation.profiles;
        let reminders = &profile.recorded(&row.body.profile).unwrap().reminders;
        let delivered = machine.delivery().unwrap().delivered_at;
        let mut wanted: Vec<Timestamp> = reminders
            .iter()
            .map(|days| deadline.ends_at - jiff::SignedDuration::from_hours(24 * i64::from(*days)))
            .filter(|at| *at > delivered)
            .collect();
        wanted.sort_unstable();
        assert_eq!(of("request.remind"), wanted, "reminders of {id}");
        // Hours end between full hours, everything else at midnight in Germany; the first look after it finds it.
        let late = of("request.expire")
            .first()
            .unwrap()
            .duration_since(deadline.ends_at);
        assert!(!late.is_negative() && late.as_secs() < 3600, "{id}: {late}");
        assert_eq!(of("request.expire").len(), 1, "{id}");
        let inquiries = usize::from(row.body.terms.has_effect());
        assert_eq!(of("request.inquire").len(), inquiries, "{id}");
        assert_eq!(of("contribution.deleted"), [end_of(ends).unwrap()], "{id}");
        assert!(
            bed.casework()
                .letter(&theirs, Side::Requester, 1)
                .is_ok_and(|letter| letter.document.is_empty())
        );
        assert_eq!(
            row.purge.map(|purge| purge.node),
            Some(kontor_participation::transfer::delivery::Deleted::Done)
        );
        summer.insert(deadline.ends_at.to_string()[11..13].to_owned());
    }
    assert!(
        summer.contains("22") && summer.contains("23"),
        "ends in summer time and in winter time: {summer:?}"
    );
    assert!(leap_day, "one ends on the leap day");
}

#[tokio::test]
async fn what_a_guest_does_before_it_says_it_is_shown_to_nobody_of_the_house() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed
        .asked(
            1,
            "INTERNAL",
            "INTERNAL",
            json!({ "rule": { "kind": "weeks", "n": 6 } }),
        )
        .await;
    bed.deliver().await;
    let casework = bed.casework();
    let mut row = casework.request(Side::Participant, &id).unwrap();
    let event = EventRow {
        kind: "contribution.draft".into(),
        at: casework.now(),
        case: None,
        transfer: None,
        round: None,
        request: Some(id.clone()),
        unit: row.unit.clone(),
        version: Some(1),
        state: None,
    };
    let webhook = Webhook {
        name: "one".into(),
        url: "http://127.0.0.1/in".parse().unwrap(),
        ca: None,
        secrets: Secrets::parse("CQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=").unwrap(),
        kinds: [].into(),
        units: [].into(),
        give_up: std::time::Duration::ZERO,
    };
    let coordinator = person("coordinator", &[Role::Coordinator]);
    let shown = || {
        let followed = casework.sees_event(&coordinator, &event).unwrap();
        (followed, casework.is_posted(&webhook, &event).unwrap())
    };
    assert_eq!(shown(), (true, true));
    row.body.hosted = Some(format!("guest/{}", super::super::random_id()));
    let key = Process::Request(Side::Participant, id).key();
    casework
        .store
        .run_tx("test", |tx| {
            tx.put(Table::Requests, &key, &row)
                .map_err(super::super::TxError::<()>::from)
        })
        .await
        .unwrap();
    assert_eq!(shown(), (false, false));
}
