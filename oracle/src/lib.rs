//! A second opinion on the transfers in evidence: who was responsible when, how it ended, and whether what is there can be true. And on
//! the requests of [`participation`] in it.
//!
//! *In scope:* the exchanges of a transfer as they stand in logs (path, body, signed answer), judged by the published contract
//! between nodes. *Out of scope:* signatures and logs, which are judged before; and every line of what it is compared with. This
//! crate depends on none of ours, runs no state machine, and knows no state: it holds rules over the set of what was said, such as
//! "whoever has answered that it will not take over, does not", and reads the times of both sides only on the clock of the side that
//! wrote them.
//!
//! It is for tests and campaigns. Where it and the replay of a node disagree, one of the two is wrong.

#![warn(missing_docs)]

mod facts;
mod verdict;
mod grammar;
mod rules;
pub mod participation;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::facts::Facts;

/// A message of a transfer as the log of either node has it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// The member that sent it, `INSTANCE/CLASS/CODE`.
    pub from: String,
    /// The member that was asked.
    pub to: String,
    /// Path below the service.
    pub path: String,
    /// The body of the request.
    pub body: Vec<u8>,
    /// The body of the answer, if it is known.
    pub answer: Option<Vec<u8>>,
}

/// A time in which one member was responsible.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Term {
    /// From when on.
    pub from: Timestamp,
    /// Until when; nothing as far as this evidence goes.
    pub until: Option<Timestamp>,
    /// The member.
    pub member: String,
}

/// How a transfer ended, as far as its evidence goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Ending {
    /// It has not, or what ended it is not there.
    Open,
    /// The receiver has its copy; nothing moved.
    Copied,
    /// The authorities disagree.
    Disputed,
    /// Nobody answered in time.
    Expired,
    /// It was called back, and the receiver will not take it over.
    Recalled,
    /// The receiver has signed that it will not take it over any more.
    Reclaimed,
    /// The receiver does not want it.
    Refused,
    /// The receiver has it: responsibility, or the work if only that was to move.
    TakenOver,
    /// The sender asked for it back and knows no answer.
    Unconfirmed,
    /// The sender took the offer back.
    Withdrawn,
}

impl Ending {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Copied => "COPIED",
            Self::Disputed => "DISPUTED",
            Self::Expired => "EXPIRED",
            Self::Recalled => "RECALLED",
            Self::Reclaimed => "RECLAIMED",
            Self::Refused => "REFUSED",
            Self::TakenOver => "TAKEN_OVER",
            Self::Unconfirmed => "UNCONFIRMED",
            Self::Withdrawn => "WITHDRAWN",
        }
    }
}

/// What the evidence of one transfer says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opinion {
    /// Which transfer.
    pub transfer: String,
    /// Who was responsible when; nothing where there is no offer.
    pub responsible: Vec<Term>,
    /// How it ended.
    pub ending: Ending,
    /// What cannot be true together.
    pub contradictions: Vec<String>,
    /// Messages that must have been there and are not.
    pub missing: Vec<String>,
    /// Messages whose signed answer is not there, as `PARTY/NUMBER/KIND`.
    pub unconfirmed: Vec<String>,
}

impl Opinion {
    /// Whether nothing contradicts anything, and no message is missing.
    pub fn is_sound(&self) -> bool {
        self.contradictions.is_empty() && self.missing.is_empty()
    }
}

/// An opinion on every transfer of which there is a message. Exchanges that are about something else are passed over.
pub fn opinions(exchanges: &[Exchange]) -> Vec<Opinion> {
    let mut transfers: BTreeMap<String, Facts> = BTreeMap::new();
    for exchange in exchanges {
        if let Some(place) = facts::Place::read(&exchange.path) {
            transfers
                .entry(place.transfer.clone())
                .or_default()
                .take(exchange, &place);
        }
    }
    transfers
        .into_iter()
        .map(|(transfer, mut facts)| {
            grammar::judge(&mut facts);
            rules::judge(&mut facts, &transfer);
            Opinion {
                responsible: verdict::terms(&facts),
                ending: verdict::ending(&facts),
                unconfirmed: facts.unconfirmed(),
                contradictions: facts.contradictions,
                missing: facts.missing,
                transfer,
            }
        })
        .collect()
}
