//! A message as it is sent and read.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Body, CONTRACT};
use crate::envelope::{self, BodyError};
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
        let sent: Self = envelope::read(CONTRACT, kind, bytes, |sent: &Self| sent.body.kind())?;
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
