//! One side of a transfer, run again over what it said and what it heard.
//!
//! Owns the question whether there is an order of these that the side's own clock and its machine allow. Between what stands in
//! evidence a side does things that nobody is told: an answer arrives, time runs out, somebody gives up waiting. And what it said last
//! may not be in this evidence yet. So orders are searched until one explains everything; where none does, what is first in the way of
//! the longest one is the contradiction, and the search goes on behind it.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::transfer::message::{Answer, Message, Stands};
use crate::transfer::receiver::{self, Receiver};
use crate::transfer::sender::{self, Sender};
use crate::transfer::{Refusal, RefusalReason};

/// Places that are looked at. What honest nodes have said needs a few for each message.
const LIMIT: usize = 100_000;

/// A machine that is run again.
pub(super) trait Machine: Clone + Eq {
    /// After it has said this, if it could.
    fn says(&self, message: Message, at: Timestamp) -> Result<Self, String>;
    /// After it has heard this, and its answer.
    fn hears(&self, message: Message) -> (Self, Answer);
    /// After the answer to what it said has come.
    fn is_answered(&self, message: Message, answer: Answer) -> Self;
    /// What it may have become at this instant without telling anybody.
    fn by_itself(&self, at: Timestamp) -> Vec<Self>;
    /// What it may have become by a message that is not in this evidence; `given` is what it answered then.
    fn unseen(&self, at: Timestamp, given: Option<Answer>) -> Vec<Self>;
    /// The name of its state.
    fn state(&self) -> &'static str;
}

/// A message of the side itself.
#[derive(Debug)]
pub(super) struct Own {
    pub(super) seq: u32,
    pub(super) kind: &'static str,
    /// When it was said.
    pub(super) at: Timestamp,
    /// What was said; of a message that was given up, nothing.
    pub(super) message: Option<Message>,
    /// How it was answered, if that is known.
    pub(super) answer: Option<Answer>,
}

impl Own {
    /// What was said, where the answer to it changes something.
    fn awaited(&self) -> Option<Message> {
        self.message.filter(|message| {
            matches!(
                message,
                Message::Accept | Message::TakenOver { .. } | Message::Reclaim | Message::Recall
            )
        })
    }
}

/// A message of the other side.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) seq: u32,
    pub(super) kind: &'static str,
    /// What was heard; of a message that was given up, nothing.
    pub(super) message: Option<Message>,
    /// When, and how it was answered, if there is a receipt.
    pub(super) receipt: Option<(Timestamp, Answer)>,
}

/// What is known of one side, each in the order of its numbers.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) own: Vec<Own>,
    pub(super) heard: Vec<Heard>,
}

/// What came of running a side again.
pub(super) struct Ran<M> {
    /// What it is at the end.
    pub(super) machine: M,
    /// Whether that needs a message that is not in this evidence.
    pub(super) unseen: bool,
    /// Its state after each of its messages.
    pub(super) after_own: Vec<&'static str>,
    /// Its state after each message of the other side that it has heard.
    pub(super) after_heard: Vec<Option<&'static str>>,
    /// Messages that cannot have been, and why.
    pub(super) wrong: Vec<Wrong>,
}

