//! Reasons, as codes: there is no text in which somebody could name the applicant.

use serde::{Deserialize, Serialize};

/// Why more time is wanted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExtensionReason {
    /// A committee meets later.
    CommitteeMeetsLater,
    /// Documents are missing.
    DocumentsMissing,
    /// The place has to be seen.
    SiteVisit,
    /// There is too much to do.
    Workload,
    /// Something else, in words.
    Other,
}

/// Why something is taken back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RevokeReason {
    /// Something in it must not leave.
    MustNotLeave,
    /// The participant is not needed any more.
    NoLongerNeeded,
    /// It was replaced.
    Replaced,
    /// It went to the wrong body (Art. 33 GDPR).
    WrongRecipient,
}

/// Why a round is cancelled.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum CancelReason {
    /// The application was withdrawn.
    ApplicationWithdrawn,
    /// Another authority is competent.
    CompetenceChanged,
    /// The procedure begins anew.
    StartedAnew,
    /// Something else.
    Other,
}

/// Why a statement is taken back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WithdrawReason {
    /// It was a mistake.
    Mistake,
    /// Its reason is gone.
    ReasonGone,
    /// Something else.
    Other,
}
