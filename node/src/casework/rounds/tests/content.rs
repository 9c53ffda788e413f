//! What becomes of content that is over: deleted with its case, taken back, or ended by its day.

use jiff::civil::date;
use kontor_participation::round::delivery::{ExtensionReason, Side};
use kontor_participation::round::disclosure::Right;
use kontor_participation::transfer::delivery::Words;
use kontor_participation::transfer::offer::Id;
use serde_json::{Value, json};

use super::super::super::Principal;
use super::super::super::tests::{Bed, at};
use super::super::adviser::AdviserWish;
use super::super::participant::{self, Command as Theirs};
use super::super::requester::{Command, Details};
use super::super::statement::Draft;
use super::person;
use crate::config::casework::Role;

fn weeks() -> Value {
    json!({ "rule": { "kind": "weeks", "n": 6 } })
}

impl Bed {
    async fn enters(&self, id: &Id, command: Theirs, details: participant::Details) {
        let coordinator = person("coordinator", &[Role::Coordinator]);
        let version = self.casework().request(Side::Participant, id).unwrap().version;
        self.casework()
            .contribution_command(&coordinator, id, version, command, details)
            .await
            .unwrap();
        self.deliver().await;
    }

    async fn asks_back(&self, id: &Id) {
        let details = participant::Details {
            text: Some("Welche Höhe? (fiktiv)".into()),
            ..participant::Details::default()
        };
        self.enters(id, Theirs::Ask, details).await;
    }
}

#[tokio::test]
async fn once_the_content_of_a_case_is_deleted_nothing_is_pulled_into_it_and_messages_are_taken() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let id = bed.asked(1, "INTERNAL", "INTERNAL", weeks()).await;
    bed.deliver().await;
    let casework = bed.casework();
    let case = casework.request(Side::Requester, &id).unwrap().case.unwrap();
    let row = casework.case(&case).unwrap();
    casework
        .purge(&Principal::node(), row, "test", casework.now())
        .await
        .unwrap();
    bed.asks_back(&id).await;
    let details = participant::Details {
        until: Some(date(2027, 3, 31)),
        extension_reason: Some(ExtensionReason::SiteVisit),
        words: Some(Words {
            text: "Ortstermin".into(),
            free_of_personal_data: true,
        }),
        ..participant::Details::default()
    };
    bed.enters(&id, Theirs::AskForTime, details).await;
    let row = casework.request(Side::Requester, &id).unwrap();
    let request = row.expected();
    assert!(request.question_open() && request.extension_wanted().is_some());
    assert!(
        row.bundles
            .iter()
            .any(|one| one.side == Side::Participant && !one.complete)
    );
    let due = casework.request_due(&row);
    assert!(due.is_none_or(|at| at > casework.now()), "{due:?}");
    let details = Details {
        text: Some("Sieben Meter (fiktiv)".into()),
        ..Details::default()
    };
    let worker = person("worker", &[Role::Worker]);
    let answered = casework
        .request_command(&worker, &id, row.version, Command::Answer, details)
        .await;
    assert_eq!(answered.unwrap_err().code, "purged");
}

#[tokio::test]
async fn after_the_disclosure_ended_a_file_is_closed_and_a_statement_may_still_be_drafted() {
    let bed = Bed::at("2027-01-04T08:00:00Z").await;
    let mut wish = weeks();
    wish["ends"] = json!("2027-01-20");
    wish["files"] = json!(["Lageplan"]);
    let id = bed.asked(1, "INTERNAL", "INTERNAL", wish).await;
    bed.deliver().await;
    let casework = bed.casework();
    let coordinator = person("coordinator", &[Role::Coordinator]);
    let row = casework.request(Side::Participant, &id).unwrap();
    let file = casework.sheets(&row).unwrap()[0].1.files[0].file_id.clone();
    let opened = || casework.open_disclosed(&coordinator, &id, &file, Right::View);
    opened().await.unwrap();
    bed.clock.set(at("2027-01-20T23:00:00Z"));
    assert_eq!(opened().await.unwrap_err().code, "disclosure_closed");
    assert!(casework.request_falls_due(Side::Participant, &id).await.unwrap());
    assert_eq!(opened().await.unwrap_err().code, "disclosure_closed");
    let version = || casework.request(Side::Participant, &id).unwrap().version;
    let wish: AdviserWish =
        serde_json::from_value(json!({ "pseudonym": "adviser", "files": [file], "until": "2027-02-01" }))
            .unwrap();
    let advised = casework.advise(&coordinator, &id, version(), wish).await;
    assert_eq!(advised.unwrap_err().code, "disclosure_closed");
    let draft: Draft = serde_json::from_value(json!({
        "kind": "STATEMENT", "author": "Amt", "text": "Bedenken (fiktiv)",
        "points": [{ "number": 1, "topic": "Plan", "refers_to": { "file": file }, "text": "fiktiv" }],
    }))
    .unwrap();
    casework.draft(&coordinator, &id, version(), draft).await.unwrap();
}
