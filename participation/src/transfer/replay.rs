//! Who was responsible when, from the messages of a transfer and their receipts alone: what an auditor has in an evidence package.
//!
//! Both machines are run again over what was said, each on the clock of its own side: clocks differ, and messages cross. A message that
//! its sender could not have sent then, an answer that the other side could not have given: each is a contradiction, and told. So is
//! a number that is missing. Nothing here believes a state that somebody claims.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use self::side::{Heard, Own, Ran, Side};
use super::Moves;
use super::delivery::{Body, Party, Place, Receipt, Sent};
use super::message::Answer;
use super::offer::{Offer, Outcome};
use super::receiver::{self, Receiver};
use super::sender::{self, Sender};

mod side;
#[cfg(test)]
mod tests;
mod words;

/// A message as the log of either node has it.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The member that sent it, `INSTANCE/CLASS/CODE`.
    pub from: String,
    /// The member that was asked.
    pub to: String,
    /// Path below the service.
    pub path: String,
    /// The body of the request.
    pub body: Vec<u8>,
    /// The body of the answer, if it is there.
    pub answer: Option<Vec<u8>>,
}

/// A step of a transfer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// When it was said, by the clock of who said it.
    pub at: Timestamp,
    /// The member that said it.
    pub by: String,
    /// What was said.
    pub kind: String,
    /// The state of its sender after it.
    pub sender: &'static str,
    /// The state of its receiver after it.
    pub receiver: &'static str,
    /// Whether its receipt is there.
    pub receipt: bool,
}

/// A time in which one member was responsible.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Term {
    /// From when on.
    pub from: Timestamp,
    /// Until when; nothing as far as this evidence goes.
    pub until: Option<Timestamp>,
    /// The member.
    pub member: String,
}

/// The course of one transfer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Course {
    /// Which.
    pub transfer: String,
    /// The member that handed over.
    pub sender: String,
    /// The member that was to take over.
    pub receiver: String,
    /// What was said.
    pub steps: Vec<Step>,
    /// Who was responsible when; nothing where that cannot be said because messages are missing.
    pub responsible: Vec<Term>,
    /// How it ended.
    pub ending: Ending,
    /// What does not fit together.
    pub contradictions: Vec<String>,
    /// Messages that were sent and are not here.
    pub missing: Vec<String>,
}

/// How a transfer ended, as far as its evidence goes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Ending {
    /// It has not, or what ended it is not here.
    Open,
    /// The receiver has its copy; nothing moved.
    Copied,
    /// A supervisory authority has to decide.
    Disputed,
    /// Nobody answered in time.
    Expired,
    /// It was called back, and the receiver will not take it over.
    Recalled,
    /// The receiver has confirmed that it will not take it over any more.
    Reclaimed,
    /// The receiver did not take it.
    Refused,
    /// The receiver has it: responsibility, or the work if only that was to move.
    TakenOver,
    /// The sender asked for it back, and there is no answer.
    Unconfirmed,
    /// The sender took the offer back.
    Withdrawn,
}

struct Said {
    sent: Sent,
    by: String,
    receipt: Option<Receipt>,
}

impl Said {
    const fn is_void(&self) -> bool {
        matches!(self.sent.body, Body::Void { .. })
    }
}

/// Replays every transfer of which there are messages. Exchanges that are none of this contract are passed over.
pub fn replay(exchanges: &[Exchange]) -> Vec<Course> {
    let mut transfers: BTreeMap<String, Collected> = BTreeMap::new();
    for exchange in exchanges {
        let Some(Place::Message {
            transfer,
            party,
            seq,
            kind,
        }) = Place::read(&exchange.path)
        else {
            continue;
        };
        let id = transfer.to_string();
        let collected = transfers.entry(id).or_default();
        collected.take(exchange, party, seq, &kind);
    }
    transfers
        .into_iter()
        .map(|(id, collected)| collected.run(id))
        .collect()
}

#[derive(Default)]
struct Collected {
    said: BTreeMap<(Party, u32), Said>,
    parties: BTreeMap<Party, String>,
    contradictions: Vec<String>,
}

