//! Messages and receipts of one request, as they lie in a package: each once, and each receipt with its message.
//!
//! Owns who the parties are, what is missing, and whether both sides put what is there into one order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kontor_pki::crypto::sha256;

use crate::round::delivery::{Body, Receipt, Sent, Side};
use crate::transfer::replay::Exchange;

/// Missing numbers that are named one by one.
const GAPS: usize = 8;
/// How far a clock may step back: a node whose clock is farther behind its own log takes no commands.
const STEP_BACK: SignedDuration = SignedDuration::from_secs(60);

/// A message with its receipt.
pub(super) struct Said {
    pub(super) sent: Sent,
    pub(super) by: String,
    pub(super) to: String,
    pub(super) receipt: Option<Receipt>,
    /// What was sent with this number before it was given up.
    pub(super) given_up: Option<Sent>,
    digest: [u8; 32],
}

impl Said {
    const fn is_void(&self) -> bool {
        matches!(self.sent.body, Body::Void { .. })
    }
}

/// What was pulled of a bundle.
#[derive(Default)]
pub(super) struct Pulled {
    pub(super) parts: BTreeSet<u64>,
    pub(super) first: Option<Vec<u8>>,
    pub(super) by: BTreeSet<String>,
}

/// What there is of a request.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) said: BTreeMap<(Side, u32), Said>,
    pub(super) pulled: BTreeMap<(Side, u32), Pulled>,
    pub(super) contradictions: Vec<String>,
}

const SIDES: [Side; 2] = [Side::Requester, Side::Participant];

impl Collected {
    pub(super) fn take(&mut self, exchange: &Exchange, side: Side, seq: u32, kind: &str) {
        let what = format!("message {seq} of the {}", side.name());
        let sent = match Sent::read(&exchange.body, kind) {
            Ok(sent) => sent,
            Err(error) => {
                self.contradictions.push(format!("{what}: {error}"));
                return;
            }
        };
        if sent.body.side().is_some_and(|by| by != side) {
            self.contradictions.push(format!(
                "{what} ({kind}): it is not for the {} to say",
                side.name()
            ));
        }
        let digest = sha256(&exchange.body);
        let receipt = exchange
            .answer
            .as_ref()
            .and_then(|answer| serde_json::from_slice::<Receipt>(answer).ok());
        let receipt = receipt.filter(|receipt| {
            let fits = receipt.message == exchange.path && receipt.sha256.0 == digest;
            if !fits {
                self.contradictions
                    .push(format!("the receipt of {what} is about another message"));
            }
            fits
        });
        let said = Said {
            sent,
            by: exchange.from.clone(),
            to: exchange.to.clone(),
            receipt,
            given_up: None,
            digest,
        };
        let Some(before) = self.said.get_mut(&(side, seq)) else {
            self.said.insert((side, seq), said);
            return;
        };
        if before.digest == said.digest && before.sent == said.sent {
            // It was sent again until it was answered, and then it gets the answer that was given.
            let answered = |receipt: &Receipt| (receipt.received_at, receipt.answer);
            let (one, other) = (
                before.receipt.as_ref().map(answered),
                said.receipt.as_ref().map(answered),
            );
            if one.is_some() && other.is_some() && one != other {
                self.contradictions
                    .push(format!("{what} has two different receipts"));
            }
            before.receipt = before.receipt.take().or(said.receipt);
            return;
        }
        // One of the two was given up, and its number used for saying so, unless it had been taken.
        let one_was_given_up = before.is_void() != said.is_void();
        match (one_was_given_up, &before.receipt, &said.receipt) {
            (true, None, None) if said.is_void() => {
                let given_up = std::mem::replace(before, said);
                before.given_up = Some(given_up.sent);
            }
            (true, None, Some(_)) => {
                let given_up = std::mem::replace(before, said);
                before.given_up = Some(given_up.sent);
            }
            (true, _, None) => before.given_up = Some(said.sent),
            _ => self
                .contradictions
                .push(format!("{what} stands there twice, with different words")),
        }
    }

