//! What the two sides of a transfer tell each other, and what a signed answer says.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RefusalReason;

/// The clocks of a transfer, fixed by the sender.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Clocks {
    /// Until when the offer is to be answered; then it may be ended.
    pub answer_wanted_by: Timestamp,
    /// Until when it can be taken over; always before the earliest running deadline. The package fixes it anew, so that what the
    /// offer says ends a transfer whose package never comes.
    pub take_over_until: Timestamp,
}

/// A message, as far as it changes a state. What else it carries is of no concern to the machines.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Message {
    /// Sender: an application without names or content.
    Offer(Clocks),
    /// Sender: the offer is taken back.
    Withdraw,
    /// Sender: nobody answered in time.
    Expire,
    /// Receiver: a person confirms competence.
    Accept,
    /// Receiver: not ours.
    Refuse {
        /// Why.
        reason: RefusalReason,
    },
    /// Receiver: the authorities disagree; a supervisory authority decides (§ 3 Abs. 2 VwVfG).
    Dispute,
    /// Sender: the package is ready to be pulled.
    Package {
        /// Until when it can be taken over.
        take_over_until: Timestamp,
    },
    /// Receiver: how the import went.
    ImportResult {
        /// Whether everything is there.
        complete: bool,
    },
    /// Receiver: from this instant on it is responsible.
    TakenOver {
        /// By the receiver's clock, not before its newest entry.
        at: Timestamp,
    },
    /// Sender: it has recorded that.
    Closed,
    /// Sender: it was not taken over in time; what is its state?
    Reclaim,
}

/// What the other side answers, signed, after it has committed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// It is recorded.
    Taken,
    /// It does not fit the state, which is told.
    Refused {
        /// How the transfer stands with who answers.
        stands: Stands,
    },
}

/// How a transfer stands, as far as the other side needs to know.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "stands")]
pub enum Stands {
    /// It goes on.
    Open,
    /// The sender has it back: withdrawn, expired, refused or reclaimed.
    Ended,
    /// The receiver took it over.
    TakenOver {
        /// When.
        at: Timestamp,
    },
}