impl Collected {
    fn take(&mut self, exchange: &Exchange, party: Party, seq: u32, kind: &str) {
        for (party, member) in [(party, &exchange.from), (party.other(), &exchange.to)] {
            let known = self.parties.entry(party).or_insert_with(|| member.clone());
            if known != member {
                self.contradictions
                    .push(format!("the {} is {known} and {member}", party.name()));
            }
        }
        let sent = match Sent::read(&exchange.body, kind) {
            Ok(sent) => sent,
            Err(error) => {
                self.contradictions
                    .push(format!("message {seq} of the {}: {error}", party.name()));
                return;
            }
        };
        let receipt = exchange
            .answer
            .as_ref()
            .and_then(|answer| serde_json::from_slice::<Receipt>(answer).ok());
        let receipt = receipt.filter(|receipt| {
            let fits = receipt.message == exchange.path
                && receipt.sha256.0 == kontor_pki::crypto::sha256(&exchange.body);
            if !fits {
                self.contradictions.push(format!(
                    "the receipt of message {seq} of the {} is about another message",
                    party.name()
                ));
            }
            fits
        });
        match self.said.get_mut(&(party, seq)) {
            // It was sent again until it was answered; the bytes have to be the same.
            Some(before) if before.sent == sent => before.receipt = before.receipt.take().or(receipt),
            // One of the two was given up, and its number used for saying so.
            Some(before) if before.is_void() && receipt.is_none() => {}
            Some(before) if matches!(sent.body, Body::Void { .. }) && before.receipt.is_none() => {
                before.sent = sent;
                before.receipt = receipt;
            }
            Some(_) => {
                self.contradictions.push(format!(
                    "message {seq} of the {} stands there twice, with different words",
                    party.name()
                ));
            }
            None => {
                let said = Said {
                    sent,
                    by: exchange.from.clone(),
                    receipt,
                };
                self.said.insert((party, seq), said);
            }
        }
    }

    /// Numbers that were left out.
    fn gaps(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for party in [Party::Sender, Party::Receiver] {
            let mut next = 1;
            for (_, seq) in self.said.keys().filter(|(by, _)| *by == party) {
                for left_out in (next..*seq).take(GAPS) {
                    missing.push(format!("message {left_out} of the {}", party.name()));
                }
                next = seq.saturating_add(1);
            }
            if next == 1 && party == Party::Sender {
                missing.push("message 1 of the sender".to_owned());
            }
        }
        missing
    }

    /// Messages that bear an instant before that of what came before them, by the clock of the same side.
    fn out_of_time(&self) -> Vec<String> {
        let went_back = |newest: Option<Timestamp>, at| {
            newest.is_some_and(|newest| newest.duration_since(at) > STEP_BACK)
        };
        let heard_at = |said: &Said| said.receipt.as_ref().map(|receipt| receipt.received_at);
        let offer = self.said.get(&(Party::Sender, 1));
        let mut wrong = Vec::new();
        for by in [Party::Sender, Party::Receiver] {
            // The offer is what both begin with.
            let offered_at = offer.map(|offer| offer.sent.sent_at);
            let (mut newest_said, mut newest_heard) = match by {
                Party::Sender => (offered_at, None),
                Party::Receiver => (offer.and_then(heard_at), offered_at),
            };
            for ((_, seq), said) in self.said.iter().filter(|((of, _), _)| *of == by) {
                let (at, heard) = (said.sent.sent_at, heard_at(said));
                if went_back(newest_said, at) || heard.is_some_and(|at| went_back(newest_heard, at)) {
                    wrong.push(format!(
                        "message {seq} of the {} ({}): its instant is before that of what came before it",
                        by.name(),
                        said.sent.body.kind()
                    ));
                }
                newest_said = newest_said.max(Some(at));
                newest_heard = newest_heard.max(heard);
            }
        }
        wrong
    }

    fn run(mut self, transfer: String) -> Course {
        let name = |party| self.parties.get(&party).cloned().unwrap_or_default();
        let mut course = Course {
            transfer,
            sender: name(Party::Sender),
            receiver: name(Party::Receiver),
            steps: Vec::new(),
            responsible: Vec::new(),
            ending: Ending::Open,
            missing: self.gaps(),
            contradictions: std::mem::take(&mut self.contradictions),
        };
        let Some(first) = self.said.get(&(Party::Sender, 1)) else {
            return course;
        };
        let Body::Offer { offer } = &first.sent.body else {
            course
                .contradictions
                .push("the first message is no offer".to_owned());
            return course;
        };
        let (offer, offered_at) = (offer.clone(), first.sent.sent_at);
        let ran = Both::run(&self, &offer, offered_at);
        course.steps = ran.steps(&self);
        course.contradictions.extend(unlike(&offer, &course, &self));
        course.contradictions.extend(self.out_of_time());
        if !course.missing.is_empty() {
            // Who could have said what then hangs on what is not here.
            return course;
        }
        course.contradictions.extend(ran.contradictions());
        let from = match came_from_elsewhere(&offer, &course.sender) {
            true => offered_at,
            false => offer.first_received_at.min(offered_at),
        };
        let moved = ran
            .taken_over()
            .filter(|_| offer.situation.moves() == Moves::Responsibility);
        course.responsible.push(Term {
            from,
            until: moved,
            member: course.sender.clone(),
        });
        course.responsible.extend(moved.map(|from| Term {
            from,
            until: None,
            member: course.receiver.clone(),
        }));
        course.ending = ran.ending();
        course
    }
}