/// A message that does not fit.
#[derive(Debug)]
pub(super) struct Wrong {
    /// Whether it is one of the side itself.
    pub(super) own: bool,
    pub(super) seq: u32,
    pub(super) kind: &'static str,
    pub(super) why: String,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Did {
    Nothing,
    Said,
    Heard,
    /// What was said there was answered.
    WasAnswered(usize),
}

/// A place in an order: how far each has come.
#[derive(Clone)]
struct Step<M> {
    machine: M,
    own: usize,
    heard: usize,
    answered: usize,
    did: Did,
    before: Option<usize>,
}

impl<M: Machine> Step<M> {
    /// What follows when the answer to one of its messages comes.
    fn answered(&self, at: usize, message: Message, answer: Answer) -> Self {
        Self {
            machine: self.machine.is_answered(message, answer),
            answered: at + 1,
            did: Did::WasAnswered(at),
            ..self.clone()
        }
    }
}

impl Side {
    /// Runs a machine over all of it.
    pub(super) fn run<M: Machine>(&self, machine: M) -> Ran<M> {
        let mut ran = Ran {
            machine: machine.clone(),
            unseen: false,
            after_own: vec![machine.state(); self.own.len()],
            after_heard: vec![None; self.heard.len()],
            wrong: Vec::new(),
        };
        let mut from = Step {
            machine,
            own: 0,
            heard: 0,
            answered: 0,
            did: Did::Nothing,
            before: None,
        };
        loop {
            let stuck = match self.search(&from, false) {
                Ok(path) => return self.told(ran, &path),
                Err(stuck) => stuck,
            };
            if let Ok(path) = self.search(&from, true) {
                ran.unseen = true;
                return self.told(ran, &path);
            }
            ran = self.told(ran, &stuck);
            let Some(last) = stuck.last() else { return ran };
            let (wrong, forced) = self.forced(last);
            ran.wrong.extend(wrong);
            from = forced;
        }
    }

    /// Notes the states on a way.
    fn told<M: Machine>(&self, mut ran: Ran<M>, path: &[Step<M>]) -> Ran<M> {
        for step in path {
            let state = step.machine.state();
            match step.did {
                Did::Nothing => {}
                Did::Said => ran.after_own[step.own - 1] = state,
                Did::Heard => ran.after_heard[step.heard - 1] = Some(state),
                // What an answer changes belongs to the message, if nothing was said since.
                Did::WasAnswered(at) if at + 1 == step.own => ran.after_own[at] = state,
                Did::WasAnswered(_) => {}
            }
        }
        if let Some(last) = path.last() {
            ran.machine = last.machine.clone();
        }
        ran
    }

    /// The way to an end that explains everything, or else the longest one.
    fn search<M: Machine>(&self, from: &Step<M>, unseen: bool) -> Result<Vec<Step<M>>, Vec<Step<M>>> {
        let mut steps = vec![Step {
            did: Did::Nothing,
            before: None,
            ..from.clone()
        }];
        let mut known: BTreeMap<(usize, usize, usize), Vec<M>> = BTreeMap::new();
        let (mut open, mut longest) = (vec![0], 0);
        while let Some(here) = open.pop().filter(|_| steps.len() < LIMIT) {
            let step = &steps[here];
            let seen = known.entry((step.own, step.heard, step.answered)).or_default();
            if seen.contains(&step.machine) {
                continue;
            }
            seen.push(step.machine.clone());
            if self.is_all(step) {
                return Ok(way(&steps, here));
            }
            let far = |step: &Step<M>| (step.own + step.heard, step.answered);
            if far(step) > far(&steps[longest]) {
                longest = here;
            }
            let next = self.next(step, unseen);
            for step in next.into_iter().rev() {
                open.push(steps.len());
                steps.push(Step {
                    before: Some(here),
                    ..step
                });
            }
        }
        Err(way(&steps, longest))
    }

    /// Whether nothing is left that has to be explained. Whether the last messages without receipts were heard is not known.
    fn is_all<M>(&self, step: &Step<M>) -> bool {
        let heard = self.heard.iter().skip(step.heard);
        step.own == self.own.len()
            && self.own[step.answered..]
                .iter()
                .all(|own| own.awaited().is_none() || own.answer.is_none())
            && heard.into_iter().all(|heard| heard.receipt.is_none())
    }

    /// When a message was heard at the latest, if that is known: before the next one of which it is.
    fn heard_until(&self, at: usize) -> Option<Timestamp> {
        let mut receipts = self.heard.iter().skip(at).filter_map(|heard| heard.receipt);
        receipts.next().map(|(at, _)| at)
    }

