//! The states of a request, which both sides have in common.

use serde::{Deserialize, Serialize};

/// How a request stands. A question and a request for more time are records beside it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Prepared, not sent.
    Created,
    /// Given up before it was sent.
    Dropped,
    /// Handed to the transport.
    Sent,
    /// The transport gave up; it may have arrived all the same.
    Failed,
    /// It is there: the legal clock starts, or will when everything that is disclosed is there too.
    Delivered,
    /// The participant is competent, it says.
    Acknowledged,
    /// It is not, or must not answer.
    Declined,
    /// The participant works on it.
    InPreparation,
    /// A statement is there.
    Submitted,
    /// A newer version of it is.
    Amended,
    /// The participant took its statement back.
    Withdrawn,
    /// The deadline is over without a statement; what that means is recorded.
    Expired,
    /// A statement came after that: it is kept and shown as late.
    Late,
    /// The requester took the request back; what was disclosed is to be deleted.
    Revoked,
    /// And that is done, the participant says.
    Purged,
    /// How the statement is treated is recorded.
    Assessed,
    /// And the participant was told.
    Notified,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::Created,
        Self::Dropped,
        Self::Sent,
        Self::Failed,
        Self::Delivered,
        Self::Acknowledged,
        Self::Declined,
        Self::InPreparation,
        Self::Submitted,
        Self::Amended,
        Self::Withdrawn,
        Self::Expired,
        Self::Late,
        Self::Revoked,
        Self::Purged,
        Self::Assessed,
        Self::Notified,
    ];

    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "CREATED",
            Self::Dropped => "DROPPED",
            Self::Sent => "SENT",
            Self::Failed => "FAILED",
            Self::Delivered => "DELIVERED",
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Declined => "DECLINED",
            Self::InPreparation => "IN_PREPARATION",
            Self::Submitted => "SUBMITTED",
            Self::Amended => "AMENDED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Expired => "EXPIRED",
            Self::Late => "LATE",
            Self::Revoked => "REVOKED",
            Self::Purged => "PURGED",
            Self::Assessed => "ASSESSED",
            Self::Notified => "NOTIFIED",
        }
    }

    /// Its name for people, in German.
    pub const fn german(self) -> &'static str {
        match self {
            Self::Created => "Angelegt",
            Self::Dropped => "Verworfen",
            Self::Sent => "Gesendet",
            Self::Failed => "Nicht zustellbar",
            Self::Delivered => "Zugegangen",
            Self::Acknowledged => "Zuständigkeit bestätigt",
            Self::Declined => "Abgelehnt",
            Self::InPreparation => "In Vorbereitung",
            Self::Submitted => "Stellungnahme abgegeben",
            Self::Amended => "Stellungnahme geändert",
            Self::Withdrawn => "Stellungnahme zurückgenommen",
            Self::Expired => "Frist abgelaufen",
            Self::Late => "Verspätet",
            Self::Revoked => "Zurückgezogen",
            Self::Purged => "Gelöscht",
            Self::Assessed => "Abgewogen",
            Self::Notified => "Ergebnis mitgeteilt",
        }
    }

    /// Whether it is there and an answer is awaited: a statement that was taken back is none.
    pub const fn is_waiting(self) -> bool {
        match self {
            Self::Delivered | Self::Acknowledged | Self::InPreparation | Self::Withdrawn => true,
            Self::Created
            | Self::Dropped
            | Self::Sent
            | Self::Failed
            | Self::Declined
            | Self::Submitted
            | Self::Amended
            | Self::Expired
            | Self::Late
            | Self::Revoked
            | Self::Purged
            | Self::Assessed
            | Self::Notified => false,
        }
    }

    /// Whether the participant may have it.
    pub const fn is_sent(self) -> bool {
        match self {
            Self::Created | Self::Dropped => false,
            Self::Sent
            | Self::Failed
            | Self::Delivered
            | Self::Acknowledged
            | Self::Declined
            | Self::InPreparation
            | Self::Submitted
            | Self::Amended
            | Self::Withdrawn
            | Self::Expired
            | Self::Late
            | Self::Revoked
            | Self::Purged
            | Self::Assessed
            | Self::Notified => true,
        }
    }

    /// Whether a round can be concluded over it.
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Dropped | Self::Declined | Self::Revoked | Self::Purged | Self::Notified => true,
            Self::Created
            | Self::Sent
            | Self::Failed
            | Self::Delivered
            | Self::Acknowledged
            | Self::InPreparation
            | Self::Submitted
            | Self::Amended
            | Self::Withdrawn
            | Self::Expired
            | Self::Late
            | Self::Assessed => false,
        }
    }

    /// Whether the participant still sees what was disclosed, as far as the state goes.
    pub const fn is_open_to_participant(self) -> bool {
        match self {
            Self::Created | Self::Dropped | Self::Declined | Self::Revoked | Self::Purged => false,
            Self::Sent
            | Self::Failed
            | Self::Delivered
            | Self::Acknowledged
            | Self::InPreparation
            | Self::Submitted
            | Self::Amended
            | Self::Withdrawn
            | Self::Expired
            | Self::Late
            | Self::Assessed
            | Self::Notified => true,
        }
    }
}