    fn of(&self, side: Side) -> impl DoubleEndedIterator<Item = (u32, &Said)> {
        self.said
            .range((side, 0)..=(side, u32::MAX))
            .map(|((_, seq), said)| (*seq, said))
    }

    /// Who asked, one after the other: the role goes over with a message that says so. And who was asked. What does not fit is told.
    pub(super) fn parties(&mut self) -> (Vec<String>, String) {
        let mut requesters: Vec<String> = Vec::new();
        let (mut next, mut before) = (None, 0);
        let mut wrong = Vec::new();
        for (seq, said) in self.of(Side::Requester) {
            let expected = next.take().or_else(|| requesters.last().cloned());
            // What is missing in between may have said that it goes over.
            let is_told = seq != before + 1 || expected.as_ref().is_none_or(|expected| *expected == said.by);
            if !is_told {
                let expected = expected.unwrap_or_default();
                wrong.push(format!("the requester is {expected} and {}", said.by));
            }
            if requesters.last() != Some(&said.by) {
                requesters.push(said.by.clone());
            }
            if let Body::Moved { to, .. } = &said.sent.body {
                next = Some(to.clone());
            }
            before = seq;
        }
        requesters.extend(next);
        let to_requester: Vec<String> = self
            .of(Side::Participant)
            .map(|(_, said)| said.to.clone())
            .collect();
        for to in to_requester {
            if requesters.is_empty() {
                requesters.push(to);
            } else if !requesters.contains(&to) {
                wrong.push(format!("the requester is {} and {to}", requesters[0]));
            }
        }
        let asked = self.of(Side::Requester).map(|(_, said)| &said.to);
        let answering = self.of(Side::Participant).map(|(_, said)| &said.by);
        let mut participant: Option<&String> = None;
        for member in asked.chain(answering) {
            match participant {
                Some(known) if known != member => {
                    wrong.push(format!("the participant is {known} and {member}"));
                }
                _ => participant = Some(member),
            }
        }
        let participant = participant.cloned().unwrap_or_default();
        self.contradictions.extend(wrong);
        (requesters, participant)
    }

    /// How many messages of a side there were, by what the two have signed of it: what the other one says to have taken, and how many
    /// the requester says to have decided, whose order it is.
    fn known_of(&self, side: Side) -> u32 {
        let taken = self.of(side.other()).map(|(_, said)| said.sent.heard);
        let decided = self
            .of(Side::Participant)
            .filter(|_| side == Side::Requester)
            .filter_map(|(_, said)| said.receipt.as_ref())
            .map(|receipt| receipt.answer.after);
        taken.chain(decided).max().unwrap_or_default()
    }

