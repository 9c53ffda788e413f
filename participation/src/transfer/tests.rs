//! Both machines together, over links that lose and repeat, with clocks that differ.
//!
//! A failure is: both sides may act; neither is responsible; a take-over that is undone; a side that cannot leave a state although
//! the other one is silent for ever. What is not simulated: stores and processes that die, which deliver repeats like lost answers.

mod offer;

use std::collections::{BTreeSet, VecDeque};

use jiff::ToSpan;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::message::{Answer, Clocks, Message};
use super::receiver::{self, Receiver};
use super::sender::{self, Sender};
use super::*;

fn start() -> Timestamp {
    "2026-01-05T08:00:00Z".parse().unwrap()
}

fn clocks() -> Clocks {
    Clocks {
        answer_wanted_by: start() + 60.minutes(),
        take_over_until: start() + 180.minutes(),
    }
}

/// The package gives more time than the offer did.
fn package() -> Timestamp {
    clocks().take_over_until + 60.minutes()
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Sender(sender::Command),
    Receiver(receiver::Command),
    /// The oldest message that is not settled arrives; its answer may be lost, so that it comes again.
    ToReceiver {
        answer_lost: bool,
    },
    ToSender {
        answer_lost: bool,
    },
    /// Minutes pass, for each side as its clock goes.
    Pass {
        sender: i64,
        receiver: i64,
    },
}

/// What a builder might get wrong: the simulation has to find each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Planted {
    /// The sender acts once it has asked, without an answer.
    ActsWithoutAnswer,
    /// The receiver answers that it will not take over, and does not record it.
    AnswersWithoutRecord,
    /// The receiver takes over what it has accepted before the package is there, on an offer that had ended.
    TakesOverUnasked,
    /// The sender takes an offer back whose package it has sent.
    WithdrawsLate,
}

struct World {
    planted: Option<Planted>,
    moves: Moves,
    sender: Sender,
    receiver: Option<Receiver>,
    now: [Timestamp; 2],
    /// Messages that are not settled, with their numbers, and how many there were.
    out: [VecDeque<(usize, Message)>; 2],
    sent: [usize; 2],
    /// Answers by number: a repeat gets the one that was given.
    answers: [Vec<Answer>; 2],
    was_taken_over: bool,
}

const S: usize = 0;
const R: usize = 1;

impl World {
    fn new(planted: Option<Planted>, moves: Moves) -> Self {
        Self {
            planted,
            moves,
            sender: Sender::draft(moves),
            receiver: None,
            now: [start(); 2],
            out: Default::default(),
            sent: [0; 2],
            answers: Default::default(),
            was_taken_over: false,
        }
    }

    fn tell(&mut self, side: usize, message: Option<Message>) {
        if let Some(message) = message {
            self.out[side].push_back((self.sent[side], message));
            self.sent[side] += 1;
        }
    }

    fn sender_does(&mut self, command: sender::Command) -> bool {
        let decided = match (self.planted, command, self.sender.state()) {
            (Some(Planted::WithdrawsLate), sender::Command::Withdraw, sender::State::PackageSent) => {
                let mut before = Sender::draft(Moves::Responsibility);
                before.apply(
                    &before
                        .decide(sender::Command::Offer(clocks()), self.now[S])
                        .unwrap(),
                );
                before.decide(command, self.now[S])
            }
            (_, command, _) => self.sender.decide(command, self.now[S]),
        };
        let Ok(decision) = decided else { return false };
        self.sender.apply(&decision);
        self.tell(S, decision.tell);
        if self.planted == Some(Planted::ActsWithoutAnswer)
            && let Some(decision) = self.sender.answered(Message::Reclaim, Answer::Taken)
        {
            self.sender.apply(&decision);
        }
        true
    }

    fn receiver_does(&mut self, command: receiver::Command) -> bool {
        let Some(receiver) = &mut self.receiver else {
            return false;
        };
        let mut decided = receiver.decide(command, self.now[R]);
        if self.planted == Some(Planted::TakesOverUnasked)
            && command == receiver::Command::TakeOver
            && receiver.state() == receiver::State::Accepting
        {
            let mut ready = Receiver::offered(Moves::Responsibility, clocks());
            ready.apply(&ready.decide(receiver::Command::Accept, start()).unwrap());
            ready.apply(
                &ready
                    .receive(Message::Package {
                        take_over_until: package(),
                    })
                    .0
                    .unwrap(),
            );
            let imported = receiver::Command::ReportImport { complete: true };
            ready.apply(&ready.decide(imported, start()).unwrap());
            decided = ready.decide(command, self.now[R]);
        }
        let Ok(decision) = decided else { return false };
        receiver.apply(&decision);
        self.tell(R, decision.tell);
        true
    }

    fn arrives_at_receiver(&mut self, answer_lost: bool) -> bool {
        let Some(&(number, message)) = self.out[S].front() else {
            return false;
        };
        let answer = match (self.answers[R].get(number), &mut self.receiver) {
            (Some(answer), _) => *answer,
            (None, None) => {
                assert!(matches!(message, Message::Offer(_)), "messages come in order");
                self.receiver = Some(Receiver::offered(self.moves, clocks()));
                Answer::Taken
            }
            (None, Some(receiver)) => {
                let (decision, answer) = receiver.receive(message);
                let forgets =
                    self.planted == Some(Planted::AnswersWithoutRecord) && message == Message::Reclaim;
                if let Some(decision) = decision.filter(|_| !forgets) {
                    receiver.apply(&decision);
                }
                answer
            }
        };
        if number == self.answers[R].len() {
            self.answers[R].push(answer);
        }
        if !answer_lost {
            self.out[S].pop_front();
            if let Some(decision) = self.sender.answered(message, answer) {
                self.sender.apply(&decision);
            }
        }
        true
    }

