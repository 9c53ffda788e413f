//! What the two sides of a request tell each other, and what a signed answer says, as far as it changes anything.
//!
//! The requester's order is the order of the request. Each message says how many of the other side's messages its sender had taken
//! when it decided, and each answer how many of its own messages the one who answers had decided before. So both sides, and an
//! auditor, put the same messages in the same order, whatever was lost or repeated on the way.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::state::State;
use super::terms::Terms;
use crate::deadline::Deadline;
use crate::transfer::offer::SilenceEffect;

/// What a statement says as a whole.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// In its text and points.
    Statement,
    /// Keine Bedenken, Fehlanzeige.
    NoObjection,
    /// Its matters are not touched.
    NotAffected,
    /// Consent.
    Consent,
    /// Consent, if its conditions are met.
    ConsentWithConditions,
    /// No consent.
    Refusal,
    /// It cannot be judged: documents are missing.
    DocumentsMissing,
    /// Another body is competent.
    NotCompetent,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Statement,
        Self::NoObjection,
        Self::NotAffected,
        Self::Consent,
        Self::ConsentWithConditions,
        Self::Refusal,
        Self::DocumentsMissing,
        Self::NotCompetent,
    ];

    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Statement => "STATEMENT",
            Self::NoObjection => "NO_OBJECTION",
            Self::NotAffected => "NOT_AFFECTED",
            Self::Consent => "CONSENT",
            Self::ConsentWithConditions => "CONSENT_WITH_CONDITIONS",
            Self::Refusal => "REFUSAL",
            Self::DocumentsMissing => "DOCUMENTS_MISSING",
            Self::NotCompetent => "NOT_COMPETENT",
        }
    }
}

/// Why the participant does not answer.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DeclineReason {
    /// Another body is competent.
    NotCompetent,
    /// Somebody there has a stake in it.
    ConflictOfInterest,
    /// It would be unlawful, or impossible (§ 5 VwVfG).
    LegalGround,
    /// Something else.
    Other,
}

/// That the deadline is over without a statement.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Expiry {
    /// The end that passed.
    pub ended_at: Timestamp,
    /// What silence means.
    pub effect: SilenceEffect,
    /// When the participant's node was asked for what it had entered in time; nothing if silence has no effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Timestamp>,
    /// Whether it answered; a person decided if it did not.
    pub answered: bool,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// A message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Message {
    /// Requester: what do you say to this?
    Request(Terms),
    /// Requester: further or replaced parts.
    Supplement {
        /// Whether the period begins anew when they are there.
        restarts: bool,
    },
    /// Requester: the answer to the question.
    Answer,
    /// Requester: whether there is more time; until when is in the deadline that follows.
    ExtensionDecision {
        /// Whether there is.
        granted: bool,
    },
    /// Requester: the clock stops for a question, or goes on.
    Clock {
        /// Whether it stops.
        stops: bool,
        /// Since when.
        at: Timestamp,
    },
    /// Requester: the deadline that is in force now.
    Deadline {
        /// With its computation.
        deadline: Box<Deadline>,
    },
    /// Requester: how much time is left.
    Reminder,
    /// Requester: which statement was entered before that end? What is entered from now on was entered after it.
    Inquire {
        /// The end.
        until: Timestamp,
    },
    /// Requester: the deadline is over.
    Expired(Expiry),
    /// Requester: the round is suspended, and with it the clock.
    Suspended {
        /// Since when.
        at: Timestamp,
    },
    /// Requester: it goes on.
    Resumed {
        /// Since when.
        at: Timestamp,
    },
    /// Requester: the round is cancelled; what was disclosed is to be deleted.
    Cancelled,
    /// Requester: the request, or some of its files, are taken back; they are to be deleted.
    Revoke {
        /// Whether the whole request is.
        whole: bool,
    },
    /// Requester: how the statement is treated is recorded.
    Assessed,
    /// Requester: how it is treated.
    Outcome,
    /// Requester: the case was handed over, and with it the role of who asks; what is said from now on goes to the new one.
    Moved,
    /// Participant: it is ours.
    Acknowledge,
    /// Participant: it is not, or we must not answer.
    Decline {
        /// Why.
        reason: DeclineReason,
        /// When that was entered.
        entered_at: Timestamp,
    },
    /// Participant: somebody works on it.
    Preparing,
    /// Participant: a question.
    Question,
    /// Participant: more time is needed.
    ExtensionRequest {
        /// Until when.
        until: Date,
        /// When that was entered.
        entered_at: Timestamp,
    },
    /// Participant: a statement.
    Statement {
        /// Its number, beginning with 1.
        version: u32,
        /// What it says.
        statement: Kind,
        /// When it was entered at the participant's node; that decides whether it is in time.
        entered_at: Timestamp,
    },
    /// Participant: the statement is taken back.
    WithdrawStatement {
        /// When that was entered.
        entered_at: Timestamp,
    },
    /// Participant: what was disclosed is deleted, or some of it.
    Purged {
        /// Whether this is about everything.
        whole: bool,
        /// Whether nothing of it is left.
        complete: bool,
    },
    /// Either: a message that cannot be settled is given up; nothing follows.
    Void,
}

