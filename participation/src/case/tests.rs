use std::collections::BTreeSet;

use super::*;

#[test]
fn the_ways_through_a_case_are_those_of_the_table() {
    for (from, command, to) in [
        (Status::New, Command::Accept, Next::Status(Status::Accepted)),
        (Status::New, Command::Discard, Next::Status(Status::Discarded)),
        (Status::Accepted, Command::TakeBack, Next::Status(Status::New)),
        (Status::Discarded, Command::TakeBack, Next::Status(Status::New)),
        (Status::Accepted, Command::Start, Next::Status(Status::InProgress)),
        (
            Status::InProgress,
            Command::PutBack,
            Next::Status(Status::Accepted),
        ),
        (Status::Accepted, Command::Decide, Next::Status(Status::Decided)),
        (Status::InProgress, Command::Decide, Next::Status(Status::Decided)),
        (Status::InProgress, Command::Close, Next::Status(Status::Closed)),
        (Status::Decided, Command::Close, Next::Status(Status::Closed)),
        (Status::Decided, Command::Reopen, Next::Status(Status::InProgress)),
        (Status::Closed, Command::Reopen, Next::Status(Status::InProgress)),
        (
            Status::ToDeleteClosed,
            Command::Unmark,
            Next::Status(Status::Closed),
        ),
        (
            Status::ToDeleteDiscarded,
            Command::Unmark,
            Next::Status(Status::Discarded),
        ),
        (Status::ToDeleteClosed, Command::Delete, Next::Gone),
    ] {
        assert_eq!(from.decide(command), Ok(to), "{from:?} {command:?}");
    }
    let ways: usize = Status::ALL.into_iter().map(|status| status.legal().len()).sum();
    assert_eq!(ways, 18);
}

#[test]
fn every_state_is_reached_from_new_and_can_be_left() {
    let mut reached = BTreeSet::from([Status::New]);
    for _ in 0..Status::ALL.len() {
        for status in reached.clone() {
            assert!(!status.legal().is_empty(), "{status:?}");
            for command in status.legal() {
                if let Ok(Next::Status(next)) = status.decide(command) {
                    reached.insert(next);
                }
            }
        }
    }
    assert_eq!(reached.len(), Status::ALL.len());
    assert_eq!(
        reached
            .iter()
            .map(|status| status.name())
            .collect::<BTreeSet<_>>()
            .len(),
        7
    );
}

#[test]
fn a_command_that_does_not_fit_is_told_those_that_do() {
    let illegal = Status::New.decide(Command::Close).unwrap_err();
    assert_eq!(illegal.legal, [Command::Accept, Command::Discard]);
    assert_eq!(
        illegal.to_string(),
        "close is not possible while the case is NEW; possible now: accept, discard"
    );
}