    fn arrives_at_sender(&mut self, answer_lost: bool) -> bool {
        let Some(&(number, message)) = self.out[R].front() else {
            return false;
        };
        let answer = match self.answers[S].get(number) {
            Some(answer) => *answer,
            None => {
                let (decision, answer) = self.sender.receive(message);
                if let Some(decision) = decision {
                    self.sender.apply(&decision);
                }
                self.answers[S].push(answer);
                answer
            }
        };
        if !answer_lost {
            self.out[R].pop_front();
            if let Some(receiver) = &mut self.receiver
                && let Some(decision) = receiver.answered(message, answer)
            {
                receiver.apply(&decision);
            }
        }
        true
    }

    fn does(&mut self, op: Op) {
        match op {
            Op::Sender(command) => _ = self.sender_does(command),
            Op::Receiver(command) => _ = self.receiver_does(command),
            Op::ToReceiver { answer_lost } => _ = self.arrives_at_receiver(answer_lost),
            Op::ToSender { answer_lost } => _ = self.arrives_at_sender(answer_lost),
            Op::Pass { sender, receiver } => {
                self.now[S] += sender.minutes();
                self.now[R] += receiver.minutes();
            }
        }
    }

    /// What must hold at every instant.
    fn check(&mut self) -> Result<(), String> {
        let theirs = Responsibility::Theirs;
        let (ours, other) = (
            self.sender.responsibility(),
            self.receiver.as_ref().map_or(theirs, Receiver::responsibility),
        );
        let states = format!("{:?} and {:?}", self.sender, self.receiver);
        if (ours, other) == (Responsibility::Mine, Responsibility::Mine) {
            return Err(format!("both may act: {states}"));
        }
        if (ours, other) == (theirs, theirs) {
            return Err(format!("nobody is responsible: {states}"));
        }
        if self.was_taken_over && other == theirs {
            return Err(format!("a take-over was undone: {states}"));
        }
        self.was_taken_over |= other != theirs;
        if self.moves != Moves::Responsibility && (ours == theirs || other == Responsibility::Mine) {
            return Err(format!("what was only lent moved: {states}"));
        }
        Ok(())
    }

    fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.does(*op);
            self.check()?;
        }
        Ok(())
    }

    /// A long time passes, and whatever is due happens; with `links`, everything arrives too.
    fn settle(&mut self, links: bool) -> Result<(), String> {
        self.does(Op::Pass {
            sender: 1000,
            receiver: 1000,
        });
        for _ in 0..100 {
            let mut moved = false;
            if let Some(command) = self.sender.due(self.now[S]) {
                moved |= self.sender_does(command);
            }
            if let Some(command) = self.receiver.as_ref().and_then(|r| r.due(self.now[R])) {
                moved |= self.receiver_does(command);
            }
            if links {
                moved |= self.arrives_at_receiver(false) | self.arrives_at_sender(false);
            } else {
                moved |= self.sender_does(sender::Command::GiveUpWaiting);
            }
            self.check()?;
            if !moved {
                return Ok(());
            }
        }
        Err("it never comes to rest".into())
    }
}

fn moves() -> impl Strategy<Value = Moves> {
    prop_oneof![3 => Just(Moves::Responsibility), 1 => Just(Moves::Work), 1 => Just(Moves::Nothing)]
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    use receiver::Command as ByReceiver;
    use sender::Command as BySender;
    let by_sender = prop::sample::select(vec![
        BySender::Withdraw,
        BySender::Expire,
        BySender::SendPackage {
            take_over_until: package(),
        },
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
    ]);
    let by_receiver = prop::sample::select(vec![
        ByReceiver::Accept,
        ByReceiver::Accept,
        ByReceiver::Refuse(RefusalReason::Duplicate),
        ByReceiver::Dispute,
        ByReceiver::ReportImport { complete: true },
        ByReceiver::ReportImport { complete: true },
        ByReceiver::ReportImport { complete: false },
        ByReceiver::TakeOver,
        ByReceiver::TakeOver,
        ByReceiver::Lapse,
        ByReceiver::Query,
        ByReceiver::AnswerRecall { purged: true },
        ByReceiver::TellNumber,
    ]);
    let op = prop_oneof![
        2 => by_sender.prop_map(Op::Sender),
        3 => by_receiver.prop_map(Op::Receiver),
        3 => any::<bool>().prop_map(|answer_lost| Op::ToReceiver { answer_lost }),
        3 => any::<bool>().prop_map(|answer_lost| Op::ToSender { answer_lost }),
        1 => (0..180i64, 0..180i64).prop_map(|(sender, receiver)| Op::Pass { sender, receiver }),
    ];
    // Some runs begin well, so that the late states are seen often.
    let good = [
        Op::Sender(BySender::Offer(clocks())),
        Op::ToReceiver { answer_lost: false },
        Op::Receiver(ByReceiver::Accept),
        Op::ToSender { answer_lost: false },
        Op::Sender(BySender::SendPackage {
            take_over_until: package(),
        }),
        Op::ToReceiver { answer_lost: false },
        Op::Receiver(ByReceiver::ReportImport { complete: true }),
        Op::ToSender { answer_lost: false },
    ];
    (1..=good.len(), prop::collection::vec(op, 0..60))
        .prop_map(move |(well, ops)| good[..well].iter().copied().chain(ops).collect())
}

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