    /// Messages that were sent and are not here, and receipts that there must be: one message is under way at a time, and so each but
    /// the last was answered.
    pub(super) fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for side in SIDES {
            let known = self.known_of(side);
            let last = self.of(side).next_back().map(|(seq, _)| seq);
            let (mut next, mut named) = (1, 0);
            let until = |said: u32, next: u32, named: &mut usize, missing: &mut Vec<String>| {
                for left_out in (next..said).take(GAPS.saturating_sub(*named)) {
                    missing.push(format!("message {left_out} of the {}", side.name()));
                    *named += 1;
                }
            };
            for (seq, said) in self.of(side) {
                until(seq, next, &mut named, &mut missing);
                next = seq.saturating_add(1);
                if said.receipt.is_none() && last.is_some_and(|last| seq < last) {
                    let kind = said.sent.body.kind();
                    missing.push(format!(
                        "the receipt of message {seq} of the {} ({kind})",
                        side.name()
                    ));
                }
            }
            let known = match side {
                // There was one, or nobody could have said anything.
                Side::Requester => known.max(1),
                Side::Participant => known,
            };
            until(known.saturating_add(1), next, &mut named, &mut missing);
        }
        missing
    }

    /// Everything in the requester's order. To be asked only where nothing is missing.
    pub(super) fn order(&self) -> Vec<(Side, u32)> {
        let mut order: Vec<(u32, Side, u32)> = self
            .of(Side::Requester)
            .map(|(seq, _)| (seq, Side::Requester, seq))
            .collect();
        let requester_said = order.len();
        for (seq, said) in self.of(Side::Participant) {
            let after = match &said.receipt {
                Some(receipt) => receipt.answer.after,
                // What has no receipt has its place where the requester says that it had taken it.
                None => {
                    let before = self
                        .of(Side::Requester)
                        .filter(|(_, said)| said.sent.heard < seq)
                        .count();
                    u32::try_from(before.min(requester_said)).unwrap_or(u32::MAX)
                }
            };
            order.push((after, Side::Participant, seq));
        }
        // A message of the requester stands before what was taken after it.
        order.sort_by_key(|(place, side, seq)| (*place, *side == Side::Participant, *seq));
        order.into_iter().map(|(_, side, seq)| (side, seq)).collect()
    }

    /// Where a side puts itself into two orders: each of its messages says how many of the other side's it had taken before, and each
    /// of its answers how many of its own it had decided before.
    pub(super) fn two_orders(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for side in SIDES {
            let decided_before: Vec<u32> = self
                .of(side.other())
                .map_while(|(_, said)| said.receipt.as_ref().map(|receipt| receipt.answer.after))
                .collect();
            let unanswered = decided_before.len() < self.of(side.other()).count();
            if !decided_before.is_sorted() {
                wrong.push(format!(
                    "the {} has answered as if it had unsaid something",
                    side.name()
                ));
            }
            for (seq, said) in self.of(side) {
                let taken = decided_before.iter().filter(|after| **after < seq).count();
                let heard = usize::try_from(said.sent.heard).unwrap_or(usize::MAX);
                // Whether one without a receipt had been taken is not known.
                let perhaps = unanswered && taken == decided_before.len() && heard == taken + 1;
                if heard != taken && !perhaps {
                    wrong.push(format!(
                        "message {seq} of the {} ({}): it says that {heard} messages had been taken before, and by the receipts it \
                         were {taken}",
                        side.name(),
                        said.sent.body.kind()
                    ));
                }
            }
        }
        wrong
    }

    /// What bears an instant before that of what came before it, by the clock of the same side.
    pub(super) fn out_of_time(&self) -> Vec<String> {
        let went_back = |newest: Option<Timestamp>, at: Timestamp| {
            newest.is_some_and(|newest| newest.duration_since(at) > STEP_BACK)
        };
        let mut wrong = Vec::new();
        for side in SIDES {
            let received: Vec<Option<Timestamp>> = self
                .of(side.other())
                .map(|(_, said)| said.receipt.as_ref().map(|receipt| receipt.received_at))
                .collect();
            let mut newest = None;
            for (place, at) in received.iter().enumerate() {
                if at.is_some_and(|at| went_back(newest, at)) {
                    wrong.push(format!(
                        "message {} of the {}: it was received before what came before it",
                        place + 1,
                        side.other().name()
                    ));
                }
                newest = newest.max(*at);
            }
            let mut newest = None;
            for (seq, said) in self.of(side) {
                let heard = usize::try_from(said.sent.heard).unwrap_or(usize::MAX);
                let taken = received.iter().take(heard).flatten().max();
                if went_back(newest.max(taken.copied()), said.sent.sent_at) {
                    wrong.push(format!(
                        "message {seq} of the {} ({}): its instant is before that of what came before it",
                        side.name(),
                        said.sent.body.kind()
                    ));
                }
                newest = newest.max(Some(said.sent.sent_at));
            }
        }
        wrong
    }
}
