//! Who sees and does what.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kontor_participation::round::delivery::Side;
use kontor_participation::round::release::Eyes;
use kontor_participation::round::state::State;
use kontor_participation::transfer::offer::Id;
use serde_json::{Value, json};

use super::super::super::cases::Change;
use super::super::super::row::{OutState, Process};
use super::super::super::tests::Bed;
use super::super::super::{Principal, Step};
use super::super::board::Wanted;
use super::super::participant::{Command as Theirs, Details};
use super::super::requester::Command;
use super::super::statement::Draft;
use super::person;
use crate::config::casework::{ParticipationSettings, Role};

fn weeks() -> Value {
    json!({ "rule": { "kind": "weeks", "n": 6 } })
}

fn guest() -> Value {
    let mut wish = weeks();
    wish["unit"] = Value::Null;
    wish["guest"] = json!({ "name": "Verein (fiktiv)", "address": "verein@example.org" });
    wish
}

fn worker_of(unit: &str) -> Principal {
    let mut who = person(&format!("worker of {unit}"), &[Role::Worker]);
    who.units = [unit.to_owned()].into();
    who
}

impl Bed {
    /// A guest is invited to what it is asked, and opens it.
    async fn let_in(&self, id: &Id) -> Principal {
        let casework = self.casework();
        let worker = person("worker", &[Role::Worker]);
        let version = casework.request(Side::Requester, id).unwrap().version;
        let (_, handed) = casework.invite(&worker, id, version).await.unwrap();
        let delivered = async {
            let opened = || {
                let row = casework.request(Side::Requester, id).unwrap();
                row.invitation.unwrap().opened_at().is_some()
            };
            while !opened() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            self.deliver().await;
        };
        casework.ready.store(true, Ordering::Release);
        let let_in = async { casework.let_in(&handed.link, &handed.code).await.unwrap() };
        let ((guest, _), ()) = tokio::join!(let_in, delivered);
        guest
    }
}

#[tokio::test]
async fn a_case_that_is_handed_to_another_unit_takes_its_rounds_and_requests_along() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed.asked(1, "INTERNAL", "INTERNAL", weeks()).await;
    bed.deliver().await;
    let casework = bed.casework();
    let request = casework.request(Side::Requester, &id).unwrap();
    let (case, round) = (request.case.unwrap(), request.body.round_id);
    let (one, other) = (worker_of("one"), worker_of("other"));
    let sees = |who: &Principal| {
        let board = casework
            .board
            .find(who, Side::Requester, &Wanted::default(), None, 9);
        let seen = [
            casework.seen_case(who, &case).is_ok(),
            casework.seen_round(who, &round).is_ok(),
            casework.seen_request(who, &id).is_ok(),
            board.ids.contains(&id),
        ];
        assert!(seen.iter().all(|one| *one == seen[0]), "{seen:?}");
        seen[0]
    };
    for (to, shown) in [("one", (true, false)), ("other", (false, true))] {
        let version = casework.case(&case).unwrap().version;
        let change = Change::Assign {
            unit: Some(to.into()),
            assignee: None,
        };
        let supervisor = person("supervisor", &[Role::Supervisor]);
        casework
            .change(&supervisor, &case, version, change)
            .await
            .unwrap();
        assert_eq!((sees(&one), sees(&other)), shown);
        let event = bed.events().pop().unwrap();
        assert_eq!((event.kind.as_str(), event.request), ("case.assign", None));
    }
}

#[tokio::test]
async fn a_guest_submits_alone_also_where_the_house_wants_six_eyes() {
    let bed = Bed::with("2027-01-04T08:00:00Z", |_| ParticipationSettings {
        eyes: Eyes::SIX,
        ..ParticipationSettings::default()
    })
    .await;
    let id = bed.asked(1, "AMTSHILFE", "PUBLIC_BODY", guest()).await;
    let guest = bed.let_in(&id).await;
    let casework = bed.casework();
    let version = || casework.request(Side::Participant, &id).unwrap().version;
    let draft: Draft =
        serde_json::from_value(json!({ "kind": "NO_OBJECTION", "author": "Vorstand" })).unwrap();
    casework.draft(&guest, &id, version(), draft).await.unwrap();
    casework
        .contribution_command(&guest, &id, version(), Theirs::Submit, Details::default())
        .await
        .unwrap();
    bed.deliver().await;
    let state = casework.request(Side::Requester, &id).unwrap().state();
    assert_eq!(state, State::Submitted);
}

#[tokio::test]
async fn what_waits_for_a_guest_goes_at_once_when_its_delivery_is_recorded() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed.asked(1, "AMTSHILFE", "PUBLIC_BODY", guest()).await;
    let casework = bed.casework();
    let process = Process::Request(Side::Requester, id.clone());
    assert_eq!(casework.outbox.taken(), std::slice::from_ref(&process));
    assert_eq!(casework.outbox.taken(), []);
    let version = casework.request(Side::Requester, &id).unwrap().version;
    let details = serde_json::from_value(json!({ "delivered_at": casework.now() })).unwrap();
    let worker = person("worker", &[Role::Worker]);
    casework
        .request_command(&worker, &id, version, Command::RecordDelivery, details)
        .await
        .unwrap();
    assert_eq!(casework.outbox.taken(), [process]);
}

