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
    /// Sender: it was not taken over in time; what is its state?
    Reclaim,
    /// Sender: it should not have gone there; it is not to be taken over, and what lies there is to be deleted.
    Recall,
    /// Receiver: whether what was recalled is deleted. A person decides; nobody can be forced.
    RecallResult {
        /// Whether nothing of it is left.
        purged: bool,
    },
    /// Receiver: one question before deciding.
    Query,
    /// Sender: the answer to it.
    Answer,
    /// Sender: something came for the application after the copy was frozen.
    LateItem,
    /// Receiver: the number that the application has with it.
    Number,
    /// Sender: the content is deleted; the receipts stay.
    Purged,
}

impl Message {
    /// Its kind, as it stands in the path of a delivery.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::Offer(_) => "offer",
            Self::Withdraw => "withdraw",
            Self::Expire => "expire",
            Self::Accept => "accept",
            Self::Refuse { .. } => "refuse",
            Self::Dispute => "dispute",
            Self::Package { .. } => "package",
            Self::ImportResult { .. } => "import-result",
            Self::TakenOver { .. } => "taken-over",
            Self::Reclaim => "reclaim",
            Self::Recall => "recall",
            Self::RecallResult { .. } => "recall-result",
            Self::Query => "query",
            Self::Answer => "answer",
            Self::LateItem => "late-item",
            Self::Number => "number",
            Self::Purged => "purged",
        }
    }
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