    /// When it was heard at the earliest.
    fn heard_from(&self, at: usize) -> Timestamp {
        let receipts = self.heard.iter().take(at + 1).filter_map(|heard| heard.receipt);
        receipts.map(|(at, _)| at).next_back().unwrap_or(Timestamp::MIN)
    }

    /// The instant of the last thing that was said or heard.
    fn newest<M>(&self, step: &Step<M>) -> Timestamp {
        let said = step.own.checked_sub(1).map(|last| self.own[last].at);
        let heard = step.heard.checked_sub(1).map(|last| self.heard_from(last));
        said.max(heard).unwrap_or(Timestamp::MIN)
    }

    /// What may come next, the likeliest first.
    fn next<M: Machine>(&self, step: &Step<M>, unseen: bool) -> Vec<Step<M>> {
        let mut next = Vec::new();
        let awaited = (step.answered..step.own).find_map(|at| Some((at, self.own[at].awaited()?)));
        let answered = awaited.and_then(|(at, message)| Some((at, message, self.own[at].answer?)));
        next.extend(answered.map(|(at, message, answer)| step.answered(at, message, answer)));
        let (own, heard) = (self.own.get(step.own), self.heard.get(step.heard));
        let until = heard.and_then(|_| self.heard_until(step.heard));
        let hears_next = own.is_none_or(|own| own.at >= self.heard_from(step.heard));
        let says_next = own.filter(|own| until.is_none_or(|until| until >= own.at));
        // What was given up on the way may be why a later answer is as it is.
        let given_up = || self.own.iter().skip(step.own).any(|own| own.message.is_none());
        let unseen = unseen && (own.is_none() || given_up());
        if let Some(heard) = heard.filter(|_| hears_next) {
            let given = heard.receipt.map(|(_, answer)| answer);
            let at = until.unwrap_or_else(|| self.newest(step));
            for machine in before(&step.machine, at, unseen, given) {
                let (machine, answer) = match heard.message {
                    Some(message) => machine.hears(message),
                    None => (machine, Answer::Taken),
                };
                if given.is_none_or(|given| given == answer) {
                    next.push(Step {
                        machine,
                        heard: step.heard + 1,
                        did: Did::Heard,
                        ..step.clone()
                    });
                }
            }
        }
        if let Some((at, message)) = awaited.filter(|_| answered.is_none()) {
            // It may have been answered one way or the other, and that is not in this evidence.
            let ended = Answer::Refused {
                stands: Stands::Ended,
            };
            next.extend([Answer::Taken, ended].map(|answer| step.answered(at, message, answer)));
        }
        if let Some(own) = says_next {
            for machine in before(&step.machine, own.at, false, None) {
                let said = match own.message {
                    Some(message) => self.said(&machine, step, own, message),
                    None => Ok(machine),
                };
                next.extend(said.ok().map(|machine| Step {
                    machine,
                    own: step.own + 1,
                    did: Did::Said,
                    ..step.clone()
                }));
            }
        }
        next
    }

    fn said<M: Machine>(
        &self,
        machine: &M,
        step: &Step<M>,
        own: &Own,
        message: Message,
    ) -> Result<M, String> {
        if let Message::TakenOver { at } = message
            && (at < self.newest(step) || at > own.at)
        {
            return Err(format!("{at} is not the instant at which it was said"));
        }
        machine.says(message, own.at)
    }