/// What an adviser sees, file by file, and what it is told of each when it opens it.
async fn advised(bed: &Bed, id: &Id, files: &[&String]) -> Vec<(bool, Result<(), &'static str>)> {
    let (casework, adviser) = (bed.casework(), person("adviser", &[Role::Adviser]));
    let advice = json!(casework.advice(&adviser).unwrap()).to_string();
    let mut seen = Vec::new();
    for file in files {
        let opened = casework.open_for_adviser(&adviser, id, file).await;
        let opened = opened.map(drop).map_err(|refused| refused.code);
        seen.push((advice.contains(*file), opened));
    }
    seen
}

#[tokio::test]
async fn an_adviser_sees_what_the_newest_sheet_of_each_file_allows_and_nothing_that_was_taken_back() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let mut wish = weeks();
    wish["files"] = json!(["Lageplan", "Schnitt"]);
    wish["onward"] = json!(true);
    let id = bed.asked(1, "INTERNAL", "INTERNAL", wish).await;
    bed.deliver().await;
    let casework = bed.casework();
    let row = || casework.request(Side::Participant, &id).unwrap();
    let files = &casework.sheets(&row()).unwrap()[0].1.files;
    let (plan, cut) = (&files[0].file_id, &files[1].file_id);
    let coordinator = person("coordinator", &[Role::Coordinator]);
    let advise = async |files: &[&String]| {
        let wish = json!({ "pseudonym": "adviser", "files": files, "until": "2027-02-01" });
        let wish = serde_json::from_value(wish).unwrap();
        let advised = casework.advise(&coordinator, &id, row().version, wish).await;
        advised.map(drop).map_err(|refused| refused.code)
    };
    advise(&[plan, cut]).await.unwrap();
    assert_eq!(
        advised(&bed, &id, &[plan, cut]).await,
        [(true, Ok(())), (true, Ok(()))]
    );
    // One of them is shown again, and not onward any more.
    let disclosure = json!({
        "files": [{ "file_id": plan, "right": "VIEW" }], "purpose": "fiktiv", "legal_basis": "fiktiv",
    });
    let supplement = json!({ "disclosure": disclosure });
    bed.wants(&id, Command::Supplement, supplement).await.unwrap();
    bed.deliver().await;
    let hidden = (false, Err("not_found"));
    assert_eq!(advised(&bed, &id, &[plan, cut]).await, [hidden, (true, Ok(()))]);
    assert_eq!(advise(&[plan]).await, Err("onward_not_granted"));
    // The other one is taken back, and not deleted yet.
    let taken_back = json!({ "files": [cut], "reason": "NO_LONGER_NEEDED" });
    bed.wants(&id, Command::RevokeFiles, taken_back).await.unwrap();
    bed.bring().await;
    assert!(!row().to_delete.is_empty());
    let gone = (false, Err("file_revoked"));
    assert_eq!(advised(&bed, &id, &[plan, cut]).await, [hidden, gone]);
    assert_eq!(
        casework.advice(&person("adviser", &[Role::Adviser])).unwrap(),
        Vec::<Value>::new()
    );
    assert_eq!(advise(&[cut]).await, Err("file_revoked"));
}

#[tokio::test]
async fn a_draft_whose_number_is_free_again_is_put_once_more() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed.asked(1, "AMTSHILFE", "PUBLIC_BODY", guest()).await;
    let guest = bed.let_in(&id).await;
    let casework = bed.casework();
    let version = || casework.request(Side::Participant, &id).unwrap().version;
    let draft = async || {
        let draft: Draft =
            serde_json::from_value(json!({ "kind": "NO_OBJECTION", "author": "Vorstand" })).unwrap();
        casework.draft(&guest, &id, version(), draft).await.unwrap();
    };
    let submit = async || {
        let submit = Theirs::Submit;
        casework
            .contribution_command(&guest, &id, version(), submit, Details::default())
            .await
    };
    draft().await;
    submit().await.unwrap();
    draft().await;
    // The first one cannot be told, and is given up.
    let process = Process::Request(Side::Participant, id.clone());
    let mut told = casework.sent_messages(&process).unwrap().pop().unwrap();
    told.state = OutState::Parked {
        code: "undeliverable".into(),
        reason: "for a test".into(),
    };
    let cites = casework.request(Side::Participant, &id).unwrap().cites;
    casework.put_out(&cites, Step::default(), told).await.unwrap();
    casework.parked(&guest, &process, false).await.unwrap();
    let refused = submit().await.unwrap_err();
    assert_eq!(refused.code, "draft_outdated", "{refused:?}");
    draft().await;
    submit().await.unwrap();
    bed.deliver().await;
    let ours = casework.request(Side::Requester, &id).unwrap();
    assert_eq!(
        (ours.state(), ours.expected().versions().len()),
        (State::Submitted, 1)
    );
}
