//! The requests of the fictional cases, as the machines have them. Where a case says otherwise than the rules for both sides, the
//! rules decide: a guest is delivered when it opens the request, and an extension moves the end that is in force.

use serde_json::Value;

use super::super::guest::{Invitation, Opening};
use super::super::message::Says;
use super::super::participant::{self, Participant};
use super::super::requester::{Command, Proof, Requester};
use super::super::state::State;
use super::machines::{Pair, at, table};
use super::*;

fn case(name: &str) -> Value {
    let text = match name {
        "baumfaellung" => include_str!("../../../tests/vectors/cases/baumfaellung.json"),
        _ => include_str!("../../../tests/vectors/cases/gewerbeanmeldung.json"),
    };
    serde_json::from_str(text).unwrap()
}

fn instant(value: &Value) -> Timestamp {
    at(value.as_str().unwrap())
}

/// What a request of a case fixes, by its profile and its deadline.
fn fixed(case: &Value, request: &Value, profile: &str, class: Class, extension: Option<Extendable>) -> Terms {
    let deadlines = case["deadlines"].as_array().unwrap();
    let deadline = deadlines
        .iter()
        .find(|deadline| deadline["deadline_id"] == request["deadline_id"])
        .unwrap();
    let choice = Choice {
        class,
        rule: Some(serde_json::from_value(deadline["rule"].clone()).unwrap()),
        effect: Some(serde_json::from_value(request["silence_effect"].clone()).unwrap()),
        extension,
        runs_from: None,
    };
    let place: Place = serde_json::from_value(deadline["place"].clone()).unwrap();
    let terms = ProfileTable::built_in()
        .profile(profile)
        .unwrap()
        .terms(&choice, &place, table(), start())
        .unwrap();
    let computed = terms
        .deadline(instant(&deadline["trigger"]["at"]), table())
        .unwrap()
        .unwrap();
    assert_eq!(computed.ends_at, instant(&deadline["ends_before"]));
    terms
}

#[test]
fn one_association_gets_more_time_and_consents_and_the_other_one_is_late() {
    let case = case("baumfaellung");
    let requests = case["participation"][0]["requests"].as_array().unwrap();
    let terms = |request| {
        let extension = Some(Extendable::ForReason);
        fixed(&case, request, "BNATSCHG_63", Class::Association, extension)
    };
    let friends = &requests[0];
    let mut pair = Pair::delivered(terms(friends), vec![7, 1], instant(&friends["delivered_at"]));
    assert_eq!(
        pair.end(),
        at("2026-06-05T22:00:00Z"),
        "Corpus Christi moves it in Bavaria"
    );
    let asked = &friends["extension"];
    let until = |member: &str| asked[member].as_str().unwrap().parse().unwrap();
    let wanted = participant::Command::AskForTime {
        until: until("until"),
    };
    pair.participant(&wanted, instant(&asked["asked_at"]));
    let granted = Rule::Until {
        date: until("granted_until"),
        stands: false,
    };
    pair.requester(
        Command::DecideExtension {
            granted: Some(granted),
        },
        instant(&asked["decided_at"]),
    );
    assert_eq!(pair.end(), at("2026-06-12T22:00:00Z"));
    let said = &friends["statement"];
    let says = pair.participant(
        &participant::Command::Submit(submission(Kind::Consent)),
        instant(&said["submitted_at"]),
    );
    assert_eq!(
        says.judgement().unwrap().in_time,
        said["in_time"].as_bool().unwrap()
    );
    assert_eq!(pair.state().name(), friends["state"].as_str().unwrap());

    let orchard = &requests[1];
    let mut pair = Pair::delivered(terms(orchard), vec![7, 1], instant(&orchard["delivered_at"]));
    pair.clocks(pair.end());
    assert_eq!(pair.state(), State::Expired);
    let submitted_at = instant(&orchard["statement"]["submitted_at"]);
    assert!(!pair.submit(submitted_at).judgement().unwrap().in_time);
    assert_eq!(pair.state(), State::Late);
    let silence = pair.requester.request().expiry().unwrap();
    assert_eq!(
        silence.effect,
        SilenceEffect::MayBeDisregarded,
        "it is late, and that stands"
    );
}

#[test]
fn the_chamber_of_crafts_asks_back_and_its_clock_runs_on() {
    let case = case("gewerbeanmeldung");
    let request = &case["participation"][0]["requests"][0];
    let terms = fixed(&case, request, "AMTSHILFE", Class::Chamber, None);
    let mut pair = Pair::delivered(terms, vec![3], instant(&request["delivered_at"]));
    pair.participant(
        &participant::Command::Acknowledge,
        instant(&request["acknowledged"]["at"]),
    );
    pair.participant(
        &participant::Command::Ask,
        instant(&request["questions"][0]["at"]),
    );
    assert!(pair.requester.request().question_open());
    assert_eq!(
        pair.state(),
        State::Acknowledged,
        "a question stands beside the state"
    );
    assert_eq!(pair.end(), at("2026-04-16T22:00:00Z"));
}

#[test]
fn a_guest_is_delivered_by_its_first_opening_and_that_stands_in_its_proof() {
    let case = case("baumfaellung");
    let request = &case["participation"][0]["requests"][0];
    let terms = fixed(
        &case,
        request,
        "BNATSCHG_63",
        Class::Association,
        Some(Extendable::ForReason),
    );
    let sent_at = instant(&request["sent_at"]);
    let mut requester = Requester::created(terms.clone(), ProofLevel::Guest, vec![7, 1]);
    let sent = requester
        .decide(Command::Send(cleared(&terms)), sent_at, table())
        .unwrap();
    requester.apply(&sent);
    let guest = "0f8fad5b-d9cb-469f-a165-708676895012"
        .to_owned()
        .try_into()
        .unwrap();
    let mut invitation = Invitation::new(guest, "K7M-42Q", [3; 32], at("2026-09-30T22:00:00Z"));
    // It lies there for a week: nothing runs.
    let opened_at = sent_at + (7 * 24).hours();
    assert_eq!(
        (requester.state(), requester.request().end()),
        (State::Sent, None)
    );
    assert_eq!(invitation.open("K7M-42Q", opened_at), Ok(Opening::First));
    let (_, answer) = Participant::delivered(terms, None, opened_at);
    assert_eq!(
        answer.says,
        Says::Delivered {
            delivered_at: opened_at
        }
    );
    let arrived = requester
        .answered(&sent.tell[0].message, answer, table())
        .unwrap();
    requester.apply(&arrived);
    // What is disclosed lies with its host: it is there with the opening.
    let fetched = requester.fetched(opened_at, table()).unwrap();
    requester.apply(&fetched);
    assert_eq!(requester.delivery().unwrap().proof, Proof::OpenedWithCode);
    assert_eq!(requester.level(), ProofLevel::Guest);
    assert_eq!(requester.request().end(), Some(at("2026-06-11T22:00:00Z")));
}
