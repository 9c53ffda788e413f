//! The simulation and the planted bugs that it has to find.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::super::state::State;
use super::super::{participant, requester};
use super::world::{BySide, Op, P, Planted, R, World};
use super::*;

fn effects() -> impl Strategy<Value = SilenceEffect> {
    prop_oneof![2 => Just(SilenceEffect::ConsentDeemedGiven), 1 => Just(SilenceEffect::None)]
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
    use participant::Act as ByParticipant;
    use requester::Act as ByRequester;
    // What ends a request is rare, so that the rest is seen often.
    let by_requester = prop_oneof![
        8 => prop::sample::select(ByRequester::ALL.into_iter().filter(|act| {
            !matches!(act, ByRequester::Cancel | ByRequester::Revoke | ByRequester::Drop)
        }).collect::<Vec<_>>()),
        1 => prop::sample::select(vec![ByRequester::Cancel, ByRequester::Revoke]),
    ];
    let by_participant = prop_oneof![
        6 => prop::sample::select(vec![
            ByParticipant::Acknowledge, ByParticipant::Prepare, ByParticipant::Ask, ByParticipant::AskForTime,
            ByParticipant::Submit, ByParticipant::Submit, ByParticipant::Submit, ByParticipant::Withdraw,
        ]),
        1 => prop::sample::select(vec![ByParticipant::Decline, ByParticipant::StatePurge]),
    ];
    let op = prop_oneof![
        4 => by_requester.prop_map(|act| Op::Does(BySide::Requester(act))),
        4 => by_participant.prop_map(|act| Op::Does(BySide::Participant(act))),
        4 => any::<bool>().prop_map(|answer_lost| Op::ToParticipant { answer_lost }),
        3 => any::<bool>().prop_map(|answer_lost| Op::ToRequester { answer_lost }),
        1 => (any::<bool>(), any::<usize>()).prop_map(|(to_participant, which)| Op::Repeat { to_participant, which }),
        1 => Just(Op::Fetch),
        3 => (0..80i64, 0..80i64).prop_map(|(requester, participant)| Op::Pass { requester, participant }),
        1 => Just(Op::Pass { requester: 24 * 60, participant: 24 * 60 }),
        3 => Just(Op::Clocks),
        1 => any::<bool>().prop_map(|requester| Op::Restart { requester }),
        1 => Just(Op::CloseRound),
        1 => Just(Op::Move),
    ];
    let good = [
        Op::Does(BySide::Requester(ByRequester::Send)),
        Op::ToParticipant { answer_lost: false },
        Op::Fetch,
        Op::ToParticipant { answer_lost: false },
        Op::Does(BySide::Participant(ByParticipant::Acknowledge)),
        Op::ToRequester { answer_lost: false },
    ];
    (1..=good.len(), prop::collection::vec(op, 0..60))
        .prop_map(move |(well, ops)| good[..well].iter().copied().chain(ops).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn silence_means_nothing_unproven_or_unasked_and_nothing_that_was_said_is_lost(ops in ops(), effect in effects()) {
        let mut world = World::new(None, effect);
        prop_assert_eq!(world.run(&ops), Ok(()));
        prop_assert_eq!(world.settle(), Ok(()));
        // A long time later too.
        world.does(Op::Pass { requester: 30 * 24 * 60, participant: 30 * 24 * 60 });
        prop_assert_eq!(world.settle(), Ok(()));
        // And nobody waits for ever: silence is recorded, unless a person has to decide something.
        let request = world.requester.request();
        let waits = request.end().is_none() || request.extension_wanted().is_some();
        prop_assert!(waits || !request.is_silent(), "{:?}", world.requester);
    }

    #[test]
    fn what_was_entered_in_time_is_in_time_however_long_the_requester_was_down(
        minutes in 0..240i64, down in 0..20_000i64, skew in -1..1i64, effect in effects(),
    ) {
        let mut world = World::new(None, effect);
        for op in [
            Op::Does(BySide::Requester(requester::Act::Send)),
            Op::ToParticipant { answer_lost: false },
            Op::Fetch,
            Op::ToParticipant { answer_lost: false },
            Op::Pass { requester: minutes, participant: minutes + skew },
            Op::Does(BySide::Participant(participant::Act::Submit)),
            Op::Pass { requester: down, participant: down },
        ] {
            world.does(op);
        }
        prop_assert_eq!(world.settle(), Ok(()));
        let in_time = minutes + skew < 120;
        let state = world.requester.state();
        prop_assert_eq!(state, if in_time { State::Submitted } else { State::Late });
    }
}

#[test]
fn the_simulation_finds_what_a_builder_might_get_wrong() {
    for planted in [
        Planted::AppliesOutOfOrder,
        Planted::ExpiresUnasked,
        Planted::ForgetsWhatWasNamed,
        Planted::JudgesByArrival,
        Planted::BreaksItsAnswer,
        Planted::RefusesLate,
        Planted::RunsFromSending,
    ] {
        let mut runner = TestRunner::deterministic();
        let found = (0..20_000).find(|_| {
            let ops = ops().new_tree(&mut runner).unwrap().current();
            let mut world = World::new(Some(planted), SilenceEffect::ConsentDeemedGiven);
            world.run(&ops).and_then(|()| world.settle()).is_err()
        });
        assert!(found.is_some(), "{planted:?} was not found");
    }
}

#[test]
fn every_state_is_reached_and_left_where_it_has_an_exit() {
    let mut runner = TestRunner::deterministic();
    let (mut seen, mut left) = ([BTreeSet::new(), BTreeSet::new()], BTreeSet::new());
    for run in 0..6_000 {
        let effect = match run % 2 {
            0 => SilenceEffect::MayBeDisregarded,
            _ => SilenceEffect::None,
        };
        let mut world = World::new(None, effect);
        if run % 50 == 0 {
            world.does(Op::Does(BySide::Requester(requester::Act::Drop)));
            seen[R].extend(&world.seen[R]);
            left.insert(State::Created);
            continue;
        }
        for op in ops().new_tree(&mut runner).unwrap().current() {
            let before = world.requester.state();
            world.does(op);
            if world.requester.state() != before {
                left.insert(before);
            }
        }
        world.settle().unwrap();
        world.does(Op::Clocks);
        for side in [R, P] {
            seen[side].extend(&world.seen[side]);
        }
    }
    let all = |without: &[State]| -> BTreeSet<State> {
        State::ALL
            .into_iter()
            .filter(|state| !without.contains(state))
            .collect()
    };
    // A request is seen as created before its first step only.
    assert_eq!(seen[R], all(&[State::Created]));
    assert_eq!(
        seen[P],
        all(&[State::Created, State::Dropped, State::Sent, State::Failed])
    );
    assert_eq!(left, all(&[State::Dropped, State::Purged]));
}