/// How far a clock may step back: a node whose clock is farther behind its own log takes no commands.
const STEP_BACK: SignedDuration = SignedDuration::from_secs(60);

/// Missing numbers that are named one by one.
const GAPS: usize = 8;

/// Whether the sender had it from another authority, so that it was not the first that was responsible.
fn came_from_elsewhere(offer: &Offer, sender: &str) -> bool {
    let took_it = |hop: &super::offer::Hop| hop.outcome == Outcome::TakenOver && hop.member == sender;
    offer.returns.is_some() || offer.hops.iter().any(took_it)
}

/// What is not about the application that was offered, or not in its time.
fn unlike(offer: &Offer, course: &Course, collected: &Collected) -> Vec<String> {
    let mut unlike = Vec::new();
    if offer.transfer_id.to_string() != course.transfer {
        unlike.push("the offer names another transfer than its path".to_owned());
    }
    if course.sender == course.receiver {
        unlike.push(format!("{} hands over to itself", course.sender));
    }
    let deadline = offer
        .running_deadlines
        .iter()
        .map(|running| running.ends_at)
        .min();
    for ((party, seq), said) in &collected.said {
        let mut wrong = |text: &str| {
            let kind = said.sent.body.kind();
            unlike.push(format!("message {seq} of the {} ({kind}): {text}", party.name()));
        };
        match &said.sent.body {
            Body::Package {
                take_over_until,
                bundle,
            } => {
                let octets = bundle.manifest_octets.saturating_add(offer.octets);
                if bundle.manifest != offer.manifest || bundle.octets != octets {
                    wrong("it is not the package that was offered");
                }
                if deadline.is_some_and(|deadline| *take_over_until >= deadline) {
                    wrong("the time to take over ends before the earliest deadline");
                }
            }
            Body::TakenOver { manifest, .. } if *manifest != offer.manifest => {
                wrong("what was taken over is not what was offered");
            }
            Body::Offer { .. }
            | Body::Withdraw
            | Body::Expire
            | Body::Accept { .. }
            | Body::Refuse { .. }
            | Body::Dispute { .. }
            | Body::ImportResult { .. }
            | Body::TakenOver { .. }
            | Body::Reclaim
            | Body::Recall { .. }
            | Body::RecallResult { .. }
            | Body::Query { .. }
            | Body::Answer { .. }
            | Body::LateItem { .. }
            | Body::Number { .. }
            | Body::Purged { .. }
            | Body::Void { .. } => {}
        }
    }
    unlike
}

/// Both sides, run again.
struct Both {
    sender: Ran<Sender>,
    receiver: Ran<Receiver>,
    /// How the offer was answered.
    offer: Option<Answer>,
}

impl Both {
    fn run(collected: &Collected, offer: &Offer, at: Timestamp) -> Self {
        let moves = offer.situation.moves();
        let mut sender = Sender::draft(moves);
        if let Ok(decision) = sender.decide(sender::Command::Offer(offer.clocks()), at) {
            sender.apply(&decision);
        }
        let answer = |said: &Said| {
            said.receipt
                .as_ref()
                .map(|receipt| (receipt.received_at, receipt.answer))
        };
        let said = |party: Party| {
            let of = collected.said.iter().filter(move |((by, _), _)| *by == party);
            // The offer is what both begin with.
            of.filter(|(number, _)| **number != (Party::Sender, 1))
        };
        let own = |party| {
            said(party)
                .map(|((_, seq), said)| Own {
                    seq: *seq,
                    kind: said.sent.body.kind(),
                    at: said.sent.sent_at,
                    message: said.sent.body.message(),
                    answer: answer(said).map(|(_, answer)| answer),
                })
                .collect()
        };
        let heard = |party| {
            said(party)
                .map(|((_, seq), said)| Heard {
                    seq: *seq,
                    kind: said.sent.body.kind(),
                    message: said.sent.body.message(),
                    receipt: answer(said),
                })
                .collect()
        };
        let side = |party: Party| Side {
            own: own(party),
            heard: heard(party.other()),
        };
        let first = collected.said.get(&(Party::Sender, 1));
        Self {
            sender: side(Party::Sender).run(sender),
            receiver: side(Party::Receiver).run(Receiver::offered(moves, offer.clocks())),
            offer: first.and_then(answer).map(|(_, answer)| answer),
        }
    }

