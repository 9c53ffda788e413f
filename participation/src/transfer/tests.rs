//! Both machines together, over links that lose and repeat, with clocks that differ.
//!
//! A failure is: both sides may act; neither is responsible; a take-over that is undone; a side that cannot leave a state although
//! the other one is silent for ever. A process that dies is a message that does not arrive, an answer that is lost, or a state that is
//! read again from what was written.

mod evidence;
mod offer;
mod world;

use std::collections::BTreeSet;

use jiff::ToSpan;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use self::world::{Planted, R, S, World, clocks, moves, ops, package, start};
use super::message::{Answer, Clocks, Message};
use super::receiver::{self, Receiver};
use super::sender::{self, Sender};
use super::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn exactly_one_side_is_responsible_whatever_is_lost_repeated_or_late(ops in ops(), moves in moves()) {
        let mut world = World::new(None, moves);
        prop_assert_eq!(world.run(&ops), Ok(()));
        // The links come back: both end, and agree.
        prop_assert_eq!(world.settle(true), Ok(()));
        let receiver = world.receiver.clone().unwrap();
        prop_assert!(world.sender.state().has_ended(), "{:?}", world.sender);
        prop_assert!(receiver.state().has_ended(), "{:?}", receiver);
        let ended_there = match world.sender.state() {
            sender::State::Closed(at) => Some(receiver::State::Closed(at)),
            sender::State::Copied => Some(receiver::State::Copied),
            sender::State::Draft
            | sender::State::Offered
            | sender::State::Accepted
            | sender::State::PackageSent
            | sender::State::Imported
            | sender::State::TakenOver(_)
            | sender::State::Refused(_)
            | sender::State::Withdrawn
            | sender::State::Expired
            | sender::State::Disputed
            | sender::State::Reclaiming
            | sender::State::Unconfirmed(_)
            | sender::State::Reclaimed
            | sender::State::Recalling
            | sender::State::Recalled { .. } => None,
        };
        let agree = match ended_there {
            Some(there) => receiver.state() == there,
            None => receiver.responsibility() == Responsibility::Theirs,
        };
        prop_assert!(agree, "{:?} and {:?}", world.sender, receiver);
    }

    #[test]
    fn nobody_waits_for_ever_for_a_side_that_is_silent(ops in ops(), moves in moves()) {
        let mut world = World::new(None, moves);
        prop_assert_eq!(world.run(&ops), Ok(()));
        prop_assert_eq!(world.settle(false), Ok(()));
        let sender = world.sender.state();
        let shown = matches!(sender, sender::State::Unconfirmed(_));
        prop_assert!(sender.has_ended() || shown, "{:?}", sender);
        if let Some(receiver) = &world.receiver {
            let ours = receiver.responsibility() != Responsibility::Theirs;
            prop_assert!(receiver.state().has_ended() || ours, "{:?}", receiver);
        }
    }
}

#[test]
fn the_simulation_finds_what_a_builder_might_get_wrong() {
    for planted in [
        Planted::ActsWithoutAnswer,
        Planted::AnswersWithoutRecord,
        Planted::TakesOverUnasked,
        Planted::WithdrawsLate,
    ] {
        let mut runner = TestRunner::deterministic();
        let found = (0..20_000).find(|_| {
            let ops = ops().new_tree(&mut runner).unwrap().current();
            World::new(Some(planted), Moves::Responsibility)
                .run(&ops)
                .is_err()
        });
        assert!(found.is_some(), "{planted:?} is not found");
    }
}

#[test]
fn every_state_is_reached_and_left_where_it_has_an_exit() {
    let mut runner = TestRunner::deterministic();
    let (mut senders, mut receivers) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..5_000 {
        let mut world = World::new(None, moves().new_tree(&mut runner).unwrap().current());
        for op in ops().new_tree(&mut runner).unwrap().current() {
            senders.insert(world.sender.state().name());
            receivers.extend(world.receiver.as_ref().map(|receiver| receiver.state().name()));
            world.does(op);
        }
    }
    assert_eq!(senders.len(), 16, "{senders:?}");
    assert_eq!(receivers.len(), 12, "{receivers:?}");
}

