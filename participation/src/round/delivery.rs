//! The contract of participation between two nodes: as that of transfers, with paths of its own.
//!
//! ```text
//! PUT /v1/requests/{request}/{party}/{number}/{kind}       a message of that party, requester or participant; numbers begin with 1
//! GET /v1/bundles/{request}/{party}/{number}/{part}        a part of what that message announces; parts begin with 0
//! ```
//!
//! Bodies hold codes, numbers, instants and digests. Whatever people wrote or disclose travels in bundles, which the other side
//! pulls: a manifest, and the files that it names, one after the other. The request's bundle begins with the sheet
//! ([`super::disclosure::sheet`]), a statement's with the statement, the others with their text. So a log can choose by service and
//! path what it keeps.
//!
//! Every signed answer settles its message. The delivery, the receipt of a statement and whether it is in time are answers.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::Answer;
use super::requester::ProofLevel;
use crate::application::manifest::Digest;
use crate::transfer::delivery::LogPlace;
use crate::transfer::offer::Id;

mod body;
mod coded;
mod sent;
#[cfg(test)]
mod tests;

pub use self::body::{Body, RequestBody};
pub use self::coded::{CancelReason, ExtensionReason, RevokeReason, WithdrawReason};
pub use self::sent::Sent;

/// What every body says of the contract that it follows.
pub const CONTRACT: &str = "kontor-participation/1";
/// Major version of the contract, as it stands in paths.
pub const VERSION: &str = "v1";
/// Octets of a message.
pub const MAX_OCTETS: usize = 1024 * 1024;
/// Files that one message takes back, or says to have been downloaded.
pub const MAX_FILES: usize = 10_000;

/// Who sends a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Who is asked; a guest's messages are entered by its host.
    Participant,
    /// Who asks.
    Requester,
}

impl Side {
    /// Its name in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Participant => "participant",
            Self::Requester => "requester",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Participant => Self::Requester,
            Self::Requester => Self::Participant,
        }
    }

    fn read(name: &str) -> Option<Self> {
        [Self::Participant, Self::Requester]
            .into_iter()
            .find(|side| side.name() == name)
    }
}

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A message.
    Message {
        /// Of which request.
        request: Id,
        /// Whose.
        side: Side,
        /// Its number.
        seq: u32,
        /// Its kind, as it is named; what is not known here is refused by name.
        kind: String,
    },
    /// A part of a bundle.
    Part {
        /// Of which request.
        request: Id,
        /// Whose message announced it.
        side: Side,
        /// The number of that message.
        seq: u32,
        /// Which.
        part: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message {
                request,
                side,
                seq,
                kind,
            } => write!(f, "/{VERSION}/requests/{request}/{}/{seq}/{kind}", side.name()),
            Self::Part {
                request,
                side,
                seq,
                part,
            } => write!(f, "/{VERSION}/bundles/{request}/{}/{seq}/{part}", side.name()),
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
        let [what, request, side, seq, last] = pieces[..] else {
            return None;
        };
        let request = Id::try_from(request.to_owned()).ok()?;
        let side = Side::read(side)?;
        let seq = number(seq).filter(|seq| *seq > 0)?;
        match what {
            "requests" => Some(Self::Message {
                request,
                side,
                seq,
                kind: last.to_owned(),
            }),
            "bundles" => Some(Self::Part {
                request,
                side,
                seq,
                part: number(last)?,
            }),
            _ => None,
        }
    }
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
    /// How strong a proof this is at most: a guest's is not a node's.
    pub proof_level: ProofLevel,
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
