//! The simulated world: two sides, the links between them, two clocks, and what logs would have of it.

use std::collections::VecDeque;

use jiff::{Timestamp, ToSpan};
use proptest::prelude::*;

use crate::transfer::message::{Answer, Clocks, Message};
use crate::transfer::receiver::{self, Receiver};
use crate::transfer::sender::{self, Sender};
use crate::transfer::{Moves, RefusalReason, Responsibility};

pub(super) fn start() -> Timestamp {
    "2026-01-05T08:00:00Z".parse().unwrap()
}

pub(super) fn clocks() -> Clocks {
    Clocks {
        answer_wanted_by: start() + 60.minutes(),
        take_over_until: start() + 180.minutes(),
    }
}

/// The package gives more time than the offer did.
pub(super) fn package() -> Timestamp {
    clocks().take_over_until + 60.minutes()
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Sender(sender::Command),
    Receiver(receiver::Command),
    /// The oldest message that is not settled arrives; its answer may be lost, so that it comes again.
    ToReceiver {
        answer_lost: bool,
    },
    ToSender {
        answer_lost: bool,
    },
    /// It is lost on the way; or it stands in the log already, and the process dies before it has taken it.
    Lost {
        by: usize,
        logged: bool,
    },
    /// A copy of an earlier message comes late.
    Again {
        by: usize,
        back: usize,
    },
    /// A process begins anew with what it has written.
    Restart {
        side: usize,
    },
    /// Minutes pass, for each side as its clock goes.
    Pass {
        sender: i64,
        receiver: i64,
    },
}

/// A message that was sent once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Whose, and which.
    pub(super) by: usize,
    pub(super) number: usize,
    /// Whether the other side has it in its log.
    pub(super) arrived: bool,
    /// How it was answered, and when that message had come first, by the clock of who answers.
    pub(super) answer: Option<(Timestamp, Answer)>,
    /// Whether the answer came back.
    pub(super) returned: bool,
}

/// What a builder might get wrong: the simulation has to find each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Planted {
    /// The sender acts once it has asked, without an answer.
    ActsWithoutAnswer,
    /// The receiver answers that it will not take over, and does not record it.
    AnswersWithoutRecord,
    /// The receiver takes over what it has accepted before the package is there, on an offer that had ended.
    TakesOverUnasked,
    /// The sender takes an offer back whose package it has sent.
    WithdrawsLate,
}

pub(super) struct World {
    planted: Option<Planted>,
    moves: Moves,
    pub(super) sender: Sender,
    pub(super) receiver: Option<Receiver>,
    pub(super) now: [Timestamp; 2],
    /// Messages that are not settled, with their numbers.
    out: [VecDeque<(usize, Message)>; 2],
    /// What was said, and when by the clock of who said it.
    pub(super) said: [Vec<(Timestamp, Message)>; 2],
    /// What happened on the links, in the order in which it did.
    pub(super) attempts: Vec<Attempt>,
    /// Answers by number, and when they were given first: a repeat gets the one that was given.
    answers: [Vec<(Timestamp, Answer)>; 2],
    /// By how many milliseconds each clock goes on with everything that happens.
    pub(super) tick: [i64; 2],
    was_taken_over: bool,
}

pub(super) const S: usize = 0;
pub(super) const R: usize = 1;

impl World {
    pub(super) fn new(planted: Option<Planted>, moves: Moves) -> Self {
        Self {
            planted,
            moves,
            sender: Sender::draft(moves),
            receiver: None,
            now: [start(); 2],
            out: Default::default(),
            said: Default::default(),
            attempts: Vec::new(),
            answers: Default::default(),
            tick: [0; 2],
            was_taken_over: false,
        }
    }

    fn tell(&mut self, side: usize, message: Option<Message>) {
        if let Some(message) = message {
            self.out[side].push_back((self.said[side].len(), message));
            self.said[side].push((self.now[side], message));
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
            (Some((_, answer)), _) => *answer,
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
            self.answers[R].push((self.now[R], answer));
        }
        self.attempted(S, number, !answer_lost);
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
            Some((_, answer)) => *answer,
            None => {
                let (decision, answer) = self.sender.receive(message);
                if let Some(decision) = decision {
                    self.sender.apply(&decision);
                }
                self.answers[S].push((self.now[S], answer));
                answer
            }
        };
        self.attempted(R, number, !answer_lost);
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

    /// Notes that a message came, with the answer that it got.
    fn attempted(&mut self, by: usize, number: usize, returned: bool) {
        self.attempts.push(Attempt {
            by,
            number,
            arrived: true,
            answer: self.answers[1 - by].get(number).copied(),
            returned,
        });
    }

    fn is_lost(&mut self, by: usize, logged: bool) {
        if let Some(&(number, _)) = self.out[by].front() {
            self.attempts.push(Attempt {
                by,
                number,
                arrived: logged,
                answer: None,
                returned: false,
            });
        }
    }

    fn restart(&mut self, side: usize) {
        if side == S {
            let written = serde_json::to_string(&self.sender).unwrap();
            self.sender = serde_json::from_str(&written).unwrap();
        } else {
            let written = serde_json::to_string(&self.receiver).unwrap();
            self.receiver = serde_json::from_str(&written).unwrap();
        }
    }

    pub(super) fn does(&mut self, op: Op) {
        for (now, tick) in self.now.iter_mut().zip(self.tick) {
            *now += tick.milliseconds();
        }
        match op {
            Op::Lost { by, logged } => self.is_lost(by, logged),
            Op::Again { by, back } => {
                if let Some(number) = self.answers[1 - by].len().checked_sub(back + 1) {
                    self.attempted(by, number, back % 2 == 0);
                }
            }
            Op::Restart { side } => self.restart(side),
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

    pub(super) fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.does(*op);
            self.check()?;
        }
        Ok(())
    }

    /// A long time passes, and whatever is due happens; with `links`, everything arrives too.
    pub(super) fn settle(&mut self, links: bool) -> Result<(), String> {
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
                self.is_lost(S, false);
                self.is_lost(R, false);
            }
            self.check()?;
            if !moved {
                return Ok(());
            }
        }
        Err("it never comes to rest".into())
    }
}

pub(super) fn moves() -> impl Strategy<Value = Moves> {
    prop_oneof![3 => Just(Moves::Responsibility), 1 => Just(Moves::Work), 1 => Just(Moves::Nothing)]
}

pub(super) fn ops() -> impl Strategy<Value = Vec<Op>> {
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
        1 => (0..2usize, any::<bool>()).prop_map(|(by, logged)| Op::Lost { by, logged }),
        1 => (0..2usize, 0..4usize).prop_map(|(by, back)| Op::Again { by, back }),
        1 => (0..2usize).prop_map(|side| Op::Restart { side }),
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
