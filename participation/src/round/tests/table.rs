//! What is refused says what is possible, and only that is.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::{Obstacle, Refusal, participant, requester};
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
                // What never arrived is not waited for to its end, and that is what is said then.
                let undelivered = matches!(
                    decided,
                    Err(Refusal::Blocked {
                        obstacle: Obstacle::DeliveryNotProven,
                        ..
                    })
                );
                match legal.contains(&act.name()) {
                    true => assert!(!illegal, "{act:?} {:?}", world.requester),
                    false => assert!(illegal || undelivered, "{act:?} {:?}", world.requester),
                }
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
fn what_never_arrived_does_not_expire_and_the_refusal_says_why() {
    use requester::Command;
    let wanted = terms(SilenceEffect::ConsentDeemedGiven);
    let mut requester = requester::Requester::created(wanted.clone(), ProofLevel::Guest, vec![]);
    let table = HolidayTable::built_in();
    let sent = requester
        .decide(Command::Send(cleared(&wanted)), start(), table)
        .unwrap();
    requester.apply(&sent);
    let later = start() + 2400.hours();
    for command in [Command::Inquire, Command::Expire, Command::ExpireUnanswered] {
        let refused = requester.decide(command, later, table).unwrap_err();
        assert_eq!(refused.code(), "delivery_not_proven");
        assert!(refused.to_string().contains("silence has no effect before"));
    }
    assert_ne!(requester.due(later), Some(Command::Expire));
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
