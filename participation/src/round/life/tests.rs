use super::*;
use crate::round::profile::ProfileTable;

fn id(last: u8) -> Id {
    format!("0f8fad5b-d9cb-469f-a165-7086768950{last:02x}")
        .try_into()
        .unwrap()
}

fn now() -> Timestamp {
    "2026-01-05T08:00:00Z".parse().unwrap()
}

fn profile(code: &str) -> Versioned {
    ProfileTable::built_in().profile(code).unwrap().id()
}

fn round(before: &[Round]) -> Round {
    Round::next(id(9), id(1), profile("BNATSCHG_63"), before)
}

fn after(commands: &[(Command, &[RequestState])]) -> Round {
    let mut round = round(&[]);
    for (command, requests) in commands {
        let decision = round.decide(*command, requests, now()).unwrap();
        round.apply(&decision);
    }
    round
}

const OUT: &[RequestState] = &[RequestState::Created];
const ANSWERED: &[RequestState] = &[RequestState::Submitted, RequestState::Expired];
const TOLD: &[RequestState] = &[
    RequestState::Notified,
    RequestState::Declined,
    RequestState::Purged,
];

#[test]
fn a_round_goes_its_way_and_every_state_says_what_is_possible() {
    let way = [
        (Command::Open, OUT),
        (Command::Close, ANSWERED),
        (Command::Evaluate, ANSWERED),
        (Command::Conclude, TOLD),
    ];
    let states = [
        (State::Preparing, vec!["open", "cancel"]),
        (State::Open, vec!["close", "suspend", "cancel"]),
        (State::Closed, vec!["evaluate", "cancel"]),
        (State::Evaluating, vec!["conclude", "cancel"]),
        (State::Concluded, vec![]),
    ];
    for (steps, (state, legal)) in states.iter().enumerate() {
        let round = after(&way[..steps]);
        assert_eq!((round.state(), round.state().legal()), (*state, legal.clone()));
    }
    assert_eq!(after(&way).closed_at(), Some(now()));
    let suspended = after(&[(Command::Open, OUT), (Command::Suspend, ANSWERED)]);
    assert_eq!(suspended.state().legal(), ["resume", "cancel"]);
    let refused = suspended.decide(Command::Close, ANSWERED, now()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "close is not possible while it is SUSPENDED; possible now: resume, cancel"
    );
}

#[test]
fn a_round_is_not_closed_over_who_is_waited_for_nor_concluded_over_what_is_not_told() {
    assert_eq!(
        round(&[]).decide(Command::Open, &[], now()).unwrap_err().code(),
        "nobody_asked"
    );
    let open = after(&[(Command::Open, OUT)]);
    for waiting in [
        RequestState::Created,
        RequestState::Sent,
        RequestState::Delivered,
        RequestState::InPreparation,
    ] {
        let refused = open.decide(Command::Close, &[RequestState::Notified, waiting], now());
        assert_eq!(refused.unwrap_err().code(), "requests_open", "{}", waiting.name());
    }
    let evaluating = after(&[
        (Command::Open, OUT),
        (Command::Close, ANSWERED),
        (Command::Evaluate, ANSWERED),
    ]);
    let refused = evaluating.decide(Command::Conclude, ANSWERED, now()).unwrap_err();
    assert_eq!(refused.code(), "requests_open");
}

#[test]
fn what_happens_to_a_round_happens_to_its_requests() {
    use requester::Act;
    let open = after(&[(Command::Open, OUT)]);
    for (round, command, each) in [
        (round(&[]), Command::Open, Some(Act::Send)),
        (open.clone(), Command::Suspend, Some(Act::Suspend)),
        (open.clone(), Command::Cancel, Some(Act::Cancel)),
        (open, Command::Close, None),
    ] {
        let requests = match command {
            Command::Open => OUT,
            Command::Close
            | Command::Evaluate
            | Command::Conclude
            | Command::Suspend
            | Command::Resume
            | Command::Cancel => ANSWERED,
        };
        assert_eq!(round.decide(command, requests, now()).unwrap().each, each);
    }
}

/// Two rounds of the sample case have the number 1: they are of two profiles.
#[test]
fn rounds_are_numbered_for_each_case_and_profile_and_a_renewed_one_names_the_old() {
    let first = after(&[(Command::Open, OUT), (Command::Close, ANSWERED)]);
    let internal = Round::next(id(2), id(1), profile("INTERNAL"), std::slice::from_ref(&first));
    assert_eq!((first.number, internal.number), (1, 1));
    let other_case = Round::next(id(3), id(7), profile("BNATSCHG_63"), std::slice::from_ref(&first));
    assert_eq!(other_case.number, 1);
    let topics = vec!["Artenschutz".to_owned()];
    let second = first
        .renewed(id(4), topics.clone(), std::slice::from_ref(&first))
        .unwrap();
    assert_eq!(
        (second.number, &second.renews, &second.topics),
        (2, &Some(id(9)), &topics)
    );
    assert_eq!(second.state(), State::Preparing);
    let running = after(&[(Command::Open, OUT)]);
    assert_eq!(
        running.renewed(id(4), vec![], &[]).unwrap_err().code(),
        "illegal_for_state"
    );
    let guest = Party::Guest { guest: id(5) };
    assert_eq!(guest.name(), format!("guest/{}", id(5)));
    assert_eq!(guest.level(), ProofLevel::Guest);
}
