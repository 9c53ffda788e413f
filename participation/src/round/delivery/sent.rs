//! A message as it is sent and read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Body, CONTRACT};
use crate::round::message::Told;

/// A message as it is sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// [`CONTRACT`].
    pub contract: String,
    /// How many messages of the other side were taken before.
    pub heard: u32,
    /// The sender's clock when these bytes were made: before the first attempt to deliver them.
    pub sent_at: Timestamp,
    /// Whether it belongs to a test instance.
    pub test: bool,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

/// Why a body is not taken. Nothing is settled: the sender has to mend it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// Not of this form.
    #[error("the body is no message of {CONTRACT}: {0}")]
    Malformed(String),
    /// Of another contract.
    #[error("the body follows {0}; this node speaks {CONTRACT}")]
    OtherContract(String),
    /// Another kind than the path says.
    #[error("the path says {path}, the body {body}")]
    OtherKind {
        /// By the path.
        path: String,
        /// By the body.
        body: &'static str,
    },
    /// Something in it is not as it has to be.
    #[error("{0}")]
    Wrong(String),
}

impl BodyError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "message_malformed",
            Self::OtherContract(_) => "contract_unknown",
            Self::OtherKind { .. } => "kind_mismatch",
            Self::Wrong(_) => "message_invalid",
        }
    }
}

impl Sent {
    /// A message.
    pub fn new(body: Body, heard: u32, sent_at: Timestamp, test: bool) -> Self {
        Self {
            contract: CONTRACT.to_owned(),
            heard,
            sent_at,
            test,
            body,
        }
    }

    /// Reads one that came on a path of this kind.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8], kind: &str) -> Result<Self, BodyError> {
        #[derive(Deserialize)]
        struct Named {
            contract: String,
        }
        let malformed = |error: serde_json::Error| BodyError::Malformed(error.to_string());
        let named: Named = serde_json::from_slice(bytes).map_err(malformed)?;
        if named.contract != CONTRACT {
            return Err(BodyError::OtherContract(
                named.contract.chars().take(64).collect(),
            ));
        }
        let sent: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if sent.body.kind() != kind {
            return Err(BodyError::OtherKind {
                path: kind.chars().take(64).collect(),
                body: sent.body.kind(),
            });
        }
        sent.body.check()?;
        Ok(sent)
    }

    /// What it is to the machines.
    pub fn told(&self) -> Told {
        Told {
            heard: self.heard,
            message: self.body.message(),
        }
    }
}
