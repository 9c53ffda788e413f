//! What the store holds of messages, sent and received, and of events.

use jiff::Timestamp;
use kontor_participation::application::manifest::Digest;
use kontor_participation::round::delivery::Side;
use kontor_participation::transfer::offer::Id;
use serde::{Deserialize, Serialize};

/// What messages belong to: a transfer, or one side of a request. A request to a guest or an own unit has both sides here.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Process {
    /// A transfer.
    Transfer(Id),
    /// A request, as this side has it.
    Request(Side, Id),
}

impl Process {
    /// Which.
    pub(crate) const fn id(&self) -> &Id {
        match self {
            Self::Transfer(id) | Self::Request(_, id) => id,
        }
    }

    /// What the keys of its rows begin with. Ids are chosen by others too, so the kinds are kept apart by a letter that no id has.
    pub(crate) fn key(&self) -> Vec<u8> {
        match self {
            Self::Transfer(id) => id.to_string().into_bytes(),
            Self::Request(Side::Requester, id) => format!("r{id}").into_bytes(),
            Self::Request(Side::Participant, id) => format!("p{id}").into_bytes(),
        }
    }

    /// The key of something of it that has a number.
    pub(crate) fn numbered(&self, number: u32) -> Vec<u8> {
        let mut key = self.key();
        key.extend_from_slice(&number.to_be_bytes());
        key
    }

    /// What logs and acts call it.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Transfer(_) => "transfer",
            Self::Request(Side::Requester, _) => "request",
            Self::Request(Side::Participant, _) => "contribution",
        }
    }
}

impl OutRow {
    /// As it is shown: with its receipt as a document.
    pub(crate) fn view(&self) -> serde_json::Value {
        let mut state = serde_json::to_value(&self.state).unwrap_or_default();
        if let OutState::Answered { receipt, .. } = &self.state {
            state["receipt"] = serde_json::from_str(receipt).unwrap_or_default();
        }
        serde_json::json!({ "seq": self.seq, "kind": self.kind, "at": self.at, "state": state })
    }
}

impl InRow {
    /// As it is shown: with its receipt as a document.
    pub(crate) fn view(&self, seq: u32) -> serde_json::Value {
        let receipt: serde_json::Value = serde_json::from_str(&self.receipt).unwrap_or_default();
        serde_json::json!({
            "seq": seq, "kind": self.kind, "at": self.at, "sha256": self.sha256, "receipt": receipt, "again": self.again,
            "elsewhere": self.elsewhere,
        })
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name(), self.id())
    }
}

/// A message to be sent.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct OutRow {
    /// Of what.
    pub(crate) process: Process,
    /// To whom.
    pub(crate) peer: String,
    /// Its number.
    pub(crate) seq: u32,
    /// Its kind.
    pub(crate) kind: String,
    /// Its body as it is sent; it holds no content of the application.
    pub(crate) body: String,
    /// When it was decided.
    pub(crate) at: Timestamp,
    /// How it stands.
    pub(crate) state: OutState,
}

/// How a message stands.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum OutState {
    /// It waits.
    Waiting,
    /// Its answer is here.
    Answered {
        /// The receipt, as it came.
        receipt: String,
        /// `x-road-id` of the exchange that brought it: another one than the receipt names where an earlier answer was lost.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exchange: Option<String>,
    },
    /// It cannot be settled; a person has to look.
    Parked {
        /// Why, by code.
        code: String,
        /// In words.
        reason: String,
    },
    /// It was given up.
    Void,
}

/// A message that came.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct InRow {
    /// Its kind.
    pub(crate) kind: String,
    /// SHA-256 of its bytes.
    pub(crate) sha256: Digest<32>,
    /// When it came.
    pub(crate) at: Timestamp,
    /// The answer, as it was given.
    pub(crate) receipt: String,
    /// `x-road-id` of the last exchange in which it came again and got its answer again: the first one may have died without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) again: Option<String>,
    /// Whether another house received and answered it, before it handed the case over.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) elsewhere: bool,
}

/// Something that happened, for the feed of events: no content.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct EventRow {
    /// What, such as `case.opened` or `transfer.taken_over`.
    pub(crate) kind: String,
    /// When.
    pub(crate) at: Timestamp,
    /// Of which case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) case: Option<Id>,
    /// In which transfer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) transfer: Option<Id>,
    /// In which round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) round: Option<Id>,
    /// Of which request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Id>,
    /// The unit that it concerns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<String>,
    /// The version that it led to, of the transfer or else of the case: what a command can name in If-Match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<u64>,
    /// The state that it led to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
}