    /// What is in the way, and where it goes on behind it.
    fn forced<M: Machine>(&self, step: &Step<M>) -> (Option<Wrong>, Step<M>) {
        let (own, heard) = (self.own.get(step.own), self.heard.get(step.heard));
        let until = heard.and_then(|_| self.heard_until(step.heard));
        let own_first = own.filter(|own| until.is_none_or(|until| own.at < until));
        if let Some(own) = own_first.or_else(|| own.filter(|_| heard.is_none())) {
            let why = match own.message {
                Some(message) => self.said(&step.machine, step, own, message).err(),
                None => None,
            };
            let wrong = Wrong {
                own: true,
                seq: own.seq,
                kind: own.kind,
                why: why.unwrap_or_else(|| "it does not fit what was heard before".to_owned()),
            };
            let forced = Step {
                own: step.own + 1,
                did: Did::Said,
                ..step.clone()
            };
            return (Some(wrong), forced);
        }
        let Some(heard) = heard else {
            // Nothing is left but answers, which stand in nobody's way.
            let answered = self.own.len();
            return (
                None,
                Step {
                    answered,
                    ..step.clone()
                },
            );
        };
        let (machine, answer) = match heard.message {
            Some(message) => step.machine.hears(message),
            None => (step.machine.clone(), Answer::Taken),
        };
        let given = heard.receipt.map_or(answer, |(_, answer)| answer);
        let wrong = Wrong {
            own: false,
            seq: heard.seq,
            kind: heard.kind,
            why: match given == answer {
                true => "it was heard at an instant that does not fit".to_owned(),
                false => format!(
                    "it was answered with {}, and {} is what follows",
                    words(given),
                    words(answer)
                ),
            },
        };
        let forced = Step {
            machine,
            heard: step.heard + 1,
            did: Did::Heard,
            ..step.clone()
        };
        (Some(wrong), forced)
    }
}

fn way<M: Clone>(steps: &[Step<M>], to: usize) -> Vec<Step<M>> {
    let mut way = vec![steps[to].clone()];
    while let Some(before) = way.last().and_then(|step| step.before) {
        way.push(steps[before].clone());
    }
    way.reverse();
    way
}

/// What a machine may be right before an event.
fn before<M: Machine>(machine: &M, at: Timestamp, unseen: bool, given: Option<Answer>) -> Vec<M> {
    let mut all = vec![machine.clone()];
    all.extend(machine.by_itself(at));
    let mut looked_at = 0;
    while unseen && looked_at < all.len() {
        for more in all[looked_at].unseen(at, given) {
            if !all.contains(&more) {
                all.push(more);
            }
        }
        looked_at += 1;
    }
    all
}

fn words(answer: Answer) -> String {
    match answer {
        Answer::Taken => "taken".to_owned(),
        Answer::Refused { stands: Stands::Open } => "refused (it goes on)".to_owned(),
        Answer::Refused {
            stands: Stands::Ended,
        } => "refused (it has ended)".to_owned(),
        Answer::Refused {
            stands: Stands::TakenOver { at },
        } => format!("refused (taken over at {at})"),
    }
}

impl Machine for Sender {
    fn says(&self, message: Message, at: Timestamp) -> Result<Self, String> {
        let command = match message {
            Message::Withdraw => sender::Command::Withdraw,
            Message::Expire => sender::Command::Expire,
            Message::Package { take_over_until } => sender::Command::SendPackage { take_over_until },
            Message::Reclaim => sender::Command::Reclaim,
            Message::Recall => sender::Command::Recall,
            Message::Answer => sender::Command::Answer,
            Message::LateItem => sender::Command::SendLateItem,
            Message::Purged => sender::Command::Purge,
            Message::Offer(clocks) => sender::Command::Offer(clocks),
            Message::Accept
            | Message::Refuse { .. }
            | Message::Dispute
            | Message::ImportResult { .. }
            | Message::TakenOver { .. }
            | Message::RecallResult { .. }
            | Message::Query
            | Message::Number => return Err("it is not for the sender to say".to_owned()),
        };
        did(self, command, at).map_err(|refusal| refusal.to_string())
    }

    fn hears(&self, message: Message) -> (Self, Answer) {
        let (decision, answer) = self.receive(message);
        let mut after = self.clone();
        if let Some(decision) = decision {
            after.apply(&decision);
        }
        (noted(after), answer)
    }

