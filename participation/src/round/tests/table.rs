//! What is refused says what is possible, and only that is.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::{Refusal, participant, requester};
use super::simulation::ops;
use super::world::World;
use super::*;

#[test]
fn what_is_refused_says_what_is_possible_and_only_that_is() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..400 {
        let mut world = World::new(None, SilenceEffect::ConsentDeemedGiven);
        for op in ops().new_tree(&mut runner).unwrap().current() {
            world.does(op);
            let legal = world.requester.legal();
            for act in requester::Act::ALL {
                let command = world.requester_command(act);
                assert_eq!(command.act(), act);
                let decided = world
                    .requester
                    .decide(command, world.now[0], HolidayTable::built_in());
                let illegal = matches!(decided, Err(Refusal::Illegal { .. }));
                assert_eq!(
                    illegal,
                    !legal.contains(&act.name()),
                    "{act:?} {:?}",
                    world.requester
                );
            }
            if let Some(participant) = &world.participant {
                let legal = participant.legal();
                for act in participant::Act::ALL {
                    let command = World::participant_command(act);
                    let decided = participant.decide(&command, world.now[1]);
                    let illegal = matches!(decided, Err(Refusal::Illegal { .. }));
                    assert_eq!(illegal, !legal.contains(&act.name()), "{act:?} {participant:?}");
                }
            }
        }
    }
}

#[test]
fn a_refusal_names_the_state_and_the_commands() {
    let requester = requester::Requester::created(terms(SilenceEffect::None), ProofLevel::Node, vec![]);
    let refused = requester
        .decide(requester::Command::Assess, start(), HolidayTable::built_in())
        .unwrap_err();
    assert_eq!(refused.code(), "illegal_for_state");
    assert_eq!(
        refused.to_string(),
        "assess is not possible while it is CREATED; possible now: send, drop, cancel"
    );
}