    fn contradictions(&self) -> Vec<String> {
        let refused = self.offer.is_some_and(|answer| answer != Answer::Taken);
        let offer =
            refused.then(|| "message 1 of the sender (offer): nobody could have refused it".to_owned());
        let told = |party: Party, wrong: &[side::Wrong]| -> Vec<String> {
            let told = wrong.iter().map(|wrong| {
                let by = if wrong.own { party } else { party.other() };
                format!(
                    "message {} of the {} ({}): {}",
                    wrong.seq,
                    by.name(),
                    wrong.kind,
                    wrong.why
                )
            });
            told.collect()
        };
        let mut all: Vec<String> = offer.into_iter().collect();
        all.extend(told(Party::Sender, &self.sender.wrong));
        all.extend(told(Party::Receiver, &self.receiver.wrong));
        all
    }

    /// Since when the receiver has it: it has said so, or answered so.
    fn taken_over(&self) -> Option<Timestamp> {
        match (self.receiver.machine.state(), self.sender.machine.state()) {
            (receiver::State::TakenOver(at) | receiver::State::Closed(at), _)
            | (_, sender::State::TakenOver(at) | sender::State::Closed(at)) => Some(at),
            _ => None,
        }
    }

    fn ending(&self) -> Ending {
        use receiver::State as There;
        use sender::State as Here;
        let (here, there) = (self.sender.machine.state(), self.receiver.machine.state());
        // Of what the receiver has said outside of this evidence only its answers are known.
        let there = Some(there).filter(|_| !self.receiver.unseen);
        let here_unseen = self.sender.unseen;
        match (here, there) {
            (Here::Withdrawn, _) if !here_unseen => Ending::Withdrawn,
            (Here::Expired, _) if !here_unseen => Ending::Expired,
            _ if self.taken_over().is_some() => Ending::TakenOver,
            (Here::Copied, _) | (_, Some(There::Copied)) => Ending::Copied,
            (Here::Recalled { .. }, _) | (_, Some(There::Recalled { purged: Some(_) })) => Ending::Recalled,
            (Here::Refused(_), _) | (_, Some(There::Refused(_))) => Ending::Refused,
            (Here::Disputed, _) | (_, Some(There::Disputed)) => Ending::Disputed,
            (Here::Reclaimed, _) => Ending::Reclaimed,
            (Here::Reclaiming | Here::Recalling | Here::Unconfirmed(_), _) => Ending::Unconfirmed,
            (
                Here::Draft
                | Here::Offered
                | Here::Accepted
                | Here::PackageSent
                | Here::Imported
                | Here::TakenOver(_)
                | Here::Closed(_)
                | Here::Withdrawn
                | Here::Expired,
                _,
            ) => Ending::Open,
        }
    }

    /// The steps in the order of the instants at which they were said, with the states of both sides after each.
    fn steps(&self, collected: &Collected) -> Vec<Step> {
        let of = |party| collected.said.iter().filter(move |((by, _), _)| *by == party);
        let (mut sent, mut received) = (of(Party::Sender).peekable(), of(Party::Receiver).peekable());
        let (mut sender, mut receiver) = (sender::State::Offered.name(), receiver::State::Offered.name());
        // How many of each side's messages after the offer were shown.
        let (mut by_sender, mut by_receiver) = (0, 0);
        let mut steps = Vec::new();
        loop {
            let sender_first = match (sent.peek(), received.peek()) {
                (Some((_, ours)), Some((_, theirs))) => ours.sent.sent_at <= theirs.sent.sent_at,
                (ours, _) => ours.is_some(),
            };
            let next = if sender_first {
                sent.next()
            } else {
                received.next()
            };
            let Some(((party, seq), said)) = next else {
                return steps;
            };
            match party {
                // What both begin with.
                Party::Sender if *seq == 1 => {}
                Party::Sender => {
                    sender = self.sender.after_own[by_sender];
                    receiver = self.receiver.after_heard[by_sender].unwrap_or(receiver);
                    by_sender += 1;
                }
                Party::Receiver => {
                    receiver = self.receiver.after_own[by_receiver];
                    sender = self.sender.after_heard[by_receiver].unwrap_or(sender);
                    by_receiver += 1;
                }
            }
            steps.push(Step {
                at: said.sent.sent_at,
                by: said.by.clone(),
                kind: said.sent.body.kind().to_owned(),
                sender,
                receiver,
                receipt: said.receipt.is_some(),
            });
        }
    }
}
