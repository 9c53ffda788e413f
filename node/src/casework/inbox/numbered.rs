//! The number of a message: what came before is answered as it was then, the next one is taken, and a gap waits to be filled.

use kontor_participation::application::manifest::Digest;
use serde::Deserialize;

use super::super::row::{InRow, Process};
use super::super::store::{Tx, TxError};
use super::super::{Casework, Refused, Table};
use super::{Answered, Brought};

/// A message before it is read.
pub(in crate::casework) struct Arrival<'a> {
    pub(in crate::casework) brought: &'a Brought,
    pub(in crate::casework) process: &'a Process,
    pub(in crate::casework) seq: u32,
    pub(in crate::casework) kind: &'a str,
    pub(in crate::casework) sha256: Digest<32>,
}

/// What receipts of every contract have.
#[derive(Deserialize)]
struct Receipt {
    x_road_id: String,
}

impl Casework {
    /// What it was answered when it came first; nothing for the one that follows the `received` of its sender.
    ///
    /// # Errors
    /// `other_bytes` for another message under a number that is used, `gap` for a number that is not reached.
    pub(in crate::casework) async fn answered_before(
        &self,
        came: &Arrival<'_>,
        received: u32,
    ) -> Result<Option<Answered>, Refused> {
        let (seq, expected) = (came.seq, received + 1);
        let key = came.process.numbered(seq);
        // Rows and their number are written together: what is expected is not there.
        let known = match seq < expected {
            true => self.store.get::<InRow>(Table::Inbox, &key)?,
            false => None,
        };
        let Some(mut known) = known else {
            return match seq == expected {
                true => Ok(None),
                false => Err(Refused::conflict(
                    "gap",
                    format!("message {seq} came, {expected} is expected"),
                )),
            };
        };
        if known.sha256 != came.sha256 || known.kind != came.kind {
            let detail = format!("message {seq} came before with other bytes; what came first stands");
            return Err(Refused::conflict("other_bytes", detail));
        }
        let first: Receipt =
            serde_json::from_str(&known.receipt).map_err(|error| Refused::internal(&error))?;
        if first.x_road_id != came.brought.query_id {
            known.again = Some(came.brought.query_id.clone());
            let put = |tx: &mut Tx<'_>| Ok::<_, TxError<Refused>>(tx.put(Table::Inbox, &key, &known)?);
            self.store.run_tx("again", put).await?;
        }
        Ok(Some(Answered::settled(&known.receipt)))
    }

    /// Refuses a message of the other kind of instance, and one that is not for its sender, the `by`, to say.
    pub(in crate::casework) fn may_say(
        &self,
        came: &Arrival<'_>,
        test: bool,
        (by, may): (&str, bool),
    ) -> Result<(), Refused> {
        if test != self.test {
            let detail =
                "test and production do not mix: the test mark of the message differs from that of this node";
            return Err(Refused::invalid("test_mismatch", detail));
        }
        match may {
            true => Ok(()),
            false => Err(Refused::invalid(
                "wrong_party",
                format!("{} is not for the {by} to send", came.kind),
            )),
        }
    }
}
