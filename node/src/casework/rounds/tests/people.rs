//! Who sees and does what.

use kontor_participation::round::delivery::Side;
use serde_json::{Value, json};

use super::super::super::Principal;
use super::super::super::cases::Change;
use super::super::super::tests::Bed;
use super::super::board::Wanted;
use super::person;
use crate::config::casework::Role;

fn weeks() -> Value {
    json!({ "rule": { "kind": "weeks", "n": 6 } })
}

fn worker_of(unit: &str) -> Principal {
    let mut who = person(&format!("worker of {unit}"), &[Role::Worker]);
    who.units = [unit.to_owned()].into();
    who
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
