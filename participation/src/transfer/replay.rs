//! Who was responsible when, from the messages of a transfer and their receipts alone: what an auditor has in an evidence package.
//!
//! Both machines are run again over what was said. A message that its sender could not have sent then, an answer that the other side
//! could not have given, a number that is missing: each is a contradiction, and told. Nothing here believes a state that somebody
//! claims.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use kontor_protocol::package::cover::Language;
use serde::Serialize;

use super::delivery::{Body, Party, Place, Receipt, Sent};
use super::message::{Answer, Message};
use super::offer::Offer;
use super::receiver::{self, Receiver};
use super::sender::{self, Sender};

#[cfg(test)]
mod tests;

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
    /// Who was responsible when.
    pub responsible: Vec<Term>,
    /// What does not fit together.
    pub contradictions: Vec<String>,
}

struct Said {
    sent: Sent,
    by: String,
    receipt: Option<Receipt>,
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
        .filter_map(|(id, collected)| collected.run(id))
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
            Some(before) if before.sent != sent => {
                self.contradictions.push(format!(
                    "message {seq} of the {} stands there twice, with different words",
                    party.name()
                ));
            }
            Some(before) => before.receipt = before.receipt.take().or(receipt),
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

    fn run(mut self, transfer: String) -> Option<Course> {
        let name = |party| self.parties.get(&party).cloned().unwrap_or_default();
        let mut course = Course {
            transfer,
            sender: name(Party::Sender),
            receiver: name(Party::Receiver),
            steps: Vec::new(),
            responsible: Vec::new(),
            contradictions: std::mem::take(&mut self.contradictions),
        };
        for party in [Party::Sender, Party::Receiver] {
            let seqs = self
                .said
                .keys()
                .filter(|(by, _)| *by == party)
                .map(|(_, seq)| *seq);
            for (at, seq) in (1..).zip(seqs) {
                if at != seq {
                    course
                        .contradictions
                        .push(format!("message {at} of the {} is missing", party.name()));
                    break;
                }
            }
        }
        let first = self.said.remove(&(Party::Sender, 1))?;
        let Body::Offer { offer } = &first.sent.body else {
            course
                .contradictions
                .push("the first message is no offer".to_owned());
            return Some(course);
        };
        let mut both = Both::offered(offer, first.sent.sent_at);
        course.responsible.push(Term {
            from: offer.first_received_at.min(first.sent.sent_at),
            until: None,
            member: course.sender.clone(),
        });
        course.steps.push(both.step(&first));
        let mut rest: Vec<((Party, u32), Said)> = self.said.into_iter().collect();
        // In the order of each side, and by the clocks between them.
        rest.sort_by_key(|((_, seq), said)| (said.sent.sent_at, *seq));
        for ((party, seq), said) in rest {
            both.follow(party, seq, &said, &mut course);
        }
        if let Some(at) = both.taken_over
            && let Some(term) = course.responsible.last_mut()
        {
            term.until = Some(at);
            let member = course.receiver.clone();
            course.responsible.push(Term {
                from: at,
                until: None,
                member,
            });
        }
        Some(course)
    }
}

/// Both sides while they are run again.
struct Both {
    sender: Sender,
    receiver: Receiver,
    moves: bool,
    taken_over: Option<Timestamp>,
}

impl Both {
    fn offered(offer: &Offer, at: Timestamp) -> Self {
        let moves = offer.situation.moves();
        let mut sender = Sender::draft(moves);
        if let Ok(decision) = sender.decide(sender::Command::Offer(offer.clocks()), at) {
            sender.apply(&decision);
        }
        Self {
            sender,
            receiver: Receiver::offered(moves, offer.clocks()),
            moves: moves == super::Moves::Responsibility,
            taken_over: None,
        }
    }

    fn step(&self, said: &Said) -> Step {
        Step {
            at: said.sent.sent_at,
            by: said.by.clone(),
            kind: said.sent.body.kind().to_owned(),
            sender: self.sender.state().name(),
            receiver: self.receiver.state().name(),
            receipt: said.receipt.is_some(),
        }
    }

