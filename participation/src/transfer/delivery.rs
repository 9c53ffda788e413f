//! The contract between two nodes: one path for each kind of message, a number without gaps for each sender, and signed answers that
//! are the receipts.
//!
//! ```text
//! PUT /v1/transfers/{transfer id}/{party}/{number}/{kind}      a message of that party; numbers begin with 1
//! GET /v1/packages/{transfer id}/{part}                        a part of the package, parts begin with 0
//! GET /v1/late-items/{transfer id}/{item}/{part}               a part of a late item; the item is its message's number
//! ```
//!
//! Content travels below paths of its own, so that a log can choose what it keeps before it has read a body.
//!
//! The same number with the same bytes gets the same answer again; with other bytes, or a number too far on, a conflict that says
//! which number is expected. Every signed answer settles its message. What the bodies say is in `body`; they hold codes, numbers,
//! instants and digests, and words only where a person has confirmed that they tell nothing of the applicant.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Answer, Stands};
use super::offer::Id;
use crate::application::manifest::Digest;

mod body;
#[cfg(test)]
mod tests;

pub use self::body::{
    AnswerCode, Body, Bundle, Deleted, FileResult, ImportedFile, PurgeStatement, QuestionCode, RecallReason,
    Sent, Words,
};

/// What every body says of the contract that it follows.
pub const CONTRACT: &str = "kontor-transfer/1";
/// Major version of the contract, as it stands in paths.
pub const VERSION: &str = "v1";
/// Octets of a message.
pub const MAX_OCTETS: usize = 1024 * 1024;
/// Characters of words that a person wrote.
pub const MAX_WORDS: usize = 2000;
/// Characters of a case number.
pub const MAX_NUMBER: usize = 64;

/// Who sends a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Who hands over.
    Sender,
    /// Who takes over.
    Receiver,
}

impl Party {
    /// Its name in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A message.
    Message {
        /// Of which transfer.
        transfer: Id,
        /// Whose.
        party: Party,
        /// Its number.
        seq: u32,
        /// Its kind, as it is named; what is not known here is refused by name.
        kind: String,
    },
    /// A part of the package.
    Package {
        /// Of which transfer.
        transfer: Id,
        /// Which.
        part: u64,
    },
    /// A part of a late item.
    Late {
        /// Of which transfer.
        transfer: Id,
        /// Number of the message that announced it.
        item: u32,
        /// Which.
        part: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message {
                transfer,
                party,
                seq,
                kind,
            } => write!(f, "/{VERSION}/transfers/{transfer}/{}/{seq}/{kind}", party.name()),
            Self::Package { transfer, part } => write!(f, "/{VERSION}/packages/{transfer}/{part}"),
            Self::Late { transfer, item, part } => {
                write!(f, "/{VERSION}/late-items/{transfer}/{item}/{part}")
            }
        }
    }
}

/// A number as it stands in a path: one way to write each.
fn number<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}

impl Place {
    /// Reads a path.
    pub fn read(path: &str) -> Option<Self> {
        let rest = path.strip_prefix('/')?.strip_prefix(VERSION)?.strip_prefix('/')?;
        let pieces: Vec<&str> = rest.split('/').collect();
        let id = |text: &str| Id::try_from(text.to_owned()).ok();
        match pieces[..] {
            ["packages", transfer, part] => Some(Self::Package {
                transfer: id(transfer)?,
                part: number(part)?,
            }),
            ["late-items", transfer, item, part] => Some(Self::Late {
                transfer: id(transfer)?,
                item: number(item)?,
                part: number(part)?,
            }),
            ["transfers", transfer, party, seq, kind] => Some(Self::Message {
                transfer: id(transfer)?,
                party: match party {
                    "sender" => Party::Sender,
                    "receiver" => Party::Receiver,
                    _ => return None,
                },
                seq: number(seq).filter(|seq| *seq > 0)?,
                kind: kind.to_owned(),
            }),
            _ => None,
        }
    }
}

/// Where an entry stands in the log of the node that answers, if it is one of ours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogPlace {
    /// The log, by its server.
    pub log: String,
    /// Number of the entry.
    pub number: u64,
    /// Its leaf hash.
    pub leaf: Digest<32>,
}

/// The signed answer to a message: its receipt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// [`CONTRACT`].
    pub contract: String,
    /// The path of the message.
    pub message: String,
    /// SHA-256 of its body.
    pub sha256: Digest<32>,
    /// `x-road-id` of the exchange that brought it first.
    pub x_road_id: String,
    /// `x-road-request-id` of it.
    pub x_road_request_id: String,
    /// The clock of who answers.
    pub received_at: Timestamp,
    /// What follows.
    #[serde(flatten)]
    pub answer: Answer,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<LogPlace>,
}

impl Receipt {
    /// How the transfer stands with who answers, if that was said.
    pub const fn stands(&self) -> Option<Stands> {
        match self.answer {
            Answer::Taken => None,
            Answer::Refused { stands } => Some(stands),
        }
    }
}