#[test]
fn what_is_refused_says_what_is_possible_and_only_that_is() {
    use receiver::Command as ByReceiver;
    use sender::Command as BySender;
    let by_sender = [
        BySender::Offer(clocks()),
        BySender::Withdraw,
        BySender::Expire,
        BySender::SendPackage {
            take_over_until: package(),
        },
        BySender::Reclaim,
        BySender::GiveUpWaiting,
        BySender::Close,
        BySender::Recall,
        BySender::Answer,
        BySender::SendLateItem,
        BySender::Purge,
    ];
    let by_receiver = [
        ByReceiver::Accept,
        ByReceiver::Refuse(RefusalReason::Other),
        ByReceiver::Dispute,
        ByReceiver::ReportImport { complete: true },
        ByReceiver::TakeOver,
        ByReceiver::Lapse,
        ByReceiver::Query,
        ByReceiver::AnswerRecall { purged: false },
        ByReceiver::TellNumber,
    ];
    // Whatever one command's refusal lists is not illegal, and nothing else is legal.
    fn judged<D>(decided: &[Result<D, Refusal>]) {
        let listed = decided.iter().find_map(|decided| match decided {
            Err(Refusal::Illegal { legal, .. }) => Some(legal.len()),
            Ok(_) | Err(Refusal::TooEarly { .. } | Refusal::TooLate { .. }) => None,
        });
        let possible = decided
            .iter()
            .filter(|decided| !matches!(decided, Err(Refusal::Illegal { .. })))
            .count();
        assert!(listed.is_none_or(|listed| listed == possible));
    }
    let mut runner = TestRunner::deterministic();
    for _ in 0..2_000 {
        let mut world = World::new(None, moves().new_tree(&mut runner).unwrap().current());
        for op in ops().new_tree(&mut runner).unwrap().current() {
            world.does(op);
            judged(&by_sender.map(|command| world.sender.decide(command, world.now[S])));
            if let Some(receiver) = &world.receiver {
                judged(&by_receiver.map(|command| receiver.decide(command, world.now[R])));
            }
        }
    }
    let draft = Sender::draft(Moves::Responsibility);
    let refused = draft.decide(BySender::Withdraw, start()).unwrap_err();
    assert_eq!(refused.code(), "illegal_for_state");
    assert_eq!(
        refused.to_string(),
        "withdraw is not possible while the transfer is DRAFT; possible now: offer"
    );
}

#[test]
fn an_offer_expires_at_its_time_and_a_take_over_after_its_time_is_refused() {
    let mut sender = Sender::draft(Moves::Responsibility);
    sender.apply(&sender.decide(sender::Command::Offer(clocks()), start()).unwrap());
    let early = start() + 59.minutes();
    assert_eq!(sender.due(early), None);
    assert_eq!(
        sender.decide(sender::Command::Expire, early).unwrap_err().code(),
        "too_early"
    );
    assert_eq!(
        sender.due(clocks().answer_wanted_by),
        Some(sender::Command::Expire)
    );

    let mut receiver = Receiver::offered(Moves::Responsibility, clocks());
    for step in ["accept", "package", "import"] {
        let decision = match step {
            "accept" => receiver.decide(receiver::Command::Accept, start()).unwrap(),
            "package" => receiver
                .receive(Message::Package {
                    take_over_until: package(),
                })
                .0
                .unwrap(),
            _ => {
                let complete = receiver::Command::ReportImport { complete: true };
                receiver.decide(complete, start()).unwrap()
            }
        };
        receiver.apply(&decision);
    }
    let until = package();
    assert!(receiver.decide(receiver::Command::TakeOver, until).is_ok());
    let late = receiver
        .decide(receiver::Command::TakeOver, until + 1.second())
        .unwrap_err();
    assert_eq!(late.code(), "too_late");
    assert!(late.to_string().contains("a new offer is needed"), "{late}");
    // An acceptance after the offer has ended is refused with how it stands.
    sender.apply(&sender.decide(sender::Command::Withdraw, start()).unwrap());
    let (decision, answer) = sender.receive(Message::Accept);
    assert_eq!(decision, None);
    assert_eq!(
        answer,
        Answer::Refused {
            stands: message::Stands::Ended
        }
    );
}

#[test]
fn messages_and_states_keep_their_names_on_the_way() {
    let at = start();
    for (message, text) in [
        (Message::Accept, "{\"kind\":\"accept\"}"),
        (
            Message::Refuse {
                reason: RefusalReason::NotCompetentPlace,
            },
            "{\"kind\":\"refuse\",\"reason\":\"NOT_COMPETENT_PLACE\"}",
        ),
        (
            Message::TakenOver { at },
            "{\"kind\":\"taken-over\",\"at\":\"2026-01-05T08:00:00Z\"}",
        ),
    ] {
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        assert_eq!(serde_json::from_str::<Message>(text).unwrap(), message);
    }
}