    fn is_answered(&self, message: Message, answer: Answer) -> Self {
        let mut after = self.clone();
        if let Some(decision) = self.answered(message, answer) {
            after.apply(&decision);
        }
        noted(after)
    }

    fn by_itself(&self, at: Timestamp) -> Vec<Self> {
        did(self, sender::Command::GiveUpWaiting, at)
            .into_iter()
            .collect()
    }

    fn unseen(&self, at: Timestamp, _: Option<Answer>) -> Vec<Self> {
        let commands = [sender::Command::Withdraw, sender::Command::Expire];
        commands
            .into_iter()
            .filter_map(|command| did(self, command, at).ok())
            .collect()
    }

    fn state(&self) -> &'static str {
        Self::state(self).name()
    }
}

/// That it was taken over is noted by itself.
fn noted(sender: Sender) -> Sender {
    did(&sender, sender::Command::Close, Timestamp::MIN).unwrap_or(sender)
}

fn did(sender: &Sender, command: sender::Command, at: Timestamp) -> Result<Sender, Refusal> {
    let decision = sender.decide(command, at)?;
    let mut after = sender.clone();
    after.apply(&decision);
    Ok(after)
}

impl Machine for Receiver {
    fn says(&self, message: Message, at: Timestamp) -> Result<Self, String> {
        let (command, at) = match message {
            Message::Accept => (receiver::Command::Accept, at),
            Message::Refuse { reason } => (receiver::Command::Refuse(reason), at),
            Message::Dispute => (receiver::Command::Dispute, at),
            Message::ImportResult { complete } => (receiver::Command::ReportImport { complete }, at),
            Message::TakenOver { at } => (receiver::Command::TakeOver, at),
            Message::RecallResult { purged } => (receiver::Command::AnswerRecall { purged }, at),
            Message::Query => (receiver::Command::Query, at),
            Message::Number => (receiver::Command::TellNumber, at),
            Message::Offer(_)
            | Message::Withdraw
            | Message::Expire
            | Message::Package { .. }
            | Message::Reclaim
            | Message::Recall
            | Message::Answer
            | Message::LateItem
            | Message::Purged => return Err("it is not for the receiver to say".to_owned()),
        };
        done(self, command, at).map_err(|refusal| refusal.to_string())
    }

    fn hears(&self, message: Message) -> (Self, Answer) {
        let (decision, answer) = self.receive(message);
        let mut after = self.clone();
        if let Some(decision) = decision {
            after.apply(&decision);
        }
        (after, answer)
    }

    fn is_answered(&self, message: Message, answer: Answer) -> Self {
        let mut after = self.clone();
        if let Some(decision) = self.answered(message, answer) {
            after.apply(&decision);
        }
        after
    }

    fn by_itself(&self, at: Timestamp) -> Vec<Self> {
        done(self, receiver::Command::Lapse, at).into_iter().collect()
    }

    fn unseen(&self, at: Timestamp, given: Option<Answer>) -> Vec<Self> {
        let taken_over = match given {
            Some(Answer::Refused {
                stands: Stands::TakenOver { at },
            }) => done(self, receiver::Command::TakeOver, at).ok(),
            Some(Answer::Taken | Answer::Refused { .. }) | None => None,
        };
        let commands = [
            receiver::Command::Accept,
            receiver::Command::Refuse(RefusalReason::Other),
            receiver::Command::Dispute,
            receiver::Command::ReportImport { complete: true },
            receiver::Command::ReportImport { complete: false },
        ];
        let others = commands
            .into_iter()
            .filter_map(|command| done(self, command, at).ok());
        taken_over.into_iter().chain(others).collect()
    }

    fn state(&self) -> &'static str {
        Self::state(self).name()
    }
}

fn done(receiver: &Receiver, command: receiver::Command, at: Timestamp) -> Result<Receiver, Refusal> {
    let decision = receiver.decide(command, at)?;
    let mut after = receiver.clone();
    after.apply(&decision);
    Ok(after)
}