    fn follow(&mut self, party: Party, seq: u32, said: &Said, course: &mut Course) {
        let mut wrong = |text: String| {
            course.contradictions.push(format!(
                "message {seq} of the {} ({}): {text}",
                party.name(),
                said.sent.body.kind()
            ));
        };
        let Some(message) = said.sent.body.message() else {
            course.steps.push(self.step(said));
            return;
        };
        let at = said.sent.sent_at;
        let answer = match party {
            Party::Sender => {
                if let Err(text) = self.sender_said(message, at) {
                    wrong(text);
                }
                let (decision, answer) = self.receiver.receive(message);
                if let Some(decision) = decision {
                    self.receiver.apply(&decision);
                }
                let given = said.receipt.as_ref().map_or(answer, |receipt| receipt.answer);
                if let Some(decision) = self.sender.answered(message, given) {
                    self.sender.apply(&decision);
                }
                answer
            }
            Party::Receiver => {
                if let Err(text) = self.receiver_said(message, at) {
                    wrong(text);
                }
                let (decision, answer) = self.sender.receive(message);
                if let Some(decision) = decision {
                    self.sender.apply(&decision);
                }
                // What its sender notes by itself.
                if let Ok(decision) = self.sender.decide(sender::Command::Close, at) {
                    self.sender.apply(&decision);
                }
                let given = said.receipt.as_ref().map_or(answer, |receipt| receipt.answer);
                if let Some(decision) = self.receiver.answered(message, given) {
                    self.receiver.apply(&decision);
                }
                answer
            }
        };
        if let Some(receipt) = &said.receipt
            && std::mem::discriminant(&receipt.answer) != std::mem::discriminant(&answer)
        {
            let words = |answer: &Answer| match answer {
                Answer::Taken => "taken",
                Answer::Refused { .. } => "refused",
            };
            wrong(format!(
                "it was answered with {}, and {} is what follows",
                words(&receipt.answer),
                words(&answer)
            ));
        }
        if let Message::TakenOver { at } = message
            && self.moves
        {
            self.taken_over = Some(at);
        }
        course.steps.push(self.step(said));
    }

    /// What the sender decided when it said that.
    fn sender_said(&mut self, message: Message, at: Timestamp) -> Result<(), String> {
        let command = match message {
            Message::Withdraw => sender::Command::Withdraw,
            Message::Expire => sender::Command::Expire,
            Message::Package { take_over_until } => sender::Command::SendPackage { take_over_until },
            Message::Reclaim => sender::Command::Reclaim,
            Message::Recall => sender::Command::Recall,
            Message::Answer => sender::Command::Answer,
            Message::LateItem => sender::Command::SendLateItem,
            Message::Purged => sender::Command::Purge,
            Message::Offer(_)
            | Message::Accept
            | Message::Refuse { .. }
            | Message::Dispute
            | Message::ImportResult { .. }
            | Message::TakenOver { .. }
            | Message::RecallResult { .. }
            | Message::Query
            | Message::Number => return Err("it is not for the sender to say".to_owned()),
        };
        let decision = self
            .sender
            .decide(command, at)
            .map_err(|refusal| refusal.to_string())?;
        self.sender.apply(&decision);
        Ok(())
    }

    fn receiver_said(&mut self, message: Message, at: Timestamp) -> Result<(), String> {
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
        let decision = self
            .receiver
            .decide(command, at)
            .map_err(|refusal| refusal.to_string())?;
        self.receiver.apply(&decision);
        Ok(())
    }
}

impl Course {
    /// The course in words.
    pub fn in_words(&self, language: Language) -> String {
        let german = matches!(language, Language::German);
        let mut text = match german {
            true => format!(
                "Übergabe {} von {} an {}\n",
                self.transfer, self.sender, self.receiver
            ),
            false => format!(
                "Transfer {} from {} to {}\n",
                self.transfer, self.sender, self.receiver
            ),
        };
        for step in &self.steps {
            let receipt = match (step.receipt, german) {
                (true, true) => "mit Empfangsbestätigung",
                (true, false) => "with its receipt",
                (false, true) => "OHNE Empfangsbestätigung",
                (false, false) => "WITHOUT its receipt",
            };
            let _ = writeln!(text, "  {}  {:<14} {} ({receipt})", step.at, step.kind, step.by);
        }
        for term in &self.responsible {
            let until = term.until.map(|until| until.to_string());
            let _ = match (german, until) {
                (true, Some(until)) => writeln!(
                    text,
                    "  Zuständig war {} vom {} bis {until}",
                    term.member, term.from
                ),
                (true, None) => writeln!(text, "  Zuständig ist {} seit {}", term.member, term.from),
                (false, Some(until)) => writeln!(
                    text,
                    "  {} was responsible from {} until {until}",
                    term.member, term.from
                ),
                (false, None) => writeln!(text, "  {} is responsible since {}", term.member, term.from),
            };
        }
        for contradiction in &self.contradictions {
            let _ = match german {
                true => writeln!(text, "  WIDERSPRUCH: {contradiction}"),
                false => writeln!(text, "  CONTRADICTION: {contradiction}"),
            };
        }
        text
    }
}