impl Message {
    /// Its kind, as it stands in the path of a delivery.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Supplement { .. } => "supplement",
            Self::Answer => "answer",
            Self::ExtensionDecision { .. } => "extension-decision",
            Self::Clock { .. } => "clock",
            Self::Deadline { .. } => "deadline",
            Self::Reminder => "reminder",
            Self::Inquire { .. } => "inquire",
            Self::Expired(_) => "expired",
            Self::Suspended { .. } => "suspended",
            Self::Resumed { .. } => "resumed",
            Self::Cancelled => "cancelled",
            Self::Revoke { .. } => "revoke",
            Self::Assessed => "assessed",
            Self::Outcome => "outcome",
            Self::Moved => "moved",
            Self::Acknowledge => "acknowledge",
            Self::Decline { .. } => "decline",
            Self::Preparing => "preparing",
            Self::Question => "question",
            Self::ExtensionRequest { .. } => "extension-request",
            Self::Statement { .. } => "statement",
            Self::WithdrawStatement { .. } => "withdraw-statement",
            Self::Purged { .. } => "purged",
            Self::Void => "void",
        }
    }

    /// When what it says was entered at the participant's node, where that decides something.
    pub const fn entered_at(&self) -> Option<Timestamp> {
        match self {
            Self::Decline { entered_at, .. }
            | Self::ExtensionRequest { entered_at, .. }
            | Self::Statement { entered_at, .. }
            | Self::WithdrawStatement { entered_at } => Some(*entered_at),
            Self::Request(_)
            | Self::Supplement { .. }
            | Self::Answer
            | Self::ExtensionDecision { .. }
            | Self::Clock { .. }
            | Self::Deadline { .. }
            | Self::Reminder
            | Self::Inquire { .. }
            | Self::Expired(_)
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Cancelled
            | Self::Revoke { .. }
            | Self::Assessed
            | Self::Outcome
            | Self::Moved
            | Self::Acknowledge
            | Self::Preparing
            | Self::Question
            | Self::Purged { .. }
            | Self::Void => None,
        }
    }
}

/// A message with its place in the order.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Told {
    /// How many messages of the other side its sender had taken before.
    pub heard: u32,
    /// What it says.
    #[serde(flatten)]
    pub message: Message,
}

/// How something that the participant entered is judged: the receipt of a statement says it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
pub struct Judgement {
    /// Whether it was entered before the end.
    pub in_time: bool,
    /// Whether it is kept beside and changes nothing: the round was closed, or the request had ended.
    pub kept_beside: bool,
}

/// What the other side answers, signed, after it has committed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Answer {
    /// How many messages of its own it had decided before.
    pub after: u32,
    /// What it says.
    #[serde(flatten)]
    pub says: Says,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Says {
    /// It is recorded.
    Taken,
    /// The request is there.
    Delivered {
        /// Since when.
        delivered_at: Timestamp,
    },
    /// It is recorded and judged.
    Judged(Judgement),
    /// It does not fit the state, which is told.
    Refused {
        /// How the request stands with who answers.
        stands: State,
    },
}

impl Says {
    /// Whether it was recorded.
    pub const fn is_taken(self) -> bool {
        match self {
            Self::Taken | Self::Delivered { .. } | Self::Judged(_) => true,
            Self::Refused { .. } => false,
        }
    }

    /// Since when the request is there.
    pub const fn delivered_at(self) -> Option<Timestamp> {
        match self {
            Self::Delivered { delivered_at } => Some(delivered_at),
            Self::Taken | Self::Judged(_) | Self::Refused { .. } => None,
        }
    }

    /// How it was judged.
    pub const fn judgement(self) -> Option<Judgement> {
        match self {
            Self::Judged(judgement) => Some(judgement),
            Self::Taken | Self::Delivered { .. } | Self::Refused { .. } => None,
        }
    }
}
